//! A place to stand: objects are described in their own metres and put into the world by a frame.

use glam::{Mat3, Vec3};

/// Where an object stands, which way it faces and how big it is.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Its own origin in the world.
    pub at: Vec3,
    /// Its own axes in the world.
    pub rot: Mat3,
    /// World metres per metre of its own.
    pub scale: f32,
}

impl Frame {
    /// The world itself.
    pub const WORLD: Self = Self {
        at: Vec3::ZERO,
        rot: Mat3::IDENTITY,
        scale: 1.0,
    };

    /// Upright at a place, turned about the vertical.
    #[must_use]
    pub fn upright(at: Vec3, yaw: f32) -> Self {
        Self {
            at,
            rot: Mat3::from_rotation_y(yaw),
            scale: 1.0,
        }
    }

    /// The same place at another size.
    #[must_use]
    pub fn sized(self, scale: f32) -> Self {
        Self {
            scale: self.scale * scale,
            ..self
        }
    }

    /// A frame inside this one.
    #[must_use]
    pub fn child(&self, at: Vec3, rot: Mat3) -> Self {
        Self {
            at: self.point(at),
            rot: self.rot * rot,
            scale: self.scale,
        }
    }

    /// A point of this frame in the world.
    #[must_use]
    pub fn point(&self, p: Vec3) -> Vec3 {
        self.at + self.rot * (p * self.scale)
    }
}
