"""Losses on relative inverse depth. Targets are inverse depth [b,h,w]; NaN is not looked at."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4
PAIRS = 1500
ROUNDS = 4  # of fitting
FAINT = 0.1  # of the mean inverse depth: what is added to inverse depths before they are compared as distances
FLATTEST = 1e-4  # variance of a prediction that is still fitted: what is flatter shows no more than noise
FLOOR = 0.02  # of a prediction's spread, where 1 is the nearest


def soften(x: Tensor, knee: float = 3.0) -> Tensor:
    """|x| up to the knee, then logarithmic: outliers pull, but no harder than the rest."""
    x = x.abs()
    return torch.where(x < knee, x, knee * (1 + (x.clamp(min=knee) / knee).log()))


def standardise(x: Tensor, valid: Tensor, floor: float = 1e-4) -> Tensor:
    """Take off the median and divide by the mean deviation, per picture, over `valid`.

    For predictions the floor is higher: dividing a nearly flat one by next to nothing shows the loss only noise.
    """
    flat, keep = x.flatten(1), valid.flatten(1)
    centre = torch.where(keep, flat, torch.nan)[:, ::5].nanmedian(1, keepdim=True)[0]
    off = torch.where(keep, (flat - centre).abs(), 0.0)
    spread = off.sum(1, keepdim=True) / keep.sum(1, keepdim=True).clamp(min=1)
    return ((flat - centre) / (spread + floor)).view_as(x)


def mean(x: Tensor, valid: Tensor) -> Tensor:
    return torch.where(valid, x, 0.0).sum() / valid.sum().clamp(min=1)


def gradients(residual: Tensor, valid: Tensor) -> Tensor:
    """Steps of the residual at several scales: edges where the target has them, none elsewhere."""
    total = residual.new_zeros(())
    for k in range(SCALES):
        r, v = residual[:, :: 2**k, :: 2**k], valid[:, :: 2**k, :: 2**k]
        total = total + mean(soften(r[:, :, 1:] - r[:, :, :-1]), v[:, :, 1:] & v[:, :, :-1])
        total = total + mean(soften(r[:, 1:] - r[:, :-1]), v[:, 1:] & v[:, :-1])
    return total


def ordinal(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Random pairs shall come out in the right order, by as much as they differ (at most 1)."""
    b, n = predicted.shape[0], predicted[0].numel()
    i = torch.randint(n, (b, PAIRS), device=predicted.device)
    j = torch.randint(n, (b, PAIRS), device=predicted.device)
    p, t, v = predicted.flatten(1), target.flatten(1), valid.flatten(1)
    difference = t.gather(1, i) - t.gather(1, j)
    wanted = difference.abs().clamp(0.1, 1.0)
    got = (p.gather(1, i) - p.gather(1, j)) * difference.sign()
    sure = v.gather(1, i) & v.gather(1, j) & (difference.abs() > 0.05)
    return mean(F.relu(1 - got / wanted).clamp(max=20), sure)


