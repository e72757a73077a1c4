//! Kernels for x86-64 with AVX-512 (F and BW). Same sums in the same order as [`plain`], so that they give the
//! same bits. What does not fit its permutations is left to AVX2, which every such machine has.

use std::arch::x86_64::*;

use super::avx2::pick_channel;
use super::{ChannelAffine, ColourMatrix, Interleaving, RgbRows, SLACK, SampleMapping, plain};
use crate::frame::light::ToneMap;
use crate::frame::simd::Avx512;
use crate::frame::taps::{BLOCK, CubicTaps, LinearTaps, Quad, Quads, Window};

/// Outputs made at a time.
const LANES: usize = 16;
const _: () = assert!(LANES == BLOCK);

impl Avx512 {
    pub(super) fn blend_rows<const CHANNELS: usize>(
        self,
        rows: [&[u8]; 4],
        interleaving: Interleaving<CHANNELS>,
        weights: [f32; 4],
        out: [&mut [f32]; CHANNELS],
    ) {
        // SAFETY: `self` is only made where AVX-512 was detected
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
        // SAFETY: as above
        unsafe { blend_wide_rows(rows, interleaving, big_endian, weights, out) }
    }

    pub(super) fn tone_map(self, map: &ToneMap, rows: RgbRows<'_>) {
        // SAFETY: as above
        unsafe { tone_map(map, rows) }
    }

    pub(super) fn columns(self, row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
        match taps.quads() {
            // SAFETY: as above
            Some(quads) => unsafe { columns(row, taps, quads, out) },
            None => self.avx2().columns(row, taps, out),
        }
    }

    pub(super) fn columns_to_rgb(
        self,
        rgb: [&[f32]; 3],
        taps: &CubicTaps,
        affine: &ChannelAffine,
        out: RgbRows<'_>,
    ) {
        match taps.quads() {
            // SAFETY: as above
            Some(quads) => unsafe { columns_to_rgb(rgb, taps, quads, affine, out) },
            None => self.avx2().columns_to_rgb(rgb, taps, affine, out),
        }
    }

    pub(super) fn columns_yuv_to_rgb(
        self,
        yuv: [&[f32]; 3],
        taps: [&CubicTaps; 2],
        matrix: &ColourMatrix,
        out: RgbRows<'_>,
    ) {
        match taps.map(CubicTaps::quads) {
            // SAFETY: as above
            [Some(luma), Some(chroma)] => unsafe {
                columns_yuv_to_rgb(yuv, taps, [luma, chroma], matrix, out);
            },
            _ => self.avx2().columns_yuv_to_rgb(yuv, taps, matrix, out),
        }
    }

    pub(super) fn luma_to_rgb(self, luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
        self.avx2().luma_to_rgb(luma, affine, out);
    }

    pub(super) fn map_rows(
        self,
        rows: [&[f32]; 2],
        fraction: f32,
        mapping: SampleMapping,
        out: &mut [f32],
    ) {
        // SAFETY: as above
        unsafe { map_rows(rows, fraction, mapping, out) }
    }

    pub(super) fn columns_to_samples<const BIG_ENDIAN: bool>(
        self,
        row: &[f32],
        taps: &LinearTaps,
        out: &mut [u8],
    ) {
        // SAFETY: as above
        unsafe { columns_to_samples::<BIG_ENDIAN>(row, taps, out) }
    }

