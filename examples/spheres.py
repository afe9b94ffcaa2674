"""Spheres on a cubic array, in three dimensions, beside Maxwell's formula.

    a = 10 in spheres of volume fraction f, 1 between them

Truth: Rayleigh's multipoles up to order 15 (benchmarks/microstructures.py), of which more change no digit below.
Warnings say how far apart the bounds are, which is more than the error.

    python examples/spheres.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn

CONTRAST = 10
MULTIPOLES = {0.1: 1.2433385, 0.2: 1.5317239, 0.3: 1.8877401, 0.4: 2.3644314}  # conductivity of each fraction


def conductivity(fraction):
    def level_set(y):
        return (fraction / (4 / 3 * np.pi)) ** (2 / 3) - np.sum((y - 0.5) ** 2, axis=1)

    return nhpinn.homogenize(nhpinn.TwoPhase(level_set, inside=CONTRAST, outside=1.0), dim=3)


def maxwell(f, s=CONTRAST):
    t = f * (s - 1) / (s + 2)
    return (1 + 2 * t) / (1 - t)


def draw(found, path):
    import matplotlib.pyplot as plt

    f = np.linspace(0, 0.45, 91)
    figure, panel = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    panel.plot(f, maxwell(f), "C1--", linewidth=1, label="Maxwell's formula")
    panel.plot(MULTIPOLES.keys(), MULTIPOLES.values(), "kx", markersize=10, label="Rayleigh's multipoles")
    panel.plot(MULTIPOLES.keys(), found, "o", markersize=4, label="this method")
    panel.set(title=f"spheres of contrast {CONTRAST} on a cubic array", xlabel="volume fraction", ylabel="conductivity")
    panel.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    found = [conductivity(f).tensor[0, 0] for f in MULTIPOLES]
    for (f, true), value in zip(MULTIPOLES.items(), found, strict=True):
        print(f"{f:.0%} spheres: {value:.6f}, multipoles {true:.6f}, Maxwell {maxwell(f):.6f}")
    assert np.allclose(found, list(MULTIPOLES.values()), rtol=2e-4)
    if find_spec("matplotlib"):
        draw(found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
