//! Which frames of a live stream are worth working on: the latest.
//!
//! Frames wait for the network in a queue of the element's own, so that what holds a frame up after it has come is known:
//! a frame is late when it has waited longer than it may, and is dropped, before anything is done to it, when a newer one
//! waits behind it. That is judged by the pipeline's clock, whether a sink sends QoS events or not. What is late through
//! its source is shown: there is nothing newer. All times are running times of the pipeline, in nanoseconds.

use std::time::Duration;

/// What to do about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Work on it.
    OnTime,
    /// It is late by so much.
    Late(Duration),
}

/// What to do about a late frame where depth may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// It shows the depth before.
    Repeat,
    /// It is worked on, although it is late.
    Run,
    /// Nothing is done to it.
    Drop,
}

/// A frame that waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Its running time.
    pub(crate) time: i64,
    /// When it came.
    pub(crate) came: i64,
}

/// What is known of time.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
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
    /// Running time of the last frame.
    last: Option<i64>,
    /// What a sink has said: frames up to here would be too late.
    earliest: Option<i64>,
    /// A sink keeps to a clock.
    asked: bool,
    /// Frames may be late until then.
    forgiven_until: Option<i64>,
    /// Since when late frames have repeated the depth before.
    repeating: Option<i64>,
}

/// Frames may be late for so long after a change that somebody asked for: the first run at a size takes longer.
const FORGIVEN: i64 = 2_000_000_000;
/// Frames that are later than this are dropped even where they could repeat the depth before.
const TOO_LATE_TO_REPEAT: Duration = Duration::from_millis(750);
/// Frames wait so long at least, as the machine gives its time in pieces.
const LEAST_WAIT: i64 = 20_000_000;
/// Where no rate is known yet.
const USUAL_INTERVAL: i64 = 100_000_000;
/// How long frames may wait whose sink does not keep to the clock, where the source gives them in bursts and the element
/// makes up for it: there is no reason to drop any.
const BURST: i64 = 400_000_000;
/// Frames of so long a time may wait,
const LONGEST_QUEUE: i64 = 400_000_000;
/// and so many of them,
const MOST_FRAMES: usize = 32;
/// and so many bytes, but two frames in any case.
const MOST_BYTES: usize = 96 << 20;
const LEAST_FRAMES: usize = 2;

impl Pacer {
    /// Forgets what belongs to a segment: after a flush or a new one.
    pub(crate) fn restart(&mut self) {
        self.last = None;
        self.earliest = None;
        self.forgiven_until = None;
        self.repeating = None;
    }

    /// What upstream has answered to a LATENCY query; `None`: it is not live.
    pub(crate) fn set_upstream(&mut self, latency: Option<Duration>) {
        self.upstream = latency.map(nanoseconds);
    }

    /// Whether the source gives its frames as time goes by.
    pub(crate) fn is_live(&self) -> bool {
        self.upstream.is_some()
    }

    /// The pipeline has been set to this latency.
    pub(crate) fn set_total(&mut self, total: Duration) {
        self.total = Some(nanoseconds(total));
    }

    /// A frame takes so long at present.
    pub(crate) fn set_work(&mut self, work: Duration) {
        self.work = nanoseconds(work);
    }

    /// The frame rate of the caps; 0/1: it varies, and is measured.
    pub(crate) fn set_rate(&mut self, numerator: i32, denominator: i32) {
        self.nominal = numerator > 0 && denominator > 0;
        self.interval = self
            .nominal
            .then(|| 1_000_000_000 * i64::from(denominator) / i64::from(numerator));
    }

    /// A QoS event: frames up to `earliest` come too late.
    pub(crate) fn set_earliest(&mut self, earliest: i64) {
        self.earliest = Some(earliest);
        self.asked = true;
    }

    /// Somebody has asked, at `now`, for a change that takes time: nothing is lost by it.
    pub(crate) fn forgive(&mut self, now: i64) {
        self.forgiven_until = Some(now + FORGIVEN);
    }

    /// Whether frames may be late at `now`.
    pub(crate) fn is_forgiven(&self, now: Option<i64>) -> bool {
        let until = self.forgiven_until.zip(now);
        until.is_some_and(|(until, now)| now < until)
    }

    /// The time that a frame may take: that between two, where somebody waits for them.
    pub(crate) fn pace(&self) -> Option<Duration> {
        (self.is_live() || self.asked)
            .then_some(self.interval?)
            .map(duration)
    }

