//! What is wrong is said, once, in words that help; nothing hangs, panics or is lost.

mod common;

use std::time::{Duration, Instant};

use common::{Pipeline, depth, meta, model, samples};
use gst::prelude::*;

/// A still picture through the element with a model of the zoo.
fn film(properties: &str) -> String {
    format!(
        "videotestsrc num-buffers=3 pattern=gradient \
         ! video/x-raw,format=RGB,width=84,height=56,framerate=5/1 \
         ! depthanything resolution=56 {properties}"
    )
}

/// The error that the pipeline ends with, which must come soon.
fn error_of(properties: &str) -> String {
    let start = Instant::now();
    let pipeline = Pipeline::new(&format!("{} ! fakesink", film(properties)));
    let error = pipeline.run().expect_err(properties);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "{properties}: {:?}",
        start.elapsed()
    );
    // the element is as good as new after it
    let element = pipeline
        .0
        .iterate_elements()
        .into_iter()
        .flatten()
        .find(|element| {
            element
                .factory()
                .is_some_and(|f| f.name() == "depthanything")
        })
        .expect("the element");
    pipeline.0.set_state(gst::State::Null).unwrap();
    element.set_property("model-file", model("image-depth.onnx"));
    element.set_property_from_str("output", "auto");
    element.set_property_from_str("execution-provider", "cpu");
    element.set_property_from_str("range", "smooth");
    element.set_property("resolution", 56u32);
    element.set_property("device", "");
    if properties.contains("model-file") {
        pipeline.run().expect("runs with a good model");
    }
    error
}

fn error_of_model(path: &str) -> String {
    error_of(&format!("model-file=\"{path}\""))
}

#[test]
fn files_that_are_no_models() {
    common::init();
    let folder = std::env::temp_dir();
    for (path, words) in [
        (
            "/nowhere/model.onnx".to_string(),
            vec!["/nowhere/model.onnx", "no such file"],
        ),
        (
            "~/no-such-model.onnx".to_string(),
            vec!["no such file", "shell", "/no-such-model.onnx"],
        ),
        (
            "file:///nowhere/model.onnx".to_string(),
            vec!["URI", "/nowhere/model.onnx"],
        ),
        (folder.to_str().unwrap().to_string(), vec!["folder"]),
        (model("bad-empty.onnx"), vec!["bad-empty.onnx", "empty"]),
        (model("bad-truncated.onnx"), vec!["bad-truncated.onnx"]),
        (model("bad-random.onnx"), vec!["bad-random.onnx"]),
        (model("bad-page.onnx"), vec!["bad-page.onnx", "web page"]),
        (model("bad-pointer.onnx"), vec!["bad-pointer.onnx", "LFS"]),
        (
            model("external-missing.onnx"),
            vec!["external-missing.onnx"],
        ),
        (
            model("external-short.onnx"),
            vec!["external-short.onnx_data"],
        ),
        (model("external-escape.onnx"), vec!["external-escape.onnx"]),
        (
            model("external-absolute.onnx"),
            vec!["external-absolute.onnx"],
        ),
    ] {
        let error = error_of_model(&path);
        for word in words {
            assert!(error.contains(word), "{path}: no {word:?} in: {error}");
        }
    }
}

#[test]
fn models_of_another_kind() {
    for (name, words) in [
        ("no-image.onnx", "input_ids"),
        ("two-views.onnx", "2 views"),
        ("window-32.onnx", "32 views or frames"),
        ("window-32-flat.onnx", "window of 32 frames"),
        ("gray-image.onnx", "1 channel"),
        ("rgba-image.onnx", "4 channels"),
        ("stereo.onnx", "2 image inputs"),
        ("classifier.onnx", "depth"),
        ("segmentation.onnx", "depth"),
    ] {
        let error = error_of_model(&model(name));
        assert!(error.contains(words), "{name}: no {words:?} in: {error}");
        assert!(error.contains("wanted"), "{name}: {error}");
    }
}

#[test]
fn metres_from_a_relative_model() {
    let error = error_of("output=metric");
    assert!(
        error.contains("output") && error.contains("metric model"),
        "{error}"
    );
}

#[test]
fn a_fixed_range_without_ends() {
    let error = error_of("range=fixed");
    assert!(error.contains("range-min"), "{error}");
}

#[test]
fn a_strip_is_refused_with_the_resolution_that_works() {
    common::init();
    let film = |resolution| {
        format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=NV12,width=2000,height=3 \
             ! depthanything {resolution} ! fakesink"
        )
    };
    let error = Pipeline::new(&film("")).run().unwrap_err();
    for words in [
        "2000×3",
        "resolution=518",
        "345338×518",
        "`resolution` to 14",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    Pipeline::new(&film("resolution=14")).run().unwrap();
}

#[test]
fn a_provider_that_is_not_there() {
    for provider in ["openvino", "cuda", "tensorrt"] {
        let error = error_of(&format!("execution-provider={provider}"));
        assert!(error.contains(provider), "{error}");
        assert!(
            error.contains("pip install"),
            "{provider}: what to do? {error}"
        );
    }
}

/// Depth of values that are no depth.
#[test]
fn nan_and_infinity_are_black_and_counted() {
    for name in ["nan.onnx", "nan-bright.onnx", "inf.onnx"] {
        let pipeline = Pipeline::new(&format!(
            "{} name=depth model-file={} ! appsink name=out sync=false",
            film("range=frame"),
            model(name)
        ));
        pipeline.play();
        let sink = pipeline.appsink("out");
        let mut frames = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(30)) {
            frames.push(sample);
        }
        assert_eq!(frames.len(), 3, "{name}: no frame is lost");
        let stats = pipeline
            .element("depth")
            .property::<gst::Structure>("stats");
        let invalid = stats.get::<u64>("invalid-values").unwrap();
        assert!(invalid > 0, "{name}");
        let depth = depth(&frames[0]);
        if name == "nan.onnx" {
            assert_eq!(invalid, 3 * 84 * 56);
            assert!(depth.iter().all(|sample| *sample == 0));
        } else {
            assert!(depth.contains(&0) && depth.contains(&65535), "{name}");
        }
    }
}

