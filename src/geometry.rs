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

/// The longest side, in pixels, that a network is asked for. A 32:9 picture at a short side of 4200 stays below
/// it; what goes beyond is a strip of which no network could tell the depth.
pub const MAX_NETWORK_SIDE: u32 = 16_384;

/// A picture so long and thin that, at the resolution asked for, the network's long side would pass
/// [`MAX_NETWORK_SIDE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct TooLong {
    /// The picture.
    pub frame: Size,
    /// The resolution asked for.
    pub resolution: u32,
    /// Width and height, in pixels, that follow from the two.
    pub network: (u64, u64),
    /// The highest resolution at which this picture can be run; `None`: not even one patch.
    pub highest: Option<u32>,
}

impl TooLong {
    fn text(&self) -> String {
        let (width, height) = self.network;
        let remedy = match self.highest {
            Some(highest) => {
                format!("Lower `resolution` to {highest} or less, or crop or pad the picture")
            }
            None => "Crop or pad the picture".to_owned(),
        };
        format!(
            "a picture of {} is too long and thin for resolution={}: the network would see {width}×{height} pixels, \
             where {MAX_NETWORK_SIDE} is the longest side. {remedy}",
            self.frame, self.resolution
        )
    }
}

/// What the network sees of a frame: width and height in pixels, both multiples of `patch`.
///
/// `resolution` is the test-time resolution, the short side in pixels. The sides keep the frame's display
/// aspect: with s = max(resolution / width, resolution / height), each side is s · side rounded to the
/// nearest multiple of `patch`, halves to even, or rounded up where that would be below `resolution`.
/// This is `Resize(keep_aspect_ratio=True, ensure_multiple_of=patch, resize_method="lower_bound")` of
/// Depth Anything V2, operation by operation in the same floating point, so that ties fall the same way.
///
/// `pixel_aspect_ratio` is numerator and denominator; one with a zero in it counts as 1/1. A side of zero counts
/// as one pixel, a `patch` of zero as 1.
///
/// # Errors
/// [`TooLong`] when a side would pass [`MAX_NETWORK_SIDE`], as for a frame of 2000×3 at 518.
pub fn network_size(
    frame: Size,
    pixel_aspect_ratio: (u32, u32),
    resolution: u32,
    patch: u32,
) -> Result<Size, TooLong> {
    let patch = u64::from(patch.max(1));
    let target = f64::from(resolution.max(1));
    let mut width = f64::from(frame.width.max(1));
    let height = f64::from(frame.height.max(1));
    if let (numerator @ 1.., denominator @ 1..) = pixel_aspect_ratio
        && numerator != denominator
    {
        width = width * f64::from(numerator) / f64::from(denominator);
    }

    let at = |target: f64| {
        let scale = (target / width).max(target / height);
        (
            constrain(scale * width, target, patch),
            constrain(scale * height, target, patch),
        )
    };
    let network = at(target);
    fits(network).ok_or_else(|| TooLong {
        frame,
        resolution,
        network,
        highest: (1..=u64::from(MAX_NETWORK_SIDE) / patch)
            .map(|patches| patches * patch)
            .take_while(|&short| fits(at(short as f64)).is_some())
            .last()
            .map(|short| short as u32),
    })
}

fn fits((width, height): (u64, u64)) -> Option<Size> {
    let side = |side| {
        u32::try_from(side)
            .ok()
            .filter(|&side| side <= MAX_NETWORK_SIDE)
    };
    Some(Size::new(side(width)?, side(height)?))
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

/// How many patches a network cuts an image of this size into; those that its border cuts through count. A `patch` of
/// zero counts as 1.
pub fn tokens(size: Size, patch: u32) -> usize {
    let along = |side: u32| side.div_ceil(patch.max(1)) as usize;
    along(size.width) * along(size.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQUARE: (u32, u32) = (1, 1);

    /// Of pictures that are not too long.
    fn network_size(frame: Size, ratio: (u32, u32), resolution: u32, patch: u32) -> Size {
        super::network_size(frame, ratio, resolution, patch).expect("a picture of common shape")
    }

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
                        let frame = Size::new(w, h);
                        let what = format!("{frame} {ratio:?} at {resolution}/{patch}");
                        let size = match super::network_size(frame, ratio, resolution, patch) {
                            Ok(size) => size,
                            Err(error) => {
                                let (w, h) = error.network;
                                assert!(w.max(h) > u64::from(MAX_NETWORK_SIDE), "{what}: {error}");
                                continue;
                            }
                        };
                        assert!(size.width > 0 && size.height > 0, "{what}");
                        assert!(size.width.max(size.height) <= MAX_NETWORK_SIDE, "{what}");
                        let patch = patch.max(1);
                        assert_eq!((size.width % patch, size.height % patch), (0, 0), "{what}");
                    }
                }
            }
        }
    }

    #[test]
    fn strips_are_refused_with_the_resolution_that_works() {
        let strip = Size::new(2000, 3);
        let error = super::network_size(strip, SQUARE, 518, 14).unwrap_err();
        assert_eq!(error.network, (345_338, 518));
        assert_eq!(error.highest, Some(14));
        assert!(
            error.to_string().contains("`resolution` to 14 or less"),
            "{error}"
        );
        assert_eq!(network_size(strip, SQUARE, 14, 14), Size::new(9338, 14));
        assert!(super::network_size(strip, SQUARE, 28, 14).is_err());

        let hair = super::network_size(Size::new(1, 32767), SQUARE, 14, 14).unwrap_err();
        assert_eq!(hair.highest, None);
        // the widest screens at the highest resolution are no strips
        network_size(Size::new(3840, 1080), SQUARE, 4200, 14);
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
                    if w.max(h) > f64::from(MAX_NETWORK_SIDE) {
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

    #[test]
    fn patches_at_the_border_count() {
        assert_eq!(tokens(Size::new(924, 518), 14), 66 * 37);
        // a model of a fixed size that is no multiple
        assert_eq!(tokens(Size::new(384, 384), 14), 28 * 28);
        assert_eq!(tokens(Size::new(5, 5), 0), 25);
    }
}
