//! A depth frame as OpenEXR: float scanlines in ZIP blocks, with what the numbers mean in the header.
//!
//! | channel | holds |
//! |---|---|
//! | `Z` | the model's own numbers, as the meta takes them back from 16-bit samples; what compositing programs look for |
//! | `Y` | the same: the luminance that readers of grey pictures look for (OpenCV) |
//! | `X` | the same: FFmpeg counts `Z` as the last of X, Y and Z, and refuses a file that lacks the others |
//!
//! Copies cost next to nothing on disk: deflate finds them.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use ::exr::image::{Encoding, Image, Layer};
use ::exr::math::Vec2;
use ::exr::meta::attribute::{AttributeValue, IntegerBounds, Text, TimeCode};
use ::exr::meta::header::{ImageAttributes, LayerAttributes};
use ::exr::prelude::{SpecificChannels, WritableImage};
use gst_video::{VideoInfo, VideoTimeCode, VideoTimeCodeFlags, VideoTimeCodeMeta};
use gstdepthanything::depth_meta::{DepthMeta, Unit};
use gstdepthanything::geometry::Size;

/// What a frame's header says of time and shape.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// Width of a pixel to its height.
    pub(crate) pixel_aspect: gst::Fraction,
    /// Frames a second; `None`: they vary, or nobody knows.
    pub(crate) rate: Option<gst::Fraction>,
    pub(crate) timecode: Option<VideoTimeCode>,
}

impl Head {
    /// Of a frame as it comes from the pipeline.
    pub(crate) fn new(info: &VideoInfo, buffer: &gst::BufferRef) -> Self {
        Self {
            pixel_aspect: info.par(),
            rate: Some(info.fps()).filter(|rate| rate.numer() > 0 && rate.denom() > 0),
            timecode: buffer
                .meta::<VideoTimeCodeMeta>()
                .map(|meta| meta.tc().into()),
        }
    }
}

/// Writes `samples`, which `meta` says how to read.
///
/// # Errors
/// In words, when the file can't be written or `samples` are not `size`.
pub(crate) fn write(
    path: &Path,
    size: Size,
    samples: &[u16],
    meta: &DepthMeta,
    head: &Head,
) -> Result<(), String> {
    if samples.len() != size.area() {
        return Err(format!(
            "{} samples are no picture of {size}",
            samples.len()
        ));
    }
    let (width, height) = (size.width as usize, size.height as usize);
    let value = |at: Vec2<usize>| {
        let value = meta.value(samples[at.y() * width + at.x()]) as f32;
        (value, value, value)
    };
    let channels = SpecificChannels::build()
        .with_channel::<f32>("X")
        .with_channel::<f32>("Y")
        .with_channel::<f32>("Z")
        .with_pixel_fn(value);
    let layer = Layer::new(
        (width, height),
        layer_attributes(samples, meta, head),
        Encoding::SMALL_LOSSLESS,
        channels,
    );
    let mut attributes = ImageAttributes::new(IntegerBounds::from_dimensions((width, height)));
    let aspect = head.pixel_aspect;
    attributes.pixel_aspect = (f64::from(aspect.numer()) / f64::from(aspect.denom())) as f32;
    attributes.time_code = head.timecode.as_ref().and_then(time_code);
    let mut bytes = Vec::new();
    Image::new(attributes, layer)
        .write()
        .non_parallel()
        .to_buffered(Cursor::new(&mut bytes))
        .map_err(|error| error.to_string())?;
    sort_attributes(&mut bytes).ok_or("an EXR header that can't be read again")?;
    fs::write(path, bytes).map_err(|error| error.to_string())
}

