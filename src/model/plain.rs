//! Whether a model is plain: made of nothing but what exports of Depth Anything and its like are made of.

use std::collections::{HashMap, HashSet};

use super::proto::attribute_proto::AttributeType;
use super::proto::type_proto::Value;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// Operators of such exports in floating point. Models that were written to break ONNX Runtime 1.21 to 1.32 with these,
/// and with attributes and constants as they are checked below, ended in errors.
const OPERATORS: [&str; 44] = [
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvTranspose",
    "Div",
    "Equal",
    "Erf",
    "Exp",
    "Expand",
    "Floor",
    "Gather",
    "Gelu",
    "Gemm",
    "Identity",
    "LayerNormalization",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
    "Where",
];
/// Most sides of a tensor.
const MAX_RANK: usize = 6;
/// Longest side of a kernel, and so of what goes with it.
const MAX_KERNEL: i64 = 64;

/// The sides of initializers and constants by their names.
type Constants<'a> = HashMap<&'a str, &'a [i64]>;

pub(super) fn is_plain(model: &ModelProto) -> bool {
    let Some(graph) = &model.graph else {
        return false;
    };
    let constants = constants(graph);
    let ranks = ranks(graph, &constants);
    model.functions.is_empty()
        && graph.sparse_initializer.is_empty()
        && constants.values().all(|sides| has_elements(sides))
        && graph
            .node
            .iter()
            .all(|node| is_plain_node(node, &constants, &ranks))
}

fn constants(graph: &GraphProto) -> Constants<'_> {
    let initializers = graph.initializer.iter();
    let constants = graph.node.iter().filter_map(|node| {
        let tensor = node.attribute.iter().find_map(|it| it.t.as_ref())?;
        (node.op_type() == "Constant").then_some((node.output.first()?.as_str(), &*tensor.dims))
    });
    let mut constants: Constants<'_> = initializers
        .map(|tensor| (tensor.name(), &*tensor.dims))
        .chain(constants)
        .collect();
    // an exporter writes weights that are equal once, and has the others point to them
    for node in &graph.node {
        if let ("Identity", [input], [output]) = (node.op_type(), &*node.input, &*node.output)
            && let Some(&sides) = constants.get(input.as_str())
        {
            constants.entry(output).or_insert(sides);
        }
    }
    constants
}

/// How many sides values have, by their names, where that is plain to see.
fn ranks<'a>(graph: &'a GraphProto, constants: &Constants<'a>) -> HashMap<&'a str, usize> {
    let mut ranks = HashMap::new();
    for input in &graph.input {
        let kind = input.r#type.as_ref().and_then(|it| it.value.as_ref());
        if let Some(Value::TensorType(tensor)) = kind
            && let Some(shape) = &tensor.shape
        {
            ranks.insert(input.name(), shape.dim.len());
        }
    }
    ranks.extend(constants.iter().map(|(&name, sides)| (name, sides.len())));
    // A shape is put together of a list for each side: an `Unsqueeze` gives one of one number, or nothing that is a shape.
    let mut singles = HashSet::new();
    let mut lists = HashMap::new();
    for node in &graph.node {
        let of = |index: usize| ranks.get(node.input.get(index)?.as_str()).copied();
        let [output, ..] = &node.output[..] else {
            continue;
        };
        let rank = match node.op_type() {
            "Conv" | "ConvTranspose" => Some(4),
            "Add" | "Div" | "Max" | "Min" | "Mul" | "Pow" | "Sub" | "Where" => {
                let each = (0..node.input.len()).map(of);
                each.collect::<Option<Vec<_>>>()
                    .and_then(|ranks| ranks.into_iter().max())
            }
            "Transpose" => {
                let perm = node.attribute.iter().find(|it| it.name() == "perm");
                perm.map(|perm| perm.ints.len())
            }
            "Reshape" => {
                let shape = node.input.get(1).map(String::as_str);
                shape.and_then(|shape| match constants.get(shape) {
                    Some(&&[length]) => usize::try_from(length).ok(),
                    Some(_) => None,
                    None => lists.get(shape).copied(),
                })
            }
            "Unsqueeze" => {
                singles.insert(output.as_str());
                None
            }
            "Concat" => {
                let single = |name: &String| {
                    singles.contains(name.as_str()) || constants.get(&**name) == Some(&&[1][..])
                };
                if node.input.iter().all(single) {
                    lists.insert(output.as_str(), node.input.len());
                }
                None
            }
            "Cast" | "Clip" | "Erf" | "Gelu" | "Identity" | "LayerNormalization" | "Neg"
            | "Relu" | "Resize" | "Sigmoid" | "Softmax" | "Sqrt" | "Tanh" => of(0),
            _ => None,
        };
        if let Some(rank) = rank {
            ranks.insert(output.as_str(), rank);
        }
    }
    ranks
}

