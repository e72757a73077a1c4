//! The example `depth_export`: what it writes is what the element gives, and an interruption costs nothing.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use common::{depth, meta, samples};

/// The sample film at a size that is quick.
const FILM: &str = "examples/media/sample.mkv";

fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| common::example("depth_export"))
}

fn export(film: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(program());
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        let runtime = common::runtime_library("onnxruntime").expect("an ONNX Runtime, by ./check");
        command.env("ORT_DYLIB_PATH", runtime);
    }
    command
        // no other plugin of this name
        .env("GST_PLUGIN_PATH", "")
        .current_dir(common::root())
        .args([film, out])
        .args(["--resolution", "56"])
        .args(more)
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows(journal: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(journal).expect("a journal");
    let rows = text.lines().skip(2).filter(|line| !line.starts_with('#'));
    rows.map(|row| row.split(',').map(str::to_owned).collect())
        .collect()
}

/// What the element itself gives.
fn reference(properties: &str) -> Vec<gst::Sample> {
    samples(&format!(
        "filesrc location={} ! decodebin ! videoconvert ! depthanything resolution=56 {properties} ! appsink name=out",
        common::root().join(FILM).display()
    ))
}

#[test]
fn png_holds_the_samples_and_goes_on_after_an_interruption() {
    let folder = tempfile::tempdir().expect("a folder");
    // names may be odd
    let out = folder.path().join("depth of 'a' \"film\" é%06d");
    let result = export(Path::new(FILM), &out, &["--range", "frame"]);
    assert!(result.status.success(), "{}", said(&result));
    let expected = reference("range=frame");
    let journal = out.join("frames.csv");
    let complete = fs::read_to_string(&journal).expect("a journal");
    assert_eq!(rows(&journal).len(), expected.len());
    for (number, (row, sample)) in rows(&journal).iter().zip(&expected).enumerate() {
        let buffer = sample.buffer().expect("a buffer");
        assert_eq!(row[0], number.to_string());
        assert_eq!(row[1], buffer.pts().expect("a time").nseconds().to_string());
        assert_eq!(row[3].parse(), Ok(meta(sample).scale));
        let file = out.join(format!("depth_{number:06}.png"));
        let picture = image::open(file).expect("a picture").into_luma16();
        assert!(picture.into_raw() == depth(sample), "frame {number}");
    }

    // as if it had been stopped while it wrote frame 20, and its journal's line
    let cut = complete.match_indices('\n').nth(21).expect("lines").0 + 5;
    fs::write(&journal, &complete[..cut]).expect("written");
    for number in 20..48 {
        fs::remove_file(out.join(format!("depth_{number:06}.png"))).expect("removed");
    }
    fs::write(out.join("depth_000020.part"), "half").expect("written");
    let kept = out.join("depth_000010.png");
    let before = fs::metadata(&kept)
        .and_then(|file| file.modified())
        .expect("a time");
    let result = export(Path::new(FILM), &out, &["--range", "frame"]);
    assert!(result.status.success(), "{}", said(&result));
    assert_eq!(fs::read_to_string(&journal).expect("a journal"), complete);
    let after = fs::metadata(&kept)
        .and_then(|file| file.modified())
        .expect("a time");
    assert_eq!(before, after, "what was done is left alone");
    for (number, sample) in expected.iter().enumerate().skip(20) {
        let file = out.join(format!("depth_{number:06}.png"));
        let picture = image::open(file).expect("a picture").into_luma16();
        assert!(picture.into_raw() == depth(sample), "frame {number}");
    }

    // with other settings it is not mixed
    let result = export(Path::new(FILM), &out, &["--range", "frame", "--invert"]);
    assert!(!result.status.success());
    assert!(
        said(&result).contains("was begun with"),
        "{}",
        said(&result)
    );
}

