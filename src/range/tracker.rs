//! The range of a stream: that of its first frame, in units that are carried over to each new frame.
//!
//! A frame is held against a few key frames of its scene, wherever their picture is still there, and not only against the
//! one before: what passes in front of the camera, and a change of exposure, leave no trace once they are gone.

use std::collections::VecDeque;

use super::align::{Affine, affine, least_squares, of_most};
use super::cut::{Change, Compared};
use super::grid::{CELLS, Colours, depths};
use super::{Carry, Limits, Mode};
use crate::geometry::Size;

/// Difference of colour, in standard deviations of natural pictures, at which a cell is a quarter believed to be still: so
/// many times the picture's noise, within bounds.
const STILL: f32 = 8.0;
const STILL_BOUNDS: [f32; 2] = [0.1, 0.25];
/// Noise is what a quarter of the cells differ by less from a frame to the next. Weight of a frame in what is known of it.
const LEARN: f32 = 0.2;
/// A cell that moved still has a little say: when the camera moves, all of them do.
const MOVED: f32 = 0.01;
/// Cells less believed than this to be still have moved.
const BELIEVED: f32 = 0.5;
/// Those of a key frame that are believed less have no say.
const DOUBTED: f32 = 0.2;
/// A key frame remembers the mean of so many frames in which a cell was still: its first. What comes later, and how the
/// network judges all else while it is there, leaves no trace.
const REMEMBER: u16 = 10;

/// A key frame counts while this share of its cells is still there.
const STANDS: f32 = 0.3;
/// A frame in which less than this share is known from any becomes one,
const KNOWN: f32 = 0.6;
/// if the last is so many frames old.
const SPACING: u32 = 5;
/// Key frames that are kept.
const KEYS: usize = 4;

/// Share of the cells at either end that the range does not follow.
const OUTLIERS: f64 = 0.01;
/// What lies beyond the range by no more than this share of it is cut off, so that all else keeps its value.
const CUT_OFF: f64 = 0.05;
/// More is followed as fast as [`FAST`] says, in five frames with the default smoothing, but for the last of it.
const URGENT: f64 = 0.01;
/// Powers of the weight of the past: when something comes that is nearer or farther than all else,
const FAST: f64 = 10.0;
/// when that has gone,
const GONE: f64 = 2.0;
/// and when the camera moves on to where nothing is as near, or as far.
const SLOW: f64 = 0.2;
/// Frames of which the middle one counts: what a network makes of one is no reason.
const MIDDLE: usize = 3;
/// Frames without it after which something has gone.
const WAIT: usize = 10;
/// The range may be too wide by this share of it, at either end, for good.
const SLACK: f64 = 0.05;
/// A frame whose values take less than this share of the range says nothing about it.
const FLAT: f64 = 0.02;

/// A frame that is remembered: its picture, and each cell's depth in the units of the scene. NaN: not known.
#[derive(Debug, Clone)]
struct Key {
    picture: Option<Colours>,
    shown: Vec<f32>,
    /// Frames that it is the mean of.
    count: Vec<u16>,
    /// The range that the scene went back to when it was taken.
    base: [f64; 2],
}

/// What is remembered of the frames of a scene. Its units are those in which the range of its first frame is 0…1.
#[derive(Debug, Clone)]
struct Held {
    keys: VecDeque<Key>,
    /// Frames since the last of them.
    age: u32,
    /// Of the picture; NaN: not known.
    noise: f32,
    last: Key,
    /// From the values of the last frame to the units of the scene.
    show: Affine,
    /// The range, and the one that it goes back to.
    range: [f64; 2],
    base: [f64; 2],
    /// The ends of the latest frames.
    ends: VecDeque<[f64; 2]>,
    /// The range in the last frame's units.
    limits: Limits,
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
        let Some(held) = &mut self.held else {
            let own = extremes.without_outliers(&mut finite);
            self.held = Held::new(own, &cells, picture);
            return own;
        };
        let own = extremes.of_most(&mut finite, OUTLIERS);
        let carry = held.go_on(own, &cells, picture, past);
        // after a flash, what is held is of before it, not of the last frame
        self.carry = carry.filter(|_| !self.jumped);
        held.limits
    }
}

