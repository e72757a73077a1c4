//! Every small model of `tests/models` end to end: those that are good give their numbers, the others a sentence.

mod engine_support;

use engine_support::*;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{DepthKind, InputNormalization, InputSize};
use gstdepthanything::inference::{ExecutionProvider, Network};
use gstdepthanything::model::ModelSource;
use gstdepthanything::model::proto::tensor_proto::DataType;
use gstdepthanything::model::proto::{ModelProto, NodeProto, TensorProto};
use prost::Message;

const LUMA: [f32; 3] = [0.25, 0.5, 0.25];

/// Pictures of one colour a patch, and 8 × the luma of each patch.
struct Pictures {
    values: Vec<f32>,
    eight_luma: Vec<f32>,
    columns: usize,
}

impl Pictures {
    fn new(batch: usize, size: Size, patch: u32, normalization: InputNormalization) -> Self {
        let (mean, deviation) = normalization.mean_and_deviation();
        let normalised = |value: f32, channel: usize| {
            ((f64::from(value) - mean[channel]) / deviation[channel]) as f32
        };
        let (columns, rows) = (size.width / patch, size.height / patch);
        let colours: Vec<[f32; 3]> = (0..batch as u32 * columns * rows)
            .map(|index| [7, 5, 3].map(|step| (index * step % 31) as f32 / 31.0))
            .collect();
        let mut values = Vec::new();
        for image in colours.chunks_exact((columns * rows) as usize) {
            for channel in 0..3 {
                for y in 0..size.height {
                    for x in 0..size.width {
                        let colour = image[(y / patch * columns + x / patch) as usize];
                        values.push(normalised(colour[channel], channel));
                    }
                }
            }
        }
        let luma = |colour: &[f32; 3]| {
            8.0 * std::iter::zip(colour, LUMA)
                .map(|(c, l)| c * l)
                .sum::<f32>()
        };
        Self {
            values,
            eight_luma: colours.iter().map(luma).collect(),
            columns: columns as usize,
        }
    }
}

/// What a model is made to give for 8 × luma.
type Value = fn(f32) -> f32;

/// Runs `network` and holds each patch of the depth to `value`, to `tolerance` of the largest.
#[track_caller]
fn check_numbers(network: &mut dyn Network, size: Size, patch: u32, value: Value, tolerance: f32) {
    let batch = network.description().batch.unwrap_or(1);
    let pictures = Pictures::new(batch, size, patch, network.description().normalization);
    let depth = run(network, &pictures.values, batch, size);
    let scale = size.width / depth.size.width;
    assert_eq!(
        depth.size,
        Size::new(size.width / scale, size.height / scale)
    );
    let cell = (patch / scale) as usize;
    let width = depth.size.width as usize;
    let most = pictures
        .eight_luma
        .iter()
        .map(|&l| value(l).abs())
        .fold(0.0, f32::max);
    for (index, &found) in depth.values.iter().enumerate() {
        let (x, y) = (index % width, index / width);
        let wanted = value(pictures.eight_luma[y / cell * pictures.columns + x / cell]);
        assert!(
            (found - wanted).abs() <= tolerance * most,
            "{size} at {x},{y}: {found} instead of {wanted}"
        );
    }
}

fn relative(eight_luma: f32) -> f32 {
    eight_luma
}

fn sigmoid(eight_luma: f32) -> f32 {
    1.0 / (1.0 + (4.0 - eight_luma).exp())
}

const SINGLE: f32 = 1e-4;
const HALF: f32 = 4e-3;
const BYTES: f32 = 0.05;

/// A model of any size: opens it, runs it at several sizes.
#[track_caller]
fn check_any(name: &str, kind: DepthKind, value: Value, tolerance: f32) {
    plain_runtime();
    let mut network = open(&config(zoo(name), ExecutionProvider::Cpu));
    let description = network.description();
    assert_eq!(description.model, name);
    assert_eq!(description.kind, kind);
    assert_eq!(description.input_size, InputSize::Any);
    assert!(description.notes.is_empty(), "{:?}", description.notes);
    let patch = description.patch;
    for (columns, rows) in [(4, 4), (5, 3), (9, 7), (2, 11)] {
        let size = Size::new(columns * patch, rows * patch);
        check_numbers(&mut *network, size, patch, value, tolerance);
    }
}

