//! A camera that comes and goes: a pipeline of its own, made anew whenever it is lost.
//!
//! What happens to one camera is nothing to the others: they share the network and nothing else. Each has a thread, since
//! to open or to shut down a source may take its time.

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdepthanything::depth_meta::{DepthMeta, Unit};

use crate::properties;
use crate::recorder::{self, Recorder};
use crate::source::Source;

/// What all cameras have in common.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Properties of depthanything, as `NAME=VALUE`.
    pub(crate) properties: Vec<String>,
    /// Of the depth frames, in pixels.
    pub(crate) size: (u32, u32),
    /// A camera without a frame for so long is lost.
    pub(crate) timeout: Duration,
    /// Between two attempts to connect: first, and at most.
    pub(crate) retry: (Duration, Duration),
    /// Files begin again at their end.
    pub(crate) repeat: bool,
    /// Recordings, if any.
    pub(crate) recording: Option<recorder::Settings>,
}

/// How a camera is doing.
#[derive(Debug, Clone)]
pub(crate) enum Condition {
    /// Its first frame is waited for.
    Connecting,
    /// Frames come.
    Playing,
    /// It was lost, why, and when it is tried again.
    Lost { reason: String, again: Instant },
    /// A file that is at its end.
    Ended,
    /// Not to be had with these options, whatever the camera does.
    Failed(String),
}

/// Where depth goes in colours.
pub(crate) type Tile = Box<dyn Fn(&gst::Sample) + Send + Sync>;

pub(crate) struct Camera {
    pub(crate) source: Source,
    options: Options,
    tile: Option<Tile>,
    condition: Mutex<Condition>,
    /// Of the pipeline that there is now.
    depth: Mutex<Option<glib::WeakRef<gst::Element>>>,
    /// Frames that the camera has given, depth frames that came of them, connections, and times that it was lost.
    pub(crate) frames: AtomicU64,
    pub(crate) depths: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) losses: AtomicU64,
    /// When its last frame came, in milliseconds since `begun`.
    last: AtomicU64,
    begun: Instant,
    /// Notices and warnings that have been told, so that each is told once.
    told: Mutex<Vec<String>>,
}

/// How a connection ended.
enum End {
    Stopped,
    Ended,
    Lost(String),
    Failed(String),
}

impl Camera {
    pub(crate) fn new(source: Source, options: Options, tile: Option<Tile>) -> Self {
        Self {
            source,
            options,
            tile,
            condition: Mutex::new(Condition::Connecting),
            depth: Mutex::default(),
            frames: AtomicU64::new(0),
            depths: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            losses: AtomicU64::new(0),
            last: AtomicU64::new(0),
            begun: Instant::now(),
            told: Mutex::default(),
        }
    }

    pub(crate) fn condition(&self) -> Condition {
        lock(&self.condition).clone()
    }

    /// The statistics of its depthanything, while it is connected.
    pub(crate) fn stats(&self) -> Option<gst::Structure> {
        let depth = lock(&self.depth).as_ref()?.upgrade()?;
        Some(depth.property("stats"))
    }

    /// Time since its last frame.
    pub(crate) fn age(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }

