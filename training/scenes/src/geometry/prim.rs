//! The shapes a scene is made of, each with its exact intersection.

use super::intersect;
use super::rays::{Asked, Hits, Rays, Vec3x4};
use super::{Aabb, Mesh};
use glam::{Mat3, Vec3};
use std::sync::Arc;
use wide::f32x4;

/// Maps the world into a shape's own space, where it is a unit shape.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    /// World direction to own direction.
    pub m: Mat3,
    /// Own position of the world's origin.
    pub t: Vec3,
}

impl Affine {
    /// For a unit shape that was scaled by `size`, turned and moved to `at`.
    #[must_use]
    pub fn of(at: Vec3, rot: Mat3, size: Vec3) -> Self {
        let m = Mat3::from_diagonal(size.max(Vec3::splat(1e-5)).recip()) * rot.transpose();
        Self { m, t: -(m * at) }
    }

    #[inline(always)]
    fn rays(&self, r: &Rays) -> (Vec3x4, Vec3x4) {
        (
            r.origin.transformed(&self.m) + Vec3x4::splat(self.t),
            r.dir.transformed(&self.m),
        )
    }

    /// A normal in the shape's own space in the world; not of unit length.
    #[inline(always)]
    fn normal(&self, n: Vec3) -> Vec3 {
        // the transposed matrix times n
        Vec3::new(
            self.m.x_axis.dot(n),
            self.m.y_axis.dot(n),
            self.m.z_axis.dot(n),
        )
    }

    /// A world point in the shape's own space.
    #[inline(always)]
    #[must_use]
    pub fn point(&self, p: Vec3) -> Vec3 {
        self.m * p + self.t
    }
}

/// What can be hit.
#[derive(Clone, Debug)]
pub enum Shape {
    /// The unit ball, scaled.
    Ellipsoid(Affine),
    /// The cube from -1 to 1, scaled.
    Block(Affine),
    /// Round about y from -1 to 1; radius 1 at the bottom and this at the top. 1 is a cylinder, 0 a cone.
    Frustum(Affine, f32),
    /// Two balls and the tangent cone between them: a limb, a branch, a cable.
    Limb(Limb),
    /// A mesh with a hierarchy of its own.
    Mesh(Affine, Arc<Mesh>),
}

/// Two balls with a tangent cone between them.
#[derive(Clone, Copy, Debug)]
pub struct Limb {
    /// Centre of the first ball.
    pub a: Vec3,
    /// Centre of the second ball.
    pub b: Vec3,
    /// Radius of the first ball.
    pub ra: f32,
    /// Radius of the second ball.
    pub rb: f32,
}

/// A shape and what it is made of.
#[derive(Clone, Debug)]
pub struct Prim {
    /// Its form and place.
    pub shape: Shape,
    /// Index of its material in the scene; meshes add their slot to it.
    pub material: u32,
    /// Half its size in metres, so that patterns keep their scale.
    pub size: Vec3,
}

/// Where a ray met a shape.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Distance in lengths of the ray's direction.
    pub t: f32,
    /// Index of the shape, or one of the scene's special numbers.
    pub prim: u32,
    /// Triangle of a mesh.
    pub tri: u32,
    /// First barycentric coordinate of a triangle.
    pub u: f32,
    /// Second barycentric coordinate of a triangle.
    pub v: f32,
}

impl Hit {
    /// Nothing was hit.
    pub const NONE: Self = Self {
        t: f32::INFINITY,
        prim: u32::MAX,
        tri: 0,
        u: 0.0,
        v: 0.0,
    };
}

/// How a shape looks where it was hit.
#[derive(Clone, Copy, Debug)]
pub struct Surface {
    /// Unit normal in the world, pointing out of the shape.
    pub normal: Vec3,
    /// Pattern coordinates in metres.
    pub uv: [f32; 2],
    /// Added to the shape's material.
    pub slot: u32,
    /// Face or part within the shape: leaf of a crown, side of a box.
    pub part: u32,
}

impl Limb {
    /// Point on the axis, 0 at a and 1 at b, whose ball touches the surface at `p`.
    #[inline(always)]
    fn axis_point(&self, p: Vec3) -> f32 {
        let ba = self.b - self.a;
        let m0 = ba.length_squared().max(1e-12);
        let rr = self.ra - self.rb;
        let along = (p - self.a).dot(ba) / m0;
        let q = p - self.a - ba * along;
        // the tangent cone leans by the difference of the radii
        let lean = rr / (m0 - rr * rr).max(1e-12).sqrt() * q.length() / m0.sqrt();
        (along - lean).clamp(0.0, 1.0)
    }
}

/// Pattern coordinates on a flat side from its own position and normal.
#[inline(always)]
fn side_uv(p: Vec3, n: Vec3) -> ([f32; 2], u32) {
    let a = n.abs();
    if a.x >= a.y && a.x >= a.z {
        ([p.z, p.y], 0)
    } else if a.y >= a.z {
        ([p.x, p.z], 1)
    } else {
        ([p.x, p.y], 2)
    }
}

