//! A picture with a margin around it, so that a window may hang over its edge.

/// Pixels along the side of the windows that are read of it.
pub(super) const WINDOW: usize = 8;
/// Pixels around a picture that repeat its edge.
const MARGIN: usize = WINDOW + 4;

/// Luma, with its margin.
#[derive(Debug, Default, Clone)]
pub(super) struct Plane {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Plane {
    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    /// From one row to the next.
    pub(super) fn stride(&self) -> usize {
        self.width + 2 * MARGIN
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Half of another, one way: each pixel is the mean of four.
    pub(super) fn halve_plane(&mut self, from: &Self) {
        let inner = &from.values[MARGIN * from.stride() + MARGIN..];
        self.halve(inner, from.stride(), from.width, from.height);
    }

    /// Half of a plane of `height` rows of `width`, each `stride` after the one before.
    pub(super) fn halve(&mut self, from: &[f32], stride: usize, width: usize, height: usize) {
        self.width = width / 2;
        self.height = height / 2;
        let own = self.stride();
        self.values.resize(own * (self.height + 2 * MARGIN), 0.0);
        for y in 0..self.height {
            let [above, below] = [2 * y, 2 * y + 1].map(|row| &from[row * stride..][..width]);
            let row = &mut self.values[(y + MARGIN) * own..][..own];
            let pairs = above.as_chunks().0.iter().zip(below.as_chunks().0);
            for (out, ([a, b], [c, d])) in row[MARGIN..].iter_mut().zip(pairs) {
                *out = 0.25 * (a + b + c + d);
            }
            let last = MARGIN + self.width;
            let (left, right) = (row[MARGIN], row[last - 1]);
            row[..MARGIN].fill(left);
            row[last..].fill(right);
        }
        for y in 0..MARGIN {
            let first = MARGIN * own..(MARGIN + 1) * own;
            self.values.copy_within(first, y * own);
            let last = (MARGIN + self.height - 1) * own;
            let to = (MARGIN + self.height + y) * own;
            self.values.copy_within(last..last + own, to);
        }
    }

    /// Where the values of the window begin whose upper left pixel is this, moved to where it and one pixel around it are
    /// within the margin.
    pub(super) fn place(&self, x: isize, y: isize) -> usize {
        let inside = |at: isize, side: usize| {
            let most = side + 2 * MARGIN - WINDOW - 2;
            at.saturating_add_unsigned(MARGIN).clamp(1, most as isize) as usize
        };
        inside(y, self.height) * self.stride() + inside(x, self.width)
    }
}
