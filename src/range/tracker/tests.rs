use super::*;
use crate::frame::SmallPicture;
use crate::range::{CutDetector, Joint};

const SIZE: Size = Size::new(128, 96);
/// A tracker that sees pictures as the element does.
#[derive(Default)]
struct Seeing {
    tracker: Tracker,
    cuts: CutDetector,
}

impl Seeing {
    fn see(&mut self, tensor: &[f32], size: Size) {
        self.join(tensor, size, Joint::Next);
    }

    fn join(&mut self, tensor: &[f32], size: Size, joint: Joint) {
        self.tracker
            .see(self.cuts.look(&SmallPicture::of(tensor, size), joint));
    }
}

impl std::ops::Deref for Seeing {
    type Target = Tracker;

    fn deref(&self) -> &Tracker {
        &self.tracker
    }
}

impl std::ops::DerefMut for Seeing {
    fn deref_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }
}

const SMOOTH: Mode = Mode::Smooth { past: 0.9 };

const fn limits(lo: f64, hi: f64) -> Limits {
    Limits { lo, hi }
}

/// A scene with depth from 0 to 1, and a square of another depth in it, `right` pixels from the left.
fn scene(size: Size, square: Option<(u32, f32)>) -> Vec<f32> {
    let mut depth = Vec::with_capacity(size.area());
    for y in 0..size.height {
        for x in 0..size.width {
            let (u, v) = (x as f32 / size.width as f32, y as f32 / size.height as f32);
            let ground = (0.8 * v + 0.2 * (9.0 * u).sin().abs()).clamp(0.0, 1.0);
            let inside = |left: u32| {
                let left = left as f32 / SIZE.width as f32;
                (left..left + 0.25).contains(&u) && (0.3..0.7).contains(&v)
            };
            depth.push(match square {
                Some((left, value)) if inside(left) => value,
                _ => ground,
            });
        }
    }
    depth
}

/// A picture of it: what is nearer is brighter.
fn picture(depth: &[f32]) -> Vec<f32> {
    [1.0, 0.7, 0.4]
        .iter()
        .flat_map(|&tint| depth.iter().map(move |d| tint * (2.0 * d - 1.0)))
        .collect()
}

/// The model's view of `scene` in a frame: its scale and shift are different each time.
fn model(scene: &[f32], frame: usize) -> Vec<f32> {
    let wander = (frame as f32 * 2.3).sin();
    let (gain, bias) = (5.0 + 2.0 * wander, 3.0 * wander * wander);
    scene.iter().map(|d| gain * d + bias).collect()
}

/// What is shown of `depth`, 0…1.
fn shown(depth: &[f32], limits: Limits) -> Vec<f64> {
    depth
        .iter()
        .map(|&d| ((f64::from(d) - limits.lo) / limits.span()).clamp(0.0, 1.0))
        .collect()
}

/// Runs scenes through a tracker as the element does; what is shown of each, and its scene.
fn run(scenes: impl IntoIterator<Item = Vec<f32>>, mode: Mode) -> Vec<(Vec<f64>, u32)> {
    let mut tracker = Seeing::default();
    let frames = scenes.into_iter().enumerate().map(|(frame, scene)| {
        let depth = model(&scene, frame);
        tracker.see(&picture(&scene), SIZE);
        let limits = tracker.follow(&depth, SIZE, mode);
        (shown(&depth, limits), tracker.scene())
    });
    frames.collect()
}

/// Farthest that any sample of the lowest quarter, where nothing moves, is from what it was at first.
fn unrest(frames: &[(Vec<f64>, u32)]) -> f64 {
    let still = SIZE.area() * 3 / 4..;
    let off = frames.iter().flat_map(|(now, _)| {
        let pairs = now[still.clone()].iter().zip(&frames[0].0[still.clone()]);
        pairs.map(|(now, first)| (now - first).abs())
    });
    off.fold(0.0, f64::max)
}

#[test]
fn frame_has_no_memory() {
    let mut tracker = Seeing::default();
    tracker.follow(&[0.0, 100.0], Size::new(2, 1), Mode::Frame);
    let second = tracker.follow(&[1.0, 2.0], Size::new(2, 1), Mode::Frame);
    assert_eq!(second, limits(1.0, 2.0));
}

