//! NVIDIA TensorRT, with CUDA for what it can't run. It compiles an engine for each size.

use std::ffi::c_int;

use ort::ep::{self, ExecutionProvider as _};
use ort::session::builder::SessionBuilder;

use super::{
    Ask, Capabilities, EngineShape, ExecutionProvider, Provider, Registration, cuda, nvidia,
};
use crate::error::Error;
use crate::inference::Config;
use crate::inference::backend::MemoryDomain;
use crate::inference::onnx::cache::Places;
use crate::inference::onnx::precision::Precision;

pub(super) struct Tensorrt;

impl Provider for Tensorrt {
    fn ort_name(&self) -> &'static str {
        ep::TensorRT::NAME
    }

    fn package(&self) -> Option<&'static str> {
        Some("onnxruntime-gpu")
    }

    fn is_built_in(&self) -> bool {
        ep::TensorRT::is_available().unwrap_or(false)
    }

    fn capabilities(&self, _device: &str) -> Capabilities {
        Capabilities {
            memory: MemoryDomain::Device,
            arenas: "cpu:0;gpu:0",
            // it can't take the operator, and fuses by itself
            takes_fused_attention: false,
            wants_separate_resizes: false,
            holds_attention: false,
            computes_in_types_of_graph: true,
            compiles: true,
            compiles_sizes: true,
        }
    }

    fn precisions(&self, ask: &Ask<'_>) -> (Vec<Precision>, String) {
        nvidia::precisions(ExecutionProvider::Tensorrt, ask)
    }

    fn registrations(
        &self,
        _precision: Precision,
        config: &Config,
        _threads: usize,
        engine: Option<&EngineShape<'_>>,
    ) -> Result<Vec<Registration>, Error> {
        let device = nvidia::device(ExecutionProvider::Tensorrt, &config.device)?;
        Ok(vec![
            registration(device, engine),
            cuda::registration(device),
        ])
    }

    fn append(&self, registration: &Registration, builder: &mut SessionBuilder) -> ort::Result<()> {
        registration
            .configure(ep::TensorRT::default())
            .register(builder)
    }

    fn remedy(&self, library: &str) -> &'static str {
        nvidia::remedy(library)
    }
}

/// The options that decide what is in an engine.
pub(in crate::inference::onnx) fn engine_options(
    device: i32,
    shape: Option<&EngineShape<'_>>,
) -> Vec<(&'static str, String)> {
    let mut options = vec![
        ("device_id", device.to_string()),
        // the types of the graph are the precision: newer versions of TensorRT have no such flag
        ("trt_fp16_enable", "0".to_owned()),
    ];
    if let Some(shape) = shape {
        // one size an engine: another would be compiled in the middle of a run, for minutes
        let profile = profile(shape.input, shape.shape);
        options.extend([
            ("trt_profile_min_shapes", profile.clone()),
            ("trt_profile_opt_shapes", profile.clone()),
            ("trt_profile_max_shapes", profile),
        ]);
    }
    options
}

/// Where the engine and what is learnt of the machine are kept.
fn cache_options(places: &Places<'_>) -> Vec<(&'static str, String)> {
    let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
    vec![
        ("trt_engine_cache_enable", "1".to_owned()),
        ("trt_engine_cache_path", text(places.engine)),
        ("trt_timing_cache_enable", "1".to_owned()),
        ("trt_timing_cache_path", text(places.timing)),
    ]
}

fn registration(device: i32, shape: Option<&EngineShape<'_>>) -> Registration {
    let mut options = engine_options(device, shape);
    if let Some(places) = shape.and_then(|shape| shape.places) {
        options.extend(cache_options(&places));
    }
    Registration::new(ExecutionProvider::Tensorrt, options)
}

/// `image:1x3x518x924`
fn profile(input: &str, shape: &[i64]) -> String {
    let sides: Vec<_> = shape.iter().map(i64::to_string).collect();
    format!("{input}:{}", sides.join("x"))
}

/// The version of TensorRT that the loader finds; empty without one.
pub(in crate::inference::onnx) fn version() -> String {
    ["libnvinfer.so.10", "libnvinfer.so.11", "libnvinfer.so"]
        .into_iter()
        .find_map(|name| {
            // SAFETY: the provider that asks for this has loaded this very library already, so that its initialisers
            // have run.
            let library = unsafe { libloading::Library::new(name) }.ok()?;
            // SAFETY: NvInferRuntime.h declares `int32_t getInferLibVersion() noexcept`.
            let version =
                unsafe { library.get::<unsafe extern "C" fn() -> c_int>(b"getInferLibVersion\0") };
            // SAFETY: as above; it takes nothing and reads a constant, while the library is loaded.
            version.ok().map(|version| unsafe { version() }.to_string())
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_engine_is_for_one_shape() {
        let shape = EngineShape {
            input: "pixel_values",
            shape: &[1, 3, 518, 924],
            places: None,
        };
        let options = engine_options(1, Some(&shape));
        for name in [
            "trt_profile_min_shapes",
            "trt_profile_opt_shapes",
            "trt_profile_max_shapes",
        ] {
            assert!(
                options.contains(&(name, "pixel_values:1x3x518x924".to_owned())),
                "{options:?}"
            );
        }
        assert!(options.contains(&("device_id", "1".to_owned())));
        assert!(options.contains(&("trt_fp16_enable", "0".to_owned())));
        // where it is kept is no part of what it is
        assert!(!options.iter().any(|(name, _)| name.contains("cache")));
    }

    #[test]
    fn engines_are_kept_apart_and_timings_together() {
        let options = cache_options(&Places {
            engine: Path::new("/cache/518"),
            timing: Path::new("/cache/timing"),
        });
        assert_eq!(
            options,
            [
                ("trt_engine_cache_enable", "1".to_owned()),
                ("trt_engine_cache_path", "/cache/518".to_owned()),
                ("trt_timing_cache_enable", "1".to_owned()),
                ("trt_timing_cache_path", "/cache/timing".to_owned()),
            ]
        );
    }
}
