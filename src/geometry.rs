//! Resolution → network size, as in Depth Anything V2's own code. Pure arithmetic, no GStreamer.

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Size {
    /// `width` × `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width as usize * self.height as usize
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}", self.width, self.height)
    }
}

/// The most pixels that [`network_size`] asks a network for. A 32:9 picture at a short side of 4200 stays
/// below it; an image tensor of this size is 768 MiB in `f32`, so that no count of bytes or elements leaves
/// the 31 bits that some execution providers count with.
pub const MAX_NETWORK_AREA: u64 = 1 << 26;

/// What the network sees of a frame: width and height in pixels, both multiples of `patch`.
///
/// `resolution` is the test-time resolution, the short side in pixels. The sides keep the frame's display
/// aspect: with s = max(resolution / width, resolution / height), each side is s · side rounded to the
/// nearest multiple of `patch`, halves to even, or rounded up where that would be below `resolution`.
/// This is `Resize(keep_aspect_ratio=True, ensure_multiple_of=patch, resize_method="lower_bound")` of
/// Depth Anything V2, operation by operation in the same floating point, so that ties fall the same way.
///
/// `pixel_aspect_ratio` is numerator and denominator; one with a zero in it counts as 1/1.
///
/// Nothing here overflows or comes back empty: a side of zero counts as one pixel, a `patch` of zero as 1,
/// and a result of more than [`MAX_NETWORK_AREA`] pixels loses what is too much on its long side (a frame
/// of 1×32767 at 518 is then squeezed rather than 17 million pixels tall). No ordinary picture gets there.
pub fn network_size(
    frame: Size,
    pixel_aspect_ratio: (u32, u32),
    resolution: u32,
    patch: u32,
) -> Size {
    let patch = u64::from(patch.max(1));
    let target = f64::from(resolution.max(1));
    let mut width = f64::from(frame.width.max(1));
    let height = f64::from(frame.height.max(1));
    if let (numerator @ 1.., denominator @ 1..) = pixel_aspect_ratio
        && numerator != denominator
    {
        width = width * f64::from(numerator) / f64::from(denominator);
    }

    let scale = (target / width).max(target / height);
    let width = constrain(scale * width, target, patch);
    let height = constrain(scale * height, target, patch);
    let (width, height) = limit_area(width, height, patch);
    Size::new(width, height)
}

/// `side` as a multiple of `patch`, no smaller than `target`.
fn constrain(side: f64, target: f64, patch: u64) -> u64 {
    let step = patch as f64;
    // float to integer saturates
    let nearest = ((side / step).round_ties_even() as u64).saturating_mul(patch);
    if (nearest as f64) < target {
        ((side / step).ceil() as u64).saturating_mul(patch)
    } else {
        nearest
    }
}

/// Shortens the long side, and the short one if need be, to [`MAX_NETWORK_AREA`].
fn limit_area(width: u64, height: u64, patch: u64) -> (u32, u32) {
    let short_limit = floor_multiple(MAX_NETWORK_AREA.isqrt(), patch);
    let fit = |long: u64, short: u64| {
        let short = short.min(short_limit);
        let long = long.min(floor_multiple(MAX_NETWORK_AREA / short, patch));
        (side_to_u32(long), side_to_u32(short))
    };
    if width >= height {
        fit(width, height)
    } else {
        let (height, width) = fit(height, width);
        (width, height)
    }
}

/// The largest multiple of `patch` up to `side`, but at least one patch.
fn floor_multiple(side: u64, patch: u64) -> u64 {
    (side / patch).max(1) * patch
}

