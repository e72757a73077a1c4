use super::coarse::Boxes;
use super::{Fusion, Map, Tile, Tiles};
use crate::geometry::{Size, network_size, tokens};

const SQUARE: (u32, u32) = (1, 1);

/// The tiles of a frame: first run at `resolution`, tiles at `detail`.
fn tiles(frame: Size, resolution: u32, detail: u32) -> (Size, Tiles) {
    let at = |resolution| network_size(frame, SQUARE, resolution, 14).expect("a size");
    let first = at(resolution);
    let tiles = Tiles::no_larger_than(first, at(detail), 14).expect("tiles");
    (first, tiles)
}

/// Each pixel of the whole is in a tile, no tile is larger than the first run or reaches out of the picture, neighbours
/// overlap, and the weights sum to 1.
fn check(what: &str, first: Size, tiles: &Tiles) {
    let (whole, size) = (tiles.whole(), tiles.size());
    assert!(tokens(size, 14) <= tokens(first, 14), "{what}: {size}");
    let mut sums = [
        vec![0.0_f32; whole.width as usize],
        vec![0.0_f32; whole.height as usize],
    ];
    for tile in tiles.iter() {
        assert!(tile.left + size.width <= whole.width, "{what}: {tile:?}");
        assert!(tile.top + size.height <= whole.height, "{what}: {tile:?}");
        let weights = tiles.weights(tile);
        let starts = [tile.left, tile.top];
        // a row and a column of tiles are enough, as weights are products
        for axis in [0, 1] {
            if starts[1 - axis] == 0 {
                for (sum, weight) in sums[axis][starts[axis] as usize..]
                    .iter_mut()
                    .zip(&weights[axis])
                {
                    *sum += weight;
                }
            }
        }
    }
    for sum in sums.iter().flatten() {
        assert!((sum - 1.0).abs() < 1e-5, "{what}: {sum}");
    }
    let lefts: Vec<u32> = tiles
        .iter()
        .filter(|tile| tile.top == 0)
        .map(|tile| tile.left)
        .collect();
    for pair in lefts.windows(2) {
        assert!(
            pair[1] < pair[0] + size.width,
            "{what}: {pair:?} do not overlap"
        );
    }
}

#[test]
fn tiles_cover_frames_of_any_shape() {
    let frames = [
        (1, 1),
        (16_384, 2000),
        (1386, 1036),
        (1920, 1080),
        (1080, 1920),
        (641, 479),
        (3840, 2160),
        (3, 2),
    ];
    for (width, height) in frames {
        for (resolution, detail) in [
            (518, 1036),
            (518, 1050),
            (518, 532),
            (252, 1036),
            (518, 1500),
            (126, 1036),
        ] {
            let frame = Size::new(width, height);
            let (first, tiles) = tiles(frame, resolution, detail);
            let what = format!(
                "{frame} at {resolution} and {detail}: {} of {}",
                tiles.count(),
                tiles.size()
            );
            check(&what, first, &tiles);
            assert_eq!(
                (tiles.size().width % 14, tiles.size().height % 14),
                (0, 0),
                "{what}"
            );
            // no more than twice the pixels there are, and a little at small pictures of many patches
            let run = tiles.count() * tiles.size().area();
            assert!(run as f64 <= 2.2 * tiles.whole().area() as f64, "{what}");
        }
    }
}

#[test]
fn a_film_frame_of_four_times_the_size_is_twenty_tiles() {
    let (first, tiles) = tiles(Size::new(3840, 2160), 518, 2072);
    assert_eq!(first, Size::new(924, 518));
    assert_eq!(tiles.whole(), Size::new(3682, 2072));
    assert!(tiles.count() <= 24, "{}", tiles.count());
    let short = tiles.size().width.min(tiles.size().height);
    assert!(short >= 518 * 3 / 4, "{}", tiles.size());
}

#[test]
fn what_is_no_larger_than_the_first_run_is_run_whole() {
    let size = Size::new(518, 518);
    let tiles = Tiles::no_larger_than(size, size, 14).expect("one");
    assert_eq!((tiles.count(), tiles.size()), (1, size));
}

#[test]
fn a_first_run_of_one_patch_has_no_tiles() {
    let [first, whole] = [14, 140].map(|side| Size::new(side, side));
    assert_eq!(Tiles::no_larger_than(first, whole, 14), None);
}

#[test]
fn tiles_of_a_fixed_size_stay_that_size() {
    let (tile, whole) = (Size::new(518, 518), Size::new(1848, 1036));
    let tiles = Tiles::of_size(tile, whole, 14);
    assert_eq!(tiles.size(), tile);
    check("fixed", tile, &tiles);
    // sides that are no multiples of the patch, and a tile that is larger one way
    let tiles = Tiles::of_size(Size::new(384, 384), Size::new(1000, 300), 14);
    assert_eq!(tiles.size(), Size::new(384, 300));
    check("odd", Size::new(384, 384), &tiles);
}

