//! The example `depth_export`: what it writes is what the element gives, and an interruption costs nothing.

#[path = "../common/mod.rs"]
mod common;
mod interrupted;
mod shards;
mod sources;
mod times;

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
    command(film, out, more).output().expect("it runs")
}

/// The same, to be started.
fn command(film: &Path, out: &Path, more: &[&str]) -> Command {
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
        .args(more);
    command
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

/// Where the CPU multiplies bf16, `precision=auto` of OpenVINO is off by some 0.3 % of the range.
#[test]
fn precision_is_that_of_fp32_whatever_the_runtime() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = common::runtime_library("openvino").expect("an ONNX Runtime, by ./check");
    let result = command(
        Path::new(FILM),
        folder.path(),
        &["--range", "frame", "--frames", "0"],
    )
    .env("ORT_DYLIB_PATH", runtime)
    .output()
    .expect("it runs");
    assert!(result.status.success(), "{}", said(&result));
    let picture = image::open(folder.path().join("depth_000000.png")).expect("a picture");
    let made = picture.into_luma16().into_raw();
    let expected = depth(&reference("range=frame")[0]);
    let sum: u64 = made
        .iter()
        .zip(&expected)
        .map(|(made, expected)| u64::from(made.abs_diff(*expected)))
        .sum();
    let mean = sum as f64 / made.len() as f64 / 65535.0;
    assert!(mean < 0.0005, "{mean}");
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
fn detail_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = [
        "--range",
        "frame",
        "--frames",
        "0",
        "--detail-resolution",
        "112",
    ];
    let result = export(Path::new(FILM), folder.path(), &more);
    assert!(result.status.success(), "{}", said(&result));
    let file = folder.path().join("depth_000000.png");
    let picture = image::open(file).expect("a picture").into_luma16();
    let picture = picture.into_raw();
    assert!(picture == depth(&reference("range=frame detail-resolution=112")[0]));
    assert!(picture != depth(&reference("range=frame")[0]));
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
        let names: Vec<_> = channels.iter().map(|c| c.name.to_string()).collect();
        assert_eq!(names, ["X", "Y", "Z"]);
        let meta = meta(sample);
        for channel in channels {
            let values: Vec<f32> = channel.sample_data.values_as_f32().collect();
            for (value, sample) in values.into_iter().zip(depth(sample)) {
                assert_eq!(value, meta.value(sample) as f32);
            }
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

/// A shot's range is that of all its frames: nothing is cut off, nothing is stretched more than another frame of it.
#[test]
fn locked_is_one_range_for_each_shot() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path();
    let result = export(Path::new(FILM), out, &["--range", "locked"]);
    assert!(result.status.success(), "{}", said(&result));
    let own = reference("range=frame");
    let shots = fs::read_to_string(out.join("shots.csv")).expect("the ranges");
    let shots: Vec<(usize, f64, f64)> = shots
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<f64> = line
                .split(',')
                .map(|f| f.parse().expect("a number"))
                .collect();
            (fields[0] as usize, fields[1], fields[2])
        })
        .collect();
    let cuts: Vec<usize> = (0..own.len())
        .filter(|&n| n == 0 || meta(&own[n]).scene != meta(&own[n - 1]).scene)
        .collect();
    let firsts: Vec<usize> = shots.iter().map(|shot| shot.0).collect();
    assert_eq!(firsts, cuts);
    let complete = fs::read_to_string(out.join("frames.csv")).expect("a journal");
    let journal = rows(&out.join("frames.csv"));
    for (index, &(first, low, high)) in shots.iter().enumerate() {
        let end = firsts.get(index + 1).copied().unwrap_or(own.len());
        let ends = |sample: u16| own[first..end].iter().map(move |f| meta(f).value(sample));
        assert_eq!(ends(0).fold(f64::INFINITY, f64::min), low);
        assert_eq!(ends(u16::MAX).fold(f64::NEG_INFINITY, f64::max), high);
        for number in first..end {
            let scale: f64 = journal[number][3].parse().expect("a scale");
            let offset: f64 = journal[number][4].parse().expect("an offset");
            assert!(
                (offset - low).abs() <= 1e-9 * low.abs().max(1.0),
                "{number}"
            );
            assert!(
                (scale * 65535.0 - (high - low)).abs() < 1e-9 * (high - low),
                "{number}"
            );
            if number % 8 == 0 {
                let picture = image::open(out.join(format!("depth_{number:06}.png")));
                let picture = picture.expect("a picture").into_luma16().into_raw();
                let of = meta(&own[number]);
                for (own, sample) in depth(&own[number]).iter().zip(&picture).step_by(97) {
                    let back = scale * f64::from(*sample) + offset;
                    assert!((back - of.value(*own)).abs() < scale + of.scale, "{number}");
                }
            }
        }
    }

    // it goes on with the ranges that it has found, without another first pass
    let cut = complete.match_indices('\n').nth(30).expect("lines").0 + 1;
    fs::write(out.join("frames.csv"), &complete[..cut]).expect("written");
    let result = export(Path::new(FILM), out, &["--range", "locked"]);
    assert!(result.status.success(), "{}", said(&result));
    assert!(!said(&result).contains("first of two passes"));
    assert_eq!(
        fs::read_to_string(out.join("frames.csv")).expect("a journal"),
        complete
    );
    // and not with a table that is damaged
    fs::write(out.join("frames.csv"), &complete[..cut]).expect("written");
    fs::write(
        out.join("shots.csv"),
        "first_frame,range_min,range_max\n0,x",
    )
    .expect("written");
    let result = export(Path::new(FILM), out, &["--range", "locked"]);
    assert!(
        said(&result).contains("shots.csv is damaged"),
        "{}",
        said(&result)
    );
}

