#!/usr/bin/env python3
"""Tells when something comes nearer than a distance, by the regions of interest that a detector marks.

    python3 examples/nearer_than.py video.mp4 --nearer 2.5 --model metric.onnx --zone door=600,200,300,500
    python3 examples/nearer_than.py /dev/video0 --nearer 2.5 --model metric.onnx --detector "gvadetect model=person.xml"

--detector takes any element that adds GstVideoRegionOfInterestMeta; --zone marks a part of the picture that stays where
it is. depthanything adds the depth of each region to it. A detector in Python goes where `mark_zones` is.
Debian and Ubuntu: apt install python3-gi gir1.2-gst-plugins-base-1.0
"""

import argparse
import ctypes
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstVideo  # noqa: E402
from inputs import check, in_words, watch_decoder  # noqa: E402


class RegionMeta(ctypes.Structure):
    """GstVideoRegionOfInterestMeta, which GStreamer's Python does not let one list."""

    _fields_ = [
        ("flags", ctypes.c_int),
        ("info", ctypes.c_void_p),
        ("type", ctypes.c_uint32),
        ("id", ctypes.c_int),
        ("parent_id", ctypes.c_int),
        ("x", ctypes.c_uint),
        ("y", ctypes.c_uint),
        ("width", ctypes.c_uint),
        ("height", ctypes.c_uint),
        ("params", ctypes.c_void_p),
    ]


glib = ctypes.CDLL("libglib-2.0.so.0")
gstreamer = ctypes.CDLL("libgstreamer-1.0.so.0")
video = ctypes.CDLL("libgstvideo-1.0.so.0")
glib.g_quark_to_string.restype = ctypes.c_char_p
video.gst_video_region_of_interest_meta_api_get_type.restype = ctypes.c_size_t
gstreamer.gst_buffer_iterate_meta_filtered.restype = ctypes.POINTER(RegionMeta)
gstreamer.gst_buffer_iterate_meta_filtered.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
video.gst_video_region_of_interest_meta_get_param.restype = ctypes.c_void_p
video.gst_video_region_of_interest_meta_get_param.argtypes = [ctypes.POINTER(RegionMeta), ctypes.c_char_p]
gstreamer.gst_structure_get_double.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def regions(buffer):
    """The regions of interest of a depth frame: label, (x, y, width, height), and their depth as a dictionary of `median`,
    `near`, `far` and `valid`, in which the first three are missing where there is no depth."""
    kind = video.gst_video_region_of_interest_meta_api_get_type()
    state = ctypes.c_void_p()
    found = []
    # hash() of a buffer is its address
    while meta := gstreamer.gst_buffer_iterate_meta_filtered(hash(buffer), ctypes.byref(state), kind):
        structure = video.gst_video_region_of_interest_meta_get_param(meta, b"depth")
        depth, number = {}, ctypes.c_double()
        for field in ("median", "near", "far", "valid"):
            if structure and gstreamer.gst_structure_get_double(structure, field.encode(), ctypes.byref(number)):
                depth[field] = number.value
        region = meta.contents
        label = (glib.g_quark_to_string(ctypes.c_uint32(region.type)) or b"").decode()
        found.append((label, (region.x, region.y, region.width, region.height), depth))
    return found


class Alarm:
    """Whether something is near, decided so that a number which trembles about the limit does not make it flutter: it takes
    `frames` frames in a row nearer than `nearer` to begin, and as many not nearer than `clear` to end."""

    def __init__(self, nearer, clear, frames):
        self.nearer, self.clear, self.frames = nearer, clear, frames
        self.on, self.count = False, 0

    def see(self, distance, larger_is_nearer):
        """Takes the distance of a frame, None where there is nothing; True when the alarm begins or ends."""
        sign = -1 if larger_is_nearer else 1
        limit = self.clear if self.on else self.nearer
        is_near = distance is not None and sign * distance < sign * limit
        self.count = self.count + 1 if is_near != self.on else 0
        if self.count < self.frames:
            return False
        self.on, self.count = not self.on, 0
        return True


