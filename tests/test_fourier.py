"""Cell problems by trigonometric polynomials: closed forms, finite elements, invariances, bounds that bound."""

import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from test_features import TAU, loewner, quiet, random_field, slow

import fem_cells
import nhpinn
from nhpinn_functions import midpoints, tensor_of
from nhpinn_tools import bounds, fourier, spectrum
from problems import PROBLEMS

seeds = st.integers(0, 2**32 - 1)
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a solve is too slow an example to shrink
few = settings(max_examples=3, phases=NO_SHRINKING)

homogenize = partial(nhpinn.homogenize, recipe="fourier")


# Closed forms and other methods -----------------------------------------------------------------------


def test_layers_have_the_harmonic_mean_across_and_the_arithmetic_one_along():
    a = np.diag([1.0, 3.0, 0.5])
    for dim in (2, 3):
        layers = lambda y, a=a[:dim, :dim]: (2 + anp.sin(TAU * y[:, 0]))[:, None, None] * a  # noqa: E731
        found = homogenize(layers, dim, tolerance=1e-6)
        np.testing.assert_allclose(found.tensor, (a @ np.diag([np.sqrt(3), 2, 2]))[:dim, :dim], atol=1e-6)


@given(seeds)
@few
def test_a_plane_and_its_dual_are_inverse_up_to_a_turn(seed):
    """Keller 1964, Mendelson 1975: the homogenized tensor of Q a^-1 Q^T is Q a*^-1 Q^T, Q a quarter turn."""
    a, turn = random_field(seed, 2, full=True, contrast=20.0), np.array([[0.0, -1.0], [1.0, 0.0]])
    one = homogenize(a, 2, tolerance=1e-9)
    other = homogenize(lambda y: turn @ np.linalg.inv(a(y)) @ turn.T, 2, tolerance=1e-9)
    np.testing.assert_allclose(other.tensor, turn @ np.linalg.inv(one.tensor) @ turn.T, rtol=0, atol=1e-8)


def test_a_product_of_functions_of_one_coordinate_each_has_a_closed_form():
    s, c = (lambda y: 2 + 1.8 * anp.sin(TAU * y[:, 0])), (lambda y: 2 + 1.8 * anp.cos(TAU * y[:, 1]))
    found = homogenize(lambda y: s(y) * c(y), 2, tolerance=1e-9)
    np.testing.assert_allclose(found.tensor, 2 * np.sqrt(4 - 1.8**2) * np.eye(2), atol=1e-8)


@pytest.mark.parametrize(("dim", "elements", "close"), [(2, 8, 1e-6), (3, 3, 1e-3)])
def test_correctors_are_those_of_finite_elements(dim, elements, close):
    field = random_field(5, dim, full=True, contrast=5.0)
    found = homogenize(field, dim, tolerance=close**2)
    mesh = fem_cells.cell_mesh(dim, elements, 1.0, {2: 8, 3: 5}[dim])
    y = np.random.default_rng(0).uniform(0, 1, (60, dim))
    value, slope = fem_cells.correctors(field, mesh)[0].at(y, most=1)
    assert np.linalg.norm(found.corrector(y + 2) - value) < 100 * close * np.linalg.norm(value)
    assert np.linalg.norm(found.gradient(y) - slope) < 1000 * close * np.linalg.norm(slope)


@given(seeds, st.booleans())
@few
def test_features_find_the_same(seed, full):
    field, dim = random_field(seed, 2, full), 2
    one, other = (quiet(nhpinn.homogenize, field, dim, recipe=recipe) for recipe in ("fourier", "sharp"))
    np.testing.assert_allclose(one.tensor, other.tensor, rtol=0, atol=(one.error + other.error) * one.tensor.max())
    y = np.random.default_rng(seed).uniform(-1, 1, (9, dim))
    np.testing.assert_allclose(one.corrector(y), other.corrector(y), atol=2e-2 * max(one.gap, other.gap) ** 0.25)


# Bounds, tolerances -----------------------------------------------------------------------------------


@example(0, 3, True, 3.0, 1e-1)
@given(seeds, st.just(2), st.booleans(), st.floats(1.1, 30), st.sampled_from([1e-2, 1e-6]))
@few
def test_the_exact_tensor_is_between_the_bounds(seed, dim, full, contrast, tolerance):
    field = random_field(seed, dim, full, contrast=contrast)
    found = quiet(homogenize, field, dim, tolerance=tolerance)
    exact = quiet(homogenize, field, dim, tolerance=tolerance * 1e-4)
    slack = found.quadrature + exact.error + 1e-12
    voigt, reuss = bounds.scattered_means(field, dim)[::-1]
    for larger, smaller in ((voigt, found.upper), (found.upper, exact.tensor), (exact.tensor, found.lower)):
        loewner(larger, smaller, slack)
    loewner(found.lower, reuss, slack)


