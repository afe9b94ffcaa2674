"""The method: periodic pairs, loss terms, training, the three steps, and what bad input gets."""

from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import adam
import coefficients
import fem
import jets
import losses
import nhpinn
from problems import PROBLEMS

seeds = st.integers(0, 2**32 - 1)
dims = st.integers(1, 3)
TAU = 2 * np.pi
QUICK = adam.Training(
    hidden=(32, 32), points=21, layers=2, weights=(0.1, 0.45, 0.45), rate=1e-2, decay=0.02, epochs=1500, average=100
)
HALF = {"hidden": (32, 32), "points": 41, "rate": 1e-2, "decay": 0.02, "epochs": 1500}  # for `homogenize`
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a training is too slow an example to shrink


def cell_problem(coefficient, dim=1, **fields):
    """The fields of a problem that the cell problems use."""
    fields = {"period": 1.0, "reaction": None, "slow": False, **fields}
    return SimpleNamespace(dim=dim, coefficient=coefficient, **fields)


def solve_cells(problem, training=QUICK, slow=None):
    slow = np.zeros((1, problem.dim)) if slow is None else slow
    return nhpinn.solve_cells(problem, training, np.random.default_rng(0), slow)


# Points -------------------------------------------------------------------------------------------


@given(st.integers(1, 3), st.floats(0.1, 10), st.integers(3, 7), st.data())
def test_periodic_pairs_are_one_period_apart_and_complete(dim, period, count, data):
    layers = data.draw(st.integers(0, count - 3))
    boundary, ghosts = losses.periodic_pairs(dim, period, count, layers)
    assert boundary.shape == (2, dim * count ** (dim - 1), dim)
    assert ghosts.shape == (2, 2 * layers * dim * count ** (dim - 1), dim)
    grid = {tuple(p) for p in np.round(losses.grid([(0, period)] * dim, count) / period, 6) + 0.0}
    for pairs, ghost in ((boundary, False), (ghosts, True)):
        gap = (pairs[1] - pairs[0]) / period
        assert np.allclose(np.sort(gap, axis=1)[:, -1], 1) and np.allclose(np.abs(gap).sum(axis=1), 1)
        on_grid = [[tuple(p) in grid for p in np.round(side / period, 6) + 0.0] for side in pairs]
        assert np.all(np.logical_xor(*on_grid) if ghost else np.logical_and(*on_grid))


@given(st.integers(2, 9), st.integers(-3, 12), st.integers(1, 3))
def test_more_oversampling_layers_than_the_paper_allows_are_refused(count, layers, dim):
    if 0 <= layers < count - 2:
        losses.periodic_pairs(dim, 1.0, count, layers)
    else:
        with pytest.raises(ValueError, match=r"layers.*N_o < N_f - 2"):
            losses.periodic_pairs(dim, 1.0, count, layers)


# Training -----------------------------------------------------------------------------------------


def test_adam_is_the_algorithm_of_its_paper():
    """Scalar by scalar, as in algorithm 1 of Kingma and Ba."""
    rng = np.random.default_rng(0)
    vector = rng.standard_normal(5)
    ours, state = vector.copy(), adam.adam_init(vector)
    theirs, m, v = vector.copy(), np.zeros(5), np.zeros(5)
    for t in range(1, 20):
        g = rng.standard_normal(5)
        ours, state = adam.adam_step(ours, g, state, 0.01)
        for i in range(5):
            m[i] = 0.9 * m[i] + 0.1 * g[i]
            v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
            theirs[i] -= 0.01 * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # the small constant stands outside the correction


@given(seeds, st.sampled_from(["float32", "float64"]), st.sampled_from([None, 50]))
@settings(max_examples=6)
def test_same_seed_same_numbers(seed, dtype, batch):
    training = QUICK._replace(epochs=10, dtype=dtype, batch=batch)
    problem = PROBLEMS["elliptic2d"]
    runs = [nhpinn.nh_pinn(problem, training, training._replace(layers=0, weights=(0.5, 0.5)), seed) for _ in "ab"]
    np.testing.assert_array_equal(jets.flatten(runs[0][2]), jets.flatten(runs[1][2]))
    np.testing.assert_array_equal(runs[0][1].samples, runs[1][1].samples)
    assert runs[0][3]._replace(seconds=[]) == runs[1][3]._replace(seconds=[])


