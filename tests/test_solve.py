"""An equation of one's own: the bar is above the truth, symmetries hold, wrong input is one sentence."""

import pickle
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import fem
import fem_cells
import nhpinn
import nhpinn_functions
from fem import tensor_grid
from lab import experiments
from nhpinn_tools import features, fourier, recipes
from problems import EXPERIMENTS, PROBLEMS

TAU = 2 * np.pi
seeds = st.integers(0, 2**32 - 1)
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a solve is too slow an example to shrink
BOX = {1: [(0.0, 1.3)], 2: [(0.0, 1.0), (-0.2, 0.9)]}


def waves(x, y):
    return 2 + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, -1])


def slowly(x, y):
    return waves(x, y) + x[:, 0] ** 2


def constant(x, y):
    return 2 + 0 * y[:, 0]


def wave(y):
    return 2 * anp.cos(TAU * y[:, -1])


def source(x):
    return np.cos(3 * x[:, 0]) + x[:, -1]


def solved(coefficient=waves, source=source, box=BOX[1], eps=0.2, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what corners and kinks leave
        return nhpinn.solve(coefficient, source, box, eps, **options)


@cache
def plain(dim):
    """The plain problem by the recipe that is the default."""
    return solved(box=BOX[dim])


def inside(box, count=40):
    return np.random.default_rng(0).uniform(*np.transpose(box), (count, len(box)))


# The bar is above the truth --------------------------------------------------------------------------


def random_arguments(seed, dim, slow, contrast, eps):
    """A smooth coefficient, scalar or tensor, of at most this contrast in y; a source, a box, periods."""
    rng = np.random.default_rng(seed)
    period, size = rng.uniform(0.7, 1.4, dim), rng.uniform(0.7, 1.5, dim)
    k, phases, weights = rng.integers(-1, 2, (3, dim)), rng.uniform(0, TAU, 3), rng.uniform(-1, 1, 3)
    weights *= np.log(contrast) / 2 / np.abs(weights).sum()
    drift, q, root = slow * rng.uniform(-1, 1, dim), rng.uniform(-4, 4, dim), rng.uniform(-0.7, 0.7, (dim, dim))
    tensor, shift = np.eye(dim) + rng.integers(2) * root @ root.T, rng.uniform(-1, 1)

    def coefficient(x, y):
        phase = TAU * anp.dot(y / period, k.T) + phases + anp.dot(x, drift)[:, None]
        a = anp.exp(anp.dot(anp.sin(phase), weights)) * (1 + 0.3 * anp.sin(anp.dot(x, drift)))
        return a[:, None, None] * tensor

    box = [(low, low + h) for low, h in zip(rng.uniform(-1, 1, dim), size, strict=True)]
    return coefficient, lambda x: np.cos(x @ q) + shift, box, eps * size.min() / 1.4, tuple(period)


class Truth:
    """The fine solution by finite elements; norm(gradient) in the energy norm, error(gradient) relative to it."""

    def __init__(self, coefficient, source, box, eps, period=1.0, elements=None):
        cells = [(high - low) / eps / p for (low, high), p in zip(box, np.broadcast_to(period, len(box)), strict=True)]
        elements, order = elements or {1: 16, 2: 5, 3: 2}[len(box)], {1: 8, 2: 4, 3: 4}[len(box)]
        mesh = fem.Mesh(tuple(box), tuple(int(np.ceil(elements * count)) for count in cells), order)
        self.u = fem.solve_elliptic(lambda x: coefficient(x, x / eps), source, mesh)
        axes, weights = zip(*(fem.gauss(fem.breaks_of(mesh, axis), 5) for axis in range(len(box))), strict=True)
        self.x, w = tensor_grid(axes), tensor_grid(weights).prod(axis=1)
        self.a = fem._tensor(coefficient(self.x, self.x / eps), self.x.shape) * w[:, None, None]
        self.slope = np.stack([self.u.on_grid(*axes, along=(i,)) for i in range(len(box))], axis=-1)

    def norm(self, slope):
        return np.sqrt(np.einsum("ni,nij,nj", slope, self.a, slope, optimize=True))

    def error(self, gradient):
        return self.norm(gradient(self.x) - self.slope) / self.norm(self.slope)


def ratio(seed, dim, slow, contrast, eps, recipe=None):
    """The bound over the true error; finite elements know no error below 1e-9."""
    coefficient, source, box, eps, period = random_arguments(seed, dim, slow, contrast, eps)
    tolerance = {1: 1e-6, 2: 1e-4, 3: 1e-3}[dim]
    u = solved(coefficient, source, box, eps, period=period, recipe=recipe, tolerance=tolerance)
    true = Truth(coefficient, source, box, eps, period).error(u.gradient)
    assert true <= u.error * (1 + 1e-5) + 1e-8
    return u.error / true if true > 1e-8 else 1.0


@settings(max_examples=2, phases=NO_SHRINKING)
@given(seeds, st.booleans(), st.floats(1.1, 50), st.floats(1 / 64, 1 / 4), st.sampled_from(["sharp", "fourier"]))
def test_the_bound_is_above_the_truth_and_near_it_in_one_dimension(seed, slow, contrast, eps, recipe):
    assert ratio(seed, 1, slow, contrast, eps, recipe) < 2


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "contrast"), [(3, 10)])
def test_so_it_is_in_two_dimensions(seed, contrast):
    assert ratio(seed, 2, False, contrast, 1 / 4) < 2.2


