//! Reaching the pixels of buffers, with errors that say what is wrong with them.

use gst_video::{VideoFrameRef, VideoInfo};

use crate::error::Error;

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
