"""Two phases with a sharp interface, on a periodic cell: random features, one linear least-squares problem, bounds.

    div a (grad u_j + e_j) = 0 in each phase,   u_j and a (grad u_j + e_j) . n continuous on the interface

A level set that is positive inside gives boxes in which it is monotone along an axis (partition), and on them Gauss
rules of the phases and of the interface (rule; Saye 2015).  Each connected part of a phase has its own features.
The weights of the rows are those of the bounds: with r the residual in the phases, q and g the jumps of flux and value

    v = u + l,  l = (1 - t / h) g in a layer of depth h on one side of the interface, is continuous; E = energy of u;
    E(v) = E + C + C^T - 2 int r l + |grad l|^2,   C_ij = int_interface g_i sigma_j . n                    upper
    |grad(v - w)|_a <= (|r| / 2 pi + c_trace |q|) / sqrt(a_min) + |grad l|_a   for the true w               lower

whose squares are all that the bounds miss, so that a residual of 1e-3 is a gap of 1e-6.  Assumed: that the rules
resolve the integrals (`quadrature` compares two of them) and that the points see the reach of the interface.
"""

import warnings
from itertools import product
from typing import NamedTuple

import numpy as np
from autograd import elementwise_grad
from scipy.linalg import qr, solve_triangular
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from coefficients import tensor_and_divergence
from jets import affine, operator_jet, tanh_jet
from losses import grid
from sharp import periodic_features, relative_size


FINER = 1.0


class TwoPhase(NamedTuple):
    """inside where level_set(y) > 0, outside elsewhere: numbers, tensors (d, d) or smooth functions of y (n, d)."""

    level_set: object
    inside: object
    outside: object


class Boxes(NamedTuple):
    """Boxes of the unit cell.  Where one is cut, the level set is monotone along the last of its axes."""

    low: np.ndarray  # (B, d)
    size: np.ndarray  # (B,)
    axes: np.ndarray  # (B, d): in the order of integration
    cut: np.ndarray  # (B,): may have zeros


