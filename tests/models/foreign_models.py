"""Models that prepare their image themselves, images in other orders and types, and depth whose meaning the file does
not tell."""

import numpy as np
from onnx import helper

from net import F16, F32, GAIN, IMAGE, LUMA, MEAN, Net, RUNS, STD, U8, entry

UNIT, BYTE = "image in 0…1; ", "image in 0…255; "
NCHW, NHWC = [1, 3, *IMAGE], [1, *IMAGE, 3]
DEPTH = [("depth", F32, [1, *IMAGE])]


def channels(values, last=False):
    return np.asarray(values).reshape((1, 1, 1, 3) if last else (1, 3, 1, 1))


def normalise(net, image, last=False):
    """ImageNet's, of 0…1."""
    image = net.op("Sub", image, net.const(channels(MEAN, last)))
    return net.op("Div", image, net.const(channels(STD, last)))


def finish(net, image, kind=F32, shape=NCHW):
    net.squeeze(net.relu(image), out="depth")
    return net.model([("image", kind, shape)], DEPTH)


# ---- the normalisation inside ---------------------------------------------------------------------------------------


@entry("inside-unit", "normalised inside: − mean, ÷ deviation", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    return finish(net, normalise(net, "image"))


@entry("inside-byte", "÷ 255 first, by constants in nodes", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    return finish(net, normalise(net, net.op("Div", "image", net.scalar(255.0))))


@entry("inside-byte-mean", "Metric3D's: mean and deviation of 0…255", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    image = net.op("Sub", "image", net.const(channels(255 * MEAN)))
    return finish(net, net.op("Div", image, net.const(channels(255 * STD))))


@entry("inside-folded", "folded into one factor and one summand, computed from constants in the graph", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    factor = net.op("Reciprocal", net.op("Mul", net.const(channels(STD)), net.scalar(255.0)))
    summand = net.op("Div", net.const(channels(MEAN)), net.const(channels(STD)))
    return finish(net, net.op("Sub", net.op("Mul", factor, "image"), summand))


@entry("inside-batch", "as a BatchNormalization", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    of = lambda values: net.const(np.asarray(values))
    image = net.op("BatchNormalization", "image", of(np.ones(3)), of(np.zeros(3)), of(255 * MEAN), of((255 * STD) ** 2), epsilon=1e-6)
    return finish(net, image)


@entry("inside-convolution", "as a 1×1 convolution of each channel alone", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    weight = np.diag(1 / (255 * STD)).reshape(3, 3, 1, 1)
    return finish(net, net.op("Conv", "image", net.const(weight), net.const(-MEAN / STD), kernel_shape=[1, 1]))


@entry("inside-depthwise", "as a depthwise 1×1 convolution", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    weight = (1 / STD).reshape(3, 1, 1, 1)
    return finish(net, net.op("Conv", "image", net.const(weight), net.const(-MEAN / STD), kernel_shape=[1, 1], group=3))


@entry("inside-symmetric", "to −1…1: ÷ 127.5 − 1", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    image = net.op("Sub", net.op("Div", "image", net.const(127.5)), net.const(1.0))
    unit = net.op("Mul", net.op("Add", image, net.const(1.0)), net.const(0.5))  # the network's own, for the numbers
    return finish(net, normalise(net, unit))


@entry("inside-function", "in a model-local function", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    opsets = [helper.make_opsetid("", 17)]
    nodes = [
        helper.make_node("Constant", [], ["mean"], value_floats=[float(v) for v in MEAN]),
        helper.make_node("Constant", [], ["std"], value_floats=[float(v) for v in STD]),
        helper.make_node("Constant", [], ["shape"], value_ints=[1, 3, 1, 1]),
        helper.make_node("Reshape", ["mean", "shape"], ["means"]),
        helper.make_node("Reshape", ["std", "shape"], ["stds"]),
        helper.make_node("Sub", ["x", "means"], ["centred"]),
        helper.make_node("Div", ["centred", "stds"], ["y"]),
    ]
    function = helper.make_function("preparation", "normalize", ["x"], ["y"], nodes, opsets)
    net.squeeze(net.relu(net.op("normalize", "image", domain="preparation")), out="depth")
    return net.model([("image", F32, NCHW)], DEPTH, domains=["preparation"], functions=[function])


@entry("inside-if", "÷ 255 only where the image goes beyond 1", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    large = net.op("Greater", net.op("ReduceMax", "image", keepdims=0), net.const(1.0))
    scale = net.const(255.0)
    branch = lambda name, node: helper.make_graph([node], name, [], [helper.make_tensor_value_info(f"{name}_out", F32, None)])
    then = branch("then", helper.make_node("Div", ["image", scale], ["then_out"]))
    other = branch("else", helper.make_node("Identity", ["image"], ["else_out"]))
    image = net.op("If", large, then_branch=then, else_branch=other)
    return finish(net, normalise(net, image))


@entry("inside-moved", "behind Identity, Cast, Transpose, Reshape, Resize, Slice, Pad and Clip", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    image = net.op("Identity", net.op("Cast", "image", to=F32))
    image = net.op("Transpose", net.op("Transpose", image, perm=[0, 1, 3, 2]), perm=[0, 1, 3, 2])
    image = net.op("Reshape", image, net.op("Shape", image))
    image = net.enlarge(image, 1)
    image = net.op("Pad", image, net.ints(0, 0, 1, 1, 0, 0, 1, 1))
    image = net.op("Slice", image, net.ints(1, 1), net.ints(-1, -1), net.ints(2, 3))
    return finish(net, normalise(net, net.op("Clip", image, net.const(-10.0), net.const(10.0))))


@entry("inside-clamped", "clamped to 0…1, then nothing that tells", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    image = net.op("Clip", "image", net.const(0.0), net.const(1.0))
    kernel = np.broadcast_to((GAIN * LUMA / 196)[None, :, None, None], (1, 3, 14, 14))
    features = net.op("Conv", image, net.const(kernel), kernel_shape=[14] * 2, strides=[14] * 2)
    net.squeeze(net.op("Relu", net.enlarge(features)), out="depth")
    return net.model([("image", F32, NCHW)], DEPTH)


@entry("inside-split", "channel by channel, as torchvision's Inception does it", UNIT + RUNS, fed="unit")
def _():
    net = Net()
    parts = net.op("Split", "image", net.ints(1, 1, 1), axis=1, n=3)
    parts = [net.op("Div", net.op("Sub", part, net.scalar(mean)), net.scalar(std)) for part, mean, std in zip(parts, MEAN, STD)]
    return finish(net, net.op("Concat", *parts, axis=1))


@entry("inside-put-back", "takes the normalised image, puts mean and deviation back and goes on from there", RUNS)
def _():
    net = Net()
    image = net.op("Add", net.op("Mul", "image", net.const(channels(STD))), net.const(channels(MEAN)))
    return finish(net, normalise(net, image))


@entry("inside-quantised", "static int8 whose input is quantised from 0…1", UNIT + RUNS + ", quantised", fed="unit")
def _():
    net = Net()
    step, zero = net.const(1 / 255), net.const(0, np.uint8)
    image = net.op("DequantizeLinear", net.op("QuantizeLinear", "image", step, zero), step, zero)
    kernel = np.broadcast_to((GAIN * LUMA / 196)[None, :, None, None], (1, 3, 14, 14))
    features = net.op("Conv", image, net.const(kernel), kernel_shape=[14] * 2, strides=[14] * 2)
    net.squeeze(net.op("Relu", net.enlarge(features)), out="depth")
    return net.model([("image", F32, NCHW)], DEPTH)


@entry("pixel-range", "ONNX's own metadata tell: Image.NominalPixelRange is NominalRange_0_255", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    kernel = np.broadcast_to((GAIN * LUMA / (196 * 255))[None, :, None, None], (1, 3, 14, 14))
    features = net.op("Conv", "image", net.const(kernel), kernel_shape=[14] * 2, strides=[14] * 2)
    net.squeeze(net.op("Relu", net.enlarge(features)), out="depth")
    model = net.model([("image", F32, NCHW)], DEPTH)
    helper.set_model_props(model, {"Image.NominalPixelRange": "NominalRange_0_255"})
    return model


# ---- other orders and types ---------------------------------------------------------------------------------------


def channels_first(net, image):
    return net.op("Transpose", image, perm=[0, 3, 1, 2])


@entry("nhwc", "channels last: [1,H,W,3]", RUNS, last=True)
def _():
    net = Net()
    return finish(net, channels_first(net, "image"), shape=NHWC)


@entry("nhwc-open", "the same with all sides open: only the Transpose tells", RUNS + ", any batch", last=True)
def _():
    net = Net()
    return finish(net, channels_first(net, "image"), shape=["n", *IMAGE, "channels"])


@entry("nhwc-unit", "channels last, normalised inside, as converters from TensorFlow write it", UNIT + RUNS, fed="unit", last=True)
def _():
    net = Net()
    return finish(net, channels_first(net, normalise(net, "image", last=True)), shape=NHWC)


@entry("nhwc-f16", "channels last in half precision", RUNS, last=True)
def _():
    net = Net()
    return finish(net, net.op("Cast", channels_first(net, "image"), to=F32), kind=F16, shape=NHWC)


@entry("nhwc-one-view", "one view, channels last: [1,1,H,W,3]", RUNS, last=True)
def _():
    net = Net()
    image = net.op("Squeeze", "image", net.ints(1))
    return finish(net, channels_first(net, image), shape=[1, 1, *IMAGE, 3])


@entry("bytes-image", "an image of bytes, normalised inside", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    image = net.op("Div", net.op("Cast", "image", to=F32), net.const(255.0))
    return finish(net, normalise(net, image), kind=U8)


@entry("bytes-last", "bytes with channels last, as they come from a camera", BYTE + RUNS, fed="byte", last=True)
def _():
    net = Net()
    image = net.op("Div", net.op("Cast", "image", to=F32), net.const(255.0))
    return finish(net, normalise(net, channels_first(net, image)), kind=U8, shape=NHWC)


@entry("bytes-plain", "bytes that go into the network as they are", BYTE + RUNS, fed="byte")
def _():
    net = Net()
    kernel = np.broadcast_to((GAIN * LUMA / (196 * 255))[None, :, None, None], (1, 3, 14, 14))
    features = net.op("Conv", net.op("Cast", "image", to=F32), net.const(kernel), kernel_shape=[14] * 2, strides=[14] * 2)
    net.squeeze(net.op("Relu", net.enlarge(features)), out="depth")
    return net.model([("image", U8, NCHW)], DEPTH)


@entry("bytes-quantised", "bytes that stand for the normalised image: (byte − 115) · 5 ÷ 255", RUNS, quantised=(5 / 255, 115))
def _():
    net = Net()
    image = net.op("DequantizeLinear", "image", net.const(5 / 255), net.const(115, np.uint8))
    return finish(net, image, kind=U8)


# ---- what the numbers are -----------------------------------------------------------------------------------------

TOLD = "metres without an option"
DOUBT = "the file does not tell: inverse, with a warning; "
METRES = lambda l: 1 + GAIN * l


def metres(end, name="depth", more=()):
    """1 + 8 l through `end`, from a convolutional network: no patches."""
    net = Net()
    value = net.op("Add", net.luma("image", 1), net.const(1.0))
    net.squeeze(end(net, value), out=name)
    return net.model([("image", F32, NCHW)], [(name, F32, [1, *IMAGE]), *more])


PIXELS = {"value": METRES, "patch": 1}


@entry("doubt-relu", "metres that end in Relu", DOUBT + "1 + 8 l", **PIXELS)
def _():
    return metres(lambda net, d: net.op("Relu", d))


@entry("doubt-scaled-relu", "the same behind a patch embedding: the factor before the Relu speaks against inverse depth", DOUBT + "patch 14, 9 · 8 l", value=lambda l: 9 * GAIN * l)
def _():
    net = Net()
    scaled = net.op("Mul", net.enlarge(net.luma("image")), net.const(9.0))
    net.squeeze(net.op("Relu", scaled), out="depth")
    return net.model([("image", F32, NCHW)], DEPTH)


@entry("doubt-clip", "metres clamped to 0…200", DOUBT + "1 + 8 l", **PIXELS)
def _():
    return metres(lambda net, d: net.op("Clip", d, net.const(0.0), net.const(200.0)))


@entry("doubt-softplus", "metres that end in Softplus", DOUBT + "log(1 + exp(1 + 8 l))", value=lambda l: np.log1p(np.exp(METRES(l))), patch=1)
def _():
    return metres(lambda net, d: net.op("Softplus", d))


@entry("doubt-reciprocal", "one by clamped inverse depth", DOUBT + "1 + 8 l", **PIXELS)
def _():
    return metres(lambda net, d: net.op("Reciprocal", net.op("Clip", net.op("Reciprocal", d), net.const(1e-4), net.const(1e4))))


@entry("doubt-divided", "the same by Div", DOUBT + "1 + 8 l", **PIXELS)
def _():
    return metres(lambda net, d: net.op("Div", net.const(1.0), net.op("Clip", net.op("Reciprocal", d), net.const(1e-4), net.const(1e4))))


@entry("doubt-bins", "ZoeDepth's form: the mean of the centres of 64 bins, weighed by a Softmax", DOUBT + "about 1 + 8 l", value=METRES, patch=1, tolerance=0.05)
def _():
    def end(net, d):
        centres = np.linspace(0.001, 10, 64).reshape(1, 64, 1, 1)
        off = net.op("Sub", d, net.const(centres))
        weights = net.op("Softmax", net.op("Mul", net.op("Mul", off, off), net.const(-20.0)), axis=1)
        return net.op("ReduceSum", net.op("Mul", weights, net.const(centres)), net.ints(1), keepdims=1)

    return metres(end)


@entry("doubt-three", "Metric3D's outputs: depth without an activation, normals and their confidence", DOUBT + "1 + 8 l", depth="predicted_depth", **PIXELS)
def _():
    net = Net()
    value = net.op("Add", net.luma("image", 1), net.const(1.0))
    net.op("Identity", value, out="predicted_depth")
    net.op("Concat", value, value, value, axis=1, out="predicted_normal")
    net.op("Sigmoid", value, out="normal_confidence")
    shape = lambda count: [1, count, *IMAGE]
    outputs = [("predicted_depth", F32, shape(1)), ("predicted_normal", F32, shape(3)), ("normal_confidence", F32, shape(1))]
    return net.model([("image", F32, NCHW)], outputs)


@entry("doubt-exp", "Exp at the end of a convolutional network: grows with distance, in metres or not", "distance, with a warning; exp(l)", value=np.exp, patch=1)
def _():
    net = Net()
    net.squeeze(net.op("Exp", net.op("Mul", net.luma("image", 1), net.const(1 / GAIN))), out="depth")
    return net.model([("image", F32, NCHW)], DEPTH)


@entry("stride-32", "Ultralytics' depth networks: `images` in 0…1, sides of multiples of 32, the logarithm of metres, clamped, through Exp; their metadata tell", UNIT + TOLD + ", patch 32 by its metadata; exp(l)", value=np.exp, sizes=[(64, 64), (96, 64), (160, 224)], fed="unit", patch=32)
def _():
    net = Net()
    value = net.op("Identity", "images")
    for _ in range(5):  # halved until it fits no more
        value = net.op("AveragePool", value, kernel_shape=[2, 2], strides=[2, 2])
    value = net.op("Conv", value, net.const(LUMA[None, :, None, None]), kernel_shape=[1, 1])
    clamped = net.op("Clip", value, net.const(-4.0), net.const(6.0))
    log = net.op("Add", net.op("Mul", net.const([1.0]), clamped), net.const([0.0]))
    net.enlarge(net.op("Exp", log), 32, out="output0")
    sides = ["batch", 1, *IMAGE]
    model = net.model([("images", F32, ["batch", 3, *IMAGE])], [("output0", F32, sides)])
    helper.set_model_props(model, {"author": "Ultralytics", "task": "depth", "stride": "32", "names": "{0: '0'}"})
    return model
