"""Seconds of `solve` and `homogenize` in this tree beside those of another one, as of an older commit; they take turns.

git worktree add ../older COMMIT
python benchmarks/beside.py --tree ../older [NAME ...] [--turns N]
"""

import timing  # first: it sets the number of threads

# ruff: noqa: E402
# isort: split
import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of cases; none: all of them")
    parser.add_argument("--tree", type=Path, default=HERE, help="the other tree")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


sys.path.insert(0, str(parsed().tree.resolve()))  # which of both trees the modules are of

import autograd.numpy as np

import nhpinn

TAU = 2 * np.pi


def waves(x, y):
    return 2 + np.sin(TAU * y[:, 0]) * np.cos(TAU * y[:, 1])


def waves3d(x, y):
    return 2 + np.sin(TAU * y[:, 0]) * np.cos(TAU * y[:, 1]) * np.sin(TAU * y[:, 2])


def line(x, y):
    return 2 + 0.5 * np.sin(TAU * y[:, 0])


def slow_waves(x, y):
    """650 cell problems."""
    return 1.2 + waves(x, y) - 2 + np.exp(-30 * ((x[:, 0] - 0.5) ** 2 + (x[:, 1] - 0.4) ** 2))


def source(x):
    return np.sin(x[:, 0]) + np.cos(x[:, -1])


def solving(coefficient, dim, eps):
    return lambda: nhpinn.solve(coefficient, source, [(0, 1)] * dim, eps).error


def homogenizing(coefficient, dim):
    return lambda: nhpinn.homogenize(lambda y: coefficient(y, y), dim, tolerance=1e-6).error


def evaluating():
    """Seconds of u at 100,000 points alone."""
    u, x = nhpinn.solve(waves, source, [(0, 1)] * 2, 1 / 8), np.random.default_rng(0).random((100_000, 2))
    return lambda: float(u(x)[0])


CASES = {
    "1D, 1/8": lambda: solving(line, 1, 1 / 8),
    "1D, 1e-6": lambda: solving(line, 1, 1e-6),
    "2D, 1/8": lambda: solving(waves, 2, 1 / 8),
    "2D, 1/1000": lambda: solving(waves, 2, 1 / 1000),
    "2D, slow": lambda: solving(slow_waves, 2, 1 / 8),
    "3D, 1/4": lambda: solving(waves3d, 3, 1 / 4),
    "3D, 1/64": lambda: solving(waves3d, 3, 1 / 64),
    "homogenize, 2D": lambda: homogenizing(waves, 2),
    "homogenize, 3D": lambda: homogenizing(waves3d, 3),
    "u at 100,000 points": evaluating,
}


def one(name):
    """The seconds of a case and what it finds, after whatever is done once."""
    solving(waves, 2, 1 / 4)()
    run = CASES[name]()
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def in_tree(tree, name):
    """The same in a process of its own, with the modules of a tree."""
    command = [sys.executable, __file__, "--one", name, "--tree", str(tree)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main():
    args = parsed()
    if args.one:
        print(json.dumps(one(args.one)))
        return
    rows = []
    for name in args.names or CASES:
        turns = [[in_tree(tree, name) for tree in (args.tree, HERE)] for _ in range(args.turns)]
        (older, there), (newer, here) = (
            (statistics.median(s for s, _ in runs), runs[0][1]) for runs in zip(*turns, strict=True)
        )
        rows.append([name, f"{older:.2g}", f"{newer:.2g}", f"{newer / older:.2f}", f"{here / there - 1:+.0e}"])
        print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
    print(timing.table(["", "older: s", "this: s", "ratio", "its bar moved"], rows))
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
