"""Phases with sharp interfaces, on a periodic cell: random features, one linear least-squares problem, bounds.

    div a (grad u_j + e_j) = 0 in each phase,   u_j and a (grad u_j + e_j) . n continuous on the interfaces

Quadrature of the phases and of their interfaces, and the connected parts of the phases, are those of interface_rule.py;
each connected part has its own features.  The weights of the rows are those of the bounds: with r the residual in the
phases, q and g the jumps of flux and value

    v = u + l,  l = (1 - t / h) g in a layer of depth h on one side of each interface, is continuous; E = energy of u;
    E(v) = E + C + C^T - 2 int r l + |grad l|^2,   C_ij = int_interface g_i sigma_j . n                    upper
    |grad(v - w)|_a <= (|r| / 2 pi + c_trace |q|) / sqrt(a_min) + |grad l|_a   for the true w               lower

whose squares are all that the bounds miss, so that a residual of 1e-3 is a gap of 1e-6.  Assumed: that the rules
resolve the integrals, and that the sampled points of the interfaces show how sharply they bend and how near their
sheets come to each other.  Of the first, three things are checked: `quadrature` compares two rules, the interface must
be closed (closure), and bounds outside of those of Reuss and Voigt are an error.  Phases that jump are refused.
"""

from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from scipy.linalg import qr, solve_triangular

from fem_cells import relative_size
from nhpinn_functions import (
    check_periodic,
    checked_values,
    differentiation,
    grid,
    shown,
    tensor_and_divergence,
    tensor_and_slopes,
    tensor_of,
)
from nhpinn_networks import operator_jet
from nhpinn_tools.bounds import Bounds, Unresolved, closest, on_unit_cell, reuss_voigt, scattered
from nhpinn_tools.features import Features, waves
from nhpinn_tools.interface_rule import (
    INSTEAD,
    Arrangement,
    Boxes,
    Rule,
    closure,
    gradient_of,
    locate,
    partition,
    parts_of,
    phase_at,
    rule,
)
from nhpinn_tools.recipes import progress

POROUS = (
    "expected a positive and finite conductivity; an image takes pores of exactly 0; of perfect conductors a factor of "
    "1e4 of the other phase gives a lower bound, and nothing else"
)


class TwoPhase(NamedTuple):
    """inside where level_set(y) > 0, outside elsewhere: numbers, tensors (d, d), smooth functions of y (n, d), or
    again a TwoPhase, as for coated fibres, whose interface keeps apart from that of this one.

    The level set, written with autograd.numpy, is called in the first cell alone, so that 0.3 - |y - centre| is an
    array of balls; functions inside and outside are periodic by themselves.
    """

    level_set: object
    inside: object
    outside: object


# --- the user's cell as one of period one -------------------------------------------------------------


class Cell(NamedTuple):
    """Phases on the unit cell."""

    arrangement: Arrangement
    fields: tuple  # of the phases, y (n, d) -> (n, d, d)
    names: tuple  # of the phases, such as inside, or inside.outside
    constant: tuple  # whether a phase is a number or a tensor


def unit_cell(cell, dim, period):
    """A TwoPhase as a Cell of period one, checked: the conductivity becomes P^-1 a P^-1, P = diag(period)."""
    level_sets, fields, names, constant = [], [], [], []

    def place(value, name, asked):
        """The tree of what is found at `name`; asked: y -> whether it is there."""
        if not isinstance(value, TwoPhase):
            fields.append(unit_field(name, value, dim, period))
            names.append(name)
            constant.append(not callable(value))
            return len(fields) - 1
        prefix, m = f"{name}." * bool(name), len(level_sets)
        if not callable(value.level_set):
            found = f"found {type(value.level_set).__name__}, expected a function of y (n, {dim})"
            raise TypeError(f"{prefix}level_set: {found}; labels are an image with values=")
        level_set = partial(in_first_cell, value.level_set, period)
        check_level_set(f"{prefix}level_set", level_set, dim)
        level_set = closed_at_faces(f"{prefix}level_set", level_set, dim, asked)
        level_sets.append(level_set)
        inside = place(value.inside, f"{prefix}inside", lambda y: asked(y) & (level_set(y) > 0))
        outside = place(value.outside, f"{prefix}outside", lambda y: asked(y) & ~(level_set(y) > 0))
        return m, inside, outside

    tree = place(cell, "", lambda y: np.full(len(y), True))
    return Cell(Arrangement(tuple(level_sets), tree), tuple(fields), tuple(names), tuple(constant))


