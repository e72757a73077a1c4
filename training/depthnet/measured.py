"""Compare a network with depth that sensors measured: how far off are its distances?

    measured.py MODEL.onnx DIR [--resolutions 252 518 1036] [--json FILE]

DIR holds pairs NAME.jpg or NAME.png (the picture) and NAME.depth.png (16 bit: z in millimetres, 0 unknown). Each picture
gets one robust scale and shift of inverse depth (least absolute deviations, weighted as errors of distance are); AbsRel is
the mean of |z - z'| / z', delta1 the share of pixels with max(z/z', z'/z) < 1.25. Nothing is ever trained on these.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from .evaluate import table
from .runtime import Model

NEAREST, FARTHEST = 0.1, 80.0  # metres that count
BANDS = ((0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 8.0), (8.0, FARTHEST))  # metres


def load(folder: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, RGB u8 [h,w,3] and z in metres [h,w], NaN where unknown."""
    out = []
    for depth in sorted(folder.glob("*.depth.png")):
        name = depth.name.removesuffix(".depth.png")
        picture = next((p for e in ("jpg", "png") if (p := folder / f"{name}.{e}").exists()), None)
        if picture is None:
            raise FileNotFoundError(f"no picture beside {depth}")
        rgb = np.ascontiguousarray(cv2.imread(str(picture))[:, :, ::-1])
        z = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED).astype(np.float64) / 1000
        z[(z < NEAREST) | (z > FARTHEST)] = np.nan
        if z.shape != rgb.shape[:2]:
            z = cv2.resize(z, rgb.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        out.append((name, rgb, z))
    return out


def fit(predicted: np.ndarray, inverse: np.ndarray, rounds: int = 50) -> tuple[float, float]:
    """Scale and shift that bring `predicted` nearest to `inverse` depth, both [n], by least absolute relative errors."""
    a = np.stack([predicted, np.ones(len(predicted))], 1)
    weight = 1 / inverse
    solution = np.zeros(2)
    for _ in range(rounds):
        root = np.sqrt(weight)
        new = np.linalg.lstsq(a * root[:, None], inverse * root, rcond=None)[0]
        if np.allclose(new, solution, rtol=1e-6, atol=1e-9):
            break
        solution = new
        off = np.abs(a @ solution - inverse) / inverse
        weight = 1 / (inverse**2 * np.maximum(off, 1e-3))
    return float(solution[0]), float(solution[1])


def distances(inverse: np.ndarray) -> np.ndarray:
    return 1 / np.clip(inverse, 1 / (1.25 * FARTHEST), 2 / NEAREST)


def compare(depth: np.ndarray, z: np.ndarray, most: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    """(z of the network, z measured) where it is known, both [n]."""
    full = cv2.resize(depth, z.shape[::-1], interpolation=cv2.INTER_LINEAR)
    known = np.flatnonzero(~np.isnan(z))
    few = known[:: max(1, len(known) // most)]
    scale, shift = fit(full.ravel()[few], 1 / z.ravel()[few])
    return distances(scale * full.ravel()[known] + shift), z.ravel()[known]


def evaluate(model: Model, folder: Path, resolutions: list[int]) -> dict:
    pictures = load(folder)
    rows, bands = [], {r: [[] for _ in BANDS] for r in resolutions}
    all_scores = {r: [] for r in resolutions}
    for name, rgb, z in pictures:
        row: list = [name]
        for r in resolutions:
            got, true = compare(model.depth(rgb, r), z)
            off = np.abs(got - true) / true
            scores = float(off.mean()), float((np.maximum(got / true, true / got) < 1.25).mean())
            all_scores[r].append(scores)
            row += scores
            for (near, far), band in zip(BANDS, bands[r]):
                inside = (true >= near) & (true < far)
                if inside.sum() > 200:
                    band.append((float(off[inside].mean()), float((got[inside] / true[inside] - 1).mean())))
        rows.append(row)
    means = {r: np.mean(np.array(s), 0) for r, s in all_scores.items()}
    rows.append(["mean", *(float(v) for r in resolutions for v in means[r])])
    head = [f"{what} {r}" for r in resolutions for what in ("AbsRel", "delta1")]
    table("Measured depth", ["picture", *head], rows)
    rows = []
    for i, (near, far) in enumerate(BANDS):
        cells = [v for r in resolutions for v in (np.mean(np.array(bands[r][i]), 0) if bands[r][i] else (np.nan, np.nan))]
        rows.append([f"{near:g} to {far:g} m", *(float(c) for c in cells)])
    table("By distance: AbsRel, mean of z/z' - 1", ["band", *(f"{w} {r}" for r in resolutions for w in ("AbsRel", "bias"))], rows)
    return {str(r): {"absrel": float(m[0]), "delta1": float(m[1])} for r, m in means.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--resolutions", type=int, nargs="+", default=[252, 518, 1036])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    a = parser.parse_args()
    figures = evaluate(Model(a.model), a.pictures, a.resolutions)
    if a.json:
        a.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
