//! Triangle meshes with a hierarchy of their own, shared by all scenes of a process.

use super::bvh::{Aabb, Bvh, Ray};
use super::prim::Hit;
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

#[derive(Clone, Copy, Debug)]
struct Face {
    v0: Vec3,
    e1: Vec3,
    e2: Vec3,
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
    faces: Vec<Face>,
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
        let bvh = Bvh::build(&boxes, 3);
        let ordered = || bvh.order.iter().map(|&i| &d.tris[i as usize]);
        let faces = ordered()
            .map(|t| Face {
                v0: corner(t, 0),
                e1: corner(t, 1) - corner(t, 0),
                e2: corner(t, 2) - corner(t, 0),
            })
            .collect();
        let corners = ordered()
            .map(|t| {
                if smooth {
                    t.v.map(|v| normals[v as usize].normalize_or(Vec3::Y))
                } else {
                    [face_normal(t).normalize_or(Vec3::Y); 3]
                }
            })
            .collect();
        let labels = ordered().map(|t| (t.slot, t.part)).collect();
        Self {
            faces,
            corners,
            labels,
            bvh,
            bounds,
            open,
        }
    }

    /// How many triangles.
    #[must_use]
    pub fn len(&self) -> usize {
        self.faces.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faces.is_empty()
    }

    /// Nearest hit before `best.t`; both sides count.
    #[inline]
    pub fn hit(&self, ray: &Ray, best: &mut Hit) -> bool {
        let mut found = false;
        let mut t_max = best.t;
        self.bvh.walk(ray, &mut t_max, |first, count, t_max| {
            for i in first..first + count {
                let f = &self.faces[i];
                let p = ray.dir.cross(f.e2);
                let det = f.e1.dot(p);
                let inv = 1.0 / det;
                let s = ray.origin - f.v0;
                let u = s.dot(p) * inv;
                // written so that NaN fails
                if !(0.0..=1.0).contains(&u) {
                    continue;
                }
                let q = s.cross(f.e1);
                let v = ray.dir.dot(q) * inv;
                if !(v >= 0.0 && u + v <= 1.0) {
                    continue;
                }
                let t = f.e2.dot(q) * inv;
                if t > ray.t_min && t < *t_max {
                    *t_max = t;
                    *best = Hit {
                        t,
                        prim: best.prim,
                        tri: i as u32,
                        u,
                        v,
                    };
                    found = true;
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
