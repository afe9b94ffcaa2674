"""Images with conductivity exactly 0: what percolates, and bounds that hold."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse

import nhpinn
from nhpinn_tools import element_bounds, percolation, pores

SQUARE = np.ones((4, 4))
SQUARE[1:3, 1:3] = 0  # a quarter of the cell; exact: 1 / sqrt(3), Obnosov 1999
FOUR = np.array([[2.0, 7.0], [0.0, 3.0]])  # exact by Craster and Obnosov 2001


def craster_obnosov(image):
    """a*_11 of four phases in a square each."""
    (p, q), (r, s) = image
    mean = (p * q * r + p * q * s + p * r * s + q * r * s) / (p + q + r + s)
    return math.sqrt(mean * (p + q) * (r + s) / ((p + r) * (q + s)))


@st.composite
def porous(draw, values=(0.0, 0.0, 1.0, 1.0, 5.0), most=(5, 3)):
    """An image of a few voxels, axes of length 1 and 2 among them, and its periods."""
    dim = draw(st.sampled_from([2, 3]))
    shape = tuple(draw(st.integers(1, most[dim - 2])) for _ in range(dim))
    image = draw(arrays.arrays(float, shape, elements=st.sampled_from(values)))
    return image, np.array([draw(st.sampled_from([1.0, 0.5, 3.0])) for _ in range(dim)])


def brute_windings(conducts):
    """The windings of all loops, by a search through copies of the cell, as far as a loop that meets no voxel twice."""
    found, known, reach = [], set(), [conducts.size // m + 1 for m in conducts.shape]
    steps = (*np.eye(conducts.ndim, dtype=int), *-np.eye(conducts.ndim, dtype=int))
    for start in np.argwhere(conducts):
        seen, queue = {tuple(start)}, [] if tuple(start) in known else [tuple(start)]
        while queue:
            place = np.array(queue.pop())
            for step in steps:
                copy, inside = np.divmod(place + step, conducts.shape)
                near = tuple(place + step)
                if near not in seen and conducts[tuple(inside)] and np.all(np.abs(copy) <= reach):
                    seen.add(near)
                    known.add(tuple(inside))
                    queue.append(near)
                    found += [copy] if np.all(inside == start) else []
    return np.reshape(found, (-1, conducts.ndim))


@given(porous(values=(0.0, 1.0), most=(4, 2)))
def test_percolation_is_that_of_a_brute_force_search(case):
    image, period = case
    loops = brute_windings(image > 0) * period
    expected = loops.T @ np.linalg.pinv(loops.T)
    directions = percolation.percolating(image > 0, period).directions
    np.testing.assert_allclose(directions @ directions.T, expected, atol=1e-10)


@pytest.mark.parametrize("winding", [(1, 1), (2, 1), (1, 3), (1, -2)])
def test_a_spiral_conducts_along_its_winding_alone(winding):
    """One strand, stretched by unequal periods: its flow runs along (w_1 L_1, w_2 L_2)."""
    size, period = 12, np.array([1.0, 2.0])
    image, place = np.zeros((size, size)), np.zeros(2, int)
    for axis in [0, 1] * size * 3:
        for _ in range(abs(winding[axis])):
            place[axis] += np.sign(winding[axis])
            image[tuple(place % size)] = 1
    found = pores.bounds(image, period, 1e-2)
    along = np.array(winding) * period / np.linalg.norm(winding * period)
    np.testing.assert_allclose(found.percolates, np.outer(along, along), atol=1e-12)
    for bound in (found.lower, found.upper, found.two_point):
        np.testing.assert_allclose(bound, np.trace(bound) * np.outer(along, along), atol=1e-12)
        assert np.trace(bound) > 0


def contained(low, high, slack=1e-7):
    """low <= high as symmetric matrices, but for what the solver leaves."""
    return np.linalg.eigvalsh(high - low).min() >= -slack * max(np.abs(high).max(), 1.0)


def at_orders(monkeypatch, image, period, orders, sample=False):
    found = []
    for order in orders:
        monkeypatch.setattr(pores, "ORDERS", order)
        found.append(pores.bounds(image, period, 1e-7, sample))
    return found


@pytest.mark.parametrize("tolerance", [0.1, 0.02, 0.005])
def test_bounds_contain_closed_forms(tolerance):
    found = nhpinn.homogenize(SQUARE, 2, tolerance=tolerance)
    assert found.gap <= tolerance
    assert np.all(found.lower.diagonal() < 1 / math.sqrt(3)) and np.all(found.upper.diagonal() > 1 / math.sqrt(3))
    four = nhpinn.homogenize(FOUR[::-1], 2, tolerance=tolerance)
    for axis, exact in enumerate((craster_obnosov(FOUR[::-1].tolist()), craster_obnosov(FOUR[::-1].T.tolist()))):
        assert four.lower[axis, axis] < exact < four.upper[axis, axis]


@given(porous())
def test_orders_and_halved_voxels_are_nested(case):
    image, period = case
    with pytest.MonkeyPatch.context() as patch:
        low, middle, high = at_orders(patch, image, period, (1, 2, 3))
        (halved,) = at_orders(patch, np.kron(image, np.ones([2] * image.ndim)), period, (2,))
    chain = [low.two_point, low.lower, middle.lower, high.lower, high.upper, middle.upper, low.upper]
    assert all(contained(a, b) for a, b in itertools.pairwise(chain))
    assert contained(middle.lower, halved.lower) and contained(halved.upper, middle.upper)
    np.testing.assert_allclose(halved.percolates, low.percolates, atol=1e-12)
    blocked = np.eye(image.ndim) - low.percolates
    assert np.abs(blocked @ low.lower).max() <= 1e-12 and np.abs(blocked @ low.upper).max() <= 1e-12


@given(porous(values=(0.0, 1.0, 1.0, 3.0)))
def test_small_conductivities_approach_the_bounds_from_above(case):
    """That of the image with pores lies below that of any image with something in them."""
    image, period = case
    found = pores.bounds(image, period, 1e-2)
    filled = element_bounds.bounds_of_image(np.where(image > 0, image, 1e-4), image.ndim, period=tuple(period), size=1)
    assert contained(found.lower, filled.upper)


def two_point_of(image, period):
    """The finite volumes' energy, by a sparse solve for the potential of every axis."""
    number = np.arange(image.size).reshape(image.shape)
    h = period / image.shape
    rows, columns, conductances, jumps = [], [], [], []
    for axis in range(image.ndim):
        a, b = image.ravel(), np.roll(image, -1, axis).ravel()
        rows.append(number.ravel())
        columns.append(np.roll(number, -1, axis).ravel())
        conductances.append(np.divide(2 * a * b, a + b, out=np.zeros(image.size), where=a * b > 0))
        jumps.append(np.full((image.size, 1), h[axis]) * np.eye(image.ndim)[axis])
    rows, columns, k, jumps = map(np.concatenate, (rows, columns, conductances, jumps))
    scale, count = k / np.repeat(h, image.size) ** 2, np.arange(len(rows))
    G = sparse.coo_array((np.ones(len(rows)), (count, columns)), (len(rows), image.size)).tocsr()
    G -= sparse.coo_array((np.ones(len(rows)), (count, rows)), G.shape).tocsr()
    A = (G.T @ sparse.diags_array(scale) @ G).toarray()
    u = np.linalg.pinv(A, rcond=1e-11, hermitian=True) @ (G.T @ (scale[:, None] * jumps))
    rest = jumps - G @ u
    return rest.T @ (scale[:, None] * rest) / image.size


