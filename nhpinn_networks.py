"""Tanh networks, their derivatives in one forward pass, and mean squares of residuals that autograd differentiates.

A network is a list of pairs (W, b).  Both may carry leading axes: a batch of networks, evaluated and trained
together.  Points are (n, d).

For the operator L u = a_ij d_ij u + b_i d_i u with a = S S^T, a jet z (..., channels, n, width) carries

    z[0]      the value
    z[1:-1]   the derivatives along the columns of S, one channel each
    z[-1]     L of the value

of `width` functions.  The coordinates themselves have the jet (x, columns of S, b); an affine map acts on every
channel alike, its bias on the value alone; and an activation s(u) makes of u, d_k u and L u, by the chain rule,

    s(u)        s'(u) d_k u        s'(u) L u + s''(u) sum_k (d_k u)^2

So one channel holds the whole second-order operator, in any dimension and for any tensor a.  A jet of a single
channel holds values alone.

In this order: networks in plain autograd, the place to change them; losses; what is made of trained networks; and the
same jet and loss made fast, which may be skipped.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import autograd.builtins as ab
import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, value_and_grad
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast
from autograd.tracer import getval, isbox

# --- networks and jets ------------------------------------------------------------------------------


def init_network(sizes, rng: np.random.Generator, batch: tuple = ()) -> list:
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


def flatten(params: list) -> np.ndarray:
    """All parameters as one vector, the form in which an optimizer sees them."""
    return np.concatenate([array.ravel() for pair in params for array in pair])


def unflatten(vector: np.ndarray, like: list) -> list:
    """The inverse of `flatten`: a list of (W, b) with the shapes of `like`, as views into vector."""
    arrays, start = [], 0
    for array in (array for pair in like for array in pair):
        arrays.append(vector[start : start + array.size].reshape(array.shape))
        start += array.size
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def plain_network(params, x, activation: Callable = anp.tanh):
    """F(x): the values (..., n) of a network, or of a batch of them, at points x (n, d); all derivatives exist."""
    *hidden, (W, b) = params
    for V, c in hidden:
        x = activation(anp.matmul(x, V) + c[..., None, :])
    return (anp.matmul(x, W) + b[..., None, :])[..., 0]


def plain_jet(params, z, activation: Callable = anp.tanh):
    """The jet of a network from that of the coordinates, (..., channels, n, d) -> (..., channels, n, outputs)."""
    slope, bend = elementwise_grad(activation), elementwise_grad(elementwise_grad(activation))
    u, others = z[..., :1, :, :], z[..., 1:, :, :]
    for layer, (W, b) in enumerate(params):
        if layer:
            first, du, Lu = slope(u), others[..., :-1, :, :], others[..., -1:, :, :]
            Lu = first * Lu + bend(u) * anp.sum(du * du, axis=-3, keepdims=True)
            u, others = activation(u), anp.concatenate([first * du, Lu], axis=-3)
        u = anp.matmul(u, W[..., None, :, :]) + b[..., None, None, :]
        others = anp.matmul(others, W[..., None, :, :])
    return anp.concatenate([u, others], axis=-3)


def network_jet(params, z):
    """What `plain_jet` returns for tanh, 5 times as fast; autograd differentiates it once, in the parameters."""
    if isbox(z):
        raise NotImplementedError("network_jet: has no derivatives in the points; expected plain_jet, which has all")
    if not isbox(params) and any(isbox(array) for pair in params for array in pair):
        params = ab.list([ab.tuple(pair) for pair in params])
    return _network_jet(params, z, [])


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


# --- losses -----------------------------------------------------------------------------------------


class Term(NamedTuple):
    """sum_i weight_i |r_i|^2, with residuals r = L(F) - f that are linear in the network F, as all of the paper are.

    L(F) is a combination of the network's jet at p points: r_i = sum_cp mix_cip jet_c(F)(z_ip) - target_i.
    p is one for an equation, where L F is a channel of its own, and for a known value; two for a periodic pair.
    """

    jet: np.ndarray  # (..., channels, n, p, d): of the coordinates at the points z_ip
    mix: np.ndarray  # (..., channels, n, p); (..., channels, n, p * outputs) for a network of several outputs
    target: np.ndarray  # (..., n)
    weight: np.ndarray  # (n,): the weight of the term divided by its number of points


class Loss(NamedTuple):
    """A loss as eqs. (3) and (12), the sum of its terms: a function of the parameters that autograd differentiates."""

    terms: tuple
    jet: Callable = network_jet  # or plain_jet, or partial(plain_jet, activation=...)

    def __call__(self, params):
        """The sum of sum_of_squares(params, term) over the terms, each by parts that fit into the cache."""
        return sum(sum_of_parts(self.sum_of_squares, params, blocks(term, params)) for term in self.terms)

    def sum_of_squares(self, params, term: Term):
        """w / N sum_i |L(F)(p_i) - f(p_i)|^2"""
        return anp.sum(term.weight * anp.square(residuals(params, term, self.jet)))


def residuals(params, term: Term, jet: Callable = network_jet):
    """L(F) - f at the points of a term, (..., n): of a network, or of every network in a batch."""
    *batch, channels, n, p, d = term.jet.shape
    F = jet(params, term.jet.reshape((*batch, channels, n * p, d)))
    return mixed(F, term.mix) - term.target  # L(F) - f


@primitive
def mixed(F, mix):
    """The sums over channels, points and outputs of mix times the jet of a network."""
    return np.einsum("...cnp,...cnp->...n", F.reshape((*F.shape[:-2], mix.shape[-2], -1)), mix)


defvjp(mixed, lambda ans, F, mix: lambda g: (g[..., None, :, None] * mix).reshape(F.shape), argnums=(0,))


def equation_term(points, a, b, c, f, weight) -> Term:
    """weight * mean_i |a_ij d_ij u + b_i d_i u + c u + f|^2, shapes as in `operator_jet`, c and f (..., n)."""
    jet = operator_jet(points, a, b)
    mix = np.zeros(jet.shape[:-1])
    mix[..., -1, :] = 1
    mix[..., 0, :] = c
    return Term(jet[..., None, :], mix[..., None], -f, np.full(len(points), weight / len(points)))


def value_term(points, values, weights) -> Term:
    """sum_i weights_i |u(points_i) - values_i|^2."""
    return Term(points[None, :, None], np.ones((1, len(points), 1)), values, weights)


def pair_term(pairs, weights) -> Term:
    """sum_i weights_i |u(pairs[0, i]) - u(pairs[1, i])|^2, for pairs (2, n, d)."""
    n = pairs.shape[1]
    return Term(np.swapaxes(pairs, 0, 1)[None], np.full((1, n, 2), (1.0, -1.0)), np.zeros(n), weights)


# --- values and derivatives of trained networks -----------------------------------------------------

MANY = 1024  # points at a time of what is evaluated after a training


def network(params, points, jet: Callable = network_jet):
    """Values of a network, or of a batch of them: points (..., n, d) -> (..., n)."""
    return jet(params, points[..., None, :, :])[..., 0, :, 0]


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


def value_and_gradient(params, points, jet: Callable = network_jet):
    """Of a network, or of each in a batch, at points (n, d): (..., n), (..., n, d)."""
    most = max(1, BATCH_POINTS // math.prod(params[0][0].shape[:-2]))
    return first_order(lambda z: jet(params, z)[..., 0], points, np.eye(points.shape[1]), most)


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
    jet: Callable = network_jet

    def __call__(self, points):
        return derivatives(lambda z: self.jet(self.params, z)[..., 0], points)

    def value(self, points):
        return network(self.params, points, self.jet)

    def value_and_gradient(self, points):
        return value_and_gradient(self.params, points, self.jet)


class CellNetworks(NamedTuple):
    """The `cells` of Correctors by a batch of networks; y is reduced to the first cell."""

    params: list  # of (W, b) with leading axes (X, J)
    period: float | tuple
    mean: np.ndarray  # (X, J): of the networks over the cell
    jet: Callable = network_jet

    def __call__(self, y):
        value, slope = value_and_gradient(self.params, y % self.period, self.jet)
        return value - self.mean[..., None], slope


# --- speed; skip this at first ----------------------------------------------------------------------
#
# The jet of a tanh network as one primitive of autograd, and the loss by blocks of points whose arrays fit into the
# cache.  Values and gradients are those of the plain version; tests compare them.

ROWS = 128  # of a matrix product: OpenBLAS multiplies small matrices in place, 1.2 times as fast as large ones
BLOCK_BYTES = 4608  # of a block of points, one number each: a block's arrays stay in the cache
BATCH_POINTS = 20_000  # of a block at most, over all networks of a batch: its arrays stay in the memory


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
    """From the gradient g with respect to the network's jet, those with respect to every (W, b), from last to first.

    G is the gradient with respect to the jet of z W + b, z the layer's input: the output of tanh in the layer before.
    """

    def vjp(g):
        if isbox(g) or isbox(params):
            raise NotImplementedError("network_jet: has no second derivatives; expected plain_jet, which has all")
        G, gradients = g, []
        for (W, b), (z, curvature) in zip(params[::-1], tape[::-1], strict=True):
            gradients.append((_like(_transposed_product(_merge(z), _merge(G)), W), _like(G[..., 0, :, :].sum(-2), b)))
            if len(gradients) < len(params):
                G = _tanh_jet_vjp(z, curvature, _times_transposed(G, W))
        return gradients[::-1]

    return vjp


defvjp(_network_jet, _params_vjp, argnums=(0,))  # autograd asks for it right after the forward pass: the tape is full


def _like(g, array):
    """Summed over the axes along which the array was broadcast."""
    return g if g.shape == array.shape else unbroadcast(g, anp.metadata(array))


def affine(z, W, b):
    """The jet of x W + b: z (..., channels, points, m), W (..., m, k), b (..., k)."""
    out = _rows(_product(_merge(z), W), z)
    out[..., 0, :, :] += b[..., None, :]
    return out


def tanh_jet(z):
    """The jet of tanh(u) from the jet of u, and the curvature s sum_k (d_k u)^2 (None for values alone).

    With t = tanh(u) and s = 1 - t^2 it is (t, s d_k u, s L u - 2 t s sum_k (d_k u)^2).
    """
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
    """The gradient with respect to z of sum(g * tanh_jet(z)), from the outputs of `tanh_jet` alone; it overwrites g.

    Call the outputs t, p_k = s d_k u, q = s L u - 2 t c and the curvature c = s sum_k (d_k u)^2.  As ds/du = -2 t s,

                      t        p_k           q
        d / du        s     -2 t p_k    -2 t q - 2 s c
        d / d(d_k u)            s           -4 t p_k
        d / d(L u)                              s

    and a gradient is the sum of g_0, g_k, g_L times a row.  New arrays are few: each costs as much as its arithmetic.
    """
    t = out[..., 0, :, :]
    s = 1 - t * t
    if curvature is None:
        return np.multiply(g, s[..., None, :, :], out=g)
    first = _sum_of_products(g[..., 1:, :, :], out[..., 1:, :, :])  # g_k p_k + g_L q
    first *= t
    bend = t * g[..., -1, :, :]
    bend *= 4  # 4 t g_L
    g *= s[..., None, :, :]  # every g is s g from here on
    first += np.multiply(curvature, g[..., -1, :, :], out=s)
    first *= 2  # 2 t (g_k p_k + g_L q) + 2 s c g_L
    g[..., 0, :, :] -= first
    for k in range(1, out.shape[-3] - 1):
        g[..., k, :, :] -= np.multiply(bend, out[..., k, :, :], out=first)
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


def blocks(term, params):
    """The parts of a term, of about the same number of residuals, whose arrays fit into the cache."""
    W, n = params[0][0], len(term.weight)
    most = max(1, min(BLOCK_BYTES // W.dtype.itemsize, BATCH_POINTS // math.prod(W.shape[:-2])))
    size = -(-n // -(-n // most))
    return [take(term, slice(start, start + size)) for start in range(0, n, size)]


def take(term, index):
    """Some of the residuals of a term; index is a slice or an array of integers."""
    return Term(term.jet[..., index, :, :], term.mix[..., index, :], term.target[..., index], term.weight[index])


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
