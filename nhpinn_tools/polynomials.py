"""The recipe `fourier`, homogenized equations without time: polynomials and preconditioned conjugate gradients.

    u = lift + p with the lifts of lifts.py and a polynomial p of some degree along each axis that vanishes on the value
    faces; for all such q, integrals by Gauss points,

        (a grad p, grad q) + (c p, q) = (f - L lift, q) + the integrals of (h - n . a grad lift) q over the flux faces.

On each axis p is a sum of the eigenfunctions of the second derivative among polynomials, v_k with (v_j, v_k) = delta_jk
and (v_j', v_k') = l_k delta_jk.  So the operator with the means of a_ii is diagonal (fast diagonalisation: Lynch, Rice,
Thomas 1964), and preconditions; where a is constant and diagonal it is the operator.  The degree grows until the
estimate of equations.py is small.
"""

from collections.abc import Callable
from functools import partial, reduce
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre
from scipy import linalg

from fem import gauss, tensor_grid
from nhpinn_functions import faces_of, midpoint_axes, pair_of
from nhpinn_networks import derivatives
from nhpinn_tools import equations, lifts
from nhpinn_tools.bounds import closest
from nhpinn_tools.conjugate_gradients import conjugate_gradients
from nhpinn_tools.features import in_parts, relative, values

# polynomials an axis
COUNTS = {1: (16, 32, 64, 128, 256, 512), 2: (12, 20, 32, 64, 128, 256), 3: (8, 14, 24, 40, 64)}
MORE = 6  # Gauss points than polynomials
STEPS, SMALLEST_RESIDUAL = 1000, 1e-13  # of conjugate gradients; of their residual, relative


class Line(NamedTuple):
    """The polynomials of one axis, orthonormal, with orthogonal derivatives."""

    series: np.ndarray  # (degree + 1, N): their Legendre coefficients on the axis scaled to [-1, 1]
    rates: np.ndarray  # (N,): squares of the norms of their derivatives
    side: tuple  # (low, high)

    def tables(self, x):
        """Values, first and second derivatives at x (n,): (n, N) each."""
        low, high = self.side
        t, found, c = (2 * x - low - high) / (high - low), [], self.series
        for order in range(3):
            found.append(legendre.legvander(t, len(c) - 1) @ c * (2 / (high - low)) ** order)
            c = legendre.legder(c) if len(c) > 1 else 0 * c
        return found


class Polynomial(NamedTuple):
    """u(points (n, d)) -> value (n,), gradient (n, d), second derivatives (n, d, d)."""

    coefficients: np.ndarray  # (N, ..., N): of p
    lines: tuple  # of Line
    lift: Callable  # jet of the coordinates (channels, n, d) -> (channels, n)
    error: float  # estimate of the relative error in L2
    rough: Callable | None  # the part of the lift whose gradient is not bounded

    def __call__(self, points):
        parts = [derivatives_by(self._along(part), part.shape[1]) for part in in_parts(points)]
        smooth = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return tuple(one + other for one, other in zip(smooth, derivatives(self.lift, points), strict=True))

    def value(self, points):
        return np.concatenate([self._along(part)() for part in in_parts(points)]) + values(self.lift, points)

    def _along(self, x):
        """A function of axes along which to differentiate: that derivative of p at points x (n, d)."""
        tables = [line.tables(z) for line, z in zip(self.lines, x.T, strict=True)]

        def along(*axes):
            orders = [axes.count(i) for i in range(len(tables))]
            out = np.tensordot(tables[0][orders[0]], self.coefficients, 1)
            for table, order in zip(tables[1:], orders[1:], strict=True):
                out = np.einsum("na,na...->n...", table[order], out)
            return out

        return along


def derivatives_by(along, d):
    """Value (n,), gradient (n, d), second derivatives (n, d, d) from a function that differentiates along some axes."""
    second = np.stack([np.stack([along(i, j) for j in range(d)], axis=-1) for i in range(d)], axis=-1)
    return along(), np.stack([along(i) for i in range(d)], axis=-1), second


def solve_equation(problem, coefficients, tolerance):
    """-d_i(a_ij d_j u) + c u = f in a box, with what problem.boundary says on its faces, see `faces_of`: a Polynomial.

    coefficients(x (n, dim)) -> a (n, dim, dim), d_i a_ij (n, dim), c, a number or (n,).
    The degree grows until the estimate of the relative error in L2 is below the tolerance, or, small already, falls
    slowly; a warning says where it was not reached.
    """
    domain, faces = problem.domain, faces_of(problem.boundary, problem.domain)
    problem = equations.BoxProblem(domain, faces, coefficients_in_parts(coefficients), problem.source, None, 0.0)
    blended = lifts.blending(faces, domain)
    smooth, rough = equations.elliptic_lift(problem, blended)
    lift = smooth if rough is None else partial(equations.summed, (smooth, rough))
    check = checked(problem, blended, lift)

    def attempt(count):
        lines = tuple(line_of(side, pair_of(faces, axis), count) for axis, side in enumerate(domain))
        found = Polynomial(galerkin(problem, lines, lift), lines, lift, np.inf, rough)
        return found._replace(error=check(found))

    best = closest(map(attempt, COUNTS[problem.dim]), tolerance, equations.SMALL, gain=2)
    equations.warn_of_equation(best.error, f"polynomials of degree {len(best.coefficients)}", tolerance)
    return best


def coefficients_in_parts(coefficients):
    """Coefficients of the same values that take little memory on the way."""

    def evaluate(x):
        a, b, c = zip(*map(coefficients, in_parts(x)), strict=True)
        c = np.concatenate([np.broadcast_to(one, len(part)) for one, part in zip(c, a, strict=True)])
        return np.concatenate(a), np.concatenate(b), c

    return evaluate


