//! Edge refinement: steps of the depth map are moved to the edges of the picture before it is enlarged.
//!
//! A network blurs the edge of a thing over a few cells of its depth map and is off by as many, which nine cells
//! around a pixel can't mend. Where there is a step, each cell therefore takes the depth that those around it with its
//! own luma agree on: a weighted median (Ma, He, Wei, Sun and Wu, "Constant Time Weighted Median Filtering", 2013), found
//! as a weighted mean that then forgets what is far from it. Of seventeen cells across and down every tenth is asked.
//!
//! Texture must not get into the depth of a slope, where luma would decide which of many depths is taken. A window is
//! thus seen as nine parts, of seven cells across and down: a slope has three eighths of its range in each, a step most of
//! it in one. A step that is all between two neighbours is not blurred, and stays where it is.

use super::kernel::range_weight;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::lanes::{LANES, Lanes, variants};
use crate::frame::extremes;
use crate::frame::simd::Simd;
use crate::geometry::Size;

/// Cells on either side of one that its depth may come from.
const REACH: usize = 8;
/// Of a part of the window.
const PART: usize = 3;
/// From one part to the next.
const APART: usize = REACH - PART;
const TAPS: usize = 29;

/// What is this far from the mean, of the window's range, has no say in the end.
const FAR: f32 = 0.35;
/// A step is left alone up to the first, taken for a step from the second on: of the depth map's range,
const STEP: [f32; 2] = [0.02, 0.04];
/// and of the window's range, in the part that has most of it.
const STEEP: [f32; 2] = [0.4, 0.5];
/// A step is taken for blurred up to the first, for sharp from the second on: of the window's range, between two
/// neighbours.
const SHARP: [f32; 2] = [0.7, 0.9];

/// Down and across, from the cell itself: a lattice, so that no row or column is asked twice as much as another.
const LATTICE: [(usize, usize); TAPS] = lattice();

const fn lattice() -> [(usize, usize); TAPS] {
    let mut taps = [(0, 0); TAPS];
    let (mut count, mut down) = (0, 0);
    while down <= 2 * REACH {
        let mut across = 0;
        while across <= 2 * REACH {
            // the middle of the window is (8, 8), and on it
            if (across + 3 * down + 8).is_multiple_of(10) {
                taps[count] = (down, across);
                count += 1;
            }
            across += 1;
        }
        down += 1;
    }
    assert!(count == TAPS);
    taps
}

/// A map with [`REACH`] more values on each side, and room for the lanes of the last ones.
#[derive(Debug, Clone, Default)]
struct Padded {
    values: Vec<f32>,
    stride: usize,
}

impl Padded {
    /// `beyond`: what is as far beyond the outermost value, the first argument, as the second is on this side.
    fn fill(&mut self, values: &[f32], width: usize, beyond: impl Fn(f32, f32) -> f32) {
        let stride = (width + 2 * REACH).next_multiple_of(LANES) + LANES;
        let height = values.len() / width;
        self.stride = stride;
        self.values.resize((height + 2 * REACH) * stride, 0.0);
        let padded = self.values.chunks_exact_mut(stride).skip(REACH);
        for (out, row) in padded.zip(values.chunks_exact(width)) {
            let (before, out) = out.split_at_mut(REACH);
            let (out, after) = out.split_at_mut(width);
            for (out, &value) in out.iter_mut().zip(row) {
                // the range of a window with one that is not finite is not either
                *out = if value.is_finite() {
                    value
                } else {
                    f32::INFINITY
                };
            }
            let last = width - 1;
            for (away, value) in before.iter_mut().rev().enumerate() {
                *value = beyond(out[0], out[(away + 1).min(last)]);
            }
            for (away, value) in after.iter_mut().enumerate() {
                *value = beyond(out[last], out[last.saturating_sub(away + 1)]);
            }
        }
        let last = height - 1;
        for away in 1..=REACH {
            let rows = [
                (REACH - away, REACH, REACH + away.min(last)),
                (
                    REACH + last + away,
                    REACH + last,
                    REACH + last.saturating_sub(away),
                ),
            ];
            for (row, edge, mirrored) in rows {
                for x in 0..stride {
                    let at = |row: usize| self.values[row * stride + x];
                    self.values[row * stride + x] = beyond(at(edge), at(mirrored));
                }
            }
        }
    }
}

/// A slope goes on beyond the edge, so that it is none that ends there.
fn onward(edge: f32, mirrored: f32) -> f32 {
    let value = 2.0 * edge - mirrored;
    if value.is_finite() {
        value
    } else {
        f32::INFINITY
    }
}

/// Mends depth maps of one size.
#[derive(Debug, Clone)]
pub(super) struct EdgeRefinement {
    size: Size,
    depth: Padded,
    luma: Padded,
    /// Depth as if slopes went on; only to tell steps.
    slopes: Padded,
    /// Least, most and largest step between neighbours of each part, by its middle; padded as the depth is.
    parts: [Vec<f32>; 3],
    /// One row of these, of columns.
    row: [Vec<f32>; 3],
    pub(super) simd: Simd,
}

