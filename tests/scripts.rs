//! The shell side: what `scripts/env.sh` sets in each shell, what the set-up functions decide.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A checkout of nothing but the scripts, with a built plugin and the ONNX Runtimes named.
fn checkout(name: &str, profiles: &[&str], runtimes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix(&format!("a {name}'s "))
        .tempdir()
        .expect("a folder");
    let write = |path: PathBuf| {
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(path, "").expect("file");
    };
    for script in ["env.sh", "lib.sh"] {
        write(folder.path().join("scripts").join(script));
        std::fs::copy(
            root().join("scripts").join(script),
            folder.path().join("scripts").join(script),
        )
        .expect("script");
    }
    std::fs::copy(root().join("Cargo.toml"), folder.path().join("Cargo.toml")).expect("manifest");
    for profile in profiles {
        let target = folder.path().join("target").join(profile);
        write(target.join("libgstdepthanything.so"));
    }
    for runtime in runtimes {
        let capi = folder
            .path()
            .join(".runtime")
            .join(runtime)
            .join("onnxruntime/capi");
        write(capi.join("libonnxruntime.so.1.0.0"));
    }
    folder
}

/// What `script` prints in `shell`; `None` where there is no such shell.
fn shell(shell: &str, script: &str, variables: &[(&str, &str)]) -> Option<String> {
    let output = Command::new(shell)
        .args(["-c", script])
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("GST_PLUGIN_PATH")
        .env_remove("ORT_DYLIB_PATH")
        .envs(variables.iter().copied())
        .output()
        .ok()?;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}: {error}");
    assert_eq!(error, "", "{shell} is not silent");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

/// Sources `env.sh` twice and gives both variables.
fn sourced(checkout: &Path, name: &str, variables: &[(&str, &str)]) -> Option<(String, String)> {
    let env = checkout.join("scripts/env.sh");
    let env = env.display().to_string().replace('\'', r"'\''");
    let script = format!(
        "set -eu; cd /; . '{env}'; . '{env}'; printf '%s\\n%s\\n' \"$GST_PLUGIN_PATH\" \"${{ORT_DYLIB_PATH:-}}\""
    );
    let printed = shell(name, &script, variables)?;
    let (plugins, runtime) = printed.strip_suffix('\n')?.split_once('\n')?;
    Some((plugins.to_owned(), runtime.to_owned()))
}

#[test]
fn the_environment_is_set_in_every_shell_from_every_folder() {
    let folder = checkout("shell", &["release", "debug"], &["onnxruntime"]);
    let root = folder.path().canonicalize().expect("path");
    let release = root.join("target/release").display().to_string();
    let library = root.join(".runtime/onnxruntime/onnxruntime/capi/libonnxruntime.so.1.0.0");
    for name in ["bash", "dash", "sh", "zsh"] {
        let Some((plugins, runtime)) = sourced(folder.path(), name, &[]) else {
            println!("{name}: not installed");
            continue;
        };
        assert_eq!(plugins, release, "{name}");
        assert_eq!(Path::new(&runtime), library, "{name}");
    }
}

#[test]
fn the_debug_build_is_found_when_it_is_the_only_one() {
    let folder = checkout("debug", &["debug"], &[]);
    let (plugins, runtime) = sourced(folder.path(), "bash", &[]).expect("bash");
    assert!(plugins.ends_with("/target/debug"), "{plugins}");
    assert_eq!(runtime, "");
}

#[test]
fn what_the_user_has_set_is_kept() {
    let folder = checkout("user", &["release"], &["onnxruntime", "openvino"]);
    let own = [
        ("ORT_DYLIB_PATH", "/opt/own/libonnxruntime.so"),
        ("GST_PLUGIN_PATH", "/opt/plugins"),
    ];
    let (plugins, runtime) = sourced(folder.path(), "bash", &own).expect("bash");
    assert!(
        plugins.ends_with("/target/release:/opt/plugins"),
        "{plugins}"
    );
    assert_eq!(runtime, "/opt/own/libonnxruntime.so");
}

