use std::path::{Path, PathBuf};

use prost::Message;

use super::ModelProto;

/// All model files of the project: those that tests read, and the built-in one.
fn models() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("models"), root.join("tests/models")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "onnx") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Nothing is lost: what is written again is the file, byte for byte.
#[test]
fn models_are_written_as_they_were_read() {
    let mut count = 0;
    let mut differ = Vec::new();
    for path in models() {
        let bytes = std::fs::read(&path).expect("a model");
        let Ok(model) = ModelProto::decode(bytes.as_slice()) else {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            assert!(name.starts_with("bad-"), "{name} is not read");
            continue;
        };
        count += 1;
        if model.encode_to_vec() != bytes {
            differ.push(path);
        }
    }
    assert!(count > 100, "only {count} models");
    assert!(differ.is_empty(), "{differ:?}");
}
