"""The recipe `sharp`, cell problems: the same residuals, minimised by linear least squares.

A network tanh(z W + b) @ c whose W and b are random and stay so is linear in c, and every equation of the paper is
linear in the network: the least residual is found by one factorisation, without training.

    cell problems   z = sin, cos of 2 pi y / period: periodicity is built in, all correctors are right-hand sides of one
                    factorisation; features, points and slopes grow until the bounds of the homogenized tensor, not the
                    residual, are as close as asked for (see bounds.py); one set of features serves all x of a
                    slowly varying coefficient, which is interpolated at Chebyshev points

The hidden layer is random and fixed as in extreme learning machines (Huang, Zhu, Siew 2006); for equations PIELM
(Dwivedi, Srinivasan 2020), local extreme learning machines (Dong, Li 2021) and the random feature method (Chen, Chi, E,
Yang 2022).  Ours: bounds that decide, one set of features for all x, and slopes of all sizes.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import linalg

from nhpinn import Correctors
from nhpinn_functions import centre, extreme_eigenvalues, midpoints, tensor_and_divergence, tensor_of
from nhpinn_networks import MANY, affine, first_order, operator_jet, tanh_jet
from nhpinn_tools.bounds import Bounds, closest, field_at, means_and_midpoints, tensor_bounds
from nhpinn_tools.calls import warn
from nhpinn_tools.interpolation import chebyshev_points

# --- random features and their least squares --------------------------------------------------------


CUT, CUT_IN_TIME = 1e-13, 1e-12  # of singular values; in time what a slab leaves adds up


class Features(NamedTuple):
    """A hidden layer tanh(inputs @ W + b) that is not trained."""

    W: np.ndarray  # (inputs, N)
    b: np.ndarray  # (N,)
    inputs: object  # jet of the coordinates (channels, n, d) -> jet of the inputs

    def jet(self, jet):
        """(channels, n, d) -> (channels, n, N)"""
        return tanh_jet(affine(self.inputs(jet), self.W, self.b))[0]


def periodic_features(dim, count, scale, rng):
    """Features with the period of the unit cell, with weights of deviation scale / sqrt(inputs)."""
    return Features(
        rng.standard_normal((2 * dim, count)) * scale / np.sqrt(2 * dim), rng.uniform(-scale, scale, count), waves
    )


def waves(jet):
    """sin and cos of 2 pi y_i."""
    angle = 2 * np.pi * jet
    sine, cosine = np.sin(angle[0]), np.cos(angle[0])
    pairs = ((sine, cosine, -sine), (cosine, -sine, -cosine))
    return np.concatenate([composed([angle], u, [du], [[ddu]]) for u, du, ddu in pairs], axis=-1)


def product_jet(B, jet):
    """The jet of a product, B (channels, n), jet (channels, n) or (channels, n, N)."""
    B = B.reshape(B.shape + (1,) * (jet.ndim - 2))
    out = B[0] * jet
    out[1:] += B[1:] * jet[0]
    out[-1] += 2 * np.sum(B[1:-1] * jet[1:-1], axis=0)
    return out


def composed(jets, value, first, second):
    """The jet of F(u_1, ..., u_k) from those of u_i (channels, n): F (n,), its derivatives F_i and F_ij, lists."""
    out = sum(F * jet for F, jet in zip(first, jets, strict=True))
    out[0] = value
    for row, u in zip(second, jets, strict=True):
        for F, v in zip(row, jets, strict=True):
            out[-1] += F * np.sum(u[1:-1] * v[1:-1], axis=0)
    return out


def in_parts(points):
    """Points (n, d) in parts of MANY at most."""
    return np.array_split(points, max(1, -(-len(points) // MANY)))


def values(evaluate, points):
    """Values alone (..., n) of functions as those of `derivatives`, at a fraction of the cost of all derivatives."""
    return np.concatenate([evaluate(part[None])[..., 0, :] for part in in_parts(points)], axis=-1)


def least_squares(A, rhs):
    """The c of least |A c - rhs| and, where that leaves it open, of about least norm: (n, N), (n, J) -> (N, J).

    A large matrix becomes triangular first: pivoting, which reveals the rank, is slow.
    """
    sizes, n = np.linalg.norm(A, axis=0), A.shape[1]
    A = A / sizes
    if n > 1000:
        R = linalg.qr(np.column_stack([A, rhs]), mode="r", overwrite_a=True, check_finite=False)[0][: n + rhs.shape[1]]
        A, rhs = R[:, :n], R[:, n:]
    c = linalg.lstsq(A, rhs, cond=CUT, lapack_driver="gelsy", check_finite=False, overwrite_a=True)[0]
    return c / sizes[:, None]


def factorised(A):
    """rhs (n,) -> the same c, for many right-hand sides one after the other; A may be complex."""
    sizes, n = np.linalg.norm(A, axis=0), A.shape[1]
    Q, R = linalg.qr(A / sizes, mode="economic", overwrite_a=True, check_finite=False)
    turn, R, order = linalg.qr(R, pivoting=True, check_finite=False)
    rank = np.sum(np.abs(np.diag(R)) > CUT_IN_TIME * abs(R[0, 0]))
    Z, L = linalg.qr(R[:rank].conj().T, mode="economic", check_finite=False)  # of all solutions the one of least norm

    def solve(rhs):
        c = np.zeros(n, R.dtype)
        projected = (turn.conj().T @ (Q.conj().T @ rhs))[:rank]
        c[order] = Z @ linalg.solve_triangular(L, projected, trans="C", check_finite=False)
        return c / sizes

    return solve


def relative(error, size):
    """error / size, 0 for 0 / 0."""
    return float(error / size) if size > 0 else (np.inf if error > 0 else 0.0)


# --- cell problems ----------------------------------------------------------------------------------

# (features, points an axis, scale) of one attempt after the other, by dimension
ATTEMPTS = {
    1: ((40, 48, 1.0), (100, 160, 2.0), (300, 480, 5.0), (800, 1280, 15.0)),
    2: ((400, 28, 1.0), (800, 36, 1.0), (1600, 52, 1.5), (2400, 64, 2.0)),
    3: ((600, 11, 1.0), (1500, 14, 1.0), (2500, 17, 1.0)),
}
LEAST_GAP = 1e-13  # what rounding leaves of a gap


class Found(NamedTuple):
    """What an attempt has found for a field on the unit cell."""

    features: Features
    count: int  # points an axis
    C: np.ndarray  # (N, J)
    error: float
    bounds: Bounds | None = None


def homogenize_cell(field, dim, tolerance, rng):
    """The correctors of a field on the unit cell and the bounds of its homogenized tensor, by as few features as meet
    the tolerance: Found, the best one if none does.  Raises ValueError for a field that no grid in reach resolves."""
    means, count = means_and_midpoints(field, dim)

    def attempt(features, n):
        C = correctors_of(field, features, n)
        chi = (features.jet(midpoints(dim, 1.0, n)[None])[0] @ C).T.reshape(dim, *[n] * dim)
        bounds = tensor_bounds(field, chi, means, count, tolerance)
        return Found(features, n, C, bounds.error, bounds)

    return closest(attempts(attempt, dim, rng), tolerance)


def attempts(attempt, dim, rng):
    """attempt(features, points an axis), with more and more of both."""
    return (attempt(periodic_features(dim, n, scale, rng), count) for n, count, scale in ATTEMPTS[dim])


def correctors_of(field, features, count):
    """c (N, J) of the correctors of a field on the unit cell, from count points an axis."""
    y = midpoints(len(features.W) // 2, 1.0, count)
    a, b = tensor_and_divergence(field, y)
    return solve_cell(features, y, a, b, b.T)


def solve_cell(features, points, a, b, f):
    """c (N, J) of the correctors on the unit cell, a_ij d_ij chi + b_i d_i chi + f = 0, for f (J, n).

    Rows are divided by the root of trace a: between the residual, in which stiff places weigh most, and the equation
    divided by a, in which they weigh as much as others.
    """
    row = np.trace(a, axis1=1, axis2=2) ** -0.5
    size = np.abs(f * row).max() or 1.0  # the least squares see numbers of the size of one, whatever the units
    operator = features.jet(operator_jet(points, a, b))[-1] * row[:, None]
    scale = np.abs(operator).max()
    return least_squares(operator / scale, -(f * row / size).T) * (size / scale)


class Cells(NamedTuple):
    """The correctors of all cell problems of a coefficient, of one for each slow point."""

    features: Features
    C: np.ndarray  # (N, X, J)
    mean: np.ndarray  # (X, J)
    period: np.ndarray  # (dim,)

    def __call__(self, y):
        """Values with mean zero (X, J, n) and gradients (X, J, n, dim) at y (n, dim)."""

        def evaluate(jet):
            return np.moveaxis(np.tensordot(self.features.jet(jet)[:-1], self.C, 1), (0, 1), (2, 3))

        value, slope = first_order(evaluate, y / self.period, np.diag(1 / self.period))
        return value - self.mean[..., None], slope


def all_cells(found, C, period):
    """Cells with the features of Found and C (N, X, J)."""
    features = found.features.jet(midpoints(len(period), 1.0, found.count)[None])[0]
    return Cells(found.features, C, np.tensordot(features.mean(axis=0), C, 1), period)


def solve_cells(problem, tolerance, rng, mapped=map):
    """Step 1: the Correctors of a problem, for every x of its domain if the coefficient varies slowly.

    One coefficient: its gap meets tolerance ** 2, which makes the corrector's error about the tolerance.  A slow one:
    the gap meets the tolerance where the contrast is largest, and the same features serve every x, through `mapped`,
    which may be the map of an executor.
    """
    dim, period = problem.dim, np.broadcast_to(np.asarray(problem.period, float), problem.dim)
    nodes = chebyshev_points(problem, tolerance)
    x, weights = nodes.points, nodes.weights
    if problem.reaction is not None:
        found = reaction_cell(problem, period, tolerance, rng)
        C = found.C[:, None]
    else:
        found = homogenize_cell(hardest(problem.coefficient, period, x), dim, tolerance_of_gap(tolerance, x), rng)
        C = period * found.C[:, None]
    warn_of_cells(found.error, tolerance, f"{len(found.C)} random features", ": try recipe='fourier'")
    if len(x) > 1:
        task = partial(solve_at, problem.coefficient, period, found.features, found.count)
        C = period * np.stack(list(mapped(task, x)), axis=1)
    return Correctors(all_cells(found, C, period), weights, x, problem.period)


def hardest(coefficient, period, nodes):
    """Of the fields on the unit cell at nodes x (X, dim) the one of the largest contrast."""
    return max((field_at(coefficient, period, x) for x in nodes), key=lambda field: contrast(field, len(period)))


def tolerance_of_gap(tolerance, nodes):
    """That of the gap at one x, or at the hardest of many, see `solve_cells`."""
    return max(LEAST_GAP, tolerance if len(nodes) > 1 else tolerance**2)


def warn_of_cells(error, tolerance, what, instead=""):
    """Warns where no attempt at the cell problems, the largest with so much of what, has met the tolerance."""
    if error > tolerance:
        warn(
            f"cell problems: their error is about {error:.2g} with {what}, expected at most {tolerance:g}; the "
            f"coefficient is steep within its cell{instead}"
        )


def solve_at(coefficient, period, features, count, x):
    """c (N, J) of the correctors at one x (dim,)."""
    return correctors_of(field_at(coefficient, period, x), features, count)


def contrast(field, dim):
    """The largest eigenvalue of a field over the least."""
    least, largest = extreme_eigenvalues(tensor_of(field, midpoints(dim, 1.0, 16)))
    return largest.max() / least.min()


def reaction_cell(problem, period, tolerance, rng):
    """The corrector N of a reaction, eq. (A.2), by as few features as bring its residual, at points that are not those
    of the fit, below the tolerance."""
    dim, field = problem.dim, field_at(problem.coefficient, period, centre(problem.domain))

    def attempt(features, count):
        y, between = midpoints(dim, 1.0, count), midpoints(dim, 1.0, count + 1)
        r, r_between = (problem.reaction(period * p) for p in (y, between))
        C = solve_cell(features, y, *tensor_and_divergence(field, y), -r[None])
        jet = features.jet(operator_jet(between, *tensor_and_divergence(field, between)))
        miss = (jet[-1] @ C)[:, 0] - r_between
        return Found(features, count, C, relative(np.linalg.norm(miss), np.linalg.norm(r_between)))

    return closest(attempts(attempt, dim, rng), tolerance)
