"""Layers at 45 degrees: the tensor has an entry off the diagonal.

    a = 10 where sin(2 pi (y1 + y2)) > 0, 1 elsewhere

Across the layers conducts the harmonic mean, 20/11, along them the arithmetic one, 11/2, exactly.  No image
has such an interface, only stairs.

    python examples/laminate.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn

HARMONIC, ARITHMETIC = 20 / 11, 11 / 2


def level_set(y):
    return np.sin(2 * np.pi * (y[:, 0] + y[:, 1]))


def exact():
    n = np.array([1, 1]) / np.sqrt(2)
    return HARMONIC * np.outer(n, n) + ARITHMETIC * (np.eye(2) - np.outer(n, n))


def draw(found, path):
    """The layers with the level lines of y1 + chi_1, and n . a* n for every direction n."""
    import matplotlib.pyplot as plt

    axis, angle = np.linspace(0, 1, 201), np.linspace(0, 2 * np.pi, 361)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    figure = plt.figure(figsize=(9.6, 4.6), layout="constrained")
    panel, polar = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="polar")
    panel.pcolormesh(axis, axis, (level_set(y) > 0).reshape(201, 201).T, cmap="Blues", vmax=2)
    potential = (y[:, 0] + found.corrector(y)[:, 0]).reshape(201, 201).T
    panel.contour(axis, axis, potential, 20, colors="k", linestyles="-", linewidths=0.8)
    panel.set(title="layers of 10 (blue) and 1, potential", xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
    n = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for tensor, style, label in ((found.tensor, "C0-", "this method"), (exact(), "k:", "exact")):
        polar.plot(angle, np.einsum("ni,ij,nj->n", n, tensor, n), style, label=label, linewidth=2.5)
    polar.set(title="conductivity against direction", rticks=[2, 4])
    polar.legend(loc="lower left", bbox_to_anchor=(0.9, -0.05))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    found = nhpinn.homogenize(nhpinn.TwoPhase(level_set, inside=10.0, outside=1.0), dim=2)
    error = np.abs(found.tensor - exact()).max()
    print(found)
    print(f"largest error {error:.1e}")
    assert error < 1e-6
    if find_spec("matplotlib"):
        draw(found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