def in_first_cell(function, period, z):  # not a closure, so that what holds it can be sent to another process
    return function(period * (z % 1))


def check_level_set(name, level_set, dim):
    """Raises ValueError or TypeError for a function that is not finite, that has no gradient, or no zeros."""
    y = grid([(0.1, 0.9)] * dim, 4)
    values = checked_values(name, level_set, y)
    with differentiation(name):
        slope = gradient_of(level_set, y)
    if not np.any(slope) and values.min() <= 0 < values.max():
        raise ValueError(
            f"{name}: its gradient is zero everywhere, expected a function that falls through zero, not one that "
            "jumps, written with autograd.numpy in place of numpy"
        )
    inside = level_set(fine_grid(dim)) > 0
    if np.all(inside) or not np.any(inside):
        sign = "positive" if inside[0] else "not positive"
        raise ValueError(f"{name}: {sign} everywhere, expected a change of sign; one phase alone has no interface")


def fine_grid(dim):
    return grid([(0.003, 0.997)] * dim, {1: 1001, 2: 211, 3: 41}[dim])


def closed_at_faces(name, level_set, dim, asked):
    """A level set with zeros where its sign jumps from a whole face of the cell to the opposite one, as of 0.5 - y_1.

    Raises ValueError where its sign jumps on a part of a face alone.  asked: y -> whether the level set matters there.
    """
    face = grid([(0.0, 1.0)] * (dim - 1), 33 if dim == 2 else 17) if dim > 1 else np.zeros((1, 0))
    size = np.abs(level_set(fine_grid(dim))).max()
    axes = []
    for axis in range(dim):
        sides = [np.insert(face, axis, side, axis=1) for side in (1e-9, 1 - 1e-9)]
        near, far = (level_set(side) for side in sides)
        matter = asked(sides[0]) & asked(sides[1])
        jumps = matter & ((near > 0) != (far > 0)) & (np.abs(near - far) > 1e-6 * size)
        if np.any(jumps):
            if not np.all(jumps) or np.any(near > 0) != np.all(near > 0):
                raise ValueError(f"{name}: its signs on opposite faces of axis {axis} differ, expected it periodic")
            axes.append(axis)
    return partial(with_zeros_on_faces, level_set, tuple(axes)) if axes else level_set


def with_zeros_on_faces(level_set, axes, z):
    value = level_set(z)
    for axis in axes:
        value = value * anp.sin(np.pi * (z[:, axis] % 1))
    return value


def unit_field(name, value, dim, period):
    """A number, a tensor or a function as a function of the unit cell: (n, d) -> (n, d, d)."""
    if callable(value):
        check_periodic(name, value, dim, period)
        return on_unit_cell(value, period)
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if isinstance(value, str) or array.shape not in ((), (dim, dim)):
        raise ValueError(f"{name}: found {shown(value)}, expected a number, a tensor ({dim}, {dim}) or a function")
    if np.any(np.isinf(array)) or not np.any(array):
        raise ValueError(f"{name}: found {shown(array.tolist())}, {POROUS}")
    tensor = array * np.eye(dim) if array.ndim == 0 else array
    return on_unit_cell(lambda y: tensor + 0 * y[:, :1, None], period)


def coefficient_of(cell, y):
    """a (n, d, d) of a Cell at any points y (n, d), as a function that jumps."""
    phase, a = phase_at(cell.arrangement, y), np.zeros((*y.shape, y.shape[1]))
    for k, field in enumerate(cell.fields):
        if np.any(phase == k):
            a[phase == k] = field(y[phase == k])
    return a


class Phases(NamedTuple):
    """A TwoPhase as a coefficient a(x, y): points (n, d) each -> (n, d, d)."""

    phases: TwoPhase
    cell: Cell
    period: tuple

    def __call__(self, x, y):
        return np.outer(self.period, self.period) * coefficient_of(self.cell, y / self.period)


