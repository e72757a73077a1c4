//! Open land, woods, hills, water.

use super::common;
use crate::camera::Camera;
use crate::geometry::{Frame, forms};
use crate::light::{Light, Sky};
use crate::material::{Material, SOIL, Tint};
use crate::objects::{I, Maker, animal, outdoor, person, plant, structure, v, vehicle};
use crate::texture::{ATLAS, Family};
use std::sync::Arc;

fn soil(m: &mut Maker) -> Material {
    let tint =
        m.r.pick(&[Tint::Green, Tint::Green, Tint::Earth, Tint::Grey]);
    let mut s = Material::random(&mut m.r, &SOIL, tint, (0.5, 5.0));
    s.gloss = 0.0;
    s
}

/// Grass tufts near the camera.
fn tufts(m: &mut Maker, count: usize, far: f32) {
    let green = Material::leaves(&mut m.r);
    let green = m.mat(green);
    let tall = m.r.log(0.08, 0.6);
    for _ in 0..count {
        let p = common::place(m, 0.8, far, 1.2);
        let h = tall * m.r.range(0.5, 1.4);
        plant::grass(m, &Frame::upright(p, 0.0), h, green);
    }
}

/// Meadows, parks, gardens, deserts, fields with animals and people.
pub fn field(m: &mut Maker) {
    common::daylight(m);
    let height = if m.r.chance(0.85) {
        m.r.range(0.5, 2.2)
    } else {
        m.r.log(2.2, 40.0)
    };
    let pitch = m.r.normal(0.1) + 0.02 * height.min(12.0);
    common::camera(m, height, pitch);
    let s = soil(m);
    common::ground(m, s);
    if m.r.chance(0.45) {
        // a path or a road
        let tint = m.r.pick(&[Tint::Earth, Tint::Grey]);
        let path = Material::random(
            &mut m.r,
            &[Family::Noise, Family::Fine, Family::Gravel],
            tint,
            (0.6, 3.0),
        );
        let path = m.mat(path);
        let f = Frame::upright(v(m.r.normal(3.0), 0.0, 0.0), m.r.normal(0.5));
        let half = m.r.log(0.4, 4.0);
        m.s.block(&f, v(0.0, 0.0, 0.0), v(half, 0.015, 600.0), I, path);
    }
    if m.r.chance(0.5) {
        let n = m.r.int(5, 60);
        tufts(m, n, 12.0);
    }
    for _ in 0..m.r.int(0, 8) {
        let p = common::place(m, 6.0, 90.0, 1.2);
        let h = m.r.log(2.5, 14.0);
        plant::tree(m, &Frame::upright(p, 0.0), h);
    }
    for _ in 0..m.r.int(0, 6) {
        let p = common::place(m, 2.5, 40.0, 1.1);
        let w = m.r.log(0.4, 2.0);
        plant::bush(m, &Frame::upright(p, 0.0), w);
    }
    for _ in 0..m.r.int(0, 5) {
        let p = common::place(m, 1.8, 30.0, 1.1);
        let w = m.r.log(0.1, 1.8);
        plant::rock(m, &Frame::upright(p, 0.0), w);
    }
    life(m);
    if m.r.chance(0.35) {
        let p = common::place(m, 3.0, 20.0, 1.0);
        let long = m.r.range(6.0, 40.0);
        let f = Frame::upright(p - v(long * 0.4, 0.0, 0.0), m.r.normal(0.5));
        structure::fence(m, &f, long);
    }
    for _ in 0..m.r.int(0, 3) {
        if m.r.chance(0.5) {
            let p = common::place(m, 14.0, 130.0, 1.1);
            let size = (
                m.r.range(2.5, 7.0),
                m.r.range(2.5, 8.0),
                m.r.range(2.5, 9.0),
            );
            let spot = Frame::upright(p, m.r.turn());
            structure::building(m, &spot, size, false);
        }
    }
    for _ in 0..m.r.int(0, 3) {
        let p = common::place(m, 3.0, 40.0, 1.0);
        let spot = Frame::upright(p, m.r.turn());
        outdoor::pole(m, &spot, false);
    }
    common::far_layers(m, (60.0, 250.0));
    let depth = m.r.log(1.5, 12.0);
    common::focus(m, depth, 0.2);
}

