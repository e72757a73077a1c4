//! What the element tells an application: errors, warnings, element messages, and the property `stats`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInterlaceMode;
use gst_video::prelude::*;

use crate::depth_meta::DepthMeta;
use crate::error::{Error, Setting};
use crate::geometry::Size;
use crate::inference::backend::Connection;
use crate::inference::shared::StreamCount;
use crate::inference::sizes::{Notice, Reason};
use crate::timing::{Age, Durations, Rate};

/// Where ONNX Runtime has more to say than its error.
const MORE: &str = "GST_DEBUG=depthanything:5,onnxruntime:4 tells more";

/// What GStreamer is told of an error.
pub(super) trait ToMessage {
    /// As an error message for `post_error_message` or a failed `start`.
    fn to_message(&self) -> gst::ErrorMessage;
}

impl ToMessage for Error {
    fn to_message(&self) -> gst::ErrorMessage {
        match self {
            Self::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{self}")),
            Self::ModelFile { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{self}")),
            Self::ModelInvalid { .. } => gst::error_msg!(gst::StreamError::Format, ("{self}")),
            Self::ModelUnsupported { .. } => {
                gst::error_msg!(gst::StreamError::WrongType, ("{self}"))
            }
            Self::Provider { .. } => {
                gst::error_msg!(gst::LibraryError::Init, ("{self}"), ["{MORE}"])
            }
            Self::Setting { setting, reason } => {
                let name = property(*setting);
                gst::error_msg!(gst::LibraryError::Settings, ("property {name}: {reason}"))
            }
            Self::Frame { .. } => gst::error_msg!(gst::StreamError::Format, ("{self}")),
            Self::Inference { .. } => {
                gst::error_msg!(gst::StreamError::Failed, ("{self}"), ["{MORE}"])
            }
            Self::OutOfMemory { .. } => {
                gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{self}"))
            }
            Self::Server { .. } | Self::ServersAway { .. } => {
                gst::error_msg!(gst::ResourceError::OpenRead, ("{self}"))
            }
            Self::Cancelled => gst::error_msg!(gst::ResourceError::Busy, ("{self}")),
        }
    }
}

/// The element's property that a setting is.
fn property(setting: Setting) -> &'static str {
    match setting {
        Setting::Device => "device",
        Setting::Precision => "precision",
        Setting::InputNormalization => "input-normalization",
        Setting::Output => "output",
        Setting::Range => "range",
        Setting::InFlight => "in-flight",
        Setting::MemoryLimit => "memory-limit",
        Setting::MinResolution => "min-resolution",
        Setting::Server => "server",
        Setting::ServerModel => "server-model",
        Setting::ServerTlsCa => "server-tls-ca",
        Setting::ServerToken => "server-token-file",
    }
}

/// What went wrong without ending the stream.
#[derive(Debug)]
pub(super) enum Warning {
    /// Depth is farther than a sample can say.
    Saturation(Saturation),
    /// Of the size that the network sees.
    Size(Notice),
}

impl Warning {
    /// Posts it.
    pub(super) fn post(&self, element: &super::DepthAnything) {
        match self {
            Self::Size(Notice::Memory(error)) => gst::element_warning!(
                element,
                gst::ResourceError::NoSpaceLeft,
                ("{error}. The stream goes on at a lower resolution")
            ),
            Self::Saturation(saturation) => gst::element_warning!(
                element,
                gst::LibraryError::Settings,
                (
                    "the model gives {:.1} m, and samples of depth-unit={} end at {:.1} m: what is farther is 65535. A \
                     larger depth-unit reaches farther; it is set before the element starts",
                    saturation.farthest,
                    saturation.unit,
                    saturation.unit * 65535.0
                )
            ),
            Self::Size(Notice::Floor(asked)) => gst::element_warning!(
                element,
                gst::LibraryError::Settings,
                (
                    "min-resolution={} is above resolution={}, which stays as it is",
                    asked.min_resolution,
                    asked.resolution
                )
            ),
            Self::Size(Notice::Refused { error, .. }) => gst::element_warning!(
                element,
                gst::LibraryError::Settings,
                ("{error}. The resolution stays what it was")
            ),
            Self::Size(Notice::NoDetail { detail, reason }) => gst::element_warning!(
                element,
                gst::LibraryError::Settings,
                ("detail-resolution={detail} is off: {reason}")
            ),
            Self::Size(Notice::DetailMemory(error)) => gst::element_warning!(
                element,
                gst::ResourceError::NoSpaceLeft,
                ("{error}. The stream goes on without the runs at detail-resolution; a lower one may fit")
            ),
        }
    }
}

/// Depth in metres that is farther than a sample can say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Saturation {
    /// The farthest of a frame, in metres.
    pub(super) farthest: f64,
    /// Metres per step of a sample.
    pub(super) unit: f64,
}

/// What messages call the reason of a size.
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Start => "start",
        Reason::Property => "property",
        Reason::Caps => "caps",
        Reason::Load => "load",
        Reason::Memory => "memory",
    }
}

