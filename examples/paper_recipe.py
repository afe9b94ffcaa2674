"""The paper's recipe on a coefficient of one's own: networks trained by Adam, beside random features.

    a(y) = exp( sin(2 pi y1) sin(2 pi y2) )

A shift by half a period turns a into 1/a, so by Keller's and Dykhne's duality the tensor is the identity, exactly.
The settings are those of `recipes.cell_training`, by name; 400 epochs in the place of 4000 keep this short.

    python examples/paper_recipe.py [picture.png]
"""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn

EPOCHS = 400


def coefficient(y):
    return np.exp(np.sin(2 * np.pi * y[:, 0]) * np.sin(2 * np.pi * y[:, 1]))


def draw(found, path):
    import matplotlib.pyplot as plt

    axis = np.linspace(0, 0.9999, 121)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    values = {name: each.corrector(y)[:, 0].reshape(121, 121).T for name, each in found.items()}
    size = np.abs(values["sharp"]).max()
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    titles = (f"the paper's recipe, {EPOCHS} epochs", "random features, exact to 1e-6")
    for panel, title, value in zip(panels, titles, values.values(), strict=True):
        image = panel.pcolormesh(axis, axis, value, vmin=-size, vmax=size, cmap="RdBu_r", shading="gouraud")
        panel.set(title=title, xlabel="$y_1$", ylabel="$y_2$", aspect="equal")
    figure.colorbar(image, ax=panels, label="corrector $\\chi_1$")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few epochs leave the bounds far apart
        adam = nhpinn.homogenize(coefficient, dim=2, recipe="adam", epochs=EPOCHS)
    sharp = nhpinn.homogenize(coefficient, dim=2, recipe="sharp")
    errors = [np.abs(found.tensor - np.eye(2)).max() for found in (adam, sharp)]
    print(adam, sharp, sep="\n")
    print(f"errors of the tensor: the paper's recipe {errors[0]:.1e}, random features {errors[1]:.1e}")
    for found in (adam, sharp):  # the exact tensor lies between the bounds of both
        assert np.linalg.eigvalsh(found.upper - np.eye(2)).min() > -1e-12
        assert np.linalg.eigvalsh(np.eye(2) - found.lower).min() > -1e-12
    assert errors[1] < 1e-6 < errors[0] < 0.1
    if find_spec("matplotlib"):
        draw({"adam": adam, "sharp": sharp}, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
