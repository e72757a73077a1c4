//! Caps: what is taken, what is given, and what follows from one for the other. Pure functions.

use gst_video::{VideoFormat, VideoInfo};

/// Largest side of a frame, that of GStreamer's own video converter.
const MAX_SIDE: i32 = 32767;

/// Formats that are read without a conversion, the ones decoders give first.
const FAST_FORMATS: [VideoFormat; 35] = [
    VideoFormat::Nv12,
    VideoFormat::I420,
    VideoFormat::Yv12,
    VideoFormat::Nv21,
    VideoFormat::Rgb,
    VideoFormat::Bgr,
    VideoFormat::Rgbx,
    VideoFormat::Bgrx,
    VideoFormat::Xrgb,
    VideoFormat::Xbgr,
    VideoFormat::Rgba,
    VideoFormat::Bgra,
    VideoFormat::Argb,
    VideoFormat::Abgr,
    VideoFormat::Gray8,
    VideoFormat::Yuy2,
    VideoFormat::Uyvy,
    VideoFormat::Yvyu,
    VideoFormat::Vyuy,
    VideoFormat::Y42b,
    VideoFormat::Nv16,
    VideoFormat::Nv61,
    VideoFormat::Y444,
    VideoFormat::P01010le,
    VideoFormat::I42010le,
    VideoFormat::I42210le,
    VideoFormat::Y44410le,
    VideoFormat::P012Le,
    VideoFormat::P016Le,
    VideoFormat::I42012le,
    VideoFormat::I42212le,
    VideoFormat::Y44412le,
    VideoFormat::Argb64,
    VideoFormat::Gray16Le,
    VideoFormat::Gray16Be,
];

/// Depth formats, the machine's own byte order first.
pub(super) const DEPTH_FORMATS: [VideoFormat; 2] = if cfg!(target_endian = "little") {
    [VideoFormat::Gray16Le, VideoFormat::Gray16Be]
} else {
    [VideoFormat::Gray16Be, VideoFormat::Gray16Le]
};

/// What the sink pad takes: every format that GStreamer's video converter reads.
pub(super) fn sink_template() -> gst::Caps {
    let others = VideoFormat::iter_raw().filter(|format| !FAST_FORMATS.contains(format));
    template(FAST_FORMATS.into_iter().chain(others))
}

/// What the source pad gives.
pub(super) fn src_template() -> gst::Caps {
    template(DEPTH_FORMATS)
}

fn template(formats: impl IntoIterator<Item = VideoFormat>) -> gst::Caps {
    gst_video::VideoCapsBuilder::new()
        .format_list(formats)
        .width_range(1..=MAX_SIDE)
        .height_range(1..=MAX_SIDE)
        .build()
}

/// The caps of the other pad that go with `caps` of the pad in `direction`.
///
/// From frames to depth: format, colours and fields go, any size is possible. From depth to frames: any
/// format and size.
pub(super) fn transform(
    direction: gst::PadDirection,
    caps: &gst::Caps,
    filter: Option<&gst::Caps>,
) -> gst::Caps {
    let template = match direction {
        gst::PadDirection::Sink => src_template(),
        _ => sink_template(),
    };
    let mut others = gst::Caps::new_empty();
    {
        let others = others.get_mut().expect("caps just made have one owner");
        for (structure, features) in caps.iter_with_features() {
            if !features.is_any() && !features.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY) {
                continue;
            }
            let mut structure = structure.to_owned();
            structure.remove_fields([
                "format",
                "colorimetry",
                "chroma-site",
                "interlace-mode",
                "field-order",
            ]);
            structure.set("width", gst::IntRange::new(1, MAX_SIDE));
            structure.set("height", gst::IntRange::new(1, MAX_SIDE));
            if structure.has_field("pixel-aspect-ratio") {
                let any = gst::FractionRange::new(
                    gst::Fraction::new(1, i32::MAX),
                    gst::Fraction::new(i32::MAX, 1),
                );
                structure.set("pixel-aspect-ratio", any);
            }
            if direction == gst::PadDirection::Sink {
                // a depth frame has no fields
                structure.set("interlace-mode", "progressive");
            }
            others.append_structure(structure);
        }
    }
    let others = others.intersect_with_mode(&template, gst::CapsIntersectMode::First);
    match filter {
        Some(filter) => filter.intersect_with_mode(&others, gst::CapsIntersectMode::First),
        None => others,
    }
}

