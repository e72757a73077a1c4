use super::*;
use crate::frame::{ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, PixelFormat, Plane};

const NETWORK: Size = Size::new(30, 20);
const FRAME: Size = Size::new(97, 61);

/// What `at` makes of each pixel of a picture.
fn picture<T>(size: Size, at: impl Fn(u32, u32) -> T) -> Vec<T> {
    (0..size.height)
        .flat_map(|y| (0..size.width).map(move |x| (x, y)))
        .map(|(x, y)| at(x, y))
        .collect()
}

fn guide(size: Size, at: impl Fn(u32, u32) -> u8) -> Guide {
    let luma = picture(size, at);
    let format = FrameFormat {
        pixels: PixelFormat::Gray8,
        ..FrameFormat::rgb(size)
    };
    let mut guide = Guide::default();
    guide
        .take(&Frame::packed(&luma, size.width as usize), &format)
        .expect("a whole frame");
    guide
}

fn samples_in(order: ByteOrder, depth: &[f32], guide: &Guide, mapping: Mapping) -> Vec<u16> {
    let mut writer = GuidedWriter::new(NETWORK, FRAME).expect("larger");
    let row = 2 * FRAME.width as usize;
    let stride = row + 6;
    let planes = Simd::available().map(|simd| {
        writer.simd = simd;
        writer.refinement.simd = simd;
        // the padding of the last row is not there
        let mut plane = vec![0xee; stride * (FRAME.height as usize - 1) + row];
        let invalid = writer
            .write(depth, guide, mapping, order, &mut plane, stride)
            .expect("sizes fit");
        assert_eq!(invalid, depth.iter().filter(|d| !d.is_finite()).count());
        plane
    });
    let planes: Vec<_> = planes.collect();
    let [plane, others @ ..] = &planes[..] else {
        panic!("there are plain lanes at least");
    };
    assert!(
        others.iter().all(|other| other == plane),
        "all variants give the same bits"
    );
    let mut samples = Vec::new();
    for line in plane.chunks(stride) {
        let (pixels, padding) = line.split_at(row);
        assert!(padding.iter().all(|byte| *byte == 0xee));
        samples.extend(pixels.chunks(2).map(|pair| match order {
            ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
            ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
        }));
    }
    samples
}

fn samples(depth: &[f32], guide: &Guide) -> Vec<u16> {
    samples_in(
        ByteOrder::Little,
        depth,
        guide,
        Mapping::inverse(0.0, 1.0, false),
    )
}

