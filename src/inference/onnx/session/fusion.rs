//! The graph rewritten at load, where the provider takes it and the numbers stay the same: attention fused, tables
//! resized by matrix products.

use super::comparison::{Difference, Picture};
use super::trial::Tried;
use super::{Graph, Profile, SessionNetwork, Setup};
use crate::error::Error;
use crate::inference::backend::InputSize;
use crate::inference::onnx::ep::{ExecutionProvider, Source};
use crate::inference::onnx::precision::Precision;
use crate::model::rewrite::{fuse_attention, separate_resizes};
use crate::model::{self, Model};

/// Largest difference to the plain network, in units of the range of its depth.
const TOLERANCE: f64 = 1e-4;
/// The same where sums are made in half precision or TF32.
const HALF_TOLERANCE: f64 = 5e-3;
/// In patches: small, because the plain network runs at it too.
const COMPARED_AT: (u32, u32) = (9, 10);
/// A network of fixed size is not compared above this many pixels: the plain one would take the very memory and time
/// that this is to save.
const LARGEST_COMPARED: usize = 518 * 924;

/// Opens the model rewritten if that can be, else as it is.
pub(super) fn open(setup: Setup<'_>) -> Result<SessionNetwork, Error> {
    match Graphs::for_provider(setup) {
        Some(graphs) => open_either(setup, &graphs),
        None => SessionNetwork::open_graph(setup, &Graph::of(setup.model)),
    }
}

/// The graph rewritten, and how many of its attentions are one operator then; `None` when there is nothing to rewrite.
pub(super) fn rewritten(setup: Setup<'_>) -> Option<(Graph, usize)> {
    let graphs = Graphs::for_provider(setup)?;
    Some((graphs.rewritten, graphs.attentions))
}

/// Opens a network that gives the depth of fp32 to compare `network` with, which has been tried: the graph as it is on the
/// CPU, but where that takes the very memory and time that rewriting saves.
pub(super) fn open_reference(
    setup: Setup<'_>,
    network: &SessionNetwork,
) -> Result<SessionNetwork, Error> {
    let setup = Setup {
        provider: ExecutionProvider::Cpu,
        source: Source::BuiltIn,
        precision: Precision::Fp32,
        config: &setup.config.on_any_cpu(),
        brief: true,
        ..setup
    };
    if is_too_large(network.description.input_size) {
        return open(setup);
    }
    let graph = Graph::of(setup.model);
    let mut reference = SessionNetwork::prepare(setup, &graph, &Profile::none())?.0;
    reference.follow(&network.tried(), setup.facts, setup.provider)?;
    Ok(reference)
}

fn is_too_large(size: InputSize) -> bool {
    matches!(size, InputSize::Fixed(size) if size.area() > LARGEST_COMPARED)
}

/// Opens the model rewritten if that gives its depth, else as it is.
fn open_either(setup: Setup<'_>, graphs: &Graphs) -> Result<SessionNetwork, Error> {
    or_as_it_is(
        || {
            let mut network = match Expected::of(setup, &graphs.plain)? {
                Some(expected) => expected.of_another(setup, &graphs.rewritten)?,
                None => SessionNetwork::open_graph(setup, &graphs.rewritten)?,
            };
            network.description.fused_attentions = graphs.attentions;
            network.rewritten = true;
            Ok(network)
        },
        || SessionNetwork::open_graph(setup, &graphs.plain),
    )
}

/// What `rewritten` opens, else what `plain` does, with a note that says why.
pub(super) fn or_as_it_is(
    rewritten: impl FnOnce() -> Result<SessionNetwork, Error>,
    plain: impl FnOnce() -> Result<SessionNetwork, Error>,
) -> Result<SessionNetwork, Error> {
    match rewritten() {
        // nor would the plain one be opened
        result @ (Ok(_) | Err(Error::ModelUnsupported { .. } | Error::Cancelled)) => result,
        Err(error) => {
            let mut network = plain()?;
            network.is_makeshift = matches!(error, Error::OutOfMemory { .. });
            network.description.notes.push(format!(
                "its graph is run as it is, which takes more memory and time: rewritten, {error}"
            ));
            Ok(network)
        }
    }
}

