"""From nothing to the first depth map in Python; one process for each sample that benches/run takes.

    start.py cpu|openvino MODEL RESOLUTION

prints `first` when there is a depth map of a 1280×720 RGB frame, then JSON: seconds from before the imports until the
session was made and until that depth map, and the peak memory of the process in bytes. `openvino` is the bare session with
that provider in bf16, where it gives that, as benches/start.rs takes it.
"""

import time

START = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import onnxruntime as ort  # noqa: E402

MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]
SIZE = (1280, 720)


def network_size(resolution):
    """As Depth Anything's own code has it: the short side, both in multiples of 14."""
    scale = max(resolution / side for side in SIZE)
    return tuple(max(round(side * scale / 14) * 14, -(-resolution // 14) * 14) for side in SIZE)


def make_session(kind, model):
    if kind == "cpu":
        return ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    flags = Path("/proc/cpuinfo").read_text()
    hint = "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "f32"
    config = {"CPU": {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}}
    options = {"load_config": json.dumps(config)}
    provider = "OpenVINOExecutionProvider"
    if provider in ort.get_available_providers():
        return ort.InferenceSession(model, providers=[(provider, {"device_type": "CPU", **options})])
    import onnxruntime_ep_openvino as plugin

    ort.register_execution_provider_library("openvino", plugin.get_library_path())
    cpu = [
        device
        for device in ort.get_ep_devices()
        if device.ep_name == provider and device.device.type == ort.OrtHardwareDeviceType.CPU
    ]
    settings = ort.SessionOptions()
    settings.add_provider_for_devices(cpu[:1], options)
    return ort.InferenceSession(model, settings)


def main():
    kind, model, resolution = sys.argv[1], sys.argv[2], int(sys.argv[3])
    session = make_session(kind, model)
    loaded = time.perf_counter() - START
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    small = cv2.resize(frame, network_size(resolution), interpolation=cv2.INTER_CUBIC)
    tensor = np.empty((1, 3, *small.shape[:2]), np.float32)
    for plane, out, mean, std in zip(cv2.split(small), tensor[0], MEAN, STD):
        cv2.addWeighted(plane, 1 / (255 * std), plane, 0, -mean / std, dst=out, dtype=cv2.CV_32F)
    depth = session.run(None, {session.get_inputs()[0].name: tensor})[0].squeeze()
    low, high = float(depth.min()), float(depth.max())
    gain = 65535 / max(high - low, 1e-9)
    samples = cv2.addWeighted(depth, gain, depth, 0, -low * gain, dtype=cv2.CV_16U)
    samples = cv2.resize(samples, SIZE, interpolation=cv2.INTER_LINEAR)
    first = time.perf_counter() - START
    print("first", flush=True)
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    print(json.dumps({"loaded": loaded, "first": first, "peak": peak, "provider": session.get_providers()[0]}))


if __name__ == "__main__":
    main()
