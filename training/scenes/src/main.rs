//! The command line of the scenes.

use clap::{Args, Parser, Subcommand};
use depth_scenes::film::{self, Film, Motion};
use depth_scenes::sample::{Wanted, sample};
use depth_scenes::scenes::{self, KINDS};
use depth_scenes::{sheet, stream};
use std::io::{self, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Procedural scenes with exact depth.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args, Clone)]
struct Which {
    /// Seed of the stream.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sizes to draw from: WIDTHxHEIGHT, by commas.
    #[arg(long, default_value = "288x216", value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<(usize, usize)>,
    /// Only this kind of scene (see `kinds`).
    #[arg(long)]
    kind: Option<String>,
    /// How often kinds come: NAME=WEIGHT, by commas; those not named keep their weight, unless `rest=WEIGHT` is there too.
    #[arg(long, value_delimiter = ',', value_parser = parse_weight, conflicts_with = "kind")]
    mix: Vec<(String, f32)>,
    /// Leave the sensor stage off: sharp, without noise.
    #[arg(long)]
    clean: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Write records to standard output.
    Stream {
        #[command(flatten)]
        which: Which,
        /// Index of the first sample.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// How many; without it there is no end.
        #[arg(long)]
        count: Option<u64>,
    },
    /// List the kinds of scenes.
    Kinds,
    /// Draw a contact sheet: pictures beside their depth.
    Sheet {
        #[command(flatten)]
        which: Which,
        /// Index of the first sample.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// How many samples.
        #[arg(long, default_value_t = 24)]
        count: usize,
        /// The PNG to write.
        #[arg(long)]
        out: PathBuf,
    },
    /// Render a film with exact depth and known cameras: frame_*.png, depth_*.pfm (inverse depth), film.json.
    Film {
        /// Seed of the scene.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Kind of the scene (see `kinds`).
        #[arg(long, default_value = "street")]
        kind: String,
        /// WIDTHxHEIGHT.
        #[arg(long, default_value = "640x360", value_parser = parse_size)]
        size: (usize, usize),
        /// How many frames.
        #[arg(long, default_value_t = 60)]
        frames: usize,
        /// Frames per second.
        #[arg(long, default_value_t = 30.0, value_parser = parse_fps)]
        fps: f32,
        /// What moves.
        #[arg(long, value_enum, default_value_t = Motion::Walk)]
        motion: Motion,
        /// Put sensor noise on the frames, another on each.
        #[arg(long)]
        noise: bool,
        /// Folder to write to; it is made.
        #[arg(long)]
        out: PathBuf,
    },
    /// Render scenes of thin and small things: detail_*.png, detail_*.pfm (inverse depth), detail_*.json.
    Detail {
        /// Seed of the scenes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// WIDTHxHEIGHT; the same scene at another size has the same depth.
        #[arg(long, default_value = "1280x720", value_parser = parse_size)]
        size: (usize, usize),
        /// How many scenes.
        #[arg(long, default_value_t = 1)]
        count: u64,
        /// Folder to write to; it is made.
        #[arg(long)]
        out: PathBuf,
    },
    /// Measure images per second on one core.
    Bench {
        #[command(flatten)]
        which: Which,
        /// How many samples.
        #[arg(long, default_value_t = 200)]
        count: u64,
    },
}

fn parse_size(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("'{text}' is not a size like 288x216");
    let (w, h) = text.split_once('x').ok_or_else(wrong)?;
    let side = |s: &str| s.parse::<usize>().ok().filter(|n| (16..=8192).contains(n));
    match (side(w), side(h)) {
        (Some(w), Some(h)) => Ok((w, h)),
        _ => Err(format!("{}, sides from 16 to 8192", wrong())),
    }
}

/// In `--mix`: every kind that is not named.
const REST: &str = "rest";

