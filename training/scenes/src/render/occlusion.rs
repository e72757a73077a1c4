//! Ambient occlusion: a few short rays on a coarse grid of pixels, spread over their surfaces.

use super::Pixel;
use super::shade::Spot;
use crate::geometry::Ray;
use crate::rng::hash01;
use crate::scene::World;
use glam::Vec3;

const RAYS: u32 = 4;

struct Cell {
    at: Vec3,
    normal: Vec3,
    open: f32,
}

/// Open share of the hemisphere at the grid's pixels.
pub(super) struct Grid {
    step: usize,
    cols: usize,
    rows: usize,
    reach: f32,
    cells: Vec<Cell>,
}

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
                    let lift = 2e-4 + 1e-3 * p.hit.t.min(30.0);
                    let origin = p.spot.at + p.spot.normal * lift;
                    let (a, b) = p.spot.normal.any_orthonormal_pair();
                    let mut blocked = 0.0;
                    for k in 0..RAYS {
                        let n = (j * cols + i) as u32 * RAYS + k;
                        let phi =
                            (hash01(n, jitter) + k as f32 / RAYS as f32) * std::f32::consts::TAU;
                        let r = ((k as f32 + hash01(n, jitter ^ 0x33)) / RAYS as f32).sqrt() * 0.97;
                        let (s, c) = phi.sin_cos();
                        let dir = a * (c * r) + b * (s * r) + p.spot.normal * (1.0 - r * r).sqrt();
                        let ray = Ray {
                            origin,
                            dir,
                            t_min: lift * 0.5,
                        };
                        if world.blocked(&ray, reach, &last) {
                            blocked += 1.0;
                        }
                    }
                    open = 1.0 - 0.8 * blocked / RAYS as f32;
                }
                cells.push(Cell {
                    at: p.spot.at,
                    normal: p.spot.normal,
                    open,
                });
            }
        }
        Self {
            step,
            cols,
            rows,
            reach,
            cells,
        }
    }

    /// Openness at a pixel from the cells around it that lie on a like surface.
    pub(super) fn at(&self, spot: &Spot, x: usize, y: usize) -> f32 {
        if spot.material == u32::MAX {
            return 1.0;
        }
        let half = self.step / 2;
        let gx = (x as f32 - half as f32) / self.step as f32;
        let gy = (y as f32 - half as f32) / self.step as f32;
        let (i, j) = (gx.floor(), gy.floor());
        let (mut sum, mut weight) = (0.0, 1e-4);
        for dj in -1..=2 {
            for di in -1..=2 {
                let (ci, cj) = (i as i32 + di, j as i32 + dj);
                if ci < 0 || cj < 0 || ci >= self.cols as i32 || cj >= self.rows as i32 {
                    continue;
                }
                let c = &self.cells[cj as usize * self.cols + ci as usize];
                let off = (c.at - spot.at).dot(spot.normal).abs();
                let same = c.normal.dot(spot.normal);
                if same < 0.5 || off > 0.3 * self.reach {
                    continue;
                }
                let wx = (1.0 - (gx - ci as f32).abs() * 0.5).max(0.0);
                let wy = (1.0 - (gy - cj as f32).abs() * 0.5).max(0.0);
                let w = wx * wx * wy * wy * same;
                sum += w * c.open;
                weight += w;
            }
        }
        (sum + 0.9e-4) / weight
    }
}
