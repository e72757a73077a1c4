//! Models that mean harm, made here: small files, each of one kind of harm.

use gstdepthanything::model::proto::attribute_proto::AttributeType;
use gstdepthanything::model::proto::tensor_proto::{DataLocation, DataType};
use gstdepthanything::model::proto::tensor_shape_proto::{Dimension, dimension};
use gstdepthanything::model::proto::type_proto::{Tensor, Value};
use gstdepthanything::model::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto, TrainingInfoProto,
    TypeProto, ValueInfoProto,
};

pub(crate) fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(crate) fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> NodeProto {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    NodeProto {
        op_type: text(op),
        input: owned(inputs),
        output: owned(outputs),
        ..NodeProto::default()
    }
}

pub(crate) fn with(mut node: NodeProto, attribute: AttributeProto) -> NodeProto {
    node.attribute.push(attribute);
    node
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto {
        name: text(name),
        r#type: Some(kind as i32),
        ..AttributeProto::default()
    }
}

pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        i: Some(value),
        ..attribute(name, AttributeType::Int)
    }
}

pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        ints: values.to_vec(),
        ..attribute(name, AttributeType::Ints)
    }
}

fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    AttributeProto {
        g: Some(graph),
        ..attribute(name, AttributeType::Graph)
    }
}

pub(crate) fn floats(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: text(name),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float as i32),
        float_data: values.to_vec(),
        ..TensorProto::default()
    }
}

pub(crate) fn longs(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    TensorProto {
        name: text(name),
        dims: dims.to_vec(),
        data_type: Some(DataType::Int64 as i32),
        int64_data: values.to_vec(),
        ..TensorProto::default()
    }
}

/// One number that lies outside, as these entries say.
pub(crate) fn outside(name: &str, entries: &[(&str, &str)]) -> TensorProto {
    TensorProto {
        name: text(name),
        dims: vec![1],
        data_type: Some(DataType::Float as i32),
        data_location: Some(DataLocation::External as i32),
        external_data: entries
            .iter()
            .map(|&(key, value)| StringStringEntryProto {
                key: text(key),
                value: text(value),
            })
            .collect(),
        ..TensorProto::default()
    }
}

