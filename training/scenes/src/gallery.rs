//! Little pictures of other scenes, to hang on walls and put on screens: flat things that look deep.

use crate::render::{Options, render};
use crate::rng::Rng;
use crate::scenes::{self, KINDS};
use crate::sensor::Sensor;
use glam::Vec3;
use std::sync::LazyLock;

const COUNT: usize = 24;
const WIDTH: usize = 128;
const HEIGHT: usize = 96;
const LEVELS: usize = 4;

/// All pictures with their smaller versions.
#[derive(Debug)]
pub struct Gallery {
    /// For each picture, its levels from large to small.
    pictures: Vec<[Vec<Vec3>; LEVELS]>,
}

/// The gallery, made on first use; always the same.
pub static GALLERY: LazyLock<Gallery> = LazyLock::new(|| {
    let pictures = (0..COUNT)
        .map(|i| {
            let mut r = Rng::new(0x9a11, i as u64);
            let scene = scenes::make_plain(r.int(0, KINDS.len()), r.fork());
            let image = render(&scene, WIDTH, HEIGHT, &Options::default());
            let rgb = Sensor::clean().develop(&image, &scene, 1);
            let linear = |v: u8| (f32::from(v) / 255.0).powf(2.2);
            let full = rgb
                .chunks_exact(3)
                .map(|c| Vec3::new(linear(c[0]), linear(c[1]), linear(c[2])))
                .collect();
            levels(full)
        })
        .collect();
    Gallery { pictures }
});

fn levels(full: Vec<Vec3>) -> [Vec<Vec3>; LEVELS] {
    let mut all: [Vec<Vec3>; LEVELS] = Default::default();
    all[0] = full;
    for l in 1..LEVELS {
        let (w, h) = (WIDTH >> l, HEIGHT >> l);
        let from = &all[l - 1];
        let half = (0..w * h)
            .map(|i| {
                let k = (i / w) * 4 * w + (i % w) * 2;
                (from[k] + from[k + 1] + from[k + 2 * w] + from[k + 2 * w + 1]) * 0.25
            })
            .collect();
        all[l] = half;
    }
    all
}

impl Gallery {
    /// A picture at (u, v) in 0..1 from its upper left, averaged over this share of its width.
    #[must_use]
    pub fn sample(&self, index: u16, u: f32, v: f32, width: f32) -> Vec3 {
        let pixels = (width * WIDTH as f32).max(1.0);
        let level = (pixels.log2() as usize).min(LEVELS - 1);
        let (w, h) = (WIDTH >> level, HEIGHT >> level);
        let data = &self.pictures[index as usize % self.pictures.len()][level];
        let x = (u.clamp(0.0, 1.0) * w as f32 - 0.5).clamp(0.0, (w - 1) as f32);
        let y = (v.clamp(0.0, 1.0) * h as f32 - 0.5).clamp(0.0, (h - 1) as f32);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let top = data[y0 * w + x0].lerp(data[y0 * w + x1], fx);
        let low = data[y1 * w + x0].lerp(data[y1 * w + x1], fx);
        top.lerp(low, fy)
    }
}
