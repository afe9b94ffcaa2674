"""Periodic functions by their Fourier coefficients: shift, refine, differentiate, project, solve; series at any points.

Values are those at the midpoints of n ** d equal boxes of the unit cell, arrays (..., n, ..., n).  Their spectrum
stands for the trigonometric polynomial through them; where n is even, its fastest wave, which has no derivative on the
grid, is left out wherever it matters.
"""

from itertools import combinations, islice
from typing import NamedTuple

import numpy as np
from scipy import fft

from nhpinn_tools.conjugate_gradients import conjugate_gradients

NUMBERS = 10**6  # that an array has, about, on the way to values at scattered points
ROUNDING = 1e-12  # of functions of the size of one: smaller waves are rounding


class Spectrum(NamedTuple):
    modes: np.ndarray  # (..., n, ..., n // 2 + 1): as of scipy.fft.rfftn over the last d axes
    d: int
    n: int


def waves(d, n):
    """The integer wave vectors k of the modes: (d, n, ..., n // 2 + 1)."""
    whole, half = fft.fftfreq(n, 1 / n), np.arange(n // 2 + 1.0)
    return np.stack(np.meshgrid(*[whole] * (d - 1), half, indexing="ij"))


def spectrum_of(values, d):
    return Spectrum(fft.rfftn(values, axes=range(-d, 0)), d, values.shape[-1])


def values_of(s):
    """(..., n, ..., n)"""
    return fft.irfftn(s.modes, s=(s.n,) * s.d, axes=range(-s.d, 0))


def shifted(s, shift):
    """The spectrum of y -> u(y + shift), shift (d,)."""
    return s._replace(modes=s.modes * np.exp(2j * np.pi * np.tensordot(shift, waves(s.d, s.n), 1)))


def refined(s, n):
    """The spectrum of the same functions for n ** d boxes; for fewer than before, without the waves that are faster
    than these show."""
    m = (min(s.n, n) - 1) // 2  # the fastest wave that is kept
    k = np.arange(-m, m + 1)
    old, new = (np.ix_(*[k % count] * (s.d - 1), k[m:]) for count in (s.n, n))
    between = np.full(s.d, 0.5 / n - 0.5 / s.n)  # from midpoints to midpoints
    modes = np.zeros((*s.modes.shape[: -s.d], *waves(s.d, n).shape[1:]), complex)
    modes[(..., *new)] = shifted(s, between).modes[(..., *old)] * (n / s.n) ** s.d
    return Spectrum(modes, s.d, n)


def gradient(s):
    """(..., d, n, ..., n // 2 + 1)"""
    k = waves(s.d, s.n)
    return s._replace(modes=s.modes[(..., None, *[slice(None)] * s.d)] * (2j * np.pi * k * (2 * np.abs(k) < s.n)))


def antiderivative(values, period):
    """That of values (m,), m odd, less their mean, with mean zero, in one dimension: values (m,)."""
    s = spectrum_of(values, 1)
    modes = np.append(0, s.modes[1:] / (2j * np.pi * waves(1, s.n)[0, 1:]))
    return period * values_of(s._replace(modes=modes))


def derivative(values, period):
    """That of values (..., m), m odd, in one dimension: values (..., m)."""
    return values_of(gradient(spectrum_of(values, 1)))[..., 0, :] / period


def slopes_at_midpoints(s, n):
    """The gradients of functions (J, ...) at the midpoints of n ** d boxes: (J, n ** d, d)."""
    return np.moveaxis(values_of(gradient(refined(s, n))).reshape(len(s.modes), s.d, -1), 1, 2)


def without_gradients(s):
    """Fields (..., d, n, ...) without their means and their gradient parts: what is left has no divergence."""
    k = waves(s.d, s.n)
    square = np.sum(k**2, axis=0)
    square.flat[0] = 1
    along = np.sum(k * s.modes, axis=-s.d - 1) / square
    modes = s.modes - k * along[(..., None, *[slice(None)] * s.d)]
    modes[(..., *[0] * s.d)] = 0
    return s._replace(modes=modes)


def fluxes_potential(flux, period):
    """phi_ki, k < i, (pairs, J, n, ...) of fluxes (J, d, n, ...) in a cell of these periods: d_k phi_ki is the flux
    less its mean and its gradient part."""
    s = spectrum_of(flux, len(period))
    k = 2j * np.pi * waves(s.d, s.n) / np.reshape(period, (s.d, *[1] * s.d))
    square = np.sum(k**2, axis=0)
    square.flat[0] = 1
    modes = s.modes / square  # those of m, lap m = flux, but for the mean, which k takes away
    phi = [k[p] * modes[:, i] - k[i] * modes[:, p] for p, i in combinations(range(s.d), 2)]
    return values_of(s._replace(modes=np.reshape(phi, (-1, *modes[:, 0].shape))))


# --- elliptic equations -----------------------------------------------------------------------------


def symbol(a, n):
    """That of -d_i(a_ij d_j) with a constant a (d, d), infinite for the mean: (n, ..., n // 2 + 1)."""
    k = 2 * np.pi * waves(len(a), n)
    found = np.einsum("i...,ij,j...->...", k, a, k)
    found.flat[0] = np.inf
    return found


def minus_divergence(fluxes):
    """The modes (J, ...) of -div of fluxes (J, d, n, ..., n)."""
    s = spectrum_of(fluxes, fluxes.shape[1])
    return np.sum(np.conj(2j * np.pi * waves(s.d, s.n)) * s.modes, axis=1)


def potential(flux, load, mean, start, most, enough=0.0, close=0.0):
    """The Spectrum of u (J, ...), div( flux(grad u) + load ) = 0 for loads (J, d, n, ..., n), by conjugate gradients.

    flux: values (J, d, n, ..., n) -> the same, near mean (d, d) times them, which preconditions.  start: the Spectrum
    to begin with, or None.  most: steps.  enough, close: the squares of the residuals in the inverse of the
    preconditioner at which it ends, (J,), and relative to the first ones.
    """
    d, n = load.shape[1], load.shape[-1]
    inverse = 1 / symbol(mean, n)
    weights = np.where(waves(d, n)[-1] > 0, 2.0, 1.0) / n ** (2 * d)  # of the modes and their conjugates, in a mean

    def apply(u):
        return minus_divergence(flux(values_of(gradient(Spectrum(u, d, n)))))

    def inner(u, v):
        return np.sum((u.real * v.real + u.imag * v.imag) * weights, axis=tuple(range(-d, 0)), keepdims=True)

    r = -minus_divergence(load)
    u = 0 * r if start is None else start.modes.copy()
    r = r if start is None else r - apply(u)
    first = None
    for square in islice(conjugate_gradients(apply, lambda r: r * inverse, u, r, inner), 1 + most):
        first = square if first is None else first
        if np.all(square.ravel() <= np.maximum(enough, close * first.ravel())):
            break
    return Spectrum(u, d, n)


# --- series: at any points --------------------------------------------------------------------------


def line(count, x, order=0):
    """1, cos 2 pi x, cos 4 pi x, ..., sin 2 pi x, ..., or their derivatives: (n, count), for an odd count."""
    m, rows = count // 2, np.empty((count, len(x)))
    turns = np.exp(2j * np.pi * (x % 1))
    wave = (2j * np.pi) ** order * np.ones_like(turns)
    rows[0] = order == 0
    for k in range(1, m + 1):  # powers: several times as fast as sines
        wave = wave * turns
        rows[k], rows[m + k] = k**order * wave.real, k**order * wave.imag
    return np.ascontiguousarray(rows.T)


class Series(NamedTuple):
    """Periodic functions by their coefficients in products of `line`, one an axis, of y_i / period_i."""

    coefficients: np.ndarray  # (..., m_1, ..., m_d), odd counts
    period: np.ndarray  # (d,)

    def __call__(self, y):
        """Values (..., n) and gradients (..., n, d) at any points y (n, d)."""
        d = len(self.period)
        batch, counts = self.coefficients.shape[:-d], self.coefficients.shape[-d:]
        table = np.moveaxis(self.coefficients.reshape(-1, *counts), 0, 1)  # (m_1, Q, m_2, ...)
        most = max(1, NUMBERS // (2 * table[0].size))
        parts = [self._at(table, part) for part in np.array_split(y / self.period, max(1, -(-len(y) // most)))]
        value, slope = (np.concatenate(each, axis=1) for each in zip(*parts, strict=True))
        return value.reshape(*batch, -1), (slope / self.period).reshape(*batch, -1, d)

    def on_line(self, y):
        """Values and derivatives (..., n) at y (n,), in one dimension."""
        value, slope = self(y[:, None])
        return value, slope[..., 0]

    def _at(self, table, y):
        """Values (Q, n) and gradients (Q, n, d) at points y in units of the period; the sum over m_1 first, then those
        from the last one on."""
        d, counts = y.shape[1], self.coefficients.shape[-y.shape[1] :]
        lines = [[line(m, y[:, i], order) for order in (0, 1)] for i, m in enumerate(counts)]
        value, first = (np.tensordot(each, table, 1) for each in lines[0])
        slopes = [first]  # along the axes 0, d - 1, ..., 1
        for one, other in lines[:0:-1]:
            value, *slopes = (
                contracted(value, one),
                *(contracted(slope, one) for slope in slopes),
                contracted(value, other),
            )
        return value.T, np.stack([slopes[-axis % d] for axis in range(d)], axis=-1).swapaxes(0, 1)


def contracted(array, weights):
    """The sums over the last axis of (n, Q, ..., m) with weights (n, m)."""
    flat = array.reshape(len(array), -1, array.shape[-1])
    return np.matmul(flat, weights[:, :, None])[..., 0].reshape(array.shape[:-1])


def series_through(values, period):
    """The Series of functions with these values (..., n, ..., n), n odd, at the midpoints of a cell of these periods
    (d,)."""
    d, n = len(period), values.shape[-1]
    turn = np.exp(-1j * np.pi * np.arange(n // 2 + 1) / n) * np.append(1, np.full(n // 2, 2)) / n
    for axis in range(-d, 0):
        modes = fft.rfft(np.moveaxis(values, axis, -1)) * turn
        values = np.moveaxis(np.concatenate([modes.real, -modes[..., 1:].imag], axis=-1), -1, axis)
    return Series(values, np.asarray(period, float))


def series_of(values, period):
    """The same, without the fast waves that are rounding."""
    (values, period), n = series_through(values, period), values.shape[-1]
    for axis in range(-len(period), 0):
        sizes = np.moveaxis(np.abs(values), axis, 0).reshape(n, -1).max(axis=1)
        fast = np.flatnonzero(np.maximum(*sizes[1:].reshape(2, -1)) > ROUNDING)
        count = fast[-1] + 1 if len(fast) else 0
        values = np.take(values, np.r_[: 1 + count, 1 + n // 2 : 1 + n // 2 + count], axis)  # cosines, sines
    return Series(values, period)
