//! Numbers in attributes by which runtimes divide without looking at them.

use super::proto::{GraphProto, ModelProto, NodeProto};
use crate::text;

/// Attributes that count heads of an attention. Runtimes keep them in 32 bits, and divide by them.
const HEADS: [&str; 3] = ["num_heads", "kv_num_heads", "q_num_heads"];
/// No attention has more.
const MAX_HEADS: i64 = 1 << 16;

/// Whether all nodes, those of functions and of graphs in graphs included, have attributes that a runtime survives.
///
/// # Errors
/// In words.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    let functions = model.functions.iter().map(|function| &function.node);
    let main = model.graph.iter().map(|graph| &graph.node);
    main.chain(functions).try_for_each(|nodes| in_nodes(nodes))
}

fn in_nodes(nodes: &[NodeProto]) -> Result<(), String> {
    for node in nodes {
        for attribute in &node.attribute {
            let graphs = attribute.g.iter().chain(&attribute.graphs);
            for GraphProto { node, .. } in graphs {
                in_nodes(node)?;
            }
            if HEADS.contains(&attribute.name())
                && let Some(heads) = attribute.i
                && !(1..=MAX_HEADS).contains(&heads)
            {
                return Err(format!(
                    "its {} `{}` has {heads} for {}",
                    text::name(node.op_type()),
                    text::name(node.name()),
                    attribute.name()
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::proto::AttributeProto;
    use super::*;

    fn model(heads: i64) -> ModelProto {
        let node = NodeProto {
            op_type: Some("GroupQueryAttention".to_owned()),
            attribute: vec![AttributeProto {
                name: Some("kv_num_heads".to_owned()),
                i: Some(heads),
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![node],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn heads_that_become_none_are_refused() {
        for heads in [1, 6, 64, MAX_HEADS] {
            assert_eq!(check(&model(heads)), Ok(()));
        }
        for heads in [0, -1, 1 << 32, 1 << 40, i64::MIN, i64::MAX] {
            let reason = check(&model(heads)).unwrap_err();
            assert!(reason.contains("kv_num_heads"), "{reason}");
        }
    }
}
