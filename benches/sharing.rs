//! What do many streams of one process cost, and is each served alike?
//!
//!     cargo bench --bench sharing [-- MODEL [SECONDS]]
//!
//! First the peak memory of one stream and of four with MODEL (`.models/vits.onnx`, made by scripts/make-vits, or the
//! built-in one where that is missing), each in a process of its own. Then 16 cameras and the built-in model for SECONDS
//! (600): in each round some stop and start again at random, then all run for ten seconds and their frames are counted.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

const CAMERAS: usize = 16;
const COUNTED: Duration = Duration::from_secs(10);

/// A pipeline of its own, and the depth frames that came out of it.
struct Stream {
    pipeline: gst::Pipeline,
    frames: Arc<AtomicU64>,
}

impl Stream {
    fn new(source: &str, depth: &str) -> Self {
        let pipeline = gst::parse::launch(&format!(
            "{source} ! depthanything {depth} ! fakesink name=sink sync=false"
        ))
        .expect("a pipeline")
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
        let frames = Arc::new(AtomicU64::new(0));
        let sink = pipeline.by_name("sink").expect("by name");
        let pad = sink.static_pad("sink").expect("a pad");
        let count = Arc::clone(&frames);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
        Self { pipeline, frames }
    }

    /// Reads the bus as an application does: what lies there unread (a message for each dropped frame) is memory.
    fn read_bus(&self) {
        let bus = self.pipeline.bus().expect("a bus");
        bus.set_sync_handler(|_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                panic!("{}", error.error());
            }
            gst::BusSyncReply::Drop
        });
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
    }

    fn stop(&self) {
        self.pipeline.set_state(gst::State::Null).expect("it stops");
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A line of `/proc/self/status`, in MiB.
fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kibibytes.unwrap_or(f64::NAN) / 1024.0
}

/// Prints the peak memory of so many streams of 720p at once.
fn streams(count: usize, model: &str) {
    let streams: Vec<_> = (0..count)
        .map(|_| {
            Stream::new(
                "videotestsrc num-buffers=4 ! video/x-raw,format=NV12,width=1280,height=720",
                model,
            )
        })
        .collect();
    streams.iter().for_each(Stream::play);
    for stream in &streams {
        let bus = stream.pipeline.bus().expect("a bus");
        let end = bus.timed_pop_filtered(
            gst::ClockTime::from_seconds(300),
            &[gst::MessageType::Eos, gst::MessageType::Error],
        );
        assert_eq!(
            end.map(|end| end.type_()),
            Some(gst::MessageType::Eos),
            "a stream ends well"
        );
    }
    println!("{}", memory("VmHWM"));
}

/// The same in a process of its own.
fn streams_apart(count: usize, model: &str) -> f64 {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["streams", &count.to_string(), model])
        .output()
        .expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| {
        panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
    })
}

fn cameras(time: Duration) {
    let camera = || {
        Stream::new(
            "videotestsrc is-live=true pattern=ball \
             ! video/x-raw,format=I420,width=320,height=240,framerate=30/1",
            "resolution=126",
        )
    };
    let streams: Vec<_> = (0..CAMERAS).map(|_| camera()).collect();
    println!("| minutes | started again | frames: fewest, most | most ÷ fewest | memory (MiB) |");
    println!("|---|---|---|---|---|");
    streams.iter().for_each(Stream::read_bus);
    streams.iter().for_each(Stream::play);
    std::thread::sleep(Duration::from_secs(3));
    let begun = Instant::now();
    // a small generator of its own: the same choices in every run
    let mut state = 0x9e37_79b9_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    while begun.elapsed() < time {
        let counts = || -> Vec<u64> {
            let frames = streams.iter().map(|s| s.frames.load(Ordering::Relaxed));
            frames.collect()
        };
        let before = counts();
        std::thread::sleep(COUNTED);
        let frames: Vec<_> = counts().iter().zip(before).map(|(a, b)| a - b).collect();
        let (fewest, most) = (
            frames.iter().min().copied().unwrap_or(0),
            frames.iter().max().copied().unwrap_or(0),
        );
        let chosen: Vec<_> = streams
            .iter()
            .filter(|_| random().is_multiple_of(4))
            .collect();
        println!(
            "| {:.1} | {} | {fewest}, {most} | {:.2} | {:.0} |",
            begun.elapsed().as_secs_f64() / 60.0,
            chosen.len(),
            most as f64 / fewest as f64,
            memory("VmRSS")
        );
        for stream in &chosen {
            stream.stop();
            std::thread::sleep(Duration::from_millis(u64::from(random() % 400)));
            stream.play();
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    arguments.retain(|argument| argument != "--bench");
    gst::init().expect("GStreamer starts");
    gstdepthanything::plugin_register_static().expect("the plugin registers");
    if let [first, count, model] = &arguments[..]
        && first == "streams"
    {
        return streams(count.parse().expect("a number"), model);
    }
    let vits = concat!(env!("CARGO_MANIFEST_DIR"), "/.models/vits.onnx");
    let model = arguments.first().cloned().unwrap_or(vits.to_owned());
    let seconds = arguments.get(1).and_then(|text| text.parse().ok());

    let option = if std::path::Path::new(&model).exists() {
        format!("model-file={model}")
    } else {
        String::new()
    };
    let [one, four] = [1, 4].map(|count| streams_apart(count, &option));
    println!("| streams | peak memory (MiB) | of one |");
    println!("|---|---|---|");
    println!("| 1 | {one:.0} | 1.00 |");
    println!("| 4 | {four:.0} | {:.2} |\n", four / one);
    cameras(Duration::from_secs(seconds.unwrap_or(600)));
}
