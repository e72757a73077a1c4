//! Depth and colour at a few thousand places of the picture, whatever the size of either: all that the range looks
//! at, so that it costs the same at every resolution.

use crate::geometry::Size;

/// Cells across.
pub(super) const COLUMNS: usize = 64;
/// Cells down.
pub(super) const ROWS: usize = 48;
/// All of them.
pub(super) const CELLS: usize = COLUMNS * ROWS;

/// Indices of the four samples of each cell: at a quarter and three quarters of it, both ways.
struct Places {
    columns: [[usize; 2]; COLUMNS],
    rows: [[usize; 2]; ROWS],
}

impl Places {
    fn new(size: Size) -> Self {
        fn of<const CELLS: usize>(side: u32) -> [[usize; 2]; CELLS] {
            let side = side as usize;
            std::array::from_fn(|cell| {
                [1, 3].map(|quarter| (4 * cell + quarter) * side / (4 * CELLS))
            })
        }
        Self {
            columns: of(size.width),
            rows: of(size.height),
        }
    }

    /// Mean of the four samples of each cell of a plane `width` wide.
    fn means(&self, plane: &[f32], width: usize, out: &mut [f32]) {
        for (rows, out) in self.rows.iter().zip(out.chunks_exact_mut(COLUMNS)) {
            let [above, below] = rows.map(|row| &plane[row * width..][..width]);
            for ([left, right], out) in self.columns.iter().zip(out) {
                *out = 0.25 * (above[*left] + above[*right] + below[*left] + below[*right]);
            }
        }
    }
}

/// Depth of each cell; NaN or infinite where a sample is.
pub(super) fn depths(depth: &[f32], size: Size) -> Option<Vec<f32>> {
    if size.area() == 0 || depth.len() != size.area() {
        return None;
    }
    let mut cells = vec![0.0; CELLS];
    Places::new(size).means(depth, size.width as usize, &mut cells);
    Some(cells)
}

/// The colours of a picture: a plane of cells for each of its three channels.
#[derive(Debug, Clone)]
pub(super) struct Colours {
    planes: Vec<f32>,
}

impl Colours {
    /// Of a tensor `[3, height, width]`.
    pub(super) fn of(tensor: &[f32], size: Size) -> Option<Self> {
        if size.area() == 0 || tensor.len() != 3 * size.area() {
            return None;
        }
        let places = Places::new(size);
        let mut planes = vec![0.0; 3 * CELLS];
        let channels = tensor.chunks_exact(size.area());
        for (plane, out) in channels.zip(planes.chunks_exact_mut(CELLS)) {
            places.means(plane, size.width as usize, out);
        }
        Some(Self { planes })
    }

    /// All three channels, one after the other.
    pub(super) fn cells(&self) -> impl Iterator<Item = f32> + Clone {
        self.planes.iter().copied()
    }

    /// Brings the values to the unit of normalised tensors, from one in which natural pictures have this standard
    /// deviation.
    pub(super) fn divide(&mut self, deviation: f32) {
        if deviation != 1.0 {
            self.planes.iter_mut().for_each(|value| *value /= deviation);
        }
    }

    /// One of the three channels.
    pub(super) fn plane(&self, channel: usize) -> &[f32] {
        &self.planes[channel * CELLS..][..CELLS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_stays_a_ramp_at_any_size() {
        for size in [Size::new(448, 252), Size::new(14, 14), Size::new(1, 1)] {
            let ramp: Vec<f32> = (0..size.area())
                .map(|i| (i % size.width as usize) as f32 / size.width as f32)
                .collect();
            let cells = depths(&ramp, size).unwrap();
            for row in cells.chunks(COLUMNS) {
                for (column, value) in row.iter().enumerate() {
                    let middle = (column as f32 + 0.5) / COLUMNS as f32;
                    assert!((value - middle).abs() <= 1.0 / size.width as f32, "{size}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_has_no_cells() {
        assert!(depths(&[0.0; 5], Size::new(2, 2)).is_none());
        assert!(depths(&[], Size::new(0, 0)).is_none());
        assert!(Colours::of(&[0.0; 4], Size::new(2, 2)).is_none());
    }
}
