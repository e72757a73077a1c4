//! What scenes share: weather, far hills, cameras, lenses, places.

use crate::camera::Camera;
use crate::geometry::Frame;
use crate::geometry::library::LIBRARY;
use crate::light::{FarLayer, Light, Sky};
use crate::material::MADE;
use crate::material::{Material, Tint, colour};
use crate::objects::{Maker, v};
use crate::scene::{Lens, Scene};
use crate::texture::{ATLAS, Family};
use glam::Vec3;

/// A camera hand-held at a height: yaw 0, a given pitch, a little roll, a usual field of view.
pub fn camera(m: &mut Maker, height: f32, pitch: f32) {
    let roll = if m.r.chance(0.85) {
        m.r.normal(0.02)
    } else {
        m.r.normal(0.15)
    };
    let fov = field_of_view(m);
    m.s.camera = Camera::new(v(0.0, height, 0.0), 0.0, pitch, roll, fov);
}

/// Field of view over the longer side: phones, cameras, a few long and wide lenses.
pub fn field_of_view(m: &mut Maker) -> f32 {
    let degrees = match m.r.int(0, 10) {
        0 => m.r.range(14.0, 32.0),
        1..=4 => m.r.range(35.0, 55.0),
        5..=8 => m.r.range(55.0, 78.0),
        _ => m.r.range(78.0, 100.0),
    };
    degrees.to_radians()
}

/// Focus at a depth with a wide, middle or narrow opening.
pub fn focus(m: &mut Maker, depth: f32, chance: f32) {
    if m.r.chance(chance) {
        // infinity blurs to this share of the longer side
        let blur = m.r.log(0.002, 0.03);
        m.s.lens = Lens {
            focus: depth,
            aperture: blur * depth,
        };
    }
}

/// A place in view: x within `spread` of the half view at a depth between `near` and `far`.
pub fn place(m: &mut Maker, near: f32, far: f32, spread: f32) -> Vec3 {
    let z = m.r.log(near, far);
    let half = (0.5 / m.s.camera.focal) * z;
    v(m.r.range(-1.0, 1.0) * half * spread, 0.0, z)
}

/// Daylight of some weather, or dusk.
pub fn daylight(m: &mut Maker) {
    let r = &mut m.r;
    let elevation: f32 = if r.chance(0.2) {
        r.range(0.05, 0.25)
    } else {
        r.range(0.25, 1.35)
    };
    let azimuth = r.turn();
    let low = (1.0 - elevation / 0.5).max(0.0);
    let dir = v(
        elevation.cos() * azimuth.sin(),
        elevation.sin(),
        elevation.cos() * azimuth.cos(),
    );
    let overcast = r.chance(0.35);
    let sun = if overcast {
        r.range(0.0, 0.4)
    } else {
        r.range(1.2, 3.0)
    };
    let warm = v(1.0, 0.92 - 0.35 * low, 0.82 - 0.6 * low);
    m.s.lights = vec![Light::Sun {
        dir,
        colour: warm * sun,
        size: if overcast { 0.25 } else { r.range(0.005, 0.03) },
    }];
    let mut sky = Sky {
        falloff: r.range(1.0, 6.0),
        cloud: ATLAS.pick(r, &[Family::Noise]),
        cloud_scale: r.log(0.04, 0.4),
        cloud_amount: if r.chance(0.6) {
            r.range(0.2, 1.0)
        } else {
            0.0
        },
        ..Sky::default()
    };
    if overcast {
        let g = r.range(0.5, 1.1);
        sky.zenith = v(g, g, g * r.range(1.0, 1.1)) * r.range(0.7, 1.0);
        sky.horizon = v(g, g, g);
        sky.cloud_colour = sky.zenith * r.range(0.7, 1.2);
    } else if r.chance(0.08 + 0.5 * low) {
        // dawn, dusk, odd weather
        sky.zenith = crate::material::hsv(r.range(0.5, 0.8), r.range(0.2, 0.7), r.range(0.3, 0.8));
        sky.horizon =
            crate::material::hsv(r.range(0.0, 0.13), r.range(0.2, 0.8), r.range(0.7, 1.0));
        sky.cloud_colour = sky.horizon * r.range(0.6, 1.1);
        sky.glow = r.range(0.0, 0.5);
    } else {
        sky.zenith = v(r.range(0.05, 0.2), r.range(0.2, 0.42), r.range(0.5, 0.95));
        let h = r.range(0.55, 0.95);
        sky.horizon = sky.zenith.lerp(v(h, h, h * 1.05), r.range(0.5, 1.0));
        sky.cloud_colour = Vec3::splat(r.range(0.85, 1.2));
        sky.glow = if r.chance(0.5) {
            r.range(0.0, 0.4)
        } else {
            0.0
        };
    }
    let fill = if overcast {
        r.range(0.6, 0.9)
    } else {
        r.range(0.25, 0.6)
    };
    m.s.ambient = sky.zenith.lerp(sky.horizon, 0.6) * fill;
    m.s.ambient_below = v(0.5, 0.47, 0.42) * fill * r.range(0.25, 0.6);
    sky.below = sky.horizon * 0.4;
    let haze = if r.chance(0.15) {
        r.log(0.008, 0.05)
    } else {
        r.log(0.0002, 0.005)
    };
    sky.fog = haze;
    sky.fog_height = if r.chance(0.3) {
        r.range(0.02, 0.2)
    } else {
        0.0
    };
    sky.fog_colour = sky.horizon * r.range(0.8, 1.0);
    m.s.sky = sky;
    m.s.occlusion = r.range(0.5, 1.6);
}

