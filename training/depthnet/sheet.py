"""Draw a contact sheet: each real picture beside its depth at several resolutions, wrong pairs as red arrows.

    sheet.py MODEL.onnx DIR OUT.jpg [--resolutions 252 518 1036] [--only NAME ...]

DIR holds photos/ and clips/, named as in evaluation/pairs.json. An arrow goes from what is nearer to what is
farther; it is drawn where the network has it the other way round, beside the depth that is wrong.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from .evaluate import at, load_pictures
from .runtime import Model


def coloured(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Depth from its 1 % to its 99 % quantile as colours, BGR; bright is near."""
    low, high = np.quantile(depth, [0.01, 0.99])
    grey = (np.clip((depth - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLORMAP_INFERNO)


def row(model: Model, picture: np.ndarray, pairs: list[np.ndarray], resolutions: list[int], height: int) -> np.ndarray:
    """The picture and its depths side by side, BGR."""
    width = round(picture.shape[1] * height / picture.shape[0])
    cells = [cv2.resize(picture[..., ::-1], (width, height), interpolation=cv2.INTER_AREA)]
    for resolution in resolutions:
        depth = model.depth(picture, resolution)
        cell = coloured(depth, (width, height))
        for pair in pairs:
            if at(depth, pair[0]) <= at(depth, pair[1]):
                near, far = ((p * [width, height]).astype(int).tolist() for p in pair)
                cv2.arrowedLine(cell, near, far, (80, 80, 255), 1, cv2.LINE_AA, tipLength=0.08)
        cells.append(cell)
    return np.concatenate(cells, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[252, 518, 1036])
    parser.add_argument("--only", nargs="+", help="parts of the names of the pictures to draw")
    parser.add_argument("--height", type=int, default=160, help="of a row, in pixels")
    a = parser.parse_args()
    model = Model(a.model)
    pictures, pairs = load_pictures(a.pictures)
    rows = []
    for name, picture in pictures.items():
        if a.only and not any(part in name for part in a.only):
            continue
        rows.append(row(model, picture, [p for n, p in pairs if n == name], a.resolutions, a.height))
    width = max(r.shape[1] for r in rows)
    cv2.imwrite(str(a.out), np.concatenate([cv2.copyMakeBorder(r, 0, 4, 0, width - r.shape[1], cv2.BORDER_CONSTANT) for r in rows]))


if __name__ == "__main__":
    main()
