"""Bars in L2 of solutions in time and of reactions, in one dimension: above the truth, which other methods find."""

from functools import cache
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import fem
import nhpinn
from nhpinn_functions import faces_of, midpoints
from nhpinn_tools import ground_state, parabolic
from nhpinn_tools.spectrum import derivative

TAU = 2 * np.pi
seeds = st.integers(0, 2**32 - 1)
NO_SHRINKING = (Phase.explicit, Phase.generate)


def problem(reaction, *, diffusion=None, source=None, initial=None, box=(-1.0, 1.3), eps=1 / 20, final=0.2):
    return SimpleNamespace(
        domain=(box,), dim=1, eps=eps, period=1.0, reaction=reaction, final_time=final, initial=initial,
        coefficient=diffusion or (lambda x, y: 1 + 0 * y[:, 0]), source=source or (lambda x: np.exp(x[:, 0])),
    )  # fmt: skip


def arch(x):
    return (x[:, 0] + 1) * (1.3 - x[:, 0])


def by_sines(p, x, count=700):
    """The solution at the final time, or without time, at x (n,): a Galerkin method with sines, exact in time."""
    ((low, high),) = p.domain
    length, k = high - low, np.arange(1, count + 1) * np.pi / (high - low)
    q, w = fem.gauss(np.linspace(low, high, 701), 4)
    q, y = q[:, None], q[:, None] / p.eps
    S, C = (wave(np.outer(q[:, 0] - low, k)) * np.sqrt(2 / length) for wave in (np.sin, np.cos))
    a, r = p.coefficient(q, y), p.reaction(y) / p.eps
    A = (C * k).T @ ((w * a)[:, None] * C * k) + S.T @ ((w * r)[:, None] * S)
    rates, modes = np.linalg.eigh(A)
    load = modes.T @ (S.T @ (w * p.source(q)))
    if p.initial:
        decay = np.exp(-rates * p.final_time)
        c = modes.T @ (S.T @ (w * p.initial(q))) * decay - load * np.expm1(-rates * p.final_time) / rates
    else:
        c = load / rates
    return np.sin(np.outer(x - low, k)) * np.sqrt(2 / length) @ (modes @ c)


def true_error(p, found):
    (low, high), t = p.domain[0], p.final_time
    x = low + (high - low) * (np.arange(2000) + 0.5) / 2000
    points = np.stack([x, 0 * x + t], axis=1) if p.initial else x[:, None]
    exact = by_sines(p, x)
    return np.linalg.norm(found.reconstruction(points)[0] - exact) / np.linalg.norm(exact)


def random_wave(rng, size):
    amplitude, phase = rng.normal(size=3) * size / np.arange(1, 4), rng.uniform(0, TAU, 3)
    return lambda y: sum(
        A * anp.cos(TAU * k * y[:, 0] + p) for k, A, p in zip((1, 2, 3), amplitude, phase, strict=True)
    )


@pytest.mark.parametrize(
    ("strength", "mean", "eps", "final", "most"),
    [
        (1, 0, 1 / 20, 1.0, 5e-3),
        (200, 0, 1 / 40, 0.1, 2e-3),
        (2000, 0, 1 / 40, 0.01, 3e-2),
        (300, 2, 1 / 40, 0.1, 5e-3),
    ],
)
def test_reactions_strong_and_weak(strength, mean, eps, final, most):
    p = problem(lambda y: strength * np.cos(TAU * y[:, 0]) + mean, initial=arch, eps=eps, final=final)
    found = ground_state.solve_reaction(p)
    assert true_error(p, found) <= found.error <= most


@given(seeds, st.booleans())
@settings(phases=NO_SHRINKING, max_examples=6)
@example(7, True)
def test_the_bar_of_a_random_reaction_is_above_the_truth(seed, timed):
    """Diffusion and reaction oscillate, the mean of the reaction is not zero, the box cuts periods."""
    rng = np.random.default_rng(seed)
    a, r, f = random_wave(rng, 0.2), random_wave(rng, rng.choice([1, 20, 200])), random_wave(rng, 1)
    p = problem(
        r, diffusion=lambda x, y: anp.exp(a(y)), source=lambda x: 1 + f(x / 3), initial=arch if timed else None,
        eps=1 / rng.uniform(6, 15), final=rng.choice([0.01, 0.2]),  # 700 sines resolve such eps
    )  # fmt: skip
    found = ground_state.solve_reaction(p)
    assert true_error(p, found) <= found.error


