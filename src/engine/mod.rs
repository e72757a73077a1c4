//! Running a network: finding ONNX Runtime, choosing an execution provider, keeping a session.
//!
//! ```no_run
//! use gstdepthanything::engine::{self, Config, ExecutionProvider};
//! use gstdepthanything::model::ModelSource;
//!
//! # fn main() -> Result<(), gstdepthanything::error::Error> {
//! let config = Config {
//!     provider: ExecutionProvider::Cpu,
//!     ..Config::new(ModelSource::Builtin)
//! };
//! let network = engine::open(&config, &mut |progress| println!("{progress:?}"))?;
//! println!("{:?}", network.description());
//! # Ok(())
//! # }
//! ```

mod cache;
pub mod ep;
mod isolated;
pub mod network;
mod opening;
pub mod planner;
pub mod precision;
pub mod runtime;
mod session;
pub mod shared;
mod sized;
pub(crate) mod sizes;
pub(crate) mod starting;
mod under_way;

use std::path::PathBuf;
use std::time::Instant;

use crate::error::Error;
use crate::model::{Budget, Cancel, InputNormalization, Model, ModelSource};
use crate::panics;

pub use ep::ExecutionProvider;
pub use network::Network;
pub use precision::Precision;
pub(crate) use under_way::watch_main_thread;

use ep::{Attempt, Choice};
use network::MemoryDomain;
use runtime::{Runtime, Version};
use session::Setup;

/// Everything that decides what a loaded network is: equal configurations can share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The model.
    pub model: ModelSource,
    /// What runs it.
    pub provider: ExecutionProvider,
    /// The provider's device: `0`, `GPU.1`, …; empty for its first.
    pub device: String,
    /// Arithmetic of the inference; `None`: the fastest that gives the depth that fp32 gives.
    pub precision: Option<Precision>,
    /// Where compiled engines are kept; `None`: `depthanything` in the user's cache folder.
    pub engine_cache: Option<PathBuf>,
    /// CPU threads for inference; 0: all.
    pub threads: usize,
    /// The values that the model wants its image in; `None`: what its file tells, else ImageNet's.
    pub normalization: Option<InputNormalization>,
    /// Whether the graph may be rewritten where that gives the same numbers with less time and memory
    /// ([`crate::model::rewrite`]). There is no reason to forbid it but to compare.
    pub rewrite: bool,
}

impl Config {
    /// `model` with the best provider, its first device and all threads.
    pub fn new(model: ModelSource) -> Self {
        Self {
            model,
            provider: ExecutionProvider::Auto,
            device: String::new(),
            precision: None,
            engine_cache: None,
            threads: 0,
            normalization: None,
            rewrite: true,
        }
    }

    /// The same for the CPU provider, which has no devices and no choice of precision.
    fn on_any_cpu(&self) -> Self {
        Self {
            provider: ExecutionProvider::Cpu,
            device: String::new(),
            precision: None,
            ..self.clone()
        }
    }
}

/// What happens while a network is opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// A provider is being tried: the model is loaded and run for the first time.
    Loading {
        /// Its short name.
        provider: &'static str,
    },
    /// Its engine is compiled unless it is in the cache, which may take minutes.
    Compiling {
        /// Its short name.
        provider: &'static str,
    },
    /// It does not work here, at least not in this precision, and `auto` goes on to the next.
    Fallback {
        /// Its short name.
        provider: &'static str,
        /// The arithmetic that was tried.
        precision: &'static str,
        /// Why, in words.
        reason: String,
    },
    /// It works.
    Ready {
        /// Its short name.
        provider: &'static str,
        /// Arithmetic, as [`network::Description::precision`].
        precision: String,
        /// Since the call of [`open`].
        seconds: f64,
    },
}

/// Opens a network: finds ONNX Runtime, reads the model, makes a session on the first provider that works, and runs
/// it on a picture of its own to see that depth comes back.
///
/// # Errors
/// - [`Error::Runtime`]: no usable ONNX Runtime.
/// - [`Error::ModelFile`], [`Error::ModelInvalid`], [`Error::ModelUnsupported`]: the model.
/// - [`Error::Provider`], [`Error::Setting`]: a named provider or its device does not work here; with `auto`, the last
///   one tried.
/// - [`Error::OutOfMemory`]: not even a small picture fits.
pub fn open(
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let cancel = Cancel::default();
    let model = read(config, cancel.clone())?;
    open_model(config, model, &cancel, progress)
}

