//! Reading a model file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::activation::{self, OutputActivation};
use super::budget::Budget;
use super::depth_kind::{self, Family};
use super::graph::{Graph, fed_inputs};
use super::limits::{MAX_PATCH, MAX_TENSORS};
use super::metadata::Metadata;
use super::normalization::{self, Treatment};
use super::patch::{self, FALLBACK_PATCH};
use super::proto::ModelProto;
use super::proto::tensor_proto::DataType;
use super::tensor_info::TensorInfo;
use super::{DepthKind, Finding, InputNormalization, ModelSource};
use crate::error::Error;
use crate::text;

/// An output, and what the graph tells about it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputFacts {
    /// As the file declares it.
    pub tensor: TensorInfo,
    /// What ends the graph there.
    pub activation: OutputActivation,
    /// What its values are, if it is the depth.
    pub depth: Finding<DepthKind>,
}

/// What a model file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// The model's name: its file name without extension, or `builtin`.
    pub name: String,
    /// What error messages call it: its path, or `the built-in model`.
    pub label: String,
    /// What the depth values are, judged by the likeliest depth output. [`ModelFacts::kind_of`] tells it of the
    /// output that was chosen in the end.
    pub kind: DepthKind,
    /// Sides of the input are multiples of this many pixels; [`FALLBACK_PATCH`] when the graph has no patch embedding and
    /// its metadata say nothing.
    pub patch: u32,
    /// Whether the graph has a patch embedding.
    pub has_patch_embedding: bool,
    /// Channels of the image, as the first convolution takes them.
    pub channels: Option<u32>,
    /// The exporter and its version: `pytorch 2.4.0`.
    pub producer: String,
    /// Version of ONNX's file format.
    pub ir_version: i64,
    /// Operator sets and their versions; ONNX's own is called "".
    pub opsets: Vec<(String, i64)>,
    /// Operators from outside ONNX's own set, as `domain:operator`: `com.microsoft:MatMulNBits`.
    pub contrib_operators: BTreeSet<String>,
    /// Whether weights or activations are integers.
    pub quantized: bool,
    /// Whether it computes in half precision: most convolutions and matrix products have such weights.
    pub half_precision: bool,
    /// Files beside the model that hold its weights; they are there and long enough.
    pub external_data: Vec<PathBuf>,
    /// Inputs as the file declares them.
    pub inputs: Vec<TensorInfo>,
    /// What the graph does to each of [`Self::inputs`] first.
    pub(crate) treatments: Vec<Treatment>,
    /// The values that the image has to have by the file's metadata.
    pub(crate) declared_normalization: Option<Finding<InputNormalization>>,
    /// Outputs as the file declares them.
    pub outputs: Vec<OutputFacts>,
}

impl ModelFacts {
    /// Of a model whose graph is not here: nothing is known of it.
    #[cfg(feature = "remote")]
    pub(crate) fn without_graph(label: &str) -> Self {
        Self {
            name: label.to_owned(),
            label: label.to_owned(),
            kind: DepthKind::Relative,
            patch: FALLBACK_PATCH,
            has_patch_embedding: false,
            channels: None,
            producer: String::new(),
            ir_version: 0,
            opsets: Vec::new(),
            contrib_operators: BTreeSet::new(),
            quantized: false,
            half_precision: false,
            external_data: Vec::new(),
            inputs: Vec::new(),
            treatments: Vec::new(),
            declared_normalization: None,
            outputs: Vec::new(),
        }
    }

    /// What the values of the named output are.
    pub fn kind_of(&self, output: &str) -> DepthKind {
        self.depth_of(output).value
    }

    /// What the values of the named output are, and how certain that is.
    pub fn depth_of(&self, output: &str) -> Finding<DepthKind> {
        self.output(output).map_or_else(
            || {
                let reason = "the file does not declare this output".to_owned();
                Finding::guessed(DepthKind::Relative, reason)
            },
            |facts| facts.depth.clone(),
        )
    }

    /// What ends the graph at the named output.
    pub fn activation_of(&self, output: &str) -> Option<&OutputActivation> {
        self.output(output).map(|facts| &facts.activation)
    }

    fn output(&self, name: &str) -> Option<&OutputFacts> {
        self.outputs.iter().find(|facts| facts.tensor.name == name)
    }

    /// What the graph does to the named input first.
    pub(super) fn treatment_of(&self, input: &str) -> Treatment {
        std::iter::zip(&self.inputs, &self.treatments)
            .find(|(tensor, _)| tensor.name == input)
            .map(|(_, treatment)| treatment.clone())
            .unwrap_or_default()
    }

    /// Whether its products are products of integers, and not only its weights stored as such.
    pub fn computes_in_integers(&self) -> bool {
        let stored = |operator: &String| operator.ends_with("NBits") || operator.ends_with("Bnb4");
        self.quantized && !self.contrib_operators.iter().any(stored)
    }

    /// Version of ONNX's own operator set.
    #[cfg(feature = "testing")]
    pub fn opset(&self) -> i64 {
        self.opsets
            .iter()
            .find(|(domain, _)| domain.is_empty())
            .map_or(0, |&(_, version)| version)
    }
}

/// Of so many inputs that may be images, what the graph does to them is looked at.
const MAX_IMAGES: usize = 4;

