//! The patterns of the atlas: what walls, cloth, bark, leaves and signs look like in one channel.

use super::noise::{cells, fbm};
use super::{Family, SIZE};
use crate::rng::Rng;
use std::f32::consts::TAU;

/// One channel of SIZE×SIZE values in 0..1.
pub(super) type Plane = Vec<f32>;

fn bake(f: impl Fn(f32, f32) -> f32) -> Plane {
    let n = SIZE as f32;
    (0..SIZE * SIZE)
        .map(|i| f(((i % SIZE) as f32 + 0.5) / n, ((i / SIZE) as f32 + 0.5) / n).clamp(0.0, 1.0))
        .collect()
}

fn step(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A canvas that wraps around, for patterns drawn stroke by stroke.
struct Canvas(Plane);

impl Canvas {
    fn rect(&mut self, x: usize, y: usize, w: usize, h: usize, v: f32) {
        for j in y..y + h {
            for i in x..x + w {
                self.0[(j % SIZE) * SIZE + i % SIZE] = v;
            }
        }
    }

    fn line(&mut self, x: f32, y: f32, angle: f32, length: f32, width: usize, v: f32) {
        let (s, c) = angle.sin_cos();
        let n = length.ceil() as i32;
        for k in 0..n {
            let (px, py) = (x + c * k as f32, y + s * k as f32);
            let px = px.rem_euclid(SIZE as f32) as usize;
            let py = py.rem_euclid(SIZE as f32) as usize;
            self.rect(px, py, width, width, v);
        }
    }
}

fn strokes(
    r: &mut Rng,
    count: usize,
    angle: f32,
    spread: f32,
    length: (f32, f32),
    width: usize,
) -> Plane {
    let mut c = Canvas(vec![0.4; SIZE * SIZE]);
    let n = SIZE as f32;
    for _ in 0..count {
        let v = r.unit();
        let a = angle + r.normal(spread);
        let w = r.int(1, width + 1);
        c.line(
            r.range(0.0, n),
            r.range(0.0, n),
            a,
            r.range(length.0, length.1),
            w,
            v,
        );
    }
    c.0
}

fn bricks(rows: f32, cols: f32, gap: f32, shift: f32, seed: u32) -> Plane {
    bake(|x, y| {
        let ry = y * rows;
        let rx = x * cols + (ry.floor() % 2.0) * shift;
        let e = (rx.fract() * rows / cols).min(ry.fract());
        let id = crate::rng::hash01(
            ry.floor() as u32 * 64 + (rx.floor().rem_euclid(cols)) as u32,
            seed,
        );
        let grain = 0.08 * fbm(x, y, (16, 16), 3, 0.7, seed);
        if e < gap {
            0.05
        } else {
            0.45 + 0.45 * id + grain
        }
    })
}

/// A façade: wall bright, panes 0..0.5, so that panes can be lit at night.
fn facade(rows: f32, cols: f32, r: &mut Rng) -> Plane {
    let (y0, y1) = (r.range(0.12, 0.3), r.range(0.7, 0.9));
    let (x0, x1) = (r.range(0.12, 0.3), r.range(0.7, 0.9));
    let bars = r.chance(0.5);
    let seed = r.bits() as u32;
    bake(|x, y| {
        let (fx, fy) = ((x * cols).fract(), (y * rows).fract());
        let cell = (y * rows) as u32 * 32 + (x * cols) as u32;
        if fx > x0 && fx < x1 && fy > y0 && fy < y1 {
            let mid =
                (fx - 0.5 * (x0 + x1)).abs() < 0.03 || (fy - 0.4 * y0 - 0.6 * y1).abs() < 0.03;
            if bars && mid {
                0.8
            } else {
                0.48 * crate::rng::hash01(cell, seed) * (0.6 + 0.4 * fy)
            }
        } else {
            0.88 + 0.06 * fbm(x, y, (32, 32), 2, 0.7, seed)
        }
    })
}

fn text(r: &mut Rng, row: usize) -> Plane {
    let mut c = Canvas(vec![0.92; SIZE * SIZE]);
    let mut y = row / 3;
    while y + row < SIZE {
        let mut x = 6;
        while x + row < SIZE {
            // a glyph: two or three strokes in a box
            let w = r.int(row / 3, row);
            if r.chance(0.85) {
                for _ in 0..r.int(2, 5) {
                    if r.chance(0.5) {
                        let gx = x + r.int(0, w.max(2) - 1);
                        c.rect(gx, y, (row / 8).max(1), row * 2 / 3, 0.08);
                    } else {
                        let gy = y + r.int(0, row * 2 / 3);
                        c.rect(x, gy, w, (row / 9).max(1), 0.08);
                    }
                }
            }
            x += w + row / 5 + 1;
        }
        y += row + row / 4;
    }
    c.0
}

fn posters(r: &mut Rng) -> Plane {
    let mut c = Canvas(vec![0.9; SIZE * SIZE]);
    for _ in 0..50 {
        let v = r.unit();
        let (x, y) = (r.int(0, SIZE), r.int(0, SIZE));
        c.rect(x, y, r.int(8, 70), r.int(8, 70), v);
    }
    for _ in 0..12 {
        let v = r.unit();
        c.line(
            r.range(0.0, 256.0),
            r.range(0.0, 256.0),
            r.turn(),
            r.range(20.0, 120.0),
            3,
            v,
        );
    }
    c.0
}

/// All patterns, with the family each belongs to.
pub(super) fn all(r: &mut Rng) -> Vec<(Family, Plane)> {
    let mut t: Vec<(Family, Plane)> = Vec::new();
    let seed = |r: &mut Rng| r.bits() as u32;
    for i in 0..12u32 {
        let s = seed(r);
        let gain = r.range(0.45, 0.85);
        let px = [2, 3, 4, 6][i as usize % 4];
        let py = if i % 3 == 2 { px * 3 } else { px };
        t.push((
            Family::Noise,
            bake(|x, y| 0.5 + 0.3 * fbm(x, y, (px, py), 5, gain, s)),
        ));
    }
    for px in [2, 4, 8] {
        let s = seed(r);
        t.push((
            Family::Ridge,
            bake(|x, y| (fbm(x, y, (px, px), 5, 0.6, s)).abs() * 1.2),
        ));
    }
    for px in [2, 4, 7] {
        let s = seed(r);
        let e = r.range(-0.2, 0.2);
        t.push((
            Family::Blotch,
            bake(|x, y| step(e - 0.05, e + 0.05, fbm(x, y, (px, px), 5, 0.55, s))),
        ));
    }
    for n in [2u32, 4, 8] {
        t.push((
            Family::Check,
            bake(|x, y| (((x * 2.0 * n as f32) as u32 + (y * 2.0 * n as f32) as u32) % 2) as f32),
        ));
    }
    for n in [2u32, 5, 12] {
        t.push((
            Family::Stripe,
            bake(|x, _| ((x * 2.0 * n as f32) as u32 % 2) as f32),
        ));
        t.push((
            Family::Stripe,
            bake(|_, y| ((y * 2.0 * n as f32) as u32 % 2) as f32),
        ));
    }
    for n in [3.0f32, 6.0, 12.0] {
        let s = seed(r);
        t.push((
            Family::Wood,
            bake(|x, y| {
                let w = fbm(x, y, (2, 6), 3, 0.5, s);
                let ring = 0.5 + 0.5 * (y * n * TAU + 3.0 * w).sin();
                let grain = fbm(x, y, (4, 64), 2, 0.7, s ^ 1);
                // boards
                let b = (y * 4.0).fract();
                let gap = if !(0.03..=0.97).contains(&b) {
                    0.5
                } else {
                    0.0
                };
                0.35 + 0.3 * ring + 0.2 * grain - gap
            }),
        ));
    }
    for (rows, cols, gap, shift) in [
        (8.0, 4.0, 0.1, 0.5),
        (16.0, 8.0, 0.12, 0.5),
        (4.0, 4.0, 0.04, 0.0),
        (8.0, 8.0, 0.06, 0.0),
    ] {
        let s = seed(r);
        t.push((Family::Brick, bricks(rows, cols, gap, shift, s)));
    }
    for (rows, cols) in [(4.0, 4.0), (3.0, 6.0), (6.0, 3.0), (2.0, 3.0), (8.0, 8.0)] {
        t.push((Family::Facade, facade(rows, cols, r)));
    }
    for n in [5u32, 10, 24] {
        let s = seed(r);
        t.push((Family::Cell, bake(|x, y| cells(x, y, n, s).2)));
        t.push((Family::Cell, bake(|x, y| cells(x, y, n, s).0 * 1.2)));
        t.push((
            Family::Gravel,
            bake(|x, y| {
                let (a, b, id) = cells(x, y, n * 2, s);
                step(0.02, 0.2, b - a) * (0.4 + 0.6 * id)
            }),
        ));
    }
    for n in [4u32, 9] {
        let s = seed(r);
        t.push((
            Family::Dots,
            bake(|x, y| 1.0 - step(0.25, 0.3, cells(x, y, n, s).0)),
        ));
    }
    for px in [64, 128] {
        let s = seed(r);
        t.push((
            Family::Fine,
            bake(|x, y| 0.5 + 0.4 * fbm(x, y, (px, px), 1, 0.8, s)),
        ));
    }
    for _ in 0..3 {
        t.push((Family::Poster, posters(r)));
    }
    for row in [14, 26, 48] {
        t.push((Family::Text, text(r, row)));
    }
    t.push((Family::Leaf, strokes(r, 2200, 0.0, 3.0, (4.0, 14.0), 3)));
    t.push((Family::Leaf, strokes(r, 900, 0.0, 3.0, (8.0, 26.0), 6)));
    t.push((Family::Grass, strokes(r, 2600, 1.57, 0.35, (6.0, 22.0), 2)));
    t.push((Family::Fur, strokes(r, 4000, 1.57, 0.18, (10.0, 40.0), 1)));
    t.push((Family::Fur, strokes(r, 3000, 1.57, 0.3, (6.0, 16.0), 2)));
    for n in [32.0f32, 64.0] {
        let s = seed(r);
        t.push((
            Family::Cloth,
            bake(|x, y| {
                let a = (x * n * TAU).sin() * (y * n * TAU).sin();
                0.5 + 0.3 * a + 0.15 * fbm(x, y, (4, 4), 4, 0.6, s)
            }),
        ));
    }
    for n in [3.0f32, 6.0] {
        // tartan
        t.push((
            Family::Cloth,
            bake(|x, y| {
                let b = |v: f32| {
                    let f = (v * n).fract();
                    if f < 0.4 {
                        0.5
                    } else if f < 0.5 {
                        0.9
                    } else {
                        0.1
                    }
                };
                0.5 * b(x) + 0.5 * b(y)
            }),
        ));
    }
    weather(&mut t);
    t
}

/// Unevenness of all sizes over each pattern, as on everything that was outdoors or in use: its spectrum falls about
/// with frequency, as that of photographs does.
fn weather(patterns: &mut [(Family, Plane)]) {
    let grain =
        [0x6a1, 0x6a2].map(|seed| bake(|x, y| 0.5 + 0.25 * fbm(x, y, (4, 4), 7, 0.72, seed)));
    for (i, (family, plane)) in patterns.iter_mut().enumerate() {
        let amount = match family {
            // its values tell panes from walls
            Family::Facade => continue,
            Family::Text | Family::Poster => 0.1,
            Family::Noise | Family::Ridge => 0.15,
            _ => 0.25,
        };
        // another place of the grain for each
        let (dx, dy) = (37 * i, 91 * i);
        for (k, v) in plane.iter_mut().enumerate() {
            let at = ((k / SIZE + dy) % SIZE) * SIZE + (k % SIZE + dx) % SIZE;
            *v = (*v * (1.0 - amount) + grain[i % 2][at] * amount).clamp(0.0, 1.0);
        }
    }
}
