//! The example `point_cloud`: its points are where the model says, in the colours of the same frame.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn point_cloud(film: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(common::example("point_cloud"));
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        let runtime = common::runtime_library("onnxruntime").expect("an ONNX Runtime, by ./check");
        command.env("ORT_DYLIB_PATH", runtime);
    }
    command
        // no other plugin of this name
        .env("GST_PLUGIN_PATH", "")
        .args([film, out])
        .args(["--resolution", "126"])
        .args(more)
        .output()
        .expect("it runs")
}

struct Vertex {
    at: [f32; 3],
    color: [u8; 3],
}

/// The vertices, by the header's own count.
fn read(path: &Path) -> Vec<Vertex> {
    let file = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let end = b"end_header\n";
    let header = file
        .windows(end.len())
        .position(|window| window == end)
        .expect("a header");
    let text = std::str::from_utf8(&file[..header]).expect("words");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("comment "))
        .collect();
    assert_eq!(lines[..2], ["ply", "format binary_little_endian 1.0"]);
    let properties = [
        "float x",
        "float y",
        "float z",
        "uchar red",
        "uchar green",
        "uchar blue",
    ];
    assert_eq!(
        lines[3..],
        properties.map(|property| format!("property {property}"))
    );
    let count = lines[2].strip_prefix("element vertex ").expect("vertices");
    let body = &file[header + end.len()..];
    assert_eq!(count.parse(), Ok(body.len() / 15));
    assert_eq!(body.len() % 15, 0);
    let vertex = |bytes: &[u8]| Vertex {
        at: [0, 4, 8]
            .map(|at| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])),
        color: [bytes[12], bytes[13], bytes[14]],
    };
    body.chunks_exact(15).map(vertex).collect()
}

/// What `metric-indoor.onnx` gives for a flat colour, in metres: see tests/models/README.md.
fn metres([red, green, blue]: [u8; 3]) -> f64 {
    let [red, green, blue] = [red, green, blue].map(|value| f64::from(value) / 255.0);
    let luma = 0.25 * red + 0.5 * green + 0.25 * blue;
    20.0 / (1.0 + (4.0 - 8.0 * luma).exp())
}

const LEFT: [u8; 3] = [200, 40, 90];
const RIGHT: [u8; 3] = [60, 150, 220];

/// A picture of two colours; the edge is that of a patch, and the network sees it at its own size.
fn photo(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("photo.png");
    image::RgbImage::from_fn(168, 126, |x, _| {
        image::Rgb(if x < 84 { LEFT } else { RIGHT })
    })
    .save(&path)
    .expect("written");
    path
}

#[test]
fn a_metric_model_gives_points_in_metres() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cloud.ply");
    let model = common::model("metric-indoor.onnx");
    let result = point_cloud(
        &photo(folder.path()),
        &out,
        &["--model", &model, "--focal", "100"],
    );
    assert!(result.status.success(), "{result:?}");
    let cloud = read(&out);
    assert_eq!(cloud.len(), 168 * 126);
    for (column, row, color) in [
        (3, 5, LEFT),
        (160, 5, RIGHT),
        (3, 120, LEFT),
        (160, 120, RIGHT),
    ] {
        let vertex = &cloud[row * 168 + column];
        assert_eq!(vertex.color, color);
        let z = metres(color);
        let expected = [
            (column as f64 - 83.5) * z / 100.0,
            (row as f64 - 62.5) * z / 100.0,
            z,
        ];
        for (found, expected) in vertex.at.into_iter().zip(expected) {
            // a millimetre of rounding, and a little of the network's own
            assert!(
                (f64::from(found) - expected).abs() < 0.002,
                "{found} {expected} at {column},{row}"
            );
        }
    }
    assert!(!folder.path().join("cloud.ply.part").exists());
}

#[test]
fn relative_depth_goes_from_near_to_far_as_assumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cloud.ply");
    let model = common::model("pixel-values.onnx");
    for invert in ["invert=false", "invert=true"] {
        let more = [
            "--near",
            "2",
            "--far",
            "8",
            "--step",
            "2",
            "--set",
            "range=frame",
            "--set",
            invert,
        ];
        let result = point_cloud(
            &photo(folder.path()),
            &out,
            &[&["--model", &model][..], &more].concat(),
        );
        assert!(result.status.success(), "{result:?}");
        let said = String::from_utf8_lossy(&result.stderr);
        assert!(said.contains("relative depth"), "{said}");
        // 60° across 168 pixels
        assert!(said.contains("fx 145.5, fy 145.5"), "{said}");
        let cloud = read(&out);
        assert_eq!(cloud.len(), 84 * 63);
        // the brighter side is the nearer
        for (vertex, z) in [(&cloud[0], 8.0), (&cloud[83], 2.0)] {
            assert!((vertex.at[2] - z).abs() < 0.01, "{}", vertex.at[2]);
        }
    }
}

#[test]
fn intrinsics_are_those_of_a_calibration() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cloud.ply");
    let model = common::model("metric-indoor.onnx");
    let intrinsics = ["--fx", "100", "--fy", "90", "--cx", "80.25", "--cy", "-3.5"];
    let result = point_cloud(
        &photo(folder.path()),
        &out,
        &[&["--model", &model], &intrinsics[..]].concat(),
    );
    assert!(result.status.success(), "{result:?}");
    let cloud = read(&out);
    for (column, row, color) in [(3, 5, LEFT), (160, 120, RIGHT)] {
        let (vertex, z) = (&cloud[row * 168 + column], metres(color));
        let expected = [
            (column as f64 - 80.25) * z / 100.0,
            (row as f64 + 3.5) * z / 90.0,
            z,
        ];
        for (found, expected) in vertex.at.into_iter().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < 0.004,
                "{found} {expected}"
            );
        }
    }
    let result = point_cloud(&photo(folder.path()), &out, &["--fx", "1", "--focal", "1"]);
    assert!(!result.status.success(), "two focal lengths");
}

