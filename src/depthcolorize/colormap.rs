//! Colour maps as lookup tables, and the loops that apply them. Knows slices, not GStreamer.

/// Number of colours that a map is given by; between two of them it is linear.
const ANCHORS: usize = 256;

/// Steps of a 16-bit sample from one anchor to the next: 65535 / 255, without a remainder. So a GRAY8
/// sample `g` has exactly the colour of the 16-bit sample `257·g`.
const STEPS: u32 = 257;

/// A colour map: a way from 0 (far, black in depth's own picture) to 1 (near, white).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Colormap {
    /// ColorBrewer's spectral scheme with near red and far violet, as in Depth Anything's own pictures.
    #[default]
    Spectral,
    /// matplotlib's inferno.
    Inferno,
    /// matplotlib's magma.
    Magma,
    /// matplotlib's plasma.
    Plasma,
    /// matplotlib's viridis.
    Viridis,
    /// Google's turbo, a smoother jet.
    Turbo,
    /// Depth's own grey, rounded to 8 bits.
    Gray,
}

impl Colormap {
    /// Every map, in the order of the property.
    pub const ALL: [Self; 7] = [
        Self::Spectral,
        Self::Inferno,
        Self::Magma,
        Self::Plasma,
        Self::Viridis,
        Self::Turbo,
        Self::Gray,
    ];

    /// Red, green and blue of anchor `index`.
    fn anchor(self, index: usize) -> [u8; 3] {
        let (gradient, index) = match self {
            // ColorBrewer's starts with red
            Self::Spectral => (colorous::SPECTRAL, ANCHORS - 1 - index),
            Self::Inferno => (colorous::INFERNO, index),
            Self::Magma => (colorous::MAGMA, index),
            Self::Plasma => (colorous::PLASMA, index),
            Self::Viridis => (colorous::VIRIDIS, index),
            Self::Turbo => (colorous::TURBO, index),
            Self::Gray => return [index as u8; 3],
        };
        gradient.eval_rational(index, ANCHORS).into_array()
    }

    /// Red, green and blue of a 16-bit sample: the definition that [`Lut`] tabulates.
    pub fn color(self, sample: u16, reverse: bool) -> [u8; 3] {
        let sample = if reverse { u16::MAX - sample } else { sample };
        let (index, step) = (u32::from(sample) / STEPS, u32::from(sample) % STEPS);
        let from = self.anchor(index as usize);
        let to = self.anchor((index as usize + 1).min(ANCHORS - 1));
        std::array::from_fn(|i| between(from[i], to[i], step))
    }
}

/// `step`/257 of the way, rounded.
fn between(from: u8, to: u8, step: u32) -> u8 {
    ((u32::from(from) * (STEPS - step) + u32::from(to) * step + STEPS / 2) / STEPS) as u8
}

/// Order of the bytes of an output pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelOrder {
    /// 3 bytes: `RGB`.
    Rgb,
    /// 4 bytes: `RGBx`, `RGBA`.
    Rgba,
    /// 4 bytes: `BGRx`, `BGRA`.
    Bgra,
}

impl PixelOrder {
    /// Bytes of a pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba | Self::Bgra => 4,
        }
    }
}

/// How the input samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// 8 bits.
    Gray8,
    /// 16 bits, little endian.
    Gray16Le,
    /// 16 bits, big endian.
    Gray16Be,
}

impl SampleFormat {
    /// Bytes of a sample.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16Le | Self::Gray16Be => 2,
        }
    }
}

/// The colours of all 65536 samples, in the byte order of the output. 256 kB: a second-level cache holds
/// it, and depth is smooth enough that the first-level one nearly does.
#[derive(Debug, Clone)]
pub struct Lut {
    order: PixelOrder,
    colors: Box<[[u8; 4]; 1 << 16]>,
}

impl Lut {
    /// Tabulates `colormap`, from far to near or, with `reverse`, from near to far. Alpha is opaque.
    pub fn new(colormap: Colormap, reverse: bool, order: PixelOrder) -> Self {
        let mut colors = Box::new([[0, 0, 0, 255]; 1 << 16]);
        let mut from = colormap.anchor(0);
        for (index, block) in colors.chunks_mut(STEPS as usize).enumerate() {
            let to = colormap.anchor((index + 1).min(ANCHORS - 1));
            for (step, color) in (0..).zip(block) {
                let [r, g, b] = std::array::from_fn(|i| between(from[i], to[i], step));
                *color = match order {
                    PixelOrder::Rgb | PixelOrder::Rgba => [r, g, b, 255],
                    PixelOrder::Bgra => [b, g, r, 255],
                };
            }
            from = to;
        }
        if reverse {
            colors.reverse();
        }
        Self { order, colors }
    }

