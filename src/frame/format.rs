//! How the samples of a frame lie in memory.

use super::gray16::ByteOrder;
use crate::geometry::Size;

/// How the samples of a frame lie in memory.
///
/// Packed RGB formats are named by the order of their bytes; `X` is a byte that is not looked at, and alpha is
/// not looked at either. In the names of those with chroma, 420 has chroma planes half as wide and half as high as the
/// frame, 422 half as wide and as high, 444 as large; halves are rounded up. A number behind says how many bits a
/// sample has, in 16, little-endian: the low ones for planar formats, the high ones for `P010` and `P012`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// R, G, B.
    Rgb,
    /// B, G, R.
    Bgr,
    /// R, G, B, unused.
    Rgbx,
    /// B, G, R, unused.
    Bgrx,
    /// Unused, R, G, B.
    Xrgb,
    /// Unused, B, G, R.
    Xbgr,
    /// R, G, B, alpha.
    Rgba,
    /// B, G, R, alpha.
    Bgra,
    /// Alpha, R, G, B.
    Argb,
    /// Alpha, B, G, R.
    Abgr,
    /// Alpha, R, G, B of 16 bits in the machine's own byte order.
    Argb64,
    /// Luma only.
    Gray8,
    /// Luma only, 16 bits, little-endian.
    Gray16Le,
    /// Luma only, 16 bits, big-endian.
    Gray16Be,
    /// A plane of luma, a plane of U and V in turn.
    Nv12,
    /// A plane of luma, a plane of V and U in turn.
    Nv21,
    /// Three planes: luma, U, V.
    I420,
    /// Three planes: luma, V, U.
    Yv12,
    /// As `Nv12`, chroma as high as luma.
    Nv16,
    /// As `Nv21`, chroma as high as luma.
    Nv61,
    /// Three planes: luma, U, V; chroma as high as luma. GStreamer's `Y42B`.
    I422,
    /// Three planes of one size: luma, U, V. GStreamer's `Y444`.
    I444,
    /// Luma, U, luma, V: two pixels.
    Yuy2,
    /// Luma, V, luma, U: two pixels.
    Yvyu,
    /// U, luma, V, luma: two pixels.
    Uyvy,
    /// V, luma, U, luma: two pixels.
    Vyuy,
    /// As `Nv12`, 10 bits.
    P010,
    /// As `Nv12`, 12 bits.
    P012,
    /// As `Nv12`, 16 bits.
    P016,
    /// As `I420`, 10 bits.
    I420P10,
    /// As `I422`, 10 bits.
    I422P10,
    /// As `I444`, 10 bits.
    I444P10,
    /// As `I420`, 12 bits.
    I420P12,
    /// As `I422`, 12 bits.
    I422P12,
    /// As `I444`, 12 bits.
    I444P12,
}

/// A sample in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    /// Bits that count.
    pub(super) bits: u32,
    /// Bits below them.
    pub(super) shift: u32,
    /// `None`: a byte; else two, in this order.
    pub(super) wide: Option<ByteOrder>,
}

impl Depth {
    const BYTE: Self = Self {
        bits: 8,
        shift: 0,
        wide: None,
    };

    const fn wide(bits: u32, shift: u32) -> Self {
        Self {
            bits,
            shift,
            wide: Some(ByteOrder::Little),
        }
    }

    /// The largest sample.
    pub(super) fn most(self) -> f64 {
        f64::from(((1_u32 << self.bits) - 1) << self.shift)
    }

    /// Bytes of a sample.
    pub(super) const fn bytes(self) -> usize {
        if self.wide.is_some() { 2 } else { 1 }
    }
}

/// Where some channels are in a plane, counted in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place<const CHANNELS: usize> {
    pub(super) plane: usize,
    /// From a pixel to the next.
    pub(super) step: usize,
    /// Of each channel in a pixel.
    pub(super) offsets: [usize; CHANNELS],
}

/// Where luma and chroma are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Yuv {
    pub(super) luma: Place<1>,
    pub(super) chroma: Chroma,
    /// Luma samples to a chroma sample, across and down: 1 or 2.
    pub(super) subsampling: [usize; 2],
}

/// Where U and V are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chroma {
    Together(Place<2>),
    Apart([Place<1>; 2]),
}

/// What the samples of a format are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Rgb(Place<3>),
    Luma(Place<1>),
    Yuv(Yuv),
}

const fn plane(plane: usize) -> Place<1> {
    Place {
        plane,
        step: 1,
        offsets: [0],
    }
}

