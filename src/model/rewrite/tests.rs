use super::*;
use crate::model::proto::attribute_proto::AttributeType;
use crate::model::proto::tensor_proto::DataType;
use crate::model::proto::{FunctionProto, TensorProto, ValueInfoProto};

fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(format!("/{output}")),
        op_type: Some(op.to_owned()),
        ..NodeProto::default()
    }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(AttributeType::Int as i32),
        i: Some(value),
        ..AttributeProto::default()
    }
}

fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

fn transpose(input: &str, order: &[i64], output: &str) -> NodeProto {
    let order = AttributeProto {
        name: Some("perm".to_owned()),
        r#type: Some(AttributeType::Ints as i32),
        ints: order.to_vec(),
        ..AttributeProto::default()
    };
    with(node("Transpose", &[input], output), order)
}

fn softmax(input: &str, output: &str) -> NodeProto {
    with(node("Softmax", &[input], output), int("axis", -1))
}

fn number(name: &str, value: f32, dims: &[i64]) -> TensorProto {
    let elements = dims.iter().product::<i64>() as usize;
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        float_data: vec![value; elements],
        ..TensorProto::default()
    }
}

fn value(name: &str) -> ValueInfoProto {
    ValueInfoProto {
        name: Some(name.to_owned()),
        ..ValueInfoProto::default()
    }
}

fn imports(version: i64) -> Vec<OperatorSetIdProto> {
    vec![OperatorSetIdProto {
        domain: None,
        version: Some(version),
    }]
}

/// The nodes between inputs q, k, v and the result `o`, with `between` the product `s` and the softmax of `t`.
fn spelt_out(between: Vec<NodeProto>) -> Vec<NodeProto> {
    let mut nodes = vec![
        transpose("k", &[0, 2, 3, 1], "kt"),
        node("MatMul", &["q", "kt"], "s"),
    ];
    nodes.extend(between);
    nodes.push(softmax("t", "w"));
    nodes.push(node("MatMul", &["w", "v"], "o"));
    nodes
}

fn model(nodes: Vec<NodeProto>) -> ModelProto {
    let graph = GraphProto {
        node: nodes,
        input: ["q", "k", "v"].map(value).to_vec(),
        output: vec![value("o")],
        initializer: vec![
            number("eighth", 0.125, &[]),
            number("four", 4.0, &[1]),
            number("temperature", 2.0, &[2, 1, 1]),
            number("mask", 0.0, &[1, 1, 1, 3]),
        ],
        ..GraphProto::default()
    };
    ModelProto {
        opset_import: imports(17),
        graph: Some(graph),
        ..ModelProto::default()
    }
}

fn operators(nodes: &[NodeProto]) -> Vec<&str> {
    nodes.iter().map(NodeProto::op_type).collect()
}

fn fused(model: &ModelProto) -> &NodeProto {
    let nodes = &model.graph.as_ref().unwrap().node;
    let found = nodes
        .iter()
        .find(|node| node.op_type() == "MultiHeadAttention");
    found.expect("a fused attention")
}

fn scale(model: &ModelProto) -> f32 {
    scope::attribute(fused(model), "scale").unwrap().f()
}

#[track_caller]
fn is_left(model: ModelProto, reason: &str) {
    let before = model.clone();
    let (after, report) = fuse_attention(model);
    assert_eq!(report.fused, 0);
    assert_eq!(report.left.len(), 1, "{report:?}");
    assert_eq!(report.left[0].node, "/w");
    assert!(report.left[0].reason.contains(reason), "{report:?}");
    assert_eq!(after, before);
}

