//! The colour of one hit.

use super::sky;
use crate::gallery::GALLERY;
use crate::geometry::rays::LANES;
use crate::geometry::{Hit, Ray, Rays};
use crate::light::Light;
use crate::material::Material;
use crate::rng::hash01;
use crate::scene::{FAR, GROUND, World};
use crate::texture::ATLAS;
use glam::Vec3;
use std::cell::Cell;
use wide::f32x4;

/// A hit, seen from its surface.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub at: Vec3,
    /// Turned towards the viewer.
    pub normal: Vec3,
    /// Pattern coordinates in metres.
    pub uv: [f32; 2],
    /// Face, leaf or slot within the shape.
    pub part: u32,
    /// Index into the scene's materials; `u32::MAX` for sky and far layers.
    pub material: u32,
}

impl Spot {
    pub(super) const NOWHERE: Self = Self {
        at: Vec3::ZERO,
        normal: Vec3::Y,
        uv: [0.0; 2],
        part: 0,
        material: u32::MAX,
    };

    /// Tells surfaces apart: shape, slot and part.
    pub(super) fn id(&self, hit: &Hit) -> u32 {
        if hit.prim == u32::MAX {
            return 0;
        }
        (hit.prim.wrapping_mul(0x9e37_79b1) ^ (self.part.wrapping_mul(0x85eb_ca6b)))
            .wrapping_add(self.material.wrapping_mul(77))
            | 1
    }
}

/// Sine and cosine of so many turns, 0 to 2, to 1e-3: enough for places on lamps and the sun, and far faster.
#[inline(always)]
pub(super) fn circle(turns: f32) -> (f32, f32) {
    let wave = |turns: f32| {
        // from -1/2 to 1/2 turns, where two parabolas and their squares are a sine
        let x = turns - (turns + 0.5) as i32 as f32;
        let y = 8.0 * x - 16.0 * x * x.abs();
        0.225 * (y * y.abs() - y) + y
    };
    (wave(turns), wave(turns + 0.25))
}

/// `base` to a power of 1 or more, for bases up to 1: what is too faint to be seen is 0, without a call.
#[inline(always)]
pub(super) fn lobe(base: f32, power: f32) -> f32 {
    // the logarithm of x is at most x - 1, so what comes out here is below exp(-8)
    if power * (1.0 - base) > 8.0 {
        return 0.0;
    }
    base.powf(power)
}

/// What is known of the light at a spot.
enum Arriving {
    /// This share arrives.
    Known(f32),
    /// All of it, if nothing stands in the way of the ray up to this distance.
    UnlessBlocked(Ray, f32),
}

/// Shadow rays that wait until there are four.
#[derive(Default)]
struct Waiting {
    rays: [Option<Ray>; LANES],
    limit: [f32; LANES],
    number: [usize; LANES],
    count: usize,
}

impl Waiting {
    fn send(&mut self, world: &World<'_>, last: &Cell<u32>, f: &mut impl FnMut(usize, f32)) {
        let Some(first) = self.rays[0].filter(|_| self.count > 0) else {
            return;
        };
        self.limit[self.count..].fill(f32::NEG_INFINITY);
        let rays = Rays::new(&self.rays.map(|r| r.unwrap_or(first)));
        let blocked = world.blocked(&rays, f32x4::from(self.limit), last);
        for (k, &number) in self.number[..self.count].iter().enumerate() {
            f(number, if blocked >> k & 1 == 0 { 1.0 } else { 0.0 });
        }
        self.count = 0;
    }
}

/// Shades hits of one scene.
pub(super) struct Shader<'a> {
    pub world: &'a World<'a>,
    /// Width of a pixel at a depth of 1.
    pub pixel: f32,
}

