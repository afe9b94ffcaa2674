"""Coefficients, reactions, sources and initial values: derivatives, and the checks at the door.

A coefficient is a function of points (n, dim) that returns (n,), a scalar, or (n, dim, dim), a symmetric positive
definite tensor; it is differentiated by autograd.  What does not fit the theory gets one sentence that says so:
the argument, what was found, what was expected.  So does a user's function that raises: the sentence is a
ValueError, with the function's own exception as its cause.
"""

import warnings
from numbers import Integral, Real

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, make_vjp

from losses import cell_midpoints


def called(name, function, points):
    """function(points), a user's function: a real array, or a ValueError that names it."""
    try:
        values = function(points.copy())  # a function that changes its argument changes nothing here
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{name}: raised {text}, at points of shape {points.shape}") from error
    if type(values) is not np.ndarray or values.dtype.kind not in "iuf":
        found = f"{values.dtype} values" if isinstance(values, np.ndarray) else type(values).__name__
        raise ValueError(f"{name}: returned {found}, expected a numpy array of real numbers")
    return values.astype(float)


def tensor_of(field, points):
    """A coefficient at points (n, d) as (n, d, d), checked: shape, finite, symmetric, elliptic."""
    with np.errstate(invalid="ignore"):  # infinity times the zeros of the identity
        a = as_tensor(called("coefficient", field, points), points.shape)
    check_elliptic(a, points)
    return a


def coefficient_at(problem, x):
    """The coefficient of a problem as a function of y, at one point x."""
    return lambda y: problem.coefficient(0 * y + x, y)


def tensor_and_divergence(field, points):
    """a_ij and b_j = d_i a_ij at points, by reverse differentiation of `field`.

    field: points (n, d) -> (n,) or (n, d, d), written with autograd.numpy -> a (n, d, d), b (n, d).
    Raises ValueError where a does not fit, see `tensor_of`, TypeError where it cannot be differentiated.
    """
    a, slopes = _values_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def _values_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim, a = points.shape[1], tensor_of(field, points)
    slopes = np.zeros((dim, dim, *points.shape))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "independent of input": a constant has slope 0; others: see below
            pullback, _ = make_vjp(lambda p: as_tensor(field(p), p.shape))(points)
            for i, j in np.ndindex(dim, dim):
                unit = np.zeros_like(a)
                unit[:, i, j] = 1
                slopes[i, j] = pullback(unit)
    except Exception as error:  # the function works on arrays, but not under differentiation
        raise TypeError(
            f"coefficient: could not be differentiated ({error}); write it with autograd.numpy in place of numpy"
        ) from error
    if not np.all(np.isfinite(slopes)):
        raise TypeError("coefficient: could not be differentiated, its derivative is not finite everywhere")
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


SMALLEST, LARGEST = 1e-100, 1e100  # of a coefficient or a period: products of them stay numbers


def check_elliptic(a, points):
    if not np.all(np.isfinite(a)):
        where = points[np.argmin(np.isfinite(a).all(axis=(1, 2)))]
        raise ValueError(f"coefficient: not finite at {where}")
    if np.any(np.abs(a - np.swapaxes(a, 1, 2)).max(axis=(1, 2)) > 1e-10 * np.abs(a).max(axis=(1, 2))):
        raise ValueError("coefficient: the tensor is not symmetric; expected a_ij = a_ji")
    if np.abs(a).max() > LARGEST:
        raise ValueError(f"coefficient: found {np.abs(a).max():.3g}, expected at most {LARGEST:g}: change its unit")
    eigenvalues = np.linalg.eigvalsh(a)
    least = eigenvalues[:, 0]
    if not np.all(least >= np.maximum(SMALLEST, 1e-12 * eigenvalues[:, -1])):  # a tensor's rounding is 1e-16
        worst = np.argmin(least / eigenvalues[:, -1]) if least.min() >= SMALLEST else least.argmin()
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least[worst]:.6g} at {points[worst]}; "
            "expected a positive definite coefficient everywhere"
        )


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = called(name, function, points)
    if values.shape != (len(points),) or not np.all(np.isfinite(values)) or np.abs(values).max() > LARGEST:
        raise ValueError(
            f"{name}: returned shape {values.shape}, up to {np.abs(values).max(initial=0):.3g}, at points of shape "
            f"{points.shape}; expected ({len(points)},), finite, at most {LARGEST:g}"
        )
    return values


