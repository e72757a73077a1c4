//! Things near the camera: tables, flowers, animals, clutter.

use super::common;
use super::interior::{self, Room};
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::material::{MADE, Material, SOIL, Tint};
use crate::objects::HALF;
use crate::objects::{I, Maker, animal, furniture, item, outdoor, person, plant, ry, rz, v};
use crate::texture::Family;
use glam::Vec3;

/// A room or a garden behind a near subject. The world's floor is y = 0.
pub fn background(m: &mut Maker, inside: bool) {
    if inside {
        let room = Room {
            frame: Frame::upright(
                v(m.r.normal(0.5), 0.0, m.r.range(0.6, 2.0)),
                m.r.normal(0.5),
            ),
            x: m.r.range(2.0, 4.0),
            z: m.r.range(2.6, 5.5),
            h: m.r.range(2.4, 3.2),
        };
        let windows = m.r.int(0, 3);
        interior::shell(m, room, windows);
        furnish_behind(m, &room);
    } else {
        common::daylight(m);
        let tint = m.r.pick(&[Tint::Green, Tint::Earth, Tint::Grey]);
        let s = Material::random(&mut m.r, &SOIL, tint, (0.5, 4.0));
        common::ground(m, s);
        for _ in 0..m.r.int(1, 7) {
            let z = m.r.log(4.0, 40.0);
            let at = v(m.r.range(-0.7, 0.7) * z, 0.0, z);
            let f = Frame::upright(at, m.r.turn());
            match m.r.int(0, 6) {
                0 | 1 => {
                    let h = m.r.range(2.0, 9.0);
                    plant::tree(m, &f, h);
                }
                2 => {
                    let w = m.r.range(0.6, 2.0);
                    plant::bush(m, &f, w);
                }
                3 => person::anyone(m, &f),
                4 => outdoor::pole(m, &f, false),
                _ => {
                    let size = (m.r.range(3.0, 8.0), m.r.range(3.0, 12.0), 4.0);
                    crate::objects::structure::building(
                        m,
                        &Frame::upright(at + v(0.0, 0.0, 15.0), 0.0),
                        size,
                        false,
                    );
                }
            }
        }
        common::far_layers(m, (40.0, 200.0));
    }
}

fn furnish_behind(m: &mut Maker, room: &Room) {
    for _ in 0..m.r.int(1, 5) {
        let at = v(
            m.r.range(-0.85, 0.85) * room.x,
            0.0,
            m.r.range(0.3, 0.88) * room.z,
        );
        let f = room.frame.child(at, ry(HALF + m.r.normal(0.4)));
        match m.r.int(0, 5) {
            0 => furniture::table(m, &f, true),
            1 => furniture::sofa(m, &f),
            2 => furniture::shelf(m, &f),
            3 => furniture::chair(m, &f),
            _ => furniture::floor_lamp(m, &f),
        }
    }
}

