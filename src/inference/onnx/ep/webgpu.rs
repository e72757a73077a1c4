//! WebGPU: Vulkan on any GPU, without CUDA. A plugin only.

use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration};
use crate::error::{Error, Setting};
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;
use crate::inference::onnx::runtime::{Package, Plugin, Version};

pub(super) struct Webgpu;

static PLUGIN: Package = Package {
    wheel: "onnxruntime-ep-webgpu",
    is_on_pypi: true,
    name: "WebGpuExecutionProvider",
    folder: "onnxruntime_ep_webgpu",
    libraries: &["onnxruntime_providers_webgpu"],
    oldest: Version {
        major: 1,
        minor: 24,
        patch: 4,
    },
};

impl Provider for Webgpu {
    fn ort_name(&self) -> &'static str {
        PLUGIN.name
    }

    fn package(&self) -> Option<&'static str> {
        None
    }

    fn plugin(&self) -> Option<&'static Package> {
        Some(&PLUGIN)
    }

    fn is_built_in(&self) -> bool {
        false
    }

    fn capabilities(&self, _device: &str) -> Capabilities {
        Capabilities {
            memory: MemoryDomain::Device,
            arenas: "cpu:0",
            // 0.4.0 takes the operator, and its depth is then off by 1 % of the range at 252×182
            takes_fused_attention: false,
            wants_separate_resizes: false,
            holds_attention: true,
            computes_in_types_of_graph: true,
            compiles: true,
            compiles_sizes: false,
        }
    }

    fn precisions(&self, ask: &Ask<'_>) -> (Vec<Precision>, String) {
        if ask.facts.half_precision {
            let reason = "this model is fp16 itself, and the webgpu provider computes in that";
            return (vec![Precision::Fp16], reason.to_owned());
        }
        // fp16 is what drivers differ in: it has to be asked for
        let given = match ask.precision {
            Some(Precision::Fp16) => vec![Precision::Fp16],
            _ => vec![Precision::Fp32],
        };
        (given, "the webgpu provider gives fp16 and fp32".to_owned())
    }

    fn registrations(
        &self,
        _precision: Precision,
        config: &Config,
        _threads: usize,
        _engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error> {
        let device = config.device.trim();
        if !device.is_empty() {
            return Err(Error::Setting {
                setting: Setting::Device,
                reason: format!(
                    "the webgpu provider chooses the GPU itself and takes no device {device:?}; leave it empty. Mesa's drivers take \
                     the one that MESA_VK_DEVICE_SELECT names in the environment"
                ),
            });
        }
        let backend = cfg!(target_os = "linux").then(|| ("dawnBackendType", "Vulkan".to_owned()));
        Ok(vec![Registration::new(ExecutionProvider::Webgpu, backend)])
    }

    fn on_plugin(
        &self,
        registration: Registration,
        plugin: &'static Plugin,
    ) -> Result<Registration, Error> {
        // it takes one, and then chooses the GPU by itself
        match plugin.devices().first() {
            Some(device) => Ok(registration.on(vec![device])),
            None => Err(Error::Provider {
                provider: ExecutionProvider::Webgpu.name().to_owned(),
                reason: format!(
                    "{} finds no GPU here; is its driver installed (`vulkaninfo --summary` lists GPUs that Vulkan sees)? To try it \
                     on the CPU, slowly, set ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1 and install Mesa's lavapipe, 25.0 or newer",
                    plugin.name()
                ),
            }),
        }
    }

    fn append(
        &self,
        _registration: &Registration,
        _builder: &mut SessionBuilder,
    ) -> ort::Result<()> {
        Err(ort::Error::new("it is a plugin only"))
    }

    fn remedy(&self, library: &str) -> &'static str {
        if library.contains("vulkan") {
            "install the Vulkan loader (`apt install libvulkan1`) and the GPU's driver (`apt install mesa-vulkan-drivers`)"
        } else {
            "it comes with onnxruntime-ep-webgpu or the system; install that package again"
        }
    }
}
