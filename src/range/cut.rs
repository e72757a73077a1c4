//! Finds cuts: frames whose picture has little to do with the one before.
//!
//! What a frame brings decides, not the flags of its buffer. That frames may be missing before it, or that it comes from
//! another place of the video, only changes what counts as little ([`Joint`]).

mod thumbnail;

use super::grid::{self, Colours};
use crate::frame::SmallPicture;
use thumbnail::{
    Thumbnail, centred, contrast, difference, flat, is_even, resemblance, shared_detail, thumbnail,
};

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
const FLOOR: f32 = 0.08;
/// A cut stands out from the change between the frames before it by this factor, so that shaky or fast
/// films do not break into scenes of a frame each.
const CONTRAST: f32 = 2.0;
/// Weight of the past in the usual change between two frames.
const MEMORY: f32 = 0.8;
/// A picture that resembles the one before the last cut by this much is that scene again: it was a flash, or one
/// frame of something else.
const FAMILIAR: f32 = 0.8;
/// For so many frames after a cut the picture before it is remembered: half a second of sixty, for what passes by close.
const RECALL: u32 = 30;

/// Pictures that share this much of their detail are of one scene, whatever their colours: a light was switched, or a camera
/// whipped around. Found on photographs under a moving camera and coloured light: there 0.73 or more, and across cuts 0.58 or
/// less.
const DETAIL: f32 = 0.66;
/// A picture with less contrast, in standard deviations of natural pictures, shows nothing: it is faded out.
const SHOWS: f32 = 0.15;
/// What comes out of the dark is another scene if it resembles what went into it by less,
const EMERGES_ALIKE: f32 = 0.7;
/// and shares less of its detail.
const EMERGES_DETAIL: f32 = 0.5;

/// Where a camera stands, this share of the picture stays what it was, however much of it is covered by what comes: over a
/// road, half of it in a second. Pictures that were joined have 0.3 in common at most.
const STANDS: f32 = 0.4;
/// Colours that differ by less, in standard deviations of natural pictures and less what a common change of brightness
/// explains, are the same.
const SAME: f32 = 0.1;
/// What stays must not be as even as black bars or a sheet of paper, which pictures of anything have in common: the colours
/// of four fifths of it are farther apart than this. Those of a bare road are by 0.36 or more, of bars and skies by 0.15.
const TEXTURE: f32 = 0.25;

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
    /// The last picture that showed something, and whether none has since.
    shown: Option<Thumbnail>,
    is_dark: bool,
    usual: f32,
}

impl CutDetector {
    /// Looks at the next picture of a stream. One of no pixels goes on.
    pub fn look(&mut self, picture: &SmallPicture, joint: Joint) -> Compared {
        if joint == Joint::Afresh {
            *self = Self::default();
        }
        let picture = Colours::of(picture);
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
        let same = |detail: f32| joint == Joint::Next && detail > DETAIL;
        let cut = cut && !stands(picture, &colours) && !same(shared_detail(&now, &last));
        let cut = self.comes_out_of_the_dark(&now) || cut;
        if !cut {
            self.usual = MEMORY * self.usual + (1.0 - MEMORY) * novelty;
            self.before = self
                .before
                .take()
                .filter(|(_, age)| *age < RECALL)
                .map(|(before, age)| (before, age + 1));
            return Change::None;
        }
        let familiar = |before: &Thumbnail| {
            resemblance(&now, before) > FAMILIAR || shared_detail(&now, before) > DETAIL
        };
        match self.before.replace((last, 0)) {
            Some((before, _)) if familiar(&before) => Change::Back,
            _ => Change::Cut,
        }
    }
}

impl CutDetector {
    /// Whether the picture is the first to show something after some that did not, and another thing than those before them.
    fn comes_out_of_the_dark(&mut self, now: &Thumbnail) -> bool {
        if contrast(now) < SHOWS {
            self.is_dark = true;
            return false;
        }
        let was_dark = std::mem::replace(&mut self.is_dark, false);
        let before = self.shown.replace(now.clone());
        was_dark
            && before.is_some_and(|before| {
                resemblance(now, &before) < EMERGES_ALIKE
                    && shared_detail(now, &before) < EMERGES_DETAIL
            })
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

#[cfg(test)]
mod tests;
