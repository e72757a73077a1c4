//! The element and the pipeline's clock: which frames are late, what is told of latency.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_base::prelude::*;

use super::CAT;
use super::latency::Latency;
use super::pacing::{Hurry, Pacer, Verdict};
use super::stream::Moment;
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

    /// Looks at a frame that comes in. `None`: it is not worth working on.
    pub(super) fn take(
        &self,
        element: &Element,
        frame: &gst::BufferRef,
        may_repeat: bool,
    ) -> Option<Moment> {
        let now = running_time(element);
        let may_drop = element.is_qos();
        let Some(time) = frame_time(element, frame) else {
            // without a timestamp nothing can be late
            return Some(Moment {
                pace: lock(&self.0).pacer.pace(),
                ..Moment::default()
            });
        };
        let mut state = lock(&self.0);
        let verdict = state.pacer.arrive(now, time);
        let moment = Moment {
            pace: state.pacer.pace(),
            late: state.pacer.is_behind(now, time),
            hurried: false,
        };
        let by = match verdict {
            Verdict::Late(by) if may_drop => by,
            _ => {
                state.counts.0 += 1;
                return Some(moment);
            }
        };
        let hurry = if may_repeat {
            state.pacer.hurry(now, time, by)
        } else {
            Hurry::Drop
        };
        if hurry != Hurry::Drop {
            state.counts.0 += 1;
            return Some(Moment {
                hurried: hurry == Hurry::Repeat,
                ..moment
            });
        }
        state.counts.1 += 1;
        let counts = state.counts;
        // nothing was done to it
        state.pacer.ready(now);
        drop(state);
        gst::debug!(
            CAT,
            obj = element,
            "{} is {by:?} late",
            frame.pts().display()
        );
        post_qos(element, frame, time, by, counts);
        None
    }

    /// A property has been changed that a frame or two may take longer for.
    pub(super) fn forgive(&self) {
        lock(&self.0).pacer.forgive();
    }

    /// The network sees another size from here on.
    pub(super) fn resized(&self) {
        lock(&self.0).latency.forget_least();
    }

    /// Depth has been pushed, and the element is ready for another frame.
    pub(super) fn ready(&self, element: &Element) {
        let now = running_time(element);
        lock(&self.0).pacer.ready(now);
    }

    /// How old a frame is whose depth is about to be pushed.
    pub(super) fn age(&self, element: &Element, depth: &gst::BufferRef) -> Age {
        let age = running_time(element)
            .zip(frame_time(element, depth))
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

fn post_qos(
    element: &Element,
    frame: &gst::BufferRef,
    time: i64,
    by: Duration,
    (worked_on, dropped): (u64, u64),
) {
    let segment = element.segment();
    let stream_time = segment
        .downcast_ref::<gst::ClockTime>()
        .and_then(|segment| segment.to_stream_time(frame.pts()));
    let message = gst::message::Qos::builder(true)
        .src(element)
        .running_time(u64::try_from(time).ok().map(gst::ClockTime::from_nseconds))
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
