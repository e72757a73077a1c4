//! Where tiles lie on a picture. Pure arithmetic.

use crate::geometry::{Size, tokens};

/// Share of a tile's short side that it has in common with its neighbour, at least.
const OVERLAP: f64 = 0.125;
/// Short side of a tile, as a share of that of the first run: narrow strips show the network too little.
const NARROWEST: f64 = 0.75;
/// A tile is no more than so many times as long as wide, or as the first run is: strips show too little of a thing, too.
const LONGEST: f64 = 1.5;

/// Where a tile begins, in pixels of the whole picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tile {
    /// Columns to its left.
    pub(crate) left: u32,
    /// Rows above it.
    pub(crate) top: u32,
}

/// A picture cut into overlapping tiles of one size, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tiles {
    whole: Size,
    tile: Size,
    lefts: Vec<u32>,
    tops: Vec<u32>,
}

impl Tiles {
    /// The fewest tiles of `whole` (sides are multiples of `patch`) of which none has more tokens than `first`, the size of
    /// the first run; of as many, those with the longest short side. `None`: `first` is so small that its tiles could not
    /// overlap.
    pub(crate) fn no_larger_than(first: Size, whole: Size, patch: u32) -> Option<Self> {
        let patch = patch.max(1);
        let most = tokens(first, patch);
        if tokens(whole, patch) <= most {
            return Some(Self::of_size(whole, whole, patch));
        }
        let [across, down] = [whole.width, whole.height].map(|side| side.div_ceil(patch));
        let short = first.width.min(first.height) / patch;
        let overlap = overlap(short);
        let narrowest = (f64::from(short) * NARROWEST).ceil() as u32;
        // the shortest side that covers `whole` with so many tiles
        let side = |whole: u32, count: u32| (whole + (count - 1) * overlap).div_ceil(count);
        let mut best: Option<(u64, u32, [u32; 2])> = None;
        let aspect = |[width, height]: [u32; 2]| {
            let (long, short) = (width.max(height), width.min(height).max(1));
            f64::from(long) / f64::from(short)
        };
        let longest = LONGEST.max(aspect([first.width, first.height]));
        let mut widths: Vec<u32> = (1..=across)
            .map(|columns| side(across, columns).max(narrowest))
            .collect();
        widths.dedup();
        for width in widths {
            let tallest = u32::try_from(most).unwrap_or(u32::MAX) / width;
            let shortest = narrowest.min(down);
            if width <= overlap {
                continue;
            }
            let tallest = tallest.min((f64::from(width) * longest) as u32);
            if tallest <= overlap || tallest < shortest {
                continue;
            }
            let columns = count(across, width, overlap);
            let rows = count(down, tallest, overlap);
            let height = side(down, rows).max(shortest);
            if aspect([width, height]) > longest {
                continue;
            }
            let number = u64::from(columns) * u64::from(rows);
            let shorter = width.min(height);
            if best.is_none_or(|(least, longest, _)| {
                number < least || number == least && shorter > longest
            }) {
                best = Some((number, shorter, [width, height]));
            }
        }
        let (_, _, [width, height]) = best?;
        let tile = Size::new(width * patch, height * patch);
        Some(Self::of_size(tile, whole, patch))
    }

    /// Tiles of the size `tile`, or as much of it as `whole` has, as few as cover `whole`. Where sides of `whole` are
    /// multiples of `patch`, tiles begin at such.
    pub(crate) fn of_size(tile: Size, whole: Size, patch: u32) -> Self {
        let patch = patch.max(1);
        let short = tile.width.min(tile.height) / patch;
        let least = overlap(short) * patch;
        let places = |tile: u32, whole: u32| -> Vec<u32> {
            if tile >= whole || tile == 0 {
                return vec![0];
            }
            let last = whole - tile;
            let least = least.min(tile - 1);
            let count = count(whole, tile, least);
            (0..count)
                .map(|index| {
                    let place = f64::from(last) * f64::from(index) / f64::from(count - 1);
                    let rounded = (place / f64::from(patch)).round() as u32 * patch;
                    rounded.min(last)
                })
                .collect()
        };
        Self {
            lefts: places(tile.width, whole.width),
            tops: places(tile.height, whole.height),
            whole,
            tile: Size::new(tile.width.min(whole.width), tile.height.min(whole.height)),
        }
    }

