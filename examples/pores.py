"""The pores of an electrode: how much longer the way of ions through it is, along each axis, between guaranteed bounds.

    tau_i = porosity D / D_eff,i        D_eff,i: the flux along axis i between fixed concentrations, sides sealed

Flakes of graphite lie across axis 0, so that tau_0 is the largest.  The two-point flux of other codes finds too little:
its tortuosity lies above the upper bound.  Exact: a square array of square grains, a quarter of the area, has
D_eff = D / sqrt(3) (Obnosov, SIAM J. Appl. Math. 59 (1999) 1267).

    python examples/pores.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import nhpinn


def electrode(size=36, flakes=70, seed=0):
    """True in the pores between flakes of 3 x 10 x 10 voxels, which may overlap."""
    pores, rng = np.ones((size, size, size), bool), np.random.default_rng(seed)
    for i, j, k in rng.integers(-5, size, size=(flakes, 3)):
        pores[max(i, 0) : max(i + 3, 0), max(j, 0) : max(j + 10, 0), max(k, 0) : max(k + 10, 0)] = False
    return pores


def draw(pores, found, path):
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    panels[0].imshow(pores[:, :, pores.shape[2] // 2], cmap="gray")
    panels[0].set(title="a cut: pores white, flakes black", xlabel="axis 1", ylabel="axis 0")
    low, high = found.tortuosity_bounds
    axes = np.arange(3)
    panels[1].bar(axes, high - low, bottom=low, width=0.5, label="between the bounds")
    panels[1].plot(axes, found.diffusivity * found.tortuosity / found.two_point, "kx", label="two-point flux")
    panels[1].set(
        xlabel="axis", xticks=axes, ylim=(1, None), ylabel="tortuosity factor", title=f"porosity {found.porosity:.3f}"
    )
    panels[1].legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    grain = np.pad(np.zeros((2, 2), bool), 1, constant_values=True)  # its mirror images continue the array
    low, high = nhpinn.tortuosity(grain).tortuosity_bounds[:, 0]
    assert low < 0.75 * np.sqrt(3) < high < 1.01 * low
    pores = electrode()
    found = nhpinn.tortuosity(pores, tolerance=0.05)
    print(found)
    assert found.tortuosity_bounds[0, 0] > found.tortuosity_bounds[1, 1:].max()
    if find_spec("matplotlib"):
        draw(pores, found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
