//! Pixels ↔ numbers: video frames to network tensors, depth maps to 16-bit samples.
//!
//! Everything here works on slices and strides. What a frame is, is said by a [`FrameFormat`]; its bytes
//! come as a [`Frame`]. [`TensorWriter`] makes the tensor a network takes, [`Gray16Writer`] makes a depth
//! frame of what comes out. Both are made once per format and used for every frame; they keep their
//! tables and scratch rows, so that a frame allocates nothing that grows with it.

mod bands;
mod colorimetry;
mod extremes;
mod format;
mod gray16;
mod guided;
mod kernels;
mod levels;
mod light;
pub(crate) mod simd;
pub(crate) mod small;
mod taps;
mod tensor;
#[cfg(test)]
mod variants;

pub use colorimetry::{ChromaSite, Colorimetry};
pub(crate) use extremes::extremes;
pub use format::PixelFormat;
pub use gray16::{ByteOrder, Gray16Writer, Mapping};
pub use guided::{Guide, GuidedWriter};
#[cfg(feature = "testing")]
pub use kernels::InstructionSet;
pub use levels::{Levels, RunningLevels};
pub use light::{Primaries, Transfer};
pub use small::SmallPicture;
pub use tensor::{Normalization, TensorWriter};

use crate::error::Error;
use crate::geometry::Size;

/// What the frames of a stream are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameFormat {
    /// Size in pixels.
    pub size: Size,
    /// How samples lie in memory.
    pub pixels: PixelFormat,
    /// What luma and chroma mean. Of RGB formats, which are full range, only how they stand for light is looked at.
    pub colorimetry: Colorimetry,
    /// Where chroma samples sit. Not looked at for formats without chroma planes.
    pub chroma_site: ChromaSite,
}

impl FrameFormat {
    /// Frames of packed R, G, B.
    #[cfg(feature = "testing")]
    pub const fn rgb(size: Size) -> Self {
        Self {
            size,
            pixels: PixelFormat::Rgb,
            colorimetry: Colorimetry::bt709(true),
            chroma_site: ChromaSite::CENTER,
        }
    }
}

/// One plane of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plane<'a> {
    /// The samples, from the first of the first row. What follows the last sample of the last row may be
    /// missing.
    pub data: &'a [u8],
    /// Bytes from a row to the next.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// A plane that is not there.
    #[cfg(feature = "testing")]
    pub const EMPTY: Self = Self {
        data: &[],
        stride: 0,
    };

    /// Rows of `data`, `stride` bytes apart.
    #[cfg(feature = "testing")]
    pub const fn new(data: &'a [u8], stride: usize) -> Self {
        Self { data, stride }
    }

    /// The first `bytes` bytes of a row. The plane must have been checked to have them.
    fn row(&self, row: usize, bytes: usize) -> &'a [u8] {
        &self.data[row * self.stride..][..bytes]
    }
}

/// The planes of one frame, in the order of [`PixelFormat`]. Those that the format does not have stay
/// empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Frame<'a> {
    /// The planes.
    pub planes: [Plane<'a>; 3],
}

impl<'a> Frame<'a> {
    /// A frame of one plane, packed RGB or grey, whose rows are `stride` bytes apart.
    #[cfg(feature = "testing")]
    pub const fn packed(data: &'a [u8], stride: usize) -> Self {
        Self {
            planes: [Plane::new(data, stride), Plane::EMPTY, Plane::EMPTY],
        }
    }

    /// Checks that the planes hold all samples of a frame of `format`.
    ///
    /// # Errors
    /// [`Error::Frame`] if a plane is too short, its rows overlap, or the frame has no pixels.
    pub fn check(&self, format: &FrameFormat) -> Result<(), Error> {
        let error = |reason| Err(Error::Frame { reason });
        if format.size.area() == 0 {
            return error(format!("a frame of {} has no pixels", format.size));
        }
        for (index, plane) in self.planes.iter().enumerate() {
            let Some((bytes, rows)) = format.pixels.plane_layout(index, format.size) else {
                break;
            };
            let stride = plane.stride;
            if rows > 1 && stride < bytes {
                return error(format!(
                    "plane {index} of a {:?} frame of {} has a stride of {stride} bytes, its rows have {bytes}",
                    format.pixels, format.size,
                ));
            }
            let needed = stride
                .checked_mul(rows - 1)
                .and_then(|above| above.checked_add(bytes));
            let length = plane.data.len();
            if needed.is_none_or(|needed| length < needed) {
                return error(format!(
                    "plane {index} of a {:?} frame of {} has {length} bytes; {rows} rows of {bytes} bytes at a \
                     stride of {stride} take more",
                    format.pixels, format.size,
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pixels: PixelFormat, width: u32, height: u32) -> FrameFormat {
        FrameFormat {
            size: Size::new(width, height),
            pixels,
            colorimetry: Colorimetry::bt709(false),
            chroma_site: ChromaSite::LEFT,
        }
    }

    #[test]
    fn short_planes_are_refused() {
        for pixels in PixelFormat::ALL {
            let format = format(pixels, 7, 5);
            let stored: Vec<Vec<u8>> = (0..pixels.planes())
                .map(|plane| {
                    let (bytes, rows) = pixels.plane_layout(plane, format.size).unwrap_or_default();
                    // the padding of the last row is missing, as GStreamer's buffers may have it
                    vec![0; (bytes + 3) * (rows - 1) + bytes]
                })
                .collect();
            let mut frame = Frame::default();
            for (index, data) in stored.iter().enumerate() {
                let (bytes, _) = pixels.plane_layout(index, format.size).unwrap_or_default();
                frame.planes[index] = Plane {
                    data,
                    stride: bytes + 3,
                };
            }
            assert!(frame.check(&format).is_ok(), "{pixels:?}");
            for index in 0..pixels.planes() {
                let mut short = frame;
                let data = short.planes[index].data;
                short.planes[index].data = &data[..data.len() - 1];
                assert!(short.check(&format).is_err(), "{pixels:?} plane {index}");
                let mut overlapping = frame;
                overlapping.planes[index].stride = 2;
                assert!(overlapping.check(&format).is_err());
                let mut absurd = frame;
                absurd.planes[index].stride = usize::MAX;
                assert!(absurd.check(&format).is_err());
            }
        }
    }

    #[test]
    fn a_frame_without_pixels_is_refused() {
        let empty = format(PixelFormat::Rgb, 0, 4);
        assert!(Frame::default().check(&empty).is_err());
    }
}
