//! All that a model is put together of, wherever it is: in its graph, in graphs in graphs, in functions and their defaults.

use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto};

/// A part of a model.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Graph(&'a GraphProto),
    Node(&'a NodeProto),
    /// Of a node, or the default of one of a function.
    Attribute(&'a AttributeProto),
}

/// Every part of `model` once, in no order. What is there for training only is left out.
pub(super) fn parts(model: &ModelProto) -> impl Iterator<Item = Part<'_>> {
    let mut waiting: Vec<_> = model.graph.iter().map(Part::Graph).collect();
    for function in &model.functions {
        waiting.extend(function.node.iter().map(Part::Node));
        waiting.extend(function.attribute_proto.iter().map(Part::Attribute));
    }
    std::iter::from_fn(move || {
        let part = waiting.pop()?;
        match part {
            Part::Graph(graph) => waiting.extend(graph.node.iter().map(Part::Node)),
            Part::Node(node) => waiting.extend(node.attribute.iter().map(Part::Attribute)),
            Part::Attribute(attribute) => {
                let graphs = attribute.g.iter().chain(&attribute.graphs);
                waiting.extend(graphs.map(Part::Graph));
            }
        }
        Some(part)
    })
}

/// Every node of `model`.
pub(super) fn nodes(model: &ModelProto) -> impl Iterator<Item = &NodeProto> {
    parts(model).filter_map(|part| match part {
        Part::Node(node) => Some(node),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::proto::FunctionProto;
    use super::*;

    fn node(operator: &str, inside: Vec<NodeProto>) -> NodeProto {
        let graph = GraphProto {
            node: inside,
            ..GraphProto::default()
        };
        NodeProto {
            op_type: Some(operator.to_owned()),
            attribute: vec![AttributeProto {
                g: Some(graph.clone()),
                graphs: vec![GraphProto::default(); 2],
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        }
    }

    #[test]
    fn nodes_are_found_wherever_they_are() {
        let inner = |name: &str| node(name, vec![]);
        let model = ModelProto {
            graph: Some(GraphProto {
                node: vec![node("If", vec![node("Loop", vec![inner("deep")])])],
                ..GraphProto::default()
            }),
            functions: vec![FunctionProto {
                node: vec![inner("of a function")],
                attribute_proto: node("", vec![inner("by default")]).attribute,
                ..FunctionProto::default()
            }],
            ..ModelProto::default()
        };
        let mut found: Vec<_> = nodes(&model).map(NodeProto::op_type).collect();
        found.sort_unstable();
        assert_eq!(found, ["If", "Loop", "by default", "deep", "of a function"]);
    }
}
