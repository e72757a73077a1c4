use super::*;
use crate::range::{CutDetector, Joint, Mode, Tracker};

const SIZE: Size = Size::new(64, 48);
const LIMITS: Limits = Limits { lo: 0.0, hi: 4.0 };
const STRENGTH: Strength = Strength {
    past: 0.9,
    departure: 0.05,
};
/// What the drift of what is around makes of something that is followed, of the range.
const NEXT_TO_NOTHING: f32 = 0.003;
/// The range stays as it is.
const SAME: Option<Carry> = Some(Carry(Affine {
    gain: 1.0,
    bias: 0.0,
}));

/// Normally distributed enough: a sum of four uniform numbers, of standard deviation 1.
struct Noise(u32);

impl Noise {
    fn next(&mut self) -> f32 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            sum += (self.0 >> 8) as f32 / (1 << 24) as f32 - 0.5;
        }
        sum * 3.0_f32.sqrt()
    }

    fn on(&mut self, values: &[f32], deviation: f32) -> Vec<f32> {
        values.iter().map(|v| v + deviation * self.next()).collect()
    }
}

/// A ramp with a square on it, `left` pixels from the left.
fn scene(left: Option<usize>) -> Vec<f32> {
    let width = SIZE.width as usize;
    (0..SIZE.area())
        .map(|i| {
            let (x, y) = (i % width, i / width);
            match left {
                Some(left) if (left..left + 16).contains(&x) && (16..32).contains(&y) => 3.5,
                _ => y as f32 / SIZE.height as f32 * 2.0 + x as f32 / width as f32,
            }
        })
        .collect()
}

/// The picture of a scene: what is nearer is brighter.
fn picture(scene: &[f32]) -> Vec<f32> {
    let plane = scene.iter().map(|d| d - 2.0);
    [0, 1, 2].iter().flat_map(|_| plane.clone()).collect()
}

fn seen(tensor: &[f32]) -> SmallPicture {
    SmallPicture::of(tensor, SIZE)
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    off.fold(0.0, f32::max)
}

fn mean(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}

/// A video of one scene whose depth has noise of so many shares of the range: flicker without and with the filter, and
/// the farthest that it gets from the network's own.
fn still_film(depth_noise: f32, picture_noise: f32, strength: Strength) -> [f32; 3] {
    let (mut filter, mut noise) = (TemporalFilter::default(), Noise(7));
    let scene = scene(None);
    let mut before: Option<[Vec<f32>; 2]> = None;
    let (mut flicker, mut farthest) = ([0.0; 2], 0.0_f32);
    for frame in 0..60 {
        let own = noise.on(&scene, depth_noise * 4.0);
        let mut depth = own.clone();
        let tensor = noise.on(&picture(&scene), picture_noise);
        filter.apply(&mut depth, SIZE, &seen(&tensor), LIMITS, SAME, strength);
        farthest = farthest.max(largest(&own, &depth) / 4.0);
        let now = [own, depth];
        if let Some(before) = before.filter(|_| frame > 20) {
            for way in 0..2 {
                flicker[way] += mean(&now[way], &before[way]);
            }
        }
        before = Some(now);
    }
    [flicker[0], flicker[1], farthest]
}

#[test]
fn noise_of_what_is_still_is_averaged_and_no_value_goes_far() {
    for (depth_noise, picture_noise) in [(0.002, 0.0), (0.01, 0.02), (0.01, 0.1), (0.02, 0.04)] {
        let [own, filtered, farthest] = still_film(depth_noise, picture_noise, STRENGTH);
        assert!(
            filtered < own / 3.0,
            "{depth_noise} {picture_noise}: {filtered} of {own}"
        );
        assert!(farthest < 0.05001, "{farthest}");
        assert!(farthest > depth_noise, "{farthest}");
    }
    // no more than is allowed, however much noise there is
    let strength = Strength {
        departure: 0.01,
        ..STRENGTH
    };
    let [own, filtered, farthest] = still_film(0.03, 0.0, strength);
    assert!(farthest < 0.01001 && filtered < own, "{farthest}");
}

/// Depth that rises and falls as a whole region, by more from frame to frame than single pixels may.
#[test]
fn regions_that_the_network_changes_its_mind_about_are_held() {
    let (mut filter, mut noise) = (TemporalFilter::default(), Noise(19));
    let plain = scene(None);
    let tensor = picture(&plain);
    let width = SIZE.width as usize;
    let (mut before, mut flicker): (Option<[Vec<f32>; 2]>, _) = (None, [0.0; 2]);
    for frame in 0..60 {
        // by far more than the noise of the rest, which tells a pixel by itself that something has moved
        let mind = (frame as f32 * 2.1).sin() * 0.02 * 4.0;
        let tilt =
            |i: usize| mind * (4.0 * (i % width) as f32 / width as f32 - 2.5).clamp(0.0, 1.0);
        let own: Vec<f32> = noise
            .on(&plain, 0.005)
            .into_iter()
            .enumerate()
            .map(|(i, d)| d + tilt(i))
            .collect();
        let mut depth = own.clone();
        filter.apply(&mut depth, SIZE, &seen(&tensor), LIMITS, SAME, STRENGTH);
        assert!(largest(&own, &depth) / 4.0 < 0.0501, "{frame}");
        let now = [own, depth];
        if let Some(before) = before.filter(|_| frame > 20) {
            for way in 0..2 {
                flicker[way] += mean(&now[way], &before[way]);
            }
        }
        before = Some(now);
    }
    assert!(flicker[1] < flicker[0] / 5.0, "{flicker:?}");
}

