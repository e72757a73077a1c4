//! Writes frames with several threads, and the journal in the film's order.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use gstdepthanything::geometry::Size;

use crate::Format;
use crate::exr::{self, Head};
use crate::failure::{Failure, Result};
use crate::journal::{Journal, Row};

/// One depth frame.
pub(crate) struct Frame {
    /// In the source.
    pub(crate) number: u64,
    pub(crate) size: Size,
    pub(crate) samples: Vec<u16>,
    pub(crate) head: Head,
    pub(crate) row: Row,
}

/// How the files of frames are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    folder: PathBuf,
    /// Before the number.
    before: String,
    digits: usize,
    /// Behind it.
    after: String,
}

impl Names {
    /// Of `pattern`, such as `depth_%06d`, in `folder`.
    pub(crate) fn new(folder: &Path, pattern: &str, format: Format) -> Result<Self> {
        let wrong =
            || format!("--name {pattern} is no name with one %d or %04d in it, and no folder");
        let extension = if format == Format::Exr {
            ".exr"
        } else {
            ".png"
        };
        let (before, digits, after) = number_place(pattern).ok_or_else(wrong)?;
        if pattern.contains('/') || number_place(after).is_some() || before.starts_with('.') {
            return Err(wrong().into());
        }
        // with the extension or without
        let after = after.strip_suffix(extension).unwrap_or(after);
        Ok(Self {
            folder: folder.to_owned(),
            before: before.to_owned(),
            digits,
            after: format!("{after}{extension}"),
        })
    }

    /// The file of a frame.
    pub(crate) fn path(&self, number: u64) -> PathBuf {
        let Self {
            before,
            digits,
            after,
            ..
        } = self;
        self.folder
            .join(format!("{before}{number:0digits$}{after}"))
    }
}

/// What stands before and behind the place of a number, and how many digits that has at least: `%d`, `%04d` or `####`.
pub(crate) fn number_place(pattern: &str) -> Option<(&str, usize, &str)> {
    if let Some((before, rest)) = pattern.split_once('#') {
        let after = rest.trim_start_matches('#');
        return Some((before, 1 + rest.len() - after.len(), after));
    }
    for (place, _) in pattern.match_indices('%') {
        let rest = &pattern[place + 1..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (width, rest) = rest.split_at(digits);
        let Some(after) = rest.strip_prefix('d') else {
            continue;
        };
        let width = match width {
            "" => 1,
            _ => width
                .strip_prefix('0')?
                .parse()
                .ok()
                .filter(|&width| width <= 20)?,
        };
        return Some((&pattern[..place], width, after));
    }
    None
}

/// A frame that is whole and its file's length; none of a frame that there is not.
type Written = Option<(Row, u64)>;
/// A frame's place in what is written, its number, and what became of it.
type Outcome = (u64, u64, Result<Written>);

/// Threads at work on the frames of a folder.
pub(crate) struct Writers {
    folder: PathBuf,
    frames: Option<SyncSender<(u64, Frame)>>,
    outcomes: Receiver<Outcome>,
    threads: Vec<JoinHandle<()>>,
    /// Places that were given out.
    taken: u64,
    /// Places that are written down.
    noted: u64,
    /// Whole, but one before is not yet.
    waiting: BTreeMap<u64, (u64, Written)>,
}

impl Writers {
    /// `threads` of them.
    pub(crate) fn new(names: &Names, format: Format, threads: usize) -> Self {
        let (frames, queue) = sync_channel::<(u64, Frame)>(2 * threads);
        let queue = Arc::new(Mutex::new(queue));
        let (done, outcomes) = std::sync::mpsc::channel();
        let threads = (0..threads)
            .map(|_| {
                let (queue, done) = (queue.clone(), done.clone());
                let names = names.clone();
                std::thread::spawn(move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((place, frame)) = next else { return };
                        let written = write(&names, format, &frame);
                        let outcome = written.map(|bytes| Some((frame.row, bytes)));
                        if done.send((place, frame.number, outcome)).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        Self {
            folder: names.folder.clone(),
            frames: Some(frames),
            outcomes,
            threads,
            taken: 0,
            noted: 0,
            waiting: BTreeMap::new(),
        }
    }

    /// Hands a frame on, waiting while all are busy, and writes down those that are whole.
    pub(crate) fn push(&mut self, frame: Frame, journal: &mut Journal) -> Result<()> {
        if let Some(frames) = &self.frames {
            frames
                .send((self.taken, frame))
                .map_err(|_| Failure::again("the writers have ended"))?;
            self.taken += 1;
        }
        self.take(journal)
    }

    /// Notes a frame that the decoder did not give.
    pub(crate) fn skip(&mut self, number: u64, journal: &mut Journal) -> Result<()> {
        self.waiting.insert(self.taken, (number, None));
        self.taken += 1;
        self.take(journal)
    }

    /// Waits for all frames.
    pub(crate) fn finish(&mut self, journal: &mut Journal) -> Result<()> {
        drop(self.frames.take());
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                result = Err(Failure::never("a thread that writes frames has failed"));
            }
        }
        // frames after one that failed are whole too, and are made again all the same
        result.and(self.take(journal))
    }

    /// Writes down the frames that are whole, up to the first that is not.
    fn take(&mut self, journal: &mut Journal) -> Result<()> {
        let mut result = Ok(());
        while let Ok((place, number, outcome)) = self.outcomes.try_recv() {
            match outcome {
                Ok(written) => {
                    self.waiting.insert(place, (number, written));
                }
                Err(failure) => result = result.and(Err(failure)),
            }
        }
        if self.waiting.contains_key(&self.noted) {
            // their names too are on the disk before they are written down
            sync_folder(&self.folder.join("frame"))?;
        }
        while let Some((number, written)) = self.waiting.remove(&self.noted) {
            match written {
                Some((row, bytes)) => journal.add(number, &row, bytes)?,
                None => journal.add_missing(number)?,
            }
            self.noted += 1;
        }
        result
    }
}

/// Waits until the name of a file is on the disk, not only what is in it.
pub(crate) fn sync_folder(file: &Path) -> Result<()> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => Ok(()),
        // network file systems that know no such thing
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(Failure::writing(folder, &error)),
    }
}

/// Writes a frame and waits until it is on the disk; the length of its file.
fn write(names: &Names, format: Format, frame: &Frame) -> Result<u64> {
    let path = names.path(frame.number);
    let unfinished = path.with_extension("part");
    let written = match format {
        Format::Exr => exr::write(
            &unfinished,
            frame.size,
            &frame.samples,
            &frame.row.meta,
            &frame.head,
        ),
        _ => write_png(&unfinished, frame),
    };
    let on_disk = || {
        let file = File::open(&unfinished)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        fs::rename(&unfinished, &path)?;
        Ok(bytes)
    };
    written
        .and_then(|()| on_disk().map_err(|error: std::io::Error| error.to_string()))
        .map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            Failure::writing(&path, &error)
        })
}

fn write_png(path: &Path, frame: &Frame) -> std::result::Result<(), String> {
    use image::ImageEncoder;
    let mut file = BufWriter::new(File::create(path).map_err(|error| error.to_string())?);
    let bytes: Vec<u8> = frame
        .samples
        .iter()
        .flat_map(|sample| sample.to_ne_bytes())
        .collect();
    image::codecs::png::PngEncoder::new(&mut file)
        .write_image(
            &bytes,
            frame.size.width,
            frame.size.height,
            image::ExtendedColorType::L16,
        )
        .map_err(|error| error.to_string())?;
    file.flush().map_err(|error| error.to_string())
}