#[test]
fn a_flat_depth_keeps_its_value() {
    let frames = samples(&format!(
        "{} model-file={} ! appsink name=out",
        film("range=frame"),
        model("constant.onnx")
    ));
    assert_eq!(frames.len(), 3);
    for frame in &frames {
        let meta = meta(frame);
        assert!(
            depth(frame)
                .into_iter()
                .all(|sample| meta.value(sample) == 0.5)
        );
    }
}

#[test]
fn a_model_that_fails_in_mid_stream_gives_one_error() {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=84,height=84,framerate=30/1 \
         ! depthanything name=depth resolution=56 model-file={} ! fakesink",
        model("limited.onnx")
    ));
    pipeline.play();
    pipeline.messages_until(|message| {
        matches!(message.view(), gst::MessageView::StateChanged(change)
            if change.src() == Some(pipeline.0.upcast_ref()) && change.current() == gst::State::Playing)
    });
    pipeline.element("depth").set_property("resolution", 280u32);
    let messages =
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::Error(_)));
    let gst::MessageView::Error(error) = messages.last().unwrap().view() else {
        unreachable!()
    };
    let text = error.error().to_string();
    assert!(
        text.contains("280×280") && text.contains("limited.onnx"),
        "{text}"
    );
    std::thread::sleep(Duration::from_millis(300));
    let again = pipeline
        .0
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Error]);
    // the source adds its own once the stream has stopped; the element has said it once
    if let Some(gst::MessageView::Error(error)) = again.as_ref().map(|message| message.view()) {
        assert_ne!(error.src().map(|src| src.name()), Some("depth".into()));
    }
    // and it starts again
    pipeline.0.set_state(gst::State::Null).unwrap();
    pipeline.element("depth").set_property("resolution", 56u32);
    pipeline.play();
    pipeline.messages_until(|message| {
        matches!(
            message.view(),
            gst::MessageView::AsyncDone(_) | gst::MessageView::StreamStart(_)
        )
    });
}

#[test]
fn the_model_decides_a_fixed_size_and_says_so() {
    let pipeline = Pipeline::new(&format!(
        "{} model-file={} ! appsink name=out sync=false",
        film(""),
        model("static-wide.onnx")
    ));
    pipeline.play();
    let sink = pipeline.appsink("out");
    let sample = sink
        .try_pull_sample(gst::ClockTime::from_seconds(30))
        .unwrap();
    let meta = meta(&sample);
    assert_eq!((meta.network.width, meta.network.height), (70, 42));
    assert_eq!(depth(&sample).len(), 84 * 56);
    let info = pipeline
        .0
        .bus()
        .unwrap()
        .pop_filtered(&[gst::MessageType::Info]);
    let info = info.expect("the fixed size is said");
    let gst::MessageView::Info(info) = info.view() else {
        unreachable!()
    };
    assert!(info.error().to_string().contains("70×42"), "{info:?}");
}

#[test]
fn a_resolution_that_the_frames_are_too_long_for_is_refused_and_the_stream_goes_on() {
    for in_flight in [1, 2] {
        let pipeline = Pipeline::new(&format!(
            "videotestsrc is-live=true ! video/x-raw,format=RGB,width=2000,height=3,framerate=20/1 \
             ! depthanything name=depth resolution=14 in-flight={in_flight} model-file={} \
             ! appsink name=out sync=false",
            model("image-depth.onnx")
        ));
        pipeline.play();
        let sink = pipeline.appsink("out");
        let pull = || {
            let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(30));
            meta(&sample.expect("a frame")).network.height
        };
        assert_eq!(pull(), 14);
        let element = pipeline.element("depth");
        element.set_property("resolution", 518u32);
        let messages = pipeline
            .messages_until(|message| matches!(message.view(), gst::MessageView::Warning(_)));
        let gst::MessageView::Warning(warning) = messages.last().unwrap().view() else {
            unreachable!()
        };
        let said = warning.error().to_string();
        assert!(said.contains("`resolution` to 14 or less"), "{said}");
        for _ in 0..10 {
            assert_eq!(pull(), 14);
        }
        assert_eq!(element.property::<u32>("resolution"), 14);
        let warned = pipeline.0.bus().unwrap();
        let again = warned.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Error]);
        assert!(again.is_none(), "{again:?}");
    }
}

#[test]
fn a_buffer_smaller_than_its_caps() {
    common::init();
    let pipeline = Pipeline::new(
        "appsrc name=src format=time caps=video/x-raw,format=RGB,width=64,height=48,framerate=5/1 \
         ! depthanything resolution=126 ! fakesink",
    );
    pipeline.play();
    let source = pipeline.element("src");
    let source = source.downcast_ref::<gst_app::AppSrc>().unwrap();
    let short = gst::Buffer::from_slice(vec![0u8; 100]);
    source.push_buffer(short).unwrap();
    let messages =
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::Error(_)));
    let gst::MessageView::Error(error) = messages.last().unwrap().view() else {
        unreachable!()
    };
    let said = error.error().to_string();
    assert!(
        said.contains("100 bytes") && said.contains("9216"),
        "{said}"
    );
}
