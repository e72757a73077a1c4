//! Buildings, bridges, stairs, fences.

use super::{I, Maker, ry, rz, v};
use crate::geometry::Frame;
use crate::material::{MADE, Material, PLAIN, Tint};
use crate::texture::Family;

/// A building: half width, height and half depth in metres, its front at +z. `night` lights its windows.
pub fn building(m: &mut Maker, f: &Frame, (w, h, d): (f32, f32, f32), night: bool) {
    let families: &[Family] = if m.r.chance(0.7) {
        &[Family::Facade]
    } else {
        &[Family::Brick, Family::Noise, Family::Stripe]
    };
    let tint = m.r.pick(&[Tint::Grey, Tint::Earth, Tint::Light, Tint::Any]);
    let mut wall = Material::random(&mut m.r, families, tint, (4.0, 12.0));
    wall.relief = 0.0;
    wall.gloss = 0.0;
    if families == [Family::Facade] {
        wall.mix = m.r.range(0.6, 1.0);
        wall.colours[0] = crate::material::colour(&mut m.r, Tint::Dark);
        if night {
            wall.emit = m.r.range(0.2, 1.5);
            wall.lit_panes = true;
        }
    }
    let wall = m.mat(wall);
    m.s.block(f, v(0.0, h * 0.5, 0.0), v(w, h * 0.5, d), I, wall);
    let trim = Material::plain(&mut m.r, Tint::Grey);
    let trim = m.mat(trim);
    if h < 14.0 && m.r.chance(0.5) {
        // pitched roof: two slabs
        let roof = Material::random(
            &mut m.r,
            &[Family::Brick, Family::Stripe, Family::Noise],
            Tint::Earth,
            (0.8, 3.0),
        );
        let roof = m.mat(roof);
        let a = m.r.range(0.4, 0.8);
        let half = w / a.cos() * 0.56;
        for s in [-1.0f32, 1.0] {
            let at = v(s * w * 0.52, h + w * 0.5 * a.tan(), 0.0);
            m.s.block(f, at, v(half, 0.12, d * 1.06), rz(-s * a), roof);
        }
        m.s.block(
            f,
            v(0.0, h + 0.22 * w * a.tan(), 0.0),
            v(w * 0.6, 0.25 * w * a.tan(), d * 0.99),
            I,
            wall,
        );
        if m.r.chance(0.5) {
            m.s.block(
                f,
                v(w * 0.4, h + w * 0.6 * a.tan(), 0.0),
                v(0.4, 0.9, 0.4),
                I,
                wall,
            );
        }
    } else {
        m.s.block(
            f,
            v(0.0, h + 0.15, 0.0),
            v(w + 0.25, 0.2, d + 0.25),
            I,
            trim,
        );
        if m.r.chance(0.4) {
            let at = v(m.r.range(-0.4, 0.4) * w, h + 1.0, 0.0);
            m.s.block(f, at, v(w * 0.3, 1.2, d * 0.3), I, trim);
        }
    }
    if m.r.chance(0.55) {
        // ground floor of another face, a ledge above it
        let mut shop = Material::random(
            &mut m.r,
            &[Family::Facade, Family::Poster, Family::Stripe, Family::Text],
            Tint::Any,
            (2.0, 6.0),
        );
        if night {
            shop.emit = m.r.range(0.2, 1.6);
        }
        let shop = m.mat(shop);
        let y = m.r.range(1.4, 2.0);
        m.s.block(f, v(0.0, y, 0.0), v(w + 0.08, y, d + 0.08), I, shop);
        let out = m.r.range(0.2, 1.6);
        m.s.block(
            f,
            v(0.0, y * 2.0 + 0.1, 0.0),
            v(w + out, 0.1, d + out),
            I,
            trim,
        );
    }
    // balconies, bays and ledges give the front depth of its own
    if m.r.chance(0.5) && h > 7.0 {
        let floors = ((h / 3.2) as usize).min(9);
        let cols = m.r.int(1, 4);
        for k in 1..floors {
            for c in 0..cols {
                let z = ((c as f32 + 0.5) / cols as f32 * 2.0 - 1.0) * d;
                let half = v(0.7, 0.5, d / cols as f32 * 0.5);
                for s in [-1.0, 1.0] {
                    m.s.block(f, v(s * w, 3.2 * k as f32, z), half, I, trim);
                }
            }
        }
    }
}

