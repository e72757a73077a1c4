//! ONNX Runtime that is missing, broken, too old or good: each in a process of its own, since one process loads one.

mod engine_support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use engine_support::*;
use gstdepthanything::error::Error;
use gstdepthanything::inference::onnx::runtime;
use gstdepthanything::inference::{self, ExecutionProvider};
use gstdepthanything::model::ModelSource;

/// What [`opens_twice`] printed.
fn printed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{:?}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn open_with(variables: &[(&str, &Path)]) -> String {
    printed(&in_own_process("opens_twice", variables))
}

#[test]
#[ignore = "run by the others in a process of its own"]
fn opens_twice() {
    // SAFETY: asks for a number
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        println!("RAISED");
    }
    // a failure must neither panic nor spoil the next attempt
    for _ in 0..2 {
        let config = config(ModelSource::Builtin, ExecutionProvider::Cpu);
        match inference::open(&config, &mut |_| {}) {
            Ok(network) => println!("OPENED {}", network.description().runtime),
            Err(error @ Error::Runtime(_)) => println!("REFUSED {error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn text_file(folder: &Path) -> PathBuf {
    let file = folder.join("libonnxruntime.so");
    std::fs::write(&file, "/* GNU ld script */\nINPUT(libonnxruntime.so.1)\n").expect("file");
    file
}

/// A library that says it is ONNX Runtime 1.17.3, as one from before API 21 would.
fn too_old(folder: &Path) -> PathBuf {
    let file = folder.join("libonnxruntime.so.1.17.3");
    let source = folder.join("old.c");
    std::fs::write(
        &source,
        r#"
        #include <stdio.h>
        static const void *get_api(unsigned version) {
            fprintf(stderr, "API version %u is not available, only [1, 17]\n", version);
            return 0;
        }
        static const char *version(void) { return "1.17.3"; }
        static const struct { const void *(*api)(unsigned); const char *(*version)(void); } base = { get_api, version };
        const void *OrtGetApiBase(void) { return &base; }
        "#,
    )
    .expect("source");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&file, &source])
        .status()
        .expect("cc, which linking Rust needs too");
    assert!(status.success());
    file
}

#[test]
fn a_named_runtime_is_taken() {
    let library = plain_library();
    let text = open_with(&[("ORT_DYLIB_PATH", &library)]);
    assert_eq!(text.matches("OPENED ONNX Runtime 1.").count(), 2, "{text}");
}

#[test]
fn a_named_runtime_that_does_not_serve_is_told_and_no_other_is_taken() {
    let folder = tempfile::tempdir().expect("folder");
    let cut = folder.path().join("cut.so");
    let whole = std::fs::read(library_file(&plain_library())).expect("library");
    std::fs::write(&cut, &whole[..whole.len() / 2]).expect("file");
    for (path, reason) in [
        (folder.path().join("missing.so"), "not found"),
        (text_file(folder.path()), "not a shared library"),
        (cut, "cut short"),
        (too_old(folder.path()), "version 1.17.3 is older than 1.21"),
    ] {
        let text = open_with(&[("ORT_DYLIB_PATH", &path)]);
        assert_eq!(text.matches("REFUSED").count(), 2, "{text}");
        assert!(
            text.contains(reason) && text.contains("ORT_DYLIB_PATH"),
            "{text}"
        );
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("pip install"), "{text}");
    }
}

#[test]
fn nowhere_names_every_place() {
    let empty = tempfile::tempdir().expect("folder");
    let text = open_with(&[("HOME", empty.path()), ("VIRTUAL_ENV", empty.path())]);
    if text.contains("OPENED") {
        // this machine has one in a system folder, which can't be hidden from here
        assert!(
            !text.contains(&empty.path().display().to_string()),
            "{text}"
        );
        return;
    }
    for place in [
        "beside the plugin",
        "libonnxruntime.so.1 (the dynamic loader's path): not found",
        "Python of VIRTUAL_ENV",
        "the user's Python packages",
        "the system's Python",
        "pip install onnxruntime",
    ] {
        assert!(text.contains(place), "{place} is not in {text}");
    }
}

#[test]
fn the_loaders_path_and_virtual_environments_are_searched() {
    let library = library_file(&plain_library());
    let folder = tempfile::tempdir().expect("folder");
    let link = |below: &str, name: &str| {
        let to = folder.path().join(below);
        std::fs::create_dir_all(&to).expect("folder");
        std::os::unix::fs::symlink(&library, to.join(name)).expect("link");
        to
    };
    let loader = link("loader", "libonnxruntime.so.1");
    link(
        "venv/lib/python3.12/site-packages/onnxruntime/capi",
        library.file_name().expect("name").to_str().expect("text"),
    );
    // as Debian's package has it
    let numbered = link("numbered", "libonnxruntime.so.1.21");
    let venv = folder.path().join("venv");
    let home = folder.path().join("home");
    for variables in [
        [("LD_LIBRARY_PATH", loader.as_path()), ("HOME", &home)],
        [("LD_LIBRARY_PATH", numbered.as_path()), ("HOME", &home)],
        [("VIRTUAL_ENV", venv.as_path()), ("HOME", &home)],
    ] {
        let text = open_with(&variables);
        assert_eq!(text.matches("OPENED").count(), 2, "{text}");
        let real = library.canonicalize().expect("path");
        assert!(text.contains(&real.display().to_string()), "{text}");
    }
}

