//! The engine on the OpenVINO execution provider, on its CPU device: a plugin where that runs, else built in.
#![cfg(target_arch = "x86_64")] // there is none for others

mod engine_support;

use engine_support::*;
use gstdepthanything::error::{Error, Setting};
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::InputSize;
use gstdepthanything::inference::{
    Config, ExecutionProvider, Precision, Progress, open as open_network,
};
use gstdepthanything::model::ModelSource;
use gstdepthanything::model::proto::{ModelProto, NodeProto};
use prost::Message as _;

/// In fp32, so that the numbers are those of the CPU provider.
fn openvino(model: ModelSource, device: &str) -> Config {
    Config {
        device: device.to_owned(),
        precision: Some(Precision::Fp32),
        ..config(model, ExecutionProvider::Openvino)
    }
}

/// Largest difference, as a part of the range of `a`.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let (least, most) = a
        .iter()
        .fold((f32::MAX, f32::MIN), |(least, most), &value| {
            (least.min(value), most.max(value))
        });
    let worst = std::iter::zip(a, b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    worst / (most - least)
}

#[test]
fn the_builtin_model_runs_there_and_gives_what_the_cpu_gives() {
    openvino_runtime();
    let mut network = open(&openvino(ModelSource::Builtin, ""));
    let description = network.description();
    assert_eq!(description.provider, "OpenVINOExecutionProvider");
    assert_eq!(description.precision, "fp32");
    assert_eq!(description.input_size, InputSize::Any);
    let placement = description.placement.clone().expect("placement");
    assert!(
        placement.contains("on OpenVINOExecutionProvider"),
        "{placement}"
    );
    assert!(!placement.contains("CPUExecutionProvider"), "{placement}");

    let mut plain = open(&config(ModelSource::Builtin, ExecutionProvider::Cpu));
    for (width, height) in [(182, 126), (252, 252), (98, 210)] {
        let size = Size::new(width, height);
        let values = noise(3 * size.area());
        let here = run(&mut *network, &values, 1, size);
        let there = run(&mut *plain, &values, 1, size);
        assert_eq!(here.size, size);
        let difference = difference(&there.values, &here.values);
        assert!(difference < 1e-3, "{size}: {difference}");
    }
}

fn has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[test]
fn auto_takes_it_in_bf16_where_there_is_such() {
    openvino_runtime();
    let mut stages = Vec::new();
    let network = open_network(
        &config(ModelSource::Builtin, ExecutionProvider::Auto),
        &mut |progress| stages.push(progress),
    )
    .expect("the built-in model");
    let wanted = if has_bf16() { "bf16" } else { "fp32" };
    let [
        Progress::Loading { provider: first },
        Progress::Ready {
            provider,
            precision,
            source,
            ..
        },
    ] = &stages[..]
    else {
        panic!("{stages:?}");
    };
    assert_eq!((*first, *provider), ("openvino", "openvino"));
    assert_eq!(precision, wanted);
    assert_eq!(&network.description().precision, wanted);
    // which of the two it is
    let wanted = match plugin_packages() {
        Some(_) => "by the plugin onnxruntime-ep-openvino 1.",
        None => "built into ONNX Runtime 1.",
    };
    assert!(source.starts_with(wanted), "{source}");
    assert!(network.description().runtime.contains(wanted));
}

#[test]
fn bf16_is_what_it_says_and_near_enough() {
    openvino_runtime();
    let bf16 = Config {
        precision: Some(Precision::Bf16),
        ..openvino(ModelSource::Builtin, "")
    };
    if !has_bf16() {
        let error = refused(&bf16).to_string();
        assert!(error.starts_with("precision: "), "{error}");
        assert!(error.contains("no instructions for bf16"), "{error}");
        return;
    }
    let mut network = open(&bf16);
    assert_eq!(network.description().precision, "bf16");
    let mut full = open(&openvino(ModelSource::Builtin, ""));
    let size = Size::new(252, 182);
    let values = noise(3 * size.area());
    let here = run(&mut *network, &values, 1, size);
    let there = run(&mut *full, &values, 1, size);
    let difference = difference(&there.values, &here.values);
    // less would be fp32 under another name
    assert!((1e-4..0.05).contains(&difference), "{difference}");
}

#[test]
fn a_model_that_needs_fp32_gets_it() {
    openvino_runtime();
    if !has_bf16() {
        return; // nothing less is tried
    }
    let source = || zoo("full-precision");
    let mut stages = Vec::new();
    let automatic = Config {
        precision: None,
        ..openvino(source(), "")
    };
    let network =
        open_network(&automatic, &mut |progress| stages.push(progress)).expect("the model");
    assert_eq!(network.description().precision, "fp32");
    assert_eq!(network.description().provider, "OpenVINOExecutionProvider");
    let told = stages.iter().find_map(|stage| match stage {
        Progress::Fallback {
            provider: "openvino",
            precision: "bf16",
            reason,
        } => Some(reason),
        _ => None,
    });
    let reason = told.unwrap_or_else(|| panic!("{stages:?}"));
    assert!(
        reason.contains("in bf16 its depth is not that of fp32"),
        "{reason}"
    );
    // asked for by name it is an error
    let named = Config {
        precision: Some(Precision::Bf16),
        ..openvino(source(), "")
    };
    let error = refused(&named).to_string();
    assert!(error.contains("not that of fp32"), "{error}");
}

