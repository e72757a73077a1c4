//! Nothing of GStreamer's outlives its pipeline, by GStreamer's own account: its tracer `leaks`.

mod common;

use std::collections::BTreeMap;
use std::process::Command;

use common::Pipeline;
use gst::prelude::*;

/// Set in the process that is traced: tracers are switched on before GStreamer starts, if at all.
const TRACED: &str = "DEPTHANYTHING_TEST_TRACED";

#[test]
fn nothing_outlives_its_pipeline() {
    if std::env::var_os(TRACED).is_some() {
        return traced();
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .args(["--exact", "nothing_outlives_its_pipeline", "--nocapture"])
        .env(TRACED, "1")
        .env("GST_TRACERS", "leaks")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("objects have come and gone"), "{out}{err}");
}

/// Whatever comes into being in rounds of all that happens to a pipeline must go again.
fn traced() {
    common::init();
    let tracers = gst::active_tracers();
    let Some(leaks) = tracers
        .iter()
        .find(|tracer| tracer.type_().name() == "GstLeaksTracer")
    else {
        panic!("GStreamer's plugin coretracers is missing: apt install gstreamer1.0-tools");
    };
    // what is made once stays: templates, clocks, pools of threads
    (0..2).for_each(|_| round());
    leaks.emit_by_name::<()>("activity-start-tracking", &[]);
    (0..3).for_each(|_| round());
    let (mut created, mut left) = (BTreeMap::new(), BTreeMap::new());
    // the thread of a task lets go of it some time after its pipeline has stopped; a checkpoint is since the last one
    for _ in 0..100 {
        let told = leaks.emit_by_name::<Option<gst::Structure>>("activity-get-checkpoint", &[]);
        let told = told.expect("the tracer tells");
        for (name, count) in by_type(&told, "objects-created-list") {
            *left.entry(name.clone()).or_insert(0) += count;
            *created.entry(name).or_insert(0) += count;
        }
        for (name, count) in by_type(&told, "objects-removed-list") {
            *left.entry(name).or_insert(0) -= count;
        }
        left.retain(|_, count| *count != 0);
        if !left.values().any(|count| *count > 0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    leaks.emit_by_name::<()>("activity-stop-tracking", &[]);
    left.retain(|_, count| *count > 0);
    assert!(left.is_empty(), "{left:?}");
    let count: i64 = created.values().sum();
    assert!(created.contains_key("GstDepthAnything"), "{created:?}");
    println!("{count} objects have come and gone: {created:?}");
}

/// Objects of a list by their types.
fn by_type(told: &gst::StructureRef, list: &str) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for object in told.get::<gst::List>(list).unwrap().iter() {
        let object = object.get::<gst::Structure>().unwrap();
        let name = object.get::<String>("type-name").unwrap();
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn round() {
    for properties in [
        "",
        "in-flight=3 inference-interval=2",
        "min-resolution=70 upsampling=guided",
    ] {
        let pipeline = Pipeline::new(&format!(
            "videotestsrc num-buffers=12 ! capsfilter name=size caps=video/x-raw,width=64,height=48,framerate=30/1 \
             ! depthanything name=depth resolution=126 {properties} ! depthcolorize ! fakesink"
        ));
        pipeline.run().unwrap();
        pipeline
            .0
            .seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::ZERO)
            .unwrap();
        let other = "video/x-raw,width=48,height=64,framerate=30/1".parse::<gst::Caps>();
        pipeline
            .element("size")
            .set_property("caps", other.unwrap());
        pipeline.element("depth").set_property("resolution", 154u32);
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::Eos(_)));
    }
    // and where it goes wrong
    let broken = common::model("bad-random.onnx");
    let pipeline = Pipeline::new(&format!(
        "videotestsrc ! depthanything model-file={broken} ! fakesink"
    ));
    assert!(pipeline.run().is_err());
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=3 ! video/x-raw,width=2000,height=3 ! depthanything ! fakesink",
    );
    assert!(pipeline.run().is_err());
}
