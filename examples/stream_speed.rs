//! How many frames a second the element makes of frames that cost nothing, and how long one takes to get through.
//!
//! ```text
//! cargo run --release --example stream_speed -- [--frame WIDTHxHEIGHT] [--in-flight N] [--frames N] [--seconds S]
//!     [PROPERTY=VALUE…]
//! ```
//!
//! One grey NV12 picture is sent again and again, as fast as the element takes it; the first ten frames, or those of the
//! first half of the time, are not counted. ONNX Runtime is found as the plugin finds it (`. scripts/env.sh`).

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Parser;
use gst::prelude::*;

/// Frames that are not counted.
const FIRST: u64 = 10;

/// Prints frames a second and the time of a frame through depthanything.
#[derive(Parser)]
#[command(name = "stream_speed")]
struct Arguments {
    /// Size of the frames.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "3840x2160", value_parser = size)]
    frame: (u32, u32),
    /// Frames worked on at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    in_flight: u32,
    /// Frames that are counted.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// Ends after so many seconds of playing, if the frames are not through by then.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86400))]
    seconds: u64,
    /// Properties of depthanything; gst-inspect-1.0 depthanything lists them.
    #[arg(value_name = "PROPERTY=VALUE")]
    properties: Vec<String>,
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        let side = |side: &str| side.parse().ok().filter(|side| (2..=16384).contains(side));
        Some((side(width)?, side(height)?))
    });
    match sides {
        Some((width, height)) if width % 2 == 0 && height % 2 == 0 => Ok((width, height)),
        _ => Err(format!(
            "{text} is no WIDTHxHEIGHT of even sides up to 16384"
        )),
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (width, height) = arguments.frame;
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=src format=time max-buffers=4 block=true \
         caps=video/x-raw,format=NV12,width={width},height={height},framerate=100/1 \
         ! depthanything name=depth in-flight={} {} ! fakesink name=sink sync=false",
        arguments.in_flight,
        arguments.properties.join(" ")
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let result = measure(&pipeline, arguments);
    pipeline.set_state(gst::State::Null)?;
    result
}

fn measure(pipeline: &gst::Pipeline, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let named = |name| pipeline.by_name(name).ok_or("an element is missing");
    let source = named("src")?
        .downcast::<gst_app::AppSrc>()
        .map_err(|_| "not an appsrc")?;
    // when each frame goes into the element and comes out of it
    let depth = named("depth")?;
    let (into, frames_in) = mpsc::channel();
    let (out, frames_out) = mpsc::channel();
    for (pad, sender) in [("sink", into), ("src", out)] {
        let pad = depth.static_pad(pad).ok_or("a pad is missing")?;
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = sender.send(Instant::now());
            gst::PadProbeReturn::Ok
        });
    }
    if pipeline.set_state(gst::State::Playing).is_err() {
        return Err(reason(pipeline).into());
    }
    let (width, height) = arguments.frame;
    // one picture for all, so that the camera costs nothing
    let picture = gst::Buffer::from_slice(vec![128_u8; width as usize * height as usize * 3 / 2]);
    let start = Instant::now();
    let whole = Duration::from_secs(arguments.seconds);
    for index in 0..arguments.frames + FIRST {
        if start.elapsed() > whole {
            break;
        }
        let mut frame = picture.copy();
        if let Some(frame) = frame.get_mut() {
            frame.set_pts(gst::ClockTime::from_mseconds(10) * index);
        }
        if source.push_buffer(frame).is_err() {
            return Err(reason(pipeline).into());
        }
    }
    source.end_of_stream().map_err(|_| reason(pipeline))?;
    let bus = pipeline.bus().ok_or("no bus")?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    match bus.timed_pop_filtered(gst::ClockTime::from_seconds(600), &kinds) {
        Some(message) if message.type_() == gst::MessageType::Eos => {}
        Some(message) => return Err(told(&message).into()),
        None => return Err("the stream did not end within ten minutes".into()),
    }
    let times = Vec::from_iter(frames_in.try_iter().zip(frames_out.try_iter()));
    let first = FIRST.min(times.len() as u64 / 2) as usize;
    let counted = times.get(first..).unwrap_or_default();
    let (Some(begun), Some(last)) = (
        first.checked_sub(1).and_then(|at| times.get(at)),
        counted.last(),
    ) else {
        return Err(format!("{} frames came out, too few to measure", times.len()).into());
    };
    let rate = counted.len() as f64 / (last.1 - begun.1).as_secs_f64();
    let mut through = Vec::from_iter(counted.iter().map(|(into, out)| *out - *into));
    through.sort();
    println!(
        "{width}x{height} in-flight {}: {rate:.1} frames a second, a frame takes {:.1} ms (median of {})",
        arguments.in_flight,
        through[through.len() / 2].as_secs_f64() * 1e3,
        through.len()
    );
    Ok(())
}

/// Why the pipeline does not play.
fn reason(pipeline: &gst::Pipeline) -> String {
    let message = pipeline.bus().and_then(|bus| {
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(5), &[gst::MessageType::Error])
    });
    message.map_or("the pipeline does not play".to_owned(), |it| told(&it))
}

fn told(message: &gst::Message) -> String {
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => "an unexpected message".to_owned(),
    }
}