/// Without an option nothing is cut off, and each frame has the range of its shot; where shots begin can be said.
#[test]
fn shots_may_be_given_and_nothing_is_cut_off() {
    let film = Path::new(FILM);
    let own = reference("range=frame");
    let ends = |frames: &[gst::Sample]| {
        let all = || {
            frames
                .iter()
                .flat_map(|frame| [0, u16::MAX].map(|end| meta(frame).value(end)))
        };
        [
            all().fold(f64::INFINITY, f64::min),
            all().fold(f64::NEG_INFINITY, f64::max),
        ]
    };
    let brightest = |samples: &[u16]| samples.iter().filter(|&&sample| sample == u16::MAX).count();
    for (shots, firsts) in [
        ("none", &[0][..]),
        ("0,11,30", &[0, 11, 30]),
        ("11", &[0, 11]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path();
        let result = export(film, out, &["--shots", shots]);
        assert!(result.status.success(), "{}", said(&result));
        let table = fs::read_to_string(out.join("shots.csv")).expect("the ranges");
        let found: Vec<Vec<f64>> = table
            .lines()
            .skip(1)
            .map(|line| {
                line.split(',')
                    .map(|f| f.parse().expect("a number"))
                    .collect()
            })
            .collect();
        assert_eq!(found.len(), firsts.len(), "{table}");
        for (index, (found, &first)) in found.iter().zip(firsts).enumerate() {
            let end = firsts.get(index + 1).copied().unwrap_or(own.len());
            let [low, high] = ends(&own[first..end]);
            assert_eq!(found[..], [first as f64, low, high]);
        }
        for (number, own) in own.iter().enumerate().step_by(5) {
            let picture =
                image::open(out.join(format!("depth_{number:06}.png"))).expect("a picture");
            let cut_off = brightest(picture.into_luma16().as_raw());
            assert!(cut_off <= brightest(&depth(own)) + 4, "{number}: {cut_off}");
        }
    }
    // what does cut off says so
    let folder = tempfile::tempdir().expect("a folder");
    let result = export(film, folder.path(), &["--range", "0.3:0.4"]);
    assert!(result.status.success(), "{}", said(&result));
    assert!(
        said(&result).contains("the range cuts values off"),
        "{}",
        said(&result)
    );
}

/// With the exit code that tells a farm whether to try again.
#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let film = Path::new(FILM);
    fs::write(folder.path().join("picture.0001.png"), "text").expect("written");
    let sequence = folder.path().join("picture.%04d.png");
    let out = folder.path().join("out");
    let out = out.as_path();
    fs::create_dir(out).expect("a folder");
    let cases: &[(&Path, &Path, &[&str], i32, &str)] = &[
        (
            Path::new("no such film.mp4"),
            out,
            &[],
            2,
            "there is no file no such film.mp4",
        ),
        (
            Path::new("no such.%04d.png"),
            out,
            &[],
            2,
            "there is no picture no such.%04d.png",
        ),
        (Path::new("examples"), out, &[], 2, "is a folder"),
        (&sequence, out, &[], 2, "is no picture that is known here"),
        (&sequence, out, &["--start-number", "2"], 2, "of number 2"),
        (
            film,
            Path::new("/proc/nowhere/depth"),
            &[],
            1,
            "can't make the folder /proc/nowhere/depth",
        ),
        (
            film,
            out,
            &["--range", "5:2"],
            2,
            "the lower end comes first",
        ),
        (
            film,
            out,
            &["--range", "0:inf"],
            2,
            "it is smooth, frame, locked or LOW:HIGH",
        ),
        (
            film,
            out,
            &["--range", "frame", "--shots", "none"],
            2,
            "--shots goes with --range locked",
        ),
        (
            film,
            out,
            &["--shots", "0,x"],
            2,
            "0,x is neither auto nor none nor",
        ),
        (film, out, &["--set", "colour=1"], 2, "no property colour"),
        (film, out, &["--set", "stats=1"], 2, "can only be read"),
        (
            film,
            out,
            &["--set", "range=wide"],
            2,
            "it takes frame, smooth, fixed",
        ),
        (
            film,
            out,
            &["--set", "resolution=99999"],
            2,
            "it takes 14 to 4200",
        ),
        (film, out, &["--set", "smoothing=nan"], 2, "it takes 0 to 1"),
        (film, out, &["--frames", "9-3"], 2, "ends before it begins"),
        (film, out, &["--frames", "1,,2"], 2, "is no list of frames"),
        (film, out, &["--frames", "48-60"], 2, "has the frames 0-47"),
        (film, out, &["--fps", "0"], 2, "is no frame rate"),
        (film, out, &["--name", "depth"], 2, "is no name with one %d"),
        (
            film,
            out,
            &["--name", "../depth_%d"],
            2,
            "is no name with one %d",
        ),
        (film, out, &["--threads", "9999999"], 2, "9999999"),
        (
            film,
            out,
            &["--shard", "3/2"],
            2,
            "there is none of number 3",
        ),
        (
            film,
            out,
            &["--shard", "1/2", "--range", "smooth"],
            2,
            "can't be made in shards",
        ),
        (Path::new("README.md"), out, &[], 2, "text file"),
        (
            film,
            out,
            &["--format", "ffv1"],
            2,
            "is a folder: name the film",
        ),
    ];
    for &(film, out, more, code, expected) in cases {
        let result = export(film, out, more);
        let said = said(&result);
        assert_eq!(result.status.code(), Some(code), "{expected}: {said}");
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("panicked"), "{said}");
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

/// The same of a film: no half of one is left under its name.
#[test]
fn a_full_disk_leaves_no_half_film() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let film = folder.path().join("depth.mkv");
    let unfinished = folder.path().join("depth.mkv.part");
    std::os::unix::fs::symlink("/dev/full", &unfinished).expect("a link");
    let result = export(Path::new(FILM), &film, &["--format", "ffv1"]);
    assert_eq!(result.status.code(), Some(1), "{}", said(&result));
    assert!(said(&result).contains("No space left"), "{}", said(&result));
    // but for what the first pass found
    let left = fs::read_dir(folder.path()).expect("a folder").map(|entry| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("UTF-8")
    });
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["depth.mkv.ranges.csv", "depth.mkv.shots.csv"]);
    let result = export(Path::new(FILM), &film, &["--format", "ffv1"]);
    assert!(result.status.success(), "{}", said(&result));
    assert!(!said(&result).contains("first of two passes"));
    assert!(film.exists());
}
