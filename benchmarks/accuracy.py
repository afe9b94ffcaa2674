"""Time to a given error of the corrector chi_1 of elliptic2d: the recipe `sharp`, DeepXDE, finite elements.

    python benchmarks/accuracy.py

DeepXDE (PyTorch) in two set-ups, each with Adam, then L-BFGS until it stops, in float64:
    exact   sin and cos features, which make the network periodic; 4-32-32-1, 24 x 24 points
    soft    PeriodicBC on values and first derivatives; the paper's net 2-64-64-64-1, 24 x 24 points and 24 pairs a side
The residual is divided by (2 pi)^2.  Ours has the points, features and net of `exact`.  Errors are relative, in L2,
on 101 x 101 points, against finite elements of order 8; one thread on one core for everybody, the time spent on
measuring errors left out.  The curves go to benchmarks/deepxde.json.
"""

import timing  # first: it sets the number of threads

# isort: split
import argparse
import json
import os
import time
from pathlib import Path

import numpy as np

import fem
import jets
import losses
import sharp
from coefficients import tensor_and_divergence
from problems import PROBLEMS

SIZE, ADAM_STEPS, SEED = 24, 3000, 0
LEVELS = (1e-1, 1e-2, 1e-3, 4.5e-4, 1e-4, 1e-6)
FEM = ((6, 2), (8, 4), (16, 4), (12, 8))  # elements an axis, order
AXES = [np.linspace(0, 1, 101)] * 2


def coefficient(y):
    return PROBLEMS["elliptic2d"].coefficient(y, y)


def fem_corrector(elements, order):
    """chi_1 on the test points."""
    return fem.correctors(coefficient, fem.cell_mesh(2, elements, 1.0, order))[0].on_grid(*AXES)[:, 0]


class Stopwatch:
    """A curve of (seconds, error) of a training, whose clock stands still while errors are measured."""

    def __init__(self, reference):
        self.reference, self.points = reference, losses.grid([(0.0, 1.0)] * 2, len(AXES[0]))
        self.inside = losses.cell_midpoints(2, 1.0, 64)  # for the mean
        self.curve, self.start = [], time.process_time()

    def record(self, corrector):
        """corrector: points (n, 2) -> (n,), up to a constant."""
        now = time.process_time()
        values = corrector(self.points) - corrector(self.inside).mean()
        self.curve.append((now - self.start, fem.relative_error(values, self.reference)))
        self.start += time.process_time() - now


# ---------------------------------------------------------------------------------------------------
# Ours
# ---------------------------------------------------------------------------------------------------


def sharp_curve(reference):
    """Levenberg-Marquardt, as the recipe `sharp` has it in two dimensions, for chi_1 alone."""
    settings = sharp.STRONG[2]
    y = losses.cell_midpoints(2, 1.0, settings.points)
    a, b = tensor_and_divergence(coefficient, y)
    term = sharp.cell_term(None, y, a, b, b[:, 0])
    watch = Stopwatch(reference)

    def errors(trial):
        watch.record(lambda p: sharp.trial_jet(trial, p[None])[0])
        return {}

    sharp.train_cell(lambda iteration: [term], settings, np.random.default_rng(SEED), errors=errors)
    return watch.curve


# ---------------------------------------------------------------------------------------------------
# DeepXDE
# ---------------------------------------------------------------------------------------------------


def deepxde_curve(reference, exact, adam_steps=ADAM_STEPS, lbfgs_steps=15_000):
    os.environ["DDE_BACKEND"] = "pytorch"
    import deepxde as dde
    import torch

    torch.set_num_threads(1)
    dde.config.set_default_float("float64")
    dde.config.set_random_seed(SEED)
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
    conditions, boundary = [], 0
    if not exact:
        boundary = 4 * SIZE
        for axis in (0, 1):

            def on_faces(y, on_boundary, axis=axis):
                return on_boundary and (np.isclose(y[axis], 0) or np.isclose(y[axis], 1))

            conditions += [dde.icbc.PeriodicBC(cell, axis, on_faces, derivative_order=order) for order in (0, 1)]
    y = losses.grid([(0.0, 1 - 1 / SIZE)] * 2, SIZE)
    data = dde.data.PDE(
        cell, residual, conditions, num_domain=0, num_boundary=boundary, train_distribution="uniform", anchors=y
    )
    net = dde.nn.FNN([4, 32, 32, 1] if exact else [2, 64, 64, 64, 1], "tanh", "Glorot uniform")
    if exact:
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


def seconds_to(curve, level):
    """When a curve first gets to an error, or None."""
    return next((seconds for seconds, error in curve if error <= level), None)


def fem_curve(reference):
    found = []
    for size in FEM:
        start = time.process_time()
        chi = fem_corrector(*size)
        found.append((time.process_time() - start, fem.relative_error(chi, reference)))
    return found


def table(curves):
    rows = []
    for name, curve in curves.items():
        times = [seconds_to(curve, level) for level in LEVELS]
        best = min(curve, key=lambda point: point[1])
        cells = ["" if t is None else f"{t:.3g}" for t in times]
        rows.append([name, *cells, f"{best[1]:.1e} after {best[0]:.3g} s"])
    return timing.table(["", *(f"{level:g}" for level in LEVELS), "best"], rows)


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    timing.pin()
    jets.reuse_freed_memory()
    reference = fem_corrector(24, 8)
    contenders = {"finite elements": fem_curve, "sharp": sharp_curve}
    if timing.installed("deepxde", "torch"):
        contenders["DeepXDE, exact"] = lambda reference: deepxde_curve(reference, True)
        contenders["DeepXDE, soft"] = lambda reference: deepxde_curve(reference, False)
    about = {"machine": timing.machine("deepxde", "torch"), "quantity": "relative L2 error of chi_1 of elliptic2d"}
    path, curves = Path(__file__).with_name("deepxde.json"), {}
    for name, run in contenders.items():
        curves[name] = run(reference)
        path.write_text(json.dumps({**about, "curves": curves}, indent=0))
    print("Seconds to a relative error of chi_1.\n")
    print(table(curves))
    print(f"\n{about['machine']}. Curves: benchmarks/{path.name}")


if __name__ == "__main__":
    main()
