//! Scopes resolved: names become values, function calls the nodes of the function.

use std::collections::HashMap;
use std::rc::Rc;

use super::order::sorted;
use super::{Graph, Node, Value, fed_inputs};
use crate::model::functions;
use crate::model::limits::MAX_CALLS;
use crate::model::proto::{FunctionProto, GraphProto, ModelProto, NodeProto};

type Scope<'a> = HashMap<&'a str, Value>;

/// Functions call each other and conditionals nest only so deep in sound models.
const MAX_NESTING: u32 = MAX_CALLS;

/// Fills an empty graph from `model`.
pub(super) fn flatten<'a>(model: &'a ModelProto, graph: Graph<'a>) -> Graph<'a> {
    let mut builder = Builder {
        graph,
        functions: model
            .functions
            .iter()
            .map(|function| (functions::key(function), function))
            .collect(),
        ordered: HashMap::new(),
    };
    if let Some(main) = &model.graph {
        let mut scopes = vec![Scope::new()];
        let outputs = builder.subgraph(main, &mut scopes, 0);
        builder.graph.outputs = main
            .output
            .iter()
            .map(|output| output.name())
            .zip(outputs)
            .collect();
        builder.graph.inputs = fed_inputs(main)
            .filter_map(|info| Some((info.name(), *scopes[0].get(info.name())?)))
            .collect();
    }
    builder.graph
}

struct Builder<'a> {
    graph: Graph<'a>,
    functions: HashMap<functions::Key<'a>, &'a FunctionProto>,
    /// The nodes of functions in order, of each that was called.
    ordered: HashMap<*const FunctionProto, Rc<[&'a NodeProto]>>,
}

impl<'a> Builder<'a> {
    fn value(&mut self) -> Value {
        self.graph.producers.push(None);
        self.graph.producers.len() - 1
    }

    /// Adds a graph's nodes and returns its outputs. `scopes`: names seen from inside, innermost last.
    fn subgraph(
        &mut self,
        graph: &'a GraphProto,
        scopes: &mut Vec<Scope<'a>>,
        depth: u32,
    ) -> Vec<Option<Value>> {
        let budget = self.graph.budget;
        if !budget.spend(graph.initializer.len() + graph.input.len() + graph.output.len()) {
            return Vec::new();
        }
        for tensor in &graph.initializer {
            let value = self.value();
            self.graph.constants.insert(value, tensor);
            define(scopes, tensor.name(), value);
        }
        for info in fed_inputs(graph) {
            let value = self.value();
            define(scopes, info.name(), value);
        }
        let ordered = sorted(&graph.node, budget);
        self.add_nodes(&ordered, scopes, depth);
        graph
            .output
            .iter()
            .map(|output| find(scopes, output.name()))
            .collect()
    }

    /// Adds nodes that are in order.
    fn add_nodes(&mut self, nodes: &[&'a NodeProto], scopes: &mut Vec<Scope<'a>>, depth: u32) {
        let budget = self.graph.budget;
        for &proto in nodes {
            if !budget.spend(1 + proto.input.len() + proto.output.len()) {
                return;
            }
            let inputs: Vec<_> = proto.input.iter().map(|name| find(scopes, name)).collect();
            match self.functions.get(&functions::called(proto)) {
                Some(&function) if depth < MAX_NESTING => {
                    let results = self.call(function, &inputs, depth + 1);
                    for (name, result) in proto.output.iter().zip(results) {
                        let value = result.unwrap_or_else(|| self.value());
                        define(scopes, name, value);
                    }
                }
                _ => self.add_node(proto, inputs, scopes, depth),
            }
        }
    }

    fn add_node(
        &mut self,
        proto: &'a NodeProto,
        inputs: Vec<Option<Value>>,
        scopes: &mut Vec<Scope<'a>>,
        depth: u32,
    ) {
        let mut branches = Vec::new();
        if depth < MAX_NESTING && proto.op_type() == "If" {
            for graph in proto
                .attribute
                .iter()
                .filter_map(|attribute| attribute.g.as_ref())
            {
                scopes.push(Scope::new());
                let outputs = self.subgraph(graph, scopes, depth + 1);
                scopes.pop();
                branches.push(outputs.into_iter().flatten().collect());
            }
        }
        let index = self.graph.nodes.len();
        let outputs = (0..proto.output.len())
            .map(|_| self.value())
            .collect::<Vec<_>>();
        for (number, (name, &value)) in proto.output.iter().zip(&outputs).enumerate() {
            self.graph.producers[value] = Some((index, number));
            define(scopes, name, value);
        }
        self.graph.nodes.push(Node {
            proto,
            inputs,
            outputs,
            branches,
        });
    }

    /// Adds a function's nodes, its inputs bound to values of the caller, and returns its outputs.
    fn call(
        &mut self,
        function: &'a FunctionProto,
        inputs: &[Option<Value>],
        depth: u32,
    ) -> Vec<Option<Value>> {
        if !(self.graph.budget).spend(function.input.len() + function.output.len()) {
            return Vec::new();
        }
        let bound = function
            .input
            .iter()
            .zip(inputs)
            .filter_map(|(name, value)| Some((name.as_str(), (*value)?)));
        // a function does not see its caller's names
        let mut scopes = vec![bound.collect()];
        let budget = self.graph.budget;
        let ordered = self.ordered.entry(std::ptr::from_ref(function));
        let ordered = ordered.or_insert_with(|| sorted(&function.node, budget).into());
        let ordered = Rc::clone(ordered);
        self.add_nodes(&ordered, &mut scopes, depth);
        function
            .output
            .iter()
            .map(|name| find(&scopes, name))
            .collect()
    }
}

fn define<'a>(scopes: &mut [Scope<'a>], name: &'a str, value: Value) {
    if let Some(scope) = scopes.last_mut()
        && !name.is_empty()
    {
        scope.insert(name, value);
    }
}

