//! Rays go in fours, one in each lane of a vector: neighbours take much the same way, and shapes solve for all
//! four at once.

use super::prim::Hit;
use glam::{Mat3, Vec3};
use std::ops::{Add, Mul, Sub};
use wide::f32x4;

/// How many rays go together.
pub const LANES: usize = 4;

/// A ray; the direction need not be of unit length and distances count in its lengths.
#[derive(Clone, Copy, Debug)]
pub struct Ray {
    /// Where it starts.
    pub origin: Vec3,
    /// Where it goes.
    pub dir: Vec3,
    /// Hits nearer than this do not count.
    pub t_min: f32,
}

/// Four vectors of space.
#[derive(Clone, Copy, Debug)]
pub struct Vec3x4 {
    /// First coordinates.
    pub x: f32x4,
    /// Second coordinates.
    pub y: f32x4,
    /// Third coordinates.
    pub z: f32x4,
}

impl Vec3x4 {
    /// The same vector in all lanes.
    #[inline(always)]
    #[must_use]
    pub fn splat(v: Vec3) -> Self {
        Self {
            x: f32x4::splat(v.x),
            y: f32x4::splat(v.y),
            z: f32x4::splat(v.z),
        }
    }

    /// One vector for each lane.
    #[inline]
    #[must_use]
    pub fn new(v: [Vec3; LANES]) -> Self {
        Self {
            x: f32x4::from(v.map(|v| v.x)),
            y: f32x4::from(v.map(|v| v.y)),
            z: f32x4::from(v.map(|v| v.z)),
        }
    }

    /// Scalar products.
    #[inline(always)]
    #[must_use]
    pub fn dot(self, o: Self) -> f32x4 {
        self.x * o.x + self.y * o.y + self.z * o.z
    }

    /// Vector products.
    #[inline(always)]
    #[must_use]
    pub fn cross(self, o: Self) -> Self {
        Self {
            x: self.y * o.z - self.z * o.y,
            y: self.z * o.x - self.x * o.z,
            z: self.x * o.y - self.y * o.x,
        }
    }

    /// One over each coordinate.
    #[inline(always)]
    #[must_use]
    pub fn recip(self) -> Self {
        Self {
            x: f32x4::ONE / self.x,
            y: f32x4::ONE / self.y,
            z: f32x4::ONE / self.z,
        }
    }

    /// Turned and stretched by a matrix.
    #[inline(always)]
    #[must_use]
    pub fn transformed(self, m: &Mat3) -> Self {
        Self::splat(m.x_axis) * self.x
            + Self::splat(m.y_axis) * self.y
            + Self::splat(m.z_axis) * self.z
    }
}

impl Add for Vec3x4 {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self {
            x: self.x + o.x,
            y: self.y + o.y,
            z: self.z + o.z,
        }
    }
}

impl Sub for Vec3x4 {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self {
            x: self.x - o.x,
            y: self.y - o.y,
            z: self.z - o.z,
        }
    }
}

impl Mul<f32x4> for Vec3x4 {
    type Output = Self;
    #[inline(always)]
    fn mul(self, k: f32x4) -> Self {
        Self {
            x: self.x * k,
            y: self.y * k,
            z: self.z * k,
        }
    }
}

/// Four rays.
#[derive(Clone, Copy, Debug)]
pub struct Rays {
    /// Where they start.
    pub origin: Vec3x4,
    /// Where they go.
    pub dir: Vec3x4,
    /// Hits nearer than this do not count.
    pub t_min: f32x4,
}

impl Rays {
    /// One to four rays; what is missing repeats the last.
    #[must_use]
    pub fn new(rays: &[Ray]) -> Self {
        let at = |k: usize| &rays[k.min(rays.len() - 1)];
        Self {
            origin: Vec3x4::new(std::array::from_fn(|k| at(k).origin)),
            dir: Vec3x4::new(std::array::from_fn(|k| at(k).dir)),
            t_min: f32x4::from(std::array::from_fn::<_, LANES, _>(|k| at(k).t_min)),
        }
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, lane: usize) -> Ray {
        let of = |v: &Vec3x4| {
            Vec3::new(
                v.x.as_array_ref()[lane],
                v.y.as_array_ref()[lane],
                v.z.as_array_ref()[lane],
            )
        };
        Ray {
            origin: of(&self.origin),
            dir: of(&self.dir),
            t_min: self.t_min.as_array_ref()[lane],
        }
    }

    /// Four rays from one place.
    #[inline]
    #[must_use]
    pub fn from_one_place(origin: Vec3, dirs: [Vec3; LANES], t_min: f32) -> Self {
        Self {
            origin: Vec3x4::splat(origin),
            dir: Vec3x4::new(dirs),
            t_min: f32x4::splat(t_min),
        }
    }
}

/// What four rays met.
#[derive(Clone, Copy, Debug)]
pub struct Hits {
    /// Distances in lengths of the rays' directions.
    pub t: f32x4,
    prim: [u32; LANES],
    tri: [u32; LANES],
    u: [f32; LANES],
    v: [f32; LANES],
}

impl Hits {
    /// Nothing yet; only what is nearer than `t` counts.
    #[inline(always)]
    #[must_use]
    pub fn within(t: f32x4) -> Self {
        Self {
            t,
            prim: [Hit::NONE.prim; LANES],
            tri: [0; LANES],
            u: [0.0; LANES],
            v: [0.0; LANES],
        }
    }

    /// Notes `prim` at `t` where that is nearer; tells which lanes it was.
    #[inline(always)]
    pub fn offer(&mut self, t: f32x4, prim: u32) -> u32 {
        let (nearer, lanes) = self.shorten(t);
        if lanes != 0 {
            self.t = nearer;
            for k in bits(lanes) {
                self.prim[k] = prim;
            }
        }
        lanes
    }

    /// As [`Hits::offer`], for triangle `tri` of a mesh.
    #[inline(always)]
    pub fn offer_triangle(&mut self, t: f32x4, prim: u32, tri: u32, (u, v): (f32x4, f32x4)) -> u32 {
        let (nearer, lanes) = self.shorten(t);
        if lanes != 0 {
            self.t = nearer;
            let (u, v) = (u.to_array(), v.to_array());
            for k in bits(lanes) {
                self.prim[k] = prim;
                self.tri[k] = tri;
                self.u[k] = u[k];
                self.v[k] = v[k];
            }
        }
        lanes
    }

    #[inline(always)]
    fn shorten(&self, t: f32x4) -> (f32x4, u32) {
        use wide::CmpLt;
        let nearer = t.cmp_lt(self.t);
        (nearer.blend(t, self.t), nearer.move_mask() as u32)
    }

    /// The hit of one ray.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, lane: usize) -> Hit {
        Hit {
            t: self.t.as_array_ref()[lane],
            prim: self.prim[lane],
            tri: self.tri[lane],
            u: self.u[lane],
            v: self.v[lane],
        }
    }
}

/// Numbers of the lanes whose bit is set.
#[inline(always)]
pub fn bits(mut lanes: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if lanes == 0 {
            return None;
        }
        let k = lanes.trailing_zeros() as usize;
        lanes &= lanes - 1;
        Some(k)
    })
}
