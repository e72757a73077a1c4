//! A film or photo in, a coloured point cloud out: PLY, for MeshLab, CloudCompare, Blender or Open3D.
//!
//! ```sh
//! cargo run --release --example point_cloud -- photo.jpg cloud.ply --model metric.onnx --focal 1450
//! ```
//!
//! A `tee` splits the frames. One branch keeps the colours, the other makes depth of them, and what has the same time
//! stamp belongs together. `cloud.rs` has the geometry.

mod cloud;
#[path = "../common/decoding.rs"]
mod decoding;
#[path = "../common/orientation.rs"]
mod orientation;
#[path = "../common/properties.rs"]
mod properties;
#[path = "../common/stalled.rs"]
mod stalled;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cloud::{Assumption, Camera, Cloud, Distance, Intrinsics};
use decoding::Decoding;
use gst::prelude::*;
use gst_video::{VideoFormat, VideoFrameExt, VideoFrameRef, VideoInfo};
use gstdepthanything::depth_meta::{DepthMeta, Unit};
use gstdepthanything::model::{self, ModelSource, OutputActivation};

/// Makes point clouds (binary PLY: x y z in metres, red green blue) of a film or a photo.
///
/// The axes are those of a camera's optical frame (ROS REP 103): x to the right, y down, z forward, origin at the lens.
/// With a metric model z is the model's distance. A relative model knows no distances: then --near and --far are your
/// assumption of what the nearest and the farthest are, and the cloud is only as right as they are.
#[derive(Parser)]
#[command(name = "point_cloud")]
struct Arguments {
    /// The film or photo.
    film: PathBuf,
    /// A name that ends in .ply: one cloud, of the first frame from --at. Else a folder, which is made: a cloud of each
    /// frame.
    out: PathBuf,
    /// Seconds of the film to skip.
    #[arg(long, default_value_t = 0.0)]
    at: f64,
    /// Focal length in pixels of the film: the same as --fx. Without either that of a field of view of 60° across the
    /// longer side.
    #[arg(long, value_parser = positive, conflicts_with = "fx")]
    focal: Option<f64>,
    /// Focal length across, in pixels of the film as it is shown upright: a calibration's fx, of pictures of this size.
    /// Lens distortion is not undone.
    #[arg(long, value_parser = positive)]
    fx: Option<f64>,
    /// Focal length down; without it that of --fx.
    #[arg(long, value_parser = positive)]
    fy: Option<f64>,
    /// Where the optical axis meets the picture: its column, 0 being the middle of the first. Without it the middle.
    #[arg(long, allow_negative_numbers = true)]
    cx: Option<f64>,
    /// The same for its row.
    #[arg(long, allow_negative_numbers = true)]
    cy: Option<f64>,
    /// Relative models: metres to the nearest of the range.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    near: f64,
    /// Relative models: metres to the farthest of the range.
    #[arg(long, default_value_t = 10.0, value_parser = positive)]
    far: f64,
    /// A point for each STEP-th pixel of each STEP-th row.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    step: u32,
    /// An ONNX model; without it the built-in one, which is relative.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Short side of what the network sees, in pixels.
    #[arg(long, default_value_t = 518)]
    resolution: u32,
    /// Any other property of depthanything, as NAME=VALUE. May be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    properties: Vec<String>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("not a number above 0".into()),
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    decoding::check(&arguments.film)?;
    if arguments.near >= arguments.far {
        return Err("--near is not below --far".into());
    }
    let single = arguments.out.extension().is_some_and(|it| it == "ply");
    if !single {
        fs::create_dir_all(&arguments.out).map_err(|error| {
            format!("can't make the folder {}: {error}", arguments.out.display())
        })?;
    }
    gst::init()?;
    // the installed plugin where there is one
    if gst::ElementFactory::find("depthanything").is_none() {
        gstdepthanything::plugin_register_static()?;
    }
    let mut pairs = Pairs::new(arguments)?;
    let mut count = 0u64;
    let mut left_out = LeftOut::default();
    while let Some((color, depth)) = pairs.next()? {
        let cloud = cloud(arguments, &color, &depth, count == 0, &mut left_out)?;
        let path = match single {
            true => arguments.out.clone(),
            false => arguments.out.join(format!("cloud_{count:06}.ply")),
        };
        save(&cloud, &path)?;
        count += 1;
        if single {
            break;
        }
    }
    match count {
        0 if arguments.at > 0.0 => {
            return Err("no frame there: does the film end before --at?".into());
        }
        0 => {
            return Err(format!(
                "{} has no frame that can be decoded",
                arguments.film.display()
            )
            .into());
        }
        _ if single => println!("{}", arguments.out.display()),
        _ => println!("{count} clouds in {}", arguments.out.display()),
    }
    left_out.tell();
    Ok(())
}

