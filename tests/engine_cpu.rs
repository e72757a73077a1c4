//! The engine on ONNX Runtime's own CPU kernels.

mod engine_support;

use std::sync::atomic::{AtomicUsize, Ordering};

use engine_support::*;
use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{DepthKind, InputSize};
use gstdepthanything::inference::onnx::runtime::{LogLevel, set_log_hook};
use gstdepthanything::inference::{Config, ExecutionProvider, Progress, open as open_network};
use gstdepthanything::model::ModelSource;

#[test]
fn the_builtin_model_runs() {
    let runtime = plain_runtime();
    let mut stages = Vec::new();
    let mut network = open_network(
        &config(ModelSource::Builtin, ExecutionProvider::Cpu),
        &mut |progress| stages.push(progress),
    )
    .expect("the built-in model");
    assert_eq!(stages.len(), 2);
    assert_eq!(stages[0], Progress::Loading { provider: "cpu" });
    assert!(
        matches!(&stages[1], Progress::Ready { provider: "cpu", precision, seconds, .. }
            if precision == "fp32" && *seconds > 0.0)
    );

    let description = network.description();
    assert_eq!(description.model, "builtin");
    assert_eq!(description.kind, DepthKind::Relative);
    assert_eq!(description.patch, 14);
    assert_eq!(description.input_size, InputSize::Any);
    assert_eq!(description.batch, None);
    assert_eq!(description.provider, "CPUExecutionProvider");
    assert!(description.runtime.contains(&runtime.version().to_string()));
    assert!(description.notes.is_empty(), "{:?}", description.notes);

    // sizes change from run to run, up and down
    for (width, height) in [(182, 126), (252, 448), (14, 14), (126, 140)] {
        let size = Size::new(width, height);
        let depth = run(&mut *network, &noise(3 * size.area()), 1, size);
        assert_eq!(depth.size, size);
        assert!(depth.values.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn a_batch_gives_what_its_images_give() {
    plain_runtime();
    let mut network = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    let size = Size::new(126, 98);
    let images = noise(2 * 3 * size.area());
    let together = run(&mut *network, &images, 2, size);
    for (image, map) in images
        .chunks_exact(3 * size.area())
        .zip(together.values.chunks_exact(size.area()))
    {
        let alone = run(&mut *network, image, 1, size);
        let difference = alone
            .values
            .iter()
            .zip(map)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(difference < 1e-3, "{difference}");
    }
}

#[test]
fn providers_that_are_not_built_in_are_told_how_to_get() {
    let runtime = plain_runtime();
    for (provider, package) in [
        (ExecutionProvider::Openvino, "onnxruntime-openvino"),
        (ExecutionProvider::Cuda, "onnxruntime-gpu"),
        (ExecutionProvider::Tensorrt, "onnxruntime-gpu"),
    ] {
        match refused(&config(ModelSource::Builtin, provider)) {
            Error::Provider {
                provider: name,
                reason,
            } => {
                assert_eq!(name, provider.name());
                assert!(
                    reason.contains(package) && reason.contains("pip install"),
                    "{reason}"
                );
                assert!(
                    reason.contains(&runtime.path().display().to_string()),
                    "{reason}"
                );
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn auto_is_the_cpu_where_there_is_nothing_else() {
    plain_runtime();
    let network = open(&config(ModelSource::Builtin, ExecutionProvider::Auto));
    assert_eq!(network.description().provider, "CPUExecutionProvider");
    assert!(network.description().notes.is_empty());
}

#[test]
fn the_cpu_has_no_devices() {
    plain_runtime();
    for provider in [ExecutionProvider::Cpu, ExecutionProvider::Auto] {
        let config = Config {
            device: "GPU.1".to_owned(),
            ..config(ModelSource::Builtin, provider)
        };
        let error = refused(&config).to_string();
        assert!(
            error.starts_with("device: ") && error.contains("GPU.1"),
            "{error}"
        );
    }
}

static LOGGED: AtomicUsize = AtomicUsize::new(0);

#[test]
fn the_runtimes_log_comes_through_the_hook() {
    set_log_hook(LogLevel::Info, |level, category, message| {
        assert!(level >= LogLevel::Info && !category.is_empty() && !message.is_empty());
        LOGGED.fetch_add(1, Ordering::Relaxed);
    });
    plain_runtime();
    open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    assert!(LOGGED.load(Ordering::Relaxed) > 0);
    set_log_hook(LogLevel::Fatal, |_, _, _| {});
}

/// Resident memory of this process, in MiB.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let resident: usize = pages
        .split(' ')
        .nth(1)
        .expect("field")
        .parse()
        .expect("pages");
    resident * 4 / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn opening_again_and_again_keeps_nothing() {
    let output = in_own_process(
        "opens_a_hundred_times",
        &[
            ("ORT_DYLIB_PATH", &plain_library()),
            // each is opened by a thread of its own, and what stays free in the allocator depends on how many of its
            // arenas those happen to get: 93 to 196 MiB, with nothing lost
            ("MALLOC_ARENA_MAX", "1".as_ref()),
        ],
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another in a process of its own"]
fn opens_a_hundred_times() {
    plain_runtime();
    let builtin = config(ModelSource::Builtin, ExecutionProvider::Cpu);
    let small = config(zoo("f16"), ExecutionProvider::Cpu);
    let cycle = |times| {
        (0..times).for_each(|_| drop(open(&builtin)));
        (0..5 * times).for_each(|_| drop(open(&small)));
    };
    cycle(5);
    let before = resident();
    cycle(20);
    let after = resident();
    println!("{before} MiB, then {after} MiB");
    // a leak of the built-in weights alone would be 20 × 14 MiB
    assert!(after < before + 40, "{before} MiB grew to {after} MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_of_a_large_size_is_given_back() {
    let output = in_own_process("goes_up_and_down", &[("ORT_DYLIB_PATH", &plain_library())]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another in a process of its own"]
fn goes_up_and_down() {
    plain_runtime();
    let mut network = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    let mut at = |width, height| {
        let size = Size::new(width, height);
        run(&mut *network, &noise(3 * size.area()), 1, size);
        resident()
    };
    at(126, 182);
    let small = at(126, 182);
    let large = at(2016, 1512);
    // it waits whether the small size stays
    let again = (0..10).map(|_| at(126, 182)).last().unwrap_or(large);
    println!("{small} MiB, then {large} MiB, then {again} MiB");
    assert!(large > small + 100);
    assert!(
        again < small + (large - small) / 3,
        "{small}, {large}, {again}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn want_of_memory_is_an_error_and_smaller_sizes_still_run() {
    let this = std::env::current_exe().expect("this test");
    // 1.5 GiB of addresses: plenty for the runtime and small sizes
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 1572864 && exec \"$0\" \"$@\""])
        .arg(this)
        .args(["runs_out_of_memory", "--exact", "--ignored", "--nocapture"])
        .env("ORT_DYLIB_PATH", plain_library())
        .output()
        .expect("sh");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "run by another in a process of its own"]
fn runs_out_of_memory() {
    plain_runtime();
    let mut network = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    let small = Size::new(182, 126);
    let values = noise(3 * small.area());
    let before = run(&mut *network, &values, 1, small);
    let error = run_fails(&mut *network, 1, Size::new(8400, 6300));
    assert!(error.starts_with("out of memory at 8400×6300: "), "{error}");
    assert!(error.contains("resolution"), "{error}");
    let after = run(&mut *network, &values, 1, small);
    assert_eq!(before.values, after.values);
}
