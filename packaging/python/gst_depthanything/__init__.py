"""The GStreamer plugin depthanything, for Python.

Importing this package lets GStreamer find the elements `depthanything` and `depthcolorize`, in this process and those
that it starts. `depth` gives the depth of a video, a camera or frames as numpy arrays:

    from gst_depthanything import depth

    for frame in depth("video.mp4", resolution=252):
        print(frame.time, frame.depth.mean(), frame.colour.shape)

GStreamer and its bindings for Python come from the distribution, not from PyPI; `depth` says which line installs them.
"""

from ._frames import Frame, depth
from ._plugin import make_known, plugin_folder

__all__ = ["Frame", "depth", "plugin_folder"]

make_known()
