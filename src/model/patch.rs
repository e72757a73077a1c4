//! The patch: what the sides of the input must be multiples of.

use super::graph::{Graph, Node, Value};

/// The patch when the graph has no patch embedding: that of Depth Anything, whose sizes serve purely
/// convolutional networks as well as any other.
pub const FALLBACK_PATCH: u32 = 14;

/// Smaller ones are the stem of a convolutional network.
const MIN_PATCH: i64 = 4;

/// What the first layers tell about the image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stem {
    /// Side of a patch, where there is a patch embedding.
    pub patch: Option<u32>,
    /// Channels that the first convolution takes.
    pub channels: Option<u32>,
}

/// Follows `image` forwards to its first convolutions.
pub(super) fn stem(graph: &Graph<'_>, image: Value) -> Stem {
    let mut stem = Stem::default();
    let mut reached = std::collections::HashSet::from([image]);
    if !graph.spend(graph.nodes.len()) {
        return stem;
    }
    for node in &graph.nodes {
        let touched = node
            .inputs
            .iter()
            .flatten()
            .any(|value| reached.contains(value));
        // sizes computed from the image are no image
        if !touched || matches!(node.op(), "Shape" | "Size") {
            continue;
        }
        if let Some(Convolution {
            channels,
            made,
            kernel,
            strides,
        }) = convolution(graph, node)
        {
            stem.channels.get_or_insert(channels);
            // what prepares the image pixel by pixel makes an image
            if channels == 3 && made == 3 && kernel == [1; 2] && strides == [1; 2] {
                reached.extend(&node.outputs);
                continue;
            }
            if channels == 3
                && kernel == strides
                && kernel >= [MIN_PATCH; 2]
                && kernel[0] == kernel[1]
            {
                stem.patch = Some(u32::try_from(kernel[0]).unwrap_or(u32::MAX));
                return stem;
            }
            continue; // what comes out of a convolution is features
        }
        if node.op() == "SpaceToDepth" {
            let block = node
                .attribute("blocksize")
                .map_or(0, |attribute| attribute.i());
            if block >= MIN_PATCH {
                stem.patch = Some(u32::try_from(block).unwrap_or(u32::MAX));
                return stem;
            }
        }
        reached.extend(&node.outputs);
        reached.extend(node.branches.iter().flatten());
    }
    stem
}

struct Convolution {
    channels: u32,
    /// Channels that it makes.
    made: i64,
    kernel: [i64; 2],
    strides: [i64; 2],
}

fn convolution(graph: &Graph<'_>, node: &Node<'_>) -> Option<Convolution> {
    let weight = match node.op() {
        "Conv" | "ConvInteger" | "FusedConv" => 1,
        "QLinearConv" => 3,
        _ => return None,
    };
    let &[made, channels, height, width] = graph.constant(node.input(weight)?)?.dims.as_slice()
    else {
        return None;
    };
    let group = node.attribute("group").map_or(1, |attribute| attribute.i());
    let strides = match *node.ints("strides") {
        [vertical, horizontal] => [vertical, horizontal],
        _ => [1, 1],
    };
    Some(Convolution {
        made,
        channels: u32::try_from(channels.checked_mul(group)?).ok()?,
        kernel: [height, width],
        strides,
    })
}
