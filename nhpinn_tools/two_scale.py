"""Functions of x and of y = x / eps, as tables: what the fields of a certificate are made of.

    v = u0 + eps chi_m D_m + ...,      s_i = a*_ij d_j u0 + d_k( eps phi_kim D_m ) + ...       repeated indices summed

    D_m      d_j u0, and, in two dimensions and for a coefficient of y alone, its second derivatives d_k d_j u0, k <= j
    chi_m    the correctors chi_j(x, y), and those of second order, eps chi_kj, with

                 div_y( a grad chi_kj ) = div_y F_kj,     F_kj,i = phi_kij - a_ik chi_j :

             eps F_kj d_k d_j u0 is what chi_j and phi_kij leave of s - a grad v where u0 is smooth
    phi_kim  is skew, phi_kim = -phi_ikm: the second part of s has no divergence, whatever phi and D are.  In y, d_k
             phi_kij is the flux a_ik (delta_kj + d_k chi_j), that of second order a grad chi_kj - F_kj, less its mean
             and its gradient part: with lap n_i = flux_i, phi_ki = d_k n_i - d_i n_k, by Fourier series

For slow coefficients the micro functions are made at every node x_q of the correctors; chi(x, y) = weights_q(x)
chi_q(y), and so is phi.  u0 is a quintic spline, and what no spline follows in corners, `rough`, is added.  The
boundary values g of u0 are those of the spline at its nodes.

Tables are tensor products.  Points are given by axes: one array of coordinates an axis, of a tensor grid (grid=True) or
of the points themselves.  Arrays have the points last.
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations, combinations_with_replacement
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.interpolate import make_interp_spline

from fem import tensor_grid
from nhpinn_functions import at_node, checked_values, faces_of, midpoints, on_face, pair_of, tensor_of
from nhpinn_networks import derivatives
from nhpinn_tools import spectrum
from nhpinn_tools.bounds import CELLS

# Nodes an axis of u0's spline: at first, at most, and the error that is small enough
NODES = {1: (129, 513, 1e-7), 2: (49, 97, 1e-5), 3: (25, 49, 1e-5)}
DEGREE = 5  # of that spline
FEW = 100  # functions an axis: matrices of no more are faster dense, on grids
CG_STEPS, CG_CLOSE = 60, 1e-8  # of the correctors of second order: iterations at most, and the square of their error


class TwoScale(NamedTuple):
    """All that v and s are made of."""

    coefficient: Callable  # a(x, y)
    source: Callable  # f(x)
    faces: tuple  # of nhpinn_functions.Face
    directions: tuple  # of each face: those j in which d_j u0 does not vanish on it
    box: np.ndarray  # (dim, 2)
    lengths: np.ndarray  # (dim,): eps * period
    eps: float
    tensor: "Table"  # a*_ij (x)
    macro: "Table"  # u0 less what is rough, and, in two dimensions, all of u0
    micro: "Table"  # chi_m, then phi_kim for pairs k < i, of (x, x / eps)
    rough: Callable | None = None  # points -> value, gradient, second derivatives: what u0's spline leaves out
    waves: int | None = None  # a period, of the layers; None: as many as smooth coefficients want
    layers: tuple = ()  # see layers.py
    elements: "Table | None" = None  # w and, in the plane, psi, which are added to v and s, see refinement.py

    @property
    def factors(self):
        """M, the number of factors D_m and of correctors chi_m."""
        d = len(self.box)
        return self.micro.values.shape[-1] // (1 + d * (d - 1) // 2)


class Pieces(NamedTuple):
    """What is known of a coefficient that is constant in y in the boxes of a period, and of its micro functions, which
    are polynomials in them."""

    micro: "Table"
    breaks: tuple  # one array an axis: the ends of the boxes, from 0 to 1
    corners: tuple  # those of them between pixels; none an axis for a TwoPhase, whose interfaces are anywhere
    coarse: tuple  # fewer than breaks, for the least squares of layers
    order: int  # of the polynomials along each axis
    waves: int  # a period, that its layers want
    places: np.ndarray  # (P, d): y that show how the coefficient varies with x


def scales_of(problem, correctors, coefficients, u0, pieces=None):
    """The TwoScale of a problem, without layers."""
    box, eps, faces = np.array(problem.domain, dtype=float), problem.eps, faces_of(problem.boundary, problem.domain)
    period = np.broadcast_to(correctors.period, len(box)).astype(float)
    return TwoScale(
        problem.coefficient, problem.source, faces, tuple(varying_directions(face, box) for face in faces), box,
        eps * period, eps, tensor_table(coefficients), macro_table(faces, box, u0),
        pieces.micro if pieces else micro_table(problem.coefficient, correctors, period, eps), rough_part(u0),
        pieces and pieces.waves,
    )  # fmt: skip


# --- tensor-product tables --------------------------------------------------------------------------------


class Table(NamedTuple):
    """An interpolant of C functions: sum of values times functions of one coordinate each."""

    lines: list  # one an axis: coordinates (n,), order -> those derivatives of N functions (n, N), may be sparse
    values: np.ndarray  # (N, ..., C)

    def at(self, axes, grid, *wanted):
        """Derivatives, one for each tuple of directions in `wanted`, () for the values: a list of (C, n)."""
        rows, parts = [{} for _ in axes], {(): self.values}

        def row(i, order):
            if order not in rows[i]:
                found = self.lines[i](axes[i], order)
                few = grid and sparse.issparse(found) and found.shape[1] <= FEW
                rows[i][order] = found.toarray() if few else found
            return rows[i][order]

        def derivative(orders):
            """Of these orders along the first axes, not yet interpolated along the others."""
            if orders not in parts:
                before, along = derivative(orders[:-1]), row(len(orders) - 1, orders[-1])
                if grid or len(orders) == 1:
                    product = before.reshape(len(before), -1).T @ along.T
                    parts[orders] = product.reshape(*before.shape[1:], -1)
                elif sparse.issparse(along) and len(set(np.diff(along.indptr))) == 1:
                    parts[orders] = summed_locally(before, along)
                else:
                    along = along.toarray() if sparse.issparse(along) else along
                    parts[orders] = np.einsum("a...n,na->...n", before, along)
            return parts[orders]

        found = [derivative(tuple(directions.count(i) for i in range(len(axes)))) for directions in wanted]
        return [part.reshape(self.values.shape[-1], -1) for part in found]

    def tabulated(self, axes):
        """The same functions, whose lines are evaluated once for all points of these axes, when some are asked for."""
        return self._replace(lines=[tabulated_line(line, x) for line, x in zip(self.lines, axes, strict=True)])


def tabulated_line(line, points):
    order_of, rows = np.argsort(points), {}

    def at(x, order):
        first = order_of[min(np.searchsorted(points, x[0], sorter=order_of), len(points) - 1)] if len(x) else 0
        part = slice(first, first + len(x))
        if not np.array_equal(points[part], x):
            return line(x, order)
        if order not in rows:
            rows[order] = line(points, order)
        return rows[order][part]

    return at


def sparse_rows(columns, weights, count):
    """The sparse matrix (n, count) whose rows have weights (n, k) at columns (n, k), zeros among them."""
    n, k = weights.shape
    return sparse.csr_array((weights.ravel(), columns.ravel(), np.arange(n + 1) * k), (n, count))


def summed_locally(values, rows):
    """sum_a rows_na values_a...n, for sparse rows with as many entries each: (..., n)."""
    n, found = rows.shape[0], 0.0
    columns, weights = rows.indices.reshape(n, -1), rows.data.reshape(n, -1)
    for column, weight in zip(columns.T, weights.T, strict=True):
        found = found + np.moveaxis(values[column, ..., np.arange(n)], 0, -1) * weight
    return found


def spline_table(nodes, values):
    """The Table of splines through values (N, ..., C) at the nodes of all axes: of their coefficients."""
    lines = []
    for axis, z in enumerate(nodes):
        spline = make_interp_spline(z, np.moveaxis(values, axis, 0), DEGREE)
        values = np.moveaxis(spline.c, 0, axis)
        lines.append(partial(spline_line, spline.t))
    return Table(lines, values)


def spline_line(knots, x, order):
    """The B-splines of these knots, or their derivatives, by the recurrence of Cox and de Boor: (n, N), sparse."""
    k = np.clip(np.searchsorted(knots, x, side="right") - 1, DEGREE, len(knots) - DEGREE - 2)
    rows = np.ones((1, len(x)))
    for p in range(1, DEGREE + 1):
        i = k + np.arange(1 - p, 1)[:, None]
        low, high = knots[i], knots[i + p]
        share, rows = rows / (high - low), np.zeros((p + 1, len(x)))
        up, down = (x - low, high - x) if p <= DEGREE - order else (p, -p)
        rows[1:] = up * share
        rows[:-1] += down * share
    return sparse_rows(k[:, None] + np.arange(-DEGREE, 1), rows.T, len(knots) - DEGREE - 1)


def weights_line(line, x, order):
    """The weights of nodes along one axis, see nhpinn_functions.Interpolation, as the line of a table."""
    return line(x)[order]


def micro_line(count, length, nodal, eps, x, order):
    """Waves of x / length times the `nodal` weights at x, as functions of x of one axis, or eps times their
    derivatives: (n, count X)."""

    def products(waves, weights):
        return (waves[:, :, None] * weights[:, None]).reshape(len(x), -1)

    (w, slopes), waves = nodal(x), spectrum.line(count, x / length)
    if order == 0:
        return products(waves, w)
    return eps * (products(spectrum.line(count, x / length, 1) / length, w) + products(waves, slopes))


def tensor_table(coefficients):
    """a*_ij, from its values at the nodes."""
    lines = [partial(weights_line, line) for line in coefficients.weights.lines]
    counts = node_counts(coefficients.weights, len(lines))
    return Table(lines, coefficients.samples.reshape(*counts, -1))


def node_counts(weights, dim):
    return [line(np.zeros(1))[0].shape[1] for line in weights.lines[:dim]]


# --- u0, and what is known of it on faces -----------------------------------------------------------------


def macro_nodes(box, count):
    t = (1 - np.cos(np.linspace(0, np.pi, count))) / 2
    return [low * (1 - t) + high * t for low, high in box]


def macro_table(faces, box, u0):
    """Splines of as few nodes as interpolate u0 at some other points: of u0 less what is rough and, where second
    derivatives are factors, which are not to be rough, of all of u0."""
    d, (count, most, close) = len(box), NODES[len(box)]
    rough = rough_part(u0)

    def columns(x):
        u = u0.value(x)
        return np.stack([u - rough(x)[0] if rough else u, u], axis=-1)[:, : 1 + (d == 2)]

    x = np.random.default_rng(0).uniform(*box.T, (100, d))
    exact = columns(x)
    while True:
        nodes = macro_nodes(box, count)
        values = columns(tensor_grid(nodes)).reshape(*[count] * d, -1)
        miss = np.abs(spline_table(nodes, values).at(x.T, False, ())[0][0] - exact[:, 0]).max()
        if miss <= close * np.ptp(exact[:, 0]) or 2 * count - 1 > most:
            return spline_table(nodes, with_values(faces, nodes, values))
        count = 2 * count - 1


def rough_part(u0):
    """What of u0 no spline follows: a function of points -> value, gradient, second derivatives; or None."""
    rough = getattr(u0, "rough", None)  # of the recipe `sharp`: a function of jets
    return partial(derivatives, rough) if rough else None


def shares(there, t):
    """The blending along an axis, t from 0 to 1, of what is given at its ends: None for an end where nothing is."""
    low, high = there
    return (None if not low else 1 - t if high else 1 + 0 * t), (None if not high else t if low else 1 + 0 * t)


def with_values(faces, nodes, values):
    """Values (N, ..., C) at a tensor grid, changed by a blending of what they miss so that they are g on the faces."""
    for axis, z in enumerate(nodes):
        pair, u = pair_of(faces, axis), np.moveaxis(values, axis, -1)
        there = [not face.flux for face in pair]
        misses = [there[face.side] and u[..., -face.side] - on_nodes(face, nodes) for face in pair]
        for share, miss in zip(shares(there, (z - z[0]) / (z[-1] - z[0])), misses, strict=True):
            if share is not None:
                u -= share * miss[..., None]
    return values


def on_nodes(face, nodes):
    """g on the face's part of a tensor grid: (N, ..., 1)."""
    g = checked_values("boundary", face.data, on_face(face, nodes))
    return g.reshape(*(len(z) for i, z in enumerate(nodes) if i != face.axis), 1)


