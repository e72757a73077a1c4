//! Pictures and videos that were taken with the camera held another way: the examples turn them upright, and the element
//! says so, once, where nobody has.

mod common;

#[path = "../examples/common/link_video.rs"]
mod link_video;
#[path = "../examples/common/orientation.rs"]
mod orientation;
#[path = "../examples/common/stalled.rs"]
mod stalled;

use std::path::{Path, PathBuf};

use common::{Pipeline, model};
use gst::prelude::*;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// A place of the picture as it should be seen: three corners are marked, each in its own grey.
fn upright(x: usize, y: usize) -> u8 {
    match (
        x < WIDTH / 3,
        y < HEIGHT / 3,
        x >= 2 * WIDTH / 3,
        y >= 2 * HEIGHT / 3,
    ) {
        (true, true, ..) => 250,
        (_, true, true, _) => 180,
        (true, _, _, true) => 110,
        _ => 20,
    }
}

/// The picture as a camera has stored it that says `orientation` in Exif, with its size.
fn stored(orientation: u16) -> (usize, usize, Vec<u8>) {
    let (width, height) = if orientation >= 5 {
        (HEIGHT, WIDTH)
    } else {
        (WIDTH, HEIGHT)
    };
    let (right, bottom) = (WIDTH - 1, HEIGHT - 1);
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            // what Exif says of where the first row and column are
            let (seen_x, seen_y) = match orientation {
                2 => (right - x, y),
                3 => (right - x, bottom - y),
                4 => (x, bottom - y),
                5 => (y, x),
                6 => (right - y, x),
                7 => (right - y, bottom - x),
                8 => (y, bottom - x),
                _ => (x, y),
            };
            pixels.extend([upright(seen_x, seen_y); 3]);
        }
    }
    (width, height, pixels)
}

/// Exif data that says so.
fn exif(orientation: u16) -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend(orientation.to_be_bytes());
    exif.extend([0; 6]);
    exif
}

/// A PNG or WebP file of it.
fn other_photo(folder: &Path, orientation: u16, encoder: &str) -> PathBuf {
    let (width, height, pixels) = stored(orientation);
    let path = folder.join(format!("{encoder}-{orientation}"));
    let pipeline = Pipeline::new(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=RGB,width={width},height={height},framerate=25/1 \
         ! videoconvert ! {encoder} ! filesink location=\"{}\"",
        path.display()
    ));
    feed(&pipeline, vec![pixels]);
    pipeline.run().expect("a picture");
    let mut bytes = std::fs::read(&path).expect("it is there");
    let exif = exif(orientation);
    let length = u32::try_from(exif.len()).expect("a short chunk");
    if bytes.starts_with(b"RIFF") {
        bytes.extend(b"EXIF");
        bytes.extend(length.to_le_bytes());
        bytes.extend(exif);
        let length = u32::try_from(bytes.len() - 8).expect("a small file");
        bytes[4..8].copy_from_slice(&length.to_le_bytes());
    } else {
        let named = [b"eXIf", exif.as_slice()].concat();
        let mut sum = u32::MAX;
        for &byte in &named {
            sum ^= u32::from(byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 };
            }
        }
        let chunk = [
            &length.to_be_bytes(),
            named.as_slice(),
            &(!sum).to_be_bytes(),
        ]
        .concat();
        // behind the head
        bytes.splice(33..33, chunk);
    }
    std::fs::write(&path, bytes).expect("it can be written");
    path
}

/// A JPEG file of it.
fn photo(folder: &Path, orientation: u16) -> PathBuf {
    let (width, height, pixels) = stored(orientation);
    let path = folder.join(format!("exif-{orientation}.jpg"));
    let pipeline = Pipeline::new(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=RGB,width={width},height={height},framerate=25/1 \
         ! videoconvert ! jpegenc quality=95 ! filesink location=\"{}\"",
        path.display()
    ));
    feed(&pipeline, vec![pixels]);
    pipeline.run().expect("a JPEG");
    let plain = std::fs::read(&path).expect("it is there");
    let mut exif = b"Exif\0\0".to_vec();
    exif.extend(self::exif(orientation));
    let length = u16::try_from(exif.len() + 2).expect("a short segment");
    let mut tagged = plain[..2].to_vec();
    tagged.extend([0xff, 0xe1]);
    tagged.extend(length.to_be_bytes());
    tagged.extend(exif);
    tagged.extend(&plain[2..]);
    std::fs::write(&path, tagged).expect("it can be written");
    path
}

