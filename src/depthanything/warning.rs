//! What a stream says on the bus.

use super::packing::Saturation;
use super::plan::Asked;
use crate::error::Error;

/// What went wrong without ending the stream.
#[derive(Debug)]
pub(in crate::depthanything) enum Warning {
    /// There is no memory for a size, and a smaller one is taken.
    Memory(Error),
    /// Depth is farther than a sample can say.
    Saturation(Saturation),
    /// `min-resolution` is above `resolution`, and asks for nothing.
    Floor(Asked),
    /// There is no such size for these frames, or no memory for it: the size stays what it is.
    Refused {
        asked: Asked,
        kept: Asked,
        error: Error,
    },
}
