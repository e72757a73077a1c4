//! Graphs as exporters spell them, run as they are and rewritten (attention fused, tables resized by matrix products):
//! the numbers must not change.

mod engine_support;

use std::path::{Path, PathBuf};

use engine_support::noise;
use gstdepthanything::model::ModelSource;
use gstdepthanything::model::proto::attribute_proto::AttributeType;
use gstdepthanything::model::proto::tensor_proto::DataType;
use gstdepthanything::model::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto,
};
use gstdepthanything::model::rewrite::{fuse_attention, separate_resizes};
use half::f16;
use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{Tensor, TensorElementType, ValueType};
use prost::Message;

/// In units of the range of the plain numbers.
const TOLERANCE: f32 = 1e-4;
/// Width of the embedding of the graphs that take tokens.
const WIDTH: usize = 16;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/attention")
}

/// The environment that sessions are made in: one in a process.
fn environment() -> &'static Environment {
    engine_support::plain_runtime().environment()
}

fn read(path: &Path) -> (ModelProto, bytes::Bytes) {
    let bytes = ModelSource::File(path.to_owned())
        .bytes()
        .expect("model file");
    (ModelProto::decode(bytes.clone()).expect("model"), bytes)
}

fn builder() -> SessionBuilder {
    Session::builder(environment())
        .expect("builder")
        .with_intra_threads(1)
        .expect("threads")
}

fn session(bytes: &[u8]) -> Session {
    builder().commit_from_memory(bytes).expect("session")
}

/// Runs on noise of this shape; numbers of each output come back as one list.
fn run(session: &mut Session, shape: &[usize]) -> Vec<f32> {
    let input = &session.inputs()[0];
    let half = matches!(
        input.dtype(),
        ValueType::Tensor {
            ty: TensorElementType::Float16,
            ..
        }
    );
    let values = noise(shape.iter().product());
    let input = if half {
        let values: Vec<f16> = values.into_iter().map(f16::from_f32).collect();
        Tensor::from_array((shape.to_vec(), values))
            .expect("input")
            .into_dyn()
    } else {
        Tensor::from_array((shape.to_vec(), values))
            .expect("input")
            .into_dyn()
    };
    let outputs = session.run(vec![("input", input)]).expect("run");
    let output = &outputs[0];
    match output.try_extract_tensor::<f32>() {
        Ok((_, values)) => values.to_vec(),
        Err(_) => {
            let (_, values) = output.try_extract_tensor::<f16>().expect("numbers");
            values.iter().map(|value| value.to_f32()).collect()
        }
    }
}

#[track_caller]
fn is_same(name: &str, plain: &[f32], fused: &[f32], tolerance: f32) {
    assert_eq!(plain.len(), fused.len(), "{name}");
    let low = plain.iter().copied().fold(f32::INFINITY, f32::min);
    let high = plain.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!(high - low > 1e-3, "{name}: a flat result proves nothing");
    let error = plain
        .iter()
        .zip(fused)
        .map(|(plain, fused)| (plain - fused).abs())
        .fold(0.0, |largest: f32, error| {
            if error.is_nan() {
                f32::INFINITY
            } else {
                largest.max(error)
            }
        });
    let relative = error / (high - low);
    assert!(relative <= tolerance, "{name}: {relative} of the range");
}

/// The table in the folder's README: name and number of attentions.
fn table() -> Vec<(String, usize)> {
    let text = std::fs::read_to_string(folder().join("README.md")).expect("README");
    text.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.strip_suffix(".onnx`")?.to_owned();
            let count = cells.last()?.strip_suffix(" |")?.parse().ok()?;
            Some((name, count))
        })
        .collect()
}

fn shapes(name: &str) -> Vec<Vec<usize>> {
    if name.starts_with("transformers") {
        vec![vec![1, 3, 42, 70], vec![1, 3, 84, 56]]
    } else if name.contains("static") {
        vec![vec![1, 11, WIDTH]]
    } else {
        vec![vec![2, 11, WIDTH], vec![3, 37, WIDTH]]
    }
}

#[test]
fn every_export_form_gives_the_same_numbers() {
    let table = table();
    assert!(table.len() >= 12, "{table:?}");
    for (name, count) in &table {
        let path = folder().join(format!("{name}.onnx"));
        let (model, bytes) = read(&path);
        let (fused, report) = fuse_attention(model);
        assert_eq!(report.fused, *count, "{name}: {report:?}");
        let (fused, tables) = separate_resizes(fused);
        assert_eq!(
            tables,
            usize::from(name.starts_with("transformers")),
            "{name}"
        );
        let mut plain = session(&bytes);
        let mut fused = session(&fused.encode_to_vec());
        // f16 has 11 bits
        let tolerance = if name == "upcast" { 4e-3 } else { TOLERANCE };
        for shape in shapes(name) {
            let label = format!("{name} at {shape:?}");
            is_same(
                &label,
                &run(&mut plain, &shape),
                &run(&mut fused, &shape),
                tolerance,
            );
        }
    }
}

