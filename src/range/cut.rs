//! Finds cuts: frames whose picture has little to do with the one before.
//!
//! What a frame brings decides, not the flags of its buffer. That frames may be missing before it, or that it comes from
//! another place of the video, only changes what counts as little ([`Joint`]).

use super::grid::{self, Colours};
use crate::geometry::Size;

/// Thumbnail the pictures are compared at; coarse, so that motion and noise weigh little.
const COLUMNS: usize = 16;
const ROWS: usize = 12;
const CELLS: usize = COLUMNS * ROWS;

/// Thumbnails may be shifted against each other by so many cells, so that a pan is no cut.
const SHIFT: [isize; 2] = [3, 1];

/// Pictures of one scene are alike at least by this, from one frame to the next: see [`likeness`]. Chosen on films and on
/// photographs under a moving camera: within scenes 0.62 or more in 99 of 100, also where that whips around, across cuts
/// 0.56 or less in all of 156 pairs. `marks cuts` measures what comes of it.
const ALIKE: f32 = 0.59;
/// Shared colours make pictures no more alike than they resemble each other and this.
const COLOURS_ADD: f32 = 0.15;
/// A frame from elsewhere goes on where the last ended only if their pictures resemble each other by this.
const GOES_ON: f32 = 0.73;
/// Mean difference of two thumbnails, in standard deviations of natural pictures (the unit of normalised
/// tensors), below which no change is a cut: the noise of a dark picture resembles nothing.
const FLOOR: f32 = 0.15;
/// A cut stands out from the change between the frames before it by this factor, so that shaky or fast
/// films do not break into scenes of a frame each.
const CONTRAST: f32 = 2.0;
/// Weight of the past in the usual change between two frames.
const MEMORY: f32 = 0.8;
/// A picture that resembles the one before the last cut by this much is that scene again: it was a flash, or one
/// frame of something else.
const FAMILIAR: f32 = 0.8;
/// For so many frames after a cut the picture before it is remembered.
const RECALL: u32 = 5;

/// Where a camera stands, this share of the picture stays what it was, however much of it is covered by what comes: over a
/// road, half of it in a second. Pictures that were joined have 0.3 in common at most.
const STANDS: f32 = 0.4;
/// Colours that differ by less, in standard deviations of natural pictures and less what a common change of brightness
/// explains, are the same.
const SAME: f32 = 0.1;
/// What stays must not be as even as black bars or a sheet of paper, which pictures of anything have in common: the colours
/// of four fifths of it are farther apart than this. Those of a bare road are by 0.36 or more, of bars and skies by 0.15.
const TEXTURE: f32 = 0.25;

/// Variance of what is even.
const EVEN: f32 = 1e-4;

type Thumbnail = Box<[[f32; 3]; CELLS]>;

/// How a frame joins on to the one before, the weakest first.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Joint {
    /// It is the next one, or some between them are missing.
    #[default]
    Next,
    /// It is from another place of the video, or of another one: it has to show that it goes on.
    Elsewhere,
    /// Whatever it shows, it has nothing to do with what was before.
    Afresh,
}

/// What a picture is to the one before.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The same scene.
    #[default]
    None,
    /// A new scene.
    Cut,
    /// The scene before the last cut again.
    Back,
    /// A new scene, by [`Joint::Afresh`].
    Afresh,
}

/// A picture, compared with the one before: what a [`Tracker`](super::Tracker) sees of it.
#[derive(Debug, Default)]
pub struct Compared {
    pub(super) picture: Option<Colours>,
    pub(super) change: Change,
}

impl Compared {
    /// Whether the picture goes on where the one before ended.
    pub fn goes_on(&self) -> bool {
        self.change == Change::None
    }
}

/// Compares each picture with the one before.
#[derive(Debug, Default)]
pub struct CutDetector {
    last: Option<(Thumbnail, Colours)>,
    /// The last picture before the last cut, and the frames since.
    before: Option<(Thumbnail, u32)>,
    usual: f32,
    /// See [`Self::of_deviation`]; 0: 1.
    deviation: f32,
}

impl CutDetector {
    /// For pictures in whose values natural ones have this standard deviation; 1, as in normalised tensors, where it is
    /// not said.
    #[must_use]
    pub fn of_deviation(self, deviation: f32) -> Self {
        Self { deviation, ..self }
    }

