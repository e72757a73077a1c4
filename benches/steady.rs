//! Time of what makes depth good to look at, on one core: `cargo bench --bench steady`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gstdepthanything::frame::{
    ByteOrder, Frame, FrameFormat, Gray16Writer, Guide, GuidedWriter, Mapping, PixelFormat, Plane,
    SmallPicture,
};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::range::{CutDetector, Joint, Mode, Strength, TemporalFilter, Tracker};

const HD: Size = Size::new(1920, 1080);

/// A picture of waves, and so a tensor or a depth map.
fn waves(size: Size, phase: f32) -> Vec<f32> {
    (0..size.area())
        .map(|i| {
            let (x, y) = (i % size.width as usize, i / size.width as usize);
            (x as f32 * 0.02 + phase).sin() + (y as f32 * 0.03 - phase).cos()
        })
        .collect()
}

/// `range=smooth`: the picture is looked at, and the depth followed.
fn range(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("range");
    for resolution in [252, 518, 1036] {
        let size = network_size(HD, (1, 1), resolution, 14).unwrap();
        let depth = waves(size, 0.0);
        let tensor: Vec<f32> = [0.0, 1.0, 2.0]
            .iter()
            .flat_map(|phase| waves(size, *phase))
            .collect();
        let mut tracker = Tracker::default();
        let mut cuts = CutDetector::default();
        let mut picture = SmallPicture::default();
        group.bench_function(BenchmarkId::new("smooth", size), |bencher| {
            bencher.iter(|| {
                picture.read(black_box(&tensor), size, 1.0, false);
                tracker.see(cuts.look(&picture, Joint::Next));
                black_box(tracker.follow(black_box(&depth), size, Mode::Smooth { past: 0.9 }))
            });
        });
    }
}

/// `temporal-filter`, where nothing moves: all of its work is done.
fn temporal_filter(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("temporal filter");
    for resolution in [252, 518, 1036] {
        let size = network_size(HD, (1, 1), resolution, 14).unwrap();
        let own = waves(size, 0.0);
        let tensor: Vec<f32> = [0.0, 1.0, 2.0]
            .iter()
            .flat_map(|phase| waves(size, *phase))
            .collect();
        let mut tracker = Tracker::default();
        let mut cuts = CutDetector::default();
        for _ in 0..2 {
            tracker.see(cuts.look(&SmallPicture::of(&tensor, size), Joint::Next));
            tracker.follow(&own, size, Mode::Smooth { past: 0.9 });
        }
        let limits = tracker.follow(&own, size, Mode::Smooth { past: 0.9 });
        let carry = tracker.carry();
        assert!(carry.is_some(), "nothing would be filtered");
        let strength = Strength {
            past: 0.9,
            departure: 0.03,
        };
        // the second picture is a few pixels on
        let next: Vec<f32> = [0.0, 1.0, 2.0]
            .iter()
            .flat_map(|phase| waves(size, phase + 0.05))
            .collect();
        for (name, pictures) in [("still", [&tensor, &tensor]), ("moving", [&tensor, &next])] {
            let (mut filter, mut depth) = (TemporalFilter::default(), own.clone());
            let mut picture = SmallPicture::default();
            let mut frame = 0;
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    frame += 1;
                    picture.read(black_box(pictures[frame % 2]), size, 1.0, true);
                    filter.apply(&mut depth, size, &picture, limits, carry, strength);
                });
            });
        }
    }
}

/// A depth map of blurred steps, a few cells wide, `apart` from each other: all that `guided` has work with.
fn steps(size: Size, apart: f32) -> Vec<f32> {
    (0..size.area())
        .map(|i| {
            let (x, y) = (i % size.width as usize, i / size.width as usize);
            let wave = |at: usize| (at as f32 * std::f32::consts::PI / apart).sin() * apart / 6.0;
            wave(x).clamp(-1.0, 1.0) * wave(y).clamp(-1.0, 1.0)
        })
        .collect()
}

/// Depth at 924×518 to 1920×1080.
fn upsampling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("upsampling");
    group.throughput(Throughput::Elements(HD.area() as u64));
    let network = network_size(HD, (1, 1), 518, 14).unwrap();
    let depth = waves(network, 0.0);
    let mapping = Mapping::inverse(-2.0, 2.0, false);
    let stride = 2 * HD.width as usize;
    let mut plane = vec![0; stride * HD.height as usize];
    let mut bilinear = Gray16Writer::new(network, HD);
    group.bench_function("bilinear", |bencher| {
        bencher.iter(|| {
            bilinear.write(
                black_box(&depth),
                mapping,
                ByteOrder::NATIVE,
                &mut plane,
                stride,
            )
        });
    });
    let Some(mut guided) = GuidedWriter::new(network, HD) else {
        return;
    };
    let mut guide = Guide::default();
    for (name, pixels, bytes) in [("NV12", PixelFormat::Nv12, 1), ("RGB", PixelFormat::Rgb, 3)] {
        let row = bytes * HD.width as usize;
        let picture: Vec<u8> = (0..row * HD.height as usize)
            .map(|i| ((i * 31) >> 7) as u8)
            .collect();
        let chroma = vec![128; row * HD.height as usize / 2];
        let format = FrameFormat {
            pixels,
            ..FrameFormat::rgb(HD)
        };
        let mut frame = Frame::packed(&picture, row);
        frame.planes[1] = Plane::new(&chroma, row);
        let few = steps(network, 120.0);
        let all = steps(network, 12.0);
        for (steps, depth) in [("no steps", &depth), ("steps", &few), ("only steps", &all)] {
            let id = BenchmarkId::new(format!("guided, {steps}"), name);
            group.bench_function(id, |bencher| {
                bencher.iter(|| {
                    guide.take(black_box(&frame), &format)?;
                    guided.write(
                        black_box(depth),
                        &guide,
                        mapping,
                        ByteOrder::NATIVE,
                        &mut plane,
                        stride,
                    )
                });
            });
        }
    }
}

criterion_group!(benches, range, temporal_filter, upsampling);
criterion_main!(benches);