#[test]
fn a_tile_is_cut_out_of_all_planes() {
    let tiles = Tiles::of_size(Size::new(3, 2), Size::new(5, 4), 1);
    let whole: Vec<f32> = (0..60).map(|value| value as f32).collect();
    let mut out = Vec::new();
    tiles.cut(Tile { left: 2, top: 1 }, &whole, &mut out);
    let planes = [0.0, 20.0, 40.0];
    let expected: Vec<f32> = planes
        .iter()
        .flat_map(|plane| [7.0, 8.0, 9.0, 12.0, 13.0, 14.0].map(|value| value + plane))
        .collect();
    assert_eq!(out, expected);
}

#[test]
fn box_means_agree_with_the_plain_ones() {
    let (columns, rows, reach) = (11_usize, 7_usize, 2_usize);
    let values: Vec<f32> = (0..77).map(|i| ((i * 37) % 19) as f32).collect();
    let weights: Vec<f32> = (0..77).map(|i| ((i * 5) % 4) as f32 / 3.0).collect();
    let mut means = Vec::new();
    Boxes::default().mean(&values, &weights, columns, reach, &mut means);
    for y in 0..rows {
        for x in 0..columns {
            let (mut sum, mut weight) = (0.0, 0.0);
            for row in y.saturating_sub(reach)..=(y + reach).min(rows - 1) {
                for column in x.saturating_sub(reach)..=(x + reach).min(columns - 1) {
                    let at = row * columns + column;
                    sum += f64::from(values[at]) * f64::from(weights[at]);
                    weight += f64::from(weights[at]);
                }
            }
            let mean = means[y * columns + x];
            assert!(
                (f64::from(mean) - sum / weight).abs() < 1e-4,
                "{x} {y}: {mean}"
            );
        }
    }
}

/// Made of `value` at each place between 0 and 1, from corner to corner.
fn map(size: Size, value: impl Fn(f64, f64) -> f64) -> Vec<f32> {
    let share = |at: u32, side: u32| f64::from(at) / f64::from(side - 1);
    (0..size.height)
        .flat_map(|y| (0..size.width).map(move |x| (x, y)))
        .map(|(x, y)| value(share(x, size.width), share(y, size.height)) as f32)
        .collect()
}

/// All tiles of `whole`, each with a scale and a shift of its own, fused on `first`.
fn fuse(tiles: &Tiles, whole: &[f32], first: Map<'_>) -> Vec<f32> {
    let mut out = Vec::new();
    Fusion::begin(tiles, &mut out).expect("memory");
    let mut fusion = Fusion::default();
    let mut cut = Vec::new();
    for (number, tile) in tiles.iter().enumerate() {
        tiles.cut(tile, whole, &mut cut);
        let (scale, shift) = (0.4 + 0.3 * (number % 5) as f32, number as f32 - 3.0);
        cut.iter_mut()
            .for_each(|value| *value = *value * scale + shift);
        let map = Map::new(&cut, tiles.size()).expect("a map");
        fusion
            .add(tiles, tile, map, first, &mut out)
            .expect("fused");
    }
    out
}

const WHOLE: Size = Size::new(616, 392);
const FIRST: Size = Size::new(308, 196);

fn few_tiles() -> Tiles {
    let tiles = Tiles::no_larger_than(FIRST, WHOLE, 14).expect("tiles");
    assert!(tiles.count() > 3);
    tiles
}

#[test]
fn a_ramp_stays_a_ramp_across_tiles() {
    let ramp = |x: f64, y: f64| 3.0 * x + 2.0 * y;
    let (first, whole) = (map(FIRST, ramp), map(WHOLE, ramp));
    let tiles = few_tiles();
    let fused = fuse(&tiles, &whole, Map::new(&first, FIRST).expect("a map"));
    let worst = fused
        .iter()
        .zip(&whole)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    // of a range of 5
    assert!(worst < 0.02, "{worst}");
    // steps from column to column: at the borders of tiles as inside
    let width = WHOLE.width as usize;
    let step = |x: usize| -> f64 {
        let rows = fused.chunks_exact(width);
        rows.map(|row| f64::from((row[x + 1] - row[x]).abs())).sum()
    };
    let steps: Vec<f64> = (0..width - 1).map(step).collect();
    let usual = steps.iter().sum::<f64>() / steps.len() as f64;
    for tile in tiles.iter() {
        for border in [tile.left, tile.left + tiles.size().width] {
            let around = (border as usize).saturating_sub(2)..(border as usize + 2).min(width - 1);
            for x in around {
                assert!(steps[x] < 1.05 * usual, "column {x}: {} {usual}", steps[x]);
            }
        }
    }
}

