//! Streets, roads, stairs, walls, bridges.

use super::common;
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::light::Light;
use crate::material::{Material, PAVED, PLAIN, Tint};
use crate::objects::{HALF, QUARTER};
use crate::objects::{I, Maker, outdoor, person, plant, ry, structure, v, vehicle};
use crate::texture::Family;

/// A street between houses, mostly by day, sometimes wet.
pub fn street(m: &mut Maker) {
    let night = m.r.chance(0.1);
    let wet = m.r.chance(if night { 0.6 } else { 0.12 });
    street_of(m, night, wet);
}

/// A street at night with signs, lamps and often a wet ground.
pub fn night_street(m: &mut Maker) {
    let wet = m.r.chance(0.7);
    street_of(m, true, wet);
}

fn street_of(m: &mut Maker, night: bool, wet: bool) {
    if night {
        common::night(m)
    } else {
        common::daylight(m)
    }
    let height = match m.r.int(0, 10) {
        0 => m.r.range(0.4, 1.0),
        1..=7 => m.r.range(1.3, 2.0),
        8 => m.r.range(2.0, 5.0),
        _ => m.r.range(5.0, 18.0),
    };
    let pitch = m.r.normal(0.09) + 0.03 * (height - 1.6).clamp(0.0, 9.0);
    common::camera(m, height, pitch);
    let mut road = Material::random(&mut m.r, &PAVED, Tint::Grey, (1.0, 6.0));
    road.colours = road.colours.map(|c| c * 0.5);
    road.gloss = 0.0;
    if wet {
        road.mirror = m.r.range(0.05, 0.35);
        road.relief = m.r.range(0.002, 0.02);
    }
    common::ground(m, road);
    let half = m.r.range(2.0, 9.0);
    let walk = m.r.range(1.0, 4.0);
    let yaw = m.r.normal(0.3);
    let off = m.r.range(-0.9, 0.9) * (half + 0.5 * walk);
    let way = Frame::upright(ry(yaw) * v(-off, 0.0, 0.0), yaw);
    pavement(m, &way, half, walk);
    house_rows(m, &way, half + walk, night);
    traffic(m, &way, half, night);
    for _ in 0..m.r.int(0, 9) {
        let s = m.r.sign();
        let x = if m.r.chance(0.75) {
            s * (half + m.r.range(0.2, walk))
        } else {
            m.r.range(-1.0, 1.0) * half
        };
        let f = way.child(v(x, 0.1, m.r.log(2.0, 45.0)), ry(m.r.turn()));
        person::anyone(m, &f);
    }
    for _ in 0..m.r.int(0, 8) {
        let s = m.r.sign();
        let at = v(s * (half + m.r.range(0.2, 0.8)), 0.0, m.r.log(3.0, 60.0));
        let f = way.child(at, ry(m.r.turn()));
        match m.r.int(0, 6) {
            0 | 1 => {
                let h = m.r.range(3.5, 10.0);
                plant::tree(m, &f, h);
            }
            2 => outdoor::bollard(m, &f),
            3 => outdoor::bench(m, &f),
            _ => outdoor::pole(
                m,
                &way.child(at, ry(if s > 0.0 { HALF } else { 0.0 })),
                night,
            ),
        }
    }
    if m.r.chance(0.3) {
        let z = m.r.range(4.0, 25.0);
        let (a, b) = (
            way.point(v(-half - walk, m.r.range(4.0, 8.0), z)),
            way.point(v(half + walk, m.r.range(4.0, 8.0), z + 6.0)),
        );
        let n = m.r.int(1, 5);
        outdoor::cables(m, a, b, n, 0.012);
    }
    if m.r.chance(0.25) {
        let f = way.child(
            v(m.r.sign() * (half + 0.3), 0.0, m.r.range(2.0, 9.0)),
            ry(-QUARTER),
        );
        let long = m.r.range(4.0, 20.0);
        structure::fence(m, &f, long);
    }
    if night {
        lamps(m, &way, half + walk);
    } else if m.r.chance(0.7) {
        common::far_layers(m, (60.0, 200.0));
    }
    let depth = m.r.log(3.0, 15.0);
    common::focus(m, depth, 0.15);
}

