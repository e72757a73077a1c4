//! The element on the OpenVINO execution provider. A process of its own: a process has one ONNX Runtime.

mod common;

use common::{Pipeline, depth, difference};
use gst::prelude::*;

/// One frame through `provider`: its depth and the provider that the element names.
fn run(provider: &str) -> (Vec<u16>, String) {
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
    (depth(&sample), stats.get("provider").unwrap())
}

#[test]
fn openvino_gives_what_the_cpu_provider_gives() {
    let (cpu, provider) = run("cpu");
    assert_eq!(provider, "CPUExecutionProvider");
    let (openvino, provider) = run("openvino");
    assert_eq!(provider, "OpenVINOExecutionProvider");
    assert!(difference(&cpu, &openvino) < 0.005);
}

#[test]
fn auto_takes_openvino_where_it_is() {
    assert_eq!(run("auto").1, "OpenVINOExecutionProvider");
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
