//! Roads from a car, roofs from above, halls with columns.

use super::common;
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::geometry::library::LIBRARY;
use crate::light::Light;
use crate::material::{Material, PAVED, SOIL, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{I, Maker, item, outdoor, person, plant, ry, structure, v, vehicle};
use crate::texture::Family;

/// The road ahead, from a car or a motorway bridge.
pub fn drive(m: &mut Maker) {
    let night = m.r.chance(0.1);
    if night {
        common::night(m)
    } else {
        common::daylight(m)
    }
    let height = if m.r.chance(0.85) {
        m.r.range(1.1, 2.2)
    } else {
        m.r.range(4.0, 8.0)
    };
    let pitch = m.r.normal(0.04) + 0.02 * height;
    common::camera(m, height, pitch);
    let verge = Material::random(&mut m.r, &SOIL, Tint::Green, (0.8, 5.0));
    common::ground(m, verge);
    let lanes = m.r.int(2, 6);
    let lane = m.r.range(2.9, 3.8);
    let half = lane * lanes as f32 * 0.5;
    let mine = m.r.int(0, lanes);
    let yaw = m.r.normal(0.1);
    let off = (mine as f32 + 0.5) * lane - half + m.r.normal(0.4);
    let way = Frame::upright(ry(yaw) * v(-off, 0.0, 0.0), yaw);
    let mut road = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Fine, Family::Ridge],
        Tint::Grey,
        (1.0, 6.0),
    );
    road.colours = road.colours.map(|c| c * 0.5);
    road.mirror = if m.r.chance(0.15) { 0.1 } else { 0.0 };
    let road = m.mat(road);
    m.s.block(
        &way,
        v(0.0, -0.06, 200.0),
        v(half + 1.0, 0.08, 260.0),
        I,
        road,
    );
    markings(m, &way, half, lane, lanes);
    for s in [-1.0f32, 1.0] {
        let edge = half + 1.6;
        match m.r.int(0, 4) {
            0 => {
                // a guard rail
                let steel = Material::plain(&mut m.r, Tint::Grey);
                let steel = m.mat(steel);
                m.s.block(&way, v(s * edge, 0.62, 60.0), v(0.04, 0.14, 90.0), I, steel);
                for k in 0..24 {
                    m.s.limb(
                        &way,
                        v(s * edge, 0.0, k as f32 * 4.0 - 4.0),
                        v(s * edge, 0.7, k as f32 * 4.0 - 4.0),
                        0.05,
                        0.05,
                        steel,
                    );
                }
            }
            1 => {
                let wall = Material::random(
                    &mut m.r,
                    &[Family::Noise, Family::Brick, Family::Stripe],
                    Tint::Grey,
                    (1.0, 4.0),
                );
                let wall = m.mat(wall);
                let h = m.r.range(0.4, 2.5);
                m.s.block(&way, v(s * edge, h, 60.0), v(0.2, h, 100.0), I, wall);
            }
            _ => {}
        }
        for _ in 0..m.r.int(0, 14) {
            let at = v(s * (edge + m.r.log(1.0, 25.0)), 0.0, m.r.log(4.0, 130.0));
            let f = way.child(at, ry(m.r.turn()));
            match m.r.int(0, 8) {
                0..=3 => {
                    let h = m.r.range(3.0, 12.0);
                    plant::tree(m, &f, h);
                }
                4 => {
                    let w = m.r.range(0.5, 2.0);
                    plant::bush(m, &f, w);
                }
                5 => {
                    let size = (
                        m.r.range(3.0, 8.0),
                        m.r.range(3.0, 14.0),
                        m.r.range(3.0, 9.0),
                    );
                    let f = way.child(at + v(s * 10.0, 0.0, 0.0), I);
                    structure::building(m, &f, size, night);
                }
                _ => outdoor::pole(
                    m,
                    &way.child(
                        v(s * (edge + 0.5), 0.0, at.z),
                        ry(if s > 0.0 { HALF } else { 0.0 }),
                    ),
                    night,
                ),
            }
        }
    }
    for k in 0..lanes {
        let ahead = k * 2 >= lanes;
        for _ in 0..m.r.int(0, 4) {
            let z = m.r.log(if k == mine { 7.0 } else { 4.0 }, 110.0);
            let x = (k as f32 + 0.5) * lane - half;
            let f = way.child(
                v(x, 0.0, z),
                ry(m.r.normal(0.02) + if ahead { 0.0 } else { HALF }),
            );
            vehicle::car(m, &f, night);
        }
    }
    if m.r.chance(0.25) {
        // a gantry or bridge across
        let c = Material::plain(&mut m.r, Tint::Grey);
        let c = m.mat(c);
        let z = m.r.log(15.0, 80.0);
        let t = m.r.range(0.2, 1.2);
        m.s.block(&way, v(0.0, 5.5 + t, z), v(half + 6.0, t, t * 2.0), I, c);
        for s in [-1.0, 1.0] {
            m.s.block(&way, v(s * (half + 3.0), 2.8, z), v(0.3, 2.8, 0.3), I, c);
        }
        if m.r.chance(0.6) {
            outdoor::sign(
                m,
                &way.child(v(0.0, 5.2, z - t * 2.0 - 0.1), ry(HALF))
                    .sized(3.0),
                night,
            );
        }
    }
    if night {
        for k in 0..3 {
            let at = way.point(v(half + 1.0, 7.0, 8.0 + 22.0 * k as f32));
            m.s.lights.push(Light::Lamp {
                at,
                colour: v(1.6, 1.2, 0.7),
                size: 0.2,
                reach: 4.0,
            });
        }
    }
    common::far_layers(m, (150.0, 500.0));
    if m.r.chance(0.15) {
        dashboard(m);
    }
}