/// Slabs beside a road of this half width, and paint on it.
pub fn pavement(m: &mut Maker, way: &Frame, half: f32, walk: f32) {
    if m.r.chance(0.75) {
        let slab = Material::random(
            &mut m.r,
            &[Family::Brick, Family::Noise, Family::Check, Family::Fine],
            Tint::Grey,
            (0.8, 3.0),
        );
        let slab = m.mat(slab);
        for s in [-1.0, 1.0] {
            m.s.block(
                way,
                v(s * (half + walk * 0.5), 0.0, 90.0),
                v(walk * 0.5, 0.12, 110.0),
                I,
                slab,
            );
        }
    }
    if m.r.chance(0.7) {
        let mut paint = Material::plain(&mut m.r, Tint::Light);
        paint.wear_amount = 0.8;
        let paint = m.mat(paint);
        let long = m.r.range(0.8, 2.0);
        for k in 0..14 {
            let z = -4.0 + k as f32 * long * 3.0;
            m.s.block(way, v(0.0, 0.003, z), v(0.07, 0.004, long), I, paint);
        }
        if m.r.chance(0.4) {
            let z = m.r.range(3.0, 20.0);
            for k in 0..((half * 2.0) as usize) {
                m.s.block(
                    way,
                    v(-half + 0.5 + k as f32, 0.003, z),
                    v(0.25, 0.005, 1.6),
                    I,
                    paint,
                );
            }
        }
        if m.r.chance(0.4) {
            for s in [-1.0, 1.0] {
                m.s.block(
                    way,
                    v(s * (half - 0.3), 0.003, 60.0),
                    v(0.06, 0.004, 90.0),
                    I,
                    paint,
                );
            }
        }
    }
}

/// Houses along both sides, their fronts at `edge` from the middle.
pub fn house_rows(m: &mut Maker, way: &Frame, edge: f32, night: bool) {
    let tall = m.r.log(3.5, 22.0);
    let gaps = m.r.chance(0.4);
    for s in [-1.0f32, 1.0] {
        if m.r.chance(0.12) {
            continue;
        }
        let mut z = m.r.range(-14.0, 3.0);
        while z < 110.0 {
            let half = m.r.range(3.0, 10.0);
            let h = tall * m.r.range(0.6, 1.5);
            let deep = m.r.range(3.0, 8.0);
            let x = s
                * (edge
                    + deep
                    + if gaps {
                        m.r.range(0.0, 5.0)
                    } else {
                        m.r.range(0.0, 0.6)
                    });
            structure::building(
                m,
                &way.child(v(x, 0.0, z + half), I),
                (deep, h, half),
                night,
            );
            if night {
                for _ in 0..m.r.int(0, 4) {
                    let spot = way.child(
                        v(
                            s * (edge - 0.1),
                            m.r.range(2.5, 9.0),
                            z + m.r.range(0.0, 2.0) * half,
                        ),
                        I,
                    );
                    neon(m, &spot, s);
                }
            }
            z += 2.0 * half + if gaps { m.r.range(0.0, 12.0) } else { 0.0 };
        }
    }
    if m.r.chance(0.35) {
        let f = way.child(v(m.r.range(-12.0, 12.0), 0.0, m.r.range(50.0, 140.0)), I);
        let size = (m.r.range(8.0, 30.0), m.r.log(6.0, 60.0), 5.0);
        structure::building(m, &f, size, night);
    }
}

