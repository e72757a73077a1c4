//! The element `depthcolorize`: [`DepthColorize`] says what it does.

use glib::prelude::*;

pub mod colormap;
mod imp;

pub use colormap::Colormap;

glib::wrapper! {
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
    pub struct DepthColorize(ObjectSubclass<imp::DepthColorize>)
        @extends gst_video::VideoFilter, gst_base::BaseTransform, gst::Element, gst::Object;
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
