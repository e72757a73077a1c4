//! `detail-resolution`: runs for detail laid on a first run, in the element.

mod common;

use std::sync::{Arc, Mutex};

use common::{Pipeline, depth, meta, model, samples};
use gst::prelude::*;
use gstdepthanything::error::Error;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{DepthMaps, Description, Images, InputSize, Network};
use gstdepthanything::inference::{Config, shared};
use gstdepthanything::model::ModelSource;

/// Gives the luma of what it sees, each run in a scale and shift of its own, and notes the sizes of its runs.
struct Luma {
    description: Description,
    runs: Arc<Mutex<Vec<Size>>>,
}

impl Network for Luma {
    fn description(&self) -> &Description {
        &self.description
    }

    fn run(&mut self, images: Images<'_>, depth: &mut DepthMaps) -> Result<(), Error> {
        let mut runs = self.runs.lock().unwrap();
        runs.push(images.size);
        let number = runs.len();
        drop(runs);
        let area = images.size.area();
        depth.size = images.size;
        depth.batch = images.batch;
        depth.values.clear();
        for image in images.values.chunks_exact(3 * area) {
            // the first of a frame is as it is
            let scale = 1.0 + 0.2 * (number % 3) as f32;
            let green = &image[area..2 * area];
            depth
                .values
                .extend(green.iter().map(|value| value * scale + number as f32));
        }
        Ok(())
    }
}

/// Offers such a network to who asks for so many threads; its runs are noted.
fn offer(threads: usize, input_size: InputSize) -> (shared::Shared, Arc<Mutex<Vec<Size>>>) {
    common::init();
    let runs = Arc::new(Mutex::new(Vec::new()));
    let description = Description {
        provider: "CPUExecutionProvider".into(),
        input_size,
        ..Description::of_any_size("luma")
    };
    let config = Config {
        threads,
        ..Config::new(ModelSource::Builtin)
    };
    let network = Luma {
        description,
        runs: Arc::clone(&runs),
    };
    (shared::offer(&config, Box::new(network)).unwrap(), runs)
}

fn whole(sample: &gst::Sample) -> (Vec<u16>, usize) {
    let samples = depth(sample);
    let width = meta_width(sample);
    (samples, width)
}

fn meta_width(sample: &gst::Sample) -> usize {
    let caps = sample.caps().unwrap();
    caps.structure(0).unwrap().get::<i32>("width").unwrap() as usize
}

fn stats(pipeline: &Pipeline) -> [u32; 4] {
    let stats: gst::Structure = pipeline.element("depth").property("stats");
    [
        "network-width",
        "network-height",
        "detail-width",
        "detail-height",
    ]
    .map(|field| stats.get(field).unwrap())
}

/// All warnings that have come by now.
fn warnings(pipeline: &Pipeline) -> Vec<String> {
    let bus = pipeline.0.bus().unwrap();
    let messages = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Warning]));
    messages
        .map(|message| match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            _ => unreachable!(),
        })
        .collect()
}

#[test]
fn a_ramp_has_no_seam_and_tiles_are_no_larger_than_the_first_run() {
    let (_offered, runs) = offer(11, InputSize::Any);
    let frames = samples(
        "videotestsrc num-buffers=1 pattern=gradient ! video/x-raw,format=RGB,width=360,height=240 \
         ! depthanything num-threads=11 resolution=126 detail-resolution=336 range=frame ! appsink name=out",
    );
    let (samples, width) = whole(&frames[0]);
    // each row is brighter, or darker, than the one before
    let rows: Vec<f64> = samples
        .chunks_exact(width)
        .map(|row| row.iter().map(|&sample| f64::from(sample)).sum())
        .collect();
    let steps = rows[4..rows.len() - 4].windows(2);
    let steps: Vec<f64> = steps.map(|two| two[1] - two[0]).collect();
    let mean = steps.iter().sum::<f64>() / steps.len() as f64;
    for (y, step) in steps.iter().enumerate() {
        // gradients of 8 bits have steps of their own
        assert!(
            (0.2..2.5).contains(&(step / mean)),
            "row {y}: {step}, {mean} in the mean"
        );
    }
    let runs = runs.lock().unwrap();
    let first = Size::new(196, 126);
    assert!(runs.contains(&first), "{runs:?}");
    let tiles: Vec<_> = runs.iter().filter(|&&size| size != first).collect();
    assert!(tiles.len() > 4, "{runs:?}");
    for tile in tiles {
        assert!(tile.area() <= first.area(), "{tile}");
    }
}

