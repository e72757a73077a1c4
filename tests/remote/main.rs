//! Inference on servers: the property `server` and what goes with it, against servers of the test's own.
#![cfg(feature = "remote")]

#[path = "../common/mod.rs"]
mod common;
mod failures;
mod live;
mod models;
mod real;
mod secrets;
mod server;

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Pipeline, depth, difference, meta, samples};
use gst::prelude::*;
use gstdepthanything::inference::backend::{DepthMaps, Images, Network};
use gstdepthanything::inference::{self, Config};
use gstdepthanything::model::ModelSource;
use server::{Model, Reply, Server};

/// A video of so many frames through `element`, as fast as it goes.
pub(crate) fn video(frames: usize, element: &str) -> String {
    format!(
        "videotestsrc num-buffers={frames} pattern=ball ! video/x-raw,width=64,height=48,framerate=30/1 \
         ! depthanything name=depth resolution=126 {element} ! appsink name=out sync=false wait-on-eos=false"
    )
}

/// What makes a stream of a server's without a word of warning.
pub(crate) fn remote(server: &str) -> String {
    format!("server={server} model-depth=inverse input-normalization=imagenet range=frame")
}

pub(crate) fn red() -> Server {
    Server::new(Reply::red)
}

thread_local! {
    /// What was on the bus while [`times`] looked for errors.
    static SEEN: RefCell<Vec<gst::Message>> = const { RefCell::new(Vec::new()) };
}

/// Stages and reasons of `depthanything-engine` that are on the bus.
pub(crate) fn stages(pipeline: &Pipeline) -> Vec<(String, String)> {
    let bus = pipeline.0.bus().expect("a bus");
    let mut stages = Vec::new();
    let seen = SEEN.take();
    for message in seen.into_iter().chain(std::iter::from_fn(|| bus.pop())) {
        let Some(structure) = message.structure() else {
            continue;
        };
        if structure.name() == "depthanything-engine" {
            let field = |name| structure.get::<String>(name).expect("a field");
            stages.push((field("stage"), field("reason")));
        }
    }
    stages
}

/// Runs all of a video, and gives the time stamps of its depth, in milliseconds.
pub(crate) fn times(pipeline: &Pipeline, mut on_frame: impl FnMut(usize)) -> Vec<u64> {
    let sink = pipeline.appsink("out");
    SEEN.take();
    pipeline.play();
    let mut times = Vec::new();
    let end = Instant::now() + common::TIMEOUT;
    while Instant::now() < end {
        match sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
            Some(sample) => {
                let time = sample.buffer().and_then(|buffer| buffer.pts());
                times.push(time.expect("a time").mseconds());
                on_frame(times.len());
            }
            None if sink.is_eos() => break,
            None => {
                let bus = pipeline.0.bus().expect("a bus");
                while let Some(message) = bus.pop() {
                    if let gst::MessageView::Error(error) = message.view() {
                        panic!("{}", error.error());
                    }
                    SEEN.with_borrow_mut(|seen| seen.push(message));
                }
            }
        }
    }
    times
}

/// Those of a video of so many frames, none lost and none out of order.
pub(crate) fn all(frames: usize) -> Vec<u64> {
    (0..frames as u64).map(|frame| frame * 1000 / 30).collect()
}

/// The built-in model on a server.
fn builtin() -> Server {
    common::init();
    let config = Config {
        provider: inference::ExecutionProvider::Cpu,
        ..Config::new(ModelSource::Builtin)
    };
    let network = Mutex::new(inference::open(&config, &mut drop).expect("it opens"));
    Server::new(move |asked| {
        let values = asked.floats();
        let [height, width] = asked.sides();
        let images = Images {
            values: &values,
            batch: asked.shape[0] as usize,
            size: gstdepthanything::geometry::Size::new(width as u32, height as u32),
        };
        let mut maps = DepthMaps::default();
        let network: &mut Box<dyn Network> = &mut network.lock().unwrap();
        network.run(images, &mut maps).expect("it runs");
        let shape = [maps.batch as i64, height as i64, width as i64];
        Reply::floats(&shape, &maps.values)
    })
}

