//! Tables, chairs, sofas, shelves, beds, lamps.

use super::{I, Maker, item, rx, ry, v};
use crate::geometry::Frame;
use crate::geometry::library::LIBRARY;
use crate::material::{MADE, Material, Tint};
use crate::texture::Family;
use glam::Vec3;

/// Wood, lacquer or plastic.
fn board(m: &mut Maker) -> u32 {
    let b = if m.r.chance(0.5) {
        Material::random(&mut m.r, &[Family::Wood], Tint::Earth, (0.3, 1.2))
    } else {
        Material::plain(&mut m.r, Tint::Any)
    };
    m.mat(b)
}

/// A table; things stand on it if `laid`.
pub fn table(m: &mut Maker, f: &Frame, laid: bool) {
    let h = if m.r.chance(0.7) {
        m.r.range(0.68, 0.8)
    } else {
        m.r.range(0.35, 1.0)
    };
    let (w, d) = (m.r.range(0.35, 1.0), m.r.range(0.3, 0.5));
    let wood = board(m);
    let t = m.r.range(0.012, 0.035);
    if m.r.chance(0.2) {
        m.s.round(
            f,
            v(0.0, h - t, 0.0),
            v(w.min(0.7), t, w.min(0.7)),
            I,
            1.0,
            wood,
        );
        m.s.limb(f, v(0.0, 0.02, 0.0), v(0.0, h - t, 0.0), 0.05, 0.03, wood);
        m.s.round(f, v(0.0, 0.02, 0.0), v(0.3, 0.02, 0.3), I, 0.8, wood);
    } else {
        m.s.block(f, v(0.0, h - t, 0.0), v(w, t, d), I, wood);
        if m.r.chance(0.75) {
            let r = m.r.range(0.015, 0.04);
            for x in [-1.0, 1.0] {
                for z in [-1.0, 1.0] {
                    m.s.block(
                        f,
                        v(x * (w - r), 0.5 * h - t, z * (d - r)),
                        v(r, 0.5 * h - t, r),
                        I,
                        wood,
                    );
                }
            }
        } else {
            // a chest of drawers
            m.s.block(
                f,
                v(0.0, h * 0.5, 0.0),
                v(w * 0.97, h * 0.5 - t, d * 0.95),
                I,
                wood,
            );
            let face = board(m);
            let n = m.r.int(2, 5);
            for i in 0..n {
                let y = (i as f32 + 0.5) / n as f32 * (h - 2.0 * t);
                m.s.block(
                    f,
                    v(0.0, y, d * 0.95),
                    v(w * 0.9, h * 0.42 / n as f32, 0.012),
                    I,
                    face,
                );
                m.s.ball(f, v(0.0, y, d * 0.95 + 0.025), Vec3::splat(0.018), I, wood);
            }
        }
    }
    if laid {
        for _ in 0..m.r.int(0, 6) {
            let k = m.r.log(0.04, 0.16);
            let at = v(m.r.range(-0.85, 0.85) * w, h, m.r.range(-0.75, 0.75) * d);
            item::item(m, &f.child(at, I), k);
        }
    }
}

/// A chair.
pub fn chair(m: &mut Maker, f: &Frame) {
    let wood = board(m);
    let seat = Material::cloth(&mut m.r);
    let seat = if m.r.chance(0.5) { wood } else { m.mat(seat) };
    let (h, w, r) = (
        m.r.range(0.4, 0.5),
        m.r.range(0.19, 0.26),
        m.r.range(0.012, 0.022),
    );
    m.s.block(f, v(0.0, h, 0.0), v(w, m.r.range(0.015, 0.05), w), I, seat);
    let back = m.r.range(0.25, 0.55);
    let lean = m.r.range(0.02, 0.12);
    for x in [-1.0, 1.0] {
        m.s.limb(
            f,
            v(x * (w - r), 0.0, w),
            v(x * (w - r), h, w - r),
            r,
            r,
            wood,
        );
        m.s.chain(
            f,
            &[
                (v(x * (w - r), 0.0, -w - 0.03), r),
                (v(x * (w - r), h, -w + r), r),
                (v(x * (w - r), h + back, -w - lean), r),
            ],
            wood,
        );
        if m.r.chance(0.3) {
            m.s.limb(
                f,
                v(x * w, h + 0.2, -w),
                v(x * w, h + 0.2, w * 0.8),
                r * 1.2,
                r * 1.2,
                wood,
            );
        }
    }
    if m.r.chance(0.5) {
        let at = v(0.0, h + back * 0.65, -w - lean * 0.6);
        m.s.block(f, at, v(w, back * 0.3, 0.012), rx(-lean), seat);
    } else {
        let n = m.r.int(3, 7);
        for i in 0..n {
            let x = ((i as f32 + 0.5) / n as f32 * 2.0 - 1.0) * (w - r);
            m.s.limb(
                f,
                v(x, h, -w),
                v(x, h + back, -w - lean),
                r * 0.6,
                r * 0.6,
                wood,
            );
        }
        m.s.limb(
            f,
            v(-w, h + back, -w - lean),
            v(w, h + back, -w - lean),
            r * 1.3,
            r * 1.3,
            wood,
        );
    }
}

