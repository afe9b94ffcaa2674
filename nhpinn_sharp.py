"""The recipe `sharp`: the same residuals, minimised by linear least squares.

A network tanh(z W + b) @ c whose W and b are random and stay so is linear in c, and every equation of the paper is
linear in the network: the least residual is found by one factorisation, without training.

    cell problems   z = sin, cos of 2 pi y / period: periodicity is built in, all correctors are right-hand sides of one
                    factorisation; features, points and slopes grow until the bounds of the homogenized tensor, not the
                    residual, are as close as asked for (see nhpinn_bounds.py); one set of features serves all x of a
                    slowly varying coefficient, which is interpolated at Chebyshev points
    equations       u = lift + bubble * features @ c: the boundary values are built in, and what smooth functions cannot
                    follow in corners; features double until an estimate of the error from other points is small
    in time         slabs, short near t = 0; in each c is a polynomial of time that starts where the last one ended,
                    with a small residual at the Radau points: one least-squares problem for each eigenvalue of the
                    Radau matrix; slabs of equal length share the factorisations

The hidden layer is random and fixed as in extreme learning machines (Huang, Zhu, Siew 2006); for equations PIELM
(Dwivedi, Srinivasan 2020), local extreme learning machines (Dong, Li 2021) and the random feature method (Chen, Chi, E,
Yang 2022).  Ours: bounds that decide, one set of features for all x, the lifts, slopes of all sizes, the slabs, and the
estimate of the error of an equation.  A0 = -m d_i( mean(a_ii) d_i ), where m is the least eigenvalue of a relative to
the diagonal matrix of the means, is the largest operator of that form below -d_i(a_ij d_j).  The residual r at
midpoints, which the fit has not seen, is expanded in sines, the eigenfunctions of A0 with eigenvalues l_k.  The error
solves L e = r, |r_k| / l_k estimates it, and is the error where a and c are constant; in time, e_k' + l_k e_k = r_k.
Divided by |u| the estimate has no units.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev, legendre
from scipy import fft, linalg
from scipy.special import erf, erfc, ive

from fem import tensor_grid
from nhpinn_bounds import Bounds, closest, inverse, means_and_midpoints, tensor_bounds
from nhpinn_networks import (
    MANY,
    Correctors,
    Interpolation,
    affine,
    as_tensor,
    at_node,
    box_midpoints,
    centre,
    checked_values,
    depends_on_x,
    derivatives,
    extreme_eigenvalues,
    first_order,
    grid,
    midpoints,
    operator_jet,
    tanh_jet,
    tensor_and_divergence,
    tensor_of,
    warn,
)

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


def on_unit_cell(coefficient, period):
    """A coefficient of y as one of y / period: with chi_k = period_k * (its corrector), the same equations hold for
    a_ij / (period_i period_j)."""
    return lambda y: as_tensor(coefficient(period * y), y.shape) / np.outer(period, period)


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
        warn_of_cells(found, tolerance)
        return Correctors(all_cells(found, found.C[:, None], period), weights, x, problem.period)
    hardest = max((field_at(problem.coefficient, period, each) for each in x), key=lambda field: contrast(field, dim))
    found = homogenize_cell(hardest, dim, max(LEAST_GAP, tolerance if len(x) > 1 else tolerance**2), rng)
    warn_of_cells(found, tolerance)
    C = found.C[:, None]
    if len(x) > 1:
        task = partial(solve_at, problem.coefficient, period, found.features, found.count)
        C = np.stack(list(mapped(task, x)), axis=1)
    return Correctors(all_cells(found, period * C, period), weights, x, problem.period)


def warn_of_cells(found, tolerance):
    """Warns where no attempt at the cell problems has met the tolerance."""
    if found.error > tolerance:
        warn(
            f"cell problems: their error is about {found.error:.2g} with {len(found.C)} random features, expected at "
            f"most {tolerance:g}; what is steep within its cell is what features follow slowly: try recipe='fem' or a "
            "larger tolerance"
        )


def field_at(coefficient, period, x):
    """The coefficient at one x (dim,) as a function on the unit cell."""
    return on_unit_cell(at_node(coefficient, x), period)


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


# --- coefficients that vary slowly: interpolation in x ----------------------------------------------

MOST_AN_AXIS = {1: 1025, 2: 257, 3: 65}  # Chebyshev points
MOST_NODES, COARSE = 1100, 1e-3
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

    @property
    def weights(self):
        return Interpolation(tuple(partial(self._line, axis) for axis in range(len(self.counts))))

    def _line(self, axis, x):
        """The cardinal polynomials of one axis and their derivatives: (n, count) each."""
        (low, high), count = self.bounds[axis], self.counts[axis]
        cardinal = chebyshev.chebvander(chebyshev.chebpts1(count), count - 1).T * 2 / count
        cardinal[0] /= 2
        t = 2 * (x - low) / (high - low) - 1
        slope = chebyshev.chebder(cardinal)
        slopes = chebyshev.chebvander(t, len(slope) - 1) @ slope * 2 / (high - low)
        return chebyshev.chebvander(t, count - 1) @ cardinal, slopes


def chebyshev_points(problem, tolerance):
    """As many points an axis as bring the coefficient and its inverse, on lines through the box, to the tolerance; the
    centre of the box for a coefficient that does not depend on x.

    Where that makes more cell problems than MOST_NODES, to the least larger one in reach, with a warning.  Raises
    ValueError where that would be more than COARSE.
    """
    if not depends_on_x(problem.coefficient, problem.dim, problem.domain, problem.period, problem.slow):
        return Chebyshev(tuple(problem.domain), (1,) * problem.dim)
    decays, wanted = [decay(problem, axis) for axis in range(problem.dim)], max(tolerance / 10, 1e-13)
    for level in wanted * 10.0 ** np.arange(15):
        counts = [int(np.flatnonzero(sizes > level).max(initial=0)) + 1 for sizes in decays]
        resolved = all(count <= 0.9 * len(sizes) for count, sizes in zip(counts, decays, strict=True))
        if resolved and np.prod(counts) <= MOST_NODES:
            break
    if level > max(wanted, COARSE):
        raise ValueError(
            "coefficient: oscillates or jumps in x, beside its fast variable y; expected one that varies slowly in x: "
            f"{MOST_NODES} cell problems resolve it to {10 * level:.1g} alone"
        )
    if level > wanted:
        warn(
            f"coefficient: its variation in x is resolved to about {10 * level:.1g} by {' x '.join(map(str, counts))} "
            f"cell problems, expected {tolerance:g}; it is steep in x"
        )
    return Chebyshev(tuple(problem.domain), tuple(counts))


def decay(problem, axis):
    """The largest Chebyshev coefficients of a and of its inverse along an axis, over random lines, relative: (n,)."""
    dim, most, rng = problem.dim, MOST_AN_AXIS[problem.dim], np.random.default_rng(axis)
    low, high = np.transpose(problem.domain)
    x = np.repeat(rng.uniform(low, high, (LINES, dim)), most, axis=0)
    x[:, axis] = np.tile(low[axis] + (high[axis] - low[axis]) * (chebyshev.chebpts1(most) + 1) / 2, LINES)
    y = np.repeat(rng.uniform(0, 1, (LINES, dim)) * problem.period, most, axis=0)
    a = tensor_of(lambda y: problem.coefficient(x, y), y)
    values = np.stack([a, inverse(a)]).reshape(2, LINES, most, -1)
    sizes = np.abs(fft.dct(values, axis=2)).max(axis=(1, 3)) / np.abs(values).max(axis=(1, 2, 3))[:, None]
    return sizes.max(axis=0) / most


# --- equations on a box -----------------------------------------------------------------------------

FEATURES = {1: (40, 80, 160, 320, 640, 1280), 2: (150, 300, 600, 1200, 2400), 3: (300, 600, 1200, 2400)}
SMALL = 1e-2  # below this error, two doublings of the features in a row that gain less than a factor of 4 are the last
FEATURES_IN_TIME = {1: (40, 80, 160, 320), 2: (150, 300), 3: (300,)}
CHECKS = {1: 1024, 2: 64, 3: 20}  # midpoints an axis of the box: a bump of width 0.02 is seen in one and two dimensions


class Trial(NamedTuple):
    """u(points (n, d)) -> value (n,), gradient (n, d), second derivatives (n, d, d), where time is the last coordinate.

    u = lift + bubble * features @ c, with one c, or one in each slab of time, a series in Legendre polynomials there.
    """

    features: Features
    series: np.ndarray  # (slabs, degree + 1, N); without time (1, 1, N)
    domain: tuple
    times: np.ndarray  # (slabs + 1,): ends of the slabs; empty without time
    lift: Callable  # jet of the coordinates (channels, n, d) -> (channels, n)
    error: float  # estimate of the relative error in L2, at the final time where there is time

    def __call__(self, points):
        slab = np.clip(np.searchsorted(self.times, points[:, -1]) - 1, 0, len(self.series) - 1)
        n, d = points.shape
        out = np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d))
        for k in np.unique(slab):
            part = slab == k
            for array, values in zip(out, derivatives(lambda jet, k=k: self._jet(jet, k), points[part]), strict=True):
                array[part] = values
        return out

    def _jet(self, jet, slab):
        """The jet of u (channels, n) in one slab."""
        values = self.features.jet(jet[..., : len(self.domain)]) @ self.series[slab].T
        u = values[..., 0]
        if len(self.times):
            s = scaled(jet[..., -1:], [self.times[slab : slab + 2]])[..., 0]
            for k in range(1, values.shape[-1]):
                P = legendre.Legendre.basis(k)
                u = u + product_jet(composed([s], P(s[0]), [P.deriv()(s[0])], [[P.deriv(2)(s[0])]]), values[..., k])
        return self.lift(jet) + product_jet(bubble_jet(self.domain, jet), u)


def solve_equation(problem, coefficients, tolerance, rng):
    """u_t - d_i(a_ij d_j u) + c u = f, u = 0 on the boundary of a box: a Trial.  u_t only if problem.initial.

    coefficients(x (n, dim)) -> a (n, dim, dim), d_i a_ij (n, dim), c, a number or (n,).
    The features double until the estimate of the relative error in L2 (at the final time) is below the tolerance, or,
    small already, falls slowly, as in corners that no lift fits; a warning says where it was not reached.
    """
    solve, counts, best, stalled = solve_stationary, FEATURES, None, 0
    if problem.initial is not None:
        solve, counts = solve_in_time, FEATURES_IN_TIME
    for count in counts[problem.dim]:
        found = solve(problem, coefficients, box_features(problem.domain, count, rng))
        stalled = stalled + 1 if best and best.error < SMALL and found.error > best.error / 4 else 0
        best = found if best is None or not found.error > best.error else best
        if best.error <= tolerance:
            return best
        if stalled == 2:
            break
    warn(
        f"homogenized equation: the relative error of its solution is about {best.error:.2g} with "
        f"{best.series.shape[2]} random features, expected at most {tolerance:g}; jumps, kinks, layers and corners in "
        "source, coefficient or initial value are what features follow slowly: try recipe='fem' or a larger tolerance"
    )
    return best


def box_features(domain, count, rng):
    """Slopes of all sizes from 1 to one that grows with the number of features, with bends all over the box.

    Half of the bends are denser at the boundary, where layers are.
    """
    dim = len(domain)
    steepest = max(2.0, count / 8 if dim == 1 else count ** (1 / dim) / 6)
    W = rng.standard_normal((dim, count)) * steepest ** rng.random(count) / np.sqrt(dim)
    z = rng.uniform(-1, 1, (dim, count))
    z = np.where(rng.random(z.shape) < 0.5, np.sin(np.pi / 2 * z), z)
    return Features(W, -np.sum(W * z, axis=0), partial(scaled, bounds=domain))


# --- jets of trial functions ------------------------------------------------------------------------


def scaled(jet, bounds):
    """The jet of the coordinates, scaled to [-1, 1]."""
    low, high = np.transpose(bounds)
    out = 2 * jet / (high - low)
    out[0] -= (high + low) / (high - low)
    return out


def bubble_jet(domain, jet):
    """The jet of prod_i 4 (x_i - low_i) (high_i - x_i) / length_i^2, from that of the coordinates."""
    factors = []
    for i, (low, high) in enumerate(domain):
        x, scale = jet[..., i], 4 / (high - low) ** 2
        value = scale * (x[0] - low) * (high - x[0])
        factors.append(composed([x], value, [scale * (high + low - 2 * x[0])], [[-2 * scale]]))
    return reduce(product_jet, factors)


def columns(problem, coefficients, features, x):
    """Values of bubble * features and -d_i(a_ij d_j) + c of them at points x (n, dim): two (n, N)."""
    parts = []
    for p in np.array_split(x, -(-len(x) // MANY)):
        a, b, c = coefficients(p)
        jet = operator_jet(p, a, b)
        out = product_jet(bubble_jet(problem.domain, jet), features.jet(jet))
        parts.append((out[0], np.reshape(c, (-1, 1)) * out[0] - out[-1]))
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


# --- stationary -------------------------------------------------------------------------------------


def solve_stationary(problem, coefficients, features):
    dim, y = problem.dim, box_midpoints(problem.domain, CHECKS[problem.dim])
    (x, root), lift = fit_points(problem, features), elliptic_lift(problem, coefficients)
    A = columns(problem, coefficients, features, x)[1]
    c = least_squares(root[:, None] * A, (root * known(problem, coefficients, lift, x)[1])[:, None])[:, 0]
    V, A = columns(problem, coefficients, features, y)
    value, rhs = known(problem, coefficients, lift, y)
    rates = eigenvalues(problem, coefficients, y)
    error = np.linalg.norm(sines(rhs - A @ c, dim) / rates)
    estimate = relative(np.hypot(error, missed_source(problem, y, rates)), np.linalg.norm(value + V @ c))
    return Trial(features, c[None, None], problem.domain, np.zeros(0), lift, estimate)


def fit_points(problem, features):
    """Points of the fit, dense at the boundary and two a feature at least; the roots of quadrature times bubble."""
    count = int(np.ceil((2 * features.W.shape[1]) ** (1 / problem.dim))) + (problem.dim > 1)
    t, weights = (np.arange(count) + 0.5) * np.pi / count, 1.0
    for low, high in problem.domain:
        weights = np.kron(weights, (high - low) / 2 * np.sin(t) * np.pi / count)
    x = tensor_grid([low + (high - low) * (1 - np.cos(t)) / 2 for low, high in problem.domain])
    return x, np.sqrt(weights * bubble_jet(problem.domain, x[None])[0])


def known(problem, coefficients, lift, x, t=None):
    """The lift, and the source that it leaves for bubble * features, at points x and one time t:
    f - (d_t - d_i(a_ij d_j) + c) lift."""
    a, b, c = coefficients(x)
    f = checked_values("source", problem.source, x)
    if t is not None:
        x, b = np.insert(x, problem.dim, t, axis=1), np.insert(b, problem.dim, -1.0, axis=1)
    jet = lift(operator_jet(x, a, b))
    return jet[0], f + jet[-1] - c * jet[0]


def relative(error, size):
    """error / size, 0 for 0 / 0."""
    return float(error / size) if size > 0 else (np.inf if error > 0 else 0.0)


def sines(values, dim):
    """The coefficients of values at midpoints in the sines that vanish on the boundary: the first CHECKS an axis."""
    count = round(len(values) ** (1 / dim))
    modes = fft.dstn(values.reshape((count,) * dim), type=2, norm="ortho")
    return modes[(slice(CHECKS[dim]),) * dim].ravel()


def eigenvalues(problem, coefficients, y):
    """Those of -m d_i(mean(a_ii) d_i) + min c, the largest such operator below -d_i(a_ij d_j) + c; order of `sines`."""
    a, _, c = coefficients(y)
    D = np.mean(np.einsum("nii->ni", a), axis=0)
    m, k = np.linalg.eigvalsh(a / np.sqrt(D[:, None] * D)).min(), np.arange(1, CHECKS[problem.dim] + 1)
    lines = [m * d * (k * np.pi / (high - low)) ** 2 for d, (low, high) in zip(D, problem.domain, strict=True)]
    return tensor_grid(lines).sum(axis=1) + np.min(c)


def missed_source(problem, y, rates):
    """What the midpoints y do not see of the source, jumps, bumps, fast waves: its part of the error, a norm.

    Four times as many points an axis see it.  With a window: sines of what is not 0 at the boundary converge slowly.
    """
    modes = []
    for p in (y, box_midpoints(problem.domain, 4 * CHECKS[problem.dim])):
        window = bubble_jet(problem.domain, p[None])[0] ** 3
        f = checked_values("source", problem.source, p)
        modes.append(sines(window * f, problem.dim) * np.sqrt(len(y) / len(p)))
    return np.linalg.norm((modes[1] - modes[0]) / rates)


# --- in time ----------------------------------------------------------------------------------------
#
# In a slab of length h, c = start + d(s) with a polynomial d of s in (0, 1), d(0) = 0, and the equation holds at the
# Radau points s_i, the last of which is 1.  With D_ij the derivative at s_i of the polynomial that is 1 at s_j and 0 at
# the other points and at 0, D = T diag(l) T^-1,
#     sum_j D_ij V d_j / h + A d_i = f_i - A start   becomes   (l_j V / h + A) (T^-1 d)_j = (T^-1 (f - A start))_j

STAGES, RATIO = 5, 0.5


def solve_in_time(problem, coefficients, features):
    """Slab after slab; the estimate of each sine mode of the error goes along."""
    dim, y = problem.dim, box_midpoints(problem.domain, CHECKS[problem.dim])
    rates = eigenvalues(problem, coefficients, y)
    times, frozen = slab_times(problem.final_time, rates[0], round(2 * np.log2(features.W.shape[1])))
    x, root = fit_points(problem, features)
    (V, A), (V_y, A_y) = (columns(problem, coefficients, features, p) for p in (x, y))
    start = least_squares(V, checked_values("initial", problem.initial, x)[:, None])[:, 0]  # it need not be smooth
    lift = parabolic_lift(problem, coefficients, features, start, frozen)
    error = sines(checked_values("initial", problem.initial, y) - V_y @ start, dim)
    s, D, to_series = radau(STAGES)
    nodes, gauss = legendre.leggauss(STAGES + 3)
    series, length = [], 0.0
    for t, h in zip(times, np.diff(times), strict=False):
        if not np.isclose(h, length, rtol=1e-9, atol=0):
            solve, length = slab_solver(root[:, None] * V / h, root[:, None] * A, D), h
        if t <= frozen:
            f = np.stack([known(problem, coefficients, lift, x, t + h * each)[1] for each in s])
            g = np.stack([known(problem, coefficients, lift, y, t + h * (z + 1) / 2)[1] for z in nodes])
        c = to_series @ np.vstack([start, start + solve(root * (f - A @ start))])
        velocity = legendre.legvander(nodes, STAGES - 1) @ legendre.legder(c) * 2 / h
        r = g - velocity @ V_y.T - legendre.legvander(nodes, STAGES) @ c @ A_y.T
        error = grown(error, np.stack([sines(each, dim) for each in r]), rates * h, h, nodes, gauss)
        start = c.sum(axis=0)
        series.append(c)
    size = np.linalg.norm(V_y @ start + known(problem, coefficients, lift, y, times[-1])[0])
    if times[-1] < problem.final_time:
        times = np.append(times, problem.final_time)
        series.append(to_series @ np.tile(start, (STAGES + 1, 1)))
    estimate = relative(np.hypot(np.linalg.norm(error), missed_source(problem, y, rates)), size)
    return Trial(features, np.array(series), problem.domain, times, lift, estimate)


def radau(m):
    """The Radau points s_i in (0, 1], (m,); d_s at s_i of the polynomials that are 1 at s_j and 0 at the others and
    at 0, (m, m); and the matrix from values at (0, s) to a Legendre series on the slab, (m + 1, m + 1)."""
    s = (np.append(legendre.Legendre([0] * (m - 1) + [1, -1]).roots().real[:-1], 1.0) + 1) / 2
    to_series = np.linalg.inv(legendre.legvander(2 * np.append(0, s) - 1, m))
    D = legendre.legvander(2 * s - 1, m - 1) @ legendre.legder(to_series) * 2
    return s, D[:, 1:], to_series


def slab_solver(V, A, D):
    """f (m, rows) -> c (m, N) with D V c + A c = f in the sense of least squares, by the eigenvectors of D."""
    l, T = np.linalg.eig(D)
    solvers = {j: factorised(each * V + A) for j, each in enumerate(l) if each.imag >= 0}  # one of a conjugate pair

    def solve(f):
        f = np.linalg.solve(T, f.astype(complex))
        return sum((1 + (l[j].imag > 0)) * np.outer(T[:, j], solver(f[j])).real for j, solver in solvers.items())

    return solve


def slab_times(final, rate, graded):
    """The ends of the slabs, and the time at which the lift of the corners stands still.

    From the final time, or from the relaxation time of the slowest mode, halved towards 0, since the solution is rough
    there; after that slabs of equal length, for 40 relaxation times, when what moves is lost in rounding.
    """
    relaxation = min(final, 1 / abs(rate))
    times = np.append(0, relaxation * RATIO ** np.arange(graded, -1, -1.0))
    last = final if rate < 0 else min(final, 40 / rate)
    count = int(np.ceil((last - relaxation) / relaxation))
    equal = relaxation + (last - relaxation) * np.arange(1, count + 1) / max(count, 1)
    return np.append(times, equal), relaxation


def grown(error, modes, z, h, nodes, gauss):
    """The modes of the error at the end of a slab, from those at its start and those of the residual in between.

    modes (m, K) at Gauss points, z (K,): eigenvalues times h.  The integral of exp(-z (1 - s)) times a Legendre
    polynomial of degree k is exp(-z / 2) i_k(z / 2), with the modified spherical Bessel function i_k.
    """
    k = np.arange(len(nodes))[:, None]
    series = (k + 0.5) * (legendre.legvander(nodes, len(nodes) - 1).T * gauss) @ modes
    w = np.maximum(np.abs(z / 2), 1e-12)
    bessel = np.sqrt(np.pi / 2 / w) * ive(k + 0.5, w) * np.exp(w - z / 2) * np.sign(z) ** k
    return error * np.exp(-z) + h * np.sum(series * bessel, axis=0)


# --- lifts: what smooth features cannot follow ------------------------------------------------------


def distances(domain, corner, jet):
    """The jets of the distances from a corner of the box, axis by axis, divided by the lengths of the box."""
    for i, (low, high) in enumerate(domain):
        sign, x = (1 if corner[i] == low else -1) / (high - low), jet[..., i] * 1.0
        x[0] -= corner[i]
        yield sign * x


def cutoff(x):
    """The jet of a polynomial: 1 at x = 0, 0 from x = 1 on, three times differentiable."""
    s = np.minimum(x[0], 1)
    value = (1 - s) ** 4 * (1 + 4 * s + 10 * s**2 + 20 * s**3)
    return composed([x], value, [-140 * (1 - s) ** 3 * s**3], [[-420 * (1 - s) ** 2 * s**2 * (1 - 2 * s)]])


def corner_jet(x, y):
    """The jet of w = -y^2 / 2 - Im(z^2 log z) / pi, z = x + i y, from those of x and y: -lap w = 1, 0 on both edges."""
    z = x[0] + 1j * y[0]
    z = np.where(z == 0, 1e-30, z)
    value, first, second = z * z * np.log(z) / np.pi, (2 * z * np.log(z) + z) / np.pi, (2 * np.log(z) + 3) / np.pi
    return composed(
        [x, y],
        -(y[0] ** 2) / 2 - value.imag,
        [-first.imag, -y[0] - first.real],
        [[-second.imag, -second.real], [-second.real, second.imag - 1]],
    )


def elliptic_lift(problem, coefficients):
    """In two dimensions, what a solution does in the corners of a rectangle where f is not zero: see `corner_jet`.

    u = 0 on both edges makes both second derivatives vanish there, the equation does not.  Lengths are divided by the
    roots of a_11 and a_22; for a_12 != 0 the corner has another angle, and there is no lift.
    """
    corners = grid(problem.domain, 2)
    a = coefficients(corners)[0]
    if problem.dim != 2 or np.abs(a[:, 0, 1]).max() > 1e-6 * np.sqrt(a[:, 0, 0] * a[:, 1, 1]).min():
        return no_lift
    return partial(corners_jet, problem.domain, corners, checked_values("source", problem.source, corners), a)


def no_lift(jet):
    return 0 * jet[..., 0]


def corners_jet(domain, corners, f, a, jet):
    """The sum of what every corner adds, of a source f (4,) and coefficients a (4, 2, 2) there."""
    total, (low, high) = 0.0, np.transpose(domain)
    for corner, strength, tensor in zip(corners, f, a, strict=True):
        lengths = (high - low) / np.sqrt(np.diag(tensor))
        near = list(distances(domain, corner, jet))
        x, y = (k * u for k, u in zip(lengths / lengths.max(), near, strict=True))
        local = product_jet(product_jet(cutoff(near[0]), cutoff(near[1])), corner_jet(x, y))
        total = total + strength * lengths.max() ** 2 * local
    return total


def layer_jet(x, t, a):
    """The jet of t (1 - 4 i2erfc(e)), e = x / sqrt(4 a t), from those of x and t.

    It solves u_t - a u_xx = 1 and vanishes for x = 0 and for t = 0.
    """
    root = np.sqrt(4 * a * t[0])
    e = x[0] / root
    bell = 2 / np.sqrt(np.pi) * np.exp(-(e**2))
    return composed(
        [x, t],
        t[0] * (1 - (1 + 2 * e**2) * erfc(e) + e * bell),
        [root / a * (bell / 2 - e * erfc(e)), erf(e)],
        [[-erfc(e) / a, bell / root], [bell / root, -bell * e / (2 * t[0])]],
    )


def parabolic_lift(problem, coefficients, features, start, frozen):
    """In one dimension, what the solution does at the ends near t = 0 where the initial value breaks the equation.

    At an end u_t = 0, yet the equation asks for u_t = s = f + d(a du) - c u there at t = 0: s times `layer_jet`.  At
    t = frozen it is smooth, and stands still.
    """
    if problem.dim != 1:
        return no_lift
    ends, (low, high) = np.transpose(problem.domain), problem.domain[0]
    scaled_a = coefficients(ends)[0][:, 0, 0] / (high - low) ** 2
    operator = columns(problem, coefficients, features, ends)[1] @ start
    strength = checked_values("source", problem.source, ends) - operator
    return partial(ends_jet, problem.domain, ends, strength, scaled_a, frozen)


def ends_jet(domain, ends, strength, scaled_a, frozen, jet):
    """The sum of what both ends add, of s (2,) and of a over the length squared (2,)."""
    total, t = 0.0, jet[..., 1] * (jet[0, :, 1] <= frozen)
    t[0] = np.clip(jet[0, :, 1], 1e-30 * frozen, frozen)
    for end, s, a in zip(ends, strength, scaled_a, strict=True):
        x = next(distances(domain, end, jet))
        total = total + s * product_jet(cutoff(x), layer_jet(x, t, a))
    return total
