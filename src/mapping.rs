//! Reaching the pixels of buffers, with errors that say what is wrong with them.
//!
//! Pixels are read directly where the kernels of [`crate::frame`] know the format, through GStreamer's own video
//! converter where they do not.

use gst_video::prelude::*;
use gst_video::{
    VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry, VideoConverter,
    VideoFormat, VideoFrame, VideoFrameRef, VideoInfo, VideoTransferFunction,
};

use crate::error::Error;
use crate::frame::{
    ChromaSite, Colorimetry, Frame, FrameFormat, PixelFormat, Plane, Primaries, Transfer,
};
use crate::geometry::Size;
use crate::sync::lock;

/// The frame in `buffer`, called `what` in errors.
///
/// # Errors
/// [`Error::Frame`] when the buffer is smaller than `info` says or can't be mapped.
pub(crate) fn readable<'a>(
    buffer: &'a gst::BufferRef,
    info: &VideoInfo,
    what: &str,
) -> Result<VideoFrameRef<&'a gst::BufferRef>, Error> {
    let held = Held::of(buffer);
    VideoFrameRef::from_buffer_ref_readable(buffer, info).map_err(|_| held.unmapped(info, what))
}

/// As [`readable`], to be written.
///
/// # Errors
/// As those of [`readable`].
pub(crate) fn writable<'a>(
    buffer: &'a mut gst::BufferRef,
    info: &VideoInfo,
    what: &str,
) -> Result<VideoFrameRef<&'a mut gst::BufferRef>, Error> {
    let held = Held::of(buffer);
    VideoFrameRef::from_buffer_ref_writable(buffer, info).map_err(|_| held.unmapped(info, what))
}

/// What a buffer is, for errors.
struct Held {
    bytes: usize,
    /// A `GstVideoMeta` says where its planes are.
    has_layout: bool,
}

impl Held {
    fn of(buffer: &gst::BufferRef) -> Self {
        Self {
            bytes: buffer.size(),
            has_layout: buffer.meta::<gst_video::VideoMeta>().is_some(),
        }
    }

    fn unmapped(&self, info: &VideoInfo, what: &str) -> Error {
        let (found, wanted) = (self.bytes, info.size());
        let format = info.format().to_str();
        let reason = if self.has_layout {
            format!(
                "the {what} buffer of {found} bytes can't be mapped: its GstVideoMeta has another layout than that of \
                 {format} {}x{}, or reaches beyond its end",
                info.width(),
                info.height()
            )
        } else if found < wanted {
            format!(
                "the {what} buffer holds {found} bytes; {wanted} are wanted for its caps, {format} {}x{}",
                info.width(),
                info.height()
            )
        } else {
            format!("the {what} buffer of {found} bytes can't be mapped")
        };
        Error::Frame { reason }
    }
}

/// Reads the frames of one caps.
pub(crate) struct Reader {
    format: FrameFormat,
    conversion: Option<Conversion>,
}

/// To RGB of the same size, into a frame that is kept.
struct Conversion {
    converter: VideoConverter,
    rgb: VideoFrame<gst_video::video_frame::Writable>,
}

