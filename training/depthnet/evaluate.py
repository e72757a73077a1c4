"""Measure an ONNX file, this project's or any other, and print the tables of the model card.

    evaluate.py MODEL.onnx [--pictures DIR] [--renderer depth-scenes] [--only pairs,robust,bf16,kinds,detail,steady,speed]

DIR holds photos/ and clips/, named as in evaluation/pairs.json; for --pairs evaluation/public.json it is what
evaluation/fetch has made. Without it the tables on real pictures
are left out; without a renderer those on scenes are. bf16 is of real pictures too, and wants the onnxruntime-openvino package,
here for one: PYTHONPATH=../.runtime/openvino-built-in (`install_runtime openvino-built-in` of scripts/lib.sh).
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from . import metrics, renderer
from .runtime import Model, network_size, prepare

HELD_OUT = 990_001  # seeds from here on are never trained on
PAIRS = Path(__file__).resolve().parent.parent / "evaluation" / "pairs.json"
Pair = tuple[str, np.ndarray]  # name of the picture, [[near x, y], [far x, y]]


def table(title: str, head: list[str], rows: list[list]) -> None:
    """Print a table in Markdown."""
    cells = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in row] for row in rows]
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in cells:
        print(f"| {' | '.join(row)} |")


def load_pictures(root: Path, pairs_file: Path = PAIRS) -> tuple[dict[str, np.ndarray], list[Pair]]:
    """The pictures that have pairs, RGB, and the pairs."""
    pictures: dict[str, np.ndarray] = {}
    pairs: list[Pair] = []
    for item in json.loads(pairs_file.read_text())["pairs"]:
        path, frame = root / item["image"], item.get("frame")
        name = item["image"] if frame is None else f"{item['image']} {frame}"
        if name not in pictures:
            if frame is None:
                picture = cv2.imread(str(path))
            else:
                film = cv2.VideoCapture(str(path))
                for _ in range(frame + 1):
                    picture = film.read()[1]
            if picture is None:
                raise FileNotFoundError(name)
            pictures[name] = np.ascontiguousarray(picture[:, :, ::-1])
        pairs.append((name, np.array([item["near"], item["far"]])))
    return pictures, pairs


def at(depth: np.ndarray, point: np.ndarray) -> float:
    """Median of a small patch around a normalised point."""
    h, w = depth.shape
    k = max(1, round(0.003 * w))
    x, y = min(int(point[0] * w), w - 1), min(int(point[1] * h), h - 1)
    return float(np.median(depth[max(0, y - k) : y + k + 1, max(0, x - k) : x + k + 1]))


def right(depths: dict[str, np.ndarray], pairs: list[Pair]) -> np.ndarray:
    """Which pairs are in the right order."""
    return np.array([at(depths[n], p[0]) > at(depths[n], p[1]) for n, p in pairs])


def real_pairs(model: Model, root: Path, pairs_file: Path, resolutions: list[int]) -> dict:
    pictures, pairs = load_pictures(root, pairs_file)
    names = np.array([n for n, _ in pairs])
    results = {r: right({n: model.depth(p, r) for n, p in pictures.items()}, pairs) for r in resolutions}
    lower = np.array([0.5 if abs(p[0, 1] - p[1, 1]) < 0.005 else float(p[0, 1] > p[1, 1]) for _, p in pairs])
    rows = [["all", len(pairs), float(lower.mean()), *(float(v.mean()) for v in results.values())]]
    for name in pictures:
        mine = names == name
        rows.append([name, int(mine.sum()), float(lower[mine].mean()), *(float(v[mine].mean()) for v in results.values())])
    table("Near/far pairs on real pictures", ["picture", "pairs", "lower is nearer", *map(str, resolutions)], rows)
    return {str(r): float(v.mean()) for r, v in results.items()}


def night(x: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 5, x.shape)
    return np.clip(255 * (x / 255.0) ** 1.4 * 0.22 + noise, 0, 255).astype(np.uint8)


def portrait(x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 9:16 part in the middle."""
    h, w = x.shape[:2]
    width = min(w, round(h * 9 / 16))
    left = (w - width) // 2
    return np.ascontiguousarray(x[:, left : left + width]), (p * [w, 1] - [left, 0]) / [width, 1]


