//! Pixels ↔ numbers.
