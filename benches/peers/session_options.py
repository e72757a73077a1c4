"""What ONNX Runtime's CPU provider makes of its options: one model, one size, many sessions.

    .venv-bench/bin/python benches/peers/session_options.py .models/vits.onnx 252 [--busy N]
    .venv-bench/bin/python benches/peers/session_options.py .models/vits.onnx 252 --profile
    .venv-bench/bin/python benches/peers/session_options.py .models/vits.onnx 252 --after 770

prints a table: time of a run and processor time, as ratios to ONNX Runtime's defaults, sessions taking turns. --busy runs
so many processes beside it that do nothing but take processor time; --profile tells where the time goes, by operator;
--after runs at another size in between, and tells what memory is left afterwards.
"""

import argparse
import collections
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

SPIN, DURATION = "session.intra_op.allow_spinning", "session.intra_op.spin_duration_us"
# name → (options of the session, its configuration)
WAYS = {
    "defaults": ({}, {}),
    "no spinning": ({}, {SPIN: "0"}),
    "spinning, stopped after each run": ({}, {"session.force_spinning_stop": "1"}),
    **{f"spinning {us} µs": ({}, {DURATION: str(us)}) for us in (20, 50, 100, 200, 500, 1000)},
    "one thread": ({"intra_op_num_threads": 1}, {DURATION: "50"}),
    "a thread more than cores": ({"intra_op_num_threads": 1 + multiprocessing.cpu_count()}, {DURATION: "50"}),
    "sides fixed when the session is made": ({"fixed": True}, {DURATION: "50"}),
    "work in smaller and smaller blocks": ({}, {DURATION: "50", "session.dynamic_block_base": "4"}),
    "denormals as zero": ({}, {DURATION: "50", "session.set_denormal_as_zero": "1"}),
    "no memory pattern": ({"enable_mem_pattern": False}, {DURATION: "50"}),
    "no arena": ({"enable_cpu_mem_arena": False}, {DURATION: "50"}),
}


def session(model, side, way, profile=None):
    options, entries = way
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    for name, value in options.items():
        if name != "fixed":
            setattr(settings, name, value)
        else:
            shape = ort.InferenceSession(model, settings).get_inputs()[0].shape
            for name, value in zip(shape, (1, 3, side, side)):
                if isinstance(name, str):
                    settings.add_free_dimension_override_by_name(name, value)
    for name, value in entries.items():
        settings.add_session_config_entry(name, value)
    if profile:
        settings.enable_profiling = True
        settings.profile_file_prefix = profile
    return ort.InferenceSession(model, settings, providers=["CPUExecutionProvider"])


def picture(side):
    return np.random.default_rng(0).random((1, 3, side, side), np.float32)


def run(network, values, options=None):
    """Milliseconds, and those of processor time."""
    start, used = time.perf_counter(), time.process_time()
    network.run(None, {network.get_inputs()[0].name: values}, options)
    return 1e3 * (time.perf_counter() - start), 1e3 * (time.process_time() - used)


def spin():
    while True:
        pass


def compare(model, side, busy):
    burners = [multiprocessing.Process(target=spin, daemon=True) for _ in range(busy)]
    # beside others it is how threads wait that counts
    names = [name for name in WAYS if not busy or "spinning" in name or name == "defaults"]
    networks = {name: session(model, side, WAYS[name]) for name in names}
    values = picture(side)
    for burner in burners:
        burner.start()
    taken = {name: [] for name in names}
    for _ in range(6 if side < 400 and not busy else 2):
        for name in random.sample(names, len(names)):
            # threads of the one before it have gone to sleep
            time.sleep(0.05)
            run(networks[name], values)
            taken[name] += [run(networks[name], values) for _ in range(4)]
    median = lambda name, which: statistics.median(times[which] for times in taken[name])
    print(f"| {side}², {busy} busy processes beside it | time | processor time |\n|---|---|---|")
    for name in names:
        time_ratio, used_ratio = (median(name, which) / median("defaults", which) for which in (0, 1))
        print(f"| {name} | {time_ratio:.2f} | {used_ratio:.2f} |")
    print(f"\nDefaults: {median('defaults', 0):.1f} ms, {median('defaults', 1):.1f} ms of processor time.")


def profile(model, side):
    with tempfile.TemporaryDirectory() as folder:
        network = session(model, side, ({}, {DURATION: "50"}), str(Path(folder) / "run"))
        runs = 6
        for _ in range(runs):
            run(network, picture(side))
        events = json.loads(Path(network.end_profiling()).read_text())
    times, counts = collections.Counter(), collections.Counter()
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[event["args"]["op_name"]] += event["dur"] / 1e3 / runs
            counts[event["args"]["op_name"]] += 1
    print(f"| operator, {side}² | nodes | time | of all |\n|---|---|---|---|")
    for name, spent in times.most_common(12):
        print(f"| {name} | {counts[name] // runs} | {spent:.1f} ms | {100 * spent / times.total():.0f} % |")


def resident():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def memory(model, side, other):
    print(f"| | memory after {other}² | time there | after 8 more at {side}² | time |\n|---|---|---|---|---|")
    small, large = picture(side), picture(other)
    shrink = ort.RunOptions()
    shrink.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    for name, way, options, last in (
        ("arena", "defaults", None, None),
        ("arena, shrunk after the last", "defaults", None, shrink),
        ("arena, shrunk after each", "defaults", shrink, shrink),
        ("no arena", "no arena", None, None),
    ):
        network = session(model, side, WAYS[way])
        at_large = [run(network, large, options)[0] for _ in range(3)]
        before = resident()
        at_small = [run(network, small, options)[0] for _ in range(8)]
        if last:
            run(network, small, last)
        print(
            f"| {name} | {before:.0f} MB | {min(at_large):.0f} ms | {resident():.0f} MB | "
            f"{statistics.median(at_small):.1f} ms |",
            flush=True,
        )
        del network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("side", type=int)
    parser.add_argument("--busy", type=int, default=0, metavar="N")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--after", type=int, metavar="SIDE")
    chosen = parser.parse_args()
    if chosen.profile:
        profile(chosen.model, chosen.side)
    elif chosen.after:
        memory(chosen.model, chosen.side, chosen.after)
    else:
        compare(chosen.model, chosen.side, chosen.busy)


if __name__ == "__main__":
    main()
