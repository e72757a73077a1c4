//! Cars, vans, buses, bicycles, boats.

use super::{FULL, QUARTER};
use super::{I, Maker, rx, rz, v};
use crate::geometry::Frame;
use crate::geometry::library::LIBRARY;
use crate::material::{Material, Tint};
use glam::Vec3;

fn glass(m: &mut Maker) -> u32 {
    let mut g = Material::plain(&mut m.r, Tint::Dark);
    g.gloss = 0.8;
    g.sharpness = 120.0;
    g.mirror = 0.08;
    g.wear_amount = 0.0;
    m.mat(g)
}

fn wheel(m: &mut Maker, f: &Frame, at: Vec3, r: f32, tyre: u32, hub: u32) {
    m.s.round(f, at, v(r, 0.11, r), rz(QUARTER), 1.0, tyre);
    let out = v(at.x.signum() * 0.02, 0.0, 0.0);
    m.s.round(
        f,
        at + out,
        v(r * 0.62, 0.1, r * 0.62),
        rz(QUARTER),
        1.0,
        hub,
    );
}

/// A car, van or bus, 4 to 11 m long, facing +z. `lamps` lights them.
pub fn car(m: &mut Maker, f: &Frame, lamps: bool) {
    let mut paint = Material::plain(&mut m.r, Tint::Any);
    paint.gloss = 0.8;
    paint.sharpness = 80.0;
    paint.mirror = 0.05;
    let paint = m.mat(paint);
    let glass = glass(m);
    let tyre = Material::plain(&mut m.r, Tint::Dark);
    let tyre = m.mat(tyre);
    let hub = Material::shiny(&mut m.r, Tint::Grey);
    let hub = m.mat(hub);
    let front = Material::light(&mut m.r, if lamps { 4.0 } else { 0.5 });
    let front = m.mat(front);
    let mut rear = Material::light(&mut m.r, if lamps { 1.5 } else { 0.2 });
    rear.colours = [v(0.6, 0.02, 0.02); 2];
    let rear = m.mat(rear);
    let kind = m.r.unit();
    let (long, wide, axle, nose, tail);
    if kind < 0.75 {
        long = m.r.range(1.9, 2.4);
        wide = m.r.range(0.82, 0.93);
        axle = 0.6 * long;
        let belt = m.r.range(0.82, 0.95);
        let roof = m.r.range(1.38, 1.7);
        // body: lower box with rounded ends, cabin with sloping glass
        m.s.block(f, v(0.0, 0.52, 0.0), v(wide, 0.28, long * 0.96), I, paint);
        for s in [-1.0f32, 1.0] {
            m.s.limb(
                f,
                v(-wide * 0.8, 0.6, s * long * 0.93),
                v(wide * 0.8, 0.6, s * long * 0.93),
                0.2,
                0.2,
                paint,
            );
        }
        m.s.round(
            f,
            v(0.0, belt - 0.02, long * 0.62),
            v(wide * 1.25, 0.1, long * 0.42),
            I,
            0.9,
            paint,
        );
        m.s.block(
            f,
            v(0.0, belt - 0.1, 0.0),
            v(wide * 0.98, 0.09, long * 0.94),
            I,
            paint,
        );
        let boxy = m.r.chance(0.4);
        let back = if boxy { -0.92 } else { m.r.range(-0.75, -0.55) } * long;
        let fore = m.r.range(0.28, 0.42) * long;
        let mid = 0.5 * (back + fore);
        let half = 0.5 * (fore - back);
        let h = 0.5 * (roof - belt);
        // a four-sided frustum would be best; a glass box under a smaller roof reads the same
        m.s.block(
            f,
            v(0.0, belt + h, mid - 0.04 * long),
            v(wide * 0.8, h * 0.98, half * 0.72),
            I,
            glass,
        );
        m.s.block(
            f,
            v(0.0, belt + h * 0.98, fore - half * 0.28),
            v(wide * 0.78, 0.02, h * 1.5),
            rx(-0.66 + 1.3),
            glass,
        );
        if !boxy {
            m.s.block(
                f,
                v(0.0, belt + h * 0.98, back + half * 0.26),
                v(wide * 0.78, 0.02, h * 1.5),
                rx(0.66 - 1.3),
                glass,
            );
        }
        m.s.block(
            f,
            v(0.0, roof - 0.03, mid - 0.04 * long),
            v(wide * 0.82, 0.035, half * 0.74),
            I,
            paint,
        );
        for s in [-1.0f32, 1.0] {
            for z in [-0.6, 0.05, 0.66] {
                let p = mid - 0.04 * long + z * half;
                m.s.limb(
                    f,
                    v(s * wide * 0.82, belt - 0.02, p),
                    v(s * wide * 0.8, roof - 0.04, p),
                    0.035,
                    0.035,
                    paint,
                );
            }
            m.s.ball(
                f,
                v(s * (wide + 0.1), belt + 0.08, fore - 0.1),
                v(0.1, 0.07, 0.06),
                I,
                paint,
            );
        }
        nose = v(wide * 0.72, 0.66, long * 1.03);
        tail = v(wide * 0.76, 0.76, -long * 1.03);
    } else {
        // van, bus or lorry
        let big = m.r.chance(0.5);
        long = if big {
            m.r.range(3.5, 5.5)
        } else {
            m.r.range(2.3, 2.9)
        };
        wide = if big { 1.25 } else { 0.98 };
        let roof = if big {
            m.r.range(2.8, 4.2)
        } else {
            m.r.range(1.9, 2.4)
        };
        axle = 0.62 * long;
        m.s.block(
            f,
            v(0.0, 0.35 + 0.5 * (roof - 0.35), 0.0),
            v(wide, 0.5 * (roof - 0.35), long),
            I,
            paint,
        );
        let floors = if roof > 3.4 { 2 } else { 1 };
        for k in 0..floors {
            let y = if floors == 2 {
                1.45 + 1.6 * k as f32
            } else {
                roof * 0.7
            };
            if m.r.chance(0.75) {
                m.s.block(
                    f,
                    v(0.0, y, -0.02 * long),
                    v(wide * 1.01, 0.36, long * 0.88),
                    I,
                    glass,
                );
            }
            m.s.block(
                f,
                v(0.0, y, long * 0.05),
                v(wide * 0.9, 0.42, long * 0.96),
                I,
                glass,
            );
        }
        m.s.block(
            f,
            v(0.0, 0.6, 0.0),
            v(wide * 1.02, 0.14, long * 1.01),
            I,
            paint,
        );
        nose = v(wide * 0.75, 0.7, long * 1.02);
        tail = v(wide * 0.8, 0.8, -long * 1.01);
    }
    for s in [-1.0f32, 1.0] {
        for z in [-axle, axle] {
            wheel(m, f, v(s * (wide - 0.1), 0.33, z), 0.33, tyre, hub);
        }
        m.s.ball(
            f,
            v(s * nose.x, nose.y, nose.z),
            v(0.16, 0.09, 0.1),
            I,
            front,
        );
        m.s.ball(
            f,
            v(s * tail.x, tail.y, tail.z),
            v(0.14, 0.1, 0.08),
            I,
            rear,
        );
    }
    let plate = Material::plain(&mut m.r, Tint::Light);
    let plate = m.mat(plate);
    m.s.block(f, v(0.0, 0.5, nose.z + 0.08), v(0.26, 0.06, 0.03), I, plate);
    m.s.block(f, v(0.0, 0.6, tail.z - 0.08), v(0.26, 0.06, 0.03), I, plate);
}