def test_a_random_part_of_the_points_keeps_the_expectation_of_the_loss():
    problem = PROBLEMS["elliptic2d"]
    training = adam.Training(**problem.homogenized)
    points = losses.grid(problem.domain, 21)
    term = nhpinn.equation_terms(problem, nhpinn.multiscale_at(problem), training, points)[0]
    params = jets.init_network((2, 8, 1), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    whole = losses.term_loss_and_gradient(params, term)[0]
    parts = [losses.term_loss_and_gradient(params, losses.random_part(term, 100, rng))[0] for _ in range(400)]
    assert abs(np.mean(parts) - whole) < 4 * np.std(parts) / 20


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_epoch():
    problem = PROBLEMS["elliptic2d"]
    training = adam.Training(**problem.homogenized)._replace(rate=1e30, epochs=50)
    with pytest.raises(FloatingPointError, match=r"epoch \d+ of 50"):
        nhpinn.solve_equation(problem, nhpinn.multiscale_at(problem), training, np.random.default_rng(0))


def test_errors_are_averaged_over_the_last_epochs():
    history = adam.History(list(range(0, 101, 10)), [0.0] * 11, [0.0] * 11, {"e": [float(i) for i in range(11)]})
    assert adam.final_average(history, "e", 30) == np.mean([8, 9, 10])
    assert adam.final_average(history, "e", 1) == 10


# The three steps ----------------------------------------------------------------------------------


@given(st.floats(0.1, 0.8), st.floats(0, 1), st.floats(0.01, 100), st.floats(0.1, 10))
@settings(max_examples=5, phases=NO_SHRINKING)
def test_in_one_dimension_the_learned_coefficient_is_the_harmonic_mean(swing, phase, level, period):
    def coefficient(y):
        return level * (1 + swing * anp.sin(TAU * (y[:, 0] / period + phase)))

    found = nhpinn.homogenize(coefficient, 1, period=period, recipe="adam", **HALF)
    np.testing.assert_allclose(found.tensor, [[level * np.sqrt(1 - swing**2)]], rtol=0.01)
    y = period * losses.cell_midpoints(1, 1.0, 100)
    assert abs(found.corrector(y).mean()) < 1e-3 * period
    np.testing.assert_allclose(found.corrector(y), found.corrector(y + 3 * period), atol=1e-9 * period)
    seam = found.corrector(period * np.array([[0.0], [1 - 1e-9]]))
    assert abs(seam[0, 0] - seam[1, 0]) < 5e-3 * period


@pytest.mark.parametrize(("name", "tolerance"), [("const1d", 0.01), ("elliptic2d", 0.35)])
def test_learned_correctors_are_periodic_and_have_zero_mean(name, tolerance):
    """As far as seconds of the soft loss take them: within 1 % in 1D; in 2D, where a paper run reaches 3 %, 35 %."""
    problem, points = PROBLEMS[name], {1: 41, 2: 15}[PROBLEMS[name].dim]
    correctors = solve_cells(problem, QUICK._replace(points=points, weights=(0.02, 0.49, 0.49), epochs=3000, rate=5e-3))
    inside = correctors(nhpinn.cell_quadrature(problem.dim, 1.0))
    assert np.abs(inside.mean(-1)).max() < 1e-12
    for near, far in losses.periodic_pairs(problem.dim, 1.0, 30, 2):
        assert np.std(correctors(near) - correctors(far)) < tolerance * np.std(inside)
    axes = [np.linspace(0, 1, 31)] * problem.dim
    exact = fem.correctors(lambda y: problem.coefficient(y, y), fem.cell_mesh(problem.dim, 12))[0].on_grid(*axes).T
    for mine, theirs in zip(correctors(losses.grid([(0, 1)] * problem.dim, 31))[0], exact, strict=True):
        assert fem.relative_error(mine, theirs) < tolerance


def test_a_tensor_coefficient_is_homogenized():
    """Full, varying and rotated, against finite elements."""
    root = np.array([[1.0, 0.3], [0.0, 0.8]])

    def coefficient(x, y):
        scalar = 1 + 0.4 * anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, 1])
        return anp.reshape(scalar, (-1, 1, 1)) * (root @ root.T)

    problem = cell_problem(coefficient, dim=2)
    correctors = solve_cells(problem, QUICK)
    learned = nhpinn.homogenized_coefficients(problem, correctors).samples[0]
    exact = fem.homogenized_tensor(lambda y: coefficient(y, y), 2, 10)
    assert np.abs(learned - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.filterwarnings("ignore:homogenize. the tensor found leaves the bounds")
def test_a_laminate_in_three_dimensions():
    """The harmonic mean across the layers, the arithmetic mean along them."""
    found = nhpinn.homogenize(
        lambda y: 1 + 0.6 * anp.sin(TAU * y[:, 2]),
        3,
        recipe="adam",
        **{**HALF, "hidden": (24, 24), "points": 7, "epochs": 500},
    )
    np.testing.assert_allclose(found.tensor, np.diag([1, 1, 0.8]), atol=0.02)


def test_slow_coefficients_train_all_cell_problems_together():
    problem = PROBLEMS["slow1d"]
    slow = np.linspace(0, np.pi, 7)[:, None]
    correctors = solve_cells(problem, QUICK._replace(points=41), slow)
    coefficients = nhpinn.homogenized_coefficients(problem, correctors)
    assert correctors.params[0][0].shape[:2] == (7, 1)
    np.testing.assert_allclose(coefficients.samples[:, 0, 0], problem.effective(slow), rtol=0.01)
    x, h = np.linspace(0.5, 2.5, 5)[:, None], 1e-5
    slope = (coefficients.tensor(x + h) - coefficients.tensor(x - h)) / (2 * h)
    np.testing.assert_allclose(coefficients.divergence(x), slope[:, 0], atol=1e-6)


def test_reaction_coefficient():
    problem = PROBLEMS["reaction10"]
    correctors = solve_cells(problem, QUICK._replace(points=41, weights=(0.5, 0.25, 0.25)))
    coefficients = nhpinn.homogenized_coefficients(problem, correctors)
    assert abs(coefficients.reaction + 1 / (2 * 2.0)) < 0.01
    np.testing.assert_allclose(coefficients.samples, [[[2.0]]])


def test_step_three_solves_the_homogenized_equation():
    """Constant coefficients on the interval: u = sin x / a*."""
    problem = PROBLEMS["const1d"]
    training = QUICK._replace(layers=0, weights=(0.5, 0.5), points=41)
    params, history = nhpinn.solve_equation(
        problem,
        lambda x: (np.full((len(x), 1, 1), 2.0), np.zeros((len(x), 1)), 0.0),
        training,
        np.random.default_rng(0),
    )
    x = np.linspace(0, np.pi, 50)[:, None]
    assert fem.relative_error(jets.network(params, x), np.sin(x[:, 0]) / 2) < 0.02
    assert history.loss[-1] < 1e-3 * history.loss[0]


@given(seeds, st.sampled_from(["const1d", "slow1d", "elliptic2d", "reaction10"]))
@settings(max_examples=8)
def test_the_gradient_of_the_reconstruction_is_its_derivative(seed, name):
    """Against finite differences of its values, for random networks in the place of trained ones."""
    problem, rng = PROBLEMS[name], np.random.default_rng(seed)
    slow = np.linspace(*problem.domain[0], 9)[:, None] if problem.slow else np.zeros((1, problem.dim))
    J = 1 if problem.reaction else problem.dim
    cells = jets.init_network((problem.dim, 5, 1), rng, (1, J))
    cells = [tuple(np.repeat(array, len(slow), axis=0) for array in pair) for pair in cells]
    correctors = nhpinn.Correctors(cells, slow, problem.period, rng.standard_normal((len(slow), J)), None)
    u0 = jets.init_network((problem.dim, 7, 1), rng)
    low, high = np.transpose(problem.domain)
    cell = rng.uniform(0.1, 0.9, (6, problem.dim))  # away from the seam of the cell, where learned correctors jump
    x = low + (np.floor((high - low) / (problem.eps * problem.period) * 0.4) + cell) * problem.eps * problem.period
    x = x + problem.eps * problem.period * np.ceil(low / (problem.eps * problem.period)) - low

    def value_and_slope(x):
        expansion = correctors.expansion(x, x / problem.eps)
        return nhpinn.reconstruct(problem, *jets.network_derivatives(u0, x), expansion)

    h = 1e-5 * problem.eps
    for axis in range(problem.dim):
        step = h * np.eye(problem.dim)[axis]
        expected = (value_and_slope(x + step)[0] - value_and_slope(x - step)[0]) / (2 * h)
        np.testing.assert_allclose(value_and_slope(x)[1][:, axis], expected, rtol=1e-4, atol=1e-4)


# Losses, written out --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("multiscale", [True, False])
def test_residuals_are_those_of_the_equation_in_conservative_form(name, multiscale):
    """u_t - d_i(a_ij d_j u) + c u - f by finite differences of fluxes, for a random network."""
    problem, h = PROBLEMS[name], 1e-4
    dim, eps, timed = problem.dim, problem.eps, problem.initial is not None
    params = jets.init_network((dim + timed, 8, 8, 1), np.random.default_rng(1))
    if multiscale:
        coefficients = nhpinn.multiscale_at(problem)

        def a(x):
            return problem.coefficient(x, x / eps)

        def c(x):
            return problem.reaction(x / eps) / eps if timed else 0.0
    else:

        def a(x):
            return 2 + 0.5 * np.sin(x[:, 0])

        def c(x):
            return -0.25

        def coefficients(x):
            slope = np.zeros_like(x)
            slope[:, 0] = 0.5 * np.cos(x[:, 0])
            return a(x)[:, None, None] * np.eye(dim), slope, c(x)

    bounds = [*problem.domain, (0.0, problem.final_time)] if timed else problem.domain
    points = losses.grid(bounds, 6)
    training = adam.Training(**problem.classical)
    equation, known = nhpinn.equation_terms(problem, coefficients, training, points)
    inner = equation.jet[0]

    def u(p):
        return jets.network(params, p)

    expected = c(inner[:, :dim]) * u(inner) - problem.source(inner[:, :dim])
    for axis in range(dim):
        step = h * np.eye(dim + timed)[axis]
        for side in (1, -1):
            flux = a((inner + side * step / 2)[:, :dim]) * (u(inner + side * step) - u(inner)) / h
            expected -= flux / h
    if timed:
        step = h * np.eye(dim + 1)[dim]
        expected += (u(inner + step) - u(inner - step)) / (2 * h)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(-losses.residual(params, equation), expected, atol=1e-3 * scale)

    where = known.jet[0]
    values = np.where(timed & (np.abs(where[:, 0]) < np.pi), np.sin(where[:, 0]), 0.0)
    np.testing.assert_allclose(losses.residual(params, known), u(where) - values, atol=1e-12)
    kinds = [equation.weight.sum(), known.weight[values == 0].sum(), known.weight[values != 0].sum()]
    if timed:  # the initial value is zero in the middle as well
        kinds[1:] = [known.weight[np.abs(where[:, 0]) == np.pi].sum(), known.weight[np.abs(where[:, 0]) < np.pi].sum()]
    np.testing.assert_allclose(kinds[: len(training.weights)], training.weights)
    assert len(inner) + len(where) == len(points)


def test_the_loss_of_a_cell_problem_is_that_of_section_4_1(monkeypatch):
    """In one dimension, with the letters of the paper: N_f points, N_o layers, weights w_1, w_2, w_3."""
    N_f, N_o, (w1, w2, w3) = 12, 3, (0.2, 0.3, 0.5)
    problem = PROBLEMS["const1d"]
    terms = []
    monkeypatch.setattr(nhpinn, "train", lambda start, its_terms, *_: (terms.extend(its_terms), (start, None))[1])
    correctors = solve_cells(problem, QUICK._replace(points=N_f, layers=N_o, weights=(w1, w2, w3), dtype="float64"))
    loss, _ = losses.loss_and_gradient(correctors.params, terms)

    def F(y):
        return jets.network(correctors.params, np.atleast_1d(y)[:, None])[0, 0]

    def a(y):
        return 0.5 * np.sin(TAU * y) + 2

    p, h, dx = np.linspace(0, 1, N_f), 1e-4, 1 / (N_f - 1)
    flux = [a(p + s * h / 2) * ((F(p + s * h) - F(p)) * s / h + 1) for s in (1, -1)]
    left = np.array([-k * dx for k in range(1, N_o + 1)])
    right = np.array([1 + k * dx for k in range(1, N_o + 1)])
    expected = (
        w1 / N_f * np.sum(((flux[0] - flux[1]) / h) ** 2)
        + w2 * (F(0.0) - F(1.0))[0] ** 2
        + w3 / N_o * np.sum((F(left) - F(left + 1)) ** 2 + (F(right) - F(right - 1)) ** 2)
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coefficient", "message"),
    [
        (lambda x, y: anp.sin(TAU * y[:, 0]), "coefficient: not elliptic"),
        (lambda x, y: 2 + anp.sin(3 * y[:, 0]), "coefficient: not periodic"),
        (lambda x, y: y, "coefficient: returned shape"),
        (lambda x, y: 0 * y[:, 0] + anp.nan, "coefficient: not finite"),
        (lambda x, y: 1 / (0 * y[:, 0]), "coefficient: not finite"),
        (lambda x, y: anp.ones((len(y), 2, 2)) + anp.array([[2.0, 0.5], [0.0, 2.0]]), "coefficient: .* not symmetric"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_coefficients_are_named(coefficient, message):
    with pytest.raises(ValueError, match=message):
        solve_cells(cell_problem(coefficient, dim=2), QUICK._replace(points=7))


def test_a_coefficient_that_cannot_be_differentiated_is_named():
    def coefficient(x, y):
        return 2 + np.interp(y[:, 0] % 1, [0, 0.5, 1], [0, 1, 0])

    with pytest.raises(TypeError, match="coefficient: .*autograd.numpy"):
        solve_cells(cell_problem(coefficient), QUICK._replace(points=7))


@pytest.mark.parametrize(
    "coefficient",
    [
        lambda x, y: anp.where(anp.sin(TAU * y[:, 0]) > 0, 1.0, 4.0),
        lambda x, y: anp.where(anp.sin(TAU * y[:, 0]) > 0, 1.0, 4.0) + 0.01 * anp.sin(TAU * y[:, 0]),
        lambda x, y: 2 + anp.sin(40 * TAU * y[:, 0]),  # a whole number of periods from point to point
        lambda x, y: 2 + anp.sin(35 * TAU * y[:, 0]),
    ],
)
@pytest.mark.filterwarnings("ignore:Output seems independent")
def test_a_coefficient_that_the_points_do_not_resolve_is_refused(coefficient):
    with pytest.raises(ValueError, match="coefficient: jumps, or varies too fast"):
        solve_cells(cell_problem(coefficient), QUICK._replace(points=41))


@given(seeds, dims)
@settings(max_examples=15)
def test_smooth_coefficients_are_not_refused(seed, dim):
    rng = np.random.default_rng(seed)
    waves, phases, size = rng.integers(-2, 3, (3, dim)), rng.uniform(0, TAU, 3), rng.uniform(-0.5, 0.5, 3)
    problem = cell_problem(lambda x, y: anp.exp(anp.dot(anp.sin(TAU * anp.dot(y, waves.T) + phases), size)), dim=dim)
    solve_cells(problem, QUICK._replace(epochs=1, points=21 if dim < 3 else 13))


@given(seeds, st.integers(1, 3))
def test_divergence_of_a_tensor_agrees_with_finite_differences(seed, dim):
    rng = np.random.default_rng(seed)
    waves, swing = rng.standard_normal((dim, dim)), rng.uniform(-0.2, 0.2, (dim, dim))

    def coefficient(y):
        return (
            2 * np.eye(dim)
            + anp.sin(anp.dot(y, waves))[:, :, None] * (swing + swing.T) * anp.sin(anp.dot(y, waves))[:, None]
        )

    y, h = rng.uniform(-1, 1, (5, dim)), 1e-5
    a, b = coefficients.tensor_and_divergence(coefficient, y)
    steps = h * np.eye(dim)
    expected = sum((coefficient(y + step) - coefficient(y - step))[:, i] / (2 * h) for i, step in enumerate(steps))
    np.testing.assert_allclose(a, coefficient(y))
    np.testing.assert_allclose(b, expected, atol=1e-8)


def test_a_tensor_may_vary_without_divergence():
    def crossed(y):
        return anp.exp(anp.sin(TAU * y[:, ::-1]))[:, :, None] * np.eye(2)

    _, b = coefficients.tensor_and_divergence(crossed, losses.cell_midpoints(2, 1.0, 4))
    np.testing.assert_allclose(b, 0)


def test_a_reaction_whose_mean_is_not_zero_is_refused():
    problem = PROBLEMS["reaction10"]._replace(reaction=lambda y: np.cos(y[:, 0]) + 0.1)
    with pytest.raises(ValueError, match="reaction: its mean over the cell is 0.1"):
        solve_cells(problem)
    for reaction, message in (
        (lambda y: np.cos(1.5 * y[:, 0]), "not periodic"),
        (lambda y: np.cos(y), "returned shape"),
        (lambda y: 0.0, "returned float"),
        (lambda y: np.nan * y[:, 0], "expected .* finite"),
    ):
        with pytest.raises(ValueError, match=f"reaction: {message}|reaction: .*{message}"):
            solve_cells(PROBLEMS["reaction10"]._replace(reaction=reaction))


@pytest.mark.parametrize("name", ["source", "initial"])
@pytest.mark.parametrize("function", [lambda x: x, lambda x: np.inf * x[:, 0], lambda x: 1j * x[:, 0]])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_sources_and_initial_values_are_named(name, function):
    problem = PROBLEMS["reaction10"]._replace(**{name: function})
    training = adam.Training(**problem.classical)._replace(points=5)
    with pytest.raises(ValueError, match=f"{name}: returned .* expected"):
        nhpinn.solve_equation(problem, nhpinn.multiscale_at(problem), training, np.random.default_rng(0))


def test_a_training_that_has_not_converged_is_reported():
    with pytest.warns(UserWarning, match="leaves the bounds"):
        found = nhpinn.homogenize(lambda y: anp.exp(2 * anp.sin(TAU * y[:, 0])), 1, recipe="adam", epochs=20)
    np.testing.assert_allclose(found.lower, 1 / np.mean(np.exp(-2 * np.sin(TAU * np.arange(64) / 64))), rtol=1e-9)
    with pytest.raises(ValueError, match=r"y: found shape \(3,\)"):
        found.corrector(np.zeros(3))


@given(st.lists(st.floats(0, 1), min_size=0, max_size=4))
def test_weights_that_do_not_sum_to_one_are_refused(weights):
    training = QUICK._replace(weights=tuple(weights), epochs=1, points=7)
    problem = cell_problem(lambda x, y: 2 + 0.5 * anp.sin(TAU * y[:, 0]))
    if len(weights) == 3 and abs(sum(weights) - 1) < 1e-9:
        solve_cells(problem, training)
    else:
        with pytest.raises(ValueError, match="weights: found .* sum to one"):
            solve_cells(problem, training)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dim": 4}, ValueError, "dim: found 4, expected 1, 2 or 3"),
        ({"coefficient": 2.0}, TypeError, "coefficient: found float, expected a function"),
        ({"period": 0.0}, ValueError, "period: found 0.0, expected a positive number"),
        ({"recipe": "magic"}, ValueError, "recipe: found 'magic', expected one of"),
        ({"dim": 2.0}, ValueError, "dim: found 2.0, expected 1, 2 or 3"),
        ({"period": "1"}, ValueError, "period: found '1', expected a positive number"),
        ({"period": 2.5}, ValueError, "coefficient: not periodic, .* expected the period 2.5"),
        ({"coefficient": lambda y: 2 + 0j * y[:, 0]}, ValueError, "coefficient: returned complex128 values"),
        ({"epochs": 0}, ValueError, "epochs: found 0, expected an integer of at least 1"),
        ({"every": 0}, ValueError, "every: found 0"),
        ({"batch": 0}, ValueError, "batch: found 0"),
        ({"points": 2}, ValueError, "points: found 2"),
        ({"rate": -1.0}, ValueError, "rate: found -1.0, expected a positive number"),
        ({"weights": (np.nan, 0.5, 0.5)}, ValueError, "weights: found"),
        ({"layers": 99}, ValueError, "layers: .*N_o < N_f - 2"),
        ({"epoch": 5}, TypeError, r"settings: unknown \['epoch'\], expected fields of Training"),
    ],
)
def test_bad_arguments_of_homogenize_are_named(change, error, message):
    arguments = {"coefficient": lambda y: 2 + anp.sin(TAU * y[:, 0]), "dim": 1, "recipe": "adam", **change}
    with pytest.raises(error, match=message):
        nhpinn.homogenize(arguments.pop("coefficient"), arguments.pop("dim"), **arguments)
