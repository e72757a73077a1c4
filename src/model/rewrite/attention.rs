//! Finds attention that is spelt out.

use std::collections::{HashMap, HashSet};

use super::emit::{Attention, Edit, Emitter, Key};
use super::scope::{Scope, attribute, op};
use super::{Left, Report, mask};
use crate::model::proto::NodeProto;
use crate::model::proto::tensor_proto::DataType;

/// The oldest operator set whose Gather takes negative indices.
const OLDEST_OPSET: i64 = 11;
/// Of a depth network's: the largest have some hundred. Each takes a runtime time to prepare, and more when it is fused.
const MOST_ATTENTIONS: usize = 1000;
/// Sides of a tensor, at most.
const MAX_RANK: usize = 16;
/// The last one in which Softmax flattens its input, by default from axis 1 on.
const LAST_FLATTENING_OPSET: i64 = 12;

/// Plans one operator for each attention in `scope`. `inputs`: names that are given from outside.
pub(super) fn fuse(scope: &Scope<'_>, inputs: &[String], report: &mut Report) -> Edit {
    let mut edit = Edit::default();
    let mut emitter = Emitter::new(scope, inputs);
    let softmaxes = scope.nodes.iter().filter(|node| op(node) == "Softmax");
    if softmaxes.count() > MOST_ATTENTIONS {
        return edit;
    }
    for (index, node) in scope.nodes.iter().enumerate() {
        if op(node) != "Softmax" {
            continue;
        }
        let Some(after) = After::of(scope, index) else {
            continue; // no attention
        };
        match after.and_then(|after| find(scope, index, after)) {
            Ok(found) => {
                report.fused += 1;
                let place = found.nodes.last().copied().unwrap_or(index);
                edit.insert(place, emitter.emit(&found));
                edit.remove(found.nodes);
            }
            Err(reason) => report.left.push(Left {
                node: node.name().to_owned(),
                reason,
            }),
        }
    }
    edit.prepend(emitter.constants());
    drop_unused(scope, &mut edit);
    edit
}

fn find<'a>(
    scope: &Scope<'a>,
    softmax: usize,
    after: After<'a>,
) -> Result<Attention<'a>, &'static str> {
    if scope.opset < OLDEST_OPSET {
        return Err("its operator set is too old");
    }
    if !is_over_last_axis(scope, &scope.nodes[softmax]) {
        return Err("its softmax may not be over the last axis");
    }
    let before = Before::of(scope, softmax)?;
    // there and back again, on either side of the softmax or both on one
    if before.casts + after.casts == 1 {
        return Err("its weights are of another type than its queries");
    }
    let scale = before.scale as f32;
    // 0 would stand for the operator's own default
    if !scale.is_finite() || scale == 0.0 {
        return Err("its scale is no sound number");
    }
    let mut nodes = before.nodes;
    nodes.push(softmax);
    nodes.extend(after.nodes);
    Ok(Attention {
        query: before.query,
        key: before.key,
        value: after.value,
        output: after.output,
        scale,
        nodes,
    })
}

/// From the scores to the softmax.
struct Before<'a> {
    query: &'a str,
    key: Key<'a>,
    scale: f64,
    casts: usize,
    nodes: Vec<usize>,
}

