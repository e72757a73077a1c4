//! One film on its way: decoder, network, writers.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use gst::prelude::*;
use gstdepthanything::depth_meta::DepthMeta;
use gstdepthanything::geometry::Size;
use indicatif::{ProgressBar, ProgressStyle};

use crate::exr::Head;
use crate::frames::{Frame, Writers};
use crate::journal::{Journal, Row, cannot_write};
use crate::link_video::link_video;
use crate::shots::{self, Shot};
use crate::{Arguments, Format};

/// How a run ended without an error.
pub(crate) enum End {
    Done,
    Interrupted,
}

/// Where things are written.
struct Places {
    /// Of a sequence.
    folder: Option<PathBuf>,
    journal: PathBuf,
    /// Of a film that is not yet whole.
    unfinished: PathBuf,
    /// The range of each shot, where that is locked.
    shots: PathBuf,
}

impl Places {
    fn new(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        let out = &arguments.out;
        let beside = |extension: &str| {
            let mut name = out.file_name().unwrap_or_default().to_owned();
            name.push(extension);
            out.with_file_name(name)
        };
        if arguments.format == Format::Ffv1 {
            if out.is_dir() {
                return Err(
                    format!("{} is a folder: name the film to write", out.display()).into(),
                );
            }
            let places = Self {
                folder: None,
                journal: beside(".csv"),
                unfinished: beside(".part"),
                shots: beside(".shots.csv"),
            };
            // without its film a journal says nothing
            if !out.exists() {
                let _ = fs::remove_file(&places.journal);
            }
            return Ok(places);
        }
        fs::create_dir_all(out)
            .map_err(|error| format!("can't make the folder {}: {error}", out.display()))?;
        Ok(Self {
            folder: Some(out.clone()),
            journal: out.join("frames.csv"),
            unfinished: PathBuf::new(),
            shots: out.join("shots.csv"),
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<End, Box<dyn Error>> {
    if !arguments.film.is_file() {
        return Err(format!("there is no file {}", arguments.film.display()).into());
    }
    gst::init()?;
    // the installed plugin where there is one
    if gst::ElementFactory::find("depthanything").is_none() {
        gstdepthanything::plugin_register_static()?;
    }
    let settings = arguments.settings()?;
    let places = Places::new(arguments)?;
    let named: Vec<_> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let named = format!(
        "{:?} of {:?} {}{}",
        arguments.format,
        arguments.film,
        named.join(" "),
        if arguments.locked() { " locked" } else { "" }
    );
    let mut journal = Journal::open(&places.journal, &named)?;
    if journal.is_complete() {
        println!("{} frames, all done before", journal.done());
        return Ok(End::Done);
    }
    let shots = locked(arguments, &places, &settings, journal.done())?;
    let pipeline = pipeline(arguments, arguments.format, &places, &settings)?;
    let _null = Null(&pipeline);
    let result = export(&pipeline, arguments, &places, &shots, &mut journal);
    pipeline.set_state(gst::State::Null)?;
    if places.folder.is_none() {
        return finish_film(result, arguments, &places, &mut journal);
    }
    match result {
        Ok(End::Done) => {
            journal.complete()?;
            println!("{} frames in {}", journal.done(), arguments.out.display());
            Ok(End::Done)
        }
        Ok(End::Interrupted) => {
            eprintln!(
                "{} frames are done; the same command goes on with the next",
                journal.done()
            );
            Ok(End::Interrupted)
        }
        Err(error) => Err(format!(
            "{error}\n{} frames are done and whole; the same command goes on with the next",
            journal.done()
        )
        .into()),
    }
}

/// The range of each shot; those of an earlier run that has `done` frames already.
fn locked(
    arguments: &Arguments,
    places: &Places,
    settings: &[(String, String)],
    done: u64,
) -> Result<Vec<Shot>, Box<dyn Error>> {
    if !arguments.locked() {
        return Ok(Vec::new());
    }
    if done > 0 {
        return shots::load(&places.shots);
    }
    eprintln!("first of two passes: the range of each shot");
    let mut settings = settings.to_vec();
    settings.push(("range".into(), "frame".into()));
    let pipeline = pipeline(arguments, Format::Png, places, &settings)?;
    let _null = Null(&pipeline);
    let shots = shots::survey(&pipeline)?;
    shots::save(&places.shots, &shots)?;
    Ok(shots)
}

/// A film takes its name once it is whole.
fn finish_film(
    result: Result<End, Box<dyn Error>>,
    arguments: &Arguments,
    places: &Places,
    journal: &mut Journal,
) -> Result<End, Box<dyn Error>> {
    if !matches!(result, Ok(End::Done)) {
        let _ = fs::remove_file(&places.unfinished);
        let _ = fs::remove_file(&places.journal);
        return result;
    }
    fs::rename(&places.unfinished, &arguments.out)
        .map_err(|error| cannot_write(&arguments.out, &error))?;
    journal.complete()?;
    println!("{} frames in {}", journal.done(), arguments.out.display());
    result
}

/// Shuts a pipeline down on every way out.
struct Null<'a>(&'a gst::Pipeline);

impl Drop for Null<'_> {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn pipeline(
    arguments: &Arguments,
    format: Format,
    places: &Places,
    settings: &[(String, String)],
) -> Result<gst::Pipeline, Box<dyn Error>> {
    const QUEUE: &str = "queue max-size-buffers=4 max-size-bytes=0 max-size-time=0";
    let film = match format {
        Format::Ffv1 => format!(
            "tee name=maps maps. ! {QUEUE} ! avenc_ffv1 ! matroskamux ! filesink name=file async=false maps. ! {QUEUE} !"
        ),
        _ => String::new(),
    };
    let pipeline = gst::parse::launch(&format!(
        "filesrc name=film ! decodebin name=decoder \
         videoconvert name=video ! videoflip video-direction=auto ! {QUEUE} ! depthanything name=depth ! {film} \
         appsink name=frames sync=false async=false max-buffers=4"
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "not a pipeline")?;
    let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
    element("film")?.set_property("location", &arguments.film);
    if let Some(file) = pipeline.by_name("file") {
        file.set_property("location", &places.unfinished);
    }
    let depth = element("depth")?;
    for (name, value) in settings {
        let property = depth
            .find_property(name)
            .ok_or_else(|| format!("depthanything has no property {name}"))?;
        let value = glib::Value::deserialize_with_pspec(value, &property)
            .map_err(|_| format!("{value} is no value for {name}"))?;
        depth.set_property_from_value(name, &value);
    }
    link_video(&pipeline, &element("decoder")?, &element("video")?)?;
    Ok(pipeline)
}

/// Plays the film to its end, without the frames that are done.
fn export(
    pipeline: &gst::Pipeline,
    arguments: &Arguments,
    places: &Places,
    shots: &[Shot],
    journal: &mut Journal,
) -> Result<End, Box<dyn Error>> {
    let depth = pipeline.by_name("depth").ok_or("no element depth")?;
    let sink = pipeline
        .by_name("frames")
        .and_downcast::<gst_app::AppSink>()
        .ok_or("no appsink")?;
    let first = journal.done();
    let decoded = Arc::new(AtomicU64::new(0));
    let count = decoded.clone();
    let pad = depth.static_pad("sink").ok_or("no sink pad")?;
    let shots = shots.to_vec();
    let target = depth.downgrade();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_none() {
            return gst::PadProbeReturn::Ok;
        }
        let number = count.fetch_add(1, Relaxed);
        // the element reads its range with each frame, in this thread
        let begun = shots.partition_point(|shot| shot.first <= number);
        if let (Some(shot), Some(depth)) = (shots[..begun].last(), target.upgrade())
            && (shot.first == number || number == first)
        {
            shot.apply(&depth);
        }
        if number < first {
            // Drop would do, but GStreamer up to 1.22 complains when Rust has let the buffer go already
            drop(info.take_buffer());
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });

    let stopping = Arc::new(AtomicBool::new(false));
    let (stop, target) = (stopping.clone(), pipeline.downgrade());
    ctrlc::set_handler(move || {
        if stop.swap(true, Relaxed) {
            std::process::exit(130);
        }
        if let Some(pipeline) = target.upgrade() {
            pipeline.send_event(gst::event::Eos::new());
        }
    })?;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if arguments.threads == 0 {
        cores
    } else {
        arguments.threads
    };
    let mut writers = Writers::new(places.folder.as_deref(), arguments.format, threads);
    let started = pipeline.set_state(gst::State::Playing);
    let result = match started {
        Ok(_) => pull(pipeline, &sink, &stopping, &mut writers, journal),
        // the message on the bus says more
        Err(error) => Messages::new(pipeline)
            .and_then(|mut messages| messages.hear())
            .and(Err(error.into())),
    };
    let written = writers.finish(journal);
    let end = result?;
    written?;
    if matches!(end, End::Done) && decoded.load(Relaxed) < first {
        return Err(format!(
            "the film has only {} frames, and {first} were done before: is it another film of that name?",
            decoded.load(Relaxed)
        )
        .into());
    }
    Ok(end)
}

fn pull(
    pipeline: &gst::Pipeline,
    sink: &gst_app::AppSink,
    stopping: &AtomicBool,
    writers: &mut Writers,
    journal: &mut Journal,
) -> Result<End, Box<dyn Error>> {
    let mut progress = Progress::new(journal.done());
    let mut messages = Messages::new(pipeline)?;
    let mut number = journal.done();
    loop {
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(200)) {
            // after Ctrl-C what is under way is written, and no more
            Some(_) if stopping.load(Relaxed) => {}
            Some(sample) => {
                let frame = frame(&sample, number)?;
                progress.tell(pipeline, frame.row.pts, number);
                writers.push(frame, journal)?;
                number += 1;
            }
            None => {
                messages.hear()?;
                if stopping.load(Relaxed) {
                    return Ok(End::Interrupted);
                }
                if messages.ended {
                    return Ok(End::Done);
                }
            }
        }
    }
}

/// What the pipeline has said so far.
pub(crate) struct Messages {
    bus: gst::Bus,
    /// Every sink has had the end of the film.
    pub(crate) ended: bool,
    failure: Option<String>,
}

impl Messages {
    pub(crate) fn new(pipeline: &gst::Pipeline) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            bus: pipeline.bus().ok_or("a pipeline without a bus")?,
            ended: false,
            failure: None,
        })
    }

    /// Hears what is new; the first error ends it.
    pub(crate) fn hear(&mut self) -> Result<(), Box<dyn Error>> {
        while let Some(message) = self.bus.pop() {
            match message.view() {
                gst::MessageView::Eos(_) => self.ended = true,
                gst::MessageView::Error(error) => {
                    let said = error.error().message().to_owned();
                    self.failure.get_or_insert(said);
                }
                _ => {}
            }
        }
        match &self.failure {
            Some(failure) => Err(failure.as_str().into()),
            None => Ok(()),
        }
    }
}

