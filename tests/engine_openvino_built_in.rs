//! The OpenVINO execution provider that is built into an ONNX Runtime, `onnxruntime-openvino`.
#![cfg(target_arch = "x86_64")] // there is no such for others

mod engine_support;

use engine_support::*;
use gstdepthanything::inference::{ExecutionProvider, Precision, Progress, open as open_network};
use gstdepthanything::model::ModelSource;
use gstdepthanything::model::proto::{ModelProto, NodeProto};
use prost::Message as _;

#[test]
fn it_goes_on_working() {
    let Some(runtime) = runtime_with_openvino_built_in() else {
        return;
    };
    for precision in [None, Some(Precision::Fp32)] {
        let config = gstdepthanything::inference::Config {
            precision,
            ..config(ModelSource::Builtin, ExecutionProvider::Openvino)
        };
        let mut told = String::new();
        let network = open_network(&config, &mut |progress| {
            if let Progress::Ready { source, .. } = progress {
                told = source;
            }
        })
        .expect("the built-in model");
        let description = network.description();
        assert_eq!(description.provider, "OpenVINOExecutionProvider");
        assert_eq!(
            told,
            format!("built into ONNX Runtime {}", runtime.version())
        );
    }
}

#[test]
fn providers_of_another_runtime_in_the_process_are_told() {
    let output = in_own_process("opens_beside_another", &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "run by another in a process of its own"]
fn opens_beside_another() {
    // as a program does that has run a provider of the plain package's ONNX Runtime
    let plain = plain_library().join("onnxruntime/capi/libonnxruntime_providers_shared.so");
    // SAFETY: a library of ONNX Runtime's own, which does nothing until it is called
    let _other = unsafe { libloading::Library::new(&plain) }.expect("./check installs it");
    if runtime_with_openvino_built_in().is_none() {
        return;
    }
    let error = refused(&config(ModelSource::Builtin, ExecutionProvider::Openvino)).to_string();
    assert!(error.contains("another ONNX Runtime"), "{error}");
    assert!(
        error.contains("libonnxruntime_providers_shared.so"),
        "{error}"
    );
    let network = open(&config(ModelSource::Builtin, ExecutionProvider::Auto));
    assert_eq!(network.description().provider, "CPUExecutionProvider");
    assert!(network.description().fallbacks[0].contains("another ONNX Runtime"));
}

/// ONNX Runtime 1.24 lets `MaxUnpool` write anywhere.
#[test]
fn what_this_runtime_would_write_out_of_bounds_for_is_refused() {
    if runtime_with_openvino_built_in().is_none() {
        return;
    }
    let bytes = ModelSource::Builtin
        .bytes()
        .expect("it comes with the plugin");
    let mut model = ModelProto::decode(bytes).expect("an ONNX model");
    let graph = model.graph.as_mut().expect("a graph");
    graph.node.push(NodeProto {
        op_type: Some("MaxUnpool".to_owned()),
        ..NodeProto::default()
    });
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("unpooling.onnx");
    std::fs::write(&path, model.encode_to_vec()).expect("file");
    let error = refused(&config(ModelSource::File(path), ExecutionProvider::Cpu)).to_string();
    for named in ["unpooling.onnx", "MaxUnpool", "1.32"] {
        assert!(error.contains(named), "{error}");
    }
}
