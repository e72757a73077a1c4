import io
import struct

import numpy as np
import pytest
import torch
from depthnet import renderer
from depthnet.augment import augment, forget_bars
from depthnet.data import Batches
from depthnet.metrics import edge_f1, errors, ordinal
from depthnet.pool import Pool
from depthnet.renderer import Sample
from depthnet.runtime import network_size


def scene(i: int, h: int = 216, w: int = 288) -> Sample:
    r = np.random.default_rng(i)
    inverse = np.linspace(0.02, 0.5, h, dtype=np.float32)[:, None].repeat(w, 1)
    inverse[50:150, 100:180] = 0.8
    return Sample(r.integers(0, 255, (h, w, 3), dtype=np.uint8), inverse, i % 3, i)


def record(s: Sample) -> bytes:
    h, w = s.inverse.shape
    return struct.pack("<4sIIIQff", b"DSC1", w, h, s.kind, s.index, 0, 0) + s.rgb.tobytes() + s.inverse.tobytes()


def test_records():
    first, second = renderer.read(io.BytesIO(record(scene(0)) + record(scene(1, 288, 216))))
    assert first.inverse.shape == (216, 288) and second.rgb.shape == (288, 216, 3) and second.index == 1
    with pytest.raises(EOFError):
        list(renderer.read(io.BytesIO(record(scene(0))[:-1])))


def test_pool_gives_back_what_was_put(tmp_path):
    pool = Pool(tmp_path, 216 * 288, 4)
    assert len(pool.filled()) == 0 and pool.get(0) is None
    pool.put(2, 7, scene(3, 288, 216))
    again = Pool(tmp_path)
    rgb, inverse, kind = again.get(2)
    assert (rgb == scene(3, 288, 216).rgb).all() and np.allclose(inverse, scene(3, 288, 216).inverse, rtol=1e-3)
    assert list(again.filled()) == [2] and kind == 0


def test_batches(tmp_path):
    pool = Pool(tmp_path, 216 * 288, 8)
    for i in range(8):
        pool.put(i, i + 1, scene(i))
    batches = iter(Batches([tmp_path], seed=1, batch=8, seen=2_000_000, paste=0.5))
    for _ in range(8):
        rgb, target, view, window = next(batches)
        assert not view and window is None
        assert rgb.dtype == torch.uint8 and rgb.shape[:3] == target.shape
        assert all(side % 14 == 0 for side in target.shape[1:])
        assert (target.isnan() | (target >= 0)).all() and target.isnan().float().mean() < 0.5


def test_batches_for_views_and_windows_fit_the_cells(tmp_path):
    pool = Pool(tmp_path, 216 * 288, 4)
    for i in range(4):
        pool.put(i, i + 1, scene(i))
    batches = iter(Batches([tmp_path], seed=1, batch=4, views=0.4, windows=0.3))
    kinds = set()
    for _ in range(16):
        _, target, view, window = next(batches)
        kinds.add((view, window is not None))
        h, w = target.shape[1:]
        assert not view or (min(h, w) == 256 and h % 32 == w % 32 == 0)
        if window:
            top, left, height, width = window
            assert top >= 0 and left >= 0 and top + height <= h and left + width <= w
            assert all(number % 16 == 0 for number in (*window, h, w))
    assert kinds == {(False, False), (True, False), (False, True)}


def test_pools_as_fine_as_each_other_are_drawn_from_alike(tmp_path):
    for name, count in (("a", 2), ("b", 6)):
        pool = Pool(tmp_path / name, 216 * 288, count)
        for i in range(count):
            pool.put(i, i + 1, Sample(scene(i).rgb, np.full((216, 288), 1.0 if name == "a" else 2.0, np.float32), 0, i))
    batches = Batches([tmp_path / "a", tmp_path / "b"], seed=1, batch=4)
    pools = [(p, p.filled()) for p in map(Pool, batches.roots)]
    r = np.random.default_rng(0)
    seen = [float(batches.draw(pools, 168 * 224, r)[1].mean()) for _ in range(200)]
    assert 0.15 < seen.count(1.0) / 200 < 0.35


def test_depth_follows_the_picture_through_augmentation():
    h, w = 216, 288
    inverse = np.full((h, w), 0.1, np.float32)
    inverse[:, : w // 2] = 1.0
    rgb = np.where(inverse[..., None] > 0.5, 230, 20).astype(np.uint8).repeat(3, -1)
    r = np.random.default_rng(1)
    for _ in range(30):
        picture, target = augment((rgb, inverse), (112, 154), r)
        near, far = target > 0.5, target <= 0.5
        if near.mean() > 0.1 and far.mean() > 0.1:
            assert abs(picture[near].mean() - picture[far].mean()) > 5  # light may have become dark


def test_nothing_is_learnt_under_bars():
    s = scene(0)
    rgb = s.rgb.copy()
    rgb[:, :20] = rgb[:, -20:] = 0
    masked = forget_bars(rgb, s.inverse)
    assert np.isnan(masked[:, :20]).all() and np.isnan(masked[:, -20:]).all() and not np.isnan(masked[:, 20:-20]).any()
    assert forget_bars(s.rgb, s.inverse) is s.inverse


def test_metrics():
    target = scene(0).inverse
    r = np.random.default_rng(0)
    assert ordinal(2 * target + 1, target, r)[0] == 1.0 and ordinal(-target, target, r)[0] == 0.0
    absrel, delta = errors(2 * target + 1, target)
    assert absrel < 1e-3 and delta == 1.0
    assert edge_f1(3 * target - 1, target) > 0.999
    assert edge_f1(np.roll(target, 9, (0, 1)), target) < 0.5


def test_resolution_rule():
    assert network_size(1920, 1080, 518) == (924, 518)
    assert network_size(640, 480, 518) == (686, 518)
    assert network_size(1080, 1920, 518) == (518, 924)
    assert network_size(1920, 1080, 252) == (448, 252)
