//! Which frames of a live stream are worth working on: the latest.
//!
//! A frame is late when a newer one is due already and the element, not the source, is what it has waited for. Dropping
//! such frames before anything is done to them keeps a stream that is faster than the network at the present, whether
//! its sink sends QoS events or not. All times are running times of the pipeline, in nanoseconds.

use std::time::Duration;

/// What to do about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Work on it.
    OnTime,
    /// It is late by so much.
    Late(Duration),
}

/// Watches when frames come.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// Of a live pipeline: the latency of everything upstream.
    upstream: Option<i64>,
    /// How much longer frames may take to the sink than the element has said, as other branches take longer.
    slack: i64,
    /// Time between two frames.
    interval: Option<i64>,
    /// From the caps; else it is measured.
    nominal: bool,
    /// By how much frames are late when nothing is behind: sources are not always honest.
    baseline: i64,
    /// The same, once frames that were waited for have confirmed it.
    confirmed: i64,
    confirmations: u32,
    /// When the last frame was done with.
    left: Option<i64>,
    /// Running time of the last frame.
    last: Option<i64>,
    /// What a sink has said: frames up to here would be too late.
    earliest: Option<i64>,
    /// A sink keeps to a clock.
    asked: bool,
    /// So many frames may still be late.
    forgiven: u32,
}

/// Frames that may be late after a change that somebody asked for: the first run at a size takes longer.
const FORGIVEN: u32 = 8;

/// Frames that have to be waited for before their lateness is the source's habit: one that has stopped for a minute and
/// then gives a minute's frames at once is none that is always a minute late.
const CONFIRMED: u32 = 8;

impl Pacer {
    /// Forgets what belongs to a segment: after a flush or a new one.
    pub(super) fn restart(&mut self) {
        self.left = None;
        self.last = None;
        self.earliest = None;
        self.baseline = 0;
        self.confirmed = 0;
        self.confirmations = 0;
    }

    /// What upstream has answered to a LATENCY query; `None`: it is not live.
    pub(super) fn set_upstream(&mut self, latency: Option<Duration>) {
        self.upstream = latency.map(nanoseconds);
    }

