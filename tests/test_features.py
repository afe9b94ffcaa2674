"""Random features for cell problems, and bounds that bound."""

import pickle
import tracemalloc
import warnings
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import fem
import fem_cells
import nhpinn
from nhpinn_functions import grid, midpoints, tensor_of
from nhpinn_tools import bounds, equations, features, homogenization, interpolation
from problems import PROBLEMS

TAU = 2 * np.pi
seeds = st.integers(0, 2**32 - 1)
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a solve is too slow an example to shrink
few = settings(max_examples=3, phases=NO_SHRINKING)


def random_field(seed, dim, full=False, waves=1, contrast=3.0):
    """A smooth random elliptic coefficient y (n, dim) -> (n, dim, dim) of period one."""
    rng = np.random.default_rng(seed)
    k, phases, sizes = rng.integers(-waves, waves + 1, (3, dim)), rng.uniform(0, TAU, 3), rng.dirichlet(np.ones(3))
    root = rng.standard_normal((dim, dim))
    tensor = root @ root.T + 0.5 * np.eye(dim) if full else np.eye(dim)
    size = np.log(contrast) / 2 * sizes
    return lambda y: anp.exp(anp.dot(anp.sin(TAU * anp.dot(y, k.T) + phases), size))[:, None, None] * tensor


def loewner(larger, smaller, slack=1e-12):
    assert np.linalg.eigvalsh(larger - smaller).min() > -slack * np.linalg.norm(larger, 2)


