//! Small things: on tables, shelves and floors.

use super::QUARTER;
use super::{I, Maker, rx, ry, rz, v};
use crate::geometry::Frame;
use crate::geometry::forms::any_rotation;
use crate::geometry::library::LIBRARY;
use crate::material::{MADE, Material, PLAIN, Tint};
use crate::texture::Family;
use glam::Vec3;

/// Something of about this half size in metres.
pub fn item(m: &mut Maker, f: &Frame, k: f32) {
    let f = &f.child(Vec3::ZERO, ry(m.r.turn()));
    match m.r.int(0, 13) {
        0 => {
            // carton
            let h = k * m.r.range(0.4, 1.7);
            let b = Material::random(&mut m.r, &MADE, Tint::Any, (k, k * 5.0));
            let b = m.mat(b);
            let half = v(k * m.r.range(0.3, 1.3), h, k * m.r.range(0.3, 1.1));
            m.s.block(f, v(0.0, h, 0.0), half, I, b);
        }
        1 => {
            // fruit or ball
            let b = Material::random(
                &mut m.r,
                &[Family::Noise, Family::Dots, Family::Fine],
                Tint::Vivid,
                (k, k * 4.0),
            );
            let b = m.mat(b);
            let y = k * m.r.range(0.8, 1.15);
            m.s.ball(f, v(0.0, y * 0.7, 0.0), v(k * 0.7, y * 0.7, k * 0.7), I, b);
            if m.r.chance(0.5) {
                m.s.limb(
                    f,
                    v(0.0, y * 1.38, 0.0),
                    v(0.05 * k, y * 1.7, 0.0),
                    0.04 * k,
                    0.03 * k,
                    b,
                );
            }
        }
        2 | 3 => {
            // something turned: vase, bowl, cup
            let mut b = Material::shiny(&mut m.r, Tint::Any);
            if m.r.chance(0.5) {
                b.pattern = crate::texture::ATLAS.pick(&mut m.r, &MADE);
                b.mix = m.r.range(0.2, 1.0);
                b.tile = k * m.r.range(0.5, 2.0);
            }
            let b = m.mat(b);
            let h = k * m.r.range(0.7, 2.8);
            let w = k * m.r.range(0.9, 1.8);
            let mesh = &LIBRARY.turned[m.r.int(0, LIBRARY.turned.len())];
            m.s.mesh(f, Vec3::ZERO, v(w, h, w), I, mesh, b);
        }
        4 => bottle(m, f, k),
        5 => mug(m, f, k),
        6 => {
            // books
            let n = m.r.int(1, 5);
            let mut y = 0.0;
            for _ in 0..n {
                let t = k * m.r.range(0.08, 0.3);
                let b = Material::random(
                    &mut m.r,
                    &[Family::Text, Family::Poster, Family::Noise, Family::Stripe],
                    Tint::Any,
                    (k, k * 4.0),
                );
                let b = m.mat(b);
                let half = v(k * m.r.range(0.6, 0.9), t, k * m.r.range(0.8, 1.2));
                let rot = ry(m.r.normal(0.2));
                m.s.block(f, v(0.0, y + t, 0.0), half, rot, b);
                y += 2.0 * t;
            }
        }
        7 => {
            // lamp
            let b = Material::shiny(&mut m.r, Tint::Grey);
            let b = m.mat(b);
            let glow = m.r.range(0.2, 1.6);
            let s = Material::light(&mut m.r, glow);
            let s = m.mat(s);
            m.s.round(
                f,
                v(0.0, 0.05 * k, 0.0),
                v(0.5 * k, 0.05 * k, 0.5 * k),
                I,
                0.9,
                b,
            );
            m.s.limb(f, Vec3::ZERO, v(0.0, 2.0 * k, 0.0), 0.06 * k, 0.05 * k, b);
            m.s.round(
                f,
                v(0.0, 2.3 * k, 0.0),
                v(0.8 * k, 0.45 * k, 0.8 * k),
                I,
                0.6,
                s,
            );
        }
        8 => {
            // plate with food
            let china = Material::shiny(&mut m.r, Tint::Light);
            let china = m.mat(china);
            m.s.round(
                f,
                v(0.0, 0.05 * k, 0.0),
                v(0.8 * k, 0.05 * k, 0.8 * k),
                I,
                1.4,
                china,
            );
            for _ in 0..m.r.int(1, 7) {
                let food = Material::random(
                    &mut m.r,
                    &[Family::Noise, Family::Blotch, Family::Gravel],
                    Tint::Any,
                    (k * 0.2, k),
                );
                let food = m.mat(food);
                let mesh = &LIBRARY.rocks[m.r.int(0, LIBRARY.rocks.len())];
                let s = k * m.r.range(0.12, 0.45);
                let at = v(
                    m.r.normal(0.35) * k,
                    0.1 * k + s * 0.3,
                    m.r.normal(0.35) * k,
                );
                let rot = any_rotation(&mut m.r);
                m.s.mesh(f, at, v(s, s * 0.7, s), rot, mesh, food);
            }
        }
        9 => {
            // soft toy or figure
            let long = k * m.r.range(1.0, 1.8);
            super::animal::quadruped(m, f, long, super::animal::Pose::Sit);
        }
        10 => super::plant::potted(m, f, k * 3.0),
        11 => {
            // screen, picture frame or telephone standing
            let b = Material::plain(&mut m.r, Tint::Dark);
            let b = m.mat(b);
            let glow = if m.r.chance(0.4) {
                m.r.range(0.3, 1.5)
            } else {
                0.0
            };
            let mut p = Material::random(
                &mut m.r,
                &[Family::Poster, Family::Text, Family::Noise, Family::Facade],
                Tint::Any,
                (k, k * 3.0),
            );
            p.emit = glow;
            let (w, h) = (k * m.r.range(0.6, 1.6), k * m.r.range(0.6, 1.1));
            m.hang(&mut p, (w * 0.92, h * 0.9), 0.6);
            let p = m.mat(p);
            let g = f.child(v(0.0, h + 0.05 * k, 0.0), rx(-m.r.range(0.05, 0.4)));
            m.s.block(&g, Vec3::ZERO, v(w, h, 0.05 * k), I, b);
            m.s.block(
                &g,
                v(0.0, 0.0, 0.02 * k),
                v(w * 0.92, h * 0.9, 0.05 * k),
                I,
                p,
            );
            m.s.limb(
                f,
                v(0.0, 0.02, -0.3 * k),
                v(0.0, h, -0.05 * k),
                0.05 * k,
                0.04 * k,
                b,
            );
        }
        _ => {
            // stone, bread, cloth: a lump
            let b = Material::random(
                &mut m.r,
                &[Family::Noise, Family::Cloth, Family::Blotch],
                Tint::Any,
                (k * 0.5, k * 3.0),
            );
            let b = m.mat(b);
            let mesh = &LIBRARY.rocks[m.r.int(0, LIBRARY.rocks.len())];
            let s = v(k, k * m.r.range(0.35, 0.9), k * m.r.range(0.5, 1.3));
            let rot = ry(m.r.turn());
            m.s.mesh(f, v(0.0, s.y * 0.6, 0.0), s, rot, mesh, b);
        }
    }
}

