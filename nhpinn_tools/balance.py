"""The flux of a certificate in balance: s' with  -div s' = f  and  n . s' = h  on the faces of fluxes.

    s' = P + (what has no divergence) + (R + constants) e_k,       P = a* grad u0 + sum over faces of fluxes of share d

    d       h less the normal flux of a* grad u0 on the face, and share its blending across the axis of the face: 1 on
            it, 0 on the opposite face if that is one of fluxes, too; else 1 everywhere
    r       -div P - f: known, nothing is assumed of u0; in one dimension a* grad u0 is left out, r = -f
    R       the integral of r along the axis k, which has a face where u is known.  If the other one is of fluxes, it
            starts there; else every line has a constant of its own, whatever is best; in one dimension R has that of
            a* u0' already, without which small differences of large squares would be left to rounding

R is the integral of a piecewise polynomial r_I through r at Gauss points of panels.  What that misses, m = r - r_I, has

    |m| in the dual norm  <=  eta,      eta^2 = ( (size of the cells / pi)^2 |m - mean m|^2 + C^2 |mean m|^2 ) / least a

by the inequalities of Poincare in every convex cell of panels, with the cells' means, and of Friedrichs, C = L / pi for
an axis of length L with values on both faces, 2 L / pi with one.  So s' is eta from a flux in exact balance.

|m| is an integral, too.  At scattered points, what the interpolant of f misses is compared with what it misses at the
points of that integral; where it is more than twice that in mean square, f has peaks that the panels have not seen, and
C times all of it is added to eta.
"""

from functools import reduce
from typing import NamedTuple

import numpy as np

from fem import gauss, tensor_grid
from nhpinn_functions import checked_values, midpoint_axes, pair_of
from nhpinn_tools.bounds import scattered_in
from nhpinn_tools.calls import warn
from nhpinn_tools.quadrature import Panels, at_points, integral_table, panel_edges, panel_table
from nhpinn_tools.two_scale import Table, macro_at, shares

# Of r
PANELS = {1: Panels(8, 4000, 12, 1e-11, 50_000), 2: Panels(4, 48, 8, 1e-4, 3_000), 3: Panels(2, 12, 6, 1e-3, 1_000)}
DENSER = 3  # more Gauss points a panel, at which r and f are compared with their interpolants
SPARED = {1: 1, 2: 3, 3: 3}  # one of so many scattered points looks for peaks of f
ROUNDED, LARGE = 1e-20, 1e-4  # squares of parts of f: in peaks, that are rounding; of which a warning tells


class Balance(NamedTuple):
    axis: int  # k
    integral: Table  # R
    free: bool  # whether every line has a constant of its own
    miss: float = 0.0  # eta, for a coefficient whose least eigenvalue is 1
    residual: float = 0.0  # of the homogenized equation, relative to f, in L2


def homogenized_flux(c, macro, axes, grid):
    """P (d, n), and div P (n,)."""
    d = len(axes)
    P, divergence = np.zeros((d, len(macro.x))), np.zeros(len(macro.x))
    if d > 1:
        P, divergence = flux_of_u0(c, macro, axes, grid)
    for axis in range(d):
        pair = pair_of(c.faces, axis)
        t = (macro.x[:, axis] - c.box[axis, 0]) / np.ptp(c.box[axis])
        for face, share in zip(pair, shares([face.flux for face in pair], t), strict=True):
            if share is not None:
                d_F = flux_miss(c, face, axes, grid)
                P[axis] += share * d_F
                if pair[1 - face.side].flux:
                    divergence += (2 * face.side - 1) / np.ptp(c.box[axis]) * d_F
    return P, divergence


def flux_of_u0(c, macro, axes, grid):
    """a* grad u0 (d, n) and its divergence (n,)."""
    d = len(axes)
    if c.tensor.values.size == d * d:  # a* is constant
        a = c.tensor.values.reshape(d, d)
        return a @ macro.D[:d], np.tensordot(a, macro.slope[:, :d], 2)
    a, *slopes = (part.reshape(d, d, -1) for part in c.tensor.at(axes, grid, (), *[(i,) for i in range(d)]))
    divergence = np.einsum("ijn,ijn->n", a, macro.slope[:, :d])
    divergence += sum(np.einsum("jn,jn->n", slopes[i][i], macro.D[:d]) for i in range(d))
    return np.einsum("ijn,jn->in", a, macro.D[:d]), divergence


def flux_miss(c, face, axes, grid):
    """What a* grad u0 lacks of the flux of a face, along the axis, at the points' projections on it: (n,)."""
    shape = [1 if i == face.axis else len(z) for i, z in enumerate(axes)]
    end = np.full(1 if grid else len(axes[0]), face.at)
    on_it = [end if i == face.axis else z for i, z in enumerate(axes)]
    macro = macro_at(c, on_it, grid, second=False)
    miss = (2 * face.side - 1) * checked_values("boundary", face.data, macro.x)
    if len(axes) > 1:
        miss -= flux_of_u0(c, macro, on_it, grid)[0][face.axis]
    return np.broadcast_to(miss.reshape(shape), [len(z) for z in axes]).ravel() if grid else miss


def residual(c, axes, grid):
    """r at points: (n,)."""
    if len(axes) == 1:  # P is constant
        return -checked_values("source", c.source, axes[0][:, None])
    macro = macro_at(c, axes, grid, second=False)
    return -homogenized_flux(c, macro, axes, grid)[1] - checked_values("source", c.source, macro.x)


