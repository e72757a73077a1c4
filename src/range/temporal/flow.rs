//! Where each part of the picture was in the frame before.
//!
//! From coarse to fine, on pictures of an eighth to half of the size (large ones: a sixteenth to a quarter). For blocks that
//! lie close together, a window around each is looked for in the picture before, at the motions that the coarser level, its
//! neighbours and the frame before have there, and from the best of them moved to a fraction of a pixel by least squares
//! (Lucas and Kanade, 1981). The median with those around it takes out what is wrong alone.

mod plane;
mod window;

use crate::frame::simd::Simd;
use crate::geometry::Size;
use plane::{Plane, WINDOW};

/// A block for each so many pixels of its level, both ways.
const STRIDE: usize = 8;
/// Sizes of the picture that are looked at.
const LEVELS: usize = 3;
/// Smaller ones say nothing.
const LEAST: usize = 12;
/// Pictures with a short side from this on are looked at from a quarter of their size on, others from half.
const LARGE: u32 = 400;
/// What fits better by less than this share, and by less than this much a pixel, has not moved.
const BETTER: (f32, f32) = (0.15, 0.005);
/// Nor has what moves by less, in pixels of the finest level, when the camera stands.
const NOTHING: f32 = 0.05;
/// The camera moves when its part in the motion is more than this, in pixels of the finest level.
const MOVES: f32 = 0.02;
/// A block that moves otherwise than the camera by this many pixels of the finest level moves by itself.
const ITS_OWN: f32 = 0.5;

/// A motion in pixels, right and down: from where something is to where it was.
pub(super) type Vector = [f32; 2];

/// Motions of the blocks of a level.
#[derive(Debug, Default, Clone)]
struct Grid {
    columns: usize,
    rows: usize,
    motions: Vec<Vector>,
}

impl Grid {
    fn resize(&mut self, columns: usize, rows: usize) {
        if self.motions.len() != columns * rows {
            self.motions.clear();
            self.motions.resize(columns * rows, [0.0; 2]);
        }
        (self.columns, self.rows) = (columns, rows);
    }

    #[inline(always)]
    fn at(&self, column: usize, row: usize) -> Vector {
        let (column, row) = (column.min(self.columns - 1), row.min(self.rows - 1));
        self.motions[row * self.columns + column]
    }
}

/// Finds motion from a picture to the next.
#[derive(Debug, Default)]
pub(super) struct Flow {
    half: Plane,
    now: [Plane; LEVELS],
    before: [Plane; LEVELS],
    /// How many of the levels are large enough to say anything.
    levels: usize,
    /// Pixels of the picture for each of the finest level, one way.
    scale: usize,
    grids: [Grid; LEVELS],
    scratch: Vec<Vector>,
    moves: bool,
    camera_moves: bool,
    simd: Option<Simd>,
}

impl Flow {
    /// A picture after which nothing is known: luma, `[height, width]`.
    pub(super) fn begin(&mut self, luma: &[f32], size: Size) {
        self.see(luma, size);
        for grid in &mut self.grids {
            grid.motions.clear();
        }
        (self.moves, self.camera_moves) = (false, false);
    }

    /// The next picture, of the same size.
    pub(super) fn follow(&mut self, luma: &[f32], size: Size) {
        self.see(luma, size);
        (self.moves, self.camera_moves) = (false, false);
        if self.levels == 0 {
            return;
        }
        for level in (0..self.levels).rev() {
            self.find(level);
        }
        self.camera_moves = camera(&self.grids[0]) > MOVES;
        if !self.camera_moves {
            self.take_out_what_stays();
        }
        self.moves = self.grids[0].motions.iter().any(|it| *it != [0.0; 2]);
    }

    /// Whether anything moves.
    pub(super) fn moves(&self) -> bool {
        self.moves
    }

    /// Whether the camera does.
    pub(super) fn camera_moves(&self) -> bool {
        self.camera_moves
    }

    /// Pixels of the picture along the side of a block, which has one motion.
    pub(super) fn block(&self) -> usize {
        STRIDE * self.scale
    }

    /// How far what the block at this column and row of blocks shows is from where it was, in pixels of the picture.
    #[inline(always)]
    pub(super) fn motion(&self, column: usize, row: usize) -> Vector {
        let [right, down] = self.grids[0].at(column, row);
        [right * self.scale as f32, down * self.scale as f32]
    }

    /// Makes the levels of a picture.
    fn see(&mut self, luma: &[f32], size: Size) {
        std::mem::swap(&mut self.now, &mut self.before);
        let (width, height) = (size.width as usize, size.height as usize);
        let is_large = size.width.min(size.height) >= LARGE;
        self.scale = if is_large { 4 } else { 2 };
        self.levels = 0;
        if width.min(height) / self.scale < LEAST {
            return;
        }
        let [finest, coarser @ ..] = &mut self.now;
        if is_large {
            self.half.halve(luma, width, width, height);
            finest.halve_plane(&self.half);
        } else {
            finest.halve(luma, width, width, height);
        }
        self.levels = 1;
        let mut above = finest;
        for plane in coarser {
            if above.width().min(above.height()) / 2 < LEAST {
                break;
            }
            plane.halve_plane(above);
            self.levels += 1;
            above = plane;
        }
    }

