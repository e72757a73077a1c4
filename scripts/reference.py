#!/usr/bin/env python3
"""Writes tests/reference/anchors.rs: what OpenCV and PyTorch themselves make of a small picture.

The formulas in tests/reference are held to these numbers, and the kernels to the formulas.

    pip install numpy opencv-python-headless torch
    python scripts/reference.py > tests/reference/anchors.rs
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

PICTURE = (9, 7)
RESIZED = [(4, 3), (13, 5), (9, 7), (1, 1)]
DEPTH = (5, 4)
ALIGNED = [(7, 8), (2, 3), (1, 6), (5, 4)]


def bytes_of(width, height):
    """Numbers without a pattern; tests/reference/main.rs makes the same."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return ((x * x * 37 + y * 91 + x * y * 53 + 11) % 256).astype(np.uint8)


def table(name, what, results):
    print(f"/// {what}: width, height, samples.")
    print(f"pub(crate) const {name}: [(usize, usize, &[f64]); {len(results)}] = [")
    for (width, height), values in results:
        numbers = ", ".join(f"{value:.9}" if value % 1 else f"{value:.1f}" for value in values.ravel())
        print(f"    ({width}, {height}, &[{numbers}]),")
    print("];")


def main():
    print("//! Made by scripts/reference.py with OpenCV", cv2.__version__, "and PyTorch", torch.__version__ + ".")
    print()
    picture = bytes_of(*PICTURE) / 255.0
    table(
        "CUBIC",
        "`cv2.resize(…, INTER_CUBIC)` of a 9×7 picture in 0…1",
        [(size, cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)) for size in RESIZED],
    )
    print()
    depth = torch.from_numpy(bytes_of(*DEPTH).astype(np.float64))[None, None]
    table(
        "ALIGNED",
        '`F.interpolate(…, mode="bilinear", align_corners=True)` of a 5×4 depth map',
        [
            (size, F.interpolate(depth, size[::-1], mode="bilinear", align_corners=True).numpy())
            for size in ALIGNED
        ],
    )


if __name__ == "__main__":
    main()
