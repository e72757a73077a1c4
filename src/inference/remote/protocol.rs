//! The messages of KServe v2 over gRPC (the open inference protocol) that are used here, and of Triton's extensions.
//!
//! Names and field numbers are those of the protocol; what is not needed is left out, and skipped where it comes. A request
//! is written as its head and its tensor, so that a large tensor is copied once. An answer is untrusted: how many fields it
//! has is counted before anything is allocated for them.

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, skip_field,
};

/// The gRPC service, whose methods are called.
pub(super) const SERVICE: &str = "inference.GRPCInferenceService";

/// Fields of an answer, with those of its outputs.
const MAX_FIELDS: usize = 4096;

/// What a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    ServerMetadata,
    ModelMetadata,
    ModelInfer,
    /// Triton's: how a model is configured.
    ModelConfig,
    /// Triton's: which models there are.
    RepositoryIndex,
    /// Triton's: which regions of shared memory it has mapped,
    SharedMemoryStatus,
    /// to map one,
    SharedMemoryRegister,
    /// and to let it go.
    SharedMemoryUnregister,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ServerMetadata => "ServerMetadata",
            Self::ModelMetadata => "ModelMetadata",
            Self::ModelInfer => "ModelInfer",
            Self::ModelConfig => "ModelConfig",
            Self::RepositoryIndex => "RepositoryIndex",
            Self::SharedMemoryStatus => "SystemSharedMemoryStatus",
            Self::SharedMemoryRegister => "SystemSharedMemoryRegister",
            Self::SharedMemoryUnregister => "SystemSharedMemoryUnregister",
        }
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ServerMetadataResponse {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(string, repeated, tag = "3")]
    pub(super) extensions: Vec<String>,
}

/// Asks for a model's metadata or configuration.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelRequest {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorMetadata {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelMetadataResponse {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) platform: String,
    #[prost(message, repeated, tag = "4")]
    pub(super) inputs: Vec<TensorMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<TensorMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelConfig {
    #[prost(int32, tag = "4")]
    pub(super) max_batch_size: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelConfigResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) config: Option<ModelConfig>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RepositoryIndexRequest {
    #[prost(bool, tag = "2")]
    pub(super) ready: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelIndex {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RepositoryIndexResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) models: Vec<ModelIndex>,
}

/// A region of shared memory.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SharedMemory {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Its name to the system; empty where only the name is asked for.
    #[prost(string, tag = "2")]
    pub(super) key: String,
    #[prost(uint64, tag = "4")]
    pub(super) byte_size: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SharedMemoryStatusResponse {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) regions: std::collections::BTreeMap<String, SharedMemory>,
}

/// A parameter of a request or of one of its tensors.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InferParameter {
    #[prost(oneof = "Choice", tags = "1, 2, 3")]
    pub(super) choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Choice {
    #[prost(bool, tag = "1")]
    Bool(bool),
    #[prost(int64, tag = "2")]
    Int(i64),
    #[prost(string, tag = "3")]
    Text(String),
}

impl From<i64> for InferParameter {
    fn from(value: i64) -> Self {
        let choice = Some(Choice::Int(value));
        Self { choice }
    }
}

impl From<String> for InferParameter {
    fn from(value: String) -> Self {
        let choice = Some(Choice::Text(value));
        Self { choice }
    }
}

/// Parameters by their names, sorted, so that equal requests are equal bytes.
pub(super) type Parameters = std::collections::BTreeMap<String, InferParameter>;

#[derive(Clone, PartialEq, Message)]
pub(super) struct InferInputTensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(super) parameters: Parameters,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InferRequestedOutputTensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(btree_map = "string, message", tag = "2")]
    pub(super) parameters: Parameters,
}

/// Without the tensor's bytes, which follow it: see [`Call::infer`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelInferRequest {
    #[prost(string, tag = "1")]
    pub(super) model_name: String,
    #[prost(string, tag = "2")]
    pub(super) model_version: String,
    #[prost(btree_map = "string, message", tag = "4")]
    pub(super) parameters: Parameters,
    #[prost(message, repeated, tag = "5")]
    pub(super) inputs: Vec<InferInputTensor>,
    #[prost(message, repeated, tag = "6")]
    pub(super) outputs: Vec<InferRequestedOutputTensor>,
}

/// Values of a tensor that are not sent as raw bytes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct InferTensorContents {
    #[prost(float, repeated, tag = "6")]
    pub(super) fp32_contents: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InferOutputTensor {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub(super) shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    pub(super) contents: Option<InferTensorContents>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelInferResponse {
    #[prost(message, repeated, tag = "5")]
    pub(super) outputs: Vec<InferOutputTensor>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub(super) raw_output_contents: Vec<Bytes>,
}

impl ModelInferResponse {
    /// An answer, without a copy of its tensors.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &Bytes) -> Result<Self, String> {
        count(bytes.clone(), Level::Answer, &mut MAX_FIELDS.clone())?;
        Self::decode(bytes.clone()).map_err(|error| error.to_string())
    }
}

/// Any other answer.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read<M: Message + Default>(bytes: Bytes) -> Result<M, String> {
    M::decode(bytes).map_err(|error| error.to_string())
}

/// What is counted of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Answer,
    Output,
    Contents,
}

/// Counts fields down from `left`.
fn count(mut bytes: Bytes, level: Level, left: &mut usize) -> Result<(), String> {
    let words = |error: prost::DecodeError| error.to_string();
    while bytes.has_remaining() {
        *left = left
            .checked_sub(1)
            .ok_or_else(|| format!("it has more than {MAX_FIELDS} fields"))?;
        let (tag, wire) = decode_key(&mut bytes).map_err(words)?;
        let inner = match (level, tag, wire) {
            (Level::Answer, 5, WireType::LengthDelimited) => Some(Level::Output),
            (Level::Output, 5, WireType::LengthDelimited) => Some(Level::Contents),
            _ => None,
        };
        let Some(inner) = inner else {
            skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(words)?;
            continue;
        };
        let length = decode_varint(&mut bytes).map_err(words)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= bytes.remaining())
            .ok_or("it ends before a field does")?;
        count(bytes.split_to(length), inner, left)?;
    }
    Ok(())
}

/// A request, as bytes.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) head: Bytes,
    /// What follows the head: a tensor.
    pub(super) body: Bytes,
    /// Bytes of the answer, at most.
    pub(super) limit: usize,
}

impl Call {
    /// A small request, whose answer is small.
    pub(super) fn small(method: Method, message: &impl Message) -> Self {
        Self {
            method,
            head: message.encode_to_vec().into(),
            body: Bytes::new(),
            limit: 1 << 20,
        }
    }

    /// An inference on the tensor of these bytes.
    pub(super) fn infer(request: &ModelInferRequest, tensor: Bytes, limit: usize) -> Self {
        let mut head = request.encode_to_vec();
        if !tensor.is_empty() {
            prost::encoding::encode_key(7, WireType::LengthDelimited, &mut head);
            encode_varint(tensor.len() as u64, &mut head);
        }
        Self {
            method: Method::ModelInfer,
            head: head.into(),
            body: tensor,
            limit,
        }
    }
}