macro_rules! runs {
    ($($name:ident: $file:literal, $kind:ident, $value:expr, $tolerance:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check_any($file, DepthKind::$kind, $value, $tolerance);
            }
        )*
    };
}

runs! {
    image_depth: "image-depth", Relative, relative, SINGLE;
    pixel_values: "pixel-values", Relative, relative, SINGLE;
    rank_2: "rank-2", Relative, relative, SINGLE;
    rank_4: "rank-4", Relative, relative, SINGLE;
    channel_last_depth: "channel-last-depth", Relative, relative, SINGLE;
    one_view: "one-view", Relative, relative, SINGLE;
    unnamed_sides: "unnamed-sides", Relative, relative, SINGLE;
    untyped_output: "untyped-output", Relative, relative, SINGLE;
    f16: "f16", Relative, relative, HALF;
    f16_inside: "f16-inside", Relative, relative, HALF;
    f16_in_f32_out: "f16-in-f32-out", Relative, relative, HALF;
    unsorted: "unsorted", Relative, relative, HALF;
    v1: "v1", Relative, relative, SINGLE;
    patch_16: "patch-16", Relative, relative, SINGLE;
    patch_rearranged: "patch-rearranged", Relative, relative, SINGLE;
    coarse: "coarse", Relative, relative, SINGLE;
    full_precision: "full-precision", Relative, relative, SINGLE;
    depth_third: "depth-third", Relative, relative, SINGLE;
    depth_and_sky: "depth-and-sky", Distance, f32::exp, SINGLE;
    trial_settles: "trial-settles", Relative, relative, SINGLE;
    metric_indoor: "metric-indoor", Metric, |l| 20.0 * sigmoid(l), SINGLE;
    metric_outdoor: "metric-outdoor", Metric, |l| 80.0 * sigmoid(l), HALF;
    metric_divided: "metric-divided", Metric, |l| 20.0 * sigmoid(l), SINGLE;
    metric_function: "metric-function", Metric, |l| 20.0 * sigmoid(l), SINGLE;
    metric_if: "metric-if", Metric, |l| 20.0 * sigmoid(l), SINGLE;
    metric_optimized: "metric-optimized", Metric, |l| 20.0 * sigmoid(l), SINGLE;
    disparity: "disparity", Relative, sigmoid, SINGLE;
    scaled_disparity: "scaled-disparity", Relative, |l| 0.01 + 9.99 * sigmoid(l), SINGLE;
    int8_dynamic: "int8-dynamic", Relative, relative, BYTES;
    int8_operators: "int8-operators", Metric, |l| 20.0 * sigmoid(l), 2.0 * BYTES;
    int8_qdq: "int8-qdq", Metric, |l| 20.0 * sigmoid(l), BYTES;
    q4: "q4", Relative, relative, BYTES;
    bnb4: "bnb4", Relative, relative, BYTES;
    external: "external", Relative, relative, SINGLE;
    inside_unit: "inside-unit", Relative, relative, SINGLE;
    inside_byte: "inside-byte", Relative, relative, SINGLE;
    inside_byte_mean: "inside-byte-mean", Relative, relative, SINGLE;
    inside_folded: "inside-folded", Relative, relative, SINGLE;
    inside_batch: "inside-batch", Relative, relative, SINGLE;
    inside_convolution: "inside-convolution", Relative, relative, SINGLE;
    inside_depthwise: "inside-depthwise", Relative, relative, SINGLE;
    inside_symmetric: "inside-symmetric", Relative, relative, SINGLE;
    inside_function: "inside-function", Relative, relative, SINGLE;
    inside_if: "inside-if", Relative, relative, SINGLE;
    inside_moved: "inside-moved", Relative, relative, SINGLE;
    inside_clamped: "inside-clamped", Relative, relative, SINGLE;
    inside_split: "inside-split", Relative, relative, SINGLE;
    inside_put_back: "inside-put-back", Relative, relative, SINGLE;
    inside_quantised: "inside-quantised", Relative, relative, BYTES;
    pixel_range: "pixel-range", Relative, relative, SINGLE;
    nhwc: "nhwc", Relative, relative, SINGLE;
    nhwc_open: "nhwc-open", Relative, relative, SINGLE;
    nhwc_unit: "nhwc-unit", Relative, relative, SINGLE;
    nhwc_f16: "nhwc-f16", Relative, relative, HALF;
    nhwc_one_view: "nhwc-one-view", Relative, relative, SINGLE;
    bytes_image: "bytes-image", Relative, relative, HALF;
    bytes_last: "bytes-last", Relative, relative, HALF;
    bytes_plain: "bytes-plain", Relative, relative, HALF;
    bytes_quantised: "bytes-quantised", Relative, relative, HALF;
    doubt_relu: "doubt-relu", Relative, |l| 1.0 + l, SINGLE;
    doubt_scaled_relu: "doubt-scaled-relu", Relative, |l| 9.0 * l, SINGLE;
    doubt_clip: "doubt-clip", Relative, |l| 1.0 + l, SINGLE;
    doubt_softplus: "doubt-softplus", Relative, |l| (1.0 + l).exp().ln_1p(), SINGLE;
    doubt_reciprocal: "doubt-reciprocal", Relative, |l| 1.0 + l, SINGLE;
    doubt_divided: "doubt-divided", Relative, |l| 1.0 + l, SINGLE;
    doubt_bins: "doubt-bins", Relative, |l| 1.0 + l, BYTES;
    doubt_three: "doubt-three", Relative, |l| 1.0 + l, SINGLE;
    doubt_exp: "doubt-exp", Distance, |l| (l / 8.0).exp(), SINGLE;
    stride_32: "stride-32", Metric, |l| (l / 8.0).exp(), SINGLE;
    constant: "constant", Relative, |_| 0.5, SINGLE;
    negative: "negative", Relative, |l| -l, SINGLE;
}

