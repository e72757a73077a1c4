//! The element `depthcolorize` in pipelines: formats, sizes, strides, changes while playing, negotiation.

use std::sync::Once;

use gst::prelude::*;
use gst_video::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstdepthanything::depthcolorize::{Colormap, colormap};

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer");
        gstdepthanything::plugin_register_static().expect("plugin");
    });
}

fn harness(properties: &str) -> gst_check::Harness {
    init();
    gst_check::Harness::new_parse(&format!("depthcolorize {properties}"))
}

fn caps(format: VideoFormat, width: u32, height: u32) -> gst::Caps {
    VideoInfo::builder(format, width, height)
        .fps((25, 1))
        .build()
        .expect("video info")
        .to_caps()
        .expect("caps")
}

fn sample(x: u32, y: u32) -> u16 {
    (x * 7_919 + y * 26_417).wrapping_add(311) as u16
}

/// A depth frame with `padding` more bytes a row than it needs, filled so that a read of them shows.
fn depth(format: VideoFormat, width: u32, height: u32, padding: usize) -> gst::Buffer {
    let bytes = if format == VideoFormat::Gray8 { 1 } else { 2 };
    let stride = width as usize * bytes + padding;
    let mut data = vec![0xa5; stride * height as usize];
    for y in 0..height {
        let row = &mut data[y as usize * stride..];
        for (x, out) in (0..width).zip(row.chunks_exact_mut(bytes)) {
            match format {
                VideoFormat::Gray8 => out[0] = (sample(x, y) >> 8) as u8,
                VideoFormat::Gray16Le => out.copy_from_slice(&sample(x, y).to_le_bytes()),
                _ => out.copy_from_slice(&sample(x, y).to_be_bytes()),
            }
        }
    }
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let writable = buffer.get_mut().expect("a fresh buffer");
    writable.set_pts(gst::ClockTime::from_mseconds(40));
    gst_video::VideoMeta::add_full(
        writable,
        gst_video::VideoFrameFlags::empty(),
        format,
        width,
        height,
        &[0],
        &[stride as i32],
    )
    .expect("video meta");
    buffer
}

/// Red, green, blue of each pixel; checks that the fourth byte, where alpha is, is opaque.
fn colors(buffer: &gst::Buffer, format: VideoFormat, width: u32, height: u32) -> Vec<[u8; 3]> {
    let info = VideoInfo::builder(format, width, height)
        .build()
        .expect("info");
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, &info).expect("frame");
    let stride = frame.plane_stride()[0] as usize;
    let data = frame.plane_data(0).expect("plane");
    let bytes = if format == VideoFormat::Rgb { 3 } else { 4 };
    let mut pixels = Vec::new();
    for y in 0..height as usize {
        for x in 0..width as usize {
            let pixel = &data[y * stride + x * bytes..][..bytes];
            pixels.push(match format {
                VideoFormat::Bgrx | VideoFormat::Bgra => [pixel[2], pixel[1], pixel[0]],
                _ => [pixel[0], pixel[1], pixel[2]],
            });
            if matches!(format, VideoFormat::Rgba | VideoFormat::Bgra) {
                assert_eq!(pixel[3], 255);
            }
        }
    }
    pixels
}

fn wanted(
    format: VideoFormat,
    map: impl Into<colormap::Colormap>,
    reverse: bool,
    width: u32,
    height: u32,
) -> Vec<[u8; 3]> {
    let map = map.into();
    (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .map(|(x, y)| match format {
            VideoFormat::Gray8 => map.color((sample(x, y) >> 8) * 257, reverse),
            _ => map.color(sample(x, y), reverse),
        })
        .collect()
}

fn formats_impl(input: VideoFormat, output: VideoFormat, width: u32, height: u32, padding: usize) {
    let mut h = harness("colormap=turbo");
    h.set_src_caps(caps(input, width, height));
    h.set_sink_caps(caps(output, width, height));
    let out = h
        .push_and_pull(depth(input, width, height, padding))
        .expect("a frame");
    assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(40)));
    assert_eq!(
        colors(&out, output, width, height),
        wanted(input, Colormap::Turbo, false, width, height),
        "{input:?} to {output:?}, {width}x{height}, {padding} bytes of padding"
    );
}

