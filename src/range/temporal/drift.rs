//! What a network changes its mind about in whole regions: how far the depth of a frame has drifted from what was
//! shown, as a field that is smooth over the picture.
//!
//! Scale and shift are one for the whole frame; when something passes, though, a network moves the floor by one
//! amount and a wall by another. What lies still says how much, in cells much larger than the network's noise; between
//! them it is interpolated (normalised convolution, Knutsson and Westin, 1993). A smooth field leaves no patches.

use crate::geometry::Size;

/// Cells along the short side,
const CELLS: u32 = 32;
/// of no fewer pixels than this.
const LEAST: u32 = 4;
/// Where fewer of a cell's pixels are still than this share, the less drift is believed.
const DOUBT: f32 = 0.05;
/// Blurs the cells by one of them.
const BINOMIAL: [f32; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

/// The drift of one frame.
#[derive(Debug, Default)]
pub(super) struct Drift {
    /// Pixels along a cell's side.
    side: usize,
    /// Of the depth map.
    height: usize,
    columns: usize,
    rows: usize,
    /// Of each cell, what its pixels are off by, times their weights; in the end the drift of its middle.
    cells: Vec<f32>,
    weights: Vec<f32>,
    blurred: Vec<f32>,
    /// One row of cells, between two of them.
    line: Vec<f32>,
    /// From the middle of a cell to that of the next, how far each pixel is.
    ramp: Vec<f32>,
}

impl Drift {
    /// Makes room for a depth map of `size`.
    pub(super) fn begin(&mut self, size: Size) {
        let side = (size.width.min(size.height) / CELLS).max(LEAST);
        self.side = side as usize;
        self.height = size.height as usize;
        self.columns = size.width.div_ceil(side) as usize;
        self.rows = size.height.div_ceil(side) as usize;
        let first = (side / 2) as f32 + 0.5 - 0.5 * side as f32;
        self.ramp.clear();
        let places = (0..side).map(|pixel| (first + pixel as f32) / side as f32);
        self.ramp.extend(places);
        for plane in [&mut self.cells, &mut self.weights] {
            plane.clear();
            plane.resize(self.columns * self.rows, 0.0);
        }
    }

    /// Row `y` is done. `off` and `weights` are sums down a row of cells: of what each pixel is off by, times its weight,
    /// and of the weights. After the last row of these cells they are taken in, and begin again.
    pub(super) fn add(&mut self, y: usize, off: &mut [f32], weights: &mut [f32]) {
        if !(y + 1).is_multiple_of(self.side) && y + 1 != self.height {
            return;
        }
        let row = y / self.side * self.columns..;
        for (cells, sums) in [(&mut self.cells, off), (&mut self.weights, weights)] {
            let cells = &mut cells[row.clone()];
            for (cell, sums) in cells.iter_mut().zip(sums.chunks(self.side)) {
                *cell = sums.iter().sum();
            }
            sums.fill(0.0);
        }
    }

    /// Makes the field of what was added: `share` of the drift, and no more than `most` of it.
    pub(super) fn settle(&mut self, share: f32, most: f32) {
        let doubt = DOUBT * (self.side * self.side) as f32;
        for plane in [&mut self.cells, &mut self.weights] {
            blur(plane, self.columns, &mut self.blurred);
        }
        for (cell, weight) in self.cells.iter_mut().zip(&self.weights) {
            *cell = (share * *cell / (weight + doubt)).clamp(-most, most);
        }
    }

    /// The drift of the pixels of row `y`.
    pub(super) fn read(&mut self, y: usize, out: &mut [f32]) {
        let (above, below, part) = self.place(y, self.rows);
        let row = |row: usize| &self.cells[row * self.columns..][..self.columns];
        self.line.clear();
        let pairs = row(above).iter().zip(row(below));
        self.line.extend(pairs.map(|(a, b)| a + part * (b - a)));
        // up to the middle of the first cell it is what it is there
        let (before, out) = out.split_at_mut((self.side / 2).min(out.len()));
        before.fill(self.line[0]);
        let next = self.line.iter().skip(1).chain(self.line.last());
        for ((pixels, &a), &b) in out.chunks_mut(self.side).zip(&self.line).zip(next) {
            for (pixel, place) in pixels.iter_mut().zip(&self.ramp) {
                *pixel = a + place * (b - a);
            }
        }
    }

    /// The drift of one pixel.
    pub(super) fn at(&self, x: usize, y: usize) -> f32 {
        let (above, below, down) = self.place(y, self.rows);
        let (left, right, across) = self.place(x, self.columns);
        let row = |row: usize| {
            let row = &self.cells[row * self.columns..];
            row[left] + across * (row[right] - row[left])
        };
        row(above) + down * (row(below) - row(above))
    }

    /// The cells whose middles are on either side, of `cells`, and how far it is from the first to the second.
    fn place(&self, pixel: usize, cells: usize) -> (usize, usize, f32) {
        let place = (pixel as f32 + 0.5) / self.side as f32 - 0.5;
        let place = place.clamp(0.0, (cells - 1) as f32);
        let first = place as usize;
        (first, (first + 1).min(cells - 1), place - first as f32)
    }
}

/// Blurs a plane both ways; what is outside of it is 0.
fn blur(plane: &mut [f32], width: usize, blurred: &mut Vec<f32>) {
    let height = plane.len() / width;
    blurred.clear();
    blurred.resize(plane.len(), 0.0);
    for (out, row) in blurred.chunks_mut(width).zip(plane.chunks(width)) {
        for (x, out) in out.iter_mut().enumerate() {
            *out = weighted(x, width, |x| row[x]);
        }
    }
    for (y, out) in plane.chunks_mut(width).enumerate() {
        for (x, out) in out.iter_mut().enumerate() {
            *out = weighted(y, height, |y| blurred[y * width + x]);
        }
    }
}

fn weighted(middle: usize, length: usize, value: impl Fn(usize) -> f32) -> f32 {
    let taps = BINOMIAL.iter().zip(middle..);
    let inside = taps.filter(|(_, at)| (2..length + 2).contains(at));
    inside.map(|(weight, at)| weight * value(at - 2)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(150, 70);

    /// The field of pixels that are off by `off` and weigh `weight`.
    fn field(off: impl Fn(usize, usize) -> f32, weight: impl Fn(usize, usize) -> f32) -> Drift {
        let mut drift = Drift::default();
        drift.begin(SIZE);
        let [mut sums, mut weights] = [(); 2].map(|()| vec![0.0; SIZE.width as usize]);
        for y in 0..SIZE.height as usize {
            for (x, (sum, sum_of_weights)) in sums.iter_mut().zip(&mut weights).enumerate() {
                *sum += weight(x, y) * off(x, y);
                *sum_of_weights += weight(x, y);
            }
            drift.add(y, &mut sums, &mut weights);
        }
        drift.settle(1.0, 0.5);
        drift
    }

    #[test]
    fn a_row_and_a_pixel_agree() {
        let mut drift = field(|x, y| (x + 2 * y) as f32 * 1e-3, |_, _| 1.0);
        let mut row = vec![0.0; SIZE.width as usize];
        for y in 0..SIZE.height as usize {
            drift.read(y, &mut row);
            for (x, value) in row.iter().enumerate() {
                assert!((value - drift.at(x, y)).abs() < 1e-5, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_slope_is_found_where_pixels_are_still_and_carried_into_what_is_not() {
        let slope = |x: usize, y: usize| (x + y) as f32 * 1e-3;
        let hole = |x: usize, y: usize| !((60..68).contains(&x) && (30..38).contains(&y));
        let drift = field(slope, |x, y| f32::from(u8::from(hole(x, y))));
        for (x, y) in [(30, 20), (64, 34), (100, 40)] {
            let (found, is) = (drift.at(x, y), slope(x, y));
            assert!((found / is - 1.0).abs() < 0.1, "{x} {y}: {found} of {is}");
        }
        // far from all that is still there is none, nor is there more than is allowed
        let drift = field(|_, _| 0.8, |x, _| f32::from(u8::from(x < 20)));
        assert_eq!((drift.at(10, 30), drift.at(140, 30)), (0.5, 0.0));
    }
}
