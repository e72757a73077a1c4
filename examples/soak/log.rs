//! What the process holds, second by second.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use crate::streams::Result;

/// A second of the soak.
#[derive(Clone, Copy)]
struct Sample {
    /// In MB.
    memory: f64,
    /// Of it, what is allocated: the rest is code, and what the allocator keeps for later.
    allocated: f64,
    files: f64,
    threads: f64,
    /// In milliseconds.
    latency: f64,
}

pub(crate) struct Log {
    folder: PathBuf,
    csv: File,
    samples: Vec<Sample>,
    frames: u64,
}

impl Log {
    pub(crate) fn new(folder: &str) -> Result<Self> {
        let folder = PathBuf::from(folder);
        let mut csv = File::create(folder.join("soak.csv"))?;
        writeln!(
            csv,
            "second,memory_mb,allocated_mb,files,threads,latency_ms,frames,guests"
        )?;
        Ok(Self {
            folder,
            csv,
            samples: Vec::new(),
            frames: 0,
        })
    }

    pub(crate) fn add(&mut self, latency: u64, frames: u64, guests: usize) -> Result<()> {
        let count = |folder| std::fs::read_dir(folder).map(|entries| entries.count() as f64);
        let memory = gstdepthanything::inference::planner::resident().ok_or("no memory is told")?;
        let sample = Sample {
            memory: memory as f64 / 1e6,
            allocated: allocated() / 1e6,
            files: count("/proc/self/fd")?,
            threads: count("/proc/self/task")?,
            latency: latency as f64,
        };
        self.samples.push(sample);
        self.frames = self.frames.max(frames);
        writeln!(
            self.csv,
            "{},{:.1},{:.1},{},{},{latency},{frames},{guests}",
            self.samples.len(),
            sample.memory,
            sample.allocated,
            sample.files,
            sample.threads
        )?;
        Ok(())
    }

    /// Plots, and fails on what has grown.
    pub(crate) fn finish(&self) -> Result<()> {
        std::fs::write(self.folder.join("soak.svg"), self.plot())?;
        if self.frames == 0 {
            return Err("not one depth frame has come".into());
        }
        let quarter = self.samples.len() / 4;
        if quarter < 5 {
            return Err("too short to tell what grows: give it 20 seconds".into());
        }
        // the first half is for caches to fill
        let before = &self.samples[quarter..2 * quarter];
        let after = &self.samples[self.samples.len() - quarter..];
        let mut grown = Vec::new();
        for (name, of, share, more) in [
            (
                "memory (MB)",
                (|sample: &Sample| sample.memory) as fn(&Sample) -> f64,
                1.10,
                24.0,
            ),
            ("allocated (MB)", |sample| sample.allocated, 1.10, 24.0),
            ("file descriptors", |sample| sample.files, 1.10, 12.0),
            ("threads", |sample| sample.threads, 1.10, 24.0),
        ] {
            let most = |samples: &[Sample]| samples.iter().map(of).fold(0.0, f64::max);
            let (before, after) = (most(before), most(after));
            println!("{name}: at most {before:.0} in the second quarter, {after:.0} in the last");
            // guests come and go, so that a few more of anything mean nothing
            if after > share * before + more {
                grown.push(name);
            }
        }
        let mut latencies: Vec<f64> = after.iter().map(|sample| sample.latency).collect();
        latencies.sort_by(f64::total_cmp);
        println!(
            "latency of the camera: {:.0} ms in the middle, {:.0} ms at most; plot in {}",
            latencies[latencies.len() / 2],
            latencies[latencies.len() - 1],
            self.folder.join("soak.svg").display()
        );
        if grown.is_empty() {
            Ok(())
        } else {
            Err(format!("grown: {}", grown.join(", ")).into())
        }
    }

    fn plot(&self) -> String {
        const WIDTH: f64 = 900.0;
        const HEIGHT: f64 = 120.0;
        const POINTS: usize = 450;
        let mut svg = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1000\" height=\"790\" font-family=\"sans-serif\" \
             font-size=\"13\"><rect width=\"1000\" height=\"790\" fill=\"white\"/>\n",
        );
        type Of = fn(&Sample) -> f64;
        // the most of each few seconds
        let samples: Vec<&[Sample]> = self
            .samples
            .chunks(self.samples.len().div_ceil(POINTS).max(1))
            .collect();
        let rows: [(&str, Of); 5] = [
            ("memory, MB", |sample| sample.memory),
            ("allocated, MB", |sample| sample.allocated),
            ("file descriptors", |sample| sample.files),
            ("threads", |sample| sample.threads),
            ("latency of the camera, ms", |sample| sample.latency),
        ];
        for (row, (name, of)) in rows.into_iter().enumerate() {
            let top = 30.0 + 150.0 * row as f64;
            let highest = |samples: &[Sample]| samples.iter().map(of).fold(1.0, f64::max);
            let most = highest(&self.samples);
            let step = WIDTH / (samples.len().max(2) - 1) as f64;
            let points: String =
                samples
                    .iter()
                    .enumerate()
                    .fold(String::new(), |mut points, (index, samples)| {
                        let (x, y) = (
                            60.0 + step * index as f64,
                            top + HEIGHT * (1.0 - highest(samples) / most),
                        );
                        let _ = write!(points, "{x:.0},{y:.1} ");
                        points
                    });
            let _ = writeln!(
                svg,
                "<text x=\"60\" y=\"{}\">{name}</text><text x=\"8\" y=\"{}\">{most:.0}</text>\
                 <text x=\"8\" y=\"{}\">0</text>\
                 <line x1=\"60\" x2=\"960\" y1=\"{}\" y2=\"{}\" stroke=\"#999\"/>\
                 <polyline points=\"{points}\" fill=\"none\" stroke=\"#1f5fbf\" stroke-width=\"1.5\"/>",
                top - 6.0,
                top + 10.0,
                top + HEIGHT,
                top + HEIGHT,
                top + HEIGHT,
            );
        }
        let _ = writeln!(
            svg,
            "<text x=\"900\" y=\"782\">{} s</text></svg>",
            self.samples.len()
        );
        svg
    }
}

/// Bytes that are allocated in this process; 0 where the allocator does not tell.
fn allocated() -> f64 {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: reads the allocator's own counts
        let counts = unsafe { libc::mallinfo2() };
        (counts.uordblks + counts.hblkhd) as f64
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    0.0
}