impl EdgeRefinement {
    pub(super) fn new(size: Size) -> Self {
        Self {
            size,
            depth: Padded::default(),
            luma: Padded::default(),
            slopes: Padded::default(),
            parts: Default::default(),
            row: Default::default(),
            simd: Simd::detect(),
        }
    }

    /// Gives `out` the depth map, mended. `luma`: mean of each cell; `range`: what the frame shows of the depth, in its
    /// units. Cells that see one that is not finite stay as they are.
    pub(super) fn refine(&mut self, depth: &[f32], luma: &[f32], range: f32, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(depth);
        let width = self.size.width as usize;
        // a map without a range has no steps
        let range = range.min(span(depth));
        if !(range > 0.0 && range.is_finite()) {
            return;
        }
        self.depth.fill(depth, width, |_, mirrored| mirrored);
        self.luma.fill(luma, width, |_, mirrored| mirrored);
        self.slopes.fill(depth, width, onward);
        self.measure_parts();
        let [low, high, steps] = &self.parts;
        let window = Window {
            depth: &self.depth.values,
            luma: &self.luma.values,
            low,
            high,
            steps,
            stride: self.depth.stride,
            least: STEP.map(|share| share * range),
        };
        for (y, out) in out.chunks_exact_mut(width).enumerate() {
            mend_row(self.simd, &window, y, out);
        }
    }

    fn measure_parts(&mut self) {
        let Padded { values, stride } = &self.slopes;
        for part in &mut self.parts {
            part.resize(values.len(), 0.0);
        }
        for row in &mut self.row {
            row.resize(*stride, 0.0);
        }
        let rows = values.len() / stride - 2 * PART;
        let [low, high, steps] = &mut self.parts;
        for y in 0..rows {
            let around = std::array::from_fn(|down| &values[(y + down) * stride..][..*stride]);
            let middle = (y + PART) * stride;
            let [low, high, steps] =
                [&mut *low, &mut *high, &mut *steps].map(|part| &mut part[middle..][..*stride]);
            measure_columns(self.simd, around, &mut self.row);
            let [least, most, step] = &self.row;
            find_lowest(self.simd, least, low);
            find_highest(self.simd, most, high);
            find_highest(self.simd, step, steps);
        }
    }
}

/// From the least to the most of what is finite; negative if nothing is.
fn span(values: &[f32]) -> f32 {
    extremes(values).map_or(-1.0, |(low, high)| high - low)
}

/// What the windows of all cells are cut from.
pub(super) struct Window<'a> {
    depth: &'a [f32],
    luma: &'a [f32],
    low: &'a [f32],
    high: &'a [f32],
    steps: &'a [f32],
    stride: usize,
    /// [`STEP`] in the units of the depth.
    least: [f32; 2],
}

