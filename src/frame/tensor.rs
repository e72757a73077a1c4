//! Frame → NCHW tensor: resampled, RGB, normalised, in one pass over the frame.
//!
//! The numbers are those of Depth Anything V2's own preprocessing: `cv2.resize(image / 255, INTER_CUBIC)`
//! on floats (a = −0.75, pixel centres at half, no antialiasing, edges repeated, nothing clamped), then
//! `(x − mean) / std`. Formats with chroma planes are resampled plane by plane, each straight to the
//! network's size, and only then turned to RGB: all of it is linear, so that the order only matters where
//! a conversion at full size would have clamped or interpolated chroma otherwise.
//!
//! Each output row is made in two steps: four source rows are blended into one row of floats, which is
//! then resampled across. Byte scale, colour matrix and normalisation are one affine function at the end.

use super::kernels::{ChannelAffine, ColourMatrix, Kernels, RgbRows, SLACK};
use super::taps::{CubicTaps, Grid, PADDING};
use super::{Frame, FrameFormat, Packed, PixelFormat, Plane};
use crate::error::Error;
use crate::geometry::Size;

/// What is taken off each channel (R, G, B in 0…1), and what it is then divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normalization {
    /// Subtracted.
    pub mean: [f64; 3],
    /// Divided by.
    pub std: [f64; 3],
}

impl Normalization {
    /// That of ImageNet, which Depth Anything V2 and most networks on a ViT or ResNet were trained with.
    pub const IMAGENET: Self = Self {
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    };

    /// `(factor · x + summand − mean) / std` for channel `channel`.
    fn fold<const N: usize>(&self, channel: usize, mut affine: [f64; N]) -> [f32; N] {
        affine[N - 1] -= self.mean[channel];
        affine.map(|value| (value / self.std[channel]) as f32)
    }
}

/// Turns frames of one format into the tensor of one network size.
#[derive(Debug, Clone)]
pub struct TensorWriter {
    source: FrameFormat,
    network: Size,
    kernels: Kernels,
    path: Path,
}

/// What is done to a row depends on how the samples lie.
#[derive(Debug, Clone)]
enum Path {
    Packed {
        packed: Packed,
        resampler: Resampler,
        affine: ChannelAffine,
    },
    Luma {
        resampler: Resampler,
        affine: ChannelAffine,
        row: Vec<f32>,
    },
    /// Luma, and U and V in turn in one plane, or V and U.
    SemiPlanar {
        luma: Resampler,
        chroma: Resampler,
        swapped: bool,
        matrix: ColourMatrix,
        rows: [Vec<f32>; 3],
    },
    /// Luma, and U and V in a plane each, of these numbers.
    Planar {
        luma: Resampler,
        chroma: Resampler,
        chroma_planes: [usize; 2],
        matrix: ColourMatrix,
        rows: [Vec<f32>; 3],
    },
}

impl TensorWriter {
    /// Makes the tables to write frames of format `source` as tensors of size `network`.
    ///
    /// # Errors
    /// [`Error::Frame`] if either has no pixels.
    pub fn new(
        source: &FrameFormat,
        network: Size,
        normalization: Normalization,
    ) -> Result<Self, Error> {
        if source.size.area() == 0 || network.area() == 0 {
            return Err(Error::Frame {
                reason: format!(
                    "a frame of {} can't become an image of {network}: there are no pixels",
                    source.size
                ),
            });
        }
        let sizes = (dimensions(source.size), dimensions(network));
        let grids = Grids::new(sizes.0, sizes.1);
        let chroma = || {
            let [width, height] = sizes.0;
            let channels = if source.pixels.planes() == 2 { 2 } else { 1 };
            Resampler::new(
                grids.of_chroma(source),
                [width.div_ceil(2), height.div_ceil(2)],
                sizes.1,
                channels,
            )
        };
        let plane = |channels| Resampler::new(grids, sizes.0, sizes.1, channels);
        let rows = || [(); 3].map(|()| vec![0.0; sizes.1[0]]);
        let channels = [0, 1, 2];
        let to_rgb = source.colorimetry.to_rgb();
        let matrix = channels.map(|channel| normalization.fold(channel, to_rgb[channel]));

        let path = if let Some(packed) = source.pixels.packed() {
            Path::Packed {
                packed,
                resampler: plane(packed.bytes),
                affine: channels.map(|channel| normalization.fold(channel, [1.0 / 255.0, 0.0])),
            }
        } else {
            match source.pixels.planes() {
                1 => {
                    let (black, span) = source.colorimetry.luma_range();
                    let affine = [1.0 / span, -black / span];
                    Path::Luma {
                        resampler: plane(1),
                        affine: channels.map(|channel| normalization.fold(channel, affine)),
                        row: vec![0.0; sizes.1[0]],
                    }
                }
                2 => Path::SemiPlanar {
                    luma: plane(1),
                    chroma: chroma(),
                    swapped: source.pixels == PixelFormat::Nv21,
                    matrix,
                    rows: rows(),
                },
                _ => Path::Planar {
                    luma: plane(1),
                    chroma: chroma(),
                    chroma_planes: if source.pixels == PixelFormat::Yv12 {
                        [2, 1]
                    } else {
                        [1, 2]
                    },
                    matrix,
                    rows: rows(),
                },
            }
        };
        Ok(Self {
            source: *source,
            network,
            kernels: Kernels::detect(),
            path,
        })
    }

    /// What the frames are.
    pub fn source(&self) -> &FrameFormat {
        &self.source
    }

    /// Size of the tensor.
    pub fn network(&self) -> Size {
        self.network
    }

    /// Number of values in the tensor.
    pub fn tensor_len(&self) -> usize {
        3 * self.network.area()
    }