fn parse_weight(text: &str) -> Result<(String, f32), String> {
    let parsed = text
        .split_once('=')
        .and_then(|(name, weight)| Some((name.to_owned(), weight.parse::<f32>().ok()?)));
    match parsed {
        Some((name, weight)) if (0.0..=1e6).contains(&weight) => Ok((name, weight)),
        _ => Err(format!("'{text}' is not NAME=WEIGHT, weights from 0 on")),
    }
}

fn parse_fps(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(f) if f > 0.0 && f <= 1000.0 => Ok(f),
        _ => Err(format!(
            "'{text}' is not a rate between 0 and 1000 frames per second"
        )),
    }
}

impl Which {
    fn wanted(&self) -> Result<Wanted, String> {
        let kind = match &self.kind {
            None => None,
            Some(name) => Some(kind_of(name)?),
        };
        let mut weights = scenes::usual();
        if let Some((_, rest)) = self.mix.iter().find(|(name, _)| name == REST) {
            weights.fill(*rest);
        }
        for (name, weight) in self.mix.iter().filter(|(name, _)| name != REST) {
            weights[kind_of(name)?] = *weight;
        }
        if weights.iter().sum::<f32>() <= 0.0 {
            return Err("--mix leaves no kind of scene".into());
        }
        Ok(Wanted {
            seed: self.seed,
            sizes: self.sizes.clone(),
            kind,
            weights,
            clean: self.clean,
        })
    }
}

fn kind_of(name: &str) -> Result<usize, String> {
    scenes::find(name).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|k| k.name).collect();
        format!("there is no kind '{name}'; kinds are {}", names.join(", "))
    })
}

fn run(cli: Cli) -> Result<(), String> {
    match cli.verb {
        Verb::Stream {
            which,
            first,
            count,
        } => {
            let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
            stream::stream(&mut out, &which.wanted()?, first, count)
                .map_err(|e| format!("cannot write: {e}"))
        }
        Verb::Kinds => {
            for (i, k) in KINDS.iter().enumerate() {
                println!("{i:3} {}", k.name);
            }
            Ok(())
        }
        Verb::Sheet {
            which,
            first,
            count,
            out,
        } => sheet::sheet(&out, &which.wanted()?, first, count)
            .map_err(|e| format!("cannot write {}: {e}", out.display())),
        Verb::Film {
            seed,
            kind,
            size,
            frames,
            fps,
            motion,
            noise,
            out,
        } => {
            let film = Film {
                seed,
                kind: kind_of(&kind)?,
                size,
                frames,
                fps,
                motion,
                noise,
            };
            film.write(&out)
                .map_err(|e| format!("cannot write to {}: {e}", out.display()))
        }
        Verb::Detail {
            seed,
            size,
            count,
            out,
        } => film::write_details(&out, seed, size, count)
            .map_err(|e| format!("cannot write to {}: {e}", out.display())),
        Verb::Bench { which, count } => {
            bench(&which.wanted()?, count);
            Ok(())
        }
    }
}

/// What this thread has had of a core; where the system does not say, how long it took.
fn busy(since: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|s| s.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(|| since.elapsed().as_secs_f64(), |ns| ns * 1e-9)
}

fn bench(wanted: &Wanted, count: u64) {
    let start = Instant::now();
    std::hint::black_box(sample(wanted, u64::MAX));
    println!(
        "first image (with patterns and meshes): {:.2} s",
        busy(start)
    );
    let mut by_kind = vec![(0u32, 0f64); KINDS.len()];
    let before = busy(start);
    for index in 0..count {
        let t = busy(start);
        let s = std::hint::black_box(sample(wanted, index));
        by_kind[s.kind].0 += 1;
        by_kind[s.kind].1 += busy(start) - t;
    }
    let seconds = busy(start) - before;
    for (k, (n, t)) in KINDS.iter().zip(&by_kind) {
        if *n > 0 {
            println!(
                "{:>14} {:4} images, {:6.2} ms each",
                k.name,
                n,
                t * 1e3 / f64::from(*n)
            );
        }
    }
    println!("{:.1} images/s on one core", count as f64 / seconds);
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("depth-scenes: {message}");
            ExitCode::FAILURE
        }
    }
}
