//! Metric depth, and each good model of the zoo through the element.

mod common;

use common::{depth, meta, model, samples};
use gstdepthanything::depth_meta::Unit;

/// A grey picture, of which each model of the zoo that follows the rule gives the depth `8 · 0.5`.
fn grey(properties: &str) -> Vec<gst::Sample> {
    samples(&format!(
        "videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xff808080 \
         ! video/x-raw,format=RGB,width=140,height=112,framerate=5/1 \
         ! depthanything resolution=56 {properties} ! appsink name=out"
    ))
}

/// 128 of 255, as the networks see it.
const LUMA: f64 = 8.0 * 128.0 / 255.0;

#[test]
fn metric_depth_is_in_millimetres() {
    let metres = 20.0 / (1.0 + (-(LUMA - 4.0)).exp());
    for (unit, expected) in [
        (0.001, metres * 1000.0),
        (0.01, metres * 100.0),
        (0.0001, 65535.0),
    ] {
        let frames = grey(&format!(
            "model-file={} depth-unit={unit}",
            model("metric-indoor.onnx")
        ));
        let meta = meta(&frames[0]);
        assert_eq!(meta.unit, Unit::Metre);
        assert_eq!((meta.scale, meta.offset), (unit, 0.0));
        for sample in depth(&frames[0]) {
            assert!(
                (f64::from(sample) - expected).abs() <= 0.003 * expected,
                "{sample} for {expected}"
            );
        }
    }
}

/// What is farther than a sample can say is told of once, with the property that would hold it.
#[test]
fn depth_that_is_too_far_for_a_sample_is_told_of_once() {
    for (unit, warnings) in [(0.001, 0), (0.0001, 1)] {
        for more in ["", "in-flight=3"] {
            let pipeline = common::Pipeline::new(&format!(
                "videotestsrc num-buffers=4 pattern=solid-color foreground-color=0xff808080 \
                 ! video/x-raw,format=RGB,width=140,height=112,framerate=5/1 \
                 ! depthanything resolution=56 depth-unit={unit} model-file={} {more} ! fakesink",
                model("metric-indoor.onnx")
            ));
            let messages = pipeline.run().expect("it runs");
            let told: Vec<_> = messages
                .iter()
                .filter_map(|message| match message.view() {
                    gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
                    _ => None,
                })
                .collect();
            assert_eq!(told.len(), warnings, "{unit} {more}: {told:?}");
            for text in told {
                // 10 m, where samples end at 6.6
                let words = ["depth-unit=0.0001", "10.1 m", "6.6 m"];
                assert!(words.iter().all(|word| text.contains(word)), "{text}");
            }
        }
    }
}

#[test]
fn inverse_of_a_metric_model_is_one_over_metres() {
    let frames = samples(&format!(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=RGB,width=56,height=56 \
         ! depthanything resolution=56 output=inverse range=frame model-file={} ! appsink name=out",
        model("metric-indoor.onnx")
    ));
    let metric = samples(&format!(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=RGB,width=56,height=56 \
         ! depthanything resolution=56 model-file={} ! appsink name=out",
        model("metric-indoor.onnx")
    ));
    let (inverse_meta, metric_meta) = (meta(&frames[0]), meta(&metric[0]));
    assert_eq!(inverse_meta.unit, Unit::InverseDepth);
    for (inverse, metres) in depth(&frames[0]).into_iter().zip(depth(&metric[0])) {
        let product = inverse_meta.value(inverse) * metric_meta.value(metres);
        assert!((product - 1.0).abs() < 0.01, "{product}");
    }
}

#[test]
fn depth_that_grows_with_distance_is_turned_over() {
    // Depth Anything 3's form: depth is exp(8 · luma), so the brightest is the farthest
    let frames = samples(&format!(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=RGB,width=56,height=56 \
         ! depthanything resolution=56 range=frame model-file={} ! appsink name=out",
        model("depth-and-sky.onnx")
    ));
    let meta = meta(&frames[0]);
    assert_eq!(meta.unit, Unit::InverseDepth);
    let depth = depth(&frames[0]);
    // the gradient is white below
    assert_eq!((depth[0], depth[56 * 55]), (65535, 0));
    // the mean of the first and of the last of four rows of patches
    for (value, luma) in [(meta.value(65535), 0.125), (meta.value(0), 0.875)] {
        let expected = f64::exp(-8.0 * luma);
        assert!(
            (value / expected).ln().abs() < 0.2,
            "{value} for {expected}"
        );
    }
}

#[test]
fn every_good_model_runs_and_gives_its_depth() {
    for name in [
        "image-depth",
        "pixel-values",
        "static-square",
        "static-wide",
        "fixed-height",
        "rank-2",
        "rank-4",
        "channel-last-depth",
        "one-view",
        "open-views",
        "unnamed-sides",
        "untyped-output",
        "f16",
        "f16-inside",
        "f16-in-f32-out",
        "v1",
        "patch-16",
        "batch-2",
        "coarse",
        "depth-third",
        "trial-settles",
        "int8-dynamic",
        "q4",
        "bnb4",
        "false-dynamic",
        "limited",
        "external",
    ] {
        let properties = format!(
            "range=fixed range-min=0 range-max=8 model-file={}",
            model(&format!("{name}.onnx"))
        );
        let frames = grey(&properties);
        let meta = meta(&frames[0]);
        assert_eq!(meta.model, name);
        assert_eq!(meta.unit, Unit::InverseDepth, "{name}");
        let depth = depth(&frames[0]);
        assert_eq!(depth.len(), 140 * 112);
        for sample in depth {
            let value = meta.value(sample);
            assert!((value - LUMA).abs() < 0.12, "{name}: {value}");
        }
    }
}

#[test]
fn every_metric_model_is_known_as_such() {
    for (name, max) in [
        ("metric-indoor", 20.0),
        ("metric-outdoor", 80.0),
        ("metric-divided", 20.0),
        ("metric-function", 20.0),
        ("metric-if", 20.0),
        ("int8-qdq", 20.0),
    ] {
        let frames = grey(&format!("model-file={}", model(&format!("{name}.onnx"))));
        let meta = meta(&frames[0]);
        assert_eq!(meta.unit, Unit::Metre, "{name}");
        let expected = max / (1.0 + (-(LUMA - 4.0)).exp());
        for sample in depth(&frames[0]) {
            let metres = meta.value(sample);
            // 65.5 m is as far as millimetres reach
            let expected = f64::min(expected, 65.535);
            assert!(
                (metres - expected).abs() < 0.02 * expected,
                "{name}: {metres} for {expected}"
            );
        }
    }
}
