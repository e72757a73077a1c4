//! Several frames under way: nothing is lost, nothing changes places.

mod common;

use common::{Pipeline, depth, harness, meta, samples};
use gst::prelude::*;
use gst_check::Harness;
use gstdepthanything::depth_meta::DepthMeta;

fn frame(seed: u8, index: u64) -> gst::Buffer {
    let mut buffer = common::frame(seed, index);
    buffer.get_mut().expect("a new buffer").set_offset(index);
    buffer
}

fn arrived(harness: &mut Harness) -> Vec<u64> {
    std::iter::from_fn(|| harness.try_pull())
        .map(|depth| depth.pts().unwrap().mseconds() / 100)
        .collect()
}

#[test]
fn every_frame_comes_out_in_order_and_with_the_same_depth() {
    let run = |in_flight| {
        let frames = samples(&format!(
            "videotestsrc num-buffers=25 pattern=ball ! video/x-raw,width=96,height=64,framerate=25/1 \
             ! depthanything resolution=126 inference-interval=2 in-flight={in_flight} \
             ! appsink name=out sync=false"
        ));
        frames
            .iter()
            .map(|sample| {
                let buffer = sample.buffer().unwrap();
                let meta = meta(sample);
                (
                    buffer.pts(),
                    buffer.offset(),
                    meta.repeated,
                    meta.scene,
                    depth(sample),
                )
            })
            .collect::<Vec<_>>()
    };
    let one = run(1);
    assert_eq!(one.len(), 25);
    for in_flight in [2, 3, 8] {
        assert!(run(in_flight) == one, "{in_flight} frames in flight");
    }
}

#[test]
fn so_many_are_kept_and_eos_brings_them() {
    common::init();
    let mut harness = Harness::new_parse("depthanything resolution=126 in-flight=4");
    // a source that waits
    harness.set_live(false);
    harness.set_src_caps_str(common::FRAME);
    for index in 0..10 {
        harness.push(frame(index as u8, index)).unwrap();
    }
    let before = arrived(&mut harness);
    assert!((7..=10).contains(&before.len()), "{before:?}");
    assert!(harness.push_event(gst::event::Eos::new()));
    let all = [before, arrived(&mut harness)].concat();
    assert_eq!(all, (0..10).collect::<Vec<_>>());
}

#[test]
fn what_comes_between_frames_stays_between_them() {
    let mut harness = harness("in-flight=4");
    harness.push(frame(0, 0)).unwrap();
    harness.push(frame(0, 1)).unwrap();
    let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(200)).build();
    harness.push_event(gap);
    assert_eq!(arrived(&mut harness), [0, 1]);
    // other caps: those before them come in the old ones
    harness.push(frame(0, 3)).unwrap();
    harness.set_src_caps_str("video/x-raw,format=GRAY8,width=32,height=32,framerate=10/1");
    let depth = harness.try_pull().expect("of the old caps");
    assert_eq!(depth.size(), 64 * 48 * 2);
    let mut small = gst::Buffer::from_slice(vec![9u8; 32 * 32]);
    small
        .get_mut()
        .unwrap()
        .set_pts(gst::ClockTime::from_mseconds(400));
    harness.push(small).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert_eq!(
        harness.try_pull().expect("of the new caps").size(),
        32 * 32 * 2
    );
}

#[test]
fn downstream_may_change_its_mind() {
    let mut harness = harness("in-flight=3");
    for index in 0..4 {
        harness.push(frame(0, index)).unwrap();
    }
    harness.set_sink_caps_str("video/x-raw,format=GRAY16_BE,width=32,height=24,framerate=10/1");
    harness.push_upstream_event(gst::event::Reconfigure::new());
    for index in 4..8 {
        harness.push(frame(0, index)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let sizes: Vec<usize> = std::iter::from_fn(|| harness.try_pull())
        .map(|depth| depth.size())
        .collect();
    assert_eq!(sizes, [[6144; 4], [1536; 4]].concat());
}

#[test]
fn a_flush_throws_away_what_is_under_way() {
    let mut harness = harness("in-flight=4 inference-interval=100");
    for index in 0..3 {
        harness.push(frame(0, index)).unwrap();
    }
    arrived(&mut harness);
    harness.push_event(gst::event::FlushStart::new());
    harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    harness.push_event(gst::event::Segment::new(&segment));
    harness.push(frame(0, 50)).unwrap();
    harness.push_event(gst::event::Eos::new());
    let depth = harness.try_pull().expect("the frame after the flush");
    assert_eq!(depth.pts(), Some(gst::ClockTime::from_mseconds(5000)));
    assert!(!DepthMeta::read(&depth).unwrap().repeated);
    assert!(harness.try_pull().is_none());
}

#[test]
fn an_error_ends_the_stream_and_the_next_start_works() {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc ! video/x-raw,width=64,height=48 \
         ! depthanything name=depth resolution=126 in-flight=3 model-file={} ! fakesink",
        common::model("limited.onnx")
    ));
    // a resolution that this model fails at
    let element = pipeline.element("depth");
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    element.set_property("resolution", 2002u32);
    let messages = pipeline.messages_until(|message| {
        matches!(
            message.view(),
            gst::MessageView::Error(_) | gst::MessageView::Warning(_)
        )
    });
    assert!(!messages.is_empty());
    pipeline.0.set_state(gst::State::Null).unwrap();
    element.set_property("resolution", 126u32);
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
}

#[test]
fn stopping_in_mid_flight() {
    for _ in 0..10 {
        let pipeline = Pipeline::new(
            "videotestsrc ! video/x-raw,width=64,height=48 \
             ! depthanything resolution=252 in-flight=8 ! fakesink",
        );
        pipeline.play();
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    }
}

/// Frames that come one by one: whatever may be under way at once, what is told covers what most of them take.
#[test]
fn latency_covers_what_frames_take() {
    for in_flight in [1, 3] {
        let mut harness = harness(&format!("in-flight={in_flight}"));
        harness.set_live(true);
        let mut times: Vec<_> = (0..12)
            .map(|index| {
                let start = std::time::Instant::now();
                harness.push(frame(0, index)).unwrap();
                harness.pull().unwrap();
                start.elapsed()
            })
            .collect();
        assert!(harness.push_event(gst::event::Eos::new()));
        times.sort_unstable();
        let told = std::time::Duration::from(harness.query_latency().unwrap());
        assert!(
            told >= times[3],
            "in-flight={in_flight}: {told:?}, {times:?}"
        );
        assert!(
            told <= 20 * times[11],
            "in-flight={in_flight}: {told:?}, {times:?}"
        );
    }
}
