//! What brings a scene nearer to photographs once it is put together: muted colours that go together, nothing whiter
//! than paint, dirt and unevenness on what is too clean, light thrown back by the ground, litter.
//!
//! Its dice are those that are left over: the scene itself is the same with and without it.

use super::common::place;
use crate::geometry::Frame;
use crate::light::Light;
use crate::material::{Material, Tint, hsv};
use crate::objects::{Maker, ry, v};
use crate::rng::Rng;
use crate::texture::{ATLAS, Family};
use glam::Vec3;

fn luma(c: Vec3) -> f32 {
    c.dot(Vec3::new(0.3, 0.59, 0.11))
}

/// What a scene's colours have in common.
struct Palette {
    /// Share of the saturation that is left.
    saturation: f32,
    /// A hue that all lean to; white is none.
    lean: Vec3,
}

impl Palette {
    fn random(r: &mut Rng) -> Self {
        let saturation = if r.chance(0.2) {
            1.0
        } else {
            r.range(0.5, 0.95)
        };
        // warm or cool, as light and places are
        let hue = if r.chance(0.6) {
            r.range(0.04, 0.15)
        } else {
            r.range(0.45, 0.6)
        };
        let hue = hsv(hue, 0.35, 1.0);
        let strength = if r.chance(0.5) {
            r.range(0.0, 0.2)
        } else {
            0.0
        };
        Self {
            saturation,
            lean: Vec3::ONE.lerp(hue / luma(hue), strength),
        }
    }

    /// A colour of it that reflects at most the share `top`.
    fn of(&self, c: Vec3, top: f32) -> Vec3 {
        let l = luma(c);
        let muted = Vec3::splat(l).lerp(c, self.saturation) * self.lean;
        muted / (1.0 + l * (1.0 / top - 1.0))
    }
}

/// Muted colours, dirt, unevenness.
pub fn surfaces(m: &mut Maker) {
    let palette = Palette::random(&mut m.r);
    let ground = m.s.ground.map(|g| g.1);
    for (i, material) in m.s.materials.iter_mut().enumerate() {
        let r = &mut m.r;
        // each material takes as many draws, whatever it is
        let (dirty, uneven) = (r.chance(0.6), r.chance(0.35));
        let (dirt, dirt_tile) = (r.range(0.1, 0.5), r.log(0.3, 3.0));
        let pattern = ATLAS.pick(r, &[Family::Noise]);
        let relief = r.log(0.003, 0.02);
        if material.emit > 0.0 {
            continue;
        }
        let top = if Some(i as u32) == ground { 0.5 } else { 0.8 };
        material.colours = material.colours.map(|c| palette.of(c, top));
        let clean = material.mirror > 0.0 || material.picture.is_some();
        if dirty && !clean && material.wear_amount < dirt {
            material.wear = pattern;
            material.wear_amount = dirt;
            material.wear_tile = dirt_tile.max(2.0 * material.tile);
        }
        if uneven && !clean && material.relief == 0.0 {
            material.relief = relief;
        }
    }
}

/// Light from below is what the ground throws back.
pub fn bounce(m: &mut Maker) {
    let s = &mut m.s;
    let (Some((_, ground)), false) = (s.ground, s.night || s.indoors) else {
        return;
    };
    let Some(&Light::Sun { dir, colour, .. }) = s.lights.first() else {
        return;
    };
    let Some(material) = s.materials.get(ground as usize) else {
        return;
    };
    let albedo = material.colours[0].lerp(material.colours[1], 0.5 * material.mix);
    let thrown_back = albedo * (s.ambient * 0.7 + colour * (dir.y.max(0.0) * 0.5));
    s.ambient_below = s.ambient_below.lerp(thrown_back, 0.7);
}

/// Leaves, pebbles and scraps on the ground.
pub fn litter(m: &mut Maker) {
    let height = m.s.camera.at.y;
    if m.s.ground.is_none() || !(0.3..6.0).contains(&height) || !m.r.chance(0.4) {
        return;
    }
    let leaf = Material::leaves(&mut m.r);
    let stone = Material::plain(&mut m.r, Tint::Earth);
    let scrap = Material::plain(&mut m.r, Tint::Any);
    let kinds = [m.mat(leaf), m.mat(stone), m.mat(scrap)];
    let usual = m.r.pick(&kinds);
    for _ in 0..m.r.int(6, 28) {
        let at = place(m, height.max(0.8), height * 8.0, 1.1);
        let material = if m.r.chance(0.7) {
            usual
        } else {
            m.r.pick(&kinds)
        };
        let size = m.r.log(0.01, 0.06);
        let flat = if material == kinds[1] {
            m.r.range(0.4, 0.9)
        } else {
            m.r.range(0.05, 0.3)
        };
        let half = v(size, size * flat, size * m.r.range(0.5, 1.0));
        let turn = ry(m.r.turn());
        m.s.ball(
            &Frame::WORLD,
            at + v(0.0, 0.3 * half.y, 0.0),
            half,
            turn,
            material,
        );
    }
}