/// A table, desk, counter or floor with things on it, from above at some angle.
pub fn table_top(m: &mut Maker) {
    let inside = m.r.chance(0.7);
    background(m, inside);
    let high = if m.r.chance(0.75) {
        m.r.range(0.4, 0.95)
    } else {
        0.0
    };
    let above = m.r.log(0.15, 0.9);
    let pitch = if m.r.chance(0.2) {
        m.r.range(1.0, 1.5)
    } else {
        m.r.range(0.12, 1.0)
    };
    let fov = common::field_of_view(m);
    let roll = if m.r.chance(0.2) {
        m.r.normal(0.25)
    } else {
        m.r.normal(0.03)
    };
    m.s.camera = Camera::new(v(0.0, high + above, 0.0), 0.0, pitch, roll, fov);
    let aim = above / pitch.tan().max(0.15);
    let middle = Frame::upright(v(0.0, high, aim.min(2.0)), m.r.normal(0.4));
    if high > 0.0 {
        let mut top = Material::random(
            &mut m.r,
            &[
                Family::Wood,
                Family::Noise,
                Family::Cloth,
                Family::Check,
                Family::Fine,
                Family::Stripe,
            ],
            Tint::Any,
            (0.2, 1.2),
        );
        if m.r.chance(0.25) {
            top.mirror = m.r.range(0.02, 0.2);
        }
        let top = m.mat(top);
        let half = v(m.r.log(0.35, 2.0), 0.02, m.r.log(0.3, 1.0).max(aim * 0.3));
        m.s.block(&middle, v(m.r.normal(0.1), -0.02, 0.0), half, I, top);
        for x in [-1.0, 1.0] {
            for z in [-1.0, 1.0] {
                m.s.limb(
                    &middle,
                    v(x * half.x * 0.9, -high, z * half.z * 0.9),
                    v(x * half.x * 0.9, -0.03, z * half.z * 0.9),
                    0.03,
                    0.03,
                    top,
                );
            }
        }
    }
    let reach = aim.hypot(above);
    let unit = reach * m.r.range(0.07, 0.2);
    let rows = m.r.chance(0.25);
    for i in 0..m.r.int(3, 16) {
        let spread = reach * 0.55;
        let at = if rows {
            v(
                (i % 4) as f32 * unit * 2.2 - unit * 3.5,
                0.0,
                (i / 4) as f32 * unit * 2.4 - unit * 2.0,
            )
        } else {
            v(m.r.normal(spread), 0.0, m.r.normal(spread * 1.2))
        };
        let f = middle.child(at, ry(m.r.turn()));
        let k = unit * m.r.range(0.5, 1.4);
        if m.r.chance(0.15) {
            item::flat(m, &f, k)
        } else {
            item::item(m, &f, k)
        }
    }
    if m.r.chance(0.2) {
        let f = middle.child(v(m.r.normal(0.2), 0.12, -0.1), rz(m.r.normal(0.8)));
        person::holding_hand(m, &f, 0.03);
    }
    let depth = reach * m.r.range(0.7, 1.2);
    common::focus(m, depth, 0.5);
    m.s.occlusion = m.r.range(0.06, 0.3);
}

/// Flowers, leaves and fruit that fill the picture.
pub fn flowers(m: &mut Maker) {
    let macro_view = m.r.chance(0.5);
    background(m, false);
    let head = if macro_view {
        m.r.range(0.02, 0.06)
    } else {
        m.r.range(0.03, 0.12)
    };
    let height = m.r.range(0.25, 1.2);
    let d = head * m.r.log(2.5, 14.0);
    let fov = common::field_of_view(m).min(1.1);
    let pitch = m.r.range(-0.3, 0.9);
    let target = v(0.0, height, d);
    let from = target + v(0.0, d * pitch.sin(), -d * pitch.cos());
    m.s.camera = Camera::look(
        from,
        target + v(m.r.normal(0.2), m.r.normal(0.2), 0.0) * d * 0.5,
        m.r.normal(0.08),
        fov,
    );
    let first = Frame::upright(v(0.0, 0.0, d), HALF + m.r.normal(0.5));
    plant::flower(m, &first, height, head);
    for _ in 0..m.r.int(0, 22) {
        let z = d * m.r.log(0.8, 12.0);
        let at = v(m.r.range(-0.7, 0.7) * z, 0.0, z);
        let h = height * m.r.range(0.5, 1.15);
        let spot = Frame::upright(at, HALF + m.r.normal(1.0));
        plant::flower(m, &spot, h, head * 0.95);
    }
    let green = Material::leaves(&mut m.r);
    let green = m.mat(green);
    for _ in 0..m.r.int(3, 30) {
        let z = d * m.r.log(0.7, 10.0);
        let at = v(m.r.range(-0.8, 0.8) * z, 0.0, z);
        let h = height * m.r.range(0.3, 0.95);
        plant::grass(m, &Frame::upright(at, 0.0), h, green);
    }
    let depth = d * m.r.range(0.8, 1.3);
    common::focus(m, depth, 0.8);
    m.s.occlusion = head * 2.0;
}

