//! The plugin in a Python program, as users run it: numpy is imported first, then GStreamer; virtual environments.
//!
//! numpy of pip brings libstdc++, which is bound to another library for C++ exceptions than what comes after GStreamer: that
//! ended the process with SIGABRT or SIGSEGV as soon as ONNX Runtime or OpenVINO threw one.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Imports modules, then GStreamer, plays, and prints `eos` or the error.
const PLAY: &str = r#"
import sys, importlib
modules, pipeline = sys.argv[1:]
for name in filter(None, modules.split(",")):
    importlib.import_module(name)
if modules:
    # as pip's numpy does, and OpenCV, av, onnx; the distributions' numpy need not
    import ctypes
    ctypes.CDLL("libstdc++.so.6")
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch(pipeline)
pipeline.set_state(Gst.State.PLAYING)
kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
message = pipeline.get_bus().timed_pop_filtered(120 * Gst.SECOND, kinds)
print("eos" if message.type == Gst.MessageType.EOS else "error: " + message.parse_error()[0].message)
pipeline.set_state(Gst.State.NULL)
"#;

/// A Python that has numpy and GStreamer's bindings.
fn python() -> &'static str {
    ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|name| {
            let imports =
                "import numpy, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst";
            let output = Command::new(name).args(["-c", imports]).output();
            output.is_ok_and(|output| output.status.success())
        })
        .expect(
            "a python3 with numpy and GStreamer's bindings: ./check installs it, and so does\n\
             apt install python3-gi python3-numpy python3-venv gir1.2-gst-plugins-base-1.0",
        )
}