/// A ramp from black to white, of which the outdoor model makes 1 to 79 metres.
fn ramp(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("ramp.png");
    image::RgbImage::from_fn(168, 126, |x, _| image::Rgb([(x * 255 / 167) as u8; 3]))
        .save(&path)
        .expect("written");
    path
}

#[test]
fn what_is_far_is_not_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("cloud.ply");
    let model = common::model("metric-outdoor.onnx");
    let cloud = |more: &[&str]| {
        let result = point_cloud(
            &ramp(folder.path()),
            &out,
            &[&["--model", &model], more].concat(),
        );
        assert!(result.status.success(), "{result:?}");
        (
            read(&out),
            String::from_utf8_lossy(&result.stderr).into_owned(),
        )
    };
    // the model's file says how far it reaches
    let (points, said) = cloud(&[]);
    assert_eq!(points.len(), 168 * 126);
    assert!(points.iter().any(|vertex| vertex.at[2] > 70.0));
    assert!(!said.contains("left out"), "{said}");
    // and a unit that is too small leaves points out, in words
    let (points, said) = cloud(&["--set", "depth-unit=0.001"]);
    assert!(points.len() < 168 * 126);
    let left_out = 168 * 126 - points.len();
    assert!(
        said.contains(&format!("left out: {left_out} of")) && said.contains("65.5 m"),
        "{said}"
    );
    assert!(said.contains("depth-unit=0.01"), "{said}");
}

#[test]
fn python_makes_the_same_cloud() {
    let imports = "import numpy, gi; gi.require_version('GstVideo', '1.0'); from gi.repository import GstVideo";
    let Some(python) = common::python(imports) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let photo = photo(folder.path());
    for (model, more) in [
        (
            Some("metric-indoor.onnx"),
            &["--fx", "100", "--cx", "80"][..],
        ),
        (
            Some("metric-indoor.onnx"),
            &["--fx", "100", "--fy", "90", "--cy", "3"],
        ),
        (Some("pixel-values.onnx"), &["--near", "2", "--far", "8"]),
        (None, &[]),
    ] {
        let model = model.map(common::model);
        let model: Vec<&str> = model.iter().flat_map(|path| ["--model", path]).collect();
        let more = [&model, more].concat();
        let out = folder.path().join("cloud.ply");
        let result = point_cloud(&photo, &out, &more);
        assert!(result.status.success(), "{result:?}");
        let expected = read(&out);
        fs::remove_file(&out).expect("removed");

        let result = common::with_plugin(python, folder.path())
            .arg(common::root().join("examples/point_cloud.py"))
            .args([&photo, &out])
            .args(["--resolution", "126"])
            .args(&more)
            .output()
            .expect("it runs");
        assert!(result.status.success(), "{result:?}");
        let cloud = read(&out);
        assert_eq!(cloud.len(), expected.len());
        for (found, expected) in cloud.iter().zip(&expected) {
            assert_eq!(found.color, expected.color);
            for (found, expected) in found.at.iter().zip(expected.at) {
                assert!(
                    (found - expected).abs() <= 1e-4 * expected.abs().max(1.0),
                    "{found} {expected}"
                );
            }
        }
    }
}

#[test]
fn colour_and_depth_are_of_the_same_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("film.mov");
    // black and white in turn
    common::Pipeline::new(&format!(
        "videotestsrc num-buffers=8 pattern=blink ! video/x-raw,format=RGB,width=168,height=126,framerate=10/1 \
         ! pngenc ! qtmux ! filesink location={}",
        film.display()
    ))
    .run()
    .expect("a film");
    let model = common::model("metric-indoor.onnx");
    let out = folder.path().join("clouds");
    let result = point_cloud(
        &film,
        &out,
        &[
            "--model",
            &model,
            "--set",
            "in-flight=3",
            "--step",
            "20",
            "--at",
            "0.15",
        ],
    );
    assert!(result.status.success(), "{result:?}");
    // the frames of 0 and 0.1 s are skipped
    assert_eq!(fs::read_dir(&out).expect("a folder").count(), 6);
    let mut colors = Vec::new();
    for number in 0..6 {
        let cloud = read(&out.join(format!("cloud_{number:06}.ply")));
        let vertex = &cloud[30];
        let expected = metres(vertex.color);
        assert!(
            (f64::from(vertex.at[2]) - expected).abs() < 0.002,
            "{} {expected}",
            vertex.at[2]
        );
        colors.push(vertex.color);
    }
    assert!(
        colors.windows(2).all(|pair| pair[0] != pair[1]),
        "{colors:?}"
    );
}

#[test]
fn what_can_not_be_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let photo = photo(folder.path());
    let out = folder.path().join("cloud.ply");
    for (more, words) in [
        (["--near", "9", "--far", "3"], "--near"),
        (["--at", "60", "--near", "1"], "no frame"),
        (["--set", "nonsense=1", "--near", "1"], "resolution"),
        (["--set", "range=nonsense", "--near", "1"], "smooth"),
        (["--model", "missing.onnx", "--near", "1"], "missing.onnx"),
    ] {
        let result = point_cloud(&photo, &out, &more);
        let said = String::from_utf8_lossy(&result.stderr);
        assert!(
            !result.status.success() && said.contains(words),
            "{more:?}: {said}"
        );
    }
    let text = folder.path().join("words.txt");
    fs::write(&text, "no film at all").expect("written");
    assert!(!point_cloud(&text, &out, &[]).status.success());
    assert!(!out.exists());
}
