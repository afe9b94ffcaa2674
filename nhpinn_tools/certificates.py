"""Certificates of solutions of -d_i( a_ij(x, x/eps) d_j u ) = f in a box, u = g or n . a grad u = h on its faces.

Prager and Synge: for any v that is g on its faces, and any flux s' in balance, -div s' = f and n . s' = h on theirs,

    |u - v|_a^2 + |s' - a grad u|_1/a^2 = |s' - a grad v|_1/a^2,   so that   |u - v|_a <= E = |s' - a grad v|_1/a,  (1)

with |w|_a = |a^(1/2) grad w| and |s|_1/a = |a^(-1/2) s|.  Nothing fine is solved: v and s' are made of u0, correctors
and flux correctors (two_scale.py), with layers at the boundary (layers.py), and balanced (balance.py).  Nothing is
assumed of the numerics: (1) holds for any correctors, and those that are wrong, or have missed their tolerance, make E
larger.  The hypercircle (1) has its centre half way between s' and a grad v: with M = |s' + a grad v|_1/a / 2,

    M - E / 2  <=  |u|_a  <=  M + E / 2,                                                                            (2)

and where g = 0, (s', grad v) = (a grad u, grad v), so that |u|_a is at least (s', grad v) / |v|_a.

What is not exact is bounded.  s' is eta from balance (balance.py).  Where v is not quite g on the faces, for a spline
is g at its nodes alone, a blending t of g - v into the box has the energy tau = |t|_a, and v + t is g there.  Then

    |u - v|_a <= E + eta + 2 tau,     |s' + ... - a grad u|_1/a <= E_s = E + eta + tau,     M +- (E / 2 + eta + tau).

Any other candidate w.  If t is w - g on the faces of values, u - w + t vanishes on them, and

    |s' - a grad w|_1/a^2 = |u - w|_a^2 + |s' - a grad u|_1/a^2 - 2 (s' - a grad u, grad t).

With D+- = |s' - a grad w|_1/a +- eta, T = |t|_a, q = min(E_s, T):

    D-^2 - E_s^2 - 2 E_s T  <=  |u - w|_a^2  <=  D+^2 + 2 q T - q^2.                                                (3)

The flow through a face, Q = integral of n . a grad u.  If u is known on it and its neighbours are of fluxes, then with
p = 1 on the face, linear, 0 on the opposite one if u is known there, p = 1 if not,

    Q = (a grad u, grad p) - (f, p) - <h, p>,   where |(a grad u, grad p) - (s', grad p)| <= E_s |p|_a.

If besides f = 0, h = 0, and u is g_1 on the face, g_0 on the opposite one, then (g_1 - g_0) Q = |u|_a^2, which lies
between  2 <n . s', g> - |s'|_1/a^2  and  |v|_a^2: E^2 apart.

What is assumed: integrals are those of the rules of quadrature.py.  Coarser rules check them, and the difference is
added to the bounds.  At scattered points, a and 1/a are compared with their polynomials between the points of the rule,
in x / eps with x, and in x alone.  The parts m and m' of mean a and mean 1/a that lie where one is far from the other,

    u^2 = 10 (m / mean a + m' / mean 1/a),

add u^2 max(|v|_a, |s'|_1/a)^2 to E^2: there s' and a grad v may have nothing in common, and be larger than elsewhere.
So what the panels have left unresolved, for they may be too many, or have not seen, is in the bound, with a warning.
Panels that few scattered points meet, in which a may jump, have points of their own.
f: see balance.py.  Where elements are added (refinement.py), the rules have all periods, and end where elements do.
What none of these points meets is not in the bound: it is narrower than about 3e-5 of the box in one dimension, .006 in
two, .03 in three.
"""

from functools import partial, reduce
from typing import NamedTuple

import numpy as np

from fem import breaks_of, gauss, tensor_grid
from nhpinn_functions import (
    checked_values,
    compact_tensor_of,
    constant_at,
    extreme_eigenvalues,
    on_face,
    pair_of,
    tensor_of,
)
from nhpinn_tools.balance import Balance, balanced, homogenized_flux
from nhpinn_tools.bounds import at_fine_scale, inverse, product, scattered_in
from nhpinn_tools.calls import warn
from nhpinn_tools.layers import SAMPLE, fields_at, with_layers
from nhpinn_tools.quadrature import (
    Axis,
    Counts,
    Panels,
    layer_pieces,
    missed_along,
    panel_around,
    panel_edges,
    period_pieces,
    piece_around,
    random_points,
    rule,
)
from nhpinn_tools.two_scale import TwoScale, ends_with_data, macro_at, macro_nodes, scales_of, shares

