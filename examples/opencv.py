#!/usr/bin/env python3
"""Depth in OpenCV: VideoCapture reads a pipeline that ends in GRAY16 and gives arrays of uint16.

    python3 examples/opencv.py video.mp4

Prints for each frame where it is nearest and which share of it is nearer than the middle of the range.
Debian and Ubuntu: apt install python3-opencv. The wheels on PyPI are built without GStreamer.
"""

import argparse
import sys

import cv2
import numpy


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", help="a file")
    parser.add_argument("--resolution", type=int, default=252, help="the element's property (default: %(default)s)")
    arguments = parser.parse_args()

    location = arguments.video.replace("\\", "\\\\").replace('"', '\\"')
    # without the caps OpenCV would ask for 8 bits in colour
    video = cv2.VideoCapture(
        f'filesrc location="{location}" ! decodebin ! depthanything resolution={arguments.resolution} '
        "! video/x-raw,format=GRAY16_LE ! appsink",
        cv2.CAP_GSTREAMER,
    )
    if not video.isOpened():
        sys.exit(f"can't play {arguments.video}: GST_DEBUG=2 tells why, if this OpenCV has GStreamer")
    count = 0
    while True:
        read, depth = video.read()
        if not read:
            break
        assert depth.dtype == numpy.uint16, depth.dtype
        # a blur, so that one pixel's noise is not taken for the nearest thing
        _, _, _, (x, y) = cv2.minMaxLoc(cv2.GaussianBlur(depth, (0, 0), 3))
        print(f"{count}: nearest at {x},{y}; {100 * numpy.mean(depth > 32767):.0f} % is nearer than the middle")
        count += 1
    if count == 0:
        sys.exit(f"no frame came from {arguments.video}: GST_DEBUG=2 tells why")


if __name__ == "__main__":
    main()
