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

#![cfg_attr(
    not(feature = "testing"),
    allow(
        unreachable_pub,
        unused_imports,
        reason = "public is what tests, benches and examples look at, with the feature `testing`"
    )
)]

pub mod depth_meta;
pub mod depthanything;
pub mod depthcolorize;
mod detail;
mod mapping;
mod panics;
mod sync;
mod text;
mod threads;
mod timing;

#[cfg(not(feature = "testing"))]
mod error;
#[cfg(not(feature = "testing"))]
mod frame;
#[cfg(not(feature = "testing"))]
mod geometry;
#[cfg(not(feature = "testing"))]
mod inference;
#[cfg(not(feature = "testing"))]
mod model;
#[cfg(not(feature = "testing"))]
mod range;

#[cfg(feature = "testing")]
pub mod error;
#[cfg(feature = "testing")]
pub mod frame;
#[cfg(feature = "testing")]
pub mod geometry;
#[cfg(feature = "testing")]
pub mod inference;
#[cfg(feature = "testing")]
pub mod model;
#[cfg(feature = "testing")]
pub mod range;

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
