//! How a session is told which providers run it.

use ort::ep::ArbitrarilyConfigurableExecutionProvider;
use ort::session::builder::SessionBuilder;

use super::ExecutionProvider;
use crate::inference::onnx::runtime::{Device, Plugin, Runtime};

/// A provider with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inference::onnx) struct Registration {
    pub(super) provider: ExecutionProvider,
    options: Vec<(&'static str, String)>,
    /// The devices of a plugin; none for one that is built in.
    devices: Vec<&'static Device>,
}

impl Registration {
    pub(super) fn new(
        provider: ExecutionProvider,
        options: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        Self {
            provider,
            options: options.into_iter().collect(),
            devices: Vec::new(),
        }
    }

    /// The same on these devices of a plugin.
    pub(super) fn on(self, devices: Vec<&'static Device>) -> Self {
        Self { devices, ..self }
    }

    /// The same without an option, and its value.
    pub(super) fn take(mut self, option: &str) -> (Self, Option<String>) {
        let index = self.options.iter().position(|(name, _)| *name == option);
        let value = index.map(|index| self.options.remove(index).1);
        (self, value)
    }

    /// What ONNX Runtime calls the provider that it registers.
    pub(in crate::inference::onnx) fn ort_name(&self) -> &str {
        match self.devices.first() {
            Some(device) => &device.provider,
            None => self.provider.ort_name(),
        }
    }

    pub(super) fn options(&self) -> &[(&'static str, String)] {
        &self.options
    }

    pub(super) fn configure<E: ArbitrarilyConfigurableExecutionProvider>(&self, provider: E) -> E {
        self.options
            .iter()
            .fold(provider, |provider, (name, value)| {
                provider.with_arbitrary_config(name, value)
            })
    }
}

/// Has all of them run the session, the first what it can, the next what is left. One that can't be registered is an
/// error: left to itself ONNX Runtime would go on without it.
pub(in crate::inference::onnx) fn register(
    runtime: &Runtime,
    registrations: &[Registration],
    mut builder: SessionBuilder,
) -> ort::Result<SessionBuilder> {
    for registration in registrations {
        let Registration {
            provider,
            options,
            devices,
        } = registration;
        if !devices.is_empty() {
            Plugin::append(runtime, devices, options, &mut builder)?;
        } else if let Some(provider) = provider.provider() {
            provider.append(registration, &mut builder)?;
        }
    }
    Ok(builder)
}
