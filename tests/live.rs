//! Streams that do not wait: lateness, latency, the resolution that fits the time and the memory there are.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::{Pipeline, samples};
use gst::prelude::*;
use gst_check::Harness;
use gstdepthanything::depth_meta::DepthMeta;
use gstdepthanything::error::Error;
use gstdepthanything::inference::backend::{DepthMaps, Description, Images, Network};
use gstdepthanything::inference::{Config, shared};
use gstdepthanything::model::ModelSource;

/// A frame that has arrived.
#[derive(Debug, Clone)]
struct Arrival {
    pts: gst::ClockTime,
    /// The pipeline's running time, less that of the frame.
    age: Duration,
    meta: DepthMeta,
}

/// One at a time: this is about time.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a live source of `rate` frames a second for `seconds` through depthanything, to a sink that sends no QoS.
fn play(rate: u32, seconds: u64, properties: &str) -> (Vec<Arrival>, gst::Structure, Vec<String>) {
    let pipeline = Pipeline::new(&format!(
        "videotestsrc is-live=true pattern=ball \
         ! video/x-raw,format=I420,width=320,height=180,framerate={rate}/1 \
         ! depthanything name=depth {properties} ! fakesink name=sink sync=false qos=false"
    ));
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let pad = pipeline.element("sink").static_pad("sink").unwrap();
    let (list, element) = (Arc::clone(&arrivals), pipeline.element("depth"));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().unwrap();
        let now = element.current_running_time().unwrap();
        let pts = buffer.pts().unwrap();
        list.lock().unwrap().push(Arrival {
            pts,
            age: now.saturating_sub(pts).into(),
            meta: DepthMeta::read(buffer).unwrap(),
        });
        gst::PadProbeReturn::Ok
    });
    let _turn = turn();
    pipeline.play();
    let mut messages =
        pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    let end = Instant::now() + common::TIMEOUT;
    while arrivals.lock().unwrap().is_empty() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(seconds));
    let stats = pipeline.element("depth").property("stats");
    let bus = pipeline.0.bus().unwrap();
    messages.extend(std::iter::from_fn(|| bus.pop()));
    let reasons = messages
        .iter()
        .filter_map(|message| {
            let structure = message.structure()?;
            (structure.name() == "depthanything-resolution")
                .then(|| structure.get::<String>("reason").ok())
                .flatten()
        })
        .collect();
    drop(pipeline);
    let arrivals = arrivals.lock().unwrap().clone();
    (arrivals, stats, reasons)
}

#[test]
fn a_live_stream_that_is_too_fast_is_shown_at_the_present() {
    let (arrivals, stats, _) = play(30, 6, "resolution=518 num-threads=1");
    let inference = stats.get::<u64>("inference-time-p99").unwrap();
    assert!(
        inference > 60_000_000,
        "the network is too quick for this test"
    );
    assert!(stats.get::<u64>("dropped").unwrap() > 10, "{stats}");
    // one frame's work, and the time between two
    let bound = Duration::from_nanos(3 * inference) + Duration::from_millis(100);
    let oldest = arrivals
        .iter()
        .skip(2)
        .map(|frame| frame.age)
        .max()
        .unwrap();
    assert!(oldest < bound, "{oldest:?} where {bound:?} would do");
    assert!(arrivals.windows(2).all(|pair| pair[0].pts < pair[1].pts));
}

#[test]
fn late_frames_repeat_the_last_depth_where_that_is_allowed() {
    let (arrivals, stats, _) = play(30, 6, "resolution=518 num-threads=1 inference-interval=2");
    let repeated = arrivals.iter().filter(|frame| frame.meta.repeated).count();
    assert!(
        repeated > arrivals.len() / 2,
        "{repeated} of {}",
        arrivals.len()
    );
    if stats.get::<u64>("inference-time-p99").unwrap() > 600_000_000 {
        // this machine is so busy that frames are too late even for that
        return;
    }
    assert!(stats.get::<u64>("dropped").unwrap() < 20, "{stats}");
    let step = gst::ClockTime::from_nseconds(33_400_000);
    let after_start = &arrivals[arrivals.len() / 3..];
    assert!(
        after_start
            .windows(2)
            .all(|pair| pair[1].pts - pair[0].pts <= step),
        "no frame is missing"
    );
}