fn markings(m: &mut Maker, way: &Frame, half: f32, lane: f32, lanes: usize) {
    let paint = Material::plain(&mut m.r, Tint::Light);
    let paint = m.mat(paint);
    for s in [-1.0, 1.0] {
        m.s.block(
            way,
            v(s * (half - 0.1), 0.02, 100.0),
            v(0.07, 0.006, 150.0),
            I,
            paint,
        );
    }
    for k in 1..lanes {
        for j in 0..14 {
            let z = -2.0 + 9.0 * j as f32;
            m.s.block(
                way,
                v(k as f32 * lane - half, 0.02, z),
                v(0.07, 0.006, 1.8),
                I,
                paint,
            );
        }
    }
}

/// A bonnet and a dashboard before the camera.
fn dashboard(m: &mut Maker) {
    let mut paint = Material::plain(&mut m.r, Tint::Any);
    paint.mirror = 0.1;
    let paint = m.mat(paint);
    let at = m.s.camera.at;
    let f = Frame::upright(v(at.x, at.y - 0.55, at.z + 1.2), 0.0);
    m.s.ball(&f, v(0.0, 0.0, 0.0), v(0.9, 0.16, 0.9), I, paint);
}

/// Roofs and streets from a tower or a hill.
pub fn rooftops(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.log(18.0, 120.0);
    let pitch = m.r.range(0.12, 0.75);
    let fov = common::field_of_view(m);
    let roll = m.r.normal(0.02);
    m.s.camera = Camera::new(v(0.0, height, 0.0), 0.0, pitch, roll, fov);
    let street = Material::random(&mut m.r, &PAVED, Tint::Grey, (2.0, 12.0));
    common::ground(m, street);
    let block = m.r.range(16.0, 34.0);
    let yaw = m.r.normal(0.5);
    let town = Frame::upright(v(0.0, 0.0, 0.0), yaw);
    let usual = m.r.range(6.0, height * 0.6);
    let reach = (height / pitch.tan() * 1.6).min(260.0);
    let n = (reach / block) as i32 + 1;
    for j in -1..n.min(9) {
        for i in -5..=5 {
            let p = town.point(v(i as f32 * block, 0.0, j as f32 * block));
            if p.z < -block || p.x.abs() > p.z * 0.9 + block * 1.5 {
                continue;
            }
            let f = town.child(v(i as f32 * block, 0.0, j as f32 * block), I);
            if m.r.chance(0.1) {
                for _ in 0..m.r.int(2, 7) {
                    let g = f.child(v(m.r.normal(0.3) * block, 0.0, m.r.normal(0.3) * block), I);
                    let h = m.r.range(4.0, 10.0);
                    plant::tree(m, &g, h);
                }
                continue;
            }
            let h = (usual * m.r.log(0.5, 2.0)).min(height * 1.6);
            let size = (
                block * m.r.range(0.25, 0.4),
                h,
                block * m.r.range(0.25, 0.4),
            );
            structure::building(m, &f, size, false);
            if m.r.chance(0.3) {
                let g = town.child(
                    v(
                        (i as f32 + 0.5) * block,
                        0.0,
                        (j as f32 + m.r.unit()) * block,
                    ),
                    I,
                );
                vehicle::car(m, &g, false);
            }
        }
    }
    common::far_layers(m, (300.0, 900.0));
}

