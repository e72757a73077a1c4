//! One stream and its clock: which of its frames are worked on, how long one takes, how old one is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::gaps::{Gaps, Stamp};
use super::latency::Latency;
use super::pacing::{Hurry, Pacer, Verdict, Waiting};
use crate::sync::lock;

/// Start and end of a frame in stream time, in nanoseconds, where they are known.
pub(crate) type Span = [Option<i64>; 2];

/// What is known of a frame's time when it is taken up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    /// Where in the video it is.
    pub(crate) span: Span,
    /// The frame's running time in nanoseconds, where it is known.
    pub(crate) time: Option<i64>,
    /// Time between two frames, where somebody waits for them.
    pub(crate) pace: Option<Duration>,
    /// It is of a source that gives its frames as time goes by: it is not waited for when its servers are away.
    pub(crate) live: bool,
    /// It comes late, if not too late.
    pub(crate) late: bool,
    /// It comes too late to be worth more than the depth before.
    pub(crate) hurried: bool,
}

/// What is to become of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judgement {
    Work(Moment),
    /// It is late by so much.
    Drop(Duration),
}

/// How many frames may wait, and what happens to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) frames: usize,
    /// The source waits until there is room; else the oldest are dropped.
    pub(crate) holds_up: bool,
}

/// How old a frame was when its depth left the element.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Age {
    /// By the pipeline's clock.
    pub(crate) age: Duration,
    /// More than the latency that the pipeline is set to.
    pub(crate) late: Duration,
}

/// A frame's times, in nanoseconds of running time, where they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    /// When it is due.
    pub(crate) time: Option<i64>,
    /// When it came.
    pub(crate) came: Option<i64>,
}

/// What is known of a stream's time. `now` is the pipeline's running time, while it runs.
#[derive(Default)]
pub(crate) struct Live(Mutex<State>);

struct State {
    pacer: Pacer,
    latency: Latency,
    gaps: Gaps,
    /// Frames that were, and were not, worked on.
    counts: (u64, u64),
    started: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            pacer: Pacer::default(),
            latency: Latency::default(),
            gaps: Gaps::default(),
            counts: (0, 0),
            started: Instant::now(),
        }
    }
}

impl Live {
    /// The element starts.
    pub(crate) fn start(&self) {
        *lock(&self.0) = State::default();
    }

    /// After a flush or at a new segment.
    pub(crate) fn restart(&self) {
        let state = &mut *lock(&self.0);
        state.pacer.restart();
        state.gaps.restart();
    }

    /// A source says that there are no frames for a while.
    pub(crate) fn gap(&self) {
        lock(&self.0).gaps.restart();
    }

    /// A frame has come that carries this. Gives how many are missing between it and the last.
    pub(crate) fn missing(&self, stamp: Stamp) -> u64 {
        lock(&self.0).gaps.observe(stamp)
    }

    /// Frames come at this rate (0/1: it varies). `upstream`: the latency of a source that is live. Gives the time between
    /// two frames, where somebody waits for them.
    pub(crate) fn set_rate(
        &self,
        (numerator, denominator): (i32, i32),
        upstream: Option<Duration>,
    ) -> Option<Duration> {
        let state = &mut *lock(&self.0);
        state.gaps.set_rate(numerator, denominator);
        state.pacer.set_upstream(upstream);
        state.pacer.set_rate(numerator, denominator);
        state.pacer.pace()
    }

    /// A sink has found frames up to this running time to be late.
    pub(crate) fn set_earliest(&self, earliest: i64) {
        lock(&self.0).pacer.set_earliest(earliest);
    }

    /// The pipeline has been set to a latency.
    pub(crate) fn set_total(&self, latency: Duration) {
        lock(&self.0).pacer.set_total(latency);
    }

    /// Whether the source gives its frames as time goes by.
    pub(crate) fn is_live(&self) -> bool {
        lock(&self.0).pacer.is_live()
    }

    /// Judges a frame of a source that waits: it is late if a sink has said so. `drops`: late frames may be dropped.
    pub(crate) fn take(&self, time: Option<i64>, span: Span, drops: bool) -> Judgement {
        let state = &mut *lock(&self.0);
        let moment = Moment {
            span,
            time,
            pace: state.pacer.pace(),
            ..Moment::default()
        };
        let Some(time) = time else {
            // without a timestamp nothing can be late
            return Judgement::Work(moment);
        };
        state.pacer.arrive(time);
        let moment = Moment {
            pace: state.pacer.pace(),
            ..moment
        };
        match state.pacer.is_in_time(time) {
            Verdict::Late(by) if drops => Judgement::Drop(by),
            _ => {
                state.counts.0 += 1;
                Judgement::Work(moment)
            }
        }
    }

    /// A frame of a live source has come that is due then.
    pub(crate) fn arrive(&self, time: i64) {
        lock(&self.0).pacer.arrive(time);
    }

    /// How many frames of a live source, of so many bytes each, may wait for the network. `drops`: late ones may be dropped;
    /// `may_repeat`: they may show the depth before.
    pub(crate) fn room(
        &self,
        now: Option<i64>,
        bytes: usize,
        drops: bool,
        may_repeat: bool,
    ) -> Room {
        let pacer = &lock(&self.0).pacer;
        Room {
            frames: pacer.room(bytes, may_repeat),
            holds_up: !drops || pacer.is_forgiven(now),
        }
    }