/// Exporters leave the parameters out that `Resize` does not use by a list of none.
fn has_elements(sides: &[i64]) -> bool {
    *sides == [0] || sides.len() <= MAX_RANK && sides.iter().all(|&side| side > 0)
}

fn is_plain_node(
    node: &NodeProto,
    constants: &Constants<'_>,
    ranks: &HashMap<&str, usize>,
) -> bool {
    let operator = node.op_type();
    ["", "ai.onnx"].contains(&node.domain())
        && OPERATORS.contains(&operator)
        && node.attribute.iter().all(is_plain_attribute)
        && match operator {
            "Conv" | "ConvTranspose" => {
                let picture = node.input.first().and_then(|it| ranks.get(it.as_str()));
                picture == Some(&4) && is_plain_convolution(node, constants)
            }
            _ => true,
        }
}

fn is_plain_attribute(attribute: &AttributeProto) -> bool {
    let range = match attribute.name() {
        "pads" | "output_padding" => 0..=MAX_KERNEL,
        "strides" | "dilations" | "kernel_shape" => 1..=MAX_KERNEL,
        "group" => 1..=1 << 16,
        "split" => 1..=1 << 24,
        "axis" | "axes" | "start" | "end" => -8..=8,
        "perm" => 0..=8,
        "allowzero"
        | "antialias"
        | "exclude_outside"
        | "keepdims"
        | "noop_with_empty_axes"
        | "num_outputs"
        | "saturate"
        | "stash_type"
        | "to"
        | "transA"
        | "transB" => 0..=64,
        // numbers of a constant's own
        "value" | "value_int" | "value_ints" | "value_float" | "value_floats" => {
            i64::MIN..=i64::MAX
        }
        "alpha"
        | "approximate"
        | "beta"
        | "coordinate_transformation_mode"
        | "cubic_coeff_a"
        | "epsilon"
        | "extrapolation_value"
        | "keep_aspect_ratio_policy"
        | "mode"
        | "nearest_mode" => 0..=0,
        "auto_pad" => return attribute.s() == b"NOTSET",
        _ => return false,
    };
    let numbers = attribute.i.iter().chain(&attribute.ints);
    let is_graph = [AttributeType::Graph, AttributeType::Graphs]
        .iter()
        .any(|&kind| attribute.r#type == Some(kind as i32));
    !is_graph
        && attribute.g.is_none()
        && attribute.graphs.is_empty()
        && attribute.sparse_tensor.is_none()
        && attribute.sparse_tensors.is_empty()
        && numbers.clone().all(|number| range.contains(number))
        && attribute.t.iter().all(|tensor| has_elements(&tensor.dims))
}

/// A convolution of pictures by weights that are there, with attributes that fit them.
fn is_plain_convolution(node: &NodeProto, constants: &Constants<'_>) -> bool {
    let sides = |index: usize| node.input.get(index).and_then(|it| constants.get(&**it));
    let Some(&&[channels, of_group, height, width]) = sides(1) else {
        return false;
    };
    let attribute = |name| node.attribute.iter().find(|it| it.name() == name);
    let ints = |name| attribute(name).map(|it| &*it.ints);
    let group = attribute("group").map_or(1, AttributeProto::i);
    let given = match node.op_type() {
        "Conv" => channels,
        _ => of_group.saturating_mul(group),
    };
    let has_bias = node.input.len() > 2;
    channels % group == 0
        && height <= MAX_KERNEL
        && width <= MAX_KERNEL
        && ints("kernel_shape").is_none_or(|kernel| kernel == [height, width])
        && ["strides", "dilations", "output_padding"]
            .iter()
            .all(|name| ints(name).is_none_or(|pair| pair.len() == 2))
        && ints("pads").is_none_or(|pads| pads.len() == 4)
        && (!has_bias || sides(2).is_some_and(|bias| **bias == [given]))
}

#[cfg(test)]
mod tests {
    use super::super::proto::TensorProto;
    use super::*;

    fn ints(name: &str, values: &[i64]) -> AttributeProto {
        AttributeProto {
            name: Some(name.to_owned()),
            ints: values.to_vec(),
            ..AttributeProto::default()
        }
    }

    fn tensor(name: &str, dims: &[i64]) -> TensorProto {
        TensorProto {
            name: Some(name.to_owned()),
            dims: dims.to_vec(),
            ..TensorProto::default()
        }
    }

    fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&it| it.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    /// A convolution of what tokens are arranged to, made larger.
    fn plain() -> ModelProto {
        let convolution = NodeProto {
            attribute: vec![
                ints("kernel_shape", &[3, 5]),
                ints("pads", &[1, 1, 1, 1]),
                ints("strides", &[1, 2]),
                AttributeProto {
                    i: Some(2),
                    ..ints("group", &[])
                },
            ],
            ..node("Conv", &["picture", "w", "b"], "wider")
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![
                    convolution,
                    node("Unsqueeze", &["height", "one"], "rows"),
                    node("Concat", &["one", "one", "rows", "rows"], "shape"),
                    node("Reshape", &["tokens", "shape"], "arranged"),
                    node("Relu", &["arranged"], "positive"),
                    node("Add", &["arranged", "positive"], "picture"),
                    node("Resize", &["wider", "", "none", "size"], "depth"),
                ],
                initializer: vec![
                    tensor("w", &[4, 3, 3, 5]),
                    tensor("b", &[4]),
                    tensor("none", &[0]),
                    tensor("size", &[4]),
                    tensor("one", &[1]),
                ],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    fn graph(model: &mut ModelProto) -> &mut GraphProto {
        model.graph.as_mut().unwrap()
    }

    fn convolution(model: &mut ModelProto) -> &mut NodeProto {
        &mut graph(model).node[0]
    }

    #[test]
    fn a_weight_that_points_to_an_equal_one_is_plain() {
        let mut model = plain();
        let graph = graph(&mut model);
        graph.initializer[1] = tensor("zeros", &[4]);
        assert!(!is_plain(&model), "there is no such bias");
        let point = |to: &str| {
            let mut model = model.clone();
            let nodes = &mut model.graph.as_mut().unwrap().node;
            nodes.insert(0, node("Identity", &[to], "b"));
            is_plain(&model)
        };
        assert!(point("zeros"));
        assert!(!point("size2") && !point("one") && !point("tokens"));
    }

    #[test]
    fn what_is_strange_is_not_plain() {
        assert!(is_plain(&plain()));
        let changes: [fn(&mut ModelProto); 15] = [
            |model| convolution(model).op_type = Some("Einsum".to_owned()),
            |model| convolution(model).domain = Some("com.microsoft".to_owned()),
            |model| convolution(model).input[1] = "x".to_owned(),
            |model| convolution(model).attribute[0].ints = vec![3],
            |model| convolution(model).attribute[0].ints = vec![5, 3],
            |model| convolution(model).attribute[1].ints = vec![-5; 4],
            |model| convolution(model).attribute[2].ints = vec![1; 3],
            |model| convolution(model).attribute[3].i = Some(3),
            |model| graph(model).initializer[0].dims[1] = 0,
            |model| graph(model).initializer[0].dims.push(1),
            |model| graph(model).initializer[1].dims = vec![1],
            // pictures of three and of two sides, and of who knows how many
            |model| drop(graph(model).node[2].input.pop()),
            |model| graph(model).node[3].input[1] = "one".to_owned(),
            |model| graph(model).node[4].op_type = Some("Squeeze".to_owned()),
            |model| {
                let body = AttributeProto {
                    g: Some(GraphProto::default()),
                    ..ints("axes", &[])
                };
                convolution(model).attribute.push(body);
            },
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut model = plain();
            change(&mut model);
            assert!(!is_plain(&model), "change {index}");
        }
    }
}
