//! Animals: on four legs, with wings, under water.

use super::QUARTER;
use super::{I, Maker, rx, ry, rz, v};
use crate::geometry::Frame;
use crate::material::{Material, Tint};
use glam::Vec3;

/// What an animal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pose {
    /// On its feet.
    Stand,
    /// On its hind legs' haunches, as cats and dogs do.
    Sit,
    /// On its belly.
    Lie,
}

/// A furry head, facing +z, about 1 unit wide at scale 1: ears, muzzle, eyes, nose.
pub fn furry_head(m: &mut Maker, f: &Frame, fur: u32, light: u32, snout: f32, ear: f32) {
    m.s.ball(f, v(0.0, 0.0, 0.0), v(0.5, 0.44, 0.46), I, fur);
    for s in [-1.0, 1.0] {
        m.s.ball(f, v(s * 0.24, -0.14, 0.2), v(0.24, 0.2, 0.22), I, fur);
        m.s.ball(
            f,
            v(s * 0.09, -0.15, 0.36 + 0.35 * snout),
            v(0.13, 0.11, 0.13),
            I,
            light,
        );
    }
    m.s.limb(
        f,
        v(0.0, -0.06, 0.25),
        v(0.0, -0.12, 0.36 + 0.4 * snout),
        0.22,
        0.13,
        light,
    );
    m.s.ball(
        f,
        v(0.0, -0.26, 0.26 + 0.3 * snout),
        v(0.11, 0.07, 0.13),
        I,
        light,
    );
    let mut dark = Material::plain(&mut m.r, Tint::Dark);
    dark.gloss = 0.8;
    dark.sharpness = 60.0;
    let dark = m.mat(dark);
    let mut iris = Material::plain(&mut m.r, Tint::Vivid);
    iris.gloss = 0.8;
    iris.sharpness = 150.0;
    let iris = m.mat(iris);
    m.s.ball(
        f,
        v(0.0, -0.07, 0.47 + 0.42 * snout),
        v(0.065, 0.045, 0.04),
        I,
        dark,
    );
    for s in [-1.0, 1.0] {
        m.s.ball(f, v(s * 0.2, 0.08, 0.39), v(0.085, 0.08, 0.06), I, iris);
        m.s.ball(f, v(s * 0.205, 0.08, 0.425), v(0.045, 0.06, 0.035), I, dark);
        if ear > 0.0 {
            // pricked
            let rot = rz(-s * 0.35) * rx(-0.15);
            m.s.round(
                f,
                v(s * 0.3, 0.42 + 0.1 * ear, -0.02),
                v(0.17, 0.2 + 0.15 * ear, 0.06),
                rot,
                0.05,
                fur,
            );
        } else {
            // hanging
            m.s.ball(
                f,
                v(s * 0.48, -0.05, -0.02),
                v(0.08, 0.32, 0.18),
                rz(s * 0.2),
                fur,
            );
        }
        if m.r.chance(0.5) {
            for k in 0..3 {
                let y = -0.14 - 0.04 * k as f32;
                let tip = v(s * 0.75, y - 0.1 + 0.1 * k as f32, 0.4 + 0.2 * snout);
                m.s.limb(
                    f,
                    v(s * 0.14, y, 0.42 + 0.35 * snout),
                    tip,
                    0.006,
                    0.003,
                    light,
                );
            }
        }
    }
}

