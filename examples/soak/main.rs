//! Days in minutes: streams that are treated as badly as they will be, and what the process holds meanwhile.
//!
//! ```sh
//! scripts/soak [SECONDS [FOLDER]]
//! ```
//!
//! A camera over RTP/H.264 on loopback with loss and reordering is decoded, turned into depth and encoded again, while its
//! size, the resolution and the state change; a film is sought in; models are swapped in READY; streams come and go.
//! Memory, file descriptors, threads and latency are logged to FOLDER/soak.csv each second and plotted to
//! FOLDER/soak.svg. What grows makes it fail.

mod log;
mod streams;

use std::time::{Duration, Instant};

use clap::Parser;
use log::Log;
use streams::{Camera, Film, Guest};

/// Streams that are treated as badly as they will be, and what the process holds meanwhile.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long.
    #[arg(default_value_t = 1800)]
    seconds: u64,
    /// Folder for soak.csv and soak.svg, which is made.
    #[arg(default_value = "out/soak")]
    folder: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { seconds, folder } = Arguments::parse();
    gst::init()?;
    gstdepthanything::plugin_register_static()?;
    std::fs::create_dir_all(&folder)?;

    let mut camera = Camera::new()?;
    let mut film = Film::new()?;
    let mut guests: Vec<Guest> = Vec::new();
    let mut log = Log::new(&folder)?;
    let mut random = Random(1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut second = 0_u64;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_secs(1));
        second += 1;
        if let Some(message) = camera.errors().into_iter().chain(film.errors()).next() {
            return Err(format!("after {second} s: {message}").into());
        }
        match random.below(8) {
            0 => camera.change_size(random.below(4))?,
            1 => camera.change_resolution(random.below(6)),
            2 => camera.pause_for(Duration::from_millis(50 + 40 * random.below(10)))?,
            3 | 4 => film.seek(random.below(4))?,
            5 => film.swap_model(random.below(3))?,
            6 if guests.len() < 3 => guests.push(Guest::new(random.below(3))?),
            _ if !guests.is_empty() => {
                let index = random.below(guests.len() as u64) as usize;
                guests.swap_remove(index);
            }
            _ => {}
        }
        let mut frames = camera.frames() + film.frames();
        for guest in &guests {
            frames += guest.frames();
            if let Some(message) = guest.errors().into_iter().next() {
                return Err(format!("after {second} s: {message}").into());
            }
        }
        log.add(camera.latency(), frames, guests.len())?;
    }
    drop((camera, film, guests));
    log.finish()
}

/// A linear congruence: each soak does the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}
