//! A model in memory, read and checked.

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::attributes;
use super::budget::Budget;
use super::external::{self, External, FilePart};
use super::facts::{self, ModelFacts};
use super::format;
use super::functions;
use super::limits::MAX_IN_MEMORY;
use super::output::select_output;
use super::parts::nodes;
use super::plain;
use super::proto::ModelProto;
use super::rewrite::leave_in_files;
use super::source::ModelSource;
use super::sparse;
use super::wire::{self, Refusal};
use crate::error::Error;

/// A model with all of its weights, wherever they lay. Nothing that it says of files is left in it, so that it can be
/// handed to an inference runtime as it is, or rewritten. One of up to `MAX_IN_MEMORY` bytes refers to no file at all, and
/// whatever happens to its files does not matter. The large weights of a larger one are left in the files that they were
/// read from, which a runtime maps: in memory there would be two of them.
#[derive(Debug, Clone)]
pub struct Model {
    facts: ModelFacts,
    proto: ModelProto,
    digest: [u8; 32],
    length: u64,
    folder: Option<String>,
}

impl Model {
    /// Reads the file of `source` and those beside it that hold its weights.
    ///
    /// # Errors
    /// - [`Error::ModelFile`]: a file is missing, unreadable, too short, too large or outside the model's folder.
    /// - [`Error::ModelInvalid`]: not an ONNX model, a damaged one, or one that is beyond the limits of [`super`].
    /// - [`Error::ModelUnsupported`]: patches, inputs or outputs that no depth network has.
    /// - [`Error::Cancelled`].
    pub fn read(source: &ModelSource, budget: &Budget) -> Result<Self, Error> {
        Self::of(source, source.read(budget)?, budget)
    }

    /// As [`Model::read`], of the bytes of the model file.
    ///
    /// # Errors
    /// As [`Model::read`].
    pub fn of(source: &ModelSource, bytes: Bytes, budget: &Budget) -> Result<Self, Error> {
        let mut hash = blake3::Hasher::new();
        let mut length = 0;
        let mut count = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
            length += bytes.len() as u64;
        };
        count(&bytes);
        let mut proto = decode(source, bytes.clone())?;
        functions::check(&proto)
            .and_then(|()| attributes::check(&proto))
            .map_err(|reason| Error::ModelInvalid {
                model: source.label(),
                reason,
            })?;
        let External { files, mut parts } = external::take_in(&mut proto, source.path(), budget)?;
        parts.iter().for_each(|part| count(&part.bytes));
        sparse::check(&proto).map_err(|reason| Error::ModelInvalid {
            model: source.label(),
            reason,
        })?;
        // of no use here, and it would be handed on
        proto.training_info = Vec::new();
        refuse_compiled(&proto, source)?;
        let mut facts = facts::of(source, &proto, files, budget)?;
        // the runtime may know more of the shapes, but hardly another output
        let declared: Vec<_> = (facts.outputs.iter())
            .map(|output| output.tensor.clone())
            .collect();
        if let Ok(output) = select_output(&facts, &declared) {
            facts.kind = facts.kind_of(&declared[output.index].name);
        }
        let mut folder = None;
        if length > MAX_IN_MEMORY
            && let Some(Ok(path)) = source.path().map(Path::canonicalize)
        {
            parts.push(FilePart {
                path,
                start: 0,
                bytes,
            });
            folder = leave_in_files(&mut proto, &parts);
        }
        Ok(Self {
            facts,
            proto,
            digest: hash.finalize().into(),
            length,
            folder,
        })
    }

    /// What it says of itself.
    pub fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    /// As [`Model::facts`], without the rest.
    #[cfg(feature = "testing")]
    pub fn into_facts(self) -> ModelFacts {
        self.facts
    }

    /// The model; copies of it share their weights.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The folder that names of files in [`Model::proto`] are to be taken from, where there are any.
    pub fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    /// Whether a node of it is of this operator.
    pub fn uses(&self, operator: &str) -> bool {
        uses(&self.proto, operator)
    }

    /// Whether it is made of nothing but what exports of Depth Anything and its like are made of.
    pub fn is_plain(&self) -> bool {
        plain::is_plain(&self.proto)
    }

    /// A hash of all that was read.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Bytes that were read.
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// Reads what a model file says of itself.
///
/// # Errors
/// As [`Model::read`].
#[cfg(feature = "testing")]
pub fn inspect(source: &ModelSource) -> Result<ModelFacts, Error> {
    Ok(Model::read(source, &Budget::default())?.into_facts())
}

