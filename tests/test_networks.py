"""Networks: plain autograd beside nested differentiation, the fused primitive beside plain autograd; losses; points."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, grad, value_and_grad
from hypothesis import given
from hypothesis import strategies as st

import nhpinn_functions
import nhpinn_networks as nets

seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 3)
batches = st.sampled_from([(), (2,), (3, 2)])


def random_case(seed, dim, batch=(), points=7, width=6):
    """A random network, points, elliptic tensors a and drifts b."""
    rng = np.random.default_rng(seed)
    params = [
        (W, b + 0.3 * rng.standard_normal(b.shape)) for W, b in nets.init_network((dim, width, width, 1), rng, batch)
    ]
    x = rng.uniform(-1, 1, (points, dim))
    root = rng.standard_normal((points, dim, dim))
    return params, x, root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(dim), rng.standard_normal((points, dim))


def nested_operator(params, x, a, b, activation=anp.tanh):
    """a_ij d_ij u + b_i d_i u by nested reverse differentiation, as in the paper."""

    def derivative(f, i):
        return lambda z: elementwise_grad(f)(z)[:, i]

    def u(z):
        return nets.plain_network(params, z, activation)

    dim = x.shape[1]
    second = sum(a[:, i, j] * derivative(derivative(u, i), j)(x) for i in range(dim) for j in range(dim))
    return second + sum(b[:, i] * derivative(u, i)(x) for i in range(dim))


def assert_alike(ours, plain, tolerance=1e-9):
    """Two lists of (W, b)."""
    np.testing.assert_allclose(nets.flatten(ours), nets.flatten(plain), rtol=tolerance, atol=tolerance)


# Derivatives --------------------------------------------------------------------------------------


@given(seeds, dims)
def test_a_jet_carries_value_gradient_and_operator(seed, dim):
    params, x, a, b = random_case(seed, dim)
    jet = nets.network_jet(params, nets.operator_jet(x, a, b))[..., 0]
    slope = elementwise_grad(lambda z: nets.plain_network(params, z))(x)
    np.testing.assert_allclose(jet[0], nets.plain_network(params, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jet[1:-1], np.einsum("ni,nik->kn", slope, np.linalg.cholesky(a)), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(jet[-1], nested_operator(params, x, a, b), rtol=1e-9, atol=1e-9)


@given(seeds, dims)
def test_a_time_direction_has_only_a_first_derivative(seed, dim):
    params, x, a, b = random_case(seed, dim + 1)
    whole = np.zeros_like(a)
    whole[:, :dim, :dim] = a[:, :dim, :dim]
    jet = nets.network_jet(params, nets.operator_jet(x, a[:, :dim, :dim], b))
    assert jet.shape[0] == dim + 2
    np.testing.assert_allclose(jet[-1, :, 0], nested_operator(params, x, whole, b), rtol=1e-9, atol=1e-9)


@given(seeds, dims, st.integers(1, 9))
def test_derivatives_of_a_trained_network_are_those_of_nested_differentiation(seed, dim, most):
    params, x, _, _ = random_case(seed, dim)
    value, slope, second = nets.Network(params)(x)
    np.testing.assert_allclose(value, nets.plain_network(params, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        slope, elementwise_grad(lambda z: nets.plain_network(params, z))(x), rtol=1e-9, atol=1e-11
    )
    for i, j in np.ndindex(dim, dim):
        unit = np.zeros((len(x), dim, dim))
        unit[:, i, j] = 1
        expected = nested_operator(params, x, unit, np.zeros_like(x))
        np.testing.assert_allclose(second[:, i, j], expected, rtol=1e-8, atol=1e-9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nets, "BATCH_POINTS", most)
        for found, expected in zip(nets.value_and_gradient(params, x), (value, slope), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


many = st.integers(1, 5) | st.integers(30, 150)  # with its channels, more rows than a product takes at once


@given(seeds, dims, st.sampled_from([1, 3, 4, 5]), many, batches)
def test_the_primitive_equals_plain_autograd_in_value_and_gradient(seed, dim, channels, points, batch):
    params, _, _, _ = random_case(seed, dim, batch)
    rng = np.random.default_rng(seed + 1)
    z, g = rng.standard_normal((channels, points, dim)), rng.standard_normal((*batch, channels, points, 1))
    pair = nets.network_jet, nets.plain_jet
    np.testing.assert_allclose(*(jet(params, z) for jet in pair), rtol=1e-9, atol=1e-9)
    assert_alike(*(grad(lambda p, jet=jet: anp.sum(g * jet(p, z)))(params) for jet in pair), tolerance=1e-8)


@given(seeds, dims, st.sampled_from([anp.sin, lambda u: u / (1 + u * u), lambda u: anp.log(1 + anp.exp(u))]))
def test_the_plain_jet_takes_any_smooth_activation(seed, dim, activation):
    params, x, a, b = random_case(seed, dim)
    jet = nets.plain_jet(params, nets.operator_jet(x, a, b), activation)[..., 0]
    np.testing.assert_allclose(jet[0], nets.plain_network(params, x, activation), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(jet[-1], nested_operator(params, x, a, b, activation), rtol=1e-9, atol=1e-9)


def test_the_primitive_refuses_what_it_cannot_differentiate():
    """Derivatives in the points, and second ones in the parameters: plain_jet has them."""
    params, x, _, _ = random_case(0, 2)
    with pytest.raises(NotImplementedError, match="network_jet: has no derivatives in the points; expected plain_jet"):
        elementwise_grad(lambda z: nets.network(params, z))(x)
    with pytest.raises(NotImplementedError, match="network_jet: has no second derivatives; expected plain_jet"):
        grad(lambda p: anp.sum(grad(lambda q: anp.sum(nets.network(q, x)))(p)[0][0] ** 2))(params)
    assert elementwise_grad(lambda z: nets.network(params, z, nets.plain_jet))(x).shape == x.shape


# Losses -------------------------------------------------------------------------------------------


def random_loss(seed, dim, batch=()):
    """A loss with an equation and periodic pairs, and its formula in plain autograd: eqs. (3) and (12)."""
    params, x, a, b = random_case(seed, dim, batch)
    rng = np.random.default_rng(seed + 1)
    c, f, pairs = rng.standard_normal(len(x)), rng.standard_normal((*batch, len(x))), rng.uniform(-1, 1, (2, 4, dim))
    terms = nets.equation_term(x, a, b, c, f, 0.3), nets.pair_term(pairs, np.full(4, 0.7 / 4))

    def plain(params):
        jet = nets.plain_jet(params, nets.operator_jet(x, a, b))[..., 0]
        near, far = (nets.plain_network(params, side) for side in pairs)
        equation = jet[..., -1, :] + c * jet[..., 0, :] + f
        return 0.3 / len(x) * anp.sum(equation**2) + 0.7 / 4 * anp.sum((near - far) ** 2)

    return params, nets.Loss(terms), plain


@given(seeds, dims, batches, st.sampled_from([8, 24, 4608]), st.integers(1, 40))
def test_a_loss_and_its_gradient_in_blocks_of_points_and_rows_are_those_of_the_formula(seed, dim, batch, block, rows):
    params, loss, plain = random_loss(seed, dim, batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nets, "BLOCK_BYTES", block)
        patch.setattr(nets, "ROWS", rows)
        value, slope = value_and_grad(loss)(params)
        np.testing.assert_allclose(loss(params), value, rtol=1e-12)
        doubled = grad(lambda p: 2 * loss(p))(params)
    expected, expected_slope = value_and_grad(plain)(params)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    assert_alike(slope, expected_slope, 1e-8)
    assert_alike(grad(loss._replace(jet=nets.plain_jet))(params), expected_slope, 1e-8)
    assert_alike(doubled, [(2 * W, 2 * b) for W, b in slope])


@given(seeds, dims)
def test_the_gradient_of_a_loss_agrees_with_finite_differences(seed, dim):
    params, loss, _ = random_loss(seed, dim)
    vector, h = nets.flatten(params), 1e-4
    direction = np.random.default_rng(seed + 2).standard_normal(vector.shape)

    def along(t):
        return loss(nets.unflatten(vector + t * direction, params))

    expected = (8 * (along(h) - along(-h)) - (along(2 * h) - along(-2 * h))) / (12 * h)  # error h^4
    slope = nets.flatten(grad(loss)(params)) @ direction
    by_vector = grad(
        lambda t: loss(
            [(W + t * V, b + t * c) for (W, b), (V, c) in zip(params, nets.unflatten(direction, params), strict=True)]
        )
    )(0.0)
    np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-6 * along(0))
    np.testing.assert_allclose(by_vector, slope, rtol=1e-9)


@given(seeds, dims)
def test_a_batch_of_networks_is_the_networks_one_by_one(seed, dim):
    params, loss, _ = random_loss(seed, dim, (3, 2))
    value, slope = value_and_grad(loss)(params)
    singles = []
    for at in np.ndindex(3, 2):
        equation, pairs = loss.terms
        mine = nets.Loss((equation._replace(target=equation.target[at]), pairs))
        singles.append(value_and_grad(mine)([(W[at], b[at]) for W, b in params]))
        assert_alike([(W[at], b[at]) for W, b in slope], singles[-1][1])
    np.testing.assert_allclose(value, sum(single for single, _ in singles), rtol=1e-12)


# Points -------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.1, 5), min_size=1, max_size=3), st.integers(2, 7))
def test_midpoints_integrate_periodic_functions(period, count):
    y = nhpinn_functions.midpoints(len(period), period, count)
    assert np.all(np.abs(np.exp(2j * np.pi * y / period).mean(axis=0)) < 1e-12) and np.all((y > 0) & (y < period))


def test_values_alone_are_those_that_come_with_all_derivatives():
    rng = np.random.default_rng(3)
    u = nets.Network(nets.init_network((3, 9, 9, 1), rng))
    points = rng.uniform(-2, 2, (2500, 3))  # more than one block
    assert np.allclose(u.value(points), u(points)[0], rtol=1e-13, atol=1e-13)