@given(seeds, st.integers(1, 12), st.floats(1, 1e3), st.sampled_from([1e-2, 1e-4, 1e-6]))
@few
def test_the_tolerance_is_met_or_a_warning_says_what_was_reached(seed, waves, contrast, tolerance):
    field = random_field(seed, 2, waves=waves, contrast=contrast)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = homogenize(field, 2, tolerance=tolerance)
    assert (found.error <= tolerance) != any("apart" in str(each.message) for each in warned)


def hill(sharpness, axes):
    """A film, a peak: 1 + 1000 exp(-sharpness (sin^2 pi y_1 + ...)) of some axes."""
    return lambda y: 1 + 1e3 * anp.exp(-sharpness * sum(anp.sin(np.pi * y[:, i]) ** 2 for i in axes))


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_films_and_peaks_are_resolved_or_warned_of(axes, monkeypatch):
    wide, narrow = (hill(sharpness, axes) for sharpness in (30, 300))
    found = homogenize(wide, 2)
    assert found.error < 1e-6
    if len(axes) == 1:
        a = wide((np.arange(10**5) + 0.5)[:, None] / 10**5)
        np.testing.assert_allclose(found.tensor, np.diag([1 / np.mean(1 / a), a.mean()]), rtol=1e-6, atol=1e-9)
    monkeypatch.setitem(fourier.POINTS, 2, (15, 31, 61))
    with pytest.warns(UserWarning, match="bounds are .* apart .*steep within its cell"):
        found = homogenize(narrow, 2)
    a = tensor_of(narrow, midpoints(2, 1.0, 512))
    reuss, voigt = bounds.reuss_voigt(a)
    for larger, smaller in ((voigt, found.upper), (found.upper, found.lower), (found.lower, reuss)):
        loewner(larger, smaller, 1e-6)


def test_a_film_that_no_grid_sees_has_the_bounds_of_an_image_and_a_warning():
    film = hill(20_000, (0,))
    with pytest.warns(UserWarning, match="the bounds are by finite elements"):
        found = homogenize(film, 2)
    a = film((np.arange(10**6) + 0.5)[:, None] / 10**6)
    exact = np.diag([1 / np.mean(1 / a), a.mean()])
    assert found.recipe == "fem"
    for larger, smaller in ((found.upper, exact), (exact, found.lower)):
        loewner(larger, smaller, 2 * found.quadrature)


# Invariances ------------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([1e-9, 1.0, 1e9]))
@few
def test_shifts_turns_and_units_do_not_matter(seed, unit):
    a, shift = random_field(seed, 2, full=True), np.random.default_rng(seed).uniform(size=2)
    found, turn = homogenize(a, 2, tolerance=1e-9), np.array([[0.0, -1.0], [1.0, 0.0]])
    moved = homogenize(lambda y: unit * a(y + shift), 2, tolerance=1e-9)
    np.testing.assert_allclose(moved.tensor / unit, found.tensor, rtol=0, atol=1e-8)
    y = np.random.default_rng(seed).uniform(-1, 1, (7, 2))
    np.testing.assert_allclose(moved.corrector(y), found.corrector(y + shift), atol=1e-4)
    turned = homogenize(lambda y: turn @ a(anp.dot(y, turn)) @ turn.T, 2, tolerance=1e-9)
    np.testing.assert_allclose(turned.tensor, turn @ found.tensor @ turn.T, rtol=0, atol=1e-8)


@given(seeds, st.floats(1e-6, 1e6))
@few
def test_periods_are_one_an_axis(seed, p):
    field, period = random_field(seed, 2, full=True), np.array([p, 2.5 * p])
    unit = homogenize(lambda y: field(y) / np.outer(period, period), 2, tolerance=1e-8)
    found = homogenize(lambda y: field(y / period), 2, period=tuple(period), tolerance=1e-8)
    np.testing.assert_allclose(found.tensor, unit.tensor * np.outer(period, period), rtol=1e-7, atol=1e-9)
    y = np.random.default_rng(seed).uniform(-2, 2, (5, 2))
    np.testing.assert_allclose(found.corrector(period * y), period * unit.corrector(y), atol=1e-6 * p)


@given(seeds)
@few
def test_a_start_changes_the_steps_and_not_the_result(seed):
    a = fourier.sampled(random_field(seed, 2, full=True), 2, 31)
    chi = spectrum.values_of(fourier.correctors_of(a, 1e-12))
    rough = spectrum.spectrum_of(chi + np.random.default_rng(seed).standard_normal(chi.shape), 2)
    rough.modes[:, 0, 0] = 0  # of mean zero, as correctors are
    np.testing.assert_allclose(spectrum.values_of(fourier.correctors_of(a, 1e-12, rough)), chi, atol=1e-5)


