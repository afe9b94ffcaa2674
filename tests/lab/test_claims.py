"""Claims: verdicts follow from numbers, and change with them."""

import pytest

from lab import claims, files, tasks
from lab.settings import Task
from problems import EXPERIMENTS, PROBLEMS


def found(values=(), **results):
    """Found with quantities {(problem, quantity, recipe): value} and results {problem_method: [result, ...]}."""
    rows = {key: {"value": value, "std": None} for key, value in dict(values).items()}
    return claims.Found(rows, {tuple(name.split("_")): list(listed) for name, listed in results.items()})


def test_without_results_nothing_is_judged():
    verdicts = {claims.judged(claim, found())[0] for claim in claims.CLAIMS}
    assert verdicts == {claims.UNKNOWN}


@pytest.mark.parametrize("converged, verdict", [(0.01166, claims.ARTEFACT), (0.021316, claims.REPRODUCED)])
def test_e2_below_e4_depends_on_the_converged_e4(converged, verdict):
    """The paper's gap of 0.3 % means nothing if its e4 is further than that from the converged one."""
    values = {}
    for name in claims.FOUR:
        right = converged if name == "elliptic2d" else EXPERIMENTS[name].paper["e4"]
        wrong = right if verdict == claims.REPRODUCED or name == "elliptic2d" else 0.5
        values |= {(name, "e2", "adam"): 0.99 * wrong, (name, "e4", "fem"): wrong}
    assert claims.judged(next(c for c in claims.CLAIMS if c.judge is claims.e2_below_e4), found(values))[0] == verdict


@pytest.mark.parametrize("e1, verdict", [(0.001, claims.REPRODUCED), (0.3, claims.NOT)])
def test_a_larger_error_of_the_method_breaks_its_claim(e1, verdict):
    values = {(name, q, "adam"): v for name in claims.FOUR for q, v in (("classical", 0.9), ("e1", e1))}
    assert claims.better_than_classical(found(values))[0] == verdict


@pytest.mark.parametrize("worst, verdict", [(0.04, claims.REPRODUCED), (0.4, claims.PARTLY)])
def test_robustness_is_a_matter_of_the_worst_setting(worst, verdict):
    rows = [{"layers": 2, "chi1": 0.03}, {"layers": 2, "chi1": 0.03}, {"layers": 2, "chi1": worst}]
    rows += [{"layers": 0, "chi1": 0.5}, {"layers": 0, "chi1": 2.0}]
    assert claims.oversampling_is_robust(found(elliptic2d_robustness=[{"study": rows}]))[0] == verdict


@pytest.mark.parametrize("trained, verdict", [(0.98, claims.REPRODUCED), (0.03, claims.NOT)])
def test_the_law_is_judged_by_what_was_trained(trained, verdict):
    values = {}
    for name in PROBLEMS:
        values[name, "classical", "adam"] = trained
        values |= {(name, q, "fem"): 0.99 for q in ("classical_predicted", "classical_predicted_points")}
    history = {"classical": {"epochs": [0], "loss": [1.0], "errors": {"classical": [trained]}}}
    fields = {"solution": [1 - trained, 0.0]}
    results = {f"{name}_classical": [{"history": history, "fields": fields}] for name in PROBLEMS}
    results |= {f"{name}_law": [{"fields": {"solution": [0.0205, 0.0]}}] for name in PROBLEMS}
    assert claims.law_holds(found(values, **results))[0] == verdict


def test_results_of_other_settings_do_not_count_and_numbers_reach_the_text(tmp_path, capsys):
    task = Task("slow1d", "fem", 0, "paper")
    for i, e4 in enumerate((0.1, 0.005125)):
        quantities = {"e4": e4, "e1_corrected": 0.004}
        name = "slow1d-fem-0-paper-other" if i == 0 else tasks.name_of(task, EXPERIMENTS["slow1d"])
        result = {"task": task._asdict(), "recipe": "fem", "quantities": quantities, "seconds": 1.0}
        files.save(result, files.result_path(tmp_path, name))
    task = task._replace(method="adam")
    e1 = {"task": task._asdict(), "recipe": "adam", "quantities": {"e1": 0.00512, "e3": 3e-5}, "seconds": 1.0}
    files.save(e1, files.result_path(tmp_path, tasks.name_of(task, EXPERIMENTS["slow1d"])))
    claims.main(["--from", str(tmp_path), "--to", str(tmp_path / "CLAIMS.md")])
    text = (tmp_path / "CLAIMS.md").read_text()
    assert "converged e4 is 0.005125" in text and claims.ARTEFACT in text and text in capsys.readouterr().out


def test_an_empty_folder_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        claims.main(["--from", str(tmp_path)])
    assert "--from: found no results" in capsys.readouterr().err
