"""Homogenized equations by random features and one linear least-squares problem: step 3 of the recipe `sharp`.

    -d_i( a_ij d_j u ) + c u = f          u_t - d_i( a_ij d_j u ) + c u = f          u = 0 on the boundary of a box

    trial functions    u = lift + bubble * sum_k c_k tanh(w_k . x + b_k), random w_k and b_k that stay: linear in c
    stationary         one least-squares problem for c, the residuals weighted by a quadrature and by the bubble
    in time            slabs, each with the value at the end of the one before built in:  with s in (0, 1) in the slab
                       u = lift + bubble * (features(x, s = 1) @ C + s features(x, s) @ c),  C the sum of the c before.
                       The features are the same in every slab: slabs of equal length share one factorisation.

The hidden layer is random and fixed as in extreme learning machines (Huang, Zhu, Siew 2006), their use for equations
PIELM (Dwivedi, Srinivasan 2020) and the random feature method (Chen, Chi, E, Yang 2022).  Ours: the lifts, slopes of
all sizes in one set of features, slabs that share them, and what decides, the estimate of the error:

A0 = m diag(mean a_ii) is the largest such operator below a.  The residual r at midpoints, points that the fit has not
seen, is expanded in sines, the eigenfunctions of A0 with eigenvalues l_k.  The error solves L e = r, so that |r_k| / l_k
estimates it, and is the error where a and c are constant.  In time each mode grows by at most
((1 - exp(-2 l_k h)) / 2 l_k int r_k^2)^(1/2) in a slab of length h.  Divided by |u| the estimate has no units.
"""

import warnings
from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from autograd.scipy.special import erfc
from numpy.polynomial.legendre import leggauss
from scipy.fft import dstn
from scipy.linalg import lstsq, qr, solve_triangular

from coefficients import checked_values
from jets import affine, derivatives, operator_jet, tanh_jet
from losses import grid, on_boundary

FEATURES = {1: (40, 80, 160, 320, 640, 1280), 2: (150, 300, 600, 1200, 2400), 3: (300, 600, 1200, 2400), 4: (600, 1200)}
CHECKS = {1: 1024, 2: 64, 3: 20}  # midpoints an axis of the box: a bump of width 0.02 is seen in one and two dimensions
CHECKS_IN_TIME = {1: 256, 2: 40, 3: 12}
GRADED = 8  # slabs that double, at least
CUT = 1e-13  # of the singular values


class Features(NamedTuple):
    """tanh(z W + b) of coordinates z in [-1, 1]; with time the last one is that of the slab."""

    W: np.ndarray  # (d, N)
    b: np.ndarray  # (N,)


class Solution(NamedTuple):
    """u = lift + bubble * (features at the end of a slab @ start + s features @ slope); without time s = 1, start = 0.

    u(points (n, d)) -> value (n,), gradient (n, d), second derivatives (n, d, d), where time is the last coordinate.
    """

    features: Features
    start: np.ndarray  # (slabs, N)
    slope: np.ndarray  # (slabs, N)
    domain: tuple
    times: np.ndarray  # (slabs + 1,): ends of the slabs; empty without time
    lift: Callable  # points (n, d) -> (n,), written with autograd.numpy
    error: float  # estimate of the relative error in L2, at the final time where there is time
    points: tuple  # of the fit: how many along each axis

    def __call__(self, points):
        if len(self.times) == 0:
            return derivatives(lambda jet: self._jet(jet, 0), points)
        slab = np.clip(np.searchsorted(self.times, points[:, -1]) - 1, 0, len(self.slope) - 1)
        n, d = points.shape
        out = np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d))
        for k in np.unique(slab):
            part = slab == k
            for array, values in zip(out, derivatives(lambda jet, k=k: self._jet(jet, k), points[part]), strict=True):
                array[part] = values
        return out

    def _jet(self, jet, k):
        """The jet of u (channels, n) in one slab."""
        dim, bubble = len(self.domain), bubble_of(self.domain)
        B, lift = function_jet(bubble, jet), function_jet(self.lift, jet)
        if len(self.times) == 0:
            return lift + product_jet(B, feature_jet(self.features, scaled(jet, self.domain)) @ self.slope[k])
        inside = scaled(jet, (*self.domain, self.times[k : k + 2]))
        s, end = (inside[..., -1] + (np.arange(len(jet)) == 0)[:, None]) / 2, inside.copy()
        end[..., dim], end[0, :, dim] = 0, 1
        moving = product_jet(s, feature_jet(self.features, inside) @ self.slope[k])
        return lift + product_jet(B, moving + feature_jet(self.features, end) @ self.start[k])


