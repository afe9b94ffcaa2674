"""What a user of the tools meets first: their help, single points, and calls that were meant otherwise."""

import inspect
import pydoc
import sys
import warnings
from functools import cache
from types import SimpleNamespace

import autograd.numpy as anp
import numpy as np
import pytest

import nhpinn
from nhpinn_tools import checks, solutions

TAU = 2 * np.pi
PUBLIC = [
    (tool, name)
    for tool in (nhpinn.Solution, nhpinn.Homogenized)
    for name, value in vars(tool).items()
    if name == "__call__" or (not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)))
]


@pytest.mark.parametrize(("tool", "name"), PUBLIC, ids=lambda value: getattr(value, "__name__", value))
def test_every_public_method_says_what_it_returns(tool, name):
    assert inspect.getdoc(getattr(tool, name)), name


@pytest.mark.parametrize("name", ["solve", "homogenize", "certify"])
def test_help_has_an_example_and_types(name):
    text = pydoc.render_doc(getattr(nhpinn, name), renderer=pydoc.plaintext)
    assert f"nhpinn.{name}(" in text and "->" in text.splitlines()[2]


@pytest.mark.parametrize("tool", [nhpinn.Solution, nhpinn.Homogenized])
def test_help_of_what_tools_return_is_not_that_of_a_tuple(tool):
    assert "_asdict" not in (text := pydoc.render_doc(tool, renderer=pydoc.plaintext))
    assert len(text.splitlines()) < 110


def test_the_example_of_solve_runs():
    text = inspect.getdoc(nhpinn.solve)
    found = {"nhpinn": nhpinn}
    exec(inspect.cleandoc(text[text.index("    import") :]), found)
    assert 0 < found["u"].error < 0.05 and found["u"]([0.5, 0.5]) == found["u"]([[0.5, 0.5]])[0]


def same(one, other):
    """But for rounding, which depends on how many points are multiplied at once."""
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


@cache
def solution(timed):
    fields = {"initial": lambda x: 0 * x[:, 0], "tolerance": 1e-2} if timed else {}
    dim = 1 if timed else 2
    return nhpinn.solve(lambda x, y: 2 + anp.sin(TAU * y[:, 0]), lambda x: 1 + 0 * x[:, 0], [(0, 1)] * dim, 0.25,
                        **fields)  # fmt: skip


@pytest.mark.parametrize("timed", [False, True])
def test_one_point_has_the_values_of_many_without_their_axis(timed):
    u = solution(timed)
    x = np.full(u.problem.dim, 0.3)
    times = [{}, {"t": 0.5}] if timed else [{}]
    for method in (u, u.gradient, u.homogenized, u.flux):
        for options in times:
            same(method(x, **options), method(x[None], **options)[0])
    same(u.tensor(list(x)), u.tensor([x])[0])
    same(u.corrector(x, 7 * x), u.corrector([x], [7 * x])[0])
    assert np.ndim(u(x)) == 0 and u.gradient(x).shape == x.shape


def test_so_it_is_for_correctors_of_homogenize():
    found = nhpinn.homogenize(lambda y: 2 + anp.sin(TAU * y[:, 0]), 2)
    for method in (found.corrector, found.gradient):
        same(method([0.2, 0.9]), method([[0.2, 0.9]])[0])


def of_y(y):
    return 2 + 0 * y[:, 0]


def of_x(x):
    return 2 + 0 * x[:, 0]


