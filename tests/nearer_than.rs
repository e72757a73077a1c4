//! The example `nearer_than.py`: what comes near is told of once, and what trembles about the limit is not.

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

/// Six white frames, six black ones, two white, four black, six white; ten a second.
fn film(folder: &Path) -> PathBuf {
    let path = folder.join("film.mov");
    let parts: String = [
        (6, "white"),
        (6, "black"),
        (2, "white"),
        (4, "black"),
        (6, "white"),
    ]
    .into_iter()
    .map(|(count, color)| {
        format!(
            "videotestsrc num-buffers={count} pattern={color} \
                 ! video/x-raw,format=RGB,width=168,height=126,framerate=10/1 ! parts. "
        )
    })
    .collect();
    common::Pipeline::new(&format!(
        "concat name=parts ! pngenc ! qtmux ! filesink location={} {parts}",
        path.display()
    ))
    .run()
    .expect("a film");
    path
}

/// What it prints, line by line; none without a Python that can run it.
fn watch(arguments: &[&str]) -> Option<Vec<String>> {
    let result = run(arguments)?;
    let said = String::from_utf8_lossy(&result.stdout);
    Some(said.lines().map(str::to_owned).collect())
}

fn run(arguments: &[&str]) -> Option<Output> {
    let imports =
        "import gi; gi.require_version('GstVideo', '1.0'); from gi.repository import GstVideo";
    let python = common::python(imports)?;
    let folder = tempfile::tempdir().expect("a folder");
    let result = common::with_plugin(python, folder.path())
        .arg(common::root().join("examples/nearer_than.py"))
        .arg(film(folder.path()))
        .args(["--resolution", "126"])
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(result.status.success(), "{result:?}");
    Some(result)
}

#[test]
fn what_comes_near_in_metres_is_told_of_when_it_stays() {
    // white is 19.6 m away, black 0.4 m
    let model = common::model("metric-indoor.onnx");
    let arguments = [
        "--model",
        &model,
        "--nearer",
        "5",
        "--zone",
        "door=0,0,80,126",
    ];
    let Some(said) = watch(&arguments) else {
        return;
    };
    // the third black frame in a row; two white ones are no end; the third white one in a row
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("0.800 s  door: NEAR (0.36 m)"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("2.000 s  door: clear (19.6"),
        "{said:?}"
    );

    // each frame counts, and each zone is by itself; one beyond the frame has no depth
    let more = [
        "--frames",
        "1",
        "--zone",
        "yard=90,0,70,126",
        "--zone",
        "none=900,0,70,126",
    ];
    let said = watch(&[&arguments[..], &more].concat()).expect("it ran before");
    for zone in ["door", "yard"] {
        let told: Vec<_> = said
            .iter()
            .filter(|line| line.contains(&format!("{zone}: ")))
            .collect();
        assert_eq!(told.len(), 4, "{said:?}");
    }
    assert!(!said.iter().any(|line| line.contains("none: ")), "{said:?}");
}

#[test]
fn in_the_numbers_of_a_relative_model_larger_is_nearer() {
    let model = common::model("pixel-values.onnx");
    let arguments = [
        "--model",
        &model,
        "--nearer",
        "4",
        "--zone",
        "door=0,0,80,126",
    ];
    let Some(said) = watch(&arguments) else {
        return;
    };
    // white is 8, black is 0
    assert_eq!(said.len(), 3, "{said:?}");
    for (line, told) in said.iter().zip([
        "0.200 s  door: NEAR (inverse depth 8.",
        "0.800 s  door: clear (inverse depth 0.",
        "2.000 s  door: NEAR (inverse depth 8.",
    ]) {
        assert!(line.starts_with(told), "{said:?}");
    }
}

#[test]
fn a_zone_outside_the_picture_is_told_of() {
    let arguments = ["--nearer", "0.5", "--zone", "door=0,0,80,126"];
    let Some(result) = run(&[&arguments[..], &["--zone", "yard=168,0,70,126"]].concat()) else {
        return;
    };
    let said = String::from_utf8_lossy(&result.stderr);
    let warned: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    assert_eq!(warned.len(), 1, "{said}");
    for word in ["yard", "168x126"] {
        assert!(warned[0].contains(word), "{said}");
    }
}
