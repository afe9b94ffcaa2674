"""What is checked before any work: one sentence that names the argument; and what fits passes in any unit."""

import contextlib
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nhpinn
import nhpinn_functions
from nhpinn_tools.calls import OURS
from problems import PROBLEMS

TAU = 2 * np.pi
seeds = st.integers(0, 2**32 - 1)
CELL = nhpinn.Training((4,), 41, (0.5, 0.5, 0), 1e-3, 2)
SOLUTION = nhpinn.Training((4,), 15, (0.5, 0.5, 0), 1e-3, 2)
JUNK = [None, True, "2", b"2", np.nan, np.inf, -np.inf, 0, -1, 2.5, 1j, 10**12, (), [], (0,), {}, object(), np.eye(2)]
junk = st.sampled_from(JUNK)


def raising(y):
    raise KeyError("two\nlines")


OUTPUTS = [
    lambda y: None,
    lambda y: 2.0,
    lambda y: "steel",
    lambda y: [2.0] * len(y),
    lambda y: y,
    lambda y: np.ones(len(y) + 1),
    lambda y: np.ones((0,)),
    lambda y: np.ones(len(y), dtype=object),
    lambda y: np.ones(len(y), dtype=bool),
    lambda y: 2 + 1j * y[:, 0],
    lambda y: np.ma.masked_greater(1 + y[:, 0] % 1, 1.5),
    lambda y: np.full(len(y), np.nan),
    lambda y: np.full(len(y), np.inf),
    lambda y: np.full(len(y), 1e200),
    lambda y, z, w: y[:, 0],
    lambda y: y[:, 5],
    raising,
]
COEFFICIENTS = [
    *OUTPUTS,
    lambda y: np.full(len(y), 1e-200),
    lambda y: np.zeros(len(y)),
    lambda y: -np.ones(len(y), dtype=int),
    lambda y: anp.sin(TAU * y[:, 0]),
    lambda y: 2 + anp.sin(3 * y[:, 0]),
    lambda y: np.ones((len(y), 3, 2)),
    lambda y: np.ones((len(y), *2 * y.shape[1:])) + np.triu(2 * np.ones(2 * y.shape[1:])) if y.shape[1] > 1 else y,
]


def refused(names, call):
    """Whether call() ends in one sentence that begins with one of the names."""
    try:
        call()
    except (ValueError, TypeError) as error:
        assert str(error).split(":")[0] in names and "\n" not in str(error), error
        return True
    return False


class Trains(Exception):
    """All checks are passed."""


def method(problem, cell=CELL, solution=None, **options):
    """The paper's method until it begins to train."""

    def train(*arguments):
        raise Trains

    three = {} if problem.initial is None else {"weights": (0.4, 0.3, 0.3)}
    return nhpinn.nh_pinn(problem, cell, solution or SOLUTION._replace(**three), 0, train, **options)


# Functions ----------------------------------------------------------------------------------------


@given(seeds, st.integers(1, 3))
def test_the_divergence_of_a_tensor_agrees_with_finite_differences(seed, dim):
    rng = np.random.default_rng(seed)
    waves, swing = rng.standard_normal((dim, dim)), rng.uniform(-0.2, 0.2, (dim, dim))

    def field(y):
        s = anp.sin(anp.dot(y, waves))
        return 2 * np.eye(dim) + s[:, :, None] * (swing + swing.T) * s[:, None]

    y, steps = rng.uniform(-1, 1, (5, dim)), 1e-5 * np.eye(dim)
    a, b = nhpinn_functions.tensor_and_divergence(field, y)
    expected = sum((field(y + step) - field(y - step))[:, i] / 2e-5 for i, step in enumerate(steps))
    np.testing.assert_allclose(a, field(y))
    np.testing.assert_allclose(b, expected, atol=1e-8)