#[test]
fn depth_is_that_of_the_same_model_here() {
    let here = samples(&video(8, "execution-provider=cpu range=frame"));
    let server = builtin();
    for in_flight in [1, 2, 5] {
        let there = format!("{} in-flight={in_flight}", remote(&server.address()));
        let there = samples(&video(8, &there));
        assert_eq!(there.len(), here.len());
        for (here, there) in here.iter().zip(&there) {
            let time = |sample: &gst::Sample| sample.buffer().and_then(|buffer| buffer.pts());
            assert_eq!(time(here), time(there));
            assert_eq!(depth(here), depth(there));
            assert_eq!(meta(there).model, "depth");
        }
    }
    // an odd number of channels in a batch, and what is due is told to the server
    let asked = server.state.asked.load(Ordering::SeqCst);
    assert!(asked >= 24, "{asked}");
}

#[test]
fn half_precision_on_the_wire_costs_next_to_nothing() {
    use half::f16;
    let whole = red();
    let halves = Server::new(|asked| {
        assert_eq!(asked.datatype, "FP16");
        let [height, width] = asked.sides();
        let red = asked.data[..2 * height * width].to_vec();
        Reply::Depth("FP16", vec![1, height as i64, width as i64], red)
    });
    *halves.state.models.lock().unwrap() = vec![Model::depth("FP16")];
    let whole = samples(&video(2, &remote(&whole.address())));
    let halves = samples(&video(2, &remote(&halves.address())));
    for (whole, halves) in whole.iter().zip(&halves) {
        let (whole, halves) = (depth(whole), depth(halves));
        let step = f64::from(f16::EPSILON);
        assert!(
            difference(&whole, &halves) < step,
            "{}",
            difference(&whole, &halves)
        );
        assert_ne!(whole, halves, "it is another precision");
    }
}

#[test]
fn order_is_kept_and_two_requests_a_server_are_under_way() {
    let servers = [(); 2].map(|()| red());
    for (server, delay) in servers.iter().zip([10, 45]) {
        *server.state.delay.lock().unwrap() = Duration::from_millis(delay);
    }
    let addresses = format!("{},{}", servers[0].address(), servers[1].address());
    let pipeline = Pipeline::new(&video(40, &format!("{} in-flight=4", remote(&addresses))));
    assert_eq!(times(&pipeline, |_| {}), all(40));
    for server in &servers {
        assert!(server.state.asked.load(Ordering::SeqCst) > 5);
        let most = server.state.most.load(Ordering::SeqCst);
        assert!((2..=4).contains(&most), "{most}");
    }
    let stats: gst::Structure = pipeline.element("depth").property("stats");
    assert_eq!(stats.get::<String>("provider").unwrap(), "kserve");
    assert_eq!(stats.get::<u64>("server-retries").unwrap(), 0);
    assert_eq!(stats.get::<u32>("server-inflight").unwrap(), 0);
    let [p50, p99] = ["server-round-trip-p50", "server-round-trip-p99"]
        .map(|name| stats.get::<u64>(name).unwrap());
    assert!(
        p50 >= 10_000_000 && p99 >= p50 && p99 < 10_000_000_000,
        "{p50} {p99}"
    );
}

#[test]
fn servers_add_up() {
    let servers = [(); 3].map(|()| red());
    for server in &servers {
        *server.state.delay.lock().unwrap() = Duration::from_millis(100);
    }
    let addresses: Vec<_> = servers.iter().map(Server::address).collect();
    let element = format!("{} in-flight=6", remote(&addresses.join(",")));
    let pipeline = Pipeline::new(&video(60, &element));
    let mut begun = None;
    let times = times(&pipeline, |_| {
        begun.get_or_insert_with(Instant::now);
    });
    // these servers do not queue: six requests of 100 ms at a time
    let rate = (times.len() - 1) as f64 / begun.unwrap().elapsed().as_secs_f64();
    assert!(rate > 35.0, "{rate:.1} frames/s");
}

