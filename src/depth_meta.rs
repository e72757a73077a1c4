//! `GstDepthMeta`: what the samples of a depth frame mean, attached to every one.
//!
//! It is a [`gst::meta::CustomMeta`], so any language reads it without this library: get the custom meta
//! named `GstDepthMeta` and its structure.
//!
//! | field | type | meaning |
//! |---|---|---|
//! | `scale`, `offset` | double | value = `scale` · sample + `offset`, in `unit` |
//! | `unit` | string | `inverse-depth` or `metre` |
//! | `network-width`, `network-height` | uint | what the network saw, in pixels |
//! | `repeated` | boolean | the depth is that of an earlier frame |
//! | `filtered` | boolean | samples depart from the model's own values: `temporal-filter` or `upsampling=guided` is on |
//! | `scene` | uint | one more each time the running range starts afresh: at a cut, or after a flush |
//! | `model` | string | the model's name |

use gst::meta::CustomMeta;

use crate::geometry::Size;

/// Name under which the meta is registered.
pub const NAME: &str = "GstDepthMeta";

/// What a value is once scale and offset are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Inverse depth: 1/metre for metric models, free scale and shift for relative ones. Larger is nearer.
    InverseDepth,
    /// Metres along the camera's axis; sample 0 is "no depth".
    Metre,
}

impl Unit {
    /// As written in the meta.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InverseDepth => "inverse-depth",
            Self::Metre => "metre",
        }
    }
}

/// The content of a `GstDepthMeta`.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthMeta {
    /// Model units per sample step.
    pub scale: f64,
    /// Value of sample 0.
    pub offset: f64,
    /// What the values are.
    pub unit: Unit,
    /// What the network saw.
    pub network: Size,
    /// Whether the depth is that of an earlier frame.
    pub repeated: bool,
    /// Whether samples depart from the model's own values.
    pub filtered: bool,
    /// Number of the scene.
    pub scene: u32,
    /// The model's name.
    pub model: String,
}

impl DepthMeta {
    /// The model's value that `sample` stands for.
    pub fn value(&self, sample: u16) -> f64 {
        self.scale * f64::from(sample) + self.offset
    }

    /// Attaches it to `buffer`.
    ///
    /// # Errors
    /// When the meta is not registered: the plugin is not loaded.
    pub fn attach(&self, buffer: &mut gst::BufferRef) -> Result<(), glib::BoolError> {
        let mut meta = CustomMeta::add(buffer, NAME)?;
        let structure = meta.mut_structure();
        structure.set("scale", self.scale);
        structure.set("offset", self.offset);
        structure.set("unit", self.unit.as_str());
        structure.set("network-width", self.network.width);
        structure.set("network-height", self.network.height);
        structure.set("repeated", self.repeated);
        structure.set("filtered", self.filtered);
        structure.set("scene", self.scene);
        structure.set("model", &self.model);
        Ok(())
    }

    /// Reads it from `buffer`; `None` when it has none or it lacks a field.
    pub fn read(buffer: &gst::BufferRef) -> Option<Self> {
        if !CustomMeta::is_registered(NAME) {
            return None;
        }
        let meta = CustomMeta::from_buffer(buffer, NAME).ok()?;
        let structure = meta.structure();
        Some(Self {
            scale: structure.get("scale").ok()?,
            offset: structure.get("offset").ok()?,
            unit: match structure.get::<&str>("unit").ok()? {
                "inverse-depth" => Unit::InverseDepth,
                "metre" => Unit::Metre,
                _ => return None,
            },
            network: Size::new(
                structure.get("network-width").ok()?,
                structure.get("network-height").ok()?,
            ),
            repeated: structure.get("repeated").ok()?,
            // older versions of the meta do not tell
            filtered: structure.get("filtered").unwrap_or(false),
            scene: structure.get("scene").ok()?,
            model: structure.get("model").ok()?,
        })
    }
}

/// Makes the meta known to GStreamer; once is enough, more does no harm.
pub(crate) fn register() {
    if !CustomMeta::is_registered(NAME) {
        // tagged so that elements which change what samples mean (colours) do not carry it on, while
        // scaling, cropping and flipping do
        CustomMeta::register(NAME, &["video", "colorspace"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attached_is_read_back() {
        gst::init().unwrap();
        register();
        register();
        let meta = DepthMeta {
            scale: -0.25,
            offset: 7.5,
            unit: Unit::Metre,
            network: Size::new(924, 518),
            repeated: true,
            filtered: true,
            scene: 3,
            model: "vits".into(),
        };
        let mut buffer = gst::Buffer::with_size(4).unwrap();
        assert_eq!(DepthMeta::read(&buffer), None);
        meta.attach(buffer.get_mut().unwrap()).unwrap();
        assert_eq!(DepthMeta::read(&buffer), Some(meta.clone()));
        assert_eq!(meta.value(2), 7.0);
        // a copy carries it on
        assert_eq!(DepthMeta::read(&buffer.copy()), Some(meta));
    }
}