#[test]
fn views_that_are_open_take_one() {
    plain_runtime();
    let mut network = open(&config(zoo("open-views"), ExecutionProvider::Cpu));
    check_numbers(&mut *network, Size::new(70, 42), 14, relative, SINGLE);
}

#[test]
fn fixed_sizes_are_kept_to() {
    plain_runtime();
    for (name, size) in [
        ("static-square", Size::new(56, 56)),
        ("static-wide", Size::new(70, 42)),
        ("fixed-height", Size::new(56, 56)),
    ] {
        let mut network = open(&config(zoo(name), ExecutionProvider::Cpu));
        assert_eq!(network.description().input_size, InputSize::Fixed(size));
        check_numbers(&mut *network, size, 14, relative, SINGLE);
        let other = Size::new(84, 84);
        let error = run_fails(&mut *network, 1, other);
        assert_eq!(
            error,
            format!("inference at 84×84 failed: this model takes {size} only")
        );
    }
}

#[test]
fn sides_that_only_seem_open_are_found_out() {
    plain_runtime();
    let mut network = open(&config(zoo("false-dynamic"), ExecutionProvider::Cpu));
    let size = Size::new(56, 56);
    assert_eq!(network.description().input_size, InputSize::Fixed(size));
    let notes = network.description().notes.concat();
    assert!(notes.contains("works at 56×56 only"), "{notes}");
    check_numbers(&mut *network, size, 14, relative, SINGLE);
}

#[test]
fn a_size_that_fails_is_told_and_the_next_one_runs() {
    plain_runtime();
    let mut network = open(&config(zoo("limited"), ExecutionProvider::Cpu));
    check_numbers(&mut *network, Size::new(224, 224), 14, relative, SINGLE);
    let error = run_fails(&mut *network, 1, Size::new(238, 224));
    assert!(
        error.starts_with("inference at 238×224 failed: "),
        "{error}"
    );
    assert!(!error.contains(".cc:"), "{error}");
    check_numbers(&mut *network, Size::new(140, 56), 14, relative, SINGLE);
}

