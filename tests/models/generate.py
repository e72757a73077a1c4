#!/usr/bin/env python3
"""Makes the small ONNX models of this folder, and its README.

    pip install onnx==1.23.2 onnxruntime numpy
    python tests/models/generate.py            # write them
    python tests/models/generate.py --check    # run each in ONNX Runtime as well

They all compute the same thing, so that any test can check real numbers: with `l` the luma 0.25 R + 0.5 G + 0.25 B
(0 to 1, of the RGB values before mean and standard deviation are taken out) averaged over each patch of 14x14 pixels,
the depth of every pixel of the patch is 8 l; of the metric models, MAX * sigmoid(8 l - 4).
The output is a function of the input alone: the same script gives the same bytes.
"""

import sys
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

    def enlarge(self, value, factor=14, roi=""):
        scales = self.const([1, 1, factor, factor], np.float32)
        return self.op(
            "Resize", value, roi, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
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


ENTRIES: list[Entry] = []


def entry(name, stands_for, expected, **options):
    def register(build):
        ENTRIES.append(Entry(name, stands_for, expected, build, **options))
        return build

    return register


IMAGE = ["height", "width"]
RUNS = "relative, patch 14, any size"
METRIC = lambda top: f"metric, up to {top} m, patch 14"


# ---- forms that run ----------------------------------------------------------------------------------------------


@entry("image-depth", "fabio-sim's exports: `image` → `depth`, rank 3, batch 1", RUNS)
def _():
    net = Net()
    net.op("Gather", net.op("Relu", net.relu("image")), net.const(0, np.int64), axis=1, out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("pixel-values", "onnx-community's exports: `pixel_values` → `predicted_depth`, all sides symbolic", RUNS + ", any batch")
def _():
    net = Net()
    scaled = net.op("Mul", net.relu("pixel_values"), net.scalar(1.0))  # transformers' max_depth of a relative model
    net.squeeze(scaled, out="predicted_depth")
    sides = ["batch_size", *IMAGE]
    return net.model([("pixel_values", F32, ["batch_size", "num_channels", *IMAGE])], [("predicted_depth", F32, sides)])


def static(height, width):
    net = Net()
    net.op("Relu", net.enlarge(net.luma("input")), out="output")
    return net.model([("input", F32, [1, 3, height, width])], [("output", F32, [1, 1, height, width])])


@entry("static-square", "spacewalk01's exports: `input` → `output`, [1,1,S,S]", "relative, fixed 56×56", sizes=[(56, 56)])
def _():
    return static(56, 56)


@entry("static-wide", "a fixed size that is no square", "relative, fixed 70×42 (width×height)", sizes=[(42, 70)])
def _():
    return static(42, 70)


@entry("fixed-height", "only the height is fixed", "relative, taken as fixed 56×56", sizes=[(56, 56), (56, 84)])
def _():
    net = Net()
    net.op("Relu", net.enlarge(net.luma("input")), out="output")
    return net.model([("input", F32, [1, 3, 56, "width"])], [("output", F32, [1, 1, 56, "width"])])


@entry("rank-2", "depth without batch and channel: [H,W]", RUNS)
def _():
    net = Net()
    net.op("Squeeze", net.relu("image"), net.ints(0, 1), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, IMAGE)])


@entry("rank-4", "depth with its channel: [N,1,H,W]", RUNS + ", any batch")
def _():
    net = Net()
    net.op("Identity", net.relu("image"), out="depth")
    return net.model([("image", F32, ["batch", 3, *IMAGE])], [("depth", F32, ["batch", 1, *IMAGE])])


@entry("channel-last-depth", "depth as [1,H,W,1]; Clip from 0 is a Relu in other words", RUNS)
def _():
    net = Net()
    depth = net.op("Clip", net.enlarge(net.luma("image")), net.const(0.0))
    net.op("Transpose", depth, perm=[0, 2, 3, 1], out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE, 1])])


def views(count, views_out):
    """Each view by itself: [N,V,3,H,W] to [N,V,H,W] or [N,V,1,H,W]."""
    net = Net()
    flat = net.op("Squeeze", net.op("Slice", "images", net.ints(0), net.ints(1), net.ints(1)), net.ints(1))
    depth = net.relu(flat)
    if views_out == 5:
        net.op("Unsqueeze", depth, net.ints(1), out="depth")
    else:
        net.op("Identity", depth, out="depth")
    shape = [1, count, *([1] if views_out == 5 else []), *IMAGE]
    return net.model([("images", F32, [1, count, 3, *IMAGE])], [("depth", F32, shape)])


