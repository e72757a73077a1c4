//! Depth map → 16-bit grey samples whose edges follow the picture.
//!
//! In two stages. What a network blurs and misplaces by a few cells of the depth map is mended first, at that size
//! ([`refinement`]). Then joint bilateral upsampling (Kopf, Cohen, Lischinski and Uyttendaele, 2007): a pixel's depth is a
//! mean of the nine cells around it, weighted by how near they are and by how much the pixel's luma resembles theirs.
//! Where luma is even, the weights are those of a quadratic B-spline, which takes a ramp to the same ramp. Nowhere does a
//! pixel leave the range of the cells around it, so that there are no halos.

mod kernel;
mod lanes;
mod luma;
mod refinement;
#[cfg(test)]
mod tests;

use super::simd::Simd;
use kernel::{Row, Stretched};
use lanes::LANES;
pub use luma::Guide;
use refinement::EdgeRefinement;

use super::gray16::{ByteOrder, Mapping, check};
use super::kernels::Kernels;
use crate::error::Error;
use crate::geometry::Size;

/// Which cells a column or row of the frame sees, and what they weigh by their distance.
#[derive(Debug, Clone)]
struct Spline {
    /// Nearest cell.
    nearest: Vec<u32>,
    /// Weights of the cell before it, of itself and of the one after it; they sum to 1. There is room for whole lanes.
    weights: [Vec<f32>; 3],
    /// For each eight columns the first one's nearest cell, and how far after it are those of all; whole lanes too.
    firsts: Vec<usize>,
    offsets: Vec<i32>,
}

impl Spline {
    /// Corners are aligned, as in the bilinear reference.
    fn new(cells: usize, pixels: usize) -> Self {
        let step = cells.saturating_sub(1) as f64 / pixels.saturating_sub(1).max(1) as f64;
        let mut nearest = Vec::with_capacity(pixels);
        let mut weights = [0, 1, 2].map(|_| Vec::with_capacity(pixels));
        for pixel in 0..pixels {
            let position = step * pixel as f64;
            let cell = position.round().min(cells.saturating_sub(1) as f64);
            let off = position - cell;
            nearest.push(cell as u32);
            weights[0].push((0.5 * (0.5 - off).powi(2)) as f32);
            weights[1].push((0.75 - off * off) as f32);
            weights[2].push((0.5 * (0.5 + off).powi(2)) as f32);
        }
        let lanes = pixels.next_multiple_of(LANES);
        for weights in &mut weights {
            weights.resize(lanes, 0.0);
        }
        // there are more pixels than cells: from one to the next it is the same cell or the next one
        let cell = |pixel: usize| nearest.get(pixel).or(nearest.last()).copied().unwrap_or(0);
        let first = |pixel: usize| cell(pixel / 8 * 8);
        Self {
            firsts: (0..lanes)
                .step_by(8)
                .map(|pixel| first(pixel) as usize)
                .collect(),
            offsets: (0..lanes)
                .map(|pixel| (cell(pixel) - first(pixel)) as i32)
                .collect(),
            nearest,
            weights,
        }
    }

    fn weights(&self, pixel: usize) -> [f32; 3] {
        [0, 1, 2].map(|tap| self.weights[tap][pixel])
    }
}

/// Turns depth maps of one size into larger grey frames, led by the frames' luma.
#[derive(Debug, Clone)]
pub struct GuidedWriter {
    network: Size,
    output: Size,
    across: Spline,
    down: Spline,
    /// Columns that are nearest to each cell.
    shares: Vec<usize>,
    /// Mean luma of each cell.
    cells: Vec<f32>,
    refinement: EdgeRefinement,
    /// The depth map, its steps where the picture has them.
    mended: Vec<f32>,
    /// One row of it, mapped, and one of `cells`; both with one more value on either side, and
    /// room to read eight at once.
    mapped: Vec<f32>,
    padded: Vec<f32>,
    /// The three rows around, by number modulo 3, and which they are.
    rows: [Stretched; 3],
    held: [Option<usize>; 3],
    /// One row of luma.
    luma: Vec<f32>,
    /// One row of a frame of another size.
    resampled: Vec<u8>,
    /// Sums of rows of luma.
    columns: Vec<u32>,
    /// One row of samples, not rounded.
    samples: Vec<f32>,
    kernels: Kernels,
    simd: Simd,
}

impl GuidedWriter {
    /// Makes the tables to write depth maps of size `network` as frames of size `output`; `None` when that is not
    /// larger both ways, so that there is nothing to be led.
    pub fn new(network: Size, output: Size) -> Option<Self> {
        let larger = output.width > network.width && output.height > network.height;
        if !larger || network.area() == 0 {
            return None;
        }
        let (columns, lines) = (output.width as usize, output.height as usize);
        let lanes = columns.next_multiple_of(LANES);
        let (width, height) = (network.width as usize, network.height as usize);
        let (across, down) = (Spline::new(width, columns), Spline::new(height, lines));
        let mut shares = vec![0; width];
        for &cell in &across.nearest {
            shares[cell as usize] += 1;
        }
        Some(Self {
            network,
            output,
            across,
            down,
            shares,
            cells: vec![0.0; network.area()],
            refinement: EdgeRefinement::new(network),
            mended: Vec::with_capacity(network.area()),
            mapped: vec![0.0; width + 2 + 8],
            padded: vec![0.0; width + 2 + 8],
            rows: [0, 1, 2].map(|_| Stretched::new(columns)),
            held: [None; 3],
            luma: vec![0.0; lanes],
            resampled: vec![0; columns],
            columns: vec![0; columns],
            samples: vec![0.0; lanes],
            kernels: Kernels::detect(),
            simd: Simd::detect(),
        })
    }