    /// Judges a frame of a live source that is next; `newer`: others wait behind it. `drops` and `may_repeat`: as for
    /// [`Self::room`].
    pub(crate) fn judge(
        &self,
        now: Option<i64>,
        times: Times,
        span: Span,
        newer: bool,
        drops: bool,
        may_repeat: bool,
    ) -> Judgement {
        let state = &mut *lock(&self.0);
        let mut moment = Moment {
            span,
            time: times.time,
            pace: state.pacer.pace(),
            live: true,
            ..Moment::default()
        };
        if let Some(waiting) = times.waiting() {
            moment.late = state.pacer.is_behind(now, waiting);
            if let Verdict::Late(by) = state.pacer.judge(now, waiting, newer)
                && drops
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
    pub(crate) fn is_late(&self, now: Option<i64>, times: Times) -> bool {
        let waiting = times.waiting();
        let verdict = waiting.map(|waiting| lock(&self.0).pacer.judge(now, waiting, true));
        matches!(verdict, Some(Verdict::Late(_)))
    }

    /// Whether a sink waits until it is time to show a frame of this running time.
    pub(crate) fn is_early(&self, now: Option<i64>, time: Option<i64>) -> bool {
        time.is_some_and(|time| lock(&self.0).pacer.is_early(now, time))
    }

    /// A frame has been dropped. Gives how many were worked on by now, and how many were not.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        let state = &mut *lock(&self.0);
        state.counts.1 += 1;
        state.counts
    }

    /// Somebody has asked for a change that a frame or two may take longer for.
    pub(crate) fn forgive(&self, now: Option<i64>) {
        if let Some(now) = now {
            lock(&self.0).pacer.forgive(now);
        }
    }

    /// The network sees another size from here on.
    pub(crate) fn resized(&self) {
        lock(&self.0).latency.forget_least();
    }

    /// How old a frame of this running time is, whose depth is about to be pushed.
    pub(crate) fn age(&self, now: Option<i64>, time: Option<i64>) -> Age {
        let age = now
            .zip(time)
            .and_then(|(now, time)| u64::try_from(now - time).ok());
        let age = Duration::from_nanos(age.unwrap_or(0));
        let allowed = lock(&self.0).pacer.allowed_age();
        Age {
            age,
            late: allowed.map_or(Duration::ZERO, |allowed| age.saturating_sub(allowed)),
        }
    }

    /// A frame took so long. `Some`: the latency to tell from now on.
    pub(crate) fn observe(&self, now: Option<i64>, time: Duration) -> Option<Duration> {
        let now = now.and_then(|now| u64::try_from(now).ok());
        let state = &mut *lock(&self.0);
        let now = now.map_or_else(|| state.started.elapsed(), Duration::from_nanos);
        let changed = state.latency.observe(time, state.pacer.pace(), now);
        state.pacer.set_work(state.latency.work());
        changed
    }

    /// The element's own latency. `upstream`: that of a source that is live.
    pub(crate) fn latency(&self, upstream: Option<Duration>) -> Duration {
        let state = &mut *lock(&self.0);
        state.pacer.set_upstream(upstream);
        state.latency.told()
    }
}

impl Times {
    fn waiting(self) -> Option<Waiting> {
        Some(Waiting {
            time: self.time?,
            came: self.came?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn worked_on(judgement: Judgement) -> bool {
        matches!(judgement, Judgement::Work(_))
    }

    #[test]
    fn only_what_a_sink_calls_late_is_dropped_of_a_source_that_waits() {
        let live = Live::default();
        live.set_rate((25, 1), None);
        let take = |time: Option<i64>, drops| live.take(time, Span::default(), drops);
        assert!(worked_on(take(Some(0), true)));
        live.set_earliest(100 * MS);
        assert!(!worked_on(take(Some(40 * MS), true)));
        assert!(worked_on(take(Some(40 * MS), false)), "nobody wants drops");
        assert!(worked_on(take(None, true)), "it has no time");
        assert!(worked_on(take(Some(140 * MS), true)));
        assert_eq!(live.dropped(), (3, 1));
        live.restart();
        assert!(worked_on(take(Some(0), true)));
    }

    #[test]
    fn what_has_waited_too_long_in_a_live_stream_is_dropped_or_repeats() {
        let live = Live::default();
        let pace = live.set_rate((10, 1), Some(Duration::ZERO));
        assert_eq!(pace, Some(Duration::from_millis(100)));
        live.set_total(Duration::from_millis(50));
        let judge = |waited: i64, drops, may_repeat| {
            let times = Times {
                time: Some(0),
                came: Some(0),
            };
            live.judge(
                Some(waited * MS),
                times,
                Span::default(),
                true,
                drops,
                may_repeat,
            )
        };
        assert!(worked_on(judge(10, true, false)));
        assert!(matches!(judge(400, true, false), Judgement::Drop(_)));
        assert!(worked_on(judge(400, false, false)));
        let Judgement::Work(moment) = judge(400, true, true) else {
            panic!("it may repeat the depth before")
        };
        assert!(moment.hurried && moment.late);
        assert_eq!((moment.time, moment.pace), (Some(0), pace));
        assert!(matches!(judge(5000, true, true), Judgement::Drop(_)));
    }

    #[test]
    fn frames_that_never_came_are_counted_from_the_last_one_on() {
        let live = Live::default();
        live.set_rate((25, 1), None);
        let missing = |millis| {
            live.missing(Stamp {
                time: Some(Duration::from_millis(millis)),
                offset: None,
            })
        };
        assert_eq!([missing(0), missing(120)], [0, 2]);
        live.gap();
        assert_eq!(missing(400), 0);
        live.restart();
        assert_eq!(missing(800), 0);
    }
}
