//! Where things are written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::{Arguments, Format, Shard};

/// The files of a run but its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    /// Of frames in files of their own.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) journal: PathBuf,
    /// A film that is not yet whole.
    pub(crate) unfinished: PathBuf,
    /// What the first pass found in each frame, where ranges are locked.
    pub(crate) ranges: PathBuf,
    /// The range of each shot.
    pub(crate) shots: PathBuf,
}

impl Places {
    /// Makes the folder.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let out = &arguments.out;
        if arguments.format == Format::Ffv1 {
            if out.is_dir() {
                return Err(
                    format!("{} is a folder: name the film to write", out.display()).into(),
                );
            }
            let beside = |extension: &str| {
                let mut name = out.file_name().unwrap_or_default().to_owned();
                name.push(extension);
                out.with_file_name(name)
            };
            return Ok(Self {
                folder: None,
                journal: beside(".csv"),
                unfinished: beside(".part"),
                ranges: beside(".ranges.csv"),
                shots: beside(".shots.csv"),
            });
        }
        fs::create_dir_all(out).map_err(|error| {
            Failure::again(format!("can't make the folder {}: {error}", out.display()))
        })?;
        Ok(Self::in_folder(out, arguments.shard))
    }

    /// Those of a folder of frames, or of a shard of them.
    pub(crate) fn in_folder(folder: &Path, shard: Option<Shard>) -> Self {
        let table = |name: &str| {
            folder.join(match shard {
                None => format!("{name}.csv"),
                Some(Shard { number, of }) => format!("{name}.{number}-of-{of}.csv"),
            })
        };
        Self {
            folder: Some(folder.to_owned()),
            journal: table("frames"),
            unfinished: PathBuf::new(),
            ranges: table("ranges"),
            shots: folder.join("shots.csv"),
        }
    }
}