    pub(super) fn count_non_finite(self, values: &[f32]) -> usize {
        // SAFETY: as above
        unsafe { count_non_finite(values) }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
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

#[target_feature(enable = "avx512f,avx512bw")]
fn blend_pixels<const STEP: usize, const CHANNELS: usize>(
    rows: [&[u8]; 4],
    offsets: [usize; CHANNELS],
    weights: [f32; 4],
    mut out: [&mut [f32]; CHANNELS],
) {
    let outputs = out[0].len();
    assert!(out.iter().all(|out| out.len() == outputs));
    assert!(rows.iter().all(|row| row.len() >= outputs * STEP));
    let whole = outputs / LANES * LANES;
    let channels = offsets.map(|offset| _mm512_broadcast_i32x4(pick_channel(STEP, offset)));
    let of_rows = weights.map(|weight| _mm512_set1_ps(weight));
    for x in (0..whole).step_by(LANES) {
        let mut pixels = [_mm512_setzero_si512(); 4];
        for (pixels, row) in pixels.iter_mut().zip(rows) {
            // SAFETY: all rows have the bytes of `outputs` pixels, of which sixteen from `x` on are
            // whole
            *pixels = unsafe { load_pixels::<STEP>(row.as_ptr().add(x * STEP)) };
        }
        for (out, channel) in out.iter_mut().zip(channels) {
            let [a, b, c, d] = pixels;
            let a = _mm512_mul_ps(samples::<STEP>(a, channel), of_rows[0]);
            let b = _mm512_mul_ps(samples::<STEP>(b, channel), of_rows[1]);
            let c = _mm512_mul_ps(samples::<STEP>(c, channel), of_rows[2]);
            let d = _mm512_mul_ps(samples::<STEP>(d, channel), of_rows[3]);
            let sum = _mm512_add_ps(_mm512_add_ps(a, b), _mm512_add_ps(c, d));
            let out = &mut out[x..][..LANES];
            // SAFETY: `out` has sixteen values
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
        }
    }
    let interleaving = Interleaving {
        step: STEP,
        offsets,
    };
    plain::blend_rows_from(whole, rows, interleaving, weights, out);
}

/// Sixteen pixels, one to each 32 bits or, of three bytes, four to each 128.
///
/// # Safety
/// All of them are there; see also [`blend_pixels`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn load_pixels<const STEP: usize>(bytes: *const u8) -> __m512i {
    // SAFETY: as the caller promises
    unsafe {
        match STEP {
            1 => _mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.cast())),
            2 => _mm512_cvtepu16_epi32(_mm256_loadu_si256(bytes.cast())),
            3 => {
                // twelve bytes, four pixels, to each quarter
                let quarters = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
                let bytes = _mm512_maskz_loadu_epi32(0x0fff, bytes.cast());
                _mm512_permutexvar_epi32(quarters, bytes)
            }
            _ => _mm512_loadu_si512(bytes.cast()),
        }
    }
}

/// One channel of what [`load_pixels`] gives.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn samples<const STEP: usize>(pixels: __m512i, channel: __m512i) -> __m512 {
    _mm512_cvtepi32_ps(if STEP == 1 {
        pixels
    } else {
        _mm512_shuffle_epi8(pixels, channel)
    })
}

/// Checks that all taps fall on each of `rows`, with the slack that vectors need behind them, and that there are
/// as many of them as outputs.
fn check(rows: &[&[f32]], taps: &CubicTaps, quads: &Quads, outputs: usize) {
    for row in rows {
        assert!(taps.reach() + SLACK <= row.len());
    }
    assert_eq!(quads.outputs(), outputs);
}

/// Sixteen outputs.
///
/// # Safety
/// The taps are of `window`, they fall on `row`, and [`SLACK`] follows them.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sixteen(window: Window, row: &[f32], block: &[Quad; 4]) -> __m512 {
    // SAFETY: as the caller promises
    unsafe {
        match window {
            Window::One => sums::<false>(row, block),
            Window::Two => sums::<true>(row, block),
        }
    }
}

/// [`sixteen`], from one vector of samples for each quad or from two.
///
/// # Safety
/// As there.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sums<const TWO: bool>(row: &[f32], block: &[Quad; 4]) -> __m512 {
    let [a, b, c, d] = block;
    // SAFETY: as the caller promises
    let (ab, cd) = unsafe {
        (
            add_neighbours(products::<TWO>(row, a), products::<TWO>(row, b)),
            add_neighbours(products::<TWO>(row, c), products::<TWO>(row, d)),
        )
    };
    // the first of each quad, then the second of each
    let sums = add_neighbours(ab, cd);
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm512_permutexvar_ps(order, sums)
}

