//! The one error of the plugin; each variant says what is wrong and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::text::Printable as Show;

/// A place where ONNX Runtime was looked for, and why it did not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeCandidate {
    /// The library or folder.
    pub path: PathBuf,
    /// Where the path came from: `ORT_DYLIB_PATH`, `beside the plugin`, …
    pub origin: String,
    /// Why it was not taken: `not found`, `version 1.17.3 is older than 1.21`, …
    pub reason: String,
}

/// Something that was asked for, of which there is a choice.
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "of servers"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The device of an execution provider.
    Device,
    /// Arithmetic of the inference.
    Precision,
    /// The values that a model wants its image in.
    InputNormalization,
    /// What the samples of depth frames mean.
    Output,
    /// The range of values that depth frames show.
    Range,
    /// Frames worked on at the same time.
    InFlight,
    /// Memory that the network may take.
    MemoryLimit,
    /// The lowest resolution that is allowed.
    MinResolution,
    /// The servers that run the network.
    Server,
    /// Which of a server's models.
    ServerModel,
    /// The authorities whose servers are trusted.
    ServerTlsCa,
    /// The secret that servers are told.
    ServerToken,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::Precision => "precision",
            Self::InputNormalization => "input normalization",
            Self::Output => "output",
            Self::Range => "range",
            Self::InFlight => "frames in flight",
            Self::MemoryLimit => "memory limit",
            Self::MinResolution => "lowest resolution",
            Self::Server => "server",
            Self::ServerModel => "server's model",
            Self::ServerTlsCa => "certificates of authorities",
            Self::ServerToken => "secret for servers",
        })
    }
}

/// Everything that can go wrong below the element.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No usable ONNX Runtime.
    #[error("{}", runtime_text(.0))]
    Runtime(Vec<RuntimeCandidate>),

    /// The model file can't be opened or read.
    #[error("can't read the model {}: {}", Show(.path.display()), Show(.reason))]
    ModelFile {
        /// The file (or its external data).
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },

    /// The file was read but is not an ONNX model, or is damaged.
    #[error("{} is not a usable ONNX model: {}", Show(.model), Show(.reason))]
    ModelInvalid {
        /// The model's path or name.
        model: String,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A sound ONNX model, but not a monocular depth network of the form this element runs.
    #[error("{} can't be used here: found {}; wanted {wanted}", Show(.model), Show(.found))]
    ModelUnsupported {
        /// The model's path or name.
        model: String,
        /// What the model has.
        found: String,
        /// What it should have had.
        wanted: String,
    },

    /// The execution provider asked for does not work here.
    #[error("execution provider {provider} does not work here: {}", Show(.reason))]
    Provider {
        /// The provider's short name, as the property spells it.
        provider: String,
        /// Which library or option is at fault, and what to do.
        reason: String,
    },

    /// What was asked for is not possible with this model or machine.
    #[error("{setting}: {reason}")]
    Setting {
        /// What it is about.
        setting: Setting,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A video frame that can't be read, or depth that can't be written.
    #[error("can't use this frame: {reason}")]
    Frame {
        /// Size, stride or format at fault.
        reason: String,
    },

    /// A run failed.
    #[error("inference at {size} failed: {}", Show(.reason))]
    Inference {
        /// The network size of the run, as text.
        size: String,
        /// ONNX Runtime's words.
        reason: String,
    },

    /// A run failed for want of memory.
    #[error("out of memory at {size}: {}. Lower the resolution", Show(.reason))]
    OutOfMemory {
        /// The network size of the run, as text.
        size: String,
        /// ONNX Runtime's words.
        reason: String,
    },

    /// Servers do not run the network.
    #[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "of servers"))]
    #[error("server {}: {}", Show(.servers), Show(.reason))]
    Server {
        /// Their addresses.
        servers: String,
        /// Why, and what to do.
        reason: String,
    },

    /// No server is there at the moment, and this frame does not wait for one.
    #[error("no server has answered for {:.1} s", .since.as_secs_f64())]
    ServersAway {
        /// For how long.
        since: std::time::Duration,
    },

    /// Somebody ended it from outside: the element is stopped.
    #[error("loading was cancelled")]
    Cancelled,
}

impl Error {
    /// A failed run, with the file of the model that was run.
    pub(crate) fn of_model(self, file: &Path) -> Self {
        let of = |size| format!("{size} with {}", Show(file.display()));
        match self {
            Self::Inference { size, reason } => Self::Inference {
                size: of(size),
                reason,
            },
            Self::OutOfMemory { size, reason } => Self::OutOfMemory {
                size: of(size),
                reason,
            },
            other => other,
        }
    }
}

fn runtime_text(candidates: &[RuntimeCandidate]) -> String {
    use std::fmt::Write;
    let mut text = String::from(
        "no usable ONNX Runtime (1.21 or newer) was found. Install one with `pip install onnxruntime`, \
         or set ORT_DYLIB_PATH to a libonnxruntime.so. Looked in:",
    );
    for candidate in candidates {
        let _ = write!(
            text,
            "\n  {} ({}): {}",
            candidate.path.display(),
            candidate.origin,
            candidate.reason
        );
    }
    text
}
