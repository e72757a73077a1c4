//! Frame → NCHW tensor: resampled, RGB, normalised, in one pass over the frame.
//!
//! The numbers are those of Depth Anything V2's own preprocessing: `cv2.resize(image / 255, INTER_CUBIC)`
//! on floats (a = −0.75, pixel centres at half, no antialiasing, edges repeated, nothing clamped), then
//! `(x − mean) / std`. Formats with chroma planes are resampled plane by plane, each straight to the
//! network's size, and only then turned to RGB: all of it is linear, so that the order only matters where
//! a conversion at full size would have clamped or interpolated chroma otherwise.
//!
//! Each output row is made in two steps: four source rows are blended into one row of floats for each channel,
//! which is then resampled across. Byte scale, colour matrix and normalisation are one affine function at the end.

use super::bands::{self, Bands};
use super::kernels::{ChannelAffine, ColourMatrix, Interleaving, Kernels, RgbRows, SLACK};
use super::taps::{CubicTaps, Grid, PADDING};
use super::{Frame, FrameFormat, InstructionSet, PixelFormat, Plane};
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
    /// Scratch for each band of rows.
    bands: Bands<Scratch>,
}

/// What is done to a row depends on how the samples lie.
#[derive(Debug, Clone)]
enum Path {
    Packed {
        interleaving: Interleaving<3>,
        resampler: Resampler,
        affine: ChannelAffine,
    },
    Luma {
        resampler: Resampler,
        affine: ChannelAffine,
    },
    /// Luma, and U and V in turn in one plane.
    SemiPlanar {
        luma: Resampler,
        chroma: Resampler,
        interleaving: Interleaving<2>,
        matrix: ColourMatrix,
    },
    /// Luma, and U and V in a plane each, of these numbers.
    Planar {
        luma: Resampler,
        chroma: Resampler,
        chroma_planes: [usize; 2],
        matrix: ColourMatrix,
    },
}

impl TensorWriter {
    /// Makes the tables to write frames of format `source` as tensors of size `network`, on one core.
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
        let plane = || Resampler::new(grids, sizes.0, sizes.1);
        let chroma = || {
            let size = sizes.0.map(|side| side.div_ceil(2));
            Resampler::new(grids.of_chroma(source), size, sizes.1)
        };
        let channels = [0, 1, 2];
        let to_rgb = source.colorimetry.to_rgb();
        let matrix = channels.map(|channel| normalization.fold(channel, to_rgb[channel]));

        let path = if let Some(packed) = source.pixels.packed() {
            Path::Packed {
                interleaving: Interleaving {
                    step: packed.bytes,
                    offsets: packed.rgb,
                },
                resampler: plane(),
                affine: channels.map(|channel| normalization.fold(channel, [1.0 / 255.0, 0.0])),
            }
        } else {
            match source.pixels.planes() {
                1 => {
                    let (black, span) = source.colorimetry.luma_range();
                    let affine = [1.0 / span, -black / span];
                    Path::Luma {
                        resampler: plane(),
                        affine: channels.map(|channel| normalization.fold(channel, affine)),
                    }
                }
                2 => Path::SemiPlanar {
                    luma: plane(),
                    chroma: chroma(),
                    interleaving: Interleaving {
                        step: 2,
                        offsets: if source.pixels == PixelFormat::Nv21 {
                            [1, 0]
                        } else {
                            [0, 1]
                        },
                    },
                    matrix,
                },
                _ => Path::Planar {
                    luma: plane(),
                    chroma: chroma(),
                    chroma_planes: if source.pixels == PixelFormat::Yv12 {
                        [2, 1]
                    } else {
                        [1, 2]
                    },
                    matrix,
                },
            }
        };
        Ok(Self {
            source: *source,
            network,
            kernels: Kernels::detect(),
            bands: Bands::one(Scratch::new(&path, sizes.1[0])),
            path,
        })
    }

    /// Splits the rows of large frames over as many as `threads` cores; 0: all there are. Small frames are
    /// done before another core has woken up, and stay on one. The values do not depend on it.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        let bands = bands::count(threads, self.source.size.area());
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
    pub fn with_instruction_set(mut self, instructions: InstructionSet) -> Self {
        self.kernels = instructions.0;
        self
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
        let [width, height] = dimensions(self.network);
        let (red, others) = tensor.split_at_mut(self.network.area());
        let (green, blue) = others.split_at_mut(self.network.area());
        let Self {
            kernels,
            path,
            bands,
            ..
        } = self;
        bands.run(
            height,
            |rows| rows * width,
            [red, green, blue],
            |scratch, first, [red, green, blue]| {
                let rows = red
                    .chunks_exact_mut(width)
                    .zip(green.chunks_exact_mut(width))
                    .zip(blue.chunks_exact_mut(width));
                for (y, ((red, green), blue)) in (first..).zip(rows) {
                    path.row(*kernels, frame, y, scratch, [red, green, blue]);
                }
            },
        );
        Ok(())
    }
}

