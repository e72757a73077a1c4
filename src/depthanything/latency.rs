//! How long a frame takes, as told to a live pipeline.

use std::time::Duration;

/// Frames that must agree before a longer latency is told: one slow frame is an accident.
const SLOW_FRAMES: u32 = 3;
/// Frames after which a shorter latency is told, if all of them stayed under it.
const CALM_FRAMES: u32 = 64;

/// An upper bound of the time in the element that changes seldom, since each change makes the whole
/// pipeline settle anew.
#[derive(Debug, Default)]
pub(super) struct Latency {
    told: Duration,
    slow: u32,
    slowest: Duration,
    calm: u32,
    calmest: Duration,
}

impl Latency {
    /// What is told now.
    pub(super) fn told(&self) -> Duration {
        self.told
    }

    /// Takes the time of a frame; `Some`: tell this from now on.
    pub(super) fn observe(&mut self, time: Duration) -> Option<Duration> {
        if time > self.told {
            self.slow += 1;
            self.slowest = self.slowest.max(time);
            if self.slow < SLOW_FRAMES && !self.told.is_zero() {
                return None;
            }
            return Some(self.tell(self.slowest));
        }
        self.slow = 0;
        self.slowest = Duration::ZERO;
        self.calm += 1;
        self.calmest = self.calmest.max(time);
        if self.calm < CALM_FRAMES {
            return None;
        }
        let calmest = self.calmest;
        self.calm = 0;
        self.calmest = Duration::ZERO;
        (with_headroom(calmest) < self.told / 3 * 2).then(|| self.tell(calmest))
    }

    fn tell(&mut self, time: Duration) -> Duration {
        *self = Self {
            told: with_headroom(time),
            ..Self::default()
        };
        self.told
    }
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

    #[test]
    fn the_first_frame_is_told() {
        let mut latency = Latency::default();
        assert_eq!(latency.observe(millis(100)), Some(millis(125)));
        assert_eq!(latency.told(), millis(125));
    }

    #[test]
    fn one_slow_frame_changes_nothing() {
        let mut latency = Latency::default();
        latency.observe(millis(100));
        for frame in 0..200 {
            let time = if frame % 10 == 5 { 400 } else { 100 };
            assert_eq!(latency.observe(millis(time)), None);
        }
    }

    #[test]
    fn slow_frames_in_a_row_raise_it() {
        let mut latency = Latency::default();
        latency.observe(millis(100));
        assert_eq!(latency.observe(millis(200)), None);
        assert_eq!(latency.observe(millis(240)), None);
        assert_eq!(latency.observe(millis(220)), Some(millis(300)));
    }

    #[test]
    fn a_long_calm_lowers_it() {
        let mut latency = Latency::default();
        latency.observe(millis(800));
        let told: Vec<_> = (0..CALM_FRAMES)
            .filter_map(|_| latency.observe(millis(80)))
            .collect();
        assert_eq!(told, [millis(100)]);
    }

    #[test]
    fn usual_variation_is_not_worth_a_message() {
        let mut latency = Latency::default();
        latency.observe(millis(100));
        for frame in 0..1000 {
            assert_eq!(latency.observe(millis(80 + frame % 40)), None);
        }
    }
}
