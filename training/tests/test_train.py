import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from depthnet import train, travel
from depthnet.data import Batch
from depthnet.muon import orthogonalise
from depthnet.network import Config
from depthnet.pool import Pool
from depthnet.renderer import Sample


def trainer(monkeypatch) -> train.Trainer:
    monkeypatch.setattr(train, "Config", lambda: Config(blocks=1))
    args = argparse.Namespace(seed=1, rate=1e-3, backbone=0.05, hold=1000, cooldown=0)
    return train.Trainer(args, torch.device("cpu"))


def batch(seed: int) -> Batch:
    r = np.random.default_rng(seed)
    target = torch.linspace(0.1, 1, 112)[:, None].repeat(2, 1, 154).reshape(2, 112, 154)
    return Batch(torch.from_numpy(r.integers(0, 255, (2, 112, 154, 3), dtype=np.uint8)), target)


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch):
    one = trainer(monkeypatch)
    one.step(batch(0), 1e-3)
    train.save(tmp_path / "last.pt", one.state())
    two = trainer(monkeypatch)
    two.restore(tmp_path / "last.pt")
    assert (two.images, two.steps) == (2, 1)
    for t in (one, two):
        torch.manual_seed(5)
        t.step(batch(1), 1e-3)
    for a, b in zip(one.net.parameters(), two.net.parameters()):
        assert torch.allclose(a, b, atol=1e-6)
    assert not list(tmp_path.glob("*.[0-9]*"))


def test_twins_differ_by_little():
    torch.manual_seed(0)
    rgb = torch.full((3, 40, 40, 3), 128.0)
    change = train.noisy(rgb) - rgb
    assert 0.5 < change.std() < 8 and change.mean().abs() < 4


def test_turned_moves_everything_alike():
    x = torch.arange(2 * 5 * 6 * 3).reshape(2, 5, 6, 3)
    y = train.turned(x, 2, -1)
    assert torch.equal(y[:, :4, 2:], x[:, 1:, :4]) and torch.equal(y[:, 4], y[:, 3])
    assert torch.equal(train.turned(x[..., 0], 2, -1), y[..., 0])


def test_it_learns_a_ramp(monkeypatch):
    t = trainer(monkeypatch)
    parts = [t.step(batch(i), 1e-3)["absolute"].item() for i in range(12)]
    assert parts[-1] < parts[0]


def test_a_view_is_learnt_from_by_the_coarse_branch_alone(monkeypatch):
    t = trainer(monkeypatch)
    before = {n: p.detach().clone() for n, p in t.net.named_parameters()}
    rgb, target, *_ = batch(0)
    for _ in range(2):  # the head starts at zero: the branch behind it moves from the second step on
        parts = t.step(Batch(rgb[:, :96, :128], target[:, :96, :128], view=True), 1e-3)
    assert set(parts) == {"view", "view_steady"}
    moved = {n for n, p in t.net.named_parameters() if not torch.equal(p, before[n])}
    assert {"guide.weight", "coarse.embed.weight", "coarse.blocks.0.attention.qkv.weight"} <= moved
    assert all(n.startswith(("coarse.", "guide.")) for n in moved)


def test_a_window_is_learnt_from(monkeypatch):
    t = trainer(monkeypatch)
    rgb, target, *_ = batch(0)
    learnt = Batch(rgb[:, :112, :144], target[:, :112, :144], window=(16, 32, 64, 80))
    before = {n: p.detach().clone() for n, p in t.net.named_parameters()}
    parts = [t.step(learnt, 1e-3) for _ in range(3)][-1]
    assert all(torch.isfinite(v) for v in parts.values()) and t.images == 6
    moved = {n for n, p in t.net.named_parameters() if not torch.equal(p, before[n])}
    assert {"out.weight", "fine.stages.1.0.0.weight", "guide.weight", "coarse.embed.weight"} <= moved


def test_a_checkpoint_travels(tmp_path: Path, monkeypatch):
    t = trainer(monkeypatch)
    t.step(batch(0), 1e-3)
    train.save(tmp_path / "last.pt", t.state())
    monkeypatch.setattr(travel, "PART", 1 << 20)
    travel.pack(tmp_path / "last.pt", tmp_path / "bag")
    travel.unpack(tmp_path / "bag", tmp_path / "there" / "last.pt")
    assert len(list((tmp_path / "bag").iterdir())) > 1
    again = trainer(monkeypatch)
    again.restore(tmp_path / "there" / "last.pt")
    for a, b in zip(t.net.parameters(), again.net.parameters()):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def test_orthogonalised_rows_are_about_orthonormal():
    torch.manual_seed(0)
    for shape in ((48, 200), (200, 48)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.5 and values.max() < 1.4


def test_leftovers_of_dead_trainers_go(tmp_path: Path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in (f"last.{dead.pid}", f"last.{os.getpid()}", "last.pt"):
        (tmp_path / name).touch()
    train.tidy(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"last.{os.getpid()}", "last.pt"])


def test_a_signal_to_all_its_processes_ends_it_in_order(tmp_path: Path):
    pool = Pool(tmp_path / "small", 216 * 288, 8)
    ramp = np.linspace(0.1, 1, 216, dtype=np.float32)[:, None].repeat(288, 1)
    for i in range(8):
        pool.put(i, i + 1, Sample(np.full((216, 288, 3), 30 * i, np.uint8), ramp, 0, i))
    command = [sys.executable, "-m", "depthnet.train", str(tmp_path / "run"), "--pool", str(pool.root)]
    command += ["--batch", "4", "--device", "cpu", "--start", "1", "--show", "1"]
    process = subprocess.Popen(command, start_new_session=True, cwd=Path(train.__file__).parent.parent)
    log = tmp_path / "run" / "last.jsonl"
    deadline = time.monotonic() + 120
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(60) == 0
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["images"] > 0


def test_a_save_cut_short_leaves_the_one_before(tmp_path: Path, monkeypatch):
    train.save(tmp_path / "last.pt", {"images": 1})

    def full(state: dict, file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train.torch, "save", full)
    with pytest.raises(OSError):
        train.save(tmp_path / "last.pt", {"images": 2})
    assert torch.load(tmp_path / "last.pt", weights_only=True)["images"] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]