impl PixelFormat {
    /// Every format there is.
    #[cfg(feature = "testing")]
    pub const ALL: [Self; 35] = [
        Self::Rgb,
        Self::Bgr,
        Self::Rgbx,
        Self::Bgrx,
        Self::Xrgb,
        Self::Xbgr,
        Self::Rgba,
        Self::Bgra,
        Self::Argb,
        Self::Abgr,
        Self::Argb64,
        Self::Gray8,
        Self::Gray16Le,
        Self::Gray16Be,
        Self::Nv12,
        Self::Nv21,
        Self::I420,
        Self::Yv12,
        Self::Nv16,
        Self::Nv61,
        Self::I422,
        Self::I444,
        Self::Yuy2,
        Self::Yvyu,
        Self::Uyvy,
        Self::Vyuy,
        Self::P010,
        Self::P012,
        Self::P016,
        Self::I420P10,
        Self::I422P10,
        Self::I444P10,
        Self::I420P12,
        Self::I422P12,
        Self::I444P12,
    ];

    /// Number of planes, 1 to 3.
    pub const fn planes(self) -> usize {
        match self.layout() {
            Layout::Yuv(Yuv {
                chroma: Chroma::Apart(_),
                ..
            }) => 3,
            Layout::Yuv(Yuv {
                chroma: Chroma::Together(place),
                ..
            }) => place.plane + 1,
            Layout::Rgb(_) | Layout::Luma(_) => 1,
        }
    }

    /// Whether there are two luma samples to a chroma sample down a column: then the fields of interlaced video do
    /// not share chroma as the rows of a frame do.
    pub const fn shares_chroma_down(self) -> bool {
        matches!(
            self.layout(),
            Layout::Yuv(Yuv {
                subsampling: [_, 2],
                ..
            })
        )
    }

    /// What a sample is.
    pub(super) const fn depth(self) -> Depth {
        match self {
            Self::Argb64 => Depth {
                bits: 16,
                shift: 0,
                wide: Some(ByteOrder::NATIVE),
            },
            Self::Gray16Be => Depth {
                bits: 16,
                shift: 0,
                wide: Some(ByteOrder::Big),
            },
            Self::Gray16Le | Self::P016 => Depth::wide(16, 0),
            Self::P010 => Depth::wide(10, 6),
            Self::P012 => Depth::wide(12, 4),
            Self::I420P10 | Self::I422P10 | Self::I444P10 => Depth::wide(10, 0),
            Self::I420P12 | Self::I422P12 | Self::I444P12 => Depth::wide(12, 0),
            _ => Depth::BYTE,
        }
    }

    /// Where the samples are.
    pub(super) const fn layout(self) -> Layout {
        const fn rgb(step: usize, offsets: [usize; 3]) -> Layout {
            Layout::Rgb(Place {
                plane: 0,
                step,
                offsets,
            })
        }
        const fn together(offsets: [usize; 2], subsampling: [usize; 2]) -> Layout {
            Layout::Yuv(Yuv {
                luma: plane(0),
                chroma: Chroma::Together(Place {
                    plane: 1,
                    step: 2,
                    offsets,
                }),
                subsampling,
            })
        }
        const fn apart(planes: [usize; 2], subsampling: [usize; 2]) -> Layout {
            Layout::Yuv(Yuv {
                luma: plane(0),
                chroma: Chroma::Apart([plane(planes[0]), plane(planes[1])]),
                subsampling,
            })
        }
        const fn two_pixels(luma: usize, chroma: [usize; 2]) -> Layout {
            Layout::Yuv(Yuv {
                luma: Place {
                    plane: 0,
                    step: 2,
                    offsets: [luma],
                },
                chroma: Chroma::Together(Place {
                    plane: 0,
                    step: 4,
                    offsets: chroma,
                }),
                subsampling: [2, 1],
            })
        }
        match self {
            Self::Rgb => rgb(3, [0, 1, 2]),
            Self::Bgr => rgb(3, [2, 1, 0]),
            Self::Rgbx | Self::Rgba => rgb(4, [0, 1, 2]),
            Self::Bgrx | Self::Bgra => rgb(4, [2, 1, 0]),
            Self::Xrgb | Self::Argb | Self::Argb64 => rgb(4, [1, 2, 3]),
            Self::Xbgr | Self::Abgr => rgb(4, [3, 2, 1]),
            Self::Gray8 | Self::Gray16Le | Self::Gray16Be => Layout::Luma(plane(0)),
            Self::Nv12 | Self::P010 | Self::P012 | Self::P016 => together([0, 1], [2, 2]),
            Self::Nv21 => together([1, 0], [2, 2]),
            Self::Nv16 => together([0, 1], [2, 1]),
            Self::Nv61 => together([1, 0], [2, 1]),
            Self::I420 | Self::I420P10 | Self::I420P12 => apart([1, 2], [2, 2]),
            Self::Yv12 => apart([2, 1], [2, 2]),
            Self::I422 | Self::I422P10 | Self::I422P12 => apart([1, 2], [2, 1]),
            Self::I444 | Self::I444P10 | Self::I444P12 => apart([1, 2], [1, 1]),
            Self::Yuy2 => two_pixels(0, [1, 3]),
            Self::Yvyu => two_pixels(0, [3, 1]),
            Self::Uyvy => two_pixels(1, [0, 2]),
            Self::Vyuy => two_pixels(1, [2, 0]),
        }
    }

