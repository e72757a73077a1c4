//! A scene: shapes, materials, lights, a camera, and the question what a ray hits.

use crate::camera::Camera;
use crate::dispatch::{Work, dispatch};
use crate::geometry::prim::{Affine, Limb};
use crate::geometry::rays::{Asked, LANES};
use crate::geometry::{Aabb, Bvh, Frame, Hit, Hits, Mesh, Prim, Ray, Rays, Shape};
use crate::light::{FarLayer, Light, Sky};
use crate::material::Material;
use glam::{Mat3, Vec3};
use std::cell::Cell;
use std::sync::Arc;
use wide::{CmpGt, f32x4};

/// Number of the ground plane where hits name a shape.
pub const GROUND: u32 = 1 << 30;
/// The first far layer; the next ones follow.
pub const FAR: u32 = GROUND + 1;

/// The optics that a scene asks for; the sensor stage reads it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lens {
    /// Depth that is sharp; 0 leaves everything sharp.
    pub focus: f32,
    /// Blur of something infinitely far when `focus` is 1 m, as a share of the longer side.
    pub aperture: f32,
}

/// Everything that is needed to make a picture.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Its shapes.
    pub prims: Vec<Prim>,
    /// What they are made of.
    pub materials: Vec<Material>,
    /// Lights with shadows, strongest first.
    pub lights: Vec<Light>,
    /// Light from above, without shadow.
    pub ambient: Vec3,
    /// Light from below.
    pub ambient_below: Vec3,
    /// Sky, fog, far hills.
    pub sky: Sky,
    /// An endless plane at a height, and its material.
    pub ground: Option<(f32, u32)>,
    /// The camera.
    pub camera: Camera,
    /// Its optics.
    pub lens: Lens,
    /// How far ambient occlusion looks, in metres.
    pub occlusion: f32,
    /// Lights are lamps in the dark: keep the picture dark.
    pub night: bool,
    /// Closed room: no far layers, sky only through windows.
    pub indoors: bool,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            prims: Vec::new(),
            materials: Vec::new(),
            lights: Vec::new(),
            ambient: Vec3::splat(0.5),
            ambient_below: Vec3::splat(0.25),
            sky: Sky::default(),
            ground: None,
            camera: Camera::new(Vec3::Y, 0.0, 0.0, 0.0, 1.0),
            lens: Lens::default(),
            occlusion: 0.6,
            night: false,
            indoors: false,
        }
    }
}

impl Scene {
    /// Adds a material.
    pub fn material(&mut self, m: Material) -> u32 {
        self.materials.push(m);
        self.materials.len() as u32 - 1
    }

    fn add(&mut self, shape: Shape, material: u32, size: Vec3) {
        self.prims.push(Prim {
            shape,
            material,
            size,
        });
    }

    /// Adds a ball with three half axes.
    pub fn ball(&mut self, f: &Frame, c: Vec3, half: Vec3, rot: Mat3, material: u32) {
        let size = half * f.scale;
        let a = Affine::of(f.point(c), f.rot * rot, size);
        self.add(Shape::Ellipsoid(a), material, size);
    }

    /// Adds a box.
    pub fn block(&mut self, f: &Frame, c: Vec3, half: Vec3, rot: Mat3, material: u32) {
        let size = half * f.scale;
        let a = Affine::of(f.point(c), f.rot * rot, size);
        self.add(Shape::Block(a), material, size);
    }

    /// Adds a cylinder or cone: half = (radius x, half height, radius z), `top` the share of the radius at the top.
    pub fn round(&mut self, f: &Frame, c: Vec3, half: Vec3, rot: Mat3, top: f32, material: u32) {
        let size = half * f.scale;
        let a = Affine::of(f.point(c), f.rot * rot, size);
        self.add(Shape::Frustum(a, top), material, size);
    }

