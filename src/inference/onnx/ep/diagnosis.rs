//! Why a provider does not work here, and what to do about it.

use std::path::{Path, PathBuf};

use super::ExecutionProvider;
use crate::error::Error;
use crate::inference::onnx::runtime::{Broken, Missing, Runtime};

/// `provider` is neither built into the loaded ONNX Runtime nor there as a plugin.
pub(super) fn not_there(provider: ExecutionProvider, runtime: &Runtime) -> Error {
    let of = provider.provider();
    let (package, plugin) = (
        of.and_then(|provider| provider.package()),
        of.and_then(|provider| provider.plugin()),
    );
    let mut reason = format!(
        "ONNX Runtime {} ({}, {}) was built without it",
        runtime.version(),
        runtime.path().display(),
        runtime.origin(),
    );
    if let Some(plugin) = plugin {
        let looked = match runtime.plugin(plugin) {
            Err(Missing::Absent(places)) => in_list(&places),
            _ => String::new(),
        };
        reason += &format!(", and there is no {} in {looked}", plugin.folder);
    }
    let whole = package.map(|package| {
        format!(
            "`pip install --no-deps --target FOLDER {package}` installs {} that has it; then set ORT_DYLIB_PATH to that \
             folder",
            if plugin.is_some() { "an ONNX Runtime" } else { "one" }
        )
    });
    let beside = plugin.filter(|plugin| plugin.is_on_pypi).map(|plugin| {
        let upgrade = match runtime.version() < plugin.oldest {
            true => format!(" (with ONNX Runtime {} or newer)", plugin.oldest),
            false => String::new(),
        };
        format!(
            "`pip install {}` installs it beside this one{upgrade}",
            plugin.wheel
        )
    });
    let remedies: Vec<_> = beside.into_iter().chain(whole).collect();
    reason += ". ";
    reason += &remedies.join("; or ");
    Error::Provider {
        provider: provider.name().to_owned(),
        reason,
    }
}

/// The plugins of `provider` that there are don't work.
pub(super) fn broken_plugins(provider: ExecutionProvider, broken: &[Broken]) -> Error {
    let reasons: Vec<_> = broken
        .iter()
        .map(
            |Broken {
                 file,
                 words,
                 logged,
             }| {
                let reason = reason(provider, words, logged, Some(file));
                format!("{}: {reason}", file.display())
            },
        )
        .collect();
    Error::Provider {
        provider: provider.name().to_owned(),
        reason: reasons.join("; "),
    }
}

/// The folder of `library`, if it is that of the plugin `file`, one in it, or of a package beside its own (NVIDIA's lie in
/// `nvidia/*/lib`).
fn lying_near(library: &str, file: &Path) -> Option<PathBuf> {
    let own = file.parent()?;
    let below = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
    };
    let nvidia = own.parent().map(|packages| packages.join("nvidia"));
    let packages = nvidia.iter().flat_map(|nvidia| below(nvidia));
    [own.to_owned()]
        .into_iter()
        .chain(below(own))
        .chain(packages.map(|package| package.join("lib")))
        .find(|folder| folder.join(library).is_file())
}

fn in_list(places: &[PathBuf]) -> String {
    let places: Vec<_> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    places.join(", ")
}

/// `provider` failed with ONNX Runtime's `words`; `logged` are the errors that it logged meanwhile, which often say
/// more.
pub(in crate::inference::onnx) fn provider_error(
    provider: ExecutionProvider,
    words: &str,
    logged: &[String],
) -> Error {
    Error::Provider {
        provider: provider.name().to_owned(),
        reason: reason(provider, words, logged, None),
    }
}

/// `plugin`: the library that it is about, if it is one of its own.
fn reason(
    provider: ExecutionProvider,
    words: &str,
    logged: &[String],
    plugin: Option<&Path>,
) -> String {
    let said = || logged.iter().map(String::as_str).chain([words]);
    if let Some(library) = said().find_map(missing_library) {
        return match plugin.and_then(|plugin| lying_near(library, plugin)) {
            Some(folder) => format!(
                "{library} is not found, though it lies in {}: the dynamic loader does not look there. Put that folder on \
                 LD_LIBRARY_PATH before the program starts",
                folder.display()
            ),
            None => format!("{library} is missing; {}", remedy(provider, library)),
        };
    }
    if said().any(|words| words.contains("Failed to get a WebGPU adapter")) {
        return "Vulkan finds no GPU that it can use (`vulkaninfo --summary` lists those that there are): install the GPU's driver \
                (`apt install mesa-vulkan-drivers`) and Vulkan's loader (`apt install libvulkan1`)"
            .to_owned();
    }
    match said().find_map(missing_device) {
        Some(device) => format!(
            "{device} is not there; leave `device` empty or name another{}",
            if device.contains("GPU") || device.contains("NPU") {
                " (its driver may be missing)"
            } else {
                ""
            }
        ),
        None if words.starts_with("Failed to load provider") => {
            trimmed(logged.last().map_or(words, String::as_str))
        }
        None => trimmed(words),
    }
}

