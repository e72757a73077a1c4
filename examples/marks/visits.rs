//! What somebody who comes and goes does to the depth of all that stays, over a whole shot with one scale and shift.
//!
//! All figures are in shares of the range. The model's own are its values, laid on the range that the way had before anybody
//! came: what it would show if its range stayed as it was.

use std::error::Error;

use gstdepthanything::frame::SmallPicture;
use gstdepthanything::geometry::Size;
use gstdepthanything::range::Limits;

use crate::film::{Film, Visit, nearest};
use crate::steady::numbers::{self, Fit, Mean, pair_drift};
use crate::steady::{Steadied, show};
use crate::{Eye, Looked};

/// The ways to lay values on the range.
const FRAME: usize = 0;
const SMOOTH: usize = 1;
const FILTERED: usize = 2;

/// Every so many pixels count, both ways.
const STEP: usize = 2;
/// Frames around one that are averaged, so that noise does not count: so many before and after it.
const AROUND: usize = 2;
/// Frames after the arrival at which all has to be settled: 1.5 s of ten.
const SETTLED: usize = 15;
/// Frames after the arrival within which who came has to have risen.
const AT_ONCE: usize = 5;
/// Frames after which nothing may be left of who went.
const OVER: usize = 12;
/// What changes by less, of the range of the truth, stays.
const SAME: f32 = 0.002;
/// One frame, at every few pixels.
struct Seen {
    own: Vec<f32>,
    truth: Option<Vec<f32>>,
    luma: Vec<f32>,
    shown: [Vec<f32>; 3],
}

/// What one way makes of a film, and the model's own beside it.
#[derive(Clone, Copy)]
struct Marks {
    /// Change of a still pixel from frame to frame.
    steps: f64,
    own_steps: f64,
    /// What is left of the model's own when each frame is laid on the one before as well as one scale and shift can.
    least_steps: f64,
    /// How far who came is beyond the range that was, where he is nearest, and the share of him that is.
    beyond: [f64; 2],
    /// How far all that stays is off its value when who came has arrived and all is settled.
    settle: [f64; 2],
    /// How far it gets from there while he stays.
    pump: [f64; 2],
    /// How much he rises over what was in his place: when all is settled, and at once.
    rise: [[f64; 2]; 2],
    /// How far all is off its value when he has gone.
    left: [f64; 2],
    abs_rel: [f64; 2],
}

