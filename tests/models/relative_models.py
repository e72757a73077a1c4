"""Relative models: one image in, one or several outputs."""

import numpy as np
from onnx import helper

from net import F16, F32, GAIN, IMAGE, LUMA, MEAN, Net, RUNS, STD, entry, relative


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


# ---- several outputs ------------------------------------------------------------------------------------------------


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
