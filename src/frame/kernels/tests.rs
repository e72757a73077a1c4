//! Every variant gives the bits of the reference, at every length.

use super::*;
use crate::frame::taps::{Grid, PADDING};

/// A linear congruential generator: rubbish that is the same each time.
struct Rubbish(u32);

impl Rubbish {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }

    fn floats(&mut self, length: usize) -> Vec<f32> {
        (0..length)
            .map(|_| self.next() as f32 / 300.0 - 7000.0)
            .collect()
    }

    /// Now and then something that is not a number.
    fn depth(&mut self, length: usize) -> Vec<f32> {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -0.0];
        let mut values = self.floats(length);
        for value in &mut values {
            let dice = self.next() as usize % 60;
            *value = special.get(dice).copied().unwrap_or(*value);
        }
        values
    }
}

/// Runs `kernel` with the reference and with all else that this machine has, and compares what they give.
fn same<T: PartialEq>(what: &str, mut kernel: impl FnMut(Kernels) -> T) {
    let reference = kernel(Kernels::Plain);
    for variant in Kernels::available() {
        assert!(reference == kernel(variant), "{what} with {variant:?}");
    }
}

fn bits(values: Vec<f32>) -> Vec<u32> {
    // one NaN is as good as another
    values
        .into_iter()
        .map(|value| if value.is_nan() { f32::NAN } else { value }.to_bits())
        .collect()
}

