"""The recipe `sharp`, homogenized equations: random features and linear least squares, see features.py.

    equations       u = lift + bubble * features @ c: the boundary values are built in, and what smooth functions cannot
                    follow in corners, see lifts.py; the bubble vanishes on faces with values, fluxes of the others are
                    rows of the least squares; features double until an estimate of the error from other points is small
    in time         slabs, short near t = 0; in each c is a polynomial of time that starts where the last one ended,
                    with a small residual at the Radau points: one least-squares problem for each eigenvalue of the
                    Radau matrix; slabs of equal length share the factorisations

The estimate.  A0 = -m d_i( mean(a_ii) d_i ), where m is the least eigenvalue of a relative to the diagonal matrix of
the means, is the largest operator of that form below -d_i(a_ij d_j).  The residual r at
midpoints, which the fit has not seen, is expanded in the eigenfunctions of A0, sines and cosines, with eigenvalues l_k;
what a flux misses is a source in the cells along its face.  The error solves L e = r, |r_k| / l_k estimates it, and is
the error where a and c are constant; in time, e_k' + l_k e_k = r_k.  Divided by |u - middle|, the middle of the values
on faces, the estimate has no units, and knows of no zero of temperature.
"""

from collections.abc import Callable
from functools import cache, partial, reduce
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import fft
from scipy.interpolate import make_interp_spline
from scipy.special import ive

from fem import takes_time, tensor_grid
from nhpinn_functions import box_midpoints, checked_values, faces_of, midpoint_axes, on_face, pair_of, source_of
from nhpinn_networks import derivatives, first_order, operator_jet
from nhpinn_tools import lifts
from nhpinn_tools.bounds import closest
from nhpinn_tools.calls import warn
from nhpinn_tools.features import Features, composed, factorised, in_parts, least_squares, product_jet, relative, values

# --- equations on a box -----------------------------------------------------------------------------

FEATURES = {1: (40, 80, 160, 320, 640, 1280), 2: (150, 300, 600, 1200, 2400), 3: (300, 600, 1200, 2400)}
SMALL = 1e-2  # an error below which attempts that gain little are the last, see closest
FEATURES_IN_TIME = {1: (40, 80, 160, 320), 2: (150, 300), 3: (300,)}
CHECKS = {1: 1024, 2: 64, 3: 20}  # midpoints an axis of the box: a bump of width 0.02 is seen in one and two dimensions


class BoxProblem(NamedTuple):
    """u_t - d_i(a_ij d_j u) + c u = f in a box, values and fluxes n . a grad u on its faces; u_t only with an initial
    value."""

    domain: tuple
    faces: tuple  # of nhpinn_functions.Face
    coefficients: Callable  # x (n, dim) -> a (n, dim, dim), d_i a_ij (n, dim), c, a number or (n,)
    source: Callable  # of points, with time last where there is time
    initial: Callable | None
    final_time: float
    moving: bool = False  # whether the source depends on time

    @property
    def dim(self):
        return len(self.domain)


