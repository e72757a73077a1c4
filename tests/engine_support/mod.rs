//! What the tests of the engine share.
#![allow(dead_code)] // each test binary uses a part of it

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{DepthMaps, Images};
use gstdepthanything::inference::onnx::runtime::{self, Runtime};
use gstdepthanything::inference::{self, Config, ExecutionProvider, Network};
use gstdepthanything::model::ModelSource;

/// The plain ONNX Runtime: `ORT_DYLIB_PATH`, or the one that `./check` installs.
pub(crate) fn plain_runtime() -> &'static Runtime {
    load(&plain_library(), "onnxruntime")
}

/// The path of [`plain_runtime`].
pub(crate) fn plain_library() -> PathBuf {
    match std::env::var_os("ORT_DYLIB_PATH") {
        Some(path) if !path.is_empty() => path.into(),
        _ => installed("onnxruntime"),
    }
}

/// The ONNX Runtime with the OpenVINO provider that `./check` installs: with a plugin where that runs.
pub(crate) fn openvino_runtime() -> &'static Runtime {
    load(&installed("openvino"), "onnxruntime-openvino")
}

/// The ONNX Runtime that has the OpenVINO provider built in. Where it is not installed, the test is left out.
pub(crate) fn runtime_with_openvino_built_in() -> Option<&'static Runtime> {
    let plugin = installed("openvino").join(PLUGIN);
    let name = match plugin.exists() {
        true => "openvino-built-in",
        // what `./check` installs where the plugin does not run
        false => "openvino",
    };
    let folder = installed(name);
    if !folder.exists() {
        println!(
            "left out: no ONNX Runtime in .runtime/{name}. This line installs it:\n\
             ROOT=$PWD bash -euc '. scripts/lib.sh; install_runtime {name}'"
        );
        return None;
    }
    Some(load(&folder, "onnxruntime-openvino"))
}

/// The OpenVINO provider as a library of its own, in the folder of packages that it lies in.
pub(crate) const PLUGIN: &str =
    "onnxruntime_ep_openvino/libonnxruntime_providers_openvino_plugin.so";

/// The folder of [`PLUGIN`], where that runs.
pub(crate) fn plugin_packages() -> Option<PathBuf> {
    let packages = installed("openvino");
    if packages.join(PLUGIN).exists() {
        return Some(packages);
    }
    println!("left out: the OpenVINO plugin does not run on this machine");
    None
}

pub(crate) fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(".runtime")
        .join(name)
}

fn load(library: &Path, package: &str) -> &'static Runtime {
    runtime::load_from(library).unwrap_or_else(|error| {
        let folder = library.file_name().unwrap_or_default().to_string_lossy();
        panic!(
            "this test needs an ONNX Runtime. `./check` installs it, and so does\n\
             pip install --no-deps --target .runtime/{folder} {package}\n{error}"
        )
    })
}

/// A model of the test zoo.
pub(crate) fn zoo(name: &str) -> ModelSource {
    ModelSource::File(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/models")
            .join(format!("{name}.onnx")),
    )
}

/// `model` on `provider`, with two threads.
pub(crate) fn config(model: ModelSource, provider: ExecutionProvider) -> Config {
    Config {
        provider,
        threads: 2,
        ..Config::new(model)
    }
}

/// Opens a network that has to open.
#[track_caller]
pub(crate) fn open(config: &Config) -> Box<dyn Network> {
    inference::open(config, &mut |_| {}).unwrap_or_else(|error| panic!("{config:?}: {error}"))
}

/// The error of a network that must not open.
#[track_caller]
pub(crate) fn refused(config: &Config) -> Error {
    match inference::open(config, &mut |_| {}) {
        Err(error) => error,
        Ok(network) => panic!("{config:?} opened: {:?}", network.description()),
    }
}

/// Runs one batch of images and checks the form of what comes back.
#[track_caller]
pub(crate) fn run(
    network: &mut dyn Network,
    values: &[f32],
    batch: usize,
    size: Size,
) -> DepthMaps {
    let mut depth = DepthMaps::default();
    let images = Images {
        values,
        batch,
        size,
    };
    network
        .run(images, &mut depth)
        .unwrap_or_else(|error| panic!("{size}: {error}"));
    assert_eq!(depth.batch, batch);
    assert_eq!(depth.values.len(), batch * depth.size.area());
    depth
}

/// The error of a run that must not succeed, as text.
#[track_caller]
pub(crate) fn run_fails(network: &mut dyn Network, batch: usize, size: Size) -> String {
    let values = noise(batch * 3 * size.area());
    let images = Images {
        values: &values,
        batch,
        size,
    };
    match network.run(images, &mut DepthMaps::default()) {
        Err(error) => error.to_string(),
        Ok(()) => panic!("{batch} × {size} ran"),
    }
}

/// `count` values between −2 and 2 that repeat from run to run.
pub(crate) fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    })
    .take(count)
    .collect()
}

/// Runs the ignored test `name` of this binary in a process of its own, with these environment variables.
pub(crate) fn in_own_process(name: &str, variables: &[(&str, &Path)]) -> Output {
    command_in_own_process(name, variables)
        .output()
        .expect("this test again")
}

/// What [`in_own_process`] runs.
pub(crate) fn command_in_own_process(name: &str, variables: &[(&str, &Path)]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    for variable in [
        "ORT_DYLIB_PATH",
        "ORT_EP_DYLIB_PATH",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
    ] {
        command.env_remove(variable);
    }
    command.envs(variables.iter().copied());
    command
}
