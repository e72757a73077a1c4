"""Make a checkpoint small enough to move: halves instead of floats, in parts of at most 15 MB.

    travel.py pack RUN/last.pt FOLDER        59 MB become two parts of 29 MB together
    travel.py unpack FOLDER RUN/last.pt
"""

import argparse
import io
from pathlib import Path

import torch
from torch import Tensor

from .train import save

PART = 15 << 20


def convert(value, matrices: torch.dtype, floats: bool):
    """Halve (or, with `floats`, restore) every matrix in a nest of dicts, lists and tensors."""
    if isinstance(value, Tensor) and value.ndim > 1 and value.is_floating_point():
        return value.to(torch.float32 if floats else matrices)
    if isinstance(value, dict):
        return {k: convert(v, matrices, floats) for k, v in value.items()}
    if isinstance(value, list):
        return [convert(v, matrices, floats) for v in value]
    return value


def pack(checkpoint: Path, folder: Path) -> None:
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    # moments span many orders of magnitude, weights do not
    small = {k: convert(v, torch.bfloat16 if k == "optimiser" else torch.float16, False) for k, v in state.items()}
    buffer = io.BytesIO()
    torch.save(small, buffer)
    data = buffer.getvalue()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("checkpoint.*"):
        old.unlink()
    for i in range(0, len(data), PART):
        (folder / f"checkpoint.{i // PART:02}").write_bytes(data[i : i + PART])


def unpack(folder: Path, checkpoint: Path) -> None:
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("checkpoint.*")))
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    save(checkpoint, convert(state, torch.float32, True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    a = parser.parse_args()
    (pack if a.what == "pack" else unpack)(a.source, a.target)


if __name__ == "__main__":
    main()
