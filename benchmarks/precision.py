"""Adam in float32 and in float64: the error that each reaches for its time.

    python benchmarks/precision.py [--seeds K] [--scale F]

Every training runs in float64, in float32, and in float32 with as many epochs more as take the time of float64.
Errors are means over the last epochs, as in the tables of the paper, then over seeds; times are of the processor.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import time

import jets
import numpy as np
from adam import Training, final_average
from coefficients import tensor_and_divergence

import fem
import nhpinn
from lab import experiments
from problems import EXPERIMENTS, PROBLEMS


def cell(problem):
    """Step 1: the error of the correctors, by the settings and the generator of a training."""
    errors = experiments.corrector_errors(problem)

    def run(settings, rng):
        return nhpinn.solve_cells(problem, settings, rng, np.zeros((1, problem.dim)), errors).history

    return run, Training(**EXPERIMENTS[problem.name].cell)


def homogenized(problem):
    """Step 3 with the exact coefficient: e3."""
    if problem.effective is None:
        tensor = fem.homogenized_tensor(lambda y: problem.coefficient(y, y), problem.dim, 16)

        def field(x):
            return np.broadcast_to(tensor, (len(x), *tensor.shape))

        def coefficients(x):
            return field(x), np.zeros_like(x), 0.0
    else:
        field = problem.effective

        def coefficients(x):
            return *tensor_and_divergence(field, x), 0.0

    experiment = EXPERIMENTS[problem.name]
    w = experiments.homogenized_solution(problem, field, 0.0).on_grid(*experiments.test_axes(experiment))
    errors = experiments.errors_at_test_points(experiment, {"e3": w})

    def run(settings, rng):
        return nhpinn.solve_equation(problem, coefficients, settings, rng, errors)[1]

    return run, Training(**EXPERIMENTS[problem.name].homogenized)


# name -> (training, epochs)
TRAININGS = {
    "elliptic2d, correctors": (lambda: cell(PROBLEMS["elliptic2d"]), 2000),
    "elliptic2d, homogenized": (lambda: homogenized(PROBLEMS["elliptic2d"]), 4000),
    "slow1d, homogenized": (lambda: homogenized(PROBLEMS["slow1d"]), 4000),
}


def measure(run, settings, seeds):
    """(mean error, mean processor time)"""
    errors, seconds = [], []
    for seed in range(seeds):
        start = time.process_time()
        history = run(settings, np.random.default_rng(seed))
        seconds.append(time.process_time() - start)
        errors.append([final_average(history, name, settings.average) for name in history.errors])
    return float(np.mean(errors)), float(np.mean(seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="seeds of every training (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the epochs (default: 1)")
    args = parser.parse_args()
    timing.pin()
    jets.reuse_freed_memory()
    rows = []
    for name, (make, epochs) in TRAININGS.items():
        run, settings = make()
        settings = settings._replace(epochs=max(20, round(args.scale * epochs)), every=20)
        found = {}
        for dtype in ("float64", "float32"):
            found[dtype, settings.epochs] = measure(run, settings._replace(dtype=dtype), args.seeds)
        (_, slow), (_, fast) = found.values()
        more = settings._replace(dtype="float32", epochs=round(settings.epochs * slow / fast))
        found["float32", more.epochs] = measure(run, more, args.seeds)
        for (dtype, count), (error, seconds) in found.items():
            rows.append([name, dtype, count, f"{seconds:.1f}", f"{error:.3g}"])
    print(f"Means over {args.seeds} seeds.\n")
    print(timing.table(["training", "precision", "epochs", "seconds", "error"], rows))
    print(f"\n{timing.machine()}")


if __name__ == "__main__":
    main()
