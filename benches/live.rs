//! Does a live stream keep up? A camera of 10 frames a second, a network that is far too slow for it at the resolution
//! asked for, and a busy second process that comes and goes.
//!
//!     cargo bench --bench live [-- MODEL [SECONDS]]
//!     cargo bench --bench live -- lag [PROPERTIES]
//!
//! The second: how far behind the clock is what arrives, at 10, 30 and 60 frames a second, while eight busy processes run
//! for 30 s, and after that? With the built-in model at `resolution=252`, unless PROPERTIES say otherwise.
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
    if arguments.first().is_some_and(|argument| argument == "lag") {
        return lag(arguments.get(1).map_or("", String::as_str));
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

/// What takes time in [`lag`]: alone, with eight busy processes, and after they have gone.
const PHASES: [u64; 3] = [8, 30, 12];
/// After the busy time so much is for coming back.
const COME_BACK: gst::ClockTime = gst::ClockTime::from_seconds(3);

fn lag(properties: &str) {
    gst::init().expect("GStreamer starts");
    gstdepthanything::plugin_register_static().expect("the plugin registers");
    println!("| fps | qos | oldest before | while busy | from 3 s after | frames | a run takes |");
    println!("|---|---|---|---|---|---|---|");
    for rate in [10, 30, 60] {
        for qos in [true, false] {
            lag_at(rate, qos, properties);
        }
    }
}

fn lag_at(rate: u32, qos: bool, properties: &str) {
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate={rate}/1 \
         ! depthanything name=depth resolution=252 {properties} ! fakesink name=sink sync=true qos={qos} signal-handoffs=true"
    ))
    .expect("a pipeline")
    .downcast::<gst::Pipeline>()
    .expect("a pipeline");
    let [depth, sink] = ["depth", "sink"].map(|name| pipeline.by_name(name).expect("by name"));
    // when the sink shows a frame, which is when it is due at the earliest
    let arrivals = Arrivals::default();
    let (list, element) = (Arc::clone(&arrivals), depth.clone());
    sink.connect("handoff", false, move |values| {
        let buffer = values[1].get::<gst::Buffer>().expect("a buffer");
        if let (Some(pts), Some(now)) = (buffer.pts(), element.current_running_time()) {
            let mut arrivals = list.lock().expect("a lock");
            arrivals.push((pts, now.saturating_sub(pts)));
        }
        None
    });
    let bus = pipeline.bus().expect("a bus");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let wait = |seconds| {
        let end = std::time::Instant::now() + Duration::from_secs(seconds);
        while std::time::Instant::now() < end {
            let message = bus.timed_pop(gst::ClockTime::from_mseconds(100));
            match message.as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Latency(_)) => drop(pipeline.recalculate_latency()),
                Some(gst::MessageView::Error(error)) => panic!("{}", error.error()),
                _ => {}
            }
        }
        pipeline.current_running_time().expect("a clock")
    };
    let alone = wait(PHASES[0]);
    let mut burners: Vec<Child> = (0..8).map(|_| burn()).collect();
    let busy = wait(PHASES[1]);
    for burner in &mut burners {
        let _ = burner.kill();
        let _ = burner.wait();
    }
    let end = wait(PHASES[2]);
    let stats = depth.property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null).expect("it stops");
    let arrivals = arrivals.lock().expect("a lock");
    // by when they arrived
    let oldest = |from: gst::ClockTime, to: gst::ClockTime| {
        arrivals
            .iter()
            .filter(|(pts, age)| (from..to).contains(&(*pts + *age)))
            .map(|(_, age)| age.mseconds())
            .max()
            .map_or("none came".to_owned(), |oldest| format!("{oldest} ms"))
    };
    // the first frames wait for the model
    let settled = alone / 2;
    println!(
        "| {rate} | {qos} | {} | {} | {} | {} | {:.0?} |",
        oldest(settled, alone),
        oldest(alone, busy),
        oldest(busy + COME_BACK, end),
        arrivals.len(),
        Duration::from_nanos(stats.get("inference-time-p50").unwrap_or(0))
    );
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