/// Runs `script` with the set-up functions of a checkout.
fn with_lib(checkout: &Path, script: &str, path: Option<&str>) -> (bool, String) {
    let mut bash = Command::new("bash");
    bash.arg("-c")
        .arg(format!(
            "set -euo pipefail; . \"$ROOT/scripts/lib.sh\"; {script}"
        ))
        .env("ROOT", checkout);
    if let Some(path) = path {
        bash.env("PATH", path).env("HOME", checkout);
    }
    let output = bash.output().expect("bash");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Whether the CPU multiplies bf16, read as the scripts read it.
fn has_bf16() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    flags
        .split_whitespace()
        .any(|flag| flag == "avx512_bf16" || flag == "amx_bf16")
}

#[test]
fn of_two_runtimes_the_faster_one_is_taken() {
    let folder = checkout("two", &["release"], &["onnxruntime", "openvino"]);
    let fastest = if has_bf16() {
        "openvino"
    } else {
        "onnxruntime"
    };
    for name in ["bash", "dash", "zsh"] {
        let Some((_, runtime)) = sourced(folder.path(), name, &[]) else {
            continue; // no such shell here
        };
        let part = format!(".runtime/{fastest}/onnxruntime/capi");
        assert!(runtime.contains(&part), "{name}: {runtime}");
    }
    let (success, text) = with_lib(folder.path(), "fastest_runtime", None);
    assert!(success, "{text}");
    assert!(text.contains("bf16"), "it says why: {text}");
    if cfg!(target_arch = "x86_64") {
        assert!(text.lines().any(|line| line == fastest), "{text}");
    }
}

#[test]
fn versions_are_compared_as_numbers() {
    let folder = checkout("version", &[], &[]);
    for (have, wanted, enough) in [
        ("1.92.0", "1.92", true),
        ("1.100.0", "1.92", true),
        ("2.0.0", "1.92", true),
        ("1.91.1", "1.92", false),
        ("1.9.0", "1.92", false),
    ] {
        let (success, _) = with_lib(
            folder.path(),
            &format!("version_at_least {have} {wanted}"),
            None,
        );
        assert_eq!(success, enough, "{have} for {wanted}");
    }
}

#[test]
fn a_missing_rust_is_said_with_the_line_that_installs_it() {
    let folder = checkout("rust", &[], &[]);
    // a machine with the usual tools and no cargo
    let tools = folder.path().join("bin");
    std::fs::create_dir(&tools).expect("folder");
    for tool in ["bash", "sed", "head", "python3", "curl"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").expect("PATH"))
            .map(|folder| folder.join(tool))
            .find(|path| path.exists());
        if let Some(found) = found {
            std::os::unix::fs::symlink(found, tools.join(tool)).expect("link");
        }
    }
    let (success, text) = with_lib(folder.path(), "need_rust", tools.to_str());
    assert!(!success);
    let minimum = env!("CARGO_PKG_RUST_VERSION");
    assert!(
        text.contains(&format!("Rust {minimum} or newer is needed")),
        "{text}"
    );
    assert!(text.contains("https://sh.rustup.rs | sh"), "{text}");
}

#[test]
fn an_unfinished_runtime_is_not_taken_for_a_whole_one() {
    let folder = checkout("runtime", &[], &["onnxruntime"]);
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).expect("folder");
    // a pip that dies half-way, with part of the wheel unpacked
    let pip = "#!/bin/sh\n\
        case \"$*\" in *--version*) exit 0 ;; esac\n\
        while [ \"$1\" != --target ]; do shift; done\n\
        mkdir -p \"$2/onnxruntime/capi\"\n\
        exit 1\n";
    let python = bin.join("python3");
    std::fs::write(&python, pip).expect("file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, executable).expect("mode");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));

    let (success, text) = with_lib(folder.path(), "install_runtime openvino", Some(&path));
    assert!(!success && text.contains("pip could not install"), "{text}");
    let left: Vec<_> = std::fs::read_dir(folder.path().join(".runtime"))
        .expect("folder")
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .collect();
    assert_eq!(left, ["onnxruntime"]);

    // the other one is whole, but of another version: it stays until the new one is there
    let (success, _) = with_lib(folder.path(), "install_runtime onnxruntime", Some(&path));
    assert!(!success);
    let (success, text) = with_lib(folder.path(), "runtime_library onnxruntime", None);
    assert!(
        success && text.contains("libonnxruntime.so.1.0.0"),
        "{text}"
    );
}

