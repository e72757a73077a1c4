//! One thing or many of a sort that fill the picture: hands, objects, heaps, pictures; things in the air.

use super::interior::{self, Room};
use super::{closeup, common};
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::geometry::forms::any_rotation;
use crate::geometry::library::LIBRARY;
use crate::material::{MADE, Material, Tint};
use crate::objects::HALF;
use crate::objects::{I, Maker, animal, item, person, plant, rx, ry, rz, v};
use crate::texture::Family;
use glam::Vec3;

/// A hand that holds something, near.
pub fn hand(m: &mut Maker) {
    let inside = m.r.chance(0.5);
    closeup::background(m, inside);
    let fov = common::field_of_view(m).min(1.2);
    let d = m.r.range(0.25, 0.6);
    let eye = m.r.range(1.0, 1.6);
    let pitch = m.r.range(-0.2, 0.9);
    let aim = v(m.r.normal(0.04), eye - d * pitch.sin(), d * pitch.cos());
    let roll = m.r.normal(0.1);
    m.s.camera = Camera::look(v(0.0, eye, 0.0), aim, roll, fov);
    let mut f = Frame::upright(aim, HALF + m.r.normal(0.6));
    f.rot *= rz(m.r.normal(0.5)) * rx(m.r.normal(0.4));
    let k = m.r.range(0.025, 0.06);
    item::item(m, &f.child(v(0.0, -k, 0.03), I), k);
    person::holding_hand(m, &f, k * 0.4);
    if m.r.chance(0.3) {
        let mut g = Frame::upright(aim + v(0.12, 0.0, 0.02), HALF + m.r.normal(0.6));
        g.rot *= rz(m.r.normal(0.6));
        person::holding_hand(m, &g, 0.0);
    }
    common::focus(m, d, 0.7);
    m.s.occlusion = 0.06;
}

/// One thing on a surface, as shops and cooks show them.
pub fn thing(m: &mut Maker) {
    let inside = m.r.chance(0.7);
    closeup::background(m, inside);
    let high = m.r.range(0.3, 0.9);
    let mut top = Material::random(
        &mut m.r,
        &[
            Family::Wood,
            Family::Noise,
            Family::Cloth,
            Family::Fine,
            Family::Check,
        ],
        Tint::Any,
        (0.1, 0.8),
    );
    if m.r.chance(0.3) {
        top.mirror = 0.06;
    }
    let top = m.mat(top);
    let k = m.r.log(0.03, 0.18);
    let fov = common::field_of_view(m).min(1.1);
    let d = k * m.r.range(1.6, 4.0) / (fov * 0.5).tan();
    let pitch = m.r.range(0.05, 1.1);
    let middle = v(0.0, high, d * pitch.cos() + 0.2);
    let aim = middle + v(m.r.normal(0.5) * k, k * m.r.range(0.4, 1.2), 0.0);
    let from = aim + v(0.0, d * pitch.sin(), -d * pitch.cos());
    let roll = m.r.normal(0.06);
    m.s.camera = Camera::look(from, aim, roll, fov);
    let table = Frame::upright(middle, m.r.normal(0.4));
    let half = v(m.r.range(0.5, 1.5), 0.02, m.r.range(0.35, 0.8).max(d * 0.5));
    m.s.block(&table, v(0.0, -0.02, 0.0), half, I, top);
    item::item(m, &table, k);
    for _ in 0..m.r.int(0, 4) {
        let at = v(m.r.normal(3.0) * k, 0.0, m.r.range(0.5, 5.0) * k);
        let f = table.child(at, ry(m.r.turn()));
        let size = k * m.r.range(0.5, 1.2);
        item::item(m, &f, size);
    }
    common::focus(m, d, 0.6);
    m.s.occlusion = k;
}

