"""Certificates: fluxes in balance, traces that vanish, bounds above the truth and near it, for any candidate."""

import tracemalloc
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import fem
import fem_cells
import nhpinn
from fem import tensor_grid
from nhpinn import Coefficients, Correctors
from nhpinn_functions import one_node
from nhpinn_tools import balance, bounds, certificates
from nhpinn_tools.interpolation import Chebyshev
from nhpinn_tools.layers import fields_at
from nhpinn_tools.quadrature import Axis, rule

TAU = 2 * np.pi
seeds = st.integers(0, 2**32 - 1)
NO_SHRINKING = (Phase.explicit, Phase.generate)
PAPER = {  # coefficient, source, box, slow
    "const1d": (lambda x, y: 2 + np.sin(TAU * y[:, 0]) / 2, lambda x: np.sin(x[:, 0]), [(0, np.pi)], False),
    "slow1d": (
        lambda x, y: np.sin(TAU * y[:, 0]) / 2 + np.sin(x[:, 0]) + 2, lambda x: np.sin(x[:, 0]), [(0, np.pi)], True,
    ),
    "elliptic2d": (
        lambda x, y: 2 + np.sin(TAU * y[:, 0]) * np.cos(TAU * y[:, 1]), lambda x: np.sin(x[:, 0]) + np.cos(x[:, 1]),
        [(0, 1), (0, 1)], False,
    ),
}  # fmt: skip


def problem(coefficient, source, domain, slow, eps, period=1.0, boundary=0.0):
    return SimpleNamespace(**locals())


def random_problem(seed, dim, slow, contrast, eps):
    """A smooth coefficient of at most this contrast in y, scalar or tensor, a source, a box, periods."""
    rng = np.random.default_rng(seed)
    period, high = rng.uniform(0.7, 1.4, dim), rng.choice([rng.uniform(0.7, 1.5), 1.0], dim)
    waves, phases, sizes = rng.integers(-1, 2, (3, dim)), rng.uniform(0, TAU, 3), rng.uniform(-1, 1, 3)
    sizes *= np.log(contrast) / 2 / np.abs(sizes).sum()
    drift, q, root = slow * rng.uniform(-1, 1, dim), rng.uniform(-4, 4, dim), rng.uniform(-0.7, 0.7, (dim, dim))
    tensor, constant = np.eye(dim) + rng.integers(2) * root @ root.T, rng.integers(2)

    def coefficient(x, y):
        a = np.exp(np.sin(TAU * y / period @ waves.T + phases + (x @ drift)[:, None]) @ sizes)
        return (a * (1 + 0.3 * np.sin(x @ drift)))[:, None, None] * tensor

    return problem(coefficient, lambda x: np.cos(x @ q) + constant, [(0, h) for h in high], slow, eps, tuple(period))


def homogenized(p, elements=None, noise=0.0):
    """Correctors, a* and u0 by finite elements; noise: of the correctors, relative to the period."""
    dim, period = len(p.domain), np.broadcast_to(p.period, len(p.domain))
    chebyshev = Chebyshev(tuple(p.domain), ({1: 12, 2: 4, 3: 3}[dim],) * dim)
    nodes, weights = (chebyshev.points, chebyshev.weights) if p.slow else (np.zeros((1, dim)), one_node(dim))
    mesh = fem.Mesh(
        tuple((0.0, length) for length in period),
        elements or {1: 32, 2: 8, 3: 4}[dim],
        {1: 6, 2: 5, 3: 3}[dim],
        periodic=True,
    )
    fields, samples = zip(
        *(fem_cells.correctors(lambda y, x=x: p.coefficient(0 * y + x, y), mesh) for x in nodes), strict=True
    )

    def cells(y):
        values = np.stack([field.at(y)[0].T for field in fields])
        return values + noise * period[0] * np.sin(TAU * (y @ (2 / period)) + 1), None

    coefficients = Coefficients(np.array(samples), weights, 0.0)
    mesh = fem.Mesh(tuple(p.domain), {1: 48, 2: 16, 3: 5}[dim], {1: 5, 2: 5, 3: 3}[dim])
    u0 = fem.solve_elliptic(coefficients.tensor, p.source, mesh)
    return Correctors(cells, weights, nodes, p.period), coefficients, u0.at


def certificate(p, **options):
    return of_values(p, *homogenized(p, **options))


def of_values(p, correctors, coefficients, u0):
    return certificates.certificate(p, correctors, coefficients, SimpleNamespace(value=lambda x: u0(x)[0]))


