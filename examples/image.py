"""A micrograph: the tensor of an image, between exact bounds.  Axis 0 of an array is the rows of the picture.

Fibres along the rows, 20 times as conductive as the matrix, so that a*_22 (along the rows, from column to column)
is larger than a*_11 (from row to row).  Keller's and Mendelson's duality is exact: with the phases a
and b exchanged the tensor becomes a b R a*^-1 R^T, R a quarter turn.

    python examples/image.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nhpinn


def micrograph(size=192, fibres=60, length=40, width=4):
    """Labels, 1 in fibres that lie along the rows, periodic."""
    image, rng = np.zeros((size, size), int), np.random.default_rng(3)
    for row, column in rng.integers(size, size=(fibres, 2)):
        image[np.ix_((row + np.arange(width)) % size, (column + np.arange(length)) % size)] = 1
    return image


def draw(image, found, path):
    """The picture, and the size of the field e_2 + grad chi_2 that drives a current along the rows."""
    import matplotlib.pyplot as plt

    size = len(image)
    y = (np.indices((size, size)).reshape(2, -1).T + 0.5) / size
    field = np.linalg.norm(np.array([0, 1]) + found.gradient(y)[:, 1], axis=1).reshape(size, size)
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    panels[0].imshow(image, cmap="gray")
    panels[0].set(title="micrograph: fibres conduct 20, matrix 1")
    panels[1].set(
        title=f"field along the rows: $a^*_{{22}}$ = {found.tensor[1, 1]:.2f}, $a^*_{{11}}$ = {found.tensor[0, 0]:.2f}"
    )
    figure.colorbar(panels[1].imshow(field, cmap="magma", vmax=4), ax=panels[1], label="size of the field, mean 1")
    for panel in panels:
        panel.set(xlabel="axis 1 (column)", ylabel="axis 0 (row)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    image = micrograph()
    found = nhpinn.homogenize(image, dim=2, values={0: 1.0, 1: 20.0})
    swapped = nhpinn.homogenize(image, dim=2, values={0: 20.0, 1: 1.0})
    turn = np.array([[0, -1], [1, 0]])
    low, high = (20 * turn @ np.linalg.inv(each) @ turn.T for each in (swapped.upper, swapped.lower))
    print(found)
    print(f"by the exchanged phases: between {low.diagonal()} and {high.diagonal()}")
    assert np.linalg.eigvalsh(found.upper - low).min() > 0 and np.linalg.eigvalsh(high - found.lower).min() > 0
    assert found.lower[1, 1] > found.upper[0, 0]
    if find_spec("matplotlib"):
        draw(image, found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
