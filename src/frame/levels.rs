//! 16-bit grey that uses only a part of its range: cameras of 12 or 14 bits, and thermal ones, whose whole picture may
//! be a few hundred steps somewhere in the middle.
//!
//! Taken as it is, such a picture is nearly flat to a network that learned from photographs. So its levels are stretched
//! to the range of a picture, by percentiles that run along with the stream.

use super::format::{Depth, Layout, Place};
use super::{ByteOrder, Frame, FrameFormat};
use crate::error::Error;

/// What is black and what is white of 16-bit grey, as shares of its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Shown as black.
    pub black: f32,
    /// Shown as white.
    pub white: f32,
}

impl Levels {
    /// The range as it is.
    pub const WHOLE: Self = Self {
        black: 0.0,
        white: 1.0,
    };

    fn span(self) -> f32 {
        self.white - self.black
    }

    /// Part of the way to `other`.
    fn towards(self, other: Self, way: f32) -> Self {
        Self {
            black: self.black + way * (other.black - self.black),
            white: self.white + way * (other.white - self.white),
        }
    }
}

/// A picture whose percentiles are this far apart, as a share of the range, is left as it is.
const WIDE: f32 = 0.5;
/// One whose are no farther than this is stretched to the whole range; between the two, in part.
const NARROW: f32 = 0.25;
/// The least that is stretched: less is noise.
const LEAST: f32 = 32.0 / 65535.0;
/// Share of the samples below black, and above white.
const OUTSIDE: f64 = 0.005;
/// What a percentile of a new frame weighs where it is outside of those before: what is new is soon seen.
const WIDENING: f32 = 0.3;
/// And where it is inside: one frame of a shutter, or a thing that is hidden for a moment, changes little.
const NARROWING: f32 = 0.05;
/// About how many samples are looked at.
const SAMPLES: usize = 20_000;

/// Levels that run along with the frames of one stream.
#[derive(Debug, Clone)]
pub struct RunningLevels {
    depth: Depth,
    place: Place<1>,
    running: Option<Levels>,
    samples: Vec<u16>,
}

impl RunningLevels {
    /// For frames of `format`; `None` if they are no 16-bit grey.
    pub fn new(format: &FrameFormat) -> Option<Self> {
        let (depth, Layout::Luma(place)) = (format.pixels.depth(), format.pixels.layout()) else {
            return None;
        };
        depth.wide.is_some().then(|| Self {
            depth,
            place,
            running: None,
            samples: Vec::new(),
        })
    }

    /// Looks at the next frame of `format`, and gives the levels to show it with.
    ///
    /// # Errors
    /// [`Error::Frame`] if the planes hold less than the format says.
    pub fn follow(&mut self, frame: &Frame<'_>, format: &FrameFormat) -> Result<Levels, Error> {
        frame.check(format)?;
        let (width, height) = (format.size.width as usize, format.size.height as usize);
        // the same share of both sides
        let apart = ((width * height) as f64 / SAMPLES as f64).sqrt().max(1.0) as usize;
        let from_bytes = match self.depth.wide {
            Some(ByteOrder::Big) => u16::from_be_bytes,
            _ => u16::from_le_bytes,
        };
        let plane = frame.planes[self.place.plane];
        self.samples.clear();
        for y in (apart / 2..height).step_by(apart) {
            let row = plane.row(y, 2 * width).as_chunks::<2>().0;
            let samples = row.iter().skip(apart / 2).step_by(apart);
            self.samples.extend(samples.map(|bytes| from_bytes(*bytes)));
        }
        let (Some(black), Some(white)) = (self.percentile(OUTSIDE), self.percentile(1.0 - OUTSIDE))
        else {
            return Ok(Levels::WHOLE);
        };
        let new = Levels { black, white };
        let running = match self.running {
            Some(before) => follow(before, new),
            None => new,
        };
        self.running = Some(running);
        Ok(shown(running))
    }

    /// As a share of the range; `None` without samples.
    fn percentile(&mut self, share: f64) -> Option<f32> {
        let last = self.samples.len().checked_sub(1)?;
        let index = (share * last as f64).round() as usize;
        let (_, value, _) = self.samples.select_nth_unstable(index);
        Some(f32::from(*value) / 65535.0)
    }
}

/// Levels on their way to those of a new frame. Where the two have nothing in common, it is another scene.
fn follow(before: Levels, new: Levels) -> Levels {
    if new.black >= before.white || new.white <= before.black {
        return new;
    }
    let weight = |is_outside| if is_outside { WIDENING } else { NARROWING };
    Levels {
        black: before.towards(new, weight(new.black < before.black)).black,
        white: before.towards(new, weight(new.white > before.white)).white,
    }
}