/// Reads the model of `config`, within what memory the machine has.
///
/// # Errors
/// As [`Model::read`].
fn read(config: &Config, cancel: Cancel) -> Result<Model, Error> {
    let memory = planner::available().unwrap_or(u64::MAX);
    or_broken(config, || {
        Model::read(&config.model, &Budget::new(cancel).with_memory(memory))
    })
}

/// As [`open`], with the model read already, until it is cancelled.
fn open_model(
    config: &Config,
    model: Model,
    cancel: &Cancel,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let of_thread = config.clone();
    opening::watched(
        (config.model.label(), model.length()),
        cancel,
        progress,
        move |progress| {
            or_broken(&of_thread, || {
                open_on_a_provider(&of_thread, &model, progress)
            })
        },
    )
}

/// Runs what a model file may bring to a panic, which is then an error that names the file.
fn or_broken<T>(config: &Config, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    panics::caught(work).unwrap_or_else(|words| {
        Err(Error::ModelInvalid {
            model: config.model.label(),
            reason: format!("this plugin has failed on it ({words}); please report that"),
        })
    })
}

/// Refuses what this version of the runtime is known to leave its memory for.
fn refuse_unchecked(config: &Config, model: &Model, runtime: &Runtime) -> Result<(), Error> {
    /// Take places from an input, and read or write there without looking with 1.24: lengths of what went before, places of
    /// maxima, numbers of images.
    const OPERATORS: [&str; 3] = ["GroupQueryAttention", "MaxUnpool", "RoiAlign"];
    /// Is known to look.
    const LOOKS: Version = Version {
        major: 1,
        minor: 32,
        patch: 0,
    };
    let version = runtime.version();
    let unsafe_here = OPERATORS.iter().find(|operator| model.uses(operator));
    if version < LOOKS
        && let Some(operator) = unsafe_here
    {
        return Err(Error::ModelUnsupported {
            model: config.model.label(),
            found: format!("the operator {operator}, which ONNX Runtime {version} runs unsafely"),
            wanted: format!("ONNX Runtime {LOOKS} or newer for it"),
        });
    }
    Ok(())
}

fn open_on_a_provider(
    config: &Config,
    model: &Model,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let start = Instant::now();
    let facts = model.facts();
    let runtime = opening::uncounted(|| {}, runtime::load)??;
    refuse_unchecked(config, model, runtime)?;
    under_way::register("onnxruntime");
    if config.provider != ExecutionProvider::Auto {
        ep::check_built_in(config.provider, runtime)?;
    }
    let choice = Choice {
        provider: config.provider,
        precision: config.precision,
        device: &config.device,
        facts,
        cpu_has_bf16: precision::cpu_has_bf16(),
    };
    let attempts = choice.attempts(&ep::built_in())?;

    let is_on_device = |attempt: &Attempt| {
        attempt.provider.capabilities(&config.device).memory == MemoryDomain::Device
    };
    let on_cpu;
    // compilers and libraries of devices take long: there, ONNX Runtime's own part of it has to do
    let tried = match attempts.iter().any(is_on_device) {
        true => {
            on_cpu = config.on_any_cpu();
            &on_cpu
        }
        false => config,
    };
    isolated::try_out(tried, model, runtime)?;

    let mut fallbacks = Vec::new();
    let mut failure = Error::Provider {
        provider: config.provider.name().to_owned(),
        reason: "this ONNX Runtime has none".to_owned(),
    };
    for (
        index,
        &Attempt {
            provider,
            precision,
        },
    ) in attempts.iter().enumerate()
    {
        let name = provider.name();
        progress(Progress::Loading { provider: name });
        opening::attempt(provider, &config.device);
        let setup = Setup {
            runtime,
            config,
            model,
            facts,
            provider,
            precision,
            engine: None,
        };
        if provider.capabilities(&config.device).compiles_sizes {
            progress(Progress::Compiling { provider: name });
        }
        failure = match session::open(setup, &fallbacks) {
            Ok(network) => {
                under_way::register(name);
                progress(Progress::Ready {
                    provider: name,
                    precision: network.description().precision.clone(),
                    seconds: start.elapsed().as_secs_f64(),
                });
                return Ok(network);
            }
            // no other provider would take this model either
            Err(error @ (Error::ModelUnsupported { .. } | Error::Cancelled)) => return Err(error),
            Err(error) => error,
        };
        let reason = failure.to_string();
        // what is missing is missing in each precision
        if index + 1 < attempts.len() && !fallbacks.contains(&reason) {
            progress(Progress::Fallback {
                provider: name,
                precision: precision.name(),
                reason: reason.clone(),
            });
            fallbacks.push(reason);
        }
    }
    Err(failure)
}
