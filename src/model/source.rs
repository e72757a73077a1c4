//! Where a model comes from, and its bytes.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::budget::Budget;
use super::limits::MAX_FILE;
use crate::error::Error;

static BUILTIN: &[u8] = include_bytes!("../../models/builtin.onnx");

/// Bytes that are read at a time; between two, it is seen whether reading was cancelled.
const CHUNK: u64 = 8 << 20;

/// A model to run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelSource {
    /// The network that comes with the plugin (`models/README.md`).
    Builtin,
    /// An ONNX file.
    File(PathBuf),
}

impl ModelSource {
    /// The model's name: the file name without its extension, or `builtin`.
    pub fn name(&self) -> String {
        match self {
            Self::Builtin => "builtin".to_owned(),
            Self::File(path) => path
                .file_stem()
                .unwrap_or(path.as_os_str())
                .to_string_lossy()
                .into_owned(),
        }
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Builtin => None,
            Self::File(path) => Some(path),
        }
    }

    /// What error messages call it.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Builtin => "the built-in model".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The bytes of the model file, without those of its external data. A file is read, not mapped: what another
    /// process does to it afterwards does not reach this one.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the file is missing, can't be read, is no regular file, or too large.
    #[cfg(feature = "testing")]
    pub fn bytes(&self) -> Result<Bytes, Error> {
        self.read(&Budget::default())
    }

    /// As [`ModelSource::bytes`].
    ///
    /// # Errors
    /// As [`ModelSource::bytes`], and [`Error::Cancelled`].
    pub(super) fn read(&self, budget: &Budget) -> Result<Bytes, Error> {
        match self {
            Self::Builtin => Ok(Bytes::from_static(BUILTIN)),
            Self::File(path) => {
                let read = || {
                    let mut file = RegularFile::open(path)?;
                    let length = file.length();
                    if length > MAX_FILE {
                        return Err(format!(
                            "it has {length} bytes, and a model file can't have more than {MAX_FILE}: more goes in files \
                             beside it"
                        ));
                    }
                    let bytes = file.read(0..length, budget)?;
                    file.check_unchanged()?;
                    Ok(bytes)
                };
                read().map_err(|reason| match budget.is_cancelled() {
                    true => Error::Cancelled,
                    false => Error::ModelFile {
                        path: path.clone(),
                        reason,
                    },
                })
            }
        }
    }
}

/// A file that is open, and no pipe, device or folder. Its errors are sentences.
pub(super) struct RegularFile {
    file: File,
    /// When it was opened.
    metadata: Metadata,
}

impl RegularFile {
    /// Opens it without waiting: a pipe would wait for its other end.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC,
        );
        let file = options.open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(path),
            _ => io_reason(&error),
        })?;
        let metadata = file.metadata().map_err(|error| io_reason(&error))?;
        if metadata.is_dir() {
            return Err("it is a folder; give the .onnx file in it".to_owned());
        }
        if !metadata.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        Ok(Self { file, metadata })
    }

    pub(super) fn length(&self) -> u64 {
        self.metadata.len()
    }

    /// Whether this is what `metadata` is of.
    pub(super) fn is_that_of(&self, metadata: &Metadata) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            (self.metadata.dev(), self.metadata.ino()) == (metadata.dev(), metadata.ino())
        }
        #[cfg(not(unix))]
        {
            self.metadata.len() == metadata.len()
        }
    }

    /// The bytes of `range`, which has to lie in the file.
    pub(super) fn read(&mut self, range: Range<u64>, budget: &Budget) -> Result<Bytes, String> {
        let length = range.end.saturating_sub(range.start);
        let too_large = || format!("there is no memory for {length} bytes of it");
        if !budget.take_memory(length) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        usize::try_from(length)
            .ok()
            .and_then(|length| bytes.try_reserve_exact(length).ok())
            .ok_or_else(too_large)?;
        let failed = |error: std::io::Error| io_reason(&error);
        self.file
            .seek(SeekFrom::Start(range.start))
            .map_err(failed)?;
        let mut left = length;
        while left > 0 {
            if budget.is_cancelled() {
                return Err("reading was cancelled".to_owned());
            }
            let part = left.min(CHUNK);
            let read = (&mut self.file).take(part).read_to_end(&mut bytes);
            if read.map_err(failed)? as u64 != part {
                return Err(CHANGED.to_owned());
            }
            left -= part;
        }
        Ok(bytes.into())
    }

    /// Whether somebody has written to it meanwhile, and what was read may be half of this and half of that.
    pub(super) fn check_unchanged(&self) -> Result<(), String> {
        let now = self.file.metadata().map_err(|error| io_reason(&error))?;
        let [before, after] =
            [&self.metadata, &now].map(|metadata| (metadata.len(), metadata.modified().ok()));
        if before == after {
            return Ok(());
        }
        Err(CHANGED.to_owned())
    }
}

