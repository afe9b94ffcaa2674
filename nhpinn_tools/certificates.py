"""Certificates of solutions of -d_i( a_ij(x, x/eps) d_j u ) = f in a box, u = 0 on its boundary.

Prager and Synge: for any v that vanishes on the boundary and any flux s' with  -div s' = f

    |u - v|_a^2 + |s' - a grad u|_1/a^2 = |s' - a grad v|_1/a^2,   so that   |u - v|_a <= E = |s' - a grad v|_1/a,  (1)

with |w|_a = |a^(1/2) grad w| and |s|_1/a = |a^(-1/2) s|.  Nothing fine is solved.  From correctors chi_j(x, y), a*(x)
and u0, repeated indices summed,

    v = u0 + eps chi_j d_j u0 + layers,        s_i = a*_ij d_j u0 + d_k( eps phi_kij d_j u0 + layers ),

where d_k is the whole derivative in x, y = x/eps.  Since phi_kij = -phi_ikj, the second part of s has no divergence
whatever phi, chi and the layers are, and r = -d_i(a*_ij d_j u0) - f is known: nothing is assumed of the numerics.  The
integral of r along one axis, with the best constant on every line, makes s' of s.  It is small: r oscillates.  In
y, d_k phi_kij is the flux a_ik (delta_kj + d_k chi_j) less its mean and less its gradient part: with lap n_ij = flux,
phi_kij = d_k n_ij - d_i n_kj, by Fourier series.  For slow coefficients this is done at every node x_q of the
correctors, and phi(x, y) = weights_q(x) phi_q(y), as chi(x, y) is.

Layers.  At a face x_n = const u0 is zero, so is all of grad u0 but d_n u0, and chi_n d_n u0 alone is to be taken off.
With h_m the hat functions of some knots at distances up to one period, or half the box, from the face, and t_l
trigonometric functions of the other coordinates of y, the layers of v are combinations of eps h_m chi_n d_n u0 and
eps h_m t_l d_n u0, those of s have phi_kin, for every k < i, in the place of chi_n; h_0 chi_n d_n u0 has the factor -1
in v, and h_0 t_l none.  The factors minimise (1) over a sample of the face: small least squares.  In one dimension
there are no layers: u0 is changed by c_0 + c_1 z, (a* z')' = 0, such that u0 + eps chi u0' is 0 at both ends, and s by
a constant.

The unknown norm of u is at least  (f, v) / |v|_a  and  |v|_a - E,  at most  |s'|_1/a  and  |v|_a + E.

Any other candidate w.  If t has the boundary values of w, then u - w + t is zero on the boundary, s' - a grad u has no
divergence, and

    |s' - a grad w|_1/a^2 = |u - w|_a^2 + |s' - a grad u|_1/a^2 - 2 (s' - a grad u, grad t).

With D = |s' - a grad w|_1/a, T = |t|_a, q = min(E, T):

    D^2 - E^2 - 2 E T  <=  |u - w|_a^2  <=  D^2 + 2 q T - q^2.                                                      (2)

What is assumed: integrals are those of Gauss points, several a quarter of a period.  Fewer points check them, and the
difference is added to the bounds.  Functions of (x, y) take points (n, dim).
"""

from collections.abc import Callable
from functools import partial, reduce
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy.interpolate import make_interp_spline

from fem import gauss, tensor_grid
from nhpinn_functions import at_node, checked_values, midpoint_axes, midpoints, tensor_of
from nhpinn_tools.bounds import CELLS
from nhpinn_tools.spectrum import fluxes_potential, slopes_at_midpoints, spectrum_of

# --- certificates of solutions of -d_i( a_ij(x, x/eps) d_j u ) = f in a box, u = 0 on its boundary --

