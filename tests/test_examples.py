"""Every example runs, and asserts its own number against a truth."""

import runpy
import sys
import warnings
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SLOW = {"slow_coefficient", "certificate", "paper_recipe", "cluster"}  # seconds of processor time, 13 to 30


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else ())
        for path in sorted(EXAMPLES.glob("*.py"))
        if path.stem != "problem_file"  # data for run_all.py, see tests/lab/test_own.py
    ],
    ids=lambda path: path.stem,
)
def test_an_example_holds_what_it_asserts(path, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setattr(sys, "argv", [str(path), str(tmp_path / "picture.png")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_path(str(path), run_name="__main__")
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