/// Night outdoors: a dark sky, faint light from everywhere; lamps come from the scene.
pub fn night(m: &mut Maker) {
    let r = &mut m.r;
    let tone = crate::material::hsv(r.range(0.55, 0.75), r.range(0.2, 0.7), 1.0);
    m.s.night = true;
    m.s.lights.clear();
    let glow = r.log(0.003, 0.06);
    m.s.ambient = tone * r.range(0.01, 0.06);
    m.s.ambient_below = v(1.0, 0.8, 0.6) * r.range(0.01, 0.05);
    m.s.sky = Sky {
        zenith: tone * glow * 0.3,
        horizon: tone.lerp(v(1.0, 0.7, 0.4), r.unit()) * glow,
        below: Vec3::splat(0.005),
        stars: if r.chance(0.3) {
            r.range(0.02, 0.3)
        } else {
            0.0
        },
        fog: r.log(0.0005, 0.02),
        fog_colour: tone.lerp(v(1.0, 0.7, 0.4), 0.5) * glow,
        ..Sky::default()
    };
    m.s.occlusion = r.range(0.5, 1.5);
}

/// Far hills, a wood's edge or a skyline.
pub fn far_layers(m: &mut Maker, radius: (f32, f32)) {
    let r = &mut m.r;
    let n = r.int(1, 4);
    let mut at = r.log(radius.0, radius.1);
    let city = r.chance(0.25);
    let family = if r.chance(0.7) {
        Tint::Green
    } else {
        Tint::Any
    };
    let mut tint = colour(r, family) * 0.7;
    for l in 0..n {
        let seed = r.bits() as u32;
        let height = at * r.log(0.02, 0.15);
        let period = r.int(3, 24) as u32;
        let rough = r.range(0.35, 0.65);
        let ground = m.s.camera.at.y * 0.2;
        let count = 1024;
        let towers = r.int(60, 240);
        let profile: Vec<f32> = (0..count)
            .map(|i| {
                let x = i as f32 / count as f32;
                if city && l == 0 {
                    let k = (x * towers as f32) as u32;
                    let h = crate::rng::hash01(k, seed);
                    ground + height * (0.2 + 1.6 * h * h)
                } else {
                    let f = crate::texture::noise::fbm(x, 0.37, (period, 1), 7, rough, seed);
                    (ground + height * (0.7 + 0.6 * f)).max(0.0)
                }
            })
            .collect();
        let wood = !city || l > 0;
        let families: &[Family] = if wood {
            &[Family::Leaf, Family::Noise, Family::Cell, Family::Ridge]
        } else {
            &[Family::Facade]
        };
        m.s.sky.layers.push(FarLayer {
            radius: at,
            top: profile.iter().copied().fold(0.0, f32::max),
            profile,
            colours: [tint * 0.5, tint * 1.3],
            pattern: ATLAS.pick(r, families),
            tile: at * r.log(0.1, 0.6),
        });
        at *= r.range(1.8, 4.5);
        // farther layers take the colour of the air
        tint = tint.lerp(m.s.sky.horizon * 0.8, r.range(0.3, 0.7));
    }
}