#[test]
fn a_provider_is_put_beside_the_plain_runtime() {
    let folder = checkout("plugin", &[], &[]);
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).expect("folder");
    // a pip that unpacks what is asked for
    let pip = "#!/bin/sh\n\
        case \"$*\" in *--version*) exit 0 ;; esac\n\
        while [ \"$1\" != --target ]; do shift; done\n\
        echo \"pip $3\"\n\
        case $3 in\n\
        onnxruntime==*) mkdir -p \"$2/onnxruntime/capi\"; : >\"$2/onnxruntime/capi/libonnxruntime.so.${3#*==}\" ;;\n\
        onnxruntime-ep-webgpu==*) mkdir -p \"$2/onnxruntime_ep_webgpu\" \"$2/onnxruntime_ep_webgpu-${3#*==}.dist-info\"\n\
            : >\"$2/onnxruntime_ep_webgpu/libonnxruntime_providers_webgpu.so\" ;;\n\
        *) exit 1 ;;\n\
        esac\n";
    let python = bin.join("python3");
    std::fs::write(&python, pip).expect("file");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, executable).expect("mode");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let install = "install_runtime webgpu; runtime_library webgpu";
    let (success, text) = with_lib(folder.path(), install, Some(&path));
    assert!(success, "{text}");
    let fetched: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("pip "))
        .collect();
    assert_eq!(fetched.len(), 2, "{text}");
    let library = text.lines().next_back().expect("a library");
    assert!(
        library.contains(".runtime/webgpu/onnxruntime/capi/"),
        "{text}"
    );
    // one ONNX Runtime on disk
    let real = Path::new(library).canonicalize().expect("a library");
    assert!(
        real.to_string_lossy().contains(".runtime/onnxruntime/"),
        "{real:?}"
    );
    // what is there is left alone
    let (success, text) = with_lib(folder.path(), install, Some(&path));
    assert!(success && !text.contains("pip "), "{text}");
}

#[test]
fn without_a_gpu_nothing_is_measured() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // a machine of its own: no nvidia-smi, or one that finds nothing
    let folder = tempfile::tempdir().expect("folder");
    let smi = folder.path().join("nvidia-smi");
    std::fs::write(
        &smi,
        "#!/bin/sh\necho 'No devices were found' >&2\nexit 6\n",
    )
    .expect("file");
    std::fs::set_permissions(&smi, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("permissions");
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let output = Command::new(root.join("scripts/gpu-check"))
        .env("PATH", path)
        .output()
        .expect("the script");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("no NVIDIA GPU here"), "{text}");
    assert!(text.contains("nothing written"), "{text}");
}

#[test]
fn marks_are_measured_on_films_rendered_once() {
    let folder = tempfile::tempdir().expect("folder");
    let stub = |name: &str, script: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, script).expect("file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("permissions");
        path
    };
    // a renderer that makes the folder, which is the last word; and what would measure
    let renderer = stub(
        "renderer",
        "#!/bin/bash\necho \"rendered $*\"\nmkdir \"${!#}\"\n",
    );
    stub("cargo", "#!/bin/sh\necho \"cargo $*\"\n");
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let films = folder.path().join("the films");
    let run = || {
        let output = Command::new(root().join("scripts/marks"))
            .args(["--resolution", "126"])
            .env("PATH", &path)
            .env("RENDERER", &renderer)
            .env("FOLDER", &films)
            .env("FRAMES", "9")
            .output()
            .expect("the script");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let first = run();
    let rendered = first.matches("rendered film ").count();
    assert!(rendered >= 4, "{first}");
    // both marks, with the option, on all the films between them
    for mark in ["-- steady ", "-- edges "] {
        assert!(first.contains(mark), "{first}");
    }
    assert_eq!(first.matches("--resolution 126").count(), 2, "{first}");
    for film in std::fs::read_dir(&films).expect("films") {
        let film = film.expect("a film").path();
        assert!(!film.to_string_lossy().ends_with(".part"));
        assert!(first.contains(&*film.to_string_lossy()), "{first}");
    }
    assert!(!run().contains("rendered"), "rendered again");
}

