//! Weights beside the model file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::format;
use super::proto::tensor_proto::{DataLocation, DataType};
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
use super::source::io_reason;
use crate::error::Error;

/// Files that hold weights of the model at `path`, each checked to be there, long enough, and inside the model's
/// folder.
///
/// # Errors
/// [`Error::ModelFile`] that names the file at fault.
pub(super) fn check(model: &ModelProto, path: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    let mut needed = BTreeMap::<&str, u64>::new();
    let mut problem = None;
    each_tensor(model, &mut |tensor| {
        if tensor.data_location() == DataLocation::External {
            match Place::of(tensor) {
                Ok(place) => {
                    let end = needed.entry(place.location).or_default();
                    *end = place.end.max(*end);
                }
                Err(reason) => {
                    problem
                        .get_or_insert_with(|| format!("its weight `{}` {reason}", tensor.name()));
                }
            }
        }
    });
    if needed.is_empty() && problem.is_none() {
        return Ok(Vec::new());
    }
    let path = path.unwrap_or(Path::new("builtin"));
    if let Some(reason) = problem {
        return Err(Error::ModelFile {
            path: path.to_owned(),
            reason,
        });
    }
    needed
        .into_iter()
        .map(|(location, length)| check_file(path, location, length))
        .collect()
}

/// Where a tensor lies in its file.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    /// First byte after it.
    end: u64,
}

impl<'a> Place<'a> {
    fn of(tensor: &'a TensorProto) -> Result<Self, &'static str> {
        let entry = |key| {
            tensor
                .external_data
                .iter()
                .find(|entry| entry.key() == key)
                .map(|entry| entry.value())
        };
        let number = |key| {
            entry(key)
                .map(str::parse::<u64>)
                .transpose()
                .map_err(|_| "has no sound place")
        };
        let location = entry("location").ok_or("lies outside, but it does not say where")?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?
            .unwrap_or(0)
            .max(byte_length(tensor).unwrap_or(0));
        let end = offset.checked_add(length).ok_or("has no sound place")?;
        Ok(Self {
            location,
            offset,
            end,
        })
    }
}

/// Bytes that a tensor takes, as far as its type is one of whole bytes.
fn byte_length(tensor: &TensorProto) -> Option<u64> {
    let size = match DataType::try_from(tensor.data_type()).ok()? {
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        _ => return None,
    };
    tensor.dims.iter().try_fold(size, |product: u64, &side| {
        product.checked_mul(u64::try_from(side).ok()?)
    })
}

fn check_file(model: &Path, location: &str, length: u64) -> Result<PathBuf, Error> {
    let folder = folder(model);
    let path = folder.join(location);
    let fail = |reason: String| {
        Err(Error::ModelFile {
            path: path.clone(),
            reason,
        })
    };
    let relative = Path::new(location);
    let inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !relative.components().all(inside) {
        return fail(format!(
            "the model's weights may only lie in its own folder, but {} asks for \"{location}\"; \
             export it again with its data beside it",
            model.display()
        ));
    }
    let found = match path.canonicalize() {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fail(format!(
                "no such file; {} keeps its weights in it: put it beside the model, under this name",
                model.display()
            ));
        }
        Err(error) => return fail(io_reason(&error)),
    };
    // A download cache links both the model and its data to one folder of blobs, which is as good.
    let homes = [
        Some(folder.to_owned()),
        model
            .canonicalize()
            .ok()
            .map(|real| self::folder(&real).to_owned()),
    ];
    let at_home = homes
        .iter()
        .flatten()
        .filter_map(|home| home.canonicalize().ok())
        .any(|home| found.starts_with(home));
    if !at_home {
        return fail(format!(
            "it leads out of the model's folder, to {}; put the file itself beside the model",
            found.display()
        ));
    }
    let mut file = match File::open(&found) {
        Ok(file) => file,
        Err(error) => return fail(io_reason(&error)),
    };
    match file.metadata() {
        Ok(metadata) if !metadata.is_file() => fail("it is not a regular file".to_owned()),
        Ok(metadata) if metadata.len() < length => {
            let mut head = [0; 64];
            let read = file.read(&mut head).unwrap_or(0);
            fail(match format::is_git_lfs_pointer(&head[..read]) {
                true => "this is a git-LFS pointer, not the weights themselves; run `git lfs pull` in its \
                         repository, or download the file"
                    .to_owned(),
                false => format!(
                    "the model's weights need {length} bytes, but it has only {}; download it again, \
                     together with the model",
                    metadata.len()
                ),
            })
        }
        Ok(_) => Ok(path),
        Err(error) => fail(io_reason(&error)),
    }
}

/// The folder of a file; that of a bare name is the current one.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The bytes of a tensor of at most eight, where they lie outside. Only for models that passed [`check`].
pub(super) fn small(tensor: &TensorProto, model_folder: Option<&Path>) -> Option<Vec<u8>> {
    if tensor.data_location() != DataLocation::External {
        return None;
    }
    let place = Place::of(tensor).ok()?;
    let length = byte_length(tensor).filter(|length| (1..=8).contains(length))?;
    let mut file = File::open(model_folder?.join(place.location)).ok()?;
    file.seek(SeekFrom::Start(place.offset)).ok()?;
    let mut bytes = vec![0; length as usize];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// The bytes of a tensor that lies outside. Only for models that passed [`check`].
pub(super) fn bytes(tensor: &TensorProto, model_folder: Option<&Path>) -> Option<Vec<u8>> {
    let place = Place::of(tensor).ok()?;
    let length = byte_length(tensor)?;
    let mut file = File::open(model_folder?.join(place.location)).ok()?;
    file.seek(SeekFrom::Start(place.offset)).ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Calls `visit` with every tensor of the model, those in functions and subgraphs too.
fn each_tensor<'a>(model: &'a ModelProto, visit: &mut impl FnMut(&'a TensorProto)) {
    if let Some(graph) = &model.graph {
        in_graph(graph, visit);
    }
    for function in &model.functions {
        in_nodes(&function.node, visit);
    }
}

fn in_graph<'a>(graph: &'a GraphProto, visit: &mut impl FnMut(&'a TensorProto)) {
    graph.initializer.iter().for_each(&mut *visit);
    for sparse in &graph.sparse_initializer {
        sparse
            .values
            .iter()
            .chain(&sparse.indices)
            .for_each(&mut *visit);
    }
    in_nodes(&graph.node, visit);
}

fn in_nodes<'a>(nodes: &'a [NodeProto], visit: &mut impl FnMut(&'a TensorProto)) {
    for AttributeProto {
        t,
        tensors,
        g,
        graphs,
        ..
    } in nodes.iter().flat_map(|node| &node.attribute)
    {
        t.iter().chain(tensors).for_each(&mut *visit);
        // nesting is bounded by the decoder's own limit
        for graph in g.iter().chain(graphs) {
            in_graph(graph, visit);
        }
    }
}