def varying_directions(face, box):
    """The directions j in which d_j u0 does not vanish on a face: its normal alone where u is a constant."""
    if not face.flux:
        x = np.random.default_rng(6).uniform(*np.transpose(box), (1000, len(box)))
        g = face.data(np.where(np.arange(len(box)) == face.axis, face.at, x))
        if np.ptp(g) <= 1e-13 * np.abs(g).max():
            return (face.axis,)
    return tuple(range(len(box)))


def ends_with_data(c):
    """In one dimension, u0 + c_0 + c_1 z in the place of u0, (a* z')' = 0, such that v has its value at the end of a
    value, a* u0' its flux at the end of a flux."""
    (line,), values = c.macro
    nodes, ends = macro_nodes(c.box, len(values))[0], c.box[0]
    z = make_interp_spline(nodes, 1 / c.tensor.at([nodes], True, ())[0][0], DEGREE).antiderivative()(nodes)
    extra = spline_table([nodes], np.stack([np.ones_like(z), z], axis=-1)).values
    at_ends, slopes = (line(ends, order).toarray() for order in (0, 1))
    rows = at_ends + c.eps * c.micro.at([ends], True, ())[0][0][:, None] * slopes
    flux = np.array([face.flux for face in c.faces])
    rows[flux] = (c.tensor.at([ends], True, ())[0][0] * np.array([-1.0, 1.0]))[flux, None] * slopes[flux]
    known = np.array([face.data(np.array([[face.at]]))[0] for face in c.faces])[:, None]
    values = values - extra @ np.linalg.solve(rows @ extra, rows @ values - known)
    return c._replace(macro=Table([line], values))