/// The shared library that the dynamic loader did not find.
fn missing_library(words: &str) -> Option<&str> {
    let before = words
        .split(": cannot open shared object file")
        .next()
        .filter(|before| before.len() < words.len())?;
    before
        .rsplit(|c: char| c.is_whitespace() || c == ':' || c == '/')
        .next()
        .filter(|name| !name.is_empty())
}

fn remedy(provider: ExecutionProvider, library: &str) -> &'static str {
    match provider.provider() {
        Some(provider) if !library.contains("onnxruntime_providers") => provider.remedy(library),
        _ => "it belongs beside libonnxruntime.so; install that package again",
    }
}

/// The device that a provider does not have.
fn missing_device(words: &str) -> Option<String> {
    // OpenVINO: "Device GPU.1 is not available"
    if let Some((before, _)) = words.split_once(" is not available")
        && let Some((_, device)) = before.rsplit_once("Device ")
    {
        return Some(format!("the device {device}"));
    }
    let lower = words.to_lowercase();
    if lower.contains("invalid device ordinal") || lower.contains("invalid device id") {
        return Some("a GPU of that number".to_owned());
    }
    if lower.contains("no cuda-capable device")
        || lower.contains("cuda driver version is insufficient")
    {
        return Some("a working NVIDIA GPU and driver".to_owned());
    }
    None
}

/// Where a source line such as `file.cc:123` ends its file name, and where the number begins.
fn source_line(text: &str) -> Option<(usize, usize)> {
    [".cc:", ".cpp:", ".h:", ".hpp:", ".cu:", ".cuh:"]
        .iter()
        .filter_map(|extension| {
            let start = text.find(extension)?;
            let end = start + extension.len();
            text[end..]
                .starts_with(|c: char| c.is_ascii_digit())
                .then_some((start, end))
        })
        .min()
}

/// ONNX Runtime's words without source lines and C++ signatures, in one line.
pub(in crate::inference::onnx) fn trimmed(words: &str) -> String {
    const LONGEST: usize = 500;
    let mut lines: Vec<&str> = words
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("Exception from "))
        .collect();
    // OpenVINO tells what was wrong last
    if lines.len() > 1 && source_line(lines[0]).is_some() {
        lines = lines.split_off(lines.len() - 1);
    }
    let mut text = lines.join(" ");
    // "/onnxruntime/…/file.cc:123 ReturnType Class::function(…) the message"
    while let Some((start, end)) = source_line(&text) {
        let from = text[..start]
            .rfind(char::is_whitespace)
            .map_or(0, |space| space + 1);
        let rest = &text[end..];
        let after = rest
            .find(") ")
            .map_or_else(|| rest.find(' ').unwrap_or(rest.len()), |close| close + 2);
        text.replace_range(from..end + after, "");
    }
    let text = text.trim();
    let text = text.strip_prefix("const ").unwrap_or(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(provider: ExecutionProvider, words: &str) -> String {
        match provider_error(provider, "Failed to load provider", &[words.to_owned()]) {
            Error::Provider { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_missing_library_is_named() {
        let words = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:2157 onnxruntime::Provider& \
                     onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library \
                     libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: \
                     No such file or directory";
        let reason = reason(ExecutionProvider::Cuda, words);
        assert!(
            reason.starts_with("libcublasLt.so.13 is missing; install CUDA"),
            "{reason}"
        );

        assert_eq!(
            missing_library(
                "dlopen: /opt/libnvinfer.so.10: cannot open shared object file: No such file"
            ),
            Some("libnvinfer.so.10")
        );
        assert_eq!(missing_library("all is well"), None);
    }

    #[test]
    fn the_missing_device_is_named() {
        let words = "/onnxruntime/onnxruntime/core/providers/openvino/openvino_provider_factory.cc:141 std::string \
                     onnxruntime::openvino_ep::ParseDeviceType(std::shared_ptr<OVCore>, const \
                     onnxruntime::ProviderOptions&) [ERROR] [OpenVINO] Device GPU.1 is not available\n";
        let reason = reason(ExecutionProvider::Openvino, words);
        assert!(
            reason.starts_with("the device GPU.1 is not there"),
            "{reason}"
        );
        assert!(missing_device("CUDA failure 101: invalid device ordinal ; GPU=7").is_some());
    }

    #[test]
    fn signatures_fall_away() {
        let words = "/onnxruntime_src/onnxruntime/core/framework/op_kernel.cc:83 virtual void \
                     onnxruntime::OpKernel::Compute(int) const Got invalid dimensions";
        assert_eq!(trimmed(words), "Got invalid dimensions");
        let words = "Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 \
                     onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, bool) a == b was false. \
                     Input shape:{1,2}";
        assert_eq!(
            trimmed(words),
            "Status Message: a == b was false. Input shape:{1,2}"
        );
        assert_eq!(trimmed("a\n\n b "), "a b");
        assert_eq!(trimmed(&"x".repeat(1000)).chars().count(), 501);
        let words = "/onnxruntime/basic_backend.cc:136 f()\nException from src/core.cpp:114:\nNotFound: Unsupported \
                     property NONSENSE by CPU plugin.\n\n";
        assert_eq!(
            trimmed(words),
            "NotFound: Unsupported property NONSENSE by CPU plugin."
        );
    }
}
