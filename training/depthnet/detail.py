"""What `detail-resolution` of the element adds: edges, order and distances beside those at one resolution.

    detail.py [--renderer depth-scenes] [--measured DIR] [--model FILE] [--resolution 518] [--detail 1036] [--count 16]

Scenes are the renderer's: those of thin and small things, and of all kinds. DIR is as in measured.py. The depth is the
element's own: `gst-launch-1.0` has to find it.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from . import measured, metrics, renderer
from .evaluate import HELD_OUT, table

SIZE = "1386x1036"


def element(rgb: np.ndarray, *properties: str) -> np.ndarray:
    """The element's depth of a picture u8 [h,w,3], at its size, 0…1."""
    with tempfile.TemporaryDirectory() as folder:
        picture, depth = (str(Path(folder) / name) for name in ("picture.png", "depth.png"))
        cv2.imwrite(picture, rgb[:, :, ::-1])
        line = f"filesrc location={picture} ! pngdec ! videoconvert ! depthanything range=frame precision=fp32".split()
        subprocess.run(["gst-launch-1.0", "-q", *line, *properties, "!", "pngenc", "!", "filesink", f"location={depth}"], check=True)
        return cv2.imread(depth, cv2.IMREAD_UNCHANGED).astype(np.float32) / 65535


def scenes(path: str | None, count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for rgb, inverse in renderer.details(path, HELD_OUT, SIZE, count):
        yield "detail scenes", rgb, inverse
    for sample in renderer.stream(path, HELD_OUT, SIZE, count=count):
        yield "all kinds", sample.rgb, sample.inverse


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renderer")
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--resolution", type=int, default=518)
    parser.add_argument("--detail", type=int, default=1036)
    parser.add_argument("--count", type=int, default=16)
    a = parser.parse_args()
    model = [f"model-file={a.model}"] if a.model else []
    ways = {
        str(a.resolution): [f"resolution={a.resolution}"],
        str(a.detail): [f"resolution={a.detail}"],
        f"{a.resolution} + {a.detail}": [f"resolution={a.resolution}", f"detail-resolution={a.detail}"],
    }
    scores: dict[tuple[str, str], list] = {}
    for kind, rgb, inverse in scenes(a.renderer, a.count):
        for way, properties in ways.items():
            depth = element(rgb, *model, *properties)
            order, _ = metrics.ordinal(depth, inverse, np.random.default_rng(0), 20000)
            row = metrics.edge_f1(depth, inverse), order, metrics.errors(depth, inverse)[0]
            scores.setdefault((kind, way), []).append(row)
    for _, rgb, z in measured.load(a.measured) if a.measured else []:
        for way, properties in ways.items():
            got, true = measured.compare(element(rgb, *model, *properties), z)
            scores.setdefault(("measured", way), []).append((np.nan, np.nan, float(np.mean(np.abs(got - true) / true))))
    rows = []
    for (kind, way), values in scores.items():
        edges, order, absrel = np.array(values).T
        median = float(np.median(absrel[~np.isnan(absrel)]))
        means = [float(np.nanmean(v)) if not np.isnan(v).all() else "" for v in (edges, order, absrel)]
        rows.append([kind, len(values), way, *means, median])
    table("Detail", ["scenes", "number", "resolution", "edge F1", "order", "AbsRel", "its median"], rows)


if __name__ == "__main__":
    main()