#[test]
fn changes_in_playing_lose_no_frame() {
    for in_flight in [1, 3] {
        let pipeline = Pipeline::new(&format!(
            "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1 \
             ! depthanything name=depth resolution=126 in-flight={in_flight} inference-interval=2 \
               temporal-filter=0.03 upsampling=guided ! appsink name=out sync=false max-buffers=1"
        ));
        pipeline.play();
        let sink = pipeline.appsink("out");
        let element = pipeline.element("depth");
        let mut seen = Vec::new();
        for index in 0..60_u64 {
            match index {
                8 => element.set_property("detail-resolution", 252_u32),
                20 => element.set_property("detail-resolution", 300_u32),
                30 => element.set_property("resolution", 140_u32),
                40 => element.set_property("detail-resolution", 0_u32),
                50 => element.set_property("detail-resolution", 252_u32),
                _ => {}
            }
            let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(30));
            let sample = sample.unwrap_or_else(|| panic!("frame {index} is missing"));
            let pts = sample.buffer().unwrap().pts().unwrap();
            assert_eq!(
                pts.nseconds(),
                (index * 1_000_000_000).div_ceil(30).min(pts.nseconds())
            );
            seen.push(stats(&pipeline));
        }
        let details: Vec<u32> = seen.iter().map(|stats| stats[3]).collect();
        for height in [0, 252, 308] {
            assert!(details.contains(&height), "{height} is not in {details:?}");
        }
        assert_eq!(details[48], 0, "off again: {details:?}");
        assert_eq!(seen[59], [182, 140, 336, 252]);
        assert_eq!(warnings(&pipeline), [""; 0]);
    }
}

#[test]
fn what_adds_nothing_is_off_and_says_so_once() {
    let pipeline = Pipeline::new(
        "videotestsrc num-buffers=10 ! video/x-raw,width=160,height=120,framerate=30/1 \
         ! depthanything name=depth resolution=126 detail-resolution=126 ! fakesink",
    );
    let messages = pipeline.run().expect("it goes on");
    let said: Vec<_> = messages
        .iter()
        .filter_map(|message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("detail-resolution=126"), "{said:?}");
    assert_eq!(stats(&pipeline), [168, 126, 0, 0]);
}

#[test]
fn small_and_long_frames_have_detail_too() {
    for (width, height) in [(1, 1), (2048, 250), (161, 121), (3, 40)] {
        let frames = samples(&format!(
            "videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width={width},height={height} \
             ! depthanything resolution=70 detail-resolution=140 model-file={} ! appsink name=out",
            model("image-depth.onnx")
        ));
        assert_eq!(frames.len(), 2, "{width}×{height}");
        assert_eq!(depth(&frames[1]).len(), width * height);
    }
}

#[test]
fn models_of_a_fixed_size_run_tiles_of_that_size() {
    let fixed = Size::new(140, 126);
    let (_offered, runs) = offer(12, InputSize::Fixed(fixed));
    let frames = samples(
        "videotestsrc num-buffers=1 ! video/x-raw,format=RGB,width=320,height=240 \
         ! depthanything num-threads=12 detail-resolution=252 ! appsink name=out",
    );
    assert_eq!(frames.len(), 1);
    let runs = runs.lock().unwrap();
    assert!(runs.len() > 6, "{runs:?}");
    assert!(runs.iter().all(|&size| size == fixed), "{runs:?}");
    // and a real one
    let frames = samples(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=RGB,width=320,height=240 \
         ! depthanything detail-resolution=112 model-file={} ! appsink name=out",
        model("static-wide.onnx")
    ));
    assert_eq!(meta(&frames[0]).network.width, 70);
}

#[test]
fn metres_stay_metres() {
    let mean = |more: &str| {
        let frames = samples(&format!(
            "videotestsrc num-buffers=1 pattern=circular ! video/x-raw,format=RGB,width=320,height=240 \
             ! depthanything resolution=126 {more} model-file={} ! appsink name=out",
            model("metric-indoor.onnx")
        ));
        let samples = depth(&frames[0]);
        // a quarter of the picture
        let quarter = samples
            .chunks_exact(320)
            .take(120)
            .flat_map(|row| &row[..160]);
        quarter.map(|&sample| f64::from(sample)).sum::<f64>() / (120.0 * 160.0)
    };
    let (alone, detailed) = (mean(""), mean("detail-resolution=252"));
    assert!(
        (detailed / alone - 1.0).abs() < 0.01,
        "{alone} mm and {detailed} mm"
    );
}
