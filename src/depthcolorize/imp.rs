//! GObject and GStreamer virtual methods of `depthcolorize`.

use std::sync::{LazyLock, Mutex};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;
use gst_video::prelude::*;
use gst_video::subclass::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use super::Colormap;
use super::colormap::{Lut, PixelOrder, SampleFormat};
use crate::depth_meta::{DepthMeta, NAME, Unit};
use crate::error::Error;
use crate::mapping::{readable, writable};
use crate::sync::lock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "depthcolorize",
        gst::DebugColorFlags::empty(),
        Some("False colours for depth"),
    )
});

/// Depth that is read, the machine's own first.
const SINK_FORMATS: [VideoFormat; 3] = if cfg!(target_endian = "little") {
    [
        VideoFormat::Gray16Le,
        VideoFormat::Gray16Be,
        VideoFormat::Gray8,
    ]
} else {
    [
        VideoFormat::Gray16Be,
        VideoFormat::Gray16Le,
        VideoFormat::Gray8,
    ]
};

/// Colours that are written.
const SRC_FORMATS: [VideoFormat; 5] = [
    VideoFormat::Rgb,
    VideoFormat::Rgbx,
    VideoFormat::Rgba,
    VideoFormat::Bgrx,
    VideoFormat::Bgra,
];

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Settings {
    colormap: Colormap,
    reverse: bool,
    /// Metres; metric depth between the two takes all colours, where `far` is the larger.
    near: f64,
    far: f64,
}

/// What a table of colours was made for.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wanted {
    settings: Settings,
    /// Scale and offset to metres, where colours go by distance.
    metres: Option<[f64; 2]>,
}

impl Wanted {
    fn new(settings: Settings, depth: &gst::BufferRef) -> Self {
        let metric = (settings.near < settings.far)
            .then(|| DepthMeta::read(depth))
            .flatten();
        let metric = metric.filter(|meta| meta.unit == Unit::Metre);
        Self {
            settings,
            metres: metric.map(|meta| [meta.scale, meta.offset]),
        }
    }

    /// Why `near` and `far` have no effect on `depth`, where they are set and have none.
    fn no_distance(&self, depth: &gst::BufferRef) -> Option<String> {
        let Settings { near, far, .. } = self.settings;
        if self.metres.is_some() || (near == 0.0 && far == 0.0) {
            return None;
        }
        Some(if near >= far {
            format!("near={near} far={far} have no effect: far has to be above near")
        } else {
            let found = match DepthMeta::read(depth) {
                Some(meta) => format!(
                    "the model {} gives relative depth. A metric model gives metres",
                    meta.model
                ),
                None => "these frames have no GstDepthMeta, which does not travel through encoders and files. \
                         Put depthcolorize into the pipeline of depthanything, or leave near and far at 0"
                    .to_owned(),
            };
            format!("near={near} far={far} have no effect: they are metres, and {found}")
        })
    }

    fn table(&self, order: PixelOrder) -> Lut {
        let Settings {
            colormap,
            reverse,
            near,
            far,
        } = self.settings;
        let table = Lut::new(colormap.into(), reverse, order);
        match self.metres {
            Some(metres) => table.by_distance(metres, near, far),
            None => table,
        }
    }
}

/// What the negotiated formats mean, and the table for the settings that it was made with.
struct State {
    depth: VideoInfo,
    color: VideoInfo,
    samples: SampleFormat,
    order: PixelOrder,
    table: Option<(Wanted, Lut)>,
    /// With which `near` and `far` it has been said that they have no effect.
    warned: Option<[f64; 2]>,
}

/// Instance of the element.
#[derive(Default)]
pub struct DepthColorize {
    settings: Mutex<Settings>,
    state: Mutex<Option<State>>,
}

/// `caps` with the formats of the other side. Colorimetry and chroma siting say how grey or RGB samples are
/// to be read and mean nothing across a colour map.
fn with_formats(caps: &gst::Caps, formats: &[VideoFormat]) -> gst::Caps {
    let mut caps = caps.clone();
    for structure in caps.make_mut().iter_mut() {
        structure.set("format", gst::List::new(formats.iter().map(|f| f.to_str())));
        structure.remove_fields(["colorimetry", "chroma-site"]);
    }
    caps
}

