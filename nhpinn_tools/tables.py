"""A coefficient that is known on a grid of points: a spline through its values, which autograd can differentiate."""

from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive
from scipy import fft
from scipy.interpolate import NdBSpline, make_interp_spline

from nhpinn_functions import check_box, check_integer, check_period
from nhpinn_tools.checks import says_what_it_takes

DEGREE = 3  # of the spline along each axis: two derivatives are continuous


class Table(NamedTuple):
    """A function of points (n, dim) -> (n,), or (n, dim, dim), see `table`."""

    spline: NdBSpline
    low: np.ndarray  # (dim,)
    length: np.ndarray  # (dim,): of the box or of the period
    periodic: bool

    def __call__(self, points):
        place = (points - self.low) / self.length
        if self.periodic:
            return _at(place % 1, self, (0,) * len(self.low))
        if anp.any(place < 0) or anp.any(place > 1):
            raise ValueError(f"table: found points outside of its box, from {self.low} to {self.low + self.length}")
        return _at(place, self, (0,) * len(self.low))


@primitive
def _at(place, table, order):
    """The derivatives of this order along each axis of the unit box, at points of it."""
    return table.spline(np.asarray(place), nu=order)


def _pullback(values, place, table, order):
    def to_points(g):
        raised = np.add(order, np.eye(len(order), dtype=int))
        slopes = [g * _at(place, table, tuple(each)) for each in raised]
        return anp.stack([anp.sum(anp.reshape(slope, (len(place), -1)), axis=1) for slope in slopes], axis=1)

    return to_points


defvjp(_at, _pullback, argnums=[0])


@says_what_it_takes
def table(values, dim: int, *, period=None, box=None) -> Table:
    """What is known on a grid of points, as a function: points (n, dim) -> (n,), or (n, dim, dim).

    values: (m_1, ..., m_dim), or tensors with (dim, dim) behind, at least 4 along each axis; axis i runs along y_i.
    period: a number, or one an axis; the points are k period / m, k = 0, ..., m - 1, without the end, where the first
    value comes again.  1 if neither is given.
    box: ((low, high), ...); the points have both ends, as np.linspace(low, high, m), and nothing is known outside.

    A cubic spline passes through the values; it is smooth, and errs by the fourth power of the distance of the points
    where what was measured is smooth, too.  Beside a jump it overshoots: use an image or a TwoPhase there.  Raises
    ValueError or TypeError for values or points that do not fit.

        k = nhpinn.table(measured, dim=2, period=(1, 2))
        nhpinn.homogenize(k, dim=2, period=(1, 2))
        nhpinn.solve(lambda x, y: k(y), source, box, eps, period=(1, 2))
    """
    check_integer("dim", dim, 1, 3)
    values = _checked(values, dim)
    if period is not None and box is not None:
        raise ValueError("box: found one beside a period, expected one of them")
    periodic = box is None
    if periodic:
        check_period(period := 1.0 if period is None else period, dim)
        box = [(0.0, length) for length in np.broadcast_to(period, dim)]
    check_box("box", box, dim)
    knots, (low, high) = [], np.array(box, dtype=float).T
    for axis in range(dim):
        t, c = (_periodic_line if periodic else _line)(np.moveaxis(values, axis, 0))
        knots.append(t)
        values = np.moveaxis(c, 0, axis)
    return Table(NdBSpline(tuple(knots), values, DEGREE), low, high - low, periodic)


def _line(values):
    """Knots and coefficients of the spline through values (m, ...) on [0, 1], both ends included."""
    spline = make_interp_spline(np.linspace(0, 1, len(values)), values, DEGREE)
    return spline.t, spline.c


def _periodic_line(values):
    """The same of the periodic one through values at k / m: v_k = (c_(k-1) + 4 c_k + c_(k+1)) / 6."""
    m = len(values)
    weight = (4 + 2 * np.cos(2 * np.pi * fft.rfftfreq(m))) / 6
    c = fft.irfft(fft.rfft(values, axis=0) / weight.reshape(-1, *[1] * (values.ndim - 1)), m, axis=0)
    return np.arange(-DEGREE, m + DEGREE + 1) / m, np.take(c, np.arange(-1, m + DEGREE - 1), axis=0, mode="wrap")


def _checked(values, dim):
    try:
        values = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"values: found {type(values).__name__}, expected real numbers on {dim} axes") from error
    if values.ndim not in (dim, dim + 2) or values.shape[dim:] not in ((), (dim, dim)):
        raise ValueError(f"values: found shape {values.shape}, expected {dim} axes, and ({dim}, {dim}) or none")
    if min(values.shape[:dim]) <= DEGREE:
        raise ValueError(f"values: found shape {values.shape}, expected {DEGREE + 1} points along each axis at least")
    if not np.all(np.isfinite(values)):
        raise ValueError("values: not finite everywhere, expected real numbers")
    return values