@pytest.mark.slow
def test_the_bound_over_two_hundred_random_problems():
    rng, found = np.random.default_rng(11), {1: [], 2: [], 3: []}
    for dim, slow in [(1, False), (1, True)] * 60 + [(2, False)] * 70 + [(2, True)] * 8 + [(3, False)] * 2:
        least = {1: 1 / 64, 2: 1 / 16, 3: 0.45}[dim]
        contrast, eps = np.exp(rng.uniform(np.log([1.2, least]), np.log([50, max(1 / 4, least)])))
        found[dim].append(ratio(int(rng.integers(2**31)), dim, slow, contrast, eps))
        print(dim, slow, f"{contrast:.1f} {eps:.3f} {found[dim][-1]:.4f}", flush=True)
    print({dim: (len(each), min(each), np.median(each), max(each)) for dim, each in found.items()})
    assert np.median([each for some in found.values() for each in some]) < 2


@pytest.mark.parametrize(("kind", "most"), [("kink", 0.0065), ("jump", 0.008)])
def test_rough_sources_have_a_bar_as_well_and_a_warning(kind, most):
    rough = {"kink": lambda x: np.abs(x[:, 0] - 1), "jump": lambda x: np.sign(x[:, 0] - 1)}[kind]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        u = nhpinn.solve(waves, rough, [(0, np.pi)], 1 / 8)
    assert (kind == "jump") == any("kinks" in str(each.message) for each in said)
    assert all(each.filename == __file__ for each in said)
    F = {"kink": lambda x: np.sign(x - 1) * (x - 1) ** 2 / 2, "jump": lambda x: np.abs(x - 1)}[kind]
    assert (
        error_on_a_line(waves, F, np.append(np.linspace(0, 1, 200), np.linspace(1, np.pi, 400)), 1 / 8, u)
        <= u.error
        < most
    )


def error_on_a_line(coefficient, F, breaks, eps, u):
    """The true error where u = 0 at both ends, in closed form: a u' = C - F, F' = f, by Gauss points between breaks."""
    x, w = fem.gauss(np.unique(breaks), 8)
    a = coefficient(x[:, None], x[:, None] / eps)
    slope = ((w @ (F(x) / a)) / (w @ (1 / a)) - F(x)) / a
    return np.sqrt(w @ (a * (u.gradient(x[:, None])[:, 0] - slope) ** 2) / (w @ (a * slope**2)))


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("error: found a bound of", {"source": lambda x: np.sin(400 * x[:, 0])}),
        ("reaction: eps N", {"coefficient": constant, "reaction": lambda y: 60 * wave(y), "recipe": "fourier"}),
        ("outweighs diffusion", {"coefficient": constant, "reaction": lambda y: 60 * wave(y)}),
    ],
)
@pytest.mark.filterwarnings("ignore:homogenized equation")
def test_an_expansion_that_does_not_help_is_said(said, arguments):
    with pytest.warns(UserWarning, match=said):
        nhpinn.solve(**{"coefficient": waves, "source": source, "box": BOX[1], "eps": 0.2, **arguments})


