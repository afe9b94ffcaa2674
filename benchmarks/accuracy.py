"""Time to a given error of the corrector chi_1 of elliptic2d: the recipe `sharp` beside classical and trained ones.

    python benchmarks/accuracy.py

DeepXDE (PyTorch) has the residual divided by (2 pi)^2, sin and cos features, which make the network 4-32-32-1 periodic,
24 x 24 points, and Adam, then L-BFGS, in float64.  Levenberg-Marquardt in jitted JAX has the same residual, network and
points; its compilation is not counted.  The recipe `sharp` solves for chi_2 as well, whose right-hand side is for free.
Errors are relative, in L2, on 101 x 101 points, against finite elements of order 8; one thread on one core for
everybody, the time spent on measuring errors left out.  All but DeepXDE take turns, with another seed in each: medians.
The curves go to benchmarks/accuracy.json.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import json
import os
import time
from pathlib import Path

import fourier
import numpy as np

import fem
import fem_cells
from lab.training import reuse_freed_memory
from nhpinn_functions import grid, midpoints, tensor_and_divergence
from nhpinn_networks import init_network
from nhpinn_tools import features
from problems import PROBLEMS

SIZE, TURNS, STEPS = 24, 5, 100  # of Levenberg-Marquardt
LEVELS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
FEM = ((4, 2), (6, 4), (8, 4), (16, 4), (12, 6), (12, 8))  # elements an axis, order
SHARP = ((100, 15), (200, 20), (400, 28), (600, 32), (800, 36), (1600, 52))  # features, points an axis
FOURIER = ((9, 2), (9, 4), (15, 6), (15, 8), (25, 12), (27, 15), (45, 25))  # points an axis, steps
AXES = [np.linspace(0, 1, 101)] * 2


def coefficient(y):
    return PROBLEMS["elliptic2d"].coefficient(y, y)


def fem_correctors(elements, order):
    return fem_cells.correctors(coefficient, fem_cells.cell_mesh(2, elements, 1.0, order))[0]


def first(correctors):
    """chi_1 on the test points."""
    return correctors.on_grid(*AXES)[:, 0]


class Stopwatch:
    """A curve of (seconds, error) of a training, whose clock stands still while errors are measured."""

    def __init__(self, reference):
        self.reference, self.points = reference, grid([(0.0, 1.0)] * 2, len(AXES[0]))
        self.inside = midpoints(2, 1.0, 64)  # for the mean
        self.curve, self.start = [], time.process_time()

    def record(self, corrector):
        """corrector: points (n, 2) -> (n,), up to a constant."""
        now = time.process_time()
        values = corrector(self.points) - corrector(self.inside).mean()
        self.curve.append((now - self.start, fem.relative_error(values, self.reference)))
        self.start += time.process_time() - now


# ---------------------------------------------------------------------------------------------------
# Ours, and what is classical
# ---------------------------------------------------------------------------------------------------


def sharp_curve(reference, seed):
    """The recipe `sharp` by more and more features, each from the beginning."""
    return [sharp_point(reference, *size, np.random.default_rng(seed)) for size in SHARP]


def sharp_point(reference, count, points, rng):
    watch = Stopwatch(reference)
    hidden = features.periodic_features(2, count, 1.0, rng)
    y = midpoints(2, 1.0, points)
    a, b = tensor_and_divergence(coefficient, y)
    c = features.solve_cell(hidden, y, a, b, b.T)[:, 0]  # of both correctors, by one factorisation
    watch.record(lambda p: hidden.jet(p[None])[0] @ c)
    return watch.curve[0]


def fourier_curve(reference, seed):
    """Conjugate gradients on trigonometric polynomials, preconditioned by the Laplacian."""
    curve = []
    for points, steps in FOURIER:
        watch = Stopwatch(reference)
        a = coefficient(midpoints(2, 1.0, points)).reshape(points, points)
        chi, _ = fourier.corrector(a, 0, steps)
        watch.record(lambda p, chi=chi: trigonometric(chi, p))
        curve += watch.curve
    return curve


def trigonometric(values, points):
    """The trigonometric interpolant of values at the midpoints of n ** 2 boxes of the unit cell, at any points."""
    n = len(values)
    k = np.fft.fftfreq(n, 1 / n)
    spectrum = np.fft.fft2(values) / n**2 * np.exp(-1j * np.pi * (k[:, None] + k) / n)
    x, y = (np.exp(2j * np.pi * np.outer(points[:, axis], k)) for axis in (0, 1))
    return np.einsum("pk,kl,pl->p", x, spectrum, y, optimize=True).real


def fem_curve(reference, seed):
    found = []
    for size in FEM:
        start = time.process_time()
        chi = fem_correctors(*size)
        seconds = time.process_time() - start
        found.append((seconds, fem.relative_error(first(chi), reference)))
    return found


# ---------------------------------------------------------------------------------------------------
# Levenberg-Marquardt, compiled by JAX: what a trained network can do at best
# ---------------------------------------------------------------------------------------------------


def jax_curve(reference, seed, steps=STEPS):
    """4-32-32-1 with sin and cos features, 24 x 24 points; steps that lower the loss divide the damping by 5."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    jax.config.update("jax_enable_x64", True)
    rng, two_pi, y = np.random.default_rng(seed), 2 * np.pi, jnp.asarray(midpoints(2, 1.0, SIZE))
    params, unravel = ravel_pytree(init_network((4, 32, 32, 1), rng))

    def network(params, y):
        z = jnp.concatenate([jnp.sin(two_pi * y), jnp.cos(two_pi * y)])
        for W, b in params[:-1]:
            z = jnp.tanh(z @ W + b)
        return (z @ params[-1][0] + params[-1][1])[0]

    def residual(vector, y):
        """At one point."""
        s, c = jnp.sin(two_pi * y), jnp.cos(two_pi * y)
        a, slope = 2 + s[0] * c[1], two_pi * jnp.array([c[0] * c[1], -s[0] * s[1]])
        gradient = jax.grad(lambda y: network(unravel(vector), y))
        (g, first), (_, second) = (jax.jvp(gradient, (y,), (e,)) for e in jnp.eye(2))
        return (a * (first[0] + second[1]) + slope @ g + slope[0]) / two_pi**2

    @jax.jit
    def linearised(vector):
        r, J = jax.vmap(jax.value_and_grad(residual), (None, 0))(vector, y)  # a row of J is of one point alone
        return r, J, J @ J.T

    @jax.jit
    def tried(vector, r, J, products, damping):
        """J^T (J J^T + damping)^-1 r is (J^T J + damping)^-1 J^T r, and there are fewer points than parameters."""
        new = vector - J.T @ jax.scipy.linalg.solve(products + damping * jnp.eye(len(r)), r, assume_a="pos")
        return new, jnp.sum(jax.vmap(residual, (None, 0))(new, y) ** 2)

    values = jax.jit(lambda vector, p: jax.vmap(lambda q: network(unravel(vector), q))(p))
    tried(params, *linearised(params), 1e-2)  # compiles, outside of the clock
    watch, damping = Stopwatch(reference), 1e-2
    for _ in range(steps):
        r, J, products = linearised(params)
        while damping < 1e10:
            new, loss = tried(params, r, J, products, damping)
            if loss < r @ r:
                params, damping = new, damping / 5
                break
            damping *= 2
        jax.block_until_ready(params)
        watch.record(lambda p, v=params: np.asarray(values(v, p)))
    return watch.curve