def gradient_of(level_set, points):
    """(n, d), zero where it does not exist, such as at the centre of a distance."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(elementwise_grad(level_set)(points), posinf=0, neginf=0)


def partition(level_set, dim, count, depth, most=60000):
    """Boxes, halved until the level set has no zero in each, or is monotone along an axis; and the volume unresolved."""
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
        if level == depth:
            changes = (value > 0).any(1) & (value <= 0).any(1)
            lost, cut, good = size**dim * np.sum(~good & changes), cut & good, np.full(len(low), True)
        done.append((low[good], np.full(good.sum(), size), np.argsort(monotone[good], axis=1), cut[good]))
        size /= 2
        low = (low[~good][:, None] + size * grid([(0.0, 1.0)] * dim, 2)).reshape(-1, dim)
        if len(low) > most:
            raise ValueError("level_set: too many boxes are needed; expected an interface with a gradient that is not zero")
        if not len(low):
            break
    return Boxes(*[np.concatenate(each) for each in zip(*done, strict=True)]), lost


def bisect(test, low, high):
    """Where test(t) (n,) changes between low and high (n,)."""
    start = test(low)
    for _ in range(45 if len(low) else 0):
        middle = (low + high) / 2
        same = test(middle) == start
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2


def roots(level_set, points, axis, low, high):
    """Up to two zeros (n, 2) of the level set along an axis (n,) between low and high (n,); high where there is none."""

    def line(part):
        rows = np.arange(len(part))

        def at(t):
            y = points[part]
            y[rows, axis[part]] = t
            return y

        return lambda t: level_set(at(t)) > 0, lambda t: gradient_of(level_set, at(t))[rows, axis[part]] > 0

    inside, rising = line(np.arange(len(points)))
    start, end, up = inside(low), inside(high), rising(low)
    out, middle = np.stack([high, high], axis=1), low.copy()
    turn = np.flatnonzero((start == end) & (up != rising(high)) & (up != start))  # it may dip to the other side
    middle[turn] = bisect(line(turn)[1], low[turn], high[turn])
    dips = turn[inside(middle)[turn] != start[turn]]
    once = np.flatnonzero(start != end)
    out[once, 0] = bisect(line(once)[0], low[once], high[once])
    out[dips, 0] = bisect(line(dips)[0], low[dips], middle[dips])
    out[dips, 1] = bisect(line(dips)[0], middle[dips], high[dips])
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
    phase = (level_set(y) > 0).astype(int)
    return Rule(y, w, box, phase, surface, area, home, -slope / np.maximum(steep, 1e-300)[:, None])


# --- connected parts of the phases, and their features ------------------------------------------------


def locate(boxes, points):
    """The box (n,) of points (n, d) of any cell."""
    out, points = np.zeros(len(points), int), points % 1
    for size in np.unique(boxes.size):
        n, mine = round(1 / size), np.flatnonzero(boxes.size == size)
        keys = [np.ravel_multi_index(p.T, [n] * p.shape[1]) for p in (
            np.round(boxes.low[mine] * n).astype(int), np.minimum(points * n, n - 1).astype(int))]
        mine, own = mine[np.argsort(keys[0])], np.sort(keys[0])
        place = np.minimum(np.searchsorted(own, keys[1]), len(own) - 1)
        found = own[place] == keys[1]
        out[found] = mine[place[found]]
    return out


class Part(NamedTuple):
    """A connected part of a phase.  centre is None where it has no bounds: it reaches its own copy in another cell."""

    phase: int
    centre: np.ndarray | None
    half: np.ndarray | None  # of its extent


def parts_of(level_set, boxes, quadrature):
    """The connected parts, and for each box and phase the part: (B, 2).  Points on their faces connect boxes."""
    dim, count = boxes.low.shape[1], len(boxes.low)
    face = grid([(0.02, 0.98)] * (dim - 1), 6 if dim == 2 else 5) if dim > 1 else np.zeros((1, 0))
    samples = np.concatenate([np.insert(face, k, side, axis=1) for k in range(dim) for side in (-1e-6, 1 + 1e-6)])
    y = (boxes.low[:, None] + boxes.size[:, None, None] * samples).reshape(-1, dim)
    phase, one, cell = (level_set(y) > 0).astype(int), np.repeat(np.arange(count), len(samples)), np.floor(y)
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
        low, high = rim.min(0), rim.max(0)
        number[nodes] = len(parts)
        if np.any(shift[tail[edges]] + cell[edges] != shift[head[edges]]) or np.any(high - low > 0.999):
            parts.append(Part(int(nodes[0] % 2), None, None))
        else:
            parts.append(Part(int(nodes[0] % 2), (low + high) / 2, (high - low) / 2))
    return parts, number.reshape(count, 2)


class Features(NamedTuple):
    part: Part
    W: np.ndarray  # (m, N)
    b: np.ndarray  # (N,)


def part_inputs(part, jet):
    """Coordinates in [-1, 1] of a part that fits into a cell; else waves, which are periodic.  (channels, n, m)"""
    if part.centre is None:
        return periodic_features(jet % 1 if len(jet) == 1 else jet)
    scaled = jet / part.half
    scaled[0] = ((jet[0] - part.centre + 0.5) % 1 - 0.5) / part.half
    return scaled


def feature_jet(features, jet):
    return tanh_jet(affine(part_inputs(features.part, jet), features.W, features.b))[0]


def random_features(part, points, normals, sizes, count, scale, rng):
    """tanh(w . (z - c)) with w normal and c at some of the points (n, d) of the part; sizes (n,) of their boxes.

    Where boxes are small, as in gaps of width delta, there are more centres, and w is up to as many times larger across
    the gap, and the root of that along it: fields there vary over delta and sqrt(delta).
    """
    chosen = rng.integers(len(points), size=count)
    jet = part_inputs(part, np.stack([points[chosen], normals[chosen], 0 * points[chosen]]))
    z, across = jet[0], jet[1] / np.linalg.norm(jet[1], axis=1, keepdims=True)
    finer = (sizes.max() / sizes[chosen, None]) ** (FINER * rng.random((count, 1)))
    W = rng.standard_normal(z.shape) * np.sqrt(finer) + rng.standard_normal((count, 1)) * (finer - 1) * across
    W *= scale / np.sqrt(z.shape[1])
    return Features(part, W.T, -np.sum(W * z, axis=1))


# --- the least-squares problem and the bounds -------------------------------------------------------------


class Weights(NamedTuple):
    """Of flux and value on the interface, in the bounds: see `constants`."""

    trace: float
    lift: float
    depth: float
    side: int  # the phase that carries the lift
    least: float  # eigenvalue of the conductivity


def constants(quadrature, a, phase):
    """Depths h in which the interface's normals do not meet, by pairs of its points; and what follows.

    a (n, d, d) on the points of the rule, phase (n,).
    """
    keep = np.random.default_rng(0).permutation(len(quadrature.surface))[:1200]
    p, n, dim = quadrature.surface[keep], quadrature.normals[keep], quadrature.surface.shape[1]
    offset = p[:, None] - p
    offset -= np.round(offset)
    square, facing = (offset**2).sum(-1), n @ n.T
    apart = square > 1e-8
    bend = np.sqrt((2 - 2 * facing)[apart & (facing > 0.5)] / square[apart & (facing > 0.5)]).max(initial=1e-9)
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
    for side, field in enumerate((cell.outside, cell.inside)):
        mine = np.broadcast_to(phase, len(points)) == side
        if mine.any():
            a[mine], b[mine] = tensor_and_divergence(field, points[mine])
    return a, b


class Sampled(NamedTuple):
    """The conductivity on a rule, and in which part its points lie."""

    rule: Rule
    a: np.ndarray  # (n, d, d)
    b: np.ndarray  # (n, d): its divergence
    part: np.ndarray  # (n,)
    sides: list  # of the interface, outside and inside: a (m, d, d)
    beside: np.ndarray  # (m, 2): the parts on both sides


def sampled(cell, boxes, number, order):
    q = rule(cell.level_set, boxes, order)
    a, b = conductivity(cell, q.points, q.phase)
    sides = [conductivity(cell, q.surface, side)[0] for side in (0, 1)]
    return Sampled(q, a, b, number[q.box, q.phase], sides, number[q.home])


def features_at(s, features):
    """Jets of a part's features at its points, (d + 2, n, N), and of the interface on both sides."""
    jets, dim = [], s.rule.points.shape[1]
    for k, f in enumerate(features):
        mine = s.part == k
        inside = feature_jet(f, operator_jet(s.rule.points[mine], s.a[mine], s.b[mine]))
        rim = np.flatnonzero(s.beside[:, f.part.phase] == k)
        unit = np.broadcast_to(np.eye(dim), (len(rim), dim, dim))
        yield k, f, np.flatnonzero(mine), inside, rim, feature_jet(f, operator_jet(s.rule.surface[rim], unit, np.zeros((len(rim), dim))))


