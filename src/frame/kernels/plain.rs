//! The reference kernels: plain Rust, written so that the compiler vectorises what runs along a row.
//!
//! Sums are bracketed as the variants take them, so that all give the same bits.

use super::{ChannelAffine, ColourMatrix, Interleaving, MAPPED_LIMIT, RgbRows, SampleMapping};
use crate::frame::light::ToneMap;
use crate::frame::taps::{CubicTaps, LinearTaps};

#[inline(always)]
pub(super) fn blend_rows<const CHANNELS: usize>(
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    blend_rows_from(0, rows, interleaving, weights, out);
}

/// [`blend_rows`] from output `from` on, as all the `_from` below: what is left over by whole vectors.
#[inline(always)]
pub(super) fn blend_rows_from<const CHANNELS: usize>(
    from: usize,
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    for (out, offset) in out.into_iter().zip(interleaving.offsets) {
        // a constant step is what lets the compiler vectorise
        match interleaving.step {
            1 => blend_channel::<1>(from, rows, offset, weights, out),
            2 => blend_channel::<2>(from, rows, offset, weights, out),
            3 => blend_channel::<3>(from, rows, offset, weights, out),
            4 => blend_channel::<4>(from, rows, offset, weights, out),
            step => unreachable!("pixels of {step} bytes"),
        }
    }
}

#[inline(always)]
fn blend_channel<const STEP: usize>(
    from: usize,
    rows: [&[u8]; 4],
    offset: usize,
    weights: [f32; 4],
    out: &mut [f32],
) {
    assert!(offset < STEP);
    let outputs = out.len();
    let [a, b, c, d] = rows.map(|row| &row.as_chunks::<STEP>().0[from..outputs]);
    let pixels = a.iter().zip(b).zip(c).zip(d);
    for (out, (((a, b), c), d)) in out[from..].iter_mut().zip(pixels) {
        *out = (f32::from(a[offset]) * weights[0] + f32::from(b[offset]) * weights[1])
            + (f32::from(c[offset]) * weights[2] + f32::from(d[offset]) * weights[3]);
    }
}

#[inline(always)]
pub(super) fn blend_wide_rows<const CHANNELS: usize>(
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    big_endian: bool,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    for (out, offset) in out.into_iter().zip(interleaving.offsets) {
        // constants are what lets the compiler vectorise
        match (interleaving.step, big_endian) {
            (1, false) => blend_wide_channel::<2, false>(rows, offset, weights, out),
            (2, false) => blend_wide_channel::<4, false>(rows, offset, weights, out),
            (4, false) => blend_wide_channel::<8, false>(rows, offset, weights, out),
            (1, true) => blend_wide_channel::<2, true>(rows, offset, weights, out),
            (2, true) => blend_wide_channel::<4, true>(rows, offset, weights, out),
            (4, true) => blend_wide_channel::<8, true>(rows, offset, weights, out),
            (step, _) => unreachable!("pixels of {step} samples"),
        }
    }
}

