//! The inner loops, a row at a time. Each variant is the same code on other lanes, and gives the same bits.

use super::Spline;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{LANES, Lanes, variants};

/// A row of the depth map, and the luma of its cells, as the columns of the frame see it: for each column the nearest
/// cell, the one before and the one after it. There is room for whole lanes.
#[derive(Debug, Clone, Default)]
pub(super) struct Stretched {
    pub(super) luma: [Vec<f32>; 3],
    pub(super) depth: [Vec<f32>; 3],
    /// Whether all of the depth is finite.
    pub(super) finite: bool,
}

impl Stretched {
    pub(super) fn new(columns: usize) -> Self {
        let three = || [0, 1, 2].map(|_| vec![0.0; columns.next_multiple_of(LANES)]);
        Self {
            luma: three(),
            depth: three(),
            finite: true,
        }
    }
}

/// Luma this far apart, of 255, has nothing to do with each other.
const REACH: f32 = 18.0;
/// What a cell weighs at least, before squaring: where nothing resembles a pixel all do the same.
const LEAST: f32 = 0.02;

/// Weight of a cell whose luma differs by `difference`.
#[inline(always)]
pub(super) fn range_weight<V: Lanes>(proof: V::Proof, difference: V) -> V {
    let off = difference.mul(V::splat(proof, 1.0 / REACH));
    let like = V::splat(proof, 1.0)
        .sub(off.mul(off))
        .max(V::splat(proof, LEAST));
    like.mul(like)
}

/// Of one row of the frame.
pub(super) struct Row<'a> {
    /// There is room for whole lanes in it, as in `across`.
    pub(super) luma: &'a [f32],
    /// The rows of the depth map around it, and what they weigh.
    pub(super) rows: [&'a Stretched; 3],
    pub(super) down: [f32; 3],
    /// Weights of the three cells, for each column.
    pub(super) across: &'a [Vec<f32>; 3],
}

variants! {
    /// For each column the cell before its nearest, that one, and the one after it, of a padded row.
    spread => spread_with, (padded: &[f32], columns: &Spline, out: &mut [Vec<f32>; 3]);
    /// The depth of each column, as samples that are not rounded yet.
    lead => lead_with, (row: &Row<'_>, out: &mut [f32]);
    /// Rounds to samples, halves to even; NaN becomes 0.
    finish => finish_with, (values: &[f32], big_endian: bool, out: &mut [u8]);
}

#[inline(always)]
fn spread_with<V: Lanes>(
    proof: V::Proof,
    padded: &[f32],
    columns: &Spline,
    out: &mut [Vec<f32>; 3],
) {
    let offsets = columns.offsets.as_chunks().0;
    let firsts = columns.firsts.as_chunks::<2>().0;
    for (by, out) in out.iter_mut().enumerate() {
        let out = out.as_chunks_mut().0;
        for ((out, offsets), [first, second]) in out.iter_mut().zip(offsets).zip(firsts) {
            V::pick(proof, padded, [first + by, second + by], offsets).store(out);
        }
    }
}

#[inline(always)]
fn lead_with<V: Lanes>(proof: V::Proof, row: &Row<'_>, out: &mut [f32]) {
    for (block, out) in out.as_chunks_mut().0.iter_mut().enumerate() {
        let x = block * LANES;
        let luma = V::load(proof, row.luma, x);
        let mut across = [V::splat(proof, 0.0); 3];
        for (near, weights) in across.iter_mut().zip(row.across) {
            *near = V::load(proof, weights, x);
        }
        let (mut sum, mut weight) = (V::splat(proof, 0.0), V::splat(proof, 0.0));
        for (cells, down) in row.rows.into_iter().zip(row.down) {
            let (mut of_row, mut weight_of_row) = (V::splat(proof, 0.0), V::splat(proof, 0.0));
            let taps = cells.luma.iter().zip(&cells.depth).zip(across);
            for ((cell, depth), near) in taps {
                let share = range_weight(proof, luma.sub(V::load(proof, cell, x))).mul(near);
                of_row = of_row.add(share.mul(V::load(proof, depth, x)));
                weight_of_row = weight_of_row.add(share);
            }
            let down = V::splat(proof, down);
            sum = sum.add(down.mul(of_row));
            weight = weight.add(down.mul(weight_of_row));
        }
        sum.div(weight).store(out);
    }
}

/// As [`lead`], where some depth is not finite: what is not finite has no weight, and where the nearest cell is not, the
/// result is NaN.
pub(super) fn lead_by_what_is_finite(row: &Row<'_>, out: &mut [f32]) {
    for (x, (out, &luma)) in out.iter_mut().zip(row.luma).enumerate() {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (cells, down) in row.rows.iter().zip(row.down) {
            let taps = cells.depth.iter().zip(&cells.luma).zip(row.across);
            for ((depth, cell), near) in taps {
                let depth = depth[x];
                if depth.is_finite() {
                    let [like, ..] = range_weight((), [luma - cell[x]; LANES]);
                    let share = like * near[x] * down;
                    weight += share;
                    sum += share * depth;
                }
            }
        }
        let known = row.rows[1].depth[1][x].is_finite();
        *out = if known { sum / weight } else { f32::NAN };
    }
}

#[inline(always)]
fn finish_with<V: Lanes>(proof: V::Proof, values: &[f32], big_endian: bool, out: &mut [u8]) {
    // the last bits of this and a sample are the sample, rounded as the sum is
    const SHIFT: f32 = (1 << 23) as f32;
    let pixels = out.as_chunks_mut::<2>().0;
    for (out, values) in pixels.chunks_mut(LANES).zip(values.as_chunks::<LANES>().0) {
        let mut samples = [0.0; LANES];
        // `max` takes the other of a NaN and a number
        V::load(proof, values, 0)
            .max(V::splat(proof, 0.0))
            .min(V::splat(proof, 65535.0))
            .add(V::splat(proof, SHIFT))
            .store(&mut samples);
        for (out, sample) in out.iter_mut().zip(samples) {
            let sample = sample.to_bits() as u16;
            *out = if big_endian {
                sample.to_be_bytes()
            } else {
                sample.to_le_bytes()
            };
        }
    }
}
