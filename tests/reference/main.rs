//! Holds the kernels to the formulas they stand for.

mod anchors;
mod formulas;
mod pictures;

use formulas::{Image, Matrix, Yuv, normalize, postprocess, preprocess};
use gstdepthanything::frame::{
    ByteOrder, ChromaSite, Colorimetry, Frame, FrameFormat, Gray16Writer, Mapping, PixelFormat,
    Plane, TensorWriter,
};
use gstdepthanything::geometry::{Size, network_size};
use gstdepthanything::model::InputNormalization;
use pictures::{Random, SITES, Stored, drawn, format, kind, matrices, noise, photographs};

const RGB_FORMATS: [PixelFormat; 10] = [
    PixelFormat::Rgb,
    PixelFormat::Bgr,
    PixelFormat::Rgbx,
    PixelFormat::Bgrx,
    PixelFormat::Xrgb,
    PixelFormat::Xbgr,
    PixelFormat::Rgba,
    PixelFormat::Bgra,
    PixelFormat::Argb,
    PixelFormat::Abgr,
];

const YUV_FORMATS: [PixelFormat; 21] = [
    PixelFormat::Nv12,
    PixelFormat::Nv21,
    PixelFormat::I420,
    PixelFormat::Yv12,
    PixelFormat::Nv16,
    PixelFormat::Nv61,
    PixelFormat::I422,
    PixelFormat::I444,
    PixelFormat::Yuy2,
    PixelFormat::Yvyu,
    PixelFormat::Uyvy,
    PixelFormat::Vyuy,
    PixelFormat::P010,
    PixelFormat::P012,
    PixelFormat::P016,
    PixelFormat::I420P10,
    PixelFormat::I422P10,
    PixelFormat::I444P10,
    PixelFormat::I420P12,
    PixelFormat::I422P12,
    PixelFormat::I444P12,
];

/// Rounding of single precision, in units of the standard deviation: values reach ±4 and gather some ten
/// roundings.
const ROUNDING: f64 = 1e-5;

fn write_tensor(format: &FrameFormat, stored: &Stored, network: Size) -> Vec<f32> {
    let mut frame = Frame::default();
    for (plane, (data, stride)) in frame.planes.iter_mut().zip(&stored.planes) {
        *plane = Plane::new(data, *stride);
    }
    let mut writer = TensorWriter::new(
        format,
        network,
        InputNormalization::Imagenet.mean_and_deviation().into(),
    )
    .unwrap();
    let mut tensor = vec![f32::NAN; writer.tensor_len()];
    writer.write(&frame, &mut tensor).unwrap();
    tensor
}

/// Largest and mean difference.
fn difference(tensor: &[f32], reference: &[f64]) -> (f64, f64) {
    assert_eq!(tensor.len(), reference.len());
    let mut most = 0.0_f64;
    let mut sum = 0.0;
    for (a, b) in tensor.iter().zip(reference) {
        let d = (f64::from(*a) - b).abs();
        assert!(d.is_finite());
        most = most.max(d);
        sum += d;
    }
    (most, sum / reference.len() as f64)
}

fn assert_rgb(rgb: &[Image; 3], pixels: PixelFormat, padding: usize, network: Size, what: &str) {
    let format = FrameFormat {
        pixels,
        ..FrameFormat::rgb(Size::new(rgb[0].width as u32, rgb[0].height as u32))
    };
    let tensor = write_tensor(&format, &Stored::rgb(rgb, pixels, padding), network);
    let reference = preprocess(rgb, network.width as usize, network.height as usize);
    let (most, _) = difference(&tensor, &reference);
    let size = format.size;
    assert!(
        most < ROUNDING,
        "{what} {pixels:?} {size} → {network}: {most}"
    );
}

/// The picture and the depth map of `scripts/reference.py`.
fn anchor(width: usize, height: usize) -> Image {
    Image::from_fn(width, height, |x, y| {
        ((x * x * 37 + y * 91 + x * y * 53 + 11) % 256) as f64
    })
}

