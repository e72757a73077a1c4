//! `frames.csv`: what was done, in the order of the film. It is what a later run goes on from.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use gstdepthanything::depth_meta::DepthMeta;

/// First line of the table.
const HEAD: &str = "frame,pts_ns,duration_ns,scale,offset,unit,scene,network_width,network_height";
/// Begins the line that says with what settings the frames were made.
const SETTINGS: &str = "# depth_export ";
/// The last line of a film that is complete.
const COMPLETE: &str = "# complete";

/// What is known of a frame but its samples.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) pts: Option<gst::ClockTime>,
    pub(crate) duration: Option<gst::ClockTime>,
    pub(crate) meta: DepthMeta,
}

/// The open table.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Frames that are done and written down.
    done: u64,
    complete: bool,
}

impl Journal {
    /// Goes on with the table at `path`, or begins it. `settings` must be those it was begun with.
    pub(crate) fn open(path: &Path, settings: &str) -> Result<Self, Box<dyn Error>> {
        let failed = |error| cannot_write(path, &error);
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        // a line without its end was being written when the power or the disk ran out
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let (begun, _head) = (lines.next(), lines.next());
        let rows: Vec<_> = lines.collect();
        let complete = rows.last() == Some(&COMPLETE);
        let done = rows.len() as u64 - u64::from(complete);
        // where no frame was done, other settings do no harm
        if let Some(begun) = begun
            && done > 0
            && begun != format!("{SETTINGS}{settings}")
        {
            let begun = begun.strip_prefix(SETTINGS).unwrap_or("something else");
            return Err(format!(
                "{} was begun with {begun}, and this is {settings}: write to another place, or remove it",
                path.display()
            )
            .into());
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        let kept = if done > 0 { whole as u64 } else { 0 };
        file.set_len(kept).map_err(failed)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            done,
            complete: complete && done > 0,
        };
        if done == 0 {
            journal.line(&format!("{SETTINGS}{settings}\n{HEAD}"))?;
        }
        Ok(journal)
    }

    /// Number of the first frame that is not done.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Whether the film is done to its end.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Writes down the next frame, whose file is whole.
    pub(crate) fn add(&mut self, row: &Row) -> Result<(), Box<dyn Error>> {
        let time = |time: Option<gst::ClockTime>| {
            time.map(|t| t.nseconds().to_string()).unwrap_or_default()
        };
        let meta = &row.meta;
        let line = format!(
            "{},{},{},{:e},{:e},{},{},{},{}",
            self.done,
            time(row.pts),
            time(row.duration),
            meta.scale,
            meta.offset,
            meta.unit.as_str(),
            meta.scene,
            meta.network.width,
            meta.network.height
        );
        self.line(&line)?;
        self.done += 1;
        Ok(())
    }

    /// The film is done.
    pub(crate) fn complete(&mut self) -> Result<(), Box<dyn Error>> {
        self.complete = true;
        self.line(COMPLETE)
    }

    fn line(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        // in one go, so that a line is whole or has no end
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|error| cannot_write(&self.path, &error))
    }
}

/// What to say when something can't be written.
pub(crate) fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> Box<dyn Error> {
    format!("can't write {}: {error}", path.display()).into()
}
