"""`nhpinn.homogenize` beside a Fourier solver: seconds and errors for ten coefficients and images.

    python benchmarks/homogenize.py [--turns N] [--only NAME ...]

Ours has its default settings; its seconds include the bounds.  The Fourier solver (fourier.py) gives no bounds.  It is
run on finer and finer grids, each to some tolerances, and the first run counts whose error is at most our gap, the next
one whose error is at most our error.  A user would not know which that is: this is to its advantage.

Errors are of a*, relative, against closed forms, or the Fourier solver on a fine grid where a is smooth, or our bounds
with many unknowns (random image).  Processor time, medians of turns.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import warnings
from functools import partial
from itertools import product

import autograd.numpy as np
import fourier
from microstructures import discs

import nhpinn
from fem_cells import relative_size
from lab.training import reuse_freed_memory
from nhpinn_functions import midpoints
from nhpinn_tools import element_bounds

SMOOTH = {2: (15, 25, 45, 81, 135, 243), 3: (9, 15, 25, 45)}  # odd: no wave of theirs is its own negative
ROUGH = (64, 128, 256, 512)
FINE = {2: 405, 3: 45}
A, B = np.array([[1, 0.5], [0.5, 2]]), np.array([[0.5, 0.3], [0.3, 0.1]])
RADIUS = np.sqrt(0.5 / np.pi)
DISC = nhpinn.TwoPhase(lambda y: RADIUS**2 - np.sum((y % 1 - 0.5) ** 2, axis=1), 10.0, 1.0)


def s(y, *waves):
    return np.sin(2 * np.pi * np.dot(y, np.array(waves)))


def c(y, *waves):
    return np.cos(2 * np.pi * np.dot(y, np.array(waves)))


CASES = {  # name: (coefficient, dim)
    "exp(sin + 0.7 cos)": (lambda y: np.exp(s(y, 1, 0) + 0.7 * c(y, 0, 1)), 2),
    "mixed waves": (lambda y: 2 + s(y, 1, 2) + 0.7 * c(y, 3, -1), 2),
    "a tensor": (lambda y: (2 + s(y, 1, 0))[:, None, None] * A + c(y, 1, 1)[:, None, None] * B, 2),
    "exp(5 sin sin)": (lambda y: np.exp(5 * s(y, 1, 0) * s(y, 0, 1)), 2),
    "(2 + 1.8 sin)(2 + 1.8 cos)": (lambda y: (2 + 1.8 * s(y, 1, 0)) * (2 + 1.8 * c(y, 0, 1)), 2),
    "Gaussian bump, 21 : 1": (lambda y: 1 + 20 * np.exp(-5 * np.sum(np.cos(np.pi * y) ** 2, axis=1)), 2),
    "3 + sin cos + cos in 3D": (lambda y: 3 + s(y, 1, 0, 0) * c(y, 0, 1, 0) + c(y, 0, 0, 1), 3),
    "image, square inclusion": (np.array([[0.1, 1.0], [1.0, 1.0]]), 2),
    "image, random 64 x 64": (np.where(np.random.default_rng(0).random((64, 64)) < 0.3, 10.0, 1.0), 2),
    "disc, a TwoPhase": (DISC, 2),
}
KNOWN = {  # times the identity
    "(2 + 1.8 sin)(2 + 1.8 cos)": 2 * np.sqrt(4 - 1.8**2),
    "image, square inclusion": np.sqrt(1.3 / 3.1),  # Obnosov 1999
    "disc, a TwoPhase": discs(0.5, 10.0),
}


def samples(coefficient, dim, n):
    """A coefficient at the midpoints of n ** dim boxes, as fourier.py takes it."""
    if isinstance(coefficient, np.ndarray):
        return np.kron(coefficient, np.ones((n // len(coefficient),) * dim))
    y = midpoints(dim, 1.0, n)
    if isinstance(coefficient, nhpinn.TwoPhase):
        a = np.where(coefficient.level_set(y) > 0, coefficient.inside, coefficient.outside)
    else:
        a = coefficient(y)
    return np.moveaxis(a, 0, -1).reshape(*a.shape[1:], *[n] * dim)


def by_fourier(coefficient, dim, n, tolerance):
    return fourier.tensor(samples(coefficient, dim, n), dim, tolerance, differences=not callable(coefficient))


def ours(coefficient, dim):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a gap that stays larger than the tolerance: it is in the table
        return nhpinn.homogenize(coefficient, dim)


def true_tensor(name, coefficient, dim):
    if name in KNOWN:
        return KNOWN[name] * np.eye(dim)
    if callable(coefficient):
        return by_fourier(coefficient, dim, FINE[dim], 1e-9)
    return element_bounds.bounds_of_image(coefficient, dim, tolerance=1e-9, size=3_000_000).tensor


def runs(coefficient, dim, truth, targets):
    """For each of the targets, from large to small, the first run of the Fourier solver that meets it, or the best:
    (points an axis, tolerance, error)."""
    found, best = [], (0, 0, np.inf)
    tries = product(SMOOTH[dim], (1e-2, 1e-4, 1e-6)) if callable(coefficient) else product(ROUGH, (1e-3,))
    for n, tolerance in tries:
        error = relative_size(by_fourier(coefficient, dim, n, tolerance) - truth, truth)
        best = min(best, (n, tolerance, error), key=lambda run: run[2])
        while len(found) < len(targets) and error <= targets[len(found)]:
            found.append((n, tolerance, error))
        if len(found) == len(targets):
            break
    return found + [best] * (len(targets) - len(found))


def compare(name, coefficient, dim, turns):
    """A row of the table."""
    truth, found = true_tensor(name, coefficient, dim), ours(coefficient, dim)
    error = relative_size(found.tensor - truth, truth)
    others = runs(coefficient, dim, truth, (found.gap, max(error, 1e-12)))
    jobs = {run: partial(by_fourier, coefficient, dim, *run[:2]) for run in others}
    seconds = timing.interleave({"ours": partial(ours, coefficient, dim), **jobs}, turns)
    cells = [f"{seconds['ours']:.2g}", f"{found.gap:.1e}", f"{error:.1e}"]
    for run in others:
        cells += [f"{run[0]}^{dim}", f"{seconds[run]:.2g}", f"{run[2]:.1e}"]
    return [name, *cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="times that each solver is measured (default: 5)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="NAME", help="some of them")
    args = parser.parse_args()
    timing.pin()
    reuse_freed_memory()
    head = ["", "ours: s", "gap", "error", "Fourier to our gap", "s", "error", "to our error", "s", "error"]
    print(timing.table(head, []))
    for name in args.only:
        print("| " + " | ".join(compare(name, *CASES[name], args.turns)) + " |", flush=True)
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
