"""Two phases with a sharp interface, on a periodic cell: random features, one linear least-squares problem, bounds.

    div a (grad u_j + e_j) = 0 in each phase,   u_j and a (grad u_j + e_j) . n continuous on the interface

A level set that is positive inside gives boxes in which it is monotone along an axis (partition), and on them Gauss
rules of the phases and of the interface (rule; Saye 2015).  Each connected part of a phase has its own features.
The weights of the rows are those of the bounds: with r the residual in the phases, q and g the jumps of flux and value

    v = u + l,  l = (1 - t / h) g in a layer of depth h on one side of the interface, is continuous; E = energy of u;
    E(v) = E + C + C^T - 2 int r l + |grad l|^2,   C_ij = int_interface g_i sigma_j . n                    upper
    |grad(v - w)|_a <= (|r| / 2 pi + c_trace |q|) / sqrt(a_min) + |grad l|_a   for the true w               lower

whose squares are all that the bounds miss, so that a residual of 1e-3 is a gap of 1e-6.  Assumed: that the rules
resolve the integrals (`quadrature` compares two of them) and that the sampled points of the interface show how sharply
it bends and how near its sheets come to each other.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from autograd import elementwise_grad
from scipy.linalg import qr, solve_triangular
from scipy.optimize.elementwise import find_root
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from fem_cells import relative_size
from nhpinn_functions import (
    POROUS,
    check_periodic,
    checked_values,
    differentiation,
    grid,
    on_unit_cell,
    shown,
    tensor_and_divergence,
)
from nhpinn_networks import operator_jet
from nhpinn_tools.bounds import Bounds, closest
from nhpinn_tools.features import Features, waves


class TwoPhase(NamedTuple):
    """inside where level_set(y) > 0, outside elsewhere: numbers, tensors (d, d) or smooth functions of y (n, d).

    The level set, written with autograd.numpy, is called in the first cell alone, so that 0.3 - |y - centre| is an
    array of balls; functions inside and outside are periodic by themselves.
    """

    level_set: object
    inside: object
    outside: object


class Boxes(NamedTuple):
    """Boxes of the unit cell.  Where one is cut, the level set is monotone along the last of its axes."""

    low: np.ndarray  # (B, d)
    size: np.ndarray  # (B,)
    axes: np.ndarray  # (B, d): in the order of integration
    cut: np.ndarray  # (B,): may have zeros


MOST_BOXES = 60_000


def gradient_of(level_set, points):
    """(n, d), zero where it does not exist, such as at the centre of a distance."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(elementwise_grad(level_set)(points), posinf=0, neginf=0)


def partition(level_set, dim, count, depth):
    """Boxes, halved until the level set has no zero in each, or is monotone along an axis; the volume left."""
    per_axis = {1: 9, 2: 5, 3: 4}[dim]
    samples, reach = grid([(0.0, 1.0)] * dim, per_axis), np.sqrt(dim) / 2 / (per_axis - 1)
    low, size, done, lost = grid([(0.0, 1 - 1 / count)] * dim, count), 1 / count, [], 0.0
    for level in range(depth + 1):
        y = low[:, None] + size * samples
        value = level_set(y.reshape(-1, dim)).reshape(len(low), -1)
        slope = gradient_of(level_set, y.reshape(-1, dim)).reshape(y.shape)
        steepest = np.linalg.norm(slope, axis=-1).max(1)
        cut = np.abs(value).min(1) <= 1.5 * steepest * reach * size
        monotone = np.maximum(slope.min(1), -slope.max(1)) / np.maximum(steepest, 1e-300)[:, None]
        good = ~cut | (monotone.max(1) > 0.25)
        if dim == 3 and level < 3:  # a face that is cut needs a second axis, for the same reason
            inside = value > 0
            best = np.argmax(monotone, axis=1)
            for k, side in product(range(3), (0, 1)):
                face = inside[:, samples[:, k] == side]
                good &= ~((best == k) & cut & (face.any(1) != face.all(1)) & (np.sort(monotone, axis=1)[:, 1] <= 0.1))
        if level == depth:
            changes = (value > 0).any(1) & (value <= 0).any(1)
            lost, cut, good = size**dim * np.sum(~good & changes), cut & good, np.full(len(low), True)
        done.append((low[good], np.full(good.sum(), size), np.argsort(monotone[good], axis=1), cut[good]))
        size /= 2
        low = (low[~good][:, None] + size * grid([(0.0, 1.0)] * dim, 2)).reshape(-1, dim)
        if len(low) > MOST_BOXES:
            raise ValueError("level_set: found no normal on the interface, expected a gradient that is not zero there")
        if not len(low):
            break
    return Boxes(*[np.concatenate(each) for each in zip(*done, strict=True)]), lost


