"""Quadrature of phases with sharp interfaces on the periodic unit cell, and the connected parts of the phases.

A cell is arranged by level sets: the zeros of one are an interface, and what is inside or outside of it may be arranged
by another one.  Three steps:

    partition   boxes, halved until the interface in each is the graph of a function along an axis, and no two
                interfaces come near each other in one
    rule        Gauss rules coordinate by coordinate, the graph's axis last, split wherever an edge of a box meets the
                interface (Saye, SIAM J. Sci. Comput. 37 (2015) A993)
    parts_of    connected parts: boxes that share a phase on a common face belong together

Whether the rule has seen the interface is checked by the divergence theorem (closure).  What a rule cannot resolve
raises Unresolved, and what no rule could a ValueError, with a sentence that says what to use instead.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from autograd import elementwise_grad
from scipy.optimize.elementwise import find_root
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.spatial import cKDTree

from fem import gauss
from nhpinn_functions import grid
from nhpinn_tools.bounds import Unresolved

INSTEAD = "recipe='fem' has bounds of an image"

# --- which phase is where ---------------------------------------------------------------------------


class Arrangement(NamedTuple):
    """Level sets on the unit cell, and what each of them tells apart.

    tree: the number of a phase, or (m, tree inside, tree outside), inside being where level_sets[m] is positive.
    """

    level_sets: tuple
    tree: tuple | int


def phase_at(arrangement, y, signs=None):
    """The number of the phase (n,) at points y (n, d).

    signs: {m: (n,) or a bool}, whether level set m is positive, where that is known better than from its value.
    """
    signs = signs or {}

    def below(tree):
        if not isinstance(tree, tuple):
            return np.full(len(y), tree)
        m, inside, outside = tree
        positive = signs[m] if m in signs else arrangement.level_sets[m](y) > 0
        return np.where(positive, below(inside), below(outside))

    return below(arrangement.tree)


def phases_of(tree):
    """The numbers of the phases in a tree, from the inside."""
    return [tree] if not isinstance(tree, tuple) else phases_of(tree[1]) + phases_of(tree[2])


def path_to(tree, m):
    """What leads to level set m in a tree, [(level set, whether it must be positive), ...]; None if it is not there."""
    if not isinstance(tree, tuple):
        return None
    if tree[0] == m:
        return []
    for branch, positive in ((tree[1], True), (tree[2], False)):
        path = path_to(branch, m)
        if path is not None:
            return [(tree[0], positive), *path]
    return None


def is_asked(arrangement, m, y):
    """Whether level set m matters at points y (n, d): (n,)"""
    asked = np.full(len(y), True)
    for other, positive in path_to(arrangement.tree, m):
        asked &= (arrangement.level_sets[other](y) > 0) == positive
    return asked


def gradient_of(level_set, points):
    """(n, d), zero where it does not exist, such as at the centre of a distance."""
    with np.errstate(all="ignore"):
        return np.nan_to_num(elementwise_grad(level_set)(points), posinf=0, neginf=0)


# --- boxes ------------------------------------------------------------------------------------------


class Boxes(NamedTuple):
    """Boxes of the unit cell.  Level sets that cut one are monotone along the last of its axes."""

    low: np.ndarray  # (B, d)
    size: np.ndarray  # (B,)
    axes: np.ndarray  # (B, d): in the order of integration
    cut: np.ndarray  # (B, M): whether level set m may have zeros in it


MOST_BOXES = 60_000
MONOTONE, MONOTONE_ON_FACE = 0.25, 0.1  # least slope along an axis in a box, relative to the steepest gradient there
SAMPLES = {1: 9, 2: 5, 3: 4}  # points an axis of a box


def partition(arrangement, dim, count, depth):
    """Boxes, count an axis, halved up to `depth` times until `seen` is content with each; and the volume of those, of
    the smallest, that have an interface without a normal in them, such as a corner, and count as not cut.

    Raises Unresolved where that takes too many boxes, ValueError where two interfaces meet.
    """
    low, size = grid([(0.0, 1 - 1 / count)] * dim, count), 1 / count
    done, lost = [], 0.0
    for level in range(depth + 1):
        cut, good, monotone, mixed, meet = seen(arrangement, low, size, second_axis=dim == 3 and level < 3)
        if level == depth:
            if np.any(meet & mixed):
                raise ValueError(
                    f"level_set: two interfaces meet, or are closer than {2 * size:.1g} of the cell, expected them "
                    f"apart; {INSTEAD}"
                )
            lost = size**dim * np.sum(~good & mixed)
            cut &= good[:, None]
            good[:] = True
        done.append((low[good], np.full(good.sum(), size), np.argsort(monotone[good], axis=1), cut[good]))
        size /= 2
        low = (low[~good][:, None] + size * grid([(0.0, 1.0)] * dim, 2)).reshape(-1, dim)
        if len(low) > MOST_BOXES:
            raise Unresolved(
                "its interface, or what is between two sheets of it, is too fine for boxes; in solve, y is x / eps"
            )
        if not len(low):
            break
    return Boxes(*[np.concatenate(each) for each in zip(*done, strict=True)]), lost


def seen(arrangement, low, size, second_axis):
    """What samples show of the boxes with these lower corners (B, d) and this size.

    second_axis: whether an interface on the face across which it is a graph must be a graph on that face as well.
    -> which interfaces may pass (B, M), whether the box needs no halves (B,), the least of `least_slopes` of the level
    sets that cut (B, d), whether samples are in several phases (B,), whether one is near two interfaces (B,).
    """
    count, dim = low.shape
    samples = grid([(0.0, 1.0)] * dim, SAMPLES[dim])
    reach = size * np.sqrt(dim) / 2 / (SAMPLES[dim] - 1)  # from any point of a box to the next sample
    y = (low[:, None] + size * samples).reshape(-1, dim)
    near, positive, monotone, on_faces = [], [], np.ones((count, dim)), np.full(count, True)
    for m, level_set in enumerate(arrangement.level_sets):
        value, slope = level_set(y).reshape(count, -1), gradient_of(level_set, y).reshape(count, -1, dim)
        steepest = np.linalg.norm(slope, axis=2).max(axis=1)
        close = np.abs(value) <= 1.5 * steepest[:, None] * reach
        for other, wanted in path_to(arrangement.tree, m):  # elsewhere its zeros are no interface
            close &= (positive[other] == wanted) | near[other]
        cut, least = close.any(axis=1), least_slopes(slope, close, steepest)
        monotone[cut] = np.minimum(monotone, least)[cut]
        if second_axis:
            on_faces &= ~cut | graph_on_faces(samples, value > 0, least)
        near.append(close)
        positive.append(value > 0)
    near = np.stack(near, axis=-1)  # (B, samples, M)
    cut, meet = near.any(axis=1), (near.sum(axis=2) > 1).any(axis=1)
    phase = phase_at(arrangement, y, {m: sign.ravel() for m, sign in enumerate(positive)}).reshape(count, -1)
    good = ~cut.any(axis=1) | ((monotone.max(axis=1) > MONOTONE) & on_faces & ~meet)
    return cut, good, monotone, np.ptp(phase, axis=1) > 0, meet


def least_slopes(slope, near, steepest):
    """The least slope along every axis, upwards or downwards, of the samples near an interface, relative to the
    steepest gradient of the box; 0 where none is near: (B, d).  slope (B, samples, d), near (B, samples)"""
    upwards = np.where(near[..., None], slope, np.inf).min(axis=1)
    downwards = np.where(near[..., None], -slope, np.inf).min(axis=1)
    least = np.maximum(upwards, downwards) / np.maximum(steepest, 1e-300)[:, None]
    return np.where(near.any(axis=1)[:, None], least, 0.0)


def graph_on_faces(samples, inside, monotone):
    """Whether an interface that cuts the faces low and high along the axis of its graph has a second axis: (B,)"""
    best, second = np.argmax(monotone, axis=1), np.sort(monotone, axis=1)[:, -2]
    good = np.full(len(inside), True)
    for axis, side in product(range(samples.shape[1]), (0, 1)):
        face = inside[:, samples[:, axis] == side]
        good &= (best != axis) | (face.any(axis=1) == face.all(axis=1)) | (second > MONOTONE_ON_FACE)
    return good


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


# --- the rule ---------------------------------------------------------------------------------------


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
    """A quadrature of all phases and of their interfaces."""

    points: np.ndarray  # (n, d)
    weights: np.ndarray  # (n,)
    box: np.ndarray  # (n,): in which box a point lies
    phase: np.ndarray  # (n,)
    surface: np.ndarray  # (m, d)
    area: np.ndarray  # (m,)
    home: np.ndarray  # (m,): in which box
    level: np.ndarray  # (m,): of which level set they are zeros
    normals: np.ndarray  # (m, d), from inside to outside of that
    beside: np.ndarray  # (m, 2): the phases outside and inside of it


def rule(arrangement, boxes, order):
    """Gauss rules coordinate by coordinate, in the order of every box, on the pieces between zeros: a Rule.

    Pieces along a coordinate end where an edge of the box in the later coordinates meets an interface, since what is
    integrated along those changes its form there; in the last coordinate they end at the interface itself.
    """
    t, g = gauss(np.array([0.0, 1.0]), order)
    count, dim = boxes.low.shape
    box, y, w = np.arange(count), boxes.low.copy(), np.ones(count)  # of the points, in the coordinates so far
    for i in range(dim):
        zeros = zeros_along(arrangement, boxes, box, y, i)
        if i == dim - 1:
            surface = surface_rule(arrangement, boxes, box, y, w, zeros)
        axis, size = boxes.axes[box, i], boxes.size[box]
        low = boxes.low[box, axis]
        ends = np.sort([low, low + size, *(zero for _, zero in zeros)], axis=0)
        piece, row = np.nonzero(np.diff(ends, axis=0) > 1e-10 * size)
        start, length = ends[piece, row], ends[piece + 1, row] - ends[piece, row]
        y, w, box = np.repeat(y[row], order, axis=0), np.outer(w[row] * length, g).ravel(), np.repeat(box[row], order)
        y[np.arange(len(y)), np.repeat(axis[row], order)] = (start[:, None] + np.outer(length, t)).ravel()
    return Rule(y, w, box, phase_at(arrangement, y), *surface)


def zeros_along(arrangement, boxes, box, y, i):
    """Where lines along the i-th coordinate of boxes meet interfaces, from every corner of the box in the later ones.

    box (n,), y (n, d): the boxes, and the points in the earlier coordinates.  [(level set, zeros (n,)), ...]; a zero
    at the end of the box stands for none.
    """
    axis, later = boxes.axes[box, i], boxes.axes[box, i + 1 :]
    low = boxes.low[box, axis]
    high = low + boxes.size[box]
    found = []
    for m, level_set in enumerate(arrangement.level_sets):
        cut = np.flatnonzero(boxes.cut[box, m])
        for corner in product((0, 1), repeat=later.shape[1]):
            start = y[cut]
            for k, upper in enumerate(corner):
                start[np.arange(len(cut)), later[cut, k]] += upper * boxes.size[box[cut]]
            for zero in roots(level_set, start, axis[cut], low[cut], high[cut]).T:
                found.append((m, high.copy()))
                found[-1][1][cut] = zero
    return found


def surface_rule(arrangement, boxes, box, y, w, zeros):
    """The last six fields of a Rule: from the zeros along the last coordinate, with the factor of a graph's area."""
    axis = boxes.axes[box, -1]
    high, rows = boxes.low[box, axis] + boxes.size[box], []
    for m, zero in zeros:
        hit = np.flatnonzero(zero < high)
        points = y[hit]
        points[np.arange(len(hit)), axis[hit]] = zero[hit]
        asked = is_asked(arrangement, m, points)
        hit, points = hit[asked], points[asked]
        slope = gradient_of(arrangement.level_sets[m], points)
        steep = np.linalg.norm(slope, axis=1)
        area = w[hit] * steep / np.maximum(np.abs(slope[np.arange(len(hit)), axis[hit]]), 1e-300)
        normals = -slope / np.maximum(steep, 1e-300)[:, None]
        beside = [phase_at(arrangement, points, {m: inside}) for inside in (False, True)]
        rows.append((points, area, box[hit], np.full(len(hit), m), normals, np.stack(beside, axis=1)))
    return [np.concatenate(each) for each in zip(*rows, strict=True)]