# What is known ---------------------------------------------------------------------------------------


def test_a_fine_solution_that_is_manufactured():
    """a u' = cos x + c with 1/a = 1 + sin(40 x) / 2; the integral of u' over (0, pi) is 40 / 1599 + c pi = 0."""
    a = lambda x, y: 1 / (1 + 0.5 * anp.sin(TAU * y[:, 0]))  # noqa: E731
    u, x = solved(a, lambda x: np.sin(x[:, 0]), [(0, np.pi)], TAU / 40), np.linspace(0, np.pi, 4001)[:, None]
    exact = (np.cos(x) - 40 / 1599 / np.pi) * (1 + np.sin(40 * x) / 2)
    norm = lambda g: np.sqrt(np.mean(g**2 / (1 + np.sin(40 * x) / 2)))  # noqa: E731
    assert 0.99 * u.error < norm(u.gradient(x) - exact) / norm(exact) < 1.001 * u.error < 0.01
    assert np.abs(u.flux(x) - np.cos(x) + 40 / 1599 / np.pi).max() < 1e-6
    assert np.abs(u(x[[0, -1]])).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "e4"), [("const1d", 0.00506), ("slow1d", 0.005125), ("elliptic2d", 0.01166), ("reaction10", 0.0422)]
)
def test_errors_are_those_of_the_laboratory(name, e4):
    """e1 is near the e4 of converged references; h1 a period away from the boundary, where the layers end."""
    experiment, p = EXPERIMENTS[name], PROBLEMS[name]
    x, axes, inputs = (
        part(experiment) for part in (experiments.error_points, experiments.error_axes, experiments.error_inputs)
    )
    fine = experiments.derivatives_of(experiments.fine_solution(p, 0.5)[0], axes)
    options = {"period": p.period, "reaction": p.reaction, "initial": p.initial}
    options["final_time"] = p.final_time if p.initial else None
    u = solved(p.coefficient, p.source, p.domain, p.eps, **options, recipe="fourier")
    e1 = fem.relative_error(u.homogenized(x), fine[0])
    value, slope, second = u.u0(inputs)
    homogenized = value, slope[:, : p.dim], second[:, : p.dim, : p.dim]
    known = experiments.corrected_errors(experiment, fine, homogenized, u.correctors)[0]["h1_corrected_interior"]
    (low, high), layer = np.transpose(p.domain), p.eps * np.broadcast_to(p.period, p.dim) * (1 - 1e-9)
    interior = np.all((x - low >= layer) & (high - x >= layer), axis=1)
    h1 = fem.relative_error(u.gradient(x)[interior], fine[1][interior])
    assert e1 == pytest.approx(e4, rel=5e-3)
    assert h1 < 1.05 * known  # without time it is better: ends are corrected, and the next order of eps is there


def test_a_reaction_at_two_times():
    p = PROBLEMS["reaction50"]
    u = solved(p.coefficient, p.source, p.domain, p.eps, period=p.period, reaction=p.reaction, initial=p.initial)
    mesh, axis = fem.Mesh(p.domain, 400, 4), np.linspace(*p.domain[0], 101)
    for t, time in ((0.25, 0.25), (1.0, None)):
        fine = fem.solve_parabolic(
            lambda x: p.coefficient(x, x / p.eps), p.source, p.initial, t, 400, mesh,
            lambda x: p.reaction(x / p.eps) / p.eps,
        )  # fmt: skip
        assert fem.relative_error(u(axis[:, None], time), fine.on_grid(axis)) < 2e-3
        assert fem.relative_error(u.gradient(axis[:, None], time)[:, 0], fine.on_grid(axis, along=(0,))) < 3e-2
    np.testing.assert_allclose(u(axis[:, None], np.full(101, 0.25)), u(axis[:, None], 0.25))
    assert fem.relative_error(u(axis[:, None]), fine.on_grid(axis)) < u.error < 5e-4 and "ground state" in str(u)


