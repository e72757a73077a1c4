//! How well the edges of depth follow the picture at full size, under `upsampling=bilinear` and `guided`.

use std::error::Error;
use std::time::{Duration, Instant};

use gstdepthanything::frame::{
    ByteOrder, Frame, FrameFormat, Gray16Writer, Guide, GuidedWriter, Mapping,
};
use gstdepthanything::geometry::Size;
use gstdepthanything::range::Limits;

use crate::Eye;
use crate::film::{Film, Shot, nearest};
use crate::steady::numbers::{Fit, Mean};

/// A step of this share of the range is an edge.
const STEP: f32 = 0.04;

/// When a step is one, and when an edge is found, in pixels of a frame 1080 high.
struct Definition {
    name: &'static str,
    /// It is made within so many.
    within: f32,
    /// It may be off by so many.
    tolerance: f32,
}

/// The project's own one, `edge_f1` of the model card, in which a blurred edge is none; and one that forgives blur and
/// half of what an edge is off, and so says how much of the first is steepness and how much is being in the right place.
const DEFINITIONS: [Definition; 2] = [
    Definition {
        name: "between neighbours, 1 pixel off",
        within: 1.0,
        tolerance: 1.0,
    },
    Definition {
        name: "within 3 pixels, 2 pixels off",
        within: 3.0,
        tolerance: 2.0,
    },
];

const WAYS: [&str; 2] = ["bilinear", "guided"];

#[derive(Default)]
struct Marks {
    /// By definition and way.
    f1: [[Mean; 2]; 2],
    /// Of exact depth at the network's size, which says what the way to full size does by itself.
    exact: [[Mean; 2]; 2],
    error: [Mean; 2],
    /// Mean change of a still pixel from frame to frame, in shares of the range.
    flicker: [Mean; 2],
    times: [Vec<Duration>; 2],
}

