//! The seam between the element and whatever runs the network.
//!
//! A [`Network`] describes itself and turns a batch of normalised images into depth maps. ONNX Runtime
//! is one way of doing that, a server that is asked over a wire another.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::geometry::Size;
pub use crate::model::{DepthKind, InputNormalization, InputSize};

/// Where a network keeps most of what it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MemoryDomain {
    /// In the memory of this process, where it can be measured and limited.
    #[default]
    Host,
    /// In that of a device, such as a GPU.
    Device,
}

/// Where and how a network runs, and what it takes and gives.
#[derive(Debug, Clone)]
pub struct Description {
    /// The model's name: its file name without extension, or `builtin`.
    pub model: String,
    /// What the depth values are.
    pub kind: DepthKind,
    /// Whether the model's file leaves no doubt about `kind`.
    pub kind_is_certain: bool,
    /// The values that [`Images`] have to have.
    pub normalization: InputNormalization,
    /// Whether the model's file, or the user, leaves no doubt about `normalization`.
    pub normalization_is_certain: bool,
    /// What the network is fed and what it gives, and how that was found out, in sentences for a log.
    pub interpretation: Vec<String>,
    /// Sides of the input are multiples of this many pixels.
    pub patch: u32,
    /// Which sizes it takes.
    pub input_size: InputSize,
    /// Most images in one run where the model limits them; `None`: any number. Where it takes no fewer either, a run of
    /// fewer is filled up and costs as much.
    pub batch: Option<usize>,
    /// The execution provider that runs it, as ONNX Runtime names it (`CPUExecutionProvider`, …), or the kind of server:
    /// `triton`, `kserve`.
    pub provider: String,
    /// Where its memory is.
    pub memory: MemoryDomain,
    /// Whether an attention that is not one operator holds its scores, which grow with the square of the tokens.
    pub holds_attention_scores: bool,
    /// Arithmetic: `fp32`, `fp16`, `bf16`, `int8`.
    pub precision: String,
    /// The software that runs it, with its version and path.
    pub runtime: String,
    /// How many nodes of the graph went to which provider, where that was checked.
    pub placement: Option<String>,
    /// Attentions that were made one operator at load, because the provider takes it and gives the same numbers.
    pub fused_attentions: usize,
    /// What a user should know of this model and could not have expected, in sentences.
    pub notes: Vec<String>,
    /// What a user should mend, in sentences.
    pub warnings: Vec<String>,
    /// Providers that `auto` tried before, and why each does not work here.
    pub fallbacks: Vec<String>,
}

impl Description {
    /// A relative model that takes images of any size and number, in ImageNet's values and patches of 14 pixels, and runs in
    /// fp32 in the memory of this process: what a network of another kind fills in the rest of.
    #[cfg(any(feature = "testing", feature = "remote"))]
    pub fn of_any_size(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            kind: DepthKind::Relative,
            kind_is_certain: true,
            normalization: InputNormalization::Imagenet,
            normalization_is_certain: true,
            interpretation: Vec::new(),
            patch: 14,
            input_size: InputSize::Any,
            batch: None,
            provider: String::new(),
            memory: MemoryDomain::Host,
            holds_attention_scores: false,
            precision: "fp32".to_owned(),
            runtime: String::new(),
            placement: None,
            fused_attentions: 0,
            notes: Vec::new(),
            warnings: Vec::new(),
            fallbacks: Vec::new(),
        }
    }

    /// Whether the memory of a run grows with the square of the tokens.
    pub fn memory_is_quadratic(&self) -> bool {
        self.holds_attention_scores && self.fused_attentions == 0
    }
}

/// Images to run: `[batch, 3, height, width]`, RGB, contiguous, in the values that [`Description::normalization`] says.
/// The order and the type of elements that the network takes are the network's own matter.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// `batch · 3 · height · width` values.
    pub values: &'a [f32],
    /// Number of images.
    pub batch: usize,
    /// Size of each.
    pub size: Size,
}

/// Depth maps that came back: `[batch, height, width]`, contiguous. Kept by the caller and used again.
#[derive(Debug, Clone, Default)]
pub struct DepthMaps {
    /// `batch · height · width` values in the model's own units; may hold NaN or infinity.
    pub values: Vec<f32>,
    /// Number of maps.
    pub batch: usize,
    /// Size of each; not always that of the input.
    pub size: Size,
}

/// Whether a network can run at a size without a wait.
#[derive(Debug, Clone)]
pub enum Readiness {
    /// It can.
    Ready,
    /// Compiling its engine has taken so long as yet.
    Preparing(Duration),
    /// It can't be made ready.
    Failed(Error),
}

/// Makes sizes ready on threads of its own, for networks that compile an engine for each.
pub trait Preparation: Send + Sync {
    /// Begins to make `size` ready unless that has begun, and tells how far it is. Does not block.
    fn prepare(self: Arc<Self>, size: Size) -> Readiness;
}

/// Ends a run from another thread.
pub trait Cancellation: Send + Sync {
    /// The run that is under way ends as soon as it can, with an error, and so do those that follow.
    fn cancel(&self);

    /// Runs are done again. Called when none is under way.
    fn reset(&self);
}

/// How servers that run a network are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServerStatistics {
    /// Requests that are under way.
    pub in_flight: usize,
    /// Requests that were sent again.
    pub retries: u64,
    /// Median time from a request to its answer, of the latest.
    pub round_trip_p50: Duration,
    /// 99th percentile of it.
    pub round_trip_p99: Duration,
}

/// No server is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Since when.
    pub since: Instant,
    /// It has lasted too long: runs fail.
    pub is_over: bool,
}

/// Something has happened to a server.
#[cfg_attr(not(feature = "remote"), allow(dead_code, reason = "of servers"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// It does not answer; others may.
    Lost {
        /// Its address.
        server: String,
        /// Why, in words.
        reason: String,
    },
    /// It answers again.
    Back {
        /// Its address.
        server: String,
    },
}

/// Hears of servers, on a thread of theirs. It has to be quick.
pub type ServerListener = dyn Fn(&ServerEvent) + Send + Sync;

/// The servers that run a network elsewhere.
pub trait Connection: Send + Sync {
    /// How they are doing.
    fn statistics(&self) -> ServerStatistics;

    /// `None`: one is there. Else a run waits for one.
    fn outage(&self) -> Option<Outage>;

    /// `listener` hears what happens to them for as long as it lives, and at once of those that are away.
    fn listen(&self, listener: Weak<ServerListener>);
}

/// A loaded depth network.
pub trait Network: Send {
    /// What it is and where it runs.
    fn description(&self) -> &Description;

    /// Runs one batch and fills `depth`. Blocks until done.
    ///
    /// # Errors
    /// [`Error::Inference`] when the run fails or the result has not the form promised at load.
    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error>;

    /// How sizes are made ready while others run; `None` where every size runs at once. A run at a size that is not
    /// ready waits for it.
    fn preparation(&self) -> Option<Arc<dyn Preparation>> {
        None
    }

    /// The servers that run it; `None` where it runs in this process.
    fn connection(&self) -> Option<Arc<dyn Connection>> {
        None
    }

    /// What ends its runs before they are done; `None` where nothing does.
    fn cancellation(&self) -> Option<Arc<dyn Cancellation>> {
        None
    }
}
