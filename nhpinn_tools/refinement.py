"""A tolerance that is met: finite elements are added to v and, as a stream function, to s', where the expansion ends.

For any w that vanishes where u is known, and any psi that is constant on each connected run of faces where n . a grad u
is known, v + w and s' + curl psi, curl psi = (-d_1 psi, d_0 psi), are admissible in the bound of certificates.py,

    |u - v - w|_a  <=  |s' + curl psi - a grad(v + w)|_1/a.

The best of both are two problems that do not know of each other: with d = s' - a grad v,

    (a grad w, grad phi) = (d, grad phi),        (1/a curl psi, curl phi) = -(1/a d, curl phi).                     (1)

In the plane both have a stiffness matrix, since 1/a is a / det a, turned.  psi is zero on faces of fluxes, and where
these are two opposite ones, the runs are two: then the linear function from one to the other has a factor as well.  In
one dimension s' lacks a constant alone, and w is an integral,

    w' = (s' + constant) / a - v',                                                                                  (2)

of a polynomial through Gauss points in each element.

Elements end where the pieces of the certificate's quadrature do: those of a period, of layers, and panels.  What they
leave falls geometrically with their order, which grows until the bar is below the tolerance.  (1) is solved by
conjugate gradients without a matrix.  The preconditioner has the means of the diagonal of a in the place of a, and is
diagonal in products of eigenfunctions of one axis each (fast diagonalisation: Lynch, Rice, Thomas 1964): the number of
iterations grows with the contrast of a, but neither with 1 / eps nor with the order.

Nothing is assumed of w and psi: the bar is by the certificate's own integrals, with rules of more points an element.
"""

from functools import partial

import numpy as np
from scipy import linalg

from fem import Mesh, basis_matrices, breaks_of, gauss, lobatto
from nhpinn_functions import extreme_eigenvalues
from nhpinn_tools.bounds import inverse, product
from nhpinn_tools.calls import warn
from nhpinn_tools.certificates import bounded, element_rules, fine_fields, slabs
from nhpinn_tools.polynomials import solution
from nhpinn_tools.quadrature import SLIVER, corner_ends, element_ends, integral_table, panel_table
from nhpinn_tools.two_scale import Table

ORDERS = {1: (8, 24), 2: (3, 12)}  # at first, and at most
NODES = 4_000_000  # at most
CLOSE = 0.1  # the error of conjugate gradients, of the tolerance
RATE, ROUGH, STALLED = 0.4, 0.6, 0.85  # by which the bar falls with an order: expected, of a rough u, of no use
FURTHER = 3  # orders at a time, after the first ones
SHORTEST = 1e-4  # of a period: elements that are cut no more; eigenfunctions of 1e6 times narrower ones are noise
CUTS = {False: (0.3,), True: (0.15, 0.15, 0.15)}  # of elements at corners at a time, shares, of a smooth and a rough u


def refined(certificate, tolerance):
    """The certificate with elements, in one or two dimensions, of an order that brings its error below the tolerance.

    With every attempt elements are cut at corners, of the box and of the coefficient; where the bar falls slowly, there
    rather than that orders grow.  A warning says where the tolerance is not met.
    """
    axes, best, order, rate, rough = certificate.axes, certificate, 0, RATE, False
    ends, (first, most) = [element_ends(axis, SLIVER[len(axes)]) for axis in axes], ORDERS[len(axes)]
    while best.error > tolerance and np.isfinite(certificate.trace) and order < most and rate < STALLED:
        more = 2 if rough else np.ceil(np.log(min(tolerance / min(best.error, 1), 1)) / np.log(rate))
        wanted = order + int(np.clip(more, 1, FURTHER)) if order else max(first, int(more))
        if len(axes) > 1:
            ends = [graded(axis, z, CUTS[rough]) for axis, z in zip(axes, ends, strict=True)]
        room = int((NODES / np.prod([len(z) for z in ends], dtype=float)) ** (1 / len(axes)))
        last, order = order, min(wanted, most, room)
        if order <= last:
            break
        found = with_elements(certificate, ends, order, CLOSE * tolerance / min(certificate.error, 1))
        rate = (min(found.error, 1) / min(best.error, 1)) ** (1 / (order - last))
        best, rough = min(best, found, key=lambda each: each.error), rough or rate > ROUGH
    if best.error > tolerance:
        why = "a larger eps or a smoother coefficient" if rate < STALLED else "a smoother source or boundary"
        if best.error < 1e-8:
            why = "rounding and quadrature allow no less, a larger tolerance"
        warn(f"tolerance: found a bound of {best.error:.2g} with elements, expected {tolerance:g}; {why} would help")
    return best


