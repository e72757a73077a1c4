//! The range of a stream: what was held, brought into the units of each new frame.

use super::align::{Affine, affine};
use super::cut::{Change, Compared};
use super::grid::{CELLS, Colours, depths};
use super::{Carry, Limits, Mode};
use crate::geometry::Size;

/// Difference of colour, in standard deviations of natural pictures, at which a cell is half believed to be still.
const STILL: f32 = 0.1;
/// A cell that moved still has a little say: when the camera moves, all of them do.
const MOVED: f32 = 0.01;
/// Weight of a frame in what is remembered of a still cell; of one that moved nothing is remembered.
const REMEMBER: f32 = 0.1;
/// Cells less believed than this to be still have moved.
const BELIEVED: f32 = 0.5;

/// What lies beyond the range by more than this share of it is followed as fast as [`FAST`] says, in five frames with
/// the default smoothing. Less is left to the ordinary weight of the past.
const URGENT: f64 = 0.01;
/// Powers of the weight of the past: when something comes that is nearer or farther than all else,
const FAST: f64 = 6.0;
/// and when it has gone, since it may come again and all else would change its brightness each time.
const SLOW: f64 = 0.2;
/// The range may be too wide by this share of it, at either end, for good.
const SLACK: f64 = 0.05;
/// A frame whose values take less than this share of the range says nothing about it.
const FLAT: f64 = 0.02;

/// What is remembered of the frames of a scene.
#[derive(Debug, Clone)]
struct Held {
    /// Those of the last frame, in its units.
    limits: Limits,
    /// What each cell was shown as, 0…1 within the limits. NaN: not known.
    shown: Vec<f32>,
    /// The last picture.
    picture: Option<Colours>,
}

/// Follows the limits of a stream and counts its scenes.
#[derive(Debug, Default)]
pub struct Tracker {
    held: Option<Held>,
    /// The scene before the last cut, in case that was a flash.
    before: Option<Held>,
    /// What [`Self::see`] saw of the frame that comes next.
    picture: Option<Colours>,
    last: Option<Limits>,
    carry: Option<Carry>,
    /// The frame seen last is of another scene than the one before.
    jumped: bool,
    seen: bool,
    scene: u32,
    /// The one before the last cut.
    scene_before: u32,
    /// The highest number so far.
    scenes: u32,
}

impl Tracker {
    /// Forgets the past, as after a flush. Begins a new scene if the present one has had a frame.
    pub fn restart(&mut self) {
        let scene = self.scenes.wrapping_add(self.seen.into());
        *self = Self {
            scene,
            scenes: scene,
            ..Self::default()
        };
    }

    /// Number of the scene of the frame seen last, from 0. A scene that goes on after a flash has its number again.
    pub fn scene(&self) -> u32 {
        self.scene
    }

    /// Takes in what the [`CutDetector`](super::CutDetector) says of the next frame. Begins a new scene if that is a cut.
    pub fn see(&mut self, compared: Compared) {
        let Compared { picture, change } = compared;
        if change == Change::Afresh {
            self.restart();
        }
        self.picture = picture;
        match change {
            Change::None | Change::Afresh => {}
            Change::Cut => {
                self.before = self.held.take();
                self.scene_before = self.scene;
                self.scene = self.scenes.wrapping_add(self.seen.into());
                self.scenes = self.scene;
                self.last = None;
            }
            // after a flash it is the scene that it was
            Change::Back => {
                std::mem::swap(&mut self.held, &mut self.before);
                std::mem::swap(&mut self.scene, &mut self.scene_before);
            }
        }
        self.jumped = change != Change::None;
        self.seen = true;
    }

    /// The limits to use for `depth`, `[height, width]`, the depth of the picture seen last. Without a single finite
    /// value the last ones are kept.
    ///
    /// The estimate goes on in every mode, so that a change of mode in mid-stream does not jump.
    pub fn follow(&mut self, depth: &[f32], size: Size, mode: Mode) -> Limits {
        self.seen = true;
        self.carry = None;
        let picture = self.picture.take();
        let limits = match (Limits::of(depth), depths(depth, size)) {
            (Some(extremes), Some(cells)) => self.estimate(extremes, cells, picture, mode),
            (Some(extremes), None) => extremes,
            (None, _) => self.last.unwrap_or(Limits { lo: 0.0, hi: 0.0 }),
        };
        self.last = Some(limits);
        match mode {
            Mode::Fixed(limits) => limits,
            Mode::Frame | Mode::Smooth { .. } => limits,
        }
    }

    /// How the limits that [`Self::follow`] gave last came out of those before, in [`Mode::Smooth`]; `None` when they
    /// did not: at the first frame of a scene, or when no scale and shift between the two frames was found.
    pub fn carry(&self) -> Option<Carry> {
        self.carry
    }

