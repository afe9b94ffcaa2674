"""Two phases with a sharp interface, against Rayleigh's multipoles, laminates, duality and invariances."""

from functools import cache
from math import comb, gamma

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy.linalg import eigvalsh

import nhpinn
from nhpinn_tools import phases
from nhpinn_tools.interface_rule import Arrangement, partition, rule
from nhpinn_tools.phases import TwoPhase, attempt, solve_two_phases, unit_cell

contrasts = st.floats(-2, 2).map(lambda e: 10**e)
shifts = st.tuples(st.floats(0, 1), st.floats(0, 1))
QUARTER = np.array([[0.0, -1.0], [1.0, 0.0]])
few = settings(max_examples=2, phases=[Phase.explicit, Phase.generate])


def solved(cell, dim=2, **options):
    return solve_two_phases(unit_cell(cell, dim, np.ones(dim)), dim, **options)


def ball(radius, centre):
    centre = np.array(centre)
    return lambda y: radius - anp.sqrt(((anp.mod(y - centre + 0.5, 1) - 0.5) ** 2).sum(1))


def disc(fraction, centre=(0.5, 0.5)):
    return ball(np.sqrt(fraction / np.pi), centre)


def waves(shift=(0.0, 0.0), turned=False):
    """A level set without symmetries, cos u + 0.7 cos v + 0.3 sin(u + v) - 1, of few operations for autograd to record;
    turned: by a quarter, y -> (y_2, -y_1)."""
    waves = 2 * np.pi * np.array([[1, 0, 1], [0, 1, 1]])
    phase, sizes = np.array([0, 0, np.pi / 2]) + shift @ waves, np.array([1, 0.7, 0.3])
    waves = QUARTER @ waves if turned else waves
    return lambda y: anp.dot(anp.cos(anp.dot(y, waves) - phase), sizes) - 1


def discs(fraction, s, order=24):
    """Conductivity of a square array of discs of conductivity s in 1: Rayleigh (1892), Perrins et al. (1979)."""
    G = {2: np.pi, 4: gamma(0.25) ** 8 / (960 * np.pi**2)}  # sums of z^-n over the lattice
    m, n = np.meshgrid(np.arange(-30, 31), np.arange(-30, 31))
    z = (m + 1j * n)[(m != 0) | (n != 0)]
    G.update({k: np.sum(z ** (-1.0 * k)).real for k in range(8, 4 * order, 4)})
    l, contrast, R = np.arange(1, order + 1), (1 - s) / (1 + s), np.sqrt(fraction / np.pi)
    power = R ** (2.0 * l - 1)  # unknowns and equations in units of R keep the matrix well conditioned
    sums = np.array([[comb(2 * i + 2 * j - 3, 2 * i - 1) * G.get(2 * i + 2 * j - 2, 0.0) for j in l] for i in l])
    b = np.linalg.solve(np.eye(order) + contrast * sums * np.outer(power, power), contrast * power * (l == 1))
    return 1 - 2 * np.pi * power[0] * b[0]


def below(A, B, slack=1e-9):
    return eigvalsh(np.asarray(B) - A, np.asarray(B)).min() > -slack


def holds(result, truth):
    return below(result.lower, truth) and below(truth, result.upper)


def close(result, other, truth):
    """Within what the two results claim."""
    allowed = result.gap + result.quadrature + other.gap + other.quadrature + 1e-12
    return np.abs(eigvalsh(result.tensor - truth, truth)).max() <= allowed


def test_multipoles_reproduce_published_values():
    published = {(0.2, 10): 1.391458, (0.5, 10): 2.415467, (0.5, 1000): 3.071404, (0.7, 50): 6.335921}
    assert all(abs(discs(*key) - value) < 2e-6 for key, value in published.items())


@few
@given(st.floats(0.1, 0.65), contrasts, shifts)
def test_bounds_contain_the_multipoles_wherever_the_disc_lies(fraction, s, centre):
    result, truth = solved(TwoPhase(disc(fraction, centre), s, 1.0), 2, tolerance=1e-4), discs(fraction, s)
    assert holds(result, truth * np.eye(2)) and result.gap + result.quadrature <= 1e-4
    assert np.abs(result.tensor - truth * np.eye(2)).max() < 1e-5 * truth


@pytest.mark.parametrize("fraction, s", [(0.2, 10), (0.5, 10), (0.5, 0.1), (0.5, 1000), (0.7, 50)])
def test_bounds_of_discs_are_tight_on_both_sides(fraction, s):
    """A bound off by 1e-4 is noticed: too close to the truth or beyond it, or too far from it."""
    result, truth = solved(TwoPhase(disc(fraction), s, 1.0), tolerance=1e-4), discs(fraction, s, 60) * np.eye(2)
    assert below(result.lower, truth, 1e-8) and below(truth, result.upper, 1e-8)
    assert below(truth * (1 - 1e-4), result.lower) and below(result.upper, truth * (1 + 1e-4))
    assert np.abs(result.tensor - truth).max() < 1e-6 * truth[0, 0]


