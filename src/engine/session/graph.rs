//! What is handed to ONNX Runtime: a graph in memory, and its weights in memory beside it. It never opens a file by
//! itself.

use std::ffi::CString;
use std::sync::Arc;

use bytes::Bytes;
use ort::AsPointer;
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use prost::Message;

use crate::engine::provider::ExecutionProvider;
use crate::model::Model;
use crate::model::proto::ModelProto;
use crate::model::rewrite::take_out;

/// A graph to run, with all of its weights. Cheap to clone.
#[derive(Clone)]
pub(super) struct Graph(Arc<ModelProto>);

impl Graph {
    /// The model's own.
    pub(super) fn of(model: &Model) -> Self {
        Self::new(model.proto().clone())
    }

    /// Another that computes the same.
    pub(super) fn new(proto: ModelProto) -> Self {
        Self(Arc::new(proto))
    }

    #[cfg(test)]
    pub(super) fn proto(&self) -> &ModelProto {
        &self.0
    }

    /// A hash of the graph and its weights.
    pub(super) fn digest(&self) -> [u8; 32] {
        let (graph, weights) = self.parts();
        let mut hash = blake3::Hasher::new();
        for bytes in std::iter::once(&graph[..]).chain(weights.iter().map(|(_, bytes)| &bytes[..]))
        {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }

    /// The graph serialised, and the large weights, under the names that it has for them.
    fn parts(&self) -> (Vec<u8>, Vec<(String, Bytes)>) {
        let mut proto = ModelProto::clone(&self.0);
        let weights = take_out(&mut proto);
        (proto.encode_to_vec(), weights)
    }

    /// Makes a session. The weights have to live as long as it does: they are not copied.
    pub(super) fn commit(
        &self,
        provider: ExecutionProvider,
        builder: &mut SessionBuilder,
    ) -> ort::Result<(Session, Weights)> {
        // its compiler takes a graph as one whole
        if provider == ExecutionProvider::Tensorrt {
            let session = builder.commit_from_memory(&self.0.encode_to_vec())?;
            return Ok((session, Weights(Vec::new())));
        }
        let (graph, weights) = self.parts();
        let weights = Weights(weights);
        weights.hand_over(builder)?;
        let session = builder.commit_from_memory(&graph)?;
        Ok((session, weights))
    }
}

/// Weights that a session reads from memory of this process.
pub(super) struct Weights(Vec<(String, Bytes)>);

impl Weights {
    fn hand_over(&self, builder: &mut SessionBuilder) -> ort::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut names = Vec::with_capacity(self.0.len());
        for (name, _) in &self.0 {
            let name = CString::new(name.as_str());
            names.push(name.map_err(|error| ort::Error::new(error.to_string()))?);
        }
        let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let buffers: Vec<_> = (self.0.iter())
            .map(|(_, bytes)| bytes.as_ptr().cast_mut().cast())
            .collect();
        let lengths: Vec<_> = self.0.iter().map(|(_, bytes)| bytes.len()).collect();
        // SAFETY: as many names, NUL-terminated, as buffers and lengths of those. ONNX Runtime copies the names and only
        // reads the buffers, which outlive the session: whoever has it keeps `self`.
        let status = unsafe {
            (ort::api().AddExternalInitializersFromMemory)(
                builder.ptr_mut(),
                names.as_ptr(),
                buffers.as_ptr(),
                lengths.as_ptr(),
                self.0.len(),
            )
        };
        // SAFETY: just returned by it
        unsafe { ort::Error::result_from_status(status) }
    }
}
