//! A server's model: what it is fed and what it gives, as requests and answers have it.

use bytes::Bytes;
use half::f16;
use half::slice::HalfFloatSliceExt;

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

    /// The tensor of `images` in the order and type that the model takes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn tensor(&self, images: Images<'_>) -> Result<Vec<u8>, Error> {
        let length = self.tensor_length(images);
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(length)
            .map_err(|error| Error::OutOfMemory {
                size: images.size.to_string(),
                reason: error.to_string(),
            })?;
        bytes.resize(length, 0);
        self.write(images, &mut bytes);
        Ok(bytes)
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
            ElementType::F16 => {
                let mut halves = [f16::ZERO; CHUNK];
                let halves = &mut halves[..values.len()];
                halves.convert_from_f32_slice(values);
                for (bytes, half) in bytes.as_chunks_mut().0.iter_mut().zip(halves) {
                    *bytes = half.to_le_bytes();
                }
            }
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
        let mut halves = [f16::ZERO; CHUNK];
        let mut floats = [0.0; CHUNK];
        for chunk in data.chunks(2 * CHUNK) {
            let mut length = 0;
            for (half, bytes) in halves.iter_mut().zip(chunk.as_chunks().0) {
                *half = f16::from_le_bytes(*bytes);
                length += 1;
            }
            halves[..length].convert_to_f32_slice(&mut floats[..length]);
            depth.values.extend_from_slice(&floats[..length]);
        }
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
mod tests {
    use prost::Message;

    use super::super::protocol::{InferOutputTensor, InferTensorContents};
    use super::*;
    use crate::model::{InputNormalization, select_input};

    const SIZE: Size = Size {
        width: 28,
        height: 14,
    };

    fn form(datatype: &str, shape: &[i64]) -> Form {
        let declared = Declared::read(ModelMetadataResponse {
            inputs: vec![TensorMetadata {
                name: "image".to_owned(),
                datatype: datatype.to_owned(),
                shape: shape.to_vec(),
            }],
            ..Default::default()
        });
        let declared = declared.unwrap();
        let input = select_input(&declared.facts("test"), &declared.inputs).unwrap();
        Form {
            model: "m".to_owned(),
            version: String::new(),
            input: input.with_normalization(InputNormalization::Byte).unwrap(),
            output: Some("depth".to_owned()),
            timeout: 7,
        }
    }