/// A few people and animals.
fn life(m: &mut Maker) {
    for _ in 0..m.r.int(0, 4) {
        let p = common::place(m, 2.2, 30.0, 0.9);
        let spot = Frame::upright(p, m.r.turn());
        person::anyone(m, &spot);
    }
    if m.r.chance(0.35) {
        for _ in 0..m.r.int(1, 6) {
            let p = common::place(m, 2.5, 35.0, 1.0);
            let f = Frame::upright(p, m.r.turn());
            if m.r.chance(0.6) {
                let h = m.r.range(0.7, 1.6);
                animal::grazer(m, &f, h);
            } else {
                let long = m.r.range(0.3, 0.8);
                animal::quadruped(m, &f, long, animal::Pose::Stand);
            }
        }
    }
    if m.r.chance(0.12) {
        let p = common::place(m, 5.0, 40.0, 0.9);
        let spot = Frame::upright(p, m.r.turn());
        vehicle::car(m, &spot, false);
    }
}

/// Between trees.
pub fn forest(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(0.4, 2.0);
    let pitch = m.r.normal(0.12);
    common::camera(m, height, pitch);
    let tint = m.r.pick(&[Tint::Green, Tint::Earth]);
    let mut s = Material::random(
        &mut m.r,
        &[Family::Leaf, Family::Noise, Family::Grass, Family::Gravel],
        tint,
        (0.4, 3.0),
    );
    s.gloss = 0.0;
    common::ground(m, s);
    let n = m.r.int(8, 32);
    let tall = m.r.range(5.0, 16.0);
    let slim = m.r.chance(0.4);
    for _ in 0..n {
        let p = common::place(m, 1.8, 45.0, 1.3);
        let f = Frame::upright(p, m.r.turn());
        let h = tall * m.r.range(0.6, 1.3);
        if slim && m.r.chance(0.7) {
            // trunks only: the crowns are above the picture
            let mut bark = Material::random(
                &mut m.r,
                &[Family::Fur, Family::Ridge, Family::Noise],
                Tint::Earth,
                (0.2, 1.0),
            );
            bark.relief = 0.03;
            let bark = m.mat(bark);
            let r = m.r.log(0.05, 0.4);
            m.s.chain(
                &f,
                &[
                    (v(0.0, -0.1, 0.0), r * 1.4),
                    (v(0.0, 0.5, 0.0), r),
                    (v(m.r.normal(0.4), h, m.r.normal(0.4)), r * 0.6),
                ],
                bark,
            );
        } else {
            plant::tree(m, &f, h);
        }
    }
    for _ in 0..m.r.int(0, 8) {
        let p = common::place(m, 1.5, 20.0, 1.2);
        let w = m.r.log(0.3, 1.6);
        if m.r.chance(0.6) {
            plant::bush(m, &Frame::upright(p, 0.0), w);
        } else {
            plant::rock(m, &Frame::upright(p, 0.0), w * 0.4);
        }
    }
    let n = m.r.int(0, 50);
    tufts(m, n, 10.0);
    life(m);
    if m.r.chance(0.6) {
        common::far_layers(m, (35.0, 90.0));
    }
    if m.r.chance(0.3) {
        m.s.sky.fog = m.r.log(0.01, 0.06);
    }
    let depth = m.r.log(1.5, 8.0);
    common::focus(m, depth, 0.25);
}

