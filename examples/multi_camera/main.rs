//! Many cameras, one network: a mosaic of coloured depth, 16-bit recordings, and cameras that may come and go.
//!
//! ```sh
//! cargo run --release --example multi_camera -- door=rtsp://10.0.0.7/live yard=/dev/video0 --record recordings
//! ```
//!
//! Each camera has a pipeline of its own (`camera.rs`), so that the loss of one is nothing to the others; all share one
//! network. `mosaic.rs` shows them in one picture, `recorder.rs` writes their depth to disk, `metrics.rs` serves
//! their figures.

mod camera;
#[path = "../common/link_video.rs"]
mod link_video;
mod metrics;
mod mosaic;
#[path = "../common/properties.rs"]
mod properties;
mod recorder;
mod source;
#[path = "../common/stalled.rs"]
mod stalled;

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use camera::{Camera, Condition, Options};
use clap::Parser;
use mosaic::Mosaic;
use source::Source;

/// Depth of many cameras at once, by one network.
///
/// A camera that is lost is tried again, sooner at first and later then; the others go on. Its name is in every message,
/// on the picture and in the recordings. Ctrl-C ends it, with whole recordings.
#[derive(Parser)]
#[command(name = "multi_camera")]
struct Arguments {
    /// A camera: rtsp://… or any other URI, a device (/dev/video0), a file, `test`, or a piece of pipeline
    /// ("libcamerasrc ! videoconvert"). NAME=SOURCE gives it a name, of letters, digits, - and _. Without any: four test
    /// pictures.
    #[arg(value_name = "[NAME=]SOURCE")]
    sources: Vec<String>,
    /// More cameras from a file, [NAME=]SOURCE one a line; # begins a comment. Other users can read the command line of
    /// a process, and with it a camera's password, but not this file if it is yours alone.
    #[arg(long, value_name = "FILE")]
    cameras: Option<PathBuf>,
    /// What shows the mosaic: a piece of pipeline.
    #[arg(long, default_value = "autovideosink")]
    sink: String,
    /// Show nothing: for a machine without a screen.
    #[arg(long, conflicts_with = "sink")]
    no_mosaic: bool,
    /// Record depth into this folder: FOLDER/NAME/START.mkv (all 16 bits, FFV1) and START.csv, which says what each
    /// frame's samples mean.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Length of a recorded file.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds)]
    segment: Duration,
    /// Delete a camera's recordings that are older; without it none is deleted.
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    keep: Option<Duration>,
    /// Size of the depth frames: on the mosaic and in recordings.
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "480x270", value_parser = size)]
    size: (u32, u32),
    /// A camera that gives no frame for so long is lost.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// How long to wait before a lost camera is tried again; twice as long each time that it is lost anew, up to
    /// --retry-max.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    retry: Duration,
    /// The longest wait.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    retry_max: Duration,
    /// Files begin again at their end.
    #[arg(long = "loop")]
    repeat: bool,
    /// Print figures every so many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    report: Duration,
    /// Serve the cameras' figures for Prometheus, at http://127.0.0.1:PORT/metrics.
    #[arg(long, value_name = "PORT")]
    metrics: Option<u16>,
    /// A property of depthanything, for all cameras, as --set model-file=model.onnx. May be given several times.
    /// resolution=252 and min-resolution=126 are set first.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    properties: Vec<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "not a number of seconds above 0".to_owned();
    let value = text.parse::<f64>().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(wrong()),
    }
}