@few
@given(st.integers(8, 80), contrasts)
def test_bounds_hold_for_any_fields(total, s):
    """Few features leave jumps and residuals that the bounds must cover."""
    cell = unit_cell(TwoPhase(disc(0.4), s, 1.0), 2, np.ones(2))
    boxes = partition(cell.arrangement, 2, 8, 8)[0]
    result = attempt(cell, boxes, total, 3, None, np.random.default_rng(total))[0]
    assert holds(result, discs(0.4, s) * np.eye(2))


@few
@given(st.sampled_from([(1, 0), (1, 1), (2, -1), (1, 2)]), st.floats(0.25, 0.75), contrasts, st.floats(0, 1))
def test_a_laminate_at_an_angle_is_harmonic_across_and_arithmetic_along(k, share, s, shift):
    level_set = lambda y: anp.cos(2 * np.pi * (y @ np.array(k) - shift)) - np.cos(np.pi * share)  # noqa: E731
    result = solved(TwoPhase(level_set, s, 1.0), 2, tolerance=1e-5)
    n = np.array(k) / np.linalg.norm(k)
    along, across = share * s + 1 - share, 1 / (share / s + 1 - share)
    truth = along * np.eye(2) + (across - along) * np.outer(n, n)
    assert holds(result, truth) and close(result, result, truth) and result.gap + result.quadrature <= 1e-5


TENSOR = np.array([[6.0, 1.0], [1.0, 3.0]])


@cache
def of_waves(unit=1.0):
    return solved(TwoPhase(waves(), unit * TENSOR, unit), 2, tolerance=1e-2)


@settings(few, max_examples=1)
@given(shifts, st.floats(0.1, 10))
def test_shifts_turns_and_units_change_nothing_but_the_frame(shift, unit):
    base = of_waves()
    moved = solved(TwoPhase(waves(shift), unit * TENSOR, unit), 2, tolerance=1e-2)
    assert close(base, moved, moved.tensor / unit)
    tensor = QUARTER @ TENSOR @ QUARTER.T
    turned = solved(TwoPhase(waves(shift, turned=True), tensor, 1.0), 2, tolerance=1e-2)
    assert close(base, turned, QUARTER.T @ turned.tensor @ QUARTER)


@few
@given(contrasts, shifts)
def test_swapped_phases_are_dual(s, shift):
    one = solved(TwoPhase(waves(shift), s, 1.0), 2, tolerance=1e-2)
    two = solved(TwoPhase(waves(shift), 1.0, s), 2, tolerance=1e-2)
    R = np.array([[0.0, -1.0], [1.0, 0.0]])
    lower, tensor, upper = (s * R @ np.linalg.inv(A) @ R.T for A in (two.upper, two.tensor, two.lower))
    assert below(one.lower, upper) and below(lower, one.upper) and close(one, two, tensor)


@few
@given(contrasts, st.floats(1.01, 3))
def test_a_larger_conductivity_never_lowers_the_tensor_and_hashin_shtrikman_holds(s, factor):
    one, two = (solved(TwoPhase(disc(0.45), k, 1.0), tolerance=1e-4) for k in (s, s * factor))
    assert below(one.lower, two.lower, 2e-4) and below(one.upper, two.upper, 2e-4)
    f = 0.45
    limits = sorted(
        [1 + 2 * f * (s - 1) / (2 + (1 - f) * (s - 1)), s + 2 * s * (1 - f) * (1 - s) / (2 * s + f * (1 - s))]
    )
    slack = one.gap + one.quadrature
    assert limits[0] * (1 - slack) <= one.lower[0, 0] and one.upper[0, 0] <= limits[1] * (1 + slack)


@pytest.mark.slow
@pytest.mark.parametrize("s, truth", [(10, 1.88774), (0.1, 0.65629)])
def test_spheres_in_a_cubic_array(s, truth):
    result = solved(TwoPhase(ball((0.9 / (4 * np.pi)) ** (1 / 3), (0.5,) * 3), s, 1.0), 3, tolerance=1e-4, stages=1)
    assert holds(result, truth * np.eye(3)) and np.abs(result.tensor - truth * np.eye(3)).max() < 3e-4 * truth