fn frame(sample: &gst::Sample, number: u64) -> Result<Frame, Box<dyn Error>> {
    use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
    let info = VideoInfo::from_caps(sample.caps().ok_or("a frame without caps")?)?;
    let buffer = sample.buffer().ok_or("a sample without a frame")?;
    let depth = VideoFrameRef::from_buffer_ref_readable(buffer, &info)?;
    let of = match info.format() {
        VideoFormat::Gray16Be => u16::from_be_bytes,
        _ => u16::from_le_bytes,
    };
    let width = info.width() as usize;
    let rows = depth
        .plane_data(0)?
        .chunks(depth.plane_stride()[0] as usize);
    let samples = rows
        .take(info.height() as usize)
        .flat_map(|row| row[..2 * width].chunks_exact(2))
        .map(|pair| of([pair[0], pair[1]]))
        .collect();
    Ok(Frame {
        number,
        size: Size::new(info.width(), info.height()),
        samples,
        head: Head::new(&info, buffer),
        row: Row {
            pts: buffer.pts(),
            duration: buffer.duration(),
            meta: DepthMeta::read(buffer).ok_or("a depth frame without GstDepthMeta")?,
        },
    })
}

/// The film's time, on the terminal as a bar, elsewhere as a line each tenth.
pub(crate) struct Progress {
    bar: ProgressBar,
    first: u64,
    started: std::time::Instant,
    tenth: u64,
}

impl Progress {
    pub(crate) fn new(first: u64) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {wide_bar} {percent:>3} %  {msg}  {eta} left");
        Self {
            bar: ProgressBar::new(0)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            first,
            started: std::time::Instant::now(),
            tenth: 0,
        }
    }

    pub(crate) fn tell(
        &mut self,
        pipeline: &gst::Pipeline,
        pts: Option<gst::ClockTime>,
        number: u64,
    ) {
        if self.bar.length() == Some(0)
            && let Some(duration) = pipeline.query_duration::<gst::ClockTime>()
        {
            self.bar.set_length(duration.mseconds());
        }
        let length = self.bar.length().unwrap_or(0);
        let position = pts.map_or(0, gst::ClockTime::mseconds).min(length);
        let rate =
            (number + 1 - self.first) as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let told = format!("{} frames, {rate:.1}/s", number + 1);
        if std::io::stderr().is_terminal() {
            self.bar.set_message(told);
            self.bar.set_position(position);
        } else if length > 0 && position * 10 / length > self.tenth {
            self.tenth = position * 10 / length;
            eprintln!("{:3} %  {told}", self.tenth * 10);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
