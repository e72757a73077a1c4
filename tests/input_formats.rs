//! What frames are made of does not change the depth: 4:2:2, more bits, high dynamic range, narrow 16-bit grey.

mod common;

use common::{depth, difference};
use gst::prelude::*;

const WIDTH: usize = 96;
const HEIGHT: usize = 64;

/// A scene of a kind: a floor, a wall, two boxes and a lamp, R′G′B′ in 0…1.
fn scene() -> Vec<[f64; 3]> {
    (0..WIDTH * HEIGHT)
        .map(|i| {
            let (x, y) = (i % WIDTH, i / WIDTH);
            let (u, v) = (x as f64 / WIDTH as f64, y as f64 / HEIGHT as f64);
            let grain = ((x * 7 + y * 13) % 5) as f64 * 0.008;
            let base = if (0.15..0.4).contains(&u) && (0.3..0.8).contains(&v) {
                [0.75, 0.28, 0.18]
            } else if (0.55..0.75).contains(&u) && (0.45..0.7).contains(&v) {
                [0.2, 0.42, 0.7]
            } else if (u - 0.8).hypot(v - 0.15) < 0.07 {
                [0.97, 0.95, 0.85]
            } else if v > 0.6 {
                let tile = if (x / 8 + y / 5) % 2 == 0 { 0.12 } else { 0.0 };
                [0.3 + tile, 0.27 + tile, 0.2 + tile]
            } else {
                [0.5 - 0.3 * v, 0.52 - 0.25 * v, 0.55 - 0.2 * v]
            };
            base.map(|value| value + grain)
        })
        .collect()
}

/// What the network sees of frames of these bytes: the model's "depth" is eight times the mean R′G′B′ of each patch,
/// R and B at half the weight of G, so that samples are brightness from black, 0, to white, 65535.
fn seen(caps: &str, frames: &[Vec<u8>], conversion: &str) -> Vec<Vec<u16>> {
    let pipeline = common::Pipeline::new(&format!(
        "appsrc name=in format=time ! {conversion} depthanything resolution=126 range=fixed range-max=8 model-file={} \
         ! appsink name=out sync=false",
        common::model("pixel-values.onnx")
    ));
    let source: gst_app::AppSrc = pipeline.element("in").downcast().expect("an appsrc");
    let caps = format!("video/x-raw,width={WIDTH},height={HEIGHT},framerate=10/1,{caps}");
    source.set_caps(Some(&caps.parse().expect("caps")));
    pipeline.play();
    for (number, frame) in (0..).zip(frames) {
        let mut buffer = gst::Buffer::from_slice(frame.clone());
        let time = gst::ClockTime::from_mseconds(100 * number);
        buffer.get_mut().expect("a new buffer").set_pts(time);
        source.push_buffer(buffer).expect("taken");
    }
    source.end_of_stream().expect("the end");
    let sink = pipeline.appsink("out");
    let frames: Vec<_> = frames
        .iter()
        .map(|_| {
            let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(60));
            depth(&sample.unwrap_or_else(|| panic!("no depth of {caps}")))
        })
        .collect();
    frames
}

fn one(caps: &str, frame: Vec<u8>) -> Vec<u16> {
    seen(caps, &[frame], "").remove(0)
}

fn rgb(scene: &[[f64; 3]]) -> Vec<u8> {
    scene
        .iter()
        .flatten()
        .map(|value| (value * 255.0).round() as u8)
        .collect()
}

/// Y, Cb and Cr of BT.2020 in 10 bits, chroma of the means of two by two pixels.
fn bt2020(scene: &[[f64; 3]]) -> [Vec<u16>; 3] {
    let luma = |[r, g, b]: [f64; 3]| 0.2627 * r + 0.6780 * g + 0.0593 * b;
    let code = |value: f64, span: f64, offset: f64| {
        (offset + span * value).round().clamp(0.0, 1023.0) as u16
    };
    let y = scene
        .iter()
        .map(|&rgb| code(luma(rgb), 876.0, 64.0))
        .collect();
    let chroma = |of: &dyn Fn([f64; 3]) -> f64| {
        (0..WIDTH * HEIGHT / 4)
            .map(|i| {
                let (x, y) = (2 * (i % (WIDTH / 2)), 2 * (i / (WIDTH / 2)));
                let at = |dx, dy| of(scene[(y + dy) * WIDTH + x + dx]);
                code(
                    (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) / 4.0,
                    896.0,
                    512.0,
                )
            })
            .collect::<Vec<u16>>()
    };
    let blue = chroma(&|rgb| (rgb[2] - luma(rgb)) / 1.8814);
    let red = chroma(&|rgb| (rgb[0] - luma(rgb)) / 1.4746);
    [y, blue, red]
}