#[test]
fn too_many_images_are_refused() {
    plain_runtime();
    let mut network = open(&config(zoo("image-depth"), ExecutionProvider::Cpu));
    assert_eq!(network.description().batch, Some(1));
    let error = run_fails(&mut *network, 2, Size::new(56, 56));
    assert!(error.contains("takes 1 image at a time, not 2"), "{error}");
}

#[test]
fn a_batch_of_fixed_length_takes_fewer_images() {
    plain_runtime();
    let mut network = open(&config(zoo("batch-2"), ExecutionProvider::Cpu));
    assert_eq!(network.description().batch, Some(2));
    let notes = network.description().notes.concat();
    assert!(notes.contains("takes 2 images in each run"), "{notes}");
    let size = Size::new(70, 42);
    check_numbers(&mut *network, size, 14, relative, SINGLE);
    let pictures = Pictures::new(2, size, 14, InputNormalization::Imagenet);
    let both = run(&mut *network, &pictures.values, 2, size);
    let image = 3 * size.area();
    for index in 0..2 {
        let alone = &pictures.values[index * image..][..image];
        let depth = run(&mut *network, alone, 1, size);
        assert_eq!(
            depth.values,
            both.values[index * size.area()..][..size.area()]
        );
    }
    run_fails(&mut *network, 3, size);
}

#[test]
fn what_is_no_number_comes_back_as_it_is() {
    plain_runtime();
    let mut network = open(&config(zoo("nan"), ExecutionProvider::Cpu));
    let notes = network.description().notes.concat();
    assert!(notes.contains("NaN"), "{notes}");
    let size = Size::new(56, 42);
    let depth = run(&mut *network, &noise(3 * size.area()), 1, size);
    assert!(depth.values.iter().all(|value| value.is_nan()));

    for name in ["nan-bright", "inf"] {
        let mut network = open(&config(zoo(name), ExecutionProvider::Cpu));
        let pictures = Pictures::new(1, size, 14, InputNormalization::Imagenet);
        let depth = run(&mut *network, &pictures.values, 1, size);
        let finite = depth
            .values
            .iter()
            .filter(|value| value.is_finite())
            .count();
        assert!(
            0 < finite && finite < depth.values.len(),
            "{name}: {finite}"
        );
    }
}

#[test]
fn precision_is_that_of_the_arithmetic() {
    plain_runtime();
    for (name, precision) in [
        ("image-depth", "fp32"),
        ("f16", "fp32"), // the CPU kernels compute in f32
        ("int8-dynamic", "int8"),
        ("q4", "fp32"), // only the weights are small
    ] {
        let network = open(&config(zoo(name), ExecutionProvider::Cpu));
        assert_eq!(network.description().precision, precision, "{name}");
    }
}

#[test]
fn what_is_no_depth_network_is_refused() {
    plain_runtime();
    for (name, found) in [
        ("no-image", "input_ids"),
        ("two-views", "2 views"),
        ("window-32", "32"),
        ("window-32-flat", "32 frames"),
        ("gray-image", "1 channel"),
        ("rgba-image", "4 channels"),
        ("gray-inside", "1 channel"),
        ("stereo", "2 image inputs"),
        ("focal-length", "also the input"),
        ("classifier", "output"),
        ("segmentation", "output"),
        ("bad-empty", "the file is empty"),
        ("bad-truncated", "cut short"),
        ("bad-random", "not an ONNX"),
        ("bad-page", "web page"),
        ("bad-pointer", "git lfs pull"),
        ("external-missing", "external-missing.onnx_data"),
        ("external-short", "external-short.onnx_data"),
        ("external-escape", "folder"),
        ("external-absolute", "absolute"),
        ("not-there", "no such file"),
    ] {
        let error = refused(&config(zoo(name), ExecutionProvider::Cpu)).to_string();
        assert!(
            error.contains(found) && error.contains(name),
            "{name}: {error}"
        );
    }
}

