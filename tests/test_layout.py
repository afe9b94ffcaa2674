"""The shape of the project: few files at the root, and imports that run one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ABOVE = {  # module -> those of ours that it may import
    "nhpinn_networks": (),
    "fem": (),
    "problems": (),
    "nhpinn_checks": ("nhpinn_networks",),
    "nhpinn_bounds": ("nhpinn_networks", "nhpinn_checks"),
    "nhpinn_sharp": ("nhpinn_networks", "nhpinn_checks", "nhpinn_bounds"),
    "nhpinn": ("nhpinn_networks", "nhpinn_checks", "nhpinn_bounds", "nhpinn_sharp", "fem"),
    "run_all": ("lab",),
}


def imported(path):
    """The modules of the project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    return found & {*ABOVE, "lab"}


def test_at_most_eight_modules_at_the_root():
    assert {path.stem for path in ROOT.glob("*.py")} <= set(ABOVE) and len(ABOVE) <= 8


@pytest.mark.parametrize("module", ABOVE)
def test_imports_run_one_way(module):
    if (path := ROOT / f"{module}.py").exists():
        assert imported(path) <= set(ABOVE[module])


def test_the_method_knows_of_no_laboratory():
    assert all("lab" not in imported(path) for path in ROOT.glob("*.py") if path.stem != "run_all")


@pytest.mark.parametrize("path", [*ROOT.glob("*.py"), *ROOT.glob("lab/*.py")], ids=lambda path: path.name)
def test_a_function_fits_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 45, node.name
