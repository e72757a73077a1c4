//! Rays go in fours, one in each lane of a vector: neighbours take much the same way, and shapes solve for all
//! four at once.

use super::prim::Hit;
use glam::{Mat3, Vec3};
use std::ops::{Add, Mul, Sub};
use wide::{CmpEq, CmpLt, f32x4};

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
    /// Bits of whole numbers, which are only moved about.
    prim: f32x4,
    tri: f32x4,
    u: f32x4,
    v: f32x4,
}

/// A whole number's bits in all lanes.
#[inline(always)]
fn number(n: u32) -> f32x4 {
    f32x4::splat(f32::from_bits(n))
}

impl Hits {
    /// Nothing yet; only what is nearer than `t` counts.
    #[inline(always)]
    #[must_use]
    pub fn within(t: f32x4) -> Self {
        Self {
            t,
            prim: number(Hit::NONE.prim),
            tri: f32x4::ZERO,
            u: f32x4::ZERO,
            v: f32x4::ZERO,
        }
    }

    /// Notes `prim` at `t` where that is nearer.
    #[inline(always)]
    pub fn offer(&mut self, t: f32x4, prim: u32) {
        let nearer = t.cmp_lt(self.t);
        self.t = nearer.blend(t, self.t);
        self.prim = nearer.blend(number(prim), self.prim);
    }

    /// As [`Hits::offer`], for triangle `tri` of a mesh.
    #[inline(always)]
    pub fn offer_triangle(&mut self, t: f32x4, prim: u32, tri: u32, (u, v): (f32x4, f32x4)) {
        let nearer = t.cmp_lt(self.t);
        if nearer.any() {
            self.t = nearer.blend(t, self.t);
            self.prim = nearer.blend(number(prim), self.prim);
            self.tri = nearer.blend(number(tri), self.tri);
            self.u = nearer.blend(u, self.u);
            self.v = nearer.blend(v, self.v);
        }
    }

    /// The hit of one ray.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, lane: usize) -> Hit {
        Hit {
            t: self.t.as_array_ref()[lane],
            prim: self.prim.as_array_ref()[lane].to_bits(),
            tri: self.tri.as_array_ref()[lane].to_bits(),
            u: self.u.as_array_ref()[lane],
            v: self.v.as_array_ref()[lane],
        }
    }
}

/// What is still asked of rays of which it is enough to know whether anything stands in their way.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// How far each of them looks; no way at all once something was found.
    pub limit: f32x4,
}

impl Asked {
    /// Nothing is looked for on rays that have found something.
    const FOUND: f32x4 = f32x4::new([f32::NEG_INFINITY; 4]);

    /// Notes what was met at these distances; tells whether it stands in the way of a ray.
    #[inline(always)]
    pub fn offer(&mut self, t: f32x4) -> bool {
        let met = t.cmp_lt(self.limit);
        self.limit = met.blend(Self::FOUND, self.limit);
        met.any()
    }

    /// Whether each ray has found something.
    #[inline(always)]
    #[must_use]
    pub fn answered(&self) -> bool {
        self.limit.cmp_eq(Self::FOUND).all()
    }

    /// Which rays have found something, as bits.
    #[inline(always)]
    #[must_use]
    pub fn found(&self) -> u32 {
        self.limit.cmp_eq(Self::FOUND).move_mask() as u32
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