@pytest.mark.parametrize("dim", [1, 2])
def test_recipes_agree(dim):
    u, v, x = solved(box=BOX[dim], recipe="sharp"), plain(dim), inside(BOX[dim])
    assert v.recipe == "fourier"
    for part in ("__call__", "gradient", "flux", "homogenized"):
        mine, other = (getattr(each, part)(x) for each in (u, v))
        assert np.linalg.norm(mine - other) < {1: 1e-6, 2: 1e-3}[dim] * np.linalg.norm(other), part
    np.testing.assert_allclose(u.tensor(x), v.tensor(x), atol=1e-7)
    assert u.error == pytest.approx(v.error, rel={1: 1e-2, 2: 0.1}[dim])  # in 2D elements see no corner's logarithm


def test_the_paper_s_recipe_has_a_bar(monkeypatch):
    """After a small part of its epochs."""
    brief = lambda name, loss, params, training, rng: nhpinn.train(  # noqa: E731
        name, loss, params, training._replace(epochs=60), rng
    )
    monkeypatch.setattr(recipes, "train_aloud", brief)
    u = solved(recipe="adam")
    assert 0.01 < Truth(waves, source, BOX[1], 0.2).error(u.gradient) <= u.error
    assert u.bounds.lower[0, 0] * (1 - 1e-9) <= np.sqrt(4 - 1 / 4) <= u.bounds.upper[0, 0]
    nothing = solved(source=lambda x: 0 * x[:, 0], recipe="adam")
    assert nothing.error == 0 and not nothing(inside(BOX[1])).any()


# Symmetries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "recipe"), [(1, "sharp"), (1, "fourier")])
def test_solutions_are_linear_in_the_source_and_zero_for_none(dim, recipe):
    other, options = lambda x: 1 - x[:, 0] ** 2, {"box": BOX[dim], "recipe": recipe}
    f, g, both = (solved(source=s, **options) for s in (source, other, lambda x: 2 * source(x) - 3 * other(x)))
    x = inside(BOX[dim])
    for part in ("homogenized", "tensor", "corrector"):
        y = (x,) if part == "corrector" else ()
        values = [getattr(u, part)(x, *y) for u in (f, g, both)]
        expected = 2 * values[0] - 3 * values[1] if part == "homogenized" else values[0]
        np.testing.assert_allclose(values[2], expected, atol=1e-5 * np.abs(expected).max())
    nothing = solved(source=lambda x: 0 * x[:, 0], **options)
    assert nothing.error == 0 and not nothing(x).any() and not nothing.flux(x).any()


@pytest.mark.parametrize(("dim", "recipe"), [(1, "sharp"), pytest.param(2, "sharp", marks=pytest.mark.slow)])
def test_units_do_not_matter(dim, recipe):
    """In a, in the box and its period, and in f: the same relative numbers."""
    field, x, options = (slowly if dim == 1 else waves), inside(BOX[dim]), {"recipe": recipe, "tolerance": 1e-4}
    base = solved(field, box=BOX[dim], **options)
    for a, h, f in ((1e-8, 1, 1e12), (1e8, 1, 1), (1, 1e-6, 1), (1, 1e4, 1))[:: 2 * dim - 1]:
        scaled = lambda x, y, a=a, h=h: a * field(x / h, y)  # noqa: E731
        box = [(h * low, h * high) for low, high in BOX[dim]]
        u = solved(scaled, lambda x, h=h, f=f: f * source(x / h), box, 0.2 * h, **options)
        assert u.error == pytest.approx(base.error, rel=1e-3)
        np.testing.assert_allclose(u.homogenized(h * x) * a / f / h**2, base.homogenized(x), rtol=2e-3, atol=1e-6)


def test_the_mirrored_problem_has_the_mirrored_solution():
    def skew(y):
        return anp.exp(anp.sin(TAU * y[:, 0]) * (1 + anp.cos(TAU * y[:, 1]) / 2) + anp.sin(2 * TAU * y[:, 0]) / 2)

    mirror = np.array([-1.0, 1.0])
    u = solved(lambda x, y: skew(y), box=BOX[2], tolerance=1e-4)
    box = [(-1.0, 0.0), BOX[2][1]]
    v = solved(lambda x, y: skew(y * mirror), lambda x: source(x * mirror), box, tolerance=1e-4)
    x = inside(BOX[2])
    assert np.linalg.norm(v(x * mirror) - u(x)) < 1e-3 * np.linalg.norm(u(x))
    assert np.linalg.norm(v.gradient(x * mirror) * mirror - u.gradient(x)) < 1e-2 * np.linalg.norm(u.gradient(x))
    assert v.error == pytest.approx(u.error, rel=1e-2)


