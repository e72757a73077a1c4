//! Fine structure from runs of the network at a higher resolution, laid on a first run that says what is large.
//!
//! A depth network knows the whole of a scene best near the size that it was trained at. Beyond it thin and small things
//! become truer, and what is large falls apart. So a first run sees the picture at that size, and the picture at a higher one
//! is run in [`Tiles`] which overlap and are no larger than the first run: that costs no more memory, and each is about
//! what the network was trained on. [`Fusion`] takes from the first run what changes slowly, and the rest from the tiles.
//!
//! The idea is known from offline tools: double estimation (Miangoleh, Dille, Mai, Paris and Aksoy, "Boosting Monocular Depth
//! Estimation Models to High-Resolution", 2021) and tile-wise fusion (Li, Bhat and Wonka, "PatchFusion", 2024). Here no
//! second network is needed: a local fit of scale and shift does it.

mod coarse;
mod fusion;
#[cfg(test)]
mod tests;
mod tiles;

pub(crate) use fusion::{Fusion, Map};
pub(crate) use tiles::{Tile, Tiles};