    /// Looks at the next picture of a stream: `tensor` is `[3, height, width]` of `size`, normalised. One of no pixels
    /// goes on.
    pub fn look(&mut self, tensor: &[f32], size: Size, joint: Joint) -> Compared {
        if joint == Joint::Afresh {
            *self = Self::default().of_deviation(self.deviation);
        }
        let mut picture = Colours::of(tensor, size);
        if let (Some(picture), true) = (&mut picture, self.deviation > 0.0) {
            picture.divide(self.deviation);
        }
        let change = picture
            .as_ref()
            .map_or(Change::None, |picture| self.compare(picture, joint));
        Compared {
            picture,
            change: if joint == Joint::Afresh {
                Change::Afresh
            } else {
                change
            },
        }
    }

    /// What the picture is to the last one.
    fn compare(&mut self, picture: &Colours, joint: Joint) -> Change {
        let now = thumbnail(picture);
        let Some((last, colours)) = self.last.replace((now.clone(), picture.clone())) else {
            return Change::None;
        };
        let novelty = 1.0 - likeness([&now, &last], [picture, &colours]);
        let cut = if joint == Joint::Next {
            novelty > 1.0 - ALIKE
                && novelty > CONTRAST * self.usual
                && difference(flat(&now), flat(&last)) > FLOOR
        } else {
            !shows_the_same([&now, &last], [picture, &colours])
        };
        let cut = cut && !stands(picture, &colours);
        if !cut {
            self.usual = MEMORY * self.usual + (1.0 - MEMORY) * novelty;
            self.before = self
                .before
                .take()
                .filter(|(_, age)| *age < RECALL)
                .map(|(before, age)| (before, age + 1));
            return Change::None;
        }
        let familiar = |before: &Thumbnail| resemblance(&now, before) > FAMILIAR;
        match self.before.replace((last, 0)) {
            Some((before, _)) if familiar(&before) => Change::Back,
            _ => Change::Cut,
        }
    }
}

/// Whether two pictures are of a camera that stands: much of them is the same.
fn stands(now: &Colours, before: &Colours) -> bool {
    let mut same = [true; grid::CELLS];
    let mut deltas = vec![0.0; grid::CELLS];
    for channel in 0..3 {
        let (now, before) = (now.plane(channel), before.plane(channel));
        for ((delta, a), b) in deltas.iter_mut().zip(now).zip(before) {
            *delta = a - b;
        }
        // what most cells have in common is a change of brightness
        let mut sorted = deltas.clone();
        let (_, common, _) = sorted.select_nth_unstable_by(grid::CELLS / 2, f32::total_cmp);
        for (same, delta) in same.iter_mut().zip(&deltas) {
            *same &= (delta - *common).abs() < SAME;
        }
    }
    let count = same.iter().filter(|same| **same).count() as f32;
    if count < STANDS * grid::CELLS as f32 {
        return false;
    }
    let spread = |channel| {
        let cells = now.plane(channel).iter().zip(&same);
        let mut cells: Vec<f32> = cells
            .filter(|(_, same)| **same)
            .map(|(cell, _)| *cell)
            .collect();
        let (low, high) = (cells.len() / 10, cells.len() - 1 - cells.len() / 10);
        let high = *cells.select_nth_unstable_by(high, f32::total_cmp).1;
        high - *cells.select_nth_unstable_by(low, f32::total_cmp).1
    };
    (0..3).map(spread).sum::<f32>() / 3.0 > TEXTURE
}

/// Whether two pictures that may be of different videos are one: their structure, whatever their mean colour.
fn shows_the_same(thumbnails: [&Thumbnail; 2], colours: [&Colours; 2]) -> bool {
    let [now, before] = thumbnails.map(centred);
    if is_even(&now) && is_even(&before) {
        // what is even but for its texture may be anything
        return difference(colours[0].cells(), colours[1].cells()) < FLOOR;
    }
    resemblance(&now, &before) > GOES_ON
}

/// Less the mean of each channel.
fn centred(thumbnail: &Thumbnail) -> Thumbnail {
    let mut centred = thumbnail.clone();
    for channel in 0..3 {
        let mean = thumbnail.iter().map(|cell| cell[channel]).sum::<f32>() / CELLS as f32;
        for cell in centred.iter_mut() {
            cell[channel] -= mean;
        }
    }
    centred
}

fn flat(thumbnail: &Thumbnail) -> impl Iterator<Item = f32> + Clone {
    thumbnail.iter().flatten().copied()
}

