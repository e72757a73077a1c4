//! Execution providers: which there are, in which order `auto` tries them, their options, and what to say when one
//! does not work.

mod diagnosis;
pub(super) mod nvidia;
mod placement;
mod registration;

use std::fmt;

use ort::ep::{self, ExecutionProvider as _};

use super::Config;
use super::precision::Precision;
use super::runtime::Runtime;
use crate::error::{Error, Setting};
use crate::model::ModelFacts;

pub(super) use diagnosis::{provider_error, trimmed};
pub(super) use nvidia::EngineShape;
pub use placement::{Placement, Share};
pub(super) use registration::{Registration, register};

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
        }
    }

    /// Its name in ONNX Runtime; none for [`ExecutionProvider::Auto`].
    pub const fn ort_name(self) -> &'static str {
        match self {
            Self::Auto => "",
            Self::Cpu => ep::CPU::NAME,
            Self::Cuda => ep::CUDA::NAME,
            Self::Tensorrt => ep::TensorRT::NAME,
            Self::Openvino => ep::OpenVINO::NAME,
        }
    }

    /// Whether the loaded ONNX Runtime was built with it, which does not mean that it works.
    fn is_built_in(self) -> bool {
        match self {
            Self::Auto => false,
            Self::Cpu => true,
            Self::Cuda => ep::CUDA::is_available().unwrap_or(false),
            Self::Tensorrt => ep::TensorRT::is_available().unwrap_or(false),
            Self::Openvino => ep::OpenVINO::is_available().unwrap_or(false),
        }
    }
}

impl fmt::Display for ExecutionProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name that the property has for the provider of this name in ONNX Runtime; what is none of them keeps its own.
pub fn short_name(ort_name: &str) -> &str {
    use ExecutionProvider::{Cpu, Cuda, Openvino, Tensorrt};
    [Cpu, Cuda, Tensorrt, Openvino]
        .into_iter()
        .find(|provider| provider.ort_name() == ort_name)
        .map_or(ort_name, |provider| provider.name())
}

/// The providers that the loaded ONNX Runtime was built with.
pub(super) fn built_in() -> Vec<ExecutionProvider> {
    use ExecutionProvider::{Cpu, Cuda, Openvino, Tensorrt};
    let mut all = vec![Tensorrt, Cuda, Openvino, Cpu];
    all.retain(|provider| provider.is_built_in());
    all
}

/// Sees whether this build of ONNX Runtime has `provider`.
///
/// # Errors
/// [`Error::Provider`] with what to install.
pub(super) fn check_built_in(provider: ExecutionProvider, runtime: &Runtime) -> Result<(), Error> {
    if provider.is_built_in() {
        Ok(())
    } else {
        Err(diagnosis::not_built_in(provider, runtime))
    }
}

/// What to register with a session so that `provider` runs it; nothing for the CPU, which is always there.
///
/// # Errors
/// [`Error::Setting`] when `device` is none of this provider.
pub(super) fn registrations(
    provider: ExecutionProvider,
    precision: Precision,
    config: &Config,
    threads: usize,
    engine: Option<&EngineShape<'_>>,
) -> Result<Vec<Registration>, Error> {
    let device = config.device.trim();
    Ok(match provider {
        ExecutionProvider::Auto => Vec::new(),
        ExecutionProvider::Cpu => {
            if !device.is_empty() && !device.eq_ignore_ascii_case("cpu") {
                return Err(Error::Setting {
                    setting: Setting::Device,
                    reason: format!("the cpu provider has no device {device:?}; leave it empty"),
                });
            }
            Vec::new()
        }
        ExecutionProvider::Cuda => vec![nvidia::cuda(nvidia::device(provider, device)?)],
        ExecutionProvider::Tensorrt => {
            let device = nvidia::device(provider, device)?;
            vec![nvidia::tensorrt(device, engine), nvidia::cuda(device)]
        }
        ExecutionProvider::Openvino => vec![openvino(device, precision, threads)?],
    })
}

