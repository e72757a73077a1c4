//! Execution providers, one file for each: its name in ONNX Runtime, options, devices, precisions, and what to say when it
//! does not work. Nothing outside of these files asks which provider it is; what follows from it is in `Capabilities`.

mod choice;
mod cpu;
mod cuda;
mod diagnosis;
pub(super) mod nvidia;
mod openvino;
mod placement;
mod registration;
mod source;
pub(super) mod tensorrt;
mod webgpu;

use std::fmt;

use ort::session::builder::SessionBuilder;

use super::cache::Places;
use super::precision::Precision;
use super::runtime::{Package, Plugin};
use crate::error::Error;
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::model::ModelFacts;

pub(super) use choice::{Attempt, Choice};
pub(super) use diagnosis::{provider_error, trimmed};
pub use placement::{Placement, Share};
pub(super) use registration::{Registration, register};
pub(super) use source::Source;

/// What a provider is, as far as others act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// Where most of what it takes is.
    pub(super) memory: MemoryDomain,
    /// The arenas of a session with it, as ONNX Runtime's run option to shrink them spells them.
    pub(super) arenas: &'static str,
    /// It takes attention as one operator, and does not fuse it by itself.
    pub(super) takes_fused_attention: bool,
    /// It is quicker with resizes of tables as matrix products.
    pub(super) wants_separate_resizes: bool,
    /// Attention that is not one operator holds its scores, which grow with the square of the tokens.
    pub(super) holds_attention: bool,
    /// Its precision is that of the graph, which is rewritten for another.
    pub(super) computes_in_types_of_graph: bool,
    /// It compiles before it runs, for longer than one waits without a word.
    pub(super) compiles: bool,
    /// It compiles each size, which takes long.
    pub(super) compiles_sizes: bool,
}

/// What an engine is compiled for.
#[derive(Debug, Clone, Copy)]
pub(in crate::inference::onnx) struct EngineShape<'a> {
    /// The name of the image input.
    pub(in crate::inference::onnx) input: &'a str,
    /// The one shape it will get.
    pub(in crate::inference::onnx) shape: &'a [i64],
    /// Where the engine is kept.
    pub(in crate::inference::onnx) places: Option<Places<'a>>,
}

/// What decides which precisions there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    /// The precision asked for; `None`: the fastest.
    pub(super) precision: Option<Precision>,
    /// The provider's device asked for.
    pub(super) device: &'a str,
    /// The model.
    pub(super) facts: &'a ModelFacts,
    /// Whether this machine's CPU multiplies bf16.
    pub(super) cpu_has_bf16: bool,
}

/// An execution provider of ONNX Runtime.
pub(super) trait Provider: Sync {
    /// Its name in ONNX Runtime.
    fn ort_name(&self) -> &'static str;

    /// The Python package whose ONNX Runtime has it, if there is one.
    fn package(&self) -> Option<&'static str>;

    /// The Python package that has it as a plugin beside any ONNX Runtime, if there is one.
    fn plugin(&self) -> Option<&'static Package> {
        None
    }

    /// Whether the loaded ONNX Runtime was built with it, which does not mean that it works.
    fn is_built_in(&self) -> bool;

    /// What it is on this device.
    fn capabilities(&self, device: &str) -> Capabilities;

    /// The precisions that it gives, fastest first, and why no others.
    fn precisions(&self, ask: &Ask<'_>) -> (Vec<Precision>, String);

    /// What to call its arithmetic where `precision` was asked for; `unknown` where that is left to the device.
    fn precision_name(&self, precision: Precision, _device: &str) -> &'static str {
        precision.name()
    }

    /// What to register with a session so that it runs it; `engine`: what is compiled, by one that compiles.
    ///
    /// # Errors
    /// [`Error::Setting`] when the device of `config` is none of this provider.
    fn registrations(
        &self,
        precision: Precision,
        config: &Config,
        threads: usize,
        engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error>;

    /// What `registration` is to its plugin: which devices it runs on, and the options that are left.
    ///
    /// # Errors
    /// [`Error::Provider`] when it has no such device here, [`Error::Setting`] when there is no such device at all.
    fn on_plugin(
        &self,
        registration: Registration,
        plugin: &'static Plugin,
    ) -> Result<Registration, Error> {
        Ok(registration.on(plugin.devices().iter().take(1).collect()))
    }

    /// Has it run a session that is being built, where it is built into ONNX Runtime.
    ///
    /// # Errors
    /// ONNX Runtime's own.
    fn append(&self, registration: &Registration, builder: &mut SessionBuilder) -> ort::Result<()>;

    /// What to do about a shared library that it misses.
    fn remedy(&self, library: &str) -> &'static str;
}

/// What runs the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ExecutionProvider {
    /// The best that really works on this machine and with this model.
    #[default]
    Auto,
    /// ONNX Runtime's own kernels.
    Cpu,
    /// NVIDIA CUDA.
    Cuda,
    /// NVIDIA TensorRT, with CUDA for what it can't run.
    Tensorrt,
    /// Intel OpenVINO, on its CPU device (AMD too) or another.
    Openvino,
    /// WebGPU, by Vulkan on any GPU. `auto` does not take it.
    Webgpu,
}

