//! The engine on the WebGPU execution provider: by Vulkan on a GPU, or on the CPU by Mesa's lavapipe. Both are left out where
//! they are not there; `scripts/lavapipe` and `install_runtime webgpu` of `scripts/lib.sh` put them there.
#![cfg(target_os = "linux")]

mod engine_support;

use std::path::PathBuf;
use std::process::{Command, Output};

use engine_support::*;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::{
    Config, ExecutionProvider, Precision, Progress, open as open_network,
};
use gstdepthanything::model::ModelSource;

const NAME: &str = "WebGpuExecutionProvider";

/// The ONNX Runtime with the WebGPU plugin beside it.
fn runtime() -> Option<PathBuf> {
    let runtime = installed("webgpu");
    if runtime.join("onnxruntime_ep_webgpu").exists() {
        return Some(runtime);
    }
    println!(
        "left out: no ONNX Runtime in .runtime/webgpu. This line installs it:\n\
         ROOT=$PWD bash -euc '. scripts/lib.sh; install_runtime webgpu'"
    );
    None
}

/// Runs the ignored test `name` with Vulkan, if there is any.
fn with_vulkan(name: &str) -> Option<Output> {
    let runtime = runtime()?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".runtime/lavapipe").exists() {
        println!(
            "left out: no Vulkan that is known to work. This line unpacks one for the CPU: scripts/lavapipe"
        );
        return None;
    }
    let here = command_in_own_process(name, &[]);
    let mut command = Command::new(root.join("scripts/lavapipe"));
    command.arg(here.get_program()).args(here.get_args());
    for (variable, value) in here.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command.env("ORT_DYLIB_PATH", runtime);
    Some(command.output().expect("the script"))
}

#[track_caller]
fn passes(output: &Output) {
    let told = [&output.stdout[..], &output.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(output.status.success(), "{}\n{told}", output.status);
    assert!(told.contains("1 passed"), "{told}");
}

fn webgpu(model: ModelSource) -> Config {
    Config {
        precision: Some(Precision::Fp32),
        ..config(model, ExecutionProvider::Webgpu)
    }
}

/// Largest difference, as a part of the range of `a`.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let least = a.iter().copied().fold(f32::MAX, f32::min);
    let most = a.iter().copied().fold(f32::MIN, f32::max);
    let apart = std::iter::zip(a, b).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max) / (most - least)
}

#[test]
fn depth_is_that_of_the_cpu() {
    if let Some(output) = with_vulkan("compares") {
        passes(&output);
    }
}

#[test]
#[ignore = "run by another in a process of its own, with Vulkan"]
fn compares() {
    for (model, sizes) in [
        (
            ModelSource::Builtin,
            &[(140, 140), (182, 98), (98, 210)][..],
        ),
        (zoo("attention/transformers-eager"), &[(140, 112)]),
        (zoo("metric-indoor"), &[(112, 112)]),
    ] {
        let mut stages = Vec::new();
        let config = webgpu(model.clone());
        let mut network = open_network(&config, &mut |progress| stages.push(progress))
            .unwrap_or_else(|error| panic!("{model:?}: {error}"));
        // shaders are compiled by the first run: that is told
        let [
            Progress::Loading { .. },
            Progress::Compiling { provider: "webgpu" },
            Progress::Ready {
                provider: "webgpu",
                source,
                ..
            },
        ] = &stages[..]
        else {
            panic!("{stages:?}");
        };
        let plugin = "by the plugin onnxruntime-ep-webgpu ";
        assert!(source.starts_with(plugin), "{source}");
        let description = network.description();
        assert_eq!(description.provider, NAME);
        assert_eq!(description.precision, "fp32");
        let placement = description.placement.clone().expect("placement");
        assert!(placement.contains(&format!("on {NAME}")), "{placement}");
        let notes = &description.notes;
        let elsewhere = notes.iter().any(|note| note.contains("run on the cpu"));
        assert!(!elsewhere, "{notes:?}");

        let mut plain = open(&config_on_cpu(model));
        for &(width, height) in sizes {
            let size = Size::new(width, height);
            let values = noise(3 * size.area());
            let here = run(&mut *network, &values, 1, size);
            let there = run(&mut *plain, &values, 1, size);
            let difference = difference(&there.values, &here.values);
            println!("{size}: {difference:.1e} of the range; {placement}");
            assert!(difference < 1e-4, "{size}: {difference}");
        }
    }
    // what is there and better on some GPUs is not taken unasked
    let network = open(&config(ModelSource::Builtin, ExecutionProvider::Auto));
    assert_eq!(network.description().provider, "CPUExecutionProvider");
}

fn config_on_cpu(model: ModelSource) -> Config {
    config(model, ExecutionProvider::Cpu)
}

#[test]
fn without_a_gpu_it_says_what_is_missing() {
    let Some(runtime) = runtime() else {
        return;
    };
    // no driver, whatever this machine has
    let nothing = PathBuf::from("/dev/null");
    let refusal = |software: &str| {
        let software = PathBuf::from(software);
        let output = in_own_process(
            "opens",
            &[
                ("ORT_DYLIB_PATH", &runtime),
                ("VK_DRIVER_FILES", &nothing),
                ("VK_ICD_FILENAMES", &nothing),
                ("ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER", &software),
            ],
        );
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}");
        told
    };
    let told = refusal("1");
    assert!(
        told.contains("Vulkan finds no GPU that it can use"),
        "{told}"
    );
    assert!(told.contains("apt install mesa-vulkan-drivers"), "{told}");
    // or it does not even look: there is no GPU
    let told = refusal("0");
    let words = ["finds no GPU here", "Vulkan finds no GPU"];
    assert!(words.iter().any(|words| told.contains(words)), "{told}");
}

#[test]
#[ignore = "run by another in a process of its own"]
fn opens() {
    println!("{}", refused(&webgpu(ModelSource::Builtin)));
}

#[test]
fn it_has_to_be_installed() {
    plain_runtime();
    let error = refused(&webgpu(ModelSource::Builtin)).to_string();
    for words in [
        "no onnxruntime_ep_webgpu in",
        "`pip install onnxruntime-ep-webgpu` installs it beside this one",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}
