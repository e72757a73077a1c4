use super::*;
use crate::geometry::Size;

const SIZE: Size = Size::new(112, 84);

/// A smooth picture that depends on `seed`, shifted by `shift` pixels, its contrast and brightness changed.
fn picture(seed: f32, shift: f32, [contrast, brightness]: [f32; 2]) -> Colours {
    let mut tensor = Vec::with_capacity(3 * SIZE.area());
    for channel in 0..3 {
        for y in 0..SIZE.height {
            for x in 0..SIZE.width {
                let (x, y) = (x as f32 + shift, y as f32);
                let phase = seed * (1.0 + channel as f32);
                let wave = (x * 0.09 + phase).sin() + (y * 0.11 - phase * 1.7).cos();
                tensor.push(contrast * wave + brightness);
            }
        }
    }
    Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
}

const PLAIN: [f32; 2] = [1.0, 0.0];

fn changes(pictures: impl IntoIterator<Item = Colours>) -> Vec<(usize, Change)> {
    let mut detector = CutDetector::default();
    let changes = pictures
        .into_iter()
        .map(|picture| detector.compare(&picture, Joint::Next));
    changes
        .enumerate()
        .filter(|(_, change)| *change != Change::None)
        .collect()
}

#[test]
fn a_pan_is_one_scene() {
    for speed in [1.0, 3.0, 12.0] {
        let pan = (0..50).map(|frame| picture(1.0, frame as f32 * speed, PLAIN));
        assert_eq!(changes(pan), [], "{speed} pixels a frame");
    }
    // one that starts in the middle, as fast as it goes
    let whip = (0..20).map(|frame| picture(1.0, (frame - 10).max(0) as f32 * 14.0, PLAIN));
    assert_eq!(changes(whip), []);
}

#[test]
fn a_cut_is_seen_at_its_frame_and_only_there() {
    let film = (0..40).map(|frame| {
        let seed = if frame < 20 { 1.0 } else { 4.0 };
        picture(seed, frame as f32, PLAIN)
    });
    assert_eq!(changes(film), [(20, Change::Cut)]);
}

#[test]
fn where_the_camera_stands_what_fills_half_of_the_picture_is_no_cut() {
    // a bare floor, at a few frames a second, and something dark and large that is there at once and goes
    let still = |thing: bool, light: f32| {
        let mut tensor = Vec::with_capacity(3 * SIZE.area());
        for channel in 0..3 {
            for y in 0..SIZE.height {
                for x in 0..SIZE.width {
                    let floor = 0.3 * (x as f32 * 0.05).sin() + 0.2 * (y as f32 * 0.08).cos();
                    let inside = thing && (30..90).contains(&x) && y > 10;
                    let stripes = -1.8 + 0.6 * (x as f32 * 0.4 + channel as f32).sin();
                    tensor.push(light + if inside { stripes } else { floor });
                }
            }
        }
        Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
    };
    // the exposure follows
    let film = (0..20_i32).map(|frame| still((7..13).contains(&frame), -0.1 * (frame % 4) as f32));
    assert_eq!(changes(film), []);
    // bars are no camera that stands
    let barred = |seed| {
        let mut tensor = Vec::with_capacity(3 * SIZE.area());
        let inner = picture(seed, 0.0, PLAIN);
        for channel in 0..3 {
            for y in 0..SIZE.height {
                for x in 0..SIZE.width {
                    let cell = (y * 48 / SIZE.height * 64 + x * 64 / SIZE.width) as usize;
                    let bar = !(24..60).contains(&y);
                    tensor.push(if bar {
                        -0.1
                    } else {
                        inner.plane(channel)[cell]
                    });
                }
            }
        }
        Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
    };
    let film = (0..20).map(|frame| barred(if frame < 10 { 1.0 } else { 4.0 }));
    assert_eq!(changes(film), [(10, Change::Cut)]);
}

