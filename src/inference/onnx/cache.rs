//! Compiled engines on disk: a folder each, by all that decides what is in it.
//!
//! An engine is built in a folder of its own that takes its name when it is whole, so that what has a name is whole.
//! One process builds at a time: two builders would disturb each other's timings. What does not load, or is not what was
//! built, is set aside and built again. A cache that can't be used (read-only, full, open to others) costs time, never
//! the stream.

mod private;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::geometry::Size;

/// What is left of builds that were killed goes after this long.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long another process may build before this one builds for itself.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Small files that are kept at most; each is of a model, a runtime and its options.
const MOST_NOTES: usize = 1000;
/// What their names begin with.
const NOTES: [&str; 4] = ["settled-", "tried-", "memory-", private::UNFINISHED];

/// All that decides what a compiled engine is.
#[derive(Debug, Clone)]
pub(super) struct Key<'a> {
    /// The hash of the graph that is compiled, weights included.
    pub(super) model: [u8; 32],
    pub(super) size: Size,
    pub(super) batch: usize,
    pub(super) precision: &'a str,
    /// Options of the provider.
    pub(super) options: &'a str,
    /// The GPU, its number and its driver.
    pub(super) device: &'a str,
    /// The compiler's version.
    pub(super) compiler: &'a str,
    /// ONNX Runtime's version.
    pub(super) runtime: &'a str,
}

impl Key<'_> {
    /// The name of the engine's folder.
    fn name(&self) -> String {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.model);
        let [width, height] = [self.size.width, self.size.height];
        for part in [
            &format!("{width}x{height} {}", self.batch),
            self.precision,
            self.options,
            self.device,
            self.compiler,
            self.runtime,
        ] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        // the beginning is for people
        let hash = hash.finalize().to_hex();
        format!("{width}x{height}-{}-{}", self.precision, &hash[..32])
    }
}

/// What became of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was there.
    Found,
    /// It was built, and will be there next time.
    Built,
    /// It was built, and will have to be again: why.
    Lost(String),
}

/// Where a builder leaves what it makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The engine.
    pub(super) engine: &'a Path,
    /// What the compiler learns of the machine, for all engines.
    pub(super) timing: &'a Path,
}

/// A folder of engines.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    /// Where this user's own folder of engines is, or is to be. `None`: there is no place for one.
    base: Option<PathBuf>,
    timeout: Duration,
}

