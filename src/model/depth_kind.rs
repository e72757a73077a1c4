//! What the numbers of a depth output mean, and how certain that is.

use super::activation::{self, OutputActivation};
use super::graph::{Graph, Value};
use super::{DepthKind, Finding};

/// Patches of the vision transformers that depth networks are built on. Smaller ones are the stem of convolutional
/// networks too.
const MIN_TRANSFORMER_PATCH: u32 = 8;

/// What is known of the network beside its activation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// Side of a patch, where there is a patch embedding.
    pub patch: Option<u32>,
    /// It came with the plugin.
    pub builtin: bool,
}

impl Family {
    /// The families that Depth Anything stands in (DPT, MiDaS): a patch embedding in front of transformer blocks.
    fn is_known(self) -> bool {
        self.builtin
            || self
                .patch
                .is_some_and(|patch| patch >= MIN_TRANSFORMER_PATCH)
    }
}

/// The meaning of the depth `value`, whose graph ends in `activation`.
///
/// Certain are: Sigmoid times more than one, metres in Depth Anything V2's metric networks and those made after them;
/// Relu and Exp at the end of a vision transformer, inverse depth of Depth Anything and MiDaS the one, distance of Depth
/// Anything 3 the other. All else has been published with either meaning.
pub(super) fn judge(
    graph: &Graph<'_>,
    value: Value,
    activation: &OutputActivation,
    family: Family,
) -> Finding<DepthKind> {
    let words = format!("its graph ends in {activation}");
    match activation {
        OutputActivation::ScaledSigmoid { .. } => Finding::certain(DepthKind::Metric, words),
        OutputActivation::Exp if family.is_known() => Finding::certain(
            DepthKind::Distance,
            format!("{words}, behind a vision transformer"),
        ),
        OutputActivation::Exp => Finding::guessed(DepthKind::Distance, words),
        OutputActivation::Relu if family.builtin => {
            Finding::certain(DepthKind::Relative, "it is the built-in model".to_owned())
        }
        OutputActivation::Relu if family.is_known() && !activation::is_scaled(graph, value) => {
            Finding::certain(
                DepthKind::Relative,
                format!("{words}, behind a vision transformer"),
            )
        }
        OutputActivation::Relu if activation::is_scaled(graph, value) => {
            Finding::guessed(DepthKind::Relative, format!("{words} of a scaled value"))
        }
        _ => Finding::guessed(DepthKind::Relative, words),
    }
}
