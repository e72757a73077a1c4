//! Inputs and outputs of a network in neutral terms, whoever reports them.

use std::fmt;

use crate::text;

use super::proto::{self, tensor_proto::DataType, tensor_shape_proto::dimension, type_proto};

/// Sides that are shown of one input or output.
const MOST_SHOWN: usize = 16;

/// Element type of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 32-bit float.
    F32,
    /// IEEE half precision.
    F16,
    /// Bytes.
    U8,
    /// Any other, by its name: `int64`, `int8`, `bfloat16`, …
    Other(String),
}

impl ElementType {
    /// Whether depth maps may have this type.
    pub fn may_be_depth(&self) -> bool {
        matches!(self, Self::F32 | Self::F16)
    }

    /// Whether images may have this type.
    pub fn may_be_image(&self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::U8)
    }

    pub(super) fn from_onnx(element: i32) -> Self {
        match DataType::try_from(element) {
            Ok(DataType::Float) => Self::F32,
            Ok(DataType::Float16) => Self::F16,
            Ok(DataType::Uint8) => Self::U8,
            Ok(other) => Self::Other(other.name()),
            Err(_) => Self::Other(format!("element type {element}")),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("float32"),
            Self::F16 => f.write_str("float16"),
            Self::U8 => f.write_str("uint8"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One side of a tensor as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Always this long.
    Fixed(u64),
    /// Open, with a name.
    Symbolic(String),
    /// Open, without one (−1).
    Unknown,
}

impl Dim {
    /// From a length or −1 and the name of an open side, empty for none: as ONNX Runtime reports it.
    pub fn new(length: i64, name: &str) -> Self {
        match u64::try_from(length) {
            Ok(length) => Self::Fixed(length),
            Err(_) if name.is_empty() => Self::Unknown,
            Err(_) => Self::Symbolic(name.to_owned()),
        }
    }

    /// The length of a fixed side.
    pub fn fixed(&self) -> Option<u64> {
        match self {
            Self::Fixed(length) => Some(*length),
            _ => None,
        }
    }

    /// Whether this side can be `length` long.
    pub fn admits(&self, length: u64) -> bool {
        self.fixed().is_none_or(|fixed| fixed == length)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Symbolic(name) => f.write_str(&text::name(name)),
            Self::Unknown => f.write_str("?"),
        }
    }
}

/// An input or output as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorInfo {
    /// Its name.
    pub name: String,
    /// Type of its elements; what is no tensor is an [`ElementType::Other`].
    pub element: ElementType,
    /// Its sides, outermost first. An output of unknown rank has none.
    pub dims: Vec<Dim>,
}

impl TensorInfo {
    /// An input or output.
    pub fn new(name: impl Into<String>, element: ElementType, dims: Vec<Dim>) -> Self {
        Self {
            name: name.into(),
            element,
            dims,
        }
    }

    pub(super) fn from_onnx(info: &proto::ValueInfoProto) -> Self {
        let (element, dims) = match info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
            Some(type_proto::Value::TensorType(tensor)) => (
                ElementType::from_onnx(tensor.elem_type()),
                tensor
                    .shape
                    .iter()
                    .flat_map(|shape| &shape.dim)
                    .map(|dim| match &dim.value {
                        Some(dimension::Value::DimValue(length)) => Dim::new(*length, ""),
                        Some(dimension::Value::DimParam(name)) => Dim::new(-1, name),
                        None => Dim::Unknown,
                    })
                    .collect(),
            ),
            Some(_) => (ElementType::Other("no tensor".to_owned()), Vec::new()),
            // an output without a type: the runtime will infer it
            None => (ElementType::Other("untyped".to_owned()), Vec::new()),
        };
        Self::new(info.name(), element, dims)
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} [", text::name(&self.name), self.element)?;
        for (index, dim) in self.dims.iter().take(MOST_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{dim}")?;
        }
        if self.dims.len() > MOST_SHOWN {
            write!(f, ", … {} sides", self.dims.len())?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_in_the_papers() {
        let tensor = TensorInfo::new(
            "image",
            ElementType::F16,
            vec![
                Dim::new(1, ""),
                Dim::new(3, ""),
                Dim::new(-1, "height"),
                Dim::new(-1, ""),
            ],
        );
        assert_eq!(tensor.to_string(), "`image` float16 [1, 3, height, ?]");
    }
}
