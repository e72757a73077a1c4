//! Running a network: finding ONNX Runtime, choosing an execution provider, keeping a session.

pub mod network;
pub mod runtime;
