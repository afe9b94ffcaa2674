"""Coefficients known on a grid of points: what a table gives is what its function gives, to the order of the spline."""

import pickle
import warnings

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad
from hypothesis import given, settings
from hypothesis import strategies as st

import nhpinn
from fem import tensor_grid
from nhpinn_functions import grid, tensor_and_slopes, tensor_of

TAU = 2 * np.pi
PERIOD = np.array([1.0, 2.0, 0.5])


def wave(y):
    """Periodic in 1, 2, 0.5 along its axes."""
    return 2 + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, -1] / PERIOD[y.shape[1] - 1])


def tensors(y):
    return wave(y)[:, None, None] * np.eye(y.shape[1]) + 0.2


def sampled(function, dim, count):
    y = tensor_grid([length * np.arange(count) / count for length in PERIOD[:dim]])
    values = function(y)
    return values.reshape(*[count] * dim, *values.shape[1:])


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("function", [wave, tensors])
def test_a_periodic_table_and_its_slopes_converge_with_the_orders_of_the_spline(function, dim):
    y, errors = np.random.default_rng(0).uniform(-3, 3, (50, dim)), []
    exact = tensor_and_slopes(function, y)
    for count in (12, 24):
        found = tensor_and_slopes(nhpinn.table(sampled(function, dim, count), dim, period=tuple(PERIOD[:dim])), y)
        errors.append([np.abs(a - b).max() for a, b in zip(found, exact, strict=True)])
    ratios = np.divide(*errors)
    assert ratios[0] > 0.8 * 2**4 and ratios[1] > 0.8 * 2**3 and errors[1][0] < 1e-3


@given(st.integers(1, 3), st.lists(st.floats(-2, 2), min_size=4, max_size=4))
@settings(max_examples=20)
def test_a_table_in_a_box_is_exact_for_cubic_polynomials(dim, series):
    box = [(-1.0, 2.0), (3.0, 4.0), (0.0, 1.0)][:dim]
    cubic = lambda x: sum(c * x[:, 0] ** k * x[:, -1] ** (3 - k) for k, c in enumerate(series))  # noqa: E731
    counts = (5, 6, 7)[:dim]
    table = nhpinn.table(cubic(grid(box, counts)).reshape(counts), dim, box=box)
    x = np.random.default_rng(0).uniform(*np.transpose(box), (20, dim))
    np.testing.assert_allclose(table(x), cubic(x), atol=1e-9)
    np.testing.assert_allclose(elementwise_grad(table)(x), elementwise_grad(cubic)(x) + 0 * x, atol=1e-8)


def test_second_derivatives_are_those_of_the_spline():
    table = nhpinn.table(sampled(wave, 1, 64), 1)
    y = np.linspace(0, 1, 30)[:, None]
    second = elementwise_grad(lambda y: elementwise_grad(table)(y)[:, 0])(y)
    np.testing.assert_allclose(second, elementwise_grad(lambda y: elementwise_grad(wave)(y)[:, 0])(y), atol=0.2)


@pytest.mark.parametrize("function", [wave, tensors])
def test_a_table_is_homogenized_as_its_function_is(function):
    table, period = nhpinn.table(sampled(function, 2, 64), 2, period=(1, 2)), (1.0, 2.0)
    found, expected = (nhpinn.homogenize(a, 2, period=period, tolerance=1e-4) for a in (table, function))
    np.testing.assert_allclose(found.tensor, expected.tensor, rtol=3e-5, atol=1e-5)
    (one,) = nhpinn.homogenize_at(lambda x, y: x[:, 0] ** 2 * wave(y), [[2.0]], dim=1)
    (two,) = nhpinn.homogenize_at(lambda x: nhpinn.table(4 * sampled(wave, 1, 200), 1), [[2.0]], dim=1)
    assert abs(one.tensor / two.tensor - 1) < 1e-6


@pytest.mark.parametrize("dim", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_solve_takes_tables_in_y_and_in_x(dim):
    box, slope = ((0.0, 1.0),) * dim, lambda x: 1 + x[:, 0] ** 2
    fast, slow = nhpinn.table(sampled(wave, dim, 64), dim, period=tuple(PERIOD[:dim])), slope(grid(box, 9))
    slow = nhpinn.table(slow.reshape(*[9] * dim), dim, box=box)
    options = {"box": box, "eps": 1 / 8, "period": tuple(PERIOD[:dim])}
    source = lambda x: 1 + x[:, 0]  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = nhpinn.solve(lambda x, y: slow(x) * fast(y), source, **options)
        expected = nhpinn.solve(lambda x, y: slope(x) * wave(y), source, **options)
    x = grid(box, 7)
    np.testing.assert_allclose(found(x), expected(x), atol=2e-3 * np.abs(expected(x)).max())
    assert abs(found.error - expected.error) < 0.05 * expected.error


def test_a_table_can_be_sent_to_another_process():
    table, y = nhpinn.table(sampled(wave, 2, 8), 2), np.random.default_rng(0).random((5, 2))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(table))(y), table(y))


@pytest.mark.parametrize(
    ("sentence", "values", "options"),
    [
        ("values: found list, expected real numbers on 1 axes", ["a"] * 5, {}),
        ("values: found shape (5, 5), expected 1 axes, and (1, 1) or none", np.ones((5, 5)), {}),
        ("values: found shape (3,), expected 4 points along each axis at least", np.ones(3), {}),
        ("values: not finite", [1, 2, 3, np.nan], {}),
        ("box: found one beside a period", np.ones(5), {"period": 1, "box": [(0, 1)]}),
        ("box: found [(1, 0)], expected 1 pairs", np.ones(5), {"box": [(1, 0)]}),
        ("period: found -1", np.ones(5), {"period": -1}),
        ("dim: found 4", np.ones(5), {"dim": 4}),
    ],
)
def test_what_does_not_fit_is_said(sentence, values, options):
    with pytest.raises((ValueError, TypeError)) as caught:
        nhpinn.table(values, **{"dim": 1, **options})
    assert str(caught.value).startswith(sentence)


def test_nothing_is_known_outside_of_the_box():
    table = nhpinn.table(np.ones(5), 1, box=[(0, 1)])
    with pytest.raises(ValueError, match="coefficient: raised ValueError: table: found points outside of its box"):
        tensor_of(table, np.array([[1.5]]))
