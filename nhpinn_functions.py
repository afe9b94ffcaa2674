"""Points and grids, interpolation between them, and what is checked of a user's functions.

A coefficient is a function of points (n, dim) that returns (n,), for a scalar, or (n, dim, dim), for a symmetric
positive definite tensor; it is differentiated by autograd.  What does not fit the theory gets one sentence that says
so: the argument, what was found, what was expected.  So does a user's function that raises: the sentence is a
ValueError, with the function's own exception as its cause.  Tolerances are relative to the size of the data.
"""

from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from numbers import Integral, Real
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from scipy.interpolate import CubicSpline

from fem import on_face, takes_time, tensor_grid

# --- points -----------------------------------------------------------------------------------------


def grid(bounds, count):
    """A uniform grid (n, d), ends included: bounds ((low, high), ...), `count` points, or one count an axis."""
    counts = np.broadcast_to(count, len(bounds))
    return tensor_grid([np.linspace(low, high, m) for (low, high), m in zip(bounds, counts, strict=True)])


def midpoints(dim, period, count):
    """The midpoints of count ** dim equal boxes of the cell: equal weights make a quadrature rule."""
    return box_midpoints([(0.0, length) for length in np.broadcast_to(period, dim)], count)


def box_midpoints(bounds, count):
    """The midpoints of count ** dim equal boxes of a box ((low, high), ...): (count ** dim, dim)."""
    return tensor_grid(midpoint_axes(bounds, count))


def midpoint_axes(bounds, count):
    return [low + (high - low) * (np.arange(count) + 0.5) / count for low, high in bounds]


def cell_grid(dim, period, count):
    """A uniform grid of the cell, both ends included: (count ** dim, dim)."""
    return grid([(0.0, length) for length in np.broadcast_to(period, dim)], count)


CELL_POINTS = {1: 64, 2: 64, 3: 20}  # an axis


def cell_quadrature(dim, period, count=None):
    """The midpoints over which step 2 takes its means, where nothing else is said."""
    return midpoints(dim, period, count or CELL_POINTS[dim])


def centre(bounds):
    """The centre of a box (dim,), where what does not depend on x is evaluated: 0 may lie outside."""
    return np.mean(bounds, axis=1)


def slow_nodes(domain, slow: bool, count: int) -> np.ndarray:
    """The points x whose cell problems are solved: a grid, or the centre if x plays no part.  (X, dim)"""
    return grid(domain, count) if slow else centre(domain)[None]


def on_boundary(points, bounds):
    """Which points (n, d) of a box lie on its boundary: (n,)."""
    low, high = np.transpose(bounds)
    return np.any((points == low) | (points == high), axis=1)


# --- interpolation between points ---------------------------------------------------------------------


class Interpolation(NamedTuple):
    """x (n, dim) -> the weights (n, X) of the nodes of a tensor grid, and their gradients (n, X, dim)."""

    lines: tuple  # one an axis: x (n,) -> the weights of its nodes (n, m), their slopes (n, m)

    def __call__(self, x):
        lines = [line(x[:, axis]) for axis, line in enumerate(self.lines)]

        def product(along=None):
            total = np.ones((len(x), 1))
            for axis, line in enumerate(lines):
                total = (total[:, :, None] * line[int(axis == along)][:, None, :]).reshape(len(total), -1)
            return total

        return product(), np.stack([product(axis) for axis in range(len(lines))], axis=-1)


def one_node(dim):
    """The Interpolation of what does not depend on x."""
    return Interpolation((alone,) * dim)


def alone(x):
    return np.ones((len(x), 1)), np.zeros((len(x), 1))


def spline_weights(nodes):
    """Cubic splines through a tensor grid of nodes (X, dim)."""
    if len(nodes) == 1:
        return one_node(nodes.shape[1])
    splines = [CubicSpline(axis, np.eye(len(axis))) for axis in map(np.unique, nodes.T)]
    return Interpolation(tuple(partial(value_and_slope, spline) for spline in splines))


def value_and_slope(spline, x):
    return spline(x), spline(x, 1)


