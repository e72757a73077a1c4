//! A model's graph written anew so that the inference runtime does the same sums better.
//!
//! Functions here take a model and give one that computes the same. They go by the form of the graph alone, never by
//! names, and leave alone whatever does not match exactly. Whether a runtime takes the new graph and agrees with the
//! old one is for its caller to try.

mod attention;
mod emit;
mod half;
mod mask;
mod names;
mod operators;
mod resize;
mod scope;
mod weights;

pub use half::to_half;
pub use weights::leave_in_files;

use std::collections::HashSet;

use super::budget::Budget;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto};

/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";
/// Graphs inside graphs and functions: no sound model goes deeper.
const MAX_NESTING: u32 = 32;

/// What [`fuse_attention`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Attentions that are one operator now.
    pub fused: usize,
    /// Softmaxes that stand before a matrix product but were left alone, and why.
    pub left: Vec<Left>,
}

/// An attention that was left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The name of its softmax node.
    pub node: String,
    /// Why, in words.
    pub reason: &'static str,
}

/// Makes one `MultiHeadAttention` (`com.microsoft`, in ONNX Runtime on CPU and CUDA from 1.14 on) of each
/// softmax(scale · q · kᵀ) · v that is spelt out as MatMul, Softmax, MatMul: in any export form, with any number of
/// heads, any widths and any batch, in the main graph, in functions and in the branches of conditionals.
///
/// The N×N attention weights, which take the most memory and much of the time at high resolution, are then never in
/// memory as a whole.
///
/// The numbers are the same but for the order of summation. Weights are not copied. A scope of an operator set older than
/// 11 is left alone, and so are attentions with a mask or bias, and those with a result in between that is used
/// elsewhere. What would take more steps than any sound model is left alone, too.
pub fn fuse_attention(mut model: ModelProto) -> (ModelProto, Report) {
    let budget = Budget::default();
    let mut report = Report::default();
    let opset = version(&model.opset_import);
    if let Some(graph) = &mut model.graph {
        fuse_graph(graph, opset, &mut report, 0, &budget);
    }
    for function in &mut model.functions {
        let fused = report.fused;
        let opset = version(&function.opset_import);
        fuse_branches(&mut function.node, opset, &mut report, 0, &budget);
        let outputs = function.output.iter().map(String::as_str);
        let edit = {
            let infos = &function.value_info;
            let scope = scope::Scope::new(&function.node, &[], outputs, infos, opset, &budget);
            attention::fuse(&scope, &function.input, &mut report)
        };
        edit.apply(&mut function.node);
        if report.fused > fused {
            import(&mut function.opset_import);
        }
    }
    if report.fused > 0 {
        import(&mut model.opset_import);
    }
    (model, report)
}

/// Makes two matrix products of each bicubic Resize of a table of f32 weights, as position embeddings are, in the main
/// graph; returns how many.
///
/// The numbers are the same but for the order of summation, at any size.
pub fn separate_resizes(mut model: ModelProto) -> (ModelProto, usize) {
    let opset = version(&model.opset_import);
    let budget = Budget::default();
    let count = model.graph.as_mut().map_or(0, |graph| {
        edit_graph(graph, opset, &budget, resize::separate)
    });
    (model, count)
}

fn fuse_graph(
    graph: &mut GraphProto,
    opset: i64,
    report: &mut Report,
    depth: u32,
    budget: &Budget,
) {
    fuse_branches(&mut graph.node, opset, report, depth, budget);
    edit_graph(graph, opset, budget, |scope, inputs| {
        (attention::fuse(scope, inputs, report), ())
    });
}

/// Changes `graph` as `plan` has it, which gets its nodes and the names of its inputs.
fn edit_graph<T>(
    graph: &mut GraphProto,
    opset: i64,
    budget: &Budget,
    plan: impl FnOnce(&scope::Scope<'_>, &[String]) -> (emit::Edit, T),
) -> T {
    let inputs: Vec<String> = graph
        .input
        .iter()
        .map(|info| info.name().to_owned())
        .collect();
    let (edit, result) = {
        let outputs = graph.output.iter().map(|info| info.name());
        let scope = scope::Scope::new(
            &graph.node,
            &graph.initializer,
            outputs,
            &graph.value_info,
            opset,
            budget,
        );
        plan(&scope, &inputs)
    };
    // up to IR version 3 initializers are inputs as well, and would have to be fed
    let given: HashSet<&str> = inputs.iter().map(String::as_str).collect();
    graph
        .initializer
        .retain(|tensor| !edit.unused.contains(tensor.name()) || given.contains(tensor.name()));
    graph
        .value_info
        .retain(|info| !edit.unused.contains(info.name()));
    edit.apply(&mut graph.node);
    result
}

/// The graphs that nodes carry as attributes.
fn fuse_branches(
    nodes: &mut [NodeProto],
    opset: i64,
    report: &mut Report,
    depth: u32,
    budget: &Budget,
) {
    if depth >= MAX_NESTING {
        return;
    }
    for graph in nodes
        .iter_mut()
        .flat_map(|node| &mut node.attribute)
        .flat_map(graphs_mut)
    {
        fuse_graph(graph, opset, report, depth + 1, budget);
    }
}

fn graphs_mut(attribute: &mut AttributeProto) -> impl Iterator<Item = &mut GraphProto> {
    attribute.g.iter_mut().chain(&mut attribute.graphs)
}

/// The version of ONNX's own operators.
fn version(imports: &[OperatorSetIdProto]) -> i64 {
    imports
        .iter()
        .filter(|import| scope::is_onnx(import.domain()))
        .map(OperatorSetIdProto::version)
        .max()
        .unwrap_or(0)
}

fn import(imports: &mut Vec<OperatorSetIdProto>) {
    if !imports.iter().any(|import| import.domain() == MICROSOFT) {
        imports.push(OperatorSetIdProto {
            domain: Some(MICROSOFT.to_owned()),
            version: Some(1),
        });
    }
}

#[cfg(test)]
mod tests;
