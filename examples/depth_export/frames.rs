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
use crate::journal::{Journal, Row, cannot_write};

/// One depth frame.
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) size: Size,
    pub(crate) samples: Vec<u16>,
    pub(crate) head: Head,
    pub(crate) row: Row,
}

/// What goes wrong comes as words from another thread.
type Outcome = Result<(u64, Row), String>;

/// Threads at work on the frames of a folder.
pub(crate) struct Writers {
    frames: Option<SyncSender<Frame>>,
    outcomes: Receiver<Outcome>,
    threads: Vec<JoinHandle<()>>,
    /// Whole, but one before is not yet.
    waiting: BTreeMap<u64, Row>,
}

impl Writers {
    /// `threads` of them, for frames of `folder`; without one, frames are only written down.
    pub(crate) fn new(folder: Option<&Path>, format: Format, threads: usize) -> Self {
        let (frames, queue) = sync_channel::<Frame>(2 * threads);
        let queue = Arc::new(Mutex::new(queue));
        let (done, outcomes) = std::sync::mpsc::channel();
        let threads = (0..threads)
            .map(|_| {
                let (queue, done) = (queue.clone(), done.clone());
                let folder = folder.map(Path::to_owned);
                std::thread::spawn(move || {
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok(frame) = next else { return };
                        let written = match &folder {
                            Some(folder) => write(folder, format, &frame),
                            None => Ok(()),
                        };
                        let outcome = written.map(|()| (frame.number, frame.row));
                        if done.send(outcome).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        Self {
            frames: Some(frames),
            outcomes,
            threads,
            waiting: BTreeMap::new(),
        }
    }

    /// Hands a frame on, waiting while all are busy, and writes down those that are whole.
    pub(crate) fn push(&mut self, frame: Frame, journal: &mut Journal) -> Result<(), String> {
        if let Some(frames) = &self.frames {
            frames
                .send(frame)
                .map_err(|_| "the writers have ended".to_owned())?;
        }
        while let Ok(outcome) = self.outcomes.try_recv() {
            self.take(outcome, journal)?;
        }
        Ok(())
    }

    /// Waits for all frames.
    pub(crate) fn finish(&mut self, journal: &mut Journal) -> Result<(), String> {
        drop(self.frames.take());
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                result = Err("a writer failed".to_owned());
            }
        }
        while let Ok(outcome) = self.outcomes.try_recv() {
            // frames after one that failed are whole too, and are made again all the same
            let taken = self.take(outcome, journal);
            result = result.and(taken);
        }
        result
    }

    fn take(&mut self, outcome: Outcome, journal: &mut Journal) -> Result<(), String> {
        let (number, row) = outcome?;
        self.waiting.insert(number, row);
        while let Some(row) = self.waiting.remove(&journal.done()) {
            journal.add(&row).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// The file of a frame.
pub(crate) fn path(folder: &Path, format: Format, number: u64) -> PathBuf {
    let extension = if format == Format::Exr { "exr" } else { "png" };
    folder.join(format!("depth_{number:06}.{extension}"))
}

fn write(folder: &Path, format: Format, frame: &Frame) -> Result<(), String> {
    let path = path(folder, format, frame.number);
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
    written
        .and_then(|()| fs::rename(&unfinished, &path).map_err(|error| error.to_string()))
        .map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            cannot_write(&path, &error).to_string()
        })
}

fn write_png(path: &Path, frame: &Frame) -> Result<(), String> {
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
