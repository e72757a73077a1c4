//! From a scene to linear colours and exact depth.
//!
//! One primary ray through each pixel's centre gives depth; it alone decides depth, so depth is sharp and exact.
//! Colour gets one shadow ray, ambient occlusion on a coarse grid, and more primary rays where surfaces meet.

mod antialias;
mod approx;
mod occlusion;
mod shade;
mod sky;

use crate::camera::View;
use crate::dispatch::{Work, dispatch};
use crate::geometry::rays::LANES;
use crate::geometry::{Hit, Rays, Shape};
use crate::rng::hash01;
use crate::scene::{Scene, World};
use glam::Vec3;
use rayon::prelude::*;
use shade::{Shader, Spot};
use std::cell::Cell;

/// Linear colours and inverse depth, row by row.
#[derive(Clone, Debug)]
pub struct Image {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Linear light, not yet exposed.
    pub rgb: Vec<Vec3>,
    /// 1/metres along the camera's axis; 0 is infinitely far.
    pub inverse_depth: Vec<f32>,
}

/// How to render.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Use all cores; for large pictures and films.
    pub parallel: bool,
    /// Seeds the jitter of shadow rays.
    pub jitter: u32,
    /// More rays where surfaces meet.
    pub antialias: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallel: false,
            jitter: 1,
            antialias: true,
        }
    }
}

/// The light of a pixel that has not asked for its shadow.
const UNKNOWN: f32 = -1.0;

/// What the primary ray of a pixel found.
#[derive(Clone, Copy)]
struct Pixel {
    /// Depth and what is there, as in [`Hit`].
    t: f32,
    prim: u32,
    spot: Spot,
}

impl Pixel {
    const NOTHING: Self = Self {
        t: f32::INFINITY,
        prim: u32::MAX,
        spot: Spot::NOWHERE,
    };

    /// The hit, less the place on its triangle.
    fn hit(&self) -> Hit {
        Hit {
            t: self.t,
            prim: self.prim,
            ..Hit::NONE
        }
    }
}

/// What neighbours want to know of a pixel: apart from the rest it stays in the cache.
#[derive(Clone, Copy)]
struct Tag {
    /// Surface.
    id: u32,
    /// The surface, or the whole mesh for leaves and stones: what shares light.
    group: u32,
    /// Share of the first and the second light that arrives.
    lit: [f32; 2],
    inverse_depth: f32,
}

impl Tag {
    const NOTHING: Self = Self {
        id: 0,
        group: 0,
        lit: [1.0; 2],
        inverse_depth: 0.0,
    };
}

/// Calls `f(row number, row)` for each row, on one core or on all.
fn rows<T: Send>(parallel: bool, data: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    bands(parallel, data, width, 1, f);
}

/// Calls `f(first row's number, rows)` for each `count` rows; the last ones may be fewer.
fn bands<T: Send>(
    parallel: bool,
    data: &mut [T],
    width: usize,
    count: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    if parallel {
        data.par_chunks_mut(width * count)
            .enumerate()
            .for_each(|(k, band)| f(k * count, band));
    } else {
        data.chunks_mut(width * count)
            .enumerate()
            .for_each(|(k, band)| f(k * count, band));
    }
}

/// As [`bands`] for two kinds of data of the same pixels.
fn both_bands<A: Send, B: Send>(
    parallel: bool,
    (a, b): (&mut [A], &mut [B]),
    width: usize,
    count: usize,
    f: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    let size = width * count;
    if parallel {
        let both = a.par_chunks_mut(size).zip(b.par_chunks_mut(size));
        both.enumerate().for_each(|(k, (a, b))| f(k * count, a, b));
    } else {
        let both = a.chunks_mut(size).zip(b.chunks_mut(size));
        both.enumerate().for_each(|(k, (a, b))| f(k * count, a, b));
    }
}

/// Only the depth, and which surface each pixel shows (0 is sky): cheap enough to reject a scene by.
#[must_use]
pub fn preview(world: &World<'_>, width: usize, height: usize) -> Vec<(f32, u32)> {
    let mut seen = vec![(0.0, 0); width * height];
    for (k, band) in seen.chunks_mut(2 * width).enumerate() {
        let lines = band.len() / width;
        look(world, lines, 2 * k, (width, height), |i, hit, _| {
            band[i] = (inverse(hit.t), hit.prim);
        });
    }
    seen
}