def graded(axis, ends, shares):
    """The ends of elements of an axis with those beside corners cut, one time after the other."""
    corners, narrowest = corner_ends(axis), SHORTEST * axis.length
    for share in shares:
        k = np.clip(np.searchsorted(ends, corners - 1e-9 * np.ptp(ends)), 0, len(ends) - 1)
        widths = np.diff(ends)
        above, below = k[k < len(widths)], k[k > 0]
        above, below = above[widths[above] > narrowest], below[widths[below - 1] > narrowest]
        cuts = ends[above] + share * widths[above], ends[below] - share * widths[below - 1]
        ends = np.sort(np.concatenate([ends, *cuts]))
    return ends


def with_elements(certificate, ends, order, close):
    """The certificate with elements of an order between these ends an axis; close: see `solution`."""
    meshes = [Mesh(((z[0], z[-1]),), 1, order, cuts=(z - z[0]) / (z[-1] - z[0])) for z in ends]
    if len(meshes) == 1:
        balance, values = on_a_line(certificate, *meshes)
    else:
        balance, values = certificate.balance, in_the_plane(certificate, meshes, close)
    elements = Table([partial(element_line, mesh) for mesh in meshes], values)
    scales = certificate.scales._replace(elements=elements)
    return bounded(certificate._replace(scales=scales, balance=balance._replace(free=False)))


def element_line(mesh, x, order):
    """The line of a Table: derivatives of this order of the basis functions of a mesh of one axis."""
    return basis_matrices(mesh, 0, x)[order]


def fields_on(certificate, axes):
    """On a grid: grad v (d, n), s' but for its constants (d, n), a (n, d, d) or (n, 1, 1)."""
    parts = [fine_fields(certificate.scales, certificate.balance, some)[1:] for some in slabs(axes)]
    slope, s, a = zip(*parts, strict=True)
    return np.concatenate(slope, axis=1), np.concatenate(s, axis=1), np.concatenate(a)


# --- one dimension: an integral ---------------------------------------------------------------------------


def on_a_line(certificate, mesh):
    """The Balance with the constant of (2), and the nodal values of w: (nodes, 1)."""
    ends, balance = breaks_of(mesh, 0), certificate.balance
    x, weights = gauss(ends, mesh.order)
    slope, s, a = fields_on(certificate, [x])
    back = 1 / a[:, 0, 0]
    constant = balance.free * (weights @ (slope[0] - back * s[0])) / (weights @ back)
    low, high = (face.flux for face in certificate.scales.faces)
    w = integral_table(panel_table(back * (s + constant) - slope, [ends], mesh.order), ends, 0, low)
    nodal = w.at([nodes_of_axis(mesh)], True, ())[0][0]
    nodal[[0, -1]] *= low, high
    integral = balance.integral
    return balance._replace(integral=integral._replace(values=integral.values + constant)), nodal[:, None]


def nodes_of_axis(mesh):
    """The coordinates of the nodes of a mesh of one axis."""
    ends = breaks_of(mesh, 0)
    inner = ends[:-1, None] + np.diff(ends)[:, None] * (lobatto(mesh.order)[:-1] + 1) / 2
    return np.append(inner, ends[-1])