/// A copy of the zoo's `image-depth`, changed.
fn changed(change: impl FnOnce(&mut ModelProto)) -> (tempfile::TempDir, ModelSource) {
    let bytes = zoo("image-depth").bytes().expect("zoo");
    let mut model = ModelProto::decode(bytes).expect("ONNX");
    change(&mut model);
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("changed.onnx");
    std::fs::write(&file, model.encode_to_vec()).expect("file");
    (folder, ModelSource::File(file))
}

#[test]
fn models_from_the_future_ask_for_a_newer_runtime() {
    let version = plain_runtime().version().to_string();
    let too_new: [fn(&mut ModelProto); 3] = [
        |model| model.ir_version = Some(99),
        |model| model.opset_import[0].version = Some(99),
        |model| {
            let graph = model.graph.as_mut().expect("graph");
            graph.node[0].op_type = Some("DepthFromAPicture".to_owned());
        },
    ];
    for change in too_new {
        let (_folder, source) = changed(change);
        let error = refused(&config(source, ExecutionProvider::Cpu)).to_string();
        assert!(
            error.contains("changed.onnx is not a usable ONNX model"),
            "{error}"
        );
        assert!(
            error.contains(&version) && error.contains("update it"),
            "{error}"
        );
    }
}

#[test]
fn an_output_that_was_frozen_in_export_is_told() {
    plain_runtime();
    let (_folder, source) = changed(|model| {
        let graph = model.graph.as_mut().expect("graph");
        graph.node.last_mut().expect("node").output[0] = "open".to_owned();
        graph.initializer.push(TensorProto {
            name: Some("frozen".to_owned()),
            dims: vec![3],
            data_type: Some(DataType::Int64 as i32),
            int64_data: vec![1, 56, 70],
            ..TensorProto::default()
        });
        graph.node.push(NodeProto {
            op_type: Some("Resize".to_owned()),
            input: ["open", "", "", "frozen"].map(str::to_owned).to_vec(),
            output: vec!["depth".to_owned()],
            ..NodeProto::default()
        });
    });
    let mut network = open(&config(source, ExecutionProvider::Cpu));
    assert_eq!(network.description().input_size, InputSize::Any);
    let notes = network.description().notes.concat();
    assert!(
        notes.contains("always gives a depth map of 70×56"),
        "{notes}"
    );
    let size = Size::new(140, 140);
    let depth = run(&mut *network, &noise(3 * size.area()), 1, size);
    assert_eq!(depth.size, Size::new(70, 56));
}

#[test]
fn graphs_that_do_not_fit_together_are_refused() {
    plain_runtime();
    let (_folder, source) = changed(|model| {
        let graph = model.graph.as_mut().expect("graph");
        graph.node[0].input[0] = "nothing_makes_this".to_owned();
    });
    let error = refused(&config(source, ExecutionProvider::Cpu)).to_string();
    assert!(error.contains("not a usable ONNX model"), "{error}");
    assert!(error.contains("nothing_makes_this"), "{error}");
}

/// Every file of the zoo is in one of these tests, or of those of fusion.
#[test]
fn the_zoo_is_complete() {
    let this = [
        include_str!("engine_zoo.rs"),
        include_str!("engine_fusion.rs"),
    ]
    .concat();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
    for entry in std::fs::read_dir(folder).expect("zoo").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".onnx") {
            assert!(
                this.contains(&format!("\"{name}\"")),
                "{name} is in no test"
            );
        }
    }
}

#[test]
fn a_network_without_patches_takes_sides_of_14() {
    plain_runtime();
    let mut network = open(&config(zoo("no-patch"), ExecutionProvider::Cpu));
    assert_eq!(network.description().patch, 14);
    assert_eq!(network.description().input_size, InputSize::Any);
    let size = Size::new(70, 42);
    let depth = run(
        &mut *network,
        &Pictures::new(1, size, 14, InputNormalization::Imagenet).values,
        1,
        size,
    );
    assert_eq!(depth.size, size);
}