/// Pushes frames into the appsrc `in`, and ends it.
fn feed(pipeline: &Pipeline, frames: Vec<Vec<u8>>) {
    let source = pipeline
        .element("in")
        .downcast::<gst_app::AppSrc>()
        .expect("an appsrc");
    pipeline.play();
    for (index, pixels) in (0_u64..).zip(frames) {
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let fresh = buffer.get_mut().expect("a buffer of one's own");
        fresh.set_pts(gst::ClockTime::from_mseconds(40 * index));
        fresh.set_duration(gst::ClockTime::from_mseconds(40));
        source.push_buffer(buffer).expect("it goes on");
    }
    source.end_of_stream().expect("it goes on");
}

/// A video as a phone makes it: `matrix` in the header of its track says how to turn what was stored as Exif's
/// `orientation` describes.
fn video(folder: &Path, matrix: [i32; 4], orientation: u16) -> PathBuf {
    let (width, height, pixels) = stored(orientation);
    let path = folder.join(format!("held-{orientation}.mov"));
    let pipeline = Pipeline::new(&format!(
        "appsrc name=in format=time caps=video/x-raw,format=RGB,width={width},height={height},framerate=25/1 \
         ! videoconvert ! jpegenc quality=95 ! qtmux \
         ! filesink location=\"{}\"",
        path.display()
    ));
    feed(&pipeline, vec![pixels; 3]);
    pipeline.run().expect("a video");
    let mut file = std::fs::read(&path).expect("it is there");
    let header = file.windows(4).position(|four| four == b"tkhd");
    // ISO 14496-12: the fields of version 0 before the matrix take 40 bytes
    let start = header.expect("a track") + 4 + 40;
    for (place, value) in [0, 1, 3, 4].into_iter().zip(matrix) {
        let value = (value * 0x1_0000).to_be_bytes();
        file[start + 4 * place..][..4].copy_from_slice(&value);
    }
    std::fs::write(&path, file).expect("it can be written");
    path
}

/// What the examples make of a file: its size and brightness.
fn linked(path: &Path) -> (usize, usize, Vec<u8>) {
    let pipeline = Pipeline::new(
        "filesrc name=file ! decodebin name=decoder \
         videoconvert name=video ! videoflip video-direction=auto ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=out sync=false",
    );
    pipeline
        .element("file")
        .set_property("location", path.to_str().expect("UTF-8"));
    let (decoder, video) = (pipeline.element("decoder"), pipeline.element("video"));
    orientation::tell(path, &video.static_pad("sink").expect("a pad"));
    link_video::link_video(&pipeline.0, &decoder, &video).expect("it can be linked");
    pipeline.play();
    let sample = pipeline.appsink("out").pull_sample().expect("a frame");
    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("video");
    let map = sample
        .buffer()
        .expect("a buffer")
        .map_readable()
        .expect("mapped");
    let (width, height) = (info.width() as usize, info.height() as usize);
    let rows = map.chunks(info.stride()[0] as usize).take(height);
    let pixels = rows.flat_map(|row| row[..width].iter().copied()).collect();
    (width, height, pixels)
}

fn assert_upright(path: &Path) {
    let (width, height, pixels) = linked(path);
    assert_eq!((width, height), (WIDTH, HEIGHT), "{path:?}");
    for (x, y) in [
        (10, 10),
        (WIDTH - 10, 10),
        (10, HEIGHT - 10),
        (WIDTH - 10, HEIGHT - 10),
    ] {
        let (seen, is) = (pixels[y * width + x], upright(x, y));
        assert!(
            seen.abs_diff(is) < 12,
            "{path:?} at {x} {y}: {seen} for {is}"
        );
    }
}

