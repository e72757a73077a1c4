//! The one error of the plugin; each variant says what is wrong and what to do, and maps to a GStreamer
//! domain.

use std::path::PathBuf;

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

/// Where ONNX Runtime has more to say than its error.
const MORE: &str = "GST_DEBUG=depthanything:5,onnxruntime:4 tells more";

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

    /// A property's value can't be used with this model or machine.
    #[error("property {property}: {reason}")]
    Setting {
        /// The property's name.
        property: &'static str,
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
    #[error("out of memory at {size}: {}. Lower `resolution`", Show(.reason))]
    OutOfMemory {
        /// The network size of the run, as text.
        size: String,
        /// ONNX Runtime's words.
        reason: String,
    },

    /// Somebody ended it from outside: the element is stopped.
    #[error("loading was cancelled")]
    Cancelled,
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

impl Error {
    /// As an error message for `post_error_message` or a failed `start`.
    pub fn to_message(&self) -> gst::ErrorMessage {
        match self {
            Self::Runtime(_) => gst::error_msg!(gst::LibraryError::Init, ("{self}")),
            Self::ModelFile { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{self}")),
            Self::ModelInvalid { .. } => gst::error_msg!(gst::StreamError::Format, ("{self}")),
            Self::ModelUnsupported { .. } => {
                gst::error_msg!(gst::StreamError::WrongType, ("{self}"))
            }
            Self::Provider { .. } => {
                gst::error_msg!(gst::LibraryError::Init, ("{self}"), ["{MORE}"])
            }
            Self::Setting { .. } => gst::error_msg!(gst::LibraryError::Settings, ("{self}")),
            Self::Frame { .. } => gst::error_msg!(gst::StreamError::Format, ("{self}")),
            Self::Inference { .. } => {
                gst::error_msg!(gst::StreamError::Failed, ("{self}"), ["{MORE}"])
            }
            Self::OutOfMemory { .. } => {
                gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{self}"))
            }
            Self::Cancelled => gst::error_msg!(gst::ResourceError::Busy, ("{self}")),
        }
    }
}