impl<'a> Before<'a> {
    fn of(scope: &Scope<'a>, softmax: usize) -> Result<Self, &'static str> {
        let nodes = scope.nodes;
        let mut walked = Vec::new();
        let mut scale = 1.0;
        let mut casts = 0;
        let mut value = input(&nodes[softmax], 0)?;
        loop {
            // a graph may go in circles
            if walked.len() > LONGEST_WALK {
                return Err(TOO_LONG);
            }
            if scope.only_consumer(value).is_none() {
                return Err("a result in between is used elsewhere");
            }
            let index = scope
                .producer(value)
                .ok_or("no matrix product stands before its softmax")?;
            walked.push(index);
            let node = &nodes[index];
            match op(node) {
                "Identity" => value = input(node, 0)?,
                "Cast" => {
                    casts += 1;
                    if !is_cast_to(node, DataType::Float) {
                        return Err("its softmax is of an unusual type");
                    }
                    value = input(node, 0)?;
                }
                "Mul" => {
                    let (left, right) = (input(node, 0)?, input(node, 1)?);
                    let (factor, scores) = match scope.scalar(right) {
                        Some(factor) => (factor, left),
                        None => (scope.scalar(left).ok_or(NOT_CONSTANT)?, right),
                    };
                    scale *= factor;
                    value = scores;
                }
                "Div" => {
                    scale /= scope.scalar(input(node, 1)?).ok_or(NOT_CONSTANT)?;
                    value = input(node, 0)?;
                }
                "MatMul" | "FusedMatMul" => {
                    let product = Product::of(node)?;
                    if product.transposes_left {
                        return Err("its query is transposed");
                    }
                    walked.reverse();
                    return Ok(Self {
                        query: input(node, 0)?,
                        key: key(scope, input(node, 1)?, product.transposes_right),
                        scale: scale * product.alpha,
                        casts,
                        nodes: walked,
                    });
                }
                "Add" => {
                    let (left, right) = (input(node, 0)?, input(node, 1)?);
                    value = match (mask::is_zero(scope, left), mask::is_zero(scope, right)) {
                        (_, true) => left,
                        (true, _) => right,
                        _ => return Err(MASKED),
                    };
                }
                "Sub" | "Where" => return Err(MASKED),
                _ => return Err("no matrix product stands before its softmax"),
            }
        }
    }
}

/// More nodes than stand between a softmax and its products.
const LONGEST_WALK: usize = 32;
const TOO_LONG: &str = "no matrix product stands near its softmax";
const MASKED: &str = "it has a mask or a bias";
const NOT_CONSTANT: &str = "its scale is no constant";

/// From the softmax to the result.
struct After<'a> {
    value: &'a str,
    output: &'a str,
    casts: usize,
    nodes: Vec<usize>,
}

impl<'a> After<'a> {
    /// `None` where the softmax does not lead to a matrix product.
    fn of(scope: &Scope<'a>, softmax: usize) -> Option<Result<Self, &'static str>> {
        let mut walked = Vec::new();
        let mut casts = 0;
        let mut shared = false;
        let mut weights = scope.nodes[softmax].output.first()?.as_str();
        loop {
            if walked.len() > LONGEST_WALK {
                return Some(Err(TOO_LONG));
            }
            if let Some((replaced, nodes)) = mask::without_nan(scope, weights) {
                walked.extend(nodes);
                weights = replaced;
                continue;
            }
            shared |= scope.only_consumer(weights).is_none();
            let index = *scope.consumers(weights).first()?;
            walked.push(index);
            let node = &scope.nodes[index];
            match op(node) {
                "Identity" => {}
                "Cast" => casts += 1,
                "Dropout" if is_idle_dropout(scope, node) => {}
                "MatMul" | "FusedMatMul" => {
                    let product = match Product::of(node) {
                        Ok(product) => product,
                        Err(reason) => return Some(Err(reason)),
                    };
                    return Some(if shared {
                        Err("a result in between is used elsewhere")
                    } else if node.input.first().map(String::as_str) != Some(weights) {
                        Err("its weights stand on the right of the product")
                    } else if product.transposes_left
                        || product.transposes_right
                        || product.alpha != 1.0
                    {
                        Err("its second product is transposed or scaled")
                    } else {
                        Ok(Self {
                            value: node.input.get(1)?,
                            output: node.output.first()?,
                            casts,
                            nodes: walked,
                        })
                    });
                }
                _ => return None,
            }
            weights = node.output.first()?;
        }
    }
}

/// A matrix product; ONNX Runtime's own can transpose and scale.
struct Product {
    transposes_left: bool,
    transposes_right: bool,
    alpha: f64,
}

impl Product {
    fn of(node: &NodeProto) -> Result<Self, &'static str> {
        let flag = |name| attribute(node, name).is_some_and(|attribute| attribute.i() != 0);
        if flag("transBatchA") || flag("transBatchB") {
            return Err("its product goes over other axes");
        }
        Ok(Self {
            transposes_left: flag("transA"),
            transposes_right: flag("transB"),
            alpha: attribute(node, "alpha").map_or(1.0, |alpha| alpha.f().into()),
        })
    }
}