/// A furry animal on four legs. `long` is the length of the trunk in metres.
pub fn quadruped(m: &mut Maker, f: &Frame, long: f32, pose: Pose) {
    let f = &f.sized(long / 0.5);
    let fur = Material::fur(&mut m.r, 0.16);
    let mut pale = fur.clone();
    if m.r.chance(0.6) {
        pale.colours = pale.colours.map(|c| c.lerp(Vec3::splat(0.75), 0.6));
    }
    let fur = m.mat(fur);
    let pale = m.mat(pale);
    let leg = m.r.range(0.22, 0.5);
    let fat = m.r.range(0.085, 0.15);
    let snout = m.r.range(0.0, 1.3);
    let ear = if m.r.chance(0.7) {
        m.r.range(0.2, 1.2)
    } else {
        -1.0
    };
    let head = m.r.range(0.17, 0.25);
    let turn = ry(m.r.normal(0.5)) * rx(m.r.normal(0.2));
    let (rump, chest, skull);
    match pose {
        Pose::Stand => {
            rump = v(0.0, leg + 0.02, -0.25);
            chest = v(0.0, leg + 0.03, 0.22);
            skull = chest
                + v(
                    m.r.normal(0.08),
                    m.r.range(0.05, 0.34),
                    m.r.range(0.16, 0.3),
                );
            for s in [-1.0f32, 1.0] {
                for (base, z) in [(chest, 0.19), (rump, -0.25)] {
                    let step = m.r.normal(0.07);
                    let knee = v(s * 0.075, leg * 0.5, z + step * 0.5 + 0.03);
                    let foot = v(s * 0.075, 0.025, z + step);
                    m.s.chain(
                        f,
                        &[
                            (base + v(s * 0.06, -0.02, 0.0), 0.07),
                            (knee, 0.04),
                            (foot, 0.032),
                        ],
                        fur,
                    );
                    m.s.ball(
                        f,
                        foot + v(0.0, -0.003, 0.03),
                        v(0.035, 0.025, 0.05),
                        I,
                        pale,
                    );
                }
            }
        }
        Pose::Sit => {
            rump = v(0.0, 0.12, -0.12);
            chest = v(0.0, 0.34, 0.1);
            skull = chest + v(m.r.normal(0.05), 0.19, 0.1);
            for s in [-1.0f32, 1.0] {
                m.s.ball(f, v(s * 0.11, 0.1, -0.07), v(0.07, 0.11, 0.14), I, fur);
                m.s.limb(
                    f,
                    v(s * 0.11, 0.03, 0.0),
                    v(s * 0.12, 0.03, 0.12),
                    0.035,
                    0.03,
                    pale,
                );
                m.s.chain(
                    f,
                    &[
                        (chest + v(s * 0.06, -0.05, 0.02), 0.055),
                        (v(s * 0.055, 0.03, 0.16), 0.03),
                    ],
                    fur,
                );
                m.s.ball(
                    f,
                    v(s * 0.055, 0.022, 0.185),
                    v(0.034, 0.024, 0.045),
                    I,
                    pale,
                );
            }
        }
        Pose::Lie => {
            rump = v(0.0, 0.1, -0.22);
            chest = v(0.0, 0.12, 0.2);
            let low = m.r.range(0.0, 0.16);
            skull = chest + v(m.r.normal(0.1), low, 0.24);
            for s in [-1.0f32, 1.0] {
                m.s.limb(
                    f,
                    v(s * 0.1, 0.035, 0.22),
                    v(s * 0.1, 0.03, 0.44),
                    0.04,
                    0.035,
                    fur,
                );
                m.s.ball(f, v(s * 0.13, 0.09, -0.2), v(0.06, 0.09, 0.13), I, fur);
            }
        }
    }
    m.s.limb(f, rump, chest, fat * 1.05, fat * 1.1, fur);
    m.s.ball(
        f,
        rump.lerp(chest, 0.5) - v(0.0, 0.01, 0.0),
        v(fat * 1.08, fat * 1.15, 0.26),
        {
            let d = chest - rump;
            rx(-d.y.atan2(d.z))
        },
        fur,
    );
    m.s.ball(
        f,
        chest + v(0.0, -0.01, 0.04),
        v(fat * 0.85, fat * 1.05, fat),
        I,
        pale,
    );
    m.s.limb(f, chest, skull, fat * 0.95, head * 0.42, fur);
    furry_head(m, &f.child(skull, turn).sized(head), fur, pale, snout, ear);
    // tail
    let a = m.r.range(-0.3, 0.35);
    let b = rump + v(0.0, 0.05, -0.08);
    let t1 = b + v(a * 0.3, a.abs() * 0.2 + m.r.range(-0.1, 0.1), -0.14);
    let t2 = t1 + v(a * 0.5, m.r.range(-0.1, 0.15), -0.1);
    m.s.chain(
        f,
        &[
            (b, 0.04),
            (t1.max(v(-9.0, 0.03, -9.0)), 0.033),
            (t2.max(v(-9.0, 0.03, -9.0)), 0.022),
        ],
        fur,
    );
}

