//! People near and many.

use super::{closeup, common};
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::material::{Material, PAVED, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{Maker, item, outdoor, person, plant, rz, structure, v};

/// One or a few people or a bust close to the camera, background blurred or not.
pub fn portrait(m: &mut Maker) {
    let inside = m.r.chance(0.5);
    closeup::background(m, inside);
    let tall = m.r.range(1.5, 1.85);
    let d = m.r.log(0.45, 2.8);
    let fov = common::field_of_view(m).min(1.25);
    let eye = tall * m.r.range(0.78, 1.02);
    let aim = v(m.r.normal(0.1) * d, tall * m.r.range(0.72, 0.95), d);
    m.s.camera = Camera::look(v(0.0, eye, 0.0), aim, m.r.normal(0.04), fov);
    let n = if m.r.chance(0.65) { 1 } else { m.r.int(2, 5) };
    for i in 0..n {
        let z = d * (1.0 + 0.35 * i as f32 * m.r.unit()) + if i > 0 { 0.1 } else { 0.0 };
        let half = 0.5 / m.s.camera.focal * z;
        let x = if i == 0 {
            m.r.normal(0.18) * half
        } else {
            m.r.range(-0.9, 0.9) * half + 0.3 * m.r.sign()
        };
        let face = HALF + m.r.normal(0.45);
        let f = Frame::upright(v(x, 0.0, z), face);
        let h = tall * m.r.range(0.93, 1.07);
        if m.r.chance(0.06) {
            outdoor::statue(m, &f.child(v(0.0, -h * 0.3, 0.0), rz(0.0)), h);
        } else {
            person::person(m, &f, h, person::Pose::Stand);
        }
    }
    if m.r.chance(0.2) {
        // a hand that holds something up to the camera
        let z = m.r.range(0.3, 0.5);
        let half = 0.5 / m.s.camera.focal * z;
        let at = m.s.camera.at + m.s.camera.axes * v(m.r.range(-0.6, 0.6) * half, -0.2 * half, z);
        let f = Frame::upright(at, HALF + m.r.normal(0.4));
        person::holding_hand(m, &f, 0.02);
        let k = m.r.range(0.03, 0.05);
        item::item(m, &f.child(v(0.0, -0.05, 0.03), rz(0.0)), k);
    }
    let sharp = d * m.r.range(0.9, 1.1);
    common::focus(m, sharp, 0.65);
    m.s.occlusion = m.r.range(0.15, 0.5);
}

/// A face or a bust that fills the picture.
pub fn bust(m: &mut Maker) {
    let inside = m.r.chance(0.5);
    closeup::background(m, inside);
    let tall = m.r.range(1.5, 1.85);
    let eyes = tall * 0.93;
    let fov = m.r.range(20.0f32, 60.0).to_radians();
    let fill = m.r.range(0.25, 0.9);
    let d = (0.13 / (fill * (fov * 0.5).tan())).max(0.3);
    let aim = v(m.r.normal(0.05), eyes - m.r.range(0.0, 0.14), d);
    let from = v(m.r.normal(0.2) * d, eyes + m.r.normal(0.25) * d, 0.0);
    let roll = m.r.normal(0.08);
    m.s.camera = Camera::look(from, aim, roll, fov);
    let face = HALF + m.r.normal(0.5);
    person::person(
        m,
        &Frame::upright(v(0.0, 0.0, d), face),
        tall,
        person::Pose::Stand,
    );
    if m.r.chance(0.2) {
        let at = v(
            m.r.sign() * m.r.range(0.35, 0.6),
            0.0,
            d + m.r.range(0.0, 0.8),
        );
        let face = HALF + m.r.normal(0.8);
        person::person(
            m,
            &Frame::upright(at, face),
            tall * 0.97,
            person::Pose::Stand,
        );
    }
    common::focus(m, d - 0.08, 0.75);
    m.s.occlusion = m.r.range(0.05, 0.15);
}

/// Many people: a square, a market, a hall.
pub fn crowd(m: &mut Maker) {
    let night = m.r.chance(0.15);
    if night {
        common::night(m)
    } else {
        common::daylight(m)
    }
    let height = if m.r.chance(0.75) {
        m.r.range(1.3, 1.9)
    } else {
        m.r.range(2.0, 7.0)
    };
    let pitch = m.r.normal(0.06) + 0.05 * (height - 1.6).max(0.0);
    common::camera(m, height, pitch);
    let mut stone = Material::random(&mut m.r, &PAVED, Tint::Grey, (0.6, 4.0));
    if m.r.chance(0.2) {
        stone.mirror = m.r.range(0.03, 0.2);
    }
    common::ground(m, stone);
    for _ in 0..m.r.int(5, 32) {
        let p = common::place(m, 1.6, 35.0, 1.0);
        let spot = Frame::upright(p, m.r.turn());
        person::anyone(m, &spot);
    }
    if m.r.chance(0.6) {
        let side = m.r.sign();
        let n = m.r.int(1, 7);
        for i in 0..n {
            let f = Frame::upright(
                v(side * m.r.range(2.2, 4.0), 0.0, 3.5 + 3.6 * i as f32),
                -side * QUARTER,
            );
            structure::stall(m, &f, night);
        }
    }
    for _ in 0..m.r.int(0, 5) {
        let p = common::place(m, 18.0, 70.0, 1.2);
        let size = (
            m.r.range(4.0, 12.0),
            m.r.log(4.0, 25.0),
            m.r.range(3.0, 8.0),
        );
        let spot = Frame::upright(p, m.r.normal(0.3));
        structure::building(m, &spot, size, night);
    }
    for _ in 0..m.r.int(0, 5) {
        let p = common::place(m, 4.0, 30.0, 1.1);
        let f = Frame::upright(p, m.r.turn());
        if m.r.chance(0.5) {
            outdoor::pole(m, &f, night);
        } else {
            let h = m.r.range(3.0, 9.0);
            plant::tree(m, &f, h);
        }
    }
    if night {
        for _ in 0..m.r.int(2, 5) {
            let p = common::place(m, 3.0, 20.0, 0.9);
            let tone = if m.r.chance(0.7) {
                v(1.0, 0.75, 0.45)
            } else {
                crate::material::colour(&mut m.r, Tint::Vivid)
            };
            m.s.lights.push(crate::light::Light::Lamp {
                at: v(p.x, m.r.range(2.2, 5.0), p.z),
                colour: tone * m.r.range(0.8, 2.4),
                size: 0.15,
                reach: m.r.range(1.5, 4.0),
            });
        }
    } else {
        common::far_layers(m, (50.0, 200.0));
    }
    let depth = m.r.log(2.0, 8.0);
    common::focus(m, depth, 0.25);
}
