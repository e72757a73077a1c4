//! Which frames of a live stream are worth working on: the latest.
//!
//! Lateness is judged by the pipeline's clock, whether a sink sends QoS events or not. A frame is late when what is left
//! of the time that the pipeline gives it is less than it takes; a frame that there is no such time for, as no sink keeps
//! to the clock, when the next one is due. Late frames are dropped before anything is done to them, until the present is
//! reached. What is late through its source, though the element waited for it, is shown: only what the element itself, or
//! what is downstream of it, has held up is worth dropping. All times are running times of the pipeline, in nanoseconds.

use std::time::Duration;

/// What to do about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Work on it.
    OnTime,
    /// It is late by so much.
    Late(Duration),
}

/// What to do about a late frame where depth may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hurry {
    /// It shows the depth before.
    Repeat,
    /// It is worked on, although it is late.
    Run,
    /// Nothing is done to it.
    Drop,
}

/// Watches when frames come.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// Of a live pipeline: the latency of everything upstream.
    upstream: Option<i64>,
    /// The latency that the pipeline is set to, which is how old a frame is when it is shown; 0: no sink keeps to the clock;
    /// `None`: it has not been set yet.
    total: Option<i64>,
    /// What a frame takes.
    work: i64,
    /// Time between two frames.
    interval: Option<i64>,
    /// From the caps; else it is measured.
    nominal: bool,
    /// How old frames are when they come and nothing is behind.
    usual_age: Option<i64>,
    /// How old the youngest was that has come.
    least_age: Option<i64>,
    /// How much quicker than time goes by frames come, where work does not hold them up: 1 is as time goes by, less is
    /// quicker.
    advance: Option<f64>,
    /// Frames come late.
    behind: Option<Behind>,
    /// When the last frame came.
    arrived: Option<i64>,
    /// When the element was ready for another: the last frame's depth had been pushed, or the frame dropped.
    ready: Option<i64>,
    /// Running time of the last frame.
    last: Option<i64>,
    /// What a sink has said: frames up to here would be too late.
    earliest: Option<i64>,
    /// A sink keeps to a clock.
    asked: bool,
    /// So many frames may still be late.
    forgiven: u32,
    /// Since when late frames have repeated the depth before.
    repeating: Option<i64>,
}

/// Frames come late, and it has to be found out whether there are newer ones behind them, which dropping brings nearer, or
/// whether their source has become late for good.
#[derive(Debug, Default)]
struct Behind {
    /// The source has stopped, which made its first frame so old: frames as old are shown until more is known.
    stalled_at: Option<i64>,
    /// Time that was waited for frames.
    idle: i64,
    /// Frames that this is about, and time that was spent on them.
    frames: u32,
    busy: i64,
    /// Time that would have had to be waited for them if their source gave them as time goes by.
    room: i64,
    /// A frame has taken longer than there was time for, so that the ones after it say nothing until they are dropped.
    overrun: bool,
}

/// Frames that may be late after a change that somebody asked for: the first run at a size takes longer.
const FORGIVEN: u32 = 8;
/// Frames that are later than this are dropped even where they could repeat the depth before.
const TOO_LATE_TO_REPEAT: Duration = Duration::from_millis(750);
/// Nobody sees that a frame is so late.
const UNNOTICED: i64 = 50_000_000;
/// Where no rate is known yet.
const USUAL_INTERVAL: i64 = 100_000_000;
/// So much time without work tells a source that is late from one that has newer frames.
const EVIDENCE: i64 = 400_000_000;
/// The later it is, the longer that takes: up to this.
const MOST_EVIDENCE: i64 = 2_000_000_000;
/// And so many frames, as a busy machine gives a source its time in pieces.
const EVIDENCE_FRAMES: u32 = 6;
/// How far behind a stream may be whose sink does not keep to the clock, where the source gives its frames in bursts and
/// the element makes up for it: there is no reason to drop any.
const BURST: i64 = 400_000_000;

impl Pacer {
    /// Forgets what belongs to a segment: after a flush or a new one.
    pub(super) fn restart(&mut self) {
        self.usual_age = None;
        self.least_age = None;
        self.advance = None;
        self.behind = None;
        self.arrived = None;
        self.ready = None;
        self.last = None;
        self.earliest = None;
        self.repeating = None;
    }

