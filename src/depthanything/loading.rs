//! From settings to a stream: the model is loaded on a thread of its own, with its story told on the bus and in the log.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_video::VideoInfo;

use super::messages::{self, EngineNews, ToMessage};
use super::settings::LoadSettings;
use super::stream::Stream;
use super::{CAT, ExecutionProvider, InputNormalization, ModelDepth, Precision};
use crate::error::Error;
use crate::inference::backend::{DepthKind, Description, InputSize, ServerEvent};
use crate::inference::onnx::ep::short_name;
use crate::inference::onnx::runtime::{self, LogLevel};
use crate::inference::shared::{self, Batching, Interrupt, Shared};
use crate::inference::sizes::Compilation;
use crate::inference::starting::Starting;
use crate::inference::{self, Limits, Progress};
use crate::model::{self, Cancel, ModelSource};
use crate::sync::lock;

/// What ONNX Runtime itself has to say.
static CAT_RUNTIME: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "onnxruntime",
        gst::DebugColorFlags::empty(),
        Some("ONNX Runtime's own log"),
    )
});

/// The start of the element waits for its model no longer than this, as who stops it has to wait for the start.
const MOMENT: Duration = Duration::from_millis(200);

type Element = super::DepthAnything;

/// Formats of frames and their depth.
#[derive(Debug, Clone)]
pub(super) struct Formats {
    pub(super) frame: VideoInfo,
    pub(super) depth: VideoInfo,
    /// The time between two frames, where somebody waits for them.
    pub(super) pace: Option<Duration>,
    /// They keep to a clock: what the network's first run takes longer is not for the first of them to wait for.
    pub(super) timed: bool,
}

/// From the element's start to its stop: its model, while it is loaded, and the stream that it gives.
#[derive(Default)]
pub(super) struct Session {
    /// Taken out by the thread that works with it, so that no lock is held over an inference.
    stream: Mutex<Option<Stream>>,
    /// The model is being loaded.
    starting: Mutex<Option<Arc<Starting>>>,
    /// Ends the stream's wait for a network that others use.
    interrupt: Mutex<Option<Interrupt>>,
    /// Formats that the stream has not been told yet.
    pending: Mutex<Option<Formats>>,
}

impl Session {
    /// Loads the model on a thread of its own. What goes wrong soon fails the start, and what goes wrong later is told by a
    /// message.
    ///
    /// # Errors
    /// See [`load`].
    pub(super) fn start(&self, element: &Element, settings: &LoadSettings) -> Result<(), Error> {
        let [loads, installs, fails] = [(); 3].map(|()| element.clone());
        let of_thread = settings.clone();
        let starting = Starting::begin(
            move |cancel| open(&loads, &of_thread, cancel),
            move |(stream, interrupt)| {
                let session = &installs.imp().session;
                session.install(&installs, stream, interrupt);
            },
            move |error| fails.imp().post_error_message(error.to_message()),
        );
        let Ok(starting) = starting else {
            // no thread can be started: here, then
            let (stream, interrupt) = open(element, settings, Cancel::default())?;
            self.install(element, stream, interrupt);
            return Ok(());
        };
        match starting.wait_a_moment(MOMENT) {
            Some(result) => result,
            None => {
                *lock(&self.starting) = Some(starting);
                Ok(())
            }
        }
    }

    /// Abandons what is being loaded, so that nothing is installed any more.
    pub(super) fn abandon(&self) {
        let starting = lock(&self.starting).take();
        if let Some(starting) = starting {
            starting.abandon();
        }
    }

    /// Lets the stream go.
    pub(super) fn end(&self) {
        *lock(&self.pending) = None;
        let stream = lock(&self.stream).take();
        drop(stream);
        *lock(&self.interrupt) = None;
    }

    /// From here on frames run through `stream`.
    fn install(&self, element: &Element, stream: Stream, interrupt: Interrupt) {
        {
            let network = stream.network();
            let mut stats = lock(&element.imp().stats);
            stats.provider.clone_from(&network.description().provider);
            stats.precision.clone_from(&network.description().precision);
            stats.stream_count = network.stream_count();
            stats.connection = network.connection().cloned();
        }
        *lock(&self.interrupt) = Some(interrupt);
        *lock(&self.stream) = Some(stream);
    }

    /// Works on the stream without holding its lock; `None`: there is none.
    pub(super) fn with_stream<T>(&self, work: impl FnOnce(&mut Stream) -> T) -> Option<T> {
        let mut stream = lock(&self.stream).take()?;
        let result = work(&mut stream);
        *lock(&self.stream) = Some(stream);
        Some(result)
    }

