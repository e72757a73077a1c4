//! Does a live stream keep up? A camera of 10 frames a second, a network that is far too slow for it at the resolution
//! asked for, and a busy second process that comes and goes.
//!
//!     cargo bench --bench live [-- MODEL [SECONDS]]
//!
//! MODEL is `.models/vits.onnx` (scripts/make-vits) or the built-in one where that is missing; each phase takes SECONDS.
//! Prints, for each phase once settled, how many frames arrived and how late the latest of them was.

use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;

const RATE: u64 = 10;
/// A phase's first seconds are for settling.
const SETTLE: Duration = Duration::from_secs(5);

/// When a frame was due, and how long after that it arrived.
type Arrivals = Arc<Mutex<Vec<(gst::ClockTime, gst::ClockTime)>>>;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| argument != "--bench");
    if arguments.first().is_some_and(|argument| argument == "burn") {
        loop {
            std::hint::spin_loop();
        }
    }
    let vits = concat!(env!("CARGO_MANIFEST_DIR"), "/.models/vits.onnx");
    let model = arguments.first().cloned().unwrap_or(vits.to_owned());
    let seconds = arguments.get(1).and_then(|text| text.parse().ok());
    let phase = Duration::from_secs(seconds.unwrap_or(20));

    gst::init().expect("GStreamer starts");
    gstdepthanything::plugin_register_static().expect("the plugin registers");
    let depth = gst::ElementFactory::make("depthanything")
        .property("resolution", 518u32)
        .property("min-resolution", 140u32)
        .build()
        .expect("the element");
    if std::path::Path::new(&model).exists() {
        depth.set_property("model-file", &model);
    }
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true pattern=ball \
         ! video/x-raw,format=NV12,width=1280,height=720,framerate={RATE}/1 ! identity name=before \
         ! fakesink name=sink sync=false qos=false"
    ))
    .expect("a pipeline")
    .downcast::<gst::Pipeline>()
    .expect("a pipeline");
    let [before, sink] = ["before", "sink"].map(|name| pipeline.by_name(name).expect("by name"));
    before.unlink(&sink);
    pipeline.add(&depth).expect("one more element");
    gst::Element::link_many([&before, &depth, &sink]).expect("links");

    let arrivals = Arrivals::default();
    let probe = {
        let (arrivals, depth) = (Arc::clone(&arrivals), depth.clone());
        move |_: &gst::Pad, info: &mut gst::PadProbeInfo| {
            if let (Some(pts), Some(now)) = (
                info.buffer().and_then(|buffer| buffer.pts()),
                depth.current_running_time(),
            ) {
                let mut arrivals = arrivals.lock().expect("a lock");
                arrivals.push((pts, now.saturating_sub(pts)));
            }
            gst::PadProbeReturn::Ok
        }
    };
    sink.static_pad("sink")
        .expect("a pad")
        .add_probe(gst::PadProbeType::BUFFER, probe);

    pipeline.set_state(gst::State::Playing).expect("it plays");
    let (_, state, _) = pipeline.state(gst::ClockTime::from_seconds(120));
    assert_eq!(state, gst::State::Playing);
    println!("| phase | network | frames that arrived | latest | settled |");
    println!("|---|---|---|---|---|");
    for (name, busy) in [
        ("alone", false),
        ("busy second process", true),
        ("alone again", false),
    ] {
        let mut burner = busy.then(burn);
        let start = pipeline.current_running_time().expect("a clock");
        std::thread::sleep(phase);
        let end = pipeline.current_running_time().expect("a clock");
        if let Some(burner) = &mut burner {
            let _ = burner.kill();
            let _ = burner.wait();
        }
        report(name, &depth, &arrivals, start, end);
    }
    pipeline.set_state(gst::State::Null).expect("it stops");
}

fn burn() -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .arg("burn")
        .spawn()
        .expect("a second process")
}

fn report(
    name: &str,
    depth: &gst::Element,
    arrivals: &Arrivals,
    start: gst::ClockTime,
    end: gst::ClockTime,
) {
    let settled = start + gst::ClockTime::try_from(SETTLE).expect("seconds");
    let arrivals = std::mem::take(&mut *arrivals.lock().expect("a lock"));
    let settled_ones: Vec<_> = arrivals
        .iter()
        .filter(|(pts, _)| (settled..end).contains(pts))
        .collect();
    let latest = settled_ones
        .iter()
        .map(|(_, age)| age.mseconds())
        .max()
        .unwrap_or(0);
    // frames that are under way at the end are nobody's loss
    let due = (end - settled).mseconds() * RATE / 1000;
    let share = 100.0 * settled_ones.len() as f64 / (due.saturating_sub(1)) as f64;
    // how long it was until no frame came 300 ms late any more
    let after = arrivals
        .iter()
        .filter(|(pts, age)| *pts >= start && age.mseconds() > 300)
        .map(|(pts, _)| (*pts - start).mseconds())
        .max()
        .unwrap_or(0);
    let stats = depth.property::<gst::Structure>("stats");
    let side = |field: &str| stats.get::<u32>(field).unwrap_or(0);
    println!(
        "| {name} | {}×{} | {:.0} % | {latest} ms | after {:.1} s |",
        side("network-width"),
        side("network-height"),
        share.min(100.0),
        after as f64 / 1000.0
    );
}
