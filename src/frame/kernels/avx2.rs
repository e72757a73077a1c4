//! Kernels for x86-64 with AVX2. Same sums in the same order as [`plain`], so that they give the same bits
//! (fused multiply-add would not).

use std::arch::x86_64::*;

use super::{ChannelAffine, ColourMatrix, RgbRows, SLACK, SampleMapping, plain};
use crate::frame::taps::{CubicTaps, LinearTaps};

/// Proof that this machine has AVX2.
#[derive(Debug, Clone, Copy)]
pub(in crate::frame) struct Avx2(());

/// Outputs made at a time.
const LANES: usize = 8;

/// Methods that only add AVX2 to a function, having been made from the proof that it is there.
macro_rules! with_avx2 {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $result:ty)?;)*) => {
        impl Avx2 {
            $(pub(super) fn $name(self, $($argument: $kind),*) $(-> $result)? {
                // SAFETY: `self` is only made where AVX2 was detected
                unsafe { $name($($argument),*) }
            })*
        }
    };
}

with_avx2! {
    blend_rows(rows: [&[u8]; 4], weights: [f32; 4], out: &mut [f32]);
    columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]);
    columns_of_two(row: &[f32], taps: &CubicTaps, out: [&mut [f32]; 2]);
    luma_to_rgb(luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>);
    yuv_to_rgb(yuv: [&[f32]; 3], matrix: &ColourMatrix, out: RgbRows<'_>);
    map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]);
    count_non_finite(values: &[f32]) -> usize;
}

impl Avx2 {
    /// The proof, if it can be had.
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }

    pub(super) fn columns_of_packed(
        self,
        row: &[f32],
        channels: usize,
        rgb: [usize; 3],
        taps: &CubicTaps,
        affine: &ChannelAffine,
        out: RgbRows<'_>,
    ) {
        // SAFETY: `self` is only made where AVX2 was detected
        unsafe {
            if channels == 3 {
                columns_of_packed::<3>(row, rgb, taps, affine, out);
            } else {
                columns_of_packed::<4>(row, rgb, taps, affine, out);
            }
        }
    }

    pub(super) fn columns_to_samples<const BIG_ENDIAN: bool>(
        self,
        row: &[f32],
        taps: &LinearTaps,
        out: &mut [u8],
    ) {
        // SAFETY: `self` is only made where AVX2 was detected
        unsafe { columns_to_samples::<BIG_ENDIAN>(row, taps, out) }
    }
}

// These vectorise by themselves.

#[target_feature(enable = "avx2")]
fn blend_rows(rows: [&[u8]; 4], weights: [f32; 4], out: &mut [f32]) {
    plain::blend_rows(rows, weights, out);
}

#[target_feature(enable = "avx2")]
fn luma_to_rgb(luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
    plain::luma_to_rgb(luma, affine, out);
}

#[target_feature(enable = "avx2")]
fn yuv_to_rgb(yuv: [&[f32]; 3], matrix: &ColourMatrix, out: RgbRows<'_>) {
    plain::yuv_to_rgb(yuv, matrix, out);
}

#[target_feature(enable = "avx2")]
fn map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]) {
    plain::map_rows(rows, fraction, mapping, out);
}

#[target_feature(enable = "avx2")]
fn count_non_finite(values: &[f32]) -> usize {
    plain::count_non_finite(values)
}

/// Splits a row of outputs into whole vectors and the rest; the same for their taps.
struct Split<'a> {
    starts: &'a [[u32; LANES]],
    weights: &'a [[[f32; 4]; LANES]],
    /// Outputs in whole vectors.
    whole: usize,
}

impl<'a> Split<'a> {
    /// Also checks that all taps fall on `row`, with the slack that vectors need behind them.
    fn new(taps: &'a CubicTaps, channels: usize, row: &[f32], outputs: usize) -> Self {
        assert!(taps.reach() * channels + SLACK <= row.len());
        assert_eq!(taps.starts().len(), outputs);
        let (starts, _) = taps.starts().as_chunks();
        let (weights, _) = taps.weights().as_chunks();
        Self {
            starts,
            weights,
            whole: starts.len() * LANES,
        }
    }
}

