//! What streams go through in long use: seeks, changes, elements that are let go, files that vanish.
//! What is left behind is measured in `cycles.rs` and `leaks.rs`.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::Pipeline;
use gst::prelude::*;
use gstdepthanything::geometry::Size;

const PLAIN: &str = "pixel-values.onnx";
const SOURCE: &str = "videotestsrc ! video/x-raw,width=64,height=48,framerate=10/1";

/// Frames of this size through a small model.
fn small(more: &str) -> String {
    format!(
        "depthanything name=depth resolution=126 model-file={} {more}",
        common::model(PLAIN)
    )
}

fn pull(sink: &gst_app::AppSink) -> gst::Sample {
    let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
    sample.expect("a frame")
}

#[test]
fn what_changes_while_playing_may_change_all_the_time() {
    let pipeline = Pipeline::new(&format!(
        "{SOURCE} ! {} ! appsink name=out sync=false max-buffers=1",
        small("")
    ));
    let (sink, depth) = (pipeline.appsink("out"), pipeline.element("depth"));
    pipeline.play();
    pull(&sink);
    let mut at = gst::ClockTime::ZERO;
    let changes = [
        ("resolution", ["126", "98", "140", "126"]),
        ("range", ["frame", "smooth", "frame", "smooth"]),
        ("invert", ["true", "false", "true", "false"]),
        ("inference-interval", ["3", "1", "2", "1"]),
        ("temporal-filter", ["0.03", "0", "0.01", "0"]),
        ("min-resolution", ["98", "0", "56", "0"]),
        ("smoothing", ["0", "0.9", "1", "0.5"]),
    ];
    for round in 0..60 {
        let (name, values) = changes[round % changes.len()];
        for value in values {
            depth.set_property_from_str(name, value);
        }
        let pts = pull(&sink).buffer().unwrap().pts().unwrap();
        assert!(
            at == gst::ClockTime::ZERO || pts == at,
            "{pts} after {name}"
        );
        at = pts + gst::ClockTime::from_mseconds(100);
    }
}

#[test]
fn elements_may_be_let_go_while_they_load() {
    let began = Instant::now();
    for round in 0..30_u64 {
        let pipeline = Pipeline::new(&format!(
            "{SOURCE} ! depthanything resolution={} ! fakesink",
            126 + 14 * (round % 5)
        ));
        pipeline.0.set_state(gst::State::Playing).unwrap();
        std::thread::sleep(Duration::from_millis(round * 7 % 60));
        let stops = Instant::now();
        pipeline.0.set_state(gst::State::Null).unwrap();
        let took = stops.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} in round {round}");
    }
    assert!(began.elapsed() < common::TIMEOUT);
}

#[test]
fn many_elements_at_once_each_give_their_frames() {
    let branches: String = (0..64)
        .map(|number| {
            format!(
                "videotestsrc num-buffers=3 pattern={} ! video/x-raw,width=64,height=48 ! {} \
                 ! appsink name=out{number} sync=false ",
                number % 20,
                small("").replace("name=depth", "")
            )
        })
        .collect();
    let pipeline = Pipeline::new(&branches);
    pipeline.play();
    for number in 0..64 {
        let sink = pipeline.appsink(&format!("out{number}"));
        for _ in 0..3 {
            pull(&sink);
        }
    }
}

#[test]
fn a_model_may_be_deleted_or_replaced_while_it_plays() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["external.onnx", "external.onnx_data"] {
        std::fs::copy(common::model(name), folder.path().join(name)).unwrap();
    }
    let pipeline = Pipeline::new(&format!(
        "{SOURCE} ! depthanything name=depth resolution=126 model-file={} \
         ! appsink name=out sync=false max-buffers=1",
        folder.path().join("external.onnx").display()
    ));
    let (sink, depth) = (pipeline.appsink("out"), pipeline.element("depth"));
    pipeline.play();
    pull(&sink);
    std::fs::remove_file(folder.path().join("external.onnx")).unwrap();
    // cut short in place: a mapping of it would end in SIGBUS
    std::fs::write(folder.path().join("external.onnx_data"), b"").unwrap();
    for resolution in ["140", "98", "126"] {
        depth.set_property_from_str("resolution", resolution);
        for _ in 0..3 {
            pull(&sink);
        }
    }
    pipeline.0.set_state(gst::State::Null).unwrap();
    // and is missed at the next start
    let error = pipeline.run().unwrap_err();
    assert!(error.contains("external.onnx"), "{error}");
}

/// In a process of its own, whose library is a copy.
#[test]
fn the_runtime_may_be_deleted_while_it_plays() {
    const COPY: &str = "ENDURANCE_LIBRARY";
    if let Some(copy) = std::env::var_os(COPY) {
        return play_without_library(Path::new(&copy));
    }
    let Some(library) = common::runtime_library("onnxruntime") else {
        eprintln!("left out: no ONNX Runtime in .runtime");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libonnxruntime.so");
    std::fs::copy(library, &copy).unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_runtime_may_be_deleted_while_it_plays",
            "--nocapture",
        ])
        .env("ORT_DYLIB_PATH", &copy)
        .env(COPY, &copy)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {said}", output.status);
    assert!(!copy.exists());
}

