"""Shapes that a hostile user would try: each answer lies between independent bounds, or is refused in one sentence.

Truths: elements on images whose pixels are aligned with the shape (exact bounds), laminates by their means, discs and
coated discs by multipoles.  What is returned is wrong if its bounds, moved by `quadrature`, are apart from those.
"""

import warnings
from functools import cache
from math import comb

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from test_phases import below, discs

import nhpinn
from nhpinn import TwoPhase
from nhpinn_tools import element_bounds

CONTRASTS = st.sampled_from([0.01, 0.1, 0.5, 3.0, 10.0, 100.0])
GRID = 20  # what is aligned has its edges at multiples of 1 / GRID


def answered(cell, dim=2, **options):
    """The result, or None where it is refused in one sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return nhpinn.homogenize(cell, dim, **options)
        except ValueError as error:
            assert 20 < len(str(error)) < 500 and "\n" not in str(error) and "expected" in str(error)
            return None


def agrees(found, lower, upper):
    """Whether the bounds of a result, moved by its quadrature, and others of the same tensor overlap."""
    q = found.quadrature + 1e-9
    return below(found.lower / (1 + q), upper) and below(lower, found.upper * (1 + q))


def rectangle(y, low, high):
    """Positive in a rectangle, with the slope of a distance."""
    inner = [anp.minimum(y[:, k] - low[k], high[k] - y[:, k]) for k in range(len(low))]
    return anp.min(anp.stack(inner), axis=0)


def union(*rectangles):
    return lambda y: anp.max(anp.stack([rectangle(y, *each) for each in rectangles]), axis=0)


def of_image(level_set, inside, outside):
    y = (np.stack(np.meshgrid(*[np.arange(GRID)] * 2, indexing="ij"), axis=-1).reshape(-1, 2) + 0.5) / GRID
    image = np.where(level_set(y) > 0, inside, outside).reshape(GRID, GRID)
    found = element_bounds.bounds_of_image(image, 2, tolerance=3e-3)
    return found.lower, found.upper


@st.composite
def rectangles(draw):
    """One to three, with edges at multiples of 1 / GRID, in the interior of the cell or across all of it."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        pairs = []
        for _ in range(2):
            low = draw(st.integers(1, GRID - 3))
            pairs.append((low, draw(st.integers(low + 1, GRID - 1))))
        if draw(st.booleans()) and draw(st.booleans()):
            pairs[draw(st.integers(0, 1))] = (-GRID, 2 * GRID)  # a bar
        low, high = np.transpose(pairs) / GRID
        found.append((low, high))
    return found


def squares_and_bars(shapes, s):
    level_set = union(*shapes)
    found = answered(TwoPhase(level_set, s, 1.0))
    assert found is None or agrees(found, *of_image(level_set, s, 1.0))
    return found


def off_the_grid(half, s, shift):
    """A square anywhere, between the next smaller and the next larger one that end at pixels."""
    level_set = union(([shift - half] * 2, [shift + half] * 2))
    found = answered(TwoPhase(level_set, s, 1.0))
    assert found is None or agrees(found, *of_square(half, s))
    return found


@cache
def of_square(half, s):
    """Bounds of a square of this half width."""
    count = 40
    widths = 2 / count * np.floor(half * count), 2 / count * np.ceil(half * count)
    y = np.abs((np.arange(count) + 0.5) / count - 0.5)
    lower, upper = [], []
    for width in widths:  # with more of the larger conductivity the tensor is larger
        inside = y < width / 2
        image = np.where(np.outer(inside, inside), s, 1.0)
        found = element_bounds.bounds_of_image(image, 2, tolerance=3e-3)
        lower.append(found.lower)
        upper.append(found.upper)
    order = slice(None) if s > 1 else slice(None, None, -1)
    return lower[order][0], upper[order][1]


def rotated_square(half, s):
    """|y_1| + |y_2| < half: on the lattice turned by 45 degrees it is a square, two in a cell of sqrt(2)."""
    found = answered(TwoPhase(lambda y: half - anp.abs(y[:, 0] - 0.5) - anp.abs(y[:, 1] - 0.5), s, 1.0))
    count = 40  # a pixel of 1 / (40 sqrt 2)
    k = (np.arange(count) + 0.5) / count * 2  # coordinates y_1 + y_2, y_1 - y_2 from the centre, of period 2
    u, v = np.meshgrid(k, k, indexing="ij")
    tensors = []
    for width in (np.floor(half * count / 2) * 2 / count, np.ceil(half * count / 2) * 2 / count):
        inside = np.zeros(u.shape, bool)
        for a, b in ((0, 0), (1, 1), (0, 2), (2, 0), (2, 2)):
            inside |= (np.abs(u - a) < width) & (np.abs(v - b) < width)
        tensors.append(element_bounds.bounds_of_image(np.where(inside, s, 1.0), 2, tolerance=5e-3))
    first, last = tensors if s > 1 else tensors[::-1]
    assert found is None or agrees(found, first.lower[0, 0] * np.eye(2), last.upper[0, 0] * np.eye(2))
    return found


def layers(share, s, shift, k):
    level_set = lambda y: anp.cos(2 * np.pi * (y @ np.array(k) - shift)) - np.cos(np.pi * share)  # noqa: E731
    found = answered(TwoPhase(level_set, s, 1.0))
    n = np.array(k) / np.linalg.norm(k)
    along, across = share * s + 1 - share, 1 / (share / s + 1 - share)
    truth = along * np.eye(2) + (across - along) * np.outer(n, n)
    assert found is None or agrees(found, truth, truth)
    return found


