//! A server's model: what it is fed and what it gives, as requests and answers have it.

use bytes::Bytes;

use super::halves;
use super::protocol::{
    Call, InferInputTensor, InferRequestedOutputTensor, ModelInferRequest, ModelInferResponse,
    ModelMetadataResponse, Parameters, TensorMetadata,
};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::backend::{DepthMaps, Images};
use crate::model::{
    Dim, ElementType, ImageInput, Layout, MAX_FIXED_PIXELS, ModelFacts, TensorInfo, depth_size,
};
use crate::text;

/// Inputs and outputs of a model that are looked at.
const MAX_TENSORS: usize = 64;
/// Sides of a tensor.
const MAX_RANK: usize = 16;
/// Values that are converted at a time.
const CHUNK: usize = 4096;
/// Bytes of an answer beside its tensors.
const ANSWER_HEAD: usize = 1 << 20;
/// A depth map may have so many times the pixels of its image.
const LARGEST_MAP: usize = 4;
/// Bytes of all outputs of a trial run.
const TRIAL_ANSWER: usize = 64 << 20;

/// What the protocol calls a type of elements.
fn element(datatype: &str) -> ElementType {
    match datatype {
        "FP32" => ElementType::F32,
        "FP16" => ElementType::F16,
        "UINT8" => ElementType::U8,
        other => ElementType::Other(text::name(other).to_lowercase()),
    }
}

fn datatype(element: &ElementType) -> &'static str {
    match element {
        ElementType::F16 => "FP16",
        ElementType::U8 => "UINT8",
        _ => "FP32",
    }
}

fn bytes_of(element: &ElementType) -> Option<usize> {
    match element {
        ElementType::F32 => Some(4),
        ElementType::F16 => Some(2),
        ElementType::U8 => Some(1),
        ElementType::Other(_) => None,
    }
}

/// What a model's metadata say of its inputs and outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Declared {
    pub(super) inputs: Vec<TensorInfo>,
    pub(super) outputs: Vec<TensorInfo>,
    pub(super) versions: Vec<String>,
}

impl Declared {
    /// From a server's answer.
    ///
    /// # Errors
    /// Which of its numbers can't be.
    pub(super) fn read(answer: ModelMetadataResponse) -> Result<Self, String> {
        let tensors = |tensors: Vec<TensorMetadata>, what: &str| {
            if tensors.len() > MAX_TENSORS {
                return Err(format!("it has {} {what}", tensors.len()));
            }
            let tensors = tensors.into_iter().map(|tensor| {
                if tensor.shape.len() > MAX_RANK {
                    return Err(format!("a tensor of rank {}", tensor.shape.len()));
                }
                let dims = tensor.shape.iter().map(|&side| Dim::new(side, ""));
                Ok(TensorInfo::new(
                    tensor.name,
                    element(&tensor.datatype),
                    dims.collect(),
                ))
            });
            tensors.collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            inputs: tensors(answer.inputs, "inputs")?,
            outputs: tensors(answer.outputs, "outputs")?,
            versions: answer.versions,
        })
    }

    /// Whether requests for one fit the other as well.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.inputs == other.inputs && self.outputs == other.outputs
    }

    /// What the judges of model files are told. A server does not tell what its graph does.
    pub(super) fn facts(&self, label: &str) -> ModelFacts {
        ModelFacts::without_graph(label)
    }
}

/// How requests are written and answers read.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) model: String,
    /// Empty: the server's choice.
    pub(super) version: String,
    pub(super) input: ImageInput,
    /// The output that is asked for; `None`: all.
    pub(super) output: Option<String>,
    /// Told to the server, in microseconds: what has waited longer leaves its queue.
    pub(super) timeout: i64,
}

/// A depth map as it came.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) element: ElementType,
    pub(super) shape: Vec<i64>,
    pub(super) data: Bytes,
}

impl Form {
    /// A request for `images`, whose tensor is `tensor`.
    pub(super) fn call(&self, images: Images<'_>, tensor: Bytes) -> Call {
        let request = self.request(images, Parameters::new(), Parameters::new());
        Call::infer(&request, tensor, self.limit(images))
    }

    /// A request for `images` without their tensor, with these parameters of its input and output.
    pub(super) fn request(
        &self,
        images: Images<'_>,
        input: Parameters,
        output: Parameters,
    ) -> ModelInferRequest {
        ModelInferRequest {
            model_name: self.model.clone(),
            model_version: self.version.clone(),
            parameters: [("timeout".to_owned(), self.timeout.into())].into(),
            inputs: vec![InferInputTensor {
                name: self.input.name.clone(),
                datatype: datatype(&self.input.element).to_owned(),
                shape: self.input.shape(self.batch(images), images.size),
                parameters: input,
            }],
            outputs: self
                .output
                .iter()
                .map(|name| InferRequestedOutputTensor {
                    name: name.clone(),
                    parameters: output.clone(),
                })
                .collect(),
        }
    }

