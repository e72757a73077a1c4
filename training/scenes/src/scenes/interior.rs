//! Rooms.

use super::{common, wall as flat};
use crate::geometry::Frame;
use crate::light::Light;
use crate::material::{Material, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{I, Maker, furniture, item, person, plant, ry, rz, v};
use crate::texture::Family;
use glam::Vec3;

/// A room's inner half sizes and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Middle of the floor, axes along the walls.
    pub frame: Frame,
    /// Half width along x.
    pub x: f32,
    /// Half depth along z.
    pub z: f32,
    /// Height.
    pub h: f32,
}

/// Walls, floor, ceiling, windows, lamp. The camera's height and turn are set by the caller.
pub fn shell(m: &mut Maker, room: Room, windows: usize) {
    common::daylight(m);
    let yard = Material::random(&mut m.r, &crate::material::SOIL, Tint::Green, (1.0, 5.0));
    common::ground(m, yard);
    let below = -m.r.range(0.2, 6.0);
    if let Some(g) = &mut m.s.ground {
        g.0 = below;
    }
    m.s.indoors = true;
    let f = room.frame;
    let plain = m.r.chance(0.7);
    let tint = m.r.pick(&[Tint::Light, Tint::Light, Tint::Grey, Tint::Any]);
    let mut wall = Material::random(
        &mut m.r,
        &[
            Family::Noise,
            Family::Stripe,
            Family::Brick,
            Family::Fine,
            Family::Cloth,
        ],
        tint,
        (0.3, 2.0),
    );
    if plain {
        wall.mix *= 0.12;
        wall.wear_amount *= 0.12;
        wall.relief = 0.0;
    }
    wall.gloss = 0.0;
    let wall = m.mat(wall);
    let mut floor = Material::random(
        &mut m.r,
        &[
            Family::Wood,
            Family::Wood,
            Family::Brick,
            Family::Check,
            Family::Noise,
            Family::Cloth,
            Family::Blotch,
        ],
        Tint::Any,
        (0.6, 2.5),
    );
    if m.r.chance(0.3) {
        floor.mirror = m.r.range(0.03, 0.15);
    }
    let floor = m.mat(floor);
    let ceiling = Material::plain(&mut m.r, Tint::Light);
    let ceiling = m.mat(ceiling);
    let t = 0.12;
    m.s.block(
        &f,
        v(0.0, -t, 0.0),
        v(room.x + 0.3, t, room.z + 0.3),
        I,
        floor,
    );
    m.s.block(
        &f,
        v(0.0, room.h + t, 0.0),
        v(room.x + 0.3, t, room.z + 0.3),
        I,
        ceiling,
    );
    let mut with_window = [0usize; 4];
    for _ in 0..windows {
        with_window[m.r.int(0, 4)] = 1;
    }
    let skirting = Material::plain(&mut m.r, Tint::Light);
    let skirting = m.mat(skirting);
    for (k, &window) in with_window.iter().enumerate() {
        // each wall in a frame of its own: inner face at z = 0, room towards -z
        let turn = k as f32 * std::f32::consts::FRAC_PI_2;
        let (half, out) = if k % 2 == 0 {
            (room.x, room.z)
        } else {
            (room.z, room.x)
        };
        let w = f.child(ry(turn) * v(0.0, 0.0, out), ry(turn));
        if window == 1 {
            wall_with_window(m, &w, half, room.h, wall);
        } else {
            m.s.block(
                &w,
                v(0.0, room.h * 0.5, t),
                v(half + 0.3, room.h * 0.5, t),
                I,
                wall,
            );
            wall_things(m, &w, half, room.h);
        }
        if m.r.chance(0.7) {
            m.s.block(&w, v(0.0, 0.05, 0.0), v(half, 0.05, 0.015), I, skirting);
        }
    }
    let bright = windows > 0 && m.r.chance(0.75);
    let fill = m.r.range(0.25, 0.6);
    let warm = v(1.0, m.r.range(0.85, 1.0), m.r.range(0.65, 1.0));
    m.s.ambient = warm * fill;
    m.s.ambient_below = warm * fill * m.r.range(0.5, 0.9);
    let at = f.point(v(
        m.r.range(-0.6, 0.6) * room.x,
        room.h - m.r.range(0.1, 0.5),
        m.r.range(-0.6, 0.6) * room.z,
    ));
    let lamp = Light::Lamp {
        at,
        colour: warm * m.r.range(0.4, 1.6),
        size: m.r.range(0.05, 0.3),
        reach: m.r.range(1.5, 5.0),
    };
    if bright {
        // the sun outside stays first only if it can come in
        m.s.lights.push(lamp);
    } else {
        m.s.lights = vec![lamp];
        if m.r.chance(0.3) {
            // night outside
            m.s.sky.zenith *= 0.02;
            m.s.sky.horizon *= 0.02;
            m.s.sky.below *= 0.02;
        }
    }
    m.s.sky.fog = 0.0;
    m.s.occlusion = m.r.range(0.3, 0.9);
}