/// A lit sign that stands out from a wall, or lies on it.
fn neon(m: &mut Maker, f: &Frame, side: f32) {
    let mut sign = Material::random(
        &mut m.r,
        &[Family::Text, Family::Poster, Family::Stripe],
        Tint::Vivid,
        (0.6, 3.0),
    );
    sign.emit = m.r.log(0.4, 4.0);
    let sign = m.mat(sign);
    let (w, h) = (m.r.range(0.3, 0.6), m.r.log(0.4, 3.0));
    if m.r.chance(0.6) {
        m.s.block(f, v(-side * w, 0.0, 0.0), v(w, h, 0.1), I, sign);
    } else {
        m.s.block(f, v(0.0, 0.0, 0.0), v(0.08, h * 0.5, w * 2.5), I, sign);
    }
}

fn traffic(m: &mut Maker, way: &Frame, half: f32, night: bool) {
    if half < 2.6 {
        return;
    }
    let parked = m.r.chance(0.4);
    for s in [-1.0f32, 1.0] {
        let face = if s > 0.0 { 0.0 } else { HALF };
        if parked {
            let mut z = m.r.range(-3.0, 8.0);
            while z < 45.0 {
                if m.r.chance(0.75) {
                    let f = way.child(v(s * (half - 1.0), 0.0, z), ry(face + m.r.normal(0.03)));
                    vehicle::car(m, &f, false);
                }
                z += m.r.range(5.5, 7.5);
            }
        }
        for _ in 0..m.r.int(0, 4) {
            let x = s * half * if parked { 0.3 } else { m.r.range(0.35, 0.6) };
            let f = way.child(v(x, 0.0, m.r.log(5.0, 70.0)), ry(face + m.r.normal(0.06)));
            vehicle::car(m, &f, night);
        }
    }
    if m.r.chance(0.3) {
        let f = way.child(
            v(m.r.sign() * (half + 0.4), 0.1, m.r.log(1.5, 10.0)),
            ry(m.r.turn()),
        );
        vehicle::bicycle(m, &f);
    }
}

/// Lamps along a way: light that falls off, for the night.
fn lamps(m: &mut Maker, way: &Frame, edge: f32) {
    let warm = m.r.chance(0.5);
    for _ in 0..m.r.int(2, 5) {
        let colour = if m.r.chance(0.7) {
            if warm {
                v(1.0, 0.72, 0.4)
            } else {
                v(0.85, 0.92, 1.0)
            }
        } else {
            crate::material::colour(&mut m.r, Tint::Vivid)
        };
        let at = way.point(v(
            m.r.sign() * edge * m.r.range(0.5, 0.95),
            m.r.range(3.0, 6.5),
            m.r.log(2.0, 30.0),
        ));
        m.s.lights.push(Light::Lamp {
            at,
            colour: colour * m.r.range(0.8, 2.5),
            size: 0.2,
            reach: m.r.range(1.5, 5.0),
        });
    }
}

