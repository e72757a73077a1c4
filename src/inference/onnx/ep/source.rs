//! Where a provider is from: built into the ONNX Runtime that is loaded, or a plugin beside it.

use super::{ExecutionProvider, diagnosis};
use crate::error::Error;
use crate::inference::onnx::runtime::{Missing, Plugin, Runtime};

/// Where a provider is from.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference::onnx) enum Source {
    /// ONNX Runtime was built with it.
    BuiltIn,
    /// It is a library of its own.
    Plugin(&'static Plugin),
}

impl Source {
    /// Where `provider` is from here; `None`: nowhere.
    ///
    /// # Errors
    /// [`Error::Provider`] when there is a plugin that does not work.
    pub(in crate::inference::onnx) fn find(
        provider: ExecutionProvider,
        runtime: &Runtime,
    ) -> Result<Option<Self>, Error> {
        if provider.is_built_in() {
            return Ok(Some(Self::BuiltIn));
        }
        let Some(package) = provider.provider().and_then(|provider| provider.plugin()) else {
            return Ok(None);
        };
        match runtime.plugin(package) {
            Ok(plugin) => Ok(Some(Self::Plugin(plugin))),
            Err(Missing::Absent(_)) => Ok(None),
            Err(Missing::Broken(broken)) => Err(diagnosis::broken_plugins(provider, &broken)),
        }
    }

    /// As [`Self::find`], and an error where it is nowhere.
    ///
    /// # Errors
    /// [`Error::Provider`] with what to install, or what is wrong with the plugin.
    pub(in crate::inference::onnx) fn require(
        provider: ExecutionProvider,
        runtime: &Runtime,
    ) -> Result<Self, Error> {
        match Self::find(provider, runtime)? {
            Some(source) => Ok(source),
            None => Err(diagnosis::not_there(provider, runtime)),
        }
    }

    /// Whether it is a plugin.
    pub(in crate::inference::onnx) fn is_plugin(self) -> bool {
        matches!(self, Self::Plugin(_))
    }

    /// `built into ONNX Runtime 1.24.1`, `by the plugin onnxruntime-ep-openvino 1.8.1 (/…/lib….so)`.
    pub(in crate::inference::onnx) fn in_words(self, runtime: &Runtime) -> String {
        match self {
            Self::BuiltIn => format!("built into ONNX Runtime {}", runtime.version()),
            Self::Plugin(plugin) => format!(
                "by the plugin {} ({})",
                plugin.name(),
                plugin.file().display()
            ),
        }
    }
}
