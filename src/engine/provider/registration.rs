//! How a session is told which providers run it.

use std::ffi::CString;

use ort::AsPointer;
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::ExecutionProvider;

/// A provider with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Registration {
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

    fn register(&self, builder: &mut SessionBuilder) -> ort::Result<()> {
        match self.provider {
            // the runtime's own, which is always there
            ExecutionProvider::Auto | ExecutionProvider::Cpu => Ok(()),
            ExecutionProvider::Cuda => self.configure(ep::CUDA::default()).register(builder),
            ExecutionProvider::Tensorrt => {
                self.configure(ep::TensorRT::default()).register(builder)
            }
            ExecutionProvider::Openvino => self.register_openvino(builder),
        }
    }

    fn configure<E: ArbitrarilyConfigurableExecutionProvider>(&self, provider: E) -> E {
        self.options
            .iter()
            .fold(provider, |provider, (name, value)| {
                provider.with_arbitrary_config(name, value)
            })
    }

    /// By the name that all versions of ONNX Runtime know; `ort` takes one that they know from 1.22 on.
    fn register_openvino(&self, builder: &mut SessionBuilder) -> ort::Result<()> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| ort::Error::new(format!("{text:?} has a NUL in it")))
        };
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (name, value) in &self.options {
            names.push(text(name)?);
            values.push(text(value)?);
        }
        let pointers =
            |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (names_at, values_at) = (pointers(&names), pointers(&values));
        // SAFETY: the options of a session that is being built, a name, and as many names as values, each NUL-terminated and
        // alive during the call, which copies them
        unsafe {
            ort::Error::result_from_status((ort::api().SessionOptionsAppendExecutionProvider)(
                builder.ptr_mut(),
                c"OpenVINO".as_ptr(),
                names_at.as_ptr(),
                values_at.as_ptr(),
                names_at.len(),
            ))
        }
    }
}

/// Has all of them run the session, the first what it can, the next what is left. One that can't be registered is an
/// error: left to itself ONNX Runtime would go on without it.
pub(in crate::engine) fn register(
    registrations: &[Registration],
    mut builder: SessionBuilder,
) -> ort::Result<SessionBuilder> {
    for registration in registrations {
        registration.register(&mut builder)?;
    }
    Ok(builder)
}
