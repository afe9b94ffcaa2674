"""The recipe `sharp`: the same residuals, minimised by one linear least-squares problem.

A network tanh(z W + b) @ c whose W and b are random and stay so is linear in c, and every equation of the paper is
linear: the least residual is found by one factorisation.  For cell problems z = sin, cos of 2 pi y / period, so that
periodicity is built in; N features, n points an axis and the scale of W grow until the bounds of the homogenized
tensor, not the residual, are as close as asked for (see nhpinn_bounds.py).

Random features for differential equations: PIELM (Dwivedi and Srinivasan 2020), local extreme learning machines (Dong
and Li 2021), the random feature method (Chen, Chi, E and Yang 2022).  Ours: all correctors from one factorisation,
the bounds as what decides, and one set of features for all x of a slowly varying coefficient.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft, linalg

from nhpinn_bounds import Bounds, inverse, resolution, scattered_means, tensor_bounds
from nhpinn_checks import depends_on_x, tensor_and_divergence, tensor_of
from nhpinn_networks import Correctors, affine, coordinate_jet, midpoints, one_node, operator_jet, tanh_jet, tensor_grid

# ---------------------------------------------------------------------------------------------------
# Random features and their least squares
# ---------------------------------------------------------------------------------------------------


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
    return np.concatenate(
        [function_of(angle, sine, cosine, -sine), function_of(angle, cosine, -sine, -cosine)], axis=-1
    )


def function_of(jet, value, first, second):
    """The jet of f(u) from the jet of u and f, f', f'' at u."""
    out = first * jet
    out[0] = value
    out[-1] += second * np.sum(jet[1:-1] ** 2, axis=0)
    return out


def least_squares(A, rhs):
    """The c of least |A c - rhs| and, where that leaves it open, of about least norm: (n, N), (n, J) -> (N, J).

    Tall or large matrices become triangular first: pivoting, which reveals the rank, is slow.
    """
    if A.shape[1] > 1000:
        (reflectors, tau), R = linalg.qr(A, mode="raw", check_finite=False, overwrite_a=True)
        rhs = linalg.lapack.dormqr("L", "T", reflectors, tau, rhs, 64 * rhs.shape[1])[0]
        A, rhs = R[: A.shape[1]], rhs[: A.shape[1]]
    return linalg.lstsq(A, rhs, cond=1e-13, lapack_driver="gelsy", check_finite=False, overwrite_a=True)[0]


# ---------------------------------------------------------------------------------------------------
# Cell problems
# ---------------------------------------------------------------------------------------------------

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
    points: int  # an axis
    C: np.ndarray  # (N, J)
    bounds: Bounds


def homogenize_cell(field, dim, tolerance, rng):
    """The correctors of a field on the unit cell and the bounds of its homogenized tensor, by as few features as meet
    the tolerance: Found, the best one if none does.  Raises ValueError for a field that no grid in reach resolves."""
    means = scattered_means(field, dim)
    count, best = resolution(field, dim, means), None
    for features, points in attempts(dim, rng):
        y = midpoints(dim, 1.0, points)
        a, b = tensor_and_divergence(field, y)
        C = solve_cell(features, y, a, b, b.T)
        chi = (features.jet(y[None])[0] @ C).T.reshape(dim, *[points] * dim)
        found = Found(features, points, C, tensor_bounds(field, chi, means, count, tolerance))
        if best is None or found.bounds.error < best.bounds.error:
            best = found
        if found.bounds.error <= tolerance:
            break
    return best


def attempts(dim, rng):
    """Features and the number of points an axis."""
    for count, points, scale in ATTEMPTS[dim]:
        yield periodic_features(dim, count, scale, rng), points


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


def on_unit_cell(coefficient, period):
    """A coefficient of y as one of y / period: with chi_k = period_k * (its corrector), the same equations hold for
    a_ij / (period_i period_j)."""

    def field(y):
        a = coefficient(period * y)
        if np.ndim(a) == 1 and np.ptp(period) == 0:
            return a / period[0] ** 2
        return (a[:, None, None] * np.eye(len(period)) if np.ndim(a) == 1 else a) / np.outer(period, period)

    return field


