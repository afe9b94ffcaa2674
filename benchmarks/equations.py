"""Homogenized equations: polynomials (polynomials.py) beside random features (equations.py), seconds and estimates.

    python benchmarks/equations.py [--turns N] [--dim D ...]

Both stop at an estimate of 1e-4 of the relative error in L2, or at their last attempt.  *Apart* is how far their
solutions differ, relative, at 500 random points: the sum of both errors at most.  Smooth sources, coefficients that
vary, kinks and jumps along the first axis, bumps, values beside fluxes, corners in which they contradict each other.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np

from nhpinn_functions import Flux
from nhpinn_tools import equations, polynomials

TOLERANCE = 1e-4


def constant(x):
    """a (n, dim, dim) = diag(1, 2, 3), its divergence, c."""
    return np.broadcast_to(np.diag([1.0, 2.0, 3.0])[: x.shape[1], : x.shape[1]], (len(x), *2 * x.shape[1:])), 0 * x, 0.0


def varying(x):
    """exp(sum x_i / 2 + 0.3 sin 3 x_1) times a full tensor."""
    scale, tensor = np.exp(x.sum(axis=1) / 2 + 0.3 * np.sin(3 * x[:, 0])), np.eye(x.shape[1]) + 0.3
    slope = scale[:, None] * (0.5 + np.eye(x.shape[1])[0] * 0.9 * np.cos(3 * x[:, :1]))
    return scale[:, None, None] * tensor, slope @ tensor, 0.0


def waves(x):
    return np.sin(3 * x[:, 0]) + np.cos(x[:, -1])


CASES = {  # name: (source, boundary of the dimension, coefficients)
    "smooth": (waves, lambda dim: 0.0, constant),
    "a(x) a full tensor": (waves, lambda dim: 0.0, varying),
    "values and fluxes": (waves, lambda dim: [(1.0, 2.0)] + [(Flux(0), Flux(lambda x: x[:, 0]))] * (dim - 1), constant),
    "values that meet fluxes": (lambda x: 1 + 0 * x[:, 0], lambda dim: [(0.0, Flux(1.0))] * dim, constant),
    "a kink": (lambda x: np.abs(x[:, 0] - 0.4), lambda dim: 0.0, constant),
    "a jump": (lambda x: np.sign(x[:, 0] - 0.4), lambda dim: 0.0, constant),
    "a bump of width 0.03": (lambda x: np.exp(-np.sum((x - 0.45) ** 2, axis=1) / 0.0018), lambda dim: 0.0, constant),
}


def solvers(name, dim):
    """{name: function}: a solution of this case by each of both."""
    source, boundary, coefficients = CASES[name]
    known = {"dim": dim, "domain": ((0.0, 1.0),) * dim, "boundary": boundary(dim), "initial": None, "final_time": 0.0}
    problem = SimpleNamespace(source=source, **known)
    return {
        "polynomials": partial(polynomials.solve_equation, problem, coefficients, TOLERANCE),
        "features": lambda: equations.solve_equation(problem, coefficients, TOLERANCE, np.random.default_rng(0)),
    }


def compare(name, dim, turns):
    """A row of the table."""
    ways, x = solvers(name, dim), np.random.default_rng(0).random((500, dim))
    found = {way: solve() for way, solve in ways.items()}
    seconds = timing.interleave(ways, turns)
    one, other = (u.value(x) for u in found.values())
    cells = [f"{each}" for way, u in found.items() for each in (f"{seconds[way]:.2g}", f"{u.error:.0e}")]
    return [f"{name}, {dim}D", *cells, f"{np.linalg.norm(one - other) / np.linalg.norm(other):.0e}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5, help="times that each solver is measured (default: 5)")
    parser.add_argument("--dim", type=int, nargs="+", choices=(1, 2, 3), default=[1, 2, 3], help="dimensions")
    args = parser.parse_args()
    timing.pin()
    warnings.simplefilter("ignore")  # of tolerances that are not met: the estimates are in the table
    print(timing.table(["", "polynomials: s", "estimate", "features: s", "estimate", "apart"], []))
    for dim in args.dim:
        for name in CASES:
            print("| " + " | ".join(compare(name, dim, args.turns)) + " |", flush=True)
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
