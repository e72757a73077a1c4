//! How large a model file may be, in each way that it can be large. Far above any depth network that there is, and low
//! enough for a file of a few bytes to take no more than a few hundred megabytes and a second.

/// Bytes of a model file: protobuf's own limit. More goes in files beside it.
pub(super) const MAX_FILE: u64 = 1 << 31;
/// Bytes of a file of weights, and of all of a model's together.
pub(super) const MAX_WEIGHTS: u64 = 1 << 36;
/// Bytes that the messages of a file take when decoded, beyond weights stored as bytes, which are not copied …
pub(super) const MAX_DECODED: u64 = 256 << 20;
/// … and this much more for each byte of the file, as weights stored as lists of numbers need.
pub(super) const MAX_DECODED_PER_BYTE: u64 = 4;
/// Nodes, those of functions and branches included, also when the calls of functions are written out.
pub(super) const MAX_NODES: u64 = 200_000;
/// Calls of functions within each other.
pub(super) const MAX_CALLS: u32 = 32;
/// Inputs and outputs of all nodes.
pub(super) const MAX_EDGES: u64 = 1_500_000;
/// Attributes of one node.
pub(super) const MAX_ATTRIBUTES: u64 = 1024;
/// Initializers of all graphs.
pub(super) const MAX_INITIALIZERS: u64 = 200_000;
/// Outputs of all graphs.
pub(super) const MAX_RESULTS: u64 = 50_000;
/// Elements of all sparse tensors when written out.
pub(super) const MAX_DENSE: u64 = 1 << 26;
/// Inputs that have to be fed, and outputs, of the model.
pub(super) const MAX_TENSORS: usize = 256;
/// Bytes of a name.
pub(super) const MAX_NAME: u64 = 4096;
/// Pixels of a patch's side.
pub(super) const MAX_PATCH: u32 = 64;
/// Pixels of all images of a run where the model fixes them: twice the largest square that `resolution` can ask for.
pub(crate) const MAX_FIXED_PIXELS: u64 = 1 << 25;
/// Bytes of a model, weights included, that are handed to a runtime in memory. Larger weights it maps from their files.
pub(super) const MAX_IN_MEMORY: u64 = 64 << 20;
