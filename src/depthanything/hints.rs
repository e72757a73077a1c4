//! What is said of frames that a network sees less in than it could: pictures that lie on their side, combed frames. Each
//! is said once.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInterlaceMode;
use gst_video::prelude::*;

/// Elements that are looked at on the way up the pipeline.
const FARTHEST: usize = 64;

/// What has been said since the element started.
#[derive(Debug, Default)]
pub(super) struct Hints {
    orientation: AtomicBool,
    combed: AtomicBool,
}

impl Hints {
    /// Everything may be said again.
    pub(super) fn reset(&self) {
        self.orientation.store(false, Ordering::Relaxed);
        self.combed.store(false, Ordering::Relaxed);
    }

    /// Says that the frames of `element` do not stand upright, by their tags, unless an element upstream turns them.
    pub(super) fn check_orientation(
        &self,
        element: &gst_base::BaseTransform,
        tags: &gst::TagListRef,
    ) {
        let Some(tag) = tags.get::<gst::tags::ImageOrientation>() else {
            return;
        };
        if matches!(tag.get(), "rotate-0" | "auto")
            || is_turned(element.sink_pad())
            || self.orientation.swap(true, Ordering::Relaxed)
        {
            return;
        }
        gst::element_warning!(
            element,
            gst::StreamError::Format,
            (
                "the video is tagged {}: it is not upright, which makes its depth worse. \
                 Put `videoflip video-direction=auto` before depthanything",
                tag.get()
            )
        );
    }

    /// Says that a frame of `element` is made of two fields, which were taken at different times.
    pub(super) fn check_fields(
        &self,
        element: &gst_base::BaseTransform,
        mode: Option<VideoInterlaceMode>,
        frame: &gst::BufferRef,
    ) {
        let is_combed = match mode {
            Some(VideoInterlaceMode::Interleaved) => true,
            Some(VideoInterlaceMode::Mixed) => frame
                .video_flags()
                .contains(gst_video::VideoBufferFlags::INTERLACED),
            _ => false,
        };
        if is_combed && !self.combed.swap(true, Ordering::Relaxed) {
            gst::element_warning!(
                element,
                gst::StreamError::Format,
                ("the video is interlaced: what moves is combed, and its depth is too. Put `deinterlace` before \
                     depthanything")
            );
        }
    }
}

/// Whether an element upstream of a sink pad turns what comes by: by the tag, or as it has been told to. The tag travels
/// on in both cases.
fn is_turned(sink: &gst::Pad) -> bool {
    let mut pad = sink.clone();
    for _ in 0..FARTHEST {
        let Some(source) = source_of(&pad) else {
            return false;
        };
        let Some(element) = source.parent_element() else {
            return false;
        };
        if turns(&element) {
            return true;
        }
        let mut sinks = element.sink_pads().into_iter();
        let (Some(sink), None) = (sinks.next(), sinks.next()) else {
            // a source, or a mixture of which nobody knows what is upright
            return false;
        };
        pad = sink;
    }
    false
}

/// The pad of an element, not of a bin, that a sink pad has its frames from.
fn source_of(sink: &gst::Pad) -> Option<gst::Pad> {
    let mut peer = sink.peer()?;
    for _ in 0..FARTHEST {
        peer = if let Some(ghost) = peer.downcast_ref::<gst::GhostPad>() {
            // into a bin
            ghost.target()?
        } else if let Some(inner) = peer.downcast_ref::<gst::ProxyPad>() {
            // out of a bin
            inner.internal()?.upcast::<gst::Pad>().peer()?
        } else {
            return Some(peer);
        };
    }
    None
}

/// Whether an element turns its frames: it has the property of `GstVideoDirection`, and that is not `identity`.
fn turns(element: &gst::Element) -> bool {
    if element.find_property("video-direction").is_none() {
        return false;
    }
    let value = element.property_value("video-direction");
    glib::EnumValue::from_value(&value).is_some_and(|(_, value)| value.nick() != "identity")
}
