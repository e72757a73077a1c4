//! Which values the network wants its image in, read from the graph: from the image forwards as long as all that
//! happens to it is a scale and a shift of each channel.
//!
//! A network that takes the mean off by itself tells its range by that mean: it lies near the middle of 0…1, or of
//! 0…255. So do a division by 255, clamps, and what the integers of a quantised input stand for. A graph that does
//! nothing of the kind tells nothing.

use std::collections::HashMap;

use super::graph::{Graph, Node, Value};
use super::proto::tensor_proto::DataType;
use super::{ElementType, Finding, InputNormalization};

/// Channels of the image.
const CHANNELS: usize = 3;
/// Nodes that the image may go through. Preprocessing takes a dozen; this stops a crafted file.
const MAX_NODES: usize = 2048;
/// Constants of so many elements are looked at: a 1×1 convolution from three channels to three has nine.
const MAX_CONSTANT: usize = 16;
/// Where the network puts zero, as a share of the image's range, when it takes a mean off: ImageNet's means are 0.41 to
/// 0.49, others 0.5, and black bodies or bright skies hardly change that.
const MEANS: std::ops::RangeInclusive<f64> = 0.2..=0.8;

impl InputNormalization {
    /// For each channel R, G, B in 0…1: what is taken off, and what it is then divided by.
    pub const fn mean_and_deviation(self) -> ([f64; 3], [f64; 3]) {
        match self {
            Self::Imagenet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Self::Unit => ([0.0; 3], [1.0; 3]),
            Self::Byte => ([0.0; 3], [1.0 / 255.0; 3]),
        }
    }

    /// The standard deviation of natural pictures, in such values.
    pub fn picture_deviation(self) -> f32 {
        let mean = |normalization: Self| normalization.mean_and_deviation().1.iter().sum::<f64>();
        (mean(Self::Imagenet) / mean(self)) as f32
    }

    /// That of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Imagenet, Self::Unit, Self::Byte];
        all.into_iter().find(|it| it.name() == name)
    }

    /// Its name as the property spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imagenet => "imagenet",
            Self::Unit => "unit",
            Self::Byte => "byte",
        }
    }
}

/// Integers that stand for other numbers: `(integer − zero) · scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantization {
    /// What a step of the integer is worth.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero: f64,
}

/// What the graph tells of an input that may be the image.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Treatment {
    /// The values that it wants; `None`: it does not tell.
    pub normalization: Option<Finding<InputNormalization>>,
    /// Of an input of integers: what they stand for, where that is more than the image's own bytes.
    pub quantization: Option<Quantization>,
    /// Whether the graph itself brings channels from last to first (true) or from first to last (false).
    pub channels_last: Option<bool>,
}

/// Follows `image`, an input of `element`, forwards.
pub(super) fn treatment(graph: &Graph<'_>, image: Value, element: &ElementType) -> Treatment {
    let mut walk = Walk {
        graph,
        values: HashMap::from([(image, Affine::IDENTITY)]),
        found: Treatment::default(),
    };
    let mut visited = 0;
    if !graph.spend(graph.nodes.len()) {
        return Treatment::default();
    }
    for node in &graph.nodes {
        if visited == MAX_NODES {
            break;
        }
        visited += usize::from(walk.visit(node));
    }
    let mut found = walk.found;
    if *element == ElementType::U8 {
        found.quantization = quantization_of(graph, image).filter(|_| {
            let wanted = found.normalization.as_ref().map(|found| found.value);
            wanted == Some(InputNormalization::Imagenet)
        });
    }
    found
}

/// What an input of integers is dequantised by, if that is the first thing that happens to it.
fn quantization_of(graph: &Graph<'_>, image: Value) -> Option<Quantization> {
    let node = graph
        .nodes
        .iter()
        .find(|node| node.inputs.contains(&Some(image)))
        .filter(|node| node.op() == "DequantizeLinear")?;
    let number = |index| graph.scalar(node.input(index)?);
    Some(Quantization {
        scale: number(1)?,
        zero: number(2).unwrap_or(0.0),
    })
}

/// For each channel: `factor · image + shift`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    factor: [f64; CHANNELS],
    shift: [f64; CHANNELS],
}

