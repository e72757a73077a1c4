"""What the Python examples here say of a file that they can't read or decode: keep it beside them."""

import os
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


def check(video):
    """Ends the program if there is nothing to read."""
    if os.path.isdir(video):
        sys.exit(f"error: {video} is a folder, not a file")
    if not os.path.exists(video):
        sys.exit(f"error: there is no file {video}")
    if os.path.isfile(video) and os.path.getsize(video) == 0:
        sys.exit(f"error: {video} is empty")
    if not os.access(video, os.R_OK):
        sys.exit(f"error: {video} can't be read: permission denied")


def in_words(message, video):
    """What an error message says; if it is of reading or decoding, with the file's name."""
    error, debug = message.parse_error()
    factory = message.src.get_factory() if isinstance(message.src, Gst.Element) else None
    if factory and factory.get_name() == "depthanything":
        return error.message
    # what a demultiplexer says when nobody wants what it has
    words = error.message
    if "not-linked" in (debug or ""):
        words = "there is no video in it"
    elif "all streams without buffers" in (debug or ""):
        words = "no valid frames found before its end; is it whole?"
    elif "Missing decoder: " in (debug or ""):
        words = "GStreamer has no decoder here for " + debug.split("Missing decoder: ")[1].split(" (")[0]
    return f"can't decode {video}: {words}"


def watch_decoder(decoder):
    """Posts an error when decodebin reads no more and has given nothing: GStreamer 1.22 loses an error that a
    demultiplexer posts while it is being linked, and the pipeline would wait for ever."""

    def look():
        stopped = 0
        while decoder.numsrcpads == 0 and stopped < 5:
            time.sleep(0.2)
            stopped = stopped + 1 if reads_no_more(decoder) else 0
        if decoder.numsrcpads == 0:
            words = "no stream is found in it; is it whole?"
            error = GLib.Error.new_literal(Gst.StreamError.quark(), words, Gst.StreamError.DEMUX)
            decoder.post_message(Gst.Message.new_error(decoder, error, ""))

    threading.Thread(target=look, daemon=True).start()


def reads_no_more(decoder):
    """Whether whatever pulled data has paused itself."""
    states, elements = set(), decoder.iterate_recurse()
    while True:
        result, element = elements.next()
        if result == Gst.IteratorResult.OK:
            states.update(pad.get_task_state() for pad in element.sinkpads)
        elif result == Gst.IteratorResult.RESYNC:
            elements.resync()
        else:
            return Gst.TaskState.PAUSED in states and Gst.TaskState.STARTED not in states
