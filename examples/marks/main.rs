//! Measures depth on films: how steady it is, and how well its edges follow the picture.
//!
//! ```text
//! cargo run --release --example marks -- steady [--resolution N] [--model FILE] [--frames N] [--temporal-filter X]
//!     [--plot FILE.svg] FILM…
//! cargo run --release --example marks -- edges [--resolution N] [--model FILE] [--frames N] FILM…
//! cargo run --release --example marks -- cuts FILM…
//! ```
//!
//! A film is a folder that `depth-scenes film` has rendered, with exact depth, or a file that GStreamer plays. Depth
//! comes from the built-in model if there is no `--model`. `scripts/marks` renders films and runs this on them.

mod cuts;
mod edges;
mod film;
mod plot;
mod steady;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use gstdepthanything::engine::network::{DepthMaps, Images, Network};
use gstdepthanything::engine::{self, Config};
use gstdepthanything::frame::{Frame, FrameFormat, Normalization, TensorWriter};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::model::ModelSource;

use film::{Film, Shot};

/// What is asked for on the command line.
struct Wanted {
    mark: String,
    resolution: u32,
    model: ModelSource,
    plot: Option<PathBuf>,
    temporal_filter: f64,
    frames: usize,
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| run(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wanted() -> Result<Wanted, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let mark = arguments
        .next()
        .ok_or("say what to measure: steady, edges or cuts")?;
    let mut wanted = Wanted {
        mark: mark.to_string_lossy().into_owned(),
        resolution: 252,
        model: ModelSource::Builtin,
        plot: None,
        temporal_filter: 0.03,
        frames: 150,
        paths: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let name = argument.to_string_lossy();
            arguments.next().ok_or(format!("{name} wants a value"))
        };
        match argument.to_str() {
            Some("--resolution") => wanted.resolution = value()?.to_string_lossy().parse()?,
            Some("--frames") => wanted.frames = value()?.to_string_lossy().parse()?,
            Some("--model") => wanted.model = ModelSource::File(value()?.into()),
            Some("--temporal-filter") => {
                wanted.temporal_filter = value()?.to_string_lossy().parse()?;
            }
            Some("--plot") => wanted.plot = Some(value()?.into()),
            _ => wanted.paths.push(PathBuf::from(argument)),
        }
    }
    if wanted.paths.is_empty() {
        return Err("give films to measure on".into());
    }
    Ok(wanted)
}

fn run(wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    if wanted.mark == "cuts" {
        return cuts::run(&wanted.paths);
    }
    let open = |path: &PathBuf| Film::open(path, wanted.frames);
    let films = wanted
        .paths
        .iter()
        .map(open)
        .collect::<Result<Vec<_>, _>>()?;
    let mut eye = Eye::new(wanted)?;
    match wanted.mark.as_str() {
        "steady" => {
            let plot = wanted.plot.as_deref();
            steady::run(&mut eye, &films, wanted.temporal_filter, plot)
        }
        "edges" => edges::run(&mut eye, &films),
        other => Err(format!("{other:?} can't be measured, only: steady, edges, cuts").into()),
    }
}

/// What the network saw of a frame, and the depth that it gave.
struct Looked<'a> {
    tensor: &'a [f32],
    /// Its size.
    network: Size,
    depth: &'a DepthMaps,
}

/// A network and what it needs to look at frames.
struct Eye {
    network: Box<dyn Network>,
    resolution: u32,
    writer: Option<(Size, TensorWriter)>,
    tensor: Vec<f32>,
    depth: DepthMaps,
}

impl Eye {
    fn new(wanted: &Wanted) -> Result<Self, Box<dyn Error>> {
        let config = Config::new(wanted.model.clone());
        Ok(Self {
            network: engine::open(&config, &mut |_| {})?,
            resolution: wanted.resolution,
            writer: None,
            tensor: Vec::new(),
            depth: DepthMaps::default(),
        })
    }

    fn look(&mut self, shot: &Shot) -> Result<Looked<'_>, Box<dyn Error>> {
        let patch = self.network.description().patch;
        let size = network_size(shot.size, (1, 1), self.resolution, patch)?;
        let writer = match &mut self.writer {
            Some((known, writer)) if *known == shot.size => writer,
            other => {
                let format = FrameFormat::rgb(shot.size);
                let writer = TensorWriter::new(&format, size, Normalization::IMAGENET)?;
                &mut other.insert((shot.size, writer)).1
            }
        };
        self.tensor.resize(3 * size.area(), 0.0);
        let frame = Frame::packed(&shot.rgb, 3 * shot.size.width as usize);
        writer.write(&frame, &mut self.tensor)?;
        let images = Images {
            values: &self.tensor,
            batch: 1,
            size,
        };
        self.network.run(images, &mut self.depth)?;
        Ok(Looked {
            tensor: &self.tensor,
            network: size,
            depth: &self.depth,
        })
    }
}