def system(s, features, weights, h):
    """Rows: the equation, the flux, the value, its slopes; their squares add up to the square of what the bounds miss."""
    q, n, m, dim = s.rule, len(s.rule.points), len(s.rule.surface), s.rule.points.shape[1]
    A, start = np.zeros((n + (1 + dim) * m, sum(len(f.b) for f in features))), 0
    w, area, tangents = np.sqrt(q.weights) / (2 * np.pi), np.sqrt(q.area)[:, None], np.linalg.svd(q.normals[:, None])[2][:, 1:]
    value = np.sqrt(weights.least * weights.depth) * weights.lift
    for _, f, mine, inside, rim, edge in features_at(s, features):
        columns, sign = slice(start, start + len(f.b)), 2 * f.part.phase - 1
        start += len(f.b)
        A[mine, columns] = w[mine, None] * inside[-1]
        along = np.einsum("mi,mij->jm", q.normals[rim], s.sides[f.part.phase][rim])
        A[n + rim, columns] = weights.trace * area[rim] * sign * np.einsum("jm,jmN->mN", along, edge[1:-1])
        A[n + m + rim, columns] = value / np.sqrt(h) * area[rim] * sign * edge[0]
        for k in range(dim - 1):
            A[n + (2 + k) * m + rim, columns] = value * np.sqrt(4 / 3 * h) * area[rim] * sign * np.einsum("mj,jmN->mN", tangents[rim, k], edge[1:-1])
    jump = np.einsum("mi,mij->mj", q.normals, s.sides[1] - s.sides[0])
    return A, -np.concatenate([w[:, None] * s.b, weights.trace * area * jump, np.zeros((dim * m, dim))])


