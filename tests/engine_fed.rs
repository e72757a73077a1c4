//! What a network is fed, value by value: whatever its form, what the reference preprocessing gives.

mod engine_support;

use engine_support::*;
use gstdepthanything::frame::{Frame, FrameFormat, Normalization, TensorWriter};
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::InputNormalization::{self, Byte, Imagenet, Unit};
use gstdepthanything::inference::{Config, ExecutionProvider};
use gstdepthanything::model::ModelSource;
use gstdepthanything::model::proto::tensor_proto::DataType;
use gstdepthanything::model::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};
use half::f16;
use prost::Message;

/// A form of the image.
#[derive(Debug, Clone, Copy)]
struct Form {
    element: DataType,
    channels_last: bool,
    has_views: bool,
}

const FORMS: [Form; 8] = [
    Form::new(DataType::Float, false, false),
    Form::new(DataType::Float, true, false),
    Form::new(DataType::Float, true, true),
    Form::new(DataType::Float16, false, true),
    Form::new(DataType::Float16, true, false),
    Form::new(DataType::Uint8, false, false),
    Form::new(DataType::Uint8, true, false),
    Form::new(DataType::Uint8, true, true),
];

impl Form {
    const fn new(element: DataType, channels_last: bool, has_views: bool) -> Self {
        Self {
            element,
            channels_last,
            has_views,
        }
    }

    /// A model that gives back one channel of what it is fed.
    fn model(self, channel: i64) -> ModelProto {
        let mut sides = vec![1];
        if self.has_views {
            sides.push(1);
        }
        let axis = if self.channels_last {
            sides.extend([-1, -1, 3]);
            sides.len() - 1
        } else {
            sides.extend([3, -1, -1]);
            sides.len() - 3
        };
        let mut depth_sides = sides.clone();
        depth_sides.remove(axis);
        let node = |op: &str, output: &str, input: &[&str], attribute: AttributeProto| NodeProto {
            op_type: Some(op.to_owned()),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: vec![attribute],
            ..NodeProto::default()
        };
        let int = |name: &str, value: i64| AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(AttributeType::Int as i32),
            i: Some(value),
            ..AttributeProto::default()
        };
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                version: Some(17),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                name: Some("probe".to_owned()),
                input: vec![value_info("image", self.element, &sides)],
                output: vec![value_info("depth", DataType::Float, &depth_sides)],
                initializer: vec![TensorProto {
                    name: Some("channel".to_owned()),
                    data_type: Some(DataType::Int64 as i32),
                    int64_data: vec![channel],
                    ..TensorProto::default()
                }],
                node: vec![
                    node(
                        "Gather",
                        "one",
                        &["image", "channel"],
                        int("axis", axis as i64),
                    ),
                    node("Cast", "depth", &["one"], int("to", DataType::Float as i64)),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    /// What becomes of a value by the type of the elements.
    fn stored(self, value: f32) -> f32 {
        match self.element {
            DataType::Float16 => f16::from_f32(value).to_f32(),
            DataType::Uint8 => value.round_ties_even().clamp(0.0, 255.0),
            _ => value,
        }
    }
}

fn value_info(name: &str, element: DataType, sides: &[i64]) -> ValueInfoProto {
    let side = |&side: &i64| Dimension {
        value: (side > 0).then_some(dimension::Value::DimValue(side)),
        ..Dimension::default()
    };
    let shape = TensorShapeProto {
        dim: sides.iter().map(side).collect(),
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(element as i32),
        shape: Some(shape),
    };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// The three channels that a network of `form` is fed of a frame.
fn fed(form: Form, normalization: InputNormalization, tensor: &[f32], size: Size) -> Vec<f32> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = Vec::new();
    for channel in 0..3 {
        let path = folder.path().join(format!("{channel}.onnx"));
        std::fs::write(&path, form.model(channel).encode_to_vec()).expect("a file");
        let config = Config {
            normalization: Some(normalization),
            ..config(ModelSource::File(path), ExecutionProvider::Cpu)
        };
        let mut network = open(&config);
        assert_eq!(network.description().normalization, normalization);
        all.extend(run(&mut *network, tensor, 1, size).values);
    }
    all
}

fn writer(source: Size, network: Size, normalization: InputNormalization) -> TensorWriter {
    let (mean, std) = normalization.mean_and_deviation();
    let format = FrameFormat::rgb(source);
    TensorWriter::new(&format, network, Normalization { mean, std }).expect("pixels")
}

fn picture(size: Size) -> Vec<u8> {
    let mut state = 7_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // black and white too, beyond which bicubic resampling overshoots
        ((state >> 22) as i32 - 384).clamp(0, 255) as u8
    })
    .take(3 * size.area())
    .collect()
}

