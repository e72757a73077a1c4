//! Constants as numbers.

use half::{bf16, f16};

use super::proto::TensorProto;
use super::proto::tensor_proto::DataType;

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
