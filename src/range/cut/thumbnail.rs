//! Small pictures of pictures, and how much two of them have in common.

use crate::range::grid::{self, Colours};

/// Thumbnail the pictures are compared at; coarse, so that motion and noise weigh little.
const COLUMNS: usize = 16;
const ROWS: usize = 12;
const CELLS: usize = COLUMNS * ROWS;

/// Thumbnails may be shifted against each other by so many cells, so that a pan is no cut.
const SHIFT: [isize; 2] = [3, 1];
/// Where detail is compared, which takes farther shifts without finding things alike that are not: so far, for a pan that whips.
const FAR: [isize; 2] = [5, 4];
/// Variance of detail that is none.
const FAINT: f32 = 1e-5;

/// A resemblance that needs no search for a better one.
const CLEAR: f32 = 0.8;
/// Variance of what is even.
const EVEN: f32 = 1e-4;

pub(super) type Thumbnail = Box<[[f32; 3]; CELLS]>;

/// Means of a coarse grid of cells.
pub(super) fn thumbnail(picture: &Colours) -> Thumbnail {
    const ACROSS: usize = grid::COLUMNS / COLUMNS;
    const DOWN: usize = grid::ROWS / ROWS;
    let mut cells = Box::new([[0.0; 3]; CELLS]);
    for channel in 0..3 {
        for (index, value) in picture.plane(channel).iter().enumerate() {
            let (row, column) = (index / grid::COLUMNS, index % grid::COLUMNS);
            let cell = row / DOWN * COLUMNS + column / ACROSS;
            cells[cell][channel] += value / (ACROSS * DOWN) as f32;
        }
    }
    cells
}

/// Less the mean of each channel.
pub(super) fn centred(thumbnail: &Thumbnail) -> Thumbnail {
    let mut centred = thumbnail.clone();
    for channel in 0..3 {
        let mean = thumbnail.iter().map(|cell| cell[channel]).sum::<f32>() / CELLS as f32;
        for cell in centred.iter_mut() {
            cell[channel] -= mean;
        }
    }
    centred
}

pub(super) fn flat(thumbnail: &Thumbnail) -> impl Iterator<Item = f32> + Clone {
    thumbnail.iter().flatten().copied()
}

/// Whether there is nothing to be seen in a thumbnail.
pub(super) fn is_even(thumbnail: &Thumbnail) -> bool {
    let count = (CELLS * 3) as f32;
    let mean = flat(thumbnail).sum::<f32>() / count;
    flat(thumbnail)
        .map(|cell| (cell - mean).powi(2))
        .sum::<f32>()
        < count * EVEN
}

/// Mean absolute difference, less what a common change of brightness explains.
pub(super) fn difference(
    a: impl Iterator<Item = f32> + Clone,
    b: impl Iterator<Item = f32> + Clone,
) -> f32 {
    let deltas = a.zip(b).map(|(a, b)| a - b);
    let count = deltas.clone().count() as f32;
    let common = deltas.clone().sum::<f32>() / count;
    deltas.map(|delta| (delta - common).abs()).sum::<f32>() / count
}

/// Correlation of two thumbnails where they overlap best, which a change of brightness or contrast leaves alone: a
/// flash or a fade is not a cut.
pub(super) fn resemblance(a: &Thumbnail, b: &Thumbnail) -> f32 {
    let still = correlation(a, b, [0, 0]);
    if still > CLEAR {
        return still;
    }
    let [across, down] = SHIFT;
    (-down..=down)
        .flat_map(|y| (-across..=across).map(move |x| [x, y]))
        .map(|shift| correlation(a, b, shift))
        .fold(still, f32::max)
}

/// How much the detail of two thumbnails is the same where they overlap best, from −1 to 1: what is finer than a third of the
/// picture, in each channel by itself, so that neither light, of whatever colour, nor what pictures of one kind share (a bright
/// sky over something dark) counts. Two without any have nothing in common.
pub(super) fn shared_detail(a: &Thumbnail, b: &Thumbnail) -> f32 {
    let [a, b] = [a, b].map(detail);
    let [across, down] = FAR;
    (-down..=down)
        .flat_map(|y| (-across..=across).map(move |x| [x, y]))
        .map(|shift| {
            let channel = |channel| channel_correlation(&a, &b, shift, channel);
            (0..3).map(channel).sum::<f32>() / 3.0
        })
        .fold(-1.0, f32::max)
}

