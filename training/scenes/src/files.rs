//! Files of pictures and depth.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes an eight-bit RGB file.
pub fn write_png(path: &Path, rgb: &[u8], width: usize, height: usize) -> io::Result<()> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    Ok(())
}

/// Writes one channel of floats as a portable float map: little-endian, bottom row first, as the format wants it.
pub fn write_pfm(path: &Path, values: &[f32], width: usize, height: usize) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    write!(out, "Pf\n{width} {height}\n-1.0\n")?;
    for row in values.chunks(width).rev() {
        for v in row {
            out.write_all(&v.to_le_bytes())?;
        }
    }
    out.flush()
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