# --- a user's functions, checked, and their derivatives ---------------------------------------------

SMALLEST, LARGEST = 1e-100, 1e100  # of a coefficient or a length: products of them stay numbers


def shown(value):
    """A value on one line, for a sentence."""
    return " ".join(repr(value).split())


class NotSavedError(ValueError):
    """A result from a file was asked for what takes one of the functions of its equation, see nhpinn_tools/files.py."""


def called(name, function, points):
    """function(points), a user's function: a real array, or a ValueError that names it."""
    try:
        values = function(points.copy())  # a function that changes its argument changes nothing here
    except NotSavedError:
        raise
    except Exception as error:
        if str(error).startswith(f"{name}: "):  # a sentence already
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{name}: raised {text}, at points of shape {points.shape}") from error
    if type(values) is not np.ndarray or values.dtype.kind not in "iuf":
        found = f"{values.dtype} values" if isinstance(values, np.ndarray) else type(values).__name__
        raise ValueError(
            f"{name}: returned {found}, expected a numpy array of real numbers, one entry a point, as "
            "1.0 + 0 * x[:, 0] has"
        )
    return values.astype(float)


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = called(name, function, points)
    if values.shape != (len(points),) or not np.all(np.isfinite(values)) or np.abs(values).max(initial=0) > LARGEST:
        raise ValueError(
            f"{name}: returned shape {values.shape}, up to {np.abs(values).max(initial=0):.3g}, at points of shape "
            f"{points.shape}; expected ({len(points)},), finite, at most {LARGEST:g}"
        )
    return values


def source_of(problem):
    """The source as a function of points, with time last where there is time: source(x), or source(x, t (n,))."""
    if problem.initial is None or not takes_time(problem.source):
        return lambda points: problem.source(points[:, : problem.dim])
    return lambda points: problem.source(points[:, : problem.dim], points[:, problem.dim])


def tensor_of(field, points):
    """A coefficient at points (n, d) as (n, d, d), checked: shape, finite, symmetric, elliptic."""
    a = compact_tensor_of(field, points)
    return a if a.shape[1] == points.shape[1] else a * np.eye(points.shape[1])


def compact_tensor_of(field, points):
    """A coefficient at points (n, d), checked: (n, d, d), or (n, 1, 1) for scalars."""
    a = called("coefficient", field, points)
    a = a[:, None, None] if a.shape == points.shape[:1] else as_tensor(a, points.shape)
    check_elliptic(a, points.__getitem__)
    return a


def as_tensor(values, shape):
    """A scalar or tensor coefficient at points of this shape, as a tensor (n, d, d)."""
    n, dim = shape
    if anp.shape(values) == (n,):
        return anp.reshape(values, (n, 1, 1)) * np.eye(dim)
    if anp.shape(values) == (n, dim, dim):
        return values
    raise ValueError(
        f"coefficient: returned shape {anp.shape(values)} at points of shape {shape}, "
        f"expected ({n},) or ({n}, {dim}, {dim})"
    )


def check_elliptic(a, place):
    """Raises ValueError for tensors (n, d, d) that are not all finite, symmetric and positive definite.

    place(k): where the k-th is, for the sentence.
    """
    if not np.all(np.isfinite(a)):
        worst = np.argmin(np.isfinite(a).all(axis=(1, 2)))
        raise ValueError(f"coefficient: not finite at {place(worst)}, expected real numbers")
    skew = np.abs(a - np.swapaxes(a, 1, 2))
    if np.any(skew):  # most are symmetric to the last bit
        wrong = skew.max(axis=(1, 2)) > 1e-10 * np.abs(a).max(axis=(1, 2))
        if np.any(wrong):
            raise ValueError(
                f"coefficient: the tensor is not symmetric at {place(np.argmax(wrong))}; expected a_ij = a_ji"
            )
    if np.abs(a).max() > LARGEST:
        raise ValueError(f"coefficient: found {np.abs(a).max():.3g}, expected at most {LARGEST:g}: change its unit")
    least, largest = extreme_eigenvalues(a)
    if not np.all(least >= np.maximum(SMALLEST, 1e-12 * largest)):  # a tensor's rounding is 1e-16
        worst = np.argmin(least / largest) if least.min() >= SMALLEST else least.argmin()
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least[worst]:.6g} at {place(worst)}; "
            f"expected a positive definite one, at least {max(SMALLEST, 1e-12 * largest[worst]):.3g} there"
        )


