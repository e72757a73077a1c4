//! Feeds the plugin what means harm, changed at random in ways that keep its form.
//!
//! ```text
//! cargo run --profile fuzz -p fuzz -- [--target model|metas|caps|journal|all] [--seconds N] [--seed N] [--runs N]
//! ```
//!
//! Runs on stable Rust. A run that panics, computes longer than [`TIMEOUT`] or makes the process larger than
//! [`LARGEST`] ends it with the seed that does so again: `--target T --seed N --runs 1`.

mod caps;
mod journal;
mod metas;
mod model;
mod random;

use std::error::Error;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use journal::{failure, timecode};
use random::Random;

/// Longest that one run may compute: they take milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest that one run may take: on a busy machine a process waits for its turn.
const LONGEST: Duration = Duration::from_secs(600);
/// Most memory that the process may have had, in bytes.
const LARGEST: u64 = 1_500_000_000;

/// One kind of input.
trait Target {
    /// Makes an input of `random`, and feeds it. What it gets told is its own, to count the ways that runs went.
    fn run(&mut self, random: &mut Random) -> &'static str;
}

const TARGETS: [&str; 4] = ["model", "metas", "caps", "journal"];

fn target(name: &str) -> Result<Box<dyn Target>, Box<dyn Error>> {
    Ok(match name {
        "model" => Box::new(model::Models::new()?),
        "metas" => Box::new(metas::Metas::new()?),
        "caps" => Box::new(caps::Offers::new()?),
        "journal" => Box::new(journal::Journals::new()?),
        _ => {
            return Err(format!("there is no target {name:?}, only {}", TARGETS.join(", ")).into());
        }
    })
}

struct Wanted {
    target: String,
    time: Duration,
    seed: u64,
    runs: u64,
}

fn wanted() -> Result<Wanted, Box<dyn Error>> {
    let mut wanted = Wanted {
        target: "all".to_owned(),
        time: Duration::from_secs(60),
        seed: 1,
        runs: u64::MAX,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or(format!("{argument} wants a value"))?;
        match argument.as_str() {
            "--target" => wanted.target = value,
            "--seconds" => wanted.time = Duration::from_secs(value.parse()?),
            "--seed" => wanted.seed = value.parse()?,
            "--runs" => wanted.runs = value.parse()?,
            _ => return Err(format!("{argument} is not known").into()),
        }
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| fuzz(&wanted)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The seed of the run under way, and how many were before it.
static SEED: AtomicU64 = AtomicU64::new(0);
static RUN: AtomicU64 = AtomicU64::new(0);

/// Ends the process when a run does not end.
fn watch() -> ! {
    let mut run = u64::MAX;
    let (mut began, mut computed) = (Instant::now(), Duration::ZERO);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = RUN.load(Ordering::Relaxed);
        if now != run {
            (run, began, computed) = (now, Instant::now(), main_computed());
            continue;
        }
        if main_computed().saturating_sub(computed) > TIMEOUT || began.elapsed() > LONGEST {
            eprintln!("seed {} does not end", SEED.load(Ordering::Relaxed));
            std::process::abort();
        }
    }
}

/// For how long the main thread has had a core, where the system tells.
fn main_computed() -> Duration {
    let times = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanoseconds = times
        .split_whitespace()
        .next()
        .and_then(|it| it.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn fuzz(wanted: &Wanted) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    std::thread::spawn(|| watch());
    let names: Vec<&str> = match wanted.target.as_str() {
        "all" => TARGETS.to_vec(),
        name => vec![name],
    };
    let share = wanted.time / u32::try_from(names.len())?;
    for name in names {
        let mut target = target(name)?;
        let mut ways = std::collections::BTreeMap::<&str, u64>::new();
        let (begun, computed) = (Instant::now(), main_computed());
        let mut runs = 0;
        let mut slowest = (0, Duration::ZERO);
        while runs < wanted.runs && begun.elapsed() < share {
            let seed = wanted.seed.wrapping_add(runs);
            SEED.store(seed, Ordering::Relaxed);
            RUN.fetch_add(1, Ordering::Relaxed);
            let run_began = Instant::now();
            let run = std::panic::AssertUnwindSafe(|| target.run(&mut Random::new(seed)));
            let way =
                std::panic::catch_unwind(run).map_err(|_| format!("{name}: seed {seed} panics"))?;
            *ways.entry(way).or_default() += 1;
            runs += 1;
            let took = run_began.elapsed();
            if took > slowest.1 {
                slowest = (seed, took);
            }
            if runs % 64 == 0 && largest() > LARGEST {
                return Err(format!(
                    "{name}: at seed {seed} the process has had {} MB",
                    largest() >> 20
                )
                .into());
            }
        }
        println!(
            "{name}: {runs} runs from seed {} in {:.0} s ({:.0} s computed), the slowest {:.0} ms (seed {}), {} MB at most; {ways:?}",
            wanted.seed,
            begun.elapsed().as_secs_f64(),
            main_computed().saturating_sub(computed).as_secs_f64(),
            slowest.1.as_secs_f64() * 1e3,
            slowest.0,
            largest() >> 20
        );
    }
    Ok(())
}

/// Bytes that the process has had at most, where the system tells.
fn largest() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