# --- correctors and flux correctors -----------------------------------------------------------------------


def second_order(d):
    """The pairs k <= j of second derivatives that are factors."""
    return list(combinations_with_replacement(range(d), 2)) if d == 2 else []


def micro_table(coefficient, correctors, period, eps):
    """chi_m and phi_kim of (x, x / eps): (1 + pairs) * M functions."""
    d, m = len(period), CELLS[len(period)]
    y = midpoints(d, period, m)
    tables, sizes = [], []
    for x, chi in zip(correctors.nodes, correctors.cells(y)[0], strict=True):
        a, chi = tensor_of(at_node(coefficient, x), y), chi.reshape(d, *[m] * d)
        table = first_table(a, chi, period)
        if len(correctors.nodes) == 1 and second_order(d):
            table = np.concatenate([table, eps * second_table(a, table, period)], axis=1)
        tables.append(table)
        sizes.append(period.max() * np.repeat([1.0] + [np.abs(a).max()] * (len(table) - 1), table.shape[1]))
    sizes = np.reshape(np.concatenate(sizes), (-1, *[1] * d))
    series = spectrum.series_of(np.stack(tables).reshape(-1, *[m] * d) / sizes, period)
    values, waves = series.coefficients * sizes, series.coefficients.shape[1:]
    lines, counts = correctors.weights.lines, node_counts(correctors.weights, d)
    order = [axis for i in range(d) for axis in (1 + d + i, i)]  # waves and nodes of each axis together
    values = values.reshape(*counts, -1, *waves).transpose(*order, d)
    lines = [partial(micro_line, *each, eps) for each in zip(waves, eps * period, lines, strict=True)]
    return Table(lines, values.reshape(*np.multiply(waves, counts), -1))