/// Sends the primary rays of two rows (or one), those of two by two pixels together: calls `f(pixel, hit, direction)`
/// with the number of the pixel in these rows.
#[inline(always)]
fn look(
    world: &World<'_>,
    lines: usize,
    y: usize,
    (width, height): (usize, usize),
    mut f: impl FnMut(usize, Hit, Vec3),
) {
    let camera = &world.scene.camera;
    let view = camera.view(width, height);
    for x in (0..width).step_by(2) {
        let dirs: [Vec3; LANES] = std::array::from_fn(|k| {
            let (x, y) = ((x + k % 2) as f32 + 0.5, (y + k / 2) as f32 + 0.5);
            view.direction(x, y)
        });
        let hits = world.trace(&primary(camera.at, dirs));
        for (k, (hit, dir)) in hits.into_iter().zip(dirs).enumerate() {
            let (u, v) = (x + k % 2, k / 2);
            if u < width && v < lines {
                f(v * width + u, hit, dir);
            }
        }
    }
}

fn primary(origin: Vec3, dirs: [Vec3; LANES]) -> Rays {
    Rays::from_one_place(origin, dirs, 1e-3)
}

fn inverse(t: f32) -> f32 {
    if t.is_finite() { 1.0 / t } else { 0.0 }
}

/// Renders a scene at a size.
#[must_use]
pub fn render(scene: &Scene, width: usize, height: usize, options: &Options) -> Image {
    render_world(&scene.build(), width, height, options)
}

/// Renders a scene that was built already.
#[must_use]
pub fn render_world(world: &World<'_>, width: usize, height: usize, options: &Options) -> Image {
    let scene = world.scene;
    let camera = scene.camera;
    let view = camera.view(width, height);
    let shader = Shader {
        world,
        pixel: 1.0 / camera.focal_pixels(width, height),
    };
    let mut pixels = vec![Pixel::NOTHING; width * height];
    let mut tags = vec![Tag::NOTHING; width * height];
    let both = (pixels.as_mut_slice(), tags.as_mut_slice());
    both_bands(options.parallel, both, width, 2, |y, band, tags| {
        dispatch(SeenBand {
            shader: &shader,
            band,
            tags,
            y,
            size: (width, height),
        });
    });
    let ask = |y: usize, tags: &mut [Tag], light: usize| {
        dispatch(AskingRow {
            shader: &shader,
            pixels: &pixels[y * width..][..width],
            tags,
            y,
            light,
            jitter: options.jitter,
        });
    };
    rows(options.parallel, &mut tags, width, |y, row| {
        // every second pixel of every second row asks for the shadows of both lights
        if y % 2 == 0 {
            for light in 0..scene.lights.len().min(2) {
                ask(y, row, light);
            }
        }
    });
    // those in the middle of four of them ask for that of the first, unless the four agree; the others take it from
    // their neighbours
    if !scene.lights.is_empty() {
        let asked: Vec<(u32, f32)> = tags
            .chunks(width)
            .step_by(2)
            .flat_map(|row| row.iter().step_by(2).map(|t| (t.group, t.lit[0])))
            .collect();
        let columns = width.div_ceil(2);
        rows(options.parallel, &mut tags, width, |y, row| {
            if y % 2 == 0 || y + 1 == height {
                return;
            }
            let (above, below) = asked[y / 2 * columns..][..2 * columns].split_at(columns);
            for (k, t) in row.iter_mut().skip(1).step_by(2).enumerate() {
                if k + 1 < columns {
                    let first = (t.group, above[k].1);
                    if [above[k], above[k + 1], below[k], below[k + 1]] == [first; 4] {
                        t.lit[0] = first.1;
                    }
                }
            }
            ask(y, row, 0);
        });
    }
    let inverse_depth = tags.iter().map(|t| t.inverse_depth).collect();
    let shade = occlusion::Grid::new(world, &pixels, width, height, options.jitter);
    let mut rgb = vec![Vec3::ZERO; width * height];
    rows(options.parallel, &mut rgb, width, |y, row| {
        dispatch(ShadedRow {
            shader: &shader,
            pixels: &pixels[y * width..][..width],
            tags: &tags,
            occlusion: &shade,
            view: &view,
            size: (width, height),
            y,
            row,
        });
    });
    if options.antialias {
        antialias::antialias(&shader, &tags, &mut rgb, (width, height), options.parallel);
    }
    Image {
        width,
        height,
        rgb,
        inverse_depth,
    }
}

/// A row of colours to be found.
struct ShadedRow<'a> {
    shader: &'a Shader<'a>,
    pixels: &'a [Pixel],
    /// Of the whole image.
    tags: &'a [Tag],
    occlusion: &'a occlusion::Grid,
    view: &'a View,
    size: (usize, usize),
    y: usize,
    row: &'a mut [Vec3],
}