/// A road, car park or square from a camera high on a pole or a roof.
pub fn road_above(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.log(3.5, 25.0);
    let straight_down = m.r.chance(0.3);
    let pitch = if straight_down {
        m.r.range(1.1, 1.57)
    } else {
        m.r.range(0.25, 1.25)
    };
    let fov = common::field_of_view(m);
    let roll = m.r.normal(if straight_down { 0.5 } else { 0.02 });
    m.s.camera = Camera::new(v(0.0, height, 0.0), 0.0, pitch, roll, fov);
    let mut road = if m.r.chance(0.65) {
        // asphalt: fine grain, hardly a pattern
        Material::random(&mut m.r, &PLAIN, Tint::Grey, (0.3, 2.0))
    } else {
        Material::random(&mut m.r, &PAVED, Tint::Grey, (1.0, 8.0))
    };
    road.gloss = 0.0;
    road.mix *= 0.4;
    common::ground(m, road);
    let aim = height / pitch.tan();
    let yaw = m.r.turn();
    let way = Frame::upright(v(m.r.normal(2.0), 0.0, aim * m.r.range(0.5, 1.2)), yaw);
    let half = m.r.range(3.0, 9.0);
    let paint = Material::plain(&mut m.r, Tint::Light);
    let paint = m.mat(paint);
    let bays = m.r.chance(0.4);
    for k in -12..12 {
        let z = k as f32 * if bays { 2.6 } else { 5.0 };
        if bays {
            m.s.block(&way, v(half, 0.004, z), v(2.5, 0.004, 0.06), I, paint);
        } else {
            m.s.block(&way, v(0.0, 0.004, z), v(0.07, 0.004, 1.4), I, paint);
        }
    }
    if m.r.chance(0.5) {
        let kerb = Material::random(
            &mut m.r,
            &[Family::Brick, Family::Noise, Family::Grass],
            Tint::Any,
            (0.8, 3.0),
        );
        let kerb = m.mat(kerb);
        let s = m.r.sign();
        m.s.block(
            &way,
            v(s * (half + 8.0), 0.0, 0.0),
            v(5.0, 0.15, 200.0),
            I,
            kerb,
        );
        for _ in 0..m.r.int(0, 6) {
            let f = way.child(
                v(
                    s * (half + m.r.range(4.0, 9.0)),
                    0.1,
                    m.r.range(-20.0, 20.0),
                ),
                I,
            );
            let h = m.r.range(2.5, 8.0);
            if m.r.chance(0.6) {
                plant::tree(m, &f, h)
            } else {
                plant::bush(m, &f, h * 0.25)
            }
        }
    }
    let reach = (aim * 0.8 + height).min(45.0);
    for _ in 0..m.r.int(1, 12) {
        let x = m.r.range(-0.9, 0.9) * half;
        let z = m.r.range(-1.0, 1.2) * m.r.range(0.2, 1.0) * reach;
        let turn = if bays { QUARTER } else { 0.0 } + if m.r.chance(0.5) { HALF } else { 0.0 };
        let f = way.child(
            v(if bays { half } else { x }, 0.0, z),
            ry(turn + m.r.normal(0.06)),
        );
        vehicle::car(m, &f, false);
    }
    for _ in 0..m.r.int(0, 10) {
        let f = way.child(
            v(
                m.r.range(-2.0, 2.0) * half,
                0.0,
                m.r.range(-1.0, 1.0) * reach,
            ),
            ry(m.r.turn()),
        );
        person::anyone(m, &f);
    }
    for _ in 0..m.r.int(0, 4) {
        let f = way.child(
            v(
                m.r.sign() * (half + m.r.range(1.0, 3.0)),
                0.0,
                m.r.range(-1.0, 1.0) * reach,
            ),
            I,
        );
        outdoor::pole(m, &f, false);
    }
    if m.r.chance(0.5) {
        let f = way.child(v(-half - 12.0, 0.0, m.r.range(-10.0, 20.0)), I);
        let size = (6.0, m.r.range(3.0, 20.0), m.r.range(6.0, 25.0));
        structure::building(m, &f, size, false);
    }
    common::far_layers(m, (120.0, 300.0));
}