def roots(level_set, points, axis, low, high):
    """Up to two zeros (n, 2) of the level set along an axis (n,) between low and high (n,); high for none."""

    def along(t, row):
        y = points[row]
        y[np.arange(len(row)), axis[row]] = t
        return y

    def value(t, row):
        return level_set(along(t, row))

    def slope(t, row):
        return gradient_of(level_set, along(t, row))[np.arange(len(row)), axis[row]]

    def zero(function, low, high, row):
        return find_root(function, (low, high), args=(row,)).x if len(row) else low

    rows = np.arange(len(points))
    inside, rising = (lambda t, row: value(t, row) > 0), slope(low, rows) > 0
    start, end = inside(low, rows), inside(high, rows)
    out = np.stack([high, high], axis=1)
    turn = np.flatnonzero((start == end) & (rising != (slope(high, rows) > 0)) & (rising != start))
    middle = zero(slope, low[turn], high[turn], turn)
    dips = inside(middle, turn) != start[turn]  # to the other side and back
    turn, middle, once = turn[dips], middle[dips], np.flatnonzero(start != end)
    out[once, 0] = zero(value, low[once], high[once], once)
    out[turn, 0] = zero(value, low[turn], middle, turn)
    out[turn, 1] = zero(value, middle, high[turn], turn)
    return out


class Rule(NamedTuple):
    """A quadrature of both phases and of their interface; box: in which box a point lies."""

    points: np.ndarray  # (n, d)
    weights: np.ndarray  # (n,)
    box: np.ndarray  # (n,)
    phase: np.ndarray  # (n,): 1 inside, 0 outside
    surface: np.ndarray  # (m, d)
    area: np.ndarray  # (m,)
    home: np.ndarray  # (m,)
    normals: np.ndarray  # (m, d), from inside to outside


def rule(level_set, boxes, order):
    """Gauss rules coordinate by coordinate, the steepest last, split wherever an edge of a box meets the interface."""
    t, g = np.polynomial.legendre.leggauss(order)
    t, g, dim = (t + 1) / 2, g / 2, boxes.low.shape[1]
    box, y, w = np.arange(len(boxes.low)), boxes.low.copy(), np.ones(len(boxes.low))
    for i in range(dim):
        axis, later = boxes.axes[box, i], boxes.axes[box, i + 1 :]
        low = boxes.low[box, axis]
        high = low + boxes.size[box]
        cuts, cut = [low, high], np.flatnonzero(boxes.cut[box])
        for corner in product((0, 1), repeat=dim - 1 - i):
            z = y[cut]
            np.put_along_axis(
                z, later[cut], np.take_along_axis(z, later[cut], 1) + np.outer(boxes.size[box[cut]], corner), 1
            )
            for zero in roots(level_set, z, axis[cut], low[cut], high[cut]).T:
                cuts.append(high.copy())
                cuts[-1][cut] = zero
        if i == dim - 1:
            hit = np.flatnonzero(cuts[2] < high)
            surface, area, home = y[hit], w[hit], box[hit]
            surface[np.arange(len(hit)), axis[hit]] = cuts[2][hit]
        cuts = np.sort(cuts, axis=0)
        piece, row = np.nonzero(np.diff(cuts, axis=0) > 1e-10 * boxes.size[box])
        start, length = cuts[piece, row], cuts[piece + 1, row] - cuts[piece, row]
        y, w, box = np.repeat(y[row], order, 0), np.outer(w[row] * length, g).ravel(), np.repeat(box[row], order)
        y[np.arange(len(y)), np.repeat(axis[row], order)] = (start[:, None] + np.outer(length, t)).ravel()
    slope = gradient_of(level_set, surface)
    steep = np.linalg.norm(slope, axis=1)
    area = area * steep / np.maximum(np.abs(slope[np.arange(len(home)), boxes.axes[home, -1]]), 1e-300)
    return Rule(y, w, box, phase_of(level_set, y), surface, area, home, -slope / np.maximum(steep, 1e-300)[:, None])


