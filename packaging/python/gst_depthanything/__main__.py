"""`depthanything-gst COMMAND…`, also as `python -m gst_depthanything COMMAND…`."""

import os
import shutil
import sys

from . import _needs, _plugin

USAGE = """Runs a command whose GStreamer finds the elements depthanything and depthcolorize.

    depthanything-gst COMMAND [ARGUMENT…]
    depthanything-gst gst-inspect-1.0 depthanything
    depthanything-gst gst-launch-1.0 filesrc location=video.mp4 ! decodebin ! depthanything ! depthcolorize \\
        ! videoconvert ! autovideosink
"""


def main():
    command = sys.argv[1:]
    if not command or command[0] in ("-h", "--help"):
        print(USAGE, end="", file=sys.stdout if command else sys.stderr)
        return 0 if command else 2
    _plugin.make_known()
    _plugin.name_runtime()
    fault = _needs.library_fault()
    if fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    program = shutil.which(command[0])
    if program is None:
        print(f"error: there is no program {command[0]}", file=sys.stderr)
        if command[0].startswith("gst-"):
            print(f"       GStreamer's come from the distribution: {_needs.install_line()}", file=sys.stderr)
        return 127
    sys.stdout.flush()
    try:
        os.execv(program, command)
    except OSError as error:
        print(f"error: {program}: {error.strerror}", file=sys.stderr)
        return 126


if __name__ == "__main__":
    sys.exit(main())
