//! When each frame of a film is shown, as its container says without a frame being decoded. It is what gives a frame the
//! same number whether the film is played from its begin or from a place near it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::decoding::Decoding;
use crate::failure::{Failure, Result};

/// Time stamps that differ by no more than this, in nanoseconds, are the same.
const SAME: u64 = 1_000;
/// A film whose container gives nothing new for so long is not read any further.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The frames of a film in the order they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Index {
    /// When each is shown, in the source's time, in nanoseconds.
    times: Vec<u64>,
    /// Places of those that can be decoded without others.
    keys: Vec<u32>,
    /// What has to be added for a place to seek to.
    seek_offset: u64,
}

impl Index {
    /// Reads the container, whose time stamps are taken as they are where `raw`. `None` if it does not say when each frame is shown.
    pub(crate) fn read(film: &Path, raw: bool) -> Result<Option<Self>> {
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("filesrc")
            .property("location", film)
            .build()?;
        let parser = gst::ElementFactory::make("parsebin").build()?;
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()?;
        pipeline.add_many([&source, &parser, &sink])?;
        source.link(&parser)?;
        // MP4 and Matroska say of each packet what a parser would have to find out
        parser.connect("autoplug-continue", false, |values| {
            let demuxer = values
                .get(1)
                .and_then(|pad| pad.get::<gst::Pad>().ok())
                .and_then(|pad| pad.parent_element()?.factory())
                .map(|factory| factory.name());
            let says_all = demuxer.is_some_and(|name| name == "qtdemux" || name == "matroskademux");
            Some((!says_all).to_value())
        });
        let found = Arc::new(Mutex::new(Found::default()));
        let target = sink.static_pad("sink").ok_or("no sink pad")?;
        let notes = found.clone();
        target.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                let mut found = notes.lock().unwrap_or_else(PoisonError::into_inner);
                found.note(pad, buffer, raw);
            }
            drop(info.take_buffer());
            gst::PadProbeReturn::Handled
        });
        parser.connect_pad_added(move |_, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let video = caps.structure(0).is_some_and(|shape| {
                shape.name().starts_with("video/") || shape.name().starts_with("image/")
            });
            if video && !target.is_linked() {
                // without it nothing is found
                let _ = pad.link(&target);
            }
        });
        let result = play(&pipeline, &found, Decoding::of(film));
        let _ = pipeline.set_state(gst::State::Null);
        result?;
        let found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(found.index())
    }

    pub(crate) fn len(&self) -> u64 {
        self.times.len() as u64
    }

    /// Place of the frame that is shown at `time`.
    pub(crate) fn place(&self, time: gst::ClockTime) -> Option<u64> {
        let time = time.nseconds();
        let place = self.times.partition_point(|&other| other + SAME < time);
        let found = *self.times.get(place)?;
        (found.abs_diff(time) <= SAME).then_some(place as u64)
    }

    /// When the frame at a place is shown.
    pub(crate) fn time(&self, place: u64) -> Option<gst::ClockTime> {
        let time = self.times.get(usize::try_from(place).ok()?)?;
        Some(gst::ClockTime::from_nseconds(*time))
    }

    /// Where to seek to, so that the frame at `place` comes right: `None` for the begin. One key frame more than needed
    /// is taken, for streams whose frames refer to what is before their key frame.
    pub(crate) fn seek_to(&self, place: u64) -> Option<gst::ClockTime> {
        let before = self.keys.partition_point(|&key| u64::from(key) <= place);
        let key = *self.keys[..before.checked_sub(1)?]
            .last()
            .filter(|key| **key > 0)?;
        let time = self.time(key.into())?.nseconds();
        Some(gst::ClockTime::from_nseconds(
            time.checked_sub(self.seek_offset)?,
        ))
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    /// Time and whether it is a key frame.
    frames: Vec<(u64, bool)>,
    offset: u64,
    /// Some frame has no time.
    timeless: bool,
}

impl Found {
    fn note(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef, raw: bool) {
        if buffer.flags().contains(gst::BufferFlags::DECODE_ONLY) {
            return;
        }
        let segment = segment(pad);
        let (Some(segment), Some(time)) = (segment, buffer.pts()) else {
            self.timeless = true;
            return;
        };
        // what lies before the segment is decoded and not shown; a frame that reaches into it is shown from there
        let start = segment.start().unwrap_or(gst::ClockTime::ZERO);
        let end = time + buffer.duration().unwrap_or(gst::ClockTime::ZERO);
        if time < start && end <= start {
            return;
        }
        match source_time(&segment, time.max(start), raw) {
            Some(shown) => {
                if raw {
                    self.offset = segment.start().map_or(0, gst::ClockTime::nseconds);
                }
                let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                self.frames.push((shown.nseconds(), key));
            }
            None => self.timeless |= segment.stop().is_none_or(|stop| time < stop),
        }
    }

    fn index(mut self) -> Option<Index> {
        self.frames.sort_unstable();
        let twice = self
            .frames
            .windows(2)
            .any(|two| two[1].0 - two[0].0 <= SAME);
        if self.timeless || twice || self.frames.is_empty() {
            return None;
        }
        let keys = self.frames.iter().enumerate().filter(|(_, (_, key))| *key);
        Some(Index {
            keys: keys
                .filter_map(|(place, _)| u32::try_from(place).ok())
                .collect(),
            times: self.frames.iter().map(|(time, _)| *time).collect(),
            seek_offset: self.offset,
        })
    }
}

fn play(pipeline: &gst::Pipeline, found: &Mutex<Found>, mut decoding: Decoding) -> Result<()> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    // the message on the bus says more
    let _ = pipeline.set_state(gst::State::Playing);
    let (mut last, mut seen) = (Instant::now(), 0);
    loop {
        let message = bus.timed_pop(gst::ClockTime::from_mseconds(200));
        let words = message.as_ref().and_then(|message| decoding.hear(message));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => {
                let failure = Failure::of_pipeline(&error.error());
                return Err(match words {
                    Some(words) => failure.in_other(words),
                    None => failure,
                });
            }
            Some(gst::MessageView::Eos(_)) => return Ok(()),
            _ => {}
        }
        if crate::stop::asked().is_some() {
            return Ok(());
        }
        let now = found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .frames
            .len();
        if now != seen {
            (last, seen) = (Instant::now(), now);
        } else if last.elapsed() > TIMEOUT {
            return Err(Failure::again(
                "the film's container could not be read to its end",
            ));
        }
    }
}

/// The segment that a pad is in.
pub(crate) fn segment(pad: &gst::Pad) -> Option<gst::FormattedSegment<gst::ClockTime>> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<gst::ClockTime>().cloned()
}

/// When a frame is shown, in the source's time: stream time, or the time stamp itself (`raw`, see
/// [`crate::container::tells_raw_time`]).
pub(crate) fn source_time(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    time: gst::ClockTime,
    raw: bool,
) -> Option<gst::ClockTime> {
    if raw {
        let start = segment.start().unwrap_or(gst::ClockTime::ZERO);
        let inside = time >= start && segment.stop().is_none_or(|stop| time <= stop);
        return inside.then_some(time);
    }
    segment.to_stream_time(time)
}
