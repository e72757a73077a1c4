//! Whatever instructions and threads convert a frame: the same bits.

use super::*;

/// A linear congruential generator's bytes.
fn rubbish(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

fn variants() -> impl Iterator<Item = (InstructionSet, usize)> {
    InstructionSet::available().flat_map(|instructions| [1, 3].map(|bands| (instructions, bands)))
}

/// Others for each channel, so that none is taken for another.
const NORMALIZATION: Normalization = Normalization {
    mean: [0.5, 0.4, 0.3],
    std: [0.25, 0.2, 0.3],
};

/// The tensor that plain Rust on one core makes, once the others have made the same.
fn tensor(format: &FrameFormat, network: Size, padding: usize) -> Vec<f32> {
    let planes: Vec<(Vec<u8>, usize)> = (0..format.pixels.planes())
        .filter_map(|plane| format.pixels.plane_layout(plane, format.size))
        .map(|(bytes, rows)| {
            let stride = bytes + padding;
            // the padding of the last row is not there
            (rubbish(stride * (rows - 1) + bytes, 7), stride)
        })
        .collect();
    let mut frame = Frame::default();
    for (plane, (data, stride)) in frame.planes.iter_mut().zip(&planes) {
        *plane = Plane::new(data, *stride);
    }
    let mut reference: Option<Vec<f32>> = None;
    for (instructions, bands) in variants() {
        let mut writer = TensorWriter::new(format, network, NORMALIZATION)
            .expect("there are pixels")
            .with_instruction_set(instructions)
            .with_bands(bands);
        let mut tensor = vec![f32::NAN; writer.tensor_len()];
        writer.write(&frame, &mut tensor).expect("planes fit");
        assert!(tensor.iter().all(|value| value.is_finite()));
        let reference = reference.get_or_insert_with(|| tensor.clone());
        let same = reference
            .iter()
            .zip(&tensor)
            .all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(
            same,
            "{format:?} → {network}, {instructions}, {bands} bands"
        );
    }
    reference.expect("plain Rust is always there")
}

#[test]
fn tensors_of_every_format_size_and_stride() {
    let sizes = [(1, 1), (2, 3), (17, 9), (33, 31), (131, 70), (320, 21)];
    let networks = [(14, 14), (70, 28), (42, 98), (224, 14)];
    for pixels in PixelFormat::ALL {
        for (width, height) in sizes {
            for (index, (across, down)) in networks.into_iter().enumerate() {
                let format = FrameFormat {
                    size: Size::new(width, height),
                    pixels,
                    colorimetry: Colorimetry::bt709(false),
                    chroma_site: ChromaSite::LEFT,
                };
                tensor(&format, Size::new(across, down), 5 * index);
            }
        }
    }
}

#[test]
fn tensors_of_every_colorimetry_and_site() {
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for pixels in [PixelFormat::Nv12, PixelFormat::Yv12] {
        for colorimetry in [
            Colorimetry::bt601,
            Colorimetry::bt709,
            Colorimetry::bt2020,
            Colorimetry::smpte240m,
        ] {
            for full_range in [false, true] {
                for chroma_site in [
                    ChromaSite::CENTER,
                    ChromaSite::LEFT,
                    ChromaSite::TOP_LEFT,
                    ChromaSite::TOP,
                ] {
                    let format = FrameFormat {
                        size: Size::new(57, 43),
                        pixels,
                        colorimetry: colorimetry(full_range),
                        chroma_site,
                    };
                    seen.push(tensor(&format, Size::new(42, 28), 3));
                }
            }
        }
    }
    // each of them matters
    for (index, tensor) in seen.iter().enumerate() {
        assert!(!seen[..index].contains(tensor), "{index}");
    }
}

#[test]
fn tensors_of_high_dynamic_range() {
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for pixels in [PixelFormat::P010, PixelFormat::I422P10, PixelFormat::Argb64] {
        for transfer in [Transfer::Standard, Transfer::Pq, Transfer::Hlg] {
            let format = FrameFormat {
                size: Size::new(57, 43),
                pixels,
                colorimetry: Colorimetry::bt2020(false).with_light(transfer, Primaries::BT2020),
                chroma_site: ChromaSite::TOP_LEFT,
            };
            seen.push(tensor(&format, Size::new(42, 28), 3));
        }
    }
    for (index, tensor) in seen.iter().enumerate() {
        assert!(!seen[..index].contains(tensor), "{index}");
    }
}

#[test]
fn samples_of_every_size_and_stride() {
    let sizes = [(1, 1), (2, 3), (14, 14), (77, 28), (300, 5)];
    let outputs = [(1, 1), (3, 2), (17, 40), (131, 9), (640, 3), (33, 70)];
    for (width, height) in sizes {
        let network = Size::new(width, height);
        let mut depth: Vec<f32> = rubbish(network.area(), 3)
            .into_iter()
            .map(f32::from)
            .collect();
        if let Some(value) = depth.get_mut(20) {
            *value = f32::NAN;
        }
        for (index, (width, height)) in outputs.into_iter().enumerate() {
            let output = Size::new(width, height);
            for order in [ByteOrder::Little, ByteOrder::Big] {
                let bytes = 2 * width as usize;
                // a single row needs no stride
                let stride = if height == 1 { 0 } else { bytes + 3 * index };
                let mut reference: Option<Vec<u8>> = None;
                for (instructions, bands) in variants() {
                    let mut writer = Gray16Writer::new(network, output)
                        .with_instruction_set(instructions)
                        .with_bands(bands);
                    let mut plane = vec![0xee; stride * (height as usize - 1) + bytes + 9];
                    let mapping = Mapping::inverse(10.0, 240.0, index % 2 == 0);
                    let bad = writer
                        .write(&depth, mapping, order, &mut plane, stride)
                        .expect("sizes fit");
                    assert_eq!(bad, depth.iter().filter(|d| d.is_nan()).count());
                    assert!(plane.ends_with(&[0xee; 9]), "only rows are written");
                    let reference = reference.get_or_insert_with(|| plane.clone());
                    assert!(
                        *reference == plane,
                        "{network} → {output}, {instructions}, {bands} bands"
                    );
                }
            }
        }
    }
}
