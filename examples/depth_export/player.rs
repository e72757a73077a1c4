//! A source on its way through the decoder and the network: depth frames come out, each with its number.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdepthanything::geometry::Size;

use crate::decoding::Decoding;
use crate::failure::{Failure, Result};
use crate::index::{Index, segment, source_time};
use crate::selection::Selection;
use crate::source::{self, Sequence, Source};
use crate::{settings, stop};

/// What is played, and how.
pub(crate) struct Setup<'a> {
    pub(crate) source: &'a Source,
    /// Number of the source's first frame.
    pub(crate) first: u64,
    /// When its frames are shown, where that is known.
    pub(crate) index: Option<&'a Arc<Index>>,
    /// See [`crate::container::tells_raw_time`].
    pub(crate) raw_time: bool,
    /// The element's properties.
    pub(crate) settings: &'a [(String, String)],
    /// All frames get the size of the first, or this one.
    pub(crate) one_size: Option<Option<Size>>,
}

/// What is done before the network sees a frame.
pub(crate) type OnFrame = Arc<dyn Fn(u64, &gst::Element) + Send + Sync>;

/// A frame that was played.
pub(crate) struct Shown {
    pub(crate) number: u64,
    pub(crate) time: Option<gst::ClockTime>,
    pub(crate) sample: gst::Sample,
}

/// What comes next.
pub(crate) enum Next {
    Frame(Shown),
    End,
    Stopped(stop::Signal),
}

/// A pipeline that plays; it is shut down when this goes out of scope.
pub(crate) struct Player {
    pipeline: gst::Pipeline,
    sink: gst_app::AppSink,
    messages: Messages,
    gate: Arc<Mutex<Gate>>,
    feeder: Option<JoinHandle<()>>,
}

impl Player {
    /// Plays the frames of `wanted`; `on_frame` is called with each before the network sees it.
    pub(crate) fn start(setup: &Setup, wanted: &Selection, on_frame: OnFrame) -> Result<Self> {
        let first = wanted.ends().map_or(setup.first, |ends| ends[0]);
        let place = setup
            .index
            .filter(|_| matches!(setup.source, Source::Film(_)))
            .and_then(|index| index.seek_to(first.checked_sub(setup.first)?));
        if let Some(place) = place
            && let Some(player) = Self::begin(setup, wanted, on_frame.clone(), Some(place))?
        {
            return Ok(player);
        }
        // from the begin it is longer, and always right
        Self::begin(setup, wanted, on_frame, None)?
            .ok_or_else(|| Failure::never("the film could not be played from its begin"))
    }

    /// `None` if playing from `place` does not lead to the first frame.
    fn begin(
        setup: &Setup,
        wanted: &Selection,
        on_frame: OnFrame,
        place: Option<gst::ClockTime>,
    ) -> Result<Option<Self>> {
        let pipeline = pipeline(setup)?;
        let sink = pipeline
            .by_name("frames")
            .and_downcast::<gst_app::AppSink>()
            .ok_or("no appsink")?;
        let numbering = match setup.source {
            Source::Sequence(sequence) => Numbering::Sequence(sequence.clone()),
            Source::Film(_) => match setup.index {
                Some(index) => Numbering::Index(index.clone()),
                None => Numbering::Count,
            },
        };
        let gate = Arc::new(Mutex::new(Gate {
            wanted: wanted.clone(),
            first: setup.first,
            raw_time: setup.raw_time,
            numbering,
            state: if place.is_some() {
                State::Seeking
            } else {
                State::Playing
            },
            seen: 0,
            passed: VecDeque::new(),
            fault: None,
            strict: place.is_some(),
        }));
        let messages = Messages::new(&pipeline)?.of(setup.source);
        let mut player = Self {
            pipeline,
            sink,
            messages,
            gate,
            feeder: None,
        };
        player.watch(on_frame)?;
        let started = player.pipeline.set_state(gst::State::Playing);
        if let Err(error) = started {
            // the message on the bus says more
            player.messages.hear()?;
            return Err(error.to_string().into());
        }
        if let Source::Sequence(sequence) = setup.source {
            player.feed(sequence.clone(), wanted.clone())?;
        }
        match place {
            Some(place) if !player.seek(place)? => Ok(None),
            _ => Ok(Some(player)),
        }
    }

