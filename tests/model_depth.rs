//! What a model's numbers mean, and what its image is fed as: told by its file, or by the properties.

mod common;

use std::process::Command;

use common::{FRAME, depth_of, difference, init, meta, model, samples};
use gst::prelude::*;
use gst_check::Harness;
use gstdepthanything::depth_meta::{DepthMeta, Unit};

/// Models whose file does not tell, with what they give for black and white.
const DOUBTFUL: [(&str, [f64; 2]); 9] = [
    ("doubt-relu", [1.0, 9.0]),
    ("doubt-scaled-relu", [0.0, 72.0]),
    ("doubt-clip", [1.0, 9.0]),
    ("doubt-softplus", [1.313, 9.0]),
    ("doubt-reciprocal", [1.0, 9.0]),
    ("doubt-divided", [1.0, 9.0]),
    ("doubt-bins", [1.0, 9.0]),
    ("doubt-three", [1.0, 9.0]),
    ("doubt-exp", [1.0, std::f64::consts::E]),
];

fn element(name: &str, properties: &str) -> Harness {
    init();
    let path = model(&format!("{name}.onnx"));
    let mut harness = Harness::new_parse(&format!(
        "depthanything resolution=126 range=frame execution-provider=cpu model-file=\"{path}\" {properties}"
    ));
    harness.set_src_caps_str(FRAME);
    harness
}

/// Black on the left, white on the right.
fn halves() -> gst::Buffer {
    let row = (0..64).flat_map(|x| [if x < 32 { 0 } else { 255 }; 3]);
    let pixels: Vec<u8> = std::iter::repeat_n(row, 48).flatten().collect();
    gst::Buffer::from_slice(pixels)
}

/// Samples of the two halves, and the meta.
fn of_halves(name: &str, properties: &str) -> ([u16; 2], DepthMeta) {
    let mut harness = element(name, properties);
    let depth = harness
        .push_and_pull(halves())
        .unwrap_or_else(|error| panic!("{name} {properties}: {error}"));
    let caps = harness
        .sinkpad()
        .and_then(|pad| pad.current_caps())
        .expect("caps");
    let info = gst_video::VideoInfo::from_caps(&caps).expect("video");
    let all = depth_of(&depth, &info);
    let at = |x: usize| all[24 * 64 + x];
    ([at(8), at(55)], DepthMeta::read(&depth).expect("a meta"))
}

/// The warnings of a short film.
fn warnings(properties: &str) -> Vec<String> {
    let pipeline = common::Pipeline::new(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=RGB,width=84,height=56 \
         ! depthanything resolution=56 execution-provider=cpu {properties} ! fakesink"
    ));
    let messages = pipeline
        .run()
        .unwrap_or_else(|error| panic!("{properties}: {error}"));
    messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect()
}

fn of_model(name: &str) -> String {
    format!("model-file=\"{}\"", model(&format!("{name}.onnx")))
}

#[test]
fn what_the_file_does_not_tell_is_said_once() {
    for (name, _) in DOUBTFUL {
        let said = warnings(&of_model(name));
        assert_eq!(said.len(), 1, "{name}: {said:?}");
        for words in [name, "model-depth=metric", "model-depth=distance"] {
            assert!(said[0].contains(words), "{name}: no {words} in {}", said[0]);
        }
        let guessed = name != "doubt-scaled-relu";
        assert_eq!(
            said[0].contains("input-normalization"),
            guessed,
            "{}",
            said[0]
        );
        let stated = format!("{} model-depth=inverse", of_model(name));
        assert_eq!(warnings(&stated), [] as [String; 0], "{name}");
    }
}

#[test]
fn what_the_file_tells_is_not_asked_for() {
    assert_eq!(warnings(""), [] as [String; 0]);
    for name in [
        "image-depth",
        "pixel-values",
        "f16",
        "int8-dynamic",
        "q4",
        "v1",
        "metric-indoor",
        "metric-optimized",
        "depth-and-sky",
        "stride-32",
        "bytes-last",
    ] {
        assert_eq!(warnings(&of_model(name)), [] as [String; 0], "{name}");
    }
}

#[test]
fn metres_where_the_user_says_so() {
    for (name, [near, far]) in DOUBTFUL {
        for properties in ["model-depth=metric", "model-depth=metric output=metric"] {
            let (found, meta) = of_halves(name, properties);
            assert_eq!(meta.unit, Unit::Metre, "{name} {properties}");
            for (found, metres) in std::iter::zip(found, [near, far]) {
                let wanted = (1000.0 * metres).min(65535.0);
                assert!(
                    (f64::from(found) - wanted).abs() <= 2.0 + 0.001 * wanted,
                    "{name} {properties}: {found} instead of {wanted}"
                );
            }
        }
    }
}

