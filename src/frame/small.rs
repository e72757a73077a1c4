//! What tells motion, exposure and cuts of a picture: its colours on a coarse grid, and its luma at the network's size.
//!
//! Values are in standard deviations of natural pictures, the unit of normalised tensors.

use crate::geometry::Size;

/// Cells across.
pub(crate) const COLUMNS: usize = 64;
/// Cells down.
pub(crate) const ROWS: usize = 48;
/// All of them.
pub(crate) const CELLS: usize = COLUMNS * ROWS;

/// Where the cells of a coarse grid are in a plane: the indices of the four samples of each, at a quarter and three quarters
/// of it, both ways. They cost the same at every size.
pub(crate) struct Cells {
    columns: [[usize; 2]; COLUMNS],
    rows: [[usize; 2]; ROWS],
    width: usize,
}

impl Cells {
    /// Of a plane of `size`, which is not empty.
    pub(crate) fn new(size: Size) -> Self {
        fn of<const CELLS: usize>(side: u32) -> [[usize; 2]; CELLS] {
            let side = side as usize;
            std::array::from_fn(|cell| {
                [1, 3].map(|quarter| (4 * cell + quarter) * side / (4 * CELLS))
            })
        }
        Self {
            columns: of(size.width),
            rows: of(size.height),
            width: size.width as usize,
        }
    }

    /// Mean of the four samples of each cell of a plane.
    pub(crate) fn means(&self, plane: &[f32], out: &mut [f32]) {
        for (rows, out) in self.rows.iter().zip(out.chunks_exact_mut(COLUMNS)) {
            let [above, below] = rows.map(|row| &plane[row * self.width..][..self.width]);
            for ([left, right], out) in self.columns.iter().zip(out) {
                *out = 0.25 * (above[*left] + above[*right] + below[*left] + below[*right]);
            }
        }
    }
}

/// A picture as far as it is looked at beside its depth. One without pixels is not known.
#[derive(Debug, Clone, Default)]
pub struct SmallPicture {
    size: Size,
    /// Three planes of [`CELLS`]; none of a picture without pixels.
    colours: Vec<f32>,
    /// `[height, width]`; empty where it was not asked for.
    luma: Vec<f32>,
}

impl SmallPicture {
    /// Of a normalised tensor, `[3, height, width]` of `size`, with luma.
    #[cfg(feature = "testing")]
    pub fn of(tensor: &[f32], size: Size) -> Self {
        let mut picture = Self::default();
        picture.read(tensor, size, 1.0, true);
        picture
    }

    /// Takes in a tensor, `[3, height, width]` of `size`, in whose values natural pictures have the standard `deviation`.
    /// `luma`: with the luma of each of its pixels. One that is not of this size has no pixels.
    pub fn read(&mut self, tensor: &[f32], size: Size, deviation: f32, luma: bool) {
        self.clear();
        if size.area() == 0 || tensor.len() != 3 * size.area() {
            return;
        }
        self.size = size;
        let planes = [0, 1, 2].map(|channel| &tensor[channel * size.area()..][..size.area()]);
        let cells = Cells::new(size);
        self.colours.resize(3 * CELLS, 0.0);
        for (plane, out) in planes.iter().zip(self.colours.chunks_exact_mut(CELLS)) {
            cells.means(plane, out);
        }
        if luma {
            let [red, green, blue] = planes;
            let pixels = red.iter().zip(green).zip(blue);
            let means = pixels.map(|((r, g), b)| (r + g + b) * (1.0 / 3.0));
            self.luma.extend(means);
        }
        if deviation != 1.0 {
            let values = self.colours.iter_mut().chain(&mut self.luma);
            values.for_each(|value| *value /= deviation);
        }
    }

    /// Forgets the picture; what is left are buffers to use again.
    pub fn clear(&mut self) {
        self.size = Size::default();
        self.colours.clear();
        self.luma.clear();
    }

    /// Size of the luma.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Luma of each pixel; empty where it was not asked for.
    pub fn luma(&self) -> &[f32] {
        &self.luma
    }

    /// Red, green and blue of each cell, a plane after the other.
    pub(crate) fn colours(&self) -> Option<&[f32]> {
        (!self.colours.is_empty()).then_some(&self.colours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_of_another_size_has_no_pixels() {
        let mut picture = SmallPicture::of(&[0.5; 12], Size::new(2, 2));
        assert_eq!(picture.luma(), [0.5; 4]);
        assert_eq!(picture.colours().map(<[f32]>::len), Some(3 * CELLS));
        for (tensor, size) in [(4, Size::new(2, 2)), (0, Size::new(0, 2))] {
            picture.read(&vec![0.0; tensor], size, 1.0, true);
            assert!(picture.colours().is_none() && picture.luma().is_empty());
            assert_eq!(picture.size(), Size::default());
        }
    }

    #[test]
    fn bytes_and_normalised_values_look_the_same() {
        let size = Size::new(6, 4);
        let tensor: Vec<f32> = (0..3 * size.area()).map(|i| i as f32 * 0.01).collect();
        let bytes: Vec<f32> = tensor.iter().map(|value| value * 64.0).collect();
        let plain = SmallPicture::of(&tensor, size);
        let mut other = SmallPicture::default();
        other.read(&bytes, size, 64.0, true);
        assert_eq!(plain.luma(), other.luma());
        assert_eq!(plain.colours(), other.colours());
        other.read(&bytes, size, 64.0, false);
        assert!(other.luma().is_empty(), "nobody asked for it");
    }
}
