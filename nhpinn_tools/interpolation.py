"""Coefficients that vary slowly: at which x the cell problems are solved, and the interpolation between them."""

from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from scipy import fft

from fem import tensor_grid
from nhpinn_functions import Interpolation, at_node, centre, checked_values, depends_on_x, midpoints, tensor_of
from nhpinn_tools.bounds import Unresolved, field_at, inverse, means_and_midpoints
from nhpinn_tools.calls import warn

MOST_AN_AXIS = {1: 1025, 2: 257, 3: 65}  # Chebyshev points
MOST_NODES, COARSE = 1100, 1e-3
LINES = 200  # on which a coefficient is looked at


class Chebyshev(NamedTuple):
    """Polynomial interpolation at the Chebyshev points of a box."""

    bounds: tuple
    counts: tuple  # points an axis

    @property
    def points(self):
        """(X, dim)"""
        axes = [low + (high - low) * (chebyshev.chebpts1(n) + 1) / 2 for (low, high), n in zip(*self, strict=True)]
        return tensor_grid(axes)

    @property
    def weights(self):
        return Interpolation(tuple(partial(self._line, axis) for axis in range(len(self.counts))))

    def _line(self, axis, x):
        """The cardinal polynomials of one axis and their derivatives: (n, count) each."""
        (low, high), (cardinal, slope) = self.bounds[axis], cardinal_series(self.counts[axis])
        t = 2 * (x - low) / (high - low) - 1
        slopes = chebyshev.chebvander(t, len(slope) - 1) @ slope * 2 / (high - low)
        return chebyshev.chebvander(t, len(cardinal) - 1) @ cardinal, slopes


@cache
def cardinal_series(count):
    """The Chebyshev coefficients, by columns, of the polynomials that are 1 at one of so many points and 0 at the
    others, and of their derivatives."""
    cardinal = chebyshev.chebvander(chebyshev.chebpts1(count), count - 1).T * 2 / count
    cardinal[0] /= 2
    return cardinal, chebyshev.chebder(cardinal)


def chebyshev_points(problem, tolerance):
    """As many points an axis as bring the coefficient and its inverse, on lines through the box, to the tolerance; the
    centre of the box for a coefficient that does not depend on x.

    Where that makes more cell problems than MOST_NODES, to the least larger one in reach, with a warning.  Raises
    ValueError where that would be more than COARSE.
    """
    slow = problem.slow
    if slow is None:
        slow = depends_on_x(problem.coefficient, problem.dim, problem.domain, problem.period)
    if not slow:
        return Chebyshev(tuple(problem.domain), (1,) * problem.dim)
    decays, wanted = [decay(problem, axis) for axis in range(problem.dim)], max(tolerance / 10, 1e-13)
    for level in wanted * 10.0 ** np.arange(15):
        counts = [int(np.flatnonzero(sizes > level).max(initial=0)) + 1 for sizes in decays]
        resolved = all(count <= 0.9 * len(sizes) for count, sizes in zip(counts, decays, strict=True))
        if resolved and np.prod(counts) <= MOST_NODES:
            break
    if level > max(wanted, COARSE):
        raise ValueError(
            "coefficient: oscillates or jumps in x, beside its fast variable y; expected one that varies slowly in x: "
            f"interpolated between {MOST_NODES} points x it would still err by {10 * level:.1g}"
        )
    if level > wanted:
        warn(
            f"coefficient: its variation in x is resolved to about {10 * level:.1g}, by cell problems at "
            f"{' x '.join(map(str, counts))} points, expected {tolerance:g}; it is steep in x"
        )
    return Chebyshev(tuple(problem.domain), tuple(counts))


def cell_mean(problem, rho, tolerance):
    """The mean of rho(x, y) over the cell as a function of x (n, dim) -> (n,).  Raises ValueError for what is not
    smooth."""
    field = field_at(rho, np.array(problem.period), centre(problem.domain))
    try:
        y = midpoints(problem.dim, problem.period, means_and_midpoints(field, problem.dim)[1])
    except Unresolved as error:
        raise ValueError("rho: jumps in y, or varies too fast for any quadrature, expected a smooth one") from error
    nodes = chebyshev_points(problem._replace(coefficient=rho, slow=None), tolerance)
    samples = np.array([checked_values("rho", at_node(rho, x), y).mean() for x in nodes.points])
    return partial(interpolated_mean, nodes.weights, samples)


def interpolated_mean(weights, samples, x):
    return weights(x)[0] @ samples


def decay(problem, axis):
    """The largest Chebyshev coefficients of a and of its inverse along an axis, over random lines, relative: (n,)."""
    dim, most, rng = problem.dim, MOST_AN_AXIS[problem.dim], np.random.default_rng(axis)
    low, high = np.transpose(problem.domain)
    x = np.repeat(rng.uniform(low, high, (LINES, dim)), most, axis=0)
    x[:, axis] = np.tile(low[axis] + (high[axis] - low[axis]) * (chebyshev.chebpts1(most) + 1) / 2, LINES)
    y = np.repeat(rng.uniform(0, 1, (LINES, dim)) * problem.period, most, axis=0)
    a = tensor_of(lambda y: problem.coefficient(x, y), y)
    values = np.stack([a, inverse(a)]).reshape(2, LINES, most, -1)
    sizes = np.abs(fft.dct(values, axis=2)).max(axis=(1, 3)) / np.abs(values).max(axis=(1, 2, 3))[:, None]
    return sizes.max(axis=0) / most