#[test]
fn all_that_was_spelt_out_goes() {
    let (model, report) =
        fuse_attention(model(spelt_out(vec![node("Mul", &["s", "eighth"], "t")])));
    assert_eq!((report.fused, report.left.len()), (1, 0));
    assert_eq!(scale(&model), 0.125);
    let graph = model.graph.as_ref().unwrap();
    let operators = operators(&graph.node);
    for gone in ["MatMul", "Softmax", "Mul"] {
        assert!(!operators.contains(&gone), "{gone} is still there");
    }
    // the keys stay rows
    let transposes: Vec<_> = (graph.node.iter())
        .filter(|node| node.op_type() == "Transpose")
        .collect();
    assert_eq!(transposes.len(), 1);
    assert_eq!(transposes[0].attribute[0].ints, [0, 2, 1, 3]);
    assert!(
        !graph
            .initializer
            .iter()
            .any(|tensor| tensor.name() == "eighth")
    );
    assert!(
        graph
            .initializer
            .iter()
            .any(|tensor| tensor.name() == "mask")
    );
    assert_eq!(graph.node.last().unwrap().output, ["o"]);
    assert!(
        model
            .opset_import
            .iter()
            .any(|import| import.domain() == MICROSOFT && import.version() == 1)
    );
}

#[test]
fn scales_in_all_words() {
    for (between, expected) in [
        (vec![node("Identity", &["s"], "t")], 1.0),
        (vec![node("Mul", &["eighth", "s"], "t")], 0.125),
        (vec![node("Div", &["s", "four"], "t")], 0.25),
        (
            vec![
                node("Div", &["s", "four"], "u"),
                node("Mul", &["u", "eighth"], "t"),
            ],
            0.03125,
        ),
    ] {
        let (model, report) = fuse_attention(model(spelt_out(between)));
        assert_eq!(report.fused, 1);
        assert_eq!(scale(&model), expected);
    }
}

#[test]
fn masks_and_other_factors_are_left() {
    is_left(
        model(spelt_out(vec![node("Add", &["s", "mask"], "t")])),
        "mask",
    );
    is_left(
        model(spelt_out(vec![node("Mul", &["s", "temperature"], "t")])),
        "no constant",
    );
    is_left(
        model(spelt_out(vec![node("Div", &["four", "s"], "t")])),
        "no constant",
    );
    is_left(
        model(spelt_out(vec![node("Relu", &["s"], "t")])),
        "no matrix product",
    );
}

#[test]
fn a_mask_that_masks_nothing_goes() {
    let masked = |lowest: &str| {
        let mut nodes = vec![
            node("Range", &["zero", "tokens", "one"], "positions"),
            node("GreaterOrEqual", &["positions", lowest], "condition"),
            node("Expand", &["condition", "shape"], "everywhere"),
            node("Where", &["everywhere", "zero", "lowest"], "mask of all"),
        ];
        nodes.extend(spelt_out(vec![node("Add", &["s", "mask of all"], "t")]));
        let product = nodes.pop().unwrap();
        nodes.push(node("IsNaN", &["w"], "is nan"));
        nodes.push(node("Where", &["is nan", "zero", "w"], "numbers"));
        nodes.push(NodeProto {
            input: vec!["numbers".to_owned(), "v".to_owned()],
            ..product
        });
        let mut model = model(nodes);
        model.graph.as_mut().unwrap().initializer.extend([
            number("zero", 0.0, &[]),
            number("one", 1.0, &[]),
            number("lowest", f32::MIN, &[]),
        ]);
        model
    };
    let (model, report) = fuse_attention(masked("zero"));
    assert_eq!(report.fused, 1, "{report:?}");
    let operators = operators(&model.graph.as_ref().unwrap().node);
    for gone in ["Where", "IsNaN", "Add", "Expand", "Range"] {
        assert!(!operators.contains(&gone), "{gone} is still there");
    }
    // the first position is masked here
    is_left(masked("one"), "mask");
}

#[test]
fn other_axes_are_left() {
    for axis in [0, 1, 2, -2] {
        let mut nodes = spelt_out(vec![node("Identity", &["s"], "t")]);
        nodes[3].attribute = vec![int("axis", axis)];
        is_left(model(nodes), "last axis");
    }
    // the rank is known from the keys alone, which a product could widen to; not from nothing
    let mut nodes = spelt_out(vec![node("Identity", &["s"], "t")]);
    nodes[0] = node("Relu", &["k"], "kt");
    nodes[3].attribute = vec![int("axis", 3)];
    is_left(model(nodes), "last axis");
}