/// It packs weights anew for a size that it has not seen, and crashes where it gets no memory for that.
#[test]
fn a_model_that_is_tried_in_another_process_first_runs() {
    openvino_runtime();
    let bytes = ModelSource::Builtin
        .bytes()
        .expect("it comes with the plugin");
    let mut model = ModelProto::decode(bytes).expect("an ONNX model");
    let graph = model.graph.as_mut().expect("a graph");
    let image = graph.input[0].name.clone().expect("a name");
    // nobody reads it; no export of Depth Anything has it
    graph.node.push(NodeProto {
        op_type: Some("Sinh".to_owned()),
        input: vec![image],
        output: vec!["unread".to_owned()],
        ..NodeProto::default()
    });
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("file");
    let config = Config {
        engine_cache: Some(folder.path().join("cache")),
        ..openvino(ModelSource::File(path), "")
    };
    open(&config);
    // it was, then: that it works is remembered
    let mut entries = Vec::new();
    let mut folders = vec![folder.path().join("cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a cache").flatten() {
            entries.push(entry.file_name().to_string_lossy().into_owned());
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    let tried = entries.iter().any(|name| name.starts_with("tried-"));
    assert!(
        tried || !cfg!(all(target_env = "gnu", target_arch = "x86_64")),
        "{entries:?}"
    );
}

#[test]
fn precisions_that_it_does_not_give_are_refused() {
    openvino_runtime();
    let half = Config {
        precision: Some(Precision::Fp16),
        ..openvino(ModelSource::Builtin, "")
    };
    let error = refused(&half).to_string();
    assert!(
        error.starts_with("precision: fp16 is not available here"),
        "{error}"
    );
}

#[test]
fn auto_goes_on_to_the_cpu_where_it_fails_and_says_so() {
    openvino_runtime();
    let mut stages = Vec::new();
    let config = Config {
        device: "cpu".to_owned(),
        ..config(zoo("nan"), ExecutionProvider::Auto)
    };
    let network = open_network(&config, &mut |progress| stages.push(progress)).expect("zoo");
    assert_eq!(network.description().provider, "CPUExecutionProvider");
    // the same reason in each precision is told once
    let reasons: Vec<_> = stages
        .iter()
        .filter_map(|stage| match stage {
            Progress::Fallback {
                provider: "openvino",
                reason,
                ..
            } => Some(reason),
            _ => None,
        })
        .collect();
    let [reason] = reasons[..] else {
        panic!("{stages:?}");
    };
    assert!(reason.contains("NaN"), "{reason}");
    assert!(
        network.description().fallbacks.contains(reason),
        "{:?}",
        network.description().fallbacks
    );
}

#[test]
fn devices_that_are_not_there_are_named() {
    openvino_runtime();
    for device in ["GPU.7", "NPU"] {
        let config = Config {
            precision: None,
            ..openvino(ModelSource::Builtin, device)
        };
        match refused(&config) {
            Error::Provider { provider, reason } => {
                assert_eq!(provider, "openvino");
                assert!(reason.contains(device) && reason.len() < 300, "{reason}");
            }
            other => panic!("{other}"),
        }
    }
    match refused(&openvino(ModelSource::Builtin, "XYZ")) {
        Error::Setting { setting, reason } => {
            assert_eq!(setting, Setting::Device);
            assert!(reason.contains("XYZ"), "{reason}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn the_zoo_runs_there() {
    openvino_runtime();
    let mut failed = Vec::new();
    for name in [
        "image-depth",
        "pixel-values",
        "static-square",
        "rank-2",
        "rank-4",
        "one-view",
        "f16",
        "f16-inside",
        "v1",
        "patch-16",
        "coarse",
        "batch-2",
        "depth-third",
        "metric-indoor",
        "metric-if",
        "external",
        "int8-qdq",
    ] {
        let mut network = match open_network(&openvino(zoo(name), ""), &mut |_| {}) {
            Ok(network) => network,
            Err(error) => {
                failed.push(format!("{name}: {error}"));
                continue;
            }
        };
        let mut plain = open(&config(zoo(name), ExecutionProvider::Cpu));
        assert_eq!(
            network.description().batch,
            plain.description().batch,
            "{name}"
        );
        let size = match network.description().input_size {
            InputSize::Fixed(size) => size,
            InputSize::Any => Size::new(5 * 112, 3 * 112),
        };
        let batch = network.description().batch.unwrap_or(1);
        let values = noise(batch * 3 * size.area());
        let here = run(&mut *network, &values, batch, size);
        let there = run(&mut *plain, &values, batch, size);
        assert_eq!(here.size, there.size, "{name}");
        let difference = difference(&there.values, &here.values);
        // integers are rounded elsewhere
        let tolerance = if name.starts_with("int8") { 0.05 } else { 0.01 };
        if difference > tolerance {
            failed.push(format!("{name}: differs by {difference}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