    fn estimate(
        &mut self,
        extremes: Limits,
        cells: Vec<f32>,
        picture: Option<Colours>,
        mode: Mode,
    ) -> Limits {
        let past = match mode {
            Mode::Smooth { past } => past.clamp(0.0, 1.0),
            Mode::Frame | Mode::Fixed(_) => 0.0,
        };
        if past == 0.0 {
            self.held = Held::new(extremes, &cells, picture);
            return extremes;
        }
        let mut finite: Vec<f32> = cells.iter().copied().filter(|d| d.is_finite()).collect();
        let own = extremes.without_outliers(&mut finite);
        let Some(held) = &mut self.held else {
            self.held = Held::new(own, &cells, picture);
            return own;
        };
        let carry = held.go_on(own, &cells, picture, past);
        // after a flash, what is held is of before it, not of the last frame
        self.carry = carry.filter(|_| !self.jumped);
        held.limits
    }
}

impl Held {
    /// A scene that begins; `None` if its first frame is flat.
    fn new(limits: Limits, cells: &[f32], picture: Option<Colours>) -> Option<Self> {
        let span = limits.span();
        limits.usable().then(|| Self {
            limits,
            shown: cells
                .iter()
                .map(|&depth| ((f64::from(depth) - limits.lo) / span) as f32)
                .collect(),
            picture,
        })
    }

    /// Takes in the next frame: its own limits, depth of its cells, and picture. Says what became of values shown as
    /// 0…1, if that is known.
    fn go_on(
        &mut self,
        own: Limits,
        cells: &[f32],
        picture: Option<Colours>,
        past: f64,
    ) -> Option<Carry> {
        let weights = self.weights(cells, picture.as_ref());
        let found = affine(cells, &self.shown, &weights);
        // without an answer the units are taken to be the same
        let show = found.unwrap_or_else(|| {
            let gain = self.limits.span().recip();
            Affine {
                gain,
                bias: -self.limits.lo * gain,
            }
        });
        // in what is shown, the range so far is 0…1
        let (lo, hi) = (show.apply(own.lo), show.apply(own.hi));
        let flat = hi - lo < FLAT;
        let (lo, hi) = if flat {
            (lo.min(0.0), hi.max(1.0))
        } else {
            (lo, hi)
        };
        let slow = if found.is_some() { SLOW } else { 1.0 };
        let black = -follow(0.0, -lo, past, slow);
        let white = follow(1.0, hi, past, slow);
        let span = white - black;
        let limits = Limits {
            lo: show.invert(black),
            hi: show.invert(white),
        };
        if !limits.usable() {
            if let Some(afresh) = Self::new(own, cells, picture) {
                *self = afresh;
            }
            return None;
        }
        for ((shown, &depth), &weight) in self.shown.iter_mut().zip(cells).zip(&weights) {
            let now = show.apply(f64::from(depth)) as f32;
            let remembered = if flat || !now.is_finite() {
                *shown
            } else if found.is_some() && weight > BELIEVED {
                *shown + REMEMBER * (now - *shown)
            } else {
                now
            };
            *shown = ((f64::from(remembered) - black) / span) as f32;
        }
        self.limits = limits;
        self.picture = picture;
        found.filter(|_| !flat).map(|_| {
            Carry(Affine {
                gain: span.recip(),
                bias: -black / span,
            })
        })
    }

    /// How much each cell is believed to show the same as before; 0 where that can't be known.
    fn weights(&self, cells: &[f32], picture: Option<&Colours>) -> Vec<f32> {
        let mut weights = match (picture, &self.picture) {
            (Some(now), Some(before)) => stillness(now, before),
            _ => vec![1.0; CELLS],
        };
        for ((weight, depth), shown) in weights.iter_mut().zip(cells).zip(&self.shown) {
            if !(depth.is_finite() && shown.is_finite()) {
                *weight = 0.0;
            }
        }
        weights
    }
}

/// One end of the range, `end`, on its way to `own`, which is outside when it is more.
fn follow(end: f64, own: f64, past: f64, slow: f64) -> f64 {
    let beyond = own - end;
    if beyond > URGENT {
        end + beyond * (1.0 - past.powf(FAST))
    } else if beyond > 0.0 {
        end + beyond * (1.0 - past)
    } else if beyond < -SLACK {
        end + (beyond + SLACK) * (1.0 - past.powf(slow))
    } else {
        end
    }
}

/// How still each cell is, from its colours, less what a common change of brightness explains.
fn stillness(now: &Colours, before: &Colours) -> Vec<f32> {
    let mut most = vec![0.0_f32; CELLS];
    for channel in 0..3 {
        let pairs = || now.plane(channel).iter().zip(before.plane(channel));
        let common = pairs().map(|(a, b)| a - b).sum::<f32>() / CELLS as f32;
        for (most, (a, b)) in most.iter_mut().zip(pairs()) {
            *most = most.max((a - b - common).abs());
        }
    }
    for weight in &mut most {
        let off = *weight / STILL;
        *weight = (1.0 + off * off).powi(-2).max(MOVED);
    }
    most
}

#[cfg(test)]
mod tests;
