//! Forms that servers tell, good and bad.

use half::f16;
use prost::Message;

use super::super::protocol::{InferOutputTensor, InferTensorContents};
use super::*;
use crate::model::{InputNormalization, select_input};

const SIZE: Size = Size {
    width: 28,
    height: 14,
};

fn form(datatype: &str, shape: &[i64]) -> Form {
    let declared = Declared::read(ModelMetadataResponse {
        inputs: vec![TensorMetadata {
            name: "image".to_owned(),
            datatype: datatype.to_owned(),
            shape: shape.to_vec(),
        }],
        ..Default::default()
    });
    let declared = declared.unwrap();
    let input = select_input(&declared.facts("test"), &declared.inputs).unwrap();
    Form {
        model: "m".to_owned(),
        version: String::new(),
        input: input.with_normalization(InputNormalization::Byte).unwrap(),
        output: Some("depth".to_owned()),
        timeout: 7,
    }
}

fn images(values: &[f32]) -> Images<'_> {
    Images {
        values,
        batch: values.len() / (3 * SIZE.area()),
        size: SIZE,
    }
}

fn answer(datatype: &str, data: Vec<u8>) -> ModelInferResponse {
    ModelInferResponse {
        outputs: vec![InferOutputTensor {
            name: "depth".to_owned(),
            datatype: datatype.to_owned(),
            shape: vec![1, 14, 28],
            contents: None,
        }],
        raw_output_contents: vec![data.into()],
    }
}

/// Bytes of depth that counts up.
fn counted() -> (Vec<f32>, Vec<u8>) {
    let depth: Vec<f32> = (0..SIZE.area()).map(|value| value as f32).collect();
    let bytes = depth.iter().flat_map(|value| value.to_le_bytes()).collect();
    (depth, bytes)
}

fn depth(form: &Form, answer: &ModelInferResponse) -> Result<Vec<f32>, String> {
    let values = vec![0.0; 3 * SIZE.area()];
    let bytes = answer.encode_to_vec().into();
    let (output, size) = form.depth(&bytes, images(&values))?;
    let mut maps = DepthMaps::default();
    output.read(size, 1, &mut maps).unwrap();
    assert_eq!(maps.values.len(), size.area());
    Ok(maps.values)
}

#[test]
fn answers_are_read_in_each_form() {
    let form = form("FP32", &[-1, 3, -1, -1]);
    let (expected, bytes) = counted();
    assert_eq!(depth(&form, &answer("FP32", bytes)).unwrap(), expected);
    let halves = expected.iter().map(|&value| f16::from_f32(value));
    let halves = halves.flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(depth(&form, &answer("FP16", halves)).unwrap(), expected);
    let mut numbers = answer("FP32", vec![]);
    numbers.raw_output_contents.clear();
    numbers.outputs[0].contents = Some(InferTensorContents {
        fp32_contents: expected.clone(),
    });
    assert_eq!(depth(&form, &numbers).unwrap(), expected);
    // others beside it, in any order
    let (_, bytes) = counted();
    let mut two = answer("FP32", bytes);
    let other = InferOutputTensor {
        name: "class".to_owned(),
        ..two.outputs[0].clone()
    };
    two.outputs.insert(0, other);
    two.raw_output_contents.insert(0, Bytes::new());
    assert_eq!(depth(&form, &two).unwrap(), expected);
}

#[test]
fn tensors_are_written_as_the_model_takes_them() {
    let values: Vec<f32> = (0..2 * 3 * SIZE.area()).map(|v| (v % 251) as f32).collect();
    let images = images(&values);
    let area = SIZE.area();
    let bytes = form("UINT8", &[-1, 3, -1, -1])
        .tensor(images, Bytes::new())
        .unwrap();
    let as_floats = |bytes: &[u8]| bytes.iter().map(|&b| f32::from(b)).collect::<Vec<_>>();
    assert_eq!(as_floats(&bytes), values);
    let bytes = form("FP16", &[-1, 3, -1, -1])
        .tensor(images, Bytes::new())
        .unwrap();
    let halves = bytes.chunks_exact(2);
    let halves: Vec<_> = halves
        .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
        .collect();
    assert_eq!(halves, values);
    // channels last, and room for two more images
    let form = form("UINT8", &[4, -1, -1, 3]);
    let bytes = form.tensor(images, Bytes::new()).unwrap();
    assert_eq!(bytes.len(), 4 * 3 * area);
    let pixel = 3 * area + 3 * 5;
    let expected = [5, area + 5, 2 * area + 5].map(|at| values[3 * area + at]);
    assert_eq!(as_floats(&bytes[pixel..pixel + 3]), expected);
    assert!(bytes[2 * 3 * area..].iter().all(|&byte| byte == 0));
    let call = form.call(images, bytes);
    assert!(call.limit < 4 << 20, "{}", call.limit);
}

