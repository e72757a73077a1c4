//! Where a scene begins: what the frames show decides, not their flags, positions and caps.

mod common;

use common::{depth_of, model};
use gst_check::Harness;
use gstdepthanything::depth_meta::DepthMeta;

/// What is in front of the camera: luma, 0…1, of each place of the picture, 0…1.
type Scene = fn(x: f32, y: f32) -> f32;

const HILLS: Scene = |x, y| 0.15 + 0.5 * y + 0.2 * (7.0 * x).sin().abs();
const STREET: Scene = |x, y| 0.8 - 0.6 * (x - 0.3).abs() - 0.1 * (9.0 * y).cos();
/// Resembles the hills, as two places of a video may do.
const DUNES: Scene = |x, y| HILLS(x, y) + 0.36 * (15.0 * x).sin() * (4.0 * y).cos();

const SIZE: [usize; 2] = [224, 168];

/// One frame: the scene at a size, seen with a gain, and a thing `right` pixels from the left.
fn picture(scene: Scene, [width, height]: [usize; 2], gain: f32, right: usize) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * width * height);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let left = right as f32 / SIZE[0] as f32;
            let thing = (left..left + 0.15).contains(&u) && (0.3..0.6).contains(&v);
            let luma = if thing { 0.95 } else { scene(u, v) };
            pixels.extend([(gain * luma * 255.0).clamp(0.0, 255.0) as u8; 3]);
        }
    }
    pixels
}

/// The gain that a model's depth has in frame `index`.
fn wander(index: usize) -> f32 {
    0.75 + 0.2 * (index as f32 * 1.9).sin()
}

fn harness(properties: &str) -> Harness {
    common::init();
    // depth of this model is 8 × luma, so that a video's brightness is the model's scale
    let mut harness = Harness::new_parse(&format!(
        "depthanything resolution=168 model-file={} {properties}",
        model("image-depth.onnx")
    ));
    harness.set_src_caps_str(&caps(SIZE, "framerate=25/1"));
    harness
}

fn caps([width, height]: [usize; 2], more: &str) -> String {
    format!("video/x-raw,format=RGB,width={width},height={height},{more}")
}

fn buffer(pixels: Vec<u8>, milliseconds: u64, discont: bool) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    let fresh = buffer.get_mut().expect("a buffer of one's own");
    fresh.set_pts(gst::ClockTime::from_mseconds(milliseconds));
    fresh.set_duration(gst::ClockTime::from_mseconds(40));
    if discont {
        fresh.set_flags(gst::BufferFlags::DISCONT);
    }
    buffer
}

/// Pushes a frame; its depth and meta.
fn push(harness: &mut Harness, buffer: gst::Buffer) -> (Vec<u16>, DepthMeta) {
    let depth = harness.push_and_pull(buffer).expect("a depth frame");
    let caps = harness
        .sinkpad()
        .and_then(|pad| gst::prelude::PadExt::current_caps(&pad))
        .expect("caps");
    let info = gst_video::VideoInfo::from_caps(&caps).expect("video caps");
    let meta = DepthMeta::read(&depth).expect("a meta");
    (depth_of(&depth, &info), meta)
}

/// Sample of a place where nothing ever moves, in shares of the range; the depth frame may be of any size.
fn still(samples: &[u16], [width, height]: [usize; 2]) -> f64 {
    f64::from(samples[(height * 7 / 8) * width + width / 8]) / 65535.0
}

/// A video of `frames` in which a thing walks by; every `lost`-th frame is missing, and what follows is marked.
fn walk(
    properties: &str,
    frames: usize,
    lost: usize,
    flag_all: bool,
) -> Vec<(Vec<u16>, DepthMeta)> {
    let mut harness = harness(properties);
    let mut discont = false;
    let mut shown = Vec::new();
    for index in 0..frames {
        if lost > 0 && index % lost == lost - 1 {
            discont = true;
            continue;
        }
        let pixels = picture(HILLS, SIZE, wander(index), index * 5);
        let flag = flag_all || std::mem::take(&mut discont);
        shown.push(push(&mut harness, buffer(pixels, 40 * index as u64, flag)));
    }
    shown
}