    /// Writes one frame as `[3, height, width]`, R before G before B.
    ///
    /// # Errors
    /// [`Error::Frame`] if the planes hold less than the format says, or `tensor` has not
    /// [`tensor_len`](Self::tensor_len) values.
    pub fn write(&mut self, frame: &Frame<'_>, tensor: &mut [f32]) -> Result<(), Error> {
        frame.check(&self.source)?;
        if tensor.len() != self.tensor_len() {
            return Err(Error::Frame {
                reason: format!(
                    "a tensor of {} values can't take an image of 3×{}",
                    tensor.len(),
                    self.network
                ),
            });
        }
        let width = self.network.width as usize;
        let (red, others) = tensor.split_at_mut(self.network.area());
        let (green, blue) = others.split_at_mut(self.network.area());
        let rows = red
            .chunks_exact_mut(width)
            .zip(green.chunks_exact_mut(width))
            .zip(blue.chunks_exact_mut(width));
        for (y, ((red, green), blue)) in rows.enumerate() {
            self.path.row(self.kernels, frame, y, [red, green, blue]);
        }
        Ok(())
    }
}

impl Path {
    /// Makes row `y` of the tensor.
    fn row(&mut self, kernels: Kernels, frame: &Frame<'_>, y: usize, out: RgbRows<'_>) {
        let planes = &frame.planes;
        match self {
            Self::Packed {
                packed,
                resampler,
                affine,
            } => {
                let (row, taps) = resampler.blend(kernels, &planes[0], y);
                kernels.columns_of_packed(row, packed.bytes, packed.rgb, taps, affine, out);
            }
            Self::Luma {
                resampler,
                affine,
                row,
            } => {
                let (blended, taps) = resampler.blend(kernels, &planes[0], y);
                kernels.columns(blended, taps, row);
                kernels.luma_to_rgb(row, affine, out);
            }
            Self::SemiPlanar {
                luma,
                chroma,
                swapped,
                matrix,
                rows: [y_row, u_row, v_row],
            } => {
                let (row, taps) = luma.blend(kernels, &planes[0], y);
                kernels.columns(row, taps, y_row);
                let (row, taps) = chroma.blend(kernels, &planes[1], y);
                let in_turn = if *swapped {
                    [&mut v_row[..], &mut u_row[..]]
                } else {
                    [&mut u_row[..], &mut v_row[..]]
                };
                kernels.columns_of_two(row, taps, in_turn);
                kernels.yuv_to_rgb([y_row, u_row, v_row], matrix, out);
            }
            Self::Planar {
                luma,
                chroma,
                chroma_planes,
                matrix,
                rows: [y_row, u_row, v_row],
            } => {
                let (row, taps) = luma.blend(kernels, &planes[0], y);
                kernels.columns(row, taps, y_row);
                for (plane, out) in chroma_planes.iter().zip([&mut *u_row, &mut *v_row]) {
                    let (row, taps) = chroma.blend(kernels, &planes[*plane], y);
                    kernels.columns(row, taps, out);
                }
                kernels.yuv_to_rgb([y_row, u_row, v_row], matrix, out);
            }
        }
    }
}

fn dimensions(size: Size) -> [usize; 2] {
    [size.width as usize, size.height as usize]
}

/// Where the samples of the tensor fall on a plane, across and down.
#[derive(Debug, Clone, Copy)]
struct Grids {
    across: Grid,
    down: Grid,
}

impl Grids {
    fn new(source: [usize; 2], output: [usize; 2]) -> Self {
        Self {
            across: Grid::half_pixel(source[0], output[0]),
            down: Grid::half_pixel(source[1], output[1]),
        }
    }

    fn of_chroma(self, source: &FrameFormat) -> Self {
        let shift = |cosited| if cosited { 0.0 } else { 0.5 };
        let site = source.chroma_site;
        Self {
            across: self.across.of_chroma(shift(site.horizontally_cosited)),
            down: self.down.of_chroma(shift(site.vertically_cosited)),
        }
    }
}

/// Tables and scratch to resample one plane.
#[derive(Debug, Clone)]
struct Resampler {
    across: CubicTaps,
    down: CubicTaps,
    /// Size of the plane, in pixels.
    source: [usize; 2],
    /// Channels in turn.
    channels: usize,
    /// One blended row, with its outermost pixels repeated [`PADDING`] times at both ends, and [`SLACK`].
    row: Vec<f32>,
}

impl Resampler {
    fn new(grids: Grids, source: [usize; 2], output: [usize; 2], channels: usize) -> Self {
        Self {
            across: CubicTaps::new(grids.across, source[0], output[0]),
            down: CubicTaps::new(grids.down, source[1], output[1]),
            source,
            channels,
            row: vec![0.0; (source[0] + 2 * PADDING) * channels + SLACK],
        }
    }

    /// Blends the four rows that make output row `y`.
    fn blend(&mut self, kernels: Kernels, plane: &Plane<'_>, y: usize) -> (&[f32], &CubicTaps) {
        let [width, height] = self.source;
        let bytes = width * self.channels;
        let rows = self
            .down
            .clamped(y, height)
            .map(|row| plane.row(row, bytes));
        let margin = PADDING * self.channels;
        let inner = margin..margin + bytes;
        kernels.blend_rows(rows, self.down.weights()[y], &mut self.row[inner.clone()]);
        for pixel in 0..PADDING {
            let first = inner.start..inner.start + self.channels;
            let last = inner.end - self.channels..inner.end;
            self.row.copy_within(first, pixel * self.channels);
            self.row
                .copy_within(last, inner.end + pixel * self.channels);
        }
        (&self.row, &self.across)
    }
}
