//! Depth against closed forms, and against itself at another size.

use depth_scenes::camera::Camera;
use depth_scenes::geometry::{Frame, Ray, Rays};
use depth_scenes::material::Material;
use depth_scenes::render::{Image, Options, render};
use depth_scenes::rng::Rng;
use depth_scenes::scene::Scene;
use depth_scenes::scenes;
use glam::{Mat3, Vec3};
use std::cell::Cell;
use wide::f32x4;

const SIZE: (usize, usize) = (96, 72);

fn camera() -> Camera {
    Camera::new(Vec3::new(0.3, 1.5, -0.2), 0.3, 0.2, 0.1, 1.1)
}

fn picture(scene: &Scene, (w, h): (usize, usize)) -> Image {
    render(scene, w, h, &Options::default())
}

/// Calls back with each pixel's ray (unit depth along the camera's axis) and inverse depth.
fn each_pixel(scene: &Scene, image: &Image, mut f: impl FnMut(Vec3, f32)) {
    for y in 0..image.height {
        for x in 0..image.width {
            let d =
                scene
                    .camera
                    .direction(x as f32 + 0.5, y as f32 + 0.5, image.width, image.height);
            f(d, image.inverse_depth[y * image.width + x]);
        }
    }
}

fn close(found: f32, wanted: f32, what: &str) {
    assert!(
        (found - wanted).abs() <= 1e-4 * (1.0 + wanted.abs()),
        "{what}: {found} is not {wanted}"
    );
}

#[test]
fn depth_of_a_plane() {
    let mut scene = Scene {
        camera: camera(),
        ..Scene::default()
    };
    let m = scene.material(Material::default());
    scene.ground = Some((0.0, m));
    let image = picture(&scene, SIZE);
    each_pixel(&scene, &image, |d, inv| {
        let wanted = if d.y < 0.0 {
            -d.y / scene.camera.at.y
        } else {
            0.0
        };
        close(inv, wanted, "plane");
    });
}

#[test]
fn depth_of_a_sphere() {
    let mut scene = Scene {
        camera: camera(),
        ..Scene::default()
    };
    let m = scene.material(Material::default());
    let centre = scene.camera.at + scene.camera.axes * Vec3::new(0.2, -0.1, 4.0);
    scene.ball(&Frame::WORLD, centre, Vec3::splat(1.3), Mat3::IDENTITY, m);
    let image = picture(&scene, SIZE);
    let mut seen = 0;
    each_pixel(&scene, &image, |d, inv| {
        let o = scene.camera.at - centre;
        let (a, b, c) = (d.dot(d), d.dot(o), o.dot(o) - 1.3 * 1.3);
        let disc = b * b - a * c;
        // at the very edge the last bits decide; leave it out
        if disc.abs() > 1e-3 {
            let wanted = if disc > 0.0 {
                a / (-b - disc.sqrt())
            } else {
                0.0
            };
            close(inv, wanted, "sphere");
            seen += usize::from(disc > 0.0);
        }
    });
    assert!(seen > 300, "the sphere is in view");
}

#[test]
fn depth_of_a_box() {
    let mut scene = Scene {
        camera: camera(),
        ..Scene::default()
    };
    let m = scene.material(Material::default());
    let centre = scene.camera.at + scene.camera.axes * Vec3::new(0.1, -0.3, 5.0);
    let half = Vec3::new(1.2, 0.7, 0.9);
    let turn = Mat3::from_rotation_y(0.6) * Mat3::from_rotation_x(0.3);
    scene.block(&Frame::WORLD, centre, half, turn, m);
    let image = picture(&scene, SIZE);
    let mut seen = 0;
    each_pixel(&scene, &image, |d, inv| {
        // six planes, the nearest point that lies within the others
        let (o, d) = (
            turn.transpose() * (scene.camera.at - centre),
            turn.transpose() * d,
        );
        let mut nearest = f32::INFINITY;
        let mut doubtful = false;
        for a in 0..3 {
            for s in [-1.0, 1.0] {
                let t = (s * half[a] - o[a]) / d[a];
                let p = o + d * t;
                let out = (0..3)
                    .filter(|k| *k != a)
                    .map(|k| p[k].abs() - half[k])
                    .fold(f32::MIN, f32::max);
                doubtful |= out.abs() < 1e-3;
                if t > 0.0 && out <= 0.0 {
                    nearest = nearest.min(t);
                }
            }
        }
        if !doubtful {
            close(inv, 1.0 / nearest, "box");
            seen += usize::from(nearest.is_finite());
        }
    });
    assert!(seen > 200, "the box is in view");
}

