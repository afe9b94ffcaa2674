"""Derivatives: jets against nested autograd and finite differences, parameter gradients, fused primitives."""

from itertools import pairwise

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad
from hypothesis import given
from hypothesis import strategies as st

import adam
import jets
import losses

seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 3)


def random_case(seed, dim, points=7, width=6):
    """A random network, points, elliptic tensors a and drifts b."""
    rng = np.random.default_rng(seed)
    params = jets.init_network((dim, width, width, 1), rng)
    params = [(W, b + 0.3 * rng.standard_normal(b.shape)) for W, b in params]
    x = rng.uniform(-1, 1, (points, dim))
    root = rng.standard_normal((points, dim, dim))
    a = root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(dim)
    return params, x, a, rng.standard_normal((points, dim))


def plain_network(params, x):
    """The network written with autograd's own operations."""
    *hidden, (W, b) = params
    for V, c in hidden:
        x = anp.tanh(anp.dot(x, V) + c)
    return (anp.dot(x, W) + b)[:, 0]


def nested_operator(params, x, a, b):
    """a_ij d_ij u + b_i d_i u by nested reverse differentiation."""

    def derivative(f, i):
        return lambda z: elementwise_grad(f)(z)[:, i]

    def u(z):
        return plain_network(params, z)

    dim = x.shape[1]
    second = sum(a[:, i, j] * derivative(derivative(u, i), j)(x) for i in range(dim) for j in range(dim))
    return second + sum(b[:, i] * derivative(u, i)(x) for i in range(dim))


