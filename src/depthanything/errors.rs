//! The plugin's errors as GStreamer's: their domains, and what the element's properties are called in them.

use crate::error::{Error, Setting};

/// Where ONNX Runtime has more to say than its error.
const MORE: &str = "GST_DEBUG=depthanything:5,onnxruntime:4 tells more";

/// What GStreamer is told of an error.
pub(super) trait ToMessage {
    /// As an error message for `post_error_message` or a failed `start`.
    fn to_message(&self) -> gst::ErrorMessage;
}

impl ToMessage for Error {
    fn to_message(&self) -> gst::ErrorMessage {
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
            Self::Setting { setting, reason } => {
                let name = property(*setting);
                gst::error_msg!(gst::LibraryError::Settings, ("property {name}: {reason}"))
            }
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

/// The element's property that a setting is.
fn property(setting: Setting) -> &'static str {
    match setting {
        Setting::Device => "device",
        Setting::Precision => "precision",
        Setting::InputNormalization => "input-normalization",
        Setting::Output => "output",
        Setting::Range => "range",
        Setting::InFlight => "in-flight",
        Setting::MemoryLimit => "memory-limit",
        Setting::MinResolution => "min-resolution",
    }
}

#[cfg(test)]
mod tests {
    use gst::prelude::*;

    use super::*;

    #[test]
    fn settings_are_properties() {
        gst::init().expect("GStreamer");
        let element = glib::Object::new::<super::super::DepthAnything>();
        for setting in [
            Setting::Device,
            Setting::Precision,
            Setting::InputNormalization,
            Setting::Output,
            Setting::Range,
            Setting::InFlight,
            Setting::MemoryLimit,
            Setting::MinResolution,
        ] {
            let name = property(setting);
            assert!(element.find_property(name).is_some(), "{name}");
        }
    }
}
