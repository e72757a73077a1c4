//! Stopping and flushing while the network runs: nobody waits for it to be done.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::Pipeline;
use gst::prelude::*;
use gstdepthanything::error::Error;
use gstdepthanything::inference::backend::{DepthMaps, Description, Images, Network};
use gstdepthanything::inference::{Config, shared};
use gstdepthanything::model::ModelSource;

/// What a user may have to wait for; on a machine that is busy with other tests, too.
const SOON: Duration = Duration::from_millis(500);

/// Takes a minute for a frame unless it is let go, and can't be ended before, as what a provider has compiled into one
/// node.
struct Stubborn {
    description: Description,
    runs: Arc<AtomicUsize>,
    go: Arc<AtomicBool>,
    /// So many runs are quick.
    quick: usize,
}

impl Network for Stubborn {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        if self.runs.fetch_add(1, Ordering::SeqCst) >= self.quick {
            let end = Instant::now() + Duration::from_secs(60);
            while !self.go.load(Ordering::SeqCst) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        depth.size = images.size;
        depth.batch = images.batch;
        depth.values = vec![1.0; images.batch * images.size.area()];
        Ok(())
    }
}

/// Offers such a network to elements with `num-threads` of this number; tests in this process have one each. The first run
/// is the one that the element tries a size by.
fn stubborn(threads: usize, quick: usize) -> (shared::Shared, Arc<AtomicUsize>, Arc<AtomicBool>) {
    common::init();
    let (runs, go) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let network = Stubborn {
        description: Description {
            provider: "CPUExecutionProvider".into(),
            ..Description::of_any_size("stubborn")
        },
        runs: Arc::clone(&runs),
        go: Arc::clone(&go),
        quick,
    };
    let config = Config {
        threads,
        ..Config::new(ModelSource::Builtin)
    };
    let offered = shared::offer(&config, Box::new(network)).unwrap();
    (offered, runs, go)
}

