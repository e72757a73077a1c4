"""Train the network: steady learning rate for as long as there is time, cooled down when a file is to ship.

    train.py RUN --pool POOL ...              start, or go on from RUN/last.pt
    train.py RUN --cooldown 40000 ...         branch off RUN/last.pt into RUN/cooled.pt; RUN itself is untouched
"""

import argparse
import contextlib
import copy
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from . import metrics
from .backbone import pretrained
from .data import MEAN, STD, Batch, Batches, normalise
from .losses import depth_loss, guide_loss, steady_loss, window_loss
from .muon import optimisers
from .network import FINE_CELL, Config, DepthNet
from .pool import Pool

TWINS = 4  # one picture in so many is seen a second time in the same step, with other noise
TURN = 10  # pixels that it is moved at most
HORIZON = 32_000  # images over which weights are averaged, once under way; less in a cooldown


def save(path: Path, state: dict) -> None:
    """Write beside, then rename: a file is whole or the one before."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        with open(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def tidy(run: Path) -> None:
    """Remove what saves that were cut short left behind."""
    for part in run.glob("*.[0-9]*"):
        if part.suffix[1:].isdigit() and not Path(f"/proc/{part.suffix[1:]}").exists():
            part.unlink()


def undisturbed(_worker: int) -> None:
    """A loader's worker leaves the end to the trainer, which finishes its step and saves."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def network_of(path: Path, averaged: bool = True) -> DepthNet:
    """The network of a checkpoint, ready to be evaluated or exported."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    net = DepthNet(Config(**state["config"]))
    net.load_state_dict(state["average" if averaged else "network"])
    return net.eval()


def noisy(rgb: Tensor) -> Tensor:
    """The next frame of a film [b,h,w,3] in which nothing moves: sensor noise, and an exposure that is not quite the same.

    What demosaicing, denoising and encoders leave of noise is smoother than what the sensor gives: so is a part of it here.
    """
    b, h, w, _ = rgb.shape

    def draw(least: float, most: float) -> Tensor:
        return torch.empty((b, 1, 1, 1), device=rgb.device).uniform_(least, most)

    cell = int(torch.randint(2, 9, ()))
    smooth = torch.randn(b, 3, h // cell + 2, w // cell + 2, device=rgb.device)
    smooth = F.interpolate(smooth, size=(h, w), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    noise = torch.randn_like(rgb) * draw(1, 6) + smooth * draw(0, 3)
    return (rgb * draw(0.98, 1.02) + noise).clamp(0, 255).round()


def turned(x: Tensor, right: int, down: int) -> Tensor:
    """What a camera that turns a little sees next, [b,h,w,…]: all of it moved, its borders repeated."""
    h, w = x.shape[1:3]
    rows = (torch.arange(h, device=x.device) - down).clamp(0, h - 1)
    columns = (torch.arange(w, device=x.device) - right).clamp(0, w - 1)
    return x[:, rows][:, :, columns]


class Validation:
    """A fixed handful of held-out pictures, at 168 on the short side."""

    def __init__(self, root: Path, count: int):
        pool = Pool(root)
        self.items = []
        for slot in pool.filled()[:count]:
            rgb, inverse, kind = pool.get(int(slot))
            h, w = inverse.shape
            short = min(h, w)
            size = tuple(round(168 * side / short / 14) * 14 for side in (h, w))
            rows, columns = (((np.arange(n) + 0.5) * side / n).astype(int) for n, side in zip(size, (h, w)))
            picture = metrics.cv2.resize(rgb, size[::-1], interpolation=metrics.cv2.INTER_AREA)
            self.items.append((picture, inverse[rows][:, columns].astype(np.float32), kind))

    def run(self, net: nn.Module, device: torch.device) -> dict[str, float]:
        r = np.random.default_rng(0)
        rows = []
        with torch.no_grad():
            for picture, target, _ in self.items:
                x = normalise(torch.from_numpy(picture)[None].to(device))
                p = net(x)[0].float().cpu().numpy()
                rows.append((*metrics.errors(p, target), *metrics.ordinal(p, target, r)))
        return dict(zip(("absrel", "delta1", "ordinal", "lower_is_nearer"), np.nanmean(np.array(rows), 0).round(4).tolist()))


class Trainer:
    """Network, averaged network, optimiser and how far they have come."""

    def __init__(self, args: argparse.Namespace, device: torch.device):
        self.args, self.device = args, device
        torch.manual_seed(args.seed)
        self.net = DepthNet(Config())
        self.net.to(device, memory_format=torch.channels_last)
        self.net.coarse.backbone.requires_grad_(args.backbone > 0)
        self.optimisers = optimisers(self.net, args.rate)
        self.horizon = min(HORIZON, args.cooldown / 8) if args.cooldown else HORIZON
        self.average = copy.deepcopy(self.net).eval()
        self.images = self.steps = 0

    def state(self) -> dict:
        return {
            "config": self.net.config.to_dict(),
            "network": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": {name: o.state_dict() for name, o in self.optimisers.items()},
            "images": self.images,
            "steps": self.steps,
        }

    def begin(self) -> None:
        """What a new run starts from: all drawn from the seed but the backbone."""
        for net in (self.net, self.average):
            net.coarse.backbone.load_state_dict(pretrained(MEAN, STD))

    def restore(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        if state["optimiser"].keys() == self.optimisers.keys():  # else it comes from another one and starts anew
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(state["optimiser"][name])
        self.images, self.steps = state["images"], state["steps"]

    def rate(self) -> float:
        """Warm up, hold, then fall slowly with the root of the images seen: it can go on for ever."""
        warm = min(1.0, (self.steps + 1) / 200)
        return self.args.rate * warm * min(1.0, math.sqrt(self.args.hold / max(self.images, 1)))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Of a batch, and its parts for the log."""
        rgb = batch.rgb.to(self.device, non_blocking=True).float()
        target = batch.target.to(self.device, non_blocking=True)
        cast = torch.autocast(self.device.type, torch.bfloat16)
        if batch.window:
            top, left, h, w = batch.window
            with cast:
                depth, guide = self.net.part(normalise(rgb), batch.window)
            loss, parts = window_loss(depth, target[:, top : top + h, left : left + w], guide, target, FINE_CELL)
            parts["guide"] = guide_loss(guide, target, FINE_CELL)
            return loss + 0.3 * parts["guide"], parts
        pairs = max(1, len(rgb) // TWINS)
        right, down = torch.randint(-TURN, TURN + 1, (2,)).tolist() if not batch.view and torch.rand(()) < 0.5 else (0, 0)
        twins = turned(noisy(rgb[:pairs]), right, down)
        rgb, target = torch.cat([rgb, twins]), torch.cat([target, turned(target[:pairs], right, down)])
        if batch.view:
            with cast:
                guide = self.net.alone(normalise(rgb))
            known = target[-pairs:, 4::8, 4::8]
            parts = {"view": guide_loss(guide, target, FINE_CELL), "view_steady": steady_loss(guide[:pairs], guide[-pairs:], known)}
            return parts["view"] + 2 * parts["view_steady"], parts
        with cast:
            depth, guide = self.net.both(normalise(rgb))
        loss, parts = depth_loss(depth, target)
        parts["guide"] = guide_loss(guide, target, FINE_CELL)
        parts["steady"] = steady_loss(turned(depth[:pairs], right, down), depth[-pairs:], target[-pairs:])
        return loss + 0.3 * parts["guide"] + 2 * parts["steady"], parts

    def step(self, batch: Batch, rate: float) -> dict[str, Tensor]:
        """Learn from a batch; the parts of its loss."""
        for name, optimiser in self.optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = rate * (self.args.backbone if name == "backbone" else 1)
        loss, parts = self.loss(batch)
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if torch.isfinite(norm):
            for optimiser in self.optimisers.values():
                optimiser.step()
        self.steps += 1
        self.images += len(batch.rgb)
        self.follow(len(batch.rgb))
        return {k: v.detach() for k, v in parts.items()}

    @torch.no_grad()
    def follow(self, images: int) -> None:
        """Move the averaged weights; batch-norm statistics are averages already."""
        keep = min(math.exp(-images / self.horizon), (1 + self.steps) / (20 + self.steps))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.net.parameters()), 1 - keep)
        for mine, theirs in zip(self.average.buffers(), self.net.buffers()):
            mine.copy_(theirs)


