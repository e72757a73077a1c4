//! Weights beside the model file.
//!
//! They are read here, once and checked, and put into the model in memory: an inference runtime is handed no name of a
//! file that the model gives. Runtimes differ in which of two places they take, in which links they follow, and in whether a place
//! may be an address of the process's own memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use super::budget::Budget;
use super::format;
use super::limits::MAX_WEIGHTS;
use super::proto::tensor_proto::{DataLocation, DataType};
use super::proto::{ModelProto, TensorProto};
use super::source::{RegularFile, io_reason};
use super::tensors::each_tensor;
use crate::error::Error;
use crate::text;

/// What stands for an address in memory instead of a file, to ONNX Runtime.
const MEMORY_MARKER: &str = "_ORT_MEM_ADDR_";
/// What lies between two tensors of a file is read along with them up to so many bytes.
const GAP: u64 = 64 << 10;
/// Links to links to a model are followed so far.
const MAX_LINKS: usize = 40;

/// What was read from beside a model.
#[derive(Debug, Default)]
pub(super) struct External {
    /// The files, as the model names them.
    pub(super) files: Vec<PathBuf>,
    /// What was read of them, one after the other.
    pub(super) parts: Vec<FilePart>,
}

/// Bytes that were read from a file.
#[derive(Debug, Clone)]
pub struct FilePart {
    /// The file itself, no link, with its whole path.
    pub path: PathBuf,
    /// Where in it they begin.
    pub start: u64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Reads the weights that lie in files beside the model at `path` into `model`, where they are as if they had always
/// been in it. Every file is a regular one, long enough, and in the model's folder, or in the folder that a link leads
/// to under which the model goes there, as in a download cache.
///
/// # Errors
/// [`Error::ModelFile`] that names the file at fault; [`Error::Cancelled`].
pub(super) fn take_in(
    model: &mut ModelProto,
    path: Option<&Path>,
    budget: &Budget,
) -> Result<External, Error> {
    let mut wanted = BTreeMap::<String, Vec<Range<u64>>>::new();
    let mut problem = None;
    each_tensor(model, &mut |tensor| {
        if tensor.data_location() == DataLocation::External {
            match Place::of(tensor) {
                Ok(Place { location, range }) => {
                    wanted.entry(location.to_owned()).or_default().push(range);
                }
                Err(reason) => {
                    problem.get_or_insert_with(|| {
                        format!("its weight `{}` {reason}", text::name(tensor.name()))
                    });
                }
            }
        }
    });
    let path = path.unwrap_or(Path::new("builtin"));
    if let Some(reason) = problem {
        return Err(Error::ModelFile {
            path: path.to_owned(),
            reason,
        });
    }
    let mut external = External::default();
    let mut read = BTreeMap::new();
    let folders = Folders::of(path);
    for (location, ranges) in wanted {
        let (name, real, parts) = folders.read(&location, ranges, budget)?;
        external.files.push(name);
        let part = |(start, bytes): &(u64, Bytes)| FilePart {
            path: real.clone(),
            start: *start,
            bytes: bytes.clone(),
        };
        external.parts.extend(parts.0.iter().map(part));
        read.insert(location, parts);
    }
    each_tensor(model, &mut |tensor| {
        if tensor.data_location() == DataLocation::External
            && let Ok(Place { location, range }) = Place::of(tensor)
        {
            tensor.raw_data = read.get(location).and_then(|parts| parts.get(&range));
        }
        // what is not marked as external is not, whatever it says of a place
        tensor.external_data.clear();
        tensor.data_location = None;
    });
    Ok(external)
}

/// The bytes of a tensor that was left in its file, in `folder` ([`super::Model::folder`]).
///
/// # Errors
/// In words.
pub(super) fn read_again(tensor: &TensorProto, folder: Option<&Path>) -> Result<Bytes, String> {
    let unreadable = |reason: &str| {
        format!(
            "its weight `{}` can't be read: {reason}",
            text::name(tensor.name())
        )
    };
    let Place { location, range } = Place::of(tensor).map_err(unreadable)?;
    let path = folder
        .ok_or_else(|| unreadable("it lies nowhere"))?
        .join(location);
    RegularFile::open(&path)
        .and_then(|mut file| file.read(range, &Budget::default()))
        .map_err(|reason| unreadable(&reason))
}

/// Where a tensor lies in which file.
struct Place<'a> {
    location: &'a str,
    range: Range<u64>,
}

