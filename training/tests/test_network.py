from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from depthnet.export import Shipped, export
from depthnet.network import Config, DepthNet, shrink
from torch import nn

TINY = Config(blocks=1)


def lively(config: Config = TINY) -> DepthNet:
    """A network whose batch norms do something, with weights that halves hold exactly."""
    torch.manual_seed(0)
    net = DepthNet(config)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for parameter in net.parameters():
        parameter.data = parameter.data.half().float()
    return net.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[DepthNet, Path]:
    net, path = lively(), tmp_path_factory.mktemp("model") / "net.onnx"
    export(net, path, {"name": "test"})
    return net, path


@pytest.mark.parametrize("size", [(14, 14), (14, 70), (28, 42), (126, 126), (126, 224), (252, 448), (518, 294), (140, 1036), (266, 182)])
def test_file_equals_network(exported, size):
    net, path = exported
    session = onnxruntime.InferenceSession(str(path))
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        want = Shipped(net).eval()(x).numpy()
    got = session.run(None, {"pixel_values": x.numpy()})[0]
    assert got.shape == want.shape == (2, *size)
    assert np.abs(got - want).max() < 1e-3


def test_file_is_plain(exported):
    model = onnx.load(str(exported[1]))
    assert [o.version for o in model.opset_import if o.domain == ""] == [17]
    assert {o.domain for o in model.opset_import} <= {""}
    assert {p.key: p.value for p in model.metadata_props}["name"] == "test"
    big = [t for t in model.graph.initializer if np.prod(t.dims, dtype=int) > 64]
    assert all(t.data_type != onnx.TensorProto.FLOAT for t in big)


def test_shipped_size():
    parameters = sum(p.numel() for p in DepthNet().parameters())
    assert 2 * parameters < 12e6


@pytest.mark.parametrize("size", [(126, 126), (168, 224), (252, 182)])
def test_shapes(size):
    depth, guide = lively().both(torch.randn(1, 3, *size))
    assert depth.shape == (1, *size) and guide.ndim == 3


def test_coarse_view_is_the_same_size_at_any_resolution():
    coarse = DepthNet(TINY).coarse
    assert coarse.view(torch.randn(1, 3, 512, 928)).shape == coarse.view(torch.randn(1, 3, 1024, 1856)).shape
    assert coarse.view(torch.randn(1, 3, 128, 128)).shape[-2:] == (128, 128)


def test_shrink_is_an_antialiased_resize():
    x = torch.zeros(1, 1, 64, 64)
    x[..., ::2] = 1  # finer than the small grid can show
    assert (shrink(x, 16, 16)[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.07
    smooth = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    assert (shrink(smooth, 64, 64) - smooth).abs().max() < 0.005


def test_a_window_is_part_of_the_whole():
    net = lively()
    nn.init.normal_(net.out.weight, std=0.1)
    x = torch.randn(1, 3, 400, 448)
    with torch.no_grad():
        whole, guide = net.both(x)
        part, same = net.part(x, (64, 96, 288, 304))
    assert torch.equal(guide, same) and part.shape == (1, 288, 304)
    inside = whole[:, 64:352, 96:400]
    middle = (slice(None), slice(128, 160), slice(128, 176))  # beyond what the border's zeros reach
    assert inside.std() > 1e-3 and (part[middle] - inside[middle]).abs().max() < 1e-4 * inside.abs().max()
