//! Trees, bushes, flowers, grass, stones.

use super::{FULL, HALF};
use super::{I, Maker, rx, ry, rz, v};
use crate::geometry::Frame;
use crate::geometry::forms::any_rotation;
use crate::geometry::library::LIBRARY;
use crate::material::{Material, Tint};
use crate::texture::Family;
use glam::Vec3;

/// Bark.
fn bark(m: &mut Maker) -> u32 {
    let mut b = Material::random(
        &mut m.r,
        &[Family::Fur, Family::Ridge, Family::Noise, Family::Wood],
        Tint::Earth,
        (0.15, 0.8),
    );
    b.colours = b.colours.map(|c| c * 0.6);
    b.relief = 0.03;
    b.gloss = 0.0;
    m.mat(b)
}

/// A tree of a height in metres.
pub fn tree(m: &mut Maker, f: &Frame, height: f32) {
    let f = &f.sized(height);
    let kind = m.r.unit();
    if kind < 0.15 {
        conifer(m, f);
    } else if kind < 0.25 {
        bare(m, f);
    } else if kind < 0.3 {
        palm(m, f);
    } else {
        broad(m, f);
    }
}

fn broad(m: &mut Maker, f: &Frame) {
    let bark = bark(m);
    let leaves = Material::leaves(&mut m.r);
    let leaves = m.mat(leaves);
    let r = m.r.range(0.013, 0.032);
    let fork = m.r.range(0.15, 0.45);
    let lean = v(m.r.normal(0.05), fork, m.r.normal(0.05));
    m.s.chain(
        f,
        &[(Vec3::ZERO, r * 1.3), (lean * 0.15, r), (lean, r * 0.8)],
        bark,
    );
    let wide = m.r.range(0.18, 0.4);
    let n = m.r.int(2, 6);
    let crown = crown_for(m, f);
    for i in 0..n {
        let a = i as f32 / n as f32 * FULL + m.r.unit();
        let out = wide * m.r.range(0.2, 0.7) * if n == 1 { 0.0 } else { 1.0 };
        let c = v(out * a.sin(), m.r.range(fork + 0.2, 0.86), out * a.cos());
        m.s.limb(f, lean, c, r * 0.6, r * 0.2, bark);
        let s = wide * m.r.range(0.6, 1.1);
        let size = v(s, s * m.r.range(0.6, 1.0), s);
        let mesh = &LIBRARY.crowns[(crown + 4 * (i % 2)) % LIBRARY.crowns.len()];
        let rot = ry(m.r.turn());
        m.s.mesh(f, c, size, rot, mesh, leaves);
    }
}

/// A crown with as many leaves as can be told apart from the camera: every fourth has the fewest.
fn crown_for(m: &mut Maker, f: &Frame) -> usize {
    let heights_away = f.at.distance(m.s.camera.at) / f.scale;
    let any = m.r.int(0, LIBRARY.crowns.len());
    if heights_away > 4.0 {
        any | 3
    } else if heights_away > 1.6 {
        any | 2
    } else {
        any
    }
}

fn conifer(m: &mut Maker, f: &Frame) {
    let bark = bark(m);
    let mut l = Material::leaves(&mut m.r);
    l.colours = l.colours.map(|c| c * 0.5);
    let leaves = m.mat(l);
    m.s.limb(f, Vec3::ZERO, v(0.0, 0.95, 0.0), 0.02, 0.004, bark);
    let wide = m.r.range(0.14, 0.28);
    let n = m.r.int(4, 8);
    for i in 0..n {
        let s = i as f32 / n as f32;
        let w = wide * (1.0 - s * 0.85);
        let mesh = &LIBRARY.crowns[crown_for(m, f)];
        let rot = ry(m.r.turn());
        m.s.mesh(
            f,
            v(0.0, 0.18 + 0.78 * s, 0.0),
            v(w, 0.13, w),
            rot,
            mesh,
            leaves,
        );
    }
}