fn three_rows(width: usize, kernel: impl FnOnce(RgbRows<'_>)) -> Vec<u32> {
    let mut rows = [(); 3].map(|()| vec![0.0; width]);
    let [red, green, blue] = &mut rows;
    kernel([red, green, blue]);
    bits(rows.concat())
}

#[test]
fn rows() {
    let mut rubbish = Rubbish(1);
    for width in 0..70 {
        let floats = rubbish.floats(width);
        let depth = [(); 2].map(|()| rubbish.depth(width));
        let affine = [[0.017, -2.1], [0.018, -2.0], [0.019, -1.8]];
        same("luma_to_rgb", |kernels| {
            three_rows(width, |out| kernels.luma_to_rgb(&floats, &affine, out))
        });
        let mapping = SampleMapping {
            pivot: 0.3,
            gain: 700.0,
            bias: 0.01,
        };
        for fraction in [0.0, 0.37] {
            same("map_rows", |kernels| {
                let mut out = vec![0.0; width];
                kernels.map_rows([&depth[0], &depth[1]], fraction, mapping, &mut out);
                bits(out)
            });
        }
        same("count_non_finite", |kernels| {
            kernels.count_non_finite(&depth[0])
        });
    }
}

fn blended<const CHANNELS: usize>(
    kernels: Kernels,
    rows: [&[u8]; 4],
    interleaving: Interleaving<CHANNELS>,
    width: usize,
) -> Vec<u32> {
    let mut out = [(); CHANNELS].map(|()| vec![0.0; width]);
    let weights = [-0.07, 0.61, 0.52, -0.06];
    let channels = out.each_mut().map(|row| &mut row[..]);
    kernels.blend_rows(rows, interleaving, weights, channels);
    bits(out.concat())
}

#[test]
fn blends() {
    let mut rubbish = Rubbish(4);
    for width in (0..70).chain([131]) {
        for step in 1..=4 {
            // no byte more than there must be
            let bytes = [(); 4].map(|()| rubbish.bytes(width * step));
            let rows = [0, 1, 2, 3].map(|row| &bytes[row][..]);
            let last = step - 1;
            let what = format!("blend_rows, {width} pixels of {step} bytes");
            same(&what, |kernels| {
                let offsets = [last];
                blended(kernels, rows, Interleaving { step, offsets }, width)
            });
            same(&what, |kernels| {
                let offsets = [last, 0];
                blended(kernels, rows, Interleaving { step, offsets }, width)
            });
            same(&what, |kernels| {
                let offsets = [last, last / 2, 0];
                blended(kernels, rows, Interleaving { step, offsets }, width)
            });
        }
    }
}

#[test]
fn wide_blends() {
    let mut rubbish = Rubbish(5);
    let weights = [-0.07, 0.61, 0.52, -0.06];
    for width in (0..70).chain([131]) {
        for step in [1, 2, 4] {
            let bytes = [(); 4].map(|()| rubbish.bytes(2 * width * step));
            let rows = [0, 1, 2, 3].map(|row| &bytes[row][..]);
            for big_endian in [false, true] {
                let offsets = [step - 1, 0];
                let interleaving = Interleaving { step, offsets };
                let what = format!("blend_wide_rows, {width} pixels of {step} samples");
                same(&what, |kernels| {
                    let mut out = [(); 2].map(|()| vec![0.0; width]);
                    let channels = out.each_mut().map(|row| &mut row[..]);
                    kernels.blend_wide_rows(rows, interleaving, big_endian, weights, channels);
                    bits(out.concat())
                });
            }
        }
    }
    // and it is the sum of these bytes
    let rows = [[1, 2], [3, 4], [5, 6], [7, 8]];
    for (big_endian, samples) in [
        (false, [513.0, 1027.0, 1541.0, 2055.0]),
        (true, [258.0, 772.0, 1286.0, 1800.0]),
    ] {
        let mut out = [0.0];
        let interleaving = Interleaving {
            step: 1,
            offsets: [0],
        };
        let rows = rows.each_ref().map(|row| &row[..]);
        Kernels::Plain.blend_wide_rows(rows, interleaving, big_endian, weights, [&mut out]);
        let expected: f32 = samples.iter().zip(weights).map(|(a, b)| a * b).sum();
        assert!((out[0] - expected).abs() < 1e-3, "{out:?} {expected}");
    }
}

#[test]
fn tone_maps() {
    use crate::frame::light::{Primaries, ToneMap, Transfer};
    let mut rubbish = Rubbish(6);
    for transfer in [Transfer::Pq, Transfer::Hlg] {
        let map = ToneMap::new(transfer, Primaries::BT2020).expect("high dynamic range");
        for width in 0..70 {
            let mut signal = || -> Vec<f32> {
                let floats = rubbish.floats(width);
                floats.iter().map(|value| value / 48_000.0 + 0.14).collect()
            };
            let rows = [signal(), signal(), signal()];
            same("tone_map", |kernels| {
                let mut rows = rows.clone();
                let [red, green, blue] = &mut rows;
                kernels.tone_map(&map, [red, green, blue]);
                bits(rows.concat())
            });
        }
    }
}

#[test]
fn columns() {
    let mut rubbish = Rubbish(2);
    let affine = [[0.017, -2.1], [0.018, -2.0], [0.019, -1.8]];
    let matrix = [
        [0.02, 0.0, 0.03, -2.1],
        [0.02, -0.01, -0.02, -1.9],
        [0.02, 0.04, 0.0, -1.7],
    ];
    for source in [1_usize, 2, 3, 9, 40, 77, 300] {
        for output in (1..36).chain([77, 200]) {
            let half = source.div_ceil(2);
            let grid = Grid::half_pixel(source, output);
            let luma = CubicTaps::new(grid, source, output);
            let chroma = CubicTaps::new(grid.of_chroma(0.0), half, output);
            let mut row = |samples: usize| rubbish.floats(samples + 2 * PADDING + SLACK);
            let rgb = [row(source), row(source), row(source)];
            let yuv = [row(source), row(half), row(half)];
            let what = format!("{source} → {output}");
            same(&what, |kernels| {
                let mut out = vec![0.0; output];
                kernels.columns(&rgb[0], &luma, &mut out);
                bits(out)
            });
            same(&what, |kernels| {
                three_rows(output, |out| {
                    let rgb = rgb.each_ref().map(|row| &row[..]);
                    kernels.columns_to_rgb(rgb, &luma, &affine, out);
                })
            });
            same(&what, |kernels| {
                three_rows(output, |out| {
                    let yuv = yuv.each_ref().map(|row| &row[..]);
                    kernels.columns_yuv_to_rgb(yuv, [&luma, &chroma], &matrix, out);
                })
            });
        }
    }
}

#[test]
fn samples() {
    let mut rubbish = Rubbish(3);
    for source in [1, 2, 3, 9, 40, 300] {
        for output in (1..36).chain([77, 200, 641]) {
            let taps = LinearTaps::new(Grid::aligned_corners(source, output), source, output);
            let mut row = rubbish.depth(source + SLACK);
            for value in &mut row {
                *value = *value * 5.0 + 20000.0;
            }
            // halves, which must go the same way
            row[0] = 2.5;
            row[source / 2] = 40001.5;
            let what = format!("{source} → {output}");
            same(&what, |kernels| {
                let mut out = vec![0; 2 * output];
                kernels.columns_to_samples::<false>(&row, &taps, &mut out);
                out
            });
            same(&what, |kernels| {
                let mut out = vec![0; 2 * output];
                kernels.columns_to_samples::<true>(&row, &taps, &mut out);
                out
            });
        }
    }
}