/// Stairs, seen from below or above, outside or in a hall.
pub fn stairs(m: &mut Maker) {
    let inside = m.r.chance(0.4);
    common::daylight(m);
    let rise = m.r.range(0.13, 0.2);
    let run = m.r.range(0.24, 0.45);
    let half = m.r.range(0.5, 3.0);
    let n = m.r.int(5, 22);
    let down = m.r.chance(0.25);
    let far = m.r.range(0.8, 3.5);
    let yaw = m.r.normal(0.3);
    let stone = Material::random(
        &mut m.r,
        &[Family::Brick, Family::Noise, Family::Check, Family::Wood],
        Tint::Any,
        (0.5, 2.5),
    );
    common::ground(m, stone);
    let base = Frame::upright(
        ry(yaw) * v(m.r.normal(0.5), 0.0, if down { 0.8 } else { far }),
        yaw,
    );
    let top;
    if down {
        // the camera stands at the top and looks down: build towards it
        let long = run * n as f32;
        let f = base.child(v(0.0, 0.0, long), ry(HALF));
        top = structure::stairs(m, &f, n, (rise, run, half));
        let pitch = m.r.range(0.25, 0.6);
        let eye = top + m.r.range(1.2, 1.8);
        common::camera(m, eye, pitch);
    } else {
        top = structure::stairs(m, &base, n, (rise, run, half));
        let pitch = m.r.range(-0.35, 0.1);
        let h = m.r.range(0.9, 1.8);
        common::camera(m, h, pitch);
        let landing = Material::random(
            &mut m.r,
            &[Family::Noise, Family::Brick],
            Tint::Any,
            (0.5, 2.5),
        );
        let landing = m.mat(landing);
        let z = run * n as f32;
        m.s.block(
            &base,
            v(0.0, top * 0.5 - 0.01, z + 6.0),
            v(half + 3.0, top * 0.5, 6.0),
            I,
            landing,
        );
        if m.r.chance(0.6) {
            let wall = Material::random(
                &mut m.r,
                &[Family::Noise, Family::Brick, Family::Facade],
                Tint::Any,
                (1.0, 5.0),
            );
            let wall = m.mat(wall);
            m.s.block(
                &base,
                v(0.0, top + 3.0, z + m.r.range(2.0, 9.0)),
                v(half + 6.0, 3.5, 0.2),
                I,
                wall,
            );
        }
    }
    let wall = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Brick, Family::Stripe],
        Tint::Any,
        (0.6, 4.0),
    );
    let wall = m.mat(wall);
    for s in [-1.0, 1.0] {
        if inside || m.r.chance(0.4) {
            m.s.block(
                &base,
                v(s * (half + 0.25), 2.5, 6.0),
                v(0.15, 4.0, 14.0),
                I,
                wall,
            );
        }
    }
    if inside {
        let (x, y, z) = (half * 0.5, top + 2.2, run * n as f32 * 0.6);
        let at = base.point(v(x, y, z));
        m.s.lights = vec![Light::Lamp {
            at,
            colour: v(1.6, 1.4, 1.1),
            size: 0.15,
            reach: 4.0,
        }];
        m.s.ambient = v(0.35, 0.34, 0.32);
        m.s.ambient_below = m.s.ambient * 0.6;
        let roof = Material::plain(&mut m.r, Tint::Light);
        let roof = m.mat(roof);
        m.s.block(
            &base,
            v(0.0, top + 3.2, 6.0),
            v(half + 1.0, 0.2, 16.0),
            I,
            roof,
        );
    } else {
        common::far_layers(m, (40.0, 120.0));
    }
    for _ in 0..m.r.int(0, 4) {
        let k = m.r.int(0, n);
        let (y, z) = (rise * (k + 1) as f32, run * (k as f32 + 0.5));
        let long = run * n as f32;
        let f = base.child(
            v(
                m.r.range(-0.7, 0.7) * half,
                y,
                if down { long - z } else { z },
            ),
            ry(m.r.turn()),
        );
        person::anyone(m, &f);
    }
}

/// On a bridge of steel, or beside one.
pub fn bridge(m: &mut Maker) {
    common::daylight(m);
    let pitch = m.r.normal(0.07) - 0.03;
    let h = m.r.range(1.2, 2.0);
    common::camera(m, h, pitch);
    let mut water = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Ridge],
        Tint::Water,
        (3.0, 10.0),
    );
    water.mirror = 0.04;
    water.relief = 0.01;
    let g = m.mat(water);
    m.s.ground = Some((-m.r.range(4.0, 15.0), g));
    let half = m.r.range(1.8, 5.0);
    let f = Frame::upright(v(m.r.range(-0.6, 0.6) * half, 0.0, -6.0), m.r.normal(0.05));
    let long = m.r.range(30.0, 90.0);
    structure::truss_bridge(m, &f, long, half);
    for _ in 0..m.r.int(0, 6) {
        let g = f.child(
            v(m.r.range(-0.8, 0.8) * half, 0.0, m.r.range(8.0, 45.0)),
            ry(m.r.turn()),
        );
        person::anyone(m, &g);
    }
    common::far_layers(m, (150.0, 400.0));
}