#[test]
fn formulas_are_those_of_opencv_and_pytorch() {
    let mut picture = anchor(9, 7);
    picture.samples.iter_mut().for_each(|s| *s /= 255.0);
    for (width, height, expected) in anchors::CUBIC {
        let resized = picture.resize_cubic(width, height).samples;
        assert_eq!(resized.len(), expected.len());
        for (a, b) in resized.iter().zip(expected) {
            // OpenCV computes places and weights in single precision
            assert!((a - b).abs() < 2e-6, "{width}×{height}: {a} {b}");
        }
    }
    let depth = anchor(5, 4);
    for (width, height, expected) in anchors::ALIGNED {
        let resized = depth.resize_aligned(width, height).samples;
        assert_eq!(resized.len(), expected.len());
        for (a, b) in resized.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{width}×{height}: {a} {b}");
        }
    }
}

#[test]
fn every_rgb_format() {
    let picture = drawn(61, 37);
    for pixels in RGB_FORMATS {
        for padding in [0, 1, 7] {
            assert_rgb(&picture, pixels, padding, Size::new(42, 28), "drawn");
        }
    }
}

#[test]
fn rgb_of_random_sizes() {
    let mut random = Random(1);
    for round in 0..150 {
        let picture = noise(random.within(1, 90), random.within(1, 60), &mut random);
        let pixels = random.pick(&RGB_FORMATS);
        let network = Size::new(random.within(1, 120) as u32, random.within(1, 80) as u32);
        let what = format!("round {round}");
        assert_rgb(&picture, pixels, random.within(0, 9), network, &what);
    }
}

#[test]
fn extreme_sizes() {
    for (width, height) in [(1, 1), (3, 5), (2000, 3), (3, 2000), (2, 1), (1, 300)] {
        let picture = drawn(width, height);
        for network in [Size::new(14, 14), Size::new(266, 70), Size::new(1, 1)] {
            assert_rgb(&picture, PixelFormat::Rgb, 2, network, "drawn");
            assert_rgb(&picture, PixelFormat::Bgrx, 0, network, "drawn");
            for pixels in YUV_FORMATS {
                assert_planes(&picture, pixels, 0, 1, 3, network);
            }
        }
    }
}

#[test]
fn rgb_at_the_usual_resolutions() {
    let picture = drawn(640, 360);
    for resolution in [518, 266, 500] {
        let network = network_size(Size::new(640, 360), (1, 1), resolution, 14).unwrap();
        assert_rgb(&picture, PixelFormat::Rgb, 4, network, "drawn");
    }
}

/// Planes resampled by the kernels, against the same done by formula.
fn assert_planes(
    rgb: &[Image; 3],
    pixels: PixelFormat,
    matrix: usize,
    site: usize,
    padding: usize,
    network: Size,
) {
    let (matrix, colorimetry) = matrices()[matrix];
    let (site, chroma_site) = SITES[site];
    let (bits, subsampling) = kind(pixels);
    let yuv = Yuv::encode(rgb, Matrix { bits, ..matrix }, site, subsampling);
    let format = format(&rgb[0], pixels, colorimetry, chroma_site);
    let tensor = write_tensor(&format, &Stored::yuv(&yuv, pixels, padding), network);
    let (width, height) = (network.width as usize, network.height as usize);
    let reference = normalize(&yuv.resize_planes(width, height));
    let (most, _) = difference(&tensor, &reference);
    assert!(most < 2.0 * ROUNDING, "{format:?} → {network}: {most}");
}

#[test]
fn every_yuv_format_matrix_and_siting() {
    let picture = drawn(61, 37);
    for pixels in YUV_FORMATS {
        for matrix in 0..matrices().len() {
            for site in 0..SITES.len() {
                assert_planes(&picture, pixels, matrix, site, 5, Size::new(42, 28));
            }
        }
    }
}

#[test]
fn yuv_of_random_sizes() {
    let mut random = Random(2);
    for _ in 0..150 {
        let picture = noise(random.within(1, 90), random.within(1, 60), &mut random);
        let network = Size::new(random.within(1, 120) as u32, random.within(1, 80) as u32);
        let pixels = random.pick(&YUV_FORMATS);
        let matrix = random.within(0, matrices().len() - 1);
        let site = random.within(0, SITES.len() - 1);
        assert_planes(&picture, pixels, matrix, site, random.within(0, 9), network);
    }
}

