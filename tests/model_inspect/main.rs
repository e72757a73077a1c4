//! What the small models of `tests/models/` say of themselves. No ONNX Runtime is needed.

#[cfg(unix)]
mod links;
mod runnable;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::model::{
    DepthKind, ElementType, ImageInput, InputSize, ModelFacts, ModelSource, TensorInfo, inspect,
    inspect_bytes, select_input, select_output, settle_output,
};

use runnable::runnable;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

fn source(name: &str) -> ModelSource {
    ModelSource::File(folder().join(format!("{name}.onnx")))
}

fn facts(name: &str) -> ModelFacts {
    inspect(&source(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn outputs(facts: &ModelFacts) -> Vec<TensorInfo> {
    facts
        .outputs
        .iter()
        .map(|output| output.tensor.clone())
        .collect()
}

#[test]
fn models_that_run() {
    for (name, expected) in runnable() {
        let facts = facts(name);
        assert_eq!(facts.name, name);
        assert_eq!(facts.kind, expected.kind, "{name}");
        assert_eq!(
            facts.has_patch_embedding,
            expected.patch.is_some(),
            "{name}"
        );
        let patch = expected.patch.or(expected.stride).unwrap_or(14);
        assert_eq!(facts.patch, patch, "{name}");
        assert_eq!(facts.quantized, expected.quantized, "{name}");
        let channels = (name != "patch-rearranged").then_some(3);
        assert_eq!(facts.channels, channels, "{name}");

        let image =
            select_input(&facts, &facts.inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(image.input_size(), expected.size, "{name}");
        assert_eq!(image.batch, expected.batch, "{name}");
        assert_eq!(image.element, expected.element, "{name}");
        assert_eq!(image.layout, expected.layout, "{name}");
        let normalization = &image.normalization;
        assert_eq!(normalization.value, expected.normalization, "{name}");
        // a convolution over the whole image is not said to be normalised before it
        let assumed = expected.patch.is_none() && expected.stride.is_none();
        assert_eq!(
            normalization.is_certain, !assumed,
            "{name}: {normalization:?}"
        );
        let quantised = image.quantization.is_some();
        assert_eq!(quantised, name == "bytes-quantised", "{name}");
        assert_eq!(
            image.has_views,
            name.ends_with("-view") || name.ends_with("-views"),
            "{name}"
        );

        let outputs = outputs(&facts);
        let depth = if name == "untyped-output" || name == "metric-if" {
            // a runtime tells at least the type
            let known = outputs
                .into_iter()
                .map(|output| TensorInfo {
                    element: ElementType::F32,
                    ..output
                })
                .collect::<Vec<_>>();
            let depth = select_output(&facts, &known).unwrap();
            known[depth.index].name.clone()
        } else {
            let depth =
                select_output(&facts, &outputs).unwrap_or_else(|error| panic!("{name}: {error}"));
            outputs[depth.index].name.clone()
        };
        assert_eq!(depth, expected.depth, "{name}");
        assert_eq!(facts.kind_of(&depth), expected.kind, "{name}");
        let meaning = facts.depth_of(&depth);
        assert_eq!(meaning.is_certain, is_certain(name), "{name}: {meaning:?}");
        assert_eq!(
            facts.activation_of(&depth),
            Some(&expected.activation),
            "{name}"
        );
    }
}

/// Whether a model of the zoo tells what its numbers are.
fn is_certain(name: &str) -> bool {
    let any = [
        "no-patch",
        "disparity",
        "scaled-disparity",
        "nan",
        "nan-bright",
        "inf",
        "constant",
        "negative",
    ];
    !name.starts_with("doubt-") && !any.contains(&name)
}

#[test]
fn trial_run_settles_outputs_that_are_alike() {
    let facts = facts("trial-settles");
    let outputs = outputs(&facts);
    let depth = select_output(&facts, &outputs).unwrap();
    assert_eq!(depth.candidates, [0, 2, 1], "those that end in Relu first");
    let shapes = [vec![1, 8, 3, 5], vec![1, 1, 42, 70], vec![1, 1, 1, 5]];
    let settled = settle_output(&facts, &outputs, &depth, &shapes, 1, Size::new(70, 42)).unwrap();
    assert_eq!(settled, (2, Size::new(70, 42)));

    let features = [vec![1, 8, 3, 5], vec![1, 4, 42, 70], vec![1, 1, 1, 5]];
    let error =
        settle_output(&facts, &outputs, &depth, &features, 1, Size::new(70, 42)).unwrap_err();
    assert!(error.to_string().contains("[1, 4, 42, 70]"), "{error}");
}

#[test]
fn facts_beside_the_form() {
    let v1 = facts("v1");
    assert_eq!((v1.ir_version, v1.opset(), v1.inputs.len()), (3, 11, 1));
    let q4 = facts("q4");
    assert_eq!(
        q4.contrib_operators,
        BTreeSet::from(["com.microsoft:MatMulNBits".to_owned()])
    );
    assert_eq!(q4.producer, "tests/models/generate.py");
    let external = facts("external");
    assert_eq!(
        external.external_data,
        [folder().join("external.onnx_data")]
    );
    assert_eq!(facts("image-depth").external_data, [] as [PathBuf; 0]);
    for (name, half) in [
        ("image-depth", false),
        ("f16", true),
        ("f16-inside", true),
        ("q4", false),
    ] {
        assert_eq!(facts(name).half_precision, half, "{name}");
    }
}

#[test]
fn the_built_in_model() {
    let facts = inspect(&ModelSource::Builtin).unwrap();
    // its weights are stored in half precision and cast at once
    assert!(!facts.half_precision);
    assert_eq!((facts.kind, facts.patch), (DepthKind::Relative, 14));
    let image = select_input(&facts, &facts.inputs).unwrap();
    assert_eq!((image.input_size(), image.batch), (InputSize::Any, None));
    assert!(image.normalization.is_certain);
    assert!(facts.depth_of(&facts.outputs[0].tensor.name).is_certain);
    assert!(select_output(&facts, &outputs(&facts)).is_ok());
}

#[test]
fn shapes_of_an_image() {
    let shape = |name: &str, batch| -> Vec<i64> {
        let facts = facts(name);
        let image: ImageInput = select_input(&facts, &facts.inputs).unwrap();
        image.shape(batch, Size::new(70, 42))
    };
    assert_eq!(shape("pixel-values", 2), [2, 3, 42, 70]);
    assert_eq!(shape("one-view", 1), [1, 1, 3, 42, 70]);
    assert_eq!(shape("nhwc", 1), [1, 42, 70, 3]);
    assert_eq!(shape("nhwc-one-view", 1), [1, 1, 42, 70, 3]);
}

/// Files that can't be read, and a piece of what is said about each.
const UNREADABLE: &[(&str, &str)] = &[
    ("bad-empty", "the file is empty"),
    ("bad-truncated", "cut short"),
    ("bad-random", "not an ONNX file"),
    ("bad-page", "this is a web page"),
    ("bad-pointer", "git lfs pull"),
    (
        "external-missing",
        "external-missing.onnx_data: no such file",
    ),
    (
        "external-short",
        "external-short.onnx_data: the model's weights need 2352 bytes, but it has only 1000",
    ),
    ("external-escape", "may only lie in its own folder"),
    ("external-absolute", "may only lie in its own folder"),
];

#[test]
fn files_that_are_no_models() {
    for (name, words) in UNREADABLE {
        let error = inspect(&source(name)).expect_err(name);
        assert!(error.to_string().contains(words), "{name}: {error}");
        assert_eq!(
            matches!(error, Error::ModelFile { .. }),
            name.starts_with("external"),
            "{name}"
        );
    }
    let error = inspect(&source("there-is-none")).unwrap_err();
    assert!(
        matches!(&error, Error::ModelFile { path, reason } if path.ends_with("there-is-none.onnx") && reason == "no such file")
    );
    let error = inspect(&ModelSource::File(folder())).unwrap_err();
    assert!(error.to_string().contains("it is a folder"), "{error}");
}

/// Sound models that are no monocular depth networks, and a piece of what is said about each.
const REFUSED: &[(&str, &str)] = &[
    ("no-image", "`input_ids` int64 [batch, sequence], of rank 2"),
    (
        "two-views",
        "[1, 2, 3, height, width], with 2 views or frames at once",
    ),
    (
        "window-32",
        "[1, 32, 3, height, width], with 32 views or frames at once",
    ),
    ("window-32-flat", "a window of 32 frames"),
    ("gray-image", "with 1 channel instead of 3"),
    ("rgba-image", "with 4 channels"),
    ("gray-inside", "takes 1 channel instead of 3"),
    ("stereo", "2 image inputs"),
    (
        "focal-length",
        "besides the image also the input `focal_length` float32 [1]",
    ),
    ("classifier", "the output `logits` float32 [1, 10]"),
    (
        "segmentation",
        "the output `classes` int64 [1, height, width]",
    ),
];

#[test]
fn models_of_another_kind() {
    for (name, words) in REFUSED {
        let facts = facts(name);
        let error = select_input(&facts, &facts.inputs)
            .err()
            .or_else(|| {
                let outputs = outputs(&facts);
                let depth = match select_output(&facts, &outputs) {
                    Err(error) => return Some(error),
                    Ok(depth) => depth,
                };
                // what a trial run of the classifier gives
                settle_output(
                    &facts,
                    &outputs,
                    &depth,
                    &[vec![1, 10]],
                    1,
                    Size::new(70, 42),
                )
                .err()
            })
            .unwrap_or_else(|| panic!("{name} is not refused"));
        assert!(matches!(error, Error::ModelUnsupported { .. }), "{name}");
        let text = error.to_string();
        assert!(text.contains(words), "{name}: {text}");
        assert!(
            text.contains("wanted one image input") || text.contains("wanted a depth output"),
            "{name}: {text}"
        );
    }
}

#[test]
fn no_model_of_the_folder_is_left_out() {
    let mut named: BTreeSet<_> = runnable()
        .into_iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    named.extend(
        UNREADABLE
            .iter()
            .chain(REFUSED)
            .map(|(name, _)| (*name).to_owned()),
    );
    named.insert("trial-settles".to_owned());
    let present: BTreeSet<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "onnx")
        })
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(named, present);
}

/// Damage of any kind gives an error or other facts, never a panic.
#[test]
fn damage_does_not_panic() {
    for name in [
        "metric-if",
        "metric-function",
        "int8-qdq",
        "external",
        "inside-if",
        "inside-folded",
    ] {
        let source = source(name);
        let whole = source.bytes().unwrap();
        for length in 0..whole.len() {
            let result = inspect_bytes(&source, whole.slice(..length));
            // behind the graph come operator sets and functions, of which fewer may do
            let in_graph = length < whole.len() - if name == "metric-function" { 300 } else { 30 };
            assert!(
                result.is_err() || !in_graph,
                "{name} cut to {length} of {} bytes",
                whole.len()
            );
        }
        let mut random = 1_u32;
        for _ in 0..2000 {
            let mut bytes = whole.to_vec();
            for _ in 0..3 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = random as usize % bytes.len();
                bytes[at] ^= (random >> 24) as u8;
            }
            if let Ok(facts) = inspect_bytes(&source, bytes.into()) {
                let _ = select_input(&facts, &facts.inputs);
                let _ = select_output(&facts, &outputs(&facts));
            }
        }
    }
}
