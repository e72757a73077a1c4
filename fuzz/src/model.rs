//! Models: those of the tests and some that mean harm, changed as messages, or as bytes.

use std::error::Error;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gstdepthanything::geometry::Size;
use gstdepthanything::model::proto::tensor_proto::DataLocation;
use gstdepthanything::model::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    StringStringEntryProto, TensorProto, ValueInfoProto,
};
use gstdepthanything::model::rewrite::{fuse_attention, separate_resizes, to_half};
use gstdepthanything::model::{
    Budget, Model, ModelSource, select_input, select_output, settle_output,
};
use prost::Message;

use crate::Target;
use crate::random::Random;

/// Operators that the reader and the rewrites look for, and some that they do not.
const OPERATORS: [&str; 56] = [
    "Add",
    "And",
    "Cast",
    "CastLike",
    "Clip",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "Conv",
    "ConvInteger",
    "Div",
    "DepthToSpace",
    "DequantizeLinear",
    "Dropout",
    "EPContext",
    "Exp",
    "Expand",
    "Flatten",
    "FusedConv",
    "FusedMatMul",
    "Gather",
    "Gemm",
    "GreaterOrEqual",
    "Identity",
    "If",
    "IsNaN",
    "LayerNormalization",
    "Loop",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "MultiHeadAttention",
    "Neg",
    "Pad",
    "QLinearConv",
    "QLinearMul",
    "QLinearSigmoid",
    "QuantizeLinear",
    "Range",
    "Reciprocal",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Transpose",
    "Where",
];
const ATTRIBUTES: [&str; 26] = [
    "activation",
    "alpha",
    "antialias",
    "axes",
    "axis",
    "blocksize",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "else_branch",
    "group",
    "keep_aspect_ratio_policy",
    "max",
    "min",
    "mode",
    "perm",
    "scale",
    "sparse_value",
    "strides",
    "then_branch",
    "to",
    "transA",
    "transB",
    "transBatchA",
    "value",
    "value_float",
    "value_ints",
];
const WORDS: [&str; 8] = [
    "Relu",
    "Sigmoid",
    "asymmetric",
    "cubic",
    "half_pixel",
    "linear",
    "stretch",
    "\u{1b}[2J",
];
const PLACES: [&str; 10] = [
    "",
    ".",
    "./weights.bin",
    "../weights.bin",
    "*/_ORT_MEM_ADDR_/*",
    "/etc/hostname",
    "folder/../weights.bin",
    "missing",
    "short.bin",
    "weights.bin",
];

/// Bytes of a large model.
const LARGE: usize = 100_000;

pub(crate) struct Models {
    folder: tempfile::TempDir,
    seeds: Vec<ModelProto>,
    /// Those with which a run takes a hundred times as long, taken more seldom.
    large: Vec<ModelProto>,
}

impl Models {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("weights.bin"), vec![0x3f; 4096])?;
        std::fs::write(folder.path().join("short.bin"), [0; 3])?;
        let mut seeds = Vec::new();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/models");
        for folder in [models.clone(), models.join("attention")] {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path
                    .extension()
                    .is_some_and(|extension| extension == "onnx")
                    && let Ok(model) = ModelProto::decode(Bytes::from(std::fs::read(path)?))
                {
                    seeds.push(model);
                }
            }
        }
        seeds.sort_by_cached_key(Message::encode_to_vec);
        let (large, seeds) = seeds
            .into_iter()
            .partition(|model: &ModelProto| model.encoded_len() > LARGE);
        Ok(Self {
            folder,
            seeds,
            large,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.onnx")
    }
}

impl Target for Models {
    fn run(&mut self, random: &mut Random) -> &'static str {
        let seeds = if random.once_in(400) {
            &self.large
        } else {
            &self.seeds
        };
        let Some(seed) = random.pick(seeds) else {
            return "no seeds";
        };
        let mut model = seed.clone();
        for _ in 0..random.below(9) {
            change(&mut model, &self.seeds, random);
        }
        let mut bytes = model.encode_to_vec();
        if random.once_in(8) {
            spoil(&mut bytes, random);
        }
        feed(bytes.into(), &self.path())
    }
}

