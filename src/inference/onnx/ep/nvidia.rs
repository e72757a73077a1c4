//! What the providers for NVIDIA's GPUs share: their devices, and what they say of missing libraries.

use super::{Ask, ExecutionProvider};
use crate::error::{Error, Setting};
use crate::inference::onnx::precision::Precision;

/// The number of a GPU.
///
/// # Errors
/// [`Error::Setting`] when `device` is none.
pub(in crate::inference::onnx) fn device(
    provider: ExecutionProvider,
    device: &str,
) -> Result<i32, Error> {
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

/// The precisions of both: they compute in the types of the graph, which is rewritten for half precision.
pub(super) fn precisions(provider: ExecutionProvider, ask: &Ask<'_>) -> (Vec<Precision>, String) {
    if ask.facts.half_precision {
        return (
            vec![Precision::Fp16],
            format!("this model is fp16 itself, and the {provider} provider computes in that"),
        );
    }
    (
        vec![Precision::Fp16, Precision::Fp32],
        format!("the {provider} provider gives fp16 and fp32"),
    )
}

/// What to do about a shared library that is missing.
pub(super) fn remedy(library: &str) -> &'static str {
    if library.contains("nvinfer") || library.contains("nvonnxparser") {
        "install TensorRT (https://developer.nvidia.com/tensorrt) of that version and put its libraries on the loader's \
         path"
    } else if library.starts_with("libcuda.so") {
        "install the NVIDIA driver"
    } else if library.contains("cudnn") {
        "install cuDNN of that version, for instance with `pip install \"onnxruntime-gpu[cuda,cudnn]\"`, and put it on \
         the loader's path (LD_LIBRARY_PATH)"
    } else {
        "install CUDA of that version, for instance with `pip install \"onnxruntime-gpu[cuda,cudnn]\"`, and put it on \
         the loader's path (LD_LIBRARY_PATH)"
    }
}

/// The GPUs of this machine and their driver, as the driver tells; empty without one.
pub(in crate::inference::onnx) fn gpus() -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_is_named() {
        let text = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 11\n";
        assert_eq!(model_of(text).as_deref(), Some("NVIDIA H200"));
        assert_eq!(model_of("IRQ: 1"), None);
    }

    #[test]
    fn what_is_missing_is_told_how_to_install() {
        assert!(remedy("libnvinfer.so.10").contains("TensorRT"));
        assert!(remedy("libcudnn.so.9").contains("cuDNN"));
        assert!(remedy("libcuda.so.1").contains("driver"));
        assert!(remedy("libcublas.so.13").contains("CUDA"));
    }
}