/// A fence along x from the frame's origin, of a length in metres.
pub fn fence(m: &mut Maker, f: &Frame, length: f32) {
    let h = m.r.range(0.5, 1.9);
    let c = if m.r.chance(0.4) {
        Material::random(&mut m.r, &[Family::Wood], Tint::Earth, (0.2, 0.8))
    } else {
        Material::plain(&mut m.r, Tint::Any)
    };
    let c = m.mat(c);
    let kind = m.r.int(0, 4);
    let gap = match kind {
        0 => m.r.range(0.08, 0.2),
        1 => m.r.range(0.12, 0.3),
        _ => m.r.range(1.2, 2.5),
    };
    let r = m.r.log(0.008, 0.05);
    let n = ((length / gap) as usize).clamp(2, 160);
    for i in 0..=n {
        let x = i as f32 * gap;
        if kind == 1 {
            m.s.block(f, v(x, h * 0.5, 0.0), v(gap * 0.35, h * 0.5, 0.012), I, c);
        } else {
            m.s.limb(f, v(x, 0.0, 0.0), v(x, h, 0.0), r, r, c);
        }
    }
    let long = n as f32 * gap;
    let rails = if kind >= 2 { m.r.int(2, 6) } else { 2 };
    for k in 0..rails {
        let y = h * (k as f32 + 0.9) / (rails as f32 - 0.1);
        let rr = if kind == 3 { 0.004 } else { r * 0.8 };
        m.s.limb(f, v(0.0, y, 0.0), v(long, y, 0.0), rr, rr, c);
    }
}

/// Stairs that go up along +z: steps, rise, run and half width in metres. Returns the height at the top.
pub fn stairs(m: &mut Maker, f: &Frame, steps: usize, (rise, run, half): (f32, f32, f32)) -> f32 {
    let stone = Material::random(
        &mut m.r,
        &[Family::Noise, Family::Wood, Family::Brick, Family::Fine],
        Tint::Any,
        (0.3, 2.0),
    );
    let stone = m.mat(stone);
    let edge = Material::plain(&mut m.r, Tint::Any);
    let edge = if m.r.chance(0.3) { m.mat(edge) } else { stone };
    let long = run * steps as f32;
    for i in 0..steps {
        let y = rise * (i + 1) as f32;
        let z = run * i as f32;
        m.s.block(
            f,
            v(0.0, y * 0.5, 0.5 * (z + long) + run),
            v(half, y * 0.5, 0.5 * (long - z) + run),
            I,
            stone,
        );
        m.s.block(
            f,
            v(0.0, y - 0.02, z + 0.02),
            v(half, 0.021, 0.025),
            I,
            edge,
        );
    }
    if m.r.chance(0.7) {
        let rail = Material::plain(&mut m.r, Tint::Any);
        let rail = m.mat(rail);
        let h = m.r.range(0.8, 1.0);
        let every = m.r.int(1, 4);
        for s in [-1.0, 1.0] {
            let x = s * half * 0.95;
            for i in (0..steps).step_by(every) {
                let (y, z) = (rise * (i + 1) as f32, run * (i as f32 + 0.5));
                m.s.limb(f, v(x, y, z), v(x, y + h, z), 0.014, 0.014, rail);
            }
            m.s.limb(
                f,
                v(x, rise + h, 0.5 * run),
                v(x, rise * steps as f32 + h, long - 0.5 * run),
                0.03,
                0.03,
                rail,
            );
        }
    }
    rise * steps as f32
}