def extreme_eigenvalues(a):
    """The least and the largest of symmetric matrices (n, d, d); ten times as fast as LAPACK for d < 3."""
    if a.shape[1] > 2:
        eigenvalues = np.linalg.eigvalsh(a)
        return eigenvalues[:, 0], eigenvalues[:, -1]
    first, last = a[:, 0, 0], a[:, -1, -1]
    if a.shape[1] == 1:
        return first, last
    middle, radius = (first + last) / 2, np.hypot((first - last) / 2, a[:, 0, 1])
    return middle - radius, middle + radius


def tensor_and_divergence(field, points):
    """a_ij (n, d, d) and b_j = d_i a_ij (n, d) of a coefficient written with autograd.numpy.

    Raises ValueError where a does not fit, see `tensor_of`, TypeError where it cannot be differentiated.
    """
    a, slopes = tensor_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def tensor_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim, a = points.shape[1], tensor_of(field, points)
    slopes = np.zeros((dim, dim, *points.shape))
    with differentiation("coefficient"):
        # + 0: autograd warns of an output that does not depend on the points
        pullback, _ = make_vjp(lambda p: as_tensor(field(p), p.shape) + 0 * anp.sum(p))(points)
        for i, j in np.ndindex(dim, dim):
            unit = np.zeros_like(a)
            unit[:, i, j] = 1
            slopes[i, j] = pullback(unit)
    if not np.all(np.isfinite(slopes)):
        raise TypeError("coefficient: could not be differentiated, its derivative is not finite everywhere")
    return a, slopes


@contextmanager
def differentiation(name):
    """A TypeError that names a user's function which works on arrays, but not under differentiation.

    Python's filters of warnings stay as they are: they belong to all threads.
    """
    try:
        with np.errstate(all="ignore"):  # an infinite slope is found afterwards
            yield
    except Exception as error:
        sentence = "write it with autograd.numpy in place of numpy"
        raise TypeError(f"{name}: could not be differentiated ({error}); {sentence}") from error


def at_node(coefficient, x):
    """The coefficient at one x (m,) as a function of y."""
    return lambda y: coefficient(np.tile(x, (len(y), 1)), y)


def at_nodes(coefficient, nodes, y):
    """At all pairs of x (X, dim) and y (n, dim): the coefficient as a function of those X n points alone, n of each x,
    and the points (X n, dim)."""
    x = np.repeat(nodes, len(y), axis=0)
    return lambda points: coefficient(x.copy(), points), np.tile(y, (len(nodes), 1))


