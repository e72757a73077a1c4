//! How long a frame takes, as told to a live pipeline.

use std::collections::VecDeque;
use std::time::Duration;

/// Frames that must agree before a longer latency is told: one slow frame is an accident.
const SLOW_FRAMES: u32 = 3;
/// A network that is slower than this for want of a busy machine's time is waited for no longer: the frames are late then,
/// and the stream stays near the present. One that takes longer on an idle machine needs what it takes.
const LONGEST_FOR_LOAD: Duration = Duration::from_millis(300);
/// A shorter latency is told once all frames of so long a time have stayed well under what is told.
const CALM: Duration = Duration::from_secs(5);
/// The same where what is told keeps a viewer in the past noticeably.
const CALM_IF_LONG: Duration = Duration::from_secs(1);
/// From here on it does, and holds up a stream whose frames wait in a leaky queue for a sink that waits.
const LONG: Duration = Duration::from_millis(50);
/// A calm has this many frames at least.
const CALM_FRAMES: usize = 4;
/// Frames that are remembered, which is more than [`CALM`] at most rates.
const REMEMBERED: usize = 1024;

/// What a frame takes, and what is told of it: an upper bound that changes seldom, since each change makes the whole
/// pipeline settle anew.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    told: Duration,
    /// Running mean of what the latest frames took.
    work: Duration,
    /// The shortest time of a frame at this size: what it takes when nothing else runs.
    least: Option<Duration>,
    slow: u32,
    slowest: Duration,
    /// When frames were done since the last change, and what they needed.
    recent: VecDeque<(Duration, Duration)>,
}

impl Latency {
    /// What is told now.
    pub(crate) fn told(&self) -> Duration {
        self.told
    }

    /// What a frame takes at present, and a quarter more.
    pub(crate) fn work(&self) -> Duration {
        with_headroom(self.work)
    }

    /// Frames are of another size from here on, or the network's is.
    pub(crate) fn forget_least(&mut self) {
        self.least = None;
    }

    /// Takes the time that a frame took in the element, without waits for frames or for what is downstream, where they come
    /// each `interval`; it was done at `now` on any clock. `Some`: tell this from now on.
    pub(crate) fn observe(
        &mut self,
        time: Duration,
        interval: Option<Duration>,
        now: Duration,
    ) -> Option<Duration> {
        self.work = match self.work {
            Duration::ZERO => time,
            work => (work + time) / 2,
        };
        let least = self.least.map_or(time, |least| least.min(time));
        self.least = Some(least);
        let needs = |time| time + wait(time, interval);
        let bound = with_headroom(needs(least)).max(LONGEST_FOR_LOAD);

        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((now, needs(time)));
        if needs(time) > self.told {
            self.slow += 1;
            self.slowest = self.slowest.max(needs(time));
            if self.slow < SLOW_FRAMES && !self.told.is_zero() {
                return None;
            }
            let longer = with_headroom(self.slowest).min(bound);
            return (longer > self.told).then(|| self.tell(longer));
        }
        self.slow = 0;
        self.slowest = Duration::ZERO;
        let calm = if self.told > LONG { CALM_IF_LONG } else { CALM };
        let shorter = with_headroom(self.slowest_of(calm, now)?);
        (shorter < self.told / 3 * 2).then(|| self.tell(shorter))
    }

    /// What the slowest of the frames of the last `time` needed; `None`: there are too few yet.
    fn slowest_of(&self, time: Duration, now: Duration) -> Option<Duration> {
        let mut slowest = Duration::ZERO;
        for (count, &(done, needed)) in self.recent.iter().rev().enumerate() {
            slowest = slowest.max(needed);
            if now.saturating_sub(done) >= time && count >= CALM_FRAMES {
                return Some(slowest);
            }
        }
        // the oldest that are remembered may not reach so far back
        (self.recent.len() == REMEMBERED).then_some(slowest)
    }