# --- the plane: two equations ------------------------------------------------------------------------------


def in_the_plane(certificate, meshes, close):
    """The nodal values of w and psi: (nodes, nodes, 2)."""
    rules = element_rules(meshes, certificate.axes)[0]
    slope, s, a = fields_on(certificate, [x for x, _ in rules])
    d = s - product(a, slope)
    e = product(inverse(a), d)
    turned = inverse(a) if a.shape[1] == 1 else a / np.linalg.det(a)[:, None, None]
    lines = [(*basis_matrices(mesh, 0, x)[:2], w) for mesh, (x, w) in zip(meshes, rules, strict=True)]
    flux = np.reshape([face.flux for face in certificate.scales.faces], (2, 2))
    runs = flux.all(axis=1) & ~flux.any(axis=1)[::-1]  # whether the faces of an axis are two
    linear = [nodes_of_axis(mesh) - mesh.bounds[0][0] if two else None for two, mesh in zip(runs, meshes, strict=True)]
    least, largest = extreme_eigenvalues(a)
    close = close * np.sqrt(least.min() / largest.max())
    w = minimiser(a, d, lines, ~flux, (None, None), close)
    psi = minimiser(turned, np.stack([-e[1], e[0]]), lines, flux, linear, close)
    return np.stack([w, psi], axis=-1)


def minimiser(a, flow, lines, zero, linear, close):
    """The nodal values of the z with (a grad z, grad phi) = (flow, grad phi) for all phi: (nodes, nodes).

    a: (n, 2, 2) or (n, 1, 1); flow: (2, n); lines: of each axis values and derivatives of the basis at the points, and
    their weights; zero: (2, 2), whether z is zero at the ends of each axis; linear: for each axis None, or the nodal
    values of a linear function of it that has a factor as well.
    """
    (B0, D0, w0), (B1, D1, w1) = lines
    along, w = ((D0, B1), (B0, D1)), np.multiply.outer(w0, w1).ravel()
    (V0, rates0), (V1, rates1) = (modes(*line, *how) for line, *how in zip(lines, zero, linear, strict=True))
    diagonal = w @ a[:, 0, 0] / w.sum() * rates0[:, None] + w @ a[:, -1, -1] / w.sum() * rates1
    alone = diagonal[0, 0]
    if linear[0] is not None:
        diagonal[0] = np.inf
    if linear[1] is not None:
        diagonal[:, 0] = np.inf
    diagonal[0, 0] = alone if np.any(zero) else np.inf  # a constant adds nothing

    def slopes(u):
        z = V0 @ u @ V1.T
        return np.stack([(left @ z @ right.T).ravel() for left, right in along])

    def load(flow):
        parts = (flow * w).reshape(2, len(w0), len(w1))
        return V0.T @ sum(left.T @ part @ right for part, (left, right) in zip(parts, along, strict=True)) @ V1

    u = solution(lambda u: load(product(a, slopes(u))), load(flow), diagonal, close)
    return V0 @ u @ V1.T


def modes(B, D, weights, zero, linear):
    """Functions of one axis that are zero at some of its ends, orthonormal, with orthogonal derivatives: their nodal
    values (nodes, N), and the squares of the norms of their derivatives (N,).  linear: None, or the nodal values of one
    more, the first, whose derivative is orthogonal to those of the others."""
    inner = slice(int(zero[0]), B.shape[1] - int(zero[1]))
    mass, stiffness = ((z[:, inner].T @ (z[:, inner] * weights[:, None])).toarray() for z in (B, D))
    values = np.pad(linalg.eigh(stiffness, mass)[1], ((zero[0], zero[1]), (0, 0)))
    values = values if linear is None else np.column_stack([linear, values])
    return values, weights @ (D @ values) ** 2  # more exact than eigenvalues where widths are very different
