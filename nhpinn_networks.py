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

Further down: what is made of trained networks, the correctors among it, points, and what is checked of a user's
functions.
"""

import math
import sys
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import autograd.builtins as ab
import autograd.numpy as anp
import numpy as np
from autograd import make_vjp, value_and_grad
from autograd.extend import defvjp, primitive
from autograd.numpy.numpy_vjps import unbroadcast
from autograd.tracer import getval, isbox
from scipy.interpolate import CubicSpline

from fem import tensor_grid

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


class CellNetworks(NamedTuple):
    """The `cells` of Correctors by a batch of networks; y is reduced to the first cell."""

    params: list  # of (W, b) with leading axes (X, J)
    period: float | tuple
    mean: np.ndarray  # (X, J): of the networks over the cell

    def __call__(self, y):
        value, slope = value_and_gradient(self.params, y % self.period)
        return value - self.mean[..., None], slope


class Interpolation(NamedTuple):
    """x (n, dim) -> the weights (n, X) of the nodes of a tensor grid, and their gradients (n, X, dim)."""

    lines: tuple  # one an axis: x (n,) -> the weights of its nodes (n, m), their slopes (n, m)

    def __call__(self, x):
        lines = [line(x[:, axis]) for axis, line in enumerate(self.lines)]

        def product(along=None):
            total = np.ones((len(x), 1))
            for axis, line in enumerate(lines):
                total = (total[:, :, None] * line[int(axis == along)][:, None, :]).reshape(len(total), -1)
            return total

        return product(), np.stack([product(axis) for axis in range(len(lines))], axis=-1)


def one_node(dim):
    """The Interpolation of what does not depend on x."""
    return Interpolation((alone,) * dim)


def alone(x):
    return np.ones((len(x), 1)), np.zeros((len(x), 1))


def spline_weights(nodes):
    """Cubic splines through a tensor grid of nodes (X, dim)."""
    if len(nodes) == 1:
        return one_node(nodes.shape[1])
    splines = [CubicSpline(axis, np.eye(len(axis))) for axis in map(np.unique, nodes.T)]
    return Interpolation(tuple(partial(value_and_slope, spline) for spline in splines))


def value_and_slope(spline, x):
    return spline(x), spline(x, 1)


class Correctors(NamedTuple):
    """The solutions of all cell problems: chi_j(x, y), eq. (9), or N(y), eq. (A.2), by whatever recipe."""

    cells: Callable  # y (n, dim) -> values (X, J, n) with zero mean over the cell, gradients (X, J, n, dim); periodic
    weights: Interpolation  # of the nodes
    nodes: np.ndarray  # (X, dim): the slow points x whose cell problems were solved
    period: float | tuple

    def expansion(self, x, y):
        """At x, y (n, dim): values (J, n), gradients in y (J, n, dim), gradients in x (J, n, dim)."""
        weights, slopes = self.weights(x)
        chi, chi_y = self.cells(y)
        return (
            np.einsum("nx,xjn->jn", weights, chi),
            np.einsum("nx,xjnd->jnd", weights, chi_y),
            np.einsum("nxd,xjn->jnd", slopes, chi),
        )


# --- points -----------------------------------------------------------------------------------------


def grid(bounds, count):
    """A uniform grid with both ends on every axis: bounds ((low, high), ...), `count` an axis -> (count ** d, d)."""
    counts = np.broadcast_to(count, len(bounds))
    return tensor_grid([np.linspace(low, high, m) for (low, high), m in zip(bounds, counts, strict=True)])


def midpoints(dim, period, count):
    """The midpoints of count ** dim equal boxes of the cell: equal weights make a quadrature rule."""
    return box_midpoints([(0.0, length) for length in np.broadcast_to(period, dim)], count)


def box_midpoints(bounds, count):
    """The midpoints of count ** dim equal boxes of a box ((low, high), ...): (count ** dim, dim)."""
    return tensor_grid(midpoint_axes(bounds, count))


def midpoint_axes(bounds, count):
    return [low + (high - low) * (np.arange(count) + 0.5) / count for low, high in bounds]


CELL_POINTS = {1: 64, 2: 64, 3: 20}  # an axis


def cell_quadrature(dim, period, count=None):
    """The midpoints over which step 2 takes its means, where nothing else is said."""
    return midpoints(dim, period, count or CELL_POINTS[dim])


def centre(bounds):
    """The centre of a box (dim,), where what does not depend on x is evaluated: 0 may lie outside."""
    return np.mean(bounds, axis=1)


def on_boundary(points, bounds):
    """Which points (n, d) of a box lie on its boundary: (n,)."""
    low, high = np.transpose(bounds)
    return np.any((points == low) | (points == high), axis=1)


# --- a user's functions, checked, and their derivatives ---------------------------------------------
#
# A coefficient is a function of points (n, dim) that returns (n,), for a scalar, or (n, dim, dim), for a symmetric
# positive definite tensor; it is differentiated by autograd.  What does not fit the theory gets one sentence that says
# so: the argument, what was found, what was expected.  So does a user's function that raises: the sentence is a
# ValueError, with the function's own exception as its cause.  Tolerances are relative to the size of the data.

SMALLEST, LARGEST = 1e-100, 1e100  # of a coefficient or a length: products of them stay numbers


POROUS = (
    "expected a positive and finite conductivity; give pores, or perfect conductors, a factor of 1e-4, or 1e4, of the "
    "other phase: the error is about as small"
)


def shown(value):
    """A value on one line, for a sentence."""
    return " ".join(repr(value).split())


OURS = ("nhpinn", "nhpinn_networks", "nhpinn_sharp", "nhpinn_bounds", "nhpinn_interfaces")


def warn(sentence):
    """A warning that shows the user's line: that of the nearest caller outside of these modules."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__") in OURS:
        frame, level = frame.f_back, level + 1
    warnings.warn(sentence, stacklevel=level)


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