impl ExecutionProvider {
    /// Its name as the property spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Tensorrt => "tensorrt",
            Self::Openvino => "openvino",
            Self::Webgpu => "webgpu",
        }
    }

    /// That of this name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut all = ALL.into_iter().chain([Self::Auto]);
        all.find(|it| it.name() == name)
    }

    /// What it is; `None`: `Auto`, which is none.
    pub(super) fn provider(self) -> Option<&'static dyn Provider> {
        match self {
            Self::Auto => None,
            Self::Cpu => Some(&cpu::Cpu),
            Self::Cuda => Some(&cuda::Cuda),
            Self::Tensorrt => Some(&tensorrt::Tensorrt),
            Self::Openvino => Some(&openvino::Openvino),
            Self::Webgpu => Some(&webgpu::Webgpu),
        }
    }

    /// Its name in ONNX Runtime; none for [`ExecutionProvider::Auto`].
    pub fn ort_name(self) -> &'static str {
        self.provider().map_or("", |provider| provider.ort_name())
    }

    /// What it is on this device.
    pub(super) fn capabilities(self, device: &str) -> Capabilities {
        let provider = self.provider().unwrap_or(&cpu::Cpu);
        provider.capabilities(device)
    }

    fn is_built_in(self) -> bool {
        self.provider()
            .is_some_and(|provider| provider.is_built_in())
    }
}

/// Those that `auto` tries, fastest first.
pub(super) const AUTO: [ExecutionProvider; 4] = [
    ExecutionProvider::Tensorrt,
    ExecutionProvider::Cuda,
    ExecutionProvider::Openvino,
    ExecutionProvider::Cpu,
];

/// All of them.
const ALL: [ExecutionProvider; 5] = [
    ExecutionProvider::Webgpu,
    ExecutionProvider::Tensorrt,
    ExecutionProvider::Cuda,
    ExecutionProvider::Openvino,
    ExecutionProvider::Cpu,
];

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name that the property has for the provider of this name in ONNX Runtime; what is none of them keeps its own.
pub fn short_name(ort_name: &str) -> &str {
    ALL.into_iter()
        .find(|provider| provider.ort_name() == ort_name)
        .map_or(ort_name, |provider| provider.name())
}

/// What to register with a session so that `provider` runs it; nothing for the CPU, which is always there.
///
/// # Errors
/// [`Error::Setting`] when the device of `config` is none of this provider, [`Error::Provider`] when its plugin has no such
/// device here.
pub(super) fn registrations(
    (provider, source): (ExecutionProvider, Source),
    precision: Precision,
    config: &Config,
    threads: usize,
    engine: Option<&EngineShape<'_>>,
) -> Result<Vec<Registration>, Error> {
    let Some(provider) = provider.provider() else {
        return Ok(Vec::new());
    };
    let registrations = provider.registrations(precision, config, threads, engine)?;
    let Source::Plugin(plugin) = source else {
        return Ok(registrations);
    };
    let on_plugin = registrations
        .into_iter()
        .map(|registration| provider.on_plugin(registration, plugin));
    on_plugin.collect()
}

/// What to call the arithmetic of `provider` that was asked for `precision`: `fp32`, `fp16`, `bf16`, `int8`, or
/// `unknown` where that is left to the device.
pub(super) fn precision(
    provider: ExecutionProvider,
    precision: Precision,
    device: &str,
    facts: &ModelFacts,
) -> &'static str {
    if facts.computes_in_integers() {
        return "int8";
    }
    match provider.provider() {
        Some(provider) => provider.precision_name(precision, device),
        None => precision.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Setting;
    use crate::model::ModelSource;

    fn config(device: &str) -> Config {
        Config {
            device: device.to_owned(),
            ..Config::new(ModelSource::Builtin)
        }
    }

    fn names(provider: ExecutionProvider, device: &str) -> Vec<ExecutionProvider> {
        registrations(
            (provider, Source::BuiltIn),
            Precision::Fp32,
            &config(device),
            2,
            None,
        )
        .expect("device")
        .iter()
        .map(|registration| registration.provider)
        .collect()
    }

    #[test]
    fn names_of_the_runtime_have_short_ones() {
        assert_eq!(short_name("TensorrtExecutionProvider"), "tensorrt");
        assert_eq!(short_name("CPUExecutionProvider"), "cpu");
        assert_eq!(short_name("none of them"), "none of them");
    }

    #[test]
    fn names_are_those_of_the_property() {
        for provider in ALL {
            assert!(provider.ort_name().ends_with("ExecutionProvider"));
            assert_eq!(
                provider.ort_name().to_lowercase(),
                format!("{provider}executionprovider")
            );
        }
    }

    #[test]
    fn devices_that_are_one() {
        use ExecutionProvider::{Cpu, Cuda, Openvino, Tensorrt};
        assert!(names(Cpu, "").is_empty());
        assert!(names(Cpu, "CPU").is_empty());
        assert_eq!(names(Cuda, "1"), [Cuda]);
        assert_eq!(names(Tensorrt, ""), [Tensorrt, Cuda]);
        assert_eq!(
            names(ExecutionProvider::Webgpu, " "),
            [ExecutionProvider::Webgpu]
        );
        for device in ["", "cpu", "GPU", "GPU.1", "AUTO:GPU,CPU", "HETERO:GPU,CPU"] {
            assert_eq!(names(Openvino, device), [Openvino]);
        }
    }

    #[test]
    fn devices_that_are_none() {
        use ExecutionProvider::{Cpu, Cuda, Openvino, Tensorrt};
        for (provider, device) in [
            (Cpu, "0"),
            (Cuda, "GPU.1"),
            (Cuda, "-1"),
            (Tensorrt, "99999999"),
            (Openvino, "0"),
            (Openvino, "XYZ"),
            (ExecutionProvider::Webgpu, "1"),
        ] {
            match registrations(
                (provider, Source::BuiltIn),
                Precision::Fp32,
                &config(device),
                2,
                None,
            ) {
                Err(Error::Setting { setting, reason }) => {
                    assert_eq!(setting, Setting::Device);
                    assert!(
                        reason.contains(device) && reason.contains(provider.name()),
                        "{reason}"
                    );
                }
                other => panic!("{provider} {device}: {:?}", other.map(|list| list.len())),
            }
        }
    }
}
