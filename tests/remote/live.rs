//! Live streams go on without servers.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::common::{Pipeline, meta};
use crate::{red, remote};

fn camera(element: &str) -> String {
    format!(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=64,height=48,framerate=20/1 \
         ! depthanything name=depth resolution=126 {element} ! appsink name=out sync=false wait-on-eos=false"
    )
}

/// Plays a camera whose server goes for so long. Gives how many frames came meanwhile, how many of them were repeated, and
/// after how long depth was back.
fn outage(properties: &str, away: Duration) -> (usize, usize, Duration, Pipeline) {
    let mut server = red();
    let pipeline = Pipeline::new(&camera(&format!(
        "{} {properties}",
        remote(&server.address())
    )));
    let sink = pipeline.appsink("out");
    pipeline.play();
    for _ in 0..10 {
        sink.pull_sample().unwrap();
    }
    server.kill();
    let begun = Instant::now();
    let (mut frames, mut repeated) = (0, 0);
    while begun.elapsed() < away {
        if let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(50)) {
            frames += 1;
            repeated += usize::from(meta(&sample).repeated);
        }
    }
    let stats: gst::Structure = pipeline.element("depth").property("stats");
    let asked = server.state.asked.load(Ordering::SeqCst);
    server.start();
    let begun = Instant::now();
    while server.state.asked.load(Ordering::SeqCst) < asked + 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{stats:?}");
        let _ = sink.try_pull_sample(gst::ClockTime::from_mseconds(20));
    }
    (frames, repeated, begun.elapsed(), pipeline)
}

#[test]
fn a_live_stream_drops_frames_until_a_server_is_back() {
    for properties in ["", "in-flight=3"] {
        let (frames, _, back, pipeline) = outage(properties, Duration::from_secs(4));
        assert!(frames < 10, "{frames}");
        assert!(back < Duration::from_secs(2), "{back:?}");
        let stats: gst::Structure = pipeline.element("depth").property("stats");
        let dropped: u64 = stats.get("dropped").unwrap();
        assert!(dropped > 40, "{stats:?}");
    }
}

#[test]
fn or_repeats_depth_where_that_is_asked_for() {
    for properties in ["inference-interval=2", "inference-interval=2 in-flight=3"] {
        let (frames, repeated, back, _pipeline) = outage(properties, Duration::from_secs(3));
        assert!(frames > 30 && repeated + 4 > frames, "{frames} {repeated}");
        assert!(back < Duration::from_secs(2), "{back:?}");
    }
}

#[test]
fn patience_ends_for_a_live_stream_too() {
    let mut server = red();
    let element = format!("{} server-patience=1000000000", remote(&server.address()));
    let pipeline = Pipeline::new(&camera(&element));
    let sink = pipeline.appsink("out");
    pipeline.play();
    for _ in 0..3 {
        sink.pull_sample().unwrap();
    }
    server.kill();
    let begun = Instant::now();
    pipeline.messages_until(|message| message.type_() == gst::MessageType::Error);
    let took = begun.elapsed().as_secs_f64();
    assert!((0.9..6.0).contains(&took), "{took} s");
}
