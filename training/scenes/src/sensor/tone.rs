//! Exposure and the tone curve.

use crate::render::Image;
use glam::Vec3;
use std::sync::LazyLock;
use wide::f32x4;

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
    table: Box<[u8; STEPS]>,
}

/// Screen values without contrast, over the root of the value.
static PLAIN: LazyLock<Vec<f32>> = LazyLock::new(|| {
    (0..STEPS)
        .map(|i| {
            let r = i as f32 / (STEPS - 1) as f32;
            film(r * r * TOP).powf(1.0 / 2.2)
        })
        .collect()
});

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
        let mut table = Box::new([0; STEPS]);
        for (to, &g) in table.iter_mut().zip(PLAIN.iter()) {
            let s = g * g * (3.0 - 2.0 * g);
            let out = g + (s - g) * contrast * 0.5;
            *to = (out * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
        }
        Self { table }
    }

    /// Screen values of linear ones.
    pub(super) fn apply(&self, rgb: &[Vec3], saturation: f32) -> Vec<u8> {
        let mut out = Vec::with_capacity(rgb.len() * 3);
        for c in rgb {
            let grey = c.dot(Vec3::new(0.3, 0.59, 0.11));
            let c = Vec3::splat(grey).lerp(*c, saturation);
            let v = f32x4::from([c.x, c.y, c.z, 0.0]);
            // NaN becomes 0: the comparison takes its second side
            let v = v.fast_max(f32x4::ZERO) * f32x4::splat(1.0 / TOP);
            let k = v.fast_min(f32x4::ONE).sqrt() * f32x4::splat((STEPS - 1) as f32);
            let [r, g, b, _] = k.fast_trunc_int().to_array();
            out.extend([r, g, b].map(|k| self.table[k as usize % STEPS]));
        }
        out
    }
}