/// A model rewritten, and as it is.
struct Graphs {
    rewritten: Graph,
    plain: Graph,
    /// Attentions that are one operator now.
    attentions: usize,
    /// Tables that are resized by matrix products now.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the tests"))]
    tables: usize,
}

impl Graphs {
    /// Those for the provider of `setup`; `None` when there is nothing to rewrite, or the provider is not to be given it.
    fn for_provider(setup: Setup<'_>) -> Option<Self> {
        let capabilities = setup.capabilities();
        (capabilities.takes_fused_attention && setup.config.rewrite)
            .then(|| Self::of(setup.model, capabilities.wants_separate_resizes))
            .flatten()
    }

    /// `None` when there is nothing to rewrite.
    fn of(model: &Model, wants_separate_resizes: bool) -> Option<Self> {
        let (rewritten, report) = fuse_attention(model.proto().clone());
        let (rewritten, tables) = if wants_separate_resizes {
            separate_resizes(rewritten)
        } else {
            (rewritten, 0)
        };
        if report.fused == 0 && tables == 0 {
            return None;
        }
        Some(Self {
            rewritten: Graph::rewritten(model, rewritten),
            plain: Graph::of(model),
            attentions: report.fused,
            tables,
        })
    }
}

/// What the model as it is gives. It is loaded, run and let go before the other is loaded: there is never more than one of
/// them in memory.
struct Expected {
    tried: Tried,
    picture: Picture,
    /// In the model's units.
    depth: Vec<f32>,
}

impl Expected {
    /// `None`: its size is fixed at one that is too large to compare at.
    fn of(setup: Setup<'_>, plain: &Graph) -> Result<Option<Self>, Error> {
        let setup = Setup {
            brief: true,
            ..setup
        };
        let declared = model::select_input(setup.facts, &setup.facts.inputs);
        if declared.is_ok_and(|input| is_too_large(input.input_size())) {
            return Ok(None);
        }
        let (mut network, output) = SessionNetwork::prepare(setup, plain, &Profile::none())?;
        network.try_out(setup.facts, &output, setup.provider)?;
        let description = &network.description;
        if is_too_large(description.input_size) {
            return Ok(None);
        }
        let batch = description.batch.unwrap_or(2);
        let picture = Picture::new(description, COMPARED_AT, batch)?;
        Ok(Some(Self {
            depth: picture.depth(&mut network)?,
            tried: network.tried(),
            picture,
        }))
    }

    /// Opens another graph of the model, which has to give the same.
    fn of_another(&self, setup: Setup<'_>, graph: &Graph) -> Result<SessionNetwork, Error> {
        let profile = Profile::new(setup.provider)?;
        let mut network = SessionNetwork::prepare(setup, graph, &profile)?.0;
        network.follow(&self.tried, setup.facts, setup.provider)?;
        self.compare(setup, &mut network)?;
        network.check_placement(setup.provider, profile)?;
        Ok(network)
    }

    /// Sees whether `network` gives the same.
    fn compare(&self, setup: Setup<'_>, network: &mut SessionNetwork) -> Result<(), Error> {
        let found = self.picture.depth(network)?;
        // what computes in the types of the graph may still take shorter ones within a product
        let exact = !setup.capabilities().computes_in_types_of_graph;
        let tolerance = if exact && network.description.precision == "fp32" {
            TOLERANCE
        } else {
            HALF_TOLERANCE
        };
        let difference = difference(&self.depth, &found);
        if difference <= tolerance {
            return Ok(());
        }
        Err(Error::Inference {
            size: self.picture.size.to_string(),
            reason: format!("its depth differs by {difference:.1e} of the range"),
        })
    }
}