def checked_reaction(problem, points, quadrature):
    """r at points, checked for its shape, its period and its mean over the points of a quadrature."""
    values = checked_values("reaction", problem.reaction, points)
    check_periodic("reaction", problem.reaction, problem.dim, problem.period)
    r = checked_values("reaction", problem.reaction, quadrature)
    if not abs(r.mean()) <= 1e-8 * np.abs(r).max():
        raise ValueError(f"reaction: its mean over the cell is {r.mean():.6g}; (A.2) has a solution only if it is 0")
    return values


def check_twice_differentiable(name, function, points):
    """Raises TypeError where autograd does not find the second derivatives of function(points)."""
    slope = elementwise_grad(function)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            second = elementwise_grad(lambda p: slope(p)[:, 0])(points)
    except Exception as error:
        raise TypeError(f"{name}: could not be differentiated twice; write it with autograd.numpy") from error
    if not np.all(np.isfinite(second)):
        raise TypeError(f"{name}: could not be differentiated twice, the derivative is not finite everywhere")


def check_periodic(name, function, dim, period, count=7):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points."""
    points = cell_midpoints(dim, period, count)
    values = called(name, function, points)
    for axis in range(dim):
        shifted = called(name, function, points + period * np.eye(dim)[axis])
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


# ---------------------------------------------------------------------------------------------------
# Settings
# ---------------------------------------------------------------------------------------------------


def shown(value):
    """A value on one line, for a sentence."""
    return " ".join(repr(value).split())


def check_integer(name, value, least, most=10**9):
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected an integer of at least {least} and at most {most}")


def check_positive(name, value, most=LARGEST):
    if isinstance(value, bool) or not isinstance(value, Real) or not 1 / LARGEST <= value <= most:
        raise ValueError(f"{name}: found {shown(value)}, expected a positive number, 1e-100 to {most:g}")


def check_hidden(hidden):
    """Widths of hidden layers: one at least, and a size that fits into the memory."""
    if not isinstance(hidden, tuple | list) or not 1 <= len(hidden) <= 100:
        raise ValueError(f"hidden: found {shown(hidden)}, expected the widths of 1 to 100 layers, as a tuple")
    for width in hidden:
        check_integer("hidden", width, 1, 10**4)


def check_problem(problem):
    """Raises ValueError or TypeError for a problem's field that cannot be meant; see the head of nhpinn.py."""
    check_dim(problem.dim)
    for name in ("eps", "period") + (() if problem.initial is None else ("final_time",)):
        check_positive(name, getattr(problem, name))
    try:
        box = np.asarray(problem.domain)
    except ValueError:  # of different lengths
        box = np.zeros(0)
    if (
        box.shape != (problem.dim, 2)
        or box.dtype.kind not in "iuf"
        or not np.all((box[:, 0] < box[:, 1]) & (np.abs(box).max() < LARGEST))
    ):
        raise ValueError(f"domain: found {shown(problem.domain)}, expected {problem.dim} pairs (low, high), low < high")
    for name in ("coefficient", "source", "reaction", "initial"):
        function = getattr(problem, name)
        if not callable(function) and not (function is None and name in ("reaction", "initial")):
            raise TypeError(f"{name}: found {type(function).__name__}, expected a function of points")
    if not isinstance(problem.slow, bool):
        raise ValueError(f"slow: found {shown(problem.slow)}, expected True or False")
    if problem.slow and problem.dim > 1:
        raise ValueError(f"slow: a coefficient that depends on x needs dim = 1 here, found dim = {problem.dim}")
    if problem.slow and problem.reaction is not None:
        raise ValueError("slow: a problem with a reaction needs a constant coefficient (appendix A)")


def check_dim(dim):
    if isinstance(dim, bool) or not isinstance(dim, Integral) or dim not in (1, 2, 3):
        raise ValueError(f"dim: found {shown(dim)}, expected 1, 2 or 3")