/// `value` is kᵀ, […, d, N], unless the product itself transposes.
fn key<'a>(scope: &Scope<'a>, value: &'a str, transposed_by_product: bool) -> Key<'a> {
    if transposed_by_product {
        return Key::Rows(value);
    }
    let untransposed = || {
        let node = &scope.nodes[scope.producer(value)?];
        if op(node) != "Transpose" {
            return None;
        }
        let order = &attribute(node, "perm")?.ints;
        if order.len() > MAX_RANK {
            return None;
        }
        let mut order = order.clone();
        let last = order.len().checked_sub(1)?;
        order.swap(last, last.checked_sub(1)?);
        let source = node.input.first()?.as_str();
        Some(if order.iter().zip(0..).all(|(&axis, own)| axis == own) {
            Key::Rows(source)
        } else {
            Key::Transposed(source, order)
        })
    };
    untransposed().unwrap_or(Key::Columns(value))
}

fn is_over_last_axis(scope: &Scope<'_>, softmax: &NodeProto) -> bool {
    let default = if scope.opset > LAST_FLATTENING_OPSET {
        -1
    } else {
        1
    };
    let axis = attribute(softmax, "axis").map_or(default, |axis| axis.i());
    if axis == -1 {
        return true;
    }
    let rank = softmax.input.first().and_then(|value| scope.rank(value));
    rank.and_then(|rank| i64::try_from(rank).ok())
        .is_some_and(|rank| axis == rank - 1)
}

/// Whether a Dropout hands on what it gets, as all do outside of training.
fn is_idle_dropout(scope: &Scope<'_>, node: &NodeProto) -> bool {
    let trains = node.input.get(2).is_some_and(|mode| !mode.is_empty());
    let mask_used = node.output.get(1).is_some_and(|mask| {
        !mask.is_empty() && (scope.is_wanted(mask) || !scope.consumers(mask).is_empty())
    });
    !trains && !mask_used
}

fn is_cast_to(node: &NodeProto, kind: DataType) -> bool {
    attribute(node, "to").is_some_and(|to| to.i() == i64::from(kind as i32))
}

fn input(node: &NodeProto, index: usize) -> Result<&str, &'static str> {
    node.input
        .get(index)
        .map(String::as_str)
        .ok_or("a node has too few inputs")
}

/// Drops what only the removed nodes used: ONNX Runtime would go on computing it.
fn drop_unused(scope: &Scope<'_>, edit: &mut Edit) {
    let used_anew: HashSet<String> = edit.inserted_inputs().map(str::to_owned).collect();
    let mut left = Uses {
        scope,
        used_anew: &used_anew,
        gone: HashMap::new(),
    };
    let mut queue: Vec<usize> = edit.removed.iter().copied().collect();
    queue.iter().for_each(|&index| left.remove(index));
    while let Some(index) = queue.pop() {
        for name in &scope.nodes[index].input {
            if left.any(name) {
                continue;
            }
            if let Some(producer) = scope.producer(name) {
                let outputs = &scope.nodes[producer].output;
                if !outputs.iter().any(|output| left.any(output)) && edit.removed.insert(producer) {
                    left.remove(producer);
                    queue.push(producer);
                }
            } else if scope.is_initializer(name) {
                edit.unused.insert(name.clone());
            }
        }
    }
    let unused: Vec<&String> = (edit.removed.iter())
        .flat_map(|&index| &scope.nodes[index].output)
        .filter(|name| !edit.makes(name))
        .collect();
    edit.unused.extend(unused.into_iter().cloned());
}

/// Who still uses a value while nodes are removed.
struct Uses<'s, 'a> {
    scope: &'s Scope<'a>,
    /// By nodes that come in the place of others.
    used_anew: &'s HashSet<String>,
    /// By name, how many uses went away with a removed node.
    gone: HashMap<&'a str, usize>,
}

impl Uses<'_, '_> {
    fn remove(&mut self, node: usize) {
        for name in &self.scope.nodes[node].input {
            *self.gone.entry(name).or_default() += 1;
        }
    }

    fn any(&self, name: &str) -> bool {
        self.used_anew.contains(name)
            || self.scope.is_wanted(name)
            || self.scope.uses(name) > self.gone.get(name).copied().unwrap_or(0)
    }
}