variants! {
    /// Least, most and largest step between neighbours of each column of some rows.
    measure_columns => columns_with, (rows: [&[f32]; 2 * PART + 1], out: &mut [Vec<f32>; 3]);
    /// The least of columns side by side, by the one in the middle.
    find_lowest => lowest_with, (row: &[f32], out: &mut [f32]);
    /// The most of them.
    find_highest => highest_with, (row: &[f32], out: &mut [f32]);
    /// Mends what is a step in row `y`; `out` has the row as it is.
    mend_row => mend, (window: &Window<'_>, y: usize, out: &mut [f32]);
}

#[inline(always)]
fn columns_with<V: Lanes>(proof: V::Proof, rows: [&[f32]; 2 * PART + 1], out: &mut [Vec<f32>; 3]) {
    let [low, high, steps] = out;
    let out = low.as_chunks_mut().0.iter_mut();
    let out = out.zip(high.as_chunks_mut().0).zip(steps.as_chunks_mut().0);
    for (block, ((low, high), steps)) in out.enumerate() {
        let x = block * LANES;
        // closures would not be compiled for what the processor can
        let mut at = [V::splat(proof, 0.0); 2 * PART + 1];
        for (at, row) in at.iter_mut().zip(rows) {
            *at = V::load(proof, row, x);
        }
        lowest(at).store(low);
        highest(at).store(high);
        // the last of a row has no neighbour, and is not asked for
        let next = (x + 1).min(rows[0].len() - LANES);
        let mut step = V::splat(proof, 0.0);
        for (down, row) in rows.iter().enumerate() {
            step = step.max(apart(V::load(proof, row, next), at[down]));
            step = step.max(apart(at[down], at[down.saturating_sub(1)]));
        }
        step.store(steps);
    }
}

#[inline(always)]
fn apart<V: Lanes>(a: V, b: V) -> V {
    a.sub(b).max(b.sub(a))
}

#[inline(always)]
fn lowest_with<V: Lanes>(proof: V::Proof, row: &[f32], out: &mut [f32]) {
    for (block, out) in out[PART..].as_chunks_mut().0.iter_mut().enumerate() {
        lowest(shifted::<V>(proof, row, block * LANES)).store(out);
    }
}

#[inline(always)]
fn highest_with<V: Lanes>(proof: V::Proof, row: &[f32], out: &mut [f32]) {
    for (block, out) in out[PART..].as_chunks_mut().0.iter_mut().enumerate() {
        highest(shifted::<V>(proof, row, block * LANES)).store(out);
    }
}

#[inline(always)]
fn shifted<V: Lanes>(proof: V::Proof, row: &[f32], x: usize) -> [V; 2 * PART + 1] {
    let mut at = [V::splat(proof, 0.0); 2 * PART + 1];
    for (by, at) in at.iter_mut().enumerate() {
        *at = V::load(proof, row, x + by);
    }
    at
}

#[inline(always)]
fn lowest<V: Lanes>([a, b, c, d, e, f, g]: [V; 2 * PART + 1]) -> V {
    a.min(b).min(c.min(d)).min(e.min(f).min(g))
}

#[inline(always)]
fn highest<V: Lanes>([a, b, c, d, e, f, g]: [V; 2 * PART + 1]) -> V {
    a.max(b).max(c.max(d)).max(e.max(f).max(g))
}

#[inline(always)]
fn mend<V: Lanes>(proof: V::Proof, window: &Window<'_>, y: usize, out: &mut [f32]) {
    let row = |down: usize| (y + down) * window.stride;
    let mut taps = [0; TAPS];
    for (tap, (down, across)) in taps.iter_mut().zip(LATTICE) {
        *tap = row(down) + across;
    }
    let parts = [REACH - APART, REACH, REACH + APART];
    let parts_down = parts.map(row);
    let (mut shares, mut agreement) = ([0.0; LANES], [0.0; LANES]);
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let x = block * LANES;
        let (mut low, mut high) = (
            V::splat(proof, f32::INFINITY),
            V::splat(proof, f32::NEG_INFINITY),
        );
        let (mut steepest, mut step) = (V::splat(proof, 0.0), V::splat(proof, 0.0));
        for row in parts_down {
            for across in parts {
                let least = V::load(proof, window.low, row + x + across);
                let most = V::load(proof, window.high, row + x + across);
                (low, high) = (low.min(least), high.max(most));
                steepest = steepest.max(most.sub(least));
                step = step.max(V::load(proof, window.steps, row + x + across));
            }
        }
        let range = high.sub(low);
        let blurred = V::splat(proof, 1.0).sub(between(proof, step.div(range), SHARP));
        // a window without a range, or with values that are not finite, has no step
        between(proof, steepest, window.least)
            .mul(between(proof, steepest.div(range), STEEP))
            .mul(blurred)
            .store(&mut shares);
        let mut any = 0.0;
        for share in &shares {
            any += share;
        }
        if any <= 0.0 {
            continue;
        }
        agreed(proof, window, &taps, x, range).store(&mut agreement);
        for ((out, share), agreed) in out.iter_mut().zip(shares).zip(agreement) {
            if share > 0.0 {
                *out += share * (agreed - *out);
            }
        }
    }
}

/// From 0 at the first bound to 1 at the second; 0 of NaN.
#[inline(always)]
fn between<V: Lanes>(proof: V::Proof, value: V, [none, full]: [f32; 2]) -> V {
    let share = value
        .sub(V::splat(proof, none))
        .mul(V::splat(proof, (full - none).recip()));
    share.max(V::splat(proof, 0.0)).min(V::splat(proof, 1.0))
}

/// The depth that the cells around each with its luma agree on.
#[inline(always)]
fn agreed<V: Lanes>(
    proof: V::Proof,
    window: &Window<'_>,
    taps: &[usize; TAPS],
    x: usize,
    range: V,
) -> V {
    let own = V::load(proof, window.luma, taps[TAPS / 2] + x);
    let (one, nothing) = (V::splat(proof, 1.0), V::splat(proof, 0.0));
    let mut shares = [nothing; TAPS];
    let (mut sum, mut weight) = (nothing, nothing);
    for (share, tap) in shares.iter_mut().zip(taps) {
        *share = range_weight(proof, V::load(proof, window.luma, tap + x).sub(own));
        sum = sum.add(share.mul(V::load(proof, window.depth, tap + x)));
        weight = weight.add(*share);
    }
    let middle = sum.div(weight);
    let scale = one.div(range.mul(V::splat(proof, FAR)));
    // should all be far, it stays where it is
    let mut near = weight.mul(V::splat(proof, 1e-6));
    let mut sum = near.mul(middle);
    for (share, tap) in shares.iter().zip(taps) {
        let depth = V::load(proof, window.depth, tap + x);
        let off = depth.sub(middle).mul(scale);
        let close = one.sub(off.mul(off)).max(nothing);
        let share = share.mul(close.mul(close));
        sum = sum.add(share.mul(depth));
        near = near.add(share);
    }
    sum.div(near)
}