def truth(p, c):
    """A function: gradients at quadrature points -> their energy norm relative to u's; by refined finite elements."""
    lengths = p.eps * np.broadcast_to(p.period, len(p.domain))
    elements, order = {1: (16, 8), 2: (5, 4), 3: (2, 4)}[len(p.domain)]  # a period
    count = tuple(int(np.ceil(elements * (high - low) / h)) for (low, high), h in zip(p.domain, lengths, strict=True))
    u = fem.solve_elliptic(lambda x: p.coefficient(x, x / p.eps), p.source, fem.Mesh(tuple(p.domain), count, order))
    axes, weights = zip(*(rule(axis, {1: 12}.get(len(p.domain), 5), 10**9) for axis in c.axes), strict=True)
    x, w = tensor_grid(axes), tensor_grid(weights).prod(axis=1)
    a = fem._tensor(p.coefficient(x, x / p.eps), x.shape)
    slope = np.stack([u.on_grid(*axes, along=(i,)) for i in range(len(p.domain))], axis=-1)
    norm = lambda g: np.sqrt(w @ np.einsum("ni,nij,nj->n", g, a, g))  # noqa: E731
    v = fields_at(c.scales, axes, True).slope.T
    return norm(slope - v) / norm(slope), lambda gradient: norm(slope - gradient(x)) / norm(slope)


# What the bounds rest on ----------------------------------------------------------------------------------------------


CASES = [(1, True), (2, True), *(pytest.param(dim, False, marks=pytest.mark.slow) for dim in (2, 3))]


@pytest.mark.parametrize(("dim", "slow"), CASES)
def test_gradients_divergences_and_values_on_the_boundary(dim, slow):
    p = random_problem(dim + slow, dim, slow, 4, 0.3)
    c = certificate(p, elements=4, noise=1e-2)
    low, high = np.transpose(p.domain)
    x, h, e = low + (high - low) * np.random.default_rng(0).uniform(0.01, 0.99, (40, dim)), 1e-5, np.eye(dim)
    ahead, behind = ([(c.reconstruction(x + s * h * e_i)[0], c.flux(x + s * h * e_i)) for e_i in e] for s in (1, -1))
    both = list(zip(ahead, behind, strict=True))
    difference, slope = np.stack([(f[0] - b[0]) / (2 * h) for f, b in both], axis=-1), c.reconstruction(x)[1]
    assert np.median(np.abs(difference - slope)) < 1e-6 * np.abs(slope).max()
    if dim > 1:
        divergence = sum((f[1][:, i] - b[1][:, i]) / (2 * h) for i, (f, b) in enumerate(both))
        miss = -divergence - p.source(x) - balance.residual(c.scales, x.T, False)
        assert np.median(np.abs(miss)) < 1e-5 * np.abs(p.source(x)).max()
    face = np.where(np.arange(dim) == np.arange(len(x))[:, None] % dim, np.where(x > x.mean(0), high, low), x)
    assert np.abs(c.reconstruction(face)[0]).max() < 1e-13 * np.abs(c.reconstruction(x)[0]).max()


@pytest.fixture(scope="module")
def known():
    """elliptic2d: the problem, its homogenized solution, its certificate, its true errors."""
    p = problem(*PAPER["elliptic2d"], 1 / 8)
    found = homogenized(p)
    c = of_values(p, *found)
    return p, found, c, truth(p, c)


@pytest.mark.parametrize(("name", "most"), [("const1d", 0.0037), ("slow1d", 0.0042), ("elliptic2d", 0.0075)])
def test_the_error_bars_of_the_papers_problems(name, most, known):
    _, _, c, (true, _) = known
    if name != "elliptic2d":
        p = problem(*PAPER[name], 1 / 8)
        c = certificate(p)
        true, _ = truth(p, c)
    assert true <= c.error < min(most, 1.5 * true)


def check_bound(seed, dim, slow, contrast, eps):
    p = random_problem(seed, dim, slow, contrast, eps)
    c = certificate(p)
    true, _ = truth(p, c)
    assert true <= c.error * (1 + 1e-5) + 1e-8  # finite elements have an error, too
    assert c.error < 2.5 * true + 1e-7
    return c.error / true


@settings(max_examples=3, phases=NO_SHRINKING)
@given(seeds, st.booleans(), st.floats(1.1, 50), st.floats(1 / 64, 1 / 4))
def test_the_bound_is_above_the_truth_and_near_it(seed, slow, contrast, eps):
    check_bound(seed, 1, slow, contrast, eps)


@pytest.mark.parametrize(("slow", "contrast"), [(False, 50), pytest.param(True, 4, marks=pytest.mark.slow)])
def test_so_it_is_in_two_dimensions(slow, contrast):
    check_bound(1, 2, slow, contrast, 0.2)


@pytest.mark.parametrize("dim", [1, 2])
def test_correctors_that_are_wrong_have_an_error_and_a_bound_of_it(dim):
    p = random_problem(7, dim, False, 4, 0.2)
    exact, wrong = certificate(p), certificate(p, noise=0.03)
    true, _ = truth(p, wrong)
    assert exact.error < true <= wrong.error