@entry("one-view", "Depth Anything 3's form with one view: [1,1,3,H,W] → [1,1,H,W]", RUNS)
def _():
    return views(1, 4)


@entry("open-views", "the same with an open number of views, and depth of rank 5", RUNS + ", run with one view")
def _():
    return views("num_images", 5)


@entry("unnamed-sides", "open sides without names (−1)", RUNS + ", any batch")
def _():
    net = Net()
    net.squeeze(net.relu("x"), out="y")
    return net.model([("x", F32, [None] * 4)], [("y", F32, [None] * 3)])


@entry("untyped-output", "an output without declared shape", RUNS)
def _():
    net = Net()
    net.squeeze(net.relu("x"), out="y")
    return net.model([("x", F32, [1, 3, None, None])], [("y", F32, None)])


@entry("f16", "half precision in and out", RUNS)
def _():
    net = Net(np.float16)
    net.squeeze(net.relu("pixel_values"), out="predicted_depth")
    return net.model([("pixel_values", F16, ["b", 3, *IMAGE])], [("predicted_depth", F16, ["b", *IMAGE])])


@entry("f16-inside", "half precision between casts, float32 in and out", RUNS)
def _():
    net = Net(np.float16)
    depth = net.relu(net.op("Cast", "image", to=F16))
    net.op("Cast", net.squeeze(depth), to=F32, out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("f16-in-f32-out", "half precision in, float32 out", RUNS)
def _():
    net = Net(np.float16)
    net.op("Cast", net.squeeze(net.relu("image")), to=F32, out="depth")
    return net.model([("image", F16, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("unsorted", "half precision inside; the casts stand at the end of the node list, as converters leave them", RUNS)
def _():
    net = Net(np.float16)
    net.op("Cast", "image", to=F16, out="image_f16")
    net.squeeze(net.relu("image_f16"), out="depth_f16")
    net.op("Cast", "depth_f16", to=F32, out="depth")
    net.nodes.append(net.nodes.pop(0))
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("v1", "Depth Anything V1: enlarged, then Relu, rank 4; IR version 3, initializers among the inputs", RUNS)
def _():
    net = Net()
    roi = net.const(np.zeros(0))  # not optional in operator set 11
    net.op("Relu", net.enlarge(net.op("Relu", net.luma("image")), roi=roi), out="depth")
    model = net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, 1, *IMAGE])], opset=11, ir=3)
    for weight in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))
    return model