/// Pixels that have no point.
#[derive(Default)]
struct LeftOut {
    pixels: u64,
    /// Farther than a sample can say, and how far that is in metres.
    beyond: u64,
    limit: f64,
    unknown: u64,
}

impl LeftOut {
    fn tell(&self) {
        if self.beyond > 0 {
            eprintln!(
                "left out: {} of {} pixels, which are {:.1} m away or farther, more than a sample can say. \
                 --set depth-unit={} reaches ten times as far",
                self.beyond,
                self.pixels,
                self.limit,
                // without the digits that are none
                (self.limit / f64::from(u16::MAX) * 1e7).round() / 1e6
            );
        }
        if self.unknown > 0 {
            eprintln!(
                "left out: {} of {} pixels, for which the model gave no depth",
                self.unknown, self.pixels
            );
        }
    }
}

/// Metres to a step of a sample, where what the model file says of itself asks for more than the element's millimetre.
fn depth_unit(arguments: &Arguments) -> Option<f64> {
    let path = arguments.model.clone()?;
    // what is wrong with it is told by the element
    let facts = model::inspect(&ModelSource::File(path)).ok()?;
    let reaches = facts
        .outputs
        .iter()
        .filter_map(|output| match output.activation {
            OutputActivation::ScaledSigmoid { max_depth } => Some(max_depth),
            _ => None,
        });
    let unit = cloud::depth_unit(reaches.fold(0.0, f64::max));
    (unit > cloud::depth_unit(0.0)).then_some(unit)
}

/// Writes a cloud, which takes its name once it is whole.
fn save(cloud: &Cloud, path: &Path) -> Result<(), Box<dyn Error>> {
    let part = path.with_extension("ply.part");
    fs::File::create(&part)
        .and_then(|file| cloud.write(std::io::BufWriter::new(file)))
        .and_then(|()| fs::rename(&part, path))
        .map_err(|error| {
            let _ = fs::remove_file(&part);
            format!("can't write {}: {error}", path.display()).into()
        })
}

/// Frames with their depth.
struct Pairs {
    pipeline: gst::Pipeline,
    color: gst_app::AppSink,
    depth: gst_app::AppSink,
    decoding: Decoding,
}

