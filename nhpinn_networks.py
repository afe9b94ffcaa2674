"""Tanh networks, their derivatives in one forward pass, and mean squares of residuals that autograd differentiates.

For the operator L u = a_ij d_ij u + b_i d_i u with a = S S^T, a jet z (channels, points, width) carries

    z[0]      the value
    z[1:-1]   the derivatives along the columns of S, one channel each
    z[-1]     L of the value

of `width` functions.  The coordinates themselves have the jet (x, columns of S, b); an affine map acts on every
channel alike, its bias on the value alone; and for tanh, with t = tanh(u) and s = 1 - t^2,

    d_k tanh(u) = s d_k u        L tanh(u) = s L u - 2 t s sum_k (d_k u)^2

So one channel holds the whole second-order operator, in any dimension and for any tensor a.  A jet of a single
channel holds values alone.  The whole network is one primitive of autograd, which differentiates it with respect
to its parameters and its points.

A network is a list of pairs (W, b).  Both may carry leading axes: a batch of networks, evaluated and trained
together.  Points are (n, d), jets (..., channels, n, width).

Further down: values and derivatives of trained networks.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import autograd.builtins as ab
import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast
from autograd.tracer import getval, isbox

ROWS = 128  # of a matrix product: OpenBLAS multiplies small matrices in place, 1.2 times as fast as large ones
BLOCK_BYTES = 4608  # of a block of points, one number each: a block's arrays stay in the cache
BATCH_POINTS = 20_000  # of a block at most, over all networks of a batch: its arrays stay in the memory
MANY = 1024  # points at a time of what is evaluated after a training


# --- jets and networks ------------------------------------------------------------------------------


def operator_jet(points, a, b):
    """The jet of the coordinates under L u = a_ij d_ij u + b_i d_i u.

    points (n, d), a (..., n, k, k) symmetric positive definite, b (..., n, d) -> (..., k + 2, n, d)
    a acts on the first k <= d coordinates: a last coordinate without second derivatives is time.
    """
    S = np.linalg.cholesky(a)
    directions = np.zeros((*a.shape[:-3], a.shape[-1], *b.shape[-2:]))
    directions[..., : a.shape[-1]] = np.moveaxis(S, -1, -3)
    return coordinate_jet(points, directions, b)


def coordinate_jet(points, directions, b):
    """The jet (points, directions, b) of the coordinates: (n, d), (..., k, n, d), (..., n, d) -> (..., k + 2, n, d)."""
    value = np.broadcast_to(points, b.shape)
    return np.concatenate([value[..., None, :, :], directions, b[..., None, :, :]], axis=-3)


def init_network(sizes, rng, batch=()):
    """A list of (W, b), W (*batch, m, k) normal with variance 1 / m, b (*batch, k).

    Biases are zero but in the first layer, where they are uniform in [-1, 1]: they spread the bends of
    tanh over the domain, without which the equation's second derivatives are learned far more slowly.
    """
    params = []
    for layer, (m, k) in enumerate(pairwise(sizes)):
        W = rng.standard_normal((*batch, m, k)) / np.sqrt(m)
        b = rng.uniform(-1, 1, (*batch, k)) if layer == 0 else np.zeros((*batch, k))
        params.append((W, b))
    return params


def flatten(params):
    """All parameters as one vector, the form in which an optimizer sees them."""
    return np.concatenate([array.ravel() for pair in params for array in pair])


def unflatten(vector, like):
    """The inverse of `flatten`: a list of (W, b) with the shapes of `like`, as views into vector."""
    arrays, start = [], 0
    for array in (array for pair in like for array in pair):
        arrays.append(vector[start : start + array.size].reshape(array.shape))
        start += array.size
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def network(params, points):
    """Values of a network, or of a batch of them: points (..., n, d) -> (..., n)."""
    return network_jet(params, points[..., None, :, :])[..., 0, :, 0]


def network_jet(params, jet):
    """The jet of a tanh network with a linear last layer: (..., channels, n, d) -> (..., channels, n, outputs)."""
    if not isbox(params) and any(isbox(array) for pair in params for array in pair):
        params = ab.list([ab.tuple(pair) for pair in params])
    return _network_jet(params, jet, [])


@primitive
def _network_jet(params, jet, tape):
    """Puts (input, curvature) of every layer on the tape."""
    *hidden, last = params
    curvature = None
    for W, b in hidden:
        tape.append((jet, curvature))
        jet, curvature = tanh_jet(affine(jet, W, b))
    tape.append((jet, curvature))
    return affine(jet, *last)


def _params_vjp(ans, params, jet, tape):
    def vjp(g):
        _plain(g, params, jet)
        return [_layer_gradient(*arrays, *pair) for arrays, pair in zip(_layers(params, tape, g), params, strict=True)]

    return vjp


def _layer_gradient(z, G, W, b):
    """The gradient with respect to W and b of a layer, from that with respect to z W + b."""
    return _like(_transposed_product(_merge(z), _merge(G)), W), _like(G[..., 0, :, :].sum(-2), b)


def _like(g, array):
    """Summed over the axes along which the array was broadcast."""
    return g if g.shape == array.shape else unbroadcast(g, anp.metadata(array))


def _jet_vjp(ans, params, jet, tape):
    if ans.shape[-3] == 1:  # g times the gradient of the network in its points, which has derivatives again
        d = jet.shape[-1]
        directions = np.broadcast_to(np.eye(d)[:, None], (*jet.shape[:-3], d, *jet.shape[-2:]))

        def vjp(g):
            whole = anp.concatenate([jet, directions, np.zeros(jet.shape)], axis=-3)
            slopes = anp.sum(network_jet(params, whole)[..., 1:-1, :, :] * g, axis=-1)
            return _like(anp.swapaxes(slopes, -1, -2)[..., None, :, :], jet)
    else:

        def vjp(g):
            _plain(g, params, jet)
            (_, G), *_ = _layers(params, tape, g)
            return _like(_times_transposed(G, params[0][0]), jet)

    return vjp


# autograd asks for these right after the forward pass, which has filled the tape
defvjp(_network_jet, _params_vjp, _jet_vjp, argnums=(0, 1))


def _plain(*values):
    if any(map(isbox, values)):
        raise NotImplementedError(
            "network_jet: has no derivatives of this order; expected one in the parameters, of a jet or of a first "
            "derivative in the points, or two in the points; to train on second derivatives take operator_jet"
        )


def _layers(params, tape, g):
    """From g, the gradient with respect to the network's jet: (input z, gradient G of z W + b) of every layer."""
    layers = [(tape[-1][0], g)]
    for (W, _), (z, _), (output, curvature) in zip(params[:0:-1], tape[-2::-1], tape[:0:-1], strict=True):
        g = _tanh_jet_vjp(output, curvature, _times_transposed(g, W))
        layers.append((z, g))
    return layers[::-1]