    /// Size of the picture.
    pub(crate) fn whole(&self) -> Size {
        self.whole
    }

    /// Size of each tile.
    pub(crate) fn size(&self) -> Size {
        self.tile
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lefts.len() * self.tops.len()
    }

    /// All of them, row by row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Tile> + '_ {
        let row = |&top: &u32| self.lefts.iter().map(move |&left| Tile { left, top });
        self.tops.iter().flat_map(row)
    }

    /// What a tile's columns weigh, and its rows. Of all tiles over a pixel the products of the two sum to 1; they fall from
    /// 1 to 0 over what neighbours share.
    pub(crate) fn weights(&self, tile: Tile) -> [Vec<f32>; 2] {
        [
            weights(&self.lefts, self.tile.width, tile.left),
            weights(&self.tops, self.tile.height, tile.top),
        ]
    }

    /// Copies a tile out of `planes` of the whole picture, `[channels, height, width]`, to `[channels, height, width]` of
    /// the tile.
    pub(crate) fn cut(&self, tile: Tile, planes: &[f32], out: &mut Vec<f32>) {
        let columns = tile.left as usize..(tile.left + self.tile.width) as usize;
        let rows = tile.top as usize..(tile.top + self.tile.height) as usize;
        out.clear();
        for plane in planes.chunks_exact(self.whole.area().max(1)) {
            let lines = plane.chunks_exact(self.whole.width as usize);
            for line in lines.skip(rows.start).take(rows.len()) {
                out.extend_from_slice(&line[columns.clone()]);
            }
        }
    }
}

/// What tiles of this short side share with their neighbours at least, in the same unit.
fn overlap(short: u32) -> u32 {
    ((f64::from(short) * OVERLAP).round() as u32).max(1)
}

/// How many sides of `tile` cover `whole`, when two in a row share `overlap`, which is less than a tile.
fn count(whole: u32, tile: u32, overlap: u32) -> u32 {
    whole
        .saturating_sub(overlap)
        .div_ceil(tile - overlap)
        .max(1)
}

/// Along one side: the weights of the tile that begins at `place`, among those that begin at `places`.
fn weights(places: &[u32], length: u32, place: u32) -> Vec<f32> {
    let own = ramps(places, length, place);
    let mut sums = own.clone();
    for &other in places.iter().filter(|&&other| other != place) {
        if other.abs_diff(place) >= length {
            continue;
        }
        let theirs = ramps(places, length, other);
        for (at, sum) in (place..).zip(&mut sums) {
            if let Some(index) = at.checked_sub(other) {
                *sum += theirs.get(index as usize).copied().unwrap_or(0.0);
            }
        }
    }
    let shares = own.iter().zip(&sums).map(|(own, sum)| (own / sum) as f32);
    shares.collect()
}

/// Before they are brought to a sum of 1, which they have where no more than two tiles meet.
fn ramps(places: &[u32], length: u32, place: u32) -> Vec<f64> {
    let before = places.iter().copied().rfind(|&other| other < place);
    let after = places.iter().copied().find(|&other| other > place);
    // a pixel counts by its distance from the end of what two share
    let ramp = |at: u32, start: u32, end: u32| {
        (f64::from(at - start) + 0.5) / f64::from(end.saturating_sub(start).max(1))
    };
    (place..place + length)
        .map(|at| {
            let rises = match before {
                Some(other) if at < other + length => ramp(at, place, other + length),
                _ => 1.0,
            };
            let falls = match after {
                Some(other) if at >= other => 1.0 - ramp(at, other, place + length),
                _ => 1.0,
            };
            rises * falls
        })
        .collect()
}