#[test]
fn the_first_frame_has_its_own_range() {
    let depth = model(&scene(SIZE, None), 0);
    let own = Limits::of(&depth).unwrap();
    let smooth = Tracker::default().follow(&depth, SIZE, SMOOTH);
    assert!(
        (smooth.lo - own.lo).abs() < 0.03 * own.span(),
        "{smooth:?} {own:?}"
    );
    assert!(
        (smooth.hi - own.hi).abs() < 0.03 * own.span(),
        "{smooth:?} {own:?}"
    );
}

#[test]
fn scale_and_shift_of_the_model_do_not_show() {
    let frames = run((0..60).map(|_| scene(SIZE, None)), SMOOTH);
    assert!(unrest(&frames) < 1e-3, "{}", unrest(&frames));
    // while nothing is held, in mid-range, when each frame has its own: the extremes are the same here, so take a
    // frame without them
    let mut tracker = Seeing::default();
    let mut seen = Vec::new();
    for frame in 0..10 {
        let mut depth = scene(SIZE, None);
        if frame % 2 == 1 {
            // the nearest things are hidden
            for value in &mut depth {
                *value = value.min(0.7);
            }
        }
        let depth = model(&depth, frame);
        let limits = tracker.follow(&depth, SIZE, SMOOTH);
        seen.push(shown(&depth, limits)[SIZE.area() / 2]);
    }
    let spread = seen
        .iter()
        .fold(0.0_f64, |most, v| most.max((v - seen[0]).abs()));
    assert!(spread < 0.01, "{seen:?}");
}

#[test]
fn what_is_still_keeps_its_value_while_another_thing_comes_and_goes() {
    let film = (0..90_u32).map(|frame| {
        let passing = (20..70).contains(&frame).then(|| ((frame - 20) * 2, 0.97));
        scene(SIZE, passing)
    });
    let frames = run(film, SMOOTH);
    assert!(unrest(&frames) < 0.01, "{}", unrest(&frames));
    assert!(frames.iter().all(|(_, scene)| *scene == 0));
}

#[test]
fn a_step_is_followed_within_five_frames() {
    // something comes up that is half as near again as all else
    let film = (0..40).map(|frame| scene(SIZE, (frame >= 20).then_some((40, 1.5))));
    let frames = run(film, SMOOTH);
    let square = SIZE.area() / 2 + 56;
    let near = |frame: usize| frames[frame].0[square];
    // shown as nearer than the ground, which is 1, by what it should be
    let ground = |frame: usize| {
        let lowest = &frames[frame].0[SIZE.area() - SIZE.width as usize..];
        lowest.iter().copied().fold(0.0, f64::max)
    };
    let settled = near(39) - ground(39);
    assert!(settled > 0.25, "{settled}");
    assert!(
        near(25) - ground(25) > 0.9 * settled,
        "{} {settled}",
        near(25) - ground(25)
    );
}