def affine(z, W, b):
    """The jet of x W + b: z (..., channels, points, m), W (..., m, k), b (..., k)."""
    out = _rows(_product(_merge(z), W), z)
    out[..., 0, :, :] += b[..., None, :]
    return out


def tanh_jet(z):
    """The jet of tanh(u) from the jet of u, and the curvature s sum_k (d_k u)^2 (None for values alone)."""
    out = np.empty_like(z)
    t = np.tanh(z[..., 0, :, :], out=out[..., 0, :, :])
    if z.shape[-3] == 1:
        return out, None
    s = 1 - t * t
    np.multiply(z[..., 1:, :, :], s[..., None, :, :], out=out[..., 1:, :, :])
    curvature = _sum_of_products(z[..., 1:-1, :, :], out[..., 1:-1, :, :])
    np.multiply(curvature, t, out=s)
    s *= 2
    out[..., -1, :, :] -= s
    return out, curvature


def _tanh_jet_vjp(out, curvature, g):
    """The gradient with respect to z of sum(g * tanh_jet(z)), from the outputs of `tanh_jet` alone, in place of g.

    With out = (t, p_k, q) and its curvature c, every s d_k u is p_k and s L u is q + 2 t c, which leaves

        value  s g_0 - 2 t (g_k p_k + g_L q) - 2 s c g_L        d_k  s g_k - 4 t g_L p_k        L  s g_L
    """
    t = out[..., 0, :, :]
    s = 1 - t * t
    if curvature is None:
        return np.multiply(g, s[..., None, :, :], out=g)
    value, last = g[..., 0, :, :], g[..., -1, :, :]
    inner = _sum_of_products(g[..., 1:, :, :], out[..., 1:, :, :])
    inner *= t
    twist = t * last
    twist *= 4
    g *= s[..., None, :, :]
    inner += np.multiply(curvature, last, out=s)
    inner *= 2
    value -= inner
    for k in range(1, out.shape[-3] - 1):
        g[..., k, :, :] -= np.multiply(twist, out[..., k, :, :], out=inner)
    return g


def _sum_of_products(p, q):
    return np.einsum("...cnm,...cnm->...nm", p, q)


