"""Problems of one's own: found, run like the paper's, and refused with the line and the field."""

import json
from pathlib import Path

import numpy as np
import pytest
from test_trust import InThisProcess

from lab import command, experiments, files, own, runner, studies, tasks
from lab.settings import Task
from problems import EXPERIMENTS

ROOT = Path(__file__).parents[2]
HEAD = """import autograd.numpy as np
from problems import Problem, experiment

"""
MINE = """mine = Problem(
    name="mine",
    title="mine",
    dim=1,
    domain=((0.0, 1.0),),
    eps=0.125,
    coefficient=lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0]),
    source=lambda x: 1 + 0 * x[:, 0],
)
"""


def setup_of(method, found):
    return tasks.setup(Task("mine", method, 0, "smoke"), found)


def problem_file(folder, text):
    path = folder / "mine.py"
    path.write_text(HEAD + text)
    return path


def test_the_example_is_a_problem_and_an_experiment_whose_settings_replace_ours():
    found = own.load(ROOT / "examples" / "problem_file.py")
    assert list(found) == ["slanted", "fast"]
    assert found["fast"].cell == {**found["slanted"].cell, "epochs": 1000} and found["fast"].test_points == 51


def test_defaults_suit_every_dimension_with_time_and_without():
    for dim in (1, 2, 3):
        for initial in (None, lambda x: 0 * x[:, 0]):
            a = lambda x, y: 2 + 0 * y[:, 0]  # noqa: E731
            base = EXPERIMENTS["elliptic2d"].problem._replace(coefficient=a, source=lambda x: x[:, 0])
            own.checked(base._replace(dim=dim, domain=((0.0, 1.0),) * dim, initial=initial, slow=None))


def test_everything_runs_on_a_problem_of_ones_own(tmp_path, monkeypatch):
    """References, the paper's recipe, classical PINN, transfer learning, tables, pictures and the report."""
    monkeypatch.setattr(runner, "new_process", InThisProcess)
    out = tmp_path / "out"
    arguments = ["--problem", str(problem_file(tmp_path, MINE)), "--budget", "smoke", "--out", str(out)]
    assert command.main([*arguments, "--methods", "fem", "adam", "classical"]) == 0
    rows = json.loads((out / "summary.json").read_text())
    assert {row["problem"] for row in rows} == {"mine"} and {row["paper"] for row in rows} == {None}
    assert {row["quantity"] for row in rows} >= {"e1", "e2", "e3", "e4", "e_a", "chi1", "classical", "transfer"}
    assert (out / "figures" / "mine.svg").exists() and 'id="problem-mine"' in (out / "report.html").read_text()


HEATED = """from nhpinn import Flux

heated = Problem(
    name="heated",
    title="100 on the left, heat comes in from above",
    dim=2,
    domain=((0.0, 1.0), (0.0, 1.0)),
    eps=0.25,
    coefficient=lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0]) * np.cos(2 * np.pi * y[:, 1]),
    source=lambda x: 1 + 0 * x[:, 0],
    boundary=[(100, Flux(0)), (Flux(0), Flux(lambda x: 5 * x[:, 0]))],
)
quenched = Problem(
    name="quenched",
    title="a bar at 20, set to 100, with a source in time",
    dim=1,
    domain=((0.0, 1.0),),
    eps=0.125,
    coefficient=lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0]),
    source=lambda x, t: np.sin(t) * x[:, 0],
    boundary=(100, Flux(0)),
    initial=lambda x: 20 + 0 * x[:, 0],
    final_time=0.1,
)
rough = [experiment(problem, tolerance=1e-4, test_points=21) for problem in (heated, quenched)]
of_heated, of_quenched = rough
"""


