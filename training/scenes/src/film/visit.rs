//! A camera that stands, as over a room or a street: someone comes, stays and goes again, and the exposure gives way to him.

use super::Shot;
use crate::camera::Camera;
use crate::geometry::Frame;
use crate::objects::{Maker, animal, person, v, vehicle};
use crate::render;
use crate::rng::Rng;
use crate::scene::Scene;
use glam::Vec3;
use serde_json::{Value, json};

/// Frames in which nobody is there yet.
const BEFORE: usize = 20;
/// Frames for which who came stays.
const STAY: usize = 100;
/// Share of the picture that he fills.
const FILLS: f32 = 0.1;
/// The middle of a person, in metres above the ground.
const HIP: f32 = 0.95;
/// How much darker the picture gets when he comes, and for how many frames after that it is still coming back.
const DARKER: f32 = 0.1;
const RECOVERS: f32 = 15.0;

/// Who comes, how near, and when.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    mover: Rng,
    /// Depth at which he stays.
    depth: f32,
    /// Height of the ground.
    ground: f32,
    /// First frame in which he is on his way, is there, is on his way out, is gone.
    comes: usize,
    arrives: usize,
    goes: usize,
    gone: usize,
}

impl Visit {
    pub(super) fn new(shot: &Shot) -> Self {
        let mut mover = shot.mover.clone();
        let [coming, going] = [mover.int(10, 21), mover.int(10, 21)];
        let (comes, arrives) = (BEFORE, BEFORE + coming);
        let goes = arrives + STAY;
        let mut visit = Self {
            mover,
            depth: 1.0,
            ground: shot.stage.0.y,
            comes,
            arrives,
            goes,
            gone: goes + going,
        };
        // the nearer he stands the more he fills
        let (mut near, mut far) = (0.3_f32, 30.0_f32);
        for _ in 0..12 {
            visit.depth = (near * far).sqrt();
            if visit.fills(shot) > FILLS {
                near = visit.depth;
            } else {
                far = visit.depth;
            }
        }
        // what is just behind something else fills nothing
        visit.depth = near;
        visit
    }

    /// Share of the picture that changes when he is there.
    fn fills(&self, shot: &Shot) -> f32 {
        let (width, height) = (96, 64);
        let without = render::preview(&shot.scene.build(), width, height);
        let mut scene = shot.scene.clone();
        self.put(&mut scene, self.arrives);
        let with = render::preview(&scene.build(), width, height);
        let changed = without.iter().zip(&with).filter(|(a, b)| a.0 != b.0);
        changed.count() as f32 / without.len() as f32
    }

    /// Whether he is to be seen in a frame.
    pub(super) fn is_there(&self, frame: usize) -> bool {
        (self.comes..self.gone).contains(&frame)
    }

    /// Puts him where he is in a frame.
    pub(super) fn put(&self, scene: &mut Scene, frame: usize) {
        if !self.is_there(frame) {
            return;
        }
        let camera: Camera = scene.camera;
        let mut m = Maker::new(self.mover.clone());
        std::mem::swap(&mut m.s, scene);
        let axis = camera.axes.z_axis;
        let level = v(axis.x, 0.0, axis.z).normalize_or(Vec3::Z);
        let right = v(level.z, 0.0, -level.x);
        let side = m.r.sign();
        let half = 0.5 / camera.focal * self.depth + 1.2;
        let rest = m.r.range(-0.25, 0.25) * half;
        let share = |from: usize, to: usize| (frame - from + 1) as f32 / (to - from) as f32;
        let (from, way) = if frame < self.arrives {
            (side * half, share(self.comes, self.arrives))
        } else if frame >= self.goes {
            (-side * half, 1.0 - share(self.goes, self.gone))
        } else {
            (rest, 1.0)
        };
        // nobody stands like a post
        let sways = 0.02 * (frame as f32 * 0.35).sin();
        let across = from + (rest - from) * way + sways;
        let mut at = camera.at + level * self.depth + right * across;
        // where the camera is high up, or looks upwards, the ground there is not to be seen: he stands on something
        let middle = (camera.at + axis * (self.depth / axis.dot(level).max(0.2))).y;
        at.y = self.ground.max(middle - HIP);
        let walks = !(self.arrives..self.goes).contains(&frame);
        let turned = if side > 0.0 {
            std::f32::consts::PI
        } else {
            0.0
        };
        let f = Frame::upright(at, right.x.atan2(right.z) + turned);
        match m.r.int(0, 5) {
            0 if self.depth > 4.0 => vehicle::car(&mut m, &f, false),
            1 => animal::quadruped(&mut m, &f, 0.6, animal::Pose::Stand),
            _ if walks => person::person(&mut m, &f, 1.75, person::Pose::Walk),
            _ => person::person(&mut m, &f, 1.75, person::Pose::Stand),
        }
        std::mem::swap(&mut m.s, scene);
    }

    /// What the exposure of a frame is to that of the first.
    pub(super) fn exposure(&self, frame: usize) -> f32 {
        let [comes, arrives] = [self.comes, self.arrives].map(|frame| frame as f32);
        let frame = frame as f32;
        let down = ((frame - comes + 1.0) / (arrives - comes)).clamp(0.0, 1.0);
        let back = ((frame - arrives) / RECOVERS).clamp(0.0, 1.0);
        1.0 - DARKER * (down - back)
    }

    /// Its frames, for who measures on the film.
    pub(super) fn json(&self) -> Value {
        json!({
            "comes": self.comes, "arrives": self.arrives, "goes": self.goes, "gone": self.gone,
        })
    }
}