/// Fruit, stones, toys or parts in a heap or side by side.
pub fn heap(m: &mut Maker) {
    let inside = m.r.chance(0.6);
    closeup::background(m, inside);
    let k = m.r.log(0.02, 0.12);
    let high = if m.r.chance(0.5) {
        m.r.range(0.4, 0.8)
    } else {
        0.0
    };
    let fov = common::field_of_view(m).min(1.2);
    let d = k * m.r.range(5.0, 14.0);
    let pitch = m.r.range(0.2, 1.3);
    let middle = v(0.0, high, d * pitch.cos() + 0.3);
    let roll = m.r.normal(0.1);
    m.s.camera = Camera::look(
        middle + v(0.0, d * pitch.sin(), -d * pitch.cos()),
        middle,
        roll,
        fov,
    );
    let ground = Material::random(&mut m.r, &MADE, Tint::Any, (0.1, 0.8));
    let ground = m.mat(ground);
    m.s.block(
        &Frame::WORLD,
        middle - v(0.0, high * 0.5 + 0.01, 0.0),
        v(1.2, high * 0.5 + 0.01, 0.9),
        I,
        ground,
    );
    let sorts: Vec<(u32, usize)> = (0..m.r.int(1, 5))
        .map(|_| {
            let tint = m.r.pick(&[Tint::Vivid, Tint::Any, Tint::Earth, Tint::Grey]);
            let mut c = Material::random(
                &mut m.r,
                &[Family::Noise, Family::Dots, Family::Fine, Family::Stripe],
                tint,
                (k, k * 4.0),
            );
            c.gloss = m.r.range(0.0, 0.6);
            (m.mat(c), m.r.int(0, 5))
        })
        .collect();
    let steep = m.r.range(0.0, 1.0);
    for _ in 0..m.r.int(25, 130) {
        let (c, sort) = m.r.pick(&sorts);
        let r = m.r.unit().sqrt() * d * 0.55;
        let a = m.r.turn();
        let lift = ((d * 0.55 - r) * steep).max(0.0) * m.r.unit();
        let at = middle + v(r * a.sin(), k * 0.7 + lift, r * a.cos());
        let s = k * m.r.range(0.75, 1.2);
        let rot = any_rotation(&mut m.r);
        let f = Frame::WORLD;
        match sort {
            0 => m.s.ball(&f, at, v(s, s, s), rot, c),
            1 => m.s.ball(&f, at, v(s * 0.7, s * 1.3, s * 0.7), rot, c),
            2 => m.s.mesh(
                &f,
                at,
                v(s, s, s),
                rot,
                &LIBRARY.rocks[m.r.int(0, LIBRARY.rocks.len())],
                c,
            ),
            3 => m.s.block(&f, at, v(s, s * 0.6, s * 0.7), rot, c),
            _ => {
                m.s.limb(&f, at, at + rot * Vec3::X * s * 3.0, s * 0.4, s * 0.3, c)
            }
        }
    }
    common::focus(m, d * 0.95, 0.5);
    m.s.occlusion = k * 2.0;
}