impl Pairs {
    fn new(arguments: &Arguments) -> Result<Self, Box<dyn Error>> {
        // Depth comes later than colour, by no more frames than `in-flight`: those wait in the colours' appsink. What
        // limits it is the depth branch, which takes no frame more than it has room for.
        // `decodebin` leaves out JPEG's parser by itself, and only that reads how a photo was held
        if let Some(parser) = gst::ElementFactory::find("jpegparse") {
            parser.set_rank(gst::Rank::PRIMARY + 1);
        }
        let pipeline = gst::parse::launch(
            "filesrc name=film ! decodebin name=decoder ! videoconvert name=video ! videoflip video-direction=auto ! tee name=frames \
             frames. ! queue ! videoconvert ! video/x-raw,format=RGB ! appsink name=color sync=false async=false \
             frames. ! queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 ! depthanything name=network \
                ! appsink name=depth sync=false async=false max-buffers=2",
        )?
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
        let element = |name: &str| pipeline.by_name(name).ok_or(format!("no element {name}"));
        let sink = |name: &str| {
            let sink = element(name)?.downcast::<gst_app::AppSink>();
            sink.map_err(|_| format!("{name} is no appsink"))
        };
        element("film")?.set_property("location", &arguments.film);
        stalled::watch(&element("decoder")?);
        let pad = element("video")?.static_pad("sink").ok_or("no sink pad")?;
        orientation::tell(&arguments.film, &pad);
        let network = element("network")?;
        network.set_property("resolution", arguments.resolution);
        if let Some(model) = &arguments.model {
            let model = model.to_str().ok_or("the model's path is not UTF-8")?;
            network.set_property("model-file", model);
        }
        if let Some(unit) = depth_unit(arguments) {
            network.set_property("depth-unit", unit);
        }
        for property in &arguments.properties {
            properties::set(&network, property).map_err(|error| format!("--set: {error}"))?;
        }
        if arguments.at > 0.0 {
            let at = gst::ClockTime::try_from_seconds_f64(arguments.at)?;
            let pad = element("frames")?.static_pad("sink").ok_or("no sink pad")?;
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                match info.buffer().and_then(|buffer| buffer.pts()) {
                    Some(pts) if pts < at => {
                        drop(info.take_buffer());
                        gst::PadProbeReturn::Handled
                    }
                    _ => gst::PadProbeReturn::Ok,
                }
            });
        }
        let pairs = Self {
            color: sink("color")?,
            depth: sink("depth")?,
            decoding: Decoding::of(&arguments.film),
            pipeline,
        };
        // a failure to start comes as a message too, and that says why
        let _ = pairs.pipeline.set_state(gst::State::Playing);
        Ok(pairs)
    }

    /// The next frame and its depth; none at the end of the film.
    fn next(&mut self) -> Result<Option<(gst::Sample, gst::Sample)>, Box<dyn Error>> {
        let Some(depth) = self.pull(&self.depth.clone())? else {
            return Ok(None);
        };
        let time = |sample: &gst::Sample| sample.buffer().and_then(|buffer| buffer.pts());
        loop {
            let color = self
                .pull(&self.color.clone())?
                .ok_or("depth without the frame that it is of")?;
            // a frame may be without depth; depth is never without a frame
            if time(&color) == time(&depth) {
                return Ok(Some((color, depth)));
            }
        }
    }

    fn pull(&mut self, sink: &gst_app::AppSink) -> Result<Option<gst::Sample>, Box<dyn Error>> {
        let bus = self.pipeline.bus().ok_or("a pipeline without a bus")?;
        loop {
            while let Some(message) = bus.pop() {
                if let Some(failure) = self.decoding.hear(&message) {
                    return Err(failure.into());
                }
            }
            match sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
                None if sink.is_eos() => return Ok(None),
                None => {}
                sample => return Ok(sample),
            }
        }
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn cloud(
    arguments: &Arguments,
    color: &gst::Sample,
    depth: &gst::Sample,
    first: bool,
    left_out: &mut LeftOut,
) -> Result<Cloud, Box<dyn Error>> {
    let info = |sample: &gst::Sample| -> Result<VideoInfo, Box<dyn Error>> {
        Ok(VideoInfo::from_caps(sample.caps().ok_or("no caps")?)?)
    };
    let (color_info, depth_info) = (info(color)?, info(depth)?);
    let buffer = depth.buffer().ok_or("no depth frame")?;
    let meta = DepthMeta::read(buffer).ok_or("a depth frame without GstDepthMeta")?;
    let color = VideoFrameRef::from_buffer_ref_readable(
        color.buffer().ok_or("no colour frame")?,
        &color_info,
    )?;
    let depth = VideoFrameRef::from_buffer_ref_readable(buffer, &depth_info)?;
    let (width, height) = (depth.width(), depth.height());
    if (color.width(), color.height()) != (width, height) {
        return Err("depth of another size than the frame".into());
    }
    let par = f64::from(depth_info.par().numer()) / f64::from(depth_info.par().denom());
    let known = Intrinsics {
        // --focal is for square pixels, those of the rows
        fx: arguments.fx.or(arguments.focal.map(|focal| focal / par)),
        fy: arguments.fy,
        cx: arguments.cx,
        cy: arguments.cy,
    };
    let camera = Camera::new(width, height, par, known);
    let assumption = match meta.unit {
        Unit::Metre => None,
        Unit::InverseDepth => Some(Assumption {
            near: arguments.near,
            far: arguments.far,
        }),
    };
    if first {
        let ([fx, fy], [cx, cy]) = (camera.focal, camera.center);
        eprintln!("camera: fx {fx:.1}, fy {fy:.1}, cx {cx:.1}, cy {cy:.1} pixels");
        if assumption.is_some() {
            eprintln!(
                "{} gives relative depth: its nearest is taken to be {} m away, its farthest {} m",
                meta.model, arguments.near, arguments.far
            );
        }
    }
    let of = match depth_info.format() {
        VideoFormat::Gray16Be => u16::from_be_bytes,
        _ => u16::from_le_bytes,
    };
    let step = arguments.step as usize;
    let mut cloud = Cloud::default();
    let colors = color
        .plane_data(0)?
        .chunks(color.plane_stride()[0] as usize);
    let depths = depth
        .plane_data(0)?
        .chunks(depth.plane_stride()[0] as usize);
    let rows = colors.zip(depths).take(height as usize).enumerate();
    for (row, (colors, depths)) in rows.step_by(step) {
        let pixels = colors.chunks_exact(3).zip(depths.chunks_exact(2));
        for (column, (rgb, sample)) in pixels.take(width as usize).enumerate().step_by(step) {
            let sample = of([sample[0], sample[1]]);
            left_out.pixels += 1;
            match cloud::distance(sample, &meta, assumption) {
                Distance::Metres(z) => {
                    cloud.push(camera.point(column, row, z), [rgb[0], rgb[1], rgb[2]]);
                }
                Distance::Beyond => {
                    left_out.beyond += 1;
                    left_out.limit = meta.value(sample);
                }
                Distance::Unknown => left_out.unknown += 1,
            }
        }
    }
    Ok(cloud)
}
