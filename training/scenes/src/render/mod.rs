//! From a scene to linear colours and exact depth.
//!
//! One primary ray through each pixel's centre gives depth; it alone decides depth, so depth is sharp and exact.
//! Colour gets one shadow ray, ambient occlusion on a coarse grid, and more primary rays where surfaces meet.

mod occlusion;
mod shade;
mod sky;

use crate::camera::Camera;
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
    hit: Hit,
    spot: Spot,
    id: u32,
    /// Share of the first and the second light that arrives.
    lit: [f32; 2],
}

/// What neighbours want to know of a pixel.
#[derive(Clone, Copy)]
struct Tag {
    /// Surface.
    id: u32,
    /// Surface, or the whole mesh for leaves and stones: what shares light.
    group: u32,
    /// Share of the first and the second light that arrives.
    lit: [f32; 2],
}

/// Calls `f(row number, row)` for each row, on one core or on all.
fn rows<T: Send>(parallel: bool, data: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if parallel {
        data.par_chunks_mut(width)
            .enumerate()
            .for_each(|(y, row)| f(y, row));
    } else {
        data.chunks_mut(width)
            .enumerate()
            .for_each(|(y, row)| f(y, row));
    }
}

/// Only the depth, and which surface each pixel shows (0 is sky): cheap enough to reject a scene by.
#[must_use]
pub fn preview(world: &World<'_>, width: usize, height: usize) -> Vec<(f32, u32)> {
    let camera = &world.scene.camera;
    let mut seen = vec![(0.0, 0); width * height];
    for (y, row) in seen.chunks_mut(width).enumerate() {
        for (first, four) in row.chunks_mut(LANES).enumerate() {
            let dirs = in_a_row(camera, first * LANES, y, (width, height));
            for (p, hit) in four.iter_mut().zip(world.trace(&primary(camera.at, dirs))) {
                *p = (inverse(hit.t), hit.prim);
            }
        }
    }
    seen
}

/// Directions through the centres of four pixels side by side.
fn in_a_row(camera: &Camera, x: usize, y: usize, (width, height): (usize, usize)) -> [Vec3; LANES] {
    std::array::from_fn(|k| camera.direction((x + k) as f32 + 0.5, y as f32 + 0.5, width, height))
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
    let shader = Shader {
        world,
        pixel: 1.0 / camera.focal_pixels(width, height),
    };
    let nothing = Pixel {
        hit: Hit::NONE,
        spot: Spot::NOWHERE,
        id: 0,
        lit: [1.0; 2],
    };
    let mut pixels = vec![nothing; width * height];
    rows(options.parallel, &mut pixels, width, |y, row| {
        for (first, four) in row.chunks_mut(LANES).enumerate() {
            let dirs = in_a_row(&camera, first * LANES, y, (width, height));
            let hits = world.trace(&primary(camera.at, dirs));
            for (p, (hit, dir)) in four.iter_mut().zip(hits.into_iter().zip(dirs)) {
                p.hit = hit;
                p.spot = shader.spot(camera.at, dir, &p.hit);
                p.id = p.spot.id(&p.hit);
                p.lit = [UNKNOWN; 2];
            }
        }
        // every second pixel asks for the shadow of the first light, every fourth for that of the second;
        // the others take it from their neighbours
        let mut answers = Vec::with_capacity(width / 2 + 1);
        for k in 0..scene.lights.len().min(2) {
            if k == 1 && y % 2 == 1 {
                continue;
            }
            let start = if k == 0 { y % 2 } else { 0 };
            let asking = row.iter().enumerate().skip(start).step_by(2);
            let spots = asking.map(|(x, p)| {
                let n = (y * width + x) as u32;
                let dice = [hash01(n, options.jitter), hash01(n, !options.jitter)];
                (x, &p.spot, dice)
            });
            shader.all_arrive(spots, k, &Cell::new(0), |x, share| answers.push((x, share)));
            for (x, share) in answers.drain(..) {
                row[x].lit[k] = share;
            }
        }
    });
    let inverse_depth = pixels.iter().map(|p| inverse(p.hit.t)).collect();
    // neighbours are asked for these two often: apart from the rest they stay in the cache
    let tags: Vec<Tag> = pixels
        .iter()
        .map(|p| Tag {
            id: p.id,
            group: match scene.prims.get(p.hit.prim as usize).map(|prim| &prim.shape) {
                Some(Shape::Mesh(..)) => p.hit.prim,
                _ => p.id,
            },
            lit: p.lit,
        })
        .collect();
    let shade = occlusion::Grid::new(world, &pixels, width, height, options.jitter);
    let mut rgb = vec![Vec3::ZERO; width * height];
    rows(options.parallel, &mut rgb, width, |y, row| {
        let last = [Cell::new(0), Cell::new(0)];
        for (x, c) in row.iter_mut().enumerate() {
            let p = &pixels[y * width + x];
            let dir = camera.direction(x as f32 + 0.5, y as f32 + 0.5, width, height);
            let lit = std::array::from_fn(|k| {
                if k >= scene.lights.len() || p.spot.material == u32::MAX {
                    return 0.0;
                }
                smooth_light(&tags, width, height, (x, y), k)
                    .unwrap_or_else(|| shader.arrives(&p.spot, k, &last[k]))
            });
            *c = shader.colour(
                camera.at,
                dir,
                &p.hit,
                &p.spot,
                lit,
                shade.at(&p.spot, x, y),
                true,
            );
        }
    });
    if options.antialias {
        antialias(&shader, &tags, &mut rgb, width, height, options);
    }
    Image {
        width,
        height,
        rgb,
        inverse_depth,
    }
}

