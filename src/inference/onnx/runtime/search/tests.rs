use std::fs;
use std::process::Command;

use super::pythons::site_packages;
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
        assert_eq!(found.library.version.to_string(), "1.30.0");
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
        plugin: Some(plugin.clone()),
        names: vec!["libonnxruntime-of-no-system.so.1".to_owned()],
        python: pythons(&Homes {
            virtual_env: Some(folder.path().join("venv")),
            home: Some(home),
            root: folder.path().join("root"),
            ..Homes::default()
        }),
        ..Places::default()
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
        python: vec![Ok(Python {
            origin: "test",
            pattern: lib,
            folders,
        })],
        ..Places::default()
    };
    assert_eq!(
        places.find().expect("newest").library.version.to_string(),
        "1.31.0"
    );
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

/// Places of one Python whose packages have an ONNX Runtime 1.30.
fn with_package(prefix: &Path) -> PathBuf {
    let packages = prefix.join("lib/python3.11/site-packages");
    let library = packages.join("onnxruntime/capi").join(file(".1.30.0"));
    fake(&library, "1.30.0");
    library.canonicalize().expect("path")
}

#[cfg(unix)]
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

#[test]
fn relative_homes_are_not_followed() {
    let homes = |path: &str| Homes {
        virtual_env: Some(path.into()),
        conda_prefix: Some(path.into()),
        user_base: Some(path.into()),
        pyenv: Some(path.into()),
        home: Some(path.into()),
        running: None,
        root: PathBuf::from("/nowhere"),
    };
    // each of these would be found in the current folder, were it looked at
    for path in [".", "venv", "../venv"] {
        let places = Places {
            python: pythons(&homes(path)),
            ..Places::default()
        };
        let Err(Error::Runtime(candidates)) = places.find() else {
            panic!("{path} was followed");
        };
        for origin in [
            "Python of VIRTUAL_ENV",
            "Python of CONDA_PREFIX",
            "the user's Python packages",
            "pyenv",
        ] {
            let told = candidates.iter().find(|c| c.origin == origin);
            let told = told.unwrap_or_else(|| panic!("{origin} is not in {candidates:?}"));
            assert!(told.reason.contains("absolute"), "{told:?}");
        }
    }
}

#[test]
fn a_bare_name_is_for_the_loader_only() {
    // there is such a file: in the folder that tests run in, the project's root
    for name in ["Cargo.toml", "src"] {
        let reason = reason(&explicit(name));
        assert!(
            reason.starts_with("not found on the dynamic loader's path")
                && reason.contains(&format!("./{name}")),
            "{reason}"
        );
    }
    assert_eq!(
        reason(&explicit("./Cargo.toml")),
        "it is not a shared library"
    );
}

#[cfg(unix)]
#[test]
fn where_everybody_may_write_nothing_is_taken_from() {
    let folder = tempfile::tempdir().expect("folder");
    let venv = folder.path().join("open/venv");
    let library = with_package(&venv);
    let places = Places {
        python: pythons(&Homes {
            virtual_env: Some(venv.clone()),
            root: folder.path().join("root"),
            ..Homes::default()
        }),
        ..Places::default()
    };
    assert_eq!(places.find().expect("private").path, library);

    let refused = |open: &Path| {
        for places in [&places, &explicit(&library)] {
            let Err(Error::Runtime(candidates)) = places.find() else {
                panic!(
                    "it was taken although everybody may write to {}",
                    open.display()
                );
            };
            let told = candidates
                .iter()
                .find(|c| c.reason.starts_with("everybody may write to"))
                .unwrap_or_else(|| panic!("{candidates:?}"));
            assert!(
                told.reason.contains(&open.display().to_string()),
                "{told:?}"
            );
            assert!(told.reason.contains("chmod o-w"), "{told:?}");
        }
    };
    let capi = library.parent().expect("folder");
    for open in [folder.path().join("open").as_path(), &venv, capi, &library] {
        let before = fs::metadata(open).expect("mode").permissions();
        mode(open, 0o777);
        refused(open);
        fs::set_permissions(open, before).expect("mode");
    }
    places.find().expect("private again");

    // in a folder like /tmp only what is one's own can be touched
    mode(&folder.path().join("open"), 0o1777);
    places.find().expect("one's own in a folder like /tmp");
    mode(&folder.path().join("open"), 0o755);

    // a link through such a folder, to a private library
    let open = folder.path().join("public");
    fs::create_dir(&open).expect("folder");
    std::os::unix::fs::symlink(capi, open.join("runtime")).expect("link");
    let through = explicit(open.join("runtime"));
    through.find().expect("private");
    mode(&open, 0o777);
    let reason = reason(&through);
    assert!(reason.contains("everybody may write to"), "{reason}");
}

