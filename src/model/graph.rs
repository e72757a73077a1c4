//! The graph as one flat list of nodes with numbered values, model-local functions inlined and the branches of
//! conditionals opened, so that it can be walked without minding scopes.

use std::collections::HashMap;
use std::path::Path;

use half::{bf16, f16};

use super::external;
use super::proto::tensor_proto::DataType;
use super::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto};

/// A value in the graph: what a node makes, an input or an initializer.
pub(super) type Value = usize;

/// Functions call each other and conditionals nest only so deep in sound models.
const MAX_NESTING: u32 = 32;
/// More nodes than any depth network has; stops a crafted file whose functions double at each level.
const MAX_NODES: usize = 1 << 20;

pub(super) struct Node<'a> {
    pub proto: &'a NodeProto,
    /// `None`: an optional input left out.
    pub inputs: Vec<Option<Value>>,
    pub outputs: Vec<Value>,
    /// Of a conditional: the outputs of each of its subgraphs.
    pub branches: Vec<Vec<Value>>,
}

impl<'a> Node<'a> {
    pub(super) fn op(&self) -> &'a str {
        self.proto.op_type()
    }

    pub(super) fn input(&self, index: usize) -> Option<Value> {
        self.inputs.get(index).copied().flatten()
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&'a AttributeProto> {
        self.proto
            .attribute
            .iter()
            .find(|attribute| attribute.name() == name)
    }

    pub(super) fn ints(&self, name: &str) -> &'a [i64] {
        self.attribute(name)
            .map_or(&[], |attribute| &attribute.ints)
    }
}

pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Names and values of what has to be fed: initializers are not among them.
    pub inputs: Vec<(&'a str, Value)>,
    /// Names and values of the results; `None` where nothing makes it.
    pub outputs: Vec<(&'a str, Option<Value>)>,
    /// Node and number of its output, by value.
    producers: Vec<Option<(usize, usize)>>,
    constants: HashMap<Value, &'a TensorProto>,
    folder: Option<&'a Path>,
}

impl<'a> Graph<'a> {
    /// Flattens a model whose external data lies in `folder`.
    pub(super) fn new(model: &'a ModelProto, folder: Option<&'a Path>) -> Self {
        let functions = model
            .functions
            .iter()
            .map(|function| {
                (
                    (function.domain(), function.name(), function.overload()),
                    function,
                )
            })
            .collect();
        let mut builder = Builder {
            graph: Self {
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                producers: Vec::new(),
                constants: HashMap::new(),
                folder,
            },
            functions,
        };
        if let Some(main) = &model.graph {
            let mut scopes = vec![HashMap::new()];
            let outputs = builder.subgraph(main, &mut scopes, 0);
            builder.graph.outputs = main
                .output
                .iter()
                .map(|output| output.name())
                .zip(outputs)
                .collect();
            builder.graph.inputs = fed_inputs(main)
                .filter_map(|info| Some((info.name(), *scopes[0].get(info.name())?)))
                .collect();
        }
        builder.graph
    }

    /// The node that makes `value`, and as which of its outputs.
    pub(super) fn producer(&self, value: Value) -> Option<(&Node<'a>, usize)> {
        let (node, output) = self.producers.get(value).copied().flatten()?;
        Some((&self.nodes[node], output))
    }

    /// The constant tensor behind `value`, through casts and the like.
    pub(super) fn constant(&self, mut value: Value) -> Option<&'a TensorProto> {
        for _ in 0..MAX_NESTING {
            if let Some(tensor) = self.constants.get(&value) {
                return Some(tensor);
            }
            let (node, _) = self.producer(value)?;
            match node.op() {
                "Constant" => return node.attribute("value")?.t.as_ref(),
                "Cast" | "CastLike" | "Identity" | "Reshape" | "Unsqueeze" | "Squeeze"
                | "Flatten" | "Expand" | "DequantizeLinear" => value = node.input(0)?,
                _ => return None,
            }
        }
        None
    }

    /// The one number behind `value`, if it is a constant of one element.
    pub(super) fn scalar(&self, value: Value) -> Option<f64> {
        if let Some((node, _)) = self.producer(value) {
            match node.op() {
                "Constant" => {
                    if let Some(number) = node
                        .attribute("value_float")
                        .and_then(|attribute| attribute.f)
                    {
                        return Some(f64::from(number));
                    }
                    if let Some(number) = node
                        .attribute("value_int")
                        .and_then(|attribute| attribute.i)
                    {
                        return Some(number as f64);
                    }
                    if let Some(&[number]) = node
                        .attribute("value_floats")
                        .map(|attribute| attribute.floats.as_slice())
                    {
                        return Some(f64::from(number));
                    }
                }
                // its numbers stand for others
                "DequantizeLinear" => {
                    let number = |index| node.input(index).and_then(|value| self.scalar(value));
                    return Some((number(0)? - number(2).unwrap_or(0.0)) * number(1)?);
                }
                "Cast" | "CastLike" | "Identity" | "Reshape" | "Unsqueeze" | "Squeeze"
                | "Flatten" => {
                    return self.scalar(node.input(0)?);
                }
                _ => {}
            }
        }
        scalar(self.constant(value)?, self.folder)
    }
}

/// Inputs that have to be fed: up to IR version 3 initializers are declared among them.
pub(super) fn fed_inputs(
    graph: &GraphProto,
) -> impl Iterator<Item = &super::proto::ValueInfoProto> {
    graph.input.iter().filter(|info| {
        !graph
            .initializer
            .iter()
            .any(|tensor| tensor.name() == info.name())
    })
}

type Scope<'a> = HashMap<&'a str, Value>;

