//! Frames that never came: taken by a leaky queue, lost by a network, left out by a camera.
//!
//! They show in what the frames that do come carry: numbers in their offsets, which many sources count up, or, where
//! there are none, time stamps that are farther apart than the frame rate of the caps. Where neither is there, as in
//! frames of varying rate without offsets, nobody can know.

use std::time::Duration;

/// A source that gives nothing for so long has stopped, and a time stamp that is so far away belongs to another time line.
const STOP: Duration = Duration::from_secs(10);

/// Counts them.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    interval: Option<Duration>,
    last: Option<Stamp>,
}

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) time: Option<Duration>,
    pub(crate) offset: Option<u64>,
}

impl Gaps {
    /// The next frame follows none: after a flush, at a new segment, and where a source says that there is a gap.
    pub(crate) fn restart(&mut self) {
        self.last = None;
    }

    /// The frame rate of the caps; 0/1: it varies.
    pub(crate) fn set_rate(&mut self, numerator: i32, denominator: i32) {
        self.interval = (numerator > 0 && denominator > 0)
            .then(|| Duration::from_secs_f64(f64::from(denominator) / f64::from(numerator)));
    }

    /// A frame has come: how many are missing between the last one and this one.
    pub(crate) fn observe(&mut self, stamp: Stamp) -> u64 {
        let Some(last) = self.last.replace(stamp) else {
            return 0;
        };
        let step = match (last.time, stamp.time) {
            (Some(last), Some(time)) => time.checked_sub(last),
            _ => None,
        };
        if step.is_some_and(|step| step > STOP) {
            return 0;
        }
        if let (Some(last), Some(offset)) = (last.offset, stamp.offset)
            && let Some(steps @ 1..) = offset.checked_sub(last)
            // numbers that are not those of frames, as bytes, are farther apart
            && step
                .zip(self.interval)
                .is_none_or(|(step, interval)| interval.mul_f64(steps as f64 / 4.0) <= step)
            && Duration::from_millis(steps) <= STOP
        {
            return steps - 1;
        }
        match (step, self.interval) {
            // time stamps tremble by less than half a frame
            (Some(step), Some(interval)) => {
                let steps = (step.as_secs_f64() / interval.as_secs_f64()).round();
                (steps as u64).saturating_sub(1)
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are missing before each frame of these times, in milliseconds, and offsets.
    fn missing(rate: i32, frames: &[(u64, Option<u64>)]) -> Vec<u64> {
        let mut gaps = Gaps::default();
        gaps.set_rate(rate, 1);
        let stamps = frames.iter().map(|&(time, offset)| Stamp {
            time: Some(Duration::from_millis(time)),
            offset,
        });
        stamps.map(|stamp| gaps.observe(stamp)).collect()
    }

    #[test]
    fn offsets_tell_and_so_does_the_rate() {
        let offsets = [
            (0, Some(7)),
            (40, Some(8)),
            (160, Some(11)),
            (200, Some(12)),
        ];
        assert_eq!(missing(25, &offsets), [0, 0, 2, 0]);
        assert_eq!(missing(0, &offsets), [0, 0, 2, 0]);
        let times = offsets.map(|(time, _)| (time, None));
        assert_eq!(missing(25, &times), [0, 0, 2, 0]);
        // what comes without a rate and without numbers says nothing
        assert_eq!(missing(0, &times), [0, 0, 0, 0]);
    }

    #[test]
    fn a_camera_that_slows_down_in_the_dark_loses_nothing() {
        let slow = [(0, Some(0)), (40, Some(1)), (120, Some(2)), (200, Some(3))];
        assert_eq!(missing(25, &slow), [0; 4]);
    }

    #[test]
    fn offsets_that_are_no_numbers_of_frames_are_not_believed() {
        let bytes = [(0, Some(0)), (40, Some(6144)), (80, Some(12288))];
        assert_eq!(missing(25, &bytes), [0; 3]);
        let same = [(0, Some(0)), (40, Some(0)), (120, Some(0))];
        assert_eq!(missing(25, &same), [0, 0, 1]);
    }

    #[test]
    fn times_that_tremble_repeat_or_jump_are_no_gaps() {
        let odd = [
            (0, None),
            (55, None),
            (80, None),
            (80, None),
            (40, None),
            (3_600_000, None),
            (3_600_040, None),
        ];
        assert_eq!(missing(25, &odd), [0; 7]);
        let mut gaps = Gaps::default();
        gaps.set_rate(25, 1);
        let stamp = |time| Stamp {
            time: Some(Duration::from_millis(time)),
            offset: None,
        };
        gaps.observe(stamp(0));
        gaps.restart();
        assert_eq!(gaps.observe(stamp(400)), 0);
    }
}
