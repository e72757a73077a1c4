//! Which output is the depth.

use std::cmp::Reverse;

use super::ModelFacts;
use super::activation::OutputActivation;
use super::tensor_info::{Dim, TensorInfo};
use crate::error::Error;
use crate::geometry::Size;

const WANTED: &str = "a depth output of rank 2 to 5 whose sides other than height and width are 1, of float32 or float16";

/// The output that is probably the depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepthOutput {
    /// Its place among the outputs.
    pub index: usize,
    /// All outputs that could be the depth by what is declared, likeliest first: more than one, and a trial run has to
    /// settle it ([`settle_output`]).
    pub candidates: Vec<usize>,
}

/// Finds the depth among the outputs that an inference runtime reports, by their form, then by what ends the graph
/// there, then by name.
///
/// # Errors
/// [`Error::ModelUnsupported`] when no output can be a depth map.
pub fn select_output(facts: &ModelFacts, outputs: &[TensorInfo]) -> Result<DepthOutput, Error> {
    let mut candidates: Vec<_> = (0..outputs.len())
        .filter(|&index| may_be_depth(&outputs[index]))
        .collect();
    // stable: among equals the one that the exporter put first
    candidates.sort_by_key(|&index| {
        (
            Reverse(certainty(&outputs[index])),
            Reverse(likelihood(facts, &outputs[index])),
        )
    });
    match candidates.first() {
        Some(&index) => Ok(DepthOutput { index, candidates }),
        None => Err(unsupported(
            facts,
            outputs.iter().map(TensorInfo::to_string).collect(),
        )),
    }
}

/// Chooses by the shapes that came back from a run on `batch` images of `input`. `shapes` has one for each of
/// [`DepthOutput::candidates`], in that order.
///
/// # Errors
/// [`Error::ModelUnsupported`] when none of them is a depth map.
pub fn settle_output(
    facts: &ModelFacts,
    outputs: &[TensorInfo],
    depth: &DepthOutput,
    shapes: &[Vec<i64>],
    batch: usize,
    input: Size,
) -> Result<(usize, Size), Error> {
    let tried = || {
        depth
            .candidates
            .iter()
            .zip(shapes)
            .filter_map(|(&index, shape)| Some((index, outputs.get(index)?, shape)))
    };
    tried()
        .filter_map(|(index, tensor, shape)| Some((index, tensor, depth_size(shape, batch).ok()?)))
        // a vector is no picture
        .filter(|(_, _, size)| size.width > 1 && size.height > 1)
        .first_max_by_key(|(_, tensor, size)| {
            (alike(*size, input), likelihood(facts, tensor), size.area())
        })
        .map(|(index, _, size)| (index, size))
        .ok_or_else(|| {
            let found = tried().map(|(_, tensor, shape)| {
                format!("`{}` {} {shape:?}", tensor.name, tensor.element)
            });
            unsupported(facts, found.collect())
        })
}

trait FirstMax: Iterator + Sized {
    /// As `max_by_key`, but the first among equals.
    fn first_max_by_key<K: Ord>(self, key: impl Fn(&Self::Item) -> K) -> Option<Self::Item> {
        self.reduce(|best, item| if key(&item) > key(&best) { item } else { best })
    }
}

impl<I: Iterator> FirstMax for I {}

fn unsupported(facts: &ModelFacts, found: Vec<String>) -> Error {
    Error::ModelUnsupported {
        model: facts.label.clone(),
        found: match found.len() {
            0 => "no output".to_owned(),
            1 => format!("the output {}", found[0]),
            _ => format!("the outputs {}", found.join(", ")),
        },
        wanted: WANTED.to_owned(),
    }
}

/// The size of the depth maps in a tensor of shape `dims` that came back from a run on `batch` images: the first side
/// is the batch, those of length 1 fall away.
///
/// # Errors
/// A sentence that says what `dims` lacks.
pub fn depth_size(dims: &[i64], batch: usize) -> Result<Size, String> {
    let wrong = || {
        format!(
            "a tensor of shape {dims:?} does not hold {batch} depth map{}",
            if batch == 1 { "" } else { "s" }
        )
    };
    let mut sides = dims
        .iter()
        .map(|&side| u32::try_from(side).ok().filter(|&side| side > 0))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(wrong)?;
    if batch != 1 {
        if sides.len() < 3 || usize::try_from(sides[0]) != Ok(batch) {
            return Err(wrong());
        }
        sides.remove(0);
    }
    while sides.len() > 2 {
        // the outermost first: the last two are height and width even when they are 1 themselves
        let one = sides.iter().position(|&side| side == 1).ok_or_else(wrong)?;
        sides.remove(one);
    }
    match sides[..] {
        [height, width] if dims.len() <= 5 => Ok(Size::new(width, height)),
        _ => Err(wrong()),
    }
}

