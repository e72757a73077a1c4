//! The EXR files of the example `depth_export`: what other people's readers find in them.
//!
//! FFmpeg is asked where it is installed. OpenEXR, OpenImageIO and OpenCV are asked through the Python that
//! `DEPTHANYTHING_EXR_PYTHON` names, if it does (`pip install OpenEXR OpenImageIO 'opencv-python-headless<5'`).

#[path = "../examples/depth_export/exr.rs"]
#[allow(dead_code, reason = "the test makes its own head")]
mod exr_file;

use std::path::Path;
use std::process::Command;

use exr::meta::MetaData;
use exr::meta::attribute::AttributeValue;
use exr::meta::header::Header;
use exr_file::Head;
use gst_video::{VideoTimeCode, VideoTimeCodeFlags};
use gstdepthanything::depth_meta::{DepthMeta, Unit};
use gstdepthanything::geometry::Size;

/// More than one block of 16 lines, and a last one that is not full.
const SIZE: Size = Size::new(150, 41);

fn samples() -> Vec<u16> {
    (0..SIZE.area())
        .map(|i| (i * i * 37 + i * 91) as u16)
        .collect()
}

fn meta(unit: Unit) -> DepthMeta {
    DepthMeta {
        scale: if unit == Unit::Metre { 0.001 } else { 1.7e-5 },
        offset: if unit == Unit::Metre { 0.0 } else { -0.31 },
        unit,
        network: Size::new(70, 56),
        repeated: false,
        filtered: false,
        scene: 3,
        model: "vits \u{2192} \u{e9}".into(),
    }
}

fn head(timecode: Option<VideoTimeCode>) -> Head {
    Head {
        // 2.39:1 of 2048×1716
        pixel_aspect: gst::Fraction::new(2, 1),
        rate: Some(gst::Fraction::new(24000, 1001)),
        timecode,
    }
}

fn timecode(rate: (i32, i32), flags: VideoTimeCodeFlags, at: [u32; 4]) -> VideoTimeCode {
    let rate = gst::Fraction::new(rate.0, rate.1);
    VideoTimeCode::new(rate, None, flags, at[0], at[1], at[2], at[3], 0)
}

fn write(path: &Path, meta: &DepthMeta, head: &Head) -> Vec<f32> {
    let samples = samples();
    exr_file::write(path, SIZE, &samples, meta, head).expect("written");
    samples
        .into_iter()
        .map(|sample| meta.value(sample) as f32)
        .collect()
}

fn header(path: &Path) -> Header {
    let meta = MetaData::read_from_file(path, true).expect("an EXR");
    assert_eq!(
        meta.headers.len(),
        1,
        "one part: older readers know no more"
    );
    meta.headers[0].clone()
}

#[test]
fn the_header_says_what_a_compositor_needs() {
    gst::init().expect("GStreamer");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let code = timecode((24, 1), VideoTimeCodeFlags::empty(), [1, 2, 3, 23]);
    let values = write(&path, &meta(Unit::InverseDepth), &head(Some(code)));
    let header = header(&path);
    use exr::compression::Compression;
    assert_eq!(header.compression, Compression::ZIP16);
    assert_eq!(header.blocks, exr::meta::BlockDescription::ScanLines);
    let names: Vec<_> = header
        .channels
        .list
        .iter()
        .map(|channel| channel.name.to_string())
        .collect();
    assert_eq!(names, ["X", "Y", "Z"]);
    assert_eq!(header.shared_attributes.pixel_aspect, 2.0);
    let own = &header.own_attributes;
    assert_eq!(own.frames_per_second, Some((24000, 1001)));
    let code = header.shared_attributes.time_code.expect("a timecode");
    assert_eq!(
        (code.hours, code.minutes, code.seconds, code.frame),
        (1, 2, 3, 23)
    );
    // larger is nearer
    let ends = values.iter().fold([f32::MIN, f32::MAX], |ends, &value| {
        [ends[0].max(value), ends[1].min(value)]
    });
    assert_eq!([own.near_clip_plane, own.far_clip_plane], ends.map(Some));
    let text = |name: &[u8]| match own.other.get(name) {
        Some(AttributeValue::Text(text)) => {
            String::from_utf8(text.as_slice().to_vec()).expect("UTF-8")
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(text(b"depthUnit"), "inverse-depth");
    assert_eq!(text(b"depthModel"), "vits \u{2192} \u{e9}");
    let number = |name: &[u8]| match own.other.get(name) {
        Some(AttributeValue::F64(number)) => *number,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [number(b"depthScale"), number(b"depthOffset")],
        [1.7e-5, -0.31]
    );
    let comments = own.comments.as_ref().expect("words").to_string();
    assert!(
        comments.contains("larger is nearer") && comments.contains("16-bit"),
        "{comments}"
    );
}

/// What is 0 has no depth, and is not what is nearest.
#[test]
fn metres_are_said_to_be_metres() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let values = write(&path, &meta(Unit::Metre), &head(None));
    assert!(values.contains(&0.0));
    let header = header(&path);
    let own = &header.own_attributes;
    let known = values.iter().copied().filter(|&value| value > 0.0);
    assert_eq!(own.near_clip_plane, known.clone().reduce(f32::min));
    assert_eq!(own.far_clip_plane, known.reduce(f32::max));
    assert!(header.shared_attributes.time_code.is_none());

    // a frame without any
    let none = vec![0; SIZE.area()];
    exr_file::write(&path, SIZE, &none, &meta(Unit::Metre), &head(None)).expect("written");
    assert_eq!(self::header(&path).own_attributes.near_clip_plane, None);
}

#[test]
fn timecodes_above_thirty_frames_are_pairs() {
    gst::init().expect("GStreamer");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let drop = VideoTimeCodeFlags::DROP_FRAME;
    for (rate, flags, frames, stored) in [
        ((60000, 1001), drop, 59, (29, true, true)),
        ((50, 1), VideoTimeCodeFlags::empty(), 48, (24, false, false)),
        ((30000, 1001), drop, 29, (29, false, true)),
        ((25, 1), VideoTimeCodeFlags::empty(), 0, (0, false, false)),
    ] {
        let code = timecode(rate, flags, [23, 59, 59, frames]);
        write(&path, &meta(Unit::InverseDepth), &head(Some(code)));
        let code = header(&path).shared_attributes.time_code.expect("one");
        assert_eq!((code.frame, code.field_phase, code.drop_frame), stored);
    }
    // what no header can hold is left out
    let code = timecode((120, 1), VideoTimeCodeFlags::empty(), [1, 0, 0, 119]);
    write(&path, &meta(Unit::InverseDepth), &head(Some(code)));
    assert!(header(&path).shared_attributes.time_code.is_none());
}

#[test]
fn samples_that_are_no_picture_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let wrong = exr_file::write(&path, SIZE, &[1, 2], &meta(Unit::Metre), &head(None));
    assert!(wrong.is_err());
}