/// A sofa or armchair.
pub fn sofa(m: &mut Maker, f: &Frame) {
    let mut c = Material::cloth(&mut m.r);
    c.relief = 0.02;
    let c = m.mat(c);
    let (w, d) = (m.r.range(0.45, 1.2), m.r.range(0.36, 0.48));
    m.s.block(f, v(0.0, 0.2, 0.0), v(w, 0.14, d), I, c);
    let n = if w > 0.7 { 2 } else { 1 };
    for i in 0..n {
        let half = w / n as f32;
        let x = -w + half * (2.0 * i as f32 + 1.0);
        m.s.block(f, v(x, 0.38, 0.03), v(half * 0.97, 0.07, d * 0.93), I, c);
        m.s.ball(f, v(x, 0.44, d * 0.2), v(half * 0.95, 0.05, d * 0.7), I, c);
        m.s.block(
            f,
            v(x, 0.62, -d * 0.75),
            v(half * 0.96, 0.24, 0.09),
            rx(-0.15),
            c,
        );
    }
    m.s.block(f, v(0.0, 0.42, -d), v(w, 0.38, 0.1), I, c);
    for s in [-1.0, 1.0] {
        m.s.block(f, v(s * w, 0.3, 0.0), v(0.1, 0.24, d), I, c);
        m.s.limb(f, v(s * w, 0.55, -d), v(s * w, 0.55, d), 0.1, 0.1, c);
    }
    for _ in 0..m.r.int(0, 4) {
        let p = Material::random(&mut m.r, &MADE, Tint::Any, (0.1, 0.6));
        let p = m.mat(p);
        let at = v(m.r.range(-0.8, 0.8) * w, 0.6, -d * 0.4);
        let rot = rx(-0.4) * ry(m.r.normal(0.4));
        m.s.ball(f, at, v(0.2, 0.19, 0.09), rot, p);
    }
}

/// Shelves with books and things.
pub fn shelf(m: &mut Maker, f: &Frame) {
    let wood = board(m);
    let (w, h, d) = (m.r.range(0.35, 0.9), m.r.range(0.8, 2.1), 0.16);
    for s in [-1.0, 1.0] {
        m.s.block(f, v(s * w, h * 0.5, 0.0), v(0.015, h * 0.5, d), I, wood);
    }
    m.s.block(f, v(0.0, h * 0.5, -d), v(w, h * 0.5, 0.01), I, wood);
    let n = m.r.int(3, 7);
    let step = (h - 0.08) / (n - 1) as f32;
    for i in 0..n {
        let y = 0.04 + step * i as f32;
        m.s.block(f, v(0.0, y, 0.0), v(w, 0.012, d), I, wood);
        if i + 1 == n {
            continue;
        }
        // books side by side, or things
        let mut x = -w + 0.04;
        while x < w - 0.08 {
            if m.r.chance(0.6) {
                let run = m.r.int(2, 9);
                let mat = Material::random(
                    &mut m.r,
                    &[Family::Stripe, Family::Text, Family::Noise],
                    Tint::Any,
                    (0.05, 0.4),
                );
                let mat = m.mat(mat);
                for _ in 0..run {
                    let t = m.r.range(0.01, 0.025);
                    let hh = step * m.r.range(0.3, 0.43);
                    if x + 2.0 * t > w - 0.03 {
                        break;
                    }
                    let z = m.r.range(-0.05, 0.02);
                    m.s.block(f, v(x + t, y + 0.012 + hh, z), v(t, hh, d * 0.65), I, mat);
                    x += 2.0 * t + 0.002;
                }
            } else if m.r.chance(0.5) {
                let k = (step * 0.25).min(0.09);
                let k = k * m.r.range(0.5, 1.0);
                item::item(m, &f.child(v(x + 0.06, y + 0.012, 0.0), I), k);
                x += 0.2;
            }
            x += m.r.range(0.0, 0.2);
        }
    }
}