    fn images(values: &[f32]) -> Images<'_> {
        Images {
            values,
            batch: values.len() / (3 * SIZE.area()),
            size: SIZE,
        }
    }

    fn answer(datatype: &str, data: Vec<u8>) -> ModelInferResponse {
        ModelInferResponse {
            outputs: vec![InferOutputTensor {
                name: "depth".to_owned(),
                datatype: datatype.to_owned(),
                shape: vec![1, 14, 28],
                contents: None,
            }],
            raw_output_contents: vec![data.into()],
        }
    }

    /// Bytes of depth that counts up.
    fn counted() -> (Vec<f32>, Vec<u8>) {
        let depth: Vec<f32> = (0..SIZE.area()).map(|value| value as f32).collect();
        let bytes = depth.iter().flat_map(|value| value.to_le_bytes()).collect();
        (depth, bytes)
    }

    fn depth(form: &Form, answer: &ModelInferResponse) -> Result<Vec<f32>, String> {
        let values = vec![0.0; 3 * SIZE.area()];
        let bytes = answer.encode_to_vec().into();
        let (output, size) = form.depth(&bytes, images(&values))?;
        let mut maps = DepthMaps::default();
        output.read(size, 1, &mut maps).unwrap();
        assert_eq!(maps.values.len(), size.area());
        Ok(maps.values)
    }

    #[test]
    fn answers_are_read_in_each_form() {
        let form = form("FP32", &[-1, 3, -1, -1]);
        let (expected, bytes) = counted();
        assert_eq!(depth(&form, &answer("FP32", bytes)).unwrap(), expected);
        let halves = expected.iter().map(|&value| f16::from_f32(value));
        let halves = halves.flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(depth(&form, &answer("FP16", halves)).unwrap(), expected);
        let mut numbers = answer("FP32", vec![]);
        numbers.raw_output_contents.clear();
        numbers.outputs[0].contents = Some(InferTensorContents {
            fp32_contents: expected.clone(),
        });
        assert_eq!(depth(&form, &numbers).unwrap(), expected);
        // others beside it, in any order
        let (_, bytes) = counted();
        let mut two = answer("FP32", bytes);
        let other = InferOutputTensor {
            name: "class".to_owned(),
            ..two.outputs[0].clone()
        };
        two.outputs.insert(0, other);
        two.raw_output_contents.insert(0, Bytes::new());
        assert_eq!(depth(&form, &two).unwrap(), expected);
    }

    #[test]
    fn tensors_are_written_as_the_model_takes_them() {
        let values: Vec<f32> = (0..2 * 3 * SIZE.area()).map(|v| (v % 251) as f32).collect();
        let images = images(&values);
        let area = SIZE.area();
        let bytes = form("UINT8", &[-1, 3, -1, -1]).tensor(images).unwrap();
        let as_floats = |bytes: &[u8]| bytes.iter().map(|&b| f32::from(b)).collect::<Vec<_>>();
        assert_eq!(as_floats(&bytes), values);
        let bytes = form("FP16", &[-1, 3, -1, -1]).tensor(images).unwrap();
        let halves = bytes.chunks_exact(2);
        let halves: Vec<_> = halves
            .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
            .collect();
        assert_eq!(halves, values);
        // channels last, and room for two more images
        let form = form("UINT8", &[4, -1, -1, 3]);
        let bytes = form.tensor(images).unwrap();
        assert_eq!(bytes.len(), 4 * 3 * area);
        let pixel = 3 * area + 3 * 5;
        let expected = [5, area + 5, 2 * area + 5].map(|at| values[3 * area + at]);
        assert_eq!(as_floats(&bytes[pixel..pixel + 3]), expected);
        assert!(bytes[2 * 3 * area..].iter().all(|&byte| byte == 0));
        let call = form.call(images, bytes.into());
        assert!(call.limit < 4 << 20, "{}", call.limit);
    }

    #[test]
    fn what_goes_out_of_bytes_saturates() {
        let mut values = vec![300.0; 3 * SIZE.area()];
        values[..3].copy_from_slice(&[-5.0, f32::NAN, 254.6]);
        let bytes = form("UINT8", &[1, 3, -1, -1])
            .tensor(images(&values))
            .unwrap();
        assert_eq!(bytes[..4], [0, 0, 255, 255]);
    }

    /// Pseudo-random numbers, the same each time.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (self.0 >> 33) as usize % sides.max(1)
        }
    }

    #[test]
    fn ten_thousand_damaged_answers_are_errors_or_depth() {
        let form = form("FP32", &[-1, 3, -1, -1]);
        let (_, bytes) = counted();
        let whole = answer("FP32", bytes).encode_to_vec();
        let values = vec![0.0; 3 * SIZE.area()];
        let mut dice = Dice(7);
        let mut errors = 0;
        for _ in 0..10_000 {
            let mut damaged = whole.clone();
            for _ in 0..=dice.roll(4) {
                // what is not depth alone is 40 bytes long
                let at = dice.roll(40.min(damaged.len()));
                match dice.roll(6) {
                    0 => damaged[at] ^= 1 << dice.roll(8),
                    1 => damaged[at] = dice.roll(256) as u8,
                    2 => damaged.truncate(dice.roll(damaged.len()) + 1),
                    3 => drop(damaged.remove(at)),
                    4 => damaged.insert(at, dice.roll(256) as u8),
                    _ => {
                        let part = damaged[at..].to_vec();
                        damaged.extend(part);
                    }
                }
                if damaged.is_empty() {
                    damaged.push(0);
                }
            }
            match form.depth(&damaged.into(), images(&values)) {
                Ok((output, size)) => {
                    let mut maps = DepthMaps::default();
                    output.read(size, 1, &mut maps).unwrap();
                    assert_eq!(maps.values.len(), size.area());
                }
                Err(reason) => {
                    assert!(!reason.is_empty());
                    errors += 1;
                }
            }
        }
        assert!(errors > 5_000, "{errors}");
    }

    #[test]
    fn fields_without_number_are_refused_before_they_take_memory() {
        let form = form("FP32", &[-1, 3, -1, -1]);
        // empty outputs; empty contents of one; parts of one; unknown fields
        let within = |bytes: Vec<u8>| {
            let mut output = vec![0x2a];
            prost::encoding::encode_varint(bytes.len() as u64, &mut output);
            output.extend(bytes);
            output
        };
        for bytes in [
            [0x2a, 0].repeat(1 << 20),
            [0x32, 0].repeat(1 << 20),
            [0x08, 0].repeat(1 << 20),
            within([0x2a, 0].repeat(1 << 20)),
            within(within([0x42, 0].repeat(1 << 20))),
        ] {
            let error = form.outputs(&bytes.into()).unwrap_err();
            assert!(error.contains("fields"), "{error}");
        }
        // shapes whose product is gigabytes, or no number
        for shape in [
            [1, 1 << 20, 1 << 20],
            [1, i64::MAX, 2],
            [1, -1, -1],
            [0, 0, 0],
        ] {
            let (_, bytes) = counted();
            let mut promised = answer("FP32", bytes);
            promised.outputs[0].shape = shape.to_vec();
            depth(&form, &promised).unwrap_err();
        }
        for datatype in ["INT64", "BYTES", "", "FP64", "UINT8"] {
            let (_, bytes) = counted();
            depth(&form, &answer(datatype, bytes)).unwrap_err();
        }
    }
}
