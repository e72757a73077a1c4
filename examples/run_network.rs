//! Runs a network on noise and prints how long that takes and how much memory.
//!
//! ```text
//! cargo run --release --example run_network -- [--plain] [--provider NAME] [--device D] [--precision P] [--threads N]
//!     [--runs N] [--batch N] [--compare] [--engine-cache FOLDER] MODEL WIDTHxHEIGHT…
//! ```
//!
//! `MODEL` is an ONNX file or `builtin`. Sizes are run one after the other; `--runs` is 5, after one run to warm up. The
//! memory is the largest that the process had so far, so give one size for a clean number. `--plain` leaves the graph
//! as it is in the file. ONNX Runtime is found as the plugin finds it (`. scripts/env.sh`).

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use gstdepthanything::geometry::Size;
use gstdepthanything::inference::backend::{DepthMaps, Images};
use gstdepthanything::inference::{self, Config, ExecutionProvider, Precision, Progress};
use gstdepthanything::model::ModelSource;

struct Wanted {
    config: Config,
    runs: usize,
    batch: usize,
    compare: bool,
    sizes: Vec<Size>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| run(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a network on noise and prints how long that takes and how much memory.
#[derive(Parser)]
#[command(name = "run_network")]
struct Arguments {
    /// An ONNX file, or builtin.
    model: PathBuf,
    /// Sizes to run, one after the other. Give one for a clean figure of memory.
    #[arg(value_name = "WIDTHxHEIGHT", default_value = "518x518", value_parser = size)]
    sizes: Vec<Size>,
    /// Who runs it: auto, cpu, cuda, tensorrt, openvino or webgpu.
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    provider: String,
    /// The provider's device.
    #[arg(long, default_value = "")]
    device: String,
    /// auto, fp32, fp16 or bf16.
    #[arg(long, default_value = "auto")]
    precision: String,
    /// Threads on the CPU; 0: one for each core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Runs that are timed, after one to warm up.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Images in each run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    batch: u16,
    /// Compares the depth with that of fp32 on the CPU.
    #[arg(long)]
    compare: bool,
    /// Leaves the graph as it is in the file.
    #[arg(long)]
    plain: bool,
    /// Folder for compiled engines.
    #[arg(long, value_name = "FOLDER")]
    engine_cache: Option<PathBuf>,
}

fn size(text: &str) -> Result<Size, String> {
    parse(text).ok_or(format!("{text} is no WIDTHxHEIGHT"))
}

fn wanted() -> Result<Wanted, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut config = Config {
        provider: provider(&arguments.provider)?,
        rewrite: !arguments.plain,
        device: arguments.device,
        precision: precision(&arguments.precision)?,
        threads: arguments.threads,
        engine_cache: arguments.engine_cache,
        ..Config::new(ModelSource::Builtin)
    };
    if arguments.model.as_os_str() != "builtin" {
        config.model = ModelSource::File(arguments.model);
    }
    let (runs, compare, sizes) = (arguments.runs.max(1), arguments.compare, arguments.sizes);
    Ok(Wanted {
        config,
        runs,
        batch: usize::from(arguments.batch),
        compare,
        sizes,
    })
}

fn provider(name: &str) -> Result<ExecutionProvider, String> {
    use ExecutionProvider::{Auto, Cpu, Cuda, Openvino, Tensorrt, Webgpu};
    [Auto, Cpu, Cuda, Tensorrt, Openvino, Webgpu]
        .into_iter()
        .find(|provider| provider.name() == name)
        .ok_or_else(|| format!("no provider {name}"))
}

fn precision(name: &str) -> Result<Option<Precision>, String> {
    use Precision::{Bf16, Fp16, Fp32};
    if name == "auto" {
        return Ok(None);
    }
    let named = [Fp32, Fp16, Bf16].into_iter().find(|it| it.name() == name);
    named
        .map(Some)
        .ok_or_else(|| format!("no precision {name}"))
}

fn parse(size: &str) -> Option<Size> {
    let (width, height) = size.split_once('x')?;
    let side = |side: &str| side.parse().ok().filter(|side| (1..=16384).contains(side));
    Some(Size::new(side(width)?, side(height)?))
}

fn run(wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut network = inference::open(&wanted.config, &mut |progress| {
        if let Progress::Fallback { reason, .. } = progress {
            println!("  {reason}");
        }
    })?;
    let description = network.description();
    println!(
        "{}, {} {}, {} attentions fused; opened in {:.1} s, {} MB",
        description.model,
        description.provider,
        description.precision,
        description.fused_attentions,
        start.elapsed().as_secs_f64(),
        peak_megabytes(),
    );
    for note in &description.notes {
        println!("  {note}");
    }
    let mut depth = DepthMaps::default();
    for &size in &wanted.sizes {
        let values = noise(3 * size.area() * wanted.batch);
        let images = Images {
            values: &values,
            batch: wanted.batch,
            size,
        };
        network.run(images, &mut depth)?;
        let mut times = Vec::with_capacity(wanted.runs);
        for _ in 0..wanted.runs {
            let start = Instant::now();
            network.run(images, &mut depth)?;
            times.push(start.elapsed());
        }
        times.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "{size}: median {:.1} ms, least {:.1} ms, peak {} MB",
            milliseconds(times[times.len() / 2]),
            milliseconds(times[0]),
            peak_megabytes()
        );
        if wanted.compare {
            let mut reference = inference::open(
                &Config {
                    provider: ExecutionProvider::Cpu,
                    device: String::new(),
                    precision: Some(Precision::Fp32),
                    ..wanted.config.clone()
                },
                &mut |_| {},
            )?;
            let mut expected = DepthMaps::default();
            reference.run(images, &mut expected)?;
            println!(
                "{size}: against fp32 on the CPU: {}",
                compared(&expected.values, &depth.values)
            );
        }
    }
    Ok(())
}

/// Correlation, and the largest difference as a part of the range.
fn compared(expected: &[f32], found: &[f32]) -> String {
    let pairs = || {
        std::iter::zip(expected, found)
            .map(|(&expected, &found)| (f64::from(expected), f64::from(found)))
    };
    let count = expected.len() as f64;
    let (x, y) = pairs().fold((0.0, 0.0), |(x, y), pair| {
        (x + pair.0 / count, y + pair.1 / count)
    });
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    let (mut low, mut high, mut worst) = (f64::MAX, f64::MIN, 0_f64);
    for (a, b) in pairs() {
        xx += (a - x).powi(2);
        yy += (b - y).powi(2);
        xy += (a - x) * (b - y);
        low = low.min(a);
        high = high.max(a);
        worst = worst.max((a - b).abs());
    }
    format!(
        "correlation {:.6}, at most {:.3} % of the range",
        xy / (xx * yy).sqrt(),
        100.0 * worst / (high - low)
    )
}

fn noise(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 22) as f32 - 2.0
    })
    .take(count)
    .collect()
}

/// The most memory that this process had in RAM.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .parse()
            .ok()
    });
    kilobytes.unwrap_or(0_u64) / 1024
}