/// An input or output of these sides; −1 is an open one.
pub(crate) fn info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |(index, &length): (usize, &i64)| Dimension {
        value: Some(match length {
            0.. => dimension::Value::DimValue(length),
            _ => dimension::Value::DimParam(format!("{name}{index}")),
        }),
        ..Dimension::default()
    };
    let tensor = Tensor {
        elem_type: Some(DataType::Float as i32),
        shape: Some(TensorShapeProto {
            dim: dims.iter().enumerate().map(dim).collect(),
        }),
    };
    ValueInfoProto {
        name: text(name),
        r#type: Some(TypeProto {
            value: Some(Value::TensorType(tensor)),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A network of `x`, an image of any size, that gives `y`.
pub(crate) fn model(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    let opset = |domain: &str, version| OperatorSetIdProto {
        domain: text(domain),
        version: Some(version),
    };
    ModelProto {
        ir_version: Some(8),
        producer_name: text("hostile"),
        opset_import: vec![opset("", 17), opset("own", 1)],
        graph: Some(GraphProto {
            name: text("graph"),
            node: nodes,
            initializer,
            input: vec![info("x", &[1, 3, -1, -1])],
            output: vec![info("y", &[1, 1, -1, -1])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

pub(crate) fn graph_of(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().expect("made above")
}

/// y = relu(w · mean of the channels of x), where `nodes` or `initializer` make `w`.
pub(crate) fn weighed(mut nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
    nodes.push(with(
        node("ReduceMean", &["x"], &["mean"]),
        ints("axes", &[1]),
    ));
    nodes.push(node("Mul", &["mean", "w"], &["scaled"]));
    nodes.push(node("Relu", &["scaled"], &["y"]));
    model(nodes, initializer)
}

fn constant(tensor: TensorProto) -> NodeProto {
    let value = AttributeProto {
        t: Some(tensor),
        ..attribute("value", AttributeType::Tensor)
    };
    with(node("Constant", &[], &["w"]), value)
}

fn function(nodes: Vec<NodeProto>) -> FunctionProto {
    FunctionProto {
        name: text("f"),
        domain: text("own"),
        output: vec!["w".to_owned()],
        node: nodes,
        opset_import: model(Vec::new(), Vec::new()).opset_import,
        ..FunctionProto::default()
    }
}

fn call() -> NodeProto {
    NodeProto {
        domain: text("own"),
        ..node("f", &[], &["w"])
    }
}

/// Models each of which has `tensor` as its weight, in each place that a tensor can be in.
pub(crate) fn in_every_place(tensor: &TensorProto) -> Vec<(&'static str, ModelProto)> {
    let sparse = || SparseTensorProto {
        values: Some(tensor.clone()),
        indices: Some(longs("i", &[1], &[0])),
        dims: vec![1],
    };
    let sparse_constant = with(
        node("Constant", &[], &["w"]),
        AttributeProto {
            sparse_tensor: Some(sparse()),
            ..attribute("sparse_value", AttributeType::SparseTensor)
        },
    );
    let one = || vec![floats("w", &[1], &[1.0])];
    let carrying =
        |carried: AttributeProto| weighed(vec![with(node("Neg", &["x"], &["n"]), carried)], one());

    let mut sparse_initializer = weighed(Vec::new(), Vec::new());
    let mut named = sparse();
    named.values.as_mut().expect("values").name = text("w");
    graph_of(&mut sparse_initializer).sparse_initializer = vec![named];

    let mut in_function = weighed(vec![call()], Vec::new());
    in_function.functions = vec![function(vec![constant(tensor.clone())])];

    let mut default = weighed(vec![call()], Vec::new());
    let mut takes_default = node("Constant", &[], &["w"]);
    takes_default.attribute.push(AttributeProto {
        ref_attr_name: text("v"),
        ..attribute("value", AttributeType::Tensor)
    });
    default.functions = vec![FunctionProto {
        attribute_proto: vec![AttributeProto {
            t: Some(tensor.clone()),
            ..attribute("v", AttributeType::Tensor)
        }],
        ..function(vec![takes_default])
    }];

    let mut training = weighed(Vec::new(), one());
    training.training_info = vec![TrainingInfoProto {
        algorithm: Some(GraphProto {
            initializer: vec![tensor.clone()],
            ..GraphProto::default()
        }),
        ..TrainingInfoProto::default()
    }];

    let branch = |nodes: Vec<NodeProto>, initializer: Vec<TensorProto>| GraphProto {
        name: text("branch"),
        node: nodes,
        initializer,
        output: vec![ValueInfoProto {
            name: text("b"),
            ..info("b", &[1])
        }],
        ..GraphProto::default()
    };
    let renamed = TensorProto {
        name: text("b"),
        ..tensor.clone()
    };
    let plain = branch(Vec::new(), vec![floats("b", &[1], &[1.0])]);
    let mut condition = longs("c", &[], &[1]);
    condition.data_type = Some(DataType::Bool as i32);
    condition.int64_data.clear();
    condition.int32_data = vec![1];
    let choose = [
        graph_attribute("then_branch", branch(Vec::new(), vec![renamed])),
        graph_attribute("else_branch", plain),
    ]
    .into_iter()
    .fold(node("If", &["c"], &["w"]), with);

    vec![
        ("initializer", weighed(Vec::new(), vec![tensor.clone()])),
        (
            "constant",
            weighed(vec![constant(tensor.clone())], Vec::new()),
        ),
        (
            "sparse constant",
            weighed(vec![sparse_constant], Vec::new()),
        ),
        ("sparse initializer", sparse_initializer),
        ("function", in_function),
        ("function default", default),
        ("training", training),
        ("branch", weighed(vec![choose], vec![condition])),
        (
            "list of tensors",
            carrying(AttributeProto {
                tensors: vec![tensor.clone()],
                ..attribute("l", AttributeType::Tensors)
            }),
        ),
        (
            "list of sparse tensors",
            carrying(AttributeProto {
                sparse_tensors: vec![sparse()],
                ..attribute("l", AttributeType::SparseTensors)
            }),
        ),
        (
            "list of graphs",
            carrying(AttributeProto {
                graphs: vec![branch(vec![constant(tensor.clone())], Vec::new())],
                ..attribute("l", AttributeType::Graphs)
            }),
        ),
    ]
}

/// Attentions, one after the other.
pub(crate) fn attentions(count: usize, taken: usize) -> ModelProto {
    let mut nodes = Vec::new();
    let mut last = "x".to_owned();
    for index in 0..count {
        let [t, q, w, o] = ["t", "q", "w", "o"].map(|name| format!("{name}{index}"));
        nodes.push(with(
            node("Transpose", &[&last], &[&t]),
            ints("perm", &[0, 1, 3, 2]),
        ));
        nodes.push(node("MatMul", &[&last, &t], &[&q]));
        nodes.push(with(node("Softmax", &[&q], &[&w]), int("axis", -1)));
        nodes.push(node("MatMul", &[&w, &last], &[&o]));
        last = o;
    }
    nodes.push(node("Relu", &[&last], &["y"]));
    let mut model = model(nodes, Vec::new());
    let names = (0..taken).map(|index| format!("fused_attention/shape_{index}"));
    graph_of(&mut model).value_info = names.map(|name| info(&name, &[1])).collect();
    model
}

/// Work without end, or that doubles and triples, for whoever follows the graph.
pub(crate) fn endless() -> Vec<(&'static str, ModelProto)> {
    let chain = |op: &str, times: usize, length: usize, first: &str| {
        let mut nodes = Vec::new();
        let mut last = first.to_owned();
        for index in 0..length {
            let next = format!("{op}{index}");
            nodes.push(node(op, &vec![last.as_str(); times], &[&next]));
            last = next;
        }
        (nodes, last)
    };
    let one = || vec![floats("one", &[], &[1.0]), longs("list", &[1], &[1])];
    let mut all = Vec::new();

    let (mut nodes, last) = chain("DequantizeLinear", 3, 31, "one");
    nodes.push(node("Mul", &["x", &last], &["y"]));
    all.push(("dequantize", model(nodes, one())));

    for (name, op, times) in [("rank matmul", "MatMul", 2), ("rank gather", "Gather", 2)] {
        let (mut nodes, last) = chain(op, times, 31, "x");
        nodes.push(node("MatMul", &[&last, "x"], &["q"]));
        nodes.push(with(node("Softmax", &["q"], &["w"]), int("axis", 1)));
        nodes.push(node("MatMul", &["w", "x"], &["y"]));
        all.push((name, model(nodes, one())));
    }
    let (mut nodes, last) = chain("Concat", 8, 31, "list");
    nodes.push(node("Reshape", &["x", &last], &["r"]));
    nodes.push(with(node("Softmax", &["r"], &["w"]), int("axis", 1)));
    nodes.push(node("MatMul", &["w", "x"], &["y"]));
    all.push(("rank concat", model(nodes, one())));

    all.push((
        "loop after softmax",
        model(
            vec![
                node("Softmax", &["x"], &["w"]),
                node("Identity", &["w"], &["w"]),
                node("Relu", &["w"], &["y"]),
            ],
            Vec::new(),
        ),
    ));
    all.push((
        "long loop after softmax",
        model(
            vec![
                node("Softmax", &["x"], &["w"]),
                node("Identity", &["w"], &["a"]),
                node("Cast", &["a"], &["b"]),
                node("Dropout", &["b"], &["w"]),
                node("Relu", &["x"], &["y"]),
            ],
            Vec::new(),
        ),
    ));
    all.push((
        "loop before softmax",
        model(
            vec![
                node("Identity", &["a"], &["s", "z"]),
                node("Identity", &["z"], &["a"]),
                node("Softmax", &["s"], &["w"]),
                node("MatMul", &["w", "x"], &["y"]),
            ],
            Vec::new(),
        ),
    ));
    all.push((
        "loop of scales before softmax",
        model(
            vec![
                node("Mul", &["s", "one"], &["s"]),
                node("Softmax", &["s"], &["w"]),
                node("MatMul", &["w", "x"], &["y"]),
            ],
            one(),
        ),
    ));
    all.push((
        "loop at the end",
        model(
            vec![
                node("Identity", &["y"], &["a"]),
                node("Identity", &["a"], &["y"]),
            ],
            Vec::new(),
        ),
    ));

    let (mut nodes, last) = chain("And", 2, 24, "one");
    nodes.push(node("Where", &[&last, "zero", "x"], &["mask"]));
    nodes.push(node("MatMul", &["x", "x"], &["q"]));
    nodes.push(node("Add", &["q", "mask"], &["s"]));
    nodes.push(with(node("Softmax", &["s"], &["w"]), int("axis", -1)));
    nodes.push(node("MatMul", &["w", "x"], &["y"]));
    let mut weights = one();
    weights.push(floats("zero", &[], &[0.0]));
    all.push(("masks", model(nodes, weights)));

    // conditionals whose branches all lead to the one before
    let mut nodes = vec![node("Add", &["x", "x"], &["v0"])];
    for level in 0..8 {
        let inner = format!("v{level}");
        let branch = GraphProto {
            output: vec![ValueInfoProto {
                name: text(&inner),
                ..ValueInfoProto::default()
            }],
            ..GraphProto::default()
        };
        let branches = (0..100).map(|index| graph_attribute(&format!("b{index}"), branch.clone()));
        nodes.push(branches.fold(node("If", &["x"], &[&format!("v{}", level + 1)]), with));
    }
    nodes.push(node("Identity", &["v8"], &["y"]));
    all.push(("conditionals", model(nodes, Vec::new())));

    // and conditionals in conditionals, each walked again for all around it
    let mut graph = GraphProto {
        node: vec![node("Relu", &["x"], &["y"])],
        ..GraphProto::default()
    };
    for _ in 0..30 {
        let inner = GraphProto {
            output: vec![ValueInfoProto {
                name: text("y"),
                ..ValueInfoProto::default()
            }],
            ..graph
        };
        graph = GraphProto {
            node: vec![with(
                node("If", &["x"], &["y"]),
                graph_attribute("then_branch", inner),
            )],
            ..GraphProto::default()
        };
    }
    all.push(("deep conditionals", model(graph.node, Vec::new())));

    // a function that costs much, called often
    let calls = |count: usize, body: NodeProto| {
        let mut model = weighed(vec![call(); count], Vec::new());
        model.functions = vec![function(vec![body])];
        model
    };
    let wide = NodeProto {
        input: vec![String::new(); 20_000],
        ..node("Sum", &[], &["w"])
    };
    all.push(("function inputs", calls(2_000, wide)));
    let wide = NodeProto {
        output: vec!["w".to_owned(); 20_000],
        ..node("Split", &["x"], &[])
    };
    all.push(("function outputs", calls(2_000, wide)));
    let large = GraphProto {
        node: vec![node("Neg", &["q"], &[]); 20_000],
        ..GraphProto::default()
    };
    let holding = with(node("Loop", &[], &["w"]), graph_attribute("body", large));
    all.push(("function with a large graph inside", calls(20_000, holding)));
    let mut doubling = weighed(vec![call()], Vec::new());
    doubling.functions = (0..30)
        .map(|level| FunctionProto {
            name: text(&if level == 0 {
                "f".to_owned()
            } else {
                format!("f{level}")
            }),
            ..function(vec![
                NodeProto {
                    op_type: text(&format!("f{}", level + 1)),
                    ..call()
                };
                2
            ])
        })
        .collect();
    all.push(("functions that double", doubling));

    all.push(("attentions", attentions(10_000, 0)));
    all.push((
        "attentions with names that are taken",
        attentions(2_000, 20_000),
    ));

    let count = 40_000;
    let names: Vec<String> = (0..=count).map(|index| format!("v{index}")).collect();
    let mut nodes: Vec<_> = (0..count)
        .map(|index| node("Identity", &[&names[index]], &[&names[index + 1]]))
        .collect();
    nodes.push(node("Identity", &["x"], &["v0"]));
    nodes.push(node("Relu", &[&names[count]], &["y"]));
    nodes.reverse();
    all.push(("backwards", model(nodes, Vec::new())));

    let mut many = model(vec![node("Relu", &["x"], &["y"])], Vec::new());
    let names = (0..30_000).map(|index| format!("{index:x}"));
    graph_of(&mut many).initializer = names.map(|name| floats(&name, &[1], &[1.0])).collect();
    graph_of(&mut many)
        .input
        .extend(vec![info("x", &[1]); 30_000]);
    all.push(("inputs times initializers", many));

    let mut many = model(vec![node("Relu", &["x"], &["y"])], Vec::new());
    let users = vec![node("Neg", &["y"], &["z"]); 60_000];
    graph_of(&mut many).node.extend(users);
    let names = (0..30_000).map(|index| info(&format!("{index:x}"), &[1, 3, -1, -1]));
    graph_of(&mut many).input.extend(names);
    all.push(("inputs times nodes", many));

    let mut many = model(Vec::new(), Vec::new());
    let graph = graph_of(&mut many);
    graph.output.clear();
    for index in 0..20_000 {
        let name = format!("o{index}");
        graph.node.push(node("Relu", &["x"], &[&name]));
        graph.output.push(info(&name, &[1, 1, -1, -1]));
    }
    all.push(("outputs", many));
    all
}

/// Networks whose work for the runtime has no end: a loop of as many turns as there are numbers, over the image, over
/// constants, and one within another.
pub(crate) fn endless_to_run() -> Vec<(&'static str, ModelProto)> {
    let outlet = |name: &str, kind: DataType| {
        let mut info = info(name, &[]);
        if let Some(Value::TensorType(tensor)) =
            info.r#type.as_mut().and_then(|it| it.value.as_mut())
        {
            tensor.elem_type = Some(kind as i32);
        }
        info
    };
    // the names of a graph within a graph are its own
    let turn = |level: &str, made: NodeProto| {
        let own = |name: &str| format!("{name}{level}");
        GraphProto {
            name: text("turn"),
            node: vec![node("Identity", &[&own("before")], &[&own("after")]), made],
            input: vec![
                outlet(&own("number"), DataType::Int64),
                outlet(&own("before"), DataType::Bool),
                outlet(&own("in"), DataType::Float),
            ],
            output: vec![
                outlet(&own("after"), DataType::Bool),
                outlet(&own("out"), DataType::Float),
            ],
            ..GraphProto::default()
        }
    };
    let of = |inputs: &[&str], output: &str, body: GraphProto| {
        with(
            node("Loop", inputs, &[output]),
            graph_attribute("body", body),
        )
    };
    let counts = || turn("", node("Add", &["in", "one"], &["out"]));
    let mut yes = longs("yes", &[], &[]);
    yes.data_type = Some(DataType::Bool as i32);
    yes.int32_data = vec![1];
    let constants = || {
        vec![
            yes.clone(),
            longs("turns", &[], &[i64::MAX]),
            longs("many", &[], &[10_000_000]),
            floats("one", &[], &[1.0]),
        ]
    };
    let mean = with(node("ReduceMean", &["x"], &["start"]), int("keepdims", 0));
    let inner = of(&["many", "yes", "in2"], "out2", counts());
    [
        (
            "loop over the image",
            vec![mean, of(&["turns", "yes", "start"], "w", counts())],
        ),
        (
            "loop over a constant",
            vec![of(&["", "yes", "one"], "w", counts())],
        ),
        (
            "loop in a loop",
            vec![of(&["many", "yes", "one"], "w", turn("2", inner))],
        ),
    ]
    .map(|(name, nodes)| (name, weighed(nodes, constants())))
    .into()
}

/// Networks that ask for gigabytes, each by another operator, while they are loaded or run.
pub(crate) fn large_to_run() -> Vec<(&'static str, ModelProto)> {
    let mean = |name: &str| with(node("ReduceMean", &[name], &["w"]), int("keepdims", 0));
    let ones = |name: &str, dims: &[i64]| {
        let count = dims.iter().product::<i64>() as usize;
        floats(name, dims, &vec![1.0; count])
    };
    let mut doubled: Vec<NodeProto> = (0..33)
        .map(|index| {
            let name = format!("d{index}");
            with(
                node("Concat", &[&name, &name], &[&format!("d{}", index + 1)]),
                int("axis", 0),
            )
        })
        .collect();
    doubled.push(mean("d33"));
    let shape = |numbers: &[i64]| longs("shape", &[numbers.len() as i64], numbers);
    let transposed = with(
        node("ConvTranspose", &["x", "kernel"], &["big"]),
        ints("strides", &[500, 500]),
    );
    vec![
        (
            "constant of shape",
            weighed(
                vec![node("ConstantOfShape", &["shape"], &["big"]), mean("big")],
                vec![shape(&[50_000, 40_000])],
            ),
        ),
        (
            "expand",
            weighed(
                vec![
                    with(node("ReduceMean", &["x"], &["m"]), int("keepdims", 0)),
                    node("Expand", &["m", "shape"], &["big"]),
                    mean("big"),
                ],
                vec![shape(&[50_000, 40_000])],
            ),
        ),
        (
            "broadcast",
            weighed(
                vec![node("Mul", &["row", "column"], &["big"]), mean("big")],
                vec![ones("row", &[1, 50_000]), ones("column", &[40_000, 1])],
            ),
        ),
        ("concat", weighed(doubled, vec![ones("d0", &[1])])),
        (
            "tile",
            weighed(
                vec![node("Tile", &["x", "shape"], &["big"]), mean("big")],
                vec![shape(&[1, 1, 100, 100])],
            ),
        ),
        (
            "transposed convolution",
            weighed(
                vec![transposed, mean("big")],
                vec![ones("kernel", &[3, 1, 3, 3])],
            ),
        ),
        (
            "resize",
            weighed(
                vec![node("Resize", &["x", "", "scales"], &["big"]), mean("big")],
                vec![floats("scales", &[4], &[1.0, 1.0, 300.0, 300.0])],
            ),
        ),
    ]
}

/// Networks that have the runtime divide whole numbers by zero, or the least of them by −1, while they are loaded or run.
pub(crate) fn divided_by_zero() -> Vec<(&'static str, ModelProto)> {
    let zeros = || {
        vec![
            node("Shape", &["x"], &["sides"]),
            node("Sub", &["sides", "sides"], &["zeros"]),
        ]
    };
    let weight = || {
        vec![
            with(node("Cast", &["whole"], &["parts"]), int("to", 1)),
            with(node("ReduceMean", &["parts"], &["w"]), int("keepdims", 0)),
        ]
    };
    let of = |nodes: Vec<NodeProto>| [zeros(), nodes, weight()].concat();
    let least = |op: &str| {
        of(vec![
            node("Add", &["zeros", "least"], &["dividend"]),
            node(op, &["dividend", "minus"], &["whole"]),
        ])
    };
    let constants = || {
        vec![
            longs("least", &[1], &[i64::MIN]),
            longs("minus", &[1], &[-1]),
            longs("nought", &[1], &[0]),
            longs("across", &[1], &[3]),
        ]
    };
    let equation = AttributeProto {
        s: Some("abcd,abed->abce".into()),
        ..attribute("equation", AttributeType::String)
    };
    let empty = vec![
        node("Slice", &["x", "nought", "nought", "across"], &["none"]),
        with(node("Einsum", &["none", "none"], &["products"]), equation),
        with(
            node("ReduceMean", &["products"], &["w"]),
            int("keepdims", 0),
        ),
    ];
    [
        (
            "Div of what is computed",
            of(vec![node("Div", &["sides", "zeros"], &["whole"])]),
        ),
        (
            "Div by a constant",
            of(vec![node("Div", &["sides", "nought"], &["whole"])]),
        ),
        (
            "Mod",
            of(vec![node("Mod", &["sides", "zeros"], &["whole"])]),
        ),
        ("Div of the least number", least("Div")),
        ("Mod of the least number", least("Mod")),
        ("Einsum of nothing", empty),
    ]
    .map(|(name, nodes)| (name, weighed(nodes, constants())))
    .into()
}