def test_periods_are_one_an_axis():
    """A period p and eps is the period one and p eps."""
    u, v = (
        solved(lambda x, y, p=p: waves(x, y / np.array(p)), box=BOX[2], eps=eps, period=tuple(p))
        for eps, p in ((0.2, [0.5, 1.25]), (0.1, [1.0, 2.5]))
    )
    x = inside(BOX[2])
    assert np.linalg.norm(u(x) - v(x)) < 1e-5 * np.linalg.norm(u(x))
    np.testing.assert_allclose(u.tensor(x), v.tensor(x), atol=1e-9)
    np.testing.assert_allclose(v.corrector(x, 2 * x), 2 * u.corrector(x, x), atol=1e-5)
    assert u.error == pytest.approx(v.error, rel=1e-3)


# Other candidates ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known():
    u = solved()
    return u, Truth(waves, source, BOX[1], 0.2)


@settings(max_examples=4)
@given(st.floats(-2, 2), st.floats(-1, 1), st.floats(1, 9))
def test_candidates_lie_between_their_bounds(known, size, other, k):
    """Zero, u0, and sums of u0 and of waves that do not vanish on the boundary."""
    u, truth = known
    for scale, wave in ((0, 0), (1, 0), (size, other)):
        value = lambda x: scale * u.u0(x)[0] + wave * np.sin(k * x[:, 0] + 1)  # noqa: B023, E731
        gradient = lambda x: scale * u.u0(x)[1] + wave * k * np.cos(k * x + 1)  # noqa: B023, E731
        lower, upper = nhpinn.certify(u, value, gradient)
        assert lower <= truth.error(gradient) <= upper
        assert wave or upper - lower < 0.02 * max(upper, 0.1)


# Slow coefficients, executors, long work -------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["sharp", "fourier"])
def test_an_executor_changes_no_number(recipe):
    plain = solved(slowly, recipe=recipe)
    with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1) as processes:
        for executor in (threads, processes):
            u = solved(slowly, recipe=recipe, executor=executor)
            x = inside(BOX[1])
            np.testing.assert_array_equal(u(x), plain(x))
            assert u.error == plain.error and len(u.correctors.nodes) > 3


def test_a_lambda_that_processes_cannot_be_given_is_refused_before_any_work():
    with ProcessPoolExecutor(1) as processes, pytest.raises(TypeError, match="coefficient: cannot be sent"):
        solved(lambda x, y: slowly(x, y), executor=processes)


def arch(x):
    return np.sin(np.pi * (x[:, 0] - BOX[1][0][0]) / np.ptp(BOX[1]))


IN_TIME = {"coefficient": constant, "reaction": wave, "initial": arch, "tolerance": 1e-2}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"coefficient": slowly}, {"box": BOX[2], "tolerance": 1e-2}, IN_TIME, {**IN_TIME, "recipe": "sharp"}],
)
def test_a_solution_is_sent_to_other_processes_whole(arguments):
    u, x = solved(**arguments), inside(arguments.get("box", BOX[1]))
    sent = pickle.loads(pickle.dumps(u))
    for function in ("__call__", "gradient", "homogenized", "flux", "tensor"):
        np.testing.assert_array_equal(getattr(u, function)(x), getattr(sent, function)(x))
    assert str(u) == str(sent)


def test_a_coefficient_at_many_points_is_what_each_is_alone():
    points = inside(BOX[2], 2)
    with ThreadPoolExecutor(1) as executor:
        many = [nhpinn.homogenize_at(slowly, points, executor=each, tolerance=1e-4) for each in (None, executor)]
    alone = nhpinn.homogenize(lambda y: slowly(0 * y + points[1], y), 2, tolerance=1e-4)
    np.testing.assert_array_equal(many[0][1].tensor, alone.tensor)
    np.testing.assert_array_equal([each.tensor for each in many[0]], [each.tensor for each in many[1]])
    images = nhpinn.homogenize_at(lambda x: np.array([[1.0, 1.0], [1.0 + x[0], 1.0 + x[0]]]), [[1.0, 0.0]])
    np.testing.assert_allclose(images[0].tensor, np.diag([4 / 3, 1.5]), rtol=1e-9, atol=1e-12)
    (bound,) = nhpinn.homogenize_at(lambda x, k=2.0: np.array([[1.0, 1.0], [k + x[0], k + x[0]]]), [[0.0, 0.0]])
    np.testing.assert_allclose(bound.tensor, np.diag([4 / 3, 1.5]), rtol=1e-9, atol=1e-12)


