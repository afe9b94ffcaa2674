"""Adam in float32 and in float64: the error that each reaches for its time.

    python benchmarks/precision.py [--seeds K] [--scale F]

Every training runs in float64, in float32, and in float32 with as many epochs more as take the time of float64.
Errors are means over the last epochs, as in the tables of the paper, then over seeds; times are of the processor.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import time

import numpy as np

import fem_cells
import nhpinn
from lab import experiments
from lab.settings import split
from lab.training import final_averages, recorder, reuse_freed_memory
from nhpinn_functions import tensor_and_divergence
from problems import EXPERIMENTS


def cell(experiment):
    """Step 1: the error of the correctors, by the settings and the generator of a training."""
    problem, errors, histories = experiment.problem, {"cell": experiments.corrector_errors(experiment.problem)}, {}

    def run(settings, options, rng):
        train = recorder(options, errors, histories)
        nhpinn.solve_cells(problem, settings, rng, np.zeros((1, problem.dim)), train)
        return histories["cell"]

    return run, *split(experiment.cell)


def homogenized(experiment):
    """Step 3 with the exact coefficient: e3."""
    problem, histories = experiment.problem, {}
    if problem.effective is None:
        tensor = fem_cells.homogenized_tensor(lambda y: problem.coefficient(y, y), problem.dim, 16)

        def field(x):
            return np.broadcast_to(tensor, (len(x), *tensor.shape))

        def coefficients(x):
            return field(x), np.zeros_like(x), 0.0
    else:
        field = problem.effective

        def coefficients(x):
            return *tensor_and_divergence(field, x), 0.0

    w = experiments.homogenized_solution(problem, field, 0.0).on_grid(*experiments.error_axes(experiment))
    errors = {"homogenized": experiments.solution_errors(experiment, {"e3": w})}

    def run(settings, options, rng):
        nhpinn.solve_equation(problem, coefficients, settings, rng, train=recorder(options, errors, histories))
        return histories["homogenized"]

    return run, *split(experiment.homogenized)


# name -> (training, epochs)
TRAININGS = {
    "elliptic2d, correctors": (lambda: cell(EXPERIMENTS["elliptic2d"]), 2000),
    "elliptic2d, homogenized": (lambda: homogenized(EXPERIMENTS["elliptic2d"]), 4000),
    "slow1d, homogenized": (lambda: homogenized(EXPERIMENTS["slow1d"]), 4000),
}


def measure(run, settings, options, seeds):
    """(mean error, mean processor time)"""
    errors, seconds = [], []
    for seed in range(seeds):
        start = time.process_time()
        history = run(settings, options, np.random.default_rng(seed))
        seconds.append(time.process_time() - start)
        errors.append(list(final_averages(history, options).values()))
    return float(np.mean(errors)), float(np.mean(seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every training (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the epochs (default: 1)")
    args = parser.parse_args()
    timing.pin()
    reuse_freed_memory()
    rows = []
    for name, (make, epochs) in TRAININGS.items():
        run, settings, options = make()
        settings, options = settings._replace(epochs=max(20, round(args.scale * epochs))), options._replace(every=20)
        double, single, found = options._replace(dtype="float64"), options._replace(dtype="float32"), {}
        found["float64", settings.epochs] = _, slow = measure(run, settings, double, args.seeds)
        found["float32", settings.epochs] = _, fast = measure(run, settings, single, args.seeds)
        more = settings._replace(epochs=round(settings.epochs * slow / fast))
        found["float32", more.epochs] = measure(run, more, single, args.seeds)
        for (dtype, count), (error, seconds) in found.items():
            rows.append([name, dtype, count, f"{seconds:.1f}", f"{error:.3g}"])
    print(f"Means over {args.seeds} seeds.\n")
    print(timing.table(["training", "precision", "epochs", "seconds", "error"], rows))
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