#[cfg(unix)]
#[test]
fn links_in_a_circle_end() {
    let folder = tempfile::tempdir().expect("folder");
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&one, &two).expect("link");
    std::os::unix::fs::symlink(&two, &one).expect("link");
    assert!(!reason(&explicit(one.join("x"))).is_empty());
}

#[cfg(unix)]
#[test]
fn an_environment_that_nobody_activated() {
    let folder = tempfile::tempdir().expect("folder");
    let base = folder.path().join("base");
    fs::create_dir_all(base.join("bin")).expect("folder");
    fs::write(base.join("bin/python3"), "").expect("file");
    let venv = folder.path().join("venv");
    fs::create_dir_all(venv.join("bin")).expect("folder");
    std::os::unix::fs::symlink(base.join("bin/python3"), venv.join("bin/python")).expect("link");
    let settings = format!("home = {}\nversion = 3.11.2\n", base.join("bin").display());
    fs::write(venv.join("pyvenv.cfg"), settings).expect("file");

    let places = || Places {
        python: pythons(&Homes {
            running: Some(venv.join("bin/python")),
            root: folder.path().join("root"),
            ..Homes::default()
        }),
        ..Places::default()
    };
    let Err(Error::Runtime(candidates)) = places().find() else {
        panic!("there is none");
    };
    let told = candidates
        .iter()
        .filter(|c| c.origin == "the Python of this process")
        .count();
    assert_eq!(told, 2, "{candidates:?}");

    let of_base = with_package(&base);
    let found = places().find().expect("that of the Python it is based on");
    assert_eq!(found.path, of_base);
    let own = with_package(&venv);
    let found = places().find().expect("its own");
    assert_eq!(
        (found.path, found.origin.as_str()),
        (own, "the Python of this process")
    );
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn what_python_has_imported_is_found_wherever_it_lies() {
    let folder = tempfile::tempdir().expect("folder");
    let capi = folder.path().join("anywhere/onnxruntime/capi");
    let module = capi.join("onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so");
    build(&module, "int PyInit_onnxruntime_pybind11_state;");
    let imported = || Places::of_this_process().imported;
    assert!(!imported().contains(&capi));
    // SAFETY: made above, and runs nothing
    let module = unsafe { libloading::Library::new(&module) }.expect("module");
    assert!(imported().contains(&capi), "{:?}", imported());

    // its version counts, as everywhere
    let places = || Places {
        imported: imported(),
        ..Places::default()
    };
    let library = capi.join(file(".1.20.0"));
    fake(&library, "1.20.0");
    assert_eq!(reason(&places()), "version 1.20.0 is older than 1.21");
    let library = capi.join(file(".1.23.2"));
    fake(&library, "1.23.2");
    assert_eq!(
        places().find().expect("its own").path,
        library.canonicalize().expect("path")
    );
    drop(module);
}

#[test]
fn the_packages_that_the_plugin_lies_in() {
    let folder = tempfile::tempdir().expect("folder");
    let packages = folder.path().join("venv/lib/python3.12/site-packages");
    let plugin = packages.join("gst_depthanything/plugins");
    fs::create_dir_all(&plugin).expect("folder");
    let library = packages.join("onnxruntime/capi").join(file(".1.30.0"));
    fake(&library, "1.30.0");
    let other = folder.path().join("other");
    with_package(&other);
    let places = Places {
        plugin: Some(plugin),
        python: pythons(&Homes {
            virtual_env: Some(other),
            ..Homes::default()
        }),
        ..Places::default()
    };
    let found = places.find().expect("around");
    assert_eq!(found.path, library.canonicalize().expect("path"));
    assert_eq!(found.origin, "the Python packages around the plugin");
}