    /// The same colours laid on distances: of a sample that means `scale` · sample + `offset` metres, `near` and less gets
    /// the last colour, `far` and more the first. Sample 0, which is no depth, is black.
    #[must_use]
    pub fn by_distance(self, [scale, offset]: [f64; 2], near: f64, far: f64) -> Self {
        let mut colors = self.colors.clone();
        for (sample, color) in (0..=u16::MAX).zip(colors.iter_mut()) {
            let metres = scale * f64::from(sample) + offset;
            let nearness = ((far - metres) / (far - near)).clamp(0.0, 1.0);
            *color = self.colors[(nearness * 65535.0).round() as usize & 0xffff];
        }
        colors[0] = [0, 0, 0, 255];
        Self { colors, ..self }
    }

    /// The byte order it was made for.
    pub fn order(&self) -> PixelOrder {
        self.order
    }

    /// Colours one row. Pixels beyond the shorter of the two rows are left alone.
    pub fn apply(&self, format: SampleFormat, samples: &[u8], pixels: &mut [u8]) {
        match format {
            SampleFormat::Gray8 => self.row(samples.as_chunks::<1>().0, pixels, |[sample]| {
                usize::from(sample) * STEPS as usize
            }),
            SampleFormat::Gray16Le => self.row(samples.as_chunks().0, pixels, |bytes| {
                usize::from(u16::from_le_bytes(bytes))
            }),
            SampleFormat::Gray16Be => self.row(samples.as_chunks().0, pixels, |bytes| {
                usize::from(u16::from_be_bytes(bytes))
            }),
        }
    }