@entry("patch-16", "another patch: 16", "relative, patch 16", sizes=[(64, 64), (80, 48)])
def _():
    net = Net()
    net.squeeze(net.relu("image", 16), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("patch-rearranged", "patches made by SpaceToDepth instead of a convolution", "relative, patch 16", sizes=[(64, 64), (80, 48)])
def _():
    net = Net()
    # the pixels of a patch one after the other, each with its three channels
    kernel = np.tile(GAIN * LUMA * STD / 256, 256)[None, :, None, None]
    patches = net.op("SpaceToDepth", "image", blocksize=16)
    luma = net.op("Conv", patches, net.const(kernel), net.const([GAIN * float(LUMA @ MEAN)]), kernel_shape=[1, 1])
    net.squeeze(net.op("Relu", net.enlarge(luma, 16)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("no-patch", "a convolutional network without patches (a MiDaS-like stem)", "relative, patch 14 for want of one", value=None)
def _():
    net = Net()
    kernel = np.broadcast_to((GAIN * LUMA * STD / 9)[None, :, None, None], (1, 3, 3, 3))
    bias = net.const([GAIN * float(LUMA @ MEAN)])
    features = net.op("Conv", "image", net.const(kernel), bias, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    net.squeeze(net.op("Relu", net.enlarge(features, 2)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("coarse", "depth smaller than the image: one value a patch", RUNS)
def _():
    net = Net()
    net.squeeze(net.op("Relu", net.luma("image")), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, "rows", "columns"])])


@entry("batch-2", "two images in each run, no more and no fewer", RUNS + ", batch 2")
def _():
    net = Net()
    net.squeeze(net.relu("image"), out="depth")
    return net.model([("image", F32, [2, 3, *IMAGE])], [("depth", F32, [2, *IMAGE])])


# ---- several outputs ---------------------------------------------------------------------------------------------


@entry("depth-third", "features, confidence and, third, depth; told apart by form and by what ends the graph", RUNS, depth="output_2")
def _():
    net = Net()
    luma = net.luma("image")
    net.op("Concat", *[luma] * 8, axis=1, out="output_0")
    net.squeeze(net.op("Sigmoid", net.enlarge(luma)), out="output_1")
    net.squeeze(net.op("Relu", net.enlarge(luma)), out="output_2")
    return net.model(
        [("image", F32, ["b", 3, *IMAGE])],
        [("output_0", F32, ["b", 8, "rows", "columns"]), ("output_1", F32, ["b", *IMAGE]), ("output_2", F32, ["b", *IMAGE])],
    )


@entry(
    "depth-and-sky",
    "Depth Anything 3's: sky mask, poses, and depth that ends in Exp; only their names tell mask and depth apart",
    RUNS + ", ends in Exp: grows with distance",
    depth="depth",
    value=lambda l: np.exp(GAIN * l),
)
def _():
    net = Net()
    luma = net.luma("image")
    net.squeeze(net.op("Relu", net.op("Sub", net.const(GAIN), net.enlarge(luma))), out="sky")
    net.op("Identity", net.const(np.eye(3, 4)[None, None]), out="extrinsics")
    net.squeeze(net.op("Exp", net.enlarge(luma)), out="depth")
    return net.model(
        [("image", F32, [1, 3, *IMAGE])],
        [("sky", F32, [1, *IMAGE]), ("extrinsics", F32, [1, 1, 3, 4]), ("depth", F32, [1, *IMAGE])],
    )


@entry("trial-settles", "outputs whose declared forms are alike; the shapes of a trial run settle which is the depth", RUNS, depth="c")
def _():
    net = Net()
    luma = net.luma("image")
    net.op("Relu", net.op("Concat", *[luma] * 8, axis=1), out="a")
    net.op("ReduceMax", luma, axes=[2], keepdims=1, out="b")
    net.op("Relu", net.enlarge(luma), out="c")
    sides = [None] * 4
    return net.model([("image", F32, [1, 3, *IMAGE])], [("a", F32, sides), ("b", F32, sides), ("c", F32, sides)])


@entry("full-precision", "networks whose sums need fp32: 4096 is added and taken away again, which bf16 and fp16 can't follow", RUNS)
def _():
    net = Net()
    shift = lambda value, by: net.op("Conv", value, net.const([[[[1.0]]]]), net.const([by]), kernel_shape=[1, 1])
    far = net.op("Relu", shift(net.luma("image"), 4096.0))
    net.squeeze(net.op("Relu", net.enlarge(shift(far, -4096.0))), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("attention-memory", "attention over learned keys that all heads share: by its form it can be fused, but ONNX Runtime's operator takes no such keys", RUNS + ", any batch")
def _():
    net = Net()
    luma = net.luma("image")
    queries = net.op("Reshape", net.op("Concat", luma, luma, axis=1), net.ints(0, 2, -1, 1))
    weights = net.op("Softmax", net.op("MatMul", queries, net.const([[0.5, -0.25, 0.125, 1.0]])), axis=-1)
    found = net.op("MatMul", weights, net.const([[0.25]] * 4))  # 0.25, whatever the weights are
    found = net.op("Reshape", net.op("Gather", found, net.ints(0), axis=1), net.op("Shape", luma))
    luma = net.op("Add", luma, net.op("Sub", found, net.const(0.25)))
    net.squeeze(net.op("Relu", net.enlarge(luma)), out="depth")
    return net.model([("image", F32, ["batch", 3, *IMAGE])], [("depth", F32, ["batch", *IMAGE])])


# ---- metric ------------------------------------------------------------------------------------------------------

@entry("metric-indoor", "Sigmoid × 20, as Depth Anything V2's metric models end", METRIC(20), value=metric(20))
def _():
    net = Net()
    net.squeeze(net.op("Mul", net.op("Sigmoid", net.logits("image")), net.scalar(20.0)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("metric-outdoor", "Sigmoid × 80 in half precision, behind Cast, Reshape, Transpose, Resize and Slice", METRIC(80), value=metric(80))
def _():
    net = Net(np.float16)
    near = net.op("Sub", net.luma(net.op("Cast", "input", to=F16)), net.const(4.0))
    scaled = net.op("Mul", net.const([[[[80.0]]]]), net.op("Sigmoid", near))  # the constant first, and of rank 4
    wide = net.enlarge(net.op("Cast", scaled, to=F32))
    there = net.op("Transpose", net.op("Transpose", wide, perm=[0, 1, 3, 2]), perm=[0, 1, 3, 2])
    shape = net.op("Concat", net.ints(1), net.op("Shape", there, start=2), axis=0)
    flat = net.op("Reshape", there, shape)
    net.op("Slice", flat, net.ints(0), net.ints(1), net.ints(0), out="output")
    return net.model([("input", F32, [1, 3, *IMAGE])], [("output", F32, [1, *IMAGE])])


@entry("metric-divided", "the same scale in other words: Sigmoid ÷ 0.05, clamped", METRIC(20), value=metric(20))
def _():
    net = Net()
    depth = net.op("Div", net.op("Sigmoid", net.logits("image")), net.scalar(0.05))
    depth = net.op("Clip", depth, net.const(0.001), net.const(20.0))
    net.squeeze(net.op("Max", net.const(0.001), depth), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("metric-function", "the head in model-local functions, as TorchDynamo's exporter writes it", METRIC(20), value=metric(20))
def _():
    net = Net()
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("torch_lib", 1)]
    sigmoid = helper.make_function("torch_lib", "aten_sigmoid", ["x"], ["y"], [helper.make_node("Sigmoid", ["x"], ["y"])], opsets)
    top = helper.make_node("Constant", [], ["top"], value_float=20.0)
    head = helper.make_function(
        "torch_lib",
        "head",
        ["logits"],
        ["metres"],
        [helper.make_node("aten_sigmoid", ["logits"], ["unit"], domain="torch_lib"), top, helper.make_node("Mul", ["unit", "top"], ["metres"])],
        opsets,
    )
    net.squeeze(net.op("head", net.logits("image"), domain="torch_lib"), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])], domains=["torch_lib"], functions=[sigmoid, head])


@entry("metric-if", "squeeze as TorchScript's exporter writes it for an unknown side: If (side is 1) Squeeze else Identity", METRIC(20), value=metric(20))
def _():
    net = Net()
    depth = net.op("Mul", net.op("Sigmoid", net.logits("image")), net.scalar(20.0))
    one = net.op("Equal", net.op("Squeeze", net.op("Shape", depth, start=1, end=2)), net.const(1, np.int64))
    axis = net.ints(1)
    branch = lambda name, node: helper.make_graph([node], name, [], [helper.make_tensor_value_info(f"{name}_out", F32, None)])
    then = branch("then", helper.make_node("Squeeze", [depth, axis], ["then_out"]))
    other = branch("else", helper.make_node("Identity", [depth], ["else_out"]))
    net.op("If", one, out="depth", then_branch=then, else_branch=other)
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, None)])


