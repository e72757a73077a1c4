//! Tensors of ONNX Runtime ↔ slices and the model room's neutral types.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::value::{Outlet as OrtOutlet, TensorElementType, ValueRef, ValueType};

use crate::model::{Dim, ElementType, Outlet};

/// Values of a tensor.
pub(super) enum Values<'a> {
    /// 32-bit floats.
    Single(&'a [f32]),
    /// Half precision.
    Half(&'a [f16]),
}

impl Values<'_> {
    /// Whether there is any number among them.
    pub(super) fn any_finite(&self) -> bool {
        match self {
            Self::Single(values) => values.iter().any(|value| value.is_finite()),
            Self::Half(values) => values.iter().any(|value| value.is_finite()),
        }
    }
}

/// The shape of a tensor that came back, and its values.
pub(super) fn values<'a>(value: &'a ValueRef<'_>) -> Result<(&'a [i64], Values<'a>), String> {
    let wrong = |error: ort::Error| error.message().to_owned();
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float32) => value
            .try_extract_tensor()
            .map(|(shape, values)| (&**shape, Values::Single(values)))
            .map_err(wrong),
        Some(TensorElementType::Float16) => value
            .try_extract_tensor()
            .map(|(shape, values)| (&**shape, Values::Half(values)))
            .map_err(wrong),
        _ => Err(format!(
            "{} came back instead of a tensor of floats",
            value.dtype()
        )),
    }
}

/// What [`super::failure`] knows as want of memory.
const OUT_OF_MEMORY: &str = "out of memory";

/// `values` as `f32`, in a buffer that is used again.
///
/// # Errors
/// No memory for them: after a network at a large size there may be less than they need.
pub(super) fn to_single(values: Values<'_>, into: &mut Vec<f32>) -> Result<(), String> {
    let count = match &values {
        Values::Single(values) => values.len(),
        Values::Half(values) => values.len(),
    };
    into.clear();
    into.try_reserve(count)
        .map_err(|error| format!("{OUT_OF_MEMORY}: {error}"))?;
    match values {
        Values::Single(values) => into.extend_from_slice(values),
        Values::Half(values) => {
            into.resize(values.len(), 0.0);
            values.convert_to_f32_slice(into);
        }
    }
    Ok(())
}

/// `values` as `f16`, in a buffer that is used again.
pub(super) fn to_half(values: &[f32], into: &mut Vec<f16>) {
    into.resize(values.len(), f16::ZERO);
    into.convert_from_f32_slice(values);
}

/// The `count` images of `images` and as many copies of the last as make them `wanted`, in a buffer that is used again.
pub(super) fn repeat_last(images: &[f32], count: usize, wanted: usize, into: &mut Vec<f32>) {
    let last = &images[images.len() - images.len() / count..];
    into.clear();
    into.extend_from_slice(images);
    for _ in count..wanted {
        into.extend_from_slice(last);
    }
}

/// Inputs or outputs of a session in neutral terms.
pub(super) fn outlets(outlets: &[OrtOutlet]) -> Vec<Outlet> {
    outlets
        .iter()
        .map(|outlet| match outlet.dtype() {
            ValueType::Tensor {
                ty,
                shape,
                dimension_symbols,
            } => Outlet::new(
                outlet.name(),
                element(*ty),
                shape
                    .iter()
                    .enumerate()
                    .map(|(index, &length)| {
                        let name = dimension_symbols.get(index).map_or("", String::as_str);
                        Dim::new(length, name)
                    })
                    .collect(),
            ),
            other => Outlet::new(
                outlet.name(),
                ElementType::Other(other.to_string()),
                Vec::new(),
            ),
        })
        .collect()
}

fn element(element: TensorElementType) -> ElementType {
    match element {
        TensorElementType::Float32 => ElementType::F32,
        TensorElementType::Float16 => ElementType::F16,
        // `uint8` as in ONNX, not `u8` as in Rust
        other => ElementType::Other(format!("{other:?}").to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_there_and_back() {
        let mut half = vec![f16::ONE; 7];
        to_half(&[0.5, -2.0, 70_000.0], &mut half);
        assert_eq!(
            half,
            [f16::from_f32(0.5), f16::from_f32(-2.0), f16::INFINITY]
        );
        let mut single = Vec::new();
        to_single(Values::Half(&half), &mut single).unwrap();
        assert_eq!(single, [0.5, -2.0, f32::INFINITY]);
        to_single(Values::Single(&[1.0, 2.0]), &mut single).unwrap();
        assert_eq!(single, [1.0, 2.0]);
    }
}