#[test]
fn a_bare_name_is_not_the_file_in_the_current_folder() {
    let folder = tempfile::tempdir().expect("folder");
    let name = "libonnxruntime-of-nobody.so";
    let library = library_file(&plain_library());
    std::os::unix::fs::symlink(library, folder.path().join(name)).expect("link");
    let open = |path: &str| {
        let mut command = command_in_own_process("opens_twice", &[]);
        let output = command
            .env("ORT_DYLIB_PATH", path)
            .current_dir(folder.path())
            .output();
        printed(&output.expect("this test again"))
    };
    let text = open(name);
    assert_eq!(text.matches("REFUSED").count(), 2, "{text}");
    assert!(text.contains(&format!("./{name}")), "{text}");
    let text = open(&format!("./{name}"));
    assert_eq!(text.matches("OPENED").count(), 2, "{text}");
}

#[test]
fn a_relative_environment_is_not_followed() {
    let folder = tempfile::tempdir().expect("folder");
    let capi = folder
        .path()
        .join("venv/lib/python3.12/site-packages/onnxruntime/capi");
    std::fs::create_dir_all(&capi).expect("folder");
    let library = library_file(&plain_library());
    std::os::unix::fs::symlink(&library, capi.join(library.file_name().expect("name")))
        .expect("link");
    let open = |venv: &Path| {
        let variables = [("VIRTUAL_ENV", venv), ("HOME", folder.path())];
        let mut command = command_in_own_process("opens_twice", &variables);
        printed(
            &command
                .current_dir(folder.path())
                .output()
                .expect("this test again"),
        )
    };
    let real = library.canonicalize().expect("path").display().to_string();
    assert!(!open(Path::new("venv")).contains(&real));
    // not for want of one there
    let text = open(&folder.path().join("venv"));
    assert!(text.contains(&real) || !text.contains("REFUSED"), "{text}");
}

/// A program that is set-user-ID gets its environment from somebody with less rights.
#[test]
fn with_raised_rights_the_environment_is_not_followed() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    // SAFETY: asks for a number
    if unsafe { libc::geteuid() } != 0 {
        println!("left out: only root can make a program set-user-ID root");
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
    };
    mode(folder.path(), 0o755);
    let program = folder.path().join("program");
    std::fs::copy(std::env::current_exe().expect("this test"), &program).expect("program");
    mode(&program, 0o4755);
    let library = library_file(&plain_library());
    let output = Command::new(&program)
        .args(["opens_twice", "--exact", "--ignored", "--nocapture"])
        .env("ORT_DYLIB_PATH", &library)
        .env("VIRTUAL_ENV", folder.path())
        .uid(65534)
        .output()
        .expect("this test again");
    let text = printed(&output);
    if !text.contains("RAISED") {
        println!("left out: set-user-ID has no effect here (nosuid, no_new_privs)");
        return;
    }
    assert!(!text.contains(&library.display().to_string()), "{text}");
    if text.contains("REFUSED") {
        for name in ["ORT_DYLIB_PATH", "VIRTUAL_ENV"] {
            assert!(
                text.contains(&format!("{name} (environment): not followed")),
                "{text}"
            );
        }
    }
}

#[test]
fn a_failure_is_not_remembered() {
    let library = plain_library();
    printed(&in_own_process("fails_then_loads", &[("GOOD", &library)]));
}

#[test]
#[ignore = "run by another in a process of its own"]
fn fails_then_loads() {
    assert!(runtime::load_from(Path::new("/nowhere/libonnxruntime.so")).is_err());
    let good = std::env::var_os("GOOD").expect("set by the other");
    let loaded = runtime::load_from(Path::new(&good)).expect("good");
    // the first that was loaded stays
    let again = runtime::load_from(Path::new("/nowhere/libonnxruntime.so")).expect("loaded");
    assert!(std::ptr::eq(loaded, again));
}

/// The library itself where a folder was named.
fn library_file(path: &Path) -> PathBuf {
    if path.is_file() {
        return path.to_owned();
    }
    let capi = path.join("onnxruntime/capi");
    std::fs::read_dir(&capi)
        .expect("an installed onnxruntime; ./check installs it")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains("libonnxruntime.so."))
        .expect("libonnxruntime.so")
}
