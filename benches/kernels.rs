//! Time of the conversions around the network, on one core and, for 4K, on all: `cargo bench --bench kernels`.
//! Beside OpenCV and with slower instructions: `benches/run --only conversions`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gstdepthanything::frame::{
    ByteOrder, ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, Mapping, PixelFormat,
    Plane, TensorWriter,
};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::model::InputNormalization;

const HD: Size = Size::new(1920, 1080);
const UHD: Size = Size::new(3840, 2160);
const RESOLUTION: u32 = 518;

/// Bytes without a pattern that a predictor could learn.
fn bytes(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

/// Numbers of threads to try for frames of this size, and what to call them.
fn cores(size: Size) -> &'static [(usize, &'static str)] {
    if size == UHD {
        &[(1, ""), (0, ", all cores")]
    } else {
        &[(1, "")]
    }
}

fn tensor(c: &mut Criterion) {
    let mut group = c.benchmark_group("tensor");
    for size in [HD, UHD] {
        let network = network_size(size, (1, 1), RESOLUTION, 14).unwrap();
        for pixels in [
            PixelFormat::Nv12,
            PixelFormat::I420,
            PixelFormat::Yuy2,
            PixelFormat::I422,
            PixelFormat::P010,
            PixelFormat::I422P10,
            PixelFormat::Rgb,
            PixelFormat::Bgrx,
            PixelFormat::Gray8,
        ] {
            let format = FrameFormat {
                size,
                pixels,
                colorimetry: Colorimetry::bt709(false),
                chroma_site: ChromaSite::LEFT,
            };
            let layouts = (0..3).map_while(|plane| pixels.plane_layout(plane, size));
            let planes: Vec<(Vec<u8>, usize)> = layouts
                .map(|(stride, rows)| (bytes(stride * rows), stride))
                .collect();
            let mut frame = Frame::default();
            for (plane, (data, stride)) in frame.planes.iter_mut().zip(&planes) {
                *plane = Plane::new(data, *stride);
            }
            for (threads, cores) in cores(size).iter().copied() {
                let mut writer = TensorWriter::new(
                    &format,
                    network,
                    InputNormalization::Imagenet.mean_and_deviation().into(),
                )
                .expect("sizes are not empty")
                .with_threads(threads);
                let mut tensor = vec![0.0; writer.tensor_len()];
                group.throughput(Throughput::Elements(network.area() as u64));
                let sizes = format!("{size} → {network}{cores}");
                let name = BenchmarkId::new(format!("{pixels:?}"), sizes);
                group.bench_function(name, |b| {
                    b.iter(|| writer.write(black_box(&frame), &mut tensor));
                });
            }
        }
    }
    group.finish();
}

fn gray16(c: &mut Criterion) {
    let mut group = c.benchmark_group("gray16");
    for size in [HD, UHD] {
        let network = network_size(size, (1, 1), RESOLUTION, 14).unwrap();
        let depth: Vec<f32> = bytes(network.area()).into_iter().map(f32::from).collect();
        let stride = 2 * size.width as usize;
        let mut plane = vec![0; stride * size.height as usize];
        let mapping = Mapping::inverse(10.0, 240.0, false);
        group.throughput(Throughput::Elements(size.area() as u64));
        for (threads, cores) in cores(size).iter().copied() {
            let mut writer = Gray16Writer::new(network, size).with_threads(threads);
            group.bench_function(format!("{network} → {size}{cores}"), |b| {
                b.iter(|| {
                    let depth = black_box(&depth);
                    writer.write(depth, mapping, ByteOrder::NATIVE, &mut plane, stride)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(kernels, tensor, gray16);
criterion_main!(kernels);