/// Own-space directions that go with [`side_uv`].
const SIDE_TANGENTS: [[Vec3; 2]; 3] = [[Vec3::Z, Vec3::Y], [Vec3::X, Vec3::Z], [Vec3::X, Vec3::Y]];

/// atan2(y, x) to 4e-4: enough for where a pattern lies, and several times as fast.
#[inline(always)]
#[must_use]
pub fn bearing(y: f32, x: f32) -> f32 {
    use std::f32::consts::{FRAC_PI_2, PI};
    let (ax, ay) = (x.abs(), y.abs());
    let (small, large) = if ax < ay { (ax, ay) } else { (ay, ax) };
    let q = small / large.max(1e-30);
    let q2 = q * q;
    // minimax on 0..1
    let a = q * (0.999_215 + q2 * (-0.321_181_9 + q2 * (0.146_272_6 + q2 * -0.038_989_1)));
    let a = if ax < ay { FRAC_PI_2 - a } else { a };
    let a = if x < 0.0 { PI - a } else { a };
    a.copysign(y)
}

/// Any two unit vectors across a normal.
#[must_use]
pub fn across(n: Vec3) -> [Vec3; 2] {
    let (a, b) = n.any_orthonormal_pair();
    [a, b]
}

/// What rays find at a shape.
enum Met<'a> {
    /// Its surface at these distances, infinite where they miss.
    At(f32x4),
    /// A mesh, and themselves in its own space.
    Within(&'a Mesh, Rays),
}

impl Prim {
    /// Offers where it is met to `best`.
    /// `Set` stands for the set of instructions that the caller is compiled for: it keeps the copies apart.
    #[inline(always)]
    pub fn hit<Set>(&self, rays: &Rays, index: u32, best: &mut Hits) {
        match self.met(rays) {
            Met::At(t) => best.offer(t, index),
            Met::Within(mesh, rays) => mesh.hit::<Set>(&rays, index, best),
        }
    }

    /// Tells whether it stands in the way of a ray that has not met anything yet. `Set` as for [`Prim::hit`].
    #[inline(always)]
    pub fn block<Set>(&self, rays: &Rays, asked: &mut Asked) -> bool {
        match self.met(rays) {
            Met::At(t) => asked.offer(t),
            Met::Within(mesh, rays) => mesh.block::<Set>(&rays, asked),
        }
    }