    /// Connects, and connects again, until `stop`.
    pub(crate) fn run(self: &Arc<Self>, stop: &AtomicBool) {
        let (first, most) = self.options.retry;
        let mut wait = first;
        while !stop.load(Relaxed) {
            self.set(Condition::Connecting);
            let before = self.frames.load(Relaxed);
            let begun = Instant::now();
            let end = self.connect(stop).unwrap_or_else(|error| {
                // the pipeline can't be made, whatever the camera does
                End::Failed(error.to_string())
            });
            let came = self.frames.load(Relaxed) > before;
            let reason = match end {
                End::Stopped => break,
                End::Failed(reason) => {
                    self.say(&format!("can't be used: {reason}"));
                    return self.set(Condition::Failed(reason));
                }
                End::Ended if !self.options.repeat => {
                    self.say("at its end");
                    return self.set(Condition::Ended);
                }
                End::Ended if came => continue,
                End::Ended => "the file has no frame".to_owned(),
                End::Lost(reason) => reason,
            };
            self.losses.fetch_add(1, Relaxed);
            if came && begun.elapsed() >= most {
                wait = first;
            }
            self.say(&format!(
                "lost: {reason}; again in {:.1} s",
                wait.as_secs_f32()
            ));
            let again = Instant::now() + wait;
            self.set(Condition::Lost { reason, again });
            while Instant::now() < again && !stop.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(50).min(wait));
            }
            wait = (2 * wait).min(most);
        }
    }

    /// One connection, from its beginning to its end.
    fn connect(self: &Arc<Self>, stop: &AtomicBool) -> Result<End, Box<dyn Error>> {
        let pipeline = self.pipeline()?;
        let recorder = match &self.options.recording {
            Some(settings) => Some(Recorder::new(&pipeline, settings, &self.source.name)?),
            None => None,
        };
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        // a failure to start comes as a message too, and that says why
        let _ = pipeline.set_state(gst::State::Playing);
        let end = self.watch(&pipeline, &bus, recorder.as_ref(), stop);
        if let Some(recorder) = recorder {
            recorder.finish(&bus);
        }
        *lock(&self.depth) = None;
        let _ = pipeline.set_state(gst::State::Null);
        Ok(end)
    }

    fn watch(
        &self,
        pipeline: &gst::Pipeline,
        bus: &gst::Bus,
        recorder: Option<&Recorder>,
        stop: &AtomicBool,
    ) -> End {
        let before = self.frames.load(Relaxed);
        let begun = Instant::now();
        loop {
            if stop.load(Relaxed) {
                return End::Stopped;
            }
            if let Some(trouble) = recorder.and_then(Recorder::trouble) {
                self.say(&trouble);
            }
            let came = self.frames.load(Relaxed) > before;
            if came && !matches!(self.condition(), Condition::Playing) {
                self.connections.fetch_add(1, Relaxed);
                self.set(Condition::Playing);
                self.say("connected");
            }
            let silence = match came {
                true => self.age(),
                false => begun.elapsed(),
            };
            if silence >= self.options.timeout {
                return End::Lost(format!("no frame for {:.1} s", silence.as_secs_f32()));
            }
            let message = bus.timed_pop(gst::ClockTime::from_mseconds(50));
            if let (Some(recorder), Some(message)) = (recorder, &message) {
                recorder.hear(message);
            }
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Eos(_)) if self.source.file().is_some() => {
                    return End::Ended;
                }
                Some(gst::MessageView::Eos(_)) => return End::Lost("its stream ended".into()),
                Some(gst::MessageView::Error(error)) => {
                    let reason = self.reason(&error.error(), error.debug().as_deref());
                    // A network that can't be loaded is no fault of the camera. Once it has run it can be had.
                    let ours = error.src().is_some_and(|src| {
                        src.downcast_ref::<gst::Element>()
                            .and_then(|element| element.factory())
                            .is_some_and(|factory| factory.name() == "depthanything")
                    });
                    return match ours && self.depths.load(Relaxed) == 0 {
                        true => End::Failed(error.error().message().to_owned()),
                        false => End::Lost(reason),
                    };
                }
                Some(gst::MessageView::Warning(warning)) => {
                    self.tell(&self.reason(&warning.error(), warning.debug().as_deref()));
                }
                Some(gst::MessageView::Info(info)) => self.tell(info.error().message()),
                Some(gst::MessageView::Latency(_)) => {
                    // it fails while the pipeline goes down, which is told by itself
                    let _ = pipeline.recalculate_latency();
                }
                _ => {}
            }
        }
    }

    /// The camera's pipeline, with nothing in it that is older than itself.
    fn pipeline(self: &Arc<Self>) -> Result<gst::Pipeline, Box<dyn Error>> {
        let source = &self.source;
        let (width, height) = self.options.size;
        // what comes by itself is kept at the present; a file waits
        let queue = match source.is_live() {
            true => "max-size-buffers=1 leaky=downstream",
            false => "max-size-buffers=2",
        };
        let recording = match self.options.recording {
            Some(_) => recorder::DESCRIPTION,
            None => "",
        };
        let shown = match self.tile {
            Some(_) => {
                "depthcolorize name=colors ! video/x-raw,format=RGBx ! appsink name=tile max-buffers=1 drop=true"
            }
            None => "fakesink",
        };
        let pipeline = gst::parse::launch(&format!(
            "{} queue name=input {queue} max-size-bytes=0 max-size-time=0 ! depthanything name=depth \
             ! video/x-raw,width={width},height={height} ! tee name=maps \
             maps. ! queue max-size-buffers=1 leaky=downstream max-size-bytes=0 max-size-time=0 ! {shown} \
             async=false sync={} {recording}",
            source.description(),
            !source.is_live(),
        ))?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        source.prepare(&pipeline)?;
        let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        let depth = element("depth")?;
        for property in &self.options.properties {
            properties::set(&depth, property)?;
        }
        *lock(&self.depth) = Some(depth.downgrade());

        let camera = Arc::downgrade(self);
        let pad = element("input")?.static_pad("sink").ok_or("no pad")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            if let Some(camera) = camera.upgrade() {
                let now = camera.begun.elapsed().as_millis();
                camera.last.store(u64::try_from(now).unwrap_or(0), Relaxed);
                camera.frames.fetch_add(1, Relaxed);
            }
            gst::PadProbeReturn::Ok
        });
        let camera = Arc::downgrade(self);
        let colors = pipeline.by_name("colors").map(|it| it.downgrade());
        let pad = element("maps")?.static_pad("sink").ok_or("no pad")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let (Some(camera), Some(buffer)) = (camera.upgrade(), info.buffer()) else {
                return gst::PadProbeReturn::Ok;
            };
            camera.depths.fetch_add(1, Relaxed);
            // near is red with a metric model too
            if let Some(colors) = colors.as_ref().and_then(glib::WeakRef::upgrade)
                && let Some(meta) = DepthMeta::read(buffer)
            {
                colors.set_property("reverse", meta.unit == Unit::Metre);
            }
            gst::PadProbeReturn::Ok
        });
        if self.tile.is_some() {
            let camera = Arc::downgrade(self);
            let sink = element("tile")?
                .downcast::<gst_app::AppSink>()
                .map_err(|_| "no appsink")?;
            let callbacks = gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(tile) = camera.upgrade().as_ref().and_then(|it| it.tile.as_ref()) {
                        tile(&sample);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build();
            sink.set_callbacks(callbacks);
        }
        Ok(pipeline)
    }

    /// What an error means, with what its source adds: the message alone is often `Internal data stream error.`
    fn reason(&self, error: &glib::Error, debug: Option<&str>) -> String {
        // file, line and element come first
        let more = debug.and_then(|debug| debug.split_once('\n'));
        let more = more.map(|(_, more)| more.replace('\n', " "));
        let text = match more.as_deref().map(str::trim) {
            Some(more) if !more.is_empty() => format!("{} ({more})", error.message()),
            _ => error.message().to_owned(),
        };
        self.source.redact(&text)
    }

    /// Says something once, however often the camera comes and goes.
    fn tell(&self, text: &str) {
        const MOST: usize = 64;
        let mut told = lock(&self.told);
        if told.len() < MOST && !told.iter().any(|it| it == text) {
            told.push(text.to_owned());
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        eprintln!("{}: {text}", self.source.name);
    }

    fn set(&self, condition: Condition) {
        *lock(&self.condition) = condition;
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