/// A bridge of trusses along +z with its deck at the frame's y = 0: length and half width in metres.
pub fn truss_bridge(m: &mut Maker, f: &Frame, length: f32, half: f32) {
    let steel = Material::random(&mut m.r, &PLAIN, Tint::Any, (0.5, 2.0));
    let steel = m.mat(steel);
    let deck = Material::random(
        &mut m.r,
        &[Family::Wood, Family::Fine, Family::Noise],
        Tint::Grey,
        (0.5, 3.0),
    );
    let deck = m.mat(deck);
    m.s.block(
        f,
        v(0.0, -0.2, length * 0.5),
        v(half, 0.2, length * 0.5),
        I,
        deck,
    );
    let h = m.r.range(4.5, 8.0);
    let bay = m.r.range(3.0, 6.0);
    let n = (length / bay) as usize;
    let t = m.r.range(0.08, 0.2);
    for i in 0..=n {
        let z = i as f32 * bay;
        for s in [-1.0, 1.0] {
            m.s.block(f, v(s * half, h * 0.5, z), v(t, h * 0.5, t), I, steel);
            if i < n {
                let (a, b) = if (i % 2 == 0) == (s > 0.0) {
                    (0.0, h)
                } else {
                    (h, 0.0)
                };
                m.s.limb(
                    f,
                    v(s * half, a, z),
                    v(s * half, b, z + bay),
                    t * 0.7,
                    t * 0.7,
                    steel,
                );
                m.s.limb(
                    f,
                    v(-half, h, z),
                    v(half, h, z + bay),
                    t * 0.4,
                    t * 0.4,
                    steel,
                );
            }
        }
        m.s.block(f, v(0.0, h, z), v(half, t * 0.8, t * 0.8), I, steel);
        m.s.limb(
            f,
            v(-half, h - 1.0, z),
            v(0.0, h, z),
            t * 0.4,
            t * 0.4,
            steel,
        );
        m.s.limb(
            f,
            v(half, h - 1.0, z),
            v(0.0, h, z),
            t * 0.4,
            t * 0.4,
            steel,
        );
    }
    for s in [-1.0, 1.0] {
        m.s.block(
            f,
            v(s * half, h, length * 0.5),
            v(t, t, length * 0.5),
            I,
            steel,
        );
        for y in [0.5, 1.0] {
            m.s.block(
                f,
                v(s * (half - 0.2), y, length * 0.5),
                v(0.03, 0.03, length * 0.5),
                I,
                steel,
            );
        }
    }
}

/// A stall or kiosk with an awning, 3 m wide, its counter at +z.
pub fn stall(m: &mut Maker, f: &Frame, night: bool) {
    let cloth = Material::random(
        &mut m.r,
        &[Family::Stripe, Family::Cloth, Family::Noise],
        Tint::Any,
        (0.4, 1.5),
    );
    let cloth = m.mat(cloth);
    let wood = Material::random(&mut m.r, &MADE, Tint::Any, (0.4, 1.6));
    let wood = m.mat(wood);
    for x in [-1.4, 1.4] {
        for z in [-0.9, 0.9] {
            m.s.limb(f, v(x, 0.0, z), v(x, 2.2, z), 0.025, 0.025, wood);
        }
    }
    m.s.block(
        f,
        v(0.0, 2.3, 0.25),
        v(1.6, 0.03, 1.3),
        super::rx(0.25),
        cloth,
    );
    m.s.block(f, v(0.0, 0.42, 0.55), v(1.35, 0.42, 0.35), I, wood);
    if night {
        let lamp = Material::light(&mut m.r, 5.0);
        let lamp = m.mat(lamp);
        m.s.ball(f, v(0.0, 1.95, 0.4), v(0.09, 0.09, 0.09), I, lamp);
    }
    for _ in 0..m.r.int(3, 9) {
        let at = v(m.r.range(-1.2, 1.2), 0.84, m.r.range(0.3, 0.8));
        let k = m.r.log(0.05, 0.16);
        super::item::item(m, &f.child(at, ry(0.0)), k);
    }
}