fn wall_with_window(m: &mut Maker, w: &Frame, half: f32, h: f32, wall: u32) {
    let t = 0.12;
    let sill = if m.r.chance(0.3) {
        0.05
    } else {
        m.r.range(0.6, 1.1)
    };
    let top = m.r.range(1.9, (h - 0.15).max(1.95)).min(h - 0.05);
    let wide = (half * m.r.range(0.25, 0.85)).min(2.2);
    let x = m.r.range(-1.0, 1.0) * (half - wide) * 0.8;
    m.s.block(
        w,
        v(0.0, sill * 0.5, t),
        v(half + 0.3, sill * 0.5, t),
        I,
        wall,
    );
    m.s.block(
        w,
        v(0.0, 0.5 * (h + top), t),
        v(half + 0.3, 0.5 * (h - top), t),
        I,
        wall,
    );
    let (l, r) = (x - wide, x + wide);
    m.s.block(
        w,
        v(0.5 * (l - half - 0.3), 0.5 * (sill + top), t),
        v(0.5 * (l + half + 0.3), 0.5 * (top - sill), t),
        I,
        wall,
    );
    m.s.block(
        w,
        v(0.5 * (r + half + 0.3), 0.5 * (sill + top), t),
        v(0.5 * (half + 0.3 - r), 0.5 * (top - sill), t),
        I,
        wall,
    );
    let frame = Material::plain(&mut m.r, Tint::Light);
    let frame = m.mat(frame);
    let n = m.r.int(1, 4);
    for i in 0..=n {
        let p = l + (r - l) * i as f32 / n as f32;
        m.s.block(
            w,
            v(p, 0.5 * (sill + top), t),
            v(0.035, 0.5 * (top - sill), 0.04),
            I,
            frame,
        );
    }
    for y in [sill, top] {
        m.s.block(w, v(x, y, t), v(wide, 0.035, 0.04), I, frame);
    }
    if m.r.chance(0.4) {
        m.s.block(
            w,
            v(x, 0.5 * (sill + top), t),
            v(wide, 0.02, 0.03),
            I,
            frame,
        );
    }
    if m.r.chance(0.45) {
        // curtains
        let mut cloth = Material::cloth(&mut m.r);
        cloth.through = 0.5;
        let cloth = m.mat(cloth);
        for s in [-1.0, 1.0] {
            for k in 0..6 {
                let p = x + s * (wide + 0.12 - 0.07 * k as f32);
                m.s.limb(
                    w,
                    v(p, 0.05, -0.06 - 0.03 * (k % 2) as f32),
                    v(p, top + 0.1, -0.06),
                    0.05,
                    0.04,
                    cloth,
                );
            }
        }
    } else if m.r.chance(0.25) {
        // blinds
        let slat = Material::plain(&mut m.r, Tint::Light);
        let slat = m.mat(slat);
        let n = ((top - sill) / 0.06) as usize;
        for k in 0..n {
            let rot = crate::objects::rx(0.5);
            m.s.block(
                w,
                v(x, top - 0.06 * k as f32, -0.03),
                v(wide, 0.002, 0.022),
                rot,
                slat,
            );
        }
    }
    // something to see outside
    for _ in 0..m.r.int(0, 4) {
        let at = v(m.r.range(-2.0, 2.0) * wide, -1.0, m.r.log(3.0, 25.0));
        let size = m.r.range(3.0, 8.0);
        let g = w.child(at, I);
        if m.r.chance(0.7) {
            plant::tree(m, &g, size);
        } else {
            let dims = (m.r.range(3.0, 7.0), m.r.range(4.0, 15.0), 3.0);
            crate::objects::structure::building(
                m,
                &w.child(at + v(0.0, -2.0, 15.0), I),
                dims,
                false,
            );
        }
    }
}