# Correctors of `solve` --------------------------------------------------------------------------------


@pytest.mark.parametrize("D", [2.0, 0.1])
def test_the_corrector_of_the_paper_s_reaction(D):
    problem = PROBLEMS["reaction10"]._replace(coefficient=lambda x, y: D + 0 * y[:, 0])
    correctors = fourier.solve_cells(problem, 1e-8)
    y = np.linspace(-9, 9, 37)[:, None]
    value, slope = correctors.cells(y)
    np.testing.assert_allclose(value[0, 0], -np.cos(y[:, 0]) / D, atol=1e-12)
    np.testing.assert_allclose(slope[0, 0, :, 0], np.sin(y[:, 0]) / D, atol=1e-12)


def test_a_reaction_that_no_points_resolve_is_said():
    comb = slow(1, lambda x, y: 1 + 0 * y[:, 0], reaction=lambda y: np.sin(TAU * 5000 * y[:, 0]))
    with pytest.warns(UserWarning, match="cell problems: their error is about .* with .* points an axis"):
        fourier.solve_cells(comb, 1e-4)


@pytest.mark.parametrize("name", ["const1d", "slow1d"])
def test_the_paper_s_coefficients_in_one_dimension(name):
    problem = PROBLEMS[name]
    correctors = fourier.solve_cells(problem, 1e-8)
    found = nhpinn.homogenized_coefficients(problem, correctors, bounds.energy)
    x = np.linspace(*problem.domain[0], 37)[:, None]
    np.testing.assert_allclose(found.tensor(x)[:, 0, 0], problem.effective(x), rtol=1e-8)


@pytest.mark.parametrize("dim", [2, 3])
def test_a_separable_coefficient_has_a_closed_form(dim):
    problem = slow(dim, lambda x, y: (1 + x[:, -1] ** 2) * (2 + anp.sin(TAU * y[:, 0])))
    correctors = fourier.solve_cells(problem, 1e-6)
    found = nhpinn.homogenized_coefficients(problem, correctors, bounds.energy)
    x = np.random.default_rng(1).random((9, dim))
    layered = np.diag([np.sqrt(3), 2.0, 2.0][:dim])
    np.testing.assert_allclose(found.tensor(x), (1 + x[:, -1] ** 2)[:, None, None] * layered, rtol=1e-6, atol=1e-6)
    assert np.abs(correctors.expansion(x, x / 0.1)[2]).max() < 1e-3  # the corrector does not depend on x


def test_every_slow_point_has_the_correctors_of_its_own_coefficient():
    def coefficient(x, y):
        return 2 + x[:, 0] + anp.sin(TAU * (y[:, 0] + x[:, 1] / 4)) * anp.cos(TAU * y[:, 1] / 2)

    problem = slow(2, coefficient, period=(1.0, 2.0))
    correctors = fourier.solve_cells(problem, 1e-4)
    y = np.random.default_rng(0).uniform(-1, 3, (20, 2))
    chi = correctors.cells(y)[0]
    for k in (0, len(correctors.nodes) // 2, -1):
        node = correctors.nodes[k]
        alone = homogenize(lambda y, x=node: coefficient(0 * y + x, y), 2, period=(1.0, 2.0), tolerance=1e-10)
        np.testing.assert_allclose(chi[k].T, alone.corrector(y), atol=1e-3)


def test_the_default_is_fourier_for_what_is_smooth():
    found = nhpinn.homogenize(lambda y: 2 + anp.sin(TAU * y[:, 0]), 2)
    assert found.recipe == "fourier" and "by fourier" in str(found)
    jump = quiet(nhpinn.homogenize, lambda y: np.where(y[:, 0] % 1 < 0.5, 1.0, 3.0), 2)
    assert jump.recipe == "fem"


def test_samples_are_those_of_the_points_in_their_order():
    a = tensor_of(random_field(0, 2), midpoints(2, 1.0, 4))
    np.testing.assert_array_equal(fourier.sampled(random_field(0, 2), 2, 4)[..., 1, 2], a[6])


def waves_of_both(x, y):
    return 2 + anp.sin(TAU * (y[:, 0] + x[:, 1])) * anp.cos(TAU * y[:, 1]) * x[:, 0]


def test_an_executor_changes_no_corrector():
    problem = slow(2, waves_of_both)
    with ProcessPoolExecutor(1) as processes:
        one, other = (fourier.solve_cells(problem, 1e-2, mapped) for mapped in (map, processes.map))
    assert len(one.nodes) > 20
    np.testing.assert_array_equal(one.cells.coefficients, other.cells.coefficients)