/// A bed, its head at -z.
pub fn bed(m: &mut Maker, f: &Frame) {
    let wood = board(m);
    let sheet = Material::cloth(&mut m.r);
    let sheet = m.mat(sheet);
    let cover = Material::random(
        &mut m.r,
        &[Family::Cloth, Family::Noise, Family::Stripe, Family::Ridge],
        Tint::Any,
        (0.2, 1.2),
    )
    .with_relief(0.02);
    let cover = m.mat(cover);
    let w = m.r.range(0.45, 0.95);
    m.s.block(f, v(0.0, 0.18, 0.0), v(w, 0.1, 1.0), I, wood);
    m.s.block(f, v(0.0, 0.36, 0.0), v(w * 0.98, 0.1, 0.98), I, sheet);
    m.s.ball(f, v(0.0, 0.4, 0.3), v(w * 1.05, 0.11, 0.78), I, cover);
    m.s.block(f, v(0.0, 0.45, 0.3), v(w * 1.02, 0.03, 0.7), I, cover);
    m.s.block(f, v(0.0, 0.5, -1.02), v(w, 0.5, 0.03), I, wood);
    let n = if w > 0.6 { 2 } else { 1 };
    for i in 0..n {
        let x = if n == 2 { (i as f32 - 0.5) * w } else { 0.0 };
        m.s.ball(f, v(x, 0.52, -0.72), v(0.33, 0.1, 0.2), rx(-0.3), sheet);
    }
}

/// A standing lamp.
pub fn floor_lamp(m: &mut Maker, f: &Frame) {
    let b = Material::shiny(&mut m.r, Tint::Grey);
    let b = m.mat(b);
    let glow = m.r.range(0.3, 2.0);
    let s = Material::light(&mut m.r, glow);
    let s = m.mat(s);
    let h = m.r.range(1.2, 1.8);
    m.s.round(f, v(0.0, 0.015, 0.0), v(0.14, 0.015, 0.14), I, 1.0, b);
    m.s.limb(f, Vec3::ZERO, v(0.0, h, 0.0), 0.012, 0.01, b);
    m.s.round(f, v(0.0, h, 0.0), v(0.2, 0.13, 0.2), I, 0.65, s);
}

/// A lamp that hangs from a ceiling at the frame's origin by this length.
pub fn hanging_lamp(m: &mut Maker, f: &Frame, long: f32) {
    let cord = Material::plain(&mut m.r, Tint::Dark);
    let cord = m.mat(cord);
    let glow = m.r.range(0.5, 2.5);
    let s = Material::light(&mut m.r, glow);
    let s = m.mat(s);
    m.s.limb(f, Vec3::ZERO, v(0.0, -long, 0.0), 0.006, 0.006, cord);
    if m.r.chance(0.5) {
        m.s.ball(f, v(0.0, -long, 0.0), v(0.17, 0.15, 0.17), I, s);
    } else {
        let mesh = &LIBRARY.turned[m.r.int(0, LIBRARY.turned.len())];
        m.s.mesh(f, v(0.0, -long - 0.2, 0.0), v(0.3, 0.25, 0.3), I, mesh, s);
    }
}

/// A cupboard, fridge or washing machine: a box with lines and a handle.
pub fn cabinet(m: &mut Maker, f: &Frame) {
    let b = board(m);
    let (w, h, d) = (
        m.r.range(0.3, 0.7),
        m.r.range(0.4, 1.05),
        m.r.range(0.25, 0.35),
    );
    m.s.block(f, v(0.0, h, 0.0), v(w, h, d), I, b);
    let door = board(m);
    let door = if m.r.chance(0.6) { b } else { door };
    let knob = Material::shiny(&mut m.r, Tint::Grey);
    let knob = m.mat(knob);
    let n = m.r.int(1, 3);
    for i in 0..n {
        let half = w / n as f32;
        let x = -w + half * (2.0 * i as f32 + 1.0);
        m.s.block(f, v(x, h, d), v(half * 0.96, h * 0.96, 0.015), I, door);
        m.s.limb(
            f,
            v(x + half * 0.7, h * 0.9, d + 0.03),
            v(x + half * 0.7, h * 1.1, d + 0.03),
            0.008,
            0.008,
            knob,
        );
    }
}
