"""Runs an ONNX depth network on a picture as the plugin does."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from .data import MEAN, STD

PATCH = 14


def network_size(width: int, height: int, resolution: int) -> tuple[int, int]:
    """(width, height) the network sees: both sides at least `resolution`, multiples of 14."""
    scale = max(resolution / width, resolution / height)

    def side(pixels: int) -> int:
        n = round(scale * pixels / PATCH) * PATCH
        return n if n >= resolution else math.ceil(scale * pixels / PATCH - 1e-9) * PATCH

    return side(width), side(height)


def prepare(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """RGB u8 [h,w,3] -> f32 [1,3,size]: bicubic (a=-0.75, no antialiasing), normalised."""
    x = rgb.astype(np.float32) / 255
    if (rgb.shape[1], rgb.shape[0]) != size:
        x = cv2.resize(x, size, interpolation=cv2.INTER_CUBIC)
    x = (x - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


class Model:
    """Any file with one picture in and one depth map out."""

    def __init__(self, path: Path, threads: int = 2, bf16: bool = False):
        """`bf16`: with OpenVINO in that arithmetic, as the plugin's `precision=auto` takes it where the CPU multiplies it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        settings = {"CPU": {"INFERENCE_PRECISION_HINT": "bf16"}}
        openvino = ("OpenVINOExecutionProvider", {"device_type": "CPU", "load_config": json.dumps(settings)})
        self.session = onnxruntime.InferenceSession(str(path), options, providers=[openvino if bf16 else "CPUExecutionProvider"])
        self.input, self.output = self.session.get_inputs()[0].name, self.session.get_outputs()[0].name

    def run(self, x: np.ndarray) -> np.ndarray:
        return np.squeeze(self.session.run([self.output], {self.input: x})[0])

    def depth(self, rgb: np.ndarray, resolution: int) -> np.ndarray:
        """Relative inverse depth [h,w] on the network's own grid."""
        return self.run(prepare(rgb, network_size(rgb.shape[1], rgb.shape[0], resolution)))
