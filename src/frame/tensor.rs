//! Frame → NCHW tensor: resampled, RGB, normalised, in one pass over the frame.
//!
//! The numbers are those of Depth Anything V2's own preprocessing: `cv2.resize(image / 255, INTER_CUBIC)`
//! on floats (a = −0.75, pixel centres at half, no antialiasing, edges repeated, nothing clamped), then
//! `(x − mean) / std`. Formats with chroma planes are resampled plane by plane, each straight to the
//! network's size, and only then turned to RGB: all of it is linear, so that the order only matters where
//! a conversion at full size would have clamped or interpolated chroma otherwise.
//!
//! Each output row is made in two steps: four source rows are blended into one row of floats for each channel,
//! which is then resampled across. Byte scale, colour matrix and normalisation are one affine function at the end;
//! between matrix and normalisation, high dynamic range is brought to standard ([`ToneMap`]).

#[cfg(feature = "testing")]
use super::InstructionSet;
use super::bands::{self, Bands};
use super::format::{Chroma, Depth, Layout, Place};
use super::kernels::{ChannelAffine, ColourMatrix, Interleaving, Kernels, RgbRows, SLACK};
use super::levels::Levels;
use super::light::ToneMap;
use super::taps::{CubicTaps, Grid, PADDING};
use super::{ByteOrder, Frame, FrameFormat};
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
    /// Nothing is done.
    const NONE: Self = Self {
        mean: [0.0; 3],
        std: [1.0; 3],
    };

    /// `(factor · x + summand − mean) / std` for channel `channel`.
    fn fold<const N: usize>(&self, channel: usize, mut affine: [f64; N]) -> [f32; N] {
        affine[N - 1] -= self.mean[channel];
        affine.map(|value| (value / self.std[channel]) as f32)
    }
}

/// Mean and standard deviation.
impl From<([f64; 3], [f64; 3])> for Normalization {
    fn from((mean, std): ([f64; 3], [f64; 3])) -> Self {
        Self { mean, std }
    }
}

/// Turns frames of one format into the tensor of one network size.
#[derive(Debug, Clone)]
pub struct TensorWriter {
    source: FrameFormat,
    network: Size,
    normalization: Normalization,
    kernels: Kernels,
    path: Path,
    light: Option<Light>,
    /// Scratch for each band of rows.
    bands: Bands<Scratch>,
}

/// From R′, G′ and B′ of high dynamic range to the tensor.
#[derive(Debug, Clone, Copy)]
struct Light {
    map: ToneMap,
    affine: ChannelAffine,
}

/// What is done to a row depends on how the samples lie.
#[derive(Debug, Clone)]
enum Path {
    Rgb {
        samples: Samples<3>,
        resampler: Resampler,
        affine: ChannelAffine,
    },
    Luma {
        samples: Samples<1>,
        resampler: Resampler,
        affine: ChannelAffine,
        /// No sample is to be beyond these; `None`: none can be.
        limits: Option<[f32; 2]>,
    },
    Yuv {
        samples: Samples<1>,
        luma: Resampler,
        chroma_samples: ChromaSamples,
        chroma: Box<Resampler>,
        matrix: ColourMatrix,
    },
}

/// Where some channels are read.
#[derive(Debug, Clone, Copy)]
struct Samples<const CHANNELS: usize> {
    place: Place<CHANNELS>,
    depth: Depth,
}

/// Where U and V are read.
#[derive(Debug, Clone, Copy)]
enum ChromaSamples {
    Together(Samples<2>),
    Apart([Samples<1>; 2]),
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
        let depth = source.pixels.depth();
        let colorimetry = source.colorimetry;
        let channels = [0, 1, 2];
        let affine = |folded: Normalization, affine| channels.map(|c| folded.fold(c, affine));
        let light = ToneMap::new(colorimetry.transfer, colorimetry.primaries).map(|map| Light {
            map,
            affine: affine(normalization, [1.0, 0.0]),
        });
        // with it, what comes before is to give 0…1
        let folded = if light.is_some() {
            Normalization::NONE
        } else {
            normalization
        };

