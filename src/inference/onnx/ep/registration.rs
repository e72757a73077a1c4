//! How a session is told which providers run it.

use ort::ep::ArbitrarilyConfigurableExecutionProvider;
use ort::session::builder::SessionBuilder;

use super::ExecutionProvider;

/// A provider with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::inference::onnx) struct Registration {
    pub(super) provider: ExecutionProvider,
    options: Vec<(&'static str, String)>,
}

impl Registration {
    pub(super) fn new(
        provider: ExecutionProvider,
        options: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        Self {
            provider,
            options: options.into_iter().collect(),
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
    registrations: &[Registration],
    mut builder: SessionBuilder,
) -> ort::Result<SessionBuilder> {
    for registration in registrations {
        if let Some(provider) = registration.provider.provider() {
            provider.append(registration, &mut builder)?;
        }
    }
    Ok(builder)
}
