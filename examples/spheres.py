"""Spheres on a cubic array, in three dimensions, beside Maxwell's formula.

    a = 10 in spheres of volume fraction f, 1 between them

Truth: Rayleigh's multipoles by Sangani and Acrivos, Proc. R. Soc. A 386 (1983) 263, right to f^(25/3), 1e-3 at f = 0.4.
Warnings say how far apart the bounds are, which is more than the error.

    python examples/spheres.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn

CONTRAST, FRACTIONS = 10, (0.1, 0.2, 0.3, 0.4)


def conductivity(fraction):
    def level_set(y):
        return (fraction / (4 / 3 * np.pi)) ** (2 / 3) - np.sum((y - 0.5) ** 2, axis=1)

    return nhpinn.homogenize(nhpinn.TwoPhase(level_set, inside=CONTRAST, outside=1.0), dim=3)


def multipoles(f, s=CONTRAST):
    L = [(s - 1) / (s + (i + 1) / i) for i in (1, 3, 5, 7, 9)]
    near = 1.3047 * L[1] * f ** (10 / 3) * (1 + 0.2305 * L[2] * f ** (11 / 3)) / (1 - 0.4054 * L[1] * f ** (7 / 3))
    near += 0.07231 * L[2] * f ** (14 / 3) + 0.1526 * L[3] * f**6 + 0.0105 * L[4] * f ** (22 / 3)
    return 1 - 3 * f / (f - 1 / L[0] + near)


def maxwell(f, s=CONTRAST):
    t = f * (s - 1) / (s + 2)
    return (1 + 2 * t) / (1 - t)


def draw(found, path):
    import matplotlib.pyplot as plt

    f = np.linspace(0, 0.45, 91)
    figure, panel = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    panel.plot(f, multipoles(f), "k-", linewidth=1, label="Rayleigh's multipoles")
    panel.plot(f, maxwell(f), "C1--", linewidth=1, label="Maxwell's formula")
    panel.plot(FRACTIONS, found, "o", label="this method")
    panel.set(title=f"spheres of contrast {CONTRAST} on a cubic array", xlabel="volume fraction", ylabel="conductivity")
    panel.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    found = [conductivity(f).tensor[0, 0] for f in FRACTIONS]
    for f, value in zip(FRACTIONS, found, strict=True):
        print(f"{f:.0%} spheres: {value:.6f}, multipoles {multipoles(f):.6f}, Maxwell {maxwell(f):.6f}")
    assert np.allclose(found, multipoles(np.array(FRACTIONS)), rtol=1e-3)
    if find_spec("matplotlib"):
        draw(found, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