    /// Size of the depth maps.
    pub fn network(&self) -> Size {
        self.network
    }

    /// Writes one depth map, `[height, width]`, as [`Gray16Writer`](super::Gray16Writer) does, led by the luma of the
    /// frame that it is of. Returns how many values of the depth map are NaN or infinite; the samples nearest to them
    /// are 0.
    ///
    /// # Errors
    /// [`Error::Frame`] if the depth map has not the size given at first, the plane is too short, or there is no guide.
    pub fn write(
        &mut self,
        depth: &[f32],
        guide: &Guide,
        mapping: Mapping,
        order: ByteOrder,
        plane: &mut [u8],
        stride: usize,
    ) -> Result<usize, Error> {
        check(self.network, self.output, depth, plane, stride)?;
        if guide.size().area() == 0 {
            return Err(Error::Frame {
                reason: "there is no picture to lead its depth".into(),
            });
        }
        self.measure_cells(guide);
        let mut mended = std::mem::take(&mut self.mended);
        let range = (65535.0 / mapping.gain.abs()) as f32;
        self.refinement
            .refine(depth, &self.cells, range, &mut mended);
        self.held = [None; 3];
        let last = self.network.height as usize - 1;
        let width = self.output.width as usize;
        let bytes = 2 * width;
        let lines = plane
            .chunks_mut(stride.max(bytes))
            .take(self.output.height as usize);
        for (y, out) in lines.enumerate() {
            let nearest = self.down.nearest[y] as usize;
            let around = [nearest.saturating_sub(1), nearest, (nearest + 1).min(last)];
            for row in around {
                self.stretch(&mended, row, mapping);
            }
            let luma = luma_of_row(guide, self.output, y, &mut self.resampled);
            for (out, &luma) in self.luma.iter_mut().zip(luma) {
                *out = f32::from(luma);
            }
            let row = Row {
                luma: &self.luma,
                rows: around.map(|row| &self.rows[row % 3]),
                down: self.down.weights(y),
                across: &self.across.weights,
            };
            if row.rows.iter().all(|row| row.finite) {
                kernel::lead(self.simd, &row, &mut self.samples);
            } else {
                kernel::lead_by_what_is_finite(&row, &mut self.samples);
            }
            let big_endian = order == ByteOrder::Big;
            kernel::finish(self.simd, &self.samples, big_endian, &mut out[..bytes]);
        }
        self.mended = mended;
        Ok(self.kernels.count_non_finite(depth))
    }

    /// Mean luma of the pixels nearest to each cell.
    fn measure_cells(&mut self, guide: &Guide) {
        let width = self.network.width as usize;
        let columns = &mut self.columns;
        let lines = &self.down.nearest;
        let mut first = 0;
        for (row, cells) in self.cells.chunks_exact_mut(width).enumerate() {
            let lines = lines[first..].partition_point(|&cell| cell as usize == row);
            columns.fill(0);
            for y in first..first + lines {
                let luma = luma_of_row(guide, self.output, y, &mut self.resampled);
                for (sum, &luma) in columns.iter_mut().zip(luma) {
                    *sum += u32::from(luma);
                }
            }
            first += lines;
            let mut end = 0;
            for (cell, &share) in cells.iter_mut().zip(&self.shares) {
                let start = end;
                end += share;
                let sum: u32 = columns[start..end].iter().sum();
                *cell = sum as f32 / (share * lines) as f32;
            }
        }
    }

    /// Makes a row of the depth map ready, if it is not.
    fn stretch(&mut self, depth: &[f32], row: usize, mapping: Mapping) {
        let place = row % 3;
        if self.held[place] == Some(row) {
            return;
        }
        self.held[place] = Some(row);
        let width = self.network.width as usize;
        let values = &depth[row * width..][..width];
        let mapping = mapping.for_kernel();
        // one more on either side, the same again, so that each pixel finds three
        let mapped = &mut self.mapped[..];
        self.kernels
            .map_rows([values, values], 0.0, mapping, &mut mapped[1..=width]);
        let cells = &mut self.padded[..];
        cells[1..=width].copy_from_slice(&self.cells[row * width..][..width]);
        for padded in [&mut *mapped, &mut *cells] {
            padded[0] = padded[1];
            padded[width + 1] = padded[width];
        }
        let out = &mut self.rows[place];
        out.finite = mapped[..width + 2].iter().all(|value| value.is_finite());
        kernel::spread(self.simd, cells, &self.across, &mut out.luma);
        kernel::spread(self.simd, mapped, &self.across, &mut out.depth);
    }
}

/// Row `y` of a frame of size `output`, of the nearest pixels where the guide has another size.
fn luma_of_row<'a>(guide: &'a Guide, output: Size, y: usize, resampled: &'a mut [u8]) -> &'a [u8] {
    let nearest =
        |index: usize, from: u32, to: u32| (2 * index + 1) * from as usize / (2 * to as usize);
    let size = guide.size();
    let row = guide.row(nearest(y, size.height, output.height));
    if size.width == output.width {
        return row;
    }
    for (x, out) in resampled.iter_mut().enumerate() {
        *out = row[nearest(x, size.width, output.width)];
    }
    resampled
}
