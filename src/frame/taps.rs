//! Which source samples make an output sample, and with what weights.

#[cfg(target_arch = "x86_64")]
mod quads;

#[cfg(target_arch = "x86_64")]
pub(super) use quads::{BLOCK, Quad, Quads, Window};

/// Coefficient of the cubic kernel, as in OpenCV's `INTER_CUBIC`.
const CUBIC_A: f64 = -0.75;

/// How positions in one direction of the output are laid on one direction of the source:
/// source position = `scale` · output index + `offset`, both counted in samples from the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    scale: f64,
    offset: f64,
}

impl Grid {
    /// Pixel centres at half: the edges of both pictures coincide.
    pub(super) fn half_pixel(source: usize, output: usize) -> Self {
        let scale = source as f64 / output as f64;
        Self {
            scale,
            offset: 0.5 * scale - 0.5,
        }
    }

    /// Aligned corners: the first and last samples of both coincide. A side of one sample shows the first.
    pub(super) fn aligned_corners(source: usize, output: usize) -> Self {
        let scale = if output > 1 {
            (source - 1) as f64 / (output - 1) as f64
        } else {
            0.0
        };
        Self { scale, offset: 0.0 }
    }

    /// The same positions counted in chroma samples, of which there is one to two luma samples; the first
    /// one sits `shift` luma samples behind the first luma sample.
    pub(super) fn of_chroma(self, shift: f64) -> Self {
        Self {
            scale: self.scale / 2.0,
            offset: (self.offset - shift) / 2.0,
        }
    }

    fn position(&self, index: usize) -> f64 {
        self.scale * index as f64 + self.offset
    }
}

/// Samples that a row of scratch has before the first real one, and after the last.
pub(super) const PADDING: usize = 2;

/// Four neighbouring source samples and their weights, for each output sample: cubic interpolation without
/// antialiasing.
#[derive(Debug, Clone, Default)]
pub(super) struct CubicTaps {
    /// Index of the first of the four, counted from [`PADDING`] samples before the first.
    starts: Vec<u32>,
    /// Weights; they sum to 1.
    weights: Vec<[f32; 4]>,
    /// See [`Self::reach`].
    reach: usize,
    #[cfg(target_arch = "x86_64")]
    quads: Option<Quads>,
}

impl CubicTaps {
    /// Taps for `output` samples out of `source`, beyond whose ends the outermost samples repeat.
    pub(super) fn new(grid: Grid, source: usize, output: usize) -> Self {
        let last = source.saturating_sub(1) as f64;
        let (starts, weights): (Vec<u32>, Vec<[f32; 4]>) = (0..output)
            .map(|index| {
                // beyond half a sample outside, all taps see the same repeated sample
                let position = grid.position(index).clamp(-0.999, last + 0.999);
                let before = position.floor();
                // first tap: one before `before`
                let start = before as i64 - 1 + PADDING as i64;
                (start as u32, cubic_weights(position - before))
            })
            .unzip();
        Self {
            reach: starts.iter().max().map_or(0, |&most| most as usize + 4),
            #[cfg(target_arch = "x86_64")]
            quads: Quads::new(&starts, &weights),
            starts,
            weights,
        }
    }

    /// How many samples a row must have, padding included, for all taps to fall on it.
    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    /// Index of the first of each four, counted from [`PADDING`] samples before the first.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The weights of each four; they sum to 1.
    pub(super) fn weights(&self) -> &[[f32; 4]] {
        &self.weights
    }

    /// The same four outputs at a time, where that can be.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn quads(&self) -> Option<&Quads> {
        self.quads.as_ref()
    }

    /// The four source indices of output sample `index`, held inside 0…`source` − 1.
    pub(super) fn clamped(&self, index: usize, source: usize) -> [usize; 4] {
        let start = self.starts[index] as usize;
        [0, 1, 2, 3].map(|tap| (start + tap).saturating_sub(PADDING).min(source - 1))
    }
}

/// Weights of the samples at −1, 0, 1 and 2 for a position `t` between 0 and 1.
fn cubic_weights(t: f64) -> [f32; 4] {
    let near = |x: f64| ((CUBIC_A + 2.0) * x - (CUBIC_A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((CUBIC_A * x - 5.0 * CUBIC_A) * x + 8.0 * CUBIC_A) * x - 4.0 * CUBIC_A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)].map(|weight| weight as f32)
}

/// Two neighbouring source samples for each output sample: linear interpolation.
#[derive(Debug, Clone, Default)]
pub(super) struct LinearTaps {
    first: Vec<u32>,
    second: Vec<u32>,
    fractions: Vec<f32>,
    reach: usize,
}

