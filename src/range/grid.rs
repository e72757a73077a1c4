//! Depth and colour at a few thousand places of the picture, whatever the size of either: all that the range looks
//! at, so that it costs the same at every resolution.

use crate::frame::SmallPicture;
use crate::frame::small::Cells;
pub(super) use crate::frame::small::{CELLS, COLUMNS, ROWS};
use crate::geometry::Size;

/// Depth of each cell; NaN or infinite where a sample is.
pub(super) fn depths(depth: &[f32], size: Size) -> Option<Vec<f32>> {
    if size.area() == 0 || depth.len() != size.area() {
        return None;
    }
    let mut cells = vec![0.0; CELLS];
    Cells::new(size).means(depth, &mut cells);
    Some(cells)
}

/// The colours of a picture: a plane of cells for each of its three channels.
#[derive(Debug, Clone)]
pub(super) struct Colours {
    planes: Vec<f32>,
}

impl Colours {
    /// `None`: the picture has no pixels.
    pub(super) fn of(picture: &SmallPicture) -> Option<Self> {
        picture.colours().map(|planes| Self {
            planes: planes.to_vec(),
        })
    }

    /// All three channels, one after the other.
    pub(super) fn cells(&self) -> impl Iterator<Item = f32> + Clone {
        self.planes.iter().copied()
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
        let none = SmallPicture::of(&[0.0; 4], Size::new(2, 2));
        assert!(Colours::of(&none).is_none());
    }
}