/// Hills, cliffs, dunes and mountains: land with a shape.
pub fn hills(m: &mut Maker) {
    common::daylight(m);
    let seed = m.r.bits() as u32;
    let size = m.r.log(6.0, 120.0);
    let tall = size * m.r.range(0.08, 0.5);
    let rough = m.r.int(2, 6) as u32;
    let sharp = m.r.chance(0.4);
    let land = move |x: f32, z: f32| {
        let p = v(x / size + 17.3, 0.0, z / size + 4.1);
        let mut n = forms::fbm3(p, rough, seed);
        if sharp {
            n = 0.6 - 1.6 * n.abs();
        }
        // flat where the camera stands
        let near = (x * x + z * z).sqrt() / (size * 0.35);
        n * tall * (near * near / (1.0 + near * near))
    };
    let top = land(0.0, 0.0);
    let height = top
        + if m.r.chance(0.7) {
            m.r.range(1.0, 2.2)
        } else {
            m.r.log(2.0, 30.0)
        };
    let pitch = m.r.normal(0.08) + 0.01 * height.min(15.0);
    common::camera(m, height, pitch);
    let mut s = soil(m);
    s.tile *= 2.0;
    s.relief = m.r.range(0.0, 0.04);
    let s = m.mat(s);
    let mesh = Arc::new(forms::land(44, 0.6, size * 6.0, land));
    m.s.mesh(
        &Frame::WORLD,
        v(0.0, 0.0, 0.0),
        v(1.0, 1.0, 1.0),
        I,
        &mesh,
        s,
    );
    let place = |m: &mut Maker, near: f32, far: f32| {
        let p = common::place(m, near, far, 1.1);
        Frame::upright(v(p.x, land(p.x, p.z) - 0.05, p.z), m.r.turn())
    };
    for _ in 0..m.r.int(0, 12) {
        let f = place(m, 4.0, size * 2.0);
        let h = m.r.log(2.0, 10.0);
        plant::tree(m, &f, h);
    }
    for _ in 0..m.r.int(0, 12) {
        let f = place(m, 2.0, 40.0);
        let w = m.r.log(0.2, 2.5);
        if m.r.chance(0.6) {
            plant::rock(m, &f, w)
        } else {
            plant::bush(m, &f, w)
        }
    }
    for _ in 0..m.r.int(0, 4) {
        let f = place(m, 2.5, 30.0);
        if m.r.chance(0.6) {
            person::anyone(m, &f);
        } else {
            let h = m.r.range(0.8, 1.5);
            animal::grazer(m, &f, h);
        }
    }
    common::far_layers(m, (size * 5.0, size * 12.0));
}

/// Water: lakes, sea, rivers, harbours; its surface is what has depth.
pub fn waterside(m: &mut Maker) {
    common::daylight(m);
    let height = if m.r.chance(0.75) {
        m.r.range(0.6, 2.5)
    } else {
        m.r.log(2.5, 20.0)
    };
    let pitch = m.r.normal(0.08) + 0.015 * height.min(10.0);
    common::camera(m, height, pitch);
    let mut water = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Ridge, Family::Cell],
        Tint::Water,
        (1.0, 8.0),
    );
    water.mirror = m.r.range(0.02, 0.12);
    water.relief = if m.r.chance(0.25) {
        0.0005
    } else {
        m.r.log(0.002, 0.03)
    };
    water.gloss = m.r.range(0.2, 1.0);
    water.sharpness = 120.0;
    water.mix *= 0.4;
    water.wear_amount *= 0.3;
    common::ground(m, water);
    // the near shore: beach, quay or jetty
    if m.r.chance(0.75) {
        let quay = m.r.chance(0.4);
        let shore = if quay {
            Material::random(
                &mut m.r,
                &[Family::Brick, Family::Wood, Family::Noise],
                Tint::Grey,
                (0.6, 3.0),
            )
        } else {
            Material::random(
                &mut m.r,
                &[Family::Noise, Family::Gravel, Family::Grass, Family::Fine],
                Tint::Earth,
                (0.5, 4.0),
            )
        };
        let shore = m.mat(shore);
        let yaw = m.r.normal(0.5);
        let deep = m.r.log(1.5, 12.0);
        let f = Frame::upright(v(0.0, 0.0, 0.0), yaw);
        let up = if quay { m.r.range(0.2, 0.5) } else { 0.06 };
        if quay {
            m.s.block(
                &f,
                v(0.0, -1.0 + up, deep - 60.0),
                v(400.0, 1.0, 60.0),
                I,
                shore,
            );
        } else {
            m.s.block(
                &f,
                v(0.0, -1.4, deep - 61.0),
                v(400.0, 1.5, 60.0),
                crate::objects::rx(0.02),
                shore,
            );
        }
        for _ in 0..m.r.int(0, 6) {
            let p = common::place(m, 1.5, deep.max(2.5), 1.0);
            let g = Frame::upright(v(p.x, up, p.z), m.r.turn());
            match m.r.int(0, 4) {
                0 => person::anyone(m, &g),
                1 => {
                    let w = m.r.log(0.1, 0.8);
                    plant::rock(m, &g, w);
                }
                2 => outdoor::bollard(m, &g),
                _ => {
                    let h = m.r.range(1.5, 5.0);
                    plant::tree(m, &g, h);
                }
            }
        }
        if m.r.chance(0.3) {
            let g = f.child(v(-15.0, up, deep - 0.2), I);
            structure::fence(m, &g, 30.0);
        }
    }
    for _ in 0..m.r.int(0, 6) {
        let p = common::place(m, 6.0, 80.0, 1.0);
        let f = Frame::upright(p, m.r.turn());
        match m.r.int(0, 3) {
            0 => {
                let w = m.r.log(0.3, 3.0);
                plant::rock(m, &f, w);
            }
            _ => {
                let long = m.r.range(2.5, 12.0);
                vehicle::boat(m, &f, long);
            }
        }
    }
    if m.r.chance(0.5) {
        // the other shore
        let bank = soil(m);
        let bank = m.mat(bank);
        let z = m.r.log(20.0, 150.0);
        let f = Frame::upright(v(0.0, 0.0, z), m.r.normal(0.15));
        m.s.block(&f, v(0.0, 0.0, 200.0), v(900.0, 0.8, 200.0), I, bank);
        for _ in 0..m.r.int(2, 18) {
            let g = f.child(v(m.r.range(-1.0, 1.0) * z, 0.6, m.r.range(1.0, 15.0)), I);
            if m.r.chance(0.7) {
                let h = m.r.range(3.0, 12.0);
                plant::tree(m, &g, h);
            } else {
                let size = (m.r.range(3.0, 8.0), m.r.range(4.0, 14.0), 4.0);
                structure::building(m, &g, size, false);
            }
        }
    }
    if m.r.chance(0.75) {
        common::far_layers(m, (200.0, 600.0));
    }
}

