//! 16-bit depth to disk: lossless segments, each with a table of what its samples mean.
//!
//! `FOLDER/CAMERA/2026-01-31T07-45-00Z.mkv` is FFV1 in Matroska. `GstDepthMeta` does not go into files, so
//! `2026-01-31T07-45-00Z.csv` beside it has a row for each of its frames: value = `scale` · sample + `offset`.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gst::prelude::*;
use gstdepthanything::depth_meta::DepthMeta;

/// What the pipeline of a camera gets to record its depth, after a `tee` that is called `maps`. Each frame is a key
/// frame, so that a segment can begin with any.
pub(crate) const DESCRIPTION: &str = "maps. ! queue name=record max-size-buffers=30 max-size-bytes=0 max-size-time=0 \
     ! avenc_ffv1 name=encoder gop-size=1 ! splitmuxsink name=segments muxer=matroskamux";

/// The elements that it takes, with the Debian packages that hold them.
pub(crate) const NEEDS: [(&str, &str); 3] = [
    ("avenc_ffv1", "gstreamer1.0-libav"),
    ("matroskamux", "gstreamer1.0-plugins-good"),
    ("splitmuxsink", "gstreamer1.0-plugins-good"),
];

/// Frames between the encoder's input and the file, at most.
const UNDER_WAY: usize = 256;

/// How recordings are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Holds a folder for each camera.
    pub(crate) folder: PathBuf,
    /// Of a segment.
    pub(crate) length: Duration,
    /// Segments older than this are deleted; `None`: none is.
    pub(crate) keep: Option<Duration>,
}

/// Writes the segments of one camera while it is connected.
pub(crate) struct Recorder {
    state: Arc<Mutex<State>>,
    entry: gst::Pad,
}

struct State {
    folder: PathBuf,
    keep: Option<Duration>,
    /// Rows of frames that are not in the file yet.
    under_way: VecDeque<(gst::ClockTime, String)>,
    /// Time stamps of the first frame: as it came, and as splitmuxsink, which begins at a time of its own, gives it to the
    /// muxer. They stay as far apart.
    first: Option<[gst::ClockTime; 2]>,
    segment: Option<Segment>,
    /// What went wrong with the table; the frames are recorded all the same.
    trouble: Option<String>,
}

struct Segment {
    path: PathBuf,
    /// None when it could not be made.
    table: Option<BufWriter<File>>,
}

impl Recorder {
    /// Sets up what [`DESCRIPTION`] made in `pipeline`.
    ///
    /// # Errors
    /// When the camera's folder can't be made.
    pub(crate) fn new(
        pipeline: &gst::Pipeline,
        settings: &Settings,
        camera: &str,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = settings.folder.join(camera);
        fs::create_dir_all(&folder)
            .map_err(|error| format!("can't make the folder {}: {error}", folder.display()))?;
        let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        let state = Arc::new(Mutex::new(State {
            folder,
            keep: settings.keep,
            under_way: VecDeque::new(),
            first: None,
            segment: None,
            trouble: None,
        }));

        let depth = element("encoder")?.static_pad("sink").ok_or("no pad")?;
        let (rows, target) = (state.clone(), pipeline.downgrade());
        depth.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(buffer), Some(pipeline)) = (info.buffer(), target.upgrade())
                && let Some(pts) = buffer.pts()
            {
                let row = row(buffer, &pipeline, pad);
                let mut state = lock(&rows);
                if state.under_way.len() == UNDER_WAY {
                    state.under_way.pop_front();
                }
                state.under_way.push_back((pts, row));
            }
            gst::PadProbeReturn::Ok
        });

        let segments = element("segments")?;
        let muxer: gst::Element = segments.property("muxer");
        let pad = muxer.sink_pads().pop().ok_or("a muxer without a pad")?;
        let rows = state.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                lock(&rows).written(pts);
            }
            gst::PadProbeReturn::Ok
        });
        let length = u64::try_from(settings.length.as_nanos()).unwrap_or(u64::MAX);
        segments.set_property("max-size-time", length);
        let names = state.clone();
        segments.connect("format-location-full", false, move |_| {
            let path = lock(&names).begin(SystemTime::now());
            Some(path.to_string_lossy().as_ref().to_value())
        });
        let entry = element("record")?.static_pad("sink").ok_or("no pad")?;
        Ok(Self { state, entry })
    }

    /// What went wrong since this was asked last, without ending the recording.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.state).trouble.take()
    }

    /// Listens to what the camera's pipeline says.
    pub(crate) fn hear(&self, message: &gst::MessageRef) {
        let closed = message
            .structure()
            .filter(|it| it.name() == "splitmuxsink-fragment-closed")
            .and_then(|it| it.get::<String>("location").ok());
        let mut state = lock(&self.state);
        // the next may be open already
        let open = state.segment.as_ref().map(|segment| &segment.path);
        if closed.is_some_and(|closed| open.is_some_and(|open| open.to_string_lossy() == closed)) {
            state.segment = None;
        }
    }

    /// Ends the segment that is open, so that it is a whole file, before the camera's pipeline is shut down.
    pub(crate) fn finish(&self, bus: &gst::Bus) {
        if self.is_whole() {
            return;
        }
        self.entry.send_event(gst::event::Eos::new());
        let end = Instant::now() + Duration::from_secs(3);
        while let Some(left) = end.checked_duration_since(Instant::now())
            && !self.is_whole()
        {
            let left = gst::ClockTime::try_from(left).unwrap_or_default();
            if let Some(message) = bus.timed_pop_filtered(left, &[gst::MessageType::Element]) {
                self.hear(&message);
            }
        }
    }

    /// No segment is open.
    fn is_whole(&self) -> bool {
        lock(&self.state).segment.is_none()
    }
}

