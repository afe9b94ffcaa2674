"""Quadrature of functions of x and x / eps over a box: rules, points and weights an axis, and what they rest on.

Along every axis the box is cut into pieces, with Gauss points in each:

    at both ends     a period, or half the box, between the knots of the layers
    between          whole periods, each cut at `breaks`, the places that follow the coefficient in y; and the rest of a
                     period that is left
    panels           intervals in which f, the derivatives of u0 and a(., y) are resolved by polynomials in x.  The
                     integral over the i-th period is a smooth function of i in a panel, so that of many periods a few
                     with weights stand for all: a rule for sums, as that of Gauss is one for integrals.  The number of
                     points does not depend on eps

Panels, and breaks, are halved where the Legendre series of degree count - 1 of one of the functions has a tail, or
where the interpolant misses the function at other points.
"""

from functools import cache, partial, reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import linalg

from fem import gauss, leggauss
from nhpinn_tools.two_scale import Table, sparse_rows

KNOTS = np.array([0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1])  # of the layers at both ends, in periods
NARROWEST_PANEL = 1e-9  # panel, of the interval
SLIVER = {1: 1e-9, 2: 1e-6}  # of a period: elements are not narrower, in the plane because of their eigenfunctions


# --- panels that resolve functions ------------------------------------------------------------------------


class Panels(NamedTuple):
    """How intervals are halved until functions are resolved."""

    start: int  # panels an axis
    most: int  # panels an axis
    count: int  # Gauss points a panel
    tolerance: float  # of what a panel misses, in mean square over the box
    checks: int  # random points at which the interpolant is looked at


def panel_edges(functions, box, panels):
    """The ends of panels that resolve functions of size one: one array an axis, and whether they do.

    functions: axes, grid, as in two_scale.py -> (C, n).
    """
    d, (start, most, count, tolerance, checks) = len(box), panels
    edges = [np.linspace(*ends, start + 1) for ends in box]
    x = random_points(box, checks)
    exact = functions(x.T, False)
    while True:
        values = functions([gauss(e, count)[0] for e in edges], True)
        steep = [tails(values, edges, axis, count) > tolerance for axis in range(d)]
        if not any(part.any() for part in steep):
            misses = (at_points(values, edges, count, x) - exact) ** 2
            places = [panel_of(e, z) for e, z in zip(edges, x.T, strict=True)]
            steep = [
                np.max([np.bincount(k, miss, len(e) - 1) for miss in misses], axis=0) > checks * (3 * tolerance) ** 2
                for k, e in zip(places, edges, strict=True)
            ]
            steep = [part | (jumps(values, edges, axis, count) > tolerance) for axis, part in enumerate(steep)]
        finer = [halved(e, part, most) for e, part in zip(edges, steep, strict=True)]
        if all(len(e) == len(f) for e, f in zip(edges, finer, strict=True)):
            return edges, not any(part.any() for part in steep)
        edges = finer


def random_points(box, count):
    """Points of a box, the same ones at every call: (count, d)."""
    return np.random.default_rng(3).uniform(*np.transpose(box), (count, len(box)))


def tails(values, edges, axis, count):
    """The mean squares' roots of the last two Legendre coefficients in each panel of an axis, the largest of those of
    functions (C, n) on the grid of the Gauss points: (K,)."""
    series, weights = in_panels(to_legendre(count)[-2:], values, edges, axis, count)
    squares = (series**2 @ weights).sum(0).max(axis=1)
    return np.sqrt(squares * np.diff(edges[axis]) / np.ptp(edges[axis]))


def jumps(values, edges, axis, count):
    """Likewise, what a step leaves unseen that lies between the end of a panel and the Gauss point next to it, where
    the polynomials of neighbours differ at the end that they share: (K,)."""
    (low, high), weights = in_panels(ends_of_panel(count), values, edges, axis, count)
    steps = np.pad(((low[1:] - high[:-1]) ** 2 @ weights).max(axis=1), 1)
    share = (1 + leggauss(count)[0][0]) / 2 * np.diff(edges[axis]) / np.ptp(edges[axis])
    return np.sqrt(np.maximum(steps[:-1], steps[1:]) * share)


