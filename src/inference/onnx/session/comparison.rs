//! Two networks of one model on the same picture, and how far their depth maps are apart.

use super::SessionNetwork;
use super::trial::picture;
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{DepthMaps, Description, Images, InputSize, Network as _};
use crate::inference::onnx::opening;

/// What both see.
pub(super) struct Picture {
    values: Vec<f32>,
    batch: usize,
    pub(super) size: Size,
}

impl Picture {
    /// For networks that are as `description` says: of so many columns and rows of patches, or of the size that the model
    /// fixes, `batch` times. Time and memory for a run of each are added to what opening may take.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn new(
        description: &Description,
        (columns, rows): (u32, u32),
        batch: usize,
    ) -> Result<Self, Error> {
        let patch = description.patch;
        let (size, only) = match description.input_size {
            InputSize::Any => (Size::new(columns * patch, rows * patch), false),
            InputSize::Fixed(size) => (size, true),
        };
        let values = picture(batch, size, description.normalization)?;
        opening::trial(size, 2 * batch, patch, only);
        Ok(Self {
            values,
            batch,
            size,
        })
    }

    /// What `network` gives for it, in the model's units.
    pub(super) fn depth(&self, network: &mut SessionNetwork) -> Result<Vec<f32>, Error> {
        let images = Images {
            values: &self.values,
            batch: self.batch,
            size: self.size,
        };
        let mut depth = DepthMaps::default();
        network.run(images, &mut depth)?;
        Ok(depth.values)
    }
}

/// How far a depth map is from the one that is expected, over all values that both are numbers at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Difference {
    /// Values that should be numbers and are none, and the other way round.
    pub(super) lost: usize,
    pub(super) gained: usize,
    /// The least and the most that is expected; both 0 where there is no value.
    pub(super) least: f64,
    pub(super) most: f64,
    /// The largest and the mean difference of two values.
    pub(super) largest: f64,
    pub(super) mean: f64,
    /// Variance of what is expected and of what was found, and their covariance.
    pub(super) variance: f64,
    pub(super) variance_found: f64,
    pub(super) covariance: f64,
}

impl Difference {
    /// Of two maps of one size.
    pub(super) fn of(expected: &[f32], found: &[f32]) -> Self {
        let is = |a: &f32, b: &f32| (a.is_finite(), b.is_finite());
        let count = |what| {
            let all = std::iter::zip(expected, found);
            all.filter(|&(a, b)| is(a, b) == what).count()
        };
        let pairs: Vec<(f64, f64)> = std::iter::zip(expected, found)
            .filter(|&(a, b)| is(a, b) == (true, true))
            .map(|(&expected, &found)| (f64::from(expected), f64::from(found)))
            .collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
            pairs.iter().map(of).sum::<f64>() / pairs.len().max(1) as f64
        };
        let [mean_expected, mean_found] = [mean(&|pair| pair.0), mean(&|pair| pair.1)];
        let apart = |pair: &(f64, f64)| (pair.0 - pair.1).abs();
        let least = pairs.iter().map(|pair| pair.0).reduce(f64::min);
        let most = pairs.iter().map(|pair| pair.0).reduce(f64::max);
        Self {
            lost: count((true, false)),
            gained: count((false, true)),
            least: least.unwrap_or(0.0),
            most: most.unwrap_or(0.0),
            largest: pairs.iter().map(apart).fold(0.0, f64::max),
            mean: mean(&apart),
            variance: mean(&|pair| (pair.0 - mean_expected).powi(2)),
            variance_found: mean(&|pair| (pair.1 - mean_found).powi(2)),
            covariance: mean(&|pair| (pair.0 - mean_expected) * (pair.1 - mean_found)),
        }
    }

    /// Of what is expected, in the model's units.
    pub(super) fn range(&self) -> f64 {
        self.most - self.least
    }

    /// The largest value that is expected, in the model's units.
    pub(super) fn magnitude(&self) -> f64 {
        self.least.abs().max(self.most.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_counted_only() {
        let (nan, expected) = (f32::NAN, [0.0, 1.0, f32::NAN, f32::INFINITY, 4.0]);
        let found = Difference::of(&expected, &[0.0, 2.0, 5.0, nan, nan]);
        assert_eq!((found.lost, found.gained), (1, 1));
        assert_eq!((found.range(), found.magnitude()), (1.0, 1.0));
        assert_eq!((found.largest, found.mean), (1.0, 0.5));
        assert_eq!((found.variance, found.variance_found), (0.25, 1.0));
        assert_eq!(found.covariance, 0.5);
        let none = Difference::of(&[nan], &[nan]);
        assert_eq!((none.range(), none.largest, none.mean), (0.0, 0.0, 0.0));
    }
}
