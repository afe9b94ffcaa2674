"""Coefficients, reactions, sources and initial values: derivatives, and the checks at the door.

A coefficient is a function of points (n, dim) that returns (n,), a scalar, or (n, dim, dim), a symmetric positive
definite tensor; it is differentiated by autograd.  What does not fit the theory gets one sentence that says so.
"""

import warnings

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from losses import cell_midpoints


def tensor_and_divergence(field, points):
    """a_ij and b_j = d_i a_ij at points, by reverse differentiation of `field`.

    field: points (n, d) -> (n,) or (n, d, d), written with autograd.numpy -> a (n, d, d), b (n, d).
    Raises ValueError where a has the wrong shape, is not finite, not symmetric or not elliptic (positive
    definite), TypeError where it cannot be differentiated.
    """
    a, slopes = _values_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def _values_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim = points.shape[1]
    a = as_tensor(field(points), points.shape)
    check_elliptic(a, points)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "independent of input": a constant has slope 0
            pullback, _ = make_vjp(lambda p: as_tensor(field(p), p.shape))(points)
    except Exception as error:  # the function works on arrays, but not under differentiation
        raise TypeError(
            f"coefficient: could not be differentiated ({error}); write it with autograd.numpy in place of numpy"
        ) from error
    slopes = np.zeros((dim, dim, *points.shape))
    for i, j in np.ndindex(dim, dim):
        unit = np.zeros_like(a)
        unit[:, i, j] = 1
        slopes[i, j] = pullback(unit)
    if not np.all(np.isfinite(slopes)):
        raise ValueError("coefficient: its derivative is not finite everywhere")
    return a, slopes


def as_tensor(values, shape):
    """A scalar or tensor coefficient at points of this shape, as a tensor (n, d, d)."""
    n, dim = shape
    if anp.shape(values) == (n,):
        return anp.reshape(values, (n, 1, 1)) * np.eye(dim)
    if anp.shape(values) == (n, dim, dim):
        return values
    raise ValueError(
        f"coefficient: returned shape {anp.shape(values)} at points of shape {shape}, "
        f"expected ({n},) or ({n}, {dim}, {dim})"
    )


def check_elliptic(a, points):
    if np.iscomplexobj(a):
        raise ValueError("coefficient: complex; expected real values")
    if not np.all(np.isfinite(a)):
        where = points[np.argmin(np.isfinite(a).all(axis=(1, 2)))]
        raise ValueError(f"coefficient: not finite at {where}")
    if np.abs(a - np.swapaxes(a, 1, 2)).max() > 1e-10 * np.abs(a).max():
        raise ValueError("coefficient: the tensor is not symmetric; expected a_ij = a_ji")
    least = np.linalg.eigvalsh(a)[:, 0]
    if least.min() <= 0:
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least.min():.6g} at {points[least.argmin()]}; "
            "expected a positive definite coefficient everywhere"
        )


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = np.asarray(function(points))
    if values.shape != (len(points),) or np.iscomplexobj(values) or not np.all(np.isfinite(values)):
        raise ValueError(
            f"{name}: returned shape {values.shape} and {values.dtype} at points of shape {points.shape}, "
            f"expected ({len(points)},), real and finite"
        )
    return values


def check_periodic(name, function, dim, period, count=7):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points."""
    points = cell_midpoints(dim, period, count)
    values = np.asarray(function(points))
    for axis in range(dim):
        shifted = np.asarray(function(points + period * np.eye(dim)[axis]))
        jump = np.abs(shifted - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, y and y + {period:g} along axis {axis} differ by {jump:.3g}; "
                f"expected the period {period:g}"
            )


def check_resolved(field, points, spacing):
    """Raises ValueError where `jump_between` finds something."""
    if sentence := jump_between(field, points, spacing):
        raise ValueError(f"coefficient: {sentence}; expected a smooth one, or more points")


def jump_between(field, points, spacing):
    """Where a coefficient's change from point to point is not the integral of its slope: a sentence, or None.

    The strong form sees the coefficient through its derivative at the points: a jump between two of them,
    or an oscillation that they do not resolve, would be lost without notice.
    """
    dim = points.shape[1]
    for axis in range(dim):
        step = spacing * np.eye(dim)[axis]
        nearby = [_values_and_slopes(field, points + fraction * step) for fraction in (0, 0.5, 1)]
        (first, s0), (_, s1), (last, s2) = [(a, slopes[..., axis]) for a, slopes in nearby]
        integral = np.moveaxis(s0 + 4 * s1 + s2, -1, 0) * spacing / 6  # Simpson's rule
        miss = np.abs(last - first - integral).max()
        if miss > 0.1 * np.ptp(first, axis=0).max() + 1e-12 * np.abs(first).max():
            return (
                f"jumps, or varies too fast for points {spacing:.3g} apart along axis {axis}: its change "
                f"and the integral of its derivative differ by {miss:.3g}"
            )
    return None