/// An animal that fills the frame, or nearly.
pub fn animal(m: &mut Maker) {
    let inside = m.r.chance(0.45);
    background(m, inside);
    let kind = m.r.int(0, 10);
    let long = match kind {
        0..=5 => m.r.range(0.3, 0.9),
        6 | 7 => m.r.range(0.12, 0.5),
        _ => m.r.range(1.2, 2.0),
    };
    let fill = m.r.range(0.5, 1.6);
    let fov = common::field_of_view(m).min(1.2);
    let size = if kind >= 8 { long * 1.2 } else { long };
    let d = size / (fill * 2.0 * (fov * 0.5).tan()) + size * 0.4;
    let eye = size * m.r.range(0.3, 1.6) + if m.r.chance(0.3) { d * 0.6 } else { 0.0 };
    let stand = if inside && m.r.chance(0.4) {
        m.r.range(0.3, 0.8)
    } else {
        0.0
    };
    if stand > 0.0 {
        let top = Material::random(&mut m.r, &MADE, Tint::Any, (0.3, 1.5));
        let top = m.mat(top);
        let half = v(
            size * m.r.range(0.8, 3.0),
            stand * 0.5,
            size * m.r.range(0.7, 1.5),
        );
        m.s.block(
            &Frame::upright(v(0.0, 0.0, d), m.r.normal(0.3)),
            v(0.0, stand * 0.5, 0.0),
            half,
            I,
            top,
        );
    }
    let look = v(
        m.r.normal(0.15) * size,
        stand + size * m.r.range(0.4, 0.8),
        d,
    );
    m.s.camera = Camera::look(v(0.0, stand + eye, 0.0), look, m.r.normal(0.05), fov);
    for i in 0..(if m.r.chance(0.3) { m.r.int(2, 5) } else { 1 }) {
        let at = v(
            m.r.normal(0.2) * size + i as f32 * size * m.r.sign(),
            stand,
            d + i as f32 * size * m.r.range(0.2, 1.2),
        );
        let f = Frame::upright(at, HALF + m.r.normal(1.0));
        match kind {
            0..=5 => {
                let pose = m.r.pick(&[
                    animal::Pose::Stand,
                    animal::Pose::Sit,
                    animal::Pose::Sit,
                    animal::Pose::Lie,
                ]);
                animal::quadruped(m, &f, long, pose);
            }
            6 | 7 => animal::bird(m, &f, long),
            _ => animal::grazer(m, &f, long),
        }
    }
    if !inside {
        let green = Material::leaves(&mut m.r);
        let green = m.mat(green);
        for _ in 0..m.r.int(0, 25) {
            let p = common::place(m, d * 0.5, d * 5.0, 1.1);
            let h = size * m.r.range(0.1, 0.4);
            plant::grass(m, &Frame::upright(p, 0.0), h, green);
        }
    }
    common::focus(m, (d - size * 0.3).max(0.1), 0.6);
    m.s.occlusion = size * 0.4;
}

/// Things of all sorts in mid-air or in heaps: unlike anything, so that no habit is taken for a rule.
pub fn clutter(m: &mut Maker) {
    let inside = m.r.chance(0.5);
    background(m, inside);
    let pitch = m.r.normal(0.25);
    let h = m.r.range(0.6, 2.2);
    common::camera(m, h, pitch);
    let heap = m.r.chance(0.5);
    for _ in 0..m.r.int(5, 28) {
        let z = m.r.log(0.7, if inside { 5.0 } else { 14.0 });
        let k = z * m.r.log(0.03, 0.25);
        let half = 0.5 / m.s.camera.focal;
        let x = m.r.range(-1.0, 1.0) * z * half;
        let y = if heap {
            k * 0.7
        } else {
            (h + m.r.range(-0.8, 0.8) * z * half).max(k * 0.5)
        };
        item::solid(m, &Frame::upright(v(x, y, z), 0.0), k);
    }
    for _ in 0..m.r.int(0, 6) {
        let z = m.r.log(0.7, 6.0);
        let c = Material::random(&mut m.r, &[], Tint::Any, (0.1, 0.6));
        let c = m.mat(c);
        let dir = crate::geometry::forms::any_rotation(&mut m.r) * Vec3::Y;
        let r = z * m.r.log(0.002, 0.02);
        let at = v(m.r.normal(0.4) * z, h + m.r.normal(0.3) * z, z);
        m.s.limb(
            &Frame::WORLD,
            at - dir * z * 0.4,
            at + dir * z * 0.4,
            r,
            r,
            c,
        );
    }
    let depth = m.r.log(0.8, 5.0);
    common::focus(m, depth, 0.3);
}