/// Chooses what `others` leaves open so that it comes as near to `caps` as it can: same size, same pixel
/// aspect ratio; where a side is given, the picture keeps its shape.
pub(super) fn fixate(caps: &gst::Caps, mut others: gst::Caps) -> gst::Caps {
    others.truncate();
    let shape = caps.structure(0).and_then(Shape::read);
    if let (Some(shape), Some(other)) = (shape, others.make_mut().structure_mut(0)) {
        fixate_size(shape, other);
    }
    others.fixate();
    others
}

/// Size and pixel aspect ratio of fixed caps.
#[derive(Clone, Copy)]
struct Shape {
    width: i32,
    height: i32,
    par: gst::Fraction,
}

impl Shape {
    fn read(structure: &gst::StructureRef) -> Option<Self> {
        Some(Self {
            width: structure.get("width").ok()?,
            height: structure.get("height").ok()?,
            par: structure
                .get("pixel-aspect-ratio")
                .unwrap_or(gst::Fraction::new(1, 1)),
        })
    }

    /// Display aspect ratio, width to height.
    fn aspect(&self) -> f64 {
        f64::from(self.width) / f64::from(self.height) * ratio(self.par)
    }
}

fn ratio(fraction: gst::Fraction) -> f64 {
    f64::from(fraction.numer()) / f64::from(fraction.denom())
}

fn fixate_size(shape: Shape, other: &mut gst::StructureRef) {
    let fixed_par = match other.value("pixel-aspect-ratio") {
        Ok(value) => value.get::<gst::Fraction>().ok(),
        // caps without the field mean square pixels only to those who ask; leave it as it came in
        Err(_) => None,
    };
    let width = other.get::<i32>("width").ok();
    let height = other.get::<i32>("height").ok();
    let par = fixed_par.unwrap_or(shape.par);
    // width to height in pixels of the other side that shows the same picture
    let pixels = shape.aspect() / ratio(par);
    let side = |exact: f64| exact.round().clamp(1.0, f64::from(MAX_SIDE)) as i32;
    match (width, height) {
        (None, None) if par == shape.par => {
            other.fixate_field_nearest_int("width", shape.width);
            other.fixate_field_nearest_int("height", shape.height);
        }
        (None, None) => {
            other.fixate_field_nearest_int("height", shape.height);
            let height = other.get::<i32>("height").unwrap_or(shape.height);
            other.fixate_field_nearest_int("width", side(f64::from(height) * pixels));
        }
        (Some(width), None) => {
            other.fixate_field_nearest_int("height", side(f64::from(width) / pixels));
        }
        (None, Some(height)) => {
            other.fixate_field_nearest_int("width", side(f64::from(height) * pixels));
        }
        (Some(_), Some(_)) => {}
    }
    if fixed_par.is_none()
        && (other.has_field("pixel-aspect-ratio") || shape.par != gst::Fraction::from_integer(1))
    {
        let width = other.get::<i32>("width").unwrap_or(shape.width);
        let height = other.get::<i32>("height").unwrap_or(shape.height);
        let exact = shape.aspect() * f64::from(height) / f64::from(width);
        let par = if (width, height) == (shape.width, shape.height) {
            shape.par
        } else {
            gst::Fraction::approximate_f64(exact).unwrap_or(shape.par)
        };
        if other.has_field("pixel-aspect-ratio") {
            other.fixate_field_nearest_fraction("pixel-aspect-ratio", par);
        } else {
            other.set("pixel-aspect-ratio", par);
        }
    }
}