impl<'a> Place<'a> {
    fn of(tensor: &'a TensorProto) -> Result<Self, &'static str> {
        let (mut location, mut offset, mut length, mut checksum) = (None, None, None, None);
        for entry in &tensor.external_data {
            let place = match entry.key() {
                "location" => &mut location,
                "offset" => &mut offset,
                "length" => &mut length,
                "checksum" => &mut checksum,
                _ => return Err("lies outside, and says of it what is not known here"),
            };
            if place.replace(entry.value()).is_some() {
                return Err("lies outside, but names two places");
            }
        }
        let location = location.ok_or("lies outside, but it does not say where")?;
        if location.contains(MEMORY_MARKER) {
            return Err("points into the memory of the process");
        }
        let number = |text: Option<&str>| {
            text.map(str::parse::<u64>)
                .transpose()
                .map_err(|_| "has no sound place")
        };
        let offset = number(offset)?.unwrap_or(0);
        // some exporters write 0 where they leave it to the shape
        let given = number(length)?.filter(|&length| length > 0);
        let length = match (byte_length(tensor), given) {
            (Some(needed), None) => needed,
            (Some(needed), Some(given)) if needed == given => needed,
            (Some(_), Some(_)) => return Err("is not as long outside as its shape has it"),
            (None, Some(given)) if tensor.data_type() != DataType::String as i32 => given,
            _ => return Err("has no sound place"),
        };
        let end = offset.checked_add(length).ok_or("has no sound place")?;
        Ok(Self {
            location,
            range: offset..end,
        })
    }
}

/// Bytes that a tensor takes, where its type is known.
fn byte_length(tensor: &TensorProto) -> Option<u64> {
    let bits: u64 = match DataType::try_from(tensor.data_type()).ok()? {
        DataType::Double | DataType::Int64 | DataType::Uint64 | DataType::Complex64 => 64,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 32,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 16,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 8,
        DataType::Int4 | DataType::Uint4 => 4,
        _ => return None,
    };
    let bits = tensor.dims.iter().try_fold(bits, |product, &side| {
        product.checked_mul(u64::try_from(side).ok()?)
    })?;
    Some(bits.div_ceil(8))
}

/// Parts of a file, by where they begin.
struct Parts(Vec<(u64, Bytes)>);

impl Parts {
    fn get(&self, range: &Range<u64>) -> Option<Bytes> {
        if range.is_empty() {
            return Some(Bytes::new());
        }
        let after = self.0.partition_point(|&(start, _)| start <= range.start);
        let (start, bytes) = self.0.get(after.checked_sub(1)?)?;
        let at = |place: u64| usize::try_from(place.checked_sub(*start)?).ok();
        let (from, to) = (at(range.start)?, at(range.end)?);
        (to <= bytes.len()).then(|| bytes.slice(from..to))
    }
}

/// Ranges that overlap or nearly touch, as one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged = Vec::<Range<u64>>::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => {
                last.end = last.end.max(range.end);
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// The folder of the model's path, and those of what it links to, step by step: a download cache has the model and its
/// data as links under their names, to files of other names in one folder.
struct Folders<'a> {
    model: &'a Path,
    steps: Vec<PathBuf>,
}

impl<'a> Folders<'a> {
    fn of(model: &'a Path) -> Self {
        let mut steps = vec![folder(model).to_owned()];
        let mut at = model.to_owned();
        while let Ok(target) = std::fs::read_link(&at)
            && steps.len() < MAX_LINKS
        {
            at = folder(&at).join(target);
            steps.push(folder(&at).to_owned());
        }
        Self { model, steps }
    }

