"""A frame through Depth Anything V2 in Python; one process for each line of the table that benches/run makes.

    network.py onnxruntime|pytorch MODEL SIDE FRAMES

prints JSON: milliseconds of each frame after one to warm up, peak memory of the process in bytes, versions. A frame is
1080×1080 RGB as a decoder hands it over, becomes a tensor of SIDE×SIDE, and its depth 1080×1080 16-bit grey. What can be
is set up beforehand. For PyTorch MODEL is not looked at: the network is that of scripts/make-vits, attention as
`transformers` has it by default (sdpa).
"""

import importlib.machinery
import importlib.util
import json
import sys
import time
from pathlib import Path

import numpy as np

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def onnxruntime(model, side):
    import cv2
    import onnxruntime as ort

    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    tensor = np.empty((1, 3, side, side), np.float32)

    def run(frame):
        size = frame.shape[1::-1]
        planes = cv2.split(cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC))
        for plane, out, mean, std in zip(planes, tensor[0], MEAN, STD):
            cv2.addWeighted(plane, 1 / (255 * std), plane, 0, -mean / std, dst=out, dtype=cv2.CV_32F)
        depth = session.run(None, {name: tensor})[0].reshape(side, side)
        low, high = float(depth.min()), float(depth.max())
        gain = 65535 / max(high - low, 1e-9)
        samples = cv2.addWeighted(depth, gain, depth, 0, -low * gain, dtype=cv2.CV_16U)
        return cv2.resize(samples, size, interpolation=cv2.INTER_LINEAR)

    return run, f"onnxruntime {ort.__version__}"


def pytorch(_, side):
    import torch
    import transformers
    from torch.nn.functional import interpolate

    path = Path(__file__).resolve().parent.parent.parent / "scripts" / "make-vits"
    loader = importlib.machinery.SourceFileLoader("make_vits", str(path))
    make_vits = importlib.util.module_from_spec(importlib.util.spec_from_loader("make_vits", loader))
    loader.exec_module(make_vits)
    model = make_vits.network("small", False, 0, attention="sdpa")
    mean = torch.tensor(MEAN).reshape(1, 3, 1, 1) * 255
    std = torch.tensor(STD).reshape(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def run(frame):
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
        pixels = (interpolate(pixels, (side, side), mode="bicubic") - mean) / std
        depth = model(pixels).predicted_depth[:, None]
        depth = interpolate(depth, frame.shape[:2], mode="bilinear", align_corners=True)[0, 0]
        low, high = depth.min(), depth.max()
        return ((depth - low) * (65535 / (high - low))).numpy().astype(np.uint16)

    return run, f"PyTorch {torch.__version__}, transformers {transformers.__version__}"


def main():
    kind, model, side, frames = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    run, versions = {"onnxruntime": onnxruntime, "pytorch": pytorch}[kind](model, side)
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1080, 3), dtype=np.uint8)
    run(frame)
    times = []
    for _ in range(frames):
        start = time.perf_counter()
        run(frame)
        times.append((time.perf_counter() - start) * 1e3)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"times": times, "peak": peak, "versions": versions}))


if __name__ == "__main__":
    main()
