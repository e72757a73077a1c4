//! What the samples mean, and that they survive being written to files.

mod common;

use common::{Pipeline, depth, difference, meta, samples};

/// Two frames of a moving picture as depth at the size the network gives, so that nothing is scaled.
const FILM: &str = "videotestsrc num-buffers=3 pattern=ball \
                    ! video/x-raw,format=RGB,width=168,height=126,framerate=5/1";

fn run(properties: &str, caps: &str) -> Vec<gst::Sample> {
    samples(&format!(
        "{FILM} ! depthanything resolution=126 {properties} ! {caps} ! appsink name=out"
    ))
}

#[test]
fn both_byte_orders_carry_the_same_samples() {
    let little = run("", "video/x-raw,format=GRAY16_LE");
    let big = run("", "video/x-raw,format=GRAY16_BE");
    assert_eq!(little.len(), 3);
    for (little, big) in little.iter().zip(&big) {
        assert_eq!(depth(little), depth(big));
    }
}

#[test]
fn frame_range_uses_all_of_it() {
    for sample in run("range=frame", "video/x-raw") {
        let depth = depth(&sample);
        assert_eq!(depth.iter().min(), Some(&0));
        assert_eq!(depth.iter().max(), Some(&65535));
    }
}

#[test]
fn inverted_depth_is_the_complement() {
    let upright = run("range=frame", "video/x-raw");
    let inverted = run("range=frame invert=true", "video/x-raw");
    for (upright, inverted) in upright.iter().zip(&inverted) {
        let (u, i) = (meta(upright), meta(inverted));
        for (a, b) in depth(upright).into_iter().zip(depth(inverted)) {
            assert!(a.abs_diff(65535 - b) <= 1, "{a} {b}");
            assert!((u.value(a) - i.value(b)).abs() <= 2.0 * u.scale.abs());
        }
    }
}

#[test]
fn fixed_range_clamps_and_its_meta_is_exact() {
    let free = run("range=frame", "video/x-raw");
    let (lo, hi) = (meta(&free[0]).value(20000), meta(&free[0]).value(40000));
    let fixed = run(
        &format!("range=fixed range-min={lo} range-max={hi}"),
        "video/x-raw",
    );
    let meta = meta(&fixed[0]);
    assert_eq!(meta.offset, lo);
    assert!((meta.value(65535) - hi).abs() < 1e-9 * hi.abs().max(1.0));
    for (free, fixed) in depth(&free[0]).into_iter().zip(depth(&fixed[0])) {
        match free {
            0..20000 => assert_eq!(fixed, 0),
            40001.. => assert_eq!(fixed, 65535),
            _ => {
                let expected = f64::from(free - 20000) / 20000.0 * 65535.0;
                assert!((f64::from(fixed) - expected).abs() < 4.0, "{free} {fixed}");
            }
        }
    }
}

#[test]
fn the_models_own_numbers_come_back() {
    use gstdepthanything::inference::{self, backend::Images};
    use gstdepthanything::model::InputNormalization;
    use gstdepthanything::{frame, geometry::Size, model::ModelSource};

    let picture = samples(&format!("{FILM} ! appsink name=out"));
    let config = inference::Config {
        provider: inference::ExecutionProvider::Cpu,
        ..inference::Config::new(ModelSource::Builtin)
    };
    let mut network = inference::open(&config, &mut |_| {}).unwrap();
    let size = Size::new(168, 126);
    let format = frame::FrameFormat::rgb(size);
    let mut writer = frame::TensorWriter::new(
        &format,
        size,
        InputNormalization::Imagenet.mean_and_deviation().into(),
    )
    .unwrap();
    let depths = run("range=smooth", "video/x-raw");
    for (picture, sample) in picture.iter().zip(&depths) {
        let pixels = picture.buffer().unwrap().map_readable().unwrap();
        let mut tensor = vec![0.0; 3 * size.area()];
        writer
            .write(&frame::Frame::packed(&pixels, 168 * 3), &mut tensor)
            .unwrap();
        let mut maps = inference::backend::DepthMaps::default();
        let images = Images {
            values: &tensor,
            batch: 1,
            size,
        };
        network.run(images, &mut maps).unwrap();
        let meta = meta(sample);
        assert_eq!(meta.network, size);
        let mut inside = 0;
        for (value, sample) in maps.values.iter().zip(depth(sample)) {
            // what lies outside of the running range is clamped
            if sample > 0 && sample < 65535 {
                let back = meta.value(sample);
                let error = (back - f64::from(*value)).abs();
                assert!(error <= meta.scale.abs(), "{back} for {value}");
                inside += 1;
            }
        }
        assert!(inside * 10 > size.area() * 9, "{inside}");
    }
}

