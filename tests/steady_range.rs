//! `range=smooth`: what is still keeps its value, whatever scale and shift the model gives a frame.

mod common;

use common::{depth_of, model};
use gst_check::Harness;
use gstdepthanything::depth_meta::DepthMeta;

const WIDTH: usize = 224;
const HEIGHT: usize = 168;

/// What is in front of the camera: luma, 0…1, of each pixel.
type Scene = fn(x: f32, y: f32) -> f32;

const HILLS: Scene = |x, y| 0.15 + 0.5 * y + 0.2 * (7.0 * x).sin().abs();
const STREET: Scene = |x, y| 0.8 - 0.6 * (x - 0.3).abs() - 0.1 * (9.0 * y).cos();

/// One frame: the scene, seen with a gain, and a thing that has come into it.
fn frame(scene: Scene, gain: f32, thing: Option<f32>) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(3 * WIDTH * HEIGHT);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let mut luma = scene(x as f32 / WIDTH as f32, y as f32 / HEIGHT as f32);
            if let Some(thing) = thing
                && (84..126).contains(&x)
                && (42..98).contains(&y)
            {
                luma = thing;
            }
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
    // depth of this model is 8 × luma, so that a film's brightness is the model's scale
    let mut harness = Harness::new_parse(&format!(
        "depthanything resolution=168 model-file={} {properties}",
        model("image-depth.onnx")
    ));
    harness.set_src_caps_str(&format!(
        "video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=25/1"
    ));
    harness
}

/// Depth of a frame, and its meta.
fn depth(harness: &mut Harness, pixels: Vec<u8>, index: usize) -> (Vec<u16>, DepthMeta) {
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    let fresh = buffer.get_mut().expect("a buffer of one's own");
    fresh.set_pts(gst::ClockTime::from_mseconds(40 * index as u64));
    fresh.set_duration(gst::ClockTime::from_mseconds(40));
    let depth = harness.push_and_pull(buffer).expect("a depth frame");
    let caps = harness
        .sinkpad()
        .and_then(|pad| gst::prelude::PadExt::current_caps(&pad))
        .expect("caps");
    let info = gst_video::VideoInfo::from_caps(&caps).expect("video caps");
    (
        depth_of(&depth, &info),
        DepthMeta::read(&depth).expect("a meta"),
    )
}

/// Sample of a place where nothing ever moves.
fn still(samples: &[u16]) -> f64 {
    f64::from(samples[(HEIGHT - 20) * WIDTH + 30])
}

/// How far the still place gets from its first value, in shares of the range, over a film in which the nearest thing
/// goes and comes again.
fn unrest(properties: &str) -> f64 {
    let mut harness = harness(properties);
    let mut first = None;
    let mut most = 0.0_f64;
    for index in 0..30 {
        let thing = (!(8..20).contains(&index)).then_some(1.0);
        let (samples, meta) = depth(&mut harness, frame(HILLS, wander(index), thing), index);
        assert_eq!(meta.scene, 0);
        let now = still(&samples);
        most = most.max((now - *first.get_or_insert(now)).abs() / 65535.0);
        // and the model's own number comes back from every sample
        let luma = HILLS(30.0 / WIDTH as f32, (HEIGHT - 20) as f32 / HEIGHT as f32);
        let own = 8.0 * f64::from(wander(index) * luma);
        let back = meta.value(now as u16);
        assert!(
            (back - own).abs() < 0.15,
            "{properties} {index}: {back} for {own}"
        );
    }
    most
}

#[test]
fn what_is_still_keeps_its_value() {
    let (frame, smooth) = (unrest("range=frame"), unrest("range=smooth"));
    assert!(frame > 0.1, "the test would not show it: {frame}");
    assert!(smooth < frame / 3.0, "{smooth} against {frame}");
    assert_eq!(unrest(""), smooth, "smooth is the default");
    assert_eq!(unrest("smoothing=0"), frame);
    assert!(unrest("smoothing=1") < 0.02);
}

#[test]
fn a_cut_is_followed_at_once() {
    let mut harness = harness("");
    for index in 0..12 {
        let scene = if index < 6 { HILLS } else { STREET };
        let gain = if index < 6 { 1.0 } else { 0.4 };
        let (samples, meta) = depth(&mut harness, frame(scene, gain, None), index);
        assert_eq!(meta.scene, u32::from(index >= 6));
        let (low, high) = (samples.iter().min(), samples.iter().max());
        assert!(
            low < Some(&2000) && high > Some(&63_500),
            "{index}: {low:?} {high:?}"
        );
    }
}

#[test]
fn a_flush_starts_afresh_and_another_resolution_does_not() {
    use gst::prelude::*;
    let mut harness = harness("");
    let element = harness
        .element()
        .and_downcast::<gst::Bin>()
        .and_then(|bin| bin.iterate_elements().into_iter().flatten().next())
        .or_else(|| harness.element())
        .expect("the element");
    let (samples, _) = depth(&mut harness, frame(HILLS, 1.0, None), 0);
    let before = still(&samples);
    for (index, resolution) in [(1, 252_u32), (2, 336), (3, 168)] {
        element.set_property("resolution", resolution);
        // dimmer, as if the network's scale had changed with its size
        let (samples, meta) = depth(&mut harness, frame(HILLS, wander(index), None), index);
        assert_eq!((meta.scene, meta.network.height), (0, resolution));
        let off = (still(&samples) - before).abs() / 65535.0;
        assert!(off < 0.03, "{off} at {resolution}");
    }
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
        gst::ClockTime,
    >::new()));
    let (samples, meta) = depth(&mut harness, frame(HILLS, 0.4, None), 4);
    assert_eq!(meta.scene, 1);
    assert!(samples.iter().max() > Some(&63_500));
}

#[test]
fn a_cut_at_every_frame() {
    let mut harness = harness("");
    let scenes: [Scene; 4] = [
        HILLS,
        STREET,
        |x, y| 0.5 + 0.4 * (12.0 * x).sin() * (5.0 * y).cos(),
        |x, y| 0.9 - 0.8 * (x * x + y * y).sqrt().min(1.0),
    ];
    for index in 0..16 {
        let picture = frame(scenes[index % 4], 1.0, None);
        let (samples, meta) = depth(&mut harness, picture, index);
        assert_eq!(meta.scene as usize, index);
        assert!(samples.iter().max() > Some(&60_000), "{index}");
    }
}

#[test]
fn black_films_and_films_of_one_frame() {
    for properties in ["", "range=frame"] {
        let mut harness = harness(properties);
        for index in 0..4 {
            let (samples, meta) = depth(&mut harness, vec![0; 3 * WIDTH * HEIGHT], index);
            assert!(
                samples.iter().all(|sample| *sample == 0),
                "black is flat, and far"
            );
            assert!(meta.value(0).abs() < 1e-3);
        }
        // light goes on
        let (samples, _) = depth(&mut harness, frame(HILLS, 1.0, None), 4);
        assert!(samples.iter().max() > Some(&60_000));
    }
    let mut harness = harness("");
    let (samples, meta) = depth(&mut harness, frame(HILLS, 1.0, None), 0);
    assert_eq!(meta.scene, 0);
    assert!(samples.iter().max() > Some(&63_500));
}
