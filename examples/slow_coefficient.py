"""A coefficient that varies in x as well: the homogenized tensor is a field.

    -div( a(x, x/eps) grad u ) = 1 on the unit square,  u = 0 on its boundary,  eps = 1/8
    a(x, y) = 2 + A(x) sin(2 pi y1),  A from 0 at the boundary to 1.2 in the middle

Layers conduct along themselves with the mean, 2, and across with the harmonic mean, sqrt(4 - A^2): that is the truth.

    python examples/slow_coefficient.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn


def amplitude(x):
    return 1.2 * np.prod(4 * x * (1 - x), axis=1)


def coefficient(x, y):
    return 2 + amplitude(x) * np.sin(2 * np.pi * y[:, 0])


def square(count):
    axis = np.linspace(0, 1, count)
    return axis, np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def draw(u, path):
    import matplotlib.pyplot as plt

    axis, x = square(161)
    pictures = (
        ("coefficient $a(x, x/\\epsilon)$", coefficient(x, x / u.problem.eps), None),
        ("homogenized, across the layers: $a^*_{11}(x)$, and level lines of u", u.tensor(x)[:, 0, 0], u(x)),
    )
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for panel, (title, values, lines) in zip(panels, pictures, strict=True):
        image = panel.pcolormesh(axis, axis, values.reshape(161, 161).T, shading="gouraud", cmap="cividis")
        figure.colorbar(image, ax=panel)
        if lines is not None:
            panel.contour(axis, axis, lines.reshape(161, 161).T, 9, colors="white", linewidths=0.8)
        panel.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    u = nhpinn.solve(coefficient, source=lambda x: 1 + 0 * x[:, 0], box=[(0, 1), (0, 1)], eps=1 / 8, tolerance=1e-2)
    x = square(21)[1]
    true = np.stack([np.sqrt(4 - amplitude(x) ** 2), 2 + 0 * x[:, 0]], axis=1)
    error = np.abs(np.diagonal(u.tensor(x), axis1=1, axis2=2) / true - 1).max()
    print(u)
    print(f"largest error of the tensor's diagonal on 441 points: {error:.1e}")
    assert error < 1e-3
    if find_spec("matplotlib"):
        draw(u, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