def test_smooth_conductivities_and_periods():
    """A disc in a cell of another size; and a jump that is none, against finite elements."""
    from fem_cells import homogenized_tensor

    half = nhpinn.homogenize(TwoPhase(lambda y: disc(0.5)(y / 0.5), 10, 1.0), 2, period=0.5, tolerance=1e-4)
    assert np.allclose(half.tensor, discs(0.5, 10) * np.eye(2), rtol=1e-5, atol=1e-5)
    field = lambda y: 2 + anp.sin(2 * np.pi * y[:, 0]) * anp.cos(2 * np.pi * y[:, 1])  # noqa: E731
    result = solved(TwoPhase(disc(0.3), field, field), 2, tolerance=1e-5)
    assert np.allclose(result.tensor, homogenized_tensor(field, 2, 16), rtol=1e-5, atol=1e-5)


def test_the_corrector_is_periodic_continuous_and_has_mean_zero():
    cell = TwoPhase(disc(0.5, (0.1, 0.9)), 10, 1.0)
    result = solved(cell, 2, tolerance=1e-6)
    alone = Arrangement((cell.level_set,), (0, 0, 1))
    q = rule(alone, partition(alone, 2, 8, 8)[0], 6)
    chi = result.cells(q.points)[0][0]
    assert np.abs(chi @ q.weights).max() < 1e-6 * np.abs(chi).max()
    assert np.allclose(result.cells(q.points + np.array([1, -2]))[0][0], chi, atol=1e-9)
    sides = [result.cells(q.surface + side * q.normals)[0] for side in (-1e-7, 1e-7)]
    assert np.abs(sides[0] - sides[1]).max() < 1e-3 * np.abs(chi).max()


@given(st.floats(0.05, 0.49), st.tuples(*[st.floats(0, 1)] * 3), st.sampled_from([2, 3]))
@settings(max_examples=10)
def test_the_rule_measures_balls_and_their_surfaces(radius, centre, dim):
    level_set = ball(radius, centre[:dim])
    alone = Arrangement((level_set,), (0, 0, 1))
    q = rule(alone, partition(alone, dim, {2: 12, 3: 4}[dim], {2: 8, 3: 4}[dim])[0], 4)
    volume, area = {2: (np.pi, 2 * np.pi), 3: (4 / 3 * np.pi, 4 * np.pi)}[dim]
    assert abs(q.weights.sum() - 1) < 1e-12
    assert abs(q.weights @ (q.phase == 0) - volume * radius**dim) < {2: 2e-6, 3: 2e-4}[dim]
    assert abs(q.area.sum() / (area * radius ** (dim - 1)) - 1) < {2: 2e-3, 3: 2e-2}[dim]
    assert np.abs(level_set(q.surface)).max() < 1e-12


def test_what_cannot_be_met_is_said(monkeypatch):
    monkeypatch.setattr(phases, "STAGES", {2: phases.STAGES[2][:1]})
    with pytest.warns(UserWarning, match="bounds are .* apart .* narrow gaps .*recipe='fem'"):
        result = nhpinn.homogenize(TwoPhase(disc(0.7), 50, 1.0), 2)
    assert holds(result, discs(0.7, 50, 60) * np.eye(2))
    with pytest.warns(
        UserWarning, match="the bounds are by finite elements.* (random features|the interface as measured has gaps)"
    ):
        result = nhpinn.homogenize(TwoPhase(disc(0.94), 50, 1.0), 2)
    assert result.gap + result.quadrature < 0.05


@pytest.mark.parametrize(
    "cell, sentence",
    [
        (TwoPhase(lambda y: 1 + 0 * y[:, 0], 2, 1), "level_set: positive everywhere"),
        (TwoPhase(lambda y: -(disc(0.5)(y) ** 2), 2, 1), "level_set: not positive everywhere"),
        (TwoPhase(lambda y: disc(0.5)(y) ** 3, 2, 1), "level_set: found no normal"),
        (TwoPhase(lambda y: 0.3 - (y**2).sum(1), 2, 1), "level_set: its signs on opposite faces of axis 0"),
        (TwoPhase(lambda y: np.where(disc(0.5)(y) > 0, 1.0, -1.0), 2, 1), "level_set: its gradient is zero everywhere"),
        (TwoPhase(lambda y: 0.3 - np.linalg.norm(y - 0.5, axis=1), 2, 1), "level_set: could not be differentiated"),
        (TwoPhase(disc(0.5), -1, 1), "inside: not elliptic"),
        (TwoPhase(disc(0.5), 0, 1), "inside: found 0.0, expected a positive and finite .* pores"),
        (TwoPhase(disc(0.5), 1, np.inf), "outside: found inf, expected a positive and finite .* pores"),
        (TwoPhase(disc(0.5), 2, np.ones(3)), r"outside: found array\(.*, expected a number, a tensor"),
        (TwoPhase(disc(0.5), "abc", 1), "inside: found 'abc', expected a number, a tensor"),
    ],
)
def test_what_does_not_fit_is_refused(cell, sentence):
    with pytest.raises((ValueError, TypeError), match=f"^{sentence}"):
        solved(cell)
