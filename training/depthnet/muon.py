"""Muon for every matrix and convolution, AdamW for the rest.

The momentum of a matrix is replaced by the nearest orthogonal one (five Newton-Schulz steps), so that all
its directions learn alike. A convolution is taken as the matrix of its flattened kernels.
"""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def orthogonalise(g: Tensor) -> Tensor:
    """[n,m] -> about U V^T of its singular value decomposition."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.t()
        x = a * x + (b * s + c * s @ s) @ x
    return (x.t() if tall else x).to(g.dtype)


class Muon(Optimizer):
    """`lr` is AdamW's; matrices move by `lr` times 0.2 root of their longer side, which is alike in size."""

    def __init__(self, net: nn.Module, lr: float, decay: float = 0.05, momentum: float = 0.95, betas=(0.9, 0.98)):
        matrices = [p for p in net.parameters() if p.ndim > 1 and p.shape[0] > 4 and p.shape[0] != 1]
        chosen = {id(p) for p in matrices}
        rest = [p for p in net.parameters() if id(p) not in chosen]
        groups = [{"params": matrices, "matrix": True, "decay": decay}, {"params": rest, "matrix": False, "decay": 0.0}]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if group["matrix"]:
                    self._matrix(p, state, group)
                else:
                    self._vector(p, state, group)

    @staticmethod
    def _matrix(p: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["first"] = torch.zeros_like(p)
        first = state["first"]
        first.mul_(group["momentum"]).add_(p.grad)
        ahead = p.grad.add(first, alpha=group["momentum"]).flatten(1)
        update = orthogonalise(ahead).view(p.shape)
        p.mul_(1 - group["lr"] * group["decay"])
        p.add_(update, alpha=-0.2 * max(ahead.shape) ** 0.5 * group["lr"])

    @staticmethod
    def _vector(p: Tensor, state: dict, group: dict) -> None:
        if not state:
            state.update(first=torch.zeros_like(p), second=torch.zeros_like(p), steps=0)
        b1, b2 = group["betas"]
        state["steps"] += 1
        state["first"].lerp_(p.grad, 1 - b1)
        state["second"].lerp_(p.grad.square(), 1 - b2)
        scale = (1 - b2 ** state["steps"]) ** 0.5 / (1 - b1 ** state["steps"])
        p.addcdiv_(state["first"], state["second"].sqrt().add_(1e-8), value=-group["lr"] * scale)