        let path = match source.pixels.layout() {
            Layout::Rgb(place) => Path::Rgb {
                samples: Samples { place, depth },
                resampler: plane(),
                affine: affine(folded, [1.0 / depth.most(), 0.0]),
            },
            Layout::Luma(place) => {
                let (black, span) = colorimetry.luma_range(depth);
                Path::Luma {
                    samples: Samples { place, depth },
                    resampler: plane(),
                    affine: affine(folded, [1.0 / span, -black / span]),
                    limits: None,
                }
            }
            Layout::Yuv(yuv) => {
                let [across, down] = yuv.subsampling;
                let size = [sizes.0[0].div_ceil(across), sizes.0[1].div_ceil(down)];
                let to_rgb = colorimetry.to_rgb(depth);
                Path::Yuv {
                    samples: Samples {
                        place: yuv.luma,
                        depth,
                    },
                    luma: plane(),
                    chroma_samples: match yuv.chroma {
                        Chroma::Together(place) => {
                            ChromaSamples::Together(Samples { place, depth })
                        }
                        Chroma::Apart(places) => {
                            ChromaSamples::Apart(places.map(|place| Samples { place, depth }))
                        }
                    },
                    chroma: Box::new(Resampler::new(
                        grids.of_chroma(source, yuv.subsampling),
                        size,
                        sizes.1,
                    )),
                    matrix: channels.map(|channel| folded.fold(channel, to_rgb[channel])),
                }
            }
        };
        Ok(Self {
            source: *source,
            network,
            normalization,
            kernels: Kernels::detect(),
            bands: Bands::one(Scratch::new(&path, sizes.1[0])),
            path,
            light,
        })
    }

    /// Shows grey of 16 bits with these levels from here on; does nothing for other formats. What is far beyond them
    /// is held at a quarter of their span below black and above white.
    pub fn set_levels(&mut self, levels: Levels) {
        let Path::Luma { affine, limits, .. } = &mut self.path else {
            return;
        };
        if self.source.pixels.depth().wide.is_none() || self.light.is_some() {
            return;
        }
        let depth = self.source.pixels.depth();
        let (black, span) = if levels == Levels::WHOLE {
            self.source.colorimetry.luma_range(depth)
        } else {
            let black = f64::from(levels.black) * depth.most();
            let white = f64::from(levels.white) * depth.most();
            (black, (white - black).max(1.0))
        };
        *affine = [0, 1, 2].map(|channel| {
            self.normalization
                .fold(channel, [1.0 / span, -black / span])
        });
        *limits = (levels != Levels::WHOLE)
            .then(|| [-0.25, 1.25].map(|share| (black + share * span) as f32));
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
    #[cfg(feature = "testing")]
    pub fn with_instruction_set(mut self, instructions: InstructionSet) -> Self {
        self.kernels = instructions.0;
        self
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
            light,
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
                    if let Some(light) = &*light {
                        light.row(*kernels, [red, green, blue]);
                    }
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
            Path::Rgb { resampler, .. } => [(); 3].map(|()| resampler.row()),
            Path::Luma { resampler, .. } => [resampler.row(), Vec::new(), Vec::new()],
            Path::Yuv { luma, chroma, .. } => [luma.row(), chroma.row(), chroma.row()],
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
        let [a, b, c] = &mut scratch.channels;
        match self {
            Self::Rgb {
                samples,
                resampler,
                affine,
            } => {
                resampler.blend(kernels, frame, *samples, y, [a, b, c]);
                kernels.columns_to_rgb([a, b, c], &resampler.across, affine, out);
            }
            Self::Luma {
                samples,
                resampler,
                affine,
                limits,
            } => {
                resampler.blend(kernels, frame, *samples, y, [a]);
                kernels.columns(a, &resampler.across, &mut scratch.luma);
                if let Some([low, high]) = limits {
                    for value in &mut scratch.luma {
                        *value = value.clamp(*low, *high);
                    }
                }
                kernels.luma_to_rgb(&scratch.luma, affine, out);
            }
            Self::Yuv {
                samples,
                luma,
                chroma_samples,
                chroma,
                matrix,
            } => {
                luma.blend(kernels, frame, *samples, y, [a]);
                match chroma_samples {
                    ChromaSamples::Together(samples) => {
                        chroma.blend(kernels, frame, *samples, y, [b, c]);
                    }
                    ChromaSamples::Apart([u, v]) => {
                        chroma.blend(kernels, frame, *u, y, [b]);
                        chroma.blend(kernels, frame, *v, y, [c]);
                    }
                }
                let taps = [&luma.across, &chroma.across];
                kernels.columns_yuv_to_rgb([a, b, c], taps, matrix, out);
            }
        }
    }
}

impl Light {
    /// Finishes a row.
    fn row(&self, kernels: Kernels, [red, green, blue]: RgbRows<'_>) {
        kernels.tone_map(&self.map, [red, green, blue]);
        for (row, [factor, summand]) in [red, green, blue].into_iter().zip(self.affine) {
            for value in row {
                *value = *value * factor + summand;
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

    fn of_chroma(self, source: &FrameFormat, subsampling: [usize; 2]) -> Self {
        let site = source.chroma_site;
        let of = |grid: Grid, luma_samples, cosited| match luma_samples {
            1 => grid,
            _ => grid.of_chroma(if cosited { 0.0 } else { 0.5 }),
        };
        let [across, down] = subsampling;
        Self {
            across: of(self.across, across, site.horizontally_cosited),
            down: of(self.down, down, site.vertically_cosited),
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
        frame: &Frame<'_>,
        samples: Samples<CHANNELS>,
        y: usize,
        mut out: [&mut Vec<f32>; CHANNELS],
    ) {
        let [width, height] = self.source;
        let Samples { place, depth } = samples;
        let interleaving = Interleaving {
            step: place.step,
            offsets: place.offsets,
        };
        let plane = &frame.planes[place.plane];
        let bytes = width * place.step * depth.bytes();
        let rows = self
            .down
            .clamped(y, height)
            .map(|row| plane.row(row, bytes));
        let inner = PADDING..PADDING + width;
        let channels = out.each_mut().map(|row| &mut row[inner.clone()]);
        let weights = self.down.weights()[y];
        match depth.wide {
            None => kernels.blend_rows(rows, interleaving, weights, channels),
            Some(order) => {
                let big_endian = order == ByteOrder::Big;
                kernels.blend_wide_rows(rows, interleaving, big_endian, weights, channels);
            }
        }
        for row in out {
            let (first, last) = (row[inner.start], row[inner.end - 1]);
            row[..inner.start].fill(first);
            row[inner.end..][..PADDING].fill(last);
        }
    }
}