def conductivity(cell, points, phase):
    """a (n, d, d) and its divergence (n, d) at points (n, d), each of which is in a phase (n,)."""
    a, b = np.zeros((*points.shape, points.shape[1])), np.zeros(points.shape)
    for k, name in enumerate(cell.names):
        mine = phase == k
        if mine.any():
            with named(name):
                if cell.constant[k]:
                    a[mine] = tensor_of(cell.fields[k], points[mine][:1])
                else:
                    a[mine], b[mine] = tensor_and_divergence(cell.fields[k], points[mine])
    return a, b


@contextmanager
def named(name):
    """Sentences about a coefficient become sentences about a phase."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(str(error).replace("coefficient", name, 1)) from error


SHIFT = np.sqrt(2) - 1, np.sqrt(3) - 1, np.sqrt(5) - 2


def shifted(cell, shift):
    """The same Cell with its origin at shift (d,), so that what a user puts at simple fractions is on no face."""
    level_sets, fields = (
        tuple(partial(at_shift, f, shift) for f in functions)
        for functions in (cell.arrangement.level_sets, cell.fields)
    )
    return cell._replace(arrangement=cell.arrangement._replace(level_sets=level_sets), fields=fields)


def at_shift(function, shift, z):
    return function(z + shift)


# --- phases that jump -------------------------------------------------------------------------------

STEP = {2: 1 / 256, 3: 1 / 64}  # of the segments on which the phases are looked at


def check_smooth(cell, dim):
    """Raises ValueError for a phase that jumps, or varies faster than boxes resolve, where it lives.

    On short segments at 2^16 scattered points, those that stay in a phase, its change must be the integral of its
    slope.
    """
    start = scattered(dim)[: 2**16]
    towards = np.random.default_rng(0).standard_normal(start.shape)
    towards *= STEP[dim] / np.linalg.norm(towards, axis=1)[:, None]
    points = [start + t * towards for t in (0, 0.5, 1)]
    phases = [phase_at(cell.arrangement, y) for y in points]
    for k, name in enumerate(cell.names):
        mine = np.all(np.array(phases) == k, axis=0)
        if cell.constant[k] or not mine.any():
            continue
        with named(name):
            (a, first), (_, middle), (b, last) = [tensor_and_slopes(cell.fields[k], y[mine]) for y in points]
        change = np.einsum("ijnk,nk->nij", first + 4 * middle + last, towards[mine]) / 6
        miss, swing = np.abs(b - a - change).max(), np.ptp(np.concatenate([a, b]), axis=0).max()
        if miss > 0.1 * swing + 1e-9 * np.abs(a).max():
            raise ValueError(
                f"{name}: jumps, or varies too fast for points {STEP[dim]:.2g} of the cell apart, by {miss:.3g}; "
                "expected a smooth phase, another TwoPhase in its place, or recipe='fem'"
            )


# --- features ---------------------------------------------------------------------------------------


def part_inputs(part, jet):
    """The part's own coordinates in [-1, 1], and, unless there are d, waves, which are periodic: (channels, n, ...)."""
    own = jet @ part.axes.T
    own[0] = (own[0] - part.centre + 0.5) % 1 - 0.5
    own /= part.half
    return own if len(part.axes) == jet.shape[-1] else np.concatenate([own, waves(jet)], axis=-1)


def random_features(part, points, count, rng):
    """tanh(w . (z - c)) with w normal and c at some of the points (n, d) of the part."""
    z = part_inputs(part, points[None])[0]
    size = np.where(np.arange(z.shape[1]) < len(part.axes), 1.0, 0.5) / np.sqrt(z.shape[1])
    W = rng.standard_normal((z.shape[1], count)) * size[:, None]
    return Features(W, -np.sum(W.T * z[rng.integers(len(z), size=count)], axis=1), partial(part_inputs, part))


# --- the least-squares problem and the bounds -------------------------------------------------------


class Sampled(NamedTuple):
    """The conductivity on a rule, and in which part its points lie."""

    rule: Rule
    a: np.ndarray  # (n, d, d)
    b: np.ndarray  # (n, d): its divergence
    part: np.ndarray  # (n,)
    sides: list  # of the interfaces, outside and inside: a (m, d, d)
    beside: np.ndarray  # (m, 2): the parts outside and inside


def sampled(cell, number, q):
    a, b = conductivity(cell, q.points, q.phase)
    sides = [conductivity(cell, q.surface, beside)[0] for beside in q.beside.T]
    return Sampled(q, a, b, number[q.box, q.phase], sides, number[q.home[:, None], q.beside])