/// A heavy grazing animal: cow, horse, deer. Height at the shoulder in metres.
pub fn grazer(m: &mut Maker, f: &Frame, height: f32) {
    let f = &f.sized(height / 1.4);
    let hide = Material::fur(&mut m.r, 0.5);
    let hide = m.mat(hide);
    let hoof = Material::plain(&mut m.r, Tint::Dark);
    let hoof = m.mat(hoof);
    let fat = m.r.range(0.26, 0.36);
    m.s.ball(f, v(0.0, 1.05, 0.0), v(fat, fat * 1.15, 0.78), I, hide);
    m.s.ball(f, v(0.0, 1.1, 0.55), v(fat * 0.8, 0.34, 0.3), I, hide);
    m.s.ball(f, v(0.0, 1.1, -0.55), v(fat * 0.85, 0.34, 0.3), I, hide);
    let graze = m.r.chance(0.35);
    let head = if graze {
        v(0.1, 0.3, 1.2)
    } else {
        v(m.r.normal(0.15), m.r.range(1.45, 1.9), 1.05)
    };
    m.s.limb(f, v(0.0, 1.2, 0.65), head, 0.25, 0.13, hide);
    let nose = head
        + if graze {
            v(0.0, -0.22, 0.12)
        } else {
            v(0.0, -0.12, 0.36)
        };
    m.s.limb(f, head, nose, 0.14, 0.085, hide);
    for s in [-1.0, 1.0] {
        m.s.ball(
            f,
            head + v(s * 0.18, 0.08, -0.06),
            v(0.11, 0.035, 0.06),
            rz(s * 0.3),
            hide,
        );
        if m.r.chance(0.5) {
            m.s.chain(
                f,
                &[
                    (head + v(s * 0.08, 0.12, 0.0), 0.03),
                    (head + v(s * 0.22, 0.24, 0.0), 0.02),
                    (head + v(s * 0.2, 0.4, 0.05), 0.006),
                ],
                hoof,
            );
        }
        m.s.ball(
            f,
            head + v(s * 0.11, 0.04, 0.08),
            v(0.03, 0.03, 0.03),
            I,
            hoof,
        );
        for z in [0.52, -0.56] {
            let step = m.r.normal(0.1);
            let knee = v(s * 0.17, 0.5, z + step * 0.4);
            let foot = v(s * 0.17, 0.06, z + step);
            m.s.chain(
                f,
                &[(v(s * 0.17, 0.95, z), 0.15), (knee, 0.075), (foot, 0.05)],
                hide,
            );
            m.s.limb(f, foot, foot + v(0.0, -0.03, 0.02), 0.06, 0.06, hoof);
        }
    }
    m.s.chain(
        f,
        &[
            (v(0.0, 1.2, -0.8), 0.05),
            (v(0.0, 0.8, -0.9), 0.025),
            (v(0.0, 0.55, -0.9), 0.04),
        ],
        hide,
    );
}

/// A bird of this length in metres, standing.
pub fn bird(m: &mut Maker, f: &Frame, long: f32) {
    let f = &f.sized(long);
    let mut feathers = Material::fur(&mut m.r, 0.2);
    if m.r.chance(0.4) {
        feathers.colours[1] = crate::material::colour(&mut m.r, Tint::Vivid);
    }
    let wing = Material::fur(&mut m.r, 0.25);
    let feathers = m.mat(feathers);
    let wing = m.mat(wing);
    let beak = Material::shiny(&mut m.r, Tint::Earth);
    let beak = m.mat(beak);
    let mut eye = Material::plain(&mut m.r, Tint::Dark);
    eye.gloss = 1.0;
    eye.sharpness = 100.0;
    let eye = m.mat(eye);
    let tilt = m.r.range(-0.7, -0.1);
    let body = f.child(v(0.0, 0.42, 0.0), rx(tilt));
    m.s.ball(&body, v(0.0, 0.0, 0.0), v(0.17, 0.18, 0.3), I, feathers);
    m.s.round(
        &body,
        v(0.0, 0.02, -0.42),
        v(0.09, 0.2, 0.02),
        rx(-1.45),
        0.8,
        wing,
    );
    for s in [-1.0, 1.0] {
        m.s.ball(
            &body,
            v(s * 0.15, 0.03, -0.08),
            v(0.035, 0.12, 0.32),
            rx(0.1),
            wing,
        );
        m.s.limb(
            f,
            v(s * 0.06, 0.3, 0.02),
            v(s * 0.07, 0.01, 0.05),
            0.014,
            0.01,
            beak,
        );
        for a in [-0.5f32, 0.0, 0.5] {
            let tip = v(s * 0.07 + 0.08 * a.sin(), 0.008, 0.05 + 0.08 * a.cos());
            m.s.limb(f, v(s * 0.07, 0.012, 0.05), tip, 0.009, 0.006, beak);
        }
    }
    let neck = m.r.range(0.0, 0.35);
    let head = v(0.0, 0.62 + neck, 0.22 + neck * 0.2);
    m.s.limb(f, v(0.0, 0.47, 0.16), head, 0.13, 0.09, feathers);
    m.s.ball(f, head, v(0.105, 0.105, 0.12), I, feathers);
    let bill = m.r.range(0.1, 0.3);
    m.s.limb(
        f,
        head + v(0.0, -0.01, 0.09),
        head + v(0.0, -0.03, 0.1 + bill),
        0.035,
        0.006,
        beak,
    );
    for s in [-1.0, 1.0] {
        m.s.ball(
            f,
            head + v(s * 0.085, 0.02, 0.05),
            v(0.022, 0.026, 0.026),
            I,
            eye,
        );
    }
}

