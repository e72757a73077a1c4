//! Contact sheets: pictures beside their coloured depth, for people to judge.

use crate::files::{coloured, write_png};
use crate::sample::{Wanted, sample};
use std::io;
use std::path::Path;

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
