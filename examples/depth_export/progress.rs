//! How far a run has come: a bar on a terminal, else a line each tenth, or lines of JSON for a program.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Lines of JSON come as often as this at most.
const EVERY: Duration = Duration::from_millis(500);

/// Of one pass.
pub(crate) struct Progress {
    bar: ProgressBar,
    json: bool,
    /// What is being done, for programs.
    stage: &'static str,
    /// Frames that were done before.
    before: u64,
    started: Instant,
    told: Option<Instant>,
    tenth: u64,
}

/// Where a pass is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// Frames that are done, also earlier.
    pub(crate) done: u64,
    /// Of so many, where that is known.
    pub(crate) of: Option<u64>,
    /// Else the share of the film's time.
    pub(crate) share: Option<f64>,
}

impl Progress {
    pub(crate) fn new(stage: &'static str, before: u64, json: bool) -> Self {
        let style =
            ProgressStyle::with_template("{spinner} {wide_bar} {percent:>3} %  {msg}  {eta} left");
        let bar = if json {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(1000)
        };
        Self {
            bar: bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
            json,
            stage,
            before,
            started: Instant::now(),
            told: None,
            tenth: 0,
        }
    }

    pub(crate) fn tell(&mut self, at: Position) {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-3);
        let rate = (at.done - self.before) as f64 / seconds;
        let share = match at.of {
            Some(of) if of > 0 => Some(at.done as f64 / of as f64),
            _ => at.share,
        };
        let share = share.map(|share| share.clamp(0.0, 1.0));
        if self.json {
            let last = at.of == Some(at.done);
            if !last && self.told.is_some_and(|told| told.elapsed() < EVERY) {
                return;
            }
            self.told = Some(Instant::now());
            let left = at
                .of
                .filter(|_| rate > 0.0)
                .map(|of| (of - at.done.min(of)) as f64 / rate);
            say(&serde_json::json!({
                "stage": self.stage,
                "frames": at.done,
                "of": at.of,
                "percent": share.map(|share| (share * 1000.0).round() / 10.0),
                "frames_per_second": (rate * 100.0).round() / 100.0,
                "seconds_left": left.map(f64::round),
            }));
            return;
        }
        let told = format!("{} frames, {rate:.1}/s", at.done);
        let Some(share) = share else { return };
        if std::io::stderr().is_terminal() {
            self.bar.set_message(told);
            self.bar.set_position((share * 1000.0) as u64);
        } else if (share * 10.0) as u64 > self.tenth {
            self.tenth = (share * 10.0) as u64;
            eprintln!("{:3} %  {told}", self.tenth * 10);
        }
    }
}

/// A line for a program. Nobody has to read it.
pub(crate) fn say(line: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
