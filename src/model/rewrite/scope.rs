//! The nodes of one graph or function, and who makes and who uses their values.

use std::collections::{HashMap, HashSet};

use super::MAX_NESTING;
use crate::model::number;
use crate::model::proto::tensor_proto::DataType;
use crate::model::proto::type_proto::Value as TypeValue;
use crate::model::proto::{AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto};

/// Constants and ranks are found through chains no longer than this.
const MAX_CHAIN: u32 = 32;

/// Whether `domain` is that of ONNX's own operators.
pub(super) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

pub(super) struct Scope<'a> {
    pub(super) nodes: &'a [NodeProto],
    /// Version of ONNX's operators.
    pub(super) opset: i64,
    producers: HashMap<&'a str, usize>,
    consumers: HashMap<&'a str, Vec<usize>>,
    initializers: HashMap<&'a str, &'a TensorProto>,
    /// Results, and what the graphs inside nodes use.
    wanted: HashSet<&'a str>,
    ranks: HashMap<&'a str, usize>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        nodes: &'a [NodeProto],
        initializers: &'a [TensorProto],
        outputs: impl Iterator<Item = &'a str>,
        infos: &'a [ValueInfoProto],
        opset: i64,
    ) -> Self {
        let mut scope = Self {
            nodes,
            opset,
            producers: HashMap::new(),
            consumers: HashMap::new(),
            initializers: initializers
                .iter()
                .map(|tensor| (tensor.name(), tensor))
                .collect(),
            wanted: outputs.collect(),
            ranks: infos
                .iter()
                .filter_map(|info| Some((info.name(), declared_rank(info)?)))
                .collect(),
        };
        for (index, node) in nodes.iter().enumerate() {
            for name in &node.output {
                scope.producers.insert(name, index);
            }
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                scope.consumers.entry(name).or_default().push(index);
            }
            for graph in node.attribute.iter().flat_map(graphs) {
                want_inner(graph, &mut scope.wanted, 0);
            }
        }
        scope
    }

    /// The node that makes `value`.
    pub(super) fn producer(&self, value: &str) -> Option<usize> {
        self.producers.get(value).copied()
    }

    /// Nodes that take `value`, once for each time they do.
    pub(super) fn consumers(&self, value: &str) -> &[usize] {
        self.consumers.get(value).map_or(&[], Vec::as_slice)
    }

    /// Whether `value` is a result or used from inside a node.
    pub(super) fn is_wanted(&self, value: &str) -> bool {
        self.wanted.contains(value)
    }

    /// The one node that uses `value`, if nothing else does.
    pub(super) fn only_consumer(&self, value: &str) -> Option<usize> {
        match *self.consumers(value) {
            [only] if !self.is_wanted(value) => Some(only),
            _ => None,
        }
    }

    pub(super) fn is_initializer(&self, value: &str) -> bool {
        self.initializers.contains_key(value)
    }

    /// The type of the elements of `value`, where it is an initializer.
    pub(super) fn initializer_type(&self, value: &str) -> Option<DataType> {
        DataType::try_from(self.initializers.get(value)?.data_type()).ok()
    }

    /// Whether a value has this name, here or inside a node.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        self.producers.contains_key(name)
            || self.consumers.contains_key(name)
            || self.initializers.contains_key(name)
            || self.wanted.contains(name)
    }

    /// The number behind `value`, where it is a constant of one element.
    pub(super) fn scalar<'b>(&self, mut value: &'b str) -> Option<f64>
    where
        'a: 'b,
    {
        for _ in 0..MAX_CHAIN {
            if let Some(tensor) = self.initializers.get(value) {
                return number::scalar(tensor, None);
            }
            let node = &self.nodes[self.producer(value)?];
            match op(node) {
                "Constant" => return constant(node),
                "Cast" | "CastLike" | "Identity" => value = node.input.first()?,
                _ => return None,
            }
        }
        None
    }

    /// The number of sides of `value`, where the graph makes it plain.
    pub(super) fn rank(&self, value: &'a str) -> Option<usize> {
        self.rank_within(value, MAX_CHAIN)
    }

    fn rank_within(&self, value: &'a str, depth: u32) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        if let Some(&rank) = self.ranks.get(value) {
            return Some(rank);
        }
        if let Some(tensor) = self.initializers.get(value) {
            return Some(tensor.dims.len());
        }
        let node = &self.nodes[self.producer(value)?];
        let input = |index: usize| self.rank_within(node.input.get(index)?, depth);
        match op(node) {
            "Transpose" => Some(attribute(node, "perm")?.ints.len()),
            "Constant" => Some(attribute(node, "value")?.t.as_ref()?.dims.len()),
            "Softmax" | "Cast" | "Identity" | "Split" | "Dropout" | "LayerNormalization" => {
                input(0)
            }
            "MatMul" | "FusedMatMul" | "Mul" | "Div" | "Add" | "Sub" => {
                Some(input(0)?.max(input(1)?))
            }
            "Gather" => Some((input(0)? + input(1)?).checked_sub(1)?),
            "Unsqueeze" | "Squeeze" => {
                let axes = match attribute(node, "axes") {
                    Some(axes) => axes.ints.len(),
                    None => self.length(node.input.get(1)?, depth)?,
                };
                if op(node) == "Squeeze" {
                    input(0)?.checked_sub(axes)
                } else {
                    Some(input(0)? + axes)
                }
            }
            "Reshape" => self.length(node.input.get(1)?, depth),
            _ => None,
        }
    }

    /// The number of elements of a list, as shapes are.
    fn length(&self, value: &'a str, depth: u32) -> Option<usize> {
        let depth = depth.checked_sub(1)?;
        let one_side = |dims: &[i64]| match *dims {
            [length] => usize::try_from(length).ok(),
            _ => None,
        };
        if let Some(tensor) = self.initializers.get(value) {
            return one_side(&tensor.dims);
        }
        let node = &self.nodes[self.producer(value)?];
        match op(node) {
            "Constant" => match attribute(node, "value_ints") {
                Some(ints) => Some(ints.ints.len()),
                None => one_side(&attribute(node, "value")?.t.as_ref()?.dims),
            },
            "Concat" => node.input.iter().map(|part| self.length(part, depth)).sum(),
            // of a number that was taken out of a shape
            "Unsqueeze" => (self.rank_within(node.input.first()?, depth)? == 0).then_some(1),
            "Cast" | "Identity" => self.length(node.input.first()?, depth),
            "Shape" => self.rank_within(node.input.first()?, depth),
            _ => None,
        }
    }
}