impl Held {
    /// A scene that begins; `None` if its first frame is flat.
    fn new(limits: Limits, cells: &[f32], picture: Option<Colours>) -> Option<Self> {
        let gain = limits.span().recip();
        let show = Affine {
            gain,
            bias: -limits.lo * gain,
        };
        limits.usable().then(|| {
            let first = Key {
                picture,
                shown: shown(cells, show),
                count: vec![1; CELLS],
                base: [0.0, 1.0],
            };
            Self {
                keys: [first.clone()].into(),
                age: 0,
                noise: f32::NAN,
                last: first,
                show,
                range: [0.0, 1.0],
                base: [0.0, 1.0],
                ends: VecDeque::new(),
                limits,
            }
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
        let still = self.still(picture.as_ref());
        let weights: Vec<Vec<f32>> = self
            .keys
            .iter()
            .map(|key| key.weights(cells, picture.as_ref(), still))
            .collect();
        let known = weights
            .iter()
            .map(|weights| share(weights))
            .fold(0.0, f32::max);
        let mut stands = known > STANDS;
        let mut found = stands.then(|| self.by_keys(cells, &weights)).flatten();
        let standing = self.keys.iter().zip(&weights);
        let mut standing = standing.filter(|(_, weights)| share(weights) > STANDS);
        if let (Some(_), Some((key, _))) = (found, standing.next()) {
            // what hid nearly all for a while was no other view
            self.base = key.base;
        }
        if found.is_none() {
            stands = false;
            let weights = self.last.weights_of_next(cells, picture.as_ref());
            found = affine(cells, &self.last.shown, &weights);
        }
        // without an answer the units are taken to be the same
        self.show = found.unwrap_or(self.show);
        let before = self.range;
        let ends = [own.lo, own.hi].map(|end| self.show.apply(end));
        let flat = ends[1] - ends[0] < FLAT;
        if !flat {
            self.follow(ends, past, stands, found.is_some());
        }
        let [black, white] = self.range;
        let limits = Limits {
            lo: self.show.invert(black),
            hi: self.show.invert(white),
        };
        if !limits.usable() {
            if let Some(afresh) = Self::new(own, cells, picture) {
                *self = afresh;
            }
            return None;
        }
        self.limits = limits;
        if !flat {
            let now = shown(cells, self.show);
            for (key, weights) in self.keys.iter_mut().zip(&weights) {
                if found.is_some() && share(weights) > STANDS {
                    key.remember(&now, weights);
                }
            }
            self.last = Key {
                picture,
                shown: now,
                count: vec![1; CELLS],
                base: self.base,
            };
            self.age += 1;
            if known < KNOWN && self.age >= SPACING {
                self.age = 0;
                self.keys.push_back(self.last.clone());
                while self.keys.len() > KEYS {
                    // what a scene began with is most likely to come back
                    self.keys.remove(1);
                }
            }
        }
        let span = white - black;
        found.filter(|_| !flat).map(|_| {
            Carry(Affine {
                gain: (before[1] - before[0]) / span,
                bias: (before[0] - black) / span,
            })
        })
    }

    /// Measures the noise of the picture. Gives the difference of colour at which a cell is a quarter believed to be still.
    fn still(&mut self, picture: Option<&Colours>) -> f32 {
        if let (Some(now), Some(before)) = (picture, &self.last.picture) {
            let mut off = differences(now, before);
            let (_, noise, _) = off.select_nth_unstable_by(CELLS / 4, f32::total_cmp);
            self.noise = if self.noise.is_finite() {
                self.noise + LEARN * (*noise - self.noise)
            } else {
                *noise
            };
        }
        let [least, most] = STILL_BOUNDS;
        (STILL * self.noise).max(least).min(most)
    }

    /// The units of a frame by all key frames whose picture is still there.
    fn by_keys(&self, cells: &[f32], weights: &[Vec<f32>]) -> Option<Affine> {
        // in the units of the frame before, which are about those of the scene
        let values = shown(cells, self.show);
        let (mut targets, mut all) = (vec![0.0; CELLS], vec![0.0_f32; CELLS]);
        // a later frame is only asked about what an earlier one did not see: it was held against that one itself
        let keys = self.keys.iter().zip(weights);
        for (key, weights) in keys.filter(|(_, weights)| share(weights) > STANDS) {
            let out = targets.iter_mut().zip(&mut all);
            for ((target, most), (&shown, &weight)) in out.zip(key.shown.iter().zip(weights)) {
                if weight > DOUBTED && weight > *most && *most < BELIEVED {
                    *target = shown;
                    *most = weight;
                }
            }
        }
        let found = of_most(&values, &targets, &all)?;
        Some(Affine {
            gain: self.show.gain * found.gain,
            bias: self.show.bias * found.gain + found.bias,
        })
    }

    /// The range follows a frame's own ends. `stands`: the camera does; `known`: so are the units.
    fn follow(&mut self, ends: [f64; 2], past: f64, stands: bool, known: bool) {
        self.ends.push_back(ends);
        while self.ends.len() > WAIT {
            self.ends.pop_front();
        }
        let span = self.range[1] - self.range[0];
        // the farther end upside down, so that both are alike
        for (end, sign) in [(0, -1.0), (1, 1.0)] {
            let mut middle: Vec<f64> = self
                .ends
                .iter()
                .rev()
                .take(MIDDLE)
                .map(|e| sign * e[end])
                .collect();
            let at = middle.len() / 2;
            let (_, middle, _) = middle.select_nth_unstable_by(at, f64::total_cmp);
            let most = self
                .ends
                .iter()
                .map(|e| sign * e[end])
                .fold(f64::MIN, f64::max);
            let (now, base) = (sign * self.range[end], sign * self.base[end]);
            let beyond = *middle - now - CUT_OFF * span;
            let under = most - now + SLACK * span;
            let next = if beyond > URGENT * span {
                now + beyond * (1.0 - past.powf(FAST))
            } else if beyond > 0.0 {
                now + beyond * (1.0 - past)
            } else if under < 0.0 && !stands {
                now + under * (1.0 - past.powf(if known { SLOW } else { 1.0 }))
            } else if under < 0.0 && now > base && self.ends.len() == WAIT {
                (now + under * (1.0 - past.powf(GONE))).max(base)
            } else {
                now
            };
            self.range[end] = sign * next;
            if !stands {
                self.base[end] = sign * next;
            }
        }
    }
}

impl Key {
    /// How much each cell is believed to show the same as then, whatever the exposure; 0 where that can't be known.
    fn weights(&self, cells: &[f32], picture: Option<&Colours>, still: f32) -> Vec<f32> {
        let weights = match (picture, &self.picture) {
            (Some(now), Some(then)) => alike(now, then, still),
            _ => vec![1.0; CELLS],
        };
        self.where_known(cells, weights)
    }

    /// The same of the frame after this one, in which the camera may have moved.
    fn weights_of_next(&self, cells: &[f32], picture: Option<&Colours>) -> Vec<f32> {
        let weights = match (picture, &self.picture) {
            (Some(now), Some(before)) => stillness(now, before),
            _ => vec![1.0; CELLS],
        };
        self.where_known(cells, weights)
    }

    fn where_known(&self, cells: &[f32], mut weights: Vec<f32>) -> Vec<f32> {
        for ((weight, depth), shown) in weights.iter_mut().zip(cells).zip(&self.shown) {
            if !(depth.is_finite() && shown.is_finite()) {
                *weight = 0.0;
            }
        }
        weights
    }

    /// Learns what the cells that are still there are shown as now.
    fn remember(&mut self, now: &[f32], weights: &[f32]) {
        let cells = self.shown.iter_mut().zip(&mut self.count);
        for (((shown, count), &now), &weight) in cells.zip(now).zip(weights) {
            if weight > BELIEVED && *count < REMEMBER {
                *count += 1;
                *shown += (now - *shown) / f32::from(*count);
            }
        }
    }
}

/// The share of a key frame's cells that are still there.
fn share(weights: &[f32]) -> f32 {
    let still = weights.iter().filter(|weight| **weight > BELIEVED).count();
    still as f32 / CELLS as f32
}

/// Cells in the units of the scene.
fn shown(cells: &[f32], show: Affine) -> Vec<f32> {
    let shown = cells
        .iter()
        .map(|&depth| show.apply(f64::from(depth)) as f32);
    shown.collect()
}

/// How much each cell has the same colours, but for what one gain and shift for each channel, the exposure, explains.
fn alike(now: &Colours, then: &Colours, still: f32) -> Vec<f32> {
    let mut most = vec![0.0_f32; CELLS];
    for channel in 0..3 {
        let (now, then) = (now.plane(channel), then.plane(channel));
        let exposure = exposure(now, then);
        for ((most, &now), &then) in most.iter_mut().zip(now).zip(then) {
            let off = f64::from(now) - exposure.apply(f64::from(then));
            *most = most.max(off.abs() as f32);
        }
    }
    most.into_iter().map(|off| weight(off, still)).collect()
}

/// What became of a channel's values by the exposure.
fn exposure(now: &[f32], then: &[f32]) -> Affine {
    /// Less is noise.
    const NOISE: f64 = 0.05;
    const ROUNDS: usize = 4;
    const BOUNDS: std::ops::Range<f64> = 0.5..2.0;
    let mut off: Vec<f32> = now.iter().zip(then).map(|(now, then)| now - then).collect();
    let middle = off.len() / 2;
    let (_, median, _) = off.select_nth_unstable_by(middle, f32::total_cmp);
    let mut found = Affine {
        gain: 1.0,
        bias: f64::from(*median),
    };
    let points: Vec<[f64; 3]> = now
        .iter()
        .zip(then)
        .map(|(&now, &then)| [f64::from(then), f64::from(now), 1.0])
        .collect();
    let mut robust = vec![0.0; points.len()];
    for _ in 0..ROUNDS {
        let far = |point: &[f64; 3]| (found.apply(point[0]) - point[1]).abs();
        let mut residuals: Vec<f32> = points.iter().map(|point| far(point) as f32).collect();
        let (_, median, _) = residuals.select_nth_unstable_by(middle, f32::total_cmp);
        let reach = (3.0 * 1.4826 * f64::from(*median)).max(NOISE);
        for (robust, point) in robust.iter_mut().zip(&points) {
            *robust = (1.0 - (far(point) / reach).powi(2).min(1.0)).powi(2);
        }
        match least_squares(&points, &robust) {
            Some(next) if BOUNDS.contains(&next.gain) => found = next,
            _ => break,
        }
    }
    found
}

/// How much a cell whose colours differ by this is believed to be still.
fn weight(difference: f32, still: f32) -> f32 {
    let off = difference / still;
    (1.0 + off * off).powi(-2)
}

/// How still each cell is, from its colours, less what a common change of brightness explains.
fn stillness(now: &Colours, before: &Colours) -> Vec<f32> {
    let still = |off| weight(off, STILL_BOUNDS[0]).max(MOVED);
    differences(now, before).into_iter().map(still).collect()
}

/// How far apart the colours of each cell are, in the channel in which they are most, less what a common change of brightness
/// explains.
fn differences(now: &Colours, before: &Colours) -> Vec<f32> {
    let mut most = vec![0.0_f32; CELLS];
    for channel in 0..3 {
        let pairs = || now.plane(channel).iter().zip(before.plane(channel));
        let common = pairs().map(|(a, b)| a - b).sum::<f32>() / CELLS as f32;
        for (most, (a, b)) in most.iter_mut().zip(pairs()) {
            *most = most.max((a - b - common).abs());
        }
    }
    most
}

#[cfg(test)]
mod tests;
