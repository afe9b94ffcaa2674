"""Bounds of homogenized tensors, whatever made the correctors.

    upper    mean( (e_i + grad chi_i) . a (e_j + grad chi_j) ), least over the span of the chi_j       (Ritz)
    lower    the inverse of mean( s_i . a^-1 s_j ), s_j = e_j + fluxes without divergence and mean, likewise

Both hold in the Loewner order for any periodic chi_j.  They are evaluated for the trigonometric polynomials that
interpolate the chi_j on a uniform grid of the unit cell, so that derivatives, fluxes without divergence and finer
grids cost a few fast Fourier transforms.  With no chi_j they are the bounds of Reuss and Voigt, which lie outside of
all others.  What is assumed is the quadrature, a midpoint rule; it is checked against two other rules and against
points that are on no grid.
"""

from collections.abc import Callable
from functools import cache, reduce
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from fem_cells import relative_size
from nhpinn_functions import CELL_POINTS, as_tensor, at_node, midpoints, tensor_of
from nhpinn_tools.spectrum import shifted, slopes_at_midpoints, spectrum_of, values_of, waves, without_gradients

# --- bounds of tensors ------------------------------------------------------------------------------

COARSEST, FINEST = {1: 512, 2: 128, 3: 32}, {1: 8192, 2: 512, 3: 128}  # midpoints an axis, by dimension
SHIFT = 0.31  # of points between the midpoints, in spacings
RESOLVED = 1e-6  # means that differ by less have seen the same coefficient: where it jumps, they do not
SAME = 1e-10  # means that differ by less are the same to step 2
SCATTERED = 100_000  # points on no grid
CELLS = {1: 257, 2: 49, 3: 21}  # points an axis of the correctors' Fourier series, odd
ROUNDING = 1e-14  # of a mean energy, relative


class Bounds(NamedTuple):
    """lower <= a* <= upper, and how far they are to be trusted, relative to the tensor in its worst direction."""

    lower: np.ndarray  # (dim, dim)
    tensor: np.ndarray  # (dim, dim): between them
    upper: np.ndarray  # (dim, dim)
    gap: float  # between lower and upper
    quadrature: float  # how far other quadratures move them
    cells: Callable | None = None  # correctors, as in Correctors, where they come with the bounds

    @property
    def error(self):
        return self.gap + self.quadrature


def on_unit_cell(coefficient, period):
    """A coefficient of y as one of y / period: with chi_k = period_k * (its corrector), the same equations hold for
    a_ij / (period_i period_j)."""
    return lambda y: as_tensor(coefficient(period * y), y.shape) / np.outer(period, period)


def at_fine_scale(problem):
    """The coefficient as a function of x alone: a(x, x / eps)."""
    return lambda x: problem.coefficient(x, x / problem.eps)


def field_at(coefficient, period, x):
    """The coefficient at one x (dim,) as a function on the unit cell."""
    return on_unit_cell(at_node(coefficient, x), period)


def in_cell(bounds, period):
    """Bounds for a cell of these periods (dim,), from those for its coefficient on the unit cell, see on_unit_cell."""
    lower, tensor, upper = (np.outer(period, period) * part for part in bounds[:3])
    return bounds._replace(lower=lower, tensor=tensor, upper=upper)


def closest(attempts, tolerance, small=0.0, gain=1.0):
    """The first of some attempts, one made after the other, whose error meets the tolerance; else the best.

    Errors below `small` that two attempts in a row have not divided by `gain` are not worth another one.
    """
    best, stalled = None, 0
    for found in attempts:
        stalled = stalled + 1 if best and best.error < small and found.error > best.error / gain else 0
        best = found if best is None or found.error <= best.error else best
        if best.error <= tolerance or stalled == 2:
            break
    return best


def energy(a, slopes):
    """mean( (e_i + grad chi_i) . a (e_j + grad chi_j) ): a (n, d, d), slopes grad chi_i (d, n, d) -> (d, d)."""
    fields = slopes + np.eye(a.shape[1])[:, None]
    return mean_products(fields, a, fields)


def mean_products(p, a, q):
    """mean( p_i . a q_j ) of fields p (I, n, d), q (J, n, d) and a (n, d, d): (I, J)."""
    flux = np.matmul(q.transpose(1, 0, 2), a).transpose(1, 0, 2)
    return p.reshape(len(p), -1) @ flux.reshape(len(q), -1).T / len(a)


def reuss_voigt(a, weights=None):
    """The harmonic and the arithmetic mean of a (n, d, d): the bounds by constant fluxes and constant fields."""
    return np.linalg.inv(np.average(inverse(a), axis=0, weights=weights)), np.average(a, axis=0, weights=weights)