def test_what_is_wrong_in_the_homogenized_solution_is_in_the_bound_and_hardly_more(known):
    p, (correctors, coefficients, u0), *_ = known
    rough = lambda x: (u0(x)[0] + 1e-3 * np.sin(9 * x[:, 0]) * np.cos(7 * x[:, 1]),)  # noqa: E731
    wrong = of_values(p, correctors, coefficients, rough)
    true, _ = truth(p, wrong)
    assert 0.05 < true <= wrong.error < 1.3 * true


@pytest.fixture(scope="module")
def larger_cells():
    """elliptic2d with a larger eps, and its certificate."""
    p = problem(*PAPER["elliptic2d"], 1 / 4)
    return p, certificate(p)


def test_units_and_a_source_of_zero(larger_cells):
    p, c = larger_cells
    q = problem(lambda x, y: 1e6 * p.coefficient(x, y), lambda x: 1e-3 * p.source(x), p.domain, False, 1 / 4)
    assert certificate(q).error == pytest.approx(c.error, rel=1e-6)
    assert certificate(problem(p.coefficient, lambda x: 0 * x[:, 0], p.domain, False, 1 / 4)).error == 0


# Other candidates -----------------------------------------------------------------------------------------------------


@settings(max_examples=2, phases=NO_SHRINKING)
@example(0, 0.0, 0.0)
@given(seeds, st.floats(-2, 2), st.sampled_from([0, 1e-3, 1e-1]))
def test_any_candidate_lies_between_its_bounds(known, seed, size, trace):
    _, (_, _, u0), c, (_, error) = known
    k = np.random.default_rng(seed).uniform(-4, 4, 2)

    def value(x):
        return size * u0(x)[0] + trace * np.sin(x @ k + 1) / 10

    def gradient(x):
        return size * u0(x)[1] + trace * np.cos(x @ k + 1)[:, None] * k / 10

    lower, upper = certificates.certify(c, value, gradient)
    assert lower <= error(gradient) <= upper
    assert upper - lower < (0.01 if trace == 0 else 0.2) * upper


def test_the_reconstruction_itself_has_the_bound_of_the_certificate(larger_cells):
    c = larger_cells[1]
    lower, upper = certificates.certify(c, *(lambda x, k=k: c.reconstruction(x)[k] for k in (0, 1)))
    assert lower < 1e-7  # D is E but for rounding, of which it may be the root
    assert upper == pytest.approx(c.error, rel=1e-3)


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_bar_does_not_depend_on_the_unit_of_the_coefficient(unit):
    def layers(unit):
        return nhpinn.solve(lambda x, y: unit / (2 + anp.sin(TAU * y[:, 0])), wave_source, [(0, 1), (0, 1)], 1 / 4)

    assert abs(layers(unit).error / layers(1.0).error - 1) < 1e-5


def wave_source(x):
    return np.sin(3 * x[:, 0]) + x[:, 1]


def test_a_candidate_that_vanishes_between_its_zeros_on_the_boundary_is_not_taken_for_zero_there():
    u = nhpinn.solve(lambda x, y: 2 + anp.sin(TAU * y[:, 0]), wave_source, [(0, 1), (0, 1)], 1 / 4)
    one, other = (lambda x: np.cos(np.pi * x[:, 0])), (lambda x: np.sin(32 * np.pi * x[:, 1]))

    def value(x):
        return 0.1 * one(x) * other(x)

    def gradient(x):
        slopes = -np.pi * np.sin(np.pi * x[:, 0]) * other(x), 32 * np.pi * one(x) * np.cos(32 * np.pi * x[:, 1])
        return 0.1 * np.stack(slopes, axis=-1)

    found = certificates.candidate_parts(u.certificate, value, gradient)(np.array([[0.3, 0.51]]))[1]
    assert np.abs(found).max() > 1


def test_a_solution_that_is_zero_has_no_relative_errors():
    u = nhpinn.solve(lambda x, y: 2 + anp.sin(TAU * y[:, 0]), lambda x: 0 * x[:, 0], [(0, 1)], 1 / 4)
    with pytest.raises(ValueError, match="solution: found one that is zero"):
        nhpinn.certify(u, lambda x: x[:, 0] * (1 - x[:, 0]), lambda x: 1 - 2 * x)


def evaluations(dim, eps):
    """At how many points, in all, `solve` evaluates the coefficient of a plate."""
    counts = []

    def coefficient(x, y):
        counts.append(len(y))
        return 2 + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, -1])

    boundary = [(100, 20), (nhpinn.Flux(0), nhpinn.Flux(0))][:dim]
    nhpinn.solve(coefficient, lambda x: 0 * x[:, 0] + 1, [(0, 1)] * dim, eps, boundary=boundary)
    return sum(counts)