#[test]
fn grey_is_luma_with_neutral_chroma() {
    let grey = drawn(47, 33)[1].clone();
    let picture = [grey.clone(), grey.clone(), grey];
    for (matrix, colorimetry) in matrices() {
        for pixels in [PixelFormat::Gray8, PixelFormat::Gray16Le] {
            let (bits, subsampling) = kind(pixels);
            let yuv = Yuv::encode(&picture, Matrix { bits, ..matrix }, [0.5, 0.5], subsampling);
            let format = format(&picture[0], pixels, colorimetry, ChromaSite::CENTER);
            let stored = Stored::yuv(&yuv, pixels, 3);
            let tensor = write_tensor(&format, &stored, Size::new(28, 14));
            let (most, _) = difference(&tensor, &normalize(&yuv.resize_planes(28, 14)));
            assert!(most < ROUNDING, "{pixels:?} {colorimetry:?}: {most}");
        }
    }
}

/// Resampling planes and converting full frames are not the same thing, but must not differ by much.
#[test]
fn planes_agree_with_conversion_at_full_size() {
    let (matrix, colorimetry) = (matrices()[2].0, Colorimetry::bt709(false));
    for (name, rgb) in photographs(2) {
        let size = Size::new(rgb[0].width as u32, rgb[0].height as u32);
        for (site, chroma_site) in SITES {
            let yuv = Yuv::encode(&rgb, matrix, site, [2, 2]);
            let network = network_size(size, (1, 1), 266, 14).unwrap();
            let reference = preprocess(
                &yuv.to_rgb(),
                network.width as usize,
                network.height as usize,
            );
            let mut tensors = [PixelFormat::Nv12, PixelFormat::I420].map(|pixels| {
                let format = format(&rgb[0], pixels, colorimetry, chroma_site);
                write_tensor(&format, &Stored::yuv(&yuv, pixels, 0), network)
            });
            let planar: Vec<f64> = tensors[1].iter().map(|&x| f64::from(x)).collect();
            let (most, _) = difference(&tensors[0], &planar);
            assert!(most < ROUNDING, "{name}, NV12 and I420: {most}");
            let (_, mean) = difference(&tensors[0], &reference);
            // in standard deviations: a step of 8-bit video is 0.02
            assert!(mean < 0.01, "{name} {chroma_site:?}: {mean}");
            // and the wrong siting is noticed
            let other = format(
                &rgb[0],
                PixelFormat::Nv12,
                colorimetry,
                if chroma_site == ChromaSite::CENTER {
                    ChromaSite::TOP_LEFT
                } else {
                    ChromaSite::CENTER
                },
            );
            tensors[1] = write_tensor(&other, &Stored::yuv(&yuv, PixelFormat::Nv12, 0), network);
            let (_, wrong) = difference(&tensors[1], &reference);
            assert!(wrong > mean, "{name} {chroma_site:?}: {wrong} {mean}");
            eprintln!("{name} {chroma_site:?}: {mean:.5}, with the wrong siting {wrong:.5}");
        }
    }
}

#[test]
fn photographs_at_the_usual_resolutions() {
    for (name, rgb) in photographs(3) {
        let size = Size::new(rgb[0].width as u32, rgb[0].height as u32);
        for resolution in [518, 266, 500] {
            let network = network_size(size, (1, 1), resolution, 14).unwrap();
            assert_rgb(&rgb, PixelFormat::Rgb, 5, network, &name);
        }
        assert_planes(
            &rgb,
            PixelFormat::Nv12,
            2,
            1,
            0,
            network_size(size, (1, 1), 518, 14).unwrap(),
        );
    }
}