def test_values_and_fluxes_on_faces_elliptic_and_in_time(tmp_path, monkeypatch):
    """References, features, the classical PINN and the report; the reconstruction is near the fine solution."""
    monkeypatch.setattr(runner, "new_process", InThisProcess)
    monkeypatch.setattr(experiments, "STEPS", 200)  # references of three digits do
    monkeypatch.setattr(experiments, "HOMOGENIZED_ELEMENTS", {1: 16, 2: 16})
    out = tmp_path / "out"
    arguments = ["--problem", str(problem_file(tmp_path, HEATED)), "--budget", "smoke", "--out", str(out)]
    assert command.main([*arguments, "--methods", "fem", "sharp", "classical"]) == 0
    rows = {(row["problem"], row["recipe"], row["quantity"]): row["value"] for row in summary_of(out)}
    for problem in ("heated", "quenched"):
        assert rows[problem, "sharp", "e3"] < 1e-3 and rows[problem, "sharp", "e1"] < 0.05
        assert ((problem, "sharp", "certified") in rows) == (problem == "heated")
        assert problem in (out / "report.html").read_text()
        found = own.load(tmp_path / "mine.py")[problem]
        assert not tasks.applies("law", found) and tasks.applies("sweep", found)


def summary_of(out):
    return json.loads((out / "summary.json").read_text())


