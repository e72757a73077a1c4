//! From pixels and distances to points, and points to PLY.

use std::io::{self, Write};

use gstdepthanything::depth_meta::DepthMeta;

/// A pinhole camera without distortion that looks through the middle of the picture.
///
/// Points are in its optical frame, as ROS REP 103 names it: x to the right, y down, z forward, in metres. Pixel (0, 0)
/// is the middle of the first pixel.
pub(crate) struct Camera {
    /// Focal lengths in pixels: across and down, different where pixels are not square.
    focal: [f64; 2],
    /// Where the axis meets the picture.
    center: [f64; 2],
}

impl Camera {
    /// `par` is the width of a pixel ÷ its height; `focal` counts square pixels, those of a picture's rows.
    pub(crate) fn new(width: u32, height: u32, par: f64, focal: f64) -> Self {
        Self {
            focal: [focal / par, focal],
            center: [width, height].map(|side| (f64::from(side) - 1.0) / 2.0),
        }
    }

    /// From what the longer side takes in, in degrees.
    pub(crate) fn with_field_of_view(width: u32, height: u32, par: f64, degrees: f64) -> Self {
        let longer = (f64::from(width) * par).max(f64::from(height));
        let focal = longer / 2.0 / (degrees.to_radians() / 2.0).tan();
        Self::new(width, height, par, focal)
    }

    pub(crate) fn focal(&self) -> f64 {
        self.focal[1]
    }

    /// The point that a pixel shows, `z` metres ahead: along the axis, not along the ray.
    pub(crate) fn point(&self, column: usize, row: usize, z: f64) -> [f32; 3] {
        let x = (column as f64 - self.center[0]) * z / self.focal[0];
        let y = (row as f64 - self.center[1]) * z / self.focal[1];
        [x as f32, y as f32, z as f32]
    }
}

/// Metres that the ends of a relative model's range are taken to be away.
#[derive(Clone, Copy)]
pub(crate) struct Assumption {
    pub(crate) near: f64,
    pub(crate) far: f64,
}

/// Metres along the axis; none where there is no depth, or where it is beyond what a sample can say.
///
/// Relative depth is inverse depth up to a scale and a shift. An assumption for two values settles both:
/// 1 ÷ z goes linearly from 1 ÷ `far` at the range's farthest to 1 ÷ `near` at its nearest.
pub(crate) fn distance(sample: u16, meta: &DepthMeta, assumed: Option<Assumption>) -> Option<f64> {
    let value = meta.value(sample);
    let Some(Assumption { near, far }) = assumed else {
        return (sample != 0 && sample != u16::MAX && value > 0.0).then_some(value);
    };
    let (one, other) = (meta.value(0), meta.value(u16::MAX));
    let (farthest, nearest) = (one.min(other), one.max(other));
    let nearness = match nearest > farthest {
        true => (value - farthest) / (nearest - farthest),
        false => 0.0,
    };
    Some(1.0 / (1.0 / far + nearness * (1.0 / near - 1.0 / far)))
}

/// Coloured points.
#[derive(Default)]
pub(crate) struct Cloud {
    /// As in the file: x, y, z as little-endian floats, then red, green, blue.
    vertices: Vec<u8>,
}

impl Cloud {
    /// Bytes of a vertex.
    const VERTEX: usize = 15;

    pub(crate) fn push(&mut self, point: [f32; 3], color: [u8; 3]) {
        for coordinate in point {
            self.vertices.extend(coordinate.to_le_bytes());
        }
        self.vertices.extend(color);
    }

    /// As PLY, binary, little endian.
    pub(crate) fn write(&self, mut file: impl Write) -> io::Result<()> {
        write!(
            file,
            "ply\nformat binary_little_endian 1.0\ncomment metres; x right, y down, z forward\n\
             element vertex {}\n\
             property float x\nproperty float y\nproperty float z\n\
             property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n",
            self.vertices.len() / Self::VERTEX
        )?;
        file.write_all(&self.vertices)?;
        file.flush()
    }
}