def test_long_work_speaks_on_terminals_alone_and_can_be_interrupted(monkeypatch, capsys):
    solved(slowly)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    solved(slowly)
    said = capsys.readouterr().err
    assert "cell problem 3 of" in said and "certificate" in said and said.endswith("\r")
    calls = []

    def impatient(x):
        calls.append(x)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return source(x)

    with pytest.raises(KeyboardInterrupt):
        solved(source=impatient)


# Problems at the edge --------------------------------------------------------------------------------


def test_a_large_tolerance_is_no_reason_to_refuse_a_slow_coefficient():
    for tolerance in (0.05, 30.0):
        assert solved(slowly, tolerance=tolerance).error < 1.5


@pytest.mark.parametrize("recipe", ["sharp", "fourier"])
def test_a_narrow_valley_of_the_coefficient_is_seen_by_all_means(recipe):
    u = solved(lambda x, y: 1.01 + anp.sin(TAU * y[:, 0]), recipe=recipe)
    exact = np.sqrt(1.01**2 - 1)
    assert abs(u.tensor([[0.5]])[0, 0, 0] - exact) <= 1e-5 * exact  # 64 midpoints alone: 2e-4


@pytest.mark.parametrize("recipe", ["sharp", "adam", "fourier"])
def test_a_coefficient_is_not_evaluated_outside_of_the_box(recipe, monkeypatch):
    monkeypatch.setattr(recipes, "train_aloud", lambda name, loss, params, *rest: params)  # the loss has its points

    def coefficient(x, y):
        assert np.all((x >= 1) & (x <= 2))
        return waves(x, y)

    assert solved(coefficient, box=[(1.0, 2.0)], recipe=recipe).tensor([[1.5]]) > 1.5


def test_functions_that_vanish_where_they_are_looked_at():
    timed = {"coefficient": constant, "initial": lambda x: np.sin(8 * np.pi * x[:, 0]), "final_time": 1e-3}
    assert solved(box=[(0.0, 1.0)], **timed) is not None
    assert solved(constant, reaction=lambda y: np.sin(7 * TAU * y[:, 0])) is not None


def test_a_tensor_beside_a_reaction_has_a_closed_form():
    """-div(a grad N) = -r for r = cos 2 pi y_2 has N = -r / (4 pi^2 a_22)."""
    tensor = lambda x, y: np.array([[2.0, 0.5], [0.5, 4.0]]) + 0 * y[:, :1, None]  # noqa: E731
    u = solved(tensor, reaction=wave, box=BOX[2], tolerance=1e-2)
    y = inside(BOX[2])
    np.testing.assert_allclose(u.corrector(y, y)[:, 0], -wave(y) / (16 * np.pi**2), atol=1e-12)


# Wrong input -----------------------------------------------------------------------------------------

