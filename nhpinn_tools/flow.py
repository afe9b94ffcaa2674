"""The total flow through a face of a box, Q = integral of n . a grad u over it, with guaranteed bounds.

Its sign is that of Flux: what flows in, where u is a temperature and -a grad u the flow of heat.  With a function p
that is 1 on the face, and 0 on all others where u is known,

    Q = (a grad u, grad p) - (f, p) - <h, p>.

A face whose neighbours all have fluxes has such a p: linear from the opposite face if u is known there, p = 1 if not,
and then Q follows from the balance alone.  In general, by the certificate's v and its bar,

    |Q - (a grad v, grad p) + (f, p) + <h, p>|  <=  |u - v|_a |p|_a.                                                (1)

If f = 0, h = 0, and u is g_1 on the face and g_0 on the opposite one, then (a grad u, grad(u - v)) = 0, and

    (g_1 - g_0) Q = |u|_a^2 = |v|_a^2 - |u - v|_a^2 :                                                               (2)

the bounds are as close as the square of the bar.  A face that meets another one where u is known has no bounds: no p of
finite energy is 1 on one of them and 0 on the other.

f and h may jump, between points that no rule knows: their integrals have panels of their own, and what these may be off
is added to the bounds.
"""

from functools import reduce

import numpy as np

from fem import gauss
from nhpinn_functions import checked_values, pair_of
from nhpinn_tools.bounds import scattered_in
from nhpinn_tools.certificates import SCATTERED_IN_BOX, SIZES, blocks_of_grid, fine_tensor, is_constant, rules_of
from nhpinn_tools.layers import fields_at
from nhpinn_tools.quadrature import Panels, at_points, jumps, panel_edges, random_points, tails
from nhpinn_tools.two_scale import points_of

# Of f and h
PANELS = {1: Panels(8, 4000, 12, 1e-9, 50_000), 2: Panels(4, 128, 8, 1e-9, 3_000), 3: Panels(2, 12, 6, 1e-9, 1_000)}


def flow(certificate, axis, side):
    """Lower and upper bound of the flow through a face; what two rules of quadrature differ by is added."""
    faces = certificate.scales.faces
    face, opposite = pair_of(faces, axis)[:: 1 - 2 * side]
    if not face.flux and any(not other.flux for other in faces if other.axis != axis):
        return -np.inf, np.inf
    inflow, off, busy = inflow_of_data(certificate.scales, face, opposite)
    if face.flux or opposite.flux:
        coarse = fine = (inflow, inflow) if face.flux else (-inflow, -inflow)
    else:
        coarse, fine = (bounds_by(certificate, face, opposite, rules, inflow, busy) for rules in rules_of(certificate))
    change = np.abs(np.subtract(coarse, fine)) + (1e-12 + certificate.unseen**2) * np.abs(fine) + off
    return float(fine[0] - change[0]), float(fine[1] + change[1])


def slope_of_p(face, opposite):
    """The derivative of p along the axis of the face."""
    return 0.0 if face.flux or opposite.flux else (2 * face.side - 1) / abs(face.at - opposite.at)


def bounds_by(certificate, face, opposite, rules, inflow, busy):
    """Both bounds for two faces where u is known, by the rules of all axes; inflow, busy: see `inflow_of_data`."""
    slope, bar = slope_of_p(face, opposite), certificate.error * certificate.norm[1]
    energy, along, of_p = integrals_of_flow(certificate, rules, face.axis)
    if is_constant(face) and is_constant(opposite) and not busy:
        drop = face.data.args[0] - opposite.data.args[0]
        return tuple(sorted([(energy - bar**2) / drop, energy / drop])) if drop else (0.0, 0.0)
    Q = slope * along - inflow
    return Q - bar * abs(slope) * np.sqrt(of_p), Q + bar * abs(slope) * np.sqrt(of_p)


def integrals_of_flow(certificate, rules, k):
    """|v|_a^2, and the integrals of (a grad v)_k and a_kk."""
    c, sums = certificate.scales, np.zeros(3)
    for axes, weights in blocks_of_grid(rules, certificate.balance.axis):
        found, w = fields_at(c, axes, True), reduce(np.kron, weights)
        a = fine_tensor(c, found.macro.x)
        s = np.einsum("nij,jn->in", a, found.slope)
        sums += w @ (s * found.slope).sum(0), w @ s[k], w @ a[:, k, k]
    return sums


# --- integrals of the data --------------------------------------------------------------------------------


def inflow_of_data(c, face, opposite):
    """(f, p) + <h, p>, or <h, 1> over a face of fluxes: what it is, what that may be off, and whether f or h is not 0
    somewhere."""
    if face.flux:
        return over_face(c, face, lambda x: 1.0)
    slope = slope_of_p(face, opposite)

    def p(x):
        return 1 + slope * (x[:, face.axis] - face.at)

    found = [over_face(c, other, p) for other in c.faces if other.flux]
    found.append(integral(lambda x: checked_values("source", c.source, x) * p(x), c.box))
    inflow, off, busy = zip(*found, strict=True)
    return sum(inflow), sum(off), any(busy)


def over_face(c, face, p):
    """The `integral` of h times p over a face."""

    def function(x):
        x = np.insert(x, face.axis, face.at, axis=1)
        return checked_values("boundary", face.data, x) * p(x)

    return integral(function, np.delete(c.box, face.axis, axis=0))


def integral(function, box):
    """Of a function of points of a box, (n, d) -> (n,), d = 0 for a single one: the integral, what it may be off, and
    whether the function is not 0 somewhere.

    By panels, which close in on jumps.  In each, it may be off by as much as the last Legendre coefficients, or the
    steps at the ends, over its width; and by twice what scattered points find between the polynomials and the function.
    """
    if not len(box):
        value = function(np.zeros((1, 0)))[0]
        return value, 0.0, value != 0
    panels, volume = PANELS[len(box)], np.prod(np.ptp(box, axis=1))
    size = np.abs(function(random_points(box, SIZES))).max() or 1.0

    def scaled(axes, grid):
        return function(points_of(axes, grid))[None] / size

    edges, _ = panel_edges(scaled, box, panels)
    axes, weights = zip(*(gauss(e, panels.count) for e in edges), strict=True)
    values, weights = scaled(axes, True), reduce(np.kron, weights)
    x = scattered_in(box)[:SCATTERED_IN_BOX]
    misses = [at_points(values, edges, panels.count, part) - scaled(part.T, False) for part in np.array_split(x, 10)]
    off = 2 * np.abs(np.concatenate(misses, axis=1)).mean()
    for axis, e in enumerate(edges):
        unresolved = tails(values, edges, axis, panels.count) + jumps(values, edges, axis, panels.count)
        off += unresolved @ np.sqrt(np.diff(e) / np.ptp(e))
    return size * (weights @ values[0]), size * volume * off, bool(off > 0 or values.any())