/// Whether there is nothing to be seen in a thumbnail.
fn is_even(thumbnail: &Thumbnail) -> bool {
    let count = (CELLS * 3) as f32;
    let mean = flat(thumbnail).sum::<f32>() / count;
    flat(thumbnail)
        .map(|cell| (cell - mean).powi(2))
        .sum::<f32>()
        < count * EVEN
}

/// Mean absolute difference, less what a common change of brightness explains.
fn difference(a: impl Iterator<Item = f32> + Clone, b: impl Iterator<Item = f32> + Clone) -> f32 {
    let deltas = a.zip(b).map(|(a, b)| a - b);
    let count = deltas.clone().count() as f32;
    let common = deltas.clone().sum::<f32>() / count;
    deltas.map(|delta| (delta - common).abs()).sum::<f32>() / count
}

/// Correlation of two thumbnails where they overlap best, which a change of brightness or contrast leaves alone: a
/// flash or a fade is not a cut.
fn resemblance(a: &Thumbnail, b: &Thumbnail) -> f32 {
    let still = correlation(a, b, [0, 0]);
    if still > FAMILIAR {
        return still;
    }
    let [across, down] = SHIFT;
    (-down..=down)
        .flat_map(|y| (-across..=across).map(move |x| [x, y]))
        .map(|shift| correlation(a, b, shift))
        .fold(still, f32::max)
}

/// How much two pictures in a row are alike: the mean of how much their thumbnails resemble each other and how many colours
/// they share. Colours alone say little where a room is seen from its other side.
fn likeness(thumbnails: [&Thumbnail; 2], colours: [&Colours; 2]) -> f32 {
    let resemblance = resemblance(thumbnails[0], thumbnails[1]);
    let mean = 0.5 * (resemblance + shared_colours(colours[0], colours[1]));
    mean.min(resemblance + COLOURS_ADD)
}

/// Steps of each channel in which colours are counted,
const SHADES: usize = 8;
/// over this much of it, in standard deviations of the picture's luma, around its mean.
const SPREAD: f32 = 5.0;
/// A picture whose luma varies by less is even.
const LEAST_SPREAD: f32 = 0.1;

/// The share of two pictures' cells that have the same colours, wherever they are: what moves, however fast, keeps them, while
/// scenes that happen to be bright and dark in the same places seldom have the same. Brightness and contrast do not count.
fn shared_colours(a: &Colours, b: &Colours) -> f32 {
    let (a, b) = (shades(a), shades(b));
    let shared: u32 = a.iter().zip(&b).map(|(a, b)| u32::from(*a.min(b))).sum();
    shared as f32 / grid::CELLS as f32
}

/// How many cells have each colour.
fn shades(picture: &Colours) -> Vec<u16> {
    let planes = [0, 1, 2].map(|channel| picture.plane(channel));
    let luma = |cell: usize| (planes[0][cell] + planes[1][cell] + planes[2][cell]) / 3.0;
    let count = grid::CELLS as f32;
    let mean = (0..grid::CELLS).map(luma).sum::<f32>() / count;
    let variance = (0..grid::CELLS)
        .map(|cell| (luma(cell) - mean).powi(2))
        .sum::<f32>()
        / count;
    let scale = SHADES as f32 / (SPREAD * variance.sqrt().max(LEAST_SPREAD));
    let mut shades = vec![0; SHADES.pow(3)];
    for cell in 0..grid::CELLS {
        // a value that is not finite counts as the lowest
        let shade = |plane: &[f32]| {
            let step = (plane[cell] - mean) * scale + SHADES as f32 / 2.0;
            (step.max(0.0) as usize).min(SHADES - 1)
        };
        let [red, green, blue] = planes.map(shade);
        shades[(red * SHADES + green) * SHADES + blue] += 1;
    }
    shades
}