WRONG = {
    "eps: found -1": {"eps": -1},
    "eps: found 'a'": {"eps": "a"},
    "eps: found 1000000": {"eps": 10**400},
    "executor: found int": {"executor": 3},
    "period: found .*, expected a positive number, or 1": {"period": np.ones(2)},
    "eps: found 1.4, expected eps . period": {"eps": 1.4},
    "eps: found 0.2, expected eps . period": {
        "period": 7.0,
        "coefficient": lambda x, y: 2 + anp.sin(TAU * y[:, 0] / 7),
    },
    "coefficient: not periodic": {"coefficient": lambda x, y: 2 + anp.sin(y[:, 0])},
    "coefficient: not elliptic": {"coefficient": lambda x, y: waves(x, y) + 1 - 2.4 * x[:, 0]},
    "coefficient: jumps in y.*; pass an image in its place": {
        "coefficient": lambda x, y: np.where(y[:, 0] % 1 < 0.4, 1.0, 3.0) + 0 * x[:, 0]
    },
    r"coefficient: found a function of \(x\), expected one of \(x, y\)": {"coefficient": lambda x: 2 + 0 * x[:, 0]},
    r"source: found a function of \(x, y\), expected one of \(x\)": {"source": lambda x, y: 1 + 0 * x[:, 0]},
    "coefficient: returned shape": {"coefficient": lambda x, y: np.ones((len(x), 3))},
    "coefficient: returned list": {"coefficient": lambda x, y: [1.0] * len(x)},
    "recipe: found .*expected None or .fem. for a TwoPhase": {
        "coefficient": nhpinn.TwoPhase(lambda y: 0.3 - anp.abs(y[:, 0] - 0.5), 1.0, 2.0)
    },
    "coefficient: found ndarray of shape .8, 8": {"coefficient": np.ones((8, 8))},
    "coefficient: found 0 in pixel .1,.*homogenize.*; labels take values=": {"coefficient": [1.0, 0.0]},
    "recipe: found .*expected None or .fem. for an image": {"coefficient": [1.0, 2.0]},
    "values: found {0: 1.0}, expected None but for": {"values": {0: 1.0}},
    "source: returned .*finite": {"source": lambda x: np.full(len(x), np.nan)},
    "source: returned shape": {"source": lambda x: x},
    r"source: found 1\.0, expected a function of points": {"source": 1.0},
    "boundary: found .*expected 1 pairs": {"boundary": [(1, 2)] * 3},
    "boundary: found fluxes alone": {"boundary": nhpinn.Flux(0)},
    "boundary: found 'hot', expected a number": {"boundary": "hot"},
    "rho: found a function, expected None without an initial": {"rho": lambda x, y: 1 + 0 * x[:, 0]},
    "rho: found 0, expected positive|rho: .*adam": {
        "initial": lambda x: 0 * x[:, 0],
        "rho": lambda x, y: 0 * x[:, 0],
    },
    "rho: not periodic|rho: .*adam": {"initial": lambda x: 0 * x[:, 0], "rho": lambda x, y: 1 + y[:, 0] ** 2},
    "rho: found float, expected a function of y, or of x and y": {"initial": lambda x: 0 * x[:, 0], "rho": 2.0},
    r"rho: found a function of \(x\), expected one of \(x, y\)": {"rho": lambda x: 1 + 0 * x[:, 0]},
    "final_time: found 2, expected None without an initial": {"final_time": 2},
    "final_time: found 0": {"initial": lambda x: 0 * x[:, 0], "final_time": 0},
    "reaction: its mean": {"coefficient": lambda x, y: 2 + 0 * y[:, 0], "reaction": lambda y: np.ones(len(y))},
    "reaction: jumps": {"coefficient": lambda x, y: 2 + 0 * y[:, 0], "reaction": lambda y: np.sign(y[:, 0] % 1 - 0.5)},
    "recipe: found 'best', expected None or one of .* for a function, 'fem' for an image": {"recipe": "best"},
    "recipe: found 'fem', expected it for images": {"recipe": "fem"},
    "seed: found -1": {"seed": -1},
    "box: found 3": {"box": 3},
    "box: found": {"box": [(1, 0)]},
    "box: found .*1 to 3 pairs": {"box": [(0, 1)] * 4},
    "period: found": {"period": (1.0, 1.0)},
    "box: found .*below 1e.100": {"box": [(0, 1e150)]},
    "box: found array": {"box": np.array(1.0)},
}


@pytest.mark.parametrize("sentence", WRONG)
@pytest.mark.parametrize("recipe", ["sharp", "adam", "fourier"])
def test_wrong_input_is_one_sentence_before_any_work(sentence, recipe, monkeypatch):
    monkeypatch.setattr(fem_cells, "correctors", None)  # no work is done
    monkeypatch.setattr(features, "solve_cell", None)
    monkeypatch.setattr(fourier, "correctors_of", None)
    monkeypatch.setattr(nhpinn, "value_and_grad", None)
    with pytest.raises((ValueError, TypeError), match=sentence) as found:
        solved(**{"recipe": recipe, **WRONG[sentence]})
    assert "\n" not in str(found.value)


