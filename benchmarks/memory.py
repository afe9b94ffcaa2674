"""Peak memory and time of one loss and gradient, from 1,000 to 1,000,000 points.

    python benchmarks/memory.py [--plot]

The cell residual of elliptic2d, a 2-64-64-64-1 network, float64.  Every number of points has a process of its own,
whose peak memory is what the system reports; it is read three times: with the libraries loaded, after the
loss term has been built (coefficient and its derivatives at all points), and after the loss and gradient.
--plot writes benchmarks/memory.png, with matplotlib.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from autograd import value_and_grad

import nhpinn_networks as nets
from lab.training import reuse_freed_memory
from nhpinn_functions import tensor_and_divergence
from problems import PROBLEMS

POINTS = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
LIMIT = 500  # MB, at the last of them


def peak():
    """The largest memory of this process so far, in MB (10^6 bytes).

    Linux counts VmHWM anew when a program starts; ru_maxrss begins with that of the process that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure(points):
    """Peaks, and the median processor time of a loss and gradient, in this process."""
    timing.pin()
    reuse_freed_memory()
    libraries = peak()
    coefficient = PROBLEMS["elliptic2d"].coefficient
    y = np.random.default_rng(0).uniform(size=(points, 2))
    a, b = tensor_and_divergence(lambda y: coefficient(y, y), y)
    loss = nets.Loss((nets.equation_term(y, a, b, 0.0, b[:, 0], 1.0),))
    del y, a, b
    built = peak()
    params = nets.init_network((2, 64, 64, 64, 1), np.random.default_rng(0))
    repeats = max(2, 20_000 // points)
    times = [timing.seconds_of(lambda: value_and_grad(loss)(params)) for _ in range(repeats)]
    return {"points": points, "libraries": libraries, "term": built, "loss": peak(), "seconds": float(np.median(times))}


def in_a_process(points):
    command = [sys.executable, __file__, "--points", str(points)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def plot(results, path):
    from matplotlib.figure import Figure

    n = [r["points"] for r in results]
    figure = Figure(figsize=(7, 3), layout="constrained")
    time, memory = figure.subplots(1, 2)
    time.loglog(n, [r["seconds"] for r in results], "o-")
    time.loglog(n, [results[-1]["seconds"] * k / n[-1] for k in n], "k:", label="proportional")
    time.set(xlabel="points", ylabel="time of a loss and gradient (s)")
    time.legend()
    memory.semilogx(n, [r["loss"] for r in results], "o-")
    memory.axhline(LIMIT, color="k", linestyle=":")
    memory.set(xlabel="points", ylabel="peak memory (MB)", ylim=(0, None))
    figure.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, help="measure this number alone, and print it as JSON")
    parser.add_argument("--plot", action="store_true", help="write benchmarks/memory.png")
    args = parser.parse_args()
    if args.points:
        print(json.dumps(measure(args.points)))
        return
    results = [in_a_process(points) for points in POINTS]
    head = ["points", "ms", "ns a point", "peak MB: libraries", "and the term", "and the loss and gradient"]
    rows = []
    for r in results:
        numbers = (1e3 * r["seconds"], 1e9 * r["seconds"] / r["points"], r["libraries"], r["term"], r["loss"])
        rows.append([f"{r['points']:,}", *(f"{x:,.1f}" if i == 0 else f"{x:,.0f}" for i, x in enumerate(numbers))])
    print(timing.table(head, rows))
    last = results[-1]
    verdict = "under" if last["loss"] < LIMIT else "NOT under"
    print(f"\nPeak at {last['points']:,} points: {last['loss']:.0f} MB, {verdict} {LIMIT} MB. {timing.machine()}")
    if args.plot:
        plot(results, Path(__file__).with_suffix(".png"))


if __name__ == "__main__":
    main()
