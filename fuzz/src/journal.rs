//! Journals of `depth_export` that were torn, cut or written by somebody else.

use std::error::Error;

use crate::Target;
use crate::random::Random;

#[allow(dead_code)]
#[path = "../../examples/depth_export/failure.rs"]
pub(crate) mod failure;
#[allow(dead_code)]
#[path = "../../examples/depth_export/journal.rs"]
mod table;
#[allow(dead_code)]
#[path = "../../examples/depth_export/timecode.rs"]
pub(crate) mod timecode;

const SETTINGS: &str = "png 518";

pub(crate) struct Journals {
    folder: tempfile::TempDir,
}

impl Journals {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            folder: tempfile::tempdir()?,
        })
    }
}

impl Target for Journals {
    fn run(&mut self, random: &mut Random) -> &'static str {
        let path = self.folder.path().join("frames.csv");
        let _ = std::fs::remove_file(&path);
        // a sound one first
        let sound = || -> failure::Result<()> {
            let mut journal = table::Journal::open(&path, SETTINGS)?;
            for number in 0..6 {
                journal.add_missing(number)?;
            }
            journal.complete()
        };
        if sound().is_err() {
            return "not written";
        }
        let mut text = std::fs::read(&path).unwrap_or_default();
        for _ in 0..random.below(6) {
            let place = random.below(text.len());
            let end = text.len().min(place + random.below(60));
            let number = random.odd_number().to_string();
            match random.below(6) {
                0 => text.truncate(place),
                1 => drop(text.drain(place..end)),
                2 => {
                    let part = text[place..end].to_vec();
                    text.extend(part);
                }
                3 => drop(text.splice(place..end, number.bytes())),
                4 => drop(text.splice(place..place, random.odd_float().to_string().bytes())),
                _ => {
                    let byte = random.next() as u8;
                    if let Some(place) = text.get_mut(place) {
                        *place = byte;
                    }
                }
            }
        }
        if std::fs::write(&path, text).is_err() {
            return "not written";
        }
        let opened = table::Journal::open(&path, SETTINGS);
        let Ok(mut journal) = opened else {
            return "refused";
        };
        let done = journal.done();
        assert!(done <= 100, "it says that {done} frames are done");
        let count = random.below(done as usize + 1);
        if journal.keep(count).is_err() {
            return "not gone on with";
        }
        // a frame is written down behind those before it
        let last = journal.lines().last().map(|line| line.number);
        let Some(next) = last.map_or(Some(0), |last| last.checked_add(1)) else {
            return "at its end";
        };
        if journal.add_missing(next).is_err() {
            return "not gone on with";
        }
        let went_on = journal.done();
        drop(journal);
        let again = table::Journal::open(&path, SETTINGS).map(|journal| journal.done());
        assert_eq!(again.ok(), Some(went_on), "what was written down is lost");
        "gone on with"
    }
}
