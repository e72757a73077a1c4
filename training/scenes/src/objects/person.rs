//! People from head to foot.

use super::{I, Maker, head, rx, ry, rz, v};
use crate::geometry::Frame;
use crate::material::{Material, Tint};
use glam::Vec3;

/// How a person holds himself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pose {
    /// Upright, arms down or busy.
    Stand,
    /// In the middle of a step.
    Walk,
    /// On a seat of this height (for a person of 1.75 m).
    Sit(f32),
}

/// A person of a random height, facing +z.
pub fn anyone(m: &mut Maker, f: &Frame) {
    let pose = if m.r.chance(0.45) {
        Pose::Walk
    } else {
        Pose::Stand
    };
    let h = if m.r.chance(0.12) {
        m.r.range(0.95, 1.4)
    } else {
        m.r.range(1.5, 1.92)
    };
    person(m, f, h, pose);
}

/// A person of a height in metres.
pub fn person(m: &mut Maker, f: &Frame, height: f32, pose: Pose) {
    let f = &f.sized(height / 1.75);
    let child = height < 1.35;
    let stout = m.r.range(0.88, 1.25);
    let skin = Material::skin(&mut m.r);
    let skin = m.mat(skin);
    let top = Material::cloth(&mut m.r);
    let top = m.mat(top);
    let legs = Material::cloth(&mut m.r);
    let legs = if m.r.chance(0.12) { top } else { m.mat(legs) };
    let shoe = Material::plain(&mut m.r, Tint::Dark);
    let shoe = m.mat(shoe);

    let lean = m.r.normal(0.05);
    let (hip_y, sit) = match pose {
        Pose::Sit(seat) => (seat + 0.1, true),
        _ => (0.92, false),
    };
    let up = |y: f32, x: f32, z: f32| v(x, hip_y + y, z + lean * y);
    // hips, waist, chest
    m.s.ball(
        f,
        up(0.02, 0.0, 0.0),
        v(0.17 * stout, 0.13, 0.115 * stout),
        I,
        legs,
    );
    m.s.chain(
        f,
        &[
            (up(0.1, 0.0, 0.0), 0.115 * stout),
            (up(0.34, 0.0, 0.015), 0.118 * stout),
        ],
        top,
    );
    m.s.ball(
        f,
        up(0.36, 0.0, 0.0),
        v(0.185 * stout, 0.19, 0.118 * stout),
        I,
        top,
    );
    m.s.ball(
        f,
        up(0.16, 0.0, 0.005),
        v(0.155 * stout, 0.16, 0.112 * stout),
        I,
        top,
    );
    if m.r.chance(0.25) {
        // coat, skirt or dress
        let long = m.r.range(0.12, 0.4);
        let wide = m.r.range(0.18, 0.27) * stout;
        m.s.round(
            f,
            up(0.12 - long, 0.0, 0.0),
            v(wide, long, wide * 0.75),
            I,
            0.72,
            top,
        );
    }
    // legs
    let stride = match pose {
        Pose::Walk => m.r.range(0.12, 0.36),
        _ => m.r.range(0.0, 0.06),
    };
    for s in [-1.0f32, 1.0] {
        let hip = up(0.0, s * 0.09, 0.0);
        let (knee, ankle) = if sit {
            let k = v(s * m.r.range(0.08, 0.17), hip_y - 0.02, 0.42);
            (k, v(k.x, 0.09, k.z + m.r.range(-0.15, 0.15)))
        } else {
            let swing = s * stride;
            let k = v(s * 0.095, 0.5, swing * 0.55 + 0.02 + 0.06 * stride);
            (
                k,
                v(
                    s * 0.09,
                    0.09,
                    swing - if s < 0.0 { 0.12 * stride } else { 0.0 },
                ),
            )
        };
        m.s.chain(
            f,
            &[(hip, 0.098 * stout), (knee, 0.06 * stout), (ankle, 0.042)],
            legs,
        );
        m.s.limb(
            f,
            ankle + v(0.0, -0.05, -0.02),
            ankle + v(0.0, -0.057, 0.15),
            0.042,
            0.033,
            shoe,
        );
    }
    arms(m, f, up(0.49, 0.0, 0.0), stout, top, skin, stride);
    // neck and head
    let neck = up(0.53, 0.0, -0.005);
    let middle = up(0.71, 0.0, 0.02);
    m.s.limb(f, neck, middle, 0.058, 0.05, skin);
    let big = if child { 1.3 } else { 1.06 };
    let turn = ry(m.r.normal(0.35)) * rx(m.r.normal(0.15)) * rz(m.r.normal(0.06));
    head::human(m, &f.child(middle, turn).sized(big), skin);
    if m.r.chance(0.12) {
        // a rucksack
        let bag = Material::cloth(&mut m.r);
        let bag = m.mat(bag);
        m.s.ball(f, up(0.33, 0.0, -0.19), v(0.15, 0.22, 0.11), I, bag);
    }
}

