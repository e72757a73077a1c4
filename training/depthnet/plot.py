"""Draw the curves of one or more runs into a PNG: plot.py OUT.png RUN/last.jsonl ..."""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

PANELS = ("shape", "edges", "order", "guide", "ordinal", "delta1", "absrel", "speed", "rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("logs", type=Path, nargs="+")
    a = parser.parse_args()
    figure, axes = plt.subplots(3, 3, figsize=(13, 9), sharex=True, layout="constrained")
    for log in a.logs:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        for panel, axis in zip(PANELS, axes.flat):
            points = [(line["images"] / 1000, line[panel]) for line in lines if panel in line]
            if points:
                axis.plot(*zip(*points), lw=1, label=f"{log.parent.name}/{log.stem}")
            axis.set_title(panel)
            axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("thousand images")
    axes.flat[0].legend(fontsize=7)
    figure.savefig(a.out, dpi=90)


if __name__ == "__main__":
    main()
