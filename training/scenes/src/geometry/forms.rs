//! Meshes from rules: turned profiles, bumpy balls, leaves, land.

use super::mesh::{Draft, Mesh};
use crate::rng::Rng;
use glam::{Mat3, Vec3};
use std::f32::consts::{PI, TAU};

/// Smooth periodic-free noise in space, about -1..1; for shapes, not for pictures.
#[must_use]
pub fn noise3(p: Vec3, seed: u32) -> f32 {
    let f = p.floor();
    let w = p - f;
    let w = w * w * (Vec3::splat(3.0) - 2.0 * w);
    let (x, y, z) = (f.x as i32, f.y as i32, f.z as i32);
    let at = |dx: i32, dy: i32, dz: i32| {
        let h = (x + dx).wrapping_mul(0x8da6_b343_u32 as i32)
            ^ (y + dy).wrapping_mul(0xd816_3841_u32 as i32)
            ^ (z + dz).wrapping_mul(0xcb1a_b31f_u32 as i32);
        crate::rng::hash01(h as u32, seed) * 2.0 - 1.0
    };
    let lerp = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let plane = |dz: i32| {
        lerp(
            lerp(at(0, 0, dz), at(1, 0, dz), w.x),
            lerp(at(0, 1, dz), at(1, 1, dz), w.x),
            w.y,
        )
    };
    lerp(plane(0), plane(1), w.z)
}

/// Several octaves of [`noise3`].
#[must_use]
pub fn fbm3(p: Vec3, octaves: u32, seed: u32) -> f32 {
    let (mut s, mut a, mut q) = (0.0, 0.5, p);
    for o in 0..octaves {
        s += a * noise3(q, seed.wrapping_add(o));
        a *= 0.5;
        q *= 2.03;
    }
    s
}

/// A grid of points over two parameters, closed in u if `wrap`.
pub fn grid(
    d: &mut Draft,
    nu: usize,
    nv: usize,
    wrap: bool,
    slot: u16,
    f: impl Fn(f32, f32) -> Vec3,
) {
    let cols = if wrap { nu } else { nu + 1 };
    let base = d.points.len() as u32;
    for j in 0..=nv {
        for i in 0..cols {
            d.point(f(i as f32 / nu as f32, j as f32 / nv as f32));
        }
    }
    let at = |i: usize, j: usize| base + (j * cols + i % cols) as u32;
    for j in 0..nv {
        for i in 0..nu {
            d.quad(
                [at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)],
                slot,
                0,
            );
        }
    }
}

/// A profile (radius, height) turned about y.
#[must_use]
pub fn lathe(profile: &[(f32, f32)], around: usize) -> Mesh {
    let mut d = Draft::default();
    let n = profile.len() - 1;
    grid(&mut d, around, n, true, 0, |u, v| {
        let (r, y) = profile[(v * n as f32).round() as usize];
        let (s, c) = (u * TAU).sin_cos();
        Vec3::new(r * s, y, r * c)
    });
    Mesh::new(&d, true, false)
}

/// A ball pushed in and out by noise: stones, bread, clay, coral.
#[must_use]
pub fn bumpy_ball(fine: usize, amount: f32, frequency: f32, flat: f32, seed: u32) -> Mesh {
    let mut d = Draft::default();
    grid(&mut d, fine * 2, fine, true, 0, |u, v| {
        let (s, c) = (u * TAU).sin_cos();
        let (sv, cv) = (v * PI).sin_cos();
        let n = Vec3::new(s * sv, cv, c * sv);
        let mut p = n * (1.0 + amount * 2.0 * fbm3(n * frequency + 7.0, 4, seed));
        p.y *= flat;
        p
    });
    Mesh::new(&d, true, false)
}

/// A ring of radius 1 and this tube.
#[must_use]
pub fn torus(tube: f32, nu: usize, nv: usize) -> Mesh {
    let mut d = Draft::default();
    grid(&mut d, nu, nv, true, 0, |u, v| {
        let (s, c) = (u * TAU).sin_cos();
        let (sv, cv) = (v * TAU).sin_cos();
        let r = 1.0 + tube * cv;
        Vec3::new(r * c, tube * sv, r * s)
    });
    Mesh::new(&d, true, true)
}