@pytest.mark.parametrize("function", COEFFICIENTS)
@pytest.mark.parametrize("name", ["const1d", "elliptic2d", "slow1d", "reaction10"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_coefficients_that_do_not_fit_are_named_before_anything_trains(function, name):
    """With the exception of the user's function, if there is one, as the cause."""
    problem = PROBLEMS[name]._replace(coefficient=lambda x, y: function(y / PROBLEMS[name].period))
    with pytest.raises(ValueError, match=r"^coefficient: [^\n]*$") as caught:
        method(problem)
    assert function is not raising or isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("function", OUTPUTS)
@pytest.mark.parametrize("name", ["source", "initial", "reaction"])
def test_other_functions_that_do_not_fit_are_named_before_anything_trains(function, name):
    with pytest.raises(ValueError, match=rf"^{name}: [^\n]*$"):
        method(PROBLEMS["reaction10"]._replace(**{name: function}))


@pytest.mark.parametrize(
    ("reaction", "message"),
    [
        (lambda y: np.cos(y[:, 0]) + 0.1, "its mean over the cell is 0.1"),
        (lambda y: np.cos(1.5 * y[:, 0]), "not periodic"),
    ],
)
def test_reactions_outside_the_theory_are_refused(reaction, message):
    with pytest.raises(ValueError, match=f"reaction: {message}"):
        method(PROBLEMS["reaction10"]._replace(reaction=reaction))


@pytest.mark.parametrize(
    "function",
    [
        lambda t: anp.where(anp.sin(TAU * t) > 0, 1.0, 4.0),
        lambda t: anp.where(anp.sin(TAU * t) > 0, 1.0, 4.0) + 0.01 * anp.sin(TAU * t),
        lambda t: 2 + anp.sin(40 * TAU * t),  # a whole number of periods from point to point
        lambda t: 2 + anp.sin(35 * TAU * t),
    ],
)
@pytest.mark.parametrize(("length", "level"), [(1.0, 1.0), (1e-6, 1e-20), (1e4, 1e8)])
def test_a_coefficient_that_the_points_do_not_resolve_is_refused(function, length, level):
    problem = PROBLEMS["const1d"]._replace(
        period=length, coefficient=lambda x, y: level * function(y[:, 0] / length), domain=((0.0, length),)
    )
    with pytest.raises(ValueError, match="coefficient: jumps, or varies too fast"):
        method(problem)


def test_a_coefficient_that_cannot_be_differentiated_is_named():
    problem = PROBLEMS["const1d"]._replace(
        coefficient=lambda x, y: 2 + np.interp(y[:, 0] % 1, [0, 0.5, 1], [0, 1, 0]) + 0 * y[:, 0]
    )
    with pytest.raises(TypeError, match=r"coefficient: .*autograd.numpy"):
        method(problem)


# Problems -----------------------------------------------------------------------------------------


@given(
    seeds,
    st.integers(1, 2),
    st.sampled_from([1e-8, 1.0, 1e8]),
    st.sampled_from([1e-6, 1.0, 1e4]),
    st.sampled_from([1e-6, 1.0, 1e4]),
    st.booleans(),
)
@settings(max_examples=40)
def test_smooth_problems_pass_in_any_unit_and_dependence_on_x_is_found_out(seed, dim, level, size, length, slow):
    rng = np.random.default_rng(seed)
    waves, phases, swing = rng.integers(-2, 3, (3, dim)), rng.uniform(0, TAU, 3), rng.uniform(-0.5, 0.5, 3)
    box, period = tuple((-size, (i + 1) * size) for i in range(dim)), tuple(length * rng.uniform(1, 2, dim))

    def coefficient(x, y):
        smooth = anp.exp(anp.dot(anp.sin(TAU * anp.dot(y / np.array(period), waves.T) + phases), swing))
        return level * smooth * (1 + 1e-6 * x[:, 0] / size if slow else 1.0)

    def problem(flag):
        fields = {"dim": dim, "domain": box, "period": period, "slow": flag, "source": lambda x: level * x[:, 0]}
        return PROBLEMS["elliptic2d"]._replace(coefficient=coefficient, **fields)

    assert nhpinn_functions.depends_on_x(coefficient, dim, box, period) == slow
    for flag in (True, None, slow):
        assert nhpinn_functions.check_problem(problem(flag)) == slow
    nodes = nhpinn.slow_nodes(box, slow, 5)
    assert len(nodes) == (5**dim if slow else 1)
    nhpinn_functions.check_cells(problem(slow), CELL._replace(points=21), nodes)
    if slow:
        with pytest.raises(ValueError, match="slow: found False, but the coefficient depends on x"):
            method(problem(False))


FIELDS = [
    "boundary",
    "dim",
    "domain",
    "eps",
    "coefficient",
    "source",
    "period",
    "slow",
    "reaction",
    "initial",
    "final_time",
]


@given(st.sampled_from(["const1d", "elliptic2d", "slow1d", "reaction10"]), st.sampled_from(FIELDS), junk)
@settings(max_examples=150)
def test_fields_of_a_problem(name, field, value):
    """Refused by name before any training, or taken for what they are."""
    problem = PROBLEMS[name]._replace(**{field: value})
    with contextlib.suppress(Trains):
        assert refused({*FIELDS, "points", "weights"}, lambda: method(problem))


def test_a_reaction_needs_a_constant_coefficient():
    problem = PROBLEMS["reaction10"]._replace(coefficient=lambda x, y: 2 + 0.1 * anp.sin(y[:, 0]))
    with pytest.raises(ValueError, match=r"coefficient: found one that changes .* expected a constant"):
        method(problem)


# Settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs: found 0, expected an integer of at least 1"),
        ({"points": 2}, "points: found 2, expected an integer of at least 3"),
        ({"points": 10**4}, "points: found 10000, which make 1e[+]08 in all; expected at most 1e7"),
        ({"rate": -1.0}, "rate: found -1.0, expected a positive number"),
        ({"weights": (np.nan, 0.5, 0)}, "weights: found"),
        ({"weights": (0.5, 0.4, 0)}, "weights: found .* that sum to one"),
        ({"weights": (0.5, 0.5)}, "weights: found .* expected three"),
        ({"weights": (0.5, 0.2, 0.3)}, "weights: found .*, the third 0"),
        ({"hidden": ()}, "hidden: found"),
        ({"decay": "1"}, "decay: found '1'"),
    ],
)
def test_settings_of_every_step_are_refused_before_step_1_trains(step, change, message):
    settings = {1: (CELL._replace(**change), SOLUTION), 3: (CELL, SOLUTION._replace(**change))}[step]
    with pytest.raises(ValueError, match=message):
        method(PROBLEMS["elliptic2d"], *settings)


