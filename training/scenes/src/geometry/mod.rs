//! Shapes, rays and the hierarchy that finds which shape a ray hits first.

pub mod bvh;
pub mod forms;
pub mod frame;
pub mod library;
pub mod mesh;
pub mod prim;

pub use bvh::{Aabb, Bvh, Ray};
pub use frame::Frame;
pub use mesh::Mesh;
pub use prim::{Hit, Prim, Shape};