#[test]
fn of_a_frame_of_the_networks_size() {
    plain_runtime();
    let size = Size::new(70, 42);
    let pixels = picture(size);
    let frame = Frame::packed(&pixels, 3 * size.width as usize);
    for normalization in [Imagenet, Unit, Byte] {
        let mut tensor = vec![0.0; 3 * size.area()];
        writer(size, size, normalization)
            .write(&frame, &mut tensor)
            .expect("fits");
        let (mean, deviation) = normalization.mean_and_deviation();
        for form in FORMS {
            if form.element == DataType::Uint8 && normalization != Byte {
                continue;
            }
            let fed = fed(form, normalization, &tensor, size);
            for (place, &found) in fed.iter().enumerate() {
                let (channel, pixel) = (place / size.area(), place % size.area());
                let byte = f64::from(pixels[3 * pixel + channel]);
                let wanted = ((byte / 255.0 - mean[channel]) / deviation[channel]) as f32;
                let wanted = form.stored(wanted);
                // a step of half precision at this value
                let step = if form.element == DataType::Float16 {
                    1e-3
                } else {
                    3e-7
                };
                assert!(
                    (found - wanted).abs() <= step * wanted.abs().max(1.0),
                    "{form:?} {normalization:?} at {place}: {found} instead of {wanted}"
                );
                if form.element == DataType::Uint8 {
                    assert_eq!(found, byte as f32);
                }
            }
        }
    }
}

#[test]
fn of_a_frame_that_is_resampled() {
    plain_runtime();
    let (source, size) = (Size::new(51, 33), Size::new(84, 56));
    let pixels = picture(source);
    let frame = Frame::packed(&pixels, 3 * source.width as usize);
    let mut unit = vec![0.0; 3 * size.area()];
    writer(source, size, Unit)
        .write(&frame, &mut unit)
        .expect("fits");
    assert!(
        unit.iter().any(|&value| value < -0.01) && unit.iter().any(|&value| value > 1.01),
        "it overshoots"
    );
    let mut tensor = vec![0.0; 3 * size.area()];
    writer(source, size, Byte)
        .write(&frame, &mut tensor)
        .expect("fits");
    for (byte, unit) in tensor.iter().zip(&unit) {
        assert!((byte - 255.0 * unit).abs() < 1e-4, "{byte} {unit}");
    }
    for form in FORMS {
        let fed = fed(form, Byte, &tensor, size);
        let wanted: Vec<f32> = tensor.iter().map(|&value| form.stored(value)).collect();
        assert_eq!(fed, wanted, "{form:?}");
    }
}

#[test]
fn bytes_that_stand_for_other_numbers() {
    plain_runtime();
    // what the zoo's model makes of them is its own luma, to half a step of the bytes
    let network = open(&config(zoo("bytes-quantised"), ExecutionProvider::Cpu));
    assert_eq!(network.description().normalization, Imagenet);
    let told = network.description().interpretation.concat();
    assert!(told.contains("uint8") && told.contains("115"), "{told}");
}

#[test]
fn values_that_bytes_can_not_be_are_refused() {
    plain_runtime();
    for (name, normalization) in [
        ("bytes-image", Imagenet),
        ("bytes-last", Unit),
        ("bytes-quantised", Unit),
    ] {
        let config = Config {
            normalization: Some(normalization),
            ..config(zoo(name), ExecutionProvider::Cpu)
        };
        let error = refused(&config).to_string();
        assert!(
            error.contains("input normalization") && error.contains("uint8"),
            "{name}: {error}"
        );
    }
}
