//! Street furniture and thin things: poles, lamps, signs, cables, benches.

use super::QUARTER;
use super::{I, Maker, ry, rz, v};
use crate::geometry::Frame;
use crate::material::{Material, Tint};
use crate::texture::Family;
use glam::Vec3;

/// A pole, lamp post, traffic light or sign. `lit` lights lamps.
pub fn pole(m: &mut Maker, f: &Frame, lit: bool) {
    let steel = Material::plain(&mut m.r, Tint::Grey);
    let steel = m.mat(steel);
    match m.r.int(0, 4) {
        0 => {
            let (h, r) = (m.r.range(4.0, 9.0), m.r.range(0.05, 0.1));
            let arm = m.r.range(0.5, 2.0);
            m.s.chain(
                f,
                &[
                    (Vec3::ZERO, r),
                    (v(0.0, h, 0.0), r * 0.7),
                    (v(arm, h + 0.3, 0.0), r * 0.5),
                ],
                steel,
            );
            let lamp = Material::light(&mut m.r, if lit { 8.0 } else { 0.3 });
            let lamp = m.mat(lamp);
            m.s.ball(f, v(arm + 0.2, h + 0.25, 0.0), v(0.35, 0.08, 0.14), I, lamp);
        }
        1 => {
            let (h, r) = (m.r.range(2.0, 3.2), m.r.range(0.025, 0.05));
            m.s.limb(f, Vec3::ZERO, v(0.0, h, 0.0), r, r, steel);
            sign(m, &f.child(v(0.0, h - 0.3, 0.05), I), lit);
        }
        2 => {
            // traffic light
            let h = m.r.range(2.6, 5.0);
            let dark = Material::plain(&mut m.r, Tint::Dark);
            let dark = m.mat(dark);
            m.s.limb(f, Vec3::ZERO, v(0.0, h, 0.0), 0.06, 0.05, steel);
            m.s.block(f, v(0.0, h - 0.2, 0.1), v(0.15, 0.45, 0.1), I, dark);
            let on = m.r.int(0, 3);
            for (k, c) in [v(0.9, 0.05, 0.03), v(0.9, 0.5, 0.05), v(0.05, 0.8, 0.3)]
                .into_iter()
                .enumerate()
            {
                let mut lamp = Material::light(&mut m.r, if k == on { 3.0 } else { 0.05 });
                lamp.colours = [c; 2];
                let lamp = m.mat(lamp);
                m.s.ball(
                    f,
                    v(0.0, h + 0.08 - 0.28 * k as f32, 0.2),
                    v(0.1, 0.1, 0.04),
                    I,
                    lamp,
                );
            }
        }
        _ => {
            let (h, r) = (m.r.log(0.8, 9.0), m.r.log(0.02, 0.15));
            let lean = m.r.normal(0.02) * h;
            m.s.limb(f, Vec3::ZERO, v(lean, h, 0.0), r, r * 0.8, steel);
        }
    }
}

/// A sign board at the frame's origin, facing +z.
pub fn sign(m: &mut Maker, f: &Frame, lit: bool) {
    let mut board = Material::random(
        &mut m.r,
        &[Family::Text, Family::Poster, Family::Stripe, Family::Noise],
        Tint::Vivid,
        (0.3, 1.2),
    );
    board.emit = if lit && m.r.chance(0.6) {
        m.r.range(0.5, 2.0)
    } else {
        0.0
    };
    let half = v(m.r.range(0.15, 0.8), m.r.range(0.12, 0.5), 0.015);
    m.hang(&mut board, (half.x, half.y), 0.25);
    let board = m.mat(board);
    if m.r.chance(0.35) {
        let r = m.r.range(0.2, 0.4);
        m.s.round(
            f,
            Vec3::ZERO,
            v(r, 0.012, r),
            super::rx(QUARTER),
            1.0,
            board,
        );
    } else {
        m.s.block(f, Vec3::ZERO, half, I, board);
    }
}

