"""Sizes that fail, odd values, weights beside the file, and sound models that are refused."""

import numpy as np
from onnx import TensorProto

from net import F32, GAIN, HERE, I64, IMAGE, Net, RUNS, entry
from relative_models import views


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


# ---- refused --------------------------------------------------------------------------------------------------------


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