#[target_feature(enable = "avx2")]
fn columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    let split = Split::new(taps, 1, row, out.len());
    let in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let vectors = out.as_chunks_mut::<LANES>().0;
    for ((out, starts), weights) in vectors.iter_mut().zip(split.starts).zip(split.weights) {
        let products = |pair: usize| {
            let weights: *const f32 = weights[2 * pair].as_ptr();
            // SAFETY: `Split` has checked that four samples follow each start, and the weights of two
            // outputs lie side by side in an array of eight
            unsafe {
                let [first, second] =
                    [0, 1].map(|i| _mm_loadu_ps(row.as_ptr().add(starts[2 * pair + i] as usize)));
                _mm256_mul_ps(_mm256_set_m128(second, first), _mm256_loadu_ps(weights))
            }
        };
        let low = _mm256_hadd_ps(products(0), products(1));
        let high = _mm256_hadd_ps(products(2), products(3));
        // outputs 0 2 4 6 1 3 5 7
        let sums = _mm256_hadd_ps(low, high);
        let sums = _mm256_permutevar8x32_ps(sums, in_order);
        // SAFETY: `out` has eight values
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sums) };
    }
    plain::columns_from(split.whole, row, taps, out);
}

#[target_feature(enable = "avx2")]
fn columns_of_two(row: &[f32], taps: &CubicTaps, out: [&mut [f32]; 2]) {
    let [out_a, out_b] = out;
    let outputs = out_a.len().min(out_b.len());
    let split = Split::new(taps, 2, row, outputs);
    let twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    let vectors_a = out_a.as_chunks_mut::<LANES>().0;
    let vectors_b = out_b.as_chunks_mut::<LANES>().0;
    for (((a, b), starts), weights) in vectors_a
        .iter_mut()
        .zip(vectors_b)
        .zip(split.starts)
        .zip(split.weights)
    {
        // a0 b0 a1 b1 a2 b2 a3 b3, weighted
        let products = |output: usize| {
            // SAFETY: `Split` has checked that four samples of both channels follow each start
            let (samples, weights) = unsafe {
                (
                    _mm256_loadu_ps(row.as_ptr().add(2 * starts[output] as usize)),
                    _mm_loadu_ps(weights[output].as_ptr()),
                )
            };
            let weights = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(weights), twice);
            _mm256_mul_ps(samples, weights)
        };
        // a0+a2 b0+b2 a1+a3 b1+b3 of an output, and of the one four further on
        let halves = |output: usize| {
            let (low, high) = (products(output), products(output + 4));
            _mm256_add_ps(
                _mm256_permute2f128_ps::<0x20>(low, high),
                _mm256_permute2f128_ps::<0x31>(low, high),
            )
        };
        // a b of an output, a b of the next; and of those four further on
        let sums = |output: usize| {
            let first = _mm256_castps_pd(halves(output));
            let second = _mm256_castps_pd(halves(output + 1));
            _mm256_add_ps(
                _mm256_castpd_ps(_mm256_unpacklo_pd(first, second)),
                _mm256_castpd_ps(_mm256_unpackhi_pd(first, second)),
            )
        };
        let (low, high) = (sums(0), sums(2));
        // SAFETY: `a` and `b` have eight values each
        unsafe {
            _mm256_storeu_ps(
                a.as_mut_ptr(),
                _mm256_shuffle_ps::<0b10_00_10_00>(low, high),
            );
            _mm256_storeu_ps(
                b.as_mut_ptr(),
                _mm256_shuffle_ps::<0b11_01_11_01>(low, high),
            );
        }
    }
    plain::columns_of_two_from(split.whole, row, taps, [out_a, out_b]);
}

