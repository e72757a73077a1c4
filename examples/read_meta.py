#!/usr/bin/env python3
"""Prints what the middle of each depth frame means, from its GstDepthMeta.

    python3 examples/read_meta.py video.mp4

Debian and Ubuntu: apt install python3-gi gir1.2-gst-plugins-base-1.0
"""

import argparse
import struct
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402
from inputs import check, in_words, watch_decoder  # noqa: E402


def print_middle(sample):
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    buffer = sample.get_buffer()
    meta = buffer.get_custom_meta("GstDepthMeta").get_structure()

    layout = GstVideo.buffer_get_video_meta(buffer)
    stride = layout.stride[0] if layout else info.stride[0]
    order = ">" if info.finfo.format == GstVideo.VideoFormat.GRAY16_BE else "<"
    middle = stride * (info.height // 2) + 2 * (info.width // 2)
    _, memory = buffer.map(Gst.MapFlags.READ)
    (raw,) = struct.unpack_from(order + "H", memory.data, middle)
    buffer.unmap(memory)

    value = meta.get_value("scale") * raw + meta.get_value("offset")
    if meta.get_value("unit") == "metre":
        text = f"{value:.3f} m"
    else:
        text = f"inverse depth {value:.4f}"
    width, height = meta.get_value("network-width"), meta.get_value("network-height")
    repeated = ", repeated" if meta.get_value("repeated") else ""
    filtered = ", filtered" if meta.get_value("filtered") else ""
    print(
        f"{buffer.pts / Gst.SECOND:.3f} s  {text}  (sample {raw}, network {width}x{height}, "
        f"scene {meta.get_value('scene')}, model {meta.get_value('model')}{repeated}{filtered})"
    )


def on_sample(sink, seen):
    print_middle(sink.emit("pull-sample"))
    seen.append(True)
    return Gst.FlowReturn.OK


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", help="the video or photo")
    video = parser.parse_args().video
    check(video)
    Gst.init(None)
    if Gst.ElementFactory.find("depthanything") is None:
        sys.exit("error: GStreamer finds no element depthanything; in the project's folder: . scripts/env.sh")
    pipeline = Gst.parse_launch(
        "filesrc name=video ! decodebin name=decoder ! depthanything"
        " ! appsink name=depth sync=false emit-signals=true"
    )
    seen = []
    pipeline.get_by_name("video").set_property("location", video)
    pipeline.get_by_name("depth").connect("new-sample", on_sample, seen)
    watch_decoder(pipeline.get_by_name("decoder"))
    pipeline.set_state(Gst.State.PLAYING)
    message = pipeline.get_bus().timed_pop_filtered(
        Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR
    )
    pipeline.set_state(Gst.State.NULL)
    if message.type == Gst.MessageType.ERROR:
        sys.exit("error: " + in_words(message, video))
    if not seen:
        sys.exit(f"error: {video} has no frame that can be decoded")


if __name__ == "__main__":
    main()