def layers_from_the_face(share, s):
    """share - y_1, whose sign jumps at the face of the cell."""
    found = answered(TwoPhase(lambda y: share - y[:, 0], s, 1.0))
    truth = np.diag([1 / (share / s + 1 - share), share * s + 1 - share])
    assert found is None or agrees(found, truth, truth)
    return found


def coated(inner, outer, core, coat, order=24):
    """Conductivity of a square array of coated discs in a matrix of 1: multipole l sees a disc of conductivity s_l.

    In the coat u ~ r^l + c r^-l, c = (coat - core) / (coat + core) inner^2l: s_l = coat (1 - C) / (1 + C) with
    C = c / outer^2l.
    """
    l = np.arange(1, 2 * order, 2)
    c = (coat - core) / (coat + core) * (inner / outer) ** (2.0 * l)
    return arrayed(outer, coat * (1 - c) / (1 + c))


def arrayed(R, s):
    """As discs in test_phases.py, with a conductivity for each multipole: s (order,)."""
    from math import gamma

    order, G = len(s), {2: np.pi, 4: gamma(0.25) ** 8 / (960 * np.pi**2)}
    m, n = np.meshgrid(np.arange(-30, 31), np.arange(-30, 31))
    z = (m + 1j * n)[(m != 0) | (n != 0)]
    G.update({k: np.sum(z ** (-1.0 * k)).real for k in range(8, 4 * order, 4)})
    l, t = np.arange(1, order + 1), (1 - s) / (1 + s)
    power = R ** (2.0 * l - 1)
    sums = np.array([[comb(2 * i + 2 * j - 3, 2 * i - 1) * G.get(2 * i + 2 * j - 2, 0.0) for j in l] for i in l])
    b = np.linalg.solve(np.eye(order) + t[:, None] * sums * np.outer(power, power), t * power * (l == 1))
    return 1 - 2 * np.pi * power[0] * b[0]


def ball(R, centre=(0.5, 0.5)):
    return lambda y: R - anp.sqrt(((y - np.array(centre)) ** 2).sum(1))


def coated_disc(inner, thickness, core, coat):
    outer = min(inner + thickness, 0.49)
    found = answered(TwoPhase(ball(outer), TwoPhase(ball(inner), core, coat), 1.0))
    truth = coated(inner, outer, core, coat) * np.eye(2)
    assert found is None or agrees(found, truth, truth)
    return found


def one_disc(R, s, centre):
    level_set = lambda y: R - anp.sqrt(((anp.mod(y - np.array(centre) + 0.5, 1) - 0.5) ** 2).sum(1))  # noqa: E731
    found = answered(TwoPhase(level_set, s, 1.0))
    truth = discs(np.pi * R**2, s, 60) * np.eye(2)
    assert found is None or agrees(found, truth, truth)
    return found


def touching_discs(s, overlap):
    """Two discs of the diagonal that touch: between the array of one of them and the means."""
    R = np.sqrt(2) / 8 + overlap
    level_set = lambda y: anp.maximum(ball(R, (0.375, 0.375))(y), ball(R, (0.625, 0.625))(y))  # noqa: E731
    found = answered(TwoPhase(level_set, s, 1.0))
    volume = 2 * np.pi * R**2  # at least what is covered
    one = discs(np.pi * R**2, s) * np.eye(2)
    means = sorted([1 / (volume / s + 1 - volume), volume * s + 1 - volume])
    low, high = (one, means[1] * np.eye(2)) if s > 1 else (means[0] * np.eye(2), one)
    assert found is None or agrees(found, low, high)
    return found


share = st.floats(0.005, 0.9)
CORNERS = [
    (squares_and_bars, rectangles(), CONTRASTS),
    (off_the_grid, st.floats(0.02, 0.45), CONTRASTS, st.just(0.5) | st.floats(0.46, 0.54)),
    (rotated_square, st.floats(0.05, 0.45), CONTRASTS),
    (touching_discs, CONTRASTS, st.floats(-0.01, 0.02)),
]
SMOOTH = [
    (layers, share, CONTRASTS, st.sampled_from([0, 0.25, 0.5, 1 / 3]), st.sampled_from([(1, 0), (1, 1), (2, 1)])),
    (layers_from_the_face, share, CONTRASTS),
    (coated_disc, st.floats(0.05, 0.4), st.floats(0.002, 0.1), CONTRASTS, CONTRASTS),
    (one_disc, st.floats(0.005, 0.499), CONTRASTS, st.tuples(st.floats(0, 1), st.floats(0, 1))),
]


def calls(families):
    return st.one_of(*[st.tuples(st.just(check), *arguments) for check, *arguments in families])


@settings(max_examples=3, phases=[Phase.explicit, Phase.generate])
@given(calls(SMOOTH), calls(CORNERS))
def test_hostile_shapes_are_between_independent_bounds_or_refused(smooth, corners):
    for check, *arguments in (smooth, corners):
        check(*arguments)


@pytest.mark.slow
@settings(max_examples=100)
@given(calls(SMOOTH), calls(CORNERS))
def test_many_hostile_shapes_are_between_independent_bounds_or_refused(smooth, corners):
    for check, *arguments in (smooth, corners):
        check(*arguments)
