"""The network: one coarse view of the whole picture, one fine view of its pixels.

The *coarse* branch always sees the whole picture at about the same size (short side `grid` cells of
32 pixels), so what it says of the large-scale order does not depend on the resolution the network is
run at, and its attention never grows. Its features start from a classifier of photographs (`backbone`).
The *fine* branch is plain convolution at the full size: it lays the coarse answer onto the edges that
more pixels show. Everything is Conv, MatMul, Softmax, LayerNorm and bilinear Resize, so that every ONNX
runtime takes it.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone import CHANNELS, Backbone

FINE_CELL, COARSE_CELL = 16, 32  # pixels of the deepest stride of each branch
Window = tuple[int, int, int, int]  # top, left, height, width, in pixels


@dataclass(frozen=True)
class Config:
    """Sizes of the network. `fine`, `coarse`: channels at 1/2, 1/4, 1/8, 1/16."""

    fine: tuple[int, int, int, int] = (16, 48, 96, 128)
    fine_depth: tuple[int, int, int, int] = (0, 1, 1, 1)
    decode: tuple[int, int, int, int] = (16, 48, 64, 96)
    context: int = 96
    width: int = 192
    blocks: int = 4
    head: int = 32
    mlp: int = 4
    grid: int = 8  # short side of the coarse view, in cells

    def to_dict(self) -> dict:
        return asdict(self)


def conv(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    """Convolution, batch norm (folded away on export), ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        )
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


def stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """Halve the sides, then `depth` residual blocks."""
    return nn.Sequential(conv(inputs, outputs, 2), *(Residual(outputs) for _ in range(depth)))


class Pyramid(nn.Module):
    """[b,3,H,W] -> features at 1/2, 1/4, 1/8, 1/16."""

    def __init__(self, channels: tuple[int, ...], depth: tuple[int, ...]):
        super().__init__()
        ins = (3, *channels[:-1])
        self.stages = nn.ModuleList(stage(i, o, d) for i, o, d in zip(ins, channels, depth))

    def forward(self, x: Tensor) -> list[Tensor]:
        out = []
        for layer in self.stages:
            x = layer(x)
            out.append(x)
        return out


class Attention(nn.Module):
    """Multi-head self-attention over [b,n,width]."""

    def __init__(self, width: int, head: int):
        super().__init__()
        self.heads, self.scale = width // head, head**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, width = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * self.scale) @ k.transpose(-2, -1)).softmax(-1)
        if weights.dtype != v.dtype:  # under autocast; a Cast in the file would hide the attention from rewriters
            weights = weights.to(v.dtype)
        return self.out((weights @ v).transpose(1, 2).reshape(b, n, width))


class Block(nn.Module):
    """Transformer block with learnt branch gains that start small."""

    def __init__(self, width: int, head: int, mlp: int):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, head)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp * width), nn.GELU(), nn.Linear(mlp * width, width))
        self.gain1 = nn.Parameter(torch.full((width,), 0.1))
        self.gain2 = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gain1 * self.attention(self.norm1(x))
        return x + self.gain2 * self.mlp(self.norm2(x))


def shrink(x: Tensor, height: Tensor | int, width: Tensor | int) -> Tensor:
    """Resize [b,c,H,W] to [b,c,height,width] without aliasing, down to a quarter of its sides.

    To twice the size first, then means of 2x2: only what every runtime has at opset 17, and no arithmetic on places, which
    bfloat16 would round.
    """
    twice = F.interpolate(x, size=(2 * height, 2 * width), mode="bilinear", align_corners=False)
    return F.avg_pool2d(twice, 2)


def up(side: int) -> int:
    """The next multiple of a fine cell. Not by %: few rewriters of graphs know Mod."""
    return (side + FINE_CELL - 1) // FINE_CELL * FINE_CELL


def resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Coarse(nn.Module):
    """The whole picture at a fixed size -> context features at 1/8 of that size."""

    def __init__(self, c: Config):
        super().__init__()
        self.grid = c.grid
        self.backbone = Backbone()
        _, eighth, sixteenth, deepest = CHANNELS
        self.embed = nn.Conv2d(deepest, c.width, 1)
        self.position = nn.Parameter(torch.randn(1, c.width, c.grid, c.grid) * 0.02)
        self.blocks = nn.ModuleList(Block(c.width, c.head, c.mlp) for _ in range(c.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.down = conv(c.width + deepest, c.context, size=1)
        self.side = nn.ModuleList(nn.Conv2d(n, c.context, 1) for n in (eighth, sixteenth))
        self.mix = nn.ModuleList(Residual(c.context) for _ in range(2))

    def view(self, x: Tensor) -> Tensor:
        """Shrink to `grid` cells on the short side; only what is less than a cell is enlarged."""
        h, w = x.shape[-2], x.shape[-1]
        if torch.jit.is_tracing():
            short = torch.minimum(torch.as_tensor(h), torch.as_tensor(w))
            cells = (short // COARSE_CELL).clamp(1, self.grid)
        else:
            short = min(h, w)
            cells = min(max(short // COARSE_CELL, 1), self.grid)
        sides = [(2 * side * cells + short) // (2 * short) * COARSE_CELL for side in (h, w)]
        return shrink(x, *sides)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = self.view(x.float())
        return self.describe(x)

    def describe(self, x: Tensor) -> Tensor:
        """From the view itself, sides multiples of a cell."""
        _, eighth, sixteenth, deepest = self.backbone(x)
        deep = self.embed(deepest)
        b, width, h, w = deep.shape
        deep = deep + resize(self.position, deep).to(deep.dtype)
        tokens = deep.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens = block(tokens)
        deep = self.norm(tokens).transpose(1, 2).reshape(b, width, h, w).to(deepest.dtype)
        y = self.down(torch.cat([deep, deepest], 1))
        y = self.mix[1](double(y) + self.side[1](sixteenth))
        return self.mix[0](double(y) + self.side[0](eighth))


class DepthNet(nn.Module):
    """`pixel_values` [b,3,h,w], ImageNet-normalised -> relative inverse depth [b,h,w], near is large."""

    def __init__(self, config: Config = Config()):
        super().__init__()
        c = self.config = config
        self.coarse = Coarse(c)
        self.fine = Pyramid(c.fine, c.fine_depth)
        d = c.decode
        self.guide = nn.Conv2d(c.context, 1, 1)  # coarse depth, for the loss only
        self.join = nn.ModuleList([nn.Conv2d(c.context, d[i], 1) for i in (2, 3)])
        self.side = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(c.fine, d))
        self.lift = nn.ModuleList(nn.Conv2d(i, o, 1, bias=False) for i, o in zip(d[1:], d[:-1]))
        self.mix = nn.ModuleList(Residual(n) for n in d)
        self.out = nn.Conv2d(d[0], 4, 3, 1, 1)
        for last in (self.out, self.guide):
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, 0.3)

    def decode(self, features: list[Tensor], deep: Tensor, eighth: Tensor) -> Tensor:
        """Depth from the fine branch's features and what the coarse one says at 1/16 and 1/8."""
        y = self.mix[3](self.side[3](features[3]) + deep)
        y = double(self.lift[2](y)) + self.side[2](features[2]) + eighth
        y = self.mix[2](y)
        for i in (1, 0):
            y = self.mix[i](double(self.lift[i](y)) + self.side[i](features[i]))
        return F.pixel_shuffle(self.out(y), 2)[:, 0]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Depth at full size, and the coarse branch's own at 1/8 of its view."""
        h, w = x.shape[-2], x.shape[-1]
        x = F.pad(x, (0, up(w) - w, 0, up(h) - h), mode="replicate")
        context = self.coarse(x)
        features = self.fine(x)
        depth = self.decode(features, resize(self.join[1](context), features[3]), resize(self.join[0](context), features[2]))
        return depth[:, :h, :w], self.guide(context)[:, 0]

    def part(self, x: Tensor, window: Window) -> tuple[Tensor, Tensor]:
        """As `both`, depth of a window of a large picture only: to learn at a resolution for the price of the window.

        All numbers are multiples of a fine cell, as are the sides of `x`. The window's border sees zeros where the picture goes on.
        """
        top, left, height, width = window
        context = self.coarse(x)
        features = self.fine(x[..., top : top + height, left : left + width])

        def lay(around: Tensor, cell: int) -> Tensor:
            size = (x.shape[-2] // cell, x.shape[-1] // cell)
            whole = F.interpolate(around, size=size, mode="bilinear", align_corners=False)
            return whole[..., top // cell : (top + height) // cell, left // cell : (left + width) // cell]

        depth = self.decode(features, lay(self.join[1](context), FINE_CELL), lay(self.join[0](context), FINE_CELL // 2))
        return depth, self.guide(context)[:, 0]

    def alone(self, x: Tensor) -> Tensor:
        """The coarse branch's own depth, at 1/8 of `x`, which is its view already: sides multiples of 32."""
        return self.guide(self.coarse.describe(x))[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        return self.both(x)[0]
