//! Running a network, whoever does: the seam, the scheduler, what is shared, what fits in time and memory.
//!
//! ```no_run
//! use gstdepthanything::inference::{self, Config, ExecutionProvider};
//! use gstdepthanything::model::ModelSource;
//!
//! # fn main() -> Result<(), gstdepthanything::error::Error> {
//! let config = Config {
//!     provider: ExecutionProvider::Cpu,
//!     ..Config::new(ModelSource::Builtin)
//! };
//! let network = inference::open(&config, &mut |progress| println!("{progress:?}"))?;
//! println!("{:?}", network.description());
//! # Ok(())
//! # }
//! ```

pub mod backend;
pub(crate) mod detailed;
pub mod onnx;
pub mod planner;
mod registry;
pub mod remote;
mod scheduler;
pub mod shared;
pub(crate) mod sizes;
pub(crate) mod starting;
mod under_way;

use std::path::PathBuf;

use crate::error::Error;
use crate::model::{Cancel, InputNormalization, Model, ModelSource};

pub use backend::Network;
pub use onnx::ep::ExecutionProvider;
pub use onnx::precision::Precision;
pub use remote::Servers;
pub(crate) use under_way::watch_main_thread;

/// Everything that decides what a loaded network is: equal configurations can share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Config {
    /// The model.
    pub model: ModelSource,
    /// The servers that run it, with a model of theirs instead of `model`; `None`: it runs in this process.
    pub servers: Option<Servers>,
    /// What runs it.
    pub provider: ExecutionProvider,
    /// The provider's device: `0`, `GPU.1`, …; empty for its first.
    pub device: String,
    /// Arithmetic of the inference; `None`: the fastest that gives the depth that fp32 gives.
    pub precision: Option<Precision>,
    /// Where compiled engines are kept, and what has been found out about models; `None`: `depthanything` in the user's cache
    /// folder.
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
            servers: None,
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

/// Where opening a network ends before it is done. No part of what the network is.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Nobody wants it any more.
    pub cancel: Cancel,
    /// Bytes that inference may take; `None`: what the machine has. A size that a model leaves no choice of is tried within
    /// it.
    pub memory: Option<u64>,
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
    /// Servers do not answer yet, and are asked again.
    #[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "of servers"))]
    Reconnecting {
        /// Its short name.
        provider: &'static str,
        /// Why, in words.
        reason: String,
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
        /// Arithmetic, as [`backend::Description::precision`].
        precision: String,
        /// Where the provider is from, in words; empty for servers.
        source: String,
        /// Since the call of [`open`].
        seconds: f64,
    },
}

/// Where a network comes from.
enum Source {
    /// A model that was read, to be run here.
    Here(Box<Model>),
    /// Servers.
    Elsewhere,
}

impl Source {
    /// Reads the model of `config`, unless servers have it.
    fn find(config: &Config, cancel: &Cancel) -> Result<Self, Error> {
        match config.servers {
            Some(_) => Ok(Self::Elsewhere),
            None => onnx::read(config, cancel.clone()).map(|model| Self::Here(Box::new(model))),
        }
    }

    /// A network for each request that may be under way.
    fn open(
        self,
        config: &Config,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Box<dyn Network>>, Error> {
        match (self, &config.servers) {
            (Self::Elsewhere, Some(servers)) => {
                remote::open(servers, config.normalization, &limits.cancel, progress)
            }
            (Self::Here(model), _) => {
                onnx::open(config, *model, limits, progress).map(|network| vec![network])
            }
            (Self::Elsewhere, None) => Err(Error::Cancelled),
        }
    }
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
/// - [`Error::Server`]: servers were named, and do not run it.
#[cfg(feature = "testing")]
pub fn open(
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    open_within(&Limits::default(), config, progress)
}

/// As [`open`], within `limits`.
///
/// # Errors
/// As [`open`], [`Error::Cancelled`], and [`Error::Setting`] for a limit that is too low.
pub(crate) fn open_within(
    limits: &Limits,
    config: &Config,
    progress: &mut dyn FnMut(Progress),
) -> Result<Box<dyn Network>, Error> {
    let source = Source::find(config, &limits.cancel)?;
    let mut networks = source.open(config, limits, progress)?;
    networks.pop().ok_or(Error::Cancelled)
}
