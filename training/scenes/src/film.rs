//! Films: one scene, a camera that moves in a known way, exact depth for each frame.

mod visit;

use crate::camera::Camera;
use crate::files::{write_pfm, write_png};
use crate::geometry::Frame;
use crate::objects::{Maker, animal, person, v, vehicle};
use crate::render::{self, Options};
use crate::rng::Rng;
use crate::sample::{self, Wanted};
use crate::scene::Scene;
use crate::scenes;
use crate::sensor::{Sensor, automatic_exposure};
use glam::{Mat3, Vec3};
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::Path;
use visit::Visit;

/// What moves in a film.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Motion {
    /// The camera goes forward.
    Dolly,
    /// The camera turns.
    Pan,
    /// The camera circles what it looks at.
    Orbit,
    /// The camera is carried by someone who walks.
    Walk,
    /// Nothing.
    Still,
    /// The camera rests; one thing comes, passes and goes.
    Objects,
    /// The camera rests; someone comes, fills a tenth of the picture, stays for 100 frames and goes; the exposure drops by a
    /// tenth when he comes, and recovers.
    Visit,
    /// The camera walks; half-way the film cuts to another scene.
    Cut,
}

/// A film to be made.
#[derive(Clone, Debug)]
pub struct Film {
    /// Seed of its scene.
    pub seed: u64,
    /// Kind of its scene.
    pub kind: usize,
    /// Width and height.
    pub size: (usize, usize),
    /// Number of frames.
    pub frames: usize,
    /// Frames per second.
    pub fps: f32,
    /// What moves.
    pub motion: Motion,
    /// Sensor noise, another on each frame.
    pub noise: bool,
}

/// One take of a film: a scene and how far one may move in it.
#[derive(Debug)]
struct Shot {
    scene: Scene,
    /// A depth that the near things keep.
    near: f32,
    /// Depth of what the camera looks at.
    middle: f32,
    /// What the camera sees in the lower middle of the picture, where a thing may stand, and its depth.
    stage: (Vec3, f32),
    mover: Rng,
}

/// A frame's scene and the number of its take.
#[derive(Debug)]
pub struct Take {
    /// The scene with the frame's camera and things in their places.
    pub scene: Scene,
    /// 0 before a cut, 1 after it.
    pub shot: usize,
    /// The frame shows the same as the one before.
    pub same: bool,
    /// What its exposure is to that of the first of its take.
    pub exposure: f32,
}

impl Film {
    fn shot(&self, number: u64) -> Shot {
        let wanted = Wanted {
            seed: self.seed,
            sizes: vec![self.size],
            kind: Some(self.kind),
            weights: crate::scenes::usual(),
            clean: true,
        };
        let (scene, _, _, mut r) = sample::scene(&wanted, number);
        let (pw, ph) = (48, 32);
        let seen = render::preview(&scene.build(), pw, ph);
        let (x, y) = (pw / 2, ph * 3 / 4);
        let far = 1.0 / seen[y * pw + x].0.max(0.02);
        let dir = scene
            .camera
            .direction(x as f32 + 0.5, y as f32 + 0.5, pw, ph);
        let stage = (scene.camera.at + dir * far, far);
        let mut depth: Vec<f32> = seen
            .iter()
            .filter(|s| s.0 > 0.0)
            .map(|s| 1.0 / s.0)
            .collect();
        depth.sort_unstable_by(f32::total_cmp);
        let at = |q: f32| {
            depth
                .get((depth.len() as f32 * q) as usize)
                .copied()
                .unwrap_or(5.0)
        };
        Shot {
            near: at(0.05).min(4.0),
            middle: at(0.5).min(12.0),
            stage,
            mover: r.fork(),
            scene,
        }
    }

