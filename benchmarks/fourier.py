"""A Fourier solver for cell problems, div a (grad chi + e) = 0, to compare with: conjugate gradients on a regular grid.

Preconditioned by the operator of a constant coefficient, which the FFT inverts, as in Moulinec and Suquet (1998); by
conjugate gradients as in Zeman, Vondrejc, Novak and Marek (2010).  Gradients are those of trigonometric polynomials, or
differences from the corners of a pixel to its middle (Willot 2015), which suit images better.
"""

from functools import reduce

import numpy as np
from scipy import fft


def derivatives(shape, differences):
    """(dim, ...): what multiplies the half spectrum of a real array to differentiate it on the unit cell."""
    counts = [fft.fftfreq(n, 1 / n) for n in shape[:-1]] + [fft.rfftfreq(shape[-1], 1 / shape[-1])]
    k = np.meshgrid(*counts, indexing="ij")
    if not differences:
        return np.array([2j * np.pi * np.where(2 * np.abs(m) == n, 0, m) for m, n in zip(k, shape, strict=True)])
    turn = [np.exp(2j * np.pi * m / n) for m, n in zip(k, shape, strict=True)]
    factors = [[n * (z - 1) if i == j else (z + 1) / 2 for j, z in enumerate(turn)] for i, n in enumerate(shape)]
    return np.array([reduce(np.multiply, row) for row in factors])


def corrector(a, axis, steps=2000, tolerance=0.0, differences=False):
    """chi (n, ..., n) and e + grad chi (dim, n, ..., n) for the unit vector e of an axis, after so many steps or where
    the residual has fallen by the tolerance; a: values (n, ..., n) or (dim, dim, n, ..., n) at midpoints."""
    shape = a.shape if a.ndim < 4 else a.shape[2:]
    axes, D = tuple(range(-len(shape), 0)), derivatives(shape, differences)
    square = np.sum(np.abs(D) ** 2, axis=0)
    inverse = np.divide(1, square, where=square > 1e-9, out=np.zeros_like(square))
    k = np.arange(square.shape[-1])
    twice = np.where((k == 0) | (2 * k == shape[-1]), 1, 2)  # how often a wave of the half spectrum is in the whole

    def dot(u, v):
        return np.sum((u.real * v.real + u.imag * v.imag) * twice)

    def gradient(u):
        return fft.irfftn(D * u, shape, axes)

    def balance(slope):
        """-div a slope"""
        flux = a * slope if a.ndim == len(shape) else np.einsum("ij...,j...->i...", a, slope)
        return np.sum(D.conj() * fft.rfftn(flux, axes=axes), axis=0)

    e = np.zeros((len(shape), *shape))
    e[axis] = 1
    u, r = np.zeros(square.shape, complex), -balance(e)
    p = z = inverse * r
    size = start = dot(r, z)
    for _ in range(steps):
        if size <= tolerance**2 * start or size == 0:
            break
        q = balance(gradient(p))
        step = size / dot(p, q)
        u, r = u + step * p, r - step * q
        z = inverse * r
        before, size = size, dot(r, z)
        p = z + size / before * p
    return fft.irfftn(u, shape), e + gradient(u)


def tensor(a, dim, tolerance, differences=False):
    """The homogenized tensor (dim, dim), by energies, whose error is the square of the correctors'."""
    slopes = np.array([corrector(a, axis, tolerance=tolerance, differences=differences)[1] for axis in range(dim)])
    flux = a * slopes if a.ndim == dim else np.einsum("ij...,kj...->ki...", a, slopes)
    points = slopes[0, 0].size
    return flux.reshape(dim, -1) @ slopes.reshape(dim, -1).T / points