const CHANGED: &str =
    "it was changed while it was read; wait until it is whole, and replace a model by renaming";

/// What to do about a path that is none.
fn missing(path: &Path) -> String {
    let text = path.to_string_lossy();
    if let Some(rest) = text.strip_prefix("~/") {
        let home = std::env::var("HOME").unwrap_or_else(|_| "/home/…".to_owned());
        return format!(
            "no such file; the shell leaves ~ behind a = as it is: write $HOME/{rest} or {home}/{rest}"
        );
    }
    if text.starts_with('~') {
        return "no such file; the shell leaves ~ behind a = as it is: write the whole path"
            .to_owned();
    }
    if let Some((scheme, rest)) = text.split_once(":/")
        && scheme.chars().all(|c| c.is_ascii_alphanumeric())
    {
        let rest = rest.trim_start_matches('/');
        return match scheme {
            "file" => format!("a URI is no path: write /{rest}"),
            _ => "a URI is no path, and models are not fetched: download it and give the file"
                .to_owned(),
        };
    }
    "no such file".to_owned()
}

/// An input/output error with what to do about it.
pub(super) fn io_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            "permission denied; make it readable for this user".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn names() {
        assert_eq!(ModelSource::Builtin.name(), "builtin");
        let file = |path: &str| ModelSource::File(path.into()).name();
        assert_eq!(file("/a/depth_v2.small.onnx"), "depth_v2.small");
        assert_eq!(file("model"), "model");
        assert_eq!(file("/"), "/");
    }

    #[test]
    fn what_is_no_path_says_what_is() {
        let reason = |path: &str| {
            let error = ModelSource::File(path.into()).bytes().unwrap_err();
            error.to_string()
        };
        for (path, words) in [
            ("~/a/model.onnx", "$HOME/a/model.onnx"),
            ("~someone/model.onnx", "whole path"),
            ("file:///a/model.onnx", "write /a/model.onnx"),
            ("https://example.org/model.onnx", "download it"),
            ("nowhere/model.onnx", "no such file"),
        ] {
            let reason = reason(path);
            assert!(reason.contains(words), "{path}: {reason}");
        }
    }

    #[test]
    fn builtin_is_there() {
        assert!(
            ModelSource::Builtin
                .bytes()
                .is_ok_and(|bytes| bytes.len() > 10_000)
        );
    }

    #[test]
    fn folder_is_refused_with_advice() {
        let error = ModelSource::File(std::env::temp_dir()).bytes().unwrap_err();
        assert!(error.to_string().contains("it is a folder"), "{error}");
    }

    #[test]
    fn what_others_do_to_a_file_does_not_reach_what_was_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        let bytes = ModelSource::File(file.path().to_owned()).bytes().unwrap();
        file.as_file().set_len(0).unwrap();
        assert!(
            bytes.iter().all(|&byte| byte == 7),
            "a mapping would end in SIGBUS"
        );
    }

    #[test]
    fn a_file_that_changes_while_it_is_read() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 100]).unwrap();
        let mut opened = RegularFile::open(file.path()).unwrap();
        assert_eq!(opened.read(10..30, &Budget::default()).unwrap().len(), 20);
        opened.check_unchanged().unwrap();
        file.as_file().set_len(20).unwrap();
        assert!(opened.read(10..30, &Budget::default()).is_err());
        assert!(opened.check_unchanged().is_err());
    }

    #[test]
    fn reading_is_cancelled() {
        let cancel = super::super::Cancel::default();
        cancel.cancel();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"more than nothing").unwrap();
        let source = ModelSource::File(file.path().to_owned());
        let result = source.read(&Budget::new(cancel));
        assert!(matches!(result, Err(Error::Cancelled)));
    }

    #[test]
    fn a_file_beyond_all_limits_is_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // takes no room on the disk
        file.as_file().set_len(MAX_FILE + 1).unwrap();
        let error = ModelSource::File(file.path().to_owned())
            .bytes()
            .unwrap_err();
        assert!(
            error.to_string().contains("can't have more than"),
            "{error}"
        );
    }
}
