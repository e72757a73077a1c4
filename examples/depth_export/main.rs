//! A film or a sequence of pictures in, its depth out, for post-production: 16-bit PNG, EXR with the model's own numbers,
//! or FFV1.
//!
//! ```sh
//! cargo run --release --example depth_export -- film.mp4 depth --format exr --resolution 728
//! cargo run --release --example depth_export -- shot.%04d.png depth --frames 1001-1048 --name shot_depth.%04d
//! ```
//!
//! Frames go into a folder, one file each, with `frames.csv`: each frame's time, what its samples mean, its timecode. A
//! frame takes its name once it is whole, and stands in the table once it is on the disk. FFV1 is one film with a table
//! beside it. The same command again goes on where it was interrupted.
//!
//! | exit code | |
//! |---|---|
//! | 0 | done |
//! | 1 | try again: the disk, a lock, memory, a library that is missing here |
//! | 2 | never: the options, the film or the model |
//! | 130, 143 | interrupted; what is finished is whole |

mod container;
#[path = "../common/decoding.rs"]
mod decoding;
mod exr;
mod failure;
mod film;
mod frames;
mod index;
mod job;
mod journal;
#[path = "../common/link_video.rs"]
mod link_video;
mod matroska;
mod merge;
#[path = "../common/orientation.rs"]
mod orientation;
mod places;
mod player;
mod progress;
mod selection;
mod settings;
mod shots;
mod source;
#[path = "../common/stalled.rs"]
mod stalled;
mod stop;
mod timecode;

use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::failure::Failure;
use crate::selection::Selection;
use crate::shots::Cuts;

/// Writes the depth of a film or an image sequence, frame by frame. The same command again goes on after an
/// interruption.
#[derive(Parser)]
#[command(name = "depth_export", after_help = AFTER_HELP)]
struct Arguments {
    /// The film, or an image sequence such as shot.%04d.png or shot.####.png.
    film: PathBuf,
    /// Folder for the frames, which is made; for ffv1 the film to write.
    out: PathBuf,
    /// What to write.
    #[arg(long, value_enum, default_value_t = Format::Png)]
    format: Format,
    /// Frames to write, by number, both ends in: 0-99, or 0-9,20,30- (to the end). Default: all.
    #[arg(long, value_name = "LIST", value_parser = Selection::parse)]
    frames: Option<Selection>,
    /// Number of the film's first frame [default: 0]; of a sequence the number to begin at [default: its lowest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    start_number: Option<u64>,
    /// Frames a second of an image sequence, as 24, 23.976 or 24000/1001.
    #[arg(long, value_name = "RATE", default_value = "24", value_parser = parse_rate)]
    fps: gst::Fraction,
    /// Names of the written frames, with the place of the number; the extension comes by itself.
    #[arg(long, value_name = "PATTERN", default_value = "depth_%06d")]
    name: String,
    /// Short side of what the network sees, in pixels.
    #[arg(long, default_value_t = 518)]
    resolution: u32,
    /// Short side of the frames that fine structure comes from, above --resolution; 0: none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    detail_resolution: u32,
    /// An ONNX model; without it the built-in one.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Near is black, in relative depth.
    #[arg(long)]
    invert: bool,
    /// locked, frame, smooth, or LOW:HIGH in the model's units: which of its values become 0 and 65535. locked: one range
    /// for each shot, found by a first pass. frame: each frame's own. Both cut nothing off; smooth, which looks ahead
    /// at nothing, and LOW:HIGH do. [default: locked; for exr, which holds the model's own numbers, frame]
    #[arg(long)]
    range: Option<String>,
    /// Where shots begin, for --range locked: auto, none (one range for all), or each shot's first frame, as 0,30,95.
    #[arg(long, value_name = "FRAMES", value_parser = Cuts::parse)]
    shots: Option<Cuts>,
    /// Any other property of depthanything, as NAME=VALUE. May be given several times. precision=fp32 is set first;
    /// precision=auto may be faster, in coarser steps of depth
    #[arg(long = "set", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// Threads that write frames; 0: one for each core.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=256))]
    threads: u16,
    /// Only the I-th of N equal parts, from 1 on; `depth_export merge OUT` joins them. With --range locked twice: the first
    /// run finds ranges, `merge` joins them to shots, the second run makes the frames.
    #[arg(long, value_name = "I/N", value_parser = Shard::parse)]
    shard: Option<Shard>,
    /// How progress is told: for people on stderr, or as lines of JSON on stdout.
    #[arg(long, value_enum, default_value_t = Telling::Text)]
    progress: Telling,
}

const AFTER_HELP: &str = "`depth_export merge OUT` joins what --shard has made. Exit codes: 0 done; 1 try again (disk, lock, memory, library); 2 never (options, film, model); \
     130, 143 interrupted, and what is finished is whole.";

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

/// How progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Telling {
    Text,
    Json,
}

/// One of several equal parts, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is not I/N, such as 1/3 for the first of three");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let part = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let (number, of) = (part(number)?, part(of)?);
        if !(1..=of).contains(&number) {
            return Err(format!(
                "{text}: of {of} parts there is none of number {number}"
            ));
        }
        Ok(Self { number, of })
    }
}

/// Reads a frame rate.
fn parse_rate(text: &str) -> Result<gst::Fraction, String> {
    let wrong = || format!("{text} is no frame rate such as 24, 23.976 or 24000/1001");
    let rate = match text.split_once('/') {
        Some((rate, scale)) => {
            let number = |text: &str| text.parse::<i32>().ok().filter(|&number| number > 0);
            gst::Fraction::new(
                number(rate).ok_or_else(wrong)?,
                number(scale).ok_or_else(wrong)?,
            )
        }
        None => {
            let rate: f64 = text.parse().map_err(|_| wrong())?;
            // television's rates are meant by their rounded numbers
            let ntsc = (rate * 1.001).round();
            if (rate - ntsc / 1.001).abs() < 0.005 && rate.fract() != 0.0 {
                gst::Fraction::new((ntsc * 1000.0) as i32, 1001)
            } else {
                gst::Fraction::approximate_f64(rate).ok_or_else(wrong)?
            }
        }
    };
    let per_second = f64::from(rate.numer()) / f64::from(rate.denom());
    (per_second > 0.001 && per_second <= 1000.0)
        .then_some(rate)
        .ok_or_else(wrong)
}

impl Arguments {
    fn json(&self) -> bool {
        self.progress == Telling::Json
    }
}

fn main() -> ExitCode {
    // one line, no backtrace: it is a fault of this program, whatever it was given
    panic::set_hook(Box::new(|panic| {
        eprintln!("error: a fault of depth_export itself, please report it: {panic}");
    }));
    let merges = std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == "merge");
    let run = || {
        if merges {
            let arguments = std::env::args_os().enumerate();
            let arguments = arguments
                .filter(|(place, _)| *place != 1)
                .map(|(_, argument)| argument);
            return merge::run(&merge::Arguments::parse_from(arguments)).map(|()| job::End::Done);
        }
        job::run(&Arguments::parse())
    };
    let ended = panic::catch_unwind(run)
        .unwrap_or_else(|_| Err(Failure::never("nothing more could be done")));
    match ended {
        Ok(job::End::Done) => ExitCode::SUCCESS,
        Ok(job::End::Interrupted(signal)) => ExitCode::from(signal.exit_code()),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