/// A tree without leaves: branches that fork.
pub fn bare(m: &mut Maker, f: &Frame) {
    let bark = bark(m);
    let base = m.r.range(0.014, 0.03);
    let mut todo = vec![(
        Vec3::ZERO,
        v(m.r.normal(0.04), 1.0, m.r.normal(0.04)),
        0.34f32,
        base,
        0,
    )];
    while let Some((at, dir, long, r, depth)) = todo.pop() {
        let bend = v(m.r.normal(0.1), 0.0, m.r.normal(0.1));
        let end = at + (dir + bend).normalize() * long;
        m.s.limb(f, at, end, r, r * 0.68, bark);
        if depth >= 4 {
            continue;
        }
        let n = m.r.int(2, 4);
        for _ in 0..n {
            let side = any_rotation(&mut m.r) * Vec3::X;
            let d = (dir + side * m.r.range(0.4, 0.95) + v(0.0, 0.15, 0.0)).normalize();
            todo.push((end, d, long * m.r.range(0.6, 0.82), r * 0.64, depth + 1));
        }
    }
}

fn palm(m: &mut Maker, f: &Frame) {
    let bark = bark(m);
    let leaves = Material::leaves(&mut m.r);
    let leaves = m.mat(leaves);
    let top = v(m.r.normal(0.1), 0.82, m.r.normal(0.1));
    m.s.chain(
        f,
        &[
            (Vec3::ZERO, 0.03),
            (top * v(0.3, 0.5, 0.3), 0.02),
            (top, 0.018),
        ],
        bark,
    );
    let tuft = &LIBRARY.tufts[2];
    let rot = ry(m.r.turn());
    m.s.mesh(f, top, v(0.3, 0.2, 0.3), rot, tuft, leaves);
    m.s.mesh(
        f,
        top + v(0.0, 0.05, 0.0),
        v(0.34, 0.16, 0.34),
        rot * rx(HALF),
        tuft,
        leaves,
    );
}

/// A bush of a width in metres.
pub fn bush(m: &mut Maker, f: &Frame, wide: f32) {
    let leaves = Material::leaves(&mut m.r);
    let leaves = m.mat(leaves);
    let f = &f.sized(wide);
    for _ in 0..m.r.int(1, 4) {
        let mesh = if m.r.chance(0.6) {
            &LIBRARY.crowns[m.r.int(0, LIBRARY.crowns.len())]
        } else {
            &LIBRARY.sprays[m.r.int(0, LIBRARY.sprays.len())]
        };
        let c = v(m.r.normal(0.3), m.r.range(0.25, 0.45), m.r.normal(0.3));
        let s = m.r.range(0.4, 0.7);
        let size = v(s, s * m.r.range(0.6, 1.1), s);
        let rot = ry(m.r.turn());
        m.s.mesh(f, c, size, rot, mesh, leaves);
    }
}

/// Grass or reeds of a height in metres.
pub fn grass(m: &mut Maker, f: &Frame, height: f32, material: u32) {
    let mesh = &LIBRARY.tufts[m.r.int(0, LIBRARY.tufts.len())];
    let wide = height * m.r.range(0.7, 1.6);
    let rot = ry(m.r.turn());
    m.s.mesh(f, Vec3::ZERO, v(wide, height, wide), rot, mesh, material);
}

/// A stone of a radius in metres, half sunk.
pub fn rock(m: &mut Maker, f: &Frame, radius: f32) {
    let tint = if m.r.chance(0.7) {
        Tint::Grey
    } else {
        Tint::Earth
    };
    let mut stone = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Ridge, Family::Cell, Family::Blotch],
        tint,
        (radius * 0.5, radius * 2.5),
    );
    stone.gloss *= 0.3;
    stone.relief = m.r.range(0.0, 0.05);
    let stone = m.mat(stone);
    let mesh = &LIBRARY.rocks[m.r.int(0, LIBRARY.rocks.len())];
    let size = v(
        radius,
        radius * m.r.range(0.5, 1.0),
        radius * m.r.range(0.7, 1.3),
    );
    let rot = ry(m.r.turn()) * rz(m.r.normal(0.2));
    m.s.mesh(f, v(0.0, size.y * 0.35, 0.0), size, rot, mesh, stone);
}