def in_panels(functionals, values, edges, axis, count):
    """Functionals (m, count) of the values in each panel of an axis: (m, K, C, n), n points on the other axes, and the
    weights of these: (n,)."""
    shape = [n for e in edges for n in (len(e) - 1, count)]
    parts = np.moveaxis(values.reshape(-1, *shape), [1 + 2 * axis, 2 + 2 * axis], [0, 1])
    found = np.tensordot(functionals, parts, (1, 1)).reshape(len(functionals), shape[2 * axis], len(values), -1)
    weights = [gauss(e, count)[1] / (e[-1] - e[0]) for i, e in enumerate(edges) if i != axis]
    return found, reduce(np.kron, weights, np.ones(1))


@cache
def ends_of_panel(count):
    """From values at Gauss points to those of their polynomial at both ends: (2, count)."""
    return legendre.legvander(np.array([-1.0, 1.0]), count - 1) @ to_legendre(count)


def halved(edges, steep, most):
    """The panels with the steep ones cut in the middle, if there is room for all of them."""
    steep = steep & (np.diff(edges) > NARROWEST_PANEL * (edges[-1] - edges[0]))
    if len(edges) - 1 + steep.sum() > most:
        return edges
    return np.sort(np.append(edges, (edges[:-1] + edges[1:])[steep] / 2))


def panel_table(values, edges, count):
    """The Table of values (C, n) on the grid of the Gauss points of panels."""
    lines = [partial(panel_line, e, count) for e in edges]
    return Table(lines, np.moveaxis(values.reshape(-1, *[(len(e) - 1) * count for e in edges]), 0, -1))


def at_points(values, edges, count, x):
    """The interpolant of values (C, n) on the grid of the Gauss points of panels, at points x (n, d): (C, n)."""
    index, weights = np.zeros((len(x), 1), dtype=int), np.ones((len(x), 1))
    for e, z in zip(edges, x.T, strict=True):
        line = panel_line(e, count, z)
        columns, along = line.indices.reshape(-1, 1, count), line.data.reshape(-1, 1, count)
        index = (index[:, :, None] * line.shape[1] + columns).reshape(len(x), -1)
        weights = (weights[:, :, None] * along).reshape(len(x), -1)
    return (sparse_rows(index, weights, values.shape[1]) @ values.T).T


@cache
def to_legendre(count):
    """From values at Gauss points to Legendre coefficients: (count, count)."""
    return np.linalg.inv(legendre.legvander(leggauss(count)[0], count - 1))


def panel_of(edges, x):
    """Which panels points x (n,) lie in, those beyond the ends in the first and the last: (n,)."""
    return np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)


def panel_line(edges, count, x, order=0):
    """The line of a Table, order 0 alone: polynomials of every panel that are 1 at one of its Gauss points, sparse."""
    k = panel_of(edges, x)
    t = 2 * (x - edges[k]) / np.diff(edges)[k] - 1
    inside = legendre.legvander(t, count - 1) @ to_legendre(count)
    return sparse_rows(k[:, None] * count + np.arange(count), inside, (len(edges) - 1) * count)


def integral_table(table, edges, axis, from_high):
    """The Table of the integrals along an axis, from its low or its high end on, of one of panels."""
    count = table.values.shape[axis] // (len(edges) - 1)
    values = np.moveaxis(table.values, axis, 0)
    values = values.reshape(len(edges) - 1, count, -1)
    found, whole = running_integrals(values, edges, count + 1)
    found -= from_high * whole
    shape = [n for i, n in enumerate(table.values.shape) if i != axis]
    lines = [partial(panel_line, edges, count + 1) if i == axis else line for i, line in enumerate(table.lines)]
    return Table(lines, np.moveaxis(found.reshape(-1, *shape), 0, axis))


def running_integrals(values, edges, points):
    """The integrals, from the low end on, of what has values (K, count, n) at the Gauss points of K panels: at as many
    Gauss points of each panel as `points`, (K, points, n), and over all of them, (n,)."""
    count = values.shape[1]
    inside = legendre.legvander(leggauss(points)[0], count) @ legendre.legint(to_legendre(count), lbnd=-1)
    panels = np.einsum("kc,kcn->kn", gauss(edges, count)[1].reshape(-1, count), values)
    ends = np.cumsum(panels, axis=0)
    return np.diff(edges)[:, None, None] / 2 * (inside @ values) + (ends - panels)[:, None], ends[-1]