const INPUTS: [VideoFormat; 3] = [
    VideoFormat::Gray16Le,
    VideoFormat::Gray16Be,
    VideoFormat::Gray8,
];
const OUTPUTS: [VideoFormat; 5] = [
    VideoFormat::Rgb,
    VideoFormat::Rgbx,
    VideoFormat::Rgba,
    VideoFormat::Bgrx,
    VideoFormat::Bgra,
];

#[test]
fn every_format_to_every_format() {
    for input in INPUTS {
        for output in OUTPUTS {
            formats_impl(input, output, 16, 4, 0);
        }
    }
}

#[test]
fn odd_sizes_and_strides() {
    for (width, height) in [(1, 1), (2, 1), (1, 3), (3, 2), (5, 3), (17, 7), (127, 5)] {
        for padding in [0, 1, 6, 33] {
            for input in INPUTS {
                formats_impl(input, VideoFormat::Rgb, width, height, padding);
                formats_impl(input, VideoFormat::Bgra, width, height, padding);
            }
        }
    }
}

#[test]
fn every_colormap_by_its_name() {
    let names = [
        "spectral", "inferno", "magma", "plasma", "viridis", "turbo", "gray",
    ];
    for (name, map) in names.into_iter().zip(colormap::Colormap::ALL) {
        for reverse in [false, true] {
            let mut h = harness(&format!("colormap={name} reverse={reverse}"));
            h.set_src_caps(caps(VideoFormat::Gray16Le, 9, 2));
            h.set_sink_caps(caps(VideoFormat::Rgb, 9, 2));
            let out = h
                .push_and_pull(depth(VideoFormat::Gray16Le, 9, 2, 0))
                .expect("a frame");
            assert_eq!(
                colors(&out, VideoFormat::Rgb, 9, 2),
                wanted(VideoFormat::Gray16Le, map, reverse, 9, 2),
                "{name} reverse={reverse}"
            );
        }
    }
}

#[test]
fn defaults_are_spectral_and_forward() {
    init();
    let element = gst::ElementFactory::make("depthcolorize")
        .build()
        .expect("element");
    assert_eq!(element.property::<Colormap>("colormap"), Colormap::Spectral);
    assert!(!element.property::<bool>("reverse"));
    for name in ["colormap", "reverse"] {
        let pspec = element.find_property(name).expect("property");
        assert!(
            pspec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING),
            "{name}"
        );
    }
}

#[test]
fn properties_change_between_two_frames_while_playing() {
    init();
    let element = gst::ElementFactory::make("depthcolorize")
        .build()
        .expect("element");
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps(caps(VideoFormat::Gray16Le, 8, 2));
    h.set_sink_caps(caps(VideoFormat::Rgbx, 8, 2));
    for (map, reverse) in [
        (Colormap::Spectral, false),
        (Colormap::Spectral, true),
        (Colormap::Viridis, true),
        (Colormap::Viridis, false),
    ] {
        element.set_property("colormap", map);
        element.set_property("reverse", reverse);
        assert_eq!(element.property::<Colormap>("colormap"), map);
        assert_eq!(element.property::<bool>("reverse"), reverse);
        let out = h
            .push_and_pull(depth(VideoFormat::Gray16Le, 8, 2, 0))
            .expect("a frame");
        assert_eq!(
            colors(&out, VideoFormat::Rgbx, 8, 2),
            wanted(VideoFormat::Gray16Le, map, reverse, 8, 2)
        );
    }
}

#[test]
fn a_new_size_and_format_in_the_stream() {
    let mut h = harness("colormap=magma");
    for (format, width, height) in [
        (VideoFormat::Gray16Le, 8, 2),
        (VideoFormat::Gray8, 5, 3),
        (VideoFormat::Gray16Be, 33, 1),
    ] {
        h.set_sink_caps(caps(VideoFormat::Rgb, width, height));
        h.set_src_caps(caps(format, width, height));
        let out = h
            .push_and_pull(depth(format, width, height, 2))
            .expect("a frame");
        assert_eq!(
            colors(&out, VideoFormat::Rgb, width, height),
            wanted(format, Colormap::Magma, false, width, height)
        );
    }
}