/// Prints the marks of each film: edges, error, steadiness and time.
pub(crate) fn run(eye: &mut Eye, films: &[Film]) -> Result<(), Box<dyn Error>> {
    let [neighbours, tolerant] = DEFINITIONS.map(|definition| definition.name);
    println!(
        "| film | edge F1 {neighbours}: bilinear | guided | {tolerant}: bilinear | guided | error: bilinear | guided \
         | flicker: bilinear | guided | ms: bilinear | guided |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut all = <[[Mean; 2]; 2]>::default();
    let mut all_exact = <[[Mean; 2]; 2]>::default();
    for film in films {
        let mut marks = Marks::default();
        let mut before: Option<(Vec<f32>, [Vec<u16>; 2])> = None;
        film.each(|shot| {
            let Some(truth) = &shot.truth else {
                return Err(format!("there is no exact depth for {}", film.name).into());
            };
            let looked = eye.look(&shot)?;
            let (size, depth) = (looked.depth.size, &looked.depth.values);
            let shown = show(&shot, size, depth, &mut marks)?;
            let exact = nearest(truth, shot.size, size);
            let exact = show(&shot, size, &exact, &mut Marks::default())?;
            add_f1(&mut marks.exact, &exact, truth, shot.size);
            marks.add(truth, shot.size, &shown, before.as_ref());
            before = Some((truth.clone(), shown));
            Ok(())
        })?;
        marks.print(&film.name);
        for (all, film) in [(&mut all, &marks.f1), (&mut all_exact, &marks.exact)] {
            for (all, film) in all.as_flattened_mut().iter_mut().zip(film.as_flattened()) {
                all.add(film.value());
            }
        }
    }
    for (what, all) in [("the network's", all), ("exact", all_exact)] {
        for (definition, all) in DEFINITIONS.iter().zip(all) {
            let [bilinear, guided] = all.map(|mean| mean.value());
            println!(
                "\nEdge F1 over all, {what} depth, steps {}: {bilinear:.3} {}, {guided:.3} {}: {:.2} times",
                definition.name,
                WAYS[0],
                WAYS[1],
                guided / bilinear
            );
        }
    }
    Ok(())
}

/// The samples at the size of the frame, both ways, of depth at the network's size; both are given its extremes as
/// range.
fn show(
    shot: &Shot,
    network: Size,
    depth: &[f32],
    marks: &mut Marks,
) -> Result<[Vec<u16>; 2], Box<dyn Error>> {
    let own = Limits::of(depth).ok_or("a frame without depth")?;
    let mapping = Mapping::inverse(own.lo, own.hi, false);
    let stride = 2 * shot.size.width as usize;
    let mut planes = [0, 1].map(|_| vec![0; stride * shot.size.height as usize]);
    let order = ByteOrder::Little;

    let mut writer = Gray16Writer::new(network, shot.size);
    let start = Instant::now();
    writer.write(depth, mapping, order, &mut planes[0], stride)?;
    marks.times[0].push(start.elapsed());

    let mut writer = GuidedWriter::new(network, shot.size)
        .ok_or("the frame is no larger than what the network sees: lower --resolution")?;
    let mut guide = Guide::default();
    let format = FrameFormat::rgb(shot.size);
    let frame = Frame::packed(&shot.rgb, 3 * shot.size.width as usize);
    // the first has memory to get, which a stream has already
    let mut time = Duration::ZERO;
    for _ in 0..2 {
        let start = Instant::now();
        guide.take(&frame, &format)?;
        writer.write(depth, &guide, mapping, order, &mut planes[1], stride)?;
        time = start.elapsed();
    }
    marks.times[1].push(time);

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
        add_f1(&mut self.f1, shown, truth, size);
        for (way, shown) in shown.iter().enumerate() {
            let (_, fit) = aligned(shown, truth);
            let range = range(truth);
            self.error[way].add(fit.error() / f64::from(range.max(f32::MIN_POSITIVE)));
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
        let ([neighbours, tolerant], error, flicker) = (&self.f1, &self.error, &self.flicker);
        println!(
            "| {name} | {:.3} | {:.3} | {:.3} | {:.3} | {:.4} | {:.4} | {:.5} | {:.5} | {:.1} | {:.1} |",
            neighbours[0].value(),
            neighbours[1].value(),
            tolerant[0].value(),
            tolerant[1].value(),
            error[0].value(),
            error[1].value(),
            flicker[0].value(),
            flicker[1].value(),
            time(&self.times[0]),
            time(&self.times[1]),
        );
    }
}

/// Samples in the units of the truth, by the scale and shift that fit best.
fn aligned(shown: &[u16], truth: &[f32]) -> (Vec<f32>, Fit) {
    let mut fit = Fit::default();
    for (&shown, &truth) in shown.iter().zip(truth) {
        fit.add(f64::from(shown), f64::from(truth));
    }
    let (gain, bias) = fit.line();
    let aligned = |&shown: &u16| (gain * f64::from(shown) + bias) as f32;
    (shown.iter().map(aligned).collect(), fit)
}

/// Adds the F1 of the edges of samples, where the truth has any.
fn add_f1(means: &mut [[Mean; 2]; 2], shown: &[Vec<u16>; 2], truth: &[f32], size: Size) {
    let least = STEP * range(truth);
    for (way, shown) in shown.iter().enumerate() {
        let (aligned, _) = aligned(shown, truth);
        for (means, definition) in means.iter_mut().zip(&DEFINITIONS) {
            if let Some(f1) = edge_f1(&aligned, truth, size, least, definition) {
                means[way].add(f1);
            }
        }
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

/// Pixels of a frame of `size` that `pixels` are at 1080 rows.
fn scaled(pixels: f32, size: Size) -> usize {
    (pixels * size.height as f32 / 1080.0).round().max(1.0) as usize
}

/// F1 of the edges: precision and recall of [`steps`].
fn edge_f1(
    found: &[f32],
    truth: &[f32],
    size: Size,
    least: f32,
    definition: &Definition,
) -> Option<f64> {
    let within = scaled(definition.within, size);
    let (found, truth) = (
        steps(found, size, least, within),
        steps(truth, size, least, within),
    );
    let count = |edges: &[bool]| edges.iter().filter(|edge| **edge).count() as f64;
    if count(&truth) < 20.0 {
        return None;
    }
    let tolerance = scaled(definition.tolerance, size);
    let hits = |edges: &[bool], of: &[bool]| {
        let near = widened(of, size, tolerance);
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

/// Pixels in the middle of a step of more than `least`, made `within` so many pixels, across or down.
fn steps(values: &[f32], size: Size, least: f32, within: usize) -> Vec<bool> {
    let (width, height) = (size.width as usize, size.height as usize);
    let (before, after) = (within / 2, within - within / 2);
    let mut edges = vec![false; values.len()];
    for y in 0..height {
        for x in 0..width {
            let i = y * width + x;
            let across = x >= before
                && x + after < width
                && (values[i + after] - values[i - before]).abs() > least;
            let down = y >= before
                && y + after < height
                && (values[i + after * width] - values[i - before * width]).abs() > least;
            edges[i] = across || down;
        }
    }
    edges
}

/// With all pixels up to `reach` away, in a square.
fn widened(edges: &[bool], size: Size, reach: usize) -> Vec<bool> {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut wide = vec![false; edges.len()];
    for y in 0..height {
        for x in (0..width).filter(|x| edges[y * width + x]) {
            for y in y.saturating_sub(reach)..=(y + reach).min(height - 1) {
                let ends = x.saturating_sub(reach)..=(x + reach).min(width - 1);
                wide[y * width..][..width][ends].fill(true);
            }
        }
    }
    wide
}