class Weights(NamedTuple):
    """Of flux and value on the interfaces, in the bounds: see `constants`."""

    trace: float
    side: np.ndarray  # (M,): of each level set, which carries the lift, 1 for inside
    depth: np.ndarray  # (M,): of the layer on that side
    lift: np.ndarray  # (M,): a constant l with |grad l|_a^2 <= lift^2 (value^2 / h + slope^2 h), h <= depth
    least: float  # eigenvalue of the conductivity


def constants(s, interfaces):
    """The constants of the bounds, from h, the depth of a layer on either side of an interface in which no two normals
    meet, estimated by pairs of points of all interfaces.
    """
    q, dim = s.rule, s.b.shape[1]
    keep = np.random.default_rng(0).permutation(len(q.surface))[:1200]
    p, n, level = q.surface[keep], q.normals[keep], q.level[keep]
    offset = p[:, None] - p
    offset -= np.round(offset)
    square, facing = (offset**2).sum(-1), n @ n.T
    apart = square > 1e-8
    alike = apart & (facing > 0.5)
    bend = np.sqrt(np.maximum(2 - 2 * facing, 0) / np.where(alike, square, 1)) * alike
    behind = np.einsum("ijk,jk->ij", -offset, n)  # how far point i is inside of the plane that is tangent at j
    eigenvalues = np.linalg.eigvalsh(s.a)
    depths, costs = np.full((interfaces, 2), 0.25), np.full((interfaces, 2), 1.0)
    for m in np.unique(q.level):
        mine = level == m
        for side in (0, 1):
            depth = (behind if side else -behind)[:, mine]
            seen = apart[:, mine] & (depth > 1e-12)
            ball = (square[:, mine][seen] / (2 * depth[seen])).min(initial=0.5)
            sharpest = bend[:, mine].max(initial=1e-9)
            depths[m, side] = min(ball / 2, 0.5 / sharpest, 0.25)
            largest = eigenvalues[np.isin(s.rule.phase, q.beside[q.level == m, side])].max()
            costs[m, side] = largest * 1.5 ** (dim - 1) / depths[m, side]
    side = np.argmin(costs, axis=1)
    pick = np.arange(interfaces), side
    h = depths.max(axis=1).min()
    trace = np.sqrt(2 ** (dim - 1) * (1 / (4 * np.pi**2 * h) + 1 / np.pi))
    return Weights(trace, side, depths[pick], np.sqrt(costs[pick]), eigenvalues.min())


def laplace_jet(points):
    """The jet of the coordinates, whose first derivatives are those along the axes: (d + 2, n, d)"""
    return operator_jet(points, np.broadcast_to(np.eye(points.shape[1]), (*points.shape, points.shape[1])), 0 * points)


def points_of(s, k):
    """The points of the rule in part k, with the jets of their coordinates: (indices, jet)."""
    mine = np.flatnonzero(s.part == k)
    return mine, operator_jet(s.rule.points[mine], s.a[mine], s.b[mine])


def rims_of(s, k):
    """The interface of part k where the part is outside, 0, and where it is inside, 1: [(side, indices, jet), ...]."""
    rims = [(side, np.flatnonzero(s.beside[:, side] == k)) for side in (0, 1)]
    return [(side, rim, laplace_jet(s.rule.surface[rim])) for side, rim in rims if len(rim)]