/// As OpenVINO spells it: `CPU`, `GPU.1`, `AUTO:GPU,CPU`.
pub(super) fn openvino_device(device: &str) -> String {
    match device.trim() {
        "" => "CPU".to_owned(),
        device => device.to_ascii_uppercase(),
    }
}

/// The kind of a device: `GPU` of `GPU.1`.
pub(super) fn openvino_kind(device: &str) -> &str {
    device.split(['.', ':']).next().unwrap_or_default()
}

/// The kinds of devices that OpenVINO has.
pub(super) const OPENVINO_KINDS: [&str; 7] =
    ["CPU", "GPU", "NPU", "AUTO", "HETERO", "MULTI", "BATCH"];

fn openvino(device: &str, precision: Precision, threads: usize) -> Result<Registration, Error> {
    let device = openvino_device(device);
    // a name that OpenVINO does not know is not refused, it just runs nothing
    let kind = openvino_kind(&device);
    if !OPENVINO_KINDS.contains(&kind) {
        return Err(Error::Setting {
            setting: Setting::Device,
            reason: format!(
                "{device:?} is no device of the openvino provider; give \"CPU\", \"GPU\", \"GPU.1\", \"NPU\" or \
                 \"AUTO\""
            ),
        });
    }
    Ok(Registration::new(
        ExecutionProvider::Openvino,
        [
            ("load_config", openvino_config(kind, precision, threads)),
            ("device_type", device),
        ],
    ))
}

/// OpenVINO's own settings as JSON text, which is what `load_config` takes: not the path of a file.
fn openvino_config(kind: &str, precision: Precision, threads: usize) -> String {
    let mut settings = serde_json::json!({
        "PERFORMANCE_HINT": "LATENCY",
    });
    // left to itself a GPU would take f16, a CPU that has it bf16. The provider's own option `precision` is refused
    // on a CPU, and the plain CPU provider then runs the model in silence
    let hint = match precision {
        Precision::Fp32 => "f32",
        Precision::Fp16 => "f16",
        Precision::Bf16 => "bf16",
    };
    if takes_precision(kind) {
        settings["INFERENCE_PRECISION_HINT"] = hint.into();
    }
    if kind == "CPU" {
        settings["INFERENCE_NUM_THREADS"] = threads.to_string().into();
    }
    serde_json::json!({ kind: settings }).to_string()
}

pub(super) fn takes_precision(openvino_device: &str) -> bool {
    matches!(openvino_device, "CPU" | "GPU")
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
    match provider {
        ExecutionProvider::Openvino => match openvino_kind(&openvino_device(device)) {
            kind if takes_precision(kind) || kind == "NPU" => precision.name(),
            _ => "unknown",
        },
        _ => precision.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelSource;

    fn config(device: &str) -> Config {
        Config {
            device: device.to_owned(),
            ..Config::new(ModelSource::Builtin)
        }
    }

    fn names(provider: ExecutionProvider, device: &str) -> Vec<ExecutionProvider> {
        registrations(provider, Precision::Fp32, &config(device), 2, None)
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
        use ExecutionProvider::{Cpu, Cuda, Openvino, Tensorrt};
        for provider in [Tensorrt, Cuda, Openvino, Cpu] {
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
        ] {
            match registrations(provider, Precision::Fp32, &config(device), 2, None) {
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

    #[test]
    fn openvino_settings_are_json() {
        let config: serde_json::Value =
            serde_json::from_str(&openvino_config("CPU", Precision::Bf16, 3)).expect("JSON");
        assert_eq!(config["CPU"]["INFERENCE_PRECISION_HINT"], "bf16");
        assert_eq!(config["CPU"]["INFERENCE_NUM_THREADS"], "3");
        let config: serde_json::Value =
            serde_json::from_str(&openvino_config("GPU", Precision::Fp16, 3)).expect("JSON");
        assert_eq!(config["GPU"]["INFERENCE_PRECISION_HINT"], "f16");
        assert!(config["GPU"].get("INFERENCE_NUM_THREADS").is_none());
    }
}
