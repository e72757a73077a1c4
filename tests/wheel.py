"""What tests/packages.rs has the Python of a virtual environment do with the installed wheel; prints `done` at the end."""

import os
import pathlib
import sys
import tempfile
import threading
import time

BEFORE = "/nowhere/plugins"
os.environ["GST_PLUGIN_PATH"] = BEFORE
os.environ.pop("GST_PLUGIN_PATH_1_0", None)

import gst_depthanything  # noqa: E402
from gst_depthanything import depth, plugin_folder  # noqa: E402

import numpy  # noqa: E402

# what the user has set goes on counting: GStreamer looks at one of the two variables only
assert os.environ["GST_PLUGIN_PATH_1_0"] == f"{plugin_folder()}:{BEFORE}", os.environ["GST_PLUGIN_PATH_1_0"]
gst_depthanything._plugin.make_known()
assert os.environ["GST_PLUGIN_PATH_1_0"] == f"{plugin_folder()}:{BEFORE}", os.environ["GST_PLUGIN_PATH_1_0"]
assert pathlib.Path(plugin_folder()).is_relative_to(sys.prefix), plugin_folder()


def raises(kind, words, call):
    try:
        call()
    except kind as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(f"no {kind.__name__}: {words}")


def picture(number, width=67, height=50):
    """Rows of it are filled up in GStreamer."""
    y, x = numpy.mgrid[0:height, 0:width]
    return numpy.stack([3 * x + number, 4 * y, x + y + 9 * number], axis=2).astype(numpy.uint8)


# frames in: depth, colour and time out, of each frame's own
pictures = [picture(number) for number in range(7)]
frames = list(depth(((frame, 0.5 + number / 4) for number, frame in enumerate(pictures)), resolution=70))
assert [frame.time for frame in frames] == [0.5 + number / 4 for number in range(7)], frames
for frame, sent in zip(frames, pictures):
    assert frame.depth.dtype == numpy.float32 and frame.depth.shape == (50, 67), frame
    assert numpy.isfinite(frame.depth).all() and frame.depth.std() > 0
    assert numpy.array_equal(frame.colour, sent)
    assert frame.unit == "inverse-depth"
# more under way than one
assert len(list(depth(iter(pictures * 6), resolution=70, in_flight=4))) == 42
# another size on the way
sizes = [frame.depth.shape for frame in depth([picture(0), picture(0, 40, 30)], resolution=70, rate=10)]
assert sizes == [(50, 67), (30, 40)], sizes

# the model's own values, whatever range the samples are laid on
(first,) = depth([pictures[0]], resolution=70, range="frame")
low, high = float(first.depth.min()) - 1, float(first.depth.max()) + 1
(second,) = depth([pictures[0]], resolution=70, range="fixed", range_min=low, range_max=high)
assert numpy.abs(first.depth - second.depth).max() <= 2 * (high - low) / 65535

# metres, and NaN where there are none
metric = pathlib.Path(sys.argv[1]) / "metric-indoor.onnx"
(frame,) = depth([pictures[0]], model_file=metric, resolution=70)
assert frame.unit == "metre" and numpy.nanmin(frame.depth) > 0, frame

# any source of GStreamer, a photo; one that is left early ends at once
assert len(list(depth(pipeline="videotestsrc num-buffers=4 ! video/x-raw,width=64,height=48", resolution=70))) == 4
live = "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=30/1"
for count, frame in enumerate(depth(pipeline=live, resolution=70)):
    if count == 3:
        break
begun = time.monotonic()
del frame
assert time.monotonic() - begun < 2

with tempfile.TemporaryDirectory() as folder:
    from gi.repository import Gst

    photo = os.path.join(folder, 'a "photo" \\ 1.png')
    maker = Gst.parse_launch("videotestsrc num-buffers=1 ! pngenc ! filesink name=file")
    maker.get_by_name("file").set_property("location", photo)
    maker.set_state(Gst.State.PLAYING)
    maker.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    maker.set_state(Gst.State.NULL)
    (frame,) = depth(pathlib.Path(photo), resolution=70)
    assert frame.depth.shape == frame.colour.shape[:2] == (240, 320)

    sound = os.path.join(folder, "sound.wav")
    maker = Gst.parse_launch("audiotestsrc num-buffers=9 ! wavenc ! filesink name=file")
    maker.get_by_name("file").set_property("location", sound)
    maker.set_state(Gst.State.PLAYING)
    maker.get_bus().timed_pop_filtered(20 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    maker.set_state(Gst.State.NULL)
    raises(RuntimeError, ["sound.wav", "no video"], lambda: list(depth(sound)))
    text = os.path.join(folder, "text.mp4")
    pathlib.Path(text).write_text("no video\n" * 100)
    raises(RuntimeError, [], lambda: list(depth(text)))

# what can't be
raises(FileNotFoundError, ["/nowhere/video.mp4"], lambda: depth("/nowhere/video.mp4"))
raises(TypeError, ["source", "pipeline"], depth)
raises(TypeError, ["float64", "uint8"], lambda: list(depth([numpy.zeros((9, 9, 3))])))
raises(Exception, ["no-such"], lambda: list(depth([pictures[0]], no_such=1)))
raises(RuntimeError, ["/nowhere/model.onnx"], lambda: list(depth([pictures[0]], model_file="/nowhere/model.onnx")))


def broken():
    yield pictures[0]
    raise KeyError("of the caller")


raises(KeyError, ["of the caller"], lambda: list(depth(broken(), resolution=70)))
assert threading.active_count() == 1, threading.enumerate()
print("done")
