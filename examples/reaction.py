"""A reaction of mean zero that makes a solution grow.

    u_t - u_xx + r(x/eps) u / eps = 0  on [0, 1],  u = 0 at both ends,  u = sin(pi x) at t = 0,  eps = 1/16
    r(y) = K cos(2 pi y),  K = 10 pi

The reaction neither adds nor removes on average, yet r* = -K^2 / (2 (2 pi)^2) = -12.5, below -pi^2: what diffusion
alone would damp by exp(-pi^2 t) grows by exp((12.5 - pi^2) t).

    python examples/reaction.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import fem
import nhpinn

K, EPS, TIME = 10 * np.pi, 1 / 16, 0.5


def reaction(y):
    return K * np.cos(2 * np.pi * y[:, 0])


def initial(x):
    return np.sin(np.pi * x[:, 0])


def constant(value):
    return lambda x, y=None: value + 0 * x[:, 0]


def draw(x, curves, path):
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 4.4), layout="constrained")
    for (label, values), style in zip(curves.items(), ("k-", "C1--", "C0-", "C7:", "C7-."), strict=True):
        panel.plot(x, values, style, label=label)
    panel.set(title=f"a reaction of mean zero makes u grow: t = {TIME:g}", xlabel="$x$", ylabel="$u$")
    panel.legend(fontsize=8)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    one, zero = constant(1.0), constant(0.0)
    u = nhpinn.solve(one, zero, box=[(0, 1)], eps=EPS, reaction=reaction, initial=initial, final_time=TIME)
    x = np.linspace(0, 1, 801)[:, None]
    mesh, r = fem.Mesh(((0, 1),), 64, 4), lambda x: reaction(x / EPS) / EPS
    fine = fem.solve_parabolic(one, zero, initial, TIME, 400, mesh, r).on_grid(x[:, 0])
    error = np.linalg.norm(u(x) - fine) / np.linalg.norm(fine)
    print(u)
    print(f"relative distance from elements that resolve eps: {error:.3f}")
    assert abs(u.coefficients.reaction + 12.5) < 1e-6 and error < 0.1
    curves = {"elements that resolve $\\epsilon$": fine, "this method": u(x), "homogenized": u.homogenized(x)}
    curves |= {"at the start": initial(x), "without the reaction": np.exp(-(np.pi**2) * TIME) * initial(x)}
    if find_spec("matplotlib"):
        draw(x, curves, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