def ridge(A, rhs, size=1e-14):
    """Least squares of columns of unit length, by QR; a ridge keeps what no row sees small."""
    norm = np.linalg.norm(A, axis=0)
    norm[norm == 0] = 1
    N, J = A.shape[1], rhs.shape[1]
    full = np.zeros((len(A) + N, N + J), order="F")
    full[: len(A), :N], full[: len(A), N:] = A / norm, rhs
    full[len(A) + np.arange(N), np.arange(N)] = size * np.sqrt(N)
    R = qr(full, mode="r", overwrite_a=True, check_finite=False)[0]
    return solve_triangular(R[:N, :N], R[:N, N:]) / norm[:, None]


def solved_fields(s, features, solution):
    """Jets of the correctors: (J, d + 2, n) in the phases, (2, J, d + 2, m) on the interface from both sides."""
    J, dim = solution.shape[1], s.rule.points.shape[1]
    u, edge, start = np.zeros((J, dim + 2, len(s.rule.points))), np.zeros((2, J, dim + 2, len(s.rule.surface))), 0
    for _, f, mine, inside, rim, outer in features_at(s, features):
        c = solution[start : start + len(f.b)]
        start += len(f.b)
        u[:, :, mine] = np.moveaxis(inside @ c, -1, 0)
        edge[f.part.phase][:, :, rim] = np.moveaxis(outer @ c, -1, 0)
    return u, edge


def bounds(s, u, edge, weights):
    """lower, tensor, upper: see the head."""
    q, dim = s.rule, u.shape[0]
    S = np.linalg.cholesky(s.a)
    field = np.moveaxis(u[:, 1:-1], 1, -1) + np.moveaxis(S, 1, 0)  # S^T (e_j + grad u_j)
    energy = np.einsum("n,ink,jnk->ij", q.weights, field, field, optimize=True)
    r = u[:, -1] + s.b.T
    flux = [np.einsum("mi,mik,jmk->jm", q.normals, s.sides[side], np.moveaxis(edge[side][:, 1:-1], 1, -1)
            + np.eye(dim)[:, None], optimize=True) for side in (0, 1)]
    jump = edge[0] - edge[1]
    g, slope = jump[:, 0], jump[:, 1:-1]
    slope = slope - np.einsum("jkm,mk,ml->jlm", slope, q.normals, q.normals)
    C = np.einsum("m,im,jm->ij", q.area, g, flux[weights.side])
    value, along = np.sum(q.area * g**2), 4 / 3 * np.sum(q.area * slope**2)
    h = min(weights.depth, np.sqrt(value / max(along, 1e-300)))  # the best depth of the layer
    lift = weights.lift * np.sqrt(weights.depth * (value / h + along * h))
    mean = np.sqrt(1.5 ** (dim - 1) * h / 3 * value)
    size, skip = np.sqrt(np.sum(q.weights * r**2)), np.sqrt(np.sum(q.area * (flux[1] - flux[0]) ** 2))
    miss = (size / (2 * np.pi) + weights.trace * skip) / np.sqrt(weights.least) + lift
    middle = energy + C + C.T
    parts = np.array([size / (2 * np.pi), weights.trace * skip, np.sqrt(weights.least) * lift])
    eye = np.eye(dim)
    return middle - (2 * size * mean + miss**2) * eye, middle, middle + (2 * size * mean + lift**2) * eye, (parts, h)
