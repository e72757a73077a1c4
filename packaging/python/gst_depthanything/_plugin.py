"""Where the plugin lies, and how GStreamer and the plugin are told of it."""

import importlib.util
import os
import sys
from pathlib import Path

VARIABLE = "GST_PLUGIN_PATH_1_0"


def plugin_folder():
    """The folder that holds the plugin's library, a `str`."""
    return str(Path(__file__).resolve().parent / "plugins")


def make_known():
    """Puts the plugin's folder in front of GStreamer's plugin path."""
    folder = plugin_folder()
    # as GStreamer reads them: where the first is set, even to nothing, the other is not looked at
    before = os.environ.get(VARIABLE)
    if before is None:
        before = os.environ.get("GST_PLUGIN_PATH", "")
    paths = [path for path in before.split(os.pathsep) if path and path != folder]
    os.environ[VARIABLE] = os.pathsep.join([folder, *paths])
    # one that runs already has read the variable
    gst = sys.modules.get("gi.repository.Gst")
    if gst is not None and gst.is_initialized():
        gst.Registry.get().scan_path(folder)


def name_runtime():
    """Sets `ORT_DYLIB_PATH` to this Python's `onnxruntime` where the plugin would not find that by itself.

    It looks in the `site-packages` that it lies in; a virtual environment may see another one's.
    """
    if os.environ.get("ORT_DYLIB_PATH"):
        return
    own = Path(__file__).resolve().parent.parent / "onnxruntime" / "capi"
    if own.is_dir():
        return
    found = importlib.util.find_spec("onnxruntime")
    for folder in (found.submodule_search_locations or []) if found else []:
        capi = Path(folder) / "capi"
        if any(capi.glob("libonnxruntime.so*")):
            os.environ["ORT_DYLIB_PATH"] = str(capi)
            return
