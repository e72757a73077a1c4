//! What the examples say of files that are no video: which file, and what is wrong with it.

mod common;
#[path = "../examples/common/decoding.rs"]
#[expect(dead_code, reason = "the programs check the file first")]
mod decoding;
#[path = "../examples/common/stalled.rs"]
mod stalled;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

const SAMPLE: &str = "examples/media/sample.mkv";

/// Files of each kind, with a word of what is to be said.
fn files(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let mut noise = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    })
    .take(50_000)
    .collect();
    let sample = fs::read(common::root().join(SAMPLE)).expect("the sample");
    // MP4 that has lost its end, where all is that tells of the frames
    let mut torn = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\0\x10\0\0mdat".to_vec();
    torn.extend_from_slice(&noise);
    let mut heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\x10\0mdat".to_vec();
    heic.extend_from_slice(&noise[..4088]);
    let directory = folder.join("folder.mp4");
    fs::create_dir(&directory).expect("a folder");
    let sound = folder.join("sound.wav");
    common::init();
    common::Pipeline::new(&format!(
        "audiotestsrc num-buffers=20 ! wavenc ! filesink location={}",
        sound.display()
    ))
    .run()
    .expect("a sound");
    let codec = b"V_MPEG4/ISO/AVC";
    let place = sample.windows(codec.len()).position(|it| it == codec);
    let mut unknown = sample.clone();
    unknown[place.expect("a codec")..][..codec.len()].copy_from_slice(b"V_NOBODY/KNOWS1");
    vec![
        (folder.join("missing.mp4"), "no file"),
        (directory, "is a folder"),
        (write("empty.mp4", b""), "is empty"),
        (
            write("notes.txt", "some text\n".repeat(99).as_bytes()),
            "text",
        ),
        (write("noise.mp4", &noise), "video"),
        (write("torn.mp4", &torn), "whole"),
        (write("photo.heic", &heic), "HEIC"),
        (sound, "no video"),
        (write("unknown.mkv", &unknown), "no "),
        (
            write("half.jpg", &half_a_picture(folder)),
            "no valid frames",
        ),
    ]
}

/// The first half of a JPEG.
fn half_a_picture(folder: &Path) -> Vec<u8> {
    let path = folder.join("whole.jpg");
    common::Pipeline::new(&format!(
        "videotestsrc pattern=snow num-buffers=1 ! jpegenc ! filesink location={}",
        path.display()
    ))
    .run()
    .expect("a picture");
    let bytes = fs::read(path).expect("a picture");
    bytes[..bytes.len() / 2].to_vec()
}

fn judge(program: &str, file: &Path, word: &str, result: &Output) {
    let said = String::from_utf8_lossy(&result.stderr);
    let of = format!("{program} of {}: {} {said}", file.display(), result.status);
    // by itself, neither killed nor by a panic
    assert!(matches!(result.status.code(), Some(1 | 2)), "{of}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "{of}");
    let name = file.file_name().expect("a name").to_string_lossy();
    assert!(last.contains(name.as_ref()), "{of}");
    assert!(word.is_empty() || last.contains(word), "{of}");
}

#[test]
fn the_file_and_its_fault_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    for name in ["depth_export", "depth_film", "read_meta", "point_cloud"] {
        let program = common::example(name);
        for (file, word) in &files {
            // without jpegparse half a picture is one
            if name == "read_meta" && file.ends_with("half.jpg") {
                continue;
            }
            let mut command = Command::new(&program);
            command.arg(file).env("GST_PLUGIN_PATH", "");
            if let Some(runtime) = common::runtime_library("onnxruntime") {
                command.env("ORT_DYLIB_PATH", runtime);
            }
            match name {
                "read_meta" => {}
                "point_cloud" => {
                    command.arg(folder.path().join("cloud.ply"));
                }
                _ => {
                    command.arg(folder.path().join("out"));
                }
            }
            judge(name, file, word, &command.output().expect("it runs"));
        }
    }
}

#[test]
fn python_programs_name_the_file() {
    let imports = "import numpy, gi; gi.require_version('GstVideo', '1.0'); \
                   from gi.repository import GstVideo";
    let Some(python) = common::python(imports) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let cloud = folder.path().join("cloud.ply");
    let cloud = cloud.to_str().expect("a path in UTF-8");
    for (program, more) in [
        ("read_meta.py", &[][..]),
        ("point_cloud.py", &[cloud][..]),
        (
            "nearer_than.py",
            &["--nearer", "2", "--zone", "door=0,0,9,9"][..],
        ),
    ] {
        for (file, _) in files.iter().filter(|(file, _)| !file.ends_with("half.jpg")) {
            let mut command = common::with_plugin(python, folder.path());
            command.arg(common::root().join("examples").join(program));
            let result = command.arg(file).args(more).output().expect("it runs");
            judge(program, file, "", &result);
        }
    }
}