@given(porous())
def test_two_point_is_the_number_of_finite_volumes_and_below_the_bounds(case):
    image, period = case
    with pytest.MonkeyPatch.context() as patch:
        (found,) = at_orders(patch, image, period, (1,))
    np.testing.assert_allclose(found.two_point, two_point_of(image, period), atol=1e-7)
    assert contained(found.two_point, found.lower)


def mirrored(image, period):
    for axis in range(image.ndim):
        image = np.concatenate([image, np.flip(image, axis)], axis)
    return image, 2 * period


@given(porous())
def test_a_sample_is_its_mirrored_periodic_image(case):
    image, period = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pores, "ORDERS", 2)
        sample, cell = (pores.bounds(*each) for each in ((image, period, 1e-9, True), (*mirrored(image, period), 1e-9)))
    for name in ("percolates", "two_point", "lower", "upper"):
        np.testing.assert_allclose(getattr(sample, name), getattr(cell, name), atol=1e-6)


@given(porous(), st.sampled_from([1e-9, 1.0, 1e9]))
def test_units_shifts_and_the_order_of_axes_change_nothing(case, unit):
    image, period = case
    with pytest.MonkeyPatch.context() as patch:
        (plain,) = at_orders(patch, image, period, (2,))
        moved = np.roll(image, 1, tuple(range(image.ndim))).T * unit
        (other,) = at_orders(patch, moved, period[::-1] / unit, (2,))
    for name in ("lower", "upper", "two_point"):
        np.testing.assert_allclose(getattr(other, name) / unit, getattr(plain, name)[::-1, ::-1], atol=1e-6)