#[target_feature(enable = "avx2")]
fn columns_of_packed<const CHANNELS: usize>(
    row: &[f32],
    rgb: [usize; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    out: RgbRows<'_>,
) {
    let [red, green, blue] = out;
    let split = Split::new(taps, CHANNELS, row, red.len());
    assert!(green.len() == red.len() && blue.len() == red.len());
    for (index, (starts, weights)) in split.starts.iter().zip(split.weights).enumerate() {
        // all channels of one output; of three channels, and one of the next pixel
        let pixel = |output: usize| {
            let first = starts[output] as usize * CHANNELS;
            let product = |tap: usize| {
                // SAFETY: `Split` has checked that four pixels follow each start, and one sample more
                let samples = unsafe { _mm_loadu_ps(row.as_ptr().add(first + tap * CHANNELS)) };
                _mm_mul_ps(samples, _mm_set1_ps(weights[output][tap]))
            };
            _mm_add_ps(
                _mm_add_ps(product(0), product(1)),
                _mm_add_ps(product(2), product(3)),
            )
        };
        let pair = |output: usize| _mm256_set_m128(pixel(output + 4), pixel(output));
        // from pixels to channels: a 4×4 transposition in either half
        let [a, b, c, d] = [pair(0), pair(1), pair(2), pair(3)];
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        let channels = [
            _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd),
            _mm256_shuffle_ps::<0b01_00_01_00>(ab_high, cd_high),
            _mm256_shuffle_ps::<0b11_10_11_10>(ab_high, cd_high),
        ];
        for ((out, channel), [factor, summand]) in
            [&mut *red, green, blue].into_iter().zip(rgb).zip(affine)
        {
            let scaled = _mm256_mul_ps(channels[channel], _mm256_set1_ps(*factor));
            let values = _mm256_add_ps(scaled, _mm256_set1_ps(*summand));
            let out = &mut out[index * LANES..][..LANES];
            // SAFETY: `out` has eight values
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), values) };
        }
    }
    plain::columns_of_packed_from::<CHANNELS>(
        split.whole,
        row,
        rgb,
        taps,
        affine,
        [red, green, blue],
    );
}

#[target_feature(enable = "avx2")]
fn columns_to_samples<const BIG_ENDIAN: bool>(row: &[f32], taps: &LinearTaps, out: &mut [u8]) {
    assert!(taps.reach() + SLACK <= row.len());
    assert_eq!(2 * taps.first().len(), out.len());
    let swap = _mm_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    let first = taps.first().as_chunks::<LANES>().0;
    let second = taps.second().as_chunks::<LANES>().0;
    let fractions = taps.fractions().as_chunks::<LANES>().0;
    let vectors = out.as_chunks_mut::<{ 2 * LANES }>().0;
    for (((out, first), second), fractions) in
        vectors.iter_mut().zip(first).zip(second).zip(fractions)
    {
        // SAFETY: each array has eight values
        let (left, right, fractions) = unsafe {
            (
                _mm256_loadu_si256(first.as_ptr().cast()),
                _mm256_loadu_si256(second.as_ptr().cast()),
                _mm256_loadu_ps(fractions.as_ptr()),
            )
        };
        let (left, right) = if second[LANES - 1] - first[0] < LANES as u32 {
            // one vector holds all that is needed
            let base = _mm256_set1_epi32(first[0] as i32);
            // SAFETY: checked above that a tap is followed by eight samples at least
            let samples = unsafe { _mm256_loadu_ps(row.as_ptr().add(first[0] as usize)) };
            (
                _mm256_permutevar8x32_ps(samples, _mm256_sub_epi32(left, base)),
                _mm256_permutevar8x32_ps(samples, _mm256_sub_epi32(right, base)),
            )
        } else {
            // SAFETY: checked above that all taps fall on the row
            unsafe {
                (
                    _mm256_i32gather_ps::<4>(row.as_ptr(), left),
                    _mm256_i32gather_ps::<4>(row.as_ptr(), right),
                )
            }
        };
        let step = _mm256_mul_ps(_mm256_sub_ps(right, left), fractions);
        let values = _mm256_add_ps(left, step);
        // the second operand is what comes of a NaN in the first
        let values = _mm256_max_ps(values, _mm256_setzero_ps());
        let values = _mm256_min_ps(values, _mm256_set1_ps(65535.0));
        // rounds halves to even, as Rust never changes the rounding mode
        let samples = _mm256_cvtps_epi32(values);
        let samples = _mm_packus_epi32(
            _mm256_castsi256_si128(samples),
            _mm256_extracti128_si256::<1>(samples),
        );
        let samples = if BIG_ENDIAN {
            _mm_shuffle_epi8(samples, swap)
        } else {
            samples
        };
        // SAFETY: `out` has sixteen bytes
        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), samples) };
    }
    plain::columns_to_samples_from::<BIG_ENDIAN>(first.len() * LANES, row, taps, out);
}