/// The endless ground of a material.
pub fn ground(m: &mut Maker, material: Material) -> u32 {
    let g = m.mat(material);
    m.s.ground = Some((0.0, g));
    g
}

/// Something near at the border of the picture: a twig, a post, bars, someone's head; often out of focus.
pub fn foreground(m: &mut Maker) {
    let z = m.r.log(0.25, 0.9);
    let half = 0.5 / m.s.camera.focal * z;
    let side = m.r.sign();
    let c = m.s.camera;
    let world = |p: Vec3| c.at + c.axes * p;
    let edge = v(
        side * half * m.r.range(0.6, 1.15),
        half * m.r.normal(0.4),
        z,
    );
    let f = Frame {
        at: world(edge),
        rot: c.axes,
        scale: 1.0,
    };
    match m.r.int(0, 5) {
        0 => {
            let leaf = Material::leaves(&mut m.r);
            let leaf = m.mat(leaf);
            let mesh = &LIBRARY.sprays[m.r.int(0, LIBRARY.sprays.len())];
            let rot = crate::objects::ry(m.r.turn());
            m.s.mesh(
                &f,
                Vec3::ZERO,
                Vec3::splat(half * m.r.range(0.3, 0.7)),
                rot,
                mesh,
                leaf,
            );
        }
        1 => {
            let post = Material::random(&mut m.r, &MADE, Tint::Any, (0.1, 0.5));
            let post = m.mat(post);
            let r = half * m.r.log(0.02, 0.3);
            let lean = m.r.normal(0.15);
            m.s.limb(
                &f,
                v(-lean * half, -3.0 * half, 0.0),
                v(lean * half, 3.0 * half, 0.0),
                r,
                r,
                post,
            );
        }
        2 => {
            let bar = Material::plain(&mut m.r, Tint::Any);
            let bar = m.mat(bar);
            let gap = half * m.r.range(0.15, 0.5);
            let r = half * m.r.log(0.01, 0.04);
            for k in -8..8 {
                let x = gap * k as f32;
                m.s.limb(&f, v(x, -3.0 * half, 0.0), v(x, 3.0 * half, 0.0), r, r, bar);
            }
        }
        3 => {
            // the back of a head and a shoulder
            let away = crate::objects::ry(m.r.normal(0.5));
            let at = world(v(edge.x, -half * m.r.range(0.3, 1.0), z + 0.25));
            let body = Frame {
                at: at - v(0.0, 1.5, 0.0),
                rot: away,
                scale: 1.0,
            };
            crate::objects::person::person(m, &body, 1.75, crate::objects::person::Pose::Stand);
        }
        _ => {
            // a flat edge: door frame, wall, window frame
            let board = Material::random(&mut m.r, &MADE, Tint::Any, (0.2, 1.0));
            let board = m.mat(board);
            let x = side * half * m.r.range(0.5, 1.2);
            let wide = v(half * 1.0, half * 4.0, 0.02);
            m.s.block(&f, v(x, 0.0, 0.0), wide, crate::objects::I, board);
        }
    }
    if m.s.lens.focus == 0.0 {
        let depth = m.r.log(1.5, 8.0);
        focus(m, depth, 0.6);
    }
}

/// Removes what the camera stands in.
pub fn drop_what_holds_the_camera(s: &mut Scene) {
    let at = s.camera.at;
    s.prims.retain(|p| !p.contains(at));
}