# --- connected parts of the phases ------------------------------------------------------------------


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


def parts_of(arrangement, boxes, q):
    """The connected parts, and the part of each phase in each box: a list of Part, (B, phases).

    Nodes of a graph are the phases in the boxes, node = box * phases + phase.  A point just outside of a face joins the
    node of its phase in the box of the face to the node of that phase in the box where it lies.
    """
    count, phases = len(boxes.low), len(phases_of(arrangement.tree))
    tail, head, cell = joined(arrangement, boxes, phases)
    nodes = count * phases
    graph = coo_matrix((np.ones(len(tail)), (tail, head)), shape=(nodes, nodes)).tocsr()
    graph = graph + graph.T
    _, label = connected_components(graph, directed=False)
    shift = unfolded(graph, label, tail, head, cell)
    around = q.home[:, None] * phases + q.beside  # nodes outside and inside of the interface's points
    parts, number = [], np.full(nodes, -1)
    for name in np.intersect1d(label[tail], label[around]):
        edges, own = label[tail] == name, label[around] == name
        rim = np.concatenate([q.surface[mine] + shift[node[mine]] for node, mine in zip(around.T, own.T, strict=True)])
        loops = np.unique((shift[tail] + cell - shift[head])[edges], axis=0)
        mine = label == name
        number[mine] = len(parts)
        parts.append(own_coordinates(int(np.flatnonzero(mine)[0] % phases), loops, rim))
    number, centres = number.reshape(count, phases), boxes.low + boxes.size[:, None] / 2
    for phase in np.unique(np.append(q.phase, q.beside)):  # what is too small for the samples is of the part beside it
        known = number[:, phase] >= 0
        if not np.any(known):
            raise Unresolved(
                "a phase is too small, or too thin, for boxes to see that it is connected; in solve, y is x / eps"
            )
        tree = cKDTree(centres[known], boxsize=1)
        number[~known, phase] = number[known, phase][tree.query(centres[~known])[1]]
    return parts, number