#[test]
fn near_is_white_where_the_user_says_that_it_is_distance() {
    for (name, [near, far]) in DOUBTFUL {
        if near <= 0.0 {
            continue; // no inverse
        }
        let (found, meta) = of_halves(name, "model-depth=distance");
        assert_eq!(meta.unit, Unit::InverseDepth, "{name}");
        // at the edge, bicubic resampling is blacker than black, and nearer
        assert!(
            u32::from(found[0]) > 10 * u32::from(found[1]),
            "{name}: {found:?}"
        );
        for (sample, distance) in std::iter::zip(found, [near, far]) {
            let value = meta.value(sample);
            assert!((value - 1.0 / distance).abs() < 0.01, "{name}: {value}");
        }
        let (found, _) = of_halves(name, "model-depth=inverse");
        assert!(
            10 * u32::from(found[0]) < u32::from(found[1]),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn a_model_that_tells_can_be_contradicted() {
    // twenty metres, taken as inverse depth
    let (found, meta) = of_halves("metric-indoor", "model-depth=inverse");
    assert_eq!(meta.unit, Unit::InverseDepth);
    assert!(found[0] < found[1], "{found:?}");
    let (found, meta) = of_halves("pixel-values", "model-depth=metric output=inverse");
    assert_eq!(meta.unit, Unit::InverseDepth);
    assert!(found[0] == 0 || found[0] > found[1], "{found:?}");
}

#[test]
fn metadata_make_true_metres_without_an_option() {
    let (found, meta) = of_halves("stride-32", "resolution=320");
    assert_eq!(meta.unit, Unit::Metre);
    for (found, metres) in std::iter::zip(found, [1.0, std::f64::consts::E]) {
        assert!((f64::from(found) - 1000.0 * metres).abs() <= 2.0, "{found}");
    }
}

#[test]
fn what_is_no_distance_is_no_depth() {
    for name in ["nan", "negative"] {
        let (found, meta) = of_halves(name, "model-depth=metric");
        assert_eq!((found, meta.unit), ([0, 0], Unit::Metre), "{name}");
    }
    let (found, _) = of_halves("inf", "model-depth=metric");
    assert_eq!(found[0], 0, "infinity");
    assert!(found[1] > 0);
}

#[test]
fn metric_output_says_how_it_can_be_had() {
    let error = |properties: &str| {
        let pipeline = common::Pipeline::new(&format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=84,height=56 \
             ! depthanything resolution=56 output=metric {properties} ! fakesink"
        ));
        pipeline.run().expect_err(properties)
    };
    for (properties, words) in [
        (of_model("doubt-relu"), "set model-depth=metric"),
        (of_model("pixel-values"), "use a metric model"),
        (
            format!("{} model-depth=distance", of_model("doubt-relu")),
            "`model-depth` says",
        ),
    ] {
        let error = error(&properties);
        assert!(error.contains(words), "{properties}: {error}");
    }
}

/// Normalised twice, or not at all, depth is rubbish without a word.
#[test]
fn a_normalisation_is_done_once() {
    let (plain, _) = of_halves("pixel-values", "");
    let values = |name: &str, properties: &str| {
        let (found, meta) = of_halves(name, properties);
        found.map(|sample| meta.value(sample))
    };
    assert_eq!(plain, [0, 65535]);
    for name in [
        "inside-unit",
        "inside-byte",
        "inside-folded",
        "bytes-image",
        "bytes-last",
        "nhwc-unit",
    ] {
        let [black, white] = values(name, "");
        assert!(
            black.abs() < 0.02 && (white - 8.0).abs() < 0.02,
            "{name}: {black} {white}"
        );
    }
    // what it was before
    let [_, white] = values("inside-unit", "input-normalization=imagenet");
    assert!((white - 8.0).abs() > 1.0, "{white}");
    let [_, white] = values("inside-byte", "input-normalization=byte");
    assert!((white - 8.0).abs() < 0.02, "{white}");
    let [_, white] = values("pixel-values", "input-normalization=unit");
    assert!((white - 8.0).abs() > 1.0, "{white}");
}

#[test]
fn values_that_bytes_can_not_be_end_in_words() {
    let pipeline = common::Pipeline::new(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=84,height=56 \
         ! depthanything resolution=56 {} input-normalization=imagenet ! fakesink",
        of_model("bytes-image")
    ));
    let error = pipeline.run().expect_err("an error");
    assert!(
        error.contains("input-normalization") && error.contains("uint8"),
        "{error}"
    );
}

/// A dark picture with noise, and from the sixth frame on another.
fn scene(index: u64) -> gst::Buffer {
    let mut state = index as u32;
    let pixels: Vec<u8> = (0..64 * 48 * 3)
        .map(|place| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = (place / 3 % 64, place / 3 / 64);
            let base = if index < 6 { 20 + x } else { 90 - y };
            (base + (state >> 30) as usize) as u8
        })
        .collect();
    gst::Buffer::from_slice(pixels)
}

