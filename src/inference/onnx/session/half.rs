//! Half precision on providers that compute in the types of the graph.

use super::fusion::or_as_it_is;
use super::{Graph, SessionNetwork, Setup, agreement};
use crate::error::Error;
use crate::inference::onnx::precision::Precision;
use crate::model::rewrite::{fuse_attention, to_half};

/// Whether the graph has to be rewritten for `setup`.
pub(super) fn is_wanted(setup: Setup<'_>) -> bool {
    setup.precision == Precision::Fp16
        && setup.capabilities().computes_in_types_of_graph
        && !setup.facts.half_precision
}

/// Opens the model rewritten in half precision, with its attention fused where the provider takes that and the depth
/// stays that of fp32.
pub(super) fn open(setup: Setup<'_>) -> Result<SessionNetwork, Error> {
    let plain = || open_graph(setup, &graph(setup, false)?.0);
    if !(setup.capabilities().takes_fused_attention && setup.config.rewrite) {
        return plain();
    }
    let (fused, attentions) = graph(setup, true)?;
    if attentions == 0 {
        return plain();
    }
    let fused = || {
        let mut network = open_graph(setup, &fused)?;
        network.description.fused_attentions = attentions;
        Ok(network)
    };
    or_as_it_is(fused, plain)
}

fn open_graph(setup: Setup<'_>, graph: &Graph) -> Result<SessionNetwork, Error> {
    let mut network = SessionNetwork::open_graph(setup, graph)?;
    network.description.precision = agreement::check(setup, &mut network)?.to_owned();
    Ok(network)
}

/// The model in half precision, and how many of its attentions are one operator.
///
/// # Errors
/// [`Error::Provider`] when its graph can't be followed.
pub(super) fn graph(setup: Setup<'_>, fuse: bool) -> Result<(Graph, usize), Error> {
    let unfit = |reason: String| Error::Provider {
        provider: setup.provider.name().to_owned(),
        reason: format!("this model can't be made fp16: {reason}"),
    };
    let mut model = setup.model.proto().clone();
    let mut attentions = 0;
    if fuse {
        let (fused, report) = fuse_attention(model);
        model = fused;
        attentions = report.fused;
    }
    let model = to_half(model, setup.model.folder()).map_err(unfit)?;
    Ok((Graph::rewritten(setup.model, model), attentions))
}
