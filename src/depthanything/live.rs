//! The element and the pipeline's clock: which frames are late, what is told of latency.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_base::prelude::*;

use super::CAT;
use super::job::Moment;
use super::latency::Latency;
use super::pacing::{Hurry, Pacer, Verdict, Waiting};
use super::worker::{Arrival, Judgement, Room};
use crate::sync::lock;

/// Longer latencies are none that a pipeline could be set to.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of the clock.
#[derive(Default)]
pub(super) struct Live(Mutex<State>);

struct State {
    pacer: Pacer,
    latency: Latency,
    /// Frames that were, and were not, worked on.
    counts: (u64, u64),
    started: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pacer: Pacer::default(),
            latency: Latency::default(),
            counts: (0, 0),
            started: Instant::now(),
        }
    }
}

/// How old a frame was when its depth left the element.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Age {
    /// By the pipeline's clock.
    pub(super) age: Duration,
    /// More than the latency that the pipeline is set to.
    pub(super) late: Duration,
}

type Element = super::DepthAnything;

impl Live {
    /// The element starts.
    pub(super) fn start(&self) {
        *lock(&self.0) = State::default();
    }

    /// After a flush or at a new segment.
    pub(super) fn restart(&self) {
        lock(&self.0).pacer.restart();
    }

    /// Frames come at this rate, from a source that is live or not.
    pub(super) fn set_rate(&self, element: &Element, rate: gst::Fraction) -> Option<Duration> {
        let mut query = gst::query::Latency::new();
        let answered = element.sink_pad().peer_query(&mut query);
        let (live, latency, _) = query.result();
        let upstream = (answered && live).then(|| latency.into());
        let pacer = &mut lock(&self.0).pacer;
        pacer.set_upstream(upstream);
        pacer.set_rate(rate.numer(), rate.denom());
        pacer.pace()
    }

    /// A sink has found frames to be late or early.
    pub(super) fn hear_qos(&self, event: &gst::event::Qos) {
        let (_, _, difference, timestamp) = event.get();
        if let Some(timestamp) = timestamp {
            lock(&self.0)
                .pacer
                .set_earliest(signed(timestamp).saturating_add(difference));
        }
    }

    /// The pipeline has been set to a latency.
    pub(super) fn hear_latency(&self, event: &gst::event::Latency) {
        lock(&self.0).pacer.set_total(event.latency().into());
    }

    /// Whether the source gives its frames as time goes by.
    pub(super) fn is_live(&self) -> bool {
        lock(&self.0).pacer.is_live()
    }

    /// Looks at a frame of a source that waits. `None`: a sink has said that it would be too late.
    pub(super) fn take(&self, element: &Element, frame: &gst::BufferRef) -> Option<Moment> {
        let Some(time) = frame_time(element, frame) else {
            // without a timestamp nothing can be late
            return Some(Moment {
                pace: lock(&self.0).pacer.pace(),
                ..Moment::default()
            });
        };
        let mut state = lock(&self.0);
        state.pacer.arrive(time);
        match state.pacer.is_in_time(time) {
            Verdict::Late(by) if element.is_qos() => {
                drop(state);
                let stream_time = stream_time(element, frame);
                self.drop_late(element, frame, Some(time), stream_time, by);
                None
            }
            _ => {
                state.counts.0 += 1;
                Some(Moment {
                    pace: state.pacer.pace(),
                    time: Some(time),
                    ..Moment::default()
                })
            }
        }
    }

    /// A frame of a live source has come: its running time, and that at which it came.
    pub(super) fn arrive(
        &self,
        element: &Element,
        frame: &gst::BufferRef,
    ) -> (Option<i64>, Option<i64>) {
        let time = frame_time(element, frame);
        if let Some(time) = time {
            lock(&self.0).pacer.arrive(time);
        }
        (time, running_time(element))
    }

    /// How many frames of a live source, of so many bytes each, may wait for the network.
    pub(super) fn room(&self, element: &Element, bytes: usize, may_repeat: bool) -> Room {
        let now = running_time(element);
        let pacer = &lock(&self.0).pacer;
        Room {
            frames: pacer.room(bytes, may_repeat),
            holds_up: !element.is_qos() || pacer.is_forgiven(now),
        }
    }

    /// Judges a frame of a live source that is next; `newer`: others wait behind it. `may_repeat`: it may show the depth
    /// before.
    pub(super) fn judge(
        &self,
        element: &Element,
        arrival: &Arrival,
        newer: bool,
        may_repeat: bool,
    ) -> Judgement {
        let now = running_time(element);
        let mut state = lock(&self.0);
        let mut moment = Moment {
            pace: state.pacer.pace(),
            time: arrival.time,
            ..Moment::default()
        };
        if let Some(waiting) = waiting(arrival) {
            moment.late = state.pacer.is_behind(now, waiting);
            if let Verdict::Late(by) = state.pacer.judge(now, waiting, newer)
                && element.is_qos()
            {
                let hurry = if may_repeat {
                    state.pacer.hurry(now, waiting.time, by)
                } else {
                    Hurry::Drop
                };
                if hurry == Hurry::Drop {
                    return Judgement::Drop(by);
                }
                moment.hurried = hurry == Hurry::Repeat;
            }
        }
        state.counts.0 += 1;
        Judgement::Work(moment)
    }

