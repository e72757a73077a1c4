//! Regenerates `src/model/proto/onnx.rs` from `src/model/proto/onnx-ml.proto`. Needs `protoc`.
//!
//! ```text
//! cargo run --manifest-path scripts/onnx-proto/Cargo.toml
//! ```

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/model/proto");
    prost_build::Config::new()
        // weights stay slices of the mapped file instead of being copied
        .bytes(["."])
        // the comments of the .proto are Markdown only by chance
        .disable_comments(["."])
        .out_dir(&folder)
        .compile_protos(&[folder.join("onnx-ml.proto")], &[&folder])?;
    Ok(())
}
