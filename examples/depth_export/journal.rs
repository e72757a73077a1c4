//! `frames.csv`: what was done, in the order of the film. It is what a later run goes on from. A frame is written down
//! only once it is on the disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::timecode::Timecode;
use gstdepthanything::depth_meta::DepthMeta;

use crate::failure::{Failure, Result};

/// First line of the table.
const HEAD: &str =
    "frame,pts_ns,duration_ns,scale,offset,unit,scene,network_width,network_height,timecode,bytes";
/// Begins the line that says with what settings the frames were made.
const SETTINGS: &str = "# depth_export ";
/// The last line of what is complete.
const COMPLETE: &str = "# complete";
/// In place of the unit: the decoder gave no such frame.
const MISSING: &str = "missing";

/// What is known of a frame but its samples.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// When it is shown, in the source's own time.
    pub(crate) time: Option<gst::ClockTime>,
    pub(crate) duration: Option<gst::ClockTime>,
    /// What the source says.
    pub(crate) timecode: Option<Timecode>,
    pub(crate) meta: DepthMeta,
}

/// A line of the table, as far as a later run needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Number of the frame in the source.
    pub(crate) number: u64,
    /// Length of its file; none of a frame that is missing.
    pub(crate) bytes: Option<u64>,
    pub(crate) scene: u32,
    /// What the samples 0 and 65535 mean.
    pub(crate) ends: [f64; 2],
}

impl Line {
    /// `row`, the line's text, with its scene.
    pub(crate) fn in_text(&self, row: &str) -> String {
        let scene = self.scene.to_string();
        let fields: Vec<_> = row
            .split(',')
            .enumerate()
            .map(|(place, field)| if place == 6 { scene.as_str() } else { field })
            .collect();
        fields.join(",")
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split(',').collect();
        let [number, _, _, scale, offset, unit, scene, _, _, _, bytes] = fields[..] else {
            return None;
        };
        let end = |text: &str| text.parse::<f64>().ok().filter(|end| end.is_finite());
        let (scale, offset) = match unit {
            MISSING => (0.0, 0.0),
            _ => (end(scale)?, end(offset)?),
        };
        Some(Self {
            number: number.parse().ok()?,
            bytes: match unit {
                MISSING => None,
                _ => Some(bytes.parse().ok()?),
            },
            scene: scene.parse().ok()?,
            ends: [offset, offset + scale * f64::from(u16::MAX)],
        })
    }
}

/// The open table. While it is open nobody else writes it.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    settings: String,
    /// The table's text, line for line, and what it says.
    lines: Vec<Line>,
    /// Bytes of the file up to the end of each line, and of the head.
    ends: Vec<u64>,
    complete: bool,
}

impl Journal {
    /// The last line of what is complete.
    pub(crate) const END: &str = "# complete\n";

    /// The first lines.
    pub(crate) fn head(settings: &str) -> String {
        format!("{SETTINGS}{settings}\n{HEAD}\n")
    }

