//! What is done with the window around a block. The loops vectorise by themselves; the variant for AVX2 is the same code,
//! compiled for it, and gives the same bits.

use super::Vector;
use super::plane::{Plane, WINDOW as SIDE};
use crate::frame::simd::Simd;

/// Steps of least squares.
const STEPS: usize = 2;
/// One of them moves by no more pixels than this,
const LONGEST: f32 = 2.0;
/// and what moves by less than this is there.
const SHORTEST: f32 = 0.01;
/// Candidates that are so near to the best so far, least squares finds by themselves.
const NEAR: f32 = 0.25;
/// Keeps what has no texture where it was taken to be.
const STIFFNESS: f32 = 0.1;

type Window = [[f32; SIDE]; SIDE];

macro_rules! dispatched {
    ($(#[$doc:meta])* fn $name:ident => $inner:ident($($argument:ident: $type:ty),*) -> $result:ty) => {
        $(#[$doc])*
        pub(super) fn $name(simd: Simd, $($argument: $type),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            if let Simd::Avx2(_) | Simd::Avx512(_) = simd {
                #[target_feature(enable = "avx2")]
                fn fast($($argument: $type),*) -> $result {
                    $inner($($argument),*)
                }
                // SAFETY: both are proof of AVX2
                return unsafe { fast($($argument),*) };
            }
            let _ = simd;
            $inner($($argument),*)
        }
    };
}

dispatched! {
    /// The motion at which the window at `place` fits, from the best of `candidates` and of none.
    fn search => search_with(now: &Plane, before: &Plane, place: (isize, isize), candidates: [Option<Vector>; 4]) -> Vector
}

dispatched! {
    /// Sum of the differences between the window at `place` and the one that it would come from by `motion`.
    fn difference => difference_with(now: &Plane, before: &Plane, place: (isize, isize), motion: Vector) -> f32
}

/// The window at `place` and `motion`, between pixels.
#[inline(always)]
fn read(plane: &Plane, (x, y): (isize, isize), motion: Vector, out: &mut Window) {
    let [right, down] = motion.map(f32::floor);
    let (across, along) = (motion[0] - right, motion[1] - down);
    let at = plane.place(
        x.saturating_add(right as isize),
        y.saturating_add(down as isize),
    );
    let weights = [
        (1.0 - across) * (1.0 - along),
        across * (1.0 - along),
        (1.0 - across) * along,
        across * along,
    ];
    let stride = plane.stride();
    for (row, out) in out.iter_mut().enumerate() {
        let above = &plane.values()[at + row * stride..][..SIDE + 1];
        let below = &plane.values()[at + (row + 1) * stride..][..SIDE + 1];
        for (column, out) in out.iter_mut().enumerate() {
            *out = weights[0] * above[column]
                + weights[1] * above[column + 1]
                + weights[2] * below[column]
                + weights[3] * below[column + 1];
        }
    }
}

#[inline(always)]
fn sum_of(a: &Window, b: &Window) -> f32 {
    let mut sums = [0.0_f32; SIDE];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b).abs();
        }
    }
    sums.iter().sum()
}

#[inline(always)]
fn difference_with(now: &Plane, before: &Plane, place: (isize, isize), motion: Vector) -> f32 {
    let (mut seen, mut was) = (Window::default(), Window::default());
    read(now, place, [0.0; 2], &mut seen);
    read(before, place, motion, &mut was);
    sum_of(&seen, &was)
}

#[inline(always)]
fn search_with(
    now: &Plane,
    before: &Plane,
    place: (isize, isize),
    candidates: [Option<Vector>; 4],
) -> Vector {
    let (mut seen, mut was) = (Window::default(), Window::default());
    read(now, place, [0.0; 2], &mut seen);
    read(before, place, [0.0; 2], &mut was);
    let (mut best, mut least) = ([0.0; 2], sum_of(&seen, &was));
    for candidate in candidates.into_iter().flatten() {
        let off = [candidate[0] - best[0], candidate[1] - best[1]];
        if off.iter().all(|it| it.abs() < NEAR) {
            continue;
        }
        read(before, place, candidate, &mut was);
        let sum = sum_of(&seen, &was);
        if sum < least {
            (best, least) = (candidate, sum);
        }
    }
    let (mut across, mut down) = (Window::default(), Window::default());
    let mut sums = [[0.0_f32; SIDE]; 3];
    let stride = now.stride();
    let at = now.place(place.0, place.1);
    for row in 0..SIDE {
        let middle = &now.values()[at + row * stride - 1..][..SIDE + 2];
        let above = &now.values()[at + row * stride - stride..][..SIDE];
        let below = &now.values()[at + row * stride + stride..][..SIDE];
        for column in 0..SIDE {
            let x = 0.5 * (middle[column + 2] - middle[column]);
            let y = 0.5 * (below[column] - above[column]);
            across[row][column] = x;
            down[row][column] = y;
            sums[0][column] += x * x;
            sums[1][column] += x * y;
            sums[2][column] += y * y;
        }
    }
    let [xx, xy, yy] = sums.map(|sums| sums.iter().sum::<f32>());
    let (xx, yy) = (xx + STIFFNESS, yy + STIFFNESS);
    let determinant = (xx * yy - xy * xy).max(f32::MIN_POSITIVE);
    let mut motion = best;
    for _ in 0..STEPS {
        read(before, place, motion, &mut was);
        let mut sums = [[0.0_f32; SIDE]; 2];
        for row in 0..SIDE {
            for column in 0..SIDE {
                let off = was[row][column] - seen[row][column];
                sums[0][column] += across[row][column] * off;
                sums[1][column] += down[row][column] * off;
            }
        }
        let [x, y] = sums.map(|sums| sums.iter().sum::<f32>());
        let step = [
            (yy * x - xy * y) / determinant,
            (xx * y - xy * x) / determinant,
        ]
        .map(|it| it.clamp(-LONGEST, LONGEST));
        motion = [motion[0] - step[0], motion[1] - step[1]];
        if step.iter().all(|it| it.abs() < SHORTEST) {
            break;
        }
    }
    read(before, place, motion, &mut was);
    // a NaN is no better
    if sum_of(&seen, &was) < least {
        motion
    } else {
        best
    }
}
