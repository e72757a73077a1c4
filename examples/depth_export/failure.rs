//! Why a run ended before it was done, and whether the same command may do better another time.

use std::fmt::Display;
use std::path::Path;

use gst::glib;

/// An error in words for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    words: String,
    again: bool,
}

/// What most things here return.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The same command fails again: its options, the film or the model are at fault.
    pub(crate) fn never(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            again: false,
        }
    }

    /// The machine is at fault: a disk, a lock, memory, a library that is missing there.
    pub(crate) fn again(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            again: true,
        }
    }

    /// What to say when something can't be written.
    pub(crate) fn writing(path: &Path, error: &dyn Display) -> Self {
        Self::again(format!("can't write {}: {error}", path.display()))
    }

    /// What to say when something that exists can't be read.
    pub(crate) fn reading(path: &Path, error: &dyn Display) -> Self {
        Self::again(format!("can't read {}: {error}", path.display()))
    }

    /// Of an error message of the pipeline.
    pub(crate) fn of_pipeline(error: &glib::Error) -> Self {
        let words = error.message();
        let again = if let Some(kind) = error.kind::<gst::ResourceError>() {
            // OpenRead also stands for a model that can't be read; all the others are the machine's
            !matches!(
                kind,
                gst::ResourceError::NotFound
                    | gst::ResourceError::OpenRead
                    | gst::ResourceError::Settings
            )
        } else {
            matches!(
                error.kind::<gst::LibraryError>(),
                Some(gst::LibraryError::Init | gst::LibraryError::Failed)
            ) || error.kind::<gst::StreamError>() == Some(gst::StreamError::Failed)
        };
        Self {
            words: words.to_owned(),
            again,
        }
    }

    /// The same, in other words.
    pub(crate) fn in_other(self, words: String) -> Self {
        Self { words, ..self }
    }

    /// The same, with more to say behind it.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.words.push('\n');
        self.words.push_str(more);
        self
    }

    /// 1: try again, 2: never.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.again { 1 } else { 2 }
    }
}

impl Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::never(words)
    }
}

impl From<&str> for Failure {
    fn from(words: &str) -> Self {
        Self::never(words)
    }
}

impl From<glib::Error> for Failure {
    fn from(error: glib::Error) -> Self {
        Self::of_pipeline(&error)
    }
}

impl From<glib::BoolError> for Failure {
    fn from(error: glib::BoolError) -> Self {
        Self::never(error.message.into_owned())
    }
}
