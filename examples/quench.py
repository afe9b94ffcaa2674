"""A composite plate at 20 degrees whose left side is set to 100 at once; its other sides are insulated.

    rho(x/eps) u_t - div( a(x/eps) grad u ) = 0  on the unit square,  eps = 1/8,  u = 20 at t = 0,  u = 100 for x1 = 0
    a conducts well where rho stores little: a = 2 + sin(2 pi y1) cos(2 pi y2),  rho = 2 - sin(2 pi y1) cos(2 pi y2)

The homogenized plate has the tensor a* = 1.9353592 times the identity and stores mean(rho) = 2, so that it follows the
series of a bar,  u_0 = 100 - 80 sum_k 4 / ((2 k + 1) pi) sin(m_k x1) exp(-m_k^2 a* t / 2),  m_k = (k + 1/2) pi.
With time there is no guaranteed error in two dimensions; elements that resolve eps show 0.2 % of the rise here.

    python examples/quench.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import fem
import nhpinn
from nhpinn_functions import faces_of

BOX, EPS, TIME, PLATE = ((0.0, 1.0), (0.0, 1.0)), 1 / 8, 0.1, [(100, nhpinn.Flux(0)), (nhpinn.Flux(0), nhpinn.Flux(0))]
wave = lambda y: np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])  # noqa: E731
cold, nothing = (lambda x: 20 + 0 * x[:, 0]), (lambda x: 0 * x[:, 0])


def series(x, t):
    m = (np.arange(100) + 0.5) * np.pi
    return 100 - 80 * np.sin(np.outer(x, m)) @ (2 / m * np.exp(-(m**2) * 1.9353592348 / 2 * t))


def draw(u, axis, path):
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(7, 4.4), layout="constrained")
    line = np.column_stack([axis, 0 * axis + 0.25])
    for t in (0.001, 0.01, 0.03, 0.1):
        panel.plot(axis, u(line, t), label=f"t = {t:g}")
        panel.plot(axis, series(axis, t), "k:", lw=0.8)
    panel.set(title="a plate is set to 100 on its left; dotted: homogenized", xlabel="$x_1$", ylabel="temperature")
    panel.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    a, rho = (lambda x, y: 2 + wave(y)), (lambda x, y: 2 - wave(y))
    u = nhpinn.solve(a, nothing, BOX, EPS, boundary=PLATE, initial=cold, final_time=TIME, rho=rho)
    axis = np.linspace(0, 1, 121)
    x, mesh, resolved = fem.tensor_grid([axis, axis]), fem.Mesh(BOX, 32, 3), lambda f: lambda x: f(x, x / EPS)
    fine = fem.solve_parabolic(
        resolved(a), nothing, cold, TIME, 60, mesh, faces=faces_of(PLATE, BOX), rho=resolved(rho)
    )
    miss = np.abs(u.homogenized(x) - np.repeat(series(axis, TIME), len(axis))).max()
    error = np.linalg.norm(u(x) - (rise := fine.on_grid(axis, axis))) / np.linalg.norm(rise - 20)
    print(u)
    print(f"homogenized, from its series: {miss:.1e} degrees; from elements that resolve eps: {error:.4f} of the rise")
    assert u.error is None and miss < 0.01 and error < 0.01
    if find_spec("matplotlib"):
        draw(u, axis, sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"))
