//! Keeps the weights of a changed model in the file they came from.

use bytes::Bytes;

use crate::model::proto::tensor_proto::DataLocation;
use crate::model::proto::{ModelProto, StringStringEntryProto, TensorProto};

/// Smaller ones, such as shapes, stay: a runtime looks at them while it prepares the graph.
const SMALLEST: usize = 4096;

/// Makes the large weights of the main graph external data (ONNX's `external_data`) that lies in the model's own file:
/// `file` are its bytes, of which `model` was decoded, and `location` is its name. What is left of the model is small,
/// so that it can be serialised and handed on in memory, whatever the size of the weights.
///
/// Weights that are external already stay where they are. Returns the bytes referred to.
pub fn refer_to_file(model: &mut ModelProto, file: &Bytes, location: &str) -> usize {
    let mut referred = 0;
    let initializers = model
        .graph
        .iter_mut()
        .flat_map(|graph| &mut graph.initializer);
    for tensor in initializers {
        referred += refer(tensor, file, location).unwrap_or(0);
    }
    referred
}

fn refer(tensor: &mut TensorProto, file: &Bytes, location: &str) -> Option<usize> {
    let raw = tensor.raw_data.as_ref()?;
    if raw.len() < SMALLEST || tensor.data_location() == DataLocation::External {
        return None;
    }
    // decoding cut it out of the file's bytes without a copy
    let offset = (raw.as_ptr() as usize).checked_sub(file.as_ptr() as usize)?;
    let length = raw.len();
    if offset.checked_add(length)? > file.len() {
        return None;
    }
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
    tensor.data_location = Some(DataLocation::External as i32);
    tensor.raw_data = None;
    Some(length)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::model::proto::GraphProto;

    fn model(lengths: &[usize]) -> Bytes {
        let tensor = |(index, &length): (usize, &usize)| TensorProto {
            name: Some(format!("weight {index}")),
            dims: vec![length as i64],
            data_type: Some(2),
            raw_data: Some((0..length).map(|value| (value % 251) as u8).collect()),
            ..TensorProto::default()
        };
        let graph = GraphProto {
            initializer: lengths.iter().enumerate().map(tensor).collect(),
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec().into()
    }

    #[test]
    fn large_weights_are_found_where_they_lie() {
        let file = model(&[10_000, 16, 5000]);
        let before = ModelProto::decode(file.clone()).unwrap();
        let mut after = before.clone();
        assert_eq!(refer_to_file(&mut after, &file, "model.onnx"), 15_000);
        assert!(after.encoded_len() < 400);
        for (old, new) in before
            .graph
            .unwrap()
            .initializer
            .iter()
            .zip(&after.graph.unwrap().initializer)
        {
            if old.raw_data().len() == 16 {
                assert_eq!(old, new);
                continue;
            }
            let entry = |key: &str| {
                let found = new.external_data.iter().find(|entry| entry.key() == key);
                found.unwrap().value()
            };
            let offset: usize = entry("offset").parse().unwrap();
            let length: usize = entry("length").parse().unwrap();
            assert_eq!(entry("location"), "model.onnx");
            assert_eq!(file[offset..offset + length], old.raw_data()[..]);
        }
    }

    #[test]
    fn weights_of_other_bytes_stay() {
        let mut decoded = ModelProto::decode(model(&[10_000])).unwrap();
        let before = decoded.clone();
        let other = model(&[10_000]);
        assert_eq!(refer_to_file(&mut decoded, &other, "model.onnx"), 0);
        assert_eq!(decoded, before);
    }
}
