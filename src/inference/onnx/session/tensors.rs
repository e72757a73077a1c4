//! Tensors of ONNX Runtime ↔ slices and the model room's neutral types.

use half::f16;
use half::slice::HalfFloatSliceExt;
use ort::session::SessionInputValue;
use ort::value::{Outlet as OrtOutlet, TensorElementType, TensorRef, ValueRef, ValueType};

use crate::model::{Dim, ElementType, ImageInput, Layout, Quantization, TensorInfo};

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

/// Images as a network takes them, in buffers that are used again.
#[derive(Default)]
pub(super) struct Fed {
    single: Vec<f32>,
    half: Vec<f16>,
    bytes: Vec<u8>,
}

impl Fed {
    /// `values`, images of `[3, height, width]` with `area` pixels each, in the order and type of `input`.
    ///
    /// # Errors
    /// No memory for them, or ONNX Runtime's.
    pub(super) fn tensor<'a>(
        &'a mut self,
        input: &ImageInput,
        shape: Vec<i64>,
        values: &'a [f32],
        area: usize,
    ) -> Result<SessionInputValue<'a>, String> {
        let wrong = |error: ort::Error| error.message().to_owned();
        let layout = input.layout;
        Ok(match (&input.element, layout) {
            (ElementType::F16, Layout::ChannelsFirst) => {
                reserve(&mut self.half, values.len())?;
                to_half(values, &mut self.half);
                let tensor = TensorRef::from_array_view((shape, self.half.as_slice()));
                tensor.map_err(wrong)?.into()
            }
            (ElementType::F16, Layout::ChannelsLast) => {
                arrange(values, area, layout, &mut self.half, f16::from_f32)?;
                let tensor = TensorRef::from_array_view((shape, self.half.as_slice()));
                tensor.map_err(wrong)?.into()
            }
            (ElementType::U8, _) => {
                match input.quantization {
                    None => arrange(values, area, layout, &mut self.bytes, byte)?,
                    Some(Quantization { scale, zero }) => {
                        let (scale, zero) = (scale as f32, zero as f32);
                        arrange(values, area, layout, &mut self.bytes, |value| {
                            byte(value / scale + zero)
                        })?;
                    }
                }
                let tensor = TensorRef::from_array_view((shape, self.bytes.as_slice()));
                tensor.map_err(wrong)?.into()
            }
            (_, Layout::ChannelsLast) => {
                arrange(values, area, layout, &mut self.single, |value| value)?;
                let tensor = TensorRef::from_array_view((shape, self.single.as_slice()));
                tensor.map_err(wrong)?.into()
            }
            (_, Layout::ChannelsFirst) => {
                let tensor = TensorRef::from_array_view((shape, values));
                tensor.map_err(wrong)?.into()
            }
        })
    }
}

/// The byte nearest to `value`, halves to even; what is beyond, as bicubic resampling overshoots, becomes 0 or 255.
fn byte(value: f32) -> u8 {
    // saturates, and makes NaN 0
    value.round_ties_even() as u8
}

fn reserve<T>(into: &mut Vec<T>, count: usize) -> Result<(), String> {
    into.clear();
    into.try_reserve(count)
        .map_err(|error| format!("{OUT_OF_MEMORY}: {error}"))
}

/// `values`, images of three planes of `area` each, converted one by one and laid as `layout` says.
fn arrange<T>(
    values: &[f32],
    area: usize,
    layout: Layout,
    into: &mut Vec<T>,
    convert: impl Fn(f32) -> T,
) -> Result<(), String> {
    reserve(into, values.len())?;
    if layout == Layout::ChannelsFirst {
        into.extend(values.iter().map(|&value| convert(value)));
        return Ok(());
    }
    for image in values.chunks_exact((3 * area).max(1)) {
        let (red, others) = image.split_at(area);
        let (green, blue) = others.split_at(area);
        let pixels = red.iter().zip(green).zip(blue);
        into.extend(pixels.flat_map(|((&red, &green), &blue)| [red, green, blue].map(&convert)));
    }
    Ok(())
}

/// `values` as `f16`, in a buffer that is used again.
fn to_half(values: &[f32], into: &mut Vec<f16>) {
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
pub(super) fn infos(outlets: &[OrtOutlet]) -> Vec<TensorInfo> {
    outlets
        .iter()
        .map(|outlet| match outlet.dtype() {
            ValueType::Tensor {
                ty,
                shape,
                dimension_symbols,
            } => TensorInfo::new(
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
            other => TensorInfo::new(
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
        TensorElementType::Uint8 => ElementType::U8,
        // `int8` as in ONNX, not `i8` as in Rust
        other => ElementType::Other(format!("{other:?}").to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_round_and_saturate() {
        let cases = [
            (0.5, 0),
            (1.5, 2),
            (254.4, 254),
            (255.6, 255),
            (300.0, 255),
            (-7.0, 0),
            (f32::NAN, 0),
        ];
        for (value, expected) in cases {
            assert_eq!(byte(value), expected, "{value}");
        }
    }

    #[test]
    fn channels_go_last() {
        let two_images: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let mut bytes = Vec::new();
        arrange(&two_images, 2, Layout::ChannelsLast, &mut bytes, byte).unwrap();
        assert_eq!(bytes, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
        arrange(&two_images, 2, Layout::ChannelsFirst, &mut bytes, byte).unwrap();
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    }

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