    /// The pipeline's latency is `total`, of which the element has told `own`.
    pub(super) fn set_latency(&mut self, total: Duration, own: Duration) {
        let known = self.upstream.unwrap_or(0) + nanoseconds(own);
        self.slack = (nanoseconds(total) - known).max(0);
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

    /// A frame of running time `frame` has come at `now`.
    pub(super) fn arrive(&mut self, now: Option<i64>, frame: i64) -> Verdict {
        self.measure(frame);
        if self.earliest.is_some_and(|earliest| frame <= earliest) {
            let by = self.earliest.map_or(0, |earliest| earliest - frame);
            return Verdict::Late(duration(by));
        }
        let (Some(now), Some(upstream)) = (now, self.upstream) else {
            return Verdict::OnTime;
        };
        let offset = (now - frame).saturating_sub(upstream).max(0);
        let interval = self.interval.unwrap_or(100_000_000);
        let tolerance = interval.max(self.slack);
        let waited = self.left.map(|left| now - left);
        if waited.is_some_and(|waited| waited < interval / 10) {
            // it was there already, and there may be newer ones
            let late = offset - self.confirmed;
            if late > tolerance {
                return self.forgive_or(Verdict::Late(duration(late)));
            }
        } else {
            self.confirmations += 1;
            if self.confirmations >= CONFIRMED {
                self.confirmed = self.baseline;
            }
        }
        let late = offset - self.baseline;
        if late <= tolerance {
            self.set_baseline(self.baseline.min(offset));
            return Verdict::OnTime;
        }
        // who has had to wait for a frame can't have let it wait: it is its source that is late. A source that makes up
        // for lost time, though slowly, is waited for too
        if waited.is_some_and(|waited| waited >= interval / 100 * 85) {
            self.confirmations = 0;
            self.set_baseline(offset);
            return Verdict::OnTime;
        }
        self.forgive_or(Verdict::Late(duration(late)))
    }

    fn set_baseline(&mut self, baseline: i64) {
        self.baseline = baseline;
        self.confirmed = self.confirmed.min(baseline);
    }

    fn forgive_or(&mut self, verdict: Verdict) -> Verdict {
        if self.forgiven > 0 {
            self.forgiven -= 1;
            return Verdict::OnTime;
        }
        verdict
    }

    /// Whether a frame of running time `frame` that begins at `now` has been held up by much, even if it is not too late.
    pub(super) fn is_behind(&self, now: Option<i64>, frame: i64) -> bool {
        let (Some(now), Some(upstream), Some(interval)) = (now, self.upstream, self.interval)
        else {
            return false;
        };
        now - frame - upstream - self.baseline > interval / 2 + self.slack
    }

    /// How long a frame of running time `frame` has waited for the one before it.
    pub(super) fn waited(&self, frame: i64) -> Duration {
        match (self.left, self.upstream) {
            (Some(left), Some(upstream)) => duration(left - frame - upstream - self.baseline),
            _ => Duration::ZERO,
        }
    }

    /// The element is done with a frame, before it is pushed.
    pub(super) fn leave(&mut self, now: Option<i64>) {
        self.left = now;
    }

    fn measure(&mut self, frame: i64) {
        if !self.nominal
            && let Some(last) = self.last
        {
            let step = frame - last;
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
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn live() -> Pacer {
        let mut pacer = Pacer::default();
        pacer.set_upstream(Some(Duration::ZERO));
        pacer.set_rate(10, 1);
        pacer
    }

    /// A source of 10 fps that is held up while the element works for `work` ms on a frame. Gives when each frame that
    /// was worked on left, less its time.
    fn play(pacer: &mut Pacer, frames: i64, work: impl Fn(i64) -> i64) -> Vec<i64> {
        let mut now = 0;
        let mut ages = Vec::new();
        for index in 0..frames {
            let frame = 100 * index;
            now = now.max(frame);
            if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
                now += work(index);
                ages.push(now - frame);
            }
            pacer.leave(Some(now * MS));
        }
        ages
    }

    #[test]
    fn a_quick_element_loses_nothing() {
        assert_eq!(play(&mut live(), 1000, |_| 80).len(), 1000);
    }

    #[test]
    fn a_slow_one_works_on_the_latest() {
        for work in [110, 150, 250, 400, 1300] {
            let ages = play(&mut live(), 1000, |_| work);
            let oldest = ages.iter().max().unwrap();
            assert!(*oldest <= work + 100, "{oldest} ms for {work}");
            // as many as there is time for
            let possible = 100_000 / work;
            assert!(
                ages.len() as i64 >= possible - 1,
                "{} of {possible}",
                ages.len()
            );
        }
    }

    #[test]
    fn a_moment_of_trouble_is_made_up_for() {
        let ages = play(
            &mut live(),
            200,
            |index| if index == 50 { 1500 } else { 60 },
        );
        assert!(ages.len() >= 184, "{}", ages.len());
        assert_eq!(ages[ages.len() - 50..], [60; 50]);
    }

    #[test]
    fn a_change_that_was_asked_for_costs_no_frame() {
        let mut pacer = live();
        let slow = |index| if index == 0 { 450 } else { 60 };
        assert!(play(&mut pacer, 20, slow).len() < 20);
        let mut pacer = live();
        pacer.forgive();
        assert_eq!(play(&mut pacer, 20, slow).len(), 20);
    }

    #[test]
    fn a_source_that_is_always_late_is_shown_all_the_same() {
        let mut pacer = live();
        let mut shown = 0;
        for index in 0..100 {
            let (now, frame) = (100 * index + 700, 100 * index);
            if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
                shown += 1;
                pacer.leave(Some((now + 40) * MS));
            } else {
                pacer.leave(Some(now * MS));
            }
        }
        assert!(shown >= 98, "{shown}");
    }

    #[test]
    fn a_source_that_takes_its_time_to_catch_up_is_caught_up_with() {
        // it takes 60 ms for each frame of 100 ms, and has been held up for a second
        let mut pacer = live();
        let (mut now, mut ages) = (1000, Vec::new());
        for index in 0..100 {
            let frame = 100 * index;
            now = frame.max(now + 60);
            if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
                now += 30;
                ages.push(now - frame);
            }
            pacer.leave(Some(now * MS));
        }
        assert!(
            ages.len() > 70 && ages.iter().all(|age| *age <= 190),
            "{ages:?}"
        );
    }

    /// A camera that has stopped for a minute: what happens with what comes after. `frames` are when each comes and its
    /// time, in ms after the minute.
    fn after_a_minute(work: i64, frames: impl Iterator<Item = (i64, i64)>) -> Vec<i64> {
        let mut pacer = live();
        assert_eq!(play(&mut pacer, 100, |_| work).len(), 100);
        let mut ages = Vec::new();
        let mut now = 0;
        for (comes, frame) in frames {
            now = now.max(70_000 + comes);
            if pacer.arrive(Some(now * MS), (70_000 + frame) * MS) == Verdict::OnTime {
                now += work;
                ages.push(now - 70_000 - frame);
            }
            pacer.leave(Some(now * MS));
        }
        ages
    }

