//! Where a model comes from, and its bytes.

use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::Error;

static BUILTIN: &[u8] = include_bytes!("../../models/builtin.onnx");

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

    /// The bytes of the model file, without those of its external data. A file is mapped, not read: a model of a
    /// gigabyte costs nothing until it is looked at.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the file is missing, can't be read, or is no regular file.
    pub fn bytes(&self) -> Result<Bytes, Error> {
        match self {
            Self::Builtin => Ok(Bytes::from_static(BUILTIN)),
            Self::File(path) => map(path).map_err(|reason| Error::ModelFile {
                path: path.clone(),
                reason,
            }),
        }
    }
}

fn map(path: &Path) -> Result<Bytes, String> {
    // asked before opening: to open a FIFO would wait for its other end
    let metadata = std::fs::metadata(path).map_err(|error| io_reason(&error))?;
    if metadata.is_dir() {
        return Err("it is a folder; give the .onnx file in it".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| io_reason(&error))?;
    if metadata.len() == 0 {
        return Ok(Bytes::new()); // an empty file can't be mapped
    }
    // SAFETY: the mapping is private and read-only, and the file is not written by this process. Should another
    // process cut the file short while it is being inspected, touching the lost pages would raise SIGBUS; as with
    // shared libraries, a model is to be replaced by renaming, not rewritten in place.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|error| io_reason(&error))?;
    Ok(Bytes::from_owner(map))
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
}
