"""Minimisers of averaged functionals, and what coarse elements see."""

import numpy as np
import pytest

import fem
from lab import minimisers


def test_coarse_elements_see_the_arithmetic_mean():
    """Section 2.2: 8/17 of the solution, relative error 9/17, in the limit of fine periods and coarse elements."""
    errors = []
    for elements in (8, 16, 32):
        ratio, error = minimisers.coarse_mesh_failure(elements, periods=16)
        errors.append(abs(ratio - 8 / 17))
        assert abs(error - 9 / 17) < 0.02
    assert errors[-1] < 1e-3 and errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("second", [False, True])
def test_minimiser_solves_the_equation_of_its_functional(second):
    """int |u_xx + sin|^2 or |u_x - cos|^2 and strong sides, where u = 0: u = sin."""
    splines, x = minimisers.Splines(((0.0, np.pi),), 12), np.linspace(0, np.pi, 40)
    derivatives = [(0, 0)] if second else [(0,)]

    def gram(p):
        rows = np.stack([np.ones(len(p)), np.sin(p[:, 0]) if second else -np.cos(p[:, 0])], 1)
        return rows[:, :, None] * rows[:, None, :]

    sides = [minimisers.Side(0, end, 1e6, lambda p: 0 * p[:, 0]) for end in (0, 1)]
    u = minimisers.averaged_minimiser(gram, derivatives, sides, splines)
    assert fem.relative_error(u.on_grid(x), np.sin(x)) < 1e-4
    assert fem.relative_error(u.on_grid(x, along=(0,)), np.cos(x)) < 1e-3


def test_too_few_points_are_named():
    rules = [(np.linspace(0, 1, 5), np.full(5, 0.2))]
    with pytest.raises(ValueError, match="rules: found fewer points"):
        minimisers.averaged_minimiser(None, [(0,)], [], minimisers.Splines(((0.0, 1.0),), 8), rules)
