//! Model values → 0…1 over time: which two values are black and white.
//!
//! Relative models give inverse depth whose scale and shift are free and change from frame to frame; a
//! [`Tracker`] decides what is laid on the ends of the output range.

mod cut;

pub use cut::CutDetector;

/// The values, in the model's units, that become 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Becomes 0: the farthest.
    pub lo: f64,
    /// Becomes 1: the nearest.
    pub hi: f64,
}

impl Limits {
    /// Smallest and largest finite value of `depth`; `None` when none is finite.
    pub fn of(depth: &[f32]) -> Option<Self> {
        let (mut lo, mut hi) = (f32::INFINITY, f32::NEG_INFINITY);
        for &value in depth {
            if value.is_finite() {
                lo = lo.min(value);
                hi = hi.max(value);
            }
        }
        (lo <= hi).then(|| Self {
            lo: f64::from(lo),
            hi: f64::from(hi),
        })
    }

    /// Distance between the two; 0 for a flat picture.
    pub fn span(&self) -> f64 {
        self.hi - self.lo
    }
}

/// How the limits follow the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Those of each frame.
    Frame,
    /// A running estimate; `past` (0…1) is the weight of what was before.
    Smooth {
        /// Weight of the past.
        past: f64,
    },
    /// Given ones.
    Fixed(Limits),
}

/// Follows the limits of a stream and counts its scenes.
#[derive(Debug, Default)]
pub struct Tracker {
    held: Option<Limits>,
    seen: bool,
    scene: u32,
}

impl Tracker {
    /// Forgets the past: after a cut, a flush, a discontinuity, a new segment or size. Begins a new
    /// scene if the present one has had a frame.
    pub fn restart(&mut self) {
        if self.seen {
            self.scene = self.scene.wrapping_add(1);
        }
        self.seen = false;
        self.held = None;
    }

    /// Number of the scene the next frame belongs to, from 0.
    pub fn scene(&self) -> u32 {
        self.scene
    }

    /// The limits to use for `depth`. Without a single finite value the last ones are kept.
    pub fn follow(&mut self, depth: &[f32], mode: Mode) -> Limits {
        self.seen = true;
        let own = Limits::of(depth);
        // the estimate goes on in every mode, so that a change of mode in mid-stream does not jump
        let held = match (own, self.held) {
            (Some(own), Some(held)) => {
                let past = match mode {
                    Mode::Smooth { past } => past.clamp(0.0, 1.0),
                    Mode::Frame | Mode::Fixed(_) => 0.0,
                };
                Limits {
                    lo: past * held.lo + (1.0 - past) * own.lo,
                    hi: past * held.hi + (1.0 - past) * own.hi,
                }
            }
            (Some(own), None) => own,
            (None, Some(held)) => held,
            (None, None) => Limits { lo: 0.0, hi: 0.0 },
        };
        if own.is_some() {
            self.held = Some(held);
        }
        match mode {
            Mode::Fixed(limits) => limits,
            Mode::Frame | Mode::Smooth { .. } => held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limits(lo: f64, hi: f64) -> Limits {
        Limits { lo, hi }
    }

    #[test]
    fn limits_leave_out_what_is_not_finite() {
        let depth = [f32::NAN, 3.0, f32::INFINITY, -1.0, f32::NEG_INFINITY];
        assert_eq!(Limits::of(&depth), Some(limits(-1.0, 3.0)));
        assert_eq!(Limits::of(&[f32::NAN]), None);
        assert_eq!(Limits::of(&[]), None);
    }

    #[test]
    fn frame_has_no_memory() {
        let mut tracker = Tracker::default();
        tracker.follow(&[0.0, 100.0], Mode::Frame);
        assert_eq!(tracker.follow(&[1.0, 2.0], Mode::Frame), limits(1.0, 2.0));
    }

    #[test]
    fn smooth_is_the_weighted_past() {
        let mut tracker = Tracker::default();
        let mode = Mode::Smooth { past: 0.75 };
        assert_eq!(tracker.follow(&[0.0, 8.0], mode), limits(0.0, 8.0));
        assert_eq!(tracker.follow(&[4.0, 16.0], mode), limits(1.0, 10.0));
    }

    #[test]
    fn smooth_starts_afresh() {
        let mut tracker = Tracker::default();
        let mode = Mode::Smooth { past: 0.9 };
        tracker.follow(&[0.0, 8.0], mode);
        tracker.restart();
        assert_eq!(tracker.follow(&[5.0, 6.0], mode), limits(5.0, 6.0));
        assert_eq!(tracker.scene(), 1);
    }

    #[test]
    fn scenes_without_frames_do_not_count() {
        let mut tracker = Tracker::default();
        tracker.restart();
        tracker.restart();
        assert_eq!(tracker.scene(), 0);
    }

    #[test]
    fn a_frame_of_nan_keeps_the_last_limits() {
        let mut tracker = Tracker::default();
        let mode = Mode::Smooth { past: 0.5 };
        tracker.follow(&[2.0, 4.0], mode);
        assert_eq!(tracker.follow(&[f32::NAN], mode), limits(2.0, 4.0));
        assert_eq!(tracker.follow(&[2.0, 4.0], mode), limits(2.0, 4.0));
    }

    #[test]
    fn fixed_is_what_was_given() {
        let mut tracker = Tracker::default();
        let given = limits(-1.0, 1.0);
        assert_eq!(tracker.follow(&[5.0, 9.0], Mode::Fixed(given)), given);
    }
}
