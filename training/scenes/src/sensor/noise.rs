//! Photon and read-out noise, in linear light.

use crate::rng::Rng;
use glam::Vec3;

/// About normal, from one draw of 64 bits: four sums of 16-bit uniforms are too many bits for one, so two a channel.
fn three_normals(bits: u64) -> Vec3 {
    let f = |k: u32| ((bits >> k) & 0x3ff) as f32 * (1.0 / 1023.0);
    // variance of a sum of two uniforms is 1/6
    (Vec3::new(f(0) + f(10), f(20) + f(30), f(40) + f(50)) - 1.0) * 2.45
}

/// Adds noise of variance shot·value + read².
pub(super) fn add(rgb: &mut [Vec3], width: usize, (shot, read): (f32, f32), seed: u64) {
    let mut r = Rng::new(seed, 0x0015e);
    // half of the noise is as wide as two pixels: sensors are demosaiced and cleaned
    let coarse: Vec<Vec3> = (0..width * (rgb.len() / width).div_ceil(2))
        .map(|_| three_normals(r.bits()))
        .collect();
    for (i, c) in rgb.iter_mut().enumerate() {
        let (x, y) = (i % width, i / width);
        let n = three_normals(r.bits()) * 0.8 + coarse[(y / 2) * width + x / 2] * 0.6;
        let v = c.max(Vec3::ZERO) * shot + Vec3::splat(read * read);
        *c += n * Vec3::new(v.x.sqrt(), v.y.sqrt(), v.z.sqrt());
    }
}
