"""Make a checkpoint out of an exported file, to train on where its checkpoint is lost.

    recover.py MODEL.onnx RUN/last.pt --pool POOL [--images N]

The file has its batch norms folded away: they get back the statistics that some pictures of POOL give, so that the network
answers the same whether it is trained or evaluated. The coarse branch's own answer (for the loss only, not in the file) is
fitted to the network's. The optimiser starts anew.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .data import normalise
from .network import Config, DepthNet, resize
from .pool import Pool
from .train import save

PREFIX = "net."  # of the parameters in the file: `export.Shipped` holds the network


def called(net: DepthNet) -> list[tuple[str, nn.Module]]:
    """Convolutions and linear layers in the order in which they are run, which is that of the file's nodes.

    The head of the coarse branch's own answer is not in the file.
    """
    names = {module: name for name, module in net.named_modules()}
    order: list[tuple[str, nn.Module]] = []
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear) and m is not net.guide]
    hooks = [m.register_forward_hook(lambda module, *_: order.append((names[module], module))) for m in layers]
    with torch.no_grad():
        net(torch.zeros(1, 3, 126, 126))
    for hook in hooks:
        hook.remove()
    return order


def norms(net: DepthNet) -> dict[str, tuple[str, nn.BatchNorm2d]]:
    """The batch norm behind each convolution that has one, by the convolution's name."""
    out = {}
    modules = list(net.named_modules())
    for (name, module), (after, norm) in zip(modules, modules[1:]):
        if isinstance(module, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            out[name] = (after, norm)
    return out


def read(path: Path, net: DepthNet) -> dict[str, Tensor]:
    """Parameters that the file holds, by their names in `net`; a convolution's bias stands for its folded norm."""
    graph = onnx.load(str(path)).graph
    values = {i.name.removesuffix("_f16"): torch.from_numpy(numpy_helper.to_array(i).astype(np.float32)) for i in graph.initializer}
    for node in graph.node:  # equal ones are stored once
        if node.op_type == "Identity" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
    state = {name.removeprefix(PREFIX): value for name, value in values.items() if name.startswith(PREFIX)}
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    products = [n for n in graph.node if n.op_type == "MatMul" and n.input[1] in values]
    order = called(net)
    for kind, nodes in ((nn.Conv2d, convolutions), (nn.Linear, products)):
        layers = [name for name, layer in order if isinstance(layer, kind)]
        if len(layers) != len(nodes):
            raise ValueError(f"{path}: {len(nodes)} layers where this network has {len(layers)} ({kind.__name__})")
        for name, node in zip(layers, nodes):
            weight = values[node.input[1]]
            state[f"{name}.weight"] = weight.t() if kind is nn.Linear else weight
            if kind is nn.Conv2d and len(node.input) > 2:
                state[f"{name}.bias"] = values[node.input[2]]
    return state


def pictures(pool: Pool, count: int, batch: int = 8) -> Iterator[Tensor]:
    """Batches of the pool's commonest shape, as the network takes them."""
    slots = pool.filled()
    shapes, counts = np.unique(pool.meta[slots, 1:3], axis=0, return_counts=True)
    mine = slots[(pool.meta[slots, 1:3] == shapes[counts.argmax()]).all(1)][:count]
    for start in range(0, len(mine) - batch + 1, batch):
        yield normalise(torch.from_numpy(np.stack([pool.get(int(slot))[0] for slot in mine[start : start + batch]])))


@torch.no_grad()
def recover(path: Path, pool: Pool, config: Config = Config(), count: int = 256) -> DepthNet:
    """The network that `path` holds."""
    net = DepthNet(config).eval()
    state, behind = read(path, net), norms(net)
    folded = {name: state.pop(f"{name}.bias") for name in behind}
    missing, unknown = net.load_state_dict(state, strict=False)
    lost = [n for n in missing if not n.startswith("guide.") and not any(n.startswith(f"{norm}.") for norm, _ in behind.values())]
    if lost or unknown:
        raise ValueError(f"{path} is of another network: lacks {lost}, has {unknown}")
    # scale of a convolution before a norm is free: that of a fresh one suits the optimiser
    for name in behind:
        weight = net.get_submodule(name).weight
        weight *= (3 * weight[0].numel()) ** -0.5 / weight.square().mean().sqrt()
    layers = {name: net.get_submodule(name) for name in behind}
    sums = {name: [0, 0.0, 0.0] for name in layers}

    def note(name: str):
        def hook(_module: nn.Module, _inputs: tuple, y: Tensor) -> None:
            s = sums[name]
            s[0] += y.numel() // y.shape[1]
            s[1] = s[1] + y.double().sum((0, 2, 3))
            s[2] = s[2] + y.double().square().sum((0, 2, 3))

        return hook

    hooks = [layer.register_forward_hook(note(name)) for name, layer in layers.items()]
    for name, (_, norm) in behind.items():  # answers as the file does: the scale that was taken off, and the bias
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.copy_(state[f"{name}.weight"].square().mean().sqrt() / layers[name].weight.square().mean().sqrt())
        norm.bias.copy_(folded[name])
    context, answers = [], []
    for x in pictures(pool, count):
        around = net.coarse(x)
        context.append(around.permute(0, 2, 3, 1).flatten(0, 2)[::7])
        answers.append(resize(net(x)[:, None], around).flatten()[::7])
    for hook in hooks:
        hook.remove()
    for name, (_, norm) in behind.items():
        number, total, squares = sums[name]
        average = (total / number).float()
        spread = (squares / number - (total / number) ** 2).clamp(min=0).float()
        gain = norm.weight.clone()
        norm.running_mean.copy_(average)
        norm.running_var.copy_(spread)
        norm.weight.copy_(gain * (spread + norm.eps).sqrt())
        norm.bias.copy_(folded[name] + gain * average)
    features, wanted = torch.cat(context), torch.cat(answers)
    one = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    ridge = 1e-3 * len(one) * torch.eye(one.shape[1], dtype=torch.double)
    solution = torch.linalg.solve(one.t() @ one + ridge, one.t() @ wanted.double()).float()
    net.guide.weight.copy_(solution[:-1].view_as(net.guide.weight))
    net.guide.bias.fill_(float(solution[-1]))
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--pool", type=Path, required=True, help="folder of samples that give the statistics")
    parser.add_argument("--images", type=int, default=0, help="images it had seen")
    a = parser.parse_args()
    net = recover(a.model, Pool(a.pool))
    state = net.state_dict()
    a.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    save(
        a.checkpoint,
        {"config": net.config.to_dict(), "network": state, "average": state, "optimiser": {}, "images": a.images, "steps": 0},
    )


if __name__ == "__main__":
    main()
