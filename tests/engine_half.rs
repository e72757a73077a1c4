//! Models rewritten in half precision, run on the CPU: it computes half precision in f32 and rounds each result.

mod engine_support;

use engine_support::*;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::ExecutionProvider;
use gstdepthanything::inference::backend::InputSize;
use gstdepthanything::model::proto::ModelProto;
use gstdepthanything::model::proto::tensor_proto::DataType;
use gstdepthanything::model::rewrite::{fuse_attention, to_half};
use gstdepthanything::model::{Budget, Model, ModelSource};
use prost::Message;

fn decode(source: &ModelSource) -> ModelProto {
    let model = Model::read(source, &Budget::default()).expect("a model");
    model.proto().clone()
}

/// The model at `source` in half precision, in a file.
fn halved(source: &ModelSource, fuse: bool) -> (tempfile::TempDir, ModelSource) {
    let mut model = decode(source);
    if fuse {
        model = fuse_attention(model).0;
    }
    let model = to_half(model, None).expect("half precision");
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("half.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("file");
    (folder, ModelSource::File(path))
}

/// The largest difference between both at one size, in units of the range.
fn difference(source: &ModelSource, half: &ModelSource) -> f32 {
    plain_runtime();
    let mut full = open(&config(source.clone(), ExecutionProvider::Cpu));
    let mut half = open(&config(half.clone(), ExecutionProvider::Cpu));
    let patch = full.description().patch;
    assert_eq!(half.description().kind, full.description().kind);
    assert_eq!(half.description().patch, patch);
    assert_eq!(half.description().input_size, full.description().input_size);
    let size = match full.description().input_size {
        InputSize::Fixed(size) => size,
        InputSize::Any => Size::new(9 * patch, 7 * patch),
    };
    let values = noise(3 * size.area());
    let expected = run(&mut *full, &values, 1, size).values;
    let found = run(&mut *half, &values, 1, size).values;
    let (low, high) = expected
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    std::iter::zip(&expected, &found)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
        / (high - low)
}

/// Weights of convolutions and matrix products in f16, of all.
fn half_weights(source: &ModelSource) -> (usize, usize) {
    let graph = decode(source).graph.expect("a graph");
    let large = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.dims.len() > 1 && tensor.raw_data().len() > 256);
    let half = large
        .clone()
        .filter(|tensor| tensor.data_type() == DataType::Float16 as i32);
    (half.count(), large.count())
}

#[test]
fn the_built_in_model_in_half_precision() {
    for fuse in [false, true] {
        let (_folder, half) = halved(&ModelSource::Builtin, fuse);
        let difference = difference(&ModelSource::Builtin, &half);
        // less would be f32
        assert!((1e-5..2e-2).contains(&difference), "{difference}");
    }
}

#[test]
fn transformers_in_half_precision() {
    for name in [
        "transformers-eager",
        "transformers-sdpa",
        "transformers-sdpa-dynamo",
    ] {
        let source = zoo(&format!("attention/{name}"));
        for fuse in [false, true] {
            let (_folder, half) = halved(&source, fuse);
            let (count, of) = half_weights(&half);
            assert!(of > 0 && count > of / 2, "{name}: {count} of {of}");
            let difference = difference(&source, &half);
            assert!((1e-6..2e-2).contains(&difference), "{name}: {difference}");
        }
    }
}

#[test]
fn the_zoo_in_half_precision() {
    for name in [
        "image-depth",
        "pixel-values",
        "static-square",
        "rank-2",
        "one-view",
        "v1",
        "patch-16",
        "patch-rearranged",
        "coarse",
        "depth-third",
        "metric-indoor",
        "metric-outdoor",
        "metric-divided",
        "external",
        "unsorted",
    ] {
        let source = zoo(name);
        let (_folder, half) = halved(&source, false);
        let difference = difference(&source, &half);
        assert!(difference < 1e-2, "{name}: {difference}");
    }
}

#[test]
fn what_can_not_be_followed_is_told() {
    for (name, words) in [
        ("metric-function", "functions"),
        ("metric-if", "branches or loops (If)"),
        ("int8-qdq", "operator"),
        ("q4", "operator MatMulNBits"),
    ] {
        let error = to_half(decode(&zoo(name)), None).expect_err(name);
        assert!(error.contains(words), "{name}: {error}");
    }
}
