"""Seconds against guaranteed errors: `solve` with a tolerance, beside plain finite elements of the same true error.

    python benchmarks/refinement.py [--quick]

In two dimensions the equation is that of `elliptic2d`, in one that of `const1d`; errors are relative, in the energy
norm.  The bar is what `solve` guarantees.  True errors are against elements of order 9, four a period, where these fit;
plain elements, those of solve.py, are as few as reach the true error: how wrong they are is known by such a finer
solution alone, whose seconds are not counted.  Seconds are of the processor, one thread, all that `solve` does.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import math

import numpy as np
import solve as plain

import fem
import nhpinn
from problems import PROBLEMS

TOLERANCES = {2: (1e-2, 1e-3, 1e-4), 1: (1e-4, 1e-8)}
PERIODS = {2: (4, 8, 16, 32, 64), 1: (8, 100, 1000)}  # 1 / eps
FINE, MOST = (4, 9), 16  # elements a period and order of the truth, 1 / eps up to which it fits
LADDER = ((3, 4), (3, 5), (4, 5), (4, 6), (5, 6), (5, 7), (6, 8))  # the same of plain elements


def solved(problem, dim, eps, tolerance):
    box = [(0, 1)] * dim
    return nhpinn.solve(problem.coefficient, problem.source, box, eps, period=problem.period, tolerance=tolerance)


def truth_of(eps):
    """plain.Reference: the gradient of the fine elements."""
    case, (count, order) = plain.CASES[2], FINE
    fine = plain.elements(case, 2, eps, round(count / eps), order)
    x, w = fem.gauss(np.linspace(0, 1, round(2 * count / eps) + 1), 6)
    weights = np.kron(w, w) * case.coefficient(fem.tensor_grid([x, x]) / eps)
    return plain.Reference([x, x], plain.slopes_of(fine, [x, x]), weights)


def as_wrong(eps, truth, error):
    """Seconds, elements a period and order of plain elements whose error is at most this one."""
    for count, order in LADDER:
        field, seconds = plain.seconds_of(plain.elements, plain.CASES[2], 2, eps, round(count / eps), order)
        if truth.error(plain.slopes_of(field, truth.axes)) <= error:
            return f"{seconds:.2g}", f"{count} a period, order {order}"
    return "more", "than these"


def cells(dim, periods, tolerance, truth):
    u, seconds = plain.seconds_of(solved, PROBLEMS[{1: "const1d", 2: "elliptic2d"}[dim]], dim, 1 / periods, tolerance)
    added = u.certificate.scales.elements
    row = [
        f"1/{periods}",
        f"{tolerance:g}",
        f"{seconds:.2g}",
        f"{u.error:.1e}",
        f"{added.values.size:,}" if added else "0",
    ]
    if dim == 1:
        return row
    error = truth.error(u.certificate.on_grid(truth.axes, flux=False)[1]) if truth else math.nan
    return [*row, *([f"{error:.1e}", *as_wrong(1 / periods, truth, error)] if truth else ["*"] * 3)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the largest eps alone")
    args = parser.parse_args()
    for dim in (2, 1):
        solved(PROBLEMS["elliptic2d" if dim == 2 else "const1d"], dim, 1 / 4, 0.1)  # whatever is done once
        head = [f"{dim}D", "tolerance", "solve: s", "bar", "unknowns"] + ["error", "elements to that: s", "with"] * (
            dim == 2
        )
        rows = []
        for periods in PERIODS[dim][: 1 if args.quick else None]:
            truth = truth_of(1 / periods) if dim == 2 and periods <= MOST else None
            rows += [cells(dim, periods, tolerance, truth) for tolerance in TOLERANCES[dim]]
        print(timing.table(head, rows), flush=True)
    print(timing.machine())


if __name__ == "__main__":
    main()
