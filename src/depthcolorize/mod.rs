//! The element `depthcolorize`: [`DepthColorize`] says what it does.

use glib::prelude::*;

pub mod colormap;
/**
 * SECTION:element-depthcolorize
 *
 * `depthcolorize` gives depth frames false colours, so that people see in them what is near and what is
 * far: 16-bit or 8-bit grey in, RGB out. White in the grey frame, the near end of `inverse` depth, gets
 * the last colour of the map; black, the far end, the first. `reverse` turns that round, which is right
 * for metric depth, where a large number is far away.
 *
 * ## Example launch lines
 *
 * A grey ramp through the colours of the map:
 *
 * ```bash
 * gst-launch-1.0 videotestsrc pattern=gradient num-buffers=1 ! video/x-raw,format=GRAY16_LE ! depthcolorize colormap=turbo ! videoconvert ! pngenc ! filesink location=turbo.png
 * ```
 *
 * Depth of a video in colour, on the screen:
 *
 * ```bash
 * gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! videoconvert ! depthanything ! depthcolorize ! videoconvert ! autovideosink
 * ```
 *
 * The colours are those of Depth Anything's own pictures by default (`spectral`: near is red, far is
 * violet). With `near` and `far` metric depth is coloured by its metres. All properties may change while the
 * video plays, and take effect with the next frame.
 *
 * Since: 0.1
 */
mod imp;

glib::wrapper! {
    /// Gives depth frames false colours. What GStreamer's documentation says of it stands at the module of its implementation.
    pub struct DepthColorize(ObjectSubclass<imp::DepthColorize>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
}

/**
 * GstDepthColorizeColormap:
 *
 * Colours from far (black in the depth frame) to near (white).
 *
 * Since: 0.1
 */
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstDepthColorizeColormap")]
pub enum Colormap {
    /// ColorBrewer's spectral scheme with near red and far violet, as in Depth Anything's own pictures.
    #[default]
    #[enum_value(
        name = "Spectral: near red, yellow, green, far violet",
        nick = "spectral"
    )]
    Spectral,
    /// matplotlib's inferno.
    #[enum_value(
        name = "Inferno: near pale yellow, orange, red, far black",
        nick = "inferno"
    )]
    Inferno,
    /// matplotlib's magma.
    #[enum_value(name = "Magma: near pale pink, red, purple, far black", nick = "magma")]
    Magma,
    /// matplotlib's plasma.
    #[enum_value(name = "Plasma: near yellow, pink, far blue", nick = "plasma")]
    Plasma,
    /// matplotlib's viridis.
    #[enum_value(name = "Viridis: near yellow, green, far violet", nick = "viridis")]
    Viridis,
    /// Google's turbo, a smoother jet.
    #[enum_value(
        name = "Turbo: near red, yellow, green, blue, far dark",
        nick = "turbo"
    )]
    Turbo,
    /// Depth's own grey, rounded to 8 bits.
    #[enum_value(name = "Gray: near white, far black", nick = "gray")]
    Gray,
}

impl From<Colormap> for colormap::Colormap {
    fn from(map: Colormap) -> Self {
        match map {
            Colormap::Spectral => Self::Spectral,
            Colormap::Inferno => Self::Inferno,
            Colormap::Magma => Self::Magma,
            Colormap::Plasma => Self::Plasma,
            Colormap::Viridis => Self::Viridis,
            Colormap::Turbo => Self::Turbo,
            Colormap::Gray => Self::Gray,
        }
    }
}

/// Registers the element.
///
/// # Errors
/// When another element of the name `depthcolorize` stands in the way.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    #[cfg(feature = "doc")]
    Colormap::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(
        Some(plugin),
        "depthcolorize",
        gst::Rank::NONE,
        DepthColorize::static_type(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each map is a value of the property, in the same order.
    #[test]
    fn every_map_is_a_value() {
        let class = glib::EnumClass::new::<Colormap>();
        let values = class.values().iter().map(|value| value.name().to_owned());
        let maps = colormap::Colormap::ALL.map(|map| format!("{map:?}"));
        for (value, map) in values.zip(&maps) {
            assert!(value.starts_with(map), "{value} is not {map}");
        }
        assert_eq!(class.values().len(), maps.len());
    }
}
