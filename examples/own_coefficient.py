"""A coefficient of one's own: its homogenized tensor, between two bounds.

    a(y) = exp( 4 sin(2 pi y1) sin(2 pi y2) ),  the largest value 3,000 times the least

A shift by half a period turns a into 1/a, so by Keller's and Dykhne's duality the tensor is the identity, exactly.

    python examples/own_coefficient.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn


def coefficient(y):
    return np.exp(4 * np.sin(2 * np.pi * y[:, 0]) * np.sin(2 * np.pi * y[:, 1]))


def draw(found, path):
    """The coefficient and the potential y1 + chi_1, whose level lines crowd where little is conducted."""
    import matplotlib.pyplot as plt

    axis = np.linspace(0, 2, 161)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    potential = y[:, 0] + found.corrector(y)[:, 0]
    figure, panel = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
    image = panel.pcolormesh(axis, axis, np.log10(coefficient(y)).reshape(161, 161).T, shading="gouraud", cmap="RdBu_r")
    figure.colorbar(image, label="$\\log_{10}$ of the conductivity")
    panel.contour(axis, axis, potential.reshape(161, 161).T, 24, colors="black", linewidths=0.8, linestyles="solid")
    panel.set(title="potential between two sides, four periods", xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    found = nhpinn.homogenize(coefficient, dim=2)
    print(found)
    print(f"largest distance from the exact tensor, the identity: {np.abs(found.tensor - np.eye(2)).max():.1e}")
    assert np.abs(found.tensor - np.eye(2)).max() < 1e-6
    if find_spec("matplotlib"):
        draw(found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
