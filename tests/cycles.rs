//! Starting and stopping leaves nothing behind. A process of its own, so that what it measures is its own.

mod common;

use common::Pipeline;
use gst::prelude::*;

#[test]
fn a_hundred_starts_leave_nothing_behind() {
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

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
