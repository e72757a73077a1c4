//! What luma and chroma samples mean, and where they sit.

use super::format::Depth;
use super::light::{Primaries, Transfer};

/// How luma and chroma are made of R′G′B′: the weights of red and blue in luma, and the range; and how R′G′B′ is made of
/// light.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Colorimetry {
    /// Weight of red in luma.
    pub kr: f64,
    /// Weight of blue in luma.
    pub kb: f64,
    /// Samples use all of 0…255 (chroma around 128) rather than 16…235 (chroma 16…240); with more bits likewise.
    pub full_range: bool,
    /// How samples stand for light.
    pub transfer: Transfer,
    /// What red, green and blue are. Only looked at for high dynamic range.
    pub primaries: Primaries,
}

impl Colorimetry {
    /// ITU-R BT.601.
    pub const fn bt601(full_range: bool) -> Self {
        Self::new(0.299, 0.114, full_range)
    }

    /// ITU-R BT.709.
    pub const fn bt709(full_range: bool) -> Self {
        Self::new(0.2126, 0.0722, full_range)
    }

    /// ITU-R BT.2020, non-constant luminance.
    pub const fn bt2020(full_range: bool) -> Self {
        Self::new(0.2627, 0.0593, full_range)
    }

    /// SMPTE 240M.
    pub const fn smpte240m(full_range: bool) -> Self {
        Self::new(0.212, 0.087, full_range)
    }

    const fn new(kr: f64, kb: f64, full_range: bool) -> Self {
        Self {
            kr,
            kb,
            full_range,
            transfer: Transfer::Standard,
            primaries: Primaries::BT709,
        }
    }

    /// The same with samples that stand for light in this way.
    #[must_use]
    pub const fn with_light(self, transfer: Transfer, primaries: Primaries) -> Self {
        Self {
            transfer,
            primaries,
            ..self
        }
    }

    /// Sample of black and span from black to white, as 16 and 219 are in 8 bits.
    pub(super) fn luma_range(&self, depth: Depth) -> (f64, f64) {
        self.range(depth, 16.0, 219.0)
    }

    fn range(&self, depth: Depth, low: f64, span: f64) -> (f64, f64) {
        let below = f64::from(1_u32 << depth.shift);
        let (low, span) = if self.full_range {
            (0.0, f64::from((1_u32 << depth.bits) - 1))
        } else {
            let step = f64::from(1_u32 << (depth.bits - 8));
            (low * step, span * step)
        };
        (low * below, span * below)
    }

    /// R, G and B in 0…1 as affine functions of the samples: `[[of y, of u, of v, constant]; 3]`.
    pub(super) fn to_rgb(self, depth: Depth) -> [[f64; 4]; 3] {
        let (black, luma_span) = self.luma_range(depth);
        let (_, chroma_span) = self.range(depth, 128.0, 224.0);
        let middle = f64::from(1_u32 << (depth.bits - 1 + depth.shift));
        let kg = 1.0 - self.kr - self.kb;
        let red_of_v = 2.0 * (1.0 - self.kr);
        let blue_of_u = 2.0 * (1.0 - self.kb);
        let channel = |of_u: f64, of_v: f64| {
            let (y, u, v) = (1.0 / luma_span, of_u / chroma_span, of_v / chroma_span);
            [y, u, v, -black * y - middle * (u + v)]
        };
        [
            channel(0.0, red_of_v),
            channel(-blue_of_u * self.kb / kg, -red_of_v * self.kr / kg),
            channel(blue_of_u, 0.0),
        ]
    }
}

/// Where a chroma sample sits among the luma samples that share it, in each direction: on the first of the
/// two, or half way between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChromaSite {
    /// Across: on the left one.
    pub horizontally_cosited: bool,
    /// Down: on the upper one.
    pub vertically_cosited: bool,
}

