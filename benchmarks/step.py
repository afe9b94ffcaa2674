"""One training step of the cell problem of elliptic2d: ours, the bare matrix products, PyTorch, JAX.

    python benchmarks/step.py [--turns N]

A step is the loss mean |a lap chi + grad a . grad chi + d_1 a|^2, its gradient over the parameters of a
2-64-64-64-1 tanh network, and the Adam update.  Everybody gets the same points, coefficients and parameters
and one thread on one core, and is checked against ours before it is timed.  The peers are in step_torch.py and
step_jax.py, and are left out where they are not installed.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
from typing import NamedTuple

import numpy as np
from autograd import value_and_grad

import nhpinn
import nhpinn_functions
import nhpinn_networks as nets
from lab.training import cast, reuse_freed_memory
from nhpinn_functions import tensor_and_divergence
from problems import PROBLEMS

SIZES = (2, 64, 64, 64, 1)
POINTS = (23, 101)  # per axis
TOLERANCE = {"float64": 1e-8, "float32": 1e-4}  # between losses, and between gradients


class Job(NamedTuple):
    """The data of a step, all of one precision."""

    x: np.ndarray  # (n, 2)
    a: np.ndarray  # (n,)
    b: np.ndarray  # (n, 2): grad a
    f: np.ndarray  # (n,): d_1 a
    params: list
    rate: float


def job(points, dtype):
    problem = PROBLEMS["elliptic2d"]
    x = nhpinn_functions.grid([(0.0, 1.0)] * 2, points)
    a, b = tensor_and_divergence(lambda y: problem.coefficient(y, y), x)
    arrays = (np.ascontiguousarray(array, dtype=dtype) for array in (x, a[:, 0, 0], b, b[:, 0]))
    params = [tuple(a.astype(dtype) for a in pair) for pair in nets.init_network(SIZES, np.random.default_rng(0))]
    return Job(*arrays, params, 2e-3)


def loss(job):
    """The loss of a job as nhpinn has it."""
    a = job.a[:, None, None] * np.eye(2)
    term = nets.equation_term(job.x, a, job.b, np.zeros(len(job.x)), job.f, 1.0)
    return cast(nets.Loss((term,)), job.x.dtype)


# A contender is a pair of functions: a training step, complete when it returns, and the loss and its gradient
# as one vector at the initial parameters.


def ours(job):
    states = nhpinn.adam(loss(job), job.params, nhpinn.Training(SIZES[1:-1], 0, (1.0,), job.rate, epochs=10**9))

    def loss_and_gradient():
        value, gradient = value_and_grad(loss(job))(job.params)
        return value, nets.flatten(gradient)

    return lambda: next(states), loss_and_gradient


def matrix_products(job):
    """The matrix products of our step and nothing else: its blocks and stacks, into arrays that exist already.

    The layers' inputs, which the backward pass needs again, stay in memory as in ours; all else shares its place.
    """
    lengths = [len(part.weight) for part in nets.blocks(loss(job).terms[0], job.params)]
    rows = 4 * lengths[0]  # value, two derivatives, the operator
    inputs = [np.ones((rows, m), job.x.dtype) for m in SIZES[:-1]]
    outputs = {k: np.ones((rows, k), job.x.dtype) for k in SIZES}
    gradients = {m: np.ones((rows, m), job.x.dtype) for m in SIZES}
    products = []

    def multiply(z, W, out):
        products.extend(zip(nets.by_rows(z), (W, W), nets.by_rows(out), strict=True))

    def multiply_transposed(z, g):
        for left, right in zip(nets.by_rows(z), nets.by_rows(g), strict=True):
            out = np.empty((len(left), z.shape[1], g.shape[1]), z.dtype)
            products.append((np.swapaxes(left, 1, 2), right, out))

    for n in (4 * length for length in lengths):
        layers = [(z[:n], W, outputs[W.shape[1]][:n]) for z, (W, _) in zip(inputs, job.params, strict=True)]
        for z, W, out in layers:
            multiply(z, W, out)
        for layer, (z, W, g) in reversed(list(enumerate(layers))):
            multiply_transposed(z, g)  # gradient over the weights
            if layer:
                multiply(g, np.ascontiguousarray(W.T), gradients[len(W)][:n])  # gradient over the inputs

    def step():
        for left, right, out in products:
            np.matmul(left, right, out=out)

    return step, None


def contenders():
    """{name: job -> contender}, ours and the products first."""
    found = {"nhpinn": ours, "matrix products alone": matrix_products}
    if timing.installed("torch"):
        import step_torch

        found |= step_torch.contenders()
    if timing.installed("jax"):
        import step_jax

        found |= step_jax.contenders()
    return found


def check(made, dtype):
    """Raises AssertionError where a contender's loss or gradient differs from ours."""
    loss, gradient = made["nhpinn"][1]()
    for name, (_, loss_and_gradient) in made.items():
        if loss_and_gradient is not None:
            other, slope = loss_and_gradient()
            assert abs(other - loss) <= TOLERANCE[dtype] * loss, (name, dtype, other, loss)
            difference = np.linalg.norm(slope - gradient) / np.linalg.norm(gradient)
            assert difference <= TOLERANCE[dtype], (name, dtype, difference)


def ratios(times):
    """The best PyTorch to ours, the best JAX to ours, ours to the products."""

    def best(prefix):
        return min((t for name, t in times.items() if name.startswith(prefix)), default=np.nan)

    mine = times["nhpinn"]
    return best("PyTorch,") / mine, best("JAX,") / mine, mine / times["matrix products alone"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=25, help="times that each contender is measured (default: 25)")
    turns = parser.parse_args().turns
    timing.pin()
    reuse_freed_memory()
    makers, columns = contenders(), {}
    for dtype in TOLERANCE:
        for points in POINTS:
            data = job(points, dtype)
            made = {name: make(data) for name, make in makers.items()}
            check(made, dtype)
            columns[f"{points**2}, {dtype}"] = timing.interleave(
                {name: step for name, (step, _) in made.items()}, turns
            )
    rows = [
        [name, *(f"{1e3 * t[name]:.2f} ({t[name] / t['nhpinn']:.2f})" for t in columns.values())] for name in makers
    ]
    labels = ("best PyTorch / nhpinn", "best JAX formulation / nhpinn", "nhpinn / matrix products")
    for label, *values in zip(labels, *map(ratios, columns.values()), strict=True):
        rows.append([label, *(f"{value:.2f}" for value in values)])
    print("Milliseconds a step, and in parentheses the ratio to ours; medians.\n")
    print(timing.table(["points, precision", *columns], rows))
    print(f"\n{timing.machine('torch', 'jax')}")


if __name__ == "__main__":
    main()