/// The upper half of a ring of radius 1 in the plane of x and y, as deep as it is wide.
#[must_use]
pub fn arch(tube: f32) -> Mesh {
    let mut d = Draft::default();
    grid(&mut d, 8, 24, true, 0, |u, v| {
        let (s, c) = (v * PI).sin_cos();
        let (su, cu) = (u * TAU).sin_cos();
        let r = 1.0 + tube * cu;
        Vec3::new(r * c, r * s, tube * 1.6 * su)
    });
    Mesh::new(&d, true, true)
}

/// A leaf: a bent, pointed strip of a few triangles.
pub fn leaf(d: &mut Draft, at: Vec3, rot: Mat3, length: f32, width: f32, bend: f32, part: u16) {
    let rows = [(0.0f32, 0.15f32), (0.45, 1.0), (1.0, 0.03)];
    let mut last: Option<(u32, u32)> = None;
    for (s, w) in rows {
        let y = bend * s * s * length;
        let l = d.point(at + rot * Vec3::new(-w * width * 0.5, y, s * length));
        let r = d.point(at + rot * Vec3::new(w * width * 0.5, y, s * length));
        if let Some((pl, pr)) = last {
            d.quad([pl, pr, r, l], 0, part);
        }
        last = Some((l, r));
    }
}

/// A random rotation, about even over the sphere.
pub fn any_rotation(r: &mut Rng) -> Mat3 {
    Mat3::from_rotation_y(r.turn())
        * Mat3::from_rotation_x(r.turn())
        * Mat3::from_rotation_z(r.turn())
}

/// A cloud of leaves in a unit ball, dense at its skin, in clumps.
#[must_use]
pub fn crown(count: usize, size: f32, r: &mut Rng) -> Mesh {
    let mut d = Draft::default();
    let clumps: Vec<(Vec3, f32)> = (0..12)
        .map(|_| {
            let p = any_rotation(r) * Vec3::Z * r.range(0.15, 0.72);
            (p, r.range(0.2, 0.42))
        })
        .collect();
    for i in 0..count {
        let (c, w) = r.pick(&clumps);
        let out = any_rotation(r) * Vec3::Z;
        let p = c + out * w * r.range(0.6, 1.0);
        let up = Mat3::from_rotation_y(r.turn()) * Mat3::from_rotation_x(r.range(-0.5, 1.3));
        let s = size * r.range(0.6, 1.3);
        leaf(
            &mut d,
            p,
            up,
            s,
            s * 0.55,
            r.range(-0.5, 0.2),
            (i % 60000) as u16,
        );
    }
    Mesh::new(&d, false, true)
}

/// A tuft of blades one unit high and wide.
#[must_use]
pub fn tuft(count: usize, width: f32, spread: f32, r: &mut Rng) -> Mesh {
    let mut d = Draft::default();
    for i in 0..count {
        let a = r.turn();
        let q = r.unit().sqrt() * spread;
        let lean = r.range(0.05, 0.7);
        let rot = Mat3::from_rotation_y(r.turn()) * Mat3::from_rotation_x(-PI * 0.5 + lean);
        let at = Vec3::new(q * a.sin(), 0.0, q * a.cos());
        leaf(
            &mut d,
            at,
            rot,
            r.range(0.4, 1.0),
            width,
            -r.range(0.0, 0.5),
            i as u16,
        );
    }
    Mesh::new(&d, false, true)
}

/// Land as a grid around the origin whose cells grow with distance; `height` gives metres.
#[must_use]
pub fn land(cells: usize, near: f32, far: f32, height: impl Fn(f32, f32) -> f32) -> Mesh {
    let mut d = Draft::default();
    // polar grid: rings grow geometrically, so that a camera near the middle sees even detail
    let rings = cells;
    let around = cells * 2;
    grid(&mut d, around, rings, true, 0, |u, v| {
        let r = near * (far / near).powf(v);
        let (s, c) = (u * TAU).sin_cos();
        let (x, z) = (r * s, r * c);
        Vec3::new(x, height(x, z), z)
    });
    // the hole in the middle
    let m = d.point(Vec3::new(0.0, height(0.0, 0.0), 0.0));
    for i in 0..around {
        d.tri(m, i as u32, ((i + 1) % around) as u32, 0, 0);
    }
    Mesh::quick(&d, true)
}
