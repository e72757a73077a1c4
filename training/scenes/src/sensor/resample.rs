//! Softness, sharpening and pictures that were small once.

use glam::Vec3;

/// A small blur: each pixel gives some of itself to its four neighbours.
pub(super) fn soften(rgb: &mut [Vec3], w: usize, h: usize, amount: f32) {
    let side = 0.25 * amount.clamp(0.0, 1.0);
    let pass = |data: &mut [Vec3], count: usize, step: usize, lines: usize, line_step: usize| {
        for l in 0..lines {
            let base = l * line_step;
            let mut before = data[base];
            for k in 0..count {
                let i = base + k * step;
                let here = data[i];
                let next = if k + 1 < count { data[i + step] } else { here };
                data[i] = here * (1.0 - 2.0 * side) + (before + next) * side;
                before = here;
            }
        }
    };
    pass(rgb, w, 1, h, w);
    pass(rgb, h, w, w, 1);
}

/// Unsharp mask over a cross of five pixels.
pub(super) fn sharpen(out: &mut [u8], w: usize, h: usize, amount: f32) {
    let from = out.to_vec();
    for y in 1..h.saturating_sub(1) {
        for x in 1..w.saturating_sub(1) {
            for c in 0..3 {
                let i = (y * w + x) * 3 + c;
                let f = |k: usize| f32::from(from[k]);
                let around = (f(i - 3) + f(i + 3) + f(i - 3 * w) + f(i + 3 * w)) * 0.25;
                out[i] = (f(i) + amount * (f(i) - around)).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// Samples an RGB picture between pixels.
fn bilinear(from: &[u8], w: usize, h: usize, x: f32, y: f32) -> [f32; 3] {
    let x = x.clamp(0.0, (w - 1) as f32);
    let y = y.clamp(0.0, (h - 1) as f32);
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let at = |x: usize, y: usize, c: usize| f32::from(from[(y * w + x) * 3 + c]);
    std::array::from_fn(|c| {
        let top = at(x0, y0, c) * (1.0 - fx) + at(x1, y0, c) * fx;
        let low = at(x0, y1, c) * (1.0 - fx) + at(x1, y1, c) * fx;
        top * (1.0 - fy) + low * fy
    })
}

fn resize(from: &[u8], (w, h): (usize, usize), (nw, nh): (usize, usize)) -> Vec<u8> {
    let (sx, sy) = (w as f32 / nw as f32, h as f32 / nh as f32);
    let mut out = Vec::with_capacity(nw * nh * 3);
    for y in 0..nh {
        for x in 0..nw {
            let u = (x as f32 + 0.5) * sx - 0.5;
            let v = (y as f32 + 0.5) * sy - 0.5;
            let c = bilinear(from, w, h, u, v);
            out.extend(c.map(|v| (v + 0.5) as u8));
        }
    }
    out
}

/// Down and up again.
pub(super) fn shrink_and_grow(out: &mut [u8], w: usize, h: usize, factor: f32) {
    let small = (
        ((w as f32 / factor) as usize).max(8),
        ((h as f32 / factor) as usize).max(8),
    );
    let tiny = resize(out, (w, h), small);
    out.copy_from_slice(&resize(&tiny, small, (w, h)));
}
