//! A [`Network`] on ONNX Runtime.

mod agreement;
mod comparison;
mod compiled;
mod failure;
mod fusion;
mod graph;
mod half;
mod settled;
mod tensors;
mod trial;

use std::sync::Arc;

use graph::Graph;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use settled::{Finding, Record};

use super::ep::{self, Capabilities, EngineShape, ExecutionProvider, Placement, Source};
use super::opening;
use super::precision::Precision;
use super::runtime::{Runtime, Version, capture};
use crate::error::Error;
use crate::inference::Config;
use crate::inference::backend::{Cancellation, DepthMaps, Description, Images, InputSize, Network};
use crate::inference::planner::Arena;
use crate::model::{self, DepthKind, DepthOutput, ImageInput, Model, ModelFacts, TensorInfo};
use crate::text;

/// What a session is made of.
#[derive(Clone, Copy)]
pub(super) struct Setup<'a> {
    pub(super) runtime: &'static Runtime,
    pub(super) config: &'a Config,
    pub(super) model: &'a Model,
    pub(super) facts: &'a ModelFacts,
    pub(super) provider: ExecutionProvider,
    /// Where that is from.
    pub(super) source: Source,
    pub(super) precision: Precision,
    /// What an engine is compiled for, with a provider that compiles.
    pub(super) engine: Option<&'a EngineShape<'a>>,
    /// It is run once or twice, to compare with: nothing is done for its speed that takes time and memory first.
    pub(super) brief: bool,
}

impl Setup<'_> {
    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities(&self.config.device)
    }
}

/// Loads the model and tries it: on small pictures, and where its arithmetic is less than fp32 against that.
pub(super) fn open(setup: Setup<'_>, fallbacks: &[String]) -> Result<Box<dyn Network>, Error> {
    if setup.capabilities().compiles_sizes {
        let mut network = compiled::open(setup)?;
        network.description_mut().fallbacks = fallbacks.to_vec();
        return Ok(Box::new(network));
    }
    let mut network = SessionNetwork::open(setup)?;
    network.description.fallbacks = fallbacks.to_vec();
    Ok(Box::new(network))
}

/// A session, its input and output, and the buffers that its runs need.
pub(super) struct SessionNetwork {
    session: Session,
    /// What ONNX Runtime calls the provider that runs it.
    runs_on: String,
    input: ImageInput,
    outputs: Vec<TensorInfo>,
    /// Index of the depth in `outputs`.
    depth: usize,
    options: Options,
    /// The session's arenas, as the run option to shrink them spells them.
    arenas: &'static str,
    /// The image in another order or type, for models that want it so.
    fed: tensors::Fed,
    /// A batch that was filled up, for models that take so many images and no fewer.
    padded: Vec<f32>,
    arena: Arena,
    description: Description,
    /// Its graph was rewritten.
    rewritten: bool,
    /// It is not what it would be with more memory.
    is_makeshift: bool,
}

/// Run options, made once.
#[derive(Clone)]
struct Options {
    /// An ordinary run.
    run: Arc<Shareable>,
    /// As `run`; afterwards unused memory goes back to the system.
    shrink: Arc<Shareable>,
}

/// Run options that another thread ends a run by.
struct Shareable(RunOptions<HasSelectedOutputs>);

// SAFETY: `ort` forbids this because of output tensors that options may hold, and these hold none. What other threads call,
// `terminate` and `unterminate`, sets a flag that ONNX Runtime reads between nodes and promises to be set from any thread.
unsafe impl Sync for Shareable {}

impl Cancellation for Options {
    fn cancel(&self) {
        for options in [&self.run, &self.shrink] {
            // the run then comes to its end by itself
            let _ = options.0.terminate();
        }
    }

    fn reset(&self) {
        for options in [&self.run, &self.shrink] {
            let _ = options.0.unterminate();
        }
    }
}

impl SessionNetwork {
    fn open(setup: Setup<'_>) -> Result<Self, Error> {
        if half::is_wanted(setup) {
            return half::open(setup);
        }
        let record = Record::of(setup);
        match record.read() {
            Some(Finding::Refused(reason)) => return Err(agreement::refused(setup, reason)),
            Some(Finding::Works(settled)) => match Self::open_settled(setup, &settled) {
                Ok(Some(network)) => return Ok(network),
                Err(error @ (Error::ModelUnsupported { .. } | Error::Cancelled)) => {
                    return Err(error);
                }
                // it is found out again
                Ok(None) | Err(_) => {}
            },
            None => {}
        }
        let mut network = fusion::open(setup)?;
        if setup.precision != Precision::Fp32 {
            match agreement::compare(setup, &mut network)? {
                Ok(precision) => network.description.precision = precision.to_owned(),
                Err(reason) => return Err(record.refuse(setup, reason)),
            }
        } else if setup.source.is_plugin() {
            // options that a plugin does not know are dropped in silence, that for fp32 among them
            if let Err(reason) = agreement::compare_full(setup, &mut network)? {
                return Err(record.refuse(setup, reason));
            }
        }
        if let Some(finding) = network.finding() {
            record.write(&finding);
        }
        Ok(network)
    }