# --- connected parts of the phases, and their features ----------------------------------------------


def locate(boxes, points):
    """The box (n,) of points (n, d) of any cell."""
    out, points = np.zeros(len(points), int), points % 1
    for size in np.unique(boxes.size):
        n, mine = round(1 / size), np.flatnonzero(boxes.size == size)
        keys = [
            np.ravel_multi_index(p.T, [n] * p.shape[1])
            for p in (np.round(boxes.low[mine] * n).astype(int), np.minimum(points * n, n - 1).astype(int))
        ]
        mine, own = mine[np.argsort(keys[0])], np.sort(keys[0])
        place = np.minimum(np.searchsorted(own, keys[1]), len(own) - 1)
        found = own[place] == keys[1]
        out[found] = mine[place[found]]
    return out


class Part(NamedTuple):
    """A connected part of a phase, with the coordinates that it has of its own.

    Where a part reaches its copy in the cell at v, an integer vector, u is periodic, and k . y is single-valued for
    integer k with k . v = 0 alone: all k in an inclusion, those across it in a layer or a fibre, none in a matrix.
    """

    phase: int
    axes: np.ndarray  # (r, d): the k
    centre: np.ndarray  # (r,)
    half: np.ndarray  # (r,): of its extent


def own_coordinates(phase, loops, rim):
    """A Part from the vectors (l, d) to its copies and the points (m, d) of its interface, unfolded."""
    dim, chosen = rim.shape[1], []
    for k in sorted(product(range(-3, 4), repeat=dim), key=lambda k: (np.dot(k, k), k)):
        new = np.linalg.matrix_rank([*chosen, k]) > len(chosen)
        if new and not np.any(loops @ k) and np.ptp(rim @ k) < 0.999:  # else it would meet itself
            chosen.append(k)
    axes = np.array(chosen, float).reshape(-1, dim)
    low, high = (rim @ axes.T).min(0), (rim @ axes.T).max(0)
    return Part(phase, axes, (low + high) / 2, np.maximum((high - low) / 2, 1e-6))


def parts_of(level_set, boxes, quadrature):
    """The connected parts, and for each box and phase the part: (B, 2).  Points on their faces connect boxes."""
    dim, count = boxes.low.shape[1], len(boxes.low)
    face = grid([(0.02, 0.98)] * (dim - 1), 6 if dim == 2 else 5) if dim > 1 else np.zeros((1, 0))
    samples = np.concatenate([np.insert(face, k, side, axis=1) for k in range(dim) for side in (-1e-6, 1 + 1e-6)])
    y = (boxes.low[:, None] + boxes.size[:, None, None] * samples).reshape(-1, dim)
    phase, one, cell = phase_of(level_set, y), np.repeat(np.arange(count), len(samples)), np.floor(y)
    tail, head = 2 * one + phase, 2 * locate(boxes, y) + phase
    graph = coo_matrix((np.ones(len(tail)), (tail, head)), shape=(2 * count, 2 * count)).tocsr()
    _, label = connected_components(graph, directed=False)
    wrap = dict(zip(zip(tail, head, strict=True), cell, strict=True))
    wrap.update({(j, i): -c for (i, j), c in wrap.items()})
    shift, parts, number = np.zeros((2 * count, dim)), [], np.full(2 * count, -1)
    for name in np.unique(label[tail]):
        nodes = np.flatnonzero(label == name)
        order, before = breadth_first_order(graph, nodes[0], directed=False)
        for node in order[1:]:
            shift[node] = shift[before[node]] + wrap[before[node], node]
        edges = label[tail] == name
        own = np.isin(2 * quadrature.home + nodes[0] % 2, nodes)
        rim = quadrature.surface[own] + shift[2 * quadrature.home[own] + nodes[0] % 2]
        if not len(rim):
            continue
        number[nodes] = len(parts)
        loops = np.unique((shift[tail] + cell - shift[head])[edges], axis=0)
        parts.append(own_coordinates(int(nodes[0] % 2), loops, rim))
    number, centres = number.reshape(count, 2), boxes.low + boxes.size[:, None] / 2
    for phase in (0, 1):  # what is too small for the samples belongs to the part beside it
        known, other = number[:, phase] >= 0, number[:, phase] < 0
        tree = cKDTree(centres[known], boxsize=1)
        number[other, phase] = number[known, phase][tree.query(centres[other])[1]]
    return parts, number


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