/// A bottle.
pub fn bottle(m: &mut Maker, f: &Frame, k: f32) {
    let mut b = Material::shiny(&mut m.r, Tint::Any);
    b.mirror = 0.06;
    let b = m.mat(b);
    let label = Material::random(
        &mut m.r,
        &[Family::Text, Family::Poster],
        Tint::Any,
        (k * 0.5, k * 2.0),
    );
    let label = m.mat(label);
    let (h, w) = (k * m.r.range(0.9, 1.3), k * m.r.range(0.32, 0.5));
    m.s.round(f, v(0.0, h, 0.0), v(w, h, w), I, 1.0, b);
    m.s.ball(
        f,
        v(0.0, 2.0 * h, 0.0),
        v(w, w * m.r.range(0.6, 1.4), w),
        I,
        b,
    );
    m.s.round(
        f,
        v(0.0, 2.0 * h + 0.6 * k, 0.0),
        v(0.14 * k, 0.6 * k, 0.14 * k),
        I,
        0.9,
        b,
    );
    if m.r.chance(0.7) {
        m.s.round(
            f,
            v(0.0, h * 0.9, 0.0),
            v(w * 1.015, h * m.r.range(0.25, 0.6), w * 1.015),
            I,
            1.0,
            label,
        );
    }
}

/// A mug or glass with a handle.
pub fn mug(m: &mut Maker, f: &Frame, k: f32) {
    let b = Material::shiny(&mut m.r, Tint::Any);
    let b = m.mat(b);
    let drink = Material::shiny(&mut m.r, Tint::Earth);
    let drink = m.mat(drink);
    let h = k * m.r.range(0.5, 0.9);
    let w = k * m.r.range(0.4, 0.6);
    m.s.round(f, v(0.0, h, 0.0), v(w, h, w), I, m.r.range(0.95, 1.2), b);
    m.s.round(
        f,
        v(0.0, 2.0 * h, 0.0),
        v(w * 0.88, 0.01 * k, w * 0.88),
        I,
        1.0,
        drink,
    );
    if m.r.chance(0.7) {
        m.s.mesh(
            f,
            v(w * 1.1, h, 0.0),
            v(h * 0.5, h * 0.5, h * 0.6),
            rx(QUARTER),
            &LIBRARY.rings[2],
            b,
        );
    }
}

/// A random solid in mid-air for cluttered scenes.
pub fn solid(m: &mut Maker, f: &Frame, k: f32) {
    let b = Material::random(&mut m.r, &[], Tint::Any, (k * 0.4, k * 3.0));
    let b = m.mat(b);
    let half = v(m.r.log(0.2, 1.0), m.r.log(0.2, 1.0), m.r.log(0.2, 1.0)) * k;
    let rot = any_rotation(&mut m.r);
    match m.r.int(0, 6) {
        0 | 1 => m.s.block(f, Vec3::ZERO, half, rot, b),
        2 => m.s.ball(f, Vec3::ZERO, half, rot, b),
        3 => m.s.round(f, Vec3::ZERO, half, rot, m.r.range(0.0, 1.0), b),
        4 => m.s.mesh(
            f,
            Vec3::ZERO,
            Vec3::splat(k * 0.7),
            rot,
            &LIBRARY.rings[m.r.int(1, 4)],
            b,
        ),
        _ => {
            m.s.mesh(f, Vec3::ZERO, half, rot, &LIBRARY.rocks[m.r.int(0, 10)], b)
        }
    }
}

/// A plain flat thing lying about: sheet, coin, cloth.
pub fn flat(m: &mut Maker, f: &Frame, k: f32) {
    let families: &[Family] = if m.r.chance(0.5) { &MADE } else { &PLAIN };
    let b = Material::random(&mut m.r, families, Tint::Any, (k * 0.5, k * 3.0));
    let b = m.mat(b);
    let half = v(k * m.r.range(0.5, 1.5), k * 0.015, k * m.r.range(0.4, 1.0));
    let rot = ry(m.r.turn()) * rz(0.0);
    m.s.block(f, v(0.0, half.y, 0.0), half, rot, b);
}
