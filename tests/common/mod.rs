//! What the tests of the element share.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_check::Harness;

/// Longer than anything here takes on a busy machine; reached only by a hang.
pub const TIMEOUT: Duration = Duration::from_secs(120);

/// Initialises GStreamer, registers the elements, loads the plain ONNX Runtime: that of `ORT_DYLIB_PATH`, or
/// the one that `./check` installs.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        if std::env::var_os("ORT_DYLIB_PATH").is_none() {
            load_runtime("onnxruntime");
        }
        start_gstreamer();
    });
}

/// The same with the ONNX Runtime that has the OpenVINO provider.
pub fn init_openvino() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        load_runtime("openvino");
        start_gstreamer();
    });
}

fn start_gstreamer() {
    static START: Once = Once::new();
    START.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstdepthanything::plugin_register_static().expect("the plugin registers");
    });
}

/// Loads the runtime of this name in `.runtime`; a process has one.
fn load_runtime(name: &str) {
    let library = runtime_library(name).unwrap_or_else(|| {
        panic!("no ONNX Runtime in .runtime/{name}: run ./check, which installs it")
    });
    gstdepthanything::inference::onnx::runtime::load_from(&library).expect("the runtime loads");
}

/// The shared library of a runtime that `./check` installs.
pub fn runtime_library(name: &str) -> Option<PathBuf> {
    let folder = root().join(".runtime").join(name).join("onnxruntime/capi");
    let mut libraries: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libonnxruntime.so.")
        })
        .collect();
    libraries.sort();
    libraries.pop()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A model of the zoo.
pub fn model(name: &str) -> String {
    let path = root().join("tests/models").join(name);
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// An example, built if it is not.
pub fn example(name: &str) -> PathBuf {
    let built = std::process::Command::new(env!("CARGO"))
        .args([
            "build",
            "--locked",
            "--message-format=json",
            // as `cargo test --workspace` builds it: another choice of features would build all anew
            "--workspace",
            "--example",
            name,
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let told = String::from_utf8_lossy(&built.stdout);
    let path = told.lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        line["executable"].as_str().map(PathBuf::from)
    });
    path.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&built.stderr)))
}

/// A Python that can do `imports`; the first on the path often can't.
pub fn python(imports: &str) -> Option<&'static str> {
    let found = ["python3", "/usr/bin/python3"].into_iter().find(|name| {
        std::process::Command::new(name)
            .args(["-c", imports])
            .output()
            .is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        eprintln!("left out: no python3 that can do `{imports}`");
    }
    found
}

/// What runs a program of another language with the plugin under test; `folder` is for the plugin and GStreamer's registry.
pub fn with_plugin(program: &str, folder: &Path) -> std::process::Command {
    let plugin = std::env::current_exe()
        .ok()
        .and_then(|test| Some(test.parent()?.join("libgstdepthanything.so")))
        .filter(|plugin| plugin.exists())
        .expect("the plugin beside the test");
    let plugins = folder.join("plugin");
    if !plugins.exists() {
        std::fs::create_dir(&plugins).expect("a folder");
        std::os::unix::fs::symlink(plugin, plugins.join("libgstdepthanything.so")).expect("a link");
    }
    let mut command = std::process::Command::new(program);
    if let (None, Some(runtime)) = (
        std::env::var_os("ORT_DYLIB_PATH"),
        runtime_library("onnxruntime"),
    ) {
        command.env("ORT_DYLIB_PATH", runtime);
    }
    command
        .env("GST_PLUGIN_PATH", plugins)
        .env("GST_REGISTRY", folder.join("registry.bin"));
    command
}

/// A pipeline that is shut down when it goes out of scope.
pub struct Pipeline(pub gst::Pipeline);

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

impl Pipeline {
    pub fn new(description: &str) -> Self {
        init();
        let pipeline = gst::parse::launch(description)
            .unwrap_or_else(|error| panic!("{description}: {error}"))
            .downcast()
            .expect("more than one element");
        Self(pipeline)
    }

    pub fn element(&self, name: &str) -> gst::Element {
        self.0
            .by_name(name)
            .unwrap_or_else(|| panic!("no element {name}"))
    }

    pub fn appsink(&self, name: &str) -> gst_app::AppSink {
        self.element(name).downcast().expect("an appsink")
    }

    pub fn play(&self) -> &Self {
        // a failure comes as an error message too, which the caller waits for
        let _ = self.0.set_state(gst::State::Playing);
        self
    }