    /// What `ranges` of the file at `location` hold, after its path and the one that this leads to.
    fn read(
        &self,
        location: &str,
        ranges: Vec<Range<u64>>,
        budget: &Budget,
    ) -> Result<(PathBuf, PathBuf, Parts), Error> {
        let relative = Path::new(location);
        let inside = |component| matches!(component, Component::Normal(_) | Component::CurDir);
        if location.is_empty() || !relative.components().all(inside) {
            return Err(Error::ModelFile {
                path: self.model.to_owned(),
                reason: format!(
                    "a model's weights may only lie in its own folder, but it asks for \"{}\"; export it again with its \
                     data beside it",
                    text::name(location)
                ),
            });
        }
        let is_there = |step: &&PathBuf| step.join(location).symlink_metadata().is_ok();
        let step = self.steps.iter().find(is_there).or(self.steps.first());
        let step = step.map_or(Path::new("."), PathBuf::as_path);
        let path = step.join(location);
        match self.read_file(step, &path, &ranges, budget) {
            Ok((real, parts)) => Ok((path, real, parts)),
            Err(_) if budget.is_cancelled() => Err(Error::Cancelled),
            Err(reason) => Err(Error::ModelFile { path, reason }),
        }
    }

    fn read_file(
        &self,
        step: &Path,
        path: &Path,
        ranges: &[Range<u64>],
        budget: &Budget,
    ) -> Result<(PathBuf, Parts), String> {
        let found = path.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!(
                "no such file; {} keeps its weights in it: put it beside the model, under this name",
                self.model.display()
            ),
            _ => io_reason(&error),
        })?;
        let homes = [Some(step), self.steps.last().map(PathBuf::as_path)];
        let at_home = homes
            .into_iter()
            .flatten()
            .filter_map(|home| home.canonicalize().ok())
            .any(|home| found.starts_with(home));
        if !at_home {
            return Err(format!(
                "it leads out of the model's folder, to {}; put the file itself beside the model",
                found.display()
            ));
        }
        let mut file = RegularFile::open(&found)?;
        // nobody put another in its place since it was looked at
        let same = found
            .symlink_metadata()
            .is_ok_and(|now| file.is_that_of(&now));
        if !same {
            return Err("it was replaced while it was opened; try again".to_owned());
        }
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        if file.length() < end {
            let head = file.read(0..file.length().min(64), budget)?;
            return Err(match format::is_git_lfs_pointer(&head) {
                true => "this is a git-LFS pointer, not the weights themselves; run `git lfs pull` in its repository, \
                         or download the file"
                    .to_owned(),
                false => format!(
                    "the model's weights need {end} bytes, but it has only {}; download it again, together with the \
                     model",
                    file.length()
                ),
            });
        }
        let ranges = merged(ranges.to_vec());
        let sum: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if sum > MAX_WEIGHTS {
            return Err(format!(
                "it holds {sum} bytes of weights, more than any depth network"
            ));
        }
        let read = ranges
            .into_iter()
            .map(|range| Ok((range.start, file.read(range, budget)?)))
            .collect::<Result<_, String>>()?;
        file.check_unchanged()?;
        Ok((found, Parts(read)))
    }
}

/// The folder of a file; that of a bare name is the current one.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_file() {
        let ranges = vec![70_000_000..70_000_100, 10..20, 15..30, 40..50, 5..5];
        let ranges = merged(ranges);
        assert_eq!(ranges, [10..50, 70_000_000..70_000_100]);
        let parts = Parts(vec![
            (10, Bytes::from((10..50).collect::<Vec<u8>>())),
            (70_000_000, Bytes::from(vec![9; 100])),
        ]);
        assert_eq!(parts.get(&(15..18)).unwrap()[..], [15, 16, 17]);
        assert_eq!(parts.get(&(10..50)).unwrap().len(), 40);
        assert_eq!(parts.get(&(70_000_001..70_000_100)).unwrap().len(), 99);
        assert_eq!(parts.get(&(7..7)).unwrap().len(), 0);
        for outside in [
            5..12,
            40..51,
            60..61,
            70_000_000..70_000_101,
            u64::MAX - 1..u64::MAX,
        ] {
            assert_eq!(parts.get(&outside), None, "{outside:?}");
        }
    }
}