    fn row<const N: usize>(
        &self,
        samples: &[[u8; N]],
        pixels: &mut [u8],
        index: impl Fn([u8; N]) -> usize,
    ) {
        // an index that visibly fits the array: no bounds checks in the loops
        let color = |sample: &[u8; N]| self.colors[index(*sample) & 0xffff];
        match self.order {
            PixelOrder::Rgba | PixelOrder::Bgra => {
                for (pixel, sample) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(samples) {
                    *pixel = color(sample);
                }
            }
            PixelOrder::Rgb => {
                // four pixels are three whole words
                let fours = (samples.len() / 4).min(pixels.len() / 12);
                let (samples, last_samples) = samples.split_at(fours * 4);
                let (pixels, last_pixels) = pixels.split_at_mut(fours * 12);
                let fours = samples.as_chunks::<4>().0;
                for (twelve, four) in pixels.as_chunks_mut::<12>().0.iter_mut().zip(fours) {
                    let [a, b, c, d] = four
                        .each_ref()
                        .map(|sample| u32::from_le_bytes(color(sample)) & 0xff_ffff);
                    let words = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8];
                    for (bytes, word) in twelve.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                        *bytes = word.to_le_bytes();
                    }
                }
                let last_pixels = last_pixels.as_chunks_mut::<3>().0;
                for (pixel, sample) in last_pixels.iter_mut().zip(last_samples) {
                    let [x, y, z, _] = color(sample);
                    *pixel = [x, y, z];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [SampleFormat; 3] = [
        SampleFormat::Gray8,
        SampleFormat::Gray16Le,
        SampleFormat::Gray16Be,
    ];
    const ORDERS: [PixelOrder; 3] = [PixelOrder::Rgb, PixelOrder::Rgba, PixelOrder::Bgra];

    fn bytes(format: SampleFormat, samples: &[u16]) -> Vec<u8> {
        match format {
            SampleFormat::Gray8 => samples.iter().map(|s| (s / 257) as u8).collect(),
            SampleFormat::Gray16Le => samples.iter().flat_map(|s| s.to_le_bytes()).collect(),
            SampleFormat::Gray16Be => samples.iter().flat_map(|s| s.to_be_bytes()).collect(),
        }
    }

    #[test]
    fn every_entry_is_the_definition() {
        for colormap in Colormap::ALL {
            for reverse in [false, true] {
                let lut = Lut::new(colormap, reverse, PixelOrder::Rgba);
                for sample in (0..=u16::MAX).step_by(7).chain([u16::MAX]) {
                    let [r, g, b] = colormap.color(sample, reverse);
                    assert_eq!(
                        lut.colors[usize::from(sample)],
                        [r, g, b, 255],
                        "{colormap:?} {sample}"
                    );
                }
            }
        }
    }

    /// Within a level: some round where others cut.
    fn assert_near(color: [u8; 3], wanted: [u8; 3], what: &str) {
        for i in 0..3 {
            assert!(
                color[i].abs_diff(wanted[i]) <= 1,
                "{what}: {color:?} is not {wanted:?}"
            );
        }
    }

    /// The published ends: ColorBrewer's 11-class Spectral, matplotlib's listed maps, d3's turbo.
    #[test]
    fn ends_are_the_published_ones() {
        for (colormap, far, near) in [
            (Colormap::Spectral, [94, 79, 162], [158, 1, 66]),
            (Colormap::Inferno, [0, 0, 4], [252, 255, 164]),
            (Colormap::Magma, [0, 0, 4], [252, 253, 191]),
            (Colormap::Plasma, [13, 8, 135], [240, 249, 33]),
            (Colormap::Viridis, [68, 1, 84], [253, 231, 37]),
            (Colormap::Turbo, [35, 23, 27], [144, 12, 0]),
            (Colormap::Gray, [0, 0, 0], [255, 255, 255]),
        ] {
            let what = format!("{colormap:?}");
            assert_near(colormap.color(0, false), far, &what);
            assert_near(colormap.color(u16::MAX, false), near, &what);
            assert_near(colormap.color(0, true), near, &what);
            assert_near(colormap.color(u16::MAX, true), far, &what);
        }
    }

    #[test]
    fn the_middle_of_viridis_is_matplotlibs() {
        let middle = Colormap::Viridis.color(128 * 257, false);
        assert_near(middle, [33, 145, 140], "viridis");
    }

    #[test]
    fn gray_is_the_sample_in_8_bits() {
        for sample in 0..=u16::MAX {
            let rounded = (f64::from(sample) / 257.0).round() as u8;
            assert_eq!(Colormap::Gray.color(sample, false), [rounded; 3]);
        }
    }

    /// 16-bit depth must not show the steps of an 8-bit map.
    #[test]
    fn neighbours_differ_by_one_level_at_most() {
        for colormap in Colormap::ALL {
            let lut = Lut::new(colormap, false, PixelOrder::Rgba);
            for pair in lut.colors.windows(2) {
                for i in 0..3 {
                    assert!(
                        pair[0][i].abs_diff(pair[1][i]) <= 1,
                        "{colormap:?} {pair:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_format_order_and_width() {
        for width in [0, 1, 2, 3, 4, 5, 7, 8, 13, 64, 65] {
            let samples: Vec<u16> = (0..width).map(|x| (x * 40_503 % 65_536) as u16).collect();
            for format in FORMATS {
                let row = bytes(format, &samples);
                for order in ORDERS {
                    let lut = Lut::new(Colormap::Turbo, false, order);
                    let mut pixels = vec![7; samples.len() * order.bytes() + 5];
                    let end = samples.len() * order.bytes();
                    lut.apply(format, &row, &mut pixels[..end]);
                    for (x, (pixel, &sample)) in
                        pixels.chunks_exact(order.bytes()).zip(&samples).enumerate()
                    {
                        let sample = match format {
                            SampleFormat::Gray8 => sample / 257 * 257,
                            _ => sample,
                        };
                        let [r, g, b] = Colormap::Turbo.color(sample, false);
                        let wanted = match order {
                            PixelOrder::Rgb => vec![r, g, b],
                            PixelOrder::Rgba => vec![r, g, b, 255],
                            PixelOrder::Bgra => vec![b, g, r, 255],
                        };
                        assert_eq!(pixel, wanted, "{format:?} {order:?} {width} {x}");
                    }
                    assert!(pixels[end..].iter().all(|&byte| byte == 7));
                }
            }
        }
    }

    #[test]
    fn rows_of_different_length_touch_only_what_both_have() {
        let lut = Lut::new(Colormap::Gray, false, PixelOrder::Rgb);
        let mut pixels = [7; 30];
        lut.apply(SampleFormat::Gray8, &[255; 5], &mut pixels);
        assert!(pixels[..15].iter().all(|&byte| byte == 255));
        assert!(pixels[15..].iter().all(|&byte| byte == 7));
        let mut short = [7; 17];
        lut.apply(SampleFormat::Gray8, &[255; 9], &mut short);
        assert!(short[..15].iter().all(|&byte| byte == 255));
        assert!(short[15..].iter().all(|&byte| byte == 7));
    }
}
