"""What the benchmarks share: one thread for every library, fair interleaved timing, and tables.

Import it before numpy: the libraries read their number of threads when they are loaded.
"""

# ruff: noqa: E402

import os
import sys
from pathlib import Path

for _library in ("OPENBLAS", "OMP", "MKL", "VECLIB_MAXIMUM"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import contextlib
import importlib.metadata
import importlib.util
import platform
import statistics
import time


def pin():
    """Bind this process to one core, where the system has a way to: threads beyond the first gain nothing."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def interleave(contenders, turns=25, seconds=0.1):
    """Medians of the processor time of each function, in seconds: {name: function} -> {name: median}.

    The functions take turns, so that whatever else the machine does falls on all of them alike; in a turn of
    about `seconds` a function runs again and again, as a training does, with its data in the cache.  With one
    thread on one core, processor time is what the clock would show on a machine with nothing else to do.
    """
    counts = {name: max(1, round(seconds / seconds_of(f, 2))) for name, f in contenders.items()}  # compiles, too
    times = {name: [] for name in contenders}
    for _ in range(turns):
        for name, function in contenders.items():
            function()
            times[name].append(seconds_of(function, counts[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def seconds_of(function, count=1):
    """The processor time of a call, the mean of `count` calls."""
    start = time.process_time()
    for _ in range(count):
        function()
    return (time.process_time() - start) / count


def installed(*packages):
    """Whether the packages of a peer are there; says what to install where they are not."""
    missing = [p for p in packages if importlib.util.find_spec(p) is None]
    if missing:
        print(f"left out: {', '.join(missing)} not installed (pip install {' '.join(missing)})", file=sys.stderr)
    return not missing


def machine(*packages):
    """One line: the processor and the versions of the packages that are installed."""
    found = []
    for package in ("numpy", "scipy", "autograd", *packages):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return f"{processor()}, one thread; Python {platform.python_version()}, {', '.join(found)}"


def processor():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(head, rows):
    """A Markdown table; the first column to the left, numbers to the right."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