def first_table(a, chi, period):
    """chi_j (d, m, ...) and its phi_kij, for a at the midpoints: (1 + pairs, d, m, ...)."""
    d, m = len(period), chi.shape[-1]
    slopes = spectrum.slopes_at_midpoints(spectrum.spectrum_of(chi, d), m) / period  # (j, n, k)
    flux = np.einsum("nik,jnk->jin", a, slopes + np.eye(d)[:, None]).reshape(d, d, *[m] * d)
    return np.concatenate([chi[None], spectrum.fluxes_potential(flux, period).reshape(-1, d, *[m] * d)])


def second_table(a, table, period):
    """chi_kj and their phi, from a (n, d, d) and the table (1 + pairs, d, m, ...) of chi_j: (1 + pairs, S, m, ...)."""
    d, m, chi = len(period), table.shape[-1], table[0]
    a = np.moveaxis(a, 0, -1).reshape(d, d, *[m] * d)
    phi = np.zeros((d, d, *chi.shape))  # k, i, j
    for part, (k, i) in zip(table[1:], combinations(range(d), 2), strict=True):
        phi[k, i], phi[i, k] = part, -part
    F = np.moveaxis(phi, 2, 1) - a.swapaxes(0, 1)[:, None] * chi[None, :, None]  # k, j, i
    F = np.stack([F[k, j] + (k != j) * F[j, k] for k, j in second_order(d)])
    u, flux = cell_solutions(a, F, period)
    return np.concatenate([u[None], spectrum.fluxes_potential(flux - F, period).reshape(-1, *u.shape)])