def check_periodic(name, function, dim, period, count=7, copies=1):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points.

    copies: how many times over the function takes the points, see `at_nodes`.
    """
    points = midpoints(dim, period, count) + 0.0137 * np.asarray(period)  # a sine may vanish at all midpoints
    points = np.tile(points, (copies, 1))
    values = called(name, function, points)
    for axis, length in enumerate(np.broadcast_to(period, dim)):
        jump = np.abs(called(name, function, points + length * np.eye(dim)[axis]) - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, y and y + {length:g} along axis {axis} differ by {jump:.3g}; "
                f"expected the period {length:g} in y, which is x / eps, as of a function of y % {length:g}"
            )


def check_resolved(field, points, spacing, copies=1):
    """Raises ValueError where a coefficient's change from point to point is not the integral of its slope.

    The strong form sees the coefficient through its derivative at the points: a jump between two of them,
    or an oscillation that they do not resolve, would be lost without notice.
    spacing: a number, or one an axis; copies: how many times over `points` holds a grid, see `at_nodes`.
    """
    dim = points.shape[1]
    for axis, length in enumerate(np.broadcast_to(spacing, dim)):
        step = length * np.eye(dim)[axis]
        nearby = [tensor_and_slopes(field, points + fraction * step) for fraction in (0, 0.5, 1)]
        (first, s0), (_, s1), (last, s2) = [(a, slopes[..., axis]) for a, slopes in nearby]
        integral = np.moveaxis(s0 + 4 * s1 + s2, -1, 0) * length / 6  # Simpson's rule
        first, miss = (array.reshape(copies, -1, dim, dim) for array in (first, np.abs(last - first - integral)))
        size, swing = np.abs(first).max(axis=(1, 2, 3)), np.ptp(first, axis=1).max(axis=(1, 2))
        if np.any(miss.max(axis=(1, 2, 3)) > 0.1 * swing + 1e-12 * size):
            raise ValueError(
                f"coefficient: jumps, or varies too fast for points {length:.3g} apart along axis {axis}: its change "
                f"and the integral of its derivative differ by {miss.max():.3g}; expected a smooth one, or more points"
            )


def depends_on_x(coefficient, dim, domain, period):
    """Whether a(x, y) differs between points x of the box, at samples whose shape and period are checked as well."""
    count = {1: 16, 2: 7, 3: 4}[dim]
    low, high = np.transpose(domain)
    nodes = low + (high - low) * np.random.default_rng(0).uniform(size=(64, dim))
    field, points = at_nodes(coefficient, nodes, midpoints(dim, period, count))
    a = tensor_of(field, points).reshape(len(nodes), -1, dim * dim)
    check_periodic("coefficient", field, dim, period, count, len(nodes))
    return bool(np.any(np.ptp(a, axis=0).max(-1) > 1e-10 * np.abs(a[0]).max(-1)))


# --- the boundary -----------------------------------------------------------------------------------


class Flux(NamedTuple):
    """n . a grad u = h on a face, with its outward normal n: what flows in, through a unit of area.  0: insulated."""

    h: float | Callable = 0.0


class Face(NamedTuple):
    """One side of a box, and what is known of u there: B(u) = b, section 2."""

    axis: int
    side: int  # 0: low, 1: high
    at: float  # the coordinate of the face
    flux: bool  # n . a grad u is known; else u
    data: Callable  # points (n, dim) of the face -> h or g (n,)


def faces_of(boundary, domain):
    """The faces of a box, low and high of axis after axis: a tuple of Face.

    boundary: pairs parallel to the domain, or one entry for all faces; in one dimension the pair alone as well.  An
    entry is a value, a number or a function of points, or a Flux.  Raises ValueError or TypeError where it does not
    fit the domain; `check_faces` looks at the data.
    """
    return tuple(
        Face(axis, side, float(domain[axis][side]), isinstance(entry, Flux), data_of(entry))
        for axis, pair in enumerate(boundary_pairs(boundary, len(domain)))
        for side, entry in enumerate(pair)
    )


def pair_of(faces, axis):
    """Of the faces of a box, or what there is one of for each of them, those at both ends of an axis."""
    return faces[2 * axis : 2 * axis + 2]


def boundary_pairs(boundary, dim):
    """One pair of entries an axis."""
    if not isinstance(boundary, list | tuple) or isinstance(boundary, Flux):
        return [(boundary, boundary)] * dim
    alone = dim == 1 and len(boundary) == 2 and not any(type(entry) in (list, tuple) for entry in boundary)
    pairs = [boundary] if alone else boundary
    if len(pairs) != dim or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        expected = f"{dim} pairs (low, high), one an axis of the box, or one entry for all faces"
        raise ValueError(f"boundary: found {shown(boundary)}, expected {expected}")
    return pairs


def data_of(entry):
    """What a face is told, as a function of points."""
    entry = entry.h if isinstance(entry, Flux) else entry
    if callable(entry) and entry is not Flux:
        return entry
    if isinstance(entry, bool) or not isinstance(entry, Real) or not abs(entry) <= LARGEST:
        raise TypeError(
            f"boundary: found {shown(entry)}, expected a number, a function of points, or Flux of one of them, "
            "as Flux(0), insulated; face by face a list of pairs (low, high)"
        )
    return partial(constant_at, float(entry))


def constant_at(value, x):
    return np.full(len(x), value)


def check_faces(faces, domain):
    """Raises ValueError for fluxes alone, data that are no real numbers, or values that differ where two faces meet."""
    if all(face.flux for face in faces):
        raise ValueError("boundary: found fluxes alone, expected a value on one face at least, to fix the constant")
    axes, sizes = [np.linspace(low, high, 17) for low, high in domain], {False: 0.0, True: 0.0}
    for face in faces:
        most = np.abs(checked_values("boundary", face.data, on_face(face, axes))).max()
        sizes[face.flux] = max(sizes[face.flux], most)
    for one, two in combinations([face for face in faces if not face.flux], 2):
        if one.axis != two.axis:
            edge = on_face(one, [np.array([two.at]) if i == two.axis else z for i, z in enumerate(axes)])
            miss = np.abs(one.data(edge) - two.data(edge)).max()
            if miss > 1e-8 * sizes[False]:
                raise ValueError(
                    f"boundary: values differ by {miss:.3g} where the faces at {one.at:g} of axis {one.axis} and at "
                    f"{two.at:g} of axis {two.axis} meet, expected the same there"
                )


# --- what is checked of a problem and of settings -------------------------------------------------------


def checked_nodes(problem, cell, homogenized, nodes_an_axis):
    """The points x whose cell problems nh_pinn solves; all that is checked of its arguments is checked here."""
    slow = check_problem(problem)
    check_equation_training(homogenized, problem.dim, problem.initial is not None)
    count = homogenized.points if nodes_an_axis is None else nodes_an_axis
    check_integer("nodes_an_axis", count, 2, 10**4)
    nodes = slow_nodes(problem.domain, slow, count)
    check_cells(problem, cell, nodes)
    return nodes


def check_problem(problem):
    """Raises ValueError or TypeError for a problem's field that cannot be meant; see the head of nhpinn.py.

    -> whether the coefficient depends on x
    """
    check_integer("dim", problem.dim, 1, 3)
    check_positive("eps", problem.eps)
    check_period(problem.period, problem.dim)
    if problem.initial is not None:
        check_positive("final_time", problem.final_time)
    check_box("domain", problem.domain, problem.dim)
    for name in ("coefficient", "source", "reaction", "initial"):
        function = getattr(problem, name)
        if not callable(function) and not (function is None and name in ("reaction", "initial")):
            raise TypeError(
                f"{name}: found {shown(function)}, expected a function of points; a constant is "
                "np.full(len(x), constant)"
            )
    if problem.slow is not None and not isinstance(problem.slow, bool):
        raise ValueError(f"slow: found {shown(problem.slow)}, expected True, False or None, to find it out")
    return check_functions(problem)


def check_functions(problem):
    """The functions of a problem whose other fields fit.  -> whether the coefficient depends on x"""
    dim, domain, period = problem.dim, problem.domain, problem.period
    check_faces(faces_of(problem.boundary, domain), domain)
    ends = list(domain) if problem.initial is None else [*domain, (0.0, problem.final_time)]
    checked_values("source", source_of(problem), box_midpoints(ends, 4))
    if problem.initial is not None:
        checked_values("initial", problem.initial, grid(domain, 9))  # it need not fit the values on the faces
    slow = depends_on_x(problem.coefficient, dim, domain, period)
    if slow and problem.slow is False:
        raise ValueError("slow: found False, but the coefficient depends on x; expected True, or None to find it out")
    if problem.reaction is not None:
        check_reaction(problem.reaction, dim, period)
        a = tensor_of(*at_nodes(problem.coefficient, np.array(domain)[None, :, 0], midpoints(dim, period, 7)))
        if slow or np.ptp(a, axis=0).max() > 1e-10 * np.abs(a).max():
            found = f"changes by {np.ptp(a, axis=0).max():.3g} in y{' and depends on x' * slow}"
            raise ValueError(f"coefficient: found one that {found}, expected a constant beside a reaction (appendix A)")
    return slow


def check_reaction(reaction, dim, period):
    """r is periodic and its mean is zero."""
    r = checked_values("reaction", reaction, cell_quadrature(dim, period))
    check_periodic("reaction", reaction, dim, period)
    if not abs(r.mean()) <= 1e-8 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {r.mean():.6g}; (A.2) has a solution only if it is 0")


def check_cells(problem, training, nodes):
    """Settings of step 1 for the cell problems of the nodes x (X, dim), and whether its points resolve them."""
    check_cell_training(training, problem.dim, len(nodes))
    y = cell_grid(problem.dim, problem.period, training.points)
    spacing = np.divide(problem.period, training.points - 1)
    check_resolved(*at_nodes(problem.coefficient, nodes, y), spacing, len(nodes))


def check_cell_training(training, dim, problems=1):
    """Settings of step 1, for so many cell problems that are trained together."""
    layers = training.oversampling
    check_integer("oversampling", layers, 0)
    check_training(training, ("equation", "periodic", "oversampling"), layers > 0, dim, problems)
    if layers >= training.points - 2:
        raise ValueError(
            f"oversampling: found {layers} layers, expected fewer than points - 2 = {training.points - 2} "
            "(section 4.1: N_o < N_f - 2)"
        )


def check_equation_training(training, dim, timed):
    """Settings of step 3, of the classical PINN and of transfer learning."""
    check_training(training, ("equation", "boundary", "initial value"), timed, dim + timed)


def check_training(training, weights, third, inputs, problems=1):
    """weights: the names of the three terms of eq. (3) or (12); third: whether the third exists.  All points, of a grid
    over the inputs, fit into the memory."""
    for name, least, most in (("epochs", 1, 10**9), ("points", 3, 10**4)):
        check_integer(name, getattr(training, name), least, most)
    if (total := training.points**inputs * problems) > 10**7:
        raise ValueError(f"points: found {training.points}, which make {total:.3g} in all; expected at most 1e7 in all")
    if not isinstance(training.hidden, tuple | list) or not 1 <= len(training.hidden) <= 100:
        raise ValueError(f"hidden: found {shown(training.hidden)}, expected the widths of 1 to 100 layers, as a tuple")
    for width in training.hidden:
        check_integer("hidden", width, 1, 10**4)
    check_positive("rate", training.rate)
    check_positive("decay", training.decay)
    try:
        found = np.asarray(training.weights, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (3,) or not (found.min() >= 0 and abs(found.sum() - 1) < 1e-9) or (found[2] > 0 and not third):
        raise ValueError(
            f"weights: found {shown(training.weights)}, expected three non-negative ones, of ({', '.join(weights)}), "
            f"that sum to one{'' if third else ', the third 0: there is no ' + weights[2]}"
        )


def check_integer(name, value, least, most=10**9):
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected an integer of at least {least} and at most {most}")


def check_positive(name, value, most=LARGEST):
    value = value.item() if isinstance(value, np.generic) else value  # its own precision may not hold the bounds
    if isinstance(value, bool) or not isinstance(value, Real) or not SMALLEST <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected a positive number, {SMALLEST:g} to {most:g}")


def check_period(period, dim):
    """A number, or one an axis."""
    periods = list(period) if isinstance(period, tuple | list) or np.ndim(period) == 1 else (period,) * dim
    if len(periods) != dim:
        raise ValueError(f"period: found {shown(period)}, expected a positive number, or {dim} of them")
    for length in periods:
        check_positive("period", length)


def check_box(name, box, dim):
    try:
        bounds = np.asarray(box)
    except ValueError:  # of different lengths
        bounds = np.zeros(0)
    fits = bounds.shape == (dim, 2) and bounds.dtype.kind in "iuf"
    if not (fits and np.all((bounds[:, 0] < bounds[:, 1]) & (np.abs(bounds).max() < LARGEST))):
        one = "; in one dimension [(low, high)]" * (bounds.shape == (2,))
        expected = f"expected {dim} pairs (low, high), low < high, below {LARGEST:g}{one}"
        raise ValueError(f"{name}: found {shown(box)}, {expected}")
