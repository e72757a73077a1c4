//! Thin and small things before something else: branches, fences, nets, cables, hair, lattices.

use super::{closeup, common};
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::geometry::library::LIBRARY;
use crate::material::{Material, Tint};
use crate::objects::{I, Maker, outdoor, plant, rx, ry, rz, structure, v, vehicle};
use glam::Vec3;

/// Two or three thin things at different depths before a garden, a street or a room.
pub fn lattice(m: &mut Maker) {
    let inside = m.r.chance(0.3);
    closeup::background(m, inside);
    let height = m.r.range(0.9, 1.8);
    let pitch = m.r.normal(0.12);
    common::camera(m, height, pitch);
    for _ in 0..m.r.int(2, 5) {
        let z = m.r.log(0.7, if inside { 3.0 } else { 7.0 });
        thin(m, height, z);
    }
    let depth = m.r.log(0.8, 4.0);
    common::focus(m, depth, 0.35);
    m.s.occlusion = 0.3;
}

/// One thin thing at a depth, its middle at about the height of the eyes.
fn thin(m: &mut Maker, height: f32, z: f32) {
    let half = 0.5 / m.s.camera.focal * z;
    let at = v(m.r.normal(0.4) * half, height, z);
    let c = if m.r.chance(0.5) {
        Material::plain(&mut m.r, Tint::Dark)
    } else {
        Material::plain(&mut m.r, Tint::Any)
    };
    let turned = ry(m.r.normal(0.5)) * rz(m.r.normal(0.1));
    let f = Frame::WORLD.child(at, turned);
    match m.r.int(0, 9) {
        0 => {
            let f = Frame::upright(v(at.x, 0.0, z), m.r.turn());
            let tall = height * m.r.range(1.2, 2.2);
            plant::bare(m, &f.sized(tall));
        }
        1 => {
            let long = half * 3.0 + 2.0;
            let f = Frame::upright(v(-long * 0.5, 0.0, z), m.r.normal(0.4));
            structure::fence(m, &f, long);
        }
        2 => {
            let c = m.mat(c);
            net(m, &f, half * 1.2, c);
        }
        3 => {
            let n = m.r.int(2, 7);
            let r = z * m.r.log(0.0008, 0.004);
            let (a, b) = (
                f.point(v(-half * 1.6, half * 0.4, 0.0)),
                f.point(v(half * 1.6, half * 0.6, 1.0)),
            );
            outdoor::cables(m, a, b, n, r);
        }
        4 => {
            let f = Frame::upright(v(at.x, 0.0, z.max(1.2)), m.r.turn());
            vehicle::bicycle(m, &f);
        }
        5 => {
            let c = m.mat(c);
            grating(m, &f, half, c);
        }
        6 => {
            let c = m.mat(c);
            hoop(m, &f, half * 0.5, c);
        }
        7 => {
            let c = m.mat(c);
            wisps(m, &f, half * 0.9, c);
        }
        _ => {
            // a twig with leaves that hangs into the picture
            let green = Material::leaves(&mut m.r);
            let green = m.mat(green);
            let c = m.mat(c);
            let side = m.r.sign();
            let from = v(side * half * 1.5, half * m.r.range(0.2, 1.2), 0.0);
            let to = v(
                side * half * m.r.range(-0.3, 0.4),
                half * m.r.normal(0.4),
                m.r.normal(0.2) * z,
            );
            let r = half * 0.012;
            let bend = from.lerp(to, 0.5) + v(0.0, half * 0.2, 0.0);
            m.s.chain(&f, &[(from, r * 1.5), (bend, r), (to, r * 0.5)], c);
            for k in 0..m.r.int(4, 14) {
                let p = bend.lerp(to, k as f32 / 14.0);
                let rot = ry(m.r.turn()) * rx(m.r.normal(1.0));
                let long = half * m.r.range(0.05, 0.14);
                m.s.ball(
                    &f,
                    p + rot * v(0.0, 0.0, long),
                    v(long * 0.4, long * 0.03, long),
                    rot,
                    green,
                );
            }
        }
    }
}

/// A net of knotted cord.
pub fn net(m: &mut Maker, f: &Frame, half: f32, material: u32) {
    let n = m.r.int(5, 16);
    let step = 2.0 * half / n as f32;
    let r = half * m.r.log(0.003, 0.012);
    let sag = m.r.range(0.0, 0.2) * half;
    let at = |i: usize, j: usize| {
        let (x, y) = (-half + step * i as f32, -half + step * j as f32);
        v(x, y, sag * ((x / half).cos() * (y / half).cos()))
    };
    for j in 0..=n {
        for i in 0..n {
            m.s.limb(f, at(i, j), at(i + 1, j), r, r, material);
            m.s.limb(f, at(j, i), at(j, i + 1), r, r, material);
        }
    }
}

