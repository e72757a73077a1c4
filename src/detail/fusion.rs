//! Maps of tiles → one map.

use super::coarse::Fit;
use super::tiles::{Tile, Tiles};
use crate::error::Error;
use crate::geometry::Size;

/// Side of a cell of the grid that scale and shift are found on, in cells of the first run.
const CELL: f64 = 2.0;

/// Lays the depth maps of tiles on that of a first run, one after the other as they come, into one map of the size of the
/// whole. Keeps its buffers; none is larger than a tile but the map itself, which is the caller's.
///
/// Of each pixel the low frequencies are those of the first map, resampled with aligned corners as everywhere, and the high
/// ones those of the tiles over it, scaled to the first map's units by a robust fit that varies slowly ([`Fit`]). A pixel
/// for which a tile has no finite value is the first map's.
#[derive(Debug, Default)]
pub(crate) struct Fusion {
    /// Means of the tile's map over cells, and what the first map has there.
    values: Vec<f32>,
    targets: Vec<f32>,
    fit: Fit,
    /// Scale and shift at each pixel of a row.
    scales: Vec<f32>,
    shifts: Vec<f32>,
    /// Where the columns of the tile fall on the grid.
    columns: Vec<(u32, f32)>,
    /// A row that is laid on.
    row: Vec<f32>,
    /// A map that has another size than its tile, at that.
    resampled: Vec<f32>,
}

/// A depth map, `[height, width]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Map<'a> {
    /// In the model's units.
    pub(crate) values: &'a [f32],
    /// Width and height.
    pub(crate) size: Size,
}

impl<'a> Map<'a> {
    /// `values` of `size`.
    ///
    /// # Errors
    /// [`Error::Inference`] if there are more or fewer, or none.
    pub(crate) fn new(values: &'a [f32], size: Size) -> Result<Self, Error> {
        if values.len() != size.area() || values.is_empty() {
            return Err(Error::Inference {
                size: size.to_string(),
                reason: format!("it has given {} depth values", values.len()),
            });
        }
        Ok(Self { values, size })
    }

    /// Its value at a place between 0 and 1 across and down, from corner to corner, linear between the four around.
    fn at(&self, [across, down]: [f64; 2]) -> f32 {
        let along = |share: f64, length: u32| {
            let last = length.saturating_sub(1);
            let position = (share * f64::from(last)).clamp(0.0, f64::from(last));
            let first = position as u32;
            let second = (first + 1).min(last);
            (
                first as usize,
                second as usize,
                (position - f64::from(first)) as f32,
            )
        };
        let (left, right, x) = along(across, self.size.width);
        let (above, below, y) = along(down, self.size.height);
        let row = |row: usize| {
            let row = &self.values[row * self.size.width as usize..];
            between(row[left], row[right], x)
        };
        between(row(above), row(below), y)
    }
}

/// `a` and `b` alone at the ends, so that what is not finite stays where it is.
fn between(a: f32, b: f32, share: f32) -> f32 {
    if share <= 0.0 { a } else { a + (b - a) * share }
}

