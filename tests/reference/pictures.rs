//! Pictures to convert: drawn ones, and photographs where there are some.

use std::path::PathBuf;

use gstdepthanything::frame::{ChromaSite, Colorimetry, FrameFormat, PixelFormat};
use gstdepthanything::geometry::Size;

use crate::formulas::{Image, Matrix, Yuv};

/// A small generator of pseudo-random numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `from`…`to`, both included.
    pub(crate) fn within(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.within(0, from.len() - 1)]
    }
}

/// R, G, B in 0…1, in steps of 1/255.
pub(crate) type Rgb = [Image; 3];

/// Slopes, waves and edges.
pub(crate) fn drawn(width: usize, height: usize) -> Rgb {
    [0.13, 0.31, 0.71].map(|phase| {
        Image::from_fn(width, height, |x, y| {
            let (u, v) = (x as f64 / width as f64, y as f64 / height as f64);
            let wave = (40.0 * (u * u + v * phase) + 7.0 * phase).sin();
            let edge = if (x / 7 + y / 5) % 3 == 0 { 0.3 } else { 0.0 };
            let value = 0.35 * u + 0.2 * v + 0.25 * wave + edge + 0.1;
            (value.clamp(0.0, 1.0) * 255.0).round() / 255.0
        })
    })
}

/// Noise: the hardest thing to interpolate alike.
pub(crate) fn noise(width: usize, height: usize, random: &mut Random) -> Rgb {
    [(); 3].map(|()| Image::from_fn(width, height, |_, _| random.within(0, 255) as f64 / 255.0))
}

/// Photographs in the folder that `DEPTHANYTHING_PICTURES` names, or in `../shared/photos`; none if there
/// is no such folder.
pub(crate) fn photographs(most: usize) -> Vec<(String, Rgb)> {
    let folder = std::env::var_os("DEPTHANYTHING_PICTURES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/photos"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("no pictures in {}", folder.display());
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let picture = image::open(&path).ok()?.into_rgb8();
            let (width, height) = (picture.width() as usize, picture.height() as usize);
            let rgb = [0, 1, 2].map(|channel| {
                Image::from_fn(width, height, |x, y| {
                    f64::from(picture.as_raw()[3 * (y * width + x) + channel]) / 255.0
                })
            });
            Some((path.display().to_string(), rgb))
        })
        .take(most)
        .collect()
}

/// Planes in memory, with strides of their own and rubbish between the rows.
pub(crate) struct Stored {
    pub(crate) planes: Vec<(Vec<u8>, usize)>,
}

impl Stored {
    fn new(images: &[&[Image]], padding: usize) -> Self {
        let planes = images
            .iter()
            .map(|channels| {
                let (width, height) = (channels[0].width, channels[0].height);
                let stride = width * channels.len() + padding;
                // the last row goes without padding
                let mut data = vec![0xa5; stride * height - padding];
                for (channel, image) in channels.iter().enumerate() {
                    for (index, sample) in image.samples.iter().enumerate() {
                        let (x, y) = (index % width, index / width);
                        data[y * stride + x * channels.len() + channel] = *sample as u8;
                    }
                }
                (data, stride)
            })
            .collect();
        Self { planes }
    }

    /// A packed RGB format, channel by channel as its name says.
    pub(crate) fn rgb(rgb: &Rgb, pixels: PixelFormat, padding: usize) -> Self {
        let [red, green, blue] = rgb.clone().map(|mut image| {
            image
                .samples
                .iter_mut()
                .for_each(|s| *s = (*s * 255.0).round());
            image
        });
        let unused = Image::from_fn(red.width, red.height, |x, y| {
            ((x * 31 + y * 17) % 256) as f64
        });
        let channels: Vec<Image> = format!("{pixels:?}")
            .to_lowercase()
            .chars()
            .map(|name| match name {
                'r' => red.clone(),
                'g' => green.clone(),
                'b' => blue.clone(),
                _ => unused.clone(),
            })
            .collect();
        Self::new(&[&channels], padding)
    }

