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

import numpy as np
import onnx

# each adds its entries, in this order
import relative_models, metric_models, foreign_models, odd_models  # noqa: E401, F401, I001
from net import ENTRIES, HERE, LUMA, MEAN, STD


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
        "says otherwise. The image is normalised as ImageNet's unless it says so. To run each in ONNX Runtime: `python tests/models/generate.py --check`.",
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
            patch = 16 if "patch 16" in item.expected else item.patch
            rgb = random.rand(batch, 3, size[0] // patch, size[1] // patch).repeat(patch, 2).repeat(patch, 3)
            luma = np.tensordot(LUMA, rgb, (0, 1))
            normalised = (rgb - MEAN[:, None, None]) / STD[:, None, None]
            value = {"imagenet": normalised, "unit": rgb, "byte": 255 * rgb}[item.fed]
            if item.quantised:
                value = value / item.quantised[0] + item.quantised[1]
            if "uint8" in image.type:
                value = np.rint(value).clip(0, 255).astype(np.uint8)
            value = value if value.dtype == np.uint8 else value.astype(np.float16 if "float16" in image.type else np.float32)
            value = value.transpose(0, 2, 3, 1) if item.last else value
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
            coarse = any(word in item.name for word in ["int8", "outdoor", "quantised", "bytes"])
            tolerance = 0.15 if coarse else item.tolerance
            np.testing.assert_allclose(out, expected, atol=tolerance, rtol=2e-3, err_msg=item.name)
        print(f"{item.name}: {'runs' if item.sizes else 'loads'}", {o.name: o.shape for o in session.get_outputs()})


if __name__ == "__main__":
    write()
    if "--check" in sys.argv[1:]:
        check()