fn folder(name: &str) -> PathBuf {
    common::init();
    let folder = std::env::temp_dir().join(format!("depthanything-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn photos_are_turned_upright_by_their_exif() {
    let folder = folder("exif");
    for orientation in 1..=8 {
        assert_upright(&photo(&folder, orientation));
        for encoder in ["pngenc", "webpenc quality=98"] {
            assert_upright(&other_photo(&folder, orientation, encoder));
        }
    }
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

#[test]
fn videos_are_turned_upright_by_their_tag() {
    let folder = folder("turned");
    for (matrix, orientation) in [
        ([1, 0, 0, 1], 1),
        ([0, 1, -1, 0], 6),
        ([-1, 0, 0, -1], 3),
        ([0, -1, 1, 0], 8),
    ] {
        assert_upright(&video(&folder, matrix, orientation));
    }
    std::fs::remove_dir_all(folder).expect("it can be removed");
}

/// How often the element says that the picture does not stand upright, behind `before`.
fn warnings(before: &str) -> usize {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 ! {before} \
         ! depthanything resolution=126 model-file={} ! fakesink",
        model("image-depth.onnx")
    ));
    let messages = pipeline.run().expect("it runs");
    let texts = messages.iter().filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    });
    texts
        .filter(|text| text.contains("videoflip video-direction=auto"))
        .count()
}

#[test]
fn it_is_said_once_and_only_where_nobody_has_turned_the_picture() {
    let tag =
        |degrees: u32| format!("taginject tags=\"image-orientation=(string)rotate-{degrees}\"");
    let [turned, upright] = [tag(90), tag(0)];
    for (before, count) in [
        (turned.clone(), 1),
        // more than one tag event
        (format!("{turned} ! {turned} ! {}", tag(270)), 1),
        (upright, 0),
        ("identity".to_owned(), 0),
        (format!("{turned} ! videoflip video-direction=auto"), 0),
        (
            format!("{turned} ! videoflip video-direction=90r ! videoconvert ! queue"),
            0,
        ),
        (format!("{turned} ! videoflip video-direction=identity"), 1),
        // one that somebody has in a bin
        (
            format!(
                "{turned} ! bin.( videoconvert ! videoflip video-direction=auto ! identity ) ! queue"
            ),
            0,
        ),
        (
            format!("{turned} ! bin.( videoconvert ! identity ) ! queue"),
            1,
        ),
        // too late for it
        (
            format!(
                "videoflip video-direction=auto ! tee name=t ! queue ! fakesink t. ! {turned} ! queue"
            ),
            0,
        ),
    ] {
        assert_eq!(warnings(&before), count, "{before}");
    }
}

/// How often the element says that frames are combed.
fn combed(caps: &str, before: &str) -> usize {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48,framerate=25/1,interlace-mode={caps} ! {before} \
         ! depthanything resolution=126 model-file={} ! fakesink",
        model("image-depth.onnx")
    ));
    let messages = pipeline.run().expect("it runs");
    let texts = messages.iter().filter_map(|message| match message.view() {
        gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
        _ => None,
    });
    texts.filter(|text| text.contains("`deinterlace`")).count()
}

#[test]
fn combed_frames_are_told_once() {
    assert_eq!(combed("progressive", "identity"), 0);
    assert_eq!(combed("interleaved", "identity"), 1);
    assert_eq!(combed("interleaved", "deinterlace"), 0);
    // frames of both kinds: none of these is interlaced
    assert_eq!(combed("mixed", "identity"), 0);
    let mut harness = common::harness("");
    harness.set_src_caps_str(&format!("{},interlace-mode=mixed", common::FRAME));
    let bus = gst::Bus::new();
    harness.element().expect("the bin").set_bus(Some(&bus));
    for index in 0..4 {
        let mut frame = common::frame(0, index);
        let flags = gst_video::VideoBufferFlags::from_bits_truncate(
            gst_video::ffi::GST_VIDEO_BUFFER_FLAG_INTERLACED,
        );
        if index > 1 {
            use gst_video::prelude::*;
            frame
                .get_mut()
                .expect("a buffer of one's own")
                .set_video_flags(flags);
        }
        harness.push_and_pull(frame).expect("a depth frame");
    }
    let said = bus
        .iter()
        .filter(|message| message.type_() == gst::MessageType::Warning);
    assert_eq!(said.count(), 1);
}