@given(st.dictionaries(st.sampled_from(nhpinn.Training._fields), junk, min_size=1, max_size=2))
@settings(max_examples=150)
def test_junk_in_a_training_is_refused_by_name(changes):
    training = CELL._replace(**changes)
    if not refused({*changes, "weights"}, lambda: nhpinn_functions.check_cell_training(training, 1)):
        nhpinn.solve_cells(PROBLEMS["const1d"], training._replace(epochs=1), np.random.default_rng(0), np.zeros((1, 1)))


@given(st.integers(3, 9), st.integers(1, 12))
def test_more_oversampling_layers_than_the_paper_allows_are_refused(points, layers):
    training = CELL._replace(points=points, oversampling=layers, weights=(0.2, 0.4, 0.4))
    found = refused({"oversampling"}, lambda: nhpinn_functions.check_cell_training(training, 1))
    assert found == (layers >= points - 2)


def test_a_function_that_changes_its_argument_changes_nothing_else():
    y = nhpinn_functions.midpoints(2, 1.0, 3)
    kept = y.copy()
    nhpinn_functions.called("coefficient", lambda y: y.__isub__(5)[:, 0], y)
    np.testing.assert_array_equal(y, kept)


@pytest.mark.parametrize("coefficient", [[[1.0, 99.0], [99.0, 1.0]], lambda y: np.where(y[:, 0] % 1 < 0.3, 1.0, 7.0)])
def test_warnings_point_to_the_users_line(coefficient):
    with pytest.warns(UserWarning, match="homogenize: the bounds") as said:
        nhpinn.homogenize_at(lambda x: coefficient, [[0.0, 0.0]], tolerance=1e-9)
    assert all(each.filename == __file__ for each in said)


