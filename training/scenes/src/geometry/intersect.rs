//! Where four rays meet a shape: distances, infinite where they miss.

use super::prim::Limb;
use super::rays::{Rays, Vec3x4};
use glam::Vec3;
use wide::{CmpGe, CmpGt, CmpLe, CmpLt, f32x4};

const MISS: f32x4 = f32x4::new([f32::INFINITY; 4]);

/// The unit ball.
#[inline(always)]
pub(super) fn ball(o: Vec3x4, d: Vec3x4, t_min: f32x4) -> f32x4 {
    let inv = f32x4::ONE / d.dot(d);
    let middle = o.dot(d) * inv;
    // the distance of the centre to the ray, squared, without the cancellation of b² - a·c
    let q = o - d * middle;
    let disc = f32x4::ONE - q.dot(q);
    let meets = disc.cmp_gt(f32x4::ZERO);
    if meets.none() {
        return MISS;
    }
    let s = (disc * inv).sqrt();
    between(-middle - s, -middle + s, t_min, meets)
}

/// The nearer of two distances that is behind `t_min`, where `meets`.
#[inline(always)]
fn between(near: f32x4, far: f32x4, t_min: f32x4, meets: f32x4) -> f32x4 {
    let t = near.cmp_gt(t_min).blend(near, far);
    (meets & t.cmp_gt(t_min)).blend(t, MISS)
}

/// The cube from -1 to 1.
#[inline(always)]
pub(super) fn block(o: Vec3x4, d: Vec3x4, t_min: f32x4) -> f32x4 {
    let slab = |o: f32x4, d: f32x4| {
        let inv = f32x4::ONE / d;
        let (a, b) = ((-f32x4::ONE - o) * inv, (f32x4::ONE - o) * inv);
        (a.fast_min(b), a.fast_max(b))
    };
    let ((x0, x1), (y0, y1), (z0, z1)) = (slab(o.x, d.x), slab(o.y, d.y), slab(o.z, d.z));
    let near = x0.fast_max(y0).fast_max(z0);
    let far = x1.fast_min(y1).fast_min(z1);
    between(near, far, t_min, near.cmp_le(far))
}

/// A cylinder or cone about y from -1 to 1: radius 1 at the bottom and `top` at the top.
#[inline(always)]
pub(super) fn frustum(top: f32, o: Vec3x4, d: Vec3x4, t_min: f32x4) -> f32x4 {
    // radius along y: c + k·y
    let c = f32x4::splat(0.5 * (1.0 + top));
    let k = f32x4::splat(0.5 * (top - 1.0));
    let ro = c + k * o.y;
    let rd = k * d.y;
    let a = d.x * d.x + d.z * d.z - rd * rd;
    let b = o.x * d.x + o.z * d.z - ro * rd;
    let cc = o.x * o.x + o.z * o.z - ro * ro;
    let mut best = MISS;
    let mut take = |t: f32x4, on_it: f32x4| {
        best = (on_it & t.cmp_gt(t_min) & t.cmp_lt(best)).blend(t, best);
    };
    let disc = b * b - a * cc;
    let meets = disc.cmp_gt(f32x4::ZERO) & a.abs().cmp_gt(f32x4::splat(1e-12));
    if meets.any() {
        let s = disc.sqrt();
        let inv = f32x4::ONE / a;
        for t in [(-b - s) * inv, (-b + s) * inv] {
            let y = o.y + t * d.y;
            let inside = y.abs().cmp_le(f32x4::ONE) & (ro + t * rd).cmp_ge(f32x4::ZERO);
            take(t, meets & inside);
        }
    }
    let inv = f32x4::ONE / d.y;
    for (y, r) in [(-1.0f32, 1.0f32), (1.0, top)] {
        let t = (f32x4::splat(y) - o.y) * inv;
        let (x, z) = (o.x + t * d.x, o.z + t * d.z);
        take(t, (x * x + z * z).cmp_le(f32x4::splat(r * r)));
    }
    best
}

/// Two balls and the tangent cone between them.
#[inline(always)]
pub(super) fn limb(l: &Limb, rays: &Rays) -> f32x4 {
    let end = |c: Vec3, r: f32| {
        let inv = f32x4::splat(1.0 / r);
        ball(
            (rays.origin - Vec3x4::splat(c)) * inv,
            rays.dir * inv,
            rays.t_min,
        )
    };
    let ba = l.b - l.a;
    let rr = l.ra - l.rb;
    let m0 = ba.length_squared();
    if m0 <= rr * rr {
        // one ball holds the other
        return if rr > 0.0 {
            end(l.a, l.ra)
        } else {
            end(l.b, l.rb)
        };
    }
    let splat = f32x4::splat;
    let d = rays.dir;
    // start the quadratic near the shape: far origins would cost precision
    let len2 = d.dot(d);
    let to = Vec3x4::splat(l.a) - rays.origin;
    let shift = to.dot(d) / len2;
    let oa = d * shift - to;
    let axis = Vec3x4::splat(ba);
    let m1 = axis.dot(oa);
    let m2 = axis.dot(d);
    let m3 = d.dot(oa);
    let m5 = oa.dot(oa);
    let d2 = splat(m0 - rr * rr);
    let lean = splat(rr * l.ra);
    let k2 = d2 * len2 - m2 * m2;
    let k1 = d2 * m3 - m1 * m2 + m2 * lean;
    let k0 = d2 * m5 - m1 * m1 + m1 * lean * splat(2.0) - splat(m0 * l.ra * l.ra);
    let h = k1 * k1 - k0 * k2;
    let mut best = end(l.a, l.ra).fast_min(end(l.b, l.rb));
    let meets = h.cmp_ge(f32x4::ZERO) & k2.abs().cmp_gt(splat(1e-14));
    if meets.any() {
        let s = h.sqrt();
        let inv = f32x4::ONE / k2;
        for t in [(-k1 - s) * inv, (-k1 + s) * inv] {
            let y = m1 - lean + t * m2;
            let w = t + shift;
            let on_it = y.cmp_gt(f32x4::ZERO) & y.cmp_lt(d2) & w.cmp_gt(rays.t_min);
            best = (meets & on_it & w.cmp_lt(best)).blend(w, best);
        }
    }
    best
}

/// A triangle from its corner and two edges; both sides count. Distances and barycentric coordinates.
#[inline(always)]
pub(super) fn triangle([v0, e1, e2]: &[Vec3; 3], rays: &Rays) -> (f32x4, f32x4, f32x4) {
    let (e1, e2) = (Vec3x4::splat(*e1), Vec3x4::splat(*e2));
    let p = rays.dir.cross(e2);
    let det = e1.dot(p);
    let s = rays.origin - Vec3x4::splat(*v0);
    let along = s.dot(p);
    // most triangles of a leaf are missed by all four: that is known before a division, which is slow. What it may
    // round is let through
    let near =
        along.abs().cmp_le(det.abs() * f32x4::splat(1.000_001)) & (along * det).cmp_ge(f32x4::ZERO);
    if near.none() {
        return (MISS, det, det);
    }
    let inv = f32x4::ONE / det;
    let u = along * inv;
    let within = u.cmp_ge(f32x4::ZERO) & u.cmp_le(f32x4::ONE);
    let q = s.cross(e1);
    let v = rays.dir.dot(q) * inv;
    let t = e2.dot(q) * inv;
    // NaN of a triangle without area fails each comparison
    let hit = within & v.cmp_ge(f32x4::ZERO) & (u + v).cmp_le(f32x4::ONE) & t.cmp_gt(rays.t_min);
    (hit.blend(t, MISS), u, v)
}