    fn open_graph(setup: Setup<'_>, graph: &Graph) -> Result<Self, Error> {
        let profile = Profile::new(setup.provider)?;
        let (mut network, output) = Self::prepare(setup, graph, &profile)?;
        network.try_out(setup.facts, &output, setup.provider)?;
        network.check_placement(setup.provider, profile)?;
        Ok(network)
    }

    /// Loads `graph`, and what its inputs and outputs are.
    fn prepare(
        setup: Setup<'_>,
        graph: &Graph,
        profile: &Profile,
    ) -> Result<(Self, DepthOutput), Error> {
        let Setup {
            runtime,
            config,
            facts,
            provider,
            precision,
            ..
        } = setup;
        let capabilities = setup.capabilities();
        let (session, runs_on) = load(setup, graph, profile)?;
        let inputs = tensors::infos(session.inputs());
        let outputs = tensors::infos(session.outputs());
        let mut input = model::select_input(facts, &inputs)?;
        if let Some(normalization) = config.normalization {
            input = input.with_normalization(normalization)?;
        }
        let output = model::select_output(facts, &outputs)?;
        let options = Options::new(&outputs[output.index].name, capabilities.arenas)
            .map_err(|error| failure::load(provider, facts, runtime, &error, &[]))?;
        let description = Description {
            model: facts.name.clone(),
            kind: DepthKind::Relative,
            kind_is_certain: false,
            normalization: input.normalization.value,
            normalization_is_certain: input.normalization.is_certain,
            interpretation: Vec::new(),
            patch: facts.patch,
            input_size: input.input_size(),
            batch: input.batch,
            provider: provider.ort_name().to_owned(),
            memory: capabilities.memory,
            holds_attention_scores: capabilities.holds_attention,
            precision: ep::precision(provider, precision, &config.device, facts).to_owned(),
            runtime: format!(
                "ONNX Runtime {} ({}), provider {provider} {}",
                runtime.version(),
                runtime.path().display(),
                setup.source.in_words(runtime),
            ),
            placement: None,
            fused_attentions: 0,
            notes: Vec::new(),
            warnings: Vec::new(),
            fallbacks: Vec::new(),
        };
        let mut network = Self {
            session,
            runs_on,
            input,
            depth: output.index,
            outputs,
            options,
            arenas: capabilities.arenas,
            fed: tensors::Fed::default(),
            padded: Vec::new(),
            arena: Arena::default(),
            description,
            rewritten: false,
            is_makeshift: false,
        };
        network.interpret(facts);
        Ok((network, output))
    }

    /// Says what the network is fed and gives, by the output that is chosen.
    fn interpret(&mut self, facts: &ModelFacts) {
        let name = &self.outputs[self.depth].name;
        let depth = facts.depth_of(name);
        let input = &self.input;
        self.description.interpretation = vec![
            format!(
                "its image `{}` is fed as {} ({})",
                text::name(&input.name),
                input.in_words(),
                input.normalization.reason
            ),
            format!(
                "its depth `{}` is {} ({})",
                text::name(name),
                depth.value,
                depth.reason
            ),
        ];
        self.description.kind = depth.value;
        self.description.kind_is_certain = depth.is_certain;
    }

    /// Sees whether the nodes went to the provider that was asked for.
    fn check_placement(
        &mut self,
        provider: ExecutionProvider,
        profile: Profile,
    ) -> Result<(), Error> {
        let Some(_folder) = profile.folder else {
            return Ok(());
        };
        let file = self
            .session
            .end_profiling()
            .map_err(|error| failure::provider(provider, &error, &[]))?;
        let failed = |reason| Error::Provider {
            provider: provider.name().to_owned(),
            reason,
        };
        let placement = Placement::read(file.as_ref()).map_err(failed)?;
        if !placement.is_run_by(&self.runs_on) {
            return Err(failed(format!(
                "it took none of this model's work ({placement})"
            )));
        }
        let heavy_elsewhere = placement
            .providers
            .get(ExecutionProvider::Cpu.ort_name())
            .map_or(0, |share| share.heavy);
        if heavy_elsewhere > 0 {
            self.description.notes.push(format!(
                "the {provider} provider does not run all of this model: {heavy_elsewhere} of its convolutions and \
                 matrix products run on the cpu"
            ));
        }
        self.description.placement = Some(placement.to_string());
        Ok(())
    }