def test_the_ground_state_solves_its_cell_and_shifts_with_the_mean():
    reaction = lambda y: 30 * np.cos(TAU * y[:, 0]) + 10 * np.sin(2 * TAU * y[:, 0] + 1)  # noqa: E731
    one = lambda y: 1 + 0 * y[:, 0]  # noqa: E731
    state = ground_state.ground_state(one, reaction, 1.0, 0.1)
    y = midpoints(1, 1.0, 513)
    phi, slope = state.phi.on_line(y[:, 0])
    equation = -derivative(slope, 1.0) + (0.1 * reaction(y) - 0.01 * state.mu) * phi
    np.testing.assert_allclose(equation, 0, atol=1e-8)
    assert np.all(phi > 0) and state.residual < 1e-4
    more = ground_state.ground_state(one, lambda y: reaction(y) + 5, 1.0, 0.1)
    assert more.mu == pytest.approx(state.mu + 50) and more.tensor == pytest.approx(state.tensor)


def test_weak_reactions_have_the_rate_of_the_paper():
    """r* = mean(r N) = -1 / (2 D) for cos on the period 2 pi, appendix A; mu tends to it."""
    state = ground_state.ground_state(lambda y: 2 + 0 * y[:, 0], lambda y: np.cos(y[:, 0]), TAU, 1e-3)
    assert state.mu == pytest.approx(-1 / 4, rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.9])
def test_other_candidates_lie_between_their_bounds(share):
    """w = share of the sines' solution, whose error is 1 - share."""
    p = problem(lambda y: 200 * np.cos(TAU * y[:, 0]), initial=arch, eps=1 / 30)
    low, high = ground_state.solve_reaction(p).certify(lambda x: share * by_sines(p, x[:, 0]))
    assert low <= 1 - share <= high and high - low < 0.01


def test_a_storage_coefficient_beside_a_reaction_is_not_left_out():
    """No ground state knows of it: u is that of the expansion, without a bar."""
    reaction, options = lambda y: 20 * anp.cos(TAU * y[:, 0]), {"initial": arch, "final_time": 0.3}
    one, five, source = (lambda x, y: 1 + 0 * y[:, 0]), (lambda x, y: 5 + 0 * y[:, 0]), lambda x: np.exp(x[:, 0])
    u = nhpinn.solve(one, source, [(-1, 1.3)], 1 / 20, reaction=reaction, rho=five, **options)
    fine = fem.solve_parabolic(
        lambda x: one(x, x), source, arch, 0.3, 200, fem.Mesh(((-1, 1.3),), 200, 4), lambda x: 20 * reaction(20 * x),
        rho=lambda x: five(x, x),
    )  # fmt: skip
    x = np.linspace(-1, 1.3, 101)
    assert u.error is None and fem.relative_error(u(x[:, None]), fine.on_grid(x)) < 0.02


def test_an_unstable_problem_without_time_has_no_bar():
    p = problem(lambda y: 200 * np.cos(TAU * y[:, 0]), eps=1 / 20)
    assert ground_state.solve_reaction(p).error == np.inf


def test_a_growth_beyond_all_numbers_is_refused():
    p = problem(lambda y: 2000 * np.cos(TAU * y[:, 0]), initial=arch, final=10.0)
    with pytest.raises(ValueError, match="final_time: found 10, expected at most .* changes as exp"):
        ground_state.solve_reaction(p)


# --- diffusion ----------------------------------------------------------------------------------------


def slow(x, y):
    return 2 + 1.5 * anp.sin(TAU * y[:, 0]) + x[:, 0]


def waves(x, y):
    return 2 + 1.5 * anp.sin(TAU * y[:, 0])


@pytest.mark.parametrize(
    ("coefficient", "final", "most"),
    [(waves, 0.02, 0.0265), (waves, 0.2, 0.036), (slow, 0.02, 0.0435), (slow, 0.2, 0.2)],
)
def test_diffusion_in_time_has_a_bar(coefficient, final, most):
    eps, source, initial = 1 / 8, lambda x: 1 + x[:, 0], lambda x: np.sin(np.pi * x[:, 0])
    u = nhpinn.solve(coefficient, source, [(0, 1)], eps, initial=initial, final_time=final)
    fine = fem.solve_parabolic(
        lambda x: coefficient(x, x / eps), source, initial, final, 800, fem.Mesh(((0, 1),), 64, 4)
    )
    x = np.linspace(0, 1, 1001)
    exact = fine.on_grid(x)
    assert fem.relative_error(u(x[:, None]), exact) <= u.error <= most