impl Affine {
    const IDENTITY: Self = Self {
        factor: [1.0; CHANNELS],
        shift: [0.0; CHANNELS],
    };

    fn times(mut self, by: [f64; CHANNELS]) -> Self {
        for (channel, by) in by.into_iter().enumerate() {
            self.factor[channel] *= by;
            self.shift[channel] *= by;
        }
        self
    }

    fn plus(mut self, summand: [f64; CHANNELS]) -> Self {
        for (shift, summand) in self.shift.iter_mut().zip(summand) {
            *shift += summand;
        }
        self
    }

    fn is_identity(&self) -> bool {
        let near = |a: &[f64; CHANNELS], b: f64| a.iter().all(|a| (a - b).abs() < 1e-3);
        near(&self.factor, 1.0) && near(&self.shift, 0.0)
    }

    fn mean(values: [f64; CHANNELS]) -> f64 {
        values.iter().sum::<f64>() / CHANNELS as f64
    }

    /// The value of the image that becomes `value`, on average over the channels.
    fn image_of(&self, value: f64) -> f64 {
        Self::mean(std::array::from_fn(|c| {
            (value - self.shift[c]) / self.factor[c]
        }))
    }

    /// What the image must be for this to be a sensible preparation of it.
    fn judge(&self) -> Option<Finding<InputNormalization>> {
        use InputNormalization::{Byte, Imagenet, Unit};
        let sound = self.factor.iter().all(|f| f.is_finite() && f.abs() > 1e-9);
        if self.is_identity() || !sound || self.shift.iter().any(|s| !s.is_finite()) {
            return None;
        }
        let factor = Self::mean(self.factor.map(f64::abs));
        let zero = self.image_of(0.0);
        let shifted = Self::mean(self.shift.map(f64::abs)) > 1e-6 * (1.0 + factor);
        let found = |value, reason| Some(Finding::certain(value, reason));
        if !shifted {
            return match factor.recip() {
                100.0..=300.0 => found(
                    Byte,
                    format!("its graph divides the image by {:.0}", factor.recip()),
                ),
                0.003..=0.01 => found(
                    Unit,
                    format!("its graph multiplies the image by {factor:.0}"),
                ),
                _ => None,
            };
        }
        if MEANS.contains(&zero) {
            return found(
                Unit,
                format!("its graph takes a mean of {zero:.2} off the image itself"),
            );
        }
        if MEANS.contains(&(zero / 255.0)) {
            return found(
                Byte,
                format!("its graph takes a mean of {zero:.0} off the image itself"),
            );
        }
        // mean and deviation are put back: zero is −mean ÷ deviation
        if (-2.7..=-1.4).contains(&zero) && (0.15..=80.0).contains(&factor) {
            return found(
                Imagenet,
                "its graph puts ImageNet's mean and deviation back".to_owned(),
            );
        }
        None
    }

    /// What the image must be for its values to fill `low` to `high` here.
    fn judge_range(&self, low: f64, high: f64, how: &str) -> Option<Finding<InputNormalization>> {
        let (low, high) = (self.image_of(low), self.image_of(high));
        let (low, high) = (low.min(high), low.max(high));
        let value = if (-0.1..=0.1).contains(&low) && (0.9..=1.1).contains(&high) {
            InputNormalization::Unit
        } else if (-20.0..=20.0).contains(&low) && (230.0..=280.0).contains(&high) {
            InputNormalization::Byte
        } else if (-4.0..=-1.5).contains(&low) && (1.5..=4.0).contains(&high) {
            InputNormalization::Imagenet
        } else {
            return None;
        };
        let reason = format!("its graph {how} the image to {low:.1}…{high:.1}");
        Some(Finding::certain(value, reason))
    }
}

struct Walk<'a, 'g> {
    graph: &'a Graph<'g>,
    /// What is a scale and shift of the image.
    values: HashMap<Value, Affine>,
    found: Treatment,
}