# --- rules ------------------------------------------------------------------------------------------------


class Counts(NamedTuple):
    """How fine a rule is."""

    points: int  # Gauss points a piece
    periods: int  # that stand for those of a panel, at most


class Axis(NamedTuple):
    """How the rule of one axis is made."""

    ends: np.ndarray  # (2,)
    length: float  # eps * period
    edges: np.ndarray  # of panels
    breaks: np.ndarray  # of a period, from 0 to 1
    rules: tuple  # of Counts: of the check, of the bounds
    jumps: bool = False  # whether the coefficient jumps at the breaks
    corners: np.ndarray | tuple = ()  # those of the breaks at which parts of the coefficient may have corners

    @property
    def in_phase(self):
        """Whether the pieces of a period begin where y does: equal ones serve at any phase, where nothing jumps."""
        return self.jumps or np.ptp(np.diff(self.breaks)) > NARROWEST_PANEL

    @property
    def layer(self):
        """The width of the layers at both ends."""
        return layer_width(self.ends, self.length)


def layer_width(ends, length):
    """The width of a layer at either end of an axis: a period, or half the box."""
    return min(length, (ends[1] - ends[0]) / 2)


def rule(axis, count, few):
    """Points and weights of an axis: count Gauss points a piece; few: how many periods of a panel stand for all."""
    (low, high), layer = axis.ends, axis.layer
    inner = low + layer
    periods = max(0, int(np.floor((high - layer - inner) / axis.length + 1e-9)))
    index, weights = chosen_periods(axis, inner, periods, few)
    starts, left = inner + index * axis.length, inner + periods * axis.length
    pieces = [(layer_pieces(axis, low, 1), 1.0), (layer_pieces(axis, high, -1), 1.0)]
    pieces += [(period_pieces(axis, z), w) for z, w in zip(starts, weights, strict=True)]
    if high - layer - left > 1e-9 * axis.length:
        rest = period_pieces(axis, left)
        pieces.append((np.append(rest[rest < high - layer - 1e-9 * axis.length], high - layer), 1.0))
    parts = [(*gauss(cut_at(ends, axis.edges), count), weight) for ends, weight in pieces]
    return np.concatenate([x for x, _, _ in parts]), np.concatenate([weight * w for _, w, weight in parts])


def cut_at(ends, edges):
    """Pieces, cut further where panels are narrower."""
    inner = ends_of_narrow(edges, np.diff(ends).min())
    ends = np.concatenate([ends, inner[(inner > ends[0]) & (inner < ends[-1])]])
    ends.sort()
    return ends[np.append(True, np.diff(ends) > NARROWEST_PANEL * (ends[-1] - ends[0]))]


def ends_of_narrow(edges, width):
    """The ends of the panels that are narrower than this, each once."""
    narrow = np.diff(edges) < width
    return np.unique(np.concatenate([edges[:-1][narrow], edges[1:][narrow]]))


def period_pieces(axis, start):
    """The ends of the pieces of a period that begins at any x = start: its breaks are those of y, from 0 on."""
    breaks = axis.breaks
    if axis.in_phase:
        breaks = np.unique(np.concatenate([[0.0, 1.0], (breaks - start / axis.length) % 1]))
        breaks = breaks[np.append(True, np.diff(breaks) > NARROWEST_PANEL)]
    return start + axis.length * breaks


def piece_around(axis, x):
    """Both ends of the piece of the rule around every point x (n,), but for the knots of layers, which only cut it."""
    start = 0.0 if axis.in_phase else axis.ends[0]
    ends = panel_around(axis.breaks, (x - start) / axis.length % 1) - (x - start) / axis.length % 1
    panel = panel_around(axis.edges, x)
    panel[:, np.diff(panel, axis=0)[0] >= axis.length * np.diff(axis.breaks).min()] = axis.ends[:, None]
    low, high = x + axis.length * ends
    return np.maximum(low, panel[0]), np.minimum(high, panel[1])


def panel_around(edges, x):
    """Both ends of the panel around every point x (n,): (2, n)."""
    k = panel_of(edges, x)
    return np.stack([edges[k], edges[k + 1]])