fn until(condition: impl Fn() -> bool) {
    let end = Instant::now() + common::TIMEOUT;
    while !condition() {
        assert!(Instant::now() < end, "it never comes");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn null_does_not_wait_for_an_inference_that_nothing_ends() {
    for (threads, in_flight) in [(11, 1), (12, 3)] {
        let (_offered, runs, go) = stubborn(threads, 1);
        let pipeline = Pipeline::new(&format!(
            "videotestsrc ! video/x-raw,width=64,height=48 \
             ! depthanything resolution=56 num-threads={threads} in-flight={in_flight} ! fakesink"
        ));
        pipeline.play();
        until(|| runs.load(Ordering::SeqCst) > 1);
        let start = Instant::now();
        pipeline.0.set_state(gst::State::Null).unwrap();
        let took = start.elapsed();
        assert!(took < SOON, "{took:?} with {in_flight} frames in flight");
        go.store(true, Ordering::SeqCst);
    }
}

/// As it is while an engine is compiled: nothing has come out yet, and nothing will for long.
#[test]
fn null_does_not_wait_for_the_first_run_at_a_size() {
    for (threads, source) in [(15, "videotestsrc"), (16, "videotestsrc is-live=true")] {
        let (_offered, runs, go) = stubborn(threads, 0);
        let pipeline = Pipeline::new(&format!(
            "{source} ! video/x-raw,width=64,height=48,framerate=30/1 \
             ! depthanything resolution=56 num-threads={threads} ! fakesink"
        ));
        pipeline.play();
        until(|| runs.load(Ordering::SeqCst) > 0);
        let start = Instant::now();
        pipeline.0.set_state(gst::State::Null).unwrap();
        let took = start.elapsed();
        assert!(took < SOON, "{took:?} of {source}");
        go.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_flush_does_not_wait_either_and_frames_go_on_after_it() {
    let (_offered, runs, go) = stubborn(13, 1);
    let pipeline = Pipeline::new(
        "videotestsrc ! video/x-raw,width=64,height=48,framerate=10/1 \
         ! depthanything resolution=56 num-threads=13 ! fakesink name=sink",
    );
    pipeline.play();
    until(|| runs.load(Ordering::SeqCst) > 1);
    let start = Instant::now();
    let pad = pipeline.element("sink").static_pad("sink").unwrap();
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH,
        gst::SeekType::Set,
        gst::ClockTime::from_seconds(1),
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    assert!(pad.push_event(seek));
    let took = start.elapsed();
    assert!(took < SOON, "{took:?}");
    go.store(true, Ordering::SeqCst);
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
}

#[test]
fn a_stream_that_stops_ends_nobody_elses_inference() {
    let (_offered, runs, go) = stubborn(14, 1);
    let start = || {
        let pipeline = Pipeline::new(
            "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 \
             ! depthanything resolution=56 num-threads=14 ! fakesink",
        );
        pipeline.play();
        pipeline
    };
    let stays = start();
    until(|| runs.load(Ordering::SeqCst) > 1);
    let leaves = start();
    std::thread::sleep(Duration::from_millis(200));
    let before = Instant::now();
    leaves.0.set_state(gst::State::Null).unwrap();
    assert!(before.elapsed() < SOON, "{:?}", before.elapsed());
    go.store(true, Ordering::SeqCst);
    stays.messages_until(|message| matches!(message.view(), gst::MessageView::Eos(_)));
}

/// A real one that takes seconds: ONNX Runtime ends it between two nodes.
#[test]
fn a_run_of_onnx_runtime_ends_when_it_is_cancelled() {
    let pipeline = Pipeline::new(
        "videotestsrc ! video/x-raw,width=640,height=480,framerate=10/1 \
         ! depthanything name=depth resolution=126 num-threads=1 ! fakesink",
    );
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    let depth = pipeline.element("depth");
    let size = || {
        let stats = depth.property::<gst::Structure>("stats");
        stats.get::<u32>("network-height").unwrap()
    };
    depth.set_property("resolution", 2072u32);
    until(|| size() == 126 || size() == 2072);
    std::thread::sleep(Duration::from_millis(700));
    let start = Instant::now();
    pipeline.0.set_state(gst::State::Null).unwrap();
    let took = start.elapsed();
    assert!(took < SOON, "{took:?}");
    // and it is free again for others soon
    let start = Instant::now();
    let again = Pipeline::new(
        "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48 \
         ! depthanything resolution=56 num-threads=1 ! fakesink",
    );
    again.run().unwrap();
    println!("stopped in {took:?}, ran again after {:?}", start.elapsed());
}

/// Set in the process that [`little_address_space_ends_in_an_error`] starts: play, and say how much was needed.
const CHILD: &str = "DEPTH_TEST_LITTLE_ADDRESS_SPACE";

#[test]
fn with_little_address_space() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // interlaced 4:2:0 goes through GStreamer's converter, which has threads
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=4 ! video/x-raw,format=I420,width=1280,height=720,interlace-mode=interleaved \
         ! depthanything resolution=126 ! fakesink async=false",
    );
    // with `async`, GStreamer itself needs a thread to go on from PAUSED to PLAYING, and waits for ever without one; a
    // source whose thread can't be started says nothing on the bus
    if pipeline.0.set_state(gst::State::Playing).is_err() {
        return println!("it does not start");
    }
    println!("{:?}", pipeline.run().map(|_| ()));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    println!("peak {}", peak.unwrap());
}

/// Threads that can't be started, buffers that can't be had: whatever it is, the process ends.
#[test]
fn little_address_space_ends_in_an_error() {
    let run = |limit: Option<u64>| {
        let limit = limit.map_or("unlimited".to_owned(), |kilobytes| kilobytes.to_string());
        let mut child = std::process::Command::new("sh")
            .args([
                "-c",
                "ulimit -v \"$1\" && exec \"$0\" --exact with_little_address_space --nocapture",
            ])
            .arg(std::env::current_exe().unwrap())
            .arg(&limit)
            .env(CHILD, "1")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(90);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = child.kill();
                panic!("it hangs with {limit} kB");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let enough = run(None);
    let peak = enough.lines().find_map(|line| {
        line.strip_prefix("peak")?
            .trim()
            .split(' ')
            .next()?
            .parse()
            .ok()
    });
    let peak: u64 = peak.unwrap_or_else(|| panic!("{enough}"));
    assert!(enough.contains("Ok(())"), "{enough}");
    // from what is just too little to what is far too little
    for step in [1, 2, 4, 8, 12, 16, 24, 32, 48] {
        run(Some(peak - peak / 100 * step));
    }
}
