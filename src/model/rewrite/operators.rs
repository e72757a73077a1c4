//! Which operators compute in half precision, and what they make.

use super::scope::{attribute, op};
use crate::model::proto::NodeProto;
use crate::model::proto::tensor_proto::DataType;

/// Where an operator computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In f16: where the time goes.
    Half,
    /// In f32: overflows, or sums up what f16 has no digits for.
    Single,
    /// In what its inputs are.
    Follows,
}

/// What an operator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Result {
    /// A tensor of f32.
    Single,
    /// Anything else.
    Other,
}

pub(super) fn place(op: &str) -> Place {
    match op {
        "Conv" | "ConvTranspose" | "Gemm" | "MatMul" | "FusedMatMul" | "MultiHeadAttention"
        | "Attention" | "Einsum" => Place::Half,
        "LayerNormalization"
        | "SimplifiedLayerNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "BatchNormalization"
        | "Softmax"
        | "LogSoftmax"
        | "Sigmoid"
        | "Softplus"
        | "Pow"
        | "Sqrt"
        | "Exp"
        | "Log"
        | "Reciprocal"
        | "Sin"
        | "Cos"
        | "CumSum"
        | "Range"
        | "Resize"
        | "Upsample"
        | "GridSample"
        | "ConstantOfShape"
        | "Cast"
        | "CastLike"
        | "Dropout" => Place::Single,
        op if op.starts_with("Reduce") => Place::Single,
        _ => Place::Follows,
    }
}

/// What `node` makes, where `is_single` knows which values are tensors of f32. `None`: the operator is not known.
pub(super) fn result(node: &NodeProto, is_single: impl Fn(&String) -> bool) -> Option<Result> {
    let of = |single| {
        if single {
            Result::Single
        } else {
            Result::Other
        }
    };
    let input = |index: usize| of(node.input.get(index).is_some_and(&is_single));
    Some(match op(node) {
        "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "Equal" | "Greater"
        | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Not" | "IsNaN" | "IsInf" => {
            Result::Other
        }
        "Cast" => of(attribute(node, "to")?.i() == DataType::Float as i64),
        "CastLike" => input(1),
        "ConstantOfShape" => {
            let value = attribute(node, "value").and_then(|attribute| attribute.t.as_ref());
            of(value.is_none_or(|tensor| tensor.data_type() == DataType::Float as i32))
        }
        "Where" => input(1),
        "Abs"
        | "Add"
        | "Attention"
        | "AveragePool"
        | "BatchNormalization"
        | "Ceil"
        | "Clip"
        | "Concat"
        | "Conv"
        | "ConvTranspose"
        | "Cos"
        | "CumSum"
        | "DepthToSpace"
        | "Div"
        | "Dropout"
        | "Einsum"
        | "Elu"
        | "Erf"
        | "Exp"
        | "Expand"
        | "Flatten"
        | "Floor"
        | "FusedMatMul"
        | "Gather"
        | "GatherElements"
        | "Gelu"
        | "Gemm"
        | "GlobalAveragePool"
        | "GridSample"
        | "GroupNormalization"
        | "HardSigmoid"
        | "HardSwish"
        | "Identity"
        | "InstanceNormalization"
        | "LayerNormalization"
        | "LeakyRelu"
        | "Log"
        | "LogSoftmax"
        | "MatMul"
        | "Max"
        | "MaxPool"
        | "Min"
        | "Mul"
        | "MultiHeadAttention"
        | "Neg"
        | "Pad"
        | "Pow"
        | "Range"
        | "Reciprocal"
        | "ReduceL2"
        | "ReduceMax"
        | "ReduceMean"
        | "ReduceMin"
        | "ReduceProd"
        | "ReduceSum"
        | "Relu"
        | "Reshape"
        | "Resize"
        | "Round"
        | "Sigmoid"
        | "SimplifiedLayerNormalization"
        | "Sin"
        | "Slice"
        | "Softmax"
        | "Softplus"
        | "SpaceToDepth"
        | "Split"
        | "Sqrt"
        | "Squeeze"
        | "Sub"
        | "Sum"
        | "Tanh"
        | "Tile"
        | "Transpose"
        | "Unsqueeze"
        | "Upsample" => input(0),
        _ => return None,
    })
}
