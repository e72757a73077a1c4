//! Triangle meshes with a hierarchy of their own, shared by all scenes of a process.

use super::bvh::{Aabb, Bvh, Ray};
use super::prim::Hit;
use glam::Vec3;
use wide::{CmpGe, CmpGt, CmpLe, CmpLt, f32x4};

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

/// Four triangles side by side: a corner and two edges of each, by coordinate. Unused ones have no area.
#[derive(Clone, Copy, Debug)]
struct Faces {
    v0: [f32x4; 3],
    e1: [f32x4; 3],
    e2: [f32x4; 3],
}

fn cross(a: [f32x4; 3], b: [f32x4; 3]) -> [f32x4; 3] {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn dot(a: [f32x4; 3], b: [f32x4; 3]) -> f32x4 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
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
    faces: Vec<Faces>,
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
        let mut bvh = Bvh::build(&boxes, 4, careful);
        bvh.align_leaves(4);
        let tri = |i: u32| d.tris.get(i as usize);
        let faces = bvh
            .order
            .chunks_exact(4)
            .map(|four| {
                let lanes = |f: &dyn Fn(&Tri) -> Vec3| {
                    let p: [Vec3; 4] = std::array::from_fn(|k| tri(four[k]).map_or(Vec3::ZERO, f));
                    std::array::from_fn(|a| f32x4::from(p.map(|q| q[a])))
                };
                Faces {
                    v0: lanes(&|t| corner(t, 0)),
                    e1: lanes(&|t| corner(t, 1) - corner(t, 0)),
                    e2: lanes(&|t| corner(t, 2) - corner(t, 0)),
                }
            })
            .collect();
        let corners = bvh
            .order
            .iter()
            .map(|&i| match tri(i) {
                None => [Vec3::Y; 3],
                Some(t) if smooth => t.v.map(|v| normals[v as usize].normalize_or(Vec3::Y)),
                Some(t) => [face_normal(t).normalize_or(Vec3::Y); 3],
            })
            .collect();
        let labels = bvh
            .order
            .iter()
            .map(|&i| tri(i).map_or((0, 0), |t| (t.slot, t.part)))
            .collect();
        Self {
            faces,
            corners,
            labels,
            bvh,
            bounds,
            open,
        }
    }

    /// Nearest hit before `best.t`; both sides count.
    #[inline]
    pub fn hit(&self, ray: &Ray, best: &mut Hit) -> bool {
        let mut found = false;
        let mut t_max = best.t;
        let splat = |p: Vec3| [f32x4::splat(p.x), f32x4::splat(p.y), f32x4::splat(p.z)];
        let (o, dir) = (splat(ray.origin), splat(ray.dir));
        let zero = f32x4::splat(0.0);
        let t_min = f32x4::splat(ray.t_min);
        self.bvh.walk(ray, &mut t_max, |first, _, t_max| {
            let f = &self.faces[first / 4];
            let p = cross(dir, f.e2);
            let inv = f32x4::splat(1.0) / dot(f.e1, p);
            let s = [o[0] - f.v0[0], o[1] - f.v0[1], o[2] - f.v0[2]];
            let u = dot(s, p) * inv;
            let q = cross(s, f.e1);
            let v = dot(dir, q) * inv;
            let t = dot(f.e2, q) * inv;
            // NaN of a triangle without area fails each comparison
            let hit = u.cmp_ge(zero)
                & v.cmp_ge(zero)
                & (u + v).cmp_le(f32x4::splat(1.0))
                & t.cmp_gt(t_min)
                & t.cmp_lt(f32x4::splat(*t_max));
            let mut mask = hit.move_mask();
            if mask != 0 {
                let (t, u, v) = (t.to_array(), u.to_array(), v.to_array());
                while mask != 0 {
                    let k = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if t[k] < *t_max {
                        *t_max = t[k];
                        *best = Hit {
                            t: t[k],
                            prim: best.prim,
                            tri: (first + k) as u32,
                            u: u[k],
                            v: v[k],
                        };
                        found = true;
                    }
                }
            }
            false
        });
        found
    }

    /// Normal and labels of a hit.
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
