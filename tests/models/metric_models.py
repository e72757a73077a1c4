"""Metric models, and quantised ones."""

import numpy as np
from onnx import helper

from net import F16, F32, GAIN, IMAGE, LUMA, MEAN, METRIC, Net, RUNS, STD, entry, metric


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


# ---- quantised ------------------------------------------------------------------------------------------------------


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
