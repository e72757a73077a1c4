//! What surfaces are made of. Colours are linear; patterns know nothing of depth.

use crate::rng::Rng;
use crate::texture::{ATLAS, Family};
use glam::Vec3;

/// A little picture that covers one side of a thing: a decoy that looks deep and is flat.
#[derive(Clone, Copy, Debug)]
pub struct Picture {
    /// Which; taken modulo their number.
    pub index: u16,
    /// Half the sizes of the side, in metres.
    pub half: [f32; 2],
}

/// A surface.
#[derive(Clone, Debug)]
pub struct Material {
    /// The two colours a pattern mixes.
    pub colours: [Vec3; 2],
    /// Pattern that mixes them.
    pub pattern: u16,
    /// How far it mixes, 0..1.
    pub mix: f32,
    /// Metres per tile.
    pub tile: f32,
    /// Pattern of another scale that darkens and brightens: dirt, wear.
    pub wear: u16,
    /// How much, 0..1.
    pub wear_amount: f32,
    /// Metres per tile of wear.
    pub wear_tile: f32,
    /// Where in the tile the object begins.
    pub offset: [f32; 2],
    /// Height of the relief, in tiles; 0 is flat.
    pub relief: f32,
    /// Strength of the highlight.
    pub gloss: f32,
    /// Its exponent.
    pub sharpness: f32,
    /// Mirror reflection seen straight on; it rises to 1 at grazing angles. 0 has none at any angle.
    pub mirror: f32,
    /// Its own light, as a multiple of its colour.
    pub emit: f32,
    /// Only the dark parts of the pattern shine: windows at night.
    pub lit_panes: bool,
    /// Light that comes through from behind: leaves, petals, paper.
    pub through: f32,
    /// Light at the rim: fur, velvet, peach.
    pub fuzz: f32,
    /// Painted over the pattern.
    pub picture: Option<Picture>,
    /// Brightness spread between parts: leaves, stones.
    pub spread: f32,
}

impl Default for Material {
    fn default() -> Self {
        Self {
            colours: [Vec3::splat(0.5); 2],
            pattern: 0,
            mix: 0.0,
            tile: 1.0,
            wear: 0,
            wear_amount: 0.0,
            wear_tile: 1.0,
            offset: [0.0; 2],
            relief: 0.0,
            gloss: 0.0,
            sharpness: 20.0,
            mirror: 0.0,
            emit: 0.0,
            lit_panes: false,
            through: 0.0,
            fuzz: 0.0,
            picture: None,
            spread: 0.0,
        }
    }
}

/// Families of colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Tint {
    Any,
    Green,
    Earth,
    Grey,
    Dark,
    Skin,
    Light,
    Vivid,
    Fur,
    Water,
}

