//! `depthcolorize`'s loops on a 1080p frame, one core:
//!
//! ```text
//! cargo bench --bench colorize
//! ```

use criterion::{Criterion, criterion_group, criterion_main};
use gstdepthanything::depthcolorize::colormap::{Colormap, Lut, PixelOrder, SampleFormat};
use std::hint::black_box;

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;

/// Depth as a network gives it: smooth, all of the range.
fn smooth() -> Vec<u8> {
    (0..WIDTH * HEIGHT)
        .flat_map(|i| {
            {
                let (x, y) = ((i % WIDTH) as f32 / 120.0, (i / WIDTH) as f32 / 90.0);
                ((x.sin() + y.cos() + 2.0) * 16383.0) as u16
            }
            .to_le_bytes()
        })
        .collect()
}

/// The worst case for a table: no two neighbours near each other.
fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    (0..WIDTH * HEIGHT)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) as u16).to_le_bytes()
        })
        .collect()
}

fn colorize(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("colorize-1080p");
    for (picture, samples) in [("smooth", smooth()), ("noise", noise())] {
        for (name, order) in [("RGB", PixelOrder::Rgb), ("RGBA", PixelOrder::Rgba)] {
            let lut = Lut::new(Colormap::Spectral, false, order);
            let mut pixels = vec![0; WIDTH * HEIGHT * order.bytes()];
            group.bench_function(format!("{picture}/{name}"), |bencher| {
                bencher.iter(|| {
                    for (row, out) in samples
                        .chunks(WIDTH * 2)
                        .zip(pixels.chunks_mut(WIDTH * order.bytes()))
                    {
                        lut.apply(SampleFormat::Gray16Le, black_box(row), out);
                    }
                });
            });
        }
    }
    group.bench_function("new-table", |bencher| {
        bencher.iter(|| Lut::new(black_box(Colormap::Spectral), false, PixelOrder::Rgba));
    });
    group.finish();
}

criterion_group!(benches, colorize);
criterion_main!(benches);
