//! Kernels for x86-64 with AVX2. Same sums in the same order as [`plain`], so that they give the same bits
//! (fused multiply-add would not).

use std::arch::x86_64::*;

use super::{ChannelAffine, ColourMatrix, Interleaving, RgbRows, SLACK, SampleMapping, plain};
use crate::frame::light::ToneMap;
use crate::frame::simd::Avx2;
use crate::frame::taps::{CubicTaps, LinearTaps};

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
    columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]);
    columns_to_rgb(rgb: [&[f32]; 3], taps: &CubicTaps, affine: &ChannelAffine, out: RgbRows<'_>);
    columns_yuv_to_rgb(yuv: [&[f32]; 3], taps: [&CubicTaps; 2], matrix: &ColourMatrix, out: RgbRows<'_>);
    luma_to_rgb(luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>);
    map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]);
    count_non_finite(values: &[f32]) -> usize;
    tone_map(map: &ToneMap, rows: RgbRows<'_>);
}

impl Avx2 {
    pub(super) fn blend_rows<const CHANNELS: usize>(
        self,
        rows: [&[u8]; 4],
        interleaving: Interleaving<CHANNELS>,
        weights: [f32; 4],
        out: [&mut [f32]; CHANNELS],
    ) {
        // SAFETY: `self` is only made where AVX2 was detected
        unsafe { blend_rows(rows, interleaving, weights, out) }
    }

    pub(super) fn blend_wide_rows<const CHANNELS: usize>(
        self,
        rows: [&[u8]; 4],
        interleaving: Interleaving<CHANNELS>,
        big_endian: bool,
        weights: [f32; 4],
        out: [&mut [f32]; CHANNELS],
    ) {
        // SAFETY: `self` is only made where AVX2 was detected
        unsafe { blend_wide_rows(rows, interleaving, big_endian, weights, out) }
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
fn luma_to_rgb(luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
    plain::luma_to_rgb(luma, affine, out);
}

#[target_feature(enable = "avx2")]
fn map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]) {
    plain::map_rows(rows, fraction, mapping, out);
}

#[target_feature(enable = "avx2")]
fn count_non_finite(values: &[f32]) -> usize {
    plain::count_non_finite(values)
}

#[target_feature(enable = "avx2")]
fn tone_map(map: &ToneMap, rows: RgbRows<'_>) {
    plain::tone_map(map, rows);
}

#[target_feature(enable = "avx2")]
fn blend_wide_rows<const CHANNELS: usize>(
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    big_endian: bool,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    plain::blend_wide_rows(rows, interleaving, big_endian, weights, out);
}

#[target_feature(enable = "avx2")]
fn blend_rows<const CHANNELS: usize>(
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    let offsets = interleaving.offsets;
    match interleaving.step {
        1 => blend_pixels::<1, CHANNELS>(rows, offsets, weights, out),
        2 => blend_pixels::<2, CHANNELS>(rows, offsets, weights, out),
        3 => blend_pixels::<3, CHANNELS>(rows, offsets, weights, out),
        4 => blend_pixels::<4, CHANNELS>(rows, offsets, weights, out),
        step => unreachable!("pixels of {step} bytes"),
    }
}

#[target_feature(enable = "avx2")]
fn blend_pixels<const STEP: usize, const CHANNELS: usize>(
    rows: [&[u8]; 4],
    offsets: [usize; CHANNELS],
    weights: [f32; 4],
    mut out: [&mut [f32]; CHANNELS],
) {
    let outputs = out[0].len();
    assert!(out.iter().all(|out| out.len() == outputs));
    assert!(rows.iter().all(|row| row.len() >= outputs * STEP));
    // with three bytes to a pixel, 28 are read for the 24 of eight pixels
    let beyond = if STEP == 3 { 2 } else { 0 };
    let whole = outputs.saturating_sub(beyond) / LANES * LANES;
    let channels = offsets.map(|offset| _mm256_broadcastsi128_si256(pick_channel(STEP, offset)));
    let of_rows = weights.map(|weight| _mm256_set1_ps(weight));
    for x in (0..whole).step_by(LANES) {
        let mut pixels = [_mm256_setzero_si256(); 4];
        for (pixels, row) in pixels.iter_mut().zip(rows) {
            // SAFETY: all rows have the bytes of `outputs` pixels, of which eight from `x` on are
            // whole; with three bytes to a pixel, another two pixels follow them
            *pixels = unsafe { load_pixels::<STEP>(row.as_ptr().add(x * STEP)) };
        }
        for (out, channel) in out.iter_mut().zip(channels) {
            let [a, b, c, d] = pixels;
            let a = _mm256_mul_ps(samples::<STEP>(a, channel), of_rows[0]);
            let b = _mm256_mul_ps(samples::<STEP>(b, channel), of_rows[1]);
            let c = _mm256_mul_ps(samples::<STEP>(c, channel), of_rows[2]);
            let d = _mm256_mul_ps(samples::<STEP>(d, channel), of_rows[3]);
            let sum = _mm256_add_ps(_mm256_add_ps(a, b), _mm256_add_ps(c, d));
            let out = &mut out[x..][..LANES];
            // SAFETY: `out` has eight values
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
    let interleaving = Interleaving {
        step: STEP,
        offsets,
    };
    plain::blend_rows_from(whole, rows, interleaving, weights, out);
}

/// Eight pixels, one to each 32 bits or, of three bytes, four to each 128.
///
/// # Safety
/// All of them are there; see also [`blend_pixels`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load_pixels<const STEP: usize>(bytes: *const u8) -> __m256i {
    // SAFETY: as the caller promises
    unsafe {
        match STEP {
            1 => _mm256_cvtepu8_epi32(_mm_loadl_epi64(bytes.cast())),
            2 => _mm256_cvtepu16_epi32(_mm_loadu_si128(bytes.cast())),
            3 => _mm256_loadu2_m128i(bytes.add(12).cast(), bytes.cast()),
            _ => _mm256_loadu_si256(bytes.cast()),
        }
    }
}

/// One channel of what [`load_pixels`] gives.
#[inline]
#[target_feature(enable = "avx2")]
fn samples<const STEP: usize>(pixels: __m256i, channel: __m256i) -> __m256 {
    _mm256_cvtepi32_ps(if STEP == 1 {
        pixels
    } else {
        _mm256_shuffle_epi8(pixels, channel)
    })
}

/// Shuffle that takes one byte of each of four pixels, to 32 bits each. Pixels of two bytes come with two more
/// that are not theirs.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn pick_channel(step: usize, offset: usize) -> __m128i {
    let apart = if step == 3 { 3 } else { 4 };
    // bit 7: zero
    let upper = 0x80_80_80_00_u32 as i32;
    let [a, b, c, d] = [0, 1, 2, 3].map(|pixel| (pixel * apart + offset) as i32 | upper);
    _mm_setr_epi32(a, b, c, d)
}