/// Mean change of the place that is still, from a frame to the next.
fn change(shown: &[(Vec<u16>, DepthMeta)]) -> f64 {
    let values: Vec<f64> = shown
        .iter()
        .map(|(samples, _)| still(samples, SIZE))
        .collect();
    let changes = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    changes.sum::<f64>() / (values.len() - 1) as f64
}

#[test]
fn the_flags_of_a_leaky_queue_change_nothing() {
    for properties in [
        "",
        "temporal-filter=0.05",
        "range=frame",
        "inference-interval=3",
        "in-flight=1 upsampling=guided",
    ] {
        let plain = walk(properties, 24, 0, false);
        let flagged = walk(properties, 24, 0, true);
        for (index, (plain, flagged)) in plain.iter().zip(&flagged).enumerate() {
            assert_eq!(flagged.1, plain.1, "{properties} {index}");
            assert!(flagged.0 == plain.0, "{properties} {index}: other samples");
        }
        assert!(flagged.iter().all(|(_, meta)| meta.scene == 0));
    }
}

#[test]
fn frames_that_are_lost_cost_no_steadiness() {
    let all = change(&walk("", 40, 0, false));
    let lossy = walk("", 40, 3, false);
    assert!(lossy.iter().all(|(_, meta)| meta.scene == 0));
    let unsteady = change(&walk("range=frame", 40, 0, false));
    assert!(
        all < unsteady / 3.0,
        "the test would not show it: {all} of {unsteady}"
    );
    assert!(
        change(&lossy) < 1.1 * all + 2e-4,
        "{} of {all}",
        change(&lossy)
    );
}

#[test]
fn a_cut_is_one_with_flags_and_without() {
    for properties in ["", "inference-interval=100"] {
        for (flag_all, flag_cut) in [(false, false), (false, true), (true, true)] {
            if !properties.is_empty() && !flag_cut {
                // nobody looks at a frame that is repeated unless there is a reason to
                continue;
            }
            let mut harness = harness(properties);
            for index in 0..12 {
                let (scene, gain) = if index < 6 {
                    (HILLS, 1.0)
                } else {
                    (STREET, 0.4)
                };
                let pixels = picture(scene, SIZE, gain, 5 * index);
                let flag = flag_all || (flag_cut && index == 6);
                let (samples, meta) = push(&mut harness, buffer(pixels, 40 * index as u64, flag));
                assert_eq!(
                    meta.scene,
                    u32::from(index >= 6),
                    "{properties} {flag_all} {flag_cut} {index}"
                );
                assert!(samples.iter().max() > Some(&63_500) && samples.iter().min() < Some(&2000));
                let repeated = !properties.is_empty() && index != 0 && index != 6;
                assert_eq!(meta.repeated, repeated, "{index}");
            }
        }
    }
}

#[test]
fn cuts_are_found_in_a_leaky_stream_of_ten_frames_a_second_that_pans() {
    let mut harness = harness("");
    let pan: [Scene; 2] = [HILLS, STREET];
    for index in 0..40_usize {
        let scene = pan[index / 20];
        // four of 25 are missing between two frames, in which the camera turns by 3 % of the picture
        let mut pixels = Vec::with_capacity(3 * SIZE[0] * SIZE[1]);
        for y in 0..SIZE[1] {
            for x in 0..SIZE[0] {
                let u = x as f32 / SIZE[0] as f32 + 0.03 * (index % 20) as f32;
                let luma = scene(u, y as f32 / SIZE[1] as f32);
                pixels.extend([(wander(index) * luma * 255.0).clamp(0.0, 255.0) as u8; 3]);
            }
        }
        let (_, meta) = push(&mut harness, buffer(pixels, 100 * index as u64, true));
        assert_eq!(meta.scene, u32::from(index >= 20), "{index}");
    }
}

