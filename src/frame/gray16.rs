//! Depth map → 16-bit grey samples, at any size.
//!
//! The depth map is interpolated as Depth Anything V2 does it: bilinear with aligned corners
//! (`F.interpolate(…, mode="bilinear", align_corners=True)`), from the network's size straight to that of
//! the frame. The mapping to samples is affine and so commutes with the interpolation; it is applied to the
//! rows of the smaller picture, before they are resampled across.

use super::bands::{self, Bands};
#[cfg(feature = "testing")]
use super::kernels::InstructionSet;
use super::kernels::{Kernels, SLACK, SampleMapping};
use super::taps::{Grid, LinearTaps};
use crate::error::Error;
use crate::geometry::Size;

/// Order of the two bytes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// Low byte first: `GRAY16_LE`.
    Little,
    /// High byte first: `GRAY16_BE`.
    Big,
}

impl ByteOrder {
    /// That of this machine.
    pub const NATIVE: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };
}

/// How depth becomes samples: `sample = round(clamp(gain · value + bias, 0, 65535))`, halves to even.
///
/// A value that is not finite gives sample 0 whatever the mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mapping {
    /// Steps per unit of depth.
    pub gain: f64,
    /// Sample of depth 0.
    pub bias: f64,
}

impl Mapping {
    /// Inverse depth: `low` (far) becomes 0 and `high` (near) 65535, or the other way round with `invert`.
    ///
    /// A range that is empty, reversed or not finite has no near and far: everything is as far as can be.
    pub fn inverse(low: f64, high: f64, invert: bool) -> Self {
        let steps = 65535.0 / (high - low);
        if !(low.is_finite() && steps.is_finite() && steps > 0.0) {
            let bias = if invert { 65535.0 } else { 0.0 };
            return Self { gain: 0.0, bias };
        }
        if invert {
            Self {
                gain: -steps,
                bias: high * steps,
            }
        } else {
            Self {
                gain: steps,
                bias: -low * steps,
            }
        }
    }

    /// Depth in metres: sample = value / `depth_unit`. What is not positive gives 0, which means invalid;
    /// what is too far saturates. A `depth_unit` that is not a positive number makes everything invalid.
    pub fn metric(depth_unit: f64) -> Self {
        let gain = depth_unit.recip();
        let usable = gain.is_finite() && gain > 0.0;
        Self {
            gain: if usable { gain } else { 0.0 },
            bias: 0.0,
        }
    }

    /// The same in single precision, without losing the small difference of two large numbers: depth that
    /// varies little around a large value has a large bias.
    pub(super) fn for_kernel(self) -> SampleMapping {
        let pivot = (-self.bias / self.gain) as f32;
        if self.gain == 0.0 || !pivot.is_finite() {
            return SampleMapping {
                pivot: 0.0,
                gain: self.gain as f32,
                bias: self.bias as f32,
            };
        }
        SampleMapping {
            pivot,
            gain: self.gain as f32,
            bias: (self.bias + f64::from(pivot) * self.gain) as f32,
        }
    }
}

/// Turns depth maps of one size into grey frames of another.
#[derive(Debug, Clone)]
pub struct Gray16Writer {
    network: Size,
    output: Size,
    across: LinearTaps,
    down: LinearTaps,
    /// For each band of rows, one row of mapped values, and [`SLACK`].
    bands: Bands<Vec<f32>>,
    kernels: Kernels,
}

impl Gray16Writer {
    /// Makes the tables to write depth maps of size `network`, that of the network's output, as frames of
    /// size `output`, on one core.
    pub fn new(network: Size, output: Size) -> Self {
        let taps = |source: u32, output: u32| {
            let (source, output) = (source as usize, output as usize);
            LinearTaps::new(Grid::aligned_corners(source, output), source, output)
        };
        Self {
            network,
            output,
            across: taps(network.width, output.width),
            down: taps(network.height, output.height),
            bands: Bands::one(vec![0.0; network.width as usize + SLACK]),
            kernels: Kernels::detect(),
        }
    }