    /// What a table says that it was made with, and its rows.
    pub(crate) fn text(path: &Path) -> Result<(String, Vec<String>)> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::reading(path, &error))?;
        let mut lines = text.lines();
        let settings = lines.next().and_then(|line| line.strip_prefix(SETTINGS));
        let settings =
            settings.ok_or_else(|| format!("{} is not a table of depth_export", path.display()))?;
        Ok((
            settings.to_owned(),
            lines.skip(1).map(str::to_owned).collect(),
        ))
    }

    /// Goes on with the table at `path`, or begins it. `settings` must be those it was begun with.
    pub(crate) fn open(path: &Path, settings: &str) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::writing(path, &error);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(failed)?;
        lock(&file, path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| Failure::reading(path, &error))?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            settings: settings.to_owned(),
            lines: Vec::new(),
            ends: Vec::new(),
            complete: false,
        };
        journal.parse(&bytes)?;
        if !journal.complete {
            // what is not whole, and all where no frame was done
            let kept = if journal.lines.is_empty() {
                0
            } else {
                journal.end()
            };
            journal.file.set_len(kept).map_err(failed)?;
            if journal.lines.is_empty() {
                journal.begin()?;
            }
        }
        Ok(journal)
    }

    fn begin(&mut self) -> Result<()> {
        let head = format!("{SETTINGS}{}\n{HEAD}", self.settings);
        self.ends = vec![head.len() as u64 + 1];
        self.write(&head)
    }

    /// Takes in what stands in the file, as far as it is whole.
    fn parse(&mut self, bytes: &[u8]) -> Result<()> {
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').map(|line| {
            // a line without its end was being written when the power or the disk ran out
            let whole = line.strip_suffix(b"\n");
            (
                line.len() as u64,
                whole.and_then(|line| str::from_utf8(line).ok()),
            )
        });
        let (Some((begun_bytes, begun)), head) = (lines.next(), lines.next()) else {
            return Ok(());
        };
        let own = match begun {
            Some(begun) => begun.starts_with(SETTINGS),
            None => {
                bytes.starts_with(SETTINGS.as_bytes()) || SETTINGS.as_bytes().starts_with(bytes)
            }
        };
        let head_line = head.and_then(|(_, head)| head);
        if !own || head_line.is_some_and(|head| head != HEAD) {
            return Err(format!(
                "{} is not a table of this depth_export: write to another place, or remove it",
                self.path.display()
            )
            .into());
        }
        let (Some(begun), Some((head_bytes, Some(_)))) = (begun, head) else {
            return Ok(());
        };
        let mut end = begun_bytes + head_bytes;
        self.ends.push(end);
        for (bytes, line) in lines {
            if line == Some(COMPLETE) {
                self.complete = true;
                break;
            }
            let after = |line: &Line| {
                self.lines
                    .last()
                    .is_none_or(|last| last.number < line.number)
            };
            // whatever follows a damaged line is made again
            let Some(line) = line.and_then(Line::parse).filter(after) else {
                break;
            };
            end += bytes;
            self.lines.push(line);
            self.ends.push(end);
        }
        let begun = &begun[SETTINGS.len()..];
        self.complete &= begun == self.settings || !self.lines.is_empty();
        // where no frame was done, other settings do no harm
        if !self.lines.is_empty() && begun != self.settings {
            return Err(format!(
                "{} was begun with {begun}, and this is {}: write to another place, or remove it",
                self.path.display(),
                self.settings
            )
            .into());
        }
        Ok(())
    }

    /// Where the last line ends in the file.
    fn end(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The frames that are done.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many frames are done.
    pub(crate) fn done(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Whether all is done.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Goes back to the first `count` frames; those behind are to be made again.
    pub(crate) fn keep(&mut self, count: usize) -> Result<()> {
        let failed = |error: std::io::Error| Failure::writing(&self.path, &error);
        self.complete = false;
        self.lines.truncate(count);
        if count == 0 {
            self.file.set_len(0).map_err(failed)?;
            return self.begin();
        }
        self.ends.truncate(count + 1);
        self.file.set_len(self.end()).map_err(failed)
    }

    /// Writes down the next frame, whose file of `bytes` is on the disk.
    pub(crate) fn add(&mut self, number: u64, row: &Row, bytes: u64) -> Result<()> {
        let time = |time: Option<gst::ClockTime>| {
            time.map(|t| t.nseconds().to_string()).unwrap_or_default()
        };
        let meta = &row.meta;
        let line = format!(
            "{number},{},{},{:e},{:e},{},{},{},{},{},{bytes}",
            time(row.time),
            time(row.duration),
            meta.scale,
            meta.offset,
            meta.unit.as_str(),
            meta.scene,
            meta.network.width,
            meta.network.height,
            row.timecode
                .map(|code| code.to_string())
                .unwrap_or_default(),
        );
        let said = Line {
            number,
            bytes: Some(bytes),
            scene: meta.scene,
            ends: [meta.value(0), meta.value(u16::MAX)],
        };
        self.push(&line, said)
    }

    /// Writes down that the decoder gave no such frame.
    pub(crate) fn add_missing(&mut self, number: u64) -> Result<()> {
        let scene = self.lines.last().map_or(0, |line| line.scene);
        let line = format!("{number},,,,,{MISSING},{scene},,,,");
        let said = Line {
            number,
            bytes: None,
            scene,
            ends: [0.0; 2],
        };
        self.push(&line, said)
    }

    fn push(&mut self, line: &str, said: Line) -> Result<()> {
        if self.complete {
            // more is wanted than before
            self.keep(self.lines.len())?;
        }
        self.write(line)?;
        self.ends.push(self.end() + line.len() as u64 + 1);
        self.lines.push(said);
        Ok(())
    }

    /// All is done.
    pub(crate) fn complete(&mut self) -> Result<()> {
        self.complete = true;
        self.write(COMPLETE)?;
        self.file
            .sync_all()
            .map_err(|error| Failure::writing(&self.path, &error))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        // in one go, so that a line is whole or has no end
        self.file
            .write_all(format!("{line}\n").as_bytes())
            .map_err(|error| Failure::writing(&self.path, &error))
    }
}

/// Keeps others out until the file is closed, by this process's end at the latest.
fn lock(file: &File, path: &Path) -> Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Failure::again(format!(
            "another depth_export is writing {}",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => {
            eprintln!(
                "warning: {} can't be locked ({error}): see to it that nobody else writes there",
                path.display()
            );
            Ok(())
        }
    }
}
