//! The scale and shift that lay one depth map on another, slowly changing over the picture, found on a coarse grid.

/// Cells on either side that a mean is over: what is larger than twice this is structure, what is smaller is detail. A mean
/// of means is taken, which is smooth.
const SMOOTH: usize = 6;
/// Cells on either side that scale and shift are fitted over.
const FIT: usize = 24;
/// Rounds of the fit: after the first, cells that it does not explain count for less.
const ROUNDS: usize = 2;
/// A cell that is off by so many times the mean of its surroundings counts half.
const DOUBT: f32 = 2.0;
/// The largest scale, in shares of that of the whole tile. A flat spot has none of its own.
const STEEPEST: f32 = 3.0;
/// Share of the mean variance that is added to each: where there is none, there is nothing to scale.
const FLAT: f64 = 1e-3;

/// `value · scale + shift`, for each cell of a grid.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// `[rows, columns]`.
    pub(super) scale: Vec<f32>,
    /// `[rows, columns]`; NaN where neither map has anything near.
    pub(super) shift: Vec<f32>,
    scratch: Scratch,
}

/// Buffers to use again.
#[derive(Debug, Default)]
struct Scratch {
    weights: Vec<f32>,
    values: Vec<f32>,
    targets: Vec<f32>,
    product: Vec<f32>,
    mean_value: Vec<f32>,
    mean_target: Vec<f32>,
    variance: Vec<f32>,
    slope: Vec<f32>,
    boxes: Boxes,
}

impl Fit {
    /// Finds what takes `values` to `targets`, both `[rows, columns]` with `columns` in a row: large structure becomes that
    /// of the targets, and what the values have of smaller structure is scaled to them. Cells that are not finite in both
    /// count for nothing.
    pub(super) fn find(&mut self, values: &[f32], targets: &[f32], columns: usize) {
        let Self {
            scale,
            shift,
            scratch,
        } = self;
        let Scratch {
            weights,
            values: own_values,
            targets: own_targets,
            product,
            mean_value,
            mean_target,
            variance,
            slope,
            boxes,
        } = scratch;
        weights.clear();
        weights.extend(values.iter().zip(targets).map(|(value, target)| {
            let known = value.is_finite() && target.is_finite();
            if known { 1.0 } else { 0.0 }
        }));
        // around their means, so that metres far away keep their digits
        let value_offset = mean(values, weights);
        let target_offset = mean(targets, weights);
        take_off(values, weights, value_offset, own_values);
        take_off(targets, weights, target_offset, own_targets);
        let known = weights.clone();

        for round in 0..ROUNDS {
            boxes.mean(own_values, weights, columns, FIT, mean_value);
            boxes.mean(own_targets, weights, columns, FIT, mean_target);
            multiply(own_values, own_values, product);
            boxes.mean(product, weights, columns, FIT, variance);
            multiply(own_values, own_targets, product);
            boxes.mean(product, weights, columns, FIT, slope);
            for (variance, mean) in variance.iter_mut().zip(&*mean_value) {
                *variance = (*variance - mean * mean).max(0.0);
            }
            let means = mean_value.iter().zip(&*mean_target);
            for (slope, (value, target)) in slope.iter_mut().zip(means) {
                *slope -= value * target;
            }
            // NaN where nothing is known
            let sum = |values: &[f32]| -> f64 {
                let positive = values.iter().filter(|&&value| value > 0.0);
                positive.map(|&value| f64::from(value)).sum()
            };
            let (total, covariance) = (sum(variance), sum(slope));
            let flat = (FLAT * total / variance.len().max(1) as f64) as f32 + f32::MIN_POSITIVE;
            let most = STEEPEST * (covariance / total.max(f64::MIN_POSITIVE)) as f32;
            for (slope, variance) in slope.iter_mut().zip(&*variance) {
                *slope = (*slope / (variance + flat)).clamp(0.0, most.max(0.0));
            }
            boxes.mean(slope, &known, columns, FIT, scale);
            if round + 1 == ROUNDS {
                break;
            }
            // what it does not explain
            product.clear();
            product.extend((0..own_values.len()).map(|i| {
                let value = scale[i] * (own_values[i] - mean_value[i]);
                (own_targets[i] - mean_target[i] - value).abs()
            }));
            boxes.mean(product, &known, columns, FIT, variance);
            for (i, weight) in weights.iter_mut().enumerate() {
                let usual = DOUBT * variance[i] + f32::MIN_POSITIVE;
                *weight = known[i] / (1.0 + (product[i] / usual).powi(2));
            }
        }
        boxes.mean(own_values, &known, columns, SMOOTH, product);
        boxes.mean(product, &known, columns, SMOOTH, mean_value);
        boxes.mean(own_targets, &known, columns, SMOOTH, product);
        boxes.mean(product, &known, columns, SMOOTH, mean_target);
        shift.clear();
        shift.extend((0..own_values.len()).map(|i| {
            let value = scale[i] * (mean_value[i] + value_offset);
            mean_target[i] + target_offset - value
        }));
    }
}