# ---------------------------------------------------------------------------------------------------
# DeepXDE
# ---------------------------------------------------------------------------------------------------


def deepxde_curve(reference, adam_steps=3000, lbfgs_steps=5000):
    os.environ["DDE_BACKEND"] = "pytorch"
    import deepxde as dde
    import torch

    torch.set_num_threads(1)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(0)
    two_pi = 2 * np.pi

    def waves(y):
        return torch.cat([torch.sin(two_pi * y), torch.cos(two_pi * y)], dim=1)

    def residual(y, chi):
        s, c = torch.sin(two_pi * y), torch.cos(two_pi * y)
        a = 2 + s[:, :1] * c[:, 1:]
        a_1, a_2 = two_pi * c[:, :1] * c[:, 1:], -two_pi * s[:, :1] * s[:, 1:]
        slope = dde.grad.jacobian(chi, y, i=0)
        lap = dde.grad.hessian(chi, y, i=0, j=0) + dde.grad.hessian(chi, y, i=1, j=1)
        return (a * lap + a_1 * (slope[:, :1] + 1) + a_2 * slope[:, 1:]) / two_pi**2

    cell = dde.geometry.Rectangle([0, 0], [1, 1])
    y = grid([(0.0, 1 - 1 / SIZE)] * 2, SIZE)
    data = dde.data.PDE(cell, residual, [], num_domain=0, num_boundary=0, train_distribution="uniform", anchors=y)
    net = dde.nn.FNN([4, 32, 32, 1], "tanh", "Glorot uniform")
    net.apply_feature_transform(waves)
    model = dde.Model(data, net)
    watch = Stopwatch(reference)

    def values(points):
        with torch.no_grad():
            return net(torch.as_tensor(points)).numpy()[:, 0]

    class Record(dde.callbacks.Callback):
        def on_epoch_end(self):
            if self.model.train_state.step % 100 == 0 or self.model.opt_name != "adam":
                watch.record(values)

    model.compile("adam", lr=1e-3)
    model.train(iterations=adam_steps, display_every=10**6, callbacks=[Record()], verbose=0)
    dde.optimizers.set_LBFGS_options(maxiter=lbfgs_steps)
    options = dde.optimizers.config.LBFGS_options
    options |= {"iter_per_step": 100, "fun_per_step": 125}  # how often it comes back to record an error
    model.compile("L-BFGS")
    model.train(display_every=10**6, callbacks=[Record()], verbose=0)
    return watch.curve