#[test]
fn exr_holds_the_models_own_numbers() {
    use exr::prelude::{ReadChannels, ReadLayers, read};
    let folder = tempfile::tempdir().expect("a folder");
    let result = export(Path::new(FILM), folder.path(), &["--format", "exr"]);
    assert!(result.status.success(), "{}", said(&result));
    for (number, sample) in reference("range=frame").iter().enumerate().step_by(12) {
        let picture = read()
            .no_deep_data()
            .largest_resolution_level()
            .all_channels()
            .first_valid_layer()
            .all_attributes()
            .from_file(folder.path().join(format!("depth_{number:06}.exr")))
            .expect("an EXR");
        let channels = &picture.layer_data.channel_data.list;
        assert_eq!(channels.len(), 1);
        assert_eq!(channels[0].name.to_string(), "Z");
        let meta = meta(sample);
        let values: Vec<f32> = channels[0].sample_data.values_as_f32().collect();
        for (value, sample) in values.into_iter().zip(depth(sample)) {
            assert_eq!(value, meta.value(sample) as f32);
        }
    }
}

#[test]
fn ffv1_holds_the_samples() {
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("depth.mkv");
    let result = export(
        Path::new(FILM),
        &film,
        &["--format", "ffv1", "--range", "0:1.5"],
    );
    assert!(result.status.success(), "{}", said(&result));
    let written = samples(&format!(
        "filesrc location={} ! matroskademux ! avdec_ffv1 ! appsink name=out",
        film.display()
    ));
    let expected = reference("range=fixed range-min=0 range-max=1.5");
    assert_eq!(written.len(), expected.len());
    for (written, expected) in written.iter().zip(&expected) {
        assert!(depth(written) == depth(expected));
        let pts = |sample: &gst::Sample| sample.buffer().and_then(|buffer| buffer.pts());
        assert_eq!(pts(written), pts(expected));
    }
    assert_eq!(
        rows(&folder.path().join("depth.mkv.csv")).len(),
        expected.len()
    );
    assert!(!folder.path().join("depth.mkv.part").exists());
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let film = Path::new(FILM);
    for (film, out, more, expected) in [
        (
            Path::new("no such film.mp4"),
            folder.path(),
            &[][..],
            "there is no file no such film.mp4",
        ),
        (
            film,
            Path::new("/proc/nowhere/depth"),
            &[],
            "can't make the folder /proc/nowhere/depth",
        ),
        (
            film,
            folder.path(),
            &["--range", "5:2"],
            "the lower end comes first",
        ),
        (
            film,
            folder.path(),
            &["--set", "colour=1"],
            "no property colour",
        ),
        (Path::new("README.md"), folder.path(), &[], "text file"),
        (
            film,
            folder.path(),
            &["--format", "ffv1"],
            "is a folder: name the film",
        ),
    ] {
        let result = export(film, out, more);
        assert_eq!(result.status.code(), Some(1), "{expected}");
        assert!(
            said(&result).contains(expected),
            "{expected}: {}",
            said(&result)
        );
    }
}

/// A full disk: what was finished is whole, the message says what happened, and more room is all it takes.
#[test]
fn a_full_disk_costs_no_finished_frame() {
    // every write to it fails as on a full disk
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink("/dev/full", folder.path().join("depth_000005.part"))
        .expect("a link");
    let result = export(Path::new(FILM), folder.path(), &["--threads", "1"]);
    assert_eq!(result.status.code(), Some(1));
    let said_first = said(&result);
    assert!(said_first.contains("depth_000005.png"), "{said_first}");
    assert!(said_first.contains("No space left"), "{said_first}");
    assert!(
        said_first.contains("5 frames are done and whole"),
        "{said_first}"
    );
    for number in 0..5 {
        image::open(folder.path().join(format!("depth_{number:06}.png"))).expect("a whole picture");
    }
    // room again; the link is gone with the frame that failed
    let result = export(Path::new(FILM), folder.path(), &["--threads", "1"]);
    assert!(result.status.success(), "{}", said(&result));
    assert_eq!(rows(&folder.path().join("frames.csv")).len(), 48);
}
