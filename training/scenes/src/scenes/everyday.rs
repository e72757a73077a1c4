//! What phones, robots and cars look at from near by, in true proportions.

use super::common;
use super::interior::{self, Room};
use super::street;
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::material::{MADE, Material, PAVED, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{I, Maker, furniture, item, outdoor, person, plant, ry, v, vehicle};
use crate::texture::Family;
use glam::Vec3;

/// Field of view over the longer side of what most indoor pictures are taken with: phones, webcams, depth cameras.
fn usual_view(m: &mut Maker) -> f32 {
    if m.r.chance(0.75) {
        m.r.range(52.0f32, 74.0).to_radians()
    } else {
        common::field_of_view(m)
    }
}

/// Things of true size on a board of half sizes (x, z) whose top is at the frame's origin.
fn things_on(m: &mut Maker, f: &Frame, (x, z): (f32, f32), most: usize) {
    for _ in 0..m.r.int(0, most + 1) {
        let at = v(m.r.range(-0.9, 0.9) * x, 0.0, m.r.range(-0.85, 0.85) * z);
        let g = f.child(at, ry(m.r.turn()));
        let k = m.r.log(0.025, 0.13);
        if m.r.chance(0.2) {
            item::flat(m, &g, k);
        } else {
            item::item(m, &g, k);
        }
    }
}

/// A board on legs, with a screen, a keyboard and things on it; gives the height of its top.
fn desk(m: &mut Maker, f: &Frame) -> f32 {
    let high = m.r.range(0.68, 0.95);
    let (x, z) = (m.r.range(0.4, 1.0), m.r.range(0.28, 0.45));
    let top = Material::random(
        &mut m.r,
        &[Family::Wood, Family::Noise, Family::Fine, Family::Cloth],
        Tint::Any,
        (0.3, 1.5),
    );
    let top = m.mat(top);
    m.s.block(f, v(0.0, high - 0.015, 0.0), v(x, 0.015, z), I, top);
    if m.r.chance(0.6) {
        for (sx, sz) in [(-1.0, -1.0), (-1.0, 1.0), (1.0, -1.0), (1.0, 1.0)] {
            let foot = v(sx * (x - 0.04), 0.0, sz * (z - 0.04));
            m.s.limb(f, foot, foot + v(0.0, high, 0.0), 0.02, 0.02, top);
        }
    } else {
        // a worktop: closed down to the floor
        let front = Material::plain(&mut m.r, Tint::Any);
        let front = m.mat(front);
        let half = v(x, 0.5 * (high - 0.03), z - 0.02);
        m.s.block(f, v(0.0, half.y, 0.0), half, I, front);
    }
    let plate = f.child(v(0.0, high, 0.0), I);
    for _ in 0..m.r.int(0, 3) {
        // a screen towards whoever sits there, on the side of +z
        let mut dark = Material::plain(&mut m.r, Tint::Dark);
        dark.gloss = 0.4;
        let dark = m.mat(dark);
        let (w, h) = (m.r.range(0.15, 0.33), m.r.range(0.1, 0.2));
        let g = plate.child(
            v(m.r.range(-0.6, 0.6) * x, 0.0, -m.r.range(0.0, 0.6) * z),
            ry(m.r.normal(0.3) + if m.r.chance(0.15) { HALF } else { 0.0 }),
        );
        let foot = m.r.range(0.02, 0.14);
        m.s.block(&g, v(0.0, 0.01, -0.03), v(0.1, 0.01, 0.08), I, dark);
        m.s.limb(
            &g,
            v(0.0, 0.0, -0.04),
            v(0.0, foot + h, -0.03),
            0.02,
            0.02,
            dark,
        );
        m.s.block(&g, v(0.0, foot + h, 0.0), v(w, h, 0.02), I, dark);
        let keys = Material::random(
            &mut m.r,
            &[Family::Check, Family::Text],
            Tint::Grey,
            (0.05, 0.2),
        );
        let keys = m.mat(keys);
        m.s.block(&g, v(0.0, 0.01, 0.22), v(0.2, 0.01, 0.07), I, keys);
    }
    things_on(m, &plate, (x, z), 9);
    high
}

/// Something that stands within reach; gives the height of what is worth looking at.
fn subject(m: &mut Maker, f: &Frame) -> f32 {
    match m.r.int(0, 12) {
        0..=3 => desk(m, f),
        4 => {
            furniture::table(m, f, true);
            0.7
        }
        5 => {
            furniture::shelf(m, f);
            m.r.range(0.4, 1.5)
        }
        6 => {
            furniture::cabinet(m, f);
            m.r.range(0.4, 1.0)
        }
        7 | 8 => {
            furniture::chair(m, f);
            let seat = f.child(v(0.0, 0.5, 0.0), I);
            things_on(m, &seat, (0.15, 0.15), 3);
            m.r.range(0.3, 0.7)
        }
        9 => {
            furniture::sofa(m, f);
            0.5
        }
        10 => {
            // boxes, one on the other
            let mut y = 0.0;
            for _ in 0..m.r.int(1, 4) {
                let card = Material::random(&mut m.r, &MADE, Tint::Any, (0.1, 0.8));
                let card = m.mat(card);
                let half = v(
                    m.r.range(0.12, 0.35),
                    m.r.range(0.08, 0.25),
                    m.r.range(0.12, 0.3),
                );
                let turn = ry(m.r.normal(0.2));
                m.s.block(f, v(0.0, y + half.y, 0.0), half, turn, card);
                y += 2.0 * half.y;
            }
            let lid = f.child(v(0.0, y, 0.0), I);
            things_on(m, &lid, (0.1, 0.1), 2);
            y
        }
        _ => {
            person::anyone(m, f);
            m.r.range(0.8, 1.6)
        }
    }
}

/// Boards on a wall with things on them, above a worktop: the wall's inner face is z = 0, the room lies towards -z.
fn kitchen_wall(m: &mut Maker, w: &Frame, half: f32) {
    let mut x = -half;
    while x < half {
        let wide = m.r.range(0.3, 0.8);
        let at = |y: f32, deep: f32| v(x + wide, y, -deep);
        if m.r.chance(0.7) {
            let front = w.child(at(0.0, 0.3), ry(HALF));
            let h = furniture_top(m, &front, wide);
            let plate = front.child(v(0.0, h, 0.0), I);
            things_on(m, &plate, (wide, 0.25), 5);
        }
        let board = Material::plain(&mut m.r, Tint::Any);
        let board = m.mat(board);
        if m.r.chance(0.3) {
            // a cupboard on the wall
            let half = v(wide * 0.98, m.r.range(0.25, 0.4), m.r.range(0.12, 0.2));
            m.s.block(w, at(1.75, half.z), half, I, board);
        } else {
            for _ in 0..m.r.int(0, 3) {
                let (y, deep) = (m.r.range(1.05, 2.0), m.r.range(0.08, 0.2));
                m.s.block(w, at(y, deep), v(wide * 0.98, 0.012, deep), I, board);
                let plate = w.child(at(y + 0.012, deep), I);
                things_on(m, &plate, (wide, deep), 6);
            }
        }
        x += 2.0 * wide;
    }
}

/// A closed cabinet of this half width, its top 0.75 to 0.95 m high, which it gives.
fn furniture_top(m: &mut Maker, f: &Frame, wide: f32) -> f32 {
    let body = Material::random(
        &mut m.r,
        &[Family::Wood, Family::Noise, Family::Fine],
        Tint::Any,
        (0.5, 2.0),
    );
    let body = m.mat(body);
    let top = Material::plain(&mut m.r, Tint::Any);
    let top = m.mat(top);
    let h = m.r.range(0.75, 0.95);
    let half = v(wide * 0.99, 0.5 * h - 0.015, 0.29);
    m.s.block(f, v(0.0, half.y, 0.0), half, I, body);
    m.s.block(f, v(0.0, h - 0.015, 0.0), v(wide, 0.015, 0.31), I, top);
    h
}

/// Furniture and what lies on it within reach, a furnished room behind.
pub fn within_reach(m: &mut Maker) {
    let (x, z, h) = (
        m.r.range(1.4, 4.0),
        m.r.range(1.6, 5.0),
        m.r.range(2.3, 3.2),
    );
    let along = m.r.chance(0.35);
    // along a wall: it runs off to one side of the view
    let yaw = if along {
        m.r.sign() * m.r.range(0.25, 1.3)
    } else {
        m.r.normal(0.7)
    };
    let (cx, cz) = if along {
        let gap = m.r.log(0.5, 1.5);
        (-yaw.signum() * (x - gap).max(0.3), m.r.range(-0.7, 0.3) * z)
    } else {
        (m.r.range(-0.8, 0.8) * x, m.r.range(-0.9, 0.2) * z)
    };
    let frame = Frame::upright(ry(yaw) * v(-cx, 0.0, -cz), yaw);
    let room = Room { frame, x, z, h };
    let windows = m.r.int(0, 3);
    interior::shell(m, room, windows);
    let eye = match m.r.int(0, 20) {
        0..=12 => m.r.range(1.1, 1.75),
        13..=16 => m.r.range(0.5, 1.1),
        _ => m.r.range(0.15, 0.5),
    };
    let fov = usual_view(m);
    m.s.camera = Camera::new(v(0.0, eye, 0.0), 0.0, 0.0, 0.0, fov);
    let about = m.r.int(3, 12);
    interior::furnish(m, &room, about);
    if along && m.r.chance(0.7) {
        let side = -yaw.signum();
        let w = room.frame.child(v(side * x, 0.0, 0.0), ry(side * QUARTER));
        kitchen_wall(m, &w, z * 0.9);
    }
    let mut look = None;
    for i in 0..m.r.int(if along { 0 } else { 1 }, 4) {
        let away = m.r.log(0.6, 1.9) + 0.5 * i as f32;
        let bearing = m.r.normal(0.35);
        let f = Frame::upright(
            v(bearing.sin(), 0.0, bearing.cos()) * away,
            HALF + m.r.normal(0.6),
        );
        let top = subject(m, &f);
        look.get_or_insert((away, top));
    }
    let (away, top) = look.unwrap_or((2.0, m.r.range(0.6, 1.6)));
    let down = ((eye - top) / away).atan() * m.r.range(0.4, 1.05) + m.r.normal(0.08);
    let roll = if m.r.chance(0.9) {
        m.r.normal(0.02)
    } else {
        m.r.normal(0.15)
    };
    m.s.camera = Camera::new(v(0.0, eye, 0.0), 0.0, down.clamp(-0.5, 1.2), roll, fov);
    common::focus(m, away, 0.12);
}

/// A street or car park with cars close by on both sides, from a car's or a walker's height.
pub fn parked(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(1.1, 1.8);
    let pitch = m.r.normal(0.06) + 0.03;
    common::camera(m, height, pitch);
    if m.r.chance(0.5) {
        // of cars: wide and level
        let fov = m.r.range(50.0f32, 92.0).to_radians();
        let roll = m.r.normal(0.01);
        m.s.camera = Camera::new(v(0.0, height, 0.0), 0.0, pitch, roll, fov);
    }
    let mut road = Material::random(&mut m.r, &PAVED, Tint::Grey, (1.0, 6.0));
    road.colours = road.colours.map(|c| c * 0.5);
    road.gloss = 0.0;
    common::ground(m, road);
    let half = m.r.range(2.9, 6.0);
    let walk = m.r.range(1.2, 3.5);
    let walking = m.r.chance(0.4);
    let off = if walking {
        m.r.sign() * (half + m.r.range(0.4, 0.9) * walk)
    } else {
        m.r.range(-1.0, 1.0) * (half - 2.6).max(0.2)
    };
    let yaw = m.r.normal(if walking { 0.5 } else { 0.12 });
    let way = Frame::upright(ry(yaw) * v(-off, 0.0, 0.0), yaw);
    street::pavement(m, &way, half, walk);
    street::house_rows(m, &way, half + walk, false);
    for s in [-1.0f32, 1.0] {
        let across = m.r.chance(0.2);
        let turn = if across { s * QUARTER } else { 0.0 } + if s > 0.0 { 0.0 } else { HALF };
        let full = m.r.range(0.5, 1.0);
        let mut z = m.r.range(-4.0, 3.0);
        while z < 60.0 {
            if m.r.chance(full) {
                let x = s * (half - 1.0 + if across { 1.2 } else { m.r.normal(0.1) });
                let f = way.child(v(x, 0.0, z), ry(turn + m.r.normal(0.03)));
                vehicle::car(m, &f, false);
            }
            z += if across {
                m.r.range(2.4, 3.0)
            } else {
                m.r.range(5.0, 6.8)
            };
        }
        for _ in 0..m.r.int(0, 5) {
            let at = v(
                s * (half + m.r.range(0.3, 1.0) * walk),
                0.1,
                m.r.log(1.5, 40.0),
            );
            let f = way.child(at, ry(m.r.turn()));
            if f.at.distance(v(0.0, 0.1, 0.0)) < 0.9 {
                continue;
            }
            match m.r.int(0, 7) {
                0 | 1 => person::anyone(m, &f),
                2 => vehicle::bicycle(m, &f),
                3 => {
                    let h = m.r.range(3.0, 9.0);
                    plant::tree(m, &f, h);
                }
                4 => outdoor::bollard(m, &f),
                _ => outdoor::pole(m, &f, false),
            }
        }
    }
    for _ in 0..m.r.int(0, 4) {
        let lane = (half - 2.2).max(0.0);
        let f = way.child(
            v(m.r.range(-1.0, 1.0) * lane, 0.0, m.r.log(6.0, 60.0)),
            ry(if m.r.chance(0.5) { HALF } else { 0.0 }),
        );
        vehicle::car(m, &f, false);
    }
    if m.r.chance(0.7) {
        common::far_layers(m, (60.0, 200.0));
    }
    let depth = m.r.log(3.0, 15.0);
    common::focus(m, depth, 0.1);
}

/// A passage, cellar or store room: long, low, walls close by, things along them.
pub fn passage(m: &mut Maker) {
    let (x, z, h) = (m.r.log(0.6, 2.2), m.r.range(3.0, 14.0), m.r.range(2.0, 3.0));
    let yaw = m.r.normal(0.25);
    let cx = m.r.range(-0.6, 0.6) * (x - 0.3);
    let cz = -m.r.range(0.5, 0.95) * z;
    let frame = Frame::upright(ry(yaw) * v(-cx, 0.0, -cz), yaw);
    let windows = m.r.int(0, 2);
    interior::shell(m, Room { frame, x, z, h }, windows);
    let eye = if m.r.chance(0.8) {
        m.r.range(1.0, 1.75)
    } else {
        m.r.range(0.2, 1.0)
    };
    let fov = usual_view(m);
    let pitch = m.r.range(-0.1, 0.4);
    let roll = m.r.normal(0.03);
    m.s.camera = Camera::new(v(0.0, eye, 0.0), 0.0, pitch, roll, fov);
    let mut at = cz + m.r.range(0.3, 1.5);
    while at < z - 0.3 {
        let s = m.r.sign();
        let deep = m.r.range(0.15, 0.35);
        let spot = v(s * (x - deep).max(0.1), 0.0, at);
        let f = frame.child(spot, ry(-s * QUARTER));
        match m.r.int(0, 9) {
            0 => furniture::shelf(m, &f),
            1 => furniture::cabinet(m, &f),
            2 if x > 1.0 => {
                desk(m, &f);
            }
            3 => {
                let turn = ry(m.r.turn());
                furniture::chair(m, &f.child(Vec3::ZERO, turn));
            }
            4 => person::anyone(m, &f),
            5 | 6 => {
                let k = m.r.log(0.06, 0.3);
                item::item(m, &f, k);
            }
            _ => {
                // a pipe or post from floor to ceiling, or along the ceiling
                let steel = Material::plain(&mut m.r, Tint::Any);
                let steel = m.mat(steel);
                let r = m.r.log(0.015, 0.12);
                let from = if m.r.chance(0.5) {
                    v(spot.x, 0.0, at)
                } else {
                    v(spot.x, h - r - 0.02, cz)
                };
                let to = v(spot.x, h - r - 0.02, if from.y > 0.0 { z } else { at });
                m.s.limb(&frame, from, to, r, r, steel);
            }
        }
        at += m.r.log(0.4, 3.0);
    }
    let depth = m.r.log(1.0, 5.0);
    common::focus(m, depth, 0.1);
}
