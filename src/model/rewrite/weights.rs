//! Large weights left in the files they came from.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use crate::model::external::FilePart;
use crate::model::proto::tensor_proto::{DataLocation, DataType};
use crate::model::proto::{ModelProto, StringStringEntryProto, TensorProto};

/// Smaller ones, such as shapes, stay: a runtime looks at them while it prepares the graph.
const SMALLEST: usize = 4096;

/// Makes the large weights of the main graph external data (ONNX's `external_data`) in the files that they were read
/// from, of which `parts` are. What is left of the model is small, and of its own: the parts can go. Returns the folder
/// that the files' names are to be taken from; `None`, and the model stays as it is, where they have no name that a model
/// can give.
pub fn leave_in_files(model: &mut ModelProto, parts: &[FilePart]) -> Option<String> {
    let folder = common_folder(parts)?;
    let names = parts
        .iter()
        .map(|part| part.path.strip_prefix(&folder).ok()?.to_str())
        .collect::<Option<Vec<_>>>()?;
    let initializers = model
        .graph
        .iter_mut()
        .flat_map(|graph| &mut graph.initializer);
    for tensor in initializers {
        let found = parts.iter().zip(&names).find_map(|(part, name)| {
            let raw = tensor.raw_data.as_ref()?;
            // decoding cut it out of the part without a copy
            let offset = (raw.as_ptr() as usize).checked_sub(part.bytes.as_ptr() as usize)?;
            (offset.checked_add(raw.len())? <= part.bytes.len())
                .then_some((*name, part.start.checked_add(offset as u64)?))
        });
        if let Some((name, offset)) = found {
            refer(tensor, name, offset);
        }
    }
    // what is left, in bytes of its own
    *model = ModelProto::decode(Bytes::from(model.encode_to_vec())).ok()?;
    folder.into_os_string().into_string().ok()
}

/// The innermost folder that all files are in.
fn common_folder(parts: &[FilePart]) -> Option<PathBuf> {
    let mut folders = parts.iter().map(|part| part.path.parent());
    let first = folders.next()??;
    let rest: Vec<&Path> = folders.collect::<Option<_>>()?;
    let holds_all = |folder: &&Path| rest.iter().all(|other| other.starts_with(folder));
    first.ancestors().find(holds_all).map(Path::to_owned)
}

fn refer(tensor: &mut TensorProto, name: &str, offset: u64) {
    let is_plain = |kind| {
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
    if !DataType::try_from(tensor.data_type()).is_ok_and(is_plain) {
        return;
    }
    let Some(bytes) = tensor.raw_data.take_if(|raw| raw.len() >= SMALLEST) else {
        return;
    };
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    tensor.external_data = vec![
        entry("location", name.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", bytes.len().to_string()),
    ];
    tensor.data_location = Some(DataLocation::External as i32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::proto::GraphProto;

    fn part(path: &str, start: u64, length: usize) -> FilePart {
        FilePart {
            path: path.into(),
            start,
            bytes: (0..length).map(|value| (value % 251) as u8).collect(),
        }
    }

    fn tensor(name: &str, raw: Bytes, kind: DataType) -> TensorProto {
        TensorProto {
            name: Some(name.to_owned()),
            dims: vec![raw.len() as i64],
            data_type: Some(kind as i32),
            raw_data: Some(raw),
            ..TensorProto::default()
        }
    }

    #[test]
    fn large_weights_are_found_where_they_lie() {
        let parts = [
            part("/cache/blobs/aa", 0, 20_000),
            part("/cache/more/bb", 1 << 40, 9000),
        ];
        let [model, beside] = parts.each_ref().map(|part| &part.bytes);
        let initializer = vec![
            tensor("inside", model.slice(100..10_100), DataType::Uint8),
            tensor("small", model.slice(11_000..11_016), DataType::Uint8),
            tensor("beside", beside.slice(8..8008), DataType::Int8),
            tensor("packed", model.slice(12_000..18_000), DataType::Int4),
            tensor("of its own", vec![7; 5000].into(), DataType::Uint8),
        ];
        let before = initializer.clone();
        let mut thin = ModelProto {
            graph: Some(GraphProto {
                initializer,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        assert_eq!(leave_in_files(&mut thin, &parts).as_deref(), Some("/cache"));
        let after = thin.graph.unwrap().initializer;
        for (index, place) in [
            (0, ["blobs/aa", "100", "10000"]),
            (2, ["more/bb", "1099511627784", "8000"]),
        ] {
            let entries: Vec<_> = after[index]
                .external_data
                .iter()
                .map(|it| it.value())
                .collect();
            assert_eq!((entries, &after[index].raw_data), (place.to_vec(), &None));
        }
        for index in [1, 3, 4] {
            assert_eq!(before[index], after[index]);
            let kept = after[index].raw_data().as_ptr();
            assert!(
                !parts
                    .iter()
                    .any(|part| part.bytes.as_ptr_range().contains(&kept))
            );
        }
    }

    #[test]
    fn files_without_a_common_name_stay_in_memory() {
        let mut model = ModelProto::default();
        assert_eq!(leave_in_files(&mut model, &[]), None);
        let apart = [part("/a/x", 0, 1), part("/b/y", 0, 1)];
        assert_eq!(common_folder(&apart), Some("/".into()));
    }
}