def checked_values(name, function, points):
    """function(points), a source, reaction or initial value: (n,), real and finite, or a ValueError."""
    values = called(name, function, points)
    if values.shape != (len(points),) or not np.all(np.isfinite(values)) or np.abs(values).max(initial=0) > LARGEST:
        raise ValueError(
            f"{name}: returned shape {values.shape}, up to {np.abs(values).max(initial=0):.3g}, at points of shape "
            f"{points.shape}; expected ({len(points)},), finite, at most {LARGEST:g}"
        )
    return values


def tensor_of(field, points):
    """A coefficient at points (n, d) as (n, d, d), checked: shape, finite, symmetric, elliptic."""
    with np.errstate(invalid="ignore"):  # infinity times the zeros of the identity
        a = as_tensor(called("coefficient", field, points), points.shape)
    check_elliptic(a, points.__getitem__)
    return a


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


def check_elliptic(a, place):
    """Raises ValueError for tensors (n, d, d) that are not all finite, symmetric and positive definite.

    place(k): where the k-th is, for the sentence.
    """
    finite = np.isfinite(a).all(axis=(1, 2))
    if not np.all(finite):
        raise ValueError(f"coefficient: not finite at {place(np.argmin(finite))}, expected real numbers")
    skew = np.abs(a - np.swapaxes(a, 1, 2)).max(axis=(1, 2)) > 1e-10 * np.abs(a).max(axis=(1, 2))
    if np.any(skew):
        raise ValueError(f"coefficient: the tensor is not symmetric at {place(np.argmax(skew))}; expected a_ij = a_ji")
    if np.abs(a).max() > LARGEST:
        raise ValueError(f"coefficient: found {np.abs(a).max():.3g}, expected at most {LARGEST:g}: change its unit")
    least, largest = extreme_eigenvalues(a)
    if not np.all(least >= np.maximum(SMALLEST, 1e-12 * largest)):  # a tensor's rounding is 1e-16
        worst = np.argmin(least / largest) if least.min() >= SMALLEST else least.argmin()
        raise ValueError(
            f"coefficient: not elliptic, its least eigenvalue is {least[worst]:.6g} at {place(worst)}; "
            f"expected a positive definite one, at least {max(SMALLEST, 1e-12 * largest[worst]):.3g} there"
        )


def extreme_eigenvalues(a):
    """The least and the largest of symmetric matrices (n, d, d); ten times as fast as LAPACK for d < 3."""
    if a.shape[1] > 2:
        eigenvalues = np.linalg.eigvalsh(a)
        return eigenvalues[:, 0], eigenvalues[:, -1]
    first, last = a[:, 0, 0], a[:, -1, -1]
    radius = np.hypot((first - last) / 2, a[:, 0, -1] if a.shape[1] == 2 else 0.0)
    return (first + last) / 2 - radius, (first + last) / 2 + radius


def tensor_and_divergence(field, points):
    """a_ij (n, d, d) and b_j = d_i a_ij (n, d) of a coefficient written with autograd.numpy.

    Raises ValueError where a does not fit, see `tensor_of`, TypeError where it cannot be differentiated.
    """
    a, slopes = tensor_and_slopes(field, points)
    return a, np.einsum("ijni->nj", slopes)


