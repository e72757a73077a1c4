//! What ONNX Runtime's errors mean.

use ort::ErrorCode;

use crate::error::Error;
use crate::geometry::Size;
use crate::inference::onnx::ep::{ExecutionProvider, provider_error, trimmed};
use crate::inference::onnx::runtime::Runtime;
use crate::model::ModelFacts;

/// A run failed.
pub(super) fn run(size: Size, error: &ort::Error) -> Error {
    let reason = trimmed(error.message());
    if is_out_of_memory(error.message()) {
        Error::OutOfMemory {
            size: size.to_string(),
            reason,
        }
    } else {
        result(size, reason)
    }
}

/// What a run gave can't be used.
pub(super) fn result(size: Size, reason: String) -> Error {
    let size = size.to_string();
    if is_out_of_memory(&reason) {
        Error::OutOfMemory { size, reason }
    } else {
        Error::Inference { size, reason }
    }
}

/// A provider could not be registered; `logged` are the errors that ONNX Runtime logged meanwhile.
pub(super) fn provider(
    provider: ExecutionProvider,
    error: &ort::Error,
    logged: &[String],
) -> Error {
    provider_error(provider, error.message(), logged)
}

/// A session could not be made.
pub(super) fn load(
    provider: ExecutionProvider,
    facts: &ModelFacts,
    runtime: &Runtime,
    error: &ort::Error,
    logged: &[String],
) -> Error {
    if is_out_of_memory(error.message()) {
        return Error::OutOfMemory {
            size: "load".to_owned(),
            reason: trimmed(error.message()),
        };
    }
    let is_too_new = is_too_new(error.message()) || error.code() == ErrorCode::NotImplemented;
    let is_model = matches!(
        error.code(),
        ErrorCode::InvalidProtobuf
            | ErrorCode::InvalidGraph
            | ErrorCode::NoModel
            | ErrorCode::NoSuchFile
    );
    if provider != ExecutionProvider::Cpu && !is_model && !is_too_new {
        return provider_error(provider, error.message(), logged);
    }
    let mut reason = trimmed(error.message());
    if is_too_new {
        reason = format!(
            "ONNX Runtime {} can't run it ({reason}); update it with `pip install --upgrade onnxruntime`, or export the \
             model with an older opset",
            runtime.version()
        );
    }
    Error::ModelInvalid {
        model: facts.label.clone(),
        reason,
    }
}

/// Operators or file formats of a later ONNX than this runtime knows.
fn is_too_new(words: &str) -> bool {
    [
        "only *guarantees* support for models stamped with official released onnx opset versions",
        "Unsupported model IR version",
        "is not a registered function/op",
        "No Op registered for",
        "Could not find an implementation for",
    ]
    .iter()
    .any(|part| words.contains(part))
}

fn is_out_of_memory(words: &str) -> bool {
    let words = words.to_lowercase();
    [
        "failed to allocate memory",
        "bad_alloc",
        "bad allocation",
        "out of memory",
        "out_of_memory",
        "smaller than requested bytes",
        "cannot allocate memory",
    ]
    .iter()
    .any(|part| words.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_memory_is_recognised() {
        for words in [
            "Non-zero status code returned while running MatMul node. Name:'m' Status Message: \
             /onnxruntime/bfc_arena.cc:376 void* AllocateRawInternal(size_t) Failed to allocate memory for requested \
             buffer of size 7516192768",
            "std::bad_alloc",
            "CUDA failure 2: out of memory ; GPU=0",
            "Available memory of 5 is smaller than requested bytes of 7",
        ] {
            assert!(is_out_of_memory(words), "{words}");
        }
        assert!(!is_out_of_memory("Got invalid dimensions for input"));
    }

    #[test]
    fn later_onnx_is_recognised() {
        assert!(is_too_new(
            "Fatal error: com.example:Magic(-1) is not a registered function/op"
        ));
        assert!(is_too_new(
            "Unsupported model IR version: 99, max supported IR version: 13"
        ));
        assert!(!is_too_new("Load model failed: Protobuf parsing failed."));
    }
}