def _times_transposed(g, W):
    """g W^T; an outer product, which one column makes of it, is faster by einsum."""
    if W.shape[-1] == 1:
        return np.einsum("...cnk,...mk->...cnm", g, W)
    return _rows(_product(_merge(g), np.ascontiguousarray(np.swapaxes(W, -1, -2))), g)


def _product(z, W):
    """z W, by ROWS rows of z at a time."""
    if z.shape[-2] <= ROWS:
        return z @ W
    batch = np.broadcast_shapes(z.shape[:-2], W.shape[:-2])
    out = np.empty((*batch, z.shape[-2], W.shape[-1]), np.result_type(z, W))
    for part, result in zip(by_rows(z), by_rows(out), strict=True):
        np.matmul(part, W[..., None, :, :], out=result)
    return out


def _transposed_product(z, G):
    """z^T G, by ROWS rows at a time."""
    if z.shape[-2] <= ROWS:
        return np.swapaxes(z, -1, -2) @ G
    parts = zip(by_rows(z), by_rows(G), strict=True)
    return sum((np.swapaxes(part, -1, -2) @ other).sum(-3) for part, other in parts)


def by_rows(z):
    """(..., rows, m) as views of two stacks of matrices: as many as there are of ROWS rows, and one of the others."""
    full = z.shape[-2] // ROWS * ROWS
    return z[..., :full, :].reshape(*z.shape[:-2], -1, ROWS, z.shape[-1]), z[..., None, full:, :]


def _merge(z):
    """(..., channels, points, m) -> (..., channels * points, m): one matrix product serves all channels."""
    return z.reshape((*z.shape[:-3], -1, z.shape[-1]))


def _rows(rows, z):
    """The inverse of `_merge`, with the channels and points of z."""
    return rows.reshape(rows.shape[:-2] + z.shape[-3:-1] + rows.shape[-1:])


# --- losses -----------------------------------------------------------------------------------------


class Term(NamedTuple):
    """sum_i weight_i r_i^2 with the residuals r_i = sum_cp mix_cip jet_c(u)(z_ip) - target_i.

    A residual is a linear combination of the network's jet at p points: one for an equation, two for a pair.
    """

    jet: np.ndarray  # (..., channels, n, p, d): of the coordinates at the points z_ip
    mix: np.ndarray  # (..., channels, n, p); (..., channels, n, p * outputs) for a network of several outputs
    target: np.ndarray  # (..., n)
    weight: np.ndarray  # (n,): the weight of the term divided by its number of points


class Loss(NamedTuple):
    """The sum of its terms, a function of the parameters that autograd differentiates."""

    terms: tuple

    def __call__(self, params):
        return sum(sum_of_parts(sum_of_squares, params, blocks(term, params)) for term in self.terms)


def residuals(params, term):
    """(..., n): of a network, or of every network in a batch."""
    *batch, channels, n, p, d = term.jet.shape
    return _combined(network_jet(params, term.jet.reshape((*batch, channels, n * p, d))), term.mix, term.target)


@primitive
def _combined(jet, mix, target):
    """The sums over channels, points and outputs of mix times the jet of a network, minus the target."""
    return np.einsum("...cnp,...cnp->...n", jet.reshape((*jet.shape[:-2], mix.shape[-2], -1)), mix) - target


defvjp(_combined, lambda ans, jet, mix, _: lambda g: (g[..., None, :, None] * mix).reshape(jet.shape), argnums=(0,))


def sum_of_squares(params, term):
    return anp.sum(term.weight * anp.square(residuals(params, term)))


def sum_of_parts(function, params, parts):
    """sum of function(params, part) over the parts, each differentiated by autograd before the next is begun.

    So the arrays of one part are all that is alive at a time.  To autograd around it the sum is one step, whose
    gradient is known already.
    """
    if len(parts) == 1:
        return function(params, parts[0])
    if not isbox(params):
        return sum(function(params, part) for part in parts)
    value, total = 0.0, None
    for part in parts:
        more, gradient = value_and_grad(function)(getval(params), part)
        value = value + more
        total = gradient if total is None else [(V + W, b + c) for (V, b), (W, c) in zip(total, gradient, strict=True)]
    return _with_gradient(params, value, total)


@primitive
def _with_gradient(params, value, gradient):
    return value


defvjp(
    _with_gradient, lambda ans, params, value, gradient: lambda g: [(g * W, g * b) for W, b in gradient], argnums=(0,)
)


