//! Sparse tensors, which runtimes make dense ones of, without looking at what they say.

use super::limits::MAX_DENSE;
use super::parts::{Part, parts};
use super::proto::tensor_proto::DataType;
use super::proto::{ModelProto, SparseTensorProto, TensorProto};
use crate::text;

/// Whether all sparse tensors can be made dense ones of: not too large, and each value with a place in them.
///
/// # Errors
/// In words.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    // elements that they may still have together
    let mut left = MAX_DENSE;
    parts(model).try_for_each(|part| {
        let (list, one) = match part {
            Part::Graph(graph) => (&graph.sparse_initializer, &None),
            Part::Attribute(attribute) => (&attribute.sparse_tensors, &attribute.sparse_tensor),
            Part::Node(_) => return Ok(()),
        };
        let mut tensors = list.iter().chain(one);
        tensors.try_for_each(|tensor| check_tensor(tensor, &mut left))
    })
}

fn check_tensor(sparse: &SparseTensorProto, left: &mut u64) -> Result<(), String> {
    let values = sparse.values.as_ref();
    let wrong = |what: &str| {
        let name = text::name(values.map_or("", TensorProto::name));
        Err(format!("its sparse tensor `{name}` {what}"))
    };
    let sides: Option<Vec<u64>> = (sparse.dims.iter())
        .map(|&side| u64::try_from(side).ok())
        .collect();
    let Some(sides) = sides else {
        return wrong("has a negative side");
    };
    let elements = sides
        .iter()
        .try_fold(1_u64, |product, &side| product.checked_mul(side));
    let room = elements.and_then(|elements| left.checked_sub(elements));
    let (Some(elements), Some(room)) = (elements, room) else {
        return wrong("is too large when written out");
    };
    *left = room;
    let stored = values.map_or(&[][..], |tensor| &tensor.dims);
    let &[count] = stored else {
        return wrong("does not say how many values it has");
    };
    let Some(indices) = sparse.indices.as_ref() else {
        return match count {
            0 => Ok(()),
            _ => wrong("does not say where its values go"),
        };
    };
    let Some(places) = integers(indices) else {
        return wrong("has places that are no int64");
    };
    let inside = |index: i64, end: u64| u64::try_from(index).is_ok_and(|index| index < end);
    let rank = sides.len();
    let (all_inside, each) = match *indices.dims {
        [_] => (places.iter().all(|&index| inside(index, elements)), 1),
        [_, across] if rank > 0 && u64::try_from(across) == Ok(rank as u64) => {
            let within = |place: &[i64]| {
                std::iter::zip(place, &sides).all(|(&index, &side)| inside(index, side))
            };
            (places.chunks(rank).all(within), rank)
        }
        _ => return wrong("has places of another rank"),
    };
    let complete = indices.dims.first() == Some(&count)
        && usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(each))
            == Some(places.len());
    match all_inside && complete {
        true => Ok(()),
        false => wrong("has values without a place in it"),
    }
}

/// The numbers of an int64 tensor.
fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type() != DataType::Int64 as i32 {
        return None;
    }
    let Some(raw) = tensor.raw_data.as_ref() else {
        return Some(tensor.int64_data.clone());
    };
    let (numbers, rest) = raw.as_chunks::<8>();
    rest.is_empty()
        .then(|| numbers.iter().copied().map(i64::from_le_bytes).collect())
}

#[cfg(test)]
mod tests {
    use super::super::proto::{AttributeProto, GraphProto, NodeProto};
    use super::*;

    fn sparse(dims: &[i64], index_dims: &[i64], indices: &[i64]) -> ModelProto {
        let values = TensorProto {
            dims: vec![index_dims[0]],
            data_type: Some(DataType::Float as i32),
            float_data: vec![1.0; index_dims[0].unsigned_abs() as usize],
            ..TensorProto::default()
        };
        let indices = TensorProto {
            dims: index_dims.to_vec(),
            data_type: Some(DataType::Int64 as i32),
            int64_data: indices.to_vec(),
            ..TensorProto::default()
        };
        let tensor = SparseTensorProto {
            values: Some(values),
            indices: Some(indices),
            dims: dims.to_vec(),
        };
        let attribute = AttributeProto {
            sparse_tensor: Some(tensor),
            ..AttributeProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![NodeProto {
                    attribute: vec![attribute],
                    ..NodeProto::default()
                }],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn values_have_a_place() {
        assert_eq!(check(&sparse(&[3, 4], &[2], &[0, 11])), Ok(()));
        assert_eq!(check(&sparse(&[3, 4], &[2, 2], &[0, 3, 2, 0])), Ok(()));
        assert_eq!(check(&sparse(&[3, 4], &[0], &[])), Ok(()));
        for (index_dims, indices) in [
            (&[1][..], &[12][..]),
            (&[1], &[-1]),
            (&[1], &[1 << 40]),
            (&[1, 2], &[3, 0]),
            (&[1, 2], &[0, 4]),
            (&[1, 3], &[0, 0, 0]),
            (&[2], &[1]),
            (&[1], &[1, 2]),
        ] {
            let reason = check(&sparse(&[3, 4], index_dims, indices)).unwrap_err();
            assert!(reason.contains("sparse"), "{reason}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        for dims in [&[1 << 20, 1 << 20][..], &[i64::MAX, i64::MAX], &[-1]] {
            let reason = check(&sparse(dims, &[1], &[0])).unwrap_err();
            assert!(reason.contains("sparse"), "{reason}");
        }
    }
}