#[test]
fn the_resolution_follows_the_time_there_is() {
    let properties = "resolution=1400 min-resolution=56 num-threads=1";
    let (arrivals, stats, reasons) = play(10, 8, properties);
    let settled: Vec<_> = arrivals
        .iter()
        .filter(|frame| frame.pts > gst::ClockTime::from_seconds(4))
        .collect();
    assert!(settled.len() >= 30, "{} of 40, {stats}", settled.len());
    let heights: Vec<u32> = settled
        .iter()
        .map(|frame| frame.meta.network.height)
        .collect();
    assert!(
        heights.iter().all(|height| (56..1400).contains(height)),
        "{heights:?}"
    );
    assert_eq!(reasons[0], "start");
    assert!(
        reasons[1..].iter().all(|reason| reason == "load"),
        "{reasons:?}"
    );
}

#[test]
fn a_stream_that_nobody_waits_for_keeps_its_resolution() {
    let frames = samples(
        "videotestsrc num-buffers=8 ! video/x-raw,width=320,height=180,framerate=100/1 \
         ! depthanything resolution=518 min-resolution=56 ! appsink name=out",
    );
    assert_eq!(frames.len(), 8);
    assert!(
        frames
            .iter()
            .all(|frame| common::meta(frame).network.height == 518)
    );
}

#[test]
fn a_least_resolution_above_the_resolution_is_pointed_out() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 \
         ! depthanything resolution=126 min-resolution=252 ! fakesink",
    );
    let messages = pipeline.run().unwrap();
    let warned = messages.iter().any(|message| match message.view() {
        gst::MessageView::Warning(warning) => {
            warning.error().to_string().contains("min-resolution")
        }
        _ => false,
    });
    assert!(warned);
}

#[test]
fn so_is_one_that_is_set_while_playing() {
    let mut harness = harness("video/x-raw,format=RGB,width=64,height=48,framerate=10/1");
    let bus = gst::Bus::new();
    let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
    bin.set_bus(Some(&bus));
    let element = bin
        .children()
        .into_iter()
        .find(|child| child.has_property("min-resolution"));
    let element = element.unwrap();
    let warnings = || {
        let warnings = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]));
        warnings.count()
    };
    harness
        .push_and_pull(frame(Some(gst::ClockTime::ZERO)))
        .unwrap();
    assert_eq!(warnings(), 0);
    element.set_property("min-resolution", 252_u32);
    for millis in [100, 200] {
        let at = gst::ClockTime::from_mseconds(millis);
        harness.push_and_pull(frame(Some(at))).unwrap();
    }
    assert_eq!(warnings(), 1, "once");
}

fn harness(caps: &str) -> Harness {
    common::init();
    let mut harness = Harness::new_parse("depthanything resolution=126 min-resolution=70");
    harness.set_live(true);
    harness.set_src_caps_str(caps);
    harness
}