#[test]
fn large_things_are_of_the_first_run_and_small_ones_of_the_tiles() {
    // fine stripes, which the first run does not see, on a hill that the tiles see wrongly
    let hill = |x: f64, y: f64| 4.0 * (-8.0 * ((x - 0.5).powi(2) + (y - 0.5).powi(2))).exp();
    let stripes = |x: f64| 0.1 * (x * 308.0 * std::f64::consts::PI / 2.0).sin();
    let first = map(FIRST, hill);
    let whole = map(WHOLE, |x, y| hill(x, y) + stripes(x) + 2.0 * x);
    let fused = fuse(
        &few_tiles(),
        &whole,
        Map::new(&first, FIRST).expect("a map"),
    );
    let truth = map(WHOLE, |x, y| hill(x, y) + stripes(x));
    let error = |map: &[f32]| {
        let off = map
            .iter()
            .zip(&truth)
            .map(|(a, b)| f64::from((a - b).abs()));
        off.sum::<f64>() / truth.len() as f64
    };
    let plain = map(WHOLE, hill);
    assert!(
        error(&fused) < 0.5 * error(&plain),
        "{} {}",
        error(&fused),
        error(&plain)
    );
    assert!(
        error(&fused) < 0.1 * error(&whole),
        "{} {}",
        error(&fused),
        error(&whole)
    );
}

#[test]
fn metres_are_kept() {
    // a wall at 3 m and one at 7, with a rough surface; tiles that are off by some metres
    let walls = |x: f64, _: f64| if x < 0.5 { 3.0 } else { 7.0 };
    let first = map(FIRST, walls);
    let rough = |x: f64, y: f64| walls(x, y) + 0.05 * (x * 900.0).sin() * (y * 700.0).cos();
    let whole = map(WHOLE, rough);
    let fused = fuse(
        &few_tiles(),
        &whole,
        Map::new(&first, FIRST).expect("a map"),
    );
    let mean = |from: usize, to: usize| {
        let width = WHOLE.width as usize;
        let rows = fused.chunks_exact(width);
        let sum: f64 = rows
            .flat_map(|row| &row[from..to])
            .map(|&v| f64::from(v))
            .sum();
        sum / ((to - from) * WHOLE.height as usize) as f64
    };
    assert!((mean(0, 280) - 3.0).abs() < 0.03, "{}", mean(0, 280));
    assert!((mean(336, 616) - 7.0).abs() < 0.03, "{}", mean(336, 616));
}

#[test]
fn what_is_not_finite_stays_where_it_is() {
    let ramp = |x: f64, y: f64| x + y;
    let mut first = map(FIRST, ramp);
    let mut whole = map(WHOLE, ramp);
    whole[100 * 616 + 300] = f32::NAN;
    whole[200 * 616 + 10] = f32::INFINITY;
    let tiles = few_tiles();
    let fused = fuse(&tiles, &whole, Map::new(&first, FIRST).expect("a map"));
    let plain = map(WHOLE, ramp);
    for (index, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
        assert!((fused - plain).abs() < 0.02, "{index}: {fused} {plain}");
    }
    // a hole in the first run stays one or is filled, but nothing else suffers
    first[50 * 308 + 50] = f32::NAN;
    let whole = map(WHOLE, ramp);
    let fused = fuse(&tiles, &whole, Map::new(&first, FIRST).expect("a map"));
    let off = fused
        .iter()
        .zip(&plain)
        .filter(|(a, b)| (*a - *b).abs().is_nan() || (*a - *b).abs() >= 0.02)
        .count();
    assert!(off <= 9, "{off}");
    // and without a first run there is nothing
    first.fill(f32::NAN);
    let fused = fuse(&tiles, &whole, Map::new(&first, FIRST).expect("a map"));
    assert!(fused.iter().all(|value| value.is_nan()));
}

#[test]
fn a_flat_picture_and_one_of_a_pixel_are_no_trouble() {
    let flat = vec![2.5; FIRST.area()];
    let whole = vec![1.0; WHOLE.area()];
    let fused = fuse(&few_tiles(), &whole, Map::new(&flat, FIRST).expect("a map"));
    assert!(fused.iter().all(|value| (value - 2.5).abs() < 1e-4));
    let dot = Size::new(1, 1);
    let tiles = Tiles::of_size(dot, dot, 14);
    assert_eq!(
        fuse(&tiles, &[7.0], Map::new(&[2.0], dot).expect("a map")),
        [2.0]
    );
}

#[test]
fn networks_whose_maps_are_smaller_than_their_pictures_are_fused_too() {
    let ramp = |x: f64, y: f64| 3.0 * x - y;
    let half = Size::new(FIRST.width / 2, FIRST.height / 2);
    let first = map(half, ramp);
    let tiles = Tiles::of_size(WHOLE, WHOLE, 14);
    let small = map(FIRST, ramp);
    let mut out = Vec::new();
    Fusion::begin(&tiles, &mut out).expect("memory");
    let (tile, first) = (
        Tile { left: 0, top: 0 },
        Map::new(&first, half).expect("a map"),
    );
    let small = Map::new(&small, FIRST).expect("a map");
    Fusion::default()
        .add(&tiles, tile, small, first, &mut out)
        .expect("fused");
    for (fused, plain) in out.iter().zip(&map(WHOLE, ramp)) {
        assert!((fused - plain).abs() < 0.02, "{fused} {plain}");
    }
}
