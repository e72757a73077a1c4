//! What frames are made of does not change the depth: 4:2:2, more bits, high dynamic range, narrow 16-bit grey.

mod common;

use common::{depth, difference, samples};
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

/// Depth of one frame of these bytes, at a size at which the built-in model is quick.
fn depth_of(caps: &str, frames: &[Vec<u8>], conversion: &str) -> Vec<Vec<u16>> {
    let pipeline = common::Pipeline::new(&format!(
        "appsrc name=in format=time ! {conversion} depthanything resolution=126 range=frame ! appsink name=out sync=false"
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
    depth_of(caps, &[frame], "").remove(0)
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

/// PQ and HLG give the depth of the same picture in standard range; read as standard range they would not.
#[test]
fn high_dynamic_range_is_tone_mapped() {
    let scene = scene();
    let standard = one("format=RGB", rgb(&scene));
    for white in [203.0, 100.0] {
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
                let converted = depth_of(&caps, &[i420_10(&picture)], &conversion).remove(0);
                let off = difference(&converted, &mapped);
                assert!(off < 0.01, "{other} {colorimetry}: {off}");
            }
        }
    }
}

/// Formats that hold the same samples give the same depth, bit by bit: what reads one reads all. 4:2:2 is also read
/// directly when it is interlaced.
#[test]
fn the_same_samples_in_another_order_are_the_same_depth() {
    common::init();
    let run = |formats: &str, interlaced: &str| {
        let frames = samples(&format!(
            "videotestsrc num-buffers=1 pattern=smpte ! video/x-raw,width=97,height=65,{formats} \
             ! capssetter caps=video/x-raw{interlaced} ! depthanything resolution=56 ! appsink name=out"
        ));
        depth(&frames[0])
    };
    let site = "colorimetry=bt709,chroma-site=mpeg2";
    let planar = run(&format!("format=Y42B,{site}"), "");
    for format in ["YUY2", "UYVY", "YVYU", "VYUY", "NV16", "NV61"] {
        let repacked =
            format!("format=Y42B,{site} ! videoconvert ! video/x-raw,format={format},{site}");
        assert!(run(&repacked, "") == planar, "{format}");
        assert!(
            run(&repacked, ",interlace-mode=interleaved") == planar,
            "{format}, interlaced"
        );
    }
    let planar = run(&format!("format=I420_10LE,{site}"), "");
    let repacked =
        format!("format=I420_10LE,{site} ! videoconvert ! video/x-raw,format=P010_10LE,{site}");
    assert!(run(&repacked, "") == planar);
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

/// What a camera of 14 bits, of 12, or a thermal one makes of a scene gives the depth of the scene in grey.
#[test]
fn narrow_grey_is_stretched() {
    let scene = scene();
    let eight: Vec<u8> = grey(&scene, 0.0, 255.0)
        .into_iter()
        .map(|s| s as u8)
        .collect();
    let reference = one("format=GRAY8", eight);
    let full = one("format=GRAY16_LE", bytes(grey(&scene, 0.0, 65535.0)));
    assert!(difference(&full, &reference) < 0.01);
    for (low, high) in [
        (0.0, 16383.0),
        (0.0, 4095.0),
        (7600.0, 8400.0),
        (29_000.0, 31_000.0),
    ] {
        let samples = grey(&scene, low, high);
        let little = one("format=GRAY16_LE", bytes(samples.clone()));
        let off = difference(&little, &reference);
        // as if it were not stretched
        let dark: Vec<u8> = samples.iter().map(|sample| (sample >> 8) as u8).collect();
        let before = difference(&one("format=GRAY8", dark), &reference);
        println!("{low} to {high}: {off:.4}, {before:.4} if it were not");
        assert!(
            off < 0.04 && off < 0.7 * before,
            "{low} to {high}: {off} {before}"
        );
        let big: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
        assert!(one("format=GRAY16_BE", big) == little, "{low} to {high}");
    }
}

/// A hot thing that comes into a thermal picture does not make the rest of it jump.
#[test]
fn levels_do_not_jump() {
    let scene = scene();
    let still = grey(&scene, 8000.0, 9000.0);
    let mut hot = still.clone();
    for sample in hot.iter_mut().skip(30 * WIDTH).take(8) {
        *sample = 16_000;
    }
    let frames: Vec<_> = [&still, &still, &hot, &hot]
        .map(|frame| bytes(frame.iter().copied()))
        .into();
    let depths = depth_of("format=GRAY16_LE", &frames, "");
    assert!(depths[0] == depths[1]);
    let change = difference(&depths[1], &depths[2]);
    assert!(change < 0.05, "{change}");
}