/// What `model`, which came from `source` with these files beside it, says of itself.
pub(super) fn of(
    source: &ModelSource,
    model: &ModelProto,
    external_data: Vec<PathBuf>,
    budget: &Budget,
) -> Result<ModelFacts, Error> {
    let graph = Graph::new(model, budget);
    let invalid = |reason: String| Error::ModelInvalid {
        model: source.label(),
        reason,
    };

    let declared = model.graph.as_ref();
    let inputs: Vec<_> = declared
        .into_iter()
        .flat_map(fed_inputs)
        .map(TensorInfo::from_onnx)
        .collect();
    let results = declared.map_or(0, |graph| graph.output.len());
    for (count, what) in [(inputs.len(), "inputs"), (results, "outputs")] {
        if count > MAX_TENSORS {
            return Err(Error::ModelUnsupported {
                model: source.label(),
                found: format!("{count} {what}"),
                wanted: "one image input and a depth output".to_owned(),
            });
        }
    }
    let mut metadata = Metadata::of(model);
    if *source == ModelSource::Builtin {
        let reason = "it is the built-in model".to_owned();
        metadata.normalization = Some(Finding::certain(InputNormalization::Imagenet, reason));
    }
    let treatments = treatments(&graph, &inputs);
    let stem = graph
        .inputs
        .iter()
        .map(|&(_, value)| patch::stem(&graph, value))
        .find(|stem| stem.channels.is_some() || stem.patch.is_some())
        .unwrap_or_default();
    if let Some(patch) = stem.patch.filter(|&patch| patch > MAX_PATCH) {
        return Err(Error::ModelUnsupported {
            model: source.label(),
            found: format!("patches of {patch} pixels"),
            wanted: format!("patches of at most {MAX_PATCH}"),
        });
    }
    let family = Family {
        patch: stem.patch,
        builtin: *source == ModelSource::Builtin,
    };
    let outputs = declared
        .into_iter()
        .flat_map(|graph| &graph.output)
        .zip(&graph.outputs)
        .map(|(info, (name, value))| {
            let value = value.ok_or_else(|| {
                invalid(format!(
                    "nothing in it makes its output `{}`; export it again",
                    text::name(name)
                ))
            });
            // nothing is made beyond the budget
            let value = budget.check(&source.label()).and(value)?;
            let activation = activation::of(&graph, value);
            let depth = metadata
                .depth
                .clone()
                .unwrap_or_else(|| depth_kind::judge(&graph, value, &activation, family));
            Ok(OutputFacts {
                tensor: TensorInfo::from_onnx(info),
                activation,
                depth,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;

    let facts = ModelFacts {
        name: source.name(),
        label: source.label(),
        kind: DepthKind::Relative,
        patch: stem.patch.or(metadata.stride).unwrap_or(FALLBACK_PATCH),
        has_patch_embedding: stem.patch.is_some(),
        channels: stem.channels,
        producer: text::printable(
            format!("{} {}", model.producer_name(), model.producer_version()).trim(),
        )
        .into_owned(),
        ir_version: model.ir_version(),
        opsets: opsets(model),
        contrib_operators: contrib_operators(&graph),
        quantized: graph.nodes.iter().any(|node| is_quantized(node.op())),
        half_precision: is_half(&graph),
        external_data,
        inputs,
        treatments,
        declared_normalization: metadata.normalization,
        outputs,
    };
    budget.check(&facts.label)?;
    Ok(facts)
}

/// What the graph does to each of `inputs` first, as far as they may be the image.
fn treatments(graph: &Graph<'_>, inputs: &[TensorInfo]) -> Vec<Treatment> {
    let may_be_image =
        |input: &TensorInfo| matches!(input.dims.len(), 4 | 5) && input.element.may_be_image();
    // where there are many, none of them is taken
    let few = inputs.iter().filter(|input| may_be_image(input)).count() <= MAX_IMAGES;
    let treatment = |input: &TensorInfo| {
        let of = |name: &str| graph.inputs.iter().find(|(found, _)| *found == name);
        match of(&input.name) {
            Some(&(_, value)) if few && may_be_image(input) => {
                normalization::treatment(graph, value, &input.element)
            }
            _ => Treatment::default(),
        }
    };
    inputs.iter().map(treatment).collect()
}

/// The two names of ONNX's own operator set are one.
fn own_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn opsets(model: &ModelProto) -> Vec<(String, i64)> {
    model
        .opset_import
        .iter()
        .map(|opset| {
            let domain = text::name(own_domain(opset.domain()));
            (domain.into_owned(), opset.version())
        })
        .collect()
}

fn contrib_operators(graph: &Graph<'_>) -> BTreeSet<String> {
    graph
        .nodes
        .iter()
        .map(|node| (own_domain(node.proto.domain()), node.op()))
        .filter(|(domain, _)| !domain.is_empty())
        .map(|(domain, op)| format!("{}:{}", text::name(domain), text::name(op)))
        .collect()
}

/// By the weights as they meet the convolutions and matrix products: stored in half precision and cast at once they
/// only save room.
fn is_half(graph: &Graph<'_>) -> bool {
    let products = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.op(), "Conv" | "ConvTranspose" | "MatMul" | "Gemm"));
    let (mut half, mut single) = (0, 0);
    for node in products {
        let types = node.inputs.iter().flatten();
        for kind in types.filter_map(|&value| graph.constant_type(value)) {
            match kind {
                DataType::Float16 => half += 1,
                DataType::Float => single += 1,
                _ => {}
            }
        }
    }
    half > single
}

fn is_quantized(op: &str) -> bool {
    matches!(
        op,
        "DynamicQuantizeLinear"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "MatMulInteger"
            | "ConvInteger"
            | "MatMulNBits"
            | "MatMulBnb4"
            | "DynamicQuantizeMatMul"
            | "MatMulIntegerToFloat"
            | "QAttention"
    ) || op.starts_with("QLinear")
}
