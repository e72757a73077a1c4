//! How well the edges of depth follow the picture at full size, under `upsampling=bilinear` and `guided`.

use std::error::Error;
use std::time::{Duration, Instant};

use gstdepthanything::frame::{
    ByteOrder, Frame, FrameFormat, Gray16Writer, Guide, GuidedWriter, Mapping,
};
use gstdepthanything::geometry::Size;
use gstdepthanything::range::Limits;

use crate::film::{Film, Shot};
use crate::steady::numbers::{Fit, Mean};
use crate::{Eye, Looked};

/// A step of this share of the range between two pixels is an edge.
const STEP: f32 = 0.04;

const WAYS: [&str; 2] = ["bilinear", "guided"];

#[derive(Default)]
struct Marks {
    f1: [Mean; 2],
    error: [Mean; 2],
    /// Mean change of a still pixel from frame to frame, in shares of the range.
    flicker: [Mean; 2],
    times: [Vec<Duration>; 2],
}

/// Prints the marks of each film: edges, error, steadiness and time.
pub(crate) fn run(eye: &mut Eye, films: &[Film]) -> Result<(), Box<dyn Error>> {
    println!(
        "| film | edge F1: bilinear | guided | error: bilinear | guided | flicker: bilinear | guided | ms: bilinear | guided |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut all = [Mean::default(), Mean::default()];
    for film in films {
        let mut marks = Marks::default();
        let mut before: Option<(Vec<f32>, [Vec<u16>; 2])> = None;
        film.each(|shot| {
            let Some(truth) = &shot.truth else {
                return Err(format!("there is no exact depth for {}", film.name).into());
            };
            let looked = eye.look(&shot)?;
            let shown = show(&shot, &looked, &mut marks)?;
            marks.add(truth, shot.size, &shown, before.as_ref());
            before = Some((truth.clone(), shown));
            Ok(())
        })?;
        marks.print(&film.name);
        for (all, f1) in all.iter_mut().zip(&marks.f1) {
            all.add(f1.value());
        }
    }
    let [bilinear, guided] = all.map(|mean| mean.value());
    println!(
        "\nEdge F1 over all: {bilinear:.3} {}, {guided:.3} {}: {:.2} times",
        WAYS[0],
        WAYS[1],
        guided / bilinear
    );
    Ok(())
}

/// The samples at the size of the frame, both ways; both are given their own extremes as range.
fn show(
    shot: &Shot,
    looked: &Looked<'_>,
    marks: &mut Marks,
) -> Result<[Vec<u16>; 2], Box<dyn Error>> {
    let depth = &looked.depth.values;
    let own = Limits::of(depth).ok_or("a frame without depth")?;
    let mapping = Mapping::inverse(own.lo, own.hi, false);
    let stride = 2 * shot.size.width as usize;
    let mut planes = [0, 1].map(|_| vec![0; stride * shot.size.height as usize]);
    let order = ByteOrder::Little;

    let mut writer = Gray16Writer::new(looked.depth.size, shot.size);
    let start = Instant::now();
    writer.write(depth, mapping, order, &mut planes[0], stride)?;
    marks.times[0].push(start.elapsed());

    let mut writer = GuidedWriter::new(looked.depth.size, shot.size)
        .ok_or("the frame is no larger than what the network sees: lower --resolution")?;
    let mut guide = Guide::default();
    let format = FrameFormat::rgb(shot.size);
    // memory is had before, as it is in a stream
    guide.take(
        &Frame::packed(&shot.rgb, 3 * shot.size.width as usize),
        &format,
    )?;
    let start = Instant::now();
    guide.take(
        &Frame::packed(&shot.rgb, 3 * shot.size.width as usize),
        &format,
    )?;
    writer.write(depth, &guide, mapping, order, &mut planes[1], stride)?;
    marks.times[1].push(start.elapsed());

    Ok(planes.map(|plane| {
        let pairs = plane.chunks_exact(2);
        pairs
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .collect()
    }))
}

impl Marks {
    fn add(
        &mut self,
        truth: &[f32],
        size: Size,
        shown: &[Vec<u16>; 2],
        before: Option<&(Vec<f32>, [Vec<u16>; 2])>,
    ) {
        for (way, shown) in shown.iter().enumerate() {
            let mut fit = Fit::default();
            for (&shown, &truth) in shown.iter().zip(truth) {
                fit.add(f64::from(shown), f64::from(truth));
            }
            let (gain, bias) = fit.line();
            let aligned: Vec<f32> = shown
                .iter()
                .map(|&shown| (gain * f64::from(shown) + bias) as f32)
                .collect();
            let range = range(truth);
            self.error[way].add(fit.error() / f64::from(range.max(f32::MIN_POSITIVE)));
            if let Some(f1) = edge_f1(&aligned, truth, size, STEP * range) {
                self.f1[way].add(f1);
            }
            if let Some((truth_before, shown_before)) = before {
                let still = |i: &usize| (truth[*i] - truth_before[*i]).abs() <= 0.002 * range;
                let mut change = Mean::default();
                for i in (0..truth.len()).filter(still) {
                    change.add(f64::from(shown[i].abs_diff(shown_before[way][i])) / 65535.0);
                }
                self.flicker[way].add(change.value());
            }
        }
    }

    fn print(&self, name: &str) {
        let time = |times: &Vec<Duration>| {
            let mut times = times.clone();
            times.sort();
            times
                .get(times.len() / 2)
                .map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let [f1, error, flicker] = [&self.f1, &self.error, &self.flicker];
        println!(
            "| {name} | {:.3} | {:.3} | {:.4} | {:.4} | {:.5} | {:.5} | {:.1} | {:.1} |",
            f1[0].value(),
            f1[1].value(),
            error[0].value(),
            error[1].value(),
            flicker[0].value(),
            flicker[1].value(),
            time(&self.times[0]),
            time(&self.times[1]),
        );
    }
}

/// From the 2nd to the 98th percentile.
fn range(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| {
        sorted
            .get((sorted.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    at(0.98) - at(0.02)
}

/// F1 of the edges: steps of more than `least` between neighbours, one pixel off allowed. As the built-in model's
/// evaluation has it.
fn edge_f1(found: &[f32], truth: &[f32], size: Size, least: f32) -> Option<f64> {
    let (found, truth) = (steps(found, size, least), steps(truth, size, least));
    let count = |edges: &[bool]| edges.iter().filter(|edge| **edge).count() as f64;
    if count(&truth) < 20.0 {
        return None;
    }
    let hits = |edges: &[bool], of: &[bool]| {
        let near = widened(of, size);
        edges
            .iter()
            .zip(&near)
            .filter(|(edge, near)| **edge && **near)
            .count() as f64
    };
    let precision = hits(&found, &truth) / count(&found).max(1.0);
    let recall = hits(&truth, &found) / count(&truth);
    Some(2.0 * precision * recall / (precision + recall).max(1e-9))
}

fn steps(values: &[f32], size: Size, least: f32) -> Vec<bool> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut edges = vec![false; values.len()];
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let right = x + 1 < width && (values[i + 1] - values[i]).abs() > least;
            let below = y + 1 < height && (values[i + width] - values[i]).abs() > least;
            edges[i] = right || below;
        }
    }
    edges
}

/// With all eight neighbours.
fn widened(edges: &[bool], size: Size) -> Vec<bool> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut wide = vec![false; edges.len()];
    for y in 0..height {
        for x in (0..width).filter(|x| edges[y * width + x]) {
            for y in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                wide[y * width + x.saturating_sub(1)..=y * width + (x + 1).min(width - 1)]
                    .fill(true);
            }
        }
    }
    wide
}