/// Pictures, doors, shelves and switches on a wall.
fn wall_things(m: &mut Maker, w: &Frame, half: f32, h: f32) {
    // wall frames look out of the room, decoys look along -z as well: their front is -z
    let mut x = -half + m.r.range(0.4, 1.2);
    while x < half - 0.4 {
        match m.r.int(0, 6) {
            0 if h > 2.2 => flat::decoy(m, w, x),
            1 | 2 => {
                let frame = Material::plain(&mut m.r, Tint::Any);
                let frame = m.mat(frame);
                let mut art = Material::random(
                    &mut m.r,
                    &[
                        Family::Poster,
                        Family::Noise,
                        Family::Blotch,
                        Family::Cell,
                        Family::Facade,
                        Family::Text,
                    ],
                    Tint::Any,
                    (0.3, 1.5),
                );
                if m.r.chance(0.1) {
                    art.emit = m.r.range(0.5, 1.5);
                }
                let (a, b) = (m.r.range(0.15, 0.6), m.r.range(0.15, 0.5));
                m.hang(&mut art, (a, b), 0.5);
                let art = m.mat(art);
                let y = m.r.range(1.3, 1.8);
                m.s.block(w, v(x, y, 0.0), v(a + 0.03, b + 0.03, 0.02), I, frame);
                m.s.block(w, v(x, y, -0.005), v(a, b, 0.02), I, art);
            }
            3 => {
                let wood = Material::plain(&mut m.r, Tint::Earth);
                let wood = m.mat(wood);
                let y = m.r.range(1.1, 1.9);
                m.s.block(w, v(x, y, -0.12), v(0.4, 0.015, 0.12), I, wood);
                for i in 0..m.r.int(0, 4) {
                    let g = w.child(v(x - 0.3 + 0.2 * i as f32, y + 0.015, -0.12), I);
                    let k = m.r.range(0.04, 0.08);
                    item::item(m, &g, k);
                }
            }
            _ => {}
        }
        x += m.r.range(0.5, 2.0);
    }
}

/// A room with furniture, seen from a corner, a door or its middle.
pub fn room(m: &mut Maker) {
    let hall = m.r.chance(0.15);
    let (x, z, h) = if hall {
        let corridor = m.r.chance(0.5);
        if corridor {
            (
                m.r.range(0.7, 1.6),
                m.r.range(5.0, 15.0),
                m.r.range(2.3, 3.2),
            )
        } else {
            (
                m.r.range(4.0, 9.0),
                m.r.range(5.0, 14.0),
                m.r.range(3.0, 6.5),
            )
        }
    } else {
        (
            m.r.range(1.4, 3.5),
            m.r.range(1.8, 4.5),
            m.r.range(2.3, 3.1),
        )
    };
    let yaw = if hall {
        m.r.normal(0.15)
    } else {
        m.r.normal(0.6)
    };
    let cx = m.r.range(-0.75, 0.75) * x;
    let cz = -m.r.range(0.4, 0.92) * z;
    let frame = Frame::upright(ry(yaw) * v(-cx, 0.0, -cz), yaw);
    let room = Room { frame, x, z, h };
    let windows = m.r.int(0, 3);
    shell(m, room, windows);
    let height = if m.r.chance(0.8) {
        m.r.range(1.0, 1.75)
    } else {
        m.r.range(0.3, 1.0)
    };
    let pitch = m.r.range(-0.08, 0.35);
    common::camera(m, height, pitch);
    furnish(m, &room, if hall { 6 } else { 13 });
    if m.r.chance(0.35) {
        let g = room
            .frame
            .child(v(m.r.range(-0.4, 0.4) * x, h, m.r.range(-0.2, 0.6) * z), I);
        let long = m.r.range(0.3, 0.9);
        furniture::hanging_lamp(m, &g, long);
    }
    let depth = m.r.range(1.0, 4.0);
    common::focus(m, depth, 0.15);
}