/// A copy of a channel costs little: less than a tenth each.
#[test]
fn copies_are_small() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    write(&path, &meta(Unit::InverseDepth), &head(None));
    let whole = std::fs::metadata(&path).expect("a file").len();
    let values = SIZE.area() as u64 * 4;
    assert!(whole < values * 6 / 5, "{whole} bytes for {values}");
}

fn ffmpeg() -> bool {
    Command::new("ffmpeg")
        .arg("-version")
        .output()
        .is_ok_and(|output| output.status.success())
}

#[test]
fn ffmpeg_reads_the_same_floats() {
    if !ffmpeg() {
        eprintln!("left out: no ffmpeg");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let values = write(&path, &meta(Unit::InverseDepth), &head(None));
    let read = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-f", "rawvideo", "-"])
        .output()
        .expect("ffmpeg runs");
    let complaint = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success() && complaint.is_empty(), "{complaint}");
    let planes: Vec<f32> = read
        .stdout
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(planes.len(), 3 * values.len());
    for plane in planes.chunks(values.len()) {
        assert!(plane == values);
    }
    let shape = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .args(["stream=sample_aspect_ratio"])
        .arg(&path)
        .output()
        .expect("ffprobe runs");
    assert_eq!(String::from_utf8_lossy(&shape.stdout).trim(), "2:1");
}

/// Every channel that a reader finds, its floats in rows.
const READERS: &str = r#"
import os, sys
os.environ["OPENCV_IO_ENABLE_OPENEXR"] = "1"
import numpy as np
path, expected = sys.argv[1:3]
want = np.fromfile(expected, np.float32).reshape(int(sys.argv[4]), int(sys.argv[3]))
import OpenEXR
with OpenEXR.File(path, separate_channels=True) as file:
    for name in "XYZ":
        assert np.array_equal(file.channels()[name].pixels, want), f"OpenEXR {name}"
    assert file.header()["pixelAspectRatio"] == 2.0, "OpenEXR pixelAspectRatio"
    assert file.header()["depthUnit"] == "inverse-depth", "OpenEXR depthUnit"
    assert str(file.header()["timeCode"]).find("23") >= 0, "OpenEXR timeCode"
import OpenImageIO
image = OpenImageIO.ImageInput.open(path)
names = list(image.spec().channelnames)
pixels = image.read_image("float")
for name in "XYZ":
    assert np.array_equal(pixels[..., names.index(name)], want), f"OpenImageIO {name}"
assert image.spec()["PixelAspectRatio"] == 2.0, "OpenImageIO PixelAspectRatio"
import cv2
assert np.array_equal(cv2.imread(path, cv2.IMREAD_UNCHANGED), want), "OpenCV"
print("OpenEXR", OpenEXR.__version__, "OpenImageIO", OpenImageIO.__version__, "OpenCV", cv2.__version__)
"#;

#[test]
fn other_readers_find_the_same_floats() {
    gst::init().expect("GStreamer");
    let Some(python) = std::env::var_os("DEPTHANYTHING_EXR_PYTHON") else {
        eprintln!("left out: DEPTHANYTHING_EXR_PYTHON names no Python");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("depth.exr");
    let code = timecode((24, 1), VideoTimeCodeFlags::empty(), [1, 2, 3, 23]);
    let values = write(&path, &meta(Unit::InverseDepth), &head(Some(code)));
    let expected = folder.path().join("expected.f32");
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_ne_bytes()).collect();
    std::fs::write(&expected, bytes).expect("written");
    let read = Command::new(python)
        .args(["-c", READERS])
        .args([&path, &expected])
        .args([SIZE.width.to_string(), SIZE.height.to_string()])
        .output()
        .expect("Python runs");
    print!("{}", String::from_utf8_lossy(&read.stdout));
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
}
