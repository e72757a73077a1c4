//! NVIDIA CUDA.

use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration, nvidia};
use crate::error::Error;
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;

pub(super) struct Cuda;

impl Provider for Cuda {
    fn ort_name(&self) -> &'static str {
        ep::CUDA::NAME
    }

    fn package(&self) -> &'static str {
        "onnxruntime-gpu"
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