/// Checks that all taps fall on each of `rows`, with the slack that vectors need behind them, and that there are
/// as many of them as outputs. Gives how many outputs are in whole vectors.
fn check(rows: &[&[f32]], taps: &CubicTaps, outputs: usize) -> usize {
    for row in rows {
        assert!(taps.reach() + SLACK <= row.len());
    }
    assert_eq!(taps.starts().len(), outputs);
    assert_eq!(taps.weights().len(), outputs);
    outputs / LANES * LANES
}

/// Eight outputs from `first` on.
///
/// # Safety
/// There are as many taps, and all fall on `row`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn eight(row: &[f32], taps: &CubicTaps, first: usize) -> __m256 {
    let products = |pair: usize| {
        let output = first + 2 * pair;
        // SAFETY: as the caller promises; the weights of two outputs are eight values side by side
        unsafe {
            let [first, second] = [0, 1].map(|i| {
                let start = *taps.starts().get_unchecked(output + i) as usize;
                _mm_loadu_ps(row.as_ptr().add(start))
            });
            let weights = _mm256_loadu_ps(taps.weights().as_ptr().add(output).cast());
            _mm256_mul_ps(_mm256_set_m128(second, first), weights)
        }
    };
    let low = _mm256_hadd_ps(products(0), products(1));
    let high = _mm256_hadd_ps(products(2), products(3));
    // outputs 0 2 4 6 1 3 5 7
    let sums = _mm256_hadd_ps(low, high);
    _mm256_permutevar8x32_ps(sums, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

#[target_feature(enable = "avx2")]
fn columns(row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
    let whole = check(&[row], taps, out.len());
    for x in (0..whole).step_by(LANES) {
        // SAFETY: checked above; `out` has as many values as there are taps
        unsafe { _mm256_storeu_ps(out[x..][..LANES].as_mut_ptr(), eight(row, taps, x)) };
    }
    plain::columns_from(whole, row, taps, out);
}

#[target_feature(enable = "avx2")]
fn columns_to_rgb(
    rgb: [&[f32]; 3],
    taps: &CubicTaps,
    affine: &ChannelAffine,
    mut out: RgbRows<'_>,
) {
    let whole = check(&rgb, taps, out[0].len());
    for x in (0..whole).step_by(LANES) {
        for ((row, out), [factor, summand]) in rgb.into_iter().zip(&mut out).zip(affine) {
            // SAFETY: checked above
            let values = unsafe { eight(row, taps, x) };
            let scaled = _mm256_mul_ps(values, _mm256_set1_ps(*factor));
            let values = _mm256_add_ps(scaled, _mm256_set1_ps(*summand));
            // SAFETY: the slice has eight values
            unsafe { _mm256_storeu_ps(out[x..][..LANES].as_mut_ptr(), values) };
        }
    }
    plain::columns_to_rgb_from(whole, rgb, taps, affine, out);
}

#[target_feature(enable = "avx2")]
fn columns_yuv_to_rgb(
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
                eight(yuv[0], taps[0], x),
                eight(yuv[1], taps[1], x),
                eight(yuv[2], taps[1], x),
            ]
        };
        for (out, [of_y, of_u, of_v, summand]) in out.iter_mut().zip(matrix) {
            let product = |value, factor: &f32| _mm256_mul_ps(value, _mm256_set1_ps(*factor));
            let sum = _mm256_add_ps(product(y, of_y), product(u, of_u));
            let sum = _mm256_add_ps(sum, product(v, of_v));
            let values = _mm256_add_ps(sum, _mm256_set1_ps(*summand));
            // SAFETY: the slice has eight values
            unsafe { _mm256_storeu_ps(out[x..][..LANES].as_mut_ptr(), values) };
        }
    }
    plain::columns_yuv_to_rgb_from(whole, yuv, taps, matrix, out);
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
