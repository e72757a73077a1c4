//! ONNX Runtime's own kernels, which are always there.

use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{Ask, Capabilities, EngineShape, Provider, Registration};
use crate::error::{Error, Setting};
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::precision::Precision;

pub(super) struct Cpu;

impl Provider for Cpu {
    fn ort_name(&self) -> &'static str {
        ep::CPU::NAME
    }

    fn package(&self) -> Option<&'static str> {
        Some("onnxruntime")
    }

    fn is_built_in(&self) -> bool {
        true
    }

    fn capabilities(&self, _device: &str) -> Capabilities {
        Capabilities {
            memory: MemoryDomain::Host,
            arenas: "cpu:0",
            takes_fused_attention: true,
            wants_separate_resizes: true,
            holds_attention: true,
            computes_in_types_of_graph: false,
            compiles: false,
            compiles_sizes: false,
        }
    }

    fn precisions(&self, _ask: &Ask<'_>) -> (Vec<Precision>, String) {
        (
            vec![Precision::Fp32],
            "the cpu provider computes in fp32; bf16 comes with the openvino provider on CPUs that have it, fp16 with a \
             GPU"
            .into(),
        )
    }

    fn registrations(
        &self,
        _precision: Precision,
        config: &Config,
        _threads: usize,
        _engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error> {
        let device = config.device.trim();
        if !device.is_empty() && !device.eq_ignore_ascii_case("cpu") {
            return Err(Error::Setting {
                setting: Setting::Device,
                reason: format!("the cpu provider has no device {device:?}; leave it empty"),
            });
        }
        Ok(Vec::new())
    }

    fn append(
        &self,
        _registration: &Registration,
        _builder: &mut SessionBuilder,
    ) -> ort::Result<()> {
        Ok(())
    }

    fn remedy(&self, _library: &str) -> &'static str {
        "install that package again"
    }
}