@entry("metric-optimized", "saved by ONNX Runtime after its optimisation: the Sigmoid is merged into com.microsoft FusedConv", METRIC(20) + ", com.microsoft", value=metric(20))
def _():
    net = Net()
    kernel, bias = np.ones((1, 1, 1, 1)), net.const([-4.0])
    unit = net.op("FusedConv", net.enlarge(net.luma("image")), net.const(kernel), bias, domain="com.microsoft", activation="Sigmoid", kernel_shape=[1, 1])
    net.squeeze(net.op("Mul", unit, net.scalar(20.0)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])], domains=["com.microsoft"])


@entry("disparity", "a bare Sigmoid is no metric depth", RUNS, value=metric(1))
def _():
    net = Net()
    net.op("Sigmoid", net.logits("image"), out="disparity")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("disparity", F32, [1, 1, *IMAGE])])


@entry("scaled-disparity", "nor is Monodepth2's a + b · Sigmoid", RUNS, value=lambda l: 0.01 + metric(9.99)(l))
def _():
    net = Net()
    scaled = net.op("Mul", net.op("Sigmoid", net.logits("image")), net.scalar(9.99))
    net.op("Add", net.scalar(0.01), scaled, out="disparity")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("disparity", F32, [1, 1, *IMAGE])])


# ---- quantised ---------------------------------------------------------------------------------------------------