    /// Lets pass what is wanted.
    fn watch(&self, on_frame: OnFrame) -> Result<()> {
        let depth = self.pipeline.by_name("depth").ok_or("no element depth")?;
        let pad = depth.static_pad("sink").ok_or("no sink pad")?;
        let gate = self.gate.clone();
        pad.add_probe(gst::PadProbeType::EVENT_FLUSH, move |_, info| {
            let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            let flushed = info
                .event()
                .is_some_and(|event| event.type_() == gst::EventType::FlushStop);
            if flushed && gate.state == State::Waiting {
                gate.state = State::Playing;
            }
            gst::PadProbeReturn::Ok
        });
        let gate = self.gate.clone();
        let target = depth.downgrade();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(buffer) = info.buffer() else {
                return gst::PadProbeReturn::Ok;
            };
            let judged = {
                let mut gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
                gate.judge(pad, buffer)
            };
            match judged {
                Judged::Wanted(number) => {
                    // the element reads its properties with each frame, in this thread
                    if let Some(depth) = target.upgrade() {
                        on_frame(number, &depth);
                    }
                    gst::PadProbeReturn::Ok
                }
                Judged::Unwanted => {
                    // Drop would do, but GStreamer up to 1.22 complains when Rust has let the buffer go already
                    drop(info.take_buffer());
                    gst::PadProbeReturn::Handled
                }
                Judged::Last => {
                    drop(info.take_buffer());
                    pad.send_event(gst::event::Eos::new());
                    info.flow_res = Err(gst::FlowError::Eos);
                    gst::PadProbeReturn::Handled
                }
            }
        });
        Ok(())
    }

    fn feed(&mut self, sequence: Sequence, wanted: Selection) -> Result<()> {
        let target = self
            .pipeline
            .by_name("pictures")
            .and_downcast::<gst_app::AppSrc>()
            .ok_or("no appsrc")?;
        let feeder = std::thread::Builder::new().spawn(move || sequence.feed(&wanted, &target));
        self.feeder = Some(feeder.map_err(|error| Failure::again(format!("no thread: {error}")))?);
        Ok(())
    }

    /// Seeks once the first frame is there; whether the frames that then come are those.
    fn seek(&mut self, place: gst::ClockTime) -> Result<bool> {
        const TIMEOUT: Duration = Duration::from_secs(120);
        let begun = Instant::now();
        let state = |player: &Self| {
            let gate = player.gate.lock().unwrap_or_else(PoisonError::into_inner);
            (gate.state, gate.seen, gate.fault.is_some())
        };
        let mut sought = false;
        loop {
            self.messages.hear()?;
            let (now, seen, fault) = state(self);
            if fault || self.messages.ended || begun.elapsed() > TIMEOUT {
                return Ok(false);
            }
            if now == State::Playing && seen > 0 || stop::asked().is_some() {
                return Ok(true);
            }
            if now == State::Waiting && !sought {
                sought = true;
                let depth = self.pipeline.by_name("depth").ok_or("no element depth")?;
                let pad = depth.static_pad("sink").ok_or("no sink pad")?;
                let seek = gst::event::Seek::new(
                    1.0,
                    gst::SeekFlags::FLUSH | gst::SeekFlags::KEY_UNIT | gst::SeekFlags::SNAP_BEFORE,
                    gst::SeekType::Set,
                    place,
                    gst::SeekType::None,
                    gst::ClockTime::NONE,
                );
                if !pad.push_event(seek) {
                    return Ok(false);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Result<Next> {
        loop {
            if let Some(signal) = stop::asked() {
                return Ok(Next::Stopped(signal));
            }
            let sample = self
                .sink
                .try_pull_sample(gst::ClockTime::from_mseconds(100));
            let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sample) = sample {
                let (number, time) = gate
                    .passed
                    .pop_front()
                    .ok_or("more depth frames than frames")?;
                return Ok(Next::Frame(Shown {
                    number,
                    time,
                    sample,
                }));
            }
            if let Some(fault) = &gate.fault {
                return Err(fault.clone());
            }
            drop(gate);
            self.messages.hear()?;
            if self.messages.ended {
                return Ok(Next::End);
            }
        }
    }

    /// Frames that were decoded so far.
    pub(crate) fn decoded(&self) -> u64 {
        self.gate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .seen
    }

    /// How long the film is.
    pub(crate) fn duration(&self) -> Option<gst::ClockTime> {
        self.pipeline.query_duration::<gst::ClockTime>()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

fn pipeline(setup: &Setup) -> Result<gst::Pipeline> {
    const QUEUE: &str = "queue max-size-buffers=4 max-size-bytes=0 max-size-time=0";
    let pipeline = gst::parse::launch(&format!(
        "videoconvert name=video ! videoflip video-direction=auto ! {QUEUE} ! depthanything name=depth \
         ! capsfilter name=shape ! appsink name=frames sync=false async=false max-buffers=4"
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
    let depth = element("depth")?;
    for (name, value) in setup.settings {
        settings::apply(&depth, name, value)?;
    }
    if let Some(size) = setup.one_size {
        let shape = element("shape")?;
        match size {
            Some(size) => keep_size(&shape, size.width as i32, size.height as i32),
            // the first caps say it
            None => {
                let pad = depth.static_pad("src").ok_or("no source pad")?;
                let shape = shape.downgrade();
                pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                    let caps = info.event().and_then(|event| match event.view() {
                        gst::EventView::Caps(caps) => {
                            gst_video::VideoInfo::from_caps(caps.caps()).ok()
                        }
                        _ => None,
                    });
                    let (Some(info), Some(shape)) = (caps, shape.upgrade()) else {
                        return gst::PadProbeReturn::Ok;
                    };
                    keep_size(&shape, info.width() as i32, info.height() as i32);
                    gst::PadProbeReturn::Remove
                });
            }
        }
    }
    source::connect(setup.source, &pipeline, &element("video")?)?;
    Ok(pipeline)
}

fn keep_size(shape: &gst::Element, width: i32, height: i32) {
    let caps = gst::Caps::builder("video/x-raw")
        .field("width", width)
        .field("height", height)
        .build();
    shape.set_property("caps", caps);
}

/// What gives a frame its number.
enum Numbering {
    /// How many came before, from the film's begin on.
    Count,
    /// When it is shown.
    Index(Arc<Index>),
    Sequence(Sequence),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The first frame has not come.
    Seeking,
    /// It has, and what comes before the seek is of no use.
    Waiting,
    Playing,
}

/// Stands before the network.
struct Gate {
    wanted: Selection,
    first: u64,
    raw_time: bool,
    numbering: Numbering,
    state: State,
    seen: u64,
    /// Number and time of the frames that the network has and that did not come out of it yet.
    passed: VecDeque<(u64, Option<gst::ClockTime>)>,
    fault: Option<Failure>,
    /// The next frame is the first after a seek, and must not lie behind the first that is wanted.
    strict: bool,
}

enum Judged {
    Wanted(u64),
    Unwanted,
    /// Nothing behind it is wanted.
    Last,
}

impl Gate {
    fn judge(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Judged {
        match self.state {
            State::Seeking => self.state = State::Waiting,
            State::Waiting => {}
            State::Playing => return self.pass(pad, buffer),
        }
        Judged::Unwanted
    }

    fn pass(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Judged {
        if self.fault.is_some() {
            return Judged::Last;
        }
        let before = self.seen;
        self.seen += 1;
        let time = buffer
            .pts()
            .and_then(|time| source_time(&segment(pad)?, time, self.raw_time));
        let number = match &self.numbering {
            Numbering::Count => Some(self.first + before),
            Numbering::Index(index) => {
                let place = time.and_then(|time| index.place(time));
                place.map(|place| self.first + place)
            }
            Numbering::Sequence(sequence) => time.and_then(|time| sequence.number(time)),
        };
        if number.is_none() && before == 0 && !self.strict {
            // its container says other times than its decoder; from the begin they can be counted
            self.numbering = Numbering::Count;
            self.seen = 0;
            return self.pass(pad, buffer);
        }
        let Some(number) = number else {
            let time = time.map_or("no time stamp".to_owned(), |time| {
                format!("a frame at {time}")
            });
            self.fault = Some(Failure::never(format!(
                "the decoder gives {time}, which the film's container does not list: its frames can't be told apart \
                 without playing it from the begin; leave out --frames"
            )));
            return Judged::Last;
        };
        if self.strict && self.wanted.ends().is_some_and(|ends| number > ends[0]) {
            self.fault = Some(Failure::never("the seek came out behind the first frame"));
            return Judged::Last;
        }
        self.strict = false;
        if self.wanted.contains(number) {
            self.passed.push_back((number, time));
            return Judged::Wanted(number);
        }
        match self.wanted.ends() {
            Some([_, last]) if number < last => Judged::Unwanted,
            _ => Judged::Last,
        }
    }
}

/// What the pipeline has said so far.
pub(crate) struct Messages {
    bus: gst::Bus,
    /// Of a pipeline that decodes a file.
    decoding: Option<Decoding>,
    /// Every sink has had the end of the film.
    pub(crate) ended: bool,
    failure: Option<Failure>,
}

impl Messages {
    pub(crate) fn new(pipeline: &gst::Pipeline) -> Result<Self> {
        Ok(Self {
            bus: pipeline.bus().ok_or("a pipeline without a bus")?,
            decoding: None,
            ended: false,
            failure: None,
        })
    }

    /// Names the file that can't be decoded.
    fn of(self, source: &Source) -> Self {
        Self {
            decoding: Some(Decoding::of(source.path())),
            ..self
        }
    }

    /// Hears what is new; the first error ends it.
    pub(crate) fn hear(&mut self) -> Result<()> {
        while let Some(message) = self.bus.pop() {
            let words = self.decoding.as_mut().and_then(|it| it.hear(&message));
            match message.view() {
                gst::MessageView::Eos(_) => self.ended = true,
                gst::MessageView::Error(error) => {
                    let failure = Failure::of_pipeline(&error.error());
                    self.failure.get_or_insert(match words {
                        Some(words) => failure.in_other(words),
                        None => failure,
                    });
                }
                _ => {}
            }
        }
        self.failure.clone().map_or(Ok(()), Err)
    }
}