def median(curves):
    """Of curves of one length, point by point."""
    return np.median(curves, axis=0).tolist()


def in_turns(contenders, reference, turns):
    """{name: median curve}"""
    curves = {name: [] for name in contenders}
    for seed in range(turns):
        for name, run in contenders.items():
            curves[name].append(run(reference, seed))
    return {name: median(found) for name, found in curves.items()}


def seconds_to(curve, level):
    """When a curve first gets to an error, or None."""
    return next((seconds for seconds, error in curve if error <= level), None)


def table(curves):
    rows = []
    for name, curve in curves.items():
        times = [seconds_to(curve, level) for level in LEVELS]
        best = min(curve, key=lambda point: point[1])
        cells = ["" if t is None else f"{t:.3g}" for t in times]
        rows.append([name, *cells, f"{best[1]:.1e} after {best[0]:.3g} s"])
    return timing.table(["", *(f"{level:g}" for level in LEVELS), "best"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=TURNS, help="of all but DeepXDE (default: 5)")
    parser.add_argument("--quick", action="store_true", help="leave out DeepXDE, which takes minutes")
    args = parser.parse_args()
    timing.pin()
    reuse_freed_memory()
    reference = first(fem_correctors(24, 8))
    contenders = {"Fourier conjugate gradients": fourier_curve, "finite elements": fem_curve, "sharp": sharp_curve}
    if timing.installed("jax"):
        contenders["Levenberg-Marquardt, JAX"] = jax_curve
    curves = in_turns(contenders, reference, args.turns)
    if not args.quick and timing.installed("deepxde", "torch"):
        curves["DeepXDE"] = deepxde_curve(reference)
    machine = timing.machine("deepxde", "torch", "jax")
    about = {"machine": machine, "quantity": "relative L2 error of chi_1 of elliptic2d", "point": "seconds, error"}
    print(f"Seconds to a relative error of chi_1.\n\n{table(curves)}\n\n{machine}")
    if not args.quick:
        path = Path(__file__).with_name("accuracy.json")
        rounded = {name: [[float(f"{x:.3g}") for x in p] for p in curve] for name, curve in curves.items()}
        path.write_text(json.dumps({**about, "curves": rounded}) + "\n")
        print(f"Curves: benchmarks/{path.name}")


if __name__ == "__main__":
    main()
