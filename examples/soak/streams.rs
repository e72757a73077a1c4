//! The streams of the soak.

use std::collections::VecDeque;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Frames that are remembered between their arrival and their depth.
const REMEMBERED: usize = 64;

/// A pipeline that is shut down when it goes, with a count of the depth frames that have come out.
struct Pipeline {
    pipeline: gst::Pipeline,
    frames: Arc<AtomicU64>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Pipeline {
    /// `description` has a `depthanything` called `depth`.
    fn new(description: &str) -> Result<Self> {
        let pipeline = gst::parse::launch(description)?
            .downcast::<gst::Pipeline>()
            .map_err(|_| "not a pipeline")?;
        let frames = Arc::<AtomicU64>::default();
        let count = Arc::clone(&frames);
        pad(&pipeline, "depth", "src")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline, frames })
    }

    /// Milliseconds from a frame's arrival at the element `from` to its depth, of the slowest since this was last set to
    /// zero. By this machine's clock: the pipeline's own stops while it is paused.
    fn watch(&self, from: &str) -> Result<Arc<AtomicU64>> {
        let slowest = Arc::<AtomicU64>::default();
        let arrivals = Arc::<Mutex<VecDeque<(gst::ClockTime, Instant)>>>::default();
        let arrived = Arc::clone(&arrivals);
        pad(&self.pipeline, from, "sink")?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let (Some(pts), Ok(mut arrived)) = (pts(info), arrived.lock()) {
                arrived.truncate(REMEMBERED - 1);
                arrived.push_front((pts, Instant::now()));
            }
            gst::PadProbeReturn::Ok
        });
        let slow = Arc::clone(&slowest);
        pad(&self.pipeline, "depth", "src")?.add_probe(
            gst::PadProbeType::BUFFER,
            move |_, info| {
                if let (Some(pts), Ok(arrivals)) = (pts(info), arrivals.lock())
                    && let Some((_, arrived)) = arrivals.iter().find(|(other, _)| *other == pts)
                {
                    let age = u64::try_from(arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
                    slow.fetch_max(age, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            },
        );
        Ok(slowest)
    }

    fn element(&self, name: &str) -> Result<gst::Element> {
        self.pipeline
            .by_name(name)
            .ok_or_else(|| format!("no element {name}").into())
    }

    fn errors(&self) -> Vec<String> {
        let Some(bus) = self.pipeline.bus() else {
            return Vec::new();
        };
        let mut errors = Vec::new();
        while let Some(message) = bus.pop() {
            match message.view() {
                gst::MessageView::Error(error) => {
                    errors.push(format!("{} ({:?})", error.error(), error.debug()));
                }
                gst::MessageView::Latency(_) => drop(self.pipeline.recalculate_latency()),
                _ => {}
            }
        }
        errors
    }
}

fn pad(pipeline: &gst::Pipeline, element: &str, name: &str) -> Result<gst::Pad> {
    let element = pipeline.by_name(element).ok_or("no such element")?;
    Ok(element.static_pad(name).ok_or("no such pad")?)
}

fn pts(info: &gst::PadProbeInfo) -> Option<gst::ClockTime> {
    info.buffer()?.pts()
}

/// A camera over a bad network.
pub(crate) struct Camera {
    sender: gst::Pipeline,
    receiver: Pipeline,
    /// See [`Pipeline::watch`].
    slowest: Arc<AtomicU64>,
}

impl Camera {
    pub(crate) fn new() -> Result<Self> {
        // a port that is free now
        let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let receiver = Pipeline::new(&format!(
            "udpsrc address=127.0.0.1 port={port} \
             caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96 \
             ! rtpjitterbuffer latency=100 ! rtph264depay ! h264parse ! avdec_h264 \
             ! queue name=decoded max-size-buffers=1 leaky=downstream \
             ! depthanything name=depth resolution=252 min-resolution=70 in-flight=2 \
             ! depthcolorize ! videoconvert ! openh264enc ! fakesink sync=false async=false"
        ))?;
        let slowest = receiver.watch("decoded")?;
        let sender = gst::parse::launch(&format!(
            "videotestsrc is-live=true pattern=ball \
             ! capsfilter name=size caps=video/x-raw,format=I420,width=320,height=240,framerate=10/1 \
             ! openh264enc gop-size=10 ! rtph264pay config-interval=-1 \
             ! netsim drop-probability=0.01 delay-probability=0.05 min-delay=5 max-delay=40 allow-reordering=true \
             ! udpsink host=127.0.0.1 port={port} sync=false async=false"
        ))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        sender.set_state(gst::State::Playing)?;
        Ok(Self {
            sender,
            receiver,
            slowest,
        })
    }

    pub(crate) fn change_size(&mut self, choice: u64) -> Result<()> {
        let (width, height) = [(320, 240), (480, 270), (176, 144), (240, 320)][choice as usize % 4];
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(10, 1))
            .build();
        let filter = self.sender.by_name("size").ok_or("no capsfilter")?;
        filter.set_property("caps", caps);
        Ok(())
    }

    pub(crate) fn change_resolution(&mut self, choice: u64) {
        if let Ok(depth) = self.receiver.element("depth") {
            depth.set_property("resolution", 126 + 42 * choice as u32);
        }
    }

    pub(crate) fn pause_for(&mut self, time: Duration) -> Result<()> {
        self.receiver.pipeline.set_state(gst::State::Paused)?;
        std::thread::sleep(time);
        self.receiver.pipeline.set_state(gst::State::Playing)?;
        Ok(())
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.receiver.errors()
    }

    pub(crate) fn frames(&self) -> u64 {
        self.receiver.frames.load(Ordering::Relaxed)
    }

    /// Milliseconds from a decoded frame to its depth, of the slowest since the last question.
    pub(crate) fn latency(&self) -> u64 {
        self.slowest.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.sender.set_state(gst::State::Null);
    }
}

/// A stream that is sought in, and whose model changes.
pub(crate) struct Film(Pipeline);

impl Film {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Pipeline::new(
            "videotestsrc pattern=smpte ! video/x-raw,format=NV12,width=320,height=180,framerate=10/1 \
             ! depthanything name=depth resolution=126 in-flight=3 ! fakesink sync=true",
        )?))
    }

    pub(crate) fn seek(&mut self, seconds: u64) -> Result<()> {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        self.0
            .pipeline
            .seek_simple(flags, gst::ClockTime::from_seconds(10 * seconds))?;
        Ok(())
    }

    pub(crate) fn swap_model(&mut self, choice: u64) -> Result<()> {
        let models = [None, Some("image-depth.onnx"), Some("metric-indoor.onnx")];
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/models");
        let model = models[choice as usize % 3].map(|name| format!("{folder}/{name}"));
        self.0.pipeline.set_state(gst::State::Ready)?;
        self.0.element("depth")?.set_property("model-file", model);
        self.0.pipeline.set_state(gst::State::Playing)?;
        let (result, ..) = self.0.pipeline.state(gst::ClockTime::from_seconds(60));
        result?;
        Ok(())
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.0.errors()
    }

    pub(crate) fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }
}

/// A stream that comes and goes.
pub(crate) struct Guest(Pipeline);

impl Guest {
    pub(crate) fn new(choice: u64) -> Result<Self> {
        let properties = ["", "max-batch=4", "inference-interval=3"][choice as usize % 3];
        Ok(Self(Pipeline::new(&format!(
            "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=5/1 \
             ! depthanything name=depth resolution=126 {properties} ! fakesink sync=false"
        ))?))
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.0.errors()
    }

    pub(crate) fn frames(&self) -> u64 {
        self.0.frames.load(Ordering::Relaxed)
    }
}