    /// What upstream has answered to a LATENCY query; `None`: it is not live.
    pub(super) fn set_upstream(&mut self, latency: Option<Duration>) {
        self.upstream = latency.map(nanoseconds);
    }

    /// The pipeline has been set to this latency.
    pub(super) fn set_total(&mut self, total: Duration) {
        self.total = Some(nanoseconds(total));
    }

    /// A frame takes so long at present.
    pub(super) fn set_work(&mut self, work: Duration) {
        self.work = nanoseconds(work);
    }

    /// The frame rate of the caps; 0/1: it varies, and is measured.
    pub(super) fn set_rate(&mut self, numerator: i32, denominator: i32) {
        self.nominal = numerator > 0 && denominator > 0;
        self.interval = self
            .nominal
            .then(|| 1_000_000_000 * i64::from(denominator) / i64::from(numerator));
    }

    /// A QoS event: frames up to `earliest` come too late.
    pub(super) fn set_earliest(&mut self, earliest: i64) {
        self.earliest = Some(earliest);
        self.asked = true;
    }

    /// Somebody has asked for a change that takes time: nothing is lost by it.
    pub(super) fn forgive(&mut self) {
        self.forgiven = FORGIVEN;
    }

    /// The time that a frame may take: that between two, where somebody waits for them.
    pub(super) fn pace(&self) -> Option<Duration> {
        (self.upstream.is_some() || self.asked)
            .then_some(self.interval?)
            .map(duration)
    }

    /// How old a frame may be that is shown when it should be; `None`: the stream is not live, or no sink keeps to the clock.
    pub(super) fn allowed_age(&self) -> Option<Duration> {
        self.upstream?;
        self.total.filter(|&total| total > 0).map(duration)
    }

    /// A frame of running time `frame` has come at `now`.
    pub(super) fn arrive(&mut self, now: Option<i64>, frame: i64) -> Verdict {
        let step = self.last.map(|last| frame - last);
        self.measure(frame, step);
        let too_late = self
            .earliest
            .filter(|&earliest| frame <= earliest)
            .map(|earliest| earliest - frame);
        if let Some(by) = too_late {
            let late = now.zip(self.upstream).map_or(0, |(now, upstream)| {
                now - frame - self.usual_age.unwrap_or(upstream)
            });
            return Verdict::Late(duration(by.max(late)));
        }
        let (Some(now), Some(upstream)) = (now, self.upstream) else {
            return Verdict::OnTime;
        };
        let before = self.arrived.replace(now);
        let age = (now - frame).max(0);
        let usual = self.usual_age.unwrap_or(upstream).min(age);
        self.usual_age = Some(usual);
        let least = self.least_age.unwrap_or(age).min(age);
        self.least_age = Some(least);
        let interval = self.interval();
        let tolerance = self.tolerance(usual, upstream);
        let mut late = age - usual;
        let catches_up = self.catches_up(now, before, step);
        if late <= tolerance {
            if !catches_up || age - least <= tolerance {
                self.behind = None;
                return Verdict::OnTime;
            }
            // it is on time for a source that is late, and this one makes up for it
            late = age - least;
        }
        // not held up by the element, or not on the time line that was known
        let was_ready = !catches_up
            && self
                .ready
                .is_some_and(|ready| ready - frame - usual <= tolerance);
        let jumped = step.is_some_and(|step| step < 0);
        if was_ready || jumped {
            self.behind = Some(Behind {
                stalled_at: Some(age),
                ..Behind::default()
            });
            return Verdict::OnTime;
        }
        let behind = self.behind.get_or_insert_default();
        let (Some(step), Some(ready), Some(before)) = (step, self.ready, before) else {
            return self.late(late);
        };
        let (busy, idle) = (ready - before, now - ready);
        if busy > step {
            // what it says of the source is not known before the ones after it have been dropped
            *behind = Behind {
                stalled_at: behind.stalled_at,
                overrun: true,
                ..Behind::default()
            };
        } else {
            behind.frames += 1;
            behind.busy += busy;
            behind.idle += idle;
            behind.room += step - busy;
        }
        let evidence = (late / 2).clamp(EVIDENCE, MOST_EVIDENCE);
        if behind.room >= evidence && behind.frames >= EVIDENCE_FRAMES {
            // frames of a source that runs late come as time goes by; those of one that has newer ones come quicker, and
            // those of one that has no time left beside the element's work slower, until that is left out
            let quick = behind.idle < behind.room / 10 * 9;
            let slow = behind.idle > behind.room / 10 * 11 && behind.busy > behind.room / 10;
            if !quick && !slow {
                self.usual_age = Some(age);
                self.behind = None;
                return Verdict::OnTime;
            }
            *behind = Behind::default();
        }
        if let Some(stalled) = &mut behind.stalled_at
            && !behind.overrun
            && idle >= interval / 10
            && age <= *stalled + tolerance
        {
            *stalled = age.min(*stalled);
            return Verdict::OnTime;
        }
        self.late(late)
    }

