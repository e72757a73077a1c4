//! Noise that tiles over the unit square.

use crate::rng::hash01;

fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}

/// Value noise with whole periods in x and y, 0..1, for x and y from 0 on.
#[must_use]
pub fn value(x: f32, y: f32, px: u32, py: u32, seed: u32) -> f32 {
    let (x, y) = (x * px as f32, y * py as f32);
    // x and y are not negative here: the cast is the floor
    let (ix, iy) = (x as u32, y as u32);
    let (wx, wy) = (fade(x - ix as f32), fade(y - iy as f32));
    let (ix, iy) = (ix % px, iy % py);
    let (jx, jy) = ((ix + 1) % px, (iy + 1) % py);
    let h = |a: u32, b: u32| {
        hash01(
            a.wrapping_mul(7919) ^ b.wrapping_mul(104_729).rotate_left(9),
            seed,
        )
    };
    let top = h(ix, iy) * (1.0 - wx) + h(jx, iy) * wx;
    let low = h(ix, jy) * (1.0 - wx) + h(jx, jy) * wx;
    top * (1.0 - wy) + low * wy
}

/// Octaves of [`value`] from the period (px, py) on, centred on 0, about -1..1.
#[must_use]
pub fn fbm(x: f32, y: f32, (px, py): (u32, u32), octaves: u32, gain: f32, seed: u32) -> f32 {
    let (mut s, mut a, mut norm) = (0.0, 1.0, 0.0);
    for o in 0..octaves {
        s += a * (value(x, y, px << o, py << o, seed.wrapping_add(o * 131)) * 2.0 - 1.0);
        norm += a * a;
        a *= gain;
    }
    s / norm.sqrt() * 1.4
}

/// Distances to the nearest and second nearest of n×n scattered points, and the nearest one's number in 0..1.
#[must_use]
pub fn cells(x: f32, y: f32, n: u32, seed: u32) -> (f32, f32, f32) {
    let (sx, sy) = (x * n as f32, y * n as f32);
    let (cx, cy) = (sx.floor() as i32, sy.floor() as i32);
    let (mut d1, mut d2, mut id) = (f32::INFINITY, f32::INFINITY, 0.0);
    for dy in -1..=1 {
        for dx in -1..=1 {
            let (ix, iy) = (cx + dx, cy + dy);
            let key = (ix.rem_euclid(n as i32) as u32) * 977 + iy.rem_euclid(n as i32) as u32;
            let qx = ix as f32 + hash01(key, seed) - sx;
            let qy = iy as f32 + hash01(key, seed ^ 0x5555) - sy;
            let d = (qx * qx + qy * qy).sqrt();
            if d < d1 {
                d2 = d1;
                d1 = d;
                id = hash01(key, seed ^ 0xaaaa);
            } else if d < d2 {
                d2 = d;
            }
        }
    }
    (d1, d2, id)
}
