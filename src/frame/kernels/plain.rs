//! The reference kernels: plain Rust, written so that the compiler vectorises what runs along a row.

use super::{ChannelAffine, ColourMatrix, MAPPED_LIMIT, RgbRows, SampleMapping};
use crate::frame::taps::{CubicTaps, LinearTaps};

#[inline(always)]
pub(super) fn blend_rows(rows: [&[u8]; 4], weights: [f32; 4], out: &mut [f32]) {
    let [a, b, c, d] = rows.map(|row| &row[..out.len()]);
    for (x, out) in out.iter_mut().enumerate() {
        *out = f32::from(a[x]) * weights[0]
            + f32::from(b[x]) * weights[1]
            + f32::from(c[x]) * weights[2]
            + f32::from(d[x]) * weights[3];
    }
}

/// One output sample of channel `channel` out of `channels`.
#[inline(always)]
fn tap(row: &[f32], start: u32, weights: &[f32; 4], channels: usize, channel: usize) -> f32 {
    let samples = &row[start as usize * channels..][..4 * channels];
    samples[channel] * weights[0]
        + samples[channels + channel] * weights[1]
        + samples[2 * channels + channel] * weights[2]
        + samples[3 * channels + channel] * weights[3]
}

pub(super) fn columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    for ((out, &start), weights) in out.iter_mut().zip(&taps.starts).zip(&taps.weights) {
        *out = tap(row, start, weights, 1, 0);
    }
}

pub(super) fn columns_of_two(row: &[f32], taps: &CubicTaps, out: [&mut [f32]; 2]) {
    let [first, second] = out;
    for (((first, second), &start), weights) in first
        .iter_mut()
        .zip(second)
        .zip(&taps.starts)
        .zip(&taps.weights)
    {
        *first = tap(row, start, weights, 2, 0);
        *second = tap(row, start, weights, 2, 1);
    }
}

pub(super) fn columns_of_packed(
    row: &[f32],
    channels: usize,
    rgb: [usize; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    out: RgbRows<'_>,
) {
    if channels == 3 {
        packed::<3>(row, rgb, taps, affine, out);
    } else {
        packed::<4>(row, rgb, taps, affine, out);
    }
}

#[inline(always)]
fn packed<const CHANNELS: usize>(
    row: &[f32],
    rgb: [usize; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    out: RgbRows<'_>,
) {
    let [red, green, blue] = out;
    for ((((red, green), blue), &start), weights) in red
        .iter_mut()
        .zip(green)
        .zip(blue)
        .zip(&taps.starts)
        .zip(&taps.weights)
    {
        for ((out, channel), [factor, summand]) in
            [red, green, blue].into_iter().zip(rgb).zip(affine)
        {
            *out = tap(row, start, weights, CHANNELS, channel) * factor + summand;
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
pub(super) fn yuv_to_rgb(yuv: [&[f32]; 3], matrix: &ColourMatrix, out: RgbRows<'_>) {
    for (out, [of_y, of_u, of_v, summand]) in out.into_iter().zip(matrix) {
        let [luma, blue, red] = yuv.map(|row| &row[..out.len()]);
        for (x, out) in out.iter_mut().enumerate() {
            *out = luma[x] * of_y + blue[x] * of_u + red[x] * of_v + summand;
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
    for (((out, &first), &second), &fraction) in out
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(&taps.first)
        .zip(&taps.second)
        .zip(&taps.fractions)
    {
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