/// Scenes, range and filter look at the picture in what the network is fed, whatever its values.
#[test]
fn steadiness_is_the_same_whatever_the_network_is_fed() {
    let depths = |name: &str| {
        let mut harness = element(name, "range=smooth temporal-filter=0.1");
        let mut all = Vec::new();
        for index in 0..12 {
            let depth = harness.push_and_pull(scene(index)).expect("depth");
            let caps = harness
                .sinkpad()
                .and_then(|pad| pad.current_caps())
                .expect("caps");
            let info = gst_video::VideoInfo::from_caps(&caps).expect("video");
            let scene = DepthMeta::read(&depth).expect("a meta").scene;
            all.push((depth_of(&depth, &info), scene));
        }
        all
    };
    let wanted = depths("pixel-values");
    assert_eq!((wanted[5].1, wanted[6].1), (0, 1), "the cut is found");
    for name in ["inside-unit", "inside-byte", "nhwc", "nhwc-unit"] {
        for (index, (found, wanted)) in std::iter::zip(depths(name), &wanted).enumerate() {
            assert_eq!(found.1, wanted.1, "{name}: scene of frame {index}");
            let difference = difference(&found.0, &wanted.0);
            assert!(
                difference < 2e-3,
                "{name}: frame {index} differs by {difference}"
            );
        }
    }
}

#[test]
fn an_inspection_is_in_words() {
    let program = common::example("inspect_model");
    let said = |arguments: &[&str]| {
        let output = Command::new(&program)
            .args(arguments)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let path = |name: &str| model(&format!("{name}.onnx"));
    for (name, words) in [
        ("pixel-values", "inverse depth"),
        ("pixel-values", "ImageNet"),
        ("inside-byte", "0…255"),
        ("inside-byte", "takes a mean of 114 off the image"),
        ("bytes-last", "[N, height, width, 3] uint8"),
        ("doubt-relu", "model-depth=inverse, distance or metric"),
        ("doubt-relu", "input-normalization=unit or byte"),
        ("stride-32", "task: depth by Ultralytics"),
        ("stride-32", "multiples of 32"),
        ("metric-indoor", "Sigmoid × 20"),
        ("static-wide", "70×42 only"),
        ("external", "external.onnx_data"),
    ] {
        let said = said(&[&path(name)]);
        assert!(said.contains(words), "{name}: no {words:?} in\n{said}");
        for rust in ["Some(", "None", "{", "\"", "::", "Fixed("] {
            assert!(!said.contains(rust), "{name}: {rust:?} in\n{said}");
        }
    }
    assert!(said(&["--help"]).contains("inspect_model [FILE.onnx"));
    assert!(said(&[]).contains("built-in model"));
    let refused = Command::new(&program)
        .arg(path("stereo"))
        .output()
        .expect("it runs");
    assert!(!refused.status.success());
    // what it has is shown all the same
    assert!(String::from_utf8_lossy(&refused.stdout).contains("`left`"));
}

#[test]
fn both_properties_are_fixed_while_it_runs() {
    let pipeline = common::Pipeline::new(
        "videotestsrc num-buffers=100000 ! video/x-raw,width=32,height=32 \
         ! depthanything name=depth resolution=126 ! fakesink",
    );
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    let element = pipeline.element("depth");
    for (property, value) in [("model-depth", "metric"), ("input-normalization", "byte")] {
        element.set_property_from_str(property, value);
        let messages = pipeline
            .messages_until(|message| matches!(message.view(), gst::MessageView::Warning(_)));
        let gst::MessageView::Warning(warning) = messages.last().expect("one").view() else {
            unreachable!()
        };
        assert!(
            warning.error().to_string().contains(property),
            "{warning:?}"
        );
        let kept = element.property_value(property);
        assert_eq!(kept.serialize().expect("a nick"), "auto");
    }
}

#[test]
fn a_photo_says_what_it_is() {
    // as in recipe 6, through caps filters and all
    let pictures = samples(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=96,height=64 \
         ! depthanything resolution=64 {} ! appsink name=out",
        of_model("stride-32")
    ));
    assert_eq!(meta(&pictures[0]).unit, Unit::Metre);
}
