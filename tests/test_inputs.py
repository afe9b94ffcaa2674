"""Whatever comes in, either a result within its bounds comes out, or one sentence that names the argument."""

import warnings

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

import adam
import experiments
import fem
import nhpinn
import sharp
from problems import PROBLEMS

TAU = 2 * np.pi
NO_SHRINKING = (Phase.explicit, Phase.generate)  # a training is too slow an example to shrink
TINY = {"hidden": (4,), "points": 6, "iterations": 3}
FORMS = st.sampled_from(["auto", "strong", "energy"])

# What a user may hand over in place of a number, a size or an array.
JUNK = [
    None,
    True,
    "2",
    b"2",
    "nan",
    np.nan,
    np.inf,
    -np.inf,
    0,
    -1,
    2.5,
    1j,
    10**12,
    (),
    [],
    (0,),
    {},
    object(),
    np.eye(2),
]
junk = st.sampled_from(JUNK)


def outcome(names, call):
    """The value of call(), or None where it ends in an error that names one of the arguments.

    A warning that is not homogenize's own is a failure: something has overflowed on the way.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "homogenize: ")
        try:
            return call()
        except (ValueError, TypeError) as error:
            sentence = str(error)
            assert sentence.split(":")[0] in names or any(sentence.startswith(name + ",") for name in names), sentence
            assert "\n" not in sentence
            return None


def within_bounds(found):
    """lower <= tensor <= upper in the Loewner order, up to rounding, and all of them finite and positive."""
    size = np.abs(found.upper).max()
    for array in (found.tensor, found.lower, found.upper):
        assert np.all(np.isfinite(array)) and np.allclose(array, array.T, atol=1e-12 * size)
    assert np.linalg.eigvalsh(found.tensor)[0] > 0
    for more, less in ((found.upper, found.tensor), (found.tensor, found.lower)):
        assert np.linalg.eigvalsh(more - less)[0] >= -1e-9 * size


def contains(found, exact):
    """The exact tensor lies between the bounds, up to what the quadrature moves them."""
    within_bounds(found)
    slack = 1e-9 * np.abs(exact).max()
    assert np.linalg.eigvalsh(found.upper - exact)[0] >= -slack
    assert np.linalg.eigvalsh(exact - found.lower)[0] >= -slack


# Coefficients that fit --------------------------------------------------------------------------------


@given(
    value=st.floats(1e-8, 1e8),
    dim=st.integers(1, 2),
    form=FORMS,
    kind=st.sampled_from(["float64", "float32", "int64", "tensor"]),
    period=st.floats(1e-8, 1e8),
)
@settings(max_examples=40, phases=NO_SHRINKING)
def test_constants_of_any_size(value, dim, form, kind, period):
    value = np.asarray(max(1, round(value)) if kind == "int64" else value).astype(
        "float64" if kind == "tensor" else kind
    )
    shape = (dim, dim) if kind == "tensor" else ()

    def a(y):
        return np.zeros((len(y), *shape), value.dtype) + (value * np.eye(dim) if shape else value)

    found = outcome({"coefficient"}, lambda: nhpinn.homogenize(a, dim, form=form, period=period, **TINY))
    if found is None:  # a full array of constants is no function that autograd can see through
        assert form == "strong"
    else:
        contains(found, float(value) * np.eye(dim))


@given(
    low=st.floats(-8, 8),
    high=st.floats(-8, 8),
    dim=st.integers(1, 2),
    form=st.sampled_from(["auto", "energy"]),
    seed=st.integers(0, 10),
)
@example(low=-8.0, high=8.0, dim=2, form="energy", seed=0)
@example(low=-8.0, high=8.0, dim=1, form="auto", seed=0)
@settings(max_examples=60, phases=NO_SHRINKING)
def test_laminates_of_any_contrast_from_an_image(low, high, dim, form, seed):
    """Two layers: the harmonic mean across them, the arithmetic mean along; exact on pixels."""
    layers = 10.0 ** np.array([low, high])
    image = layers if dim == 1 else np.repeat(layers[:, None], 2, axis=1)
    exact = np.diag([1 / np.mean(1 / layers), layers.mean()][:dim])
    contains(nhpinn_quiet(image, dim, form=form, seed=seed, **TINY), exact)


@given(size=st.floats(-6, 6), swing=st.floats(0, 15), dim=st.integers(1, 2), form=FORMS)
@settings(max_examples=60, phases=NO_SHRINKING)
def test_smooth_laminates_are_within_bounds_or_a_warning_says_how_far_they_move(size, swing, dim, form):
    """exp(s sin): its mean and that of its inverse are I_0(s), a Bessel function."""
    bessel = np.mean(np.exp(swing * np.sin(TAU * np.arange(4096) / 4096)))
    exact = 10**size * np.diag([1 / bessel, bessel][:dim])

    def a(y):
        return 10**size * anp.exp(swing * anp.sin(TAU * y[:, 0]))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = nhpinn.homogenize(a, dim, form=form, **TINY)
    within_bounds(found)
    if not caught:
        np.testing.assert_allclose(found.tensor, exact, atol=2e-3 * np.abs(exact).max())
    assert all("homogenize: " in str(warning.message) for warning in caught)
    contains(found, exact)


def nhpinn_quiet(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "homogenize: ")
        return nhpinn.homogenize(*arguments, **options)


@pytest.mark.parametrize("frequency", [64, 128, 256, 512])
def test_an_oscillation_that_every_point_of_the_bounds_misses_is_noticed(frequency):
    with pytest.warns(UserWarning, match="their quadrature moves by"):
        nhpinn.homogenize(lambda y: 2 + anp.sin(TAU * frequency * y[:, 0]), 2, form="energy", **TINY)


# Coefficients that do not -----------------------------------------------------------------------------


class Odd(Exception):
    pass


def raising(error):
    def function(y):
        raise error

    return function


OUTPUTS = [
    lambda y: None,
    lambda y: 2.0,
    lambda y: "steel",
    lambda y: [2.0] * len(y),
    lambda y: y,
    lambda y: np.ones(len(y) + 1),
    lambda y: np.ones((len(y), 3, 2)),
    lambda y: np.ones((0,)),
    lambda y: np.ones(len(y), dtype=object),
    lambda y: np.ones(len(y), dtype=bool),
    lambda y: np.array(["2"] * len(y)),
    lambda y: 2 + 1j * y[:, 0],
    lambda y: np.ma.masked_greater(1 + y[:, 0] % 1, 1.5),
    lambda y: np.full(len(y), np.nan),
    lambda y: np.full(len(y), np.inf),
    lambda y: np.full(len(y), 1e200),
    lambda y: np.full(len(y), 1e-200),
    lambda y: np.zeros(len(y)),
    lambda y: -np.ones(len(y), dtype=int),
    lambda y: anp.sin(TAU * y[:, 0]),
    lambda y: 2 + anp.sin(y[:, 0]),
    lambda y: 2 + y[:, 0] ** 2,
    lambda y: (
        np.broadcast_to(np.arange(float(y.shape[1] ** 2)).reshape(2 * y.shape[1:]), (len(y), *2 * y.shape[1:])) - 1
    ),
    lambda y, z: y[:, 0],
    lambda y: y[:, 5],
    *map(
        raising,
        [Odd("two\nlines"), ZeroDivisionError(), KeyError("x"), RuntimeError("no"), MemoryError(), StopIteration()],
    ),
]
bad_outputs = st.sampled_from(OUTPUTS)


@given(function=bad_outputs, dim=st.integers(1, 3), form=FORMS, recipe=st.sampled_from(["sharp", "adam"]))
@settings(max_examples=150)
def test_coefficients_that_do_not_fit_are_named(function, dim, form, recipe):
    small = {"epochs": 2, "points": 7, "hidden": (4,)} if recipe == "adam" else TINY
    names = {"coefficient", "form"}
    assert outcome(names, lambda: nhpinn.homogenize(function, dim, form=form, recipe=recipe, **small)) is None


@given(function=bad_outputs, x=st.lists(st.floats(-9, 9), min_size=1, max_size=2))
def test_a_slow_coefficient_that_does_not_fit_is_named(function, x):
    a = function if function.__code__.co_argcount > 1 else lambda x, y: function(y)
    assert outcome({"coefficient"}, lambda: nhpinn.homogenize_at(a, [x], **TINY)) is None


def test_an_exception_of_the_users_function_is_the_cause():
    with pytest.raises(ValueError, match=r"coefficient: raised Odd: why, at points of shape \(64, 1\)") as caught:
        nhpinn.homogenize(raising(Odd("why")), 1)
    assert isinstance(caught.value.__cause__, Odd)


def test_a_function_that_changes_its_argument_changes_nothing_else():
    def a(y):
        if isinstance(y, np.ndarray):
            y -= np.floor(y)
            y[:, 0] *= TAU
            return 2 + np.sin(y[:, 0])
        return 2 + anp.sin(TAU * y[:, 0])

    contains(nhpinn_quiet(a, 1, **TINY), [[np.sqrt(3)]])


images = st.one_of(
    junk,
    st.sampled_from(
        [np.ones((0,)), np.ones((3, 4)), np.ones((2, 2), bool), np.ones((2, 2), complex), [[1.0], [1.0, 2.0]]]
    ),
    st.lists(st.lists(st.floats(), min_size=2, max_size=2), min_size=2, max_size=2),
)


@given(image=images, dim=st.integers(1, 3) | junk, form=FORMS, recipe=st.sampled_from(["sharp", "adam"]))
@settings(max_examples=150, phases=NO_SHRINKING)
def test_images(image, dim, form, recipe):
    names = {"coefficient", "dim", "form"}
    if (found := outcome(names, lambda: nhpinn.homogenize(image, dim, form=form, recipe=recipe, **TINY))) is not None:
        within_bounds(found)


# Settings ---------------------------------------------------------------------------------------------

NAMES = [
    "dim",
    "period",
    "recipe",
    "form",
    "tolerance",
    "seed",
    "hidden",
    "points",
    "iterations",
    "stall",
    "slow_points",
]


@given(changes=st.dictionaries(st.sampled_from(NAMES), junk, min_size=1, max_size=2))
@settings(max_examples=250, phases=NO_SHRINKING)
def test_settings_of_the_sharp_recipe(changes):
    arguments = {"dim": 1, **TINY, **changes}

    def a(y):
        return 2 + anp.sin(TAU * y[:, 0] / (arguments.get("period") or 1))

    if (found := outcome({*changes, "coefficient"}, lambda: nhpinn.homogenize(a, **arguments))) is not None:
        contains(found, [[np.sqrt(3)]])


ADAM_NAMES = ["hidden", "points", "weights", "rate", "epochs", "average", "decay", "layers", "batch", "dtype", "every"]


@given(changes=st.dictionaries(st.sampled_from(ADAM_NAMES), junk, min_size=1, max_size=2))
@settings(max_examples=150, phases=NO_SHRINKING)
def test_settings_of_the_recipe_adam(changes):
    arguments = {"epochs": 2, "points": 41, "hidden": (4,), **changes}

    def a(y):
        return 2 + anp.sin(TAU * y[:, 0])

    found = outcome({*changes, "coefficient"}, lambda: nhpinn.homogenize(a, 1, recipe="adam", **arguments))
    assert found is None or np.all(np.isfinite(found.tensor))


@given(points=junk | st.lists(st.lists(st.floats(), max_size=4), max_size=2))
@settings(max_examples=100, phases=NO_SHRINKING)
def test_points_of_a_slow_coefficient(points):
    def call():
        return nhpinn.homogenize_at(lambda x, y: 2 + anp.sin(TAU * y[:, 0]) + 0 * x[:, 0], points, **TINY)

    for found in outcome({"points", "dim"}, call) or []:
        within_bounds(found)


@pytest.mark.parametrize("dim, points", [(2, 10**4), (3, 300)])
def test_a_grid_that_would_not_fit_into_the_memory_is_refused(dim, points):
    with pytest.raises(ValueError, match="points: found .* expected at most 1e7 in all"):
        nhpinn.homogenize(lambda y: 2 + anp.sin(TAU * y[:, 0]), dim, recipe="adam", points=points)


# Problems ---------------------------------------------------------------------------------------------

FIELDS = ["dim", "domain", "eps", "coefficient", "source", "period", "slow", "reaction", "initial", "final_time"]
SHARP = sharp.Sharp((4,), 24, 2, slow_points=3)
ADAM = adam.Training((4,), 41, (0.5, 0.5), 1e-3, 2, 1)


@given(
    name=st.sampled_from(["const1d", "elliptic2d", "slow1d", "reaction10"]),
    field=st.sampled_from(FIELDS),
    value=junk | bad_outputs.map(lambda function: lambda *points: function(points[-1])),
    recipe=st.sampled_from(["sharp", "adam"]),
)
@settings(max_examples=150, phases=NO_SHRINKING)
def test_problems(name, field, value, recipe):
    problem = PROBLEMS[name]._replace(**{field: value})
    inputs = PROBLEMS[name].dim + (problem.initial is not None)
    weights = ADAM._replace(points=15, weights=(0.4, 0.3, 0.3) if problem.initial is not None else (0.5, 0.5))

    def call():
        if recipe == "sharp":
            return nhpinn.nh_pinn_sharp(problem, SHARP, sharp.Sharp((4,), (5,) * inputs, 2), 0)[1]
        return nhpinn.nh_pinn(problem, ADAM, weights, 0)[1]

    if (found := outcome({*FIELDS, "points"}, call)) is not None:
        assert np.all(np.isfinite(found.samples)) and np.isfinite(found.reaction)


# Seeds ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_homogenize_meets_its_accuracy_on_every_seed(seed):
    def a(y):
        return PROBLEMS["elliptic2d"].coefficient(y, y)

    found = nhpinn.homogenize(a, 2, iterations=100, seed=seed)
    assert np.linalg.norm(found.upper - found.lower, 2) < 1e-9
    np.testing.assert_allclose(found.tensor, fem.homogenized_tensor(a, 2, 20, order=8), atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["const1d", "slow1d", "reaction10", "reaction50"])
def test_cell_problems_meet_their_accuracy_on_every_seed(name, seed):
    """Steps 1 and 2 of `experiments.run_sharp`, with its settings and its random numbers."""
    problem, task = PROBLEMS[name], experiments.Task(name, "sharp", seed, "paper")
    rng, _ = nhpinn.generators(experiments.stream(task, "sharp"))
    settings = experiments.training(problem, "sharp_cell", task)
    correctors = sharp.solve_cells(problem, settings, rng, experiments.sharp_corrector_errors(problem))
    found = nhpinn.sharp_coefficients(problem, correctors)
    slow = nhpinn.slow_points(problem, experiments.training(problem, "homogenized", task))
    assert experiments.coefficient_error(problem, found, slow, *experiments.fem_coefficients(problem)) <= 1e-7
    for fit in correctors.fits:
        assert all(errors[-1] <= {"N": 1e-8}.get(quantity, 1e-7) for quantity, errors in fit.errors.items())