class Weights(NamedTuple):
    """Of flux and value on the interface, in the bounds: see `constants`."""

    trace: float
    lift: float
    depth: float
    side: int  # the phase that carries the lift
    least: float  # eigenvalue of the conductivity


def constants(quadrature, a, phase):
    """The constants of the bounds, from h, the depth of a layer on either side of the interface in which no two normals
    meet, estimated by pairs of its points.

    a (n, d, d) on the points of the rule, phase (n,).
    """
    keep = np.random.default_rng(0).permutation(len(quadrature.surface))[:1200]
    p, n, dim = quadrature.surface[keep], quadrature.normals[keep], quadrature.surface.shape[1]
    offset = p[:, None] - p
    offset -= np.round(offset)
    square, facing = (offset**2).sum(-1), n @ n.T
    apart = square > 1e-8
    alike = apart & (facing > 0.5)
    bend = np.sqrt(np.maximum(2 - 2 * facing[alike], 0) / square[alike]).max(initial=1e-9)
    eigenvalues = np.linalg.eigvalsh(a)
    least, depths, costs = eigenvalues.min(), [], []
    for side in (0, 1):
        behind = np.einsum("ijk,ik->ij", offset, n) * (1 if side else -1)
        seen = apart & (behind > 1e-12)
        ball = (square[seen] / (2 * behind[seen])).min(initial=0.5)
        depths.append(min(ball / 2, 0.5 / bend, 0.25))
        costs.append(eigenvalues[phase == side].max() * 1.5 ** (dim - 1) / depths[side])
    side, h = int(np.argmin(costs)), max(depths)
    trace = np.sqrt(2 ** (dim - 1) * (1 / (4 * np.pi**2 * h) + 1 / np.pi))
    return Weights(trace, np.sqrt(costs[side]), depths[side], side, least)


def conductivity(cell, points, phase):
    """a (n, d, d) and its divergence (n, d) at points of both phases."""
    a, b = np.zeros((len(points), *[points.shape[1]] * 2)), np.zeros(points.shape)
    for side, name in enumerate(("outside", "inside")):
        mine = np.broadcast_to(phase, len(points)) == side
        if mine.any():
            try:
                a[mine], b[mine] = tensor_and_divergence(getattr(cell, name), points[mine])
            except (ValueError, TypeError) as error:
                raise type(error)(str(error).replace("coefficient", name, 1)) from error
    return a, b


class Sampled(NamedTuple):
    """The conductivity on a rule, and in which part its points lie."""

    rule: Rule
    a: np.ndarray  # (n, d, d)
    b: np.ndarray  # (n, d): its divergence
    part: np.ndarray  # (n,)
    sides: list  # of the interface, outside and inside: a (m, d, d)
    beside: np.ndarray  # (m, 2): the parts on both sides
    phases: list  # of the parts


def sampled(cell, parts, number, q):
    a, b = conductivity(cell, q.points, q.phase)
    sides = [conductivity(cell, q.surface, side)[0] for side in (0, 1)]
    return Sampled(q, a, b, number[q.box, q.phase], sides, number[q.home], [part.phase for part in parts])


