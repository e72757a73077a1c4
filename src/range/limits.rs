//! Which two values of a depth map are black and white, as the map alone has it.

use crate::frame::extremes;

/// The values, in the model's units, that become 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Becomes 0: the farthest.
    pub lo: f64,
    /// Becomes 1: the nearest.
    pub hi: f64,
}

/// Share of the values at either end that may be outliers.
const OUTLIERS: f64 = 0.002;
/// How far beyond the others, in shares of the span, an outlier is followed.
const MARGIN: f64 = 0.02;

impl Limits {
    /// Smallest and largest finite value of `depth`; `None` when none is finite.
    pub fn of(depth: &[f32]) -> Option<Self> {
        let (lo, hi) = extremes(depth)?;
        Some(Self {
            lo: f64::from(lo),
            hi: f64::from(hi),
        })
    }

    /// `self`, which are the extremes, less what only outliers reach. `values` are finite ones from all over the
    /// picture; they come back in another order.
    pub(super) fn without_outliers(self, values: &mut [f32]) -> Self {
        let outliers = (values.len() as f64 * OUTLIERS) as usize;
        let count = values.len();
        let mut rank = |index: usize| {
            let (_, value, _) = values.select_nth_unstable_by(index, f32::total_cmp);
            f64::from(*value)
        };
        if outliers == 0 {
            return self;
        }
        let inner = Self {
            lo: rank(outliers),
            hi: rank(count - 1 - outliers),
        };
        let margin = MARGIN * inner.span();
        Self {
            lo: self.lo.max(inner.lo - margin),
            hi: self.hi.min(inner.hi + margin),
        }
    }

    /// The values that this share of `values`, finite ones from all over the picture, is beyond at either end; `self`
    /// where there are few. They come back in another order.
    pub(super) fn of_most(self, values: &mut [f32], share: f64) -> Self {
        let beyond = (values.len() as f64 * share) as usize;
        if beyond == 0 {
            return self;
        }
        let count = values.len();
        let mut rank = |index: usize| {
            let (_, value, _) = values.select_nth_unstable_by(index, f32::total_cmp);
            f64::from(*value)
        };
        Self {
            lo: rank(beyond),
            hi: rank(count - 1 - beyond),
        }
    }

    /// Distance between the two; 0 for a flat picture.
    pub fn span(&self) -> f64 {
        self.hi - self.lo
    }

    /// Whether values can be laid between the two.
    pub(super) fn usable(&self) -> bool {
        let steps = 65535.0 / self.span();
        self.lo.is_finite() && self.hi.is_finite() && steps.is_finite() && steps > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_finite_is_left_out() {
        let depth = [f32::NAN, 3.0, f32::INFINITY, -1.0, f32::NEG_INFINITY];
        assert_eq!(Limits::of(&depth), Some(Limits { lo: -1.0, hi: 3.0 }));
        for place in 0..40 {
            let mut depth = [f32::NAN; 40];
            depth[place] = 2.0;
            assert_eq!(Limits::of(&depth), Some(Limits { lo: 2.0, hi: 2.0 }));
        }
        assert_eq!(Limits::of(&[f32::NAN; 40]), None);
        assert_eq!(Limits::of(&[]), None);
    }

    #[test]
    fn a_few_outliers_do_not_stretch_the_range() {
        let mut values: Vec<f32> = (0..1000).map(|i| i as f32 / 999.0).collect();
        values[500] = 100.0;
        let all = Limits::of(&values).unwrap();
        assert_eq!(all.hi, 100.0);
        let robust = all.without_outliers(&mut values);
        assert!(robust.hi < 1.05 && robust.hi > 0.99, "{robust:?}");
        assert_eq!(robust.lo, 0.0, "an end without outliers is the end");
    }
}