/// A picture, poster, screen or painted wall that nearly fills the view and is flat, however deep it looks.
pub fn picture(m: &mut Maker) {
    let yaw = m.r.normal(0.5);
    let far = m.r.log(0.6, 3.0);
    let z = far + 1.5;
    let frame = Frame::upright(v(0.0, 0.0, far - z), yaw);
    let room = Room {
        frame,
        x: m.r.range(1.8, 3.5),
        z,
        h: m.r.range(2.4, 3.2),
    };
    interior::shell(m, room, 0);
    let height = m.r.range(1.2, 1.7);
    let fov = common::field_of_view(m);
    let pitch = m.r.normal(0.12);
    let roll = m.r.normal(0.04);
    m.s.camera = Camera::new(v(0.0, height, 0.0), m.r.normal(0.25), pitch, roll, fov);
    let wall = frame.child(v(0.0, 0.0, z), I);
    let reach = far * m.s.camera.half_width(4, 3);
    for i in 0..m.r.int(1, 4) {
        let (w, h) = (reach * m.r.range(0.35, 1.0), reach * m.r.range(0.3, 0.75));
        let mut art = Material::random(
            &mut m.r,
            &[Family::Poster, Family::Noise, Family::Cell, Family::Blotch],
            Tint::Any,
            (0.2, 1.0),
        );
        m.hang(&mut art, (w, h), 0.9);
        art.emit = if m.r.chance(0.3) {
            m.r.range(0.4, 1.5)
        } else {
            0.0
        };
        art.mirror = if m.r.chance(0.2) { 0.04 } else { 0.0 };
        let art = m.mat(art);
        let rim = Material::plain(&mut m.r, Tint::Any);
        let rim = m.mat(rim);
        let t = m.r.range(0.005, 0.04);
        let at = v(
            m.r.normal(0.2) * reach + 2.1 * reach * i as f32 * m.r.sign(),
            height + m.r.normal(0.15) * reach,
            0.0,
        );
        m.s.block(&wall, at, v(w + t, h + t, 0.02), I, rim);
        m.s.block(&wall, at, v(w, h, 0.024), I, art);
    }
    for _ in 0..m.r.int(0, 3) {
        let at = v(m.r.normal(0.6) * reach, 0.0, -m.r.range(0.25, 0.6) * far);
        let f = wall.child(at, ry(m.r.turn()));
        match m.r.int(0, 4) {
            0 => person::anyone(m, &f),
            1 => crate::objects::furniture::table(m, &f, true),
            2 => {
                let h = m.r.range(0.5, 1.4);
                plant::potted(m, &f, h);
            }
            _ => crate::objects::furniture::chair(m, &f),
        }
    }
}

/// Birds, balloons, balls and kites before the sky.
pub fn flying(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(1.2, 6.0);
    let pitch = m.r.range(-0.6, 0.05);
    common::camera(m, height, pitch);
    let s = Material::random(&mut m.r, &crate::material::SOIL, Tint::Green, (0.8, 5.0));
    common::ground(m, s);
    let sort = m.r.int(0, 3);
    for _ in 0..m.r.int(2, 10) {
        let z = m.r.log(2.0, 40.0);
        let half = 0.5 / m.s.camera.focal * z;
        let p = v(m.r.range(-0.9, 0.9) * half, m.r.range(-0.5, 0.7) * half, z);
        let at = m.s.camera.at + m.s.camera.axes * p;
        if at.y < 0.8 {
            continue;
        }
        let mut f = Frame::upright(at, m.r.turn());
        f.rot *= rx(m.r.normal(0.4)) * rz(m.r.normal(0.4));
        match sort {
            0 => {
                let long = z * m.r.range(0.03, 0.12);
                animal::bird(m, &f, long);
                // spread wings
                let wing = Material::fur(&mut m.r, 0.2);
                let wing = m.mat(wing);
                for s in [-1.0, 1.0] {
                    m.s.ball(
                        &f,
                        v(s * 0.5, 0.5, 0.0) * long,
                        v(0.45, 0.03, 0.16) * long,
                        rz(s * 0.3),
                        wing,
                    );
                }
            }
            1 => {
                let r = z * m.r.range(0.02, 0.1);
                let c = Material::shiny(&mut m.r, Tint::Vivid);
                let c = m.mat(c);
                m.s.ball(&Frame::WORLD, at, v(r, r * 1.15, r), I, c);
                m.s.limb(
                    &Frame::WORLD,
                    at - v(0.0, r, 0.0),
                    at - v(0.0, r * 5.0, 0.0),
                    r * 0.02,
                    r * 0.02,
                    c,
                );
            }
            _ => {
                let r = z * m.r.range(0.03, 0.1);
                item::solid(m, &f, r);
            }
        }
    }
    for _ in 0..m.r.int(0, 5) {
        let p = common::place(m, 5.0, 60.0, 1.1);
        let f = Frame::upright(p, m.r.turn());
        let h = m.r.range(3.0, 12.0);
        plant::tree(m, &f, h);
    }
    common::far_layers(m, (60.0, 300.0));
    let depth = m.r.log(2.0, 10.0);
    common::focus(m, depth, 0.3);
}