@pytest.mark.parametrize("final", [0.000667, 0.00667])
def test_a_bar_that_is_heated_at_one_end_is_better_than_its_limit(final):
    """Early, what oscillates at the hot end is not felt at the cold one; the box cuts a period."""
    eps, nothing, ends, start = 1 / 50.4, lambda x: 0 * x[:, 0], [(400.0, 300.0)], lambda x: 300 + 0 * x[:, 0]
    u = nhpinn.solve(waves, nothing, [(0, 1)], eps, boundary=ends, initial=start, final_time=final)
    fine = fem.solve_parabolic(
        lambda x: waves(x, x / eps), nothing, start, final, 400, fem.Mesh(((0, 1),), 300, 4),
        faces=faces_of(ends, ((0.0, 1.0),)),
    )  # fmt: skip
    x = np.linspace(0, 1, 2001)
    exact = fine.on_grid(x)
    true, limit = (fem.relative_error(v, exact) for v in (u(x[:, None]), u.homogenized(x[:, None])))
    assert true < 0.3 * limit and true <= u.error
    np.testing.assert_allclose(u([[0.0], [1.0]]), ends[0], rtol=1e-9)


def test_what_v_is_made_of_in_time_has_its_derivative():
    """The flux end is not moved; b of the head is not 0."""
    found = nhpinn.solve(
        slow, lambda x, t: np.sin(3 * t) * x[:, 0], [(0, 1)], 1 / 8, boundary=[(20, nhpinn.Flux(3))],
        initial=lambda x: 20 + x[:, 0], final_time=0.2,
    ).certificate  # fmt: skip
    t, h = np.array([1e-3, 0.013, 0.11]), 1e-6
    after, before = found.V.time(t + h)[0], found.V.time(t - h)[0]
    rate = found.V.time(t)[1]
    np.testing.assert_allclose((after - before) / (2 * h), rate, atol=1e-4 * np.abs(rate).max())


@cache
def in_units(length=1, power=1, storage=1, *, jump):
    """u and the bar of the same physics in units of length, of a, and of rho; jump: a plate that is heated at once."""
    slope, count, final, ends = (0, 50, 0.01, [(400, 300)]) if jump else (1, 20, 0.02, 0.0)
    initial = (lambda x: 300 + 0 * x[:, 0]) if jump else lambda x: np.sin(np.pi * x[:, 0] / length)
    u = nhpinn.solve(
        lambda x, y: power * (2 + 1.5 * anp.sin(TAU * y[:, 0]) + slope * x[:, 0] / length),
        lambda x: power / length**2 * slope * (1 + x[:, 0] / length), [(0, length)], length / count,
        boundary=ends, initial=initial,
        rho=lambda x, y: storage * (1.5 + anp.cos(TAU * y[:, 0])), final_time=final * storage * length**2 / power,
    )  # fmt: skip
    return u(length * np.linspace(0, 1, 101)[:, None]), u.error


@given(*[st.floats(-6, 6)] * 3, st.booleans())
@settings(phases=NO_SHRINKING, max_examples=1, deadline=None)
@example(-1.0, 0.5, 6.5, False)  # metres, W / m K, J / m3 K
@example(-1.0, 0.5, 6.5, True)
def test_nothing_depends_on_units(length, power, storage, jump):
    """But for rounding, which least squares carry to their own error where the initial value jumps at the boundary."""
    (u, error), (other, bar) = in_units(jump=jump), in_units(10**length, 10**power, 10**storage, jump=jump)
    assert np.isfinite(error)
    np.testing.assert_allclose(other, u, atol=(1e-5 if jump else 1e-6) * np.abs(u).max())
    np.testing.assert_allclose(bar, error, rtol=0.05)


def test_steps_that_end_but_for_rounding_at_the_final_time_have_a_bar():
    source, initial, x = lambda x: 1 + 0 * x[:, 0], lambda x: 0 * x[:, 0], np.linspace(0, 1, 401)
    u = nhpinn.solve(waves, source, [(0, 1)], 1 / 4, initial=initial, recipe="sharp")
    assert np.diff(parabolic.time_breaks(1.0, [0.3, 1 - 2**-53])).min() > 1e-9
    fine = fem.solve_parabolic(lambda x: waves(x, 4 * x), source, initial, 1.0, 400, fem.Mesh(((0, 1),), 32, 4))
    assert fem.relative_error(u(x[:, None]), fine.on_grid(x)) <= u.error < 1