/// Hue, saturation, value (as seen on a screen) to linear colour.
#[must_use]
pub fn hsv(h: f32, s: f32, v: f32) -> Vec3 {
    let f = |n: f32| {
        let k = (n + h.rem_euclid(1.0) * 6.0) % 6.0;
        v - v * s * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    let c = Vec3::new(f(5.0), f(3.0), f(1.0));
    // screen to linear, near enough
    (c * c * 0.85 + c * 0.15).max(Vec3::splat(0.004))
}

/// A random colour of a family.
pub fn colour(r: &mut Rng, tint: Tint) -> Vec3 {
    match tint {
        Tint::Green => hsv(r.range(0.17, 0.38), r.range(0.25, 0.8), r.range(0.18, 0.65)),
        Tint::Earth => hsv(r.range(0.04, 0.15), r.range(0.12, 0.6), r.range(0.2, 0.75)),
        Tint::Grey => hsv(r.unit(), r.range(0.0, 0.12), r.range(0.15, 0.9)),
        Tint::Dark => hsv(r.unit(), r.range(0.0, 0.4), r.range(0.04, 0.25)),
        Tint::Skin => hsv(r.range(0.03, 0.085), r.range(0.25, 0.6), r.range(0.3, 0.92)),
        Tint::Light => hsv(r.unit(), r.range(0.0, 0.2), r.range(0.72, 0.97)),
        Tint::Vivid => hsv(r.unit(), r.range(0.6, 1.0), r.range(0.4, 0.95)),
        Tint::Fur => {
            if r.chance(0.3) {
                hsv(r.range(0.02, 0.15), r.range(0.0, 0.12), r.range(0.08, 0.95))
            } else {
                hsv(r.range(0.03, 0.12), r.range(0.2, 0.7), r.range(0.15, 0.8))
            }
        }
        Tint::Water => hsv(r.range(0.42, 0.6), r.range(0.15, 0.7), r.range(0.1, 0.4)),
        Tint::Any => {
            if r.chance(0.4) {
                colour(r, Tint::Grey)
            } else if r.chance(0.3) {
                colour(r, Tint::Earth)
            } else {
                // most things that are coloured are not loud
                let s = r.unit();
                hsv(r.unit(), 0.1 + 0.85 * s * s, r.range(0.12, 0.9))
            }
        }
    }
}

/// Families that suit nearly anything made by man.
pub const MADE: [Family; 9] = [
    Family::Noise,
    Family::Fine,
    Family::Cloth,
    Family::Stripe,
    Family::Dots,
    Family::Wood,
    Family::Check,
    Family::Poster,
    Family::Text,
];
/// Ground outside.
pub const SOIL: [Family; 6] = [
    Family::Noise,
    Family::Grass,
    Family::Leaf,
    Family::Gravel,
    Family::Ridge,
    Family::Blotch,
];
/// Roads and squares.
pub const PAVED: [Family; 5] = [
    Family::Noise,
    Family::Fine,
    Family::Brick,
    Family::Gravel,
    Family::Ridge,
];
/// Things without a pattern.
pub const PLAIN: [Family; 2] = [Family::Noise, Family::Fine];

impl Material {
    /// A random material: pattern of one of the families, colours of one tint, tiles of this many metres.
    pub fn random(r: &mut Rng, families: &[Family], tint: Tint, tile: (f32, f32)) -> Self {
        let a = colour(r, tint);
        let b = if r.chance(0.55) {
            colour(r, tint)
        } else {
            a * r.range(0.25, 1.8)
        };
        Self {
            colours: [a, b.min(Vec3::splat(0.95))],
            pattern: ATLAS.pick(r, families),
            mix: if r.chance(0.15) {
                0.0
            } else {
                r.range(0.25, 1.0)
            },
            tile: r.log(tile.0, tile.1),
            wear: ATLAS.pick(r, &[Family::Noise, Family::Ridge, Family::Cell]),
            wear_amount: r.range(0.0, 0.9),
            wear_tile: r.log(tile.0 * 1.5, tile.1 * 4.0),
            offset: [r.unit(), r.unit()],
            relief: if r.chance(0.4) {
                r.log(0.004, 0.05)
            } else {
                0.0
            },
            gloss: if r.chance(0.3) {
                r.range(0.05, 0.8)
            } else {
                0.0
            },
            sharpness: r.log(8.0, 150.0),
            ..Self::default()
        }
    }

    /// One colour, nearly smooth.
    pub fn plain(r: &mut Rng, tint: Tint) -> Self {
        let mut m = Self::random(r, &PLAIN, tint, (0.2, 1.5));
        m.mix = r.range(0.0, 0.25);
        m.wear_amount *= 0.2;
        m.relief = 0.0;
        m
    }

    /// Skin.
    pub fn skin(r: &mut Rng) -> Self {
        let mut m = Self::plain(r, Tint::Skin);
        m.colours[1] = m.colours[0] * Vec3::new(0.9, 0.75, 0.7);
        m.tile = 0.1;
        m.wear_amount = r.range(0.0, 0.25);
        m.gloss = r.range(0.0, 0.25);
        m.sharpness = r.range(6.0, 25.0);
        m.fuzz = r.range(0.0, 0.2);
        m
    }

    /// Leaves of plants and trees.
    pub fn leaves(r: &mut Rng) -> Self {
        let tint = if r.chance(0.85) {
            Tint::Green
        } else {
            Tint::Any
        };
        let mut m = Self::random(r, &[Family::Noise, Family::Leaf], tint, (0.3, 2.0));
        m.through = r.range(0.2, 0.7);
        m.spread = r.range(0.2, 0.8);
        m.relief = 0.0;
        m.wear_amount *= 0.5;
        m
    }

    /// Fur, wool, feathers.
    pub fn fur(r: &mut Rng, tile: f32) -> Self {
        let families: &[Family] = if r.chance(0.6) {
            &[Family::Fur]
        } else {
            &[Family::Blotch, Family::Noise, Family::Fur, Family::Stripe]
        };
        let mut m = Self::random(r, families, Tint::Fur, (tile * 0.6, tile * 1.6));
        m.wear = ATLAS.pick(r, &[Family::Fur]);
        m.wear_amount = r.range(0.3, 1.0);
        m.wear_tile = tile * r.range(0.3, 0.8);
        m.fuzz = r.range(0.1, 0.7);
        m.gloss = if r.chance(0.3) {
            r.range(0.0, 0.3)
        } else {
            0.0
        };
        m.sharpness = 12.0;
        m
    }

    /// Clothes.
    pub fn cloth(r: &mut Rng) -> Self {
        let plain = r.chance(0.6);
        let tint = if r.chance(0.35) {
            Tint::Dark
        } else {
            Tint::Any
        };
        let mut m = Self::random(
            r,
            &[
                Family::Cloth,
                Family::Noise,
                Family::Stripe,
                Family::Dots,
                Family::Blotch,
                Family::Ridge,
            ],
            tint,
            (0.08, 0.5),
        );
        if plain {
            m.mix *= 0.25;
        }
        m.relief = if r.chance(0.5) {
            r.range(0.01, 0.05)
        } else {
            0.0
        };
        m.gloss *= 0.4;
        m
    }

    /// Metal, lacquer, china.
    pub fn shiny(r: &mut Rng, tint: Tint) -> Self {
        let mut m = Self::plain(r, tint);
        m.gloss = r.range(0.3, 1.2);
        m.sharpness = r.log(30.0, 300.0);
        m.mirror = if r.chance(0.6) {
            r.range(0.03, 0.3)
        } else {
            0.0
        };
        m
    }

    /// A lamp, a screen, a sign.
    pub fn light(r: &mut Rng, strength: f32) -> Self {
        let mut m = Self::plain(r, Tint::Light);
        m.emit = strength;
        m.wear_amount = 0.0;
        m
    }

    /// The same with another roughness of relief.
    #[must_use]
    pub fn with_relief(mut self, relief: f32) -> Self {
        self.relief = relief;
        self
    }

    /// The same with a reflection.
    #[must_use]
    pub fn with_mirror(mut self, mirror: f32) -> Self {
        self.mirror = mirror;
        self
    }
}
