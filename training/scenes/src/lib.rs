//! Procedural scenes with exact depth: training data, test films and detail scenes.
//!
//! The way of a picture: [`scenes`] put [`objects`] of some [`material`] into a [`scene`], [`render`] sends rays
//! through it, [`sensor`] makes of it what a camera would have saved. [`sample`] ties that to a seed and an
//! index, [`stream`], [`sheet`] and [`film`] hand it out.

pub mod camera;
mod dispatch;
pub mod files;
pub mod film;
pub mod gallery;
pub mod geometry;
pub mod light;
pub mod material;
pub mod objects;
pub mod render;
pub mod rng;
pub mod sample;
pub mod scene;
pub mod scenes;
pub mod sensor;
pub mod sheet;
pub mod stream;
pub mod texture;