def system(s, features, weights, h):
    """Rows: equation, flux, value, slopes of the value.  h (M,): the depth of the layers that carry the lift.

    Their squares add up to the least eigenvalue times the square of what the lower bound misses, up to a factor of
    three.
    """
    q, n, m, dim = s.rule, len(s.rule.points), len(s.rule.surface), s.b.shape[1]
    A, start = np.zeros((n + (1 + dim) * m, sum(len(f.b) for f in features))), 0
    w, area, h = np.sqrt(q.weights)[:, None] / (2 * np.pi), np.sqrt(q.area), h[q.level]
    tangents = np.linalg.svd(q.normals[:, None])[2][:, 1:]
    value = (np.sqrt(weights.least * weights.depth) * weights.lift)[q.level]
    for k, f in enumerate(features):
        columns = slice(start, start + len(f.b))
        start = columns.stop
        mine, jet = points_of(s, k)
        A[mine, columns] = w[mine] * f.jet(jet)[-1]
        for side, rim, jet in rims_of(s, k):
            edge = f.jet(jet)
            sign = (area[rim] * (2 * side - 1))[:, None]  # of a jump: what is inside less what is outside
            flux = np.einsum("mi,mij->mj", q.normals[rim], s.sides[side][rim])
            A[n + rim, columns] = weights.trace * sign * np.einsum("mj,jmN->mN", flux, edge[1:-1])
            for i in range(dim - 1):
                slope = np.einsum("mj,jmN->mN", tangents[rim, i], edge[1:-1])
                A[n + (1 + i) * m + rim, columns] = (value * np.sqrt(4 / 3 * h))[rim, None] * sign * slope
            A[n + dim * m + rim, columns] = (value / np.sqrt(h))[rim, None] * sign * edge[0]
    jump = weights.trace * area[:, None] * np.einsum("mi,mij->mj", q.normals, s.sides[1] - s.sides[0])
    return A, -np.concatenate([w * s.b, jump, np.zeros((dim * m, dim))])


def ridge(A, rhs):
    """Least squares of columns of unit length, by QR; a ridge keeps what no row sees small."""
    norm = np.linalg.norm(A, axis=0)
    norm[norm == 0] = 1
    N, J = A.shape[1], rhs.shape[1]
    full = np.zeros((len(A) + N, N + J), order="F")
    full[: len(A), :N], full[: len(A), N:] = A / norm, rhs
    full[len(A) + np.arange(N), np.arange(N)] = 1e-14 * np.sqrt(N)
    R = qr(full, mode="r", overwrite_a=True, check_finite=False)[0]
    return solve_triangular(R[:N, :N], R[:N, N:]) / norm[:, None]