def of_both(x, y):
    return 2 + 0 * y[:, 0]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nhpinn.homogenize(of_y, 1, eps=1), r"homogenize: found eps, expected homogenize\(coefficient, dim, "),
        (lambda: nhpinn.homogenize(of_y), r"homogenize: missing .*'dim', expected homogenize\(coefficient, dim, "),
        (lambda: nhpinn.homogenize(of_both, 1), r"coefficient: found a function of \(x, y\).*homogenize_at"),
        (lambda: nhpinn.homogenize_at(of_both), r"homogenize_at: missing .*'points', expected homogenize_at\("),
        (lambda: nhpinn.homogenize_at(of_y, [[0.1]]), r"coefficient: found a function of y alone, .* of \(x, y\)"),
        (lambda: nhpinn.solve(of_both, of_y, [(0, 1)]), r"solve: missing .*'eps', expected solve\(coefficient, source"),
        (lambda: nhpinn.solve(of_x, of_x, [(0, 1)], 0.1), r"coefficient: found a function of \(x\), .*\(x, y\)"),
        (lambda: nhpinn.solve(lambda y, x: of_y(y), of_x, [(0, 1)], 0.1), r"\(y, x\), expected .* in this order"),
        (lambda: nhpinn.solve(lambda x, k=2.0: k + 0 * x[:, 0], of_x, [(0, 1)], 0.1), r"\(x, k=2.0\), expected one of"),
        (lambda: nhpinn.homogenize_at(lambda y, x: of_y(y), [[0.1]]), r"\(y, x\), expected .* in this order"),
        (
            lambda: nhpinn.solve(of_both, lambda t, x: of_x(x), [(0, 1)], 0.1, initial=of_x),
            r"source: found a function of \(t, x\), expected .* in this order",
        ),
        (
            lambda: nhpinn.solve(of_both, of_x, [(0, 1)], 0.1, boundary=nhpinn.Flux(lambda x, u: 3 * (u - 1))),
            r"boundary: found a function of \(x, u\), .*convection",
        ),
        (
            lambda: nhpinn.solve(of_both, of_x, [(0, 1)], 0.1, boundary=(0, nhpinn.Flux)),
            "boundary: .*Flux.0., insulated",
        ),
        (lambda: nhpinn.homogenize(nhpinn.TwoPhase(np.ones((4, 4)), 1.0, 2.0), 2), "level_set: found ndarray.*values="),
        (lambda: nhpinn.solve(of_both, of_y, [(0, 1)], 0.1, epsilon=1), r"solve: .*'epsilon', expected solve\("),
        (lambda: nhpinn.homogenize(np.ones((5, 7, 3)), 2), "found a picture in colour, 3 numbers in each of 5 x 7"),
        (lambda: nhpinn.homogenize(np.ones((5, 7, 4), int), 2, values={1: 2.0}), "found a picture in colour, 4"),
    ],
)
def test_a_call_that_was_meant_otherwise_says_what_was_expected(call, sentence):
    with pytest.raises(TypeError, match=sentence) as found:
        call()
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: nhpinn.solve(of_both, of_x, (0, 1), 0.1), r"box: found .0, 1.,.*in one dimension \[\(low, high\)\]"),
        (lambda: nhpinn.solve(of_both, of_x, [(0, 1)], 0.1, boundary=[(4, 3), (0, 0)]), "boundary: .*expected 1 pairs"),
        (lambda: nhpinn.solve(of_both, lambda x: 1.0, [(0, 1)], 0.1), "source: returned float.*as 1.0 . 0"),
        (lambda: nhpinn.homogenize(lambda y: np.ones((len(y), 3, 2)), 2), "coefficient: returned shape"),
        (lambda: nhpinn.homogenize([[1, 5]], 2, values={1: "1", 5: 2.0}), "values: found {1: '1'"),
        (lambda: nhpinn.homogenize(nhpinn.TwoPhase(lambda y: y[:, 0] - 0.5, "1", 2.0), 1), "inside: found '1'"),
    ],
)
def test_so_does_a_value_that_was_meant_otherwise(call, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        call()


CHECKS = np.add.outer(np.arange(4), np.arange(4)) % 2
VALUES = {0: 1.0, 1: 4.0}


@pytest.mark.parametrize(
    ("coefficient", "sentence"),
    [
        ([[1.0, 0.2], [0.2, 1.0]], "positive definite matrix, taken for an image of 2 x 2 pixels"),
        (CHECKS + 1, "the whole numbers 1 to 2, taken for conductivities"),
        (CHECKS, "the whole numbers 0 to 1, taken for conductivities"),
        (np.ones((8, 8, 3)), "3 voxels along axis 2, taken for a thin volume"),
        ((CHECKS + 1.0), ""),
        (3 * CHECKS + 1, ""),
        ([[1.0, 10.0], [10.0, 1.0]], ""),
        (np.eye(2, dtype=int) + np.zeros((2, 2, 2, 2), int), ""),
    ],
)
def test_numbers_that_may_be_meant_for_a_tensor_or_for_labels_are_a_warning(coefficient, sentence):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        nhpinn.homogenize(coefficient, 3 if np.ndim(coefficient) == 3 else 2, tolerance=0.9)
        nhpinn.homogenize(CHECKS, 2, tolerance=0.9, values=VALUES)
        nhpinn.tortuosity(1 - CHECKS[:, :1], tolerance=0.9)
    assert [sentence in str(each.message) for each in said] == [True] * bool(sentence)


def test_a_value_for_a_label_that_the_image_does_not_have_is_a_warning():
    with pytest.warns(UserWarning, match="values: found one for 7, expected labels of the image"):
        nhpinn.homogenize(CHECKS, 2, tolerance=0.9, values={**VALUES, 7: 3.0})


@pytest.mark.parametrize(
    ("coefficient", "sentence"),
    [
        (lambda x, y: 2 + anp.sin(TAU * y[:, 0] * 16), "itself every eps . period in y, .*divided by eps again"),
        (lambda x, y: 2 + anp.sin(TAU * x[:, 0] * 16), "itself every eps . period in x, .*function of y"),
        (lambda x, y: 2 + x[:, 0] + anp.sin(TAU * x[:, 0] * 16), "itself every eps . period in x, .*function of y"),
    ],
)
def test_x_and_y_that_are_mistaken_for_one_another_are_a_warning(coefficient, sentence):
    with pytest.warns(UserWarning, match=sentence):
        nhpinn.solve(coefficient, of_x, [(0, 1)], 1 / 16, tolerance=0.1)


@pytest.mark.parametrize(
    "coefficient",
    [
        lambda x, y: 2 + anp.sin(TAU * y[:, 0]) * anp.cos(x[:, 0]),
        lambda x, y: 2 + x[:, 0] + 0 * y[:, 0],
        lambda x, y: 2 + anp.cos(2 * TAU * y[:, 0]),
        of_both,
    ],
)
@pytest.mark.parametrize("eps", [1.0, 0.5, 1 / 16, 1e-9])
def test_what_is_not_mistaken_has_no_warning(coefficient, eps):
    problem = SimpleNamespace(coefficient=coefficient, eps=eps, period=(1.0,), dim=1, domain=((0.0, 1.0),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checks.warn_of_eps(problem)


def test_a_tolerance_in_percent_is_a_warning():
    with pytest.warns(UserWarning, match="tolerance: found 5, expected one below 1"):
        nhpinn.homogenize(of_y, 1, tolerance=5)


@pytest.mark.parametrize("of_y_alone", [lambda y, k=3.0: k + anp.sin(TAU * y[:, 0]), nhpinn.table([1.0, 2, 3, 2], 1)])
def test_solve_takes_functions_of_y_alone(of_y_alone):
    found, both = (nhpinn.solve(f, of_x, [(0, 1)], 0.1) for f in (of_y_alone, lambda x, y: of_y_alone(y)))
    assert found([0.3]) == both([0.3])


def test_storage_may_be_a_function_of_y_alone():
    x, y = np.ones((3, 1)), np.array([[0.1], [0.2], [0.3]])
    np.testing.assert_array_equal(solutions.of_x_and_y(lambda y: y[:, 0])(x, y), y[:, 0])


def test_points_that_rounding_has_moved_out_of_the_box_are_on_its_face():
    u = solution(False)
    x = np.array([[1 + 2e-16, 0.5], [0.3, -1e-13]])
    np.testing.assert_array_equal(u(x), u(np.clip(x, 0, 1)))
    with pytest.raises(ValueError, match="x: found points outside"):
        u([1 + 1e-9, 0.5])


def test_grey_levels_are_no_conductivities_unless_that_is_said():
    picture = np.array([[10, 20, 10], [10, 10, 20]], np.uint8)
    with pytest.raises(ValueError, match="values: found None for grey levels or labels, .10, 20. and so on"):
        nhpinn.homogenize(picture, 2)
    options = {"tolerance": 0.5}
    said = nhpinn.homogenize(picture.astype(float), 2, **options)
    labelled = nhpinn.homogenize(picture, 2, values={10: 10.0, 20: 20.0}, **options)
    np.testing.assert_array_equal(said.tensor, labelled.tensor)


def test_functions_that_do_not_say_their_arguments_are_called():
    """Those of C, such as numpy's, and partial objects that can take them."""
    with pytest.raises(ValueError, match="coefficient: "):
        nhpinn.homogenize(np.sin, 1)


@pytest.mark.parametrize(("dim", "truth", "epochs"), [(1, np.sqrt(3), 600), (2, 1.9353592348, 100)])
@pytest.mark.filterwarnings("ignore:homogenize")
def test_the_tensor_of_adam_is_within_its_error_of_the_truth(dim, truth, epochs):
    """However short the training: closed form in one dimension, converged elements in two."""
    settings = {"hidden": (16, 16), "points": 41 if dim == 1 else 12, "epochs": epochs}
    found = nhpinn.homogenize(
        lambda y: 2 + anp.sin(TAU * y[:, 0]) * (anp.cos(TAU * y[:, 1]) if dim == 2 else 1.0),
        dim,
        recipe="adam",
        **settings,
    )
    assert np.linalg.norm(found.tensor - truth * np.eye(dim), 2) <= found.error * truth
    for low, high in ((found.lower, truth * np.eye(dim)), (truth * np.eye(dim), found.upper)):
        assert np.linalg.eigvalsh(high - low).min() >= -found.quadrature * truth - 1e-9


def test_matrix_products_have_one_thread_where_that_can_be_asked_for(monkeypatch):
    limits = []

    class Limits:
        def __init__(self, count):
            self.count = count

        def __enter__(self):
            limits.append(self.count)

        def __exit__(self, *error):
            limits.append(None)

    monkeypatch.setitem(sys.modules, "threadpoolctl", SimpleNamespace(threadpool_limits=Limits))
    nhpinn.homogenize(np.ones((2, 2)) + np.eye(2), 2)
    assert limits == [1, None]
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)  # not installed
    nhpinn.homogenize(np.ones((2, 2)) + np.eye(2), 2)
    with pytest.raises(ValueError, match="dim") as found:
        nhpinn.homogenize(np.ones((2, 2)), 7)
    assert found.value.__context__ is None, "an error of the user's is not one of what is not installed"