@given(porous(), st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=3, max_size=3))
def test_stretching_space_turns_numbers_into_tensors(case, factors):
    """y -> S y takes the tensor a to S a S, and periods L to S L."""
    image, period = case
    S = np.diag(factors[: image.ndim])
    with pytest.MonkeyPatch.context() as patch:
        (plain,) = at_orders(patch, image, period, (2,))
        (stretched,) = at_orders(patch, image[..., None, None] * S @ S, period * S.diagonal(), (2,))
    np.testing.assert_allclose(stretched.lower, S @ plain.lower @ S, atol=1e-6)
    np.testing.assert_allclose(stretched.upper, S @ plain.upper @ S, atol=1e-6)


@given(st.integers(0, 99), st.sampled_from([(3, 3), (2, 1, 2)]))
def test_tensors_without_pores_have_the_bounds_of_other_elements(seed, shape):
    rng, dim = np.random.default_rng(seed), len(shape)
    roots = rng.standard_normal((3, dim, dim))
    image = (roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(dim))[rng.integers(3, size=shape)]
    ours, theirs = pores.bounds(image, np.ones(dim), 0.1), element_bounds.bounds_of_image(image, dim, tolerance=0.5)
    assert contained(ours.lower, theirs.upper) and contained(theirs.lower, ours.upper)
    assert ours.gap < 0.1


def test_touching_at_edges_and_corners_conducts_nothing():
    checkers = np.indices((4, 4, 4)).sum(0) % 2
    for image in (checkers[0], checkers, np.eye(5)[:, :, None] * np.ones(3)):
        found = nhpinn.homogenize(image.astype(float), image.ndim)
        blocked = slice(2)
        assert not found.lower[blocked].any() and not found.upper[blocked].any() and not found.two_point[blocked].any()
        assert "0 exactly, as nothing percolates, along axis 0, 1" in str(found)
    np.testing.assert_allclose(found.tensor[2, 2], 1 / 5, rtol=1e-12)  # columns of the last image


def test_dead_ends_and_islands_carry_nothing():
    image = np.zeros((6, 7))
    image[2] = 1
    comb = image.copy()
    comb[3:5, 3] = comb[0, 5] = 1
    one, other = (pores.bounds(each, np.ones(2), 1e-6) for each in (image, comb))
    np.testing.assert_allclose(one.lower, np.diag([0, 1 / 6]), atol=1e-12)
    assert contained(one.upper, other.lower) and other.upper[1, 1] < 1.2 / 6 and not other.upper[0].any()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_layers_are_exact(dim):
    """The mean along them, the harmonic mean across; 0 across a pore."""
    image = np.array([1.0, 4.0, 2.0]).reshape(3, *[1] * (dim - 1))
    found = nhpinn.homogenize(image, dim, sample=True, tolerance=1e-8)
    np.testing.assert_allclose(found.tensor, np.diag([12 / 7] + [7 / 3] * (dim - 1)), rtol=1e-7, atol=1e-12)
    image[1] = 0
    found = nhpinn.homogenize(image, dim, tolerance=1e-8)
    np.testing.assert_allclose(found.tensor, np.diag([0.0] + [1.0] * (dim - 1)), rtol=1e-7, atol=1e-12)
    assert found.lower[0, 0] == found.upper[0, 0] == 0


def test_labels_have_pores_and_tensors():
    labels = np.array([[0, 1, 1], [2, 1, 2], [1, 1, 2]])
    values = {0: 0.0, 1: 1.0, 2: [[2.0, 0.5], [0.5, 1.0]]}
    found = nhpinn.homogenize(labels, 2, values=values)
    assert found.two_point is None and found.gap < 0.01 and np.array_equal(found.percolates, np.eye(2))
    finer = nhpinn.homogenize(np.kron(labels, np.ones((2, 2), int)), 2, values=values)
    assert contained(found.lower, finer.upper) and contained(finer.lower, found.upper)


def test_nothing_at_all_conducts_nothing():
    found = nhpinn.homogenize(np.zeros((3, 4)), 2)
    assert not found.tensor.any() and found.gap == 0 and not found.percolates.any() and "0" in str(found)