/// All that the plugin does with a model's bytes before a runtime sees it.
fn feed(bytes: Bytes, path: &Path) -> &'static str {
    let source = ModelSource::File(path.to_owned());
    let model = match Model::of(&source, bytes, &Budget::default()) {
        Ok(model) => model,
        Err(error) => {
            let words = error.to_string();
            assert!(
                words.len() < 10_000 && !words.chars().any(char::is_control),
                "{words:?}"
            );
            return "refused";
        }
    };
    let facts = model.facts();
    let outputs: Vec<_> = facts
        .outputs
        .iter()
        .map(|output| output.tensor.clone())
        .collect();
    let input = select_input(facts, &facts.inputs);
    let output = select_output(facts, &outputs);
    if let (Ok(input), Ok(output)) = (&input, &output) {
        let size = Size::new(182, 126);
        input.shape(1, size);
        let shapes = vec![vec![1, 1, 126, 182]; output.candidates.len()];
        let _ = settle_output(facts, &outputs, output, &shapes, 1, size);
    }
    let written = |model: &ModelProto| {
        let bytes = model.encode_to_vec();
        let read = ModelProto::decode(bytes.as_slice()).expect("what was written can be read");
        assert_eq!(read.encode_to_vec(), bytes);
    };
    written(model.proto());
    each_tensor(model.proto(), &mut |tensor| {
        assert!(
            tensor.external_data.is_empty(),
            "it names a file: {:?}",
            tensor.external_data
        );
    });
    let (fused, report) = fuse_attention(model.proto().clone());
    let (fused, tables) = separate_resizes(fused);
    written(&fused);
    let half = to_half(model.proto().clone(), None);
    if let Ok(half) = &half {
        written(half);
    }
    match (
        input.is_ok() && output.is_ok(),
        report.fused + tables > 0,
        half.is_ok(),
    ) {
        (false, ..) => "no depth network",
        (true, false, false) => "read",
        (true, true, _) => "rewritten",
        (true, false, true) => "made half",
    }
}

fn each_tensor(model: &ModelProto, visit: &mut impl FnMut(&TensorProto)) {
    fn in_graph(graph: &GraphProto, visit: &mut impl FnMut(&TensorProto)) {
        graph.initializer.iter().for_each(&mut *visit);
        for sparse in &graph.sparse_initializer {
            sparse
                .values
                .iter()
                .chain(&sparse.indices)
                .for_each(&mut *visit);
        }
        in_nodes(&graph.node, visit);
    }
    fn in_nodes(nodes: &[NodeProto], visit: &mut impl FnMut(&TensorProto)) {
        for attribute in nodes.iter().flat_map(|node| &node.attribute) {
            attribute
                .t
                .iter()
                .chain(&attribute.tensors)
                .for_each(&mut *visit);
            let sparse = attribute
                .sparse_tensor
                .iter()
                .chain(&attribute.sparse_tensors);
            sparse
                .flat_map(|it| it.values.iter().chain(&it.indices))
                .for_each(&mut *visit);
            let graphs = attribute.g.iter().chain(&attribute.graphs);
            graphs.for_each(|graph| in_graph(graph, visit));
        }
    }
    model.graph.iter().for_each(|graph| in_graph(graph, visit));
    model
        .functions
        .iter()
        .for_each(|function| in_nodes(&function.node, visit));
}

/// Changes bytes, with no mind for what they mean.
fn spoil(bytes: &mut Vec<u8>, random: &mut Random) {
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() + 1)),
        1 => {
            for _ in 0..=random.below(8) {
                let place = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = random.next() as u8;
                }
            }
        }
        2 => {
            let from = random.below(bytes.len());
            let to = bytes.len().min(from + random.below(200));
            let part = bytes[from..to].repeat(1 + random.below(50));
            let place = random.below(bytes.len());
            bytes.splice(place..place, part);
        }
        _ => {
            let from = random.below(bytes.len());
            let to = bytes.len().min(from + random.below(200));
            bytes.drain(from..to);
        }
    }
}

fn change(model: &mut ModelProto, others: &[ModelProto], random: &mut Random) {
    match random.below(16) {
        0 => add_function(model, random),
        1 => {
            if let Some(opset) = model.opset_import.first_mut() {
                opset.version =
                    Some(random.one_of([-1, 1, 9, 10, 11, 12, 13, 17, 18, 21, 23, i64::MAX]));
            }
        }
        2 => {
            // nodes of another
            let other = random.pick(others).and_then(|other| other.graph.as_ref());
            if let (Some(graph), Some(other)) = (&mut model.graph, other) {
                let from = random.below(other.node.len());
                let nodes = other.node.iter().skip(from).take(1 + random.below(12));
                graph.node.extend(nodes.cloned());
            }
        }
        3 => {
            if let Some(graph) = model.graph.clone() {
                model
                    .training_info
                    .push(gstdepthanything::model::proto::TrainingInfoProto {
                        algorithm: Some(graph),
                        ..Default::default()
                    });
                model.training_info.truncate(2);
            }
        }
        _ => {
            if let Some(graph) = &mut model.graph {
                change_graph(graph, random, 0);
            }
        }
    }
}

