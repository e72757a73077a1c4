//! Runs a network on noise and prints how long that takes and how much memory.
//!
//! ```text
//! cargo run --release --example run_network -- [--plain] [--provider NAME] [--device D] [--precision P] [--threads N]
//!     [--runs N] [--compare] [--engine-cache FOLDER] MODEL WIDTHxHEIGHT…
//! ```
//!
//! `MODEL` is an ONNX file or `builtin`. Sizes are run one after the other; `--runs` is 5, after one run to warm up. The
//! memory is the largest that the process had so far, so give one size for a clean number. `--plain` leaves the graph
//! as it is in the file. ONNX Runtime is found as the plugin finds it (`. scripts/env.sh`).

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use gstdepthanything::engine::network::{DepthMaps, Images};
use gstdepthanything::engine::{self, Config, ExecutionProvider, Precision, Progress};
use gstdepthanything::geometry::Size;
use gstdepthanything::model::ModelSource;

struct Wanted {
    config: Config,
    runs: usize,
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

fn wanted() -> Result<Wanted, Box<dyn Error>> {
    let mut config = Config {
        provider: ExecutionProvider::Cpu,
        ..Config::new(ModelSource::Builtin)
    };
    let mut runs = 5;
    let mut compare = false;
    let mut sizes = Vec::new();
    let mut model = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--compare" => compare = true,
            "--engine-cache" => config.engine_cache = Some(value()?.into()),
            "--plain" => config.rewrite = false,
            "--provider" => config.provider = provider(&value()?)?,
            "--device" => config.device = value()?,
            "--precision" => config.precision = precision(&value()?)?,
            "--threads" => config.threads = value()?.parse()?,
            "--runs" => runs = value()?.parse::<usize>()?.max(1),
            _ if model.is_none() => model = Some(argument),
            size => sizes.push(parse(size).ok_or(format!("{size} is no WIDTHxHEIGHT"))?),
        }
    }
    match model.as_deref() {
        None => return Err("give a model, or `builtin`".into()),
        Some("builtin") => {}
        Some(path) => config.model = ModelSource::File(path.into()),
    }
    if sizes.is_empty() {
        sizes.push(Size::new(518, 518));
    }
    Ok(Wanted {
        config,
        runs,
        compare,
        sizes,
    })
}

fn provider(name: &str) -> Result<ExecutionProvider, String> {
    use ExecutionProvider::{Auto, Cpu, Cuda, Openvino, Tensorrt};
    [Auto, Cpu, Cuda, Tensorrt, Openvino]
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
    Some(Size::new(width.parse().ok()?, height.parse().ok()?))
}

fn run(wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut network = engine::open(&wanted.config, &mut |progress| {
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
        let values = noise(3 * size.area());
        let images = Images {
            values: &values,
            batch: 1,
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
            "{size}: median {:.0} ms, least {:.0} ms, peak {} MB",
            milliseconds(times[times.len() / 2]),
            milliseconds(times[0]),
            peak_megabytes()
        );
        if wanted.compare {
            let mut reference = engine::open(
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
