//! Writes the fused operator and the changed list of nodes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::MICROSOFT;
use super::names::Names;
use super::scope::Scope;
use crate::model::proto::attribute_proto::AttributeType;
use crate::model::proto::tensor_proto::DataType;
use crate::model::proto::{AttributeProto, NodeProto, TensorProto};

/// An attention in the graph: softmax(scale · query · keyᵀ) · value.
pub(super) struct Attention<'a> {
    pub(super) query: &'a str,
    pub(super) key: Key<'a>,
    pub(super) value: &'a str,
    pub(super) output: &'a str,
    pub(super) scale: f32,
    /// What it was spelt with; the last product comes last.
    pub(super) nodes: Vec<usize>,
}

/// Where the keys are, one in each row.
pub(super) enum Key<'a> {
    /// […, N, d]
    Rows(&'a str),
    /// […, N, d] once its axes are put in this order.
    Transposed(&'a str, Vec<i64>),
    /// […, d, N]
    Columns(&'a str),
}

/// Changes to a list of nodes.
#[derive(Default)]
pub(super) struct Edit {
    /// Go away.
    pub(super) removed: BTreeSet<usize>,
    /// Values that are not there any more.
    pub(super) unused: HashSet<String>,
    /// Come in the place of a removed one.
    inserted: BTreeMap<usize, Vec<NodeProto>>,
    /// What those make.
    made: HashSet<String>,
    /// Come first.
    prepended: Vec<NodeProto>,
}

impl Edit {
    pub(super) fn insert(&mut self, place: usize, nodes: Vec<NodeProto>) {
        let outputs = nodes.iter().flat_map(|node| &node.output);
        self.made.extend(outputs.cloned());
        self.inserted.insert(place, nodes);
    }

    pub(super) fn remove(&mut self, nodes: impl IntoIterator<Item = usize>) {
        self.removed.extend(nodes);
    }

    pub(super) fn prepend(&mut self, nodes: Vec<NodeProto>) {
        self.prepended = nodes;
    }

    /// What the new nodes take.
    pub(super) fn inserted_inputs(&self) -> impl Iterator<Item = &str> {
        self.inserted
            .values()
            .flatten()
            .flat_map(|node| &node.input)
            .map(String::as_str)
    }

    /// Whether a new node makes `value`.
    pub(super) fn makes(&self, value: &str) -> bool {
        self.made.contains(value)
    }

    pub(super) fn apply(mut self, nodes: &mut Vec<NodeProto>) {
        if self.removed.is_empty() {
            return;
        }
        let old = std::mem::replace(nodes, self.prepended);
        for (index, node) in old.into_iter().enumerate() {
            nodes.extend(self.inserted.remove(&index).unwrap_or_default());
            if !self.removed.contains(&index) {
                nodes.push(node);
            }
        }
    }
}

/// Writes the nodes of fused attentions of one scope.
///
/// The operator is used with one head and what are batch and heads in the graph as its batch, […, N, d] as [M, N, d]:
/// this needs no knowledge of ranks, heads or widths, and saves the way to [B, N, H·d] and back.
pub(super) struct Emitter<'a> {
    names: Names<'a>,
    /// Lists of integers that the new nodes share, and their names.
    lists: Vec<(Vec<i64>, String)>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(scope: &'a Scope<'a>, inputs: &'a [String]) -> Self {
        Self {
            names: Names::new(scope, inputs, "fused_attention"),
            lists: Vec::new(),
        }
    }

    /// The nodes that take the place of `attention`.
    pub(super) fn emit(&mut self, attention: &Attention<'_>) -> Vec<NodeProto> {
        let mut nodes = Vec::new();
        let query = self.flat(&mut nodes, attention.query);
        let key = match &attention.key {
            Key::Rows(key) => self.flat(&mut nodes, key),
            Key::Transposed(source, order) => {
                let key = self.transpose(&mut nodes, source, order);
                self.flat(&mut nodes, &key)
            }
            Key::Columns(key) => {
                let key = self.flat(&mut nodes, key);
                self.transpose(&mut nodes, &key, &[0, 2, 1])
            }
        };
        let value = self.flat(&mut nodes, attention.value);
        let fused = self.names.give("output");
        let mut node = node("MultiHeadAttention", &[&query, &key, &value], &fused);
        node.domain = Some(MICROSOFT.to_owned());
        node.attribute = vec![
            int("num_heads", 1),
            AttributeProto {
                name: Some("scale".to_owned()),
                r#type: Some(AttributeType::Float as i32),
                f: Some(attention.scale),
                ..AttributeProto::default()
            },
        ];
        nodes.push(node);
        self.unflat(&mut nodes, &fused, attention);
        nodes
    }

    /// The constants that the emitted nodes share.
    pub(super) fn constants(self) -> Vec<NodeProto> {
        self.lists
            .into_iter()
            .map(|(values, name)| {
                let mut node = node("Constant", &[], &name);
                node.attribute = vec![AttributeProto {
                    name: Some("value".to_owned()),
                    r#type: Some(AttributeType::Tensor as i32),
                    t: Some(TensorProto {
                        dims: vec![values.len() as i64],
                        data_type: Some(DataType::Int64 as i32),
                        int64_data: values,
                        ..TensorProto::default()
                    }),
                    ..AttributeProto::default()
                }];
                node
            })
            .collect()
    }

    /// […, a, b] as [M, a, b].
    fn flat(&mut self, nodes: &mut Vec<NodeProto>, value: &str) -> String {
        let [shape, sides, flat_shape, flat] =
            ["shape", "sides", "flat_shape", "flat"].map(|what| self.names.give(what));
        let all = self.list(&[-1]);
        let last_two = self.list(&[-2, -1]);
        nodes.extend([
            node("Shape", &[value], &shape),
            with(node("Gather", &[&shape, &last_two], &sides), int("axis", 0)),
            with(node("Concat", &[&all, &sides], &flat_shape), int("axis", 0)),
            node("Reshape", &[value, &flat_shape], &flat),
        ]);
        flat
    }

    /// The result as the product gave it: all sides of the query but its last, then the value's last.
    fn unflat(&mut self, nodes: &mut Vec<NodeProto>, fused: &str, attention: &Attention<'_>) {
        let [query_shape, leading, value_shape, width, shape] = [
            "query_shape",
            "leading",
            "value_shape",
            "width",
            "output_shape",
        ]
        .map(|what| self.names.give(what));
        let first = self.list(&[0]);
        let last = self.list(&[-1]);
        nodes.extend([
            node("Shape", &[attention.query], &query_shape),
            node("Slice", &[&query_shape, &first, &last, &first], &leading),
            node("Shape", &[attention.value], &value_shape),
            with(
                node("Gather", &[&value_shape, &last], &width),
                int("axis", 0),
            ),
            with(node("Concat", &[&leading, &width], &shape), int("axis", 0)),
            node("Reshape", &[fused, &shape], attention.output),
        ]);
    }

    fn transpose(&mut self, nodes: &mut Vec<NodeProto>, value: &str, order: &[i64]) -> String {
        let name = self.names.give("key");
        let order = AttributeProto {
            name: Some("perm".to_owned()),
            r#type: Some(AttributeType::Ints as i32),
            ints: order.to_vec(),
            ..AttributeProto::default()
        };
        nodes.push(with(node("Transpose", &[value], &name), order));
        name
    }

    /// The name of a constant list.
    fn list(&mut self, values: &[i64]) -> String {
        if let Some((_, name)) = self.lists.iter().find(|(known, _)| known == values) {
            return name.clone();
        }
        let name = self.names.give("list");
        self.lists.push((values.to_vec(), name.clone()));
        name
    }
}

pub(super) fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(format!("{output}/{op}")),
        op_type: Some(op.to_owned()),
        ..NodeProto::default()
    }
}

pub(super) fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}