@pytest.mark.parametrize("dim", [1, 2])
def test_evaluations_of_the_coefficient_do_not_grow_with_the_number_of_periods(dim):
    few, many = evaluations(dim, 1 / 64), evaluations(dim, 1 / 1024)
    assert many < {1: 1.01, 2: 1.1}[dim] * few  # at 1 / 64 some of the periods that stand for all coincide


def test_the_bar_is_as_small_as_eps_and_not_lost_in_rounding():
    """In one dimension, where it is the error itself; the linear part of the gradients is 1e6 times as large."""

    def a(x, y):
        return 2 + anp.sin(2 * np.pi * y[:, 0])

    scales = np.array([1e-4, 1e-5, 1e-6])
    bars = [nhpinn.solve(a, lambda x: np.sin(x[:, 0]), [(0, 3)], eps).error - certificates.LEAST for eps in scales]
    np.testing.assert_allclose(bars / scales, bars[0] / scales[0], rtol=5e-3)


def test_a_million_periods_need_no_more_memory_than_a_few():
    evaluations(1, 1 / 8)  # what is imported, and kept, at first
    peaks = []
    for eps in (1 / 64, 1e-6):
        tracemalloc.start()
        evaluations(1, eps)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]  # for 15,000 times as many periods; where pieces of x end adds a tenth


@given(st.floats(0.1, 0.9), st.floats(1e-10, 1e-5), st.floats(0.2, 5))
def test_a_jump_in_a_narrow_panel_counts_by_its_width(place, width, jump):
    """A polynomial is some part of the jump away from it, at some of the points."""
    ends = np.array([0, place - width / 3, place + 2 * width / 3, 1])
    axis = Axis(np.array([0.0, 1.0]), 1.0, ends, np.array([0.0, 1.0]), certificates.RULES[1])
    x = bounds.scattered(1)[: certificates.SCATTERED_IN_BOX]

    def missed(step):
        functions = lambda x: np.stack([1 + step * (x[:, 0] > place), 1 + 0 * x[:, 0]])  # noqa: E731
        return certificates.missed_in_narrow(functions, axis, 0, x)

    assert missed(0.0) == pytest.approx([0, 0], abs=1e-20)
    found = missed(jump) / (width * jump)
    assert 0.02 < found[0] < 0.6 and found[1] == 0


def test_a_peak_of_a_candidate_between_the_points_of_the_rule_is_in_the_upper_bound():
    """One of a thousandth of the box, in a period that the rule leaves out."""
    u = nhpinn.solve(
        lambda x, y: 2 + anp.sin(2 * np.pi * y[:, 0]), lambda x: np.sin(np.pi * x[:, 0]), [(0, 1)], 1 / 1000
    )
    place, width = 0.41373, 3e-4

    def bump(x):
        return 1e-3 * np.exp(-(((x[:, 0] - place) / width) ** 2))

    def slope(x):
        return -2 * (x[:, 0] - place) / width**2 * bump(x)

    x, w = fem.gauss(place + width * np.linspace(-8, 8, 101), 8)
    size = np.sqrt(w @ ((2 + np.sin(2000 * np.pi * x)) * slope(x[:, None]) ** 2)) / u.certificate.norm[1]
    _, upper = nhpinn.certify(u, lambda x: u(x) + bump(x), lambda x: u.gradient(x) + slope(x)[:, None])
    assert size > 0.01 and upper > size - u.error


@pytest.mark.slow
def test_a_peak_of_a_candidate_that_points_of_few_elements_meet_too_often_is_not_in_the_lower_bound():
    u = nhpinn.solve(
        lambda x, y: 2 + anp.sin(2 * np.pi * y[:, 0]) * anp.cos(2 * np.pi * y[:, 1]),
        lambda x: np.sin(x[:, 0]) + np.cos(x[:, 1]), [(0, 1), (0, 1)], 1 / 2, tolerance=1e-3,
    )  # fmt: skip
    place, width = np.random.default_rng(5).uniform(0.2, 0.8, (3, 2))[2], 0.01

    def bump(x):
        return 0.01 * np.exp(-(((x - place) / width) ** 2).sum(1))

    def slope(x):
        return -2 * (x - place) / width**2 * bump(x)[:, None]

    axes, weights = zip(*(fem.gauss(z + width * np.linspace(-6, 6, 61), 4) for z in place), strict=True)
    x = fem.tensor_grid(axes)
    size = np.sqrt(np.kron(*weights) @ (u.problem.coefficient(x, 2 * x) * (slope(x) ** 2).sum(1))) / u.certificate.norm
    lower, upper = nhpinn.certify(u, lambda x: u(x) + bump(x), lambda x: u.gradient(x) + slope(x))
    assert lower <= size[0] + u.error and size[1] - u.error <= upper
