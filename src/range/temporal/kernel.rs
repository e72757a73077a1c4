//! The inner loops. They vectorise by themselves; the variant for AVX2 is the same code, compiled for it, and gives the
//! same bits.

use super::REACH;
use super::flow::Flow;
use crate::frame::simd::Simd;
use crate::geometry::Size;
use crate::range::align::Affine;

/// Pixels that are looked at around each one, one way.
const WINDOW: usize = 2 * REACH + 1;

/// What a frame in which nothing moves adds to the trust in a pixel: after motion it takes five to average in full. Where
/// motion comes and goes, patches that lag would stand beside others that do not.
const TRUST: f32 = 0.2;

/// From depth, and from what was shown in the frame before, to 0…1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    /// Depth that varies little around a large value would lose its steps in single precision.
    zero: f32,
    rest: f32,
    gain: f32,
    back: f32,
    carry: f32,
    shift: f32,
}

impl Units {
    pub(super) fn new(show: Affine, carry: Affine) -> Self {
        let zero = (-show.bias / show.gain) as f32;
        Self {
            zero,
            rest: (show.bias + f64::from(zero) * show.gain) as f32,
            gain: show.gain as f32,
            back: show.gain.recip() as f32,
            carry: carry.gain as f32,
            shift: carry.bias as f32,
        }
    }

    #[inline(always)]
    pub(super) fn now(&self, depth: f32) -> f32 {
        (depth - self.zero) * self.gain + self.rest
    }

    #[inline(always)]
    pub(super) fn before(&self, shown: f32) -> f32 {
        shown * self.carry + self.shift
    }
}

/// What passes for still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gates {
    pub(super) units: Units,
    /// Weight of the past where nothing moves.
    pub(super) past: f32,
    /// Mean difference of luma up to which nothing moves; twice that is motion.
    pub(super) motion: f32,
    /// Depth that is off by no more has drifted, by twice that it has moved. It is also as far as depth may get from what
    /// it is.
    pub(super) departure: f32,
    /// Depth that is off by no more, beside its drift, is averaged, by twice that it is followed.
    pub(super) noise: f32,
}

/// A row of what is seen before the drift is known.
pub(super) struct Seen<'a> {
    /// Depth as the network has it.
    pub(super) depth: &'a [f32],
    /// Filtered depth of the past, 0…1.
    pub(super) shown: &'a [f32],
    /// Sum of the differences of luma around each pixel.
    pub(super) change: &'a [f32],
    /// How much the picture is what it was, 0…1.
    pub(super) still: &'a mut [f32],
    /// Sums down of how far depth is off, times the weight that has, and of the weights; this row's are added.
    pub(super) off: &'a mut [f32],
    pub(super) weights: &'a mut [f32],
}

/// A row of everything.
pub(super) struct Rows<'a> {
    /// Depth as the network has it, to be filtered.
    pub(super) depth: &'a mut [f32],
    /// Filtered depth of the past, 0…1.
    pub(super) shown: &'a mut [f32],
    /// How long nothing has moved, 0…1.
    pub(super) trust: &'a mut [f32],
    /// Luma of the past.
    pub(super) reference: &'a mut [f32],
    /// Luma.
    pub(super) luma: &'a [f32],
    /// How much the picture is what it was, 0…1.
    pub(super) still: &'a [f32],
    /// How far depth has drifted.
    pub(super) drift: &'a [f32],
}

/// What the loops are compiled for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant(Simd);

#[cfg(test)]
impl Variant {
    pub(super) const PLAIN: Self = Self(Simd::Plain);
}

impl Default for Variant {
    fn default() -> Self {
        Self(Simd::detect())
    }
}

/// Makes a method that calls the function of that name, compiled for AVX2 where that is to be had.
macro_rules! dispatched {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Variant {
            $($(#[$doc])*
            pub(super) fn $name(self, $($argument: $type),*) {
                #[cfg(target_arch = "x86_64")]
                if let Simd::Avx2(_) | Simd::Avx512(_) = self.0 {
                    #[target_feature(enable = "avx2")]
                    fn fast($($argument: $type),*) {
                        $name($($argument),*);
                    }
                    // SAFETY: both are proof of AVX2
                    unsafe { fast($($argument),*) };
                    return;
                }
                $name($($argument),*);
            })*
        }
    };
}

