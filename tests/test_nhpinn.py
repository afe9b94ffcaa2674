"""The method: what the paper's recipe learns, each of the three steps, and its losses written out."""

from functools import partial
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import elementwise_grad, value_and_grad
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import fem
import fem_cells
import nhpinn
import nhpinn_functions
import nhpinn_networks as nets
from problems import EXPERIMENTS, PROBLEMS

seeds = st.integers(0, 2**32 - 1)
TAU = 2 * np.pi
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a training is too slow an example to shrink
trained = settings(max_examples=max(3, settings.default.max_examples // 8), phases=NO_SHRINKING)  # 1: seed 0
CELL = nhpinn.Training((24, 24), 31, (0.02, 0.49, 0.49), 1e-2, 800, decay=0.02, oversampling=2)
SOLUTION = nhpinn.Training((24, 24), 31, (0.02, 0.98, 0), 1e-2, 1000, decay=0.02)


def smooth(rng, dim, swing=0.4):
    """A random smooth periodic function with values between 1 - swing and 1 + swing, and not far from them."""
    waves, phases, size = rng.integers(-1, 2, (3, dim)), rng.uniform(0, TAU, 3), swing * np.array([0.7, 0.2, 0.1])
    waves[0] = rng.choice([-1, 1], dim)
    return lambda y: 1 + anp.dot(anp.sin(TAU * anp.dot(y, waves.T) + phases), size)


def elliptic(coefficient, dim=1, **fields):
    """A problem of its own on the unit box."""
    known = {
        "boundary": 0.0,
        "eps": 1 / 8,
        "period": 1.0,
        "reaction": None,
        "initial": None,
        "slow": False,
        "final_time": 1.0,
    }
    known |= {"domain": ((0.0, 1.0),) * dim, "source": lambda x: 1 + 0 * x[:, 0]} | fields
    return SimpleNamespace(dim=dim, coefficient=lambda x, y: coefficient(y), **known)


def learned_cells(problem, training=CELL, nodes=None, seed=0):
    """Correctors by the paper's recipe, a*, and at the end root mean squares of the residual and of the jumps."""
    nodes, sizes = np.zeros((1, problem.dim)) if nodes is None else nodes, []

    def train(name, loss, *rest):
        params = nhpinn.train(name, loss, *rest)
        for term in loss.terms:
            mean = nets.Loss((term,))(params) / (term.weight.sum() * params[0][0][..., 0, 0].size)
            sizes.append(np.sqrt(mean))
        return params

    correctors = nhpinn.solve_cells(problem, training, np.random.default_rng(seed), nodes, train)
    return correctors, nhpinn.homogenized_coefficients(problem, correctors, nhpinn.average_of_flux), *sizes


# What is learned ----------------------------------------------------------------------------------


def test_the_training_is_plain_autograd_and_adam_step_by_step():
    """Eq. (12) for -(a (chi' + 1))' = 0, differentiated by autograd twice in the points and once in the parameters."""
    problem, steps = elliptic(smooth(np.random.default_rng(1), 1)), 5
    training, states = CELL._replace(epochs=steps, points=15), []

    def recorded(name, loss, params, training, rng):
        states.extend(nhpinn.adam(loss, params, training))
        return params

    start = nhpinn.solve_cells(problem, training, np.random.default_rng(0), np.zeros((1, 1)), recorded).cells.params
    start, (w1, w2, w3), h = [(W[0, 0], b[0, 0]) for W, b in start], training.weights, 1 / 14
    y = np.linspace(0, 1, 15)[:, None]

    def u(params, y):
        for W, b in params[:-1]:
            y = anp.tanh(anp.dot(y, W) + b)
        return anp.dot(y, params[-1][0]) + params[-1][1]

    def loss(params):
        def flux(y):
            return problem.coefficient(y, y)[:, None] * (elementwise_grad(lambda y: u(params, y))(y) + 1)

        def jump(y):
            return (u(params, np.array([[y]])) - u(params, np.array([[y + 1.0]])))[0, 0] ** 2

        ghosts = [jump(side * layer * h) for layer in (1, 2) for side in (-1, 1)]
        return w1 * anp.mean(elementwise_grad(flux)(y) ** 2) + w2 * jump(0.0) + w3 * sum(ghosts) / 2

    x, m, v = nets.flatten(start), 0.0, 0.0
    for t, state in enumerate(states, 1):
        value, gradient = value_and_grad(loss)(nets.unflatten(x, start))
        g = nets.flatten(gradient)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        rate = training.rate * training.decay ** ((t - 1) / steps)
        x = x - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(state.loss, value, rtol=1e-9)
        # the last bias has no gradient but rounding, of which Adam makes a step
        np.testing.assert_allclose(nets.flatten(state.params)[:-1], x[:-1], rtol=1e-6, atol=1e-8)
    assert len(states) == steps and np.abs(x - nets.flatten(start)).max() > 0.01


@given(seeds)
@trained
def test_learned_correctors_of_random_coefficients_in_one_dimension(seed):
    """Periodic, of zero mean, and the tensor is the harmonic mean: all within bounds by the final loss.

    The flux a (chi' + 1) is constant but for the integral of the residual, at most R; the jump at the seam is at most
    sqrt(3) J, since a seam has a third of the weights: |a* - a_h| <= a_h sqrt(3) J + 2 R.
    """
    field = smooth(np.random.default_rng(seed), 1)
    correctors, found, R, J = learned_cells(elliptic(field), seed=seed)
    y = nhpinn_functions.midpoints(1, 1.0, 1000)
    value, _ = correctors.cells(y)
    np.testing.assert_allclose(value, correctors.cells(y + 3)[0], atol=1e-9)
    seam = correctors.cells(np.array([[0.0], [1 - 1e-12]]))[0][0, 0]
    assert abs(seam[1] - seam[0]) <= 1.75 * J and abs(value.mean()) < J < 0.1 * np.std(value)
    harmonic = 1 / np.mean(1 / field(y))
    assert abs(found.samples[0, 0, 0] - harmonic) <= min(1.75 * harmonic * J + 2 * R, 0.01 * harmonic)


@given(seeds)
@trained
def test_learned_correctors_of_random_coefficients_in_two_dimensions(seed):
    """Periodic and of zero mean within what is left of the loss; the tensor against finite elements.

    Correctors of zero would leave the arithmetic mean as the tensor: what is learned goes most of the way from there.
    """
    field = smooth(np.random.default_rng(seed), 2)
    correctors, found, _, J = learned_cells(elliptic(field, 2), CELL._replace(points=11, epochs=2000), seed=seed)
    across = np.random.default_rng(seed).uniform(size=40)
    for axis in range(2):
        near = np.insert(across[:, None], axis, 0.0, axis=1)
        sides = [correctors.cells(near + shift * np.eye(2)[axis])[0] for shift in (0, 1 - 1e-12)]
        assert np.sqrt(np.mean((sides[1] - sides[0]) ** 2)) < 1.75 * J  # between the points of the training
    y = nhpinn_functions.midpoints(2, 1.0, 50)
    value = correctors.cells(y)[0]
    np.testing.assert_allclose(value, correctors.cells(y - [2, 5])[0], atol=1e-9)
    assert np.abs(value.mean(-1)).max() < J < np.std(value)
    exact = fem_cells.homogenized_tensor(field, 2, 8)
    untrained = np.abs(field(y).mean() * np.eye(2) - exact).max()
    assert np.abs(found.samples[0] - exact).max() < 0.5 * untrained


@given(seeds)
@trained
def test_the_whole_method_against_finite_elements(seed):
    """A random coefficient and source: the homogenized solution, and its reconstruction, are those of finite elements.

    How far both are from the fine solution is the error of homogenization, which may be anything where a source
    changes its sign.
    """
    rng = np.random.default_rng(seed)
    field, forcing = smooth(rng, 1), smooth(rng, 1, swing=2)
    problem = elliptic(field, source=lambda x: 10 * forcing(x), slow=None)
    correctors, found, u0 = nhpinn.nh_pinn(problem, CELL, SOLUTION, seed)
    axis = np.linspace(0, 1, 201)
    x = axis[:, None]
    tensor = fem_cells.homogenized_tensor(field, 1, 16)
    v = fem.solve_elliptic(lambda x: np.full(len(x), tensor[0, 0]), problem.source, fem.Mesh(problem.domain, 32, 4))
    fine = fem.solve_elliptic(lambda x: field(x / problem.eps), problem.source, fem.Mesh(problem.domain, 96, 4))
    np.testing.assert_allclose(found.tensor(x[:3]), np.broadcast_to(found.samples, (3, 1, 1)))
    chi, chi_y, _ = fem_cells.correctors(field, fem_cells.cell_mesh(1, 16))[0].at(x / problem.eps)
    exact = nhpinn.reconstruct(problem, *v.at(x), (chi.T, chi_y.swapaxes(0, 1), 0 * chi_y.swapaxes(0, 1)))
    learned = nhpinn.reconstruct(problem, *u0(x), correctors.expansion(x, x / problem.eps))
    assert fem.relative_error(u0.value(x), v.on_grid(axis)) < 0.02
    assert fem.relative_error(learned[0], exact[0]) < 0.02 and fem.relative_error(learned[1], exact[1]) < 0.05
    slope = fine.on_grid(axis, along=(0,))  # which oscillates by more than a tenth, in u and in no u_0
    assert fem.relative_error(learned[1][:, 0], slope) < 0.5 * fem.relative_error(u0(x)[1][:, 0], slope)


# The three steps ----------------------------------------------------------------------------------


@given(seeds, st.integers(1, 4))
@settings(max_examples=2)
def test_the_same_seed_gives_the_same_bits_and_a_state_is_all_that_a_training_needs(seed, stop):
    problem = PROBLEMS["elliptic2d"]
    cell, solution = CELL._replace(points=7, epochs=5), SOLUTION._replace(points=7, epochs=5)
    runs = [nhpinn.nh_pinn(problem, cell, solution, seed)[2].params for _ in "ab"]

    def interrupted(name, loss, params, training, rng):
        for state in nhpinn.adam(loss, params, training):
            if state.epoch == stop:
                break
        *_, last = nhpinn.adam(loss, None, training, state)
        return last.params

    for params in (runs[1], nhpinn.nh_pinn(problem, cell, solution, seed, interrupted)[2].params):
        np.testing.assert_array_equal(nets.flatten(runs[0]), nets.flatten(params))


def test_the_jet_is_one_argument_plain_or_fast_and_of_any_activation():
    """The plain one trains as the fast one does; a solution is evaluated with the activation it is trained with."""
    problem, x = PROBLEMS["const1d"], np.linspace(0, np.pi, 9)[:, None]
    cell, solution = CELL._replace(points=15, epochs=3), SOLUTION._replace(points=15, epochs=3)
    fast, plain = (nhpinn.nh_pinn(problem, cell, solution, 0, jet=jet) for jet in (nets.network_jet, nets.plain_jet))
    np.testing.assert_allclose(plain[1].samples, fast[1].samples, rtol=1e-9)
    np.testing.assert_allclose(plain[2].value(x), fast[2].value(x), rtol=1e-7)
    sine = partial(nets.plain_jet, activation=anp.sin)
    correctors, _, u0 = nhpinn.nh_pinn(problem, cell, solution, 0, jet=sine)
    np.testing.assert_allclose(u0(x)[0], nets.plain_network(u0.params, x, anp.sin), rtol=1e-12)
    y = np.array([[0.2], [0.7]])
    chi, expected = (correctors.cells(y)[0], nets.plain_network(correctors.cells.params, y, anp.sin))
    np.testing.assert_allclose(np.diff(chi), np.diff(expected), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_epoch():
    problem, training = PROBLEMS["elliptic2d"], SOLUTION._replace(rate=1e200, epochs=50)
    loss = nhpinn.equation_loss(problem, nhpinn.multiscale(problem), training)
    with pytest.raises(FloatingPointError, match=r"epoch \d+ of 50"):
        list(nhpinn.adam(loss, nets.init_network((2, 8, 1), np.random.default_rng(0)), training))


@pytest.mark.slow
def test_a_tensor_coefficient_is_homogenized():
    """Full, varying and rotated, with another period along each axis, against finite elements on the unit cell."""
    root, period = np.array([[1.0, 0.3], [0.0, 0.8]]), (0.8, 1.25)

    def field(y):
        scalar = 1 + 0.3 * anp.sin(TAU * y[:, 0] / period[0]) * anp.cos(TAU * y[:, 1] / period[1])
        return anp.reshape(scalar, (-1, 1, 1)) * (root @ root.T)

    found = learned_cells(elliptic(field, 2, period=period), CELL._replace(points=11, epochs=900))[1]
    stretch = np.outer(period, period) ** -1.0
    exact = fem_cells.homogenized_tensor(lambda y: field(y * period) * stretch, 2, 8) / stretch
    assert np.abs(found.samples[0] - exact).max() < 0.02 * np.abs(exact).max()


@pytest.mark.parametrize("dim", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_slow_coefficients_train_all_cell_problems_together(dim):
    """A laminate whose level changes with x: the harmonic mean across the layers, the arithmetic mean along them."""
    problem = elliptic(None, dim)
    problem.coefficient = lambda x, y: anp.exp(anp.sum(x, axis=1) / 3) * (1 + 0.4 * anp.sin(TAU * y[:, 0]))
    training = CELL._replace(points={1: 31, 2: 8}[dim], hidden=(16, 16), epochs={1: 600, 2: 300}[dim])
    correctors, found, *_ = learned_cells(problem, training, nhpinn_functions.grid(problem.domain, 3))
    assert correctors.cells.params[0][0].shape[:2] == (3**dim, dim)
    x, h = np.random.default_rng(0).uniform(0.1, 0.9, (6, dim)), 1e-5
    exact = np.exp(x.sum(axis=1) / 3)[:, None, None] * np.diag([np.sqrt(1 - 0.4**2), 1.0][:dim])
    np.testing.assert_allclose(found.tensor(x), exact, atol=0.03)
    steps = [h * np.eye(dim)[i] for i in range(dim)]
    slope = sum((found.tensor(x + step) - found.tensor(x - step))[:, i] / (2 * h) for i, step in enumerate(steps))
    np.testing.assert_allclose(found.divergence(x), slope, atol=1e-6)


def test_the_coefficient_of_a_reaction():
    problem = PROBLEMS["reaction10"]
    found = learned_cells(problem, CELL._replace(weights=(0.5, 0.25, 0.25), epochs=1000))[1]
    assert abs(found.reaction + 1 / (2 * 2.0)) < 0.01
    np.testing.assert_allclose(found.samples, [[[2.0]]])


@given(seeds, st.sampled_from(["const1d", "slow1d", "elliptic2d", "slow2d", "reaction10"]))
@settings(max_examples=10)
def test_the_gradient_of_the_reconstruction_is_its_derivative(seed, name):
    """Against finite differences of its values, for random networks in the place of trained ones."""
    problem, rng = PROBLEMS[name.replace("slow2d", "elliptic2d")], np.random.default_rng(seed)
    dim, length = problem.dim, problem.eps * problem.period
    nodes = nhpinn_functions.grid(problem.domain, 5) if "slow" in name else np.zeros((1, dim))
    params = nets.init_network((dim, 5, 1), rng, (len(nodes), 1 if problem.reaction else dim))
    cells = nets.CellNetworks(params, problem.period, rng.standard_normal(params[0][0].shape[:2]))
    correctors = nhpinn.Correctors(cells, nhpinn_functions.spline_weights(nodes), nodes, problem.period)
    u0 = nets.Network(nets.init_network((dim, 7, 1), rng))
    x = length * (rng.integers(0, 5, (6, dim)) + rng.uniform(0.1, 0.9, (6, dim)))  # away from the seams of cells

    def value_and_slope(x):
        return nhpinn.reconstruct(problem, *u0(x), correctors.expansion(x, x / problem.eps))

    h = 1e-5 * problem.eps
    for axis in range(dim):
        step = h * np.eye(dim)[axis]
        expected = (value_and_slope(x + step)[0] - value_and_slope(x - step)[0]) / (2 * h)
        np.testing.assert_allclose(value_and_slope(x)[1][:, axis], expected, rtol=1e-4, atol=1e-4)


# Losses, written out ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_residuals_are_those_of_the_multiscale_equation_in_conservative_form(name):
    """u_t - d_i(a_ij d_j u) + r u / eps - f by finite differences of fluxes, for a random network."""
    problem, h = PROBLEMS[name], 1e-4
    dim, eps, timed = problem.dim, problem.eps, problem.initial is not None
    params = nets.init_network((dim + timed, 8, 8, 1), np.random.default_rng(1))
    weights = EXPERIMENTS[name].classical["weights"]
    loss = nhpinn.equation_loss(problem, nhpinn.multiscale(problem), nhpinn.Training((8,), 6, weights, 1e-3, 1))
    equation, known = loss.terms
    inner, where = equation.jet[0, :, 0], known.jet[0, :, 0]

    def u(p):
        return nets.network(params, p)

    expected = (problem.reaction(inner[:, :dim] / eps) / eps if timed else 0) * u(inner) - problem.source(inner)
    for step in h * np.eye(dim + timed)[:dim]:
        for side in (1, -1):
            middle = (inner + side * step / 2)[:, :dim]
            expected -= problem.coefficient(middle, middle / eps) * (u(inner + side * step) - u(inner)) / h**2
    if timed:
        step = h * np.eye(dim + 1)[dim]
        expected += (u(inner + step) - u(inner - step)) / (2 * h)
    np.testing.assert_allclose(-nets.residuals(params, equation), expected, atol=1e-3 * np.abs(expected).max())

    boundary = nhpinn_functions.on_boundary(where[:, :dim], problem.domain)
    values = np.where(boundary, 0.0, np.sin(where[:, 0]))
    np.testing.assert_allclose(nets.residuals(params, known), u(where) - values, atol=1e-12)
    found = [equation.weight.sum(), known.weight[boundary].sum(), known.weight[~boundary].sum()]
    np.testing.assert_allclose(found, weights)
    assert len(inner) + len(where) == 6 ** (dim + timed)


@given(seeds, st.integers(1, 2), st.booleans())
@settings(max_examples=10)
def test_the_loss_is_zero_at_an_exact_solution_with_values_and_fluxes_on_faces(seed, dim, timed):
    """Of which a random network is one; in one dimension, what is off by one at an end weighs half of the boundary."""
    rng, eps = np.random.default_rng(seed), 1 / 8
    params, root = nets.init_network((dim + timed, 8, 8, 1), rng), np.eye(dim) + 0.3 * rng.standard_normal((dim, dim))
    params[0][0][dim:] = 0  # the same at all times, but for the source
    flux = rng.random((dim, 2)) < 0.5
    flux[0, 0] = False

    def field(x, y):
        return anp.reshape(2 + anp.sin(x[:, 0]) * anp.cos(TAU * y[:, 0]), (-1, 1, 1)) * (root @ root.T)

    def exact(x):
        value, slope, second = nets.Network(params)(np.hstack([x, np.zeros((len(x), int(timed)))]))
        a, b = nhpinn_functions.tensor_and_divergence(lambda p: field(p, p / eps), x)
        source = -np.einsum("nij,nij->n", a, second[:, :dim, :dim]) - np.sum(b * slope[:, :dim], axis=1)
        return value, np.einsum("nij,nj->ni", a, slope[:, :dim]), source

    def loss(off, late):
        def entry(axis, side):
            if flux[axis, side]:
                return nhpinn.Flux(lambda x: (2 * side - 1) * exact(x)[1][:, axis] + off * side)
            return lambda x: exact(x)[0] + off * side

        source = (lambda x, t: exact(x)[2] + late * t) if timed else (lambda x: exact(x)[2])
        boundary = [(entry(axis, 0), entry(axis, 1)) for axis in range(dim)]
        known = {"dim": dim, "domain": ((0.0, 1.0),) * dim, "eps": eps, "final_time": 1.0, "reaction": None}
        initial = (lambda x: exact(x)[0]) if timed else None
        problem = SimpleNamespace(coefficient=field, source=source, boundary=boundary, initial=initial, **known)
        weights = (0.25, 0.5, 0.25) if timed else (0.5, 0.5, 0.0)
        training = nhpinn.Training((8,), 6, weights, 1e-3, 1)
        return nhpinn.equation_loss(problem, nhpinn.multiscale(problem), training)(params)

    assert loss(0, 0) < 1e-20
    if dim == 1:
        np.testing.assert_allclose(loss(1, 0), 0.5 / 2)
    if timed:  # the equation is asked for at t = 1/5, ..., 1
        np.testing.assert_allclose(loss(0, 1), 0.25 * np.mean(np.linspace(0.2, 1, 5) ** 2))


@given(st.integers(3, 7), st.lists(st.floats(0.1, 10), min_size=1, max_size=3), st.data())
def test_periodic_pairs_are_one_period_apart_and_complete(count, period, data):
    dim, layers = len(period), data.draw(st.integers(0, count - 3))
    faces, ghosts = nhpinn.periodic_pairs(dim, period, count, layers)
    assert faces.shape == (2, dim * count ** (dim - 1), dim)
    assert ghosts.shape == (2, 2 * layers * dim * count ** (dim - 1), dim)
    grid = {tuple(p) for p in np.round(nhpinn_functions.grid([(0, 1)] * dim, count), 6) + 0.0}
    for pairs, ghost in ((faces, False), (ghosts, True)):
        gap = (pairs[1] - pairs[0]) / period
        assert np.allclose(np.sort(gap, axis=1)[:, -1], 1) and np.allclose(np.abs(gap).sum(axis=1), 1)
        on_grid = [[tuple(p) in grid for p in np.round(side / period, 6) + 0.0] for side in pairs]
        assert np.all(np.logical_xor(*on_grid) if ghost else np.logical_and(*on_grid))