class Cells(NamedTuple):
    """The correctors of all cell problems of a coefficient, of one for each slow point."""

    features: Features
    C: np.ndarray  # (N, X, J)
    mean: np.ndarray  # (X, J)
    period: np.ndarray  # (dim,)
    scale: np.ndarray  # (J,): of the correctors

    def __call__(self, y):
        """Values with mean zero (X, J, n) and gradients (X, J, n, dim) at y (n, dim)."""
        directions = np.broadcast_to(np.diag(1 / self.period)[:, None], (y.shape[1], *y.shape))
        jet = self.features.jet(coordinate_jet(y / self.period, directions, np.zeros(y.shape)))[:-1]
        found = np.einsum("knN,NXJ->XJnk", jet, self.C * self.scale, optimize=True)
        return found[..., 0] - (self.scale * self.mean)[..., None], found[..., 1:]


def unit_cells(found):
    """The Cells of one coefficient on the unit cell."""
    dim = len(found.bounds.lower)
    mean = found.features.jet(midpoints(dim, 1.0, found.points)[None])[0].mean(axis=0) @ found.C
    return Cells(found.features, found.C[:, None], mean[None], np.ones(dim), np.ones(dim))


def solve_cells(problem, tolerance, rng):
    """Step 1: the Correctors of a problem, for every x of its domain if the coefficient varies slowly.

    One coefficient: its gap meets tolerance ** 2, which makes the corrector's error about the tolerance.  A slow one:
    the gap meets the tolerance where the contrast is largest, and the same features serve every x.
    """
    dim, period = problem.dim, np.broadcast_to(np.asarray(problem.period, float), problem.dim)
    slow = problem.slow
    if slow is None:
        slow = depends_on_x(problem.coefficient, dim, problem.domain, problem.period)
    slow = chebyshev_points(problem, tolerance) if slow else None
    nodes = np.zeros((1, dim)) if slow is None else slow.points
    fields = [on_unit_cell(lambda y, x=x: problem.coefficient(0 * y + x, y), period) for x in nodes]
    if problem.reaction is not None:
        found = reaction_cell(problem, fields[0], period, tolerance, rng)
        scale = np.ones(1)
    else:
        hardest = max(fields, key=lambda field: contrast(field, dim))
        found = homogenize_cell(hardest, dim, max(LEAST_GAP, tolerance if slow else tolerance**2), rng)
        scale = period
    y = midpoints(dim, 1.0, found.points)
    if slow is None:
        C = found.C[:, None]
    else:
        data = (tensor_and_divergence(field, y) for field in fields)
        C = np.stack([solve_cell(found.features, y, a, b, b.T) for a, b in data], axis=1)
    mean = np.tensordot(found.features.jet(y[None])[0].mean(axis=0), C, 1)
    cells = Cells(found.features, C, mean, period, scale)
    return Correctors(cells, one_node if slow is None else slow.weights, nodes, problem.period)


def contrast(field, dim, count=16):
    """The largest eigenvalue of a field over the least."""
    eigenvalues = np.linalg.eigvalsh(tensor_of(field, midpoints(dim, 1.0, count)))
    return eigenvalues[:, -1].max() / eigenvalues[:, 0].min()


def reaction_cell(problem, field, period, tolerance, rng):
    """The corrector N of a reaction, eq. (A.2), by as few features as bring its residual, at points that are not those
    of the fit, below the tolerance."""
    dim, best = problem.dim, (np.inf, None)
    for features, count in attempts(dim, rng):
        y, between = midpoints(dim, 1.0, count), midpoints(dim, 1.0, count + 1)
        (a, b), (a_between, b_between) = (tensor_and_divergence(field, p) for p in (y, between))
        r, r_between = (problem.reaction(period * p) for p in (y, between))
        C = solve_cell(features, y, a, b, -r[None])
        miss = (features.jet(operator_jet(between, a_between, b_between))[-1] @ C)[:, 0] - r_between
        error = np.linalg.norm(miss) / np.linalg.norm(r_between)
        if error < best[0]:
            best = error, Found(features, count, C, None)
        if error <= tolerance:
            break
    return best[1]


