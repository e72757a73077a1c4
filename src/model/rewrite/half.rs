//! A model in half precision, as GPUs like it: strongly typed, so that it needs no flag of a runtime to be so.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::emit::{int, node, with};
use super::operators::{Place, Result as ResultType, place, result};
use super::scope::op;
use crate::model::budget::Budget;
use crate::model::external;
use crate::model::graph::order::sorted;
use crate::model::proto::tensor_proto::{DataLocation, DataType};
use crate::model::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use crate::text;

/// What became of a value of the model that is a tensor of f32.
#[derive(Debug, Clone, Default)]
struct Value {
    /// Its name in f32, where it is there in f32.
    single: Option<String>,
    /// Its name in f16, where it is there in f16.
    half: Option<String>,
    /// It is a constant of the graph.
    is_constant: bool,
    /// It was made in f16; in f32 it is a copy.
    is_half: bool,
}

/// The same model with convolutions, matrix products, attention, and what lies between them, in f16. Inputs and outputs
/// stay what they are, and so does what overflows or loses digits in f16: normalisations, softmax, powers, exponentials,
/// reductions, resampling. `folder` is that of [`crate::model::Model::folder`].
///
/// # Errors
/// In words: what the graph has that can't be followed.
pub fn to_half(mut model: ModelProto, folder: Option<&str>) -> Result<ModelProto, String> {
    if !model.functions.is_empty() {
        return Err("its graph is made of functions".to_owned());
    }
    let graph = model.graph.take().ok_or("it has no graph")?;
    model.graph = Some(Rewrite::new(&graph, folder).run(graph)?);
    Ok(model)
}

struct Rewrite<'a> {
    folder: Option<&'a str>,
    /// Of values that are tensors of f32.
    values: HashMap<String, Value>,
    /// Values of other types.
    others: HashSet<String>,
    outputs: HashSet<String>,
    taken: HashSet<String>,
    constants: HashMap<String, TensorProto>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl<'a> Rewrite<'a> {
    fn new(graph: &GraphProto, folder: Option<&'a str>) -> Self {
        let names = graph
            .node
            .iter()
            .flat_map(|node| node.input.iter().chain(&node.output));
        let mut rewrite = Self {
            folder,
            values: HashMap::new(),
            // an input that is left out has no name
            others: HashSet::from([String::new()]),
            outputs: graph
                .output
                .iter()
                .map(|info| info.name().to_owned())
                .collect(),
            taken: names.cloned().collect(),
            constants: HashMap::new(),
            nodes: Vec::with_capacity(graph.node.len()),
            initializers: Vec::new(),
        };
        for tensor in &graph.initializer {
            rewrite.constant(tensor.name(), tensor);
        }
        for info in &graph.input {
            if rewrite.constants.contains_key(info.name()) || rewrite.others.contains(info.name()) {
                continue;
            }
            let tensor = crate::model::TensorInfo::from_onnx(info);
            rewrite.make(
                info.name(),
                tensor.element == crate::model::ElementType::F32,
            );
        }
        rewrite
    }

    fn run(mut self, mut graph: GraphProto) -> Result<GraphProto, String> {
        let budget = Budget::default();
        let nodes = std::mem::take(&mut graph.node);
        let order = sorted(&nodes, &budget);
        if budget.stopped().is_some() {
            return Err("its graph takes too many steps to follow".to_owned());
        }
        for node in order {
            if let Some(missing) = node.input.iter().find(|name| !self.is_known(name)) {
                return Err(format!("nothing makes the value `{}`", text::name(missing)));
            }
            self.rewrite(node.clone())?;
        }
        let used: HashSet<&str> = self
            .nodes
            .iter()
            .flat_map(|node| &node.input)
            .chain(&self.outputs)
            .map(String::as_str)
            .collect();
        // up to IR version 3 initializers are declared as inputs as well
        graph
            .input
            .retain(|info| used.contains(info.name()) || !self.constants.contains_key(info.name()));
        graph
            .initializer
            .retain(|tensor| used.contains(tensor.name()));
        graph.initializer.append(&mut self.initializers);
        graph.node = self.nodes;
        // the types in it are those of before
        graph.value_info.clear();
        Ok(graph)
    }

    fn is_known(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.others.contains(name)
    }

    /// Takes note of a value that is there as it was.
    fn make(&mut self, name: &str, is_single: bool) {
        if is_single {
            let value = Value {
                single: Some(name.to_owned()),
                ..Value::default()
            };
            self.values.insert(name.to_owned(), value);
        } else {
            self.others.insert(name.to_owned());
        }
    }

    fn constant(&mut self, name: &str, tensor: &TensorProto) {
        let is_single = tensor.data_type() == DataType::Float as i32;
        self.make(name, is_single);
        if let Some(value) = self.values.get_mut(name) {
            value.is_constant = true;
            self.constants.insert(name.to_owned(), tensor.clone());
        }
    }

    fn rewrite(&mut self, mut node: NodeProto) -> Result<(), String> {
        if node
            .attribute
            .iter()
            .any(|attribute| attribute.g.is_some() || !attribute.graphs.is_empty())
        {
            return Err(format!(
                "its graph has branches or loops ({})",
                node.op_type()
            ));
        }
        if op(&node) == "Constant" {
            let tensor = node
                .attribute
                .iter()
                .find_map(|attribute| attribute.t.clone());
            let output = node.output.first().cloned().unwrap_or_default();
            match tensor {
                Some(tensor) => self.constant(&output, &tensor),
                None => {
                    let is_float = |name| matches!(name, "value_float" | "value_floats");
                    let is_single = node.attribute.iter().any(|it| is_float(it.name()));
                    self.make(&output, is_single);
                }
            }
            self.nodes.push(node);
            return Ok(());
        }
        let is_single = |name: &String| self.values.contains_key(name);
        let kind = result(&node, is_single)
            .ok_or_else(|| format!("its operator {} is not known", node.op_type()))?;
        let in_half = kind == ResultType::Single
            && match place(op(&node)) {
                Place::Half => true,
                Place::Single => false,
                Place::Follows => node.input.iter().any(|name| {
                    let value = self.values.get(name);
                    value.is_some_and(|value| value.is_half)
                }),
            };
        let is_resize = matches!(op(&node), "Resize" | "Upsample");
        for index in 0..node.input.len() {
            // scales are f32 in any case
            let wants_half = in_half && !(is_resize && index > 0);
            let name = &node.input[index];
            if self.values.contains_key(name) {
                let name = name.clone();
                node.input[index] = match kind {
                    // it does not matter to a shape
                    ResultType::Other if op(&node) == "Shape" => self.any(&name),
                    _ if wants_half => self.half(&name)?,
                    _ => self.single(&name),
                };
            }
        }
        let mut casts = Vec::new();
        for (index, output) in node.output.iter_mut().enumerate() {
            let name = output.clone();
            // a second output is a mask or a statistic
            let is_single = kind == ResultType::Single && (index == 0 || op_splits(&node.op_type));
            if !(is_single && in_half) {
                self.make(&name, is_single);
                continue;
            }
            let mut value = Value {
                is_half: true,
                ..Value::default()
            };
            if self.outputs.contains(&name) {
                let half = unique(&mut self.taken, "half", &name);
                casts.push(cast(&half, &name, DataType::Float));
                output.clone_from(&half);
                value.single = Some(name.clone());
                value.half = Some(half);
            } else {
                value.half = Some(name.clone());
            }
            self.values.insert(name, value);
        }
        self.nodes.push(node);
        self.nodes.append(&mut casts);
        Ok(())
    }

    fn any(&mut self, name: &str) -> String {
        let value = self.values.get(name);
        let known = value.and_then(|value| value.single.clone().or_else(|| value.half.clone()));
        known.unwrap_or_else(|| name.to_owned())
    }

    /// The name of `name` in f32.
    fn single(&mut self, name: &str) -> String {
        let value = self.values.get(name).cloned().unwrap_or_default();
        if let Some(single) = value.single {
            return single;
        }
        let single = unique(&mut self.taken, "single", name);
        let from = value.half.unwrap_or_else(|| name.to_owned());
        self.nodes.push(cast(&from, &single, DataType::Float));
        if let Some(value) = self.values.get_mut(name) {
            value.single = Some(single.clone());
        }
        single
    }

    /// The name of `name` in f16.
    fn half(&mut self, name: &str) -> Result<String, String> {
        let value = self.values.get(name).cloned().unwrap_or_default();
        if let Some(half) = value.half {
            return Ok(half);
        }
        let half = unique(&mut self.taken, "half", name);
        match self.constants.get(name) {
            Some(tensor) => {
                let tensor = convert(tensor, &half, self.folder)?;
                self.initializers.push(tensor);
            }
            None => self.nodes.push(cast(name, &half, DataType::Float16)),
        }
        if let Some(value) = self.values.get_mut(name) {
            value.half = Some(half.clone());
        }
        Ok(half)
    }
}