def test_what_is_not_known_or_not_meant_is_refused():
    with pytest.raises(ValueError, match="^sample: found True, expected False but for an image"):
        nhpinn.homogenize(lambda y: 1 + 0 * y[:, 0], 2, sample=True)
    with pytest.raises(ValueError, match="^corrector: found an image with pores"):
        nhpinn.homogenize(SQUARE, 2).corrector([[0.1, 0.1]])
    with pytest.raises(ValueError, match="^image: found shape"):
        nhpinn.tortuosity(np.ones((2, 2, 2, 2)))
    with pytest.raises(ValueError, match="^image: found shape .12, 12, 4., that of a picture in colour"):
        nhpinn.tortuosity(np.ones((12, 12, 4)))
    with pytest.raises(ValueError, match="^values: found tensors"):
        nhpinn.tortuosity(np.ones((2, 2), int), values={1: np.eye(2)})
    with pytest.raises(ValueError, match="^values: found None for the label 2, expected .*label"):
        nhpinn.tortuosity([[0, 1], [2, 1]])


def test_a_gap_above_the_tolerance_is_said(monkeypatch):
    monkeypatch.setattr(pores, "ORDERS", 1)
    with pytest.warns(UserWarning, match="bounds are 0.091 apart.* edges of pores"):
        nhpinn.homogenize(SQUARE, 2)


# Tortuosity ---------------------------------------------------------------------------------------


def test_tortuosity_of_a_square_array_and_of_straight_pores():
    """A square grain in a square of pores, by its mirror images an array: tau = 0.75 sqrt(3)."""
    found = nhpinn.tortuosity(SQUARE > 0, tolerance=5e-3)
    low, high = found.tortuosity_bounds
    assert np.all(low < 0.75 * math.sqrt(3)) and np.all(0.75 * math.sqrt(3) < high) and np.all(high < 1.006 * low)
    straight = nhpinn.tortuosity(np.array([[1, 0, 1, 1]] * 3))
    np.testing.assert_allclose(straight.tortuosity, [1, np.inf])
    np.testing.assert_allclose(straight.diffusivity_bounds, [[0.75, 0]] * 2)
    assert straight.porosity == 0.75 and "inf" in str(straight)


def test_tortuosity_takes_voxels_for_cubes_and_labels_for_diffusivities():
    image = np.random.default_rng(1).random((7, 4)) < 0.8
    plain = nhpinn.tortuosity(image)
    sample = nhpinn.homogenize(image.astype(float), 2, period=(7, 4), sample=True)
    np.testing.assert_allclose(plain.diffusivity_bounds, [sample.lower.diagonal(), sample.upper.diagonal()])
    labelled = nhpinn.tortuosity(image + 1, values={1: 0, 2: 3.0})
    np.testing.assert_allclose(labelled.tortuosity, plain.tortuosity)
    np.testing.assert_allclose(labelled.diffusivity, 3 * plain.diffusivity)
    assert np.all(plain.two_point <= plain.diffusivity_bounds[0]) and np.all(plain.tortuosity_bounds[0] >= 1)


# What the bounds rest on --------------------------------------------------------------------------


@given(porous(), st.booleans())
def test_flows_have_no_divergence_whatever_the_solver_leaves(case, sample):
    image, period = case
    medium = pores.medium_of(image, period, 0 if sample else None)
    if len(medium.graph.voxels):
        f = np.random.default_rng(0).standard_normal(len(medium.graph.faces.tails))
        left = pores.divergence_of(medium) @ pores.projector(medium, 1e4)(f) * medium.h.min()
        assert np.abs(left).max() < 1e-12


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 1, 2])
def test_the_energy_of_traces_is_that_of_fields_with_them(dim, degree):
    """Of constant fields and of a linear one, whose traces are known and than which no field has less energy."""
    h, rng = np.array([1.0, 0.5, 2.0])[:dim], np.random.default_rng(degree)
    root = rng.standard_normal((dim, dim))
    tensor = root @ root.T + np.eye(dim)
    (T,) = pores.trace_energies(h, tensor[None], degree)
    e = rng.standard_normal(dim)
    t = np.zeros((dim, 2, (degree + 1) ** (dim - 1)))
    t[:, :, 0] = e[:, None]
    assert t.ravel() @ T @ t.ravel() == pytest.approx(e @ np.linalg.solve(tensor, e))  # a constant has least energy
    if dim == 2 and degree:  # q = (x, -y), of energy mean(q . a^-1 q), is the gradient of a potential where a = 1
        (T,) = pores.trace_energies(h, np.eye(2)[None], degree)
        t = np.zeros((2, 2, degree + 1))
        t[0, 1, 0], t[1, 1, 0] = h[0], -h[1]
        assert t.ravel() @ T @ t.ravel() == pytest.approx((h[0] ** 2 + h[1] ** 2) / 3)
