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

    /// 4:2:0, or luma alone.
    pub(crate) fn yuv(yuv: &Yuv, pixels: PixelFormat, padding: usize) -> Self {
        let [y, u, v] = yuv.planes.clone();
        match pixels {
            PixelFormat::Gray8 => Self::new(&[&[y]], padding),
            PixelFormat::Nv12 => Self::new(&[&[y], &[u, v]], padding),
            PixelFormat::Nv21 => Self::new(&[&[y], &[v, u]], padding),
            PixelFormat::I420 => Self::new(&[&[y], &[u], &[v]], padding),
            PixelFormat::Yv12 => Self::new(&[&[y], &[v], &[u]], padding),
            other => panic!("{other:?} is not YUV"),
        }
    }
}

/// The same matrix as the tests and as the crate write it.
pub(crate) fn matrices() -> [(Matrix, Colorimetry); 5] {
    let matrix = |kr, kb, full| Matrix { kr, kb, full };
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
