//! The table "Troubleshooting" against what the element really says.

use crate::common::{self, Pipeline};
use crate::{page, tables};

/// Pipelines that fail, each in the way of a row.
const FAILURES: [&str; 12] = [
    "model-file=nothing.onnx",
    "model-file=external-missing.onnx",
    "model-file=bad-page.onnx",
    "model-file=bad-pointer.onnx",
    "model-file=bad-truncated.onnx",
    "model-file=window-32.onnx",
    "model-file=classifier.onnx",
    "model-file=limited.onnx",
    "execution-provider=cpu device=7",
    "execution-provider=tensorrt",
    "output=metric",
    "range=fixed",
];

/// Whether `message` has the parts of `pattern` that are between its dots, in their order.
fn fits(pattern: &str, message: &str) -> bool {
    let mut rest = message;
    pattern
        .split('…')
        .all(|part| match rest.split_once(part.trim_matches('`')) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

#[test]
fn messages_of_the_element_are_in_the_table() {
    let rows: Vec<String> = tables::table(&page("docs/troubleshooting.md"), "# Troubleshooting")
        .into_iter()
        .map(|row| row[0].clone())
        .filter(|cell| cell.starts_with('`'))
        .collect();
    let models = format!("model-file={}", common::model(""));
    for failure in FAILURES {
        let properties = failure.replace("model-file=", &models);
        let pipeline = Pipeline::new(&format!(
            "videotestsrc num-buffers=1 ! depthanything {properties} ! fakesink"
        ));
        let message = pipeline.run().expect_err(failure);
        assert!(
            rows.iter().any(|row| fits(row, &message)),
            "no row for {failure}: {message}"
        );
    }
}

#[test]
fn patterns_fit() {
    assert!(fits(
        "`can't read …: no such file`",
        "can't read x: no such file"
    ));
    assert!(!fits(
        "`can't read …: no such file`",
        "no such file: can't read x"
    ));
    assert!(!fits("`… is damaged`", "is sound"));
}