impl Reader {
    /// For frames described by `info`; where they are converted first, with so many threads, 0: one for each core.
    ///
    /// # Errors
    /// When GStreamer can't convert such frames.
    pub(crate) fn new(info: &VideoInfo, threads: usize) -> Result<Self, glib::BoolError> {
        // chroma of interlaced 4:2:0 lies between the lines of a field, which only the converter knows
        if let Some(format) = direct(info)
            && !(info.is_interlaced() && format.pixels.shares_chroma_down())
        {
            return Ok(Self {
                format,
                conversion: None,
            });
        }
        let colorimetry = info.colorimetry();
        // eight bits are too few for high dynamic range, and what its samples mean has to come through
        let (format, colorimetry) = match transfer(info) {
            Transfer::Standard => (VideoFormat::Rgb, None),
            Transfer::Pq | Transfer::Hlg => {
                let rgb = VideoColorimetry::new(
                    VideoColorRange::Range0_255,
                    VideoColorMatrix::Rgb,
                    colorimetry.transfer(),
                    colorimetry.primaries(),
                );
                (VideoFormat::Argb64, Some(rgb))
            }
        };
        let rgb = VideoInfo::builder(format, info.width(), info.height())
            .fps(info.fps())
            .interlace_mode(info.interlace_mode())
            .colorimetry_if_some(colorimetry.as_ref())
            .build()?;
        let mut config = gst_video::VideoConverterConfig::new();
        config.set_dither_method(gst_video::VideoDitherMethod::None);
        config.set_threads(threads_there_are(threads));
        let converter = VideoConverter::new(info, &rgb, Some(config))?;
        let buffer = gst::Buffer::with_size(rgb.size())?;
        let format = direct(&rgb).ok_or_else(|| glib::bool_error!("RGB is read directly"))?;
        let rgb = VideoFrame::from_buffer_writable(buffer, &rgb)
            .map_err(|_| glib::bool_error!("can't map a frame of {} bytes", rgb.size()))?;
        Ok(Self {
            format,
            conversion: Some(Conversion { converter, rgb }),
        })
    }

    /// What [`Self::read`] hands on.
    pub(crate) fn format(&self) -> &FrameFormat {
        &self.format
    }

    /// Whether frames are converted first.
    pub(crate) fn converts(&self) -> bool {
        self.conversion.is_some()
    }

    /// Hands the pixels of `frame` to `reader`.
    pub(crate) fn read<T>(
        &mut self,
        frame: &VideoFrameRef<&gst::BufferRef>,
        reader: impl FnOnce(&Frame<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match &mut self.conversion {
            None => reader(&planes(frame)?),
            Some(Conversion { converter, rgb }) => {
                converter.frame_ref(frame, &mut rgb.as_mut_video_frame_ref());
                reader(&planes(&rgb.as_video_frame_ref())?)
            }
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Frame {
        reason: error.to_string(),
    }
}

fn planes<'a>(frame: &'a VideoFrameRef<&gst::BufferRef>) -> Result<Frame<'a>, Error> {
    let mut planes = [Plane::default(); 3];
    let count = planes.len().min(frame.n_planes() as usize);
    for (index, plane) in planes.iter_mut().enumerate().take(count) {
        let stride = frame.plane_stride()[index];
        *plane = Plane {
            data: frame.plane_data(index as u32).map_err(unreadable)?,
            stride: usize::try_from(stride)
                .map_err(|_| unreadable(format_args!("stride {stride} of plane {index}")))?,
        };
    }
    Ok(Frame { planes })
}

/// How the samples stand for light.
fn transfer(info: &VideoInfo) -> Transfer {
    match info.colorimetry().transfer() {
        VideoTransferFunction::Smpte2084 => Transfer::Pq,
        VideoTransferFunction::AribStdB67 => Transfer::Hlg,
        _ => Transfer::Standard,
    }
}

/// What a thread of GStreamer's converter takes for its stack, and more.
const STACK: usize = 16 << 20;

/// So many threads, 0: one for each core; one, which is the caller's own, where they can't be started. GStreamer's
/// converter waits for ever for threads that could not be started.
fn threads_there_are(wanted: usize) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if wanted == 0 { cores() } else { wanted };
    let gate = std::sync::Mutex::new(());
    let all = std::thread::scope(|scope| {
        let closed = lock(&gate);
        // all at the same time
        let started = (1..wanted).all(|_| {
            let builder = std::thread::Builder::new().stack_size(STACK);
            let wait = || drop(lock(&gate));
            builder.spawn_scoped(scope, wait).is_ok()
        });
        drop(closed);
        started
    });
    if all {
        u32::try_from(wanted).unwrap_or(1)
    } else {
        1
    }
}

