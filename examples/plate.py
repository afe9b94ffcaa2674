"""An insulated plate of a composite between 100 degrees and 20: temperature, flow of heat, and how wrong they may be.

    -div( a(x/eps) grad u ) = 0 on the unit square,  u = 100 left, 20 right,  n . a grad u = 0 above and below
    a = 2 + sin(2 pi y1) cos(2 pi y2)

For a constant a the flow through the plate would be 80 a; it is 80 a*_11, but for what the two ends change.

    python examples/plate.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn
from nhpinn import Flux


def coefficient(x, y):
    return 2 + np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])


def nothing(x):
    return 0 * x[:, 0]


def draw(u, path):
    import matplotlib.pyplot as plt

    axis = np.linspace(0, 1, 201)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    flux = -u.flux(x)[:, 0].reshape(201, 201).T
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    pictures = {"temperature": u(x).reshape(201, 201).T, "flow of heat to the right": flux}
    for panel, (name, values) in zip(panels, pictures.items(), strict=True):
        figure.colorbar(panel.pcolormesh(axis, axis, values, shading="gouraud"), ax=panel)
        panel.set(title=name, aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    u = nhpinn.solve(coefficient, nothing, [(0, 1), (0, 1)], 1 / 8, boundary=[(100, 20), (Flux(0), Flux(0))])
    lower, upper = u.flow(0, 0)
    print(f"in the energy norm the temperature is wrong by {100 * u.error:.2f} % at most")
    print(f"flow of heat between {lower:.4f} and {upper:.4f}; 80 a*_11 = {80 * u.tensor([0.5, 0.5])[0, 0]:.4f}")
    assert u.error < 0.003 and 155.03 < lower < upper < 155.04
    assert abs(u([0.0, 0.3]) - 100) < 1e-9
    if find_spec("matplotlib"):
        draw(u, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
