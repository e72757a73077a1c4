//! What is left of the flicker when the range is steady: the network changes its mind about whole regions, and has noise at
//! each pixel.
//!
//! In three steps, causal and without delay. First what was shown is moved to where the picture shows it now ([`flow`]).
//! Then the depth map is laid onto it by a field that is smooth over
//! the picture, and that what lies still determines ([`drift`]). At last comes a recursive average of each pixel where two things have held for some
//! frames: the picture around the pixel is what it was, beyond its noise, and the depth has moved by no more than noise
//! does. Elsewhere depth follows at once, so that nothing trails behind what moves. Both thresholds follow the noise that the video has.
//! However wrong they may be, no value gets farther from the network's own than the caller allows.

mod drift;
mod flow;
mod kernel;

use super::Limits;
use super::align::Affine;
use crate::frame::SmallPicture;
use crate::geometry::Size;
use drift::Drift;
use flow::Flow;
use kernel::{Gates, Rows, Seen, Units, Variant};

/// What a value that was shown as 0…1 in the frame before is in the present one, whose range is another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Carry(pub(super) Affine);

/// Pixels to either side whose picture has to be the same too.
const REACH: usize = 3;
/// Places at which noise is measured, about.
const SAMPLES: usize = 8192;
/// Weight of a frame in what is known of the noise.
const LEARN: f32 = 0.2;
/// Of the differences between two pictures, the one that a quarter are below is noise, whatever else moves. So many times
/// that is four times the mean difference that normally distributed noise makes.
const MOTION: f32 = 10.0;
/// Bounds of that, in standard deviations of natural pictures: rounding at the one end, and at the other what a light that
/// changes makes of every pixel, which must not pass for noise.
const MOTION_BOUNDS: [f32; 2] = [0.05, 0.1];
/// The other end where the camera moves: no motion is found to a fraction of a pixel everywhere.
const MOVING_BOUND: f32 = 0.25;
/// The median change of depth, as a multiple of which more than noise is told.
const CHANGE: f32 = 7.4;

/// A plane of depth, and what was seen there, of the frames so far.
#[derive(Debug, Default)]
struct Past {
    size: Size,
    /// Filtered depth, 0…1 within the limits of its frame.
    shown: Vec<f32>,
    /// How long nothing has moved, 0…1.
    trust: Vec<f32>,
    /// Luma of the picture, averaged as the depth is.
    luma: Vec<f32>,
    /// A quarter of the lumas change by less.
    picture_noise: f32,
    /// Half of the depths change by less.
    depth_noise: f32,
}

/// Steadies the depth maps of a stream.
#[derive(Debug, Default)]
pub struct TemporalFilter {
    past: Past,
    /// There is no past.
    fresh: bool,
    /// Luma of the present picture, and how far it is from the past one.
    luma: Vec<f32>,
    change: Vec<f32>,
    /// Sums of `change` down, with [`REACH`] more on either side, and of those across.
    down: Vec<f32>,
    around: Vec<f32>,
    /// How much the picture is what it was, 0…1.
    still: Vec<f32>,
    /// Sums down of what depth is off by, times weights, and of these; then the drift of a row.
    off: Vec<f32>,
    weights: Vec<f32>,
    drift: Drift,
    flow: Flow,
    /// One of the planes of the past, moved.
    moved: Vec<f32>,
    samples: Vec<f32>,
    columns: Vec<usize>,
    variant: Variant,
}

/// How much is filtered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength {
    /// Weight of the past, 0…1, where nothing moves.
    pub past: f64,
    /// No value gets farther from the network's than this share of the range.
    pub departure: f64,
}

impl TemporalFilter {
    /// Forgets the past.
    pub fn restart(&mut self) {
        self.fresh = true;
    }

