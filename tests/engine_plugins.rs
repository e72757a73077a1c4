//! Execution providers that are libraries of their own: found, broken, too new, taken. Each in a process of its own, since
//! one process loads one ONNX Runtime.
#![cfg(target_os = "linux")]

mod engine_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine_support::*;
use gstdepthanything::inference::{self, ExecutionProvider, Progress};
use gstdepthanything::model::ModelSource;

#[test]
#[ignore = "run by the others in a process of its own"]
fn opens() {
    if let Some(library) = std::env::var_os("LOADED") {
        // as a program does whose own ONNX Runtime has registered it
        // SAFETY: a library that does nothing until it is called
        std::mem::forget(unsafe { libloading::Library::new(library) }.expect("a library"));
    }
    let provider = match std::env::var("PROVIDER").as_deref() {
        Ok("auto") => ExecutionProvider::Auto,
        Ok("cuda") => ExecutionProvider::Cuda,
        _ => ExecutionProvider::Openvino,
    };
    // a failure must not spoil the next attempt
    for _ in 0..2 {
        let config = config(ModelSource::Builtin, provider);
        let mut tell = |progress: Progress| println!("STAGE {progress:?}");
        match inference::open(&config, &mut tell) {
            Ok(network) => println!("OPENED {}", network.description().runtime),
            Err(error) => println!("REFUSED {error}"),
        }
    }
}

/// What [`opens`] prints.
#[track_caller]
fn told(variables: &[(&str, &Path)]) -> String {
    let output = in_own_process("opens", variables);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{error}",
        output.status
    );
    text
}

/// The error that is told twice.
#[track_caller]
fn refused_by(variables: &[(&str, &Path)]) -> String {
    let text = told(variables);
    let errors: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("REFUSED "))
        .collect();
    assert!(errors.len() == 2 && errors[0] == errors[1], "{text}");
    errors[0].to_owned()
}

/// A library made of C.
fn build(file: &Path, source: &str, flags: &[&str]) {
    let folder = file.parent().expect("folder");
    fs::create_dir_all(folder).expect("folder");
    let c = file.with_extension("c");
    fs::write(&c, source).expect("source");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([file, &c])
        .args(flags)
        .current_dir(folder)
        .status()
        .expect("cc, which linking Rust needs too");
    assert!(status.success());
}

/// A plugin that fails with these words when it is registered.
fn failing(words: &str) -> String {
    format!(
        "struct base {{ const void *(*api)(unsigned); const char *(*version)(void); }};
         struct api {{ void *(*create_status)(int, const char *); }};
         void *CreateEpFactories(const char *n, const struct base *base, const void *l, void **f, unsigned long m, unsigned long *c) {{
             const struct api *api = base->api(1);
             return api->create_status(1, \"{words}\");
         }}
         void *ReleaseEpFactory(void *f) {{ return 0; }}"
    )
}

fn plain() -> PathBuf {
    installed("onnxruntime")
}

/// Puts what is in `from` into `to`, as links.
fn link_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder").flatten() {
        symlink(entry.path(), to.join(entry.file_name())).expect("link");
    }
}

#[test]
fn it_is_found_where_the_runtime_may_lie() {
    let Some(packages) = plugin_packages() else {
        return;
    };
    let folder = tempfile::tempdir().expect("folder");
    let venv = folder.path().join("venv");
    link_all(&packages, &venv.join("lib/python3.12/site-packages"));
    let named = packages.join("onnxruntime_ep_openvino");
    // without its package, which tells the version
    let alone = folder.path().join("alone");
    fs::create_dir(&alone).expect("folder");
    symlink(&named, alone.join("onnxruntime_ep_openvino")).expect("link");
    let plain = plain();
    for variables in [
        &[("ORT_DYLIB_PATH", packages.as_path())][..],
        &[("ORT_DYLIB_PATH", &plain), ("VIRTUAL_ENV", &venv)],
        &[("ORT_DYLIB_PATH", &plain), ("ORT_EP_DYLIB_PATH", &named)],
        &[("ORT_DYLIB_PATH", &plain), ("ORT_EP_DYLIB_PATH", &packages)],
        &[("ORT_DYLIB_PATH", &plain), ("ORT_EP_DYLIB_PATH", &alone)],
    ] {
        let text = told(&[variables, &[("HOME", folder.path())]].concat());
        let opened = text.matches("OPENED ONNX Runtime 1.").count();
        assert_eq!(opened, 2, "{variables:?}: {text}");
        let plugin = "provider openvino by the plugin onnxruntime-ep-openvino 1.";
        assert_eq!(text.matches(plugin).count(), 2, "{variables:?}: {text}");
    }
}