    fn find(&mut self, level: usize) {
        let simd = *self.simd.get_or_insert_with(Simd::detect);
        let (now, before) = (&self.now[level], &self.before[level]);
        let (finer, coarser) = self.grids.split_at_mut(level + 1);
        let grid = &mut finer[level];
        let parent = coarser.first().filter(|_| level + 1 < self.levels);
        let (columns, rows) = (now.width().div_ceil(STRIDE), now.height().div_ceil(STRIDE));
        grid.resize(columns, rows);
        for row in 0..rows {
            for column in 0..columns {
                let here = row * columns + column;
                let of =
                    |condition: bool, back: usize| condition.then(|| grid.motions[here - back]);
                let candidates = [
                    parent.map(|it| it.at(column / 2, row / 2).map(|it| 2.0 * it)),
                    of(true, 0),
                    of(column > 0, 1),
                    of(row > 0, columns),
                ];
                let found = window::search(simd, now, before, place(column, row), candidates);
                grid.motions[here] = found;
            }
        }
        median(grid, &mut self.scratch);
    }

    /// Of a camera that stands, most motions are noise.
    fn take_out_what_stays(&mut self) {
        let simd = *self.simd.get_or_insert_with(Simd::detect);
        let (now, before, grid) = (&self.now[0], &self.before[0], &mut self.grids[0]);
        let area = (WINDOW * WINDOW) as f32;
        for row in 0..grid.rows {
            for column in 0..grid.columns {
                let motion = &mut grid.motions[row * grid.columns + column];
                let off =
                    |motion| window::difference(simd, now, before, place(column, row), motion);
                let stays = motion.iter().all(|it| it.abs() < NOTHING) || {
                    off([0.0; 2]) <= (1.0 + BETTER.0) * off(*motion) + BETTER.1 * area
                };
                if stays {
                    *motion = [0.0; 2];
                }
            }
        }
    }
}

/// The upper left pixel of the window around a block.
fn place(column: usize, row: usize) -> (isize, isize) {
    let at = |block: usize| (block * STRIDE) as isize - (WINDOW - STRIDE) as isize / 2;
    (at(column), at(row))
}

/// The median of each motion and those around it, in both directions by itself.
fn median(grid: &mut Grid, scratch: &mut Vec<Vector>) {
    scratch.clear();
    for row in 0..grid.rows {
        for column in 0..grid.columns {
            let mut around = [[0.0; 2]; 9];
            for (i, around) in around.iter_mut().enumerate() {
                let column = (column + i % 3).saturating_sub(1);
                let row = (row + i / 3).saturating_sub(1);
                *around = grid.at(column, row);
            }
            scratch.push(middle(&mut around));
        }
    }
    std::mem::swap(&mut grid.motions, scratch);
}

/// The median of nine, in both directions by itself.
fn middle(around: &mut [Vector; 9]) -> Vector {
    [0, 1].map(|axis| {
        around.sort_unstable_by(|a, b| a[axis].total_cmp(&b[axis]));
        around[4][axis]
    })
}

/// How far the blocks of a picture move in the mean because the camera shifts, goes forward or rolls, in pixels: what one
/// shift, scale and turn of the picture explain of what most blocks do.
fn camera(grid: &Grid) -> f32 {
    const ROUNDS: usize = 3;
    let middle = [grid.columns, grid.rows].map(|count| 0.5 * (count - 1) as f32);
    let places = || {
        let blocks = grid.motions.iter().enumerate();
        blocks.map(|(i, motion)| {
            let x = (i % grid.columns) as f32 - middle[0];
            let y = (i / grid.columns) as f32 - middle[1];
            ([x, y], *motion)
        })
    };
    // shift, growth and turn for each block from the middle
    let (mut shift, mut grow, mut turn) = ([0.0_f32; 2], 0.0_f32, 0.0_f32);
    let mut mean = 0.0;
    for round in 0..ROUNDS {
        let (mut total, mut sums, mut moved) = (0.0_f32, [0.0_f32; 2], [0.0_f32; 2]);
        let explained = |[x, y]: [f32; 2]| {
            [
                shift[0] + grow * x - turn * y,
                shift[1] + grow * y + turn * x,
            ]
        };
        let weight = |place: [f32; 2], motion: Vector| {
            if round == 0 {
                return 1.0;
            }
            let by = explained(place);
            let off = (motion[0] - by[0]).hypot(motion[1] - by[1]) / ITS_OWN;
            (1.0 + off * off).powi(-2)
        };
        for (place, motion) in places() {
            let weight = weight(place, motion);
            total += weight;
            for axis in 0..2 {
                sums[axis] += weight * place[axis];
                moved[axis] += weight * motion[axis];
            }
        }
        let total = total.max(f32::MIN_POSITIVE);
        let (center, by) = (sums.map(|sum| sum / total), moved.map(|sum| sum / total));
        let (mut spread, mut out, mut around) = (f32::MIN_POSITIVE, 0.0, 0.0);
        for (place, motion) in places() {
            let weight = weight(place, motion);
            let (x, y) = (place[0] - center[0], place[1] - center[1]);
            let (u, v) = (motion[0] - by[0], motion[1] - by[1]);
            spread += weight * (x * x + y * y);
            out += weight * (x * u + y * v);
            around += weight * (x * v - y * u);
        }
        (grow, turn) = (out / spread, around / spread);
        shift = [
            by[0] - grow * center[0] + turn * center[1],
            by[1] - grow * center[1] - turn * center[0],
        ];
        let lengths = places().map(|([x, y], _)| {
            let across = shift[0] + grow * x - turn * y;
            let down = shift[1] + grow * y + turn * x;
            across.hypot(down)
        });
        mean = lengths.sum::<f32>() / grid.motions.len().max(1) as f32;
    }
    mean
}

#[cfg(test)]
mod tests;