impl Walk<'_, '_> {
    /// Takes a step; false when the node has nothing to do with the image.
    fn visit(&mut self, node: &Node<'_>) -> bool {
        let touches = |value: &Value| self.values.contains_key(value);
        if !node.inputs.iter().flatten().any(touches)
            && !node.branches.iter().flatten().any(touches)
        {
            return false;
        }
        match self.next(node) {
            Step::On(affine) => {
                for &output in &node.outputs {
                    self.values.insert(output, affine);
                }
            }
            Step::End(affine) => self.note(affine.judge()),
            Step::Aside => {}
        }
        true
    }

    /// The first that is found counts.
    fn note(&mut self, found: Option<Finding<InputNormalization>>) {
        if self.found.normalization.is_none() {
            self.found.normalization = found;
        }
    }

    fn of(&self, value: Option<Value>) -> Option<Affine> {
        self.values.get(&value?).copied()
    }

    fn first(&self, node: &Node<'_>) -> Option<Affine> {
        node.inputs.iter().find_map(|&value| self.of(value))
    }

    fn next(&mut self, node: &Node<'_>) -> Step {
        let Some(affine) = self.first(node) else {
            return self.branches(node);
        };
        let end = Step::End(affine);
        match node.op() {
            "Shape" | "Size" | "NonZero" | "IsNaN" | "IsInf" => Step::Aside,
            "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Equal" | "ReduceMax"
            | "ReduceMin" | "ReduceMean" => Step::Aside,
            "Transpose" => {
                let last = match *node.ints("perm") {
                    [0, 3, 1, 2] | [0, 1, 4, 2, 3] => Some(true),
                    [0, 2, 3, 1] | [0, 1, 3, 4, 2] => Some(false),
                    _ => None,
                };
                self.found.channels_last = self.found.channels_last.or(last);
                Step::On(affine)
            }
            "Cast" | "CastLike" | "Identity" | "Dropout" | "Reshape" | "Squeeze" | "Unsqueeze"
            | "Flatten" | "Resize" | "Upsample" | "Slice" | "Gather" | "GatherND" | "Pad"
            | "Expand" | "Tile" | "Split" | "Crop" | "CenterCropPad" | "SpaceToDepth"
            | "DepthToSpace" | "AveragePool" | "MaxPool" | "ReorderInput" => Step::On(affine),
            "Concat" => Step::On(self.concat(node)),
            "Where" => self
                .either([node.input(1), node.input(2)])
                .map_or(end, Step::On),
            "Clip" | "Min" | "Max" => {
                self.clamp(node, affine);
                Step::On(affine)
            }
            "Neg" => Step::On(affine.times([-1.0; CHANNELS])),
            "Add" | "Sub" | "Mul" | "Div" => self.arithmetic(node).map_or(end, Step::On),
            "QuantizeLinear" | "DequantizeLinear" => {
                self.quantised(node, affine).map_or(end, Step::On)
            }
            "BatchNormalization" => self.batch_normalised(node).map_or(end, Step::On),
            "Conv" | "MatMul" => self.channel_wise(node).map_or(end, Step::On),
            // value, scale, zero point
            "QLinearConv" | "QLinearMatMul" => match self.dequantised(node, affine) {
                Some(affine) => Step::End(affine),
                None => end,
            },
            _ => end,
        }
    }

    /// Of a conditional: what one of its branches gives, first of all one that does something.
    fn branches(&self, node: &Node<'_>) -> Step {
        let mut given = node
            .branches
            .iter()
            .flatten()
            .filter_map(|&value| self.of(Some(value)));
        let first = given.next();
        let other = first.into_iter().chain(given).find(|a| !a.is_identity());
        other.or(first).map_or(Step::Aside, Step::On)
    }

    fn either(&self, values: [Option<Value>; 2]) -> Option<Affine> {
        let given = values.map(|value| self.of(value));
        let mut given = given.into_iter().flatten();
        let first = given.next();
        let other = first.into_iter().chain(given).find(|a| !a.is_identity());
        other.or(first)
    }

    /// Channels that went their own ways, each with the scale and shift of its place.
    fn concat(&self, node: &Node<'_>) -> Affine {
        let parts: Vec<_> = node.inputs.iter().map(|&value| self.of(value)).collect();
        match parts[..] {
            [Some(red), Some(green), Some(blue)] => Affine {
                factor: [red.factor[0], green.factor[1], blue.factor[2]],
                shift: [red.shift[0], green.shift[1], blue.shift[2]],
            },
            _ => parts
                .into_iter()
                .flatten()
                .next()
                .unwrap_or(Affine::IDENTITY),
        }
    }