def test_another_file_is_another_task_though_its_functions_look_the_same(tmp_path):
    names = set()
    for constant in (1, 2):
        text = f"K = {constant}\n" + MINE.replace("2 + np.sin", "2 + K * np.sin").replace("2 + K", "3 + K")
        found = own.load(problem_file(tmp_path, text))["mine"]
        names.add(tasks.name_of(setup_of("fem", found)))
    assert len(names) == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("eps=0.125", "eps=-1", "line 9: eps: found -1, expected a positive number"),
        ("eps=0.125", "eps=2.0", "line 9: eps: found 2, expected eps . period at most the box"),
        ("dim=1", "dim=4", "line 7: dim: found 4"),
        ("domain=((0.0, 1.0),)", "domain=((1.0, 0.0),)", "line 8: domain: found"),
        ("2 + np.sin(2 *", "2 + np.sin(3 *", "line 10: coefficient: not periodic"),
        ("2 + np.sin", "2 + np.sinus", "line 10: .*sinus"),
        ("2 + np.sin(2 * np.pi * y[:, 0])", "np.where(y[:, 0] % 1 < 0.5, 1.0, 2.0)", "line 10: .*jumps in y"),
        (MINE, MINE + "for k in (1, -2):\n    b = mine._replace(eps=k)\n", "line 14: eps: found -2"),
        ("1 + 0 * x[:, 0]", "x", "line 11: source: returned"),
        ("eps=0.125", "epsilon=0.125", "line 4: .*epsilon"),
        ('name="mine"', 'name="my problem"', "line 5: name: found 'my problem'"),
        ('name="mine"', 'name="const1d"', "name: found 'const1d' twice"),
        ("mine = Problem(", "mine = Problem((", "line "),
        ("mine = Problem(", "mine = dict(", "found no Problem and no Experiment"),
        (MINE, MINE + 'b = experiment(mine, cell={"epoch": 3})\n', "line 13: cell: .*epoch"),
        (MINE, MINE + 'b = experiment(mine, cell={"weights": (1, 1, 1)})\n', "line 13: weights: found"),
        (MINE, MINE + "b = experiment(mine, tolerance=-1)\n", "line 13: tolerance: found -1"),
        (MINE, MINE + "b = experiment(mine, cells={})\n", "line 13: .*cells"),
        (MINE, MINE + MINE.replace("mine =", "b ="), "line 14: name: found 'mine' twice"),
        (MINE, MINE + "b, c = experiment(mine), experiment(mine)\n", "name: found 'mine' twice"),
        (MINE, MINE + "assert mine.eps > 1\n", "line 13: AssertionError"),
        (MINE, MINE + "raise SystemExit(3)\n", r"line 13: found sys.exit\(3\)"),
        ('name="mine"', f'name="{300 * "n"}"', "line 5: name: found 'nnn.*', expected at most 60 letters"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line_and_field(old, new, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        own.experiments([problem_file(tmp_path, MINE.replace(old, new))])


def test_what_is_no_python_is_said_with_its_place_once(tmp_path):
    with pytest.raises(ValueError, match=r"/mine.py, line 14: found unterminated string literal, expected Python$"):
        own.load(problem_file(tmp_path, "\n" * 10 + "it's\n"))


def test_a_syntax_error_of_a_module_has_the_line_that_imports_it(tmp_path):
    (tmp_path / "broken_beside.py").write_text("\n" * 40 + "x = (\n")
    with pytest.raises(ValueError, match=r"mine.py, line 13: .*broken_beside.py, line 41"):
        own.load(problem_file(tmp_path, MINE + "import broken_beside\n"))


def test_a_record_may_have_two_variables_and_an_experiment_stands_for_its_problem(tmp_path):
    found = own.load(problem_file(tmp_path, MINE + "b = experiment(mine, test_points=11)\nc, d = mine, b\n"))
    assert list(found) == ["mine"] and found["mine"].test_points == 11


@pytest.mark.parametrize("period", ["np.array([1.0, 2.0])", "[1.0, 2.0]"])
def test_a_period_an_axis_is_a_tuple_and_every_way_to_periodicity_takes_it(period, tmp_path):
    text = MINE.replace("dim=1", f"dim=2, period={period}").replace("domain=(", "domain=((0.0, 1.0), ")
    text = text.replace("y[:, 0])", "y[:, 0]) * np.sin(np.pi * y[:, 1])")
    found = own.load(problem_file(tmp_path, text))["mine"]
    assert hash(found.problem) and found.problem.period == (1.0, 2.0)
    cell = {**found.cell, "points": 8, "hidden": (4,), "oversampling": 1}
    result = studies.run_layers(setup_of("layers", found._replace(cell=cell)))
    assert len(result["study"]) == 8 and all(np.isfinite(row["chi1"]) for row in result["study"])


def test_functions_are_named_by_what_they_are_and_not_by_their_address(tmp_path):
    """A partial, an object that is called, and a partial of an object."""
    head = "from functools import partial\n\nclass A:\n    def __init__(self, c):\n        self.c = c\n"
    head += "    def __call__(self, x, y):\n        return 2 + self.c * np.sin(2 * np.pi * y[:, 0])\n\n"
    head += "def scaled(c, x, y):\n    return A(c)(x, y)\n\n"
    call, names = "lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0])", []
    for c in (0.5, 0.7):
        for made in (f"partial(scaled, {c})", f"A({c})", f"partial(A({c}))"):
            path, kept = problem_file(tmp_path, head + MINE.replace(call, made)), []
            for _ in range(2):
                kept.append(own.load(path)["mine"]._replace(file=""))
            one, other = (tasks.name_of(setup_of("fem", found)) for found in kept)
            assert one == other
            names.append(one)
    assert len(set(names[:2] + names[3:5])) == 4


def test_a_coefficient_has_to_be_defined_in_the_box_alone(tmp_path):
    text = MINE.replace("(0.0, 1.0)", "(1.0, 2.0)").replace("2 + np.sin", "2 + np.where(x[:, 0] < 0.5, 9, 0) + np.sin")
    found = own.load(problem_file(tmp_path, text))["mine"].problem
    assert experiments.fem_coefficients(found, 16).samples == pytest.approx(np.sqrt(3))


def test_a_box_without_an_interior(tmp_path):
    """No test point is a period away from the boundary."""
    found = own.load(problem_file(tmp_path, MINE.replace("eps=0.125", "eps=0.6")))["mine"]
    quantities = experiments.run_fem(setup_of("fem", found))["quantities"]
    assert {"h1", "e1_corrected"} < set(quantities) and all(map(np.isfinite, quantities.values()))
    sweep = studies.run_sweep(setup_of("sweep", found))
    assert len(sweep["study"]) == 1 and sweep["rates"] == {}


def test_the_command_knows_where_the_file_is_and_refuses_the_name_of_a_picture(tmp_path, monkeypatch, capsys):
    problem_file(tmp_path, MINE)
    monkeypatch.chdir(tmp_path)
    args = command.parse(["--problem", "mine.py"])[1]
    assert args.problem == [str(tmp_path / "mine.py")] and args.command.endswith("--problem mine.py")
    problem_file(tmp_path, MINE.replace('name="mine"', 'name="layers"'))
    with pytest.raises(SystemExit):
        command.parse(["--problem", "mine.py"])
    assert "--problem: name: found 'layers', which is a picture's" in capsys.readouterr().err


def test_a_function_may_be_an_object_that_cannot_be_hashed(tmp_path):
    record = "from dataclasses import dataclass\n\n@dataclass\nclass A:\n    c: float\n    def __call__(self, x, y):\n"
    text = record + "        return 2 + self.c * np.sin(2 * np.pi * y[:, 0])\n\n" + MINE
    call = "coefficient=lambda x, y: 2 + np.sin(2 * np.pi * y[:, 0])"
    problem = own.load(problem_file(tmp_path, text.replace(call, "coefficient=A(0.5)")))["mine"].problem
    assert experiments.reference(problem, 0.5) is experiments.reference(problem, 0.5)


def test_a_box_costs_what_its_area_needs():
    square = EXPERIMENTS["elliptic2d"].problem
    long = square._replace(domain=((0.0, 2.0), (0.0, 0.5)))
    assert experiments.an_axis(square, 48) == 48 and experiments.an_axis(long, 96) == (96, 24)
    u, elements = experiments.fine_solution(long._replace(eps=1 / 4), 0.5)
    assert elements == (32, 8) and u.mesh.elements == elements


def test_a_coefficient_that_depends_on_x_while_nothing_says_so_is_found_out(tmp_path):
    slow = MINE.replace("2 + np.sin(2", "2 + x[:, 0] + np.sin(2")
    assert [own.load(problem_file(tmp_path, text))["mine"].problem.slow for text in (MINE, slow)] == [False, True]


def test_a_tensor_beside_a_reaction_is_refused_where_elements_are_the_reference(tmp_path):
    square = MINE.replace("dim=1", "dim=2").replace("((0.0, 1.0),)", "((0.0, 1.0), (0.0, 1.0))")
    tensor = square.replace("2 + np.sin(2 * np.pi * y[:, 0])", "np.diag([1.0, 2.0]) + 0 * y[:, :1, None]")
    own.load(problem_file(tmp_path, tensor))
    with pytest.raises(ValueError, match="coefficient: found the tensor .* beside a reaction"):
        reaction = "    reaction=lambda y: np.sin(2 * np.pi * y[:, 0]),\n"
        own.load(problem_file(tmp_path, tensor.replace("    eps=", reaction + "    eps=")))


def test_cells_are_counted_along_the_axis_that_has_most():
    wide = EXPERIMENTS["elliptic2d"].problem._replace(domain=((0.0, 1.0), (0.0, 3.0)), period=(1.0, 0.5), eps=1 / 4)
    assert studies.cells_an_axis(wide) == 24


def test_results_in_small_units_are_saved_with_their_digits(tmp_path):
    """A source 1e-12 times as large: the saved solution is the other one in that unit."""
    saved = []
    for unit in (1.0, 1e-12):
        text = MINE.replace("1 + 0 * x[:, 0]", f"{unit} + 0 * x[:, 0]")
        result = experiments.run_sharp(setup_of("sharp", own.load(problem_file(tmp_path, text))["mine"]))
        fields = json.loads(json.dumps(result["fields"], default=files.plain_data))
        saved.append(np.array(fields["solution"]) / unit)
    np.testing.assert_allclose(saved[1], saved[0], atol=1e-5 * np.abs(saved[0]).max())
    assert np.abs(saved[0]).max() > 0.01