/// Under water: swimmers over sand and coral, everything fading into blue.
pub fn under_water(m: &mut Maker) {
    let blue = crate::material::hsv(
        m.r.range(0.48, 0.62),
        m.r.range(0.5, 0.9),
        m.r.range(0.5, 0.95),
    );
    m.s.sky = Sky {
        zenith: blue * 1.6,
        horizon: blue,
        below: blue * 0.5,
        falloff: m.r.range(0.6, 2.0),
        fog: m.r.log(0.03, 0.2),
        fog_colour: blue,
        cloud: ATLAS.pick(&mut m.r, &[Family::Ridge]),
        ..Sky::default()
    };
    m.s.lights = vec![Light::Sun {
        dir: v(m.r.normal(0.4), 1.0, m.r.normal(0.4)).normalize(),
        colour: (blue + v(0.3, 0.3, 0.3)) * m.r.range(0.6, 1.6),
        size: 0.1,
    }];
    m.s.ambient = blue * 0.7;
    m.s.ambient_below = blue * 0.35;
    let height = m.r.range(0.6, 4.0);
    let fov = common::field_of_view(m);
    let pitch = m.r.normal(0.15);
    let roll = m.r.normal(0.08);
    m.s.camera = Camera::new(v(0.0, height, 0.0), 0.0, pitch, roll, fov);
    let mut sand = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Ridge, Family::Fine],
        Tint::Light,
        (0.5, 4.0),
    );
    sand.relief = 0.02;
    if m.r.chance(0.85) {
        common::ground(m, sand);
    }
    let fish = m.r.chance(0.5);
    let long = if fish {
        m.r.log(0.15, 0.6)
    } else {
        m.r.range(1.6, 2.6)
    };
    let heading = m.r.turn();
    for _ in 0..m.r.int(2, if fish { 16 } else { 9 }) {
        let p = common::place(m, long * 0.9, 9.0, 0.8);
        let y = (height + m.r.normal(0.35) * p.z).max(long * 0.25);
        let yaw = heading + m.r.normal(0.35);
        let mut f = Frame::upright(v(p.x, y, p.z), yaw);
        f.rot *= crate::objects::rx(m.r.normal(0.3)) * crate::objects::rz(m.r.normal(0.3));
        let size = long * m.r.range(0.75, 1.2);
        animal::swimmer(m, &f, size, fish);
    }
    for _ in 0..m.r.int(0, 9) {
        let p = common::place(m, 1.2, 12.0, 1.1);
        let w = m.r.log(0.15, 1.2);
        let f = Frame::upright(p, m.r.turn());
        if m.r.chance(0.6) {
            plant::rock(m, &f, w)
        } else {
            plant::bush(m, &f, w)
        }
    }
}