#[test]
fn quiet_films_have_narrow_gates() {
    let [_, _, farthest] = still_film(0.0005, 0.0, STRENGTH);
    assert!(farthest < 0.01, "{farthest}");
}

#[test]
fn without_weight_or_departure_nothing_changes() {
    for strength in [
        Strength {
            past: 0.0,
            ..STRENGTH
        },
        Strength {
            departure: 0.0,
            ..STRENGTH
        },
    ] {
        let [own, filtered, farthest] = still_film(0.01, 0.01, strength);
        assert_eq!((own, farthest), (filtered, 0.0), "{strength:?}");
    }
}

#[test]
fn what_moves_is_followed_at_once() {
    let (mut filter, mut noise) = (TemporalFilter::default(), Noise(3));
    for frame in 0..40 {
        let scene = scene((frame >= 20).then(|| (frame - 20) * 2));
        let own = noise.on(&scene, 0.02);
        let mut depth = own.clone();
        let tensor = picture(&scene);
        filter.apply(&mut depth, SIZE, &seen(&tensor), LIMITS, SAME, STRENGTH);
        if frame < 20 {
            continue;
        }
        // where the square is, and where it has been a frame ago
        let left = (frame - 20) * 2;
        let row = 24 * SIZE.width as usize;
        for x in left.saturating_sub(2)..(left + 16).min(64) {
            let came = x < left || x + 2 >= left + 16 || frame == 20;
            if came {
                let off = (depth[row + x] - own[row + x]).abs() / 4.0;
                assert!(off < NEXT_TO_NOTHING, "{frame} {x}: {off}");
            }
        }
    }
}

#[test]
fn a_step_in_depth_alone_is_followed_at_once_and_a_small_one_closely() {
    let plain = scene(None);
    let tensor = picture(&plain);
    for (step, at_once) in [(2.0, true), (0.45, true), (0.1, false)] {
        let (mut filter, mut noise) = (TemporalFilter::default(), Noise(11));
        for frame in 0..30 {
            let moved = if frame >= 20 { step } else { 0.0 };
            let own: Vec<f32> = noise
                .on(&plain, 0.02)
                .iter()
                .map(|depth| depth + moved)
                .collect();
            let mut depth = own.clone();
            filter.apply(&mut depth, SIZE, &seen(&tensor), LIMITS, SAME, STRENGTH);
            if frame >= 20 {
                assert!(largest(&own, &depth) <= 0.2001, "{step} {frame}");
            }
            if frame == 20 && at_once {
                let followed =
                    |(own, depth): (&f32, &f32)| (own - depth).abs() / 4.0 < NEXT_TO_NOTHING;
                let followed = own
                    .iter()
                    .zip(&depth)
                    .filter(|pair| followed(*pair))
                    .count();
                assert!(followed * 10 > own.len() * 9, "{step}: {followed}");
            }
        }
    }
}

#[test]
fn it_starts_afresh_without_a_carry_at_another_size_and_when_told() {
    let mut noise = Noise(5);
    let mut filter = TemporalFilter::default();
    let mut untouched = |filter: &mut TemporalFilter, carry, size: Size| {
        let plane = vec![1.0; size.area()];
        let tensor = vec![0.0; 3 * size.area()];
        let own = noise.on(&plane, 0.02);
        let mut depth = own.clone();
        let picture = SmallPicture::of(&tensor, size);
        filter.apply(&mut depth, size, &picture, LIMITS, carry, STRENGTH);
        own == depth
    };
    assert!(untouched(&mut filter, SAME, SIZE), "there is no past");
    assert!(!untouched(&mut filter, SAME, SIZE));
    assert!(untouched(&mut filter, None, SIZE), "a cut");
    assert!(!untouched(&mut filter, SAME, SIZE));
    let other = Size::new(30, 20);
    assert!(untouched(&mut filter, SAME, other), "another size");
    assert!(!untouched(&mut filter, SAME, other));
    filter.restart();
    assert!(untouched(&mut filter, SAME, other), "a flush");
}

#[test]
fn values_that_are_not_finite_stay_and_are_forgotten() {
    let (mut filter, mut noise) = (TemporalFilter::default(), Noise(9));
    let scene = scene(None);
    let tensor = picture(&scene);
    for frame in 0..20 {
        let mut own = noise.on(&scene, 0.02);
        if frame % 5 == 4 {
            own[100] = f32::NAN;
            own[200] = f32::INFINITY;
            own[300] = f32::NEG_INFINITY;
        }
        let mut depth = own.clone();
        filter.apply(&mut depth, SIZE, &seen(&tensor), LIMITS, SAME, STRENGTH);
        for (own, depth) in own.iter().zip(&depth) {
            if own.is_finite() {
                assert!((own - depth).abs() < 0.2001, "{frame}");
            } else {
                assert_eq!(own.to_bits(), depth.to_bits(), "{frame}");
            }
        }
    }
}