impl Cache {
    /// In `folder`, or in `depthanything` of the user's cache folder.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        Self {
            base: folder.map_or_else(
                || user_cache(|name| std::env::var_os(name).map(PathBuf::from)),
                |folder| Some(folder.to_owned()),
            ),
            timeout: TIMEOUT,
        }
    }

    /// Whether a note of this name was left.
    pub(super) fn has(&self, name: &str) -> bool {
        let folder = self.base.as_deref().map(private::folder);
        folder.is_some_and(|folder| folder.is_ok_and(|root| private::has(&root.join(name))))
    }

    /// Leaves a note of this name, where that can be.
    pub(super) fn add(&self, name: &str) {
        if let Some(Ok(root)) = self.base.as_deref().map(private::folder) {
            let _ = private::touch(&root.join(name));
        }
    }

    /// The text that was kept under this name, unless it is damaged or another's.
    pub(super) fn note(&self, name: &str) -> Option<String> {
        let root = private::folder(self.base.as_deref()?).ok()?;
        private::read_note(&root.join(name)).ok()
    }

    /// Keeps a text under this name, where that can be.
    pub(super) fn keep_note(&self, name: &str, text: &str) {
        if let Some(Ok(root)) = self.base.as_deref().map(private::folder)
            && private::write_note(&root, name, text).is_ok()
        {
            forget_old_notes(&root);
        }
    }

    /// Calls `build` with the engine's folder, which holds the engine or waits for it, or without one where nothing can
    /// be kept.
    ///
    /// # Errors
    /// Those of `build` on a fresh start.
    pub(super) fn with_engine<T>(
        &self,
        key: &Key<'_>,
        mut build: impl FnMut(Option<Places<'_>>) -> Result<T, Error>,
    ) -> Result<(T, Kept), Error> {
        let reason = match self.keep(key, &mut build) {
            Ok(done) => return Ok(done),
            Err(Trouble::Build(error)) => return Err(error),
            Err(Trouble::Cache(reason)) => reason,
        };
        let built = build(None)?;
        Ok((built, Kept::Lost(reason)))
    }

    fn keep<T>(
        &self,
        key: &Key<'_>,
        build: &mut impl FnMut(Option<Places<'_>>) -> Result<T, Error>,
    ) -> Result<(T, Kept), Trouble> {
        let Some(base) = &self.base else {
            return Err(Trouble::Cache(
                "neither XDG_CACHE_HOME nor HOME is set; name a folder with `engine-cache`".into(),
            ));
        };
        let io = |what: &str| {
            let what = what.to_owned();
            move |error: std::io::Error| {
                Trouble::Cache(format!("can't {what} in {}: {error}", base.display()))
            }
        };
        let root = private::folder(base).map_err(io("keep engines"))?;
        let home = root.join(key.name());
        let timing = root.join("timing");
        let places = |engine| Places {
            engine,
            timing: &timing,
        };
        let is_whole = || private::is_intact(&home);
        if is_whole()
            && let Ok(found) = build(Some(places(&home)))
        {
            return Ok((found, Kept::Found));
        }
        fs::create_dir_all(&timing).map_err(io("make a folder"))?;
        let _lock = private::lock(&root, self.timeout).map_err(io("lock a file"))?;
        // while this one waited, another may have built it, or set it aside and built it again
        if is_whole() {
            if let Ok(found) = build(Some(places(&home))) {
                return Ok((found, Kept::Found));
            }
            set_aside(&home).map_err(io("set a broken engine aside"))?;
        } else if fs::symlink_metadata(&home).is_ok() {
            set_aside(&home).map_err(io("set an unfinished engine aside"))?;
        }
        sweep(&root);
        let nursery = tempfile::Builder::new()
            .prefix("building-")
            .tempdir_in(&root)
            .map_err(io("make a folder"))?;
        let built = match build(Some(places(nursery.path()))) {
            Ok(built) => built,
            // it may have failed to write what it made
            Err(_) if probe(nursery.path()).is_err() => {
                return Err(io("write")(probe_error(nursery.path())));
            }
            Err(error) => return Err(Trouble::Build(error)),
        };
        let finish = || {
            private::seal(nursery.path())?;
            fs::rename(nursery.path(), &home)
        };
        let kept = match finish() {
            Ok(()) => {
                // it has another name now
                let _ = nursery.keep();
                Kept::Built
            }
            Err(error) => Kept::Lost(format!("can't write in {}: {error}", base.display())),
        };
        Ok((built, kept))
    }
}

/// Why an engine was not kept.
enum Trouble {
    /// The builder failed.
    Build(Error),
    /// The cache did, in words.
    Cache(String),
}

/// `depthanything` in the user's cache folder, as the XDG base directory specification has it.
fn user_cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let base = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(variable("HOME")?.join(".cache")))?;
    base.is_absolute().then(|| base.join("depthanything"))
}

/// Whether a megabyte can be written in `folder`.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join("probe");
    let result = fs::write(&path, vec![1; 1 << 20]);
    let _ = fs::remove_file(path);
    result
}

fn probe_error(folder: &Path) -> std::io::Error {
    probe(folder)
        .err()
        .unwrap_or_else(|| std::io::ErrorKind::Other.into())
}

/// Keeps one broken engine a name, for whoever wants to look at it.
fn set_aside(home: &Path) -> std::io::Result<()> {
    let aside = home.with_extension("broken");
    if fs::symlink_metadata(&aside).is_ok() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(home, aside)
}

/// Of small files, which all have such a name, the oldest go where there are too many.
fn forget_old_notes(root: &Path) {
    let mut notes: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if NOTES.iter().any(|prefix| name.starts_with(prefix))
            && let Ok(metadata) = entry.metadata()
            && let Ok(time) = metadata.modified()
        {
            notes.push((time, entry.path()));
        }
    }
    notes.sort_unstable();
    let too_many = notes.len().saturating_sub(MOST_NOTES);
    for (_, path) in notes.drain(..too_many) {
        let _ = fs::remove_file(path);
    }
}

/// Removes what builds that were killed have left.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let is_nursery = entry.file_name().to_string_lossy().starts_with("building-");
        let age = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| SystemTime::now().duration_since(time).ok());
        if is_nursery && age.is_some_and(|age| age > STALE) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
