//! What a live stream gets out of this machine: frame rate, latency, network size and provider, on a terminal.
//!
//! ```sh
//! cargo run --release --example live_resolution -- [SOURCE [PROPERTY=VALUE…]]
//! ```
//!
//! SOURCE is a piece of pipeline that gives video, such as `v4l2src`; without one, a test picture of 720p at 30 fps.
//! Properties are those of `depthanything`: `resolution=518 min-resolution=140` if none are given. Load the machine with
//! something else and watch the resolution go down and, later, up again.

use std::error::Error;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Parser;
use gst::prelude::*;

/// Seconds of resolutions that are drawn.
const HISTORY: usize = 60;

/// Shows what a live stream gets out of this machine, each second: frame rate, latency, network size and provider.
#[derive(Parser)]
#[command(name = "live_resolution")]
struct Arguments {
    /// A piece of pipeline that gives live video, such as v4l2src; by default a test picture of 720p at 30 fps.
    #[arg(default_value = TEST_PICTURE, hide_default_value = true)]
    source: String,
    /// Properties of depthanything; gst-inspect-1.0 depthanything lists them.
    #[arg(value_name = "PROPERTY=VALUE", default_values = ["resolution=518", "min-resolution=140"])]
    properties: Vec<String>,
}

const TEST_PICTURE: &str = "videotestsrc is-live=true pattern=ball \
     ! video/x-raw,format=NV12,width=1280,height=720,framerate=30/1";

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { source, properties } = Arguments::parse();
    let properties = properties.join(" ");
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    let pipeline = gst::parse::launch(&format!(
        "{source} ! depthanything name=depth {properties} ! fakesink name=sink sync=false qos=false"
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let depth = pipeline.by_name("depth").ok_or("no such element")?;

    let bus = pipeline.bus().ok_or("no bus")?;
    let _ = pipeline.set_state(gst::State::Playing);
    let mut board = Board::default();
    let mut shown = Instant::now();
    let mut oldest = 0;
    let result = loop {
        let stats = depth.property::<gst::Structure>("stats");
        oldest = stats.get::<u64>("age")?.max(oldest);
        if shown.elapsed() >= Duration::from_secs(1) {
            shown = Instant::now();
            board.show(&stats, Duration::from_nanos(std::mem::take(&mut oldest)))?;
        }
        let message = bus.timed_pop(gst::ClockTime::from_mseconds(100));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => break Ok(()),
            Some(gst::MessageView::Error(error)) => break Err(error.error().into()),
            Some(gst::MessageView::Element(element)) => board.hear(element.structure()),
            // a frame takes another time than before
            Some(gst::MessageView::Latency(_)) => drop(pipeline.recalculate_latency()),
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null)?;
    result
}

/// What is on the terminal.
#[derive(Default)]
struct Board {
    frames: u64,
    dropped: u64,
    resolutions: Vec<u32>,
    reason: String,
}

impl Board {
    fn hear(&mut self, structure: Option<&gst::StructureRef>) {
        if let Some(structure) = structure
            && structure.name() == "depthanything-resolution"
            && let Ok(reason) = structure.get::<String>("reason")
        {
            self.reason = reason;
        }
    }

    /// `oldest`: the age of the oldest frame of the last second.
    fn show(&mut self, stats: &gst::StructureRef, oldest: Duration) -> Result<(), Box<dyn Error>> {
        let (frames, dropped): (u64, u64) = (stats.get("frames")?, stats.get("dropped")?);
        let height: u32 = stats.get("network-height")?;
        self.resolutions.push(height);
        let first = self.resolutions.len().saturating_sub(HISTORY);
        let most = self.resolutions[first..].iter().copied().max().unwrap_or(1);
        let bars: String = self.resolutions[first..]
            .iter()
            .map(|height| char::from_u32(0x2581 + 7 * height / most.max(1)).unwrap_or(' '))
            .collect();
        if std::io::stdout().is_terminal() {
            // back to the top left, and clear
            print!("\x1b[H\x1b[2J");
        }
        println!(
            "provider    {} {}",
            stats.get::<&str>("provider")?,
            stats.get::<&str>("precision")?
        );
        println!(
            "frames      {} a second, {} dropped",
            frames - self.frames,
            dropped - self.dropped
        );
        println!("age         {} ms at most", oldest.as_millis());
        println!(
            "network     {}x{height} in {:.0?} ({})",
            stats.get::<u32>("network-width")?,
            Duration::from_nanos(stats.get("inference-time-p50")?),
            self.reason
        );
        println!("resolution  {bars}");
        (self.frames, self.dropped) = (frames, dropped);
        Ok(())
    }
}