#[test]
fn what_comes_from_elsewhere_has_to_resemble_what_was_before() {
    // farther than a pan goes, so that half of the waves are out of step
    let [before, other] = [2.0, 37.0].map(|shift| picture(1.0, shift, PLAIN));
    let resembles = resemblance(&thumbnail(&before), &thumbnail(&other));
    assert!((0.6..GOES_ON).contains(&resembles), "{resembles}");
    for (joint, change) in [(Joint::Next, Change::None), (Joint::Elsewhere, Change::Cut)] {
        let mut detector = CutDetector::default();
        detector.compare(&picture(1.0, 0.0, PLAIN), Joint::Next);
        assert_eq!(
            detector.compare(&picture(1.0, 2.0, PLAIN), joint),
            Change::None
        );
        assert_eq!(detector.compare(&other, joint), change);
    }
}

/// As the sea and a road under the same sky are.
#[test]
fn scenes_lit_alike_are_told_by_their_colours() {
    let lit = |frame: u32, sea: bool, light: f32| {
        let (tint, length) = if sea {
            (0.5, [0.2, 0.0])
        } else {
            (-0.5, [0.37, 0.5])
        };
        let mut tensor = Vec::with_capacity(3 * SIZE.area());
        for channel in [1.0, 0.0, -1.0] {
            for y in 0..SIZE.height {
                for x in 0..SIZE.width {
                    let sky = 5.0 * y as f32 / SIZE.height as f32 - 2.5;
                    let wave = (x + frame) as f32 * length[0] + y as f32 * length[1];
                    let wave = 0.6 * wave.sin();
                    tensor.push(light * (sky + wave + channel * tint));
                }
            }
        }
        Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
    };
    let film = |frame: u32| {
        // a flash in each of them
        lit(frame, frame < 10, if frame % 10 == 5 { 0.5 } else { 1.0 })
    };
    let [last, first] = [film(9), film(10)].map(|picture| thumbnail(&picture));
    assert!(resemblance(&last, &first) > 0.75);
    assert_eq!(changes((0..20).map(film)), [(10, Change::Cut)]);
}

#[test]
fn dark_scenes_have_cuts_too() {
    let film = (0..20).map(|frame| {
        let seed = if frame < 10 { 1.0 } else { 4.0 };
        picture(seed, frame as f32, [0.3, -1.8])
    });
    assert_eq!(changes(film), [(10, Change::Cut)]);
}

#[test]
fn flashes_and_fades_are_not_cuts() {
    let flash = (0..10).map(|frame| {
        let light = if frame == 5 { [0.4, 2.0] } else { PLAIN };
        picture(1.0, frame as f32, light)
    });
    assert_eq!(changes(flash), []);
    // to black and back again
    let fade = (0..60).map(|frame: i32| {
        let light = ((frame - 30).abs() as f32 / 20.0).min(1.0);
        picture(1.0, frame as f32, [light, 2.0 * light - 2.0])
    });
    assert_eq!(changes(fade), []);
}

#[test]
fn after_a_frame_of_white_it_is_the_same_scene_again() {
    let film = (0..20).map(|frame| {
        let light = if (8..10).contains(&frame) {
            [0.0, 2.0]
        } else {
            PLAIN
        };
        picture(1.0, frame as f32, light)
    });
    assert_eq!(changes(film), [(8, Change::Cut), (10, Change::Back)]);
}

#[test]
fn every_frame_may_be_a_cut() {
    let film = (0..20).map(|frame| picture(1.0 + 2.7 * frame as f32, 0.0, PLAIN));
    let cuts = changes(film);
    assert!(cuts.len() > 15, "{cuts:?}");
    let two_in_turn = (0..20).map(|frame| picture([1.0, 4.0][frame % 2], 0.0, PLAIN));
    let cuts = changes(two_in_turn);
    assert_eq!(cuts.len(), 19);
    assert_eq!(cuts[0].1, Change::Cut);
    assert!(cuts[1..].iter().all(|(_, change)| *change == Change::Back));
}

