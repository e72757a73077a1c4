//! The graph as one flat list of nodes with numbered values, model-local functions inlined and the branches of
//! conditionals opened, so that it can be walked without minding scopes.

mod flatten;
pub(super) mod order;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::budget::Budget;
use super::number;
use super::proto::tensor_proto::DataType;
use super::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};

/// A value in the graph: what a node makes, an input or an initializer.
pub(super) type Value = usize;

/// Constants are found through chains of casts and reshapes no longer than this.
const MAX_CHAIN: u32 = 32;

/// Constants that are computed from others are computed in no more steps than this.
const MAX_CONSTANT_STEPS: u32 = 64;

/// An operator at its place in the graph.
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

/// The whole graph, flat; nodes stand in an order in which each comes after those that make its inputs.
pub(super) struct Graph<'a> {
    pub nodes: Vec<Node<'a>>,
    /// Names and values of what has to be fed: initializers are not among them.
    pub inputs: Vec<(&'a str, Value)>,
    /// Names and values of the results; `None` where nothing makes it.
    pub outputs: Vec<(&'a str, Option<Value>)>,
    /// Node and number of its output, by value.
    producers: Vec<Option<(usize, usize)>>,
    constants: HashMap<Value, &'a TensorProto>,
    /// Numbers that were asked for.
    scalars: RefCell<HashMap<Value, Option<f64>>>,
    budget: &'a Budget,
}

impl<'a> Graph<'a> {
    /// Flattens a model. This, and every walk over the graph, takes its steps from `budget`; what is beyond it is not
    /// found.
    pub(super) fn new(model: &'a ModelProto, budget: &'a Budget) -> Self {
        flatten::flatten(
            model,
            Self {
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                producers: Vec::new(),
                constants: HashMap::new(),
                scalars: RefCell::default(),
                budget,
            },
        )
    }

    /// The node that makes `value`, and as which of its outputs. Nothing makes anything when the budget is used up, so
    /// that a walk from value to value ends there.
    pub(super) fn producer(&self, value: Value) -> Option<(&Node<'a>, usize)> {
        if !self.budget.spend(1) {
            return None;
        }
        let (node, output) = self.producers.get(value).copied().flatten()?;
        Some((&self.nodes[node], output))
    }

    /// Takes steps for a walk over the list of nodes. `false`: it has to end.
    pub(super) fn spend(&self, steps: usize) -> bool {
        self.budget.spend(steps)
    }

    /// The constant tensor behind `value`, through casts and the like.
    pub(super) fn constant(&self, mut value: Value) -> Option<&'a TensorProto> {
        for _ in 0..MAX_CHAIN {
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

    /// The type of the elements of `value`, where it is a constant.
    pub(super) fn constant_type(&self, mut value: Value) -> Option<DataType> {
        for _ in 0..MAX_CHAIN {
            if let Some(tensor) = self.constants.get(&value) {
                return DataType::try_from(tensor.data_type()).ok();
            }
            let (node, _) = self.producer(value)?;
            let kind = match node.op() {
                "Constant" => node.attribute("value")?.t.as_ref()?.data_type(),
                "Cast" => i32::try_from(node.attribute("to")?.i()).ok()?,
                "Identity" | "Reshape" | "Unsqueeze" | "Squeeze" | "Flatten" | "Transpose"
                | "Expand" => {
                    value = node.input(0)?;
                    continue;
                }
                _ => return None,
            };
            return DataType::try_from(kind).ok();
        }
        None
    }

    /// The one number behind `value`, if it is a constant of one element.
    pub(super) fn scalar(&self, value: Value) -> Option<f64> {
        self.scalar_within(value, MAX_CHAIN).unwrap_or(None)
    }

    /// The numbers behind `value`, if it is made of constants and has no more than `most` elements; its shape is not
    /// kept.
    pub(super) fn numbers(&self, value: Value, most: usize) -> Option<Vec<f64>> {
        let mut steps = MAX_CONSTANT_STEPS;
        self.numbers_within(value, most, MAX_CHAIN, &mut steps)
    }

    fn numbers_within(
        &self,
        value: Value,
        most: usize,
        depth: u32,
        steps: &mut u32,
    ) -> Option<Vec<f64>> {
        let depth = depth.checked_sub(1)?;
        *steps = steps.checked_sub(1)?;
        let Some((node, _)) = self.producer(value) else {
            return number::vector(self.constants.get(&value)?, most);
        };
        let mut of = |index| self.numbers_within(node.input(index)?, most, depth, steps);
        let found = match node.op() {
            "Constant" => {
                node.proto
                    .attribute
                    .iter()
                    .find_map(|attribute| match attribute.name() {
                        "value" => number::vector(attribute.t.as_ref()?, most),
                        "value_float" => attribute.f.map(|number| vec![f64::from(number)]),
                        "value_int" => attribute.i.map(|number| vec![number as f64]),
                        "value_floats" if attribute.floats.len() <= most => {
                            Some(attribute.floats.iter().map(|&n| f64::from(n)).collect())
                        }
                        _ => None,
                    })?
            }
            "Cast" | "CastLike" | "Identity" | "Reshape" | "Unsqueeze" | "Squeeze" | "Flatten"
            | "Expand" | "Transpose" => of(0)?,
            "Neg" => each(of(0)?, |a| -a),
            "Reciprocal" => each(of(0)?, f64::recip),
            "Sqrt" => each(of(0)?, f64::sqrt),
            "Add" => pairs(of(0)?, of(1)?, |a, b| a + b)?,
            "Sub" => pairs(of(0)?, of(1)?, |a, b| a - b)?,
            "Mul" => pairs(of(0)?, of(1)?, |a, b| a * b)?,
            "Div" => pairs(of(0)?, of(1)?, |a, b| a / b)?,
            "DequantizeLinear" => {
                let zero = match node.input(2) {
                    Some(_) => of(2)?,
                    None => vec![0.0],
                };
                let steps = pairs(of(0)?, zero, |a, b| a - b)?;
                pairs(steps, of(1)?, |a, b| a * b)?
            }
            "Concat" => {
                let mut all = Vec::new();
                for index in 0..node.inputs.len() {
                    all.extend(of(index)?);
                    if all.len() > most {
                        return None;
                    }
                }
                all
            }
            _ => return None,
        };
        (1..=most).contains(&found.len()).then_some(found)
    }

    /// As [`Graph::scalar`], through so many nodes. What was found is remembered, so that a graph in which each node
    /// takes the one before it twice is walked once.
    ///
    /// # Errors
    /// [`TooFar`].
    fn scalar_within(&self, value: Value, depth: u32) -> Result<Option<f64>, TooFar> {
        if let Some(&known) = self.scalars.borrow().get(&value) {
            return Ok(known);
        }
        let number = self.find_scalar(value, depth.checked_sub(1).ok_or(TooFar)?)?;
        self.scalars.borrow_mut().insert(value, number);
        Ok(number)
    }

    fn find_scalar(&self, value: Value, depth: u32) -> Result<Option<f64>, TooFar> {
        let Some((node, _)) = self.producer(value) else {
            return Ok(self
                .constants
                .get(&value)
                .and_then(|tensor| number::scalar(tensor)));
        };
        let number = |index| match node.input(index) {
            Some(value) => self.scalar_within(value, depth),
            None => Ok(None),
        };
        Ok(match node.op() {
            "Constant" => {
                node.proto
                    .attribute
                    .iter()
                    .find_map(|attribute| match attribute.name() {
                        "value" => number::scalar(attribute.t.as_ref()?),
                        "value_float" => attribute.f.map(f64::from),
                        "value_int" => attribute.i.map(|number| number as f64),
                        "value_floats" => match attribute.floats[..] {
                            [number] => Some(f64::from(number)),
                            _ => None,
                        },
                        _ => None,
                    })
            }
            // its numbers stand for others
            "DequantizeLinear" => {
                let (stored, scale, zero) = (number(0)?, number(1)?, number(2)?);
                (stored.zip(scale)).map(|(stored, scale)| (stored - zero.unwrap_or(0.0)) * scale)
            }
            "Cast" | "CastLike" | "Identity" | "Reshape" | "Unsqueeze" | "Squeeze" | "Flatten"
            | "Expand" => number(0)?,
            _ => None,
        })
    }
}

/// A number was looked for through more nodes than lie before one in a sound model.
#[derive(Debug, Clone, Copy)]
struct TooFar;

fn each(mut numbers: Vec<f64>, of: impl Fn(f64) -> f64) -> Vec<f64> {
    numbers.iter_mut().for_each(|number| *number = of(*number));
    numbers
}

/// Element by element; a single number goes with each.
fn pairs(left: Vec<f64>, right: Vec<f64>, of: impl Fn(f64, f64) -> f64) -> Option<Vec<f64>> {
    match (&left[..], &right[..]) {
        (_, &[right]) => Some(each(left, |left| of(left, right))),
        (&[left], _) => Some(each(right, |right| of(left, right))),
        _ if left.len() == right.len() => Some(
            std::iter::zip(left, right)
                .map(|(left, right)| of(left, right))
                .collect(),
        ),
        _ => None,
    }
}

/// Inputs that have to be fed: up to IR version 3 initializers are declared among them.
pub(super) fn fed_inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    let initializers: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
    (graph.input.iter()).filter(move |info| !initializers.contains(info.name()))
}