/// Samples times weights of four outputs.
///
/// # Safety
/// See [`sixteen`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn products<const TWO: bool>(row: &[f32], quad: &Quad) -> __m512 {
    // SAFETY: a vector or two from the first tap on are within the slack, as the caller promises; there are
    // sixteen indices and weights
    unsafe {
        let first = row.as_ptr().add(quad.start as usize);
        let indices = _mm_loadu_si128(quad.indices.as_ptr().cast());
        let indices = _mm512_cvtepu8_epi32(indices);
        let samples = _mm512_loadu_ps(first);
        let samples = if TWO {
            _mm512_permutex2var_ps(samples, indices, _mm512_loadu_ps(first.add(LANES)))
        } else {
            _mm512_permutexvar_ps(indices, samples)
        };
        _mm512_mul_ps(samples, _mm512_loadu_ps(quad.weights.as_ptr().cast()))
    }
}

/// In each quarter, the sums of two neighbours: two of `a`, two of `b`.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_neighbours(a: __m512, b: __m512) -> __m512 {
    _mm512_add_ps(
        _mm512_shuffle_ps::<0b10_00_10_00>(a, b),
        _mm512_shuffle_ps::<0b11_01_11_01>(a, b),
    )
}

/// Which of the sixteen outputs from `first` on there are.
fn mask(first: usize, outputs: usize) -> __mmask16 {
    match outputs - first {
        rest @ 0..LANES => (1 << rest) - 1,
        _ => !0,
    }
}

/// Stores those of sixteen values that fall on `out`, from `first` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(values: __m512, first: usize, out: &mut [f32]) {
    let mask = mask(first, out.len());
    let rest = &mut out[first..];
    // SAFETY: the mask leaves only values of `rest`
    unsafe { _mm512_mask_storeu_ps(rest.as_mut_ptr(), mask, values) };
}

#[target_feature(enable = "avx512f")]
fn columns(row: &[f32], taps: &CubicTaps, quads: &Quads, out: &mut [f32]) {
    check(&[row], taps, quads, out.len());
    for (index, block) in quads.blocks().iter().enumerate() {
        // SAFETY: checked above
        let values = unsafe { sixteen(quads.window(), row, block) };
        store(values, index * LANES, out);
    }
}

#[target_feature(enable = "avx512f")]
fn columns_to_rgb(
    rgb: [&[f32]; 3],
    taps: &CubicTaps,
    quads: &Quads,
    affine: &ChannelAffine,
    mut out: RgbRows<'_>,
) {
    for out in &out {
        check(&rgb, taps, quads, out.len());
    }
    for (index, block) in quads.blocks().iter().enumerate() {
        for ((row, out), [factor, summand]) in rgb.into_iter().zip(&mut out).zip(affine) {
            // SAFETY: checked above
            let values = unsafe { sixteen(quads.window(), row, block) };
            let scaled = _mm512_mul_ps(values, _mm512_set1_ps(*factor));
            let values = _mm512_add_ps(scaled, _mm512_set1_ps(*summand));
            store(values, index * LANES, out);
        }
    }
}

#[target_feature(enable = "avx512f")]
fn columns_yuv_to_rgb(
    yuv: [&[f32]; 3],
    taps: [&CubicTaps; 2],
    [luma, chroma]: [&Quads; 2],
    matrix: &ColourMatrix,
    mut out: RgbRows<'_>,
) {
    for out in &out {
        check(&yuv[..1], taps[0], luma, out.len());
        check(&yuv[1..], taps[1], chroma, out.len());
    }
    let matrix = matrix.map(|row| row.map(|factor| _mm512_set1_ps(factor)));
    let blocks = luma.blocks().iter().zip(chroma.blocks());
    for (index, (of_luma, of_chroma)) in blocks.enumerate() {
        // SAFETY: checked above
        let y = unsafe { sixteen(luma.window(), yuv[0], of_luma) };
        // SAFETY: checked above
        let u = unsafe { sixteen(chroma.window(), yuv[1], of_chroma) };
        // SAFETY: checked above
        let v = unsafe { sixteen(chroma.window(), yuv[2], of_chroma) };
        for (out, [of_y, of_u, of_v, summand]) in out.iter_mut().zip(matrix) {
            let sum = _mm512_add_ps(_mm512_mul_ps(y, of_y), _mm512_mul_ps(u, of_u));
            let sum = _mm512_add_ps(sum, _mm512_mul_ps(v, of_v));
            store(_mm512_add_ps(sum, summand), index * LANES, out);
        }
    }
}

