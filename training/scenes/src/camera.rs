//! A pinhole camera. Directions have unit length along the camera's axis, so distances along them are depth.

use glam::{Mat3, Vec3};

/// A camera.
#[derive(Clone, Copy, Debug)]
pub struct Camera {
    /// Where it is.
    pub at: Vec3,
    /// Right, up and forward in the world.
    pub axes: Mat3,
    /// Focal length in units of the image's longer side.
    pub focal: f32,
}

impl Camera {
    /// Looking along +z, turned by yaw (to the right), pitch (down) and roll.
    #[must_use]
    pub fn new(at: Vec3, yaw: f32, pitch: f32, roll: f32, fov: f32) -> Self {
        Self {
            at,
            axes: Mat3::from_rotation_y(yaw)
                * Mat3::from_rotation_x(pitch)
                * Mat3::from_rotation_z(roll),
            focal: 0.5 / (fov * 0.5).tan(),
        }
    }

    /// Looking from one point at another.
    #[must_use]
    pub fn look(at: Vec3, target: Vec3, roll: f32, fov: f32) -> Self {
        let d = target - at;
        let yaw = d.x.atan2(d.z);
        let pitch = -d.y.atan2((d.x * d.x + d.z * d.z).sqrt());
        Self::new(at, yaw, pitch, roll, fov)
    }

    /// Focal length in pixels.
    #[must_use]
    pub fn focal_pixels(&self, width: usize, height: usize) -> f32 {
        self.focal * width.max(height) as f32
    }

    /// What it sees in an image of this size.
    #[must_use]
    pub fn view(&self, width: usize, height: usize) -> View {
        View {
            axes: self.axes,
            inv: 1.0 / self.focal_pixels(width, height),
            centre: [0.5 * width as f32, 0.5 * height as f32],
        }
    }

    /// Direction through a point of the image in pixels; pixel (0, 0) has its centre at (0.5, 0.5).
    #[inline(always)]
    #[must_use]
    pub fn direction(&self, x: f32, y: f32, width: usize, height: usize) -> Vec3 {
        self.view(width, height).direction(x, y)
    }

    /// Where a world point lies in the image, in pixels, and its depth.
    #[must_use]
    pub fn project(&self, p: Vec3, width: usize, height: usize) -> (f32, f32, f32) {
        let q = self.axes.transpose() * (p - self.at);
        let f = self.focal_pixels(width, height) / q.z;
        (
            0.5 * width as f32 + q.x * f,
            0.5 * height as f32 - q.y * f,
            q.z,
        )
    }

    /// Half the width of the view per metre of depth.
    #[must_use]
    pub fn half_width(&self, width: usize, height: usize) -> f32 {
        0.5 * width as f32 / self.focal_pixels(width, height)
    }
}

/// A camera and a size of image.
#[derive(Clone, Copy, Debug)]
pub struct View {
    axes: Mat3,
    /// Width of a pixel at a depth of 1.
    inv: f32,
    centre: [f32; 2],
}

impl View {
    /// As [`Camera::direction`].
    #[inline(always)]
    #[must_use]
    pub fn direction(&self, x: f32, y: f32) -> Vec3 {
        let [cx, cy] = self.centre;
        self.axes * Vec3::new((x - cx) * self.inv, (cy - y) * self.inv, 1.0)
    }
}
