"""The shape of the project: few files at the root, and imports that run one way."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

import nhpinn
from problems import PROBLEMS

ROOT = Path(__file__).resolve().parents[1]
LAYERS = (  # a module imports those of layers before its own, of its own, and none after it
    {"fem", "problems"},
    {"fem_cells", "nhpinn_functions"},
    {"nhpinn_networks"},
    {"nhpinn"},
    {"nhpinn_tools"},
    {"lab"},
    {"run_all"},
)
OURS = set().union(*LAYERS)


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """The modules of the project that a file imports when it runs, anywhere in it."""
    found, left = set(), [tree(path)]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            left.extend(ast.iter_child_nodes(node))
    return found & OURS


@pytest.mark.parametrize("level", range(len(LAYERS)))
def test_imports_run_one_way(level):
    """But for the tools, which nhpinn.py hands out by name when they are asked for."""
    allowed = set().union(*LAYERS[: level + 1])
    for name in LAYERS[level]:
        for path in [ROOT / f"{name}.py", *ROOT.glob(f"{name}/*.py")]:
            assert not path.exists() or imported(path) <= allowed, path


def test_every_module_at_the_root_has_a_layer():
    assert {path.stem for path in ROOT.glob("*.py")} <= OURS


def test_the_namespace_holds_the_paper_and_the_tools_and_nothing_imported():
    assert set(dir(nhpinn)) == set(nhpinn.__all__)
    for name in nhpinn.__all__:
        assert getattr(nhpinn, name).__module__.split(".")[0].startswith("nhpinn"), name


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("*.py"), *ROOT.glob("nhpinn_tools/*.py"), *ROOT.glob("lab/*.py")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_function_fits_a_screen(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 70, node.name


def test_only_the_laboratory_sets_the_number_of_threads():
    """A library that did would depend on whether numpy had been imported before it."""
    assert all("_NUM_THREADS" not in path.read_text(encoding="utf-8") for path in ROOT.glob("nhpinn*.py"))


@pytest.mark.parametrize("slow", [True, None])
def test_the_problem_record_travels_little_on_its_way_into_the_first_training(slow):
    """A reader who follows it returns at most twice to a file that he had left."""
    problem, files = PROBLEMS["slow1d"]._replace(slow=slow), []
    settings = nhpinn.Training((4,), 21, (0.5, 0.5, 0), 1e-3, 1)

    def train(*arguments):
        sys.setprofile(None)
        raise StopIteration

    def follow(frame, event, argument):
        name = Path(frame.f_code.co_filename).name
        if event == "call" and any(value is problem for value in frame.f_locals.values()) and files[-1:] != [name]:
            files.append(name)

    sys.setprofile(follow)
    try:
        nhpinn.nh_pinn(problem, settings, settings, 0, train)
    except StopIteration:
        pass
    finally:
        sys.setprofile(None)
    assert files[0] == "nhpinn.py" and len(files) - len(set(files)) <= 2, files