/// Bars in one or two directions in a frame.
fn grating(m: &mut Maker, f: &Frame, half: f32, material: u32) {
    let n = m.r.int(4, 22);
    let r = half * m.r.log(0.006, 0.03);
    let crossed = m.r.chance(0.5);
    for i in 0..=n {
        let x = -half + 2.0 * half * i as f32 / n as f32;
        m.s.block(f, v(x, 0.0, 0.0), v(r, half, r), I, material);
        if crossed {
            m.s.block(f, v(0.0, x, 0.0), v(half, r, r), I, material);
        }
    }
    for s in [-1.0, 1.0] {
        m.s.block(
            f,
            v(0.0, s * half, 0.0),
            v(half, r * 1.5, r * 1.5),
            I,
            material,
        );
    }
}

/// A hoop with a net below it, as for basketball, and a ball.
fn hoop(m: &mut Maker, f: &Frame, r: f32, cord: u32) {
    let iron = Material::plain(&mut m.r, Tint::Vivid);
    let iron = m.mat(iron);
    m.s.mesh(f, Vec3::ZERO, Vec3::splat(r), I, &LIBRARY.rings[0], iron);
    let n = 12;
    let rows = 5;
    let thick = r * 0.012;
    let at = |i: usize, j: usize| {
        let a = (i as f32 + 0.5 * (j % 2) as f32) / n as f32 * std::f32::consts::TAU;
        let w = r * (1.0 - 0.1 * j as f32);
        v(w * a.sin(), -r * 0.32 * j as f32, w * a.cos())
    };
    for j in 0..rows {
        for i in 0..n {
            let next = if j % 2 == 0 {
                [i + n - 1, i]
            } else {
                [i, i + 1]
            };
            for k in next {
                m.s.limb(f, at(i, j), at(k % n, j + 1), thick, thick, cord);
            }
        }
    }
    if m.r.chance(0.6) {
        let ball = Material::plain(&mut m.r, Tint::Earth);
        let ball = m.mat(ball);
        m.s.ball(
            f,
            v(0.0, m.r.range(-0.6, 0.8) * r, 0.0),
            Vec3::splat(r * 0.53),
            I,
            ball,
        );
    }
    let board = Material::plain(&mut m.r, Tint::Light);
    let board = m.mat(board);
    m.s.block(
        f,
        v(0.0, r * 1.1, -r * 1.8),
        v(r * 3.9, r * 2.3, 0.03 * r),
        I,
        board,
    );
}

/// Hair-like strands from one place.
fn wisps(m: &mut Maker, f: &Frame, half: f32, material: u32) {
    let r = half * m.r.log(0.0015, 0.006);
    let root = v(m.r.normal(0.3) * half, -half, 0.0);
    for _ in 0..m.r.int(15, 60) {
        let lean = v(m.r.normal(0.6), 1.0, m.r.normal(0.4)) * half * m.r.range(0.6, 1.8);
        let bow = v(m.r.normal(0.2), 0.0, m.r.normal(0.2)) * half;
        let points = [
            (root, r),
            (root + lean * 0.5 + bow, r),
            (root + lean + bow * 3.0, r * 0.5),
        ];
        m.s.chain(f, &points, material);
    }
}

/// A near view of a bicycle, a car's corner or a heap of thin parts.
pub fn machine(m: &mut Maker) {
    let inside = m.r.chance(0.2);
    closeup::background(m, inside);
    let fov = common::field_of_view(m);
    let d = m.r.range(0.9, 2.6);
    let eye = m.r.range(0.3, 1.6);
    let roll = m.r.normal(0.06);
    let f = Frame::upright(v(m.r.normal(0.2), 0.0, d), m.r.turn());
    m.s.camera = Camera::look(
        v(0.0, eye, 0.0),
        v(m.r.normal(0.2), m.r.range(0.3, 0.9), d),
        roll,
        fov,
    );
    if m.r.chance(0.55) {
        vehicle::bicycle(m, &f);
        for _ in 0..m.r.int(0, 4) {
            let g = f.child(
                v(m.r.range(0.3, 1.2), 0.0, m.r.normal(0.3)),
                ry(m.r.normal(0.2)),
            );
            vehicle::bicycle(m, &g);
        }
    } else {
        let far = Frame::upright(v(m.r.normal(0.5), 0.0, d + 2.4), m.r.turn());
        vehicle::car(m, &far, false);
    }
    common::focus(m, d, 0.6);
}
