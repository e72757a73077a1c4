//! `upsampling=guided`: depth at full size whose edges follow the picture, whatever the format of the frames.

mod common;

use common::{Pipeline, depth, difference, meta, model, samples};
use gst::prelude::*;

/// White on the left, black on the right; six times as large as what the network sees of it.
fn film(format: &str, properties: &str, caps: &str) -> Vec<gst::Sample> {
    samples(&format!(
        "videotestsrc num-buffers=4 pattern=white ! video/x-raw,format=RGB,width=168,height=252,framerate=5/1 \
         ! videobox right=-168 ! videoconvert ! video/x-raw,format={format} \
         ! depthanything resolution=42 model-file={} {properties} ! video/x-raw{caps} ! appsink name=out",
        model("image-depth.onnx")
    ))
}

/// The largest step between two pixels side by side.
fn sharpness(samples: &[u16]) -> u16 {
    let rows = samples.chunks_exact(336);
    let steps = rows.flat_map(|row| row.windows(2).map(|pair| pair[0].abs_diff(pair[1])));
    steps.max().unwrap_or_default()
}

#[test]
fn edges_are_sharper_and_the_rest_is_the_same() {
    let bilinear = depth(&film("RGB", "", "")[0]);
    assert_eq!(bilinear, depth(&film("RGB", "upsampling=bilinear", "")[0]));
    for format in [
        "RGB",
        "BGRA",
        "ARGB",
        "NV12",
        "I420",
        "GRAY8",
        "YUY2",
        "GRAY16_LE",
        "I420_10LE",
    ] {
        let guided = film(format, "upsampling=guided", "");
        let samples = depth(&guided[0]);
        assert!(
            u32::from(sharpness(&samples)) * 2 > 3 * u32::from(sharpness(&bilinear)),
            "{format}: {} against {}",
            sharpness(&samples),
            sharpness(&bilinear)
        );
        let off = difference(&samples, &bilinear);
        assert!(off > 0.0 && off < 0.05, "{format}: {off}");
    }
}

#[test]
fn byte_orders_repeats_and_metres() {
    let little = film("NV12", "upsampling=guided", ",format=GRAY16_LE");
    let big = film("NV12", "upsampling=guided", ",format=GRAY16_BE");
    for (little, big) in little.iter().zip(&big) {
        assert_eq!(depth(little), depth(big));
    }
    // a depth that is repeated is led by the frame that it is of, so that it is the same again
    let repeated = film("NV12", "upsampling=guided inference-interval=4", "");
    for sample in &repeated[1..] {
        assert!(meta(sample).repeated);
        assert_eq!(depth(sample), depth(&repeated[0]));
    }
    let metric = |properties: &str| {
        let frames = samples(&format!(
            "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format=RGB,width=336,height=252 \
             ! depthanything resolution=42 model-file={} {properties} ! appsink name=out",
            model("metric-indoor.onnx")
        ));
        depth(&frames[0])
    };
    let (guided, bilinear) = (metric("upsampling=guided"), metric(""));
    assert!(difference(&guided, &bilinear) < 0.02);
    let extremes = |samples: &[u16]| (samples.iter().copied().min(), samples.iter().copied().max());
    let ((low, high), (least, most)) = (extremes(&guided), extremes(&bilinear));
    assert!(low >= least && high <= most, "no pixel leaves the range");
}

#[test]
fn values_that_are_not_finite_stay_holes() {
    let frames = samples(&format!(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=RGB,width=336,height=252 \
         ! depthanything resolution=42 upsampling=guided model-file={} ! appsink name=out",
        model("nan-bright.onnx")
    ));
    let samples = depth(&frames[0]);
    let holes = samples.iter().filter(|sample| **sample == 0).count();
    assert!(
        holes > samples.len() / 4 && holes < samples.len() * 3 / 4,
        "{holes}"
    );
}

#[test]
fn a_depth_frame_that_is_smaller_or_larger_than_the_film() {
    for (width, height) in [(28, 21), (56, 42), (168, 126), (700, 525)] {
        let caps = format!(",width={width},height={height}");
        let frames = film("I420", "upsampling=guided", &caps);
        let bilinear = film("I420", "", &caps);
        let off = difference(&depth(&frames[0]), &depth(&bilinear[0]));
        assert!(off < 0.05, "{width}: {off}");
        assert_eq!(off > 0.0, width > 56, "{width}: {off}");
    }
}

#[test]
fn it_may_change_while_playing() {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc pattern=white ! video/x-raw,format=RGB,width=168,height=252,framerate=5/1 \
         ! videobox right=-168 ! depthanything name=depth resolution=42 model-file={} ! appsink name=out sync=false max-buffers=1",
        model("image-depth.onnx")
    ));
    let sink = pipeline.appsink("out");
    pipeline.play();
    let mut sharp = Vec::new();
    for upsampling in ["bilinear", "guided", "bilinear"] {
        pipeline
            .element("depth")
            .set_property_from_str("upsampling", upsampling);
        // what was under way has the old one
        let mut last = None;
        for _ in 0..4 {
            last = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
        }
        sharp.push(sharpness(&depth(&last.expect("a frame"))));
    }
    assert!(sharp[1] > sharp[0] && sharp[1] > sharp[2], "{sharp:?}");
}