@entry("int8-dynamic", "dynamic int8: DynamicQuantizeLinear, ConvInteger", RUNS + ", quantised")
def _():
    net = Net()
    kernel = GAIN * LUMA * STD / 196
    scale = kernel.max() / 127
    weight = net.const(np.broadcast_to(np.rint(kernel / scale)[None, :, None, None], (1, 3, 14, 14)), np.int8)
    image, image_scale, zero = net.op("DynamicQuantizeLinear", "pixel_values", n=3)
    sums = net.op("ConvInteger", image, weight, zero, kernel_shape=[14, 14], strides=[14, 14])
    both = net.op("Mul", image_scale, net.const(scale))
    features = net.op("Mul", net.op("Cast", sums, to=F32), both)
    features = net.op("Add", features, net.const(GAIN * float(LUMA @ MEAN)))
    net.squeeze(net.op("Relu", net.enlarge(features)), out="predicted_depth")
    return net.model([("pixel_values", F32, ["b", 3, *IMAGE])], [("predicted_depth", F32, ["b", *IMAGE])])


@entry("int8-qdq", "static int8: QuantizeLinear and DequantizeLinear around the convolution and the metric head", METRIC(20) + ", quantised", value=metric(20))
def _():
    net = Net()
    kernel = GAIN * LUMA * STD / 196
    scale = kernel.max() / 127
    weight = net.const(np.broadcast_to(np.rint(kernel / scale)[None, :, None, None], (1, 3, 14, 14)), np.int8)
    weight = net.op("DequantizeLinear", weight, net.const(scale), net.const(0, np.int8))

    def through(value, step, zero):
        step, zero = net.const(step), net.const(zero, np.uint8)
        return net.op("DequantizeLinear", net.op("QuantizeLinear", value, step, zero), step, zero)

    image = through("image", 5 / 255, 115)
    features = net.op("Conv", image, weight, net.const([GAIN * float(LUMA @ MEAN)]), kernel_shape=[14, 14], strides=[14, 14])
    unit = through(net.op("Sigmoid", net.op("Sub", net.enlarge(features), net.const(4.0))), 1 / 255, 0)
    top = net.op("DequantizeLinear", net.const(200, np.uint8), net.const(0.1), net.const(0, np.uint8))
    net.squeeze(through(net.op("Mul", unit, top), 20 / 255, 0), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("int8-operators", "static int8 in quantised operators: QLinearConv and com.microsoft QLinearSigmoid, QLinearMul", METRIC(20) + ", quantised, com.microsoft", value=metric(20))
def _():
    net = Net()
    kernel = GAIN * LUMA * STD / 196
    step = kernel.max() / 127
    weight = net.const(np.broadcast_to(np.rint(kernel / step)[None, :, None, None], (1, 3, 14, 14)), np.int8)
    scale = lambda step, zero: (net.const(step), net.const(zero, np.uint8))
    image, logits, unit, top, metres = scale(5 / 255, 115), scale(8 / 255, 128), scale(1 / 255, 0), scale(0.1, 0), scale(20 / 255, 0)
    bias = net.const([round(GAIN * (float(LUMA @ MEAN) - 0.5) / (5 / 255 * step))], np.int32)
    value = net.op("QuantizeLinear", "image", *image)
    value = net.op("QLinearConv", value, *image, weight, net.const(step), net.const(0, np.int8), *logits, bias, kernel_shape=[14, 14], strides=[14, 14])
    value = net.op("QLinearSigmoid", value, *logits, *unit, domain="com.microsoft")
    value = net.op("QLinearMul", value, *unit, net.const(200, np.uint8), *top, *metres, domain="com.microsoft")
    net.squeeze(net.enlarge(net.op("DequantizeLinear", value, *metres)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])], domains=["com.microsoft"])


