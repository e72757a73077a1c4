//! The inner loops. They vectorise by themselves; the variant for AVX2 is the same code, compiled for it, and gives the
//! same bits.

use super::REACH;
use crate::range::align::Affine;

/// Pixels that are looked at around each one, one way.
const WINDOW: usize = 2 * REACH + 1;

/// What a frame in which nothing moves adds to the trust in a pixel: after motion it takes five to average in full. Where
/// motion comes and goes, patches that lag would stand beside others that do not.
const TRUST: f32 = 0.2;

/// What passes for still.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gates {
    /// Depth → 0…1.
    pub(super) show: Affine,
    /// 0…1 of the frame before → 0…1.
    pub(super) carry: Affine,
    /// Weight of the past where nothing moves.
    pub(super) past: f32,
    /// Mean difference of luma up to which nothing moves; twice that is motion.
    pub(super) motion: f32,
    /// Depth that has moved by no more is averaged, by twice that it is followed. It is also as far as depth may get
    /// from what it is.
    pub(super) departure: f32,
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
    /// Sum of the differences of luma around each pixel.
    pub(super) change: &'a [f32],
}

/// Whether the faster variant runs here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variant {
    avx2: bool,
}

#[cfg(test)]
impl Variant {
    pub(super) const PLAIN: Self = Self { avx2: false };
}

impl Default for Variant {
    fn default() -> Self {
        #[cfg(target_arch = "x86_64")]
        let avx2 = std::arch::is_x86_feature_detected!("avx2");
        #[cfg(not(target_arch = "x86_64"))]
        let avx2 = false;
        Self { avx2 }
    }
}

/// Makes a method that calls the function of that name, compiled for AVX2 where that is to be had.
macro_rules! dispatched {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl Variant {
            $($(#[$doc])*
            pub(super) fn $name(self, $($argument: $type),*) {
                #[cfg(target_arch = "x86_64")]
                if self.avx2 {
                    #[target_feature(enable = "avx2")]
                    fn fast($($argument: $type),*) {
                        $name($($argument),*);
                    }
                    // SAFETY: AVX2 was detected
                    unsafe { fast($($argument),*) };
                    return;
                }
                $name($($argument),*);
            })*
        }
    };
}

dispatched! {
    /// Mean of three planes.
    fn luma(planes: [&[f32]; 3], out: &mut [f32]);
    /// How far two planes are from each other.
    fn differences(a: &[f32], b: &[f32], out: &mut [f32]);
    /// Adds a row to another.
    fn add(sums: &mut [f32], row: &[f32]);
    /// Takes it away again.
    fn subtract(sums: &mut [f32], row: &[f32]);
    /// Sums of as many values as are looked at, of a row with so many more than `out`.
    fn across(padded: &[f32], out: &mut [f32]);
    /// Filters a row.
    fn update(rows: Rows<'_>, gates: &Gates);
}

#[inline(always)]
fn luma([red, green, blue]: [&[f32]; 3], out: &mut [f32]) {
    for (((out, r), g), b) in out.iter_mut().zip(red).zip(green).zip(blue) {
        *out = (r + g + b) * (1.0 / 3.0);
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

#[inline(always)]
fn update(rows: Rows<'_>, gates: &Gates) {
    let Rows {
        depth,
        shown,
        trust,
        reference,
        luma,
        change,
    } = rows;
    let (gain, bias) = (gates.show.gain, gates.show.bias);
    // depth that varies little around a large value would lose its steps in single precision
    let zero = (-bias / gain) as f32;
    let rest = (bias + f64::from(zero) * gain) as f32;
    let (gain, back) = (gain as f32, gain.recip() as f32);
    let (carry, shift) = (gates.carry.gain as f32, gates.carry.bias as f32);
    let moves = (gates.motion * (WINDOW * WINDOW) as f32).recip();
    let departs = gates.departure.max(f32::MIN_POSITIVE).recip();
    let pixels = depth.iter_mut().zip(shown).zip(reference).zip(trust);
    for ((((depth, shown), reference), trust), (luma, change)) in
        pixels.zip(luma.iter().zip(change))
    {
        let now = (*depth - zero) * gain + rest;
        let off = *shown * carry + shift - now;
        // `max` before `min`: of a NaN and a number the former takes the number
        let still = f32::min((2.0 - change * moves).max(0.0), 1.0);
        let near = f32::min((2.0 - off.abs() * departs).max(0.0), 1.0);
        *trust = f32::min(*trust + TRUST, still * near);
        let weight = gates.past * *trust;
        let kept = weight > 0.0;
        let step = if kept { weight * off } else { 0.0 };
        *shown = now + step;
        *depth = if kept { *depth + step * back } else { *depth };
        *reference = luma + weight * (*reference - luma);
    }
}