def cell_solutions(a, F, period):
    """u (S, m, ...) and a grad u (S, d, m, ...), for periodic F (S, d, m, ...): div(a grad u) = div F, by conjugate
    gradients with the Laplacian of the mean coefficient as preconditioner.  Who stops early has a wider bound."""
    d = len(period)
    lengths = np.reshape(period, (d, *[1] * d))
    mean = np.einsum("ii...->...", a).mean() / d * np.diag(period**-2.0)

    def flux(slopes):
        return np.einsum("ik...,sk...->si...", a, slopes / lengths)

    u = spectrum.potential(lambda slopes: flux(slopes) / lengths, -F / lengths, mean, None, CG_STEPS, close=CG_CLOSE)
    return spectrum.values_of(u), flux(spectrum.values_of(spectrum.gradient(u)))


# --- at points --------------------------------------------------------------------------------------------


def points_of(axes, grid):
    """Points (n, d) of axes."""
    return tensor_grid(axes) if grid else np.stack(axes, axis=-1)


class Macro(NamedTuple):
    """u0 at n points."""

    x: np.ndarray  # (n, d)
    u0: np.ndarray  # (n,)
    D: np.ndarray  # (M, n)
    slope: np.ndarray  # (d, M, n): gradients of D


def macro_at(c, axes, grid, second=True):
    """second: whether second derivatives are wanted where they are among the factors D."""
    d = len(axes)
    directions = [(j,) for j in range(d)]
    x = points_of(axes, grid)
    wanted = [(), *directions, *[(i, j) for i in range(d) for j in range(d)]]
    found = np.array([part[0] for part in c.macro.at(axes, grid, *wanted)])
    u0, D, slope = found[0], found[1 : 1 + d], found[1 + d :].reshape(d, d, -1)
    if c.rough:
        value, gradient, hessian = c.rough(x)
        u0, D, slope = u0 + value, D + gradient.T, slope + np.moveaxis(hessian, 0, -1)
    if second and c.factors > d:
        pairs = second_order(d)
        wanted = [*pairs, *[(i, *pair) for i in range(d) for pair in pairs]]
        found = np.array([part[1] for part in c.macro.at(axes, grid, *wanted)])
        D = np.concatenate([D, found[: len(pairs)]])
        slope = np.concatenate([slope, found[len(pairs) :].reshape(d, len(pairs), -1)], axis=1)
    return Macro(x, u0, D, slope)


def micro_at(c, axes, grid):
    """eps chi_m and eps phi_kim: (1 + pairs, M, n), and their whole gradients (d, 1 + pairs, M, n)."""
    d = len(axes)
    value, *slope = c.micro.at(axes, grid, (), *[(i,) for i in range(d)])
    shape = 1 + d * (d - 1) // 2, -1, value.shape[-1]
    return c.eps * value.reshape(shape), np.array(slope).reshape(d, *shape)


def curls(slopes):
    """The fluxes d_k S_ki of skew S, pair by pair, from gradients of S_ki, k < i: both (d, pairs, ...)."""
    flux = np.zeros_like(slopes)
    for pair, (k, i) in enumerate(combinations(range(len(slopes)), 2)):
        flux[i, pair], flux[k, pair] = slopes[k, pair], -slopes[i, pair]
    return flux