    /// A constant of one number, or of one for each channel.
    fn channels(&self, value: Option<Value>) -> Option<[f64; CHANNELS]> {
        match *self.graph.numbers(value?, MAX_CONSTANT)? {
            [number] => Some([number; CHANNELS]),
            [red, green, blue] => Some([red, green, blue]),
            _ => None,
        }
    }

    fn arithmetic(&self, node: &Node<'_>) -> Option<Affine> {
        let (left, right) = (node.input(0), node.input(1));
        let (affine, constant, image_first) = match (self.of(left), self.of(right)) {
            (Some(affine), None) => (affine, self.channels(right)?, true),
            (None, Some(affine)) => (affine, self.channels(left)?, false),
            _ => return None,
        };
        Some(match (node.op(), image_first) {
            ("Add", _) => affine.plus(constant),
            ("Sub", true) => affine.plus(constant.map(|c| -c)),
            ("Sub", false) => affine.times([-1.0; CHANNELS]).plus(constant),
            ("Mul", _) => affine.times(constant),
            ("Div", true) => affine.times(constant.map(f64::recip)),
            _ => return None,
        })
    }

    /// What it is clamped to tells the range as well.
    fn clamp(&mut self, node: &Node<'_>, affine: Affine) {
        let bound = |name: &str, index| {
            let attribute = node.attribute(name).and_then(|a| a.f).map(f64::from);
            attribute.or_else(|| self.graph.scalar(node.input(index)?))
        };
        if node.op() == "Clip"
            && let (Some(low), Some(high)) = (bound("min", 1), bound("max", 2))
        {
            self.note(affine.judge_range(low, high, "clamps"));
        }
    }

    fn quantised(&mut self, node: &Node<'_>, affine: Affine) -> Option<Affine> {
        let scale = self.channels(node.input(1))?;
        let zero = match node.input(2) {
            Some(value) => self.channels(Some(value))?,
            None => [0.0; CHANNELS],
        };
        let kind = node
            .input(2)
            .and_then(|value| self.graph.constant_type(value));
        let (least, most) = match kind {
            None | Some(DataType::Uint8) => (0.0, 255.0),
            Some(DataType::Int8) => (-128.0, 127.0),
            Some(DataType::Uint16) => (0.0, 65535.0),
            _ => (f64::NAN, f64::NAN),
        };
        let value = |integer: f64| (integer - zero[0]) * scale[0];
        if node.op() == "QuantizeLinear" {
            self.note(affine.judge_range(value(least), value(most), "quantises"));
            return Some(affine.times(scale.map(f64::recip)).plus(zero));
        }
        let real = affine.plus(zero.map(|z| -z)).times(scale);
        if affine.is_identity() {
            // the image comes in integers: what do they stand for?
            self.note(
                Affine::IDENTITY
                    .judge_range(value(least), value(most), "dequantises")
                    .filter(|found| found.value == InputNormalization::Imagenet),
            );
        }
        Some(real)
    }

    /// The value that a quantised product sees.
    fn dequantised(&self, node: &Node<'_>, affine: Affine) -> Option<Affine> {
        let scale = self.channels(node.input(1))?;
        let zero = self.channels(node.input(2))?;
        Some(affine.plus(zero.map(|z| -z)).times(scale))
    }

    fn batch_normalised(&self, node: &Node<'_>) -> Option<Affine> {
        let affine = self.of(node.input(0))?;
        let [scale, bias, mean, variance] = [1, 2, 3, 4].map(|i| self.channels(node.input(i)));
        let epsilon = node.attribute("epsilon").and_then(|a| a.f).unwrap_or(1e-5);
        let deviation = variance?.map(|variance| (variance + f64::from(epsilon)).sqrt());
        Some(
            affine
                .plus(mean?.map(|mean| -mean))
                .times(deviation.map(f64::recip))
                .times(scale?)
                .plus(bias?),
        )
    }

