//! TensorRT: an engine for each size, compiled once and kept.

use std::sync::Arc;

use super::trial::picture;
use super::{Graph, Profile, SessionNetwork, Setup, agreement, fusion, half, session_builder};
use crate::error::Error;
use crate::geometry::Size;
use crate::inference::Config;
use crate::inference::backend::{DepthMaps, Images, InputSize, Network};
use crate::inference::onnx::cache::{Cache, Kept, Key};
use crate::inference::onnx::ep::{EngineShape, ExecutionProvider, Source, nvidia, tensorrt};
use crate::inference::onnx::precision::Precision;
use crate::inference::onnx::runtime::Runtime;
use crate::inference::onnx::sized::SizedNetwork;
use crate::inference::under_way::UnderWay;
use crate::model::{ImageInput, Model};
use crate::panics;

/// In patches: the first engine, which shows that it works and what it gives.
const FIRST: (u32, u32) = (18, 13);

/// All that it takes to compile a size.
struct Recipe {
    runtime: &'static Runtime,
    config: Config,
    model: Model,
    provider: ExecutionProvider,
    source: Source,
    precision: Precision,
    graph: Graph,
    /// Of what is compiled, weights included.
    digest: [u8; 32],
    cache: Cache,
    input: ImageInput,
    settled: Settled,
}

/// What trial runs settled, on the CPU, where they cost no compilation.
struct Settled {
    input_size: InputSize,
    patch: u32,
    depth: usize,
    notes: Vec<String>,
}

pub(super) fn open(setup: Setup<'_>) -> Result<SizedNetwork, Error> {
    // missing libraries show here, before anything is done
    session_builder(setup, &Profile::none())?;
    let plain = fusion::open(Setup {
        provider: ExecutionProvider::Cpu,
        source: Source::BuiltIn,
        precision: Precision::Fp32,
        config: &setup.config.on_any_cpu(),
        ..setup
    })?;
    let settled = Settled {
        input_size: plain.description.input_size,
        patch: plain.description.patch,
        depth: plain.depth,
        notes: plain.description.notes.clone(),
    };
    let input = plain.input.clone();
    drop(plain);
    let graph = if half::is_wanted(setup) {
        half::graph(setup, false)?.0
    } else {
        Graph::of(setup.model)
    };
    let recipe = Arc::new(Recipe {
        runtime: setup.runtime,
        config: setup.config.clone(),
        model: setup.model.clone(),
        provider: setup.provider,
        source: setup.source,
        precision: setup.precision,
        digest: digest(&graph, setup.model),
        graph,
        cache: Cache::new(setup.config.engine_cache.as_deref()),
        input,
        settled,
    });
    let size = match recipe.settled.input_size {
        InputSize::Fixed(size) => size,
        InputSize::Any => Size::new(
            FIRST.0 * recipe.settled.patch,
            FIRST.1 * recipe.settled.patch,
        ),
    };
    let mut first = recipe.compile(size)?;
    let mut description = first.description.clone();
    if setup.precision != Precision::Fp32 {
        description.precision = agreement::check(setup, &mut first)?.to_owned();
    }
    Ok(SizedNetwork::new(
        description,
        (size, Box::new(first)),
        Box::new(move |size| {
            // on a thread of its own: a panic would leave those who wait for this size waiting
            let failed = |reason| Error::Inference {
                size: size.to_string(),
                reason,
            };
            let _under_way =
                UnderWay::enter().map_err(|_| failed("the program is ending".to_owned()))?;
            let network = panics::caught(|| recipe.compile(size)).map_err(|words| {
                failed(format!(
                    "this plugin has failed while it compiled ({words}); please report that"
                ))
            })??;
            Ok(Box::new(network) as Box<dyn Network>)
        }),
    ))
}

impl Recipe {
    fn images(&self) -> usize {
        self.input.batch.unwrap_or(1)
    }

    /// The network of `size`, from the cache if it is there.
    fn compile(&self, size: Size) -> Result<SessionNetwork, Error> {
        let batch = self.images();
        let shape = self.input.shape(batch, size);
        let device = nvidia::device(self.provider, &self.config.device)?;
        let wanted = EngineShape {
            input: &self.input.name,
            shape: &shape,
            places: None,
        };
        let options: Vec<String> = tensorrt::engine_options(device, Some(&wanted))
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let key = Key {
            model: self.digest,
            size,
            batch,
            precision: self.precision.name(),
            options: &options.join(";"),
            device: &format!("{device} of {}", nvidia::gpus()),
            compiler: &tensorrt::version(),
            runtime: &self.runtime.version().to_string(),
        };
        let (mut network, kept) = self.cache.with_engine(&key, |places| {
            self.session(size, &EngineShape { places, ..wanted })
        })?;
        if let Kept::Lost(reason) = kept {
            network.description.notes.push(format!(
                "its engine will be compiled again at the next start: {reason}"
            ));
        }
        Ok(network)
    }

    fn session(&self, size: Size, shape: &EngineShape<'_>) -> Result<SessionNetwork, Error> {
        let setup = Setup {
            runtime: self.runtime,
            config: &self.config,
            model: &self.model,
            facts: self.model.facts(),
            provider: self.provider,
            source: self.source,
            precision: self.precision,
            engine: Some(shape),
            brief: false,
        };
        let profile = Profile::new(self.provider)?;
        let mut network = SessionNetwork::prepare(setup, &self.graph, &profile)?.0;
        let batch = self.images();
        network.description.input_size = self.settled.input_size;
        network.description.patch = self.settled.patch;
        network.description.batch = Some(batch);
        network.description.notes.clone_from(&self.settled.notes);
        network.select(self.settled.depth, self.provider)?;
        network.interpret(self.model.facts());
        // what is left to compile is compiled by the first run
        let values = picture(batch, size, network.description.normalization)?;
        let images = Images {
            values: &values,
            batch,
            size,
        };
        network.run(images, &mut DepthMaps::default())?;
        network.check_placement(self.provider, profile)?;
        Ok(network)
    }
}

/// Of what is compiled: the graph, and weights that it has in files.
fn digest(graph: &Graph, model: &Model) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(&graph.digest());
    hash.update(&model.digest());
    hash.finalize().into()
}
