//! The inner loops, one row at a time. [`plain`] is the reference; variants for instruction sets stand
//! beside it, are chosen at run time and held to it by tests, bit by bit.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod plain;
#[cfg(test)]
mod tests;

use super::light::ToneMap;
pub(super) use super::simd::Simd as Kernels;
use super::taps::{CubicTaps, LinearTaps};

/// R, G and B, one row of each.
pub(super) type RgbRows<'a> = [&'a mut [f32]; 3];

/// For each of R, G and B: factor and summand.
pub(super) type ChannelAffine = [[f32; 2]; 3];

/// For each of R, G and B: factors of Y, U and V, and a summand.
pub(super) type ColourMatrix = [[f32; 4]; 3];

/// How the samples that are looked at lie in a row of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interleaving<const CHANNELS: usize> {
    /// Samples from a pixel to the next, 1 to 4.
    pub(super) step: usize,
    /// Offset of each channel in a pixel, below `step`.
    pub(super) offsets: [usize; CHANNELS],
}

/// Depth value → sample: `(value − pivot) · gain + bias`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SampleMapping {
    pub(super) pivot: f32,
    pub(super) gain: f32,
    pub(super) bias: f32,
}

/// Samples to be had beyond the last of a row that is resampled across, whatever they are: kernels read
/// whole vectors.
pub(super) const SLACK: usize = 32;

/// Mapped values stay within ± this; far outside the samples, and far from overflow.
const MAPPED_LIMIT: f32 = 1e9;

/// Instructions that the conversions use; [`TensorWriter`](super::TensorWriter) and
/// [`Gray16Writer`](super::Gray16Writer) take the best there are. All give the same bits.
#[cfg(feature = "testing")]
#[derive(Debug, Clone, Copy)]
pub struct InstructionSet(pub(super) Kernels);

#[cfg(feature = "testing")]
impl InstructionSet {
    /// Those that this machine has, the slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Kernels::available().map(Self)
    }
}

#[cfg(feature = "testing")]
impl std::fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kernels::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Kernels::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            Kernels::Neon => "NEON",
        })
    }
}

/// Calls a kernel of the set.
macro_rules! dispatch {
    ($kernels:ident, $name:ident $(::<$parameter:ident>)? ($($argument:expr),*)) => {
        match $kernels {
            Self::Plain => plain::$name $(::<$parameter>)? ($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.$name $(::<$parameter>)? ($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.$name $(::<$parameter>)? ($($argument),*),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::$name $(::<$parameter>)? ($($argument),*),
        }
    };
}

impl Kernels {
    /// Weighted sum of four rows of bytes, channel by channel; all of `out` are of one length.
    pub(super) fn blend_rows<const CHANNELS: usize>(
        self,
        rows: [&[u8]; 4],
        interleaving: Interleaving<CHANNELS>,
        weights: [f32; 4],
        out: [&mut [f32]; CHANNELS],
    ) {
        dispatch!(
            self,
            blend_rows::<CHANNELS>(rows, interleaving, weights, out)
        )
    }

    /// The same of samples of two bytes, in which `interleaving` counts, of 1, 2 or 4 to a pixel.
    pub(super) fn blend_wide_rows<const CHANNELS: usize>(
        self,
        rows: [&[u8]; 4],
        interleaving: Interleaving<CHANNELS>,
        big_endian: bool,
        weights: [f32; 4],
        out: [&mut [f32]; CHANNELS],
    ) {
        dispatch!(
            self,
            blend_wide_rows::<CHANNELS>(rows, interleaving, big_endian, weights, out)
        )
    }

    /// Rows of R′, G′ and B′ of high dynamic range → those of a standard picture.
    pub(super) fn tone_map(self, map: &ToneMap, rows: RgbRows<'_>) {
        dispatch!(self, tone_map(map, rows))
    }

    /// Resamples a padded row.
    pub(super) fn columns(self, row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
        dispatch!(self, columns(row, taps, out))
    }

    /// Resamples padded rows of R, G and B; each goes through its affine function to `out`.
    pub(super) fn columns_to_rgb(
        self,
        rgb: [&[f32]; 3],
        taps: &CubicTaps,
        affine: &ChannelAffine,
        out: RgbRows<'_>,
    ) {
        dispatch!(self, columns_to_rgb(rgb, taps, affine, out))
    }

    /// Resamples a padded row of luma with the first of `taps`, padded rows of U and V with the second, and
    /// makes RGB of them.
    pub(super) fn columns_yuv_to_rgb(
        self,
        yuv: [&[f32]; 3],
        taps: [&CubicTaps; 2],
        matrix: &ColourMatrix,
        out: RgbRows<'_>,
    ) {
        dispatch!(self, columns_yuv_to_rgb(yuv, taps, matrix, out))
    }

    /// Luma alone → RGB.
    pub(super) fn luma_to_rgb(self, luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
        dispatch!(self, luma_to_rgb(luma, affine, out))
    }

    /// Depth between two rows, `fraction` of the way to the second, mapped to samples that are not yet
    /// rounded or clamped. Non-finite depth becomes NaN.
    pub(super) fn map_rows(
        self,
        rows: [&[f32]; 2],
        fraction: f32,
        mapping: SampleMapping,
        out: &mut [f32],
    ) {
        dispatch!(self, map_rows(rows, fraction, mapping, out))
    }

    /// Resamples a row of mapped values, rounds halves to even, clamps, makes NaN 0, and stores 16-bit
    /// samples, two bytes each.
    pub(super) fn columns_to_samples<const BIG_ENDIAN: bool>(
        self,
        row: &[f32],
        taps: &LinearTaps,
        out: &mut [u8],
    ) {
        dispatch!(self, columns_to_samples::<BIG_ENDIAN>(row, taps, out))
    }

    /// How many values are NaN or infinite.
    pub(super) fn count_non_finite(self, values: &[f32]) -> usize {
        dispatch!(self, count_non_finite(values))
    }
}
