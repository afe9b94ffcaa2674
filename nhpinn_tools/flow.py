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
"""

from functools import reduce

import numpy as np

from nhpinn_functions import on_face
from nhpinn_tools.certificates import blocks, fine_tensor, is_constant, rules_of
from nhpinn_tools.layers import fields_at


def flow(certificate, axis, side):
    """Lower and upper bound of the flow through a face; what two rules of quadrature differ by is added."""
    faces = certificate.scales.faces
    face, opposite = faces[2 * axis + side], faces[2 * axis + 1 - side]
    if not face.flux and any(not other.flux for other in faces if other.axis != axis):
        return -np.inf, np.inf
    coarse, fine = (bounds_by(certificate, face, opposite, rules) for rules in rules_of(certificate))
    change = np.abs(np.subtract(coarse, fine)) + (1e-12 + certificate.unseen**2) * np.abs(fine)
    return float(fine[0] - change[0]), float(fine[1] + change[1])


def bounds_by(certificate, face, opposite, rules):
    c = certificate.scales
    if face.flux:
        return (flow_of_data(rules, face),) * 2
    slope = 0.0 if opposite.flux else (2 * face.side - 1) / abs(face.at - opposite.at)  # of p

    def p(x):
        return 1 + slope * (x[:, face.axis] - face.at)

    energy, along, of_p, load, busy = integrals(certificate, rules, face.axis, p)
    inflows = [flow_of_data(rules, other, p) for other in c.faces if other.flux]
    Q = slope * along - load - sum(inflows)
    if opposite.flux:
        return Q, Q
    bar = certificate.error * certificate.norm[1]
    if is_constant(face) and is_constant(opposite) and not (busy or any(inflows)):
        drop = face.data.args[0] - opposite.data.args[0]
        return tuple(sorted([(energy - bar**2) / drop, energy / drop])) if drop else (0.0, 0.0)
    return Q - bar * abs(slope) * np.sqrt(of_p), Q + bar * abs(slope) * np.sqrt(of_p)


def integrals(certificate, rules, k, p):
    """|v|_a^2, the integrals of (a grad v)_k, a_kk and f p, and whether f is not 0 somewhere."""
    c, sums, busy = certificate.scales, np.zeros(4), False
    for axes, weights in blocks(rules, certificate.balance.axis):
        found, w = fields_at(c, axes, True), reduce(np.kron, weights)
        a, f = fine_tensor(c, found.macro.x), c.source(found.macro.x)
        s = np.einsum("nij,jn->in", a, found.slope)
        sums += w @ (s * found.slope).sum(0), w @ s[k], w @ a[:, k, k], w @ (f * p(found.macro.x))
        busy |= np.any(f)
    return *sums, busy


def flow_of_data(rules, face, p=None):
    """The integral of h, or of h p, over a face of fluxes."""
    x = on_face(face, [points for points, _ in rules])
    w = reduce(np.kron, [weights for i, (_, weights) in enumerate(rules) if i != face.axis], np.ones(1))
    return w @ (face.data(x) * (1 if p is None else p(x)))
