import argparse
from pathlib import Path

import numpy as np
import torch
from depthnet import train, travel
from depthnet.network import Config


def trainer(monkeypatch) -> train.Trainer:
    monkeypatch.setattr(train, "Config", lambda: Config(blocks=1))
    args = argparse.Namespace(seed=1, rate=1e-3, hold=1000)
    return train.Trainer(args, torch.device("cpu"))


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    r = np.random.default_rng(seed)
    target = torch.linspace(0.1, 1, 112)[:, None].repeat(2, 1, 154).reshape(2, 112, 154)
    return torch.from_numpy(r.integers(0, 255, (2, 112, 154, 3), dtype=np.uint8)), target


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch):
    one = trainer(monkeypatch)
    one.step(*batch(0), 1e-3)
    train.save(tmp_path / "last.pt", one.state())
    two = trainer(monkeypatch)
    two.restore(tmp_path / "last.pt")
    assert (two.images, two.steps) == (2, 1)
    for t in (one, two):
        torch.manual_seed(5)
        t.step(*batch(1), 1e-3)
    for a, b in zip(one.net.parameters(), two.net.parameters()):
        assert torch.allclose(a, b, atol=1e-6)
    assert not list(tmp_path.glob("*.[0-9]*"))


def test_it_learns_a_ramp(monkeypatch):
    t = trainer(monkeypatch)
    parts = [t.step(*batch(i), 1e-3)["absolute"].item() for i in range(12)]
    assert parts[-1] < parts[0]


def test_a_checkpoint_travels(tmp_path: Path, monkeypatch):
    t = trainer(monkeypatch)
    t.step(*batch(0), 1e-3)
    train.save(tmp_path / "last.pt", t.state())
    monkeypatch.setattr(travel, "PART", 1 << 20)
    travel.pack(tmp_path / "last.pt", tmp_path / "bag")
    travel.unpack(tmp_path / "bag", tmp_path / "there" / "last.pt")
    assert len(list((tmp_path / "bag").iterdir())) > 1
    again = trainer(monkeypatch)
    again.restore(tmp_path / "there" / "last.pt")
    for a, b in zip(t.net.parameters(), again.net.parameters()):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)
