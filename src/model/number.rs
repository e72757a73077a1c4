//! Constants as numbers.

use half::{bf16, f16};

use super::proto::TensorProto;
use super::proto::tensor_proto::DataType;

/// The elements of a tensor as numbers, if there are no more than `most`.
pub(super) fn vector(tensor: &TensorProto, most: usize) -> Option<Vec<f64>> {
    let count = tensor.dims.iter().try_fold(1_usize, |count, &side| {
        let count = count.checked_mul(usize::try_from(side).ok()?)?;
        (1..=most).contains(&count).then_some(count)
    })?;
    if count == 1 {
        return scalar(tensor).map(|number| vec![number]);
    }
    let raw = tensor.raw_data();
    let size = match DataType::try_from(tensor.data_type()).ok()? {
        DataType::Double | DataType::Int64 => 8,
        DataType::Float | DataType::Int32 => 4,
        DataType::Float16 | DataType::Bfloat16 => 2,
        DataType::Int8 | DataType::Uint8 => 1,
        _ => return None,
    };
    // each of them as a tensor of its own
    (0..count)
        .map(|index| {
            let part = |length| index.min(length)..(index + 1).min(length);
            let element = TensorProto {
                data_type: tensor.data_type,
                raw_data: (!raw.is_empty())
                    .then(|| raw.get(index * size..(index + 1) * size))
                    .flatten()
                    .map(|bytes| bytes.to_vec().into()),
                float_data: tensor.float_data[part(tensor.float_data.len())].to_vec(),
                double_data: tensor.double_data[part(tensor.double_data.len())].to_vec(),
                int32_data: tensor.int32_data[part(tensor.int32_data.len())].to_vec(),
                int64_data: tensor.int64_data[part(tensor.int64_data.len())].to_vec(),
                ..TensorProto::default()
            };
            scalar(&element)
        })
        .collect()
}

/// The one element of a tensor as a number.
pub(super) fn scalar(tensor: &TensorProto) -> Option<f64> {
    if tensor.dims.iter().any(|&side| side != 1) {
        return None;
    }
    let raw = tensor.raw_data();
    let kind = DataType::try_from(tensor.data_type()).ok()?;
    // small types are kept in `int32_data` when they are not raw
    let word = || tensor.int32_data.first().copied();
    Some(match kind {
        DataType::Float => first(raw)
            .map(f32::from_le_bytes)
            .or_else(|| tensor.float_data.first().copied())?
            .into(),
        DataType::Double => first(raw)
            .map(f64::from_le_bytes)
            .or_else(|| tensor.double_data.first().copied())?,
        DataType::Float16 => first(raw)
            .map(f16::from_le_bytes)
            .or_else(|| Some(f16::from_bits(word()? as u16)))?
            .into(),
        DataType::Bfloat16 => first(raw)
            .map(bf16::from_le_bytes)
            .or_else(|| Some(bf16::from_bits(word()? as u16)))?
            .into(),
        DataType::Int64 => first(raw)
            .map(i64::from_le_bytes)
            .or_else(|| tensor.int64_data.first().copied())? as f64,
        DataType::Int32 => first(raw).map(i32::from_le_bytes).or_else(word)?.into(),
        DataType::Int8 => first(raw)
            .map(i8::from_le_bytes)
            .or_else(|| Some(word()? as i8))?
            .into(),
        DataType::Uint8 => first(raw)
            .map(u8::from_le_bytes)
            .or_else(|| Some(word()? as u8))?
            .into(),
        _ => return None,
    })
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(kind: DataType) -> TensorProto {
        TensorProto {
            data_type: Some(kind as i32),
            ..TensorProto::default()
        }
    }

    #[test]
    fn numbers_of_every_storage() {
        let mut tensors = vec![
            TensorProto {
                float_data: vec![20.0],
                ..tensor(DataType::Float)
            },
            TensorProto {
                double_data: vec![20.0],
                dims: vec![1, 1],
                ..tensor(DataType::Double)
            },
            TensorProto {
                int32_data: vec![0x4d00],
                ..tensor(DataType::Float16)
            },
            TensorProto {
                int32_data: vec![0x41a0],
                ..tensor(DataType::Bfloat16)
            },
            TensorProto {
                int64_data: vec![20],
                ..tensor(DataType::Int64)
            },
        ];
        for (kind, raw) in [
            (DataType::Float, 20f32.to_le_bytes().to_vec()),
            (
                DataType::Float16,
                f16::from_f32(20.0).to_le_bytes().to_vec(),
            ),
            (
                DataType::Bfloat16,
                bf16::from_f32(20.0).to_le_bytes().to_vec(),
            ),
            (DataType::Uint8, vec![20]),
        ] {
            tensors.push(TensorProto {
                raw_data: Some(raw.into()),
                ..tensor(kind)
            });
        }
        for tensor in tensors {
            assert_eq!(
                scalar(&tensor),
                Some(20.0),
                "data type {}",
                tensor.data_type()
            );
        }
    }

    #[test]
    fn several_numbers_of_every_storage() {
        let three = |kind| TensorProto {
            dims: vec![1, 3, 1, 1],
            ..tensor(kind)
        };
        let numbers = [0.5, 2.0, -3.0];
        let half = |number: f64| f16::from_f64(number).to_le_bytes();
        let tensors = [
            TensorProto {
                float_data: numbers.map(|n| n as f32).to_vec(),
                ..three(DataType::Float)
            },
            TensorProto {
                double_data: numbers.to_vec(),
                ..three(DataType::Double)
            },
            TensorProto {
                raw_data: Some(numbers.map(half).concat().into()),
                ..three(DataType::Float16)
            },
        ];
        for tensor in tensors {
            assert_eq!(vector(&tensor, 3).as_deref(), Some(&numbers[..]));
            assert_eq!(vector(&tensor, 2), None);
        }
        let short = TensorProto {
            float_data: vec![1.0, 2.0],
            ..three(DataType::Float)
        };
        assert_eq!(vector(&short, 3), None);
        let huge = TensorProto {
            dims: vec![i64::MAX, 3],
            ..tensor(DataType::Float)
        };
        assert_eq!(vector(&huge, 3), None);
    }

    #[test]
    fn no_number_where_there_are_several_or_none() {
        let two = TensorProto {
            float_data: vec![1.0, 2.0],
            dims: vec![2],
            ..tensor(DataType::Float)
        };
        for tensor in [two, tensor(DataType::Float), tensor(DataType::String)] {
            assert_eq!(scalar(&tensor), None);
        }
    }
}
