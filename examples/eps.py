"""How an answer depends on eps: a loop, since a small eps costs no more than a large one.

    -div( a(x/eps) grad u ) = 0 on the unit square,  u = 100 left, 20 right,  n . a grad u = 0 above and below
    a = 2 + sin(2 pi y1) cos(2 pi y2),  a*_11 = 1.9353592348

As eps goes to 0 the error bar falls as sqrt(eps), and the flow of heat tends to that of the homogenized plate,
80 a*_11, as eps.  Both are known without a fine solution.

    python examples/eps.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

from nhpinn import Flux, solve

if __name__ == "__main__":
    a = lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])  # noqa: E731
    scales, bars, flows = 1 / np.array([4, 16, 64, 256, 1024]), [], []
    for eps in scales:
        u = solve(a, lambda x: 0 * x[:, 0], [(0, 1)] * 2, eps, boundary=[(100, 20), (Flux(0), Flux(0))])
        bars.append(u.error)
        flows.append(np.array(u.flow(0, 0)) / (80 * 1.9353592348) - 1)
        print(f"eps = 1/{1 / eps:g}: error at most {bars[-1]:.2%}, flow 1 + {flows[-1][0]:.2e} to {flows[-1][1]:.2e}")
    middle, half = np.mean(flows, axis=1), np.ptp(flows, axis=1) / 2
    assert np.all(np.diff(bars) < 0) and np.all(np.abs(middle - 0.0104 * scales) < half + 1e-4 * scales)
    if find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
        panels[0].loglog(scales, bars, "o-")
        panels[1].loglog(scales, 0.0104 * scales, "C7--", label="0.0104 $\\epsilon$")
        panels[1].errorbar(scales, middle, half, fmt="none", capsize=4, label="between its bounds")
        panels[0].set(title="relative error in the energy norm, at most", xlabel="$\\epsilon$")
        panels[1].set(title="flow through the plate / (80 $a^*_{11}$) - 1", xlabel="$\\epsilon$")
        panels[1].legend()
        figure.savefig(sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"), dpi=90)
