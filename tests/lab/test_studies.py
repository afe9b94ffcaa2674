"""The law of the classical PINN's failure, the averages that losses learn, and periodicity asked for in other ways."""

from functools import cache
from unittest import mock

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_bvp
from scipy.interpolate import BSpline

import fem
import nhpinn
from lab import experiments, studies, tasks
from lab.minimisers import exact_minimiser
from lab.settings import Task, split
from nhpinn_functions import grid, midpoints, tensor_and_divergence
from nhpinn_networks import init_network, network_jet
from problems import EXPERIMENTS, PROBLEMS

seeds = st.integers(0, 2**32 - 1)
TAU = 2 * np.pi


def random_problem(seed, dim, reaction=False):
    """A random tensor coefficient a(x, y), or a constant one with a reaction, and a random source."""
    rng = np.random.default_rng(seed)
    waves, phases = rng.integers(-2, 3, (2, dim)), rng.uniform(0, TAU, 2)
    root = rng.standard_normal((dim, dim))
    tensor = root @ root.T + 0.5 * np.eye(dim)

    def coefficient(x, y):
        if reaction:
            return 2.0 + 0 * y[:, 0]
        scalar = 2 + 0.5 * anp.sin(anp.dot(TAU * y, waves.T) + phases).sum(1) + 0.3 * anp.sin(x[:, 0])
        return anp.reshape(scalar, (-1, 1, 1)) * tensor

    problem = PROBLEMS["reaction10" if reaction else "elliptic2d"]
    bounds = ((0.0, 1.0),) * dim
    slope = rng.standard_normal(dim)
    return problem._replace(
        dim=dim, domain=bounds, eps=0.1, coefficient=coefficient, source=lambda x: 1 + x @ slope, slow=not reaction
    )


@settings(max_examples=12)
@given(seed=seeds, dim=st.sampled_from([1, 2]), reaction=st.booleans())
def test_the_averaged_functional_is_the_mean_of_the_squared_residual(seed, dim, reaction):
    """For a random quadratic u, against the residual written out, on a fine grid of positions of the cell."""
    problem, rng = random_problem(seed, dim, reaction), np.random.default_rng(seed)
    x = rng.uniform(0.1, 0.9, (3, dim))
    slope, second, u, u_t = rng.standard_normal((3, dim)), rng.standard_normal((dim, dim)), *rng.standard_normal((2, 3))
    second = second + second.T
    shifts = midpoints(dim, problem.period, 11)
    shift, each = np.repeat(shifts, 3, axis=0), np.tile(np.arange(3), len(shifts))  # every x with every shift
    a, b = tensor_and_divergence(lambda p: problem.coefficient(p, p / problem.eps + shift), x[each])
    residual = np.einsum("nij,ij->n", a, second) + np.sum(b * slope[each], 1) + problem.source(x[each])
    if reaction:
        residual = residual - u_t[each] - problem.reaction(x[each] / problem.eps + shift) / problem.eps * u[each]
    total = np.mean(residual.reshape(-1, 3) ** 2, axis=0)
    columns = [np.broadcast_to(second.ravel(), (3, dim * dim)), slope]
    c = np.column_stack(columns + ([u_t, u] if reaction else []) + [np.ones(3)])
    points = np.column_stack([x, np.zeros(3)]) if reaction else x
    assert np.einsum("nk,nkl,nl->n", c, studies.gram_at(problem, points), c) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name, tolerance", [("const1d", 1e-8), ("elliptic2d", 3e-4)])
def test_the_minimiser_solves_an_equation_of_second_order(name, tolerance):
    """-mean(a^2) lap u + beta u = mean(a) f for a(y), by finite elements; in 2D f is not zero in the corners, where
    second derivatives have a logarithm that splines approach slowly."""
    problem = PROBLEMS[name]
    y = midpoints(problem.dim, 1.0, 32)
    a, b = tensor_and_divergence(lambda p: problem.coefficient(0 * p, p), y)
    k, beta = a[:, 0, 0], np.mean(b[:, 0] ** 2) / problem.eps**2
    v = fem.solve_elliptic(
        lambda x: np.full(len(x), np.mean(k**2)),
        lambda x: np.mean(k) * problem.source(x),
        fem.Mesh(problem.domain, 32),
        lambda x: np.full(len(x), beta),
    )
    axes = experiments.error_axes(EXPERIMENTS[name])
    coarse, fine = (studies.classical_minimiser(EXPERIMENTS[name], n).on_grid(*axes) for n in (12, 24))
    assert fem.relative_error(fine, v.on_grid(*axes)) < tolerance
    if problem.dim == 2:
        assert fem.relative_error(fine, v.on_grid(*axes)) < fem.relative_error(coarse, v.on_grid(*axes)) / 2