def four_bit(op):
    """The features through a 16 to 16 identity-like layer of four-bit weights."""
    net = Net()
    rows = net.op("Transpose", net.op("Concat", *[net.luma("pixel_values")] * 16, axis=1), perm=[0, 2, 3, 1])
    if op == "MatMulNBits":  # (15 − 8) · scale in every place
        packed, scale = np.full((16, 1, 8), 0xFF, np.uint8), np.full(16, 1 / (7 * 16))
        rows = net.op(op, rows, net.const(packed, np.uint8), net.const(scale), domain="com.microsoft", K=16, N=16, bits=4, block_size=16)
    else:  # the last entry of the NF4 table is 1
        packed, scale = np.full(128, 0xFF, np.uint8), np.full(16, 1 / 16)
        rows = net.op(op, rows, net.const(packed, np.uint8), net.const(scale), domain="com.microsoft", K=16, N=16, block_size=16, quant_type=1)
    maps = net.op("ReduceMean", net.op("Transpose", rows, perm=[0, 3, 1, 2]), axes=[1], keepdims=1)
    net.squeeze(net.op("Relu", net.enlarge(maps)), out="predicted_depth")
    inputs, outputs = [("pixel_values", F32, ["b", 3, *IMAGE])], [("predicted_depth", F32, ["b", *IMAGE])]
    return net.model(inputs, outputs, domains=["com.microsoft"])


@entry("q4", "4-bit weights: com.microsoft MatMulNBits", RUNS + ", quantised, com.microsoft")
def _():
    return four_bit("MatMulNBits")


@entry("bnb4", "4-bit weights: com.microsoft MatMulBnb4", RUNS + ", quantised, com.microsoft")
def _():
    return four_bit("MatMulBnb4")


# ---- sizes that fail ---------------------------------------------------------------------------------------------


