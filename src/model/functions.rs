//! The functions that a model brings with it, and how many nodes it has when their calls are written out, which is what
//! an inference runtime does first.

use std::collections::HashMap;

use super::limits::{MAX_CALLS, MAX_NODES};
use super::proto::{FunctionProto, GraphProto, ModelProto, NodeProto};
use crate::text;

/// What a function is called by: domain, name, overload.
pub(super) type Key<'a> = (&'a str, &'a str, &'a str);

/// The key of a function.
pub(super) fn key(function: &FunctionProto) -> Key<'_> {
    (
        domain(function.domain()),
        function.name(),
        function.overload(),
    )
}

/// The key of the function that a node calls, if there is such a function.
pub(super) fn called(node: &NodeProto) -> Key<'_> {
    (domain(node.domain()), node.op_type(), node.overload())
}

/// ONNX's own domain has two names.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// Whether the calls of functions end, and in how many nodes.
///
/// # Errors
/// In words: a function that is there twice, calls itself or is called through too many others, or too many nodes.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    let mut functions = HashMap::new();
    for function in &model.functions {
        let twice = functions.insert(key(function), (function, Known::Nothing));
        if twice.is_some() {
            return Err(format!(
                "it has two functions `{}`",
                text::name(function.name())
            ));
        }
    }
    if functions.is_empty() {
        return Ok(());
    }
    let mut calls = Calls { functions };
    let main = model
        .graph
        .as_ref()
        .map_or(Ok(Extent::default()), |graph| calls.graph(graph, 0));
    if main?.nodes > MAX_NODES {
        return Err(format!(
            "with its functions written out it has more than {MAX_NODES} nodes, more than any depth network"
        ));
    }
    // those that nobody calls too: runtimes look at them
    model
        .functions
        .iter()
        .try_for_each(|function| calls.function(key(function), 0).map(drop))
}

/// What calls come to.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    nodes: u64,
    /// Calls within calls.
    depth: u32,
}

#[derive(Clone, Copy)]
enum Known {
    Nothing,
    /// It is being looked at: a call of it is one by itself.
    Open,
    Is(Extent),
}

struct Calls<'a> {
    functions: HashMap<Key<'a>, (&'a FunctionProto, Known)>,
}

impl<'a> Calls<'a> {
    fn graph(&mut self, graph: &'a GraphProto, above: u32) -> Result<Extent, String> {
        self.nodes(&graph.node, above)
    }

    fn nodes(&mut self, nodes: &'a [NodeProto], above: u32) -> Result<Extent, String> {
        let mut sum = Extent::default();
        for node in nodes {
            let mut add = |extent: Extent| {
                sum.nodes = sum.nodes.saturating_add(extent.nodes);
                sum.depth = sum.depth.max(extent.depth);
            };
            add(Extent { nodes: 1, depth: 0 });
            add(self.function(called(node), above)?);
            for attribute in &node.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    add(self.graph(graph, above)?);
                }
            }
        }
        Ok(sum)
    }

    /// What a call of a function comes to; of what is none, nothing.
    fn function(&mut self, key: Key<'a>, above: u32) -> Result<Extent, String> {
        let Some((function, known)) = self.functions.get_mut(&key) else {
            return Ok(Extent::default());
        };
        let function = *function;
        let name = || text::name(function.name());
        let extent = match *known {
            Known::Is(extent) => extent,
            Known::Open => return Err(format!("its function `{}` calls itself", name())),
            Known::Nothing if above < MAX_CALLS => {
                *known = Known::Open;
                let body = self.nodes(&function.node, above + 1)?;
                let extent = Extent {
                    nodes: body.nodes,
                    depth: body.depth + 1,
                };
                self.functions.insert(key, (function, Known::Is(extent)));
                extent
            }
            Known::Nothing => Extent {
                nodes: 0,
                depth: MAX_CALLS + 1,
            },
        };
        if above + extent.depth > MAX_CALLS {
            return Err(format!(
                "its function `{}` is called through more than {MAX_CALLS} others",
                name()
            ));
        }
        Ok(extent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::proto::AttributeProto;
    use super::*;

    fn call(name: &str) -> NodeProto {
        NodeProto {
            op_type: Some(name.to_owned()),
            domain: Some("own".to_owned()),
            ..NodeProto::default()
        }
    }

    fn function(name: &str, calls: &[&str]) -> FunctionProto {
        FunctionProto {
            name: Some(name.to_owned()),
            domain: Some("own".to_owned()),
            node: calls.iter().map(|name| call(name)).collect(),
            ..FunctionProto::default()
        }
    }

    fn model(functions: Vec<FunctionProto>) -> ModelProto {
        ModelProto {
            graph: Some(GraphProto {
                node: vec![call("f0")],
                ..GraphProto::default()
            }),
            functions,
            ..ModelProto::default()
        }
    }

    fn chain(length: u32, width: usize) -> Vec<FunctionProto> {
        (0..length)
            .map(|level| {
                let next = format!("f{}", level + 1);
                function(&format!("f{level}"), &vec![next.as_str(); width])
            })
            .collect()
    }

    #[test]
    fn calls_that_end_are_taken() {
        assert_eq!(check(&model(Vec::new())), Ok(()));
        assert_eq!(check(&model(chain(MAX_CALLS, 1))), Ok(()));
        assert_eq!(check(&model(chain(15, 2))), Ok(()));
    }

    #[test]
    fn calls_that_do_not_end_are_refused() {
        let refused = |functions: Vec<FunctionProto>, words: &str| {
            let reason = check(&model(functions)).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        };
        refused(vec![function("f0", &["f0"])], "calls itself");
        refused(
            vec![function("f0", &["f1"]), function("f1", &["g", "f0"])],
            "calls itself",
        );
        // called by nobody
        refused(vec![function("g", &["g"])], "calls itself");
        refused(vec![function("f0", &[]), function("f0", &[])], "two");
        // in a graph of a node of it
        let mut nested = function("f0", &["If"]);
        nested.node[0].attribute = vec![AttributeProto {
            g: Some(GraphProto {
                node: vec![call("f0")],
                ..GraphProto::default()
            }),
            ..AttributeProto::default()
        }];
        refused(vec![nested], "calls itself");
        // ONNX's own domain by its other name
        let mut relu = function("Relu", &["Relu"]);
        relu.domain = None;
        relu.node[0].domain = Some("ai.onnx".to_owned());
        refused(vec![relu], "calls itself");
    }

    #[test]
    fn calls_that_explode_are_refused_at_once() {
        // each would take longer than the world is old
        let refused = |functions: Vec<FunctionProto>, words: &str| {
            let reason = check(&model(functions)).unwrap_err();
            assert!(reason.contains(words), "{reason}");
        };
        refused(chain(MAX_CALLS, 2), "more than");
        refused(chain(MAX_CALLS, 100), "more than");
        refused(chain(MAX_CALLS + 1, 1), "through more than");
        // deep below what is looked at first
        refused(chain(10_000, 1), "through more than");
        let mut backwards = chain(10_000, 1);
        backwards.reverse();
        refused(backwards, "through more than");
    }
}
