//! The engine on the CUDA and TensorRT execution providers. These need another ONNX Runtime than the other tests:
//!
//! ```text
//! pip install --no-deps --target FOLDER onnxruntime-gpu
//! ORT_DYLIB_PATH=FOLDER cargo test --test engine_nvidia -- --ignored
//! ```

mod engine_support;

use engine_support::*;
use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::InputSize;
use gstdepthanything::inference::{self, ExecutionProvider, Progress};
use gstdepthanything::model::ModelSource;

/// Where there is a GPU and its libraries the provider has to give what the CPU gives; elsewhere it has to say what
/// is missing.
#[track_caller]
fn runs_or_says_why(provider: ExecutionProvider) {
    plain_runtime();
    match inference::open(&config(ModelSource::Builtin, provider), &mut |_| {}) {
        Ok(mut network) => {
            let description = network.description().clone();
            println!("{description:?}");
            assert_eq!(description.provider, provider.ort_name());
            assert_eq!(description.input_size, InputSize::Any);
            assert!(description.placement.is_some());
            let mut plain = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
            let size = Size::new(252, 182);
            let values = noise(3 * size.area());
            let here = run(&mut *network, &values, 1, size);
            let there = run(&mut *plain, &values, 1, size);
            let worst = std::iter::zip(&here.values, &there.values)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst < 0.02, "{worst}");
        }
        Err(Error::Provider {
            provider: name,
            reason,
        }) => {
            println!("{reason}");
            assert_eq!(name, provider.name());
            let library = reason.split_once(" is missing; ");
            let is_named = library.is_some_and(|(library, _)| library.contains(".so"));
            assert!(is_named || reason.contains("GPU"), "{reason}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "needs onnxruntime-gpu"]
fn cuda() {
    runs_or_says_why(ExecutionProvider::Cuda);
}

#[test]
#[ignore = "needs onnxruntime-gpu"]
fn tensorrt() {
    runs_or_says_why(ExecutionProvider::Tensorrt);
}

#[test]
#[ignore = "needs onnxruntime-gpu"]
fn auto_takes_what_works_and_keeps_the_reasons() {
    plain_runtime();
    let mut reasons = Vec::new();
    let network = inference::open(
        &config(ModelSource::Builtin, ExecutionProvider::Auto),
        &mut |progress| {
            if let Progress::Fallback { reason, .. } = progress {
                reasons.push(reason);
            }
        },
    )
    .expect("the CPU at least");
    assert_eq!(network.description().fallbacks, reasons);
    if network.description().provider == ExecutionProvider::Cpu.ort_name() {
        assert_eq!(reasons.len(), 2, "{reasons:?}");
    }
}