    /// Images in a request: more than there are where the model takes no fewer.
    pub(super) fn batch(&self, images: Images<'_>) -> usize {
        self.input.batch.unwrap_or(0).max(images.batch)
    }

    /// Bytes of an answer, at most.
    fn limit(&self, images: Images<'_>) -> usize {
        if self.output.is_none() {
            return TRIAL_ANSWER;
        }
        let pixels = images.size.area().saturating_mul(self.batch(images));
        pixels
            .saturating_mul(4 * LARGEST_MAP)
            .saturating_add(ANSWER_HEAD)
    }

    /// Bytes of the tensor of `images`.
    pub(super) fn tensor_length(&self, images: Images<'_>) -> usize {
        let values = images
            .size
            .area()
            .saturating_mul(3)
            .saturating_mul(self.batch(images));
        values.saturating_mul(bytes_of(&self.input.element).unwrap_or(4))
    }

    /// Bytes of the depth maps of `images`, where they are as large as these.
    #[cfg(unix)]
    pub(super) fn depth_length(&self, images: Images<'_>) -> usize {
        images
            .size
            .area()
            .saturating_mul(self.batch(images))
            .saturating_mul(4)
    }

    /// The tensor of `images` in the memory of `last`, where that is as long and nobody else's.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn tensor(&self, images: Images<'_>, last: Bytes) -> Result<Bytes, Error> {
        let length = self.tensor_length(images);
        let last = last.try_into_mut().ok();
        let mut bytes = match last.filter(|last| last.len() == length) {
            Some(last) => last,
            None => {
                let mut bytes = Vec::new();
                bytes
                    .try_reserve_exact(length)
                    .map_err(|error| Error::OutOfMemory {
                        size: images.size.to_string(),
                        reason: error.to_string(),
                    })?;
                bytes.resize(length, 0);
                Bytes::from(bytes).into()
            }
        };
        self.write(images, &mut bytes);
        Ok(bytes.freeze())
    }

    /// Writes the tensor of `images` to `bytes`, of which there are [`Self::tensor_length`]. Where the model takes no fewer
    /// images, the rest stays as it is.
    pub(super) fn write(&self, images: Images<'_>, bytes: &mut [u8]) {
        let step = CHUNK * bytes_of(&self.input.element).unwrap_or(4);
        match self.input.layout {
            Layout::ChannelsFirst => {
                for (values, bytes) in images.values.chunks(CHUNK).zip(bytes.chunks_mut(step)) {
                    self.write_values(values, bytes);
                }
            }
            Layout::ChannelsLast => {
                let mut pixels = Vec::with_capacity(CHUNK);
                let area = images.size.area().max(1);
                let mut parts = bytes.chunks_mut(step);
                for image in images.values.chunks_exact(3 * area) {
                    for pixel in 0..area {
                        for channel in 0..3 {
                            pixels.push(image[channel * area + pixel]);
                            if pixels.len() == CHUNK {
                                self.write_values(&pixels, parts.next().unwrap_or_default());
                                pixels.clear();
                            }
                        }
                    }
                }
                self.write_values(&pixels, parts.next().unwrap_or_default());
            }
        }
    }

    fn write_values(&self, values: &[f32], bytes: &mut [u8]) {
        match self.input.element {
            ElementType::F16 => halves::to_bytes(values, bytes),
            ElementType::U8 => {
                for (byte, value) in bytes.iter_mut().zip(values) {
                    // saturates, and NaN is 0
                    *byte = value.round() as u8;
                }
            }
            _ => {
                for (bytes, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                    *bytes = value.to_le_bytes();
                }
            }
        }
    }

    /// The outputs of an answer, each with as many bytes as its shape says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn outputs(&self, answer: &Bytes) -> Result<Vec<Output>, String> {
        let answer = ModelInferResponse::read(answer)?;
        if answer.outputs.is_empty() {
            return Err("it has no output".to_owned());
        }
        if answer.outputs.len() > MAX_TENSORS {
            return Err(format!("it has {} outputs", answer.outputs.len()));
        }
        let raw = answer.raw_output_contents;
        if !raw.is_empty() && raw.len() != answer.outputs.len() {
            return Err(format!(
                "it has {} outputs and bytes of {}",
                answer.outputs.len(),
                raw.len()
            ));
        }
        let mut raw = raw.into_iter();
        let outputs = answer.outputs.into_iter().map(|output| {
            let element = element(&output.datatype);
            let data = match raw.next() {
                Some(data) => data,
                // the protocol allows numbers instead of bytes
                None => {
                    let numbers = output.contents.unwrap_or_default().fp32_contents;
                    if element != ElementType::F32 {
                        return Err(format!("it has no bytes of `{}`", text::name(&output.name)));
                    }
                    let bytes = numbers.iter().flat_map(|value| value.to_le_bytes());
                    bytes.collect::<Vec<_>>().into()
                }
            };
            Ok(Output {
                name: output.name,
                element,
                shape: output.shape,
                data,
            })
        });
        outputs.collect()
    }

    /// What an answer tells of depth maps that are elsewhere: type, size, bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    #[cfg(unix)]
    pub(super) fn placed(
        &self,
        answer: &Bytes,
        images: Images<'_>,
    ) -> Result<(ElementType, Size, usize), String> {
        let answer = ModelInferResponse::read(answer)?;
        let is_ours = |output: &&_| {
            let output: &super::protocol::InferOutputTensor = output;
            Some(&output.name) == self.output.as_ref()
        };
        let output = answer
            .outputs
            .iter()
            .find(is_ours)
            .ok_or("it has no output")?;
        let element = element(&output.datatype);
        let (size, length) = map_size(&element, &output.shape, self.batch(images))?;
        Ok((element, size, length))
    }

    /// The depth maps of an answer to a request for `images`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn depth(
        &self,
        answer: &Bytes,
        images: Images<'_>,
    ) -> Result<(Output, Size), String> {
        let mut outputs = self.outputs(answer)?;
        let index = match &self.output {
            Some(name) => outputs.iter().position(|output| output.name == *name),
            None => Some(0),
        };
        let output = index.map(|index| outputs.swap_remove(index));
        let output = output.ok_or_else(|| {
            let name = self.output.as_deref().unwrap_or_default();
            format!("it has no output `{}`", text::name(name))
        })?;
        let size = output.size(self.batch(images))?;
        Ok((output, size))
    }
}