/// The largest difference, in units of the range of `expected`. Infinite where one has a number and the other none.
fn difference(expected: &[f32], found: &[f32]) -> f64 {
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let difference = Difference::of(expected, found);
    if difference.lost + difference.gained > 0 {
        return f64::INFINITY;
    }
    if difference.largest == 0.0 {
        return 0.0;
    }
    // a flat map has no range: then in units of its value
    difference.largest / difference.range().max(1e-3 * difference.magnitude())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inference::Config;
    use crate::inference::onnx::runtime;
    use crate::model::proto::NodeProto;
    use crate::model::{Budget, ModelSource};

    #[test]
    fn differences_are_of_the_range() {
        assert_eq!(difference(&[0.0, 4.0], &[0.0, 4.0]), 0.0);
        assert_eq!(difference(&[0.0, 4.0], &[1.0, 4.0]), 0.25);
        assert_eq!(difference(&[0.0, 4.0], &[0.0]), f64::INFINITY);
        assert_eq!(difference(&[0.0, f32::NAN], &[0.0, 1.0]), f64::INFINITY);
        assert_eq!(difference(&[2.0, f32::NAN], &[2.0, f32::NAN]), 0.0);
        // flat: a thousandth of the value stands in for the range
        assert!((difference(&[5.0, 5.0], &[5.0, 5.005]) - 1.0).abs() < 1e-3);
    }

    /// `graph` with its fused attentions changed.
    fn changed(source: &Model, graph: &Graph, change: impl Fn(&mut NodeProto)) -> Graph {
        let mut model = graph.proto().clone();
        let nodes = &mut model.graph.as_mut().unwrap().node;
        nodes
            .iter_mut()
            .filter(|node| node.op_type() == "MultiHeadAttention")
            .for_each(change);
        Graph::rewritten(source, model)
    }

    #[test]
    fn what_gives_another_depth_is_not_taken() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source = ModelSource::File(root.join("tests/models/attention/transformers-eager.onnx"));
        let config = Config {
            provider: ExecutionProvider::Cpu,
            ..Config::new(source)
        };
        let model = Model::read(&config.model, &Budget::default()).unwrap();
        let setup = Setup {
            runtime: runtime::for_tests(),
            config: &config,
            model: &model,
            facts: model.facts(),
            provider: ExecutionProvider::Cpu,
            source: Source::BuiltIn,
            precision: Precision::Fp32,
            engine: None,
            brief: false,
        };
        let mut graphs = Graphs::of(&model, true).unwrap();
        let network = open_either(setup, &graphs).unwrap();
        assert_eq!(network.description.fused_attentions, 4);
        let notes = network.description.notes.join(" ");
        assert!(!notes.contains("as it is"), "{notes}");

        // it runs, and is wrong
        graphs.rewritten = changed(&model, &graphs.rewritten, |node| {
            for attribute in &mut node.attribute {
                attribute.f = attribute.f.map(|scale| 1.5 * scale);
            }
        });
        SessionNetwork::open_graph(setup, &graphs.rewritten).unwrap();
        let mut network = open_either(setup, &graphs).unwrap();
        assert_eq!(network.description.fused_attentions, 0);
        let notes = network.description.notes.join(" ");
        assert!(
            notes.contains("as it is") && notes.contains("differs by"),
            "{notes}"
        );
        let expected = Expected::of(setup, &graphs.plain).unwrap().unwrap();
        expected.compare(setup, &mut network).unwrap();

        // it does not even load
        graphs.rewritten = changed(&model, &graphs.rewritten, |node| {
            node.op_type = Some("ManyHeadedAttention".to_owned());
        });
        assert!(SessionNetwork::open_graph(setup, &graphs.rewritten).is_err());
        let network = open_either(setup, &graphs).unwrap();
        assert_eq!(network.description.fused_attentions, 0);
    }

    #[test]
    fn what_has_no_attention_is_not_rewritten() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models");
        let of = |name, provider| {
            let source = ModelSource::File(folder.join(name));
            Graphs::of(&Model::read(&source, &Budget::default()).unwrap(), provider)
        };
        assert!(of("pixel-values.onnx", true).is_none());
        let model = "attention/transformers-eager.onnx";
        for (provider, tables) in [(true, 1), (false, 0)] {
            let graphs = of(model, provider).expect("attention");
            assert_eq!((graphs.attentions, graphs.tables), (4, tables));
        }
    }
}
