//! Model values → 0…1 over time: which two values are black and white.
//!
//! Relative models give inverse depth whose scale and shift are free and change from frame to frame. Laid on the
//! output by each frame's own extremes, everything flickers with them. A [`Tracker`] finds the scale and shift between
//! a frame and those before it, from what did not move, and carries the range over: what is still keeps its value
//! while other things come and go. It looks at a few thousand places of picture and depth only, knows nothing of
//! frames to come, and gives limits in each frame's own units, so that the model's numbers can always be taken back.
//!
//! What is left is noise of each pixel; a [`TemporalFilter`] takes it away where nothing moves.

mod align;
mod cut;
mod grid;
mod joints;
mod limits;
mod temporal;
mod tracker;

pub use cut::{Compared, CutDetector, Joint};
pub(crate) use joints::Joints;
pub use limits::Limits;
pub use temporal::{Carry, Strength, TemporalFilter};
pub use tracker::Tracker;

/// How the limits follow the stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Those of each frame.
    Frame,
    /// A running estimate; `past` (0…1) is the weight of what was before.
    Smooth {
        /// Weight of the past.
        past: f64,
    },
    /// Given ones.
    Fixed(Limits),
}