def blocks(term, params):
    """The parts of a term, of about the same number of residuals, whose arrays fit into the cache."""
    W, n = params[0][0], len(term.weight)
    most = max(1, min(BLOCK_BYTES // W.dtype.itemsize, BATCH_POINTS // math.prod(W.shape[:-2])))
    size = -(-n // -(-n // most))
    return [take(term, slice(start, start + size)) for start in range(0, n, size)]


def take(term, index):
    """Some of the residuals of a term; index is a slice or an array of integers."""
    return Term(term.jet[..., index, :, :], term.mix[..., index, :], term.target[..., index], term.weight[index])


def equation_term(points, a, b, c, f, weight):
    """weight * mean_i |a_ij d_ij u + b_i d_i u + c u + f|^2, shapes as in `operator_jet`, c and f (..., n)."""
    jet = operator_jet(points, a, b)
    mix = np.zeros(jet.shape[:-1])
    mix[..., -1, :] = 1
    mix[..., 0, :] = c
    return Term(jet[..., None, :], mix[..., None], -f, np.full(len(points), weight / len(points)))


def value_term(points, values, weights):
    """sum_i weights_i |u(points_i) - values_i|^2."""
    return Term(points[None, :, None], np.ones((1, len(points), 1)), values, weights)


def pair_term(pairs, weights):
    """sum_i weights_i |u(pairs[0, i]) - u(pairs[1, i])|^2, for pairs (2, n, d)."""
    n = pairs.shape[1]
    return Term(np.swapaxes(pairs, 0, 1)[None], np.full((1, n, 2), (1.0, -1.0)), np.zeros(n), weights)


# --- values and derivatives of trained networks -----------------------------------------------------


def derivatives(evaluate, points):
    """Value, gradient and second derivatives of functions at points (n, d): (..., n), (..., n, d), (..., n, d, d).

    evaluate: a jet of the coordinates (channels, n, d) -> jets of the functions (..., channels, n).
    Second derivatives along e_i and e_i + e_j give the mixed ones.
    """
    d = points.shape[1]

    def along(v):
        """u, v . grad u and (v . grad)^2 u."""
        return np.moveaxis(in_blocks(evaluate, points, v[None], MANY), -2, 0)

    e = np.eye(d)
    pure = [along(e[i]) for i in range(d)]
    second = np.zeros((d, d, *pure[0][2].shape))
    for i in range(d):
        second[i, i] = pure[i][2]
        for j in range(i):
            second[i, j] = second[j, i] = (along(e[i] + e[j])[2] - pure[i][2] - pure[j][2]) / 2
    return pure[0][0], np.stack([u_i[1] for u_i in pure], axis=-1), np.moveaxis(second, (0, 1), (-2, -1))


def values(evaluate, points):
    """Values alone (..., n) of the functions of `derivatives`, at a fraction of the cost of all derivatives."""
    parts = np.array_split(points, max(1, -(-len(points) // MANY)))
    return np.concatenate([evaluate(part[None])[..., 0, :] for part in parts], axis=-1)


def value_and_gradient(params, points):
    """Of a network, or of each in a batch, at points (n, d): (..., n), (..., n, d)."""
    most = max(1, BATCH_POINTS // math.prod(params[0][0].shape[:-2]))
    return first_order(lambda jet: network_jet(params, jet)[..., 0], points, np.eye(points.shape[1]), most)


def first_order(evaluate, points, directions, most=MANY):
    """Values (..., n) and slopes (..., n, k) along k directions (k, d), at points (n, d); see `derivatives`."""
    jet = in_blocks(evaluate, points, directions, most)
    return jet[..., 0, :], np.moveaxis(jet[..., 1 : 1 + len(directions), :], -2, -1)


def in_blocks(evaluate, points, directions, most):
    """The jets (..., channels, n) along constant directions (k, d), of so many points at a time as fit the memory."""
    jets = []
    for part in np.array_split(points, max(1, -(-len(points) // most))):
        along = np.broadcast_to(directions[:, None], (len(directions), *part.shape))
        jets.append(evaluate(coordinate_jet(part, along, np.zeros(part.shape))))
    return np.concatenate(jets, axis=-1)


class Network(NamedTuple):
    """A trained network as a function of points (n, d): value (n,), gradient (n, d), second derivatives (n, d, d)."""

    params: list

    def __call__(self, points):
        return derivatives(lambda jet: network_jet(self.params, jet)[..., 0], points)

    def value(self, points):
        return network(self.params, points)


class CellNetworks(NamedTuple):
    """The `cells` of Correctors by a batch of networks; y is reduced to the first cell."""

    params: list  # of (W, b) with leading axes (X, J)
    period: float | tuple
    mean: np.ndarray  # (X, J): of the networks over the cell

    def __call__(self, y):
        value, slope = value_and_gradient(self.params, y % self.period)
        return value - self.mean[..., None], slope