def tensor_and_slopes(field, points):
    """a (n, d, d), and its derivatives: d a_ij / d y_k at point n is slopes[i, j, n, k]."""
    dim, a = points.shape[1], tensor_of(field, points)
    slopes = np.zeros((dim, dim, *points.shape))
    with differentiation("coefficient"):
        pullback, _ = make_vjp(lambda p: as_tensor(field(p), p.shape))(points)
        for i, j in np.ndindex(dim, dim):
            unit = np.zeros_like(a)
            unit[:, i, j] = 1
            slopes[i, j] = pullback(unit)
    if not np.all(np.isfinite(slopes)):
        raise TypeError("coefficient: could not be differentiated, its derivative is not finite everywhere")
    return a, slopes


@contextmanager
def differentiation(name):
    """A TypeError that names a user's function which works on arrays, but not under differentiation."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "independent of input": a constant has slope 0
            yield
    except Exception as error:
        sentence = "write it with autograd.numpy in place of numpy"
        raise TypeError(f"{name}: could not be differentiated ({error}); {sentence}") from error


def at_node(coefficient, x):
    """The coefficient at one x (m,) as a function of y."""
    return lambda y: coefficient(np.tile(x, (len(y), 1)), y)


def at_nodes(coefficient, nodes, y):
    """At all pairs of x (X, dim) and y (n, dim): the coefficient as a function of those X n points alone, n of each x,
    and the points (X n, dim)."""
    x = np.repeat(nodes, len(y), axis=0)
    return lambda points: coefficient(x.copy(), points), np.tile(y, (len(nodes), 1))


def check_periodic(name, function, dim, period, count=7, copies=1):
    """Raises ValueError where function(y) differs from function(y + period e_i) on sampled points.

    copies: how many times over the function takes the points, see `at_nodes`.
    """
    points = midpoints(dim, period, count) + 0.0137 * np.asarray(period)  # a sine may vanish at all midpoints
    points = np.tile(points, (copies, 1))
    values = called(name, function, points)
    for axis, length in enumerate(np.broadcast_to(period, dim)):
        jump = np.abs(called(name, function, points + length * np.eye(dim)[axis]) - values).max()
        if not jump <= 1e-8 * np.abs(values).max():
            raise ValueError(
                f"{name}: not periodic, y and y + {length:g} along axis {axis} differ by {jump:.3g}; "
                f"expected the period {length:g}, as of a function of y % {length:g}"
            )


def check_resolved(field, points, spacing, copies=1):
    """Raises ValueError where a coefficient's change from point to point is not the integral of its slope.

    The strong form sees the coefficient through its derivative at the points: a jump between two of them,
    or an oscillation that they do not resolve, would be lost without notice.
    spacing: a number, or one an axis; copies: how many times over `points` holds a grid, see `at_nodes`.
    """
    dim = points.shape[1]
    for axis, length in enumerate(np.broadcast_to(spacing, dim)):
        step = length * np.eye(dim)[axis]
        nearby = [tensor_and_slopes(field, points + fraction * step) for fraction in (0, 0.5, 1)]
        (first, s0), (_, s1), (last, s2) = [(a, slopes[..., axis]) for a, slopes in nearby]
        integral = np.moveaxis(s0 + 4 * s1 + s2, -1, 0) * length / 6  # Simpson's rule
        first, miss = (array.reshape(copies, -1, dim, dim) for array in (first, np.abs(last - first - integral)))
        size, swing = np.abs(first).max(axis=(1, 2, 3)), np.ptp(first, axis=1).max(axis=(1, 2))
        if np.any(miss.max(axis=(1, 2, 3)) > 0.1 * swing + 1e-12 * size):
            raise ValueError(
                f"coefficient: jumps, or varies too fast for points {length:.3g} apart along axis {axis}: its change "
                f"and the integral of its derivative differ by {miss.max():.3g}; expected a smooth one, or more points"
            )


def depends_on_x(coefficient, dim, domain, period, known=None):
    """Whether a(x, y) differs between points x of the box, at samples whose shape and period are checked as well;
    `known`, and no check, where that is not None."""
    if known is not None:
        return known
    count = {1: 16, 2: 7, 3: 4}[dim]
    low, high = np.transpose(domain)
    nodes = low + (high - low) * np.random.default_rng(0).uniform(size=(64, dim))
    field, points = at_nodes(coefficient, nodes, midpoints(dim, period, count))
    a = tensor_of(field, points).reshape(len(nodes), -1, dim * dim)
    check_periodic("coefficient", field, dim, period, count, len(nodes))
    return bool(np.any(np.ptp(a, axis=0).max(-1) > 1e-10 * np.abs(a[0]).max(-1)))