/// Columns, arches, shelves: halls, arcades, churches, stations, supermarkets.
pub fn arcade(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(1.1, 1.8);
    let pitch = m.r.normal(0.08) - 0.04;
    common::camera(m, height, pitch);
    let floor = Material::random(
        &mut m.r,
        &[Family::Brick, Family::Check, Family::Noise, Family::Wood],
        Tint::Any,
        (0.6, 2.5),
    );
    let shiny = m.r.chance(0.4);
    let floor = if shiny {
        floor.with_mirror(0.06)
    } else {
        floor
    };
    common::ground(m, floor);
    let yaw = m.r.normal(0.25);
    let half = m.r.range(1.2, 5.0);
    let way = Frame::upright(ry(yaw) * v(-m.r.range(-0.6, 0.6) * half, 0.0, 0.0), yaw);
    let tall = half * m.r.range(0.9, 1.8) + 1.2;
    let stone = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Brick, Family::Fine],
        Tint::Earth,
        (0.5, 3.0),
    );
    let stone = m.mat(stone);
    let gap = m.r.range(2.0, 5.0);
    let n = m.r.int(4, 14);
    let goods = m.r.chance(0.3);
    for k in 0..n {
        let z = gap * k as f32 + 0.8;
        for s in [-1.0f32, 1.0] {
            if goods {
                shelves(
                    m,
                    &way.child(v(s * half, 0.0, z), ry(-s * QUARTER)),
                    gap * 0.5,
                    tall.min(2.3),
                );
                continue;
            }
            let r = half * 0.09 + 0.08;
            m.s.round(
                &way,
                v(s * half, tall * 0.5, z),
                v(r, tall * 0.5, r),
                I,
                0.9,
                stone,
            );
            m.s.block(
                &way,
                v(s * half, tall - 0.1, z),
                v(r * 1.4, 0.12, r * 1.4),
                I,
                stone,
            );
            m.s.block(
                &way,
                v(s * half, 0.12, z),
                v(r * 1.4, 0.12, r * 1.4),
                I,
                stone,
            );
        }
        if !goods && m.r.chance(0.8) {
            m.s.mesh(
                &way,
                v(0.0, tall, z),
                v(half, half, half),
                I,
                &LIBRARY.arch,
                stone,
            );
        }
    }
    let long = gap * n as f32;
    let roof = m.r.chance(0.7);
    if roof {
        let y = tall + if goods { 0.8 } else { half * 0.95 };
        m.s.block(
            &way,
            v(0.0, y, long * 0.5),
            v(half * 3.0, 0.2, long * 0.6),
            I,
            stone,
        );
        let lamp = Material::light(&mut m.r, 2.5);
        let lamp = m.mat(lamp);
        for k in 0..n {
            m.s.block(
                &way,
                v(0.0, y - 0.25, gap * k as f32 + 1.5),
                v(0.5, 0.03, 0.12),
                I,
                lamp,
            );
        }
        let fill = m.r.range(0.2, 0.45);
        m.s.ambient = v(fill, fill * 0.97, fill * 0.9);
        m.s.ambient_below = m.s.ambient * 0.7;
        let at = way.point(v(0.0, y - 0.4, long * 0.25));
        m.s.lights.push(Light::Lamp {
            at,
            colour: v(1.0, 0.92, 0.8) * m.r.range(0.4, 1.5),
            size: 0.3,
            reach: 5.0,
        });
    }
    if m.r.chance(0.7) {
        let wall = Material::random(
            &mut m.r,
            &[Family::Brick, Family::Noise, Family::Facade, Family::Poster],
            Tint::Any,
            (1.0, 4.0),
        );
        let wall = m.mat(wall);
        let side = half * m.r.range(1.3, 2.5);
        for s in [-1.0, 1.0] {
            if m.r.chance(0.8) {
                m.s.block(
                    &way,
                    v(s * side, tall * 0.75, long * 0.5),
                    v(0.2, tall * 0.75, long * 0.6),
                    I,
                    wall,
                );
            }
        }
        m.s.block(
            &way,
            v(0.0, tall * 0.75, long + 2.0),
            v(half * 3.0, tall * 0.75, 0.2),
            I,
            wall,
        );
    }
    for _ in 0..m.r.int(0, 7) {
        let f = way.child(
            v(m.r.range(-0.8, 0.8) * half, 0.0, m.r.log(1.8, 20.0)),
            ry(m.r.turn()),
        );
        person::anyone(m, &f);
    }
    common::far_layers(m, (80.0, 200.0));
}

/// A run of shop shelves full of goods, its front at +z.
fn shelves(m: &mut Maker, f: &Frame, half: f32, tall: f32) {
    let board = Material::plain(&mut m.r, Tint::Light);
    let board = m.mat(board);
    m.s.block(
        f,
        v(0.0, tall * 0.5, -0.25),
        v(half, tall * 0.5, 0.02),
        I,
        board,
    );
    let rows = m.r.int(3, 6);
    for j in 0..rows {
        let y = tall * j as f32 / rows as f32 + 0.08;
        m.s.block(f, v(0.0, y, 0.0), v(half, 0.02, 0.24), I, board);
        let mut x = -half + 0.12;
        let k = (tall / rows as f32 * 0.22).min(0.12);
        while x < half - 0.1 {
            let g = f.child(v(x, y + 0.02, 0.05), I);
            if m.r.chance(0.3) {
                item::bottle(m, &g, k * 0.7);
            } else {
                let c = Material::random(
                    &mut m.r,
                    &[Family::Text, Family::Poster, Family::Stripe],
                    Tint::Vivid,
                    (0.1, 0.5),
                );
                let c = m.mat(c);
                let h = k * m.r.range(0.7, 1.5);
                m.s.block(&g, v(0.0, h, 0.0), v(k * 0.8, h, 0.12), I, c);
            }
            x += k * m.r.range(1.9, 3.2);
        }
    }
}
