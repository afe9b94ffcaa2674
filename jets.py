"""Jets of networks: a tanh network with its gradient and a second-order operator, in one forward pass.

For the operator L u = a_ij d_ij u + b_i d_i u with a = S S^T, an array z (channels, points, width) carries

    z[0]      the value
    z[1:-1]   the derivatives along the columns of S, one channel each
    z[-1]     L of the value

of `width` functions at `points` points.  The coordinates themselves have the jet (x, columns of S, b);
an affine map acts on every channel alike, its bias on the value alone; and for tanh, with t = tanh(z[0])
and s = 1 - t^2,

    d_k tanh(u) = s d_k u        L tanh(u) = s L u - 2 t s sum_k (d_k u)^2

So one channel holds the whole second-order operator, in any dimension and for any tensor a.  An array
with a single channel holds values alone.  For the reverse pass over the parameters `forward` keeps what
`backward` needs, so that nothing is computed twice; the whole network is one primitive of autograd, for any loss.

A network is a list of pairs (W, b).  Both may carry leading axes: a batch of networks, evaluated and
trained together.  Arrays are (..., channels, points, width); points are (points, dim).
"""

import ctypes
from itertools import pairwise

import numpy as np
from autograd.extend import defvjp, primitive

ROWS = 128  # of a matrix product: OpenBLAS multiplies small matrices in place, 1.2 times as fast as large ones


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


# ---------------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------------


def network_jet(params, jet):
    """The jet of a tanh network with a linear last layer: (..., channels, n, d) -> (..., channels, n, 1)."""
    return _network_jet(params, jet, [])


@primitive
def _network_jet(params, jet, tape):
    return forward(params, jet, tape)


# autograd asks for this right after the forward pass, which has filled the tape
defvjp(
    _network_jet,
    lambda ans, params, jet, tape: lambda g: pullback(params, tape, g),
    argnums=(0,),
)


def forward(params, jet, tape):
    """The jet of the network.  Puts (input, curvature) of every layer on the tape, for `backward`."""
    *hidden, last = params
    curvature = None
    for W, b in hidden:
        tape.append((jet, curvature))
        jet, curvature = tanh_jet(affine(jet, W, b))
    tape.append((jet, curvature))
    return affine(jet, *last)


def pullback(params, tape, g):
    """The gradient of sum(g * network jet) with respect to the parameters, from the tape of `forward`."""
    return [_layer_gradient(z, G) for z, G in backward(params, tape, g)]


def backward(params, tape, g):
    """From g, the gradient with respect to the network's jet: (input z, gradient G of z W + b) of every layer."""
    layers = [(tape[-1][0], g)]
    for (W, _), (z, _), (output, curvature) in zip(params[:0:-1], tape[-2::-1], tape[:0:-1], strict=True):
        g = tanh_jet_vjp(output, curvature, _times_transposed(g, W))
        layers.append((z, g))
    return layers[::-1]


def _layer_gradient(z, G):
    """The gradient with respect to W and b of a layer."""
    return _transposed_product(_merge(z), _merge(G)), G[..., 0, :, :].sum(-2)


def affine(z, W, b):
    """The jet of x W + b: z (..., channels, points, m), W (..., m, k), b (..., k)."""
    out = _rows(_product(_merge(z), W), z)
    out[..., 0, :, :] += b[..., None, :]
    return out


def _times_transposed(g, W):
    """g W^T; an outer product, which one column makes of it, is faster by einsum."""
    if W.shape[-1] == 1:
        return np.einsum("...cnk,...mk->...cnm", g, W)
    return _rows(_product(_merge(g), np.ascontiguousarray(np.swapaxes(W, -1, -2))), g)


def _product(z, W):
    """z W, by ROWS rows of z at a time."""
    batch = np.broadcast_shapes(z.shape[:-2], W.shape[:-2])
    out = np.empty((*batch, z.shape[-2], W.shape[-1]), np.result_type(z, W))
    for part, result in zip(by_rows(z), by_rows(out), strict=True):
        np.matmul(part, W[..., None, :, :], out=result)
    return out


def _transposed_product(z, G):
    """z^T G, by ROWS rows at a time."""
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