fn hours(text: &str) -> Result<Duration, String> {
    let value = text.parse::<f64>().ok();
    let duration = value.and_then(|value| Duration::try_from_secs_f64(value * 3600.0).ok());
    duration
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a number of hours above 0".to_owned())
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?))
    });
    sides
        .filter(|(width, height)| (16..=8192).contains(width) && (16..=8192).contains(height))
        .ok_or_else(|| "not a size as 480x270, of sides from 16 to 8192".to_owned())
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let mut texts = arguments.sources;
    if let Some(path) = &arguments.cameras {
        let file = std::fs::read_to_string(path)
            .map_err(|error| format!("--cameras {}: {error}", path.display()))?;
        texts.extend(listed(&file));
    }
    let sources = sources(texts)?;
    gst::init()?;
    // the installed plugin where there is one
    if gst::ElementFactory::find("depthanything").is_none() {
        gstdepthanything::plugin_register_static()?;
    }
    let needs = sources.iter().flat_map(|source| source.needs());
    let recorder = recorder::NEEDS
        .iter()
        .filter(|_| arguments.record.is_some());
    let mosaic = mosaic::NEEDS.iter().filter(|(name, _)| {
        !arguments.no_mosaic && (*name != "autovideosink" || arguments.sink.contains(name))
    });
    for (element, package) in needs.chain(recorder).chain(mosaic) {
        need(element, package)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let interrupted = stop.clone();
    ctrlc::set_handler(move || interrupted.store(true, Relaxed))?;

    let mosaic = match arguments.no_mosaic {
        true => None,
        false => {
            let texts = gst::ElementFactory::find(mosaic::TEXT.0).is_some();
            if !texts {
                eprintln!(
                    "no figures on the picture: GStreamer's element {} is missing (apt install {})",
                    mosaic::TEXT.0,
                    mosaic::TEXT.1
                );
            }
            let mosaic = Mosaic::new(sources.len(), arguments.size, &arguments.sink, texts)?;
            mosaic.play();
            Some(mosaic)
        }
    };
    let defaults = ["resolution=252", "min-resolution=126"].map(str::to_owned);
    let options = Options {
        properties: defaults.into_iter().chain(arguments.properties).collect(),
        size: arguments.size,
        timeout: arguments.timeout,
        retry: (arguments.retry, arguments.retry_max.max(arguments.retry)),
        repeat: arguments.repeat,
        recording: arguments.record.map(|folder| recorder::Settings {
            folder,
            length: arguments.segment,
            keep: arguments.keep,
        }),
    };
    let cameras: Vec<_> = sources
        .into_iter()
        .enumerate()
        .map(|(index, source)| {
            let tile = mosaic.as_ref().map(|mosaic| mosaic.tile(index));
            Arc::new(Camera::new(source, options.clone(), tile))
        })
        .collect();
    if let Some(port) = arguments.metrics {
        metrics::serve(port, cameras.clone())?;
    }
    let threads: Vec<_> = cameras
        .iter()
        .map(|camera| {
            let (camera, stop) = (camera.clone(), stop.clone());
            std::thread::spawn(move || camera.run(&stop))
        })
        .collect();

    let result = watch(&cameras, mosaic.as_ref(), arguments.report, &stop);
    stop.store(true, Relaxed);
    // a source that does not let go is not waited for
    let end = Instant::now() + Duration::from_secs(10);
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    result?;
    let failed = |camera: &Arc<Camera>| matches!(camera.condition(), Condition::Failed(_));
    Ok(match cameras.iter().any(failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// The lines of a file of cameras.
fn listed(file: &str) -> impl Iterator<Item = String> {
    let lines = file.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
}

/// The cameras that are asked for.
fn sources(mut texts: Vec<String>) -> Result<Vec<Source>, String> {
    if texts.is_empty() {
        texts = vec!["test".to_owned(); 4];
    }
    let sources: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| Source::parse(text, index))
        .collect();
    let mut names = BTreeSet::new();
    for source in &sources {
        if !names.insert(&source.name) {
            return Err(format!("two cameras are called {}", source.name));
        }
        // a camera may be away for now; a file that is not there is most likely a slip
        if let Some(file) = source.file().filter(|file| !file.is_file()) {
            return Err(format!(
                "{}: there is no file {}",
                source.name,
                file.display()
            ));
        }
    }
    Ok(sources)
}

fn need(element: &str, package: &str) -> Result<(), String> {
    match gst::ElementFactory::find(element) {
        Some(_) => Ok(()),
        None => Err(format!(
            "GStreamer's element {element} is missing; on Debian and Ubuntu: apt install {package}"
        )),
    }
}

/// Shows figures until `stop`, until there is no camera left, or until the mosaic ends.
fn watch(
    cameras: &[Arc<Camera>],
    mosaic: Option<&Mosaic>,
    report: Duration,
    stop: &AtomicBool,
) -> Result<(), String> {
    let mut counts: Vec<_> = cameras.iter().map(|_| Rate::new()).collect();
    let (mut shown, mut printed) = (Instant::now(), Instant::now());
    while !stop.load(Relaxed) {
        let over = |camera: &Arc<Camera>| {
            matches!(camera.condition(), Condition::Ended | Condition::Failed(_))
        };
        if cameras.iter().all(over) {
            return Ok(());
        }
        if let Some(trouble) = mosaic.and_then(Mosaic::trouble) {
            return Err(format!(
                "the mosaic ended: {trouble} (--no-mosaic does without)"
            ));
        }
        if shown.elapsed() >= Duration::from_secs(1) {
            let print = printed.elapsed() >= report;
            if print {
                printed = Instant::now();
            }
            shown = Instant::now();
            for (index, (camera, rate)) in cameras.iter().zip(&mut counts).enumerate() {
                let line = line(camera, rate);
                if print {
                    println!("{line}");
                }
                if let Some(mosaic) = mosaic {
                    mosaic.write(index, &line);
                    if !matches!(camera.condition(), Condition::Playing) {
                        mosaic.clear(index);
                    }
                }
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Frames a second, from counts that are looked at now and then.
struct Rate {
    at: Instant,
    counts: [u64; 2],
}

impl Rate {
    fn new() -> Self {
        Self {
            at: Instant::now(),
            counts: [0; 2],
        }
    }

    fn of(&mut self, counts: [u64; 2]) -> [f64; 2] {
        let elapsed = self.at.elapsed().as_secs_f64().max(1e-3);
        let rate = |index: usize| counts[index].saturating_sub(self.counts[index]) as f64 / elapsed;
        let rates = [rate(0), rate(1)];
        *self = Self {
            at: Instant::now(),
            counts,
        };
        rates
    }
}

/// How a camera is doing, in one line.
fn line(camera: &Camera, rate: &mut Rate) -> String {
    let name = &camera.source.name;
    let counts = [&camera.depths, &camera.frames].map(|count| count.load(Relaxed));
    let [depths, frames] = rate.of(counts);
    let lost = camera.losses.load(Relaxed);
    let text = match camera.condition() {
        Condition::Connecting => "connecting".to_owned(),
        Condition::Ended => "at its end".to_owned(),
        Condition::Failed(reason) => format!("can't be used: {reason}"),
        Condition::Lost { reason, again } => {
            let wait = again.saturating_duration_since(Instant::now());
            format!(
                "lost: {reason}; again in {:.0} s",
                wait.as_secs_f32().ceil()
            )
        }
        Condition::Playing => {
            let mut text = format!("{depths:.1} of {frames:.1} fps");
            if let Some(stats) = camera.stats() {
                let number = |name: &str| stats.get::<u32>(name).unwrap_or_default();
                let inference = stats.get("inference-time-p50").map(Duration::from_nanos);
                text += &format!(
                    ", {}x{} in {:.0?}, shared by {}",
                    number("network-width"),
                    number("network-height"),
                    inference.unwrap_or_default(),
                    number("shared-by"),
                );
            }
            text
        }
    };
    match lost {
        0 => format!("{name}: {text}"),
        1 => format!("{name}: {text}, lost once"),
        _ => format!("{name}: {text}, lost {lost} times"),
    }
}
