//! How steady a film's depth is under `range=frame`, a plain running average of its extremes, `range=smooth`, and the
//! last with `temporal-filter`.

mod events;
pub(crate) mod numbers;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use gstdepthanything::frame::SmallPicture;
use gstdepthanything::geometry::Size;
use gstdepthanything::range::{
    CutDetector, Joint, Limits, Mode, Strength, TemporalFilter, Tracker,
};

use crate::film::{Film, nearest};
use crate::plot::{self, Curve};
use crate::{Eye, Looked};
use numbers::{Fit, Mean, pair_drift};

/// Weight of the past, the element's default.
pub(crate) const PAST: f64 = 0.9;

/// The ways to lay values on the range that are compared.
const WAYS: [&str; 4] = [
    "frame",
    "running average",
    "smooth",
    "smooth, temporal-filter",
];
/// Their numbers.
const FRAME: usize = 0;
const SMOOTH: usize = 2;
const FILTERED: usize = 3;

/// What one film gives.
#[derive(Default)]
struct Marks {
    still: Mean,
    /// Mean change of a still pixel from frame to frame, in shares of the range.
    flicker: [Mean; 4],
    /// The same of those still pixels whose picture is the same too.
    flicker_alike: [Mean; 4],
    /// That part of it which is one change of scale and shift for the whole frame.
    drift: [Mean; 4],
    /// What is left of the flicker when each frame is fitted to the one before: the model's own noise.
    noise: Mean,
    /// How far the filter moves a value, in shares of the range.
    departure: Mean,
    /// Share of the samples that are cut off at either end.
    clipped: [Mean; 4],
    /// Against the truth, with one scale and shift for each take, and one for each frame.
    by_take: [Fit; 4],
    by_frame: [Mean; 4],
    take_errors: [Mean; 4],
    /// What the middle still pixel is shown as.
    shown: [Vec<f64>; 4],
    frames: usize,
    scenes: u32,
    takes: u64,
}

/// A frame's depth under each way, and where nothing moves.
struct Seen {
    size: Size,
    depth: Vec<f32>,
    tensor: Vec<f32>,
    truth: Option<Vec<f32>>,
    take: Option<u64>,
    shown: [Vec<f32>; 4],
}