    /// Splits the rows of large frames over as many as `threads` cores; 0: all there are. Small frames are
    /// done before another core has woken up, and stay on one. The samples do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        let bands = bands::count(threads, self.output.area());
        self.with_bands(bands)
    }

    /// Splits the rows into so many bands, whatever their size.
    #[must_use]
    pub(super) fn with_bands(mut self, bands: usize) -> Self {
        self.bands.split(bands);
        self
    }

    /// Uses these instructions instead of the best there are.
    #[must_use]
    #[cfg(feature = "testing")]
    pub fn with_instruction_set(mut self, instructions: InstructionSet) -> Self {
        self.kernels = instructions.0;
        self
    }

    /// Size of the depth maps.
    pub fn network(&self) -> Size {
        self.network
    }

    /// Writes one depth map, `[height, width]`, to a plane of 16-bit samples whose rows are `stride` bytes
    /// apart. Returns how many values of the depth map are NaN or infinite; the samples that they take part
    /// in are 0. Bytes between the rows are left alone.
    ///
    /// # Errors
    /// [`Error::Frame`] if the depth map has not the size given at first, or the plane is too short.
    pub fn write(
        &mut self,
        depth: &[f32],
        mapping: Mapping,
        order: ByteOrder,
        plane: &mut [u8],
        stride: usize,
    ) -> Result<usize, Error> {
        check(self.network, self.output, depth, plane, stride)?;
        let Self {
            network,
            output,
            across,
            down,
            bands,
            kernels,
        } = self;
        let mapping = mapping.for_kernel();
        let bytes = 2 * output.width as usize;
        let width = network.width as usize;
        let depth_row = |row: u32| &depth[row as usize * width..][..width];
        bands.run(
            output.height as usize,
            |rows| rows * stride,
            [plane],
            |row, first, [plane]| {
                // what follows the last row, padding or more, is not a row; a single row needs no stride
                let last = output.height as usize;
                for (y, out) in (first..last).zip(plane.chunks_mut(stride.max(bytes))) {
                    let rows = [down.first()[y], down.second()[y]].map(depth_row);
                    let mapped = &mut row[..width];
                    kernels.map_rows(rows, down.fractions()[y], mapping, mapped);
                    let out = &mut out[..bytes];
                    match order {
                        ByteOrder::Little => {
                            kernels.columns_to_samples::<false>(row, across, out);
                        }
                        ByteOrder::Big => kernels.columns_to_samples::<true>(row, across, out),
                    }
                }
            },
        );
        Ok(self.kernels.count_non_finite(depth))
    }
}

