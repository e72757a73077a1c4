//! Kernels for 64-bit Arm, where NEON is always there and the compiler uses it by itself for what runs along a
//! row. Written out is what picks samples by their taps. Same sums in the same order as [`plain`], so that they
//! give the same bits.

use std::arch::aarch64::*;

use super::{ChannelAffine, ColourMatrix, RgbRows, SLACK, plain};
use crate::frame::taps::{CubicTaps, LinearTaps};

pub(super) use super::plain::{
    blend_rows, blend_wide_rows, count_non_finite, luma_to_rgb, map_rows, tone_map,
};

/// Outputs made at a time.
const LANES: usize = 4;

/// Checks that all taps fall on each of `rows` and that there are as many of them as outputs. Gives how many
/// outputs are in whole vectors.
fn check(rows: &[&[f32]], taps: &CubicTaps, outputs: usize) -> usize {
    for row in rows {
        assert!(taps.reach() <= row.len());
    }
    assert_eq!(taps.starts().len(), outputs);
    assert_eq!(taps.weights().len(), outputs);
    outputs / LANES * LANES
}

/// Four outputs from `first` on.
///
/// # Safety
/// There are as many taps, and all fall on `row`.
#[inline(always)]
unsafe fn four(row: &[f32], taps: &CubicTaps, first: usize) -> float32x4_t {
    let products = |output: usize| {
        // SAFETY: as the caller promises
        unsafe {
            let start = *taps.starts().get_unchecked(first + output) as usize;
            let weights = taps.weights().get_unchecked(first + output).as_ptr();
            vmulq_f32(vld1q_f32(row.as_ptr().add(start)), vld1q_f32(weights))
        }
    };
    // SAFETY: NEON is part of this architecture
    unsafe {
        vpaddq_f32(
            vpaddq_f32(products(0), products(1)),
            vpaddq_f32(products(2), products(3)),
        )
    }
}

/// Stores four values from `first` on.
#[inline(always)]
fn store(values: float32x4_t, first: usize, out: &mut [f32]) {
    let out = &mut out[first..][..LANES];
    // SAFETY: `out` has four values
    unsafe { vst1q_f32(out.as_mut_ptr(), values) };
}

pub(super) fn columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    let whole = check(&[row], taps, out.len());
    for x in (0..whole).step_by(LANES) {
        // SAFETY: checked above
        store(unsafe { four(row, taps, x) }, x, out);
    }
    plain::columns_from(whole, row, taps, out);
}

pub(super) fn columns_to_rgb(
    rgb: [&[f32]; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    mut out: RgbRows<'_>,
) {
    let whole = check(&rgb, taps, out[0].len());
    for x in (0..whole).step_by(LANES) {
        for ((row, out), [factor, summand]) in rgb.into_iter().zip(&mut out).zip(affine) {
            // SAFETY: checked above; NEON is part of this architecture
            let values = unsafe {
                let scaled = vmulq_n_f32(four(row, taps, x), *factor);
                vaddq_f32(scaled, vdupq_n_f32(*summand))
            };
            store(values, x, out);
        }
    }
    plain::columns_to_rgb_from(whole, rgb, taps, affine, out);
}

pub(super) fn columns_yuv_to_rgb(
    yuv: [&[f32]; 3],
    taps: [&CubicTaps; 2],
    matrix: &ColourMatrix,
    mut out: RgbRows<'_>,
) {
    let outputs = out[0].len();
    let whole = check(&yuv[..1], taps[0], outputs).min(check(&yuv[1..], taps[1], outputs));
    for x in (0..whole).step_by(LANES) {
        // SAFETY: checked above
        let [y, u, v] = unsafe {
            [
                four(yuv[0], taps[0], x),
                four(yuv[1], taps[1], x),
                four(yuv[2], taps[1], x),
            ]
        };
        for (out, [of_y, of_u, of_v, summand]) in out.iter_mut().zip(matrix) {
            // SAFETY: NEON is part of this architecture
            let values = unsafe {
                let sum = vaddq_f32(vmulq_n_f32(y, *of_y), vmulq_n_f32(u, *of_u));
                let sum = vaddq_f32(sum, vmulq_n_f32(v, *of_v));
                vaddq_f32(sum, vdupq_n_f32(*summand))
            };
            store(values, x, out);
        }
    }
    plain::columns_yuv_to_rgb_from(whole, yuv, taps, matrix, out);
}

pub(super) fn columns_to_samples<const BIG_ENDIAN: bool>(
    row: &[f32],
    taps: &LinearTaps,
    out: &mut [u8],
) {
    assert!(taps.reach() + SLACK <= row.len());
    assert_eq!(2 * taps.first().len(), out.len());
    let first = taps.first().as_chunks::<LANES>().0;
    let second = taps.second().as_chunks::<LANES>().0;
    let fractions = taps.fractions().as_chunks::<LANES>().0;
    let vectors = out.as_chunks_mut::<{ 2 * LANES }>().0;
    for (((out, first), second), fractions) in
        vectors.iter_mut().zip(first).zip(second).zip(fractions)
    {
        let left = first.map(|tap| row[tap as usize]);
        let right = second.map(|tap| row[tap as usize]);
        // SAFETY: each array has four values, `out` has eight bytes; NEON is part of this architecture
        unsafe {
            let left = vld1q_f32(left.as_ptr());
            let right = vld1q_f32(right.as_ptr());
            let step = vmulq_f32(vsubq_f32(right, left), vld1q_f32(fractions.as_ptr()));
            // rounds halves to even; below zero and NaN become 0, what is too large saturates, twice
            let samples = vqmovn_u32(vcvtnq_u32_f32(vaddq_f32(left, step)));
            let samples = vreinterpret_u8_u16(samples);
            let samples = if BIG_ENDIAN {
                vrev16_u8(samples)
            } else {
                samples
            };
            vst1_u8(out.as_mut_ptr(), samples);
        }
    }
    plain::columns_to_samples_from::<BIG_ENDIAN>(first.len() * LANES, row, taps, out);
}