/// Leaves, branches and hedges that fill the picture at several depths.
pub fn foliage(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(0.8, 2.2);
    let pitch = m.r.normal(0.35);
    common::camera(m, height, pitch);
    let s = soil(m);
    common::ground(m, s);
    let half = 0.5 / m.s.camera.focal;
    let nearest = m.r.log(0.4, 2.0);
    for _ in 0..m.r.int(9, 26) {
        let z = nearest * m.r.log(1.0, 7.0);
        let p = v(
            m.r.range(-1.1, 1.1) * half * z,
            m.r.range(-0.9, 0.9) * half * z,
            z,
        );
        let at = m.s.camera.at + m.s.camera.axes * p;
        let f = Frame::upright(at - v(0.0, z * 0.12, 0.0), m.r.turn());
        let wide = z * m.r.range(0.25, 0.7);
        plant::bush(m, &f, wide);
    }
    let bark = Material::random(
        &mut m.r,
        &[Family::Fur, Family::Ridge],
        Tint::Earth,
        (0.1, 0.5),
    );
    let bark = m.mat(bark);
    for _ in 0..m.r.int(0, 6) {
        let z = nearest * m.r.log(1.0, 5.0);
        let r = z * m.r.log(0.004, 0.04);
        let end = |m: &mut Maker, s: f32| {
            let p = v(
                s * half * z * m.r.range(0.3, 1.4),
                m.r.range(-1.2, 1.2) * half * z,
                z * m.r.range(0.8, 1.3),
            );
            m.s.camera.at + m.s.camera.axes * p
        };
        let (a, b) = (end(m, -1.0), end(m, 1.0));
        m.s.limb(&Frame::WORLD, a, b, r, r * 0.6, bark);
    }
    if m.r.chance(0.3) {
        let f = Frame::upright(v(m.r.normal(0.3) * nearest, 0.0, nearest * 1.5), m.r.turn());
        let tall = height * m.r.range(1.2, 2.5);
        plant::bare(m, &f.sized(tall));
    }
    common::far_layers(m, (30.0, 120.0));
    common::focus(m, nearest * 1.2, 0.5);
    m.s.occlusion = nearest * 0.5;
}

/// Among stones: cliffs, gorges, walls of rock, a cave's mouth.
pub fn rocks(m: &mut Maker) {
    common::daylight(m);
    let height = m.r.range(0.6, 2.0);
    let pitch = m.r.normal(0.2);
    common::camera(m, height, pitch);
    let mut s = Material::random(
        &mut m.r,
        &[Family::Gravel, Family::Noise, Family::Ridge, Family::Cell],
        Tint::Earth,
        (0.5, 3.0),
    );
    s.gloss = 0.0;
    common::ground(m, s);
    let gorge = m.r.chance(0.5);
    for _ in 0..m.r.int(6, 22) {
        let z = m.r.log(1.5, 40.0);
        let (x, w) = if gorge {
            let w = z * m.r.range(0.2, 0.5) + 1.0;
            (m.r.sign() * (w * 0.7 + m.r.range(0.8, 2.5) + z * 0.08), w)
        } else {
            (m.r.range(-1.0, 1.0) * z * 0.6, z * m.r.log(0.06, 0.4))
        };
        let f = Frame::upright(v(x, -0.1 * w, z), m.r.turn());
        plant::rock(m, &f, w);
    }
    for _ in 0..m.r.int(0, 5) {
        let p = common::place(m, 2.0, 20.0, 0.8);
        let f = Frame::upright(p, m.r.turn());
        match m.r.int(0, 3) {
            0 => person::anyone(m, &f),
            1 => {
                let h = m.r.range(1.5, 5.0);
                plant::tree(m, &f, h);
            }
            _ => {
                let w = m.r.range(0.3, 1.0);
                plant::bush(m, &f, w);
            }
        }
    }
    common::far_layers(m, (60.0, 300.0));
}
