//! Nodes in the order in which they can be computed.

use std::collections::HashMap;

use crate::model::budget::Budget;
use crate::model::proto::NodeProto;

/// Nodes in an order in which each comes after those that make its inputs. They should be so in the file, but
/// converters append casts at the end, and runtimes sort for themselves. Those beyond the budget are left out.
pub(in crate::model) fn sorted<'a>(nodes: &'a [NodeProto], budget: &Budget) -> Vec<&'a NodeProto> {
    let makers: HashMap<&str, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(index, node)| node.output.iter().map(move |name| (name.as_str(), index)))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let mut order = Vec::with_capacity(nodes.len());
    let mut entered = vec![false; nodes.len()];
    for root in 0..nodes.len() {
        // depth first; a node is listed when its pending makers are
        let mut pending = vec![(root, false)];
        while let Some((index, ready)) = pending.pop() {
            if ready {
                order.push(&nodes[index]);
            } else if !std::mem::replace(&mut entered[index], true) {
                pending.push((index, true));
                each_used_name(&nodes[index], budget, &mut |name| {
                    if let Some(&maker) = makers.get(name)
                        && !entered[maker]
                    {
                        pending.push((maker, false));
                    }
                });
            }
        }
    }
    order
}

/// Calls `visit` with the names that a node takes, also from inside its subgraphs.
fn each_used_name<'a>(node: &'a NodeProto, budget: &Budget, visit: &mut impl FnMut(&'a str)) {
    let steps = 1 + node.input.len() + node.output.len() + node.attribute.len();
    if !budget.spend(steps) {
        return;
    }
    node.input.iter().for_each(|name| visit(name));
    for graph in node
        .attribute
        .iter()
        .filter_map(|attribute| attribute.g.as_ref())
    {
        graph
            .node
            .iter()
            .for_each(|inner| each_used_name(inner, budget, visit));
        graph.output.iter().for_each(|output| visit(output.name()));
    }
}
