"""The law of the failure without an optimizer: losses minimised exactly over functions of a given bandwidth.

A tanh network with one hidden layer, random and fixed, is linear in its last layer, and every loss of the paper is
the sum of squares of what is linear in the network.  So the least loss over all last layers is one least-squares
problem, and no training can do better in that space.  The slopes of the hidden layer are normal with deviation s, the
bandwidth, in units of 1 / x, the bends uniform in the box: for small s the functions are smooth on the scale eps, with
s of the order of 2 pi / eps they follow the cells.

    classical_minimiser     the loss (3) of the classical PINN, on the paper's points or on enough of them
    loss_minimiser          the strong form, the energy, the first-order system: which average a loss learns
"""

from typing import NamedTuple

import experiments
import numpy as np
import studies
from jets import affine, tanh_jet
from scipy.linalg import lstsq, qr

import fem
import nhpinn

CUT = 1e-12  # of singular values
MOST = {1: 600, 2: 1200, 3: 1500}  # features, by the number of coordinates, time included
BANDWIDTHS = (1, 2, 5, 10, 20, 40, 80, 160)


class Minimiser(NamedTuple):
    """sum_k c_k tanh(w_k . x + b_k) for every output, the constant among them; loss: the least."""

    W: np.ndarray  # (d, N)
    b: np.ndarray  # (N,)
    c: np.ndarray  # (N, outputs)
    loss: float

    def __call__(self, points):
        """Values (n, outputs) at points (n, d)."""
        parts = np.array_split(points, len(points) // 4096 + 1)
        return np.concatenate([np.tanh(part @ self.W + self.b) @ self.c for part in parts])


def hidden_layer(bounds, dim, bandwidth, rng):
    """W (d, N) and b (N,) of one bandwidth along the dim axes of space; time has slopes of a few over its length.

    The more features the wider the band, 4 s in one dimension; the last one is constant.
    """
    d, (low, high) = len(bounds), np.transpose(bounds)
    lengths = high - low
    count = int(np.clip(4 * bandwidth if d == 1 else (bandwidth * lengths[:dim].max()) ** d, 40 * d**2, MOST[d]))
    centres = rng.uniform(low, high, (count, d)).T
    W = rng.standard_normal((d, count)) * np.where(np.arange(d) < dim, bandwidth, 3 / lengths)[:, None]
    return np.append(W, np.zeros((d, 1)), axis=1), np.append(-np.sum(W * centres, axis=0), 1.0)


def minimised(terms, W, b, outputs=1, block=2048):
    """The Minimiser of a sum of losses.Term over all last layers, by QR of one block of rows after the other."""
    columns = len(b) * outputs
    R = np.zeros((0, columns + 1))
    for term in terms:
        for part in np.array_split(np.arange(len(term.weight)), len(term.weight) // block + 1):
            rows = np.column_stack([term_rows(term, part, W, b, outputs), term.target[part]])
            R = qr(np.vstack([R, np.sqrt(term.weight[part])[:, None] * rows]), mode="r", check_finite=False)[0]
            R = R[: columns + 1]
    sizes = np.linalg.norm(R[:, :-1], axis=0)
    sizes[sizes == 0] = 1.0
    c = lstsq(R[:, :-1] / sizes, R[:, -1], cond=CUT, lapack_driver="gelsy", check_finite=False)[0] / sizes
    loss = float(np.sum((R[:, :-1] @ c - R[:, -1]) ** 2))
    return Minimiser(W, b, c.reshape(outputs, -1).T, loss)


def term_rows(term, part, W, b, outputs):
    """The residuals of a term at some of its points as a matrix (rows, outputs * N) of the last layer."""
    jet = term.jet[:, part]
    features = tanh_jet(affine(jet, W, b))[0] if term.derivatives else np.tanh(jet @ W + b)
    mix = term.mix[:, part].reshape(len(jet), outputs, -1)
    return np.einsum("con,cnk->nok", mix, features, optimize=True).reshape(len(part), -1)


# ---------------------------------------------------------------------------------------------------
# The loss of the classical PINN
# ---------------------------------------------------------------------------------------------------


def classical_minimiser(problem, settings, bandwidth, points, rng):
    """The least loss (3) of the multiscale equation over functions of this bandwidth: a Minimiser.

    settings: adam.Training, of which the weights are used; points: an axis, a number or one for each, time last.
    """
    bounds = [*problem.domain, *([] if problem.initial is None else [(0.0, problem.final_time)])]
    counts = np.broadcast_to(points, len(bounds))
    grid = fem.product([np.linspace(low, high, n) for (low, high), n in zip(bounds, counts, strict=True)])
    terms = nhpinn.equation_terms(problem, nhpinn.multiscale_at(problem), settings, grid)
    return minimised(terms, *hidden_layer(bounds, problem.dim, bandwidth, rng))


def enough_points(problem, most=30000):
    """About 32 points a period along each axis of space, at least 1001 in one dimension; 31 in time."""
    count = max(1001 if problem.dim == 1 and problem.initial is None else 101, 32 * studies.periods(problem) + 1)
    count = min(count, round(most ** (1 / problem.dim)))
    return (count,) * problem.dim + (() if problem.initial is None else (31,))


def bandwidth_rows(problem, settings, points, bandwidths=BANDWIDTHS, seed=0):
    """For each bandwidth a row: bandwidth, features, points, loss, and the error at the test points."""
    u, x, rows = studies.fine_values(problem), experiments.test_inputs(problem), []
    for bandwidth in bandwidths:
        found = classical_minimiser(problem, settings, bandwidth, points, np.random.default_rng(seed))
        error = fem.relative_error(found(x)[:, 0], u)
        rows.append({"bandwidth": bandwidth, "features": len(found.b), "points": points})
        rows[-1] |= {"loss": found.loss, "error": error}
    return rows


# ---------------------------------------------------------------------------------------------------
# Which average a loss learns
# ---------------------------------------------------------------------------------------------------


def loss_minimiser(problem, name, bandwidth, rng):
    """u at the test points for the minimiser of one of studies.LOSSES, u = bubble * N, and the loss."""
    count = studies.POINTS_A_CELL[problem.dim] * studies.periods(problem)
    axes = [low + (high - low) * (np.arange(count) + 0.5) / count for low, high in problem.domain]
    outputs = 1 + problem.dim if name == "first order" else 1
    terms = studies.loss_terms(problem, name, axes)
    found = minimised(terms, *hidden_layer(problem.domain, problem.dim, bandwidth, rng), outputs)
    x = experiments.test_inputs(problem)
    return studies.bubble(problem, x)[0] * found(x)[:, 0], found.loss


def loss_rows(problem, bandwidths=BANDWIDTHS, seed=0):
    """For each loss and bandwidth a row: the error, that predicted from the mean over y, the distance of both."""
    u, rows = studies.fine_values(problem), []
    for name in studies.LOSSES:
        v = studies.predicted_by(problem, name)
        for bandwidth in bandwidths:
            found, loss = loss_minimiser(problem, name, bandwidth, np.random.default_rng(seed))
            row = {"name": name, "bandwidth": bandwidth, "loss": loss, "predicted": fem.relative_error(v, u)}
            rows.append(row | {"error": fem.relative_error(found, u), "from_predicted": fem.relative_error(found, v)})
    return rows