fn arms(m: &mut Maker, f: &Frame, shoulders: Vec3, stout: f32, top: u32, skin: u32, stride: f32) {
    let bare = m.r.chance(0.35);
    let busy = m.r.unit();
    for s in [-1.0f32, 1.0] {
        let shoulder = shoulders + v(s * 0.185 * stout, -0.02, 0.0);
        let (elbow, hand) = if busy < 0.18 {
            // hands before the body: phone, book, cup
            (
                shoulder + v(s * 0.05, -0.26, 0.06),
                shoulder + v(-s * 0.09, -0.2 + m.r.range(-0.1, 0.15), 0.29),
            )
        } else if busy < 0.26 && s > 0.0 {
            // one arm up or pointing
            let e = shoulder + v(0.15, m.r.range(-0.1, 0.2), 0.15);
            (e, e + v(0.03, m.r.range(0.0, 0.26), 0.12))
        } else {
            let swing = -s * stride * 0.8;
            let out = m.r.range(0.03, 0.1);
            let e = shoulder + v(s * out, -0.28, swing * 0.5 - 0.02);
            (
                e,
                e + v(s * m.r.range(-0.02, 0.03), -0.24, swing * 0.6 + 0.06),
            )
        };
        m.s.limb(f, shoulder, elbow, 0.056 * stout, 0.042 * stout, top);
        m.s.limb(
            f,
            elbow,
            hand,
            0.041 * stout,
            0.03,
            if bare { skin } else { top },
        );
        hand_at(m, f, hand, (hand - elbow).normalize_or(Vec3::NEG_Y), skin);
        if busy > 0.85 && s > 0.0 {
            let bag = Material::cloth(&mut m.r);
            let bag = m.mat(bag);
            m.s.block(f, hand + v(0.0, -0.26, 0.0), v(0.05, 0.14, 0.13), I, bag);
            m.s.limb(f, hand, hand + v(0.0, -0.14, 0.09), 0.006, 0.006, bag);
        }
    }
}

/// A simple hand.
fn hand_at(m: &mut Maker, f: &Frame, at: Vec3, dir: Vec3, skin: u32) {
    m.s.limb(f, at, at + dir * 0.08, 0.032, 0.036, skin);
    m.s.limb(f, at + dir * 0.08, at + dir * 0.15, 0.032, 0.016, skin);
}

/// A large hand with fingers that reaches from `from` and holds something at the frame's origin.
pub fn holding_hand(m: &mut Maker, f: &Frame, size: f32) {
    let skin = Material::skin(&mut m.r);
    let skin = m.mat(skin);
    let sleeve = Material::cloth(&mut m.r);
    let sleeve = m.mat(sleeve);
    let curl = m.r.range(0.3, 1.1);
    let palm = v(0.0, -0.075 - size, -0.015);
    m.s.ball(f, palm, v(0.043, 0.05, 0.02), I, skin);
    for i in 0..4 {
        let x = (i as f32 - 1.5) * 0.021;
        let base = palm + v(x, 0.04, 0.0);
        let mid = base + v(x * 0.1, 0.035 * curl.cos(), 0.035 * curl.sin());
        let c2 = curl + m.r.range(0.3, 0.7);
        let tip = mid + v(0.0, 0.03 * c2.cos(), 0.03 * c2.sin());
        m.s.chain(f, &[(base, 0.011), (mid, 0.0098), (tip, 0.0078)], skin);
    }
    let thumb = palm + v(0.04, 0.0, 0.01);
    m.s.chain(
        f,
        &[
            (palm + v(0.02, -0.03, 0.0), 0.018),
            (thumb, 0.013),
            (thumb + v(0.0, 0.035, 0.03), 0.009),
        ],
        skin,
    );
    let wrist = palm + v(0.0, -0.07, -0.02);
    let elbow = wrist + v(m.r.normal(0.05), -0.24, -0.1 * m.r.unit());
    m.s.limb(f, palm, wrist, 0.032, 0.028, skin);
    m.s.limb(f, wrist, elbow, 0.03, 0.042, skin);
    m.s.limb(f, wrist.lerp(elbow, 0.45), elbow, 0.04, 0.055, sleeve);
}
