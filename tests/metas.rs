//! What depth frames carry: the metas of the colour frames, and what depth says of regions of interest.

mod common;

use std::sync::Once;

use common::{FRAME, model};
use gst::meta::{CustomMeta, ReferenceTimestampMeta};
use gst_check::Harness;
use gst_video::{VideoRegionOfInterestMeta, VideoTimeCode, VideoTimeCodeMeta};
use gstdepthanything::depth_meta::{DepthMeta, Unit};

/// Custom metas of these names and tags.
const PLAIN: (&str, &[&str]) = ("TestPlainMeta", &[]);
const PLACE: (&str, &[&str]) = ("TestPlaceMeta", &["video", "size"]);
const UNSCALED: (&str, &[&str]) = ("TestUnscaledMeta", &["video", "size"]);
const COLOUR: (&str, &[&str]) = ("TestColourMeta", &["video", "colorspace"]);
const MEMORY: (&str, &[&str]) = ("TestMemoryMeta", &["memory"]);

fn register() {
    static ONCE: Once = Once::new();
    common::init();
    ONCE.call_once(|| {
        for (name, tags) in [PLAIN, UNSCALED, COLOUR, MEMORY] {
            CustomMeta::register(name, tags);
        }
        // as analytics metas do, it can be copied and scaled
        let (name, tags) = PLACE;
        CustomMeta::register_with_transform(name, tags, |to, meta, _, way| {
            let mut added = CustomMeta::add(to, PLACE.0).expect("it is registered");
            let way = way.as_str().to_owned();
            let told = added.mut_structure();
            told.set("way", way);
            told.set("kept", meta.structure().get::<u32>("kept").unwrap_or(0));
            true
        });
    });
}

/// A frame of 64 × 48: white on the left half, a quarter of that on the right.
fn halves() -> gst::Buffer {
    let pixels = (0..64 * 48).flat_map(|i| [if i % 64 < 32 { 240_u8 } else { 60 }; 3]);
    gst::Buffer::from_mut_slice(pixels.collect::<Vec<_>>())
}

/// The same with every kind of meta.
fn frame(index: u64) -> gst::Buffer {
    let mut buffer = halves();
    let fresh = buffer.get_mut().expect("a buffer of one's own");
    fresh.set_pts(gst::ClockTime::from_mseconds(100 * index));
    fresh.set_duration(gst::ClockTime::from_mseconds(100));
    for (name, _) in [PLAIN, PLACE, UNSCALED, COLOUR, MEMORY] {
        let mut meta = CustomMeta::add(fresh, name).expect("it is registered");
        meta.mut_structure().set("kept", 5_u32);
    }
    let caps = gst::Caps::new_empty_simple("timestamp/x-ntp");
    ReferenceTimestampMeta::add(fresh, &caps, gst::ClockTime::from_seconds(99), None);
    let rate = gst::Fraction::new(25, 1);
    let flags = gst_video::VideoTimeCodeFlags::empty();
    let code = VideoTimeCode::new(rate, None, flags, 10, 20, 30, 5, 0);
    VideoTimeCodeMeta::add(fresh, &code.try_into().expect("a valid timecode"));
    let mut car = VideoRegionOfInterestMeta::add(fresh, "car", (4, 8, 24, 32));
    car.set_id(7);
    let seen = gst::Structure::builder("detection").field("confidence", 0.5);
    car.add_param(seen.build());
    let mut wheel = VideoRegionOfInterestMeta::add(fresh, "wheel", (36, 8, 24, 32));
    wheel.set_id(8);
    wheel.set_parent_id(7);
    buffer
}

fn harness(description: &str) -> Harness {
    register();
    let model = model("image-depth.onnx");
    let description = description.replace(
        "DEPTH",
        &format!("depthanything resolution=140 model-file={model}"),
    );
    let mut harness = Harness::new_parse(&description);
    harness.set_src_caps_str(FRAME);
    harness
}

fn has(buffer: &gst::BufferRef, (name, _): (&str, &[&str])) -> bool {
    CustomMeta::from_buffer(buffer, name).is_ok()
}