/// Whether an output can hold a depth map, by what is declared of it.
fn may_be_depth(output: &TensorInfo) -> bool {
    if !output.element.may_be_depth() {
        return false;
    }
    match output.dims.as_slice() {
        // of unknown rank, as some exporters leave it
        [] => true,
        [_] => false,
        [height, width] => longer_than_one(height) && longer_than_one(width),
        // the first is the batch, and two are height and width
        [_, rest @ ..] if rest.len() <= 4 => {
            let long = rest
                .iter()
                .filter(|dim| dim.fixed().is_some_and(|length| length > 1))
                .count();
            let surely_one = rest.iter().filter(|dim| dim.fixed() == Some(1)).count();
            long <= 2 && rest.len() - surely_one >= 2
        }
        _ => false,
    }
}

fn longer_than_one(dim: &Dim) -> bool {
    dim.fixed().is_none_or(|length| length > 1)
}

/// How sure the declared form makes it: 2 when only height and width can be longer than 1, 1 when a trial is needed,
/// 0 for what is far too small for a picture (poses, intrinsics).
fn certainty(output: &TensorInfo) -> u8 {
    let open = output
        .dims
        .iter()
        .skip(1)
        .filter(|dim| longer_than_one(dim))
        .count();
    let tiny = output
        .dims
        .iter()
        .skip(1)
        .any(|dim| dim.fixed().is_some_and(|length| (2..8).contains(&length)));
    match (tiny, open) {
        (true, _) => 0,
        (false, 2) => 2,
        _ => 1,
    }
}

/// What speaks for an output among others of the same form: what ends the graph there, then its name.
fn likelihood(facts: &ModelFacts, output: &TensorInfo) -> (u8, i8) {
    let activation = match facts.activation_of(&output.name) {
        Some(
            OutputActivation::Relu | OutputActivation::ScaledSigmoid { .. } | OutputActivation::Exp,
        ) => 2,
        Some(OutputActivation::Probability) => 0,
        Some(OutputActivation::Other(_)) | None => 1,
    };
    (activation, name_hint(&output.name))
}

fn name_hint(name: &str) -> i8 {
    let name = name.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if says(&["conf", "sky", "mask", "uncert", "normal", "sigma", "prob"]) {
        -1
    } else {
        i8::from(says(&["depth", "disp"]))
    }
}

/// Whether a map has about the proportions of the image.
fn alike(map: Size, image: Size) -> bool {
    let across = f64::from(map.width) * f64::from(image.height);
    let down = f64::from(map.height) * f64::from(image.width);
    (across / down).ln().abs() < 0.25
}

#[cfg(test)]
mod tests {
    use super::super::{DepthKind, ElementType, Finding, OutputFacts};
    use super::*;

