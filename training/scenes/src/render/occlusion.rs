//! Ambient occlusion: a few short rays on a coarse grid of pixels, spread over their surfaces.

use super::Pixel;
use super::approx::circle;
use super::shade::Spot;
use crate::geometry::Rays;
use crate::geometry::rays::LANES;
use crate::rng::hash01;
use crate::scene::World;
use glam::Vec3;
use wide::f32x4;

const RAYS: u32 = LANES as u32;

#[derive(Clone, Copy)]
struct Cell {
    at: Vec3,
    normal: Vec3,
    open: f32,
    /// Not sky.
    solid: bool,
}

/// Open share of the hemisphere at the grid's pixels.
pub(super) struct Grid {
    step: usize,
    /// Cells per pixel.
    per_pixel: f32,
    cols: usize,
    rows: usize,
    reach: f32,
    cells: Vec<Cell>,
    /// Openness between a cell and the next ones to the right and below where all four are equally open; else [`UNEVEN`].
    even: Vec<f32>,
}

/// The cells around are not equally open.
const UNEVEN: f32 = -1.0;
/// What is less than this apart is not told apart in a picture.
const EVEN: f32 = 0.004;

impl Grid {
    pub(super) fn new(
        world: &World<'_>,
        pixels: &[Pixel],
        width: usize,
        height: usize,
        jitter: u32,
    ) -> Self {
        // as many cells whatever the size, so that occlusion looks alike at all sizes
        let step = ((width * height) as f32 / 4200.0).sqrt().round().max(2.0) as usize;
        let (cols, rows) = (width.div_ceil(step), height.div_ceil(step));
        let reach = world.scene.occlusion;
        let last = std::cell::Cell::new(0);
        let mut cells = Vec::with_capacity(cols * rows);
        for j in 0..rows {
            for i in 0..cols {
                let x = (i * step + step / 2).min(width - 1);
                let y = (j * step + step / 2).min(height - 1);
                let p = &pixels[y * width + x];
                let mut open = 1.0;
                if p.spot.material != u32::MAX {
                    let lift = 2e-4 + 1e-3 * p.t.min(30.0);
                    let origin = p.spot.at + p.spot.normal * lift;
                    let (a, b) = p.spot.normal.any_orthonormal_pair();
                    let dirs = std::array::from_fn(|k| {
                        let k = k as u32;
                        let n = (j * cols + i) as u32 * RAYS + k;
                        let turns = hash01(n, jitter) + k as f32 / RAYS as f32;
                        let r = ((k as f32 + hash01(n, jitter ^ 0x33)) / RAYS as f32).sqrt() * 0.97;
                        let (s, c) = circle(turns);
                        a * (c * r) + b * (s * r) + p.spot.normal * (1.0 - r * r).sqrt()
                    });
                    let rays = Rays::from_one_place(origin, dirs, lift * 0.5);
                    let blocked = world
                        .blocked(&rays, f32x4::splat(reach), &last)
                        .count_ones();
                    open = 1.0 - 0.8 * blocked as f32 / RAYS as f32;
                }
                cells.push(Cell {
                    at: p.spot.at,
                    normal: p.spot.normal,
                    open,
                    solid: p.spot.material != u32::MAX,
                });
            }
        }
        let cells = smooth(&cells, cols, rows, reach);
        let even = (0..cols * rows)
            .map(|k| evenly(around(&cells, cols, rows, k % cols, k / cols)))
            .collect();
        Self {
            step,
            per_pixel: 1.0 / step as f32,
            cols,
            rows,
            reach,
            cells,
            even,
        }
    }

    /// Openness at a pixel from the cells around it that lie on a like surface.
    #[inline(always)]
    pub(super) fn at(&self, spot: &Spot, x: usize, y: usize) -> f32 {
        if spot.material == u32::MAX {
            return 1.0;
        }
        let (i, fx) = self.along(x, self.cols);
        let (j, fy) = self.along(y, self.rows);
        let even = self.even[j * self.cols + i];
        if even != UNEVEN {
            return even;
        }
        let weights = [
            (1.0 - fx) * (1.0 - fy),
            fx * (1.0 - fy),
            (1.0 - fx) * fy,
            fx * fy,
        ];
        let (mut sum, mut weight) = (0.9e-4, 1e-4);
        for (c, w) in around(&self.cells, self.cols, self.rows, i, j)
            .into_iter()
            .zip(weights)
        {
            let w = w * alike(c, spot.at, spot.normal, self.reach);
            sum += w * c.open;
            weight += w;
        }
        sum / weight
    }

    /// The cell before a pixel along a side with this many, and how far on the way to the next the pixel is.
    #[inline(always)]
    fn along(&self, pixel: usize, count: usize) -> (usize, f32) {
        // the cell's pixel is its middle
        let beyond = pixel.saturating_sub(self.step / 2);
        let place = (beyond as f32 * self.per_pixel).min((count - 1) as f32);
        let cell = place as usize;
        (cell, place - cell as f32)
    }
}

/// A cell and the next ones to the right, below, and both; the last ones come again.
#[inline(always)]
fn around(cells: &[Cell], cols: usize, rows: usize, i: usize, j: usize) -> [&Cell; 4] {
    let (i1, j1) = ((i + 1).min(cols - 1), (j + 1).min(rows - 1));
    [(i, j), (i1, j), (i, j1), (i1, j1)].map(|(i, j)| &cells[j * cols + i])
}

/// How open four cells are, if they agree.
fn evenly(four: [&Cell; 4]) -> f32 {
    let open = four.map(|c| c.open);
    let least = open.into_iter().fold(f32::INFINITY, f32::min);
    let most = open.into_iter().fold(0.0, f32::max);
    if most - least < EVEN && four.iter().all(|c| c.solid) {
        0.5 * (least + most)
    } else {
        UNEVEN
    }
}

/// How far a cell speaks for a place: not at all across a corner or for another surface.
#[inline(always)]
fn alike(c: &Cell, at: Vec3, normal: Vec3, reach: f32) -> f32 {
    let same = c.normal.dot(normal);
    let off = (c.at - at).dot(normal).abs();
    if same < 0.5 || off > 0.3 * reach {
        0.0
    } else {
        same
    }
}

/// Means over like cells in a square of three: few rays a cell are noisy.
fn smooth(cells: &[Cell], cols: usize, rows: usize, reach: f32) -> Vec<Cell> {
    let one = |i: usize, j: usize| {
        let c = &cells[j * cols + i];
        let (mut sum, mut weight) = (c.open, 1.0);
        for v in j.saturating_sub(1)..=(j + 1).min(rows - 1) {
            for u in i.saturating_sub(1)..=(i + 1).min(cols - 1) {
                let q = &cells[v * cols + u];
                let w = 0.7 * alike(q, c.at, c.normal, reach);
                sum += w * q.open;
                weight += w;
            }
        }
        Cell {
            open: sum / weight,
            ..*c
        }
    };
    (0..cols * rows).map(|k| one(k % cols, k / cols)).collect()
}
