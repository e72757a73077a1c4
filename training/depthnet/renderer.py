"""Talks to `depth-scenes`, the renderer: starts it and reads the records it streams."""

import os
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

TRAINING = Path(__file__).resolve().parent.parent
HEADER = struct.Struct("<4sIIIQff")
MAGIC = b"DSC1"


@dataclass(frozen=True)
class Sample:
    """A picture u8 [h,w,3] with its inverse depth f32 [h,w] in 1/m; 0 is the sky."""

    rgb: np.ndarray
    inverse: np.ndarray
    kind: int
    index: int


def find(path: str | os.PathLike | None = None) -> Path:
    """The renderer's executable: the one named, DEPTH_SCENES, or the workspace's release build."""
    named = path or os.environ.get("DEPTH_SCENES")
    target = Path(os.environ.get("CARGO_TARGET_DIR", TRAINING.parent / "target"))
    found = Path(named) if named else target / "release" / "depth-scenes"
    if not found.exists():
        raise FileNotFoundError(f"no renderer at {found}: cargo build --release -p depth-scenes, or set DEPTH_SCENES")
    return found


def kinds(path: str | os.PathLike | None = None) -> list[str]:
    """Names of the kinds of scene, in the order of their ids."""
    out = subprocess.run([find(path), "kinds"], capture_output=True, text=True, check=True).stdout
    return [line.split()[-1] for line in out.splitlines() if line.strip()]


def read(pipe: BinaryIO) -> Iterator[Sample]:
    """Records until the pipe ends. A record cut short is an error; an end between two is not."""
    while head := pipe.read(HEADER.size):
        magic, width, height, kind, index, _, _ = HEADER.unpack(head)
        if magic != MAGIC:
            raise ValueError(f"not a record: {magic!r}")
        body = pipe.read(width * height * 7)
        pixels = width * height * 3
        if len(body) != width * height * 7:
            raise EOFError("record cut short")
        yield Sample(
            np.frombuffer(body, np.uint8, pixels).reshape(height, width, 3),
            np.frombuffer(body, "<f4", width * height, pixels).reshape(height, width),
            kind,
            index,
        )


def stream(
    path: str | os.PathLike | None,
    seed: int,
    sizes: str,
    first: int = 0,
    count: int | None = None,
    extra: tuple[str, ...] = (),
) -> Iterator[Sample]:
    """Start the renderer and yield what it renders; it is stopped when the iterator is closed."""
    args = [str(find(path)), "stream", "--seed", str(seed), "--sizes", sizes, "--first", str(first), *extra]
    if count is not None:
        args += ["--count", str(count)]
    with subprocess.Popen(args, stdout=subprocess.PIPE, bufsize=1 << 20) as process:
        try:
            yield from read(process.stdout)
        finally:
            process.kill()


def details(path: str | os.PathLike | None, seed: int, size: str, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scenes of thin and small things: RGB u8 [h,w,3] and inverse depth f32 [h,w]."""
    with tempfile.TemporaryDirectory() as folder:
        args = ["detail", "--seed", str(seed), "--size", size, "--count", str(count), "--out", folder]
        subprocess.run([str(find(path)), *args], check=True, stdout=subprocess.DEVNULL)
        for picture in sorted(Path(folder).glob("*.png")):
            depth = cv2.imread(str(picture.with_suffix(".pfm")), cv2.IMREAD_UNCHANGED)
            yield np.ascontiguousarray(cv2.imread(str(picture))[:, :, ::-1]), np.ascontiguousarray(depth)