// These vectorise by themselves.

#[target_feature(enable = "avx512f,avx512bw")]
fn blend_wide_rows<const CHANNELS: usize>(
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    big_endian: bool,
    weights: [f32; 4],
    out: [&mut [f32]; CHANNELS],
) {
    plain::blend_wide_rows(rows, interleaving, big_endian, weights, out);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn tone_map(map: &ToneMap, rows: RgbRows<'_>) {
    plain::tone_map(map, rows);
}

#[target_feature(enable = "avx512f")]
fn map_rows(rows: [&[f32]; 2], fraction: f32, mapping: SampleMapping, out: &mut [f32]) {
    plain::map_rows(rows, fraction, mapping, out);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn count_non_finite(values: &[f32]) -> usize {
    plain::count_non_finite(values)
}

#[target_feature(enable = "avx512f,avx512bw")]
fn columns_to_samples<const BIG_ENDIAN: bool>(row: &[f32], taps: &LinearTaps, out: &mut [u8]) {
    assert!(taps.reach() + SLACK <= row.len());
    assert_eq!(2 * taps.first().len(), out.len());
    let swap = _mm_setr_epi8(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    let swap = _mm256_broadcastsi128_si256(swap);
    let first = taps.first().as_chunks::<LANES>().0;
    let second = taps.second().as_chunks::<LANES>().0;
    let fractions = taps.fractions().as_chunks::<LANES>().0;
    let vectors = out.as_chunks_mut::<{ 2 * LANES }>().0;
    for (((out, first), second), fractions) in
        vectors.iter_mut().zip(first).zip(second).zip(fractions)
    {
        // SAFETY: each array has sixteen values
        let (left, right, fractions) = unsafe {
            (
                _mm512_loadu_si512(first.as_ptr().cast()),
                _mm512_loadu_si512(second.as_ptr().cast()),
                _mm512_loadu_ps(fractions.as_ptr()),
            )
        };
        let (left, right) = if second[LANES - 1] - first[0] < LANES as u32 {
            // one vector holds all that is needed
            let base = _mm512_set1_epi32(first[0] as i32);
            // SAFETY: checked above that a tap is followed by sixteen samples at least
            let samples = unsafe { _mm512_loadu_ps(row.as_ptr().add(first[0] as usize)) };
            (
                _mm512_permutexvar_ps(_mm512_sub_epi32(left, base), samples),
                _mm512_permutexvar_ps(_mm512_sub_epi32(right, base), samples),
            )
        } else {
            // SAFETY: checked above that all taps fall on the row
            unsafe {
                (
                    _mm512_i32gather_ps::<4>(left, row.as_ptr()),
                    _mm512_i32gather_ps::<4>(right, row.as_ptr()),
                )
            }
        };
        let step = _mm512_mul_ps(_mm512_sub_ps(right, left), fractions);
        let values = _mm512_add_ps(left, step);
        // the second operand is what comes of a NaN in the first
        let values = _mm512_max_ps(values, _mm512_setzero_ps());
        let values = _mm512_min_ps(values, _mm512_set1_ps(65535.0));
        // rounds halves to even, as Rust never changes the rounding mode
        let samples = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(values));
        let samples = if BIG_ENDIAN {
            _mm256_shuffle_epi8(samples, swap)
        } else {
            samples
        };
        // SAFETY: `out` has 32 bytes
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), samples) };
    }
    plain::columns_to_samples_from::<BIG_ENDIAN>(first.len() * LANES, row, taps, out);
}
