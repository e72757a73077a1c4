//! Finds cuts: frames whose picture has little to do with the one before.

use crate::geometry::Size;

/// Thumbnail the frames are compared at; coarse, so that motion and noise weigh little.
const COLUMNS: usize = 16;
const ROWS: usize = 12;
const CELLS: usize = COLUMNS * ROWS;

/// Mean difference of two thumbnails, in standard deviations of natural pictures (the unit of normalised
/// tensors), below which no change is a cut.
const FLOOR: f32 = 0.35;
/// A cut stands out from the change between the frames before it by this factor, so that shaky or fast
/// films do not break into scenes of a frame each.
const CONTRAST: f32 = 3.0;
/// Weight of the past in the usual change between two frames.
const MEMORY: f32 = 0.8;

/// Compares each picture with the one before.
#[derive(Debug, Default)]
pub struct CutDetector {
    last: Option<Box<[[f32; 3]; CELLS]>>,
    usual: f32,
}

impl CutDetector {
    /// Forgets the last picture.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// Whether the picture begins a new scene. `tensor` is `[3, height, width]`, normalised.
    pub fn is_cut(&mut self, tensor: &[f32], size: Size) -> bool {
        let Some(now) = thumbnail(tensor, size) else {
            return false;
        };
        let now = Box::new(now);
        let Some(last) = self.last.replace(now.clone()) else {
            return false;
        };
        let change = difference(&now, &last);
        let cut = change > FLOOR && change > CONTRAST * self.usual;
        self.usual = if cut {
            0.0
        } else {
            MEMORY * self.usual + (1.0 - MEMORY) * change
        };
        cut
    }
}

/// Mean absolute difference, less what a common change of brightness explains: a flash or a fade is not a
/// cut.
fn difference(a: &[[f32; 3]; CELLS], b: &[[f32; 3]; CELLS]) -> f32 {
    let count = (CELLS * 3) as f32;
    let deltas = || {
        a.iter()
            .flatten()
            .zip(b.iter().flatten())
            .map(|(a, b)| a - b)
    };
    let common = deltas().sum::<f32>() / count;
    deltas().map(|delta| (delta - common).abs()).sum::<f32>() / count
}

/// Means of a coarse grid of cells, from every other pixel of every other row.
fn thumbnail(tensor: &[f32], size: Size) -> Option<[[f32; 3]; CELLS]> {
    let (width, height) = (size.width as usize, size.height as usize);
    if width < COLUMNS || height < ROWS || tensor.len() < 3 * size.area() {
        return None;
    }
    let mut cells = [[0.0; 3]; CELLS];
    for channel in 0..3 {
        let plane = &tensor[channel * size.area()..][..size.area()];
        for (cell, mean) in cells.iter_mut().enumerate() {
            let (row, column) = (cell / COLUMNS, cell % COLUMNS);
            let rows = row * height / ROWS..(row + 1) * height / ROWS;
            let columns = column * width / COLUMNS..(column + 1) * width / COLUMNS;
            let (mut sum, mut count) = (0.0, 0.0);
            for y in rows.step_by(2) {
                for value in plane[y * width..][columns.clone()].iter().step_by(2) {
                    sum += value;
                    count += 1.0;
                }
            }
            mean[channel] = sum / count;
        }
    }
    Some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(112, 84);

    /// A smooth picture that depends on `seed` and is shifted by `shift` pixels.
    fn picture(seed: f32, shift: f32, brightness: f32) -> Vec<f32> {
        let mut tensor = Vec::with_capacity(3 * SIZE.area());
        for channel in 0..3 {
            for y in 0..SIZE.height {
                for x in 0..SIZE.width {
                    let (x, y) = (x as f32 + shift, y as f32);
                    let phase = seed * (1.0 + channel as f32);
                    tensor.push(
                        (x * 0.09 + phase).sin() + (y * 0.11 - phase * 1.7).cos() + brightness,
                    );
                }
            }
        }
        tensor
    }

    #[test]
    fn a_pan_is_one_scene() {
        let mut detector = CutDetector::default();
        for frame in 0..50 {
            assert!(!detector.is_cut(&picture(1.0, frame as f32 * 3.0, 0.0), SIZE));
        }
    }

    #[test]
    fn a_cut_is_seen_at_its_frame_and_only_there() {
        let mut detector = CutDetector::default();
        let cuts: Vec<usize> = (0..40)
            .filter(|&frame| {
                let seed = if frame < 20 { 1.0 } else { 4.0 };
                detector.is_cut(&picture(seed, frame as f32, 0.0), SIZE)
            })
            .collect();
        assert_eq!(cuts, [20]);
    }

    #[test]
    fn a_flash_is_not_a_cut() {
        let mut detector = CutDetector::default();
        for frame in 0..10 {
            let brightness = if frame == 5 { 2.0 } else { 0.0 };
            assert!(!detector.is_cut(&picture(1.0, frame as f32, brightness), SIZE));
        }
    }

    #[test]
    fn tiny_pictures_have_no_cuts() {
        let mut detector = CutDetector::default();
        let size = Size::new(4, 4);
        assert!(!detector.is_cut(&[0.0; 48], size));
        assert!(!detector.is_cut(&[9.0; 48], size));
    }
}