/// Puts the header's attributes in the order of their names, so that the same frame is the same file on any machine: the
/// crate writes ours in an order by chance.
fn sort_attributes(file: &mut [u8]) -> Option<()> {
    // magic number and version come before
    const BEGIN: usize = 8;
    let text_end =
        |place: usize| Some(place + file.get(place..)?.iter().position(|byte| *byte == 0)? + 1);
    let mut attributes = Vec::new();
    let mut place = BEGIN;
    while *file.get(place)? != 0 {
        let size = text_end(text_end(place)?)?;
        let bytes: [u8; 4] = file.get(size..size + 4)?.try_into().ok()?;
        let end = (size + 4).checked_add(usize::try_from(u32::from_le_bytes(bytes)).ok()?)?;
        attributes.push(file.get(place..end)?.to_vec());
        place = end;
    }
    attributes.sort_unstable();
    file[BEGIN..place].copy_from_slice(&attributes.concat());
    Some(())
}

fn layer_attributes(samples: &[u16], meta: &DepthMeta, head: &Head) -> LayerAttributes {
    let ends = ends(samples, meta);
    let (unit, means) = match meta.unit {
        Unit::Metre => (
            "metres along the camera's axis, 0 where there is no depth",
            "metre",
        ),
        Unit::InverseDepth => (
            "inverse depth in the model's own units, larger is nearer; no metres",
            "inverse-depth",
        ),
    };
    let text = |text: &str| AttributeValue::Text(utf8(text));
    let mut attributes = LayerAttributes {
        near_clip_plane: ends.map(|[near, _]| near),
        far_clip_plane: ends.map(|[_, far]| far),
        frames_per_second: head
            .rate
            .map(|rate| (rate.numer(), rate.denom().unsigned_abs())),
        software_name: Some(utf8(concat!("depthanything ", env!("CARGO_PKG_VERSION")))),
        comments: Some(utf8(&format!(
            "Z: {unit}. Made of 16-bit samples, so in steps of {:e}. near and far: of this frame. X and Y are \
             copies of Z for readers that know no Z. Not colour: no colour transform",
            meta.scale.abs()
        ))),
        ..LayerAttributes::default()
    };
    attributes.other.extend([
        ("depthUnit".into(), text(means)),
        ("depthModel".into(), text(&meta.model)),
        // what a step of the samples is, and what sample 0 was
        ("depthScale".into(), AttributeValue::F64(meta.scale)),
        ("depthOffset".into(), AttributeValue::F64(meta.offset)),
    ]);
    attributes
}

/// Text in UTF-8, as OpenEXR has it today.
fn utf8(text: &str) -> Text {
    Text::from_slice_unchecked(text.replace('\0', "").as_bytes())
}

/// The nearest and the farthest value of the frame; `None`: it has no depth anywhere.
fn ends(samples: &[u16], meta: &DepthMeta) -> Option<[f32; 2]> {
    let is_metric = meta.unit == Unit::Metre;
    let known = samples
        .iter()
        .copied()
        .filter(|&sample| !is_metric || sample > 0);
    let (low, high) = known.fold((u16::MAX, u16::MIN), |(low, high), sample| {
        (low.min(sample), high.max(sample))
    });
    if low > high {
        return None;
    }
    let (a, b) = (meta.value(low), meta.value(high));
    let (near, far) = if is_metric {
        (a.min(b), a.max(b))
    } else {
        (a.max(b), a.min(b))
    };
    Some([near as f32, far as f32])
}

/// As SMPTE ST 12-1 stores it: above 30 frames a second, a count of pairs and which of the two it is. `None` for what
/// it can't hold.
fn time_code(code: &VideoTimeCode) -> Option<TimeCode> {
    let rate = code.fps();
    let pairs = i64::from(rate.numer()) > 30 * i64::from(rate.denom());
    let small = |value: u32, limit: u32| u8::try_from(value).ok().filter(|_| value < limit);
    Some(TimeCode {
        hours: small(code.hours(), 24)?,
        minutes: small(code.minutes(), 60)?,
        seconds: small(code.seconds(), 60)?,
        frame: small(
            if pairs {
                code.frames() / 2
            } else {
                code.frames()
            },
            30,
        )?,
        drop_frame: code.flags().contains(VideoTimeCodeFlags::DROP_FRAME),
        color_frame: false,
        field_phase: pairs && code.frames() % 2 == 1,
        binary_group_flags: [false; 3],
        binary_groups: [0; 8],
    })
}