    fn tell(&mut self, told: Duration) -> Duration {
        self.told = told;
        self.slow = 0;
        self.slowest = Duration::ZERO;
        self.recent.clear();
        told
    }
}

/// How long a frame may wait for the one before it, where there is hardly time for each.
fn wait(time: Duration, interval: Option<Duration>) -> Duration {
    interval
        .filter(|interval| time > interval.mul_f64(0.8))
        .map_or(Duration::ZERO, |interval| interval.min(time))
}

/// A quarter more, so that usual variation does not exceed it.
fn with_headroom(time: Duration) -> Duration {
    time + time / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Frames that took so many milliseconds each, ten a second from `start` on; what was told after each.
    fn observe(latency: &mut Latency, start: u64, times: &[u64]) -> Vec<Option<Duration>> {
        let frames = (0u64..).zip(times);
        frames
            .map(|(index, &time)| latency.observe(millis(time), None, millis(start + 100 * index)))
            .collect()
    }

    #[test]
    fn the_first_frame_is_told() {
        let mut latency = Latency::default();
        assert_eq!(observe(&mut latency, 0, &[100]), [Some(millis(125))]);
        assert_eq!(latency.told(), millis(125));
    }

    #[test]
    fn one_slow_frame_changes_nothing() {
        let mut latency = Latency::default();
        let times: Vec<u64> = (0..200)
            .map(|frame| if frame % 10 == 5 { 400 } else { 100 })
            .collect();
        assert!(
            observe(&mut latency, 0, &times)[1..]
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn slow_frames_in_a_row_raise_it() {
        let mut latency = Latency::default();
        let told = observe(&mut latency, 0, &[100, 200, 240, 220]);
        assert_eq!(told[1..], [None, None, Some(millis(300))]);
    }

    #[test]
    fn a_calm_lowers_it_and_the_sooner_the_longer_it_is() {
        for (slow, frames) in [(800, 11), (32, 51)] {
            let mut latency = Latency::default();
            observe(&mut latency, 0, &[slow]);
            let told = observe(&mut latency, 100, &[slow / 4; 60]);
            let first = told.iter().position(Option::is_some);
            assert_eq!(first, Some(frames - 1), "{slow}");
            assert_eq!(told[frames - 1], Some(millis(slow / 4 * 5 / 4)));
        }
    }

    #[test]
    fn usual_variation_is_not_worth_a_message() {
        let mut latency = Latency::default();
        let times: Vec<u64> = (0..1000).map(|frame| 80 + frame % 40).collect();
        let told = observe(&mut latency, 0, &[&[100], &times[..]].concat());
        assert!(told[1..].iter().all(Option::is_none));
    }

    #[test]
    fn what_a_busy_machine_takes_is_bounded() {
        let mut latency = Latency::default();
        observe(&mut latency, 0, &[100]);
        let told = observe(&mut latency, 100, &[9000; 50]);
        assert_eq!(
            told.iter().flatten().collect::<Vec<_>>(),
            [&LONGEST_FOR_LOAD]
        );
        // and what the network takes by itself is not
        let mut latency = Latency::default();
        observe(&mut latency, 0, &[4000]);
        assert_eq!(latency.told(), millis(5000));
        observe(&mut latency, 100, &[9000; 50]);
        assert_eq!(latency.told(), millis(5000));
        // which another size may change
        latency.forget_least();
        observe(&mut latency, 100, &[9000; 5]);
        assert_eq!(latency.told(), millis(11250));
    }

    #[test]
    fn frames_that_there_is_no_time_for_wait_for_each_other() {
        let mut latency = Latency::default();
        let interval = Some(millis(100));
        let told = latency.observe(millis(160), interval, millis(0));
        assert_eq!(told, Some(millis(325)));
        let mut latency = Latency::default();
        let told = latency.observe(millis(40), interval, millis(0));
        assert_eq!(told, Some(millis(50)));
    }
}