def tanh_jet(z):
    """The jet of tanh(u) from the jet of u, and the curvature s sum_k (d_k u)^2 (None for values alone).

    With t = tanh(u), s = 1 - t^2:  (t, s d_k u, s L u - 2 t s sum_k (d_k u)^2).
    """
    out = np.empty_like(z)
    t = np.tanh(z[..., 0, :, :], out=out[..., 0, :, :])
    if z.shape[-3] == 1:
        return out, None
    s = _slope(t)
    np.multiply(z[..., 1:, :, :], s[..., None, :, :], out=out[..., 1:, :, :])
    curvature = _sum_of_products(z[..., 1:-1, :, :], out[..., 1:-1, :, :])
    np.multiply(curvature, t, out=s)
    s *= 2
    out[..., -1, :, :] -= s
    return out, curvature


def tanh_jet_vjp(out, curvature, g):
    """The gradient with respect to z of sum(g * tanh_jet(z)), from the outputs of `tanh_jet` alone, in place of g.

    With out = (t, p_k, q) and its curvature c, every s d_k u is p_k and s L u is q + 2 t c, which leaves

        value  s g_0 - 2 t (g_k p_k + g_L q) - 2 s c g_L        d_k  s g_k - 4 t g_L p_k        L  s g_L
    """
    t = out[..., 0, :, :]
    s = _slope(t)
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


def _slope(t):
    """tanh' = 1 - t^2"""
    s = t * t
    return np.subtract(1, s, out=s)


def _sum_of_products(p, q):
    return np.einsum("...cnm,...cnm->...nm", p, q)


def init_network(sizes, rng, batch=(), dtype=np.float64):
    """A list of (W, b), W (*batch, m, k) normal with variance 1 / m, b (*batch, k).

    Biases are zero but in the first layer, where they are uniform in [-1, 1]: they spread the bends of
    tanh over the domain, without which the equation's second derivatives are learned far more slowly.
    """
    params = []
    for layer, (m, k) in enumerate(pairwise(sizes)):
        W = rng.standard_normal((*batch, m, k)) / np.sqrt(m)
        b = rng.uniform(-1, 1, (*batch, k)) if layer == 0 else np.zeros((*batch, k))
        params.append((W.astype(dtype), b.astype(dtype)))
    return params


def network(params, points):
    """Values of a network, or of a batch of them: points (..., n, d) -> (..., n)."""
    return network_jet(params, points[..., None, :, :])[..., 0, :, 0]


def derivatives(evaluate, points):
    """Value, gradient and second derivatives of functions at points (n, d): (..., n), (..., n, d), (..., n, d, d).

    evaluate: a jet of the coordinates (channels, n, d) -> jets of the functions (..., channels, n).
    Second derivatives along e_i and e_i + e_j give the mixed ones.
    """
    n, d = points.shape

    def along(v):
        """u, v . grad u and (v . grad)^2 u."""
        jet = evaluate(coordinate_jet(points, np.broadcast_to(v, (1, n, d)), np.zeros((n, d))))
        return np.moveaxis(jet, -2, 0)

    e = np.eye(d)
    pure = [along(e[i]) for i in range(d)]
    second = np.zeros((d, d, *pure[0][2].shape))
    for i in range(d):
        second[i, i] = pure[i][2]
        for j in range(i):
            second[i, j] = second[j, i] = (along(e[i] + e[j])[2] - pure[i][2] - pure[j][2]) / 2
    return pure[0][0], np.stack([u_i[1] for u_i in pure], axis=-1), np.moveaxis(second, (0, 1), (-2, -1))


def network_derivatives(params, points):
    """`derivatives` of a network, or of each in a batch."""
    return derivatives(lambda jet: network_jet(params, jet)[..., 0], points)


def gradient(params, points):
    """Gradients of a network, or of a batch of them, by one jet: points (n, d) -> (..., n, d)."""
    n, d = points.shape
    jet = operator_jet(points, np.broadcast_to(np.eye(d), (n, d, d)), np.zeros((n, d)))
    return np.moveaxis(network_jet(params, jet)[..., 1:-1, :, 0], -2, -1)


def flatten(params):
    """All parameters as one vector, the form in which optimizers see them."""
    return np.concatenate([array.ravel() for pair in params for array in pair])


def unflatten(vector, like):
    """The inverse of `flatten`: a list of (W, b) with the shapes of `like`, as views into vector."""
    arrays, start = [], 0
    for array in (array for pair in like for array in pair):
        arrays.append(vector[start : start + array.size].reshape(array.shape))
        start += array.size
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def reuse_freed_memory():
    """Ask glibc to keep freed arrays for the next ones; fresh pages cost more than the arithmetic on them.

    Called once by a process that trains; does nothing where there is no glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    m_trim_threshold, m_mmap_threshold, keep = -1, -3, 1 << 30
    mallopt(m_mmap_threshold, keep)
    mallopt(m_trim_threshold, keep)
