"""What a loss sees when it cannot follow the cells: minimisers over B-splines of functionals averaged over a cell.

    averaged_minimiser    the spline u that minimises  int sum_kl G_kl(x) c_k c_l dx + sides,  c = (d_k u, ..., 1)
    coarse_mesh_failure   section 2.2: coarse linear elements see the arithmetic mean of the coefficient

B-splines have order - 1 continuous derivatives, as functionals of second derivatives need (section 2.1).
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.interpolate import BSpline
from scipy.sparse.linalg import spsolve

import fem


class Splines(NamedTuple):
    """B-splines on a box cut into equal boxes."""

    bounds: tuple  # ((low, high), ...), one pair an axis
    elements: int  # per axis
    order: int = 4  # polynomial degree


class Spline(NamedTuple):
    """One spline."""

    splines: Splines
    coefficients: np.ndarray

    def on_grid(self, *axes, along=()):
        """Values on the tensor grid of one array of coordinates an axis: (n,), last axis fastest.

        along: axes along which to differentiate first, as in `fem.Field.on_grid`.
        """
        return _product(self.splines, axes, along) @ self.coefficients


def _product(splines, axes, along=()):
    """Derivatives of the splines on the tensor grid of `axes`: a sparse matrix (points, splines)."""
    p, lines = splines.order, []
    for axis, ((low, high), x) in enumerate(zip(splines.bounds, axes, strict=True)):
        knots = np.concatenate([[low] * p, np.linspace(low, high, splines.elements + 1), [high] * p])
        basis = BSpline(knots, np.eye(splines.elements + p), p)
        times = along.count(axis)
        lines.append(sparse.csr_array(basis.derivative(times)(x) if times else basis(x)))
    return reduce(lambda a, b: sparse.kron(a, b, format="csr"), lines)


def _rules(splines):
    """Gauss points and weights of every axis."""
    return [fem.gauss(np.linspace(*side, splines.elements + 1), splines.order + 1) for side in splines.bounds]


class Side(NamedTuple):
    """weight * integral over one side of a box of |u - values|^2: how a loss asks for known values."""

    axis: int
    end: int  # 0: the low end of the axis, 1: the high end
    weight: float
    values: Callable  # points (n, dim) -> (n,)


def averaged_minimiser(gram, derivatives, sides, splines, rules=None):
    """The spline u that minimises  int sum_kl G_kl(x) c_k c_l dx + sides,  c = (d_k u for k in derivatives, 1).

    With G = mean_y l l^T the integrand is the mean over y of the square of sum_k l_k(x, y) d_k u(x) + l_K(x, y).
    gram: points (n, dim) -> (n, K + 1, K + 1), symmetric.  derivatives: K tuples as in `Spline.on_grid`.
    rules: (points, weights) of the integral for every axis, such as the points of a sampled loss; None: Gauss points.
    """
    axes, weights = zip(*(rules or _rules(splines)), strict=True)
    if any(len(x) < splines.elements + splines.order for x in axes):
        raise ValueError("rules: found fewer points than unknowns along an axis, expected at least as many")
    G = gram(fem.tensor_grid(axes)) * reduce(np.kron, weights)[:, None, None]
    D = {k: _product(splines, axes, along) for k, along in enumerate(derivatives) if np.any(G[:, k])}
    A = sum(D[k].T @ sum(sparse.diags_array(G[:, k, m]) @ D[m] for m in D if np.any(G[:, k, m])) for k in D)
    load = -sum(D[k].T @ G[:, k, -1] for k in D)
    for side in sides:
        trace, points, weights = _trace(splines, side.axis, side.end)
        A = A + side.weight * trace.T @ sparse.diags_array(weights) @ trace
        load = load + side.weight * trace.T @ (weights * side.values(points))
    return Spline(splines, spsolve(A.tocsc(), load, permc_spec="MMD_AT_PLUS_A"))


def _trace(splines, axis, end):
    """Values on one side of a box at its quadrature points: matrix (points, splines), points, weights."""
    corner = np.array([splines.bounds[axis][end]]), np.ones(1)
    axes, weights = zip(*(corner if i == axis else rule for i, rule in enumerate(_rules(splines))), strict=True)
    return _product(splines, axes), fem.tensor_grid(axes), reduce(np.kron, weights)


def coarse_mesh_failure(elements=16, periods=8):
    """Section 2.2: linear elements on a coarse mesh see the arithmetic mean of the coefficient.

    -(a u')' = sin x on [0, pi] with a = 15 sin^2 + 1 and `periods` periods an element.  The harmonic mean
    is 4, the arithmetic mean 8.5, so the coarse solution is near 8/17 of the true one: relative error 9/17.
    -> (ratio of the norms of coarse and fine solution, relative error of the coarse one)
    """
    count = elements * periods

    def a(x):
        return 15 * np.sin(count * x[:, 0]) ** 2 + 1

    def f(x):
        return np.sin(x[:, 0])

    bounds, x = ((0.0, np.pi),), np.linspace(0, np.pi, 20 * count + 1)
    coarse = fem.solve_elliptic(a, f, fem.Mesh(bounds, elements, 1, gauss=8 * periods)).on_grid(x)
    fine = fem.solve_elliptic(a, f, fem.Mesh(bounds, 8 * count, 4)).on_grid(x)
    return float(np.linalg.norm(coarse) / np.linalg.norm(fine)), fem.relative_error(coarse, fine)