#[glib::object_subclass]
impl ObjectSubclass for DepthColorize {
    const NAME: &'static str = "GstDepthColorize";
    type Type = super::DepthColorize;
    type ParentType = gst_video::VideoFilter;
}

impl ObjectImpl for DepthColorize {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let defaults = Settings::default();
            vec![
                glib::ParamSpecEnum::builder_with_default("colormap", defaults.colormap)
                    .nick("Colour map")
                    .blurb("Colours from far (black in the depth frame) to near (white)")
                    .mutable_playing()
                    .build(),
                glib::ParamSpecBoolean::builder("reverse")
                    .nick("Reverse")
                    .blurb("Run the colours the other way, as suits metric depth, where a large number is far away")
                    .default_value(defaults.reverse)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecDouble::builder("near")
                    .nick("Near distance")
                    .blurb("Metric depth, in frames with GstDepthMeta: distance in metres that gets the nearest colour, as does what is \
                         closer. Needs far above it; colours then follow the distance, and no depth is black")
                    .minimum(0.0)
                    .maximum(1e6)
                    .default_value(defaults.near)
                    .mutable_playing()
                    .build(),
                glib::ParamSpecDouble::builder("far")
                    .nick("Far distance")
                    .blurb("Metric depth, in frames with GstDepthMeta: distance in metres that gets the farthest colour, as does what is \
                         farther. 0: colours follow the samples")
                    .minimum(0.0)
                    .maximum(1e6)
                    .default_value(defaults.far)
                    .mutable_playing()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // GObject has checked the types
        let number = value.get::<f64>().ok().filter(|number| number.is_finite());
        match (pspec.name(), value.get::<Colormap>(), value.get::<bool>()) {
            ("near", ..) => settings.near = number.unwrap_or(settings.near),
            ("far", ..) => settings.far = number.unwrap_or(settings.far),
            ("colormap", Ok(colormap), _) => settings.colormap = colormap,
            ("reverse", _, Ok(reverse)) => settings.reverse = reverse,
            (name, ..) => gst::error!(CAT, imp = self, "no property {name} of this type"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = *lock(&self.settings);
        match pspec.name() {
            "colormap" => settings.colormap.to_value(),
            "near" => settings.near.to_value(),
            "far" => settings.far.to_value(),
            _ => settings.reverse.to_value(),
        }
    }
}

impl GstObjectImpl for DepthColorize {}

impl ElementImpl for DepthColorize {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Depth colouriser",
                "Filter/Effect/Converter/Video",
                "Gives depth frames false colours: 16-bit or 8-bit grey in, RGB out",
                "The depthanything developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            [
                ("sink", gst::PadDirection::Sink, SINK_FORMATS.as_slice()),
                ("src", gst::PadDirection::Src, SRC_FORMATS.as_slice()),
            ]
            .into_iter()
            .filter_map(|(name, direction, formats)| {
                let caps = gst_video::VideoCapsBuilder::new()
                    .format_list(formats.iter().copied())
                    .build();
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            })
            .collect()
        });
        &TEMPLATES
    }
}

impl BaseTransformImpl for DepthColorize {
    const MODE: gst_base::subclass::BaseTransformMode =
        gst_base::subclass::BaseTransformMode::NeverInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.state) = None;
        Ok(())
    }

    fn transform_caps(
        &self,
        direction: gst::PadDirection,
        caps: &gst::Caps,
        filter: Option<&gst::Caps>,
    ) -> Option<gst::Caps> {
        let other = match direction {
            gst::PadDirection::Sink => with_formats(caps, &SRC_FORMATS),
            _ => with_formats(caps, &SINK_FORMATS),
        };
        gst::debug!(
            CAT,
            imp = self,
            "{caps} at {direction:?} is {other} at the other side"
        );
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
            None => other,
        })
    }

    fn transform_meta<'a>(
        &self,
        _color: &mut gst::BufferRef,
        meta: gst::MetaRef<'a, gst::Meta>,
        _depth: &'a gst::BufferRef,
    ) -> bool {
        // the size is the same. What depth means still says what the colours were made of; other metas that speak of
        // colours speak of those before
        let is_depth = meta
            .try_as_custom_meta()
            .is_some_and(|meta| meta.has_name(NAME));
        is_depth
            || !(meta.has_tag::<gst::meta::tags::Memory>()
                || meta.has_tag::<gst::meta::tags::MemoryReference>()
                || meta.has_tag::<gst_video::video_meta::tags::Colorspace>())
    }

    // and not `transform_frame`: the base class pushes a frame that it can't map as it is, with a warning
    fn transform(
        &self,
        inbuf: &gst::Buffer,
        outbuf: &mut gst::BufferRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let warning = self.colorize(inbuf, outbuf).map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            gst::FlowError::Error
        })?;
        if let Some(warning) = warning {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"));
        }
        Ok(gst::FlowSuccess::Ok)
    }
}