def combined(features, coefficients, jet):
    """The jets of functions: coefficients (N, J), jet (channels, n, d) -> (J, channels, n)."""
    blocks = np.array_split(jet, jet.shape[1] // 2000 + 1, axis=1)
    parts = [features.jet(block) @ coefficients for block in blocks]
    return np.moveaxis(np.concatenate(parts, axis=1), -1, 0)


def fields(s, features, solution):
    """Jets of the correctors: (J, d + 2, n) in the phases, (2, J, d + 2, m) on both sides of the interfaces."""
    dim = s.b.shape[1]
    u, edges = np.zeros((dim, dim + 2, len(s.b))), np.zeros((2, dim, dim + 2, len(s.rule.surface)))
    for k, (f, c) in enumerate(zip(features, solution, strict=True)):
        mine, jet = points_of(s, k)
        u[:, :, mine] = combined(f, c, jet)
        for side, rim, jet in rims_of(s, k):
            edges[side][:, :, rim] = combined(f, c, jet)
    return u, edges


class Interfaces(NamedTuple):
    """What the jumps do to the bounds."""

    C: np.ndarray  # (J, J)
    lift: float  # |grad l|_a
    depth: np.ndarray  # (M,): of the layers of l
    size: float  # |l|
    jump: float  # of the flux


def interface_terms(s, edges, weights):
    q, dim = s.rule, s.b.shape[1]
    flux = np.stack(
        [
            np.einsum("mi,mik,jkm->jm", q.normals, a, edge[:, 1:-1] + np.eye(dim)[:, :, None], optimize=True)
            for a, edge in zip(s.sides, edges, strict=True)
        ]
    )
    g, slope = (edges[0] - edges[1])[:, 0], (edges[0] - edges[1])[:, 1:-1]
    slope = slope - np.einsum("jkm,mk->jm", slope, q.normals)[:, None] * q.normals.T
    value, along = q.area * (g**2).sum(axis=0), 4 / 3 * q.area * (slope**2).sum(axis=(0, 1))
    value, along = (np.bincount(q.level, each, len(weights.depth)) for each in (value, along))
    h = weights.depth * np.clip(np.sqrt(value / np.maximum(along, 1e-300)) / weights.depth, 1e-3, 1)  # the best depth
    lift = np.sqrt(np.sum(weights.lift**2 * weights.depth * (value / h + along * h)))
    carrier = flux[weights.side[q.level], :, np.arange(len(q.level))].T
    C = np.einsum("m,im,jm->ij", q.area, g, carrier)
    size = np.sqrt(1.5 ** (dim - 1) * np.sum(h / 3 * value))
    return Interfaces(C + C.T, lift, h, size, np.sqrt(np.sum(q.area * (flux[1] - flux[0]) ** 2)))


def bounds(s, u, edges, weights):
    """lower, tensor, upper (d, d), and the depth of the layers (M,): see the head."""
    field = np.moveaxis(u[:, 1:-1], 1, -1) + np.moveaxis(np.linalg.cholesky(s.a), 1, 0)  # S^T (e_j + grad u_j)
    energy = np.einsum("n,ink,jnk->ij", s.rule.weights, field, field, optimize=True)
    found = interface_terms(s, edges, weights)
    r = np.sqrt(np.sum(s.rule.weights * (u[:, -1] + s.b.T) ** 2))
    miss = (r / (2 * np.pi) + weights.trace * found.jump) / np.sqrt(weights.least) + found.lift
    tensor, eye = energy + found.C, np.eye(len(energy))
    either = 2 * r * found.size + 1e-13 * np.trace(tensor)  # and what rounding does
    return tensor - (either + miss**2) * eye, tensor, tensor + (either + found.lift**2) * eye, found.depth


# --- a cell -----------------------------------------------------------------------------------------


STAGES = {  # boxes an axis, features, order of the rule of the fit
    2: ((8, 250, 3), (10, 500, 3), (10, 800, 3), (14, 1300, 3)),
    3: ((6, 400, 2), (6, 1500, 2)),
}
DEPTH = {2: 8, 3: 4}
MOST_ROWS = 20_000  # of the least-squares problem
HOPELESS = 10.0  # an error that more features do not mend, in three dimensions
GAIN = 0.8  # of the error, by which a stage must lower it for the next to be tried
MOST_LOST = 1e-4  # volume of boxes with an interface without normals
CLOSED = {2: 1e-2, 3: 3e-2}  # what a rule may miss of a closed interface


def solve_two_phases(cell, dim, tolerance=1e-6, seed=0, stages=None):
    """Bounds of a Cell; features grow until the tolerance is met, or to the last of the stages.

    Raises ValueError for interfaces or phases for which the bounds would not hold, Unresolved, which is one, where an
    image may do better.
    """
    shift = np.array(SHIFT[:dim])
    cell = shifted(cell, shift)
    check_smooth(cell, dim)

    def attempts(h=None, error=np.inf):
        for stage, (count, total, order) in enumerate(STAGES[dim][:stages], 1):
            progress(f"two phases: {total} features, stage {stage} of {len(STAGES[dim])}")
            boxes, lost = partition(cell.arrangement, dim, count, DEPTH[dim])
            check_boxes(cell.arrangement, boxes, lost)
            found, h = attempt(cell, boxes, total, order, h, np.random.default_rng(seed))
            found = found._replace(quadrature=found.quadrature + lost)
            yield found
            if found.error > GAIN * error or (dim == 3 and found.error > HOPELESS):
                break
            error = found.error

    found = closest(attempts(), tolerance)
    progress()
    return found._replace(cells=partial(at_shift, found.cells, -shift))


def attempt(cell, boxes, total, order, h, rng):
    """Bounds on the unit cell with this many features, and the depth of the layers that fits them (M,).

    h: that of an earlier attempt, or None.
    """
    dim = boxes.low.shape[1]
    q = rule(cell.arrangement, boxes, order)
    parts, number = parts_of(cell.arrangement, boxes, q)
    s = sampled(cell, number, thinned(q, rng))
    weights = constants(s, len(cell.arrangement.level_sets))
    features = all_features(parts, s, total, rng)
    A, rhs = system(s, features, weights, weights.depth if h is None else h)
    solution = np.split(ridge(A, rhs), np.cumsum([len(f.b) for f in features])[:-1])
    results, open_by = [], []
    for finer in (order + 1, order + 2) if dim == 2 else (order, order + 1):  # in 3D points are dear
        s = sampled(cell, number, rule(cell.arrangement, boxes, finer))
        u, edges = fields(s, features, solution)
        results.append(bounds(s, u, edges, weights))
        open_by.append(closure(s.rule, s.part, s.beside))
    lower, tensor, upper, h = results[-1]
    moved = max(relative_size(a - b, tensor) for a, b in zip(*[r[:3] for r in results], strict=True))
    cells = PhaseCells(cell.arrangement, boxes, number, features, solution, u[:, 0] @ s.rule.weights)
    found = Bounds(lower, tensor, upper, relative_size(upper - lower, tensor), moved, cells)
    check_closed(open_by[-1], dim)
    check_means(found, s)
    return found, h


def thinned(q, rng):
    """A Rule with so few points, taken at random, that the least-squares problem has no more than MOST_ROWS."""
    n, m, dim = *(len(each) for each in (q.points, q.surface)), q.points.shape[1]
    share = MOST_ROWS / (n + (1 + dim) * m)
    if share >= 1:
        return q
    inner, outer = (np.sort(rng.permutation(count)[: int(share * count)]) for count in (n, m))
    first, last = [each[inner] for each in q[:4]], [each[outer] for each in q[4:]]
    return Rule(*first, *last)._replace(weights=first[1] / share, area=last[1] / share)


def all_features(parts, s, total, rng):
    """Features of every part, more for parts with more points, but never more than the points can tell apart."""
    points = np.array([np.sum(s.part == k) for k in range(len(parts))])
    share = np.sqrt(points) / np.sqrt(points).sum()
    counts = np.minimum(np.maximum(40, total * share), np.maximum(points / 1.5, 4)).astype(int)
    features = []
    for k, (part, count) in enumerate(zip(parts, counts, strict=True)):
        own = s.rule.points[s.part == k] if points[k] else s.rule.surface[(s.beside == k).any(axis=1)]
        features.append(random_features(part, own, count, rng))
    return features


class PhaseCells(NamedTuple):
    """The correctors: each point by the features of its part."""

    arrangement: Arrangement
    boxes: Boxes
    number: np.ndarray  # (B, phases): of the parts
    features: list
    solution: list  # of (N, J)
    mean: np.ndarray  # (J,)

    def __call__(self, y):
        """Values with mean zero (1, J, n) and gradients (1, J, n, d) at y (n, d)."""
        y, out = y % 1, np.zeros((y.shape[1], 1 + y.shape[1], len(y)))
        part = self.number[locate(self.boxes, y), phase_at(self.arrangement, y)]
        for k, (f, c) in enumerate(zip(self.features, self.solution, strict=True)):
            mine = np.flatnonzero(part == k)
            out[:, :, mine] = combined(f, c, laplace_jet(y[mine]))[:, :-1]
        return (out[:, 0] - self.mean[:, None])[None], np.moveaxis(out[:, 1:], 1, 2)[None]


# --- what must be true of any cell ------------------------------------------------------------------


def check_boxes(arrangement, boxes, lost):
    """Raises ValueError where boxes have missed an interface, or many of them have one without normals."""
    fine = fine_grid(boxes.low.shape[1])
    box, centres = locate(boxes, fine), boxes.low + boxes.size[:, None] / 2
    whole = ~boxes.cut[box].any(axis=1)
    missed = (phase_at(arrangement, fine) != phase_at(arrangement, centres)[box]) & whole
    if lost > MOST_LOST or np.any(missed):
        raise ValueError(
            "level_set: found no normal on the interface, or details finer than its samples; expected a gradient that "
            f"neither vanishes nor jumps on the interface, and nothing below a hundredth of the cell; {INSTEAD}"
        )


def check_closed(miss, dim):
    """Raises Unresolved for an interface that does not close, by `closure`."""
    if not miss <= CLOSED[dim]:
        raise Unresolved(
            f"the interface as measured has gaps of {miss:.2g}, relative: corners or details that boxes do not resolve"
        )


def check_means(found, s):
    """Raises ValueError for bounds that contradict those of Reuss and Voigt by the same rule."""
    if not np.isfinite(found.quadrature):
        return  # bounds that say nothing
    least, most = reuss_voigt(s.a, s.rule.weights)
    slack = (found.quadrature + 1e-9) * most
    contradiction = max(
        np.linalg.eigvalsh(least - found.upper - slack).max(), np.linalg.eigvalsh(found.lower - most - slack).max()
    )
    if not contradiction <= 0:
        raise ValueError(
            f"level_set: the bounds found, {shown(found.lower.diagonal().tolist())} and "
            f"{shown(found.upper.diagonal().tolist())}, contradict the means of the conductivity; "
            f"expected them around {shown(least.diagonal().tolist())} and {shown(most.diagonal().tolist())}; {INSTEAD}"
        )