/// A folder of this test's own: the plugin, a home, a registry.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("folder"));
        let test = std::env::current_exe().expect("this test");
        let plugin = test.with_file_name("libgstdepthanything.so");
        let plugin = if plugin.exists() {
            plugin
        } else {
            let target = test.ancestors().nth(2).expect("target/debug");
            target.join("libgstdepthanything.so")
        };
        place.link(&plugin, "plugins/libgstdepthanything.so");
        std::fs::create_dir_all(place.path("home")).expect("folder");
        place
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn link(&self, to: &Path, below: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("folder")).expect("folder");
        std::os::unix::fs::symlink(to, path).expect("link");
    }

    /// A virtual environment that sees the system's packages; its `bin/python`.
    fn environment(&self) -> PathBuf {
        let output = Command::new(python())
            .args(["-m", "venv", "--system-site-packages", "--without-pip"])
            .arg(self.path("venv"))
            .output()
            .expect("python");
        assert!(
            output.status.success(),
            "a virtual environment: ./check installs what it needs, and so does `apt install python3-venv`\n{}",
            text(&output)
        );
        self.path("venv/bin/python")
    }

    fn packages(&self) -> String {
        let lib = std::fs::read_dir(self.path("venv/lib")).expect("a virtual environment");
        let python = lib.flatten().next().expect("a Python").file_name();
        format!("venv/lib/{}/site-packages", python.to_string_lossy())
    }

    fn command(&self, python: &Path, modules: &str, pipeline: &str) -> Command {
        let mut command = Command::new(python);
        for name in [
            "ORT_DYLIB_PATH",
            "ORT_EP_DYLIB_PATH",
            "VIRTUAL_ENV",
            "CONDA_PREFIX",
        ] {
            command.env_remove(name);
        }
        command
            .args(["-c", PLAY, modules, pipeline])
            .current_dir(self.0.path())
            .env("HOME", self.path("home"))
            .env("GST_PLUGIN_PATH", self.path("plugins"))
            .env("GST_REGISTRY", self.path("registry.bin"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// What is printed when `element` plays two frames in `python`, with the runtime that `./check` has installed.
    #[track_caller]
    fn play(&self, python: &Path, runtime: &str, modules: &str, element: &str) -> String {
        let library = common::runtime_library(runtime)
            .unwrap_or_else(|| panic!("ONNX Runtime in .runtime/{runtime}: ./check installs it"));
        let pipeline = format!("videotestsrc num-buffers=2 ! {element} ! fakesink");
        let output = self
            .command(python, modules, &pipeline)
            .env("ORT_DYLIB_PATH", library)
            .output()
            .expect("python");
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

const NONE: &str = "";
const NUMPY: &str = "numpy";

#[test]
fn an_error_of_a_run_is_one_with_numpy_too() {
    let place = Place::new();
    let element = format!(
        "depthanything execution-provider=cpu model-file={}",
        common::model("limited.onnx")
    );
    for modules in [NONE, NUMPY] {
        let told = place.play(Path::new(python()), "onnxruntime", modules, &element);
        // ONNX Runtime has thrown, and its words have come through
        assert!(told.starts_with("error: inference at"), "{modules}: {told}");
        assert!(told.contains("broadcast"), "{modules}: {told}");
    }
}

/// A plugin where that runs, and built in where that is installed.
#[cfg(target_arch = "x86_64")]
#[test]
fn openvino_runs_and_fails_with_numpy_too() {
    let place = Place::new();
    let runtimes = ["openvino", "openvino-built-in"];
    let runtimes = runtimes.map(|name| common::runtime_library(name).map(|_| name));
    assert!(runtimes[0].is_some(), "./check installs it");
    let ways = runtimes.into_iter().flatten();
    for (runtime, modules) in ways.flat_map(|name| [(name, NONE), (name, NUMPY)]) {
        let play = |element: &str| place.play(Path::new(python()), runtime, modules, element);
        let told = play("depthanything execution-provider=openvino resolution=126");
        assert_eq!(told, "eos", "{runtime} {modules}");
        // where it is built in: thrown in OpenVINO's library, and on its way through the provider's. A plugin looks at the
        // devices as it is registered, and OpenVINO throws for those that are not there
        let told = play("depthanything execution-provider=openvino device=GPU.7");
        assert!(
            told.contains("GPU.7 is not there"),
            "{runtime} {modules}: {told}"
        );
        let told = play("depthanything execution-provider=cuda");
        assert!(told.contains("was built without it"), "{modules}: {told}");
    }
}

#[test]
fn numpy_of_a_virtual_environment() {
    let place = Place::new();
    let python = place.environment();
    let told = place.play(
        &python,
        "onnxruntime",
        NUMPY,
        &format!("depthanything model-file={}", common::model("limited.onnx")),
    );
    assert!(told.starts_with("error: inference at"), "{told}");
}

#[test]
fn the_running_pythons_onnxruntime_is_found() {
    let pipeline = "videotestsrc num-buffers=1 ! depthanything resolution=126 ! fakesink";
    let place = Place::new();
    // nobody has activated it: VIRTUAL_ENV is not set
    let python = place.environment();
    let run = |modules: &str| {
        let output = place
            .command(&python, modules, pipeline)
            .env("GST_DEBUG", "depthanything:4")
            .env("GST_DEBUG_NO_COLOR", "1")
            .output()
            .expect("python");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let told = run(NUMPY);
    if !told.contains("error: ") {
        println!("left out: this machine has an ONNX Runtime in a place that every program finds");
        return;
    }
    let packages = place.packages();
    assert!(
        told.contains("(the Python of this process): no onnxruntime package")
            && told.contains(&packages),
        "{told}"
    );

    let library = common::runtime_library("onnxruntime").expect("./check installs it");
    let package = library.parent().and_then(Path::parent).expect("a package");
    place.link(package, &format!("{packages}/onnxruntime"));
    let told = run(NUMPY);
    assert!(told.contains("eos"), "{told}");
}

#[test]
fn the_packages_around_the_plugin_are_looked_in() {
    let place = Place::new();
    let library = common::runtime_library("onnxruntime").expect("./check installs it");
    let package = library.parent().and_then(Path::parent).expect("a package");
    place.link(package, "somewhere/site-packages/onnxruntime");
    let plugin =
        std::fs::canonicalize(place.path("plugins/libgstdepthanything.so")).expect("plugin");
    let below = "somewhere/site-packages/gst_depthanything/libgstdepthanything.so";
    std::fs::create_dir_all(place.path(below).parent().expect("folder")).expect("folder");
    std::fs::copy(plugin, place.path(below)).expect("plugin");
    // as a plugin of a wheel is made known to every program
    std::fs::remove_file(place.path("plugins/libgstdepthanything.so")).expect("link");
    place.link(&place.path(below), "plugins/libgstdepthanything.so");

    let pipeline = "videotestsrc num-buffers=1 ! depthanything resolution=126 ! fakesink";
    let output = place
        .command(Path::new(python()), NONE, pipeline)
        .output()
        .expect("python");
    assert!(text(&output).contains("eos"), "{}", text(&output));
}