fn side_to_u32(side: u64) -> u32 {
    u32::try_from(side).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: (u32, u32) = (1, 1);

    #[test]
    fn examples_of_the_contract() {
        let cases = [
            ((1920, 1080), (924, 518)),
            ((640, 480), (686, 518)),
            ((1080, 1920), (518, 924)),
            ((518, 518), (518, 518)),
            ((1, 1), (518, 518)),
        ];
        for ((w, h), (nw, nh)) in cases {
            let size = network_size(Size::new(w, h), SQUARE, 518, 14);
            assert_eq!(size, Size::new(nw, nh), "{w}×{h}");
        }
    }

    #[test]
    fn below_the_resolution_is_rounded_up() {
        // 500/14 = 35.7 → 504; 508/14 = 36.3 → 504 < 508 → 518
        let square = Size::new(100, 100);
        assert_eq!(network_size(square, SQUARE, 500, 14), Size::new(504, 504));
        assert_eq!(network_size(square, SQUARE, 508, 14), Size::new(518, 518));
    }

    #[test]
    fn halves_go_to_even() {
        // at a short side of 14, 14·1.5 = 21 is one and a half patches and 35 two and a half
        for (long, expected) in [(21, 28), (35, 28), (49, 56), (63, 56)] {
            let size = network_size(Size::new(long, 14), SQUARE, 14, 14);
            assert_eq!(size, Size::new(expected, 14), "{long}×14");
        }
    }

    #[test]
    fn display_aspect_counts() {
        // PAL widescreen: 720×576 at 64/45 shows as 1024×576
        let wide = network_size(Size::new(720, 576), (64, 45), 518, 14);
        assert_eq!(wide, network_size(Size::new(1024, 576), SQUARE, 518, 14));
        for broken in [(0, 1), (1, 0), (0, 0)] {
            let size = network_size(Size::new(720, 576), broken, 518, 14);
            assert_eq!(size, network_size(Size::new(720, 576), SQUARE, 518, 14));
        }
    }

    #[test]
    fn absurd_input_stays_within_limits() {
        let sides = [0, 1, 3, 14, 2000, 32767, u32::MAX];
        let ratios = [(1, 1), (1, u32::MAX), (u32::MAX, 1), (0, 7)];
        for (w, h) in sides
            .iter()
            .flat_map(|&w| sides.iter().map(move |&h| (w, h)))
        {
            for ratio in ratios {
                for resolution in [0, 1, 14, 518, 4200, u32::MAX] {
                    for patch in [0, 1, 14, 16] {
                        let size = network_size(Size::new(w, h), ratio, resolution, patch);
                        let what = format!("{w}×{h} {ratio:?} at {resolution}/{patch}: {size}");
                        assert!(size.width > 0 && size.height > 0, "{what}");
                        assert!(size.area() as u64 <= MAX_NETWORK_AREA, "{what}");
                        let patch = patch.max(1);
                        assert_eq!((size.width % patch, size.height % patch), (0, 0), "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_the_long_side_gives_way_at_the_limit() {
        let size = network_size(Size::new(1, 32767), SQUARE, 518, 14);
        assert_eq!(size.width, 518);
        assert_eq!(size.height, 129_542);
        let size = network_size(Size::new(2000, 3), SQUARE, 14, 14);
        assert_eq!(size, Size::new(9338, 14));
    }

    /// `Resize.get_size` and `constrain_to_multiple_of` of Depth Anything V2, statement by statement.
    fn python_resize(width: f64, height: f64, target: f64, multiple: f64) -> (f64, f64) {
        let mut scale_height = target / height;
        let mut scale_width = target / width;
        if scale_width > scale_height {
            scale_height = scale_width;
        } else {
            scale_width = scale_height;
        }
        let constrain = |x: f64, min_val: f64| {
            let mut y = numpy_round(x / multiple) * multiple;
            if y < min_val {
                y = (x / multiple).ceil() * multiple;
            }
            y
        };
        (
            constrain(scale_width * width, target),
            constrain(scale_height * height, target),
        )
    }

    /// `numpy.round`, written out: the nearest integer, of two equally near ones the even one.
    fn numpy_round(x: f64) -> f64 {
        let below = x.floor();
        match (x - below).partial_cmp(&0.5) {
            Some(std::cmp::Ordering::Less) => below,
            Some(std::cmp::Ordering::Greater) => below + 1.0,
            _ if below % 2.0 == 0.0 => below,
            _ => below + 1.0,
        }
    }

    #[test]
    fn agrees_with_depth_anything_v2() {
        for width in (1..2600).step_by(23) {
            for height in (1..2600).step_by(17) {
                for resolution in [14, 266, 392, 500, 518, 525, 700, 1036] {
                    let (w, h) = python_resize(
                        f64::from(width),
                        f64::from(height),
                        f64::from(resolution),
                        14.0,
                    );
                    if w * h > MAX_NETWORK_AREA as f64 {
                        continue;
                    }
                    assert_eq!(
                        network_size(Size::new(width, height), SQUARE, resolution, 14),
                        Size::new(w as u32, h as u32),
                        "{width}×{height} at {resolution}"
                    );
                }
            }
        }
    }
}