    #[inline(always)]
    fn met(&self, rays: &Rays) -> Met<'_> {
        Met::At(match &self.shape {
            Shape::Ellipsoid(f) => {
                let (o, d) = f.rays(rays);
                intersect::ball(o, d, rays.t_min)
            }
            Shape::Block(f) => {
                let (o, d) = f.rays(rays);
                intersect::block(o, d, rays.t_min)
            }
            Shape::Frustum(f, top) => {
                let (o, d) = f.rays(rays);
                intersect::frustum(*top, o, d, rays.t_min)
            }
            Shape::Limb(l) => intersect::limb(l, rays),
            Shape::Mesh(f, mesh) => {
                let (origin, dir) = f.rays(rays);
                let t_min = rays.t_min;
                return Met::Within(mesh, Rays { origin, dir, t_min });
            }
        })
    }

    /// Normal and pattern at a hit at world position `p`.
    #[inline(always)]
    #[must_use]
    pub fn surface(&self, p: Vec3, hit: &Hit) -> Surface {
        match &self.shape {
            Shape::Ellipsoid(f) => {
                let l = f.point(p);
                let normal = f.normal(l).normalize_or(Vec3::Y);
                let r = self.size.x.max(self.size.z);
                Surface {
                    normal,
                    uv: [bearing(l.x, l.z) * r, l.y * self.size.y],
                    slot: 0,
                    part: 0,
                }
            }
            Shape::Block(f) => {
                let l = f.point(p);
                let a = l.abs();
                let n = if a.x >= a.y && a.x >= a.z {
                    Vec3::new(l.x.signum(), 0.0, 0.0)
                } else if a.y >= a.z {
                    Vec3::new(0.0, l.y.signum(), 0.0)
                } else {
                    Vec3::new(0.0, 0.0, l.z.signum())
                };
                let (uv, side) = side_uv(l * self.size, n);
                Surface {
                    normal: f.normal(n).normalize_or(Vec3::Y),
                    uv,
                    slot: 0,
                    part: 1 + side * 2 + u32::from(n.x + n.y + n.z > 0.0),
                }
            }
            Shape::Frustum(f, top) => {
                let l = f.point(p);
                let r = 0.5 * (1.0 + top) + 0.5 * (top - 1.0) * l.y;
                let cap = l.y.abs() > 0.9995 && l.x * l.x + l.z * l.z < r * r * 0.999;
                let m = l * self.size;
                let (n, uv) = if cap {
                    (Vec3::new(0.0, l.y.signum(), 0.0), [m.x, m.z])
                } else {
                    (
                        Vec3::new(l.x, -0.5 * (top - 1.0) * r, l.z),
                        [bearing(l.x, l.z) * self.size.x.max(self.size.z), m.y],
                    )
                };
                let normal = f.normal(n).normalize_or(Vec3::Y);
                Surface {
                    normal,
                    uv,
                    slot: 0,
                    part: u32::from(cap),
                }
            }
            Shape::Limb(l) => {
                let s = l.axis_point(p);
                let ba = l.b - l.a;
                let normal = (p - l.a - ba * s).normalize_or(Vec3::Y);
                let [e1, e2] = across(ba.normalize_or(Vec3::Y));
                let r = l.ra.max(l.rb);
                Surface {
                    normal,
                    uv: [bearing(normal.dot(e1), normal.dot(e2)) * r, s * ba.length()],
                    slot: 0,
                    part: 0,
                }
            }
            Shape::Mesh(f, mesh) => {
                let l = f.point(p);
                let s = mesh.surface(hit);
                let normal = f.normal(s.normal).normalize_or(Vec3::Y);
                let (uv, _) = side_uv(l * self.size, s.normal);
                Surface {
                    normal,
                    uv,
                    slot: s.slot,
                    part: s.part,
                }
            }
        }
    }

    /// World directions in which u and v grow where its surface, with this part and normal, was hit.
    #[inline(always)]
    #[must_use]
    pub fn tangents(&self, part: u32, normal: Vec3) -> [Vec3; 2] {
        match &self.shape {
            Shape::Block(f) => {
                let [tu, tv] = SIDE_TANGENTS[(part.saturating_sub(1) / 2) as usize % 3];
                [
                    f.normal(tu).normalize_or(Vec3::X),
                    f.normal(tv).normalize_or(Vec3::Z),
                ]
            }
            _ => across(normal),
        }
    }

    /// The world box around it.
    #[must_use]
    pub fn bounds(&self) -> Aabb {
        let affine_box = |f: &Affine, lo: Vec3, hi: Vec3| {
            let back = f.m.inverse();
            let c = back * ((lo + hi) * 0.5 - f.t);
            let h = (hi - lo) * 0.5;
            let e = back.x_axis.abs() * h.x + back.y_axis.abs() * h.y + back.z_axis.abs() * h.z;
            Aabb {
                min: c - e,
                max: c + e,
            }
        };
        match &self.shape {
            Shape::Ellipsoid(f) => {
                let back = f.m.inverse();
                let c = back * -f.t;
                let rows = back.transpose();
                let e = Vec3::new(
                    rows.x_axis.length(),
                    rows.y_axis.length(),
                    rows.z_axis.length(),
                );
                Aabb {
                    min: c - e,
                    max: c + e,
                }
            }
            Shape::Block(f) => affine_box(f, -Vec3::ONE, Vec3::ONE),
            Shape::Frustum(f, top) => {
                let w = top.max(1.0);
                affine_box(f, Vec3::new(-w, -1.0, -w), Vec3::new(w, 1.0, w))
            }
            Shape::Limb(l) => Aabb {
                min: (l.a - l.ra).min(l.b - l.rb),
                max: (l.a + l.ra).max(l.b + l.rb),
            },
            Shape::Mesh(f, mesh) => affine_box(f, mesh.bounds.min, mesh.bounds.max),
        }
    }

    /// Whether a point lies inside, or nearly: a camera must not. Meshes count by their box's inner ellipsoid.
    #[must_use]
    pub fn contains(&self, p: Vec3) -> bool {
        match &self.shape {
            Shape::Ellipsoid(f) => f.point(p).length_squared() < 1.1,
            Shape::Block(f) => f.point(p).abs().max_element() < 1.03,
            Shape::Frustum(f, top) => {
                let l = f.point(p);
                let r = 0.5 * (1.0 + top) + 0.5 * (top - 1.0) * l.y;
                l.y.abs() < 1.05 && l.x * l.x + l.z * l.z < r * r * 1.1
            }
            Shape::Limb(l) => {
                let s = l.axis_point(p);
                let r = l.ra + (l.rb - l.ra) * s;
                p.distance(l.a.lerp(l.b, s)) < r * 1.05
            }
            Shape::Mesh(f, mesh) => {
                if mesh.open {
                    return false;
                }
                let h = (mesh.bounds.max - mesh.bounds.min) * 0.5;
                let l = (f.point(p) - (mesh.bounds.max + mesh.bounds.min) * 0.5)
                    / h.max(Vec3::splat(1e-6));
                l.length_squared() < 1.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bearing;

    #[test]
    fn bearings_are_those_of_atan2() {
        for k in 0..720 {
            let (y, x) = (k as f32).to_radians().mul_add(0.5, -3.1).sin_cos();
            let off = bearing(y * 3.0, x * 3.0) - y.atan2(x);
            assert!(off.abs() < 4e-4, "{y} {x}: off by {off}");
        }
        assert_eq!(bearing(0.0, 0.0), 0.0);
    }
}