/// Prints the marks of each film, then those of cuts, fades, flashes and steps; draws one film. The temporal filter may
/// move values by `departure`, in shares of the range.
pub(crate) fn run(
    eye: &mut Eye,
    films: &[Film],
    departure: f64,
    picture: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    println!(
        "| film | still | flicker: frame | average | smooth | filtered | smooth ÷ frame | filtered ÷ frame | where the picture is still too | model's noise | range's part: frame | average | smooth | smooth ÷ frame | error ÷ frame's, smooth: a take | a frame | filtered: a take | a frame | moved by the filter | clipped |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut drawn = None;
    for film in films {
        let marks = measure(eye, film, departure)?;
        marks.print(&film.name);
        if picture.is_some() && drawn.is_none() {
            drawn = Some((film, marks));
        }
    }
    println!(
        "\nFlicker: mean change of a still pixel from a frame to the next, in thousandths of the range."
    );
    if let (Some(path), Some((film, marks))) = (picture, drawn) {
        let curves: Vec<_> = WAYS
            .iter()
            .zip(&marks.shown)
            .map(|(name, values)| Curve { name, values })
            .collect();
        let title = format!("What a still place of the film “{}” is shown as", film.name);
        plot::draw(path, &title, "sample ÷ 65535", &curves)?;
        println!("{}", path.display());
    }
    events::run(eye, films)
}

fn measure(eye: &mut Eye, film: &Film, departure: f64) -> Result<Marks, Box<dyn Error>> {
    let mut marks = Marks::default();
    let mut steadied = Steadied::default();
    let mut average: Option<Limits> = None;
    let mut before: Option<Seen> = None;
    let mut place = None;
    film.each(|shot| {
        let Looked {
            tensor,
            network,
            depth: maps,
        } = eye.look(&shot)?;
        let (size, depth) = (maps.size, maps.values.clone());
        let own = Limits::of(&depth).ok_or("a frame without depth")?;
        let running = average.map_or(own, |held| Limits {
            lo: PAST * held.lo + (1.0 - PAST) * own.lo,
            hi: PAST * held.hi + (1.0 - PAST) * own.hi,
        });
        average = Some(running);
        let picture = SmallPicture::of(tensor, network);
        let (smooth, filtered) = steadied.next(&depth, size, &picture, departure);
        let ways = [
            (&depth, own),
            (&depth, running),
            (&depth, smooth),
            (filtered, smooth),
        ];
        let now = Seen {
            size,
            tensor: tensor.to_vec(),
            truth: shot.truth.map(|truth| nearest(&truth, shot.size, size)),
            take: shot.take,
            shown: ways.map(|(depth, limits)| show(depth, limits)),
            depth,
        };
        if marks.frames == 0 {
            place = Some(size.area() / 2 + size.width as usize / 2);
        }
        marks.add(&now, before.as_ref(), place.unwrap_or_default());
        before = Some(now);
        Ok(())
    })?;
    marks.scenes = steadied.tracker.scene() + 1;
    marks.end_take();
    Ok(marks)
}

/// What the element makes of a film's depth, frame by frame.
#[derive(Default)]
pub(crate) struct Steadied {
    pub(crate) tracker: Tracker,
    cuts: CutDetector,
    filter: TemporalFilter,
    filtered: Vec<f32>,
    /// How many seconds the filter took for a frame.
    pub(crate) took: Mean,
}

impl Steadied {
    /// The limits of the next frame under `range=smooth`, and its depth under a temporal filter that may move values by
    /// `departure`, in shares of the range.
    pub(crate) fn next(
        &mut self,
        depth: &[f32],
        size: Size,
        picture: &SmallPicture,
        departure: f64,
    ) -> (Limits, &Vec<f32>) {
        let tracker = &mut self.tracker;
        tracker.see(self.cuts.look(picture, Joint::Next));
        let smooth = tracker.follow(depth, size, Mode::Smooth { past: PAST });
        self.filtered.clear();
        self.filtered.extend_from_slice(depth);
        let (strength, carry) = (
            Strength {
                past: PAST,
                departure,
            },
            tracker.carry(),
        );
        let begins = Instant::now();
        self.filter
            .apply(&mut self.filtered, size, picture, smooth, carry, strength);
        self.took.add(begins.elapsed().as_secs_f64());
        (smooth, &self.filtered)
    }
}

/// What is shown of values within limits: 0…1.
pub(crate) fn show(depth: &[f32], limits: Limits) -> Vec<f32> {
    let span = limits.span().max(f64::MIN_POSITIVE);
    let shown = |&value: &f32| (((f64::from(value) - limits.lo) / span) as f32).clamp(0.0, 1.0);
    depth.iter().map(shown).collect()
}

impl Marks {
    fn add(&mut self, now: &Seen, before: Option<&Seen>, place: usize) {
        self.frames += 1;
        for (values, shown) in self.shown.iter_mut().zip(&now.shown) {
            values.extend(shown.get(place).map(|&value| f64::from(value)));
        }
        for (clipped, shown) in self.clipped.iter_mut().zip(&now.shown) {
            let ends = shown.iter().filter(|v| **v <= 0.0 || **v >= 1.0).count();
            clipped.add(ends as f64 / shown.len() as f64);
        }
        let moved = now.shown[FILTERED].iter().zip(&now.shown[SMOOTH]);
        let moved = moved.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
        self.departure.add(moved / now.size.area() as f64);
        let cut = before.is_some_and(|before| before.take != now.take);
        if cut {
            self.end_take();
        }
        if let Some(truth) = &now.truth {
            for (way, shown) in now.shown.iter().enumerate() {
                let mut fit = Fit::default();
                for (&shown, &truth) in shown.iter().zip(truth).step_by(5) {
                    fit.add(f64::from(shown), f64::from(truth));
                    self.by_take[way].add(f64::from(shown), f64::from(truth));
                }
                self.by_frame[way].add(fit.error());
            }
        }
        let Some(before) = before.filter(|before| !cut && before.size == now.size) else {
            return;
        };
        let still = stillness(now, before);
        self.still.add(still.len() as f64 / now.size.area() as f64);
        if still.len() * 50 < now.size.area() {
            return;
        }
        let alike = alike(now, before);
        let both: Vec<usize> = still.iter().copied().filter(|&i| alike[i]).collect();
        for way in 0..WAYS.len() {
            let (now, before) = (&now.shown[way], &before.shown[way]);
            let change = |places: &[usize]| {
                let change = places
                    .iter()
                    .map(|&i| f64::from((now[i] - before[i]).abs()));
                change.sum::<f64>() / places.len() as f64
            };
            self.flicker[way].add(change(&still));
            if both.len() * 50 >= alike.len() {
                self.flicker_alike[way].add(change(&both));
            }
            self.drift[way].add(pair_drift(before, now, &still).0);
        }
        let span = Limits::of(&now.depth).map_or(1.0, |own| own.span());
        self.noise
            .add(pair_drift(&before.depth, &now.depth, &still).1 / span);
    }

    fn end_take(&mut self) {
        self.takes += 1;
        for (fit, errors) in self.by_take.iter_mut().zip(&mut self.take_errors) {
            let fit = std::mem::take(fit);
            if fit.count() > 0.0 {
                errors.add(fit.error());
            }
        }
    }

    fn print(&self, name: &str) {
        let part = |mean: &Mean| format!("{:.2}", mean.value() * 1e3);
        let parts = |means: &[Mean; 4]| means.iter().map(part).collect::<Vec<_>>().join(" | ");
        let ratio = |means: &[Mean; 4], way: usize| match means[FRAME].value() {
            0.0 => "–".to_owned(),
            frame => format!("{:.3}", means[way].value() / frame),
        };
        let three = |means: &[Mean; 4]| means[..=SMOOTH].iter().map(part).collect::<Vec<_>>();
        println!(
            "| {name}, {} frames | {:.0} % | {} | {} | **{}** | {} | {} | {} | **{}** | {} | {} | {} | {} | {:.2} % | {:.2} % |{}",
            self.frames,
            100.0 * self.still.value(),
            parts(&self.flicker),
            ratio(&self.flicker, SMOOTH),
            ratio(&self.flicker, FILTERED),
            ratio(&self.flicker_alike, FILTERED),
            part(&self.noise),
            three(&self.drift).join(" | "),
            ratio(&self.drift, SMOOTH),
            ratio(&self.take_errors, SMOOTH),
            ratio(&self.by_frame, SMOOTH),
            ratio(&self.take_errors, FILTERED),
            ratio(&self.by_frame, FILTERED),
            100.0 * self.departure.value(),
            100.0 * self.clipped[SMOOTH].value(),
            if u64::from(self.scenes) == self.takes {
                String::new()
            } else {
                format!(
                    " {} scenes were seen, there are {}",
                    self.scenes, self.takes
                )
            },
        );
    }
}

/// Pixels that show the same in both frames: by the truth, else by the picture.
fn stillness(now: &Seen, before: &Seen) -> Vec<usize> {
    /// Of the range of the truth.
    const SAME: f32 = 0.002;
    if let (Some(now), Some(before)) = (&now.truth, &before.truth) {
        let range = Limits::of(now).map_or(0.0, |range| range.span() as f32);
        let same = |i: &usize| (now[*i] - before[*i]).abs() <= SAME * range;
        return (0..now.len()).filter(same).collect();
    }
    let alike = alike(now, before);
    (0..alike.len()).filter(|&i| alike[i]).collect()
}

/// Whether the colours of the block around each pixel are the same in both frames.
fn alike(now: &Seen, before: &Seen) -> Vec<bool> {
    /// In standard deviations of natural pictures.
    const ALIKE: f32 = 0.2;
    const BLOCK: usize = 7;
    let (area, width) = (now.size.area(), now.size.width as usize);
    let mut alike = vec![false; area];
    if now.tensor.len() != 3 * area || before.tensor.len() != 3 * area {
        return alike;
    }
    let off = |i: usize| -> f32 {
        let channels =
            (0..3).map(|c| (now.tensor[c * area + i] - before.tensor[c * area + i]).abs());
        channels.fold(0.0, f32::max)
    };
    for top in (0..now.size.height as usize / BLOCK).map(|row| row * BLOCK) {
        for left in (0..width / BLOCK).map(|column| column * BLOCK) {
            let block = || {
                (top..top + BLOCK)
                    .flat_map(move |y| (left..left + BLOCK).map(move |x| y * width + x))
            };
            if block().map(off).sum::<f32>() < ALIKE * (BLOCK * BLOCK) as f32 {
                block().for_each(|i| alike[i] = true);
            }
        }
    }
    alike
}