    /// A 1×1 convolution, or a product of the last side, that takes each channel from one other.
    fn channel_wise(&self, node: &Node<'_>) -> Option<Affine> {
        let affine = self.of(node.input(0))?;
        let weight = node.input(1)?;
        let dims = &self.graph.constant(weight)?.dims;
        let weights = self.graph.numbers(weight, MAX_CONSTANT)?;
        let (depthwise, transposed) = match (node.op(), &dims[..]) {
            ("Conv", [3, 3, rest @ ..]) if rest.iter().all(|&side| side == 1) => (false, false),
            ("Conv", [3, 1, rest @ ..]) if rest.iter().all(|&side| side == 1) => (true, false),
            ("MatMul", [3, 3]) => (false, true),
            _ => return None,
        };
        let mut result = Affine {
            factor: [0.0; CHANNELS],
            shift: [0.0; CHANNELS],
        };
        for out in 0..CHANNELS {
            let (from, weight) = if depthwise {
                (out, *weights.get(out)?)
            } else {
                let at = |from: usize| {
                    let place = if transposed {
                        from * CHANNELS + out
                    } else {
                        out * CHANNELS + from
                    };
                    weights.get(place).copied()
                };
                let mut taken = (0..CHANNELS).filter(|&from| at(from).is_some_and(|w| w != 0.0));
                let from = taken.next()?;
                // a mixture of channels is the network's own doing
                if taken.next().is_some() {
                    return None;
                }
                (from, at(from)?)
            };
            result.factor[out] = affine.factor[from] * weight;
            result.shift[out] = affine.shift[from] * weight;
        }
        match node.input(2) {
            Some(bias) if node.op() == "Conv" => Some(result.plus(self.channels(Some(bias))?)),
            _ => Some(result),
        }
    }
}

/// What becomes of the image in a node.
enum Step {
    /// It is still the image, so scaled and shifted.
    On(Affine),
    /// The network proper begins, and sees the image so.
    End(Affine),
    /// The image is only looked at.
    Aside,
}

#[cfg(test)]
mod tests {
    use super::*;
    use InputNormalization::{Byte, Imagenet, Unit};

    const MEAN: [f64; 3] = Imagenet.mean_and_deviation().0;
    const DEVIATION: [f64; 3] = Imagenet.mean_and_deviation().1;

    fn judged(affine: Affine) -> Option<InputNormalization> {
        affine.judge().map(|found| found.value)
    }

    #[test]
    fn a_mean_tells_the_range() {
        let start = Affine::IDENTITY;
        let minus = |values: [f64; 3]| values.map(|value| -value);
        let normalised = |affine: Affine| affine.plus(minus(MEAN)).times(DEVIATION.map(f64::recip));
        assert_eq!(judged(normalised(start)), Some(Unit));
        let unit = start.times([1.0 / 255.0; 3]);
        assert_eq!(judged(unit), Some(Byte));
        assert_eq!(judged(normalised(unit)), Some(Byte));
        // folded into one factor and one summand
        let folded = Affine {
            factor: DEVIATION.map(|d| 1.0 / (255.0 * d)),
            shift: std::array::from_fn(|c| -MEAN[c] / DEVIATION[c]),
        };
        assert_eq!(judged(folded), Some(Byte));
        assert_eq!(
            judged(start.times([1.0 / 127.5; 3]).plus([-1.0; 3])),
            Some(Byte)
        );
        assert_eq!(judged(start.times([2.0; 3]).plus([-1.0; 3])), Some(Unit));
        assert_eq!(judged(start.plus([-123.68, -116.78, -103.94])), Some(Byte));
        assert_eq!(judged(start.times([255.0; 3])), Some(Unit));
        assert_eq!(judged(start.times(DEVIATION).plus(MEAN)), Some(Imagenet));
    }

    #[test]
    fn what_tells_nothing() {
        let start = Affine::IDENTITY;
        assert_eq!(judged(start), None);
        assert_eq!(judged(start.times([1.7; 3])), None);
        assert_eq!(judged(start.times([0.0; 3])), None);
        assert_eq!(judged(start.plus([f64::NAN; 3])), None);
        assert_eq!(judged(start.plus([4.0; 3])), None);
    }
}