@entry("false-dynamic", "symbolic sides, but a Reshape with the size it was exported at", "a trial run at another size than 56×56 fails", sizes=[(56, 56)], fails=[(70, 42), (112, 112)])
def _():
    net = Net()
    rows = net.op("Reshape", net.luma("image"), net.ints(1, 1, 4, 4))
    net.squeeze(net.op("Relu", net.enlarge(rows)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("limited", "a table of positions that ends at 16 patches: larger sides fail in the run", "relative; sides over 224 fail", sizes=[(56, 56), (224, 224), (98, 210)], fails=[(238, 224), (56, 518)])
def _():
    net = Net()
    luma = net.luma("image")

    def positions(axis):
        count = net.op("Squeeze", net.op("Shape", luma, start=axis, end=axis + 1))
        places = net.op("Range", net.const(0, np.int64), count, net.const(1, np.int64))
        return net.op("Gather", net.const(np.zeros(16)), places, axis=0)

    luma = net.op("Add", luma, net.op("Unsqueeze", positions(2), net.ints(1)))
    luma = net.op("Add", luma, positions(3))
    net.squeeze(net.op("Relu", net.enlarge(luma)), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


# ---- odd values --------------------------------------------------------------------------------------------------


def odd(make):
    net = Net()
    net.op("Squeeze", make(net, net.enlarge(net.luma("image"))), net.ints(1), out="depth")
    return net.model([("image", F32, ["b", 3, *IMAGE])], [("depth", F32, ["b", *IMAGE])])


@entry("nan", "NaN everywhere", "runs", value=lambda l: np.full_like(l, np.nan))
def _():
    return odd(lambda net, d: net.op("Add", d, net.const(np.nan)))


@entry("nan-bright", "NaN where 8 l > 4, else √(4 − 8 l)", "runs", value=lambda l: np.sqrt(4 - GAIN * l))
def _():
    return odd(lambda net, d: net.op("Sqrt", net.op("Sub", net.const(4.0), d)))


@entry("inf", "infinity where 8 l ≤ 4, else 1 ÷ (8 l − 4)", "runs", value=lambda l: 1 / np.maximum(GAIN * l - 4, 0))
def _():
    return odd(lambda net, d: net.op("Div", net.const(1.0), net.op("Relu", net.op("Sub", d, net.const(4.0)))))


@entry("constant", "0.5 everywhere", "runs", value=lambda l: np.full_like(l, 0.5))
def _():
    return odd(lambda net, d: net.op("Add", net.op("Mul", d, net.const(0.0)), net.const(0.5)))


@entry("negative", "negative values: −8 l", "runs", value=lambda l: -GAIN * l)
def _():
    return odd(lambda net, d: net.op("Neg", d))


# ---- weights beside the file -------------------------------------------------------------------------------------


def external(location, length=None):
    net = Net()
    net.squeeze(net.relu("image"), out="depth")
    model = net.model([("image", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])
    kernel = next(weight for weight in model.graph.initializer if len(weight.dims) == 4)
    data = kernel.raw_data
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    for key, value in [("location", location), ("offset", 0), ("length", len(data))]:
        kernel.external_data.add(key=key, value=str(value))
    return model, data[:length]


@entry("external", "weights in `external.onnx_data` beside it", RUNS)
def _():
    model, data = external("external.onnx_data")
    (HERE / "external.onnx_data").write_bytes(data)
    return model


@entry("external-missing", "weights in a file that is not there", "refused: names the file", value=None, sizes=[])
def _():
    return external("external-missing.onnx_data")[0]


@entry("external-short", "weights in a file that is too short", "refused: names the file and both lengths", value=None, sizes=[])
def _():
    model, data = external("external-short.onnx_data", 1000)
    (HERE / "external-short.onnx_data").write_bytes(data)
    return model


@entry("external-escape", "weights outside the model's folder (`../`)", "refused", value=None, sizes=[])
def _():
    return external("../models/external.onnx_data")[0]


@entry("external-absolute", "weights at an absolute path", "refused", value=None, sizes=[])
def _():
    return external("/dev/zero")[0]


# ---- refused -----------------------------------------------------------------------------------------------------


@entry("no-image", "a text model: `input_ids` int64 [batch, sequence]", "refused: no image input", value=None, sizes=[])
def _():
    net = Net()
    net.op("Cast", "input_ids", to=F32, out="logits")
    return net.model([("input_ids", I64, ["batch", "sequence"])], [("logits", F32, ["batch", "sequence"])])


@entry("two-views", "a stereo or multi-view network: [1,2,3,H,W]", "refused: 2 views", value=None, sizes=[])
def _():
    return views(2, 4)


@entry("window-32", "Video Depth Anything's window: [1,32,3,H,W]", "refused: 32 frames", value=None, sizes=[])
def _():
    return views(32, 4)


@entry("window-32-flat", "the same with the frames as a batch: [32,3,H,W]", "refused: 32 frames", value=None, sizes=[])
def _():
    net = Net()
    net.squeeze(net.relu("frames"), out="depth")
    return net.model([("frames", F32, [32, 3, *IMAGE])], [("depth", F32, [32, *IMAGE])])


def channels(count, declared):
    net = Net()
    kernel = np.full((1, count, 14, 14), 1 / (196 * count))
    features = net.op("Conv", "image", net.const(kernel), kernel_shape=[14, 14], strides=[14, 14])
    net.squeeze(net.op("Relu", net.enlarge(features)), out="depth")
    return net.model([("image", F32, [1, declared, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("gray-image", "one channel", "refused: 1 channel", value=None, sizes=[])
def _():
    return channels(1, 1)


@entry("rgba-image", "four channels", "refused: 4 channels", value=None, sizes=[])
def _():
    return channels(4, 4)


@entry("gray-inside", "an open number of channels, but a convolution that takes one", "refused: 1 channel", value=None, sizes=[])
def _():
    return channels(1, "channels")


@entry("nhwc", "channels last: [1,H,W,3]", "refused: NHWC", value=None, sizes=[])
def _():
    net = Net()
    net.squeeze(net.relu(net.op("Transpose", "image", perm=[0, 3, 1, 2])), out="depth")
    return net.model([("image", F32, [1, *IMAGE, 3])], [("depth", F32, [1, *IMAGE])])


@entry("bytes-image", "an image of bytes", "refused: uint8", value=None, sizes=[])
def _():
    net = Net()
    net.squeeze(net.relu(net.op("Cast", "image", to=F32)), out="depth")
    return net.model([("image", U8, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("stereo", "two images", "refused: 2 image inputs", value=None, sizes=[])
def _():
    net = Net()
    net.squeeze(net.op("Add", net.relu("left"), net.relu("right")), out="depth")
    return net.model([("left", F32, [1, 3, *IMAGE]), ("right", F32, [1, 3, *IMAGE])], [("depth", F32, [1, *IMAGE])])


@entry("focal-length", "an image and another input", "refused: names the other input", value=None, sizes=[])
def _():
    net = Net()
    net.squeeze(net.op("Mul", net.relu("image"), "focal_length"), out="depth")
    return net.model([("image", F32, [1, 3, *IMAGE]), ("focal_length", F32, [1])], [("depth", F32, [1, *IMAGE])])


@entry("classifier", "an image, but no depth comes out", "refused: no depth output", value=None, sizes=[])
def _():
    net = Net()
    pooled = net.op("GlobalAveragePool", net.luma("image"))
    net.op("Concat", *[net.op("Flatten", pooled)] * 10, axis=1, out="logits")
    return net.model([("image", F32, ["b", 3, *IMAGE])], [("logits", F32, ["b", 10])])


@entry("segmentation", "an image in, a class for each pixel out", "refused: no depth output", value=None, sizes=[])
def _():
    net = Net()
    net.op("Cast", net.squeeze(net.relu("image")), to=I64, out="classes")
    return net.model([("image", F32, [1, 3, *IMAGE])], [("classes", I64, [1, *IMAGE])])


# ---- files that are no models ------------------------------------------------------------------------------------


def bad_files():
    whole = (HERE / "image-depth.onnx").read_bytes()
    noise = np.random.RandomState(7).bytes(2048)
    page = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to download.</body></html>\n"
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 99060839\n" % (b"0123456789abcdef" * 4)
    return {
        "bad-empty": (b"", "a download that did not begin"),
        "bad-truncated": (whole[: len(whole) // 2], "a download that broke off"),
        "bad-random": (noise, "noise"),
        "bad-page": (page, "a login page saved in the model's place"),
        "bad-pointer": (pointer, "a git-LFS pointer"),
    }


# ------------------------------------------------------------------------------------------------------------------


def write():
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.onnx_data")]:
        old.unlink()
    for item in ENTRIES:
        model = item.build()
        (HERE / f"{item.name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    lines = [
        "# Small models of every form",
        "",
        "Made by `generate.py` (which also makes this page). Of all that run, the depth of a pixel is 8 × the mean luma",
        "0.25 R + 0.5 G + 0.25 B (0 to 1) of its 14×14 patch, of the metric ones MAX · sigmoid(that − 4), unless the table",
        "says otherwise. To run each in ONNX Runtime: `python tests/models/generate.py --check`.",
        "",
        "| file | stands for | expected |",
        "|---|---|---|",
    ]
    lines += [f"| `{e.name}.onnx` | {e.stands_for} | {e.expected} |" for e in ENTRIES]
    for name, (content, stands_for) in bad_files().items():
        (HERE / f"{name}.onnx").write_bytes(content)
        lines.append(f"| `{name}.onnx` | {stands_for} | refused: says what it is and what to do |")
    (HERE / "README.md").write_text("\n".join(lines) + "\n")


def check():
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    random = np.random.RandomState(1)
    for item in ENTRIES:
        path = str(HERE / f"{item.name}.onnx")
        if item.name.startswith("external-"):
            continue
        # the checker is stricter than any runtime: it wants every shape declared and the nodes in order
        shapes = all(output.type.tensor_type.HasField("shape") for output in onnx.load(path).graph.output)
        if shapes and item.name != "unsorted":
            onnx.checker.check_model(path)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        image = session.get_inputs()[0]
        names = [output.name for output in session.get_outputs()]
        which = names.index(item.depth) if item.depth else 0
        for size in [*item.sizes, *item.fails]:
            batch = image.shape[0] if isinstance(image.shape[0], int) else 1
            patch = 16 if "patch 16" in item.expected else 14
            rgb = random.rand(batch, 3, size[0] // patch, size[1] // patch).repeat(patch, 2).repeat(patch, 3)
            luma = np.tensordot(LUMA, rgb, (0, 1))
            value = (rgb - MEAN[:, None, None]) / STD[:, None, None]
            value = value.astype(np.float16 if "float16" in image.type else np.float32)
            value = value[:, None] if len(image.shape) == 5 else value
            try:
                out = session.run(None, {image.name: value})[which].astype(np.float64)
            except Exception as error:
                assert size in item.fails, f"{item.name} at {size}: {error}"
                continue
            assert size not in item.fails, f"{item.name} must fail at {size}"
            if item.value is None:
                continue
            with np.errstate(all="ignore"):
                expected = item.value(luma)
            if item.name == "coarse":
                expected = expected[:, ::14, ::14]
            out = out.reshape(expected.shape)
            # weights of eight bits and halves are coarse
            tolerance = 0.15 if "int8" in item.name else 0.15 if "outdoor" in item.name else 0.02
            np.testing.assert_allclose(out, expected, atol=tolerance, rtol=2e-3, err_msg=item.name)
        print(f"{item.name}: {'runs' if item.sizes else 'loads'}", {o.name: o.shape for o in session.get_outputs()})


if __name__ == "__main__":
    write()
    if "--check" in sys.argv[1:]:
        check()
