"""Loss terms and the points on which they are taken.

Every term of the paper's losses is  sum_i weight_i |l_i(u) - target_i|^2,  where l_i is a linear combination of
the channels of a jet at point i: an equation (channels value, ..., L u), a boundary or initial value (one
channel), or a periodic pair (two values, subtracted).  Eqs. (3) and (12), and section 4.1 for the pairs.
"""

from typing import NamedTuple

import autograd.numpy as anp
import numpy as np

from jets import flatten, forward, network_jet, operator_jet, pullback

BLOCK_BYTES = 4608  # of a block of points, one number each: a block's arrays stay in the cache


class Term(NamedTuple):
    """sum_i weight_i (sum_c mix_ci jet_ci(u) - target_i)^2"""

    jet: np.ndarray  # (..., channels, n, d): of the coordinates
    derivatives: bool  # False: the channels are independent points, of which only values are used
    mix: np.ndarray  # (..., channels, n); (..., channels * outputs, n) for a network of several outputs
    target: np.ndarray  # (..., n)
    weight: np.ndarray  # (n,): the weight of the term divided by its number of points


def equation_term(points, a, b, c, f, weight):
    """weight * mean_i |a_ij d_ij u + b_i d_i u + c u + f|^2, shapes as in `operator_jet`, c and f (..., n)."""
    jet = operator_jet(points, a, b)
    mix = np.zeros(jet.shape[:-1])
    mix[..., -1, :] = 1
    mix[..., 0, :] = c
    return Term(jet, True, mix, -f, np.full(len(points), weight / len(points)))


def value_term(points, values, weights):
    """sum_i weights_i |u(points_i) - values_i|^2."""
    return Term(points[None], False, np.ones((1, len(points))), values, weights)


def pair_term(pairs, weights):
    """sum_i weights_i |u(pairs[0, i]) - u(pairs[1, i])|^2, for pairs (2, n, d)."""
    n = pairs.shape[1]
    return Term(pairs, False, np.array([[1.0], [-1.0]]) * np.ones(n), np.zeros(n), weights)


def periodic_term(pairs, faces_weight, layers_weight):
    """The second and third sum of section 4.1, for the pairs of `periodic_pairs`, as one term.

    Both are divided by the number of pairs on one side, and both sides of the ghost layers are added up.
    """
    faces, ghosts = pairs
    weights = np.full(faces.shape[1], faces_weight / faces.shape[1])
    if ghosts.shape[1]:
        weights = np.append(weights, np.full(ghosts.shape[1], 2 * layers_weight / ghosts.shape[1]))
    return pair_term(np.concatenate(pairs, axis=1), weights)


def residual(params, term):
    """sum_c mix_ci jet_ci(u) - target_i: (..., n).  autograd differentiates it, for a loss of one's own."""
    return anp.sum(term.mix * _channels(network_jet(params, _inputs(term)), term), axis=-2) - term.target


def _inputs(term):
    """The term's jet of the coordinates; independent points become one channel."""
    jet = term.jet
    return jet if term.derivatives else jet.reshape((*jet.shape[:-3], 1, -1, jet.shape[-1]))


def _channels(out, term):
    """The jet of the network with its outputs (..., C, points, outputs) in the shape of the term's mix."""
    return anp.reshape(anp.swapaxes(out, -1, -2), out.shape[: out.ndim - 3] + term.mix.shape[-2:])


def term_loss_and_gradient(params, term):
    """The term, summed over the networks of a batch, and its gradient with respect to their parameters.

    The residual r is linear in the jet: the loss has the gradient 2 weight r mix with respect to the jet.
    """
    tape = []
    out = forward(params, _inputs(term), tape)
    r = np.sum(term.mix * _channels(out, term), axis=-2) - term.target
    weighted = term.weight * r
    g = (2 * weighted)[..., None, :] * term.mix
    g = g.reshape((*out.shape[:-2], *out.shape[:-3:-1])).swapaxes(-1, -2)
    return np.sum(weighted * r), pullback(params, tape, g)


def loss_and_gradient(params, terms, block=None):
    """The sum of the terms and its gradient as one vector, in blocks of points that fit into the cache."""
    block = block or BLOCK_BYTES // params[0][0].itemsize
    loss, total = 0.0, 0.0
    for term in terms:
        pieces = blocks(len(term.weight), block)
        for piece in pieces:
            part = term if len(pieces) == 1 else _take(term, piece)
            value, gradients = term_loss_and_gradient(params, part)
            loss = loss + value
            total = total + flatten(gradients)
    return loss, total


def blocks(n, most):
    """Slices of n points, of about the same length, at most `most`."""
    size = -(-n // max(1, -(-n // most))) or 1
    return [slice(start, start + size) for start in range(0, n, size)]


def _take(term, index):
    """The part of a term at some of its points; index is a slice or an array of integers."""
    return Term(
        term.jet[..., index, :],
        term.derivatives,
        term.mix[..., index],
        term.target[..., index],
        term.weight[index],
    )


def random_part(term, batch, rng):
    """A term over at most `batch` random points, with weights that keep its expectation."""
    n = len(term.weight)
    if batch is None or n <= batch:
        return term
    part = _take(term, rng.choice(n, batch, replace=False, shuffle=False))
    return part._replace(weight=part.weight * (n / batch))


# ---------------------------------------------------------------------------------------------------
# Points
# ---------------------------------------------------------------------------------------------------


def grid(bounds, count):
    """A uniform grid with both ends on every axis: bounds ((low, high), ...) -> (count ** d, d)."""
    axes = [np.linspace(low, high, count) for low, high in bounds]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def on_boundary(points, bounds):
    """Which points (n, d) of a box lie on its boundary: (n,)."""
    low, high = np.transpose(bounds)
    return np.any((points == low) | (points == high), axis=1)


def cell_midpoints(dim, period, count):
    """The midpoints of count ** dim equal boxes of the cell: equal weights make a quadrature rule."""
    half = period / count / 2
    return grid([(half, period - half)] * dim, count)


def periodic_pairs(dim, period, count, layers):
    """Point pairs one period apart on the grid of a cell, section 4.1 of the paper.

    For every axis: the count ** (dim - 1) points of the face y_i = 0 with those of y_i = period, and for
    each of the `layers` oversampling layers l on each side, y_i = -l h with period - l h and
    y_i = period + l h with l h, where h = period / (count - 1).
    -> boundary (2, dim * count ** (dim - 1), dim), oversampled (2, 2 * layers * dim * count ** (dim - 1), dim)
    """
    if not 0 <= layers < count - 2:
        raise ValueError(
            f"layers: the number of oversampling layers is {layers}, it must be at least 0 and less than "
            f"points - 2 = {count - 2} (section 4.1: N_o < N_f - 2)"
        )
    h = period / (count - 1)
    across = grid([(0, period)] * (dim - 1), count) if dim > 1 else np.zeros((1, 0))

    def pairs(offsets):
        """For every axis and offset: the points at y_axis = offset, and their images one period further."""
        near = [np.insert(across, axis, offset, axis=1) for axis in range(dim) for offset in offsets]
        shift = [np.eye(dim)[axis] * period for axis in range(dim) for _ in offsets]
        near, shift = np.reshape(near, (-1, len(across), dim)), np.reshape(shift, (-1, 1, dim))
        return np.stack([near, near + shift]).reshape(2, -1, dim)

    ghosts = [side * layer * h for layer in range(1, layers + 1) for side in (-1, 1)]
    return pairs([0.0]), pairs(ghosts)
