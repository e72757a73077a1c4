//! The examples say how they are used.

mod common;

use std::process::Command;

#[test]
fn help_is_told_and_is_no_error() {
    for (example, words) in [
        (
            "multi_camera",
            &["[NAME=]SOURCE", "--record", "rtsp://"][..],
        ),
        ("point_cloud", &["--fx", "--near"]),
        ("read_meta", &["<VIDEO>"]),
        (
            "depth_export",
            &["<FILM>", "--frames", "--shots", "Exit codes"],
        ),
        ("depth_film", &["<VIDEO>", "PROPERTY=VALUE"]),
        ("live_resolution", &["v4l2src", "PROPERTY=VALUE"]),
        ("run_network", &["<MODEL>", "--provider", "--batch"]),
        ("stream_speed", &["--in-flight", "--frame"]),
        ("inspect_model", &["FILE.onnx"]),
        ("marks", &["<VIDEO>", "steady"]),
        ("soak", &["[SECONDS]"]),
    ] {
        let result = Command::new(common::example(example))
            .arg("--help")
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&result.stdout);
        assert!(result.status.success(), "{example}: {result:?}");
        for word in words {
            assert!(said.contains(word), "{example}: {word}: {said}");
        }
    }
}
