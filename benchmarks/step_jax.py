"""The step of step.py in JAX, jitted whole, with its arrays donated, in every formulation of the operator.

An operator takes (parameters, points (n, 2)) to the gradient (n, 2) and the Laplacian (n,) of the network.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.jet import jet

jax.config.update("jax_enable_x64", True)  # allows float64; every array here has its type from the job


def contenders():
    operators = {
        "hessian": hessian,
        "forward over reverse": along_axes(forward_over_reverse),
        "forward over forward": along_axes(forward_over_forward),
        "jax.experimental.jet": along_axes(taylor),
        "forward Laplacian": forward_laplacian,
    }
    found = {f"JAX, {name}": lambda job, op=op: training(job, op) for name, op in operators.items()}
    return found | {"JAX in blocks of 256, forward Laplacian": lambda job: training(job, forward_laplacian, 256)}


def network(params, x):
    *hidden, (W, b) = params
    for V, c in hidden:
        x = jnp.tanh(x @ V + c)
    return (x @ W + b)[..., 0]


def hessian(params, x):
    slope = jax.vmap(jax.grad(network, 1), (None, 0))(params, x)
    second = jax.vmap(jax.hessian(network, 1), (None, 0))(params, x)
    return slope, second[:, 0, 0] + second[:, 1, 1]


def along_axes(derivatives):
    """The operator from a function of (parameters, points, axis i) that gives d_i u and d_ii u."""

    def operator(params, x):
        (slope1, second1), (slope2, second2) = (derivatives(params, x, i) for i in (0, 1))
        return jnp.stack([slope1, slope2], axis=1), second1 + second2

    return operator


def axis(x, i):
    return jnp.zeros_like(x).at[:, i].set(1)


def forward_over_reverse(params, x, i):
    slope, change = jax.jvp(jax.grad(lambda y: network(params, y).sum()), (x,), (axis(x, i),))
    return slope[:, i], change[:, i]


def forward_over_forward(params, x, i):
    def along(y):
        return jax.jvp(lambda z: network(params, z), (y,), (axis(x, i),))[1]

    return jax.jvp(along, (x,), (axis(x, i),))


def taylor(params, x, i):
    _, derivatives = jet(lambda y: network(params, y), (x,), ((axis(x, i), jnp.zeros_like(x)),))
    return derivatives


def forward_laplacian(params, x):
    """(u, d_1 u, d_2 u, lap u) through the network together, by hand: the jets of nhpinn_networks.py."""
    n, *hidden, (W, _) = len(x), *params
    z = jnp.stack([x, axis(x, 0), axis(x, 1), jnp.zeros_like(x)])
    for V, c in hidden:
        z = (z.reshape(4 * n, -1) @ V).reshape(4, n, -1)
        t = jnp.tanh(z[0] + c)
        s = 1 - t * t
        z = jnp.stack([t, s * z[1], s * z[2], s * z[3] - 2 * t * s * (z[1] ** 2 + z[2] ** 2)])
    z = (z.reshape(4 * n, -1) @ W).reshape(4, n)
    return z[1:3].T, z[3]


def training(job, operator, block=None):
    """A step with the operator; with `block`, by a scan that adds up the gradients of blocks of points."""
    data = tuple(map(jnp.asarray, (*job[:4], np.full(len(job.x), 1 / len(job.x), job.x.dtype))))

    def loss(params, x, a, b, f, weight):
        slope, lap = operator(params, x)
        return jnp.sum(weight * (a * lap + (b * slope).sum(1) + f) ** 2)

    def loss_and_gradient(params, data):
        if block is None:
            return jax.value_and_grad(loss)(params, *data)
        missing = -len(job.x) % block  # filled with zeros, of weight zero
        parts = [jnp.pad(z, ((0, missing), *[(0, 0)] * (z.ndim - 1))) for z in data]
        parts = [z.reshape(-1, block, *z.shape[1:]) for z in parts]

        def add(total, part):
            return jax.tree.map(jnp.add, total, jax.value_and_grad(loss)(params, *part)), None

        zero = jax.tree.map(jnp.zeros_like, (data[1][0], params))
        return jax.lax.scan(add, zero, parts)[0]

    def update(params, m, v, count, data):
        _, gradient = loss_and_gradient(params, data)
        count = count + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, gradient)
        scale = job.rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        params = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return params, m, v, count

    start = jax.tree.map(jnp.array, job.params)
    state = (start, *(jax.tree.map(jnp.zeros_like, start) for _ in range(2)), jnp.zeros((), job.x.dtype))
    compiled = jax.jit(update, donate_argnums=(0, 1, 2, 3))

    def step():
        nonlocal state
        state = jax.block_until_ready(compiled(*state, data))

    def flat():
        value, gradient = jax.jit(loss_and_gradient)(job.params, data)
        return float(value), np.concatenate([np.ravel(array) for pair in gradient for array in pair])

    return step, flat
