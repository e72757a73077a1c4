#!/usr/bin/env python3
"""Colour, depth and a camera's intrinsics to a point cloud, with numpy.

    python3 examples/point_cloud.py photo.jpg cloud.ply --fx 1450

`frames` and `points` are what to take into a program of your own.
Debian and Ubuntu: apt install python3-gi gir1.2-gst-plugins-base-1.0 python3-numpy
"""

import argparse
import sys

import numpy as np

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstVideo  # noqa: E402
from inputs import check, in_words, watch_decoder  # noqa: E402


def frames(video, **properties):
    """Each frame of a video or photo with its depth: time stamp in seconds, colours (height, width, 3) as bytes, the
    model's own numbers (height, width) as floats, their unit ("metre" or "inverse-depth"), and the range of numbers that
    a sample can say. NaN: no depth.

    `properties` are those of the element depthanything, with _ for -.
    """
    # What is lost on neither side is paired below by its time stamp; only the colours may pile up, and no more of them
    # than the element works on at once.
    # decodebin leaves out JPEG's parser by itself, and only that reads how a photo was held.
    parser = Gst.ElementFactory.find("jpegparse")
    if parser:
        parser.set_rank(Gst.Rank.PRIMARY + 1)
    pipeline = Gst.parse_launch(
        "filesrc name=video ! decodebin name=decoder ! videoconvert ! videoflip video-direction=auto ! tee name=frames"
        " frames. ! queue ! videoconvert ! video/x-raw,format=RGB ! appsink name=color sync=false async=false"
        " frames. ! queue max-size-buffers=2 max-size-bytes=0 max-size-time=0 ! depthanything name=network"
        " ! video/x-raw,format=GRAY16_LE ! appsink name=depth sync=false async=false max-buffers=2"
    )
    pipeline.get_by_name("video").set_property("location", video)
    for name, value in properties.items():
        pipeline.get_by_name("network").set_property(name.replace("_", "-"), value)
    color_sink = pipeline.get_by_name("color")
    depth_sink = pipeline.get_by_name("depth")
    watch_decoder(pipeline.get_by_name("decoder"))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        while (depth := pull(pipeline, depth_sink, video)) is not None:
            time = depth.get_buffer().pts
            # a frame may be without depth; depth is never without its frame
            while (color := pull(pipeline, color_sink, video)).get_buffer().pts != time:
                pass
            meta = depth.get_buffer().get_custom_meta("GstDepthMeta").get_structure()
            scale, offset = meta.get_value("scale"), meta.get_value("offset")
            unit = meta.get_value("unit")
            samples = pixels(depth, "<u2")
            values = (scale * samples + offset).astype(np.float32)
            if unit == "metre":
                # 0 is no depth, and the last sample is "that or farther"
                values[(samples == 0) | (samples == 65535)] = np.nan
            ends = sorted((offset, scale * 65535 + offset))
            yield time / Gst.SECOND, pixels(color, "u1"), values, unit, ends
    finally:
        pipeline.set_state(Gst.State.NULL)


def pull(pipeline, sink, video):
    """The next sample of an appsink; None at the end of the video."""
    while True:
        sample = sink.emit("try-pull-sample", Gst.SECOND // 10)
        # what was found wrong with a frame is told before it
        while message := pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.WARNING):
            if message.type == Gst.MessageType.ERROR:
                sys.exit("error: " + in_words(message, video))
            words = message.parse_warning()[0].message
            # an error that says more comes next
            if words != "Delayed linking failed.":
                print("warning: " + words, file=sys.stderr)
        if sample is not None:
            return sample
        if sink.get_property("eos"):
            return None


def pixels(sample, kind):
    """A frame as an array of its own: (height, width) or, of colours, (height, width, 3)."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    buffer = sample.get_buffer()
    layout = GstVideo.buffer_get_video_meta(buffer)
    stride = layout.stride[0] if layout else info.stride[0]
    step = np.dtype(kind).itemsize
    shape, strides = (info.height, info.width), (stride, info.finfo.pixel_stride[0])
    if kind == "u1":
        shape, strides = (*shape, 3), (*strides, step)
    _, memory = buffer.map(Gst.MapFlags.READ)
    try:
        return np.ndarray(shape, kind, memory.data, 0, strides).copy()
    finally:
        buffer.unmap(memory)


def points(z, fx, fy, cx, cy):
    """The points (height, width, 3) that pixels show at the distances z along the camera's axis: x to the right, y down,
    z forward. Pixel (0, 0) is the middle of the first."""
    row, column = np.indices(z.shape, dtype=np.float32)
    return np.stack([(column - cx) * z / fx, (row - cy) * z / fy, z], axis=-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", help="the video or photo; of a video, its first frame is taken")
    parser.add_argument("out", help="the point cloud, as PLY")
    parser.add_argument("--fx", type=float, help="focal length in pixels; without it that of 60° across the longer side")
    parser.add_argument("--fy", type=float, help="focal length down; without it --fx")
    parser.add_argument("--cx", type=float, help="column that the axis meets; without it the middle")
    parser.add_argument("--cy", type=float, help="row that the axis meets; without it the middle")
    parser.add_argument("--near", type=float, default=1.0, help="relative models: metres to the nearest")
    parser.add_argument("--far", type=float, default=10.0, help="relative models: metres to the farthest")
    parser.add_argument("--model", help="an ONNX model; without it the built-in one, which is relative")
    parser.add_argument("--resolution", type=int, default=518, help="short side of what the network sees")
    parser.add_argument("--depth-unit", type=float, default=0.001, help="metric models: metres per step of a sample")
    options = parser.parse_args()
    check(options.video)

    Gst.init(None)
    if Gst.ElementFactory.find("depthanything") is None:
        sys.exit("error: GStreamer finds no element depthanything; in the project's folder: . scripts/env.sh")
    properties = {"resolution": options.resolution, "depth_unit": options.depth_unit}
    if options.model:
        properties["model_file"] = options.model
    for time, color, values, unit, (farthest, nearest) in frames(options.video, **properties):
        if unit == "metre":
            z = values
        else:
            # an assumption for two values settles the scale and the shift of inverse depth
            nearness = (values - farthest) / ((nearest - farthest) or 1)
            z = 1 / (1 / options.far + nearness * (1 / options.near - 1 / options.far))
        height, width = z.shape
        fx = options.fx or max(width, height) / 2 / np.tan(np.radians(60) / 2)
        fy = options.fy or fx
        cx = (width - 1) / 2 if options.cx is None else options.cx
        cy = (height - 1) / 2 if options.cy is None else options.cy
        cloud = points(z, fx, fy, cx, cy)
        known = np.isfinite(z)
        write_ply(options.out, cloud[known], color[known])
        print(f"{time:.3f} s: {known.sum()} points in {options.out}, {(~known).sum()} pixels without depth")
        return
    sys.exit(f"error: {options.video} has no frame that can be decoded")


def write_ply(path, points, colors):
    """Points (n, 3) in metres with colours (n, 3) as binary PLY."""
    vertices = np.empty(len(points), [("at", "<f4", 3), ("color", "u1", 3)])
    vertices["at"], vertices["color"] = points, colors
    with open(path, "wb") as file:
        file.write(
            b"ply\nformat binary_little_endian 1.0\n"
            b"element vertex %d\n"
            b"property float x\nproperty float y\nproperty float z\n"
            b"property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" % len(vertices)
        )
        vertices.tofile(file)


if __name__ == "__main__":
    main()
