//! `depth_export merge FOLDER`: joins what shards have made, and says what is missing, twice, or made with other options.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::Shard;
use crate::failure::{Failure, Result};
use crate::frames::sync_folder;
use crate::journal::{Journal, Line};
use crate::places::Places;
use crate::selection::Selection;
use crate::shots::{self, Cuts};

/// Joins the tables of shards in a folder: of --range locked first those of the first pass, then those of the frames. Says
/// what is missing, twice, or made with other options.
#[derive(Parser)]
#[command(name = "depth_export merge")]
pub(crate) struct Arguments {
    /// Where the shards were written.
    folder: PathBuf,
}

/// What all shards have made of one pass.
struct Parts {
    /// What they were made with, as an export without shards says it.
    settings: String,
    /// Each shard's lines, and their text.
    tables: Vec<Vec<(Line, String)>>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = &arguments.folder;
    let shards = |name| shards(folder, name);
    let (frames, ranges) = (shards("frames")?, shards("ranges")?);
    if !frames.is_empty() && frames.iter().any(|shard| has_frames(folder, *shard)) {
        return merge_frames(folder, &frames);
    }
    if ranges.is_empty() {
        return Err(format!("there are no tables of shards in {}", folder.display()).into());
    }
    let parts = read(folder, &ranges, |places| places.ranges)?;
    let cuts = match parts.settings.rsplit_once(" shots=") {
        Some((_, cuts)) => Cuts::parse(cuts)?,
        None => Cuts::Seen,
    };
    let lines: Vec<_> = counted_on(&parts.tables).map(|(line, _)| line).collect();
    let shots = shots::of_lines(&lines, &cuts);
    let place = Places::in_folder(folder, None).shots;
    shots::save(&place, &shots)?;
    println!(
        "{} shots in {}: the same commands again make the frames",
        shots.len(),
        place.display()
    );
    Ok(())
}

/// Whether a shard has begun to make frames, or had none to make.
fn has_frames(folder: &Path, shard: Shard) -> bool {
    let journal = Places::in_folder(folder, Some(shard)).journal;
    fs::read(journal).is_ok_and(|text| text.iter().filter(|byte| **byte == b'\n').count() > 2)
}

fn merge_frames(folder: &Path, shards: &[Shard]) -> Result<()> {
    let parts = read(folder, shards, |places| places.journal)?;
    let locked = parts.settings.split(' ').any(|word| word == "locked");
    let mut text = Journal::head(&parts.settings);
    let mut count = 0;
    let lines: Vec<_> = if locked {
        // scenes are the film's shots already
        parts.tables.concat()
    } else {
        counted_on(&parts.tables).collect()
    };
    for (line, row) in lines {
        text += &line.in_text(&row);
        text.push('\n');
        count += 1;
    }
    text += Journal::END;
    let place = Places::in_folder(folder, None).journal;
    let unfinished = place.with_extension("csv.part");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &place)
    };
    write().map_err(|error| Failure::writing(&place, &error))?;
    sync_folder(&place)?;
    println!(
        "{count} frames of {} shards in {}",
        shards.len(),
        place.display()
    );
    Ok(())
}

/// All lines in order, their scenes counted on from shard to shard.
fn counted_on(tables: &[Vec<(Line, String)>]) -> impl Iterator<Item = (Line, String)> {
    let mut last = 0;
    tables.iter().flat_map(move |table| {
        let before = last;
        let lines: Vec<_> = table
            .iter()
            .map(|(line, row)| {
                let scene = line.scene.wrapping_add(before);
                last = last.max(scene);
                (
                    Line {
                        scene,
                        ..line.clone()
                    },
                    row.clone(),
                )
            })
            .collect();
        lines
    })
}

/// The shards of which there are tables; an error if some are missing.
fn shards(folder: &Path, name: &str) -> Result<Vec<Shard>> {
    let failed = |error: std::io::Error| Failure::reading(folder, &error);
    let mut shards = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.file_name();
        let middle = file.to_str().and_then(|file| {
            file.strip_prefix(name)?
                .strip_prefix('.')?
                .strip_suffix(".csv")
        });
        let numbers = middle.and_then(|middle| middle.split_once("-of-"));
        if let Some((number, of)) = numbers
            && let Ok(shard) = Shard::parse(&format!("{number}/{of}"))
        {
            shards.push(shard);
        }
    }
    shards.sort_unstable_by_key(|shard| (shard.of, shard.number));
    let Some(first) = shards.first() else {
        return Ok(shards);
    };
    if let Some(other) = shards.iter().find(|shard| shard.of != first.of) {
        return Err(format!(
            "{} has {name} of shards of {} and of {}: remove those that are not wanted",
            folder.display(),
            first.of,
            other.of
        )
        .into());
    }
    let there = |number: u32| shards.iter().any(|shard| shard.number == number);
    // a number that a file's name says may be any
    let missing: Vec<_> = (1..=first.of)
        .filter(|&number| !there(number))
        .take(5)
        .collect();
    if missing.is_empty() {
        return Ok(shards);
    }
    let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
    Err(Failure::again(format!(
        "{name} of shard {} of {} are missing in {}",
        missing.join(", "),
        first.of,
        folder.display()
    )))
}

/// Reads the tables, and checks that together they have each wanted frame once.
fn read(folder: &Path, shards: &[Shard], table: impl Fn(Places) -> PathBuf) -> Result<Parts> {
    let mut settings: Option<(String, PathBuf)> = None;
    let mut tables = Vec::new();
    for &shard in shards {
        let path = table(Places::in_folder(folder, Some(shard)));
        let (said, rows) = Journal::text(&path)?;
        match &settings {
            Some((first, other)) if *first != said => {
                return Err(format!(
                    "{} and {} were made with other options: {}",
                    other.display(),
                    path.display(),
                    differing(first, &said)
                )
                .into());
            }
            Some(_) => {}
            None => settings = Some((said.clone(), path.clone())),
        }
        // nobody is writing it, and it is whole
        let journal = Journal::open(&path, &said)?;
        if !journal.is_complete() {
            return Err(Failure::again(format!(
                "shard {} of {} is not done: it has {} frames",
                shard.number,
                shard.of,
                journal.done()
            )));
        }
        tables.push(
            journal
                .lines()
                .iter()
                .cloned()
                .zip(rows)
                .collect::<Vec<_>>(),
        );
    }
    let settings = settings.map(|(settings, _)| settings).unwrap_or_default();
    let (settings, wanted) = settings
        .rsplit_once(" frames=")
        .ok_or("the tables are not those of shards")?;
    let wanted = Selection::parse(wanted)?;
    let mut numbers = wanted.numbers();
    for (line, _) in tables.iter().flatten() {
        let expected = numbers.next();
        if expected != Some(line.number) {
            let expected = expected.map_or("no more".to_owned(), |number| number.to_string());
            return Err(format!("frame {} comes where {expected} is wanted", line.number).into());
        }
    }
    if let Some(missing) = numbers.next() {
        return Err(format!("frame {missing} and those behind it are in no shard").into());
    }
    Ok(Parts {
        settings: settings.to_owned(),
        tables,
    })
}

/// The words in which two settings differ.
fn differing(first: &str, second: &str) -> String {
    let only = |one: &str, other: &str| {
        let others: Vec<_> = other.split(' ').collect();
        let words: Vec<_> = one
            .split(' ')
            .filter(|word| !others.contains(word))
            .collect();
        words.join(" ")
    };
    format!("{:?} and {:?}", only(first, second), only(second, first))
}
