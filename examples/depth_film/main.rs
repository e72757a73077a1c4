//! Turns a video into a 16-bit depth video (FFV1 in Matroska) and a picture of some of its frames beside
//! their coloured depth. `./demo` runs it.
//!
//! ```sh
//! cargo run --release --example depth_film -- video.mp4 out resolution=364
//! ```

mod contact_sheet;
#[path = "../common/decoding.rs"]
mod decoding;
#[path = "../common/link_video.rs"]
mod link_video;
#[path = "../common/orientation.rs"]
mod orientation;
#[path = "../common/properties.rs"]
mod properties;
mod selection;
#[path = "../common/stalled.rs"]
mod stalled;

use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use clap::Parser;
use contact_sheet::ContactSheet;
use decoding::Decoding;
use gst::prelude::*;
use indicatif::{ProgressBar, ProgressStyle};
use link_video::link_video;
use selection::Selection;

/// Makes a depth video of a video, and a picture of six of its frames beside their depth.
#[derive(Parser)]
#[command(name = "depth_film")]
struct Arguments {
    /// The video.
    video: PathBuf,
    /// Folder for FILM-depth.mkv and FILM-depth.png, which is made.
    folder: PathBuf,
    /// Properties of depthanything, such as resolution=252; gst-inspect-1.0 depthanything lists them.
    #[arg(value_name = "PROPERTY=VALUE")]
    properties: Vec<String>,
}

/// Frames in the picture.
const PICTURES: u64 = 6;

