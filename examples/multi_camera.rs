//! Many cameras, one network: a mosaic of coloured depth, with each stream's figures on it.
//!
//! ```sh
//! cargo run --release --example multi_camera -- [--sink SINK] [SOURCE…]
//! ```
//!
//! A SOURCE is a file, a URI (`rtsp://…`), a device (`/dev/video0`) or `test`; without any, four test pictures. SINK is a
//! piece of pipeline, `autovideosink` if none is given. All streams share one network; the figures show by how many it is
//! shared and which frame rate each gets.

use std::error::Error;
use std::time::{Duration, Instant};

use gst::prelude::*;

const WIDTH: u32 = 480;
const HEIGHT: u32 = 270;

fn main() -> Result<(), Box<dyn Error>> {
    let mut sources: Vec<String> = std::env::args().skip(1).collect();
    let mut sink = "autovideosink".to_owned();
    if let Some(at) = sources.iter().position(|argument| argument == "--sink") {
        let given = sources.drain(at..(at + 2).min(sources.len())).nth(1);
        sink = given.ok_or("--sink needs a piece of pipeline")?;
    }
    if sources.is_empty() {
        sources = vec!["test".to_owned(); 4];
    }
    gst::init()?;
    gstdepthanything::plugin_register_static()?;

    let description = describe(&sources, &sink)?;
    let pipeline = gst::parse::launch(&description)?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let bus = pipeline.bus().ok_or("no bus")?;
    // a failure to start comes as a message too, and that says why
    let _ = pipeline.set_state(gst::State::Playing);
    let mut before = vec![0; sources.len()];
    let mut shown = Instant::now();
    let result = loop {
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = Instant::now();
            show(&pipeline, &mut before)?;
        }
        let message = bus.timed_pop(gst::ClockTime::from_mseconds(100));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => break Ok(()),
            Some(gst::MessageView::Error(error)) => break Err(error.error().into()),
            Some(gst::MessageView::Latency(_)) => pipeline.recalculate_latency()?,
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null)?;
    result
}

fn describe(sources: &[String], sink: &str) -> Result<String, Box<dyn Error>> {
    let columns = (1..).find(|columns| columns * columns >= sources.len());
    let columns = u32::try_from(columns.unwrap_or(1))?;
    let mut description = String::from("compositor name=mosaic background=black ");
    let mut branches = String::new();
    for (index, source) in (0_u32..).zip(sources) {
        let (x, y) = (index % columns * WIDTH, index / columns * HEIGHT);
        description += &format!("sink_{index}::xpos={x} sink_{index}::ypos={y} ");
        let input = match source.as_str() {
            "test" => format!(
                "videotestsrc is-live=true pattern=ball motion={} \
                 ! video/x-raw,width=640,height=360,framerate=10/1",
                ["wavy", "sweep", "hsweep"][index as usize % 3]
            ),
            device if device.starts_with("/dev/") => format!("v4l2src device={device} ! decodebin"),
            uri if uri.contains("://") => format!("uridecodebin uri={uri}"),
            file => format!("filesrc location=\"{file}\" ! decodebin"),
        };
        branches += &format!(
            "{input} ! depthanything name=depth{index} resolution=252 min-resolution=126 \
             ! video/x-raw,width={WIDTH},height={HEIGHT} ! depthcolorize ! videoconvert \
             ! textoverlay name=text{index} valignment=top halignment=left font-desc=\"Sans 10\" \
             ! queue max-size-buffers=2 ! mosaic.sink_{index} "
        );
    }
    Ok(format!("{description} ! videoconvert ! {sink} {branches}"))
}

/// Once a second.
fn show(pipeline: &gst::Pipeline, before: &mut [u64]) -> Result<(), Box<dyn Error>> {
    for (index, before) in before.iter_mut().enumerate() {
        let element = |name: &str| pipeline.by_name(&format!("{name}{index}"));
        let (Some(depth), Some(text)) = (element("depth"), element("text")) else {
            continue;
        };
        let stats = depth.property::<gst::Structure>("stats");
        let frames: u64 = stats.get("frames")?;
        let inference = Duration::from_nanos(stats.get("inference-time-p50")?);
        let line = format!(
            "camera {index}: {} fps, {} dropped, {}x{} in {inference:.0?}, shared by {}",
            frames - (*before).min(frames),
            stats.get::<u64>("dropped")?,
            stats.get::<u32>("network-width")?,
            stats.get::<u32>("network-height")?,
            stats.get::<u32>("shared-by")?,
        );
        *before = frames;
        println!("{line}");
        text.set_property("text", &line);
    }
    Ok(())
}