def letterbox(x: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bar = round(0.12 * x.shape[0])
    return cv2.copyMakeBorder(x, bar, bar, 0, 0, cv2.BORDER_CONSTANT), (p + [0, 0.12]) / [1, 1.24]


def same_place(change: Callable[[np.ndarray], np.ndarray]):
    return lambda x, p: (change(x), p)


CHANGES = {
    "grey": same_place(lambda x: np.repeat(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)),
    "night, noisy": same_place(night),
    "blurred": same_place(lambda x: cv2.GaussianBlur(x, (0, 0), x.shape[1] * 0.004)),
    "blown highlights": same_place(lambda x: cv2.convertScaleAbs(x, alpha=2.2)),
    "portrait crop": portrait,
    "letterbox bars": letterbox,
}


def robustness(model: Model, root: Path, pairs_file: Path, resolution: int = 518) -> dict:
    pictures, pairs = load_pictures(root, pairs_file)
    plain = right({n: model.depth(p, resolution) for n, p in pictures.items()}, pairs)
    rows, out = [], {}
    for name, change in CHANGES.items():
        moved = [change(pictures[n], p) for n, p in pairs]
        inside = np.array([((p > 0.01) & (p < 0.99)).all() for _, p in moved])
        depths = {n: model.depth(change(p, np.zeros((2, 2)))[0], resolution) for n, p in pictures.items()}
        changed = np.array([at(depths[n], p[0]) > at(depths[n], p[1]) for (n, _), (_, p) in zip(pairs, moved)])
        before, after = float(plain[inside].mean()), float(changed[inside].mean())
        rows.append([name, int(inside.sum()), before, after, before - after])
        out[name] = before - after
    table(f"Changed pictures, same pairs, at {resolution}", ["change", "pairs", "before", "after", "drop"], rows)
    return out


def kinds(model: Model, path: str | None, count: int, size: str = "686x518") -> dict:
    r, rows, out = np.random.default_rng(0), [], {}
    for kind in renderer.kinds(path):
        scores = []
        for s in renderer.stream(path, HELD_OUT, size, count=count, extra=("--kind", kind)):
            p = model.run(prepare(s.rgb, (s.rgb.shape[1], s.rgb.shape[0])))
            scores.append((*metrics.ordinal(p, s.inverse, r), *metrics.errors(p, s.inverse)))
        order, lower, absrel, delta = (float(v) for v in np.nanmean(np.array(scores), 0))
        rows.append([kind, len(scores), order, lower, delta, absrel])
        out[kind] = {"ordinal": order, "lower": lower, "delta1": delta, "absrel": absrel}
    rows.append(["all", sum(row[1] for row in rows), *(float(np.nanmean([row[i] for row in rows])) for i in (2, 3, 4, 5))])
    table("Held-out scenes", ["kind", "scenes", "order", "lower is nearer", "delta1", "AbsRel"], rows)
    return out


def detail(model: Model, path: str | None, count: int, size: str = "1386x1036") -> dict:
    """Edges and large-scale order by resolution, on scenes of thin and small things."""
    scores: dict[int, list] = {r: [] for r in (252, 518, 1036)}
    for rgb, inverse in renderer.details(path, HELD_OUT, size, count):
        h, w = inverse.shape
        for resolution, rows in scores.items():
            p = model.depth(rgb, resolution)
            grid = cv2.resize(inverse, p.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            full, best = (cv2.resize(v, (w, h), interpolation=cv2.INTER_LINEAR) for v in (p, grid))
            order, _ = metrics.ordinal(full, inverse, np.random.default_rng(0), 20000)
            rows.append((metrics.edge_f1(full, inverse), metrics.edge_f1(best, inverse), order))
    means = {r: [float(v) for v in np.nanmean(np.array(rows), 0)] for r, rows in scores.items()}
    table("Detail by resolution", ["resolution", "edge F1", "ceiling of the grid", "order"], [[r, *v] for r, v in means.items()])
    return {str(r): v for r, v in means.items()}


def steady(model: Model, path: str | None, count: int, frames: int = 8, size: str = "924x518") -> dict:
    """A still scene with fresh sensor noise in each frame."""
    r, changes = np.random.default_rng(0), []
    for s in renderer.stream(path, HELD_OUT, size, count=count, extra=("--clean",)):
        last = None
        for _ in range(frames):
            noisy = np.clip(s.rgb + r.normal(0, 3, s.rgb.shape), 0, 255).astype(np.uint8)
            p = model.run(prepare(noisy, (s.rgb.shape[1], s.rgb.shape[0])))
            if last is not None:
                changes.append(float(np.abs(p - last).mean() / max(np.ptp(np.quantile(p, [0.01, 0.99])), 1e-6)))
            last = p
    out = {"mean": float(np.mean(changes)), "worst": float(np.max(changes))}
    table("Still scenes with sensor noise, share of the range", ["change from frame to frame", "share"], [[k, f"{100 * v:.2f} %"] for k, v in out.items()])
    return out


def bf16(model: Model, path: Path, root: Path, pairs_file: Path) -> dict:
    """How far the network's answer in bf16 is from that in fp32."""
    half, out = Model(path, bf16=True), {}
    pictures, _ = load_pictures(root, pairs_file)
    for resolution in (252, 518):
        off = []
        for picture in pictures.values():
            full = model.depth(picture, resolution)
            off.append(float(np.abs(half.depth(picture, resolution) - full).mean() / np.ptp(full)))
        out[resolution] = {"mean": float(np.mean(off)), "least": min(off), "most": max(off)}
    rows = [[r, *(f"{100 * v:.2f} %" for v in parts.values())] for r, parts in out.items()]
    table("bf16 (OpenVINO) against fp32, share of the range", ["resolution", "mean", "least", "most"], rows)
    return out


def speed(model: Model, yardstick: Path | None, runs: int = 15) -> dict:
    """Median time of a run on two threads, and of another file in the same breath."""
    models = {"this": model} | ({"yardstick": Model(yardstick)} if yardstick else {})
    rows, out = [], {}
    for source, resolution in (((1920, 1080), 252), ((1920, 1080), 518), ((1000, 1000), 518), ((1000, 1000), 1036)):
        w, h = network_size(*source, resolution)
        x = np.random.default_rng(0).normal(size=(1, 3, h, w)).astype(np.float32)
        row = []
        for m in models.values():  # one after the other: idle threads of a session spin
            times = []
            for _ in range(runs):
                start = time.perf_counter()
                m.run(x)
                times.append(time.perf_counter() - start)
            row.append(float(np.median(times[2:])))
        rows.append([f"{w}x{h}", *(f"{t * 1000:.0f} ms" for t in row), f"{1 / row[0]:.1f}"])
        out[f"{w}x{h}"] = row
    table("Speed, two threads", ["size", *models, "frames a second"], rows)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--pairs", type=Path, default=PAIRS, help="which pairs; evaluation/public.json is the other file")
    parser.add_argument("--renderer")
    parser.add_argument("--only", default="pairs,robust,bf16,kinds,detail,steady,speed")
    parser.add_argument("--count", type=int, default=24, help="scenes of a kind")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[252, 518, 770, 1036], help="for the pairs")
    parser.add_argument("--yardstick", type=Path, help="another file to time beside this one")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    a = parser.parse_args()
    model, only = Model(a.model), a.only.split(",")
    few = max(2, a.count // 4)
    parts: dict[str, Callable[[], dict]] = {}
    if a.pictures and "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        parts["bf16"] = lambda: bf16(model, a.model, a.pictures, a.pairs)
    if a.pictures:
        parts |= {
            "pairs": lambda: real_pairs(model, a.pictures, a.pairs, a.resolutions),
            "robust": lambda: robustness(model, a.pictures, a.pairs),
        }
    try:
        renderer.find(a.renderer)
        parts |= {
            "kinds": lambda: kinds(model, a.renderer, a.count),
            "detail": lambda: detail(model, a.renderer, few),
            "steady": lambda: steady(model, a.renderer, few),
        }
    except FileNotFoundError as error:
        print(f"no tables on scenes: {error}")
    parts["speed"] = lambda: speed(model, a.yardstick)
    figures = {name: part() for name, part in parts.items() if name in only}
    if a.json:
        a.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