fn play_without_library(library: &Path) {
    let pipeline = Pipeline::new(&format!(
        "{SOURCE} ! {} ! appsink name=out sync=false max-buffers=1",
        small("")
    ));
    let (sink, depth) = (pipeline.appsink("out"), pipeline.element("depth"));
    pipeline.play();
    pull(&sink);
    std::fs::remove_file(library).unwrap();
    for resolution in ["140", "126"] {
        depth.set_property_from_str("resolution", resolution);
        pull(&sink);
    }
    pipeline.0.set_state(gst::State::Null).unwrap();
    pipeline.play();
    pull(&sink);
}

#[test]
fn loops_and_reverse_playback_give_each_frame() {
    let pipeline = Pipeline::new(&format!(
        "{SOURCE} ! {} ! appsink name=out sync=false max-buffers=1",
        small("")
    ));
    let sink = pipeline.appsink("out");
    pipeline.0.set_state(gst::State::Paused).unwrap();
    sink.try_pull_preroll(gst::ClockTime::from_seconds(60))
        .expect("a frame");
    let from = gst::ClockTime::from_mseconds(500);
    let to = gst::ClockTime::from_mseconds(1500);
    let seek = |rate: f64, flags: gst::SeekFlags| {
        let (start, stop) = (gst::SeekType::Set, gst::SeekType::Set);
        pipeline.0.seek(rate, flags, start, from, stop, to).unwrap();
    };
    let times = || -> Vec<u64> {
        let mut times = Vec::new();
        while times.len() < 10 {
            times.push(pull(&sink).buffer().unwrap().pts().unwrap().mseconds());
        }
        times
    };
    let forward: Vec<u64> = (5..15).map(|frame| frame * 100).collect();
    seek(1.0, gst::SeekFlags::FLUSH | gst::SeekFlags::SEGMENT);
    pipeline.play();
    for _ in 0..3 {
        assert_eq!(times(), forward);
        let bus = pipeline.0.bus().unwrap();
        let done = bus.timed_pop_filtered(
            gst::ClockTime::from_seconds(60),
            &[gst::MessageType::SegmentDone, gst::MessageType::Error],
        );
        assert_eq!(done.unwrap().type_(), gst::MessageType::SegmentDone);
        seek(1.0, gst::SeekFlags::SEGMENT);
    }
    seek(-1.0, gst::SeekFlags::FLUSH);
    let mut backward = times();
    backward.reverse();
    assert!(
        backward.windows(2).all(|pair| pair[1] == pair[0] + 100),
        "{backward:?}"
    );
    assert!(
        backward.iter().all(|time| (500..=1500).contains(time)),
        "{backward:?}"
    );
}

/// 134 megapixels: what goes through in bytes, and no more than a few copies of them.
#[test]
fn the_largest_frames_there_are() {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=GRAY8,width=16384,height=8192 \
         ! {} ! appsink name=out sync=false",
        small("upsampling=bilinear")
    ));
    let sink = pipeline.appsink("out");
    pipeline.play();
    let sample = pull(&sink);
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    assert_eq!((info.width(), info.height()), (16384, 8192));
    let map = sample.buffer().unwrap().map_readable().unwrap();
    assert!(map.iter().any(|&byte| byte != 0));
}

/// Of pixels that are not square the network sees the picture as it is shown, and the depth has those of the frame.
#[test]
fn anamorphic_frames_are_seen_as_they_are_shown() {
    let caps = "width=720,height=576,pixel-aspect-ratio=64/45";
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,{caps} ! {} ! appsink name=out sync=false",
        small("")
    ));
    let sink = pipeline.appsink("out");
    pipeline.play();
    let sample = pull(&sink);
    // 16:9 at 126
    assert_eq!(common::meta(&sample).network, Size::new(224, 126));
    let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
    assert_eq!((info.width(), info.height()), (720, 576));
    assert_eq!(info.par(), gst::Fraction::new(64, 45));
}

#[test]
fn depth_is_an_effect_of_a_player() {
    common::init();
    let Ok(player) = gst::ElementFactory::make("playbin").build() else {
        eprintln!("left out: no playbin");
        return;
    };
    let film = common::root().join("examples/media/sample.mkv");
    let sink = gst_app::AppSink::builder().sync(false).build();
    let filter = gst::parse::bin_from_description(&small(""), true).unwrap();
    player.set_property("uri", gst::glib::filename_to_uri(film, None).unwrap());
    player.set_property("video-filter", &filter);
    player.set_property("video-sink", &sink);
    player.set_state(gst::State::Playing).unwrap();
    let sample = pull(&sink);
    let format = sample
        .caps()
        .unwrap()
        .structure(0)
        .unwrap()
        .get::<String>("format");
    assert_eq!(format.as_deref(), Ok("GRAY16_LE"));
    player.set_state(gst::State::Null).unwrap();
}
