//! Exposure and the tone curve.

use crate::render::Image;
use glam::Vec3;

/// Factor that brings the picture's bright parts to where a camera would put them.
pub(super) fn exposure(image: &Image, night: bool) -> f32 {
    let mut luma: Vec<f32> = image
        .rgb
        .iter()
        .step_by(17)
        .map(|c| 0.3 * c.x + 0.6 * c.y + 0.1 * c.z)
        .filter(|v| v.is_finite())
        .collect();
    if luma.is_empty() {
        return 1.0;
    }
    let n = luma.len();
    let mut at = |share: f32| {
        let k = ((n as f32 * share) as usize).min(n - 1);
        *luma.select_nth_unstable_by(k, f32::total_cmp).1
    };
    let (bright, middle) = (at(0.96), at(0.5));
    // a compromise of the bright end and the middle, as light meters make it
    let by_bright = if night { 0.55 } else { 0.85 } / bright.max(1e-3);
    let by_middle = if night { 0.06 } else { 0.18 } / middle.max(1e-3);
    (by_bright.powf(0.55) * by_middle.powf(0.45)).clamp(0.05, 60.0)
}

/// A tone curve as a table over the root of the value.
pub(super) struct Curve {
    table: Vec<u8>,
}

const TOP: f32 = 4.0;
const STEPS: usize = 4096;

/// Half-way between a straight line with a shoulder and film: a toe, a long shoulder.
fn film(v: f32) -> f32 {
    let straight = if v < 0.7 {
        v
    } else {
        0.7 + 0.3 * (1.0 - (-(v - 0.7) / 0.3).exp())
    };
    // Narkowicz's fit of the ACES curve (2015)
    let e = 0.8 * v;
    let aces = (e * (2.51 * e + 0.03)) / (e * (2.43 * e + 0.59) + 0.14);
    0.5 * (straight + aces.min(1.0))
}

impl Curve {
    pub(super) fn new(contrast: f32) -> Self {
        let table = (0..STEPS)
            .map(|i| {
                let r = i as f32 / (STEPS - 1) as f32;
                let v = r * r * TOP;
                let g = film(v).powf(1.0 / 2.2);
                let s = g * g * (3.0 - 2.0 * g);
                let out = g + (s - g) * contrast * 0.5;
                (out * 255.0 + 0.5).clamp(0.0, 255.0) as u8
            })
            .collect();
        Self { table }
    }

    /// Screen values of linear ones.
    pub(super) fn apply(&self, rgb: &[Vec3], saturation: f32) -> Vec<u8> {
        let mut out = Vec::with_capacity(rgb.len() * 3);
        let scale = (STEPS - 1) as f32;
        for c in rgb {
            let grey = c.dot(Vec3::new(0.3, 0.59, 0.11));
            let c = Vec3::splat(grey).lerp(*c, saturation);
            for v in c.to_array() {
                // NaN becomes 0 in the cast
                let k = ((v.max(0.0) * (1.0 / TOP)).min(1.0).sqrt() * scale) as usize;
                out.push(self.table[k]);
            }
        }
        out
    }
}