class Trial(NamedTuple):
    """u(points (n, d)) -> value (n,), gradient (n, d), second derivatives (n, d, d), where time is the last coordinate.

    u = lift + bubble * features @ c, with one c, or one in each slab of time, a series in Legendre polynomials there.
    """

    features: Features
    series: np.ndarray  # (slabs, degree + 1, N); without time (1, 1, N)
    faces: tuple
    times: np.ndarray  # (slabs + 1,): ends of the slabs; empty without time
    lift: Callable  # jet of the coordinates (channels, n, d) -> (channels, n)
    error: float  # estimate of the relative error in L2, at the final time where there is time
    rough: Callable | None = None  # the part of the lift whose gradient is not bounded

    def __call__(self, points):
        d = points.shape[1]
        return self._by_slabs(derivatives, points, (), (d,), (d, d))

    def value(self, points):
        return self._by_slabs(lambda jet, x: [values(jet, x)], points, ())[0]

    def value_and_gradient(self, points):
        d = points.shape[1]
        return self._by_slabs(lambda jet, x: first_order(jet, x, np.eye(d)), points, (), (d,))

    def _by_slabs(self, evaluate, points, *shapes):
        """What evaluate(jet of u, points) gives in each slab in which there are points: arrays (n, *shape)."""
        slab = np.clip(np.searchsorted(self.times, points[:, -1]) - 1, 0, len(self.series) - 1)
        out = tuple(np.zeros((len(points), *shape)) for shape in shapes)
        for k in np.unique(slab):
            part = slab == k
            for array, found in zip(out, evaluate(partial(self._jet, slab=k), points[part]), strict=True):
                array[part] = found
        return out

    def _jet(self, jet, slab):
        """The jet of u (channels, n) in one slab."""
        series = self.features.jet(jet[..., : len(self.faces) // 2]) @ self.series[slab].T
        u = series[..., 0]
        if len(self.times):
            s = scaled(jet[..., -1:], [self.times[slab : slab + 2]])[..., 0]
            for k in range(1, series.shape[-1]):
                value, slope, bend = (P(s[0]) for P in legendre_basis(k))
                u = u + product_jet(composed([s], value, [slope], [[bend]]), series[..., k])
        return self.lift(jet) + product_jet(bubble_jet(self.faces, jet), u)


@cache
def legendre_basis(k):
    """The Legendre polynomial of degree k, and its first and second derivative."""
    P = legendre.Legendre.basis(k)
    return P, P.deriv(), P.deriv(2)


def solve_equation(problem, coefficients, tolerance, rng, rho=None):
    """rho u_t - d_i(a_ij d_j u) + c u = f in a box, with what problem.boundary says on its faces, see `faces_of`: a
    Trial.  u_t only if problem.initial.

    coefficients(x (n, dim)) -> a (n, dim, dim), d_i a_ij (n, dim), c, a number or (n,).  rho(x): None: 1.
    The features double until the estimate of the relative error in L2 (at the final time) is below the tolerance, or,
    small already, falls slowly, as in corners that no lift fits; a warning says where it was not reached.
    """
    domain, faces = problem.domain, faces_of(problem.boundary, problem.domain)
    posed = BoxProblem(
        domain, faces, coefficients, source_of(problem), problem.initial, problem.final_time, takes_time(problem.source)
    )
    problem = posed if rho is None else divided(posed, rho)
    blended = lifts.blending(faces, domain)
    solve, counts = (solve_stationary, FEATURES) if problem.initial is None else (solve_in_time, FEATURES_IN_TIME)
    attempts = (solve(problem, blended, box_features(domain, count, rng)) for count in counts[problem.dim])
    best = closest(attempts, tolerance, SMALL, gain=4)
    warn_of_equation(best.error, f"{best.series.shape[2]} random features", tolerance)
    return best


def warn_of_equation(error, what, tolerance):
    if not error <= tolerance:
        warn(
            f"homogenized equation: the relative error of its solution is about {error:.2g} with {what}, expected at "
            f"most {tolerance:g}; jumps, kinks, layers or corners in source, coefficient or initial value need many "
            "more functions"
        )


def divided(problem, rho):
    """rho u_t = ... divided by rho: what the equation, the source and the fluxes become."""

    def coefficients(x):
        (a, b, c), r = problem.coefficients(x), checked_values("rho", rho, x)
        return a / r[:, None, None], b / r[:, None], c / r

    def over(function, x):
        return function(x) / rho(x[:, : problem.dim])

    faces = [face._replace(data=partial(over, face.data)) if face.flux else face for face in problem.faces]
    return problem._replace(coefficients=coefficients, source=partial(over, problem.source), faces=tuple(faces))


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


def bubble_jet(faces, jet):
    """The jet of the product of the distances to the value faces, at most 1, from that of the coordinates."""
    factors = []
    for low, high in zip(faces[::2], faces[1::2], strict=True):
        x, length = jet[..., low.axis], high.at - low.at
        below, above = (x[0] - low.at) / length, (high.at - x[0]) / length
        if not (low.flux or high.flux):
            factors.append(composed([x], 4 * below * above, [4 * (above - below) / length], [[-8 / length**2]]))
        elif not low.flux:
            factors.append(composed([x], below, [1 / length], [[0.0]]))
        elif not high.flux:
            factors.append(composed([x], above, [-1 / length], [[0.0]]))
    return reduce(product_jet, factors)


def columns(problem, features, x):
    """Values of bubble * features and -d_i(a_ij d_j) + c of them at points x (n, dim): two (n, N)."""
    parts = []
    for p in in_parts(x):
        a, b, c = problem.coefficients(p)
        jet = operator_jet(p, a, b)
        out = product_jet(bubble_jet(problem.faces, jet), features.jet(jet))
        parts.append((out[0], np.reshape(c, (-1, 1)) * out[0] - out[-1]))
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def flux_columns(problem, features, face, x):
    """n . a grad of bubble * features at points x of a flux face: (n, N)."""
    jet = lifts.conormal_jet(face, problem.coefficients(x)[0], x)
    return product_jet(bubble_jet(problem.faces, jet), features.jet(jet))[1]


# --- stationary -------------------------------------------------------------------------------------


def solve_stationary(problem, blended, features):
    smooth, rough = elliptic_lift(problem, blended)
    lift = smooth if rough is None else partial(summed, (smooth, rough))
    A, rhs = fit_matrices(problem, features)[1], fit_source(problem, features, lift)
    c = least_squares(A, rhs[:, None])[:, 0]
    y = box_midpoints(problem.domain, CHECKS[problem.dim])
    (V, A), (lifted, rhs) = check_matrices(problem, features, y), check_source(problem, lift, y)
    rates = eigenvalues(problem, y)
    errors = modes(problem, rhs - A @ c) / rates, missed_source(problem) / rates, blended.miss * np.sqrt(len(y))
    estimate = relative(np.linalg.norm(np.hstack(errors)), np.linalg.norm(lifted + V @ c - blended.middle))
    return Trial(features, c[None, None], problem.faces, np.zeros(0), lift, estimate, rough)


def elliptic_lift(problem, blended):
    """The values on faces and what smooth functions cannot follow in corners: with bounded gradients; with others, or
    None."""
    sources, fluxes = lifts.corners_of(problem, blended)
    rough = partial(lifts.corners_jet, fluxes, problem.domain) if fluxes else None
    return partial(summed, (blended, partial(lifts.corners_jet, sources, problem.domain))), rough


def summed(parts, jet):
    return sum(part(jet) for part in parts)


# --- what is fitted, and what is checked ------------------------------------------------------------


def flux_faces(problem):
    return [face for face in problem.faces if face.flux]


def fit_points(problem, features, face=None):
    """Points of the fit, dense at the boundary and two a feature at least, or such points of a flux face; and the roots
    of quadrature times bubble, on a face times 4 over the length across it."""
    count = int(np.ceil((2 * features.W.shape[1]) ** (1 / problem.dim))) + (problem.dim > 1)
    t, axes, weights = (np.arange(count) + 0.5) * np.pi / count, [], 1.0
    for axis, (low, high) in enumerate(problem.domain):
        across = face is not None and face.axis == axis
        axes.append(np.array([face.at]) if across else low + (high - low) * (1 - np.cos(t)) / 2)
        weights = np.kron(weights, [4 / (high - low)] if across else (high - low) / 2 * np.sin(t) * np.pi / count)
    x = tensor_grid(axes)
    return x, np.sqrt(weights * bubble_jet(problem.faces, x[None])[0])


def fit_matrices(problem, features):
    """Rows of the fit, weighted: values of bubble * features, and the equation's operator on them; 0, and what flows
    through flux faces.  (rows, N) each."""
    x, root = fit_points(problem, features)
    V, A = ([root[:, None] * each] for each in columns(problem, features, x))
    for face in flux_faces(problem):
        x, root = fit_points(problem, features, face)
        A.append(root[:, None] * flux_columns(problem, features, face, x))
        V.append(0 * A[-1])
    return np.concatenate(V), np.concatenate(A)


def fit_source(problem, features, lift, t=None):
    """What the lift leaves of the source, and of the fluxes, in these rows."""
    x, root = fit_points(problem, features)
    parts = [root * source_left(problem, lift, x, t)[1]]
    for face in flux_faces(problem):
        x, root = fit_points(problem, features, face)
        parts.append(root * flux_left(problem, lift, face, t, x))
    return np.concatenate(parts)


def check_matrices(problem, features, y):
    """Both matrices at midpoints y, where what flows through a flux face is a source in the cells along it."""
    V, A = columns(problem, features, y)
    for face in flux_faces(problem):
        add_in_cells(problem, face, partial(flux_columns, problem, features, face), A)
    return V, A


def check_source(problem, lift, y, t=None):
    """The lift, and what it leaves of the source, at midpoints y."""
    value, rhs = source_left(problem, lift, y, t)
    for face in flux_faces(problem):
        add_in_cells(problem, face, partial(flux_left, problem, lift, face, t), rhs)
    return value, rhs


def source_left(problem, lift, x, t=None):
    """The lift, and the source that it leaves for bubble * features, at points x and one time t:
    f - (d_t - d_i(a_ij d_j) + c) lift."""
    a, b, c = problem.coefficients(x)
    x, b = at_time(x, t), at_time(b, None if t is None else -1.0)
    f = checked_values("source", problem.source, x)
    jet = lift(operator_jet(x, a, b))
    return jet[0], f + jet[-1] - c * jet[0]


def at_time(x, t):
    """Points, or directions, with one time as their last coordinate, where there is time."""
    return x if t is None else np.insert(x, x.shape[1], t, axis=1)


def flux_left(problem, lift, face, t, x):
    return lifts.flux_left(face, problem.coefficients(x)[0], lift, x, t)


def add_in_cells(problem, face, flow, out):
    """Adds what flows through a face to a source at the midpoints of cells, in those along the face."""
    count, (low, high) = round(len(out) ** (1 / problem.dim)), problem.domain[face.axis]
    layer = np.moveaxis(out.reshape(*[count] * problem.dim, -1), face.axis, 0)[-face.side]
    layer += flow(on_face(face, midpoint_axes(problem.domain, count))).reshape(layer.shape) * count / (high - low)


# --- the estimate -----------------------------------------------------------------------------------

# The eigenfunctions of an axis, by whether its two ends are flux faces: a transform of values at midpoints, its type,
# and half waves of the first
EIGENFUNCTIONS = {
    (False, False): (fft.dst, 2, 1.0),
    (True, True): (fft.dct, 2, 0.0),
    (False, True): (fft.dst, 4, 0.5),
    (True, False): (fft.dct, 4, 0.5),
}


def eigenfunctions(problem, axis):
    return EIGENFUNCTIONS[tuple(face.flux for face in pair_of(problem.faces, axis))]


def modes(problem, values):
    """The coefficients of values at midpoints in the eigenfunctions of A0: the first CHECKS an axis."""
    count = round(len(values) ** (1 / problem.dim))
    values = values.reshape((count,) * problem.dim)
    for axis in range(problem.dim):
        transform, kind, _ = eigenfunctions(problem, axis)
        values = transform(values, type=kind, axis=axis, norm="ortho")
    return values[(slice(CHECKS[problem.dim]),) * problem.dim].ravel()


def eigenvalues(problem, y):
    """Those of -m d_i(mean(a_ii) d_i) + min c, the largest such operator below -d_i(a_ij d_j) + c; order of `modes`."""
    a, _, c = problem.coefficients(y)
    D = np.mean(np.einsum("nii->ni", a), axis=0)
    m, lines = np.linalg.eigvalsh(a / np.sqrt(D[:, None] * D)).min(), []
    for axis, (low, high) in enumerate(problem.domain):
        k = eigenfunctions(problem, axis)[2] + np.arange(CHECKS[problem.dim])
        lines.append(m * D[axis] * (k * np.pi / (high - low)) ** 2)
    return tensor_grid(lines).sum(axis=1) + np.min(c)


def missed_source(problem, t=None):
    """The modes of what the midpoints do not see of source and fluxes, at a time t: jumps, bumps, fast waves.

    Four times as many points an axis see it: there a spline through the values at the midpoints misses it.
    """
    coarse, fine = (midpoint_axes(problem.domain, n * CHECKS[problem.dim]) for n in (1, 4))

    def missed(name, function, face, x):
        points = on_face(face, coarse) if face else tensor_grid(coarse)
        spline = checked_values(name, function, points).reshape(
            [1 if face and axis == face.axis else len(z) for axis, z in enumerate(coarse)]
        )
        for axis, z in enumerate(coarse):
            if not (face and axis == face.axis):
                spline = make_interp_spline(z, spline, 5, axis=axis)(fine[axis])
        return checked_values(name, function, x) - spline.ravel()

    out = missed("source", lambda x: problem.source(at_time(x, t)), None, tensor_grid(fine))
    for face in flux_faces(problem):
        add_in_cells(problem, face, partial(missed, "boundary", face.data, face), out)
    return modes(problem, out) / 2**problem.dim


# --- in time ----------------------------------------------------------------------------------------
#
# In a slab of length h, c = start + d(s) with a polynomial d of s in (0, 1), d(0) = 0, and the equation holds at the
# Radau points s_i, the last of which is 1.  With D_ij the derivative at s_i of the polynomial that is 1 at s_j and 0 at
# the other points and at 0, D = T diag(l) T^-1,
#     sum_j D_ij V d_j / h + A d_i = f_i - A start   becomes   (l_j V / h + A) (T^-1 d)_j = (T^-1 (f - A start))_j

STAGES, RATIO = 5, 0.5


def solve_in_time(problem, blended, features):
    """Slab after slab; the estimate of each mode of the error goes along."""
    y, count = box_midpoints(problem.domain, CHECKS[problem.dim]), features.W.shape[1]
    rates = eigenvalues(problem, y)
    times, frozen = slab_times(problem.final_time, rates[0], round(2 * np.log2(count)), problem.moving)
    (V, A), (V_y, A_y) = fit_matrices(problem, features), check_matrices(problem, features, y)
    lift, start, miss = at_first(problem, features, frozen)
    u_y = source_left(problem, lift, y, 0.0)[0] + columns(problem, features, y)[0] @ start
    error = modes(problem, checked_values("initial", problem.initial, y) - u_y)
    s, D, to_series = radau(STAGES)
    nodes, gauss = legendre.leggauss(STAGES + 3)
    series, length = [], 0.0
    for t, h in zip(times, np.diff(times), strict=False):
        if not np.isclose(h, length, rtol=1e-9, atol=0):
            row = np.where(V.any(axis=1), 1.0, np.sqrt(max(frozen / h, 1.0)))[:, None]  # what flows acts for h, too
            solve, length = slab_solver(row * V / h, row * A, D), h
        if t <= frozen or problem.moving:
            f = np.stack([fit_source(problem, features, lift, t + h * each) for each in s])
            g = np.stack([check_source(problem, lift, y, t + h * (z + 1) / 2)[1] for z in nodes])
        c = to_series @ np.vstack([start, start + solve(row[:, 0] * (f - A @ start))])
        velocity = legendre.legvander(nodes, STAGES - 1) @ legendre.legder(c) * 2 / h
        r = g - velocity @ V_y.T - legendre.legvander(nodes, STAGES) @ c @ A_y.T
        error = grown(error, np.stack([modes(problem, each) for each in r]), rates * h, h, nodes, gauss)
        start = c.sum(axis=0)
        series.append(c)
    size = np.linalg.norm(V_y @ start + check_source(problem, lift, y, times[-1])[0] - blended.middle)
    if times[-1] < problem.final_time:
        times = np.append(times, problem.final_time)
        series.append(to_series @ np.tile(start, (STAGES + 1, 1)))
    missed = [missed_source(problem, t) / rates for t in np.linspace(0, times[-1], 5 if problem.moving else 1)]
    errors = error, np.abs(missed).max(axis=0), miss * np.sqrt(len(y))
    estimate = relative(np.linalg.norm(np.hstack(errors)), size)
    return Trial(features, np.array(series), problem.faces, times, lift, estimate)


def at_first(problem, features, frozen):
    """The lift of a solution in time, the c of its initial value, which need not be smooth, and what splines of both
    miss.  The lift has the initial value on the value faces, and takes it to g at once."""
    initial, x = partial(checked_values, "initial", problem.initial), fit_points(problem, features)[0]
    known = lifts.blending(tuple(face._replace(data=initial) for face in problem.faces), problem.domain)
    start = least_squares(columns(problem, features, x)[0], (initial(x) - known(x[None])[0])[:, None])[:, 0]
    sudden = lifts.sudden_change(problem, frozen)
    parts = (known, sudden) if sudden else (known,)
    if problem.dim == 1:
        ends = [end_of(problem, features, known, start, face) for face in problem.faces]
        parts += (partial(lifts.ends_jet, problem.domain, ends, frozen),)
    return partial(summed, parts), start, max(part.miss for part in parts[: 1 + bool(sudden)])


def end_of(problem, features, known, start, face):
    """What the initial value lacks at an end of an interval, of the equation or of the flux: a lifts.End."""
    x = np.array([[face.at]])
    if face.flux:
        lack = flux_left(problem, known, face, None, x) - flux_columns(problem, features, face, x) @ start
    else:
        lack = source_left(problem, known, x, 0.0)[1] - columns(problem, features, x)[1] @ start
    return lifts.End(face.at, face.flux, lack[0], problem.coefficients(x)[0][0, 0, 0])


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


def slab_times(final, rate, graded, moving):
    """The ends of the slabs, and the time at which the lift of the corners stands still.

    From the final time, or from the relaxation time of the slowest mode, halved towards 0, since the solution is rough
    there; after that slabs of equal length, for 40 relaxation times, when what moves is lost in rounding, unless the
    source is moving.
    """
    relaxation = min(final, 1 / abs(rate))
    times = np.append(0, relaxation * RATIO ** np.arange(graded, -1, -1.0))
    last = final if rate < 0 or moving else min(final, 40 / rate)
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