impl DepthColorize {
    /// Fills a colour frame. Gives what is to be said of it, if anything.
    ///
    /// # Errors
    /// [`Error::Frame`] when one of the frames can't be reached.
    fn colorize(
        &self,
        inbuf: &gst::Buffer,
        outbuf: &mut gst::BufferRef,
    ) -> Result<Option<String>, Error> {
        let wrong = |reason: &str| Error::Frame {
            reason: reason.into(),
        };
        let wanted = Wanted::new(*lock(&self.settings), inbuf);
        // only this thread and state changes ever want this lock
        let mut state = lock(&self.state);
        let State {
            depth,
            color,
            samples,
            order,
            table,
            warned,
        } = state
            .as_mut()
            .ok_or_else(|| wrong("it came before its caps"))?;
        let (_, lut) = match table.take() {
            Some(made) if made.0 == wanted => table.insert(made),
            _ => {
                gst::debug!(CAT, imp = self, "colours of {wanted:?}");
                table.insert((wanted, wanted.table(*order)))
            }
        };
        let distances = [wanted.settings.near, wanted.settings.far];
        let warning = match *warned == Some(distances) {
            true => None,
            false => wanted.no_distance(inbuf),
        };
        if warning.is_some() {
            *warned = Some(distances);
        }

        let depth = readable(inbuf, depth, "depth")?;
        let mut color = writable(outbuf, color, "colour")?;
        let row = depth.width() as usize * samples.bytes();
        let (in_stride, out_stride) = (
            (depth.plane_stride()[0] as usize).max(1),
            (color.plane_stride()[0] as usize).max(1),
        );
        let (Ok(rows_in), Ok(rows_out)) = (depth.plane_data(0), color.plane_data_mut(0)) else {
            return Err(wrong("it has no plane"));
        };
        let rows = rows_in
            .chunks(in_stride)
            .zip(rows_out.chunks_mut(out_stride));
        for (padded, pixels) in rows.take(depth.height() as usize) {
            lut.apply(*samples, padded.get(..row).unwrap_or(padded), pixels);
        }
        Ok(warning)
    }
}

impl VideoFilterImpl for DepthColorize {
    fn set_info(
        &self,
        _in_caps: &gst::Caps,
        in_info: &gst_video::VideoInfo,
        _out_caps: &gst::Caps,
        out_info: &gst_video::VideoInfo,
    ) -> Result<(), gst::LoggableError> {
        let samples = match in_info.format() {
            VideoFormat::Gray8 => SampleFormat::Gray8,
            VideoFormat::Gray16Le => SampleFormat::Gray16Le,
            VideoFormat::Gray16Be => SampleFormat::Gray16Be,
            format => return Err(gst::loggable_error!(CAT, "{format} is not a depth format")),
        };
        let order = match out_info.format() {
            VideoFormat::Rgb => PixelOrder::Rgb,
            VideoFormat::Rgbx | VideoFormat::Rgba => PixelOrder::Rgba,
            VideoFormat::Bgrx | VideoFormat::Bgra => PixelOrder::Bgra,
            format => return Err(gst::loggable_error!(CAT, "can't write {format}")),
        };
        *lock(&self.state) = Some(State {
            depth: in_info.clone(),
            color: out_info.clone(),
            samples,
            order,
            table: None,
            warned: None,
        });
        Ok(())
    }
}