def solve_equation(problem, coefficients, tolerance, rng):
    """u_t - d_i(a_ij d_j u) + c u = f, u = 0 on the boundary of a box: a Solution.  u_t only if problem.initial.

    coefficients(x (n, dim)) -> a (n, dim, dim), d_i a_ij (n, dim), c, a number or (n,).
    The features double until the estimate of the relative error in L2 (at the final time) is below the tolerance; a
    warning says where that is not reached.
    """
    dim, timed = problem.dim, problem.initial is not None
    solve = solve_in_time if timed else solve_stationary
    best = None
    for count in FEATURES[dim + timed]:
        found = solve(problem, coefficients, random_features(dim, timed, count, rng))
        best = found if best is None or not found.error > best.error else best
        if best.error <= tolerance:
            return best
    warnings.warn(
        f"source, coefficient or initial value: the relative error of the solution is about {best.error:.2g} with "
        f"{best.slope.shape[1]} random features at {best.points} points, expected at most {tolerance:g}; a smoother "
        "equation would help, or finite elements where it has jumps, kinks or layers",
        stacklevel=2,
    )
    return best


def random_features(dim, timed, count, rng):
    """Slopes of all sizes from 1 to one that grows with the number of features, with bends all over the box.

    Half of the bends are denser at the boundary, where layers are.
    """
    d = dim + timed
    steepest = np.full(d, max(2.0, count / 8 if d == 1 else count**0.5 / 6))
    if timed:
        steepest[:dim], steepest[-1] = max(4.0, count / 20 if dim == 1 else count**0.5 / 4), 1.5
    W = rng.standard_normal((d, count)) * steepest[:, None] ** rng.random(count) / np.sqrt(d)
    z = rng.uniform(-1, 1, (d, count))
    z = np.where(rng.random(z.shape) < 0.5, np.sin(np.pi / 2 * z), z)
    return Features(W, -np.sum(W * z, axis=0))


# ---------------------------------------------------------------------------------------------------
# Jets of trial functions
# ---------------------------------------------------------------------------------------------------


def scaled(jet, bounds):
    """The jet of the coordinates, scaled to [-1, 1]."""
    low, high = np.transpose(bounds)
    out = 2 * jet / (high - low)
    out[0] -= (high + low) / (high - low)
    return out


def feature_jet(features, jet):
    """The jet (channels, n, d) of scaled coordinates -> (channels, n, N)."""
    return tanh_jet(affine(jet, features.W, features.b))[0]


def product_jet(B, jet):
    """The jet of a product, B (channels, n), jet (channels, n) or (channels, n, N)."""
    B = B.reshape(B.shape + (1,) * (jet.ndim - 2))
    out = B[0] * jet
    out[1:] += B[1:] * jet[0]
    out[-1] += 2 * np.sum(B[1:-1] * jet[1:-1], axis=0)
    return out


def function_jet(function, jet):
    """The jet (channels, n) of a function of points, by nested automatic differentiation."""
    x, directions, b = jet[0], jet[1:-1], jet[-1]
    slope = _derivative(function)
    gradient = slope(x)
    out = np.concatenate([function(x)[None], np.einsum("knd,nd->kn", directions, gradient), [np.sum(b * gradient, 1)]])
    for i in np.flatnonzero(np.any(directions != 0, axis=(0, 1))):
        second = _derivative(lambda p, i=i: slope(p)[:, i])(x)
        out[-1] += np.einsum("kn,knd,nd->n", directions[..., i], directions, second)
    return out