    /// Filters `depth`, `[height, width]` of `size`, the depth of `picture`, which has luma, in place. `limits` are those of this frame
    /// and `carry` how they came out of the ones before, both of the [`Tracker`](super::Tracker); without a carry it
    /// starts afresh. Values that are not finite stay as they are.
    pub fn apply(
        &mut self,
        depth: &mut [f32],
        size: Size,
        picture: &SmallPicture,
        limits: Limits,
        carry: Option<Carry>,
        strength: Strength,
    ) {
        let fits = depth.len() == size.area()
            && picture.luma().len() == picture.size().area()
            && size.area() > 0
            && picture.size().area() > 0;
        if !fits || !limits.usable() {
            self.restart();
            return;
        }
        self.read_luma(picture, size);
        let span = limits.span();
        let show = Affine {
            gain: span.recip(),
            bias: -limits.lo / span,
        };
        match carry {
            Some(Carry(carry)) if !self.fresh && self.past.size == size => {
                self.flow.follow(&self.luma, size);
                if self.flow.moves() {
                    self.move_past();
                }
                self.go_on(depth, show, carry, strength);
            }
            _ => {
                self.flow.begin(&self.luma, size);
                self.begin(depth, size, show);
            }
        }
    }

    fn begin(&mut self, depth: &[f32], size: Size, show: Affine) {
        self.fresh = false;
        let past = &mut self.past;
        past.size = size;
        past.shown.clear();
        let shown = depth.iter().map(|&d| show.apply(f64::from(d)) as f32);
        past.shown.extend(shown);
        past.trust.clear();
        past.trust.resize(depth.len(), 0.0);
        std::mem::swap(&mut past.luma, &mut self.luma);
        past.picture_noise = f32::NAN;
        past.depth_noise = f32::NAN;
    }

    fn go_on(&mut self, depth: &mut [f32], show: Affine, carry: Affine, strength: Strength) {
        let width = self.past.size.width as usize;
        let variant = self.variant;
        self.change.resize(depth.len(), 0.0);
        variant.differences(&self.luma, &self.past.luma, &mut self.change);
        let mut gates = Gates {
            units: Units::new(show, carry),
            past: strength.past.clamp(0.0, 1.0) as f32,
            motion: self.motion(),
            departure: strength.departure.max(0.0) as f32,
            noise: 0.0,
        };
        self.find_drift(depth, &gates);
        gates.noise = self.noise(depth, &gates);
        for (y, depth) in depth.chunks_exact_mut(width).enumerate() {
            let row = y * width..(y + 1) * width;
            let drift = &mut self.off;
            self.drift.read(y, drift);
            variant.update(
                Rows {
                    depth,
                    shown: &mut self.past.shown[row.clone()],
                    trust: &mut self.past.trust[row.clone()],
                    reference: &mut self.past.luma[row.clone()],
                    luma: &self.luma[row.clone()],
                    still: &self.still[row],
                    drift,
                },
                &gates,
            );
        }
    }

    /// Brings the past to where what it shows is now.
    fn move_past(&mut self) {
        let Self {
            past,
            moved,
            flow,
            variant,
            ..
        } = self;
        let size = past.size;
        for (plane, to_pixels) in [
            (&mut past.shown, false),
            (&mut past.luma, false),
            (&mut past.trust, true),
        ] {
            moved.resize(plane.len(), 0.0);
            variant.shift(plane, size, flow, to_pixels, moved);
            std::mem::swap(plane, moved);
        }
    }