#[test]
fn every_file_is_in_the_table() {
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .expect("folder")
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".onnx")?
                    .to_owned(),
            )
        })
        .collect();
    let mut listed: Vec<_> = table().into_iter().map(|(name, _)| name).collect();
    files.sort();
    listed.sort();
    assert_eq!(files, listed);
}

#[test]
fn what_is_left_says_why() {
    let (model, _) = read(&folder().join("masked.onnx"));
    let (_, report) = fuse_attention(model);
    assert_eq!(report.left.len(), 2, "{report:?}");
    assert!(report.left[0].reason.contains("mask"), "{report:?}");
}

/// A network that resizes a table of 2×5×7 weights by this rule, to the sizes that are fed to it.
fn resizing(opset: i64, mode: &str, coefficient: f32) -> ModelProto {
    let attribute = |name: &str, kind: AttributeType| AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(kind as i32),
        ..AttributeProto::default()
    };
    let text = |name: &str, value: &str| AttributeProto {
        s: Some(value.to_owned().into()),
        ..attribute(name, AttributeType::String)
    };
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    let value = |name: &str| ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    };
    let floats = |name: &str, dims: &[i64], values: Vec<f32>| TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        float_data: values,
        ..TensorProto::default()
    };
    let mut resize = node("Resize", &["table", "none", "none", "sizes"], "output");
    resize.attribute = vec![
        text("mode", "cubic"),
        text("coordinate_transformation_mode", mode),
        AttributeProto {
            f: Some(coefficient),
            ..attribute("cubic_coeff_a", AttributeType::Float)
        },
    ];
    let to_integers = AttributeProto {
        i: Some(DataType::Int64 as i64),
        ..attribute("to", AttributeType::Int)
    };
    let mut cast = node("Cast", &["input"], "sizes");
    cast.attribute = vec![to_integers];
    let mut input = value("input");
    input.r#type = Some(float_list(4));
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(opset),
        }],
        graph: Some(GraphProto {
            name: Some("resizing".to_owned()),
            node: vec![cast, node("Identity", &["weights"], "table"), resize],
            input: vec![input],
            output: vec![value("output")],
            initializer: vec![
                floats("weights", &[1, 2, 5, 7], noise(70)),
                floats("none", &[0], Vec::new()),
            ],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

fn float_list(length: i64) -> gstdepthanything::model::proto::TypeProto {
    use gstdepthanything::model::proto::tensor_shape_proto::{Dimension, dimension};
    use gstdepthanything::model::proto::{TensorShapeProto, TypeProto, type_proto};
    let side = Dimension {
        value: Some(dimension::Value::DimValue(length)),
        ..Dimension::default()
    };
    let list = type_proto::Tensor {
        elem_type: Some(DataType::Float as i32),
        shape: Some(TensorShapeProto { dim: vec![side] }),
    };
    TypeProto {
        value: Some(type_proto::Value::TensorType(list)),
        ..TypeProto::default()
    }
}

#[test]
fn tables_are_resized_by_the_rule_of_the_graph() {
    let feed = |session: &mut Session, sizes: [i64; 4]| -> (Vec<i64>, Vec<f32>) {
        let sizes = sizes.map(|side| side as f32).to_vec();
        let input = Tensor::from_array(([4], sizes)).expect("input");
        let outputs = session.run(vec![("input", input)]).expect("run");
        let (shape, values) = outputs[0].try_extract_tensor::<f32>().expect("numbers");
        (shape.to_vec(), values.to_vec())
    };
    for (opset, mode, coefficient) in [
        (11, "half_pixel", -0.75),
        (13, "pytorch_half_pixel", -0.75),
        (17, "align_corners", -0.5),
        (17, "asymmetric", -0.75),
        (19, "half_pixel_symmetric", -0.75),
    ] {
        let label = format!("{mode}, opset {opset}");
        let model = resizing(opset, mode, coefficient);
        let (separated, count) = separate_resizes(model.clone());
        assert_eq!(count, 1, "{label}");
        let mut plain = session(&model.encode_to_vec());
        let mut separated = session(&separated.encode_to_vec());
        // smaller, larger, one side only, as it is
        for [height, width] in [[3, 4], [11, 30], [5, 9], [8, 7], [5, 7]] {
            let sizes = [1, 2, height, width];
            let (shape, expected) = feed(&mut plain, sizes);
            let (separated_shape, found) = feed(&mut separated, sizes);
            assert_eq!(shape, sizes, "{label}");
            assert_eq!(separated_shape, sizes, "{label}");
            is_same(
                &format!("{label}, {height}×{width}"),
                &expected,
                &found,
                1e-5,
            );
        }
    }
}