KNOTS = np.array([0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1])  # of the layers, in periods
HARMONICS = {2: 2, 3: 1}  # of the layers along a face
WAVES = 1e-12  # of a period, and of a period times a: smaller waves of chi, and of phi, are rounding
# Nodes an axis of u0's spline: at first, at most, and the error that is small enough
NODES = {1: (129, 513, 1e-7), 2: (49, 97, 1e-5), 3: (25, 49, 1e-5)}
GAUSS = {1: (12, 16), 2: (4, 6), 3: (3, 4)}  # points a panel: of the check, of the bounds
SAMPLE = {2: 6, 3: 2}  # periods along a face in the least squares of its layers
BLOCK, NUMBERS = 20_000, 10**6  # points of a grid at a time; numbers an array has, about, at points on none


class TwoScale(NamedTuple):
    """All that v and s are made of."""

    coefficient: Callable  # a(x, y)
    source: Callable  # f(x)
    box: np.ndarray  # (dim, 2)
    lengths: np.ndarray  # (dim,): eps * period
    eps: float
    tensor: Callable  # a*(x)
    divergence: Callable  # d_i a*_ij
    macro: tuple  # lines, values (N, ..., 1): u0, see `interpolated`
    micro: tuple  # lines, coefficients (N, ..., (1 + pairs) * dim): chi_j and phi_kij of (x, x / eps), see micro_line
    layers: tuple = ()  # of a face: axis, side, factors of v (kinds, knots), of s (pairs, kinds, knots)
    constant: float = 0.0  # of s, in one dimension
    along: int = 0  # the axis along which r is integrated


# --- tensor-product interpolants ----------------------------------------------------------------------
#
# line(coordinates (n,), order): derivatives of N functions of one axis, cardinal ones or waves, (n, N); of `micro_line`
# eps times the first derivative, and none further


def spline_line(nodes, degree=5):
    return make_interp_spline(nodes, np.eye(len(nodes)), degree)