/// What percentiles make of a picture: the narrower, the nearer to the whole range.
fn shown(percentiles: Levels) -> Levels {
    let stretched = ((WIDE - percentiles.span()) / (WIDE - NARROW)).clamp(0.0, 1.0);
    let middle = 0.5 * (percentiles.black + percentiles.white);
    let half = 0.5 * percentiles.span().max(LEAST);
    let narrow = Levels {
        black: middle - half,
        white: middle + half,
    };
    Levels::WHOLE.towards(narrow, stretched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Colorimetry, PixelFormat, Plane};
    use crate::geometry::Size;

    fn format(pixels: PixelFormat) -> FrameFormat {
        FrameFormat {
            pixels,
            colorimetry: Colorimetry::bt709(true),
            ..FrameFormat::rgb(Size::new(200, 100))
        }
    }

    /// A ramp from `low` to `high`.
    fn follow(levels: &mut RunningLevels, pixels: PixelFormat, low: u16, high: u16) -> Levels {
        let bytes: Vec<u8> = (0..200 * 100)
            .flat_map(|i| {
                let value = f64::from(low) + f64::from(high - low) * f64::from(i) / 19_999.0;
                match pixels {
                    PixelFormat::Gray16Be => (value as u16).to_be_bytes(),
                    _ => (value as u16).to_le_bytes(),
                }
            })
            .collect();
        let mut frame = Frame::default();
        frame.planes[0] = Plane::new(&bytes, 400);
        levels.follow(&frame, &format(pixels)).expect("it fits")
    }

    fn close(levels: Levels, black: u16, white: u16) {
        let ends = [levels.black, levels.white].map(|end| end * 65535.0);
        let within = 0.02 * f32::from(white - black);
        assert!(
            (ends[0] - f32::from(black)).abs() < within
                && (ends[1] - f32::from(white)).abs() < within,
            "{ends:?}, not {black} and {white}"
        );
    }

    #[test]
    fn narrow_pictures_are_stretched_and_wide_ones_are_not() {
        for pixels in [PixelFormat::Gray16Le, PixelFormat::Gray16Be] {
            let levels = |low, high| {
                let mut levels = RunningLevels::new(&format(pixels)).expect("grey");
                follow(&mut levels, pixels, low, high)
            };
            // 14 bits, 12 bits, a thermal camera's scene
            close(levels(0, 16383), 0, 16383);
            close(levels(0, 4095), 0, 4095);
            close(levels(7600, 8400), 7600, 8400);
            // a 16-bit picture
            assert_eq!(levels(0, 65535), Levels::WHOLE);
            assert_eq!(levels(20_000, 60_000), Levels::WHOLE);
            // nothing in it: no noise is blown up
            let flat = levels(9000, 9002);
            assert!(flat.white - flat.black >= 0.99 * LEAST);
        }
        assert!(RunningLevels::new(&format(PixelFormat::Gray8)).is_none());
        assert!(RunningLevels::new(&format(PixelFormat::P010)).is_none());
    }

    /// One pixel more of span never makes a jump.
    #[test]
    fn between_narrow_and_wide_is_no_step() {
        let mut before: Option<Levels> = None;
        for step in 0..=1000 {
            let white = 0.2 + 0.4 * step as f32 / 1000.0;
            let now = shown(Levels { black: 0.0, white });
            if let Some(before) = before {
                assert!((now.white - before.white).abs() < 0.004, "{white}");
            }
            before = Some(now);
        }
    }

    #[test]
    fn levels_run_along_and_start_afresh_with_another_scene() {
        let pixels = PixelFormat::Gray16Le;
        let mut levels = RunningLevels::new(&format(pixels)).expect("grey");
        let mut frame = |low, high| follow(&mut levels, pixels, low, high);
        frame(8000, 9000);
        // what is new is soon there; what has gone leaves slowly
        close(frame(8000, 10_000), 8000, 9300);
        for _ in 0..20 {
            frame(8000, 10_000);
        }
        close(frame(8000, 10_000), 8000, 10_000);
        // a shutter's frame
        close(frame(9000, 9002), 8050, 9950);
        for _ in 0..100 {
            frame(8100, 9100);
        }
        close(frame(8100, 9100), 8100, 9100);
        close(frame(2000, 2500), 2000, 2500);
    }

    #[test]
    fn short_planes_are_refused() {
        let format = format(PixelFormat::Gray16Le);
        let mut levels = RunningLevels::new(&format).expect("grey");
        let frame = Frame::packed(&[0; 399], 400);
        assert!(levels.follow(&frame, &format).is_err());
    }
}