#[test]
fn nowhere_tells_where_it_was_looked_for() {
    let folder = tempfile::tempdir().expect("folder");
    let venv = folder.path().join("venv");
    let packages = venv.join("lib/python3.12/site-packages");
    fs::create_dir_all(&packages).expect("folder");
    let plain = plain();
    let variables = [
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("VIRTUAL_ENV", &venv),
        ("HOME", folder.path()),
    ];
    let text = told(&variables);
    if text.contains("OPENED") {
        println!("left out: this machine's Python has the plugin");
        return;
    }
    for words in [
        "was built without it",
        "no onnxruntime_ep_openvino in",
        &packages.display().to_string(),
        "`pip install onnxruntime-ep-openvino`",
        "onnxruntime-openvino",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn the_library_that_it_lacks_is_named() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join(PLUGIN);
    let own = plugin.parent().expect("folder");
    build(
        &own.join("libgone.so.7"),
        "int gone(void) { return 7; }",
        &[],
    );
    let source = format!(
        "{} int gone(void); int taken(void) {{ return gone(); }}",
        failing("no")
    );
    build(&plugin, &source, &["-L.", "-l:libgone.so.7"]);
    let plain = plain();
    let variables = [
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("ORT_EP_DYLIB_PATH", folder.path()),
    ];
    let path = plugin.canonicalize().expect("path").display().to_string();

    // there, and not found
    let near = [
        own.to_owned(),
        folder.path().join("nvidia/cuda_runtime/lib"),
    ];
    for (from, to) in [(&near[0], &near[0]), (&near[0], &near[1])] {
        fs::create_dir_all(to).expect("folder");
        fs::rename(from.join("libgone.so.7"), to.join("libgone.so.7")).expect("library");
        let error = refused_by(&variables);
        let to = to.canonicalize().expect("path").display().to_string();
        for words in [&path, "libgone.so.7 is not found", &to, "LD_LIBRARY_PATH"] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
    fs::remove_file(near[1].join("libgone.so.7")).expect("library");
    let error = refused_by(&variables);
    assert!(error.contains(&path), "{error}");
    assert!(error.contains("libgone.so.7 is missing"), "{error}");
    assert!(error.contains("install it again"), "{error}");

    // `auto` goes on without it, and says why
    let text = told(&[&variables[..], &[("PROVIDER", Path::new("auto"))]].concat());
    assert_eq!(text.matches("OPENED").count(), 2, "{text}");
    let fallback = text.lines().find(|line| line.contains("Fallback"));
    let fallback = fallback.unwrap_or_else(|| panic!("{text}"));
    assert!(fallback.contains("libgone.so.7"), "{fallback}");
    assert!(text.contains("provider cpu"), "{text}");
}

#[test]
fn what_is_no_plugin_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join(PLUGIN);
    let plain = plain();
    let variables = [
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("ORT_EP_DYLIB_PATH", folder.path()),
    ];
    build(&plugin, "int answer(void) { return 42; }", &[]);
    let error = refused_by(&variables);
    assert!(error.contains("no CreateEpFactories in it"), "{error}");
    let whole = fs::read(&plugin).expect("library");
    fs::write(&plugin, &whole[..whole.len() / 2]).expect("file");
    let error = refused_by(&variables);
    assert!(
        error.contains("cut short") || error.contains("damaged"),
        "{error}"
    );
    // anybody could put code there
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(plugin.parent().expect("folder"), mode).expect("mode");
    let error = refused_by(&variables);
    assert!(error.contains("everybody may write"), "{error}");
}

#[test]
fn one_that_is_too_new_names_both_versions() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join(PLUGIN);
    let plain = plain();
    let variables = [
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("ORT_EP_DYLIB_PATH", folder.path()),
    ];
    // by itself
    build(&plugin, &failing("it is for 9.87, this is older"), &[]);
    let error = refused_by(&variables);
    assert!(error.contains("it is for 9.87, this is older"), "{error}");
    // by its package: then it is not even opened
    build(
        &plugin,
        "__attribute__((constructor)) void fall(void) { __builtin_trap(); }",
        &[],
    );
    let info = folder
        .path()
        .join("onnxruntime_ep_openvino-7.6.5.dist-info");
    fs::create_dir(&info).expect("folder");
    fs::write(
        info.join("METADATA"),
        "Name: onnxruntime-ep-openvino\nVersion: 7.6.5\nRequires-Dist: onnxruntime>=9.87\n",
    )
    .expect("file");
    let error = refused_by(&variables);
    for words in [
        "onnxruntime-ep-openvino 7.6.5 needs ONNX Runtime 9.87.0 or newer",
        "this is 1.",
        "pip install --upgrade onnxruntime",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn one_that_another_runtime_of_the_process_has_is_told() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join(PLUGIN);
    build(&plugin, &failing("registered all the same"), &[]);
    let plain = plain();
    let error = refused_by(&[
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("ORT_EP_DYLIB_PATH", folder.path()),
        ("LOADED", &plugin),
    ]);
    assert!(
        error.contains("another ONNX Runtime of this process"),
        "{error}"
    );
    assert!(error.contains(PLUGIN), "{error}");
}

#[test]
fn cuda_as_a_plugin_is_found_the_same_way() {
    let folder = tempfile::tempdir().expect("folder");
    let packages = folder.path().join("venv/lib/python3.12/site-packages");
    let plugin = packages.join("onnxruntime_ep_cuda/libonnxruntime_providers_cuda_plugin.so");
    build(
        &plugin,
        &failing("CUDA failure 100: no CUDA-capable device is detected"),
        &[],
    );
    let (plain, venv) = (plain(), folder.path().join("venv"));
    let error = refused_by(&[
        ("ORT_DYLIB_PATH", plain.as_path()),
        ("VIRTUAL_ENV", &venv),
        ("PROVIDER", Path::new("cuda")),
    ]);
    assert!(
        error.contains("a working NVIDIA GPU and driver is not there"),
        "{error}"
    );
    assert!(error.contains(&plugin.display().to_string()), "{error}");
}
