//! GStreamer plugin.