/// What is printed of a film: the heading of a column, and its value.
type Column = (&'static str, fn(&[Marks; 3]) -> f64);

fn ratio([way, own]: [f64; 2]) -> f64 {
    way / own
}

/// The same of what rises; who hardly rises in the model's own values says nothing.
fn rise([way, own]: [f64; 2]) -> f64 {
    const LEAST: f64 = 0.05;
    if own < LEAST { f64::NAN } else { way / own }
}

const COLUMNS: [Column; 23] = [
    ("steps ÷ frame's: smooth", |m| {
        m[SMOOTH].steps / m[FRAME].steps
    }),
    ("filtered", |m| m[FILTERED].steps / m[FRAME].steps),
    ("own", |m| m[SMOOTH].own_steps / m[FRAME].steps),
    ("no range could leave less than", |m| {
        m[SMOOTH].least_steps / m[FRAME].steps
    }),
    ("nearer than all before by, %", |m| {
        100.0 * m[SMOOTH].beyond[0]
    }),
    ("share of him, %", |m| 100.0 * m[SMOOTH].beyond[1]),
    ("settle ÷ own: frame", |m| ratio(m[FRAME].settle)),
    ("smooth", |m| ratio(m[SMOOTH].settle)),
    ("filtered", |m| ratio(m[FILTERED].settle)),
    ("smooth, %", |m| 100.0 * m[SMOOTH].settle[0]),
    ("own, %", |m| 100.0 * m[SMOOTH].settle[1]),
    ("pump, %: frame", |m| 100.0 * m[FRAME].pump[0]),
    ("smooth", |m| 100.0 * m[SMOOTH].pump[0]),
    ("filtered", |m| 100.0 * m[FILTERED].pump[0]),
    ("own", |m| 100.0 * m[SMOOTH].pump[1]),
    ("rise ÷ own: frame", |m| rise(m[FRAME].rise[0])),
    ("smooth", |m| rise(m[SMOOTH].rise[0])),
    ("filtered", |m| rise(m[FILTERED].rise[0])),
    ("smooth, at once", |m| rise(m[SMOOTH].rise[1])),
    ("left, %: smooth", |m| 100.0 * m[SMOOTH].left[0]),
    ("own", |m| 100.0 * m[SMOOTH].left[1]),
    ("AbsRel ÷ own: smooth", |m| ratio(m[SMOOTH].abs_rel)),
    ("filtered", |m| ratio(m[FILTERED].abs_rel)),
];

/// Prints what each film gives, with all of its frames and without every third.
pub(crate) fn run(eye: &mut Eye, films: &[Film], departure: f64) -> Result<(), Box<dyn Error>> {
    for lost in [false, true] {
        if lost {
            println!("\nEvery third frame is lost:\n");
        }
        let headings = COLUMNS.map(|(heading, _)| heading);
        println!("| film | {} | scenes |", headings.join(" | "));
        println!("|---|{}---|", "---|".repeat(COLUMNS.len()));
        let mut means = [Mean::default(); COLUMNS.len()];
        for film in films {
            let shot = see(eye, film, departure, lost)?;
            let marks = [FRAME, SMOOTH, FILTERED].map(|way| measure(&shot, way));
            let values = COLUMNS.map(|(_, value)| value(&marks));
            for (mean, value) in means.iter_mut().zip(values) {
                if value.is_finite() {
                    mean.add(value);
                }
            }
            println!("| {} | {} | {} |", film.name, row(&values), shot.scenes);
        }
        let means = means.map(|mean| match mean.count() {
            0 => f64::NAN,
            _ => mean.value(),
        });
        println!("| **mean** | {} | |", row(&means));
    }
    Ok(())
}

fn row(values: &[f64]) -> String {
    let text = |value: &f64| {
        if value.is_finite() {
            format!("{value:.2}")
        } else {
            "–".to_owned()
        }
    };
    values.iter().map(text).collect::<Vec<_>>().join(" | ")
}

/// A whole film.
struct Whole {
    frames: Vec<Seen>,
    /// See [`SETTLED`] and [`OVER`].
    settled: usize,
    over: usize,
    visit: Option<Visit>,
    scenes: u32,
}

/// Looks at a film. `lost`: without every third frame, as if the rest had come with DISCONT set.
fn see(eye: &mut Eye, film: &Film, departure: f64, lost: bool) -> Result<Whole, Box<dyn Error>> {
    let mut frames = Vec::new();
    let mut steadied = Steadied::default();
    let mut index = 0;
    film.each(|shot| {
        let place = index;
        index += 1;
        if lost && place % 3 == 2 {
            return Ok(());
        }
        let Looked {
            tensor,
            network,
            depth: maps,
        } = eye.look_again(&film.name, place, &shot)?;
        let (size, depth) = (maps.size, &maps.values);
        let picture = SmallPicture::of(tensor, network);
        let own = Limits::of(depth).ok_or("a frame without depth")?;
        let (smooth, filtered) = steadied.next(depth, size, &picture, departure);
        let ways = [(depth, own), (depth, smooth), (filtered, smooth)];
        let truth = shot.truth.map(|truth| nearest(&truth, shot.size, size));
        frames.push(Seen {
            own: few(depth, size),
            truth: truth.map(|truth| few(&truth, size)),
            luma: few(&nearest(picture.luma(), network, size), size),
            shown: ways.map(|(depth, limits)| few(&show(depth, limits), size)),
        });
        Ok(())
    })?;
    let left = |frame: usize| frame - if lost { frame / 3 } else { 0 };
    Ok(Whole {
        visit: film.visit().map(|visit| Visit {
            comes: left(visit.comes),
            arrives: left(visit.arrives),
            goes: left(visit.goes),
            gone: left(visit.gone),
        }),
        frames,
        settled: left(SETTLED),
        over: left(OVER),
        scenes: steadied.tracker.scene() + 1,
    })
}

/// Every few pixels of a plane.
fn few(plane: &[f32], size: Size) -> Vec<f32> {
    let rows = plane.chunks_exact(size.width as usize).step_by(STEP);
    rows.flat_map(|row| row.iter().step_by(STEP).copied())
        .collect()
}

fn measure(film: &Whole, way: usize) -> Marks {
    let frames = &film.frames;
    let unknown = [f64::NAN; 2];
    let mut marks = Marks {
        steps: steps(frames, |frame| &frame.shown[way], false),
        own_steps: f64::NAN,
        least_steps: f64::NAN,
        beyond: unknown,
        settle: unknown,
        pump: unknown,
        rise: [unknown; 2],
        left: unknown,
        abs_rel: [0, 1].map(|own| abs_rel(frames, way, own == 1)),
    };
    let Some(visit) = film
        .visit
        .filter(|visit| visit.gone + film.over < frames.len())
    else {
        return marks;
    };
    let settled = visit.arrives + film.settled;
    let (stays, came) = places(frames, visit, settled);
    // the model's own values in this way's units of before
    let mut fit = Fit::default();
    for frame in &frames[visit.comes / 2..visit.comes] {
        for &i in &stays {
            fit.add(f64::from(frame.own[i]), f64::from(frame.shown[way][i]));
        }
    }
    let (gain, bias) = fit.line();
    marks.own_steps = gain * steps(frames, |frame| &frame.own, false);
    marks.least_steps = gain * steps(frames, |frame| &frame.own, true);
    let mut nearest: Vec<f64> = came
        .iter()
        .map(|&i| gain * f64::from(frames[settled].own[i]) + bias - 1.0)
        .collect();
    nearest.sort_by(f64::total_cmp);
    if let Some(nearest) = nearest.get(nearest.len() * 19 / 20) {
        marks.beyond[0] = *nearest;
    }
    let beyond = nearest.iter().filter(|by| **by > 0.0).count();
    marks.beyond[1] = beyond as f64 / nearest.len() as f64;
    for own in [0, 1] {
        let mean = |at: usize, i: usize| {
            let around = &frames[at - AROUND..=at + AROUND];
            let value = |frame: &Seen| match own {
                0 => f64::from(frame.shown[way][i]),
                _ => gain * f64::from(frame.own[i]) + bias,
            };
            around.iter().map(value).sum::<f64>() / around.len() as f64
        };
        let off = |a: usize, b: usize, places: &[usize]| {
            let off = |&i: &usize| (mean(a, i) - mean(b, i)).abs();
            places.iter().map(off).sum::<f64>() / places.len() as f64
        };
        let rise = |at: usize| {
            let rise = |&i: &usize| mean(at, i) - mean(visit.comes - 1 - AROUND, i);
            came.iter().map(rise).sum::<f64>() / came.len() as f64
        };
        let before = visit.comes - 1 - AROUND;
        marks.settle[own] = off(settled, before, &stays);
        let later = (settled..visit.goes - AROUND).step_by(2 * AROUND + 1);
        marks.pump[own] = later.map(|at| off(at, settled, &stays)).fold(0.0, f64::max);
        marks.rise[0][own] = rise(settled);
        marks.rise[1][own] = rise(visit.arrives + AT_ONCE);
        marks.left[own] = off(visit.gone + film.over - AROUND - 1, before, &stays);
    }
    marks
}

/// Pixels that show the same all the time, and those in which who came is to be seen.
fn places(frames: &[Seen], visit: Visit, settled: usize) -> (Vec<usize>, Vec<usize>) {
    let Some(first) = &frames[0].truth else {
        return (Vec::new(), Vec::new());
    };
    let range = Limits::of(first).map_or(0.0, |range| range.span() as f32);
    let same = |frame: &Seen, i: usize| {
        let truth = frame.truth.as_ref();
        truth.is_some_and(|truth| (truth[i] - first[i]).abs() <= SAME * range)
    };
    let all = 0..first.len();
    let stays = all
        .clone()
        .filter(|&i| frames.iter().all(|frame| same(frame, i)))
        .collect();
    let around = visit.arrives + AT_ONCE - AROUND..=settled + AROUND;
    let came = all
        .filter(|&i| frames[around.clone()].iter().all(|frame| !same(frame, i)))
        .collect();
    (stays, came)
}

/// Mean change of a pixel that shows the same, from a frame to the next. `fitted`: less what one scale and shift explain.
fn steps(frames: &[Seen], values: impl Fn(&Seen) -> &Vec<f32>, fitted: bool) -> f64 {
    /// Of pictures without exact depth, in standard deviations of natural ones.
    const ALIKE: f32 = 0.1;
    let mut mean = Mean::default();
    for pair in frames.windows(2) {
        let [before, now] = pair else { continue };
        let (one, other, most) = match (&before.truth, &now.truth) {
            (Some(one), Some(other)) => {
                let range = Limits::of(one).map_or(0.0, |range| range.span() as f32);
                (one, other, SAME * range)
            }
            _ => (&before.luma, &now.luma, ALIKE),
        };
        let still = (0..one.len()).filter(|&i| (one[i] - other[i]).abs() <= most);
        let still: Vec<usize> = still.collect();
        let (before, now) = (values(before), values(now));
        mean.add(if fitted {
            pair_drift(before, now, &still).1
        } else {
            let change = |&i: &usize| f64::from((before[i] - now[i]).abs());
            still.iter().map(change).sum::<f64>() / still.len().max(1) as f64
        });
    }
    mean.value()
}

/// Mean error of depth, in shares of it, with one scale and shift of the inverse for all frames.
fn abs_rel(frames: &[Seen], way: usize, own: bool) -> f64 {
    numbers::abs_rel(|| {
        frames.iter().flat_map(move |frame| {
            let shown = if own { &frame.own } else { &frame.shown[way] };
            shown.iter().zip(frame.truth.iter().flatten()).step_by(7)
        })
    })
}
