"""Discs in a matrix: contrast against conductivity, beside Maxwell's formula.

    a = s in discs of area fraction f on a square array, 1 between them

Maxwell's formula (1 + f t) / (1 - f t), t = (s - 1) / (s + 1), sees no neighbours.  Keller's duality is exact: discs of
1/s and discs of s have tensors that are inverse to each other, whatever the fraction.

    python examples/disc.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import nhpinn

FRACTIONS, CONTRASTS = (0.2, 0.5, 0.7), np.logspace(-3, 3, 9)


def conductivity(fraction, contrast):
    def level_set(y):
        return fraction / np.pi - np.sum((y - 0.5) ** 2, axis=1)

    return nhpinn.homogenize(nhpinn.TwoPhase(level_set, inside=contrast, outside=1.0), dim=2)


def maxwell(fraction, contrast):
    t = fraction * (contrast - 1) / (contrast + 1)
    return (1 + t) / (1 - t)


def draw(curves, path):
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    fine = np.logspace(-3, 3, 200)
    for color, fraction in zip(("C0", "C1", "C2"), FRACTIONS, strict=True):
        panel.loglog(CONTRASTS, curves[fraction], "o", color=color, label=f"{fraction:.0%} discs")
        panel.loglog(fine, maxwell(fraction, fine), color=color, linewidth=1)
    panel.plot([], [], "k-", linewidth=1, label="Maxwell's formula")
    panel.set(title="discs on a square array", xlabel="contrast of the discs", ylabel="conductivity of the whole")
    panel.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    panel.minorticks_off()
    panel.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    curves = {f: [conductivity(f, s).tensor[0, 0] for s in CONTRASTS] for f in FRACTIONS}
    for fraction, values in curves.items():
        duality = np.abs(np.multiply(values, values[::-1]) - 1).max()
        print(f"{fraction:.0%} discs: {values[-1]:.6f} at contrast 1000, Maxwell {maxwell(fraction, 1000):.3f}")
        print(f"    a*(s) a*(1/s) = 1 to {duality:.1e}")
        assert duality < 1e-5
    assert np.allclose(curves[0.2], maxwell(0.2, CONTRASTS), rtol=0.01)  # Maxwell is right for few discs
    if find_spec("matplotlib"):
        draw(curves, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
