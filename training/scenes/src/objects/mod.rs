//! Things: each is described in its own metres, standing on y = 0 of its frame and facing its +z.

pub mod animal;
pub mod furniture;
pub mod head;
pub mod item;
pub mod outdoor;
pub mod person;
pub mod plant;
pub mod structure;
pub mod vehicle;

use crate::material::{Material, Picture};
use crate::rng::Rng;
use crate::scene::Scene;
use glam::{Mat3, Vec3};

/// A scene in the making, with its dice.
#[derive(Debug)]
pub struct Maker {
    /// The dice.
    pub r: Rng,
    /// The scene.
    pub s: Scene,
    /// Little pictures may hang on walls; off while those are made themselves.
    pub pictures: bool,
}

impl Maker {
    /// Nothing yet.
    #[must_use]
    pub fn new(r: Rng) -> Self {
        Self {
            r,
            s: Scene::default(),
            pictures: true,
        }
    }

    /// Makes a material show a little picture over a side of these half sizes, at some chance.
    pub fn hang(&mut self, material: &mut Material, half: (f32, f32), chance: f32) {
        if self.pictures && self.r.chance(chance) {
            material.picture = Some(Picture {
                index: self.r.bits() as u16,
                half: [half.0, half.1],
            });
            material.relief = 0.0;
        }
    }

    /// Adds a material.
    pub fn mat(&mut self, m: Material) -> u32 {
        self.s.material(m)
    }
}

/// Shorthand for a vector.
#[must_use]
pub const fn v(x: f32, y: f32, z: f32) -> Vec3 {
    Vec3::new(x, y, z)
}

/// Rotation about x.
#[must_use]
pub fn rx(a: f32) -> Mat3 {
    Mat3::from_rotation_x(a)
}

/// Rotation about y.
#[must_use]
pub fn ry(a: f32) -> Mat3 {
    Mat3::from_rotation_y(a)
}

/// Rotation about z.
#[must_use]
pub fn rz(a: f32) -> Mat3 {
    Mat3::from_rotation_z(a)
}

/// No rotation.
pub const I: Mat3 = Mat3::IDENTITY;

/// A full turn in radians.
pub const FULL: f32 = std::f32::consts::TAU;
/// Half a turn.
pub const HALF: f32 = std::f32::consts::PI;
/// A quarter of a turn.
pub const QUARTER: f32 = std::f32::consts::FRAC_PI_2;
