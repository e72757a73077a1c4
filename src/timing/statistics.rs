//! Percentiles of durations, and rates.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Durations that percentiles are taken of.
const WINDOW: usize = 512;

/// The last so many durations of something.
#[derive(Debug, Default, Clone)]
pub(crate) struct Durations(VecDeque<Duration>);

impl Durations {
    /// Adds one and forgets the oldest.
    pub(crate) fn push(&mut self, duration: Duration) {
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// The smallest duration that `percent` % do not exceed; zero when there is none yet.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().unwrap_or_default()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Frames of so long a time make a rate.
const RATE_WINDOW: Duration = Duration::from_secs(2);
/// More than come in that time.
const RATE_FRAMES: usize = 2048;

/// How many of something come in a second.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rate(VecDeque<Instant>);

impl Rate {
    /// One came at `now`.
    pub(crate) fn push(&mut self, now: Instant) {
        while self.0.len() >= RATE_FRAMES
            || self
                .0
                .get(1)
                .is_some_and(|&second| now.saturating_duration_since(second) > RATE_WINDOW)
        {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// A second's at `now`: falls to 0 when none come any more.
    pub(crate) fn per_second(&self, now: Instant) -> f64 {
        let (Some(&first), Some(&last)) = (self.0.front(), self.0.back()) else {
            return 0.0;
        };
        let steps = (self.0.len() - 1) as f64;
        let span = last.saturating_duration_since(first);
        let each = span.as_secs_f64() / steps.max(1.0);
        // one that is overdue counts, too
        let since = now.saturating_duration_since(last).as_secs_f64();
        let span = span.as_secs_f64() + (since - 2.0 * each).max(0.0);
        if span > 0.0 { steps / span } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(50), Duration::ZERO);
        for millis in (1..=100).rev() {
            durations.push(Duration::from_millis(millis));
        }
        assert_eq!(durations.percentile(50), Duration::from_millis(50));
        assert_eq!(durations.percentile(99), Duration::from_millis(99));
        assert_eq!(durations.percentile(100), Duration::from_millis(100));
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(0)), 0.0);
        let near =
            |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 0.06, "{found}");
        for frame in 0..300 {
            rate.push(at(frame * 40));
        }
        near(rate.per_second(at(12_000)), 25.0);
        // slower from here on
        for frame in 0..30 {
            rate.push(at(12_000 + frame * 200));
        }
        near(rate.per_second(at(18_000)), 5.0);
        // and no more at all
        assert!(rate.per_second(at(60_000)) < 0.3);
    }

    #[test]
    fn the_window_forgets() {
        let mut durations = Durations::default();
        durations.push(Duration::from_secs(9));
        for _ in 0..WINDOW {
            durations.push(Duration::from_millis(1));
        }
        assert_eq!(durations.percentile(100), Duration::from_millis(1));
    }
}