@pytest.mark.parametrize("module", [{}, {"__name__": "nhpinn_of_mine"}])
def test_a_warning_reaches_code_without_a_module_and_modules_with_a_name_like_ours(module):
    code = compile("homogenize([[1.0, 99.0], [99.0, 1.0]], 2, tolerance=1e-9)", "mine", "exec")
    with pytest.warns(UserWarning, match="homogenize: the bounds") as said:
        exec(code, {"homogenize": nhpinn.homogenize, **module})
    assert [each.filename for each in said] == ["mine"]
    ours = {path.stem for path in Path(nhpinn.__file__).parent.glob("nhpinn*") if path.suffix in ("", ".py")}
    assert ours == OURS


@pytest.mark.parametrize("values", [None, {1: 1.0, 3: 2.0}])
def test_a_masked_picture_is_refused_with_labels_and_without(values):
    picture = np.ma.masked_equal([[1, 2, 3], [3, 1, 1]], 2)
    with pytest.raises(ValueError, match="coefficient: found masked pixels"):
        nhpinn.homogenize(picture, 2, values=values)


def test_labels_settle_what_a_small_picture_is():
    found = nhpinn.homogenize([[1, 0], [0, 1]], 2, values={0: 1.0, 1: 4.0}, tolerance=0.5)
    assert np.all(np.linalg.eigvalsh(found.upper - 2 * np.eye(2)) >= 0)  # the checkerboard has the geometric mean
    assert np.all(np.linalg.eigvalsh(2 * np.eye(2) - found.lower) >= 0)


@pytest.mark.parametrize("values", [5.0, [1.0, 2.0]])
def test_values_are_a_dictionary(values):
    with pytest.raises(TypeError, match="values: found .*expected a dictionary"):
        nhpinn.homogenize([[0, 1]], 2, values=values)


@pytest.mark.parametrize("count", (0, 1))
def test_nodes_of_the_papers_recipe_are_checked(count):
    with pytest.raises(ValueError, match=f"nodes_an_axis: found {count}, expected an integer of at least 2"):
        method(PROBLEMS["slow1d"], nodes_an_axis=count)
    with pytest.raises(ValueError, match="points: found 2.5"):
        method(PROBLEMS["slow1d"], solution=SOLUTION._replace(points=2.5))


def test_an_image_of_two_phases_is_one_warning():
    phases = nhpinn.TwoPhase(lambda y: 0.3 - anp.sqrt(anp.sum((y - 0.5) ** 2, axis=1)), 1000.0, 1.0)
    with pytest.warns(UserWarning) as said:
        nhpinn.homogenize(phases, 2, recipe="fem")
    assert len(said) == 1


# Threads, processes and settings of others --------------------------------------------------------


def slow_waves(x, y):
    return 1 + 5 * x[:, 0] + anp.sin(TAU * y[:, 0]) * anp.cos(TAU * y[:, 1])


def checkerboard(x):
    return [[1.0, 99.0], [99.0, 1.0]]


def disc(x):
    return nhpinn.TwoPhase(lambda y: 0.3 - anp.sqrt(anp.sum((y - 0.5) ** 2, axis=1)), 5.0, 1.0)