def test_the_bound_of_an_exact_solution_is_that_of_its_quadrature():
    """u = exp(-pi^2 t) sin(pi x): V is exact, and what is left is rounding."""
    line = parabolic.Line(
        np.ones_like, np.ones_like, lambda x, t: 0 * x * t, lambda x: np.sin(np.pi * x), (0.0, 1.0),
        (None, None), 0.1, 0.3,
    )  # fmt: skip
    exact = parabolic.Products(
        lambda x: (np.sin(np.pi * x)[:, None], np.pi * np.cos(np.pi * x)[:, None]),
        lambda t: np.exp(-(np.pi**2) * t)[:, None] * np.array([1, -(np.pi**2)])[:, None, None],
    )
    assert parabolic.relative_to(parabolic.bound(line, exact)) < 1e-8


@pytest.mark.parametrize("width", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("where", ["time", "space", "initial"])
def test_a_pulse_between_the_points_of_the_bound_is_in_it(where, width):
    """V = exp(-pi^2 t) sin(pi x) knows nothing of it; the first sine alone makes an error of this size."""
    final, decay, x0, t0 = 0.3, np.pi**2, 0.50371, 0.2
    pulse = lambda z: np.exp(-((z / width) ** 2)) / width / np.sqrt(np.pi)  # noqa: E731
    source = {
        "time": lambda x, t: np.sin(np.pi * x) * pulse(t - t0), "space": lambda x, t: pulse(x - x0) + 0 * t,
        "initial": lambda x, t: 0 * x * t,
    }[where]  # fmt: skip
    initial = lambda x: np.sin(np.pi * x) + (pulse(x - x0) if where == "initial" else 0)  # noqa: E731
    line = parabolic.Line(np.ones_like, np.ones_like, source, initial, (0.0, 1.0), (None, None), 0.1, final)
    V = parabolic.Products(
        lambda x: (np.sin(np.pi * x)[:, None], np.pi * np.cos(np.pi * x)[:, None]),
        lambda t: np.exp(-decay * t)[:, None] * np.array([1, -decay])[:, None, None],
    )
    share = {
        "time": np.exp(-decay * (final - t0)), "space": -2 * np.expm1(-decay * final) / decay,
        "initial": 2 * np.exp(-decay * final),
    }[where]  # fmt: skip
    assert 0.99 * share * np.sqrt(0.5) <= parabolic.bound(line, V).error


@pytest.mark.parametrize("place", [0.3797, 0.50371])
def test_a_peak_between_the_points_of_the_ground_state_is_in_its_residual(place):
    """The mean of phi^2 r alone, at phi = 1, says by how much mu would be wrong."""
    width, size = 1e-3, 1e3
    peak = lambda y: size * np.exp(-(((y[:, 0] - place) / width) ** 2))  # noqa: E731
    state = ground_state.ground_state(lambda y: 1 + 0 * y[:, 0], peak, 1.0, 0.1)
    assert abs(state.mu - size * width * np.sqrt(np.pi) / 0.1) <= 2 + state.residual


@given(st.floats(0.05, 2), st.floats(0.1, 3), st.floats(0.01, 0.5))
def test_the_bound_of_a_wrong_solution_is_above_its_error(share, rate, final):
    """V = (1 + share (1 - exp(-rate t))) u for the same u, whose error is known."""
    line = parabolic.Line(
        np.ones_like, np.ones_like, lambda x, t: 0 * x * t, lambda x: np.sin(np.pi * x), (0.0, 1.0),
        (None, None), 0.1, final,
    )  # fmt: skip
    decay = np.pi**2

    def time(t):
        slow, fast = np.exp(-decay * t) * (1 + share), -share * np.exp(-(decay + rate) * t)
        return (slow + fast)[:, None], (-decay * slow - (decay + rate) * fast)[:, None]

    space = lambda x: (np.sin(np.pi * x)[:, None], np.pi * np.cos(np.pi * x)[:, None])  # noqa: E731
    found = parabolic.bound(line, parabolic.Products(space, time))
    true = share * (1 - np.exp(-rate * final)) * np.exp(-decay * final) * np.sqrt(0.5)
    assert true <= found.error <= 3 * true
