"""A ring of rendered samples in memory-mapped files: a few writers, many readers, no locks.

The renderer is slower than a GPU and faster than a CPU can learn, so each sample is used several times,
cropped and coloured differently. Writers replace the oldest; readers notice a slot that changed under
them by its serial number and draw another.
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

from . import renderer
from .renderer import Sample


# what the trainer renders into a pool, by the name of its folder: sizes (width x height) and pixels of a slot
RECIPES = {
    "small": ("288x216,288x216,324x192,216x288", 288 * 216),
    "middle": ("352x264,352x264,400x232,264x352,304x304", 352 * 264),
    "large": ("504x378,504x378,567x336,378x504", 504 * 378),
    "full": ("1024x768,1024x768,1152x648,768x1024", 1024 * 768),
}


class Pool:
    """`capacity` slots of `area` pixels each in the folder `root`."""

    def __init__(self, root: Path, area: int | None = None, capacity: int | None = None):
        self.root = Path(root)
        shape = self.root / "pool.json"
        if shape.exists():
            area, capacity = (json.loads(shape.read_text())[k] for k in ("area", "capacity"))
        elif area is None or capacity is None:
            raise FileNotFoundError(f"no pool in {self.root}")
        else:
            self.root.mkdir(parents=True, exist_ok=True)
            part = self.root / f"pool.{os.getpid()}"
            part.write_text(json.dumps({"area": area, "capacity": capacity}))
            part.replace(shape)
        self.area, self.capacity = area, capacity
        self.rgb = self._map("rgb.u8", np.uint8, (capacity, area, 3))
        self.inverse = self._map("inverse.f16", np.float16, (capacity, area))
        self.meta = self._map("meta.i64", np.int64, (capacity, 4))  # serial (0 empty), height, width, kind

    def _map(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.memmap:
        path = self.root / name
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if not path.exists() or path.stat().st_size != size:
            with open(path, "ab") as file:
                file.truncate(size)
        return np.memmap(path, dtype, "r+", shape=shape)

    def filled(self) -> np.ndarray:
        """Slots that hold a sample."""
        return np.flatnonzero(self.meta[:, 0] > 0)

    def put(self, slot: int, serial: int, sample: Sample) -> None:
        h, w = sample.inverse.shape
        if h * w > self.area:
            raise ValueError(f"{w}x{h} does not fit slots of {self.area} pixels")
        self.meta[slot, 0] = 0
        self.rgb[slot, : h * w] = sample.rgb.reshape(-1, 3)
        self.inverse[slot, : h * w] = np.minimum(sample.inverse.reshape(-1), 6e4)
        self.meta[slot, 1:] = h, w, sample.kind
        self.meta[slot, 0] = serial

    def get(self, slot: int) -> tuple[np.ndarray, np.ndarray, int] | None:
        """RGB u8 [h,w,3], inverse depth f16 [h,w], kind; nothing if the slot is being written."""
        serial, h, w, kind = (int(v) for v in self.meta[slot])
        if serial <= 0 or h * w > self.area:
            return None
        rgb = np.array(self.rgb[slot, : h * w]).reshape(h, w, 3)
        inverse = np.array(self.inverse[slot, : h * w]).reshape(h, w)
        return (rgb, inverse, kind) if int(self.meta[slot, 0]) == serial else None


def fill(
    pool: Pool,
    path: str | None,
    seed: int,
    sizes: str,
    rate: float = 0.0,
    worker: int = 0,
    workers: int = 1,
    count: int | None = None,
    mix: str | None = None,
) -> None:
    """Render into every `workers`-th slot: as fast as it goes for an eighth of them, then `rate` a second.

    Goes on where an earlier run stopped: the serial numbers in the pool say which sample comes next.
    """
    mine = np.arange(worker, pool.capacity, workers)
    done = int(pool.meta[mine, 0].max(initial=0))
    samples = renderer.stream(path, seed * 1000 + worker, sizes, first=done, count=count, extra=("--mix", mix) if mix else ())
    due = time.monotonic()
    parent = os.getppid()
    for sample in samples:
        pool.put(int(mine[done % len(mine)]), done + 1, sample)
        done += 1
        if rate > 0 and done > len(mine) // 8:
            due = max(due + 1 / rate, time.monotonic() - 5)
            time.sleep(max(0.0, due - time.monotonic()))
        if os.getppid() != parent:  # the trainer is gone
            break
    samples.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--recipe", choices=RECIPES, default="small", help="sizes of the pictures")
    parser.add_argument("--capacity", type=int, default=30000)
    parser.add_argument("--renderer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mix", help="how often kinds of scenes come, as depth-scenes takes it: room=30,table=10")
    parser.add_argument("--rate", type=float, default=0.0, help="samples a second after the first eighth; 0: no limit")
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--count", type=int, help="samples to render, then stop")
    parser.add_argument("--once", action="store_true", help="nothing to do if it is full already")
    a = parser.parse_args()
    sizes, area = RECIPES[a.recipe]
    pool = Pool(a.pool, area, a.capacity)
    if a.once:
        a.count = pool.capacity - len(pool.filled())
    if a.count != 0:
        fill(pool, a.renderer, a.seed, sizes, a.rate, a.worker, a.workers, a.count, a.mix)


if __name__ == "__main__":
    main()