def balanced(c):
    """The Balance of c: R along the axis for which it is least."""
    count, size = PANELS[len(c.box)].count, residual_size(c)
    edges, _ = panel_edges(lambda *at: residual(c, *at)[None] / size, c.box, PANELS[len(c.box)])
    axes, weights = zip(*(gauss(e, count) for e in edges), strict=True)
    r = panel_table(residual(c, axes, True)[None], edges, count)
    known = [axis for axis in range(len(axes)) if not all(face.flux for face in pair_of(c.faces, axis))]
    choices = [integrated(c, r, edges, axis) for axis in known]
    best = min(choices, key=lambda choice: deviation(choice, axes, weights))
    miss = miss_of(c, r, edges) + unseen_source(c, edges)
    return best._replace(miss=miss, residual=relative_residual(c, axes, weights))


def residual_size(c):
    """What r is small or large against: f, and the flux over the length of the box."""
    macro = macro_at(c, axes := midpoint_axes(c.box, {1: 256, 2: 32, 3: 12}[len(c.box)]), True, second=False)
    flux = np.abs(flux_of_u0(c, macro, axes, True)[0]).max(axis=1) / np.ptp(c.box, axis=1)
    return max(np.abs(checked_values("source", c.source, macro.x)).max(), flux.max(), np.finfo(float).tiny)


def integrated(c, r, edges, axis):
    """The Balance with the integral of r along an axis."""
    low, high = pair_of(c.faces, axis)
    R, free = integral_table(r, edges[axis], axis, high.flux), not (low.flux or high.flux)
    if free and len(edges) == 1:
        x = midpoint_axes(c.box, 256)
        flux = flux_of_u0(c, macro_at(c, x, True, second=False), x, True)[0]
        R = R._replace(values=R.values + np.mean(flux - R.at(x, True, ())[0]))
    return Balance(axis, R, free)


def deviation(choice, axes, weights):
    """The size of R in L2, less the best constant on every line where that is free."""
    R = choice.integral.at(axes, True, ())[0][0].reshape([len(x) for x in axes])
    R = np.moveaxis(R, choice.axis, -1)
    along = weights[choice.axis] / weights[choice.axis].sum()
    R = R - choice.free * (R @ along)[..., None]
    others = [w for i, w in enumerate(weights) if i != choice.axis]
    return reduce(np.kron, [*others, along]) @ R.ravel() ** 2


def miss_of(c, r, edges):
    """eta for a coefficient whose least eigenvalue is 1: from what its interpolant misses of r, at denser points."""
    d, count, (axes, weights) = len(edges), PANELS[len(edges)].count + DENSER, denser_rule(edges)
    miss = residual(c, axes, True) - r.at(axes, True, ())[0][0]
    order = [*range(0, 2 * d, 2), *range(1, 2 * d, 2)]  # cells, then the points of each
    shape = [n for e in edges for n in (len(e) - 1, count)]
    miss, w = (z.reshape(shape).transpose(order).reshape(-1, count**d) for z in (miss, weights))
    volume = w.sum(1)
    mean = (w * miss).sum(1) / volume
    inside = (w * (miss - mean[:, None]) ** 2).sum(1)
    widths = tensor_grid([np.diff(e) for e in edges]).max(axis=1)
    of_means = friedrichs(c) * np.sqrt(volume @ mean**2)
    if d == 1:  # |p| <= L^(1/2) |p'|: much less where the means are those of a step in a narrow panel
        of_means = min(of_means, np.sqrt(volume.sum()) * (volume @ np.abs(mean)))
    return np.hypot(np.sqrt(inside @ (widths / np.pi) ** 2), of_means)


def denser_rule(edges):
    """Points of every axis, and weights (n,) of their grid, of a rule of more Gauss points a panel than r has."""
    axes, weights = zip(*(gauss(e, PANELS[len(edges)].count + DENSER) for e in edges), strict=True)
    return axes, reduce(np.kron, weights)


def unseen_source(c, edges):
    """What is added to `miss_of` for peaks of f between the points of panels, see the head of this file."""
    count, (axes, weights) = PANELS[len(edges)].count, denser_rule(edges)

    def f(x):
        return checked_values("source", c.source, x)[None]

    values, denser = f(tensor_grid([gauss(e, count)[0] for e in edges])), f(tensor_grid(axes))
    own = weights @ (denser - panel_table(values, edges, count).at(axes, True, ())[0])[0] ** 2
    x = scattered_in(c.box)[:: SPARED[len(edges)]]
    misses = [(f(part) - at_points(values, edges, count, part))[0] for part in np.array_split(x, 10)]
    found = np.prod(np.ptp(c.box, axis=1)) * np.mean(np.concatenate(misses) ** 2)
    size = weights @ denser[0] ** 2
    if found <= 4 * own + ROUNDED * size:
        return 0.0
    if found > LARGE * size:
        warn(
            "source: has peaks that the quadrature of the error bar does not resolve; the bar is larger, to cover what "
            "is missed; expected wider peaks"
        )
    return friedrichs(c) * np.sqrt(found)


def friedrichs(c):
    """The least constant of |p| <= C |grad p| for p that vanish where u is known."""
    values = [sum(not face.flux for face in pair_of(c.faces, axis)) for axis in range(len(c.box))]
    return min(np.ptp(ends) * (3 - n) / np.pi for ends, n in zip(c.box, values, strict=True) if n)


def relative_residual(c, axes, weights):
    """The residual of the homogenized equation over f, in L2; 0 for f = 0."""
    macro = macro_at(c, axes, True, second=False)
    f, w = checked_values("source", c.source, macro.x), reduce(np.kron, weights)
    r = f + flux_of_u0(c, macro, axes, True)[1]
    return float(np.sqrt(w @ r**2 / (w @ f**2))) if f.any() else 0.0
