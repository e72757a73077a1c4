//! The inner loops, one row at a time. [`plain`] is the reference; variants for instruction sets stand
//! beside it, are chosen at run time and held to it by tests.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod plain;
#[cfg(test)]
mod tests;

use super::taps::{CubicTaps, LinearTaps};

/// R, G and B, one row of each.
pub(super) type RgbRows<'a> = [&'a mut [f32]; 3];

/// For each of R, G and B: factor and summand.
pub(super) type ChannelAffine = [[f32; 2]; 3];

/// For each of R, G and B: factors of Y, U and V, and a summand.
pub(super) type ColourMatrix = [[f32; 4]; 3];

/// Depth value → sample: `(value − pivot) · gain + bias`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SampleMapping {
    pub(super) pivot: f32,
    pub(super) gain: f32,
    pub(super) bias: f32,
}

/// Samples to be had beyond the last of a row that is resampled across, whatever they are: kernels read
/// whole vectors.
pub(super) const SLACK: usize = 8;

/// Mapped values stay within ± this; far outside the samples, and far from overflow.
const MAPPED_LIMIT: f32 = 1e9;

/// A set of inner loops.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kernels {
    /// Rust that runs anywhere.
    Plain,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
}

/// Calls a kernel of the set.
macro_rules! dispatch {
    ($kernels:ident, $name:ident $(::<$order:ident>)? ($($argument:expr),*)) => {
        match $kernels {
            Self::Plain => plain::$name $(::<$order>)? ($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.$name $(::<$order>)? ($($argument),*),
        }
    };
}

impl Kernels {
    /// The fastest set that this machine runs.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = avx2::Avx2::detect() {
            return Self::Avx2(avx2);
        }
        Self::Plain
    }

    /// Weighted sum of four rows of bytes, all as long as `out`.
    pub(super) fn blend_rows(self, rows: [&[u8]; 4], weights: [f32; 4], out: &mut [f32]) {
        dispatch!(self, blend_rows(rows, weights, out))
    }

    /// Resamples a padded row of one channel.
    pub(super) fn columns(self, row: &[f32], taps: &CubicTaps, out: &mut [f32]) {
        dispatch!(self, columns(row, taps, out))
    }

    /// Resamples a padded row of two channels in turn, one to each of `out`.
    pub(super) fn columns_of_two(self, row: &[f32], taps: &CubicTaps, out: [&mut [f32]; 2]) {
        dispatch!(self, columns_of_two(row, taps, out))
    }

    /// Resamples a padded row of `channels` channels in turn; those at `rgb` go through `affine` to `out`.
    pub(super) fn columns_of_packed(
        self,
        row: &[f32],
        channels: usize,
        rgb: [usize; 3],
        taps: &CubicTaps,
        affine: &ChannelAffine,
        out: RgbRows<'_>,
    ) {
        dispatch!(
            self,
            columns_of_packed(row, channels, rgb, taps, affine, out)
        )
    }

    /// Luma alone → RGB.
    pub(super) fn luma_to_rgb(self, luma: &[f32], affine: &ChannelAffine, out: RgbRows<'_>) {
        dispatch!(self, luma_to_rgb(luma, affine, out))
    }

    /// Luma and chroma → RGB.
    pub(super) fn yuv_to_rgb(self, yuv: [&[f32]; 3], matrix: &ColourMatrix, out: RgbRows<'_>) {
        dispatch!(self, yuv_to_rgb(yuv, matrix, out))
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