    /// Tells what is still, and how far that has drifted.
    fn find_drift(&mut self, depth: &[f32], gates: &Gates) {
        let width = self.past.size.width as usize;
        let height = self.past.size.height as usize;
        let variant = self.variant;
        self.drift.begin(self.past.size);
        self.still.resize(depth.len(), 0.0);
        for row in [&mut self.around, &mut self.off, &mut self.weights] {
            row.clear();
            row.resize(width, 0.0);
        }
        self.down.clear();
        self.down.resize(width + 2 * REACH, 0.0);
        let row = |y: usize| y * width..(y + 1) * width;
        let change = |y: isize| {
            let y = y.clamp(0, height as isize - 1) as usize;
            &self.change[row(y)]
        };
        let reach = REACH as isize;
        // what is around the first row, but the last line, which the loop adds
        for y in -reach..reach {
            variant.add(&mut self.down[REACH..][..width], change(y));
        }
        for y in 0..height {
            let inner = &mut self.down[REACH..][..width];
            variant.add(inner, change(y as isize + reach));
            let (first, last) = (inner[0], inner[width - 1]);
            self.down[..REACH].fill(first);
            self.down[REACH + width..].fill(last);
            variant.across(&self.down, &mut self.around);
            variant.judge(
                Seen {
                    depth: &depth[row(y)],
                    shown: &self.past.shown[row(y)],
                    change: &self.around,
                    still: &mut self.still[row(y)],
                    off: &mut self.off,
                    weights: &mut self.weights,
                },
                gates,
            );
            self.drift.add(y, &mut self.off, &mut self.weights);
            variant.subtract(&mut self.down[REACH..][..width], change(y as isize - reach));
        }
        self.drift.settle(gates.past, gates.departure);
    }

    /// Measures the picture's noise at some places, and says what is motion.
    fn motion(&mut self) -> f32 {
        let step = self.change.len() / SAMPLES + 1;
        self.samples.clear();
        self.samples.extend(self.change.iter().step_by(step));
        let noise = &mut self.past.picture_noise;
        learn(noise, quantile(&mut self.samples, 4));
        let [least, mut most] = MOTION_BOUNDS;
        if self.flow.camera_moves() {
            most = MOVING_BOUND;
        }
        (MOTION * *noise).clamp(least, most)
    }

    /// Measures the depth's noise at some places, and says what is more than that; infinity: nothing is.
    fn noise(&mut self, depth: &[f32], gates: &Gates) -> f32 {
        let step = depth.len() / SAMPLES + 1;
        let width = self.past.size.width as usize;
        self.samples.clear();
        let pairs = depth.iter().zip(&self.past.shown).enumerate().step_by(step);
        let moved = pairs.map(|(i, (&depth, &shown))| {
            let off = gates.units.before(shown) - gates.units.now(depth);
            (off - self.drift.at(i % width, i / width)).abs()
        });
        self.samples.extend(moved.filter(|moved| moved.is_finite()));
        let noise = &mut self.past.depth_noise;
        learn(noise, quantile(&mut self.samples, 2));
        if self.flow.camera_moves() {
            // the network judges each view anew, by far more than noise: only the departure is bounded
            return f32::INFINITY;
        }
        (CHANGE * *noise).min(gates.departure)
    }

    /// Luma of the picture at each pixel of the depth map.
    fn read_luma(&mut self, picture: &SmallPicture, size: Size) {
        self.luma.clear();
        if picture.size() == size {
            self.luma.extend_from_slice(picture.luma());
            return;
        }
        self.luma.resize(size.area(), 0.0);
        let seen = picture.size();
        let nearest =
            |index: usize, from: u32, to: u32| (2 * index + 1) * from as usize / (2 * to as usize);
        let columns = &mut self.columns;
        columns.clear();
        columns.extend((0..size.width).map(|x| nearest(x as usize, seen.width, size.width)));
        for (y, out) in self.luma.chunks_exact_mut(size.width as usize).enumerate() {
            let row = nearest(y, seen.height, size.height) * seen.width as usize;
            for (out, column) in out.iter_mut().zip(columns.iter()) {
                *out = picture.luma()[row + column];
            }
        }
    }
}

/// Takes what a frame says of the noise into what is known of it; NaN: nothing is.
fn learn(known: &mut f32, now: f32) {
    *known = if known.is_finite() {
        *known + LEARN * (now - *known)
    } else {
        now
    };
}

/// The value that one of `parts` is below; 0 of nothing.
fn quantile(values: &mut [f32], parts: usize) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let place = values.len() / parts;
    *values.select_nth_unstable_by(place, f32::total_cmp).1
}

#[cfg(test)]
mod tests;
