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

/// Runs `kernel` with the reference and with what this machine has, and compares what they give.
fn same<T: PartialEq>(what: &str, mut kernel: impl FnMut(Kernels) -> T) {
    let variant = Kernels::detect();
    assert!(
        kernel(Kernels::Plain) == kernel(variant),
        "{what} with {variant:?}"
    );
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
        let bytes = [(); 4].map(|()| rubbish.bytes(width + 3));
        let floats = [(); 3].map(|()| rubbish.floats(width));
        let depth = [(); 2].map(|()| rubbish.depth(width));
        same("blend_rows", |kernels| {
            let mut out = vec![0.0; width];
            let rows = [0, 1, 2, 3].map(|row| &bytes[row][..]);
            kernels.blend_rows(rows, [-0.07, 0.61, 0.52, -0.06], &mut out);
            bits(out)
        });
        let matrix = [
            [0.02, 0.0, 0.03, -2.1],
            [0.02, -0.01, -0.02, -1.9],
            [0.02, 0.04, 0.0, -1.7],
        ];
        same("yuv_to_rgb", |kernels| {
            three_rows(width, |out| {
                kernels.yuv_to_rgb([0, 1, 2].map(|row| &floats[row][..]), &matrix, out);
            })
        });
        let affine = [[0.017, -2.1], [0.018, -2.0], [0.019, -1.8]];
        same("luma_to_rgb", |kernels| {
            three_rows(width, |out| kernels.luma_to_rgb(&floats[0], &affine, out))
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

#[test]
fn columns() {
    let mut rubbish = Rubbish(2);
    for source in [1, 2, 3, 9, 40, 77] {
        for output in (1..36).chain([77, 200]) {
            let taps = CubicTaps::new(Grid::half_pixel(source, output), source, output);
            for channels in 1..=4 {
                let row = rubbish.floats((source + 2 * PADDING) * channels + SLACK);
                let what = format!("{channels} channels, {source} → {output}");
                same(&what, |kernels| match channels {
                    1 => {
                        let mut out = vec![0.0; output];
                        kernels.columns(&row, &taps, &mut out);
                        bits(out)
                    }
                    2 => {
                        let mut out = [vec![0.0; output], vec![0.0; output]];
                        let [first, second] = &mut out;
                        kernels.columns_of_two(&row, &taps, [first, second]);
                        bits(out.concat())
                    }
                    _ => three_rows(output, |out| {
                        let affine = [[0.017, -2.1], [0.018, -2.0], [0.019, -1.8]];
                        let rgb = [channels - 1, 0, 1];
                        kernels.columns_of_packed(&row, channels, rgb, &taps, &affine, out);
                    }),
                });
            }
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
