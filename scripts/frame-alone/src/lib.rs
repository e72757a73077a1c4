//! `src/frame` and what it stands on, without GStreamer.

#[path = "../../../src/frame/mod.rs"]
pub mod frame;
#[path = "../../../src/geometry.rs"]
pub mod geometry;

/// What is left of the crate's errors.
pub mod error {
    /// See the crate's own.
    #[derive(Debug, thiserror::Error)]
    pub enum Error {
        /// A frame that is not what it was said to be.
        #[error("{reason}")]
        Frame {
            /// In words.
            reason: String,
        },
    }
}