@given(seeds, dims)
def test_jet_carries_value_gradient_and_operator(seed, dim):
    params, x, a, b = random_case(seed, dim)
    jet = jets.network_jet(params, jets.operator_jet(x, a, b))[..., 0]
    slope = elementwise_grad(lambda z: plain_network(params, z))(x)
    along = np.einsum("ni,nik->kn", slope, np.linalg.cholesky(a))
    np.testing.assert_allclose(jet[0], plain_network(params, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jet[1:-1], along, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(jet[-1], nested_operator(params, x, a, b), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(jets.gradient(params, x), slope, rtol=1e-10, atol=1e-12)


@given(seeds, dims)
def test_jet_agrees_with_finite_differences(seed, dim):
    params, x, a, b = random_case(seed, dim)
    h, eye = 1e-3, np.eye(dim)

    def u(z):
        return jets.network(params, z)

    expected = sum(b[:, i] * (u(x + h * eye[i]) - u(x - h * eye[i])) / (2 * h) for i in range(dim))
    for i in range(dim):
        for j in range(dim):
            corners = [s * t * u(x + h * (s * eye[i] + t * eye[j])) for s in (1, -1) for t in (1, -1)]
            expected = expected + a[:, i, j] * sum(corners) / (4 * h * h)
    jet = jets.network_jet(params, jets.operator_jet(x, a, b))[-1, :, 0]
    scale = np.abs(a).sum() + np.abs(b).sum()  # differences err by h^2 times fourth derivatives of order one
    np.testing.assert_allclose(jet, expected, atol=1e-3 * scale)


@given(seeds, dims)
def test_derivatives_are_those_of_nested_differentiation(seed, dim):
    params, x, _, _ = random_case(seed, dim)
    value, slope, second = jets.network_derivatives(params, x)
    np.testing.assert_allclose(value, plain_network(params, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(slope, elementwise_grad(lambda z: plain_network(params, z))(x), rtol=1e-9, atol=1e-11)
    for i, j in np.ndindex(dim, dim):
        unit = np.zeros((len(x), dim, dim))
        unit[:, i, j] = 1
        expected = nested_operator(params, x, unit, np.zeros_like(x))
        np.testing.assert_allclose(second[:, i, j], expected, rtol=1e-8, atol=1e-9)


@given(seeds, dims)
def test_a_time_direction_has_only_a_first_derivative(seed, dim):
    params, x, a, b = random_case(seed, dim + 1)
    space = np.linalg.cholesky(a[:, :dim, :dim])
    whole = np.zeros_like(a)
    whole[:, :dim, :dim] = space @ np.swapaxes(space, 1, 2)
    jet = jets.network_jet(params, jets.operator_jet(x, a[:, :dim, :dim], b))
    assert jet.shape[0] == dim + 2
    np.testing.assert_allclose(jet[-1, :, 0], nested_operator(params, x, whole, b), rtol=1e-9, atol=1e-9)


def plain_tanh_jet(z):
    t = anp.tanh(z[0])
    s = 1 - t * t
    inner = [s * z[k] for k in range(1, len(z) - 1)]
    last = s * z[-1] - 2 * t * s * sum(z[k] * z[k] for k in range(1, len(z) - 1))
    return anp.stack([t, *inner, last]) if len(z) > 1 else anp.stack([t])


def plain_affine(z, W, b):
    return anp.concatenate([(anp.dot(z[:1], W) + b), anp.dot(z[1:], W)])


def plain_network_jet(params, z):
    *hidden, last = params
    for pair in hidden:
        z = plain_tanh_jet(plain_affine(z, *pair))
    return plain_affine(z, *last)


many = st.integers(1, 5) | st.integers(30, 150)  # with its channels, more rows than a product takes at once


@given(seeds, st.sampled_from([1, 3, 4, 5]), many, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_fused_network_equals_plain_autograd_in_value_and_gradient(seed, channels, points, widths):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((channels, points, widths[0]))
    params = [(rng.standard_normal((m, k)), rng.standard_normal(k)) for m, k in pairwise([*widths, 1])]
    g = rng.standard_normal((channels, points, 1))
    np.testing.assert_allclose(jets.network_jet(params, z), plain_network_jet(params, z), rtol=1e-10, atol=1e-10)
    ours, plain = (
        grad(lambda p, f=function: anp.sum(g * f(p, z)))(params) for function in (jets.network_jet, plain_network_jet)
    )
    np.testing.assert_allclose(jets.flatten(ours), jets.flatten(plain), rtol=1e-8, atol=1e-9)


def random_terms(seed, dim, batch=()):
    """An equation term and a periodic term for a network, or for a batch of networks."""
    params, x, a, b = random_case(seed, dim)
    rng = np.random.default_rng(seed + 1)
    params = jets.init_network((dim, 5, 5, 1), rng, batch)
    c, f = rng.standard_normal(len(x)), rng.standard_normal((*batch, len(x)))
    pairs = rng.uniform(-1, 1, (2, 4, dim))
    return params, [losses.equation_term(x, a, b, c, f, 0.3), losses.pair_term(pairs, np.full(4, 0.7 / 4))]


@given(seeds, dims, st.sampled_from([(), (2,), (3, 2)]))
def test_parameter_gradient_agrees_with_finite_differences(seed, dim, batch):
    params, terms = random_terms(seed, dim, batch)
    vector = jets.flatten(params)
    direction = np.random.default_rng(seed + 2).standard_normal(vector.shape)

    def loss(t):
        return losses.loss_and_gradient(jets.unflatten(vector + t * direction, params), terms)[0]

    slope = losses.loss_and_gradient(params, terms)[1] @ direction
    h = 1e-4
    expected = (8 * (loss(h) - loss(-h)) - (loss(2 * h) - loss(-2 * h))) / (12 * h)  # error h^4
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-6 * loss(0))


@given(seeds, dims, st.sampled_from([(), (2,), (3, 2)]))
def test_gradient_of_the_loss_equals_that_of_autograd(seed, dim, batch):
    params, terms = random_terms(seed, dim, batch)
    value, slope = losses.loss_and_gradient(params, terms)

    def loss(p):
        return sum(anp.sum(term.weight * losses.residual(p, term) ** 2) for term in terms)

    np.testing.assert_allclose(value, loss(params), rtol=1e-12)
    np.testing.assert_allclose(slope, jets.flatten(grad(loss)(params)), rtol=1e-9, atol=1e-11)


@given(seeds, dims)
def test_loss_is_the_formula_of_the_paper(seed, dim):
    params, terms = random_terms(seed, dim)
    _, x, a, b = random_case(seed, dim)
    rng = np.random.default_rng(seed + 1)
    jets.init_network((dim, 5, 5, 1), rng)
    c, f = rng.standard_normal(len(x)), rng.standard_normal(len(x))
    near, far = rng.uniform(-1, 1, (2, 4, dim))
    equation = nested_operator(params, x, a, b) + c * plain_network(params, x) + f
    mismatch = plain_network(params, near) - plain_network(params, far)
    expected = 0.3 * np.mean(equation**2) + 0.7 * np.mean(mismatch**2)
    np.testing.assert_allclose(losses.loss_and_gradient(params, terms)[0], expected, rtol=1e-9)


@given(seeds, dims)
def test_blocks_of_points_change_nothing(seed, dim):
    params, terms = random_terms(seed, dim)
    whole = losses.loss_and_gradient(params, terms)
    split = losses.loss_and_gradient(params, terms, block=3)
    np.testing.assert_allclose(split[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(split[1], whole[1], rtol=1e-9, atol=1e-12)


@given(seeds, dims, st.sampled_from([(), (2,), (3, 2)]), st.integers(1, 40))
def test_rows_of_a_matrix_product_change_nothing(seed, dim, batch, rows):
    params, terms = random_terms(seed, dim, batch)
    whole = losses.loss_and_gradient(params, terms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jets, "ROWS", rows)
        split = losses.loss_and_gradient(params, terms)
    np.testing.assert_allclose(split[0], whole[0], rtol=1e-12)
    np.testing.assert_allclose(split[1], whole[1], rtol=1e-9, atol=1e-12)


@given(seeds, dims)
def test_a_batch_of_networks_is_the_networks_one_by_one(seed, dim):
    params, terms = random_terms(seed, dim, (3, 2))
    values, gradients = [], []
    for i in range(3):
        for j in range(2):
            one = [(W[i, j], b[i, j]) for W, b in params]
            mine = [terms[0]._replace(target=terms[0].target[i, j]), terms[1]]
            loss, gradient = losses.loss_and_gradient(one, mine)
            values.append(loss)
            gradients.append(jets.unflatten(gradient, one))
    loss, gradient = losses.loss_and_gradient(params, terms)
    np.testing.assert_allclose(loss, sum(values), rtol=1e-12)
    for layer, (W, b) in enumerate(jets.unflatten(gradient, params)):
        np.testing.assert_allclose(W.reshape(6, *W.shape[2:]), [g[layer][0] for g in gradients], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(b.reshape(6, -1), [g[layer][1] for g in gradients], rtol=1e-9, atol=1e-12)


@given(seeds, st.sampled_from([np.float32, np.float64]))
def test_the_precision_of_the_parameters_is_kept(seed, dtype):
    params, terms = random_terms(seed, 2)
    params = [(W.astype(dtype), b.astype(dtype)) for W, b in params]
    loss, gradient = losses.loss_and_gradient(params, [adam.cast(term, dtype) for term in terms])
    vector, state = adam.adam_step(jets.flatten(params), gradient, adam.adam_init(gradient), 1e-3)
    assert {loss.dtype, gradient.dtype, vector.dtype, state.m.dtype, state.v.dtype} == {np.dtype(dtype)}