    /// Adds a limb between two points.
    pub fn limb(&mut self, f: &Frame, a: Vec3, b: Vec3, ra: f32, rb: f32, material: u32) {
        let l = Limb {
            a: f.point(a),
            b: f.point(b),
            ra: (ra * f.scale).max(1e-5),
            rb: (rb * f.scale).max(1e-5),
        };
        self.add(Shape::Limb(l), material, Vec3::ONE);
    }

    /// Adds a chain of limbs through points with radii.
    pub fn chain(&mut self, f: &Frame, points: &[(Vec3, f32)], material: u32) {
        for w in points.windows(2) {
            self.limb(f, w[0].0, w[1].0, w[0].1, w[1].1, material);
        }
    }

    /// Adds a mesh, stretched by `size`.
    pub fn mesh(
        &mut self,
        f: &Frame,
        c: Vec3,
        size: Vec3,
        rot: Mat3,
        mesh: &Arc<Mesh>,
        material: u32,
    ) {
        let size = size * f.scale;
        let a = Affine::of(f.point(c), f.rot * rot, size);
        self.add(Shape::Mesh(a, Arc::clone(mesh)), material, size);
    }

    /// Builds the hierarchy.
    #[must_use]
    pub fn build(&self) -> World<'_> {
        let boxes: Vec<Aabb> = self.prims.iter().map(Prim::bounds).collect();
        self.with(Bvh::build(&boxes, 1, true))
    }

    /// With the hierarchy that was built for it before.
    #[must_use]
    pub fn with(&self, bvh: Bvh) -> World<'_> {
        World { scene: self, bvh }
    }
}

struct Trace<'a>(&'a World<'a>, &'a Rays);

impl Work for Trace<'_> {
    type Out = [Hit; LANES];

    #[inline(always)]
    fn run<Set>(self) -> Self::Out {
        self.0.trace_by::<Set>(self.1)
    }
}

struct Block<'a>(&'a World<'a>, &'a Rays, f32x4, &'a Cell<u32>);

impl Work for Block<'_> {
    type Out = u32;

    #[inline(always)]
    fn run<Set>(self) -> u32 {
        self.0.blocked_by::<Set>(self.1, self.2, self.3)
    }
}

/// With them [`Prim::block`] has one caller a copy, and so is inlined whole.
enum Shadow {}
enum Guess {}

/// A scene that rays can be sent through.
#[derive(Debug)]
pub struct World<'a> {
    /// The scene.
    pub scene: &'a Scene,
    bvh: Bvh,
}

