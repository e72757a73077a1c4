//! NVIDIA CUDA.

use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration, nvidia};
use crate::error::Error;
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;
use crate::inference::onnx::runtime::{Package, Plugin, Version};

pub(super) struct Cuda;

/// One wheel for each CUDA, `onnxruntime-ep-cuda12` and `-cuda13`; both hold the same package.
static PLUGIN: Package = Package {
    wheel: "onnxruntime-ep-cuda13",
    is_on_pypi: false,
    name: "CudaPluginExecutionProvider",
    folder: "onnxruntime_ep_cuda",
    libraries: &[
        "onnxruntime_providers_cuda_plugin",
        "onnxruntime_providers_cuda",
    ],
    oldest: Version {
        major: 1,
        minor: 24,
        patch: 0,
    },
};

impl Provider for Cuda {
    fn ort_name(&self) -> &'static str {
        ep::CUDA::NAME
    }

    fn package(&self) -> Option<&'static str> {
        Some("onnxruntime-gpu")
    }

    fn plugin(&self) -> Option<&'static Package> {
        Some(&PLUGIN)
    }

    fn is_built_in(&self) -> bool {
        ep::CUDA::is_available().unwrap_or(false)
    }

    fn capabilities(&self, _device: &str) -> Capabilities {
        Capabilities {
            memory: MemoryDomain::Device,
            arenas: "cpu:0;gpu:0",
            takes_fused_attention: true,
            // a GPU resizes faster than it waits for the CPU to make the matrices
            wants_separate_resizes: false,
            // the other operators fuse by themselves
            holds_attention: false,
            computes_in_types_of_graph: true,
            compiles: false,
            compiles_sizes: false,
        }
    }

    fn precisions(&self, ask: &Ask<'_>) -> (Vec<Precision>, String) {
        nvidia::precisions(ExecutionProvider::Cuda, ask)
    }

    fn registrations(
        &self,
        _precision: Precision,
        config: &Config,
        _threads: usize,
        _engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error> {
        let device = nvidia::device(ExecutionProvider::Cuda, &config.device)?;
        Ok(vec![registration(device)])
    }

    fn append(&self, registration: &Registration, builder: &mut SessionBuilder) -> ort::Result<()> {
        registration
            .configure(ep::CUDA::default())
            .register(builder)
    }

    /// The first, the second, … of those that it has.
    fn on_plugin(
        &self,
        registration: Registration,
        plugin: &'static Plugin,
    ) -> Result<Registration, Error> {
        let (registration, device) = registration.take("device_id");
        let device = device.unwrap_or_default();
        let gpus = || plugin.devices().iter().filter(|it| it.kind == "GPU");
        match device.parse().ok().and_then(|number| gpus().nth(number)) {
            Some(device) => Ok(registration.on(vec![device])),
            None => Err(Error::Provider {
                provider: ExecutionProvider::Cuda.name().to_owned(),
                reason: format!(
                    "a GPU number {device} is not there: {} sees {}; `nvidia-smi -L` lists them (the driver may be \
                     missing, or too old)",
                    plugin.name(),
                    gpus().count()
                ),
            }),
        }
    }

    fn remedy(&self, library: &str) -> &'static str {
        nvidia::remedy(library)
    }
}

pub(super) fn registration(device: i32) -> Registration {
    Registration::new(ExecutionProvider::Cuda, options(device))
}

fn options(device: i32) -> Vec<(&'static str, String)> {
    vec![
        ("device_id", device.to_string()),
        // an arena that grows by doubling would hold up to twice what is needed
        ("arena_extend_strategy", "kSameAsRequested".to_owned()),
        // an exhaustive search would be made anew at each resolution, in the middle of a stream
        ("cudnn_conv_algo_search", "HEURISTIC".to_owned()),
        // has 10 bits of mantissa, which is not what fp32 says
        ("use_tf32", "0".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_is_fp32_where_it_says_so() {
        let options = options(2);
        assert!(options.contains(&("device_id", "2".to_owned())));
        assert!(options.contains(&("use_tf32", "0".to_owned())));
    }
}
