//! The element messages that tell an application what the element does.

use std::time::Duration;

use gst::prelude::*;

use crate::geometry::Size;

/// Why the network size is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The first size of a stream.
    Start,
    /// The property `resolution` changed.
    Property,
    /// The frames changed.
    Caps,
    /// To keep up with the stream, or because there is time for more.
    Load,
    /// To stay in memory.
    Memory,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Property => "property",
            Self::Caps => "caps",
            Self::Load => "load",
            Self::Memory => "memory",
        }
    }
}

/// What happens to the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct EngineNews {
    /// `loading`, `compiling`, `ready` or `fallback`.
    pub(super) stage: &'static str,
    /// The execution provider concerned; empty while none is chosen.
    pub(super) provider: String,
    /// Its arithmetic, once known.
    pub(super) precision: String,
    /// Time since loading, or the compilation of a size, began.
    pub(super) elapsed: Duration,
    /// Why it fell back, or the size that is compiled.
    pub(super) reason: String,
}

/// Posts `depthanything-engine`.
pub(super) fn post_engine(element: &gst::Element, news: &EngineNews) {
    let structure = gst::Structure::builder("depthanything-engine")
        .field("stage", news.stage)
        .field("provider", &news.provider)
        .field("precision", &news.precision)
        .field("seconds", news.elapsed.as_secs_f64())
        .field("reason", &news.reason)
        .build();
    post(element, structure);
}

/// Posts `depthanything-resolution`.
pub(super) fn post_resolution(element: &gst::Element, network: Size, reason: Reason) {
    let structure = gst::Structure::builder("depthanything-resolution")
        .field("width", network.width)
        .field("height", network.height)
        .field("reason", reason.as_str())
        .build();
    post(element, structure);
}

fn post(element: &gst::Element, structure: gst::Structure) {
    let message = gst::message::Element::builder(structure)
        .src(element)
        .build();
    // fails only while the element has no bus, when nobody listens
    let _ = element.post_message(message);
}