/// Puts furniture along the walls and in the middle.
pub fn furnish(m: &mut Maker, room: &Room, about: usize) {
    let rug = Material::random(
        &mut m.r,
        &[
            Family::Cloth,
            Family::Stripe,
            Family::Blotch,
            Family::Dots,
            Family::Cell,
        ],
        Tint::Any,
        (0.3, 1.5),
    );
    if m.r.chance(0.4) {
        let rug = m.mat(rug);
        let half = v(
            m.r.range(0.4, 0.7) * room.x,
            0.006,
            m.r.range(0.3, 0.6) * room.z,
        );
        m.s.block(&room.frame, v(0.0, 0.006, 0.1 * room.z), half, I, rug);
    }
    let camera = m.s.camera.at;
    for _ in 0..m.r.int(about / 2, about * 2) {
        let side = m.r.int(0, 5);
        let (at, turn) = match side {
            0 => (v(m.r.range(-0.8, 0.8) * room.x, 0.0, room.z - 0.45), HALF),
            1 => (
                v(room.x - 0.45, 0.0, m.r.range(-0.7, 0.8) * room.z),
                -QUARTER,
            ),
            2 => (
                v(-room.x + 0.45, 0.0, m.r.range(-0.7, 0.8) * room.z),
                QUARTER,
            ),
            _ => (
                v(
                    m.r.range(-0.6, 0.6) * room.x,
                    0.0,
                    m.r.range(-0.4, 0.7) * room.z,
                ),
                m.r.turn(),
            ),
        };
        let f = room.frame.child(at, ry(turn + m.r.normal(0.08)));
        let d = f.at - v(camera.x, 0.0, camera.z);
        if Vec3::new(d.x, 0.0, d.z).length() < 1.1 {
            continue;
        }
        match m.r.int(0, 16) {
            0..=3 => {
                furniture::table(m, &f, true);
                for _ in 0..m.r.int(0, 4) {
                    let a = m.r.turn();
                    let c = f.child(
                        ry(a) * v(0.0, 0.0, -m.r.range(0.6, 1.0)),
                        ry(a + m.r.normal(0.2)),
                    );
                    if side >= 3 && c.at.distance(camera) > 1.4 {
                        furniture::chair(m, &c);
                    }
                }
            }
            4 | 5 => furniture::chair(m, &f),
            6..=8 => furniture::sofa(m, &f),
            9 | 10 => furniture::shelf(m, &f.child(v(0.0, 0.0, -0.27), I)),
            11 => furniture::cabinet(m, &f),
            12 => furniture::floor_lamp(m, &f),
            13 => {
                let h = m.r.range(0.5, 1.6);
                plant::potted(m, &f, h);
            }
            14 => {
                if room.x > 1.6 {
                    furniture::bed(m, &f.child(v(0.0, 0.0, 0.5), rz(0.0)));
                }
            }
            _ => {
                if m.r.chance(0.5) {
                    person::anyone(m, &f);
                } else {
                    // someone on a chair
                    furniture::chair(m, &f);
                    let h = m.r.range(1.55, 1.85);
                    person::person(m, &f, h, person::Pose::Sit(0.46));
                }
            }
        }
    }
    for _ in 0..m.r.int(0, 5) {
        let at = v(
            m.r.range(-0.8, 0.8) * room.x,
            0.0,
            m.r.range(-0.6, 0.9) * room.z,
        );
        let f = room.frame.child(at, I);
        let k = m.r.log(0.05, 0.25);
        if f.at.distance(v(camera.x, 0.0, camera.z)) > 0.8 {
            item::item(m, &f, k);
        }
    }
}