/// Everything but the format is kept; grey's colorimetry is not passed off as RGB's.
#[test]
fn caps_keep_all_but_the_format() {
    init();
    let element = gst::ElementFactory::make("depthcolorize")
        .build()
        .expect("element");
    let sink = element.static_pad("sink").expect("sink");
    let src = element.static_pad("src").expect("src");
    assert!(
        sink.pad_template_caps()
            .can_intersect(&caps(VideoFormat::Gray16Be, 1, 1))
    );
    assert!(
        !sink
            .pad_template_caps()
            .can_intersect(&caps(VideoFormat::Rgb, 1, 1))
    );
    assert!(
        !src.pad_template_caps()
            .can_intersect(&caps(VideoFormat::Gray8, 1, 1))
    );

    let filter: gst::Caps = "video/x-raw,format=GRAY16_LE,width=321,height=5,framerate=30000/1001,\
         pixel-aspect-ratio=4/3,interlace-mode=progressive,colorimetry=bt709"
        .parse()
        .expect("caps");
    let mut h = harness("");
    h.set_src_caps(filter);
    let element = h.element().expect("element");
    let src_caps = element
        .static_pad("src")
        .expect("src")
        .current_caps()
        .expect("caps");
    let structure = src_caps.structure(0).expect("structure");
    assert_eq!(structure.get::<&str>("format"), Ok("RGB"));
    assert_eq!(structure.get::<i32>("width"), Ok(321));
    assert_eq!(structure.get::<i32>("height"), Ok(5));
    assert_eq!(
        structure.get("framerate"),
        Ok(gst::Fraction::new(30_000, 1_001))
    );
    assert_eq!(
        structure.get("pixel-aspect-ratio"),
        Ok(gst::Fraction::new(4, 3))
    );
    assert_ne!(structure.get::<&str>("colorimetry").ok(), Some("bt709"));
}

#[test]
fn a_colour_frame_is_refused_in_negotiation() {
    let mut h = harness("");
    h.set_src_caps(caps(VideoFormat::Rgb, 8, 2));
    let frame = gst::Buffer::from_mut_slice(vec![0; 48]);
    assert_eq!(h.push(frame), Err(gst::FlowError::NotNegotiated));
}

/// Runs `description` to its end; fails with the error that a pipeline of a user would show.
fn run(description: &str) {
    init();
    let pipeline = gst::parse::launch(description)
        .unwrap_or_else(|error| panic!("{description}: {error}"))
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
    pipeline.set_state(gst::State::Playing).expect("playing");
    let bus = pipeline.bus().expect("bus");
    let message = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    let failure = match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => None,
        Some(gst::MessageView::Error(error)) => Some(error.error().to_string()),
        _ => Some("no end in 30 s".to_owned()),
    };
    pipeline.set_state(gst::State::Null).expect("null");
    assert_eq!(failure, None, "{description}");
}