fn frame(pts: Option<gst::ClockTime>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(vec![99u8; 64 * 48 * 3]);
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

#[test]
fn odd_timestamps_lose_nothing_that_is_not_late() {
    let hour = gst::ClockTime::from_seconds(3600);
    let at = |millis| gst::ClockTime::from_mseconds(millis);
    let odd = [
        Some(at(0)),
        None,
        Some(at(100)),
        // back, the same again, hours ahead, and back again
        Some(at(50)),
        Some(at(50)),
        Some(5 * hour),
        Some(5 * hour + at(100)),
        Some(at(200)),
        None,
        Some(at(300)),
    ];
    for rate in ["0/1", "10/1", "120/1"] {
        let caps = format!("video/x-raw,format=RGB,width=64,height=48,framerate={rate}");
        let mut harness = harness(&caps);
        for pts in odd {
            harness.push(frame(pts)).unwrap();
            assert_eq!(harness.pull().unwrap().pts(), pts, "{rate}");
        }
    }
}

#[test]
fn a_stream_of_unknown_rate_is_kept_up_with() {
    let _turn = turn();
    let pipeline = Pipeline::new(
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=20/1 \
         ! capssetter caps=video/x-raw,framerate=0/1 \
         ! depthanything name=depth resolution=1400 min-resolution=56 num-threads=1 \
         ! fakesink name=sink sync=false qos=false",
    );
    let heights = Arc::new(Mutex::new(Vec::new()));
    let pad = pipeline.element("sink").static_pad("sink").unwrap();
    let list = Arc::clone(&heights);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let meta = DepthMeta::read(info.buffer().unwrap()).unwrap();
        list.lock().unwrap().push(meta.network.height);
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    // nothing is known of its pace before its second frame; from there on it is
    let end = Instant::now() + common::TIMEOUT;
    let settled = |heights: &[u32]| {
        heights.len() > 30
            && heights[heights.len() - 20..]
                .iter()
                .all(|height| *height < 700)
    };
    while !settled(&heights.lock().unwrap()) {
        assert!(Instant::now() < end, "{:?}", heights.lock().unwrap());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(heights.lock().unwrap()[0], 1400);
}

/// Frames of a camera that has stopped for a minute, by a clock that does what it is told.
fn after_a_minute(time_stops_too: bool) {
    let mut harness = harness("video/x-raw,format=RGB,width=64,height=48,framerate=10/1");
    harness.use_testclock();
    let at = gst::ClockTime::from_mseconds;
    for index in 0..60 {
        let pause = if index < 30 { 0 } else { 60_000 };
        harness.set_time(at(100 * index + pause)).unwrap();
        let pts = at(100 * index + if time_stops_too { 0 } else { pause });
        let depth = harness.push_and_pull(frame(Some(pts)));
        let depth = depth.unwrap_or_else(|_| panic!("no depth for frame {index}"));
        assert_eq!(depth.pts(), Some(pts));
    }
}

#[test]
fn a_camera_that_stops_for_a_minute_goes_on() {
    after_a_minute(false);
}

#[test]
fn a_camera_whose_timestamps_stop_with_it_goes_on() {
    after_a_minute(true);
}

#[test]
fn sixty_four_streams_on_two_cores() {
    let branches: String = (0..64)
        .map(|index| {
            format!(
                "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=10/1 \
                 ! depthanything name=d{index} resolution=126 max-batch=8 ! fakesink sync=false qos=false "
            )
        })
        .collect();
    let _turn = turn();
    let pipeline = Pipeline::new(&branches);
    let came: Vec<Arc<AtomicU64>> = (0..64)
        .map(|index| {
            let count = Arc::<AtomicU64>::default();
            let pad = pipeline.element(&format!("d{index}")).static_pad("sink");
            let counted = Arc::clone(&count);
            pad.unwrap()
                .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    gst::PadProbeReturn::Ok
                });
            count
        })
        .collect();
    pipeline.play();
    pipeline.messages_until(|message| matches!(message.view(), gst::MessageView::AsyncDone(_)));
    std::thread::sleep(Duration::from_secs(8));
    // frames that came, were shown, were dropped
    let counts: Vec<(u64, u64, u64)> = (0..64)
        .map(|index| {
            let depth = pipeline.element(&format!("d{index}"));
            let came = came[index].load(Ordering::Relaxed);
            let stats = depth.property::<gst::Structure>("stats");
            let count = |name| stats.get::<u64>(name).unwrap();
            (came, count("frames"), count("dropped"))
        })
        .collect();
    let frames = || counts.iter().map(|count| count.1);
    let (least, most) = (frames().min().unwrap(), frames().max().unwrap());
    assert!(least > 0, "{counts:?}");
    assert!(most <= 2 * least + 4, "none starves: {counts:?}");
    for (came, frames, dropped) in &counts {
        // one is under way, and one may have come since
        let accounted = frames + dropped;
        assert!(
            (came.saturating_sub(2)..=came + 2).contains(&accounted),
            "a drop is a drop that is told: {counts:?}"
        );
    }
    let stats = pipeline.element("d0").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u32>("shared-by"), Ok(64));
}

