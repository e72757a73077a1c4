//! Pre- and postprocessing written straight from their formulas, in `f64`, one sample at a time. Shares
//! nothing with the kernels.

/// Rows of samples, in `f64`.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) samples: Vec<f64>,
}

impl Image {
    pub(crate) fn from_fn(
        width: usize,
        height: usize,
        mut f: impl FnMut(usize, usize) -> f64,
    ) -> Self {
        let samples = (0..width * height)
            .map(|i| f(i % width, i / width))
            .collect();
        Self {
            width,
            height,
            samples,
        }
    }

    /// The sample at a place; the outermost ones go on for ever.
    fn at(&self, x: i64, y: i64) -> f64 {
        let x = x.clamp(0, self.width as i64 - 1) as usize;
        let y = y.clamp(0, self.height as i64 - 1) as usize;
        self.samples[y * self.width + x]
    }

    /// Cubic convolution (Keys 1981) with a = −0.75 at a place counted in samples.
    fn cubic(&self, x: f64, y: f64) -> f64 {
        fn kernel(distance: f64) -> f64 {
            const A: f64 = -0.75;
            let d = distance.abs();
            if d <= 1.0 {
                (A + 2.0) * d.powi(3) - (A + 3.0) * d.powi(2) + 1.0
            } else if d < 2.0 {
                A * d.powi(3) - 5.0 * A * d.powi(2) + 8.0 * A * d - 4.0 * A
            } else {
                0.0
            }
        }
        let (left, top) = (x.floor() as i64 - 1, y.floor() as i64 - 1);
        let mut sum = 0.0;
        for row in top..top + 4 {
            for column in left..left + 4 {
                sum += self.at(column, row) * kernel(x - column as f64) * kernel(y - row as f64);
            }
        }
        sum
    }

    /// Bilinear interpolation at a place counted in samples.
    fn linear(&self, x: f64, y: f64) -> f64 {
        let (left, top) = (x.floor(), y.floor());
        let (right, below) = (x - left, y - top);
        let (left, top) = (left as i64, top as i64);
        let mut sum = 0.0;
        for (row, down) in [(top, 1.0 - below), (top + 1, below)] {
            for (column, across) in [(left, 1.0 - right), (left + 1, right)] {
                // a sample of no weight has no say, not even if it is NaN
                if down * across > 0.0 {
                    sum += self.at(column, row) * down * across;
                }
            }
        }
        sum
    }

    /// `cv2.resize(…, interpolation=cv2.INTER_CUBIC)`.
    pub(crate) fn resize_cubic(&self, width: usize, height: usize) -> Self {
        let scale_x = self.width as f64 / width as f64;
        let scale_y = self.height as f64 / height as f64;
        Self::from_fn(width, height, |x, y| {
            self.cubic(
                (x as f64 + 0.5) * scale_x - 0.5,
                (y as f64 + 0.5) * scale_y - 0.5,
            )
        })
    }

    /// `F.interpolate(…, mode="bilinear", align_corners=True)`.
    pub(crate) fn resize_aligned(&self, width: usize, height: usize) -> Self {
        let place = |index: usize, source: usize, output: usize| {
            if output == 1 {
                return 0.0;
            }
            let place = (index * (source - 1)) as f64 / (output - 1) as f64;
            place.min((source - 1) as f64)
        };
        Self::from_fn(width, height, |x, y| {
            self.linear(place(x, self.width, width), place(y, self.height, height))
        })
    }
}

pub(crate) const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
pub(crate) const STD: [f64; 3] = [0.229, 0.224, 0.225];

/// R, G, B in 0…1 → the network's tensor.
pub(crate) fn preprocess(rgb: &[Image; 3], width: usize, height: usize) -> Vec<f64> {
    normalize(&[0, 1, 2].map(|c| rgb[c].resize_cubic(width, height)))
}

pub(crate) fn normalize(rgb: &[Image; 3]) -> Vec<f64> {
    let channels = rgb.iter().zip(MEAN).zip(STD);
    channels
        .flat_map(|((image, mean), std)| image.samples.iter().map(move |x| (x - mean) / std))
        .collect()
}

/// Depth map → samples: `round(clamp(gain · value + bias))`, halves to even, 0 for what is not finite.
pub(crate) fn postprocess(
    depth: &Image,
    width: usize,
    height: usize,
    gain: f64,
    bias: f64,
) -> Vec<u16> {
    let values = depth.resize_aligned(width, height).samples;
    values
        .into_iter()
        .map(|value| {
            if value.is_finite() {
                (gain * value + bias).clamp(0.0, 65535.0).round_ties_even() as u16
            } else {
                0
            }
        })
        .collect()
}

/// Weights of R and B in luma, whether samples use all codes, and how many bits they have.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) kr: f64,
    pub(crate) kb: f64,
    pub(crate) full: bool,
    pub(crate) bits: i32,
}

impl Matrix {
    /// (offset, span) of luma, (offset, span) of chroma.
    fn quantization(&self) -> (f64, f64, f64, f64) {
        let step = 2.0_f64.powi(self.bits - 8);
        let most = 2.0_f64.powi(self.bits) - 1.0;
        if self.full {
            (0.0, most, 128.0 * step, most)
        } else {
            (16.0 * step, 219.0 * step, 128.0 * step, 224.0 * step)
        }
    }

