//! Sizes that are compiled in mid-stream: frames go on, and the bus tells.

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::Pipeline;
use gst::prelude::*;
use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{
    DepthMaps, Description, Images, Network, Preparation, Readiness,
};
use gstdepthanything::inference::{Config, shared};
use gstdepthanything::model::ModelSource;

/// Sizes that are ready, and when the others were asked for first.
#[derive(Default)]
struct Compiler {
    ready: Mutex<HashSet<Size>>,
    begun: Mutex<Option<Instant>>,
    bell: Condvar,
}

impl Compiler {
    fn finish(&self, size: Size) {
        self.ready.lock().unwrap().insert(size);
        self.bell.notify_all();
    }
}

impl Preparation for Compiler {
    fn prepare(self: Arc<Self>, size: Size) -> Readiness {
        if self.ready.lock().unwrap().contains(&size) {
            return Readiness::Ready;
        }
        let mut begun = self.begun.lock().unwrap();
        Readiness::Preparing(begun.get_or_insert_with(Instant::now).elapsed())
    }
}

/// Gives a slope at the sizes that are ready, and waits for the others.
struct Compiled(Description, Arc<Compiler>);

impl Network for Compiled {
    fn description(&self) -> &Description {
        &self.0
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        let ready = self.1.ready.lock().unwrap();
        let waited = self
            .1
            .bell
            .wait_timeout_while(ready, common::TIMEOUT, |ready| {
                !ready.contains(&images.size)
            });
        assert!(
            !waited.unwrap().1.timed_out(),
            "{} is never ready",
            images.size
        );
        depth.size = images.size;
        depth.batch = images.batch;
        depth.values = (0..images.batch * images.size.area())
            .map(|at| at as f32)
            .collect();
        Ok(())
    }

    fn preparation(&self) -> Option<Arc<dyn Preparation>> {
        Some(Arc::clone(&self.1) as Arc<dyn Preparation>)
    }
}

/// Stage, provider, seconds and reason of a message `depthanything-engine`.
fn engine_news(message: &gst::Message) -> Option<(String, String, f64, String)> {
    let structure = message
        .structure()
        .filter(|structure| structure.name() == "depthanything-engine")?;
    let text = |field: &str| structure.get::<String>(field).expect("a text");
    let seconds = structure.get("seconds").expect("a number");
    Some((text("stage"), text("provider"), seconds, text("reason")))
}

fn is_stage(message: &gst::Message, stage: &str, size: &str) -> bool {
    engine_news(message).is_some_and(|news| news.0 == stage && news.3 == size)
}

/// Offers a network that is compiled for each size, by this compiler, to who asks for so many threads.
fn offer(compiler: &Arc<Compiler>, threads: usize) -> shared::Shared {
    let description = Description {
        batch: Some(1),
        provider: "TensorrtExecutionProvider".into(),
        precision: "fp16".into(),
        ..Description::of_any_size("compiled")
    };
    let config = Config {
        threads,
        ..Config::new(ModelSource::Builtin)
    };
    let network = Compiled(description, Arc::clone(compiler));
    shared::offer(&config, Box::new(network)).unwrap()
}

#[test]
fn the_bus_tells_what_is_compiled() {
    common::init();
    let compiler = Arc::new(Compiler::default());
    let _offered = offer(&compiler, 0);

    let pipeline = Pipeline::new(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=50/1 \
         ! depthanything name=depth resolution=56 ! appsink name=out sync=false max-buffers=1 drop=true",
    );
    let sink = pipeline.appsink("out");
    let network_side = || {
        let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(30));
        common::meta(&sample.expect("frames go on")).network.width
    };
    pipeline.play();
    // nothing flows before the first size is there, and one is told why
    pipeline.messages_until(|message| is_stage(message, "compiling", "56×56"));
    compiler.finish(Size::new(56, 56));
    pipeline.messages_until(|message| is_stage(message, "ready", "56×56"));
    assert_eq!(network_side(), 56);

    *compiler.begun.lock().unwrap() = None;
    pipeline.element("depth").set_property("resolution", 84u32);
    let messages = pipeline.messages_until(|message| is_stage(message, "compiling", "84×84"));
    let (_, provider, seconds, _) = engine_news(messages.last().unwrap()).unwrap();
    assert_eq!(provider, "tensorrt");
    assert!(seconds < 10.0, "{seconds}");
    // frames go on as before meanwhile
    for _ in 0..10 {
        assert_eq!(network_side(), 56);
    }
    std::thread::sleep(Duration::from_millis(50));
    compiler.finish(Size::new(84, 84));
    let messages = pipeline.messages_until(|message| {
        let structure = message.structure();
        structure.is_some_and(|structure| structure.name() == "depthanything-resolution")
    });
    let news: Vec<_> = messages.iter().filter_map(engine_news).collect();
    let [(stage, _, seconds, size)] = &news[..] else {
        panic!("once each: {news:?}");
    };
    assert_eq!((stage.as_str(), size.as_str()), ("ready", "84×84"));
    assert!(*seconds >= 0.05, "{seconds}");
    let structure = messages.last().unwrap().structure().unwrap();
    assert_eq!(structure.get::<u32>("width"), Ok(84));
    assert!((0..50).any(|_| network_side() == 84));
}

#[test]
fn a_stream_that_waits_for_its_size_holds_up_no_other_and_stops_at_once() {
    common::init();
    let compiler = Arc::new(Compiler::default());
    compiler.finish(Size::new(56, 56));
    let _offered = offer(&compiler, 2);
    let stream = |resolution| {
        Pipeline::new(&format!(
            "videotestsrc is-live=true ! video/x-raw,width=64,height=64,framerate=50/1 \
             ! depthanything name=depth resolution={resolution} num-threads=2 \
             ! appsink name=out sync=false max-buffers=1 drop=true"
        ))
    };
    let (goes_on, waits) = (stream(56), stream(84));
    goes_on.play();
    waits.play();
    waits.messages_until(|message| is_stage(message, "compiling", "84×84"));
    let frames = |pipeline: &Pipeline| {
        let stats = pipeline
            .element("depth")
            .property::<gst::Structure>("stats");
        let count = |name| stats.get::<u64>(name).unwrap();
        (count("frames"), count("dropped"))
    };
    let before = frames(&goes_on);
    std::thread::sleep(Duration::from_secs(2));
    let after = frames(&goes_on);
    assert!(after.0 - before.0 > 60, "{before:?} {after:?}");
    assert_eq!(frames(&waits).0, 0);
    let start = Instant::now();
    waits.0.set_state(gst::State::Null).unwrap();
    let time = start.elapsed();
    assert!(time < Duration::from_millis(500), "{time:?}");
}