class Watch:
    """Looks at depth frames and posts element messages `nearer-than` on the pipeline's bus."""

    def __init__(self, pipeline, options):
        self.pipeline, self.options = pipeline, options
        self.alarms = {}
        self.said_relative = False

    def on_depth(self, pad, info):
        buffer = info.get_buffer()
        meta = buffer.get_custom_meta("GstDepthMeta").get_structure()
        unit = meta.get_value("unit")
        larger_is_nearer = unit == "inverse-depth"
        if larger_is_nearer and not self.alarms:
            self.say_relative(meta.get_value("model"))
        nearest = dict.fromkeys(self.alarms)
        for label, _, depth in regions(buffer):
            near = depth.get("near")
            if near is not None:
                best = max if larger_is_nearer else min
                before = nearest.get(label)
                nearest[label] = near if before is None else best(before, near)
        for label, distance in nearest.items():
            if label not in self.alarms:
                self.alarms[label] = self.new_alarm(larger_is_nearer)
            alarm = self.alarms[label]
            if alarm.see(distance, larger_is_nearer):
                self.post(label, alarm.on, distance, unit, buffer.pts)
        return Gst.PadProbeReturn.OK

    def say_relative(self, model):
        if not self.said_relative:
            self.said_relative = True
            print(
                f"the model {model} is relative, it knows no metres: --nearer {self.options.nearer} is inverse depth in its"
                " own numbers, where larger is nearer (read_meta.py prints some)",
                file=sys.stderr,
            )

    def new_alarm(self, larger_is_nearer):
        nearer, clear = self.options.nearer, self.options.clear
        if clear is None:
            clear = nearer * (0.9 if larger_is_nearer else 1.1)
        return Alarm(nearer, clear, self.options.frames)

    def post(self, label, is_near, distance, unit, pts):
        structure = Gst.Structure.new_empty("nearer-than")
        structure.set_value("region", label)
        structure.set_value("near", is_near)
        if distance is not None:
            structure.set_value("distance", distance)
        structure.set_value("unit", unit)
        structure.set_value("seconds", pts / Gst.SECOND)
        self.pipeline.post_message(Gst.Message.new_element(self.pipeline, structure))


def say_outside(zones, caps):
    """Tells which zones are not in the picture, where nothing is ever near."""
    picture = caps.get_structure(0)
    width, height = picture.get_value("width"), picture.get_value("height")
    for label, (x, y, zone_width, zone_height) in zones:
        if x >= width or y >= height or not zone_width or not zone_height:
            print(f"warning: the zone {label} is outside the picture, which is {width}x{height}: nothing is ever near there",
                  file=sys.stderr)


def mark_zones(buffer, zones):
    """What a detector in Python does: gives a frame its regions of interest. `buffer` is a copy, so it may be changed."""
    for label, (x, y, width, height) in zones:
        GstVideo.buffer_add_video_region_of_interest_meta(buffer, label, x, y, width, height)


def source(text):
    """The piece of pipeline that gives the frames of a file, a device or a URI, and whether it can wait for us."""
    upright = "videoconvert ! videoflip video-direction=auto"
    if text.startswith("/dev/"):
        return f'v4l2src device="{text}" ! decodebin', False
    if "://" in text:
        return f'uridecodebin uri="{text}" ! {upright}', False
    return f'filesrc location="{text}" ! decodebin name=decoder ! {upright}', True