    /// All frames' scenes, in order.
    pub fn takes(&self) -> impl Iterator<Item = Take> + '_ {
        let cut = self.motion == Motion::Cut;
        let shots: Vec<Shot> = (0..if cut { 2 } else { 1 }).map(|n| self.shot(n)).collect();
        let half = self.frames.div_ceil(2);
        let visit = self.visit(&shots[0]);
        (0..self.frames).map(move |i| {
            let number = usize::from(cut && i >= half);
            let local = if cut { i % half } else { i };
            let length = if cut { half } else { self.frames };
            let share = local as f32 / length.max(2) as f32;
            let mut scene = shots[number].scene.clone();
            self.move_on(&mut scene, &shots[number], share, local as f32 / self.fps);
            let there = |frame| visit.as_ref().is_some_and(|visit| visit.is_there(frame));
            if let Some(visit) = &visit {
                visit.put(&mut scene, i);
            }
            let rests = matches!(self.motion, Motion::Still | Motion::Visit);
            Take {
                scene,
                shot: number,
                same: rests && i > 0 && !there(i) && !there(i - 1),
                exposure: visit.as_ref().map_or(1.0, |visit| visit.exposure(i)),
            }
        })
    }

    fn visit(&self, shot: &Shot) -> Option<Visit> {
        (self.motion == Motion::Visit).then(|| Visit::new(shot))
    }

    /// Puts camera and things where they are at a share of the film's length and at a time in seconds.
    fn move_on(&self, scene: &mut Scene, shot: &Shot, share: f32, seconds: f32) {
        let start = scene.camera;
        let forward = start.axes.z_axis;
        let level = Vec3::new(forward.x, 0.0, forward.z).normalize_or(Vec3::Z);
        let turned = |a: f32| Mat3::from_rotation_y(a);
        match self.motion {
            Motion::Still | Motion::Visit => {}
            Motion::Dolly => scene.camera.at = start.at + forward * (0.5 * shot.near * share),
            Motion::Pan => scene.camera.axes = turned(0.6 * (share - 0.5)) * start.axes,
            Motion::Orbit => {
                let centre = start.at + forward * shot.middle;
                let spin = turned(0.35 * (share - 0.5) * (shot.near / shot.middle).min(1.0));
                scene.camera.at = centre + spin * (start.at - centre);
                scene.camera.axes = spin * start.axes;
            }
            Motion::Walk | Motion::Cut => {
                let step = seconds * 1.8 * std::f32::consts::TAU;
                let size = (shot.near * 0.012).min(0.02);
                let bob = v((step * 0.5).sin() * size, step.sin() * size, 0.0);
                let way = (1.2 * seconds).min(0.5 * shot.near * (seconds / (1.0 + seconds)));
                scene.camera.at = start.at + level * way + start.axes * bob;
                let sway = Mat3::from_rotation_x(0.006 * step.sin())
                    * Mat3::from_rotation_y(0.01 * (step * 0.31).sin());
                scene.camera.axes = start.axes * sway;
            }
            Motion::Objects => pass_by(scene, shot, &start, share),
        }
    }

    /// Renders and writes all frames.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let (w, h) = self.size;
        let mut exposure = [None; 2];
        let mut frames = Vec::new();
        let mut last = None;
        for (i, take) in self.takes().enumerate() {
            let options = Options {
                parallel: true,
                jitter: 7,
                antialias: true,
            };
            let image = last
                .take()
                .filter(|_| take.same)
                .unwrap_or_else(|| render::render(&take.scene, w, h, &options));
            let mut sensor = Sensor::clean();
            if self.noise {
                sensor.noise = (4e-4, 4e-3);
            }
            // held over a take: a film that flickers would test something else
            let exposure =
                *exposure[take.shot].get_or_insert_with(|| automatic_exposure(&image, &take.scene));
            let rgb = sensor.develop_exposed(
                &image,
                &take.scene,
                self.seed ^ (i as u64) << 20,
                exposure * take.exposure,
            );
            write_png(&folder.join(format!("frame_{i:05}.png")), &rgb, w, h)?;
            write_pfm(
                &folder.join(format!("depth_{i:05}.pfm")),
                &image.inverse_depth,
                w,
                h,
            )?;
            let mut pose = camera_json(&take.scene.camera, self.size);
            pose["shot"] = json!(take.shot);
            pose["seconds"] = json!(i as f32 / self.fps);
            frames.push(pose);
            last = Some(image);
        }
        let mut film = json!({
            "width": w, "height": h, "fps": self.fps,
            "kind": scenes::KINDS[self.kind].name, "seed": self.seed,
            "depth": "depth_*.pfm: 1/metres along the camera's axis, 0 is infinitely far",
            "frames": frames,
        });
        if let Some(visit) = self.visit(&self.shot(0)) {
            film["visit"] = visit.json();
        }
        fs::write(folder.join("film.json"), serde_json::to_vec_pretty(&film)?)
    }
}

