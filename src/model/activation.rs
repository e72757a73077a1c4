//! What ends the graph: the activation that gives depth its meaning.

use std::fmt;

use super::graph::{Graph, Node, Value};
use crate::text;

/// The last activation before an output, seen through everything that only moves or scales values.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputActivation {
    /// `Relu`: affine-invariant inverse depth in the whole Depth Anything and MiDaS families.
    Relu,
    /// `Sigmoid` times a constant greater than one: metres up to that constant.
    ScaledSigmoid {
        /// The constant: the largest depth in metres (20 for the indoor models, 80 for the outdoor ones).
        max_depth: f64,
    },
    /// A bare `Sigmoid` or `Softmax`, or one scaled to at most one: a probability, mask or scaled disparity.
    Probability,
    /// `Exp`: depth that grows with distance, as in Depth Anything 3.
    Exp,
    /// Anything else, by the name of its operator; empty when the output is no result of a node.
    Other(String),
}

impl fmt::Display for OutputActivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relu => f.write_str("Relu"),
            Self::ScaledSigmoid { max_depth } => write!(f, "Sigmoid × {max_depth}"),
            Self::Probability => f.write_str("Sigmoid or Softmax, up to 1"),
            Self::Exp => f.write_str("Exp"),
            Self::Other(operator) if operator.is_empty() => f.write_str("no operator"),
            Self::Other(operator) => f.write_str(&text::name(operator)),
        }
    }
}

/// Longer than any chain of reshapes and casts; a sound graph has no cycle, a broken one may.
const MAX_STEPS: u32 = 256;

/// What ends the graph at `value`.
pub(super) fn of(graph: &Graph<'_>, value: Value) -> OutputActivation {
    walk(graph, value, Scaling::default(), MAX_STEPS)
}

/// Whether there is a constant factor before or after the Relu that ends the graph at `value`, as networks have it that
/// bring their numbers into a unit. The products of a quantised convolution are none.
pub(super) fn is_scaled(graph: &Graph<'_>, mut value: Value) -> bool {
    for _ in 0..MAX_STEPS {
        let Some((node, _)) = graph.producer(value) else {
            return false;
        };
        let next = match pass(graph, node) {
            Some((_, factor, _)) if (factor - 1.0).abs() > 1e-6 => return true,
            Some((next, ..)) => Some(next),
            None if node.op() == "Relu" => node.input(0),
            None => None,
        };
        match next {
            Some(next) => value = next,
            None => return false,
        }
    }
    false
}

/// What the walk has passed: the output is `factor · x + shift`.
#[derive(Clone, Copy)]
struct Scaling {
    factor: f64,
    shifted: bool,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            factor: 1.0,
            shifted: false,
        }
    }
}

impl Scaling {
    fn times(self, factor: f64) -> Self {
        Self {
            factor: self.factor * factor,
            ..self
        }
    }

    fn sigmoid(self) -> OutputActivation {
        // With a shift it is the scaled disparity of the Monodepth family, a + b · sigmoid; and up to one
        // it is a mask, a confidence, or disparity as a part of the image's width.
        if self.factor > 1.0 && !self.shifted {
            OutputActivation::ScaledSigmoid {
                // constants are singles at best: what they make is no more exact
                max_depth: f64::from(self.factor as f32),
            }
        } else {
            OutputActivation::Probability
        }
    }
}

fn walk(graph: &Graph<'_>, mut value: Value, mut scaling: Scaling, steps: u32) -> OutputActivation {
    for step in 0..steps {
        let Some((node, output)) = graph.producer(value) else {
            return OutputActivation::Other(String::new());
        };
        if let Some(found) = activation(graph, node, scaling) {
            return found;
        }
        if node.op() == "If" {
            let mut activations = node
                .branches
                .iter()
                .filter_map(|branch| branch.get(output))
                .take_while(|_| graph.spend(1))
                .map(|&value| walk(graph, value, scaling, (steps - step) / 2));
            let other = OutputActivation::Other("If".to_owned());
            return activations
                .find(|found| !matches!(found, OutputActivation::Other(_)))
                .unwrap_or(other);
        }
        match pass(graph, node) {
            Some((next, factor, shifted)) => {
                value = next;
                scaling = scaling.times(factor);
                scaling.shifted |= shifted;
            }
            None => return OutputActivation::Other(node.op().to_owned()),
        }
    }
    OutputActivation::Other(String::new())
}

fn activation(graph: &Graph<'_>, node: &Node<'_>, scaling: Scaling) -> Option<OutputActivation> {
    Some(match node.op() {
        "Relu" => OutputActivation::Relu,
        // a Relu in other words
        "Clip" if unbounded_above(graph, node) => OutputActivation::Relu,
        "Sigmoid" | "QLinearSigmoid" => scaling.sigmoid(),
        "Softmax" => OutputActivation::Probability,
        "Exp" => OutputActivation::Exp,
        // ONNX Runtime's own optimiser merges an activation into the convolution before it
        "Conv" | "FusedConv" | "NhwcFusedConv" | "FusedGemm" => {
            match node.attribute("activation")?.s() {
                b"Relu" => OutputActivation::Relu,
                b"Sigmoid" => scaling.sigmoid(),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn unbounded_above(graph: &Graph<'_>, node: &Node<'_>) -> bool {
    let bound = match node.attribute("max") {
        Some(attribute) => attribute.f.map(f64::from),
        None => match node.input(2) {
            Some(value) => graph.scalar(value),
            None => return true,
        },
    };
    // the largest f16, and what exporters write for "none"
    bound.is_some_and(|bound| bound >= 65504.0)
}

/// The value that `node` hands on, the constant it multiplies it by, and whether it adds one.
fn pass(graph: &Graph<'_>, node: &Node<'_>) -> Option<(Value, f64, bool)> {
    let scalar = |index| node.input(index).and_then(|value| graph.scalar(value));
    // the operand that is not the constant, and the constant
    let split = |left, right| match (scalar(left), scalar(right)) {
        (_, Some(constant)) => Some((node.input(left)?, constant)),
        (Some(constant), _) => Some((node.input(right)?, constant)),
        _ => None,
    };
    match node.op() {
        "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Transpose" | "Resize" | "Upsample"
        | "Cast" | "CastLike" | "Identity" | "Slice" | "Gather" | "Split" | "Expand"
        | "Dropout" | "QuantizeLinear" | "DequantizeLinear" | "DepthToSpace" | "Clip" | "Pad"
        | "ReorderOutput" => Some((node.input(0)?, 1.0, false)),
        "Mul" => split(0, 1).map(|(value, constant)| (value, constant, false)),
        "Add" | "Sub" => split(0, 1).map(|(value, constant)| (value, 1.0, constant != 0.0)),
        "Div" => Some((node.input(0)?, scalar(1)?.recip(), false)),
        "Max" | "Min" if node.inputs.len() == 2 => {
            split(0, 1).map(|(value, _)| (value, 1.0, false))
        }
        // statically quantised: value, scale and zero point of each operand
        "QLinearMul" => {
            let quantised =
                |at: usize| Some((scalar(at)? - scalar(at + 2).unwrap_or(0.0)) * scalar(at + 1)?);
            match (quantised(0), quantised(3)) {
                (_, Some(constant)) => Some((node.input(0)?, constant, false)),
                (Some(constant), _) => Some((node.input(3)?, constant, false)),
                _ => None,
            }
        }
        _ => None,
    }
}