impl Fusion {
    /// Makes `out` the map of `tiles.whole()`, to which all tiles are then [`add`](Self::add)ed, in any order.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn begin(tiles: &Tiles, out: &mut Vec<f32>) -> Result<(), Error> {
        let area = tiles.whole().area();
        out.clear();
        out.try_reserve_exact(area)
            .map_err(|error| Error::OutOfMemory {
                size: tiles.whole().to_string(),
                reason: error.to_string(),
            })?;
        out.resize(area, 0.0);
        Ok(())
    }

    /// Adds the map of one tile, of whatever size, to `out`, laid on the map of the `first` run.
    ///
    /// # Errors
    /// [`Error::Inference`] when `out` was not made for `tiles`.
    pub(crate) fn add(
        &mut self,
        tiles: &Tiles,
        tile: Tile,
        map: Map<'_>,
        first: Map<'_>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        let (whole, size) = (tiles.whole(), tiles.size());
        if out.len() != whole.area() {
            return Err(Error::Inference {
                size: whole.to_string(),
                reason: format!("there is a map of {} values for it", out.len()),
            });
        }
        let mut resampled = std::mem::take(&mut self.resampled);
        let map = if map.size == size {
            map.values
        } else {
            resample(map, size, &mut resampled);
            &resampled
        };
        let [width, height] = [size.width as usize, size.height as usize];
        let cell = cell(first.size, whole);
        let grid = [width.div_ceil(cell), height.div_ceil(cell)];
        self.measure(map, tile, width, cell, |place| {
            first.at(share_of(place, whole))
        });
        self.fit.find(&self.values, &self.targets, grid[0]);

        self.columns.clear();
        self.columns
            .extend((0..width).map(|x| on_grid(x, cell, grid[0])));
        let [across, down] = tiles.weights(tile);
        let rows = out
            .chunks_exact_mut(whole.width as usize)
            .skip(tile.top as usize);
        let rows = rows.zip(map.chunks_exact(width)).zip(&down).enumerate();
        for (y, ((out, values), &weight)) in rows {
            let row = on_grid(y, cell, grid[1]);
            spread(
                &self.fit.scale,
                grid[0],
                row,
                &self.columns,
                &mut self.scales,
            );
            spread(
                &self.fit.shift,
                grid[0],
                row,
                &self.columns,
                &mut self.shifts,
            );
            self.row.clear();
            let affine = self.scales.iter().zip(&self.shifts);
            self.row.extend(
                values
                    .iter()
                    .zip(affine)
                    .map(|(value, (scale, shift))| value * scale + shift),
            );
            // 0, but for what is NaN or infinite
            if self.row.iter().map(|value| value * 0.0).sum::<f32>() != 0.0 {
                for (x, value) in self.row.iter_mut().enumerate() {
                    if !value.is_finite() {
                        let place = [tile.left as usize + x, tile.top as usize + y];
                        *value = first.at(share_of(place.map(|pixel| pixel as f64), whole));
                    }
                }
            }
            let out = &mut out[tile.left as usize..][..width];
            for ((out, value), across) in out.iter_mut().zip(&self.row).zip(&across) {
                *out += weight * across * value;
            }
        }
        self.resampled = resampled;
        Ok(())
    }

    /// Means of the cells of a tile's `map`, and the first map's value in the middle of each, which `first` tells by its
    /// place in the whole.
    fn measure(
        &mut self,
        map: &[f32],
        tile: Tile,
        width: usize,
        cell: usize,
        first: impl Fn([f64; 2]) -> f32,
    ) {
        self.values.clear();
        self.targets.clear();
        let columns = width.div_ceil(cell);
        for (line, rows) in map.chunks(cell * width).enumerate() {
            let start = self.values.len();
            self.values.resize(start + columns, 0.0);
            let values = &mut self.values[start..];
            for row in rows.chunks_exact(width) {
                for (value, samples) in values.iter_mut().zip(row.chunks(cell)) {
                    *value += samples.iter().sum::<f32>();
                }
            }
            let height = rows.len() / width;
            for (column, value) in values.iter_mut().enumerate() {
                let across = cell.min(width - column * cell);
                *value /= (height * across) as f32;
                let [left, top] = [
                    tile.left as usize + column * cell,
                    tile.top as usize + line * cell,
                ];
                // the mean of four places is nearly that of the cell
                let sum: f32 = QUARTERS
                    .iter()
                    .map(|&[x, y]| {
                        let x = left as f64 + x * across as f64 - 0.5;
                        let y = top as f64 + y * height as f64 - 0.5;
                        first([x, y])
                    })
                    .sum();
                self.targets.push(sum / QUARTERS.len() as f32);
            }
        }
    }
}

/// Places in a cell.
const QUARTERS: [[f64; 2]; 4] = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];

/// Side of a cell of the grid, in pixels of the whole picture, when the first run has a map of this size.
fn cell(first: Size, whole: Size) -> usize {
    let ratio = |whole: u32, first: u32| f64::from(whole) / f64::from(first.max(1));
    let ratio = ratio(whole.width, first.width).max(ratio(whole.height, first.height));
    (CELL * ratio).round().max(1.0) as usize
}

/// A pixel's place in a picture, from corner to corner.
fn share_of([x, y]: [f64; 2], whole: Size) -> [f64; 2] {
    let share = |place: f64, length: u32| place / f64::from(length.saturating_sub(1).max(1));
    [share(x, whole.width), share(y, whole.height)]
}

/// The cell before the pixel `at`, and how far it is on the way to the next; cells are where their middles are.
fn on_grid(at: usize, cell: usize, cells: usize) -> (u32, f32) {
    let last = cells.saturating_sub(1) as f64;
    let place = ((at as f64 + 0.5) / cell as f64 - 0.5).clamp(0.0, last);
    let before = place.floor().min((last - 1.0).max(0.0));
    (before as u32, (place - before) as f32)
}

/// A row of a grid of `width` columns, at the height `row` and at each of `columns`, linear between cells.
fn spread(
    grid: &[f32],
    width: usize,
    (row, down): (u32, f32),
    columns: &[(u32, f32)],
    out: &mut Vec<f32>,
) {
    let above = &grid[row as usize * width..][..width];
    let below = grid.get((row as usize + 1) * width..(row as usize + 2) * width);
    let below = below.unwrap_or(above);
    out.clear();
    let last = width - 1;
    out.extend(columns.iter().map(|&(column, across)| {
        let left = column as usize;
        let right = (left + 1).min(last);
        let at = |column: usize| above[column] + (below[column] - above[column]) * down;
        let (left, right) = (at(left), at(right));
        left + (right - left) * across
    }));
}

/// A map at another size, from corner to corner.
fn resample(map: Map<'_>, size: Size, out: &mut Vec<f32>) {
    out.clear();
    for y in 0..size.height {
        out.extend((0..size.width).map(|x| map.at(share_of([f64::from(x), f64::from(y)], size))));
    }
}
