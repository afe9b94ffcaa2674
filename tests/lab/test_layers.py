"""Imports of the laboratory run one way."""

import ast
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
LABORATORY = [  # each may import those before it, and all of the method
    ["training", "minimisers", "files"],
    ["settings"],
    ["experiments", "progress"],
    ["studies", "own"],
    ["tasks", "panels"],
    ["tables", "runner", "figures", "overview"],
    ["claims"],
    ["report", "published", "verify"],
    ["command"],
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


def test_imports_of_the_laboratory_run_one_way():
    assert {path.stem for path in (ROOT / "lab").glob("*.py")} == {"__init__", *chain(*LABORATORY)}
    for depth, layer in enumerate(LABORATORY):
        below = {f"lab.{name}" for name in chain(*LABORATORY[:depth])} | {"lab.one_blas_thread"}
        for name in layer:
            found = {other for other in imported(ROOT / "lab" / f"{name}.py") if other.startswith("lab")}
            assert found <= below, name
    assert imported(ROOT / "lab" / "__init__.py") == {"os"}