def test_the_minimiser_for_a_slow_coefficient_solves_its_euler_equation():
    """slow1d: with v = u', int m2 v'^2 + 2 m1 v v' + m0 v^2 + 2 (p v' + q v) f is least, and int v = 0 by symmetry."""
    eps = PROBLEMS["slow1d"].eps

    def means(x):  # of a^2, a a_x, a_x^2, a, a_x over y, with a_x = cos x + pi / eps cos(2 pi y)
        s, c = 2 + np.sin(x), np.cos(x)
        return s**2 + 1 / 8, s * c, c**2 + (np.pi / eps) ** 2 / 2, s, c

    def equation(x, z):  # z = (v, w), w = m2 v' + m1 v + p f, w' = m1 v' + m0 v + q f
        m2, m1, m0, p, q = means(x)
        slope = (z[1] - m1 * z[0] - p * np.sin(x)) / m2
        return np.stack([slope, m1 * slope + m0 * z[0] + q * np.sin(x)])

    x = np.linspace(0, np.pi, 200)
    v = solve_bvp(equation, lambda left, right: np.array([left[1], right[1]]), x, np.zeros((2, 200)), tol=1e-8).sol
    slope = studies.classical_minimiser(EXPERIMENTS["slow1d"], 48).on_grid(x, along=(0,))
    assert fem.relative_error(slope, v(x)[0]) < 1e-5


def test_a_constant_coefficient_leaves_the_exact_solution():
    whole = EXPERIMENTS["const1d"]
    constant = whole._replace(problem=whole.problem._replace(coefficient=lambda x, y: 2.0 + 0 * y[:, 0]))
    x = np.linspace(0, np.pi, 50)
    for sampled in (False, True):
        assert studies.classical_minimiser(constant, 16, sampled).on_grid(x) == pytest.approx(np.sin(x) / 2, abs=1e-6)


def test_the_predicted_error_approaches_one_as_eps_squared():
    def rest(eps):
        at = studies.at_eps(EXPERIMENTS["const1d"], eps)
        return 1 - fem.relative_error(studies.predicted(at), experiments.fine_values(at))

    assert rest(1 / 16) / rest(1 / 64) == pytest.approx(16, rel=0.03)


def test_a_fine_enough_space_finds_the_solution_by_the_same_loss():
    """The loss is least at the solution: what fails is its minimum over functions that do not oscillate."""
    experiment = EXPERIMENTS["elliptic2d"]
    u = experiments.fine_values(experiment)
    coarse, fine = (fem.relative_error(studies.predicted(experiment, n), u) for n in (1, 8))
    assert coarse > 0.85 and fine < 0.01


def test_more_unknowns_than_points_are_refused():
    with pytest.raises(ValueError, match="rules: found fewer points than unknowns"):
        studies.predicted(EXPERIMENTS["const1d"], 6)


def test_a_scale_too_fine_for_the_points_leaves_the_prediction_at_them_out():
    whole = EXPERIMENTS["const1d"]
    fine = whole._replace(problem=whole.problem._replace(domain=((0.0, 1.0),), eps=0.01))
    result = studies.run_law(tasks.setup(Task("const1d", "law", 0, "smoke"), fine))
    assert list(result["quantities"]) == ["classical_predicted"]
    assert [row["elements a period"] for row in result["resolution"]] == [0.5]


def test_methods_run_where_they_are_written_for():
    """A tensor has no energy by one square, time and three dimensions no splines of the law."""
    plane = EXPERIMENTS["elliptic2d"]
    anisotropic = lambda x, y: anp.exp(anp.sin(TAU * y[:, 0]))[:, None, None] * np.eye(2)  # noqa: E731

    def studied(**change):
        changed = plane._replace(problem=plane.problem._replace(**change))
        return {name for name, method in tasks.METHODS.items() if method.study or name == "law"} & {
            name for name in tasks.METHODS if tasks.applies(name, changed)
        }

    assert studied() == {"law", "losses", "layers", "robustness"}
    assert studied(coefficient=anisotropic) == {"law", "layers", "robustness"}
    assert studied(initial=anp.sin) == studied(dim=3, domain=((0, 1),) * 3) == {"layers", "robustness"}
    line = {"dim": 1, "domain": ((0, 1),), "coefficient": PROBLEMS["const1d"].coefficient}
    assert studied(slow=True) == {"law"} and studied(**line) == {"law", "losses", "layers"}