/// A network whose time the test sets.
struct Timed(Description, Arc<AtomicU64>);

impl Network for Timed {
    fn description(&self) -> &Description {
        &self.0
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        std::thread::sleep(Duration::from_millis(self.1.load(Ordering::SeqCst)));
        depth.size = images.size;
        depth.batch = images.batch;
        depth.values = (0..images.batch * images.size.area())
            .map(|at| at as f32)
            .collect();
        Ok(())
    }
}

/// Offers a network that takes so many milliseconds to who loads the built-in one with so many threads.
fn offer_timed(threads: usize, time: &Arc<AtomicU64>) -> shared::Shared {
    common::init();
    let description = Description {
        provider: "CPUExecutionProvider".into(),
        ..Description::of_any_size("timed")
    };
    let config = Config {
        threads,
        ..Config::new(ModelSource::Builtin)
    };
    let network = Box::new(Timed(description, Arc::clone(time)));
    shared::offer(&config, network).unwrap()
}

/// A pipeline to a sink that keeps to the clock, with somebody who sets its latency anew when the element asks for it. The
/// network takes 5 ms, then 300 for four seconds, then 5 again. Gives when frames were shown, in seconds, and how old they
/// were; what was told of latency; the statistics at the end.
fn busy_for_a_while(
    threads: usize,
    properties: &str,
    sink: &str,
) -> (Vec<(f64, Duration)>, Vec<Duration>, gst::Structure) {
    let time = Arc::new(AtomicU64::new(5));
    let _offered = offer_timed(threads, &time);
    let pipeline = Pipeline::new(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 \
         ! depthanything name=depth resolution=56 num-threads={threads} {properties} \
         ! fakesink name=sink signal-handoffs=true {sink}"
    ));
    let shown = Arc::new(Mutex::new(Vec::new()));
    let (list, element) = (Arc::clone(&shown), pipeline.element("depth"));
    pipeline
        .element("sink")
        .connect("handoff", false, move |values| {
            let now = element.current_running_time().unwrap();
            let pts = values[1].get::<gst::Buffer>().unwrap().pts().unwrap();
            let age = Duration::from(now.saturating_sub(pts));
            list.lock().unwrap().push((now.seconds_f64(), age));
            None
        });
    let _turn = turn();
    pipeline.play();
    let bus = pipeline.0.bus().unwrap();
    let mut latencies = Vec::new();
    let mut until = |seconds: f64| {
        while pipeline
            .0
            .current_running_time()
            .is_none_or(|now| now.seconds_f64() < seconds)
        {
            let message = bus.timed_pop(gst::ClockTime::from_mseconds(20));
            if let Some(gst::MessageView::Latency(_)) =
                message.as_ref().map(|message| message.view())
            {
                pipeline.0.recalculate_latency().unwrap();
                let mut query = gst::query::Latency::new();
                assert!(pipeline.element("depth").query(&mut query));
                latencies.push(query.result().1.into());
            }
        }
    };
    until(4.0);
    time.store(300, Ordering::SeqCst);
    until(8.0);
    time.store(5, Ordering::SeqCst);
    until(15.0);
    let stats = pipeline.element("depth").property("stats");
    drop(pipeline);
    let shown = shown.lock().unwrap().clone();
    (shown, latencies, stats)
}