def line_of(side, pair, count):
    """The Line of so many polynomials that vanish at the ends which are value faces."""
    low, high = (not face.flux for face in pair)
    t, w = legendre.leggauss(count + 2)
    w = w * (side[1] - side[0]) / 2
    c = np.eye(count + 2, count)  # L_k
    if low and high:
        c -= np.eye(count + 2, count, -2)  # L_k - L_k+2
    elif low or high:
        c += (1 if low else -1) * np.eye(count + 2, count, -1)  # L_k +- L_k+1
    V, D = (legendre.legvander(t, len(each) - 1) @ each for each in (c, legendre.legder(c)))
    D *= 2 / (side[1] - side[0])
    rates, turn = linalg.eigh(D.T @ (w[:, None] * D), V.T @ (w[:, None] * V))
    return Line(c @ turn, rates, side)


def galerkin(problem, lines, lift):
    """The coefficients (N, ..., N) of p."""
    dim, counts = problem.dim, [len(line.rates) for line in lines]
    axes, weights = zip(*(gauss(np.array(line.side), len(line.rates) + MORE) for line in lines), strict=True)
    tables, x = [line.tables(z)[:2] for line, z in zip(lines, axes, strict=True)], tensor_grid(axes)
    a, _, c = problem.coefficients(x)
    w = reduce(np.multiply.outer, weights)
    means = np.mean(np.einsum("nii->ni", a), axis=0)
    a = np.moveaxis(a, 0, -1).reshape(dim, dim, *w.shape) * w
    c = np.reshape(c, w.shape) * w
    pairs = [(i, j) for i in range(dim) for j in range(dim) if np.any(a[i, j])]

    def apply(p):
        slopes = [transformed(p, tables, i) for i in range(dim)]
        flows = [sum(a[i, j] * slopes[j] for k, j in pairs if k == i) for i in range(dim)]
        out = sum(transformed(flow, tables, i, back=True) for i, flow in enumerate(flows))
        return out + transformed(c * transformed(p, tables), tables, back=True) if np.any(c) else out

    load = transformed(equations.source_left(problem, lift, x)[1].reshape(w.shape) * w, tables, back=True)
    for face in equations.flux_faces(problem):
        load = load + face_load(problem, lines, face, lift, axes, weights)
    diagonal = np.mean(c) / np.mean(w) * np.ones(counts)
    for axis, line in enumerate(lines):
        diagonal += (means[axis] * line.rates).reshape([-1 if i == axis else 1 for i in range(dim)])
    return solution(apply, load, diagonal)


def transformed(array, tables, along=None, back=False):
    """Coefficients to values at Gauss points, of the derivative along an axis if one is named; back: the transpose."""
    for axis, table in enumerate(tables):
        table = table[int(axis == along)]
        array = np.moveaxis(np.tensordot(table.T if back else table, array, (1, axis)), 0, axis)
    return array


def face_load(problem, lines, face, lift, axes, weights):
    """The integrals of what the lift leaves of a flux, times each polynomial."""
    here = [np.array([face.at]) if axis == face.axis else z for axis, z in enumerate(axes)]
    w = reduce(np.multiply.outer, [np.ones(1) if axis == face.axis else w for axis, w in enumerate(weights)])
    flow = equations.flux_left(problem, lift, face, None, tensor_grid(here)).reshape(w.shape) * w
    return transformed(flow, [line.tables(z)[:1] for line, z in zip(lines, here, strict=True)], back=True)


def solution(apply, load, diagonal, close=SMALLEST_RESIDUAL):
    """u with apply(u) = load; close: the residual at which it ends, relative, in the norm of 1 / diagonal."""
    u, first = 0 * load, None
    steps = conjugate_gradients(apply, lambda r: r / diagonal, u, load.copy())
    for square in islice(steps, 1 + STEPS):
        first = first or square
        if square <= close**2 * first:
            break
    return u


def checked(problem, blended, lift):
    """A function: Polynomial -> the estimate of its relative error, see equations.py."""
    axes = midpoint_axes(problem.domain, equations.CHECKS[problem.dim])
    y = tensor_grid(axes)
    (a, b, c), rates = problem.coefficients(y), equations.eigenvalues(problem, y)
    (lifted, rhs), missed = equations.check_source(problem, lift, y), equations.missed_source(problem) / rates

    def estimate(u):
        value, slope, second = on_grid(u, axes)
        left = c * value - np.einsum("nij,nij->n", a, second) - np.einsum("ni,ni->n", b, slope)
        for face in equations.flux_faces(problem):
            equations.add_in_cells(problem, face, partial(flow_of, problem, u, face), left)
        parts = equations.modes(problem, rhs - left) / rates, missed, blended.miss * np.sqrt(len(y))
        return relative(np.linalg.norm(np.hstack(parts)), np.linalg.norm(lifted + value - blended.middle))

    return estimate


def on_grid(u, axes):
    """Value (n,), gradient (n, d), second derivatives (n, d, d) of p on a tensor grid."""
    tables = [line.tables(z) for line, z in zip(u.lines, axes, strict=True)]

    def along(*which):
        chosen = [[table[which.count(i)]] for i, table in enumerate(tables)]
        return transformed(u.coefficients, chosen).ravel()

    return derivatives_by(along, len(axes))


def flow_of(problem, u, face, x):
    """n . a grad p at points x of a face."""
    slope = np.stack([u._along(x)(i) for i in range(problem.dim)], axis=-1)
    return (2 * face.side - 1) * np.einsum("nj,nj->n", problem.coefficients(x)[0][:, face.axis], slope)