def fourier_line(count, period, x, order=0):
    """1, cos k_1 x, ..., sin k_1 x, ... or their derivatives: (n, count), for an odd count."""
    k = 2 * np.pi / period * np.arange(1, count // 2 + 1)
    angle = np.outer(x % period, k) + order * np.pi / 2
    parts = [np.full((len(x), 1), float(order == 0)), k**order * np.cos(angle), k**order * np.sin(angle)]
    return np.concatenate(parts, axis=1)


def fourier_series(values, period, size=1.0):
    """An interpolant of values (m, ..., C) at the midpoints of a cell of these periods, m odd, without the fast waves
    that are rounding, of values of this size (C,): lines, coefficients."""
    m, lines = len(values), []
    for axis, p in enumerate(period):
        back = fourier_line(m, p, p / m * (np.arange(m) + 0.5)) * np.append(1, np.full(m - 1, 2)) / m
        values = np.tensordot(back, values, (0, axis))
        sizes = (np.abs(values) / size).reshape(m, -1).max(axis=1)
        fast = np.flatnonzero(np.maximum(*sizes[1:].reshape(2, -1)) > WAVES)
        count = fast[-1] + 1 if len(fast) else 0
        values = np.moveaxis(values[np.r_[: 1 + count, 1 + m // 2 : 1 + m // 2 + count]], 0, axis)
        lines.append(partial(fourier_line, 2 * count + 1, p))
    return lines, values


def interpolated(lines, values, axes, grid, second=False):
    """An interpolant's values (C, n), gradient (d, C, n), and second derivatives (d, d, C, n) or None.

    axes: one array of coordinates an axis, of a tensor grid or of the points themselves (grid=False).
    """
    d = len(axes)
    rows = [[line(x, order) for order in range(3 if second else 2)] for line, x in zip(lines, axes, strict=True)]

    def along(*orders):
        part = values
        for i in range(d):
            row = rows[i][orders.count(i)]
            part = np.tensordot(part, row, (0, 1)) if grid or i == 0 else np.einsum("a...n,na->...n", part, row)
        return part.reshape(values.shape[-1], -1)

    seconds = np.array([[along(i, j) for j in range(d)] for i in range(d)]) if second else None
    return along(), np.array([along(i) for i in range(d)]), seconds


def micro_line(fourier, nodal, eps, x, order):
    """Waves of x / eps times the `nodal` weights at x, as functions of x of one axis, or eps times their derivatives:
    (n, m X)."""

    def products(waves, weights):
        return (waves[:, :, None] * weights[:, None]).reshape(len(x), -1)

    (w, slopes), waves = nodal(x), fourier(x / eps, order)
    return products(waves, w) + (eps * products(fourier(x / eps), slopes) if order else 0.0)


def micro_tables(coefficient, correctors, period, eps):
    """chi_j and phi_kij of (x, x / eps), Fourier series at every node: lines, coefficients."""
    d, m = len(period), CELLS[len(period)]
    y = midpoints(d, period, m)
    tables, sizes = [], []
    for x, chi in zip(correctors.nodes, correctors.cells(y)[0], strict=True):
        chi = chi.reshape(d, *[m] * d)
        slopes = slopes_at_midpoints(spectrum_of(chi, d), m) / period  # (j, n, k)
        a = tensor_of(at_node(coefficient, x), y)
        flux = np.einsum("nik,jnk->jin", a, slopes + np.eye(d)[:, None]).reshape(d, d, *[m] * d)
        tables.append(np.concatenate([chi[None], fluxes_potential(flux, period)]))
        sizes.append(period.max() * np.repeat([1.0] + [np.abs(a).max()] * (len(tables[-1]) - 1), d))
    table = np.moveaxis(np.stack(tables).reshape(-1, *[m] * d), 0, -1)
    lines, values = fourier_series(table, period, np.concatenate(sizes))
    weights = correctors.weights.lines
    counts = [line(correctors.nodes[:1, i])[0].shape[1] for i, line in enumerate(weights)]
    order = [axis for i in range(d) for axis in (i, d + i)]  # waves and nodes of each axis together
    waves = values.shape[:d]
    values = values.reshape(*waves, *counts, -1).transpose(*order, 2 * d)
    lines = [partial(micro_line, *both, eps) for both in zip(lines, weights, strict=True)]
    return lines, values.reshape(*np.multiply(waves, counts), -1)


# --- v and s ----------------------------------------------------------------------------------------


class Parts(NamedTuple):
    """At n points: eps chi_j d_j u0 and eps phi_kij d_j u0, not summed over j, and what they are made of."""

    x: np.ndarray  # (n, d)
    u0: np.ndarray  # (n,)
    slope: np.ndarray  # (d, n)
    second: np.ndarray  # (d, d, n)
    terms: np.ndarray  # (1 + pairs, J, n): chi first
    slopes: np.ndarray  # (d, 1 + pairs, J, n): their whole gradients


def parts(c, axes, grid):
    d = len(axes)
    x = tensor_grid(axes) if grid else np.stack(axes, axis=-1)
    u0, g, H = (z[..., 0, :] for z in interpolated(*c.macro, axes, grid, second=True))
    value, slope, _ = interpolated(*c.micro, axes, grid)
    value, slope = value.reshape(-1, d, len(x)), slope.reshape(d, -1, d, len(x))
    return Parts(x, u0, g, H, c.eps * value * g, slope * g + c.eps * value * H[:, None])


def curls(slopes):
    """The fluxes d_k S_ki of skew S, pair by pair, from gradients of S_ki, k < i: both (d, pairs, ...)."""
    flux = np.zeros_like(slopes)
    for pair, (k, i) in enumerate(combinations(range(len(slopes)), 2)):
        flux[i, pair], flux[k, pair] = slopes[k, pair], -slopes[i, pair]
    return flux


def hats(c, axis, side, x):
    """The hat functions of a face's knots but the last, and their derivatives along the axis: (knots, n) each."""
    low, high = c.box[axis]
    knots = KNOTS * min(c.lengths[axis], (high - low) / 2)
    s, sign = (x[:, axis] - low, 1) if side == 0 else (high - x[:, axis], -1)
    hat, inside = spline_line(knots, degree=1), s < knots[-1]
    return inside * hat(s)[:, :-1].T, sign * inside * hat(s, 1)[:, :-1].T


def face_waves(c, axis, x):
    """Products of 1, cos, sin of coordinates other than axis, a few a period: (kinds, n), gradients (d, kinds, n)."""
    n, d = x.shape
    value, slope = np.ones((1, n)), np.zeros((d, 1, n))
    for i in set(range(d)) - {axis}:
        k = 2 * np.pi / c.lengths[i] * np.arange(1, HARMONICS[d] + 1)[:, None]
        cos, sin = np.cos(k * x[:, i]), np.sin(k * x[:, i])
        wave = np.concatenate([np.ones((1, n)), cos, sin])
        change = np.concatenate([np.zeros((1, n)), -k * sin, k * cos])
        slope = (slope[:, :, None] * wave).reshape(d, -1, n)
        slope[i] = (value[:, None] * change).reshape(-1, n)
        value = (value[:, None] * wave).reshape(-1, n)
    return value, slope


def layer_terms(c, p, axis):
    """What a face's hats are multiplied by: (1 + pairs, kinds, n), and gradients (d, 1 + pairs, kinds, n)."""
    value, slope = face_waves(c, axis, p.x)
    g, H = p.slope[axis], p.second[:, axis, None, None]
    term, change = (
        np.broadcast_to(z, (*z.shape[:-3], len(p.terms), *z.shape[-2:]))
        for z in ((c.eps * g * value)[None], c.eps * (g * slope[:, None] + H * value))
    )
    return np.concatenate([p.terms[:, axis, None], term], 1), np.concatenate([p.slopes[:, :, axis, None], change], 2)


def tapered(hat, change, axis, term, slope):
    """The product of a hat and a term: value, gradient."""
    slope = hat * slope
    slope[axis] += change * term
    return hat * term, slope


def fields(c, axes, grid=False):
    """v (n,), grad v (n, d), s (n, d), r (n,), and the points (n, d)."""
    return fields_of(c, parts(c, axes, grid))


def fields_of(c, p):
    a, b = c.tensor(p.x), c.divergence(p.x)
    value, slope = p.u0 + p.terms[0].sum(0), p.slope + p.slopes[:, 0].sum(1)
    flux = np.einsum("nij,jn->in", a, p.slope) + curls(p.slopes[:, 1:].sum(2)).sum(1) + c.constant
    for axis, side, of_v, of_s in c.layers:
        hat, change = hats(c, axis, side, p.x)
        at = np.flatnonzero(hat.any(0))
        if not len(at):
            continue
        near = Parts(p.x[at], *(array[..., at] for array in p[1:]))
        factors = np.concatenate([of_v[None], of_s])
        terms, slopes = tapered(factors @ hat[:, at], factors @ change[:, at], axis, *layer_terms(c, near, axis))
        value[at] += terms[0].sum(0)
        slope[:, at] += slopes[:, 0].sum(1)
        flux[:, at] += curls(slopes[:, 1:].sum(2)).sum(1)
    residual = -np.einsum("nij,ijn->n", a, p.second) - np.einsum("nj,jn->n", b, p.slope)
    return value, slope.T, flux.T, residual - checked_values("source", c.source, p.x), p.x


def fine_tensor(c, x):
    """a(x, x / eps) of a TwoScale or a problem, at points (n, d)."""
    return tensor_of(lambda q: c.coefficient(q, q / c.eps), x)


# --- the least squares ------------------------------------------------------------------------------


def panels(c, axis, count):
    """Gauss points of an axis and their weights: count a panel, between the knots of layers and quarters of periods."""
    (low, high), length = c.box[axis], c.lengths[axis]
    width = min(length, (high - low) / 2)
    inner = np.linspace(low + width, high - width, 1 + int(np.ceil(4 * (high - low - 2 * width) / length - 1e-9)))
    return gauss(np.unique(np.concatenate([low + width * KNOTS, inner, high - width * KNOTS])), count)


def face_layer(c, axis, side):
    """The factors of a face's layers that make (1) least over a sample of the face: an entry of TwoScale.layers."""
    axes, weights = zip(*(sampled(c, i, axis, side) for i in range(len(c.box))), strict=True)
    p = parts(c, axes, True)
    _, grad, flux, _, x = fields_of(c, p)
    hat, change = hats(c, axis, side, x)
    term, slope = layer_terms(c, p, axis)
    slope = tapered(hat, change, axis, term[:, :, None], slope[:, :, :, None])[1]  # (d, 1 + pairs, kinds, knots, n)
    (d, n), (kinds, knots) = flux.T.shape, slope.shape[2:4]
    a = fine_tensor(c, x)
    root = np.linalg.cholesky(a)
    back, root = (np.moveaxis(m, 0, -1) * np.sqrt(reduce(np.kron, weights)) for m in (np.linalg.inv(root), root))
    v = -np.einsum("jin,jkmn->ikmn", root, slope[:, 0])  # of each term, a^(-1/2)(s - a grad v) sqrt(weight)
    s = np.einsum("ijn,jpkmn->ipkmn", back, curls(slope[:, 1:]))
    rest = np.einsum("ijn,jn->in", back, flux.T) - np.einsum("jin,jn->in", root, grad.T) - v[:, 0, 0]
    rows = np.concatenate([v[:, :, 1:].reshape(d, -1, n), s.reshape(d, -1, n)], axis=1)
    size = np.sqrt((rows**2).sum((0, 2)))
    cut = kinds * (knots - 1)
    units = c.lengths.max() / c.eps * np.array([1, np.abs(a).max()])  # of chi, of phi, where t_l has none
    for part, unit in zip((size[:cut].reshape(1, kinds, -1), size[cut:].reshape(-1, kinds, knots)), units, strict=True):
        natural = part[:, 1:].max() * np.append(unit, np.ones(kinds - 1))
        part[part <= 1e-12 * natural[:, None]] = np.inf  # what rounding left of nothing has the factor zero
    rows /= size[:, None]
    G, rhs = sum(z @ z.T for z in rows), -sum(z @ y for z, y in zip(rows, rest, strict=True))
    factors = np.linalg.lstsq(G, rhs, rcond=1e-12)[0] / size
    of_v = np.zeros((kinds, knots))
    of_v[:, 1:], of_v[0, 0] = factors[:cut].reshape(kinds, -1), -1
    return axis, side, of_v, factors[cut:].reshape(-1, kinds, knots)


def sampled(c, i, axis, side):
    """Gauss points and weights of the axis i for the least squares of the layer at a face of the given axis."""
    x, w = panels(c, i, GAUSS[len(c.box)][0])
    (low, high), length = c.box[i], c.lengths[i]
    if i == axis:
        at = (x - low if side == 0 else high - x) < length
    else:
        periods = max(1, round((high - low) / length))
        chosen = np.linspace(0, periods - 1, SAMPLE[len(c.box)] + 2)[1:-1].round()
        at = np.isin((x - low) // length, chosen)
    return x[at], w[at]


# --- the certificate --------------------------------------------------------------------------------


class Certificate(NamedTuple):
    error: float  # the relative error |u - v|_a / |u|_a is at most this
    residual: float  # |r| / |f| in L2
    norm: tuple  # lower, upper bound of |u|_a
    quadrature: float  # by which `error` changed from one quadrature to another: in it
    scales: TwoScale

    def reconstruction(self, x):
        """v at points (n, d): values (n,), gradient (n, d)."""
        value, slope, *_ = at_points(self.scales, x)
        return value, slope

    def flux(self, x):
        """s at points (n, d): (n, d)."""
        return at_points(self.scales, x)[2]


class Integrals(NamedTuple):
    own: float  # E
    other: float  # D of a candidate w; of v itself if there is none
    apart: float  # |v - w|_a
    trace: float  # T = |t|_a
    energy: float  # |v|_a
    flux: float  # |s'|_1/a
    load: float  # (f, v)
    residual: float  # |r| / |f|


def integrals(c, count, candidate=None):
    """By Gauss points, count a panel; candidate: points -> grad w, grad t."""
    d, k, sums, lines, line_weights, end = len(c.box), c.along, np.zeros(6), [], [], 0.0
    rules, cut = [panels(c, axis, count) for axis in range(d)], (k + 1) % d  # the axis that is cut into blocks
    others = np.prod([len(x) for axis, (x, _) in enumerate(rules) if axis != cut], dtype=int)
    rows = max(1, BLOCK // others // count) * count
    for start in range(0, len(rules[cut][0]), rows):
        part = [slice(start, start + rows) if axis == cut else slice(None) for axis in range(d)]
        axes, weights = zip(*((x[p], w[p]) for (x, w), p in zip(rules, part, strict=True)), strict=True)
        order = np.arange(np.prod([len(x) for x in axes])).reshape([len(x) for x in axes])
        order = np.moveaxis(order, k, -1).reshape(-1, len(axes[k]))  # line by line
        v, slope, s, r, x = (values[order.ravel()] for values in fields(c, axes, True))
        a, f, w = fine_tensor(c, x), c.source(x), reduce(np.kron, weights)[order]
        R, end = antiderivative(r.reshape(order.shape), weights[k], count, end if d == 1 else 0.0)
        other, trace = (slope, 0 * slope) if candidate is None else candidate(x)
        sums[:3] += [np.einsum("n,ni,nij,nj", w.ravel(), z, a, z, optimize=True) for z in (slope - other, trace, slope)]
        sums[3:] += [w.ravel() @ z for z in (f * v, r**2, f**2)]
        back, s[:, k] = np.linalg.inv(a), s[:, k] + R.ravel()
        misses = [s - np.einsum("nij,nj->ni", a, z) for z in (slope, other, 0 * slope)]
        found = [np.einsum("ni,nij,nj->n", z, back, z, optimize=True) for z in misses]
        found += [np.einsum("ni,ni->n", back[:, k], z) for z in misses] + [back[:, k, k]]
        lines.append(np.reshape(found, (7, *order.shape)) @ weights[k])
        line_weights.append(w[:, 0] / weights[k][0])
    lines = sum(lines) if d == 1 else np.concatenate(lines, axis=1)
    squares, means, C = lines[:3], lines[3:6], lines[6]
    w, shift = np.ones(1) if d == 1 else np.concatenate(line_weights), -means[0] / C  # least for v
    own, other, flux = np.maximum((squares + 2 * shift * means + shift**2 * C) @ w, 0)
    apart, trace, energy, load, *sizes = sums
    norms = np.sqrt([own, other, apart, trace, energy, flux])
    return Integrals(*norms, load, np.sqrt(sizes[0] / sizes[1]) if sizes[1] > 0 else 0.0)


def antiderivative(r, weights, count, start):
    """The integral, from the beginning of each line on, of values r (lines, n) at Gauss points, count a panel.

    -> at the points (lines, n), and at the end (lines, 1), from which it can start on the next part of a line
    """
    nodes, _ = legendre.leggauss(count)
    cardinal = legendre.legint(np.linalg.inv(legendre.legvander(nodes, count - 1)), lbnd=-1)
    values, weights = r.reshape(len(r), -1, count), weights.reshape(-1, count)
    ends = start + np.cumsum(np.sum(values * weights, axis=2), axis=1)
    before = np.concatenate([np.broadcast_to(start, (len(r), 1)), ends[:, :-1]], axis=1)
    inner = values @ (legendre.legvander(nodes, count) @ cardinal).T * weights.sum(1)[:, None] / 2
    return (before[:, :, None] + inner).reshape(r.shape), ends[:, -1:]


def certificate(problem, correctors, coefficients, u0):
    """A reconstruction of the solution and a bound of its error, see the head of this file.

    problem, correctors, coefficients: records of nhpinn.py and nhpinn_networks.py; u0: values alone, a function of
    points (n, dim).
    """
    box, eps = np.array(problem.domain, dtype=float), problem.eps
    d, period = len(box), np.broadcast_to(correctors.period, len(box)).astype(float)
    c = TwoScale(
        problem.coefficient, problem.source, box, eps * period, eps, coefficients.tensor, coefficients.divergence,
        macro_tables(box, u0), micro_tables(problem.coefficient, correctors, period, eps),
    )  # fmt: skip
    if d == 1:
        c = ends_at_zero(c)
        c = c._replace(constant=mean_flux(c))
    else:
        c = c._replace(layers=tuple(face_layer(c, axis, side) for axis in range(d) for side in (0, 1)))
        c = c._replace(along=best_axis(c))
    coarse, fine = (integrals(c, count) for count in GAUSS[d])
    return from_integrals(c, coarse, fine)


def macro_nodes(box, count):
    t = (1 - np.cos(np.linspace(0, np.pi, count))) / 2
    return [low * (1 - t) + high * t for low, high in box]


def macro_tables(box, u0):
    """A spline of u0, less the blending of its boundary values if there are any, of as few points as interpolate it at
    some others: lines, values."""
    d, (count, most, close) = len(box), NODES[len(box)]
    x = np.random.default_rng(0).uniform(*box.T, (100, d))
    exact = u0(x)
    while True:
        nodes = macro_nodes(box, count)
        lines, values = [spline_line(z) for z in nodes], u0(tensor_grid(nodes)).reshape(*[count] * d, 1)
        miss = np.abs(interpolated(lines, values, x.T, False)[0][0] - exact).max()
        if miss <= close * np.abs(exact).max() or 2 * count - 1 > most:
            break
        count = 2 * count - 1
    t = macro_nodes([(0, 1)], count)[0]
    for axis in range(d):
        u = np.moveaxis(values, axis, -1)
        u -= (1 - t) * u[..., :1] + t * u[..., -1:]
    return lines, values


def ends_at_zero(c):
    """In one dimension, u0 + c_0 + c_1 z in the place of u0, such that v vanishes at both ends."""
    (line,), values = c.macro
    nodes = macro_nodes(c.box, len(values))[0]
    z = make_interp_spline(nodes, 1 / c.tensor(nodes[:, None])[:, 0, 0], 5).antiderivative()(nodes)
    chi = interpolated(*c.micro, c.box, False)[0][0]
    rows = line(c.box[0], 0) + c.eps * chi[:, None] * line(c.box[0], 1)  # v at both ends from the nodes
    extra = np.stack([np.ones_like(z), z], axis=-1)
    return c._replace(macro=([line], values - extra @ np.linalg.solve(rows @ extra, rows @ values)))


def mean_flux(c):
    """In one dimension, the constant which makes (1) least if s has it in addition."""
    x, w = panels(c, 0, GAUSS[1][0])
    _, slope, s, _, points = fields(c, [x])
    a = fine_tensor(c, points)[:, 0, 0]
    return -np.sum(w * (s[:, 0] / a - slope[:, 0])) / np.sum(w / a)


def best_axis(c):
    """The axis along which the integrals of r have the least deviation from their means, summed over lines."""
    count = {2: 64, 3: 16}[len(c.box)]
    r = fields(c, midpoint_axes(c.box, count), True)[3]
    sizes, r = [], r.reshape([count] * len(c.box))
    for axis, (low, high) in enumerate(c.box):
        sizes.append((high - low) * np.std(np.cumsum(r, axis=axis), axis=axis).sum())
    return int(np.argmin(sizes))


def from_integrals(c, coarse, fine):
    """The bounds from the finer integrals; by how much they differ from the coarser ones is added."""
    errors, norms = [], []
    for part in (coarse, fine):
        least = max(part.load / part.energy if part.load > 0 else 0.0, part.energy - part.own)
        norms.append((least, min(part.flux, part.energy + part.own)))
        errors.append(part.own / least if least > 0 else np.inf if part.own > 0 else 0.0)
    change = abs(errors[1] - errors[0]) if np.isfinite(errors).all() else np.inf
    (least, most), moved = norms[1], np.abs(np.subtract(*norms))
    norm = max(least - moved[0], 0.0), most + moved[1]
    return Certificate(float(errors[1] + change), fine.residual, norm, change, c)


def at_points(c, x):
    """What `fields` returns, at any points x (n, d)."""
    x = np.asarray(x, dtype=float)
    width = max(max(len(t), t.size // len(t)) for _, t in (c.macro, c.micro))  # numbers a point, on the way
    chunks = np.array_split(x, max(1, len(x) * width // NUMBERS))
    return [np.concatenate(part) for part in zip(*(fields(c, chunk.T) for chunk in chunks), strict=True)]


# --- other candidates -------------------------------------------------------------------------------


def certify(certificate, value, gradient):
    """Lower and upper bound of the relative energy error |u - w|_a / |u|_a of a candidate w for the same equation.

    value, gradient: of w at points (n, d): (n,), (n, d); w need not vanish on the boundary.  By (2), and by
    | |v - w|_a - |u - w|_a | <= E: of the two the better one.
    """
    c, bounds = certificate.scales, []
    parts = boundary_part(c, value, gradient)
    for count in GAUSS[len(c.box)]:
        part = integrals(c, count, parts)
        E, D, T, q = part.own, part.other, part.trace, min(part.own, part.trace)
        below, above = D**2 - E**2 - 2 * E * T, np.sqrt(D**2 + 2 * q * T - q**2)
        bounds.append((max(np.sqrt(max(below, 0)), part.apart - E), min(above, part.apart + E)))
    (lower, upper), change = bounds[1], np.abs(np.subtract(*bounds))
    least, most = certificate.norm
    return float(max(lower - change[0], 0) / most), float((upper + change[1]) / least) if least > 0 else np.inf


def boundary_part(c, value, gradient):
    """Points -> grad w and grad t, with t the linear blending of the boundary values of w."""

    def inner(x):
        return value(x), gradient(x)

    for axis, (low, high) in enumerate(c.box):
        inner = partial(less_ends, inner, axis, low, high)
    axes = [panels(c, axis, GAUSS[len(c.box)][1])[0] for axis in range(len(c.box))]  # as dense as the integrals
    faces = [tensor_grid([*axes[:i], ends, *axes[i + 1 :]]) for i, ends in enumerate(c.box)]
    edge = np.abs(value(np.concatenate(faces))).max()
    if edge <= 1e-12 * np.abs(value(tensor_grid([np.linspace(*ends, 33) for ends in c.box]))).max():
        return lambda x: (slope := gradient(x), 0 * slope)
    return lambda x: (slope := gradient(x), slope - inner(x)[1])


def less_ends(inner, axis, low, high, x):
    """Value and gradient of a function less the linear interpolation between its values at both ends of an axis."""
    u, g = (np.array(part) for part in inner(x))
    share, unit = (x[:, axis] - low) / (high - low), np.arange(x.shape[1]) == axis
    for end, part, slope in ((low, 1 - share, -1 / (high - low)), (high, share, 1 / (high - low))):
        face, where = np.unique(np.where(unit, end, x), axis=0, return_inverse=True)  # on a grid many fall together
        edge, along = (values[where.reshape(-1)] for values in inner(face))
        u -= part * edge
        g -= np.where(unit, slope * edge[:, None], part[:, None] * along)
    return u, g
