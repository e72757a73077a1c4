//! The scale and shift between two frames' depth, found from what agrees and in spite of what does not.

/// `gain · value + bias`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    pub(super) gain: f64,
    pub(super) bias: f64,
}

impl Affine {
    pub(super) fn apply(&self, value: f64) -> f64 {
        self.gain * value + self.bias
    }

    /// The value that becomes `result`.
    pub(super) fn invert(&self, result: f64) -> f64 {
        (result - self.bias) / self.gain
    }
}

/// Rounds of reweighting; what is not settled by then agrees on nothing.
const ROUNDS: usize = 6;
/// Residuals beyond this many standard deviations of the others count for nothing.
const REJECT: f64 = 3.0;
/// Standard deviation, in shares of the range, below which nothing is an outlier.
const FLOOR: f64 = 1e-4;
/// A cell agrees when it is no farther off than this share of the range.
const AGREES: f64 = 0.05;
/// Share of the weight that must agree.
const QUORUM: f64 = 0.5;

/// The affine map that takes `values` to `targets`, whose range is about 1; `None` when no single one explains most
/// of them. `weights` say beforehand how much each is to be believed: 0 for what is not known.
///
/// Iteratively reweighted least squares with Tukey's biweight, its scale from the median absolute residual (Holland
/// and Welsch, 1977).
pub(super) fn affine(values: &[f32], targets: &[f32], weights: &[f32]) -> Option<Affine> {
    let heaviest = weights.iter().copied().fold(0.0, f32::max);
    let points = points(values, targets, weights);
    let mut robust: Vec<f64> = points.iter().map(|point| point[2]).collect();
    let mut residuals = Vec::with_capacity(points.len());
    let mut found = None;
    for _ in 0..ROUNDS {
        let affine = least_squares(&points, &robust)?;
        residuals.clear();
        let credible = points
            .iter()
            .filter(|[_, _, weight]| *weight > 0.2 * f64::from(heaviest));
        residuals.extend(
            credible.map(|&[value, target, _]| (affine.apply(value) - target).abs() as f32),
        );
        let middle = residuals.len() / 2;
        let (_, median, _) = residuals.select_nth_unstable_by(middle, f32::total_cmp);
        let reach = REJECT * (1.4826 * f64::from(*median)).max(FLOOR);
        for (robust, &[value, target, weight]) in robust.iter_mut().zip(&points) {
            let off = ((affine.apply(value) - target) / reach).powi(2);
            *robust = weight * (1.0 - off.min(1.0)).powi(2);
        }
        found = Some(affine);
    }
    let affine = found.filter(|affine| affine.gain > 0.0)?;
    agrees(&points, affine).then_some(affine)
}

/// As [`affine`], by least absolute deviations: what the network judges anew in a part of the picture, while something is
/// there, neither counts for all nor for nothing, so that all of it together stays where it was as nearly as can be.
///
/// Iteratively reweighted least squares (Schlossmacher, 1973). `values` are in the units of `targets`, about.
pub(super) fn of_most(values: &[f32], targets: &[f32], weights: &[f32]) -> Option<Affine> {
    /// Deviations below this share of the range are noise, and count as squares.
    const NOISE: f64 = 2e-3;
    const ROUNDS: usize = 8;
    let points = points(values, targets, weights);
    let mut robust: Vec<f64> = points.iter().map(|point| point[2]).collect();
    let mut found = least_squares(&points, &robust)?;
    for _ in 0..ROUNDS {
        for (robust, &[value, target, weight]) in robust.iter_mut().zip(&points) {
            *robust = weight / (found.apply(value) - target).abs().max(NOISE);
        }
        found = least_squares(&points, &robust)?;
    }
    (found.gain > 0.0 && agrees(&points, found)).then_some(found)
}

/// Value, target and weight of each, where there is any.
fn points(values: &[f32], targets: &[f32], weights: &[f32]) -> Vec<[f64; 3]> {
    values
        .iter()
        .zip(targets)
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|((&value, &target), &weight)| {
            [f64::from(value), f64::from(target), f64::from(weight)]
        })
        .collect()
}

