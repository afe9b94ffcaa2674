"""Every example asserts its number against its truth and draws its picture; the page of microstructures is true."""

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = ("laminate", "reaction")
SLOW = ("certificate", "cluster", "disc", "eps", "fibres", "image", "own_coefficient", "quench", "plate", "pores")
SLOW += ("change_it", "own_equation", "paper_recipe", "slow_coefficient", "spheres", "the_method")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_the_example_holds(name, monkeypatch, tmp_path):
    """In a folder of its own, as from an installation; an example raises AssertionError if its number is wrong."""
    pytest.importorskip("matplotlib").use("Agg")
    picture = tmp_path / "picture.png"
    monkeypatch.setattr(sys, "argv", [name, str(picture)])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    assert picture.stat().st_size > 10_000


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_known_here(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 60
    assert path.stem in (*QUICK, *SLOW, "problem_file")


def test_the_list_of_examples_has_all():
    page = (ROOT / "examples" / "README.md").read_text()
    assert set(re.findall(r"\[(\w+)\.py\]", page)) == {*QUICK, *SLOW, "problem_file"}


@pytest.fixture(scope="module")
def truths():
    """The script of the page, which imports its neighbour `timing`."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return runpy.run_path(str(ROOT / "benchmarks" / "microstructures.py"))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("ratio", [1j, 0.5 + 0.75**0.5 * 1j], ids=["square", "hexagonal"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.75])
def test_the_multipoles_of_discs_obey_duality(truths, fraction, ratio):
    assert truths["discs"](fraction, 20, ratio) * truths["discs"](fraction, 1 / 20, ratio) == pytest.approx(
        1, abs=1e-12
    )


def test_the_multipoles_of_spheres_are_those_in_print(truths):
    """Sangani and Acrivos 1983, up to f^(25/3)."""
    f, s = 0.2, 10
    L = [(s - 1) / (s + (i + 1) / i) for i in (1, 3, 5, 7)]
    near = 1.3047 * L[1] * f ** (10 / 3) * (1 + 0.2305 * L[2] * f ** (11 / 3)) / (1 - 0.4054 * L[1] * f ** (7 / 3))
    near += 0.07231 * L[2] * f ** (14 / 3) + 0.1526 * L[3] * f**6
    assert truths["spheres"](f, s) == pytest.approx(1 - 3 * f / (f - 1 / L[0] + near), rel=1e-5)


def test_the_truths_of_the_example_of_spheres_are_multipoles_of_any_order(truths):
    known = runpy.run_path(str(ROOT / "examples" / "spheres.py"))["MULTIPOLES"]
    for fraction, value in known.items():
        assert truths["spheres"](fraction, 10, 16) == pytest.approx(value, rel=1e-7)


def test_the_page_has_every_case_and_bounds_that_contain_the_truth(truths):
    page = (ROOT / "docs" / "microstructures.md").read_text()
    known, large, porous, *_ = (
        [line for line in part.splitlines() if line.startswith("| ")][2:] for part in page.split("## ")
    )
    assert [row.split(" | ")[0][2:] for row in known] == [case.name for case in truths["cases"]()]
    assert all("| yes |" in row for row in known)
    assert [row.split(" | ")[0][2:] for row in large] == list(truths["images"].IMAGES)
    assert [row.split(" | ")[0][2:] for row in porous] == list(truths["pores"].IMAGES)
