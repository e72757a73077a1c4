//! `GstDepthMeta`: what the samples of a depth frame mean.

/// Registers the meta with GStreamer.
pub fn register() {}
