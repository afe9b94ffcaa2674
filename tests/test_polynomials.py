"""Homogenized equations by polynomials: known solutions, features, the estimate, what is not reached."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_equations import SQUARE, constant, equation, manufactured, one, reference, scalar, wave, zero

from nhpinn_functions import Flux, faces_of
from nhpinn_tools import equations, polynomials

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 3))
@settings(max_examples=5, phases=(Phase.explicit, Phase.generate))
def test_values_and_fluxes_on_random_faces_are_those_of_a_known_solution(seed, dim):
    rng = np.random.default_rng(seed)
    problem, coefficients, u = manufactured(rng, dim)
    found = polynomials.solve_equation(problem, coefficients, 1e-5)
    x = rng.uniform(*np.transpose(problem.domain), (500, dim))
    error = np.linalg.norm(found.value(x) - u(x)) / np.std(u(x)) / np.sqrt(len(x))
    assert error < 1e-5 and error < 3 * found.error + 1e-11
    for face in faces_of(problem.boundary, problem.domain):
        x[:, face.axis] = face.at
        conormal = (2 * face.side - 1) * np.einsum("nij,nj->ni", coefficients(x)[0], found(x)[1])[:, face.axis]
        np.testing.assert_allclose(
            conormal if face.flux else found.value(x), face.data(x), atol=1e-3 if face.flux else 1e-8
        )


@pytest.mark.parametrize("boundary", [0.0, [(0.0, Flux(1.0)), (Flux(-1.0), 0.0)]])
def test_the_derivatives_are_those_of_the_values(boundary):
    problem = equation(wave(3.0), SQUARE, boundary=boundary)
    u = polynomials.solve_equation(problem, constant(np.diag([1.0, 2.0])), 1e-4)
    points = np.random.default_rng(1).uniform(0.1, 0.9, (20, 2))
    value, gradient, second = u(points)
    np.testing.assert_allclose(u.value(points), value, rtol=1e-12, atol=1e-14)
    for i, step in enumerate(1e-4 * np.eye(2)):
        up, down = u(points + step), u(points - step)
        np.testing.assert_allclose((up[0] - down[0]) / 2e-4, gradient[:, i], atol=1e-5)
        np.testing.assert_allclose((up[1] - down[1]) / 2e-4, second[..., i], atol=1e-3)
    np.testing.assert_allclose(-second[:, 0, 0] - 2 * second[:, 1, 1], problem.source(points), atol=0.05)


def sines(lengths, c, x, most=80):
    """-lap u + c u = 1 in a box, u = 0 on its boundary, by its series."""
    k = np.arange(1, most, 2)
    parts = [4 / np.pi / k * np.sin(np.outer(x[:, i], k) * np.pi / length) for i, length in enumerate(lengths)]
    rates = c + sum(np.meshgrid(*[(k * np.pi / length) ** 2 for length in lengths], indexing="ij"))[None]
    out = 1 / rates
    for part in parts[::-1]:
        out = np.einsum("n...k,nk->n...", np.broadcast_to(out, (len(x), *out.shape[1:])), part)
    return out


@pytest.mark.parametrize("c", [0.0, 30.0, -4.0])
@pytest.mark.parametrize("lengths", [(2.0, 1.0), (1.0, 1.0, 1.5)])
def test_a_source_of_one_in_boxes_has_a_series(lengths, c):
    dim = len(lengths)
    problem = equation(one, tuple((0.0, length) for length in lengths))
    u = polynomials.solve_equation(problem, constant(np.eye(dim), c), 1e-4)
    x = np.random.default_rng(0).uniform(0.05, 0.95, (60, dim)) * lengths
    exact = sines(lengths, c, x)
    assert u.error < 1e-4 and np.linalg.norm(u.value(x) - exact) < 2e-4 * np.linalg.norm(exact)


def test_full_tensors_that_vary_agree_with_features():
    A = np.array([[1.0, 0.3], [0.3, 2.0]])
    a, b = (lambda x: np.exp(x[:, 0])), (lambda x: np.exp(x[:, :1]) * A[0])
    coefficients = lambda x: (a(x)[:, None, None] * A, b(x), 0.0)  # noqa: E731
    problem = equation(one, SQUARE)
    u = polynomials.solve_equation(problem, coefficients, 1e-4)
    v = equations.solve_equation(problem, coefficients, 1e-4, np.random.default_rng(0))
    x = np.random.default_rng(0).random((500, 2))
    assert np.linalg.norm(u.value(x) - v.value(x)) < 2e-4 * np.linalg.norm(v.value(x))


def test_nothing_and_constants_are_met_to_the_last_digit():
    assert (
        not polynomials.solve_equation(equation(zero, SQUARE), constant(np.eye(2)), 1e-9).value(np.ones((3, 2))).any()
    )
    u = polynomials.solve_equation(equation(zero, SQUARE, boundary=[(1 / 3, Flux(0)), (Flux(), 1 / 3)]),
                                   constant(np.eye(2)), 1e-9)  # fmt: skip
    assert u.error == 0 and np.all(u.value(np.random.default_rng(0).random((50, 2))) == 1 / 3)


def test_contrast_is_resolved_in_one_dimension():
    """-(a u')' = 1 with a = 1e-3 + (1 - cos 2 pi x) / 2, against finite elements."""
    coefficients = scalar(
        lambda x: 1e-3 + (1 - np.cos(2 * np.pi * x[:, 0])) / 2, lambda x: np.pi * np.sin(2 * np.pi * x[:, :1])
    )
    u = polynomials.solve_equation(equation(one), coefficients, 1e-5)
    x = np.linspace(0, 1, 101)
    exact = reference(equation(one), coefficients, [x], 400)
    assert np.linalg.norm(u.value(x[:, None]) - exact) < 1e-4 * np.linalg.norm(exact)


def test_what_is_not_reached_is_a_warning(monkeypatch):
    monkeypatch.setitem(polynomials.COUNTS, 1, (16,))
    with pytest.warns(UserWarning, match=r"error of its solution is about .* polynomials .* expected at most 0.001"):
        u = polynomials.solve_equation(equation(wave(200)), constant(1.0), 1e-3)
    assert u.error > 1e-3


def test_many_points_take_little_memory():
    u = polynomials.solve_equation(equation(one, SQUARE), constant(np.eye(2)), 1e-4)
    x = np.random.default_rng(0).random((5000, 2))
    np.testing.assert_allclose(u.value(x)[-7:], u.value(x[-7:]), rtol=1e-12)
