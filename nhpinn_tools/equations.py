"""The recipe `sharp`, homogenized equations: random features and linear least squares, see features.py.

    equations       u = lift + bubble * features @ c: the boundary values are built in, and what smooth functions cannot
                    follow in corners; features double until an estimate of the error from other points is small
    in time         slabs, short near t = 0; in each c is a polynomial of time that starts where the last one ended,
                    with a small residual at the Radau points: one least-squares problem for each eigenvalue of the
                    Radau matrix; slabs of equal length share the factorisations

The estimate.  A0 = -m d_i( mean(a_ii) d_i ), where m is the least eigenvalue of a relative to the diagonal matrix of
the means, is the largest operator of that form below -d_i(a_ij d_j).  The residual r at
midpoints, which the fit has not seen, is expanded in sines, the eigenfunctions of A0 with eigenvalues l_k.  The error
solves L e = r, |r_k| / l_k estimates it, and is the error where a and c are constant; in time, e_k' + l_k e_k = r_k.
Divided by |u| the estimate has no units.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import fft
from scipy.special import erf, erfc, ive

from fem import tensor_grid
from nhpinn_functions import box_midpoints, checked_values, grid, warn
from nhpinn_networks import MANY, derivatives, operator_jet, values
from nhpinn_tools.features import Features, composed, factorised, least_squares, product_jet, relative

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
        n, d = points.shape
        out = np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d))
        for part, jet in self._slabs(points):
            for array, found in zip(out, derivatives(jet, points[part]), strict=True):
                array[part] = found
        return out

    def value(self, points):
        out = np.zeros(len(points))
        for part, jet in self._slabs(points):
            out[part] = values(jet, points[part])
        return out

    def _slabs(self, points):
        """Of each slab in which there are points: which of them, and the jet of u there."""
        slab = np.clip(np.searchsorted(self.times, points[:, -1]) - 1, 0, len(self.series) - 1)
        for k in np.unique(slab):
            yield slab == k, partial(self._jet, slab=k)

    def _jet(self, jet, slab):
        """The jet of u (channels, n) in one slab."""
        series = self.features.jet(jet[..., : len(self.domain)]) @ self.series[slab].T
        u = series[..., 0]
        if len(self.times):
            s = scaled(jet[..., -1:], [self.times[slab : slab + 2]])[..., 0]
            for k in range(1, series.shape[-1]):
                P = legendre.Legendre.basis(k)
                u = u + product_jet(composed([s], P(s[0]), [P.deriv()(s[0])], [[P.deriv(2)(s[0])]]), series[..., k])
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