#[test]
fn noise_in_the_dark_is_no_cut() {
    let noise = (0..50_u32).map(|frame| {
        let mut state = frame.wrapping_mul(0x9e37_79b9) | 1;
        let tensor: Vec<f32> = (0..3 * SIZE.area())
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) as f32 / (1 << 24) as f32 * 0.2 - 2.1
            })
            .collect();
        Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
    });
    assert_eq!(changes(noise), []);
}

/// A picture with detail of all sizes, seen from `[x, y]` of it, in light of a colour.
fn view(seed: u32, [left, top]: [f32; 2], light: [f32; 3]) -> Colours {
    let mut tensor = Vec::with_capacity(3 * SIZE.area());
    for (channel, light) in light.into_iter().enumerate() {
        for y in 0..SIZE.height {
            for x in 0..SIZE.width {
                let (x, y) = (x as f32 + left, y as f32 + top);
                let mut value = 0.0;
                for wave in 0..12_u32 {
                    let number = (seed * 97 + wave * 31) as f32;
                    let angle = number * 2.4;
                    let length = 0.03 + 0.22 * (number * 0.618).fract();
                    let phase = number * 1.7 + 0.4 * channel as f32;
                    value += ((x * angle.cos() + y * angle.sin()) * length + phase).sin();
                }
                // from black on, as light is
                tensor.push(light * (value * 0.35 + 1.8) - 1.9);
            }
        }
    }
    Colours::of(&SmallPicture::of(&tensor, SIZE)).unwrap()
}

const WHITE: [f32; 3] = [1.0; 3];

#[test]
fn a_camera_that_whips_around_is_one_scene() {
    // a third of the picture from one frame to the next, either way
    for direction in [[1.0, 0.0], [0.0, 1.0], [-0.8, 0.4], [0.3, -0.9]] {
        let speed = [0.0, 0.0, 0.1, 0.3, 0.3, 0.3, 0.3, 0.1, 0.0, 0.0];
        let mut at = [0.0, 0.0];
        let film = speed.map(|speed| {
            at = [
                at[0] + direction[0] * speed * SIZE.width as f32,
                at[1] + direction[1] * speed * SIZE.height as f32,
            ];
            view(1, at, WHITE)
        });
        assert_eq!(changes(film), [], "{direction:?}");
    }
}

#[test]
fn light_that_is_switched_is_no_cut() {
    for other in [[0.2; 3], [1.0, 0.4, 0.3], [0.3, 0.5, 1.0]] {
        let film = (0..20).map(|frame| {
            let light = if frame < 10 { WHITE } else { other };
            view(1, [frame as f32, 0.0], light)
        });
        assert_eq!(changes(film), [], "{other:?}");
    }
    // and a cut when it is dark is one
    let film = (0..20).map(|frame| view(1 + frame / 10, [frame as f32, 0.0], [0.2; 3]));
    assert_eq!(changes(film), [(10, Change::Cut)]);
}

#[test]
fn a_fade_through_black_ends_in_another_scene_or_in_the_same() {
    for other in [1, 2] {
        let film = (0..120_u32).map(|frame| {
            let light = (frame.abs_diff(60) as f32 / 30.0 - 0.2).clamp(0.0, 1.0);
            view(
                if frame < 60 { 1 } else { other },
                [0.1 * frame as f32, 0.0],
                [light; 3],
            )
        });
        let found = changes(film);
        match other {
            1 => assert_eq!(found, []),
            _ => assert!(matches!(found[..], [(60..80, Change::Cut)]), "{found:?}"),
        }
    }
}

#[test]
fn what_passes_close_by_is_followed_by_the_scene_before() {
    let film = (0..60).map(|frame| match frame {
        20..45 => view(2, [20.0 * frame as f32, 0.0], [0.3; 3]),
        _ => view(1, [0.2 * frame as f32, 0.0], WHITE),
    });
    let found = changes(film);
    assert_eq!(found.first(), Some(&(20, Change::Cut)), "{found:?}");
    assert_eq!(found.last(), Some(&(45, Change::Back)), "{found:?}");
}
