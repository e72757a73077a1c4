//! Edges without stairs: more rays where surfaces meet.

use super::shade::Shader;
use super::{Tag, bands, primary};
use crate::camera::View;
use crate::dispatch::{Work, dispatch};
use glam::Vec3;
use std::cell::Cell;

/// Together with the centre three samples on a slanted line: enough for edges of any direction.
const OFFSETS: [(f32, f32); 2] = [(0.22, 0.08), (0.78, 0.92)];

/// Where surfaces meet, asks a few more rays which surface they see and mixes the colours found next door.
pub(super) fn antialias(
    shader: &Shader<'_>,
    tags: &[Tag],
    rgb: &mut [Vec3],
    (width, height): (usize, usize),
    parallel: bool,
) {
    let flat = rgb.to_vec();
    let ids: Vec<u32> = tags.iter().map(|t| t.id).collect();
    let edges = Edges {
        ids: &ids,
        tags,
        colours: &flat,
        width,
        height,
    };
    let view = shader.world.scene.camera.view(width, height);
    bands(parallel, rgb, width, 2, |y, band| {
        dispatch(EdgyBand {
            shader,
            edges: &edges,
            view: &view,
            y,
            band,
        });
    });
}

/// Two rows whose edges are to be smoothed.
struct EdgyBand<'a> {
    shader: &'a Shader<'a>,
    edges: &'a Edges<'a>,
    view: &'a View,
    y: usize,
    band: &'a mut [Vec3],
}

impl Work for EdgyBand<'_> {
    type Out = ();

    #[inline(always)]
    fn run<Set>(self) {
        let (shader, edges, y, band) = (self.shader, self.edges, self.y, self.band);
        let (width, from) = (edges.width, shader.world.scene.camera.at);
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
                self.view.direction(x as f32 + dx, y as f32 + dy)
            });
            let hits = shader.world.trace(&primary(from, dirs));
            for (k, (hit, dir)) in hits.into_iter().zip(dirs).take(2 * pair.len()).enumerate() {
                let (x, v) = pair[k / 2];
                let spot = shader.spot(from, dir, &hit);
                // the same surface next door has the colour already
                band[(v - y) * width + x] += match edges.next_door(spot.id(&hit), x, v) {
                    Some(k) => edges.colours[k],
                    None => {
                        let lit = [0, 1].map(|k| shader.arrives(&spot, k, &last[k]));
                        shader.colour::<false>(from, dir, &hit, &spot, lit, 0.8).0
                    }
                };
            }
        }
        for (x, v) in found {
            band[(v - y) * width + x] /= 3.0;
        }
    }
}

fn luma(c: Vec3) -> f32 {
    c.x + c.y + c.z
}

/// Where surfaces meet.
struct Edges<'a> {
    /// Those of the tags: neighbours are compared quickly.
    ids: &'a [u32],
    tags: &'a [Tag],
    colours: &'a [Vec3],
    width: usize,
    height: usize,
}

impl Edges<'_> {
    /// Pixels on edges in one or two rows, in the order of blocks of two by two: the next one is mostly near.
    #[inline(always)]
    fn of_rows(&self, y: usize, lines: usize) -> Vec<(usize, usize)> {
        let marks = [self.marks(y), self.marks(y + lines - 1)];
        let mut found = Vec::new();
        for x in (0..self.width).step_by(2) {
            for (v, marks) in marks.iter().enumerate().take(lines) {
                let two = &marks[x..(x + 2).min(self.width)];
                for (u, _) in (x..).zip(two).filter(|(_, mark)| **mark) {
                    if self.at(u, y + v) {
                        found.push((u, y + v));
                    }
                }
            }
        }
        found
    }

    /// Which pixels of a row have another surface beside them.
    #[inline(always)]
    fn marks(&self, y: usize) -> Vec<bool> {
        let row = |y: usize| &self.ids[y * self.width..][..self.width];
        let (here, above, below) = (
            row(y),
            row(y.saturating_sub(1)),
            row((y + 1).min(self.height - 1)),
        );
        let vertical = here.iter().zip(above).zip(below);
        let mut marks: Vec<bool> = vertical.map(|((h, a), b)| (h != a) | (h != b)).collect();
        let left_and_right = here.iter().zip(&here[1..]);
        for (mark, (a, b)) in marks.iter_mut().zip(left_and_right.clone()) {
            *mark |= a != b;
        }
        for (mark, (a, b)) in marks[1..].iter_mut().zip(left_and_right) {
            *mark |= a != b;
        }
        marks
    }

    #[inline(always)]
    fn at(&self, x: usize, y: usize) -> bool {
        let (w, i) = (self.width, y * self.width + x);
        (x > 0 && self.between(i, i - 1))
            || (x + 1 < w && self.between(i, i + 1))
            || (y > 0 && self.between(i, i - w))
            || (y + 1 < self.height && self.between(i, i + w))
    }

    /// Whether there is an edge between two pixels that is to be seen.
    #[inline(always)]
    fn between(&self, a: usize, b: usize) -> bool {
        if self.ids[a] == self.ids[b] {
            return false;
        }
        let (p, q) = (luma(self.colours[a]), luma(self.colours[b]));
        // leaf against leaf matters less than crown against sky, and there are many of them
        let threshold = if self.tags[a].group == self.tags[b].group {
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
        let (left, right) = (x.saturating_sub(1), (x + 1).min(w - 1));
        (y.saturating_sub(1)..=(y + 1).min(self.height - 1)).find_map(|v| {
            let row = &self.ids[v * w..][..w][left..=right];
            row.iter().position(|&k| k == id).map(|k| v * w + left + k)
        })
    }
}
