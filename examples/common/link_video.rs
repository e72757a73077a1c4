//! A decoder and what is to have its video, upright, for the examples that read videos and photos.

use std::error::Error;

use gst::prelude::*;

/// Lets decoders that are made from here on read how a photo was held: `decodebin` leaves JPEG's parser out by itself, and
/// only that reads Exif.
pub(crate) fn read_orientation() {
    if let Some(parser) = gst::ElementFactory::find("jpegparse") {
        parser.set_rank(gst::Rank::PRIMARY + 1);
    }
}

/// An element that gives frames as `caps` describe, or of another format, turned upright by their tags.
fn upright(caps: &gst::CapsRef) -> Result<gst::Element, glib::BoolError> {
    let flip = gst::ElementFactory::make("videoflip")
        .property_from_str("video-direction", "auto")
        .build()?;
    let reads = flip
        .static_pad("sink")
        .is_some_and(|pad| pad.query_caps(None).can_intersect(caps));
    if reads {
        return Ok(flip);
    }
    // formats that only the converter reads
    let bin = gst::Bin::new();
    let convert = gst::ElementFactory::make("videoconvert").build()?;
    bin.add_many([&convert, &flip])?;
    convert.link(&flip)?;
    for (name, element) in [("sink", &convert), ("src", &flip)] {
        let pad = element
            .static_pad(name)
            .ok_or(glib::bool_error!("no pad {name}"))?;
        bin.add_pad(&gst::GhostPad::with_target(&pad)?)?;
    }
    Ok(bin.upcast())
}

/// Links a decoder's pad to `target`, with what turns its frames upright between them.
fn link_upright(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    caps: &gst::CapsRef,
    target: &gst::Pad,
) -> Result<(), Box<dyn Error>> {
    let upright = upright(caps)?;
    pipeline.add(&upright)?;
    let [sink, source] = ["sink", "src"].map(|name| upright.static_pad(name));
    source.ok_or("no source pad")?.link(target)?;
    upright.sync_state_with_parent()?;
    pad.link(&sink.ok_or("no sink pad")?)?;
    Ok(())
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
    let weak = pipeline.downgrade();
    decoder.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is_video = caps.structure(0).is_some_and(|s| s.name() == "video/x-raw");
        let pipeline = weak.upgrade().filter(|_| is_video && !target.is_linked());
        if let Some(pipeline) = pipeline
            && let Err(error) = link_upright(&pipeline, pad, &caps, &target)
        {
            gst::element_error!(
                pipeline,
                gst::CoreError::Negotiation,
                ("the video can't be turned upright: {error}")
            );
        }
    });
    let pipeline = pipeline.downgrade();
    decoder.connect_no_more_pads(move |_| {
        if let Some(pipeline) = pipeline.upgrade().filter(|_| !sink.is_linked()) {
            gst::element_error!(
                pipeline,
                gst::StreamError::WrongType,
                ("there is no video in this file that can be decoded here")
            );
        }
    });
    Ok(())
}
