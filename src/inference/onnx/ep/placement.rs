//! Where the nodes of a graph really went, read from ONNX Runtime's profile of a run.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;

/// What one execution provider was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Nodes it ran. A subgraph that a provider compiled is one.
    pub nodes: usize,
    /// Of these, the ones that do the work: convolutions, matrix products, attention, compiled subgraphs.
    pub heavy: usize,
}

/// The nodes of a graph by the provider that ran them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// ONNX Runtime's name of each provider that ran a node.
    pub providers: BTreeMap<String, Share>,
}

impl Placement {
    /// Reads a profile that ONNX Runtime wrote.
    ///
    /// # Errors
    /// A sentence when the file can't be read or is none.
    pub(in crate::inference::onnx) fn read(profile: &Path) -> Result<Self, String> {
        let wrong = |reason: String| format!("ONNX Runtime's profile can't be read: {reason}");
        let file = std::fs::File::open(profile).map_err(|error| wrong(error.to_string()))?;
        let events: Vec<Value> = serde_json::from_reader(BufReader::new(file))
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self::of_events(&events))
    }

    fn of_events(events: &[Value]) -> Self {
        let mut placement = Self::default();
        let mut seen = HashSet::new();
        for event in events {
            let name = event["name"].as_str().unwrap_or_default();
            let arguments = &event["args"];
            let (Some(provider), Some(op)) = (
                arguments["provider"].as_str(),
                arguments["op_name"].as_str(),
            ) else {
                continue;
            };
            let is_run = event["cat"] == "Node" && name.ends_with("_kernel_time");
            // a node that ran several times is one node
            if !is_run || !seen.insert((name, arguments["node_index"].as_str())) {
                continue;
            }
            let share = placement.providers.entry(provider.to_owned()).or_default();
            share.nodes += 1;
            share.heavy += usize::from(is_heavy(op));
        }
        placement
    }

    /// What the named provider was given.
    pub fn share(&self, provider: &str) -> Share {
        self.providers.get(provider).copied().unwrap_or_default()
    }

    /// Whether the named provider does the work, and not only what surrounds it.
    pub(in crate::inference::onnx) fn is_run_by(&self, provider: &str) -> bool {
        let share = self.share(provider);
        if self.providers.values().any(|share| share.heavy > 0) {
            share.heavy > 0
        } else {
            share.nodes > 0
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (provider, share) in &self.providers {
            let plural = if share.nodes == 1 { "" } else { "s" };
            write!(f, "{separator}{} node{plural} on {provider}", share.nodes)?;
            separator = ", ";
        }
        Ok(())
    }
}

fn is_heavy(op: &str) -> bool {
    const WORK: [&str; 4] = ["Conv", "MatMul", "Gemm", "Attention"];
    // "OpenVINO-EP-subgraph_1", "TRTKernel_graph_main_graph_123_0"
    const COMPILED: [&str; 3] = ["subgraph", "TRTKernel", "ExecutionProvider"];
    WORK.iter().chain(&COMPILED).any(|part| op.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, index: &str, provider: &str, op: &str) -> Value {
        json!({
            "cat": "Node", "name": format!("{name}_kernel_time"), "dur": 1,
            "args": { "provider": provider, "op_name": op, "node_index": index },
        })
    }

    #[test]
    fn nodes_are_counted_once() {
        let events = [
            json!({ "cat": "Session", "name": "model_run", "args": {} }),
            node("a", "1", "CPUExecutionProvider", "Conv"),
            node("a", "1", "CPUExecutionProvider", "Conv"),
            node("b", "2", "CPUExecutionProvider", "Shape"),
            json!({ "cat": "Node", "name": "b_fence_before", "args": { "op_name": "Shape" } }),
        ];
        let placement = Placement::of_events(&events);
        assert_eq!(
            placement.share("CPUExecutionProvider"),
            Share { nodes: 2, heavy: 1 }
        );
        assert_eq!(placement.to_string(), "2 nodes on CPUExecutionProvider");
    }

    #[test]
    fn trivial_nodes_do_not_make_a_provider_the_one_that_runs() {
        let placement = Placement::of_events(&[
            node("a", "1", "CPUExecutionProvider", "FusedConv"),
            node("b", "2", "CUDAExecutionProvider", "Reshape"),
        ]);
        assert!(placement.is_run_by("CPUExecutionProvider"));
        assert!(!placement.is_run_by("CUDAExecutionProvider"));
        assert!(!placement.is_run_by("OpenVINOExecutionProvider"));

        // a compiled subgraph is work, whatever is in it
        let placement = Placement::of_events(&[
            node("a", "1", "CPUExecutionProvider", "Cast"),
            node(
                "b",
                "2",
                "OpenVINOExecutionProvider",
                "OpenVINO-EP-subgraph_1",
            ),
        ]);
        assert!(placement.is_run_by("OpenVINOExecutionProvider"));
        assert!(!placement.is_run_by("CPUExecutionProvider"));

        // a model without any work to speak of
        let placement =
            Placement::of_events(&[node("a", "1", "CUDAExecutionProvider", "ReduceMean")]);
        assert!(placement.is_run_by("CUDAExecutionProvider"));
    }
}