/// Each cell less the mean of those about it.
fn detail(thumbnail: &Thumbnail) -> Thumbnail {
    const REACH: usize = 2;
    let mut detail = thumbnail.clone();
    for (cell, value) in detail.iter_mut().enumerate() {
        let (row, column) = (cell / COLUMNS, cell % COLUMNS);
        let rows = row.saturating_sub(REACH)..(row + REACH + 1).min(ROWS);
        let columns = column.saturating_sub(REACH)..(column + REACH + 1).min(COLUMNS);
        let count = (rows.len() * columns.len()) as f32;
        for row in rows {
            for near in &thumbnail[row * COLUMNS..][columns.clone()] {
                for (value, near) in value.iter_mut().zip(near) {
                    *value -= near / count;
                }
            }
        }
    }
    detail
}

/// The same of one channel; 0 where there is nothing in it.
fn channel_correlation(a: &Thumbnail, b: &Thumbnail, shift: [isize; 2], channel: usize) -> f32 {
    let (mut count, mut sums, mut squares) = (0.0_f32, [0.0_f32; 2], [0.0_f32; 3]);
    for (a, b) in overlap(a, b, shift) {
        let (a, b) = (a[channel], b[channel]);
        count += 1.0;
        sums = [sums[0] + a, sums[1] + b];
        squares = [squares[0] + a * a, squares[1] + b * b, squares[2] + a * b];
    }
    let about_mean = |square: f32, a: f32, b: f32| square - a * b / count;
    let var_a = about_mean(squares[0], sums[0], sums[0]);
    let var_b = about_mean(squares[1], sums[1], sums[1]);
    let both = about_mean(squares[2], sums[0], sums[1]);
    both / (var_a * var_b).max(0.0).sqrt().max(count * FAINT)
}

/// Mean deviation of the channels: how much there is to be seen.
pub(super) fn contrast(thumbnail: &Thumbnail) -> f32 {
    let variance = flat(&centred(thumbnail))
        .map(|cell| cell * cell)
        .sum::<f32>()
        / (3 * CELLS) as f32;
    variance.sqrt()
}

/// The cells of `a` with those of `b` moved by `shift`, where both are.
fn overlap<'a>(
    a: &'a Thumbnail,
    b: &'a Thumbnail,
    [right, down]: [isize; 2],
) -> impl Iterator<Item = (&'a [f32; 3], &'a [f32; 3])> + Clone {
    let span = |shift: isize, side: usize| {
        let shift_a = shift.max(0).unsigned_abs();
        let shift_b = (-shift).max(0).unsigned_abs();
        (shift_a, shift_b, side - shift.unsigned_abs())
    };
    let (left_a, left_b, width) = span(right, COLUMNS);
    let (top_a, top_b, height) = span(down, ROWS);
    (0..height).flat_map(move |y| {
        let a = &a[(y + top_a) * COLUMNS + left_a..][..width];
        let b = &b[(y + top_b) * COLUMNS + left_b..][..width];
        a.iter().zip(b)
    })
}

/// Correlation of `a` with `b` moved by `shift` cells.
fn correlation(a: &Thumbnail, b: &Thumbnail, shift: [isize; 2]) -> f32 {
    let pairs = || overlap(a, b, shift).flat_map(|(a, b)| a.iter().zip(b));
    let (count, sum_a, sum_b) =
        pairs().fold((0.0, 0.0, 0.0), |(n, x, y), (a, b)| (n + 1.0, x + a, y + b));
    let (mean_a, mean_b) = (sum_a / count, sum_b / count);
    let (mut both, mut var_a, mut var_b) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (a, b) in pairs() {
        let (a, b) = (a - mean_a, b - mean_b);
        both += a * b;
        var_a += a * a;
        var_b += b * b;
    }
    // two even pictures are alike
    let even = count * EVEN;
    if var_a < even && var_b < even {
        return 1.0;
    }
    both / (var_a * var_b).sqrt().max(even)
}
