"""Bars in L2 at the final time, one dimension, beside the true errors: reactions by their ground state, and diffusion.

    python benchmarks/parabolic.py

The truth: Galerkin's method with sines for reactions, exact in time, and elements that resolve eps for diffusion.
"""

import time
from typing import NamedTuple

import autograd.numpy as np
import numpy

import fem
import nhpinn

PI = np.pi


class Case(NamedTuple):
    name: str
    strength: float  # of r = strength cos y, on the period 2 pi
    D: float
    eps: float
    final: float
    source: object


def sine(x):
    return np.sin(x[:, 0])


def fast(x):
    return np.sin(2 * PI * x[:, 0])


def one(x):
    return 1 + 0 * x[:, 0]


CASES = (
    Case("reaction10", 1, 2, 1 / 10, 1, fast),
    Case("reaction50", 1, 2, 1 / 50, 1, fast),
    Case("r = 8 cos", 8, 2, 1 / 40, 0.5, one),
    Case("r = 5 cos", 5, 1, 1 / 100, 10, one),
    Case("r = 50 cos", 50, 1, 1 / 100, 0.1, one),
)


def by_sines(case, x, count=1200):
    """u at the final time on (-pi, pi), u = 0 at the ends, u = sin x at t = 0."""
    k = numpy.arange(1, count + 1) / 2
    q, w = fem.gauss(numpy.linspace(-PI, PI, 1001), 6)
    S = numpy.sin(numpy.outer(q + PI, k)) / numpy.sqrt(PI)
    reaction = case.strength * numpy.cos(q / case.eps) / case.eps
    rates, modes = numpy.linalg.eigh(numpy.diag(case.D * k**2) + S.T @ ((w * reaction)[:, None] * S))
    start, load = (modes.T @ (S.T @ (w * f(q[:, None]))) for f in (sine, case.source))
    c = start * numpy.exp(-rates * case.final) - load * numpy.expm1(-rates * case.final) / rates
    return numpy.sin(numpy.outer(x + PI, k)) / numpy.sqrt(PI) @ (modes @ c)


def report(name, u, x, exact, seconds):
    true = fem.relative_error(u(x[:, None]), exact)
    print(f"| {name} | 1/{round(1 / u.problem.eps)} | {true:.1e} | {u.error:.1e} | {seconds:.1f} |", flush=True)


def main():
    print("| problem | eps | true | bound | processor seconds |\n| --- | --- | ---: | ---: | ---: |")
    x = numpy.linspace(-PI, PI, 4001)
    for case in CASES:
        clock = time.process_time()
        u = nhpinn.solve(
            lambda x, y, case=case: case.D + 0 * y[:, 0], case.source, [(-PI, PI)], case.eps, period=2 * PI,
            reaction=lambda y, case=case: case.strength * np.cos(y[:, 0]), initial=sine, final_time=case.final,
        )  # fmt: skip
        seconds = time.process_time() - clock
        report(case.name, u, x, by_sines(case, x), seconds)
    x = numpy.linspace(0, 1, 2001)
    for name, slope in (("diffusion, a = 2 + 1.5 sin 2 pi y", 0), ("the same + x", 1)):
        for count in (8, 32):
            a = lambda x, y, slope=slope: 2 + 1.5 * np.sin(2 * PI * y[:, 0]) + slope * x[:, 0]  # noqa: E731
            source, start = lambda x: 1 + x[:, 0], lambda x: np.sin(PI * x[:, 0])
            clock = time.process_time()
            u = nhpinn.solve(a, source, [(0, 1)], 1 / count, initial=start, final_time=0.2)
            seconds, mesh = time.process_time() - clock, fem.Mesh(((0.0, 1.0),), 8 * count, 4)
            fine = fem.solve_parabolic(lambda x, a=a, n=count: a(x, n * x), source, start, 0.2, 800, mesh)
            report(name, u, x, fine.on_grid(x), seconds)


if __name__ == "__main__":
    main()