    /// Whether a frame of a live source will be late that others wait behind.
    pub(super) fn is_late(&self, element: &Element, arrival: &Arrival) -> bool {
        let now = running_time(element);
        let verdict = waiting(arrival).map(|waiting| lock(&self.0).pacer.judge(now, waiting, true));
        element.is_qos() && matches!(verdict, Some(Verdict::Late(_)))
    }

    /// Whether a sink waits until it is time to show a frame of this running time.
    pub(super) fn is_early(&self, element: &Element, time: Option<i64>) -> bool {
        let now = running_time(element);
        time.is_some_and(|time| lock(&self.0).pacer.is_early(now, time))
    }

    /// A frame of a live source has been dropped that was late by so much.
    pub(super) fn dropped(&self, element: &Element, arrival: &Arrival, by: Duration) {
        let waited = running_time(element)
            .zip(arrival.came)
            .and_then(|(now, came)| u64::try_from(now - came).ok());
        let by = by.max(Duration::from_nanos(waited.unwrap_or(0)));
        self.drop_late(element, &arrival.frame, arrival.time, arrival.span[0], by);
    }

    fn drop_late(
        &self,
        element: &Element,
        frame: &gst::BufferRef,
        time: Option<i64>,
        stream_time: Option<gst::ClockTime>,
        by: Duration,
    ) {
        let counts = {
            let mut state = lock(&self.0);
            state.counts.1 += 1;
            state.counts
        };
        gst::debug!(
            CAT,
            obj = element,
            "{} is {by:?} late",
            frame.pts().display()
        );
        post_qos(element, frame, time, stream_time, by, counts);
    }

    /// Somebody has asked for a change that a frame or two may take longer for.
    pub(super) fn forgive(&self, element: &Element) {
        if let Some(now) = running_time(element) {
            lock(&self.0).pacer.forgive(now);
        }
    }

    /// The network sees another size from here on.
    pub(super) fn resized(&self) {
        lock(&self.0).latency.forget_least();
    }

    /// How old a frame of this running time is, whose depth is about to be pushed.
    pub(super) fn age(&self, element: &Element, time: Option<i64>) -> Age {
        let age = running_time(element)
            .zip(time)
            .and_then(|(now, time)| u64::try_from(now - time).ok());
        let age = Duration::from_nanos(age.unwrap_or(0));
        let allowed = lock(&self.0).pacer.allowed_age();
        Age {
            age,
            late: allowed.map_or(Duration::ZERO, |allowed| age.saturating_sub(allowed)),
        }
    }

    /// A frame took so long. Tells the pipeline if that is news.
    pub(super) fn observe(&self, element: &Element, time: Duration) {
        let now = running_time(element).and_then(|now| u64::try_from(now).ok());
        let changed = {
            let state = &mut *lock(&self.0);
            let now = now.map_or_else(|| state.started.elapsed(), Duration::from_nanos);
            let changed = state.latency.observe(time, state.pacer.pace(), now);
            state.pacer.set_work(state.latency.work());
            changed
        };
        if let Some(latency) = changed {
            gst::debug!(CAT, obj = element, "a frame takes up to {latency:?}");
            let message = gst::message::Latency::builder().src(element).build();
            // fails only without a bus, when nobody would listen
            let _ = element.post_message(message);
        }
    }

    /// Answers with the latency of everything upstream and the element's own.
    pub(super) fn answer(&self, element: &Element, query: &mut gst::query::Latency) -> bool {
        let mut upstream = gst::query::Latency::new();
        if !element.sink_pad().peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        let own = {
            let mut state = lock(&self.0);
            state.pacer.set_upstream(live.then(|| min.into()));
            state.latency.told().min(LONGEST)
        };
        let own = gst::ClockTime::try_from(own).unwrap_or(gst::ClockTime::ZERO);
        gst::log!(
            CAT,
            obj = element,
            "latency: upstream {min}, own {own}, live {live}"
        );
        query.set(live, min + own, max.map(|max| max + own));
        true
    }
}

fn signed(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

/// The pipeline's running time, while it runs.
fn running_time(element: &Element) -> Option<i64> {
    (element.current_state() == gst::State::Playing)
        .then(|| element.current_running_time())
        .flatten()
        .map(signed)
}

/// When a frame is due.
fn frame_time(element: &Element, frame: &gst::BufferRef) -> Option<i64> {
    let segment = element.segment();
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(frame.pts()).map(signed)
}

fn waiting(arrival: &Arrival) -> Option<Waiting> {
    Some(Waiting {
        time: arrival.time?,
        came: arrival.came?,
    })
}

fn stream_time(element: &Element, frame: &gst::BufferRef) -> Option<gst::ClockTime> {
    let segment = element.segment();
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    segment.to_stream_time(frame.pts())
}

fn post_qos(
    element: &Element,
    frame: &gst::BufferRef,
    time: Option<i64>,
    stream_time: Option<gst::ClockTime>,
    by: Duration,
    (worked_on, dropped): (u64, u64),
) {
    let running_time = time.and_then(|time| u64::try_from(time).ok());
    let message = gst::message::Qos::builder(true)
        .src(element)
        .running_time(running_time.map(gst::ClockTime::from_nseconds))
        .stream_time(stream_time)
        .timestamp(frame.pts())
        .duration(frame.duration())
        .values(
            i64::try_from(by.as_nanos()).unwrap_or(i64::MAX),
            1.0,
            1_000_000,
        )
        .stats(
            gst::format::Buffers::from_u64(worked_on),
            gst::format::Buffers::from_u64(dropped),
        )
        .build();
    let _ = element.post_message(message);
}