/// Correlation of `a` with `b` moved by `shift` cells.
fn correlation(a: &Thumbnail, b: &Thumbnail, [right, down]: [isize; 2]) -> f32 {
    let overlap = |shift: isize, side: usize| {
        let shift_a = shift.max(0).unsigned_abs();
        let shift_b = (-shift).max(0).unsigned_abs();
        (shift_a, shift_b, side - shift.unsigned_abs())
    };
    let (left_a, left_b, width) = overlap(right, COLUMNS);
    let (top_a, top_b, height) = overlap(down, ROWS);
    let pairs = || {
        (0..height).flat_map(move |y| {
            let a = &a[(y + top_a) * COLUMNS + left_a..][..width];
            let b = &b[(y + top_b) * COLUMNS + left_b..][..width];
            a.iter().flatten().zip(b.iter().flatten())
        })
    };
    let count = (3 * width * height) as f32;
    let (sum_a, sum_b) = pairs().fold((0.0, 0.0), |(x, y), (a, b)| (x + a, y + b));
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

/// Means of a coarse grid of cells.
fn thumbnail(picture: &Colours) -> Thumbnail {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const SIZE: Size = Size::new(112, 84);

    /// A smooth picture that depends on `seed`, shifted by `shift` pixels, its contrast and brightness changed.
    fn picture(seed: f32, shift: f32, [contrast, brightness]: [f32; 2]) -> Colours {
        let mut tensor = Vec::with_capacity(3 * SIZE.area());
        for channel in 0..3 {
            for y in 0..SIZE.height {
                for x in 0..SIZE.width {
                    let (x, y) = (x as f32 + shift, y as f32);
                    let phase = seed * (1.0 + channel as f32);
                    let wave = (x * 0.09 + phase).sin() + (y * 0.11 - phase * 1.7).cos();
                    tensor.push(contrast * wave + brightness);
                }
            }
        }
        Colours::of(&tensor, SIZE).unwrap()
    }

    const PLAIN: [f32; 2] = [1.0, 0.0];

    fn changes(pictures: impl IntoIterator<Item = Colours>) -> Vec<(usize, Change)> {
        let mut detector = CutDetector::default();
        let changes = pictures
            .into_iter()
            .map(|picture| detector.compare(&picture, Joint::Next));
        changes
            .enumerate()
            .filter(|(_, change)| *change != Change::None)
            .collect()
    }

    #[test]
    fn a_pan_is_one_scene() {
        for speed in [1.0, 3.0, 12.0] {
            let pan = (0..50).map(|frame| picture(1.0, frame as f32 * speed, PLAIN));
            assert_eq!(changes(pan), [], "{speed} pixels a frame");
        }
        // one that starts in the middle, as fast as it goes
        let whip = (0..20).map(|frame| picture(1.0, (frame - 10).max(0) as f32 * 14.0, PLAIN));
        assert_eq!(changes(whip), []);
    }

    #[test]
    fn a_cut_is_seen_at_its_frame_and_only_there() {
        let film = (0..40).map(|frame| {
            let seed = if frame < 20 { 1.0 } else { 4.0 };
            picture(seed, frame as f32, PLAIN)
        });
        assert_eq!(changes(film), [(20, Change::Cut)]);
    }

    #[test]
    fn where_the_camera_stands_what_fills_half_of_the_picture_is_no_cut() {
        // a bare floor, at a few frames a second, and something dark and large that is there at once and goes
        let still = |thing: bool, light: f32| {
            let mut tensor = Vec::with_capacity(3 * SIZE.area());
            for channel in 0..3 {
                for y in 0..SIZE.height {
                    for x in 0..SIZE.width {
                        let floor = 0.3 * (x as f32 * 0.05).sin() + 0.2 * (y as f32 * 0.08).cos();
                        let inside = thing && (30..90).contains(&x) && y > 10;
                        let stripes = -1.8 + 0.6 * (x as f32 * 0.4 + channel as f32).sin();
                        tensor.push(light + if inside { stripes } else { floor });
                    }
                }
            }
            Colours::of(&tensor, SIZE).unwrap()
        };
        // the exposure follows
        let film =
            (0..20_i32).map(|frame| still((7..13).contains(&frame), -0.1 * (frame % 4) as f32));
        assert_eq!(changes(film), []);
        // bars are no camera that stands
        let barred = |seed| {
            let mut tensor = Vec::with_capacity(3 * SIZE.area());
            let inner = picture(seed, 0.0, PLAIN);
            for channel in 0..3 {
                for y in 0..SIZE.height {
                    for x in 0..SIZE.width {
                        let cell = (y * 48 / SIZE.height * 64 + x * 64 / SIZE.width) as usize;
                        let bar = !(24..60).contains(&y);
                        tensor.push(if bar {
                            -0.1
                        } else {
                            inner.plane(channel)[cell]
                        });
                    }
                }
            }
            Colours::of(&tensor, SIZE).unwrap()
        };
        let film = (0..20).map(|frame| barred(if frame < 10 { 1.0 } else { 4.0 }));
        assert_eq!(changes(film), [(10, Change::Cut)]);
    }

    #[test]
    fn what_comes_from_elsewhere_has_to_resemble_what_was_before() {
        // farther than a pan goes, so that half of the waves are out of step
        let [before, other] = [2.0, 37.0].map(|shift| picture(1.0, shift, PLAIN));
        let resembles = resemblance(&thumbnail(&before), &thumbnail(&other));
        assert!((0.6..GOES_ON).contains(&resembles), "{resembles}");
        for (joint, change) in [(Joint::Next, Change::None), (Joint::Elsewhere, Change::Cut)] {
            let mut detector = CutDetector::default();
            detector.compare(&picture(1.0, 0.0, PLAIN), Joint::Next);
            assert_eq!(
                detector.compare(&picture(1.0, 2.0, PLAIN), joint),
                Change::None
            );
            assert_eq!(detector.compare(&other, joint), change);
        }
    }

    /// As the sea and a road under the same sky are.
    #[test]
    fn scenes_lit_alike_are_told_by_their_colours() {
        let lit = |frame: u32, sea: bool, light: f32| {
            let (tint, length) = if sea {
                (0.5, [0.2, 0.0])
            } else {
                (-0.5, [0.37, 0.5])
            };
            let mut tensor = Vec::with_capacity(3 * SIZE.area());
            for channel in [1.0, 0.0, -1.0] {
                for y in 0..SIZE.height {
                    for x in 0..SIZE.width {
                        let sky = 5.0 * y as f32 / SIZE.height as f32 - 2.5;
                        let wave = (x + frame) as f32 * length[0] + y as f32 * length[1];
                        let wave = 0.6 * wave.sin();
                        tensor.push(light * (sky + wave + channel * tint));
                    }
                }
            }
            Colours::of(&tensor, SIZE).unwrap()
        };
        let film = |frame: u32| {
            // a flash in each of them
            lit(frame, frame < 10, if frame % 10 == 5 { 0.5 } else { 1.0 })
        };
        let [last, first] = [film(9), film(10)].map(|picture| thumbnail(&picture));
        assert!(resemblance(&last, &first) > 0.75);
        assert_eq!(changes((0..20).map(film)), [(10, Change::Cut)]);
    }

    #[test]
    fn dark_scenes_have_cuts_too() {
        let film = (0..20).map(|frame| {
            let seed = if frame < 10 { 1.0 } else { 4.0 };
            picture(seed, frame as f32, [0.3, -1.8])
        });
        assert_eq!(changes(film), [(10, Change::Cut)]);
    }

    #[test]
    fn flashes_and_fades_are_not_cuts() {
        let flash = (0..10).map(|frame| {
            let light = if frame == 5 { [0.4, 2.0] } else { PLAIN };
            picture(1.0, frame as f32, light)
        });
        assert_eq!(changes(flash), []);
        // to black and back again
        let fade = (0..60).map(|frame: i32| {
            let light = ((frame - 30).abs() as f32 / 20.0).min(1.0);
            picture(1.0, frame as f32, [light, 2.0 * light - 2.0])
        });
        assert_eq!(changes(fade), []);
    }

    #[test]
    fn after_a_frame_of_white_it_is_the_same_scene_again() {
        let film = (0..20).map(|frame| {
            let light = if (8..10).contains(&frame) {
                [0.0, 2.0]
            } else {
                PLAIN
            };
            picture(1.0, frame as f32, light)
        });
        assert_eq!(changes(film), [(8, Change::Cut), (10, Change::Back)]);
    }

    #[test]
    fn every_frame_may_be_a_cut() {
        let film = (0..20).map(|frame| picture(1.0 + 2.7 * frame as f32, 0.0, PLAIN));
        let cuts = changes(film);
        assert!(cuts.len() > 15, "{cuts:?}");
        let two_in_turn = (0..20).map(|frame| picture([1.0, 4.0][frame % 2], 0.0, PLAIN));
        let cuts = changes(two_in_turn);
        assert_eq!(cuts.len(), 19);
        assert_eq!(cuts[0].1, Change::Cut);
        assert!(cuts[1..].iter().all(|(_, change)| *change == Change::Back));
    }

    #[test]
    fn noise_in_the_dark_is_no_cut() {
        let noise = (0..50_u32).map(|frame| {
            let mut state = frame.wrapping_mul(0x9e37_79b9) | 1;
            let tensor: Vec<f32> = (0..3 * SIZE.area())
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    (state >> 8) as f32 / (1 << 24) as f32 * 0.2 - 2.1
                })
                .collect();
            Colours::of(&tensor, SIZE).unwrap()
        });
        assert_eq!(changes(noise), []);
    }
}