/// Whether most of `points`, by their weight, agree to a map.
fn agrees(points: &[[f64; 3]], affine: Affine) -> bool {
    let total: f64 = points.iter().map(|point| point[2]).sum();
    let agreeing: f64 = points
        .iter()
        .filter(|[value, target, _]| (affine.apply(*value) - target).abs() < AGREES)
        .map(|point| point[2])
        .sum();
    agreeing > QUORUM * total
}

/// The line through `points`, value, target and anything, with these weights.
pub(super) fn least_squares(points: &[[f64; 3]], weights: &[f64]) -> Option<Affine> {
    let (mut total, mut mean_value, mut mean_target) = (0.0, 0.0, 0.0);
    for (&[value, target, _], &weight) in points.iter().zip(weights) {
        total += weight;
        mean_value += weight * value;
        mean_target += weight * target;
    }
    if total <= 0.0 {
        return None;
    }
    mean_value /= total;
    mean_target /= total;
    let (mut variance, mut covariance) = (0.0, 0.0);
    for (&[value, target, _], &weight) in points.iter().zip(weights) {
        let off = value - mean_value;
        variance += weight * off * off;
        covariance += weight * off * (target - mean_target);
    }
    let gain = covariance / variance;
    let bias = mean_target - gain * mean_value;
    (gain.is_finite() && bias.is_finite()).then_some(Affine { gain, bias })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<f32> {
        (0..1000).map(|i| (i as f32 * 0.37).sin().abs()).collect()
    }

    #[test]
    fn scale_and_shift_are_found_in_spite_of_a_third_that_moved() {
        let mut targets = targets();
        let values: Vec<f32> = targets.iter().map(|target| 40.0 * target - 7.0).collect();
        for target in &mut targets[..330] {
            *target = 1.3 - 0.5 * *target;
        }
        let found = affine(&values, &targets, &[1.0; 1000]).unwrap();
        assert!((found.gain * 40.0 - 1.0).abs() < 1e-4, "{found:?}");
        assert!(found.apply(-7.0).abs() < 1e-4);
        assert!((found.invert(0.25) - 3.0).abs() < 1e-2);
    }

    #[test]
    fn most_of_the_picture_stays_where_it_was() {
        let targets = targets();
        // a third is judged nearer, by no more than what may be noise
        let values: Vec<f32> = targets
            .iter()
            .enumerate()
            .map(|(i, target)| target + if i % 3 == 0 { 0.04 } else { 0.0 })
            .collect();
        let found = of_most(&values, &targets, &[1.0; 1000]).unwrap();
        for value in [0.0, 0.5, 1.0] {
            assert!((found.apply(value) - value).abs() < 2e-3, "{found:?}");
        }
        assert_eq!(of_most(&[1.0; 1000], &targets, &[1.0; 1000]), None, "flat");
        assert_eq!(of_most(&[], &[], &[]), None);
    }

    #[test]
    fn what_has_no_weight_has_no_say() {
        let targets = targets();
        let mut values: Vec<f32> = targets.iter().map(|target| 2.0 * target).collect();
        let mut weights = [1.0; 1000];
        for i in 0..600 {
            values[i] = f32::NAN;
            weights[i] = 0.0;
        }
        let found = affine(&values, &targets, &weights).unwrap();
        assert!((found.gain - 0.5).abs() < 1e-6);
    }

    #[test]
    fn nothing_in_common_is_no_answer() {
        let targets = targets();
        let unrelated: Vec<f32> = (0..1000).map(|i| (i as f32 * 1.91).cos()).collect();
        let upside_down: Vec<f32> = targets.iter().map(|target| -target).collect();
        assert_eq!(affine(&unrelated, &targets, &[1.0; 1000]), None);
        assert_eq!(affine(&upside_down, &targets, &[1.0; 1000]), None);
        assert_eq!(affine(&[1.0; 1000], &targets, &[1.0; 1000]), None, "flat");
        assert_eq!(affine(&targets, &targets, &[0.0; 1000]), None);
        assert_eq!(affine(&[], &[], &[]), None);
    }
}
