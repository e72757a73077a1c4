"""Muon: momentum whose matrices are orthogonalised before each step (Jordan et al., 2024)."""

import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

# quintic Newton-Schulz: sends the singular values to about 1 in five rounds
ROUNDS, A, B, C = 5, 3.4445, -4.7750, 2.0315


def orthogonalise(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows (or columns), roughly; in bfloat16."""
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.t()
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.t()
        x = A * x + (B * gram + C * (gram @ gram)) @ x
    return (x.t() if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """For weights of two and more dimensions; the first is the outputs. Steps are scaled to be as long as AdamW's."""

    def __init__(self, weights: Iterable[Tensor], lr: float, momentum: float = 0.9, weight_decay: float = 0.05):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            lr, momentum = group["lr"], group["momentum"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                average = state["momentum"].lerp_(p.grad, 1 - momentum)
                move = orthogonalise(p.grad.lerp(average, momentum).flatten(1)).view_as(p)
                p.mul_(1 - lr * group["weight_decay"])
                p.add_(move, alpha=-0.2 * lr * math.sqrt(max(len(p), p[0].numel())))


def optimisers(net: nn.Module, lr: float, weight_decay: float = 0.05) -> dict[str, torch.optim.Optimizer]:
    """Muon for what lies between features; AdamW for first and last layers, position, vectors and the backbone."""
    named = [(n, p) for n, p in net.named_parameters() if ".backbone." not in n]
    edge = re.compile(r"(^|\.)(stages\.0|position|out|guide)(\.|$)")
    inner = [p for n, p in named if p.ndim > 1 and not (edge.search(n) and "attention" not in n)]
    known = {id(p) for p in inner}
    rest = [p for _, p in named if id(p) not in known]
    backbone = [p for n, p in net.named_parameters() if ".backbone." in n]
    return {
        "muon": Muon(inner, lr, weight_decay=weight_decay),
        "adamw": torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
        "backbone": torch.optim.AdamW(backbone, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
    }
