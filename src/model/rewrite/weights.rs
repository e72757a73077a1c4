//! Weights handed to a runtime beside the model instead of in it.

use bytes::Bytes;

use crate::model::proto::tensor_proto::{DataLocation, DataType};
use crate::model::proto::{ModelProto, StringStringEntryProto, TensorProto};

/// Smaller ones, such as shapes, stay: a runtime looks at them while it prepares the graph.
const SMALLEST: usize = 4096;

/// Takes the large weights out of the main graph: each becomes external data (ONNX's `external_data`) of a file of its
/// own that is nowhere but in memory, whose made-up name and bytes are returned. What is left of the model is small, so
/// that it can be serialised whatever the size of the weights. Nothing is copied.
///
/// Whatever the model itself says of places outside is gone afterwards: only what is returned is referred to.
pub fn take_out(model: &mut ModelProto) -> Vec<(String, Bytes)> {
    let mut weights = Vec::new();
    let initializers = model
        .graph
        .iter_mut()
        .flat_map(|graph| &mut graph.initializer);
    for tensor in initializers {
        tensor.external_data.clear();
        tensor.data_location = None;
        let name = format!("weights-{}", weights.len());
        if let Some(bytes) = refer(tensor, &name) {
            weights.push((name, bytes));
        }
    }
    weights
}

fn refer(tensor: &mut TensorProto, name: &str) -> Option<Bytes> {
    let whole = |kind| {
        matches!(
            kind,
            DataType::Float
                | DataType::Float16
                | DataType::Bfloat16
                | DataType::Double
                | DataType::Int8
                | DataType::Uint8
                | DataType::Int16
                | DataType::Uint16
                | DataType::Int32
                | DataType::Uint32
                | DataType::Int64
                | DataType::Uint64
        )
    };
    // others are packed in ways that not every runtime finds outside
    DataType::try_from(tensor.data_type())
        .ok()
        .filter(|&kind| whole(kind))?;
    let bytes = tensor.raw_data.take_if(|raw| raw.len() >= SMALLEST)?;
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.external_data = vec![
        entry("location", name.to_owned()),
        entry("offset", "0".to_owned()),
        entry("length", bytes.len().to_string()),
    ];
    tensor.data_location = Some(DataLocation::External as i32);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::model::proto::GraphProto;

    fn tensor(length: usize, kind: DataType) -> TensorProto {
        TensorProto {
            name: Some(format!("{length} {kind:?}")),
            dims: vec![length as i64],
            data_type: Some(kind as i32),
            raw_data: Some((0..length).map(|value| (value % 251) as u8).collect()),
            ..TensorProto::default()
        }
    }

    fn model(initializer: Vec<TensorProto>) -> ModelProto {
        ModelProto {
            graph: Some(GraphProto {
                initializer,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn large_weights_are_handed_on_beside_the_model() {
        let before = model(vec![
            tensor(10_000, DataType::Uint8),
            tensor(16, DataType::Uint8),
            tensor(5000, DataType::Int8),
            tensor(6000, DataType::Int4),
        ]);
        let mut after = before.clone();
        let weights = take_out(&mut after);
        let [before, after] = [before, after].map(|model| model.graph.unwrap().initializer);
        assert_eq!(weights.len(), 2);
        for ((name, bytes), index) in weights.iter().zip([0, 2]) {
            assert_eq!(bytes[..], before[index].raw_data()[..]);
            assert_eq!(bytes.as_ptr(), before[index].raw_data().as_ptr(), "copied");
            let TensorProto {
                external_data,
                raw_data,
                dims,
                ..
            } = &after[index];
            assert_eq!((raw_data, dims), (&None, &before[index].dims));
            assert_eq!(external_data[0].value(), name);
            assert_eq!(external_data[2].value(), bytes.len().to_string());
        }
        assert!(after[0].encoded_len() < 200);
        for index in [1, 3] {
            assert_eq!(before[index], after[index]);
        }
    }

    #[test]
    fn places_that_the_model_names_are_gone() {
        let mut marked = tensor(10_000, DataType::Uint8);
        marked.external_data = vec![StringStringEntryProto {
            key: Some("location".to_owned()),
            value: Some("/etc/passwd".to_owned()),
        }];
        let mut model = model(vec![marked]);
        assert_eq!(take_out(&mut model).len(), 1);
        let text = String::from_utf8_lossy(&model.encode_to_vec()).into_owned();
        assert!(!text.contains("passwd"), "{text}");
    }
}