def product(a, z):
    """a z at n points, for a (n, d, d), or (n, 1, 1) for scalars, and z (d, ..., n)."""
    return a[:, 0, 0] * z if a.shape[1] == 1 else np.einsum("nij,j...n->i...n", a, z)


def inverse(a):
    """a^-1 of symmetric matrices (n, d, d), by their adjugates: several times as fast as LAPACK, one by one."""
    d = a.shape[1]
    if d == 1:
        return 1 / a
    if d == 2:
        turned = np.stack([a[:, 1, 1], -a[:, 0, 1], -a[:, 1, 0], a[:, 0, 0]], axis=-1).reshape(a.shape)
        return turned / (a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0])[:, None, None]
    cofactors = np.stack([np.cross(a[:, 1], a[:, 2]), np.cross(a[:, 2], a[:, 0]), np.cross(a[:, 0], a[:, 1])], axis=-1)
    return cofactors / np.einsum("ni,ni->n", a[:, 0], cofactors[..., 0])[:, None, None]


def least_energy(a, fields):
    """The least mean( (e_i + C_ik p_k) . a (e_j + C_jk p_k) ) over C, for fields p (K, n, d) of mean zero: (d, d)."""
    d = a.shape[1]
    mixed = mean_products(np.broadcast_to(np.eye(d)[:, None], (d, *fields.shape[1:])), a, fields)
    square = mean_products(fields, a, fields)
    square += (ROUNDING * np.trace(square) + np.finfo(float).tiny) * np.eye(len(square))  # only ever raises the energy
    found = a.mean(axis=0) - mixed @ np.linalg.solve(square, mixed.T)
    return (found + found.T) / 2


def bounds_on_grid(a, slopes, count, part=slice(None)):
    """lower, upper from a (n, d, d) and slopes (J, n, d) of the chi_j at the midpoints of count ** d boxes.

    part: the points over which both energies are averaged.
    """
    d = a.shape[1]
    flux = np.matmul((slopes + np.eye(d)[:, None]).transpose(1, 0, 2), a)  # (n, J, d)
    flux = divergence_free(np.moveaxis(flux, 0, -1).reshape(d, d, *[count] * d)).reshape(d, d, -1).swapaxes(1, 2)
    a, slopes, flux = a[part], slopes[:, part], flux[:, part]
    return np.linalg.inv(least_energy(inverse(a), flux)), least_energy(a, slopes)


def divergence_free(flux):
    """The low half of the frequencies of periodic fields (J, d, *grid), without mean and gradient part."""
    d, count = flux.shape[1], flux.shape[-1]
    s = without_gradients(spectrum_of(flux, d))
    return values_of(s._replace(modes=s.modes * np.all(np.abs(waves(d, count)) < count / 4, axis=0)))


@cache
def scattered(dim, first=0):
    """SCATTERED points of the unit cell that are on no grid, of a sequence without end: (n, dim).

    Kronecker's lattice with the powers of a root of z^(d+1) = z + 1, in which no two points share a coordinate.
    """
    ratio = {1: 1.618033988749895, 2: 1.324717957244746, 3: 1.2207440846057596}[dim]
    return np.arange(first, first + SCATTERED)[:, None] * ratio ** -np.arange(1.0, dim + 1) % 1


def scattered_in(box):
    """The same in a box (dim, 2)."""
    return box[:, 0] + np.ptp(box, axis=1) * scattered(len(box))


def scattered_means(field, dim, first=0):
    """The harmonic and the arithmetic mean of a field on the unit cell, over scattered points, with weights that fade
    at both ends of the sequence: for a smooth field the error is of the rounding's size."""
    t = (np.arange(SCATTERED) + 0.5) / SCATTERED
    return reuss_voigt(tensor_of(field, scattered(dim, first)), (t * (1 - t)) ** 4)


def means_apart(a, means, weights=None):
    """How far the harmonic and the arithmetic mean of a (n, d, d) are from others, relative."""
    own = reuss_voigt(a, weights)
    return max(relative_size(mine - other, other) for mine, other in zip(own, means, strict=True))


def fewest_points(field, dim, means, most):
    """Midpoints an axis, those of step 2 doubled until their means are those at scattered points, or `most`."""
    count = CELL_POINTS[dim]
    while count < most and means_apart(tensor_of(field, midpoints(dim, 1.0, count)), means) > SAME:
        count *= 2
    return min(count, most)