/// Rows that are made and used, one output row after the other.
#[derive(Debug, Clone, Default)]
struct Scratch {
    /// A row of each channel, as [`Resampler::blend`] leaves it.
    channels: [Vec<f32>; 3],
    /// A row of luma of the output's width.
    luma: Vec<f32>,
}

impl Scratch {
    fn new(path: &Path, width: usize) -> Self {
        let channels = match path {
            Path::Packed { resampler, .. } => [(); 3].map(|()| resampler.row()),
            Path::Luma { resampler, .. } => [resampler.row(), Vec::new(), Vec::new()],
            Path::SemiPlanar { luma, chroma, .. } | Path::Planar { luma, chroma, .. } => {
                [luma.row(), chroma.row(), chroma.row()]
            }
        };
        Self {
            channels,
            luma: vec![0.0; width],
        }
    }
}

impl Path {
    /// Makes row `y` of the tensor.
    fn row(
        &self,
        kernels: Kernels,
        frame: &Frame<'_>,
        y: usize,
        scratch: &mut Scratch,
        out: RgbRows<'_>,
    ) {
        let planes = &frame.planes;
        let [a, b, c] = &mut scratch.channels;
        match self {
            Self::Packed {
                interleaving,
                resampler,
                affine,
            } => {
                resampler.blend(kernels, &planes[0], *interleaving, y, [a, b, c]);
                kernels.columns_to_rgb([a, b, c], &resampler.across, affine, out);
            }
            Self::Luma { resampler, affine } => {
                resampler.blend(kernels, &planes[0], Interleaving::NONE, y, [a]);
                kernels.columns(a, &resampler.across, &mut scratch.luma);
                kernels.luma_to_rgb(&scratch.luma, affine, out);
            }
            Self::SemiPlanar {
                luma,
                chroma,
                interleaving,
                matrix,
            } => {
                luma.blend(kernels, &planes[0], Interleaving::NONE, y, [a]);
                chroma.blend(kernels, &planes[1], *interleaving, y, [b, c]);
                let taps = [&luma.across, &chroma.across];
                kernels.columns_yuv_to_rgb([a, b, c], taps, matrix, out);
            }
            Self::Planar {
                luma,
                chroma,
                chroma_planes: [u, v],
                matrix,
            } => {
                luma.blend(kernels, &planes[0], Interleaving::NONE, y, [a]);
                chroma.blend(kernels, &planes[*u], Interleaving::NONE, y, [b]);
                chroma.blend(kernels, &planes[*v], Interleaving::NONE, y, [c]);
                let taps = [&luma.across, &chroma.across];
                kernels.columns_yuv_to_rgb([a, b, c], taps, matrix, out);
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

/// Tables to resample one plane.
#[derive(Debug, Clone)]
struct Resampler {
    across: CubicTaps,
    down: CubicTaps,
    /// Size of the plane, in pixels.
    source: [usize; 2],
}

impl Resampler {
    fn new(grids: Grids, source: [usize; 2], output: [usize; 2]) -> Self {
        Self {
            across: CubicTaps::new(grids.across, source[0], output[0]),
            down: CubicTaps::new(grids.down, source[1], output[1]),
            source,
        }
    }

    /// A row for [`Self::blend`] to fill.
    fn row(&self) -> Vec<f32> {
        vec![0.0; self.source[0] + 2 * PADDING + SLACK]
    }

    /// Blends the four rows that make output row `y`; one of `out` for each channel of the plane. In these the
    /// outermost samples are repeated [`PADDING`] times at both ends; [`SLACK`] follows.
    fn blend<const CHANNELS: usize>(
        &self,
        kernels: Kernels,
        plane: &Plane<'_>,
        interleaving: Interleaving<CHANNELS>,
        y: usize,
        mut out: [&mut Vec<f32>; CHANNELS],
    ) {
        let [width, height] = self.source;
        let bytes = width * interleaving.step;
        let rows = self
            .down
            .clamped(y, height)
            .map(|row| plane.row(row, bytes));
        let inner = PADDING..PADDING + width;
        let channels = out.each_mut().map(|row| &mut row[inner.clone()]);
        kernels.blend_rows(rows, interleaving, self.down.weights()[y], channels);
        for row in out {
            let (first, last) = (row[inner.start], row[inner.end - 1]);
            row[..inner.start].fill(first);
            row[inner.end..][..PADDING].fill(last);
        }
    }
}