#[test]
fn a_stream_is_back_at_the_present_soon_after_a_busy_time() {
    let setups = [
        (21, "", "sync=true qos=false"),
        (22, "", "sync=true qos=true"),
        (23, "inference-interval=3", "sync=true qos=false"),
        (24, "in-flight=3", "sync=true qos=false"),
        (25, "", "sync=false qos=false"),
    ];
    for (threads, properties, sink) in setups {
        let (shown, latencies, stats) = busy_for_a_while(threads, properties, sink);
        let oldest = |from: f64, to: f64| {
            let ages = shown
                .iter()
                .filter(|(at, _)| (from..to).contains(at))
                .map(|(_, age)| *age);
            ages.max().expect("something is shown")
        };
        let setup = format!("{properties} {sink}: {latencies:?}, {stats}");
        // two and a half seconds are for the ones that were begun before, and for a machine that is busy with more
        let after = oldest(11.0, 15.0);
        assert!(
            after < Duration::from_millis(500),
            "{after:?} after: {setup}"
        );
        let busy = oldest(4.0, 11.0);
        assert!(
            busy < Duration::from_millis(1500),
            "{busy:?} while busy: {setup}"
        );
        let count = shown.iter().filter(|(at, _)| (12.0..15.0).contains(at));
        assert!(count.count() > 45, "half of the frames at least: {setup}");
        if properties.is_empty() && sink.contains("sync=true") {
            let (longest, last) = (latencies.iter().max(), latencies.last());
            assert!(longest.unwrap() > &Duration::from_millis(150), "{setup}");
            assert!(last.unwrap() < &Duration::from_millis(150), "{setup}");
        }
        let field = |name| stats.get::<u64>(name).unwrap();
        assert!(field("age") < 500_000_000, "{setup}");
        assert!(field("late") <= field("age"), "{setup}");
        let fps = stats.get::<f64>("fps").unwrap();
        assert!((15.0..31.0).contains(&fps), "{setup}");
        assert_eq!(field("missing"), 0, "{setup}");
    }
}

#[test]
fn neither_the_source_nor_the_network_waits_for_a_sink_that_keeps_to_the_clock() {
    for (threads, properties) in [(31, ""), (32, "in-flight=2"), (33, "inference-interval=2")] {
        let time = Arc::new(AtomicU64::new(50));
        let _offered = offer_timed(threads, &time);
        let pipeline = Pipeline::new(&format!(
            "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1 ! identity name=before \
             ! depthanything name=depth resolution=56 num-threads={threads} {properties} \
             ! fakesink name=sink sync=true qos=false"
        ));
        let ages = Arc::new(Mutex::new(Vec::new()));
        let (list, element) = (Arc::clone(&ages), pipeline.element("depth"));
        let pad = pipeline.element("before").static_pad("src").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let now = element.current_running_time().unwrap();
            let age = now.saturating_sub(info.buffer().unwrap().pts().unwrap());
            list.lock().unwrap().push(Duration::from(age));
            gst::PadProbeReturn::Ok
        });
        let _turn = turn();
        pipeline.play();
        let bus = pipeline.0.bus().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            let message = bus.timed_pop(gst::ClockTime::from_mseconds(20));
            if let Some(gst::MessageView::Latency(_)) =
                message.as_ref().map(|message| message.view())
            {
                pipeline.0.recalculate_latency().unwrap();
            }
        }
        let stats = pipeline
            .element("depth")
            .property::<gst::Structure>("stats");
        let runs = stats.get::<u64>("inferences").unwrap();
        // of a hundred that there is time for, or of the half that is run
        let wanted = if properties.contains("interval") {
            50
        } else {
            65
        };
        assert!(runs > wanted, "{properties}: {stats}");
        let mut ages = ages.lock().unwrap().clone();
        ages.sort_unstable();
        let usual = ages[ages.len() * 9 / 10];
        assert!(usual < Duration::from_millis(100), "{usual:?}");
    }
}

#[test]
fn frames_that_a_leaky_queue_took_are_missing_not_dropped() {
    let pipeline = Pipeline::new(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=30/1 ! identity name=before \
         ! queue leaky=downstream max-size-buffers=1 \
         ! depthanything name=depth resolution=518 num-threads=1 qos=false ! fakesink sync=false",
    );
    let came = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&came);
    let pad = pipeline.element("before").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        gst::PadProbeReturn::Ok
    });
    let _turn = turn();
    pipeline.play();
    std::thread::sleep(Duration::from_secs(6));
    let stats = pipeline
        .element("depth")
        .property::<gst::Structure>("stats");
    let came = came.load(Ordering::SeqCst);
    let field = |name| stats.get::<u64>(name).unwrap();
    assert!(field("missing") > 10, "{stats}");
    let known = field("frames") + field("dropped") + field("missing");
    // those before the first that came through, in the queue and under way are not known of
    assert!(known <= came, "{known} of {came}: {stats}");
}
