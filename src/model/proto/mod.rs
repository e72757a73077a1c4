//! The messages of an ONNX file as Rust types, enough of them to read a model and write it again whole.
//!
//! Names and field numbers are those of ONNX's file format, up to IR version 14, so a field is looked up in
//! [ONNX's documentation](https://onnx.ai/onnx/repo-docs/IR.html) by its name. A field that is `None` or empty is not in the
//! file; numbers that stand for a kind are kept as they are, known or not. Bytes are slices of what was decoded: weights
//! are not copied. Fields with other numbers are dropped.

#![allow(
    missing_docs,
    reason = "the fields are those of ONNX's documentation, under the same names"
)]

mod device;
mod entries;
mod graph;
mod model;
mod tensor;
mod types;

#[cfg(test)]
mod tests;

pub use device::{
    DeviceConfigurationProto, IntIntListEntryProto, NodeDeviceConfigurationProto, ShardedDimProto,
    ShardingSpecProto, SimpleShardedDimProto, simple_sharded_dim_proto,
};
pub use entries::{OperatorSetIdProto, StringStringEntryProto};
pub use graph::{
    AttributeProto, GraphProto, NodeProto, TensorAnnotation, ValueInfoProto, attribute_proto,
};
pub use model::{FunctionProto, ModelProto, TrainingInfoProto};
pub use tensor::{SparseTensorProto, TensorProto, tensor_proto};
pub use types::{TensorShapeProto, TypeProto, tensor_shape_proto, type_proto};
