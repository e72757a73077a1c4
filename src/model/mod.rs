//! What a model file says of itself.
//!
//! [`inspect`] reads the ONNX protobuf: is it metric or relative ([`Ending`]), how large are its patches, where do
//! its weights lie. [`select_input`] and [`select_output`] decide on neutral descriptions of inputs and outputs
//! ([`Outlet`]), as an inference runtime reports them, which of them are the image and the depth. Nothing here goes
//! by names, except to choose between two outputs that are alike in everything else.

mod budget;
mod ending;
mod external;
mod facts;
mod format;
mod graph;
mod input;
mod limits;
mod loaded;
mod number;
mod outlet;
mod output;
mod patch;
pub mod proto;
pub mod rewrite;
mod source;
mod tensors;
mod wire;

pub use budget::{Budget, Cancel};
pub use ending::Ending;
pub use facts::{ModelFacts, OutputFacts, inspect, inspect_bytes};
pub use input::{ImageInput, select_input};
pub(crate) use limits::MAX_FIXED_PIXELS;
pub use loaded::Model;
pub use outlet::{Dim, ElementType, Outlet};
pub use output::{DepthOutput, depth_size, select_output, settle_output};
pub use patch::FALLBACK_PATCH;
pub use source::ModelSource;

use crate::geometry::Size;

/// What the network's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DepthKind {
    /// Affine-invariant inverse depth: larger is nearer, scale and shift unknown.
    Relative,
    /// Scale-invariant depth: grows with distance, zero is the camera, scale unknown. Depth Anything 3's monocular
    /// networks.
    Distance,
    /// Depth in metres.
    Metric,
}

/// What sizes the network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputSize {
    /// Any width and height that are multiples of the patch.
    Any,
    /// Only this one; frames are stretched to it.
    Fixed(Size),
}