# ---------------------------------------------------------------------------------------------------
# Coefficients that vary slowly: interpolation in x
# ---------------------------------------------------------------------------------------------------

MOST_AN_AXIS = {1: 1025, 2: 257, 3: 65}  # Chebyshev points
MOST_NODES = 1100
LINES = 200  # on which a coefficient is looked at


class Chebyshev(NamedTuple):
    """Polynomial interpolation at the Chebyshev points of a box."""

    bounds: tuple
    counts: tuple  # points an axis

    @property
    def points(self):
        """(X, dim)"""
        axes = [low + (high - low) * (chebyshev.chebpts1(n) + 1) / 2 for (low, high), n in zip(*self, strict=True)]
        return tensor_grid(axes)

    def weights(self, x):
        """w (n, X) and its gradients (n, X, dim), so that w @ (values at the points) interpolates at x (n, dim)."""
        lines = [self._line(axis, x[:, axis]) for axis in range(x.shape[1])]
        rows = lambda parts: reduce(lambda u, v: (u[:, :, None] * v[:, None, :]).reshape(len(x), -1), parts)  # noqa: E731
        slopes = [rows([line[int(i == axis)] for i, line in enumerate(lines)]) for axis in range(x.shape[1])]
        return rows([line[0] for line in lines]), np.stack(slopes, axis=-1)

    def _line(self, axis, x):
        """The cardinal polynomials of one axis and their derivatives: (n, count) each."""
        (low, high), count = self.bounds[axis], self.counts[axis]
        cardinal = chebyshev.chebvander(chebyshev.chebpts1(count), count - 1).T * 2 / count
        cardinal[0] /= 2
        t = 2 * (x - low) / (high - low) - 1
        slope = chebyshev.chebder(cardinal) if count > 1 else np.zeros((1, 1))
        return (
            chebyshev.chebvander(t, count - 1) @ cardinal,
            chebyshev.chebvander(t, max(count - 2, 0)) @ slope * 2 / (high - low),
        )


def chebyshev_points(problem, tolerance):
    """As many points an axis as bring the coefficient and its inverse, on lines through the box, to the tolerance.

    Raises ValueError where the most points do not.
    """
    dim, rng, counts = problem.dim, np.random.default_rng(0), []
    low, high = np.transpose(problem.domain)
    for axis, most in enumerate([MOST_AN_AXIS[dim]] * dim):
        t = chebyshev.chebpts1(most)
        x = np.repeat(rng.uniform(low, high, (LINES, dim)), most, axis=0)
        x[:, axis] = np.tile(low[axis] + (high[axis] - low[axis]) * (t + 1) / 2, LINES)
        y = np.repeat(rng.uniform(0, 1, (LINES, dim)) * problem.period, most, axis=0)
        a = tensor_of(lambda y, x=x: problem.coefficient(x, y), y)
        values = np.stack([a, inverse(a)]).reshape(2, LINES, most, -1)
        sizes = np.abs(fft.dct(values, axis=2)).max(axis=(1, 3)) / np.abs(values).max(axis=(1, 2, 3))[:, None] / most
        needed = np.flatnonzero((sizes > max(tolerance / 10, 1e-13)).any(axis=0))[-1] + 1
        counts.append(int(needed))
        if needed > 0.9 * most:
            raise ValueError(
                f"coefficient: varies in x along axis {axis} faster than {most} points resolve to {tolerance:g}; "
                "expected a slow variable that varies slowly"
            )
    if np.prod(counts) > MOST_NODES:
        raise ValueError(
            f"coefficient: its variation in x needs {' x '.join(map(str, counts))} cell problems at the tolerance "
            f"{tolerance:g}, expected at most {MOST_NODES}; try a larger tolerance"
        )
    return Chebyshev(tuple(problem.domain), tuple(counts))


class TwoPhase(NamedTuple):
    level_set: object
    inside: object
    outside: object