# Of the check, of the bounds
RULES = {1: (Counts(12, 12), Counts(16, 16)), 2: (Counts(4, 8), Counts(6, 10)), 3: (Counts(4, 6), Counts(5, 8))}
MORE = 2, 3  # Gauss points an element has than its order, of the check, of the bounds
CUT = 0.41  # where elements of one dimension are cut for the bounds
ROUNDING, STEP = 1e-9, 1e-5  # relative, of squares and norms; of differences along a face, of its length
LEAST = 2.1e-10  # what rounding may hide of an error, and rules of what is as rough as rounding
CANCELLED = 4 * np.finfo(float).eps  # what rounding leaves of terms that nearly cancel, of their size
BLOCK, NUMBERS = 60_000, 10**6  # points of a grid at a time; numbers an array has, about, at points on none


class Certificate(NamedTuple):
    scales: TwoScale
    balance: Balance
    axes: tuple  # of quadrature.Axis
    error: float | None = None  # the relative error |u - v|_a / |u|_a is at most this; None: there is no bound
    norm: tuple = (0.0, np.inf)  # lower, upper bound of |u|_a
    quadrature: float = np.inf  # by which `error` changed from one quadrature to another: in it
    trace: float = np.inf  # tau, for a coefficient whose largest eigenvalue is 1
    unseen: float = np.inf  # u: what the rule does not resolve of a, relative
    constant: float = 0.0  # of s' in one dimension
    norm_of_error = "the energy norm"

    @property
    def residual(self):
        """Of the homogenized equation, |r| / |f| in L2."""
        return self.balance.residual

    def reconstruction(self, x):
        """v at points (n, d): values (n,), gradient (n, d)."""
        found = [(part.v, part.slope.T) for part, _ in self._at(x)]
        return [np.concatenate(part) for part in zip(*found, strict=True)]

    def flux(self, x):
        """At points (n, d): (n, d).  s, which balances the source but for the residual and has the fluxes of the faces;
        s' in one dimension, where it is a u', and where elements are added."""
        return np.concatenate([self._flux_of(part, axes, False) for part, axes in self._at(x)])

    def on_grid(self, axes, flux=True):
        """v (n,), its gradient (n, d) and, if it is wanted, the flux (n, d), on a tensor grid: much faster."""
        found = []
        for some in slabs(axes):
            part = fields_at(self.scales, some, True)
            found.append([part.v, part.slope.T, *([self._flux_of(part, some, True)] if flux else [])])
        return [np.concatenate(part) for part in zip(*found, strict=True)]

    def _flux_of(self, part, axes, grid):
        s = homogenized_flux(self.scales, part.macro, axes, grid)[0] + part.curl
        if len(axes) == 1 or self.scales.elements:
            s[self.balance.axis] += self.balance.integral.at(axes, grid, ())[0][0] + self.constant
        return s.T

    def _at(self, x):
        """Fields at points, some of them at a time, and their coordinates."""
        c, x = self.scales, np.asarray(x, dtype=float)
        sizes = [(len(table.values), table.values.size) for table in (c.macro, c.micro)]
        sizes += [(1, c.elements.values[0].size)] if c.elements else []  # whose first line is sparse
        width = max(max(n, size // n) for n, size in sizes)  # numbers a point, on the way
        for chunk in np.array_split(x, max(1, len(x) * width // NUMBERS)):
            yield fields_at(c, chunk.T, False), chunk.T


def certificate(problem, correctors, coefficients, u0, finer=1, pieces=None):
    """A reconstruction of the solution and a bound of its error, see the head of this file.

    problem, correctors, coefficients: records of nhpinn.py, the first with `boundary`, see faces_of; u0: with a
    method `value` of points (n, dim).  finer: how many times finer than usual in y the rules are to be.
    pieces: two_scale.Pieces of a coefficient that jumps in y; None: it is smooth.
    """
    found = without_bar(problem, correctors, coefficients, u0, finer, pieces)
    trace, missed = trace_of_values(found.scales), unseen(found.scales, found.axes)
    found = found._replace(error=np.inf, trace=trace, unseen=missed)
    crowded = len(found.axes[0].edges) > SLOW[1].most / 2  # in one dimension: there was no room to halve all that asked
    found = found if crowded or np.isinf(found.trace) else bounded(found)
    if found.unseen > min(found.error, 1) / 2:
        warn(
            "coefficient: varies faster than the quadrature of the error bar resolves; the bar is up to "
            f"{found.unseen:.2g} larger, to cover what is missed; expected wider films and bumps"
        )
    return found


def without_bar(problem, correctors, coefficients, u0, finer=1, pieces=None):
    """The same reconstruction, for a coefficient such that no rule of Gauss points in boxes has a bound's integrals."""
    c = scales_of(problem, correctors, coefficients, u0, pieces)
    axes = rule_axes(c, finer, pieces)
    c = ends_with_data(c) if len(c.box) == 1 else with_layers(c, partial(sample, fit_axes(axes, pieces)))
    return Certificate(c, balanced(c), axes)


def slabs(axes):
    """Parts of a tensor grid, one after the other along its first axis: the coordinates of every axis."""
    for some in np.array_split(axes[0], max(1, np.prod([len(z) for z in axes]) // BLOCK)):
        if len(some):
            yield [some, *axes[1:]]


def fine_tensor(c, x):
    """a(x, x / eps) of a TwoScale or a problem, at points (n, d)."""
    return tensor_of(at_fine_scale(c), x)


# --- the rules ----------------------------------------------------------------------------------------------

SLOW = {1: Panels(1, 16_000, 12, 1e-9, 20_000), 2: Panels(1, 16, 8, 1e-2, 2_000), 3: Panels(1, 6, 6, 3e-2, 1_000)}
FAST = {1: Panels(4, 4096, 16, 1e-6, 8192), 2: Panels(4, 64, 6, 2e-2, 1024), 3: Panels(2, 16, 5, 0.3, 256)}
LINES, PLACES = {1: 64, 2: 32, 3: 16}, 8  # in y, at random x; y at which a(., y) is looked at
SIZES = 1000  # points for the size of a function
SCATTERED_IN_BOX, FAR, TINY, PEAK = 30_000, 10, 1e-12, 10  # see `unseen`
IN_FIT = 32  # points of a period in the least squares of layers, about, where a coefficient has pieces
UNEVEN = 0.05  # what chance may explain of the mean of a square without peaks, see `peaks_of`
MET, INSIDE = 30, 16  # scattered points that are enough in a panel; else points that are put into it
CORNERS = {1: 1e-3, 2: 0.1, 3: 0.1}  # the share of second derivatives, times the length of the box, beside grad u0


def rule_axes(c, finer, pieces):
    """One quadrature.Axis an axis: panels that resolve what varies in x, breaks that follow the coefficient in y."""
    d, rng = len(c.box), np.random.default_rng(4)
    smooth = c._replace(rough=None)
    size = np.abs(macro_at(smooth, random_points(c.box, SIZES).T, False, second=False).D).max()
    y = pieces.places if pieces else np.random.default_rng(5).uniform(0, c.lengths / c.eps, (PLACES, d))
    edges, _ = panel_edges(of_size_one(partial(slow_functions, smooth, size, y), c.box), c.box, SLOW[d])
    if pieces:
        rules = rules_of_pieces(pieces)
        parts = zip(c.box, c.lengths, edges, pieces.breaks, pieces.corners, strict=True)
        return tuple(Axis(*each, rules, True, corners) for *each, corners in parts)
    axes, many, period = [], FAST[d]._replace(start=FAST[d].start * finer), [(0.0, 1.0)]
    for i in range(d):
        x, y = rng.uniform(*c.box.T, (LINES[d], d)), rng.uniform(0, c.lengths / c.eps, (LINES[d], d))
        (breaks,), _ = panel_edges(of_size_one(partial(fast_functions, c, i, x, y), period), period, many)
        axes.append(Axis(c.box[i], c.lengths[i], edges[i], breaks, RULES[d]))
    return tuple(axes)


def rules_of_pieces(pieces):
    """As RULES: Gauss points that are exact for squares of micro functions, in the check but for the highest power of
    cubics and above, and enough for the waves of the layers; fewer periods, since there are many points in each."""
    d, fewest = len(pieces.breaks), min(len(breaks) - 1 for breaks in pieces.breaks)
    for_waves = [-(-many * pieces.waves // fewest) for many in (8, 12)]
    points = [max(pieces.order + k, min(pieces.order + 1, 3) + k, for_waves[k]) for k in (0, 1)]
    return tuple(map(Counts, points, {1: (12, 16), 2: (6, 8)}[d]))


def of_size_one(functions, box):
    """Functions of axes, grid -> (C, n), each divided by its size in mean square."""
    size = np.sqrt((functions(random_points(box, SIZES).T, False) ** 2).mean(axis=1)) + np.finfo(float).tiny
    return lambda axes, grid: functions(axes, grid) / size[:, None]


def slow_functions(c, size, y, axes, grid):
    """f, a(x, y) at some y (P, d), and a share of the second derivatives of u0 beside the size of its gradient, whose
    logarithms in corners are left to the rule, which is dense there: (C, n)."""
    macro = macro_at(c, axes, grid, second=False)
    x, (n, d) = macro.x, macro.x.shape
    H = macro.slope * CORNERS[d] * np.ptp(c.box, axis=1)[:, None, None]
    a = pairwise_tensors(c.coefficient, np.tile(x, (len(y), 1)), np.repeat(y, n, axis=0))
    f = checked_values("source", c.source, x)
    return np.concatenate([f[None], size + H.reshape(d * d, n), entries_on_lines(a, len(y))])


def fast_functions(c, axis, x, y, places, grid):
    """a and 1 / a at places of a period of an axis, the only one, on lines through (x, y): (C, n)."""
    lines, n = len(x), len(places[0])
    y = np.repeat(y, n, axis=0)
    y[:, axis] = np.tile(places[0], lines) * c.lengths[axis] / c.eps
    a = pairwise_tensors(c.coefficient, np.repeat(x, n, axis=0), y)
    return np.concatenate([entries_on_lines(part, lines) for part in (a, inverse(a))])


def entries_on_lines(a, lines):
    """All entries of tensors (lines n, d, d) as functions of the n points of a line: (C, n)."""
    n = len(a) // lines
    return a.reshape(lines, n, -1).transpose(0, 2, 1).reshape(-1, n)


def pairwise_tensors(coefficient, x, y):
    """a(x, y) at pairs of points: (n, d, d), or (n, 1, 1)."""
    return compact_tensor_of(lambda x: coefficient(x, y.copy()), x)


def unseen(c, axes):
    """u of the head of this file."""
    d, counts, functions = len(axes), axes[0].rules[1], partial(tensors_and_inverses, c)
    x = scattered_in(c.box)[:SCATTERED_IN_BOX]
    z, a = np.hstack([x, x / c.eps]), functions(x)
    sizes, found = of_both(np.abs(a).mean(axis=1)), 0.0
    moved = functions(np.hstack([np.roll(x, 1, axis=0), x / c.eps]))
    varies = np.abs(moved - a).max() > TINY * np.abs(a).max()
    for i, axis in enumerate(axes):
        misses = missed_along(functions, piece_around(axis, x[:, i]), counts.points, i, x)
        found += far_off(misses, sizes, FAST[d].tolerance)
        panel = panel_around(axis.edges, x[:, i])
        skips = varies * (np.diff(panel, axis=0)[0] > counts.periods * axis.length)  # where a few periods stand for all
        if skips.any():
            misses = missed_along(functions, panel, SLOW[d].count, i, z)
            found += far_off(skips * misses, sizes, SLOW[d].tolerance)
        found += (missed_in_narrow(functions, axis, i, x) / sizes).sum()
    return float(np.sqrt(PEAK * found))


def tensors_and_inverses(c, z):
    """The entries of a, then of 1 / a, at pairs (x, y), z (n, 2 d), or at (x, x / eps) for z = x (n, d): (C, n)."""
    x, y = np.split(z, 2, axis=1) if z.shape[1] > len(c.box) else (z, z / c.eps)
    a = pairwise_tensors(c.coefficient, x, y)
    return np.concatenate([part.reshape(len(z), -1).T for part in (a, inverse(a))])


def of_both(entries):
    """The largest of a and of 1 / a: (C, ...) -> (2, ...)."""
    return entries.reshape(2, -1, *entries.shape[1:]).max(axis=1)


def far_off(misses, sizes, tolerance):
    """The mean of the misses (C, n), relative to sizes (2,), that are FAR times those of all but a hundredth of the
    points, or of what panels allow; the sum of both."""
    miss = of_both(misses) / sizes[:, None]
    least = np.minimum(np.quantile(miss, 0.99, axis=1), tolerance)
    return np.where(miss > np.maximum(FAR * least, TINY)[:, None], miss, 0).mean(axis=1).sum()


def missed_in_narrow(functions, axis, i, x):
    """What polynomials miss of a and 1 / a in panels that few scattered points x (n, d) meet, in the mean over the box:
    (2,).  A coefficient that jumps in x does so in one of them, however narrow they are."""
    widths, panels = np.diff(axis.edges) / np.ptp(axis.ends), SLOW[x.shape[1]]
    narrow = np.flatnonzero(widths * len(x) < MET)
    if not len(narrow):
        return np.zeros(2)
    k = np.repeat(narrow, INSIDE)
    x = x[np.arange(len(k)) % len(x)]  # of the other axes
    inside = np.random.default_rng(7).random(len(x))
    ends = np.stack([axis.edges[k], axis.edges[k + 1]])
    x[:, i] = ends[0] * (1 - inside) + ends[1] * inside
    misses = of_both(missed_along(functions, ends, panels.count, i, x))
    return np.where(misses > FAR * panels.tolerance, misses, 0) @ widths[k] / INSIDE


def fit_axes(axes, pieces):
    """The axes of the least squares of layers, which take fewer points a period where there are many pieces."""
    if not pieces:
        return axes
    counts = [int(np.clip(IN_FIT // (len(breaks) - 1), 2, 4)) for breaks in pieces.coarse]
    return tuple(
        axis._replace(breaks=breaks, rules=(Counts(count, 0),))
        for axis, breaks, count in zip(axes, pieces.coarse, counts, strict=True)
    )


def sample(axes, faces):
    """Points of every axis, and weights, of a part of the box: a period from these faces, some periods along them."""
    d, counts = len(axes), [axis.rules[0].points for axis in axes]
    at_faces = [[layer_pieces(axis, f.at, 1 - 2 * f.side) for f in faces if f.axis == i] for i, axis in enumerate(axes)]
    pieces = [own or sampled_pieces(axis, SAMPLE[d]) for own, axis in zip(at_faces, axes, strict=True)]
    parts = [[gauss(ends, count) for ends in some] for some, count in zip(pieces, counts, strict=True)]
    return zip(*(map(np.concatenate, zip(*part, strict=True)) for part in parts), strict=True)


def sampled_pieces(axis, some):
    """Pieces of some periods, without those at the ends of the box where there are others."""
    low, high = axis.ends
    periods = max(1, round((high - low) / axis.length))
    inner = min(1, (periods - 1) // 2)
    chosen = np.unique(np.linspace(inner, periods - 1 - inner, some).round())
    pieces = [period_pieces(axis, low + k * axis.length) for k in chosen if 0 < k < periods - 1]
    pieces += [layer_pieces(axis, low, 1)] * (0 in chosen) + [layer_pieces(axis, high, -1)] * (periods - 1 in chosen)
    return pieces


# --- the bounds -------------------------------------------------------------------------------------------


class Integrals(NamedTuple):
    own: float  # E
    other: float  # D of a candidate w; of v itself if there is none
    apart: float  # |v - w|_a
    trace: float  # T = |t|_a
    energy: float  # |v|_a
    flux: float  # |s'|_1/a
    least: float  # eigenvalue of a
    largest: float
    constants: np.ndarray  # of s', one a line


def rules_of(certificate):
    """The rules of the check and of the bounds, points and weights of every axis: of some periods or all elements."""
    axes, elements = certificate.axes, certificate.scales.elements
    if elements:
        return element_rules([line.args[0] for line in elements.lines], axes)
    return [[rule(axis, *axis.rules[k]) for axis in axes] for k in (0, 1)]


def element_rules(meshes, axes):
    """The same, for a mesh on every axis.  In one dimension the elements of the bounds are cut once more: what is left
    of fields after many orders is as rough as rounding and the knots of u0, and two rules in whole elements miss it
    alike."""
    ends = [breaks_of(mesh, 0) for mesh in meshes]
    cut = [np.sort(np.append(z, z[:-1] + CUT * np.diff(z))) for z in ends] if len(ends) == 1 else ends
    return [
        [
            gauss(z, max(mesh.order + MORE[k], axis.rules[k].points))
            for z, mesh, axis in zip((ends, cut)[k], meshes, axes, strict=True)
        ]
        for k in (0, 1)
    ]


def integrals(certificate, rules, candidate=None):
    """By the rules of all axes; candidate: points -> grad w, grad t, (n, d) each."""
    k, (c, balance) = certificate.balance.axis, tabulated(certificate, [points for points, _ in rules])
    sums, lines, line_weights, eigenvalues = 0.0, [], [], []
    for axes, weights in blocks_of_grid(rules, k):
        x, slope, s, a = fine_fields(c, balance, axes)
        w, gradients = reduce(np.kron, weights), [slope]
        if candidate:
            other, trace = (part.T for part in candidate(x))
            gradients += [slope - other, trace]
        fluxes = [product(a, z) for z in gradients]
        sums += np.array([(z * flux).sum(0) @ w for z, flux in zip(gradients, fluxes, strict=True)])
        misses = [s, s - fluxes[0], *(s - fluxes[0] + flux for flux in fluxes[1:2])]  # of zero, v and w
        lines.append(along_lines(misses, a, k, weights))
        line_weights.append(reduce(np.kron, [z for i, z in enumerate(weights) if i != k], np.ones(1)))
        least, largest = extreme_eigenvalues(a)
        eigenvalues += [least.min(), largest.max()]
    if len(rules) == 1:  # all blocks are of one line
        lines, line_weights = [sum(lines)], [np.ones(1)]
    lines, line_weights = np.concatenate(lines, axis=1), np.concatenate(line_weights)
    (flux, own, *other), constants = with_constants(lines, line_weights, balance.free)
    energy, *apart_trace = np.sqrt(np.maximum(sums, 0))
    norms = own, *(other or [own]), *(apart_trace or [0.0, 0.0]), energy, flux
    return Integrals(*norms, min(eigenvalues), max(eigenvalues), constants)


def along_lines(fluxes, a, k, weights):
    """Integrals over the lines along axis k of a grid, with B = 1/a: of s . B s for each of F fluxes s (d, n), then of
    (B s)_k for each, then of B_kk: (2 F + 1, lines)."""
    back, unit = inverse(a), np.broadcast_to(np.eye(len(weights))[:, k : k + 1], fluxes[0].shape)
    turned = [product(back, s) for s in (*fluxes, unit)]
    values = [(s * each).sum(0) for s, each in zip(fluxes, turned[:-1], strict=True)] + [each[k] for each in turned]
    found = np.moveaxis(np.reshape(values, (-1, *map(len, weights))), 1 + k, -1) @ weights[k]
    return found.reshape(len(found), -1)


def with_constants(lines, weights, free):
    """|s + constant e_k|_1/a of each of the fluxes of `along_lines`, (F,), and the constants, one a line: those that
    are best for the second flux, s' - a grad v, if they are free, or 0."""
    (squares, means), C = np.split(lines[:-1], 2), lines[-1]
    shift = -free * means[1] / C
    lost = CANCELLED * (2 * np.abs(shift * means) + shift**2 * C)  # in the next line, of terms that nearly cancel
    return np.sqrt(np.maximum((squares + 2 * shift * means + shift**2 * C + lost) @ weights, 0)), shift


def tabulated(certificate, axes):
    """The scales and the balance of a certificate, quick at the points of these axes."""
    c, balance = certificate.scales, certificate.balance
    elements = c.elements and c.elements.tabulated(axes)
    c = c._replace(macro=c.macro.tabulated(axes), micro=c.micro.tabulated(axes), elements=elements)
    return c, balance._replace(integral=balance.integral.tabulated(axes))


def blocks_of_grid(rules, k):
    """Parts of a grid, of whole lines along the axis k in more than one dimension: points, weights of every axis."""
    d, cut = len(rules), (k + 1) % len(rules)  # the axis that is cut
    others = np.prod([len(x) for axis, (x, _) in enumerate(rules) if axis != cut], dtype=int)
    rows = max(1, BLOCK // others)
    for start in range(0, len(rules[cut][0]), rows):
        part = [slice(start, start + rows) if axis == cut else slice(None) for axis in range(d)]
        yield zip(*((x[p], w[p]) for (x, w), p in zip(rules, part, strict=True)), strict=True)


def fine_fields(c, balance, axes):
    """On a grid: points (n, d), grad v (d, n), s' but for the constants (d, n), a (n, d, d), or (n, 1, 1)."""
    found = fields_at(c, axes, True)
    s = homogenized_flux(c, found.macro, axes, True)[0] + found.curl
    s[balance.axis] += balance.integral.at(axes, True, ())[0][0]
    return found.macro.x, found.slope, s, compact_tensor_of(at_fine_scale(c), found.macro.x)


def misses_of(certificate, part):
    """eta, with what u adds to E, and tau."""
    E = min(part.own, part.other)
    grown = np.hypot(E, certificate.unseen * max(part.energy, part.flux)) - E
    return certificate.balance.miss / np.sqrt(part.least) + grown, certificate.trace * np.sqrt(part.largest)


def norm_and_error(certificate, part):
    """Lower and upper bound of |u|_a, and the bound of the relative error, from the Integrals of one rule."""
    eta, tau = misses_of(certificate, part)
    middle = np.sqrt(max(2 * part.flux**2 + 2 * part.energy**2 - part.own**2, 0)) / 2
    radius = part.own / 2 + eta + tau
    if len(certificate.axes) == 1:  # s' is a u' but for what misses the balance
        middle, radius = part.flux, eta + tau
    least, error = middle - radius, part.own + eta + 2 * tau
    if vanishes_on_faces(certificate.scales):
        least = max(least, (part.flux**2 + part.energy**2 - part.own**2) / (2 * part.energy or 1.0) - eta)
    return (least, middle + radius), error / least if least > 0 else np.inf if error > 0 else 0.0


def bounded(certificate):
    """The bounds from the finer rule; by how much they differ from those of the coarser one is added."""
    parts = [integrals(certificate, rules) for rules in rules_of(certificate)]
    norms, errors = zip(*(norm_and_error(certificate, part) for part in parts), strict=True)
    change = abs(errors[1] - errors[0]) if np.isfinite(errors).all() else np.inf
    (least, most), moved = norms[1], np.abs(np.subtract(*norms)) + ROUNDING * norms[1][1]
    norm = float(max(least - moved[0], 0.0)), float(most + moved[1])
    error = float(errors[1] * (1 + ROUNDING) + LEAST * (errors[1] > 0) + change)
    constant = float(parts[1].constants[0]) if len(certificate.axes) == 1 else 0.0
    return certificate._replace(error=error, norm=norm, quadrature=float(change), constant=constant)


# --- values on faces that are missed ------------------------------------------------------------------------


def blended(c, miss, axes, x):
    """A function with the values of `miss` on the faces where u is known, blended linearly over the first axes: values
    (n,), gradients (n, d) at points x (n, d).

    miss: face, points of it -> values (n,), gradients (n, d), of which the normal part is of no use.
    """
    if axes == 0:
        return np.zeros(len(x)), np.zeros(x.shape)
    u, g = blended(c, miss, axes - 1, x)
    axis, (low, high) = axes - 1, c.box[axes - 1]
    pair, normal = pair_of(c.faces, axis), np.arange(x.shape[1]) == axis
    both = not (pair[0].flux or pair[1].flux)
    for face, share in zip(pair, shares([not f.flux for f in pair], (x[:, axis] - low) / (high - low)), strict=True):
        if share is not None:
            y, where = np.unique(np.where(normal, face.at, x), axis=0, return_inverse=True)  # many fall together
            values, slopes = (a - b for a, b in zip(miss(face, y), blended(c, miss, axis, y), strict=True))
            values, slopes = values[where.reshape(-1)], slopes[where.reshape(-1)]
            u = u + share * values
            g = g + np.where(
                normal, both * (2 * face.side - 1) / (high - low) * values[:, None], share[:, None] * slopes
            )
    return u, g


def data_and_slope(c, face, x):
    """g at points of a face, and its gradient along it by differences: (n,), (n, d)."""
    g, slope = checked_values("boundary", face.data, x), np.zeros(x.shape)
    for i in range(x.shape[1]):
        if i != face.axis:
            step = STEP * (c.box[i, 1] - c.box[i, 0]) * (np.arange(x.shape[1]) == i)
            ahead, behind = (np.clip(x + s * step, *c.box.T) for s in (1, -1))
            change = checked_values("boundary", face.data, ahead) - checked_values("boundary", face.data, behind)
            slope[:, i] = change / (ahead - behind)[:, i]
    return g, slope


def is_constant(face):
    return isinstance(face.data, partial) and face.data.func is constant_at


def vanishes_on_faces(c):
    """Whether u = 0 wherever it is known."""
    return all(face.flux or (is_constant(face) and face.data.args == (0.0,)) for face in c.faces)


def trace_of_values(c):
    """|grad t| in L2 of a blending t of g - u0 from the faces where u is known; 0 where they are numbers."""
    known = [face for face in c.faces if not face.flux]
    if len(c.box) == 1 or all(is_constant(face) for face in known):
        return 0.0

    def miss(face, x):
        macro = macro_at(c, x.T, False, second=False)
        g, slope = data_and_slope(c, face, x)
        return g - macro.u0, slope - macro.D.T

    knots = macro_nodes(c.box, len(c.macro.values))
    axes, weights = zip(*(gauss(z, 3) for z in knots), strict=True)
    slope = blended(c, miss, len(axes), tensor_grid(axes))[1]
    for face in known:
        x = random_points(c.box, 10_000)
        x[:, face.axis] = face.at
        seen, size = np.abs(miss(face, on_face(face, axes))[0]).max(), np.abs(face.data(x)).max()
        if np.abs(miss(face, x)[0]).max() > 10 * seen + 1e-9 * size:
            return np.inf  # g has waves or bumps between the knots
    return float(np.sqrt(reduce(np.kron, weights) @ (slope**2).sum(1)))


# --- other candidates -------------------------------------------------------------------------------------


def certify(certificate, value, gradient):
    """Lower and upper bound of the relative energy error |u - w|_a / |u|_a of a candidate w for the same equation.

    value, gradient: of w at points (n, d): (n,), (n, d); w need not be g on the faces.  By (3), and by
    | |v - w|_a - |u - w|_a | <= E + eta + 2 tau: of the two the better one.
    """
    found, trace = [], candidate_parts(certificate, value, gradient)
    for rules in rules_of(certificate):
        part = integrals(certificate, rules, trace)
        eta, tau = misses_of(certificate, part)
        of_s, of_v, T = part.own + eta + tau, part.own + eta + 2 * tau, part.trace
        q, D = min(of_s, T), max(part.other - eta, 0)
        squares = D**2 - of_s**2 - 2 * of_s * T, (part.other + eta) ** 2 + 2 * q * T - q**2
        found.append((*squares, part.apart - of_v, part.apart + of_v))
    (below, above, least, most), change = found[1], np.abs(np.subtract(*found))
    allowance = change[:2] + ROUNDING * abs(above)  # of squares: they nearly cancel for a good candidate
    seen, more = peaks_of(certificate, trace, part.apart)
    lower = max(np.sqrt(max(below - 2 * allowance[0], 0)), least - change[2], 0)
    lower = max(min(lower, seen - of_v), 0)
    upper = min(np.sqrt(above + allowance[1]), most + change[3]) + more
    smallest, largest = certificate.norm
    return float(lower / largest), float(upper / smallest) if smallest > 0 else np.inf


def peaks_of(certificate, candidate, apart):
    """For a w with peaks that points of the rule miss, or meet too often: the least |v - w|_a by scattered points, and
    how much larger than by the rule it may be; inf, 0 where there are none.

    Peaks are what these points find and chance does not explain, on a lattice it explains little of a w without peaks;
    or where the square is so uneven that chance is large itself.
    """
    c = certificate.scales
    x = scattered_in(c.box)[:SCATTERED_IN_BOX]
    miss = (certificate.reconstruction(x)[1] - candidate(x)[0]).T
    a = compact_tensor_of(at_fine_scale(c), x)
    squares = np.prod(np.ptp(c.box, axis=1)) * (miss * product(a, miss)).sum(0)
    mean, chance = squares.mean(), squares.std() / np.sqrt(len(x))
    if abs(mean - apart**2) <= chance <= UNEVEN * mean:
        return np.inf, 0.0
    return np.sqrt(max(mean - 3 * chance, 0)), np.sqrt(max(mean - apart**2 + 3 * chance, 0))


def candidate_parts(certificate, value, gradient):
    """Points -> grad w and grad t, with t a blending of w - g from the faces where u is known."""
    c = certificate.scales
    known = [face for face in c.faces if not face.flux]
    axes = [points for points, _ in rules_of(certificate)[1]]  # as dense as the integrals
    size = np.abs(value(tensor_grid([np.linspace(*ends, 33) for ends in c.box]))).max()
    edges = [(face, on_face(face, axes)) for face in known]
    if max(np.abs(value(x) - face.data(x)).max() for face, x in edges) <= 1e-12 * size:
        return lambda x: (slope := gradient(x), 0 * slope)

    def miss(face, x):
        g, slope = data_and_slope(c, face, x)
        return value(x) - g, gradient(x) - slope

    return lambda x: (gradient(x), blended(c, miss, x.shape[1], x)[1])