impl ChromaSite {
    /// Between four luma samples: JPEG, MPEG-1.
    #[cfg(feature = "testing")]
    pub const CENTER: Self = Self::new(false, false);
    /// Between two luma samples of the left column: MPEG-2, H.264, H.265 and AV1 by default.
    #[cfg(feature = "testing")]
    pub const LEFT: Self = Self::new(true, false);
    /// On the upper left luma sample: BT.2020 video.
    #[cfg(feature = "testing")]
    pub const TOP_LEFT: Self = Self::new(true, true);
    /// Between two luma samples of the upper row.
    #[cfg(feature = "testing")]
    pub const TOP: Self = Self::new(false, true);

    #[cfg(feature = "testing")]
    const fn new(horizontally_cosited: bool, vertically_cosited: bool) -> Self {
        Self {
            horizontally_cosited,
            vertically_cosited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    const BYTE: Depth = PixelFormat::Nv12.depth();

    fn apply(matrix: [[f64; 4]; 3], y: f64, u: f64, v: f64) -> [f64; 3] {
        matrix.map(|[of_y, of_u, of_v, constant]| of_y * y + of_u * u + of_v * v + constant)
    }

    fn close(a: [f64; 3], b: [f64; 3], within: f64) {
        for (x, y) in a.into_iter().zip(b) {
            assert!((x - y).abs() < within, "{a:?} {b:?}");
        }
    }

    #[test]
    fn black_and_white() {
        for colorimetry in [
            Colorimetry::bt601,
            Colorimetry::bt709,
            Colorimetry::bt2020,
            Colorimetry::smpte240m,
        ] {
            let limited = colorimetry(false).to_rgb(BYTE);
            close(apply(limited, 16.0, 128.0, 128.0), [0.0; 3], 1e-12);
            close(apply(limited, 235.0, 128.0, 128.0), [1.0; 3], 1e-12);
            let full = colorimetry(true).to_rgb(BYTE);
            close(apply(full, 0.0, 128.0, 128.0), [0.0; 3], 1e-12);
            close(apply(full, 255.0, 128.0, 128.0), [1.0; 3], 1e-12);
        }
    }

    /// BT.2100, table 9: black, white and no colour of 10 and 12 bits, in the low or the high ones of 16.
    #[test]
    fn black_and_white_of_more_bits() {
        for (pixels, step, full) in [
            (PixelFormat::I420P10, 4.0, 1023.0),
            (PixelFormat::P010, 256.0, 1023.0 * 64.0),
            (PixelFormat::I422P12, 16.0, 4095.0),
            (PixelFormat::P012, 256.0, 4095.0 * 16.0),
            (PixelFormat::P016, 256.0, 65535.0),
        ] {
            let depth = pixels.depth();
            let limited = Colorimetry::bt2020(false).to_rgb(depth);
            let (black, white, none) = (16.0 * step, 235.0 * step, 128.0 * step);
            close(apply(limited, black, none, none), [0.0; 3], 1e-12);
            close(apply(limited, white, none, none), [1.0; 3], 1e-12);
            let red = apply(limited, black + 0.2627 * 219.0 * step, none, 240.0 * step);
            assert!((red[0] - 1.0).abs() < 1e-9, "{red:?}");
            let full_range = Colorimetry::bt2020(true).to_rgb(depth);
            close(apply(full_range, full, none, none), [1.0; 3], 1e-12);
        }
    }

    #[test]
    fn primaries_of_the_colour_bars() {
        // 100 % bars as BT.801 (BT.709) and BT.601 tabulate them
        let bt709 = Colorimetry::bt709(false).to_rgb(BYTE);
        close(apply(bt709, 63.0, 102.0, 240.0), [1.0, 0.0, 0.0], 0.01);
        close(apply(bt709, 173.0, 42.0, 26.0), [0.0, 1.0, 0.0], 0.01);
        close(apply(bt709, 32.0, 240.0, 118.0), [0.0, 0.0, 1.0], 0.01);
        let bt601 = Colorimetry::bt601(false).to_rgb(BYTE);
        close(apply(bt601, 81.0, 90.0, 240.0), [1.0, 0.0, 0.0], 0.01);
        close(apply(bt601, 145.0, 54.0, 34.0), [0.0, 1.0, 0.0], 0.01);
        close(apply(bt601, 41.0, 240.0, 110.0), [0.0, 0.0, 1.0], 0.01);
    }
}
