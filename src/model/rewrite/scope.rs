//! The nodes of one graph or function, and who makes and who uses their values.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::MAX_NESTING;
use crate::model::budget::Budget;
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
    /// Ranks, and lengths of lists, that were asked for, by the node that makes the value.
    found: RefCell<HashMap<(usize, Asked), Option<usize>>>,
    budget: &'a Budget,
}

/// What is asked of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    Rank,
    Length,
}

/// A rank was looked for through more nodes than lie before one in a sound model.
#[derive(Debug, Clone, Copy)]
struct TooFar;

impl<'a> Scope<'a> {
    pub(super) fn new(
        nodes: &'a [NodeProto],
        initializers: &'a [TensorProto],
        outputs: impl Iterator<Item = &'a str>,
        infos: &'a [ValueInfoProto],
        opset: i64,
        budget: &'a Budget,
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
            found: RefCell::default(),
            budget,
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

    /// The node that makes `value`. Nothing makes anything when the budget is used up, so that a walk ends there.
    pub(super) fn producer(&self, value: &str) -> Option<usize> {
        if !self.budget.spend(1) {
            return None;
        }
        self.producers.get(value).copied()
    }

    /// Nodes that take `value`, once for each time they do. Nothing does when the budget is used up.
    pub(super) fn consumers(&self, value: &str) -> &[usize] {
        if !self.budget.spend(1) {
            return &[];
        }
        self.consumers.get(value).map_or(&[], Vec::as_slice)
    }

    /// How often nodes take `value`.
    pub(super) fn uses(&self, value: &str) -> usize {
        self.consumers.get(value).map_or(0, Vec::len)
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
                return number::scalar(tensor);
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
        self.ask(Asked::Rank, value, MAX_CHAIN).unwrap_or(None)
    }

    /// What is `asked` of `value`, through so many nodes. What was found is remembered, so that a graph in which each
    /// node takes the one before it twice is walked once.
    fn ask(&self, asked: Asked, value: &'a str, depth: u32) -> Result<Option<usize>, TooFar> {
        let tensor = self.initializers.get(value);
        let plain = match asked {
            Asked::Rank => {
                let declared = self.ranks.get(value).copied();
                declared.or(tensor.map(|tensor| tensor.dims.len()))
            }
            Asked::Length => tensor.and_then(|tensor| one_side(tensor)),
        };
        let Some(index) = self.producer(value).filter(|_| plain.is_none()) else {
            return Ok(plain);
        };
        if let Some(&known) = self.found.borrow().get(&(index, asked)) {
            return Ok(known);
        }
        let depth = depth.checked_sub(1).ok_or(TooFar)?;
        let found = match asked {
            Asked::Rank => self.find_rank(&self.nodes[index], depth)?,
            Asked::Length => self.find_length(&self.nodes[index], depth)?,
        };
        self.found.borrow_mut().insert((index, asked), found);
        Ok(found)
    }

    fn find_rank(&self, node: &'a NodeProto, depth: u32) -> Result<Option<usize>, TooFar> {
        let of = |asked, index: usize| match node.input.get(index) {
            Some(input) => self.ask(asked, input, depth),
            None => Ok(None),
        };
        let rank = |index| of(Asked::Rank, index);
        Ok(match op(node) {
            "Transpose" => attribute(node, "perm").map(|perm| perm.ints.len()),
            "Constant" => attribute(node, "value")
                .and_then(|value| value.t.as_ref())
                .map(|tensor| tensor.dims.len()),
            "Softmax" | "Cast" | "Identity" | "Split" | "Dropout" | "LayerNormalization" => {
                rank(0)?
            }
            "MatMul" | "FusedMatMul" | "Mul" | "Div" | "Add" | "Sub" => {
                rank(0)?.zip(rank(1)?).map(|(left, right)| left.max(right))
            }
            "Gather" => rank(0)?
                .zip(rank(1)?)
                .and_then(|(data, indices)| data.checked_add(indices)?.checked_sub(1)),
            "Unsqueeze" | "Squeeze" => {
                let axes = match attribute(node, "axes") {
                    Some(axes) => Some(axes.ints.len()),
                    None => of(Asked::Length, 1)?,
                };
                rank(0)?.zip(axes).and_then(|(rank, axes)| match op(node) {
                    "Squeeze" => rank.checked_sub(axes),
                    _ => rank.checked_add(axes),
                })
            }
            "Reshape" => of(Asked::Length, 1)?,
            _ => None,
        })
    }

    /// The number of elements of a list, as shapes are.
    fn find_length(&self, node: &'a NodeProto, depth: u32) -> Result<Option<usize>, TooFar> {
        let of = |asked| match node.input.first() {
            Some(input) => self.ask(asked, input, depth),
            None => Ok(None),
        };
        Ok(match op(node) {
            "Constant" => match attribute(node, "value_ints") {
                Some(ints) => Some(ints.ints.len()),
                None => attribute(node, "value")
                    .and_then(|value| value.t.as_ref())
                    .and_then(one_side),
            },
            "Concat" => {
                let mut sum = Some(0_usize);
                for part in &node.input {
                    let length = self.ask(Asked::Length, part, depth)?;
                    sum = sum
                        .zip(length)
                        .and_then(|(sum, length)| sum.checked_add(length));
                }
                sum
            }
            // of a number that was taken out of a shape
            "Unsqueeze" => (of(Asked::Rank)? == Some(0)).then_some(1),
            "Cast" | "Identity" => of(Asked::Length)?,
            "Shape" => of(Asked::Rank)?,
            _ => None,
        })
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

/// The length of a list.
fn one_side(tensor: &TensorProto) -> Option<usize> {
    match *tensor.dims {
        [length] => usize::try_from(length).ok(),
        _ => None,
    }
}

fn constant(node: &NodeProto) -> Option<f64> {
    node.attribute
        .iter()
        .find_map(|attribute| match attribute.name() {
            "value" => number::scalar(attribute.t.as_ref()?),
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