    /// Runs `images` and hands the output named by the options to `read`: its shape, then its values.
    fn run_raw<T>(
        &mut self,
        images: Images<'_>,
        read: impl FnOnce(&[i64], tensors::Values<'_>) -> Result<T, String>,
    ) -> Result<T, Error> {
        let Self {
            session,
            input,
            options,
            fed,
            arena,
            ..
        } = self;
        let failed = |error: ort::Error| failure::run(images.size, &error);
        let shape = input.shape(images.batch, images.size);
        let tensor = fed
            .tensor(input, shape, images.values, images.size.area())
            .map_err(|reason| failure::result(images.size, reason))?;
        let ends = options.clone();
        let options = if arena.count(images.batch * images.size.area()) {
            &options.shrink.0
        } else {
            &options.run.0
        };
        let inputs = vec![(input.name.as_str(), tensor)];
        let ran = opening::endable(
            move || ends.cancel(),
            || session.run_with_options(inputs, options),
        )?;
        let outputs = ran.map_err(|error| {
            let error = failed(error);
            if matches!(error, Error::OutOfMemory { .. }) {
                arena.overflowed();
            }
            opening::or_ended(error)
        })?;
        let result = match outputs.values().next() {
            Some(value) => tensors::values(&value).and_then(|(shape, values)| read(shape, values)),
            None => Err("nothing came back".to_owned()),
        };
        result.map_err(|reason| {
            let error = failure::result(images.size, reason);
            if matches!(error, Error::OutOfMemory { .. }) {
                arena.overflowed();
            }
            error
        })
    }

    fn run_batch(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        self.run_raw(images, |shape, values| {
            depth.size = model::depth_size(shape, images.batch)?;
            depth.batch = images.batch;
            tensors::to_single(values, &mut depth.values)
        })
    }

    /// Refuses what the network was not made for, in words that name the sizes.
    fn check(&self, images: Images<'_>) -> Result<(), Error> {
        let refused = |reason: String| {
            Err(Error::Inference {
                size: images.size.to_string(),
                reason,
            })
        };
        let Images {
            values,
            batch,
            size,
        } = images;
        if batch == 0 || values.len() != batch * 3 * size.area() {
            return refused(format!(
                "{} values are not {batch} images of 3·{size}",
                values.len()
            ));
        }
        if let Some(most) = self.description.batch
            && batch > most
        {
            return refused(format!(
                "this model takes {most} image{} at a time, not {batch}",
                if most == 1 { "" } else { "s" }
            ));
        }
        match self.description.input_size {
            InputSize::Fixed(fixed) if fixed != size => {
                refused(format!("this model takes {fixed} only"))
            }
            _ => Ok(()),
        }
    }
}

impl Network for SessionNetwork {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        self.check(images)?;
        let wanted = self.input.batch.unwrap_or(images.batch);
        if wanted == images.batch {
            return self.run_batch(images, depth);
        }
        let mut padded = std::mem::take(&mut self.padded);
        tensors::repeat_last(images.values, images.batch, wanted, &mut padded);
        let filled = Images {
            values: &padded,
            batch: wanted,
            ..images
        };
        let result = self.run_batch(filled, depth);
        self.padded = padded;
        depth.batch = images.batch;
        depth.values.truncate(images.batch * depth.size.area());
        result
    }

    fn cancellation(&self) -> Option<Arc<dyn Cancellation>> {
        Some(Arc::new(self.options.clone()))
    }
}

impl Options {
    /// `arenas`: those that `shrink` shrinks, as the run option spells them.
    fn new(output: &str, arenas: &str) -> ort::Result<Self> {
        let select = || OutputSelector::no_default().with(output);
        let mut shrink = RunOptions::new()?;
        shrink.set("memory.enable_memory_arena_shrinkage", arenas)?;
        Ok(Self {
            run: Arc::new(Shareable(RunOptions::new()?.with_outputs(select()))),
            shrink: Arc::new(Shareable(shrink.with_outputs(select()))),
        })
    }
}

/// The folder for the profile of the trial runs; none for the CPU, which always runs everything it is given.
struct Profile {
    folder: Option<tempfile::TempDir>,
}

impl Profile {
    fn none() -> Self {
        Self { folder: None }
    }

