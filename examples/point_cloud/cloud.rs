//! From pixels and distances to points, and points to PLY.

use std::io::{self, Write};

use gstdepthanything::depth_meta::DepthMeta;

/// A pinhole camera without distortion.
///
/// Points are in its optical frame, as ROS REP 103 names it: x to the right, y down, z forward, in metres. Pixel (0, 0)
/// is the middle of the first pixel.
pub(crate) struct Camera {
    /// Focal lengths in pixels: across and down, different where pixels are not square.
    pub(crate) focal: [f64; 2],
    /// Where the axis meets the picture.
    pub(crate) center: [f64; 2],
}

/// What is known of a camera; what is not is assumed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intrinsics {
    /// Focal lengths, across and down, in the pixels of the picture.
    pub(crate) fx: Option<f64>,
    pub(crate) fy: Option<f64>,
    /// Where the axis meets the picture; else in its middle.
    pub(crate) cx: Option<f64>,
    pub(crate) cy: Option<f64>,
}

impl Camera {
    /// What the longer side takes in where no focal length is known, in degrees.
    const FIELD_OF_VIEW: f64 = 60.0;

    /// For pictures of this size. `par` is the width of a pixel ÷ its height.
    pub(crate) fn new(width: u32, height: u32, par: f64, known: Intrinsics) -> Self {
        // as many as there would be in square pixels of a row's height
        let longer = (f64::from(width) * par).max(f64::from(height));
        let assumed = longer / 2.0 / (Self::FIELD_OF_VIEW.to_radians() / 2.0).tan();
        let fx = known.fx.or(known.fy.map(|fy| fy / par));
        let fx = fx.unwrap_or(assumed / par);
        let middle = |side: u32| (f64::from(side) - 1.0) / 2.0;
        Self {
            focal: [fx, known.fy.unwrap_or(fx * par)],
            center: [
                known.cx.unwrap_or(middle(width)),
                known.cy.unwrap_or(middle(height)),
            ],
        }
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

/// What a sample says of a point's distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Distance {
    /// Metres along the axis.
    Metres(f64),
    /// More metres than a sample can say.
    Beyond,
    /// There is no depth.
    Unknown,
}

/// How far away the point is that `sample` is of.
///
/// Relative depth is inverse depth up to a scale and a shift. An assumption for two values settles both:
/// 1 ÷ z goes linearly from 1 ÷ `far` at the range's farthest to 1 ÷ `near` at its nearest.
pub(crate) fn distance(sample: u16, meta: &DepthMeta, assumed: Option<Assumption>) -> Distance {
    let value = meta.value(sample);
    let Some(Assumption { near, far }) = assumed else {
        return match sample {
            u16::MAX => Distance::Beyond,
            sample if sample == 0 || value <= 0.0 => Distance::Unknown,
            _ => Distance::Metres(value),
        };
    };
    let (one, other) = (meta.value(0), meta.value(u16::MAX));
    let (farthest, nearest) = (one.min(other), one.max(other));
    let nearness = match nearest > farthest {
        true => (value - farthest) / (nearest - farthest),
        false => 0.0,
    };
    Distance::Metres(1.0 / (1.0 / far + nearness * (1.0 / near - 1.0 / far)))
}

/// Metres to a step of a sample, so that a model that reaches so far fits into 16 bits: a millimetre where that is enough,
/// as depth cameras have it, else the next of 1, 2, 5, 10, …
pub(crate) fn depth_unit(farthest: f64) -> f64 {
    // the last sample says "that or farther"
    let needed = farthest / f64::from(u16::MAX - 1);
    let steps = (-3..3).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    steps
        .into_iter()
        .find(|&unit| unit >= needed)
        .unwrap_or(1000.0)
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