#[test]
fn a_cut_begins_a_scene() {
    let frames = samples(
        "concat name=film ! depthanything resolution=126 ! appsink name=out \
         videotestsrc num-buffers=4 pattern=smpte \
           ! video/x-raw,format=RGB,width=168,height=126,framerate=5/1 ! identity ! film. \
         videotestsrc num-buffers=4 pattern=spokes \
           ! video/x-raw,format=RGB,width=168,height=126,framerate=5/1 ! identity ! film.",
    );
    let scenes: Vec<u32> = frames.iter().map(|frame| meta(frame).scene).collect();
    assert_eq!(scenes[..4], [0; 4]);
    assert!(scenes[4] > 0, "{scenes:?}");
    assert_eq!(scenes[4..], [scenes[4]; 4]);
}

/// A path that is removed again.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("depthanything-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes depth through `write` into a file, reads it through `read`, and compares it bit for bit with
/// depth that never saw a file.
fn through_a_file(name: &str, frames: usize, write: &str, read: &str) {
    let file = Temporary::new(name);
    let depth_film = format!(
        "videotestsrc num-buffers={frames} pattern=ball \
         ! video/x-raw,format=I420,width=175,height=101,framerate=5/1 ! depthanything resolution=126"
    );
    let direct = samples(&format!("{depth_film} ! appsink name=out"));
    Pipeline::new(&format!(
        "{depth_film} ! {write} ! filesink location={}",
        file.path()
    ))
    .run()
    .unwrap();
    let back = samples(&format!(
        "filesrc location={} ! {read} ! appsink name=out",
        file.path()
    ));
    assert_eq!(back.len(), frames, "{name}");
    for (direct, back) in direct.iter().zip(&back) {
        assert_eq!(depth(direct), depth(back), "{name}");
    }
}

#[test]
fn png_keeps_every_bit() {
    through_a_file(
        "depth.png",
        1,
        "pngenc",
        "pngdec ! video/x-raw,format=GRAY16_BE",
    );
}

#[test]
fn ffv1_in_matroska_keeps_every_bit() {
    through_a_file(
        "depth.mkv",
        5,
        "avenc_ffv1 ! matroskamux",
        "matroskademux ! avdec_ffv1",
    );
}

#[test]
fn raw_files_keep_every_bit() {
    // GStreamer's own layout of raw video pads rows to four bytes
    through_a_file(
        "depth.raw",
        3,
        "video/x-raw,format=GRAY16_LE",
        "rawvideoparse format=gray16-le width=175 height=101 framerate=5/1",
    );
}

#[test]
fn larger_depth_is_the_same_depth() {
    let small = run("range=frame", "video/x-raw,width=84,height=63");
    let large = run("range=frame", "video/x-raw,width=167,height=125");
    // every other sample of the large one lies where one of the small ones does
    let large = depth(&large[0]);
    let picked: Vec<u16> = (0..63)
        .flat_map(|y| (0..84).map(move |x| (x, y)))
        .map(|(x, y)| large[2 * y * 167 + 2 * x])
        .collect();
    assert!(difference(&depth(&small[0]), &picked) < 0.001);
}
