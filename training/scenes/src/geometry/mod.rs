//! Shapes, rays and the hierarchy that finds which shape a ray hits first.

pub mod bvh;
pub mod forms;
pub mod frame;
mod intersect;
pub mod library;
pub mod mesh;
pub mod prim;
pub mod rays;

pub use bvh::{Aabb, Bvh};
pub use frame::Frame;
pub use mesh::Mesh;
pub use prim::{Hit, Prim, Shape};
pub use rays::{Hits, Ray, Rays};