impl Work for ShadedRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<Set>(self) {
        let (shader, y) = (self.shader, self.y);
        let scene = shader.world.scene;
        let last = [Cell::new(0), Cell::new(0)];
        let mut mirrors = Vec::new();
        for (x, (c, p)) in self.row.iter_mut().zip(self.pixels).enumerate() {
            let dir = self.view.direction(x as f32 + 0.5, y as f32 + 0.5);
            let mut lit = [0.0; 2];
            if p.spot.material != u32::MAX {
                for (k, lit) in lit.iter_mut().enumerate().take(scene.lights.len()) {
                    *lit = smooth_light(self.tags, self.size, (x, y), k)
                        .unwrap_or_else(|| shader.arrives(&p.spot, k, &last[k]));
                }
            }
            let open = self.occlusion.at(&p.spot, x, y);
            let at = scene.camera.at;
            let (colour, mirror) = shader.colour::<true>(at, dir, &p.hit(), &p.spot, lit, open);
            *c = colour;
            mirrors.extend(mirror.map(|m| (x, m)));
        }
        for four in mirrors.chunks(LANES) {
            let colours = shader.mirrored(four.iter().map(|(_, m)| m));
            for ((x, mirror), colour) in four.iter().zip(colours) {
                self.row[*x] += colour * mirror.share;
            }
        }
    }
}

/// Two rows of pixels to be looked at.
struct SeenBand<'a> {
    shader: &'a Shader<'a>,
    band: &'a mut [Pixel],
    tags: &'a mut [Tag],
    y: usize,
    size: (usize, usize),
}

impl Work for SeenBand<'_> {
    type Out = ();

    #[inline(always)]
    fn run<Set>(self) {
        let (shader, width) = (self.shader, self.size.0);
        let scene = shader.world.scene;
        let origin = scene.camera.at;
        let lines = self.band.len() / width;
        look(shader.world, lines, self.y, self.size, |i, hit, dir| {
            let spot = shader.spot(origin, dir, &hit);
            let id = spot.id(&hit);
            let group = match scene.prims.get(hit.prim as usize).map(|p| &p.shape) {
                Some(Shape::Mesh(..)) => hit.prim,
                _ => id,
            };
            self.band[i] = Pixel {
                t: hit.t,
                prim: hit.prim,
                spot,
            };
            self.tags[i] = Tag {
                id,
                group,
                lit: [UNKNOWN; 2],
                inverse_depth: inverse(hit.t),
            };
        });
    }
}

/// A row in which every second pixel asks for the shadow of a light, if it does not know it: the even ones in even
/// rows, the odd ones in odd rows.
struct AskingRow<'a> {
    shader: &'a Shader<'a>,
    pixels: &'a [Pixel],
    tags: &'a mut [Tag],
    y: usize,
    light: usize,
    jitter: u32,
}

impl Work for AskingRow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<Set>(self) {
        let (light, jitter) = (self.light, self.jitter);
        let first = self.y % 2;
        let number = self.y * self.tags.len() + first;
        let (pixels, tags) = (self.pixels.iter().skip(first), &mut self.tags[first..]);
        let asking = pixels.zip(tags).step_by(2).enumerate();
        let spots = asking
            .filter(|(_, (_, tag))| tag.lit[light] == UNKNOWN)
            .map(|(k, (p, tag))| {
                let n = (number + 2 * k) as u32;
                let place = [hash01(n, jitter), hash01(n, !jitter)];
                (&mut tag.lit[light], &p.spot, place)
            });
        self.shader.all_arrive(spots, light, &Cell::new(0));
    }
}

/// One shadow ray is a yes or no; its neighbours on the same surface know more. `None` if none of them asked.
#[inline(always)]
fn smooth_light(
    tags: &[Tag],
    (width, height): (usize, usize),
    (x, y): (usize, usize),
    light: usize,
) -> Option<f32> {
    // of the nine around a pixel only these have asked: itself and the four corners, or the four in between
    const CORNERS: [(isize, isize); 5] = [(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)];
    const BETWEEN: [(isize, isize); 4] = [(0, -1), (-1, 0), (1, 0), (0, 1)];
    // one over how many: a division is slow
    const SHARE: [f32; 6] = [0.0, 1.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0, 1.0 / 5.0];
    let near: &[_] = if (x + y) % 2 == 0 { &CORNERS } else { &BETWEEN };
    let p = &tags[y * width + x];
    let (mut sum, mut n) = (0.0, 0);
    for &(dx, dy) in near {
        let (u, v) = (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        if u < width && v < height {
            let q = &tags[v * width + u];
            if q.group == p.group && q.lit[light] >= 0.0 {
                sum += q.lit[light];
                n += 1;
            }
        }
    }
    (n > 0).then(|| sum * SHARE[n])
}
