//! Every tensor of a model, wherever one can be.

use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto,
    TensorProto,
};

/// Calls `visit` with every tensor of the model: initializers, dense and sparse, and attributes of all kinds, of the
/// nodes of graphs, of graphs in graphs, of functions and their defaults, and of what is there for training.
pub(super) fn each_tensor(model: &mut ModelProto, visit: &mut impl FnMut(&mut TensorProto)) {
    model
        .graph
        .iter_mut()
        .for_each(|graph| in_graph(graph, visit));
    for FunctionProto {
        node,
        attribute_proto,
        ..
    } in &mut model.functions
    {
        in_nodes(node, visit);
        in_attributes(attribute_proto, visit);
    }
    for training in &mut model.training_info {
        let graphs = training
            .initialization
            .iter_mut()
            .chain(&mut training.algorithm);
        graphs.for_each(|graph| in_graph(graph, visit));
    }
}

fn in_graph(graph: &mut GraphProto, visit: &mut impl FnMut(&mut TensorProto)) {
    graph.initializer.iter_mut().for_each(&mut *visit);
    in_sparse(&mut graph.sparse_initializer, visit);
    in_nodes(&mut graph.node, visit);
}

fn in_nodes(nodes: &mut [NodeProto], visit: &mut impl FnMut(&mut TensorProto)) {
    for node in nodes {
        in_attributes(&mut node.attribute, visit);
    }
}

fn in_attributes(attributes: &mut [AttributeProto], visit: &mut impl FnMut(&mut TensorProto)) {
    for AttributeProto {
        t,
        tensors,
        sparse_tensor,
        sparse_tensors,
        g,
        graphs,
        ..
    } in attributes
    {
        t.iter_mut().chain(tensors).for_each(&mut *visit);
        in_sparse(sparse_tensor.iter_mut().chain(sparse_tensors), visit);
        // nesting is bounded by the decoder's own limit
        for graph in g.iter_mut().chain(graphs) {
            in_graph(graph, visit);
        }
    }
}

fn in_sparse<'a>(
    sparse: impl IntoIterator<Item = &'a mut SparseTensorProto>,
    visit: &mut impl FnMut(&mut TensorProto),
) {
    for SparseTensorProto {
        values, indices, ..
    } in sparse
    {
        values.iter_mut().chain(indices).for_each(&mut *visit);
    }
}
