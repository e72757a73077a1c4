//! GStreamer plugin that turns any video into depth with Depth Anything V2.
//!
//! The way of a frame is the order of the rooms:
//!
//! ```text
//! frame ──▶ tensor ──▶ network ──▶ depth map ──▶ range ──▶ GRAY16 frame (+ meta)
//! ```
//!
//! [`depthanything`] is the element; [`depthcolorize`] makes its output pleasant to look at. Everything
//! else is below the elements and knows nothing of GStreamer.

pub mod depth_meta;
pub mod depthanything;
pub mod depthcolorize;
pub mod error;
pub mod frame;
pub mod geometry;
pub mod inference;
mod mapping;
pub mod model;
mod panics;
pub mod range;
mod sync;
mod text;
mod threads;
mod timing;

pub use plugin::plugin_register_static;

/// What GStreamer asks of a plugin.
#[allow(missing_docs, reason = "made by the macro")]
mod plugin {
    fn init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
        crate::depth_meta::register();
        crate::depthanything::register(plugin)?;
        crate::depthcolorize::register(plugin)
    }

    gst::plugin_define!(
        depthanything,
        env!("CARGO_PKG_DESCRIPTION"),
        init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        env!("ORIGIN"),
        env!("BUILD_REL_DATE")
    );
}