/// One shadow ray is a yes or no; its neighbours on the same surface know more. `None` if none of them asked.
fn smooth_light(
    tags: &[Tag],
    width: usize,
    height: usize,
    (x, y): (usize, usize),
    light: usize,
) -> Option<f32> {
    let p = &tags[y * width + x];
    let (mut sum, mut n) = (0.0, 0.0);
    for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
        for q in &tags[v * width + x.saturating_sub(1)..=v * width + (x + 1).min(width - 1)] {
            if q.group == p.group && q.lit[light] >= 0.0 {
                sum += q.lit[light];
                n += 1.0;
            }
        }
    }
    (n > 0.0).then(|| sum / n)
}

/// Where surfaces meet, asks a few more rays which surface they see and mixes the colours found next door.
fn antialias(
    shader: &Shader<'_>,
    tags: &[Tag],
    rgb: &mut [Vec3],
    width: usize,
    height: usize,
    options: &Options,
) {
    // together with the centre three samples on a slanted line: enough for edges of any direction
    const OFFSETS: [(f32, f32); 2] = [(0.22, 0.08), (0.78, 0.92)];
    let camera = shader.world.scene.camera;
    let flat = rgb.to_vec();
    let luma = |c: Vec3| c.x + c.y + c.z;
    let differs = |a: usize, b: usize| {
        if tags[a].id == tags[b].id {
            return false;
        }
        let (p, q) = (luma(flat[a]), luma(flat[b]));
        // leaf against leaf matters less than crown against sky, and there are many of them
        let threshold = if tags[a].group == tags[b].group {
            0.3
        } else {
            0.1
        };
        (p - q).abs() > threshold * (p + q)
    };
    rows(options.parallel, rgb, width, |y, row| {
        let last = [Cell::new(0), Cell::new(0)];
        let edges: Vec<usize> = (0..width)
            .filter(|&x| {
                let i = y * width + x;
                (x > 0 && differs(i, i - 1))
                    || (x + 1 < width && differs(i, i + 1))
                    || (y > 0 && differs(i, i - width))
                    || (y + 1 < height && differs(i, i + width))
            })
            .collect();
        // two pixels' rays go together
        for pair in edges.chunks(2) {
            let dirs = std::array::from_fn(|k| {
                let (dx, dy) = OFFSETS[k % 2];
                let x = pair[(k / 2).min(pair.len() - 1)];
                camera.direction(x as f32 + dx, y as f32 + dy, width, height)
            });
            let hits = shader.world.trace(&primary(camera.at, dirs));
            for (k, (hit, dir)) in hits.into_iter().zip(dirs).take(2 * pair.len()).enumerate() {
                let x = pair[k / 2];
                let spot = shader.spot(camera.at, dir, &hit);
                let id = spot.id(&hit);
                // the same surface next door has the colour already
                let known = (y.saturating_sub(1)..=(y + 1).min(height - 1))
                    .flat_map(|v| {
                        (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |u| v * width + u)
                    })
                    .find(|&k| tags[k].id == id);
                row[x] += match known {
                    Some(k) => flat[k],
                    None => {
                        let lit = [0, 1].map(|k| shader.arrives(&spot, k, &last[k]));
                        shader.colour(camera.at, dir, &hit, &spot, lit, 0.8, false)
                    }
                };
            }
        }
        for x in edges {
            row[x] /= 3.0;
        }
    });
}
