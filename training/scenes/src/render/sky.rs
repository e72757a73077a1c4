//! Sky, far layers and fog.

use super::approx::{exp, lobe};
use crate::geometry::prim::bearing;
use crate::light::Light;
use crate::rng::hash01;
use crate::scene::Scene;
use crate::texture::ATLAS;
use glam::Vec3;

/// Colour of the sky in a unit direction.
#[inline(always)]
pub(super) fn colour(scene: &Scene, d: Vec3) -> Vec3 {
    let s = &scene.sky;
    let up = d.y.max(0.0);
    let k = 1.0 - exp(-up * s.falloff);
    let mut c = s.horizon.lerp(s.zenith, k);
    if s.cloud_amount > 0.0 {
        let inv = s.cloud_scale / (up + 0.1);
        let a = ATLAS.sample(s.cloud, d.x * inv + 0.3, d.z * inv + 0.7, 0.01 * inv);
        let b = ATLAS.sample(
            s.cloud,
            d.z * inv * 0.31 + 0.1,
            d.x * inv * 0.31,
            0.004 * inv,
        );
        let cover = ((a * 0.5 + b * 0.8 - 0.45) * 3.0).clamp(0.0, 1.0) * s.cloud_amount;
        let shade = 0.75 + 0.35 * a;
        c = c.lerp(s.cloud_colour * shade, cover);
    }
    if s.glow > 0.0
        && let Some(Light::Sun { dir, colour, .. }) = scene.lights.first()
    {
        let q = d.dot(*dir).max(0.0);
        let q4 = q * q * q * q;
        c += *colour * (s.glow * (0.3 * q4 * q4 + 3.0 * lobe(q.min(1.0), 300.0)));
    }
    if s.stars > 0.0 {
        let g = (d * 120.0).round();
        let h = hash01(
            (g.x as i32 * 73 + g.y as i32 * 1999) as u32,
            g.z as i32 as u32,
        );
        if h > 0.995 {
            c += Vec3::splat(s.stars * (h - 0.995) * 200.0);
        }
    }
    if d.y < 0.0 {
        c = c.lerp(s.below, (-d.y * 6.0).min(1.0));
    }
    c
}

/// Colour of a far layer at a point.
#[inline(always)]
pub(super) fn layer(scene: &Scene, p: Vec3, index: usize, foot: f32) -> Vec3 {
    let l = &scene.sky.layers[index];
    let along = bearing(p.x, p.z) * l.radius;
    let t = ATLAS.sample(l.pattern, along / l.tile, p.y / l.tile, foot / l.tile);
    let sun = match scene.lights.first() {
        Some(Light::Sun { colour, .. }) => *colour * 0.5,
        _ => Vec3::ZERO,
    };
    l.colours[0].lerp(l.colours[1], t) * (scene.ambient * 0.8 + sun)
}

/// Which share of what is seen along a way through the air is fog.
#[inline(always)]
pub(super) fn fog(scene: &Scene, origin: Vec3, unit: Vec3, distance: f32) -> f32 {
    let s = &scene.sky;
    if s.fog <= 0.0 {
        return 0.0;
    }
    let mut depth = s.fog * distance;
    if depth < 1e-3 {
        return 0.0; // less than a step of the picture
    }
    if s.fog_height > 0.0 {
        // integral of exp(-h·y) along the way
        let a = s.fog_height * unit.y * distance;
        let start = exp(-s.fog_height * origin.y);
        depth *= start
            * if a.abs() < 1e-3 {
                1.0
            } else {
                (1.0 - exp(-a)) / a
            };
    }
    1.0 - exp(-depth)
}
