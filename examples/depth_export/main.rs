//! A film in, its depth out, for post-production: 16-bit PNG, EXR with the model's own numbers, or FFV1.
//!
//! ```sh
//! cargo run --release --example depth_export -- film.mp4 depth --format exr --resolution 728
//! ```
//!
//! A sequence is a folder of `depth_000000.png` or `.exr`, one for each frame of the film, and `frames.csv`, which has
//! each frame's time stamp and what its samples mean. A frame takes its name once it is whole. The same command again
//! goes on where it was interrupted. With FFV1 the film itself begins again, and `OUT.csv` stands beside it.

mod exr;
mod frames;
mod job;
mod journal;
#[path = "../common/link_video.rs"]
mod link_video;
mod shots;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Writes the depth of a film, frame by frame. The same command again goes on after an interruption.
#[derive(Parser)]
#[command(name = "depth_export")]
struct Arguments {
    /// The film.
    film: PathBuf,
    /// Folder for the frames, which is made; for ffv1 the film to write.
    out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Png)]
    format: Format,
    /// Short side of what the network sees, in pixels.
    #[arg(long, default_value_t = 518)]
    resolution: u32,
    /// An ONNX model; without it the built-in one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Near is black, in relative depth.
    #[arg(long)]
    invert: bool,
    /// smooth, frame, locked, or LOW:HIGH in the model's units. locked: one range for each shot, found by a first pass
    /// over the film. EXR holds the model's own numbers whatever the range, but what
    /// lies outside of it is cut off, and so has `frame` unless something else is said.
    #[arg(long)]
    range: Option<String>,
    /// Any other property of depthanything, as NAME=VALUE. May be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Threads that write frames; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// 16-bit grey PNG: the samples.
    Png,
    /// EXR, 32-bit float: the model's own numbers in channel Z, and copies of it in X and Y for readers that know no Z.
    Exr,
    /// One film, FFV1 in Matroska: the samples.
    Ffv1,
}

impl Arguments {
    /// Whether each shot has a range of its own, to be found by a first pass.
    fn locked(&self) -> bool {
        self.range.as_deref() == Some("locked")
    }

    /// The element's properties, in an order that does not depend on the command line's.
    fn settings(&self) -> Result<Vec<(String, String)>, Box<dyn Error>> {
        let mut settings = vec![
            ("resolution".to_owned(), self.resolution.to_string()),
            ("invert".to_owned(), self.invert.to_string()),
        ];
        let exr = self.format == Format::Exr;
        let range = self
            .range
            .as_deref()
            .unwrap_or(if exr { "frame" } else { "smooth" });
        match range.split_once(':') {
            // what the first shot makes of it comes with its first frame
            None if self.locked() => {
                for (name, value) in [("range-min", "0"), ("range-max", "1"), ("range", "fixed")] {
                    settings.push((name.into(), value.into()));
                }
            }
            None => settings.push(("range".into(), range.into())),
            Some((low, high)) => {
                let wrong = |_| format!("--range {range} is not smooth, frame, locked or LOW:HIGH");
                let ends = [
                    low.parse::<f64>().map_err(wrong)?,
                    high.parse().map_err(wrong)?,
                ];
                if ends[0] >= ends[1] {
                    return Err(format!("--range {range}: the lower end comes first").into());
                }
                settings.push(("range-min".into(), low.into()));
                settings.push(("range-max".into(), high.into()));
                settings.push(("range".into(), "fixed".into()));
            }
        }
        if let Some(model) = &self.model {
            let model = model
                .to_str()
                .ok_or("the model's path is not UTF-8: rename it")?;
            settings.push(("model-file".into(), model.into()));
        }
        for property in &self.properties {
            let (name, value) = property
                .split_once('=')
                .ok_or_else(|| format!("--set {property} is not NAME=VALUE"))?;
            settings.push((name.into(), value.into()));
        }
        Ok(settings)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match job::run(&arguments) {
        Ok(job::End::Done) => ExitCode::SUCCESS,
        Ok(job::End::Interrupted) => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
