//! Prints what the middle of each depth frame means, from its `GstDepthMeta`.
//!
//! ```sh
//! cargo run --release --example read_meta -- video.mp4
//! ```
//!
//! `read_meta.py` and `read_meta.c` beside it do the same without this library.

#[path = "common/decoding.rs"]
mod decoding;
#[path = "common/stalled.rs"]
mod stalled;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::Parser;
use decoding::Decoding;
use gst::prelude::*;
use gst_video::VideoFrameExt;
use gstdepthanything::depth_meta::{DepthMeta, Unit};

/// Prints what the middle of each depth frame of a video or photo means.
#[derive(Parser)]
#[command(name = "read_meta")]
struct Arguments {
    /// The video or photo.
    video: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    decoding::check(&arguments.video)?;
    gst::init()?;
    gstdepthanything::plugin_register_static()?;

    let pipeline = gst::parse::launch(
        "filesrc name=video ! decodebin name=decoder ! depthanything ! appsink name=depth sync=false",
    )?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let element = |name| pipeline.by_name(name).ok_or("no such element");
    element("video")?.set_property("location", &arguments.video);
    stalled::watch(&element("decoder")?);
    let sink = element("depth")?
        .downcast::<gst_app::AppSink>()
        .map_err(|_| "not an appsink")?;
    let seen = Arc::new(AtomicBool::new(false));
    let see = seen.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            see.store(true, Relaxed);
            print_middle(&sample).map_err(|error| {
                gst::element_error!(sink, gst::StreamError::Format, ["{error}"]);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    sink.set_callbacks(callbacks);

    let bus = pipeline.bus().ok_or("no bus")?;
    // a failure to start comes as a message too, and that says why
    let _ = pipeline.set_state(gst::State::Playing);
    let mut decoding = Decoding::of(&arguments.video);
    let failure = loop {
        let Some(message) = bus.timed_pop(gst::ClockTime::NONE) else {
            break None;
        };
        let failure = decoding.hear(&message);
        if failure.is_some() || message.type_() == gst::MessageType::Eos {
            break failure;
        }
    };
    pipeline.set_state(gst::State::Null)?;
    match failure {
        Some(failure) => Err(failure.into()),
        None if seen.load(Relaxed) => Ok(()),
        None => Err(format!(
            "{} has no frame that can be decoded",
            arguments.video.display()
        )
        .into()),
    }
}

fn print_middle(sample: &gst::Sample) -> Result<(), Box<dyn std::error::Error>> {
    let info = gst_video::VideoInfo::from_caps(sample.caps().ok_or("no caps")?)?;
    let buffer = sample.buffer().ok_or("no buffer")?;
    let meta = DepthMeta::read(buffer).ok_or("no GstDepthMeta")?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info)
        .map_err(|_| "can't map the frame")?;
    let offset = frame.plane_stride()[0] as usize * (info.height() as usize / 2)
        + 2 * (info.width() as usize / 2);
    let bytes = &frame.plane_data(0)?[offset..offset + 2];
    let raw = match info.format() {
        gst_video::VideoFormat::Gray16Be => u16::from_be_bytes([bytes[0], bytes[1]]),
        _ => u16::from_le_bytes([bytes[0], bytes[1]]),
    };
    let value = meta.value(raw);
    let seconds = buffer.pts().unwrap_or_default().seconds_f64();
    match meta.unit {
        Unit::Metre => print!("{seconds:.3} s  {value:.3} m"),
        Unit::InverseDepth => print!("{seconds:.3} s  inverse depth {value:.4}"),
    }
    println!(
        "  (sample {raw}, network {}x{}, scene {}, model {}{}{})",
        meta.network.width,
        meta.network.height,
        meta.scene,
        meta.model,
        if meta.repeated { ", repeated" } else { "" },
        if meta.filtered { ", filtered" } else { "" }
    );
    Ok(())
}
