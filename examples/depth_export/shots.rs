//! `--range locked`: one range for each shot, so that nothing is cut off and no frame is stretched differently. A first
//! pass over the source finds them; `ranges.csv` has what it found in each frame, `shots.csv` what came of it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use gst::prelude::*;

use crate::failure::{Failure, Result};
use crate::frames::sync_folder;
use crate::journal::Line;

/// First line of the table.
const HEAD: &str = "first_frame,range_min,range_max";

/// Where shots begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cuts {
    /// Where the element sees a cut.
    Seen,
    /// At these frames.
    Given(Vec<u64>),
}

impl std::fmt::Display for Cuts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seen => formatter.write_str("auto"),
            Self::Given(firsts) if firsts.is_empty() => formatter.write_str("none"),
            Self::Given(firsts) => {
                let firsts: Vec<_> = firsts.iter().map(ToString::to_string).collect();
                formatter.write_str(&firsts.join(","))
            }
        }
    }
}

impl Cuts {
    /// Reads `auto`, `none`, or numbers with commas.
    pub(crate) fn parse(text: &str) -> std::result::Result<Self, String> {
        match text {
            "auto" => return Ok(Self::Seen),
            "none" => return Ok(Self::Given(Vec::new())),
            _ => {}
        }
        let mut firsts = text
            .split(',')
            .map(|number| number.trim().parse::<u64>())
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|_| {
                format!("{text} is neither auto nor none nor the first frame of each shot, as in 0,30,95")
            })?;
        firsts.sort_unstable();
        firsts.dedup();
        Ok(Self::Given(firsts))
    }
}

/// Frames between two cuts, and the range of the model's values in them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shot {
    pub(crate) first: u64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Shot {
    /// Sets the range of `depth`, which has `range=fixed`.
    pub(crate) fn apply(&self, depth: &gst::Element) {
        // a flat shot has no span, and wants one
        let least = 1e-6 * self.low.abs().max(1e-6);
        depth.set_property("range-min", self.low);
        depth.set_property("range-max", self.high.max(self.low + least));
    }
}

/// The shots of frames whose own ranges are `lines`. What goes on after a flash has the range it had before.
pub(crate) fn of_lines(lines: &[Line], cuts: &Cuts) -> Vec<Shot> {
    // what tells one shot from another
    let mark = |line: &Line| match cuts {
        Cuts::Seen => u64::from(line.scene),
        Cuts::Given(firsts) => firsts.partition_point(|&first| first <= line.number) as u64,
    };
    let mut ranges: BTreeMap<u64, [f64; 2]> = BTreeMap::new();
    let shown = || lines.iter().filter(|line| line.bytes.is_some());
    for line in shown() {
        let [a, b] = line.ends;
        let range = ranges.entry(mark(line)).or_insert([a.min(b), a.max(b)]);
        *range = [range[0].min(a).min(b), range[1].max(a).max(b)];
    }
    let mut shots: Vec<Shot> = Vec::new();
    let mut before = None;
    for line in shown() {
        let mark = mark(line);
        if before != Some(mark)
            && let Some(&[low, high]) = ranges.get(&mark)
        {
            shots.push(Shot {
                first: line.number,
                low,
                high,
            });
        }
        before = Some(mark);
    }
    shots
}

/// Place of the shot that a frame is in.
pub(crate) fn place(shots: &[Shot], number: u64) -> Option<usize> {
    shots
        .partition_point(|shot| shot.first <= number)
        .checked_sub(1)
}

/// Writes the table, for the user to read and a later run to go on with.
pub(crate) fn save(path: &Path, shots: &[Shot]) -> Result<()> {
    let mut text = format!("{HEAD}\n");
    for shot in shots {
        text += &format!("{},{:e},{:e}\n", shot.first, shot.low, shot.high);
    }
    let unfinished = path.with_extension("csv.part");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        Failure::writing(path, &error)
    })?;
    sync_folder(path)
}

/// Reads the table.
pub(crate) fn load(path: &Path) -> Result<Vec<Shot>> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::never(format!(
            "can't read {}, the ranges that the frames so far were made with: {error}",
            path.display()
        ))
    })?;
    let shot = |line: &str| {
        let mut fields = line.split(',');
        let first = fields.next()?.parse().ok()?;
        let mut end = || {
            fields
                .next()?
                .parse()
                .ok()
                .filter(|end: &f64| end.is_finite())
        };
        let (low, high) = (end()?, end()?);
        (low <= high).then_some(Shot { first, low, high })
    };
    let wrong = || {
        Failure::never(format!(
            "{} is damaged: remove the folder's files, and begin again",
            path.display()
        ))
    };
    if text.lines().next() != Some(HEAD) {
        return Err(wrong());
    }
    let shots: Vec<_> = text
        .lines()
        .skip(1)
        .map(|line| shot(line).ok_or_else(wrong))
        .collect::<Result<_>>()?;
    match shots.is_sorted_by(|a, b| a.first < b.first) {
        true => Ok(shots),
        false => Err(wrong()),
    }
}
