"""The shape of the house, from its import statements: few files at the root, arrows that run one way."""

import ast
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[1]
KNOWS = {  # module -> those of ours that it may import
    "nhpinn_networks": set(),
    "fem": set(),
    "problems": set(),
    "nhpinn_checks": {"nhpinn_networks"},
    "nhpinn_bounds": {"nhpinn_networks", "nhpinn_checks"},
    "nhpinn_sharp": {"nhpinn_networks", "nhpinn_checks", "nhpinn_bounds"},
    "nhpinn": {"nhpinn_networks", "nhpinn_checks", "nhpinn_bounds", "nhpinn_sharp", "fem"},
    "run_all": {"lab"},
}
LABORATORY = [  # each may import those before it, and all of the method
    ["training", "averages"],
    ["settings"],
    ["experiments", "own"],
    ["studies"],
    ["tasks", "files", "tables", "panels"],
    ["runner", "figures", "report"],
    ["command"],
    ["claims"],
]


def imported(path):
    """The modules that a file imports anywhere, `from lab import x` as lab.x."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"lab.{alias.name}" for alias in node.names} if node.module == "lab" else {node.module}
    return found


def test_the_root_tells_the_story_in_eight_files():
    assert {path.stem for path in ROOT.glob("*.py")} == set(KNOWS)


def test_imports_of_the_method_run_one_way():
    for module, known in KNOWS.items():
        roots = {name.split(".")[0] for name in imported(ROOT / f"{module}.py")}
        assert roots & ({*KNOWS, "lab", "tests"} - {module}) <= known, module


def test_imports_of_the_laboratory_run_one_way():
    assert {path.stem for path in (ROOT / "lab").glob("*.py")} == {"__init__", *chain(*LABORATORY)}
    for depth, layer in enumerate(LABORATORY):
        below = {f"lab.{name}" for name in chain(*LABORATORY[:depth])} | {"lab.one_blas_thread"}
        for name in layer:
            found = {other for other in imported(ROOT / "lab" / f"{name}.py") if other.startswith("lab")}
            assert found <= below, name
    assert imported(ROOT / "lab" / "__init__.py") == {"os"}