    /// Codes (with fractions) of Y, Cb and Cr for R, G, B in 0…1.
    pub(crate) fn encode(&self, [r, g, b]: [f64; 3]) -> [f64; 3] {
        let (black, luma, none, chroma) = self.quantization();
        let y = self.kr * r + (1.0 - self.kr - self.kb) * g + self.kb * b;
        let cb = (b - y) / (2.0 - 2.0 * self.kb);
        let cr = (r - y) / (2.0 - 2.0 * self.kr);
        [black + luma * y, none + chroma * cb, none + chroma * cr]
    }

    pub(crate) fn decode(&self, [y, cb, cr]: [f64; 3]) -> [f64; 3] {
        let (black, luma, none, chroma) = self.quantization();
        let (y, cb, cr) = (
            (y - black) / luma,
            (cb - none) / chroma,
            (cr - none) / chroma,
        );
        let r = y + (2.0 - 2.0 * self.kr) * cr;
        let b = y + (2.0 - 2.0 * self.kb) * cb;
        let g = (y - self.kr * r - self.kb * b) / (1.0 - self.kr - self.kb);
        [r, g, b]
    }
}

/// Y, Cb and Cr as video has them; `site`: place of the first chroma sample; `subsampling`: luma samples to a chroma
/// sample, across and down.
pub(crate) struct Yuv {
    pub(crate) planes: [Image; 3],
    pub(crate) matrix: Matrix,
    pub(crate) site: [f64; 2],
    pub(crate) subsampling: [usize; 2],
}

impl Yuv {
    /// Subsamples chroma by interpolating it where its samples sit, after an average over two luma samples.
    pub(crate) fn encode(
        rgb: &[Image; 3],
        matrix: Matrix,
        site: [f64; 2],
        subsampling: [usize; 2],
    ) -> Self {
        // where there are as many samples, they sit on one another
        let site = [0, 1].map(|d| if subsampling[d] == 2 { site[d] } else { 0.0 });
        let around = subsampling.map(|luma| if luma == 2 { [-0.5, 0.5] } else { [0.0; 2] });
        let [across, down] = subsampling;
        let (width, height) = (rgb[0].width, rgb[0].height);
        let full = [0, 1, 2].map(|component| {
            Image::from_fn(width, height, |x, y| {
                let index = y * width + x;
                matrix.encode([0, 1, 2].map(|c| rgb[c].samples[index]))[component]
            })
        });
        let byte = |value: f64| {
            let most = 2.0_f64.powi(matrix.bits) - 1.0;
            value.round().clamp(0.0, most)
        };
        let subsampled = |image: &Image| {
            Image::from_fn(width.div_ceil(across), height.div_ceil(down), |x, y| {
                let x = (across * x) as f64 + site[0];
                let y = (down * y) as f64 + site[1];
                let mut sum = 0.0;
                for dx in around[0] {
                    for dy in around[1] {
                        sum += image.linear(x + dx, y + dy) / 4.0;
                    }
                }
                byte(sum)
            })
        };
        let luma = Image::from_fn(width, height, |x, y| byte(full[0].samples[y * width + x]));
        Self {
            planes: [luma, subsampled(&full[1]), subsampled(&full[2])],
            matrix,
            site,
            subsampling,
        }
    }

    /// Where a luma position is among the chroma samples.
    fn chroma(&self, x: f64, y: f64) -> (f64, f64) {
        let [across, down] = self.subsampling.map(|luma| luma as f64);
        ((x - self.site[0]) / across, (y - self.site[1]) / down)
    }

    /// What a video converter would make of it: chroma interpolated to full size, RGB clamped to 0…1.
    pub(crate) fn to_rgb(&self) -> [Image; 3] {
        let [luma, cb, cr] = &self.planes;
        self.rgb(luma.width, luma.height, true, |x, y| {
            let (cx, cy) = self.chroma(x as f64, y as f64);
            [
                luma.at(x as i64, y as i64),
                cb.linear(cx, cy),
                cr.linear(cx, cy),
            ]
        })
    }

    /// Each plane interpolated straight to a size, then made RGB.
    pub(crate) fn resize_planes(&self, width: usize, height: usize) -> [Image; 3] {
        let [luma, cb, cr] = &self.planes;
        let scale_x = luma.width as f64 / width as f64;
        let scale_y = luma.height as f64 / height as f64;
        self.rgb(width, height, false, |x, y| {
            let x = (x as f64 + 0.5) * scale_x - 0.5;
            let y = (y as f64 + 0.5) * scale_y - 0.5;
            let (cx, cy) = self.chroma(x, y);
            [luma.cubic(x, y), cb.cubic(cx, cy), cr.cubic(cx, cy)]
        })
    }

    fn rgb(
        &self,
        width: usize,
        height: usize,
        clamp: bool,
        yuv: impl Fn(usize, usize) -> [f64; 3],
    ) -> [Image; 3] {
        let pixels: Vec<[f64; 3]> = (0..width * height)
            .map(|i| {
                let rgb = self.matrix.decode(yuv(i % width, i / width));
                if clamp {
                    rgb.map(|v| v.clamp(0.0, 1.0))
                } else {
                    rgb
                }
            })
            .collect();
        [0, 1, 2].map(|c| Image::from_fn(width, height, |x, y| pixels[y * width + x][c]))
    }
}
