//! Measures depth on films: how steady it is, and how well its edges follow the picture.
//!
//! ```text
//! cargo run --release --example marks -- steady [--resolution N] [--model FILE] [--frames N] [--temporal-filter X]
//!     [--plot FILE.svg] FILM…
//! cargo run --release --example marks -- edges [--resolution N] [--model FILE] [--frames N] FILM…
//! cargo run --release --example marks -- visits [--resolution N] [--model FILE] [--frames N] [--temporal-filter X]
//!     [--depths FOLDER] FILM…
//! cargo run --release --example marks -- moving [--resolution N] [--model FILE] [--frames N] [--temporal-filter X]
//!     [--depths FOLDER] FILM…
//! cargo run --release --example marks -- cuts FILM…
//! ```
//!
//! A film is a folder that `depth-scenes film` has rendered, with exact depth, or a file that GStreamer plays. Depth
//! comes from the built-in model if there is no `--model`. `scripts/marks` renders films and runs this on them.

mod cuts;
mod edges;
mod film;
mod moving;
mod plot;
mod steady;
mod visits;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gstdepthanything::frame::{Frame, FrameFormat, TensorWriter};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::inference::backend::{DepthMaps, Images, Network};
use gstdepthanything::inference::{self, Config};
use gstdepthanything::model::InputNormalization;
use gstdepthanything::model::ModelSource;

use film::{Film, Shot};

/// Measures depth on videos: how steady it is, and how well its edges follow the picture.
#[derive(Parser)]
#[command(name = "marks")]
struct Wanted {
    /// What is measured.
    #[arg(value_parser = ["steady", "visits", "moving", "edges", "cuts"])]
    mark: String,
    /// Short side of what the network sees, in pixels.
    #[arg(long, default_value_t = 252)]
    resolution: u32,
    /// An ONNX model; without it the built-in one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// File for a plot of steadiness, as SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// The property that steadiness is measured with.
    #[arg(long, default_value_t = 0.03)]
    temporal_filter: f64,
    /// Keeps what the network gave here, for another run with the same model and resolution.
    #[arg(long)]
    depths: Option<PathBuf>,
    /// Frames of each video.
    #[arg(long, default_value_t = 150)]
    frames: usize,
    /// Videos, or folders that `depth-scenes film` has rendered.
    #[arg(value_name = "VIDEO", required = true)]
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Wanted::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
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
        "visits" => visits::run(&mut eye, &films, wanted.temporal_filter),
        "moving" => moving::run(&mut eye, &films, wanted.temporal_filter),
        "edges" => edges::run(&mut eye, &films),
        other => Err(format!(
            "{other:?} can't be measured, only: steady, visits, moving, edges, cuts"
        )
        .into()),
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
    /// Where depth is kept.
    depths: Option<PathBuf>,
}

impl Eye {
    fn new(wanted: &Wanted) -> Result<Self, Box<dyn Error>> {
        let model = wanted.model.clone();
        let config = Config::new(model.map_or(ModelSource::Builtin, ModelSource::File));
        Ok(Self {
            network: inference::open(&config, &mut |_| {})?,
            resolution: wanted.resolution,
            writer: None,
            tensor: Vec::new(),
            depth: DepthMaps::default(),
            depths: wanted.depths.clone(),
        })
    }

    /// As [`Self::look`]; frame `place` of the film `name` is looked at once, if depth is kept.
    fn look_again(
        &mut self,
        name: &str,
        place: usize,
        shot: &Shot,
    ) -> Result<Looked<'_>, Box<dyn Error>> {
        let Some(folder) = &self.depths else {
            return self.look(shot);
        };
        let file = folder.join(name).join(format!("{place:05}.f32"));
        match std::fs::read(&file) {
            Ok(bytes) => {
                let size = self.see(shot)?;
                let values = bytes.chunks_exact(4);
                let values = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
                self.depth.values.clear();
                self.depth.values.extend(values);
                self.depth.size = size;
                if self.depth.values.len() != size.area() {
                    return Err(format!("{} is of another size", file.display()).into());
                }
            }
            Err(_) => {
                std::fs::create_dir_all(folder.join(name))?;
                let looked = self.look(shot)?;
                let values = looked.depth.values.iter();
                let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
                std::fs::write(&file, bytes)?;
            }
        }
        Ok(Looked {
            tensor: &self.tensor,
            network: self.depth.size,
            depth: &self.depth,
        })
    }

    fn look(&mut self, shot: &Shot) -> Result<Looked<'_>, Box<dyn Error>> {
        let size = self.see(shot)?;
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

    /// Makes the tensor.
    fn see(&mut self, shot: &Shot) -> Result<Size, Box<dyn Error>> {
        let patch = self.network.description().patch;
        let size = network_size(shot.size, (1, 1), self.resolution, patch)?;
        let writer = match &mut self.writer {
            Some((known, writer)) if *known == shot.size => writer,
            other => {
                let format = FrameFormat::rgb(shot.size);
                let writer = TensorWriter::new(
                    &format,
                    size,
                    InputNormalization::Imagenet.mean_and_deviation().into(),
                )?;
                &mut other.insert((shot.size, writer)).1
            }
        };
        self.tensor.resize(3 * size.area(), 0.0);
        let frame = Frame::packed(&shot.rgb, 3 * shot.size.width as usize);
        writer.write(&frame, &mut self.tensor)?;
        Ok(size)
    }
}