/// The operator, of ONNX or of ONNX Runtime; empty for those of others.
pub(super) fn op(node: &NodeProto) -> &str {
    if is_onnx(node.domain()) || node.domain() == super::MICROSOFT {
        node.op_type()
    } else {
        ""
    }
}

pub(super) fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name() == name)
}

fn constant(node: &NodeProto) -> Option<f64> {
    node.attribute
        .iter()
        .find_map(|attribute| match attribute.name() {
            "value" => number::scalar(attribute.t.as_ref()?, None),
            "value_float" => attribute.f.map(f64::from),
            "value_int" => attribute.i.map(|number| number as f64),
            _ => None,
        })
}

fn declared_rank(info: &ValueInfoProto) -> Option<usize> {
    match info.r#type.as_ref()?.value.as_ref()? {
        TypeValue::TensorType(tensor) => Some(tensor.shape.as_ref()?.dim.len()),
        _ => None,
    }
}

fn graphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.iter().chain(&attribute.graphs)
}

/// Adds every name that `graph` uses: those of its own among them do no harm.
fn want_inner<'a>(graph: &'a GraphProto, wanted: &mut HashSet<&'a str>, depth: u32) {
    wanted.extend(graph.output.iter().map(|info| info.name()));
    for node in &graph.node {
        wanted.extend(node.input.iter().map(String::as_str));
        if depth < MAX_NESTING {
            for inner in node.attribute.iter().flat_map(graphs) {
                want_inner(inner, wanted, depth + 1);
            }
        }
    }
}