    #[test]
    fn a_camera_that_stops_for_a_minute_goes_on() {
        let ages = after_a_minute(80, (0..100).map(|index| (100 * index, 100 * index)));
        assert_eq!(ages, [80; 100]);
    }

    #[test]
    fn a_camera_whose_time_stops_too_goes_on() {
        let ages = after_a_minute(
            80,
            (0..100).map(|index| (100 * index, 100 * index - 60_000)),
        );
        assert_eq!(ages, [60_080; 100]);
    }

    #[test]
    fn what_has_piled_up_in_a_minute_is_thrown_away() {
        // a minute's frames at once, and then the present
        let frames = (-600..100).map(|index: i64| (100 * index.max(0), 100 * index));
        for work in [30, 80] {
            let ages = after_a_minute(work, frames.clone());
            let old = ages.iter().filter(|age| **age > 250).count();
            assert!(old <= 1, "{work} ms: {ages:?}");
            assert!(ages.len() >= 100, "{work} ms: {}", ages.len());
        }
    }

    #[test]
    fn a_slow_element_gets_used_to_a_late_source() {
        let mut pacer = live();
        let (mut now, mut ages) = (0, Vec::new());
        for index in 0..300 {
            let frame = 100 * index;
            now = now.max(frame + 700);
            if pacer.arrive(Some(now * MS), frame * MS) == Verdict::OnTime {
                now += 150;
                ages.push(now - frame);
            }
            pacer.leave(Some(now * MS));
        }
        assert!(ages.len() >= 180, "{} of 200 possible", ages.len());
        assert!(ages.iter().all(|age| *age <= 950), "{ages:?}");
    }

    #[test]
    fn timestamps_may_jump_for_hours() {
        let mut pacer = live();
        let hour = 3_600_000;
        let mut shown = 0;
        for index in 0..400 {
            let now = 100 * index;
            let jump = [0, 5 * hour, -7 * hour, 0][index as usize / 100];
            let verdict = pacer.arrive(Some(now * MS), (now + jump) * MS);
            let work = if verdict == Verdict::OnTime { 80 } else { 0 };
            shown += i64::from(work > 0);
            pacer.leave(Some((now + work) * MS));
        }
        assert!(shown >= 395, "{shown}");
    }

    #[test]
    fn the_latency_of_others_is_time_to_use() {
        let mut pacer = live();
        assert!(matches!(pacer.arrive(Some(350 * MS), 0), Verdict::Late(_)));
        pacer.set_latency(Duration::from_millis(600), Duration::from_millis(100));
        assert_eq!(pacer.arrive(Some(450 * MS), 100 * MS), Verdict::OnTime);
        assert!(matches!(
            pacer.arrive(Some(900 * MS), 200 * MS),
            Verdict::Late(_)
        ));
        // frames of a jitter buffer come when they like, up to its latency
        let mut pacer = live();
        pacer.set_upstream(Some(Duration::from_millis(500)));
        assert_eq!(pacer.arrive(Some(10 * MS), 0), Verdict::OnTime);
        assert_eq!(pacer.arrive(Some(550 * MS), 100 * MS), Verdict::OnTime);
    }

    #[test]
    fn without_a_live_source_only_the_sink_says_what_is_late() {
        let mut pacer = Pacer::default();
        pacer.set_rate(10, 1);
        assert_eq!(pacer.pace(), None);
        assert_eq!(pacer.arrive(Some(90_000 * MS), 0), Verdict::OnTime);
        pacer.set_earliest(250 * MS);
        assert_eq!(pacer.pace(), Some(Duration::from_millis(100)));
        let late = Verdict::Late(Duration::from_millis(50));
        assert_eq!(pacer.arrive(None, 200 * MS), late);
        assert_eq!(pacer.arrive(None, 300 * MS), Verdict::OnTime);
        pacer.restart();
        assert_eq!(pacer.arrive(None, 200 * MS), Verdict::OnTime);
    }

    #[test]
    fn a_rate_that_is_not_told_is_measured() {
        let mut pacer = Pacer::default();
        pacer.set_upstream(Some(Duration::ZERO));
        pacer.set_rate(0, 1);
        assert_eq!(pacer.pace(), None);
        for index in 0..20 {
            pacer.arrive(Some(40 * index * MS), 40 * index * MS);
        }
        assert_eq!(pacer.pace(), Some(Duration::from_millis(40)));
    }
}