def part_jets(s, k):
    """Of part k: which points of the rule and of the interface are its own, and the jets of their coordinates."""
    mine, rim = np.flatnonzero(s.part == k), np.flatnonzero(s.beside[:, s.phases[k]] == k)
    return mine, operator_jet(s.rule.points[mine], s.a[mine], s.b[mine]), rim, laplace_jet(s.rule.surface[rim])


def laplace_jet(points):
    """The jet of the coordinates, whose first derivatives are those along the axes: (d + 2, n, d)"""
    return operator_jet(points, np.broadcast_to(np.eye(points.shape[1]), (*points.shape, points.shape[1])), 0 * points)


def system(s, features, weights, h):
    """Rows: equation, flux, value, slopes of the value.

    Their squares add up to the least eigenvalue times the square of what the lower bound misses, up to a factor of
    three.
    """
    q, n, m, dim = s.rule, len(s.rule.points), len(s.rule.surface), s.b.shape[1]
    A, start = np.zeros((n + (1 + dim) * m, sum(len(f.b) for f in features))), 0
    w, area = np.sqrt(q.weights)[:, None] / (2 * np.pi), np.sqrt(q.area)
    tangents = np.linalg.svd(q.normals[:, None])[2][:, 1:]
    value = np.sqrt(weights.least * weights.depth) * weights.lift
    for k, (f, phase) in enumerate(zip(features, s.phases, strict=True)):
        mine, jet, rim, edge = part_jets(s, k)
        columns, edge = slice(start, start + len(f.b)), f.jet(edge)
        start += len(f.b)
        A[mine, columns] = w[mine] * f.jet(jet)[-1]
        sign = area[rim] * (2 * phase - 1)
        along = np.einsum("mi,mij->mj", q.normals[rim], s.sides[phase][rim])
        rows = [(weights.trace, along)] + [(value * np.sqrt(4 / 3 * h), tangents[rim, i]) for i in range(dim - 1)]
        for i, (factor, direction) in enumerate(rows):
            A[n + i * m + rim, columns] = np.einsum("mj,jmN->mN", factor * sign[:, None] * direction, edge[1:-1])
        A[n + dim * m + rim, columns] = value / np.sqrt(h) * sign[:, None] * edge[0]
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
    """Jets of the correctors: (J, d + 2, n) in the phases, (2, J, d + 2, m) on both sides of the interface."""
    dim = s.b.shape[1]
    u, edges = np.zeros((dim, dim + 2, len(s.b))), np.zeros((2, dim, dim + 2, len(s.rule.surface)))
    for k, (f, c) in enumerate(zip(features, solution, strict=True)):
        mine, jet, rim, edge = part_jets(s, k)
        u[:, :, mine] = combined(f, c, jet)
        edges[s.phases[k]][:, :, rim] = combined(f, c, edge)
    return u, edges


def interface_terms(s, edges, weights):
    """What the jumps do: C (J, J), |grad l|, its layer's depth, |l|, |jump of the flux|."""
    q, dim = s.rule, s.b.shape[1]
    flux = [
        np.einsum("mi,mik,jkm->jm", q.normals, a, edge[:, 1:-1] + np.eye(dim)[:, :, None], optimize=True)
        for a, edge in zip(s.sides, edges, strict=True)
    ]
    g, slope = (edges[0] - edges[1])[:, 0], (edges[0] - edges[1])[:, 1:-1]
    slope = slope - np.einsum("jkm,mk->jm", slope, q.normals)[:, None] * q.normals.T
    value, along = np.sum(q.area * g**2), 4 / 3 * np.sum(q.area * slope**2)
    h = weights.depth * np.clip(np.sqrt(value / max(along, 1e-300)) / weights.depth, 1e-3, 1)  # the best depth
    lift = weights.lift * np.sqrt(weights.depth * (value / h + along * h))
    C = np.einsum("m,im,jm->ij", q.area, g, flux[weights.side])
    size = np.sqrt(1.5 ** (dim - 1) * h / 3 * value)
    return C + C.T, lift, h, size, np.sqrt(np.sum(q.area * (flux[1] - flux[0]) ** 2))