def resolution(field, dim, means):
    """The number of midpoints an axis that resolve a field: their means agree with those at scattered points, and
    their trigonometric interpolant with the field between them.

    Raises Unresolved where none in reach does: the field jumps, or varies too fast.
    """
    count = COARSEST[dim]
    while count <= FINEST[dim]:
        a = tensor_of(field, midpoints(dim, 1.0, count))
        if means_apart(a, means) <= RESOLVED:
            shift = SHIFT * np.arange(1, dim + 1) / count
            between = tensor_of(field, midpoints(dim, 1.0, count) + shift)
            grid = np.moveaxis(a, 0, -1).reshape(dim, dim, *[count] * dim)
            found = np.moveaxis(values_of(shifted(spectrum_of(grid, dim), shift)).reshape(dim, dim, -1), -1, 0)
            if np.abs(found - between).max() <= 0.05 * np.ptp(a, axis=0).max() + 1e-9 * a.max():
                return count
        count *= 2
    raise Unresolved(
        f"coefficient: jumps, or varies faster than {FINEST[dim]} points an axis and {SCATTERED} scattered points "
        "resolve; expected a smooth one, a TwoPhase, or an array of pixels"
    )


def means_and_midpoints(field, dim):
    """The means of a field on the unit cell, and the midpoints an axis that resolve it."""
    means = scattered_means(field, dim)
    return means, resolution(field, dim, means)


class Unresolved(ValueError):
    """No quadrature in reach resolves a coefficient."""


def tensor_bounds(field, chi, means, count, tolerance):
    """Bounds for a field on the unit cell and correctors chi (J, *[n] * d) at the midpoints of n ** d boxes.

    means: of `scattered_means`.  The quadrature begins with count points an axis; where it errs by more than the
    tolerance, it is refined, as far as FINEST.
    """
    d = chi.ndim - 1
    count = max(2 * chi.shape[-1], count)
    while True:
        found = _bounds_by(field, slopes_at_midpoints(spectrum_of(chi, d), count), count, means)
        if found.quadrature <= tolerance or 2 * count > FINEST[d]:
            return found
        count *= 2


def _bounds_by(field, slopes, count, means):
    d = slopes.shape[-1]
    a = tensor_of(field, midpoints(d, 1.0, count))
    lower, upper = bounds_on_grid(a, slopes, count)
    middle = (lower + upper) / 2
    coarse = np.all(np.stack(np.unravel_index(np.arange(len(a)), [count] * d)) % 2 == 0, axis=0)
    other = reuss_voigt(tensor_of(field, midpoints(d, 1.0, count - 1)))  # sees what count periods hide from a grid
    moved = [*np.subtract(bounds_on_grid(a, slopes, count, coarse), (lower, upper))]
    own = reuss_voigt(a)
    moved += [found - each for rule in (other, means) for found, each in zip(rule, own, strict=True)]
    quadrature = max(relative_size(each, middle) for each in moved)
    return Bounds(lower, middle, upper, relative_size(upper - lower, middle), quadrature)


def bounds_at(x, correctors, field, means, count, tolerance):
    """Bounds of the homogenized tensor at one x (dim,), for its field on the unit cell, by correctors."""
    d, period = len(x), np.broadcast_to(np.asarray(correctors.period, float), len(x))
    chi = correctors.cells(midpoints(d, period, CELLS[d]))[0]
    chi = np.tensordot(correctors.weights(x[None])[0][0], chi, 1) / period[:, None]
    return in_cell(tensor_bounds(field, chi.reshape(d, *[CELLS[d]] * d), means, count, tolerance), period)


# --- one dimension: the homogenized coefficient is the harmonic mean, whether a jumps or not --------

PIECES, MOST_PIECES = 4096, 10**6  # of the cell: to begin with, and at most
LEAST_PIECE = 1e-13
LOOKS = 4  # at the coefficient between the points of its pieces, by SCATTERED points each