/// A function of some of the nodes, and a call of it, or of itself.
fn add_function(model: &mut ModelProto, random: &mut Random) {
    let Some(graph) = &mut model.graph else {
        return;
    };
    let from = random.below(graph.node.len());
    let mut body: Vec<_> = graph
        .node
        .iter()
        .skip(from)
        .take(1 + random.below(8))
        .cloned()
        .collect();
    let name = format!("f{}", random.below(4));
    let call = NodeProto {
        op_type: Some(format!("f{}", random.below(4))),
        domain: Some("own".to_owned()),
        input: body
            .first()
            .map(|node| node.input.clone())
            .unwrap_or_default(),
        output: body
            .last()
            .map(|node| node.output.clone())
            .unwrap_or_default(),
        ..NodeProto::default()
    };
    if random.once_in(3) {
        body.extend(vec![call.clone(); 1 + random.below(3)]);
    }
    model.functions.push(FunctionProto {
        name: Some(name),
        domain: Some("own".to_owned()),
        input: call.input.clone(),
        output: call.output.clone(),
        node: body,
        opset_import: model.opset_import.clone(),
        ..FunctionProto::default()
    });
    model.functions.truncate(8);
    graph.node.push(call);
}

/// A name that the graph knows.
fn known_name(graph: &GraphProto, random: &mut Random) -> String {
    let of_node = random.pick(&graph.node).and_then(|node| {
        let names = if random.once_in(2) {
            &node.input
        } else {
            &node.output
        };
        random.pick(names).cloned()
    });
    let of_tensor = |random: &mut Random| {
        random
            .pick(&graph.initializer)
            .and_then(|it| it.name.clone())
    };
    let of_info = |random: &mut Random| {
        let infos = if random.once_in(2) {
            &graph.input
        } else {
            &graph.output
        };
        random.pick(infos).and_then(|info| info.name.clone())
    };
    let name = match random.below(8) {
        0 => None,
        1 | 2 => of_tensor(random),
        3 => of_info(random),
        _ => of_node,
    };
    name.unwrap_or_default()
}

fn change_graph(graph: &mut GraphProto, random: &mut Random, depth: u32) {
    let name = known_name(graph, random);
    let nodes = graph.node.len();
    let place = random.below(nodes);
    match random.below(24) {
        0..=4 if nodes > 0 => rename(&mut graph.node[place].input, name, random),
        5 | 6 if nodes > 0 => rename(&mut graph.node[place].output, name, random),
        7..=9 if nodes > 0 => {
            graph.node[place].op_type = Some(random.one_of(OPERATORS).to_owned());
        }
        10 if nodes > 0 => {
            graph.node.remove(place);
        }
        11 if nodes > 0 => {
            let other = random.below(nodes);
            graph.node.swap(place, other);
        }
        12 if nodes > 0 => {
            let copies = vec![graph.node[place].clone(); 1 + random.below(4)];
            graph.node.splice(place..place, copies);
        }
        13 | 14 => {
            let input = (0..random.below(4))
                .map(|_| known_name(graph, random))
                .collect();
            let node = NodeProto {
                op_type: Some(random.one_of(OPERATORS).to_owned()),
                input,
                output: vec![if random.once_in(3) {
                    name
                } else {
                    format!("new{}", random.below(40))
                }],
                ..NodeProto::default()
            };
            graph.node.insert(place, node);
        }
        15..=17 if nodes > 0 => {
            let attributes = &mut graph.node[place].attribute;
            let index = random.below(attributes.len() + 1);
            if index == attributes.len() {
                attributes.push(AttributeProto {
                    name: Some(random.one_of(ATTRIBUTES).to_owned()),
                    ..AttributeProto::default()
                });
            }
            change_attribute(&mut attributes[index], random);
        }
        18 if !graph.initializer.is_empty() => {
            let index = random.below(graph.initializer.len());
            change_tensor(&mut graph.initializer[index], random);
        }
        19 => {
            let mut tensor = TensorProto {
                name: Some(name),
                data_type: Some(1),
                ..TensorProto::default()
            };
            change_tensor(&mut tensor, random);
            if random.once_in(4) {
                graph.sparse_initializer.push(SparseTensorProto {
                    values: Some(tensor),
                    ..SparseTensorProto::default()
                });
            } else {
                graph.initializer.push(tensor);
            }
        }
        20 => {
            let infos = match random.below(3) {
                0 => &mut graph.input,
                1 => &mut graph.output,
                _ => &mut graph.value_info,
            };
            let mut info = random.pick(infos).cloned().unwrap_or_default();
            info.name = Some(if random.once_in(4) {
                random.one_of(WORDS).to_owned()
            } else {
                name
            });
            infos.push(info);
        }
        21 if nodes > 0 && depth < 4 => {
            let inner = GraphProto {
                node: graph.node.iter().take(random.below(6)).cloned().collect(),
                output: vec![ValueInfoProto {
                    name: Some(name),
                    ..ValueInfoProto::default()
                }],
                ..GraphProto::default()
            };
            graph.node[place].attribute.push(AttributeProto {
                name: Some(random.one_of(ATTRIBUTES).to_owned()),
                g: Some(inner),
                ..AttributeProto::default()
            });
            if random.once_in(2) {
                graph.node[place].op_type = Some("If".to_owned());
            }
        }
        _ => {
            let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
            let mut inner: Vec<_> = attributes.filter_map(|it| it.g.as_mut()).collect();
            let index = random.below(inner.len());
            if let Some(inner) = inner.get_mut(index) {
                change_graph(inner, random, depth + 1);
            }
        }
    }
}

