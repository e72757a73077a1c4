//! How steady what is seen stays while the camera moves: along the true motion, which the renderer knows.
//!
//! A place of the scene that two frames show has an error in each: what is shown less its true inverse depth, with one scale
//! and shift for the whole film. How much that changes from a frame to the next is what flickers to the eye.

use std::error::Error;

use gstdepthanything::frame::SmallPicture;
use gstdepthanything::geometry::Size;
use gstdepthanything::range::Limits;

use crate::film::{Film, Pose, nearest};
use crate::steady::numbers::{FARTHEST, Fit, Mean, abs_rel, pair_drift};
use crate::steady::{Steadied, show};
use crate::{Eye, Looked};

/// The ways to lay values on the range.
const WAYS: [&str; 3] = ["frame", "smooth", "filtered"];

/// Every so many pixels count, both ways.
const STEP: u32 = 3;
/// The same place: its inverse depth is what the motion makes it, within this share.
const SAME: f32 = 0.02;
/// A frame, and what each way shows of it.
struct Seen {
    size: Size,
    truth: Vec<f32>,
    pose: Pose,
    shown: [Vec<f32>; 3],
}

/// Prints what each film gives.
pub(crate) fn run(eye: &mut Eye, films: &[Film], departure: f64) -> Result<(), Box<dyn Error>> {
    println!(
        "| film | frame, ‰ of the range | smooth ÷ frame | what a scale and shift could leave | filtered ÷ frame | AbsRel: frame | smooth ÷ frame | filtered ÷ smooth | ms a frame |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut means = [Mean::default(); 4];
    for film in films {
        let (frames, took) = see(eye, film, departure)?;
        let [
            [frame, least, off],
            [smooth, _, off_smooth],
            [filtered, _, off_filtered],
        ] = [0, 1, 2].map(|way| measure(&frames, way));
        println!(
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {off:.3} | {:.3} | {:.3} | {:.2} |",
            film.name,
            1000.0 * frame,
            smooth / frame,
            least / frame,
            filtered / frame,
            off_smooth / off,
            off_filtered / off_smooth,
            1000.0 * took.value()
        );
        let values = [
            smooth / frame,
            least / frame,
            filtered / frame,
            off_filtered / off_smooth,
        ];
        for (mean, value) in means.iter_mut().zip(values) {
            if value.is_finite() {
                mean.add(value);
            }
        }
    }
    let [smooth, least, filtered, off] = means.map(|mean| mean.value());
    println!("| **mean** | | {smooth:.2} | {least:.2} | {filtered:.2} | | | {off:.3} | |");
    println!(
        "\n{} are measured along the true motion, at each place that two frames in a row show.",
        WAYS.join(", ")
    );
    Ok(())
}

/// Looks at a film. Gives its frames, and how many seconds the filter took for each.
fn see(eye: &mut Eye, film: &Film, departure: f64) -> Result<(Vec<Seen>, Mean), Box<dyn Error>> {
    let mut frames = Vec::new();
    let mut steadied = Steadied::default();
    let mut index = 0;
    film.each(|shot| {
        let place = index;
        index += 1;
        let Looked {
            tensor,
            network,
            depth: maps,
        } = eye.look_again(&film.name, place, &shot)?;
        let (size, depth) = (maps.size, &maps.values);
        let picture = SmallPicture::of(tensor, network);
        let own = Limits::of(depth).ok_or("a frame without depth")?;
        let (smooth, filtered) = steadied.next(depth, size, &picture, departure);
        let truth = shot.truth.ok_or("a film without exact depth")?;
        let ways = [(depth, own), (depth, smooth), (filtered, smooth)];
        frames.push(Seen {
            size,
            truth: nearest(&truth, shot.size, size),
            pose: shot
                .pose
                .ok_or("a film without poses")?
                .at_size(shot.size, size),
            shown: ways.map(|(depth, limits)| show(depth, limits)),
        });
        Ok(())
    })?;
    Ok((frames, steadied.took))
}

/// Mean change of the error of a place, in shares of the range, what one scale and shift of each frame could leave of that,
/// and AbsRel; the first and the last with one scale and shift for all frames.
fn measure(frames: &[Seen], way: usize) -> [f64; 3] {
    let points = || {
        frames
            .iter()
            .flat_map(move |frame| frame.shown[way].iter().zip(&frame.truth).step_by(7))
    };
    let off = abs_rel(points);
    let mut to_shown = Fit::default();
    for (&shown, &truth) in points().filter(|&(_, &truth)| truth * FARTHEST > 1.0) {
        to_shown.add(f64::from(truth), f64::from(shown));
    }
    let (gain, _) = to_shown.line();
    let (mut change, mut least) = (Mean::default(), Mean::default());
    for pair in frames.windows(2) {
        let [before, now] = pair else { continue };
        let (mut was, mut is) = (Vec::new(), Vec::new());
        each_place(before, now, |i, at, truth| {
            let expected = gain * f64::from(truth - before.truth[i]);
            let shown = f64::from(sample(&now.shown[way], now.size, at)) - expected;
            change.add((shown - f64::from(before.shown[way][i])).abs());
            was.push(before.shown[way][i]);
            is.push(shown as f32);
        });
        let all: Vec<usize> = (0..was.len()).collect();
        least.add(pair_drift(&was, &is, &all).1);
    }
    [change.value(), least.value(), off]
}

/// Calls `take` with the index of a pixel, where the same place is in the next frame, and its true inverse depth there.
fn each_place(before: &Seen, now: &Seen, mut take: impl FnMut(usize, [f32; 2], f32)) {
    let Size { width, height } = before.size;
    for y in (0..height).step_by(STEP as usize) {
        for x in (0..width).step_by(STEP as usize) {
            let i = (y * width + x) as usize;
            let inverse = before.truth[i];
            if inverse * FARTHEST <= 1.0 {
                continue;
            }
            let place = before
                .pose
                .place([x as f32 + 0.5, y as f32 + 0.5], inverse.recip());
            let Some((at, truth)) = now.pose.project(place) else {
                continue;
            };
            let inside = at[0] >= 1.0
                && at[1] >= 1.0
                && at[0] < width as f32 - 1.0
                && at[1] < height as f32 - 1.0;
            // another thing may stand before it
            if inside && (sample(&now.truth, now.size, at) / truth - 1.0).abs() <= SAME {
                take(i, at, truth);
            }
        }
    }
}

/// A plane at a point between pixels, the middle of the first of which is at 0.5.
fn sample(plane: &[f32], size: Size, [x, y]: [f32; 2]) -> f32 {
    let (x, y) = (x - 0.5, y - 0.5);
    let (column, row) = (x.floor(), y.floor());
    let (right, down) = (x - column, y - row);
    let width = size.width as usize;
    let i = row as usize * width + column as usize;
    let mix = |a: f32, b: f32, share: f32| a + share * (b - a);
    let above = mix(plane[i], plane[i + 1], right);
    let below = mix(plane[i + width], plane[i + width + 1], right);
    mix(above, below, down)
}
