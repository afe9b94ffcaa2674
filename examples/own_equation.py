"""An equation of one's own, with a guaranteed error bar.

    -div( a(x/eps) grad u ) = x1  on the rectangle [0, 2] x [0, 1],  u = 0 on its boundary,  eps = 1/8

Nothing fine is solved for the answer or its bar; finite elements that resolve eps check both.

    python examples/own_equation.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import autograd.numpy as np

import fem
import nhpinn

BOX, EPS = [(0, 2), (0, 1)], 1 / 8
RULES = [fem.gauss(np.linspace(0, high, 64 * high + 1), 3) for _, high in BOX]  # pieces of u's layers: period / 8
AXES, WEIGHTS = zip(*RULES, strict=True)
POINTS = fem.tensor_grid(AXES)


def coefficient(x, y):
    return 3 + 2 * np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1])


def source(x):
    return x[:, 0]


def true_error(u):
    """|a^(1/2) grad(u_eps - u)| / |a^(1/2) grad u_eps|, u_eps by elements of order 6, three a period."""
    fine = fem.solve_elliptic(lambda x: coefficient(x, x / EPS), source, fem.Mesh(tuple(BOX), (48, 24), 6))
    slope = np.stack([fine.on_grid(*AXES, along=(axis,)) for axis in (0, 1)], axis=1)
    a = np.kron(*WEIGHTS) * coefficient(POINTS, POINTS / EPS)
    return np.sqrt(a @ np.sum((slope - u.gradient(POINTS)) ** 2, axis=1) / (a @ np.sum(slope**2, axis=1)))


if __name__ == "__main__":
    u = nhpinn.solve(coefficient, source, box=BOX, eps=EPS)
    true = true_error(u)
    print(u)
    print(f"true error in the energy norm {true:.4f}, guaranteed {u.error:.4f}")
    assert true <= u.error <= 2 * true
    if find_spec("matplotlib"):
        u.plot().savefig(sys.argv[1] if sys.argv[1:] else Path(__file__).with_suffix(".png"), dpi=50)
