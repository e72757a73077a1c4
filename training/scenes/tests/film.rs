//! Films: what the poses say and what depth says are the same world.

use depth_scenes::film::{Film, Motion};
use depth_scenes::render::{Image, Options, render};
use depth_scenes::scene::Scene;
use depth_scenes::scenes;

const SIZE: (usize, usize) = (96, 64);

fn film(kind: &str, motion: Motion) -> Film {
    Film {
        seed: 5,
        kind: scenes::find(kind).expect("a kind"),
        size: SIZE,
        frames: 8,
        fps: 10.0,
        motion,
        noise: false,
    }
}

fn picture(scene: &Scene) -> Image {
    let options = Options {
        antialias: false,
        ..Options::default()
    };
    render(scene, SIZE.0, SIZE.1, &options)
}

/// Share of one frame's points that the other frame sees at the depth that its pose predicts.
fn agreement(a: &Scene, b: &Scene) -> f32 {
    let (from, to) = (picture(a), picture(b));
    let (w, h) = SIZE;
    let (mut good, mut all) = (0, 0);
    for y in 0..h {
        for x in 0..w {
            let inv = from.inverse_depth[y * w + x];
            if inv < 1e-3 {
                continue;
            }
            let d = a.camera.direction(x as f32 + 0.5, y as f32 + 0.5, w, h);
            let (u, v, depth) = b.camera.project(a.camera.at + d / inv, w, h);
            if depth <= 0.0 || u < 0.0 || v < 0.0 || u >= w as f32 || v >= h as f32 {
                continue;
            }
            let seen = to.inverse_depth[v as usize * w + u as usize];
            all += 1;
            // a pixel's centre is not the point itself: slanted surfaces differ a little, hidden points a lot
            good += usize::from((seen * depth - 1.0).abs() < 0.06);
        }
    }
    good as f32 / all.max(1) as f32
}

#[test]
fn poses_and_depth_agree() {
    for (kind, motion) in [
        ("room", Motion::Dolly),
        ("street", Motion::Walk),
        ("portrait", Motion::Orbit),
        ("stairs", Motion::Pan),
    ] {
        let takes: Vec<_> = film(kind, motion).takes().collect();
        assert_eq!(takes.len(), 8);
        let share = agreement(&takes[0].scene, &takes[7].scene);
        assert!(
            share > 0.8,
            "{kind} {motion:?}: {share} of the points are where they should be"
        );
        let moved = takes[0].scene.camera.at != takes[7].scene.camera.at
            || takes[0].scene.camera.axes != takes[7].scene.camera.axes;
        assert!(moved, "{kind} {motion:?}: the camera moves");
    }
}

#[test]
fn a_still_film_stands_still_and_a_cut_cuts() {
    let still: Vec<_> = film("room", Motion::Still).takes().collect();
    assert_eq!(
        picture(&still[0].scene).inverse_depth,
        picture(&still[7].scene).inverse_depth
    );
    let cut: Vec<_> = film("room", Motion::Cut).takes().collect();
    assert_eq!((cut[3].shot, cut[4].shot), (0, 1));
    assert_ne!(cut[3].scene.prims.len(), cut[4].scene.prims.len());
}

#[test]
fn one_thing_comes_and_goes_while_the_rest_stays() {
    let takes: Vec<_> = film("field", Motion::Objects).takes().collect();
    let (first, middle) = (picture(&takes[0].scene), picture(&takes[4].scene));
    let changed = first
        .inverse_depth
        .iter()
        .zip(&middle.inverse_depth)
        .filter(|(a, b)| (*a - *b).abs() > 1e-3 * (1.0 + **a))
        .count();
    let all = SIZE.0 * SIZE.1;
    assert!(changed > 20, "something passes: {changed} pixels");
    assert!(changed < all / 2, "the rest stays: {changed} pixels");
}

#[test]
fn a_visitor_fills_a_tenth_and_leaves_all_as_it_was() {
    for kind in ["room", "street", "passage"] {
        let visit = Film {
            frames: 165,
            ..film(kind, Motion::Visit)
        };
        let takes: Vec<_> = visit.takes().collect();
        let depth = |frame: usize| picture(&takes[frame].scene).inverse_depth;
        let (before, there, after) = (depth(0), depth(60), depth(164));
        assert_eq!(before, after, "{kind}: all is as it was");
        let changed = before.iter().zip(&there).filter(|(a, b)| a != b).count();
        let share = changed as f32 / before.len() as f32;
        assert!((0.06..0.15).contains(&share), "{kind}: {share}");
        let darkest = takes.iter().map(|take| take.exposure).fold(1.0, f32::min);
        assert!((darkest - 0.9).abs() < 0.01, "{kind}: {darkest}");
        assert_eq!(takes[164].exposure, 1.0);
        assert!(takes[5].same && !takes[60].same);
    }
}
