//! Does `in-flight` hide conversion behind a network that leaves the CPU alone? A network that sleeps 10 ms stands in for
//! one on a GPU, and 4K frames in NV12 become 4K depth.
//!
//!     cargo bench --bench in_flight

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstdepthanything::error::Error;
use gstdepthanything::inference::backend::{DepthMaps, Description, Images, Network};
use gstdepthanything::inference::{Config, shared};
use gstdepthanything::model::ModelSource;

const FRAMES: u32 = 300;
const TIME: Duration = Duration::from_millis(10);

/// Takes its time and gives a slope.
struct Sleeper(Description);

impl Network for Sleeper {
    fn description(&self) -> &Description {
        &self.0
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        let end = Instant::now() + TIME;
        if depth.size != images.size {
            depth.size = images.size;
            depth.batch = 1;
            depth.values = (0..images.size.area()).map(|at| at as f32).collect();
        }
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        Ok(())
    }
}

fn main() {
    gst::init().expect("GStreamer starts");
    gstdepthanything::plugin_register_static().expect("the plugin registers");
    let sleeper = Sleeper(Description {
        batch: Some(1),
        provider: "none".into(),
        ..Description::of_any_size("sleeper")
    });
    let _network = shared::offer(&Config::new(ModelSource::Builtin), Box::new(sleeper))
        .expect("the network is offered");
    println!("| in-flight | frames a second | share of the network's own rate |");
    println!("|---|---|---|");
    let rates: Vec<f64> = (1..=4).map(rate).collect();
    let own = alone();
    for (in_flight, rate) in (1..).zip(rates) {
        println!("| {in_flight} | {rate:.1} | {:.0} % |", 100.0 * rate / own);
    }
}

/// Sleeps a second that the network can do.
fn alone() -> f64 {
    let start = Instant::now();
    for _ in 0..FRAMES {
        std::thread::sleep(TIME);
    }
    f64::from(FRAMES) / start.elapsed().as_secs_f64()
}

/// Frames a second with so many under way.
fn rate(in_flight: u32) -> f64 {
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=src format=time max-buffers=4 block=true \
         caps=video/x-raw,format=NV12,width=3840,height=2160,framerate=100/1 \
         ! depthanything in-flight={in_flight} range=fixed range-max=500000 ! fakesink name=sink sync=false"
    ))
    .expect("a pipeline")
    .downcast::<gst::Pipeline>()
    .expect("a pipeline");
    let source = pipeline.by_name("src").expect("by name");
    let source = source.downcast::<gst_app::AppSrc>().expect("an appsrc");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    // one picture for all, so that the camera costs nothing
    let picture = gst::Buffer::from_slice(vec![128u8; 3840 * 2160 * 3 / 2]);
    let push = |index: u32| {
        let mut frame = picture.copy();
        let frame_ref = frame.get_mut().expect("a copy of one's own");
        frame_ref.set_pts(gst::ClockTime::from_mseconds(10) * u64::from(index));
        source.push_buffer(frame).expect("it flows");
    };
    (0..20).for_each(push);
    let start = Instant::now();
    (20..20 + FRAMES).for_each(push);
    source.end_of_stream().expect("it ends");
    let bus = pipeline.bus().expect("a bus");
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(120),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    assert!(
        matches!(
            end.as_ref().map(|end| end.view()),
            Some(gst::MessageView::Eos(_))
        ),
        "{end:?}"
    );
    let rate = f64::from(FRAMES) / start.elapsed().as_secs_f64();
    pipeline.set_state(gst::State::Null).expect("it stops");
    rate
}
