"""Depth as numpy arrays."""

import os
from typing import NamedTuple, Optional

import numpy

from . import _needs


class Frame(NamedTuple):
    """A frame and its depth, both of the frame's size."""

    depth: numpy.ndarray
    """float32, height × width, in `unit`; NaN where a metric model knows no depth."""
    colour: numpy.ndarray
    """uint8, height × width × 3: RGB."""
    time: Optional[float]
    """Seconds since the video's start; None where the stream does not tell."""
    unit: str
    """`inverse-depth` (larger is nearer, up to a scale and a shift) or `metre`."""


def depth(source=None, *, pipeline=None, rate=30.0, **properties):
    """Yields a `Frame` for each frame of a video or photo, of a GStreamer source, or of an iterable of arrays.

    source: a path, or an iterable of frames: uint8 arrays of height × width × 3 (RGB), or pairs of such an array and its
        time in seconds. Times that are not given are those of `rate` frames a second.
    pipeline: instead of `source`, elements that give video, as for gst-launch-1.0: "v4l2src ! decodebin".
    properties: those of the element, with _ for -: resolution=252, model_file="model.onnx".

    Raises ImportError or RuntimeError where GStreamer is missing or too old, FileNotFoundError, and RuntimeError with
    GStreamer's words when the pipeline fails. A frame of a live source that comes too late is left out.
    """
    if (source is None) == (pipeline is None):
        raise TypeError("depth() wants either a source (a path, frames) or pipeline=")
    gst = _needs.gstreamer()
    path = os.fspath(source) if isinstance(source, (str, bytes, os.PathLike)) else None
    if path is not None and not os.path.exists(path):
        raise FileNotFoundError(f"there is no file {os.fsdecode(path)}")
    return _play(gst, source, path, pipeline, rate, properties)


def _play(gst, source, path, pipeline, rate, properties):
    if path is not None:
        head = "filesrc name=file ! decodebin name=decoder ! videoflip video-direction=auto"
    elif pipeline is not None:
        head = pipeline
    else:
        head = "appsrc name=frames format=time"
    in_flight = int(properties.get("in_flight", 1))
    # one thread up to the network, so the colour that waits for its depth is what is in flight and in the sinks; only a
    # live source does not wait for a slow reader, and there both leave out what is old
    player = gst.parse_launch(
        f"{head} ! videoconvert ! video/x-raw,format=RGB ! tee name=both"
        f" both. ! appsink name=colour async=false sync=false drop=true wait-on-eos=false max-buffers={in_flight + 16}"
        f" both. ! depthanything {_assignments(properties)} ! video/x-raw,format=GRAY16_LE"
        " ! appsink name=depth async=false sync=false max-buffers=2"
    )
    colours, depths = player.get_by_name("colour"), player.get_by_name("depth")
    faults, early = [], []
    frames = None
    if path is not None:
        player.get_by_name("file").set_property("location", os.fsdecode(path))
        player.get_by_name("decoder").connect("no-more-pads", _need_video, os.fsdecode(path), faults)
    elif pipeline is None:
        frames = _pushed(gst, source, rate, player.get_by_name("frames"))
    try:
        player.set_state(gst.State.PLAYING)
        ahead = 0
        while True:
            # from this thread, which is the caller's, so that nothing waits for Python's lock
            while frames is not None and ahead < in_flight + 2:
                ahead += 1
                if not next(frames):
                    frames = None
            sample = depths.emit("try-pull-sample", gst.SECOND // 20)
            if sample is None:
                message = player.get_bus().pop_filtered(gst.MessageType.ERROR)
                if faults:
                    raise faults[0]
                if message is not None:
                    raise RuntimeError(_words(message))
                if depths.get_property("eos"):
                    return
                continue
            ahead -= 1
            colour = _colour_of(gst, sample, colours, early)
            if colour is not None:
                yield _frame(gst, sample, colour)
    finally:
        player.set_state(gst.State.NULL)


def _assignments(properties):
    """Properties as gst-launch-1.0 reads them."""

    def text(value):
        value = str(value).lower() if isinstance(value, bool) else os.fsdecode(value) if _is_path(value) else str(value)
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return " ".join(f"{name.replace('_', '-')}={text(value)}" for name, value in properties.items())


def _is_path(value):
    return isinstance(value, (bytes, os.PathLike))


def _pushed(gst, frames, rate, appsrc):
    """Pushes a frame a step, and yields True; False when they have ended."""
    for number, frame in enumerate(frames):
        time = number / rate
        if isinstance(frame, tuple):
            frame, time = frame
        frame = numpy.asarray(frame)
        if frame.dtype != numpy.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise TypeError(f"frame {number} is {frame.dtype} of shape {frame.shape}, not uint8 of height × width × 3 (RGB)")
        height, width, _ = frame.shape
        # GStreamer's rows begin at multiples of 4 bytes
        rows = numpy.zeros((height, (width * 3 + 3) // 4 * 4), numpy.uint8)
        rows[:, : width * 3] = frame.reshape(height, width * 3)
        buffer = gst.Buffer.new_wrapped(rows.tobytes())
        buffer.pts = round(time * gst.SECOND)
        caps = gst.Caps.from_string(f"video/x-raw,format=RGB,width={width},height={height},framerate=0/1")
        appsrc.emit("push-sample", gst.Sample.new(buffer, caps, None, None))
        yield True
    appsrc.emit("end-of-stream")
    yield False


def _need_video(decoder, path, faults):
    """What a file without video would otherwise end in is "not linked"."""
    if not any(pad.is_linked() for pad in decoder.srcpads):
        faults.append(RuntimeError(f"{path} has no video or picture that can be decoded"))


def _words(message):
    error, details = message.parse_error()
    element = message.src.get_name() if message.src else "pipeline"
    return f"{element}: {error.message}" + (f"\n{details}" if details else "")


def _colour_of(gst, sample, colours, early):
    """The colour frame that a depth frame belongs to: that of the same time. None: it was left out meanwhile.

    early: a colour frame that was taken and belongs to a depth frame to come.
    """
    time = sample.get_buffer().pts
    while True:
        colour = early.pop() if early else colours.emit("try-pull-sample", 0)
        if colour is None:
            return None
        pts = colour.get_buffer().pts
        if pts == time:
            return colour
        if gst.CLOCK_TIME_NONE not in (pts, time) and pts > time:
            early.append(colour)
            return None


def _array(sample, kind, channels):
    """The pixels of a frame: height × width × channels, without what fills up rows."""
    buffer, structure = sample.get_buffer(), sample.get_caps().get_structure(0)
    width, height = structure.get_value("width"), structure.get_value("height")
    size = buffer.get_size()
    rows = numpy.frombuffer(buffer.extract_dup(0, size), numpy.uint8).reshape(height, size // height)
    pixels = rows[:, : width * channels * numpy.dtype(kind).itemsize]
    return numpy.ascontiguousarray(pixels).view(kind).reshape(height, width, channels)


def _frame(gst, sample, colour):
    buffer = sample.get_buffer()
    meta = buffer.get_custom_meta("GstDepthMeta").get_structure()
    samples = _array(sample, "<u2", 1)[:, :, 0]
    unit = meta.get_value("unit")
    values = (samples * meta.get_value("scale") + meta.get_value("offset")).astype(numpy.float32)
    if unit == "metre":
        values[samples == 0] = numpy.nan
    time = None if buffer.pts == gst.CLOCK_TIME_NONE else buffer.pts / gst.SECOND
    return Frame(values, _array(colour, numpy.uint8, 3), time, unit)
