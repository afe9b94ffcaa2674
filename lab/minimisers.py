"""What a loss learns, without an optimizer: its minimiser over functions that can follow the cells, or cannot.

averaged_minimiser    over B-splines, of a functional averaged over a cell
exact_minimiser       of any loss of the paper, over functions of a given bandwidth
coarse_mesh_failure   section 2.2: coarse linear elements see the arithmetic mean of the coefficient
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.interpolate import BSpline
from scipy.linalg import lstsq, qr
from scipy.sparse.linalg import spsolve

import fem
from nhpinn_networks import affine, tanh_jet

# ---------------------------------------------------------------------------------------------------
# Splines, which have order - 1 continuous derivatives, as functionals of second derivatives need (section 2.1)
# ---------------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------------
# Random features.  A tanh network with one hidden layer, random and fixed, is linear in its last layer, and every loss
# of the paper is the sum of squares of what is linear in the network.  So the least loss over all last layers is one
# least-squares problem, and no training can do better in that space.  The slopes of the hidden layer are normal with
# deviation s, the bandwidth, in units of 1 / x, the bends uniform in the box: for small s the functions are smooth on
# the scale eps; with s of the order of 2 pi / (eps period) they follow the cells.
# ---------------------------------------------------------------------------------------------------

CUT = 1e-12  # of singular values
MOST = {1: 600, 2: 1200, 3: 1500}  # features, by the number of coordinates, time included
BLOCK = 2048  # rows at a time


class Minimiser(NamedTuple):
    """sum_k c_k tanh(w_k . x + b_k) for every output, the constant among them; loss: the least."""

    W: np.ndarray  # (d, N)
    b: np.ndarray  # (N,)
    c: np.ndarray  # (outputs, N)
    loss: float

    def __call__(self, points):
        """Values (outputs, n) at points (n, d)."""
        parts = np.array_split(points, len(points) // BLOCK + 1)
        return self.c @ np.concatenate([np.tanh(part @ self.W + self.b) for part in parts]).T


def feature_count(bounds, dim, bandwidth):
    """The more the wider the band, 4 s in one dimension."""
    d, longest = len(bounds), max(high - low for low, high in bounds[:dim])
    return int(np.clip(4 * bandwidth if d == 1 else (bandwidth * longest) ** d, 40 * d**2, MOST[d]))


def hidden_layer(bounds, dim, bandwidth, rng):
    """W (d, N) and b (N,) of one bandwidth along the dim axes of space; time has slopes of a few over its length.

    The last feature is constant.
    """
    d, (low, high) = len(bounds), np.transpose(bounds)
    centres = rng.uniform(low, high, (feature_count(bounds, dim, bandwidth), d)).T
    W = rng.standard_normal(centres.shape) * np.where(np.arange(d) < dim, bandwidth, 3 / (high - low))[:, None]
    return np.append(W, np.zeros((d, 1)), axis=1), np.append(-np.sum(W * centres, axis=0), 1.0)


def exact_minimiser(loss, bounds, dim, bandwidth, rng):
    """The Minimiser of a Loss over all last layers, by QR of one block of rows after the other."""
    W, b = hidden_layer(bounds, dim, bandwidth, rng)
    outputs = loss.terms[0].mix.shape[-1]
    R = np.zeros((0, outputs * len(b) + 1))
    for term in loss.terms:  # each residual at one point alone
        for part in np.array_split(np.arange(len(term.weight)), len(term.weight) // BLOCK + 1):
            features = tanh_jet(affine(term.jet[:, part, 0], W, b))[0]
            A = np.einsum("cno,cnN->noN", term.mix[:, part], features, optimize=True).reshape(len(part), -1)
            rows = np.sqrt(term.weight[part])[:, None] * np.column_stack([A, term.target[part]])
            R = qr(np.vstack([R, rows]), mode="r", check_finite=False)[0][: R.shape[1]]
    A, target = R[:, :-1], R[:, -1]
    sizes = np.linalg.norm(A, axis=0)
    sizes[sizes == 0] = 1.0
    c = lstsq(A / sizes, target, cond=CUT, lapack_driver="gelsy", check_finite=False)[0] / sizes
    return Minimiser(W, b, c.reshape(outputs, -1), float(np.sum((A @ c - target) ** 2)))


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