fn assert_samples(depth: &Image, output: Size, mapping: Mapping, order: ByteOrder, padding: usize) {
    let network = Size::new(depth.width as u32, depth.height as u32);
    let values: Vec<f32> = depth.samples.iter().map(|&value| value as f32).collect();
    let (width, height) = (output.width as usize, output.height as usize);
    let stride = 2 * width + padding;
    let mut plane = vec![0x5a; stride * height - padding];
    let mut writer = Gray16Writer::new(network, output);
    let invalid = writer
        .write(&values, mapping, order, &mut plane, stride)
        .unwrap();
    let expected = depth.samples.iter().filter(|v| !v.is_finite()).count();
    assert_eq!(invalid, expected);
    let reference = postprocess(depth, width, height, mapping.gain, mapping.bias);
    for (y, expected) in reference.chunks(width).enumerate() {
        let row = &plane[y * stride..];
        for (x, expected) in expected.iter().enumerate() {
            let bytes = [row[2 * x], row[2 * x + 1]];
            let sample = match order {
                ByteOrder::Little => u16::from_le_bytes(bytes),
                ByteOrder::Big => u16::from_be_bytes(bytes),
            };
            assert!(
                sample.abs_diff(*expected) <= 1,
                "{network} → {output}, {order:?}, ({x}, {y}): {sample}, expected {expected}"
            );
        }
        if y + 1 < height {
            assert!(
                row[2 * width..stride].iter().all(|&b| b == 0x5a),
                "padding is left alone"
            );
        }
    }
}

fn depth_map(width: usize, height: usize, random: &mut Random) -> Image {
    Image::from_fn(width, height, |x, y| {
        let slope = (x * x + 3 * y) as f64 / (width * width + 3 * height) as f64;
        f64::from((4.0 * slope + random.within(0, 1000) as f64 / 1000.0) as f32)
    })
}

#[test]
fn depth_of_random_sizes() {
    let mut random = Random(3);
    for _ in 0..200 {
        let mut depth = depth_map(random.within(1, 60), random.within(1, 40), &mut random);
        for _ in 0..random.within(0, 3) {
            let bad = random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
            let index = random.within(0, depth.samples.len() - 1);
            depth.samples[index] = bad;
        }
        let output = Size::new(random.within(1, 150) as u32, random.within(1, 90) as u32);
        let mapping = random.pick(&[
            Mapping::inverse(0.0, 5.0, false),
            Mapping::inverse(0.0, 5.0, true),
            Mapping::inverse(1.0, 3.0, false),
            Mapping::inverse(2.0, 2.0, false),
            Mapping::metric(0.001),
            Mapping::metric(0.00005),
        ]);
        let order = random.pick(&[ByteOrder::Little, ByteOrder::Big]);
        assert_samples(&depth, output, mapping, order, random.within(0, 9));
    }
}

#[test]
fn depth_of_extreme_sizes() {
    let mut random = Random(4);
    for (width, height) in [(1, 1), (3, 5), (143, 2), (14, 14)] {
        let depth = depth_map(width, height, &mut random);
        for output in [(1, 1), (3, 5), (2000, 3), (3, 2000), (641, 359)] {
            let output = Size::new(output.0, output.1);
            for order in [ByteOrder::Little, ByteOrder::Big] {
                assert_samples(&depth, output, Mapping::inverse(0.0, 5.0, false), order, 1);
            }
        }
    }
}

#[test]
fn depth_at_full_size() {
    let mut random = Random(5);
    let depth = depth_map(924, 518, &mut random);
    let mapping = Mapping::inverse(0.0, 5.0, false);
    assert_samples(&depth, Size::new(1920, 1080), mapping, ByteOrder::NATIVE, 0);
}

#[test]
fn a_writer_keeps_nothing_from_the_last_frame() {
    let network = Size::new(42, 28);
    let pictures = [drawn(61, 37), noise(61, 37, &mut Random(6))];
    let format = FrameFormat::rgb(Size::new(61, 37));
    let mut writer = TensorWriter::new(
        &format,
        network,
        InputNormalization::Imagenet.mean_and_deviation().into(),
    )
    .unwrap();
    let mut tensors = vec![vec![0.0; writer.tensor_len()]; 3];
    for (tensor, picture) in tensors.iter_mut().zip([0, 1, 0]) {
        let stored = Stored::rgb(&pictures[picture], PixelFormat::Rgb, 0);
        let (data, stride) = &stored.planes[0];
        writer.write(&Frame::packed(data, *stride), tensor).unwrap();
    }
    assert!(tensors[0] == tensors[2]);
    assert!(tensors[0] != tensors[1]);
}