@cache
def potential(name, solve=experiments.solve_fem):
    """The solution of Poisson's equation, which the losses have in common."""
    return solve(PROBLEMS[name], lambda x: np.ones(len(x)), None, 32)


@settings(max_examples=10)
@given(seed=seeds, dim=st.sampled_from([1, 2]))
@mock.patch.object(experiments, "solve_fem", lambda problem, *_: potential(problem.name))
def test_terms_of_the_losses_are_their_formulas(seed, dim):
    """The sum of the terms at a random network, against derivatives by differences of its values."""
    problem = PROBLEMS["const1d" if dim == 1 else "elliptic2d"]
    rng, h = np.random.default_rng(seed), 1e-4
    axes = [np.sort(rng.uniform(low + 0.1, high - 0.1, 3)) for low, high in problem.domain]
    x, params = fem.tensor_grid(axes), init_network((dim, 7, 1 + dim), rng)
    k = problem.coefficient(x, x / problem.eps)

    def fields(p):
        out = network_jet(params, p[None])[0]
        return np.column_stack([studies.bubble(problem, p)[0] * out[:, 0], out[:, 1:]])

    steps = h * np.eye(dim)
    slopes = np.stack([(fields(x + e) - fields(x - e)) / (2 * h) for e in steps], -1)  # (n, outputs, dim)
    sigma, f = fields(x)[:, 1:], problem.source(x)
    first = [np.mean((sigma[:, i] / k - slopes[:, 0, i]) ** 2) for i in range(dim)]
    last = np.mean((sum(slopes[:, 1 + i, i] for i in range(dim)) + f) ** 2)
    expected = sum(first) + last
    assert studies.averaged_loss(problem, "first order", axes)(params) == pytest.approx(expected, rel=1e-5)

    alone = [(W, b) if W.shape[1] == 7 else (W[:, :1], b[:1]) for W, b in params]
    g = studies.poisson_flux(problem, axes)
    energy = np.mean(sum((np.sqrt(k) * slopes[:, 0, i] - g[i] / np.sqrt(k)) ** 2 for i in range(dim)))
    assert studies.averaged_loss(problem, "energy", axes)(alone) == pytest.approx(energy, rel=1e-5)

    def flow(p):
        return problem.coefficient(p, p / problem.eps)[:, None] * np.stack(
            [(fields(p + e)[:, 0] - fields(p - e)[:, 0]) / (2 * h) for e in steps], -1
        )

    strong = sum((flow(x + e)[:, i] - flow(x - e)[:, i]) / (2 * h) for i, e in enumerate(steps)) + f
    loss = studies.averaged_loss(problem, "strong form", axes)
    assert loss(alone) == pytest.approx(np.mean(strong**2), rel=1e-3)


@pytest.mark.parametrize("name", studies.LOSSES)
def test_an_exact_minimiser_is_where_a_loss_does_not_change(name):
    """A network with the same features has the same loss, and no step in its last layer lowers it."""
    problem, rng = PROBLEMS["const1d"], np.random.default_rng(0)
    loss = studies.averaged_loss(problem, name, [np.linspace(0.1, 3, 60)])
    least = exact_minimiser(loss, problem.domain, 1, 2.0, np.random.default_rng(1))

    def of(c):
        return loss([(least.W, least.b), (c.T, np.zeros(len(c)))])

    # features nearly cancel: their sum has the last bit of the largest coefficient, up to 5e9
    assert of(least.c) == pytest.approx(least.loss, rel=1e-7 + 10 * np.finfo(float).eps * np.abs(least.c).max())
    for _ in range(5):
        assert of(least.c + 1e-3 * rng.standard_normal(least.c.shape)) > least.loss


def test_the_loss_of_the_classical_pinn_misleads_smooth_functions_only():
    """Smooth functions lose the solution; those that follow the cells have it, if the points are enough."""
    setup = tasks.setup(Task("const1d", "law", 0, "paper"), EXPERIMENTS["const1d"])
    rows = studies.law_of_bandwidth(setup, experiments.fine_values(setup.experiment))
    found = {(row["points"], row["bandwidth"]): (row["error"], row["loss"]) for row in rows}
    assert all(0.97 < found["enough", s][0] < 1 for s in (1, 2, 5, 10)) and found["enough", 160][0] < 0.01
    error, loss = found["the paper's", 160]
    assert loss < 1e-20 and error > 0.5