def _derivative(function):
    def slope(p):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "independent of input": a constant has slope 0
            return elementwise_grad(function)(p)

    return slope


def bubble_of(domain):
    """prod_i 4 (x_i - low_i) (high_i - x_i) / length_i^2, a function of points."""

    def bubble(p):
        factors = [4 * (p[:, i] - low) * (high - p[:, i]) / (high - low) ** 2 for i, (low, high) in enumerate(domain)]
        return reduce(lambda u, v: u * v, factors)

    return bubble


def columns(problem, coefficients, features, x, z=None, block=1024):
    """At points x (n, dim): values and -d_i(a_ij d_j) + c of bubble * features, two (n, N).

    z (n,): the scaled time inside a slab at which the features are taken, and a third (n, N): d_z of the values.
    """
    parts, bubble = [], bubble_of(problem.domain)
    for i in range(0, len(x), block):
        p = x[i : i + block]
        a, b, c = coefficients(p)
        jet = operator_jet(p, a, b)
        inside = scaled(jet, problem.domain)
        if z is not None:
            time = np.zeros((*jet.shape[:2], 1))
            time[0, :, 0] = z[i : i + block]
            inside = np.concatenate([inside, time], axis=-1)
        values, B = feature_jet(features, inside), function_jet(bubble, jet)
        out = product_jet(B, values)
        rows = [out[0], np.reshape(c, (-1, 1)) * out[0] - out[-1]]
        parts.append(rows if z is None else [*rows, B[0][:, None] * (1 - values[0] ** 2) * features.W[-1]])
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def chebyshev(bounds, counts):
    """Points (n, d) that are dense at the boundary of a box, and their quadrature weights (n,)."""
    axes, weights = [], []
    for (low, high), count in zip(bounds, counts, strict=True):
        angle = (np.arange(count) + 0.5) * np.pi / count
        axes.append(low + (high - low) * (1 - np.cos(angle)) / 2)
        weights.append((high - low) / 2 * np.sin(angle) * np.pi / count)
    return product(axes), reduce(np.kron, weights)