fn bytes(samples: impl IntoIterator<Item = u16>) -> Vec<u8> {
    samples.into_iter().flat_map(u16::to_le_bytes).collect()
}

fn i420_10(scene: &[[f64; 3]]) -> Vec<u8> {
    bytes(bt2020(scene).concat())
}

fn p010(scene: &[[f64; 3]]) -> Vec<u8> {
    let [y, blue, red] = bt2020(scene);
    let chroma = blue.into_iter().zip(red).flat_map(|(b, r)| [b, r]);
    bytes(y.into_iter().chain(chroma).map(|code| code << 6))
}

/// The scene on a display whose white is so bright, in cd/m², in the primaries of BT.2020.
fn light(scene: &[[f64; 3]], white: f64) -> Vec<[f64; 3]> {
    const TO_BT2020: [[f64; 3]; 3] = [
        [0.6274, 0.3293, 0.0433],
        [0.0691, 0.9195, 0.0114],
        [0.0164, 0.0880, 0.8956],
    ];
    scene
        .iter()
        .map(|rgb| {
            let linear = rgb.map(|value| value.powf(2.4) * white);
            TO_BT2020.map(|row| row.iter().zip(linear).map(|(a, b)| a * b).sum())
        })
        .collect()
}

fn pq(nits: f64) -> f64 {
    let y = (nits / 10_000.0).powf(0.159_301_757_812_5);
    ((0.835_937_5 + 18.851_562_5 * y) / (1.0 + 18.6875 * y)).powf(78.84375)
}

/// On a display of 1000 cd/m².
fn hlg(rgb: [f64; 3]) -> [f64; 3] {
    let display = rgb.map(|value| value / 1000.0);
    let [r, g, b] = display;
    let luminance: f64 = 0.2627 * r + 0.6780 * g + 0.0593 * b;
    display.map(|value| {
        let scene = value * luminance.max(1e-9).powf(1.0 / 1.2 - 1.0);
        if scene <= 1.0 / 12.0 {
            (3.0 * scene).sqrt()
        } else {
            0.178_832_77 * (12.0 * scene - 0.284_668_92).ln() + 0.559_910_73
        }
    })
}

/// PQ and HLG look as the same picture in standard range does; read as standard range they would not.
#[test]
fn high_dynamic_range_is_tone_mapped() {
    let scene = scene();
    for white in [203.0, 100.0_f64] {
        // a white of half the light is a picture one stop darker
        let exposure = (white / 203.0).powf(1.0 / 2.4);
        let exposed: Vec<_> = scene.iter().map(|rgb| rgb.map(|v| v * exposure)).collect();
        let standard = one("format=RGB", rgb(&exposed));
        let light = light(&scene, white);
        let in_pq: Vec<_> = light.iter().map(|rgb| rgb.map(pq)).collect();
        let in_hlg: Vec<_> = light.iter().map(|&rgb| hlg(rgb)).collect();
        for (picture, colorimetry) in [(in_pq, "bt2100-pq"), (in_hlg, "bt2100-hlg")] {
            let caps = format!("format=P010_10LE,colorimetry={colorimetry}");
            let mapped = one(&caps, p010(&picture));
            let ignored = one("format=P010_10LE,colorimetry=bt2020-10", p010(&picture));
            let (off, before) = (
                difference(&mapped, &standard),
                difference(&ignored, &standard),
            );
            println!("{colorimetry}, white {white}: {off:.4}, {before:.4} if ignored");
            assert!(
                off < 0.03 && off < 0.6 * before,
                "{colorimetry} {white}: {off} {before}"
            );

            // the same samples in other formats, and by way of GStreamer's converter
            let caps = format!("format=I420_10LE,colorimetry={colorimetry}");
            let planar = one(&caps, i420_10(&picture));
            assert!(planar == mapped, "{colorimetry}");
            for other in ["Y410", "P010_10BE", "GBR_10LE", "BGR10A2_LE"] {
                let conversion = format!("videoconvert dither=none ! video/x-raw,format={other} !");
                let converted = seen(&caps, &[i420_10(&picture)], &conversion).remove(0);
                let off = difference(&converted, &mapped);
                assert!(off < 0.004, "{other} {colorimetry}: {off}");
            }
        }
    }
}