#[test]
fn a_cut_is_followed_at_once() {
    let film = (0..20).map(|frame| {
        let depth = scene(SIZE, Some((10, 0.9)));
        if frame < 10 {
            depth
        } else {
            // another scene: upside down, the wrong way round, and in another range
            depth.into_iter().rev().map(|d| 0.2 + 0.3 * d).collect()
        }
    });
    let frames = run(film, SMOOTH);
    assert_eq!((frames[9].1, frames[10].1), (0, 1));
    let (low, high) = frames[10]
        .0
        .iter()
        .fold((1.0_f64, 0.0_f64), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
    assert!(low < 0.01 && high > 0.99, "{low} {high}");
}

#[test]
fn after_a_flash_everything_has_its_value_again() {
    let mut tracker = Seeing::default();
    let depth = scene(SIZE, None);
    let white = vec![2.5; 3 * SIZE.area()];
    let mut scenes = Vec::new();
    let mut values = Vec::new();
    for frame in 0..20 {
        let flash = frame == 10;
        let plain = picture(&depth);
        tracker.see(if flash { &white } else { &plain }, SIZE);
        // of a white frame the model makes something else
        let depth = if flash {
            vec![77.0; SIZE.area()]
        } else {
            model(&depth, frame)
        };
        let limits = tracker.follow(&depth, SIZE, SMOOTH);
        values.push(shown(&depth, limits)[SIZE.area() / 2]);
        scenes.push(tracker.scene());
    }
    assert_eq!(
        [scenes[9], scenes[10], scenes[11], scenes[19]],
        [0, 1, 0, 0]
    );
    assert!((values[19] - values[0]).abs() < 1e-3, "{values:?}");
    assert!((values[11] - values[0]).abs() < 1e-3, "{values:?}");
}

#[test]
fn another_resolution_is_the_same_scene() {
    let mut tracker = Seeing::default();
    let mut lowest = Vec::new();
    for frame in 0..20 {
        let size = if frame < 10 {
            SIZE
        } else {
            Size::new(252, 189)
        };
        let scene = scene(size, None);
        let depth = model(&scene, frame);
        tracker.see(&picture(&scene), size);
        let limits = tracker.follow(&depth, size, SMOOTH);
        lowest.push(shown(&depth, limits)[size.area() - size.width as usize / 2]);
    }
    for value in &lowest {
        assert!((value - lowest[0]).abs() < 0.01, "{lowest:?}");
    }
    assert_eq!(tracker.scene(), 0);
}

#[test]
fn smoothing_is_none_or_for_ever_at_its_ends() {
    let film = || (0..30).map(|frame| scene(SIZE, (frame >= 15).then_some((40, 1.5))));
    let none = run(film(), Mode::Smooth { past: 0.0 });
    assert_eq!(none, run(film(), Mode::Frame));
    let for_ever = run(film(), Mode::Smooth { past: 1.0 });
    assert!(unrest(&for_ever) < 1e-3, "{}", unrest(&for_ever));
}

#[test]
fn it_starts_afresh_and_counts_scenes_with_frames() {
    let mut tracker = Seeing::default();
    tracker.restart();
    tracker.restart();
    assert_eq!(tracker.scene(), 0);
    tracker.follow(&scene(SIZE, None), SIZE, SMOOTH);
    tracker.restart();
    assert_eq!(tracker.scene(), 1);
    let other = [5.0, 6.0];
    assert_eq!(
        tracker.follow(&other, Size::new(2, 1), SMOOTH),
        limits(5.0, 6.0)
    );
}

#[test]
fn bad_values_are_left_out() {
    let clean = run((0..30).map(|_| scene(SIZE, None)), SMOOTH);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tracker = Seeing::default();
        for (frame, (clean, _)) in clean.iter().enumerate() {
            let scene = scene(SIZE, None);
            let mut depth = model(&scene, frame);
            // a patch that wanders
            for y in 10..40 {
                for x in 0..30 {
                    depth[y * SIZE.width as usize + x + 3 * frame] = bad;
                }
            }
            tracker.see(&picture(&scene), SIZE);
            let limits = tracker.follow(&depth, SIZE, SMOOTH);
            let now = shown(&depth, limits);
            let place = SIZE.area() - 1;
            assert!((now[place] - clean[place]).abs() < 1e-3, "{bad} {frame}");
        }
    }
}

#[test]
fn a_frame_without_values_keeps_the_range() {
    let mut tracker = Seeing::default();
    let depth = scene(SIZE, None);
    let first = tracker.follow(&depth, SIZE, SMOOTH);
    assert_eq!(
        tracker.follow(&[f32::NAN; 4], Size::new(2, 2), SMOOTH),
        first
    );
    let next = tracker.follow(&depth, SIZE, SMOOTH);
    assert!((next.lo - first.lo).abs() < 1e-6 && (next.hi - first.hi).abs() < 1e-6);
    let empty = Tracker::default().follow(&[], Size::new(0, 0), SMOOTH);
    assert_eq!(empty, limits(0.0, 0.0));
}

#[test]
fn flat_frames_do_no_harm() {
    // all the time
    let mut tracker = Seeing::default();
    for _ in 0..5 {
        assert_eq!(
            tracker.follow(&[4.0; 4], Size::new(2, 2), SMOOTH),
            limits(4.0, 4.0)
        );
    }
    // and then something is seen
    let found = tracker.follow(&scene(SIZE, None), SIZE, SMOOTH);
    assert!(found.span() > 0.9);
    // in the middle of a scene
    let frames: Vec<Limits> = (0..30)
        .map(|frame| {
            let depth = if (10..20).contains(&frame) {
                vec![0.5; SIZE.area()]
            } else {
                scene(SIZE, None)
            };
            tracker.follow(&depth, SIZE, SMOOTH)
        })
        .collect();
    for now in &frames {
        assert!((now.lo - frames[0].lo).abs() < 0.01 && (now.hi - frames[0].hi).abs() < 0.01);
    }
}