    /// Bytes in a row and number of rows of one plane of a frame of `size`; `None` if there is no such plane.
    pub const fn plane_layout(self, plane: usize, size: Size) -> Option<(usize, usize)> {
        if plane >= self.planes() {
            return None;
        }
        let (width, height) = (size.width as usize, size.height as usize);
        let bytes = self.depth().bytes();
        Some(match self.layout() {
            Layout::Rgb(place) => (width * place.step * bytes, height),
            Layout::Luma(_) => (width * bytes, height),
            Layout::Yuv(yuv) => {
                let [across, down] = yuv.subsampling;
                let step = match yuv.chroma {
                    Chroma::Together(place) => place.step,
                    Chroma::Apart(_) => 1,
                };
                let chroma_width = width.div_ceil(across) * step * bytes;
                match (plane, yuv.luma.step) {
                    (0, 1) => (width * bytes, height),
                    // both pixels of a pair are there
                    (0, _) => (chroma_width, height),
                    _ => (chroma_width, height.div_ceil(down)),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_round_chroma_up() {
        let size = Size::new(5, 3);
        for (pixels, expected) in [
            (PixelFormat::Rgb, [Some((15, 3)), None, None]),
            (PixelFormat::Xbgr, [Some((20, 3)), None, None]),
            (PixelFormat::Argb64, [Some((40, 3)), None, None]),
            (PixelFormat::Gray8, [Some((5, 3)), None, None]),
            (PixelFormat::Gray16Be, [Some((10, 3)), None, None]),
            (PixelFormat::Nv12, [Some((5, 3)), Some((6, 2)), None]),
            (PixelFormat::Nv16, [Some((5, 3)), Some((6, 3)), None]),
            (PixelFormat::P010, [Some((10, 3)), Some((12, 2)), None]),
            (
                PixelFormat::I420,
                [Some((5, 3)), Some((3, 2)), Some((3, 2))],
            ),
            (
                PixelFormat::I422,
                [Some((5, 3)), Some((3, 3)), Some((3, 3))],
            ),
            (
                PixelFormat::I444,
                [Some((5, 3)), Some((5, 3)), Some((5, 3))],
            ),
            (
                PixelFormat::I422P10,
                [Some((10, 3)), Some((6, 3)), Some((6, 3))],
            ),
            (PixelFormat::Yuy2, [Some((12, 3)), None, None]),
        ] {
            let layouts = [0, 1, 2].map(|plane| pixels.plane_layout(plane, size));
            assert_eq!(layouts, expected, "{pixels:?}");
        }
    }

    #[test]
    fn channel_offsets_are_a_permutation_of_the_name() {
        for pixels in PixelFormat::ALL {
            let name = format!("{pixels:?}").to_lowercase();
            let name = name.trim_end_matches("64");
            match pixels.layout() {
                Layout::Rgb(place) => {
                    assert_eq!(place.step, name.len());
                    for (offset, channel) in place.offsets.into_iter().zip("rgb".chars()) {
                        assert_eq!(name.find(channel), Some(offset), "{name}");
                    }
                }
                Layout::Yuv(yuv) if yuv.luma.step == 2 => {
                    let name = name.replace('2', "v");
                    let Chroma::Together(place) = yuv.chroma else {
                        panic!("{name}")
                    };
                    assert_eq!(name.find('y'), Some(yuv.luma.offsets[0]), "{name}");
                    assert_eq!(name.find('u'), Some(place.offsets[0]), "{name}");
                    assert_eq!(name.find('v'), Some(place.offsets[1]), "{name}");
                }
                _ => {}
            }
        }
    }
}
