//! What a model file says of itself.
//!
//! [`inspect`] reads the ONNX protobuf: what do its numbers mean ([`DepthKind`], by its [`OutputActivation`] or its metadata),
//! which values does it want its image in ([`InputNormalization`]), how large are its patches, where do its weights lie. [`select_input`] and [`select_output`] decide on neutral descriptions of inputs and outputs
//! ([`TensorInfo`]), as an inference runtime reports them, which of them are the image and the depth. Nothing here goes
//! by names, except to choose between two outputs that are alike in everything else.

mod activation;
mod attributes;
mod budget;
mod depth_kind;
mod external;
mod facts;
mod format;
mod functions;
mod graph;
mod input;
mod limits;
mod loaded;
mod metadata;
mod normalization;
mod number;
mod output;
mod parts;
mod patch;
mod plain;
pub mod proto;
pub mod rewrite;
mod source;
mod sparse;
mod tensor_info;
mod tensors;
mod wire;

pub use activation::OutputActivation;
pub use budget::{Budget, Cancel};
pub use facts::{ModelFacts, OutputFacts};
pub use input::{ImageInput, Layout, select_input};
pub(crate) use limits::MAX_FIXED_PIXELS;
pub use loaded::Model;
#[cfg(feature = "testing")]
pub use loaded::{inspect, inspect_bytes};
pub use normalization::Quantization;
pub use output::{DepthOutput, depth_size, select_output, settle_output};
pub use patch::FALLBACK_PATCH;
pub use source::ModelSource;
pub use tensor_info::{Dim, ElementType, TensorInfo};

use std::fmt;

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

impl fmt::Display for DepthKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relative => "inverse depth: larger is nearer, without metres",
            Self::Distance => "distance: larger is farther, without metres",
            Self::Metric => "distance in metres",
        })
    }
}

/// What sizes the network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputSize {
    /// Any width and height that are multiples of the patch.
    Any,
    /// Only this one; frames are stretched to it.
    Fixed(Size),
}

/// What the values of the network's image are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputNormalization {
    /// ImageNet's mean is taken off and what is left divided by its deviation: Depth Anything and most networks on a ViT
    /// or ResNet.
    Imagenet,
    /// 0…1.
    Unit,
    /// 0…255.
    Byte,
}

/// What was found out about a model, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<T> {
    /// What it is.
    pub value: T,
    /// Whether the file leaves no doubt.
    pub is_certain: bool,
    /// What it was told by, in words.
    pub reason: String,
}

impl<T> Finding<T> {
    /// What the file tells.
    pub fn certain(value: T, reason: String) -> Self {
        Self {
            value,
            is_certain: true,
            reason,
        }
    }

    /// What is likeliest where the file does not tell.
    pub fn guessed(value: T, reason: String) -> Self {
        Self {
            value,
            is_certain: false,
            reason,
        }
    }
}