/// A pack of small stand-ins: programs that print what the real ones do, and a large file for a CUDA provider.
fn pack_of_stand_ins(folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    let stub = |name: &str, script: &str| {
        let path = tree.join("base/bin").join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
        std::fs::write(&path, format!("#!/bin/bash\n{script}")).expect("file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("permissions");
    };
    // cpu works, cuda once its archive is unpacked, and webgpu finds no GPU
    stub(
        "run_network",
        "provider=cpu\n\
         for ((at = 1; at <= $#; at++)); do\n\
           [ \"${!at}\" != --provider ] || { at=$((at + 1)); provider=${!at}; }\n\
         done\n\
         pack=$(dirname \"$0\")/..\n\
         case $provider in\n\
         webgpu) echo 'webgpu finds no GPU here' >&2; exit 1 ;;\n\
         cuda) [ -e \"$pack/site/cuda\" ] || { echo 'libcublas.so.13 is missing' >&2; exit 1; } ;;\n\
         esac\n\
         [[ \"$*\" != *2072x2072* ]] || sleep 600\n\
         echo \"built-in, $provider fp32, 0 attentions fused; opened in 0.5 s, 100 MB\"\n\
         echo \"${!#}: median 12.5 ms, least 12.0 ms, peak 123 MB\"\n\
         [[ \"$*\" != *--compare* ]] || echo \"${!#}: against fp32 on the CPU: correlation 1.000000, at most 0.001 % of the range\"\n",
    );
    stub(
        "stream_speed",
        "echo '3840x2160 in-flight 1: 61.0 frames a second, a frame takes 16.4 ms (median of 100)'\n",
    );
    stub("gst-launch-1.0", "exit 0\n");
    std::fs::write(tree.join("base/about"), "stand-ins\n").expect("file");
    std::fs::write(tree.join("base/needs-cuda"), "libsurely-not-here.so.13\n").expect("file");
    std::fs::create_dir_all(tree.join("cuda/site")).expect("folder");
    // what gzip makes no smaller: three pieces of a megabyte
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise = Vec::from_iter(noise.take(2_500_000));
    std::fs::write(tree.join("cuda/site/cuda"), noise).expect("file");

    let pack = folder.join("the pack");
    let output = Command::new(root().join("scripts/gpu-check"))
        .args(["--pack", "--piece-size", "1", "--from"])
        .args([&tree, &pack])
        .output()
        .expect("the script");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for piece in 1..=3 {
        let piece = pack.join(format!("cuda.tar.gz.00{piece}"));
        let length = piece.metadata().expect("a piece").len();
        assert!((1..=1_000_000).contains(&length), "{length}");
    }
    pack
}

/// Measures with a pack on a machine without a GPU: the exit code and the report.
fn report_of(pack: &Path, parts: &[&str], options: &[&str]) -> (Option<i32>, String) {
    let report = pack.with_file_name("report.md");
    // without network, checkout or what a developer's shell has set
    let output = Command::new("bash")
        .arg(pack.join("run"))
        .arg("--report")
        .arg(&report)
        .args(options)
        .arg(pack)
        .args(parts)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("the script");
    let text = std::fs::read_to_string(&report).expect("a report");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.ends_with(&format!("report: {}\n", report.display())),
        "{said}"
    );
    (output.status.code(), text)
}

