//! Edges without stairs: more rays where surfaces meet.

use super::shade::Shader;
use super::{bands, primary};
use glam::Vec3;
use std::cell::Cell;

/// Together with the centre three samples on a slanted line: enough for edges of any direction.
const OFFSETS: [(f32, f32); 2] = [(0.22, 0.08), (0.78, 0.92)];

/// Where surfaces meet, asks a few more rays which surface they see and mixes the colours found next door.
/// `surfaces` has surface and group (see [`super::Pixel`]) of each pixel.
pub(super) fn antialias(
    shader: &Shader<'_>,
    surfaces: &[(u32, u32)],
    rgb: &mut [Vec3],
    (width, height): (usize, usize),
    parallel: bool,
) {
    let camera = shader.world.scene.camera;
    let view = camera.view(width, height);
    let flat = rgb.to_vec();
    let edges = Edges {
        surfaces,
        colours: &flat,
        width,
        height,
    };
    bands(parallel, rgb, width, 2, |y, band| {
        let last = [Cell::new(0), Cell::new(0)];
        let found = edges.of_rows(y, band.len() / width);
        // two pixels' rays go together, if they go much the same way
        for pair in found
            .chunk_by(|a, b| a.0.abs_diff(b.0) < 6)
            .flat_map(|run| run.chunks(2))
        {
            let dirs = std::array::from_fn(|k| {
                let (dx, dy) = OFFSETS[k % 2];
                let (x, y) = pair[(k / 2).min(pair.len() - 1)];
                view.direction(x as f32 + dx, y as f32 + dy)
            });
            let hits = shader.world.trace(&primary(camera.at, dirs));
            for (k, (hit, dir)) in hits.into_iter().zip(dirs).take(2 * pair.len()).enumerate() {
                let (x, v) = pair[k / 2];
                let spot = shader.spot(camera.at, dir, &hit);
                // the same surface next door has the colour already
                band[(v - y) * width + x] += match edges.next_door(spot.id(&hit), x, v) {
                    Some(k) => flat[k],
                    None => {
                        let lit = [0, 1].map(|k| shader.arrives(&spot, k, &last[k]));
                        shader.colour::<false>(camera.at, dir, &hit, &spot, lit, 0.8)
                    }
                };
            }
        }
        for (x, v) in found {
            band[(v - y) * width + x] /= 3.0;
        }
    });
}

fn luma(c: Vec3) -> f32 {
    c.x + c.y + c.z
}

/// Where surfaces meet.
struct Edges<'a> {
    surfaces: &'a [(u32, u32)],
    colours: &'a [Vec3],
    width: usize,
    height: usize,
}

impl Edges<'_> {
    /// Pixels on edges in one or two rows, in the order of blocks of two by two: the next one is mostly near.
    fn of_rows(&self, y: usize, lines: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for x in (0..self.width).step_by(2) {
            for v in y..y + lines {
                for u in x..(x + 2).min(self.width) {
                    if self.at(u, v) {
                        found.push((u, v));
                    }
                }
            }
        }
        found
    }

    #[inline(always)]
    fn at(&self, x: usize, y: usize) -> bool {
        let (w, i) = (self.width, y * self.width + x);
        (x > 0 && self.between(i, i - 1))
            || (x + 1 < w && self.between(i, i + 1))
            || (y > 0 && self.between(i, i - w))
            || (y + 1 < self.height && self.between(i, i + w))
    }

    #[inline(always)]
    fn between(&self, a: usize, b: usize) -> bool {
        self.surfaces[a].0 != self.surfaces[b].0 && self.shows(a, b)
    }

    /// Whether an edge between two pixels is to be seen.
    fn shows(&self, a: usize, b: usize) -> bool {
        let (p, q) = (luma(self.colours[a]), luma(self.colours[b]));
        // leaf against leaf matters less than crown against sky, and there are many of them
        let threshold = if self.surfaces[a].1 == self.surfaces[b].1 {
            0.35
        } else {
            0.12
        };
        (p - q).abs() > threshold * (p + q)
    }

    /// A pixel around this one that shows a surface.
    #[inline(always)]
    fn next_door(&self, id: u32, x: usize, y: usize) -> Option<usize> {
        let w = self.width;
        let columns = x.saturating_sub(1)..=(x + 1).min(w - 1);
        (y.saturating_sub(1)..=(y + 1).min(self.height - 1))
            .flat_map(|v| columns.clone().map(move |u| v * w + u))
            .find(|&k| self.surfaces[k].0 == id)
    }
}
