//! Attention is fused by the engine without being asked, and gives the depth of the plain graph.

mod engine_support;

use engine_support::{noise, open, plain_runtime, run, zoo};
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::{Config, ExecutionProvider};
use gstdepthanything::model::ModelSource;

fn config(model: ModelSource) -> Config {
    engine_support::config(model, ExecutionProvider::Cpu)
}

/// The largest difference between the depth of both at `size`, in units of the range.
fn difference(model: ModelSource, attentions: usize, size: Size) -> f32 {
    plain_runtime();
    let mut fused = open(&config(model.clone()));
    assert_eq!(
        fused.description().fused_attentions,
        attentions,
        "{model:?}"
    );
    let mut plain = open(&Config {
        rewrite: false,
        ..config(model)
    });
    assert_eq!(plain.description().fused_attentions, 0);
    assert_eq!(fused.description().notes, plain.description().notes);
    assert_eq!(fused.description().batch, plain.description().batch);
    assert_eq!(
        fused.description().input_size,
        plain.description().input_size
    );

    let values = noise(3 * size.area());
    let fused = run(&mut *fused, &values, 1, size);
    let plain = run(&mut *plain, &values, 1, size);
    assert_eq!(fused.size, plain.size);
    let (low, high) = plain
        .values
        .iter()
        .fold((f32::MAX, f32::MIN), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
    assert!(high > low);
    let pairs = fused.values.iter().zip(&plain.values);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / (high - low)
}

#[test]
fn a_transformer_is_fused() {
    let model = || zoo("attention/transformers-eager");
    for size in [Size::new(70, 42), Size::new(126, 140)] {
        assert!(difference(model(), 4, size) < 1e-4);
    }
}

#[test]
fn the_built_in_model_is_fused() {
    let size = Size::new(98, 70);
    assert!(difference(ModelSource::Builtin, 4, size) < 1e-4);
}

/// By its form this attention can be fused; ONNX Runtime's operator does not take its keys.
#[test]
fn what_does_not_run_fused_runs_as_it_is_and_says_so() {
    plain_runtime();
    let size = Size::new(70, 42);
    let mut network = open(&config(zoo("attention-memory")));
    let description = network.description();
    assert_eq!(description.fused_attentions, 0);
    assert_eq!(description.batch, None);
    let [note] = &description.notes[..] else {
        panic!("{:?}", description.notes);
    };
    assert!(note.contains("run as it is"), "{note}");
    let mut plain = open(&Config {
        rewrite: false,
        ..config(zoo("attention-memory"))
    });
    assert!(plain.description().notes.is_empty());
    let values = noise(3 * size.area());
    assert_eq!(
        run(&mut *network, &values, 1, size).values,
        run(&mut *plain, &values, 1, size).values
    );
}

#[test]
fn weights_are_found_behind_links_and_odd_names() {
    let ModelSource::File(original) = zoo("attention/transformers-sdpa") else {
        unreachable!()
    };
    let folder = tempfile::tempdir().expect("folder");
    let blobs = folder.path().join("blobs");
    let snapshot = folder.path().join("snapshot é 日");
    for folder in [&blobs, &snapshot] {
        std::fs::create_dir(folder).expect("folder");
    }
    let blob = blobs.join("0123abcd");
    let link = snapshot.join("mödel.onnx");
    std::fs::copy(original, &blob).expect("copy");
    std::os::unix::fs::symlink(&blob, &link).expect("link");
    assert!(difference(ModelSource::File(link), 4, Size::new(70, 42)) < 1e-4);
}

#[test]
fn what_has_no_attention_is_left() {
    plain_runtime();
    for name in ["pixel-values", "metric-if", "int8-qdq"] {
        let network = open(&config(zoo(name)));
        assert_eq!(network.description().fused_attentions, 0, "{name}");
    }
}
