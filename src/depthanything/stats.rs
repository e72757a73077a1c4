//! What the property `stats` tells.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::shared::Census;
use crate::geometry::Size;

/// Durations that percentiles are taken of.
const WINDOW: usize = 512;

/// The last so many durations of something.
#[derive(Debug, Default, Clone)]
pub(super) struct Durations(VecDeque<Duration>);

impl Durations {
    /// Adds one and forgets the oldest.
    pub(super) fn push(&mut self, duration: Duration) {
        if self.0.len() == WINDOW {
            self.0.pop_front();
        }
        self.0.push_back(duration);
    }

    /// The smallest duration that `percent` % do not exceed; zero when there is none yet.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted: Vec<_> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
        sorted.get(rank).copied().unwrap_or_default()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Counts since the element started.
#[derive(Debug, Default, Clone)]
pub(super) struct Stats {
    /// Depth frames pushed.
    pub(super) frames: u64,
    /// Runs of the network on a frame.
    pub(super) inferences: u64,
    /// Frames that repeat an earlier depth.
    pub(super) repeated: u64,
    /// Frames dropped for being late.
    pub(super) dropped: u64,
    /// Values of depth maps that were NaN or infinite.
    pub(super) invalid_values: u64,
    /// Who runs the network, as ONNX Runtime names it.
    pub(super) provider: String,
    /// Its arithmetic.
    pub(super) precision: String,
    /// What the network sees.
    pub(super) network: Size,
    /// Of the network alone.
    pub(super) inference_time: Durations,
    /// Of all the rest: frame to tensor and depth map to frame.
    pub(super) convert_time: Durations,
    /// Who shares the network.
    pub(super) census: Census,
}

impl Stats {
    /// As the property gives it.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let nanoseconds = |durations: &Durations, percent| {
            u64::try_from(durations.percentile(percent).as_nanos()).unwrap_or(u64::MAX)
        };
        gst::Structure::builder("depthanything-stats")
            .field("frames", self.frames)
            .field("inferences", self.inferences)
            .field("repeated", self.repeated)
            .field("dropped", self.dropped)
            .field("invalid-values", self.invalid_values)
            .field("provider", &self.provider)
            .field("precision", &self.precision)
            .field("network-width", self.network.width)
            .field("network-height", self.network.height)
            .field("inference-time-p50", nanoseconds(&self.inference_time, 50))
            .field("inference-time-p99", nanoseconds(&self.inference_time, 99))
            .field("convert-time-p50", nanoseconds(&self.convert_time, 50))
            .field("convert-time-p99", nanoseconds(&self.convert_time, 99))
            .field(
                "shared-by",
                u32::try_from(self.census.streams()).unwrap_or(u32::MAX),
            )
            .build()
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
    fn the_window_forgets() {
        let mut durations = Durations::default();
        durations.push(Duration::from_secs(9));
        for _ in 0..WINDOW {
            durations.push(Duration::from_millis(1));
        }
        assert_eq!(durations.percentile(100), Duration::from_millis(1));
    }
}
