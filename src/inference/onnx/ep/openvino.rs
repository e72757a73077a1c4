//! Intel OpenVINO, on its CPU device (AMD too) or another.

use ort::AsPointer;
use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration};
use crate::error::{Error, Setting};
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;
use crate::inference::onnx::runtime::{Device, Package, Plugin, Texts, Version};

/// The kinds of devices that there are.
const KINDS: [&str; 7] = ["CPU", "GPU", "NPU", "AUTO", "HETERO", "MULTI", "BATCH"];

pub(super) struct Openvino;

static PLUGIN: Package = Package {
    wheel: "onnxruntime-ep-openvino",
    is_on_pypi: true,
    name: "OpenVINOExecutionProvider",
    folder: "onnxruntime_ep_openvino",
    libraries: &["onnxruntime_providers_openvino_plugin"],
    oldest: Version {
        major: 1,
        minor: 23,
        patch: 0,
    },
};

impl Provider for Openvino {
    fn ort_name(&self) -> &'static str {
        ep::OpenVINO::NAME
    }

    fn package(&self) -> Option<&'static str> {
        Some("onnxruntime-openvino")
    }

    fn plugin(&self) -> Option<&'static Package> {
        Some(&PLUGIN)
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
            compiles: false,
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
        let texts = Texts::of(registration.options())?;
        // SAFETY: the options of a session that is being built, a name, and as many names as values, each NUL-terminated and
        // alive during the call, which copies them
        unsafe {
            ort::Error::result_from_status((ort::api().SessionOptionsAppendExecutionProvider)(
                builder.ptr_mut(),
                c"OpenVINO".as_ptr(),
                texts.names.as_ptr(),
                texts.values.as_ptr(),
                texts.names.len(),
            ))
        }
    }

    /// The device is no option of a plugin's.
    fn on_plugin(
        &self,
        registration: Registration,
        plugin: &'static Plugin,
    ) -> Result<Registration, Error> {
        let (registration, device) = registration.take("device_type");
        let device = device.unwrap_or_default();
        let devices = devices(plugin.devices(), &device);
        if !devices.is_empty() {
            return Ok(registration.on(devices));
        }
        let offered: Vec<_> = plugin.devices().iter().map(spelling).collect();
        let reason = if offered.is_empty() {
            format!(
                "{} finds no device here: it takes Intel's only. `pip install --no-deps --target FOLDER \
                 onnxruntime-openvino` installs an ONNX Runtime that has it for all CPUs; then set ORT_DYLIB_PATH to that \
                 folder",
                plugin.name()
            )
        } else {
            format!(
                "the device {device} is not there; leave `device` empty or name one of those that {} has here: {} (the \
                 driver of another may be missing)",
                plugin.name(),
                offered.join(", ")
            )
        };
        Err(Error::Provider {
            provider: ExecutionProvider::Openvino.name().to_owned(),
            reason,
        })
    }

    fn remedy(&self, _library: &str) -> &'static str {
        "it comes with that package; install it again"
    }
}

/// What OpenVINO calls a device of the plugin's, and the device that chooses among others which it belongs to.
fn names(device: &Device) -> (&str, Option<&str>) {
    let name = device.tells("ov_device").unwrap_or(device.kind);
    (name, device.tells("ov_meta_device"))
}

/// As the property spells it.
fn spelling(device: &Device) -> String {
    match names(device) {
        (name, None) => name.to_owned(),
        (name, Some(chooser)) => format!("{chooser}:{name}"),
    }
}

/// Those of the plugin's devices `all` that `device` stands for: `GPU` for the first GPU, `AUTO` for all that it chooses
/// from, `AUTO:GPU,CPU` for these two.
fn devices<'a>(all: &'a [Device], device: &str) -> Vec<&'a Device> {
    let is = |name: &str, wanted: &str| {
        // OpenVINO numbers them only where there are several
        name == wanted
            || name.strip_suffix(".0") == Some(wanted)
            || wanted.strip_suffix(".0") == Some(name)
    };
    let of = |chooser: Option<&'a str>| all.iter().filter(move |it| names(it).1 == chooser);
    let named = |chooser, wanted: &str| {
        let mut devices = all.iter().filter(|it| names(it).1 == chooser);
        devices.find(|device| is(names(device).0, wanted))
    };
    let (chooser, of_which) = match device.split_once(':') {
        Some((chooser, of_which)) => (chooser, Some(of_which)),
        None => (device, None),
    };
    let found: Option<Vec<_>> = match of_which {
        Some(of_which) => {
            let wanted = of_which.split(',');
            wanted.map(|wanted| named(Some(chooser), wanted)).collect()
        }
        None => match named(None, device) {
            Some(device) => Some(vec![device]),
            None => all
                .iter()
                .find_map(|it| names(it).1.filter(|name| *name == chooser))
                .map(|chooser| of(Some(chooser)).collect()),
        },
    };
    found.unwrap_or_default()
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
    fn devices_of_the_plugin_are_chosen_by_name() {
        let device = |name, chooser: Option<&str>| {
            let chooser = chooser.map(|chooser| ("ov_meta_device", chooser));
            let metadata: Vec<_> = [("ov_device", name)].into_iter().chain(chooser).collect();
            Device::of_test("CPU", &metadata)
        };
        let all = [
            device("CPU", None),
            device("GPU.0", None),
            device("GPU.1", None),
            device("CPU", Some("AUTO")),
            device("GPU.0", Some("AUTO")),
        ];
        for (name, expected) in [
            ("CPU", &[0][..]),
            ("GPU", &[1]),
            ("GPU.0", &[1]),
            ("GPU.1", &[2]),
            ("AUTO", &[3, 4]),
            ("AUTO:GPU,CPU", &[4, 3]),
            ("AUTO:NPU,CPU", &[]),
            ("NPU", &[]),
            ("GPU.7", &[]),
            ("HETERO:GPU,CPU", &[]),
        ] {
            let expected: Vec<_> = expected.iter().map(|&index| &all[index]).collect();
            assert_eq!(devices(&all, name), expected, "{name}");
        }
        assert_eq!(devices(&[device("GPU", None)], "GPU.0").len(), 1);
        assert_eq!(spelling(&all[4]), "AUTO:GPU.0");
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
