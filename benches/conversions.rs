//! What surrounds the network, against other people's way of doing it: a 1080p NV12 frame to the tensor of
//! resolution 518, and a depth map back to a 1080p frame, on one core.
//!
//! ```text
//! benches/run --only conversions
//! ```
//!
//! makes the Python environment of the peers and runs this. All take turns in one run; what counts is the ratio of
//! medians. Without the environment only our own times are told.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use gstdepthanything::frame::{
    ByteOrder, ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, InstructionSet, Mapping,
    PixelFormat, Plane, TensorWriter,
};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::model::InputNormalization;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const FRAME: Size = Size::new(1920, 1080);
const RESOLUTION: u32 = 518;
const ROUNDS: usize = 41;
/// Runs of one way before it is the next one's turn, after one that fills the caches.
const TURN: usize = 3;

/// Python with the peers in it.
struct Peers {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    versions: String,
}

impl Peers {
    fn start(folder: &Path, network: Size) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("PEERS_PYTHON")
            .map_or_else(|| root.join(".venv-bench/bin/python"), PathBuf::from);
        let sides = [FRAME.width, FRAME.height, network.width, network.height];
        let mut child = Command::new(&python)
            .arg(root.join("benches/peers/conversions.py"))
            .arg(folder)
            .args(sides.map(|side| side.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let input = child.stdin.take().ok_or("no input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut versions = String::new();
        if output.read_line(&mut versions)? == 0 {
            return Err(format!("{} does not run the peers", python.display()).into());
        }
        let versions = versions.trim().to_owned();
        Ok(Self {
            child,
            input,
            output,
            versions,
        })
    }

    fn ask(&mut self, line: &str) -> Result<u64> {
        writeln!(self.input, "{line}")?;
        let mut answer = String::new();
        self.output.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A picture with edges, gradients and grain, in luma and, weaker, in chroma: all colours there are in RGB.
fn picture() -> (Vec<u8>, Vec<u8>) {
    let (width, height) = (FRAME.width as usize, FRAME.height as usize);
    let sample = |x: f32, y: f32, phase: f32, strength: f32| {
        let waves = (x / 37.0 + phase).sin() * 40.0 + (y / 23.0 - phase).cos() * 30.0;
        let edges = if ((x / 160.0 + y / 90.0) as u32).is_multiple_of(2) {
            15.0
        } else {
            -15.0
        };
        let grain = ((x * 12.99 + y * 78.23 + phase).sin() * 43758.5).fract() * 6.0;
        (128.0 + (waves + edges + grain) * strength) as u8
    };
    let luma = (0..width * height)
        .map(|i| sample((i % width) as f32, (i / width) as f32, 0.0, 0.5))
        .collect();
    let chroma = (0..width * height / 2)
        .map(|i| {
            let phase = 1.0 + (i % 2) as f32;
            sample(
                (i % width / 2 * 2) as f32,
                (i / width * 2) as f32,
                phase,
                0.25,
            )
        })
        .collect();
    (luma, chroma)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds of one run of `work`, of a turn of them.
fn time(mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    for _ in 0..TURN {
        work();
    }
    start.elapsed().as_secs_f64() * 1e3 / TURN as f64
}

/// Mean and largest difference.
fn difference(a: impl Iterator<Item = f64>, b: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut sum, mut most) = (0.0, 0.0, 0.0_f64);
    for (a, b) in a.zip(b) {
        count += 1.0;
        sum += (a - b).abs();
        most = most.max((a - b).abs());
    }
    (sum / count, most)
}

fn main() -> Result<()> {
    let network = network_size(FRAME, (1, 1), RESOLUTION, 14)?;
    let format = FrameFormat {
        size: FRAME,
        pixels: PixelFormat::Nv12,
        // the only kind that OpenCV converts
        colorimetry: Colorimetry::bt601(false),
        chroma_site: ChromaSite::LEFT,
    };
    let (luma, chroma) = picture();
    let stride = FRAME.width as usize;
    let frame = Frame {
        planes: [
            Plane::new(&luma, stride),
            Plane::new(&chroma, stride),
            Plane::EMPTY,
        ],
    };
    let depth: Vec<f32> = (0..network.area())
        .map(|i| {
            let (x, y) = (i % network.width as usize, i / network.width as usize);
            (x as f32 / 90.0).sin() * 3.0 + (y as f32 / 70.0).cos() * 2.0 + 6.0
        })
        .collect();
    let (low, high) = depth.iter().fold((f32::MAX, f32::MIN), |(low, high), &d| {
        (low.min(d), high.max(d))
    });
    let mapping = Mapping::inverse(low.into(), high.into(), false);

    let folder = tempfile::tempdir()?;
    std::fs::write(
        folder.path().join("frame.nv12"),
        [&luma[..], &chroma].concat(),
    )?;
    let bytes: Vec<u8> = depth.iter().flat_map(|d| d.to_ne_bytes()).collect();
    std::fs::write(folder.path().join("depth.f32"), bytes)?;

    // ours, the fastest first
    let mut sets: Vec<InstructionSet> = InstructionSet::available().collect();
    sets.reverse();
    let mut ours: Vec<(InstructionSet, TensorWriter, Gray16Writer)> = Vec::new();
    for set in sets {
        ours.push((
            set,
            TensorWriter::new(
                &format,
                network,
                InputNormalization::Imagenet.mean_and_deviation().into(),
            )?
            .with_instruction_set(set),
            Gray16Writer::new(network, FRAME).with_instruction_set(set),
        ));
    }
    let mut tensor = vec![0.0; 3 * network.area()];
    let mut samples = vec![0; 2 * FRAME.area()];
    let mut own_times: Vec<[Vec<f64>; 2]> = ours.iter().map(|_| Default::default()).collect();

    let mut peers = match Peers::start(folder.path(), network) {
        Ok(peers) => Some(peers),
        Err(error) => {
            eprintln!("no peers: {error}. benches/run --only conversions makes their environment");
            None
        }
    };
    let names = [
        "opencv-tensor",
        "opencv-samples",
        "opencv-samples-aligned",
        "original-tensor",
        "original-samples",
    ];
    let mut peer_times: [Vec<f64>; 5] = Default::default();

    // as many bytes as both conversions read and write
    let moved = luma.len() + chroma.len() + 4 * (tensor.len() + depth.len()) + samples.len();
    let copied = vec![1_u8; moved / 2];
    let mut copy = vec![0_u8; moved / 2];
    let mut copy_times = Vec::new();

    for _ in 0..ROUNDS {
        for ((_, tensor_writer, depth_writer), [to_tensor, to_samples]) in
            ours.iter_mut().zip(&mut own_times)
        {
            to_tensor.push(time(|| {
                let written = tensor_writer.write(black_box(&frame), &mut tensor);
                written.expect("the frame is as the format says");
            }));
            to_samples.push(time(|| {
                let depth = black_box(&depth);
                let order = ByteOrder::NATIVE;
                let written = depth_writer.write(depth, mapping, order, &mut samples, 2 * stride);
                written.expect("the plane is large enough");
            }));
        }
        copy_times.push(time(|| copy.copy_from_slice(black_box(&copied))));
        if let Some(peers) = &mut peers {
            for (name, times) in names.iter().zip(&mut peer_times) {
                peers.ask(&format!("time {name} 1"))?;
                let nanoseconds = peers.ask(&format!("time {name} {TURN}"))?;
                times.push(nanoseconds as f64 / 1e6 / TURN as f64);
            }
        }
    }

    let own: Vec<[f64; 2]> = own_times
        .iter_mut()
        .map(|times| [median(&mut times[0]), median(&mut times[1])])
        .collect();
    let best = own[0][0] + own[0][1];
    println!(
        "{FRAME} NV12 → {network} tensor, {network} depth → {FRAME} GRAY16, one core, milliseconds\n"
    );
    println!("| ours is faster by | | frame → tensor | depth → samples | both |");
    println!("|---|---|---|---|---|");
    let row = |name: &str, [a, b]: [f64; 2]| {
        let both = a + b;
        println!(
            "| {:.2} | {name} | {a:.2} | {b:.2} | {both:.2} |",
            both / best
        );
    };
    for ((set, _, _), times) in ours.iter().zip(&own) {
        row(&format!("ours, {set}"), *times);
    }
    if peers.is_some() {
        let [tensor, samples, aligned, original_tensor, original_samples] =
            peer_times.each_mut().map(|times| median(times));
        row("OpenCV, tuned; corners half a pixel off", [tensor, samples]);
        row("OpenCV, tuned; corners aligned as ours", [tensor, aligned]);
        row(
            "Depth Anything's own Python",
            [original_tensor, original_samples],
        );
    }
    let copy_time = median(&mut copy_times);
    println!(
        "\nBoth read and write {:.1} MB; a memcpy that does takes {copy_time:.2} ms, {:.0} % of ours.",
        moved as f64 / 1e6,
        100.0 * copy_time / best
    );
    if let Some(peers) = &mut peers {
        println!("Peers: {}.\n", peers.versions);
        for name in names {
            peers.ask(&format!("save {name}"))?;
            let theirs = std::fs::read(folder.path().join(name))?;
            let (what, (mean, most)) = if name.ends_with("tensor") {
                let theirs = theirs
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from(f32::from_ne_bytes(*b)));
                (
                    "tensor",
                    difference(tensor.iter().map(|v| f64::from(*v)), theirs),
                )
            } else {
                let value = |b: &[u8; 2]| f64::from(u16::from_ne_bytes(*b));
                let ours = samples.as_chunks().0.iter().map(value);
                (
                    "samples",
                    difference(ours, theirs.as_chunks().0.iter().map(value)),
                )
            };
            println!("{name}: {what} differ from ours by {mean:.4} in the mean, {most:.3} at most");
        }
    }
    Ok(())
}