fn mean(values: &[f32], weights: &[f32]) -> f32 {
    let known = values
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0);
    let (sum, count) = known.fold((0.0, 0.0), |(sum, count), (value, _)| {
        (sum + f64::from(*value), count + 1.0)
    });
    (sum / f64::max(count, 1.0)) as f32
}

fn take_off(values: &[f32], weights: &[f32], offset: f32, out: &mut Vec<f32>) {
    out.clear();
    let cells = values.iter().zip(weights);
    out.extend(cells.map(|(value, weight)| if *weight > 0.0 { value - offset } else { 0.0 }));
}

fn multiply(a: &[f32], b: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(a.iter().zip(b).map(|(a, b)| a * b));
}

/// Weighted means over squares, in time that does not depend on their size.
#[derive(Debug, Default)]
pub(super) struct Boxes {
    /// Running sums of each column over the rows of the square: weighted values, and weights.
    columns: Vec<[f64; 2]>,
    before: Vec<[f64; 2]>,
}

impl Boxes {
    /// For each cell of `values`, `columns` in a row, the mean of those at most `reach` rows and columns away, as `weights`
    /// say; beyond the border there are none. Where all weigh nothing the mean is NaN.
    pub(super) fn mean(
        &mut self,
        values: &[f32],
        weights: &[f32],
        columns: usize,
        reach: usize,
        out: &mut Vec<f32>,
    ) {
        out.clear();
        let columns = columns.max(1);
        let rows = values.len() / columns;
        let row = |row: usize| {
            let cells = row * columns..(row + 1) * columns;
            values[cells.clone()].iter().zip(&weights[cells])
        };
        self.columns.clear();
        self.columns.resize(columns, [0.0; 2]);
        let (sums, before) = (&mut self.columns, &mut self.before);
        for ahead in 0..reach.min(rows) {
            add(sums, row(ahead), 1.0);
        }
        for y in 0..rows {
            if y + reach < rows {
                add(sums, row(y + reach), 1.0);
            }
            if y > reach {
                add(sums, row(y - reach - 1), -1.0);
            }
            before.clear();
            before.push([0.0_f64; 2]);
            let mut total = [0.0_f64; 2];
            before.extend(sums.iter().map(|sum| {
                total = [total[0] + sum[0], total[1] + sum[1]];
                total
            }));
            out.extend((0..columns).map(|x| {
                let (start, end) = (x.saturating_sub(reach), (x + reach + 1).min(columns));
                let [sum, weight] = [0, 1].map(|part| before[end][part] - before[start][part]);
                // sums that go up and down end near nothing
                if weight > 1e-6 {
                    (sum / weight) as f32
                } else {
                    f32::NAN
                }
            }));
        }
    }
}

fn add<'a>(sums: &mut [[f64; 2]], cells: impl Iterator<Item = (&'a f32, &'a f32)>, sign: f64) {
    for (sum, (value, weight)) in sums.iter_mut().zip(cells) {
        // what weighs nothing may be NaN
        if *weight > 0.0 {
            let weight = sign * f64::from(*weight);
            sum[0] += weight * f64::from(*value);
            sum[1] += weight;
        }
    }
}