fn bilinear(depth: &[f32]) -> Vec<u16> {
    let mut plane = vec![0; 2 * FRAME.area()];
    let mapping = Mapping::inverse(0.0, 1.0, false);
    Gray16Writer::new(NETWORK, FRAME)
        .write(
            depth,
            mapping,
            ByteOrder::Little,
            &mut plane,
            2 * FRAME.width as usize,
        )
        .expect("sizes fit");
    let pairs = plane.chunks(2);
    pairs
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

#[test]
fn a_ramp_stays_the_ramp() {
    let ramp = picture(NETWORK, |x, y| 0.1 + 0.02 * x as f32 + 0.01 * y as f32);
    for luma in [0, 90, 255] {
        let guided = samples(&ramp, &guide(FRAME, |_, _| luma));
        let (width, height) = (FRAME.width as usize, FRAME.height as usize);
        let reference = bilinear(&ramp);
        // the cells end at the outermost pixels, where the spline sees them twice
        for y in 2..height - 2 {
            for x in 2..width - 2 {
                let at = y * width + x;
                assert!(guided[at].abs_diff(reference[at]) <= 1, "{x} {y}");
            }
        }
        let edge = guided
            .iter()
            .zip(&reference)
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(edge < Some(300), "{edge:?}");
    }
}

#[test]
fn edges_follow_the_picture() {
    // depth changes at column 15 of 30, blurred; the picture at column 48 of 97, sharply
    let depth = picture(NETWORK, |x, _| ((x as f32 - 13.5) / 3.0).clamp(0.0, 1.0));
    let sharp = samples(&depth, &guide(FRAME, |x, _| if x < 48 { 30 } else { 200 }));
    let smooth = bilinear(&depth);
    let row = 30 * FRAME.width as usize;
    let largest = |samples: &[u16]| {
        let steps = samples[row..row + FRAME.width as usize].windows(2);
        steps.map(|pair| pair[0].abs_diff(pair[1])).max()
    };
    assert!(largest(&sharp) > largest(&smooth).map(|step| 2 * step));
    let (left, right) = (sharp[row + 5], sharp[row + 90]);
    assert_eq!((left, right), (0, 65535));
}

/// Depth that goes from 0.2 to 0.8 over `blur` cells around a column 3 cells off where the picture changes.
fn misplaced(blur: f32) -> (Vec<f32>, Guide) {
    let depth = picture(NETWORK, |x, _| {
        0.2 + 0.6 * ((x as f32 - 18.5) / blur + 0.5).clamp(0.0, 1.0)
    });
    (depth, guide(FRAME, |x, _| if x < 48 { 30 } else { 200 }))
}

#[test]
fn a_blurred_step_goes_where_the_picture_has_it() {
    let (depth, guide) = misplaced(4.0);
    let out = samples(&depth, &guide);
    let step = |samples: &[u16]| {
        let row = &samples[30 * FRAME.width as usize..][..FRAME.width as usize];
        row.iter().position(|&sample| sample > 32768)
    };
    assert_eq!(step(&out), Some(48));
    // it was 3 cells, 10 pixels, to the right
    assert!(step(&bilinear(&depth)) > Some(56));
    // a network that is sharp is believed
    let (depth, guide) = misplaced(0.5);
    assert!(step(&samples(&depth, &guide)) > Some(56));
}

#[test]
fn texture_leaves_no_more_mark_on_a_slope_than_nine_cells_differ() {
    // steeper than anything but a step
    let ramp = picture(NETWORK, |x, _| 0.1 + 0.02 * x as f32);
    let textured = guide(FRAME, |x, y| ((x * 37 + y * 91 + x * y * 53) % 256) as u8);
    let (out, reference) = (samples(&ramp, &textured), bilinear(&ramp));
    let off = out.iter().zip(&reference).map(|(a, b)| a.abs_diff(*b));
    // nine cells reach one and a half from a pixel; what mends steps would reach eight
    assert!(off.max() <= Some((1.55 * 0.02 * 65535.0) as u16));
}

#[test]
fn noise_in_the_picture_moves_depth_as_little_as_it_did() {
    let noisy = |seed: u32| {
        guide(FRAME, move |x, y| {
            let noise = (x * 7919 + y * 104_729 + seed * 1_299_709) % 11;
            (if x < 48 { 60 } else { 180 }) + noise as u8
        })
    };
    let (depth, _) = misplaced(4.0);
    let [a, b] = [1, 2].map(|seed| samples(&depth, &noisy(seed)));
    let change = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b)));
    let change = change.sum::<f64>() / a.len() as f64 / 65535.0;
    assert!(change < 0.001, "{change}");
}

#[test]
fn texture_leaves_no_mark_on_even_depth() {
    let even = vec![0.5; NETWORK.area()];
    let textured = guide(FRAME, |x, y| ((x * 37 + y * 91 + x * y * 53) % 256) as u8);
    let out = samples(&even, &textured);
    assert!(out.iter().all(|sample| sample.abs_diff(32768) <= 1));
}

#[test]
fn no_pixel_leaves_the_range_of_its_cells() {
    let depth = picture(NETWORK, |x, y| ((x * 7 + y * 13) % 5) as f32 * 0.1 + 0.2);
    let textured = guide(FRAME, |x, y| ((x * 29 + y * 41) % 251) as u8);
    let step = |samples: u16| f64::from(samples) / 65535.0;
    for sample in samples(&depth, &textured) {
        assert!((0.2 - 1e-4..=0.6 + 1e-4).contains(&step(sample)));
    }
}

#[test]
fn values_that_are_not_finite_cost_what_is_nearest_to_them() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut depth = vec![0.5; NETWORK.area()];
        for y in 8..12 {
            for x in 10..15 {
                depth[y * NETWORK.width as usize + x] = bad;
            }
        }
        let textured = guide(FRAME, |x, y| ((x * 37 + y * 91) % 256) as u8);
        let out = samples(&depth, &textured);
        let lost = out.iter().filter(|sample| **sample == 0).count();
        let share = lost as f64 / FRAME.area() as f64;
        assert!((share - 20.0 / 600.0).abs() < 0.01, "{share}");
        assert!(
            out.iter()
                .all(|&sample| sample == 0 || sample.abs_diff(32768) <= 1)
        );
        let all = samples(&vec![bad; NETWORK.area()], &textured);
        assert!(all.iter().all(|sample| *sample == 0));
    }
}

