//! Starting, stopping and seeking leave nothing behind. A process of its own, so that what it measures is its own.

mod common;

use std::sync::{Mutex, PoisonError};

use common::Pipeline;
use gst::prelude::*;

/// One at a time: each measures the process.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_hundred_starts_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipeline = Pipeline::new(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48 \
         ! depthanything resolution=126 model-file={} ! fakesink name=sink num-buffers=2",
        common::model("pixel-values.onnx")
    ));
    let cycle = || {
        pipeline.0.set_state(gst::State::Playing).unwrap();
        let (result, ..) = pipeline.0.state(gst::ClockTime::from_seconds(60));
        result.unwrap();
        pipeline.0.set_state(gst::State::Ready).unwrap();
    };
    for _ in 0..20 {
        cycle();
    }
    let (memory, threads, files) = (resident(), count("/proc/self/task"), count("/proc/self/fd"));
    for _ in 0..80 {
        cycle();
    }
    let grown = resident().saturating_sub(memory);
    assert!(grown < 24 << 20, "{} MB more after 80 cycles", grown >> 20);
    assert!(count("/proc/self/task") <= threads + 2);
    assert!(count("/proc/self/fd") <= files + 2);
}

#[test]
fn hundreds_of_flushing_seeks_leave_nothing_behind() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipeline = Pipeline::new(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48,framerate=10/1 \
         ! depthanything resolution=126 in-flight=2 model-file={} ! appsink name=out sync=false max-buffers=1",
        common::model("pixel-values.onnx")
    ));
    let sink = pipeline.appsink("out");
    pipeline.play();
    let pull = || {
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
        sample.expect("a frame")
    };
    pull();
    let mut before = 0;
    for number in 0..400_u64 {
        let target = gst::ClockTime::from_mseconds(100 * (number * 37 % 500));
        pipeline
            .0
            .seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, target)
            .unwrap();
        // each second one is overtaken by the next
        if number % 2 == 0 {
            assert_eq!(pull().buffer().unwrap().pts(), Some(target));
        }
        if number == 100 {
            before = resident();
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 << 20, "{} MB more after 300 seeks", grown >> 20);
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
