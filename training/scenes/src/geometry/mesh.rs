//! Triangle meshes with a hierarchy of their own, shared by all scenes of a process.

use super::bvh::{Aabb, Bvh};
use super::intersect;
use super::prim::Hit;
use super::rays::{Asked, Hits, Rays};
use glam::Vec3;

/// One triangle while a mesh is put together.
#[derive(Clone, Copy, Debug)]
pub struct Tri {
    /// Corners.
    pub v: [u32; 3],
    /// Which of the object's materials.
    pub slot: u16,
    /// Which leaf, petal or stone.
    pub part: u16,
}

/// Points and triangles under construction.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Points.
    pub points: Vec<Vec3>,
    /// Triangles over them.
    pub tris: Vec<Tri>,
}

impl Draft {
    /// Adds a point.
    pub fn point(&mut self, p: Vec3) -> u32 {
        self.points.push(p);
        self.points.len() as u32 - 1
    }

    /// Adds a triangle.
    pub fn tri(&mut self, a: u32, b: u32, c: u32, slot: u16, part: u16) {
        self.tris.push(Tri {
            v: [a, b, c],
            slot,
            part,
        });
    }

    /// Adds two triangles around a quad.
    pub fn quad(&mut self, q: [u32; 4], slot: u16, part: u16) {
        self.tri(q[0], q[1], q[2], slot, part);
        self.tri(q[0], q[2], q[3], slot, part);
    }
}

/// How a mesh looks at a hit, in its own space.
#[derive(Clone, Copy, Debug)]
pub struct MeshSurface {
    /// Smooth normal, not of unit length.
    pub normal: Vec3,
    /// Material slot.
    pub slot: u32,
    /// Part within the mesh.
    pub part: u32,
}

/// A finished mesh.
#[derive(Debug)]
pub struct Mesh {
    bvh: Bvh,
    /// In the order of the hierarchy's leaves.
    /// A corner and two edges of each.
    faces: Vec<[Vec3; 3]>,
    corners: Vec<[Vec3; 3]>,
    labels: Vec<(u16, u16)>,
    /// The box around it.
    pub bounds: Aabb,
    /// Airy or sheet-like: a camera may be inside its box.
    pub open: bool,
}

impl Mesh {
    /// Finishes a draft. `smooth` averages normals over shared points.
    #[must_use]
    pub fn new(d: &Draft, smooth: bool, open: bool) -> Self {
        Self::of(d, smooth, open, true)
    }

    /// As [`Mesh::new`], but quick: for meshes that serve one picture only.
    #[must_use]
    pub fn quick(d: &Draft, smooth: bool) -> Self {
        Self::of(d, smooth, true, false)
    }

    fn of(d: &Draft, smooth: bool, open: bool, careful: bool) -> Self {
        let corner = |t: &Tri, i: usize| d.points[t.v[i] as usize];
        let face_normal =
            |t: &Tri| (corner(t, 1) - corner(t, 0)).cross(corner(t, 2) - corner(t, 0));
        let mut normals = vec![Vec3::ZERO; d.points.len()];
        for t in &d.tris {
            for &v in &t.v {
                normals[v as usize] += face_normal(t);
            }
        }
        let boxes: Vec<Aabb> = d
            .tris
            .iter()
            .map(|t| {
                Aabb::EMPTY
                    .with(corner(t, 0))
                    .with(corner(t, 1))
                    .with(corner(t, 2))
            })
            .collect();
        let bounds = boxes.iter().fold(Aabb::EMPTY, |a, b| a.union(*b));
        let bvh = Bvh::build(&boxes, 4, careful);
        let tris = || bvh.order.iter().map(|&i| &d.tris[i as usize]);
        let faces = tris()
            .map(|t| {
                let [a, b, c] = std::array::from_fn(|i| corner(t, i));
                [a, b - a, c - a]
            })
            .collect();
        let corners = tris()
            .map(|t| {
                if smooth {
                    t.v.map(|v| normals[v as usize].normalize_or(Vec3::Y))
                } else {
                    [face_normal(t).normalize_or(Vec3::Y); 3]
                }
            })
            .collect();
        let labels = tris().map(|t| (t.slot, t.part)).collect();
        Self {
            faces,
            corners,
            labels,
            bvh,
            bounds,
            open,
        }
    }

    /// Offers where its triangles are met to `best`.
    /// `Set` as for [`Prim::hit`](super::Prim::hit).
    #[inline(always)]
    pub fn hit<Set>(&self, rays: &Rays, index: u32, best: &mut Hits) {
        let mut t_max = best.t;
        self.bvh.walk(rays, &mut t_max, |first, count, t_max| {
            for (k, face) in self.faces[first..first + count].iter().enumerate() {
                let (t, u, v) = intersect::triangle(face, rays);
                best.offer_triangle(t, index, (first + k) as u32, (u, v));
            }
            *t_max = best.t;
            false
        });
    }

    /// Tells whether a triangle stands in the way of a ray that has not met anything yet.
    /// `Set` as for [`Prim::hit`](super::Prim::hit).
    #[inline(always)]
    pub fn block<Set>(&self, rays: &Rays, asked: &mut Asked) -> bool {
        let mut any = false;
        let mut limit = asked.limit;
        self.bvh.walk(rays, &mut limit, |first, count, limit| {
            for face in &self.faces[first..first + count] {
                any |= asked.offer(intersect::triangle(face, rays).0);
            }
            *limit = asked.limit;
            asked.answered()
        });
        any
    }

    /// Normal and labels of a hit.
    #[inline(always)]
    #[must_use]
    pub fn surface(&self, h: &Hit) -> MeshSurface {
        let i = h.tri as usize;
        let [a, b, c] = self.corners[i];
        let (slot, part) = self.labels[i];
        MeshSurface {
            normal: a * (1.0 - h.u - h.v) + b * h.u + c * h.v,
            slot: u32::from(slot),
            part: u32::from(part),
        }
    }
}