/// Checks that a depth map of size `network` can be written to a plane of size `output`.
pub(super) fn check(
    network: Size,
    output: Size,
    depth: &[f32],
    plane: &[u8],
    stride: usize,
) -> Result<(), Error> {
    let error = |reason| Err(Error::Frame { reason });
    if network.area() == 0 || output.area() == 0 {
        return error(format!(
            "a depth map of {} can't become a frame of {}: there are no pixels",
            network, output
        ));
    }
    if depth.len() != network.area() {
        return error(format!(
            "a depth map of {} has {} values",
            network,
            depth.len()
        ));
    }
    let bytes = 2 * output.width as usize;
    let rows = output.height as usize;
    let needed = stride
        .checked_mul(rows - 1)
        .and_then(|above| above.checked_add(bytes));
    let overlap = rows > 1 && stride < bytes;
    if overlap || needed.is_none_or(|needed| plane.len() < needed) {
        return error(format!(
            "a plane of {} bytes at a stride of {stride} can't take 16-bit samples of {}",
            plane.len(),
            output
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(
        depth: &[f32],
        network: (u32, u32),
        output: (u32, u32),
        mapping: Mapping,
    ) -> Vec<u16> {
        let (width, height) = output;
        let mut writer =
            Gray16Writer::new(Size::new(network.0, network.1), Size::new(width, height));
        let mut plane = vec![0; 2 * (width * height) as usize];
        let invalid = writer
            .write(
                depth,
                mapping,
                ByteOrder::Little,
                &mut plane,
                2 * width as usize,
            )
            .expect("sizes fit");
        assert_eq!(invalid, depth.iter().filter(|d| !d.is_finite()).count());
        plane
            .chunks(2)
            .map(|b| u16::from_le_bytes([b[0], b[1]]))
            .collect()
    }

    #[test]
    fn corners_are_aligned() {
        let mapping = Mapping::inverse(0.0, 3.0, false);
        let out = samples(&[0.0, 1.0, 2.0, 3.0], (2, 2), (3, 3), mapping);
        let third = 65535.0 / 3.0;
        let expected: Vec<u16> = [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]
            .map(|v: f64| (v * third).round_ties_even() as u16)
            .to_vec();
        assert_eq!(out, expected);
    }

    #[test]
    fn sides_of_one_pixel() {
        let mapping = Mapping {
            gain: 1.0,
            bias: 0.0,
        };
        assert_eq!(samples(&[7.0], (1, 1), (3, 2), mapping), [7; 6]);
        assert_eq!(
            samples(&[7.0, 8.0, 9.0, 10.0], (2, 2), (1, 1), mapping),
            [7]
        );
        assert_eq!(
            samples(&[7.0, 9.0], (1, 2), (2, 3), mapping),
            [7, 7, 8, 8, 9, 9]
        );
    }

    #[test]
    fn inverse_and_its_inversion_mirror_each_other() {
        let depth = [-1.0, 0.0, 0.25, 1.0, 2.0];
        let plain = samples(&depth, (5, 1), (5, 1), Mapping::inverse(0.0, 1.0, false));
        let inverted = samples(&depth, (5, 1), (5, 1), Mapping::inverse(0.0, 1.0, true));
        assert_eq!(plain, [0, 0, 16384, 65535, 65535]);
        assert_eq!(inverted, [65535, 65535, 49151, 0, 0]);
    }

    #[test]
    fn metric_saturates_and_marks_invalid() {
        let depth = [0.0, -2.0, 1.5, 65.535, 1e20, f32::NAN, f32::INFINITY, 3.0];
        let out = samples(&depth, (8, 1), (8, 1), Mapping::metric(0.001));
        assert_eq!(out, [0, 0, 1500, 65535, 65535, 0, 0, 3000]);
        for unit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(samples(&[1.0], (1, 1), (1, 1), Mapping::metric(unit)), [0]);
        }
    }

    #[test]
    fn a_range_without_extent_is_far() {
        for (low, high) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ] {
            let far = samples(&[1.0], (1, 1), (2, 1), Mapping::inverse(low, high, false));
            assert_eq!(far, [0, 0]);
            let far = samples(&[1.0], (1, 1), (2, 1), Mapping::inverse(low, high, true));
            assert_eq!(far, [65535, 65535]);
        }
    }

    #[test]
    fn one_bad_value_costs_its_neighbours_only() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut depth = [1.0; 25];
            depth[12] = bad;
            let same = samples(&depth, (5, 5), (5, 5), Mapping::inverse(0.0, 1.0, false));
            for (index, sample) in same.into_iter().enumerate() {
                assert_eq!(sample, if index == 12 { 0 } else { 65535 }, "{index}");
            }
            let doubled = samples(&depth, (5, 5), (9, 9), Mapping::inverse(0.0, 1.0, true));
            assert_eq!(
                doubled.iter().filter(|&&s| s != 0).count(),
                0,
                "inverted ones are 0"
            );
            let doubled = samples(&depth, (5, 5), (9, 9), Mapping::inverse(0.0, 1.0, false));
            assert_eq!(doubled.iter().filter(|&&s| s == 0).count(), 9);
        }
    }

    #[test]
    fn a_small_range_far_from_zero_keeps_its_steps() {
        // neighbouring floats at 1000 are 6e-5 apart: 4 steps of this range
        let depth: Vec<f32> = (0..=16).map(|i| 1000.0 + i as f32 / 16.0).collect();
        let out = samples(
            &depth,
            (17, 1),
            (17, 1),
            Mapping::inverse(1000.0, 1001.0, false),
        );
        for (i, sample) in out.into_iter().enumerate() {
            let expected = (i as f64 * 65535.0 / 16.0).round_ties_even() as u16;
            assert_eq!(sample, expected);
        }
    }

    #[test]
    fn both_byte_orders_and_strides() {
        let mut writer = Gray16Writer::new(Size::new(2, 2), Size::new(2, 2));
        let depth = [1.0, 256.0, 258.0, 515.0];
        let mapping = Mapping {
            gain: 1.0,
            bias: 0.0,
        };
        let mut plane = [0xee; 9];
        for (order, expected) in [
            (ByteOrder::Little, [1, 0, 0, 1, 0xee, 2, 1, 3, 2]),
            (ByteOrder::Big, [0, 1, 1, 0, 0xee, 1, 2, 2, 3]),
        ] {
            writer
                .write(&depth, mapping, order, &mut plane, 5)
                .expect("the last row needs no padding");
            assert_eq!(plane, expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut writer = Gray16Writer::new(Size::new(2, 2), Size::new(3, 3));
        let mapping = Mapping::metric(1.0);
        let mut write = |depth: &[f32], length: usize, stride| {
            let mut plane = vec![0; length];
            writer.write(depth, mapping, ByteOrder::Little, &mut plane, stride)
        };
        assert!(write(&[0.0; 4], 18, 6).is_ok());
        assert!(write(&[0.0; 3], 18, 6).is_err());
        assert!(write(&[0.0; 4], 17, 6).is_err());
        assert!(write(&[0.0; 4], 18, 5).is_err());
        assert!(write(&[0.0; 4], 18, usize::MAX).is_err());
        let mut empty = Gray16Writer::new(Size::new(0, 2), Size::new(0, 0));
        assert!(
            empty
                .write(&[], mapping, ByteOrder::Big, &mut [], 0)
                .is_err()
        );
    }
}
