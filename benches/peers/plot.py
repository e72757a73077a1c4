"""How time and memory grow with the resolution, as SVG. Takes JSON from benches/run on standard input."""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "growth", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import NullLocator, ScalarFormatter  # noqa: E402


def main():
    drawing = json.load(sys.stdin)
    sides = drawing["sides"]
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(9, 3.8))
    for name, line in drawing["lines"].items():
        style = {"marker": "o", "markersize": 3.5, "linewidth": 2 if name.startswith("depthanything") else 1.2}
        time.plot(sides, [milliseconds / 1e3 for milliseconds in line["time"]], label=name, **style)
        memory.plot(sides, [peak / 1e9 for peak in line["memory"]], label=name, **style)
    for axes, title in ((time, "seconds a frame"), (memory, "peak memory, GB")):
        axes.set(xscale="log", yscale="log", title=title, xlabel="resolution (square)")
        axes.set_xticks(sides, [str(side) for side in sides])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.grid(which="both", linewidth=0.3)
    time.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(drawing["out"], metadata={"Date": None})


if __name__ == "__main__":
    main()