dispatched! {
    /// A plane of `size` whose parts are where they have moved to, between pixels or `to_pixels`.
    fn shift(plane: &[f32], size: Size, flow: &Flow, to_pixels: bool, out: &mut [f32]);
    /// How far two planes are from each other.
    fn differences(a: &[f32], b: &[f32], out: &mut [f32]);
    /// Adds a row to another.
    fn add(sums: &mut [f32], row: &[f32]);
    /// Takes it away again.
    fn subtract(sums: &mut [f32], row: &[f32]);
    /// Sums of as many values as are looked at, of a row with so many more than `out`.
    fn across(padded: &[f32], out: &mut [f32]);
    /// Tells what is still in a row, and adds how far its depth is off.
    fn judge(seen: Seen<'_>, gates: &Gates);
    /// Filters a row.
    fn update(rows: Rows<'_>, gates: &Gates);
}

#[inline(always)]
fn shift(plane: &[f32], size: Size, flow: &Flow, to_pixels: bool, out: &mut [f32]) {
    let (width, height) = (size.width as usize, size.height as usize);
    let block = flow.block();
    for top in (0..height).step_by(block) {
        for left in (0..width).step_by(block) {
            let [mut right, mut down] = flow.motion(left / block, top / block);
            if to_pixels {
                (right, down) = (right.round(), down.round());
            }
            let part = [right - right.floor(), down - down.floor()];
            let (right, down) = (right.floor(), down.floor());
            let length = block.min(width - left);
            let from = beside(left, right, width);
            let is_inside = from as f32 == left as f32 + right && from + length < width;
            for y in top..(top + block).min(height) {
                let above = beside(y, down, height) * width;
                let below = beside(y, down + 1.0, height) * width;
                let out = &mut out[y * width + left..][..length];
                if is_inside && part == [0.0; 2] {
                    out.copy_from_slice(&plane[above + from..][..length]);
                    continue;
                }
                if is_inside {
                    let (above, below) = (&plane[above + from..], &plane[below + from..]);
                    between(&above[..=length], &below[..=length], part, out);
                    continue;
                }
                for (x, out) in (left..).zip(out) {
                    let (a, b) = (beside(x, right, width), beside(x, right + 1.0, width));
                    let (above, below) = (
                        [plane[above + a], plane[above + b]],
                        [plane[below + a], plane[below + b]],
                    );
                    between(&above, &below, part, std::slice::from_mut(out));
                }
            }
        }
    }
}

/// The pixel `by` from the one `at`, of a line of so many.
#[inline(always)]
fn beside(at: usize, by: f32, count: usize) -> usize {
    let beside = (at as isize).saturating_add(by as isize);
    beside.clamp(0, count as isize - 1) as usize
}

/// Between two rows, and between each of their pixels and the next, of which there is one more than `out` has.
#[inline(always)]
fn between(above: &[f32], below: &[f32], part: [f32; 2], out: &mut [f32]) {
    let ways = above
        .iter()
        .zip(&above[1..])
        .zip(below.iter().zip(&below[1..]));
    for (out, ((a, b), (c, d))) in out.iter_mut().zip(ways) {
        let up = a + part[0] * (b - a);
        let low = c + part[0] * (d - c);
        *out = up + part[1] * (low - up);
    }
}

#[inline(always)]
fn differences(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = (a - b).abs();
    }
}

#[inline(always)]
fn add(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

#[inline(always)]
fn subtract(sums: &mut [f32], row: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum -= value;
    }
}

#[inline(always)]
fn across(padded: &[f32], out: &mut [f32]) {
    let width = out.len();
    let shifted: [&[f32]; WINDOW] = std::array::from_fn(|shift| &padded[shift..][..width]);
    for (x, out) in out.iter_mut().enumerate() {
        *out = shifted.iter().map(|row| row[x]).sum();
    }
}

/// 1 of what is no more than 1, 0 of what is 2 or more, or NaN.
#[inline(always)]
fn within(value: f32) -> f32 {
    // `max` before `min`: of a NaN and a number the former takes the number
    f32::min((2.0 - value).max(0.0), 1.0)
}

#[inline(always)]
fn judge(seen: Seen<'_>, gates: &Gates) {
    let moves = (gates.motion * (WINDOW * WINDOW) as f32).recip();
    let departs = gates.departure.max(f32::MIN_POSITIVE).recip();
    let out = seen.still.iter_mut().zip(seen.off).zip(seen.weights);
    let pixels = seen.depth.iter().zip(seen.shown).zip(seen.change);
    for (((still, off), weight), ((&depth, &shown), &change)) in out.zip(pixels) {
        let by = gates.units.before(shown) - gates.units.now(depth);
        *still = within(change * moves);
        let share = *still * within(by.abs() * departs);
        *weight += share;
        *off += if share > 0.0 { share * by } else { 0.0 };
    }
}

#[inline(always)]
fn update(rows: Rows<'_>, gates: &Gates) {
    let Rows {
        depth,
        shown,
        trust,
        reference,
        luma,
        still,
        drift,
    } = rows;
    let noise = gates.noise.max(f32::MIN_POSITIVE).recip();
    let most = gates.departure;
    let pixels = depth.iter_mut().zip(shown).zip(reference).zip(trust);
    let seen = luma.iter().zip(still).zip(drift);
    for ((((depth, shown), reference), trust), ((luma, still), drift)) in pixels.zip(seen) {
        let now = gates.units.now(*depth);
        let off = gates.units.before(*shown) - now - drift;
        *trust = f32::min(*trust + TRUST, still * within(off.abs() * noise));
        let weight = gates.past * *trust;
        let averaged = if weight > 0.0 { weight * off } else { 0.0 };
        let step = (drift + averaged).clamp(-most, most);
        *shown = now + step;
        let moved = *depth + step * gates.units.back;
        *depth = if now.is_finite() { moved } else { *depth };
        *reference = luma + weight * (*reference - luma);
    }
}