#[test]
fn depth_of_a_limb_lies_on_its_surface() {
    let mut scene = Scene {
        camera: camera(),
        ..Scene::default()
    };
    let m = scene.material(Material::default());
    let at = |x, y, z| scene.camera.at + scene.camera.axes * Vec3::new(x, y, z);
    let (a, b, ra, rb) = (at(-1.0, -0.5, 4.0), at(1.0, 0.6, 5.0), 0.5f32, 0.2f32);
    scene.limb(&Frame::WORLD, a, b, ra, rb, m);
    let image = picture(&scene, SIZE);
    let mut seen = 0;
    each_pixel(&scene, &image, |d, inv| {
        if inv > 0.0 {
            // the surface is where the largest of (radius - distance) over the axis is nought
            let p = scene.camera.at + d / inv;
            let inside = (0..=4000)
                .map(|k| k as f32 / 4000.0)
                .map(|s| ra + (rb - ra) * s - p.distance(a.lerp(b, s)))
                .fold(f32::MIN, f32::max);
            close(inside, 0.0, "limb");
            seen += 1;
        }
    });
    assert!(seen > 200, "the limb is in view");
}

#[test]
fn rays_that_go_together_find_what_each_finds_alone() {
    for (k, name) in ["room", "forest", "street", "hand", "machine"]
        .iter()
        .enumerate()
    {
        let kind = scenes::find(name).expect("a kind");
        let mut r = Rng::new(9, k as u64);
        let scene = scenes::make(kind, r.fork());
        let world = scene.build();
        let mut dice = || r.range(-0.6, 0.6);
        for _ in 0..400 {
            let ray = |dir: Vec3| Ray {
                origin: scene.camera.at,
                dir: scene.camera.axes * dir,
                t_min: 1e-3,
            };
            // not neighbours: each takes its own way through the hierarchy
            let four: [Ray; 4] = std::array::from_fn(|_| ray(Vec3::new(dice(), dice(), 1.0)));
            let together = world.trace(&Rays::new(&four));
            let blocked = world.blocked(&Rays::new(&four), f32x4::splat(6.0), &Cell::new(0));
            for (lane, (ray, found)) in four.iter().zip(together).enumerate() {
                let alone = world.trace_one(ray);
                assert_eq!(
                    (found.prim, found.t, found.tri),
                    (alone.prim, alone.t, alone.tri),
                    "{name}"
                );
                assert_eq!(
                    blocked >> lane & 1 == 1,
                    alone.t < 6.0,
                    "{name}: {}",
                    alone.t
                );
            }
        }
    }
}

#[test]
fn the_same_scene_at_another_size_has_the_same_depth() {
    for name in ["room", "forest", "lattice"] {
        let kind = scenes::find(name).expect("a kind");
        let scene = scenes::make(kind, Rng::new(3, 5));
        let small = picture(&scene, (64, 48));
        // three times as large: each third pixel has its centre in the same place
        let large = picture(&scene, (192, 144));
        let mut off = 0;
        for y in 0..48 {
            for x in 0..64 {
                let a = small.inverse_depth[y * 64 + x];
                let b = large.inverse_depth[(3 * y + 1) * 192 + 3 * x + 1];
                off += usize::from((a - b).abs() > 1e-3 * (1.0 + a));
            }
        }
        assert!(off < 10, "{name}: {off} of 3072 pixels differ");
    }
}
