"""The error bar against eps, beside the true error.

    -div( a(x/eps) grad u ) = 1 on the unit square,  u = 0 on its boundary,  a = 2 + sin(2 pi y1) cos(2 pi y2)

Nothing of the scale eps is solved for the bar; the true error takes finite elements that resolve eps.

    python examples/certificate.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import fem
import nhpinn


def coefficient(x, y):
    return 2 + np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])


def source(x):
    return 1 + 0 * x[:, 0]


def true_error(u, eps):
    """In the energy norm: elements of order 6, three a period; 32 Gauss points a period see the layers of u."""
    fine = fem.solve_elliptic(lambda x: coefficient(x, x / eps), source, fem.Mesh(((0, 1),) * 2, round(3 / eps), 6))
    axis, weights = fem.gauss(np.linspace(0, 1, round(8 / eps) + 1), 4)
    x = fem.tensor_grid([axis, axis])
    slope = np.stack([fine.on_grid(axis, axis, along=(i,)) for i in (0, 1)], axis=1)
    a = np.kron(weights, weights) * coefficient(x, x / eps)
    return np.sqrt(a @ np.sum((slope - u.gradient(x)) ** 2, axis=1) / (a @ np.sum(slope**2, axis=1)))


def draw(scales, bars, true, path):
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6, 4.5), layout="constrained")
    panel.loglog(scales, bars, "s-", label="guaranteed, without a fine solution")
    panel.loglog(scales, true, "o--", label="true, by elements that resolve $\\epsilon$")
    panel.set_xticks(scales, [f"1/{round(1 / eps)}" for eps in scales])
    panel.set_yticks([0.003, 0.005, 0.01], ["0.3 %", "0.5 %", "1 %"])
    panel.minorticks_off()
    panel.set(title="relative error in the energy norm", xlabel="$\\epsilon$", ylim=(0.002, 0.015))
    panel.legend(loc="lower right")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    scales, bars, true = [1 / 4, 1 / 8, 1 / 16], [], []
    for eps in scales:
        u = nhpinn.solve(coefficient, source, [(0, 1), (0, 1)], eps)
        bars, true = [*bars, u.error], [*true, true_error(u, eps)]
        print(f"eps = 1/{round(1 / eps)}: guaranteed {bars[-1]:.4f}, true {true[-1]:.4f}")
    assert all(error <= bar <= 2 * error for error, bar in zip(true, bars, strict=True))
    if find_spec("matplotlib"):
        draw(scales, bars, true, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
