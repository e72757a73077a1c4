//! The luma of a frame: what leads the depth to the edges of the picture.

use crate::error::Error;
use crate::frame::format::{Layout, Place};
use crate::frame::{ByteOrder, Frame, FrameFormat, Plane};
use crate::geometry::Size;

/// The luma of one frame, kept as long as its depth is shown.
#[derive(Debug, Clone, Default)]
pub struct Guide {
    size: Size,
    luma: Vec<u8>,
}

impl Guide {
    /// Takes the luma of a frame, whatever its format: the luma plane, or ¼ R + ½ G + ¼ B. Limited range stays as it
    /// is; only differences matter.
    ///
    /// # Errors
    /// [`Error::Frame`] when the planes do not hold a frame of `format`; the guide is then empty.
    pub fn take(&mut self, frame: &Frame<'_>, format: &FrameFormat) -> Result<(), Error> {
        self.clear();
        frame.check(format)?;
        let (width, height) = (format.size.width as usize, format.size.height as usize);
        self.luma.resize(width * height, 0);
        let rows = self.luma.chunks_exact_mut(width).enumerate();
        let depth = format.pixels.depth();
        // the upper eight bits of those that count
        let shift = depth.shift + depth.bits - 8;
        match (format.pixels.layout(), depth.wide) {
            (Layout::Luma(place), None) => take_bytes(rows, frame.planes[0], place),
            (Layout::Yuv(yuv), None) => take_bytes(rows, frame.planes[0], yuv.luma),
            (Layout::Rgb(place), None) => {
                let row = |y| frame.planes[0].row(y, width * place.step);
                match place.step {
                    3 => rows.for_each(|(y, out)| luma_of::<3>(row(y), place.offsets, out)),
                    _ => rows.for_each(|(y, out)| luma_of::<4>(row(y), place.offsets, out)),
                }
            }
            (Layout::Rgb(place), Some(order)) => {
                for (y, out) in rows {
                    let row = frame.planes[0].row(y, 2 * width * place.step);
                    for (out, pixel) in out.iter_mut().zip(row.chunks_exact(2 * place.step)) {
                        let [red, green, blue] = place.offsets.map(|offset| {
                            u32::from(sample(order, [pixel[2 * offset], pixel[2 * offset + 1]]))
                        });
                        *out = ((red + 2 * green + blue) >> (2 + shift)) as u8;
                    }
                }
            }
            // luma of two bytes has a plane of its own
            (Layout::Luma(_) | Layout::Yuv(_), Some(order)) => {
                for (y, out) in rows {
                    let row = frame.planes[0].row(y, 2 * width).as_chunks::<2>().0;
                    for (out, bytes) in out.iter_mut().zip(row) {
                        *out = (sample(order, *bytes) >> shift).min(255) as u8;
                    }
                }
            }
        }
        self.size = format.size;
        Ok(())
    }

    /// Forgets the frame.
    pub fn clear(&mut self) {
        self.size = Size::default();
        self.luma.clear();
    }

    /// Size of the frame; 0×0 if there is none.
    pub fn size(&self) -> Size {
        self.size
    }

    /// One row of it.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let width = self.size.width as usize;
        &self.luma[y * width..][..width]
    }
}

fn take_bytes<'a>(
    rows: impl Iterator<Item = (usize, &'a mut [u8])>,
    plane: Plane<'_>,
    place: Place<1>,
) {
    let [offset] = place.offsets;
    for (y, out) in rows {
        let row = plane.row(y, out.len() * place.step);
        match place.step {
            1 => out.copy_from_slice(row),
            _ => {
                for (out, pixel) in out.iter_mut().zip(row.as_chunks::<2>().0) {
                    *out = pixel[offset];
                }
            }
        }
    }
}

fn sample(order: ByteOrder, bytes: [u8; 2]) -> u16 {
    match order {
        ByteOrder::Little => u16::from_le_bytes(bytes),
        ByteOrder::Big => u16::from_be_bytes(bytes),
    }
}

fn luma_of<const BYTES: usize>(row: &[u8], rgb: [usize; 3], out: &mut [u8]) {
    let pixels = row.as_chunks::<BYTES>().0;
    for (out, pixel) in out.iter_mut().zip(pixels) {
        let [red, green, blue] = rgb.map(|channel| u16::from(pixel[channel]));
        *out = ((red + 2 * green + blue + 2) >> 2) as u8;
    }
}