fn find(scopes: &[Scope<'_>], name: &str) -> Option<Value> {
    scopes
        .iter()
        .rev()
        .find_map(|scope| scope.get(name).copied())
}

#[cfg(test)]
mod tests {
    use super::super::super::budget::{Budget, Stop};
    use super::super::super::proto::ValueInfoProto;
    use super::*;

    fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
        NodeProto {
            op_type: Some(op.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..NodeProto::default()
        }
    }

    fn model(nodes: Vec<NodeProto>) -> ModelProto {
        let value = |name: &str| ValueInfoProto {
            name: Some(name.to_owned()),
            ..ValueInfoProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: nodes,
                input: vec![value("x")],
                output: vec![value("y")],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn nodes_may_come_in_any_order() {
        let nodes = vec![
            node("Relu", &["a"], "y"),
            node("Neg", &["b"], "a"),
            node("Exp", &["x"], "b"),
        ];
        let (model, budget) = (model(nodes), Budget::default());
        let graph = Graph::new(&model, &budget);
        let order: Vec<_> = graph.nodes.iter().map(Node::op).collect();
        assert_eq!(order, ["Exp", "Neg", "Relu"]);
    }

    #[test]
    fn loops_and_chains_of_any_length_end() {
        let mut nodes = vec![
            node("Cast", &["b"], "a"),
            node("Cast", &["a"], "b"),
            node("Cast", &["a"], "l0"),
        ];
        for index in 0..100_000 {
            nodes.push(node(
                "Cast",
                &[&format!("l{index}")],
                &format!("l{}", index + 1),
            ));
        }
        nodes.push(node("Mul", &["l100000", "x"], "y"));
        let (model, budget) = (model(nodes), Budget::default());
        let graph = Graph::new(&model, &budget);
        let value = graph.outputs[0].1.unwrap();
        assert_eq!(graph.scalar(value), None);
        assert_eq!(
            super::super::super::activation::of(&graph, value),
            super::super::super::OutputActivation::Other("Mul".to_owned())
        );
    }

    #[test]
    fn functions_that_call_themselves_or_double_end() {
        let function = FunctionProto {
            name: Some("f".to_owned()),
            domain: Some("own".to_owned()),
            input: vec!["x".to_owned()],
            output: vec!["y".to_owned()],
            node: ["a", "y"]
                .map(|output| NodeProto {
                    domain: Some("own".to_owned()),
                    ..node("f", &["x"], output)
                })
                .to_vec(),
            ..FunctionProto::default()
        };
        let mut model = model(function.node[1..].to_vec());
        model.functions = vec![function];
        let budget = Budget::default();
        Graph::new(&model, &budget);
        assert_eq!(budget.stopped(), Some(Stop::Steps));

        let call = |level: u32, output: &str| NodeProto {
            domain: Some("own".to_owned()),
            ..node(&format!("f{level}"), &["x"], output)
        };
        model.functions = (0..MAX_NESTING)
            .map(|level| FunctionProto {
                name: Some(format!("f{level}")),
                domain: Some("own".to_owned()),
                input: vec!["x".to_owned()],
                output: vec!["x".to_owned()],
                // the innermost has no nodes at all
                node: ["a", "y"].map(|output| call(level + 1, output))
                    [..if level + 1 < MAX_NESTING { 2 } else { 0 }]
                    .to_vec(),
                ..FunctionProto::default()
            })
            .collect();
        if let Some(graph) = &mut model.graph {
            graph.node = vec![call(0, "y")];
        }
        assert!(Graph::new(&model, &Budget::default()).nodes.is_empty());
    }
}
