//! Walls with things on them that look deep and are flat.

use super::common;
use crate::geometry::Frame;
use crate::material::{MADE, Material, PAVED, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{I, Maker, furniture, outdoor, person, plant, ry, v, vehicle};
use crate::texture::Family;

/// A wall with doors, windows, pictures and stripes on it: things that look deep and are flat.
pub fn wall(m: &mut Maker) {
    common::daylight(m);
    let pitch = m.r.normal(0.08);
    let h = m.r.range(1.0, 1.8);
    common::camera(m, h, pitch);
    let stone = Material::random(&mut m.r, &PAVED, Tint::Any, (0.6, 3.0));
    common::ground(m, stone);
    let yaw = m.r.normal(0.55);
    let z = m.r.log(1.6, 9.0);
    let f = Frame::upright(v(0.0, 0.0, z), yaw);
    let tall = m.r.log(2.4, 10.0);
    let face = Material::random(
        &mut m.r,
        &[
            Family::Brick,
            Family::Noise,
            Family::Stripe,
            Family::Blotch,
            Family::Facade,
            Family::Wood,
            Family::Check,
        ],
        Tint::Any,
        (0.6, 5.0),
    );
    let face = m.mat(face);
    let wide = m.r.log(3.0, 40.0);
    m.s.block(&f, v(0.0, tall, 0.3), v(wide, tall, 0.3), I, face);
    let mut x = -z * 1.5;
    while x < z * 1.5 {
        decoy(m, &f, x);
        x += m.r.range(0.6, 2.5);
    }
    for _ in 0..m.r.int(0, 5) {
        let at = v(m.r.range(-1.0, 1.0) * z, 0.0, -m.r.range(0.25, 0.75) * z);
        let g = f.child(at, ry(m.r.turn()));
        match m.r.int(0, 7) {
            0 | 1 => person::anyone(m, &g),
            2 => outdoor::pole(m, &g, false),
            3 => {
                let w = m.r.range(0.4, 1.2);
                plant::bush(m, &g, w);
            }
            4 => outdoor::bench(m, &f.child(v(at.x, 0.0, -0.5), ry(HALF))),
            5 => vehicle::bicycle(m, &f.child(v(at.x, 0.0, -0.35), ry(QUARTER))),
            _ => furniture::chair(m, &g),
        }
    }
    common::far_layers(m, (50.0, 150.0));
}

/// Something flat on the wall at x: a door, window, poster, patch, shadow-like stripe.
pub fn decoy(m: &mut Maker, wall: &Frame, x: f32) {
    let frame = Material::plain(&mut m.r, Tint::Any);
    let frame = m.mat(frame);
    match m.r.int(0, 6) {
        0 => {
            // a door, often dark
            let mut door = Material::random(
                &mut m.r,
                &[Family::Wood, Family::Noise, Family::Stripe],
                Tint::Any,
                (0.5, 2.0),
            );
            if m.r.chance(0.5) {
                door.colours = door.colours.map(|c| c * 0.12);
            }
            let door = m.mat(door);
            m.s.block(wall, v(x, 1.05, 0.0), v(0.52, 1.06, 0.03), I, frame);
            m.s.block(wall, v(x, 1.02, 0.0), v(0.45, 1.02, 0.04), I, door);
            m.s.ball(wall, v(x + 0.37, 1.0, -0.06), v(0.03, 0.03, 0.03), I, frame);
        }
        1 => {
            // a window: dark or mirror-like glass in a frame
            let mut glass = Material::shiny(&mut m.r, Tint::Dark);
            glass.mirror = m.r.range(0.05, 0.5);
            let glass = m.mat(glass);
            let (w, h, y) = (
                m.r.range(0.3, 0.8),
                m.r.range(0.4, 0.8),
                m.r.range(1.3, 1.8),
            );
            m.s.block(wall, v(x, y, 0.0), v(w + 0.06, h + 0.06, 0.035), I, frame);
            m.s.block(wall, v(x, y, -0.01), v(w, h, 0.035), I, glass);
            m.s.block(wall, v(x, y, -0.015), v(0.02, h, 0.04), I, frame);
            m.s.block(
                wall,
                v(x, y - h - 0.08, -0.06),
                v(w + 0.1, 0.03, 0.1),
                I,
                frame,
            );
        }
        2 | 3 => {
            let mut poster = Material::random(&mut m.r, &MADE, Tint::Any, (0.4, 2.5));
            let (w, h) = (m.r.range(0.2, 0.9), m.r.range(0.25, 1.0));
            m.hang(&mut poster, (w, h), 0.5);
            let poster = m.mat(poster);
            m.s.block(
                wall,
                v(x, m.r.range(1.0, 2.2), 0.0),
                v(w, h, 0.008),
                I,
                poster,
            );
        }
        4 => {
            // a patch of other paint or a stain
            let mut p = Material::plain(&mut m.r, Tint::Any);
            p.wear_amount = 0.8;
            let p = m.mat(p);
            let (w, h) = (m.r.range(0.2, 2.0), m.r.range(0.2, 1.5));
            m.s.block(wall, v(x, m.r.range(0.3, 2.5), 0.0), v(w, h, 0.003), I, p);
        }
        _ => {
            // a pipe or cable on the wall
            let r = m.r.log(0.01, 0.05);
            m.s.limb(
                wall,
                v(x, 0.0, -r),
                v(x, m.r.range(2.0, 6.0), -r),
                r,
                r,
                frame,
            );
        }
    }
}