struct Builder<'a> {
    graph: Graph<'a>,
    functions: HashMap<(&'a str, &'a str, &'a str), &'a FunctionProto>,
}

impl<'a> Builder<'a> {
    fn value(&mut self) -> Value {
        self.graph.producers.push(None);
        self.graph.producers.len() - 1
    }

    /// Adds a graph's nodes and returns its outputs. `scopes`: names seen from inside, innermost last.
    fn subgraph(
        &mut self,
        graph: &'a GraphProto,
        scopes: &mut Vec<Scope<'a>>,
        depth: u32,
    ) -> Vec<Option<Value>> {
        for tensor in &graph.initializer {
            let value = self.value();
            self.graph.constants.insert(value, tensor);
            define(scopes, tensor.name(), value);
        }
        for info in fed_inputs(graph) {
            let value = self.value();
            define(scopes, info.name(), value);
        }
        self.add_nodes(&graph.node, scopes, depth);
        graph
            .output
            .iter()
            .map(|output| find(scopes, output.name()))
            .collect()
    }

    fn add_nodes(&mut self, nodes: &'a [NodeProto], scopes: &mut Vec<Scope<'a>>, depth: u32) {
        for proto in nodes {
            if self.graph.nodes.len() >= MAX_NODES {
                return;
            }
            let inputs: Vec<_> = proto.input.iter().map(|name| find(scopes, name)).collect();
            let key = (proto.domain(), proto.op_type(), proto.overload());
            match self.functions.get(&key) {
                Some(&function) if depth < MAX_NESTING => {
                    let results = self.call(function, &inputs, depth + 1);
                    for (name, result) in proto.output.iter().zip(results) {
                        let value = result.unwrap_or_else(|| self.value());
                        define(scopes, name, value);
                    }
                }
                _ => self.add_node(proto, inputs, scopes, depth),
            }
        }
    }

    fn add_node(
        &mut self,
        proto: &'a NodeProto,
        inputs: Vec<Option<Value>>,
        scopes: &mut Vec<Scope<'a>>,
        depth: u32,
    ) {
        let mut branches = Vec::new();
        if depth < MAX_NESTING && proto.op_type() == "If" {
            for graph in proto
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref())
            {
                scopes.push(Scope::new());
                let outputs = self.subgraph(graph, scopes, depth + 1);
                scopes.pop();
                branches.push(outputs.into_iter().flatten().collect());
            }
        }
        let index = self.graph.nodes.len();
        let outputs = (0..proto.output.len())
            .map(|_| self.value())
            .collect::<Vec<_>>();
        for (number, (name, &value)) in proto.output.iter().zip(&outputs).enumerate() {
            self.graph.producers[value] = Some((index, number));
            define(scopes, name, value);
        }
        self.graph.nodes.push(Node {
            proto,
            inputs,
            outputs,
            branches,
        });
    }

    /// Adds a function's nodes, its inputs bound to values of the caller, and returns its outputs.
    fn call(
        &mut self,
        function: &'a FunctionProto,
        inputs: &[Option<Value>],
        depth: u32,
    ) -> Vec<Option<Value>> {
        let bound = function
            .input
            .iter()
            .zip(inputs)
            .filter_map(|(name, value)| Some((name.as_str(), (*value)?)));
        // a function does not see its caller's names
        let mut scopes = vec![bound.collect()];
        self.add_nodes(&function.node, &mut scopes, depth);
        function
            .output
            .iter()
            .map(|name| find(&scopes, name))
            .collect()
    }
}

fn define<'a>(scopes: &mut [Scope<'a>], name: &'a str, value: Value) {
    if let Some(scope) = scopes.last_mut()
        && !name.is_empty()
    {
        scope.insert(name, value);
    }
}

fn find(scopes: &[Scope<'_>], name: &str) -> Option<Value> {
    scopes
        .iter()
        .rev()
        .find_map(|scope| scope.get(name).copied())
}

/// The one element of a tensor as a number.
fn scalar(tensor: &TensorProto, folder: Option<&Path>) -> Option<f64> {
    if tensor.dims.iter().any(|&side| side != 1) {
        return None;
    }
    let raw = match external::small(tensor, folder) {
        Some(read) => read,
        None => tensor.raw_data().to_vec(),
    };
    let kind = DataType::try_from(tensor.data_type()).ok()?;
    // small types are kept in `int32_data` when they are not raw
    let word = || tensor.int32_data.first().copied();
    Some(match kind {
        DataType::Float => first(&raw)
            .map(f32::from_le_bytes)
            .or_else(|| tensor.float_data.first().copied())?
            .into(),
        DataType::Double => first(&raw)
            .map(f64::from_le_bytes)
            .or_else(|| tensor.double_data.first().copied())?,
        DataType::Float16 => first(&raw)
            .map(f16::from_le_bytes)
            .or_else(|| Some(f16::from_bits(word()? as u16)))?
            .into(),
        DataType::Bfloat16 => first(&raw)
            .map(bf16::from_le_bytes)
            .or_else(|| Some(bf16::from_bits(word()? as u16)))?
            .into(),
        DataType::Int64 => first(&raw)
            .map(i64::from_le_bytes)
            .or_else(|| tensor.int64_data.first().copied())? as f64,
        DataType::Int32 => first(&raw).map(i32::from_le_bytes).or_else(word)?.into(),
        DataType::Int8 => first(&raw)
            .map(i8::from_le_bytes)
            .or_else(|| Some(word()? as i8))?
            .into(),
        DataType::Uint8 => first(&raw)
            .map(u8::from_le_bytes)
            .or_else(|| Some(word()? as u8))?
            .into(),
        _ => return None,
    })
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}