def product(axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def midpoints(bounds, count):
    return product([low + (high - low) * (np.arange(count) + 0.5) / count for low, high in bounds])


def least_squares(A):
    """A (rows, N) -> a function of right-hand sides (rows,) that returns (N,), with columns scaled and a rank cut."""
    sizes = np.linalg.norm(A, axis=0)
    Q, R = qr(A / sizes, mode="economic", check_finite=False)
    turn, R, order = qr(R, pivoting=True, mode="economic", check_finite=False)
    rank = np.sum(np.abs(np.diag(R)) > CUT * abs(R[0, 0]))

    def solve(rhs):
        c = np.zeros(len(sizes))
        c[order[:rank]] = solve_triangular(R[:rank, :rank], (turn.T @ (Q.T @ rhs))[:rank], check_finite=False)
        return c / sizes

    return solve


def least_squares_once(A, rhs):
    """The same for one right-hand side: a QR without its Q, and the rank cut in the small triangle that is left."""
    sizes, n = np.linalg.norm(A, axis=0), A.shape[1]
    R = qr(np.column_stack([A / sizes, rhs]), mode="r", overwrite_a=True, check_finite=False)[0][: n + 1]
    return lstsq(R[:, :n], R[:, n], cond=CUT, lapack_driver="gelsy", check_finite=False)[0] / sizes


# ---------------------------------------------------------------------------------------------------
# Stationary
# ---------------------------------------------------------------------------------------------------


def solve_stationary(problem, coefficients, features):
    N, dim = features.W.shape[1], problem.dim
    counts = (int(np.ceil((2 * N) ** (1 / dim))) + (dim > 1),) * dim
    x, weights = chebyshev(problem.domain, counts)
    lift = elliptic_lift(problem, coefficients)
    root = np.sqrt(weights * bubble_of(problem.domain)(x))
    _, A = columns(problem, coefficients, features, x)
    rhs = checked_values("source", problem.source, x) - lift_columns(problem, coefficients, lift, x)[1]
    c = least_squares_once(root[:, None] * A, root * rhs)
    y = midpoints(problem.domain, CHECKS[dim])
    values, residual = check(problem, coefficients, features, c, lift, y)
    e = np.linalg.norm(sines(residual, dim) / eigenvalues(problem, coefficients, y))
    error = relative(e, np.linalg.norm(values))
    return Solution(features, 0 * c[None], c[None], problem.domain, np.zeros(0), lift, error, counts)


def relative(error, size):
    """error / size, 0 for 0 / 0."""
    return float(error / size) if size > 0 else (np.inf if error > 0 else 0.0)


def check(problem, coefficients, features, c, lift, y):
    """Values and residuals of the trial function at points y."""
    V, A = columns(problem, coefficients, features, y)
    value, operator = lift_columns(problem, coefficients, lift, y)
    return V @ c + value, checked_values("source", problem.source, y) - A @ c - operator


def lift_columns(problem, coefficients, lift, x):
    """Values and -d_i(a_ij d_j) + c of the lift."""
    a, b, c = coefficients(x)
    jet = function_jet(lift, operator_jet(x, a, b))
    return jet[0], c * jet[0] - jet[-1]


def sines(values, dim):
    """The coefficients of values at count ** dim midpoints in the sines that vanish on the boundary."""
    count = round(len(values) ** (1 / dim))
    return dstn(values.reshape((count,) * dim), type=2, norm="ortho").ravel()


def eigenvalues(problem, coefficients, y):
    """Those of the largest operator -m d_i(mean(a_ii) d_i) + min c below -d_i(a_ij d_j) + c, in the order of `sines`."""
    a, _, c = coefficients(y)
    D = np.mean(np.einsum("nii->ni", a), axis=0)
    least = np.linalg.eigvalsh(a / np.sqrt(D[:, None] * D)).min()
    count = np.arange(1, round(len(y) ** (1 / problem.dim)) + 1)
    waves = [least * d * (count * np.pi / (high - low)) ** 2 for d, (low, high) in zip(D, problem.domain, strict=True)]
    return product(waves).sum(axis=1) + np.min(c)


# ---------------------------------------------------------------------------------------------------
# In time
# ---------------------------------------------------------------------------------------------------

TIMES, CHECK_TIMES = 12, 5  # in a slab, of the fit and of the estimate


class Columns(NamedTuple):
    """What is linear in the coefficients of a slab, at points x and times s in (0, 1): row x * len(s) + s."""

    rate: np.ndarray  # (n, N): d_s of s * bubble * features
    operator: np.ndarray  # (n, N): -d_i(a_ij d_j) + c of the same
    end: np.ndarray  # (len(x), N): bubble * features at s = 1
    end_operator: np.ndarray  # (len(x), N)
    x: np.ndarray
    s: np.ndarray


def solve_in_time(problem, coefficients, features):
    """Slab after slab; the estimate of each sine mode of the error goes along."""
    dim, domain, N = problem.dim, problem.domain, features.W.shape[1]
    y = midpoints(domain, CHECKS_IN_TIME[dim])
    rates = eigenvalues(problem, coefficients, y)
    times, frozen = slab_times(problem.final_time, rates[0], N)
    count = int(np.ceil((3 * N / TIMES) ** (1 / dim))) + (dim > 1)
    x, weights = chebyshev(domain, (count,) * dim)
    s, shares = chebyshev([(0.0, 1.0)], (TIMES,))
    nodes, gauss = leggauss(CHECK_TIMES)
    fit = slab_columns(problem, coefficients, features, x, s[:, 0])
    seen = slab_columns(problem, coefficients, features, y, (nodes + 1) / 2)
    root = np.sqrt(np.kron(weights * bubble_of(domain)(x), shares))
    C = initial_coefficients(problem, coefficients, features)
    lift = parabolic_lift(problem, coefficients, features, C, frozen)
    E = np.abs(sines(checked_values("initial", problem.initial, y) - seen.end @ C, dim))
    start, slope, length = [], [], 0.0
    for t, h in zip(times, np.diff(times), strict=False):
        if not np.isclose(h, length, rtol=1e-9, atol=0):
            solve, length = least_squares(root[:, None] * (fit.rate / h + fit.operator)), h
        if t <= frozen:
            sources = [forcing(problem, coefficients, lift, part, t, h) for part in (fit, seen)]
        known, r = (f - np.repeat(p.end_operator @ C, len(p.s)) for f, p in zip(sources, (fit, seen), strict=True))
        c = solve(root * known)
        E = grown(E, r - (seen.rate @ c) / h - seen.operator @ c, rates, h, gauss / 2, dim)
        start.append(C)
        slope.append(c)
        C = C + c
    final = seen.end @ C + lift(np.insert(y, dim, times[-1], axis=1))
    if times[-1] < problem.final_time:
        times = np.append(times, problem.final_time)
        start.append(C)
        slope.append(0 * C)
    error = relative(np.linalg.norm(E), np.linalg.norm(final))
    return Solution(features, np.array(start), np.array(slope), domain, times, lift, error, (count,) * dim + (TIMES,))


def slab_columns(problem, coefficients, features, x, s):
    """The Columns at all pairs of points x (n, dim) and times s (m,)."""
    n, m = len(x), len(s)
    V, A, dz = columns(problem, coefficients, features, np.repeat(x, m, axis=0), np.tile(2 * s - 1, n))
    times = np.tile(s, n)[:, None]
    end, end_operator, _ = columns(problem, coefficients, features, x, np.ones(n))
    return Columns(V + 2 * times * dz, times * A, end, end_operator, x, s)


def slab_times(final, rate, N):
    """The ends of the slabs, and the time at which the lift of the corners stands still.

    From the final time, or from the relaxation time of the slowest mode, halved towards 0, since the solution is rough
    there; after that slabs of equal length, for 40 relaxation times, when what moves is lost in rounding.
    """
    relaxation = min(final, 1 / abs(rate))
    graded = np.append(0, relaxation * 0.5 ** np.arange(GRADED + 2 * np.log2(N / 150), -1, -1))
    if relaxation == final:
        return graded, final
    last = final if rate < 0 else min(final, 40 / rate)
    count = int(np.ceil((last - relaxation) / relaxation))
    return np.append(graded, relaxation + (last - relaxation) * np.arange(1, count + 1) / count), relaxation


def forcing(problem, coefficients, lift, part, t, h):
    """f - (d_t - d_i(a_ij d_j) + c) lift at the points and times of Columns in the slab from t to t + h."""
    x = np.repeat(part.x, len(part.s), axis=0)
    a, b, c = coefficients(x)
    points = np.column_stack([x, np.tile(t + h * part.s, len(part.x))])
    jet = function_jet(lift, operator_jet(points, a, np.column_stack([b, np.full(len(x), -1.0)])))
    return checked_values("source", problem.source, x) + jet[-1] - c * jet[0]


def grown(E, r, rates, h, weights, dim):
    """The modes of the error at the end of a slab, from those at its start and residuals r (n * m,) in between.

    |int exp(-l (h - s)) r ds| is at most the product of the norms in L2, or of those in L1 and L_infinity.
    """
    modes = np.array([np.abs(sines(each, dim)) for each in r.reshape(-1, len(weights)).T])
    one, two = (-np.expm1(-k * rates * h) / (k * rates) for k in (1, 2))
    return E * np.exp(-rates * h) + np.minimum(np.sqrt(two * h * (weights @ modes**2)), one * modes.max(axis=0))


def initial_coefficients(problem, coefficients, features):
    """The initial value by least squares: C with bubble * features(x, s = 1) @ C near it.  It need not be smooth."""
    initial, dim, N = problem.initial, problem.dim, features.W.shape[1]
    corners = grid(problem.domain, 9)
    sizes = np.abs(checked_values("initial", initial, corners))
    largest = sizes[on_boundary(corners, problem.domain)].max()
    if largest > 1e-8 * sizes.max():
        raise ValueError(f"initial: found {largest:.3g} on the boundary, expected 0, as u is there")
    x, weights = chebyshev(problem.domain, (int(np.ceil((2 * N) ** (1 / dim))) + 1,) * dim)
    V = columns(problem, coefficients, features, x, np.ones(len(x)))[0]
    root = np.sqrt(weights)
    return least_squares_once(root[:, None] * V, root * checked_values("initial", initial, x))


# ---------------------------------------------------------------------------------------------------
# Lifts: what smooth features cannot follow
# ---------------------------------------------------------------------------------------------------


def cutoff(s):
    """1 at s = 0, 0 from s = 1 on, three times differentiable."""
    s = anp.minimum(s, 1)
    return (1 - s) ** 4 * (1 + 4 * s + 10 * s**2 + 20 * s**3)


def elliptic_lift(problem, coefficients):
    """In two dimensions, what a solution does in the corners of a rectangle where f is not zero.

    u = 0 on both edges makes both second derivatives vanish there, the equation does not: u has the singular part
    w = -y^2 / 2 - Im(z^2 log z) / pi, z = x + i y, which solves -lap w = 1 and vanishes on both edges.  Lengths are
    divided by the roots of a_11 and a_22; for a_12 != 0 the corner has another angle, and there is no lift.
    """
    corners = grid(problem.domain, 2)
    a = coefficients(corners)[0]
    if problem.dim != 2 or np.abs(a[:, 0, 1]).max() > 1e-6 * np.sqrt(a[:, 0, 0] * a[:, 1, 1]).min():
        return lambda p: 0 * p[:, 0]
    f, (low, high) = problem.source(corners), np.transpose(problem.domain)

    def lift(p):
        total = 0.0
        for corner, strength, tensor in zip(corners, f, a, strict=True):
            roots = np.sqrt(np.diag(tensor))
            unit = np.min((high - low) / roots)
            x, y = (
                (p[:, i] - low[i] if corner[i] == low[i] else high[i] - p[:, i]) / (unit * roots[i]) for i in (0, 1)
            )
            square = x * x + y * y + 1e-60
            w = -y * y / 2 - (x * y * anp.log(square) + (x * x - y * y) * anp.arctan2(y, x + 1e-30)) / np.pi
            total = total + strength * unit**2 * w * cutoff(x) * cutoff(y)
        return total

    return lift


def parabolic_lift(problem, coefficients, features, C, frozen):
    """In one dimension, what the solution does at the ends near t = 0 where the initial value breaks the equation.

    At an end u_t = 0, yet the equation asks for u_t = s = f + d(a du) - c u there at t = 0: u has the singular part
    s t (1 - 4 i2erfc(x / sqrt(4 a t))), which solves u_t - a u_xx = s and vanishes at the end and at t = 0.  At
    t = frozen it is smooth, and stands still.
    """
    if problem.dim != 1:
        return lambda p: 0 * p[:, 0]
    ends, (low, high) = np.transpose(problem.domain), problem.domain[0]
    a = coefficients(ends)[0][:, 0, 0]
    strength = problem.source(ends) - columns(problem, coefficients, features, ends, np.ones(2))[1] @ C

    def lift(p):
        total, t = 0.0, anp.minimum(p[:, 1], frozen)
        for end, s, diffusion in zip(ends[:, 0], strength, a, strict=True):
            x = p[:, 0] - low if end == low else high - p[:, 0]
            eta = x / anp.sqrt(4 * diffusion * t + 1e-60 * (high - low) ** 2)
            layer = (1 + 2 * eta**2) * erfc(eta) - 2 / np.sqrt(np.pi) * eta * anp.exp(-(eta**2))
            total = total + s * t * (1 - layer) * cutoff(x / (high - low))
        return total

    return lift