/// Formats that hold the same samples look the same, bit by bit. 4:2:2 is also read directly when it is interlaced.
#[test]
fn the_same_samples_in_another_order_look_the_same() {
    let y: Vec<u8> = (0..WIDTH * HEIGHT)
        .map(|i| (i * 7 + i * i / 19) as u8)
        .collect();
    let half = WIDTH * HEIGHT / 2;
    let u: Vec<u8> = (0..half).map(|i| (i * 5 + i / 31) as u8).collect();
    let v: Vec<u8> = (0..half).map(|i| (i * 3 + i / 7) as u8).collect();
    let pairs = |of: &dyn Fn([u8; 2], u8, u8) -> [u8; 4]| -> Vec<u8> {
        let luma = y.as_chunks::<2>().0.iter();
        let chroma = u.iter().zip(&v);
        luma.zip(chroma)
            .flat_map(|(&y, (&u, &v))| of(y, u, v))
            .collect()
    };
    let in_turn = |first: &[u8], second: &[u8]| -> Vec<u8> {
        let chroma = first.iter().zip(second).flat_map(|(a, b)| [*a, *b]);
        y.iter().copied().chain(chroma).collect()
    };
    let colours = "colorimetry=bt709,chroma-site=mpeg2";
    let planar = one(&format!("format=Y42B,{colours}"), [&y[..], &u, &v].concat());
    for (format, frame) in [
        ("YUY2", pairs(&|y, u, v| [y[0], u, y[1], v])),
        ("YVYU", pairs(&|y, u, v| [y[0], v, y[1], u])),
        ("UYVY", pairs(&|y, u, v| [u, y[0], v, y[1]])),
        ("VYUY", pairs(&|y, u, v| [v, y[0], u, y[1]])),
        ("NV16", in_turn(&u, &v)),
        ("NV61", in_turn(&v, &u)),
    ] {
        for interlaced in ["", ",interlace-mode=interleaved"] {
            let caps = format!("format={format},{colours}{interlaced}");
            assert!(one(&caps, frame.clone()) == planar, "{caps}");
        }
    }
    let scene = scene();
    let planar = one("format=I420_10LE,colorimetry=bt2020-10", i420_10(&scene));
    let in_turn = one("format=P010_10LE,colorimetry=bt2020-10", p010(&scene));
    assert!(planar == in_turn);
}

/// The scene's luma in 16 bits, from `low` to `high`.
fn grey(scene: &[[f64; 3]], low: f64, high: f64) -> Vec<u16> {
    scene
        .iter()
        .map(|[r, g, b]| {
            (low + (high - low) * (0.2126 * r + 0.7152 * g + 0.0722 * b)).round() as u16
        })
        .collect()
}

/// What a camera of 14 bits, of 12, or a thermal one makes of a scene looks as the scene in grey does, its 99 % from black
/// to white.
#[test]
fn narrow_grey_is_stretched() {
    let scene = scene();
    let mut sorted = grey(&scene, 0.0, 255.0);
    let full = one("format=GRAY16_LE", bytes(grey(&scene, 0.0, 65535.0)));
    let eight: Vec<u8> = sorted.iter().map(|&sample| sample as u8).collect();
    assert!(difference(&full, &one("format=GRAY8", eight.clone())) < 0.003);
    sorted.sort_unstable();
    let at = |share: f64| f64::from(sorted[(share * (sorted.len() - 1) as f64).round() as usize]);
    let (black, white) = (at(0.005), at(0.995));
    let stretched = eight
        .iter()
        .map(|&sample| ((f64::from(sample) - black) / (white - black) * 255.0).round() as u8)
        .collect();
    let expected = one("format=GRAY8", stretched);
    for (low, high) in [
        (0.0, 16383.0),
        (0.0, 4095.0),
        (7600.0, 8400.0),
        (29_000.0, 31_000.0),
    ] {
        let samples = grey(&scene, low, high);
        let little = one("format=GRAY16_LE", bytes(samples.clone()));
        let off = difference(&little, &expected);
        assert!(off < 0.01, "{low} to {high}: {off}");
        let big: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
        assert!(one("format=GRAY16_BE", big) == little, "{low} to {high}");
    }
}

/// A hot thing that comes into a thermal picture does not make the rest of it jump, and does not go on for ever.
#[test]
fn levels_do_not_jump() {
    let scene = scene();
    let still = grey(&scene, 8000.0, 9000.0);
    let mut hot = still.clone();
    // 3 % of the picture
    for sample in hot.iter_mut().skip(10 * WIDTH).take(2 * WIDTH) {
        *sample = 9600;
    }
    let mut frames = vec![bytes(still.clone()); 2];
    frames.extend(vec![bytes(hot); 20]);
    let seen = seen("format=GRAY16_LE", &frames, "");
    assert!(seen[0] == seen[1]);
    // below the hot rows
    let rest = |frame: &[u16]| frame[20 * WIDTH..].to_vec();
    let change = |a: usize, b: usize| difference(&rest(&seen[a]), &rest(&seen[b]));
    let whole = change(1, 21);
    assert!(whole > 0.05, "{whole}");
    assert!(change(1, 2) < 0.5 * whole, "{} of {whole}", change(1, 2));
    assert!(change(20, 21) < 0.01 * whole, "{}", change(20, 21));
}
