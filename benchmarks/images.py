"""Bounds of images by elements on their pixels: gap, seconds and peak memory, each image in a process of its own.

python benchmarks/images.py [NAME ...]
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import json
import subprocess
import sys
import time
import warnings

import memory
import numpy as np

import nhpinn

SQUARE = np.where(np.all(np.indices((4, 4)) // 2 == 1, axis=0), 0.1, 1.0)  # a quarter of the cell
FOUR, LAYERS, CHECKERS = [[20, 1], [5, 2]], [[400.0], [1.38]], [[1.0, 100.0], [100.0, 1.0]]


def mixture(shape, contrast):
    """Two phases at random, each in half of the pixels."""
    return np.where(np.random.default_rng(0).random(shape) < 0.5, 1.0, float(contrast))


def fibres(size):
    """A picture of discs of 20 in 1."""
    y = (np.arange(size) + 0.5) / size
    centres = np.random.default_rng(1).uniform(size=(60, 2))
    apart = [np.abs((y[:, None] - each + 0.5) % 1 - 0.5).T for each in centres]
    return np.where(np.any([dx[:, None] ** 2 + dy**2 < 0.03**2 for dx, dy in apart], axis=0), 20.0, 1.0)


IMAGES = {  # name: (image, tolerance of the gap, None: that of `homogenize`)
    "square inclusion 0.1 in 1": (lambda: SQUARE, 1e-4),
    "four phases [[20, 1], [5, 2]]": (lambda: FOUR, 5e-5),
    "layers 400 : 1.38": (lambda: LAYERS, 1e-12),
    "checkerboard 1 : 100": (lambda: CHECKERS, None),
    "picture of discs 20 in 1, 512²": (lambda: fibres(512), None),
    "random 512², 1 : 10": (lambda: mixture((512, 512), 10), None),
    "random 256², 1 : 10": (lambda: mixture((256, 256), 10), None),
    "random 256², 1 : 10, to 8e-2": (lambda: mixture((256, 256), 10), 0.08),
    "random 256², 1 : 10⁴": (lambda: mixture((256, 256), 1e4), None),
    "random 64³, 1 : 10": (lambda: mixture((64,) * 3, 10), None),
    "random 64³, 1 : 10⁴": (lambda: mixture((64,) * 3, 1e4), None),
    "random 128³, 1 : 10": (lambda: mixture((128,) * 3, 10), None),
    "random 256³, 1 : 10": (lambda: mixture((256,) * 3, 10), None),
}


def measure(name):
    """In this process: what `homogenize` finds, and what it takes."""
    make, tolerance = IMAGES[name]
    image = make()
    nhpinn.homogenize([[1.0, 2.0]], 2)  # what the first call imports
    libraries, clock, processor = memory.peak(), time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True):
        found = nhpinn.homogenize(image, np.ndim(image), tolerance=tolerance)
    seconds = time.perf_counter() - clock, time.process_time() - processor
    low, tensor, high = (each[0, 0] for each in (found.lower, found.tensor, found.upper))
    return low, tensor, high, found.gap, *seconds, memory.peak() - libraries


def row(name):
    command = [sys.executable, __file__, "--one", name]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
    low, tensor, high, gap, clock, processor, peak = found
    bounds = f"{low:.7g} to {high:.7g}"
    return name, f"{tensor:.7g}", bounds, f"{gap:.1e}", f"{clock:.1f}", f"{processor:.1f}", f"{peak:,.0f}"


def table(names):
    head = ("image", "a*₁₁", "bounds", "gap", "wall s", "processor s", "MB")
    return timing.table(head, [row(name) for name in names])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(IMAGES)}; none: all")
    parser.add_argument("--one", help="measure this image in this process, and print it as JSON")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in IMAGES]:
        parser.error(f"names: found {', '.join(map(repr, unknown))}, expected some of {', '.join(map(repr, IMAGES))}")
    if args.one:
        print(json.dumps(measure(args.one)))
    else:
        print(table(args.names or IMAGES))


if __name__ == "__main__":
    main()