/// A bicycle, 1.75 m long, facing +z, with spokes.
pub fn bicycle(m: &mut Maker, f: &Frame) {
    let frame = Material::shiny(&mut m.r, Tint::Any);
    let frame = m.mat(frame);
    let dark = Material::plain(&mut m.r, Tint::Dark);
    let dark = m.mat(dark);
    let chrome = Material::shiny(&mut m.r, Tint::Grey);
    let chrome = m.mat(chrome);
    let r = 0.34;
    for z in [-0.5f32, 0.55] {
        let hub = v(0.0, r, z);
        m.s.mesh(f, hub, v(r, r, r), rz(QUARTER), &LIBRARY.rings[0], dark);
        m.s.limb(
            f,
            hub - v(0.05, 0.0, 0.0),
            hub + v(0.05, 0.0, 0.0),
            0.02,
            0.02,
            chrome,
        );
        for k in 0..14 {
            let (s, c) = (k as f32 / 14.0 * FULL).sin_cos();
            m.s.limb(
                f,
                hub,
                hub + v(0.0, s, c) * (r * 0.97),
                0.0016,
                0.0016,
                chrome,
            );
        }
        if m.r.chance(0.5) {
            let arc = |a: f32| hub + v(0.0, a.sin(), a.cos()) * (r + 0.03);
            let pts: Vec<_> = (0..7)
                .map(|k| (arc(0.2 + 0.42 * k as f32), 0.012))
                .collect();
            m.s.chain(f, &pts, dark);
        }
    }
    let crank = v(0.0, 0.28, -0.08);
    let seat = v(0.0, 0.86, -0.24);
    let neck = v(0.0, 0.82, 0.38);
    let pipes = [
        (crank, seat),
        (crank, neck - v(0.0, 0.1, 0.0)),
        (seat - v(0.0, 0.12, 0.0), neck),
        (crank, v(0.0, r, -0.5)),
        (seat - v(0.0, 0.1, 0.0), v(0.0, r, -0.5)),
        (neck, v(0.0, r, 0.55)),
        (neck, v(0.0, 1.0, 0.34)),
    ];
    for (a, b) in pipes {
        m.s.limb(f, a, b, 0.017, 0.017, frame);
    }
    m.s.ball(f, seat + v(0.0, 0.05, -0.02), v(0.07, 0.035, 0.13), I, dark);
    let bar = v(0.0, 1.02, 0.34);
    for s in [-1.0, 1.0] {
        m.s.chain(
            f,
            &[
                (bar, 0.012),
                (bar + v(s * 0.2, 0.02, 0.02), 0.012),
                (bar + v(s * 0.29, 0.0, -0.1), 0.016),
            ],
            chrome,
        );
        m.s.limb(
            f,
            crank,
            crank + v(s * 0.08, -s * 0.15, 0.05),
            0.01,
            0.01,
            chrome,
        );
    }
    m.s.mesh(
        f,
        crank,
        v(0.1, 0.1, 0.1),
        rz(QUARTER),
        &LIBRARY.rings[1],
        chrome,
    );
}

/// A rowing or sailing boat of a length in metres.
pub fn boat(m: &mut Maker, f: &Frame, long: f32) {
    let f = &f.sized(long);
    let hull = Material::shiny(&mut m.r, Tint::Any);
    let hull = m.mat(hull);
    let deck = Material::random(
        &mut m.r,
        &[crate::texture::Family::Wood],
        Tint::Earth,
        (0.1, 0.3),
    );
    let deck = m.mat(deck);
    m.s.ball(f, v(0.0, 0.06, 0.0), v(0.15, 0.11, 0.52), I, hull);
    m.s.block(f, v(0.0, 0.13, -0.05), v(0.11, 0.02, 0.36), I, deck);
    if m.r.chance(0.6) {
        m.s.block(f, v(0.0, 0.2, -0.05), v(0.08, 0.07, 0.14), I, hull);
    }
    if m.r.chance(0.5) {
        m.s.limb(f, v(0.0, 0.1, 0.1), v(0.0, 1.2, 0.06), 0.009, 0.006, deck);
        m.s.limb(f, v(0.0, 0.24, 0.1), v(0.0, 0.22, -0.4), 0.007, 0.006, deck);
    }
}