def quiet(function, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


# Bounds -------------------------------------------------------------------------------------------


@given(seeds, st.sampled_from([2, 3]), st.booleans(), st.floats(0, 3))
@few
def test_any_periodic_functions_give_bounds_between_reuss_and_voigt(seed, dim, full, size):
    field, count = random_field(seed, dim, full), {2: 16, 3: 8}[dim]
    hidden = features.periodic_features(dim, 20, 1.0, np.random.default_rng(seed))
    y = midpoints(dim, 1.0, count)
    chi = size * (hidden.jet(y[None])[0] @ np.random.default_rng(seed).standard_normal((20, dim)) / 20).T
    means = bounds.scattered_means(field, dim)
    found = bounds.tensor_bounds(field, chi.reshape(dim, *[count] * dim), means, 32, 1e-6)
    exact = quiet(fem_cells.homogenized_tensor, field, dim, {2: 8, 3: 4}[dim], order=6)
    slack = found.quadrature + {2: 1e-9, 3: 1e-4}[dim]
    for larger, smaller in (
        (means[1], found.upper),
        (found.upper, exact),
        (exact, found.lower),
        (found.lower, means[0]),
    ):
        loewner(larger, smaller, slack)


@given(seeds)
def test_the_harmonic_mean_is_adaptive_and_exact(seed):
    rng = np.random.default_rng(seed)
    place, width, value = rng.uniform(0.1, 0.8), 10 ** rng.uniform(-4, -1), 10 ** rng.uniform(-3, 3)

    def field(y):
        return np.where((y[:, 0] >= place) & (y[:, 0] < place + width), value, 2 + np.sin(TAU * y[:, 0]))

    def smooth(t):  # the integral of 1 / (2 + sin(2 pi y)) from 0
        t = np.asarray(t)
        return (np.arctan((2 * np.tan(np.pi * t) + 1) / np.sqrt(3)) - np.pi / 6 + np.pi * (t > 0.5)) / (
            np.pi * np.sqrt(3)
        )

    exact = 1 / (1 / np.sqrt(3) - smooth(place + width) + smooth(place) + width / value)
    found = bounds.harmonic_mean(field, 1e-9)
    assert found.lower[0, 0] <= exact <= found.upper[0, 0] and found.gap < 1e-6
    y, h = place + width * np.array([[0.3], [0.7]]), 1e-6 * width
    chi = [found.cells(y + side * h)[0][0, 0] for side in (-1, 1)]
    np.testing.assert_allclose((chi[1] - chi[0]) / (2 * h), exact / value - 1, rtol=1e-5, atol=1e-5)


@given(st.floats(0.05, 0.95), st.floats(-4.6, -2), st.floats(0.1, 10), st.booleans())
@settings(max_examples=30)
def test_what_is_thin_in_one_dimension_is_in_the_error(place, width, mass, smooth):
    """Layers and peaks of 1 / a with an integral of their own, wider than 2e-5 of the period."""
    width = 10**width
    size = mass / width

    def field(y):
        t = (np.abs(y[:, 0] % 1 - place)) / width
        return 1 / (1 + size * (np.exp(-np.pi * t**2) if smooth else t < 0.5))

    found = nhpinn.homogenize(field, 1)
    assert abs(found.tensor[0, 0] * (1 + mass) - 1) <= found.error < 1e-5


@given(seeds, st.floats(-6, -2))
@settings(max_examples=30)
def test_corners_in_one_dimension_are_in_the_gap(seed, tolerance):
    """Some hats of 1 / a, anywhere: there two rules may agree by chance where both are wrong."""
    rng = np.random.default_rng(seed)
    count = rng.integers(1, 5)
    place, width, mass = (
        rng.uniform(0.05, 0.95, count),
        10 ** rng.uniform(-4, -1.5, count),
        10 ** rng.uniform(-2, 2, count),
    )

    def field(y):
        return 1 / (1 + np.maximum(1 - np.abs(y - place) / width, 0) @ (mass / width))

    found = bounds.harmonic_mean(field, 10**tolerance)
    assert found.lower[0, 0] <= 1 / (1 + mass.sum()) <= found.upper[0, 0] and found.gap < 2 * 10**tolerance + 1e-6


def test_a_corner_of_one_dimension_at_which_two_rules_agree_is_in_the_gap():
    field = lambda y: 1 / (1 + 31 / 2.5e-4 * np.maximum(1 - np.abs(y[:, 0] - 0.30001) / 2.5e-4, 0))  # noqa: E731
    found = bounds.harmonic_mean(field, 1e-3)
    assert found.lower[0, 0] <= 1 / 32 <= found.upper[0, 0] and found.gap < 1e-8


def test_what_points_of_one_dimension_have_not_seen_is_in_quadrature():
    assert nhpinn.homogenize(lambda y: np.where(np.abs(y[:, 0] % 1 - 0.30001) < 5e-6, 1e-5 / 3, 1.0), 1).error < 1e-6
    films = lambda y: np.where(50 * y[:, 0] % 1 < 1e-4, 1e-4 / 3, 1.0)  # noqa: E731  2e-6 of the period, each
    with pytest.warns(UserWarning, match="homogenize: the bounds"):
        found = nhpinn.homogenize(films, 1)
    assert abs(found.tensor[0, 0] * (4 - 1e-4) - 1) < found.error and found.quadrature > 0.1


def test_what_grids_miss_scattered_points_see():
    thin = lambda y: np.where(np.abs(y[:, 0] % 1 - 0.3) < 5e-4, 1e-3, 1.0)  # noqa: E731
    disc = lambda y: np.where(np.sum((y % 1 - 0.5) ** 2, axis=1) < 0.02**2, 10.0, 1.0)  # noqa: E731
    aliased = lambda y: 2 + anp.sin(TAU * 1000 * y[:, 0])  # noqa: E731
    for field in (thin, disc, aliased):
        with pytest.raises(ValueError, match="jumps, or varies faster"):
            bounds.resolution(field, 2, bounds.scattered_means(field, 2))
    with pytest.raises(ValueError, match="jumps, or varies faster"):
        quiet(nhpinn.homogenize, thin, 2)
    assert abs(nhpinn.homogenize(thin, 1).tensor[0, 0] - 1 / 1.999) < 1e-9


# Cell problems ------------------------------------------------------------------------------------


@given(st.integers(0, 5), st.sampled_from([1e-8, 1.0, 1e8]))
@settings(max_examples=2, phases=NO_SHRINKING)
def test_correctors_of_elliptic2d_for_every_seed_and_unit(seed, unit):
    field = lambda y: unit * PROBLEMS["elliptic2d"].coefficient(y, y)  # noqa: E731
    found = nhpinn.homogenize(field, 2, recipe="sharp", seed=seed, tolerance=1e-13)
    np.testing.assert_allclose(found.tensor / unit, 1.9353592348 * np.eye(2), rtol=0, atol=1e-10)
    chi = fem_cells.correctors(lambda y: PROBLEMS["elliptic2d"].coefficient(y, y), fem_cells.cell_mesh(2, 8, 1.0, 8))[0]
    y = grid([(0, 1)] * 2, 31)
    exact = chi.at(y)[0]
    assert np.linalg.norm(found.corrector(y + np.array([3, -2])) - exact) < 1e-7 * np.linalg.norm(exact)


def test_a_picture_of_a_corrector_takes_little_memory():
    rng, one = np.random.default_rng(0), np.ones(2)
    hidden = features.periodic_features(2, 100, 1.0, rng)
    cells = features.Cells(hidden, rng.random((100, 1, 2)), np.zeros((1, 2)), one)
    y = rng.random((40_000, 2))
    tracemalloc.start()
    value, slope = cells(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * (value.nbytes + slope.nbytes)  # all at once: 168 times
    np.testing.assert_allclose(slope[..., -5:, :], cells(y[-5:])[1], atol=1e-10)


@given(seeds, st.integers(1, 20), st.floats(1, 1e4), st.sampled_from([1e-2, 1e-4, 1e-6]))
@few
def test_the_tolerance_is_met_or_a_warning_says_what_was_reached(seed, waves, contrast, tolerance):
    field = random_field(seed, 2, waves=waves, contrast=contrast)
    rungs, features.ATTEMPTS = features.ATTEMPTS, {2: features.ATTEMPTS[2][:2]}  # quick
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = nhpinn.homogenize(field, 2, recipe="sharp", tolerance=tolerance)
    except ValueError as error:
        assert "varies faster" in str(error)
        return
    finally:
        features.ATTEMPTS = rungs
    assert (found.gap + found.quadrature <= tolerance) != any("apart" in str(each.message) for each in warned)
    reuss, voigt = bounds.reuss_voigt(tensor_of(field, midpoints(2, 1.0, 512)))
    for larger, smaller in ((voigt, found.upper), (found.upper, found.lower), (found.lower, reuss)):
        loewner(larger, smaller, 10 * found.quadrature + 1e-9)


@given(seeds, st.floats(1e-6, 1e4), st.floats(0.2, 5))
@few
def test_periods_are_one_an_axis_and_units_do_not_matter(seed, p, aspect):
    field = random_field(seed, 2, full=True)
    unit = nhpinn.homogenize(field, 2, tolerance=1e-3)
    scaled = nhpinn.homogenize(lambda y: field(y / np.array([p, p])), 2, period=(p, p), tolerance=1e-3)
    np.testing.assert_allclose(scaled.tensor, unit.tensor, rtol=1e-9, atol=1e-9)
    y = np.random.default_rng(seed).uniform(-2, 2, (5, 2))
    np.testing.assert_allclose(scaled.corrector(p * y), p * unit.corrector(y), atol=1e-8 * p)
    layers = nhpinn.homogenize(lambda y: 2 + anp.sin(TAU * y[:, 0] / p) + 0 * y[:, 1], 2, period=(p, aspect * p))
    np.testing.assert_allclose(layers.tensor, np.diag([np.sqrt(3), 2]), atol=1e-6)


def disc(fraction, inside=10.0):
    return nhpinn.TwoPhase(lambda y: fraction / np.pi - anp.sum((y - 0.5) ** 2, axis=1), inside, 1.0)


@pytest.mark.parametrize(
    "coefficient, dim, options",
    [
        (lambda y: 2 + anp.sin(TAU * y[:, 0] / 2) * anp.cos(TAU * y[:, -1]), 2, {}),
        (lambda y: 2 + anp.sin(TAU * y[:, 0] / 2) * anp.cos(TAU * y[:, -1]), 2, {"recipe": "sharp"}),
        (lambda y: 2 + anp.sin(TAU * y[:, 0] / 2) * anp.cos(TAU * y[:, -1]), 2, {"recipe": "adam", "epochs": 2}),
        (lambda y: 2 + anp.sin(TAU * y[:, 0]), 1, {}),
        (np.arange(1.0, 9.0).reshape(2, 2, 2), 3, {}),
        (disc(0.4), 2, {"tolerance": 1e-3}),
    ],
)
def test_the_gradient_is_that_of_the_corrector(coefficient, dim, options):
    found = quiet(nhpinn.homogenize, coefficient, dim, period=(2.0, 1.0, 1.0)[:dim] if dim > 1 else 1.0, **options)
    y, h = np.random.default_rng(0).uniform(0.05, 0.45, (40, dim)), 1e-4
    slopes = [(found.corrector(y + h * e) - found.corrector(y - h * e)) / (2 * h) for e in np.eye(dim)]
    gradient = found.gradient(y)
    assert gradient.shape == (40, dim, dim) and found.corrector(y).shape == (40, dim)
    np.testing.assert_allclose(gradient, np.stack(slopes, axis=-1), atol=1e-3 * np.abs(gradient).max())


def half_disc(y):
    return 0.5 / np.pi - anp.sum((y - 0.5) ** 2, axis=1)


@pytest.mark.parametrize("coefficient", [np.ones((3, 3)), nhpinn.TwoPhase(half_disc, 10.0, 1.0)])
def test_what_is_found_can_be_sent_to_another_process(coefficient):
    found, y = nhpinn.homogenize(coefficient, 2), np.random.default_rng(0).random((7, 2))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).gradient(y), found.gradient(y))