fn rename(names: &mut Vec<String>, name: String, random: &mut Random) {
    let place = random.below(names.len() + 1);
    match names.get_mut(place) {
        Some(old) => *old = name,
        None => names.push(name),
    }
}

fn change_attribute(attribute: &mut AttributeProto, random: &mut Random) {
    match random.below(10) {
        0 => attribute.name = Some(random.one_of(ATTRIBUTES).to_owned()),
        1 => attribute.i = Some(random.odd_number()),
        2 => attribute.f = Some(random.odd_float() as f32),
        3 => attribute.ints = (0..random.below(7)).map(|_| random.odd_number()).collect(),
        4 => {
            attribute.floats = (0..random.below(3))
                .map(|_| random.odd_float() as f32)
                .collect()
        }
        5 => attribute.s = Some(random.one_of(WORDS).as_bytes().to_vec().into()),
        6 => change_tensor(attribute.t.get_or_insert_default(), random),
        7 => {
            let sparse = attribute.sparse_tensor.get_or_insert_default();
            change_tensor(sparse.values.get_or_insert_default(), random);
        }
        8 => attribute.g = None,
        _ => attribute.ref_attr_name = Some(random.one_of(ATTRIBUTES).to_owned()),
    }
}

fn change_tensor(tensor: &mut TensorProto, random: &mut Random) {
    match random.below(10) {
        0 => tensor.data_type = Some(random.below(32) as i32 - 2),
        1 => tensor.dims.push(random.odd_number()),
        2 => drop(tensor.dims.pop()),
        3 => {
            let place = random.below(tensor.dims.len());
            if let Some(side) = tensor.dims.get_mut(place) {
                *side = random.odd_number();
            }
        }
        4 => tensor.raw_data = None,
        5 => tensor.raw_data = Some((0..random.below(40)).map(|_| random.next() as u8).collect()),
        6 => {
            tensor.float_data = (0..random.below(5))
                .map(|_| random.odd_float() as f32)
                .collect()
        }
        7 => tensor.int64_data = vec![random.odd_number()],
        _ => {
            tensor.data_location = Some(if random.once_in(6) {
                7
            } else {
                DataLocation::External as i32
            });
            let entry = |random: &mut Random| {
                let key = random.one_of(["location", "offset", "length", "checksum", "basepath"]);
                let number = random.odd_number().to_string();
                let small = random.below(64).to_string();
                StringStringEntryProto {
                    key: Some(key.to_owned()),
                    value: Some(match key {
                        "location" => random.one_of(PLACES).to_owned(),
                        _ if random.once_in(3) => number,
                        _ => small,
                    }),
                }
            };
            let location = StringStringEntryProto {
                key: Some("location".to_owned()),
                value: Some("weights.bin".to_owned()),
            };
            let entries = (0..random.below(3))
                .map(|_| entry(random))
                .collect::<Vec<_>>();
            tensor.external_data = std::iter::once(location)
                .chain(entries)
                .skip(random.below(5) / 4)
                .collect();
        }
    }
}
