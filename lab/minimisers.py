"""Losses without an optimizer: minimised exactly over functions of a given bandwidth.

A tanh network with one hidden layer, random and fixed, is linear in its last layer, and every loss of the paper is the
sum of squares of what is linear in the network.  So the least loss over all last layers is one least-squares problem,
and no training can do better in that space.  The slopes of the hidden layer are normal with deviation s, the
bandwidth, in units of 1 / x, the bends uniform in the box: for small s the functions are smooth on the scale eps; with
s of the order of 2 pi / (eps period) they follow the cells.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lstsq, qr

from nhpinn_networks import affine, tanh_jet

CUT = 1e-12  # of singular values
MOST = {1: 600, 2: 1200, 3: 1500}  # features, by the number of coordinates, time included
BLOCK = 2048  # rows at a time


class Minimiser(NamedTuple):
    """sum_k c_k tanh(w_k . x + b_k) for every output, the constant among them; loss: the least."""

    W: np.ndarray  # (d, N)
    b: np.ndarray  # (N,)
    c: np.ndarray  # (outputs, N)
    loss: float

    def __call__(self, points):
        """Values (outputs, n) at points (n, d)."""
        parts = np.array_split(points, len(points) // BLOCK + 1)
        return self.c @ np.concatenate([np.tanh(part @ self.W + self.b) for part in parts]).T


def feature_count(bounds, dim, bandwidth):
    """The more the wider the band, 4 s in one dimension."""
    d, longest = len(bounds), max(high - low for low, high in bounds[:dim])
    return int(np.clip(4 * bandwidth if d == 1 else (bandwidth * longest) ** d, 40 * d**2, MOST[d]))


def hidden_layer(bounds, dim, bandwidth, rng):
    """W (d, N) and b (N,) of one bandwidth along the dim axes of space; time has slopes of a few over its length.

    The last feature is constant.
    """
    d, (low, high) = len(bounds), np.transpose(bounds)
    centres = rng.uniform(low, high, (feature_count(bounds, dim, bandwidth), d)).T
    W = rng.standard_normal(centres.shape) * np.where(np.arange(d) < dim, bandwidth, 3 / (high - low))[:, None]
    return np.append(W, np.zeros((d, 1)), axis=1), np.append(-np.sum(W * centres, axis=0), 1.0)


def exact_minimiser(loss, bounds, dim, bandwidth, rng):
    """The Minimiser of a Loss over all last layers, by QR of one block of rows after the other."""
    W, b = hidden_layer(bounds, dim, bandwidth, rng)
    outputs = loss.terms[0].mix.shape[-1]
    R = np.zeros((0, outputs * len(b) + 1))
    for term in loss.terms:  # each residual at one point alone
        for part in np.array_split(np.arange(len(term.weight)), len(term.weight) // BLOCK + 1):
            features = tanh_jet(affine(term.jet[:, part, 0], W, b))[0]
            A = np.einsum("cno,cnN->noN", term.mix[:, part], features, optimize=True).reshape(len(part), -1)
            rows = np.sqrt(term.weight[part])[:, None] * np.column_stack([A, term.target[part]])
            R = qr(np.vstack([R, rows]), mode="r", check_finite=False)[0][: R.shape[1]]
    A, target = R[:, :-1], R[:, -1]
    sizes = np.linalg.norm(A, axis=0)
    sizes[sizes == 0] = 1.0
    c = lstsq(A / sizes, target, cond=CUT, lapack_driver="gelsy", check_finite=False)[0] / sizes
    return Minimiser(W, b, c.reshape(outputs, -1), float(np.sum((A @ c - target) ** 2)))
