//! Intel OpenVINO, on its CPU device (AMD too) or another.

use std::ffi::CString;

use ort::AsPointer;
use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration};
use crate::error::{Error, Setting};
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;

/// The kinds of devices that there are.
const KINDS: [&str; 7] = ["CPU", "GPU", "NPU", "AUTO", "HETERO", "MULTI", "BATCH"];

pub(super) struct Openvino;

impl Provider for Openvino {
    fn ort_name(&self) -> &'static str {
        ep::OpenVINO::NAME
    }

    fn package(&self) -> &'static str {
        "onnxruntime-openvino"
    }

    fn is_built_in(&self) -> bool {
        ep::OpenVINO::is_available().unwrap_or(false)
    }

    fn capabilities(&self, device: &str) -> Capabilities {
        Capabilities {
            memory: memory(&spelled(device)),
            arenas: "cpu:0",
            // it fuses by itself
            takes_fused_attention: false,
            wants_separate_resizes: false,
            holds_attention: false,
            computes_in_types_of_graph: false,
            compiles_sizes: false,
        }
    }

    fn precisions(&self, ask: &Ask<'_>) -> (Vec<Precision>, String) {
        use Precision::{Bf16, Fp16, Fp32};
        let device = spelled(ask.device);
        match kind(&device) {
            "CPU" if ask.cpu_has_bf16 => (
                vec![Bf16, Fp32],
                "OpenVINO's CPU device gives bf16 and fp32".into(),
            ),
            "CPU" => (
                vec![Fp32],
                "this CPU has no instructions for bf16 (AVX512_BF16 or AMX), and OpenVINO's CPU device gives nothing else \
                 but fp32"
                    .into(),
            ),
            kind if takes_precision(kind) => (
                vec![Fp16, Fp32],
                format!("OpenVINO's device {device} gives fp16 and fp32"),
            ),
            "NPU" => (vec![Fp16], "OpenVINO's NPU computes in fp16".into()),
            // no device at all: registering it says so
            kind if !KINDS.contains(&kind) => (vec![ask.precision.unwrap_or(Fp32)], String::new()),
            // the device decides, as long as no precision is named
            _ if ask.precision.is_none() => (vec![Fp32], String::new()),
            _ => (
                Vec::new(),
                format!("the device {device} chooses its arithmetic itself; name \"CPU\" or \"GPU\""),
            ),
        }
    }

    fn precision_name(&self, precision: Precision, device: &str) -> &'static str {
        match kind(&spelled(device)) {
            kind if takes_precision(kind) || kind == "NPU" => precision.name(),
            _ => "unknown",
        }
    }

    fn registrations(
        &self,
        precision: Precision,
        config: &Config,
        threads: usize,
        _engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error> {
        Ok(vec![registration(&config.device, precision, threads)?])
    }

    /// By the name that all versions of ONNX Runtime know; `ort` takes one that they know from 1.22 on.
    fn append(&self, registration: &Registration, builder: &mut SessionBuilder) -> ort::Result<()> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| ort::Error::new(format!("{text:?} has a NUL in it")))
        };
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (name, value) in registration.options() {
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

    fn remedy(&self, _library: &str) -> &'static str {
        "it belongs beside libonnxruntime.so; install onnxruntime-openvino again"
    }
}

/// Where the memory of a device is. One that may be a GPU holds none of what is counted here for sure.
fn memory(device: &str) -> MemoryDomain {
    match kind(device) {
        "CPU" => MemoryDomain::Host,
        "GPU" | "NPU" => MemoryDomain::Device,
        // `AUTO:GPU,CPU`, `HETERO:CPU`
        _ => match device.split_once(':') {
            Some((_, devices)) if devices.split(',').all(|device| kind(device) == "CPU") => {
                MemoryDomain::Host
            }
            _ => MemoryDomain::Device,
        },
    }
}

/// As OpenVINO spells it: `CPU`, `GPU.1`, `AUTO:GPU,CPU`.
fn spelled(device: &str) -> String {
    match device.trim() {
        "" => "CPU".to_owned(),
        device => device.to_ascii_uppercase(),
    }
}

/// The kind of a device: `GPU` of `GPU.1`.
fn kind(device: &str) -> &str {
    device.split(['.', ':']).next().unwrap_or_default()
}

fn takes_precision(kind: &str) -> bool {
    matches!(kind, "CPU" | "GPU")
}

fn registration(device: &str, precision: Precision, threads: usize) -> Result<Registration, Error> {
    let device = spelled(device);
    // a name that OpenVINO does not know is not refused, it just runs nothing
    let kind = kind(&device);
    if !KINDS.contains(&kind) {
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
            ("load_config", load_config(kind, precision, threads)),
            ("device_type", device),
        ],
    ))
}

/// OpenVINO's own settings as JSON text, which is what `load_config` takes: not the path of a file.
fn load_config(kind: &str, precision: Precision, threads: usize) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openvino_settings_are_json() {
        let config: serde_json::Value =
            serde_json::from_str(&load_config("CPU", Precision::Bf16, 3)).expect("JSON");
        assert_eq!(config["CPU"]["INFERENCE_PRECISION_HINT"], "bf16");
        assert_eq!(config["CPU"]["INFERENCE_NUM_THREADS"], "3");
        let config: serde_json::Value =
            serde_json::from_str(&load_config("GPU", Precision::Fp16, 3)).expect("JSON");
        assert_eq!(config["GPU"]["INFERENCE_PRECISION_HINT"], "f16");
        assert!(config["GPU"].get("INFERENCE_NUM_THREADS").is_none());
    }

    #[test]
    fn memory_is_that_of_the_device() {
        for (device, memory) in [
            ("", MemoryDomain::Host),
            ("cpu", MemoryDomain::Host),
            ("GPU", MemoryDomain::Device),
            ("gpu.1", MemoryDomain::Device),
            ("NPU", MemoryDomain::Device),
            ("AUTO", MemoryDomain::Device),
            ("AUTO:GPU,CPU", MemoryDomain::Device),
            ("HETERO:CPU", MemoryDomain::Host),
        ] {
            assert_eq!(Openvino.capabilities(device).memory, memory, "{device}");
        }
    }
}