    fn facts(outputs: &[(&str, &[i64], OutputActivation)]) -> (ModelFacts, Vec<TensorInfo>) {
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(name, dims, activation)| OutputFacts {
                tensor: TensorInfo::new(
                    *name,
                    ElementType::F32,
                    dims.iter().map(|&length| Dim::new(length, "")).collect(),
                ),
                activation: activation.clone(),
                depth: Finding::guessed(DepthKind::Relative, String::new()),
            })
            .collect();
        let tensors = outputs.iter().map(|output| output.tensor.clone()).collect();
        let facts = ModelFacts {
            name: "test".to_owned(),
            label: "test.onnx".to_owned(),
            kind: DepthKind::Relative,
            patch: 14,
            has_patch_embedding: true,
            channels: Some(3),
            producer: String::new(),
            ir_version: 8,
            opsets: Vec::new(),
            contrib_operators: Default::default(),
            quantized: false,
            half_precision: false,
            external_data: Vec::new(),
            inputs: Vec::new(),
            treatments: Vec::new(),
            declared_normalization: None,
            outputs,
        };
        (facts, tensors)
    }

    #[track_caller]
    fn check(outputs: &[(&str, &[i64], OutputActivation)], candidates: &[usize]) {
        let (facts, tensors) = facts(outputs);
        let found = select_output(&facts, &tensors).map_or(Vec::new(), |depth| depth.candidates);
        assert_eq!(found, candidates);
    }

    #[test]
    fn form_goes_first_then_ending_then_name() {
        let other = || OutputActivation::Other("Conv".to_owned());
        check(
            &[
                ("depth", &[1, 64, 37, 37], OutputActivation::Relu),
                ("a", &[1, 1, -1, -1], other()),
            ],
            &[1],
        );
        check(
            &[
                ("depth", &[-1, -1, -1, -1], OutputActivation::Relu),
                ("a", &[1, 1, -1, -1], other()),
            ],
            &[1, 0],
        );
        check(
            &[
                ("depth", &[1, -1, -1], OutputActivation::Probability),
                ("a", &[1, -1, -1], other()),
            ],
            &[1, 0],
        );
        check(
            &[
                ("a", &[1, -1, -1], other()),
                ("depth", &[1, -1, -1], other()),
            ],
            &[1, 0],
        );
        check(
            &[
                ("depth_conf", &[1, -1, -1], other()),
                ("a", &[1, -1, -1], other()),
            ],
            &[1, 0],
        );
        check(
            &[("b", &[1, -1, -1], other()), ("a", &[1, -1, -1], other())],
            &[0, 1],
        );
        check(
            &[
                ("pose", &[1, 1, 3, 4], other()),
                ("a", &[-1, -1, -1], other()),
            ],
            &[1, 0],
        );
        check(
            &[
                ("class", &[1, 1000], other()),
                ("points", &[1, 3, 518, 518], other()),
            ],
            &[],
        );
        check(&[], &[]);
    }

    #[test]
    fn of_several_scales_the_largest_is_taken() {
        let map = |name| (name, &[1_i64, 1, -1, -1][..], OutputActivation::Relu);
        let (facts, tensors) = facts(&[map("disp_3"), map("disp_0"), map("disp_1")]);
        let depth = select_output(&facts, &tensors).unwrap();
        let shapes = [vec![1, 1, 7, 14], vec![1, 1, 56, 112], vec![1, 1, 28, 56]];
        let settled = settle_output(&facts, &tensors, &depth, &shapes, 1, Size::new(112, 56));
        assert_eq!(settled.unwrap(), (1, Size::new(112, 56)));
    }

    #[test]
    fn maps_of_other_proportions_come_last() {
        let map = |name| (name, &[1_i64, -1, -1][..], OutputActivation::Relu);
        let (facts, tensors) = facts(&[map("a"), map("b")]);
        let depth = select_output(&facts, &tensors).unwrap();
        let settled = |shapes: [Vec<i64>; 2]| {
            settle_output(&facts, &tensors, &depth, &shapes, 1, Size::new(112, 56))
        };
        let tokens = vec![1, 257, 384];
        assert_eq!(
            settled([tokens.clone(), vec![1, 28, 56]]).unwrap(),
            (1, Size::new(56, 28))
        );
        // where it is all there is
        assert_eq!(settled([tokens, vec![1, 5]]).unwrap().0, 0);
    }

    #[test]
    fn size_of_depth() {
        let size = |dims: &[i64], batch| depth_size(dims, batch).ok();
        let expected = Some(Size::new(70, 42));
        for dims in [
            &[42, 70][..],
            &[1, 42, 70],
            &[1, 1, 42, 70],
            &[1, 1, 1, 42, 70],
            &[1, 42, 70, 1],
            &[42, 70, 1],
        ] {
            assert_eq!(size(dims, 1), expected, "{dims:?}");
        }
        for dims in [
            &[2, 42, 70][..],
            &[2, 1, 42, 70],
            &[2, 42, 70, 1],
            &[2, 1, 1, 42, 70],
        ] {
            assert_eq!(size(dims, 2), expected, "{dims:?}");
            assert_eq!(size(dims, 3), None, "{dims:?}");
        }
        assert_eq!(size(&[1, 1, 1, 1], 1), Some(Size::new(1, 1)));
        assert_eq!(size(&[1, 1, 1, 70], 1), Some(Size::new(70, 1)));
        for dims in [
            &[][..],
            &[70],
            &[1, 3, 42, 70],
            &[1, 1, 1, 1, 42, 70],
            &[1, 0, 70],
            &[1, -1, 70],
            &[42, 70, 3],
        ] {
            assert_eq!(size(dims, 1), None, "{dims:?}");
        }
        assert_eq!(size(&[42, 70], 2), None);
    }
}