def harmonic_mean(field, tolerance):
    """Bounds of 1 / mean(1 / a), with the corrector, for a field on the unit cell of one dimension.

    Pieces of the cell are halved until the polynomial through 1 / a at Lobatto's points of each is 1 / a at those of
    its halves, too; those in which a jumps end as short as rounding allows.  The mean of what it misses there, without
    signs, is the error of a piece: four times that of the halves' rule at least where 1 / a has a corner, whose two
    rules may agree by chance.  Scattered points at which 1 / a is not what its piece says are ends of pieces in
    the next attempt; `quadrature` is how much is missed at points that none of the attempts has seen.
    Raises ValueError where that takes more than MOST_PIECES.
    """
    ends = np.linspace(0, 1, PIECES + 1)
    for look in range(LOOKS):
        pieces, integrals, error = halved(field, ends, tolerance)
        y = scattered(1, look * SCATTERED)[:, 0]
        miss, mean = missed(field, pieces, y), integrals.sum()
        found = miss > max(100 * tolerance, RESOLVED) * mean
        if not np.any(found):
            break
        ends = np.unique(np.append(ends, y[found]))
    order = np.argsort(pieces[0])
    ends, integrals = np.append(pieces[0, order], 1.0), np.append(0.0, np.cumsum(integrals[order]))
    mean, error, quadrature = 1 / integrals[-1], error / integrals[-1] + ROUNDING, miss.mean() / integrals[-1]
    slopes = mean / tensor_of(field, ends[:, None])[:, 0, 0] - 1
    chi = CubicHermiteSpline(ends, mean * integrals - ends, slopes)
    tensors = (np.full((1, 1), mean * (1 + side * error)) for side in (-1, 0, 1))
    return Bounds(*tensors, 2 * error, float(quadrature), PeriodicSpline(chi, float(chi.integrate(0, 1))))


def halved(field, ends, tolerance):
    """The cell in pieces (2, n), from those between some ends, the integrals of 1 / a over them, and their error."""
    open_, closed, error, largest = np.stack([ends[:-1], ends[1:]]), [], 0.0, 0.0
    while open_.shape[1]:
        halves, length = np.stack([open_[0], open_.mean(axis=0), open_[1]]), open_[1] - open_[0]
        rough = inverse_values(field, open_[0], length)
        fine = inverse_values(field, halves[:-1], np.diff(halves, axis=0))
        first, second = fine @ WEIGHTS * np.diff(halves, axis=0)
        size = rough @ WEIGHTS @ length + sum(part[1].sum() for part in closed)
        short, miss = length < LEAST_PIECE, (np.abs(fine - rough @ TO_HALVES) @ WEIGHTS).mean(axis=0) * length
        largest = max(largest, (rough @ WEIGHTS).max())
        miss = np.where(short, length * largest, miss)  # where a jumps, 1 / a may be anything below
        good = short | (miss <= tolerance * size * length)
        closed.append((np.hstack([halves[:2, good], halves[1:, good]]), np.append(first[good], second[good])))
        error += miss[good].sum()
        open_ = np.hstack([halves[:2, ~good], halves[1:, ~good]])
        if open_.shape[1] > MOST_PIECES:
            raise ValueError(
                f"coefficient: varies faster than {MOST_PIECES} pieces of the cell resolve, expected one that is "
                "smooth but for some jumps"
            )
    return np.hstack([part[0] for part in closed]), np.concatenate([part[1] for part in closed]), error


def missed(field, pieces, y):
    """How far 1 / a at points y (n,) is from the polynomials through its values in pieces (2, m) of the cell: (n,)."""
    pieces = pieces[:, np.argsort(pieces[0])]
    inside = np.searchsorted(pieces[0], y, side="right") - 1
    used, inside = np.unique(inside, return_inverse=True)
    low, length = pieces[0, used], np.diff(pieces[:, used], axis=0)[0]
    values = inverse_values(field, low, length)
    t = 2 * (y - low[inside]) / length[inside] - 1
    series = values @ np.linalg.inv(np.vander(LOBATTO)).T
    polynomial = reduce(lambda total, c: total * t + c, series[inside].T)
    return np.abs(1 / tensor_of(field, y[:, None])[:, 0, 0] - polynomial)


class PeriodicSpline(NamedTuple):
    """The corrector in one dimension, mean zero, and its gradient: y (n, 1) -> (1, 1, n), (1, 1, n, 1)."""

    spline: CubicHermiteSpline
    mean: float

    def __call__(self, y):
        z = y[:, 0] % 1
        return self.spline(z)[None, None] - self.mean, self.spline(z, 1)[None, None, :, None]


# Lobatto's rule of 5 points: with both ends among them, no jump in a piece can hide behind the last point
LOBATTO, WEIGHTS = np.array([-1, -np.sqrt(3 / 7), 0, np.sqrt(3 / 7), 1]), np.array([9, 49, 64, 49, 9]) / 180
# From values at the points of a piece to those of their polynomial at the points of its halves: (2, 5, 5)
TO_HALVES = np.stack([np.linalg.solve(np.vander(LOBATTO).T, np.vander((LOBATTO + side) / 2, 5).T) for side in (-1, 1)])


def inverse_values(field, low, length):
    """1 / a at Lobatto's points of pieces: (..., 5)"""
    points = low[..., None] + length[..., None] * (LOBATTO + 1) / 2
    return 1 / tensor_of(field, points.reshape(-1, 1))[:, 0, 0].reshape(points.shape)
