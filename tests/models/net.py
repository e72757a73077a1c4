"""The network that all small models are, and the list of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
LUMA = np.array([0.25, 0.5, 0.25])
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
GAIN = 8.0
F32, F16, I64, U8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.UINT8


class Net:
    """Collects nodes and weights; each call of `op` returns the name of its result."""

    def __init__(self, dtype=np.float32):
        self.dtype = dtype
        self.nodes, self.weights, self.functions, self.count = [], [], [], 0

    def op(self, kind, *inputs, out=None, n=1, **attributes):
        self.count += 1
        names = [out] if out else [f"v{self.count}" if i == 0 else f"v{self.count}_{i}" for i in range(n)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"n{self.count}", **attributes))
        return names[0] if n == 1 else names

    def const(self, value, dtype=None):
        name = f"w{len(self.weights)}"
        array = np.array(value, dtype=dtype or self.dtype)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values):
        return self.const(list(values), np.int64)

    def scalar(self, value):
        """A constant as torch exports it: a node, not an initializer."""
        tensor = numpy_helper.from_array(np.array(value, dtype=self.dtype))
        return self.op("Constant", value=tensor)

    def luma(self, image, patch=14):
        """[N,3,H,W] to [N,1,H/patch,W/patch]: 8 l."""
        kernel = np.broadcast_to((GAIN * LUMA * STD / patch**2)[None, :, None, None], (1, 3, patch, patch))
        bias = [GAIN * float(LUMA @ MEAN)]
        return self.op(
            "Conv", image, self.const(kernel), self.const(bias), kernel_shape=[patch] * 2, strides=[patch] * 2
        )

    def enlarge(self, value, factor=14, roi="", out=None):
        scales = self.const([1, 1, factor, factor], np.float32)
        return self.op(
            "Resize", value, roi, scales, out=out, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )

    def relu(self, image, patch=14):
        """[N,3,H,W] to [N,1,H,W], as the relative models end."""
        return self.op("Relu", self.enlarge(self.luma(image, patch), patch))

    def squeeze(self, value, axis=1, out=None):
        return self.op("Squeeze", value, self.ints(axis), out=out)

    def logits(self, image):
        return self.op("Sub", self.enlarge(self.luma(image)), self.const(4.0))

    def model(self, inputs, outputs, opset=17, ir=8, domains=(), functions=()):
        info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(
            self.nodes, "depth", [info(*i) for i in inputs], [info(*o) for o in outputs], self.weights
        )
        opsets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in domains]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=ir,
            functions=list(functions),
            producer_name="tests/models/generate.py",
        )


# What a model has to give for `l` (its luma map, one value a pixel); `None`: it is not run here.
relative = lambda l: GAIN * l
metric = lambda top: lambda l: top / (1 + np.exp(4 - GAIN * l))


@dataclass
class Entry:
    name: str
    stands_for: str
    expected: str
    build: Callable
    sizes: list = field(default_factory=lambda: [(56, 56), (70, 42), (126, 98)])
    value: Callable | None = relative
    depth: str | None = None  # name of the depth output, where it is not the only one
    fails: list = field(default_factory=list)  # sizes at which ONNX Runtime must fail
    fed: str = "imagenet"  # or "unit" (0 to 1) or "byte" (0 to 255)
    last: bool = False  # channels last
    quantised: tuple | None = None  # step and zero point of bytes that stand for other numbers
    patch: int = 14  # pixels of one colour that the network needs
    tolerance: float = 0.02


ENTRIES: list[Entry] = []


def entry(name, stands_for, expected, **options):
    def register(build):
        ENTRIES.append(Entry(name, stands_for, expected, build, **options))
        return build

    return register


IMAGE = ["height", "width"]
RUNS = "relative, patch 14, any size"
METRIC = lambda top: f"metric, up to {top} m, patch 14"