/// Cables between two points that sag.
pub fn cables(m: &mut Maker, a: Vec3, b: Vec3, count: usize, radius: f32) {
    let dark = Material::plain(&mut m.r, Tint::Dark);
    let dark = m.mat(dark);
    for k in 0..count {
        let lift = v(0.0, -0.35 * k as f32, 0.1 * k as f32);
        let sag = a.distance(b) * m.r.range(0.01, 0.06);
        let points: Vec<_> = (0..=8)
            .map(|i| {
                let s = i as f32 / 8.0;
                (
                    a.lerp(b, s) + lift - v(0.0, 4.0 * s * (1.0 - s) * sag, 0.0),
                    radius,
                )
            })
            .collect();
        m.s.chain(&Frame::WORLD, &points, dark);
    }
}

/// A bench.
pub fn bench(m: &mut Maker, f: &Frame) {
    let wood = Material::random(&mut m.r, &[Family::Wood], Tint::Earth, (0.2, 0.6));
    let wood = m.mat(wood);
    let iron = Material::plain(&mut m.r, Tint::Dark);
    let iron = m.mat(iron);
    for i in 0..4 {
        m.s.block(
            f,
            v(0.0, 0.44, -0.18 + 0.12 * i as f32),
            v(0.85, 0.018, 0.05),
            I,
            wood,
        );
    }
    for i in 0..3 {
        m.s.block(
            f,
            v(0.0, 0.58 + 0.13 * i as f32, -0.26 - 0.03 * i as f32),
            v(0.85, 0.05, 0.018),
            I,
            wood,
        );
    }
    for s in [-0.7, 0.7] {
        m.s.chain(
            f,
            &[
                (v(s, 0.0, 0.18), 0.02),
                (v(s, 0.42, 0.16), 0.02),
                (v(s, 0.42, -0.2), 0.02),
                (v(s, 0.9, -0.34), 0.02),
            ],
            iron,
        );
        m.s.limb(f, v(s, 0.0, -0.26), v(s, 0.42, -0.2), 0.02, 0.02, iron);
    }
}

/// A bin, hydrant, bollard, box or pot beside a way.
pub fn bollard(m: &mut Maker, f: &Frame) {
    let c = Material::plain(&mut m.r, Tint::Any);
    let c = m.mat(c);
    let (h, r) = (m.r.range(0.3, 0.6), m.r.range(0.07, 0.3));
    let top = m.r.range(0.8, 1.15);
    m.s.round(f, v(0.0, h, 0.0), v(r, h, r), I, top, c);
    m.s.ball(f, v(0.0, 2.0 * h, 0.0), v(r * top, r * 0.5, r * top), I, c);
}

/// A statue: a person of stone or bronze on a plinth.
pub fn statue(m: &mut Maker, f: &Frame, height: f32) {
    let stone = if m.r.chance(0.6) {
        Material::random(
            &mut m.r,
            &[Family::Noise, Family::Ridge],
            Tint::Grey,
            (0.3, 1.5),
        )
        .with_relief(0.02)
    } else {
        Material::shiny(&mut m.r, Tint::Green)
    };
    let stone = m.mat(stone);
    let plinth = height * m.r.range(0.2, 0.8);
    let w = height * 0.22;
    m.s.block(
        f,
        v(0.0, plinth * 0.5, 0.0),
        v(w, plinth * 0.5, w),
        I,
        stone,
    );
    m.s.block(
        f,
        v(0.0, plinth, 0.0),
        v(w * 1.15, height * 0.02, w * 1.15),
        I,
        stone,
    );
    let first = m.s.prims.len();
    let pose = if m.r.chance(0.5) {
        super::person::Pose::Stand
    } else {
        super::person::Pose::Walk
    };
    let spot = f.child(v(0.0, plinth, 0.0), ry(m.r.normal(0.5)) * rz(0.0));
    super::person::person(m, &spot, height, pose);
    for p in &mut m.s.prims[first..] {
        p.material = stone;
    }
}