def test_wrong_points_times_and_candidates(known):
    u = known[0]
    timed = solved(initial=lambda x: 0 * x[:, 0], tolerance=1e-2)
    assert "final time      1, that of u(x) without t" in str(timed)
    for wrong, sentence in (
        (lambda: u([[2.0]]), "x: found points outside"),
        (lambda: u(np.zeros(3)), "x: found shape"),
        (lambda: u(np.zeros((0, 1))), "x: found no points"),
        (lambda: u.corrector([[0.5]], [[0.5], [0.6]]), "y: found 2 points, expected as many as x, 1"),
        (lambda: u([[0.5]], 1.0), "t: found 1.0, expected none"),
        (lambda: timed([[0.5]], 2.0), "t: found 2.0, expected a time from 0 to 1"),
        (lambda: timed([[0.5]], [0.1, 0.2]), "t: found"),
        (lambda: timed([[0.5]], "now"), "t: found 'now', expected a time from 0 to 1"),
        (lambda: nhpinn.certify(timed, source, source), "solution: found a solution without a bar"),
        (lambda: nhpinn.certify(u, source, source), "gradient: returned shape"),
        (lambda: nhpinn.certify(u, lambda x: x, lambda x: x), "value: returned shape"),
        (lambda: nhpinn.certify(u, source, lambda x: np.nan * x), "gradient: not finite"),
        (lambda: nhpinn.certify(u, source, lambda x: 3 * np.cos(x)), "gradient: differs from differences of value"),
    ):
        with pytest.raises(ValueError, match=sentence):
            wrong()
    with pytest.raises(TypeError, match="solution: found function"):
        nhpinn.certify(source, source, np.cos)


def test_a_picture(tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    for dim in (1, 2):
        figure = plain(dim).plot(20)
        assert len(figure.axes) >= 2 and figure.savefig(tmp_path / "u.png") is None


# Values and fluxes on faces -----------------------------------------------------------------------


def rising(x, y):
    return (2 + anp.cos(TAU * y[:, 0])) * (1 + x[:, 0])


@pytest.mark.parametrize("recipe", ["sharp", None])
def test_a_bar_with_time_values_fluxes_a_source_and_storage_approaches_the_fine_solution(recipe):
    """At 20, its left end is set to 100 and heat flows in on the right; by the half where eps is halved."""
    source, boundary = lambda x, t: 50 * np.sin(20 * t) * x[:, 0], (100, nhpinn.Flux(3))
    initial, axis, errors = lambda x: 20 + 0 * x[:, 0], np.linspace(0, 1, 201), []
    for eps in (1 / 8, 1 / 16, 1 / 32):
        options = {"boundary": boundary, "initial": initial, "final_time": 0.1, "rho": rising, "recipe": recipe}
        u = nhpinn.solve(waves, source, [(0, 1)], eps, **options)
        fine = fem.solve_parabolic(
            lambda x, eps=eps: waves(x, x / eps), source, initial, 0.1, 200, fem.Mesh(((0.0, 1.0),), round(4 / eps), 4),
            faces=nhpinn_functions.faces_of(boundary, ((0.0, 1.0),)), rho=lambda x, eps=eps: rising(x, x / eps),
        )  # fmt: skip
        assert fem.relative_error(u(axis[:, None]), fine.on_grid(axis)) < u.error < 0.1 and "in L2" in str(u)
        errors.append(fem.relative_error(u(axis[:, None]) - 20, fine.on_grid(axis) - 20))
    assert errors[-1] < 2e-3 and errors[2] < 0.7 * errors[1] < 0.5 * errors[0]


def test_the_recipes_agree_on_a_plate_between_two_temperatures():
    """100 left, 20 right, insulated: homogenized, a line."""
    plate = [(100, 20), (nhpinn.Flux(0), nhpinn.Flux(0))]
    x = np.random.default_rng(0).random((40, 2))
    for recipe in ("sharp", None):
        u = nhpinn.solve(
            PROBLEMS["elliptic2d"].coefficient,
            lambda x: 0 * x[:, 0],
            [(0, 1), (0, 1)],
            1 / 8,
            boundary=plate,
            recipe=recipe,
        )
        np.testing.assert_allclose(u.homogenized(x), 100 - 80 * x[:, 0], atol=1e-6)