def missed_along(functions, ends, count, axis, x):
    """How far functions of points (n, d) -> (C, n) are at x (n, d) from their polynomials through count Gauss points
    along an axis, between ends (low, high) around each x: (C, n)."""
    points = np.repeat(x[:, None], count, axis=1)
    points[:, :, axis], weights = interpolation_around(ends, count, x[:, axis])
    values = functions(points.reshape(-1, x.shape[1])).reshape(-1, len(x), count)
    return np.abs(np.einsum("cnk,nk->cn", values, weights) - functions(x))


def interpolation_around(ends, count, z):
    """The Gauss points between ends (low, high) around each z (n,), and the weights of their values in that of their
    polynomial at z: (n, count) each."""
    low, high = ends
    weights = legendre.legvander(2 * (z - low) / (high - low) - 1, count - 1) @ to_legendre(count)
    return low[:, None] + (high - low)[:, None] * (leggauss(count)[0] + 1) / 2, weights


def layer_pieces(axis, at, sign):
    """The ends of the pieces at one end of the box: knots of the layers, and breaks of the periods from there on."""
    breaks = period_pieces(axis, at if sign > 0 else at - axis.length)
    near = np.append(KNOTS * axis.layer, np.abs(breaks - at))
    near = np.sort(near[near <= axis.layer])
    return np.sort(at + sign * near[np.append(True, np.diff(near) > 1e-9 * axis.length)])


def element_ends(axis, sliver):
    """The ends of elements of an axis: of the pieces of all periods and of layers, and of panels narrower than they.
    sliver: of a period, they are not narrower."""
    (low, high), layer, breaks = axis.ends, axis.layer, axis.breaks
    start = 0.0 if axis.in_phase else low
    periods = np.arange(np.floor((low - start) / axis.length), np.ceil((high - start) / axis.length))
    inner = (start + axis.length * (periods[:, None] + breaks[:-1])).ravel()
    inner = inner[(inner > low + layer) & (inner < high - layer)]
    panels = ends_of_narrow(axis.edges, axis.length * np.diff(breaks).min())
    found = inner, panels, layer_pieces(axis, low, 1), layer_pieces(axis, high, -1)
    ends = np.unique(np.concatenate(found))
    ends = ends[(ends > low + sliver * axis.length) & (ends < high - sliver * axis.length)]
    ends = np.concatenate([[low], ends, [high]])
    return ends[np.append(True, np.diff(ends) > sliver * axis.length)]


def corner_ends(axis):
    """Those of elements at which there may be corners: of the box, and of parts of the coefficient."""
    (low, high), n = axis.ends, axis.length
    places = n * (np.arange(np.floor(low / n), np.ceil(high / n))[:, None] + np.array(axis.corners)[:-1]).ravel()
    inside = (places > low + SLIVER[2] * n) & (places < high - SLIVER[2] * n)
    return np.concatenate([[low], places[inside], [high]])


def chosen_periods(axis, inner, count, few):
    """Which of the periods, and their weights: all, or a few in each panel.  (m,), (m,)"""
    ends = np.unique(np.clip(np.round((axis.edges - inner) / axis.length), 0, count)).astype(int)
    ends = np.unique(np.concatenate([[0], ends, [count]]))
    parts = [sum_rule(last - first, few) for first, last in pairwise(ends)]
    index = [first + part[0] for first, part in zip(ends[:-1], parts, strict=True)]
    return np.concatenate([np.zeros(0), *index]), np.concatenate([np.zeros(0), *(part[1] for part in parts)])


def sum_rule(count, few):
    """Indices (n,), weights (n,): sum_i w_i G(i) is the sum of G over 0, ..., count - 1 for polynomials G of degree
    below n, and nearly below 2 n: the indices are next to the points of Gauss for sums, the zeros of Gram's polynomial.

    few: even ones up to 16 have positive weights.
    """
    if count <= few:
        return np.arange(count), np.ones(count)
    k = np.arange(1, few)
    beside = k / 2 * np.sqrt((count**2 - k**2) / (4 * k**2 - 1))  # the diagonal of the matrix of its recurrence
    places, modes = linalg.eigh_tridiagonal(np.zeros(few), beside)  # from the middle on
    index = np.round(places + (count - 1) / 2).astype(int)
    sums = count * modes[0] ** 2 @ legendre.legvander(2 * places / count, few - 1)
    return index, np.linalg.solve(legendre.legvander((2 * index + 1) / count - 1, few - 1).T, sums)
