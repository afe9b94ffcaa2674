"""What time adds to the error is warned of with its size: against finite elements that resolve eps, one dimension."""

import re
import warnings

import autograd.numpy as anp
import numpy as np
import pytest

import fem
import nhpinn
from nhpinn_functions import faces_of

TAU = 2 * np.pi


def sine(x):
    return np.sin(np.pi * x[:, 0])


def bell(x):
    return np.exp(-(((x[:, 0] - 0.43) / 0.02) ** 2))


def steep(y):
    return 1 + 0.9 * anp.sin(TAU * y[:, 0])


def one(y):
    return 1 + 0 * y[:, 0]


def strong(y):
    return 100 * anp.cos(TAU * y[:, 0])


def solved(a, r, eps, T, initial, recipe="fourier"):
    """The relative error of what `solve` returns, its bar, and the sentences of its warnings but for those of the
    tolerance, which is that of the steps alone."""
    box, x, still = ((0.0, 1.0),), np.linspace(0, 1, 402)[1:-1, None], lambda x: 0 * x[:, 0]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        options = {"reaction": r, "initial": initial, "final_time": T, "tolerance": 1e-3, "recipe": recipe}
        u = nhpinn.solve(lambda x, y: a(y), still, box, eps, **options)
    reaction = r and (lambda x: r(x / eps) / eps)
    mesh = fem.Mesh(box, max(200, round(4 / eps)), 4)
    steps = 8000 if r else 1000  # what grows as exp(130 t) takes more
    fine = fem.solve_parabolic(lambda x: a(x / eps), still, initial, T, steps, mesh, reaction).at(x)[0]
    sentences = [sentence for each in said if not (sentence := str(each.message)).startswith("tolerance: ")]
    return np.linalg.norm(u(x) - fine) / np.linalg.norm(fine), u.error, sentences


def size(sentences, name):
    (sentence,) = (each for each in sentences if each.startswith(name))
    return float(re.search(r"err by (?:a factor of )?([\d.e+]+),|oscillates, ([\d.e+-]+)", sentence).group(1, 2)[
        "oscillates" in sentence
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("name", "a", "r", "eps", "T", "initial"),
    [
        ("final_time", one, strong, 1 / 50, 1.0, sine),  # r* + O(eps^2), for a time
        ("final_time", steep, None, 1 / 4.3, 1.0, sine),  # the box cuts a period
        ("initial", steep, None, 1 / 8, 0.1, bell),  # within a period
    ],
)
def test_what_is_wrong_is_warned_of_with_its_size(name, a, r, eps, T, initial):
    error, bar, sentences = solved(a, r, eps, T, initial)
    assert bar is None or bar >= 1  # where there is one, nothing else needs to be said
    assert error > 0.02 and 0.4 * error < size(sentences, name) < 8 * error


def test_a_reaction_whose_exponent_is_wrong_is_said_to_be_wrong_by_a_factor():
    error, _, sentences = solved(one, strong, 1 / 20, 1.0, sine)
    assert error > 0.5 and 0.4 < size(sentences, "final_time") / (1 + error) < 2.5


@pytest.mark.parametrize(
    ("a", "r", "eps", "T"),
    [
        (one, strong, 1 / 50, 0.2),  # by the ground state
        (steep, None, 1 / 8, 1e-4),  # before there are correctors
    ],
)
def test_a_bar_takes_the_place_of_warnings(a, r, eps, T):
    error, bar, sentences = solved(a, r, eps, T, sine, None)
    assert error <= bar < 1 and not sentences


def test_small_errors_are_not_warned_of():
    error, _, sentences = solved(one, lambda y: anp.cos(TAU * y[:, 0]), 1 / 20, 0.1, sine)
    assert error < 0.02 and not sentences
    error, _, sentences = solved(lambda y: 2 + 0.5 * anp.sin(TAU * y[:, 0]), None, 1 / 20, 0.1, sine)
    assert error < 0.02 and not sentences


def test_the_ground_state_s_exponent_is_that_of_mathieu_s_equation():
    """-phi'' + q_0 cos(z) phi = mu phi has mu = -q_0^2 / 2 + 7 q_0^4 / 32 to the sixth order."""
    u = nhpinn.solve(
        lambda x, y: one(y), lambda x: 0 * x[:, 0], ((0, TAU),), 1 / 100, period=TAU,
        reaction=lambda y: 5 * anp.cos(y[:, 0]), initial=lambda x: np.sin(x[:, 0] / 2), final_time=1e-3,
    )  # fmt: skip
    from nhpinn_tools.unsteady import reaction_error

    found, slowed = reaction_error(u.problem, u.correctors)
    assert abs(found / (7 / 32 * 5**4 / 100**2) - 1) < 0.02
    assert abs(slowed / (4 * 12.5 / 100**2) - 1) < 0.05


@pytest.mark.parametrize("unit", [1e-4, 3e6])
def test_what_is_warned_of_does_not_depend_on_the_unit_of_storage(unit):
    """The box cuts a period, so that the rate is not known well."""

    def said(unit):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nhpinn.solve(
                lambda x, y: steep(y), lambda x: 0 * x[:, 0], [(0, 1)], 1 / 4.3, initial=sine,
                final_time=unit, rho=lambda x, y: unit + 0 * y[:, 0],
            )  # fmt: skip
        return size([str(each.message) for each in caught], "final_time")

    assert said(unit) == pytest.approx(said(1), rel=1e-2)


def test_in_the_plane_u_has_its_values_on_faces_and_is_nearer_than_without_them():
    """Against elements that resolve eps; the gradient is that of u."""
    eps, box, ends, T = 1 / 4, ((0.0, 1.0),) * 2, [(1.0, 0.0), (nhpinn.Flux(0), nhpinn.Flux(0))], 0.02
    a = lambda x, y: 2 + 1.5 * anp.sin(TAU * y[:, 0]) + 0.4 * anp.cos(TAU * (y[:, 1] - y[:, 0]))  # noqa: E731
    still = lambda x: 0 * x[:, 0]  # noqa: E731
    u = nhpinn.solve(a, still, box, eps, boundary=ends, initial=still, final_time=T)
    np.testing.assert_allclose(u([[0.0, 0.02], [0.0, 0.7], [1.0, 0.4]]), [1, 1, 0], atol=1e-6)
    axis, mesh = np.linspace(0, 1, 81), fem.Mesh(box, 20, 3)
    x, faces = fem.tensor_grid([axis, axis]), faces_of(ends, box)
    fine = fem.solve_parabolic(lambda x: a(x, x / eps), still, still, T, 100, mesh, faces=faces).on_grid(axis, axis)
    value, slope, second = u.u0(np.insert(x, 2, T, axis=1))
    expansion = u.correctors.expansion(x, x / eps)
    without = nhpinn.reconstruct(u.problem, value, slope[:, :2], second[:, :2, :2], expansion)[0]
    assert fem.relative_error(u(x), fine) < fem.relative_error(without, fine)
    some, step = np.random.default_rng(0).uniform(0.01, 0.99, (200, 2)), 1e-6 * np.eye(2)
    differences = np.stack([(u(some + h) - u(some - h)) / 2e-6 for h in step], axis=1)
    np.testing.assert_allclose(u.gradient(some), differences, atol=1e-4 * np.abs(differences).max())
