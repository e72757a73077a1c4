//! From settings to a network that has run once, with its story told on the bus and in the log.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::messages::{self, EngineNews};
use super::settings::LoadSettings;
use super::{CAT, ExecutionProvider, InputNormalization, ModelDepth, Precision};
use crate::engine::network::{DepthKind, Description, InputSize};
use crate::engine::runtime::{self, LogLevel};
use crate::engine::shared::{self, Batching, Shared};
use crate::engine::{self, Progress};
use crate::error::Error;
use crate::model::{self, Cancel, ModelSource};

/// What ONNX Runtime itself has to say.
static CAT_RUNTIME: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "onnxruntime",
        gst::DebugColorFlags::empty(),
        Some("ONNX Runtime's own log"),
    )
});

/// Opens the network that `settings` ask for, or joins the elements of this process that have it.
///
/// # Errors
/// See [`shared::open`].
pub(super) fn load(
    element: &super::DepthAnything,
    settings: &LoadSettings,
    cancel: Cancel,
) -> Result<Shared, Error> {
    runtime::set_log_hook(runtime_log_level(), log_of_runtime);
    let config = engine::Config {
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
    let network = shared::open_unless(cancel, &config, batching, &mut |progress| match progress {
        Progress::Loading { provider } => tell("loading", provider, "", ""),
        Progress::Compiling { provider } => tell("compiling", provider, "", ""),
        Progress::Fallback {
            provider,
            precision,
            reason,
        } => tell("fallback", provider, precision, &reason),
        Progress::Ready {
            provider,
            precision,
            ..
        } => tell("ready", provider, &precision, ""),
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
    if settings.model_depth == ModelDepth::Auto && !description.kind_is_certain {
        gst::element_warning!(
            element,
            gst::StreamError::Format,
            ("{}", doubt(description))
        );
    }
    for note in &description.notes {
        inform(element, &format!("model {}: {note}", description.model));
    }
    Ok(network)
}

/// Says something on the bus. gst-launch-1.0 prints of such messages the details alone.
fn inform(element: &super::DepthAnything, text: &str) {
    gst::element_info!(element, gst::StreamError::Format, ("{text}"), ["{text}"]);
}

/// What a user has to be told when the model's file does not say what its numbers are.
fn doubt(description: &Description) -> String {
    let taken = match description.kind {
        DepthKind::Relative => "inverse depth (model-depth=inverse), so that near is white",
        DepthKind::Distance => {
            "distance without metres (model-depth=distance), so that near is white"
        }
        DepthKind::Metric => "metres (model-depth=metric)",
    };
    let mut text = format!(
        "model {}: its file does not tell what its numbers mean, and they are taken as {taken}. If near comes out far, set \
         model-depth=distance; if they are metres, model-depth=metric. To end this warning, set it to what is right",
        description.model
    );
    if !description.normalization_is_certain {
        text.push_str(&format!(
            ". Nor does it tell which values it wants its image in: it gets ImageNet's; if depth shows little of the \
             picture, try input-normalization={} or {}",
            model::InputNormalization::Unit.name(),
            model::InputNormalization::Byte.name()
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

impl From<ExecutionProvider> for engine::ExecutionProvider {
    fn from(provider: ExecutionProvider) -> Self {
        match provider {
            ExecutionProvider::Auto => Self::Auto,
            ExecutionProvider::Cpu => Self::Cpu,
            ExecutionProvider::Cuda => Self::Cuda,
            ExecutionProvider::Tensorrt => Self::Tensorrt,
            ExecutionProvider::Openvino => Self::Openvino,
        }
    }
}

impl From<Precision> for Option<engine::Precision> {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Auto => None,
            Precision::Fp32 => Some(engine::Precision::Fp32),
            Precision::Fp16 => Some(engine::Precision::Fp16),
            Precision::Bf16 => Some(engine::Precision::Bf16),
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
