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

/// The scene with noise of `deviation`, of 1, that is another in each frame.
fn noisy(index: usize, deviation: f32, thing: Option<f32>) -> Vec<u8> {
    let mut pixels = frame(HILLS, 0.9, thing);
    let mut state = 0x9e37_79b9_u32.wrapping_mul(index as u32 + 1);
    for pixel in pixels.chunks_exact_mut(3) {
        let mut sum = 0.0;
        for _ in 0..4 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
        }
        let value = f32::from(pixel[0]) + 255.0 * deviation * sum * 1.73;
        pixel.fill(value.clamp(0.0, 255.0) as u8);
    }
    pixels
}

/// Depth of a film whose picture, and so the depth of this model, has noise; a thing comes with frame 12.
fn noisy_film(properties: &str) -> Vec<Vec<u16>> {
    let mut harness = harness(properties);
    let frames = (0..20).map(|index| {
        let pixels = noisy(index, 0.01, (index >= 12).then_some(1.0));
        depth(&mut harness, pixels, index).0
    });
    frames.collect()
}

#[test]
fn the_temporal_filter_takes_noise_from_what_is_still_and_goes_no_farther_than_it_may() {
    let share = |samples: f64| samples / 65535.0;
    // the lowest quarter, where nothing moves
    let still = WIDTH * HEIGHT * 3 / 4..WIDTH * HEIGHT;
    let flicker = |film: &[Vec<u16>]| {
        let pairs = film[4..12].windows(2);
        let changes =
            pairs.map(|pair| common::difference(&pair[0][still.clone()], &pair[1][still.clone()]));
        changes.sum::<f64>() / 7.0
    };
    let own = noisy_film("");
    let filtered = noisy_film("temporal-filter=0.05");
    assert!(flicker(&own) > 0.001, "there is noise: {}", flicker(&own));
    assert!(
        flicker(&filtered) < flicker(&own) / 2.0,
        "{} of {}",
        flicker(&filtered),
        flicker(&own)
    );
    let mut farthest = 0;
    for (own, filtered) in own.iter().zip(&filtered) {
        for (own, filtered) in own.iter().zip(filtered) {
            farthest = farthest.max(own.abs_diff(*filtered));
        }
    }
    assert!(
        share(farthest.into()) < 0.0502,
        "{}",
        share(farthest.into())
    );
    // what comes into the picture is there at once, as it is without the filter
    let thing = 60 * WIDTH + 105;
    assert!(own[12][thing].abs_diff(own[11][thing]) > 5000);
    assert_eq!(filtered[12][thing], own[12][thing]);
    assert_eq!(filtered[0], own[0], "the first frame has no past");
    // a little is less
    let little = noisy_film("temporal-filter=0.002");
    assert!(flicker(&little) > flicker(&filtered) && flicker(&little) < flicker(&own));
    // and it belongs to the smooth range
    for range in ["range=frame", "range=fixed range-max=8", "smoothing=0"] {
        let with = noisy_film(&format!("{range} temporal-filter=0.05"));
        assert!(with == noisy_film(range), "{range}");
    }
    assert!(
        noisy_film("temporal-filter=0") == own,
        "it is off by default"
    );
}

#[test]
fn the_temporal_filter_may_be_switched_while_playing_and_forgets_at_a_flush() {
    use gst::prelude::*;
    let mut filtering = harness("name=depth temporal-filter=0.05");
    let mut plain = harness("");
    let element = filtering
        .element()
        .and_downcast::<gst::Bin>()
        .and_then(|bin| bin.by_name("depth"))
        .or_else(|| filtering.element())
        .expect("the element");
    let flush = |harness: &mut Harness| {
        harness.push_event(gst::event::FlushStart::new());
        harness.push_event(gst::event::FlushStop::new(true));
        harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()));
    };
    let mut same = |index: usize| {
        if index == 9 {
            flush(&mut filtering);
            flush(&mut plain);
        }
        let pixels = || noisy(index, 0.01, None);
        let filtered = depth(&mut filtering, pixels(), index).0;
        filtered == depth(&mut plain, pixels(), index).0
    };
    let mut states = Vec::new();
    for (first, departure) in [(0, 0.05), (3, 0.0), (6, 0.05), (9, 0.05)] {
        element.set_property("temporal-filter", departure);
        states.push((first..first + 3).map(&mut same).collect::<Vec<_>>());
    }
    assert_eq!(
        states,
        [
            [true, false, false],
            [true, true, true],
            [true, false, false],
            [true, false, false]
        ]
    );
}
