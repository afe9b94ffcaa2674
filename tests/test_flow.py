"""Flows through faces: closed forms between their bounds, which are as close as the square of the bar."""

import warnings

import autograd.numpy as anp
import numpy as np
import pytest

import fem
import nhpinn
from nhpinn import Flux
from nhpinn_functions import faces_of
from nhpinn_tools.flow import integral

TAU = 2 * np.pi
SQUARE, INSULATED = [(0, 1), (0, 1)], (Flux(0), Flux(0))


def laminate(x, y):
    return 1 / (2 + anp.sin(TAU * y[:, 0]))


def waves(x, y):
    return 2 + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, 1])


def zero(x):
    return 0 * x[:, 0]


def one(x):
    return 1 + 0 * x[:, 0]


@pytest.mark.parametrize("source", [zero, one])
def test_a_wall_of_layers(source):
    """a u' = C - f x on (0, 1), u = 1, 0 at the ends, 1 / a = 2 + sin(16 pi x)."""
    f = source(np.zeros((1, 1)))[0]
    x, w = fem.gauss(np.linspace(0, 1, 65), 8)
    C = (-1 + f * w @ (x * (2 + np.sin(8 * TAU * x)))) / 2
    u = nhpinn.solve(laminate, source, [(0, 1)], 1 / 8, boundary=(1, 0))
    for side, exact in ((0, -C), (1, C - f)):
        lower, upper = u.flow(0, side)
        assert lower <= exact <= upper
        assert upper - lower < (1e-9 if f == 0 else 5 * u.error)


def test_a_plate_between_two_temperatures():
    """Insulated above and below: what flows in at the left flows out at the right, (100 - 20) Q = |u|_a^2."""
    sides = [(100, 20), INSULATED]
    u = nhpinn.solve(waves, zero, [(0, 1), (0, 1)], 1 / 4, boundary=sides)
    mesh = fem.Mesh(((0.0, 1.0),) * 2, 20, 4)
    fine, s = (
        fem.solve_elliptic(lambda x: waves(x, 4 * x), zero, mesh, faces=faces_of(sides, mesh.bounds)),
        fem.space(mesh),
    )
    a = waves(s.points, s.points * 4)
    exact = s.weights @ (a * sum((D @ fine.nodal) ** 2 for D in s.D)) / 80
    (lower, upper), other = u.flow(0, 0), u.flow(0, 1)
    assert lower <= exact * (1 + 1e-7) and exact * (1 - 1e-7) <= upper
    assert upper - lower <= 2 * u.error**2 * exact  # what two rules differ by is in it
    assert other == (-upper, -lower)
    assert u.flow(1, 0) == (0, 0)


def test_balance_alone_knows_the_flow_through_the_only_face_of_values_and_corners_of_values_none():
    sides = [(0, Flux(lambda x: x[:, 1])), INSULATED]
    u = nhpinn.solve(waves, one, [(0, 1), (0, 1)], 1 / 4, boundary=sides)
    assert u.flow(0, 0) == pytest.approx((-1.5, -1.5), rel=1e-9)
    assert u.flow(0, 1) == pytest.approx((0.5, 0.5), rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u = nhpinn.solve(waves, one, [(0, 1), (0, 1)], 1 / 4)
    assert u.flow(0, 0) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="axis: found 2"):
        u.flow(2, 0)


def test_a_flux_that_jumps_between_points_of_rules():
    """What flows in through the only face of values is the rest: two rules of a few periods differ by less than both
    are off."""
    jump, exact = 0.7877, 1.5 * 0.7877 - 0.5
    h = Flux(lambda x: np.where(x[:, 1] < jump, 1.0, -0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u = nhpinn.solve(waves, zero, SQUARE, 1 / 20, boundary=[(0, h), INSULATED])
    for side, sign in ((0, -1), (1, 1)):
        lower, upper = u.flow(0, side)
        assert lower <= sign * exact <= upper
        assert upper - lower < 1e-5


def test_integrals_of_data_know_what_they_may_be_off_and_whether_all_is_zero():
    """Formula (2) needs h = 0: that its integral is 0 is not enough."""
    line, square = np.array([[0.0, 1.0]]), np.array(SQUARE)
    for function, box, exact in (
        (lambda x: np.sign(x[:, 0] - 0.5), line, 0.0),
        (lambda x: np.exp(-(((x[:, 0] - 0.3) / 0.002) ** 2)), line, 0.002 * np.sqrt(np.pi)),
        (lambda x: (np.sum((x - 0.4) ** 2, axis=1) < 0.01).astype(float), square, 0.01 * np.pi),
    ):
        found, off, busy = integral(function, box)
        assert abs(found - exact) <= off and busy
    assert integral(zero, square) == (0, 0, False)
