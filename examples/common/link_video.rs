//! A decoder and what is to have its video, for the examples that read films.

use std::error::Error;

use gst::prelude::*;

use crate::stalled;

/// Lets a decoder tell how a photo was held, for `videoflip video-direction=auto` behind it: `decodebin` leaves out JPEG's
/// parser by itself, and only that reads Exif. For decoders that start later.
pub(crate) fn read_orientation() {
    if let Some(parser) = gst::ElementFactory::find("jpegparse") {
        parser.set_rank(gst::Rank::PRIMARY + 1);
    }
}

/// Links the first video stream that the decoder finds; posts an error when there is none.
pub(crate) fn link_video(
    pipeline: &gst::Pipeline,
    decoder: &gst::Element,
    video: &gst::Element,
) -> Result<(), Box<dyn Error>> {
    let sink = video.static_pad("sink").ok_or("no sink pad")?;
    let target = sink.clone();
    read_orientation();
    stalled::watch(decoder);
    decoder.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|s| s.name() == "video/x-raw");
        if is_video && !target.is_linked() {
            // a failure shows as an error of the stream
            let _ = pad.link(&target);
        }
    });
    let pipeline = pipeline.downgrade();
    decoder.connect_no_more_pads(move |_| {
        if let Some(pipeline) = pipeline.upgrade().filter(|_| !sink.is_linked()) {
            gst::element_error!(
                pipeline,
                gst::StreamError::WrongType,
                ("there is no video in it that can be decoded here")
            );
        }
    });
    Ok(())
}
