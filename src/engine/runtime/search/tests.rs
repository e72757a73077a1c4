use std::fs;
use std::process::Command;

use super::*;

/// A shared library that says it is ONNX Runtime `version` and offers an API from 1.21 on.
fn fake(file: &Path, version: &str) {
    build(
        file,
        &format!(
            "static int api;
             static const void *get_api(unsigned n) {{ return {} ? &api : 0; }}
             static const char *version(void) {{ return \"{version}\"; }}
             static const struct {{ const void *(*a)(unsigned); const char *(*v)(void); }} base = {{ get_api, version }};
             const void *OrtGetApiBase(void) {{ return &base; }}",
            Version::parse(version).is_some_and(|v| v >= super::super::MINIMUM),
        )
        .replace("true", "1")
        .replace("false", "0"),
    );
}

fn build(file: &Path, source: &str) {
    fs::create_dir_all(file.parent().expect("folder")).expect("folder");
    let c = file.with_extension("c");
    fs::write(&c, source).expect("source");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(file)
        .arg(&c)
        .status()
        .expect("cc, which linking Rust needs too");
    assert!(status.success());
    fs::remove_file(c).expect("source");
}

fn file(name: &str) -> String {
    format!("{DLL_PREFIX}onnxruntime{DLL_SUFFIX}{name}")
}

fn explicit(path: impl AsRef<Path>) -> Places {
    Places::explicit(path.as_ref())
}

/// The reason of the only candidate.
#[track_caller]
fn reason(places: &Places) -> String {
    match places.find() {
        Err(Error::Runtime(candidates)) => {
            assert_eq!(candidates.len(), 1, "{candidates:?}");
            candidates[0].reason.clone()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_of_libraries() {
    let is = |name: &str| is_library(Path::new(name));
    assert!(is(&file("")));
    assert!(is(&file(".1")));
    assert!(is(&file(".1.32.0")));
    assert!(!is("libonnxruntime_providers_shared.so"));
    assert!(!is("libonnxruntime_providers_cuda.so"));
    assert!(!is(&file(".1.32.0.bak")) || cfg!(windows));
    assert!(!is("libonnxruntime4j_jni.so"));
    assert!(!is(
        "onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"
    ));
    assert_eq!(
        version_in_name(Path::new(&file(".1.32.0"))),
        Version::parse("1.32.0")
    );
    assert_eq!(version_in_name(Path::new(&file(""))), None);
}

#[test]
fn what_does_not_serve_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().expect("folder");
    let at = |name: &str| folder.path().join(name);

    assert_eq!(reason(&explicit(at("missing.so"))), "not found");
    assert_eq!(reason(&explicit(folder.path())), NOTHING_IN_FOLDER);

    fs::write(at("empty.so"), "").expect("file");
    assert_eq!(reason(&explicit(at("empty.so"))), "the file is empty");

    fs::write(at("text.so"), "INPUT(libonnxruntime.so.1)\n").expect("file");
    assert_eq!(
        reason(&explicit(at("text.so"))),
        "it is not a shared library"
    );

    build(&at("other.so"), "int answer(void) { return 42; }");
    assert_eq!(
        reason(&explicit(at("other.so"))),
        "it is not ONNX Runtime (no OrtGetApiBase in it)"
    );

    build(
        &at("null.so"),
        "const void *OrtGetApiBase(void) { return 0; }",
    );
    assert_eq!(
        reason(&explicit(at("null.so"))),
        "OrtGetApiBase gave nothing"
    );

    fake(&at("old.so"), "1.17.3");
    assert_eq!(
        reason(&explicit(at("old.so"))),
        "version 1.17.3 is older than 1.21"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn damaged_libraries_do_not_reach_the_loader() {
    let folder = tempfile::tempdir().expect("folder");
    let whole = folder.path().join("whole.so");
    fake(&whole, "1.30.0");
    let bytes = fs::read(&whole).expect("library");

    let cut = folder.path().join("cut.so");
    for length in [16, 63, 64, 200, 4096, bytes.len() / 2] {
        fs::write(&cut, &bytes[..length.min(bytes.len())]).expect("file");
        let reason = reason(&explicit(&cut));
        assert!(
            ["cut short", "damaged", "not a shared library"]
                .iter()
                .any(|words| reason.contains(words)),
            "{length}: {reason}"
        );
    }

    let mut narrow = bytes.clone();
    narrow[4] = 1; // ELFCLASS32
    fs::write(&cut, &narrow).expect("file");
    assert_eq!(reason(&explicit(&cut)), "it is a 32-bit library");

    let mut foreign = bytes;
    foreign[18] = 0x16; // EM_S390
    foreign[19] = 0;
    fs::write(&cut, &foreign).expect("file");
    let reason = reason(&explicit(&cut));
    assert!(reason.contains("another kind of processor"), "{reason}");
}

#[test]
fn a_named_library_is_that_one_or_none() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join("plugin");
    fake(&plugin.join(file("")), "1.30.0");
    let places = Places {
        explicit: Some(folder.path().join("gone.so")),
        plugin: Some(plugin),
        ..Places::default()
    };
    assert_eq!(reason(&places), "not found");
}

#[test]
fn a_named_folder_may_be_a_release_or_a_package() {
    for below in ["", "lib", "capi", "onnxruntime/capi"] {
        let folder = tempfile::tempdir().expect("folder");
        let library = folder.path().join(below).join(file(".1.30.0"));
        fake(&library, "1.30.0");
        let found = explicit(folder.path()).find().expect(below);
        assert_eq!(found.path, library.canonicalize().expect("path"));
        assert_eq!(found.origin, "ORT_DYLIB_PATH");
        assert_eq!(found.version.to_string(), "1.30.0");
    }
}

#[test]
fn places_are_gone_through_in_order() {
    let folder = tempfile::tempdir().expect("folder");
    let plugin = folder.path().join("plugin");
    fs::create_dir_all(&plugin).expect("folder");
    let home = folder.path().join("home");
    let packages = home.join(".local/lib/python3.11/site-packages");
    let user = packages.join("onnxruntime/capi").join(file(".1.29.0"));
    fake(&user, "1.29.0");

    let places = Places {
        explicit: None,
        plugin: Some(plugin.clone()),
        names: vec!["libonnxruntime-of-no-system.so.1".to_owned()],
        python: pythons(&Homes {
            virtual_env: Some(folder.path().join("venv")),
            home: Some(home),
            root: folder.path().join("root"),
            ..Homes::default()
        }),
    };
    let found = places.find().expect("user");
    assert_eq!(found.path, user.canonicalize().expect("path"));
    assert_eq!(found.origin, "the user's Python packages");

    // beside the plugin wins, unless it does not serve
    fake(&plugin.join(file("")), "1.22.1");
    assert_eq!(places.find().expect("plugin").origin, "beside the plugin");
    fake(&plugin.join(file("")), "1.20.9");
    assert_eq!(places.find().expect("user").path, found.path);

    // nowhere: every place is named
    fs::remove_file(&user).expect("file");
    let Err(Error::Runtime(candidates)) = places.find() else {
        panic!("nothing is left");
    };
    let told: Vec<_> = candidates
        .iter()
        .map(|c| (c.origin.as_str(), c.reason.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("beside the plugin", "version 1.20.9 is older than 1.21"),
            ("the dynamic loader's path", "not found"),
            ("Python of VIRTUAL_ENV", "no such folder"),
            ("the user's Python packages", "no onnxruntime package"),
            ("the system's Python", "no such folder"),
            ("the system's Python", "no such folder"),
        ]
    );
}

#[test]
fn newest_of_one_installation_first() {
    let folder = tempfile::tempdir().expect("folder");
    let lib = folder.path().join("lib");
    let capi = |python: &str| lib.join(python).join("site-packages/onnxruntime/capi");
    fake(&capi("python3.9").join(file(".1.31.0")), "1.31.0");
    fake(&capi("python3.12").join(file(".1.24.1")), "1.24.1");
    fake(&capi("python3.10").join(file(".1.9.0")), "1.9.0");

    let folders = site_packages(folder.path());
    let order: Vec<_> = folders
        .iter()
        .map(|f| f.strip_prefix(&lib).expect("below").to_owned())
        .collect();
    assert_eq!(
        order,
        ["python3.12", "python3.10", "python3.9"].map(|p| Path::new(p).join("site-packages"))
    );

    let places = Places {
        python: vec![Python {
            origin: "test",
            pattern: lib,
            folders,
        }],
        ..Places::default()
    };
    assert_eq!(places.find().expect("newest").version.to_string(), "1.31.0");
}

#[test]
fn a_file_reached_twice_is_told_once() {
    let folder = tempfile::tempdir().expect("folder");
    let real = folder.path().join(file(".1.17.0"));
    fake(&real, "1.17.0");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&real, folder.path().join(file(""))).expect("link");
    assert_eq!(
        reason(&explicit(folder.path())),
        "version 1.17.0 is older than 1.21"
    );
}
