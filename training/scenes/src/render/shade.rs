//! The colour of one hit.

use super::approx::{circle, lobe};
use super::sky;
use crate::gallery::GALLERY;
use crate::geometry::rays::LANES;
use crate::geometry::{Hit, Ray, Rays};
use crate::light::Light;
use crate::material::Material;
use crate::rng::hash01;
use crate::scene::{FAR, GROUND, World};
use crate::texture::ATLAS;
use arrayvec::ArrayVec;
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

/// What is known of the light at a spot.
enum Arriving {
    /// This share arrives.
    Known(f32),
    /// All of it, if nothing stands in the way of the ray up to this distance.
    UnlessBlocked(Ray, f32),
}

/// Shadow rays that wait until there are four.
struct Waiting<'s> {
    rays: [Ray; LANES],
    limit: [f32; LANES],
    answers: [Option<&'s mut f32>; LANES],
    count: usize,
}

impl<'s> Waiting<'s> {
    const NONE: Self = Self {
        rays: [Ray {
            origin: Vec3::ZERO,
            dir: Vec3::Y,
            t_min: 0.0,
        }; LANES],
        limit: [f32::NEG_INFINITY; LANES],
        answers: [const { None }; LANES],
        count: 0,
    };

    #[inline(always)]
    fn add(&mut self, ray: Ray, limit: f32, answer: &'s mut f32) {
        self.rays[self.count] = ray;
        self.limit[self.count] = limit;
        self.answers[self.count] = Some(answer);
        self.count += 1;
    }

    #[inline(always)]
    fn send(&mut self, world: &World<'_>, last: &Cell<u32>) {
        if self.count == 0 {
            return;
        }
        self.limit[self.count..].fill(f32::NEG_INFINITY);
        let rays = Rays::new(&self.rays[..self.count]);
        let blocked = world.blocked(&rays, f32x4::from(self.limit), last);
        for (k, answer) in self.answers.iter_mut().enumerate() {
            if let Some(answer) = answer.take() {
                *answer = if blocked >> k & 1 == 0 { 1.0 } else { 0.0 };
            }
        }
        self.count = 0;
    }
}

/// What a surface mirrors, still to be found.
pub(super) struct Mirror {
    ray: Ray,
    /// How much of its colour is added to the surface's.
    pub share: f32,
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

    #[inline(always)]
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
    #[inline(always)]
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

    /// As [`Shader::arrives`] for many spots, their rays in fours: writes the share to where each spot wants it.
    /// A spot comes with two random numbers for the place on the light.
    #[inline(always)]
    pub(super) fn all_arrive<'s>(
        &self,
        spots: impl Iterator<Item = (&'s mut f32, &'s Spot, [f32; 2])>,
        light: usize,
        last: &Cell<u32>,
    ) {
        let mut waiting = Waiting::NONE;
        for (answer, spot, [jx, jy]) in spots {
            match self.arriving(spot, light, jx, jy) {
                Arriving::Known(share) => *answer = share,
                Arriving::UnlessBlocked(ray, limit) => {
                    waiting.add(ray, limit, answer);
                    if waiting.count == LANES {
                        waiting.send(self.world, last);
                    }
                }
            }
        }
        waiting.send(self.world, last);
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

    /// Colour of a hit along `dir`, and what it mirrors if `REFLECT`. `lit` are the shares of the first two lights,
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
    ) -> (Vec3, Option<Mirror>) {
        let scene = self.world.scene;
        let length = dir.length();
        let unit = dir * length.recip();
        if hit.prim == u32::MAX {
            return (sky::colour(scene, unit), None);
        }
        if hit.prim >= FAR {
            let c = sky::layer(
                scene,
                origin + dir * hit.t,
                (hit.prim - FAR) as usize,
                self.pixel * hit.t,
            );
            let fog = sky::fog(scene, origin, unit, hit.t * length);
            return (c.lerp(scene.sky.fog_colour, fog), None);
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
        let ambient_open = if open < 0.996 {
            Vec3::splat(open) / (Vec3::ONE - albedo.min(Vec3::splat(0.9)) * (1.0 - open))
        } else {
            Vec3::splat(open)
        };
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
        let fog = sky::fog(scene, origin, unit, hit.t * length);
        let mut mirror = None;
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
                c *= 1.0 - fresnel;
                mirror = Some(Mirror {
                    ray: Ray {
                        origin: self.lift(spot, hit.t * length),
                        dir: r,
                        t_min: 1e-4,
                    },
                    share: fresnel * (1.0 - fog),
                });
            }
        }
        (c.lerp(scene.sky.fog_colour, fog), mirror)
    }

    /// What one to four mirrors show.
    #[inline(always)]
    pub(super) fn mirrored<'m>(
        &self,
        mirrors: impl Iterator<Item = &'m Mirror>,
    ) -> ArrayVec<Vec3, LANES> {
        let rays: ArrayVec<Ray, LANES> = mirrors.map(|m| m.ray).collect();
        let hits = self.world.trace(&Rays::new(&rays));
        rays.iter()
            .zip(hits)
            .map(|(ray, hit)| {
                let next = self.spot(ray.origin, ray.dir, &hit);
                self.colour::<false>(ray.origin, ray.dir, &hit, &next, [0.6; 2], 0.7)
                    .0
            })
            .collect()
    }
}