/// As [`inspect`], of bytes that are there already ([`ModelSource::bytes`]). External data is looked for beside the
/// file of `source`.
///
/// # Errors
/// As [`inspect`].
#[cfg(feature = "testing")]
pub fn inspect_bytes(source: &ModelSource, bytes: Bytes) -> Result<ModelFacts, Error> {
    Ok(Model::of(source, bytes, &Budget::default())?.into_facts())
}

/// A node that holds, or names a file of, what some provider has compiled: native code, which no model from elsewhere
/// may bring.
const COMPILED: &str = "EPContext";

fn refuse_compiled(model: &ModelProto, source: &ModelSource) -> Result<(), Error> {
    if uses(model, COMPILED) {
        return Err(Error::ModelUnsupported {
            model: source.label(),
            found: "a compiled engine in it (EPContext)".to_owned(),
            wanted: "the model that it was compiled from".to_owned(),
        });
    }
    Ok(())
}

/// Whether any node is of this operator.
fn uses(model: &ModelProto, operator: &str) -> bool {
    nodes(model).any(|node| node.op_type() == operator)
}

/// The model as a protobuf; large byte fields are slices of `bytes`.
fn decode(source: &ModelSource, bytes: Bytes) -> Result<ModelProto, Error> {
    let invalid = |reason: String| Error::ModelInvalid {
        model: source.label(),
        reason,
    };
    if let Some(reason) = format::mistaken(&bytes) {
        return Err(invalid(reason));
    }
    // every exporter begins with the format's version
    let begins_like_onnx = bytes.first() == Some(&0x08);
    let broken = |error: &str| {
        invalid(if begins_like_onnx {
            format!("it is damaged or was cut short ({error}); download it again")
        } else {
            "this is not an ONNX file".to_owned()
        })
    };
    wire::check(&bytes).map_err(|refusal| match refusal {
        Refusal::Broken => broken("a field ends beyond what it is in"),
        Refusal::TooLarge(reason) => invalid(reason),
    })?;
    let model = ModelProto::decode(bytes).map_err(|error| broken(&error.to_string()))?;
    match &model.graph {
        None => Err(invalid(
            "it has no graph; it is not an ONNX model, or was cut short".to_owned(),
        )),
        Some(graph) if graph.node.is_empty() || graph.output.is_empty() => Err(invalid(
            "its graph is empty; it is not an ONNX model, or was cut short".to_owned(),
        )),
        Some(_) if model.opset_import.is_empty() => Err(invalid(
            "it names no operator set; it was cut short, download it again".to_owned(),
        )),
        Some(_) => Ok(model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_copies_no_weights_and_loses_nothing() {
        let bytes = ModelSource::Builtin.bytes().unwrap();
        let file = bytes.as_ptr_range();
        let model = decode(&ModelSource::Builtin, bytes.clone()).unwrap();
        let weights = &model.graph.as_ref().unwrap().initializer;
        assert!(
            weights
                .iter()
                .any(|tensor| tensor.raw_data().len() > 100_000)
        );
        for tensor in weights
            .iter()
            .filter(|tensor| !tensor.raw_data().is_empty())
        {
            assert!(
                file.contains(&tensor.raw_data().as_ptr()),
                "{} was copied",
                tensor.name()
            );
        }
        assert_eq!(model.encoded_len(), bytes.len());
        assert_eq!(
            ModelProto::decode(model.encode_to_vec().as_slice()).unwrap(),
            model
        );
    }
}
