//! The luma of a frame: what leads the depth to the edges of the picture.

use crate::error::Error;
use crate::frame::{Frame, FrameFormat};
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
        let plane = frame.planes[0];
        let rows = self.luma.chunks_exact_mut(width).enumerate();
        match format.pixels.packed() {
            None => rows.for_each(|(y, out)| out.copy_from_slice(plane.row(y, width))),
            Some(packed) => {
                let row = |y| plane.row(y, width * packed.bytes);
                match packed.bytes {
                    3 => rows.for_each(|(y, out)| luma_of::<3>(row(y), packed.rgb, out)),
                    _ => rows.for_each(|(y, out)| luma_of::<4>(row(y), packed.rgb, out)),
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

fn luma_of<const BYTES: usize>(row: &[u8], rgb: [usize; 3], out: &mut [u8]) {
    let pixels = row.as_chunks::<BYTES>().0;
    for (out, pixel) in out.iter_mut().zip(pixels) {
        let [red, green, blue] = rgb.map(|channel| u16::from(pixel[channel]));
        *out = ((red + 2 * green + blue + 2) >> 2) as u8;
    }
}