/// One thing crosses the view: out of it at both ends of the film.
fn pass_by(scene: &mut Scene, shot: &Shot, camera: &Camera, share: f32) {
    let mut m = Maker::new(shot.mover.clone());
    std::mem::swap(&mut m.s, scene);
    let (place, z) = shot.stage;
    let half = 0.5 / camera.focal * z + 1.2;
    let side = m.r.sign();
    let level = v(camera.axes.z_axis.x, 0.0, camera.axes.z_axis.z).normalize_or(Vec3::Z);
    let right = v(level.z, 0.0, -level.x);
    let at = place + right * (side * half * (2.0 * share - 1.0) * 1.25);
    let yaw = right.x.atan2(right.z)
        + if side > 0.0 {
            0.0
        } else {
            std::f32::consts::PI
        };
    let f = Frame::upright(at, yaw);
    match m.r.int(0, 4) {
        0 if z > 4.0 => vehicle::car(&mut m, &f, false),
        1 => animal::quadruped(&mut m, &f, 0.6, animal::Pose::Stand),
        _ => person::person(&mut m, &f, 1.75, person::Pose::Walk),
    }
    std::mem::swap(&mut m.s, scene);
}

/// A camera as numbers: position, axes as columns (right, up, forward), pixels of focal length and centre.
fn camera_json(c: &Camera, (w, h): (usize, usize)) -> Value {
    let f = c.focal_pixels(w, h);
    json!({
        "position": c.at.to_array(),
        "right": c.axes.x_axis.to_array(),
        "up": c.axes.y_axis.to_array(),
        "forward": c.axes.z_axis.to_array(),
        "fx": f, "fy": f,
        "cx": w as f32 * 0.5, "cy": h as f32 * 0.5,
    })
}

/// Renders scenes of thin things at a size and writes them.
pub fn write_details(folder: &Path, seed: u64, size: (usize, usize), count: u64) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let (w, h) = size;
    let kind = scenes::find("lattice").unwrap_or(0);
    for i in 0..count {
        // the scene must not depend on the size it is rendered at: it is drawn at one size
        let wanted = Wanted {
            seed,
            sizes: vec![(288, 216)],
            kind: Some(kind),
            weights: crate::scenes::usual(),
            clean: true,
        };
        let (scene, ..) = sample::scene(&wanted, i);
        let options = Options {
            parallel: true,
            ..Options::default()
        };
        let image = render::render(&scene, w, h, &options);
        let rgb = Sensor::clean().develop(&image, &scene, seed ^ i);
        write_png(&folder.join(format!("detail_{i:03}.png")), &rgb, w, h)?;
        write_pfm(
            &folder.join(format!("detail_{i:03}.pfm")),
            &image.inverse_depth,
            w,
            h,
        )?;
        let pose = camera_json(&scene.camera, size);
        fs::write(
            folder.join(format!("detail_{i:03}.json")),
            serde_json::to_vec_pretty(&pose)?,
        )?;
    }
    Ok(())
}
