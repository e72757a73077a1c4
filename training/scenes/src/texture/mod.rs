//! One-channel patterns that tile, with mip levels, made once per process.

pub mod noise;
mod patterns;

use crate::rng::Rng;
use std::sync::LazyLock;

/// Pixels along a side of a pattern.
pub const SIZE: usize = 256;
const LEVELS: usize = 9;

/// Kinds of patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Family {
    Noise,
    Ridge,
    Blotch,
    Check,
    Stripe,
    Wood,
    Brick,
    Facade,
    Cell,
    Gravel,
    Dots,
    Fine,
    Poster,
    Text,
    Leaf,
    Grass,
    Fur,
    Cloth,
}

/// All patterns of the process.
#[derive(Debug)]
pub struct Atlas {
    texels: Vec<u8>,
    offsets: [usize; LEVELS],
    stride: usize,
    families: Vec<Family>,
}

/// The atlas, made on first use; always the same.
pub static ATLAS: LazyLock<Atlas> =
    LazyLock::new(|| Atlas::new(&patterns::all(&mut Rng::new(0x7e87, 0))));

impl Atlas {
    fn new(planes: &[(Family, patterns::Plane)]) -> Self {
        let mut offsets = [0; LEVELS];
        let mut stride = 0;
        for (l, o) in offsets.iter_mut().enumerate() {
            *o = stride;
            stride += ((SIZE >> l) + 1) * ((SIZE >> l) + 1);
        }
        let mut texels = Vec::with_capacity(stride * planes.len());
        for (_, plane) in planes {
            let mut level = plane.clone();
            let mut n = SIZE;
            loop {
                // the first row and column come again at the end: two by two texels need no wrapping around
                for row in (0..=n).map(|j| &level[(j % n) * n..][..n]) {
                    let wrapped = row.iter().chain(&row[..1]);
                    texels.extend(wrapped.map(|v| (v * 255.0 + 0.5) as u8));
                }
                if n == 1 {
                    break;
                }
                let h = n / 2;
                level = (0..h * h)
                    .map(|i| {
                        let k = (i / h) * 2 * n + (i % h) * 2;
                        (level[k] + level[k + 1] + level[k + n] + level[k + n + 1]) * 0.25
                    })
                    .collect();
                n = h;
            }
        }
        Self {
            texels,
            offsets,
            stride,
            families: planes.iter().map(|p| p.0).collect(),
        }
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// A random pattern of these families; of all if none is named.
    pub fn pick(&self, r: &mut Rng, families: &[Family]) -> u16 {
        if families.is_empty() {
            return r.int(0, self.len()) as u16;
        }
        let f = r.pick(families);
        let n = self.families.iter().filter(|x| **x == f).count();
        let k = r.int(0, n);
        self.families
            .iter()
            .enumerate()
            .filter(|(_, x)| **x == f)
            .nth(k)
            .map_or(0, |(i, _)| i as u16)
    }

    /// The pattern at (u, v) in tiles, averaged over a footprint of `width` tiles.
    #[inline(always)]
    #[must_use]
    pub fn sample(&self, id: u16, u: f32, v: f32, width: f32) -> f32 {
        self.sample_slope(id, u, v, width).0
    }

    /// As [`Atlas::sample`], with how fast it grows along u and v, per tile.
    #[inline(always)]
    #[must_use]
    pub fn sample_slope(&self, id: u16, u: f32, v: f32, width: f32) -> (f32, [f32; 2]) {
        // the exponent of the footprint in texels is the mip level
        let w = (width * SIZE as f32 * 1.3).max(1.0);
        let level = (((w.to_bits() >> 23) as i32 - 127).max(0) as usize).min(LEVELS - 1);
        let n = SIZE >> level;
        let mask = n - 1;
        let base = id as usize * self.stride + self.offsets[level];
        let x = u * n as f32 - 0.5;
        let y = v * n as f32 - 0.5;
        // floor by hand: without SSE4.1 the standard one is a call
        let floor = |a: f32| {
            let i = a as i32;
            i - i32::from((i as f32) > a)
        };
        let (fx, fy) = (floor(x), floor(y));
        let (wx, wy) = (x - fx as f32, y - fy as f32);
        let (ix, iy) = (fx as usize & mask, fy as usize & mask);
        // both rows in one slice: one check of its bounds
        let rows = &self.texels[base + iy * (n + 1) + ix..][..n + 3];
        let at = |k: usize| f32::from(rows[k]);
        let (across, below) = (at(1) - at(0), at(n + 2) - at(n + 1));
        let top = at(0) + across * wx;
        let low = at(n + 1) + below * wx;
        let per_tile = n as f32 * (1.0 / 255.0);
        let slope = [across + (below - across) * wy, low - top];
        (
            (top + slope[1] * wy) * (1.0 / 255.0),
            slope.map(|s| s * per_tile),
        )
    }
}
