#![cfg(target_arch = "x86_64")] // there is none for others
//! The element on the OpenVINO execution provider. A process of its own: a process has one ONNX Runtime.

mod common;

use common::{Pipeline, depth, difference};
use gst::prelude::*;

/// One frame through `provider`: its depth, and the provider and precision that the element names.
fn run(provider: &str) -> (Vec<u16>, [String; 2]) {
    common::init_openvino();
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,format=RGB,width=160,height=120 \
         ! depthanything name=depth resolution=126 execution-provider={provider} \
         ! appsink name=out sync=false"
    ));
    pipeline.play();
    let sample = pipeline
        .appsink("out")
        .try_pull_sample(gst::ClockTime::from_seconds(60))
        .unwrap_or_else(|| {
            panic!(
                "{:?}",
                pipeline
                    .0
                    .bus()
                    .unwrap()
                    .pop_filtered(&[gst::MessageType::Error])
            )
        });
    let stats = pipeline
        .element("depth")
        .property::<gst::Structure>("stats");
    let named = ["provider", "precision"].map(|field| stats.get(field).unwrap());
    (depth(&sample), named)
}

fn has_bf16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[test]
fn openvino_gives_what_the_cpu_provider_gives() {
    let (cpu, named) = run("cpu");
    assert_eq!(named, ["CPUExecutionProvider", "fp32"]);
    let (openvino, named) = run("openvino precision=fp32");
    assert_eq!(named, ["OpenVINOExecutionProvider", "fp32"]);
    assert!(difference(&cpu, &openvino) < 0.005);
}

#[test]
fn auto_takes_openvino_and_bf16_where_there_is_such() {
    let (depth, named) = run("auto");
    let precision = if has_bf16() { "bf16" } else { "fp32" };
    assert_eq!(named, ["OpenVINOExecutionProvider", precision]);
    let off = difference(&run("cpu").0, &depth);
    // bars are harder on bf16 than photographs, 0.2 to 0.7 %
    assert!(off < 0.02, "{off}");
}

#[test]
fn the_message_tells_where_the_provider_is_from() {
    common::init_openvino();
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48 \
         ! depthanything execution-provider=openvino resolution=126 ! fakesink",
    );
    pipeline.play();
    let messages =
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::Eos(_)));
    let told = messages.iter().find_map(|message| {
        let structure = message.structure()?;
        let is_it = structure.name() == "depthanything-engine"
            && structure.get::<String>("stage").as_deref() == Ok("ready");
        let field = |name| structure.get::<String>(name).expect("a text");
        is_it.then(|| (field("provider"), field("reason")))
    });
    let (provider, reason) = told.expect("a message of stage ready");
    assert_eq!(provider, "openvino");
    let plugin = common::root().join(".runtime/openvino/onnxruntime_ep_openvino");
    let wanted = match plugin.exists() {
        true => "by the plugin onnxruntime-ep-openvino ",
        false => "built into ONNX Runtime ",
    };
    assert!(reason.starts_with(wanted), "{reason}");
}

#[test]
fn a_precision_that_is_not_there() {
    common::init_openvino();
    for (provider, precision) in [("cpu", "bf16"), ("openvino", "fp16"), ("auto", "fp16")] {
        let pipeline = Pipeline::new(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48 \
             ! depthanything execution-provider={provider} precision={precision} ! fakesink"
        ));
        let error = pipeline.run().unwrap_err();
        assert!(error.contains("property precision"), "{error}");
        assert!(error.contains(precision), "{error}");
    }
}

#[test]
fn a_device_that_is_not_there() {
    common::init_openvino();
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=1 ! video/x-raw,width=64,height=48 \
         ! depthanything execution-provider=openvino device=GPU.7 ! fakesink",
    );
    let error = pipeline.run().unwrap_err();
    assert!(error.contains("GPU.7"), "{error}");
}
