"""The recipe `fourier`, cell problems: trigonometric polynomials and preconditioned conjugate gradients.

    cell problems   div a (grad chi_j + e_j) = 0 at the midpoints of n ** d boxes, with the derivatives of the
                    trigonometric polynomials through them; all j at once.  div mean(a) grad, which Fourier coefficients
                    invert one by one, preconditions: the steps grow with the contrast of a, not with n
    in one dimension   a (chi' + 1) = 1 / mean(1 / a)
    a reaction      div a grad N = r with a constant a: N_k = -r_k / (4 pi^2 k . a k)

The points grow until the bounds of the homogenized tensor are as close as asked for (see bounds.py).  A slowly varying
coefficient has the points of its hardest x, and every x starts from its neighbour.

Polynomials and the preconditioner: Moulinec, Suquet 1998; conjugate gradients: Zeman, Vondrejc, Novak, Marek 2010.
"""

from functools import partial
from typing import NamedTuple

import numpy as np

from nhpinn import Correctors
from nhpinn_functions import extreme_eigenvalues, midpoints, tensor_of
from nhpinn_tools.bounds import SHIFT, Bounds, closest, field_at, inverse, means_and_midpoints, tensor_bounds
from nhpinn_tools.features import hardest, relative, tolerance_of_gap, warn_of_cells
from nhpinn_tools.interpolation import chebyshev_points
from nhpinn_tools.spectrum import (
    Spectrum,
    antiderivative,
    potential,
    refined,
    series_of,
    shifted,
    spectrum_of,
    symbol,
    values_of,
)  # fmt: skip

# points an axis of one attempt after the other, odd
POINTS = {1: (31, 63, 127, 255, 511, 1023), 2: (15, 31, 61, 121, 243), 3: (9, 15, 25, 41, 63)}
NUMBERS = 10**8  # that the correctors of all x have at most
SAFE = 1e-3  # of the tolerance is for the conjugate gradients
STEPS = 3000


class Found(NamedTuple):
    """What an attempt has found for a field on the unit cell: correctors, or N."""

    chi: Spectrum  # (J, ...)
    error: float
    bounds: Bounds | None = None


def homogenize_cell(field, dim, tolerance, sight=None, most=NUMBERS):
    """The correctors of a field on the unit cell and the bounds of its homogenized tensor, by as few points as meet the
    tolerance: Found, the best one if none does.

    sight: of `means_and_midpoints`, where it is known.  most: numbers of one corrector.  Raises Unresolved for a field
    that no grid in reach resolves.
    """
    means, count = sight or means_and_midpoints(field, dim)

    def attempts():
        chi = None
        for n in (n for n in POINTS[dim] if n == POINTS[dim][0] or n**dim <= most):
            chi = correctors_of(sampled(field, dim, n), tolerance, chi and refined(chi, n))
            found = tensor_bounds(field, values_of(chi), means, count, tolerance)
            yield Found(chi, found.error, found)

    return closest(attempts(), tolerance)


def sampled(field, dim, n):
    """A field at the midpoints of n ** d boxes: (d, d, n, ..., n)."""
    return np.moveaxis(tensor_of(field, midpoints(dim, 1.0, n)), 0, -1).reshape(dim, dim, *[n] * dim)


def correctors_of(a, tolerance, start=None):
    """The Spectrum of the correctors of a (d, d, n, ..., n), n odd.  start: one to begin with.

    tolerance: what the conjugate gradients leave in the energies is at most its part SAFE, relative.
    """
    d = len(a)
    fields = np.moveaxis(a.reshape(d, d, -1), -1, 0)
    if d == 1:
        resistance = 1 / fields[:, 0, 0]
        return spectrum_of(antiderivative(resistance / resistance.mean(), 1.0)[None], 1)
    mean, scalar = fields.mean(axis=0), np.array_equal(a, a[0, 0] * np.eye(d).reshape(d, d, *[1] * d))
    root = np.linalg.inv(np.linalg.cholesky(mean))
    least = extreme_eigenvalues(root @ fields @ root.T)[0].min()  # of a relative to its mean
    energies = 1 / np.mean(inverse(fields), axis=0).diagonal()  # below those of the correctors

    def flux(slopes):
        return a[0, 0] * slopes if scalar else np.einsum("ij...,sj...->si...", a, slopes)

    load = np.moveaxis(a, 1, 0)
    return potential(flux, load, mean, start, STEPS, enough=SAFE * tolerance * least * energies)


# --- for `solve` ------------------------------------------------------------------------------------


def solve_cells(problem, tolerance, mapped=map, sight=None):
    """Step 1: the Correctors of a problem, for every x of its domain if the coefficient varies slowly.

    One coefficient: its gap meets tolerance ** 2, which makes the corrector's error about the tolerance.  A slow one:
    the gap meets the tolerance where the contrast is largest, and every x has as many points, through `mapped`, which
    may be the map of an executor: lines of x, one after the other on each.
    """
    dim, period = problem.dim, np.broadcast_to(np.asarray(problem.period, float), problem.dim)
    nodes = chebyshev_points(problem, tolerance)
    x = nodes.points
    if problem.reaction is not None:
        a = tensor_of(field_at(problem.coefficient, period, x[0]), np.zeros((1, dim)))[0]
        found, scale = reaction_cell(lambda y: problem.reaction(period * y), a, tolerance), 1.0
    else:
        field, scale = hardest(problem.coefficient, period, x), period.reshape(dim, *[1] * dim)
        sight = None if len(x) > 1 else sight
        found = homogenize_cell(field, dim, tolerance_of_gap(tolerance, x), sight, NUMBERS // (dim * len(x)))
    warn_of_cells(found.error, tolerance, f"{found.chi.n} points an axis")
    chi = values_of(found.chi)[None]
    if len(x) > 1:
        task = partial(solve_line, problem.coefficient, period, found.chi.n, tolerance)
        chi = np.concatenate(list(mapped(task, np.split(x, nodes.counts[0]))))
    return Correctors(series_of(scale * chi, period), nodes.weights, x, problem.period)


def solve_line(coefficient, period, n, tolerance, nodes):
    """The correctors on the unit cell at nodes x (X, dim), each started from the last: (X, J, n, ..., n)."""
    chi, found = None, []
    for x in nodes:
        chi = correctors_of(sampled(field_at(coefficient, period, x), len(x), n), tolerance, chi)
        found.append(values_of(chi))
    return np.stack(found)


def reaction_cell(reaction, a, tolerance):
    """The corrector N of a reaction on the unit cell, eq. (A.2), with a constant tensor a, by as few points as bring
    the error of r between them below the tolerance."""
    dim = len(a)

    def attempts():
        for n in POINTS[dim]:
            y, shift = midpoints(dim, 1.0, n), SHIFT * np.arange(1, dim + 1) / n
            r = spectrum_of(reaction(y).reshape(1, *[n] * dim), dim)
            between = reaction(y + shift)
            miss = np.linalg.norm(values_of(shifted(r, shift)).ravel() - between)
            yield Found(r._replace(modes=-r.modes / symbol(a, n)), relative(miss, np.linalg.norm(between)))

    return closest(attempts(), tolerance)
