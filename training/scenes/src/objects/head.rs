//! Heads with faces.

use super::QUARTER;
use super::{I, Maker, rx, rz, v};
use crate::geometry::Frame;
use crate::material::{Material, Tint};

/// A human head: the frame's origin is its middle, it faces +z. About 0.23 m high.
pub fn human(m: &mut Maker, f: &Frame, skin: u32) {
    let wide = m.r.range(0.92, 1.08);
    let long = m.r.range(0.94, 1.08);
    let f = &f.sized(1.0);
    // skull and jaw
    m.s.ball(
        f,
        v(0.0, 0.03, -0.012),
        v(0.076 * wide, 0.09 * long, 0.096),
        I,
        skin,
    );
    m.s.ball(
        f,
        v(0.0, -0.035, 0.018),
        v(0.06 * wide, 0.085 * long, 0.07),
        I,
        skin,
    );
    // cheeks and brow
    for s in [-1.0, 1.0] {
        m.s.ball(
            f,
            v(s * 0.036 * wide, -0.018, 0.06),
            v(0.026, 0.028, 0.02),
            I,
            skin,
        );
    }
    m.s.ball(
        f,
        v(0.0, 0.034, 0.068),
        v(0.052 * wide, 0.018, 0.018),
        I,
        skin,
    );
    // nose
    let nose = m.r.range(0.8, 1.25);
    m.s.limb(
        f,
        v(0.0, 0.022, 0.08),
        v(0.0, -0.022, 0.094 + 0.012 * nose),
        0.007,
        0.0125 * nose,
        skin,
    );
    for s in [-1.0, 1.0] {
        m.s.ball(
            f,
            v(s * 0.011 * nose, -0.026, 0.092),
            v(0.009, 0.008, 0.01),
            I,
            skin,
        );
    }
    eyes_and_mouth(m, f, wide);
    // ears
    for s in [-1.0, 1.0] {
        m.s.ball(
            f,
            v(s * 0.077 * wide, 0.0, -0.012),
            v(0.011, 0.031, 0.019),
            rz(-s * 0.15),
            skin,
        );
    }
    hair(m, f, wide);
}

fn eyes_and_mouth(m: &mut Maker, f: &Frame, wide: f32) {
    let mut white = Material::plain(&mut m.r, Tint::Light);
    white.gloss = 0.6;
    white.sharpness = 120.0;
    let white = m.mat(white);
    let mut dark = Material::plain(&mut m.r, Tint::Dark);
    dark.gloss = 0.6;
    dark.sharpness = 200.0;
    let dark = m.mat(dark);
    let brow = Material::plain(&mut m.r, Tint::Dark);
    let brow = m.mat(brow);
    let look = m.r.normal(0.003);
    for s in [-1.0, 1.0] {
        let x = s * 0.031 * wide;
        m.s.ball(f, v(x, 0.012, 0.076), v(0.0145, 0.0085, 0.008), I, white);
        m.s.ball(
            f,
            v(x + look, 0.012, 0.0805),
            v(0.0062, 0.0064, 0.005),
            I,
            dark,
        );
        m.s.limb(
            f,
            v(x - 0.017, 0.031, 0.084),
            v(x + 0.017, 0.033, 0.082),
            0.0035,
            0.0035,
            brow,
        );
    }
    let mut lips = Material::skin(&mut m.r);
    let shade = m.r.range(0.45, 0.9);
    lips.colours = lips
        .colours
        .map(|c| c * glam::Vec3::new(shade, shade * 0.5, shade * 0.5));
    let lips = m.mat(lips);
    let smile = m.r.range(0.0, 0.006);
    for s in [-1.0, 1.0] {
        m.s.limb(
            f,
            v(0.0, -0.066, 0.083),
            v(s * 0.024, -0.066 + smile, 0.073),
            0.0075,
            0.003,
            lips,
        );
    }
    if m.r.chance(0.2) {
        // glasses
        let rim = Material::shiny(&mut m.r, Tint::Dark);
        let rim = m.mat(rim);
        let ring = &crate::geometry::library::LIBRARY.rings[1];
        let sun = m.r.chance(0.4);
        for s in [-1.0, 1.0] {
            m.s.mesh(
                f,
                v(s * 0.033 * wide, 0.01, 0.094),
                v(0.026, 0.026, 0.022),
                rx(QUARTER),
                ring,
                rim,
            );
            if sun {
                m.s.ball(
                    f,
                    v(s * 0.033 * wide, 0.01, 0.094),
                    v(0.026, 0.022, 0.004),
                    I,
                    dark,
                );
            }
            m.s.limb(
                f,
                v(s * 0.058 * wide, 0.015, 0.09),
                v(s * 0.08 * wide, 0.015, -0.01),
                0.002,
                0.002,
                rim,
            );
        }
    }
}

fn hair(m: &mut Maker, f: &Frame, wide: f32) {
    let mut hair = Material::fur(&mut m.r, 0.08);
    if m.r.chance(0.5) {
        hair.colours = hair.colours.map(|c| c * 0.25);
    }
    hair.fuzz *= 0.3;
    let hair = m.mat(hair);
    let kind = m.r.unit();
    if kind < 0.1 {
        return;
    }
    let big = m.r.range(1.0, 1.14);
    m.s.ball(
        f,
        v(0.0, 0.05, -0.026),
        v(0.081 * wide * big, 0.083 * big, 0.096),
        rx(-0.25),
        hair,
    );
    if kind > 0.85 {
        // a hat or cap
        let hat = Material::cloth(&mut m.r);
        let hat = m.mat(hat);
        m.s.ball(f, v(0.0, 0.07, -0.012), v(0.09 * wide, 0.08, 0.105), I, hat);
        let brim = m.r.range(0.02, 0.1);
        m.s.round(
            f,
            v(0.0, 0.075, brim * 0.6),
            v(0.1, 0.004, 0.11 + brim),
            rx(0.08),
            1.0,
            hat,
        );
    } else if kind > 0.5 {
        // long hair: down the back and both sides
        let down = m.r.range(0.08, 0.3);
        m.s.ball(
            f,
            v(0.0, 0.02 - down * 0.5, -0.055),
            v(0.085 * wide, 0.06 + down * 0.6, 0.055),
            I,
            hair,
        );
        for s in [-1.0, 1.0] {
            let fall = (v(s * 0.088, -down, -0.01), 0.012);
            m.s.chain(
                f,
                &[
                    (v(s * 0.05, 0.1, 0.02), 0.02),
                    (v(s * 0.084 * wide, 0.01, 0.0), 0.024),
                    fall,
                ],
                hair,
            );
        }
    } else if kind > 0.42 {
        m.s.ball(f, v(0.0, 0.1, -0.1), v(0.045, 0.045, 0.045), I, hair);
    } else if kind < 0.2 {
        // beard
        m.s.ball(
            f,
            v(0.0, -0.075, 0.03),
            v(0.058 * wide, 0.055, 0.058),
            I,
            hair,
        );
    }
}
