//! Blur of a lens that is not a pinhole, and of a camera that moves.
//!
//! The picture is cut into layers by signed circle of confusion; each is blurred by a disk of its own radius and
//! laid over what is behind it. So a blurred foreground spills over sharp things behind it, while a sharp
//! thing keeps its edge before a blurred background.

use crate::render::Image;
use crate::scene::{Lens, Scene};
use glam::{Vec2, Vec3, Vec4};

/// Radii of the layers as shares of the largest; far ones are negative.
const FINE: &[f32] = &[-1.0, -0.55, -0.25, 0.0, 0.25, 0.55, 1.0];
/// For small blurs, where the steps between layers are less than a pixel anyway.
const COARSE: &[f32] = &[-1.0, -0.4, 0.0, 0.4, 1.0];

/// Blurs by depth.
pub(super) fn defocus(image: &Image, rgb: &[Vec3], lens: Lens) -> Vec<Vec3> {
    let (w, h) = (image.width, image.height);
    let side = w.max(h) as f32;
    let limit = side * 0.03;
    let scale = lens.aperture * side;
    let sharp = 1.0 / lens.focus;
    let radius = |inv: f32| (scale * (inv - sharp)).clamp(-limit, limit);
    let mut place: Vec<f32> = image.inverse_depth.iter().map(|&i| radius(i)).collect();
    let largest = place.iter().fold(0f32, |a, r| a.max(r.abs()));
    if largest < 0.6 {
        return rgb.to_vec();
    }
    let levels = if largest < 3.0 { COARSE } else { FINE };
    // between which two levels a pixel lies: the lower one, and the share of the upper one behind the point
    for p in &mut place {
        let s = *p / largest;
        let k = levels[1..levels.len() - 1]
            .iter()
            .filter(|l| s > **l)
            .count();
        *p = k as f32 + ((s - levels[k]) / (levels[k + 1] - levels[k])).clamp(0.0, 1.0);
    }
    let mut sum = vec![Vec4::ZERO; w * h];
    let mut layer = vec![Vec4::ZERO; w * h];
    for (k, level) in levels.iter().enumerate() {
        let mut any = false;
        for ((cell, c), &p) in layer.iter_mut().zip(rgb).zip(&place) {
            let weight = 1.0 - (p - k as f32).abs();
            *cell = if weight > 0.0 {
                any = true;
                c.extend(1.0) * weight
            } else {
                Vec4::ZERO
            };
        }
        if !any {
            continue;
        }
        let r = level.abs() * largest;
        if r >= 0.7 {
            layer = disk(&layer, w, h, r);
        }
        for (s, l) in sum.iter_mut().zip(&layer) {
            *s = *s * (1.0 - l.w.min(1.0)) + *l;
        }
    }
    sum.iter()
        .zip(rgb)
        .map(|(s, c)| if s.w > 1e-3 { s.truncate() / s.w } else { *c })
        .collect()
}

/// Mean over a disk, by sums along rows.
fn disk(from: &[Vec4], w: usize, h: usize, r: f32) -> Vec<Vec4> {
    let reach = r.floor() as i32;
    let half: Vec<i32> = (-reach..=reach)
        .map(|dy| (r * r - (dy * dy) as f32).max(0.0).sqrt().round() as i32)
        .collect();
    let area: i32 = half.iter().map(|x| 2 * x + 1).sum();
    let inv = 1.0 / area as f32;
    // sums from the left, with a zero in front
    let stride = w + 1;
    let mut sums = vec![Vec4::ZERO; stride * h];
    for y in 0..h {
        let mut s = Vec4::ZERO;
        for x in 0..w {
            s += from[y * w + x];
            sums[y * stride + x + 1] = s;
        }
    }
    let mut out = vec![Vec4::ZERO; w * h];
    for y in 0..h {
        let row = &mut out[y * w..(y + 1) * w];
        for (k, &hw) in half.iter().enumerate() {
            let sy = (y as i32 + k as i32 - reach).clamp(0, h as i32 - 1) as usize;
            let line = &sums[sy * stride..(sy + 1) * stride];
            for (x, o) in row.iter_mut().enumerate() {
                let a = (x as i32 - hw).max(0) as usize;
                let b = (x as i32 + hw + 1).min(w as i32) as usize;
                let n = (b - a) as f32;
                // at the border the missing part counts like the rest
                *o += (line[b] - line[a]) * ((2 * hw + 1) as f32 / n);
            }
        }
        for o in row {
            *o *= inv;
        }
    }
    out
}

/// Blur of a moving camera: means along the way that each pixel's depth gives it.
pub(super) fn shake(image: &Image, rgb: &[Vec3], scene: &Scene, v: Vec3, turn: Vec2) -> Vec<Vec3> {
    const TAPS: i32 = 7;
    let (w, h) = (image.width, image.height);
    let f = scene.camera.focal_pixels(w, h);
    let mut out = Vec::with_capacity(w * h);
    for y in 0..h {
        for x in 0..w {
            let i = y * w + x;
            let inv = image.inverse_depth[i];
            let px = x as f32 - 0.5 * w as f32;
            let py = y as f32 - 0.5 * h as f32;
            let mut flow = Vec2::new(
                (px * v.z - f * v.x) * inv + f * turn.y,
                (py * v.z + f * v.y) * inv + f * turn.x,
            );
            let long = flow.length();
            let limit = 0.05 * w.max(h) as f32;
            if long > limit {
                flow *= limit / long;
            }
            if long < 0.5 {
                out.push(rgb[i]);
                continue;
            }
            let mut sum = Vec3::ZERO;
            for k in 0..TAPS {
                let s = k as f32 / (TAPS - 1) as f32 - 0.5;
                let u = (x as f32 + 0.5 + flow.x * s).clamp(0.0, (w - 1) as f32) as usize;
                let t = (y as f32 + 0.5 + flow.y * s).clamp(0.0, (h - 1) as f32) as usize;
                sum += rgb[t * w + u];
            }
            out.push(sum / TAPS as f32);
        }
    }
    out
}