/// A server whose model takes 100 ms, for one request after the other.
fn slow() -> Server {
    let instance = Mutex::new(());
    Server::new(move |asked| {
        let _instance = instance.lock().unwrap();
        std::thread::sleep(Duration::from_millis(100));
        Reply::red(asked)
    })
}

/// How servers of 10 frames a second each add up, in one stream and in four.
#[test]
#[ignore = "a measurement: --ignored --nocapture"]
fn scaling() {
    for count in 1..=4 {
        let servers: Vec<_> = (0..count).map(|_| slow()).collect();
        let addresses: Vec<_> = servers.iter().map(Server::address).collect();
        let addresses = addresses.join(",");
        let element = format!("{} in-flight={}", remote(&addresses), 2 * count);
        let frames = 60 * count;
        let pipeline = Pipeline::new(&video(frames, &element));
        let mut begun = None;
        let first = 4 * count;
        times(&pipeline, |frame| {
            if frame == first {
                begun = Some(Instant::now());
            }
        });
        let rate = (frames - first) as f64 / begun.unwrap().elapsed().as_secs_f64();
        drop(pipeline);
        let branch = |name: &str| {
            format!(
                "videotestsrc ! video/x-raw,width=64,height=48 ! depthanything name={name} resolution=126 {} \
                 in-flight={} ! fakesink ",
                remote(&addresses),
                (count / 2).max(1) + 1
            )
        };
        let names = ["a", "b", "c", "d"];
        let pipeline = Pipeline::new(&names.map(branch).concat());
        pipeline.play();
        std::thread::sleep(Duration::from_secs(2));
        let frames = || {
            names.map(|name| {
                let stats: gst::Structure = pipeline.element(name).property("stats");
                stats.get::<u64>("frames").unwrap()
            })
        };
        let (before, time) = (frames(), Instant::now());
        std::thread::sleep(Duration::from_secs(8));
        let seconds = time.elapsed().as_secs_f64();
        let after = frames();
        let each: Vec<_> = (0..4)
            .map(|of| (after[of] - before[of]) as f64 / seconds)
            .collect();
        let (least, most) = each
            .iter()
            .fold((f64::MAX, 0.0_f64), |(least, most), &rate| {
                (least.min(rate), most.max(rate))
            });
        eprintln!(
            "{count} servers: one stream {rate:.1} frames/s, four {:.1}, the most to the least of these {:.2}",
            each.iter().sum::<f64>(),
            most / least
        );
    }
}

#[test]
fn elements_share_servers() {
    let server = red();
    server.state.models.lock().unwrap().push(Model {
        name: "other".to_owned(),
        ..Model::depth("FP32")
    });
    let branch = |name: &str, properties: &str| {
        format!(
            "videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48 ! depthanything name={name} resolution=126 \
             {} {properties} ! fakesink ",
            remote(&server.address())
        )
    };
    let pipeline = Pipeline::new(
        &[
            branch("a", "server-model=depth"),
            branch("b", "server-model=depth range=smooth"),
            branch("c", "server-model=other"),
        ]
        .concat(),
    );
    pipeline.0.set_state(gst::State::Paused).unwrap();
    pipeline
        .0
        .state(gst::ClockTime::from_seconds(60))
        .0
        .unwrap();
    for (name, expected) in [("a", 2), ("b", 2), ("c", 1)] {
        let stats: gst::Structure = pipeline.element(name).property("stats");
        assert_eq!(stats.get::<u32>("shared-by").unwrap(), expected, "{name}");
    }
    pipeline.run().unwrap();
}

#[test]
fn batches_of_several_streams_go_together() {
    let server = red();
    *server.state.delay.lock().unwrap() = Duration::from_millis(20);
    let branch = |name: &str| {
        format!(
            "videotestsrc num-buffers=10 ! video/x-raw,width=64,height=48 ! depthanything name={name} resolution=126 \
             {} max-batch=4 batch-timeout=50000000 ! fakesink ",
            remote(&server.address())
        )
    };
    let pipeline = Pipeline::new(&["a", "b", "c"].map(branch).concat());
    pipeline.run().unwrap();
    let asked = server.state.asked.load(Ordering::SeqCst);
    assert!(asked < 30, "{asked} requests for 30 frames");
}
