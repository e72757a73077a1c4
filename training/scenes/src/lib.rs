//! Procedural scenes with exact depth.