/// The first example of the documentation, as it is written there.
#[test]
fn the_documented_pipeline_runs() {
    let source = include_str!("../src/depthcolorize/mod.rs");
    let line = source
        .lines()
        .find_map(|line| line.trim().strip_prefix("* gst-launch-1.0 videotestsrc"))
        .expect("the example");
    let folder = std::env::temp_dir().join(format!("depthcolorize-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("folder");
    let picture = folder.join("turbo.png");
    let line = format!("videotestsrc{line}").replace("turbo.png", &picture.to_string_lossy());
    run(&line);
    let bytes = std::fs::read(&picture).expect("the picture");
    std::fs::remove_dir_all(&folder).expect("tidy");
    assert!(bytes.starts_with(b"\x89PNG"));
}

#[test]
fn between_converters_and_again_after_null() {
    for _ in 0..2 {
        run(
            "videotestsrc num-buffers=5 ! video/x-raw,format=GRAY16_BE,width=33,height=17 \
             ! depthcolorize reverse=true ! videoconvert ! video/x-raw,format=I420 ! fakesink",
        );
    }
}

/// Metric depth by distance: what its meta says, not how its samples look.
#[test]
fn near_and_far_are_metres() {
    use gstdepthanything::depth_meta::{DepthMeta, Unit};
    let colours = |near_far: &str, unit: Option<Unit>| -> Vec<[u8; 3]> {
        let mut h = harness(near_far);
        h.set_src_caps(caps(VideoFormat::Gray16Le, 4, 1));
        h.set_sink_caps(caps(VideoFormat::Rgb, 4, 1));
        // no depth, 1 m, 3 m, 20 m
        let millimetres = [0_u16, 1000, 3000, 20000];
        let bytes: Vec<u8> = millimetres.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(unit) = unit {
            let meta = DepthMeta {
                scale: 0.001,
                offset: 0.0,
                unit,
                network: gstdepthanything::geometry::Size::new(14, 14),
                repeated: false,
                filtered: false,
                scene: 0,
                model: "metric".into(),
            };
            meta.attach(buffer.get_mut().expect("a fresh buffer"))
                .expect("attached");
        }
        let out = h.push_and_pull(buffer).expect("a frame");
        let map = out.map_readable().expect("mapped");
        map.chunks(3).take(4).map(|p| [p[0], p[1], p[2]]).collect()
    };
    let metric = colours("colormap=gray near=1 far=5", Some(Unit::Metre));
    assert_eq!(metric[0], [0; 3], "no depth");
    assert_eq!(
        (metric[1], metric[3]),
        ([255; 3], [0; 3]),
        "the near end, beyond the far end"
    );
    assert!(metric[2][0].abs_diff(128) <= 1, "{metric:?}");
    let plain = colours("colormap=gray", Some(Unit::Metre));
    assert!(plain[1][0] < plain[2][0] && plain[2][0] < plain[3][0]);
    for unit in [None, Some(Unit::InverseDepth)] {
        assert_eq!(colours("colormap=gray near=1 far=5", unit), plain);
    }
    assert_eq!(
        colours("colormap=gray near=5 far=1", Some(Unit::Metre)),
        plain
    );
}

/// What a pipeline of `description`, whose last element is called `out`, posts until its end.
fn messages(description: &str) -> Vec<gst::Message> {
    init();
    let pipeline = gst::parse::launch(description).expect("a pipeline");
    let bus = pipeline.bus().expect("a bus");
    let _ = pipeline.set_state(gst::State::Playing);
    let mut messages = Vec::new();
    while let Some(message) = bus.timed_pop(gst::ClockTime::from_seconds(60)) {
        let last = matches!(
            message.view(),
            gst::MessageView::Eos(_) | gst::MessageView::Error(_)
        );
        messages.push(message);
        if last {
            break;
        }
    }
    let _ = pipeline.set_state(gst::State::Null);
    messages
}

/// `near` and `far` that can't do anything say so, once for each setting of them.
#[test]
fn near_and_far_without_metres_are_warned_of_once() {
    for (properties, words) in [
        ("near=1 far=5", &["near=1", "far=5", "GstDepthMeta"][..]),
        ("near=3", &["near=3", "far=0", "above"]),
        ("near=5 far=2", &["near=5", "far=2", "above"]),
        ("colormap=gray", &[]),
    ] {
        let messages = messages(&format!(
            "videotestsrc num-buffers=5 ! video/x-raw,format=GRAY16_LE,width=16,height=8 \
             ! depthcolorize {properties} ! fakesink"
        ));
        let warnings: Vec<_> = messages
            .iter()
            .filter_map(|message| match message.view() {
                gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
                _ => None,
            })
            .collect();
        assert_eq!(
            warnings.len(),
            usize::from(!words.is_empty()),
            "{properties}: {warnings:?}"
        );
        for word in words {
            assert!(warnings[0].contains(word), "{word}: {warnings:?}");
        }
    }
}

#[test]
fn a_frame_that_is_too_small_is_an_error_with_its_bytes() {
    init();
    let pipeline = gst::parse::launch(
        "appsrc name=src format=time caps=video/x-raw,format=GRAY16_LE,width=64,height=48,framerate=5/1 \
         ! depthcolorize ! fakesink",
    )
    .expect("a pipeline")
    .downcast::<gst::Pipeline>()
    .expect("more than one element");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let source = pipeline
        .by_name("src")
        .and_downcast::<gst_app::AppSrc>()
        .expect("an appsrc");
    source
        .push_buffer(gst::Buffer::from_slice(vec![0u8; 100]))
        .expect("taken");
    let message = pipeline
        .bus()
        .expect("a bus")
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!()
    };
    let said = error.error().to_string();
    assert!(
        said.contains("100 bytes") && said.contains("6144"),
        "{said}"
    );
    pipeline.set_state(gst::State::Null).expect("it stops");
}