impl LinearTaps {
    /// Taps for `output` samples out of `source`.
    pub(super) fn new(grid: Grid, source: usize, output: usize) -> Self {
        let last = source.saturating_sub(1) as f64;
        let mut taps = Self::default();
        for index in 0..output {
            let position = grid.position(index).clamp(0.0, last);
            // on a sample but for rounding: take that one alone
            let nearest = position.round();
            let position = if (position - nearest).abs() < 1e-6 {
                nearest
            } else {
                position
            };
            let before = position.floor() as u32;
            let fraction = position.fract() as f32;
            taps.first.push(before);
            taps.second.push(before + u32::from(fraction > 0.0));
            taps.fractions.push(fraction);
        }
        taps.reach = taps
            .second
            .iter()
            .max()
            .map_or(0, |&most| most as usize + 1);
        taps
    }

    /// Index of the sample before each position.
    pub(super) fn first(&self) -> &[u32] {
        &self.first
    }

    /// Index of the sample after it; the same again where it has no weight, so that a NaN there does no
    /// harm.
    pub(super) fn second(&self) -> &[u32] {
        &self.second
    }

    /// Weight of the second; that of the first is 1 less it.
    pub(super) fn fractions(&self) -> &[f32] {
        &self.fractions
    }

    /// How many samples a row must have for all taps to fall on it.
    pub(super) fn reach(&self) -> usize {
        self.reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_interpolate() {
        for step in 0..=100 {
            let weights = cubic_weights(f64::from(step) / 100.0);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
        assert_eq!(cubic_weights(0.0), [0.0, 1.0, 0.0, 0.0]);
        let half = cubic_weights(0.5);
        assert_eq!(half, [-0.09375, 0.59375, 0.59375, -0.09375]);
    }

    #[test]
    fn starts_stay_within_the_padding() {
        for source in 1..40 {
            for output in 1..90 {
                let luma = Grid::half_pixel(source, output);
                let chroma = source.div_ceil(2);
                let grids = [
                    (luma, source),
                    (luma.of_chroma(0.0), chroma),
                    (luma.of_chroma(0.5), chroma),
                ];
                for (grid, samples) in grids {
                    let taps = CubicTaps::new(grid, samples, output);
                    let most = taps.starts().iter().max().copied().unwrap_or_default() as usize;
                    assert!(most + 4 <= samples + 2 * PADDING, "{source} → {output}");
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn quads_are_the_same_taps() {
        for (source, output) in [(9, 1), (40, 7), (77, 33), (100, 16), (160, 17), (5, 64)] {
            let taps = CubicTaps::new(Grid::half_pixel(source, output), source, output);
            let Some(quads) = taps.quads() else {
                assert!(3 * source / output > 20, "{source} → {output}");
                continue;
            };
            let limit = match quads.window() {
                Window::One => 16,
                Window::Two => 32,
            };
            assert_eq!(quads.blocks().len(), output.div_ceil(BLOCK));
            let quads: Vec<Quad> = quads.blocks().iter().flatten().copied().collect();
            for (index, &start) in taps.starts().iter().enumerate() {
                let quad = &quads[index / 4];
                let indices = quad.indices[index % 4];
                assert!(indices.iter().all(|&index| index < limit));
                let expected = [0, 1, 2, 3].map(|tap| start + tap);
                assert_eq!(indices.map(|index| quad.start + u32::from(index)), expected);
                assert_eq!(quad.weights[index % 4], taps.weights()[index]);
            }
        }
        let apart = CubicTaps::new(Grid::half_pixel(400, 10), 400, 10);
        assert!(apart.quads().is_none());
    }

    #[test]
    fn equal_sizes_change_nothing() {
        let taps = CubicTaps::new(Grid::half_pixel(9, 9), 9, 9);
        for index in 0..9 {
            assert_eq!(taps.weights[index], [0.0, 1.0, 0.0, 0.0]);
            assert_eq!(taps.clamped(index, 9)[1], index);
        }
        let taps = LinearTaps::new(Grid::aligned_corners(9, 9), 9, 9);
        assert!(taps.fractions.iter().all(|&fraction| fraction == 0.0));
    }

    #[test]
    fn corners_are_aligned() {
        let taps = LinearTaps::new(Grid::aligned_corners(5, 12), 5, 12);
        let end = f64::from(taps.first[11]) + f64::from(taps.fractions[11]);
        assert_eq!((taps.first[0], taps.fractions[0]), (0, 0.0));
        assert!((end - 4.0).abs() < 1e-6);
        let single = LinearTaps::new(Grid::aligned_corners(5, 1), 5, 1);
        assert_eq!((single.first[0], single.fractions[0]), (0, 0.0));
    }
}