#[test]
fn a_gpu_is_measured_with_what_was_packed() {
    let folder = tempfile::tempdir().expect("folder");
    let pack = pack_of_stand_ins(folder.path());
    let (code, report) = report_of(&pack, &["providers", "parity", "frames", "webgpu"], &[]);
    for words in [
        "stand-ins.",
        "| builtin | cuda | fp16 | 1036 | 1 | 12.5 ms | 12.5 ms | 0.5 s | 123 MB |",
        "| correlation 1.000000, at most 0.001 % of the range |",
        "| builtin | cuda | fp16 | 3840x2160 | 3 | 61.0 | 16.4 ms |",
        // what is not there is said, and ends nothing else
        "needs libsurely-not-here.so.13: not found",
        "webgpu does not open: webgpu finds no GPU here",
        "- WebGPU, by Vulkan: left out, webgpu does not open here",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    assert_eq!(code, Some(3), "{report}");
    assert!(!report.contains("damaged"), "{report}");
    // only those parts
    assert!(!report.contains("## Batches"), "{report}");

    // a folder of one's own has it
    let libraries = folder.path().join("cuda");
    std::fs::create_dir(&libraries).expect("folder");
    std::fs::write(libraries.join("libsurely-not-here.so.13"), "").expect("file");
    let libraries = libraries.to_str().expect("UTF-8");
    let (_, report) = report_of(&pack, &["cpu"], &["--libraries", libraries]);
    let words = format!("- libsurely-not-here.so.13: {libraries}\n");
    assert!(report.contains(&words), "{report}");
    assert!(!report.contains("not found"), "{report}");
}

#[test]
fn damaged_and_missing_pieces_are_told_and_the_rest_is_measured() {
    let folder = tempfile::tempdir().expect("folder");
    let pack = pack_of_stand_ins(folder.path());
    let piece = pack.join("cuda.tar.gz.002");
    let mut bytes = std::fs::read(&piece).expect("a piece");
    bytes[5000] ^= 1;
    std::fs::write(&piece, bytes).expect("a piece");
    std::fs::remove_file(pack.join("cuda.tar.gz.003")).expect("a piece");
    let (code, report) = report_of(&pack, &["providers", "parity", "cpu"], &[]);
    assert_eq!(code, Some(3));
    for words in [
        "cuda.tar.gz.002 is damaged: its checksum is not that of SHA256SUMS (1000000 bytes)",
        "cuda.tar.gz.003 is missing. Copy it again.",
        "cuda does not open: libcublas.so.13 is missing (cuda.tar.gz.002 is damaged",
        "Parity of cuda with the CPU: left out, cuda does not open here",
        "| builtin | cpu | fp32 | 518 | 1 | 12.5 ms |",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }

    // without the list, gzip finds it
    std::fs::remove_file(pack.join("SHA256SUMS")).expect("the list");
    let (_, report) = report_of(&pack, &["cpu"], &[]);
    for words in [
        "SHA256SUMS is missing: the pieces are joined unchecked",
        "cuda cannot be unpacked: ",
        "| builtin | cpu | fp32 | 518 | 1 | 12.5 ms |",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }

    // without what all needs, each part says so
    std::fs::remove_file(pack.join("base.tar.gz.001")).expect("a piece");
    let (code, report) = report_of(&pack, &[], &[]);
    assert_eq!(code, Some(3));
    assert!(
        report.contains("The CPU: left out, for want of the pieces base.tar.gz.*"),
        "{report}"
    );
}

#[test]
fn a_part_that_hangs_ends_in_its_time_and_a_cut_off_run_keeps_what_it_has() {
    let folder = tempfile::tempdir().expect("folder");
    let pack = pack_of_stand_ins(folder.path());
    // 12 s for the sizes, of a minute
    let (code, report) = report_of(&pack, &[], &["--minutes", "1", "--provider", "cpu"]);
    assert_eq!(code, Some(3));
    for words in [
        "| builtin | cpu | fp16 | 1554 | 1 | 12.5 ms |",
        "| builtin | cpu | fp32 | 2072 | 1 | stopped: it took longer than the 6 s that it may",
        "## The CPU\n\n| model |",
        "- Time and memory of cpu by size: 2 rows were not measured",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }

    let report = folder.path().join("cut.md");
    // as the checkout starts it
    let mut run = Command::new(root().join("scripts/gpu-check"))
        .args(["--run", "--provider", "cpu", "--report"])
        .args([&report, &pack])
        .arg("sizes")
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the script");
    let written = || std::fs::read_to_string(&report).unwrap_or_default();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !written().contains("| fp16 | 1554 | 1 | 12.5 ms |") && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ended = Command::new("kill")
        .arg(run.id().to_string())
        .status()
        .expect("kill");
    assert!(ended.success());
    assert_eq!(run.wait().expect("it ends").code(), Some(3));
    let text = written();
    assert!(
        text.contains("| builtin | cpu | fp16 | 1554 | 1 | 12.5 ms |"),
        "{text}"
    );
    assert!(text.contains("**Cut off after "), "{text}");
}
