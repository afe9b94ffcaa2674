"""Rules for sums over periods, and splines on tables, against sums and splines themselves."""

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.interpolate import make_interp_spline

from nhpinn_tools import certificates, quadrature, two_scale

FEW = sorted({few for rules in certificates.RULES.values() for _, few in rules})


@pytest.mark.parametrize("few", FEW)
def test_a_few_periods_stand_for_all(few):
    """Exactly for polynomials of a degree below their number, with positive weights; for many periods nearly twice."""
    for count in (*range(1, 200), 1000, 10**6):
        index, weights = quadrature.sum_rule(count, few)
        assert len(index) == len(set(index)) == min(count, few) and index.min() >= 0 and index.max() < count
        assert weights.min() > 0.1 * count / len(index)
        exact = legendre.legvander((2 * np.arange(count) + 1) / count - 1, 2 * few - 1).sum(0)
        miss = weights @ legendre.legvander((2 * index + 1) / count - 1, 2 * few - 1) - exact
        assert np.abs(miss[: len(index)]).max() < 1e-12 * count
        assert count < 1000 or np.abs(miss).max() < 0.1 * count * (1000 / count)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_table_of_splines_is_that_of_scipy(dim):
    """Values and derivatives, at knots and beside them; on grids and at points."""
    rng, counts = np.random.default_rng(0), (20, 9, 11)[:dim]
    nodes = [two_scale.macro_nodes(np.array([[0.0, 2.0]]), count)[0] for count in counts]
    values, x = rng.random((*counts, 2)), [np.append(z, rng.uniform(0, 2, 30 - len(z))) for z in nodes]
    table = two_scale.spline_table(nodes, values)
    for orders in ((0, 0, 0), (1, 0, 2), (2, 3, 1)):
        exact, wanted = values, sum(((i,) * orders[i] for i in range(dim)), ())
        for axis, z in enumerate(nodes):
            along = make_interp_spline(z, np.moveaxis(exact, axis, 0), 5)
            exact = np.moveaxis(along(x[axis], orders[axis]), 0, axis)
        (on_grid,), (at_points,) = (table.at(x, grid, wanted) for grid in (True, False))
        close = {"rtol": 0, "atol": 1e-12 * np.abs(exact).max()}
        np.testing.assert_allclose(on_grid.T.reshape(exact.shape), exact, **close)
        np.testing.assert_allclose(at_points.T, exact[(range(30),) * dim], **close)
