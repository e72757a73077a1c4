//! Options of the CUDA and TensorRT providers, and what of the machine an engine of TensorRT is bound to.

use std::ffi::c_int;

use super::{ExecutionProvider, Registration};
use crate::engine::cache::Places;
use crate::error::{Error, Setting};

/// What TensorRT compiles an engine for.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct EngineShape<'a> {
    /// The name of the image input.
    pub(in crate::engine) input: &'a str,
    /// The one shape it will get.
    pub(in crate::engine) shape: &'a [i64],
    /// Where the engine is kept.
    pub(in crate::engine) places: Option<Places<'a>>,
}

/// The number of a GPU.
///
/// # Errors
/// [`Error::Setting`] when `device` is none.
pub(in crate::engine) fn device(provider: ExecutionProvider, device: &str) -> Result<i32, Error> {
    let device = device.trim();
    if device.is_empty() {
        return Ok(0);
    }
    device
        .parse::<u16>()
        .map(i32::from)
        .map_err(|_| Error::Setting {
            setting: Setting::Device,
            reason: format!(
                "{device:?} is no device of the {provider} provider; give the number of a GPU as \
                 `nvidia-smi -L` lists them, such as \"0\""
            ),
        })
}

fn cuda_options(device: i32) -> Vec<(&'static str, String)> {
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

pub(super) fn cuda(device: i32) -> Registration {
    Registration::new(ExecutionProvider::Cuda, cuda_options(device))
}

/// The options that decide what is in an engine.
pub(in crate::engine) fn engine_options(
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

pub(super) fn tensorrt(device: i32, shape: Option<&EngineShape<'_>>) -> Registration {
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

/// The GPUs of this machine and their driver, as the driver tells; empty without one.
pub(in crate::engine) fn gpus() -> String {
    let root = std::path::Path::new("/proc/driver/nvidia");
    let mut models: Vec<String> = std::fs::read_dir(root.join("gpus"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|gpu| std::fs::read_to_string(gpu.path().join("information")).ok())
        .filter_map(|text| model_of(&text))
        .collect();
    models.sort();
    let driver = std::fs::read_to_string(root.join("version")).unwrap_or_default();
    models.push(driver.lines().next().unwrap_or_default().to_owned());
    models.join("; ")
}

fn model_of(information: &str) -> Option<String> {
    information
        .lines()
        .find_map(|line| line.strip_prefix("Model:"))
        .map(|model| model.trim().to_owned())
}

/// The version of TensorRT that the loader finds; empty without one.
pub(in crate::engine) fn tensorrt_version() -> String {
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

    #[test]
    fn cuda_is_fp32_where_it_says_so() {
        let options = cuda_options(2);
        assert!(options.contains(&("device_id", "2".to_owned())));
        assert!(options.contains(&("use_tf32", "0".to_owned())));
    }

    #[test]
    fn the_gpu_is_named() {
        let text = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 11\n";
        assert_eq!(model_of(text).as_deref(), Some("NVIDIA H200"));
        assert_eq!(model_of("IRQ: 1"), None);
    }
}
