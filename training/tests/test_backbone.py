import torch
from depthnet.backbone import CHANNELS, EPSILON, Backbone, pretrained, weights_file
from depthnet.data import MEAN, STD
from torch import nn
from torch.nn import functional as F


def test_features_have_their_channels_and_strides():
    with torch.no_grad():
        features = Backbone()(torch.zeros(1, 3, 96, 160))
    assert [f.shape[1] for f in features] == list(CHANNELS)
    assert [tuple(f.shape[2:]) for f in features] == [(24, 40), (12, 20), (6, 10), (3, 5)]


def test_first_layers_are_the_original_ones():
    """Folded norms and the other normalisation change nothing, away from the border."""
    source = torch.load(weights_file(), map_location="cpu", weights_only=True)
    picture = torch.rand(1, 3, 64, 64)
    x = (255 * picture - 127) / 128
    for convolution, norm, groups, stride in (("_conv_stem", "_bn0", 1, 2), ("_blocks.0._depthwise_conv", "_blocks.0._bn1", 32, 1)):
        weight = source[f"{convolution}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=0 if stride > 1 else 1, groups=groups)
        layer = nn.BatchNorm2d(len(weight), eps=EPSILON).eval()
        layer.load_state_dict({k.removeprefix(f"{norm}."): v for k, v in source.items() if k.startswith(f"{norm}.")})
        x = F.relu6(layer(x))
    net = Backbone()
    net.load_state_dict(pretrained(MEAN, STD))
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    with torch.no_grad():
        y = F.relu6(net.blocks[0].depthwise(F.relu6(net.stem((picture - mean) / std))))
    assert (x[..., 2:-2, 2:-2] - y[..., 2:-3, 2:-3]).abs().max() < 1e-4
