//! From a scene to linear colours and exact depth.
//!
//! One primary ray through each pixel's centre gives depth; it alone decides depth, so depth is sharp and exact.
//! Colour gets one shadow ray, ambient occlusion on a coarse grid, and more primary rays where surfaces meet.

mod antialias;
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

/// What the primary ray of a pixel found: one line of the cache.
#[derive(Clone, Copy)]
struct Pixel {
    /// Depth and what is there, as in [`Hit`].
    t: f32,
    prim: u32,
    spot: Spot,
    /// Surface.
    id: u32,
    /// The surface, or the whole mesh for leaves and stones: what shares light.
    group: u32,
    /// Share of the first and the second light that arrives.
    lit: [f32; 2],
}

impl Pixel {
    const NOTHING: Self = Self {
        t: f32::INFINITY,
        prim: u32::MAX,
        spot: Spot::NOWHERE,
        id: 0,
        group: 0,
        lit: [1.0; 2],
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

/// What neighbours want to know of a pixel.
#[derive(Clone, Copy)]
struct Tag {
    /// See [`Pixel::group`].
    group: u32,
    /// Share of the first and the second light that arrives.
    lit: [f32; 2],
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

/// Only the depth, and which surface each pixel shows (0 is sky): cheap enough to reject a scene by.
#[must_use]
pub fn preview(world: &World<'_>, width: usize, height: usize) -> Vec<(f32, u32)> {
    let mut seen = vec![(0.0, 0); width * height];
    for (k, band) in seen.chunks_mut(2 * width).enumerate() {
        look(world, band, 2 * k, (width, height), |p, hit, _| {
            *p = (inverse(hit.t), hit.prim);
        });
    }
    seen
}

/// Sends the primary rays of two rows (or one), those of two by two pixels together: calls `f(pixel, hit, direction)`.
#[inline(always)]
fn look<T>(
    world: &World<'_>,
    band: &mut [T],
    y: usize,
    (width, height): (usize, usize),
    mut f: impl FnMut(&mut T, Hit, Vec3),
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
            if u < width
                && let Some(p) = band.get_mut(v * width + u)
            {
                f(p, hit, dir);
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
    bands(options.parallel, &mut pixels, width, 2, |y, band| {
        dispatch(SeenBand {
            shader: &shader,
            band,
            y,
            size: (width, height),
        });
    });
    rows(options.parallel, &mut pixels, width, |y, row| {
        // every second pixel of every second row asks for the shadows of both lights
        if y % 2 == 0 {
            for light in 0..scene.lights.len().min(2) {
                ask(&shader, row, y, light, options.jitter, |x| x % 2 == 0);
            }
        }
    });
    // those in the middle of four of them ask for that of the first, unless the four agree; the others take it from
    // their neighbours
    if !scene.lights.is_empty() {
        let asked: Vec<(u32, f32)> = pixels
            .chunks(width)
            .step_by(2)
            .flat_map(|row| row.iter().step_by(2).map(|p| (p.group, p.lit[0])))
            .collect();
        let columns = width.div_ceil(2);
        rows(options.parallel, &mut pixels, width, |y, row| {
            if y % 2 == 0 || y + 1 == height {
                return;
            }
            let (above, below) = asked[y / 2 * columns..][..2 * columns].split_at(columns);
            for (k, p) in row.iter_mut().skip(1).step_by(2).enumerate() {
                if k + 1 < columns && p.spot.material != u32::MAX {
                    let first = (p.group, above[k].1);
                    if [above[k], above[k + 1], below[k], below[k + 1]] == [first; 4] {
                        p.lit[0] = first.1;
                    }
                }
            }
            ask(&shader, row, y, 0, options.jitter, |x| x % 2 == 1);
        });
    }
    let inverse_depth = pixels.iter().map(|p| inverse(p.t)).collect();
    // neighbours are asked for these often: apart from the rest they stay in the cache
    let tags: Vec<Tag> = pixels
        .iter()
        .map(|p| Tag {
            group: p.group,
            lit: p.lit,
        })
        .collect();
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
        let surfaces: Vec<_> = pixels.iter().map(|p| (p.id, p.group)).collect();
        antialias::antialias(
            &shader,
            &surfaces,
            &mut rgb,
            (width, height),
            options.parallel,
        );
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
            *c = shader.colour::<true>(scene.camera.at, dir, &p.hit(), &p.spot, lit, open);
        }
    }
}

/// Two rows of pixels to be looked at.
struct SeenBand<'a> {
    shader: &'a Shader<'a>,
    band: &'a mut [Pixel],
    y: usize,
    size: (usize, usize),
}

impl Work for SeenBand<'_> {
    type Out = ();

    #[inline(always)]
    fn run<Set>(self) {
        let scene = self.shader.world.scene;
        let origin = scene.camera.at;
        look(
            self.shader.world,
            self.band,
            self.y,
            self.size,
            |p, hit, dir| {
                let spot = self.shader.spot(origin, dir, &hit);
                let id = spot.id(&hit);
                let group = match scene.prims.get(hit.prim as usize).map(|p| &p.shape) {
                    Some(Shape::Mesh(..)) => hit.prim,
                    _ => id,
                };
                *p = Pixel {
                    t: hit.t,
                    prim: hit.prim,
                    spot,
                    id,
                    group,
                    lit: [UNKNOWN; 2],
                };
            },
        );
    }
}

/// Asks for the shadow of a light at those pixels of a row that do not know it.
fn ask(
    shader: &Shader<'_>,
    row: &mut [Pixel],
    y: usize,
    light: usize,
    jitter: u32,
    which: impl Fn(usize) -> bool,
) {
    let width = row.len();
    let mut answers = Vec::with_capacity(width / 2 + 1);
    let asking = row.iter().enumerate();
    let spots = asking
        .filter(|(x, p)| which(*x) && p.lit[light] == UNKNOWN)
        .map(|(x, p)| {
            let n = (y * width + x) as u32;
            (x, &p.spot, [hash01(n, jitter), hash01(n, !jitter)])
        });
    shader.all_arrive(spots, light, &Cell::new(0), |x, share| {
        answers.push((x, share));
    });
    for (x, share) in answers {
        row[x].lit[light] = share;
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
    let near: &[_] = if (x + y) % 2 == 0 { &CORNERS } else { &BETWEEN };
    let p = &tags[y * width + x];
    let (mut sum, mut n) = (0.0, 0.0);
    for &(dx, dy) in near {
        let (u, v) = (x.wrapping_add_signed(dx), y.wrapping_add_signed(dy));
        if u < width && v < height {
            let q = &tags[v * width + u];
            if q.group == p.group && q.lit[light] >= 0.0 {
                sum += q.lit[light];
                n += 1.0;
            }
        }
    }
    (n > 0.0).then(|| sum / n)
}
