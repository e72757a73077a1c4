//! ONNX's own schema as Rust types.
//!
//! `onnx.rs` is generated from `onnx-ml.proto` (Apache-2.0, as shipped in the Python package `onnx` 1.23) and
//! committed, so that building the plugin needs no `protoc`. To take a newer schema, replace the `.proto` and run
//! `cargo run --manifest-path scripts/onnx-proto/Cargo.toml`.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

include!("onnx.rs");
