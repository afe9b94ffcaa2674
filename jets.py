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
with a single channel holds values alone.  autograd does the reverse pass over the parameters: `affine`
and `tanh_jet` are its two primitives here, each with its own vector-Jacobian product.

A network is a list of pairs (W, b).  Both may carry leading axes: a batch of networks, evaluated and
trained together.  Arrays are (..., channels, points, width); points are (points, dim).
"""

import ctypes
from itertools import pairwise

import numpy as np
from autograd.extend import defvjp, primitive


def operator_jet(points, a, b):
    """The jet of the coordinates under L u = a_ij d_ij u + b_i d_i u.

    points (n, d), a (..., n, k, k) symmetric positive definite, b (..., n, d) -> (..., k + 2, n, d)
    a acts on the first k <= d coordinates: a last coordinate without second derivatives is time.
    """
    S = np.linalg.cholesky(a)
    directions = np.zeros((*a.shape[:-3], a.shape[-1], *b.shape[-2:]))
    directions[..., : a.shape[-1]] = np.moveaxis(S, -1, -3)
    value = np.broadcast_to(points, b.shape)
    return np.concatenate([value[..., None, :, :], directions, b[..., None, :, :]], axis=-3)


@primitive
def affine(z, W, b):
    """The jet of x W + b: z (..., channels, points, m), W (..., m, k), b (..., k)."""
    out = _rows(_merge(z) @ W, z)
    out[..., 0, :, :] += b[..., None, :]
    return out


def _merge(z):
    """(..., channels, points, m) -> (..., channels * points, m): one matrix product serves all channels."""
    return z.reshape((*z.shape[:-3], -1, z.shape[-1]))


def _rows(rows, z):
    """The inverse of `_merge`, with the channels and points of z."""
    return rows.reshape(rows.shape[:-2] + z.shape[-3:-1] + rows.shape[-1:])


defvjp(
    affine,
    lambda ans, z, W, b: lambda g: _rows(_merge(g) @ np.swapaxes(W, -1, -2), z),
    lambda ans, z, W, b: lambda g: np.swapaxes(_merge(z), -1, -2) @ _merge(g),
    lambda ans, z, W, b: lambda g: g[..., 0, :, :].sum(-2),
)


@primitive
def tanh_jet(z):
    """The jet of tanh(u) from the jet of u: (t, s d_k u, s L u - 2 t s sum_k (d_k u)^2), s = 1 - t^2."""
    out = np.empty_like(z)
    t = np.tanh(z[..., 0, :, :], out=out[..., 0, :, :])
    if z.shape[-3] == 1:
        return out
    s = 1 - t * t
    np.multiply(z[..., 1:, :, :], s[..., None, :, :], out=out[..., 1:, :, :])
    curvature = _sum_of_products(z[..., 1:-1, :, :], z[..., 1:-1, :, :])
    curvature *= t
    curvature *= s
    curvature *= -2
    out[..., -1, :, :] += curvature
    return out


def _tanh_jet_vjp(ans, z):
    def vjp(g):
        t = ans[..., 0, :, :]
        s = 1 - t * t
        out = g * s[..., None, :, :]
        if z.shape[-3] == 1:
            return out
        slope = t * s  # becomes tanh'' = -2 t s
        slope *= -2
        first = _sum_of_products(g[..., 1:, :, :], z[..., 1:, :, :])
        first *= slope
        out[..., 0, :, :] += first
        slope *= g[..., -1, :, :]
        second = _sum_of_products(z[..., 1:-1, :, :], z[..., 1:-1, :, :])
        second *= g[..., -1, :, :]
        second *= s
        second *= 4 - 6 * s  # tanh''' = s (4 - 6 s)
        out[..., 0, :, :] += second
        slope *= 2
        for k in range(1, z.shape[-3] - 1):
            out[..., k, :, :] += slope * z[..., k, :, :]
        return out

    return vjp


def _sum_of_products(p, q):
    return np.einsum("...cnm,...cnm->...nm", p, q)


defvjp(tanh_jet, _tanh_jet_vjp)


# ---------------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------------


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


def network_jet(params, jet):
    """The jet of a tanh network with a linear last layer: (..., channels, n, d) -> (..., channels, n, 1)."""
    *hidden, last = params
    for W, b in hidden:
        jet = tanh_jet(affine(jet, W, b))
    return affine(jet, *last)


def network(params, points):
    """Values of a network, or of a batch of them: points (..., n, d) -> (..., n)."""
    return network_jet(params, points[..., None, :, :])[..., 0, :, 0]


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