#[test]
fn the_range_may_move() {
    // the network's scale, and the range, change with each frame: the carry says how
    let (mut filter, mut tracker) = (TemporalFilter::default(), Tracker::default());
    let mut cuts = CutDetector::default();
    let mut noise = Noise(13);
    let plain = scene(None);
    let tensor = picture(&plain);
    let (mut before, mut flicker): (Option<[Vec<f32>; 2]>, _) = (None, [0.0; 2]);
    for frame in 0..40 {
        let wander = (frame as f32 * 1.7).sin();
        // something that comes and goes stretches the range
        let mut scene = noise.on(&plain, 0.02);
        if (10..30).contains(&frame) {
            scene[..64].fill(4.5);
        }
        let own: Vec<f32> = scene
            .iter()
            .map(|d| (5.0 + 2.0 * wander) * d + wander)
            .collect();
        let mut depth = own.clone();
        tracker.see(cuts.look(&seen(&tensor), Joint::Next));
        let limits = tracker.follow(&own, SIZE, Mode::Smooth { past: 0.9 });
        filter.apply(
            &mut depth,
            SIZE,
            &seen(&tensor),
            limits,
            tracker.carry(),
            STRENGTH,
        );
        let shown = |depth: &[f32]| -> Vec<f32> {
            let show = |d: &f32| ((f64::from(*d) - limits.lo) / limits.span()) as f32;
            depth[64..].iter().map(show).collect()
        };
        assert!(largest(&shown(&own), &shown(&depth)) < 0.0501, "{frame}");
        let now = [shown(&own), shown(&depth)];
        // not where the range itself is on its way
        let settled = !(9..16).contains(&frame) && frame > 3 && frame < 30;
        if let Some(before) = before.filter(|_| settled) {
            for way in 0..2 {
                flicker[way] += mean(&now[way], &before[way]);
            }
        }
        before = Some(now);
    }
    assert!(flicker[1] < flicker[0] / 2.0, "{flicker:?}");
}

#[test]
fn depth_of_another_size_than_the_picture() {
    let picture_size = Size::new(98, 70);
    let tensor = vec![0.5; 3 * picture_size.area()];
    for size in [Size::new(32, 24), Size::new(1, 1), Size::new(200, 3)] {
        let (mut filter, mut noise) = (TemporalFilter::default(), Noise(17));
        let plane = vec![1.0; size.area()];
        let picture = SmallPicture::of(&tensor, picture_size);
        let mut last = [plane.clone(), plane.clone()];
        let mut flicker = [0.0; 2];
        for _ in 0..40 {
            let own = noise.on(&plane, 0.02);
            let mut depth = own.clone();
            filter.apply(&mut depth, size, &picture, LIMITS, SAME, STRENGTH);
            let now = [own, depth];
            for way in 0..2 {
                flicker[way] += mean(&now[way], &last[way]);
            }
            last = now;
        }
        assert!(flicker[1] < flicker[0] / 1.5, "{size}: {flicker:?}");
    }
}

#[test]
fn what_does_not_fit_is_left_alone() {
    let mut filter = TemporalFilter::default();
    let limits = [
        LIMITS,
        Limits { lo: 1.0, hi: 1.0 },
        Limits {
            lo: f64::NAN,
            hi: 2.0,
        },
    ];
    for (values, size, tensor, limits) in [
        (5, Size::new(2, 2), 12, limits[0]),
        (4, Size::new(2, 2), 11, limits[0]),
        (0, Size::new(0, 2), 0, limits[0]),
        (4, Size::new(2, 2), 12, limits[1]),
        (4, Size::new(2, 2), 12, limits[2]),
    ] {
        let mut depth = vec![1.0; values];
        let tensor = vec![0.0; tensor];
        for _ in 0..3 {
            let picture = SmallPicture::of(&tensor, size);
            filter.apply(&mut depth, size, &picture, limits, SAME, STRENGTH);
            assert_eq!(depth, vec![1.0; values]);
        }
    }
}

#[test]
fn the_variants_give_the_same_bits() {
    for size in [SIZE, Size::new(37, 19), Size::new(3, 2)] {
        let mut noise = Noise(21);
        let mut filters = [true, false].map(|fast| TemporalFilter {
            variant: if fast {
                Variant::default()
            } else {
                Variant::PLAIN
            },
            ..TemporalFilter::default()
        });
        for _ in 0..8 {
            let own = noise.on(&vec![1.0; size.area()], 0.05);
            let tensor = noise.on(&vec![0.0; 3 * size.area()], 0.1);
            let depths = filters.each_mut().map(|filter| {
                let mut depth = own.clone();
                let picture = SmallPicture::of(&tensor, size);
                filter.apply(&mut depth, size, &picture, LIMITS, SAME, STRENGTH);
                depth.iter().map(|d| d.to_bits()).collect::<Vec<_>>()
            });
            assert_eq!(depths[0], depths[1], "{size}");
        }
    }
}