def joined(arrangement, boxes, phases):
    """Pairs of nodes, tail (e,) and head (e,), joined by points on faces, and the cell (e, d) to which tail leads."""
    dim = boxes.low.shape[1]
    face = grid([(0.02, 0.98)] * (dim - 1), 6 if dim == 2 else 4)
    samples = np.concatenate([np.insert(face, k, side, axis=1) for k in range(dim) for side in (-1e-6, 1 + 1e-6)])
    y = (boxes.low[:, None] + boxes.size[:, None, None] * samples).reshape(-1, dim)
    phase, box = phase_at(arrangement, y), np.repeat(np.arange(len(boxes.low)), len(samples))
    tail, head, cell = box * phases + phase, locate(boxes, y) * phases + phase, np.floor(y).astype(int)
    key = (tail * len(boxes.low) * phases + head) * 3**dim + (cell + 1) @ 3 ** np.arange(dim)
    first = np.unique(key, return_index=True)[1]
    return tail[first], head[first], cell[first]


def unfolded(graph, label, tail, head, cell):
    """Vectors (nodes, d) that move the nodes of a connected part to one piece, along a tree of its edges."""
    wrap = {}
    for i, j, v in zip(tail.tolist(), head.tolist(), cell, strict=True):
        wrap[i, j], wrap[j, i] = v, -v
    shift, linked = np.zeros((len(label), cell.shape[1])), np.diff(graph.indptr) > 0
    for first in np.unique(np.where(linked, label, -1), return_index=True)[1]:
        if linked[first]:
            order, before = breadth_first_order(graph, first, directed=False)
            for node in order[1:]:
                shift[node] = shift[before[node]] + wrap[before[node], node]
    return shift


