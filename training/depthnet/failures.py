"""Draw where a network is most wrong on held-out scenes: picture, exact depth, its depth; the worst of each kind first.

    failures.py MODEL.onnx OUT.jpg [--worst 8] [--count 8]
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from . import metrics, renderer
from .evaluate import HELD_OUT
from .runtime import Model, prepare
from .sheet import coloured

WIDTH, HEIGHT = 240, 180  # of a cell, pixels


def worst_of(model: Model, path: str | None, kind: str, count: int, size: str) -> tuple[float, renderer.Sample, np.ndarray]:
    """The scene of `count` whose order is most often wrong: share of pairs right, the scene, the network's depth."""
    r, found = np.random.default_rng(0), []
    for sample in renderer.stream(path, HELD_OUT, size, count=count, extra=("--kind", kind)):
        depth = model.run(prepare(sample.rgb, sample.rgb.shape[1::-1]))
        order, _ = metrics.ordinal(depth, sample.inverse, r)
        if np.isfinite(order):
            found.append((order, sample, depth))
    return min(found, key=lambda item: item[0])


def row(name: str, order: float, sample: renderer.Sample, depth: np.ndarray) -> np.ndarray:
    cells = [cv2.resize(np.ascontiguousarray(sample.rgb[..., ::-1]), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)]
    cells += [coloured(d, (WIDTH, HEIGHT)) for d in (sample.inverse, depth)]
    cv2.putText(cells[0], f"{name} {order:.2f}", (5, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate(cells, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--renderer")
    parser.add_argument("--worst", type=int, default=8, help="kinds to draw, two beside each other")
    parser.add_argument("--count", type=int, default=8, help="scenes of a kind to look at")
    parser.add_argument("--size", default="686x518")
    a = parser.parse_args()
    model = Model(a.model)
    found = [(k, *worst_of(model, a.renderer, k, a.count, a.size)) for k in renderer.kinds(a.renderer)]
    rows = [row(*item) for item in sorted(found, key=lambda item: item[1])[: a.worst // 2 * 2]]
    cv2.imwrite(str(a.out), np.concatenate([np.concatenate(rows[i : i + 2], 1) for i in range(0, len(rows), 2)]), [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