def bounds(s, u, edges, weights):
    """lower, tensor, upper (d, d), and the depth of the layer: see the head."""
    field = np.moveaxis(u[:, 1:-1], 1, -1) + np.moveaxis(np.linalg.cholesky(s.a), 1, 0)  # S^T (e_j + grad u_j)
    energy = np.einsum("n,ink,jnk->ij", s.rule.weights, field, field, optimize=True)
    C, lift, h, size, jump = interface_terms(s, edges, weights)
    r = np.sqrt(np.sum(s.rule.weights * (u[:, -1] + s.b.T) ** 2))
    miss = (r / (2 * np.pi) + weights.trace * jump) / np.sqrt(weights.least) + lift
    tensor, eye = energy + C, np.eye(len(C))
    either = 2 * r * size + 1e-13 * np.trace(tensor)  # and what rounding does
    return tensor - (either + miss**2) * eye, tensor, tensor + (either + lift**2) * eye, h


# --- a cell -----------------------------------------------------------------------------------------


STAGES = {  # boxes an axis, features, order of the rule of the fit
    2: ((8, 250, 3), (10, 500, 3), (10, 800, 3), (14, 1300, 3)),
    3: ((6, 400, 2), (6, 1500, 2)),
}
DEPTH = {2: 8, 3: 4}


def solve_two_phases(cell, dim, tolerance=1e-6, seed=0, stages=None):
    """Bounds of a cell of period one, a `unit_cell`; features grow until the tolerance is met, or to the last of the
    stages."""

    def attempts(h=None):
        for count, total, order in STAGES[dim][:stages]:
            boxes, lost = partition(cell.level_set, dim, count, DEPTH[dim])
            check_interface(cell.level_set, boxes, lost)
            found, h = attempt(cell, boxes, total, order, h, np.random.default_rng(seed))
            yield found._replace(quadrature=found.quadrature + lost)

    return closest(attempts(), tolerance)


def attempt(cell, boxes, total, order, h, rng):
    """Bounds on the unit cell with this many features, and the depth of the layer."""
    dim = boxes.low.shape[1]
    quadrature = rule(cell.level_set, boxes, order)
    parts, number = parts_of(cell.level_set, boxes, quadrature)
    s = sampled(cell, parts, number, quadrature)
    weights = constants(s.rule, s.a, s.rule.phase)
    features = all_features(parts, s, total, rng)
    A, rhs = system(s, features, weights, h or weights.depth)
    solution = np.split(ridge(A, rhs), np.cumsum([len(f.b) for f in features])[:-1])
    results = []
    for finer in (order + 1, order + 2) if dim == 2 else (order, order + 1):  # in 3D points are dear
        s = sampled(cell, parts, number, rule(cell.level_set, boxes, finer))
        u, edges = fields(s, features, solution)
        results.append(bounds(s, u, edges, weights))
    lower, tensor, upper, h = results[-1]
    moved = max(relative_size(a - b, tensor) for a, b in zip(*[r[:3] for r in results], strict=True))
    cells = PhaseCells(cell.level_set, boxes, number, features, solution, u[:, 0] @ s.rule.weights)
    return Bounds(lower, tensor, upper, relative_size(upper - lower, tensor), moved, cells), h


def all_features(parts, s, total, rng):
    """Features of every part, more for parts with more points, but never more than the points can tell apart."""
    points = np.array([np.sum(s.part == k) for k in range(len(parts))])
    share = np.sqrt(points) / np.sqrt(points).sum()
    counts = np.minimum(np.maximum(40, total * share), np.maximum(points / 1.5, 4)).astype(int)
    features = []
    for k, (part, count) in enumerate(zip(parts, counts, strict=True)):
        own = s.rule.points[s.part == k] if points[k] else s.rule.surface[s.beside[:, part.phase] == k]
        features.append(random_features(part, own, count, rng))
    return features


