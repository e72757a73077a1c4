//! Finds tables that are resized bicubically, as position embeddings are for each size of the input.
//!
//! ONNX Runtime's CPU provider computes a bicubic Resize point by point, on one core: at 252² a fifth of the time of
//! Depth Anything V2 Small goes there. It is the product of one matrix for each of the two sides, though, and those
//! are what comes of resizing an identity matrix by the same rule.

use super::emit::{Edit, int, node, with};
use super::names::Names;
use super::scope::{Scope, attribute, op};
use crate::model::proto::NodeProto;
use crate::model::proto::attribute_proto::AttributeType;
use crate::model::proto::tensor_proto::DataType;
use crate::model::proto::{AttributeProto, TensorProto};

/// The oldest operator set with a bicubic Resize.
const OLDEST_OPSET: i64 = 11;
/// Tables are followed to their weights through chains no longer than this.
const MAX_CHAIN: u32 = 16;

/// Plans two matrix products for each such Resize in `scope`, and counts them. `inputs`: names that are given from
/// outside.
pub(super) fn separate(scope: &Scope<'_>, inputs: &[String]) -> (Edit, usize) {
    let mut edit = Edit::default();
    let mut names = Names::new(scope, inputs, "separated_resize");
    let mut count = 0;
    for (index, node) in scope.nodes.iter().enumerate() {
        if let Some(resize) = Resize::of(scope, node) {
            edit.insert(index, resize.separated(&mut names));
            edit.remove([index]);
            count += 1;
        }
    }
    (edit, count)
}

/// A Resize that can be separated.
struct Resize<'a> {
    node: &'a NodeProto,
    table: &'a str,
    /// What the table is to become, one number for each axis.
    sizes: &'a str,
    output: &'a str,
}

impl<'a> Resize<'a> {
    fn of(scope: &Scope<'a>, node: &'a NodeProto) -> Option<Self> {
        if op(node) != "Resize" || scope.opset < OLDEST_OPSET || !is_separable(node) {
            return None;
        }
        let given = |index: usize| {
            let name = node.input.get(index)?.as_str();
            (!name.is_empty()).then_some(name)
        };
        let table = given(0)?;
        if !is_table(scope, table) {
            return None;
        }
        Some(Self {
            node,
            table,
            // not by scales: by one a little over 1 a side keeps its length and its points move, which ONNX Runtime
            // does only if the other side's length changes, and never to an identity
            sizes: given(3)?,
            output: node.output.first()?,
        })
    }

    /// […, h, w] → [H, h] · ([…, h, w] · [w, W])
    fn separated(&self, names: &mut Names<'_>) -> Vec<NodeProto> {
        let [shape, product] = ["shape", "product"].map(|what| names.give(what));
        let mut nodes = vec![node("Shape", &[self.table], &shape)];
        let right = self.matrix(names, &mut nodes, &shape, Side::Width);
        let left = self.matrix(names, &mut nodes, &shape, Side::Height);
        nodes.extend([
            node("MatMul", &[self.table, &right], &product),
            node("MatMul", &[&left, &product], self.output),
        ]);
        nodes
    }

    /// The matrix of one side: the identity, resized along it.
    fn matrix(
        &self,
        names: &mut Names<'_>,
        nodes: &mut Vec<NodeProto>,
        shape: &str,
        side: Side,
    ) -> String {
        let [axis, length, square, zeros, identity] =
            ["axis", "length", "square", "zeros", "identity"].map(|what| names.give(what));
        let [wanted, target, matrix] = ["wanted", "target", "matrix"].map(|what| names.give(what));
        let axis_number = match side {
            Side::Width => -1,
            Side::Height => -2,
        };
        nodes.extend([
            constant(&axis, ints(&[axis_number])),
            gather(shape, &axis, &length),
            with(node("Concat", &[&length, &length], &square), int("axis", 0)),
            node("ConstantOfShape", &[&square], &zeros),
            node("EyeLike", &[&zeros], &identity),
        ]);
        let both = match side {
            Side::Width => [length.as_str(), wanted.as_str()],
            Side::Height => [wanted.as_str(), length.as_str()],
        };
        nodes.extend([
            gather(self.sizes, &axis, &wanted),
            with(node("Concat", &both, &target), int("axis", 0)),
        ]);
        let mut resize = self.node.clone();
        resize.name = Some(format!("{matrix}/Resize"));
        resize.output = vec![matrix.clone()];
        identity.clone_into(&mut resize.input[0]);
        resize.input[3] = target;
        nodes.push(resize);
        matrix
    }
}

#[derive(Clone, Copy)]
enum Side {
    Width,
    Height,
}

/// Whether a Resize is bicubic, goes over the last two axes and leaves alone what keeps its length.
fn is_separable(node: &NodeProto) -> bool {
    let text = |name: &str| attribute(node, name).map(|attribute| attribute.s());
    let flag = |name: &str| attribute(node, name).is_some_and(|attribute| attribute.i() != 0);
    let positions = text("coordinate_transformation_mode");
    text("mode") == Some(b"cubic")
        // an unchanged side has to stay as it is: in the other modes its points move
        && matches!(
            positions,
            None | Some(
                b"half_pixel"
                    | b"half_pixel_symmetric"
                    | b"pytorch_half_pixel"
                    | b"align_corners"
                    | b"asymmetric"
            )
        )
        && matches!(text("keep_aspect_ratio_policy"), None | Some(b"stretch"))
        && attribute(node, "axes").is_none()
        && !flag("antialias")
}

/// Whether `value` is made of f32 weights by nothing but changes of form: small, and not of the picture.
fn is_table<'a>(scope: &Scope<'a>, mut value: &'a str) -> bool {
    let mut is_single = false;
    for _ in 0..MAX_CHAIN {
        if let Some(kind) = scope.initializer_type(value) {
            return is_single || kind == DataType::Float;
        }
        let Some(node) = scope.producer(value).map(|index| &scope.nodes[index]) else {
            return false;
        };
        match op(node) {
            "Constant" => {
                let tensor = attribute(node, "value").and_then(|value| value.t.as_ref());
                return tensor.is_some_and(|tensor| {
                    is_single || tensor.data_type() == DataType::Float as i32
                });
            }
            "Cast" => {
                // the last one counts
                if !is_single
                    && attribute(node, "to").is_none_or(|to| to.i() != DataType::Float as i64)
                {
                    return false;
                }
                is_single = true;
            }
            "Gather" | "Identity" | "Reshape" | "Slice" | "Split" | "Squeeze" | "Transpose"
            | "Unsqueeze" => {}
            _ => return false,
        }
        let Some(source) = node.input.first() else {
            return false;
        };
        value = source;
    }
    false
}

fn gather(list: &str, index: &str, output: &str) -> NodeProto {
    with(node("Gather", &[list, index], output), int("axis", 0))
}

fn constant(name: &str, value: TensorProto) -> NodeProto {
    let value = AttributeProto {
        name: Some("value".to_owned()),
        r#type: Some(AttributeType::Tensor as i32),
        t: Some(value),
        ..AttributeProto::default()
    };
    with(node("Constant", &[], name), value)
}

/// A list of integers.
fn ints(values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: Some(DataType::Int64 as i32),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}