fn op_splits(op: &Option<String>) -> bool {
    op.as_deref() == Some("Split")
}

fn cast(from: &str, to: &str, kind: DataType) -> NodeProto {
    with(node("Cast", &[from], to), int("to", kind as i64))
}

fn unique(taken: &mut HashSet<String>, prefix: &str, name: &str) -> String {
    let mut candidate = format!("{prefix}/{name}");
    let mut number = taken.len();
    while !taken.insert(candidate.clone()) {
        candidate = format!("{prefix}/{number}/{name}");
        number += 1;
    }
    candidate
}

/// A tensor of f32 in f16.
fn convert(tensor: &TensorProto, name: &str, folder: Option<&str>) -> Result<TensorProto, String> {
    let values: Vec<f32> = if tensor.data_location() == DataLocation::External {
        singles(&external::read_again(tensor, folder.map(Path::new))?)
    } else if tensor.raw_data().is_empty() {
        tensor.float_data.clone()
    } else {
        singles(tensor.raw_data())
    };
    let largest = values
        .iter()
        .fold(0.0, |largest: f32, value| largest.max(value.abs()));
    if largest > f16::MAX.to_f32() && largest.is_finite() {
        return Err(format!(
            "its weight `{}` is too large: {largest}",
            text::name(tensor.name())
        ));
    }
    let mut half = vec![f16::ZERO; values.len()];
    half.convert_from_f32_slice(&values);
    let bytes: Vec<u8> = half.into_iter().flat_map(f16::to_le_bytes).collect();
    Ok(TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.dims.clone(),
        data_type: Some(DataType::Float16 as i32),
        raw_data: Some(bytes.into()),
        ..TensorProto::default()
    })
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().copied().map(f32::from_le_bytes).collect()
}
