//! From linear light to the picture a camera would have saved. Depth is left alone.

mod defocus;
mod jpeg;
mod noise;
mod resample;
mod tone;

use crate::render::Image;
use crate::rng::Rng;
use crate::scene::Scene;
use glam::{Vec2, Vec3};

/// What the sensor stage does to one picture.
#[derive(Clone, Debug, Default)]
pub struct Sensor {
    /// Circle of confusion of depth, from the scene's lens.
    pub defocus: bool,
    /// Camera movement while the shutter was open: metres and radians about x and y.
    pub shake: Option<(Vec3, Vec2)>,
    /// Exposure against the automatic one, in factors.
    pub exposure: f32,
    /// White balance.
    pub balance: Vec3,
    /// Darkening of the corners.
    pub vignette: f32,
    /// Contrast of the tone curve; 0 is plain gamma.
    pub contrast: f32,
    /// Colour: 0 is grey, 1 as it is.
    pub saturation: f32,
    /// Shot and read noise.
    pub noise: (f32, f32),
    /// Softness of the lens in pixels.
    pub soft: f32,
    /// Unsharp mask.
    pub sharpen: f32,
    /// Was stored this many times smaller.
    pub shrink: f32,
    /// JPEG quality.
    pub jpeg: Option<u8>,
    /// Black bars: share of the height (or width, if negative) on each side.
    pub bars: f32,
}

impl Sensor {
    /// Exposure and tone only.
    #[must_use]
    pub fn clean() -> Self {
        Self {
            exposure: 1.0,
            balance: Vec3::ONE,
            contrast: 0.5,
            saturation: 1.0,
            shrink: 1.0,
            ..Self::default()
        }
    }

    /// A camera as it comes.
    pub fn random(r: &mut Rng, scene: &Scene) -> Self {
        let dark = if scene.night { 2.5 } else { 1.0 };
        let grey = r.chance(0.06);
        let balance = Vec3::new(r.range(0.9, 1.12), 1.0, r.range(0.88, 1.14));
        Self {
            defocus: scene.lens.focus > 0.0,
            shake: r.chance(0.08).then(|| {
                let z = if scene.lens.focus > 0.0 {
                    scene.lens.focus
                } else {
                    5.0
                };
                let v = Vec3::new(r.normal(0.02), r.normal(0.01), r.normal(0.03)) * z.min(5.0);
                (v, Vec2::new(r.normal(0.008), r.normal(0.012)))
            }),
            exposure: if r.chance(0.1) {
                r.range(1.3, 2.6)
            } else {
                r.range(0.7, 1.2)
            },
            balance: if r.chance(0.1) {
                balance * balance * balance
            } else {
                balance
            },
            vignette: if r.chance(0.3) {
                r.range(0.0, 0.5)
            } else {
                0.0
            },
            contrast: r.range(0.0, 1.0),
            saturation: if grey { 0.0 } else { r.range(0.7, 1.25) },
            noise: if r.chance(0.6) {
                (r.log(1e-5, 1e-3) * dark, r.log(1e-3, 1e-2) * dark)
            } else {
                (0.0, 0.0)
            },
            soft: if r.chance(0.3) {
                r.range(0.2, 0.9)
            } else {
                0.0
            },
            sharpen: if r.chance(0.3) {
                r.range(0.2, 1.0)
            } else {
                0.0
            },
            shrink: if r.chance(0.08) {
                r.range(1.2, 2.4)
            } else {
                1.0
            },
            jpeg: r.chance(0.6).then(|| r.range(30.0, 96.0) as u8),
            bars: if r.chance(0.02) {
                r.range(0.05, 0.13) * r.sign()
            } else {
                0.0
            },
        }
    }

    /// Makes the picture: RGB, eight bits a channel, row by row.
    #[must_use]
    pub fn develop(&self, image: &Image, scene: &Scene, seed: u64) -> Vec<u8> {
        let exposure = tone::exposure(image, scene.night) * self.exposure;
        self.develop_exposed(image, scene, seed, exposure)
    }

    /// As [`Self::develop`] with a given exposure, so that the frames of a film do not flicker.
    #[must_use]
    pub fn develop_exposed(
        &self,
        image: &Image,
        scene: &Scene,
        seed: u64,
        exposure: f32,
    ) -> Vec<u8> {
        let (w, h) = (image.width, image.height);
        let mut rgb = None;
        if let Some((v, turn)) = self.shake {
            rgb = Some(defocus::shake(image, &image.rgb, scene, v, turn));
        }
        if self.defocus && scene.lens.focus > 0.0 && scene.lens.aperture > 0.0 {
            let from = rgb.as_deref().unwrap_or(&image.rgb);
            rgb = Some(defocus::defocus(image, from, scene.lens));
        }
        let mut rgb = rgb.unwrap_or_else(|| image.rgb.clone());
        if self.soft > 0.0 {
            resample::soften(&mut rgb, w, h, self.soft);
        }
        let gain = self.balance * exposure;
        let corner = self.vignette * 4.0 / (w * w + h * h) as f32;
        for (y, row) in rgb.chunks_mut(w).enumerate() {
            let dy = y as f32 - 0.5 * h as f32;
            for (x, c) in row.iter_mut().enumerate() {
                let dx = x as f32 - 0.5 * w as f32;
                *c *= gain * (1.0 - corner * (dx * dx + dy * dy)).max(0.1);
            }
        }
        if self.noise.0 > 0.0 || self.noise.1 > 0.0 {
            noise::add(&mut rgb, w, self.noise, seed);
        }
        let mut out = tone::Curve::new(self.contrast).apply(&rgb, self.saturation);
        if self.shrink > 1.0 {
            resample::shrink_and_grow(&mut out, w, h, self.shrink);
        }
        if self.sharpen > 0.0 {
            resample::sharpen(&mut out, w, h, self.sharpen);
        }
        if self.bars != 0.0 {
            bars(&mut out, w, h, self.bars);
        }
        if let Some(q) = self.jpeg {
            jpeg::squeeze(&mut out, w, h, q);
        }
        out
    }
}

/// The automatic exposure of a picture, for films that hold it.
#[must_use]
pub fn automatic_exposure(image: &Image, scene: &Scene) -> f32 {
    tone::exposure(image, scene.night)
}

fn bars(out: &mut [u8], w: usize, h: usize, share: f32) {
    for y in 0..h {
        for x in 0..w {
            let (k, n) = if share > 0.0 { (y, h) } else { (x, w) };
            let edge = (n as f32 * share.abs()) as usize;
            if k < edge || k >= n - edge {
                let i = (y * w + x) * 3;
                out[i..i + 3].fill(0);
            }
        }
    }
}
