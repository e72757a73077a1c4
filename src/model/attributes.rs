//! Numbers in attributes by which runtimes divide without looking at them.

use super::parts::nodes;
use super::proto::{ModelProto, NodeProto};
use crate::text;

/// Attributes that count something, and of which there is at least one. Runtimes keep them in 32 bits, and divide by them.
const COUNTS: [&str; 9] = [
    "blocksize",
    "dilations",
    "group",
    "kernel_shape",
    "kv_num_heads",
    "num_heads",
    "num_outputs",
    "q_num_heads",
    "strides",
];
/// No count is larger.
const MAX_COUNT: i64 = i32::MAX as i64;

/// Whether all nodes have attributes that a runtime survives.
///
/// # Errors
/// In words.
pub(super) fn check(model: &ModelProto) -> Result<(), String> {
    nodes(model).try_for_each(check_node)
}

fn check_node(node: &NodeProto) -> Result<(), String> {
    for attribute in &node.attribute {
        if !COUNTS.contains(&attribute.name()) {
            continue;
        }
        // some writers set what does not apply to zero
        let alone = attribute.i.iter().filter(|_| attribute.ints.is_empty());
        let mut counts = alone.chain(&attribute.ints);
        if let Some(count) = counts.find(|count| !(1..=MAX_COUNT).contains(*count)) {
            return Err(format!(
                "its {} `{}` has {count} for {}",
                text::name(node.op_type()),
                text::name(node.name()),
                attribute.name()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::proto::{AttributeProto, GraphProto};
    use super::*;

    fn model(attribute: AttributeProto) -> ModelProto {
        let node = NodeProto {
            op_type: Some("GroupQueryAttention".to_owned()),
            attribute: vec![attribute],
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
    fn counts_that_are_or_become_zero_are_refused() {
        let heads = |heads| AttributeProto {
            name: Some("kv_num_heads".to_owned()),
            i: Some(heads),
            ..AttributeProto::default()
        };
        let strides = |stride| AttributeProto {
            name: Some("strides".to_owned()),
            ints: vec![1, stride],
            ..AttributeProto::default()
        };
        for count in [1, 6, 64, MAX_COUNT] {
            assert_eq!(check(&model(heads(count))), Ok(()));
            assert_eq!(check(&model(strides(count))), Ok(()));
        }
        for count in [0, -1, 1 << 32, 1 << 40, i64::MIN, i64::MAX] {
            let reason = check(&model(heads(count))).unwrap_err();
            assert!(reason.contains("kv_num_heads"), "{reason}");
            let reason = check(&model(strides(count))).unwrap_err();
            assert!(reason.contains("strides"), "{reason}");
        }
        // others may be anything
        let axis = AttributeProto {
            name: Some("axis".to_owned()),
            i: Some(-1),
            ..AttributeProto::default()
        };
        assert_eq!(check(&model(axis)), Ok(()));
    }
}
