//! Masks that mask nothing.
//!
//! Exporters write the general form of an attention even where there is no mask: they compute one that is true
//! everywhere, add 0 where it is true, and replace the NaN of rows that are masked as a whole.

use super::scope::{Scope, attribute, op};
use crate::model::proto::tensor_proto::DataType;

/// Masks are followed through chains no longer than this.
const MAX_CHAIN: u32 = 16;

/// Whether `value`, added to scores, changes none of them.
pub(super) fn is_zero(scope: &Scope<'_>, value: &str) -> bool {
    if scope.scalar(value) == Some(0.0) {
        return true;
    }
    let Some(node) = scope.producer(value).map(|index| &scope.nodes[index]) else {
        return false;
    };
    let input = |index: usize| node.input.get(index);
    match op(node) {
        "Where" => {
            input(0).is_some_and(|condition| is_true(scope, condition, MAX_CHAIN))
                && input(1).is_some_and(|zero| scope.scalar(zero) == Some(0.0))
        }
        _ => false,
    }
}

/// Whether `value` is true everywhere, by the form of the graph.
fn is_true(scope: &Scope<'_>, value: &str, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let Some(node) = scope.producer(value).map(|index| &scope.nodes[index]) else {
        return scope.scalar(value).is_some_and(|value| value != 0.0);
    };
    let input = |index: usize| node.input.get(index).map(String::as_str);
    let all = |index: usize| input(index).is_some_and(|value| is_true(scope, value, depth));
    match op(node) {
        "Expand" | "Unsqueeze" | "Squeeze" | "Reshape" | "Identity" | "Transpose" => all(0),
        "Cast" => {
            attribute(node, "to").is_some_and(|to| to.i() == i64::from(DataType::Bool as i32))
                && all(0)
        }
        "And" => all(0) && all(1),
        "Constant" => scope.scalar(value).is_some_and(|value| value != 0.0),
        // positions, which count up from their start
        "GreaterOrEqual" => {
            let least = input(0).and_then(|value| least(scope, value, depth));
            let bound = input(1).and_then(|value| scope.scalar(value));
            least
                .zip(bound)
                .is_some_and(|(least, bound)| least >= bound)
        }
        _ => false,
    }
}

/// The first number of a range that counts up, through changes of form.
fn least(scope: &Scope<'_>, value: &str, depth: u32) -> Option<f64> {
    let depth = depth.checked_sub(1)?;
    let node = &scope.nodes[scope.producer(value)?];
    match op(node) {
        "Expand" | "Unsqueeze" | "Squeeze" | "Reshape" | "Identity" => {
            least(scope, node.input.first()?, depth)
        }
        "Range" => {
            let step = scope.scalar(node.input.get(2)?)?;
            let start = scope.scalar(node.input.first()?)?;
            (step > 0.0).then_some(start)
        }
        _ => None,
    }
}

/// Where `weights` only have their NaN replaced by 0: what comes of that, and the two nodes that do it.
pub(super) fn without_nan<'a>(scope: &Scope<'a>, weights: &str) -> Option<(&'a str, [usize; 2])> {
    let [first, second] = *scope.consumers(weights) else {
        return None;
    };
    if scope.is_wanted(weights) {
        return None;
    }
    let (is_nan, choice) = match (op(&scope.nodes[first]), op(&scope.nodes[second])) {
        ("IsNaN", "Where") => (first, second),
        ("Where", "IsNaN") => (second, first),
        _ => return None,
    };
    let condition = scope.nodes[is_nan].output.first()?;
    let node = &scope.nodes[choice];
    let [chosen_by, zero, kept] = node.input.as_slice() else {
        return None;
    };
    (chosen_by == condition
        && kept == weights
        && scope.scalar(zero) == Some(0.0)
        && scope.only_consumer(condition) == Some(choice))
    .then(|| Some((node.output.first()?.as_str(), [is_nan, choice])))
    .flatten()
}