/// The size of the depth maps of a tensor, and its bytes.
///
/// # Errors
/// Why it holds none, or not all of them.
fn map_size(element: &ElementType, shape: &[i64], batch: usize) -> Result<(Size, usize), String> {
    if shape.len() > MAX_RANK {
        return Err(format!("a tensor of rank {}", shape.len()));
    }
    if !element.may_be_depth() {
        return Err(format!("depth of {element}"));
    }
    let size = depth_size(shape, batch)?;
    let pixels = u64::from(size.width) * u64::from(size.height);
    let length = pixels
        .checked_mul(batch as u64)
        .and_then(|values| values.checked_mul(bytes_of(element)? as u64))
        .and_then(|length| usize::try_from(length).ok());
    match length {
        Some(length) if pixels <= MAX_FIXED_PIXELS => Ok((size, length)),
        _ => Err(format!("a depth map of {size}")),
    }
}

impl Output {
    /// The size of its depth maps.
    ///
    /// # Errors
    /// Why it holds none, or not all of them.
    pub(super) fn size(&self, batch: usize) -> Result<Size, String> {
        let (size, length) = map_size(&self.element, &self.shape, batch)?;
        if length != self.data.len() {
            return Err(format!(
                "{} bytes for a tensor of {} {:?}",
                self.data.len(),
                self.element,
                self.shape
            ));
        }
        Ok(size)
    }

    /// Its first `batch` depth maps.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn read(
        &self,
        size: Size,
        batch: usize,
        depth: &mut DepthMaps,
    ) -> Result<(), Error> {
        values(&self.element, &self.data, size, batch, depth)
    }
}

/// Reads depth maps of `size` from the bytes of a tensor.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn values(
    element: &ElementType,
    data: &[u8],
    size: Size,
    batch: usize,
    depth: &mut DepthMaps,
) -> Result<(), Error> {
    let count = size.area().saturating_mul(batch);
    depth.values.clear();
    depth
        .values
        .try_reserve(count)
        .map_err(|error| Error::OutOfMemory {
            size: size.to_string(),
            reason: error.to_string(),
        })?;
    if *element == ElementType::F16 {
        halves::from_bytes(data, &mut depth.values);
    } else {
        let values = data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        depth.values.extend(values);
    }
    depth.values.truncate(count);
    depth.batch = batch;
    depth.size = size;
    Ok(())
}

#[cfg(test)]
mod tests;