#[test]
fn fixed_is_what_was_given_and_the_estimate_goes_on() {
    let mut tracker = Seeing::default();
    let given = limits(-1.0, 1.0);
    let depth = model(&scene(SIZE, None), 3);
    assert_eq!(tracker.follow(&depth, SIZE, Mode::Fixed(given)), given);
    let smooth = tracker.follow(&depth, SIZE, SMOOTH);
    let own = Limits::of(&depth).unwrap();
    assert!((smooth.hi - own.hi).abs() < 0.05 * own.span());
}

#[test]
fn numbers_of_any_magnitude() {
    for magnitude in [1e-30_f32, 1e-6, 1e6, 1e30] {
        let mut tracker = Seeing::default();
        let depth: Vec<f32> = scene(SIZE, None).iter().map(|d| d * magnitude).collect();
        let first = tracker.follow(&depth, SIZE, SMOOTH);
        let second = tracker.follow(&depth, SIZE, SMOOTH);
        assert!(
            (second.span() / first.span() - 1.0).abs() < 1e-3,
            "{magnitude}"
        );
        assert!(
            (first.hi / f64::from(magnitude) - 1.0).abs() < 0.1,
            "{magnitude}"
        );
    }
}

/// Frames of a camera that stands: between 20 and 140 somebody is there, and the network judges all else nearer
/// meanwhile, the more the farther to the left. The picture has noise. Gives the farthest that what is shown at the lower right is off, while he is there
/// and when he has gone, after frame 150.
fn visit(noise: f32) -> [f64; 2] {
    let mut tracker = Seeing::default();
    let mut seed = 1_u32;
    let (mut first, mut off) = (None, [0.0_f64; 2]);
    for frame in 0..170 {
        let there = (20..140).contains(&frame);
        let mut depth = scene(SIZE, there.then_some((60, 0.9)));
        let picture: Vec<f32> = picture(&depth)
            .into_iter()
            .map(|value| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                value + noise * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect();
        let width = SIZE.width as usize;
        for row in depth.chunks_exact_mut(width).filter(|_| there) {
            for (x, value) in row.iter_mut().enumerate() {
                *value += 0.12 * (1.0 - x as f32 / width as f32).powi(2);
            }
        }
        tracker.see(&picture, SIZE);
        let limits = tracker.follow(&depth, SIZE, SMOOTH);
        let place = SIZE.area() - width / 10;
        let now = shown(&depth[place..], limits)[0];
        let first = *first.get_or_insert(now);
        let when = usize::from(frame >= 150);
        off[when] = off[when].max((now - first).abs());
    }
    off
}

#[test]
fn what_is_judged_anew_while_somebody_is_there_leaves_no_trace() {
    let [meanwhile, after] = visit(0.0);
    assert!(meanwhile < 0.08, "{meanwhile}");
    assert!(after < 0.005, "{after}");
}

#[test]
fn noise_of_the_picture_is_no_other_scene() {
    let [meanwhile, after] = visit(0.25);
    assert!(meanwhile < 0.08, "{meanwhile}");
    assert!(after < 0.005, "{after}");
}

#[test]
fn what_hides_nearly_all_for_a_moment_leaves_no_trace() {
    let mut tracker = Tracker::default();
    let plain = scene(SIZE, None);
    let width = SIZE.width as usize;
    let mut limits = Vec::new();
    for frame in 0..70_usize {
        // from the left, and back again
        let covered = (9 - (frame as isize - 25).unsigned_abs().min(9)) * width / 10;
        let mut depth = plain.clone();
        for row in depth.chunks_exact_mut(width) {
            row[..covered].fill(1.8);
        }
        let picture = Colours::of(&SmallPicture::of(&picture(&depth), SIZE));
        tracker.see(Compared {
            picture,
            change: Change::None,
        });
        limits.push(tracker.follow(&depth, SIZE, SMOOTH));
    }
    assert!(
        limits[27].hi > 1.5,
        "it is nearer than all: {:?}",
        limits[27]
    );
    let [first, last] = [limits[0], limits[69]];
    let off = (last.hi - first.hi).abs().max((last.lo - first.lo).abs());
    assert!(off < 0.06, "{first:?} {last:?}");
}