/// Looks at what a depth frame, or one made of it, carries; its width is a part of that of the colour frame.
fn check(buffer: &gst::BufferRef, part: u32) {
    let stamp = buffer
        .meta::<ReferenceTimestampMeta>()
        .expect("a timestamp");
    assert_eq!(stamp.timestamp(), gst::ClockTime::from_seconds(99));
    let code = buffer.meta::<VideoTimeCodeMeta>().expect("a timecode");
    assert_eq!(code.tc().to_string(), "10:20:30:05");
    assert!(has(buffer, PLAIN) && !has(buffer, COLOUR) && !has(buffer, MEMORY));
    assert_eq!(
        has(buffer, UNSCALED),
        part == 1,
        "one that can't be scaled is not to mislead"
    );
    let place = CustomMeta::from_buffer(buffer, PLACE.0).expect("it goes over");
    assert_eq!(place.structure().get("kept"), Ok(5_u32));
    let meta = DepthMeta::read(buffer).expect("a GstDepthMeta");
    assert_eq!(meta.unit, Unit::InverseDepth);
    let regions: Vec<_> = buffer.iter_meta::<VideoRegionOfInterestMeta>().collect();
    let told: Vec<_> = regions
        .iter()
        .map(|region| {
            (
                region.roi_type(),
                region.id(),
                region.parent_id(),
                region.rect(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("car", 7, 0, (4 / part, 8 / part, 24 / part, 32 / part)),
            ("wheel", 8, 7, (36 / part, 8 / part, 24 / part, 32 / part)),
        ]
    );
    let seen = regions[0]
        .param("detection")
        .expect("its parameters are kept");
    assert_eq!(seen.get("confidence"), Ok(0.5));
    for (region, luma) in regions.iter().zip([240.0, 60.0]) {
        let names = region.params().filter(|param| param.name() == "depth");
        assert_eq!(names.count(), 1);
        let depth = region.param("depth").expect("it is told");
        assert_eq!(depth.get("valid"), Ok(1.0));
        for field in ["median", "near", "far"] {
            // depth of this model is 8 × luma
            let value: f64 = depth.get(field).expect("a double");
            assert!(
                (value - 8.0 * luma / 255.0).abs() < 0.1,
                "{field} {value} for {luma}"
            );
        }
    }
}

#[test]
fn metas_of_the_colour_frame_go_over_to_depth() {
    for (description, part) in [
        ("DEPTH", 1),
        ("DEPTH in-flight=3", 1),
        ("DEPTH inference-interval=3", 1),
        ("DEPTH ! capsfilter caps=video/x-raw,width=32,height=24", 2),
        (
            "DEPTH in-flight=3 ! capsfilter caps=video/x-raw,format=GRAY16_BE,width=32,height=24",
            2,
        ),
        ("DEPTH ! depthcolorize", 1),
        (
            "DEPTH ! depthcolorize ! capsfilter caps=video/x-raw,format=BGRA",
            1,
        ),
        (
            "DEPTH ! capsfilter caps=video/x-raw,width=32,height=24 ! depthcolorize",
            2,
        ),
    ] {
        let mut harness = harness(description);
        for index in 0..4 {
            harness.push(frame(index)).expect("it goes on");
        }
        harness.push_event(gst::event::Eos::new());
        for _ in 0..4 {
            check(&harness.pull().expect(description), part);
        }
    }
}

#[test]
fn metas_that_depend_on_the_size_are_scaled_by_their_own_means() {
    for (description, way) in [
        ("DEPTH", "gst-copy"),
        (
            "DEPTH ! capsfilter caps=video/x-raw,width=32,height=24",
            "gst-video-scale",
        ),
    ] {
        let mut harness = harness(description);
        let depth = harness.push_and_pull(frame(0)).expect("a depth frame");
        let place = CustomMeta::from_buffer(&depth, PLACE.0).expect("it goes over");
        assert_eq!(place.structure().get::<&str>("way"), Ok(way));
    }
}

#[test]
fn regions_follow_each_frame_though_its_depth_is_repeated() {
    let mut harness = harness("DEPTH inference-interval=100");
    for index in 0..3_u32 {
        let mut buffer = halves();
        let fresh = buffer.get_mut().expect("a buffer of one's own");
        // from the light half to the dark one
        VideoRegionOfInterestMeta::add(fresh, "thing", (2 + 20 * index, 4, 16, 40));
        let depth = harness.push_and_pull(buffer).expect("a depth frame");
        let meta = DepthMeta::read(&depth).expect("a meta");
        assert_eq!(meta.repeated, index > 0);
        let region = depth.meta::<VideoRegionOfInterestMeta>().expect("a region");
        let told = region.param("depth").expect("it is told");
        let [near, far] = ["near", "far"].map(|field| told.get::<f64>(field).expect("a double"));
        // the one between has both
        let light = |value: f64| value > 4.0;
        assert_eq!(
            (light(near), light(far)),
            (index < 2, index < 1),
            "{near} {far}"
        );
    }
}

#[test]
fn regions_that_make_no_sense_do_no_harm() {
    let mut harness =
        harness("DEPTH ! capsfilter caps=video/x-raw,width=640,height=480 ! depthcolorize");
    let mut buffer = halves();
    let fresh = buffer.get_mut().expect("a buffer of one's own");
    let most = u32::MAX;
    let rects = [
        (0, 0, 0, 0),
        (most, most, most, most),
        (0, 0, most, most),
        (60, 40, 100, 100),
        (64, 48, 1, 1),
    ];
    for rect in rects.into_iter().cycle().take(5000) {
        VideoRegionOfInterestMeta::add(fresh, "thing", rect);
    }
    let depth = harness.push_and_pull(buffer).expect("a depth frame");
    let valid: Vec<f64> = depth
        .iter_meta::<VideoRegionOfInterestMeta>()
        .map(|region| {
            region
                .param("depth")
                .expect("told")
                .get("valid")
                .expect("a double")
        })
        .collect();
    assert_eq!(valid.len(), 5000);
    for (index, valid) in valid.into_iter().enumerate() {
        match index % 5 {
            2 => assert!(valid > 0.0 && valid < 1e-9, "{valid}"),
            3 => assert!((valid - 0.0032).abs() < 1e-4, "{valid}"),
            _ => assert_eq!(valid, 0.0),
        }
    }
}

#[test]
fn what_departs_from_the_models_own_numbers_is_told() {
    for (properties, filtered) in [
        ("", false),
        ("temporal-filter=0.05", true),
        ("range=frame temporal-filter=0.05", false),
        (
            "upsampling=guided ! capsfilter caps=video/x-raw,width=640,height=480",
            true,
        ),
        // no larger than the depth map: there is nothing to be led
        ("upsampling=guided", false),
    ] {
        let mut harness = harness(&format!("DEPTH {properties}"));
        for index in 0..2 {
            let depth = harness.push_and_pull(frame(index)).expect("a depth frame");
            let meta = DepthMeta::read(&depth).expect("a meta");
            assert_eq!(meta.filtered, filtered, "{properties}");
        }
    }
}