# --- whether the rule has seen the interface ----------------------------------------------------------


def closure(q, part, beside):
    """How far the measured interface is from closed, relative, in the worst of the parts.

    part (n,), beside (m, 2): the parts of the points, and those outside and inside of the interface's.  For periodic
    functions f, integral of grad f over a part = integral of f n over its interface, n its outward normal: f = 1 says
    that n integrates to 0, and sin and cos of 2 pi y_i see, as y . n does, whether the volume belongs to the interface.
    """
    y, z = 2 * np.pi * q.points, 2 * np.pi * q.surface
    worst = 0.0
    for k in np.unique(np.append(part, beside)):
        w = q.weights * (part == k)
        outward = (q.area * (1.0 * (beside[:, 1] == k) - (beside[:, 0] == k)))[:, None] * q.normals
        misses = [outward.sum(axis=0)]
        for i, e in enumerate(2 * np.pi * np.eye(y.shape[1])):
            misses.append(w @ np.cos(y[:, i]) * e - np.sin(z[:, i]) @ outward)
            misses.append(w @ np.sin(y[:, i]) * e + np.cos(z[:, i]) @ outward)
        size = np.abs(outward).sum() + 2 * np.pi * w.sum()
        worst = max(worst, np.abs(misses).max() / size)
    return worst
