//! Prints what the middle of each depth frame means, from its `GstDepthMeta`.
//!
//! ```sh
//! cargo run --release --example read_meta -- film.mp4
//! ```

use gst::prelude::*;
use gst_video::VideoFrameExt;
use gstdepthanything::depth_meta::{DepthMeta, Unit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(film) = std::env::args_os().nth(1) else {
        return Err("usage: read_meta FILM".into());
    };
    gst::init()?;
    gstdepthanything::plugin_register_static()?;

    let pipeline = gst::parse::launch(
        "filesrc name=film ! decodebin ! depthanything ! appsink name=depth sync=false max-buffers=2",
    )?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let element = |name| pipeline.by_name(name).ok_or("no such element");
    element("film")?.set_property("location", std::path::Path::new(&film));
    let sink = element("depth")?
        .downcast::<gst_app::AppSink>()
        .map_err(|_| "not an appsink")?;

    pipeline.set_state(gst::State::Playing)?;
    while let Ok(sample) = sink.pull_sample() {
        print_middle(&sample)?;
    }
    // the stream ends at its end, or at an error that is on the bus
    let error = pipeline
        .bus()
        .and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    pipeline.set_state(gst::State::Null)?;
    match error.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Error(error)) => Err(error.error().into()),
        _ => Ok(()),
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
    match meta.unit {
        Unit::Metre => print!("{}  {value:.3} m", buffer.pts().display()),
        Unit::InverseDepth => print!("{}  inverse depth {value:.4}", buffer.pts().display()),
    }
    println!(
        "  (sample {raw}, network {}, scene {}, model {}{})",
        meta.network,
        meta.scene,
        meta.model,
        if meta.repeated { ", repeated" } else { "" }
    );
    Ok(())
}