class PhaseCells(NamedTuple):
    """The correctors: each point by the features of its part."""

    level_set: Callable
    boxes: Boxes
    number: np.ndarray  # (B, 2): of the parts
    features: list
    solution: list  # of (N, J)
    mean: np.ndarray  # (J,)

    def __call__(self, y):
        """Values with mean zero (1, J, n) and gradients (1, J, n, d) at y (n, d)."""
        y, out = y % 1, np.zeros((y.shape[1], 1 + y.shape[1], len(y)))
        part = self.number[locate(self.boxes, y), phase_of(self.level_set, y)]
        for k, (f, c) in enumerate(zip(self.features, self.solution, strict=True)):
            mine = np.flatnonzero(part == k)
            out[:, :, mine] = combined(f, c, laplace_jet(y[mine]))[:, :-1]
        return (out[:, 0] - self.mean[:, None])[None], np.moveaxis(out[:, 1:], 1, 2)[None]


def unit_cell(cell, dim, period):
    """The same cell on [0, 1]^d: the conductivity becomes P^-1 a P^-1, P = diag(period)."""
    check_level_set(cell.level_set, period * grid([(0.1, 0.9)] * dim, 4))
    fields = (unit_field(name, getattr(cell, name), dim, period) for name in ("inside", "outside"))
    return TwoPhase(partial(in_first_cell, cell.level_set, period), *fields)


def in_first_cell(function, period, z):  # not a closure, so that what holds it can be sent to another process
    return function(period * (z % 1))


def check_level_set(level_set, y):
    """Raises ValueError or TypeError for a function that is not finite, or has no gradient, at points y (n, d)."""
    values = checked_values("level_set", level_set, y)
    with differentiation("level_set"):
        slope = gradient_of(level_set, y)
    if not np.any(slope) and values.min() <= 0 < values.max():
        raise ValueError(
            "level_set: its gradient is zero everywhere, expected a function that falls through zero, not one that "
            "jumps, written with autograd.numpy in place of numpy"
        )


def phase_of(level_set, y):
    """1 inside, 0 outside: (n,)"""
    return (level_set(y) > 0).astype(int)


def coefficient_of(cell, y):
    """a (n, d, d) of a unit cell at any points y (n, d), as a function that jumps."""
    return np.where(phase_of(cell.level_set, y)[:, None, None], cell.inside(y), cell.outside(y))


def unit_field(name, value, dim, period):
    """A number, a tensor or a function as a function of the unit cell: (n, d) -> (n, d, d)."""
    if callable(value):
        check_periodic(name, value, dim, period)
        return on_unit_cell(value, period)
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape not in ((), (dim, dim)):
        raise ValueError(f"{name}: found {shown(value)}, expected a number, a tensor ({dim}, {dim}) or a function")
    if np.any(np.isinf(array)) or not np.any(array):
        raise ValueError(f"{name}: found {shown(array.tolist())}, {POROUS}")
    tensor = array * np.eye(dim) if array.ndim == 0 else array
    return on_unit_cell(lambda y: tensor + 0 * y[:, :1, None], period)


def check_interface(level_set, boxes, lost):
    """Raises ValueError for a level set without an interface, with one without normals, or one that the boxes miss."""
    dim = boxes.low.shape[1]
    fine = grid([(0.003, 0.997)] * dim, {2: 211, 3: 41}[dim])
    inside, box = level_set(fine) > 0, locate(boxes, fine)
    if np.all(inside) or not np.any(inside):
        sign = "positive" if inside[0] else "not positive"
        raise ValueError(f"level_set: {sign} everywhere, expected a change of sign; one phase alone has no interface")
    centre = level_set(boxes.low + boxes.size[:, None] / 2) > 0
    if lost > 1e-4 or np.any((inside != centre[box]) & ~boxes.cut[box]):
        raise ValueError(
            "level_set: found no normal on the interface, or details finer than its samples; expected a gradient that "
            "neither vanishes nor jumps on the interface, and nothing below a hundredth of the cell"
        )
    face = grid([(0.0, 1.0)] * (dim - 1), 33 if dim == 2 else 17)
    for k in range(dim):
        near, far = (level_set(np.insert(face, k, side, axis=1)) for side in (1e-9, 1 - 1e-9))
        if np.any(((near > 0) != (far > 0)) & (np.abs(near - far) > 1e-6 * np.abs(near).max())):
            raise ValueError(f"level_set: its signs on opposite faces of axis {k} differ, expected it periodic")
