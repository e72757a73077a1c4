//! ONNX Runtime: found and loaded, an execution provider chosen, a session kept. The only module that knows `ort`.

mod cache;
pub mod ep;
mod fingerprint;
mod isolated;
mod measured;
mod opening;
pub mod precision;
pub mod runtime;
mod session;
mod sized;

use std::time::Instant;

use super::backend::{MemoryDomain, Network};
use super::{Config, Limits, Progress, planner, under_way};
use crate::error::Error;
use crate::model::{Budget, Cancel, Model};
use crate::panics;

use ep::{AUTO, Attempt, Choice, ExecutionProvider, Source};
use runtime::{Runtime, Version};
use session::Setup;

pub(super) use measured::MemoryRecord;

/// Reads the model of `config`, within what memory the machine has.
///
/// # Errors
/// As [`Model::read`].
pub(super) fn read(config: &Config, cancel: Cancel) -> Result<Model, Error> {
    let memory = planner::available().unwrap_or(u64::MAX);
    or_broken(config, || {
        Model::read(&config.model, &Budget::new(cancel).with_memory(memory))
    })
}

/// As [`super::open`], with the model read already, until it is cancelled.
pub(super) fn open(
    config: &Config,
    model: Model,
    limits: &Limits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let of_thread = config.clone();
    let memory_limit = limits.memory;
    opening::watched(
        (config.model.label(), model.length()),
        limits,
        progress,
        move |progress| {
            or_broken(&of_thread, || {
                open_on_a_provider(&of_thread, &model, memory_limit, progress)
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

/// The providers that may be tried, and where each is from. `auto` goes on without plugins that don't work, and tells.
///
/// # Errors
/// [`Error::Provider`] when the one that is named is not there.
fn sources(
    config: &Config,
    runtime: &Runtime,
    fails: &mut dyn FnMut(&'static str, String),
) -> Result<Vec<(ExecutionProvider, Source)>, Error> {
    if config.provider != ExecutionProvider::Auto {
        let source = Source::require(config.provider, runtime)?;
        return Ok(vec![(config.provider, source)]);
    }
    let mut sources = Vec::new();
    for provider in AUTO {
        match Source::find(provider, runtime) {
            Ok(Some(source)) => sources.push((provider, source)),
            Ok(None) => {}
            Err(error) => fails(provider.name(), error.to_string()),
        }
    }
    Ok(sources)
}

fn open_on_a_provider(
    config: &Config,
    model: &Model,
    memory_limit: Option<u64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let start = Instant::now();
    let facts = model.facts();
    let runtime = opening::uncounted(|| {}, runtime::load)??;
    refuse_unchecked(config, model, runtime)?;
    under_way::register("onnxruntime");
    let mut fallbacks = Vec::new();
    let mut fails = |provider, reason: String| {
        progress(Progress::Fallback {
            provider,
            precision: "",
            reason: reason.clone(),
        });
        fallbacks.push(reason);
    };
    // libraries may come from a slow disk
    let sources = opening::uncounted(|| {}, || sources(config, runtime, &mut fails))??;
    let choice = Choice {
        provider: config.provider,
        precision: config.precision,
        device: &config.device,
        facts,
        cpu_has_bf16: precision::cpu_has_bf16(),
    };
    let available: Vec<_> = sources.iter().map(|(provider, _)| *provider).collect();
    let attempts = choice.attempts(&available)?;

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
    isolated::try_out(tried, model, runtime, memory_limit)?;

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
        let source = sources
            .iter()
            .find_map(|&(known, source)| (known == provider).then_some(source))
            .unwrap_or(Source::BuiltIn);
        progress(Progress::Loading { provider: name });
        opening::attempt(provider, &config.device);
        let setup = Setup {
            runtime,
            config,
            model,
            facts,
            provider,
            source,
            precision,
            engine: None,
            brief: false,
        };
        if provider.capabilities(&config.device).compiles {
            progress(Progress::Compiling { provider: name });
        }
        failure = match session::open(setup, &fallbacks) {
            Ok(network) => {
                under_way::register(name);
                // what loading has taken and let go
                planner::give_back();
                progress(Progress::Ready {
                    provider: name,
                    precision: network.description().precision.clone(),
                    source: source.in_words(runtime),
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
