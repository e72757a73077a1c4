//! Pictures for people: contact sheets, coloured depth, files.

use crate::sample::{Wanted, sample};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

/// Writes an eight-bit RGB file.
pub fn write_png(path: &Path, rgb: &[u8], width: usize, height: usize) -> io::Result<()> {
    let mut encoder = png::Encoder::new(
        BufWriter::new(File::create(path)?),
        width as u32,
        height as u32,
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    Ok(())
}

/// Inverse depth in colours, warm is near; stretched between its 1st and 99th percentile.
#[must_use]
pub fn coloured(inverse_depth: &[f32]) -> Vec<u8> {
    let mut sorted = inverse_depth.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |q: f32| sorted[((sorted.len() - 1) as f32 * q) as usize];
    let (lo, hi) = (at(0.01), at(0.99).max(at(0.01) + 1e-6));
    inverse_depth
        .iter()
        .flat_map(|v| {
            let t = f64::from(((v - lo) / (hi - lo)).clamp(0.0, 1.0));
            let c = colorous::SPECTRAL.eval_continuous(1.0 - t);
            [c.r, c.g, c.b]
        })
        .collect()
}

/// Draws `count` samples, picture beside depth, on one sheet.
pub fn sheet(path: &Path, wanted: &Wanted, first: u64, count: usize) -> io::Result<()> {
    let (cw, ch) = (
        wanted.sizes.iter().map(|s| s.0).max().unwrap_or(1),
        wanted.sizes.iter().map(|s| s.1).max().unwrap_or(1),
    );
    let cols = ((count as f32 * ch as f32 / (2.0 * cw as f32)).sqrt().ceil() as usize)
        .clamp(1, count.max(1));
    let lines = count.div_ceil(cols);
    let (w, h) = (cols * (2 * cw + 4), lines * (ch + 4));
    let mut canvas = vec![24u8; w * h * 3];
    for k in 0..count {
        let s = sample(wanted, first + k as u64);
        let depth = coloured(&s.inverse_depth);
        let (x0, y0) = ((k % cols) * (2 * cw + 4), (k / cols) * (ch + 4));
        for (side, picture) in [&s.rgb, &depth].into_iter().enumerate() {
            for y in 0..s.height {
                let to = ((y0 + y) * w + x0 + side * cw) * 3;
                let from = y * s.width * 3;
                canvas[to..to + s.width * 3].copy_from_slice(&picture[from..from + s.width * 3]);
            }
        }
    }
    write_png(path, &canvas, w, h)
}