/// What became of a frame.
#[derive(Debug)]
pub(super) struct Report {
    /// To be attached to the depth frame.
    pub(super) meta: DepthMeta,
    /// Time in the network; `None`: the depth is repeated.
    pub(super) inference: Option<Duration>,
    /// Time around it.
    pub(super) convert: Duration,
    /// All of it, with the waits for other streams of the network and for frames in flight before it.
    pub(super) total: Duration,
    /// Values of the depth map that are NaN or infinite.
    pub(super) invalid: u64,
    /// What the network sees from here on, and why, each time that it changed.
    pub(super) steps: Vec<(Size, Reason)>,
    /// The picture of the runs for detail from here on, of no pixels where there are none, and why, if that has changed.
    pub(super) detail_step: Option<(Size, Reason)>,
    /// What went wrong without ending the stream.
    pub(super) warning: Option<Warning>,
    /// The frame's running time in nanoseconds, where it is known.
    pub(super) time: Option<i64>,
}

/// What happens to the engine.
#[derive(Debug, Clone, Default)]
pub(super) struct EngineNews {
    /// `loading`, `compiling`, `ready`, `fallback` or `reconnecting`.
    pub(super) stage: &'static str,
    /// The execution provider concerned; empty while none is chosen.
    pub(super) provider: String,
    /// Its arithmetic, once known.
    pub(super) precision: String,
    /// Time since loading, or the compilation of a size, began.
    pub(super) elapsed: Duration,
    /// Why it fell back, the size that is compiled, or the server concerned.
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

/// Posts `depthanything-resolution`: what the network sees, and the picture of the runs for detail.
pub(super) fn post_resolution(element: &gst::Element, network: Size, detail: Size, reason: Reason) {
    let structure = gst::Structure::builder("depthanything-resolution")
        .field("width", network.width)
        .field("height", network.height)
        .field("detail-width", detail.width)
        .field("detail-height", detail.height)
        .field("reason", name(reason))
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

/// Counts since the element started.
#[derive(Default, Clone)]
pub(super) struct Stats {
    /// Depth frames pushed.
    pub(super) frames: u64,
    /// Runs of the network on a frame.
    pub(super) inferences: u64,
    /// Frames that repeat an earlier depth.
    pub(super) repeated: u64,
    /// Frames dropped for being late.
    pub(super) dropped: u64,
    /// Frames that never came to the element, as far as their neighbours tell.
    pub(super) missing: u64,
    /// When depth frames were pushed.
    pub(super) rate: Rate,
    /// How old the last of them was.
    pub(super) age: Age,
    /// Values of depth maps that were NaN or infinite.
    pub(super) invalid_values: u64,
    /// Who runs the network, as ONNX Runtime names it.
    pub(super) provider: String,
    /// Its arithmetic.
    pub(super) precision: String,
    /// What the network sees.
    pub(super) network: Size,
    /// The picture of the runs for detail; no pixels: there are none.
    pub(super) detail: Size,
    /// Of the network alone.
    pub(super) inference_time: Durations,
    /// Of all the rest: frame to tensor and depth map to frame.
    pub(super) convert_time: Durations,
    /// Who shares the network.
    pub(super) stream_count: StreamCount,
    /// The servers that run it.
    pub(super) connection: Option<Arc<dyn Connection>>,
}

impl Stats {
    /// A frame has been worked on, which is so old when its depth leaves the element.
    pub(super) fn count(&mut self, report: &Report, age: Age) {
        self.frames += 1;
        self.age = age;
        self.rate.push(Instant::now());
        self.invalid_values += report.invalid;
        self.convert_time.push(report.convert);
        match report.inference {
            Some(time) => {
                self.inferences += 1;
                self.inference_time.push(time);
            }
            None => self.repeated += 1,
        }
        if let Some(&(network, _)) = report.steps.last() {
            self.inference_time.clear();
            self.network = network;
        }
        if let Some((detail, _)) = report.detail_step {
            self.inference_time.clear();
            self.detail = detail;
        }
    }

    /// As the property gives it.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let length = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let nanoseconds = |durations: &Durations, percent| length(durations.percentile(percent));
        let servers = self.connection.as_ref().map(|it| it.statistics());
        let servers = servers.unwrap_or_default();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        gst::Structure::builder("depthanything-stats")
            .field("frames", self.frames)
            .field("inferences", self.inferences)
            .field("repeated", self.repeated)
            .field("dropped", self.dropped)
            .field("missing", self.missing)
            .field("fps", self.rate.per_second(Instant::now()))
            .field("age", length(self.age.age))
            .field("late", length(self.age.late))
            .field("invalid-values", self.invalid_values)
            .field("provider", &self.provider)
            .field("precision", &self.precision)
            .field("network-width", self.network.width)
            .field("network-height", self.network.height)
            .field("detail-width", self.detail.width)
            .field("detail-height", self.detail.height)
            .field("inference-time-p50", nanoseconds(&self.inference_time, 50))
            .field("inference-time-p99", nanoseconds(&self.inference_time, 99))
            .field("convert-time-p50", nanoseconds(&self.convert_time, 50))
            .field("convert-time-p99", nanoseconds(&self.convert_time, 99))
            .field("shared-by", count(self.stream_count.get()))
            .field("server-inflight", count(servers.in_flight))
            .field("server-retries", servers.retries)
            .field("server-round-trip-p50", length(servers.round_trip_p50))
            .field("server-round-trip-p99", length(servers.round_trip_p99))
            .build()
    }
}

#[cfg(test)]
mod tests;
