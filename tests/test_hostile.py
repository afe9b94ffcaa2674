"""Functions that were made to deceive a quadrature: what is returned is within its error, or refused in a sentence."""

import warnings

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import nhpinn

FAMILIES = {  # of the distance from a place, in widths; what it adds to 1 and its integral
    "step": (lambda t: 1.0 * (t < 0.5), 1.0),
    "peak": (lambda t: np.exp(-np.pi * t**2), 1.0),
    "corner": (lambda t: np.maximum(1 - t, 0), 1.0),
    "cusp": (lambda t: np.exp(-2 * t), 1.0),
}
WIDTHS = {1: -4.6, 2: -4.3}  # the least, as powers of ten: see docs/microstructures.md
hostile = given(
    st.sampled_from(sorted(FAMILIES)),
    st.sampled_from([1, 1, 1, 2]),  # one dimension is quick
    st.sampled_from([0.5, 0.25, 0.375, 1 / 3, 0.30001, 0.41234, 0.7123]),
    st.floats(0, 1),
    st.floats(-2, 2),
    st.booleans(),
)


def outcome(family, dim, place, width, mass, conducting):
    """Layers across axis 0 whose harmonic or arithmetic mean is that of 1 and of a mass in something thin."""
    (shape, integral), mass, width = FAMILIES[family], 10**mass, 10 ** (WIDTHS[dim] * (1 - width) - 1.3 * width)

    def field(y):
        t = np.abs((y[:, 0] - place + 0.5) % 1 - 0.5) / width
        bump = 1 + mass / width / integral * shape(t)
        return bump if conducting else 1 / bump

    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = nhpinn.homogenize(field, dim, tolerance=1e-3)
    except (ValueError, TypeError) as error:
        assert str(error).startswith("coefficient: ") and "\n" not in str(error)
        return "refused"
    index = (-1, -1) if conducting else (0, 0)  # the arithmetic mean, along the layers; or the harmonic one
    if conducting and dim == 1:
        return "inside"
    exact = 1 + mass if conducting else 1 / (1 + mass)
    if abs(found.tensor[index] / exact - 1) > found.error + 1e-9:
        return "wrong"
    return "warned" if said else "inside"


def check(family, dim, place, width, mass, conducting):
    found = outcome(family, dim, place, width, mass, conducting)
    assert found != "wrong"


test_thirty_hostile_functions = settings(max_examples=30, phases=(Phase.explicit, Phase.generate))(hostile(check))
test_two_hundred_hostile_functions = pytest.mark.slow(settings(max_examples=200)(hostile(check)))