/// As the kernels name it; `None` for what they do not read.
fn direct(info: &VideoInfo) -> Option<FrameFormat> {
    let pixels = match info.format() {
        VideoFormat::Rgb => PixelFormat::Rgb,
        VideoFormat::Bgr => PixelFormat::Bgr,
        VideoFormat::Rgbx => PixelFormat::Rgbx,
        VideoFormat::Bgrx => PixelFormat::Bgrx,
        VideoFormat::Xrgb => PixelFormat::Xrgb,
        VideoFormat::Xbgr => PixelFormat::Xbgr,
        VideoFormat::Rgba => PixelFormat::Rgba,
        VideoFormat::Bgra => PixelFormat::Bgra,
        VideoFormat::Argb => PixelFormat::Argb,
        VideoFormat::Abgr => PixelFormat::Abgr,
        VideoFormat::Gray8 => PixelFormat::Gray8,
        VideoFormat::Nv12 => PixelFormat::Nv12,
        VideoFormat::Nv21 => PixelFormat::Nv21,
        VideoFormat::I420 => PixelFormat::I420,
        VideoFormat::Yv12 => PixelFormat::Yv12,
        VideoFormat::Yuy2 => PixelFormat::Yuy2,
        VideoFormat::Yvyu => PixelFormat::Yvyu,
        VideoFormat::Uyvy => PixelFormat::Uyvy,
        VideoFormat::Vyuy => PixelFormat::Vyuy,
        VideoFormat::Nv16 => PixelFormat::Nv16,
        VideoFormat::Nv61 => PixelFormat::Nv61,
        VideoFormat::Y42b => PixelFormat::I422,
        VideoFormat::Y444 => PixelFormat::I444,
        VideoFormat::P01010le => PixelFormat::P010,
        VideoFormat::P012Le => PixelFormat::P012,
        VideoFormat::P016Le => PixelFormat::P016,
        VideoFormat::I42010le => PixelFormat::I420P10,
        VideoFormat::I42210le => PixelFormat::I422P10,
        VideoFormat::Y44410le => PixelFormat::I444P10,
        VideoFormat::I42012le => PixelFormat::I420P12,
        VideoFormat::I42212le => PixelFormat::I422P12,
        VideoFormat::Y44412le => PixelFormat::I444P12,
        VideoFormat::Argb64 => PixelFormat::Argb64,
        VideoFormat::Gray16Le => PixelFormat::Gray16Le,
        VideoFormat::Gray16Be => PixelFormat::Gray16Be,
        _ => return None,
    };
    let colorimetry = info.colorimetry();
    let full_range = colorimetry.range() == VideoColorRange::Range0_255;
    let colorimetry = match colorimetry.matrix() {
        VideoColorMatrix::Bt709 => Colorimetry::bt709(full_range),
        VideoColorMatrix::Bt2020 => Colorimetry::bt2020(full_range),
        VideoColorMatrix::Smpte240m => Colorimetry::smpte240m(full_range),
        // GStreamer fills in what caps leave out: all else is BT.601 but in name, or has no use for a matrix
        _ => Colorimetry::bt601(full_range),
    };
    let primaries = match info.colorimetry().primaries() {
        VideoColorPrimaries::Smpterp431 | VideoColorPrimaries::Smpteeg432 => Primaries::P3,
        // high dynamic range that does not say is BT.2100's
        VideoColorPrimaries::Bt2020 | VideoColorPrimaries::Unknown => Primaries::BT2020,
        _ => Primaries::BT709,
    };
    let colorimetry = colorimetry.with_light(transfer(info), primaries);
    let site = info.chroma_site();
    Some(FrameFormat {
        size: Size::new(info.width(), info.height()),
        pixels,
        colorimetry,
        chroma_site: ChromaSite {
            horizontally_cosited: site.contains(gst_video::VideoChromaSite::H_COSITED),
            vertically_cosited: site.contains(gst_video::VideoChromaSite::V_COSITED),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversion_takes_no_more_threads_than_it_may() {
        gst::init().unwrap();
        let info = |format| VideoInfo::builder(format, 64, 48).build().unwrap();
        for threads in [0, 1, 3] {
            let reader = Reader::new(&info(VideoFormat::Y41b), threads).unwrap();
            let converter = reader.conversion.expect("a conversion").converter;
            let wanted = match threads {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                threads => threads,
            };
            assert_eq!(converter.config().threads() as usize, wanted);
        }
        let reader = Reader::new(&info(VideoFormat::Nv12), 1).unwrap();
        assert!(reader.conversion.is_none());
    }
}