#[test]
fn a_last_axis_may_be_counted_from_the_front() {
    let mut nodes = spelt_out(vec![node("Identity", &["s"], "t")]);
    nodes.insert(0, transpose("x", &[0, 2, 1, 3], "q"));
    let softmax = nodes.iter_mut().find(|node| node.op_type() == "Softmax");
    softmax.unwrap().attribute = vec![int("axis", 3)];
    let (_, report) = fuse_attention(model(nodes));
    assert_eq!(report.fused, 1);
}

#[test]
fn results_used_elsewhere_are_left() {
    for shared in ["s", "w"] {
        let mut nodes = spelt_out(vec![node("Mul", &["s", "eighth"], "t")]);
        nodes.push(node("Relu", &[shared], "elsewhere"));
        is_left(model(nodes), "used elsewhere");

        let mut wanted = model(spelt_out(vec![node("Mul", &["s", "eighth"], "t")]));
        let graph = wanted.graph.as_mut().unwrap();
        graph.output.push(value(shared));
        is_left(wanted, "used elsewhere");
    }
}

#[test]
fn results_used_inside_a_branch_are_left() {
    let inner = GraphProto {
        node: vec![node("Relu", &["w"], "inner")],
        output: vec![value("inner")],
        ..GraphProto::default()
    };
    let branch = AttributeProto {
        name: Some("then_branch".to_owned()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(inner),
        ..AttributeProto::default()
    };
    let mut nodes = spelt_out(vec![node("Mul", &["s", "eighth"], "t")]);
    nodes.push(with(node("If", &["condition"], "chosen"), branch));
    is_left(model(nodes), "used elsewhere");
}

#[test]
fn keys_that_others_use_stay() {
    let mut nodes = spelt_out(vec![node("Mul", &["s", "eighth"], "t")]);
    nodes.push(node("Relu", &["kt"], "elsewhere"));
    nodes.push(node("Relu", &["eighth"], "more"));
    let (model, report) = fuse_attention(model(nodes));
    assert_eq!(report.fused, 1);
    let graph = model.graph.unwrap();
    assert!(graph.node.iter().any(|node| node.output == ["kt"]));
    assert!(
        graph
            .initializer
            .iter()
            .any(|tensor| tensor.name() == "eighth")
    );
}

#[test]
fn old_operator_sets_are_left() {
    let mut old = model(spelt_out(vec![node("Mul", &["s", "eighth"], "t")]));
    old.opset_import = imports(10);
    is_left(old, "too old");
}

#[test]
fn one_sided_casts_are_left() {
    let cast = |input, output, kind: DataType| {
        with(node("Cast", &[input], output), int("to", kind as i64))
    };
    is_left(
        model(spelt_out(vec![cast("s", "t", DataType::Float)])),
        "another type",
    );
    let mut nodes = spelt_out(vec![cast("s", "t", DataType::Float)]);
    let last = nodes.pop().unwrap();
    nodes.push(cast("w", "half", DataType::Float16));
    nodes.push(NodeProto {
        input: vec!["half".to_owned(), "v".to_owned()],
        ..last
    });
    let (_, report) = fuse_attention(model(nodes));
    assert_eq!(report.fused, 1);
}

#[test]
fn a_softmax_without_a_product_is_no_attention() {
    let nodes = vec![softmax("q", "classes"), node("Relu", &["classes"], "o")];
    let before = model(nodes);
    let (after, report) = fuse_attention(before.clone());
    assert_eq!(report, Report::default());
    assert_eq!(after, before);
}

#[test]
fn attention_inside_a_function_is_fused() {
    let function = FunctionProto {
        name: Some("attention".to_owned()),
        domain: Some("exporter".to_owned()),
        input: ["q", "k", "v"].map(str::to_owned).to_vec(),
        output: vec!["o".to_owned()],
        node: spelt_out(vec![node("Identity", &["s"], "t")]),
        opset_import: imports(18),
        ..FunctionProto::default()
    };
    let mut whole = model(vec![node("attention", &["q", "k", "v"], "o")]);
    whole.functions = vec![function];
    let (whole, report) = fuse_attention(whole);
    assert_eq!(report.fused, 1);
    let function = &whole.functions[0];
    assert!(operators(&function.node).contains(&"MultiHeadAttention"));
    for imports in [&whole.opset_import, &function.opset_import] {
        assert!(imports.iter().any(|import| import.domain() == MICROSOFT));
    }
}

#[test]
fn new_names_are_new() {
    let mut nodes = spelt_out(vec![node("Mul", &["s", "eighth"], "t")]);
    nodes.push(node("Relu", &["v"], "fused_attention/output_0"));
    nodes.extend(
        (0..40).map(|number| node("Relu", &["v"], &format!("fused_attention/shape_{number}"))),
    );
    let (model, report) = fuse_attention(model(nodes));
    assert_eq!(report.fused, 1);
    let mut names = std::collections::HashSet::new();
    for node in &model.graph.unwrap().node {
        assert!(names.insert(node.output[0].clone()), "{}", node.output[0]);
    }
}

/// A Resize of a table of positions by `mode`, with `between` the weights `p` and the table `t`.
fn resizing(mode: &str, between: NodeProto) -> ModelProto {
    let mode = AttributeProto {
        name: Some("mode".to_owned()),
        r#type: Some(AttributeType::String as i32),
        s: Some(mode.to_owned().into()),
        ..AttributeProto::default()
    };
    let mut model = model(vec![
        between,
        with(node("Resize", &["t", "", "", "sizes"], "r"), mode),
        node("Relu", &["r"], "o"),
    ]);
    let graph = model.graph.as_mut().unwrap();
    graph.initializer.push(number("p", 0.5, &[1, 9, 2]));
    model
}

#[test]
fn a_bicubic_resize_becomes_two_products() {
    let (model, count) = separate_resizes(resizing("cubic", transpose("p", &[0, 2, 1], "t")));
    assert_eq!(count, 1);
    let nodes = &model.graph.as_ref().unwrap().node;
    let resized: Vec<_> = (nodes.iter())
        .filter(|node| node.op_type() == "Resize")
        .collect();
    assert_eq!(resized.len(), 2);
    assert!(
        resized
            .iter()
            .all(|node| node.input[0].contains("identity"))
    );
    // the last product takes the place of what was there
    let product = nodes.iter().find(|node| node.output == ["r"]).unwrap();
    assert_eq!(product.op_type(), "MatMul");
    let mut names = std::collections::HashSet::new();
    for node in nodes {
        assert!(names.insert(node.output[0].clone()), "{}", node.output[0]);
    }
}

#[test]
fn other_resizes_are_left() {
    let cast = |kind: DataType| with(node("Cast", &["p"], "t"), int("to", kind as i64));
    let with_attribute = |attribute: AttributeProto| {
        let mut model = resizing("cubic", node("Identity", &["p"], "t"));
        model.graph.as_mut().unwrap().node[1]
            .attribute
            .push(attribute);
        model
    };
    let crops = AttributeProto {
        name: Some("coordinate_transformation_mode".to_owned()),
        s: Some("tf_crop_and_resize".to_owned().into()),
        ..AttributeProto::default()
    };
    let axes = AttributeProto {
        name: Some("axes".to_owned()),
        ints: vec![2, 3],
        ..AttributeProto::default()
    };
    let mut by_scales = resizing("cubic", node("Identity", &["p"], "t"));
    by_scales.graph.as_mut().unwrap().node[1].input =
        ["t", "", "scales"].map(str::to_owned).to_vec();
    let mut old = resizing("cubic", node("Identity", &["p"], "t"));
    old.opset_import = imports(10);
    for (what, model) in [
        (
            "bilinear",
            resizing("linear", node("Identity", &["p"], "t")),
        ),
        (
            "of the picture",
            resizing("cubic", node("Identity", &["q"], "t")),
        ),
        (
            "of what depends on the picture",
            resizing("cubic", node("Add", &["p", "q"], "t")),
        ),
        (
            "in half precision",
            resizing("cubic", cast(DataType::Float16)),
        ),
        ("that crops", with_attribute(crops)),
        ("over axes of its own", with_attribute(axes)),
        ("with smoothing", with_attribute(int("antialias", 1))),
        ("by scales", by_scales),
        ("of an old operator set", old),
    ] {
        let (after, count) = separate_resizes(model.clone());
        assert_eq!((count, after == model), (0, true), "one {what}");
    }
    let (_, count) = separate_resizes(resizing("cubic", cast(DataType::Float)));
    assert_eq!(count, 1);
}