    /// How old a frame may be that is shown when it should be; `None`: the stream is not live, or no sink keeps to the clock.
    pub(crate) fn allowed_age(&self) -> Option<Duration> {
        self.upstream?;
        self.total.filter(|&total| total > 0).map(duration)
    }

    /// How many frames of `bytes` each may wait. `may_repeat`: they may show the depth before, so that late ones are of use.
    pub(crate) fn room(&self, bytes: usize, may_repeat: bool) -> usize {
        let time = if may_repeat {
            nanoseconds(TOO_LATE_TO_REPEAT)
        } else {
            LONGEST_QUEUE
        };
        let frames = usize::try_from(time / self.interval().max(1)).unwrap_or(0);
        let most = MOST_FRAMES.min(MOST_BYTES / bytes.max(1));
        frames.min(most).max(LEAST_FRAMES)
    }

    /// A frame of running time `frame` has come.
    pub(crate) fn arrive(&mut self, frame: i64) {
        let step = self.last.replace(frame).map(|last| frame - last);
        if !self.nominal
            && let Some(step) = step
        {
            // neither a repeated timestamp nor a jump is an interval
            if (1_000_000..2_000_000_000).contains(&step) {
                let before = self.interval.unwrap_or(step);
                self.interval = Some((7 * before + step) / 8);
            }
        }
    }

    /// Whether a sink has said that a frame would be too late.
    pub(crate) fn is_in_time(&self, frame: i64) -> Verdict {
        match self.earliest {
            Some(earliest) if frame <= earliest => Verdict::Late(duration(earliest - frame)),
            _ => Verdict::OnTime,
        }
    }

    /// Judges a frame that is next at `now`; `newer`: others wait behind it.
    pub(crate) fn judge(&self, now: Option<i64>, frame: Waiting, newer: bool) -> Verdict {
        if self.is_forgiven(now) {
            return Verdict::OnTime;
        }
        // there is no use in dropping the newest
        let (Some(now), true) = (now, newer) else {
            return Verdict::OnTime;
        };
        let waited = now - frame.came;
        match self.is_in_time(frame.time) {
            Verdict::Late(by) => Verdict::Late(by.max(duration(waited))),
            Verdict::OnTime if waited > self.longest_wait(frame) => Verdict::Late(duration(waited)),
            Verdict::OnTime => Verdict::OnTime,
        }
    }

    /// What to do about a frame that is late by `by` where depth may be repeated. To repeat it takes time too, so what is
    /// very late is dropped. Where the sink waits for its time, repeated frames are in time as long as the network is not
    /// run, so that it would never be: one runs all the same.
    pub(crate) fn hurry(&mut self, now: Option<i64>, frame: i64, by: Duration) -> Hurry {
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

    /// Whether a frame that is worked on from `now` on has been held up by much, even if it is not too late.
    pub(crate) fn is_behind(&self, now: Option<i64>, frame: Waiting) -> bool {
        let (Some(now), Some(interval), true) = (now, self.interval, self.is_live()) else {
            return false;
        };
        now - frame.came > interval / 2 + self.time_to_spare(frame).max(0)
    }

    /// Whether a sink waits at `now` until it is time to show a frame of running time `frame`.
    pub(crate) fn is_early(&self, now: Option<i64>, frame: i64) -> bool {
        let total = self.total.filter(|&total| total > 0);
        total
            .zip(now)
            .is_some_and(|(total, now)| now < frame + total)
    }

    fn interval(&self) -> i64 {
        self.interval.unwrap_or(USUAL_INTERVAL)
    }

    /// How long a frame may wait and still be shown when it is time to.
    fn time_to_spare(&self, frame: Waiting) -> i64 {
        let age = (frame.came - frame.time).max(0);
        self.total.map_or(0, |total| total - age - self.work)
    }

    /// How long a frame may wait.
    fn longest_wait(&self, frame: Waiting) -> i64 {
        let interval = self.interval();
        let time = match self.total {
            Some(0) if self.work < interval / 10 * 7 => self.upstream.unwrap_or(0).min(BURST),
            Some(0) => 0,
            Some(_) => self.time_to_spare(frame),
            None => {
                let age = (frame.came - frame.time).max(0);
                self.upstream.unwrap_or(0) - age
            }
        };
        // an element that is quick enough makes up for it; a slower one takes the newest
        let least = if self.work < interval { interval } else { 0 };
        time.max(least).max(LEAST_WAIT)
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