#[inline(always)]
fn blend_wide_channel<const BYTES: usize, const BIG_ENDIAN: bool>(
    rows: [&[u8]; 4],
    offset: usize,
    weights: [f32; 4],
    out: &mut [f32],
) {
    assert!(2 * offset + 1 < BYTES);
    let outputs = out.len();
    let [a, b, c, d] = rows.map(|row| &row.as_chunks::<BYTES>().0[..outputs]);
    let sample = |pixel: &[u8; BYTES]| {
        let bytes = [pixel[2 * offset], pixel[2 * offset + 1]];
        f32::from(if BIG_ENDIAN {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    };
    let pixels = a.iter().zip(b).zip(c).zip(d);
    for (out, (((a, b), c), d)) in out.iter_mut().zip(pixels) {
        *out = (sample(a) * weights[0] + sample(b) * weights[1])
            + (sample(c) * weights[2] + sample(d) * weights[3]);
    }
}

#[inline(always)]
pub(super) fn tone_map(map: &ToneMap, rows: RgbRows<'_>) {
    map.rows(rows);
}

/// One output sample.
#[inline(always)]
fn cubic(row: &[f32], taps: &CubicTaps, output: usize) -> f32 {
    let samples = &row[taps.starts()[output] as usize..][..4];
    let weights = &taps.weights()[output];
    (samples[0] * weights[0] + samples[1] * weights[1])
        + (samples[2] * weights[2] + samples[3] * weights[3])
}

pub(super) fn columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    columns_from(0, row, taps, out);
}

#[inline(always)]
pub(super) fn columns_from(from: usize, row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    for (x, out) in out.iter_mut().enumerate().skip(from) {
        *out = cubic(row, taps, x);
    }
}

pub(super) fn columns_to_rgb(
    rgb: [&[f32]; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    out: RgbRows<'_>,
) {
    columns_to_rgb_from(0, rgb, taps, affine, out);
}

#[inline(always)]
pub(super) fn columns_to_rgb_from(
    from: usize,
    rgb: [&[f32]; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    out: RgbRows<'_>,
) {
    for ((row, out), [factor, summand]) in rgb.into_iter().zip(out).zip(affine) {
        for (x, out) in out.iter_mut().enumerate().skip(from) {
            *out = cubic(row, taps, x) * factor + summand;
        }
    }
}

pub(super) fn columns_yuv_to_rgb(
    yuv: [&[f32]; 3],
    taps: [&CubicTaps; 2],
    matrix: &ColourMatrix,
    out: RgbRows<'_>,
) {
    columns_yuv_to_rgb_from(0, yuv, taps, matrix, out);
}

#[inline(always)]
pub(super) fn columns_yuv_to_rgb_from(
    from: usize,
    yuv: [&[f32]; 3],
    [luma, chroma]: [&CubicTaps; 2],
    matrix: &ColourMatrix,
    [red, green, blue]: RgbRows<'_>,
) {
    let out = red.iter_mut().zip(green).zip(blue).enumerate().skip(from);
    for (x, ((red, green), blue)) in out {
        let y = cubic(yuv[0], luma, x);
        let (u, v) = (cubic(yuv[1], chroma, x), cubic(yuv[2], chroma, x));
        for (out, [of_y, of_u, of_v, summand]) in [red, green, blue].into_iter().zip(matrix) {
            *out = y * of_y + u * of_u + v * of_v + summand;
        }
    }
}

#[inline(always)]
pub(super) fn luma_to_rgb(luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
    for (out, [factor, summand]) in out.into_iter().zip(affine) {
        for (out, y) in out.iter_mut().zip(luma) {
            *out = y * factor + summand;
        }
    }
}

#[inline(always)]
pub(super) fn map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]) {
    let [above, below] = rows.map(|row| &row[..out.len()]);
    let rest = 1.0 - fraction;
    for (x, out) in out.iter_mut().enumerate() {
        let value = above[x] * rest + below[x] * fraction;
        let mapped = (value - mapping.pivot) * mapping.gain + mapping.bias;
        // 0 for finite values, NaN for others: infinity must not pass for a large value
        let poison = value * 0.0;
        *out = mapped.clamp(-MAPPED_LIMIT, MAPPED_LIMIT) + poison;
    }
}

/// 2²³: a float from here on has no fraction bits, so that adding it rounds to an integer (halves to
/// even), which is then the mantissa.
const INTEGERS: f32 = 8_388_608.0;

#[inline(always)]
fn sample(value: f32) -> u16 {
    // written so that NaN fails the first comparison
    let value = if value > 0.0 { value } else { 0.0 };
    let value = if value < 65535.0 { value } else { 65535.0 };
    (value + INTEGERS).to_bits() as u16
}

pub(super) fn columns_to_samples<const BIG_ENDIAN: bool>(
    row: &[f32],
    taps: &LinearTaps,
    out: &mut [u8],
) {
    columns_to_samples_from::<BIG_ENDIAN>(0, row, taps, out);
}

#[inline(always)]
pub(super) fn columns_to_samples_from<const BIG_ENDIAN: bool>(
    from: usize,
    row: &[f32],
    taps: &LinearTaps,
    out: &mut [u8],
) {
    let out = out.as_chunks_mut::<2>().0.iter_mut();
    let taps = taps.first().iter().zip(taps.second()).zip(taps.fractions());
    for (out, ((&first, &second), &fraction)) in out.zip(taps).skip(from) {
        let (left, right) = (row[first as usize], row[second as usize]);
        let sample = sample(left + (right - left) * fraction);
        *out = if BIG_ENDIAN {
            sample.to_be_bytes()
        } else {
            sample.to_le_bytes()
        };
    }
}

#[inline(always)]
pub(super) fn count_non_finite(values: &[f32]) -> usize {
    // counted in 32 bits per piece, which vectorises
    values
        .chunks(1 << 16)
        .map(|piece| {
            let bad: u32 = piece
                .iter()
                .map(|value| u32::from(!value.is_finite()))
                .sum();
            bad as usize
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_round_to_even_and_saturate() {
        let cases = [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (2.500_001, 3),
            (65534.5, 65534),
            (65535.4, 65535),
            (1e9, 65535),
            (-3.0, 0),
            (-0.0, 0),
            (f32::NAN, 0),
        ];
        for (value, expected) in cases {
            assert_eq!(sample(value), expected, "{value}");
        }
    }

    #[test]
    fn only_finite_values_are_mapped() {
        let mapping = SampleMapping {
            pivot: 0.0,
            gain: 1000.0,
            bias: 0.0,
        };
        let row = [
            1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MAX,
            0.0,
        ];
        let mut out = [0.0; 6];
        map_rows([&row, &row], 0.0, mapping, &mut out);
        assert_eq!(out[0], 1000.0);
        assert!(out[1..4].iter().all(|value| value.is_nan()), "{out:?}");
        assert_eq!(out[4..], [MAPPED_LIMIT, 0.0]);
        assert_eq!(count_non_finite(&row), 3);
    }
}
