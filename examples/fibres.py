"""A plate of fibres between 100 degrees and 20: its coefficient is a picture; the total flow, between bounds.

    -div( a(x/eps) grad u ) = 0 on the unit square,  u = 100 left, 20 right,  n . a grad u = 0 above and below
    a = 20 in the fibres, cut across, 1 in the matrix between them: a picture of 12 x 12 pixels that repeats itself

The bar bounds the temperature in the energy norm, a mean over the plate, and the flow through its faces. It is not
pointwise: at the corners of fibres the flux has no bound at all, and no number of the picture beside them has one.

    python examples/fibres.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nhpinn
from nhpinn import Flux

EPS = 1 / 6
FIBRES = [(1, 1, 4), (8, 2, 3), (4, 7, 4), (10, 8, 3)]  # row, column, width


def picture_of_fibres(size=12):
    """1 in fibres; axis 0 runs along x_1."""
    labels = np.zeros((size, size), int)
    for row, column, width in FIBRES:
        labels[np.ix_((row + np.arange(width)) % size, (column + np.arange(width)) % size)] = 1
    return labels


def draw(u, path):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for panel, size, name in zip(panels, (1, 2 * EPS), ("temperature", "size of the flux near fibres"), strict=True):
        axis = np.linspace(0, size, 241)
        x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        values = u(x) if size == 1 else np.linalg.norm(u.flux(x), axis=1)
        most = values.max() if size == 1 else np.quantile(values, 0.99)
        picture = panel.pcolormesh(axis, axis, values.reshape(241, 241).T, vmax=most, rasterized=True)
        figure.colorbar(picture, ax=panel)
        panel.set(title=name, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    boundary, values = [(100, 20), (Flux(0), Flux(0))], {0: 1.0, 1: 20.0}
    u = nhpinn.solve(
        picture_of_fibres(), lambda x: 0 * x[:, 0], [(0, 1), (0, 1)], EPS, boundary=boundary, values=values
    )
    (low, high), (back, forth) = u.flow(0, 0), u.flow(0, 1)
    print(u)
    print(f"flow of heat from {low:.2f} to {high:.2f}; of the homogenized plate {80 * u.tensor([0.5, 0.5])[0, 0]:.2f}")
    assert u.error < 0.1 and low < high < 1.01 * low and abs(low + forth) < 1e-9 and abs(high + back) < 1e-9
    if find_spec("matplotlib"):
        draw(u, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
