//! Sums that marks are made of.

/// A running mean; 0 of nothing.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    /// How many values it is of.
    pub(crate) fn count(&self) -> usize {
        self.count as usize
    }

    pub(crate) fn value(&self) -> f64 {
        if self.count > 0.0 {
            self.sum / self.count
        } else {
            0.0
        }
    }
}

/// A straight line through points, by least squares.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Fit {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Fit {
    pub(crate) fn add(&mut self, x: f64, y: f64) {
        self.n += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
    }

    pub(crate) fn count(&self) -> f64 {
        self.n
    }

    /// Gain and bias.
    pub(crate) fn line(&self) -> (f64, f64) {
        let n = self.n.max(1.0);
        let var_x = self.xx - self.x * self.x / n;
        let both = self.xy - self.x * self.y / n;
        let gain = if var_x > 0.0 { both / var_x } else { 0.0 };
        (gain, (self.y - gain * self.x) / n)
    }

    /// Root mean square of y's distance from the line.
    pub(crate) fn error(&self) -> f64 {
        let n = self.n.max(1.0);
        let var_x = self.xx - self.x * self.x / n;
        let var_y = self.yy - self.y * self.y / n;
        let both = self.xy - self.x * self.y / n;
        let explained = if var_x > 0.0 {
            both * both / var_x
        } else {
            0.0
        };
        ((var_y - explained).max(0.0) / n).sqrt()
    }
}

/// How `places` change from `before` to `after`: mean change by the scale and shift that explain most of it, and mean
/// change that is left. The line is the major axis of the points (noise in both frames would make least squares
/// tilt), found without those that are far from it.
pub(crate) fn pair_drift(before: &[f32], after: &[f32], places: &[usize]) -> (f64, f64) {
    let step = places.len() / 20_000 + 1;
    let points: Vec<[f64; 2]> = places
        .iter()
        .step_by(step)
        .map(|&i| [f64::from(before[i]), f64::from(after[i])])
        .collect();
    let mut kept = points.clone();
    let (mut gain, mut bias) = (1.0, 0.0);
    for _ in 0..5 {
        let n = kept.len().max(1) as f64;
        let mean = |axis: usize| kept.iter().map(|point| point[axis]).sum::<f64>() / n;
        let means = [mean(0), mean(1)];
        let variance = |axis: usize| {
            kept.iter()
                .map(|p| (p[axis] - means[axis]).powi(2))
                .sum::<f64>()
                / n
        };
        let (x, y) = (variance(0), variance(1));
        gain = if x > 0.0 { (y / x).sqrt() } else { 1.0 };
        bias = means[1] - gain * means[0];
        let off = |point: &[f64; 2]| (gain * point[0] + bias - point[1]).abs();
        let mut far: Vec<f64> = points.iter().map(off).collect();
        if far.is_empty() {
            return (0.0, 0.0);
        }
        let middle = far.len() / 2;
        let (_, median, _) = far.select_nth_unstable_by(middle, f64::total_cmp);
        let reach = 2.5 * *median + 1e-9;
        kept = points
            .iter()
            .copied()
            .filter(|point| off(point) <= reach)
            .collect();
    }
    let n = points.len() as f64;
    let drift = points
        .iter()
        .map(|[x, _]| (gain * x + bias - x).abs())
        .sum::<f64>()
        / n;
    let rest = points
        .iter()
        .map(|[x, y]| (gain * x + bias - y).abs())
        .sum::<f64>()
        / n;
    (drift, rest)
}

/// The farthest that counts, in metres.
pub(crate) const FARTHEST: f32 = 80.0;

/// Mean share by which the distances of `points`, of what is shown and the true inverse depth, are off, with one scale and
/// shift for all of them; NaN of none.
pub(crate) fn abs_rel<'a, Points: Iterator<Item = (&'a f32, &'a f32)>>(
    points: impl Fn() -> Points,
) -> f64 {
    let near = || points().filter(|(_, truth)| **truth * FARTHEST > 1.0);
    let mut fit = Fit::default();
    near().for_each(|(shown, truth)| fit.add(f64::from(*shown), f64::from(*truth)));
    if fit.count() == 0.0 {
        return f64::NAN;
    }
    let (gain, bias) = fit.line();
    let mut error = Mean::default();
    for (shown, truth) in near() {
        let found = (gain * f64::from(*shown) + bias).max(f64::from(FARTHEST).recip());
        error.add((f64::from(*truth) / found - 1.0).abs());
    }
    error.value()
}