/// A dolphin or fish of this length, swimming towards +z.
pub fn swimmer(m: &mut Maker, f: &Frame, long: f32, fish: bool) {
    let f = &f.sized(long);
    let mut hide = if fish {
        Material::random(
            &mut m.r,
            &[
                crate::texture::Family::Stripe,
                crate::texture::Family::Dots,
                crate::texture::Family::Noise,
            ],
            Tint::Any,
            (0.1, 0.5),
        )
    } else {
        Material::plain(&mut m.r, Tint::Grey)
    };
    hide.gloss = 0.3;
    hide.sharpness = 20.0;
    let mut pale = hide.clone();
    pale.colours = pale.colours.map(|c| c.lerp(Vec3::splat(0.8), 0.5));
    let hide = m.mat(hide);
    let pale = m.mat(pale);
    let tall = if fish { m.r.range(1.2, 2.4) } else { 1.0 };
    let bend = m.r.normal(0.12);
    let n = 9;
    let spine = |s: f32| {
        v(
            bend * (s * 3.0).sin() * 0.5,
            if fish { 0.0 } else { bend * (1.0 - s) },
            0.5 - s,
        )
    };
    let width = |s: f32| {
        let w = if s < 0.35 {
            (s / 0.35 * QUARTER).sin()
        } else {
            ((1.0 - s) / 0.65).powf(0.9)
        };
        0.018 + 0.095 * w
    };
    let mut last = None;
    for i in 0..n {
        let s = i as f32 / (n - 1) as f32 * 0.94;
        let (p, w) = (spine(s), width(s));
        if fish {
            m.s.ball(f, p, v(w * 0.75, w * tall, 0.13), I, hide);
        } else if let Some((q, u)) = last {
            m.s.limb(f, q, p, u, w, hide);
            if (2..6).contains(&i) {
                m.s.limb(
                    f,
                    q - v(0.0, 0.014, 0.0),
                    p - v(0.0, 0.014, 0.0),
                    u * 0.93,
                    w * 0.93,
                    pale,
                );
            }
        }
        last = Some((p, w));
    }
    let tail = spine(0.95);
    if fish {
        m.s.ball(
            f,
            tail - v(0.0, 0.0, 0.06),
            v(0.008, 0.13 * tall.min(1.5), 0.09),
            I,
            hide,
        );
        m.s.ball(
            f,
            spine(0.45) + v(0.0, 0.1 * tall, 0.0),
            v(0.008, 0.06, 0.16),
            I,
            hide,
        );
    } else {
        for s in [-1.0, 1.0] {
            m.s.ball(
                f,
                tail + v(s * 0.075, 0.0, -0.03),
                v(0.1, 0.01, 0.045),
                ry(s * 0.5),
                hide,
            );
            m.s.ball(
                f,
                spine(0.3) + v(s * 0.12, -0.07, -0.03),
                v(0.1, 0.012, 0.04),
                rz(-s * 0.7) * ry(s * 0.7),
                hide,
            );
        }
        m.s.ball(
            f,
            spine(0.5) + v(0.0, 0.13, -0.02),
            v(0.012, 0.085, 0.055),
            rx(-0.6),
            hide,
        );
        m.s.limb(
            f,
            spine(0.03) - v(0.0, 0.012, 0.0),
            spine(-0.07) - v(0.0, 0.03, 0.0),
            0.032,
            0.02,
            hide,
        );
    }
    let mut eye = Material::plain(&mut m.r, Tint::Dark);
    eye.gloss = 0.8;
    let eye = m.mat(eye);
    for s in [-1.0, 1.0] {
        let p = spine(0.09) + v(s * width(0.09) * if fish { 0.78 } else { 0.93 }, 0.0, 0.0);
        m.s.ball(f, p, Vec3::splat(0.012), I, eye);
    }
}
