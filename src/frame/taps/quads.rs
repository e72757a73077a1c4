//! Cubic taps four outputs at a time, as AVX-512 takes them: sixteen samples picked out of one or two vectors.

/// Outputs in a block, which is four quads.
pub(in crate::frame) const BLOCK: usize = 16;

/// How many samples, from the first that a quad needs, hold all that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::frame) enum Window {
    /// 16, a vector.
    One,
    /// 32, two vectors.
    Two,
}

/// Four outputs.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::frame) struct Quad {
    /// Weights of the four samples of the first output, of the second…
    pub(in crate::frame) weights: [[f32; 4]; 4],
    /// Which samples those are, counted from `start`; below 16 or 32, as [`Window`] says.
    pub(in crate::frame) indices: [[u8; 4]; 4],
    /// First sample that is needed.
    pub(in crate::frame) start: u32,
}

/// All outputs of a row.
#[derive(Debug, Clone)]
pub(in crate::frame) struct Quads {
    window: Window,
    outputs: usize,
    blocks: Vec<[Quad; 4]>,
}

impl Quads {
    /// `None` where the outputs are too far apart: more than about nine samples.
    pub(super) fn new(starts: &[u32], weights: &[[f32; 4]]) -> Option<Self> {
        let mut furthest = 0;
        let mut quads: Vec<Quad> = starts
            .chunks(4)
            .zip(weights.chunks(4))
            .map(|(starts, weights)| {
                let start = starts[0];
                let mut quad = Quad {
                    start,
                    ..Quad::default()
                };
                for (output, (&first, &weights)) in starts.iter().zip(weights).enumerate() {
                    let first = first - start;
                    furthest = furthest.max(first + 3);
                    // what does not fit in eight bits is refused below
                    quad.indices[output] = [0, 1, 2, 3].map(|tap| (first + tap) as u8);
                    quad.weights[output] = weights;
                }
                quad
            })
            .collect();
        let window = match furthest {
            0..16 => Window::One,
            16..32 => Window::Two,
            _ => return None,
        };
        // outputs that are made and thrown away
        let last = *quads.last()?;
        let filler = Quad {
            start: last.start,
            ..Quad::default()
        };
        quads.resize(starts.len().div_ceil(BLOCK) * 4, filler);
        Some(Self {
            window,
            outputs: starts.len(),
            blocks: quads.as_chunks().0.to_vec(),
        })
    }

    pub(in crate::frame) fn window(&self) -> Window {
        self.window
    }

    /// Number of outputs; the last block may have more.
    pub(in crate::frame) fn outputs(&self) -> usize {
        self.outputs
    }

    pub(in crate::frame) fn blocks(&self) -> &[[Quad; 4]] {
        &self.blocks
    }
}
