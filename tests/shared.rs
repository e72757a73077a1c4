//! Elements of one process with the same model and options share one network.

mod common;

use common::{Pipeline, depth, difference, meta};
use gst::prelude::*;

fn stats(pipeline: &Pipeline, element: &str) -> gst::Structure {
    pipeline.element(element).property("stats")
}

fn shared_by(pipeline: &Pipeline, element: &str) -> u32 {
    stats(pipeline, element).get("shared-by").unwrap()
}

fn branch(name: &str, properties: &str) -> String {
    format!(
        "videotestsrc pattern=ball ! video/x-raw,width=64,height=48,framerate=30/1 \
         ! depthanything name={name} resolution=126 {properties} \
         ! appsink name={name}-out sync=false max-buffers=2 "
    )
}

fn preroll(pipeline: &Pipeline) {
    pipeline.0.set_state(gst::State::Paused).unwrap();
    let (result, ..) = pipeline.0.state(gst::ClockTime::from_seconds(60));
    result.unwrap();
}

#[test]
fn the_same_model_and_options_are_loaded_once() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("another-name.onnx");
    std::fs::copy(common::model("image-depth.onnx"), &copy).unwrap();
    let original = format!("model-file={}", common::model("image-depth.onnx"));
    let copied = format!("model-file={}", copy.display());
    let pipeline = Pipeline::new(
        &[
            branch("a", &original),
            branch("b", &format!("{original} range=frame inference-interval=2")),
            branch("copy", &copied),
            branch("threads", &format!("{original} num-threads=1")),
            branch("other", "num-threads=4"),
        ]
        .concat(),
    );
    preroll(&pipeline);
    for (name, expected) in [
        ("a", 3),
        ("b", 3),
        ("copy", 3),
        ("threads", 1),
        ("other", 1),
    ] {
        assert_eq!(shared_by(&pipeline, name), expected, "{name}");
    }
    let sample = pipeline.appsink("copy-out").pull_preroll().unwrap();
    assert_eq!(meta(&sample).model, "another-name");
    // each is told the story of the network that it has
    let bus = pipeline.0.bus().unwrap();
    let mut told = Vec::new();
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Element]) {
        let structure = message.structure().unwrap();
        if structure.name() == "depthanything-engine" {
            let stage = structure.get::<String>("stage").unwrap();
            let source = message.src().unwrap().name().to_string();
            if stage == "loading" || stage == "ready" {
                told.push((source, stage));
            }
        }
    }
    for name in ["a", "b", "copy", "threads", "other"] {
        let stages: Vec<_> = told.iter().filter(|(source, _)| source == name).collect();
        assert_eq!(stages.first().unwrap().1, "loading", "{name}");
        assert_eq!(stages.last().unwrap().1, "ready", "{name}");
    }
    drop(bus);
    pipeline.0.set_state(gst::State::Ready).unwrap();
    assert_eq!(shared_by(&pipeline, "a"), 0);
}

#[test]
fn those_who_start_together_load_once_and_fail_together() {
    let start = |properties: &str| {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6)
                .map(|_| {
                    let branch = branch("depth", properties);
                    scope.spawn(move || {
                        let pipeline = Pipeline::new(&branch);
                        let change = pipeline.0.set_state(gst::State::Paused);
                        let (result, ..) = pipeline.0.state(gst::ClockTime::from_seconds(60));
                        (pipeline, change.is_ok() && result.is_ok())
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect::<Vec<_>>()
        })
    };
    // a set of options of its own, so that no other test shares it
    let pipelines = start("num-threads=3");
    for (pipeline, started) in &pipelines {
        assert!(started);
        assert_eq!(shared_by(pipeline, "depth"), 6);
    }
    let broken = format!("model-file={}", common::model("bad-random.onnx"));
    assert!(start(&broken).iter().all(|(_, started)| !started));
}

#[test]
fn a_flush_an_error_and_a_stop_of_one_do_not_touch_the_other() {
    let options = "num-threads=2 inference-interval=1";
    let steady = Pipeline::new(&branch("depth", options));
    let restless = Pipeline::new(&branch("depth", options).replace("max-buffers=2", "drop=true"));
    steady.play();
    let sink = steady.appsink("depth-out");
    let pull = || {
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
        sample.expect("a frame").buffer().unwrap().pts().unwrap()
    };
    let mut last = pull();
    let mut advance = || {
        let pts = pull();
        let step = pts - last;
        last = pts;
        assert!(step < gst::ClockTime::from_mseconds(40), "no frame is lost");
    };
    for round in 0..6 {
        restless.play();
        let (result, ..) = restless.0.state(gst::ClockTime::from_seconds(60));
        result.unwrap();
        advance();
        assert_eq!(shared_by(&steady, "depth"), 2);
        match round % 3 {
            0 => restless
                .0
                .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(round))
                .unwrap(),
            1 => {
                // frames smaller than their caps
                let element = restless.element("depth");
                let short = gst::Buffer::with_size(10).unwrap();
                let flow = element.static_pad("sink").unwrap().chain(short);
                assert_eq!(flow, Err(gst::FlowError::Error));
            }
            _ => {}
        }
        advance();
        restless.0.set_state(gst::State::Ready).unwrap();
        advance();
        assert_eq!(shared_by(&steady, "depth"), 1);
    }
    assert_eq!(meta(&sink.pull_sample().unwrap()).scene, 0);
}

#[test]
fn a_batch_gives_each_stream_its_own_depth() {
    let branches = |batching: &str| {
        (0..3)
            .map(|index| {
                format!(
                    "videotestsrc num-buffers=12 pattern={} \
                     ! video/x-raw,format=RGB,width=64,height=48,framerate=30/1 \
                     ! depthanything name=d{index} resolution=126 range=frame {batching} \
                     ! appsink name=o{index} sync=false ",
                    ["ball", "smpte", "gradient"][index]
                )
            })
            .collect::<String>()
    };
    let run = |batching: &str| {
        let pipeline = Pipeline::new(&branches(batching));
        pipeline.play();
        let mut depths = Vec::new();
        for index in 0..3 {
            let sink = pipeline.appsink(&format!("o{index}"));
            for _ in 0..12 {
                let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
                depths.push(depth(&sample.expect("a frame")));
            }
        }
        depths
    };
    let alone = run("");
    let together = run("max-batch=3 batch-timeout=1000000000");
    for (alone, together) in alone.iter().zip(&together) {
        assert!(difference(alone, together) < 1e-3);
    }
}