/// Why frames of this description can't be taken, in words; `None` when they can.
pub(super) fn refusal(info: &VideoInfo) -> Option<String> {
    use gst_video::VideoInterlaceMode as Mode;
    match info.interlace_mode() {
        Mode::Progressive | Mode::Interleaved | Mode::Mixed => None,
        mode => Some(format!(
            "interlace-mode={} carries single fields, not frames; put `deinterlace` before this element",
            mode.to_str()
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().unwrap();
        gst::Caps::from_str(text).unwrap()
    }

    /// What is negotiated for `frame` when downstream takes `downstream`.
    fn negotiated(frame: &str, downstream: &str) -> gst::Caps {
        let frame = caps(frame);
        let filter = caps(downstream);
        let others = transform(gst::PadDirection::Sink, &frame, Some(&filter));
        assert!(!others.is_empty(), "{frame} → {downstream}");
        fixate(&frame, others)
    }

    fn shape(caps: &gst::Caps) -> (i32, i32, Option<gst::Fraction>) {
        let structure = caps.structure(0).unwrap();
        (
            structure.get("width").unwrap(),
            structure.get("height").unwrap(),
            structure.get("pixel-aspect-ratio").ok(),
        )
    }

    const HD: &str = "video/x-raw, format=NV12, width=1920, height=1080, framerate=25/1, \
                      colorimetry=bt709, chroma-site=mpeg2, interlace-mode=interleaved";

    #[test]
    fn templates_have_the_fast_and_native_formats_first() {
        gst::init().unwrap();
        let first = |caps: gst::Caps| {
            let formats = caps
                .structure(0)
                .unwrap()
                .get::<gst::List>("format")
                .unwrap();
            formats[0].get::<String>().unwrap()
        };
        assert_eq!(first(sink_template()), "NV12");
        assert_eq!(first(src_template()), DEPTH_FORMATS[0].to_str().as_str());
        for format in ["AYUV64", "P010_10LE", "v210", "GRAY16_LE", "RGB8P", "Y42B"] {
            let frame = caps(&format!(
                "video/x-raw, format={format}, width=1, height=1, framerate=0/1"
            ));
            assert!(frame.can_intersect(&sink_template()), "{format}");
        }
    }

    #[test]
    fn left_open_depth_has_the_size_of_the_frame() {
        let depth = negotiated(HD, "video/x-raw");
        assert_eq!(shape(&depth), (1920, 1080, None));
        let structure = depth.structure(0).unwrap();
        assert_eq!(
            structure.get::<&str>("format").unwrap(),
            DEPTH_FORMATS[0].to_str()
        );
        assert_eq!(
            structure.get::<&str>("interlace-mode").unwrap(),
            "progressive"
        );
        assert_eq!(structure.get("framerate"), Ok(gst::Fraction::new(25, 1)));
        assert!(!structure.has_field("colorimetry") && !structure.has_field("chroma-site"));
    }

    #[test]
    fn downstream_chooses_size_and_byte_order() {
        let depth = negotiated(HD, "video/x-raw, format=GRAY16_BE, width=200, height=100");
        // the picture keeps its shape on the screen: 16:9 in 2:1 pixels
        assert_eq!(shape(&depth), (200, 100, None));
        let depth = negotiated(
            "video/x-raw, format=RGB, width=1920, height=1080, pixel-aspect-ratio=1/1",
            "video/x-raw, width=200, height=100",
        );
        assert_eq!(shape(&depth), (200, 100, Some(gst::Fraction::new(8, 9))));
    }

    #[test]
    fn one_side_given_keeps_the_shape() {
        assert_eq!(
            shape(&negotiated(HD, "video/x-raw, width=960")),
            (960, 540, None)
        );
        assert_eq!(
            shape(&negotiated(HD, "video/x-raw, height=270")),
            (480, 270, None)
        );
    }

    #[test]
    fn pixels_that_are_not_square() {
        let dv = "video/x-raw, format=I420, width=720, height=576, pixel-aspect-ratio=16/15";
        assert_eq!(
            shape(&negotiated(dv, "video/x-raw")),
            (720, 576, Some(gst::Fraction::new(16, 15)))
        );
        assert_eq!(
            shape(&negotiated(dv, "video/x-raw, pixel-aspect-ratio=1/1")),
            (768, 576, Some(gst::Fraction::new(1, 1)))
        );
    }

    #[test]
    fn upstream_is_free_in_format_and_size() {
        let depth = caps("video/x-raw, format=GRAY16_LE, width=64, height=48, framerate=30/1");
        let frames = transform(gst::PadDirection::Src, &depth, None);
        for frame in [
            "video/x-raw, format=NV12, width=1920, height=1080, framerate=30/1",
            "video/x-raw, format=AYUV64, width=1, height=1, framerate=30/1",
        ] {
            assert!(frames.can_intersect(&caps(frame)), "{frame}");
        }
        let other_rate = caps("video/x-raw, format=NV12, width=64, height=48, framerate=25/1");
        assert!(!frames.can_intersect(&other_rate));
    }

    #[test]
    fn frames_that_are_not_in_system_memory_are_not_taken() {
        let frame = caps("video/x-raw(memory:GLMemory), format=RGBA, width=64, height=48");
        assert!(transform(gst::PadDirection::Sink, &frame, None).is_empty());
    }

    #[test]
    fn single_fields_are_refused_in_words() {
        gst::init().unwrap();
        let info = |mode| {
            VideoInfo::builder(VideoFormat::I420, 16, 16)
                .interlace_mode(mode)
                .build()
                .unwrap()
        };
        use gst_video::VideoInterlaceMode as Mode;
        assert_eq!(refusal(&info(Mode::Interleaved)), None);
        assert!(
            refusal(&info(Mode::Fields))
                .unwrap()
                .contains("deinterlace")
        );
    }
}
