"""Two-sided bounds by elements: order, closed forms, duality and invariance, for images and for functions."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from test_fem import random_coefficient

import fem_cells
from nhpinn_tools.element_bounds import bounds_of_function, bounds_of_image

seeds = st.integers(0, 2**32 - 1)
TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
shapes = st.sampled_from([(2, 2), (3, 4), (5, 3), (2, 2, 2), (3, 2, 4)])
contrasts = st.floats(1, 1e4)


def random_image(seed, shape, contrast=10.0, tensor=False):
    """Two phases at random, or a random symmetric positive definite tensor in every voxel."""
    rng = np.random.default_rng(seed)
    if not tensor:
        return np.where(rng.random(shape) < 0.5, 1.0, contrast)
    root = rng.standard_normal((*shape, len(shape), len(shape)))
    return root @ np.swapaxes(root, -1, -2) + 0.3 * np.eye(len(shape))


def below(A, B, slack=1e-12):
    """A <= B as symmetric matrices, up to rounding."""
    return np.linalg.eigvalsh(B - A).min() > -slack * np.abs(B).max()


def voxels(image, times):
    for axis in range(image.ndim):
        image = np.repeat(image, times, axis)
    return image


@settings(max_examples=4)
@given(seeds, shapes, contrasts, st.booleans(), st.sampled_from([1.0, (1.0, 2.0, 0.5)]))
def test_bounds_of_an_image_are_ordered_and_refinement_tightens_them(seed, shape, contrast, tensor, period):
    """Reuss <= lower <= finer lower <= tensor <= finer upper <= upper <= Voigt."""
    image, dim = random_image(seed, shape, contrast, tensor), len(shape)
    period = period if np.isscalar(period) else period[:dim]
    coarse, fine = (bounds_of_image(image, dim, period=period, tolerance=0, size=size) for size in (0, 1000))
    full = image if tensor else image[..., None, None] * np.eye(dim)
    voxel = tuple(range(dim))
    chain = [np.linalg.inv(np.linalg.inv(full).mean(voxel)), coarse.lower, fine.lower, fine.tensor]
    chain += [fine.upper, coarse.upper, full.mean(voxel)]
    slack = 1e-6  # of the solver at least a hundredth of the gap: refined bounds may lose that much
    assert all(below(A, B, max(slack, coarse.gap / 50)) for A, B in pairwise(chain))
    assert below(coarse.lower, coarse.upper) and below(fine.lower, fine.upper)  # whatever the solver does
    assert coarse.quadrature == fine.quadrature == 0


@settings(max_examples=6)
@given(seeds, st.integers(1, 3), contrasts)
def test_bounds_of_layers_are_the_harmonic_and_the_arithmetic_mean(seed, dim, contrast):
    layers = np.exp(np.random.default_rng(seed).uniform(0, np.log(contrast), 5))
    image = np.broadcast_to(layers.reshape(5, *[1] * (dim - 1)), (5, 2, 3)[:dim])
    found, expected = bounds_of_image(image, dim), np.diag([1 / np.mean(1 / layers), *[layers.mean()] * (dim - 1)])
    for tensor in (found.lower, found.upper, found.tensor):
        np.testing.assert_allclose(tensor, expected, rtol=1e-12, atol=1e-12 * contrast)


@settings(max_examples=12)
@given(seeds, st.integers(2, 3), contrasts, st.sampled_from([1.0, 1e3, 1e6]))
def test_bounds_of_products_contain_them_whatever_the_periods(seed, dim, contrast, aspect):
    """a = f(y_1) g(y_2): the harmonic mean of f times the mean of g along axis 0, and the other way round."""
    rng = np.random.default_rng(seed)
    factors = [np.exp(rng.uniform(0, np.log(contrast) / dim, rng.integers(1, 5))) for _ in range(dim)]
    image, period = factors[0], aspect ** rng.uniform(-0.5, 0.5, dim)
    for factor in factors[1:]:
        image = image[..., None] * factor
    found = bounds_of_image(image, dim, period=tuple(period), size=2000)
    means = np.array([factor.mean() for factor in factors])
    exact = np.prod(means) / means / [np.mean(1 / factor) for factor in factors]
    for larger, smaller in ((found.upper, np.diag(exact)), (np.diag(exact), found.lower)):
        assert np.linalg.eigvalsh((larger - smaller) / np.sqrt(np.outer(exact, exact))).min() >= 0
    if np.count_nonzero([len(factor) > 1 for factor in factors]) == 1:  # layers are exact
        assert found.gap < 1e-15 * (100 + 1e2 * aspect * np.sqrt(contrast))


def test_the_gap_is_that_of_the_direction_where_it_is_largest():
    """Refinement does not stop at the tolerance in the norm, which a strong direction rules."""
    image = random_image(0, (8, 8))[..., None, None] * np.diag([1.0, 1e-4]) + np.diag([50.0, 0.0])
    coarse, found = (bounds_of_image(image, 2, size=size) for size in (0, 50_000))
    for each in (coarse, found):
        ratios = np.linalg.eigvals(np.linalg.solve(each.upper + each.lower, 2 * (each.upper - each.lower)))
        np.testing.assert_allclose(each.gap, np.abs(ratios).max(), rtol=1e-6)
    assert np.linalg.norm(coarse.upper - coarse.lower, 2) < 1e-2 * np.linalg.norm(coarse.upper, 2)
    assert found.gap < 0.5 * coarse.gap


@settings(max_examples=4)
@given(st.floats(0.01, 100), st.integers(1, 3))
def test_a_homogeneous_image_is_exact(k, dim):
    found = bounds_of_image(np.full((4, 3, 2)[:dim], k), dim)
    np.testing.assert_allclose([found.lower, found.upper], [k * np.eye(dim)] * 2, rtol=1e-13, atol=1e-13 * k)
    assert np.abs(found.field.at(np.random.default_rng(0).random((5, dim)))[0]).max() < 1e-12


@settings(max_examples=3)
@given(st.floats(1e-4, 1e4))
def test_bounds_contain_closed_forms(s):
    """A square inclusion (Obnosov): sqrt((1 + 3 s) / (3 + s)); the checkerboard (Keller, Dykhne): sqrt(s)."""
    for image, exact in (([[s, 1], [1, 1]], np.sqrt((1 + 3 * s) / (3 + s))), ([[s, 1], [1, s]], np.sqrt(s))):
        found = bounds_of_image(np.array(image), 2, size=2000)
        assert below(found.lower, exact * np.eye(2)) and below(exact * np.eye(2), found.upper)
        np.testing.assert_allclose(found.tensor, exact * np.eye(2), rtol=1e-10, atol=1e-10 * exact)
        assert found.gap < 1e-2 or image[1][1] == s


@settings(max_examples=4)
@given(seeds, contrasts)
def test_swapping_the_phases_gives_the_dual_bounds(seed, contrast):
    """a* of a and of b = R^T a^-1 R: a*(a) = R a*(b)^-1 R^T, so that the intervals overlap (Keller, Mendelson)."""
    image = random_image(seed, (4, 3), contrast)
    one, two = bounds_of_image(image, 2, size=500), bounds_of_image(contrast / image, 2, size=500)
    lower, upper = (contrast * TURN @ np.linalg.inv(A) @ TURN.T for A in (two.upper, two.lower))
    assert below(lower, one.upper) and below(one.lower, upper)


@settings(max_examples=3)
@given(seeds, st.integers(0, 2), st.integers(0, 3), st.floats(0.01, 100))
def test_bounds_follow_shifts_turns_and_scales_of_the_image(seed, along, shift, factor):
    image = random_image(seed, (3, 4))
    found, moved = (
        bounds_of_image(image, 2, size=500),
        bounds_of_image(factor * np.roll(image, shift, along % 2), 2, size=500),
    )
    np.testing.assert_allclose(moved.tensor, factor * found.tensor, rtol=1e-4, atol=1e-4 * factor)
    turned = bounds_of_image(np.rot90(image), 2, size=500, period=(4.0, 3.0))  # square voxels, as in the next line
    image = bounds_of_image(image, 2, size=500, period=(3.0, 4.0))
    np.testing.assert_allclose(turned.tensor, TURN @ image.tensor @ TURN.T, rtol=1e-3, atol=1e-3)


@settings(max_examples=4)
@given(seeds, shapes, contrasts)
def test_a_larger_conductivity_never_lowers_the_bounds(seed, shape, more):
    image = random_image(seed, shape)
    found, raised = (bounds_of_image(k, len(shape), size=500) for k in (image, np.where(image > 1, 10 * more, 1.0)))
    assert below(found.lower, raised.upper)


@settings(max_examples=8)
@given(seeds, shapes, st.floats(2, 1000))
def test_bounds_of_two_phases_obey_those_of_any_geometry(seed, shape, contrast):
    """Hashin and Shtrikman's for tensors (Murat and Tartar): with eigenvalues l of a*, phases 1 and c,

    sum 1 / (l - 1) <= 1 / (h - 1) + (d - 1) / (m - 1),   sum 1 / (c - l) <= 1 / (c - h) + (d - 1) / (c - m),

    h and m the harmonic and the arithmetic mean.
    """
    mixed = np.random.default_rng(seed).random(shape) < 0.5
    mixed.flat[0], mixed.flat[-1] = True, False
    image, dim = np.where(mixed, float(contrast), 1.0), len(shape)
    h, m, found = 1 / np.mean(1 / image), image.mean(), bounds_of_image(image, dim, size=500)
    low, high = np.linalg.eigvalsh(found.lower), np.linalg.eigvalsh(found.upper)
    assert np.sum(1 / (high - 1)) <= (1 / (h - 1) + (dim - 1) / (m - 1)) * (1 + 1e-9)
    assert np.sum(1 / (contrast - low)) <= (1 / (contrast - h) + (dim - 1) / (contrast - m)) * (1 + 1e-9)


@settings(max_examples=3)
@given(seeds, st.sampled_from([(3, 2), (2, 2, 3)]))
def test_bounds_do_not_depend_on_how_finely_an_image_is_sampled(seed, shape):
    image = random_image(seed, shape)
    one, two = (bounds_of_image(k, len(shape), size=500) for k in (image, voxels(image, 2)))
    assert below(one.lower, two.upper) and below(two.lower, one.upper)


@settings(max_examples=3)
@given(seeds, st.integers(1, 3), st.booleans())
def test_bounds_of_a_smooth_function_close_upon_its_tensor(seed, dim, tensor):
    a = random_coefficient(seed, dim, tensor=tensor)
    found = bounds_of_function(a, dim, 5)
    assert below(found.lower, found.upper) and found.gap < 2e-3 and found.quadrature < 1e-3
    exact = fem_cells.homogenized_tensor(a, dim, 5, order=5)
    assert below(found.lower, exact, 1e-5) and below(exact, found.upper, 1e-5)