def renderers(args: argparse.Namespace) -> list[subprocess.Popen]:
    """Writers that keep the pools fresh while we learn; they end with us."""
    writers = []
    for i, (pool, count, capacity) in enumerate(zip(args.pool, args.renderers, args.capacity)):
        command = ["nice", "-n", "4", sys.executable, "-m", "depthnet.pool", str(pool), "--recipe", pool.name]
        command += ["--seed", str(args.seed + 100 * i), "--rate", str(args.fresh), "--capacity", str(capacity)]
        command += ["--renderer", args.renderer] if args.renderer else []
        command += ["--mix", args.mix] if args.mix else []
        for worker in range(count):
            each = ["--workers", str(count), "--worker", str(worker)]
            writers.append(subprocess.Popen([*command, *each], cwd=Path(__file__).parent.parent))
    return writers


def wait_for(pool: Path, samples: int, writers: list[subprocess.Popen]) -> None:
    """Until the pool holds as many samples."""
    while not (pool / "pool.json").exists() or len(Pool(pool).filled()) < samples:
        if any(writer.poll() is not None for writer in writers):
            raise RuntimeError("a renderer stopped")
        time.sleep(1)


def train(args: argparse.Namespace) -> None:
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cpu":
        torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    tidy(args.run)
    args.pool = [p.resolve() for p in args.pool]
    trainer = Trainer(args, device)
    last = args.run / "last.pt"
    if last.exists() or args.cooldown:
        trainer.restore(args.source or last)
    else:
        trainer.begin()
    name = args.name if args.cooldown else "last"
    start = trainer.images
    stop = start + args.cooldown if args.cooldown else args.images
    validation = Validation(args.held_out, args.validate) if args.held_out and args.held_out.exists() else None
    batches = Batches(args.pool, args.seed, args.batch, start, pace=args.pace, final=bool(args.cooldown), views=args.views, windows=args.windows)
    told: list[int] = []  # to stop: the step is finished and saved
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda n, _: told.append(n))
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=args.workers,
        prefetch_factor=4,
        pin_memory=device.type == "cuda",
        worker_init_fn=undisturbed,
    )
    began = saved = validated = time.monotonic()
    writers = renderers(args)
    if writers:
        wait_for(args.pool[0], min(args.capacity[0], args.start), writers)
    shown: list[dict[str, Tensor]] = []
    with open(args.run / f"{name}.jsonl", "a", buffering=1) as log, contextlib.ExitStack() as stack:
        for writer in writers:
            stack.callback(writer.kill)

        def note(**values) -> None:
            log.write(json.dumps({"images": trainer.images, "time": round(time.time()), **values}) + "\n")

        for batch in loader:
            rate = trainer.rate()
            if args.cooldown:
                spent = (time.monotonic() - began) / (60 * args.minutes) if args.minutes else 0.0
                rate *= max(0.01, 1 - max(spent, (trainer.images - start) / args.cooldown))
            shown.append(trainer.step(batch, rate))
            now = time.monotonic()
            if len(shown) == args.show:
                names = dict.fromkeys(k for s in shown for k in s)
                means = {k: round(torch.stack([s[k] for s in shown if k in s]).mean().item(), 4) for k in names}
                note(rate=round(rate, 7), speed=round((trainer.images - start) / (now - began), 1), **means)
                shown = []
            done = trainer.images >= stop or (args.minutes and now - began > 60 * args.minutes) or told
            if validation and not told and (done or now - validated > 60 * args.every):
                validated = now
                note(**validation.run(trainer.average, device))
            if done or now - saved > args.save:
                saved = now
                try:
                    save(args.run / f"{name}.pt", trainer.state())
                except (OSError, RuntimeError) as error:  # a full disk: there may be room next time
                    if done:
                        raise
                    print(f"not saved: {error}", file=sys.stderr, flush=True)
            if done:
                break


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of checkpoints and logs")
    parser.add_argument("--pool", type=Path, action="append", required=True, help="folder of samples, named small or large")
    parser.add_argument("--held-out", type=Path, help="pool that is never trained on")
    parser.add_argument("--validate", type=int, default=200, help="pictures of it to look at")
    parser.add_argument("--every", type=float, default=8, help="minutes between looks")
    parser.add_argument("--save", type=float, default=150, help="seconds between checkpoints")
    parser.add_argument("--show", type=int, default=50, help="steps between log lines")
    parser.add_argument("--images", type=int, default=10**12, help="stop after as many images")
    parser.add_argument("--minutes", type=float, help="stop after as many minutes; a cooldown is over by then")
    parser.add_argument("--cooldown", type=int, default=0, help="branch off and bring the rate to nothing over N images")
    parser.add_argument("--name", default="cooled", help="name of the branch's checkpoint")
    parser.add_argument("--source", type=Path, help="start from this checkpoint rather than RUN/last.pt")
    parser.add_argument("--batch", type=int, default=16, help="images of 168x224; more of smaller ones, fewer of larger")
    parser.add_argument("--views", type=float, default=0.0, help="share of batches for the coarse branch alone, as it sees large pictures")
    parser.add_argument("--windows", type=float, default=0.0, help="share of batches of large pictures, of which the fine branch sees a window")
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--backbone", type=float, default=0.05, help="rate of the backbone, against --rate; 0 leaves it as it is")
    parser.add_argument("--hold", type=float, default=300_000, help="images after which the rate begins to fall")
    parser.add_argument("--pace", type=float, default=1.0, help="how fast the sizes grow, against the schedule")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
    parser.add_argument("--renderers", type=int, nargs="+", default=[0], help="processes that refill each pool")
    parser.add_argument("--renderer", help="the depth-scenes executable")
    parser.add_argument("--mix", help="how often kinds of scenes come, as depth-scenes takes it: room=30,table=10")
    parser.add_argument("--capacity", type=int, nargs="+", default=[30000, 4000, 300], help="samples each pool holds")
    parser.add_argument("--start", type=int, default=500, help="samples it must hold before training begins")
    parser.add_argument("--fresh", type=float, default=3.0, help="samples a second from each, once an eighth of the pool is filled; 0: no limit")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