    /// Runs to the end; the text of the error if there is one.
    pub fn run(&self) -> Result<Vec<gst::Message>, String> {
        self.play();
        let messages = self.messages_until(|message| {
            matches!(
                message.view(),
                gst::MessageView::Eos(_) | gst::MessageView::Error(_)
            )
        });
        match messages.last().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
            _ => Ok(messages),
        }
    }

    /// All messages up to and with the first that `last` is true for.
    pub fn messages_until(&self, last: impl Fn(&gst::Message) -> bool) -> Vec<gst::Message> {
        let bus = self.0.bus().expect("a pipeline has a bus");
        let end = Instant::now() + TIMEOUT;
        let mut messages = Vec::new();
        while Instant::now() < end {
            if let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(100)) {
                let is_last = last(&message);
                if let (false, gst::MessageView::Error(error)) = (is_last, message.view()) {
                    panic!("{}: {:?}", error.error(), error.debug());
                }
                messages.push(message);
                if is_last {
                    return messages;
                }
            }
        }
        let types: Vec<_> = messages.iter().map(|message| message.type_()).collect();
        panic!("nothing in {TIMEOUT:?}; messages so far: {types:?}");
    }
}

/// Runs `description`, whose appsink is called `out`, and gives what arrived there.
pub fn samples(description: &str) -> Vec<gst::Sample> {
    let pipeline = Pipeline::new(description);
    let sink = pipeline.appsink("out");
    sink.set_property("sync", false);
    pipeline.play();
    let mut samples = Vec::new();
    let bus = pipeline.0.bus().expect("a pipeline has a bus");
    loop {
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(200)) {
            Some(sample) => samples.push(sample),
            None => {
                let error = bus.pop_filtered(&[gst::MessageType::Error]);
                if let Some(gst::MessageView::Error(error)) =
                    error.as_ref().map(|error| error.view())
                {
                    panic!("{description}: {}", error.error());
                }
                if sink.is_eos() {
                    return samples;
                }
            }
        }
    }
}

/// A depth frame's samples, rows without padding, whatever the byte order.
pub fn depth(sample: &gst::Sample) -> Vec<u16> {
    let info = gst_video::VideoInfo::from_caps(sample.caps().expect("caps")).expect("video caps");
    depth_of(sample.buffer().expect("a buffer"), &info)
}

pub fn depth_of(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Vec<u16> {
    use gst_video::VideoFrameExt;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info).expect("mapped");
    let from_bytes = match info.format() {
        gst_video::VideoFormat::Gray16Le => u16::from_le_bytes,
        gst_video::VideoFormat::Gray16Be => u16::from_be_bytes,
        format => panic!("{format:?} is not depth"),
    };
    let stride = frame.plane_stride()[0] as usize;
    let width = frame.width() as usize;
    let data = frame.plane_data(0).expect("a plane");
    (0..frame.height() as usize)
        .flat_map(|row| data[row * stride..][..2 * width].chunks_exact(2))
        .map(|pair| from_bytes([pair[0], pair[1]]))
        .collect()
}

pub fn meta(sample: &gst::Sample) -> gstdepthanything::depth_meta::DepthMeta {
    gstdepthanything::depth_meta::DepthMeta::read(sample.buffer().expect("a buffer"))
        .expect("a GstDepthMeta")
}

/// Mean absolute difference of two pictures in shares of the range.
pub fn difference(a: &[u16], b: &[u16]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum();
    sum / a.len() as f64 / 65535.0
}

/// Caps of the small frames that [`frame`] makes.
pub const FRAME: &str = "video/x-raw,format=RGB,width=64,height=48,framerate=10/1";

/// A harness around the element at a size at which the built-in model takes a few milliseconds.
pub fn harness(properties: &str) -> Harness {
    init();
    let mut harness = Harness::new_parse(&format!("depthanything resolution=126 {properties}"));
    harness.set_src_caps_str(FRAME);
    harness
}

/// A frame whose pixels depend on `seed`.
pub fn frame(seed: u8, index: u64) -> gst::Buffer {
    let pixels: Vec<u8> = (0..64 * 48 * 3)
        .map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed))
        .collect();
    let mut buffer = gst::Buffer::from_slice(pixels);
    let buffer_ref = buffer.get_mut().expect("a new buffer");
    buffer_ref.set_pts(gst::ClockTime::from_mseconds(100) * index);
    buffer_ref.set_duration(gst::ClockTime::from_mseconds(100));
    buffer
}

/// The height of what the network sees of a short stream at `resolution=1400` within so many megabytes, or the error.
pub fn height_within(megabytes: u64, more: &str) -> Result<u32, String> {
    let limit = megabytes * 1_000_000;
    let pipeline = Pipeline::new(&format!(
        "videotestsrc num-buffers=2 ! video/x-raw,width=320,height=180 \
         ! depthanything name=depth resolution=1400 num-threads=2 memory-limit={limit} {more} ! fakesink"
    ));
    pipeline.run()?;
    let stats = pipeline
        .element("depth")
        .property::<gst::Structure>("stats");
    Ok(stats.get("network-height").unwrap())
}