    /// Whether there is a stream.
    pub(super) fn has_stream(&self) -> bool {
        lock(&self.stream).is_some()
    }

    /// A wait for the model or the network ends, or work is done again.
    pub(super) fn set_interrupted(&self, interrupted: bool) {
        if let Some(starting) = lock(&self.starting).as_ref() {
            starting.interrupt(interrupted);
        }
        if let Some(interrupt) = lock(&self.interrupt).as_ref() {
            interrupt.set(interrupted);
        }
    }

    /// Formats have been negotiated. They are told to the stream now, or, while the model is being loaded, with the first
    /// frame: a source may hold a lock meanwhile that it needs to stop, and so its caps do not wait.
    ///
    /// # Errors
    /// As those of [`Self::negotiate`].
    pub(super) fn set_formats(
        &self,
        element: &Element,
        formats: Formats,
    ) -> Result<(), gst::FlowError> {
        *lock(&self.pending) = Some(formats);
        let starting = lock(&self.starting).clone();
        if starting.is_some_and(|starting| !starting.is_done()) {
            return Ok(());
        }
        self.negotiate(element)
    }

    /// Tells the stream the formats that were negotiated last, if it has not been told yet, once the model is loaded.
    ///
    /// # Errors
    /// When the model can't be loaded, or frames can't be worked on, which has been told; when somebody flushes or stops.
    pub(super) fn negotiate(&self, element: &Element) -> Result<(), gst::FlowError> {
        if lock(&self.pending).is_none() {
            return Ok(());
        }
        self.await_loading()?;
        let Some(formats) = lock(&self.pending).take() else {
            return Ok(());
        };
        let Formats {
            frame,
            depth,
            pace,
            timed,
        } = formats;
        let imp = element.imp();
        let live = imp.live_settings();
        let (negotiated, network, converts) = self
            .with_stream(|stream| {
                let negotiated = stream.set_format(&frame, &depth, &live, pace, timed)?;
                Ok((negotiated, stream.network_size(), stream.converts()))
            })
            .ok_or(gst::FlowError::Flushing)?
            .map_err(|error: Error| {
                let _ = imp.fail(&error);
                gst::FlowError::NotNegotiated
            })?;
        if converts {
            gst::info!(
                CAT,
                obj = element,
                "{} is converted to RGB first; 8-bit RGB, and 4:2:0, 4:2:2 and 4:4:4 of 8 to 12 bits are not",
                frame.format().to_str()
            );
        }
        if let Some(warning) = &negotiated.warning {
            imp.warn(warning);
        }
        if let (Some(reason), Some(network)) = (negotiated.reason, network) {
            gst::info!(CAT, obj = element, "the network sees {network}");
            let detail = {
                let mut stats = lock(&imp.stats);
                stats.network = network;
                stats.detail
            };
            messages::post_resolution(element.upcast_ref(), network, detail, reason);
        }
        Ok(())
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// When that has failed, which has been told, or somebody flushes or stops meanwhile.
    fn await_loading(&self) -> Result<(), gst::FlowError> {
        let starting = lock(&self.starting).clone();
        let Some(starting) = starting else {
            return Ok(());
        };
        match starting.wait() {
            Some(Ok(())) => {
                *lock(&self.starting) = None;
                Ok(())
            }
            Some(Err(_)) => Err(gst::FlowError::Error),
            None => Err(gst::FlowError::Flushing),
        }
    }
}

/// Finds the runtime, loads the model, says so on the bus.
///
/// # Errors
/// See [`load`]; [`Error::Setting`] when metric output is asked of a relative model.
fn open(
    element: &Element,
    settings: &LoadSettings,
    cancel: Cancel,
) -> Result<(Stream, Interrupt), Error> {
    let network = load(element, settings, cancel)?;
    let interrupt = network.interrupt();
    let mut stream = Stream::new(network, settings)?;
    stream.tell_finished(element.imp().worker.finished());
    let weak = element.downgrade();
    stream.tell_compilations(Box::new(move |news| {
        if let Some(element) = weak.upgrade() {
            tell_compilation(&element, news);
        }
    }));
    let weak = element.downgrade();
    stream.tell_servers(Arc::new(move |event| {
        if let Some(element) = weak.upgrade() {
            tell_server(&element, event);
        }
    }));
    Ok((stream, interrupt))
}

/// A server does not answer, or does so again.
fn tell_server(element: &Element, event: &ServerEvent) {
    let (stage, reason) = match event {
        ServerEvent::Lost { server, reason } => ("reconnecting", format!("{server}: {reason}")),
        ServerEvent::Back { server } => ("ready", server.clone()),
    };
    let (provider, precision) = {
        let stats = lock(&element.imp().stats);
        (stats.provider.clone(), stats.precision.clone())
    };
    gst::info!(CAT, obj = element, "{stage}: {reason}");
    let news = EngineNews {
        stage,
        provider,
        precision,
        elapsed: Duration::ZERO,
        reason,
    };
    messages::post_engine(element.upcast_ref(), &news);
}

/// A size is compiled, or has been.
fn tell_compilation(element: &Element, news: Compilation) {
    let (provider, precision) = {
        let stats = lock(&element.imp().stats);
        (stats.provider.clone(), stats.precision.clone())
    };
    let news = EngineNews {
        stage: if news.is_done { "ready" } else { "compiling" },
        provider: short_name(&provider).to_owned(),
        precision,
        elapsed: news.elapsed,
        reason: news.size.to_string(),
    };
    gst::info!(
        CAT,
        obj = element,
        "{} for {} after {:?}",
        news.stage,
        news.reason,
        news.elapsed
    );
    messages::post_engine(element.upcast_ref(), &news);
}

/// Opens the network that `settings` ask for, or joins the elements of this process that have it.
///
/// # Errors
/// See [`shared::open`].
fn load(element: &Element, settings: &LoadSettings, cancel: Cancel) -> Result<Shared, Error> {
    runtime::set_log_hook(runtime_log_level(), log_of_runtime);
    let servers = settings.servers()?;
    if let Some(name) = settings.server.set_in_vain() {
        gst::element_warning!(
            element,
            gst::ResourceError::Settings,
            ("{name} does nothing without the property server, which names the servers to run the network")
        );
    }
    let config = inference::Config {
        servers: servers.clone(),
        model: match &settings.model_file {
            Some(path) => ModelSource::File(path.clone()),
            None => ModelSource::Builtin,
        },
        provider: settings.execution_provider.into(),
        device: settings.device.clone(),
        precision: settings.precision.into(),
        engine_cache: settings.engine_cache.clone(),
        threads: settings.num_threads as usize,
        normalization: settings.input_normalization.into(),
        rewrite: true,
    };
    let start = Instant::now();
    let tell = |stage, provider: &str, precision: &str, reason: &str| {
        gst::info!(
            CAT,
            obj = element,
            "{stage} {provider} {precision} {reason}"
        );
        let news = EngineNews {
            stage,
            provider: provider.into(),
            precision: precision.into(),
            elapsed: start.elapsed(),
            reason: reason.into(),
        };
        messages::post_engine(element.upcast_ref(), &news);
    };
    let batching = Batching {
        most: settings.max_batch as usize,
        wait: Duration::from_nanos(settings.batch_timeout),
    };
    let limits = Limits {
        cancel,
        memory: settings.most_memory(),
    };
    let network = shared::open(limits, &config, batching, &mut |progress| match progress {
        Progress::Loading { provider } => tell("loading", provider, "", ""),
        Progress::Compiling { provider } => tell("compiling", provider, "", ""),
        Progress::Reconnecting { provider, reason } => {
            tell("reconnecting", provider, "", &reason);
        }
        Progress::Fallback {
            provider,
            precision,
            reason,
        } => tell("fallback", provider, precision, &reason),
        Progress::Ready {
            provider,
            precision,
            source,
            ..
        } => tell("ready", provider, &precision, &source),
    })?;
    let description = network.description();
    gst::info!(
        CAT,
        obj = element,
        "{} runs on {}",
        description.model,
        description.runtime
    );
    if let Some(placement) = &description.placement {
        gst::debug!(CAT, obj = element, "nodes: {placement}");
    }
    if let InputSize::Fixed(size) = description.input_size {
        inform(
            element,
            &format!(
                "model {} takes {size} only: frames are stretched to it, and `resolution` has no effect",
                description.model
            ),
        );
    }
    if let (Some(most), true) = (description.batch, settings.max_batch > 1) {
        inform(
            element,
            &format!(
                "model {} takes {most} at a time at most, whatever `max-batch` is",
                description.model
            ),
        );
    }
    for sentence in &description.interpretation {
        gst::info!(
            CAT,
            obj = element,
            "model {}: {sentence}",
            description.model
        );
    }
    let told_by = match servers {
        Some(_) => "a server does not tell",
        None => "its file does not tell",
    };
    let kind_is_open = settings.model_depth == ModelDepth::Auto && !description.kind_is_certain;
    // of a file's that is said where something else is in doubt, too
    let values_are_open = servers.is_some() && !description.normalization_is_certain;
    if kind_is_open || values_are_open {
        gst::element_warning!(
            element,
            gst::StreamError::Format,
            ("{}", doubt(description, told_by, kind_is_open))
        );
    }
    for warning in &description.warnings {
        gst::element_warning!(element, gst::ResourceError::Settings, ("{warning}"));
    }
    for note in &description.notes {
        inform(element, &format!("model {}: {note}", description.model));
    }
    Ok(network)
}

/// Says something on the bus. gst-launch-1.0 prints of such messages the details alone.
fn inform(element: &Element, text: &str) {
    gst::element_info!(element, gst::StreamError::Format, ("{text}"), ["{text}"]);
}

/// What a user has to be told when the model's file, or a server, does not say what its numbers are, or which it wants.
fn doubt(description: &Description, told_by: &str, kind_is_open: bool) -> String {
    let values = format!(
        "it gets ImageNet's; if depth shows little of the picture, try input-normalization={} or {}",
        model::InputNormalization::Unit.name(),
        model::InputNormalization::Byte.name()
    );
    if !kind_is_open {
        return format!(
            "model {}: {told_by} which values it wants its image in: {values}. To end this warning, set it to what is right",
            description.model
        );
    }
    let taken = match description.kind {
        DepthKind::Relative => "inverse depth (model-depth=inverse), so that near is white",
        DepthKind::Distance => {
            "distance without metres (model-depth=distance), so that near is white"
        }
        DepthKind::Metric => "metres (model-depth=metric)",
    };
    let mut text = format!(
        "model {}: {told_by} what its numbers mean, and they are taken as {taken}. If near comes out far, set \
         model-depth=distance; if they are metres, model-depth=metric. To end this warning, set it to what is right",
        description.model
    );
    if !description.normalization_is_certain {
        text.push_str(&format!(
            ". Nor does it tell which values it wants its image in: {values}"
        ));
    }
    text
}

impl From<ModelDepth> for Option<DepthKind> {
    fn from(depth: ModelDepth) -> Self {
        match depth {
            ModelDepth::Auto => None,
            ModelDepth::Inverse => Some(DepthKind::Relative),
            ModelDepth::Distance => Some(DepthKind::Distance),
            ModelDepth::Metric => Some(DepthKind::Metric),
        }
    }
}

impl From<InputNormalization> for Option<model::InputNormalization> {
    fn from(normalization: InputNormalization) -> Self {
        match normalization {
            InputNormalization::Auto => None,
            InputNormalization::Imagenet => Some(model::InputNormalization::Imagenet),
            InputNormalization::Unit => Some(model::InputNormalization::Unit),
            InputNormalization::Byte => Some(model::InputNormalization::Byte),
        }
    }
}

impl From<ExecutionProvider> for inference::ExecutionProvider {
    fn from(provider: ExecutionProvider) -> Self {
        match provider {
            ExecutionProvider::Auto => Self::Auto,
            ExecutionProvider::Cpu => Self::Cpu,
            ExecutionProvider::Cuda => Self::Cuda,
            ExecutionProvider::Tensorrt => Self::Tensorrt,
            ExecutionProvider::Openvino => Self::Openvino,
            ExecutionProvider::Webgpu => Self::Webgpu,
        }
    }
}

impl From<Precision> for Option<inference::Precision> {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => None,
            Precision::Fp32 => Some(inference::Precision::Fp32),
            Precision::Fp16 => Some(inference::Precision::Fp16),
            Precision::Bf16 => Some(inference::Precision::Bf16),
        }
    }
}

/// ONNX Runtime writes only what somebody reads.
fn runtime_log_level() -> LogLevel {
    match CAT_RUNTIME.threshold() {
        gst::DebugLevel::None | gst::DebugLevel::Error => LogLevel::Error,
        gst::DebugLevel::Warning | gst::DebugLevel::Fixme => LogLevel::Warning,
        gst::DebugLevel::Info => LogLevel::Info,
        _ => LogLevel::Verbose,
    }
}

fn log_of_runtime(level: LogLevel, category: &str, message: &str) {
    match level {
        LogLevel::Fatal | LogLevel::Error => gst::error!(CAT_RUNTIME, "{category}: {message}"),
        LogLevel::Warning => gst::warning!(CAT_RUNTIME, "{category}: {message}"),
        LogLevel::Info => gst::info!(CAT_RUNTIME, "{category}: {message}"),
        LogLevel::Verbose => gst::debug!(CAT_RUNTIME, "{category}: {message}"),
    }
}
