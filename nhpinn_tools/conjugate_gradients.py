"""Conjugate gradients: who solves says what operator, preconditioner and scalar product are, and when it is enough."""

import numpy as np


def conjugate_gradients(apply, precondition, u, r, dot=np.vdot):
    """Lowers  u . A u - 2 b . u  from u and r = b - A u, both in place.

    Yields, before every step, the square r . z of the residual in the norm of the preconditioner, z = precondition(r).
    dot: may give several numbers, of as many problems; then they have the shape that u is multiplied by.
    """
    p, square, tiny = 0.0, 1.0, np.finfo(float).tiny  # some problems may be solved already
    while True:
        z = precondition(r)
        square, last = dot(r, z), square
        yield square
        p = z + (square / np.maximum(last, tiny)) * p
        q = apply(p)
        step = square / np.maximum(dot(p, q), tiny)
        u += step * p
        r -= np.multiply(q, step, out=q)
