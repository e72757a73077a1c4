//! What a frame takes in `depthanything` itself, in a pipeline. `benches/run` runs it, one process for each line of its
//! table, with the ONNX Runtime that `ORT_DYLIB_PATH` names:
//!
//! ```text
//! cargo bench --bench element -- MODEL RESOLUTION FRAMES [PROPERTY=VALUE…]
//! ```
//!
//! prints JSON: milliseconds of each frame after one to warm up, peak memory of the process in bytes, and what the
//! element's `stats` say of itself.

use std::time::Instant;

use gst::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The frames are square, so that the network's sides are both the resolution.
const SIDE: u32 = 1080;

fn main() -> Result<()> {
    // cargo's own comes first or last
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [model, resolution, frames, properties @ ..] = &arguments[..] else {
        println!("usage: element MODEL RESOLUTION FRAMES [PROPERTY=VALUE…]; benches/run runs it");
        return Ok(());
    };
    let frames: usize = frames.parse()?;
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    // one picture again and again, which costs nothing
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=1 pattern=smpte \
         ! video/x-raw,format=NV12,width={SIDE},height={SIDE},framerate=30/1 ! imagefreeze num-buffers={} \
         ! depthanything name=depth model-file=\"{model}\" resolution={resolution} {} \
         ! appsink name=sink sync=false max-buffers=1",
        frames + 1,
        properties.join(" "),
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .ok_or("no appsink")?;
    pipeline.set_state(gst::State::Playing)?;
    let mut arrivals = Vec::with_capacity(frames + 1);
    while sink.pull_sample().is_ok() {
        arrivals.push(Instant::now());
    }
    let error = pipeline.bus().and_then(|bus| {
        bus.pop_filtered(&[gst::MessageType::Error])
            .map(|message| format!("{message:?}"))
    });
    if let Some(error) = error {
        return Err(error.into());
    }
    if arrivals.len() != frames + 1 {
        return Err(format!("{} frames of {}", arrivals.len(), frames + 1).into());
    }
    let stats: gst::Structure = pipeline
        .by_name("depth")
        .ok_or("no depth")?
        .property("stats");
    let times: Vec<f64> = arrivals
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs_f64() * 1e3)
        .collect();
    let text = |field: &str| stats.get::<String>(field).unwrap_or_default();
    let report = serde_json::json!({
        "times": times,
        "peak": peak_memory(),
        "provider": text("provider"),
        "precision": text("precision"),
    });
    pipeline.set_state(gst::State::Null)?;
    println!("{report}");
    Ok(())
}

/// The most memory that the process had at a time, in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .and_then(|kilobytes| kilobytes.trim().parse().ok())
        .map_or(0, |kilobytes: u64| 1024 * kilobytes)
}
