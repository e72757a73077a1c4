"""How time and memory grow with the resolution, as SVG. Takes JSON from benches/run on standard input."""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "growth", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import NullLocator  # noqa: E402


def main():
    drawing = json.load(sys.stdin)
    sides = drawing["sides"]
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(9, 3.8))
    for name, line in drawing["lines"].items():
        style = {"marker": "o", "markersize": 3.5, "linewidth": 2 if name.startswith("depthanything") else 1.2}
        time.plot(sides, [milliseconds / 1e3 for milliseconds in line["time"]], label=name, **style)
        memory.plot(sides, [peak / 1e9 for peak in line["memory"]], label=name, **style)
    ticks = [digit * 10**power for power in range(-2, 2) for digit in (1, 2, 3, 5)]
    for axes, title in ((time, "seconds a frame"), (memory, "peak memory, GB")):
        axes.set(xscale="log", yscale="log", title=title, xlabel="resolution (square)")
        axes.set_xticks(sides, [str(side) for side in sides])
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in ticks if low <= tick <= high])
        axes.yaxis.set_major_formatter("{x:g}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
        axes.grid(linewidth=0.3)
    figure.legend(*time.get_legend_handles_labels(), loc="lower center", ncols=len(drawing["lines"]), frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(drawing["out"], metadata={"Date": None})


if __name__ == "__main__":
    main()