    fn new(provider: ExecutionProvider) -> Result<Self, Error> {
        if provider == ExecutionProvider::Cpu {
            return Ok(Self::none());
        }
        let folder = tempfile::Builder::new()
            .prefix("depthanything-")
            .tempdir()
            .map_err(|error| Error::Provider {
                provider: provider.name().to_owned(),
                reason: format!(
                    "where the nodes go can't be checked: no temporary folder can be made in {} ({error}); \
                     set TMPDIR to one that can be written",
                    std::env::temp_dir().display()
                ),
            })?;
        Ok(Self {
            folder: Some(folder),
        })
    }
}

/// Options of a session, with the provider registered, and what ONNX Runtime calls that.
fn session_builder(setup: Setup<'_>, profile: &Profile) -> Result<(SessionBuilder, String), Error> {
    let Setup {
        runtime,
        config,
        facts,
        provider,
        source,
        precision,
        engine,
        brief,
        ..
    } = setup;
    let threads = threads(config.threads);
    let registrations = ep::registrations((provider, source), precision, config, threads, engine)?;
    let is_built_in = !registrations.is_empty() && !source.is_plugin();
    if let (true, Some(reason)) = (is_built_in, runtime.providers_taken()) {
        return Err(Error::Provider {
            provider: provider.name().to_owned(),
            reason,
        });
    }
    let builder = || {
        let mut builder = Session::builder(runtime.environment())?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?;
        builder = match spin(runtime.version()) {
            None => builder.with_intra_op_spinning(false)?,
            Some(microseconds) => builder
                .with_intra_op_spinning(true)?
                .with_config_entry(SPIN_DURATION, microseconds)?,
        };
        if brief {
            builder = builder.with_prepacking(false)?;
        }
        if let Some(folder) = &profile.folder {
            builder = builder.with_profiling(folder.path().join("run"))?;
        }
        ort::Result::Ok(builder)
    };
    let (builder, logged) =
        capture(|| builder().map(|builder| ep::register(runtime, &registrations, builder)));
    let builder = builder
        .map_err(|error| failure::load(provider, facts, runtime, &error, &logged))?
        .map_err(|error| failure::provider(provider, &error, &logged))?;
    let runs_on = match registrations.first() {
        Some(registration) => registration.ort_name(),
        None => provider.ort_name(),
    };
    Ok((builder, runs_on.to_owned()))
}

fn load(setup: Setup<'_>, graph: &Graph, profile: &Profile) -> Result<(Session, String), Error> {
    let Setup {
        runtime,
        facts,
        provider,
        ..
    } = setup;
    let (builder, runs_on) = session_builder(setup, profile)?;
    if provider == ExecutionProvider::Openvino {
        runtime.bound_memory_of_providers();
    }
    runtime.watch_divisions_of_providers();
    // older ones have no such function
    let version = runtime.version();
    let canceler = ((version.major, version.minor) >= (1, 22)).then(|| builder.canceler());
    let cancel = move || {
        if let Some(canceler) = &canceler {
            let _ = canceler.cancel();
        }
    };
    let (session, logged) = capture(|| opening::endable(cancel, || graph.commit(builder)));
    // providers load what they compile with when they are used first
    runtime.watch_divisions_of_providers();
    let session = session?.map_err(|error| {
        opening::or_ended(failure::load(provider, facts, runtime, &error, &logged))
    })?;
    Ok((session, runs_on))
}

/// How long a thread waits for work awake.
const SPIN_DURATION: &str = "session.intra_op.spin_duration_us";

/// How many microseconds of [`SPIN_DURATION`]; `None`: not at all.
///
/// A thread that goes to sleep between two operators is woken too late for the next: without spinning a run takes 9 %
/// longer at 252². One that spins on, as is ONNX Runtime's default, takes the core from whoever computes: on a busy
/// machine a run takes 1.6 times as long. Fifty microseconds bridge the gaps, and cost nothing on either
/// (benches/results/cpu-provider.md).
fn spin(runtime: Version) -> Option<&'static str> {
    // older ones spin as long as they like
    let takes_duration = (runtime.major, runtime.minor) >= (1, 26);
    takes_duration.then_some("50")
}

/// `wanted`, or as many as this process may use.
fn threads(wanted: usize) -> usize {
    if wanted > 0 {
        return wanted;
    }
    // a number of its own, because with 0 ONNX Runtime would pin each thread to a core
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_spin_only_where_that_can_be_bounded() {
        let spin = |text| spin(Version::parse(text).expect("a version"));
        assert_eq!(spin("1.25.3"), None);
        assert_eq!(spin("1.26.0"), Some("50"));
        assert_eq!(spin("2.0.0"), Some("50"));
    }
}