@pytest.mark.parametrize("name", ["energy", "first order"])
def test_predictions_minimise_the_averaged_losses(name):
    """const1d, by least squares over B-splines for u (and sigma) with coefficients averaged over y."""
    problem = PROBLEMS["const1d"]
    a = problem.coefficient(None, midpoints(1, 1.0, 64))
    low, high = problem.domain[0]
    basis = BSpline(np.concatenate([[low] * 4, np.linspace(low, high, 25), [high] * 4]), np.eye(28), 4)
    x, weights = fem.gauss(np.linspace(low, high, 25), 5)
    B, D, W, f = basis(x), basis.derivative()(x), weights[:, None], problem.source(x[:, None])
    inner = np.arange(1, 27)
    if name == "energy":
        A, load = a.mean() * D.T @ (W * D), B.T @ (weights * f)
    else:  # mean |sigma / a - u'|^2 + |sigma' + f|^2
        uu, us, ss = D.T @ (W * D), -np.mean(1 / a) * D.T @ (W * B), np.mean(1 / a**2) * B.T @ (W * B)
        A = np.block([[uu, us], [us.T, ss + D.T @ (W * D)]])
        load = np.concatenate([0 * B[0], -D.T @ (weights * f)])
        inner = np.concatenate([inner, len(B[0]) + np.arange(len(B[0]))])
    nodal = np.zeros(len(load))
    nodal[inner] = np.linalg.solve(A[np.ix_(inner, inner)], load[inner])
    u = basis(experiments.error_axes(EXPERIMENTS["const1d"])[0]) @ nodal[:28]
    assert fem.relative_error(studies.predicted_by(EXPERIMENTS["const1d"], name), u) < 1e-6


def test_the_slope_term_sees_the_jump_of_the_normal_derivative_and_nothing_else():
    faces, _ = nhpinn.periodic_pairs(2, 1.0, 5, 0)
    term = studies.slope_term(faces, 0.01, 0.7)

    def loss(u):
        values = u(term.jet.reshape(-1, 2)).reshape(term.jet.shape[:-1])
        return np.sum(term.weight * np.sum(term.mix * values, axis=(0, 2)) ** 2)

    assert loss(lambda y: np.sin(TAU * y[:, 0]) * np.cos(TAU * y[:, 1])) == pytest.approx(0, abs=1e-20)
    assert loss(lambda y: y[:, 0] * (1 - y[:, 0])) == pytest.approx(0.7 * 2**2 / 2)  # on one axis of two
    term = studies.slope_term(faces, np.array([0.01, 0.03]), 0.7)  # other distances, the same slopes
    assert loss(lambda y: y[:, 1] * (1 - y[:, 1])) == pytest.approx(0.7 * 2**2 / 2)


@pytest.mark.parametrize("way", studies.OTHER_WAYS)
def test_other_ways_to_periodicity_weigh_the_same_in_all(way):
    """The equation keeps its weight, the rest is shared; what is built in leaves the equation all of it."""
    problem, settings = PROBLEMS["elliptic2d"], studies.with_layers(split(EXPERIMENTS["elliptic2d"].cell)[0], 0, 0.02)
    y = grid([(0, 1), (0, 1)], settings.points)
    a, b = tensor_and_divergence(lambda p: problem.coefficient(p, p), y)
    loss = nhpinn.cell_loss(2, 1.0, settings, y, a[None], b[None], b.T[None])
    changed, _ = studies.asked_by(
        way, problem, loss, init_network((2, 4, 1), np.random.default_rng(0), (1, 2)), np.random.default_rng(0)
    )
    h = 1 / (settings.points - 1) if way == "derivatives * h" else 1.0
    weights = [term.weight.sum() for term in changed.terms]
    assert weights == pytest.approx([1.0] if way == "features" else [0.02, 0.49, 0.49 * h**2])


@pytest.mark.parametrize("name, method", [("const1d", "law"), ("const1d", "losses"), ("const1d", "layers")])
def test_studies_are_methods_like_the_others(name, method):
    result = tasks.METHODS[method].run(tasks.setup(Task(name, method, 0, "smoke"), EXPERIMENTS[name]))
    assert result["study"] and {"recipe", "quantities"} <= set(result)