impl World<'_> {
    /// The hierarchy, to outlive the borrowed scene.
    #[must_use]
    pub fn into_hierarchy(self) -> Bvh {
        self.bvh
    }

    /// The nearest thing on each of four rays, far layers included.
    #[must_use]
    pub fn trace(&self, rays: &Rays) -> [Hit; LANES] {
        dispatch(Trace(self, rays))
    }

    #[inline(always)]
    fn trace_by<Set>(&self, rays: &Rays) -> [Hit; LANES] {
        let mut best = Hits::within(f32x4::splat(f32::INFINITY));
        if let Some(t) = self.ground(rays) {
            best.offer(t, GROUND);
        }
        let mut t_max = best.t;
        self.bvh.walk(rays, &mut t_max, |first, count, t_max| {
            for &i in &self.bvh.order[first..first + count] {
                self.scene.prims[i as usize].hit::<Set>(rays, i, &mut best);
            }
            *t_max = best.t;
            false
        });
        if self.all_before_the_far(rays, best.t) {
            return std::array::from_fn(|k| best.get(k));
        }
        std::array::from_fn(|k| self.before_the_far(rays, k, best.get(k)))
    }

    /// Whether hits at these distances are surely nearer than any far layer.
    #[inline(always)]
    fn all_before_the_far(&self, rays: &Rays, t: f32x4) -> bool {
        let Some(nearest) = self.scene.sky.layers.first() else {
            return true;
        };
        let (o, d) = (&rays.origin, &rays.dir);
        // layers stand around the world's origin, the nearest first
        let way = f32x4::splat(nearest.radius) - o.x.abs() - o.z.abs();
        let gone = t * t * (d.x * d.x + d.z * d.z);
        (way.cmp_gt(f32x4::ZERO) & (way * way).cmp_gt(gone)).all()
    }

    /// The nearest thing on one ray.
    #[must_use]
    pub fn trace_one(&self, ray: &Ray) -> Hit {
        self.trace(&Rays::new(std::slice::from_ref(ray)))[0]
    }

    /// Distances to the ground plane, infinite above the horizon.
    #[inline(always)]
    fn ground(&self, rays: &Rays) -> Option<f32x4> {
        let (y, _) = self.scene.ground?;
        let t = (f32x4::splat(y) - rays.origin.y) / rays.dir.y;
        Some(t.cmp_gt(rays.t_min).blend(t, f32x4::splat(f32::INFINITY)))
    }

    /// The far layer that a ray meets before `hit`, or that.
    fn before_the_far(&self, rays: &Rays, lane: usize, hit: Hit) -> Hit {
        let layers = &self.scene.sky.layers;
        if layers.is_empty() {
            return hit;
        }
        let ray = rays.get(lane);
        for (k, layer) in layers.iter().enumerate() {
            let (t, height, y) = far_hit(&ray, layer, hit.t);
            if t < hit.t && y < height {
                let prim = FAR + k as u32;
                return Hit {
                    t,
                    prim,
                    ..Hit::NONE
                };
            }
        }
        hit
    }

    /// Which rays meet anything nearer than their `t_max`, as bits; minus infinity asks nothing. `last` remembers
    /// what stood in the way of the rays before: the next ones are often stopped by the same thing.
    #[must_use]
    pub fn blocked(&self, rays: &Rays, t_max: f32x4, last: &Cell<u32>) -> u32 {
        dispatch(Block(self, rays, t_max, last))
    }

    #[inline(always)]
    fn blocked_by<Set>(&self, rays: &Rays, t_max: f32x4, last: &Cell<u32>) -> u32 {
        let mut asked = Asked { limit: t_max };
        let ignored = asked.found();
        if let Some(t) = self.ground(rays) {
            asked.offer(t);
        }
        let guess = last.get();
        if let Some(prim) = self.scene.prims.get(guess as usize) {
            prim.block::<(Set, Guess)>(rays, &mut asked);
        }
        if !asked.answered() {
            let mut limit = asked.limit;
            self.bvh.walk(rays, &mut limit, |first, count, limit| {
                for &i in &self.bvh.order[first..first + count] {
                    if self.scene.prims[i as usize].block::<(Set, Shadow)>(rays, &mut asked) {
                        last.set(i);
                    }
                }
                *limit = asked.limit;
                asked.answered()
            });
        }
        asked.found() & !ignored
    }
}

/// Where a ray leaves the cylinder of a far layer: distance, the layer's height there, the ray's height there.
/// Infinitely far if something nearer than the layer is known.
fn far_hit(ray: &Ray, layer: &FarLayer, nearer: f32) -> (f32, f32, f32) {
    const MISS: (f32, f32, f32) = (f32::INFINITY, 0.0, 0.0);
    let (o, d) = (ray.origin, ray.dir);
    let a = d.x * d.x + d.z * d.z;
    let b = o.x * d.x + o.z * d.z;
    let c = o.x * o.x + o.z * o.z - layer.radius * layer.radius;
    let disc = b * b - a * c;
    if disc <= 0.0 || a < 1e-12 {
        return MISS;
    }
    let t = (-b + disc.sqrt()) / a;
    let p = o + d * t;
    if t <= ray.t_min || t >= nearer || p.y > layer.top {
        return MISS;
    }
    let n = layer.profile.len();
    let x = (p.x.atan2(p.z) / std::f32::consts::TAU + 0.5) * n as f32;
    let k = (x as usize).min(n - 1);
    let w = x - k as f32;
    let h = layer.profile[k] * (1.0 - w) + layer.profile[(k + 1) % n] * w;
    (t, h, p.y)
}