    /// What to do about a frame that is late by `by` where depth may be repeated. To repeat it takes time too, so what is
    /// very late is dropped. A sink that waits for its time holds the stream up as long as its frames are in time, so that
    /// none would ever have time for the network: one runs all the same.
    pub(super) fn hurry(&mut self, now: Option<i64>, frame: i64, by: Duration) -> Hurry {
        if by > TOO_LATE_TO_REPEAT {
            return Hurry::Drop;
        }
        let Some(now) = now else {
            return Hurry::Repeat;
        };
        let since = *self.repeating.get_or_insert(now);
        let in_time = self.total.is_some_and(|total| now - frame <= total);
        if in_time && now - since >= self.work {
            self.repeating = None;
            return Hurry::Run;
        }
        Hurry::Repeat
    }

    fn late(&mut self, by: i64) -> Verdict {
        if self.forgiven > 0 {
            self.forgiven -= 1;
            return Verdict::OnTime;
        }
        Verdict::Late(duration(by))
    }

    /// Whether the source makes up for lost time as fast as it can. `before`: when the last frame came.
    fn catches_up(&mut self, now: i64, before: Option<i64>, step: Option<i64>) -> bool {
        let (Some(ready), Some(before), Some(step @ 1..)) = (self.ready, before, step) else {
            return false;
        };
        if ready - before > step / 10 * 9 {
            // work hides it
            self.advance = None;
            return false;
        }
        let advance = (now - before) as f64 / step as f64;
        // a busy machine gives a source its time in pieces
        let mean = self.advance.map_or(advance, |mean| (mean + advance) / 2.0);
        self.advance = Some(mean);
        mean < 0.9
    }

    fn interval(&self) -> i64 {
        self.interval.unwrap_or(USUAL_INTERVAL)
    }

    /// How much older than usual a frame may be.
    fn tolerance(&self, usual: i64, upstream: i64) -> i64 {
        let interval = self.interval();
        let least = interval.max(UNNOTICED);
        let time = match self.total {
            Some(0) if self.work < interval / 10 * 7 => upstream.min(BURST),
            Some(0) => 0,
            Some(total) => total - usual - self.work,
            None => upstream - usual,
        };
        time.max(least)
    }

    /// Whether a frame of running time `frame` that begins at `now` has been held up by much, even if it is not too late.
    pub(super) fn is_behind(&self, now: Option<i64>, frame: i64) -> bool {
        let (Some(now), Some(upstream), Some(interval)) = (now, self.upstream, self.interval)
        else {
            return false;
        };
        let usual = self.usual_age.unwrap_or(upstream);
        let time = self.total.map_or(0, |total| total - usual - self.work);
        now - frame - usual > interval / 2 + time.max(0)
    }

    /// The element is ready for another frame: its depth has been pushed, or it has been dropped.
    pub(super) fn ready(&mut self, now: Option<i64>) {
        self.ready = now;
    }

    fn measure(&mut self, frame: i64, step: Option<i64>) {
        if !self.nominal
            && let Some(step) = step
        {
            // neither a repeated timestamp nor a jump is an interval
            if (1_000_000..2_000_000_000).contains(&step) {
                let before = self.interval.unwrap_or(step);
                self.interval = Some((7 * before + step) / 8);
            }
        }
        self.last = Some(frame);
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

fn duration(nanoseconds: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