def test_correctors_at_many_points_take_little_memory():
    hidden = features.periodic_features(2, 400, 1.0, np.random.default_rng(0))
    cells = features.Cells(hidden, np.ones((400, 1, 2)), np.zeros((1, 2)), np.ones(2))
    y = np.random.default_rng(0).random((20_000, 2))
    tracemalloc.start()
    value, slope = cells(y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6  # all at once: 600e6
    some = cells(y[7000:7010])
    np.testing.assert_allclose(value[..., 7000:7010], some[0], rtol=1e-9)
    np.testing.assert_allclose(slope[..., 7000:7010, :], some[1], rtol=1e-6)


def test_two_phases_have_an_image_and_in_one_dimension_a_mean():
    slab = nhpinn.TwoPhase(lambda y: 0.25 - anp.abs(y[:, 0] - 0.5), 10.0, 1.0)
    assert abs(nhpinn.homogenize(slab, 1).tensor[0, 0] - 20 / 11) < 1e-9
    with pytest.warns(UserWarning, match="by finite elements, 240 an axis"):
        found = nhpinn.homogenize(disc(0.5), 2, recipe="fem")
    assert found.recipe == "fem" and 0 < found.quadrature < 1e-2
    np.testing.assert_allclose(found.tensor, 2.415467 * np.eye(2), rtol=4e-3, atol=1e-6)
    assert found.lower[0, 0] < 2.415467 < found.upper[0, 0]


def test_a_family_of_microstructures_has_any_number_of_parameters():
    one, two = nhpinn.homogenize_at(lambda x: disc(x[0]), [[0.2], [0.5]], dim=2)
    np.testing.assert_allclose([one.tensor[0, 0], two.tensor[0, 0]], [1.391458, 2.415467], rtol=1e-6)
    (layers,) = nhpinn.homogenize_at(lambda x, y: 2 + x[:, 0] * anp.sin(TAU * y[:, 0]), [[1.0]], dim=2)
    np.testing.assert_allclose(layers.tensor, np.diag([np.sqrt(3), 2]), atol=1e-8)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_printed_tensors_have_no_negative_zeros(unit):
    text = homogenization.lines_of(unit * np.array([[1.6, -1e-14], [-1e-14, 20 / 3]]), "")
    assert "-" not in text.replace("e-", "") and "6.666666667" in text


@pytest.mark.parametrize(
    "sentence, arguments",
    [
        (
            "recipe: found 'fem', expected it for images alone",
            {"coefficient": lambda y: 1 + 0 * y[:, 0], "recipe": "fem"},
        ),
        ("recipe: found 'fourier', expected it for functions alone", {"coefficient": disc(0.5), "recipe": "fourier"}),
        ("recipe: found 'adam', expected it for functions alone", {"coefficient": disc(0.5), "recipe": "adam"}),
        ("recipe: found 'adam', expected it for functions", {"coefficient": np.ones((3, 3)), "recipe": "adam"}),
        ("values: found {0: 1}, expected None", {"coefficient": disc(0.5), "values": {0: 1}}),
        ("values: found {1: 'a'}, expected numbers", {"coefficient": np.ones((3, 3), int), "values": {1: "a"}}),
        ("values: found {0: 1}, expected None", {"coefficient": lambda y: 1 + 0 * y[:, 0], "values": {0: 1}}),
        (r"coefficient: found inf in pixel \(0, 1\), expected finite", {"coefficient": np.array([[0, np.inf, 1]])}),
        ("coefficient: not periodic.*as of a function of y % 1", {"coefficient": lambda y: 1 + y[:, 0] ** 2}),
    ],
)
def test_what_homogenize_does_not_take_is_said(sentence, arguments):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        nhpinn.homogenize(dim=2, **arguments)


# Slowly varying coefficients ----------------------------------------------------------------------


def slow(dim, coefficient, box=(0.0, 1.0), **fields):
    settings = {"reaction": None, "initial": None, "slow": None, "period": 1.0, "eps": 0.1, **fields}
    settings |= {"boundary": 0.0, "final_time": 1.0}
    source = lambda x: 1 + 0 * x[:, 0]  # noqa: E731
    return SimpleNamespace(dim=dim, domain=(box,) * dim, coefficient=coefficient, source=source, **settings)


def coefficients_of(problem, tolerance):
    correctors = features.solve_cells(problem, tolerance, np.random.default_rng(0))
    return correctors, nhpinn.homogenized_coefficients(problem, correctors, bounds.energy)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_separable_coefficient_has_a_closed_form(dim):
    problem = slow(dim, lambda x, y: (1 + x[:, 0] ** 2) * (2 + anp.sin(TAU * y[:, 0])))
    correctors, found = coefficients_of(problem, 1e-6)
    x = np.random.default_rng(1).uniform(size=(9, dim))
    layered = np.diag([np.sqrt(3), 2.0][:dim])
    np.testing.assert_allclose(found.tensor(x), (1 + x[:, 0] ** 2)[:, None, None] * layered, rtol=1e-8, atol=1e-8)
    slope = np.zeros((9, dim))
    slope[:, 0] = 2 * x[:, 0] * np.sqrt(3)
    np.testing.assert_allclose(found.divergence(x), slope, atol=1e-6)
    assert np.abs(correctors.expansion(x, x / 0.1)[2]).max() < 1e-6  # the corrector does not depend on x


@pytest.mark.slow
def test_a_slow_coefficient_in_the_plane_against_finite_elements():
    problem = slow(
        2, lambda x, y: (1 + x[:, 0] + x[:, 1] ** 2) * (2 + anp.sin(TAU * y[:, 0])) + anp.sin(TAU * y[:, 1]) / 2
    )
    _, found = coefficients_of(problem, 1e-4)
    x = np.random.default_rng(2).uniform(size=(2, 2))
    for point, tensor in zip(x, found.tensor(x), strict=True):
        exact = fem_cells.homogenized_tensor(lambda y, p=point: problem.coefficient(0 * y + p, y), 2, 8, order=6)
        np.testing.assert_allclose(tensor, exact, atol=1e-5)


def test_a_bump_in_x_is_resolved_in_one_dimension_and_refused_where_it_needs_too_many_cells():
    bump = lambda x, y: 1 + 5 * anp.exp(-((x[:, 0] - 0.5) ** 2) / 2 / 0.02**2) + 0.5 * anp.sin(TAU * y[:, 0])  # noqa: E731
    problem = slow(1, bump)
    _, found = coefficients_of(problem, 1e-6)
    x = np.linspace(0.4, 0.6, 41)[:, None]
    mean = problem.coefficient(x, 0 * x)
    np.testing.assert_allclose(found.tensor(x)[:, 0, 0], np.sqrt(mean**2 - 0.25), rtol=1e-6)
    with pytest.raises(ValueError, match="oscillates or jumps in x"):
        features.solve_cells(slow(2, lambda x, y: bump(x, y) * bump(x[:, ::-1], y)), 1e-6, np.random.default_rng(0))
    steep = slow(2, lambda x, y: 2 + anp.tanh(10 * (x[:, 0] - x[:, 1])) * anp.sin(TAU * y[:, 0]) / 2)
    with pytest.warns(UserWarning, match="is resolved to about"):
        counts = interpolation.chebyshev_points(steep, 1e-12).counts
    assert np.prod(counts) <= interpolation.MOST_NODES


def test_twenty_oscillations_in_x_are_resolved_in_one_dimension_and_refused_in_two():
    waves = lambda x, y: (2 + anp.sin(TAU * y[:, 0])) * (2 + anp.cos(20 * TAU * x[:, 0]))  # noqa: E731
    problem, x = slow(1, waves), np.linspace(0, 1, 401)[:, None]
    _, found = coefficients_of(problem, 1e-2)
    effective = lambda x: np.sqrt(3) * (2 + np.cos(20 * TAU * x[:, 0]))  # noqa: E731
    np.testing.assert_allclose(found.tensor(x)[:, 0, 0], effective(x), rtol=1e-8)
    u = equations.solve_equation(problem, found.at, 1e-2, np.random.default_rng(0))
    reference = fem.solve_elliptic(effective, problem.source, fem.Mesh(((0.0, 1.0),), 100, 4)).on_grid(x[:, 0])
    assert fem.relative_error(u(x)[0], reference) < 1e-3
    with pytest.raises(ValueError, match="coefficient: oscillates or jumps in x"):
        features.solve_cells(slow(2, waves), 1e-2, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["const1d", "slow1d", "reaction10"])
def test_the_paper_s_coefficients_in_one_dimension(name):
    problem = PROBLEMS[name]
    correctors, found = coefficients_of(problem, 1e-8)
    x = np.linspace(*problem.domain[0], 37)[:, None]
    if problem.reaction is None:
        np.testing.assert_allclose(found.tensor(x)[:, 0, 0], problem.effective(x), rtol=1e-10)
    else:
        np.testing.assert_allclose(correctors.cells(x)[0][0, 0], -np.cos(x[:, 0]) / 2, atol=1e-8)
        assert abs(found.reaction + 1 / 4) < 1e-9
