//! Lights and the air: sun, lamps, sky, clouds, far hills, fog.

use glam::Vec3;

/// A light with a shadow.
#[derive(Clone, Copy, Debug)]
pub enum Light {
    /// Far away; `size` is the tangent of its angular radius.
    Sun {
        /// Towards it, unit length.
        dir: Vec3,
        /// Colour times strength.
        colour: Vec3,
        /// Softness of its shadows.
        size: f32,
    },
    /// At a place; falls off with the square of distance beyond `reach`.
    Lamp {
        /// Where.
        at: Vec3,
        /// Colour times strength.
        colour: Vec3,
        /// Radius in metres.
        size: f32,
        /// Distance at which half is left.
        reach: f32,
    },
}

impl Light {
    /// Unit direction to the light, its distance and what arrives without shadow.
    #[inline]
    #[must_use]
    pub fn at(&self, p: Vec3) -> (Vec3, f32, Vec3) {
        match *self {
            Self::Sun { dir, colour, .. } => (dir, f32::INFINITY, colour),
            Self::Lamp {
                at, colour, reach, ..
            } => {
                let d = at - p;
                let square = d.length_squared();
                let l = square.sqrt().max(1e-4);
                let f = reach * reach / (reach * reach + square);
                (d * l.recip(), l, colour * f)
            }
        }
    }

    /// Softness: how far the direction of a shadow ray may move, per unit of its length.
    #[must_use]
    pub fn spread(&self, distance: f32) -> f32 {
        match *self {
            Self::Sun { size, .. } => size,
            Self::Lamp { size, .. } => size / distance.max(1e-3),
        }
    }
}

/// A far layer: hills or a skyline on a cylinder around the world's origin.
#[derive(Clone, Debug)]
pub struct FarLayer {
    /// Distance in metres.
    pub radius: f32,
    /// Height around the circle.
    pub profile: Vec<f32>,
    /// The greatest of these heights.
    pub top: f32,
    /// The two colours of its pattern.
    pub colours: [Vec3; 2],
    /// Its pattern.
    pub pattern: u16,
    /// Metres per tile.
    pub tile: f32,
}

/// The sky and the air under it.
#[derive(Clone, Debug)]
pub struct Sky {
    /// Colour overhead.
    pub zenith: Vec3,
    /// Colour at the horizon.
    pub horizon: Vec3,
    /// Colour of light from below.
    pub below: Vec3,
    /// How fast the horizon's colour gives way.
    pub falloff: f32,
    /// Pattern of the clouds.
    pub cloud: u16,
    /// Their size in tiles.
    pub cloud_scale: f32,
    /// How much they cover.
    pub cloud_amount: f32,
    /// Their colour.
    pub cloud_colour: Vec3,
    /// Light around the sun.
    pub glow: f32,
    /// Stars and distant lamps.
    pub stars: f32,
    /// Fog per metre.
    pub fog: f32,
    /// Its colour.
    pub fog_colour: Vec3,
    /// Fog thins with height by this per metre; 0 does not.
    pub fog_height: f32,
    /// Nearest first.
    pub layers: Vec<FarLayer>,
}

impl Default for Sky {
    fn default() -> Self {
        Self {
            zenith: Vec3::new(0.25, 0.45, 0.9),
            horizon: Vec3::new(0.75, 0.85, 1.0),
            below: Vec3::splat(0.25),
            falloff: 3.0,
            cloud: 0,
            cloud_scale: 0.2,
            cloud_amount: 0.0,
            cloud_colour: Vec3::ONE,
            glow: 0.0,
            stars: 0.0,
            fog: 0.0,
            fog_colour: Vec3::ONE,
            fog_height: 0.0,
            layers: Vec::new(),
        }
    }
}
