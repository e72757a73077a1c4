//! Links and other things that are no plain file.

use std::os::unix::fs::symlink;
use std::path::Path;

use gstdepthanything::error::Error;
use gstdepthanything::model::{ModelSource, inspect};

use crate::folder as models;

/// A download cache keeps all files in one folder of blobs and links to them.
#[test]
fn download_cache_layout_is_accepted() {
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (
        cache.path().join("blobs"),
        cache.path().join("snapshots/main"),
    );
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::create_dir_all(&snapshot).unwrap();
    for (file, blob) in [("external.onnx", "0a1b"), ("external.onnx_data", "2c3d")] {
        std::fs::copy(models().join(file), blobs.join(blob)).unwrap();
        symlink(Path::new("../../blobs").join(blob), snapshot.join(file)).unwrap();
    }
    let facts = inspect(&ModelSource::File(snapshot.join("external.onnx"))).unwrap();
    assert_eq!(facts.external_data, [snapshot.join("external.onnx_data")]);
}

#[test]
fn link_out_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (model, data) = (
        folder.path().join("external.onnx"),
        elsewhere.path().join("data"),
    );
    std::fs::copy(models().join("external.onnx"), &model).unwrap();
    std::fs::copy(models().join("external.onnx_data"), &data).unwrap();
    symlink(&data, folder.path().join("external.onnx_data")).unwrap();
    let error = inspect(&ModelSource::File(model)).unwrap_err();
    assert!(
        matches!(&error, Error::ModelFile { path, .. } if path.ends_with("external.onnx_data")),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("leads out of the model's folder"),
        "{error}"
    );
}

#[test]
fn pointer_in_place_of_the_weights_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        models().join("external.onnx"),
        folder.path().join("external.onnx"),
    )
    .unwrap();
    std::fs::copy(
        models().join("bad-pointer.onnx"),
        folder.path().join("external.onnx_data"),
    )
    .unwrap();
    let error = inspect(&ModelSource::File(folder.path().join("external.onnx"))).unwrap_err();
    assert!(error.to_string().contains("git-LFS pointer"), "{error}");
}

#[test]
fn fifo_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if made.is_ok_and(|status| status.success()) {
        let error = inspect(&ModelSource::File(path)).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
}