#[test]
fn a_film_that_was_cut_short_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let sample = fs::read(common::root().join(SAMPLE)).expect("the sample");
    let short = folder.path().join("short.mkv");
    fs::write(&short, &sample[..sample.len() / 2]).expect("a file");
    for (film, torn) in [(short, true), (common::root().join(SAMPLE), false)] {
        let result = Command::new(common::example("depth_export"))
            .arg(&film)
            .arg(folder.path().join(format!("out-{torn}")))
            .args(["--resolution", "56", "--range", "frame"])
            .env("GST_PLUGIN_PATH", "")
            .envs(common::runtime_library("onnxruntime").map(|it| ("ORT_DYLIB_PATH", it)))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "{said}");
        assert_eq!(said.contains("is it whole?"), torn, "{said}");
    }
}

/// `decodebin` may see the end before the decoder says that there was no frame: then its own error comes first.
#[test]
fn an_end_without_a_frame_is_told_of_whoever_sees_it_first() {
    common::init();
    let decoder = gst::ElementFactory::make("decodebin").build();
    let (decoder, bus) = (decoder.expect("an element"), gst::Bus::new());
    decoder.set_bus(Some(&bus));
    gst::element_error!(
        decoder,
        gst::StreamError::Failed,
        ["all streams without buffers"]
    );
    let mut decoding = decoding::Decoding::of(Path::new("half.jpg"));
    let mut said = std::iter::from_fn(|| bus.pop()).filter_map(|it| decoding.hear(&it));
    let said = said.next().expect("an error");
    assert!(said.contains("half.jpg"), "{said}");
    assert!(said.contains("no valid frames"), "{said}");
}

/// A demultiplexer that finds nothing, and whose error nobody hears.
#[derive(Default)]
struct Silent;

#[glib::object_subclass]
impl ObjectSubclass for Silent {
    const NAME: &'static str = "TestSilentDemux";
    type Type = SilentDemux;
    type ParentType = gst::Element;
}

glib::wrapper! {
    struct SilentDemux(ObjectSubclass<Silent>) @extends gst::Element, gst::Object;
}

const SILENT: &str = "application/x-silent";

impl ObjectImpl for Silent {
    fn constructed(&self) {
        self.parent_constructed();
        let template = self.obj().pad_template("sink").expect("a template");
        let pad = gst::Pad::builder_from_template(&template)
            .activate_function(|pad, _| {
                pad.activate_mode(gst::PadMode::Pull, true)
                    .map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no pull mode"))
            })
            .activatemode_function(|pad, _, _, active| {
                let of = pad.clone();
                let done = match active {
                    true => pad.start_task(move || {
                        let _ = of.pause_task();
                    }),
                    false => pad.stop_task(),
                };
                done.map_err(|_| gst::loggable_error!(gst::CAT_RUST, "no task"))
            })
            .build();
        self.obj().add_pad(&pad).expect("a pad");
    }
}

impl GstObjectImpl for Silent {}

impl ElementImpl for Silent {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static OF: std::sync::LazyLock<gst::subclass::ElementMetadata> =
            std::sync::LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("silent", "Codec/Demuxer", "says nothing", "us")
            });
        Some(&OF)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static OF: std::sync::LazyLock<Vec<gst::PadTemplate>> = std::sync::LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple(SILENT);
            let (sink, always) = (gst::PadDirection::Sink, gst::PadPresence::Always);
            let of = gst::PadTemplate::new("sink", sink, always, &caps).expect("a template");
            let any = gst::Caps::new_empty_simple("video/x-raw");
            let (src, some) = (gst::PadDirection::Src, gst::PadPresence::Sometimes);
            let out = gst::PadTemplate::new("src", src, some, &any).expect("a template");
            vec![of, out]
        });
        &OF
    }
}

#[test]
fn a_decoder_that_stops_and_says_nothing_is_told_of() {
    common::init();
    let rank = gst::Rank::PRIMARY + 9;
    gst::Element::register(None, "silentdemux", rank, SilentDemux::static_type())
        .expect("an element");
    let caps = gst::Caps::new_empty_simple(SILENT);
    let ends = Some("silent");
    gst::TypeFind::register(None, "silent", rank, ends, Some(&caps), |find| {
        if find.peek(0, 8) == Some(b"SILENTLY") {
            find.suggest(
                gst::TypeFindProbability::Maximum,
                &gst::Caps::new_empty_simple(SILENT),
            );
        }
    })
    .expect("a finder");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.silent");
    fs::write(&file, b"SILENTLY".repeat(999)).expect("a file");
    let pipeline = common::Pipeline::new(&format!(
        "filesrc location={} ! decodebin name=decoder ! fakesink",
        file.display()
    ));
    stalled::watch(&pipeline.element("decoder"));
    let error = pipeline.run().expect_err("an error");
    assert!(error.contains("no stream is found"), "{error}");
}