/// A flower of a height in metres; its head has about `head` metres radius and looks along the frame's +z and up.
pub fn flower(m: &mut Maker, f: &Frame, height: f32, head: f32) {
    let green = Material::leaves(&mut m.r);
    let green = m.mat(green);
    let mut petal = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Fur],
        Tint::Vivid,
        (head, head * 2.0),
    );
    petal.through = 0.5;
    petal.gloss *= 0.2;
    petal.spread = m.r.range(0.0, 0.3);
    let petal = m.mat(petal);
    let mut core = Material::random(
        &mut m.r,
        &[Family::Dots, Family::Gravel, Family::Fine],
        Tint::Earth,
        (head * 0.3, head),
    );
    core.relief = 0.05;
    let core = m.mat(core);
    let bend = v(m.r.normal(0.08), 1.0, m.r.normal(0.08)) * height;
    let stem = (head * 0.07).max(0.0015);
    m.s.chain(
        f,
        &[
            (Vec3::ZERO, stem),
            (bend * v(0.3, 0.5, 0.3), stem),
            (bend, stem),
        ],
        green,
    );
    let tilt = m.r.range(0.0, 1.5);
    let face = f.child(bend, ry(m.r.normal(0.9)) * rx(tilt));
    let rows = m.r.int(1, 4);
    let n = m.r.int(5, 15);
    let slim = m.r.range(0.6, 1.3) * 3.0 / n as f32;
    for k in 0..rows {
        let lift = 0.15 + 0.4 * k as f32;
        let long = head * (1.0 - 0.2 * k as f32);
        for i in 0..n {
            let a = (i as f32 + 0.5 * k as f32) / n as f32 * FULL;
            let rot = ry(a) * rx(-lift + m.r.normal(0.12));
            let c = rot * v(0.0, 0.0, long * 0.55);
            m.s.ball(
                &face,
                c,
                v(long * slim.min(0.6), head * 0.03, long * 0.5),
                rot,
                petal,
            );
        }
    }
    m.s.ball(
        &face,
        Vec3::ZERO,
        v(head * 0.3, head * m.r.range(0.1, 0.25), head * 0.3),
        I,
        core,
    );
    for _ in 0..m.r.int(0, 4) {
        let at = bend * m.r.range(0.2, 0.8);
        let rot = ry(m.r.turn()) * rx(-m.r.range(0.1, 0.8));
        let long = head * m.r.range(0.6, 1.6);
        m.s.ball(
            f,
            at + rot * v(0.0, 0.0, long),
            v(long * 0.35, long * 0.03, long),
            rot,
            green,
        );
    }
}

/// A plant in a pot, of a height in metres.
pub fn potted(m: &mut Maker, f: &Frame, height: f32) {
    let f = &f.sized(height);
    let pot = Material::plain(&mut m.r, Tint::Earth);
    let pot = m.mat(pot);
    let leaves = Material::leaves(&mut m.r);
    let leaves = m.mat(leaves);
    m.s.round(f, v(0.0, 0.16, 0.0), v(0.13, 0.16, 0.13), I, 1.35, pot);
    let rot = ry(m.r.turn());
    if m.r.chance(0.5) {
        let mesh = &LIBRARY.sprays[m.r.int(0, LIBRARY.sprays.len())];
        m.s.limb(f, v(0.0, 0.3, 0.0), v(0.0, 0.6, 0.0), 0.015, 0.01, leaves);
        m.s.mesh(f, v(0.0, 0.66, 0.0), v(0.3, 0.34, 0.3), rot, mesh, leaves);
    } else {
        let mesh = &LIBRARY.tufts[m.r.int(0, LIBRARY.tufts.len())];
        m.s.mesh(f, v(0.0, 0.3, 0.0), v(0.5, 0.7, 0.5), rot, mesh, leaves);
    }
}
