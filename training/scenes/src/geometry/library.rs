//! Meshes that are made once per process and used by all scenes.

use super::forms;
use super::mesh::Mesh;
use crate::rng::Rng;
use std::sync::{Arc, LazyLock};

/// The shared meshes.
#[derive(Debug)]
pub struct Library {
    /// Crowns of many small leaves, unit ball.
    pub crowns: Vec<Arc<Mesh>>,
    /// Bushes and house plants: fewer and larger leaves.
    pub sprays: Vec<Arc<Mesh>>,
    /// Grass and reeds, one unit high.
    pub tufts: Vec<Arc<Mesh>>,
    /// Stones, bread, clods: unit ball with bumps.
    pub rocks: Vec<Arc<Mesh>>,
    /// Turned things, one unit high: vases, cups, bowls, bottles, lamps.
    pub turned: Vec<Arc<Mesh>>,
    /// Rings of radius one: thin, middle, thick.
    pub rings: Vec<Arc<Mesh>>,
    /// The upper half of a ring of radius one in the plane of x and y.
    pub arch: Arc<Mesh>,
}

/// The library, made on first use; always the same.
pub static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut r = Rng::new(0x11b, 1);
    let arcs = |v: Vec<Mesh>| v.into_iter().map(Arc::new).collect();
    let crowns = (0..8)
        .map(|i| {
            let size = [0.10, 0.14, 0.2, 0.28][i % 4];
            forms::crown([2600, 1500, 900, 500][i % 4], size, &mut r)
        })
        .collect();
    let sprays = (0..5)
        .map(|i| forms::crown(60 + 50 * i, 0.5 - 0.05 * i as f32, &mut r))
        .collect();
    let tufts = (0..6)
        .map(|i| {
            forms::tuft(
                40 + 20 * i,
                0.05 - 0.006 * i as f32,
                0.3 + 0.2 * i as f32,
                &mut r,
            )
        })
        .collect();
    let rocks = (0..10)
        .map(|i| {
            let a = [0.12, 0.25, 0.4, 0.2, 0.5][i % 5];
            forms::bumpy_ball(18, a, r.range(0.8, 2.2), r.range(0.55, 1.0), i as u32)
        })
        .collect();
    let turned = (0..16).map(|_| turned_profile(&mut r)).collect();
    let rings = vec![
        forms::torus(0.035, 40, 6),
        forms::torus(0.09, 32, 8),
        forms::torus(0.2, 28, 12),
        forms::torus(0.45, 24, 14),
    ];
    Library {
        crowns: arcs(crowns),
        sprays: arcs(sprays),
        tufts: arcs(tufts),
        rocks: arcs(rocks),
        turned: arcs(turned),
        rings: arcs(rings),
        arch: Arc::new(forms::arch(0.09)),
    }
});

/// A vase, cup, bowl or bottle: widths along the height, then back down inside if it is open.
fn turned_profile(r: &mut Rng) -> Mesh {
    let foot = r.range(0.12, 0.4);
    let belly = r.range(0.2, 0.6);
    let neck = if r.chance(0.5) {
        r.range(0.06, 0.2)
    } else {
        r.range(0.25, 0.6)
    };
    let lip = neck * r.range(1.0, 1.4);
    let at = r.range(0.25, 0.6);
    let mut p = vec![(0.0, 0.0), (foot, 0.0)];
    let n = 14;
    for i in 1..=n {
        let y = i as f32 / n as f32;
        let smooth = |a: f32, b: f32, t: f32| {
            let t = t.clamp(0.0, 1.0);
            a + (b - a) * t * t * (3.0 - 2.0 * t)
        };
        let w = if y < at {
            smooth(foot, belly, y / at)
        } else if y < 0.88 {
            smooth(belly, neck, (y - at) / (0.88 - at))
        } else {
            smooth(neck, lip, (y - 0.88) / 0.12)
        };
        p.push((w, y));
    }
    for (w, y) in [
        (lip - 0.03, 1.0),
        (neck - 0.03, 0.85),
        (belly - 0.05, at),
        (0.0, at * 0.4),
    ] {
        p.push((w.max(0.0), y));
    }
    forms::lathe(&p, 28)
}
