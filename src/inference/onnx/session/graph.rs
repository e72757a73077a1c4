//! What is handed to ONNX Runtime: a graph in memory, that names no file but those that its large weights were read
//! from.

use std::sync::Arc;

use ort::session::Session;
use ort::session::builder::SessionBuilder;
use prost::Message;

use crate::model::Model;
use crate::model::proto::ModelProto;

/// A graph to run, with all of its weights. Cheap to clone.
#[derive(Clone)]
pub(super) struct Graph {
    proto: Arc<ModelProto>,
    /// See [`Model::folder`].
    folder: Option<String>,
}

impl Graph {
    /// That of `model`.
    pub(super) fn of(model: &Model) -> Self {
        Self::rewritten(model, model.proto().clone())
    }

    /// Another that computes the same as that of `model`, and has its weights from it.
    pub(super) fn rewritten(model: &Model, proto: ModelProto) -> Self {
        Self {
            proto: Arc::new(proto),
            folder: model.folder().map(str::to_owned),
        }
    }

    #[cfg(test)]
    pub(super) fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// A hash of the graph, with the weights that are in it.
    pub(super) fn digest(&self) -> [u8; 32] {
        blake3::hash(&self.proto.encode_to_vec()).into()
    }

    /// Makes a session, which has all that it needs.
    pub(super) fn commit(&self, mut builder: SessionBuilder) -> ort::Result<Session> {
        if let Some(folder) = &self.folder {
            let entry = "session.model_external_initializers_file_folder_path";
            builder = builder.with_config_entry(entry, folder)?;
        }
        builder.commit_from_memory(&self.proto.encode_to_vec())
    }
}