def absolute(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """The nearest shall be about 1 and the sky 0, so that the raw numbers have a steady range."""
    near = torch.nanquantile(torch.where(valid, target, torch.nan).flatten(1)[:, ::7], 0.98, dim=1)
    scaled = (target / near[:, None, None].clamp(min=1e-4)).clamp(max=1.6)
    return mean((predicted - scaled).abs(), valid)


@torch.no_grad()
def fit(predicted: Tensor, target: Tensor, valid: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift [b,1,1] that bring the prediction nearest to the target, by least absolute errors of distance.

    The figure that measured depth is judged by, in rounds of weighted least squares. What is farther than 1/`far` counts less.
    """
    p, t, keep = (x.flatten(1)[:, ::7].double() for x in (predicted, target, valid))
    distance = t + far.flatten(1)
    weight = keep / distance.square()
    for _ in range(ROUNDS):
        total = weight.sum(1, keepdim=True).clamp(min=1e-12)
        mp, mt = (weight * p).sum(1, keepdim=True) / total, (weight * t).sum(1, keepdim=True) / total
        together = (weight * (p - mp) * (t - mt)).sum(1, keepdim=True)
        alone = (weight * (p - mp).square()).sum(1, keepdim=True)
        scale = together / torch.maximum(alone, FLATTEST * total)
        shift = mt - scale * mp
        off = (scale * p + shift - t).abs() / distance
        weight = keep / (distance.square() * off.clamp(min=0.02))
    upright = scale > 0  # else the best that an upside-down answer can do is to be flat
    scale, shift = torch.where(upright, scale, 0.0), torch.where(upright, shift, mt)
    return scale.float()[..., None], shift.float()[..., None]


def faint(target: Tensor, valid: Tensor) -> Tensor:
    """What is added to inverse depths [b,h,w] before they are compared as distances, [b,1,1]: the sky then has an end."""
    average = torch.where(valid, target, 0.0).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)
    return FAINT * average.clamp(min=1e-4)[:, None, None]


def ratio(fitted: Tensor, target: Tensor, far: Tensor) -> Tensor:
    """Logarithm of fitted by wanted inverse depth. Below half the target it goes on as a line: it has no end."""
    x = (fitted + far) / (target + far)
    return torch.where(x > 0.5, x.clamp(min=0.5).log(), 2 * x - 1 - math.log(2))


def amounts(predicted: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """How far off distances are, as logarithms of their ratio [b,h,w], once scale and shift are fitted.

    Near and far count alike, unlike in inverse depth, where a few near pixels outweigh a room. The sky, and what is more than
    `1 / FAINT` times as far as the mean, hardly counts.
    """
    far = faint(target, valid)
    scale, shift = fit(predicted.detach(), target, valid, far)
    return ratio(scale * predicted + shift, target, far)


def depth_loss(predicted: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum, and its parts for the log. Both arguments [b,h,w]."""
    predicted, valid = predicted.float(), ~target.isnan()
    target = torch.where(valid, target, 0.0)
    p, t = standardise(predicted, valid, FLOOR), standardise(target, valid)
    residual, off = p - t, amounts(predicted, target, valid)
    parts = {
        "shape": mean(soften(residual), valid),
        "edges": gradients(residual, valid),
        "order": ordinal(p, t, valid),
        "absolute": absolute(predicted, target, valid),
        "amounts": mean(soften(off, 1.0), valid),
        "slopes": gradients(off, valid),
    }
    weights = {"shape": 0.5, "edges": 0.3, "order": 0.15, "absolute": 0.15, "amounts": 1.5, "slopes": 0.3}
    return sum(weights[k] * v for k, v in parts.items()), parts


def window_loss(
    predicted: Tensor, target: Tensor, guide: Tensor, whole: Tensor, cell: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Of a window's depth [b,h,w], scaled and shifted as the coarse branch's answer to the `whole` picture has to be.

    A window's own fit would divide by next to nothing where it shows a wall.
    """
    predicted, valid = predicted.float(), ~target.isnan()
    target = torch.where(valid, target, 0.0)
    small, known = shrink_target(whole, guide, cell)
    far = faint(small, known)
    scale, shift = fit(guide.detach().float(), small, known, far)
    centre = torch.where(known, small, torch.nan).flatten(1).nanmedian(1)[0][:, None, None]
    spread = torch.where(known, (small - centre).abs(), 0.0).sum((1, 2)) / known.sum((1, 2)).clamp(min=1)
    residual = (scale * predicted + shift - target) / (spread[:, None, None] + 1e-4)
    off = ratio(scale * predicted + shift, target, far)
    parts = {
        "window_shape": mean(soften(residual), valid),
        "window_edges": gradients(residual, valid),
        "window_amounts": mean(soften(off, 1.0), valid),
        "window_slopes": gradients(off, valid),
    }
    weights = {"window_shape": 0.5, "window_edges": 0.3, "window_amounts": 1.5, "window_slopes": 0.3}
    return sum(weights[k] * v for k, v in parts.items()), parts


def shrink_target(target: Tensor, guide: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """The target [b,h,w] on the coarse branch's grid, padded as the network pads, and where it is known."""
    h, w = target.shape[-2:]
    padded = F.pad(target[:, None], (0, -w % cell, 0, -h % cell), mode="replicate")
    small = F.interpolate(padded, size=guide.shape[-2:], mode="nearest-exact")[:, 0]
    known = ~small.isnan()
    return torch.where(known, small, 0.0), known


def guide_loss(guide: Tensor, target: Tensor, cell: int) -> Tensor:
    """The coarse branch's own answer [b,gh,gw] against the target, padded as the network pads."""
    small, valid = shrink_target(target, guide, cell)
    guide = guide.float()
    residual, off = standardise(guide, valid, FLOOR) - standardise(small, valid), amounts(guide, small, valid)
    shape = 0.5 * mean(soften(residual), valid) + 0.15 * absolute(guide, small, valid)
    return shape + 1.5 * mean(soften(off, 1.0), valid) + 0.15 * gradients(off, valid)


def steady_loss(predicted: Tensor, twin: Tensor, target: Tensor) -> Tensor:
    """What a `twin`, the same picture with other noise, changes in the answer, against the answer's mean deviation."""
    predicted, twin, valid = predicted.float(), twin.float(), ~target.isnan()
    centre = (torch.where(valid, predicted, 0.0).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1))[:, None, None]
    spread = torch.where(valid, (predicted - centre).abs(), 0.0).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)
    # the spread is not held fast, and its floor is low: a flatter answer would else look like a steadier one
    return mean((predicted - twin).abs() / (spread[:, None, None] + 1e-3), valid)