impl Shader<'_> {
    /// Finds place, normal and material of a hit.
    #[inline(always)]
    pub(super) fn spot(&self, origin: Vec3, dir: Vec3, hit: &Hit) -> Spot {
        let scene = self.world.scene;
        if hit.prim >= FAR {
            return Spot::NOWHERE;
        }
        let at = origin + dir * hit.t;
        if hit.prim == GROUND {
            let material = scene.ground.map_or(u32::MAX, |g| g.1);
            return Spot {
                at,
                normal: Vec3::Y,
                uv: [at.x, at.z],
                part: 0,
                material,
            };
        }
        let prim = &scene.prims[hit.prim as usize];
        let surface = prim.surface(at, hit);
        let normal = if surface.normal.dot(dir) > 0.0 {
            -surface.normal
        } else {
            surface.normal
        };
        Spot {
            at,
            normal,
            uv: surface.uv,
            part: surface.part,
            material: (prim.material + surface.slot).min(scene.materials.len() as u32 - 1),
        }
    }

    /// A point a little off the surface, to start rays from.
    #[inline(always)]
    pub(super) fn lift(&self, spot: &Spot, distance: f32) -> Vec3 {
        spot.at + spot.normal * (2e-4 + 1e-3 * distance * (self.pixel * 300.0).min(1.0))
    }

    fn shadow(&self, spot: &Spot, light: &Light, jx: f32, jy: f32) -> Arriving {
        let (dir, distance, _) = light.at(spot.at);
        let facing = spot.normal.dot(dir);
        let through = self
            .world
            .scene
            .materials
            .get(spot.material as usize)
            .map_or(0.0, |m| m.through);
        if facing <= 0.0 && through == 0.0 {
            return Arriving::Known(0.0);
        }
        let spread = light.spread(distance);
        let (a, b) = dir.any_orthonormal_pair();
        let (s, c) = circle(jx);
        let r = jy.sqrt() * spread;
        let d = (dir + a * (c * r) + b * (s * r)).normalize();
        let from = self.world.scene.camera.at.distance(spot.at);
        let lift = 2e-4 + 1e-3 * from.min(30.0);
        let side = if facing > 0.0 { 1.0 } else { -1.0 };
        let ray = Ray {
            origin: spot.at + spot.normal * (lift * side),
            dir: d,
            t_min: lift * 0.5,
        };
        Arriving::UnlessBlocked(ray, (distance - lift).min(1e6))
    }

    /// What there is to ask for the share of a light that arrives.
    fn arriving(&self, spot: &Spot, light: usize, jx: f32, jy: f32) -> Arriving {
        if spot.material == u32::MAX {
            return Arriving::Known(1.0);
        }
        match self.world.scene.lights.get(light) {
            // what is too faint to be seen needs no shadow
            Some(l) if l.at(spot.at).2.max_element() < 0.03 => Arriving::Known(1.0),
            Some(l) => self.shadow(spot, l, jx, jy),
            None => Arriving::Known(0.0),
        }
    }

    /// Share of a light that arrives, 0 or 1, by one ray to its middle.
    pub(super) fn arrives(&self, spot: &Spot, light: usize, last: &Cell<u32>) -> f32 {
        match self.arriving(spot, light, 0.5, 0.5) {
            Arriving::Known(share) => share,
            Arriving::UnlessBlocked(ray, limit) => {
                let rays = Rays::new(std::slice::from_ref(&ray));
                let free = self.world.blocked(&rays, f32x4::splat(limit), last) == 0;
                f32::from(u8::from(free))
            }
        }
    }

    /// As [`Shader::arrives`] for many spots, their rays in fours: calls `f(number, share)` for each.
    /// A spot comes with two random numbers for the place on the light.
    pub(super) fn all_arrive<'s>(
        &self,
        spots: impl Iterator<Item = (usize, &'s Spot, [f32; 2])>,
        light: usize,
        last: &Cell<u32>,
        mut f: impl FnMut(usize, f32),
    ) {
        let mut waiting = Waiting::default();
        for (number, spot, [jx, jy]) in spots {
            match self.arriving(spot, light, jx, jy) {
                Arriving::Known(share) => f(number, share),
                Arriving::UnlessBlocked(ray, limit) => {
                    waiting.rays[waiting.count] = Some(ray);
                    waiting.limit[waiting.count] = limit;
                    waiting.number[waiting.count] = number;
                    waiting.count += 1;
                    if waiting.count == LANES {
                        waiting.send(self.world, last, &mut f);
                    }
                }
            }
        }
        waiting.send(self.world, last, &mut f);
    }

    /// Colour of a material at a spot whose pixel covers `foot` metres; the pattern's value there, and how fast that
    /// grows along u and v, per tile.
    #[inline(always)]
    fn albedo(m: &Material, s: &Spot, foot: f32) -> (Vec3, f32, [f32; 2]) {
        let [u, v] = s.uv;
        if let Some(p) = m.picture {
            let at = |x: f32, half: f32| 0.5 + 0.5 * x / half;
            let c = GALLERY.sample(
                p.index,
                at(u, p.half[0]),
                1.0 - at(v, p.half[1]),
                foot / (2.0 * p.half[0]),
            );
            return (c, 0.5, [0.0; 2]);
        }
        let inv = 1.0 / m.tile;
        let (t, slope) = if m.mix > 0.0 || m.relief > 0.0 {
            ATLAS.sample_slope(
                m.pattern,
                u * inv + m.offset[0],
                m.offset[1] - v * inv,
                foot * inv,
            )
        } else {
            (0.5, [0.0; 2])
        };
        let mut c = m.colours[0].lerp(m.colours[1], t * m.mix);
        if m.wear_amount > 0.0 {
            let inv = 1.0 / m.wear_tile;
            let w = ATLAS.sample(
                m.wear,
                u * inv + m.offset[1],
                v * inv + m.offset[0],
                foot * inv,
            );
            c *= 1.0 + m.wear_amount * 1.4 * (w - 0.5);
        }
        if m.spread > 0.0 {
            // leaves differ in brightness, and in how yellow they are
            let bright = 1.0 + m.spread * 1.4 * (hash01(s.part, 77) - 0.5);
            let yellow = m.spread * 0.7 * (hash01(s.part, 78) - 0.5);
            c *= Vec3::new(bright * (1.0 + yellow), bright, bright * (1.0 - yellow));
        }
        // a pattern that is not mixed in has no say in what shines
        let shown = if m.mix > 0.0 { t } else { 0.5 };
        (c, shown, slope)
    }

    /// The normal with the pattern's relief.
    #[inline(always)]
    fn relief(m: &Material, spot: &Spot, [tu, tv]: [Vec3; 2], slope: [f32; 2], foot: f32) -> Vec3 {
        let inv = 1.0 / m.tile;
        let e = foot * inv;
        if e > 0.06 {
            return spot.normal;
        }
        let [mut du, mut dv] = slope;
        if e < 1.0 / 256.0 {
            // texels are larger than pixels: their slopes would show as facets
            let e = 1.0 / 256.0;
            let [u, v] = spot.uv;
            let (x, y) = (u * inv + m.offset[0], m.offset[1] - v * inv);
            let at = |x: f32, y: f32| ATLAS.sample(m.pattern, x, y, e);
            let t = at(x, y);
            (du, dv) = ((at(x + e, y) - t) / e, (t - at(x, y - e)) / e);
        }
        let n = spot.normal - (tu * du - tv * dv) * m.relief;
        n.normalize_or(spot.normal)
    }

    /// Colour of a hit along `dir`, with what it mirrors if `REFLECT`. `lit` are the shares of the first two lights,
    /// `open` that of ambient light.
    #[inline(always)]
    pub(super) fn colour<const REFLECT: bool>(
        &self,
        origin: Vec3,
        dir: Vec3,
        hit: &Hit,
        spot: &Spot,
        lit: [f32; 2],
        open: f32,
    ) -> Vec3 {
        let scene = self.world.scene;
        let length = dir.length();
        let unit = dir / length;
        if hit.prim == u32::MAX {
            return sky::colour(scene, unit);
        }
        if hit.prim >= FAR {
            let c = sky::layer(
                scene,
                origin + dir * hit.t,
                (hit.prim - FAR) as usize,
                self.pixel * hit.t,
            );
            return sky::fog(scene, origin, unit, hit.t * length, c);
        }
        let m = &scene.materials[spot.material as usize];
        let cos = spot.normal.dot(-unit).max(0.02);
        let foot = hit.t * self.pixel / cos.sqrt();
        let (albedo, t, slope) = Self::albedo(m, spot, foot);
        let n = if m.relief > 0.0 {
            let tangents = if hit.prim == GROUND {
                [Vec3::X, Vec3::Z]
            } else {
                scene.prims[hit.prim as usize].tangents(spot.part, spot.normal)
            };
            Self::relief(m, spot, tangents, slope, foot)
        } else {
            spot.normal
        };
        // light that comes out of corners after more than one bounce has their colour
        let ambient_open =
            Vec3::splat(open) / (Vec3::ONE - albedo.min(Vec3::splat(0.9)) * (1.0 - open));
        let mut light = scene.ambient_below.lerp(scene.ambient, 0.5 + 0.5 * n.y) * ambient_open;
        let mut shine = Vec3::ZERO;
        for (k, l) in scene.lights.iter().enumerate() {
            let (to, _, colour) = l.at(spot.at);
            let facing = n.dot(to);
            if facing <= 0.0 && m.through == 0.0 {
                continue;
            }
            // lights beyond the second have no shadow of their own
            let seen = lit.get(k).copied().unwrap_or(open);
            if seen == 0.0 {
                continue;
            }
            let front = facing.max(0.0) + m.through * (-facing).max(0.0);
            light += colour * (front * seen);
            if m.gloss > 0.0 {
                let h = (to - unit).normalize_or(n);
                let s = lobe(n.dot(h).clamp(0.0, 1.0), m.sharpness);
                shine += colour * (m.gloss * s * seen);
            }
        }
        if m.fuzz > 0.0 {
            let rim = 1.0 - cos;
            light += (scene.ambient * open + light * 0.5) * (m.fuzz * rim * rim * 1.5);
        }
        let mut c = albedo * light + shine * 0.6;
        if m.emit > 0.0 {
            let e = if m.lit_panes {
                // panes are the pattern's dark half; the darkest stay dark
                if t > 0.16 && t < 0.5 {
                    m.emit * (0.4 + 1.6 * t)
                } else {
                    0.0
                }
            } else {
                m.emit
            };
            let tone = if m.lit_panes {
                Vec3::new(1.0, 0.8, 0.5)
            } else {
                albedo
            };
            c += tone * e;
        }
        if m.mirror > 0.0 && REFLECT {
            let c1 = 1.0 - n.dot(-unit).clamp(0.0, 1.0);
            let fresnel = m.mirror + (1.0 - m.mirror) * c1 * c1 * c1 * c1 * c1;
            if fresnel > 0.04 {
                let mut r = unit - 2.0 * unit.dot(n) * n;
                // relief must not send rays into the surface
                let sink = r.dot(spot.normal);
                if sink < 0.02 {
                    r += spot.normal * (0.02 - sink);
                }
                c = c * (1.0 - fresnel) + self.mirrored(spot, r, hit.t * length) * fresnel;
            }
        }
        sky::fog(scene, origin, unit, hit.t * length, c)
    }

    fn mirrored(&self, spot: &Spot, dir: Vec3, travelled: f32) -> Vec3 {
        let origin = self.lift(spot, travelled);
        let ray = Ray {
            origin,
            dir,
            t_min: 1e-4,
        };
        let hit = self.world.trace_one(&ray);
        let next = self.spot(origin, dir, &hit);
        self.colour::<false>(origin, dir, &hit, &next, [0.6; 2], 0.7)
    }
}

#[cfg(test)]
mod tests {
    use super::{circle, lobe};

    #[test]
    fn circles_are_those_of_sin_cos() {
        for k in 0..2000u16 {
            let turns = f32::from(k) / 1000.0;
            let (s, c) = circle(turns);
            let (sin, cos) = (turns * std::f32::consts::TAU).sin_cos();
            assert!((s - sin).abs() < 1.2e-3, "{turns}: {s} is not {sin}");
            assert!((c - cos).abs() < 1.2e-3, "{turns}: {c} is not {cos}");
        }
    }

    #[test]
    fn lobes_are_powers_to_a_thousandth() {
        for power in [1.0, 4.0, 30.0, 300.0] {
            for k in 0..=1000u16 {
                let base = f32::from(k) / 1000.0;
                let off = lobe(base, power) - base.powf(power);
                assert!(off.abs() < 1e-3, "{base}^{power}: off by {off}");
            }
        }
    }
}