    /// With chroma, or luma alone.
    pub(crate) fn yuv(yuv: &Yuv, pixels: PixelFormat, padding: usize) -> Self {
        let [y, u, v] = yuv.planes.clone();
        let two_pixels = |order: &str| {
            let packed = Image::from_fn(4 * u.width, y.height, |byte, row| {
                let pair = byte / 4;
                match order.as_bytes()[byte % 4] {
                    b'u' => u.samples[row * u.width + pair],
                    b'v' => v.samples[row * v.width + pair],
                    // the second of a pair may be beyond the last pixel
                    _ => match 2 * pair + usize::from(byte % 4 > 1) {
                        x if x < y.width => y.samples[row * y.width + x],
                        _ => 77.0,
                    },
                }
            });
            Self::new(&[&[packed]], padding)
        };
        let wide = |planes: &[&[&Image]], shift: u32| {
            let planes: Vec<Image> = planes
                .iter()
                .map(|channels| {
                    let (width, count) = (channels[0].width, channels.len());
                    Image::from_fn(2 * width * count, channels[0].height, |byte, row| {
                        let sample = byte / 2;
                        let channel = channels[sample % count];
                        let value = channel.samples[row * width + sample / count] as u16;
                        f64::from((value << shift).to_le_bytes()[byte % 2])
                    })
                })
                .collect();
            let planes: Vec<&[Image]> = planes.iter().map(std::slice::from_ref).collect();
            Self::new(&planes, padding)
        };
        use PixelFormat as P;
        match pixels {
            P::Gray8 => Self::new(&[&[y]], padding),
            P::Gray16Le => wide(&[&[&y]], 0),
            P::Nv12 | P::Nv16 => Self::new(&[&[y], &[u, v]], padding),
            P::Nv21 | P::Nv61 => Self::new(&[&[y], &[v, u]], padding),
            P::I420 | P::I422 | P::I444 => Self::new(&[&[y], &[u], &[v]], padding),
            P::Yv12 => Self::new(&[&[y], &[v], &[u]], padding),
            P::Yuy2 => two_pixels("yuyv"),
            P::Yvyu => two_pixels("yvyu"),
            P::Uyvy => two_pixels("uyvy"),
            P::Vyuy => two_pixels("vyuy"),
            P::P010 => wide(&[&[&y], &[&u, &v]], 6),
            P::P012 => wide(&[&[&y], &[&u, &v]], 4),
            P::P016 => wide(&[&[&y], &[&u, &v]], 0),
            P::I420P10 | P::I422P10 | P::I444P10 | P::I420P12 | P::I422P12 | P::I444P12 => {
                wide(&[&[&y], &[&u], &[&v]], 0)
            }
            other => panic!("{other:?} is not YUV"),
        }
    }
}

/// Bits of a sample, and luma samples to a chroma sample across and down, as the format's name says.
pub(crate) fn kind(pixels: PixelFormat) -> (i32, [usize; 2]) {
    let name = format!("{pixels:?}");
    let bits = match &name {
        name if name.ends_with("P10") || name == "P010" => 10,
        name if name.ends_with("P12") || name == "P012" => 12,
        name if name == "P016" || name.starts_with("Gray16") => 16,
        _ => 8,
    };
    let subsampling = match &name[..4.min(name.len())] {
        "I444" => [1, 1],
        "I422" | "Nv16" | "Nv61" | "Yuy2" | "Yvyu" | "Uyvy" | "Vyuy" => [2, 1],
        _ => [2, 2],
    };
    (bits, subsampling)
}

/// The same matrix as the tests and as the crate write it.
pub(crate) fn matrices() -> [(Matrix, Colorimetry); 5] {
    let matrix = |kr, kb, full| Matrix {
        kr,
        kb,
        full,
        bits: 8,
    };
    [
        (matrix(0.299, 0.114, false), Colorimetry::bt601(false)),
        (matrix(0.299, 0.114, true), Colorimetry::bt601(true)),
        (matrix(0.2126, 0.0722, false), Colorimetry::bt709(false)),
        (matrix(0.2627, 0.0593, false), Colorimetry::bt2020(false)),
        (matrix(0.212, 0.087, true), Colorimetry::smpte240m(true)),
    ]
}

/// The same siting as the tests and as the crate write it.
pub(crate) const SITES: [([f64; 2], ChromaSite); 4] = [
    ([0.5, 0.5], ChromaSite::CENTER),
    ([0.0, 0.5], ChromaSite::LEFT),
    ([0.0, 0.0], ChromaSite::TOP_LEFT),
    ([0.5, 0.0], ChromaSite::TOP),
];

pub(crate) fn format(
    image: &Image,
    pixels: PixelFormat,
    colorimetry: Colorimetry,
    chroma_site: ChromaSite,
) -> FrameFormat {
    FrameFormat {
        size: Size::new(image.width as u32, image.height as u32),
        pixels,
        colorimetry,
        chroma_site,
    }
}
