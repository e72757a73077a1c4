import numpy as np
import onnxruntime
import pytest
import torch
from depthnet.data import normalise
from depthnet.export import Shipped, export
from depthnet.network import Config
from depthnet.pool import Pool
from depthnet.recover import recover
from depthnet.renderer import Sample
from test_network import TINY, lively


@pytest.fixture
def pool(tmp_path) -> Pool:
    r = np.random.default_rng(0)
    pool = Pool(tmp_path / "pool", 128 * 160, 16)
    for i in range(16):
        rgb = r.integers(0, 255, (8, 10, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
        pool.put(i, i + 1, Sample(rgb, np.ones((128, 160), np.float32), 0, i))
    return pool


def test_a_network_comes_back_out_of_its_file(tmp_path, pool):
    net = lively()
    torch.nn.init.normal_(net.out.weight, std=0.1)
    export(net, tmp_path / "net.onnx", half=False)
    again = recover(tmp_path / "net.onnx", pool, TINY)
    pictures = torch.from_numpy(np.stack([pool.get(i)[0] for i in range(16)]))
    x = normalise(pictures).contiguous()
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    wanted = torch.from_numpy(session.run(None, {"pixel_values": x.numpy()})[0])
    with torch.no_grad():
        got = Shipped(again)(x)
        trained = Shipped(again.train())(x)  # the batch is all that the statistics are of
    assert wanted.std() > 1e-3
    assert (got - wanted).abs().max() < 1e-3 * wanted.abs().max()
    assert (trained - wanted).abs().mean() < 0.05 * wanted.std()


def test_a_file_of_another_network_is_refused(tmp_path, pool):
    export(lively(), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="layers"):
        recover(tmp_path / "net.onnx", pool, Config(blocks=2))
