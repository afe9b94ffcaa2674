"""The scripts of benchmarks/ run without the peers' packages, and measure what they say."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fem
from nhpinn_networks import Network

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


SLOW = [
    "beside",
    "memory",
    "precision",
    "budget",
    "accuracy",
    "images",
    "homogenize",
    "pores",
    "equations",
    "solve",
    "refinement",
]


@pytest.mark.parametrize("script", ["step", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_every_script_explains_itself(script):
    done = subprocess.run([sys.executable, FOLDER / f"{script}.py", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage" in done.stdout, done.stderr


@pytest.fixture
def here(monkeypatch):
    """The scripts are modules of this process."""
    monkeypatch.syspath_prepend(FOLDER)


def test_an_unknown_image_is_refused(here, monkeypatch, capsys):
    import images

    monkeypatch.setattr(sys, "argv", ["images.py", "nonsense"])
    with pytest.raises(SystemExit):
        images.main()
    assert "names: found 'nonsense', expected some of 'square inclusion" in capsys.readouterr().err


def test_the_benchmarked_loss_is_the_residual_of_the_cell_problem(here):
    """In both precisions, against the residual from second derivatives, one by one."""
    import step

    for dtype, rtol in (("float64", 1e-10), ("float32", 1e-4)):
        job = step.job(7, dtype)
        params = [(W.astype(float), b.astype(float)) for W, b in job.params]
        _, slope, second = Network(params)(job.x.astype(float))
        r = job.a * (second[:, 0, 0] + second[:, 1, 1]) + (job.b * slope).sum(1) + job.f
        assert np.isclose(step.ours(job)[1]()[0], np.mean(r**2), rtol=rtol)


def run(script, *options):
    """What a script prints."""
    command = [sys.executable, FOLDER / f"{script}.py", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def rows(text):
    """The rows of a Markdown table, split into cells."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"][2:]


def test_contenders_of_one_coefficient_agree(here, monkeypatch):
    """Ours and the Fourier solver, each against a finer grid."""
    import homogenize

    monkeypatch.setitem(homogenize.FINE, 2, 135)
    monkeypatch.setattr(homogenize.timing, "interleave", lambda jobs, turns: dict.fromkeys(jobs, 0.0))
    name = "exp(sin + 0.7 cos)"
    _, _, gap, error, _, _, other, *_ = homogenize.compare(name, *homogenize.CASES[name], 1)
    assert max(float(error), float(other)) <= float(gap) + 1e-12 <= 1e-6


def test_elements_without_a_matrix_are_those_of_fem(here):
    import solve

    for dim, count in ((2, 6), (3, 3)):
        case = solve.CASES[dim]
        mesh = fem.Mesh(((0.0, 1.0),) * dim, count, 2)
        expected = fem.solve_elliptic(lambda x, case=case: case.coefficient(2 * x), case.source, mesh).nodal
        found = solve.elements(case, dim, 1 / 2, count, 2).nodal
        assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_a_multiscale_method_finds_its_simplices_and_the_solution_where_nothing_oscillates(here):
    """Of a constant coefficient, at the rate of linear elements."""
    import solve

    x = np.random.default_rng(0).random((100, 3))
    vertices, parts = solve.simplices(3, 4)
    around = vertices[parts[solve.Macroscopic(4, None, None).simplex(x)]]
    inside = np.linalg.solve(np.swapaxes(around[:, 1:] - around[:, :1], 1, 2), (x - around[:, 0])[..., None])
    assert inside.min() >= -1e-12 and inside.sum(axis=1).max() <= 1 + 1e-12
    case = solve.CASES[2]._replace(coefficient=lambda y: 2 + 0 * y[:, 0])
    truth, errors = solve.reference(case, 2, 1 / 4), []
    for macro in (8, 16):
        found = solve.multiscale(case, 2, macro, everywhere=False)
        errors.append(truth.error(found.gradient(fem.tensor_grid(truth.axes), 1 / 4)))
    assert errors[0] < 0.3 and 1.8 < errors[0] / errors[1] < 2.2


@pytest.mark.slow
def test_the_corrector_is_the_same_by_every_solver():
    best = {name: float(cells[-1].split()[0]) for name, *cells in rows(run("accuracy", "--quick", "--turns", "1"))}
    assert best["Fourier conjugate gradients"] < 1e-9
    assert best["finite elements"] < 1e-9
    assert best["sharp"] < 1e-8


@pytest.mark.parametrize("differences", [False, True])
def test_the_fourier_solver_is_exact_for_layers(differences, here):
    """The harmonic mean across them, the mean along them; for numbers and tensors, in 2D and 3D."""
    import fourier

    for dim in (2, 3):
        a = np.ones((8,) * dim) * np.where(np.arange(8) < 4, 1.0, 9.0)
        for each in (a, a * np.eye(dim).reshape(dim, dim, *[1] * dim)):
            found = fourier.tensor(each, dim, 1e-9, differences)
            np.testing.assert_allclose(found, np.diag([5] * (dim - 1) + [1.8]), rtol=1e-9, atol=1e-8)


@pytest.mark.slow
def test_precisions_reach_the_same_error_in_a_few_epochs():
    """float64, float32, and float32 for as long; 20 epochs are too few for rounding to matter."""
    found = rows(run("precision", "--seeds", "1", "--scale", "0.001"))
    errors = [float(cells[-1]) for cells in found]
    assert len(found) == 9 and np.allclose(errors[::3], errors[1::3], rtol=1e-2)


@pytest.mark.slow
def test_a_step_takes_longer_than_its_matrix_products():
    *_, ratios = rows(run("step", "--turns", "1"))
    assert ratios[0] == "nhpinn / matrix products" and all(1 < float(cell) < 20 for cell in ratios[1:])


def test_the_budget_adds_up_the_seconds_of_tasks(tmp_path, here, capsys):
    import budget

    (tmp_path / "tasks").mkdir()
    for seed in (1, 2):
        task = {"problem": "const1d", "method": "fem"}
        result = {"task": task, "seconds": 10.0 * seed, "processor_seconds": 4.0}
        (tmp_path / "tasks" / f"{seed}.json").write_text(json.dumps(result))
    budget.show(tmp_path)
    text = capsys.readouterr().out
    assert rows(text) == [["const1d", "4.0", "4"]]
    assert "2 seeds, 8 s of tasks on the processor, 30 s by the clock" in text


@pytest.mark.slow
def test_the_peak_memory_of_a_process_is_reported():
    done = subprocess.run(
        [sys.executable, FOLDER / "memory.py", "--points", "1000"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert 10 < found["libraries"] <= found["term"] <= found["loss"] < 500
    assert found["seconds"] > 0
