"""Batches for the trainer, drawn from pools of rendered samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from .augment import augment, forget_bars
from .network import FINE_CELL, Window
from .pool import Pool

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# (h,w) of a batch, multiples of 14
SMALL = ((168, 224), (168, 224), (224, 168), (196, 196), (140, 252), (154, 210))
MIDDLE = ((224, 294), (224, 294), (294, 224), (252, 252), (196, 350), (252, 336))
LARGE = ((252, 448), (336, 448), (448, 336), (336, 336))
HUGE = ((378, 504), (350, 616), (518, 350), (434, 434))
# of batches for the coarse branch alone: its own view of a larger picture, multiples of its cells
VIEWS = ((256, 352), (256, 352), (256, 448), (352, 256), (256, 256), (256, 320))
# large pictures of which the fine branch sees a window, multiples of its cells
FULL = ((528, 704), (528, 928), (704, 528), (784, 1040), (1040, 1040))
WINDOW = (224, 304)


@dataclass(frozen=True)
class Mix:
    """How often each group of sizes is drawn, once `images` have been seen."""

    images: int
    weights: tuple[float, float, float, float]


SCHEDULE = (
    Mix(0, (0.6, 0.35, 0.05, 0.0)),
    Mix(60_000, (0.35, 0.48, 0.14, 0.03)),
    Mix(400_000, (0.2, 0.52, 0.22, 0.06)),
)
# of a cooldown: the last images decide which sizes the network is good at
FINAL = (0.2, 0.55, 0.2, 0.05)


def normalise(rgb: Tensor) -> Tensor:
    """Bytes [b,h,w,3] -> floats [b,3,h,w], channels last in memory."""
    mean = torch.tensor(MEAN, device=rgb.device) * 255
    std = torch.tensor(STD, device=rgb.device) * 255
    return ((rgb.float() - mean) / std).permute(0, 3, 1, 2)


class Batch(NamedTuple):
    """What one step learns from."""

    rgb: Tensor  # u8 [b,h,w,3]
    target: Tensor  # inverse depth f32 [b,h,w], NaN where nothing is to be learnt
    view: bool = False  # for the coarse branch alone
    window: Window | None = None  # the fine branch is to see no more than this


class Batches(IterableDataset):
    """Endless batches; `batch` is how many of 168x224 make one.

    A share `views` of them is for the coarse branch alone, at the size at which it sees large pictures; a share `windows` is of
    such large pictures, of which the fine branch sees a part.
    """

    def __init__(
        self,
        pools: list[Path],
        seed: int,
        batch: int,
        seen: int = 0,
        paste: float = 0.1,
        pace: float = 1.0,
        final: bool = False,
        views: float = 0.0,
        windows: float = 0.0,
    ):
        self.roots, self.seed, self.batch, self.seen, self.paste, self.pace = pools, seed, batch, seen, paste, pace
        self.final, self.views, self.windows = final, views, windows

    def draw(self, pools: list[tuple[Pool, np.ndarray]], area: int, r: np.random.Generator):
        """A sample from a pool, finer ones for larger batches; of pools as fine as each other, in proportion to what they hold."""
        fine = [p for p in pools if p[0].area >= 0.8 * area] or [p for p in pools if p[0].area == pools[-1][0].area]
        least = [p for p in fine if p[0].area == fine[0][0].area]
        while True:
            some = least if len(least) == len(fine) or r.random() < 0.7 else fine
            counts = np.array([len(slots) for _, slots in some])
            pool, slots = some[int(r.choice(len(some), p=counts / counts.sum()))]
            if (sample := pool.get(int(slots[r.integers(len(slots))]))) is not None:
                return sample[0], forget_bars(*sample[:2])

    def form(self, seen: int, r: np.random.Generator) -> tuple[tuple[int, int], int, bool, Window | None]:
        """Size and number of a batch's pictures, whether it is for the coarse branch alone, and the fine one's window."""
        weights = FINAL if self.final else [m for m in SCHEDULE if m.images <= seen * self.pace][-1].weights
        kind = r.random() if self.views or self.windows else 1.0
        if kind < self.views:
            return VIEWS[int(r.integers(len(VIEWS)))], self.batch, True, None
        if kind < self.views + self.windows:
            size = FULL[int(r.integers(len(FULL)))]
            top, left = (int(r.integers((side - part) // FINE_CELL + 1)) * FINE_CELL for side, part in zip(size, WINDOW))
            return size, max(4, self.batch // 2), False, (top, left, *WINDOW)
        group = (SMALL, MIDDLE, LARGE, HUGE)[int(r.choice(4, p=weights))]
        size = group[int(r.integers(len(group)))]
        return size, max(4, int(round(self.batch * min(2.0, 37632 / (size[0] * size[1])) / 4)) * 4), False, None

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        r = np.random.default_rng((self.seed, self.seen, worker))
        seen, turn, pools = self.seen, 0, []
        while True:
            if turn % 100 == 0:
                found = ((p, p.filled()) for p in map(Pool, self.roots))
                pools = sorted((f for f in found if len(f[1]) > 0), key=lambda f: f[0].area)
            turn += 1
            size, count, view, window = self.form(seen, r)
            area = size[0] * size[1]
            pictures, targets = [], []
            while len(pictures) < count:
                other = self.draw(pools, area, r) if r.random() < self.paste else None
                rgb, inverse = augment(self.draw(pools, area, r), size, r, other)
                if np.nanstd(inverse) < 1e-3 * np.nanmean(inverse) + 1e-5:
                    continue  # a crop of nothing but sky or wall
                pictures.append(rgb)
                targets.append(inverse)
            seen += count * workers
            yield Batch(torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(targets)), view, window)
