"""Write a network as an ONNX file: opset 17, weights in half precision, free batch and sides.

    export.py RUN/cooled.pt MODEL.onnx
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from .network import DepthNet

OPSET = 17
LIFT = 0.05  # depth is relative: a small lift keeps the farthest things above the final ReLU


class Shipped(nn.Module):
    """What the file computes: never negative, as other networks of this kind."""

    def __init__(self, net: DepthNet):
        super().__init__()
        self.net = net

    def forward(self, pixel_values: Tensor) -> Tensor:
        return torch.relu(self.net(pixel_values) + LIFT)


def halve_weights(model: onnx.ModelProto) -> None:
    """Store every f32 weight as f16 behind a Cast, which runtimes fold when they load the file."""
    casts = []
    for tensor in list(model.graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims, dtype=int) < 16:
            continue
        name = tensor.name
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), name + "_f16")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [name + "_f16"], [name], to=TensorProto.FLOAT))
    for node in reversed(casts):
        model.graph.node.insert(0, node)


def export(net: DepthNet, path: Path, metadata: dict[str, str] | None = None, half: bool = True) -> None:
    """Write `net` to `path`. Batch norms are folded; sides may be any multiple of 14 from 126 on."""
    shipped = Shipped(net.float().cpu()).eval()
    axes = {"pixel_values": {0: "batch", 2: "height", 3: "width"}, "predicted_depth": {0: "batch", 1: "height", 2: "width"}}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            shipped,
            (torch.zeros(1, 3, 252, 336),),
            str(part),
            input_names=["pixel_values"],
            output_names=["predicted_depth"],
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            dynamo=False,
        )
    model = onnx.load(str(part))
    part.unlink()
    if half:
        halve_weights(model)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    part.write_bytes(model.SerializeToString())
    part.replace(path)


def main() -> None:
    from .train import network_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--license", default="Apache-2.0")
    parser.add_argument("--last", action="store_true", help="the last weights rather than their average")
    a = parser.parse_args()
    images = torch.load(a.checkpoint, map_location="cpu", weights_only=True)["images"]
    about = {
        "name": "depthanything-builtin",
        "version": a.version,
        "license": a.license,
        "output": "relative inverse depth, larger is nearer",
        "training": f"{images} crops of procedurally rendered scenes; features from EfficientNet-Lite0 (ImageNet, Apache-2.0)",
    }
    export(network_of(a.checkpoint, averaged=not a.last), a.model, about)
    print(f"{a.model}: {a.model.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
