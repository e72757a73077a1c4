use super::*;

/// A picture with texture of all sizes, at `at` of a larger one, turned and grown around its middle.
fn picture(size: Size, at: Vector, grow: f32, noise: f32) -> Vec<f32> {
    let mut state = 1_u32.wrapping_add((at[0] * 64.0) as i32 as u32);
    let middle = [size.width, size.height].map(|side| 0.5 * side as f32);
    (0..size.area())
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let (x, y) = (i % size.width as usize, i / size.width as usize);
            let x = (x as f32 - middle[0]) * grow + middle[0] + at[0];
            let y = (y as f32 - middle[1]) * grow + middle[1] + at[1];
            let waves = (0.11 * x + 0.05 * y).sin()
                + (0.07 * y - 0.02 * x).cos()
                + 0.7 * (0.31 * x).sin() * (0.27 * y).cos()
                + 0.5 * (0.17 * x + 0.23 * y + (0.013 * x).sin() * 9.0).sin();
            0.6 * waves + noise * random
        })
        .collect()
}

/// Distances between what is found and `truth`, away from the edges, sorted.
fn off(flow: &Flow, size: Size, truth: impl Fn(Vector) -> Vector) -> Vec<f32> {
    let block = flow.block();
    let (columns, rows) = (size.width as usize / block, size.height as usize / block);
    let mut off = Vec::new();
    for row in 2..rows - 2 {
        for column in 2..columns - 2 {
            let middle = [column, row].map(|at| (at as f32 + 0.5) * block as f32 - 0.5);
            let (found, truth) = (flow.motion(column, row), truth(middle));
            off.push((found[0] - truth[0]).hypot(found[1] - truth[1]));
        }
    }
    off.sort_by(f32::total_cmp);
    off
}

#[test]
fn a_shift_is_found_to_a_fraction_of_a_pixel() {
    for size in [Size::new(448, 252), Size::new(924, 518)] {
        for shift in [[0.4, -0.3], [3.0, 1.5], [-17.0, 6.0], [31.0, -20.0]] {
            let mut flow = Flow::default();
            flow.begin(&picture(size, [0.0; 2], 1.0, 0.02), size);
            flow.follow(&picture(size, shift, 1.0, 0.02), size);
            // what was at 0 is `shift` to the left of there now
            let off = off(&flow, size, |_| shift);
            let (most, median) = (off[off.len() * 9 / 10], off[off.len() / 2]);
            assert!(
                median < 0.25 && most < 0.6,
                "{size} {shift:?}: {median} {most}"
            );
            assert!(flow.moves() && flow.camera_moves(), "{size} {shift:?}");
        }
    }
}

#[test]
fn a_camera_that_goes_forward_slowly_moves() {
    let size = Size::new(448, 252);
    for (step, moves) in [(0.0, false), (0.0005, true), (0.01, true)] {
        let mut flow = Flow::default();
        flow.begin(&picture(size, [0.0; 2], 1.0, 0.05), size);
        for frame in 1..4 {
            let grown = 1.0 - step * frame as f32;
            let noise = picture(size, [0.0; 2], grown, 0.05);
            flow.follow(&noise, size);
            assert_eq!(flow.camera_moves(), moves, "{step}, frame {frame}");
        }
    }
}

#[test]
fn what_passes_before_a_camera_that_stands_moves_alone() {
    let size = Size::new(448, 252);
    let scene = |left: usize| {
        let mut scene = picture(size, [0.0; 2], 1.0, 0.02);
        let thing = picture(size, [500.0 - left as f32, 90.0], 1.0, 0.02);
        for y in 60..180 {
            let row = y * size.width as usize;
            scene[row + left..row + left + 80].copy_from_slice(&thing[row + left..row + left + 80]);
        }
        scene
    };
    let mut flow = Flow::default();
    flow.begin(&scene(100), size);
    for left in [106, 112, 118] {
        flow.follow(&scene(left), size);
        assert!(flow.moves() && !flow.camera_moves(), "{left}");
        let block = flow.block();
        let inside = flow.motion((left + 40) / block, 120 / block);
        assert!(
            (inside[0] + 6.0).abs() < 0.5 && inside[1].abs() < 0.5,
            "{left}: {inside:?}"
        );
        assert_eq!(flow.motion(300 / block, 120 / block), [0.0; 2], "{left}");
    }
}

#[test]
fn any_size_and_any_value() {
    for size in [
        Size::new(1, 1),
        Size::new(3, 700),
        Size::new(24, 24),
        Size::new(49, 25),
        Size::new(1000, 407),
    ] {
        let mut flow = Flow::default();
        let plain = picture(size, [0.0; 2], 1.0, 0.1);
        flow.begin(&plain, size);
        for fill in [f32::NAN, f32::INFINITY, f32::MAX, -f32::MAX, 0.0] {
            let mut picture = plain.clone();
            picture
                .iter_mut()
                .step_by(3)
                .for_each(|value| *value = fill);
            flow.follow(&picture, size);
            flow.follow(&vec![fill; size.area()], size);
            flow.follow(&plain, size);
        }
    }
}
