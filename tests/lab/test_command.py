"""The command, as a user calls it, and the data that it runs on."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from test_trust import InThisProcess

import fem
import problems
from lab import command, experiments, files, progress, runner, tables, tasks, verify
from lab.settings import BUDGETS, Setup, Task
from nhpinn_networks import init_network
from problems import EXPERIMENTS, PROBLEMS

ROOT = Path(__file__).parents[2]


def call(*arguments, timeout=600):
    return subprocess.run(
        [sys.executable, ROOT / "run_all.py", *map(str, arguments)], capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture(scope="module", params=[("const1d",), pytest.param((*PROBLEMS,), marks=pytest.mark.slow)])
def smoke(request, tmp_path_factory):
    """One run of every method but the studies on some problems, and what it wrote."""
    out, jobs = tmp_path_factory.mktemp("smoke"), min(len(request.param), 2)
    return call("--budget", "smoke", "--no-figures", "--only", *request.param, "--jobs", jobs, "--out", out), out


def test_smoke_runs_every_problem_and_writes_its_results(smoke):
    run, out = smoke
    assert run.returncode == 0, run.stderr
    rows = json.loads((out / "summary.json").read_text())
    assert all(set(row) == {"problem", "quantity", "recipe", "value", "std", "worst", "paper", "seeds"} for row in rows)
    assert all(np.isfinite(row["value"]) and row["seeds"] == 1 for row in rows)
    found = {(row["problem"], row["quantity"]) for row in rows}
    names = {name for name, _ in found}
    for name in names:
        assert found >= {(name, q) for q in ("e1", "e2", "e3", "e4", "e_a", "classical", "transfer")}
        assert found >= {(name, quantity) for quantity in EXPERIMENTS[name].paper}
    assert len(list((out / "tasks").glob("*.json"))) == 6 * len(names) + ("elliptic2d" in names)
    text = (out / "tables.md").read_text()
    assert all(f"{value:g}" in text for name in names for value in EXPERIMENTS[name].paper.values())
    table, *rest = run.stdout.split("\n\n")[-4:]
    assert [line for line in table.splitlines() if line.startswith(tuple(names))] and len(table.splitlines()) <= 30
    assert all(verdict.splitlines()[0].startswith("done: ") for verdict in rest[1:2])
    assert len(run.stdout.split("is in", 1)[0].splitlines()) < 100 and str(out) in rest[-1]


def test_references_do_not_depend_on_the_budget(smoke):
    rows = json.loads((smoke[1] / "summary.json").read_text())
    e4 = {row["problem"]: row["value"] for row in rows if row["quantity"] == "e4"}
    assert abs(e4["const1d"] - 0.00506029) < 5e-8  # converged values of an independent code
    if len(e4) == len(PROBLEMS):
        assert abs(e4["slow1d"] - 0.005125) < 5e-7
        assert abs(e4["reaction10"] - 0.04217) < 5e-6  # with boundary layers, as fem.py converges to it
        assert abs(e4["elliptic2d"] - 0.01166) < 5e-6
        assert abs(e4["reaction50"] / (1 / 50 / (2 * np.sqrt(2))) - 1) < 0.01  # eps N u0 alone: eps / (D sqrt 2)
    assert {row["recipe"] for row in rows if row["quantity"] == "e4"} == {"fem"}
    for path in (smoke[1] / "tasks").glob("*fem*.json"):
        coarse, used, fine = (level["e4"] for level in json.loads(path.read_text())["refinement"])
        assert abs(used - fine) < 1e-4 * fine and abs(used - fine) <= abs(coarse - fine)


def test_tasks_carry_what_a_reader_needs(smoke):
    for path in (smoke[1] / "tasks").glob("*adam*.json"):
        result = json.loads(path.read_text())
        assert (
            result["task"]["seed"] == 0 and result["seconds"] > 0 and set(result["versions"]) >= {"numpy", "autograd"}
        )
        for part, history in result["history"].items():
            assert len(history["epochs"]) == len(history["loss"]), part
            assert history["epochs"][-1] == result["settings"]["classical" if part == "transfer" else part]["epochs"]
            assert all(len(values) == len(history["epochs"]) for values in history["errors"].values())


def test_results_say_how_they_were_made(smoke):
    for path in (smoke[1] / "tasks").glob("*.json"):
        result = files.read(path)
        assert result["command"].startswith("python run_all.py --budget smoke --no-figures --only const1d")
        assert result["processor"] and result["threads"] == "1" and result["continued"] is False
        assert set(result["versions"]) >= {"python", "numpy", "scipy", "autograd", "blas", "machine"}
        assert result["started"].endswith("+00:00") and result["commit"] and result["seconds"] > 0


def results_of(out, method):
    """The saved results of a method, by problem."""
    saved = [json.loads(path.read_text()) for path in (out / "tasks").glob(f"*-{method}-*.json")]
    return {result["task"]["problem"]: result for result in saved}


def test_errors_are_those_of_section_5_1(smoke):
    """e1, e2 and e3 once more from the saved solutions and coefficients; w by quadratic elements."""
    for name, result in results_of(smoke[1], "adam").items():
        problem, a = PROBLEMS[name], np.array(result["coefficients"]["tensor"])
        p, u = (np.array(result["fields"][field]) for field in ("solution", "reference"))
        errors = result["history"]["homogenized"]["errors"]
        np.testing.assert_allclose(errors["e1"][-1], np.linalg.norm(p - u) / np.linalg.norm(u), rtol=1e-3)
        if problem.slow:
            continue
        mesh, r = fem.Mesh(problem.domain, 60, 2), result["coefficients"]["reaction"]
        coefficients = (lambda x, a=a: np.broadcast_to(a[0], (len(x), *a[0].shape))), problem.source
        if problem.initial is None:
            field = fem.solve_elliptic(*coefficients, mesh)
        else:
            field = fem.solve_parabolic(*coefficients, problem.initial, 1.0, 1000, mesh, lambda x, r=r: 0 * x[:, 0] + r)
        w = field.on_grid(*experiments.error_axes(EXPERIMENTS[name]))
        np.testing.assert_allclose(result["quantities"]["e2"], np.linalg.norm(w - u) / np.linalg.norm(u), rtol=1e-2)
        np.testing.assert_allclose(errors["e3"][-1], np.linalg.norm(p - w) / np.linalg.norm(w), rtol=1e-2)


def test_transfer_learning_starts_from_the_network_of_step_three(smoke):
    for result in results_of(smoke[1], "adam").values():
        history = result["history"]
        assert history["transfer"]["errors"]["transfer"][0] == history["homogenized"]["errors"]["e1"][-1]


def test_the_error_of_a_corrector_does_not_see_a_constant():
    for name in ("elliptic2d", "reaction10"):
        problem = PROBLEMS[name]
        J = 1 if problem.reaction else problem.dim
        params = init_network((problem.dim, 8, 1), np.random.default_rng(0), (1, J))
        errors = experiments.corrector_errors(problem)
        before = errors(params)
        params[-1] = (params[-1][0], params[-1][1] + 5.0)
        assert list(before) == (["N"] if problem.reaction else ["chi1", "chi2"])
        np.testing.assert_allclose(list(errors(params).values()), list(before.values()), rtol=1e-9)


def test_random_streams_differ_between_problems_parts_and_seeds():
    every = [Task(name, "adam", seed, "smoke") for name in PROBLEMS for seed in range(3)]
    streams = {
        tuple(Setup(task, None, {}).stream(part)) for task in every for part in ("nhpinn", "transfer", "classical")
    }
    assert len(streams) == 9 * len(PROBLEMS)


@pytest.mark.slow
def test_the_number_of_processes_changes_no_number_and_finished_tasks_are_kept(smoke, tmp_path):
    again = call("--budget", "smoke", "--no-figures", "--jobs", 1, "--only", "const1d", "--out", tmp_path)
    assert again.returncode == 0, again.stderr
    paths = list((tmp_path / "tasks").glob("*.json"))
    assert len(paths) == 6
    for path in paths:
        one, other = (files.read(folder / "tasks" / path.name) for folder in (tmp_path, smoke[1]))
        assert verify.repeatable(one) == verify.repeatable(other)
    before = {path: path.stat().st_mtime_ns for path in paths}
    kept = call("--budget", "smoke", "--no-figures", "--only", "const1d", "--out", tmp_path)
    assert "6 of 6 results are in" in kept.stdout
    assert before == {path: path.stat().st_mtime_ns for path in paths}


@pytest.mark.slow
def test_seeds_are_averaged(tmp_path):
    run = call("--budget", "smoke", "--no-figures", "--only", "const1d", "--seeds", 2, "--seed", 3, "--out", tmp_path)
    assert run.returncode == 0, run.stderr
    values = [json.loads(p.read_text()) for p in (tmp_path / "tasks").glob("*adam*.json")]
    assert sorted(v["task"]["seed"] for v in values) == [3, 4]
    row = next(r for r in json.loads((tmp_path / "summary.json").read_text()) if r["quantity"] == "e1")
    found = [v["quantities"]["e1"] for v in values]
    assert found[0] != found[1] and row["seeds"] == 2
    np.testing.assert_allclose([row["value"], row["std"]], [np.mean(found), np.std(found, ddof=1)])
    assert row["worst"] == max(found)
    text = (tmp_path / "tables.md").read_text()
    assert f"{row['value']:.4g} ± {row['std']:.2g}, worst {row['worst']:.4g}" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "eliptic2d"], "--only: unknown problem 'eliptic2d'; did you mean 'elliptic2d'?"),
        (["--budget", "huge"], "invalid choice: 'huge'"),
        (["--seeds", "0"], "--seeds: found 0, expected at least 1"),
        (["--jobs", "-1"], "--jobs: found -1, expected at least 1"),
        (["--seed", "-1"], "--seed: found -1, expected at least 0"),
        (["--out", "/dev/null/results"], "--out: cannot write to /dev/null/results"),
        (["--out", ""], "--out: found '', expected the name of a folder"),
        (["--only", "nonsense"], "--only: unknown problem 'nonsense'. Known: const1d"),
        (["--methods", "clasical"], "--methods: unknown method 'clasical'; did you mean 'classical'?"),
        (["--verify", "not/there"], "--verify: found no results in 'not/there', expected a folder that --out has"),
        (["--only", "const1d", "--methods", "plain"], "found plain, expected one that applies to const1d: fem, sharp,"),
        (["--methods", "fourier"], "unknown method 'fourier', which is a recipe of nhpinn.solve. Known: fem"),
        (["const1d"], "unrecognized arguments: const1d; problems are named by --only, methods by --methods"),
        (["--executor", "dask:"], "--executor: found 'dask:', expected local, dask:ADDRESS or mpi"),
        (["--problem", "not/there.py"], "cannot be read (No such file or directory)"),
    ],
)
def test_bad_arguments_get_one_clear_sentence(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_list_names_every_problem_budget_and_recipe(capsys):
    assert command.main(["--list"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*PROBLEMS, *BUDGETS, "adam", "sharp", "fem"])
    assert "which average a loss learns (with --studies, or named)" in printed and "but the studies" not in printed


def test_a_failing_task_fails_alone(tmp_path, monkeypatch, capsys):
    """A loss that is not finite: the others finish, the summary says which failed, the exit status is 1."""
    broken = EXPERIMENTS["const1d"]
    broken = broken._replace(homogenized=problems.fixed(**{**broken.homogenized, "rate": 1e30}))
    monkeypatch.setitem(EXPERIMENTS, "const1d", broken)
    monkeypatch.setattr(runner, "new_process", InThisProcess)
    with np.errstate(all="ignore"):
        arguments = ["--budget", "smoke", "--only", "const1d", "--methods", "fem", "adam", "--no-figures"]
        status = command.main([*arguments, "--out", str(tmp_path)])
    printed = capsys.readouterr()
    assert status == 1
    assert "failed: const1d adam seed 0: FloatingPointError: the loss is" in printed.err
    assert "### Failed" in (tmp_path / "tables.md").read_text()
    assert {p.name.split("-")[1] for p in (tmp_path / "tasks").glob("*.json")} == {"fem"}


@pytest.mark.parametrize("damaged", ['{"task": ', "{}", "[]", '{"task": {}, "seconds": 1}', "\x00"])
def test_a_damaged_result_is_run_again(damaged, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "new_process", InThisProcess)
    made = tasks.METHODS["fem"]._replace(run=lambda *_: {"recipe": "fem", "quantities": {"e4": 1.0}})
    monkeypatch.setitem(tasks.METHODS, "fem", made)
    task = Task("const1d", "fem", 0, "smoke")
    path = files.result_path(tmp_path, tasks.name_of(tasks.setup(task, EXPERIMENTS["const1d"])))
    files.write(path, damaged)
    arguments = ["--budget", "smoke", "--only", "const1d", "--methods", "fem", "--no-figures", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    assert json.loads(path.read_text())["quantities"] == {"e4": 1.0}
    assert "written: tables.md, summary.json and 1 file in tasks/" in capsys.readouterr().out


def test_the_problems_are_consistent_data():
    for name, experiment in EXPERIMENTS.items():
        problem = experiment.problem
        assert problem.name == name and len(problem.domain) == problem.dim and problem is PROBLEMS[name]
        with pytest.raises(TypeError):
            experiment.paper["e1"] = 0.0
        points = np.random.default_rng(0).uniform(0, 1, (5, problem.dim))
        assert problem.coefficient(points, points / problem.eps).shape == (5,)
        assert problem.source(points).shape == (5,)
        for part in ("cell", "homogenized", "classical"):
            assert abs(sum(getattr(experiment, part)["weights"]) - 1) < 1e-12
        assert set(experiment.paper) <= set(tables.QUANTITIES)


def test_other_data_of_a_problem_is_another_task(monkeypatch):
    def laminate(k):
        return lambda x, y: 2 + np.sin(k * y[:, 0])

    task, whole = Task("const1d", "adam", 0, "smoke"), EXPERIMENTS["const1d"]
    changed = [whole, whole._replace(cell={**whole.cell, "rate": 0.1}), whole._replace(test_points=11)]
    for change in (
        {"eps": 1 / 16},
        {"coefficient": PROBLEMS["elliptic2d"].coefficient},
        {"coefficient": laminate(1)},
        {"coefficient": laminate(2)},
    ):
        changed.append(whole._replace(problem=whole.problem._replace(**change)))
    names = {tasks.name_of(tasks.setup(task, experiment)) for experiment in changed}
    monkeypatch.setattr(experiments, "STEPS", experiments.STEPS + 1)
    names.add(tasks.name_of(tasks.setup(task, whole)))
    assert len(names) == 8


def test_estimates_of_time_and_texts_are_no_settings(monkeypatch):
    """Whoever corrects them keeps the results."""
    every = [tasks.setup(Task("elliptic2d", name, 0, "paper"), EXPERIMENTS["elliptic2d"]) for name in tasks.METHODS]
    before = [tasks.name_of(setup) for setup in every]
    monkeypatch.setattr(progress, "TRAININGS", {})
    monkeypatch.setattr(tasks, "METHODS", {n: m._replace(text="", study=False) for n, m in tasks.METHODS.items()})
    assert [tasks.name_of(setup) for setup in every] == before


# --- Progress --------------------------------------------------------------------------------------


def test_the_time_left_does_not_grow_while_one_long_task_ends_and_the_bar_moves_within_it():
    """Short tasks have set the speed; the last one is ten times longer, and measured or not it counts down."""
    work = {"a": 10.0, "b": 10.0, "long": 100.0}
    for measured in (True, False):
        seen = [
            progress.remaining(work, {"a": 2.0, "b": 2.0}, {"long": (t, t / 20 if measured else 0)}, 2)
            for t in np.linspace(0.1, 19, 40)
        ]
        done, left = np.transpose(seen)
        assert np.all(np.diff(done) > 0) and np.all(np.diff(left) <= 1e-9) and 0 <= left[-1] < 2
        assert abs(left[0] - 20) < 1 and done[-1] < 120


def test_the_time_left_is_that_of_the_last_process():
    work = {"ended": 10.0, "running": 40.0, "waiting": 30.0, "too": 10.0}
    running = {"running": (20.0, 0.5)}
    assert progress.remaining(work, {"ended": 10.0}, running, 1) == (30, 20 + 40)
    assert progress.remaining(work, {"ended": 10.0}, running, 2) == (30, 40 - 10)


def test_without_a_measured_speed_nothing_is_promised():
    assert progress.remaining({"kept": 1.0, "new": 3.0}, {"kept": 0.0}, {"new": (5.0, 0.0)}, 1) == (1.0, None)


def test_a_running_task_tells_which_part_of_it_is_done(tmp_path):
    experiment = EXPERIMENTS["const1d"]
    setup = tasks.setup(Task("const1d", "adam", 0, "paper"), experiment)
    epochs = {part: getattr(experiment, part)["epochs"] for part in ("cell", "homogenized", "classical")}
    parts = [
        progress.part_done(setup, {}),
        progress.part_done(setup, {"cell": epochs["cell"] // 2}),
        progress.part_done(setup, {"cell": epochs["cell"], "homogenized": epochs["homogenized"]}),
        progress.part_done(setup, {**epochs, "transfer": epochs["classical"]} | {"classical": 0}),
    ]
    assert parts[0] == 0 and parts == sorted(set(parts)) and 0.9 < parts[-1] < 1
    assert files.progress(tmp_path / "task") == 0
    save = runner.keep_at(tmp_path / "task", [], lambda: [0, 0], threading.Event(), lambda found: found["cell"] / 10)(
        "cell"
    )[1]
    save({"epoch": 7}, False)
    assert files.progress(tmp_path / "task") == 0.7


def test_a_table_for_a_narrow_terminal_fits_it_and_a_long_one_is_cut():
    lines = [[f"problem{i}", "adam", "0.99 ~", "[0.98, 0.99]", *["0.01 <"] * 6] for i in range(40)]
    overview = tables.Table("", ["", "", *tables.OVERVIEW.values()], lines, "note")
    shown = tables.Shown([], "", [("done", "word " * 40)], overview, {}, [], [], [])
    for width in (80, 120):
        text = tables.screen(shown, width).split("\n\n")
        assert max(map(len, "\n".join(text).splitlines())) <= width and len(text[0].splitlines()) == 30
        assert "lines" in text[0].splitlines()[-1]
