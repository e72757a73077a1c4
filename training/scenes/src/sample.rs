//! One sample: a function of seed and index, and of nothing else.

use crate::geometry::Bvh;
use crate::render::{self, Image, Options};
use crate::rng::Rng;
use crate::scene::{Scene, World};
use crate::scenes::{self, KINDS};
use crate::sensor::Sensor;

/// What kind of samples are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Seed of the whole stream.
    pub seed: u64,
    /// Sizes to draw from, width × height.
    pub sizes: Vec<(usize, usize)>,
    /// Only this kind.
    pub kind: Option<usize>,
    /// How often each kind comes, in the order of [`KINDS`]: [`scenes::usual`], or other weights.
    pub weights: Vec<f32>,
    /// Leave the sensor stage off.
    pub clean: bool,
}

/// A finished sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Id of its kind.
    pub kind: usize,
    /// Its index in the stream.
    pub index: u64,
    /// RGB, row by row.
    pub rgb: Vec<u8>,
    /// 1/metres, row by row; 0 is infinitely far.
    pub inverse_depth: Vec<f32>,
}

/// Attempts before a degenerate scene is taken after all.
const ATTEMPTS: u64 = 24;

/// A scene of a stream, its kind and the dice for what follows.
#[must_use]
pub fn scene(wanted: &Wanted, index: u64) -> (Scene, usize, (usize, usize), Rng) {
    let d = draw(wanted, index);
    (d.scene, d.kind, d.size, d.dice)
}

/// What the dice gave.
struct Drawn {
    scene: Scene,
    /// Over the scene's shapes.
    hierarchy: Bvh,
    kind: usize,
    size: (usize, usize),
    /// For what follows.
    dice: Rng,
}

fn draw(wanted: &Wanted, index: u64) -> Drawn {
    let mut r = Rng::new(wanted.seed, index);
    let size = wanted.sizes[r.int(0, wanted.sizes.len())];
    let drawn = draw_kind(&mut r, &wanted.weights);
    let kind = wanted.kind.unwrap_or(drawn);
    for attempt in 0.. {
        let scene = scenes::make(kind, r.fork());
        let world = scene.build();
        if attempt >= ATTEMPTS || believable(&world, kind, size, &mut r) {
            let hierarchy = world.into_hierarchy();
            return Drawn {
                scene,
                hierarchy,
                kind,
                size,
                dice: r,
            };
        }
    }
    unreachable!("the loop ends by its attempts")
}

fn draw_kind(r: &mut Rng, weights: &[f32]) -> usize {
    let total: f32 = weights.iter().sum();
    let mut x = r.unit() * total;
    for (i, weight) in weights.iter().enumerate() {
        x -= weight;
        if x < 0.0 {
            return i;
        }
    }
    0
}

/// Looks at a scene with few rays: is there something to learn from it?
fn believable(world: &World<'_>, kind: usize, (w, h): (usize, usize), r: &mut Rng) -> bool {
    let long = w.max(h) as f32;
    let (sw, sh) = (
        (w as f32 * 40.0 / long) as usize,
        (h as f32 * 40.0 / long) as usize,
    );
    let seen = render::preview(world, sw.max(8), sh.max(8));
    let mut inv: Vec<f32> = seen.iter().map(|s| s.0).collect();
    inv.sort_unstable_by(f32::total_cmp);
    let n = inv.len();
    let at = |q: f32| inv[((n - 1) as f32 * q) as usize];
    if at(0.5) == 0.0 && at(0.8) == 0.0 {
        return false; // nearly all sky
    }
    // flat in depth
    if at(0.97) < at(0.03) * 1.25 {
        return false;
    }
    let close = KINDS[kind].close;
    let limit = if close { 30.0 } else { 3.0 };
    if at(0.9) > limit {
        return false; // something before the lens
    }
    let mut count = std::collections::HashMap::new();
    for s in &seen {
        *count.entry(s.1).or_insert(0usize) += 1;
    }
    let things = count.values().filter(|c| **c * 250 > n).count();
    let largest = count.values().copied().max().unwrap_or(0) as f32 / n as f32;
    if largest > 0.9 {
        return r.chance(0.1);
    }
    things >= 3 && (things >= 6 || r.chance(0.5))
}

/// Renders sample `index`.
#[must_use]
pub fn sample(wanted: &Wanted, index: u64) -> Sample {
    let Drawn {
        scene,
        hierarchy,
        kind,
        size: (width, height),
        dice: mut r,
    } = draw(wanted, index);
    let options = Options {
        parallel: false,
        jitter: r.bits() as u32,
        antialias: true,
    };
    let image: Image = render::render_world(&scene.with(hierarchy), width, height, &options);
    let sensor = if wanted.clean {
        Sensor::clean()
    } else {
        Sensor::random(&mut r, &scene)
    };
    let rgb = sensor.develop(&image, &scene, r.bits());
    Sample {
        width,
        height,
        kind,
        index,
        rgb,
        inverse_depth: image.inverse_depth,
    }
}