fn main() {
    if let Err(error) = run() {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Arguments {
        video,
        folder,
        properties,
    } = Arguments::parse();
    decoding::check(&video)?;
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;

    gst::init()?;
    // the installed plugin where there is one, so that this shows what gst-launch-1.0 will do
    if gst::ElementFactory::find("depthanything").is_none() {
        gstdepthanything::plugin_register_static()?;
    }

    let name = video.file_stem().unwrap_or_default().to_string_lossy();
    let depth_film = folder.join(format!("{name}-depth.mkv"));
    let picture = folder.join(format!("{name}-depth.png"));
    // takes its name once it is whole
    let unfinished = folder.join(format!("{name}-depth.part"));
    let job = Job::new(&video, &unfinished)?;
    for property in &properties {
        properties::set(&job.depth, property)?;
    }
    let sheet = job.run().inspect_err(|_| {
        let _ = std::fs::remove_file(&unfinished);
    })?;
    std::fs::rename(&unfinished, &depth_film)
        .map_err(|error| format!("can't write {}: {error}", depth_film.display()))?;
    sheet.save(&picture)?;
    println!("{}", depth_film.display());
    println!("{}", picture.display());
    Ok(())
}

/// One video on its way.
struct Job {
    pipeline: gst::Pipeline,
    video: PathBuf,
    depth: gst::Element,
    progress: Arc<Progress>,
    sheet: Arc<Mutex<ContactSheet>>,
    /// Frames are thrown away from now on: the user wants to stop.
    stopping: Arc<AtomicBool>,
}

impl Job {
    fn new(video: &Path, depth_film: &Path) -> Result<Self, Box<dyn Error>> {
        // The video's frames wait in `frames` until their depth is there, a few at most.
        let pipeline = gst::parse::launch(
            "filesrc name=file ! decodebin name=decoder \
             videoconvert name=video ! videoflip video-direction=auto ! tee name=split \
             split. ! queue name=frames max-size-buffers=4 max-size-bytes=0 max-size-time=0 \
                ! videoconvert ! video/x-raw,format=RGB ! appsink name=frame sync=false async=false \
             split. ! queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 \
                ! depthanything name=depth ! tee name=maps \
             maps. ! queue max-size-buffers=4 max-size-bytes=0 max-size-time=0 \
                ! avenc_ffv1 ! matroskamux ! filesink name=depth-video async=false \
             maps. ! queue name=depths max-size-buffers=4 max-size-bytes=0 max-size-time=0 \
                ! depthcolorize ! video/x-raw,format=RGB ! appsink name=color sync=false async=false",
        )?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        element("file")?.set_property("location", video);
        element("depth-video")?.set_property("location", depth_film);
        link_video(&pipeline, &element("decoder")?, &element("video")?)?;

        let pad = element("video")?.static_pad("sink").ok_or("no sink pad")?;
        orientation::tell(video, &pad);

        let depth = element("depth")?;
        let progress = Arc::new(Progress::new());
        let stopping = Arc::new(AtomicBool::new(false));
        let selection = Arc::new(Selection::new(PICTURES));
        let sheet = Arc::new(Mutex::new(ContactSheet::default()));

        let pad = |name: &str, pad: &str| {
            let found = element(name)
                .ok()
                .and_then(|element| element.static_pad(pad));
            found.ok_or(format!("{name} has no pad {pad}"))
        };
        let (stop, select) = (stopping.clone(), selection.clone());
        add_probe(&pad("split", "sink")?, move |pad, pts| {
            select.offer(pts, || pad.peer_query_duration::<gst::ClockTime>());
            !stop.load(Relaxed)
        });
        for queue in ["frames", "depths"] {
            let selection = selection.clone();
            add_probe(&pad(queue, "sink")?, move |_, pts| selection.holds(pts));
        }
        let done = progress.clone();
        add_probe(&pad("depth", "src")?, move |pad, pts| {
            done.frame(pts, || pad.query_duration::<gst::ClockTime>());
            true
        });
        for (name, take) in [
            ("frame", ContactSheet::add_frame as contact_sheet::Add),
            ("color", ContactSheet::add_depth),
        ] {
            let sheet = sheet.clone();
            contact_sheet::collect(&element(name)?, sheet, take)?;
        }
        Ok(Self {
            pipeline,
            video: video.to_owned(),
            depth,
            progress,
            sheet,
            stopping,
        })
    }

    /// Plays the video to its end, or to the first Ctrl-C, which leaves a depth video of what was done.
    fn run(self) -> Result<ContactSheet, Box<dyn Error>> {
        let main_loop = glib::MainLoop::new(None, false);
        let failure = Arc::new(OnceLock::new());
        let bus = self.pipeline.bus().ok_or("no bus")?;
        let (quit, fail, progress) = (main_loop.clone(), failure.clone(), self.progress.clone());
        let decoding = Arc::new(Mutex::new(Decoding::of(&self.video)));
        let heard = decoding.clone();
        let hear = move |message: &gst::MessageRef| heard.lock().ok()?.hear(message);
        let watch = bus.add_watch(move |_, message| {
            if let Some(failure) = hear(message) {
                let _ = fail.set(failure);
                quit.quit();
            }
            match message.view() {
                gst::MessageView::Eos(_) => quit.quit(),
                gst::MessageView::Warning(warning) => {
                    progress.say(&format!("warning: {}", warning.error().message()));
                }
                gst::MessageView::Element(message) => {
                    if let Some(line) = message.structure().and_then(in_words) {
                        progress.say(&line);
                    }
                }
                _ => (),
            }
            glib::ControlFlow::Continue
        })?;

        let (stop, pipeline) = (self.stopping.clone(), self.pipeline.downgrade());
        let progress = self.progress.clone();
        ctrlc::set_handler(move || {
            if stop.swap(true, Relaxed) {
                std::process::exit(130);
            }
            progress.say("stopping; once more to give up at once");
            if let Some(pipeline) = pipeline.upgrade() {
                pipeline.send_event(gst::event::Eos::new());
            }
        })?;

        let started = self.pipeline.set_state(gst::State::Playing);
        if started.is_ok() {
            main_loop.run();
        } else if let Some(message) = bus.pop_filtered(&[gst::MessageType::Error])
            && let Some(words) = decoding.lock().ok().and_then(|mut it| it.hear(&message))
        {
            let _ = failure.set(words);
        }
        drop(watch);
        self.pipeline.set_state(gst::State::Null)?;
        if let Some(failure) = failure.get() {
            self.progress.abandon();
            return Err(failure.as_str().into());
        }
        started?;
        self.progress.finish();
        let sheet = self
            .sheet
            .lock()
            .map(|mut sheet| std::mem::take(&mut *sheet));
        let sheet = sheet.map_err(|_| "a frame could not be drawn")?;
        if self.progress.frames.load(Relaxed) == 0 && !self.stopping.load(Relaxed) {
            return Err(
                format!("{} has no frame that can be decoded", self.video.display()).into(),
            );
        }
        Ok(sheet)
    }
}

/// Calls `keep` with the time stamp of each buffer that passes `pad`; drops those that it does not want.
fn add_probe(
    pad: &gst::Pad,
    keep: impl Fn(&gst::Pad, Option<gst::ClockTime>) -> bool + Send + Sync + 'static,
) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        match info.buffer() {
            // Drop would do, but GStreamer up to 1.22 complains when Rust has let the buffer go already
            Some(buffer) if !keep(pad, buffer.pts()) => gst::PadProbeReturn::Handled,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// What the element tells of itself, as a line.
fn in_words(structure: &gst::StructureRef) -> Option<String> {
    let text = |field: &str| structure.get::<String>(field).unwrap_or_default();
    match structure.name().as_str() {
        "depthanything-engine" => {
            let words = ["stage", "provider", "precision"].map(text);
            let mut line = format!("inference: {}", words.join(" ").trim_end());
            if let Ok(seconds) = structure.get::<f64>("seconds") {
                line += &format!(", {seconds:.1} s");
            }
            let reason = text("reason");
            if !reason.is_empty() {
                line += &format!(" ({reason})");
            }
            Some(line)
        }
        "depthanything-resolution" => {
            let side = |field: &str| {
                let uint = structure.get::<u32>(field).ok();
                uint.or_else(|| structure.get::<i32>(field).ok()?.try_into().ok())
            };
            Some(format!(
                "the network sees {}×{} pixels ({})",
                side("width")?,
                side("height")?,
                text("reason")
            ))
        }
        _ => None,
    }
}

/// Frames done, on the terminal as a bar, elsewhere as a line each tenth of the video.
struct Progress {
    bar: ProgressBar,
    started: Instant,
    frames: AtomicU64,
    tenths: AtomicU64,
}

impl Progress {
    fn new() -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {wide_bar} {percent:>3} %  {msg}  {eta} left");
        Self {
            bar: ProgressBar::new(0)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            started: Instant::now(),
            frames: AtomicU64::new(0),
            tenths: AtomicU64::new(0),
        }
    }

    fn frame(
        &self,
        pts: Option<gst::ClockTime>,
        duration: impl FnOnce() -> Option<gst::ClockTime>,
    ) {
        let frames = self.frames.fetch_add(1, Relaxed) + 1;
        if frames == 1 {
            self.bar
                .set_length(duration().map_or(0, gst::ClockTime::mseconds));
        }
        let position = pts.map_or(0, gst::ClockTime::mseconds);
        let length = self.bar.length().unwrap_or(0);
        self.bar
            .set_message(format!("{frames} frames, {:.1}/s", self.rate()));
        self.bar.set_position(position.min(length));
        if !std::io::stderr().is_terminal() && length > 0 {
            let tenths = position * 10 / length;
            if self.tenths.fetch_max(tenths, Relaxed) < tenths {
                eprintln!("{:3} %  {frames} frames, {:.1}/s", tenths * 10, self.rate());
            }
        }
    }

    fn rate(&self) -> f64 {
        self.frames.load(Relaxed) as f64 / self.started.elapsed().as_secs_f64().max(1e-3)
    }

    /// A line above the bar.
    fn say(&self, line: &str) {
        if std::io::stderr().is_terminal() {
            self.bar.println(line);
        } else {
            eprintln!("{line}");
        }
    }

    fn abandon(&self) {
        self.bar.finish_and_clear();
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
        eprintln!(
            "{} frames in {:.1} s, {:.1} per second",
            self.frames.load(Relaxed),
            self.started.elapsed().as_secs_f64(),
            self.rate()
        );
    }
}