def zone(text):
    label, _, numbers = text.partition("=")
    try:
        box = tuple(int(number) for number in numbers.split(","))
    except ValueError:
        box = ()
    if not label or len(box) != 4 or min(box) < 0:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=X,Y,WIDTH,HEIGHT in pixels, as door=600,200,300,500")
    return label, box


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a video, a device (/dev/video0) or a URI (rtsp://…)")
    parser.add_argument("--nearer", type=float, required=True, metavar="DISTANCE",
                        help="metres with a metric model; else inverse depth in the model's numbers, where larger is nearer")
    parser.add_argument("--clear", type=float, metavar="DISTANCE",
                        help="where it is over; without it a tenth farther than --nearer")
    parser.add_argument("--frames", type=int, default=3, help="frames in a row that it takes to begin and to end")
    parser.add_argument("--zone", type=zone, action="append", default=[], metavar="NAME=X,Y,WIDTH,HEIGHT",
                        help="a part of the picture to watch; may be given several times")
    parser.add_argument("--detector", help="a piece of pipeline that adds regions of interest to frames")
    parser.add_argument("--model", help="an ONNX model; metric ones give metres")
    parser.add_argument("--resolution", type=int, default=252, help="short side of what the network sees")
    options = parser.parse_args()
    if not options.zone and not options.detector:
        parser.error("nothing to watch: give --zone or --detector")
    is_file = not options.source.startswith("/dev/") and "://" not in options.source
    if is_file:
        check(options.source)

    Gst.init(None)
    if Gst.ElementFactory.find("depthanything") is None:
        sys.exit("error: GStreamer finds no element depthanything; in the project's folder: . scripts/env.sh")
    detector = f"! {options.detector}" if options.detector else ""
    frames, waits = source(options.source)
    # of a camera, the newest frame
    drop = str(not waits).lower()
    try:
        pipeline = Gst.parse_launch(
            f"{frames} ! videoconvert ! video/x-raw,format=RGB {detector}"
            f" ! appsink name=frames emit-signals=true max-buffers=2 drop={drop} sync=false"
            "  appsrc name=marked format=time max-buffers=2 max-bytes=0 block=true"
            " ! depthanything name=depth ! fakesink name=sink sync=false async=false"
        )
    except GLib.Error as error:
        sys.exit(f"error: {error.message}")
    depth, marked = pipeline.get_by_name("depth"), pipeline.get_by_name("marked")
    depth.set_property("resolution", options.resolution)
    if options.model:
        depth.set_property("model-file", options.model)

    def on_frame(sink):
        sample = sink.emit("pull-sample")
        # A copy of the buffer, not of its pixels, that may be changed. (Python's `copy` would only add a reference.)
        buffer = sample.get_buffer()
        everything = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.TIMESTAMPS
        everything |= Gst.BufferCopyFlags.META | Gst.BufferCopyFlags.MEMORY
        buffer = buffer.copy_region(everything, 0, buffer.get_size())
        mark_zones(buffer, options.zone)
        if marked.get_property("caps") is None:
            say_outside(options.zone, sample.get_caps())
        marked.set_property("caps", sample.get_caps())
        return marked.emit("push-buffer", buffer)

    frames = pipeline.get_by_name("frames")
    frames.connect("new-sample", on_frame)
    frames.connect("eos", lambda _: marked.emit("end-of-stream"))
    watch = Watch(pipeline, options)
    depth.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, watch.on_depth)

    if waits:
        watch_decoder(pipeline.get_by_name("decoder"))
    pipeline.set_state(Gst.State.PLAYING)
    try:
        follow(pipeline.get_bus(), options.source)
    except KeyboardInterrupt:
        pass
    finally:
        pipeline.set_state(Gst.State.NULL)


def follow(bus, film):
    """Prints what is posted, to the end."""
    while True:
        message = bus.timed_pop(Gst.SECOND // 10)
        if message is None:
            continue
        if message.type == Gst.MessageType.EOS:
            return
        if message.type == Gst.MessageType.ERROR:
            sys.exit("error: " + in_words(message, film))
        if message.type == Gst.MessageType.WARNING:
            words = message.parse_warning()[0].message
            # an error that says more comes next
            if words != "Delayed linking failed.":
                print("warning: " + words, file=sys.stderr)
        structure = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and structure.has_name("nearer-than"):
            told = {name: structure.get_value(name) for name in ("region", "near", "unit", "seconds")}
            where = "gone"
            if structure.has_field("distance"):
                distance = structure.get_value("distance")
                where = f"{distance:.2f} m" if told["unit"] == "metre" else f"inverse depth {distance:.4f}"
            state = "NEAR" if told["near"] else "clear"
            print(f"{told['seconds']:.3f} s  {told['region']}: {state} ({where})", flush=True)


if __name__ == "__main__":
    main()