#[test]
fn both_byte_orders_metric_and_inverted() {
    let depth = picture(NETWORK, |x, y| 1.0 + 0.1 * x as f32 + 0.05 * y as f32);
    let guide = guide(FRAME, |x, _| (x * 2) as u8);
    for mapping in [Mapping::metric(0.001), Mapping::inverse(1.0, 5.0, true)] {
        let little = samples_in(ByteOrder::Little, &depth, &guide, mapping);
        assert_eq!(little, samples_in(ByteOrder::Big, &depth, &guide, mapping));
    }
    let metric = samples_in(ByteOrder::Little, &depth, &guide, Mapping::metric(0.001));
    assert!(metric[0].abs_diff(1000) < 60 && metric[FRAME.area() - 1].abs_diff(4850) < 60);
    let inverted = samples_in(
        ByteOrder::Little,
        &depth,
        &guide,
        Mapping::inverse(1.0, 5.0, true),
    );
    assert!(inverted[0] > inverted[FRAME.area() - 1]);
}

#[test]
fn every_format_gives_its_luma() {
    let size = Size::new(7, 5);
    for pixels in PixelFormat::ALL {
        let format = FrameFormat {
            size,
            pixels,
            colorimetry: Colorimetry::bt709(false),
            chroma_site: ChromaSite::LEFT,
        };
        let planes: Vec<(Vec<u8>, usize)> = (0..pixels.planes())
            .filter_map(|plane| pixels.plane_layout(plane, size))
            .map(|(bytes, rows)| {
                let stride = bytes + 3;
                // grey 100 in every channel; chroma and alpha are something else
                let depth = pixels.depth();
                let sample = match depth.bits {
                    bits if depth.shift == 0 && (9..16).contains(&bits) => {
                        (100_u16 << (bits - 8)).to_le_bytes()
                    }
                    _ => [100; 2],
                };
                let mut row: Vec<u8> = (0..bytes).map(|byte| sample[byte % 2]).collect();
                row.resize(stride, 7);
                let mut plane = row.repeat(rows);
                plane.truncate(stride * (rows - 1) + bytes);
                (plane, stride)
            })
            .collect();
        let mut frame = Frame::default();
        for (plane, (data, stride)) in frame.planes.iter_mut().zip(&planes) {
            *plane = Plane::new(data, *stride);
        }
        let mut guide = Guide::default();
        guide.take(&frame, &format).expect("planes fit");
        assert_eq!(guide.size(), size);
        for y in 0..5 {
            assert_eq!(guide.row(y), [100; 7], "{pixels:?}");
        }
        frame.planes[0].data = &frame.planes[0].data[..3];
        assert!(guide.take(&frame, &format).is_err());
        assert_eq!(
            guide.size().area(),
            0,
            "a frame that fails leaves no old one behind"
        );
    }
}

#[test]
fn a_guide_of_another_size_leads_too() {
    let depth = picture(NETWORK, |x, _| ((x as f32 - 13.5) / 3.0).clamp(0.0, 1.0));
    let small = Size::new(45, 33);
    let at = |x, width| if 2 * x < width { 30 } else { 200 };
    let from_small = samples(&depth, &guide(small, |x, _| at(x, small.width)));
    let from_large = samples(&depth, &guide(FRAME, |x, _| at(x, FRAME.width)));
    let off = from_small
        .iter()
        .zip(&from_large)
        .map(|(a, b)| f64::from(a.abs_diff(*b)));
    // its edge is half a pixel of its own away
    assert!(off.sum::<f64>() / FRAME.area() as f64 / 65535.0 < 0.015);
}

#[test]
fn only_larger_frames_can_be_led() {
    assert!(GuidedWriter::new(NETWORK, NETWORK).is_none());
    assert!(GuidedWriter::new(NETWORK, Size::new(97, 20)).is_none());
    assert!(GuidedWriter::new(Size::new(0, 4), FRAME).is_none());
    let mut smallest = GuidedWriter::new(Size::new(1, 1), Size::new(2, 2)).expect("larger");
    let mut plane = [0; 8];
    let mapping = Mapping::inverse(0.0, 1.0, false);
    let order = ByteOrder::Little;
    let luma = guide(Size::new(2, 2), |x, _| (x * 255) as u8);
    smallest
        .write(&[1.0], &luma, mapping, order, &mut plane, 4)
        .expect("fits");
    assert_eq!(plane, [0xff; 8]);
    assert!(
        smallest
            .write(&[1.0], &luma, mapping, order, &mut plane[..7], 4)
            .is_err()
    );
    assert!(
        smallest
            .write(&[1.0], &Guide::default(), mapping, order, &mut plane, 4)
            .is_err()
    );
}
