//! From nothing to the first depth map, and what memory that takes. `benches/run --only start` runs it, one process for
//! each sample, with the ONNX Runtime that `ORT_DYLIB_PATH` names:
//!
//! ```text
//! cargo bench --bench start -- MODEL|builtin RESOLUTION [PROPERTY=VALUE…]
//! ```
//!
//! prints `first` when the first depth frame of 1280×720 NV12 is there, then JSON: seconds since `main` began until the
//! network was loaded and until that frame, bytes that the process held before, with the network loaded and at most
//! until then, and at most at all, and what the element's `stats` say of itself.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use gst::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// When the network was loaded.
#[derive(Clone, Copy, Default)]
struct Loaded {
    seconds: f64,
    kept: u64,
    peak: u64,
}

fn main() -> Result<()> {
    let start = Instant::now();
    // cargo's own comes first or last
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let [model, resolution, properties @ ..] = &arguments[..] else {
        println!("usage: start MODEL|builtin RESOLUTION [PROPERTY=VALUE…]; benches/run runs it");
        return Ok(());
    };
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    let model = match model.as_str() {
        "builtin" => String::new(),
        path => format!("model-file=\"{path}\""),
    };
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format=NV12,width=1280,height=720,framerate=30/1 \
         ! depthanything name=depth {model} resolution={resolution} {} ! appsink name=sink sync=false",
        properties.join(" "),
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.downcast::<gst_app::AppSink>().ok())
        .ok_or("no appsink")?;
    let loaded = Arc::<Mutex<Option<Loaded>>>::default();
    let (bus, tells) = (pipeline.bus().ok_or("no bus")?, Arc::clone(&loaded));
    bus.set_sync_handler(move |_, message| {
        let stage = message
            .structure()
            .filter(|structure| structure.name() == "depthanything-engine")
            .and_then(|structure| structure.get::<String>("stage").ok());
        if stage.as_deref() == Some("ready")
            && let Ok(mut loaded) = tells.lock()
        {
            loaded.get_or_insert(Loaded {
                seconds: start.elapsed().as_secs_f64(),
                kept: memory("VmRSS:"),
                peak: memory("VmHWM:"),
            });
        }
        gst::BusSyncReply::Pass
    });
    let before = memory("VmRSS:");
    pipeline.set_state(gst::State::Playing)?;
    if sink.pull_sample().is_err() {
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        pipeline.set_state(gst::State::Null)?;
        let words = match error.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().to_string(),
            _ => "nobody says why".to_owned(),
        };
        return Err(format!("no frame: {words}").into());
    }
    let first = start.elapsed().as_secs_f64();
    println!("first");
    let stats: gst::Structure = pipeline
        .by_name("depth")
        .ok_or("no depth")?
        .property("stats");
    let text = |field: &str| stats.get::<String>(field).unwrap_or_default();
    let loaded = loaded.lock().map_err(|_| "poisoned")?.unwrap_or_default();
    let report = serde_json::json!({
        "loaded": loaded.seconds,
        "first": first,
        "before": before,
        "kept": loaded.kept,
        "peak_at_load": loaded.peak,
        "peak": memory("VmHWM:"),
        "provider": text("provider"),
        "precision": text("precision"),
    });
    pipeline.set_state(gst::State::Null)?;
    println!("{report}");
    Ok(())
}

/// Memory of this process by its name in the system's list, in bytes; 0 where the system does not tell.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
        .and_then(|kilobytes| kilobytes.trim().parse().ok())
        .map_or(0, |kilobytes: u64| 1024 * kilobytes)
}