impl State {
    /// A new segment, that begins `now`. Its path.
    fn begin(&mut self, now: SystemTime) -> PathBuf {
        let path = free(&self.folder, &timestamp(now, '-'));
        let table = File::create(path.with_extension("csv"));
        if let Err(error) = &table {
            self.fail(&path.with_extension("csv"), error);
        }
        self.segment = Some(Segment {
            path: path.clone(),
            table: table.ok().map(BufWriter::new),
        });
        self.write("time,captured,scale,offset,unit,scene,repeated,model\n");
        if let Some(keep) = self.keep
            && let Err(error) = prune(&self.folder, now, keep)
        {
            self.trouble = Some(format!(
                "can't delete old segments in {}: {error}",
                self.folder.display()
            ));
        }
        path
    }

    /// The frame that the muxer got with this time stamp is in the segment that is open.
    fn written(&mut self, pts: gst::ClockTime) {
        while let Some((came, row)) = self.under_way.pop_front() {
            let [first, begin] = *self.first.get_or_insert([came, pts]);
            if came.checked_sub(first) == pts.checked_sub(begin) {
                self.write(&row);
                break;
            }
        }
    }

    fn write(&mut self, row: &str) {
        let Some(Segment { path, table }) = &mut self.segment else {
            return;
        };
        let Some(file) = table else {
            return;
        };
        // whole rows, whatever happens to the process
        let written = file.write_all(row.as_bytes());
        if let Err(error) = written.and_then(|()| file.flush()) {
            *table = None;
            let path = path.with_extension("csv");
            self.fail(&path, &error);
        }
    }

    fn fail(&mut self, path: &Path, error: &io::Error) {
        self.trouble = Some(format!("can't write {}: {error}", path.display()));
    }
}

/// A path for a segment that begins at `time`, which no other has.
fn free(folder: &Path, time: &str) -> PathBuf {
    let path = |suffix: &str| folder.join(format!("{time}{suffix}.mkv"));
    let more = (1..).map(|number| path(&format!("-{number}")));
    std::iter::once(path(""))
        .chain(more)
        .find(|path| !path.exists())
        .unwrap_or_else(|| path(""))
}

/// Deletes the segments in `folder` that were last written to longer than `keep` before `now`, with their tables.
fn prune(folder: &Path, now: SystemTime, keep: Duration) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let ours = path
            .extension()
            .is_some_and(|it| it == "mkv" || it == "csv");
        let age = now.duration_since(entry.metadata()?.modified()?);
        if ours && age.is_ok_and(|age| age > keep) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A row of the table, for a frame that is at this pad.
fn row(buffer: &gst::BufferRef, pipeline: &gst::Pipeline, pad: &gst::Pad) -> String {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    // the file's time stamps are running times
    let running = segment.and_then(|event| {
        let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
        segment.to_running_time(buffer.pts()?)
    });
    let time = running.unwrap_or_default();
    let age = pipeline
        .current_running_time()
        .and_then(|now| now.checked_sub(time));
    let captured = SystemTime::now() - age.map_or(Duration::ZERO, Duration::from);
    let seconds = format!("{}.{:09}", time.seconds(), time.nseconds() % 1_000_000_000);
    let captured = timestamp(captured, ':');
    match DepthMeta::read(buffer) {
        Some(meta) => format!(
            "{seconds},{captured},{:e},{:e},{},{},{},\"{}\"\n",
            meta.scale,
            meta.offset,
            meta.unit.as_str(),
            meta.scene,
            meta.repeated,
            meta.model.replace('"', "\"\"").replace(['\n', '\r'], " ")
        ),
        None => format!("{seconds},{captured},,,,,,\n"),
    }
}

/// As 2026-01-31T07:45:00.250Z, or for file names without parts of a second, with another mark between hours and
/// minutes.
fn timestamp(time: SystemTime, mark: char) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let Ok(date) = glib::DateTime::from_unix_utc(seconds) else {
        return format!("{seconds}");
    };
    let (year, month, day) = date.ymd();
    let clock = [date.hour(), date.minute(), date.second()];
    let [hour, minute, second] = clock;
    let rest = match mark {
        ':' => format!(".{:03}", since.subsec_millis()),
        _ => String::new(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}{mark}{minute:02}{mark}{second:02}{rest}Z")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // a row that was lost is all that a panic could leave
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_so_that_names_sort() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_769_845_500_250);
        assert_eq!(timestamp(time, ':'), "2026-01-31T07:45:00.250Z");
        assert_eq!(timestamp(time, '-'), "2026-01-31T07-45-00Z");
    }

    #[test]
    fn old_segments_are_deleted_with_their_tables() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for name in ["old.mkv", "old.csv", "notes.txt"] {
            fs::write(file(name), "").unwrap();
        }
        let hour = Duration::from_secs(3600);
        prune(folder.path(), SystemTime::now(), hour).unwrap();
        assert!(file("old.mkv").exists());
        prune(folder.path(), SystemTime::now() + 2 * hour, hour).unwrap();
        assert!(!file("old.mkv").exists() && !file("old.csv").exists());
        assert!(file("notes.txt").exists());
    }

    #[test]
    fn two_segments_of_one_second_have_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let first = free(folder.path(), "t");
        fs::write(&first, "").unwrap();
        assert_ne!(free(folder.path(), "t"), first);
    }
}
