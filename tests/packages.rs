//! The Python wheel: built from the plugin under test, installed into a virtual environment, and used from there; what is
//! said where GStreamer is missing or too old. What its Python does is in `tests/wheel.py`.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const BINDINGS: &str = "import numpy, gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; import venv, ensurepip";

fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().expect("a program that starts");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The plugin that was built with this test.
fn plugin() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let beside = test.with_file_name("libgstdepthanything.so");
    if beside.exists() {
        return beside;
    }
    let target = test.ancestors().nth(2).expect("target/debug");
    target.join("libgstdepthanything.so")
}

/// A library `libgstreamer-1.0.so.0` of version 1.18.4.
fn old_gstreamer(folder: &Path) {
    std::fs::create_dir_all(folder).expect("folder");
    let source = folder.join("old.c");
    std::fs::write(
        &source,
        "void gst_version(unsigned *a, unsigned *b, unsigned *c, unsigned *d) { *a = 1; *b = 18; *c = 4; *d = 0; }",
    )
    .expect("source");
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.join("libgstreamer-1.0.so.0"))
        .arg(source));
}

#[test]
fn the_wheel_is_installed_and_used() {
    let Some(python) = common::python(BINDINGS) else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    let at = |below: &str| folder.path().join(below);
    let wheel = run(Command::new(python)
        .arg(common::root().join("packaging/wheel"))
        .arg("--library")
        .arg(plugin())
        .arg("--out")
        .arg(at("dist"))
        .args(["--level", "0"])
        .env("CARGO", env!("CARGO")));
    let name = Path::new(&wheel).file_name().expect("a name");
    let name = name.to_string_lossy();
    assert!(
        name.starts_with("gst_depthanything-") && name.contains("-py3-none-manylinux_2_"),
        "{name}"
    );

    run(Command::new(python)
        .args(["-m", "venv", "--system-site-packages"])
        .arg(at("venv")));
    run(Command::new(at("venv/bin/python"))
        .args([
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "--quiet",
        ])
        .args(["--no-index", "--no-deps", &wheel]));
    let library = common::runtime_library("onnxruntime").expect("./check installs it");
    let package = library.parent().and_then(Path::parent).expect("a package");
    let installed = std::fs::read_dir(at("venv/lib")).expect("a virtual environment");
    let packages = installed.flatten().next().expect("a Python").path();
    let packages = packages.join("site-packages");
    std::os::unix::fs::symlink(package, packages.join("onnxruntime")).expect("link");

    let command = |program: &Path| {
        let mut command = Command::new(program);
        for name in [
            "ORT_DYLIB_PATH",
            "VIRTUAL_ENV",
            "GST_PLUGIN_PATH",
            "GST_PLUGIN_PATH_1_0",
        ] {
            command.env_remove(name);
        }
        command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_CACHE_HOME", at("cache"))
            .env("GST_REGISTRY", at("registry.bin"));
        command
    };
    let told = run(command(&at("venv/bin/python"))
        .arg(common::root().join("tests/wheel.py"))
        .arg(common::root().join("tests/models")));
    assert!(told.ends_with("done"), "{told}");

    // any program; no environment is activated
    let script = at("venv/bin/depthanything-gst");
    let told = run(command(&script).args(["gst-inspect-1.0", "depthanything"]));
    assert!(told.contains("site-packages/gst_depthanything"), "{told}");
    let pipeline =
        "gst-launch-1.0 -q videotestsrc num-buffers=1 ! depthanything resolution=70 ! fakesink";
    run(command(&script).args(pipeline.split(' ')));

    let refused = |command: &mut Command, words: &[&str]| {
        let output = command.output().expect("the script");
        let told = text(&output);
        assert!(!output.status.success(), "{told}");
        for word in words {
            assert!(told.contains(word), "{word} is not in {told}");
        }
        assert!(!told.contains("Traceback"), "{told}");
    };
    refused(&mut command(&script), &["depthanything-gst COMMAND"]);
    refused(
        command(&script).arg("gst-nothing-1.0"),
        &["no program gst-nothing-1.0", "install"],
    );
    old_gstreamer(&at("old"));
    refused(
        command(&script)
            .arg("true")
            .env("LD_LIBRARY_PATH", at("old")),
        &["1.18.4 is too old", "1.20"],
    );
    std::fs::create_dir(at("none")).expect("folder");
    std::fs::write(at("none/libgstreamer-1.0.so.0"), "").expect("file");
    refused(
        command(&script)
            .arg("true")
            .env("LD_LIBRARY_PATH", at("none")),
        &["GStreamer is missing", "install", "python3-gi"],
    );
    // a Python that has no bindings
    let output = command(&at("venv/bin/python"))
        .args([
            "-c",
            "import sys; sys.modules['gi'] = None; from gst_depthanything import depth; depth('x.mp4', resolution=70)",
        ])
        .output()
        .expect("python");
    let told = text(&output);
    assert!(
        told.contains("ImportError") && told.contains("--system-site-packages"),
        "{told}"
    );

    // nothing of it is left
    run(Command::new(at("venv/bin/python")).args([
        "-m",
        "pip",
        "uninstall",
        "--quiet",
        "--yes",
        "gst-depthanything",
    ]));
    for left in [packages.join("gst_depthanything"), script] {
        assert!(!left.exists(), "{}", left.display());
    }
}

#[test]
fn what_is_no_plugin_is_no_package() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("libgstdepthanything.so");
    for (content, words) in [
        (None, "there is no"),
        (Some("text"), "is no 64-bit library"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).expect("file");
        }
        let output = Command::new("python3")
            .arg(common::root().join("packaging/wheel"))
            .arg("--library")
            .arg(&file)
            .arg("--out")
            .arg(folder.path())
            .output()
            .expect("python3");
        assert!(
            !output.status.success() && text(&output).contains(words),
            "{}",
            text(&output)
        );
    }
}