def test_threads_leave_the_filters_of_warnings_as_they_are():
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as executor:
        nhpinn.homogenize_at(slow_waves, np.random.default_rng(0).random((12, 2)), tolerance=1e-3, executor=executor)
    assert warnings.filters == before


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_warnings_of_workers_point_to_the_users_line(pool):
    with pytest.warns(UserWarning, match="homogenize: the bounds") as said, pool(2) as executor:
        nhpinn.homogenize_at(checkerboard, [[0.0, 0.0], [1.0, 1.0]], executor=executor)
    assert [each.filename for each in said] == [__file__] * 2


def test_what_cannot_come_back_from_another_process_is_said():
    with ProcessPoolExecutor(2) as executor:
        with pytest.raises(TypeError, match="coefficient: cannot be sent by the executor .*lambda"):
            nhpinn.homogenize_at(disc, [[0.0, 0.0], [1.0, 1.0]], executor=executor)
        nhpinn.homogenize_at(checkerboard, [[0.0, 0.0], [1.0, 1.0]], tolerance=0.5, executor=executor)


@pytest.mark.parametrize("function", [lambda x, **kw: checkerboard(x), lambda x, k=1.0: checkerboard(x), checkerboard])
def test_functions_of_x_alone_may_have_other_arguments(function):
    (found,) = nhpinn.homogenize_at(function, [[0.0, 0.0]], tolerance=0.5)
    np.testing.assert_allclose(found.tensor, np.sqrt(99) * np.eye(2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [lambda *a: 1, max, lambda x, *, k: 1, lambda: 1, lambda x, y, z: 1])
def test_functions_of_neither_x_nor_x_and_y_are_refused(function):
    assert refused({"coefficient"}, lambda: nhpinn.homogenize_at(function, [[0.0, 0.0]]))


def test_what_numpy_does_about_underflow_changes_nothing():
    arguments = lambda x, y: 2 + anp.sin(TAU * y[:, 0]), lambda x: 1 + 0 * x[:, 0], ((0, 1),), 1 / 8
    options = {"initial": lambda x: np.sin(np.pi * x[:, 0]), "final_time": 0.1}
    expected = nhpinn.solve(*arguments, **options)([[0.3]])
    with np.errstate(all="raise"):
        found = nhpinn.solve(*arguments, **options)
        np.testing.assert_array_equal(found([[0.3]]), expected)
        assert np.isfinite(found.flux([[0.3]])).all() and np.isfinite(found.homogenized([[0.3]])).all()
        reaction = nhpinn.solve(lambda x, y: 2 + 0 * y[:, 0], *arguments[1:], reaction=lambda y: anp.cos(TAU * y[:, 0]))
        assert np.isfinite(reaction([[0.3]])).all()


def test_a_tensor_outside_of_its_bounds_says_how_far_it_may_err():
    wave = PROBLEMS["elliptic2d"].coefficient
    with pytest.warns(UserWarning, match="homogenize: the bounds"):
        found = nhpinn.homogenize(lambda y: wave(y, y), 2, recipe="adam", epochs=20)
    exact = 1.9353592348 * np.eye(2)
    wrong = np.abs(np.linalg.eigvalsh(found.tensor - exact)).max() / exact[0, 0]
    assert found.outside and found.gap < 0.05 < wrong < found.error and "outside" in str(found)


@pytest.mark.parametrize("image", [[[1, 2], [3, 1]], [[2, 1], [1, 2]], [[1, 5], [5, 1]]])
def test_images_of_2_x_2_pixels_are_images_whatever_their_numbers(image):
    found = nhpinn.homogenize(image, 2, tolerance=0.5)
    a, b, c, d = np.ravel(image)
    # Mortola and Steffe's conjecture, Craster and Obnosov 2001: the geometric mean of both for equal diagonals
    squared = a * b * c * d * (1 / a + 1 / b + 1 / c + 1 / d) / (a + b + c + d)
    sides = (a + b) * (c + d) / ((a + c) * (b + d))
    np.testing.assert_allclose(found.tensor, np.sqrt(squared * np.diag([sides, 1 / sides])), rtol=1e-9, atol=1e-12)
