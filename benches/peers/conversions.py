"""Other people's way of what `src/frame` does, on one core; driven by benches/conversions.rs.

    conversions.py FOLDER WIDTH HEIGHT NETWORK_WIDTH NETWORK_HEIGHT

FOLDER holds `frame.nv12` (BT.601, limited range) and `depth.f32`. Says which versions it has, then answers each line
of standard input: `time NAME COUNT` with nanoseconds of so many runs, `save NAME` by writing what NAME makes to
FOLDER/NAME.

The OpenCV here is as fast as we could make it: of the ways tried for each step the one that took least. Slower were,
for the tensor: resizing the planes before the colour conversion; resizing floats; cv2.LUT, numpy.take, cv2.multiply and
cv2.dnn.blobFromImage for the normalisation. For the depth: resizing floats and converting them at full size.
"""

import sys
import time
from pathlib import Path

import cv2
import numpy as np

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


class OpenCV:
    """Buffers and tables made once, every step in OpenCV's own SIMD."""

    def __init__(self, luma, chroma, depth, network):
        self.luma, self.chroma, self.depth = luma, chroma, depth
        width, height = network
        full = luma.shape
        self.network = network
        self.rgb = np.empty((*full, 3), np.uint8)
        self.small = np.empty((height, width, 3), np.uint8)
        self.planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self.tensor = np.empty((3, height, width), np.float32)
        self.factor = (1 / (255 * STD)).tolist()
        self.summand = (-MEAN / STD).tolist()
        low, high = float(depth.min()), float(depth.max())
        self.gain = 65535 / (high - low)
        self.bias = -low * self.gain
        self.mapped = np.empty((height, width), np.uint16)
        self.samples = np.empty(full, np.uint16)
        # output pixel → network pixel, corners on corners
        self.aligned = np.array([[(width - 1) / (full[1] - 1), 0, 0], [0, (height - 1) / (full[0] - 1), 0]])

    def to_tensor(self):
        cv2.cvtColorTwoPlane(self.luma, self.chroma, cv2.COLOR_YUV2RGB_NV12, self.rgb)
        cv2.resize(self.rgb, self.network, self.small, interpolation=cv2.INTER_CUBIC)
        cv2.split(self.small, self.planes)
        for plane, out, factor, summand in zip(self.planes, self.tensor, self.factor, self.summand):
            cv2.addWeighted(plane, factor, plane, 0, summand, dst=out, dtype=cv2.CV_32F)
        return self.tensor

    def map(self):
        cv2.addWeighted(self.depth, self.gain, self.depth, 0, self.bias, dst=self.mapped, dtype=cv2.CV_16U)

    def to_samples(self):
        """As near as `cv2.resize` comes to aligned corners: half a pixel away at the borders."""
        self.map()
        size = self.samples.shape[::-1]
        return cv2.resize(self.mapped, size, self.samples, interpolation=cv2.INTER_LINEAR)

    def to_samples_aligned(self):
        """With aligned corners, as Depth Anything has them."""
        self.map()
        return cv2.warpAffine(
            self.mapped,
            self.aligned,
            self.samples.shape[::-1],
            self.samples,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


class DepthAnything:
    """What `DepthAnythingV2.infer_image` and `run_video.py` do to a frame, line by line, with 65535 for 255."""

    def __init__(self, luma, chroma, depth, network):
        self.luma, self.chroma, self.depth, self.network = luma, chroma, depth, network
        self.size = luma.shape[::-1]
        try:
            import torch

            torch.set_num_threads(1)
            self.torch = torch
        except ImportError:
            self.torch = None

    def to_tensor(self):
        # as cv2.VideoCapture hands it over
        frame = cv2.cvtColorTwoPlane(self.luma, self.chroma, cv2.COLOR_YUV2BGR_NV12)
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) / 255.0
        image = cv2.resize(image, self.network, interpolation=cv2.INTER_CUBIC)
        image = (image - MEAN) / STD
        image = np.transpose(image, (2, 0, 1))
        return np.ascontiguousarray(image).astype(np.float32)

    def to_samples(self):
        width, height = self.size
        if self.torch:
            depth = self.torch.from_numpy(self.depth)[None, None]
            interpolate = self.torch.nn.functional.interpolate
            depth = interpolate(depth, (height, width), mode="bilinear", align_corners=True)[0, 0].numpy()
        else:
            # not theirs, and no slower in our trials
            source = self.depth.shape
            across = (source[1] - 1) / (width - 1)
            down = (source[0] - 1) / (height - 1)
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            matrix = np.array([[across, 0, 0], [0, down, 0]])
            depth = cv2.warpAffine(
                self.depth, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        depth = (depth - depth.min()) / (depth.max() - depth.min()) * 65535.0
        return depth.astype(np.uint16)


def main():
    cv2.setNumThreads(1)
    folder = Path(sys.argv[1])
    width, height, *network = map(int, sys.argv[2:6])
    frame = np.fromfile(folder / "frame.nv12", np.uint8)
    luma = frame[: width * height].reshape(height, width)
    chroma = frame[width * height :].reshape(height // 2, width // 2, 2)
    depth = np.fromfile(folder / "depth.f32", np.float32).reshape(network[1], network[0])
    opencv = OpenCV(luma, chroma, depth, tuple(network))
    original = DepthAnything(luma, chroma, depth, tuple(network))
    ways = {
        "opencv-tensor": opencv.to_tensor,
        "opencv-samples": opencv.to_samples,
        "opencv-samples-aligned": opencv.to_samples_aligned,
        "original-tensor": original.to_tensor,
        "original-samples": original.to_samples,
    }
    interpolation = f"PyTorch {original.torch.__version__}" if original.torch else "cv2.warpAffine for PyTorch"
    print(f"OpenCV {cv2.__version__}, numpy {np.__version__}, {interpolation}", flush=True)
    for line in sys.stdin:
        command, name, *count = line.split()
        way = ways[name]
        if command == "save":
            way().tofile(folder / name)
            print(0, flush=True)
            continue
        start = time.perf_counter_ns()
        for _ in range(int(count[0])):
            way()
        print(time.perf_counter_ns() - start, flush=True)


if __name__ == "__main__":
    main()