#[test]
fn what_goes_out_of_bytes_saturates() {
    let mut values = vec![300.0; 3 * SIZE.area()];
    values[..3].copy_from_slice(&[-5.0, f32::NAN, 254.6]);
    let bytes = form("UINT8", &[1, 3, -1, -1])
        .tensor(images(&values), Bytes::new())
        .unwrap();
    assert_eq!(bytes[..4], [0, 0, 255, 255]);
}

/// Pseudo-random numbers, the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides.max(1)
    }
}

#[test]
fn ten_thousand_damaged_answers_are_errors_or_depth() {
    let form = form("FP32", &[-1, 3, -1, -1]);
    let (_, bytes) = counted();
    let whole = answer("FP32", bytes).encode_to_vec();
    let values = vec![0.0; 3 * SIZE.area()];
    let mut dice = Dice(7);
    let mut errors = 0;
    for _ in 0..10_000 {
        let mut damaged = whole.clone();
        for _ in 0..=dice.roll(4) {
            // what is not depth alone is 40 bytes long
            let at = dice.roll(40.min(damaged.len()));
            match dice.roll(6) {
                0 => damaged[at] ^= 1 << dice.roll(8),
                1 => damaged[at] = dice.roll(256) as u8,
                2 => damaged.truncate(dice.roll(damaged.len()) + 1),
                3 => drop(damaged.remove(at)),
                4 => damaged.insert(at, dice.roll(256) as u8),
                _ => {
                    let part = damaged[at..].to_vec();
                    damaged.extend(part);
                }
            }
            if damaged.is_empty() {
                damaged.push(0);
            }
        }
        match form.depth(&damaged.into(), images(&values)) {
            Ok((output, size)) => {
                let mut maps = DepthMaps::default();
                output.read(size, 1, &mut maps).unwrap();
                assert_eq!(maps.values.len(), size.area());
            }
            Err(reason) => {
                assert!(!reason.is_empty());
                errors += 1;
            }
        }
    }
    assert!(errors > 5_000, "{errors}");
}

#[test]
fn fields_without_number_are_refused_before_they_take_memory() {
    let form = form("FP32", &[-1, 3, -1, -1]);
    // empty outputs; empty contents of one; parts of one; unknown fields
    let within = |bytes: Vec<u8>| {
        let mut output = vec![0x2a];
        prost::encoding::encode_varint(bytes.len() as u64, &mut output);
        output.extend(bytes);
        output
    };
    for bytes in [
        [0x2a, 0].repeat(1 << 20),
        [0x32, 0].repeat(1 << 20),
        [0x08, 0].repeat(1 << 20),
        within([0x2a, 0].repeat(1 << 20)),
        within(within([0x42, 0].repeat(1 << 20))),
    ] {
        let error = form.outputs(&bytes.into()).unwrap_err();
        assert!(error.contains("fields"), "{error}");
    }
    // shapes whose product is gigabytes, or no number
    for shape in [
        [1, 1 << 20, 1 << 20],
        [1, i64::MAX, 2],
        [1, -1, -1],
        [0, 0, 0],
    ] {
        let (_, bytes) = counted();
        let mut promised = answer("FP32", bytes);
        promised.outputs[0].shape = shape.to_vec();
        depth(&form, &promised).unwrap_err();
    }
    for datatype in ["INT64", "BYTES", "", "FP64", "UINT8"] {
        let (_, bytes) = counted();
        depth(&form, &answer(datatype, bytes)).unwrap_err();
    }
}
