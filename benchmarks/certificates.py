"""How sharp the guaranteed error bar is: the true error, the bound and their ratio against eps; and two PINNs judged.

    python benchmarks/certificates.py

The true error |a^(1/2) grad(u_eps - v)| / |a^(1/2) grad u_eps| is against finite elements that resolve eps, by their
own quadrature.  `change` is by how much it moves, relative, if these have two thirds of the elements.
The last table has classical PINNs, trained here as in the paper: what `certify` says of them, and the truth.
"""

import timing  # first: it sets the number of threads

# isort: split
import time

import numpy as np

import fem
import nhpinn
from lab.settings import split
from problems import EXPERIMENTS

SMALLEST = {"const1d": 64, "slow1d": 64, "elliptic2d": 32}  # 1 / eps
ELEMENTS, ORDER = {1: 12, 2: 3}, 6  # a period and an axis


def energy_errors(problem, gradients):
    """Relative errors in the energy norm of candidates, given by gradients (n, dim) as functions of points."""
    errors = []
    for part in (2 / 3, 1):
        size = max(high - low for low, high in problem.domain)
        count = round(part * ELEMENTS[problem.dim] * size / problem.eps)
        space = fem.space(mesh := fem.Mesh(problem.domain, count, ORDER))
        fine = fem.solve_elliptic(lambda x: problem.coefficient(x, x / problem.eps), problem.source, mesh)
        x = space.points
        slope = np.stack([D @ fine.nodal for D in space.D], axis=1)
        w = space.weights * problem.coefficient(x, x / problem.eps)
        norm = w @ np.sum(slope**2, axis=1)
        errors.append([np.sqrt(w @ np.sum((slope - of(x)) ** 2, axis=1) / norm) for of in gradients])
    return errors[1], [abs(coarse / full - 1) for coarse, full in zip(*errors, strict=True)]


def main():
    print("| problem | eps | true | bound | ratio | change | processor seconds |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    solutions = {}
    for name, most in SMALLEST.items():
        for k in (4, 8, 16, 32, 64):
            if k <= most:
                problem, start = EXPERIMENTS[name].problem._replace(eps=1 / k), time.process_time()
                u = nhpinn.solve(problem.coefficient, problem.source, problem.domain, problem.eps)
                seconds = time.process_time() - start
                (true,), (change,) = energy_errors(problem, [u.gradient])
                row = f"| {name} | 1/{k} | {true:.3e} | {u.error:.3e} | {u.error / true:.4f} | {change:.0e} |"
                print(row, f"{seconds:.1f} |", flush=True)
                if k == 8:
                    solutions[name] = u
    print("\n| classical PINN | at least | at most | true |\n| --- | ---: | ---: | ---: |")
    for name in ("const1d", "slow1d"):
        problem, training = EXPERIMENTS[name].problem, split(EXPERIMENTS[name].classical)[0]
        pinn = nhpinn.classical_pinn(problem, training, 0)
        value, slope = (lambda x, k=k, pinn=pinn: pinn(x)[k] for k in (0, 1))
        low, high = nhpinn.certify(solutions[name], value, slope)
        (true,), _ = energy_errors(problem, [slope])
        print(f"| {name} | {low:.4f} | {high:.4f} | {true:.4f} |", flush=True)
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