#[test]
fn caps_that_go_on_are_no_scene() {
    for properties in ["", "inference-interval=100"] {
        let mut harness = harness(properties);
        let mut first = None;
        let changes = [
            (SIZE, "framerate=25/1"),
            (SIZE, "framerate=30/1"),
            (SIZE, "framerate=30/1,colorimetry=sRGB"),
            (SIZE, "framerate=0/1,colorimetry=sRGB"),
            (SIZE, "framerate=0/1,pixel-aspect-ratio=1/1"),
            // another rendition of the same video
            ([448, 336], "framerate=25/1"),
            (SIZE, "framerate=25/1"),
        ];
        for (index, (size, more)) in changes.into_iter().enumerate() {
            harness.set_src_caps_str(&caps(size, more));
            for frame in 0..2 {
                let index = 2 * index + frame;
                let pixels = picture(HILLS, size, wander(index), 40);
                let (samples, meta) = push(&mut harness, buffer(pixels, 40 * index as u64, false));
                assert_eq!(meta.scene, 0, "{more} {size:?}");
                let now = still(&samples, size);
                let off = (now - *first.get_or_insert(now)).abs();
                assert!(off < 0.03, "{off} at {more} {size:?}");
                let resized = frame == 0 && [10, 12].contains(&index);
                let repeated = !properties.is_empty() && index > 0 && !resized;
                assert_eq!(meta.repeated, repeated, "{more} {size:?}");
            }
        }
        // and another picture of another size is one
        harness.set_src_caps_str(&caps([336, 168], "framerate=25/1"));
        let pixels = picture(STREET, [336, 168], 0.5, 40);
        let (_, meta) = push(&mut harness, buffer(pixels, 1000, false));
        assert_eq!((meta.scene, meta.repeated), (1, false));
    }
}

#[test]
fn segments_that_go_on_are_no_scene_and_what_comes_from_elsewhere_has_to_show_it() {
    let mut harness = harness("");
    let segment = |from: u64| {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_mseconds(from));
        segment.set_time(gst::ClockTime::from_mseconds(from));
        gst::event::Segment::new(&segment)
    };
    let show = |harness: &mut Harness, scene: Scene, milliseconds: u64| {
        let pixels = picture(scene, SIZE, wander(milliseconds as usize), 40);
        push(harness, buffer(pixels, milliseconds, false)).1.scene
    };
    assert_eq!(show(&mut harness, HILLS, 0), 0);
    // where the last ended
    harness.push_event(segment(40));
    assert_eq!(show(&mut harness, HILLS, 40), 0);
    // the same one again
    harness.push_event(segment(40));
    assert_eq!(show(&mut harness, HILLS, 80), 0);
    // another place that shows the same
    harness.push_event(segment(60_000));
    assert_eq!(show(&mut harness, HILLS, 60_000), 0);
    // one that is much like it: within a shot it would be taken for motion
    assert_eq!(show(&mut harness, DUNES, 60_040), 0);
    harness.push_event(segment(90_000));
    assert_eq!(show(&mut harness, HILLS, 90_000), 1);
    // the next item of a playlist
    harness.push_event(gst::event::StreamStart::new("next"));
    harness.push_event(segment(0));
    assert_eq!(show(&mut harness, STREET, 0), 2);
    harness.push_event(gst::event::StreamStart::new("last"));
    harness.push_event(segment(0));
    assert_eq!(show(&mut harness, STREET, 0), 2, "a still picture goes on");
    // what is flushed is forgotten, whatever is seen then
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(segment(40));
    assert_eq!(show(&mut harness, STREET, 40), 3);
}

#[test]
fn frames_under_way_keep_their_flags_and_their_scenes() {
    for in_flight in [1, 3] {
        let mut harness = harness(&format!("in-flight={in_flight}"));
        for index in 0..12_usize {
            let scene = if index < 6 { HILLS } else { STREET };
            let pixels = picture(scene, SIZE, wander(index), 40);
            let flag = index % 3 == 0;
            harness
                .push(buffer(pixels, 40 * index as u64, flag))
                .expect("it goes on");
        }
        harness.push_event(gst::event::Eos::new());
        for index in 0..12_usize {
            let depth = harness.pull().expect("a depth frame");
            let meta = DepthMeta::read(&depth).expect("a meta");
            assert_eq!(
                depth.pts(),
                Some(gst::ClockTime::from_mseconds(40 * index as u64))
            );
            assert_eq!(meta.scene, u32::from(index >= 6), "{index}");
            let flagged = depth.flags().contains(gst::BufferFlags::DISCONT);
            assert_eq!(flagged, index % 3 == 0, "{in_flight} {index}");
        }
    }
}
